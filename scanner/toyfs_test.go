package scanner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// What follows adds a filesystem: a library that reads it, an adapter, and a
// row of the table. A scan then reads it, finds the system on it, describes it
// and locates its evidence. No other code knows it.

// toyBase is where the archive begins that a toy volume is, in bytes: behind the
// superblock of Btrfs, which scanner/disk knows and this program does not read.
const toyBase = 128 << 10

// readToy is the library: a txtar archive with its length before it.
func readToy(r io.ReaderAt, size int64) (fstest.MapFS, error) {
	var length [4]byte
	if _, err := r.ReadAt(length[:], toyBase); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(length[:]))
	if n > size-toyBase-4 {
		return nil, fmt.Errorf("%w: an archive of %d bytes", kind.Corrupt, n)
	}
	data := make([]byte, n)
	if _, err := r.ReadAt(data, toyBase+4); err != nil {
		return nil, err
	}
	files := fstest.MapFS{}
	for _, f := range txtar.Parse(data).Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return files, nil
}

// toyVolume is the adapter.
type toyVolume struct{ fstest.MapFS }

func openToy(_ context.Context, r io.ReaderAt, size int64, _ filesystem.Options) (filesystem.FS, error) {
	files, err := readToy(r, size)
	if err != nil {
		return nil, err
	}
	return toyVolume{files}, nil
}

func (t toyVolume) Info() filesystem.Info {
	return filesystem.Info{Filesystem: disk.Btrfs, MountType: "btrfs", Label: "toy", ID: "7", State: filesystem.StateClean}
}
func (t toyVolume) Node(fs.FileInfo) filesystem.Node { return filesystem.Node{} }
func (t toyVolume) Name(path string) string          { return strings.Trim(path, "/") }
func (t toyVolume) Locate(name string) (int64, bool, error) {
	_, err := t.Lstat(name)
	return toyBase, err == nil, err
}
func (t toyVolume) Usage() (filesystem.Usage, error) {
	return filesystem.Usage{Size: 100, Used: 40, Free: 60, Available: 60}, nil
}
func (t toyVolume) Totals(name string) (total filesystem.Totals, err error) {
	err = fs.WalkDir(t, name, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			total.Files++
		}
		return err
	})
	return total, err
}
func (t toyVolume) Newest(time.Time) time.Time { return time.Time{} }
func (t toyVolume) Damaged() (int64, int64)    { return 3, 1 }
func (t toyVolume) Notices() []filesystem.Notice {
	return []filesystem.Notice{{Level: filesystem.Warning, Text: "it is a toy"}}
}
func (t toyVolume) Doubts() []filesystem.Notice { return nil }
func (t toyVolume) Problems() []string          { return nil }
func (t toyVolume) Close() error                { return nil }

const toySystem = `-- etc/os-release --
NAME="Toy Linux"
ID=toy
VERSION_ID="1"
-- etc/hostname --
toybox
-- etc/fstab --
-- usr/bin/true --
-- var/lib/dpkg/status --
`

// toyImage is an image with the system on a toy filesystem.
func toyImage() []byte {
	image := make([]byte, 1<<20)
	copy(image[64<<10+0x40:], "_BHRfS_M")
	binary.LittleEndian.PutUint32(image[toyBase:], uint32(len(toySystem)))
	copy(image[toyBase+4:], toySystem)
	return image
}

