package ext4

const (
	directBlocks   = 12 // pointers in the inode to blocks of the file
	indirectLevels = 3  // and behind them one each of one, two and three levels
)

// descendPointers goes down to the block of pointers that covers a block of
// the file. Where a pointer on the way is 0, the hole is returned and no node.
// (ifork.rst, Direct/Indirect Block Addressing.)
func (m *blockMap) descendPointers(logical uint64) (run, *node, error) {
	if logical < directBlocks {
		return run{}, &node{first: 0, end: directBlocks, data: m.area[:4*directBlocks]}, nil
	}
	bits := uint(m.super.blockBits - 2) // a block holds 1<<bits pointers
	first := uint64(directBlocks)
	for level := uint(1); level <= indirectLevels; level++ {
		span := uint64(1) << (bits * level)
		if logical >= first+span {
			first += span
			continue
		}
		pointer := le.Uint32(m.area[4*(directBlocks+level-1):])
		for {
			if pointer == 0 {
				return run{logical: logical, count: first + span - logical}, nil, nil
			}
			data, err := m.pointerBlock(pointer)
			if err != nil {
				return run{}, nil, err
			}
			if level == 1 {
				return run{}, &node{first: first, end: first + span, data: data}, nil
			}
			level--
			span >>= bits
			at := (logical - first) / span
			first += at * span
			pointer = le.Uint32(data[4*at:])
		}
	}
	return run{}, nil, damaged(m.number, reasonTooLarge)
}

func (m *blockMap) pointerBlock(pointer uint32) ([]byte, error) {
	if !m.super.valid(uint64(pointer), 1) {
		return nil, damaged(m.number, reasonBlock)
	}
	data, err := m.disk.block(uint64(pointer))
	if err != nil {
		return nil, wrapInode(m.number, err)
	}
	return data, nil
}

// findPointers returns the run of adjacent blocks, or the hole, that starts at
// a block of the file. The pointers are those of the blocks from first on.
func findPointers(s *superblock, pointers []byte, first, logical uint64) (run, reason) {
	at := int(logical - first)
	begin := uint64(le.Uint32(pointers[4*at:]))
	if begin != 0 && !s.valid(begin, 1) {
		return run{}, reasonBlock
	}
	count := uint64(1)
	for end := len(pointers) / 4; at+int(count) < end; count++ {
		next := uint64(le.Uint32(pointers[4*(at+int(count)):]))
		if begin == 0 && next != 0 || begin != 0 && (next != begin+count || !s.valid(next, 1)) {
			break
		}
	}
	return run{logical: logical, count: count, physical: begin}, sound
}
