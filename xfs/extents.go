package xfs

import (
	"bytes"
	"errors"
	"sync"
)

const (
	extentSize = 16
	// maxForkBlocks is how many blocks a fork has room for
	// (BMBT_STARTOFF_BITLEN of the kernel).
	maxForkBlocks = 1 << 54

	longHeader4 = 24
	longHeader5 = 72
)

// run is a part of a file: adjacent blocks, or a hole.
type run struct {
	logical  uint64
	physical uint64
	count    uint64
	kind     runKind
}

type runKind uint8

const (
	runHole runKind = iota
	runData
	runUnwritten // reserved, and reads as zeros
)

func (r run) end() uint64 { return r.logical + r.count }

// from drops the part before a block.
func (r run) from(logical uint64) run {
	skip := logical - r.logical
	r.logical, r.count = logical, r.count-skip
	if r.kind != runHole {
		r.physical += skip
	}
	return r
}

// parseExtent decodes an extent, 128 bits: 1 whether it is unwritten, 54 the
// block in the file, 52 the block of the volume, 21 the number of blocks.
func (s *superblock) parseExtent(b []byte) (run, reason) {
	high, low := be.Uint64(b), be.Uint64(b[8:])
	r := run{
		logical:  high >> 9 & (1<<54 - 1),
		physical: high&0x1FF<<43 | low>>21,
		count:    low & (1<<21 - 1),
		kind:     runData,
	}
	if high>>63 != 0 {
		r.kind = runUnwritten
	}
	switch {
	case r.count == 0 || r.end() > maxForkBlocks:
		return r, reasonExtentLength
	case !s.valid(r.physical, r.count):
		return r, reasonExtentPlace
	}
	return r, sound
}

// parseExtents decodes extents, which must be in order and must not overlap.
func (s *superblock) parseExtents(b []byte) ([]run, reason) {
	runs := make([]run, 0, len(b)/extentSize)
	end := uint64(0)
	for ; len(b) >= extentSize; b = b[extentSize:] {
		r, why := s.parseExtent(b)
		if why != sound {
			return nil, why
		}
		if r.logical < end {
			return nil, reasonExtentOrder
		}
		end = r.end()
		runs = append(runs, r)
	}
	return runs, sound
}

// fork finds the blocks of the data or the attributes of an inode. It is safe
// for concurrent use.
type fork struct {
	f      *FS
	number uint64
	root   []byte // of the tree, nil if all extents are in the inode

	mu    sync.Mutex
	runs  []run  // the extents between begin and end that were looked at last
	begin uint64 // blocks of the file
	end   uint64
}

// newFork returns the blocks of a fork of a sound inode.
func newFork(f *FS, i inode, b []byte, format uint8, extents uint64) (*fork, error) {
	k := &fork{f: f, number: i.number}
	if format == formatTree {
		k.root = b
		return k, nil
	}
	var why reason
	if k.runs, why = f.super.parseExtents(b[:extents*extentSize]); why != sound {
		return nil, damaged(i.number, why)
	}
	k.end = maxForkBlocks
	return k, nil
}

func newDataFork(f *FS, i inode) (*fork, error) {
	return newFork(f, i, i.dataFork(), i.format(), i.extents())
}

