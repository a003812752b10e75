package xfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
	{"log-wraps", "-l size=10m", "", 4},
	{"1k-log-wraps", "-b size=1024 -l size=5m", "", 4},
	{"rmapbt", "-m rmapbt=1", "", 4},
	{"nrext64-1k-directories-16k", "-b size=1024 -n size=16384 -i nrext64=1", "", 3},
	{"small-records", "-l size=10m", "logbsize=16k,logbufs=8", 3},
	{"large-records", "-l size=20m", "logbsize=256k", 3},
	{"log-stripes", "-l su=32k", "", 3},
	{"reflink-off", "-m reflink=0", "", 3},
	{"bare", "-m finobt=0,inobtcount=0,reflink=0,bigtime=0 -i sparse=0", "", 3},
	{"16k", "-b size=16384", "", 2},
	{"sectors-4k", "-s size=4096 -l sectsize=4096", "", 2},
	{"v4", "-m crc=0", "", 3},
	{"v4-512-ftype-off", "-m crc=0 -b size=512 -n ftype=0", "", 3},
	{"v4-log-1", "-m crc=0 -l version=1", "", 3},
}

// An image taken of a volume under load is read as the kernel has it after its
// own recovery, but for what a change concerns that the log does not end.
func TestCrashes(t *testing.T) {
	kernel(t)
	// The image lies on a filesystem that copies a file in one instant.
	under := filepath.Join(t.TempDir(), "under")
	truncate(t, under, 8<<30)
	command(t, "mkfs.xfs", "-q", "-m", "reflink=1", under)
	dir := t.TempDir()
	command(t, "mount", "-o", "loop", under, dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	var all struct {
		Images, Replayed, Same, Undetermined int
		Journal
	}
	list := slices.Clone(crashes)
	if !testenv.Nightly() {
		list = list[:1]
		list[0].images = 1
	}
	for i, c := range list {
		t.Run(c.name, func(t *testing.T) {
			images := crash(t, dir, c.args, c.options, c.images, uint64(i))
			for _, image := range images {
				f := openImage(t, image, Options{})
				log := f.Volume().Journal
				t.Logf("%+v", log)
				all.Images++
				all.Transactions += log.Transactions
				all.Blocks += log.Blocks
				all.Inodes += log.Inodes
				all.Newer += log.Newer
				all.Cancelled += log.Cancelled
				all.Unfinished = append(all.Unfinished, log.Unfinished...)
				if log.State == JournalReplayed {
					all.Replayed++
				}
				at, umount := mount(t, copyFile(t, image), "noatime")
				var st unix.Statfs_t
				if err := unix.Statfs(at, &st); err != nil { // before files are read, which may give back their reserve
					t.Fatal(err)
				}
				want, got := kernelView(t, at), view(t, f)
				undetermined := 0
				for path, s := range got {
					if s.Err != "" && strings.Contains(s.Err, "not finished") {
						undetermined++
						got[path] = want[path]
					}
				}
				compareViews(t, want, got)
				switch _, err := f.Usage(); {
				case f.unfinished == nil:
					compareStatfs(t, f, &st)
				case !errors.Is(err, ErrUnsupported):
					t.Errorf("usage: %v", err)
				default:
					t.Log(err)
					undetermined++
				}
				if undetermined == 0 {
					compareTotals(t, f, want)
					all.Same++
				} else {
					all.Undetermined++
				}
				umount()
			}
		})
	}
	t.Logf("%+v", all)
	if all.Replayed == 0 || all.Inodes == 0 || all.Blocks == 0 {
		t.Errorf("too little was to be recovered: %+v", all)
	}
}

// crash makes images of a volume that is being written to.
func crash(t *testing.T, dir, args, options string, n int, seed uint64) (images []string) {
	t.Helper()
	image := filepath.Join(dir, "image")
	os.Remove(image)
	truncate(t, image, 300<<20)
	command(t, "mkfs.xfs", append(append([]string{"-q", "-f", "--unsupported"}, strings.Fields(args)...), image)...)
	at, umount, err := tryMount(t, image, options)
	if err != nil && strings.Contains(args, "crc=0") {
		t.Skipf("the kernel does not mount version 4: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
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
	for op := 0; ; op++ {
		select {
		case <-stop:
			return
		default:
		}
		path := name()
		switch rnd.IntN(18) {
		case 0, 1, 2, 3:
			n := rnd.IntN(30000)
			content := bytes.Clone(data[rnd.IntN(1000) : 1000+n])
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
		case 14, 15:
			// Shared blocks, and copies on write of some of them.
			if from, err := os.Open(path); err == nil {
				if to, err := os.OpenFile(name(), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
					unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
					to.WriteAt(data[:1+rnd.IntN(9000)], int64(rnd.IntN(20000)))
					to.Close()
				}
				from.Close()
			}
		default:
			if file, err := os.Open(path); err == nil {
				file.Sync()
				file.Close()
			}
		}
	}
}
