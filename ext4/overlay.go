package ext4

import (
	"cmp"
	"io"
	"slices"
	"sort"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// overlay are the blocks of the volume whose content is in the journal.
type overlay struct {
	bits   uint8
	blocks []uint64 // ascending
	from   []source // of each
}

// source is where the content of a block is: in memory or in the image.
type source struct {
	at      int64 // in the image, in bytes
	escaped bool  // it begins with the journal's magic, which is not there
	data    []byte
}

// maxReplayCache is how much of the journal's content is kept in memory, in
// bytes. The rest is read from the image when needed.
const maxReplayCache = 32 << 20

// newOverlay takes blocks in the order in which they were written: the last
// counts.
func newOverlay(bits uint8, written []replayed) *overlay {
	slices.SortStableFunc(written, func(a, b replayed) int { return cmp.Compare(a.block, b.block) })
	o := &overlay{bits: bits, blocks: make([]uint64, 0, len(written)), from: make([]source, 0, len(written))}
	for i, w := range written {
		if i+1 < len(written) && written[i+1].block == w.block {
			continue
		}
		o.blocks = append(o.blocks, w.block)
		o.from = append(o.from, source{at: w.at, escaped: w.escaped})
	}
	return o
}

// replayed is a block that a transaction wrote.
type replayed struct {
	block   uint64
	at      int64 // in the image, in bytes
	escaped bool
}

// load reads the blocks to keep into memory, in the order of their location.
func (o *overlay) load(r io.ReaderAt) error {
	n := min(len(o.from), maxReplayCache>>o.bits)
	order := make([]int, len(o.from))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(o.from[a].at, o.from[b].at) })
	size := int64(1) << o.bits
	for order = order[:n]; len(order) > 0; {
		// Adjacent blocks are read together.
		begin := o.from[order[0]].at
		count := 1
		for count < len(order) && count < journalRead>>o.bits && o.from[order[count]].at == begin+int64(count)*size {
			count++
		}
		buf := make([]byte, int64(count)*size)
		if err := unixfs.ReadFull(r, buf, begin); err != nil {
			return err
		}
		for i, k := range order[:count] {
			s := &o.from[k]
			s.data = buf[int64(i)*size : int64(i+1)*size]
			s.unescape(s.data)
		}
		order = order[count:]
	}
	return nil
}

func (s *source) unescape(block []byte) {
	if s.escaped {
		be.PutUint32(block, journalMagic)
	}
}

// apply copies the blocks of the overlay over data that was read from the image.
func (o *overlay) apply(r io.ReaderAt, p []byte, off int64) error {
	first := uint64(off) >> o.bits
	end := off + int64(len(p))
	for i := sort.Search(len(o.blocks), func(i int) bool { return o.blocks[i] >= first }); i < len(o.blocks); i++ {
		at := int64(o.blocks[i] << o.bits)
		if at >= end {
			break
		}
		s := &o.from[i]
		block := s.data
		if block == nil {
			block = make([]byte, 1<<o.bits)
			if err := unixfs.ReadFull(r, block, s.at); err != nil {
				return err
			}
			s.unescape(block)
		}
		if at < off {
			copy(p, block[off-at:])
		} else {
			copy(p[at-off:], block)
		}
	}
	return nil
}
