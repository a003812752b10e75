package unixfs

import (
	"fmt"
	"io"
)

// ReadFull fills p from a reader. The end of the reader within p is an error of
// the kind Corrupt.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return corrupt("the image ends at byte %d", off+int64(n))
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), off, err)
}

// UUID formats a UUID as "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".
func UUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
