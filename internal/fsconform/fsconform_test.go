package fsconform_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/internal/fsconform"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/volume"
	"github.com/coldcheck/coldcheck/xfs"
)

// systems are the filesystems. A new one needs a row.
var systems = []fsconform.System{
	{
		Name: "NTFS", Image: ntfsImage("../../ntfs/testdata/small.img.gz"), Open: openNTFS,
		Broken: []string{"wof"}, Identity: recordNumber, Mount: mountNTFS,
	},
	{
		Name: "ext2", Image: image("../../ext4/testdata/ext2.img.gz"), Open: openExt4,
		MapsModes: true, Mount: mount("ext2"),
	},
	{
		Name: "ext4", Image: image("../../ext4/testdata/ext4.img.gz"), Open: openExt4,
		Protected: true, MapsModes: true, Mount: mount("ext4"),
	},
	{
		Name: "ext4 in use", Image: image("../../ext4/testdata/dirty.img.gz"), Open: openExt4,
		Protected: true, Replayed: true, MapsModes: true, Mount: mount("ext4"),
	},
	{
		// Many kernels cannot mount version 4.
		Name: "XFS 4", Image: image("../../xfs/testdata/v4.img.gz"), Open: openXFS,
		MapsModes: true,
	},
	{
		Name: "XFS 5", Image: image("../../xfs/testdata/v5.img.gz"), Open: openXFS,
		Protected: true, Identity: xfsNumber, MapsModes: true, Mount: mount("xfs"),
	},
	{
		Name: "XFS 5 in use", Image: image("../../xfs/testdata/dirty.img.gz"), Open: openXFS,
		Protected: true, Replayed: true, InMemory: true, Identity: xfsNumber, MapsModes: true, Mount: mount("xfs"),
	},
}

