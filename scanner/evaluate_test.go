package scanner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestContain(t *testing.T) {
	check := func(decide func() requirement.Outcome) requirement.Check {
		return requirement.Check{Requirement: requirement.Requirement{ID: "x"}, Decide: decide}
	}
	t.Run("panic", func(t *testing.T) {
		var trail requirement.Trail
		o, err := contain(t.Context(), check(func() requirement.Outcome {
			var list []int
			return requirement.Pass(string(rune(list[len(list)])))
		}), &trail, time.Hour)
		if err != nil || o.Status != requirement.Undetermined || !strings.Contains(o.Message, "evaluate_test.go:") {
			t.Errorf("%v, %+v", err, o)
		}
		if n := trail.Notices(); len(n) != 1 || n[0].Level != requirement.LevelError {
			t.Errorf("notices %+v", n)
		}
	})
	t.Run("time-out", func(t *testing.T) {
		var trail requirement.Trail
		release := make(chan struct{})
		defer close(release)
		o, err := contain(t.Context(), check(func() requirement.Outcome { <-release; return requirement.Pass("late") }), &trail, time.Nanosecond)
		if err != nil || o.Status != requirement.Undetermined {
			t.Errorf("%v, %+v", err, o)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("interrupted")
		cancel(reason)
		release := make(chan struct{})
		defer close(release)
		_, err := contain(ctx, check(func() requirement.Outcome { <-release; return requirement.Pass("late") }), nil, time.Hour)
		if !errors.Is(err, reason) {
			t.Error(err)
		}
	})
	t.Run("outcome", func(t *testing.T) {
		o, err := contain(t.Context(), check(func() requirement.Outcome { return requirement.Pass("in time") }), nil, time.Hour)
		if err != nil || o.Status != requirement.Passed {
			t.Errorf("%v, %+v", err, o)
		}
	})
}
