package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// rpmRoot is a filesystem with one database.
func rpmRoot(path string, data []byte) fstest.MapFS {
	return fstest.MapFS{path: {Data: data, Mode: 0o644}}
}

func TestRPM(t *testing.T) {
	for _, tt := range []struct {
		file string
		kind Kind
		path string
	}{
		{"Packages-1234-512.gz", RPMBDB, "var/lib/rpm/Packages"},
		{"Packages-1234-4096.gz", RPMBDB, "var/lib/rpm/Packages"},
		{"Packages-1234-1024-summed.gz", RPMBDB, "usr/lib/sysimage/rpm/Packages"},
		{"Packages-4321-512.gz", RPMBDB, "var/lib/rpm/Packages"},
		{"Packages-4321-4096.gz", RPMBDB, "var/lib/rpm/Packages"},
		{"Packages-4321-1024-summed.gz", RPMBDB, "usr/lib/sysimage/rpm/Packages"},
		{"Packages.db.gz", RPMNDB, "usr/lib/sysimage/rpm/Packages.db"},
		{"rpmdb.sqlite.gz", RPMSQLite, "var/lib/rpm/rpmdb.sqlite"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			db, err := Open(t.Context(), rpmRoot(tt.path, testdata(t, tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			if db.Kind() != tt.kind || db.Path() != tt.path || len(db.Notes()) != 0 {
				t.Errorf("%s at %s, %q", db.Kind(), db.Path(), db.Notes())
			}
			compareWithRPM(t, db, "rpm")
		})
	}
}

// compareWithRPM compares a database with the output of rpm.
func compareWithRPM(t *testing.T, db *Database, name string) {
	t.Helper()
	if diff := cmp.Diff(string(testdata(t, name+".packages")), packageLines(db)); diff != "" {
		t.Errorf("packages (- rpm, + here):\n%s", diff)
	}
	if diff := cmp.Diff(string(testdata(t, name+".files")), fileLines(t, db)); diff != "" {
		t.Errorf("files (- rpm, + here):\n%s", diff)
	}
}

// The last installation is only in the write-ahead log.
func TestSQLiteWithLog(t *testing.T) {
	root := rpmRoot("var/lib/rpm/rpmdb.sqlite", testdata(t, "rpmdb.sqlite.gz"))
	root = with(root, "var/lib/rpm/rpmdb.sqlite-wal", testdata(t, "rpmdb.sqlite-wal.gz"))
	db, err := Open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	compareWithRPM(t, db, "rpm-wal")
	if notes := db.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "write-ahead log") {
		t.Errorf("notes: %q", notes)
	}
}

func TestQueries(t *testing.T) {
	db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages", testdata(t, "Packages-1234-512.gz")))
	if err != nil {
		t.Fatal(err)
	}
	all, err := db.Packages()
	if err != nil || len(all) != 8 ||
		!slices.IsSortedFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("packages: %v, %v", all, err)
	}
	kernels, err := db.Find("kernel")
	if err != nil || len(kernels) != 2 || kernels[0].EVR() != "5.10.1-1" || kernels[1].EVR() != "5.10.2-1" ||
		!kernels[0].IsInstalled() {
		t.Errorf("kernels: %v, %v", kernels, err)
	}
	if beta, err := db.Find("beta"); err != nil || len(beta) != 1 || beta[0].EVR() != "2:2.10.3-20.amzn2.0.1" {
		t.Errorf("beta: %v, %v", beta, err)
	}
	for _, name := range []string{"", "a", "kerne", "kernels", "zeta", "epsilon"} {
		if p, err := db.Find(name); err != nil || len(p) != 0 {
			t.Errorf("Find(%q): %v, %v", name, p, err)
		}
	}

	for path, want := range map[string]string{
		"/usr/share/doc/libdelta/README":          "libdelta.i686 libdelta.x86_64",
		"usr/share/doc/libdelta/README":           "libdelta.i686 libdelta.x86_64",
		"/usr/share/beta/part3/file-number-3-ä":   "beta.noarch",
		"/usr/share/beta":                         "beta.noarch",
		"/usr/share/beta/":                        "beta.noarch",
		"/usr/share/beta/part3":                   "",
		"/usr/share/beta/part3/file-number-3":     "",
		"/usr/share/beta/part3/file-number-3-ä/a": "",
		"/":                "",
		".":                "",
		"":                 "",
		"/usr/share/omega": "",
		"/nowhere/at all":  "",
	} {
		owners, err := db.Owners(path)
		var names []string
		for _, p := range owners {
			names = append(names, p.Name+"."+p.Arch)
		}
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("Owners(%q): %q, want %q; %v", path, got, want, err)
		}
	}

	for dir, want := range map[string]string{
		"/home":          "/home/gamma/bin/gamma",
		"home":           "/home/gamma/bin/gamma",
		"/home/":         "/home/gamma/bin/gamma",
		"/home/gamma":    "/home/gamma/bin/gamma",
		"/home/gam":      "",
		"/opt":           "/opt/gamma",
		"/opt/gamma":     "",
		"/usr/lib":       "/usr/lib/libdelta.so.4",
		"/usr/lib64":     "/usr/lib64/libdelta.so.4",
		"/usr/share/doc": "/usr/share/doc/libdelta/README /usr/share/doc/libdelta/README",
	} {
		seq, err := db.Under(dir)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for path := range seq {
			paths = append(paths, path)
		}
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("Under(%q): %q, want %q", dir, got, want)
		}
	}
	for _, dir := range []string{"/", ".", ""} {
		n := 0
		seq, _ := db.Under(dir)
		for range seq {
			n++
		}
		if n != strings.Count(string(testdata(t, "rpm.files")), "\n") {
			t.Errorf("Under(%q): %d paths", dir, n)
		}
	}
	for range must(db.Under("/")) {
		break
	}

	other := kernels[0]
	other.Version = "6"
	for _, p := range []Package{{}, other, {Name: "x", id: 99}} {
		if files, err := db.Files(p); !errors.Is(err, fs.ErrInvalid) || files != nil {
			t.Errorf("Files(%v): %v, %v", p, files, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A header of rpm 3 has no region and has complete paths. One from the database
// has tags behind the region that replace others.
func TestHeaderForms(t *testing.T) {
	old := headerBlob([]tag{{tagName, "old"}, {tagVersion, "1"}, {tagRelease, "2"},
		{tagOldFileNames, []string{"/bin/a", "/bin/b", "/"}}}, nil)
	// Cut out the region: its entry, and the data at the end.
	old = slices.Concat(old[:8], old[8+entrySize:len(old)-entrySize])
	old[3]--
	old[7] -= entrySize

	replaced := headerBlob(
		[]tag{{tagName, "replaced"}, {tagVersion, "1"}, {tagRelease, "2"}, {tagInstallTime, []uint32{1}}},
		[]tag{{tagInstallTime, []uint32{2}}, {tagEpoch, []uint32{7, 8}}, {tagInstallTime, []uint32{3}}})

	dirs := named("self", tag{tagDirIndexes, []uint32{0, 1, 1}}, tag{tagBaseNames, []string{"", "", "x"}},
		tag{tagDirNames, []string{"/", "/usr/"}})

	db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db",
		ndb(ndbHeader{1, old}, ndbHeader{2, replaced}, ndbHeader{3, dirs})))
	if err != nil {
		t.Fatal(err)
	}
	if files := must(db.Files(db.packages[0])); !slices.Equal(files, []string{"/", "/bin/a", "/bin/b"}) {
		t.Errorf("files: %q", files)
	}
	if p := db.packages[1]; p.Installed.Unix() != 3 || p.Epoch != 7 {
		t.Errorf("%+v", p)
	}
	for path, want := range map[string]int{"/": 2, "/usr": 1, "/usr/": 1, "/usr/x": 1} {
		if owners := must(db.Owners(path)); len(owners) != want {
			t.Errorf("owners of %s: %v", path, owners)
		}
	}
}

// A damaged package does not affect the others, and every answer has its error.
func TestDamagedPackage(t *testing.T) {
	files := func(dirs []string, indexes []uint32, names ...string) []byte {
		return named("bad", tag{tagDirIndexes, indexes}, tag{tagBaseNames, names}, tag{tagDirNames, dirs})
	}
	long := strings.Repeat("x", maxField)
	for name, tt := range map[string]struct {
		blob  []byte
		files bool // it is only the files
		says  string
	}{
		"nothing":       {nil, false, "header 2: header of 0 bytes"},
		"no name":       {headerBlob([]tag{{tagVersion, "1"}, {tagRelease, "2"}}, nil), false, "without a name"},
		"no version":    {headerBlob([]tag{{tagName, "bad"}, {tagRelease, "2"}}, nil), false, "without a name"},
		"no release":    {headerBlob([]tag{{tagName, "bad"}, {tagVersion, "1"}}, nil), false, "without a name"},
		"empty name":    {named(""), false, "without a name"},
		"name too long": {named(long + "x"), false, "tag 1000 of 4097 bytes"},
		"name of a list": {headerBlob([]tag{{tagName, []string{"bad"}}, {tagVersion, "1"}, {tagRelease, "2"}}, nil),
			false, "tag 1000 of type 8"},
		"epoch in letters":  {named("bad", tag{tagEpoch, "1"}), false, "tag 1003 of type 6"},
		"time in letters":   {named("bad", tag{tagInstallTime, "1"}), false, "tag 1008 of type 6"},
		"fewer indexes":     {files([]string{"/"}, []uint32{0}, "a", "b"), true, "2 files and 1 directory indexes"},
		"no indexes":        {named("bad", tag{tagBaseNames, []string{"a"}}), true, "1 files and 0 directory indexes"},
		"no such directory": {files([]string{"/"}, []uint32{0, 1}, "a", "b"), true, "directory index 1 of 1"},
		"huge index":        {files([]string{"/"}, []uint32{1<<32 - 1}, "a"), true, "directory index 4294967295 of 1"},
		"no directories": {named("bad", tag{tagDirIndexes, []uint32{0}}, tag{tagBaseNames, []string{"a"}}), true,
			"directory index 0 of 0"},
		"directory, no slash": {files([]string{"/usr"}, []uint32{0}, "a"), true, `directory "/usr"`},
		"slash in a name":     {files([]string{"/usr/"}, []uint32{0}, "a/b"), true, `file name "a/b"`},
		"names are numbers":   {named("bad", tag{tagBaseNames, []uint32{1}}), true, "tag 1117 of type 4"},
		"dirs are numbers": {named("bad", tag{tagBaseNames, []string{"a"}}, tag{tagDirNames, []uint32{1}}), true,
			"tag 1118 of type 4"},
		"indexes in letters": {named("bad", tag{tagDirIndexes, "a"}, tag{tagBaseNames, []string{"a"}},
			tag{tagDirNames, []string{"/"}}), true, "tag 1116 of type 6"},
		"old names, numbers": {named("bad", tag{tagOldFileNames, []uint32{1}}), true, "tag 1027 of type 4"},
		"number used twice":  {nil, false, "two headers with the number 1"},
	} {
		t.Run(name, func(t *testing.T) {
			number := uint32(2)
			if name == "number used twice" {
				number, tt.blob = 1, named("bad")
			}
			db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db", ndb(
				ndbHeader{1, named("first", tag{tagOldFileNames, []string{"/bin/first"}})}, ndbHeader{number, tt.blob},
				ndbHeader{3, named("third")})))
			if db == nil {
				t.Fatal(err)
			}
			_, ownersErr := db.Owners("/bin/other")
			_, underErr := db.Under("/bin")
			want := 3
			if tt.files {
				if err != nil {
					t.Errorf("opening: %v", err)
				}
				bad, _ := db.Find("bad")
				_, err = db.Files(bad[0])
			} else {
				want = 2
				if _, findErr := db.Find("other"); !errors.Is(findErr, ErrCorrupt) {
					t.Errorf("Find: %v", findErr)
				}
			}
			for what, err := range map[string]error{"error": err, "Owners": ownersErr, "Under": underErr} {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.says) ||
					!strings.HasPrefix(err.Error(), "var/lib/rpm/Packages.db: ") {
					t.Errorf("%s: %v, want %q", what, err, tt.says)
				}
			}
			if len(db.packages) != want {
				t.Errorf("%d packages, want %d", len(db.packages), want)
			}
			first, _ := db.Find("first")
			if files, err := db.Files(first[0]); err != nil || !slices.Equal(files, []string{"/bin/first"}) {
				t.Errorf("files of the first: %q, %v", files, err)
			}
		})
	}
	db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db", ndb(ndbHeader{1, named(long)})))
	if err != nil || db.packages[0].Name != long {
		t.Errorf("the longest name: %v", err)
	}
}

