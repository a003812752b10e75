// Package opening lets a context end the opening of a file system or a hive
// without ending the reads that come after it.
package opening

import (
	"context"
	"io"
	"sync/atomic"
)

// A Reader reads from another reader. Until Done is called its reads fail once
// the context has ended. It is safe for concurrent use if the other reader is.
type Reader struct {
	r       io.ReaderAt
	ctx     context.Context
	started atomic.Bool // opening is done
}

// NewReader returns a Reader that obeys the context.
func NewReader(ctx context.Context, r io.ReaderAt) *Reader { return &Reader{r: r, ctx: ctx} }

// ReadAt reads as the reader below does. The error is the context's cause if
// the context ended while opening.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if !r.started.Load() && r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.ReadAt(p, off)
}

// Done ends the hold of the context on the reads. The error is the context's
// cause if it has ended before: what was opened may then lack what a read would
// have shown.
func (r *Reader) Done() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.started.Store(true)
	return nil
}
