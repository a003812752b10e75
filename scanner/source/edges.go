package source

import "sync"

// edges keeps the beginning and the end of a source.
type edges struct {
	s          *Source
	mu         sync.Mutex
	head, tail int64 // sizes in bytes
	kept       [2][]byte
}

// Hold keeps the first head and the last tail bytes in memory until release is
// called. Each is read on its first use. Format signatures and partition tables
// are there, and are read in small pieces.
func (s *Source) Hold(head, tail int64) (release func()) {
	s.edges.Store(&edges{s: s, head: min(head, s.size), tail: min(tail, s.size)})
	return func() { s.edges.Store(nil) }
}

// read answers a read within one of the edges. It is not ok for any other read, and if
// the edge cannot be read.
func (e *edges) read(p []byte, off int64) (n int, ok bool) {
	end := off + int64(len(p))
	if off < 0 || end < off {
		return 0, false
	}
	switch {
	case end <= e.head:
		return e.from(0, 0, e.head, p, off)
	case off >= e.s.size-e.tail && end <= e.s.size:
		return e.from(1, e.s.size-e.tail, e.tail, p, off)
	}
	return 0, false
}

func (e *edges) from(which int, base, size int64, p []byte, off int64) (n int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept[which] == nil {
		b := make([]byte, size)
		if n, err := e.s.counted.ReadAt(b, base); n < len(b) && err != nil {
			return 0, false
		}
		e.kept[which] = b
	}
	return copy(p, e.kept[which][off-base:]), true
}
