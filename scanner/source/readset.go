package source

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
)

// maxReadSet is how many blocks a read set has at most: 128 GiB in blocks of EBS. A
// full set takes about 16 MiB. As many again may be known of blocks that were only
// fetched ahead, so that these do not decide whether a set is complete.
const maxReadSet = 1 << 18

// ReadSet is the set of blocks of a source that were read.
type ReadSet struct {
	Size     int64 // of the source in bytes
	Block    int64 // bytes in a block; the last one may be shorter
	Blocks   []ReadBlock
	Complete bool // false if more blocks were read than a set has
}

// ReadBlock is a block that was read.
type ReadBlock struct {
	Number int64 // from 0; the block begins at Number times ReadSet.Block
	SHA256 [sha256.Size]byte
}

// Digest identifies a read set: two scans with the same digest have read the same
// blocks with the same content. It is the SHA-256 in hexadecimal digits of a line
// "coldcheck read set 1, SIZE bytes, blocks of BLOCK bytes", and for each block in
// ascending order a line "NUMBER SHA256", each ended by a line feed. It is "" if the
// set is not complete.
func (s ReadSet) Digest() string {
	if !s.Complete {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "coldcheck read set 1, %d bytes, blocks of %d bytes\n", s.Size, s.Block)
	for _, b := range s.Blocks {
		fmt.Fprintf(h, "%d %x\n", b.Number, b.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readSet collects a ReadSet. The blocks that a cache fetches ahead count only when
// they are read, so that the same reads make the same set.
type readSet struct {
	mu    sync.Mutex
	sums  map[int64]*readBlock
	used  int
	over  bool
	bound int // maxReadSet if 0
}

type readBlock struct {
	sum  [sha256.Size]byte
	used bool
}

// add notes the content of a block. It returns false if the block had another content
// before.
func (s *readSet) add(block int64, sum [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.sums[block]; b != nil {
		return b.sum == sum
	}
	if s.sums == nil {
		s.sums = map[int64]*readBlock{}
	}
	if len(s.sums) == 2*cmp.Or(s.bound, maxReadSet) {
		return true
	}
	s.sums[block] = &readBlock{sum: sum}
	return true
}

// use notes that blocks were read.
func (s *readSet) use(first, last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := first; n <= last; n++ {
		switch b := s.sums[n]; {
		case b != nil && b.used:
		case b == nil, s.used == cmp.Or(s.bound, maxReadSet):
			s.over = true
		default:
			b.used = true
			s.used++
		}
	}
}

func (s *readSet) list(size, block int64) ReadSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := ReadSet{Size: size, Block: block, Complete: !s.over}
	for n, b := range s.sums {
		if b.used {
			set.Blocks = append(set.Blocks, ReadBlock{n, b.sum})
		}
	}
	slices.SortFunc(set.Blocks, func(a, b ReadBlock) int { return cmp.Compare(a.Number, b.Number) })
	return set
}
