package fact

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestMeter charges below, at and above each bound.
func TestMeter(t *testing.T) {
	for name, c := range map[string]struct {
		most   int64
		charge func(m *Meter, n int64) error
	}{
		"bytes":          {MaxBytes, func(m *Meter, n int64) error { return m.Bytes(n) }},
		"a file's bytes": {MaxBytes, func(m *Meter, n int64) error { return m.File(n) }},
		"files": {MaxFiles, func(m *Meter, n int64) (err error) {
			for range n {
				err = m.File(1)
			}
			return err
		}},
		"folders": {MaxFolders, func(m *Meter, n int64) (err error) {
			for range n {
				err = m.Folder(1)
			}
			return err
		}},
		"entries": {MaxSteps, func(m *Meter, n int64) error { return m.Folder(int(n)) }},
		"steps":   {MaxSteps, func(m *Meter, n int64) error { return m.Steps(int(n)) }},
	} {
		for n, want := range map[int64]error{c.most - 1: nil, c.most: nil, c.most + 1: ErrBound} {
			m := NewMeter(t.Context(), nil)
			if err := c.charge(m, n); !errors.Is(err, want) {
				t.Errorf("%s: %d: %v", name, n, err)
			}
			// Once a bound is met, nothing more is read, whatever became of the error.
			if err := m.Steps(1); !errors.Is(err, want) && name != "steps" && name != "entries" {
				t.Errorf("%s: after %d: %v", name, n, err)
			}
			if err := m.Next().Steps(1); err != nil {
				t.Errorf("%s: the next fact: %v", name, err)
			}
		}
	}
	var none *Meter
	if err := errors.Join(none.File(1<<40), none.Folder(1<<40), none.Next().Steps(1<<40)); err != nil ||
		none.Usage() != (Usage{}) {
		t.Error(err)
	}
}

// TestMeterEnds makes sure that nothing is read once the context has ended.
func TestMeterEnds(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	m := NewMeter(ctx, nil)
	if err := m.File(1); err != nil {
		t.Error(err)
	}
	reason := errors.New("the time is up")
	end(reason)
	for _, err := range []error{m.File(1), m.Folder(1), m.Bytes(1), m.Steps(1), m.Next().Steps(1)} {
		if !errors.Is(err, reason) {
			t.Error(err)
		}
	}
}

// TestMeterOfFact makes sure that a fact has a time of its own: it ends after its
// limit and what the images took to answer, and not with the requirement that
// asked for it; what is read for a requirement ends with that.
func TestMeterOfFact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waited time.Duration
		scan := NewMeter(t.Context(), func() time.Duration { return waited })
		ctx, end := context.WithCancelCause(t.Context())
		required := scan.Within(ctx)
		first, second := required.Next(), required.Next()
		steps := func(m *Meter, want error) {
			t.Helper()
			if err := m.Steps(1); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		steps(first, nil)
		time.Sleep(Limit)
		steps(first, nil)
		steps(second, nil) // begins now
		reason := errors.New("the requirement takes too long")
		end(reason)
		steps(required, reason)
		time.Sleep(time.Nanosecond)
		steps(first, ErrTime)
		steps(second, nil)
		time.Sleep(Limit)
		waited = 2 * time.Nanosecond // of the time since second began
		steps(second, nil)
		time.Sleep(time.Nanosecond)
		steps(second, ErrTime)
		waited = Limit
		steps(second, ErrTime) // once late, always late
		steps(scan, nil)       // a scan may take longer
	})
}

// TestParsed makes sure that a file of many names is parsed once for a fact, in
// each way in which it is parsed.
func TestParsed(t *testing.T) {
	m := NewMeter(t.Context(), nil)
	runs := 0
	parse := func() (int, error) { runs++; return runs, errors.New("odd") }
	for range 3 {
		for kind, want := range map[string]int{"unit": 0, "script": 0} {
			for _, id := range []ID{{"root", 7}, {"root", 8}, {"user", 7}} {
				if _, err := Parsed(m, id, kind, parse); err == nil {
					t.Error("the error is lost", want)
				}
			}
		}
	}
	if runs != 6 {
		t.Errorf("%d runs", runs)
	}
	if n, _ := Parsed(m.Next(), ID{"root", 7}, "unit", parse); n != 7 {
		t.Error("the next fact has what another parsed")
	}
	if n, _ := Parsed[int](nil, ID{"root", 7}, "unit", parse); n != 8 {
		t.Error("without a meter nothing can be kept")
	}
}

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := Within(t.Context(), Patience{}, func() (int, error) { time.Sleep(Limit - 1); return 7, nil }, nil)
		if n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		begun, late := time.Now(), make(chan int, 1)
		n, err = Within(t.Context(), Patience{Limit: time.Minute},
			func() (int, error) { time.Sleep(time.Hour); return 7, nil }, func(n int, _ error) { late <- n })
		if n != 0 || !errors.Is(err, ErrTime) || time.Since(begun) != time.Minute {
			t.Errorf("%d, %v after %v", n, err, time.Since(begun))
		}
		if n := <-late; n != 7 {
			t.Errorf("what came late is %d", n)
		}
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		Within(t.Context(), Patience{}, func() (int, error) { panic("defect") }, nil)
	})
}
