package disk

import (
	"errors"
	"io"
	"sync/atomic"
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
	return n, err
}

func (c *countingReader) counters() (bytes, reads int64) {
	return c.bytes.Load(), c.reads.Load()
}

// headReader serves what lies in the beginning of an image from memory.
type headReader struct {
	r    io.ReaderAt
	head []byte
}

func (h headReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= 0 && off <= int64(len(h.head)) && int64(len(p)) <= int64(len(h.head))-off {
		return copy(p, h.head[off:]), nil
	}
	return h.r.ReadAt(p, off)
}
