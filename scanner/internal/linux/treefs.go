package linux

import (
	"io/fs"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
)

// treeFS is a tree as a filesystem: its root is that of the machine, and links
// are followed across volumes.
type treeFS struct{ *tree }

// find resolves a name of io/fs.
func (t treeFS) find(op, name string, last bool) (*volume, string, error) {
	if !fs.ValidPath(name) {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	real, err := t.resolve("/"+name, last)
	if err != nil {
		return nil, "", err
	}
	v, below := t.at(real)
	if v.FS == nil {
		return nil, "", v.missing()
	}
	return v, below, nil
}

func (t treeFS) Open(name string) (fs.File, error) {
	v, below, err := t.find("open", name, true)
	if err != nil {
		return nil, err
	}
	return v.FS.Open(below)
}

func (t treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	entries, f, err := t.list("/" + name)
	if err == nil && !f.Dir {
		err = &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return entries, err
}

func (t treeFS) Stat(name string) (fs.FileInfo, error) { return t.describe("stat", name, true) }

func (t treeFS) Lstat(name string) (fs.FileInfo, error) { return t.describe("lstat", name, false) }

func (t treeFS) describe(op, name string, last bool) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	real, err := t.resolve("/"+name, last)
	if err != nil {
		return nil, err
	}
	info, _, _, err := t.lstat(real)
	return info, err
}

func (t treeFS) ReadLink(name string) (string, error) {
	v, below, err := t.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	return v.FS.ReadLink(below)
}

// Files is the file tree of the system as it starts. What cannot be known of it
// is an error where it is met.
func (m *Machine) Files() fs.FS { return treeFS{&m.tree} }

// missing is the error of a volume that cannot be read at all.
func (v *volume) missing() error {
	return fact.Missing(v.Err, &volumeError{v.role, v.Err})
}
