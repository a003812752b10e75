package ext4

import "fmt"

const (
	minDescSize  = 32
	wideDescSize = 64 // with the high halves of its numbers

	groupInodeUninit = 0x1 // the inode table was never written
)

// group is a decoded group descriptor.
type group struct {
	blockBitmap uint64
	inodeBitmap uint64
	inodeTable  uint64
	freeBlocks  uint32 // clusters with bigalloc
	freeInodes  uint32
	bitmapSum   uint32 // checksum of the inode bitmap; only the low half in a short descriptor
	unused      uint32 // inodes at the end of the table that were never written
	state       groupState
}

type groupState uint8

const (
	groupSound groupState = iota
	groupStale            // the places are known, perhaps from a copy, but the counts are not
	groupLost
)

// parseGroup decodes a descriptor:
//
//	0x00  4  block bitmap, low      0x20  4  high
//	0x04  4  inode bitmap, low      0x24  4  high
//	0x08  4  inode table, low       0x28  4  high
//	0x0C  2  free blocks, low       0x2C  2  high
//	0x0E  2  free inodes, low       0x2E  2  high
//	0x12  2  flags
//	0x1A  2  checksum of inode bitmap, low  0x3A  2  high
//	0x1C  2  unused inodes, low     0x32  2  high
//	0x1E  2  checksum
//
// (group_descr.rst). Without sound places the group is lost, without sound
// counts it is stale.
func (s *superblock) parseGroup(b []byte, number uint32) group {
	g := group{
		blockBitmap: uint64(le.Uint32(b)),
		inodeBitmap: uint64(le.Uint32(b[0x4:])),
		inodeTable:  uint64(le.Uint32(b[0x8:])),
		freeBlocks:  uint32(le.Uint16(b[0xC:])),
		freeInodes:  uint32(le.Uint16(b[0xE:])),
		bitmapSum:   uint32(le.Uint16(b[0x1A:])),
		unused:      uint32(le.Uint16(b[0x1C:])),
	}
	if s.descSize >= wideDescSize {
		g.blockBitmap |= uint64(le.Uint32(b[0x20:])) << 32
		g.inodeBitmap |= uint64(le.Uint32(b[0x24:])) << 32
		g.inodeTable |= uint64(le.Uint32(b[0x28:])) << 32
		g.freeBlocks |= uint32(le.Uint16(b[0x2C:])) << 16
		g.freeInodes |= uint32(le.Uint16(b[0x2E:])) << 16
		g.unused |= uint32(le.Uint16(b[0x32:])) << 16
		g.bitmapSum |= uint32(le.Uint16(b[0x3A:])) << 16
	}
	switch {
	case s.checksums || s.roCompat&roCompatGDTCsum != 0:
		if le.Uint16(b[0x1E:]) != s.groupChecksum(b, number) {
			return group{state: groupLost}
		}
		if le.Uint16(b[0x12:])&groupInodeUninit != 0 {
			g.unused = s.inodesPerGroup
		}
	default:
		g.unused = 0
	}
	if !s.valid(g.blockBitmap, 1) || !s.valid(g.inodeBitmap, 1) || !s.valid(g.inodeTable, uint64(s.tableBlocks())) {
		return group{state: groupLost}
	}
	if g.unused > s.inodesPerGroup || g.freeInodes > s.inodesPerGroup ||
		g.freeBlocks > s.blocksPerGroup>>s.clusterRatio {
		g.forget()
	}
	return g
}

// forget takes away the counts.
func (g *group) forget() {
	g.state = groupStale
	g.freeBlocks, g.freeInodes, g.unused = 0, 0, 0
}

func (s *superblock) groupChecksum(b []byte, number uint32) uint16 {
	if s.checksums {
		crc := crc32c(crc32cUint32(s.seed, number), b[:0x1E])
		crc = crc32c(crc, zeros[:2])
		return uint16(crc32c(crc, b[0x20:]))
	}
	crc := crc16(crc16(^uint16(0), s.uuid[:]), le.AppendUint32(nil, number))
	crc = crc16(crc, b[:0x1E])
	if s.descSize >= wideDescSize {
		crc = crc16(crc, b[0x20:])
	}
	return crc
}

// tableBlocks is how many blocks an inode table takes.
func (s *superblock) tableBlocks() uint32 {
	perBlock := uint32(s.blockSize() / s.inodeSize)
	return (s.inodesPerGroup + perBlock - 1) / perBlock
}

// descriptorsPerBlock is the number of descriptors in a block.
func (s *superblock) descriptorsPerBlock() uint32 { return uint32(s.blockSize() / s.descSize) }

// descriptorBlocks is how many blocks all descriptors take.
func (s *superblock) descriptorBlocks() uint32 {
	n := s.descriptorsPerBlock()
	return (s.groups + n - 1) / n
}

// inMetaGroup reports whether a block of descriptors is in the groups that it
// describes (meta_bg), and not after the superblock.
func (s *superblock) inMetaGroup(n uint32) bool {
	return s.has(incompatMetaBG) && n >= s.firstMetaGroup
}

