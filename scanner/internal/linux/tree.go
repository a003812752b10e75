package linux

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// tree is the machine's file tree: the root volume, and what is mounted on it.
type tree struct {
	root    *volume
	home    *volume             // the volume at /home
	at0     string              // where /home is, links on the way followed
	volumes []*volume           // of the images; the first is the root
	disks   map[string]int      // the images by the names that the kernel is known to give them
	mounts  map[string]mount    // by mount point
	above   map[string][]string // the folders above mount points, and the names of mount points in each
	deepest int                 // how many parts the longest mount point has, once index was called
	trail   *requirement.Trail
	meter   *fact.Meter // of what is being read; nil without bounds

	mountsHome bool // the system itself mounts /home
}

type volume struct {
	role string // "root", "user", or by where it is mounted, as evidence names it
	Volume
}

// File is a file or folder that was looked for.
type File struct {
	Exists   bool
	Dir      bool
	Target   string // of a symbolic link that was not followed
	Size     int64  // in bytes
	Modified time.Time
	ID       fact.ID // the same for all names of one file
	Evidence requirement.Evidence

	volume *volume // the volume that has it
	real   string  // its path, links followed
}

// maxLinks is how many symbolic links Linux follows on one path (MAXSYMLINKS).
const maxLinks = 40

// volumeError says on which volume an error was met.
type volumeError struct {
	role string
	err  error
}

func (e *volumeError) Error() string {
	if at, ok := e.err.(*fs.PathError); ok {
		return fmt.Sprintf("cannot read %s on the %s volume: %v", path.Join("/", at.Path), e.role, at.Err)
	}
	var mount *mountError
	if errors.As(e.err, &mount) {
		return e.err.Error()
	}
	return e.role + " volume: " + e.err.Error()
}

func (e *volumeError) Unwrap() error { return e.err }

// Subject says what the error is about, so that one cause is named once.
func (e *volumeError) Subject() any { return fact.PathSubject(e.role, "", e.err) }

// ofVolume says whether the text of an error names the volume.
func ofVolume(err error) bool {
	return errors.As(err, new(*volumeError)) || fact.IsMissing(err)
}

// mountError says why the volume at a mount point is unknown, and names the
// mount point.
type mountError struct{ err error }

func (e *mountError) Error() string { return e.err.Error() }

func (e *mountError) Unwrap() error { return e.err }

// fileError says about which file an error is.
type fileError struct {
	path string
	err  error
}

func (e *fileError) Error() string { return e.path + ": " + e.err.Error() }

func (e *fileError) Unwrap() error { return e.err }

// inFile says about which file an error is, unless the error does.
func inFile(p string, err error) error {
	var file *fileError
	if err == nil || errors.As(err, &file) || ofVolume(err) {
		return err
	}
	return &fileError{path.Join("/", p), err}
}

var (
	errTooManyLinks = errors.New("too many symbolic links in the path")
	errTooLarge     = errors.New("over the read limit")
	// errSealed is the error for the image of a snap: its content cannot be
	// read, and is not data of users.
	errSealed = errors.New("coldcheck does not read the content of image files")
)

// maxDepth bounds the parts of a mount point.
const maxDepth = 64

// index prepares the tree for look-ups, when all is mounted.
func (t *tree) index() {
	t.above, t.deepest = map[string][]string{}, 0
	seen := map[string]bool{}
	for p := range t.mounts {
		t.deepest = max(t.deepest, strings.Count(p, "/"))
		for p != "/" && p != "." && !seen[p] {
			seen[p] = true
			dir := path.Dir(p)
			t.above[dir] = append(t.above[dir], path.Base(p))
			p = dir
		}
	}
}

// mountOf returns the mount that has an absolute path, and its mount point.
func (t *tree) mountOf(p string) (mount, string) {
	here := p
	if t.deepest > 0 { // nothing is mounted deeper
		parts := 0
		for i := range p {
			if p[i] == '/' {
				if parts++; parts > t.deepest {
					here = p[:i]
					break
				}
			}
		}
	}
	for ; here != "/"; here = path.Dir(here) {
		if m, ok := t.mounts[here]; ok {
			return m, here
		}
	}
	if m, ok := t.mounts["/"]; ok {
		return m, "/"
	}
	return mount{volume: t.root, sub: "."}, "/"
}

