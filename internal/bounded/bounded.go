// Package bounded reads sections of an io.ReaderAt.
package bounded

import (
	"errors"
	"io"
)

// ErrNegativeOffset is the error of a read before the beginning.
var ErrNegativeOffset = errors.New("negative offset")

// ReadAt reads at off from the part of r that begins at base and is size bytes
// long, as io.ReaderAt does: a read across the end of the part returns the
// bytes before the end and io.EOF.
func ReadAt(r io.ReaderAt, p []byte, base, size, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, ErrNegativeOffset
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

// Whole reads at off from r, which is size bytes long. Where r ends before that,
// which a file does that became shorter, the error is io.ErrUnexpectedEOF.
func Whole(r io.ReaderAt, p []byte, size, off int64) (int, error) {
	n, err := ReadAt(r, p, 0, size, off)
	if err == io.EOF && off+int64(n) < size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
