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
		{0, b.most, false}, {0, b.most + 1, true}, {b.most, 0, false}, {b.most, 1, true}, {b.most - 1, 1, false}, {0, 1<<63 - 1, true}, {1, 1<<63 - 1, true},
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
	if want := "73.0 MiB more than the 72.0 MiB of 72.0 MiB that are left"; err == nil || !strings.Contains(err.Error(), want) {
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
