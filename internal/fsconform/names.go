package fsconform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

// checkRules runs testing/fstest on a volume, without names that cannot be
// opened, which it would report as errors.
func checkRules(t *testing.T, s System) {
	v := openable{s.open(t, s.Image(t)), map[string]bool{}}
	var files []string
	for _, p := range paths(t, v) {
		if info, err := fs.Stat(v, p); err == nil && info.Mode().IsRegular() {
			files = append(files, p)
		}
	}
	if err := fstest.TestFS(v, files...); err != nil {
		t.Error(err)
	}
}

// openable is a volume without the names that cannot be opened.
type openable struct {
	Volume
	tried map[string]bool // by name, whether it can be opened and read
}

func (o openable) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := o.Volume.ReadDir(name)
	var keep []fs.DirEntry
	for _, e := range list {
		if o.opensOnce(path.Join(name, e.Name())) {
			keep = append(keep, e)
		}
	}
	return keep, err
}

// opensOnce reads a file for the first of its many listings only.
func (o openable) opensOnce(name string) bool {
	opens, ok := o.tried[name]
	if !ok {
		opens = o.opens(name)
		o.tried[name] = opens
	}
	return opens
}

func (o openable) opens(name string) bool {
	f, err := o.Volume.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err == nil
	}
	_, err = io.Copy(io.Discard, f)
	return err == nil
}

func (o openable) Open(name string) (fs.File, error) {
	f, err := o.Volume.Open(name)
	if d, ok := f.(fs.ReadDirFile); ok && err == nil {
		return &openableDir{ReadDirFile: d, o: o, name: name}, nil
	}
	return f, err
}

type openableDir struct {
	fs.ReadDirFile
	o    openable
	name string
	list []fs.DirEntry
	read bool
}

func (d *openableDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		var err error
		if d.list, err = d.o.ReadDir(d.name); err != nil {
			return nil, err
		}
		d.read = true
	}
	if n <= 0 || n > len(d.list) {
		if n > 0 && len(d.list) == 0 {
			return nil, io.EOF
		}
		n = len(d.list)
	}
	list := d.list[:n]
	d.list = d.list[n:]
	return list, nil
}

// checkNames compares each entry of a listing with a look-up of its name.
func checkNames(t *testing.T, s System) {
	v := s.open(t, s.Image(t))
	links, dirs := 0, 0
	for _, dir := range paths(t, v) {
		if info, err := v.Lstat(dir); err != nil || !info.IsDir() {
			continue
		}
		list, err := v.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		dirs++
		for i, e := range list {
			if i > 0 && list[i-1].Name() >= e.Name() {
				t.Errorf("%s: %q does not come before %q", dir, list[i-1].Name(), e.Name())
			}
			name := path.Join(dir, e.Name())
			listed, err := e.Info()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			looked, err := v.Lstat(name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			a, b := shown(v, listed), shown(v, looked)
			if a != b || e.Type() != looked.Mode().Type() || e.IsDir() != looked.IsDir() {
				t.Errorf("%s: %s in the listing, %s by its name", name, a, b)
			}
			if e.Type()&fs.ModeSymlink != 0 {
				links++
				if target, err := v.ReadLink(name); err != nil && !refused(err) || err == nil && target == "" {
					t.Errorf("%s says %q: %v", name, target, err)
				}
			} else if _, err := v.ReadLink(name); err == nil && looked.Mode()&fs.ModeIrregular == 0 {
				t.Errorf("%s is no link and says something", name)
			}
		}
	}
	if links == 0 || dirs < 3 {
		t.Errorf("%d symbolic links, %d folders: too few for this check", links, dirs)
	}
}

func shown(v Volume, info fs.FileInfo) string {
	return fmt.Sprintf("%s %d %v %d %v", info.Name(), v.Number(info), info.Mode(), info.Size(), info.ModTime())
}

// checkAbsent looks up names that do not exist or are invalid.
func checkAbsent(t *testing.T, s System) {
	v := s.open(t, s.Image(t))
	var file, dir string
	for _, p := range paths(t, v) {
		info, err := v.Lstat(p)
		switch {
		case err != nil:
			t.Fatal(err)
		case info.Mode().IsRegular():
			file = p
		case info.IsDir() && p != ".":
			dir = p
		}
	}
	ask := func(name string) map[string]error {
		_, stat := v.Stat(name)
		_, lstat := v.Lstat(name)
		_, open := v.Open(name)
		_, read := v.ReadFile(name)
		_, list := v.ReadDir(name)
		_, link := v.ReadLink(name)
		_, _, at := v.Locate(name)
		_, _, _, tree := v.Totals(name)
		return map[string]error{
			"Stat": stat, "Lstat": lstat, "Open": open, "ReadFile": read,
			"ReadDir": list, "ReadLink": link, "Locate": at, "Totals": tree,
		}
	}
	expect := func(name string, want error) {
		t.Helper()
		for op, err := range ask(name) {
			var pe *fs.PathError
			if !errors.Is(err, want) || !errors.As(err, &pe) || pe.Path != name {
				t.Errorf("%s of %.40q: %v, want %v with the path", op, name, err, want)
			}
		}
	}
	for _, name := range []string{
		"no such file", dir + "/no such file", file + "/below", "no/such/folder", strings.Repeat("n", bytename.Max),
	} {
		expect(name, fs.ErrNotExist)
	}
	for _, name := range []string{"", "/", "/" + dir, dir + "/", "../" + dir, "./" + dir, dir + "//x"} {
		expect(name, fs.ErrInvalid)
	}
	for _, name := range []string{
		strings.Repeat("n", bytename.Max+1), strings.Repeat("deep/", 2000) + "x", "a\x00b", "\xFF", dir + "/\xFF",
	} {
		for op, err := range ask(name) {
			if err == nil {
				t.Errorf("%s of %.40q: no error", op, name)
			}
		}
	}
	if _, err := v.ReadFile(dir); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a folder was read: %v", err)
	}
	if _, err := v.ReadDir(file); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a file was listed: %v", err)
	}
}

