package source

import (
	"io"
	"math/bits"
	"sync"
)

// BlockRange is the blocks from First to Last of a remote source.
type BlockRange struct{ First, Last int64 }

// touched is the set of blocks that readers asked for, those without data included: what
// a reader concludes may rest on zeros too.
type touched struct {
	mu   sync.Mutex
	bits []uint64
}

func (t *touched) add(first, last int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := int(last/64) + 1 - len(t.bits); n > 0 {
		t.bits = append(t.bits, make([]uint64, n)...)
	}
	for n := first; n <= last; n++ {
		t.bits[n/64] |= 1 << (n % 64)
	}
}

// ranges returns the blocks in ascending order, in as few ranges as possible.
func (t *touched) ranges() []BlockRange {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []BlockRange
	for word, set := range t.bits {
		for set != 0 {
			n := int64(word*64 + bits.TrailingZeros64(set))
			set &= set - 1
			if last := len(list) - 1; last >= 0 && list[last].Last == n-1 {
				list[last].Last = n
			} else {
				list = append(list, BlockRange{n, n})
			}
		}
	}
	return list
}

// Touched returns the blocks that were asked for so far, in ascending order. Unlike the
// ReadSet it has blocks that an EBS snapshot does not list, which are zeros. A scan of
// bytes that are the same in these blocks asks for the same blocks.
func (r *Remote) Touched() []BlockRange { return r.touched.ranges() }

// toucher reads from r, and notes which blocks of a source are asked for.
type toucher struct {
	remote *Remote
	r      io.ReaderAt
}

func (t toucher) ReadAt(p []byte, off int64) (int, error) {
	if off >= 0 && off < t.remote.bytes {
		t.remote.touch(off, min(off+int64(len(p)), t.remote.bytes))
	}
	return t.r.ReadAt(p, off)
}

// touch notes the bytes from off to before end, which are within the source.
func (r *Remote) touch(off, end int64) {
	if off < end {
		r.touched.add(off/r.block, (end-1)/r.block)
	}
}
