package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Where dpkg keeps what packages brought, and what was diverted.
const (
	dpkgInfo       = dpkgDir + "/info"
	dpkgDiversions = dpkgDir + "/diversions"
)

const (
	// maxList is the largest list of files of one package, in bytes. The
	// largest ones have 3 MiB.
	maxList = 64 << 20
	// maxSums is the largest list of checksums of one package, in bytes. The largest
	// ones have 3 MiB.
	maxSums = 16 << 20
	// maxDiversions is the largest list of diversions, in bytes. Real ones have
	// 10 KiB.
	maxDiversions = 1 << 20
	// maxFormat is the largest file with a number, in bytes.
	maxFormat = 64
	// multiArchFormat is the format of info/ from which on the lists of some
	// packages have the architecture in their name, and the last that is known.
	multiArchFormat = 1
)

// dpkgLists reads the lists of files.
type dpkgLists struct {
	*builder
	ctx        context.Context
	fsys       fs.FS
	format     uint64
	lists      map[string]fs.DirEntry // in info/, of which no package was read yet
	diversions map[string]diversion
}

// diversion says that a file of all packages but one goes by another name.
type diversion struct {
	to  []byte
	pkg string // "" if it is that of no package
}

// open reads what goes for all packages.
func (l *dpkgLists) open() error {
	l.lists = map[string]fs.DirEntry{}
	entries, err := fs.ReadDir(l.fsys, dpkgInfo)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".list") {
			l.lists[e.Name()] = e
		}
	}
	switch data, err := readFile(l.fsys, dpkgInfo+"/format", maxFormat); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		text := string(bytes.TrimSpace(data))
		if l.format, err = strconv.ParseUint(text, 10, 32); err != nil {
			return fmt.Errorf("%s/format: %q: %w", dpkgInfo, text, ErrCorrupt)
		}
		if l.format > multiArchFormat {
			return fmt.Errorf("%s: format %d: %w", dpkgInfo, l.format, ErrUnsupported)
		}
	}
	return l.readDiversions()
}

// readDiversions reads the list of diversions, in which each has three lines:
// the name, the other name, and the package that keeps the name, or ":".
func (l *dpkgLists) readDiversions() error {
	data, err := readFile(l.fsys, dpkgDiversions, maxDiversions)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bytes.Split(data, []byte("\n"))
	if n := len(lines) - 1; n%3 != 0 || len(lines[n]) > 0 {
		return fmt.Errorf("%s: it ends in the middle of a diversion: %w", dpkgDiversions, ErrCorrupt)
	}
	l.diversions = map[string]diversion{}
	for i := 0; i+3 < len(lines); i += 3 {
		from, to, pkg := lines[i], lines[i+1], string(lines[i+2])
		if len(from) == 0 || from[0] != '/' || len(to) == 0 || to[0] != '/' || pkg == "" {
			return fmt.Errorf("%s: line %d: no diversion: %w", dpkgDiversions, i+1, ErrCorrupt)
		}
		l.diversions[string(from)] = diversion{to, strings.TrimPrefix(pkg, ":")}
	}
	return nil
}

// name returns the name of a package's list.
func (l *dpkgLists) name(p dpkgPackage) string {
	if p.same && l.format >= multiArchFormat {
		return p.Name + ":" + p.Arch + ".list"
	}
	return p.Name + ".list"
}

// modified returns when the list of a package was written, the zero time if
// there is none.
func (l *dpkgLists) modified(p dpkgPackage) (time.Time, error) {
	e := l.lists[l.name(p)]
	if e == nil || p.file != "" {
		return time.Time{}, nil
	}
	info, err := e.Info()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime().UTC(), nil
}

// known takes note that a package without files is in the status file.
func (l *dpkgLists) known(p dpkgPackage) { delete(l.lists, l.name(p)) }

// read adds the files of a package. Damage is noted; the error is one that ends
// the reading.
func (l *dpkgLists) read(pkg int, p dpkgPackage) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	var err error
	if p.file != "" {
		err = l.readSums(pkg, p)
	} else {
		err = l.readList(pkg, p)
	}
	if errors.Is(err, ErrCorrupt) {
		l.failFiles(pkg, err)
		return nil
	}
	return err
}

