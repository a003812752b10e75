package ext4

import "time"

// Entry is the metadata in the inode of a file or directory.
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

// allocated is the allocated size in the inode, less the space that the kernel
// frees at mount, in bytes. Like the kernel, it counts inline data as if they
// had sectors, so that no tool treats the file as a hole.
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
