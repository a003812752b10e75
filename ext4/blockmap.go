package ext4

import "sync/atomic"

// maxLogical is the number of blocks a file can have: block numbers in a file
// are of 32 bits, and the last is not used.
const maxLogical = 1<<32 - 1

// run is a series of adjacent blocks of a file.
type run struct {
	logical   uint64 // the first, in the file
	count     uint64
	physical  uint64 // the first, on the volume; 0 for a hole
	unwritten bool   // blocks that were reserved, and read as zeros
}

// data reports whether the run has content on the volume.
func (r run) data() bool { return r.physical != 0 && !r.unwritten }

// from drops the part before a block of the file.
func (r run) from(logical uint64) run {
	skip := logical - r.logical
	r.logical += skip
	r.count -= skip
	if r.physical != 0 {
		r.physical += skip
	}
	return r
}

// blockMap maps a file's blocks to blocks of the volume. It is safe for
// concurrent use.
type blockMap struct {
	disk    *device
	super   *superblock
	number  uint32
	extents bool
	seed    uint32 // of the checksums of extents
	area    [blockArea]byte
	last    atomic.Pointer[node] // where it was looked last
}

// node is the lowest block of the tree that covers a stretch of the file: a
// leaf of extents, or an indirect block of pointers.
type node struct {
	first, end uint64
	data       []byte
}

func newBlockMap(d *device, s *superblock, i inode) *blockMap {
	m := &blockMap{disk: d, super: s, number: i.number, extents: i.has(flagExtents)}
	if s.checksums && i.number != inodeResize {
		m.seed = s.inodeSeed(i)
	}
	copy(m.area[:], i.area())
	return m
}

// find returns the run from a block of the file on. It ends where the next
// piece of the map, or of the volume, begins: the one after it may continue it.
func (m *blockMap) find(logical uint64) (r run, err error) {
	if logical >= maxLogical {
		return run{}, damaged(m.number, reasonTooLarge)
	}
	n := m.last.Load()
	if n == nil || logical < n.first || logical >= n.end {
		if m.extents {
			r, n, err = m.descendExtents(logical)
		} else {
			r, n, err = m.descendPointers(logical)
		}
		if err != nil || n == nil {
			return r, err
		}
		m.last.Store(n)
	}
	if m.extents {
		return n.findExtent(logical), nil
	}
	r, why := findPointers(m.super, n.data, n.first, logical)
	if why != sound {
		return run{}, damaged(m.number, why)
	}
	return r, nil
}
