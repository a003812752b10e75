package ntfs

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// A budget is an Options.Reserve of so many bytes.
type budget struct {
	mu          sync.Mutex
	left, least int64
}

var errBudget = errors.New("over budget")

func newBudget(n int64) *budget { return &budget{left: n, least: n} }

func (b *budget) reserve(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return errBudget
	}
	b.left -= n
	b.least = min(b.least, b.left)
	return nil
}

// The index is asked for before it is held: with what it needs the volume
// opens, with less it does not, and nothing stays taken.
func TestReserve(t *testing.T) {
	testenv.Sequential(t)
	var b builder
	for i := range 20000 {
		b.add(file{name: manyName(i), parent: recordRoot})
	}
	image := b.image()
	open := func(n int64, readers int) (*budget, error) {
		budget := newBudget(n)
		_, err := Open(context.Background(), &sectionReader{image}, int64(len(image)),
			Options{Reserve: budget.reserve, Readers: readers})
		return budget, err
	}
	const plenty = 1 << 30
	whole, err := open(plenty, 1)
	if err != nil {
		t.Fatal(err)
	}
	needs := plenty - whole.least
	if kept := plenty - whole.left; kept <= 0 || kept > needs {
		t.Errorf("%d bytes kept of %d", kept, needs)
	}
	for _, n := range []int64{needs, needs + 1} {
		if _, err := open(n, 1); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int64{needs - 1, needs / 2, 1, 0} {
		budget, err := open(n, 1)
		if !errors.Is(err, errBudget) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if budget.left != n {
			t.Errorf("%d of %d bytes stay taken", n-budget.left, n)
		}
	}
	// Fewer read at a time where there is no memory for more.
	if _, err := open(needs+needs/2, 1000); err != nil {
		t.Errorf("1000 readers: %v", err)
	}
}

// A listing is asked for too; what is refused is neither damage nor absence.
func TestReserveForListing(t *testing.T) {
	testenv.Sequential(t)
	var b builder
	for i := range 20000 {
		b.add(file{name: manyName(i), parent: recordRoot})
	}
	image := b.image()
	budget := newBudget(1 << 30)
	f, err := Open(context.Background(), &sectionReader{image}, int64(len(image)), Options{Reserve: budget.reserve})
	if err != nil {
		t.Fatal(err)
	}
	budget.least = budget.left
	before := budget.left
	if _, err := f.ReadDir("."); err != nil {
		t.Fatal(err)
	}
	needs := before - budget.least
	if needs < 20000*64 || budget.left != before {
		t.Errorf("asks for %d bytes and keeps %d", needs, before-budget.left)
	}
	for left, want := range map[int64]error{needs: nil, needs - 1: errBudget} {
		budget.left = left
		if list, err := f.ReadDir("."); !errors.Is(err, want) || recoverable(err) || (want == nil) != (len(list) > 0) {
			t.Errorf("%d bytes: %d entries, %v", left, len(list), err)
		}
	}
}

// Progress counts every record once.
func TestProgress(t *testing.T) {
	var b builder
	for i := range 20000 {
		b.add(file{name: manyName(i), parent: recordRoot})
	}
	image := b.image()
	var mu sync.Mutex
	var calls, most, all int64
	progress := func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		calls, most, all = calls+1, max(most, done), total
	}
	f, err := Open(context.Background(), &sectionReader{image}, int64(len(image)), Options{Progress: progress})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 2 || most != all || all != int64(f.records) {
		t.Errorf("%d calls, %d of %d records, of which there are %d", calls, most, all, f.records)
	}
}