// checkFiles reads each file in the ways that checkRules does not, which runs
// iotest.TestReader on each.
func checkFiles(t *testing.T, s System) {
	v := s.open(t, s.Image(t))
	files, large := 0, 0
	for _, p := range paths(t, v) {
		if info, err := v.Lstat(p); err != nil || !info.Mode().IsRegular() {
			continue
		}
		want, err := v.ReadFile(p)
		if refused(err) {
			continue
		}
		if broken := slices.Contains(s.Broken, p); err != nil || broken {
			if !broken || !known(err) {
				t.Errorf("%s: %v", p, err)
			}
			continue
		}
		files++
		if len(want) > 1<<16 {
			large++
		}
		checkFile(t, v, p, want)
	}
	if files < 5 || large == 0 {
		t.Errorf("%d files, %d of them large: too few for this check", files, large)
	}
}

func checkFile(t *testing.T, v Volume, p string, want []byte) {
	t.Helper()
	opened, err := v.Open(p)
	if err != nil {
		t.Errorf("%s: %v", p, err)
		return
	}
	f, ok := opened.(File)
	if !ok {
		t.Fatalf("%s: a %T lacks something", p, opened)
	}
	if f.Size() != int64(len(want)) {
		t.Errorf("%s: %d bytes, %d were read", p, f.Size(), len(want))
	}
	size := int64(len(want))
	for _, off := range []int64{0, 1, size / 3, size/2 - 1, size - 1} {
		for _, n := range []int64{1, 511, 4097, size} {
			if off < 0 || off+n > size {
				continue
			}
			b := make([]byte, n)
			if k, err := f.ReadAt(b, off); int64(k) != n || err != nil && err != io.EOF ||
				!bytes.Equal(b, want[off:off+n]) {
				t.Errorf("%s: %d bytes at %d are not those of the file: %v", p, n, off, err)
			}
		}
	}
	b := make([]byte, 8)
	if n, err := f.ReadAt(b, size); n != 0 || err != io.EOF {
		t.Errorf("%s: behind its end %d bytes, %v", p, n, err)
	}
	if n, err := f.ReadAt(b, -1); n != 0 || err == nil {
		t.Errorf("%s: before its beginning %d bytes, %v", p, n, err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("%s: %v", p, err)
	}
	if _, err := f.Read(b); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%s: read after it was closed: %v", p, err)
	}
}

// checkConcurrent has several goroutines read all names and files of a volume
// that none has read before.
func checkConcurrent(t *testing.T, s System) {
	image := s.Image(t)
	names := paths(t, s.open(t, image))
	v := s.open(t, image)
	digests := make([]string, 8)
	var group sync.WaitGroup
	for i := range digests {
		group.Go(func() {
			var b strings.Builder
			for k := range names {
				p := names[(k*7919+i*len(names)/len(digests))%len(names)]
				d, err := describe(v, p)
				data, failed := v.ReadFile(p)
				fmt.Fprintf(&b, "%s %v %x %v\n", d, err, sum(data), failed)
			}
			lines := strings.SplitAfter(b.String(), "\n")
			digests[i] = sorted(lines)
		})
	}
	group.Wait()
	for i, d := range digests[1:] {
		if d != digests[0] {
			t.Errorf("the reader %d saw another volume", i+1)
		}
	}
}

// checkTotals compares the totals with those of a walk.
func checkTotals(t *testing.T, s System) {
	v := s.open(t, s.Image(t))
	met := map[uint64]bool{}
	var files, size int64
	for _, p := range paths(t, v) {
		info, err := v.Lstat(p)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Counts(info) || met[v.Number(info)] {
			continue
		}
		met[v.Number(info)] = true
		files++
		if info.Mode().IsRegular() || info.Mode()&fs.ModeIrregular != 0 {
			size += info.Size()
		}
	}
	gotFiles, gotSize, damaged, err := v.Totals(".")
	if err != nil || damaged != 0 || gotFiles != files || gotSize != size {
		t.Errorf("%d files of %d bytes, %d damaged (%v); a walk met %d of %d bytes",
			gotFiles, gotSize, damaged, err, files, size)
	}
	if _, err := v.Pending(); err != nil {
		t.Error(err)
	}
}
