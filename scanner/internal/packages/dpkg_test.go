package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const dpkgSample = `Package: adduser
Status: install ok installed
Priority: important
Maintainer: Debian Adduser Developers <adduser@packages.debian.org>
Architecture: all
Multi-Arch: foreign
Version: 3.118ubuntu5
Description: add and remove users and groups
 This package includes the adduser and deluser commands.
 .
  - "adduser" creates new users
Conffiles:
 /etc/deluser.conf 773fb95e98a27947de4a95abb3d3f2a2

package: vim
STATUS: hold ok installed
Version: 2:8.2.3995-1ubuntu2.15
Architecture: amd64


Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.35-0ubuntu3.1
Package-Type: deb

Package: libc6
Status: install ok half-configured
Architecture: i386
Multi-Arch: same
Version: 2.35-0ubuntu3.1

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Config-Version: 1.0-1-2

Package: unpacked-half
Status: install reinstreq half-installed
Architecture: amd64

Package: triggered
Status: install ok triggers-pending
Architecture: amd64
Version: 1~rc1+b2
Triggers-Pending: ldconfig

Package: broken
Status: install reinstreq installed
Architecture: amd64
Version: 0:0

Package: wished
Status: install ok not-installed
Architecture: amd64

Package: nothing-known
Architecture: amd64
`

// dpkgLine is a package in one line.
func dpkgLine(p Package) string {
	return fmt.Sprintf("%s:%s %s %s reinstall=%v installed=%v", p.Name, p.Arch, p.EVR(), p.State, p.Reinstall,
		p.IsInstalled())
}

func dpkgLines(db *Database) []string {
	var lines []string
	for _, p := range db.packages {
		lines = append(lines, dpkgLine(p))
	}
	return lines
}

func TestDPKGStatus(t *testing.T) {
	db, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": dpkgSample}))
	if err != nil {
		t.Fatal(err)
	}
	if db.Kind() != DPKG || db.Path() != "var/lib/dpkg" {
		t.Errorf("%s at %s", db.Kind(), db.Path())
	}
	want := []string{
		"adduser:all 3.118ubuntu5 installed reinstall=false installed=true",
		"broken:amd64 0 installed reinstall=true installed=false",
		"libc6:amd64 2.35-0ubuntu3.1 installed reinstall=false installed=true",
		"libc6:i386 2.35-0ubuntu3.1 half-configured reinstall=false installed=false",
		"removed:amd64 1.0-1-2 config-files reinstall=false installed=false",
		"triggered:amd64 1~rc1+b2 triggers-pending reinstall=false installed=true",
		"unpacked-half:amd64  half-installed reinstall=true installed=false",
		"vim:amd64 2:8.2.3995-1ubuntu2.15 installed reinstall=false installed=true",
	}
	if diff := cmp.Diff(want, dpkgLines(db)); diff != "" {
		t.Error(diff)
	}
	vim := must(db.Find("vim"))[0]
	if vim.Epoch != 2 || vim.Version != "8.2.3995" || vim.Release != "1ubuntu2.15" {
		t.Errorf("%+v", vim)
	}
	if p := must(db.Find("removed"))[0]; p.Version != "1.0-1" || p.Release != "2" {
		t.Errorf("%+v", p)
	}
	if p := must(db.Find("adduser"))[0]; p.Packager != "Debian Adduser Developers <adduser@packages.debian.org>" {
		t.Errorf("%+v", p)
	}
}