func TestManyErrorsAreCounted(t *testing.T) {
	var headers []ndbHeader
	for i := range uint32(5) {
		headers = append(headers, ndbHeader{i + 1, []byte("no header")})
	}
	_, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db", ndb(headers...)))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "header 1:") ||
		!strings.Contains(err.Error(), "(and 4 more errors)") {
		t.Errorf("%v", err)
	}
}

func TestMaxPackages(t *testing.T) {
	headers := make([]ndbHeader, maxPackages+1)
	for i := range headers {
		headers[i] = ndbHeader{uint32(i + 1), named(fmt.Sprintf("p%d", i))}
	}
	for _, n := range []int{maxPackages - 1, maxPackages, maxPackages + 1} {
		db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db", ndb(headers[:n]...)))
		if n <= maxPackages && (err != nil || len(db.packages) != n) || n > maxPackages && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%d packages: %v", n, err)
		}
	}
}

func TestMaxText(t *testing.T) {
	// Name, version and release are 4096 bytes, the last one shorter.
	var headers []ndbHeader
	for i := range maxText / maxField {
		headers = append(headers, ndbHeader{uint32(i + 1), named(strings.Repeat("x", maxField-2))})
	}
	for more, want := range map[string]error{"": nil, "x": ErrUnsupported} {
		headers[0].blob = named(strings.Repeat("x", maxField-2) + more)
		if _, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db", ndb(headers...))); !errors.Is(err, want) {
			t.Errorf("%d bytes more: %v", len(more), err)
		}
	}
}

