package xfs

import (
	"bytes"
	"fmt"
	"math/bits"
)

// superblock is the decoded first sector of the volume ("XFS Algorithms & Data
// Structures", Superblocks).
type superblock struct {
	blockSize   int64 // in bytes
	blockBits   uint8
	blocks      uint64
	realtime    uint64 // blocks of the realtime device
	uuid        [16]byte
	metaUUID    [16]byte // that blocks have of the volume
	logStart    uint64   // block, 0 if the log is on another device
	logBlocks   uint32
	logged      uint32 // sector of the log that last changed the superblock on the volume; 0 if unknown
	root        uint64
	groupBlocks uint32
	groups      uint32
	groupBits   uint8 // of a block's number within its group
	version     uint16
	flags       uint16 // versionnum without the version
	sectorSize  int64
	inodeSize   int
	inodeBits   uint8
	inodesInLog uint8 // binary logarithm of how many inodes are in a block
	inodes      uint64
	freeInodes  uint64
	label       string
	maxInodes   uint8 // share of the blocks that inodes may take, in percent
	dirBits     uint8 // of a directory block's size in blocks
	features2   uint32
	compat      uint32
	roCompat    uint32
	incompat    uint32
	logIncompat uint32

	inodeSums *checksums // of inodes; nil in version 4
}

const (
	superSize = 264 // that is decoded, in bytes
	superCRC  = 0xE0
)

// Limits of the kernel (fs/xfs/libxfs/xfs_fs.h, xfs_types.h).
const (
	minBlockBits   = 9
	maxBlockBits   = 16
	minSectorBits  = 9
	maxSectorBits  = 15
	minInodeBits   = 8
	maxInodeBits   = 11
	minGroupBlocks = 64
	maxDirBits     = 16 // of a directory block's size in bytes
)

func readSuperblock(d *device) (superblock, error) {
	if d.size < sector {
		return superblock{}, corrupt("%d bytes are too few for a volume", d.size)
	}
	b := make([]byte, min(int64(1)<<maxSectorBits, d.size))
	if err := d.readAt(b, 0); err != nil {
		return superblock{}, fmt.Errorf("superblock: %w", err)
	}
	s, err := parseSuperblock(b, d.replayed(0, sector))
	if err != nil {
		return s, fmt.Errorf("superblock: %w", err)
	}
	return s, nil
}

// parseSuperblock decodes a superblock. The checksum covers the full sector, so
// it does not match a superblock that came out of the log.
//
//	0x00  4  "XFSB"                       0x7C  1  log2 of blocks of a group, rounded up
//	0x04  4  bytes of a block             0x7F  1  most of the space for inodes, in percent
//	0x08  8  blocks                       0x80  8  inodes, 0x88  8  free inodes
//	0x10  8  realtime blocks              0xB4  4  alignment of inodes, in blocks
//	0x20 16  UUID                         0xC0  1  log2 of blocks of a directory block
//	0x30  8  first block of the log       0xC8  4  more features
//	0x38  8  root inode                   0xD0  4  compatible features
//	0x54  4  blocks of a group
//	0x58  4  groups
//	0x60  4  blocks of the log            0xD4  4  read-only compatible features
//	0x64  2  version and features         0xD8  4  incompatible features
//	0x66  2  bytes of a sector            0xDC  4  incompatible features of the log
//	0x68  2  bytes of an inode            0xE0  4  checksum, little-endian
//	0x6A  2  inodes in a block            0xF0  8  last change in the log: cycle and sector
//	0x6C 12  label                        0xF8 16  UUID of metadata
//	0x78  1  log2 of bytes of a block, 0x79  1  of a sector, 0x7A  1  of an inode
//	0x7B  1  log2 of inodes in a block
func parseSuperblock(b []byte, replayed bool) (superblock, error) {
	var s superblock
	if len(b) < sector || string(b[:4]) != "XFSB" {
		return s, corrupt("no magic")
	}
	number := be.Uint16(b[0x64:])
	s = superblock{
		blockSize:   int64(be.Uint32(b[0x4:])),
		blockBits:   b[0x78],
		blocks:      be.Uint64(b[0x8:]),
		realtime:    be.Uint64(b[0x10:]),
		uuid:        [16]byte(b[0x20:0x30]),
		metaUUID:    [16]byte(b[0x20:0x30]),
		logStart:    be.Uint64(b[0x30:]),
		root:        be.Uint64(b[0x38:]),
		groupBlocks: be.Uint32(b[0x54:]),
		groups:      be.Uint32(b[0x58:]),
		logBlocks:   be.Uint32(b[0x60:]),
		version:     number & 0xF,
		flags:       number &^ 0xF,
		sectorSize:  int64(be.Uint16(b[0x66:])),
		inodeSize:   int(be.Uint16(b[0x68:])),
		inodeBits:   b[0x7A],
		inodesInLog: b[0x7B],
		groupBits:   b[0x7C],
		label:       string(bytes.TrimRight(b[0x6C:0x78], "\x00")),
		maxInodes:   b[0x7F],
		inodes:      be.Uint64(b[0x80:]),
		freeInodes:  be.Uint64(b[0x88:]),
		dirBits:     b[0xC0],
	}
	sectorBits := b[0x79]
	if s.flags&flagMoreBits != 0 {
		s.features2 = be.Uint32(b[0xC8:])
	}
	switch s.version {
	case 4:
	case 5:
		s.compat = be.Uint32(b[0xD0:])
		s.roCompat = be.Uint32(b[0xD4:])
		s.incompat = be.Uint32(b[0xD8:])
		s.logIncompat = be.Uint32(b[0xDC:])
		s.logged = be.Uint32(b[0xF4:])
		if s.incompat&incompatMetaUUID != 0 {
			s.metaUUID = [16]byte(b[0xF8:0x108])
		}
	default:
		return s, unsupported("version %d of the filesystem", s.version)
	}
	if s.sectorSize != 1<<sectorBits || sectorBits < minSectorBits || sectorBits > maxSectorBits {
		return s, corrupt("sectors of %d bytes", s.sectorSize)
	}
	if s.version == 5 && !replayed {
		if s.sectorSize > int64(len(b)) || !sum(b[:s.sectorSize], superCRC) {
			return s, corrupt("it fails its checksum")
		}
	}
	if err := s.checkFeatures(); err != nil {
		return s, err
	}
	if err := s.plausible(int(be.Uint16(b[0x6A:]))); err != nil {
		return s, err
	}
	if s.checksums() {
		s.inodeSums = newChecksums(s.inodeSize, inodeCRC)
	}
	return s, nil
}

