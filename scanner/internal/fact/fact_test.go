package fact

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
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

// TestPanic makes sure that a fact whose reader panicked never looks like one
// that was read and is empty.
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

// TestHanging makes sure that a fact that is not there after the limit is an
// error for all that ask for it, and waited for once.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Fact[int]
		go f.Get(func() (int, error) { time.Sleep(time.Hour); return 7, nil })
		synctest.Wait()
		for _, after := range []time.Duration{Limit, 0, 0} {
			begun := time.Now()
			if _, err := f.Get(nil); !errors.Is(err, ErrTime) || time.Since(begun) != after {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
		}
		time.Sleep(time.Hour)
		if n, err := f.Get(nil); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}