// at returns the volume that has an absolute path, and its name there.
func (t *tree) at(p string) (*volume, string) {
	p = path.Clean("/" + p)
	m, point := t.mountOf(p)
	return m.volume, path.Join(m.sub, strings.Trim(strings.TrimPrefix(p, point), "/"))
}

// lstat describes a path without following the link that its last part may be.
func (t *tree) lstat(p string) (fs.FileInfo, *volume, string, error) {
	v, name := t.at(p)
	if err := t.meter.Steps(1); err != nil {
		return nil, v, name, inFile(p, err)
	}
	above := len(t.above[path.Clean("/"+p)]) > 0
	if v.FS == nil && !above {
		return nil, v, name, v.missing()
	}
	if v.FS == nil {
		return madeInfo{path.Base(p), fs.ModeDir | 0o755}, v, name, nil // something else is mounted below it
	}
	info, err := v.FS.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && above {
		return madeInfo{path.Base(p), fs.ModeDir | 0o755}, v, name, nil // systemd makes folders for mount points
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.trail.Record("error", "source", v.role, "path", name, "error", err.Error())
		err = &volumeError{v.role, err}
	}
	return info, v, name, err
}

// resolve follows the symbolic links on the way to a path and, with last, the
// one that it may be itself. The error is fs.ErrNotExist if the path, or what a
// link leads to, is not there.
func (t *tree) resolve(p string, last bool) (string, error) {
	return t.follow(p, last, func(string) bool { return false })
}

// inHome returns the path below /home that a path is or leads to, by links or
// bind mounts, "" if it stays outside. It needs no user volume: the first step
// into /home decides.
func (t *tree) inHome(p string) (string, error) {
	real, err := t.follow(p, true, func(p string) bool { return t.homeName(p) != "" })
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errSealed) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return t.homeName(real), nil
}

// homeName returns the name of a path below /home, if it is there or on the
// user volume; "" otherwise. Links are not followed.
func (t *tree) homeName(p string) string {
	p = path.Clean("/" + p)
	for range maxLinks { // bind mounts that could not be mounted may show each other
		if isHome(p) {
			return p
		}
		if below, ok := strings.CutPrefix(p, t.at0+"/"); ok && t.at0 != "" {
			return "/home/" + below
		}
		m, point := t.mountOf(p)
		if m.origin == "" {
			if m.volume == t.home && m.role == "user" && p != t.at0 {
				return p
			}
			return ""
		}
		p = path.Join(m.origin, strings.TrimPrefix(p, point))
	}
	return ""
}

// homePlaces are the folders below which all is in /home or on the user volume.
func (t *tree) homePlaces() []string {
	places := []string{"/home"}
	for point := range t.mounts {
		if !isHome(point) && point != "/home" && t.homeName(point+"/x") != "" {
			places = append(places, point)
		}
	}
	slices.Sort(places)
	return places
}

// early is the tree as it is when systemd makes units of fstab: nothing is
// mounted yet but /usr.
func (t *tree) early() *tree {
	e := &tree{meter: t.meter, root: t.root, mounts: map[string]mount{}}
	for p, m := range t.mounts {
		if _, api := apiMounts[p]; api || p == "/usr" {
			e.mounts[p] = m
		}
	}
	return e
}

// place returns where a mount point is, links followed. What does not exist
// systemd makes, and what cannot be read is no link: systemd mounts on none.
func (t *tree) place(p string) string {
	real, err := t.walk(p, true, true, func(string) bool { return false })
	if err != nil {
		return path.Clean("/" + p)
	}
	return real
}

// follow resolves a path, and ends early where stop says so of what is left.
func (t *tree) follow(p string, last bool, stop func(string) bool) (string, error) {
	return t.walk(p, last, false, stop)
}

