// Package source reads the bytes of disk images from files, block devices, EBS
// snapshots, S3, web servers, or any io.ReaderAt.
//
//	s, err := source.Open(ctx, "root.img", source.Options{})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	n, err := s.ReadAt(p, off)
//
// A Source is opened read-only and is safe for concurrent use. It counts reads,
// skips known zeros, and reports whether the file has changed since it was
// opened.
//
// Names of sources are
//
//   - a path of a file or block device
//   - ebs:snap-0123456789abcdef0: an EBS snapshot, by the EBS direct APIs
//   - s3://BUCKET/KEY, or s3://BUCKET/KEY?versionId=VERSION
//   - https://… or http://…: a server that answers range requests
//
// Remote sources are read in blocks that a bounded cache keeps. The bytes of a read
// are those of the version that was opened, or the read fails. Region, credentials and
// endpoints of AWS are found as the AWS SDK finds them.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/coldcheck/coldcheck/internal/bounded"
	"github.com/coldcheck/coldcheck/internal/kind"
)

// ErrNotImage is the error for a file that cannot be an image, such as a
// directory or a named pipe. It may have a method Hint() string that says what
// to do.
var ErrNotImage = kind.ErrNotImage

// Errors of reads that failed.
var (
	ErrIO = kind.IO
	// ErrPassing is an ErrIO for a read that may succeed later.
	ErrPassing = kind.Passing
)

// Source is an open source of an image's bytes.
type Source struct {
	name  string
	place place
	size  int64
	// ctx ends with the one given to Open, and when the source is closed. It governs
	// all reading.
	ctx context.Context
	end context.CancelCauseFunc

	// Both skip holes; what counted reads is in Counters.
	counted, uncounted io.ReaderAt
	bytes, reads       atomic.Int64
	edges              atomic.Pointer[edges]
}

// place is what a kind of source implements. Source adds what all kinds have in
// common. A kind embeds plain for what it does not know.
type place interface {
	// size is the number of bytes; it stays the same while the place is open.
	size() int64
	// readAt reads as io.ReaderAt does, from within the size. It returns when
	// the context ends, with its cause, if it can.
	readAt(ctx context.Context, p []byte, off int64) (int, error)
	// holes returns what finds holes; nil if nothing is known of holes.
	holes() *holeFinder
	// modified is when the bytes were last changed; zero if unknown.
	modified() time.Time
	// changed returns why the bytes may differ from those that were opened; nil
	// if no change is known.
	changed(ctx context.Context) error
	// mounts are filesystems that may be writing to the place.
	mounts() []WritableMount
	// remote is what is known of a place that is read over a network; nil for others.
	remote() *Remote
	// beside opens another file in the same folder. The name has no separators.
	beside(ctx context.Context, name string) (*Source, error)
	// neighbors returns the names of other files in the same folder, of the first
	// most names in it, and whether it has more.
	neighbors(ctx context.Context, most int) (names []string, more bool, err error)
	close() error
}

// kinds are the kinds of sources. The first that owns a name opens it; files own
// every name.
var kinds = []sourceKind{
	kindS3, kindEBS, kindHTTP,
	{owns: func(string) bool { return true }, open: openFile, same: sameFile},
}

// sourceKind is a kind of source.
type sourceKind struct {
	owns func(name string) bool
	open func(ctx context.Context, name string, o Options) (place, error)
	// same reports whether two names are the same thing.
	same func(a, b string) bool
	// shown is a name without its secrets; nil if names have none.
	shown func(name string) string
	// check returns what is wrong with a name; nil if any name may be right.
	check func(name string) error
}

// CheckName returns an fs.ErrInvalid for a name that no source can have, such as a
// malformed URL; nil for any other. It opens nothing.
func CheckName(name string) error {
	if k := kinds[kindOf(name)]; k.check != nil {
		return k.check(name)
	}
	return nil
}

// IsRemote reports whether a name is that of a source that is read over a network.
func IsRemote(name string) bool { return kindOf(name) != len(kinds)-1 }

func kindOf(name string) int {
	for n, k := range kinds {
		if k.owns(name) {
			return n
		}
	}
	panic("no kind of source for " + name) // files are the last
}

