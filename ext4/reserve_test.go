package ext4

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
)

// The index behind Tree is asked for before it is held: with what it needs
// there is a total, with less there is none, and nothing stays taken.
func TestReserve(t *testing.T) {
	raw := unpack(t, "ext4")
	errBudget := errors.New("over budget")
	var mu sync.Mutex
	var left, least int64
	reserve := func(n int64) error {
		mu.Lock()
		defer mu.Unlock()
		if n > left {
			return errBudget
		}
		left -= n
		least = min(least, left)
		return nil
	}
	opened := int64(0) // what Open alone keeps
	tree := func(n int64) error {
		left, least = n, n
		f, err := Open(context.Background(), bytes.NewReader(raw), int64(len(raw)), Options{Reserve: reserve, Readers: 1})
		opened = n - left
		if err == nil {
			_, err = f.Tree(".")
		}
		return err
	}
	const plenty = 1 << 30
	if err := tree(plenty); err != nil {
		t.Fatal(err)
	}
	needs := plenty - least
	if opened != groupCost || needs <= opened {
		t.Fatalf("Open asks for %d bytes, all for %d", opened, needs)
	}
	for _, n := range []int64{needs, needs + 1} {
		if err := tree(n); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int64{needs - 1, needs / 2, groupCost, groupCost - 1, 0} {
		if err := tree(n); !errors.Is(err, errBudget) || recoverable(err) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if left != n-opened || n < groupCost && opened != 0 {
			t.Errorf("%d of %d bytes stay taken", n-left-opened, n)
		}
	}
}

// What a journal holds is asked for before it is collected.
func TestReserveForJournal(t *testing.T) {
	raw := unpack(t, "dirty")
	errBudget := errors.New("over budget")
	open := func(left int64) (f *FS, most, kept int64, err error) {
		f, err = Open(context.Background(), bytes.NewReader(raw), int64(len(raw)), Options{Reserve: func(n int64) error {
			if kept+n > left {
				return errBudget
			}
			kept += n
			most = max(most, kept)
			return nil
		}})
		return f, most, kept, err
	}
	f, most, kept, err := open(1 << 30)
	if err != nil {
		t.Fatal(err)
	}
	blocks := int64(f.Volume().Journal.Blocks)
	if want := blocks*overlayCost + groupCost; blocks == 0 || kept != want || most <= kept {
		t.Fatalf("%d bytes kept of %d for %d blocks, want %d", kept, most, blocks, want)
	}
	if _, _, _, err := open(most); err != nil {
		t.Error(err)
	}
	if _, _, kept, err := open(most - 1); !errors.Is(err, errBudget) || recoverable(err) || kept != 0 {
		t.Errorf("%d bytes kept, %v", kept, err)
	}
}