// find returns the run or hole that starts at a block of the file. A hole may
// be split where the extent tree has another block.
func (k *fork) find(logical uint64) (run, error) {
	if logical >= maxForkBlocks {
		return run{}, damaged(k.number, reasonSize)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if logical < k.begin || logical >= k.end {
		if err := k.descend(logical); err != nil {
			return run{}, err
		}
	}
	// The first that ends behind it.
	low, high := 0, len(k.runs)
	for low < high {
		if mid := (low + high) / 2; k.runs[mid].end() <= logical {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(k.runs) {
		return run{logical: logical, count: k.end - logical}, nil
	}
	if r := k.runs[low]; r.logical > logical {
		return run{logical: logical, count: r.logical - logical}, nil
	}
	return k.runs[low].from(logical), nil
}

// descend loads the block of the tree that has the extents around a place.
//
// The root, in the inode: 2 bytes level, 2 records, then keys of 8 bytes and
// behind the room for as many as fit the numbers of blocks, 8 bytes each. A
// block has 4 bytes of magic before that, and its neighbours behind it, and
// from version 5 on its sector, the volume's UUID, the inode and a checksum;
// then keys and numbers, or in a leaf extents.
// ("XFS Algorithms & Data Structures", B+tree Extent List.)
func (k *fork) descend(logical uint64) error {
	level, body, count, why := k.parseRoot()
	begin, end := uint64(0), uint64(maxForkBlocks)
	for why == sound {
		room := len(body) / 16
		keys, pointers := body[:8*count], body[8*room:8*(room+count)]
		at := 0
		for at+1 < count && be.Uint64(keys[8*(at+1):]) <= logical {
			at++
		}
		key := be.Uint64(keys[8*at:])
		if key < begin || key >= end {
			why = reasonTreeKeys
			break
		}
		if key > logical {
			// It is before the first extent.
			k.runs, k.begin, k.end = nil, begin, key
			return nil
		}
		begin = key
		if at+1 < count {
			next := be.Uint64(keys[8*(at+1):])
			if next <= key || next >= end {
				why = reasonTreeKeys
				break
			}
			end = next
		}
		level--
		var err error
		if body, count, err = k.block(be.Uint64(pointers[8*at:]), level); err != nil {
			return err
		}
		if level > 0 {
			continue
		}
		var runs []run
		if runs, why = k.f.super.parseExtents(body[:extentSize*count]); why != sound {
			break
		}
		if count == 0 || runs[0].logical != begin || runs[count-1].end() > end {
			why = reasonTreeKeys
			break
		}
		k.runs, k.begin, k.end = runs, begin, end
		return nil
	}
	return damaged(k.number, why)
}

func (k *fork) parseRoot() (level int, body []byte, count int, why reason) {
	if len(k.root) < 4 {
		return 0, nil, 0, reasonTreeCount
	}
	level, count, body = int(be.Uint16(k.root)), int(be.Uint16(k.root[2:])), k.root[4:]
	switch {
	case level == 0 || level > maxTreeLevels:
		return 0, nil, 0, reasonTreeLevel
	case count == 0 || count > len(body)/16:
		return 0, nil, 0, reasonTreeCount
	}
	return level, body, count, sound
}

// block returns the content of a tree block after its header.
func (k *fork) block(number uint64, level int) (body []byte, count int, err error) {
	s := &k.f.super
	if !s.valid(number, 1) {
		return nil, 0, damaged(k.number, reasonExtentPlace)
	}
	off := s.offset(number)
	b, err := k.f.disk.piece(off, s.blockSize)
	if err != nil {
		return nil, 0, wrapInode(k.number, err)
	}
	size, magic := longHeader4, "BMAP"
	if s.checksums() {
		size, magic = longHeader5, "BMA3"
	}
	width := 16
	switch {
	case string(b[:4]) != magic:
		return nil, 0, damaged(k.number, reasonTreeMagic)
	case s.checksums() && !k.f.disk.replayed(off, s.blockSize) && !sum(b, 0x40):
		return nil, 0, damaged(k.number, reasonTreeChecksum)
	case s.checksums() && (be.Uint64(b[0x18:]) != uint64(off/sector) || !bytes.Equal(b[0x28:0x38], s.metaUUID[:]) ||
		be.Uint64(b[0x38:]) != k.number):
		return nil, 0, damaged(k.number, reasonTreeOwner)
	case int(be.Uint16(b[4:])) != level:
		return nil, 0, damaged(k.number, reasonTreeLevel)
	}
	body, count = b[size:], int(be.Uint16(b[6:]))
	if count == 0 || count > len(body)/width {
		return nil, 0, damaged(k.number, reasonTreeCount)
	}
	return body, count, nil
}

// each visits the extents of a fork before a block of the file, without holes.
func (k *fork) each(limit uint64, visit func(run) error) error {
	for at := uint64(0); at < limit; {
		r, err := k.find(at)
		if err != nil {
			return err
		}
		at = r.end()
		if r.kind == runHole {
			continue
		}
		r.count = min(r.count, limit-r.logical)
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// whyOf is the reason of an error of an inode.
func whyOf(err error) reason {
	why := reasonPastEnd
	errors.As(err, &why)
	return why
}
