package registry

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// parts reads bins data into memory where they are needed, each part once. It is safe for concurrent use once the
// logs are applied.
type parts struct {
	r     io.ReaderAt
	part  func(off int64) (from, to int64) // Options.Part
	there int                              // bytes of bins data that the file has
	bins  []atomic.Pointer[bin]            // for each page its bin, as far as it was looked for

	have []atomic.Uint64 // a bit for each page, set if the file's data for it are in memory
	logs []uint64        // a bit for each sector, set if it came out of a log
	mu   sync.Mutex      // for copying into memory

	buffers sync.Pool // of *[]byte
}

// Parts of which all are needed are read at the same time: partsAhead of them at most, of bytesAhead bytes in total.
const (
	partsAhead = 32
	bytesAhead = 16 << 20
)

// maxPart is the size of the largest part that is read at once.
const maxPart = 8 << 20

func newParts(r io.ReaderAt, n int, part func(off int64) (from, to int64)) *parts {
	return &parts{
		r: r, part: part, there: n,
		have: make([]atomic.Uint64, n/pageSize/64+1),
		logs: make([]uint64, n/sectorSize/64+1),
	}
}

func (p *parts) has(page int) bool { return p.have[page/64].Load()&(1<<(page%64)) != 0 }

// need reads what is missing of the bins data between two offsets into data. The error is that of cache.readAt.
func (p *parts) need(data []byte, from, to int) error {
	for at := from; at < min(to, p.there); at = (at/pageSize + 1) * pageSize {
		if p.has(at / pageSize) {
			continue
		}
		if err := p.read(data, at/pageSize); err != nil {
			return err
		}
	}
	return nil
}

// read reads the part that a page is in, in complete pages. Two goroutines that need the same part may both read it.
func (p *parts) read(data []byte, page int) error {
	start := page * pageSize
	from, to := p.part(baseBlockSize + int64(start))
	first, last := page, page+1 // pages
	if f := from - baseBlockSize; f < int64(start) && to-from <= maxPart {
		first = int(max(f+pageSize-1, 0)) / pageSize
	}
	if t := to - baseBlockSize; t > int64(start) && to-from <= maxPart {
		last = max(last, int(min(t, int64(p.there)+pageSize-1))/pageSize)
	}
	for first < page && p.has(first) {
		first++
	}
	for last > page+1 && p.has(last-1) {
		last--
	}
	first, last = first*pageSize, min(last*pageSize, p.there)
	buf, _ := p.buffers.Get().(*[]byte)
	if buf == nil || cap(*buf) < last-first {
		buf = new([]byte)
		*buf = make([]byte, last-first)
	}
	defer p.buffers.Put(buf)
	part := (*buf)[:last-first]
	got, err := p.r.ReadAt(part, baseBlockSize+int64(first))
	if got < len(part) {
		return short(err, p.there-first-got)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := first; at < last; at += pageSize {
		page := at / pageSize
		if p.has(page) {
			continue
		}
		for s := at; s < min(at+pageSize, last); s += sectorSize {
			if unit := s / sectorSize; p.logs[unit/64]&(1<<(unit%64)) == 0 {
				copy(data[s:min(s+sectorSize, last)], part[s-first:])
			}
		}
		p.have[page/64].Or(1 << (page % 64))
	}
	return nil
}

// ahead reads the parts that the elements of lists are in, some at a time, because all of them will be needed. An
// error is met again by who needs the part.
func (b *bins) ahead(leaves []leaf) {
	p := b.parts
	if p == nil {
		return
	}
	var pages []int // one for each part
	asked := map[int64]bool{}
	var from, to int64 // the part of the element before
	for i := range leaves {
		for j := range leaves[i].count {
			offset := int64(leaves[i].offset(j))
			at := baseBlockSize + offset
			if offset >= int64(p.there) || at >= from && at < to || p.has(int(offset/pageSize)) {
				continue
			}
			if from, to = p.part(at); !asked[from] {
				asked[from] = true
				pages = append(pages, int(offset/pageSize))
			}
		}
	}
	if len(pages) < 2 {
		return
	}
	most := min(partsAhead, max(bytesAhead/max(to-from, 1), 1))
	for most > 1 && b.memory.fits(most*(to-from)) != nil {
		most /= 2
	}
	var group parallel.Group
	places := make(chan struct{}, most)
	for _, page := range pages {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			_ = p.read(b.data, page)
		})
	}
	group.Wait()
}

// write notes that a log has data for a range, which consists of sectors.
func (p *parts) write(from, to int) {
	for s := from; s < min(to, p.there); s += sectorSize {
		unit := s / sectorSize
		p.logs[unit/64] |= 1 << (unit % 64)
	}
}

// binAt returns the bin of a page. It is the one of the last intact header before the end of the page, if that reaches
// so far.
func (b *bins) binAt(page int) (*bin, error) {
	p := b.parts
	if known := p.bins[page].Load(); known != nil {
		return known, nil
	}
	found := &bin{end: (page + 1) * pageSize, damaged: true}
	for q := page; q >= 0; q-- {
		if known := p.bins[q].Load(); known != nil {
			if known.end > page*pageSize { // it was found since
				return known, nil
			}
			found.start = (q + 1) * pageSize
			break
		}
		end, err := b.binEnd(q * pageSize)
		if err != nil {
			return nil, err
		}
		if end > page*pageSize {
			found = &bin{start: q * pageSize, end: end}
			break
		}
		if end != 0 {
			found.start = end
			break
		}
	}
	return p.publish(page, found), nil
}

// publish makes a bin that of its pages, unless somebody else has found it. A bin that overlaps with another one is
// damaged.
func (p *parts) publish(page int, found *bin) *bin {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.bins[page].Load(); known != nil {
		return known
	}
	first, last := found.start/pageSize, min((found.end+pageSize-1)/pageSize, len(p.bins))
	for q := first; q < last; q++ {
		found.damaged = found.damaged || p.bins[q].Load() != nil
	}
	for q := first; q < last; q++ {
		p.bins[q].CompareAndSwap(nil, found)
	}
	return found
}

// found calls fn for each bin that was found so far, in order.
func (p *parts) found(fn func(*bin)) {
	var last *bin
	for i := range p.bins {
		if b := p.bins[i].Load(); b != nil && b != last {
			fn(b)
			last = b
		}
	}
}
