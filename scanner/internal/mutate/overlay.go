package mutate

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// pageSize is the unit in which an overlay keeps what was written, in bytes.
const pageSize = 4096

// Overlay is an image with changes over it. The image below stays as it is.
// Reads are safe for concurrent use once nothing is written any more.
type Overlay struct {
	r     io.ReaderAt
	size  int64
	pages map[int64]*[pageSize]byte
}

// NewOverlay returns an unchanged overlay of size bytes.
func NewOverlay(r io.ReaderAt, size int64) *Overlay {
	return &Overlay{r: r, size: size, pages: map[int64]*[pageSize]byte{}}
}

// Size is how long the image is now, in bytes.
func (o *Overlay) Size() int64 { return o.size }

// Truncate makes the image end at size, if it does not end before.
func (o *Overlay) Truncate(size int64) { o.size = min(o.size, max(size, 0)) }

// ReadAt implements io.ReaderAt.
func (o *Overlay) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d", off)
	}
	if off >= o.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > o.size-off {
		p, end = p[:o.size-off], io.EOF
	}
	if n, err := o.r.ReadAt(p, off); n < len(p) {
		return n, err
	}
	for page := off / pageSize; page*pageSize < off+int64(len(p)); page++ {
		b, ok := o.pages[page]
		if !ok {
			if len(o.pages) == 0 {
				break
			}
			continue
		}
		if at := page*pageSize - off; at < 0 {
			copy(p, b[-at:])
		} else {
			copy(p[at:], b[:])
		}
	}
	return len(p), end
}

// WriteAt changes bytes inside the image; bytes past its end are ignored.
func (o *Overlay) WriteAt(p []byte, off int64) error {
	p = p[:max(0, min(int64(len(p)), o.size-off))]
	for len(p) > 0 {
		page, at := off/pageSize, off%pageSize
		b := o.pages[page]
		if b == nil {
			b = new([pageSize]byte)
			if _, err := o.r.ReadAt(b[:min(pageSize, o.size-page*pageSize)], page*pageSize); err != nil && err != io.EOF {
				return err
			}
			o.pages[page] = b
		}
		n := copy(b[at:], p)
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// Changed lists the pages of 4 KiB that were written to, by their offsets in
// bytes, in ascending order.
func (o *Overlay) Changed() []int64 {
	pages := slices.Sorted(maps.Keys(o.pages))
	for i := range pages {
		pages[i] *= pageSize
	}
	return pages
}

// span is a stretch of an image.
type span struct{ at, n int64 }

// clip returns the part of spans, taken as one content, from off on for n
// bytes.
func clip(spans []span, off, n int64) (part []span) {
	for _, s := range spans {
		if off >= s.n {
			off -= s.n
			continue
		}
		take := min(s.n-off, n)
		if take <= 0 {
			break
		}
		part = append(part, span{s.at + off, take})
		off, n = 0, n-take
	}
	return part
}

func length(spans []span) (n int64) {
	for _, s := range spans {
		n += s.n
	}
	return n
}

// read returns the bytes of spans, nil if the image does not have all of them.
func read(r io.ReaderAt, spans []span) []byte {
	b := make([]byte, length(spans))
	at := b
	for _, s := range spans {
		if n, _ := r.ReadAt(at[:s.n], s.at); int64(n) < s.n {
			return nil
		}
		at = at[s.n:]
	}
	return b
}

func (o *Overlay) write(spans []span, b []byte) {
	for _, s := range spans {
		if err := o.WriteAt(b[:s.n], s.at); err != nil {
			panic(fmt.Sprintf("an image in memory cannot be read: %v", err))
		}
		b = b[s.n:]
	}
}