// TestFilesystems runs the suite on each filesystem and prints the results.
func TestFilesystems(t *testing.T) {
	table := make([][]string, len(systems))
	t.Run("all", func(t *testing.T) {
		for i, s := range systems {
			t.Run(s.Name, func(t *testing.T) {
				if testing.Short() && !slices.Contains([]string{"NTFS", "ext4", "XFS 5"}, s.Name) {
					t.Skip("one of each kind in short mode")
				}
				t.Parallel()
				table[i] = fsconform.Run(t, s)
			})
		}
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%-38s", "")
	for _, s := range systems {
		fmt.Fprintf(&b, " %-12s", s.Name)
	}
	for n, c := range fsconform.Checks {
		fmt.Fprintf(&b, "\n%-38s", c.Name)
		for i := range systems {
			if n < len(table[i]) {
				fmt.Fprintf(&b, " %-12s", table[i][n])
			}
		}
	}
	t.Log("\n" + b.String())
}

// image returns copies of an image that is unpacked once.
func image(name string) func(testing.TB) []byte {
	return copies(func() ([]byte, error) { return unpack(name) })
}

func unpack(name string) ([]byte, error) {
	packed, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// ntfsImage unpacks an image of which each 16-bit word is stored as its
// difference to the one before.
func ntfsImage(name string) func(testing.TB) []byte {
	return copies(func() ([]byte, error) {
		raw, err := unpack(name)
		le := binary.LittleEndian
		for i := 2; i < len(raw); i += 2 {
			le.PutUint16(raw[i:], le.Uint16(raw[i:])+le.Uint16(raw[i-2:]))
		}
		return raw, err
	})
}

func copies(unpack func() ([]byte, error)) func(testing.TB) []byte {
	once := sync.OnceValues(unpack)
	return func(t testing.TB) []byte {
		t.Helper()
		raw, err := once()
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(raw)
	}
}

// ntfsVolume is a volume as scanner/volume shows it to a program.
type ntfsVolume struct{ volume.FS }

// openNTFS bounds the memory by Reserve: volume.Options has no other bound.
func openNTFS(ctx context.Context, r io.ReaderAt, size int64, o fsconform.Options) (fsconform.Volume, error) {
	reserve := o.Reserve
	if o.Memory > 0 {
		var taken atomic.Int64
		reserve = func(n int64) error {
			if taken.Add(n) > o.Memory {
				taken.Add(-n)
				return fmt.Errorf("%w: %d bytes", kind.Limit, o.Memory)
			}
			return nil
		}
	}
	f, err := volume.Supported.Open(ctx, disk.NTFS, r, size, volume.Options{Reserve: reserve})
	return ntfsVolume{f}, err
}

func (v ntfsVolume) ReadFile(name string) ([]byte, error) { return fs.ReadFile(v.FS, name) }

// Counts leaves out junctions, which are folders that lead elsewhere.
func (v ntfsVolume) Counts(info fs.FileInfo) bool { return !v.Node(info).Folder }

func (v ntfsVolume) Number(info fs.FileInfo) uint64 { return v.Node(info).ID }

func (v ntfsVolume) Totals(name string) (files, size, damaged int64, err error) {
	t, err := v.FS.Totals(name)
	return t.Files, t.Size, t.Damaged, err
}

func (v ntfsVolume) Pending() (bool, error) {
	j := v.Info().Journal
	return j.State.Pending(), j.Err
}

// recordNumber is that of an MFT record.
func recordNumber(b []byte) (uint64, bool) {
	return uint64(binary.LittleEndian.Uint32(b[44:])), string(b[:4]) == "FILE"
}

type ext4Volume struct{ *ext4.FS }

func openExt4(ctx context.Context, r io.ReaderAt, size int64, o fsconform.Options) (fsconform.Volume, error) {
	f, err := ext4.Open(ctx, r, size, ext4.Options{Memory: o.Memory, Reserve: o.Reserve})
	return ext4Volume{f}, err
}

func (v ext4Volume) Counts(info fs.FileInfo) bool { return !info.IsDir() }

func (v ext4Volume) Number(info fs.FileInfo) uint64 { return info.Sys().(*ext4.Entry).Inode }

func (v ext4Volume) Totals(name string) (files, size, damaged int64, err error) {
	t, err := v.Tree(name)
	return t.Files, t.Size, t.Damaged, err
}

func (v ext4Volume) Pending() (bool, error) {
	j := v.Volume().Journal
	return j.State.Pending(), j.Err
}

type xfsVolume struct{ *xfs.FS }

func openXFS(ctx context.Context, r io.ReaderAt, size int64, o fsconform.Options) (fsconform.Volume, error) {
	f, err := xfs.Open(ctx, r, size, xfs.Options{Memory: o.Memory, Reserve: o.Reserve})
	return xfsVolume{f}, err
}

func (v xfsVolume) Counts(info fs.FileInfo) bool { return !info.IsDir() }

func (v xfsVolume) Number(info fs.FileInfo) uint64 { return info.Sys().(*xfs.Entry).Inode }

func (v xfsVolume) Totals(name string) (files, size, damaged int64, err error) {
	t, err := v.Tree(name)
	return t.Files, t.Size, t.Damaged, err
}

func (v xfsVolume) Pending() (bool, error) {
	j := v.Volume().Journal
	return j.State.Pending(), j.Err
}

// xfsNumber is that of an inode of version 3.
func xfsNumber(b []byte) (uint64, bool) {
	return binary.BigEndian.Uint64(b[0x98:]), string(b[:2]) == "IN" && b[4] == 3
}

// mount mounts a copy through a loop device, for writing, so that the kernel
// recovers it.
func mount(kind string) func(testing.TB, string) string {
	return func(t testing.TB, image string) string {
		t.Helper()
		testenv.Root(t)
		testenv.Tool(t, "mount", "umount")
		testenv.Loop(t)
		dir := t.TempDir()
		run(t, "mount", "-t", kind, "-o", "loop,noatime", image, dir)
		t.Cleanup(func() { testenv.Unmount(t, dir) })
		return dir
	}
}

func mountNTFS(t testing.TB, image string) string {
	t.Helper()
	testenv.Loop(t)
	testenv.Tool(t, "ntfs-3g", "umount")
	dir := t.TempDir()
	run(t, "ntfs-3g", "-o", "ro,compression,streams_interface=none", image, dir)
	t.Cleanup(func() { testenv.Unmount(t, dir) })
	return dir
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}
