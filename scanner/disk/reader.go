package disk

import (
	"io"

	"github.com/coldcheck/coldcheck/internal/bounded"
)

// whole reads a disk of size bytes. If the reader ends earlier, the disk was
// shortened.
type whole struct {
	r    io.ReaderAt
	size int64
}

func (w whole) ReadAt(p []byte, off int64) (int, error) { return bounded.Whole(w.r, p, w.size, off) }

// edges serves the start and the end of an image from memory, since the tables
// there are read in small pieces.
type edges struct {
	r          io.ReaderAt
	size       int64
	head, tail []byte
}

func (e edges) ReadAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	tail := e.size - int64(len(e.tail))
	switch {
	case off >= 0 && end >= off && end <= int64(len(e.head)):
		return copy(p, e.head[off:]), nil
	case off >= tail && end >= off && end <= e.size:
		return copy(p, e.tail[off-tail:]), nil
	}
	return e.r.ReadAt(p, off)
}
