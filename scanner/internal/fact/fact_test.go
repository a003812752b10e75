package fact

import (
	"errors"
	"testing"
)

func TestFact(t *testing.T) {
	var f Fact[int]
	reads := 0
	for range 3 {
		n, err := f.Get(func() (int, error) { reads++; return 7, nil })
		if n != 7 || err != nil || reads != 1 {
			t.Errorf("%d, %v after %d reads", n, err, reads)
		}
	}
	var failed Fact[int]
	reason := errors.New("torn")
	for range 2 {
		if _, err := failed.Get(func() (int, error) { return 0, reason }); !errors.Is(err, reason) {
			t.Errorf("error %v", err)
		}
	}
}

// TestPanic makes sure that a fact whose reader panicked is never taken for
// one that was read and is empty.
func TestPanic(t *testing.T) {
	var f Fact[int]
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		f.Get(func() (int, error) { panic("defect") })
	}()
	if _, err := f.Get(func() (int, error) { return 7, nil }); !errors.Is(err, errInterrupted) {
		t.Errorf("error %v", err)
	}
}
