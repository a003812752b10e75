package source

import (
	"context"
	"fmt"
	"io/fs"
	"time"
)

// Section returns the size bytes of s at off as a source of its own, with another
// name: a file in an archive. Its reads are reads of s, which counts them, and end
// when s is closed; closing the section does not close s. beside opens other files
// of the archive, as Beside does; nil if there are none.
func (s *Source) Section(
	name string, off, size int64, beside func(ctx context.Context, name string) (*Source, error),
) (*Source, error) {
	if off < 0 || size < 0 || off > s.size-size {
		return nil, fmt.Errorf("%s: %d bytes at byte %d are not in %s, which has %d: %w",
			name, size, off, s.name, s.size, fs.ErrInvalid)
	}
	return newSource(s.ctx, name, &section{plain{size}, s, off, beside}), nil
}

// section is a part of another source.
type section struct {
	plain
	s      *Source
	off    int64
	others func(ctx context.Context, name string) (*Source, error)
}

func (s *section) readAt(_ context.Context, p []byte, off int64) (int, error) {
	return s.s.ReadAt(p, s.off+off)
}

func (s *section) modified() time.Time           { return s.s.Modified() }
func (s *section) changed(context.Context) error { return s.s.Changed() }
func (s *section) mounts() []WritableMount       { return s.s.WritableMounts() }
func (s *section) remote() *Remote               { return s.s.place.remote() }

func (s *section) beside(ctx context.Context, name string) (*Source, error) {
	if s.others == nil {
		return s.plain.beside(ctx, name)
	}
	return s.others(ctx, name)
}
