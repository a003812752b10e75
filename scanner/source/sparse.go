package source

import (
	"io"
	"math"
	"sync"
)

// minHole is the smallest hole that is worth asking for, in bytes: smaller
// ones are read, and so are smaller pieces.
const minHole = 64 << 10

// holeSkipper reads a file without its holes, which are zeros: the file reports
// where they are, and they are most of the image of a disk that is mostly
// empty.
type holeSkipper struct {
	*holeFinder
	r    io.ReaderAt
	size int64
}

// dataExtents remembers extents of data that were found, and forgets the oldest. To
// find the end of one again takes the system long if it is far away. That a file has
// changed does no harm: what was data is read.
type dataExtents struct {
	mu   sync.Mutex
	list [64]struct{ start, end int64 }
	next int
}

// end returns the end of the data that is at off; not ok if none is known to be there.
func (d *dataExtents) end(off int64) (end int64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.list {
		if e.start <= off && off < e.end {
			return e.end, true
		}
	}
	return 0, false
}

func (d *dataExtents) add(start, end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.list {
		if e := &d.list[i]; e.end == end { // from further in front
			e.start = min(e.start, start)
			return
		}
	}
	d.list[d.next].start, d.list[d.next].end = start, end
	d.next = (d.next + 1) % len(d.list)
}

// holeFinder finds the holes of a file.
type holeFinder struct {
	// data and hole return where the first byte of data, or of a hole, is at
	// or after off; endOfFile if there is none, which may be since the file
	// has become shorter.
	data, hole func(off int64) (int64, error)
	known      dataExtents
}

// holeAfter returns where the first hole is after data at off.
func (f *holeFinder) holeAfter(off int64) (int64, error) {
	if end, ok := f.known.end(off); ok {
		return end, nil
	}
	hole, err := f.hole(off)
	if err == nil && hole > off {
		f.known.add(off, hole)
	}
	return hole, err
}

const endOfFile = math.MaxInt64

// ReadAt implements io.ReaderAt.
func (s *holeSkipper) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size-int64(len(p)) {
		return s.r.ReadAt(p, off)
	}
	done := 0
	for at, end := off, off+int64(len(p)); end-at >= minHole; at = off + int64(done) {
		data, ok := s.nextData(at, end)
		if !ok {
			break
		}
		if data-at >= minHole {
			clear(p[done : data-off])
			done = int(data - off)
			continue
		}
		hole := s.nextHole(data, end)
		n, err := s.r.ReadAt(p[done:hole-off], at)
		done += n
		if at+int64(n) < hole {
			return done, err
		}
	}
	if done == len(p) {
		return done, nil
	}
	n, err := s.r.ReadAt(p[done:], off+int64(done))
	return done + n, err
}

// nextData returns where data begins, at most end. It is not ok where that
// is unknown.
func (s *holeSkipper) nextData(at, end int64) (data int64, ok bool) {
	if _, ok := s.known.end(at); ok {
		return at, true
	}
	data, err := s.data(at)
	if err == nil && data == endOfFile {
		// A hole, only if the file is still as long as that.
		var last int64
		if last, err = s.hole(end - 1); last != end-1 {
			return 0, false
		}
	}
	return min(data, end), err == nil && data >= at
}

// nextHole returns where a hole begins that is not to be read, at most end.
func (s *holeSkipper) nextHole(data, end int64) int64 {
	hole, err := s.holeAfter(data)
	if err != nil || hole <= data || hole >= end {
		return end
	}
	if after, err := s.data(hole); err != nil || min(after, end)-hole < minHole {
		return end
	}
	return hole
}

// extent returns the first extent of data at or after off, which is within the
// file; an empty one at the end where only a hole follows.
func (s *holeSkipper) extent(off int64) (start, end int64) {
	start, ok := s.nextData(off, s.size)
	if !ok {
		return off, s.size
	}
	hole, err := s.holeAfter(start)
	if start == s.size || err != nil || hole <= start {
		return start, s.size
	}
	return start, min(hole, s.size)
}
