package scanner

import (
	"cmp"
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

const (
	// DefaultParallelReads is the default number of concurrent reads of the
	// images. A local disk is as fast with two. A remote disk, or a volume that
	// is restored while it is read, answers many requests in the time of one.
	DefaultParallelReads = 8
	// RemoteParallelReads is the default where an image is remote.
	RemoteParallelReads = 32
	// MaxParallelReads bounds the memory of concurrent reads: 1 MiB for each
	// read on every volume, or 4 MiB if NTFS has records of 4 KiB.
	MaxParallelReads = 64
)

// reads bounds how many reads of the images are under way, and measures them.
type reads struct {
	places chan struct{} // each read that is under way holds one
	took   *atomic.Int64 // how long the reads that ended took, in nanoseconds
}

func newReads(most int) reads {
	return reads{make(chan struct{}, cmp.Or(most, DefaultParallelReads)), &atomic.Int64{}}
}

// most is how many reads may be under way.
func (r reads) most() int { return cap(r.places) }

// waited is how long the reads that ended took together.
func (r reads) waited() time.Duration { return time.Duration(r.took.Load()) }

// each calls do for 0 to n-1, as many at a time as there may be reads. A panic
// in one of them comes out of each, where it can be caught.
func (r reads) each(n int, do func(i int)) {
	var done parallel.Group
	begun := make(chan struct{}, r.most())
	for i := range n {
		begun <- struct{}{}
		done.Go(func() {
			defer func() { <-begun }()
			do(i)
		})
	}
	done.Wait()
}

// bound returns a reader whose reads wait for a place, and which fails once
// the context has ended, so that no parser goes on then.
func (r reads) bound(ctx context.Context, from io.ReaderAt) io.ReaderAt {
	return boundReader{ctx, r, from}
}

type boundReader struct {
	ctx   context.Context
	reads reads
	from  io.ReaderAt
}

func (b boundReader) ReadAt(p []byte, off int64) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	select {
	case b.reads.places <- struct{}{}:
		defer func(begun time.Time) {
			b.reads.took.Add(int64(time.Since(begun)))
			<-b.reads.places
		}(time.Now())
		return b.from.ReadAt(p, off)
	case <-b.ctx.Done():
		return 0, context.Cause(b.ctx)
	}
}
