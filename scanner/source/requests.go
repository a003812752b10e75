package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
)

const (
	// defaultParallel is how many requests a remote source has under way.
	defaultParallel = 32
	// defaultSilence is how long a server may send nothing.
	defaultSilence = 20 * time.Second
	// slowest is the lowest rate in bytes a second at which a response may arrive.
	slowest = 32 << 10

	// firstWait is the longest wait before the first repetition of a request; each
	// further one may wait twice as long, up to longestWait.
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
	// maxAttempts is how often a request is sent, and maxThrottled how often if the
	// server asks for fewer requests.
	maxAttempts  = 6
	maxThrottled = 10
	// retryBudget is how many repetitions a source may send beyond one for each
	// request that succeeds.
	retryBudget = 100
)

// requests sends the requests of one source: it bounds how many are under way, repeats
// those that failed for a reason that may pass, and keeps the first failure for good.
type requests struct {
	shown   string // the name of the source, without secrets
	ctx     context.Context
	end     context.CancelCauseFunc
	limit   limiter
	rate    *Rate        // of all sources that share it; nil for none
	budget  atomic.Int64 // repetitions that are left
	silence time.Duration
	wait    time.Duration // firstWait
	secrets secrets
	client  client
	ours    *http.Transport // to be closed; nil for the caller's

	failure                            atomic.Pointer[failure]
	sent, retried, throttled, received atomic.Int64
}

func newRequests(ctx context.Context, shown string, o Options) *requests {
	r := &requests{shown: shown, silence: o.Silence, wait: o.firstWait}
	if r.silence <= 0 {
		r.silence = defaultSilence
	}
	if r.wait <= 0 {
		r.wait = firstWait
	}
	r.ctx, r.end = context.WithCancelCause(ctx)
	r.budget.Store(retryBudget)
	r.limit.most = o.parallel()
	r.limit.now = float64(r.limit.most)
	r.client.transport = o.Transport
	if o.Transport == nil {
		r.ours = newTransport(o.parallel())
		r.client.transport = r.ours
	}
	return r
}

// close ends all requests and connections.
func (r *requests) close(reason error) {
	r.end(reason)
	if r.ours != nil {
		r.ours.CloseIdleConnections()
	}
}

// failure is a failure for good.
type failure struct{ err error }

// failed returns the failure that ended the source; nil if there is none.
func (r *requests) failed() error {
	if f := r.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail ends the source and all its requests, and returns its first failure.
func (r *requests) fail(f *fault) error {
	r.failure.CompareAndSwap(nil, &failure{f.named(r.shown)})
	err := r.failed()
	r.end(err)
	return err
}

// do sends a request until it succeeds, or fails for good, which ends the source. try
// sends it once, and returns nil or why it failed. size is how many bytes the response
// may have.
func (r *requests) do(ctx context.Context, size int64, try func(a *attempt) *fault) error {
	f, err := r.repeat(ctx, size, try)
	if f != nil {
		return r.fail(f)
	}
	return err
}

// repeat sends a request as do does, and returns why it failed for good.
func (r *requests) repeat(ctx context.Context, size int64, try func(a *attempt) *fault) (*fault, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(r.ctx, func() { end(context.Cause(r.ctx)) })()
	for sent := 1; ; sent++ {
		if err := r.failed(); err != nil {
			return nil, err
		}
		f, err := r.once(ctx, size, try)
		switch {
		case err != nil:
			return nil, err
		case f == nil:
			if left := r.budget.Load(); left < retryBudget {
				r.budget.CompareAndSwap(left, left+1)
			}
			return nil, nil
		case !f.repeats(sent):
			return f, nil
		case r.budget.Add(-1) < 0:
			r.budget.Add(1)
			return f, nil
		}
		r.retried.Add(1)
		if err := sleep(ctx, r.pause(sent, f)); err != nil {
			return nil, err
		}
	}
}

// pause is how long to wait after an attempt failed: a random part of a time that
// doubles (full jitter), and at least as long as the server asks for.
func (r *requests) pause(sent int, f *fault) time.Duration {
	if f.class == stale {
		return 0
	}
	most := min(r.wait<<min(sent-1, 20), longestWait)
	return max(rand.N(most), min(f.after, longestWait))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errSilent ends an attempt whose server is silent or too slow.
var errSilent = errors.New("the server sends nothing")

// once sends a request once. The error is the cause of the context's end.
func (r *requests) once(ctx context.Context, size int64, try func(a *attempt) *fault) (*fault, error) {
	epoch, err := r.limit.acquire(ctx)
	if err == nil {
		if err = r.rate.wait(ctx); err != nil {
			r.limit.release(epoch, false)
		}
	}
	if err != nil {
		return nil, err
	}
	a := &attempt{r: r}
	var end context.CancelCauseFunc
	a.ctx, end = context.WithCancelCause(ctx)
	a.silent = time.AfterFunc(r.silence, func() { end(errSilent) })
	slow := time.AfterFunc(r.silence+time.Duration(size)*time.Second/slowest, func() { end(errSilent) })
	r.sent.Add(1)
	f := try(a)
	silent := context.Cause(a.ctx) == errSilent
	a.silent.Stop()
	slow.Stop()
	end(nil)
	switch {
	case f == nil:
		r.limit.release(epoch, false)
		return nil, nil
	case ctx.Err() != nil:
		r.limit.release(epoch, false)
		return nil, context.Cause(ctx)
	case silent:
		f = passes("the server does not answer")
	case f.class == throttled:
		r.throttled.Add(1)
		r.rate.throttle()
	}
	r.limit.release(epoch, f.class == throttled)
	return f, nil
}

// attempt is one sending of a request.
type attempt struct {
	ctx    context.Context
	r      *requests
	silent *time.Timer
}

// alive says that the server has sent something.
func (a *attempt) alive() { a.silent.Reset(a.r.silence) }

// read reads a body that must be exactly as long as the blocks.
func (a *attempt) read(body io.Reader, blocks [][]byte) *fault {
	for _, b := range blocks {
		for len(b) > 0 {
			n, err := body.Read(b)
			a.r.received.Add(int64(n))
			if n > 0 {
				a.alive()
			}
			b = b[n:]
			switch {
			case err == io.EOF && len(b) > 0, errors.Is(err, io.ErrUnexpectedEOF):
				return passes("the response is shorter than announced")
			case err != nil && err != io.EOF:
				return a.r.network(err)
			}
		}
	}
	if n, _ := io.ReadFull(body, make([]byte, 1)); n > 0 {
		return passes("the response is longer than announced")
	}
	return nil
}

// limiter bounds how many requests are under way. The bound falls by half when the
// server throttles, and rises by one for as many successes as there may be requests.
type limiter struct {
	mu       sync.Mutex
	most     int
	now      float64
	underWay int
	epoch    int // counts how often the bound fell
	waiting  []chan struct{}
}

// acquire waits for a place.
func (l *limiter) acquire(ctx context.Context) (epoch int, err error) {
	l.mu.Lock()
	if l.underWay < int(l.now) && len(l.waiting) == 0 && ctx.Err() == nil {
		defer l.mu.Unlock()
		l.underWay++
		return l.epoch, nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.admit()
	l.mu.Unlock()
	select {
	case <-turn:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.epoch, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:n:n], l.waiting[n+1:]...)
			return 0, context.Cause(ctx)
		}
	}
	l.underWay-- // its turn had come
	l.admit()
	return 0, context.Cause(ctx)
}

