package disk

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/kind"
)

var errNegativeOffset = errors.New("negative offset")

// readClamped reads at off from the part of r that is size bytes long and
// begins at base.
func readClamped(r io.ReaderAt, p []byte, base, size, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, errNegativeOffset
	case len(p) == 0:
		return 0, nil
	case off >= size:
		return 0, io.EOF
	}
	if left := size - off; int64(len(p)) > left {
		n, err := r.ReadAt(p[:left], base+off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	n, err := r.ReadAt(p, base+off)
	if n == len(p) && err == io.EOF {
		err = nil
	}
	return n, err
}

// countingReader counts what is read from an image.
type countingReader struct {
	r            io.ReaderAt
	size         int64
	bytes, reads atomic.Int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := readClamped(c.r, p, 0, c.size, off)
	if n > 0 || err != io.EOF {
		c.reads.Add(1)
		c.bytes.Add(int64(n))
	}
	if err == io.EOF && off+int64(n) < c.size {
		err = io.ErrUnexpectedEOF // the file has become shorter
	}
	if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = kind.Input(err)
	}
	return n, err
}

func (c *countingReader) counters() (bytes, reads int64) {
	return c.bytes.Load(), c.reads.Load()
}

// edges serves what lies at the beginning and the end of an image from memory,
// since the tables there are looked at in small pieces.
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
