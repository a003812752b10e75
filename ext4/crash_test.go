package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// crashes are volumes that are caught while they are written to: how they are
// made, how they are mounted, and how many images of each are taken.
var crashes = []struct {
	name, args, options string
	images              int
}{
	{"default", "", "", 4},
	{"journal-wraps", "-b 1024 -J size=1", "", 4},
	{"ext3", "-t ext3", "", 3},
	{"ext3-1k", "-t ext3 -b 1024 -J size=1", "", 3},
	{"data=journal", "", "data=journal", 3},
	{"checksum-v1", "-O ^metadata_csum", "journal_checksum", 3},
	{"checksum-v1-async", "-O ^metadata_csum", "journal_async_commit,data=writeback", 3},
	{"checksum-v3-async", "", "journal_async_commit,data=writeback", 3},
	{"64bit-off", "-O ^64bit", "", 2},
	{"bigalloc", "-O bigalloc -C 16384", "", 3},
	{"inline-ea_inode", "-O inline_data,ea_inode", "", 3},
	{"orphan_file", "-O orphan_file", "", 4},
	{"fast_commit", "-O fast_commit", "", 4},
	{"extent-off", "-O ^extent,^64bit -b 1024", "", 3},
}

// An image taken of a volume under load is read as the kernel has it after its
// own recovery. Fast commits are not replayed: where there are some, nothing is
// said of the volume.
func TestCrashes(t *testing.T) {
	kernel(t)
	testenv.Tool(t, "mkfs.xfs")
	// The image lies on a filesystem that copies a file in one instant.
	under := filepath.Join(t.TempDir(), "under")
	truncate(t, under, 4<<30)
	command(t, "mkfs.xfs", "-q", "-m", "reflink=1", under)
	dir := t.TempDir()
	command(t, "mount", "-o", "loop", under, dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	var all struct{ images, replayed, transactions, blocks, revoked, deleted, truncated int }
	for i, c := range crashes {
		t.Run(c.name, func(t *testing.T) {
			images := crash(t, dir, c.args, c.options, c.images, uint64(i))
			for _, image := range images {
				f := openImage(t, image, Options{})
				j := f.Volume().Journal
				t.Logf("%+v, orphans %+v", j, f.orphans)
				if j.State == JournalFailed && c.name == "fast_commit" {
					kind := ErrUnsupported
					if strings.Contains(j.Err.Error(), "fast commit of the journal fails its checksum") {
						kind = ErrCorrupt // the image was taken while the first of them was written
					}
					if _, err := f.Stat("before"); !errors.Is(err, kind) || !errors.Is(j.Err, kind) {
						t.Errorf("%v, %v", err, j.Err)
					}
					continue
				}
				all.images++
				all.transactions += j.Transactions
				all.blocks += j.Blocks
				all.revoked += j.Revoked
				all.deleted += f.orphans.deleted
				all.truncated += f.orphans.truncated
				if j.State == JournalReplayed {
					all.replayed++
				}
				at, umount := mount(t, copyFile(t, image), "noatime")
				want, got := kernelView(t, at), view(t, f)
				// To finish a truncation counts as a change of the file.
				for _, v := range []map[string]seen{want, got} {
					for path, s := range v {
						if _, ok := f.truncated[uint32(s.Inode)]; ok {
							s.Modified, s.Changed = time.Time{}, time.Time{}
							v[path] = s
						}
					}
				}
				compareViews(t, want, got)
				compareUsage(t, f, at)
				compareTotals(t, f, want)
				umount()
			}
		})
	}
	t.Logf("%+v", all)
	if all.replayed < 20 || all.revoked == 0 || all.deleted == 0 {
		t.Errorf("too little was to be recovered: %+v", all)
	}
}

// crash makes images of a volume that is being written to.
func crash(t *testing.T, dir, args, options string, n int, seed uint64) (images []string) {
	t.Helper()
	image := filepath.Join(dir, "image")
	os.Remove(image)
	truncate(t, image, 96<<20)
	command(t, "mkfs.ext4", append(append([]string{"-q", "-F"}, strings.Fields(args)...), image)...)
	at, umount := mount(t, image, strings.TrimSuffix("commit=300,"+options, ","))
	populateSome(t, at)
	var done sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		done.Go(func() { load(t, filepath.Join(at, fmt.Sprint(w)), seed*2+uint64(w), stop) })
	}
	done.Go(func() { cut(t, filepath.Join(at, "cut"), stop) })
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := range n {
		time.Sleep(time.Duration(300+rnd.IntN(700)) * time.Millisecond)
		clone := filepath.Join(dir, fmt.Sprintf("clone%d", i))
		from, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Create(clone)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
			t.Fatal(err)
		}
		from.Close()
		to.Close()
		images = append(images, clone)
	}
	close(stop)
	done.Wait()
	umount()
	return images
}

