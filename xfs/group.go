package xfs

import (
	"bytes"
	"fmt"
)

// agf is the header of the free space of a group.
type agf struct {
	length       uint64 // blocks of the group
	free         uint32 // blocks
	listed       uint32 // blocks on the free list
	btreeBlocks  uint32 // of the trees of free space, without their roots
	rmapBlocks   uint32
	refcountRoot uint32
	refcountBits uint32 // levels
	refcounts    uint32 // blocks of the tree of reference counts
}

// agi is the header of the inodes of a group.
type agi struct {
	inodes, freeInodes uint32
	root, level        uint32
	freeRoot, freeLvl  uint32
	finobtBlocks       uint32
	unlinked           [64]uint32 // lists of inodes without a name; noInode ends one
}

// noInode is the number within a group that none has.
const noInode = 1<<32 - 1

// header reads the n-th sector of a group and checks what all headers have: a
// magic, version 1, the group's number and its length, and the volume's UUID
// and a checksum from version 5 of the filesystem on.
func (f *FS) header(group uint32, n int64, magic string, uuidAt, crcAt int) ([]byte, error) {
	s := &f.super
	off := s.groupOffset(group) + n*s.sectorSize
	b := make([]byte, s.sectorSize)
	if err := f.disk.readAt(b, off); err != nil {
		return nil, err
	}
	switch {
	case string(b[:4]) != magic || be.Uint32(b[4:]) != 1:
		return nil, corrupt("no magic")
	case s.checksums() && !f.disk.replayed(off, sector) && !sum(b, crcAt):
		return nil, corrupt("it fails its checksum")
	case s.checksums() && !bytes.Equal(b[uuidAt:uuidAt+16], s.metaUUID[:]):
		return nil, corrupt("it is another volume's")
	case be.Uint32(b[8:]) != group || uint64(be.Uint32(b[0xC:])) != s.blocksOf(group):
		return nil, corrupt("it is another group's, or of a group of another length")
	}
	return b, nil
}

// agf reads the header of a group's free space:
//
//	0x30  4  blocks on the free list, 0x34  4  free blocks
//	0x3C  4  blocks of the trees, 0x40 16  UUID, 0x50  4  blocks of reverse mappings
//	0x54  4  blocks of reference counts, 0x58  4  their root, 0x5C  4  levels
//	0xD8  4  checksum
//
// ("XFS Algorithms & Data Structures", AG Free Space Block).
func (f *FS) agf(group uint32) (agf, error) {
	b, err := f.header(group, 1, "XAGF", 0x40, 0xD8)
	if err != nil {
		return agf{}, fmt.Errorf("free space of group %d: %w", group, err)
	}
	a := agf{
		length:      uint64(be.Uint32(b[0xC:])),
		listed:      be.Uint32(b[0x30:]),
		free:        be.Uint32(b[0x34:]),
		btreeBlocks: be.Uint32(b[0x3C:]),
	}
	if f.super.checksums() {
		a.rmapBlocks = be.Uint32(b[0x50:])
		a.refcounts = be.Uint32(b[0x54:])
		a.refcountRoot = be.Uint32(b[0x58:])
		a.refcountBits = be.Uint32(b[0x5C:])
	}
	if uint64(a.free)+uint64(a.listed) > a.length || uint64(a.btreeBlocks) > a.length ||
		uint64(a.refcounts) > a.length || uint64(a.rmapBlocks) > a.length {
		return agf{}, corrupt("free space of group %d: more blocks than it has", group)
	}
	return a, nil
}

// agi reads the header of a group's inodes:
//
//	0x10  4  inodes, 0x14  4  root of their tree, 0x18  4  its levels, 0x1C  4  free inodes
//	0x28     64 lists of inodes without a name, 4 each; 0x128 16  UUID, 0x138  4  checksum
//	0x148 4  root of the tree of chunks with free inodes, 0x14C  4  its levels
//	0x154 4  its blocks
//
// ("XFS Algorithms & Data Structures", AG Inode Management).
func (f *FS) agi(group uint32) (agi, error) {
	b, err := f.header(group, 2, "XAGI", 0x128, 0x138)
	if err != nil {
		return agi{}, fmt.Errorf("inodes of group %d: %w", group, err)
	}
	a := agi{
		inodes:     be.Uint32(b[0x10:]),
		root:       be.Uint32(b[0x14:]),
		level:      be.Uint32(b[0x18:]),
		freeInodes: be.Uint32(b[0x1C:]),
	}
	for i := range a.unlinked {
		a.unlinked[i] = be.Uint32(b[0x28+4*i:])
	}
	if f.super.checksums() {
		a.freeRoot = be.Uint32(b[0x148:])
		a.freeLvl = be.Uint32(b[0x14C:])
		a.finobtBlocks = be.Uint32(b[0x154:])
	}
	if a.freeInodes > a.inodes || uint64(a.inodes) > f.super.blocksOf(group)<<f.super.inodesInLog {
		return agi{}, corrupt("inodes of group %d: %d, of which %d are free", group, a.inodes, a.freeInodes)
	}
	return a, nil
}

// A tree of a group: blocks with a header and then records, or keys and then
// the numbers of blocks below.
type groupTree struct {
	what   string
	magic4 string // of version 4 of the filesystem, "" if it has no such tree
	magic5 string
	record int // bytes
	key    int
}

var (
	inodeTree     = groupTree{"inodes", "IABT", "IAB3", 16, 4}
	freeInodeTree = groupTree{"free inodes", "", "FIB3", 16, 4}
	refcountTree  = groupTree{"reference counts", "", "R3FC", 12, 4}
)