// Open opens a source read-only. When the context ends, reads from the open
// source fail with its cause. The error names the source. It is fs.ErrNotExist
// if the file does not exist and ErrNotImage if it cannot be an image; other
// system errors are wrapped. It is ErrPassing if a remote source may be opened later,
// and otherwise ErrIO.
func Open(ctx context.Context, name string, o Options) (*Source, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p, err := kinds[kindOf(name)].open(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return newSource(ctx, ShownName(name), p), nil
}

// ShownName is a name as messages may show it: without the user, the password and the
// query of a URL. It is the Name of the source.
func ShownName(name string) string {
	if k := kinds[kindOf(name)]; k.shown != nil {
		return k.shown(name)
	}
	return name
}

// NewReader returns a source of size bytes that reads from r. r must be safe
// for concurrent use, and Close does not close it. The context works as in
// Open.
func NewReader(ctx context.Context, name string, r io.ReaderAt, size int64) *Source {
	return newSource(ctx, name, &memory{plain{size}, r})
}

// Same reports whether two names refer to the same file or device, through any
// path or link. It opens neither.
func Same(a, b string) bool {
	k := kindOf(a)
	return k == kindOf(b) && kinds[k].same(a, b)
}

func newSource(ctx context.Context, name string, p place) *Source {
	s := &Source{name: name, place: p, size: p.size()}
	s.ctx, s.end = context.WithCancelCause(ctx)
	s.counted, s.uncounted = counted{s}, uncounted{s}
	if h := p.holes(); h != nil {
		s.counted = &holeSkipper{holeFinder: h, r: s.counted, size: s.size}
		s.uncounted = &holeSkipper{holeFinder: h, r: s.uncounted, size: s.size}
	}
	if _, part := p.(*section); !part && p.remote() != nil { // a section reads through its source
		s.counted = toucher{p.remote(), s.counted}
	}
	return s
}

// Name is the ShownName of the name that the source was opened by.
func (s *Source) Name() string { return s.name }

// Size is the size in bytes when the source was opened.
func (s *Source) Size() int64 { return s.size }

// ReadAt implements io.ReaderAt. The error is io.ErrUnexpectedEOF if the source
// has become shorter than Size, and the cause of Open's context if that has
// ended. Any other error except io.EOF is ErrIO. Once a read of a remote source has
// failed, every read returns that error.
func (s *Source) ReadAt(p []byte, off int64) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	if err := s.Failed(); err != nil {
		return 0, err
	}
	if e := s.edges.Load(); e != nil {
		if n, ok := e.read(p, off); ok {
			return n, nil
		}
	}
	return s.counted.ReadAt(p, off)
}

// uncounted reads from the place, within its size.
type uncounted struct{ s *Source }

func (u uncounted) ReadAt(p []byte, off int64) (int, error) {
	if u.s.ctx.Err() != nil {
		return 0, context.Cause(u.s.ctx)
	}
	n, err := bounded.Whole(inContext{u.s.ctx, u.s.place}, p, u.s.size, off)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && u.s.ctx.Err() == nil {
		err = kind.Input(err)
	}
	return n, err
}

// counted reads as uncounted does, and counts.
type counted struct{ s *Source }

func (c counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := uncounted(c).ReadAt(p, off)
	if n > 0 || err != io.EOF {
		c.s.reads.Add(1)
		c.s.bytes.Add(int64(n))
	}
	return n, err
}

type inContext struct {
	ctx   context.Context
	place place
}

func (r inContext) ReadAt(p []byte, off int64) (int, error) { return r.place.readAt(r.ctx, p, off) }

// Data returns the first range at or after off that is not known to be zeros:
// off <= start <= end <= Size, and start is Size if there is none. The bytes
// after end may be data too. If holes are unknown, everything is data. An off
// outside the source is moved to its start or end.
func (s *Source) Data(off int64) (start, end int64) {
	off = min(max(off, 0), s.size)
	if h, ok := s.uncounted.(*holeSkipper); ok {
		start, end = h.extent(off)
		if r := s.Remote(); r != nil {
			r.touch(off, start) // the caller may rely on the zeros
		}
		return start, end
	}
	return off, s.size
}

// Modified is the file's modification time when the source was opened; zero if
// the source is not a file.
func (s *Source) Modified() time.Time { return s.place.modified() }

// Changed returns an error if the size or modification time has changed since
// the source was opened. It returns nil if no change is known, and for every
// device.
func (s *Source) Changed() error { return s.place.changed(s.ctx) }

// WritableMounts returns the filesystems that are mounted read-write on the
// source, if it is a block device or the file of a loop device. Mounts of its
// partitions and of devices built on them count. It returns nil for other
// sources, and on systems other than Linux.
func (s *Source) WritableMounts() []WritableMount { return s.place.mounts() }

// Beside opens another file in the folder of the source: a part of the same
// image. The name must have no separators, and the file must be a regular file
// in that folder. The error is fs.ErrNotExist if there is no such file and
// fs.ErrInvalid if the name is not valid. A link out of the folder is a system
// error.
//
// Any number of parts may be open: only some of their files are open to the system
// at a time, those that were read last. One that was closed in this way is opened
// again when it is read. It is an error if another file has its name then.
func (s *Source) Beside(ctx context.Context, name string) (*Source, error) {
	if !plainName(name) {
		return nil, fmt.Errorf("%s: %q is not a plain file name: %w", s.name, name, fs.ErrInvalid)
	}
	return s.place.beside(ctx, name)
}

// Neighbors returns the names of the other files in the folder of a regular file, in
// the order of their names. It looks at no more than most names of the folder, those
// that the system lists first; more reports whether the folder has others. Folders
// and devices are not returned. A source that is not a regular file has no neighbors.
func (s *Source) Neighbors(ctx context.Context, most int) (names []string, more bool, err error) {
	return s.place.neighbors(ctx, most)
}

// Counters counts reads from a source. Holes are not read. Data that Hold keeps
// is read once.
type Counters struct {
	Bytes int64
	Reads int64 // number of reads
}

// Counters returns the source's counters so far.
func (s *Source) Counters() Counters { return Counters{s.bytes.Load(), s.reads.Load()} }

// Close cancels running reads and closes the source. Later reads fail with
// fs.ErrClosed.
func (s *Source) Close() error {
	s.end(fs.ErrClosed)
	return s.place.close()
}
