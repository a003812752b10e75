package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Where dpkg's database is, and in its folder.
const (
	dpkgDir     = "var/lib/dpkg"
	dpkgStatus  = dpkgDir + "/status"
	dpkgUpdates = dpkgDir + "/updates"
	dpkgStatusD = dpkgDir + "/status.d"
)

const (
	// maxStatus is the largest status file, in bytes. Large ones have 10 MiB.
	maxStatus = 128 << 20
	// maxUpdateName is the longest name in updates/ (IMPORTANTMAXLEN).
	maxUpdateName = 10
	// maxUpdates is the largest number of files in updates/. dpkg leaves no
	// more than 251 (MAXUPDATES).
	maxUpdates = 1000
)

const stateNone = "not-installed"

// dpkgReader reads dpkg's database.
type dpkgReader struct {
	*builder
	ctx   context.Context
	fsys  fs.FS
	found []dpkgPackage
	index map[[2]string]int // in found, by name and architecture
}

// dpkgPackage is a package and the name of its file list.
type dpkgPackage struct {
	Package
	same bool   // several architectures of it may be installed
	file string // in status.d, "" for one of the status file
}

// findDPKG reports whether there is a database.
func findDPKG(fsys fs.FS) (bool, error) {
	for _, name := range []string{dpkgStatus, dpkgStatusD} {
		if ok, err := exists(fsys, name); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// readDPKG reads the database.
func readDPKG(ctx context.Context, fsys fs.FS) *Database {
	r := &dpkgReader{builder: newBuilder(DPKG, dpkgDir), ctx: ctx, fsys: fsys, index: map[[2]string]int{}}
	return r.finish(r.read())
}

func (r *dpkgReader) read() error {
	for _, step := range []func() error{r.readStatus, r.readUpdates, r.readStatusD} {
		if err := step(); err != nil {
			return err
		}
	}
	lists := dpkgLists{builder: r.builder, ctx: r.ctx, fsys: r.fsys}
	if err := lists.open(); err != nil {
		return err
	}
	for i, p := range r.found {
		if p.State == stateNone {
			lists.known(p)
			continue
		}
		var err error
		if p.Installed, err = lists.modified(p); err != nil {
			return err
		}
		pkg, err := r.add(p.Package, uint32(i))
		if err != nil {
			return fmt.Errorf("%s: %w", dpkgDir, err)
		}
		if err := lists.read(pkg, p); err != nil {
			return err
		}
	}
	lists.close()
	return nil
}

// readStatus reads the status file.
func (r *dpkgReader) readStatus() error {
	data, err := readFile(r.fsys, dpkgStatus, maxStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.stanzas("status", data, func(p dpkgPackage) { r.put(p) })
}

// readUpdates applies what dpkg had not yet worked into the status file. The
// names of the files are numbers of the same length.
func (r *dpkgReader) readUpdates() error {
	entries, err := fs.ReadDir(r.fsys, dpkgUpdates)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.Trim(name, "0123456789") != "" {
			continue
		}
		if len(name) > maxUpdateName || len(names) > 0 && len(name) != len(names[0]) {
			return fmt.Errorf("%s: the name %s is too long or has an unexpected length: %w", dpkgUpdates, name,
				ErrCorrupt)
		}
		names = append(names, name)
	}
	if len(names) > maxUpdates {
		return fmt.Errorf("%s: %d files, more than %d: %w", dpkgUpdates, len(names), maxUpdates, ErrUnsupported)
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := readFile(r.fsys, dpkgUpdates+"/"+name, maxStatus)
		if err != nil {
			return err
		}
		n := 0
		err = r.stanzas("updates/"+name, data, func(p dpkgPackage) {
			if n++; n == 1 {
				r.update(p)
			}
		})
		if err != nil {
			return err
		}
		if n > 1 {
			r.corrupt(fmt.Errorf("updates/%s: %d packages instead of one: %w", name, n, ErrCorrupt))
		}
	}
	if len(names) > 0 {
		r.db.note("applied pending changes to the status file (%d)", len(names))
	}
	return nil
}

// readStatusD reads a folder of stanzas, as on systems that are built without
// dpkg. The stanzas have no status. The other files in the folder are named
// like dpkg's own.
func (r *dpkgReader) readStatusD() error {
	entries, err := fs.ReadDir(r.fsys, dpkgStatusD)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ext, ok := cutLast(e.Name(), '.'); ok && slices.Contains(controlFiles, ext) || e.IsDir() {
			continue
		}
		data, err := readFile(r.fsys, dpkgStatusD+"/"+e.Name(), maxStatus)
		if err != nil {
			return err
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(data, '\n')
		}
		err = r.stanzas("status.d/"+e.Name(), data, func(p dpkgPackage) {
			p.State, p.file = stateInstalled, e.Name()
			if _, ok := r.index[p.key()]; !ok {
				r.put(p)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// controlFiles are what a package's control files are called (deb(5)).
var controlFiles = []string{
	"conffiles", "config", "list", "md5sums", "postinst", "postrm", "preinst", "prerm", "shlibs", "symbols",
	"templates", "triggers",
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// stanzas takes every package of a file. Damage to a stanza is noted.
func (r *dpkgReader) stanzas(file string, data []byte, take func(dpkgPackage)) error {
	for s, err := range stanzas(data) {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if len(r.found) > maxPackages {
			return fmt.Errorf("%s: more than %d packages: %w", dpkgDir, maxPackages, ErrUnsupported)
		}
		var p dpkgPackage
		if err == nil {
			if p, err = s.dpkg(); err != nil {
				err = fmt.Errorf("line %d: %w", s.line, err)
			}
		}
		if err != nil {
			r.corrupt(fmt.Errorf("%s: %w", file, err))
			continue
		}
		take(p)
	}
	return nil
}

func (p dpkgPackage) key() [2]string { return [2]string{p.Name, p.Arch} }

// put adds a package, or replaces what was there of its name and architecture.
func (r *dpkgReader) put(p dpkgPackage) {
	if i, ok := r.index[p.key()]; ok {
		r.found[i] = p
		return
	}
	r.index[p.key()] = len(r.found)
	r.found = append(r.found, p)
}

// update replaces a package. One whose architectures cannot be installed side
// by side changes its architecture so.
func (r *dpkgReader) update(p dpkgPackage) {
	if _, ok := r.index[p.key()]; !ok && !p.same {
		for i, q := range r.found {
			if q.Name == p.Name && !q.same {
				delete(r.index, q.key())
				r.index[p.key()] = i
				r.found[i] = p
				return
			}
		}
	}
	r.put(p)
}

// dpkg returns the package that a stanza describes. Without a status it is not
// installed.
func (s stanza) dpkg() (dpkgPackage, error) {
	p := dpkgPackage{Package: Package{State: stateNone}}
	var status, version, configVersion, multiArch string
	for _, field := range []struct {
		name string
		s    *string
	}{
		{"package", &p.Name}, {"architecture", &p.Arch}, {"maintainer", &p.Packager},
		{"status", &status}, {"version", &version}, {"config-version", &configVersion}, {"multi-arch", &multiArch},
	} {
		var err error
		if *field.s, err = s.value(field.name); err != nil {
			return p, err
		}
	}
	if !isName(p.Name, "-+._") {
		return p, fmt.Errorf("%.100q is not a package name: %w", p.Name, ErrCorrupt)
	}
	// dpkg takes others than its own architectures too, but it is a part of the
	// name of a file.
	if p.Arch != "" && !isName(p.Arch, "-_.") {
		return p, fmt.Errorf("package %s: %.100q is not an architecture: %w", p.Name, p.Arch, ErrCorrupt)
	}
	p.same = multiArch == "same"
	if status != "" {
		if err := p.setStatus(status); err != nil {
			return p, fmt.Errorf("package %s: %w", p.Name, err)
		}
	}
	if version == "" {
		version = configVersion
	}
	if version == "" && (p.State == stateNone || p.State == "half-installed") {
		return p, nil
	}
	if err := p.setVersion(version); err != nil {
		return p, fmt.Errorf("package %s: %w", p.Name, err)
	}
	return p, nil
}

// isName reports whether s is made of letters, digits and some others, and does
// not begin with one of those.
func isName(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(others, c) < 0) {
			return false
		}
	}
	return s != ""
}

// The words of a status: what is wanted, whether there was an error, and how
// far it is.
var (
	dpkgWants  = []string{"unknown", "install", "hold", "deinstall", "purge"}
	dpkgFlags  = []string{"ok", "reinstreq"}
	dpkgStates = []string{stateNone, "config-files", "half-installed", "unpacked", "half-configured",
		"triggers-awaited", "triggers-pending", stateInstalled}
)

func (p *dpkgPackage) setStatus(status string) error {
	words := strings.Fields(strings.ToLower(status))
	if len(words) != 3 || !slices.Contains(dpkgWants, words[0]) || !slices.Contains(dpkgFlags, words[1]) ||
		!slices.Contains(dpkgStates, words[2]) {
		return fmt.Errorf("%.100q is not a status: %w", status, ErrCorrupt)
	}
	p.State, p.Reinstall = words[2], words[1] != "ok"
	return nil
}

// setVersion splits a version: epoch, colon, version, hyphen, revision
// (deb-version(7)).
func (p *dpkgPackage) setVersion(s string) error {
	rest := s
	if epoch, after, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil || n > math.MaxInt32 {
			return fmt.Errorf("epoch of version %.100q: %w", s, ErrCorrupt)
		}
		p.Epoch, rest = uint32(n), after
	}
	var hyphen bool
	p.Version, p.Release, hyphen = cutLast(rest, '-')
	if p.Version == "" || hyphen && p.Release == "" || strings.ContainsAny(rest, " \t\n\x00") {
		return fmt.Errorf("version %.100q: %w", s, ErrCorrupt)
	}
	return nil
}
