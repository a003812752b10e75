package source

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Rate bounds how many requests a second all sources send that share it, and counts them.
// Requests are spread evenly: there is no burst. It is safe for concurrent use.
type Rate struct {
	interval time.Duration // between two requests; 0 for no bound

	mu   sync.Mutex
	next time.Time // when the next request may be sent

	sent, throttled atomic.Int64
}

// NewRate returns a bound of so many requests a second; no bound if it is 0 or less.
func NewRate(perSecond float64) *Rate {
	r := &Rate{}
	if perSecond > 0 {
		r.interval = time.Duration(float64(time.Second) / perSecond)
	}
	return r
}

// Sent is how many requests were sent, including repetitions.
func (r *Rate) Sent() int64 { return r.sent.Load() }

// Throttled is how many of them the server refused because there were too many.
func (r *Rate) Throttled() int64 { return r.throttled.Load() }

// wait waits until a request may be sent. The error is the cause of the context's end.
func (r *Rate) wait(ctx context.Context) error {
	if r == nil {
		return nil
	}
	if d := r.turn(time.Now()); d > 0 {
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	r.sent.Add(1)
	return nil
}

// turn takes the next turn, and returns how long it is away.
func (r *Rate) turn(now time.Time) time.Duration {
	if r.interval == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.next
	if at.Before(now) {
		at = now
	}
	r.next = at.Add(r.interval)
	return at.Sub(now)
}

func (r *Rate) throttle() {
	if r != nil {
		r.throttled.Add(1)
	}
}