func TestDPKGDamage(t *testing.T) {
	const first, last = "Package: first\nStatus: install ok installed\nVersion: 1\n\n",
		"\nPackage: last\nStatus: install ok installed\nVersion: 1\n"
	long := strings.Repeat("x", maxField)
	for text, says := range map[string]string{
		"Package bad\n":                      "status: line 5: no field",
		"Package: bad\nStatus\n":             "status: line 6: no field",
		": bad\n":                            "line 5: no field",
		"#comment\n":                         "line 5: no field",
		"-dash: 1\n":                         "line 5: no field",
		"Two words: 1\n":                     "line 5: no field",
		" folded\n":                          "line 5: it continues no field",
		"Package: bad\nPackage: bad\n":       "line 6: a second field Package",
		"Package: bad\nX-Own: 1\nx-own: 2\n": "line 7: a second field x-own",
		"Status: install ok installed\nVersion: 1\n":                          `line 5: "" is not a package name`,
		"Package:\nVersion: 1\n":                                              `line 5: "" is not a package name`,
		"Package: ../../etc\n":                                                `"../../etc" is not a package name`,
		"Package: a/b\n":                                                      `"a/b" is not a package name`,
		"Package: -a\n":                                                       `"-a" is not a package name`,
		"Package: a b\n":                                                      `"a b" is not a package name`,
		"Package: a\n b\n":                                                    `is not a package name`,
		"Package: bad\nArchitecture: ../x\n":                                  `"../x" is not an architecture`,
		"Package: bad\nStatus: install ok\n":                                  `"install ok" is not a status`,
		"Package: bad\nStatus: a ok installed\n":                              `is not a status`,
		"Package: bad\nStatus: install a installed\n":                         `is not a status`,
		"Package: bad\nStatus: install ok a\n":                                `is not a status`,
		"Package: bad\nStatus: install ok installed x\n":                      `is not a status`,
		"Package: bad\nStatus: install ok installed\n":                        `version ""`,
		"Package: bad\nStatus: install ok installed\nVersion: 1-\n":           `version "1-"`,
		"Package: bad\nStatus: install ok installed\nVersion: -1\n":           `version "-1"`,
		"Package: bad\nStatus: install ok installed\nVersion: 1:\n":           `version "1:"`,
		"Package: bad\nStatus: install ok installed\nVersion: a:1\n":          `epoch of version "a:1"`,
		"Package: bad\nStatus: install ok installed\nVersion: :1\n":           `epoch of version ":1"`,
		"Package: bad\nStatus: install ok installed\nVersion: -1:1\n":         `epoch of version "-1:1"`,
		"Package: bad\nStatus: install ok installed\nVersion: 1 2\n":          `version "1 2"`,
		"Package: bad\nStatus: install ok installed\nVersion: 1\n 2\n":        `version "1\n2"`,
		"Package: bad\nStatus: install ok installed\nVersion: 2147483648:1\n": `epoch of version "2147483648:1"`,
		"Package: " + long + "x\n":                                            "a field package of 4097 bytes",
	} {
		db, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": first + text + last}))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), says) ||
			!strings.HasPrefix(err.Error(), "var/lib/dpkg: ") {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
		if len(db.packages) != 2 {
			t.Errorf("%q: %q", text, dpkgLines(db))
		}
		if _, err := db.Find("other"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: Find: %v", text, err)
		}
	}
	for _, text := range []string{
		"Package: " + long + "\n",
		"Package: a\nStatus: install ok installed\nVersion: 2147483647:1\n",
		"Package: a\nStatus: Install OK Installed\nVersion:1\n",
		"Package: a\r\nStatus: install ok installed\r\nVersion: 1\r\n",
		"Package : a\nDescription:\n\tfolded\n .\n more: of it\n",
		"\n\n\nPackage: a\n\n\n\n",
	} {
		if _, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": first + text + last})); err != nil {
			t.Errorf("%.100q: %v", text, err)
		}
	}
}

// The status file is written anew and renamed, so that one that ends in the
// middle of a line was damaged.
func TestDPKGStatusCutOff(t *testing.T) {
	for _, n := range []int{len(dpkgSample) - 1, 40, 20, 9, 3} {
		if _, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": dpkgSample[:n]})); !errors.Is(err,
			ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	// An empty one is that of a system on which nothing was installed, unless
	// there are lists of files.
	root := tree(map[string]string{"var/lib/dpkg/status": ""})
	if db, err := Open(t.Context(), root); err != nil || len(db.packages) != 0 {
		t.Errorf("empty: %v", err)
	}
	_, err := Open(t.Context(), with(root, "var/lib/dpkg/info/a.list", []byte("/.\n")))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "file lists of 1") {
		t.Errorf("empty, with a list: %v", err)
	}
}

