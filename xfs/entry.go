package xfs

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
	Flags      uint16    // XFS_DIFLAG_*
	Flags2     uint64    // XFS_DIFLAG2_*
	Generation uint32
	Project    uint32
	Major      uint32 // of a device
	Minor      uint32
	Realtime   bool // the content is on the realtime device
	Reflink    bool // the content may share blocks with other files
}

func (f *FS) entry(i inode) *Entry {
	e := &Entry{
		Inode:      i.number,
		Mode:       i.mode(),
		UID:        be.Uint32(i.raw[0x8:]),
		GID:        be.Uint32(i.raw[0xC:]),
		Links:      int(i.links()),
		Size:       int64(i.size()),
		Allocated:  f.allocated(i),
		Accessed:   i.time(0x20),
		Modified:   i.time(0x28),
		Changed:    i.time(0x30),
		Flags:      i.flags(),
		Flags2:     i.flags2(),
		Generation: i.generation(),
		Project:    uint32(be.Uint16(i.raw[0x14:])) | uint32(be.Uint16(i.raw[0x16:]))<<16,
		Realtime:   i.flags()&diflagRealtime != 0 && i.kind() == modeRegular,
		Reflink:    i.flags2()&diflag2Reflink != 0,
	}
	if i.raw[4] >= 3 {
		e.Created = i.time(0x90)
	}
	if kind := i.kind(); kind == modeChar || kind == modeBlock {
		n := be.Uint32(i.dataFork())
		e.Major, e.Minor = n>>18&0x3FFF, n&0x3FFFF
	}
	return e
}

// allocated is the allocated size in the inode, in bytes.
func (f *FS) allocated(i inode) int64 {
	const max = 1<<63 - 1
	if i.blocks() > max>>f.super.blockBits {
		return max
	}
	return int64(i.blocks()) << f.super.blockBits
}
