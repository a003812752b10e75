// Package opening has the code that volumes and hives share when they are opened:
// a context that bounds opening but not later reads, and an account of reserved
// memory.
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

// Done ends the context's effect on reads. The error is the context's cause if
// it has already ended: some reads may then be missing from the result.
func (r *Reader) Done() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.started.Store(true)
	return nil
}

// An Account counts the memory that was reserved, so that all of it can be
// released. It is safe for concurrent use if the function is.
type Account struct {
	Ask   func(n int64) error // a negative number of bytes gives back; nil never refuses
	taken atomic.Int64
}

// Reserve takes n bytes, or gives them back if n is negative.
func (a *Account) Reserve(n int64) error {
	if a.Ask == nil {
		return nil
	}
	err := a.Ask(n)
	if err == nil {
		a.taken.Add(n)
	}
	return err
}

// Close releases the memory that is still reserved. The error is that of Ask.
func (a *Account) Close() error {
	n := a.taken.Swap(0)
	if a.Ask == nil || n == 0 {
		return nil
	}
	return a.Ask(-n)
}
