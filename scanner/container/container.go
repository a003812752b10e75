// Package container opens the disk inside an image of any supported format.
//
//	s, err := source.Open(ctx, "root.img", source.Options{})
//	if err != nil {
//		return err
//	}
//	d, err := container.Open(ctx, s, container.Options{})
//	if err != nil {
//		return err
//	}
//	defer d.Close()
//	n, err := d.ReadAt(p, off)
//
// The content decides the format. Raw images are read in place. Other known
// formats are an error that names the format and the command to convert it.
package container

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// ErrNotImage is the error for a file that is not a supported disk image. The
// message names the format, and the error has a method Hint() string that says
// what to do; "" if nothing is known to help.
var ErrNotImage = kind.ErrNotImage

// Options are the options of Open. There are none for raw images.
type Options struct{}

// Disk is the disk inside a container. It is safe for concurrent use.
type Disk interface {
	// ReadAt implements io.ReaderAt. Unreadable data is an error, never zeros.
	// The error is that of the source, or says that the container is damaged.
	io.ReaderAt
	// Size is the size of the disk in bytes.
	Size() int64
	// Data returns the first range at or after off that is not known to be
	// zeros: off <= start <= end <= Size, and start is Size if there is none.
	// An off outside the disk is moved to its start or end.
	Data(off int64) (start, end int64)
	// Format is the name of the container's format: "raw".
	Format() string
	// Sources returns the files of the image; the one that was opened first
	// comes first.
	Sources() []*source.Source
	// Close closes the sources. The disk cannot be read afterwards.
	Close() error
}

// headSize is how much of the beginning of a source is read to find its format,
// in bytes: as much as the descriptor of a VMDK image of a thousand extents has.
const headSize = 64 << 10

// sector is the size in bytes of the smallest image, and of the footer in which
// some formats say what they are.
const sector = 512

// Open opens the disk in the container whose first or only file is first. The
// context limits the opening. The error is ErrNotImage if the format is known
// but not supported. Closing the disk closes first; if Open fails, the caller
// must close it.
func Open(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	p, err := look(first)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", first.Name(), err)
	}
	for _, f := range formats {
		if !f.matches(p) {
			continue
		}
		if f.open == nil {
			return nil, fmt.Errorf("%s: %w", first.Name(), kind.NotImage(f.what, f.advise(ctx, first, p)))
		}
		return f.open(ctx, first, o)
	}
	return openRaw(ctx, first, o)
}

// probe is what of a source says which format it has.
type probe struct {
	head   []byte // up to headSize
	footer []byte // the last sector; nil if it cannot be read
}

// look reads the beginning and the end. What is smaller than a sector has no
// format.
func look(s *source.Source) (probe, error) {
	if s.Size() < sector {
		return probe{}, nil
	}
	p := probe{head: make([]byte, min(headSize, s.Size())), footer: make([]byte, sector)}
	if _, err := s.ReadAt(p.head, 0); err != nil && err != io.EOF {
		return probe{}, err
	}
	// Some formats have their signature at the end; that it cannot be read is
	// no reason to give up the rest.
	if _, err := s.ReadAt(p.footer, s.Size()-sector); err != nil && err != io.EOF {
		p.footer = nil
	}
	return p, nil
}

// format is a row of the table of formats: how one is found, and what opens it.
type format struct {
	what  string // "a QCOW image"
	where place
	magic string
	// open opens the disk inside; nil where the format is refused, with a hint.
	open func(ctx context.Context, first *source.Source, o Options) (Disk, error)
	// hint says what to do about a format that is refused: a pattern for fill.
	hint string
	// explain makes the hint where it depends on the image; nil where it does
	// not.
	explain func(ctx context.Context, first *source.Source, p probe) string
}

// place is where a magic is: at an offset from the beginning in bytes, or at the
// beginning of the last sector.
type place int

const footer place = -1

func (f format) matches(p probe) bool {
	b := p.head
	off := int(f.where)
	if f.where == footer {
		b, off = p.footer, 0
	}
	end := off + len(f.magic)
	return end <= len(b) && bytes.Equal(b[off:end], []byte(f.magic))
}

// advise is the hint for a format that is refused.
func (f format) advise(ctx context.Context, first *source.Source, p probe) string {
	hint := f.hint
	if f.explain != nil {
		hint = f.explain(ctx, first, p)
	}
	return fill(hint, first.Name())
}
