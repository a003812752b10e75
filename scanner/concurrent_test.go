package scanner_test

import (
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
)

// Two scans of one process that run at the same time, each with a limit of
// memory, have the same results as separate scans, and leave the process its
// own limit.
func TestTwoScans(t *testing.T) {
	const own = 5 << 30
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
	names := []string{"failing", "linux-failing"}
	inputs := make([]scanner.Input, len(names))
	alone := make([][]string, len(names))
	for i, name := range names {
		inputs[i] = input(testcases.Find(t, name))
		inputs[i].MaxMemory = 2 * scanner.LeastMemory
		r, err := scanner.Scan(t.Context(), inputs[i])
		if err != nil {
			t.Fatal(err)
		}
		alone[i] = decisions(r)
	}
	var both, done sync.WaitGroup
	both.Add(len(names))
	for i := range inputs {
		done.Go(func() {
			begun := false
			inputs[i].Progress = func(scanner.Progress) {
				if !begun {
					begun = true
					both.Done()
					both.Wait() // each has its images open, and has read nothing
				}
			}
			r, err := scanner.Scan(t.Context(), inputs[i])
			if !begun {
				both.Done() // the other scan must not wait for ever
			}
			if err != nil {
				t.Error(err)
				return
			}
			if got := decisions(r); !slices.Equal(got, alone[i]) {
				t.Errorf("%s: %s", names[i], cmp.Diff(alone[i], got))
			}
		})
	}
	done.Wait()
	if limit := debug.SetMemoryLimit(-1); limit != own {
		t.Errorf("the memory limit is %d after both", limit)
	}
}
