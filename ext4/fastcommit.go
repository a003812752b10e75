package ext4

import "github.com/coldcheck/coldcheck/internal/bytename"

// Fast commits (journal.rst, Fast commits; fs/ext4/fast_commit.h) are stored in
// their own blocks after the log. They are tags, little-endian:
//
//	0  2  tag, 2  2  length of what follows
const (
	fastAddRange = 1 // 0  4  inode, 4 12  extent
	fastDelRange = 2 // 0  4  inode, 4  4  first block, 8  4  blocks
	fastCreate   = 3 // 0  4  directory, 4  4  inode, 8  name
	fastLink     = 4
	fastUnlink   = 5
	fastInode    = 6 // 0  4  inode, 4  its bytes
	fastPad      = 7
	fastTail     = 8 // 0  4  transaction, 4  4  checksum of all tags since the last tail
	fastHead     = 9 // 0  4  features, 4  4  transaction
)

const fastTagSize = 4

// fastCommits counts the operations that fast commits hold for the transaction
// that follows the log's last. As the kernel has it, they end at the last tail
// that is right.
func (j *journal) fastCommits(id uint32, inodeSize int) (operations int, err error) {
	valid, pending := 0, 0
	crc := uint32(0)
	for n := j.last + 1; n < j.length; n++ {
		b, err := j.block(n)
		if err != nil {
			return 0, err
		}
		if n == j.last+1 && le.Uint16(b) != fastHead {
			return 0, nil
		}
		for at := 0; at+fastTagSize <= len(b); {
			kind, size := le.Uint16(b[at:]), int(le.Uint16(b[at+2:]))
			if size > len(b)-at-fastTagSize || !fastSizeFits(kind, size, inodeSize) {
				if valid > 0 {
					return valid, nil
				}
				return 0, corrupt("a fast commit of the journal has tag %d of %d bytes", kind, size)
			}
			value := b[at+fastTagSize : at+fastTagSize+size]
			switch kind {
			case fastHead:
				if le.Uint32(value[4:]) != id {
					return valid, nil
				}
				if features := le.Uint32(value); features != 0 {
					return 0, unsupported("fast commits with features 0x%X", features)
				}
			case fastTail:
				crc = crc32c(crc, b[at:at+fastTagSize+4])
				if le.Uint32(value) != id || le.Uint32(value[4:]) != crc {
					if valid > 0 {
						return valid, nil
					}
					return 0, corrupt("a fast commit of the journal fails its checksum")
				}
				valid, crc = pending, 0
				at += fastTagSize + size
				continue
			case fastPad:
			default:
				pending++
			}
			crc = crc32c(crc, b[at:at+fastTagSize+size])
			at += fastTagSize + size
		}
	}
	return valid, nil
}

func fastSizeFits(kind uint16, size, inodeSize int) bool {
	switch kind {
	case fastAddRange:
		return size == 16
	case fastDelRange:
		return size == 12
	case fastCreate, fastLink, fastUnlink:
		return size > 8 && size <= 8+bytename.Max
	case fastInode:
		return size >= 4+oldInodeSize && size <= 4+inodeSize
	case fastPad:
		return true
	case fastTail, fastHead:
		return size >= 8
	}
	return false
}
