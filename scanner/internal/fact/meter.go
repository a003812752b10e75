package fact

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// What one fact may take. Facts of ordinary machines stay below a tenth of each.
const (
	MaxBytes   = 64 << 20  // of files and registry values that it reads
	MaxFiles   = 50_000    // that it opens
	MaxFolders = 100_000   // that it lists
	MaxSteps   = 1_000_000 // names, entries of folders, keys and values that it looks at
)

// ErrBound says that reading a fact would take more than any fact does. What is
// left unread may hold anything, so the fact is not known.
var ErrBound = errors.New("over the read limit")

// A Meter bounds what a scan, a requirement or a fact reads, and ends the reading
// when its context ends. From then on every charge is the same error. The reading
// of a fact also ends when it takes longer than Limit. A nil Meter has no bounds.
// It may be used from several goroutines.
type Meter struct {
	ctx    context.Context
	scan   context.Context      // ends facts, whichever requirement asks for them
	waited func() time.Duration // see Patience

	bytes, files, folders, steps atomic.Int64

	mu     sync.Mutex
	err    error
	parsed map[parsedKey]any
	isFact bool
	begun  time.Time     // when a fact was first charged for
	before time.Duration // what waited returned then
}

// NewMeter returns a meter of a scan that ends with the context, on which nothing
// is charged yet. waited may be nil.
func NewMeter(ctx context.Context, waited func() time.Duration) *Meter {
	return &Meter{ctx: ctx, scan: ctx, waited: waited}
}

// Within returns the meter of a requirement that is judged until the context
// ends. That of a nil Meter has bounds, too.
func (m *Meter) Within(ctx context.Context) *Meter {
	if m == nil {
		return NewMeter(ctx, nil)
	}
	return &Meter{ctx: ctx, scan: m.scan, waited: m.waited}
}

// Next returns the meter of a fact. It does not end with the requirement that asks
// first: a fact that the others need must not be lost since that one took long.
func (m *Meter) Next() *Meter {
	if m == nil {
		return nil
	}
	return &Meter{ctx: m.scan, scan: m.scan, waited: m.waited, isFact: true}
}

// File charges the opening of a file, of which so many bytes will be read.
func (m *Meter) File(size int64) error {
	if err := m.charge(meterFiles, 1); err != nil {
		return err
	}
	return m.charge(meterBytes, size)
}

// Folder charges the listing of a folder with so many entries.
func (m *Meter) Folder(entries int) error {
	if err := m.charge(meterFolders, 1); err != nil {
		return err
	}
	return m.Steps(entries)
}

// Bytes charges what is read elsewhere than from files of their own, such as
// values of the registry.
func (m *Meter) Bytes(n int64) error { return m.charge(meterBytes, n) }

// Steps charges looking at so many things.
func (m *Meter) Steps(n int) error { return m.charge(meterSteps, int64(n)) }

// Usage is what was charged so far.
type Usage struct{ Bytes, Files, Folders, Steps int64 }

// Usage returns what was charged so far.
func (m *Meter) Usage() Usage {
	if m == nil {
		return Usage{}
	}
	return Usage{m.bytes.Load(), m.files.Load(), m.folders.Load(), m.steps.Load()}
}

// what a Meter counts.
type quantity int

const (
	meterBytes quantity = iota
	meterFiles
	meterFolders
	meterSteps
)

func (m *Meter) charge(what quantity, n int64) error {
	if m == nil {
		return nil
	}
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	var counter *atomic.Int64
	var most int64
	var unit string
	switch what {
	case meterBytes:
		counter, most, unit = &m.bytes, MaxBytes, "bytes"
	case meterFiles:
		counter, most, unit = &m.files, MaxFiles, "files"
	case meterFolders:
		counter, most, unit = &m.folders, MaxFolders, "folders"
	case meterSteps:
		counter, most, unit = &m.steps, MaxSteps, "names, entries, keys and values"
	}
	over := counter.Add(n) > most
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && over {
		m.err = fmt.Errorf("it takes more than %d %s: %w", most, unit, ErrBound)
	}
	if m.err == nil && m.isFact {
		m.err = m.late()
	}
	return m.err
}

// late returns an error that wraps ErrTime when a fact takes too long.
func (m *Meter) late() error {
	p := Patience{Waited: m.waited}
	if m.begun.IsZero() {
		m.begun, m.before = time.Now(), p.waited()
	}
	if time.Since(m.begun) > Limit && p.left(m.begun, m.before) <= 0 {
		return p.over()
	}
	return nil
}

// ID is the identity of a file, whatever its name: several names may lead to
// one file.
type ID struct {
	Volume string // its role
	Number uint64 // of the MFT record or the inode
}

type parsedKey struct {
	id   ID
	kind string
}

// Parsed returns the result of parse for a file. parse is called once for all
// names of the file, and an error is kept, too. kind separates the results of
// different parsers for the same file.
func Parsed[T any](m *Meter, id ID, kind string, parse func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	if m == nil {
		return parse()
	}
	key := parsedKey{id, kind}
	m.mu.Lock()
	kept, ok := m.parsed[key].(result)
	m.mu.Unlock()
	if ok {
		return kept.value, kept.err
	}
	var r result
	r.value, r.err = parse()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parsed == nil {
		m.parsed = map[parsedKey]any{}
	}
	m.parsed[key] = r
	return r.value, r.err
}