func TestDPKGLimits(t *testing.T) {
	var fields strings.Builder
	for i := range maxFields - 1 {
		fmt.Fprintf(&fields, "X-%d: 1\n", i)
	}
	for text, want := range map[string]error{
		"Package: a\n" + fields.String():       nil,
		"Package: a\nX: 1\n" + fields.String(): ErrUnsupported,
	} {
		if _, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": text})); !errors.Is(err, want) {
			t.Errorf("fields: %v, want %v", err, want)
		}
	}

	var many strings.Builder
	for i := range maxPackages - 1 {
		fmt.Fprintf(&many, "Package: p%d\nStatus: install ok installed\nVersion: 1\n\n", i)
	}
	for _, n := range []int{maxPackages - 1, maxPackages, maxPackages + 1} {
		text := many.String()
		for i := range n - (maxPackages - 1) {
			text += fmt.Sprintf("Package: q%d\nStatus: install ok installed\nVersion: 1\n\n", i)
		}
		db, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": text}))
		if n <= maxPackages && (err != nil || len(db.packages) != n) || n > maxPackages && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%d packages: %v", n, err)
		}
	}

	const p = "Package: a\nStatus: install ok installed\nVersion: 1\n"
	root := tree(map[string]string{"var/lib/dpkg/status": p, "var/lib/dpkg/info/a.list": "/.\n",
		"var/lib/dpkg/info/format": "1", "var/lib/dpkg/diversions": "", "var/lib/dpkg/updates/0000": p})
	for name, limit := range map[string]int64{
		"var/lib/dpkg/status": maxStatus, "var/lib/dpkg/updates/0000": maxStatus, "var/lib/dpkg/info/format": maxFormat,
		"var/lib/dpkg/info/a.list": maxList, "var/lib/dpkg/diversions": maxDiversions,
	} {
		// What is not a limit's error is one of the zeros.
		if _, err := Open(t.Context(), hugeFS{FS: root, name: name, size: limit}); errors.Is(err, ErrUnsupported) {
			t.Errorf("%s of %d bytes: %v", name, limit, err)
		}
		if _, err := Open(t.Context(), hugeFS{FS: root, name: name, size: limit + 1}); !errors.Is(err, ErrUnsupported) ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%s of %d bytes: %v", name, limit+1, err)
		}
		broken := errors.New("the disk is broken")
		if _, err := Open(t.Context(), hugeFS{root, name, 1, broken}); !errors.Is(err, broken) ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%s that cannot be read: %v", name, err)
		}
	}

	for _, n := range []int{maxUpdates, maxUpdates + 1} {
		root := tree(map[string]string{"var/lib/dpkg/status": ""})
		for i := range n {
			root[fmt.Sprintf("var/lib/dpkg/updates/%04d", i)] = &fstest.MapFile{Data: []byte(p)}
		}
		if _, err := Open(t.Context(), root); n > maxUpdates && !errors.Is(err, ErrUnsupported) || n <= maxUpdates &&
			err != nil {
			t.Errorf("%d updates: %v", n, err)
		}
	}
	for name, ok := range map[string]bool{"0123456789": true, "01234567890": false} {
		_, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": "", "var/lib/dpkg/updates/" + name: p}))
		if ok && err != nil || !ok && !errors.Is(err, ErrCorrupt) {
			t.Errorf("update %s: %v", name, err)
		}
	}
}

