package scanner_test

import (
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
)

// A result says when Windows last started and whether it was shut down since, as long as the event log is complete
// since then.
func TestLastStart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"events-complete":        {"2026-01-13T07:00:00.5Z", "2026-01-13T19:00:03Z"},
		"events-servicing-waits": {"2026-01-13T07:00:00.5Z", ""},
		"events-fast-startup":    {"2026-01-13T07:00:00.5Z", ""},
		"events-damaged":         {"", ""},
		"events-no-start":        {"", ""},
		"events-not-a-log":       {"", ""},
		"ready":                  {"", ""},
	} {
		r, err := scanner.Scan(t.Context(), input(testcases.Find(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		text := func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.Format(time.RFC3339Nano)
		}
		if got := [2]string{text(r.LastStart), text(r.CleanStop)}; got != want {
			t.Errorf("%s: started and stopped %q, want %q", name, got, want)
		}
	}
}
