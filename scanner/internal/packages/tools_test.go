package packages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/google/go-cmp/cmp"
)

// What rpm is asked, and what packageLines and fileLines give.
const (
	askPackages = `%{NAME}\t%{EPOCHNUM}\t%{VERSION}\t%{RELEASE}\t%|ARCH?{%{ARCH}}|\t%|INSTALLTIME?{%{INSTALLTIME}}:{0}|\t%|VENDOR?{%{VENDOR}}|\t%|PACKAGER?{%{PACKAGER}}|\n`
	askFiles    = `[%{=NAME}.%{=ARCH}\t%{FILENAMES}\n]`
)

// run runs a tool and returns what it writes.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), append(env, "LC_ALL=C.UTF-8")...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, errs.Bytes())
	}
	return string(out)
}

// askRPM asks rpm of the database in a folder.
func askRPM(t *testing.T, dir, backend, format string) string {
	t.Helper()
	lines := strings.SplitAfter(run(t, nil, "rpm", "--dbpath", dir, "--define", "_db_backend "+backend, "-qa", "--qf",
		format), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// compareRPM compares a database with what rpm says of it.
func compareRPM(t *testing.T, form string, data []byte, want int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, form), data, 0o644); err != nil {
		t.Fatal(err)
	}
	backend := map[string]string{"Packages": "bdb_ro", "rpmdb.sqlite": "sqlite"}[form]
	db, err := Open(t.Context(), rpmRoot("var/lib/rpm/"+form, data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(askRPM(t, dir, backend, askPackages), packageLines(db)); diff != "" {
		t.Errorf("packages (- rpm, + here):\n%s", diff)
	}
	if diff := cmp.Diff(askRPM(t, dir, backend, askFiles), fileLines(t, db)); diff != "" {
		t.Errorf("files (- rpm, + here):\n%s", diff)
	}
	if len(db.packages) != want {
		t.Errorf("%d packages, want %d", len(db.packages), want)
	}
}

func TestRPMReadsTheSame(t *testing.T) {
	testenv.Tool(t, "rpm")
	for _, tt := range corpusRPM {
		if tt.form == "Packages.db" {
			continue // which Debian's rpm was built without
		}
		t.Run(tt.file, func(t *testing.T) {
			compareRPM(t, tt.form, testenv.CorpusFile(t, "linux/"+tt.file), tt.count)
		})
	}
}

// Hashes of all sizes of pages and both byte orders, with many buckets, chains
// of pages in them, and headers on overflow pages. One that was made with an
// estimate of its size, as rpm never does, counts that too. The usual repair,
// db_dump and db_load, counts each record twice.
func TestBDBOfTool(t *testing.T) {
	testenv.Tool(t, "rpm", "db5.3_dump", "db5.3_load", "db5.3_verify")
	const count = 700
	headers := make([][]byte, count)
	for i := range headers {
		var names []string
		var indexes []uint32
		for j := range i % 40 * (i % 7) * 2 {
			names = append(names, fmt.Sprintf("file%d", j))
			indexes = append(indexes, uint32(j%2))
		}
		var files []tag
		if names != nil {
			files = []tag{{tagDirIndexes, indexes}, {tagBaseNames, names},
				{tagDirNames, []string{fmt.Sprintf("/usr/share/p%d/", i), "/usr/lib/"}}}
		}
		headers[i] = headerBlob(
			append([]tag{{tagName, fmt.Sprintf("p%d", i)}, {tagVersion, "1"}, {tagRelease, fmt.Sprint(i)}, {tagArch, "noarch"}},
				files...),
			[]tag{{tagInstallTime, []uint32{uint32(1e9 + i)}}})
	}
	for lorder, order := range map[string]binary.AppendByteOrder{"1234": binary.LittleEndian, "4321": binary.BigEndian} {
		var dump strings.Builder
		dump.WriteString("VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n")
		fmt.Fprintf(&dump, " %x\n %x\n", order.AppendUint32(nil, 0), order.AppendUint32(nil, count))
		for i, h := range headers {
			fmt.Fprintf(&dump, " %x\n %x\n", order.AppendUint32(nil, uint32(i+1)), h)
		}
		dump.WriteString("DATA=END\n")
		for _, options := range []string{"512", "1024 chksum=1", "2048", "4096", "4096 h_nelem=100", "8192 chksum=1", "32768",
			"65536", "65536 h_ffactor=2"} {
			t.Run(lorder+" "+options, func(t *testing.T) {
				dir := t.TempDir()
				args := []string{"-f", filepath.Join(dir, "dump"), "-c", "db_lorder=" + lorder}
				for i, o := range strings.Fields(options) {
					if i == 0 {
						o = "db_pagesize=" + o
					}
					args = append(args, "-c", o)
				}
				if err := os.WriteFile(filepath.Join(dir, "dump"), []byte(dump.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(dir, "Packages")
				run(t, nil, "db5.3_load", append(args, file)...)
				run(t, nil, "db5.3_verify", "-q", file)
				if options == "4096" {
					again := filepath.Join(dir, "again")
					run(t, nil, "db5.3_load", "-f", dumpOf(t, file), again)
					file = again
				}
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages", data))
				switch {
				case strings.Contains(options, "chksum"): // which rpm cannot read
					if err != nil || len(db.packages) != count {
						t.Errorf("%v", err)
					}
				case strings.Contains(options, "h_nelem"):
					if err != nil || !strings.Contains(strings.Join(db.Notes(), "\n"), "701 records, and counts 801") ||
						len(db.packages) != count {
						t.Errorf("%v, %q", err, db.Notes())
					}
				default:
					compareRPM(t, "Packages", data, count)
				}
			})
		}
	}
}

// dumpOf writes the output of db_dump to a file in the same folder.
func dumpOf(t *testing.T, file string) string {
	t.Helper()
	name := file + ".dump"
	run(t, nil, "db5.3_dump", "-f", name, file)
	return name
}

// An encrypted hash is refused, whether or not there is a key.
func TestEncryptedBDBOfTool(t *testing.T) {
	testenv.Tool(t, "db5.3_load")
	dir := t.TempDir()
	dump := filepath.Join(dir, "dump")
	if err := os.WriteFile(dump, []byte(
		"VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n 00000000\n 01000000\nDATA=END\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "db5.3_load", "-P", "secret", "-f", dump, filepath.Join(dir, "Packages"))
	data, err := os.ReadFile(filepath.Join(dir, "Packages"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages", data)); !errors.Is(err, ErrUnsupported) ||
		!strings.Contains(err.Error(), "encrypted") {
		t.Errorf("%v", err)
	}
}

// A database that rpm wrote: new, with packages, and after one was removed.
func TestRPMWritesIt(t *testing.T) {
	testenv.Tool(t, "rpm", "rpmbuild")
	dir := t.TempDir()
	dbpath := filepath.Join(dir, "db")
	check := func(want int) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dbpath, "rpmdb.sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		compareRPM(t, "rpmdb.sqlite", data, want)
	}
	run(t, nil, "rpm", "--dbpath", dbpath, "--initdb")
	check(0)
	for _, name := range []string{"one", "two"} {
		spec := filepath.Join(dir, name+".spec")
		text := fmt.Sprintf("Name: %s\nVersion: 1.%%{?x}0\nRelease: 3\nEpoch: 4\nSummary: s\nLicense: l\nBuildArch: "+
			"noarch\n%%description\nd\n%%install\nmkdir -p %%{buildroot}/usr/share/%s %%{buildroot}/home\ntouch "+
			"%%{buildroot}/usr/share/%s/file\n%%files\n/usr/share/%s\n%%dir /home\n%%ghost /var/log/%s\n", name, name, name,
			name, name)
		if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, nil, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+filepath.Join(dir, "build"), spec)
		run(t, nil, "rpm", "--dbpath", dbpath, "-i", "--justdb", "--nodeps", "--force",
			filepath.Join(dir, "build/RPMS/noarch", name+"-1.0-3.noarch.rpm"))
	}
	check(2)
	run(t, nil, "rpm", "--dbpath", dbpath, "-e", "--justdb", "one")
	check(1)
}

// SQLite databases with the name of one of rpm, and something else in them.
func TestSQLiteOfOthers(t *testing.T) {
	testenv.Tool(t, "sqlite3")
	const schema = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);"
	header := fmt.Sprintf("x'%x'", named("a"))
	for name, tt := range map[string]struct {
		sql  string
		want error
		says string
		rest int
	}{
		"empty":    {schema, nil, "", 0},
		"one":      {schema + "INSERT INTO Packages VALUES (7, " + header + ")", nil, "", 1},
		"no table": {"CREATE TABLE Other (a)", ErrCorrupt, "Packages", 0},
		"no blob":  {"CREATE TABLE Packages (hnum INTEGER PRIMARY KEY)", ErrCorrupt, "blob", 0},
		"a view":   {"CREATE VIEW Packages AS SELECT 1 AS hnum, 2 AS blob", ErrUnsupported, "Packages", 0},
		"text": {schema + "INSERT INTO Packages VALUES (1, 'text'), (2, " + header + ")", ErrCorrupt, "row 1 ",
			1},
		"empty blob":     {schema + "INSERT INTO Packages VALUES (1, x''), (2, " + header + ")", ErrCorrupt, "", 1},
		"number 0":       {schema + "INSERT INTO Packages VALUES (0, " + header + ")", ErrCorrupt, "row 0 ", 0},
		"number below 0": {schema + "INSERT INTO Packages VALUES (-1, " + header + ")", ErrCorrupt, "row -1 ", 0},
		"largest number": {schema + "INSERT INTO Packages VALUES (4294967295, " + header + ")", nil, "", 1},
		"number of 2^32": {schema + "INSERT INTO Packages VALUES (4294967296, " + header + ")", ErrCorrupt,
			"row 4294967296 ", 0},
		"number is text": {"CREATE TABLE Packages (hnum, blob); INSERT INTO Packages VALUES ('x', " + header + ")",
			ErrCorrupt, "row x ", 0},
		"header is no one": {schema + "INSERT INTO Packages VALUES (1, x'00')", ErrCorrupt, "header 1: ", 0},
	} {
		file := filepath.Join(t.TempDir(), "rpmdb.sqlite")
		run(t, nil, "sqlite3", file, tt.sql)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), rpmRoot("var/lib/rpm/rpmdb.sqlite", data))
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil || err != nil &&
			!strings.Contains(err.Error(), tt.says) || len(db.packages) != tt.rest {
			t.Errorf("%s: %d packages, %v", name, len(db.packages), err)
		}
	}
}

// askDPKG asks dpkg of the packages of a database, and of their files, with the
// names that diversions give them.
func askDPKG(t *testing.T, admin string) (packages, files []string) {
	t.Helper()
	const format = `${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\t${db:Status-Eflag}\t${Multi-Arch}\n`
	for line := range strings.Lines(run(t, nil, "dpkg-query", "--admindir", admin, "-W", "-f", format)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		packages = append(packages, strings.Join(f[:5], " "))
		name := f[0]
		if f[1] != "" {
			name += ":" + f[1]
		}
		if f[3] == "half-installed" {
			continue
		}
		var path string
		for line := range strings.Lines(run(t, nil, "dpkg-query", "--admindir", admin, "-L", name)) {
			line = strings.TrimSuffix(line, "\n")
			switch i := strings.Index(line, "verted by "); {
			case strings.HasPrefix(line, "/"):
				if path = line; path == "/." {
					path = "/"
				}
				files = append(files, name+" "+path)
			case strings.HasPrefix(line, "locally diverted to: "), strings.HasPrefix(line, "diverted by ") && i >= 0:
				_, to, _ := strings.Cut(line, "to: ")
				files[len(files)-1] = name + " " + to
			}
		}
	}
	slices.Sort(packages)
	slices.Sort(files)
	return packages, files
}

// compareDPKG compares the database of a root with what dpkg says of it.
func compareDPKG(t *testing.T, root string, want int) *Database {
	t.Helper()
	db, err := Open(t.Context(), os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	packages, files := askDPKG(t, filepath.Join(root, "var/lib/dpkg"))
	var gotPackages, gotFiles []string
	for _, p := range db.packages {
		flag := "ok"
		if p.Reinstall {
			flag = "reinstreq"
		}
		gotPackages = append(gotPackages, strings.Join([]string{p.Name, p.Arch, p.EVR(), p.State, flag}, " "))
		if p.State == "half-installed" {
			continue
		}
		paths, err := db.Files(p)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, path := range paths {
			gotFiles = append(gotFiles, p.Name+":"+p.Arch+" "+path)
		}
	}
	slices.Sort(gotPackages)
	slices.Sort(gotFiles)
	if diff := cmp.Diff(packages, gotPackages); diff != "" {
		t.Errorf("packages (- dpkg, + here):\n%s", diff)
	}
	if diff := cmp.Diff(files, gotFiles); diff != "" {
		t.Errorf("files (- dpkg, + here):\n%s", diff)
	}
	if len(packages) != want {
		t.Errorf("%d packages, want %d", len(packages), want)
	}
	return db
}

// deb builds a package of files whose content is their name; those in DEBIAN
// are its control files.
func deb(t *testing.T, dir, control string, files map[string]string) string {
	t.Helper()
	tree := filepath.Join(dir, "tree")
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("DEBIAN/control", control+"Maintainer: m <m@example.com>\nDescription: d\n", 0o644)
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		write(name, text, mode)
	}
	name := filepath.Join(dir, fmt.Sprintf("%x.deb", control))
	run(t, nil, "dpkg-deb", "--root-owner-group", "-b", tree, name)
	return name
}

func TestDPKGWritesIt(t *testing.T) {
	testenv.Tool(t, "dpkg", "dpkg-deb", "dpkg-query", "dpkg-divert")
	testenv.Root(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for _, d := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dpkg := func(args ...string) {
		t.Helper()
		run(t, nil, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-architecture",
			"--log=" + filepath.Join(dir, "log")}, args...)...)
	}
	compareDPKG(t, root, 0)

	dpkg("-i",
		deb(t, dir, "Package: one\nVersion: 2:1.0-3\nArchitecture: all\n",
			map[string]string{"usr/share/one/ä b": "", "etc/one.conf": "1", "DEBIAN/conffiles": "/etc/one.conf\n"}),
		deb(t, dir, "Package: two\nVersion: 1~rc1\nArchitecture: amd64\n",
			map[string]string{"usr/bin/tool": "", "home/two/data": ""}),
		deb(t, dir, "Package: lib\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n",
			map[string]string{"usr/lib/a/lib": "", "usr/share/doc/lib": ""}),
		deb(t, dir, "Package: lib\nVersion: 1\nArchitecture: i386\nMulti-Arch: same\n",
			map[string]string{"usr/lib/b/lib": "", "usr/share/doc/lib": ""}),
	)
	db := compareDPKG(t, root, 4)
	if p := must(db.Find("one"))[0]; p.Installed.IsZero() {
		t.Errorf("no time of installation")
	}
	if owners := must(db.Owners("/home/two/data")); len(owners) != 1 || owners[0].Name != "two" {
		t.Errorf("owners: %v", owners)
	}

	// One is removed and leaves its configuration, one takes another's file.
	dpkg("-r", "one")
	run(t, nil, "dpkg-divert", "--root="+root, "--package", "three", "--divert", "/usr/bin/tool.two", "--rename",
		"/usr/bin/tool")
	run(t, nil, "dpkg-divert", "--root="+root, "--local", "--rename", "/home/two/data")
	dpkg("-i", deb(t, dir, "Package: three\nVersion: 1-1-1\nArchitecture: amd64\n", map[string]string{"usr/bin/tool": ""}))
	db = compareDPKG(t, root, 5)
	for path, want := range map[string]string{"/usr/bin/tool": "three", "/usr/bin/tool.two": "two",
		"/home/two/data.distrib": "two", "/etc/one.conf": "one"} {
		if owners := must(db.Owners(path)); len(owners) != 1 || owners[0].Name != want {
			t.Errorf("owners of %s: %v, want %s", path, owners, want)
		}
	}
	if p := must(db.Find("one"))[0]; p.State != "config-files" || p.IsInstalled() {
		t.Errorf("%+v", p)
	}

	// dpkg is killed, so that the last states are only in updates/.
	four := deb(t, dir, "Package: four\nVersion: 1\nArchitecture: all\n",
		map[string]string{"usr/share/four": "", "DEBIAN/postinst": "#!/bin/sh\nkill -9 $PPID\n"})
	if err := exec.Command("dpkg", "--root="+root, "--force-script-chrootless", "--log="+filepath.Join(dir, "log"), "-i",
		four).Run(); err == nil {
		t.Fatal("dpkg was not killed")
	}
	if entries, err := os.ReadDir(filepath.Join(root, "var/lib/dpkg/updates")); err != nil || len(entries) < 2 {
		t.Fatalf("updates: %v, %v", entries, err)
	}
	db = compareDPKG(t, root, 6)
	if p := must(db.Find("four"))[0]; p.State != "half-configured" || p.IsInstalled() ||
		!strings.Contains(strings.Join(db.Notes(), ";"), "pending changes") {
		t.Errorf("%+v, %q", p, db.Notes())
	}
}

// dpkg and this package refuse the same status files of the corpus and read the
// rest alike.
func TestDPKGRefusesTheSame(t *testing.T) {
	testenv.Tool(t, "dpkg-query")
	corpus := filepath.Join(testenv.Corpus(t), "linux")
	var names []string
	for _, pattern := range []string{
		"google__osv-scalibr/extractor/filesystem/os/dpkg/testdata/*/*",
		"anchore__syft/syft/pkg/cataloger/debian/testdata/var/lib/*/*",
		"anchore__syft/syft/pkg/cataloger/debian/testdata/*/var/lib/dpkg/*",
		"anchore__syft/syft/pkg/cataloger/debian/testdata/var/lib/dpkg/status.d/*",
	} {
		found, err := filepath.Glob(filepath.Join(corpus, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	count := 0
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue
		}
		// A dependency that is none: dependencies are not looked at here.
		if filepath.Base(name) == "doc-examples" {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		admin := t.TempDir()
		for _, d := range []string{"info", "updates"} {
			if err := os.Mkdir(filepath.Join(admin, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(admin, "status"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		out, dpkgErr := exec.Command("dpkg-query", "--admindir", admin, "-W", "-f",
			`${Package} ${Version} ${Architecture} ${db:Status-Status}\n`).Output()
		db, err := Open(t.Context(), rpmRoot("var/lib/dpkg/status", data))
		if (err == nil) != (dpkgErr == nil) {
			t.Errorf("%s: %v, dpkg: %v", name, err, dpkgErr)
			continue
		}
		if err != nil {
			continue
		}
		want := slices.Sorted(strings.Lines(string(out)))
		var got []string
		for _, p := range db.packages {
			got = append(got, fmt.Sprintf("%s %s %s %s\n", p.Name, p.EVR(), p.Arch, p.State))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, dpkg: %q", name, got, want)
		}
		count++
	}
	if count < 10 {
		t.Errorf("only %d of %d were read", count, len(names))
	}
}

// The database of the machine itself.
func TestOwnDPKG(t *testing.T) {
	testenv.Tool(t, "dpkg-query")
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		t.Skip("not a system of dpkg")
	}
	out := run(t, nil, "dpkg-query", "-W", "-f", `${Package} ${Version} ${Architecture} ${db:Status-Status}\n`)
	db, err := Open(t.Context(), os.DirFS("/"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range db.packages {
		got = append(got, fmt.Sprintf("%s %s %s %s\n", p.Name, p.EVR(), p.Arch, p.State))
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(strings.Lines(out)), got); diff != "" {
		t.Error(diff)
	}
	if _, err := db.Under("/"); err != nil {
		t.Error(err)
	}
}