// walk is follow, and with lenient ends where something cannot be found, with
// the rest of the path as it is.
func (t *tree) walk(p string, last, lenient bool, stop func(string) bool) (string, error) {
	left := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	here := "/"
	for links := 0; len(left) > 0; {
		ahead := path.Join(here, path.Join(left...))
		if stop(ahead) {
			return ahead, nil
		}
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			here = path.Dir(here)
			continue
		}
		next := path.Join(here, part)
		if len(left) == 0 && !last {
			return next, nil
		}
		info, v, name, err := t.lstat(next)
		if err != nil && lenient {
			return ahead, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			here = next
			continue
		}
		if links++; links > maxLinks {
			return "", inFile(p, errTooManyLinks)
		}
		target, err := v.FS.ReadLink(name)
		if err != nil {
			return "", &volumeError{v.role, err}
		}
		t.trail.Record("follow", "source", v.role, "path", name, "target", target)
		if path.IsAbs(target) {
			here = "/"
		}
		left = append(strings.Split(target, "/"), left...)
	}
	return here, nil
}

// file looks for a file or folder and follows links to it. That it does not
// exist is no error, nor that a link leads nowhere.
func (t *tree) file(p string) (File, error) { return t.look(p, true) }

// link is file without following the link that the path may be itself.
func (t *tree) link(p string) (File, error) { return t.look(p, false) }

func (t *tree) look(p string, follow bool) (File, error) {
	v, name := t.at(p)
	absent := File{Evidence: absentFile(v.role, name)}
	real, err := t.resolve(p, follow)
	if errors.Is(err, fs.ErrNotExist) {
		t.trail.Record("file", "source", v.role, "path", name, "found", "no")
		return absent, nil
	}
	if err != nil {
		return File{}, err
	}
	info, v, name, err := t.lstat(real)
	if errors.Is(err, fs.ErrNotExist) {
		t.trail.Record("file", "source", v.role, "path", name, "found", "no")
		return absent, nil
	}
	if err != nil {
		return File{}, err
	}
	f := File{Exists: true, Dir: info.IsDir(), Size: info.Size(), Modified: info.ModTime(), volume: v, real: real,
		Evidence: fileEvidence(v.role, name)}
	f.Evidence.Time, f.Evidence.Data = info.ModTime().UTC(), strconv.FormatInt(info.Size(), 10)+" bytes"
	if v.Inode != nil {
		f.ID = fact.ID{Volume: v.role, Number: v.Inode(info)}
	}
	switch {
	case f.Dir:
		f.Evidence.Kind, f.Evidence.Data = requirement.KindFolder, "folder"
	case info.Mode()&fs.ModeSymlink != 0:
		if f.Target, err = v.FS.ReadLink(name); err != nil {
			return File{}, &volumeError{v.role, err}
		}
		f.Evidence.Data = "link to " + f.Target
	}
	t.trail.Record("file", "source", v.role, "path", name, "found", "yes", "size", strconv.FormatInt(f.Size, 10))
	return f, nil
}

// read returns the content of a file of at most limit bytes. A file that does
// not exist is no error: see File.Exists.
func (t *tree) read(p string, limit int64) ([]byte, File, error) {
	f, err := t.file(p)
	if err != nil || !f.Exists {
		return nil, f, err
	}
	if f.Dir {
		return nil, f, inFile(p, errors.New("it is a folder, not a file"))
	}
	if f.Size > limit {
		return nil, f, inFile(p, fmt.Errorf("%d bytes: %w", f.Size, errTooLarge))
	}
	if err := t.meter.File(f.Size); err != nil {
		return nil, f, inFile(p, err)
	}
	v := f.volume
	open, err := t.open(f)
	if err != nil {
		return nil, f, err
	}
	defer open.Close()
	data, err := io.ReadAll(io.LimitReader(open, limit+1))
	if err != nil {
		return nil, f, &volumeError{v.role, err}
	}
	if int64(len(data)) > limit {
		return nil, f, inFile(p, errTooLarge)
	}
	t.trail.Record("open", "source", v.role, "path", f.Evidence.Path, "size", strconv.Itoa(len(data)))
	f.Evidence.Content = true
	return data, f, nil
}

