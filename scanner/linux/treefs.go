package linux

import (
	"io/fs"
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
		return nil, "", &volumeError{v.role, v.Err}
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
	v, below, err := t.find("open", name, true)
	if err != nil {
		return nil, err
	}
	return v.FS.ReadDir(below)
}

func (t treeFS) Stat(name string) (fs.FileInfo, error) {
	v, below, err := t.find("stat", name, true)
	if err != nil {
		return nil, err
	}
	return v.FS.Lstat(below)
}

func (t treeFS) Lstat(name string) (fs.FileInfo, error) {
	v, below, err := t.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return v.FS.Lstat(below)
}

func (t treeFS) ReadLink(name string) (string, error) {
	v, below, err := t.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	return v.FS.ReadLink(below)
}
