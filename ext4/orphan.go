package ext4

import "fmt"

// Orphans are inodes that the kernel has to finish with when it mounts a
// volume after a crash: files that were deleted while they were open, which it
// frees, and files that were being truncated, whose blocks behind their end it
// frees. They are in a list that begins in the superblock, or in a file of
// their own (orphan_file). (orphan.rst; fs/ext4/orphan.c.)
type orphans struct {
	deleted   int
	truncated int
	inodes    int64 // that become free
	clusters  int64 // that become free
	err       error // why the numbers are not known
}

const (
	// maxOrphanFile is the size of the largest file of orphans, in bytes, as
	// in the kernel.
	maxOrphanFile = 8 << 20
	// maxOrphanWork is how many orphans, and blocks of the trees of their blocks,
	// are read: it bounds the time to open a hostile volume to seconds.
	maxOrphanWork = 1 << 18

	orphanMagic    = 0x0B10CA04
	orphanTailSize = 8

	stateErrors = 0x2
)

// cleanup adds up orphans.
type cleanup struct {
	f      *FS
	result orphans
	freed  map[uint32]uint64 // sectors, of truncated inodes
	seen   map[uint32]bool
	blocks map[uint64]uint32 // references that blocks of attributes have left
	values map[uint32]uint64 // and inodes with values of attributes
	work   int
}

// cleanOrphans computes the space that the kernel frees at mount. Like the
// kernel, it skips the orphans of a volume that has errors or read-only
// features.
func (f *FS) cleanOrphans(errors bool) (orphans, error) {
	const readOnly = 0x1000
	s := &f.super
	unwritable := s.roCompat&^roCompatWritable != 0 && s.roCompat&readOnly == 0
	if errors || unwritable || s.lastOrphan == 0 && s.compat&compatOrphanFile == 0 {
		return orphans{}, nil
	}
	c := &cleanup{
		f:      f,
		freed:  map[uint32]uint64{},
		seen:   map[uint32]bool{},
		blocks: map[uint64]uint32{},
		values: map[uint32]uint64{},
	}
	err := c.list()
	if err == nil && s.compat&compatOrphanFile != 0 {
		err = c.file()
	}
	if err != nil {
		if !recoverable(err) {
			return orphans{}, fmt.Errorf("orphans: %w", err)
		}
		c.result.err = fmt.Errorf("orphans: %w", err)
	}
	f.truncated = c.freed
	return c.result, nil
}

// list goes through the list that begins in the superblock. An inode that
// cannot be an orphan ends it.
func (c *cleanup) list() error {
	for number := c.f.super.lastOrphan; number != 0; {
		i, ok, err := c.orphan(number)
		if err != nil {
			return err
		}
		if !ok || c.seen[number] || i.nextOrphan() > c.f.super.inodes {
			c.f.note("inode %d in the orphan list is not an orphan; the rest of the list is skipped, as the kernel does",
				number)
			return nil
		}
		if err := c.process(i); err != nil {
			return err
		}
		number = i.nextOrphan()
	}
	return nil
}