func TestDPKGUpdates(t *testing.T) {
	stanza := func(name, arch, version, status string, more ...string) string {
		return fmt.Sprintf("Package: %s\nStatus: install ok %s\nArchitecture: %s\nVersion: %s\n%s", name, status, arch,
			version, strings.Join(more, ""))
	}
	same := "Multi-Arch: same\n"
	db, err := Open(t.Context(), tree(map[string]string{
		"var/lib/dpkg/status": strings.Join([]string{
			stanza("kept", "amd64", "1", "installed"), stanza("upgraded", "amd64", "1", "installed"),
			stanza("removed", "amd64", "1", "installed"),
			stanza("moved", "i386", "1", "installed"), stanza("lib", "i386", "1", "installed", same),
		}, "\n"),
		"var/lib/dpkg/updates/0000":  stanza("upgraded", "amd64", "2", "unpacked"),
		"var/lib/dpkg/updates/0001":  stanza("removed", "amd64", "1", "not-installed"),
		"var/lib/dpkg/updates/0002":  stanza("moved", "amd64", "2", "installed"),
		"var/lib/dpkg/updates/0003":  stanza("lib", "amd64", "2", "installed", same),
		"var/lib/dpkg/updates/0004":  stanza("new", "amd64", "1", "half-installed"),
		"var/lib/dpkg/updates/0010":  stanza("upgraded", "amd64", "2", "installed"),
		"var/lib/dpkg/updates/tmp.i": "#padded\n#padded\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"kept:amd64 1 installed", "lib:amd64 2 installed", "lib:i386 1 installed", "moved:amd64 2 installed",
		"new:amd64 1 half-installed", "upgraded:amd64 2 installed",
	}
	var got []string
	for _, p := range db.packages {
		got = append(got, fmt.Sprintf("%s:%s %s %s", p.Name, p.Arch, p.EVR(), p.State))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if notes := db.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "status file (6)") {
		t.Errorf("notes: %q", notes)
	}

	status := stanza("a", "amd64", "1", "installed")
	for name, files := range map[string]map[string]string{
		"different lengths": {"var/lib/dpkg/updates/1": status, "var/lib/dpkg/updates/02": status},
		"two packages":      {"var/lib/dpkg/updates/1": status + "\n" + stanza("b", "amd64", "1", "installed")},
		"truncated":         {"var/lib/dpkg/updates/1": status[:len(status)-2]},
		"no package":        {"var/lib/dpkg/updates/1": "nonsense\n"},
	} {
		files["var/lib/dpkg/status"] = ""
		if _, err := Open(t.Context(), tree(files)); !errors.Is(err, ErrCorrupt) ||
			!strings.Contains(err.Error(), "updates") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const twoLibraries = `Package: lib
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 1

Package: lib
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 1

Package: tool
Status: install ok installed
Architecture: amd64
Version: 1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: empty
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: wish
Status: install ok not-installed
Architecture: amd64
`

func TestDPKGLists(t *testing.T) {
	files := map[string]string{
		"var/lib/dpkg/status":              twoLibraries,
		"var/lib/dpkg/info/format":         "1\n",
		"var/lib/dpkg/info/lib:amd64.list": "/.\n/usr\n/usr/lib/x86_64-linux-gnu/lib.so\n/usr/share/doc/lib\n",
		"var/lib/dpkg/info/lib:i386.list":  "/.\n/usr/lib/i386-linux-gnu/lib.so\n/usr/share/doc/lib/\n",
		"var/lib/dpkg/info/tool.list":      "/.\n/usr/bin/tool\n/usr/share/doc/lib/\n/home/tool\n",
		"var/lib/dpkg/info/tool.md5sums":   "x",
		"var/lib/dpkg/info/gone.list":      "/etc/gone.conf\n",
		"var/lib/dpkg/info/wish.list":      "/.\n",
		"var/lib/dpkg/diversions": "/usr/bin/tool\n/usr/bin/tool.real\nlib\n/usr/share/doc/lib\n" +
			"/usr/share/doc/lib.other\ntool\n/home/tool\n/home/other\n:\n",
	}
	root := tree(files)
	root["var/lib/dpkg/info/tool.list"].ModTime = time.Date(2024, 5, 6, 7, 8, 9, 0, time.FixedZone("", 3600))
	db, err := Open(t.Context(), root)
	if err != nil || len(db.Notes()) != 0 {
		t.Fatal(err, db.Notes())
	}
	want := `gone.amd64	/etc/gone.conf
lib.amd64	/
lib.amd64	/usr
lib.amd64	/usr/lib/x86_64-linux-gnu/lib.so
lib.amd64	/usr/share/doc/lib.other
lib.i386	/
lib.i386	/usr/lib/i386-linux-gnu/lib.so
lib.i386	/usr/share/doc/lib.other
tool.amd64	/
tool.amd64	/home/other
tool.amd64	/usr/bin/tool.real
tool.amd64	/usr/share/doc/lib
`
	if diff := cmp.Diff(want, fileLines(t, db)); diff != "" {
		t.Error(diff)
	}
	if p := must(db.Find("tool"))[0]; !p.Installed.Equal(time.Date(2024, 5, 6, 6, 8, 9, 0, time.UTC)) {
		t.Errorf("installed: %s", p.Installed)
	}
	if p := must(db.Find("empty"))[0]; !p.Installed.IsZero() {
		t.Errorf("installed: %s", p.Installed)
	}

	// Format 0 has no architectures in names.
	delete(files, "var/lib/dpkg/info/format")
	files["var/lib/dpkg/status"] = "Package: lib\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: " +
		"same\nVersion: 1\n"
	files["var/lib/dpkg/info/lib.list"] = "/lib\n"
	db, err = Open(t.Context(), tree(files))
	if err != nil {
		t.Fatal(err)
	}
	if got := must(db.Owners("/lib")); len(got) != 1 {
		t.Errorf("owners: %v", got)
	}
	// The lists that are left over have no package.
	if notes := db.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "5 packages") {
		t.Errorf("notes: %q", notes)
	}
	if _, err := db.Find("tool"); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "info/tool.list") {
		t.Errorf("Find of a package with a list and no status: %v", err)
	}
	if got, err := db.Find("other"); err != nil || len(got) != 0 {
		t.Errorf("Find of a package that is not there: %v, %v", got, err)
	}
}

// An empty list is that of a package without files.
func TestDPKGEmptyList(t *testing.T) {
	for _, status := range []string{"install ok installed", "deinstall ok config-files"} {
		db, err := Open(t.Context(), tree(map[string]string{
			"var/lib/dpkg/status": "Package: a\nStatus: " + status +
				"\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 1\n",
			"var/lib/dpkg/info/a.list": "", "var/lib/dpkg/info/b.list": "/b\n",
		}))
		if err != nil {
			t.Fatal(err)
		}
		if files, err := db.Files(db.packages[0]); err != nil || len(files) != 0 {
			t.Errorf("%s: %q, %v", status, files, err)
		}
		if _, err := db.Under("/home"); err != nil {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestDPKGListDamage(t *testing.T) {
	const status = "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: install ok " +
		"installed\nVersion: 1\n"
	for text, says := range map[string]string{
		"/usr/bin/a": "truncated after 10 bytes",
		"/.\n\n":     "line 2: no path",
		"/.\nusr\n":  "line 2: no path",
		"/a\x00b\n":  "line 1: no path",
		"missing":    "info/a.list is missing",
	} {
		files := map[string]string{"var/lib/dpkg/status": status, "var/lib/dpkg/info/a.list": text,
			"var/lib/dpkg/info/b.list": "/b\n"}
		if text == "missing" {
			delete(files, "var/lib/dpkg/info/a.list")
		}
		db, err := Open(t.Context(), tree(files))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got, err := db.Find("other"); err != nil || len(got) != 0 {
			t.Errorf("%q: the packages are known: %v, %v", text, got, err)
		}
		_, filesErr := db.Files(db.packages[0])
		owners, ownersErr := db.Owners("/b")
		_, underErr := db.Under("/home")
		for what, err := range map[string]error{"Files": filesErr, "Owners": ownersErr, "Under": underErr} {
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), says) ||
				!strings.HasPrefix(err.Error(), "var/lib/dpkg: files of package a: ") {
				t.Errorf("%q: %s: %v, want %q", text, what, err, says)
			}
		}
		if b, err := db.Files(db.packages[1]); err != nil || !slices.Equal(b, []string{"/b"}) || len(owners) != 1 {
			t.Errorf("%q: the other package: %q, %v", text, b, err)
		}
	}
	for name, tt := range map[string]struct {
		file, text string
		want       error
	}{
		"format 2":          {"info/format", "2\n", ErrUnsupported},
		"format of letters": {"info/format", "one\n", ErrCorrupt},
		"no format":         {"info/format", "", ErrCorrupt},
		"2 lines":           {"diversions", "/a\n/b\n", ErrCorrupt},
		"4 lines":           {"diversions", "/a\n/b\nc\n/d\n", ErrCorrupt},
		"no last newline":   {"diversions", "/a\n/b\nc", ErrCorrupt},
		"no path":           {"diversions", "a\n/b\nc\n", ErrCorrupt},
		"no other path":     {"diversions", "/a\n\nc\n", ErrCorrupt},
		"no package":        {"diversions", "/a\n/b\n\n", ErrCorrupt},
	} {
		db, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status": status,
			"var/lib/dpkg/" + tt.file: tt.text}))
		if !errors.Is(err, tt.want) || db == nil || !strings.Contains(err.Error(), "var/lib/dpkg/") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDPKGStatusD(t *testing.T) {
	db, err := Open(t.Context(), tree(map[string]string{
		"var/lib/dpkg/status":      "Package: b\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n",
		"var/lib/dpkg/info/b.list": "/b\n",
		"var/lib/dpkg/status.d/a":  "Package: a\nVersion: 1\nArchitecture: all",
		"var/lib/dpkg/status.d/a.md5sums": "0123456789abcdef0123456789abcdef  usr/share/a  " +
			"b\n0123456789abcdef0123456789abcdef  ./usr/share/c\n",
		"var/lib/dpkg/status.d/a.preinst":         "#!/bin/sh\n",
		"var/lib/dpkg/status.d/b":                 "Package: b\nVersion: 1\nArchitecture: all\n",
		"var/lib/dpkg/status.d/cHl0aG9uMy4xMQ==":  "Package: python3.11\nVersion: 3.11.2-6\nArchitecture: amd64\n",
		"var/lib/dpkg/status.d/python3.9":         "Package: python3.9\nVersion: 3.9\nArchitecture: amd64\n",
		"var/lib/dpkg/status.d/python3.9.md5sums": "0123456789abcdef0123456789abcdef /usr\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a:all 1 installed reinstall=false installed=true",
		"b:all 2 installed reinstall=false installed=true",
		"python3.11:amd64 3.11.2-6 installed reinstall=false installed=true",
		"python3.9:amd64 3.9 installed reinstall=false installed=true",
	}
	if diff := cmp.Diff(want, dpkgLines(db)); diff != "" {
		t.Error(diff)
	}
	if files, err := db.Files(db.packages[0]); err != nil ||
		!slices.Equal(files, []string{"/usr/share/a  b", "/usr/share/c"}) {
		t.Errorf("files: %q, %v", files, err)
	}
	for i, says := range map[int]string{2: "status.d/cHl0aG9uMy4xMQ==.md5sums is missing",
		3: "status.d/python3.9.md5sums: line 1: no checksum"} {
		if _, err := db.Files(db.packages[i]); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), says) {
			t.Errorf("files of %s: %v", db.packages[i].Name, err)
		}
	}
	if !db.packages[0].Installed.IsZero() {
		t.Errorf("installed: %s", db.packages[0].Installed)
	}

	if _, err := Open(t.Context(), tree(map[string]string{"var/lib/dpkg/status.d/a": "nonsense\n"})); !errors.Is(err,
		ErrCorrupt) || !strings.Contains(err.Error(), "status.d/a: line 1") {
		t.Errorf("damaged: %v", err)
	}
}

// What an error of the file system hides is no file that is not there.
func TestDPKGUnreadableFolders(t *testing.T) {
	const p = "Package: a\nStatus: install ok installed\nVersion: 1\n"
	root := tree(map[string]string{"var/lib/dpkg/status": p, "var/lib/dpkg/info/a.list": "/.\n",
		"var/lib/dpkg/updates/0000": p, "var/lib/dpkg/status.d/b": p, "var/lib/dpkg/info/format": "1",
		"var/lib/dpkg/diversions": ""})
	for _, name := range []string{"var/lib/dpkg/status", "var/lib/dpkg/updates", "var/lib/dpkg/info",
		"var/lib/dpkg/status.d", "var/lib/dpkg/diversions", "var/lib/dpkg/info/format"} {
		if _, err := Open(t.Context(), refusing{root, name}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"var/lib/rpm/Packages", "usr/lib/sysimage/rpm/rpmdb.sqlite"} {
		if _, err := Open(t.Context(), refusing{root, name}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusing refuses to open one name.
type refusing struct {
	fs.FS
	name string
}

func (r refusing) Open(name string) (fs.File, error) {
	if name == r.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return r.FS.Open(name)
}

// The sum of a file is in the list of its package, which has the architecture in its name
// if several may be installed.
func TestMD5Sum(t *testing.T) {
	const sum = "0123456789abcdef0123456789abcdef"
	line := sum + "  usr/bin/a\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // "" for none
		err   error
	}{
		"no list":   {nil, "", nil},
		"empty":     {map[string]string{"a.md5sums": ""}, "", nil},
		"one":       {map[string]string{"a.md5sums": line}, sum, nil},
		"two":       {map[string]string{"a.md5sums": strings.Repeat("0", 32) + "  x\n" + line}, sum, nil},
		"no end":    {map[string]string{"a.md5sums": strings.TrimSpace(line)}, sum, nil},
		"dot":       {map[string]string{"a.md5sums": sum + "  ./usr/bin/a\n"}, sum, nil},
		"case":      {map[string]string{"a.md5sums": strings.ToUpper(sum) + "  usr/bin/a\n"}, sum, nil},
		"another":   {map[string]string{"a.md5sums": sum + "  usr/bin/b\n", "b.md5sums": line}, "", nil},
		"short":     {map[string]string{"a.md5sums": line[1:]}, "", ErrCorrupt},
		"long":      {map[string]string{"a.md5sums": "0" + line}, "", ErrCorrupt},
		"no path":   {map[string]string{"a.md5sums": line + sum + "  \n"}, "", ErrCorrupt},
		"one space": {map[string]string{"a.md5sums": sum + " usr/bin/a\n"}, "", ErrCorrupt},
		"a zero":    {map[string]string{"a.md5sums": sum + "  usr/bin/a\x00\n"}, "", ErrCorrupt},
		"of an architecture": {
			map[string]string{"a:amd64.md5sums": line, "a.md5sums": strings.Repeat("0", 32) + "  usr/bin/a\n"}, sum, nil,
		},
	} {
		root := map[string]string{}
		for file, text := range c.files {
			root[dpkgInfo+"/"+file] = text
		}
		got, ok, err := MD5Sum(tree(root), Package{Name: "a", Arch: "amd64"}, "/usr/bin/a")
		if got != c.want || ok != (c.want != "") || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %t, %v", name, got, ok, err)
		}
	}
	for size, want := range map[int64]error{maxSums: nil, maxSums + 1: ErrUnsupported} {
		text := strings.Repeat(line, int(size)/len(line)-1) + sum + "  " // the last path is as long as is left
		text += strings.Repeat("x", int(size)-len(text))
		if len(text) != int(size) {
			t.Fatalf("%d bytes", len(text))
		}
		_, ok, err := MD5Sum(tree(map[string]string{dpkgInfo + "/a.md5sums": text}), Package{Name: "a"}, "/usr/bin/a")
		if ok != (want == nil) || !errors.Is(err, want) {
			t.Errorf("%d bytes: %t, %v", size, ok, err)
		}
	}
}
