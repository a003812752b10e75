package linux

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// tree is the machine's file tree: the root volume, with the user volume at
// /home.
type tree struct {
	root, home *volume
	trail      *requirement.Trail
	meter      *fact.Meter // of what is being read; nil without bounds
}

type volume struct {
	role string // "root" or "user", as evidence names it
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
}

// maxLinks is how many symbolic links Linux follows on one path (MAXSYMLINKS).
const maxLinks = 40

// notFound is the note of evidence for a thing that is not there.
const notFound = "not found"

var (
	errTooManyLinks = errors.New("too many symbolic links on the way")
	errTooLarge     = errors.New("too large to be read")
)

// at says on which volume an absolute path lies, and its name there.
func (t *tree) at(p string) (*volume, string) {
	p = path.Clean("/" + p)
	if rest, ok := strings.CutPrefix(p, "/home"); ok && (rest == "" || rest[0] == '/') {
		if rest == "" || rest == "/" {
			return t.home, "."
		}
		return t.home, rest[1:]
	}
	if p == "/" {
		return t.root, "."
	}
	return t.root, p[1:]
}

// lstat describes a path without following the link that its last part may be.
func (t *tree) lstat(p string) (fs.FileInfo, *volume, string, error) {
	v, name := t.at(p)
	if err := t.meter.Steps(1); err != nil {
		return nil, v, name, fmt.Errorf("%s: %w", p, err)
	}
	if v.FS == nil {
		return nil, v, name, fmt.Errorf("%s volume: %w", v.role, v.Err)
	}
	info, err := v.FS.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.trail.Record("error", "source", v.role, "path", name, "error", err.Error())
		err = fmt.Errorf("%s volume: %w", v.role, err)
	}
	return info, v, name, err
}

// resolve follows the symbolic links on the way to a path and, with last, the
// one that it may be itself. The error is fs.ErrNotExist if the path, or what a
// link leads to, is not there.
func (t *tree) resolve(p string, last bool) (string, error) {
	return t.follow(p, last, func(string) bool { return false })
}

// inHome returns the path below /home that a path is or leads to by links, ""
// if it stays outside. It needs no user volume: the first step into /home
// tells.
func (t *tree) inHome(p string) (string, error) {
	real, err := t.follow(p, true, isHome)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || !isHome(real) {
		return "", err
	}
	return real, nil
}

// follow resolves a path, and ends early where stop says so of what is left.
func (t *tree) follow(p string, last bool, stop func(string) bool) (string, error) {
	left := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	here := "/"
	for links := 0; len(left) > 0; {
		if ahead := path.Join(here, path.Join(left...)); stop(ahead) {
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
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			here = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: %w", p, errTooManyLinks)
		}
		target, err := v.FS.ReadLink(name)
		if err != nil {
			return "", fmt.Errorf("%s volume: %w", v.role, err)
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
	absent := File{Evidence: requirement.Evidence{Source: v.role, Path: name, Note: notFound}}
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
	f := File{Exists: true, Dir: info.IsDir(), Size: info.Size(), Modified: info.ModTime(),
		Evidence: requirement.Evidence{Source: v.role, Path: name, Time: info.ModTime().UTC(), Data: strconv.FormatInt(info.Size(), 10) + " bytes"}}
	if v.Inode != nil {
		f.ID = fact.ID{Volume: v.role, Number: v.Inode(info)}
	}
	switch {
	case f.Dir:
		f.Evidence.Data = "folder"
	case info.Mode()&fs.ModeSymlink != 0:
		if f.Target, err = v.FS.ReadLink(name); err != nil {
			return File{}, fmt.Errorf("%s volume: %w", v.role, err)
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
		return nil, f, fmt.Errorf("%s is a folder where a file was expected", p)
	}
	if f.Size > limit {
		return nil, f, fmt.Errorf("%s: %d bytes: %w", p, f.Size, errTooLarge)
	}
	v := t.root
	if f.Evidence.Source == t.home.role {
		v = t.home
	}
	if err := t.meter.File(f.Size); err != nil {
		return nil, f, fmt.Errorf("%s: %w", p, err)
	}
	open, err := v.FS.Open(f.Evidence.Path)
	if err != nil {
		return nil, f, fmt.Errorf("%s volume: %w", v.role, err)
	}
	defer open.Close()
	data, err := io.ReadAll(io.LimitReader(open, limit+1))
	if err != nil {
		return nil, f, fmt.Errorf("%s volume: %w", v.role, err)
	}
	if int64(len(data)) > limit {
		return nil, f, fmt.Errorf("%s: %w", p, errTooLarge)
	}
	t.trail.Record("open", "source", v.role, "path", f.Evidence.Path, "size", strconv.Itoa(len(data)))
	return data, f, nil
}

// readParsed returns what parse makes of the content of a file of at most limit
// bytes, the zero value if it does not exist. A file with several names is read
// and parsed once for each fact. kind tells parsers apart.
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
		return parsed, f, err
	}
	parsed, err := fact.Parsed(t.meter, f.ID, kind, read)
	return parsed, f, err
}

// list returns the entries of a folder. A folder that does not exist is no
// error: see File.Exists.
func (t *tree) list(p string) ([]fs.DirEntry, File, error) {
	f, err := t.file(p)
	if err != nil || !f.Exists || !f.Dir {
		return nil, f, err
	}
	v := t.root
	if f.Evidence.Source == t.home.role {
		v = t.home
	}
	entries, err := v.FS.ReadDir(f.Evidence.Path)
	if err == nil {
		err = t.meter.Folder(len(entries))
	}
	if err != nil {
		return nil, f, fmt.Errorf("%s volume: %w", v.role, err)
	}
	t.trail.Record("list", "source", v.role, "path", f.Evidence.Path, "entries", strconv.Itoa(len(entries)))
	return entries, f, nil
}