const (
	treeHeader4 = 16
	treeHeader5 = 56
	// maxTreeLevels is the depth of the deepest tree (XFS_BTREE_MAXLEVELS).
	maxTreeLevels = 9
)

// each visits the records of a tree in their order, block by block; visit gets
// complete records. lost gets the errors of unusable blocks; whatever is below
// them is skipped. The error is the reader's or the visitor's.
//
// A block:
//
//	0  4  magic, 4  2  level, 6  2  records, 8  4  left, 12  4  right
//	from version 5 on: 16  8  sector where it is, 32 16  UUID, 48  4  group, 52  4  checksum
//
// ("XFS Algorithms & Data Structures", Short Format B+trees).
func (f *FS) eachRecord(t *groupTree, group, root, levels uint32, visit func(records []byte) error,
	lost func(error)) (blocks int64, err error) {
	if levels == 0 || levels > maxTreeLevels {
		lost(corrupt("tree of %s of group %d: %d levels", t.what, group, levels))
		return 0, nil
	}
	type node struct{ block, level uint32 }
	stack := []node{{root, levels - 1}}
	// No block may be met twice: there are no more than the group has.
	left := f.super.blocksOf(group)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if left--; left == 0 {
			lost(corrupt("tree of %s of group %d: more blocks than the group has", t.what, group))
			return blocks, nil
		}
		body, count, err := f.treeBlock(t, group, n.block, n.level)
		if err != nil {
			if !recoverable(err) {
				return blocks, err
			}
			lost(fmt.Errorf("tree of %s of group %d: %w", t.what, group, err))
			continue
		}
		blocks++
		if n.level == 0 {
			if err := visit(body[:count*t.record]); err != nil {
				return blocks, err
			}
			continue
		}
		pointers := body[len(body)/(t.key+4)*t.key:]
		for i := count - 1; i >= 0; i-- {
			stack = append(stack, node{be.Uint32(pointers[4*i:]), n.level - 1})
		}
	}
	return blocks, nil
}

func (f *FS) treeBlock(t *groupTree, group, block, level uint32) (body []byte, count int, err error) {
	s := &f.super
	number := uint64(group)<<s.groupBits | uint64(block)
	if uint64(block) >= s.blocksOf(group) {
		return nil, 0, corrupt("block %d, which the group does not have", block)
	}
	off := s.offset(number)
	b, err := f.disk.piece(off, s.blockSize)
	if err != nil {
		return nil, 0, err
	}
	size, magic := treeHeader4, t.magic4
	if s.checksums() {
		size, magic = treeHeader5, t.magic5
		if string(b[:4]) == magic {
			switch {
			case !f.disk.replayed(off, s.blockSize) && !sum(b, 52):
				return nil, 0, corrupt("block %d fails its checksum", block)
			case be.Uint64(b[16:]) != uint64(off/sector) || !bytes.Equal(b[32:48], s.metaUUID[:]) ||
				be.Uint32(b[48:]) != group:
				return nil, 0, corrupt("block %d has the number of another", block)
			}
		}
	}
	if string(b[:4]) != magic {
		return nil, 0, corrupt("block %d has no magic number", block)
	}
	body, count = b[size:], int(be.Uint16(b[6:]))
	width := t.record
	if level > 0 {
		width = t.key + 4
	}
	if uint32(be.Uint16(b[4:])) != level || count*width > len(body) || count == 0 && level > 0 {
		return nil, 0, corrupt("block %d has %d records at level %d", block, count, be.Uint16(b[4:]))
	}
	return body, count, nil
}

// chunk is 64 inodes, one behind the other.
type chunk struct {
	group uint32
	first uint32 // inode in the group
	holes uint16 // bit i: inodes 4i to 4i+3 are not there
	free  uint64 // bit i: the inode is not in use
}

// parseChunk decodes a record of the tree of inodes:
//
//	0  4  first inode, 4  4  free ones, 8  8  which are free
//	with sparse inodes: 4  2  holes, 6  1  inodes, 7  1  free ones
func (s *superblock) parseChunk(b []byte, group uint32) (chunk, reason) {
	c := chunk{group: group, first: be.Uint32(b), free: be.Uint64(b[8:])}
	if s.incompat&incompatSparse != 0 {
		c.holes = be.Uint16(b[4:])
	}
	end := uint64(c.first) + chunkInodes
	if c.first&(1<<min(s.inodesInLog, 6)-1) != 0 || (end+1<<s.inodesInLog-1)>>s.inodesInLog > s.blocksOf(group) {
		return c, reasonNumber
	}
	return c, sound
}

const chunkInodes = 64

// used reports whether the i-th inode of a chunk is in use.
func (c *chunk) used(i int) bool { return c.free>>i&1 == 0 && c.holes>>(i/4)&1 == 0 }

// eachChunk visits the records of a group's inode tree.
func (f *FS) eachChunk(group uint32, a *agi, visit func(chunk) error, lost func(error)) error {
	_, err := f.eachRecord(&inodeTree, group, a.root, a.level, func(b []byte) error {
		for ; len(b) > 0; b = b[16:] {
			c, why := f.super.parseChunk(b, group)
			if why != sound {
				lost(corrupt("tree of inodes of group %d: inodes from %d on, which it does not have", group, c.first))
				continue
			}
			if err := visit(c); err != nil {
				return err
			}
		}
		return nil
	}, lost)
	return err
}
