package scanner

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func checkOf(decide func(context.Context) requirement.Outcome) requirement.Check {
	return requirement.Check{Rule: requirement.Rule{Requirement: requirement.Requirement{ID: "x"}}, Decide: decide}
}

func TestContain(t *testing.T) {
	t.Run("panic", func(t *testing.T) {
		var trail requirement.Trail
		e := evaluation{trail: &trail}
		o, err := e.contain(t.Context(), checkOf(func(context.Context) requirement.Outcome {
			var list []int
			return requirement.Pass(string(rune(list[len(list)])))
		}))
		if err != nil || o.Status != requirement.Undetermined || !strings.Contains(o.Message, "evaluate_test.go:") {
			t.Errorf("%v, %+v", err, o)
		}
		if n := trail.Notices(); len(n) != 1 || n[0].Level != requirement.LevelError {
			t.Errorf("notices %+v", n)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("interrupted")
		cancel(reason)
		release := make(chan struct{})
		defer close(release)
		var e evaluation
		_, err := e.contain(ctx, checkOf(func(context.Context) requirement.Outcome {
			<-release
			return requirement.Pass("late")
		}))
		if !errors.Is(err, reason) {
			t.Error(err)
		}
	})
	t.Run("outcome", func(t *testing.T) {
		var e evaluation
		o, err := e.contain(t.Context(),
			checkOf(func(context.Context) requirement.Outcome { return requirement.Pass("in time") }))
		if err != nil || o.Status != requirement.Passed {
			t.Errorf("%v, %+v", err, o)
		}
	})
}

// A check whose time is up sees its context end, and reports what it could not
// read. One that ignores the context is abandoned.
func TestContainTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			decide  func(context.Context) requirement.Outcome
			after   time.Duration
			message string
		}{
			"listens": {func(ctx context.Context) requirement.Outcome {
				<-ctx.Done()
				return requirement.Unknown("units: " + context.Cause(ctx).Error())
			}, fact.Limit, "units: reading takes too long"},
			"does not listen": {func(context.Context) requirement.Outcome {
				time.Sleep(time.Hour)
				return requirement.Pass("late")
			}, fact.Limit + grace, "not checked: reading takes too long"},
		} {
			var trail requirement.Trail
			e := evaluation{trail: &trail}
			begun := time.Now()
			o, err := e.contain(t.Context(), checkOf(c.decide))
			if err != nil || o.Status != requirement.Undetermined || !strings.Contains(o.Message, c.message) {
				t.Errorf("%s: %v, %+v", name, err, o)
			}
			if took := time.Since(begun); took != c.after {
				t.Errorf("%s: ended after %v, not %v", name, took, c.after)
			}
			if n := trail.Notices(); len(n) != 1 {
				t.Errorf("%s: notices %+v", name, n)
			}
		}
		time.Sleep(time.Hour) // what was left behind ends
	})
}

// The time that images take to answer does not count as time of the check.
func TestContainSlowImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waited atomic.Int64
		e := evaluation{waited: func() time.Duration { return time.Duration(waited.Load()) }}
		slow := func(reads int, answers bool) requirement.Check {
			return checkOf(func(ctx context.Context) requirement.Outcome {
				for range reads {
					time.Sleep(10 * time.Second)
					if answers {
						waited.Add(int64(10 * time.Second))
					}
				}
				return requirement.Pass("slow")
			})
		}
		// In this order: what does not end makes the scan impatient.
		for _, c := range []struct {
			reads int
			want  requirement.Status
		}{{30, requirement.Passed}, {70, requirement.Undetermined}} {
			if o, err := e.contain(t.Context(), slow(c.reads, true)); err != nil || o.Status != c.want {
				t.Errorf("%d reads: %v, %+v", c.reads, err, o)
			}
		}
		if o, err := e.contain(t.Context(), slow(30, false)); err != nil || o.Status != requirement.Undetermined {
			t.Errorf("no read that ended: %v, %+v", err, o)
		}
		time.Sleep(time.Hour) // what was left behind ends
	})
}

// A fact that hangs is waited for once, however many requirements need it; an
// image that does not answer at all is not waited for by each of them.
func TestEvaluateHanging(t *testing.T) {
	const many = 40
	checks := func(decide func(context.Context) requirement.Outcome) []requirement.Check {
		list := make([]requirement.Check, many)
		for i := range list {
			list[i] = checkOf(decide)
		}
		return list
	}
	synctest.Test(t, func(t *testing.T) {
		var units fact.Fact[int]
		release := make(chan struct{})
		defer close(release)
		list := checks(func(context.Context) requirement.Outcome {
			if _, err := units.Get(func() (int, error) { <-release; return 1, nil }); err != nil {
				return requirement.Unreadable(err)
			}
			return requirement.Pass("read")
		})
		// What needs no such fact is decided.
		list = append(list, checkOf(func(context.Context) requirement.Outcome { return requirement.Pass("read") }))
		begun := time.Now()
		findings, err := evaluate(t.Context(), list, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range findings {
			if want := i == many; (f.Status == requirement.Passed) != want {
				t.Errorf("%d: %s: %s", i, f.Status, f.Message)
			}
		}
		if took := time.Since(begun); took != fact.Limit+grace {
			t.Errorf("it took %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		findings, err := evaluate(t.Context(), checks(func(context.Context) requirement.Outcome {
			time.Sleep(time.Hour)
			return requirement.Pass("read")
		}), nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range findings {
			if f.Status != requirement.Undetermined {
				t.Errorf("%d: %s", i, f.Status)
			}
		}
		if took, most := time.Since(begun), patience+many*(impatient+grace)+4*grace; took > most {
			t.Errorf("it took %v, more than %v", took, most)
		}
		time.Sleep(time.Hour)
	})
}
