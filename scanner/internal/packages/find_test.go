package packages

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestNoDatabase(t *testing.T) {
	for name, root := range map[string]fstest.MapFS{
		"empty": {},
		"folders": tree(map[string]string{"var/lib/rpm/Name": "x", "var/lib/rpm/__db.001": "x",
			"var/lib/dpkg/info/a.list": "/.\n", "usr/lib/sysimage/rpm/x": ""}),
		"opkg": tree(map[string]string{"var/lib/opkg/status": "Package: a\n"}),
	} {
		if db, err := Open(t.Context(), root); db != nil || !errors.Is(err, ErrNoDatabase) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, db, err)
		}
	}
}

func TestWhichRPMDatabase(t *testing.T) {
	const (
		oldBDB, oldNDB, oldSQLite = "var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite"
		newBDB, newNDB, newSQLite = "usr/lib/sysimage/rpm/Packages", "usr/lib/sysimage/rpm/Packages.db",
			"usr/lib/sysimage/rpm/rpmdb.sqlite"
	)
	for name, tt := range map[string]struct {
		files  []string
		macros map[string]string
		want   string
	}{
		"one, whatever the macros say": {[]string{oldBDB}, map[string]string{"usr/lib/rpm/macros": "%_db_backend sqlite\n"},
			oldBDB},
		"no macros":               {[]string{oldBDB, oldNDB, oldSQLite}, nil, oldSQLite},
		"no macros, no SQLite":    {[]string{oldBDB, oldNDB}, nil, oldNDB},
		"no macros, both folders": {[]string{oldSQLite, newBDB}, nil, newBDB},
		"macros of old rpm": {[]string{oldBDB, oldNDB, oldSQLite},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath\t\t%{_var}/lib/rpm\n"}, oldBDB},
		"macros of RHEL 8": {[]string{oldBDB, oldSQLite},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath %{_var}/lib/rpm\n%_db_backend\t      bdb\n"}, oldBDB},
		"macros of RHEL 9": {[]string{oldBDB, oldSQLite},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath\t\t%{_var}/lib/rpm\n%_db_backend\t      sqlite\n"}, oldSQLite},
		"macros of Fedora": {[]string{oldBDB, newSQLite},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath %{_prefix}/lib/sysimage/rpm\n%_db_backend sqlite\n"}, newSQLite},
		"macros of SUSE": {[]string{newSQLite, newNDB},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath %{_usr}/lib/sysimage/rpm\n%_db_backend ndb\n"}, newNDB},
		"old folder by the macros": {[]string{oldBDB, newSQLite},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath %{_var}/lib/rpm\n%_db_backend bdb\n"}, oldBDB},
		"a folder without one": {[]string{newBDB, newNDB},
			map[string]string{"usr/lib/rpm/macros": "%_dbpath %{_var}/lib/rpm\n%_db_backend ndb\n"}, newNDB},
		"a form that is not there": {[]string{oldBDB, oldNDB},
			map[string]string{"usr/lib/rpm/macros": "%_db_backend sqlite\n"}, oldNDB},
		"a later file": {[]string{oldBDB, oldSQLite}, map[string]string{
			"usr/lib/rpm/macros": "%_db_backend sqlite\n", "usr/lib/rpm/macros.d/macros.x": "%_db_backend ndb\n",
			"etc/rpm/macros.db": "%_db_backend  bdb_ro\n"}, oldBDB},
		"the administrator's file": {[]string{oldBDB, oldSQLite}, map[string]string{
			"usr/lib/rpm/macros": "%_db_backend bdb\n", "etc/rpm/macros.z": "%_db_backend bdb\n",
			"etc/rpm/macros": "# none\n%_db_backend sqlite\n"}, oldSQLite},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(tt.macros)
			for _, f := range tt.files {
				root[f] = &fstest.MapFile{Data: ndb(), Mode: 0o644}
			}
			found, err := findRPM(root)
			if err != nil || found.path != tt.want || found.kind == "" {
				t.Fatalf("%+v, %v, want %s", found, err, tt.want)
			}
			if len(found.notes) != len(tt.files)-1 {
				t.Errorf("notes: %q", found.notes)
			}
			for _, f := range tt.files {
				if named := strings.Contains(strings.Join(found.notes, ";")+";", f+";"); named != (f != tt.want) {
					t.Errorf("%s in the notes: %v", f, named)
				}
			}
		})
	}
	root := tree(map[string]string{oldBDB: "", oldNDB: "", "usr/lib/rpm/macros": ""})
	for size, ok := range map[int64]bool{maxMacros: true, maxMacros + 1: false} {
		if _, err := findRPM(hugeFS{FS: root, name: "usr/lib/rpm/macros", size: size}); (err == nil) != ok {
			t.Errorf("%d bytes of macros: %v", size, err)
		}
	}
	for _, dir := range []string{"usr/lib/rpm/macros.d", "etc/rpm"} {
		if _, err := findRPM(refusing{root, dir}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("unreadable %s: %v", dir, err)
		}
	}
	broken := errors.New("the disk is broken")
	if _, err := findRPM(hugeFS{root, "usr/lib/rpm/macros", 10, broken}); !errors.Is(err, broken) {
		t.Errorf("unreadable macros: %v", err)
	}
}

// One of the two folders is a link to the other, as on Fedora and SUSE.
func TestLinkedFolder(t *testing.T) {
	data := testdata(t, "Packages-1234-4096.gz")
	// The absolute target is not in the folder of the test, so only the link
	// shows that the two are the same.
	for _, tt := range []struct{ folder, link, target, want string }{
		{"usr/lib/sysimage/rpm", "var/lib/rpm", "../../usr/lib/sysimage/rpm", "usr/lib/sysimage/rpm/Packages"},
		{"usr/lib/sysimage/rpm", "var/lib/rpm", "/usr/lib/sysimage/rpm", "usr/lib/sysimage/rpm/Packages"},
		{"var/lib/rpm", "usr/lib/sysimage/rpm", "../../../var/lib/rpm", "var/lib/rpm/Packages"},
		{"srv/rpm", "var/lib/rpm", "../../srv/rpm", "var/lib/rpm/Packages"},
	} {
		dir := t.TempDir()
		for _, d := range []string{tt.folder, filepath.Dir(tt.link)} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(tt.target, filepath.Join(dir, tt.link)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, tt.folder, "Packages"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), os.DirFS(dir))
		if err != nil || db.Path() != tt.want || len(db.packages) != 8 || len(db.Notes()) != 0 {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestTransactionLogs(t *testing.T) {
	root := rpmRoot("var/lib/rpm/Packages", testdata(t, "Packages-1234-512.gz"))
	for name, unsupported := range map[string]bool{
		"log.0000000001": true, "log.0123456789": true, "log.1": false, "log.00000000a1": false, "__db.001": false,
		"log.": false, "Name": false,
	} {
		db, err := Open(t.Context(), with(root, "var/lib/rpm/"+name, nil))
		if db == nil || len(db.packages) != 8 || errors.Is(err, ErrUnsupported) != unsupported || !unsupported && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := db.Find("zeta"); (err != nil) != unsupported {
			t.Errorf("%s: Find: %v", name, err)
		}
	}
}

// A system may have the tools of the other kind, and a few packages.
func TestBothKinds(t *testing.T) {
	status := func(n int) string {
		s := ""
		for i := range n {
			s += "Package: p" + string(rune('a'+i)) + "\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
		}
		return s + "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n"
	}
	rpm := rpmRoot("var/lib/rpm/Packages", testdata(t, "Packages-1234-512.gz"))
	damaged := slices.Clone(rpm["var/lib/rpm/Packages"].Data)
	damaged[0]++
	damaged[metaMagic]++
	for name, tt := range map[string]struct {
		root fstest.MapFS
		want Kind
		err  error
		note string
	}{
		"more of rpm": {with(rpm, "var/lib/dpkg/status", []byte(status(7))), RPMBDB, nil,
			"var/lib/dpkg, has 7 installed"},
		"as many": {with(rpm, "var/lib/dpkg/status", []byte(status(8))), RPMBDB, nil,
			"var/lib/dpkg, has 8 installed"},
		"more of dpkg": {with(rpm, "var/lib/dpkg/status", []byte(status(9))), DPKG, nil,
			"var/lib/rpm/Packages, has 8 installed"},
		"rpm damaged": {with(rpmRoot("var/lib/rpm/Packages", damaged), "var/lib/dpkg/status", []byte(status(9))),
			RPMBDB, ErrCorrupt, "var/lib/dpkg, has 9 installed"},
		"dpkg damaged": {with(rpm, "var/lib/dpkg/status", []byte("Package a\n")), DPKG, ErrCorrupt,
			"var/lib/rpm/Packages, has 8 installed"},
		"dpkg of no packages": {with(rpm, "var/lib/dpkg/status", nil), RPMBDB, nil, "var/lib/dpkg, has 0 installed"},
	} {
		db, err := Open(t.Context(), tt.root)
		if db == nil || db.Kind() != tt.want || !errors.Is(err, tt.err) || tt.err == nil && err != nil ||
			!strings.Contains(strings.Join(db.Notes(), ";"), tt.note) {
			t.Errorf("%s: %v, notes %q", name, err, db.Notes())
		}
	}
}
