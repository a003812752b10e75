package ext4

const (
	extentMagic = 0xF30A
	extentSize  = 12 // of a header, an index and an extent alike

	// maxExtentDepth is how deep a tree of extents can be: with 5 levels in
	// blocks of 1 KiB it holds more extents than a file has blocks.
	maxExtentDepth = 5

	// maxExtentBlocks is the length of the longest extent. A larger length
	// field means an unwritten extent that is shorter by as much.
	maxExtentBlocks = 1 << 15
)

// descendExtents goes down the tree to the leaf that covers a block. Where
// the tree has none, the hole is returned and no node.
func (m *blockMap) descendExtents(logical uint64) (run, *node, error) {
	data := m.area[:]
	first, end := uint64(0), uint64(maxLogical)
	depth := int(le.Uint16(data[6:]))
	if why := m.super.checkExtents(data, depth, first, end, true); why != sound {
		return run{}, nil, damaged(m.number, why)
	}
	for ; depth > 0; depth-- {
		entries := int(le.Uint16(data[2:]))
		at := upper(data, entries, logical)
		if at == 0 {
			begin := uint64(le.Uint32(data[extentSize:]))
			return run{logical: logical, count: begin - logical}, nil, nil
		}
		index := data[at*extentSize:]
		first = uint64(le.Uint32(index))
		if at < entries {
			end = uint64(le.Uint32(index[extentSize:]))
		}
		var err error
		if data, err = m.extentBlock(indexBlock(index), depth-1, first, end); err != nil {
			return run{}, nil, err
		}
	}
	return run{}, &node{first: first, end: end, data: data}, nil
}

// extentBlock reads and checks a block of the tree.
func (m *blockMap) extentBlock(block uint64, depth int, first, end uint64) ([]byte, error) {
	if !m.super.valid(block, 1) {
		return nil, damaged(m.number, reasonBlock)
	}
	data, err := m.disk.block(block)
	if err != nil {
		return nil, wrapInode(m.number, err)
	}
	why := m.super.checkExtents(data, depth, first, end, false)
	if why == sound && m.super.checksums && m.number != inodeResize {
		tail := extentSize * (1 + int(le.Uint16(data[4:])))
		if crc32c(m.seed, data[:tail]) != le.Uint32(data[tail:]) {
			why = reasonExtentChecksum
		}
	}
	if why != sound {
		return nil, damaged(m.number, why)
	}
	return data, nil
}

// checkExtents checks a header and the entries behind it, all that covers the
// blocks of a file from first to end:
//
//	0  2  magic 0xF30A, 2  2  entries, 4  2  room for entries, 6  2  depth
//
// then for each entry of an inner node
//
//	0  4  first block in the file
//	4  4  block of the next level, low, 8  2  high
//
// and of a leaf
//
//	0  4  first block in the file, 4  2  blocks
//	6  2  first block on the volume, high, 8  4  low
//
// (ifork.rst, Extent Tree). In a block of its own there is room for the
// checksum behind the entries.
func (s *superblock) checkExtents(data []byte, depth int, first, end uint64, root bool) reason {
	if le.Uint16(data) != extentMagic {
		return reasonExtentMagic
	}
	entries, room := int(le.Uint16(data[2:])), int(le.Uint16(data[4:]))
	if depth > maxExtentDepth || int(le.Uint16(data[6:])) != depth {
		return reasonExtentDepth
	}
	if room == 0 || room > len(data)/extentSize-1 || entries > room || entries == 0 && depth > 0 {
		return reasonExtentCount
	}
	if !root && s.checksums && extentSize*(1+room)+4 > len(data) {
		return reasonExtentCount
	}
	at := first
	for i := range entries {
		e := data[(i+1)*extentSize:]
		logical := uint64(le.Uint32(e))
		if i == 0 && !root && logical != first {
			return reasonExtentStart
		}
		if logical < at || logical >= end {
			return reasonExtentOrder
		}
		if depth > 0 {
			if !s.valid(indexBlock(e), 1) {
				return reasonBlock
			}
			at = logical + 1
			continue
		}
		count, _ := extentLength(e)
		if count == 0 {
			return reasonExtentLength
		}
		if at = logical + count; at > end {
			return reasonExtentOrder
		}
		if !s.valid(extentStart(e), count) {
			return reasonBlock
		}
	}
	return sound
}

func indexBlock(e []byte) uint64 {
	return uint64(le.Uint32(e[4:])) | uint64(le.Uint16(e[8:]))<<32
}

func extentStart(e []byte) uint64 {
	return uint64(le.Uint32(e[8:])) | uint64(le.Uint16(e[6:]))<<32
}

func extentLength(e []byte) (count uint64, unwritten bool) {
	count = uint64(le.Uint16(e[4:]))
	if count > maxExtentBlocks {
		return count - maxExtentBlocks, true
	}
	return count, false
}

// upper returns how many entries begin at a block of the file or before it.
func upper(data []byte, entries int, logical uint64) int {
	low, high := 0, entries
	for low < high {
		middle := int(uint(low+high) / 2)
		if uint64(le.Uint32(data[(middle+1)*extentSize:])) <= logical {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// findExtent returns the extent, or the hole, from a block of the file on.
func (n *node) findExtent(logical uint64) run {
	entries := int(le.Uint16(n.data[2:]))
	at := upper(n.data, entries, logical)
	if at > 0 {
		e := n.data[at*extentSize:]
		count, unwritten := extentLength(e)
		r := run{logical: uint64(le.Uint32(e)), count: count, physical: extentStart(e), unwritten: unwritten}
		if logical < r.logical+r.count {
			return r.from(logical)
		}
	}
	end := n.end
	if at < entries {
		end = uint64(le.Uint32(n.data[(at+1)*extentSize:]))
	}
	return run{logical: logical, count: end - logical}
}
