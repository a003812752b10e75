package xfs

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// recovery is what the kernel frees in a group when it mounts the volume.
type recovery struct{ blocks, inodes, freeInodes int64 }

// maxUnlinked is the most inodes of a group without a name that are looked at:
// so many files that are deleted and still open no machine has.
const maxUnlinked = 1 << 20

// recovered adds up what the kernel frees in a group when it mounts the volume:
// files that were deleted while they were open, and what copies on write had
// reserved. A chunk whose inodes are all free is given back too.
func (f *FS) recovered(group uint32, g *agf, a *agi) (recovery, error) {
	var r recovery
	shared, err := f.shared(group, g, &r)
	if err != nil {
		return r, err
	}
	var gone []uint32
	for _, n := range a.unlinked {
		for n != noInode {
			if len(gone) == maxUnlinked {
				return r, unsupported("group %d has more than %d inodes without a name, or a list of them that has no end", group, maxUnlinked)
			}
			gone = append(gone, n)
			i, err := f.inode(uint64(group)<<f.super.inodeShift() | uint64(n))
			if err != nil {
				return r, fmt.Errorf("inodes without a name: %w", err)
			}
			if i.links() != 0 {
				return r, corrupt("inode %d is in a list of those without a name, and has one", i.number)
			}
			r.blocks += int64(min(i.blocks(), f.super.blocks))
			r.freeInodes++
			if i.flags2()&diflag2Reflink != 0 {
				if err := f.keepShared(i, group, shared, &r); err != nil {
					return r, err
				}
			}
			n = i.next()
		}
	}
	if len(gone) == 0 {
		return r, nil
	}
	return r, f.freeChunks(group, a, gone, &r)
}

// freeChunks gives back chunks that have no inode in use any more.
func (f *FS) freeChunks(group uint32, a *agi, gone []uint32, r *recovery) error {
	slices.Sort(gone)
	var failed error
	err := f.eachChunk(group, a, func(c chunk) error {
		at := sort.Search(len(gone), func(i int) bool { return gone[i] >= c.first })
		freed := false
		for ; at < len(gone) && gone[at]-c.first < chunkInodes; at++ {
			c.free |= 1 << (gone[at] - c.first)
			freed = true
		}
		if freed && c.free == 1<<64-1 && f.super.inodesInLog <= 6 {
			inodes := int64(chunkInodes - 4*bits.OnesCount16(c.holes))
			r.inodes -= inodes
			r.freeInodes -= inodes
			r.blocks += inodes >> f.super.inodesInLog
		}
		return nil
	}, func(err error) { failed = err })
	if err == nil {
		err = failed
	}
	return err
}

// sharedRun are blocks of a group that more than one file has.
type sharedRun struct{ begin, end uint32 }

// shared reads the tree of reference counts: which blocks are shared, and, with
// the highest bit of the first block set, which were reserved for copies on
// write, which the kernel frees. A record has 4  first block, 4  how many, 4
// count.
func (f *FS) shared(group uint32, g *agf, r *recovery) ([]sharedRun, error) {
	const reserved = 1 << 31
	if f.super.roCompat&roCompatReflink == 0 {
		return nil, nil
	}
	var list []sharedRun
	var failed error
	_, err := f.eachRecord(&refcountTree, group, g.refcountRoot, g.refcountBits, func(b []byte) error {
		for ; len(b) > 0; b = b[12:] {
			first, count := be.Uint32(b), be.Uint32(b[4:])
			if at := first &^ reserved; uint64(at)+uint64(count) > g.length {
				return corrupt("tree of reference counts of group %d: %d blocks at %d", group, count, at)
			}
			if first&reserved != 0 {
				r.blocks += int64(count)
			} else {
				list = append(list, sharedRun{first, first + count})
			}
		}
		return nil
	}, func(err error) { failed = err })
	if err == nil {
		err = failed
	}
	return list, err
}

// keepShared leaves out the blocks of a deleted file that other files have too.
// Whether these are deleted as well is not looked at: then how much is free is
// not known.
func (f *FS) keepShared(i inode, group uint32, shared []sharedRun, r *recovery) error {
	k, err := newDataFork(f, i)
	if err != nil {
		return err
	}
	return k.each(maxForkBlocks, func(x run) error {
		if uint32(x.physical>>f.super.groupBits) != group {
			return unsupported("inode %d, which is deleted, shares blocks of another group: how much is free is not known", i.number)
		}
		begin := uint32(x.physical & (1<<f.super.groupBits - 1))
		end := begin + uint32(x.count)
		for at := sort.Search(len(shared), func(n int) bool { return shared[n].end > begin }); at < len(shared) && shared[at].begin < end; at++ {
			r.blocks -= int64(min(end, shared[at].end) - max(begin, shared[at].begin))
		}
		return nil
	})
}
