package unixfs

import (
	"io/fs"
	"strings"
	"time"
)

// Types of files in a mode (S_IFMT).
const (
	ModeType    = 0xF000
	ModeFIFO    = 0x1000
	ModeChar    = 0x2000
	ModeDir     = 0x4000
	ModeBlock   = 0x6000
	ModeRegular = 0x8000
	ModeSymlink = 0xA000
	ModeSocket  = 0xC000
)

// FileMode converts a mode. Nothing may be written, but the permissions are
// shown as they are.
func FileMode(mode uint16) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	switch mode & ModeType {
	case ModeDir:
		m |= fs.ModeDir
	case ModeSymlink:
		m |= fs.ModeSymlink
	case ModeFIFO:
		m |= fs.ModeNamedPipe
	case ModeSocket:
		m |= fs.ModeSocket
	case ModeBlock:
		m |= fs.ModeDevice
	case ModeChar:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	return m
}

// KindMode is the type of file that a directory entry says; ext4 (directory.rst,
// file_type) and XFS (XFS_DIR3_FT_*) have the same numbers. It stands in for
// that of an inode that cannot be read.
func KindMode(kind uint8) fs.FileMode {
	switch kind {
	case 1:
		return 0
	case 2:
		return fs.ModeDir
	case 3:
		return fs.ModeDevice | fs.ModeCharDevice
	case 4:
		return fs.ModeDevice
	case 5:
		return fs.ModeNamedPipe
	case 6:
		return fs.ModeSocket
	case 7:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

// info implements fs.FileInfo.
type info struct {
	name string
	mode fs.FileMode
	Description
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.Description.Size }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) ModTime() time.Time { return i.Modified }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { return i.Description.Sys }

func (f *FS[N, I]) info(name string, i I) *info {
	return &info{name, FileMode(i.Mode()), f.store.Describe(i)}
}

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// dirEntry implements fs.DirEntry.
type dirEntry struct {
	name string
	mode fs.FileMode
	info *info
	lost error // why there is no info
}

func (d *dirEntry) Name() string      { return d.name }
func (d *dirEntry) IsDir() bool       { return d.mode.IsDir() }
func (d *dirEntry) Type() fs.FileMode { return d.mode.Type() }
func (d *dirEntry) String() string    { return fs.FormatDirEntry(d) }

func (d *dirEntry) Info() (fs.FileInfo, error) {
	if d.lost != nil {
		return nil, &fs.PathError{Op: "stat", Path: d.name, Err: d.lost}
	}
	return d.info, nil
}
