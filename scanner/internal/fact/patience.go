package fact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// Limit is how long one fact may take, in addition to the time that reads of
// the images take: a volume that is restored while it is read may take minutes
// for the first reads. All facts of an ordinary machine take a few seconds
// together.
const Limit = 30 * time.Second

// longest is how long anything may take, the time of the images included.
const longest = 10 * time.Minute

// ErrTime says that something takes longer than any fact does.
var ErrTime = errors.New("reading takes too long")

// Patience is how long something is waited for.
type Patience struct {
	Limit time.Duration // 0 for that of a fact
	// Waited is how long the reads of the images that ended have taken so far,
	// together; nil if they are not measured. That time does not count. A read
	// that does not end is not waited for.
	Waited func() time.Duration
}

// Wait returns nil when done is closed, the cause of the context when that
// ends, and an error that wraps ErrTime when the time is up.
func (p Patience) Wait(ctx context.Context, done <-chan struct{}) error {
	begun, before := time.Now(), p.waited()
	timer := time.NewTimer(p.limit())
	defer timer.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			left := p.left(begun, before)
			if left <= 0 {
				return p.over()
			}
			timer.Reset(left)
		}
	}
}

// left returns how much longer something is waited for that began then, when the
// reads of the images had taken so long.
func (p Patience) left(begun time.Time, before time.Duration) time.Duration {
	passed := time.Since(begun)
	return min(p.limit()+min(p.waited()-before, passed), max(p.limit(), longest)) - passed
}

// over is the error when the time is up.
func (p Patience) over() error { return fmt.Errorf("%w: more than %s", ErrTime, p.limit()) }

func (p Patience) limit() time.Duration {
	if p.Limit == 0 {
		return Limit
	}
	return p.Limit
}

func (p Patience) waited() time.Duration {
	if p.Waited == nil {
		return 0
	}
	return p.Waited()
}

// Within returns what f returns, and panics with a *parallel.Panic where it
// panics. If it takes too long the error is that of Wait, and what it still
// returns is passed to late, if that is not nil.
func Within[T any](ctx context.Context, p Patience, f func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var r result
	var group parallel.Group
	done := make(chan struct{})
	group.Go(func() { r.value, r.err = f() })
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // Wait below panics again
		group.Wait()
	}()
	if err := p.Wait(ctx, done); err != nil {
		if late != nil {
			go func() {
				<-done
				late(r.value, r.err)
			}()
		}
		var none T
		return none, err
	}
	group.Wait()
	return r.value, r.err
}