// readParsed returns what parse makes of the content of a file of at most limit
// bytes, the zero value if it does not exist. A file with several names is read
// and parsed once for each fact. kind identifies the parser.
func readParsed[T any](t *tree, p string, limit int64, kind string, parse func([]byte) (T, error)) (T, File, error) {
	var none T
	f, err := t.file(p)
	if err != nil || !f.Exists {
		return none, f, err
	}
	read := func() (T, error) {
		data, _, err := t.read(p, limit)
		if err != nil {
			return none, err
		}
		return parse(data)
	}
	if f.ID.Number == 0 {
		parsed, err := read()
		f.Evidence.Content = err == nil
		return parsed, f, err
	}
	parsed, err := fact.Parsed(t.meter, f.ID, kind, read)
	f.Evidence.Content = err == nil
	return parsed, f, err
}

// list returns the entries of a folder. A folder that does not exist is no
// error: see File.Exists.
func (t *tree) list(p string) ([]fs.DirEntry, File, error) {
	f, err := t.file(p)
	if err != nil || !f.Exists || !f.Dir {
		return nil, f, err
	}
	v := f.volume
	if v.FS == nil {
		return nil, f, v.missing()
	}
	entries, err := v.FS.ReadDir(f.Evidence.Path)
	if err == nil {
		err = t.meter.Folder(len(entries))
	}
	made := t.above[f.real]
	if errors.Is(err, fs.ErrNotExist) && len(made) > 0 {
		err = nil // a folder that systemd makes for a mount point
	}
	if err != nil {
		return nil, f, &volumeError{v.role, err}
	}
	if len(made) > 0 {
		entries = withMade(entries, made)
	}
	t.trail.Record("list", "source", v.role, "path", f.Evidence.Path, "entries", strconv.Itoa(len(entries)))
	return entries, f, nil
}

// withMade adds to the entries of a folder what systemd makes for mount points.
func withMade(entries []fs.DirEntry, made []string) []fs.DirEntry {
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	all := slices.Clone(entries)
	for _, name := range made {
		if !there[name] {
			all = append(all, fs.FileInfoToDirEntry(madeInfo{name, fs.ModeDir | 0o755}))
		}
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// open opens a file that file found, on any volume.
func (t *tree) open(f File) (fs.File, error) {
	if f.volume == nil {
		return nil, inFile(f.Evidence.Path, fs.ErrNotExist)
	}
	open, err := f.volume.FS.Open(f.Evidence.Path)
	if err != nil {
		return nil, &volumeError{f.volume.role, err}
	}
	return open, nil
}

// maxNested bounds the mounts below a folder whose totals are asked for.
const maxNested = 200

// totals returns those of a folder as the system sees it: with what is mounted
// below it, and without what that hides. p has no links in it.
func (t *tree) totals(p string) (Totals, error) {
	v, name := t.at(p)
	total, err := v.totals(name)
	if err != nil {
		return Totals{}, err
	}
	nested := 0
	prefix := strings.TrimSuffix(p, "/") + "/"
	for point, m := range t.mounts {
		if !strings.HasPrefix(point, prefix) {
			continue
		}
		if nested++; nested > maxNested {
			return Totals{}, fmt.Errorf("%s has more than %d mounts below it: %w", p, maxNested, errTooLarge)
		}
		below, err := m.volume.totals(m.sub)
		if err != nil {
			return Totals{}, err
		}
		parent, hidden := t.below(point)
		var under Totals
		if parent.FS != nil {
			under, err = parent.totals(hidden)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return Totals{}, err
			}
		}
		total.Files += below.Files - under.Files
		total.Size += below.Size - under.Size
		total.Damaged += below.Damaged + under.Damaged
	}
	return total, nil
}

// mountsBelow reports whether something is mounted below a folder.
func (t *tree) mountsBelow(p string) bool {
	prefix := strings.TrimSuffix(p, "/") + "/"
	for point := range t.mounts {
		if strings.HasPrefix(point, prefix) {
			return true
		}
	}
	return false
}

// below says what a mount point hides.
func (t *tree) below(point string) (*volume, string) {
	m, above := t.mountOf(path.Dir(point))
	return m.volume, path.Join(m.sub, strings.Trim(strings.TrimPrefix(point, above), "/"))
}

func (v *volume) totals(name string) (Totals, error) {
	if v.FS == nil {
		return Totals{}, v.missing()
	}
	t, err := v.Totals(name)
	if err != nil {
		err = &volumeError{v.role, err}
	}
	return t, err
}
