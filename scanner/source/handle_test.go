package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// openedIn returns how many files of a folder this process has open.
func openedIn(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && filepath.Dir(target) == dir {
			n++
		}
	}
	return n
}

// TestManyParts: few of many parts are open to the system at a time, and all can be read by several at once.
func TestManyParts(t *testing.T) {
	t.Parallel()
	const parts = 2*maxShared + 10
	files := map[string]string{"first": "first"}
	for n := range parts {
		files[fmt.Sprint(n)] = fmt.Sprintf("content %03d", n)
	}
	dir, err := filepath.EvalSymlinks(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	first, err := Open(t.Context(), filepath.Join(dir, "first"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	var all []*Source
	for n := range parts {
		s, err := first.Beside(t.Context(), fmt.Sprint(n))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		all = append(all, s)
	}
	if n := openedIn(t, dir); n > maxShared+1 {
		t.Errorf("%d files are open", n)
	}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 2 * parts {
				n := (i*7 + worker*31) % parts
				p := make([]byte, 11)
				if _, err := all[n].ReadAt(p, 0); err != nil || string(p) != files[fmt.Sprint(n)] {
					t.Errorf("%d: %q, %v", n, p, err)
				}
				if err := all[n].Changed(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := openedIn(t, dir); n > maxShared+1 {
		t.Errorf("%d files are open", n)
	}
	for _, s := range all {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := all[0].ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := all[0].f().use(func(*os.File) error { return nil }); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close, the file: %v", err)
	}
	if n := openedIn(t, dir); n != 1 {
		t.Errorf("%d files are open at the end", n)
	}
}

// f is the handle of a source that is a file.
func (s *Source) f() *handle { return s.place.(*file).f }

// park closes the file of a part until it is used.
func park(t *testing.T, s *Source) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	h := s.f()
	if h.f == nil {
		return
	}
	shared.order.Remove(h.listed)
	if err := h.f.Close(); err != nil {
		t.Error(err)
	}
	h.f, h.listed = nil, nil
}

// TestReopened: a part that is opened again is still the same file, or cannot be read.
func TestReopened(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(path string) error
		read   error // of reading; nil if the content stays
		stays  bool  // no change is known
	}{
		{name: "nothing", change: func(string) error { return nil }, stays: true},
		{name: "written", change: func(path string) error {
			return os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))
		}},
		{name: "grown", change: func(path string) error { return os.WriteFile(path, []byte("content and more"), 0o600) }},
		{name: "removed", change: os.Remove, read: fs.ErrNotExist},
		{name: "replaced", change: func(path string) error {
			if err := os.WriteFile(path+".new", []byte("strange"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, read: ErrIO},
		{name: "replaced by a link", change: func(path string) error {
			return errors.Join(os.Remove(path), os.Symlink("first", path))
		}, read: ErrIO},
		{name: "replaced by a folder", change: func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o777))
		}, read: fs.ErrInvalid},
	} {
		dir := folder(t, map[string]string{"first": "first..", "part": "content"})
		first, err := Open(t.Context(), filepath.Join(dir, "first"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		part, err := first.Beside(t.Context(), "part")
		if err != nil {
			t.Fatal(err)
		}
		defer part.Close()
		park(t, part)
		if err := tt.change(filepath.Join(dir, "part")); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 7)
		_, err = part.ReadAt(p, 0)
		if tt.read == nil && (err != nil || string(p) != "content") {
			t.Errorf("%s: %q, %v", tt.name, p, err)
		}
		if tt.read != nil && (!errors.Is(err, tt.read) || !errors.Is(err, ErrIO) || !strings.Contains(err.Error(), "part")) {
			t.Errorf("%s: %q, %v, want %v", tt.name, p, err, tt.read)
		}
		park(t, part)
		if err := part.Changed(); (err == nil) != tt.stays {
			t.Errorf("%s: changed: %v", tt.name, err)
		}
		if part.Size() != 7 {
			t.Errorf("%s: %d bytes", tt.name, part.Size())
		}
		park(t, part)
		if err := part.Close(); err != nil {
			t.Errorf("%s: closing: %v", tt.name, err)
		}
		if err := part.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: closing again: %v", tt.name, err)
		}
	}
}

// TestNeighbors: the other files of the folder, of no more than so many names.
func TestNeighbors(t *testing.T) {
	t.Parallel()
	files := map[string]string{"disk.img": "", "sub/below": "", "other/disk.img": ""}
	var want []string
	for n := range 20 {
		name := fmt.Sprintf("near%02d", n)
		files[name], want = "", append(want, name)
	}
	dir := folder(t, files)
	if err := os.Symlink("near00", filepath.Join(dir, "link")); err == nil {
		want = append([]string{"link"}, want...)
	}
	all := len(want) + 3 // with the file itself and two folders
	first, err := Open(t.Context(), filepath.Join(dir, "disk.img"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for _, most := range []int{all + 1, all} {
		if got, more, err := first.Neighbors(t.Context(), most); err != nil || more || !slices.Equal(got, want) {
			t.Errorf("at most %d: %q, %t, %v; want %q", most, got, more, err, want)
		}
	}
	for most := range all {
		got, more, err := first.Neighbors(t.Context(), most)
		if err != nil || more != (most > 0) || len(got) > most || len(got) < most-3 || !slices.IsSorted(got) {
			t.Errorf("at most %d: %q, %t, %v", most, got, more, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := first.Neighbors(ended, all); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
	memory := NewReader(t.Context(), "disk.img", strings.NewReader("content"), 7)
	section, err := first.Section("member", 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Source{memory, section} {
		if got, more, err := s.Neighbors(t.Context(), all); got != nil || more || err != nil {
			t.Errorf("of %s: %q, %t, %v", s.Name(), got, more, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Skip("needs a system that removes open files: ", err)
	}
	if _, _, err := first.Neighbors(t.Context(), all); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a folder that is gone: %v", err)
	}
}
