// Package fact keeps what was read of a system, and bounds what reading it may
// take.
package fact

import (
	"errors"
	"sync"
	"time"
)

// Fact is read at most once, when it is first asked for. Its zero value is
// ready, and it may be asked from several goroutines.
type Fact[T any] struct {
	mu    sync.Mutex
	state *reading[T] // nil until somebody asks
}

// reading is the one attempt to read a fact.
type reading[T any] struct {
	begun time.Time
	done  chan struct{} // closed when value and err are there
	value T
	err   error
}

// errInterrupted stands in a fact whose reader panicked: the requirement that
// asked first reports the panic, those that ask later this error.
var errInterrupted = errors.New("a defect in coldcheck interrupted the reading of this fact")

// Get returns the fact, and reads it on the first call. The caller that reads
// it waits for as long as read takes. Any other waits no longer than Limit
// after the reading began; after that the error is ErrTime at once, also for
// later callers.
func (f *Fact[T]) Get(read func() (T, error)) (T, error) {
	f.mu.Lock()
	if r := f.state; r != nil {
		f.mu.Unlock()
		return r.wait()
	}
	r := &reading[T]{begun: time.Now(), done: make(chan struct{}), err: errInterrupted}
	f.state = r
	f.mu.Unlock()
	defer close(r.done)
	r.value, r.err = read()
	return r.value, r.err
}

func (r *reading[T]) wait() (T, error) {
	select {
	case <-r.done:
		return r.value, r.err
	default:
	}
	timer := time.NewTimer(Limit - time.Since(r.begun))
	defer timer.Stop()
	select {
	case <-r.done:
		return r.value, r.err
	case <-timer.C:
		var none T
		return none, ErrTime
	}
}
