package source

import (
	"io"
	"sync"
)

// sectors reads a device that reads only complete sectors, such as a disk of Windows.
type sectors struct {
	r      io.ReaderAt
	size   int64 // of the device, in bytes
	sector int64 // bytes in a sector
}

// mostAligned is how much is read at a time, in bytes, where a read does not begin and
// end with a sector: a multiple of the size of any sector.
const mostAligned = 1 << 20

var alignedPieces = sync.Pool{New: func() any { return new([mostAligned]byte) }}

// ReadAt implements io.ReaderAt.
func (s sectors) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > s.size-off
	if short {
		p = p[:s.size-off]
	}
	if n, err = s.read(p, off); err == nil && short {
		err = io.EOF
	}
	return n, err
}

// read fills p from within the device.
func (s sectors) read(p []byte, off int64) (n int, err error) {
	if off%s.sector == 0 && int64(len(p))%s.sector == 0 {
		return full(s.r.ReadAt(p, off))(len(p))
	}
	piece := alignedPieces.Get().(*[mostAligned]byte)
	defer alignedPieces.Put(piece)
	for n < len(p) {
		at := off + int64(n)
		begin := at - at%s.sector
		end := at + int64(len(p)-n)
		end = min(end+(s.sector-end%s.sector)%s.sector, begin+mostAligned)
		got, err := s.r.ReadAt(piece[:end-begin], begin)
		copied := 0
		if skip := int(at - begin); got > skip {
			copied = copy(p[n:], piece[skip:got])
		}
		if n += copied; int64(got) < end-begin && n < len(p) {
			return full(n, err)(len(p))
		}
	}
	return n, nil
}

// full makes an error of a read that is shorter than wanted, and of no other.
func full(n int, err error) func(want int) (int, error) {
	return func(want int) (int, error) {
		switch {
		case n >= want:
			return n, nil
		case err == nil || err == io.EOF: // the device is smaller than it says
			return n, io.ErrUnexpectedEOF
		}
		return n, err
	}
}
