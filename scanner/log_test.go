package scanner_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
)

// A handler of the caller gets what the result has of events and notices, all
// of it, while the scan runs.
func TestLog(t *testing.T) {
	for _, name := range []string{"dirty", "linux-journal"} {
		log := &collector{}
		in := input(testcases.Find(t, name))
		in.Log = log
		r, err := scanner.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var events, notices []string
		for _, e := range r.Events {
			events = append(events, e.Name)
		}
		for _, n := range r.Notices {
			notices = append(notices, n.Message)
		}
		if len(events) == 0 || len(notices) == 0 {
			t.Fatalf("%s: %d events, %d notices", name, len(events), len(notices))
		}
		for _, list := range [][]string{events, notices, log.events, log.notices} {
			slices.Sort(list) // several goroutines record them
		}
		if d := cmp.Diff(events, log.events) + cmp.Diff(notices, log.notices); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// collector is a slog.Handler that keeps messages.
type collector struct {
	mu              sync.Mutex
	events, notices []string
}

func (c *collector) Enabled(context.Context, slog.Level) bool { return true }
func (c *collector) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *collector) WithGroup(string) slog.Handler            { return c }

func (c *collector) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Level == slog.LevelDebug {
		c.events = append(c.events, r.Message)
	} else {
		c.notices = append(c.notices, r.Message)
	}
	return nil
}