// file goes through the file of orphans: blocks of inode numbers, 0 where
// there is none, and at the end of each
//
//	0  4  magic 0x0B10CA04, 4  4  checksum of the block's number and of the inodes
func (c *cleanup) file() error {
	s := &c.f.super
	i, err := c.f.inode(s.orphanFile)
	if err != nil {
		return err
	}
	size := i.size(s)
	if i.kind() != modeRegular || i.has(flagInline) || size > maxOrphanFile || size%uint64(s.blockSize()) != 0 {
		return corrupt("inode %d is not an orphan file", i.number)
	}
	m := newBlockMap(c.f.disk, s, i)
	for n := uint64(0); n < size>>s.blockBits; n++ {
		r, err := m.find(n)
		if err != nil {
			return err
		}
		if !r.data() {
			return damaged(i.number, reasonHole)
		}
		b, err := c.f.disk.block(r.physical)
		if err != nil {
			return err
		}
		tail := b[len(b)-orphanTailSize:]
		if le.Uint32(tail) != orphanMagic {
			return corrupt("block %d of the orphan file has no magic number", n)
		}
		if s.checksums {
			crc := crc32cUint32(crc32cUint32(m.seed, uint32(r.physical)), uint32(r.physical>>32))
			if crc32c(crc, b[:len(b)-orphanTailSize]) != le.Uint32(tail[4:]) {
				return corrupt("block %d of the orphan file fails its checksum", n)
			}
		}
		for at := 0; at+4 <= len(b)-orphanTailSize; at += 4 {
			number := le.Uint32(b[at:])
			if number == 0 {
				continue
			}
			i, ok, err := c.orphan(number)
			if err != nil {
				return err
			}
			if !ok || c.seen[number] {
				c.f.note("inode %d in the orphan file is not an orphan", number)
				continue
			}
			if err := c.process(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// orphan reads an inode and reports whether it can be an orphan: it is in use,
// and not one that has a name but no blocks to free.
func (c *cleanup) orphan(number uint32) (inode, bool, error) {
	f := c.f
	if err := c.step(); err != nil {
		return inode{}, false, err
	}
	if number < f.super.firstInode || number > f.super.inodes {
		return inode{}, false, nil
	}
	used, err := f.inodeUsed(number)
	if err != nil || !used {
		return inode{}, false, err
	}
	i, err := f.inode(number)
	if err != nil {
		if recoverable(err) {
			err = nil
		}
		return inode{}, false, err
	}
	return i, i.links() == 0 || f.truncatable(i), nil
}

// inodeUsed reports whether an inode is in use by the bitmap of its group.
func (f *FS) inodeUsed(number uint32) (bool, error) {
	g := &f.groups[(number-1)/f.super.inodesPerGroup]
	if g.state == groupLost {
		return false, damaged(number, reasonGroup)
	}
	if g.unused == f.super.inodesPerGroup {
		return false, nil
	}
	b, err := f.disk.block(g.inodeBitmap)
	if err != nil {
		return false, fmt.Errorf("bitmap of inode %d: %w", number, err)
	}
	bit := (number - 1) % f.super.inodesPerGroup
	return b[bit/8]>>(bit%8)&1 != 0, nil
}

func (f *FS) truncatable(i inode) bool {
	switch i.kind() {
	case modeRegular, modeDir:
		return true
	case modeSymlink:
		return !f.fast(i)
	}
	return false
}

func (c *cleanup) step() error {
	if c.work++; c.work > maxOrphanWork {
		return unsupported("more than %d orphans and blocks of them", maxOrphanWork)
	}
	return nil
}

func (c *cleanup) process(i inode) error {
	s := &c.f.super
	c.seen[i.number] = true
	if i.links() > 0 {
		c.result.truncated++
		clusters, err := c.freedBy(i, (i.size(s)+uint64(s.blockSize())-1)>>s.blockBits)
		if err != nil {
			return err
		}
		c.result.clusters += clusters
		c.freed[i.number] = uint64(clusters) << (s.clusterRatio + s.blockBits - 9)
		return nil
	}
	c.result.deleted++
	return c.free(i)
}

// free frees an inode with all that it has.
func (c *cleanup) free(i inode) error {
	s := &c.f.super
	c.result.inodes++
	if i.sectors(s) > 0 && c.f.truncatable(i) {
		clusters, err := c.freedBy(i, 0)
		if err != nil {
			return err
		}
		c.result.clusters += clusters
	}
	entries, why := s.inodeXattrs(i)
	if why != sound {
		return damaged(i.number, why)
	}
	if err := c.freeValues(entries); err != nil {
		return err
	}
	return c.freeAttributes(i)
}

// freeAttributes takes away one reference to the block of attributes, and with
// the last the block.
func (c *cleanup) freeAttributes(i inode) error {
	s := &c.f.super
	block := i.attributes(s)
	if block == 0 {
		return nil
	}
	b, err := c.f.disk.block(block)
	if err != nil {
		return err
	}
	entries, why := s.blockXattrs(b, block)
	if why != sound {
		return damaged(i.number, why)
	}
	left, ok := c.blocks[block]
	if !ok {
		left = le.Uint32(b[4:])
	}
	if left > 1 {
		c.blocks[block] = left - 1
		return nil
	}
	c.result.clusters++
	return c.freeValues(entries)
}

// freeValues takes away one reference to each inode that holds a value, and
// with the last the inode. The count is where others have the time of the
// change of the inode and its version.
func (c *cleanup) freeValues(entries []xattrEntry) error {
	for _, e := range entries {
		if e.inode == 0 {
			continue
		}
		if err := c.step(); err != nil {
			return err
		}
		i, err := c.f.inode(e.inode)
		if err != nil {
			return err
		}
		if !i.has(flagEAInode) || c.seen[i.number] {
			return damaged(i.number, reasonXattr)
		}
		left, ok := c.values[i.number]
		if !ok {
			left = uint64(le.Uint32(i.raw[0xC:]))<<32 | uint64(le.Uint32(i.raw[0x24:]))
		}
		if left > 1 {
			c.values[i.number] = left - 1
			continue
		}
		c.seen[i.number] = true
		clusters, err := c.freedBy(i, 0)
		if err != nil {
			return err
		}
		c.result.inodes++
		c.result.clusters += clusters
	}
	return nil
}

// freedBy counts the clusters that become free when the blocks of a file from
// one on are freed, and blocks of its tree that then have nothing left.
func (c *cleanup) freedBy(i inode, from uint64) (int64, error) {
	if i.has(flagInline) {
		return 0, nil
	}
	t := truncation{c: c, m: newBlockMap(c.f.disk, &c.f.super, i), from: from, last: ^uint64(0)}
	if t.m.extents {
		depth := int(le.Uint16(t.m.area[6:]))
		if why := c.f.super.checkExtents(t.m.area[:], depth, 0, maxLogical, true); why != sound {
			return 0, damaged(i.number, why)
		}
		_, err := t.extents(t.m.area[:], 0, maxLogical)
		return t.clusters, err
	}
	_, err := t.pointers(t.m.area[:4*directBlocks], 0, 0)
	first := uint64(directBlocks)
	for level := uint(1); level <= indirectLevels && err == nil; level++ {
		_, err = t.pointer(le.Uint32(t.m.area[4*(directBlocks+level-1):]), first, level)
		first += 1 << (uint(c.f.super.blockBits-2) * level)
	}
	return t.clusters, err
}

// truncation goes through the tree of a file's blocks in their order.
type truncation struct {
	c        *cleanup
	m        *blockMap
	from     uint64
	clusters int64
	last     uint64 // cluster that was kept or counted last
}

// extents goes through a node of a tree of extents, and reports whether it
// keeps any. The depth of the recursion is that of the tree.
func (t *truncation) extents(data []byte, first, end uint64) (kept bool, err error) {
	entries, depth := int(le.Uint16(data[2:])), int(le.Uint16(data[6:]))
	for k := range entries {
		e := data[(k+1)*extentSize:]
		logical := uint64(le.Uint32(e))
		if depth == 0 {
			count, _ := extentLength(e)
			kept = t.data(run{logical: logical, count: count, physical: extentStart(e)}) || kept
			continue
		}
		next := end
		if k+1 < entries {
			next = uint64(le.Uint32(e[extentSize:]))
		}
		if err := t.c.step(); err != nil {
			return false, err
		}
		child, err := t.m.extentBlock(indexBlock(e), depth-1, logical, next)
		if err != nil {
			return false, err
		}
		keeps, err := t.extents(child, logical, next)
		if err != nil {
			return false, err
		}
		if !keeps {
			t.clusters++
		}
		kept = kept || keeps
	}
	return kept, nil
}

// data counts the freed part of a run, and reports whether any of it is kept.
func (t *truncation) data(r run) (kept bool) {
	ratio := t.m.super.clusterRatio
	if r.logical < t.from {
		kept = true
		keep := min(r.count, t.from-r.logical)
		t.last = (r.physical + keep - 1) >> ratio
		if keep == r.count {
			return kept
		}
		r = r.from(t.from)
	}
	begin, end := r.physical>>ratio, (r.physical+r.count-1)>>ratio
	t.clusters += int64(end - begin + 1)
	if begin == t.last {
		t.clusters--
	}
	t.last = end
	return kept
}

// pointer goes through a block of pointers and all below it; the depth of the
// recursion is the level.
func (t *truncation) pointer(block uint32, first uint64, level uint) (kept bool, err error) {
	if block == 0 {
		return false, nil
	}
	if err := t.c.step(); err != nil {
		return false, err
	}
	data, err := t.m.pointerBlock(block)
	if err != nil {
		return false, err
	}
	if kept, err = t.pointers(data, first, level-1); err == nil && !kept {
		t.clusters++
	}
	return kept, err
}

// pointers goes through pointers to blocks of the file (level 0) or to blocks
// of pointers.
func (t *truncation) pointers(data []byte, first uint64, level uint) (kept bool, err error) {
	span := uint64(1) << (uint(t.m.super.blockBits-2) * level)
	for at := 0; at < len(data); at, first = at+4, first+span {
		p := le.Uint32(data[at:])
		switch {
		case p == 0:
		case level > 0:
			keeps, err := t.pointer(p, first, level)
			if err != nil {
				return false, err
			}
			kept = kept || keeps
		case !t.m.super.valid(uint64(p), 1):
			return false, damaged(t.m.number, reasonBlock)
		default:
			kept = t.data(run{logical: first, count: 1, physical: uint64(p)}) || kept
		}
	}
	return kept, nil
}