// populateSome makes what is there before the load begins.
func populateSome(t *testing.T, dir string) {
	for i := range 30 {
		d := filepath.Join(dir, fmt.Sprintf("before/%d", i))
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for k := range 10 {
			if err := os.WriteFile(filepath.Join(d, fmt.Sprint(k)), bytes.Repeat([]byte{byte(k)}, k*1000), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// cut makes files of many pieces and cuts them off, which takes more than one
// transaction.
func cut(t *testing.T, path string, stop chan struct{}) {
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	for size := int64(1); ; size = (size*7 + 12345) % 20_000_000 {
		select {
		case <-stop:
			return
		default:
		}
		for k := range int64(1500) {
			file.WriteAt([]byte{1}, k*20000)
		}
		file.Sync()
		file.Truncate(size)
	}
}

// load changes a tree in all ways until it is stopped.
func load(t *testing.T, dir string, seed uint64, stop chan struct{}) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Error(err)
		return
	}
	var open []*os.File
	defer func() {
		for _, file := range open {
			file.Close()
		}
	}()
	name := func() string {
		d := filepath.Join(dir, fmt.Sprint(rnd.IntN(8)))
		os.Mkdir(d, 0o755)
		return filepath.Join(d, fmt.Sprintf("file %d", rnd.IntN(60)))
	}
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	// The magic of the journal at the begin of a block has to be escaped there.
	magic := []byte{0xC0, 0x3B, 0x39, 0x98}
	for op := 0; ; op++ {
		select {
		case <-stop:
			return
		default:
		}
		path := name()
		switch rnd.IntN(16) {
		case 0, 1, 2, 3:
			n := rnd.IntN(30000)
			content := bytes.Clone(data[rnd.IntN(1000) : 1000+n])
			if rnd.IntN(3) == 0 {
				copy(content, magic)
			}
			os.WriteFile(path, content, 0o644)
		case 4:
			os.Truncate(path, int64(rnd.IntN(20000)))
		case 5:
			os.Rename(path, name())
		case 6:
			// Deleted while it is open.
			if file, err := os.Open(path); err == nil {
				if open = append(open, file); len(open) > 20 {
					open[0].Close()
					open = open[1:]
				}
			}
			os.Remove(path)
		case 7:
			os.Remove(path)
		case 8:
			d := path + ".d"
			if os.Mkdir(d, 0o755) == nil {
				for k := range rnd.IntN(100) {
					os.Symlink("target", filepath.Join(d, fmt.Sprintf("link with a name %d", k)))
				}
			} else {
				os.RemoveAll(d)
			}
		case 9:
			os.Link(path, name())
		case 10:
			unix.Setxattr(path, fmt.Sprintf("user.%d", rnd.IntN(4)), data[:rnd.IntN(300)], 0)
		case 11:
			os.Chmod(path, os.FileMode(rnd.IntN(0o1000)))
		case 12:
			// Large, and cut off again piece by piece.
			if file, err := os.Create(path + ".large"); err == nil {
				for k := range int64(24) {
					file.WriteAt(data[:100000], k*300000)
				}
				if rnd.IntN(2) == 0 {
					file.Sync()
				}
				file.Truncate(int64(rnd.IntN(3000000)))
				if rnd.IntN(3) == 0 {
					os.Remove(path + ".large")
				}
				if rnd.IntN(2) == 0 {
					open = append(open, file)
				} else {
					file.Close()
				}
			}
		case 13:
			if file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644); err == nil {
				unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, int64(rnd.IntN(200000)))
				file.WriteAt(data[:1+rnd.IntN(5000)], int64(rnd.IntN(100000)))
				unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 4096, int64(1+rnd.IntN(50000)))
				file.Close()
			}
		default:
			if file, err := os.Open(path); err == nil {
				file.Sync()
				file.Close()
			}
		}
	}
}