func TestToyFilesystem(t *testing.T) { // not parallel: it changes the table
	defer func(was filesystem.Table) { filesystem.Supported = was }(filesystem.Supported)
	row := filesystem.Row{Filesystems: []disk.Filesystem{disk.Btrfs}, System: filesystem.Linux, Open: openToy}

	image := toyImage()
	in := Input{Images: []Source{Reader("toy.img", bytes.NewReader(image), int64(len(image)))}}

	if _, err := Scan(t.Context(), in); err == nil || !strings.Contains(err.Error(), "btrfs, which is not supported") {
		t.Fatalf("without the row: %v", err)
	}
	filesystem.Supported = append(filesystem.Supported[:len(filesystem.Supported):len(filesystem.Supported)], row)
	r, err := Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if r.Platform.Name != "Toy Linux" || r.Platform.ComputerName != "toybox" {
		t.Errorf("the system is %+v", r.Platform)
	}
	v := r.Volumes[0]
	if v.Role != Root || v.Filesystem != "btrfs" || v.Label != "toy" || v.Serial != "7" || v.State != "clean" ||
		v.Free != 60 || v.Damaged != 3 || v.Torn != 1 {
		t.Errorf("the volume is %+v", v)
	}
	warned := false
	for _, n := range r.Notices {
		warned = warned || n == requirement.Notice{Level: requirement.LevelWarning, Source: "root",
			Message: "toy.img: it is a toy."}
	}
	if !warned {
		t.Errorf("the notices are %v", r.Notices)
	}
	placed := 0
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			if e.Path != "" && e.RecordOffset != nil && *e.RecordOffset == toyBase {
				placed++
			}
		}
	}
	if placed == 0 {
		t.Error("no evidence says where it lies")
	}
}

// failingAt fails to read at toyBase.
type failingAt struct {
	io.ReaderAt
	err error
}

func (f failingAt) ReadAt(p []byte, off int64) (int, error) {
	if off <= toyBase && off+int64(len(p)) > toyBase {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// The kind of the error separates an unreadable image from one in an unknown
// format.
func TestToyFilesystemFails(t *testing.T) { // not parallel: it changes the table
	defer func(was filesystem.Table) { filesystem.Supported = was }(filesystem.Supported)
	filesystem.Supported = filesystem.Table{{Filesystems: []disk.Filesystem{disk.Btrfs}, System: filesystem.Linux,
		Open: openToy}}

	image := make([]byte, 1<<20)
	copy(image[64<<10+0x40:], "_BHRfS_M")
	binary.LittleEndian.PutUint32(image[toyBase:], 1<<30)
	r := bytes.NewReader(image)
	for name, test := range map[string]struct {
		r    io.ReaderAt
		want []error
	}{
		"a disk that fails": {failingAt{r, syscall.EIO}, []error{ErrIO, kind.IO, syscall.EIO}},
		"damage":            {r, []error{ErrNoSystem}},
		"a file that ends":  {failingAt{r, io.ErrUnexpectedEOF}, []error{ErrNoSystem}},
	} {
		_, err := Scan(t.Context(), Input{Images: []Source{Reader("toy.img", test.r, int64(len(image)))}})
		for _, want := range test.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v is not %v", name, err, want)
			}
		}
	}
	_, err := filesystem.Supported.Open(t.Context(), disk.ReFS, r, r.Size(), filesystem.Options{})
	if !errors.Is(err, kind.Unsupported) {
		t.Errorf("a filesystem that is not in the table: %v", err)
	}
}

// A scan of images that have the expected sums has a result with the sums; one of
// others has none, whatever is on them.
func TestScanExpected(t *testing.T) { // not parallel: it changes the table of filesystems
	defer func(was filesystem.Table) { filesystem.Supported = was }(filesystem.Supported)
	filesystem.Supported = filesystem.Table{{Filesystems: []disk.Filesystem{disk.Btrfs}, System: filesystem.Linux,
		Open: openToy}}
	image := toyImage()
	sum := sha256.Sum256(image)
	right := hex.EncodeToString(sum[:])
	reads := 0
	in := Input{
		Images:   []Source{Reader("toy.img", bytes.NewReader(image), int64(len(image)))},
		Hash:     true,
		Expect:   []ExpectedSum{{"toy.img", SHA256, right}},
		Progress: func(p Progress) { reads += strings.Count(p.Step, "hashing") },
	}
	r, err := Scan(t.Context(), in)
	if err != nil || r.Files[0].SHA256 != right || reads == 0 {
		t.Errorf("%v, %+v, summed in %d pieces", err, r.Files, reads)
	}
	in.Expect[0].Sum = strings.Repeat("0", 64)
	if r, err := Scan(t.Context(), in); !errors.Is(err, ErrIO) || r != nil {
		t.Errorf("%v, %v", r, err)
	}
}
