package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/bounded"
	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// quick are options under which repetitions follow soon.
func quick() Options { return Options{firstWait: time.Millisecond, Silence: time.Minute} }

func awsOptions(s *remotetest.Server) Options {
	o := quick()
	o.AWS = s.AWS
	return o
}

// mustOpen opens a source that a test closes.
func mustOpen(t *testing.T, name string, o Options) *Source {
	t.Helper()
	s, err := Open(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// prefix is the beginning of a source as an image of its own: the size of a snapshot is a
// multiple of 1 GiB.
type prefix struct {
	*Source
	size int64
}

func (p prefix) Size() int64 { return p.size }

func (p prefix) ReadAt(b []byte, off int64) (int, error) {
	return bounded.ReadAt(p.Source, b, 0, p.size, off)
}

func (p prefix) Data(off int64) (start, end int64) {
	start, end = p.Source.Data(min(off, p.size))
	return min(start, p.size), min(end, p.size)
}

// openPut opens an image for the suite: put makes the content of the file with that name
// available, and opens it.
func openPut(
	put func(ctx context.Context, name string, content []byte) (imgconform.Image, error),
) func(ctx context.Context, name string) (imgconform.Image, error) {
	return func(ctx context.Context, name string) (imgconform.Image, error) {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return put(ctx, name, content)
	}
}

// keyOf is the path of a file as a server has it.
func keyOf(name string) string {
	return strings.TrimPrefix(filepath.ToSlash(name[len(filepath.VolumeName(name)):]), "/")
}

// TestRemoteConformance runs the suite on each kind of remote source.
func TestRemoteConformance(t *testing.T) {
	t.Parallel()
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		s := remotetest.HTTP(t)
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse,
			Open: openPut(func(ctx context.Context, name string, content []byte) (imgconform.Image, error) {
				key := keyOf(name)
				s.Put(key, content)
				return opened(Open(ctx, s.URL+"/"+key, quick()))
			}),
		})
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		s := remotetest.S3(t)
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse,
			Open: openPut(func(ctx context.Context, name string, content []byte) (imgconform.Image, error) {
				key := keyOf(name)
				s.Put(t, key, content)
				return opened(Open(ctx, "s3://"+remotetest.Bucket+"/"+key, awsOptions(&s.Server)))
			}),
		})
	})
	t.Run("ebs", func(t *testing.T) {
		t.Parallel()
		s := remotetest.EBS(t)
		images := 0
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse, Sparse: true, Read: func(i imgconform.Image) int64 { return i.(prefix).Counters().Bytes },
			Open: openPut(func(ctx context.Context, _ string, content []byte) (imgconform.Image, error) {
				images++
				id := fmt.Sprintf("snap-%d", images)
				s.Add(id, bytes.NewReader(content), int64(len(content)))
				source, err := Open(ctx, schemeEBS+id, awsOptions(&s.Server))
				if err != nil {
					return nil, err
				}
				return prefix{source, int64(len(content))}, nil
			}),
		})
	})
}

// TestReserve: a source reserves the memory of its cache, takes less where that fails, and
// gives it back.
func TestReserve(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		block := mustOpen(t, s.name, s.options).Remote().block
		errFull := errors.New("full")
		for _, tt := range []struct{ free, cache, want int64 }{
			{64 * block, 64 * block, 64 * block}, {64*block - 1, 64 * block, 32 * block}, {31 * block, 64 * block, 16 * block},
			{8 * block, 64 * block, 8 * block}, {8*block - 1, 64 * block, 0}, {8 * block, 1, 8 * block},
		} {
			free := tt.free
			o := s.options
			o.CacheBytes = tt.cache
			o.Reserve = func(n int64) error {
				if n > free {
					return errFull
				}
				free -= n
				return nil
			}
			source, err := Open(t.Context(), s.name, o)
			if (err == nil) != (tt.want > 0) || err != nil && !errors.Is(err, errFull) {
				t.Errorf("%+v: %v", tt, err)
			}
			if tt.free-free != tt.want {
				t.Errorf("%+v: %d bytes are reserved", tt, tt.free-free)
			}
			if err != nil {
				continue
			}
			if source.Remote().cache.slots != tt.want/block {
				t.Errorf("%+v: the cache has %d blocks", tt, source.Remote().cache.slots)
			}
			source.Close()
			source.Close()
			if free != tt.free {
				t.Errorf("%+v: %d bytes stay reserved", tt, tt.free-free)
			}
		}
	})
}
