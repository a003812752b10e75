package xfs

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// overlay holds the pages of the image that the log changes, as they are after
// the replay.
type overlay struct {
	pages   map[int64]*page
	reserve func(n int64) error // may be nil
}

const (
	pageSize = 4096
	// maxOverlay is the most pages that a log may change: 512 MiB of memory.
	// The largest log is 2 GiB, most of them are below 64 MiB.
	maxOverlay = 128 << 10
)

type page struct {
	data [pageSize]byte
	raw  uint8 // sectors that hold pieces whose checksums were not computed again
}

// apply copies the pages over data that was read from the image.
func (o *overlay) apply(p []byte, off int64) {
	o.each(off, int64(len(p)), func(g *page, at, begin, end int64) {
		copy(p[at:], g.data[begin:end])
	})
}

func (o *overlay) touched(off, size int64) bool {
	found := false
	o.each(off, size, func(g *page, _, begin, end int64) {
		for s := begin / sector; s < (end+sector-1)/sector; s++ {
			found = found || g.raw>>s&1 != 0
		}
	})
	return found
}

// each visits the pages of a piece: at is the place in the piece, begin and
// end those in the page.
func (o *overlay) each(off, size int64, visit func(g *page, at, begin, end int64)) {
	for at := int64(0); at < size; {
		begin := (off + at) % pageSize
		end := min(pageSize, begin+size-at)
		if g := o.pages[(off+at)/pageSize]; g != nil {
			visit(g, at, begin, end)
		}
		at += end - begin
	}
}

// write changes a piece. Pages that were not changed before are read from the
// image.
func (o *overlay) write(d *device, p []byte, off int64, raw bool) error {
	if off < 0 || off > d.size || int64(len(p)) > d.size-off {
		return corrupt("the log changes %d bytes at %d, past the end of the image, %d", len(p), off, d.size)
	}
	for at := int64(0); at < int64(len(p)); {
		n := (off + at) / pageSize
		g := o.pages[n]
		if g == nil {
			if len(o.pages) == maxOverlay {
				return unsupported("a log that changes more than %d MiB", maxOverlay*pageSize>>20)
			}
			if o.reserve != nil {
				if err := o.reserve(pageSize); err != nil {
					return fmt.Errorf("changes in the log: %w", err)
				}
			}
			g = new(page)
			if err := unixfs.ReadFull(d.r, g.data[:min(pageSize, d.size-n*pageSize)], n*pageSize); err != nil {
				return err
			}
			o.pages[n] = g
		}
		begin := (off + at) % pageSize
		c := int64(copy(g.data[begin:], p[at:]))
		for s := begin / sector; raw && s < (begin+c+sector-1)/sector; s++ {
			g.raw |= 1 << s
		}
		at += c
	}
	return nil
}

// giveUp says that the overlay is not used.
func (o *overlay) giveUp() {
	if o.reserve != nil {
		o.reserve(-pageSize * int64(len(o.pages)))
	}
}
