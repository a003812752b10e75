// Package memory limits the memory that reading images takes.
//
// It has two parts. Readers reserve memory before they allocate something large
// (an index, a hive), so that each decision is the same on every run. The
// memory of the process is also checked whenever an image is read: growth that
// was not reserved ends with an error before it exceeds the limit. Near the
// limit the garbage collector runs more often.
package memory

import (
	"fmt"
	"io"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
)

const (
	// Default is the limit unless another is given, in bytes: enough for a
	// volume of three million files and the hives of its system.
	Default = 512 << 20
	// Least is the smallest limit there can be. A scan of an ordinary
	// WorkSpace needs most of it.
	Least = 128 << 20

	// outside is the part of the limit for memory outside the heap: the program
	// itself, and SQLite.
	outside = 40 << 20
	// maxCollections is how often a budget frees the garbage of the process before it
	// gives up, unless another budget is closed meanwhile. It bounds the time that a
	// process short of memory spends on this.
	maxCollections = 4
	// lookEvery is how often the memory of the process is looked at.
	lookEvery = time.Millisecond
)

// ErrLimit says that something does not fit into the memory it may take.
var ErrLimit = kind.New("out of the memory that may be used", kind.Limit)

// A Budget is the memory that one task of a process may take. It is safe for
// concurrent use; a nil Budget has no limit. Several may be open at a time: each
// limits its own reservations. The limit of the process is their sum, since its
// memory cannot be attributed to one of them.
type Budget struct {
	max  int64 // in bytes
	heap int64 // the limit for the process: above it, reads fail
	most int64 // that can be reserved

	reserved atomic.Int64

	mu          sync.Mutex
	looked      time.Time
	collections int
	full        error
}

// New opens a budget of so many bytes, and limits the garbage collector to the
// sum of the open budgets until the last of them is closed.
func New(limit int64) *Budget {
	b := &Budget{max: limit, heap: limit - outside + limit/64, most: limit - outside - limit/8}
	process.open(b)
	return b
}

// Hold opens a budget for memory that something other than reading images holds for long,
// so that this memory does not count against the other budgets. Nothing can be reserved
// from it.
func Hold(bytes int64) *Budget {
	b := &Budget{max: bytes + outside, heap: bytes}
	process.open(b)
	return b
}

// Close closes the budget. When the last one closes, the limit of the garbage
// collector is again what it was before the first, which the program or
// GOMEMLIMIT may have set. A budget may be closed more than once.
func (b *Budget) Close() {
	if b != nil {
		process.close(b)
	}
}

// process holds the state that the budgets of this process share, since the
// garbage collector has only one limit.
var process budgets

type budgets struct {
	mu   sync.Mutex
	all  map[*Budget]bool // that are open
	was  int64            // the limit of the process while none is open
	heap atomic.Int64     // their sum
}

func (p *budgets) open(b *Budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		p.all, p.was = map[*Budget]bool{}, debug.SetMemoryLimit(-1)
	}
	p.all[b] = true
	p.limit()
}

func (p *budgets) close(b *Budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.all[b] {
		return
	}
	delete(p.all, b)
	p.limit()
	for other := range p.all { // what b held is garbage to them
		other.mu.Lock()
		other.collections = 0
		other.mu.Unlock()
	}
}

// limit makes the garbage collector keep to the budgets that are open.
func (p *budgets) limit() {
	collector, heap := int64(0), int64(0)
	for b := range p.all {
		collector += b.max - outside
		heap += b.heap
	}
	p.heap.Store(heap)
	if len(p.all) == 0 {
		collector = p.was
	}
	debug.SetMemoryLimit(collector)
}

// Reserve takes n bytes, or gives them back if n is negative. The error is
// ErrLimit if there are not as many.
func (b *Budget) Reserve(n int64) error {
	if b == nil {
		return nil
	}
	for {
		reserved := b.reserved.Load()
		if n > 0 && n > b.most-reserved {
			return fmt.Errorf("%w: %s more than the %s of %s that are left (--max-memory)",
				ErrLimit, prose.Rounded(n), prose.Rounded(b.most-reserved), prose.Rounded(b.most))
		}
		if b.reserved.CompareAndSwap(reserved, reserved+n) {
			return nil
		}
	}
}

// look says whether the process takes more than the open budgets allow. A long
// read is a reason to look again at once.
func (b *Budget) look(soon bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !soon && now.Sub(b.looked) < lookEvery {
		return b.full
	}
	b.looked, b.full = now, nil
	limit := max(b.heap, process.heap.Load())
	full := used() > limit
	if full && b.collections < maxCollections {
		// It may be garbage of what the process did before: an earlier scan, for example.
		b.collections++
		debug.FreeOSMemory()
		full = used() > limit
	}
	if full {
		b.full = fmt.Errorf("%w: %s (--max-memory)", ErrLimit, prose.Rounded(b.max))
	}
	return b.full
}

// used returns the memory that the process has from the system, in bytes.
func used() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64() - sample[1].Value.Uint64())
}

// Reader returns a reader of an image that fails with ErrLimit while the
// process takes more than it may.
func (b *Budget) Reader(r io.ReaderAt) io.ReaderAt {
	if b == nil {
		return r
	}
	return reader{b, r}
}

type reader struct {
	budget *Budget
	r      io.ReaderAt
}

// longRead is the size of a read that may fill memory faster than it is checked.
const longRead = 1 << 20

func (r reader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.budget.look(len(p) >= longRead); err != nil {
		return 0, err
	}
	return r.r.ReadAt(p, off)
}
