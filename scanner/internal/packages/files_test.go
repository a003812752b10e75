package packages

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestFileTable(t *testing.T) {
	var table fileTable
	for i, paths := range [][]string{
		{"/", "/usr", "/usr/bin", "/usr/bin/b", "/usr/bin/a"},
		{"/.", "/usr/", "/usr-x/a", "/usr/bin/ab", "relative", "/usr//double", "/usr/lib//"},
		{},
		{"/usr/bin/a", "/usr/bin/a"},
	} {
		for _, path := range paths {
			if err := table.add(i, []byte(path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	table.finish([]uint32{3, 2, 1, 0}) // the other way round
	for pkg, want := range []string{
		"/usr/bin/a /usr/bin/a", "", "relative / /usr /usr-x/a /usr/lib /usr//double /usr/bin/ab",
		"/ /usr /usr/bin /usr/bin/a /usr/bin/b",
	} {
		if got := strings.Join(table.of(pkg), " "); got != want {
			t.Errorf("package %d: %q, want %q", pkg, got, want)
		}
	}
	for path, want := range map[string][]uint32{
		"/": {2, 3}, "/usr": {2, 3}, "/usr/": {2, 3}, "/usr/bin/a": {0, 3}, "/usr/bin/ab": {2}, "/usr/bin/abc": nil,
		"/usr/bin/": {3}, "/us": nil, "/relative": nil, "/usr//double": {2}, "/usr/double": nil, "/usr/lib": {2},
		"/usr/lib//": {2},
	} {
		if got := table.owners(path); !slices.Equal(got, want) {
			t.Errorf("owners of %s: %d, want %d", path, got, want)
		}
	}
	for dir, want := range map[string]string{
		"/usr":   "/usr//double /usr/bin /usr/bin/a /usr/bin/a /usr/bin/a /usr/bin/ab /usr/bin/b /usr/lib",
		"/usr/b": "",
		"/":      "/usr /usr /usr-x/a /usr//double /usr/bin /usr/bin/a /usr/bin/a /usr/bin/a /usr/bin/ab /usr/bin/b /usr/lib",
	} {
		var got []string
		for path := range table.under(dir) {
			got = append(got, path)
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); !slices.Equal(got, sorted(strings.Fields(want))) {
			t.Errorf("under %s: %q, want %q", dir, s, want)
		}
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

func TestFileLimits(t *testing.T) {
	var table fileTable
	for i := range maxFiles {
		if err := table.addIn(0, 0, nil); err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
	}
	if err := table.addIn(0, 0, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a file too many: %v", err)
	}

	table = fileTable{}
	for i := range maxDirs {
		if _, err := table.dir(fmt.Appendf(nil, "/%d/", i)); err != nil {
			t.Fatalf("directory %d: %v", i, err)
		}
	}
	if _, err := table.dir([]byte("/0/")); err != nil {
		t.Errorf("a known directory: %v", err)
	}
	if err := table.add(0, []byte("/new/file")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a directory too many: %v", err)
	}

	table = fileTable{}
	half := make([]byte, maxNames/2)
	for _, n := range []int{len(half) - 1, len(half) - 1} { // and a NUL each
		if err := table.addIn(0, 0, half[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.addIn(0, 0, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a byte of names too many: %v", err)
	}
	table = fileTable{}
	for i := range 2 {
		half[0] = byte(i)
		if _, err := table.dir(half); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.dir([]byte("/")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a byte of directories too many: %v", err)
	}
}

// 200,000 files in 20,000 directories take what the package comment says.
func TestFileTableIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := bigTable(t)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 10<<20 {
		t.Errorf("%d bytes", used)
	}
	if got := table.owners("/usr/share/package/dir12345/file-12344.ext"); !slices.Equal(got, []uint32{344}) {
		t.Errorf("owners: %d", got)
	}
}

func bigTable(t testing.TB) *fileTable {
	table := &fileTable{}
	const packages = 2000
	for i := range 200_000 {
		if err := table.add(i%packages, fmt.Appendf(nil, "/usr/share/package/dir%d/file-%d.ext", i%20_000+1, i)); err != nil {
			t.Fatal(err)
		}
	}
	index := make([]uint32, packages)
	for i := range index {
		index[i] = uint32(i)
	}
	table.finish(index)
	return table
}
