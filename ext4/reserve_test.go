package ext4

import (
	"bytes"
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
	tree := func(n int64) error {
		left, least = n, n
		f, err := Options{Reserve: reserve, Readers: 1}.Open(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Tree(".")
		return err
	}
	const plenty = 1 << 30
	if err := tree(plenty); err != nil {
		t.Fatal(err)
	}
	needs := plenty - least
	if needs == 0 {
		t.Fatal("the index asks for nothing")
	}
	for _, n := range []int64{needs, needs + 1} {
		if err := tree(n); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int64{needs - 1, needs / 2, 0} {
		if err := tree(n); !errors.Is(err, errBudget) || recoverable(err) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if left != n {
			t.Errorf("%d of %d bytes stay taken", n-left, n)
		}
	}
}

// What a journal holds is asked for before it is collected.
func TestReserveForJournal(t *testing.T) {
	raw := unpack(t, "dirty")
	errBudget := errors.New("over budget")
	var asked int64
	f, err := Options{Reserve: func(n int64) error { asked = max(asked, n); return nil }}.Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	blocks := f.Volume().Journal.Blocks
	if blocks == 0 || asked < int64(blocks)*overlayCost {
		t.Fatalf("%d bytes asked for %d blocks", asked, blocks)
	}
	for left, want := range map[int64]error{asked: nil, asked - 1: errBudget} {
		taken := int64(0)
		_, err := Options{Reserve: func(n int64) error {
			if taken+n > left {
				return errBudget
			}
			taken += n
			return nil
		}}.Open(bytes.NewReader(raw), int64(len(raw)))
		if !errors.Is(err, want) || recoverable(err) {
			t.Errorf("%d bytes: %v", left, err)
		}
		if kept := int64(blocks) * overlayCost; want == nil && taken != kept || want != nil && taken != 0 {
			t.Errorf("%d bytes: %d kept for %d blocks", left, taken, blocks)
		}
	}
}
