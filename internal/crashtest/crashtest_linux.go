// Package crashtest takes images of a volume while it is being written to, as
// they would be after a crash.
package crashtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// Load is the write load on a volume while images of it are taken.
type Load struct {
	// Magic begins some of the files. A journal must not take it for its own.
	Magic []byte
	// Clones has files share blocks, which the filesystem must be able to do.
	Clones bool
	Seed   uint64
}

// Dir returns a folder in which Take can copy images: one of a filesystem that
// copies a file at one instant. Its size in bytes is the most that fits.
func Dir(t testing.TB, size int64) string {
	t.Helper()
	testenv.Root(t)
	testenv.Tool(t, "losetup", "mount", "umount", "mkfs.xfs")
	under := filepath.Join(testenv.ImageDir(t), "under")
	if err := os.WriteFile(under, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(under, size); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run(t, "mkfs.xfs", "-q", "-m", "reflink=1", under)
	run(t, "mount", "-o", "loop", under, dir)
	t.Cleanup(func() { testenv.Unmount(t, dir) })
	return dir
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, bytes.TrimSpace(out))
	}
}

// Take puts a volume, mounted at a folder, under load and copies its image n
// times. Each copy comes after a number of operations that the seed decides, and
// has something to recover: a transaction, blocks that were freed, and a file
// that was deleted while it was open. The image is in a folder that Dir made.
func Take(t testing.TB, image, mounted string, n int, l Load) (copies []string) {
	t.Helper()
	Populate(t, mounted)
	w := &writers{stop: make(chan struct{})}
	w.more.L = &w.mu
	for i := range uint64(2) {
		w.running.Go(func() { w.change(t, filepath.Join(mounted, fmt.Sprint(i)), l, l.Seed*2+i) })
	}
	w.running.Go(func() { w.cut(t, filepath.Join(mounted, "cut")) })
	defer func() {
		close(w.stop)
		w.running.Wait()
	}()
	rnd := rand.New(rand.NewPCG(l.Seed, 2))
	for i := range n {
		w.wait(200 + rnd.IntN(500))
		open := unfinished(t, filepath.Join(mounted, fmt.Sprintf("unfinished %d", i)))
		defer open.Close()
		w.wait(rnd.IntN(20))
		to := fmt.Sprintf("%s.%d", image, i)
		reflink(t, image, to)
		copies = append(copies, to)
	}
	return copies
}

// Populate makes three hundred files in thirty folders.
func Populate(t testing.TB, dir string) {
	t.Helper()
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

// unfinished makes a folder of several blocks, deletes it, and leaves an open
// file that has no name anymore. All of that is in the journal.
func unfinished(t testing.TB, dir string) *os.File {
	t.Helper()
	sync := func() {
		d, err := os.Open(filepath.Dir(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if err := unix.Syncfs(int(d.Fd())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for k := range 300 {
		if err := os.Symlink("target", filepath.Join(dir, fmt.Sprintf("link with a name %d", k))); err != nil {
			t.Fatal(err)
		}
	}
	open, err := os.Create(dir + " file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Write(make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	sync()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(open.Name()); err != nil {
		t.Fatal(err)
	}
	sync()
	return open
}

func reflink(t testing.TB, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := unix.IoctlFileClone(int(g.Fd()), int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

// writers change a volume until they are stopped.
type writers struct {
	running sync.WaitGroup
	stop    chan struct{}

	mu   sync.Mutex
	more sync.Cond // operations is another
	// operations is how many were done.
	operations int
}

// wait waits until so many operations more were done.
func (w *writers) wait(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for until := w.operations + n; w.operations < until; {
		w.more.Wait()
	}
}

// next counts an operation, and reports whether there is another.
func (w *writers) next() bool {
	w.mu.Lock()
	w.operations++
	w.mu.Unlock()
	w.more.Broadcast()
	select {
	case <-w.stop:
		return false
	default:
		return true
	}
}

// cut makes files of many pieces and truncates them, which takes more than one
// transaction.
func (w *writers) cut(t testing.TB, path string) {
	file, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	for size := int64(1); w.next(); size = (size*7 + 12345) % 20_000_000 {
		for k := range int64(1500) {
			file.WriteAt([]byte{1}, k*20000)
		}
		file.Sync()
		file.Truncate(size)
	}
}

// change changes a tree in every way.
func (w *writers) change(t testing.TB, dir string, l Load, seed uint64) {
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
	kinds := 16
	if l.Clones {
		kinds = 18
	}
	for w.next() {
		path := name()
		switch rnd.IntN(kinds) {
		case 0, 1, 2, 3:
			n := rnd.IntN(30000)
			content := bytes.Clone(data[rnd.IntN(1000) : 1000+n])
			if rnd.IntN(3) == 0 {
				copy(content, l.Magic)
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
			// Large, and truncated piece by piece.
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
			if file, err := os.Open(path); err == nil {
				file.Sync()
				file.Close()
			}
		default:
			// Shared blocks, and copies on write of some of them.
			if from, err := os.Open(path); err == nil {
				if to, err := os.OpenFile(name(), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
					unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
					to.WriteAt(data[:1+rnd.IntN(9000)], int64(rnd.IntN(20000)))
					to.Close()
				}
				from.Close()
			}
		}
	}
}
