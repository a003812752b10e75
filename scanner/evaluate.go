package scanner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/parallel"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	// grace is how long a requirement whose time is up may take to say which of
	// its facts took too long.
	grace = time.Second
	// patience is the total time that a scan waits for checks that do not
	// return: if the image does not answer, no check returns.
	patience = 4 * fact.Limit
	// impatient is the limit of a requirement after that.
	impatient = time.Second
)

// evaluation judges requirements in turn.
type evaluation struct {
	trail  *requirement.Trail
	waited func() time.Duration // see fact.Patience
	lost   time.Duration        // that was waited for requirements that did not end
}

// evaluate judges every requirement in turn. A panic or a time-out in one of
// them makes it undetermined, and the others are judged all the same.
func evaluate(
	ctx context.Context, checks []requirement.Check, trail *requirement.Trail,
	waited func() time.Duration, progress *progress,
) ([]requirement.Finding, error) {
	e := evaluation{trail: trail, waited: waited}
	findings := make([]requirement.Finding, 0, len(checks))
	for i, c := range checks {
		progress.show(Progress{Step: "checking " + c.ID, Unit: UnitRequirements, Done: int64(i), Total: int64(len(checks))})
		o, err := e.contain(ctx, c)
		if err != nil {
			return nil, err
		}
		f := requirement.Find(c.Requirement, o)
		f.Counts = itCounts(c) && f.Severity == requirement.Required
		trail.Record("finding", "id", f.ID, "status", string(f.Status), "basis", string(f.Basis), "message", f.Message)
		findings = append(findings, f)
	}
	return findings, nil
}

// contain runs one check. The error is that of the context. When a check's time
// is up, its context ends, so that its further reads fail. A check that does
// not return even then is abandoned.
func (e *evaluation) contain(ctx context.Context, c requirement.Check) (requirement.Outcome, error) {
	// What was read may keep the context. It ends with the scan, unless the time
	// is up before.
	own, end := context.WithCancelCause(ctx)
	var err error
	defer func() {
		if err != nil {
			end(err)
		}
	}()
	var outcome requirement.Outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if err := defect(recover()); err != nil {
				e.trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: c.ID + ": " + err.Error()})
				outcome = requirement.Unknown(err.Error())
			}
		}()
		outcome = c.Decide(own)
	}()
	limit := fact.Limit
	if e.lost >= patience {
		limit = impatient
	}
	begun := time.Now()
	err = fact.Patience{Limit: limit, Waited: e.waited}.Wait(ctx, done)
	switch {
	case err == nil:
		return outcome, nil
	case ctx.Err() != nil:
		return requirement.Outcome{}, context.Cause(ctx)
	}
	e.lost += time.Since(begun)
	message := "not checked: " + err.Error()
	e.trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: c.ID + ": " + message})
	end(err)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
		return outcome, nil
	case <-ctx.Done():
		return requirement.Outcome{}, context.Cause(ctx)
	case <-timer.C:
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
