package scanner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/parallel"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// checkLimit is how long one requirement may take. All facts of an ordinary
// machine are read in a few seconds; a volume that is restored lazily from a
// snapshot may take minutes for the first of them.
const checkLimit = 10 * time.Minute

// evaluate judges every requirement in turn. A panic or a time-out in one of
// them makes it undetermined, and the others are judged all the same.
func evaluate(ctx context.Context, checks []requirement.Check, trail *requirement.Trail, progress func(Progress)) ([]requirement.Finding, error) {
	findings := make([]requirement.Finding, 0, len(checks))
	for i, c := range checks {
		if progress != nil {
			progress(Progress{Step: c.ID + ": " + c.Demand, Done: int64(i), Total: int64(len(checks))})
		}
		o, err := contain(ctx, c, trail, checkLimit)
		if err != nil {
			return nil, err
		}
		f := requirement.Find(c.Requirement, o)
		trail.Record("finding", "id", f.ID, "status", string(f.Status), "basis", string(f.Basis), "message", f.Message)
		findings = append(findings, f)
	}
	return findings, nil
}

// contain runs one judgement. The error is that of the context.
func contain(ctx context.Context, c requirement.Check, trail *requirement.Trail, limit time.Duration) (requirement.Outcome, error) {
	done := make(chan requirement.Outcome, 1)
	go func() {
		defer func() {
			if err := defect(recover()); err != nil {
				trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: c.ID + ": " + err.Error()})
				done <- requirement.Unknown(err.Error())
			}
		}()
		done <- c.Decide()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case o := <-done:
		return o, nil
	case <-ctx.Done():
		return requirement.Outcome{}, context.Cause(ctx)
	case <-timer.C:
		message := fmt.Sprintf("not decided within %s", limit)
		trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: c.ID + ": " + message})
		return requirement.Unknown(message), nil
	}
}

// errDefect is a panic of our own code, with the place.
var errDefect = errors.New("defect in coldcheck")

// defect makes an error of what a deferred function recovered; nil if that is
// nothing.
func defect(p any) error {
	if p == nil {
		return nil
	}
	stack := debug.Stack()
	if carried, ok := p.(*parallel.Panic); ok {
		stack = carried.Stack
	}
	return fmt.Errorf("%w: %v at %s", errDefect, p, panicPlace(stack))
}

// guard calls f and makes an error of its panic.
func guard(f func() error) (err error) {
	defer func() {
		if d := defect(recover()); d != nil {
			err = d
		}
	}()
	return f()
}

// panicPlace finds in a stack the file and line that panicked: the first frame
// below the call of panic, without the folder it was built in. Where a panic
// was passed on, by sync.OnceValue for one, the first call is the last listed.
func panicPlace(stack []byte) string {
	call := strings.LastIndex(string(stack), "\npanic(")
	if call < 0 {
		return "an unknown place"
	}
	var files []string
	for line := range strings.Lines(string(stack[call+1:])) {
		if strings.HasPrefix(line, "\t") {
			files = append(files, strings.TrimSpace(line))
		}
	}
	for _, f := range files[min(1, len(files)):] {
		if strings.Contains(f, "/runtime/") || strings.Contains(f, "/sync/") {
			continue
		}
		f, _, _ = strings.Cut(f, " +")
		if i := strings.LastIndex(f, "coldcheck/"); i >= 0 {
			return f[i:]
		}
		return f[strings.LastIndexByte(f, '/')+1:]
	}
	return "an unknown place"
}
