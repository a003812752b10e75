package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
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

// prefix is the beginning of a source as an image of its own: a snapshot is of a whole
// number of GiB.
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

// TestRemoteConformance runs the suite on each kind of remote source.
func TestRemoteConformance(t *testing.T) {
	t.Parallel()
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		s := remotetest.HTTP(t)
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse,
			Open: openPut(func(ctx context.Context, name string, content []byte) (imgconform.Image, error) {
				s.Put(name[1:], content)
				return opened(Open(ctx, s.URL+name, quick()))
			}),
		})
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		s := remotetest.S3(t)
		imgconform.Run(t, imgconform.Format{
			Write: writeSparse,
			Open: openPut(func(ctx context.Context, name string, content []byte) (imgconform.Image, error) {
				s.Put(t, name[1:], content)
				return opened(Open(ctx, "s3://"+remotetest.Bucket+name, awsOptions(&s.Server)))
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
