// Package container opens the disks inside an image of any supported format.
//
//	s, err := source.Open(ctx, "root.qcow2", source.Options{})
//	if err != nil {
//		return err
//	}
//	disks, err := container.Open(ctx, s, container.Options{})
//	if err != nil {
//		s.Close()
//		return err
//	}
//	defer disks[0].Close()
//	n, err := disks[0].ReadAt(p, off)
//
// The content decides the format. Supported formats are read in place, without
// conversion; other known formats are an error that names the format and the
// command that helps. A parent, which a differencing image needs, is opened only if
// Options.Parents has it: the path in the image is never followed.
package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// ErrNotImage is the error for a file that is not a supported disk image. The
// message names the format, and the error has a method Hint() string that says
// what to do; "" if nothing is known to help.
var ErrNotImage = kind.ErrNotImage

// Errors for errors.Is, in addition to those of the sources. Their messages name the
// file, and the offset in it where there is one.
var (
	// ErrCorrupt: the container contradicts itself, or a checksum is wrong.
	ErrCorrupt = kind.Corrupt
	// ErrUnsupported: the container needs a feature that cannot be read.
	ErrUnsupported = kind.Unsupported
	// ErrEncrypted is the error for a container that can be read only with a key.
	ErrEncrypted = kind.Encrypted
	// ErrLimit: a table or the number of parts is larger than the bound of its format.
	ErrLimit = kind.Limit
	// ErrIncomplete: a part or the parent of the image is not there, or the image says
	// that it lacks these bytes. The error may have a method Hint() string.
	ErrIncomplete = errors.New("incomplete image")
	// ErrParent is an ErrIncomplete: it is the parent that is not there.
	ErrParent = kind.New(ErrIncomplete.Error(), ErrIncomplete)
)

// Options are the options of Open.
type Options struct {
	// Parents are the images that may be opened as parents of a differencing image,
	// in any order. The identity that the format stores decides which one is opened.
	Parents []Candidate
	// depth is how many images are above the one that is opened.
	depth int
	// open is Open, for the parents. It is not called by its name because the formats
	// that need a parent are in the table that Open reads.
	open opener
	// archived says that the image is in an archive.
	archived bool
}

// Candidate is an image that may be a parent.
type Candidate struct {
	Name string
	Open func(ctx context.Context) (*source.Source, error)
}

// Sum is a hash of the disk that a container states.
type Sum struct {
	Algorithm string // "md5" or "sha1"
	Sum       string // in hexadecimal digits
}

// Disk is a disk inside a container. It is safe for concurrent use.
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
	// Locate returns where the byte at off of the disk is: in which file, and at
	// which offset. It is not ok for what has no such place: zeros, and what is
	// compressed.
	Locate(off int64) (file *source.Source, at int64, ok bool)
	// Format is the name of the container's format: "raw", "qcow2".
	Format() string
	// Detail says which kind of the format it is, as "version 3, zstd"; "" if the
	// format has only one.
	Detail() string
	// Member is the name of the disk in an archive with several; "" otherwise.
	Member() string
	// Sources returns the files of the image, without those of its parent; the one
	// that was opened first comes first.
	Sources() []*source.Source
	// Parent is the disk below a differencing one; nil if there is none.
	Parent() Disk
	// Notes describe peculiarities of the container, in the same order for the same
	// image.
	Notes() []string
	// Stated returns the hashes of the disk that the container states; nil if it
	// states none. Nothing has compared them yet.
	Stated() []Sum
	// Close closes the sources and the parent. The disk cannot be read afterwards.
	Close() error
}

// headSize is how much of the beginning of a source is read to find its format, in
// bytes.
const headSize = 4 << 10

// sector is the size in bytes of the smallest image, and of the footer in which
// some formats say what they are.
const sector = 512

// Open opens the disks in the container whose first or only file is first: at least
// one, and several only of an archive. The context limits the opening. The error is
// ErrNotImage if the format is known but not supported. Closing all disks closes
// first; if Open fails, the caller must close it.
func Open(ctx context.Context, first *source.Source, o Options) ([]Disk, error) {
	o.open = Open
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
	d, err := openRaw(ctx, first, p)
	if err != nil {
		return nil, err
	}
	return []Disk{d}, nil
}

// one is the opener of a format with one disk.
func one(open func(context.Context, *source.Source, Options) (Disk, error)) opener {
	return func(ctx context.Context, first *source.Source, o Options) ([]Disk, error) {
		d, err := open(ctx, first, o)
		if err != nil {
			return nil, err
		}
		return []Disk{d}, nil
	}
}

// probe is what of a source says which format it has.
type probe struct {
	head   []byte // up to headSize
	footer []byte // the last sector; nil if it cannot be read
	small  bool   // it is smaller than any container that can be opened
}

// look reads the beginning and the end. What is smaller than a sector is no
// container, unless it is a descriptor: a text.
func look(s *source.Source) (probe, error) {
	if s.Size() < sector {
		all := make([]byte, s.Size())
		if _, err := s.ReadAt(all, 0); err != nil && err != io.EOF {
			return probe{}, err
		}
		isText := bytes.HasPrefix(bytes.TrimPrefix(all, []byte(utf8Mark)), []byte(vmdkTextMagic))
		return probe{head: all, small: !isText}, nil
	}
	p := probe{head: make([]byte, min(headSize, s.Size())), footer: make([]byte, sector)}
	if _, err := s.ReadAt(p.head, 0); err != nil && err != io.EOF {
		return probe{}, err
	}
	// Some formats have their signature at the end. If that cannot be read, the image
	// may still be one that has it at the beginning.
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
	also  string // what the head has too, anywhere
	// open opens the disks inside; nil where the format is refused, with a hint.
	open opener
	// hint says what to do about a format that is refused: a pattern for fill.
	hint string
	// explain makes the pattern where it depends on the image; nil where it does not.
	explain func(ctx context.Context, first *source.Source, p probe) string
	// parent reads what the parent of an image is; nil if the format has none.
	parent parentOf
}

// opener opens the disks of a format. An error leaves first open, and closes whatever
// else was opened.
type opener func(ctx context.Context, first *source.Source, o Options) ([]Disk, error)

// place is where a magic is: at an offset from the beginning in bytes, or in the last
// sector.
type place int

const (
	footer    place = -1 // at the beginning of the last sector
	oldFooter place = -2 // a byte after it
)

func (f format) matches(p probe) bool {
	if p.small && f.open != nil {
		return false
	}
	b := p.head
	off := int(f.where)
	if f.where < 0 {
		b, off = p.footer, int(footer-f.where)
	}
	end := off + len(f.magic)
	return end <= len(b) && bytes.Equal(b[off:end], []byte(f.magic)) && bytes.Contains(p.head, []byte(f.also))
}

// advise is the hint for a format that is refused.
func (f format) advise(ctx context.Context, first *source.Source, p probe) string {
	hint := f.hint
	if f.explain != nil {
		hint = f.explain(ctx, first, p)
	}
	return fill(hint, first.Name())
}
