package scanner

import (
	"cmp"
	"context"
	"io"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

const (
	// DefaultParallelReads is how many reads of the images are under way at a
	// time if nothing else is asked for. A disk of one's own is as fast with
	// two; one that is far away, or is restored while it is read, answers many
	// requests in the time of one.
	DefaultParallelReads = 8
	// MaxParallelReads bounds the memory that waits for reads: 1 MiB for each on
	// every volume, and 4 MiB where NTFS has records of 4 KiB.
	MaxParallelReads = 64
)

// reads bounds how many reads of the images are under way: each that is holds
// a place in it.
type reads chan struct{}

func newReads(most int) reads { return make(reads, cmp.Or(most, DefaultParallelReads)) }

// each calls do for 0 to n-1, as many at a time as there may be reads. A panic
// in one of them comes out of each, where it can be caught.
func (r reads) each(n int, do func(i int)) {
	var done parallel.Group
	begun := make(chan struct{}, cap(r))
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
	case b.reads <- struct{}{}:
		defer func() { <-b.reads }()
		return b.from.ReadAt(p, off)
	case <-b.ctx.Done():
		return 0, context.Cause(b.ctx)
	}
}
