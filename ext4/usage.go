package ext4

import (
	"cmp"
	"slices"
)

// Usage is how full the volume is, in bytes but for Inodes and FreeInodes, as
// statfs(2) and df have it when the kernel has mounted the volume.
type Usage struct {
	Size       int64 // without the filesystem's own overhead
	Used       int64 // Size - Free
	Free       int64
	Available  int64 // to others than root
	Reserved   int64 // for root
	Inodes     int64
	FreeInodes int64
}

// maxReservedClusters bounds the share of 2 % that the kernel keeps back for
// itself where there are extents.
const maxReservedClusters = 4096

// Usage adds up the free space in the group descriptors after the journal's
// replay, and the space that the kernel frees at mount: deleted files that were
// still open, and the ends of files that were being truncated. The error is
// ErrCorrupt if a descriptor is damaged, even if a copy of it is intact, or if
// the list of orphans is.
func (f *FS) Usage() (Usage, error) { return f.usage() }

func (f *FS) computeUsage() (Usage, error) {
	if f.unknown != nil {
		return Usage{}, f.unknown
	}
	if f.orphans.err != nil {
		return Usage{}, f.orphans.err
	}
	if _, err := f.root(); err != nil {
		return Usage{}, err // the features that count may not be the volume's
	}
	s := &f.super
	free, inodes := f.orphans.clusters, f.orphans.inodes
	for n := range f.groups {
		g := &f.groups[n]
		if g.state != groupSound {
			return Usage{}, corrupt("the descriptor of group %d is damaged, so its free space is unknown", n)
		}
		free += int64(g.freeBlocks)
		inodes += int64(g.freeInodes)
	}
	overhead, err := f.overhead()
	if err != nil {
		return Usage{}, err
	}
	size := int64(s.blocks) - overhead<<s.clusterRatio
	free <<= s.clusterRatio
	kept := int64(0)
	if s.has(incompatExtents) {
		kept = min(int64(s.blocks>>s.clusterRatio)/50, maxReservedClusters) << s.clusterRatio
	}
	if s.reserved > s.blocks || size < 0 || free > size {
		return Usage{}, corrupt("%d blocks, %d of them for the filesystem itself, %d reserved, %d free",
			s.blocks, overhead<<s.clusterRatio, s.reserved, free)
	}
	u := Usage{
		Size:       size << s.blockBits,
		Used:       (size - free) << s.blockBits,
		Free:       free << s.blockBits,
		Available:  max(0, free-int64(s.reserved)-kept) << s.blockBits,
		Reserved:   int64(s.reserved) << s.blockBits,
		Inodes:     int64(s.inodes),
		FreeInodes: inodes,
	}
	return u, nil
}

// overhead is the part of the volume that the kernel does not count in its
// size: superblocks, descriptors and the room for more of them, bitmaps, inode
// tables and the journal, in clusters. With bigalloc it is the number in the
// superblock, if there is one, or counted without that room (fs/ext4/super.c,
// ext4_calculate_overhead, as of Linux 5.18; before, the room was not part of
// it).
func (f *FS) overhead() (int64, error) {
	s := &f.super
	if s.roCompat&roCompatBigalloc != 0 && s.overhead != 0 && uint64(s.overhead) <= s.blocks {
		return int64(s.overhead), nil
	}
	if f.journalBlocks < 0 {
		return 0, corrupt("the size of the journal is unknown")
	}
	round := int64(1)<<s.clusterRatio - 1
	total := int64(s.firstBlock)>>s.clusterRatio + (f.journalBlocks+round)>>s.clusterRatio
	if s.roCompat&roCompatBigalloc != 0 {
		return total + f.metadataClusters(), nil
	}
	fixed := int64(s.inodesPerGroup/uint32(s.blockSize()/s.inodeSize)) + 2
	for n := range s.groups {
		total += fixed + s.superblockBlocks(n)
		if s.hasSuperblock(n) {
			total += int64(s.reservedGDT)
		}
	}
	return total, nil
}

// superblockBlocks is how many blocks the superblock and the descriptors take
// at the begin of a group.
func (s *superblock) superblockBlocks(group uint32) int64 {
	blocks := int64(0)
	if s.hasSuperblock(group) {
		blocks = 1
	}
	per := s.descriptorsPerBlock()
	switch {
	case s.inMetaGroup(group / per):
		if n := group % per; n == 0 || n == 1 || n == per-1 {
			blocks++
		}
	case !s.hasSuperblock(group):
	case s.has(incompatMetaBG):
		blocks += int64(s.firstMetaGroup)
	default:
		blocks += int64(s.descriptorBlocks())
	}
	return blocks
}

// metadataClusters counts the clusters that hold metadata, each once. Like the
// kernel, it leaves out an inode table that does not end before the last block
// of the group in which it begins.
func (f *FS) metadataClusters() (total int64) {
	type clusters struct{ begin, end uint64 }
	s := &f.super
	list := make([]clusters, 0, 4*len(f.groups))
	add := func(block, count uint64) {
		block -= uint64(s.firstBlock)
		list = append(list, clusters{block >> s.clusterRatio, (block+count-1)>>s.clusterRatio + 1})
	}
	for n, g := range f.groups {
		add(g.blockBitmap, 1)
		add(g.inodeBitmap, 1)
		in := (g.inodeTable - uint64(s.firstBlock)) / uint64(s.blocksPerGroup)
		if g.inodeTable+uint64(s.tableBlocks()) < s.groupStart(uint32(in)+1) {
			add(g.inodeTable, uint64(s.tableBlocks()))
		}
		if blocks := s.superblockBlocks(uint32(n)); blocks > 0 {
			add(s.groupStart(uint32(n)), uint64(blocks))
		}
	}
	slices.SortFunc(list, func(a, b clusters) int { return cmp.Compare(a.begin, b.begin) })
	end := uint64(0)
	for _, c := range list {
		begin := max(c.begin, end)
		if c.end > begin {
			total += int64(c.end - begin)
			end = c.end
		}
	}
	return total
}
