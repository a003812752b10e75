// Package parallel runs functions at the same time. A panic of one ends only
// the caller that waits for them.
package parallel

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// Group is a sync.WaitGroup whose functions may panic.
type Group struct {
	group sync.WaitGroup
	once  sync.Once
	panic *Panic
}

// Panic is the value that Wait panics with.
type Panic struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

func (p *Panic) String() string { return fmt.Sprint(p.Value) }

// Go calls f in a goroutine of its own.
func (g *Group) Go(f func()) {
	g.group.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				g.once.Do(func() { g.panic = of(v) })
			}
		}()
		f()
	})
}

// of keeps the stack of a panic that was carried here by another Group.
func of(v any) *Panic {
	if p, ok := v.(*Panic); ok {
		return p
	}
	return &Panic{v, debug.Stack()}
}

// Wait waits until all functions have returned. If one panicked it panics with
// a *Panic, that of the first.
func (g *Group) Wait() {
	g.group.Wait()
	if g.panic != nil {
		panic(g.panic)
	}
}