// plausible rejects impossible values (xfs_validate_sb_common in the kernel).
func (s *superblock) plausible(inodesInBlock int) error {
	switch {
	case s.blockSize != 1<<s.blockBits || s.blockBits < minBlockBits || s.blockBits > maxBlockBits,
		s.version == 5 && s.blockBits == minBlockBits:
		return corrupt("blocks of %d bytes", s.blockSize)
	case s.sectorSize > s.blockSize:
		return corrupt("sectors of %d bytes and blocks of %d", s.sectorSize, s.blockSize)
	case s.inodeSize != 1<<s.inodeBits || s.inodeBits < minInodeBits || s.inodeBits > maxInodeBits,
		s.version == 5 && s.inodeBits == minInodeBits, int64(s.inodeSize) > s.blockSize/2,
		s.inodesInLog != s.blockBits-s.inodeBits, inodesInBlock != 1<<s.inodesInLog:
		return corrupt("inodes of %d bytes", s.inodeSize)
	case s.groupBlocks < minGroupBlocks || s.groupBits != uint8(bits.Len32(s.groupBlocks-1)),
		s.groups == 0, int(s.groupBits)+int(s.inodesInLog) > 32:
		return corrupt("%d groups of %d blocks", s.groups, s.groupBlocks)
	case s.blocks > uint64(s.groups)*uint64(s.groupBlocks),
		s.blocks < uint64(s.groups-1)*uint64(s.groupBlocks)+minGroupBlocks, s.blocks >= 1<<63>>s.blockBits:
		return corrupt("%d blocks in %d groups of %d", s.blocks, s.groups, s.groupBlocks)
	case int(s.dirBits)+int(s.blockBits) > maxDirBits:
		return corrupt("directory blocks of %d bytes", s.blockSize<<s.dirBits)
	case s.logStart != 0 && (s.logBlocks == 0 || !s.valid(s.logStart, uint64(s.logBlocks))):
		return corrupt("a log of %d blocks at %d", s.logBlocks, s.logStart)
	case s.maxInodes > 100:
		return corrupt("%d %% of the space for inodes", s.maxInodes)
	case !s.validInode(s.root):
		return corrupt("root inode %d", s.root)
	}
	return nil
}

// valid reports whether blocks are within one group of the volume.
func (s *superblock) valid(block, count uint64) bool {
	group := block >> s.groupBits
	if group >= uint64(s.groups) {
		return false
	}
	at := block & (1<<s.groupBits - 1)
	return at < s.blocksOf(uint32(group)) && count <= s.blocksOf(uint32(group))-at
}

// blocksOf is how many blocks a group has: the last may be shorter.
func (s *superblock) blocksOf(group uint32) uint64 {
	if group < s.groups-1 {
		return uint64(s.groupBlocks)
	}
	return s.blocks - uint64(group)*uint64(s.groupBlocks)
}

// offset is the byte offset of a valid block.
func (s *superblock) offset(block uint64) int64 {
	return s.groupOffset(uint32(block>>s.groupBits)) + int64(block&(1<<s.groupBits-1))<<s.blockBits
}

// blockAt is the block at a byte offset.
func (s *superblock) blockAt(off int64) uint64 {
	n := uint64(off) >> s.blockBits
	return n/uint64(s.groupBlocks)<<s.groupBits | n%uint64(s.groupBlocks)
}

// groupOffset is where a group begins, in bytes.
func (s *superblock) groupOffset(group uint32) int64 {
	return int64(group) * int64(s.groupBlocks) << s.blockBits
}

// inodeShift is how many bits of an inode's number are those within a group.
func (s *superblock) inodeShift() uint8 { return s.groupBits + s.inodesInLog }

func (s *superblock) validInode(number uint64) bool {
	block := number >> s.inodesInLog
	// The first blocks of each group hold its headers.
	return s.valid(block, 1) && int64(block&(1<<s.groupBits-1))<<s.blockBits >= 4*s.sectorSize
}

// inodeOffset is the byte offset of a valid inode.
func (s *superblock) inodeOffset(number uint64) int64 {
	return s.offset(number>>s.inodesInLog) + int64(number&(1<<s.inodesInLog-1))<<s.inodeBits
}

func (s *superblock) checksums() bool { return s.version == 5 }

// hasFtype reports whether directory entries have the file type.
func (s *superblock) hasFtype() bool {
	return s.incompat&incompatFtype != 0 || s.version == 4 && s.features2&features2Ftype != 0
}
