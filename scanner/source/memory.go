package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// plain is a place of which only the size is known.
type plain struct{ bytes int64 }

func (p plain) size() int64                 { return p.bytes }
func (plain) holes() *holeFinder            { return nil }
func (plain) modified() time.Time           { return time.Time{} }
func (plain) changed(context.Context) error { return nil }
func (plain) mounts() []WritableMount       { return nil }
func (plain) remote() *Remote               { return nil }
func (plain) close() error                  { return nil }

func (plain) beside(_ context.Context, name string) (*Source, error) {
	return nil, fmt.Errorf("%s: it has no folder: %w", name, fs.ErrNotExist)
}

func (plain) neighbors(context.Context, int) ([]string, bool, error) { return nil, false, nil }

// memory is what a program reads from.
type memory struct {
	plain
	r io.ReaderAt
}

func (m *memory) readAt(_ context.Context, p []byte, off int64) (int, error) {
	return m.r.ReadAt(p, off)
}
