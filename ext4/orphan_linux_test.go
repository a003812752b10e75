package ext4

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// What the kernel frees of orphans when it mounts a volume is known before:
// files deleted while they were open, and files cut off at any place, with
// trees of all kinds, attributes shared and in inodes of their own.
func TestOrphans(t *testing.T) {
	kernel(t)
	testenv.Tool(t, "debugfs")
	for i, v := range []struct{ name, args string }{
		{"extents", ""},
		{"extents-1k", "-b 1024"},
		{"indirect", "-t ext3 -b 1024"},
		{"indirect-4k", "-t ext2"},
		{"bigalloc", "-O bigalloc -C 16384"},
		{"ea_inode", "-O ea_inode"},
		{"inline_data", "-O inline_data -I 512"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(i), 5))
			image := mkfs(t, 128<<20, strings.Fields(v.args)...)
			dir, umount := mount(t, image, "")
			var sizes []int64
			var inodes []uint64
			for k := range 12 {
				size := orphanCandidate(t, filepath.Join(dir, fmt.Sprint(k)), k, rnd)
				info, err := mounttest.KernelLook(filepath.Join(dir, fmt.Sprint(k)))
				if err != nil {
					t.Fatal(err)
				}
				sizes, inodes = append(sizes, size), append(inodes, info.Inode)
			}
			umount()

			// The first half is cut off, the second was deleted.
			var commands strings.Builder
			for k, inode := range inodes {
				if k < len(inodes)/2 {
					fmt.Fprintf(&commands, "sif <%d> size %d\n", inode, rnd.Int64N(sizes[k]))
				} else {
					fmt.Fprintf(&commands, "unlink %d\nsif <%d> links_count 0\n", k, inode)
				}
				next := uint64(0)
				if k+1 < len(inodes) {
					next = inodes[k+1]
				}
				fmt.Fprintf(&commands, "sif <%d> dtime @%d\n", inode, next)
			}
			fmt.Fprintf(&commands, "ssv last_orphan %d\n", inodes[0])
			script := filepath.Join(t.TempDir(), "commands")
			if err := os.WriteFile(script, []byte(commands.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			mounttest.Command(t, "debugfs", "-w", "-f", script, image)

			f := openImage(t, image, Options{})
			if o := f.orphans; o.truncated != 6 || o.deleted != 6 || o.err != nil || o.clusters < 10 {
				t.Errorf("%+v", o)
			}
			compareRecovered(t, f, image)
		})
	}
}

// orphanCandidate makes a file and returns its size.
func orphanCandidate(t *testing.T, path string, kind int, rnd *rand.Rand) int64 {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	write := func(at, n int64) {
		if _, err := file.WriteAt(data[:n], at); err != nil {
			t.Fatal(err)
		}
	}
	switch kind % 6 {
	case 0: // in one piece
		write(0, 90_000)
	case 1: // in many pieces
		for k := range int64(900) {
			write(k*rnd.Int64N(20000), 1+rnd.Int64N(3000))
		}
	case 2: // far apart, for all levels of indirect blocks
		for _, at := range []int64{0, 5 << 10, 20 << 10, 290 << 10, 400 << 10, 60 << 20, 70 << 20, 100 << 20} {
			write(at, 20_000)
		}
	case 3: // reserved in part
		unix.Fallocate(int(file.Fd()), 0, 0, 300_000)
		write(100_000, 50_000)
		unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 400_000, 100_000)
	case 4: // with attributes
		write(0, 10_000)
		for k, n := range []int{100, 700, 3000, 30_000} {
			unix.Fsetxattr(int(file.Fd()), fmt.Sprintf("user.%d", k), data[:n], 0)
		}
	case 5: // with attributes that others have too
		write(0, 30)
		for k, n := range []int{700, 20_000} {
			unix.Fsetxattr(int(file.Fd()), fmt.Sprintf("user.%d", k), []byte(strings.Repeat("s", n)), 0)
		}
	}
	size, err := file.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return size
}
