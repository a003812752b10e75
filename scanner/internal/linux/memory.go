package linux

import (
	"io/fs"
	"path"
	"time"
)

// memoryFS is what the system mounts from memory: a folder that is empty when
// the system starts, or holds what the kernel puts there.
type memoryFS struct {
	devices []string // the character devices that every system has
}

// The filesystems that systemd mounts on every system (systemd,
// API File Systems).
var apiMounts = map[string]memoryFS{
	"/proc": {}, "/sys": {}, "/run": {},
	"/dev": {devices: []string{"console", "full", "null", "random", "tty", "urandom", "zero"}},
}

// inMemory says whether a path leads to a filesystem in memory that every
// system has, and that is on no volume.
func inMemory(p string) bool {
	for ; p != "/" && p != "."; p = path.Dir(p) {
		if _, ok := apiMounts[p]; ok {
			return true
		}
	}
	return false
}

func (m memoryFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (m memoryFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	var entries []fs.DirEntry
	for _, d := range m.devices {
		entries = append(entries, fs.FileInfoToDirEntry(madeInfo{d, fs.ModeDevice | fs.ModeCharDevice | 0o666}))
	}
	return entries, nil
}

func (m memoryFS) Lstat(name string) (fs.FileInfo, error) {
	if name == "." {
		return madeInfo{".", fs.ModeDir | 0o755}, nil
	}
	for _, d := range m.devices {
		if d == name {
			return madeInfo{d, fs.ModeDevice | fs.ModeCharDevice | 0o666}, nil
		}
	}
	return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
}

func (m memoryFS) Stat(name string) (fs.FileInfo, error) { return m.Lstat(name) }

func (m memoryFS) ReadLink(name string) (string, error) {
	return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
}

// madeInfo describes what is on no volume: a folder that systemd makes for a
// mount point, or a device.
type madeInfo struct {
	name string
	mode fs.FileMode
}

func (i madeInfo) Name() string      { return i.name }
func (madeInfo) Size() int64         { return 0 }
func (i madeInfo) Mode() fs.FileMode { return i.mode }
func (madeInfo) ModTime() time.Time  { return time.Time{} }
func (i madeInfo) IsDir() bool       { return i.mode.IsDir() }
func (madeInfo) Sys() any            { return nil }
