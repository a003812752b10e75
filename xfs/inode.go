package xfs

import (
	"bytes"
	"time"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Types of files in a mode (S_IFMT).
const (
	modeType    = unixfs.ModeType
	modeFIFO    = unixfs.ModeFIFO
	modeChar    = unixfs.ModeChar
	modeDir     = unixfs.ModeDir
	modeBlock   = unixfs.ModeBlock
	modeRegular = unixfs.ModeRegular
	modeSymlink = unixfs.ModeSymlink
	modeSocket  = unixfs.ModeSocket
)

// Formats of a fork.
const (
	formatDevice  = 0
	formatLocal   = 1
	formatExtents = 2
	formatTree    = 3
)

const (
	coreSize4 = 100 // of an inode up to version 2, in bytes
	coreSize5 = 176 // of version 3
	inodeCRC  = 0x64

	diflagRealtime = 0x1

	diflag2Reflink = 0x2
	diflag2Bigtime = 0x8
	diflag2NREXT64 = 0x10
	diflag2Meta    = 0x20
)

// inode is one inode as stored on disk:
//
//	0x00 2  "IN"             0x40  8  blocks
//	0x02 2  mode             0x4C  4  extents of data, 0x50  2  of attributes
//	0x04 1  version          0x52  1  where attributes begin, in units of 8 bytes
//	0x05 1  format of data   0x53  1  format of attributes
//	0x06 2  links (version 1)0x5A  2  flags
//	0x08 4  owner            0x5C  4  generation
//	0x0C 4  group            0x60  4  next inode without a name
//	0x10 4  links            0x64  4  checksum, little-endian
//	0x14 2  project, low     0x78  8  more flags
//	0x16 2  project, high    0x90  8  time of creation
//	0x20 8  times of access, 0x28 of modification, 0x30 of change
//	0x38 8  size             0x98  8  its own number, 0xA0 16  UUID
//
// What is from 0x64 on is in version 3 only. With many extents (NREXT64) their
// numbers are 8 bytes at 0x18, and 4 bytes at 0x4C of attributes.
// ("XFS Algorithms & Data Structures", Inode Core.)
type inode struct {
	number uint64
	raw    []byte
}

// Number and Mode implement the interface of inodes in package unixfs.
func (i inode) Number() uint64 { return i.number }
func (i inode) Mode() uint16   { return i.mode() }

func (i inode) mode() uint16       { return be.Uint16(i.raw[0x2:]) }
func (i inode) kind() uint16       { return i.mode() & modeType }
func (i inode) format() uint8      { return i.raw[0x5] }
func (i inode) size() uint64       { return be.Uint64(i.raw[0x38:]) }
func (i inode) blocks() uint64     { return be.Uint64(i.raw[0x40:]) }
func (i inode) flags() uint16      { return be.Uint16(i.raw[0x5A:]) }
func (i inode) generation() uint32 { return be.Uint32(i.raw[0x5C:]) }
func (i inode) next() uint32       { return be.Uint32(i.raw[0x60:]) }

func (i inode) links() uint32 {
	if i.raw[4] == 1 {
		return uint32(be.Uint16(i.raw[0x6:]))
	}
	return be.Uint32(i.raw[0x10:])
}

func (i inode) flags2() uint64 {
	if i.raw[4] < 3 {
		return 0
	}
	return be.Uint64(i.raw[0x78:])
}

func (i inode) coreSize() int {
	if i.raw[4] < 3 {
		return coreSize4
	}
	return coreSize5
}

// extents is how many extents the fork of data has, and attrExtents that of
// attributes.
func (i inode) extents() uint64 {
	if i.flags2()&diflag2NREXT64 != 0 {
		return be.Uint64(i.raw[0x18:])
	}
	return uint64(be.Uint32(i.raw[0x4C:]))
}

func (i inode) attrExtents() uint64 {
	if i.flags2()&diflag2NREXT64 != 0 {
		return uint64(be.Uint32(i.raw[0x4C:]))
	}
	return uint64(be.Uint16(i.raw[0x50:]))
}

// dataFork and attrFork are the forks after the core. attrFork is nil if there
// are no attributes.
func (i inode) dataFork() []byte {
	b := i.raw[i.coreSize():]
	if at := int(i.raw[0x52]) * 8; at != 0 {
		return b[:at]
	}
	return b
}

func (i inode) attrFork() []byte {
	if at := int(i.raw[0x52]) * 8; at != 0 {
		return i.raw[i.coreSize()+at:]
	}
	return nil
}

// time decodes a time: seconds and nanoseconds of 32 bits, or with "bigtime"
// 64 bits of nanoseconds since the first that 32 bits of seconds know.
func (i inode) time(at int) time.Time {
	if i.flags2()&diflag2Bigtime != 0 {
		t := be.Uint64(i.raw[at:])
		return time.Unix(int64(t/1e9)-1<<31, int64(t%1e9)).UTC()
	}
	return time.Unix(int64(int32(be.Uint32(i.raw[at:]))), int64(be.Uint32(i.raw[at+4:]))).UTC()
}

// check returns the damage to an inode. If the checksum is wrong, nothing else
// is checked.
func (s *superblock) check(i inode) reason {
	switch {
	case be.Uint16(i.raw) != 0x494E:
		return reasonMagic
	case s.checksums():
		switch {
		case i.raw[4] != 3:
			return reasonVersion
		case !s.inodeSums.sum(i.raw):
			return reasonChecksum
		case be.Uint64(i.raw[0x98:]) != i.number, !bytes.Equal(i.raw[0xA0:0xB0], s.metaUUID[:]):
			return reasonOwner
		}
	case i.raw[4] != 1 && i.raw[4] != 2:
		return reasonVersion
	}
	if i.mode() == 0 {
		return reasonFree
	}
	if i.flags2()&diflag2NREXT64 != 0 && s.incompat&incompatNREXT64 == 0 ||
		i.flags2()&diflag2Bigtime != 0 && s.incompat&incompatBigtime == 0 {
		return reasonVersion
	}
	if at := int(i.raw[0x52]) * 8; at != 0 && i.coreSize()+at >= s.inodeSize {
		return reasonFork
	}
	size := i.size()
	if size >= 1<<63 {
		return reasonSize
	}
	mapped := i.format() == formatExtents || i.format() == formatTree
	switch i.kind() {
	case modeRegular:
		if !mapped {
			return reasonFormat
		}
	case modeDir:
		switch {
		case !mapped && i.format() != formatLocal:
			return reasonFormat
		case size == 0 || size > dirSpace:
			return reasonSize
		}
	case modeSymlink:
		switch {
		case i.format() != formatLocal && i.format() != formatExtents:
			return reasonFormat
		case size == 0 || size > maxSymlink:
			return reasonSize
		}
	case modeChar, modeBlock, modeFIFO, modeSocket:
		if i.format() != formatDevice {
			return reasonFormat
		}
	default:
		return reasonMode
	}
	switch {
	case i.format() == formatLocal && size > uint64(len(i.dataFork())):
		return reasonSize
	case i.format() == formatExtents && i.extents() > uint64(len(i.dataFork())/extentSize):
		return reasonExtentCount
	}
	if fork := i.attrFork(); fork != nil {
		switch i.raw[0x53] {
		case formatLocal, formatTree:
		case formatExtents:
			if i.attrExtents() > uint64(len(fork)/extentSize) {
				return reasonExtentCount
			}
		default:
			return reasonFormat
		}
	}
	return sound
}

// rawInode returns an inode, whatever is in it.
func (f *FS) rawInode(number uint64) (inode, error) {
	s := &f.super
	if !s.validInode(number) {
		return inode{}, damaged(number, reasonNumber)
	}
	b, err := f.disk.piece(s.inodeOffset(number), int64(s.inodeSize))
	if err != nil {
		return inode{}, wrapInode(number, err)
	}
	return inode{number, b}, nil
}

// inode returns an inode that is in use.
func (f *FS) inode(number uint64) (inode, error) {
	i, err := f.rawInode(number)
	if err != nil {
		return inode{}, err
	}
	return i, f.usable(i)
}

// usable returns why an inode cannot be used.
func (f *FS) usable(i inode) error {
	if why := f.super.check(i); why != sound {
		return damaged(i.number, why)
	}
	if err := f.pending[i.number]; err != nil {
		return wrapInode(i.number, err)
	}
	return nil
}
