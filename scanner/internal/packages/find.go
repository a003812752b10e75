package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// rpmFile is a database of rpm that was found.
type rpmFile struct {
	kind  Kind
	path  string
	notes []string
}

// Where databases of rpm are. The ones that newer systems have come first.
var (
	rpmDirs  = []string{"usr/lib/sysimage/rpm", "var/lib/rpm"}
	rpmForms = []rpmFile{{kind: RPMSQLite, path: "rpmdb.sqlite"}, {kind: RPMNDB, path: "Packages.db"},
		{kind: RPMBDB, path: "Packages"}}
)

// findRPM finds the database that rpm would use, nil if there is none.
func findRPM(fsys fs.FS) (*rpmFile, error) {
	var found []rpmFile
	for _, dir := range rpmDirs {
		if isAlias(fsys, dir) {
			continue
		}
		for _, form := range rpmForms {
			form.path = dir + "/" + form.path
			ok, err := exists(fsys, form.path)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, form)
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	chosen := found[0]
	if len(found) > 1 {
		macros, err := readMacros(fsys)
		if err != nil {
			return nil, err
		}
		chosen = macros.choose(found)
	}
	for _, f := range found {
		if f.path != chosen.path {
			chosen.notes = append(chosen.notes, fmt.Sprintf("rpm does not use the other database, %s",
				f.path))
		}
	}
	return &chosen, nil
}

// isAlias reports whether a folder is a symbolic link to another of rpmDirs.
func isAlias(fsys fs.FS, dir string) bool {
	target, err := fs.ReadLink(fsys, dir)
	if err != nil {
		return false
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(dir), target)
	}
	target = strings.TrimPrefix(path.Clean(target), "/")
	return target != dir && slices.Contains(rpmDirs, target)
}

// macros are the values of rpm's macros that choose a database.
type macros struct {
	read    bool   // there are files of macros
	dir     string // of %_dbpath, as it is written
	backend string // of %_db_backend
}

// maxMacros is the largest file of macros that is read, in bytes. rpm's own
// has 50,000.
const maxMacros = 1 << 20

// readMacros reads the files of macros that packages and administrators write,
// in rpm's order.
func readMacros(fsys fs.FS) (macros, error) {
	names := []string{"usr/lib/rpm/macros"}
	for _, dir := range []string{"usr/lib/rpm/macros.d", "etc/rpm"} {
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return macros{}, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "macros.") && !e.IsDir() {
				names = append(names, dir+"/"+e.Name())
			}
		}
	}
	var m macros
	for _, name := range append(names, "etc/rpm/macros") {
		data, err := readFile(fsys, name, maxMacros)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return m, err
		}
		m.read = true
		for line := range strings.Lines(string(data)) {
			switch f := strings.Fields(line); {
			case len(f) < 2:
			case f[0] == "%_dbpath":
				m.dir = f[1]
			case f[0] == "%_db_backend":
				m.backend = f[1]
			}
		}
	}
	return m, nil
}

// choose returns the database that rpm uses: in its folder the one of its
// form, or the first in the order of found.
func (m macros) choose(found []rpmFile) rpmFile {
	inDir := found
	switch {
	case strings.HasSuffix(m.dir, "/sysimage/rpm"):
		inDir = within(found, rpmDirs[0])
	case m.read:
		inDir = within(found, rpmDirs[1])
	}
	for _, f := range inDir {
		if m.uses(f.kind) {
			return f
		}
	}
	return inDir[0]
}

// within returns the databases in a folder, or all if there are none in it.
func within(found []rpmFile, dir string) []rpmFile {
	var in []rpmFile
	for _, f := range found {
		if path.Dir(f.path) == dir {
			in = append(in, f)
		}
	}
	if in == nil {
		return found
	}
	return in
}

// uses reports whether rpm is set to use a form. Without the macro rpm is so
// old that it knows only one.
func (m macros) uses(kind Kind) bool {
	switch m.backend {
	case "sqlite":
		return kind == RPMSQLite
	case "ndb":
		return kind == RPMNDB
	}
	return m.read && kind == RPMBDB
}

// findLogs looks for transaction logs of Berkeley DB in a database's folder.
func findLogs(fsys fs.FS, name string) error {
	entries, err := fs.ReadDir(fsys, path.Dir(name))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), "log."); ok && len(number) == 10 &&
			strings.Trim(number, "0123456789") == "" {
			return fmt.Errorf("the transaction log %s may have changes that the database lacks: %w",
				e.Name(), ErrUnsupported)
		}
	}
	return nil
}
