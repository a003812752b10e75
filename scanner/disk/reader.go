package disk

import (
	"io"
	"sync/atomic"
)

// countingReader counts what is read from an image.
type countingReader struct {
	r            io.ReaderAt
	bytes, reads atomic.Int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.bytes.Add(int64(n))
	c.reads.Add(1)
	return n, err
}

func (c *countingReader) counters() (bytes, reads int64) {
	return c.bytes.Load(), c.reads.Load()
}