// descriptorBlock is the number of the n-th block of descriptors.
func (s *superblock) descriptorBlock(n uint32) uint64 {
	if !s.inMetaGroup(n) {
		return s.superblockBlock() + 1 + uint64(n)
	}
	first := n * s.descriptorsPerBlock()
	block := s.groupStart(first)
	if s.hasSuperblock(first) {
		block++
	}
	if n == 0 && s.firstBlock == 0 && s.superblockBlock() == 1 {
		block++
	}
	return block
}

// descriptorCopy is the number of a block with a copy of the n-th block of
// descriptors, if there is one.
func (s *superblock) descriptorCopy(n uint32) (uint64, bool) {
	if s.inMetaGroup(n) {
		group := n*s.descriptorsPerBlock() + 1
		if group >= s.groups {
			return 0, false
		}
		block := s.groupStart(group)
		if s.hasSuperblock(group) {
			block++
		}
		return block, true
	}
	for group := uint32(1); group < s.groups; group++ {
		if s.hasSuperblock(group) {
			return s.groupStart(group) + 1 + uint64(n), true
		}
	}
	return 0, false
}

// hasSuperblock reports whether the group begins with a superblock.
func (s *superblock) hasSuperblock(group uint32) bool {
	switch {
	case group == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return group == s.backupGroups[0] || group == s.backupGroups[1]
	case group == 1 || s.roCompat&roCompatSparseSuper == 0:
		return true
	}
	return isPower(group, 3) || isPower(group, 5) || isPower(group, 7)
}

func isPower(n, base uint32) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

// groupRead is how many bytes of descriptors are read at a time.
const groupRead = 1 << 20

// loadGroups reads the group descriptors. Damaged ones are replaced by their
// copies, which have the locations of the tables but no current free counts.
// The notes list these.
func loadGroups(d *device, s *superblock) (groups []group, notes []string, err error) {
	if int64(s.groups)*int64(s.descSize) > d.size {
		return nil, nil, corrupt("the descriptors of %d block groups are larger than the image (%d bytes)",
			s.groups, d.size)
	}
	groups = make([]group, s.groups)
	blocks := s.descriptorBlocks()
	buf := make([]byte, min(int64(groupRead), int64(blocks)<<s.blockBits))
	stale, lost := 0, 0
	for n := uint32(0); n < blocks; {
		at := s.descriptorBlock(n)
		count := uint32(1)
		for n+count < blocks && int(count+1)<<s.blockBits <= len(buf) &&
			s.descriptorBlock(n+count) == at+uint64(count) {
			count++
		}
		if err := d.readAt(buf[:int(count)<<s.blockBits], int64(at<<s.blockBits)); err != nil {
			if !recoverable(err) {
				return nil, nil, fmt.Errorf("group descriptors: %w", err)
			}
			clear(buf) // no group is sound like that
		}
		for i := range count {
			bad, gone, err := s.loadGroupBlock(d, buf[int(i)<<s.blockBits:int(i+1)<<s.blockBits], n+i, groups)
			if err != nil {
				return nil, nil, fmt.Errorf("group descriptors: %w", err)
			}
			stale += bad
			lost += gone
		}
		n += count
	}
	if stale > 0 {
		notes = append(notes, fmt.Sprintf("%d group descriptors are damaged; "+
			"their inodes were found, perhaps from a copy, but the free space is unknown", stale))
	}
	if lost > 0 {
		notes = append(notes, fmt.Sprintf("%d group descriptors are damaged and have no intact copy; "+
			"the inodes of these groups cannot be read", lost))
	}
	return groups, notes, nil
}

// loadGroupBlock decodes the n-th block of descriptors.
func (s *superblock) loadGroupBlock(d *device, b []byte, n uint32, groups []group) (stale, lost int, err error) {
	per := s.descriptorsPerBlock()
	var backup []byte
	for i := range per {
		number := n*per + i
		if number >= s.groups {
			break
		}
		at := int(i) * s.descSize
		g := s.parseGroup(b[at:at+s.descSize], number)
		if g.state == groupLost {
			if backup == nil {
				if backup, err = s.readDescriptorCopy(d, n); err != nil {
					return 0, 0, err
				}
			}
			if g = s.parseGroup(backup[at:at+s.descSize], number); g.state == groupSound {
				g.forget()
			}
		}
		switch g.state {
		case groupStale:
			stale++
		case groupLost:
			lost++
		}
		groups[number] = g
	}
	return stale, lost, nil
}

// readDescriptorCopy returns zeros, which are no descriptors, where there is
// no copy.
func (s *superblock) readDescriptorCopy(d *device, n uint32) ([]byte, error) {
	b := make([]byte, s.blockSize())
	block, ok := s.descriptorCopy(n)
	if !ok {
		return b, nil
	}
	if err := d.readAt(b, int64(block<<s.blockBits)); err != nil {
		if !recoverable(err) {
			return nil, err
		}
		clear(b)
	}
	return b, nil
}
