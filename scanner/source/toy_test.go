package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/imgconform"
)

// A toy source, "toy:FILE", shows what a new kind of source needs: what follows, which
// would be a file of this package, and its row in kinds. It reads through a cache, as
// sources do that are far away.

// toy is a place that takes long to answer.
type toy struct {
	plain
	cache *Cache
	f     *os.File
}

const toyScheme = "toy:"

// toyKind is the row of the toy source.
var toyKind = sourceKind{
	owns: func(name string) bool { return strings.HasPrefix(name, toyScheme) },
	open: openToy,
	same: func(a, b string) bool { return a == b },
}

func openToy(ctx context.Context, name string, _ Options) (place, error) {
	f, err := os.Open(strings.TrimPrefix(name, toyScheme))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	o := CacheOptions{Block: 10_000, Bytes: 200_000, Ahead: 4, Parallel: 4}
	return &toy{plain{info.Size()}, NewCache(ctx, info.Size(), FetchFrom(f), o), f}, nil
}

func (y *toy) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	return y.cache.ReadContext(ctx, p, off)
}

func (y *toy) close() error { return errors.Join(y.cache.Close(), y.f.Close()) }

// addToy adds the row for the time of a test.
func addToy(t *testing.T) {
	t.Helper()
	before := kinds
	kinds = append([]sourceKind{toyKind}, before...)
	t.Cleanup(func() { kinds = before })
}

// TestToy: the toy source is opened by its name like any other, and passes the suite.
func TestToy(t *testing.T) {
	addToy(t)
	imgconform.Run(t, imgconform.Format{
		Write: writeSparse,
		Open: func(ctx context.Context, name string) (imgconform.Image, error) {
			return opened(Open(ctx, toyScheme+name, Options{}))
		},
	})
	name := writeSparse(t, t.TempDir(), make([]byte, 100))
	s, err := Open(t.Context(), toyScheme+name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Name() != toyScheme+name || s.Changed() != nil || s.WritableMounts() != nil || s.Modified() != (time.Time{}) {
		t.Errorf("%q, %v, %v, %v", s.Name(), s.Changed(), s.WritableMounts(), s.Modified())
	}
	if _, err := s.Beside(t.Context(), "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("beside it: %v", err)
	}
	if !Same(toyScheme+name, toyScheme+name) || Same(toyScheme+name, name) {
		t.Error("a toy is taken for a file")
	}
	if _, err := Open(t.Context(), toyScheme+name+".missing", Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