// release gives a place back. Several requests that were sent at the same time and are
// throttled count once.
func (l *limiter) release(epoch int, throttled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	switch {
	case !throttled:
		l.now = min(l.now+1/l.now, float64(l.most))
	case epoch == l.epoch:
		l.now = max(l.now/2, 1)
		l.epoch++
	}
	l.admit()
}

// admit lets waiting requests begin, the oldest first, while there are free places.
func (l *limiter) admit() {
	for len(l.waiting) > 0 && l.underWay < int(l.now) {
		l.underWay++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}

// class is what to do after a request failed.
type class int

const (
	refused   class = iota // it fails for good: denied, missing, or not to be read
	passing                // the same request may succeed
	throttled              // the same request may succeed later, and there are too many
	stale                  // a request with a new token may succeed at once
	lapsed                 // the credentials expired
	changed                // the bytes are not those that were opened
)

// fault is why a request failed.
type fault struct {
	class class
	text  string        // for people, without secrets
	hint  string        // "" if there is none
	also  error         // that the error is too, such as fs.ErrNotExist; nil for none
	after time.Duration // to wait for, as the server asks
}

func passes(text string) *fault { return &fault{class: passing, text: text} }

func refuses(text, hint string) *fault { return &fault{class: refused, text: text, hint: hint} }

// missing and forbidden are refusals that are fs.ErrNotExist or fs.ErrPermission too.
func missing(text, hint string) *fault {
	return &fault{class: refused, text: text, hint: hint, also: fs.ErrNotExist}
}

func forbidden(text, hint string) *fault {
	return &fault{class: refused, text: text, hint: hint, also: fs.ErrPermission}
}

// differs is the fault of bytes that are not those that were opened.
func differs(how string) *fault {
	return &fault{class: changed, text: "it changed while it was read: " + how}
}

// repeats reports whether to send a request again that was sent so often.
func (f *fault) repeats(sent int) bool {
	switch f.class {
	case passing, stale:
		return sent < maxAttempts
	case throttled:
		return sent < maxThrottled
	}
	return false
}

// named is the error of a source for good.
func (f *fault) named(name string) error {
	e := &remoteError{text: name + ": " + f.text, hint: f.hint, also: f.also}
	switch f.class {
	case refused:
		e.kind = kind.IO
	case changed:
		e.kind = ErrChanged
	default:
		e.kind = kind.Passing
	}
	return e
}

// ErrChanged is an ErrPassing: a remote source is no longer what was opened.
var ErrChanged = kind.New("changed while it was read", kind.Passing)

// remoteError is an error of a remote source. It wraps no error of a library: those
// contain URLs.
type remoteError struct {
	text, hint string
	kind, also error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Hint() string  { return e.hint }
func (e *remoteError) Unwrap() []error {
	if e.also == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.also}
}
