package ext4

import (
	"io/fs"
	"time"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

// Entry is what the inode of a file or directory says.
type Entry struct {
	Inode      uint64
	Mode       uint16 // type and permissions, S_IF* and below
	UID, GID   uint32
	Links      int
	Size       int64 // in bytes
	Allocated  int64 // on the volume, in bytes: st_blocks * 512
	Accessed   time.Time
	Modified   time.Time
	Changed    time.Time // of the inode
	Created    time.Time // zero where inodes have no room for it
	Flags      uint32    // EXT4_*_FL
	Generation uint32
	Project    uint32
	Major      uint32 // of a device
	Minor      uint32
	Encrypted  bool // by fscrypt: content, and of a directory the names in it
	Inline     bool // the content is in the inode
	Verity     bool
}

func (f *FS) entry(i inode) *Entry {
	e := &Entry{
		Inode:      uint64(i.number),
		Mode:       i.mode(),
		UID:        uint32(le.Uint16(i.raw[0x2:])) | uint32(le.Uint16(i.raw[0x78:]))<<16,
		GID:        uint32(le.Uint16(i.raw[0x18:])) | uint32(le.Uint16(i.raw[0x7A:]))<<16,
		Links:      int(i.links()),
		Size:       int64(i.size(&f.super)),
		Allocated:  f.allocated(i),
		Accessed:   i.time(0x8, 0x8C),
		Changed:    i.time(0xC, 0x84),
		Modified:   i.time(0x10, 0x88),
		Flags:      i.flags(),
		Generation: i.generation(),
		Encrypted:  i.has(flagEncrypted),
		Inline:     i.has(flagInline),
		Verity:     i.has(flagVerity),
	}
	if i.fits(0x98) {
		e.Created = i.time(0x90, 0x94)
	}
	if i.fits(0xA0) {
		e.Project = le.Uint32(i.raw[0x9C:])
	}
	if kind := i.kind(); kind == modeChar || kind == modeBlock {
		e.Major, e.Minor = device1(i.area())
	}
	return e
}

// device1 decodes the number of a device: the old form, 16 bits, if there is
// one, or the new, 32 bits (ifork.rst).
func device1(area []byte) (major, minor uint32) {
	if old := le.Uint32(area); old != 0 {
		return old >> 8 & 0xFF, old & 0xFF
	}
	n := le.Uint32(area[4:])
	return n >> 8 & 0xFFF, n&0xFF | n>>12&0xFFF00
}

// allocated is what the inode says that it takes, less what the kernel frees
// when it mounts the volume, in bytes. Like the kernel, it counts inline data
// as if they had sectors, so that nobody takes the file for a hole.
func (f *FS) allocated(i inode) int64 {
	sectors := i.sectors(&f.super)
	if freed := f.truncated[i.number]; freed <= sectors {
		sectors -= freed
	}
	if i.has(flagInline) && i.kind() == modeRegular {
		sectors += (i.size(&f.super) + 511) >> 9
	}
	const max = 1<<63 - 1
	if sectors > max>>9 {
		return max
	}
	return int64(sectors) << 9
}

// fileMode converts a mode. Nothing may be written, but the permissions are
// shown as they are.
func fileMode(mode uint16) fs.FileMode {
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
	switch mode & modeType {
	case modeDir:
		m |= fs.ModeDir
	case modeSymlink:
		m |= fs.ModeSymlink
	case modeFIFO:
		m |= fs.ModeNamedPipe
	case modeSocket:
		m |= fs.ModeSocket
	case modeBlock:
		m |= fs.ModeDevice
	case modeChar:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	return m
}

// kindMode is the type of file that a directory entry says (directory.rst,
// file_type). It stands in for that of an inode that cannot be read.
func kindMode(kind uint8) fs.FileMode {
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
	name  string
	mode  fs.FileMode
	entry *Entry
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.entry.Size }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) ModTime() time.Time { return i.entry.Modified }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { return i.entry }

func (f *FS) info(name string, i inode) *info {
	return &info{name: name, mode: fileMode(i.mode()), entry: f.entry(i)}
}

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

// Stat describes what the name leads to, symbolic links followed; Sys is its
// *Entry.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name, true) }

// Lstat is Stat, but for a symbolic link itself if the name is one.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, false) }

func (f *FS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	i, err := f.resolve(name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return f.info(base(name), i.inode), nil
}

// ReadLink returns what a symbolic link says, as it is on the disk, but for
// bytes that are not UTF-8, which are as in names.
func (f *FS) ReadLink(name string) (string, error) {
	i, err := f.resolve(name, false)
	if err == nil {
		if i.kind() != modeSymlink {
			err = fs.ErrInvalid
		} else {
			var target []byte
			if target, err = f.target(i.inode); err == nil {
				return bytename.EncodePath(target), nil
			}
		}
	}
	return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
}