// readList reads a list of paths, a line each.
func (l *dpkgLists) readList(pkg int, p dpkgPackage) error {
	name := l.name(p)
	if l.lists[name] == nil {
		if p.State == "config-files" {
			return nil // whose configuration was removed too
		}
		return fmt.Errorf("info/%s is missing: %w", name, ErrCorrupt)
	}
	delete(l.lists, name)
	data, err := readFile(l.fsys, dpkgInfo+"/"+name, maxList)
	if err != nil {
		return err
	}
	// An empty list is that of a package without files: one of which only
	// configuration is left, or that never had any.
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return fmt.Errorf("info/%s is truncated after %d bytes: %w", name, len(data), ErrCorrupt)
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		path := bytes.TrimSuffix(line, []byte("\n"))
		if len(path) > 1 {
			path = bytes.TrimSuffix(path, []byte("/"))
		}
		if len(path) == 0 || path[0] != '/' || bytes.IndexByte(path, 0) >= 0 {
			return fmt.Errorf("info/%s: line %d: no path: %.100q: %w", name, n, path, ErrCorrupt)
		}
		if d, ok := l.diversions[string(path)]; ok && d.pkg != p.Name {
			path = d.to
		}
		if err := l.db.files.add(pkg, path); err != nil {
			return fmt.Errorf("%s: %w", dpkgDir, err)
		}
	}
	return nil
}

// readSums reads a list of checksums: 32 hexadecimal digits, two spaces, a path
// below the root.
func (l *dpkgLists) readSums(pkg int, p dpkgPackage) error {
	name := p.file + ".md5sums"
	data, err := readFile(l.fsys, dpkgStatusD+"/"+name, maxList)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("status.d/%s is missing: %w", name, ErrCorrupt)
	}
	if err != nil {
		return err
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		_, path, ok := sumLine(line)
		if !ok {
			return fmt.Errorf("status.d/%s: line %d: no checksum and path: %w", name, n, ErrCorrupt)
		}
		if err := l.db.files.add(pkg, path); err != nil {
			return fmt.Errorf("%s: %w", dpkgDir, err)
		}
	}
	return nil
}

// sumLine reads a line of a list of checksums: 32 digits, two spaces, and a path below
// the root, which is returned with a slash.
func sumLine(line []byte) (sum, path []byte, ok bool) {
	sum, path, ok = bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("  "))
	path = append([]byte("/"), bytes.TrimPrefix(bytes.TrimPrefix(path, []byte("./")), []byte("/"))...)
	return sum, path, ok && len(sum) == 32 && len(path) > 1 && bytes.IndexByte(path, 0) < 0
}

// MD5Sum returns the MD5 sum that dpkg has of a file of a package, in lower-case
// hexadecimal digits (deb-md5sums(5)), and whether it has one: files of configuration have
// none there. The error wraps ErrCorrupt or ErrUnsupported, or is that of the file system.
func MD5Sum(fsys fs.FS, p Package, path string) (sum string, ok bool, err error) {
	for _, name := range []string{p.Name + ":" + p.Arch, p.Name} {
		file := dpkgInfo + "/" + name + ".md5sums"
		data, err := readFile(fsys, file, maxSums)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", false, err
		}
		n := 0
		for line := range bytes.Lines(data) {
			n++
			digits, of, valid := sumLine(line)
			if !valid {
				return "", false, fmt.Errorf("%s: line %d: no checksum and path: %w", file, n, ErrCorrupt)
			}
			if string(of) == path {
				sum, ok = strings.ToLower(string(digits)), true
			}
		}
		return sum, ok, nil
	}
	return "", false, nil
}

// close takes note of lists of packages that the status file does not name.
func (l *dpkgLists) close() {
	if len(l.lists) == 0 {
		return
	}
	l.db.orphans = map[string]string{}
	for file := range l.lists {
		name, _, _ := strings.Cut(strings.TrimSuffix(file, ".list"), ":")
		l.db.orphans[name] = file
	}
	if len(l.db.packages) == 0 {
		l.corrupt(fmt.Errorf("the status file names no package, but info has the file lists of %d: %w", len(l.lists),
			ErrCorrupt))
		return
	}
	l.db.note("folder info has the file lists of %d packages that the status file does not name", len(l.lists))
}
