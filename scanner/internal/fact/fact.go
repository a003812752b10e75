// Package fact keeps what was read of a system.
package fact

import (
	"errors"
	"sync"
)

// Fact is read at most once, when it is first asked for. Its zero value is
// ready, and it may be asked from several goroutines.
type Fact[T any] struct {
	once  sync.Once
	value T
	err   error
}

// errInterrupted stands in a fact whose reader panicked: the requirement that
// asked first reports the panic, those that ask later this error.
var errInterrupted = errors.New("reading this fact was interrupted by a defect")

// Get returns the fact, and reads it if nobody did so before.
func (f *Fact[T]) Get(read func() (T, error)) (T, error) {
	f.once.Do(func() {
		f.err = errInterrupted
		f.value, f.err = read()
	})
	return f.value, f.err
}
