package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
)

// writeSparse writes a file that has holes where a page of 4 KiB is zeros.
func writeSparse(t *testing.T, folder string, content []byte) string {
	t.Helper()
	name := filepath.Join(folder, "disk.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(content))); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(content); at += 4096 {
		page := content[at:min(at+4096, len(content))]
		if bytes.Count(page, []byte{0}) == len(page) {
			continue
		}
		if _, err := f.WriteAt(page, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func read(i imgconform.Image) int64 { return i.(*Source).Counters().Bytes }

// TestConformance runs the suite on each kind of source.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse, Sparse: holesOf(nil) != nil, Read: read,
			Open: func(ctx context.Context, name string) (imgconform.Image, error) {
				return opened(Open(ctx, name, Options{}))
			},
		})
	})
	t.Run("file beside another", func(t *testing.T) {
		t.Parallel()
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse, Sparse: holesOf(nil) != nil, Read: read,
			Open: func(ctx context.Context, name string) (imgconform.Image, error) {
				first, err := Open(t.Context(), name, Options{})
				if err != nil {
					return nil, err
				}
				defer first.Close()
				return opened(first.Beside(ctx, filepath.Base(name)))
			},
		})
	})
	t.Run("reader", func(t *testing.T) {
		t.Parallel()
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse, Read: func(i imgconform.Image) int64 { return i.(withFile).Counters().Bytes },
			Open: func(ctx context.Context, name string) (imgconform.Image, error) {
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				f, err := os.Open(name)
				if err != nil {
					return nil, err
				}
				info, err := f.Stat()
				if err != nil {
					f.Close()
					return nil, err
				}
				return withFile{NewReader(ctx, name, f, info.Size()), f}, nil
			},
		})
	})
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse, Sparse: holesOf(nil) != nil,
			Open: func(ctx context.Context, name string) (imgconform.Image, error) {
				s, err := Open(ctx, name, Options{})
				if err != nil {
					return nil, err
				}
				s.Hold(100_000, 5_000)
				return s, nil
			},
		})
	})
}

// opened is what Open returns, as the suite wants it.
func opened(s *Source, err error) (imgconform.Image, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// withFile closes the file that a source reads from too.
type withFile struct {
	*Source
	f *os.File
}

func (w withFile) Close() error { return errors.Join(w.Source.Close(), w.f.Close()) }