func TestMaxDatabase(t *testing.T) {
	root := rpmRoot("var/lib/rpm/Packages", testdata(t, "Packages-1234-512.gz"))
	for size, want := range map[int64]error{maxDatabase - 1: nil, maxDatabase: nil, maxDatabase + 1: ErrUnsupported} {
		db, err := Open(t.Context(), hugeFS{FS: root, name: "var/lib/rpm/Packages", size: size})
		if !errors.Is(err, want) || want == nil && len(db.packages) != 8 {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestReadErrorsPass(t *testing.T) {
	broken := errors.New("the disk is broken")
	for path, file := range map[string]string{
		"var/lib/rpm/Packages":     "Packages-1234-512.gz",
		"var/lib/rpm/Packages.db":  "Packages.db.gz",
		"var/lib/rpm/rpmdb.sqlite": "rpmdb.sqlite.gz",
	} {
		data := testdata(t, file)
		_, err := Open(t.Context(), hugeFS{rpmRoot(path, data), path, int64(len(data)), broken})
		if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNoDatabase) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestContextEndsTheReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for path, file := range map[string]string{
		"var/lib/rpm/Packages":     "Packages-1234-512.gz",
		"var/lib/rpm/Packages.db":  "Packages.db.gz",
		"var/lib/rpm/rpmdb.sqlite": "rpmdb.sqlite.gz",
	} {
		if _, err := Open(ctx, rpmRoot(path, testdata(t, file))); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Open(ctx, tree(map[string]string{"var/lib/dpkg/status": "Package: a\n"})); !errors.Is(err,
		context.Canceled) {
		t.Errorf("dpkg: %v", err)
	}
}

func TestSQLiteDamage(t *testing.T) {
	data := testdata(t, "rpmdb.sqlite.gz")
	broken := slices.Clone(data)
	clear(broken[len(broken)/2:])
	const path = "var/lib/rpm/rpmdb.sqlite"
	for name, tt := range map[string]struct {
		root fstest.MapFS
		want error
	}{
		"empty":       {rpmRoot(path, nil), ErrCorrupt},
		"no database": {rpmRoot(path, []byte(strings.Repeat("text", 100))), ErrCorrupt},
		"truncated":   {rpmRoot(path, data[:len(data)/2]), ErrCorrupt},
		"zeros":       {rpmRoot(path, broken), ErrCorrupt},
		"hot journal": {with(rpmRoot(path, data), path+"-journal", []byte("\xd9\xd5\x05\xf9")), ErrUnsupported},
		"is a folder": {fstest.MapFS{path + "/x": {}}, ErrUnsupported},
	} {
		if _, err := Open(t.Context(), tt.root); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Whatever bit is wrong and wherever a file ends: no package is missing without
// an error.
func TestNothingIsMissingSilently(t *testing.T) {
	for path, file := range map[string]string{
		"var/lib/rpm/Packages":     "Packages-1234-512.gz",
		"var/lib/rpm/Packages.db":  "Packages.db.gz",
		"var/lib/rpm/rpmdb.sqlite": "rpmdb.sqlite.gz",
	} {
		whole := testdata(t, file)
		try := func(data []byte, what string, n int) {
			db, err := Open(t.Context(), rpmRoot(path, data))
			if err == nil && len(db.packages) != 8 {
				t.Errorf("%s: %s %d: %d packages and no error", file, what, n, len(db.packages))
			}
		}
		for n := 0; n < len(whole); n += len(whole)/100 + 1 {
			try(whole[:n], "end at", n)
		}
		for n := 0; n < len(whole); n += len(whole)/1500 + 1 {
			data := slices.Clone(whole)
			data[n] ^= 1 << (n % 8)
			try(data, "bit in byte", n)
		}
		// The page that begins at a place was never written.
		for n := 0; n < len(whole); n += 512 {
			data := slices.Clone(whole)
			clear(data[n:min(n+512, len(data))])
			try(data, "zeros at", n)
		}
	}
}

// Errors before the one that ends the reading are reported too.
func TestErrorsAreTogether(t *testing.T) {
	data := ndb(ndbHeader{1, []byte("no header")}, ndbHeader{2, named("second")})
	root := cutFS{rpmRoot("var/lib/rpm/Packages.db", data), int64(len(data)) - 40}
	db, err := Open(t.Context(), root)
	if !errors.Is(err, ErrCorrupt) || !errors.Is(err, errCut) ||
		!strings.Contains(err.Error(), "after 1 errors, the first of them: var/lib/rpm/Packages.db: header 1:") ||
		len(db.packages) != 0 {
		t.Errorf("%v", err)
	}
}

var errCut = errors.New("the rest cannot be read")

// cutFS has files that cannot be read to their end.
type cutFS struct {
	fs.FS
	end int64
}

type cutFile struct {
	hugeFile
	end int64
}

func (c cutFS) Open(name string) (fs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return cutFile{hugeFile{f, hugeFS{size: info.Size()}}, c.end}, nil
}

func (f cutFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.end && off >= ndbPageSize {
		return 0, errCut
	}
	return f.hugeFile.ReadAt(p, off)
}

// A file that can only be read from its start is refused.
func TestFilesMustBeReaderAt(t *testing.T) {
	_, err := Open(t.Context(), streamFS{rpmRoot("var/lib/rpm/Packages", testdata(t, "Packages-1234-512.gz"))})
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

type streamFS struct{ fs.FS }

type streamFile struct{ fs.File }

func (s streamFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	return streamFile{f}, err
}
