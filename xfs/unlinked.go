package xfs

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// recovery is the space that the kernel frees at mount: files that were deleted
// while they were open, and copy-on-write reservations. A chunk whose inodes
// are all free is freed too.
type recovery struct {
	f                          *FS
	blocks, inodes, freeInodes int64
	shared                     []sharedRun // blocks that more than one file has, in order
	deleted                    []sharedRun // extents of deleted files that may share blocks
}

// sharedRun are blocks that as many files have as count says.
type sharedRun struct {
	begin, end uint64
	count      uint32
}

// Limits of reading and memory: more deleted but open files than any machine
// has.
const (
	maxUnlinked = 1 << 20
	maxDeleted  = 1 << 20 // extents
	maxShared   = 4 << 20 // runs of shared blocks, 24 bytes each
)

// group adds up the freed space in a group.
func (r *recovery) group(group uint32, g *agf, a *agi) error {
	if err := r.readShared(group, g); err != nil {
		return err
	}
	f := r.f
	var gone []uint32
	for _, n := range a.unlinked {
		for n != noInode {
			if len(gone) == maxUnlinked {
				return unsupported("group %d has more than %d inodes without a name, or a list of them that has no end",
					group, maxUnlinked)
			}
			gone = append(gone, n)
			i, err := f.inode(uint64(group)<<f.super.inodeShift() | uint64(n))
			if err != nil {
				return fmt.Errorf("inodes without a name: %w", err)
			}
			if i.links() != 0 {
				return corrupt("inode %d is in a list of those without a name, and has one", i.number)
			}
			r.blocks += int64(min(i.blocks(), f.super.blocks))
			r.freeInodes++
			if i.flags2()&diflag2Reflink != 0 {
				if err := r.delete(i); err != nil {
					return err
				}
			}
			n = i.next()
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return r.freeChunks(group, a, gone)
}

// freeChunks gives back chunks that have no inode in use any more.
func (r *recovery) freeChunks(group uint32, a *agi, gone []uint32) error {
	slices.Sort(gone)
	var failed error
	err := r.f.eachChunk(group, a, func(c chunk) error {
		at := sort.Search(len(gone), func(i int) bool { return gone[i] >= c.first })
		freed := false
		for ; at < len(gone) && gone[at]-c.first < chunkInodes; at++ {
			c.free |= 1 << (gone[at] - c.first)
			freed = true
		}
		if freed && c.free == 1<<64-1 && r.f.super.inodesInLog <= 6 {
			inodes := int64(chunkInodes - 4*bits.OnesCount16(c.holes))
			r.inodes -= inodes
			r.freeInodes -= inodes
			r.blocks += inodes >> r.f.super.inodesInLog
		}
		return nil
	}, func(err error) { failed = err })
	if err == nil {
		err = failed
	}
	return err
}

// readShared reads the tree of reference counts: which blocks are shared, and,
// with the highest bit of the first block set, which were reserved for copies
// on write. A record has 4  first block, 4  how many, 4  count.
func (r *recovery) readShared(group uint32, g *agf) error {
	const reserved = 1 << 31
	s := &r.f.super
	if s.roCompat&roCompatReflink == 0 {
		return nil
	}
	var failed error
	_, err := r.f.eachRecord(&refcountTree, group, g.refcountRoot, g.refcountBits, func(b []byte) error {
		for ; len(b) > 0; b = b[12:] {
			first, count := be.Uint32(b), be.Uint32(b[4:])
			at := uint64(group)<<s.groupBits | uint64(first&^reserved)
			switch {
			case !s.valid(at, uint64(count)):
				return corrupt("tree of reference counts of group %d: %d blocks at %d", group, count, first&^reserved)
			case first&reserved != 0:
				r.blocks += int64(count)
			case len(r.shared) == maxShared:
				return unsupported("more than %d runs of shared blocks", maxShared)
			default:
				r.shared = append(r.shared, sharedRun{at, at + uint64(count), be.Uint32(b[8:])})
			}
		}
		return nil
	}, func(err error) { failed = err })
	if err == nil {
		err = failed
	}
	return err
}

// delete notes the extents of a deleted file, which are freed where no other
// file has them.
func (r *recovery) delete(i inode) error {
	k, err := newDataFork(r.f, i)
	if err != nil {
		return err
	}
	return k.each(maxForkBlocks, func(x run) error {
		if len(r.deleted) == maxDeleted {
			return unsupported("deleted files with more than %d extents", maxDeleted)
		}
		r.blocks -= int64(x.count)
		r.deleted = append(r.deleted, sharedRun{begin: x.physical, end: x.physical + x.count})
		return nil
	})
}

// unshared counts the blocks of deleted files that no other file has: as many
// deleted ones have them as all together.
func (r *recovery) unshared() (blocks int64) {
	type edge struct {
		at      uint64
		deleted int
		shared  int // beyond the one file that has any block
	}
	var edges []edge
	for _, d := range r.deleted {
		edges = append(edges, edge{d.begin, 1, 0}, edge{d.end, -1, 0})
	}
	slices.SortFunc(r.shared, func(a, b sharedRun) int { return cmp.Compare(a.begin, b.begin) })
	for _, d := range r.deleted {
		at := sort.Search(len(r.shared), func(n int) bool { return r.shared[n].end > d.begin })
		for ; at < len(r.shared) && r.shared[at].begin < d.end; at++ {
			x := &r.shared[at]
			if x.count > 1 {
				edges = append(edges, edge{x.begin, 0, int(x.count) - 1}, edge{x.end, 0, 1 - int(x.count)})
				x.count = 1 // once
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	deleted, shared, from := 0, 0, uint64(0)
	for _, e := range edges {
		if deleted > 0 && deleted > shared {
			blocks += int64(e.at - from)
		}
		deleted, shared, from = deleted+e.deleted, shared+e.shared, e.at
	}
	return blocks
}
