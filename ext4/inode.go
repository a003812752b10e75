package ext4

import (
	"math"
	"time"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Inodes with a fixed number.
const (
	inodeRoot    = 2
	inodeResize  = 7
	inodeJournal = 8
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

// Flags of an inode (inodes.rst, i_flags).
const (
	flagEncrypted = 0x800
	flagIndex     = 0x1000
	flagHugeFile  = 0x40000
	flagExtents   = 0x80000
	flagVerity    = 0x100000
	flagEAInode   = 0x200000
	flagInline    = 0x10000000
	flagCasefold  = 0x40000000
)

// blockArea is the size of i_block, in bytes.
const blockArea = 60

// inode is the bytes of an inode, as many as the volume has for one:
//
//	0x00 2 mode          0x02 2 UID, low       0x04 4 size, low
//	0x08 4 accessed      0x0C 4 changed        0x10 4 modified
//	0x14 4 deleted, or the next orphan         0x18 2 GID, low
//	0x1A 2 links         0x1C 4 blocks, low    0x20 4 flags
//	0x24 4 version, low  0x28 60 blocks        0x64 4 generation
//	0x68 4 attributes' block, low              0x6C 4 size, high
//	0x74 2 blocks, high  0x76 2 attributes' block, high
//	0x78 2 UID, high     0x7A 2 GID, high      0x7C 2 checksum, low
//	0x80 2 how many of the bytes from 0x80 on are used
//	0x82 2 checksum, high
//	0x84 4 changed, more 0x88 4 modified, more 0x8C 4 accessed, more
//	0x90 4 created       0x94 4 created, more  0x98 4 version, high
//
// (inodes.rst). Its length is checked by whoever makes one.
type inode struct {
	number uint32
	raw    []byte
}

// Number and Mode implement the interface of inodes in package unixfs.
func (i inode) Number() uint32 { return i.number }
func (i inode) Mode() uint16   { return i.mode() }

func (i inode) mode() uint16       { return le.Uint16(i.raw) }
func (i inode) kind() uint16       { return i.mode() & modeType }
func (i inode) links() uint16      { return le.Uint16(i.raw[0x1A:]) }
func (i inode) flags() uint32      { return le.Uint32(i.raw[0x20:]) }
func (i inode) generation() uint32 { return le.Uint32(i.raw[0x64:]) }
func (i inode) area() []byte       { return i.raw[0x28 : 0x28+blockArea] }

func (i inode) has(flag uint32) bool { return i.flags()&flag != 0 }

// nextOrphan is the next in the list of orphans that begins in the superblock.
func (i inode) nextOrphan() uint32 { return le.Uint32(i.raw[0x14:]) }

// extraSize is how many bytes from 0x80 on are used, as it says itself.
func (i inode) extraSize() int {
	if len(i.raw) == oldInodeSize {
		return 0
	}
	return int(le.Uint16(i.raw[0x80:]))
}

// fits reports whether the bytes up to end are in use.
func (i inode) fits(end int) bool {
	extra := i.extraSize()
	if extra == 0 && len(i.raw) > oldInodeSize {
		extra = 0xA0 - oldInodeSize // the fields that the kernel has
	}
	return oldInodeSize+extra >= end
}

// size in bytes; only regular files, and with large_dir directories, have its
// high half.
func (i inode) size(s *superblock) uint64 {
	size := uint64(le.Uint32(i.raw[4:]))
	if i.kind() == modeRegular || s.has(incompatLargeDir) {
		size |= uint64(le.Uint32(i.raw[0x6C:])) << 32
	}
	return size
}

// sectors is how much the inode says that it takes, in units of 512 bytes.
func (i inode) sectors(s *superblock) uint64 {
	n := uint64(le.Uint32(i.raw[0x1C:]))
	if s.roCompat&roCompatHugeFile != 0 {
		n |= uint64(le.Uint16(i.raw[0x74:])) << 32
		if i.has(flagHugeFile) {
			n <<= s.blockBits - 9
		}
	}
	return n
}

// attributes is the block of extended attributes, 0 if there is none.
func (i inode) attributes(s *superblock) uint64 {
	block := uint64(le.Uint32(i.raw[0x68:]))
	if s.has(incompat64Bit) {
		block |= uint64(le.Uint16(i.raw[0x76:])) << 32
	}
	return block
}

// time decodes the seconds at one place and, if they are in use, the
// nanoseconds and two more bits of the seconds at another.
func (i inode) time(seconds, more int) time.Time {
	sec := int64(int32(le.Uint32(i.raw[seconds:])))
	nsec := int64(0)
	if i.fits(more + 4) {
		extra := le.Uint32(i.raw[more:])
		sec += int64(extra&3) << 32
		nsec = int64(extra >> 2)
	}
	return time.Unix(sec, nsec).UTC()
}

// seed is the initial value of the checksums of an inode and its blocks.
func (s *superblock) inodeSeed(i inode) uint32 {
	return crc32cUint32(crc32cUint32(s.seed, i.number), i.generation())
}

// checksum reports whether the inode's checksum is right. The field itself
// counts as zero, its high half only if it is in use.
func (s *superblock) inodeChecksum(i inode) bool {
	const low, high = 0x7C, 0x82
	crc := crc32c(s.inodeSeed(i), i.raw[:low])
	crc = crc32c(crc, zeros[:2])
	if len(i.raw) == oldInodeSize {
		return uint16(crc32c(crc, i.raw[low+2:])) == le.Uint16(i.raw[low:])
	}
	if i.extraSize() < high+2-oldInodeSize {
		return uint16(crc32c(crc, i.raw[low+2:])) == le.Uint16(i.raw[low:])
	}
	crc = crc32c(crc, i.raw[low+2:high])
	crc = crc32c(crc, zeros[:2])
	crc = crc32c(crc, i.raw[high+2:])
	return crc == uint32(le.Uint16(i.raw[low:]))|uint32(le.Uint16(i.raw[high:]))<<16
}

// check says whether the inode can be one of a file, as the kernel does before
// it uses one.
func (s *superblock) check(i inode) reason {
	if extra := i.extraSize(); oldInodeSize+extra > len(i.raw) || extra&3 != 0 {
		return reasonExtraSize
	}
	if s.checksums && s.creator == creatorLinux && !s.inodeChecksum(i) {
		return reasonChecksum
	}
	if i.mode() == 0 && i.links() == 0 {
		return reasonFree
	}
	size := i.size(s)
	switch i.kind() {
	case modeRegular, modeDir, modeSymlink:
		if size > math.MaxInt64 {
			return reasonSize
		}
	case modeFIFO, modeChar, modeBlock, modeSocket:
	default:
		return reasonMode
	}
	if b := i.attributes(s); b != 0 && !s.valid(b, 1) {
		return reasonXattr
	}
	if i.has(flagInline) && (i.has(flagExtents|flagEAInode) || !s.has(incompatInlineData)) {
		return reasonSizeFlags
	}
	if i.has(flagExtents) && !s.has(incompatExtents) {
		return reasonSizeFlags
	}
	return sound
}

// place returns the byte offset of an inode on the volume.
func (f *FS) place(number uint32) (int64, reason) {
	if number == 0 || number > f.super.inodes {
		return 0, reasonNumber
	}
	g := &f.groups[(number-1)/f.super.inodesPerGroup]
	if g.state == groupLost {
		return 0, reasonGroup
	}
	index := int64((number - 1) % f.super.inodesPerGroup)
	perBlock := int64(f.super.blockSize() / f.super.inodeSize)
	block := int64(g.inodeTable) + index/perBlock
	return block<<f.super.blockBits + index%perBlock*int64(f.super.inodeSize), sound
}

// inode reads an inode that is to be that of a file.
func (f *FS) inode(number uint32) (inode, error) {
	i, err := f.rawInode(number)
	if err != nil {
		return inode{}, err
	}
	if why := f.super.check(i); why != sound {
		return inode{}, damaged(number, why)
	}
	return i, nil
}

// rawInode reads an inode whatever it holds.
func (f *FS) rawInode(number uint32) (inode, error) {
	at, why := f.place(number)
	if why != sound {
		return inode{}, damaged(number, why)
	}
	block, err := f.disk.block(uint64(at) >> f.super.blockBits)
	if err != nil {
		return inode{}, wrapInode(number, err)
	}
	at &= int64(f.super.blockSize() - 1)
	return inode{number, block[at : at+int64(f.super.inodeSize)]}, nil
}

// marked returns the error of an inode that the bitmap of its group has as free.
// The kernel does not ask the bitmap before it opens a file; but where that and
// the directory disagree, the file may be one whose deletion was cut short. A
// bitmap that cannot be read, or fails its checksum, says nothing.
func (f *FS) marked(number uint32) error {
	if f.options.Stale {
		return nil // nothing agrees before the journal is replayed
	}
	used, err := f.inodeUsed(number)
	if err != nil && !recoverable(err) {
		return err
	}
	if err != nil || used {
		return nil
	}
	g := &f.groups[(number-1)/f.super.inodesPerGroup]
	if f.super.checksums && g.unused != f.super.inodesPerGroup {
		b, err := f.disk.block(g.inodeBitmap)
		if err != nil {
			return nil
		}
		sum := crc32c(f.super.seed, b[:f.super.inodesPerGroup/8])
		if f.super.descSize < wideDescSize {
			sum &= 0xFFFF
		}
		if sum != g.bitmapSum {
			return nil
		}
	}
	return damaged(number, reasonUnmarked)
}

// usable returns the error of an inode that cannot be that of a file with a
// name.
func (f *FS) usable(i inode) error {
	why := f.super.check(i)
	switch {
	case why != sound:
	case i.links() == 0:
		why = reasonFree
	case i.has(flagEAInode):
		why = reasonSizeFlags
	default:
		return nil
	}
	return damaged(i.number, why)
}

// nameable says whether a directory entry may name the inode.
func (s *superblock) nameable(number uint32) reason {
	switch {
	case number == 0 || number > s.inodes:
		return reasonNumber
	case number < s.firstInode && number != inodeRoot:
		return reasonReserved
	}
	return sound
}
