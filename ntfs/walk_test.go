package ntfs

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// walked returns the paths that a Walk comes by, sorted, and the number of
// what it could not show.
func walked(t *testing.T, f *FS, name string) ([]string, int64) {
	t.Helper()
	var paths []string
	damaged, err := f.Walk(name, func(path []byte, e *Entry) error {
		p := string(path)
		if e.Dir {
			p += "/"
		}
		paths = append(paths, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths, damaged
}

// TestWalk compares with what ReadDir shows, folder by folder.
func TestWalk(t *testing.T) {
	f := small(t).f
	for _, start := range []string{".", "links", "many"} {
		var want []string
		err := fs.WalkDir(f, start, func(name string, d fs.DirEntry, err error) error {
			if err != nil || name == start {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			name = strings.TrimPrefix(strings.TrimPrefix(name, start), "/")
			if info.Sys().(*Entry).Dir {
				name += "/"
			}
			want = append(want, name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		if got, damaged := walked(t, f, start); !slices.Equal(got, want) || damaged != 0 || len(got) == 0 {
			t.Errorf("%s: %d paths, %d damaged; want %d", start, len(got), damaged, len(want))
		}
	}
	if paths, _ := walked(t, f, "text"); len(paths) != 0 {
		t.Errorf("a file: %q", paths)
	}
	if _, err := f.Walk("none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that is not there: %v", err)
	}
	enough := errors.New("enough")
	if _, err := f.Walk(".", func([]byte, *Entry) error { return enough }); err != enough {
		t.Errorf("the caller's error became %v", err)
	}
}

// TestWalkRecords comes by the same files where every directory's index is whole.
func TestWalkRecords(t *testing.T) {
	f := small(t).f
	for _, start := range []string{".", "links", "many"} {
		want, _ := walked(t, f, start)
		var got []string
		damaged, err := f.WalkRecords(start, func(path []byte, e *Entry) error {
			p := string(path)
			if e.Dir {
				p += "/"
			}
			got = append(got, p)
			return nil
		})
		slices.Sort(got)
		if !slices.Equal(got, want) || damaged != 0 || err != nil || len(got) == 0 {
			t.Errorf("%s: %d paths, %d damaged, %v; want %d", start, len(got), damaged, err, len(want))
		}
	}
	if _, err := f.WalkRecords("none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that is not there: %v", err)
	}
}

// TestWalkDamage walks past what a torn record hides.
func TestWalkDamage(t *testing.T) {
	e := small(t)
	whole, _ := walked(t, e.f, ".")
	e.tear(e.number("links/first"))
	unread := 0
	damaged, err := e.open().Walk(".", func(_ []byte, e *Entry) error {
		if errors.Is(e.Doubt, ErrCorrupt) && !errors.Is(e.Doubt, ErrInDoubt) {
			unread++
		}
		return nil
	})
	if err != nil || damaged != 0 || unread == 0 || unread >= len(whole) {
		t.Errorf("%d of %d paths in doubt, %d damaged, %v", unread, len(whole), damaged, err)
	}
}

// TestWalkLoop makes sure that directories which are their own ancestors are
// met once.
func TestWalkLoop(t *testing.T) {
	var b builder
	a := b.add(file{name: "a", parent: recordRoot, dir: true})
	c := b.add(file{name: "b", parent: a, dir: true})
	b.files[a].more = []link{{name: "again", parent: c}}
	if got, _ := walked(t, b.open(t), "."); !slices.Equal(got, []string{"a/", "a/b/"}) {
		t.Errorf("%q", got)
	}
}

// TestWalkDepth goes to paths below, at and above the longest.
func TestWalkDepth(t *testing.T) {
	for _, c := range []struct {
		length int // of the last name
		want   error
	}{{252, nil}, {253, nil}, {254, ErrCorrupt}} {
		var b builder
		parent, length := recordRoot, -1
		for range 128 {
			parent = b.add(file{name: strings.Repeat("€", 255), parent: parent, dir: true})
			length += 1 + 3*255
		}
		b.add(file{name: strings.Repeat("x", c.length), parent: parent, dir: true})
		longest := 0
		_, err := b.open(t).Walk(".", func(path []byte, _ *Entry) error {
			longest = max(longest, len(path))
			return nil
		})
		if !errors.Is(err, c.want) || c.want == nil && longest != length+1+c.length || longest > maxPathBytes {
			t.Errorf("%d bytes: %v", longest, err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	f := small(b).f
	for b.Loop() {
		if _, err := f.Walk(".", func([]byte, *Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
