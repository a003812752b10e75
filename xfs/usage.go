package xfs

// Usage is how full the volume is, in bytes but for Inodes and FreeInodes, as
// statfs(2) and df have it when the kernel has mounted the volume for writing.
type Usage struct {
	Size       int64 // without the log
	Used       int64 // Size - Free
	Free       int64
	Available  int64 // the same as Free: none are kept for root only
	Reserved   int64 // that the filesystem keeps for itself; part of Used
	Inodes     int64 // that there could be
	FreeInodes int64
}

const (
	// maxPool is the largest reserve that the kernel keeps for operations that must
	// not fail, in blocks. On small volumes it is a twentieth of the volume
	// (xfs_default_resblks).
	maxPool = 8192
	// setAside is how many blocks of each group are kept for the free space's
	// own trees (xfs_alloc_set_aside).
	setAside = 8
)

// Usage adds up the free space in the groups' headers after the log's replay,
// and the space that the kernel frees at mount: files deleted while they were
// open, and copy-on-write reservations. It subtracts the kernel's own reserve
// (Linux 5.13 and later). The error is ErrCorrupt if a header is damaged.
func (f *FS) Usage() (Usage, error) { return f.usage() }

func (f *FS) computeUsage() (Usage, error) {
	if f.unknown != nil {
		return Usage{}, f.unknown
	}
	if f.unfinished != nil {
		return Usage{}, f.unfinished
	}
	s := &f.super
	r := recovery{f: f}
	var free, inodes, freeInodes, kept int64
	for n := range s.groups {
		g, err := f.agf(n)
		if err != nil {
			return Usage{}, err
		}
		i, err := f.agi(n)
		if err != nil {
			return Usage{}, err
		}
		free += int64(g.free) + int64(g.listed) + int64(g.btreeBlocks)
		inodes += int64(i.inodes)
		freeInodes += int64(i.freeInodes)
		hidden, err := f.reservations(n, &g, &i)
		if err != nil {
			return Usage{}, err
		}
		kept += hidden
		if f.knowsTrees() {
			trees := int64(g.btreeBlocks)
			if s.roCompat&roCompatRmapbt != 0 {
				trees -= int64(g.rmapBlocks) - 1
			}
			kept += max(0, trees)
		}
		if err := r.group(n, &g, &i); err != nil {
			return Usage{}, err
		}
	}
	free += r.blocks + r.unshared() + f.freed
	inodes += r.inodes
	freeInodes += r.freeInodes
	kept += int64(min(s.blocks/20, maxPool)) + setAside*int64(s.groups)
	size := int64(s.blocks)
	if s.logStart != 0 {
		size -= int64(s.logBlocks)
	}
	if free > size || freeInodes > inodes {
		return Usage{}, corrupt("%d blocks, %d of them free; %d inodes, %d of them free",
			size, free, inodes, freeInodes)
	}
	free = max(0, free-kept)
	most := s.inodesAmong(inodes, free)
	return Usage{
		Size:       size << s.blockBits,
		Used:       (size - free) << s.blockBits,
		Free:       free << s.blockBits,
		Available:  free << s.blockBits,
		Reserved:   kept << s.blockBits,
		Inodes:     most,
		FreeInodes: most - (inodes - freeInodes),
	}, nil
}

// knowsTrees reports whether the kernel subtracts the blocks of the free space
// trees, which count as free but are not available. It does so for the groups
// whose headers it has read. At mount these are all or none.
func (f *FS) knowsTrees() bool {
	s := &f.super
	return s.roCompat&(roCompatFinobt|roCompatRmapbt|roCompatReflink) != 0 ||
		f.volume.Journal.State != JournalClean && (s.version == 5 || s.features2&features2LazyCount != 0)
}

// inodesAmong is how many inodes there could be: those that there are, and as
// many as free blocks hold, within the share that inodes may take.
func (s *superblock) inodesAmong(inodes, free int64) int64 {
	most := inodes + free<<s.inodesInLog
	if s.maxInodes != 0 {
		unit := int64(max(1, chunkInodes>>s.inodesInLog))
		share := int64(s.blocks) / 100 * int64(s.maxInodes)
		share += int64(s.blocks) % 100 * int64(s.maxInodes) / 100
		most = min(most, share/unit*unit<<s.inodesInLog)
	}
	return max(most, inodes)
}

// reservations is the number of blocks of a group that the kernel reserves so
// that its trees can grow (xfs_ag_resv_init): for each tree its maximum size,
// less its present size and blocks that are not counted as free.
func (f *FS) reservations(group uint32, g *agf, i *agi) (int64, error) {
	s := &f.super
	blocks := int64(g.length)
	if s.logStart != 0 && uint32(s.logStart>>s.groupBits) == group {
		blocks -= int64(s.logBlocks)
	}
	room := s.blockSize - treeHeader5
	ask, used := int64(0), int64(0)
	if s.roCompat&roCompatReflink != 0 {
		ask += treeSize(blocks, room/12, room/8)
		used += int64(g.refcounts)
	}
	if s.roCompat&roCompatFinobt != 0 {
		ask += treeSize(blocks<<s.inodesInLog/chunkInodes, room/16, room/8)
		if s.roCompat&roCompatInobtCounts != 0 {
			used += int64(i.finobtBlocks)
		} else {
			var failed error
			count, err := f.eachRecord(&freeInodeTree, group, i.freeRoot, i.freeLvl,
				func([]byte) error { return nil }, func(err error) { failed = err })
			if err == nil {
				err = failed
			}
			if err != nil {
				return 0, err
			}
			used += count
		}
	}
	hidden := max(0, ask-used)
	if s.roCompat&roCompatRmapbt != 0 {
		// Its blocks count as free, so that all are kept.
		hidden += max(blocks/100, treeSize(blocks, room/24, room/44), int64(g.rmapBlocks))
	}
	return hidden, nil
}

// treeSize is how many blocks a tree takes whose blocks are half full: records
// and keys are how many a block has room for (xfs_btree_calc_size).
func treeSize(records, perLeaf, perNode int64) int64 {
	up := func(n, per int64) int64 { return (n + per - 1) / per }
	level := up(records, perLeaf/2)
	total := level
	for level > 1 {
		level = up(level, perNode/2)
		total += level
	}
	return total
}
