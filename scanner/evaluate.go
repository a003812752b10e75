package scanner

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

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
			progress(Progress{Step: c.ID, Done: int64(i), Total: int64(len(checks))})
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
			if p := recover(); p != nil {
				message := fmt.Sprintf("defect in coldcheck: %v at %s", p, panicPlace(debug.Stack()))
				trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: c.ID + ": " + message})
				done <- requirement.Unknown(message)
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

// panicPlace finds in a stack the file and line that panicked: the first frame
// below the call of panic, without the folder it was built in.
func panicPlace(stack []byte) string {
	_, after, ok := strings.Cut(string(stack), "\npanic(")
	if !ok {
		return "an unknown place"
	}
	var files []string
	for line := range strings.Lines(after) {
		if strings.HasPrefix(line, "\t") {
			files = append(files, strings.TrimSpace(line))
		}
	}
	for _, f := range files[min(1, len(files)):] {
		if strings.Contains(f, "/runtime/") {
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
