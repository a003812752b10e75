package memory

import (
	"bytes"
	"errors"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

func TestReserve(t *testing.T) {
	b := New(Least)
	defer b.Close()
	for _, tt := range []struct {
		take, n int64
		refused bool
	}{
		{0, b.most, false}, {0, b.most + 1, true}, {b.most, 0, false}, {b.most, 1, true}, {b.most - 1, 1, false},
		{0, 1<<63 - 1, true}, {1, 1<<63 - 1, true},
	} {
		if err := b.Reserve(tt.take); err != nil {
			t.Fatal(err)
		}
		err := b.Reserve(tt.n)
		if errors.Is(err, ErrLimit) != tt.refused || (err != nil) != tt.refused {
			t.Errorf("%d after %d: %v", tt.n, tt.take, err)
		}
		if err == nil {
			b.Reserve(-tt.n)
		}
		b.Reserve(-tt.take)
		if left := b.reserved.Load(); left != 0 {
			t.Fatalf("%d bytes stay taken", left)
		}
	}
	err := b.Reserve(b.most + 1<<20)
	if want := "73.0 MiB more than the 72.0 MiB of 72.0 MiB that are left"; err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestReserveAtOnce(t *testing.T) {
	b := New(Least)
	defer b.Close()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if b.Reserve(b.most/4) == nil {
					b.Reserve(-b.most / 4)
				}
			}
		})
	}
	all.Wait()
	if err := b.Reserve(b.most / 4); err != nil {
		t.Error(err)
	}
}

func TestNoBudget(t *testing.T) {
	var b *Budget
	if err := b.Reserve(1 << 62); err != nil {
		t.Error(err)
	}
	r := bytes.NewReader(nil)
	if b.Reader(r) != io.ReaderAt(r) {
		t.Error("a reader without a limit is another")
	}
	b.Close()
}

var sink [][]byte

// Reads fail while the process takes more than it may, and go on once it does
// not.
func TestReader(t *testing.T) {
	b := New(Least)
	defer b.Close()
	r := b.Reader(bytes.NewReader(make([]byte, longRead)))
	read := func(n int) error {
		_, err := r.ReadAt(make([]byte, n), 0)
		return err
	}
	if err := read(longRead); err != nil {
		t.Fatal(err)
	}
	for range Least >> 20 {
		sink = append(sink, make([]byte, 1<<20))
	}
	if err := read(longRead); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "128.0 MiB") {
		t.Errorf("with %d MiB held: %v", len(sink), err)
	}
	if err := read(1); !errors.Is(err, ErrLimit) {
		t.Errorf("a short read with %d MiB held: %v", len(sink), err)
	}
	sink = nil
	debug.FreeOSMemory()
	if err := read(longRead); err != nil {
		t.Error(err)
	}
}

// The garbage collector keeps to the budget while there is one.
func TestGarbageCollector(t *testing.T) {
	const own = 3 << 30 // what the program, or GOMEMLIMIT, has set
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	b := New(Least)
	if limit := debug.SetMemoryLimit(-1); limit != Least-outside {
		t.Errorf("limit %d", limit)
	}
	b.Close()
	if limit := debug.SetMemoryLimit(-1); limit != own {
		t.Errorf("limit %d", limit)
	}
}

// Budgets that are open at the same time share the process: each reserves for
// itself, the garbage collector keeps to their sum, and the last one to close
// restores what was, whichever that is.
func TestSeveral(t *testing.T) {
	const own = 3 << 30
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	limit := func(want int64) {
		t.Helper()
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("limit %d, want %d", got, want)
		}
	}
	for _, firstCloses := range []bool{true, false} {
		first, second := New(Least), New(2*Least)
		limit(3*Least - 2*outside)
		if err := first.Reserve(first.most); err != nil {
			t.Error(err)
		}
		if err := first.Reserve(1); !errors.Is(err, ErrLimit) {
			t.Errorf("one byte above its own: %v", err)
		}
		if err := second.Reserve(second.most); err != nil {
			t.Errorf("what the first holds is taken from the second: %v", err)
		}
		if !firstCloses {
			first, second = second, first
		}
		first.Close()
		limit(second.max - outside)
		first.Close() // once more closes nothing
		limit(second.max - outside)
		second.Close()
		limit(own)
	}
}

// A process may hold what its open budgets allow together, and no more once one
// of them is closed.
func TestReadersOfSeveral(t *testing.T) {
	b := New(Least)
	defer b.Close()
	other := New(Least)
	defer other.Close()
	r := b.Reader(bytes.NewReader(make([]byte, longRead)))
	read := func() error {
		_, err := r.ReadAt(make([]byte, longRead), 0)
		return err
	}
	for range Least >> 20 {
		sink = append(sink, make([]byte, 1<<20))
	}
	if err := read(); err != nil {
		t.Errorf("with %d MiB held of two budgets: %v", len(sink), err)
	}
	other.Close()
	if err := read(); !errors.Is(err, ErrLimit) {
		t.Errorf("with %d MiB held of one budget: %v", len(sink), err)
	}
	sink = nil
	debug.FreeOSMemory()
	if err := read(); err != nil {
		t.Error(err)
	}
}

// TestHold: what is held does not count against a budget.
func TestHold(t *testing.T) {
	b := New(Least)
	defer b.Close()
	heap, collector := process.heap.Load(), debug.SetMemoryLimit(-1)
	held := Hold(100 << 20)
	if process.heap.Load() != heap+100<<20 || debug.SetMemoryLimit(-1) != collector+100<<20 {
		t.Errorf("the limits are %d and %d, and were %d and %d", process.heap.Load(), debug.SetMemoryLimit(-1), heap,
			collector)
	}
	if err := held.Reserve(1); !errors.Is(err, ErrLimit) {
		t.Errorf("what is held can be reserved: %v", err)
	}
	held.Close()
	if process.heap.Load() != heap || debug.SetMemoryLimit(-1) != collector {
		t.Error("the limits stay")
	}
}

// TestGarbageOfOthers: what a budget that is closed leaves behind does not count against the others.
func TestGarbageOfOthers(t *testing.T) {
	b := New(Least)
	defer b.Close()
	b.collections = maxCollections
	other := New(Least)
	other.Close()
	if b.collections != 0 {
		t.Errorf("%d collections count", b.collections)
	}
	b.collections = maxCollections
	other.Close() // once more
	if b.collections != maxCollections {
		t.Error("a budget that is closed is closed again")
	}
}

// TestGarbageBefore reads in a process whose heap is full of garbage: of an earlier scan, for example, whose end
// lifted the limit of the collector.
func TestGarbageBefore(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for i := range 8 {
		garbage := make([]byte, 32<<20)
		for at := 0; at < len(garbage); at += 4096 {
			garbage[at] = byte(i + 1)
		}
	}
	if used() < Least {
		t.Fatalf("only %d bytes are used", used())
	}
	b := New(Least)
	defer b.Close()
	if n, err := b.Reader(bytes.NewReader(make([]byte, 10))).ReadAt(make([]byte, 10), 0); n != 10 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
