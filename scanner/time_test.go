package scanner_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// What depends on the time is judged at the time of the scan, each time anew: the
// age of updates, the expiry of certificates and of waivers. The images stay the
// same, and so does the process.
func TestTimeOfScan(t *testing.T) {
	testenv.Sequential(t)
	synctest.Test(t, func(t *testing.T) {
		ubuntu, ready := input(testcases.Find(t, "linux-ubuntu")), input(testcases.Find(t, "services-domain-automatic"))
		ubuntu.Now, ready.Now = nil, nil // the clock of the bubble
		ready.Policy.Waivers = []requirement.Waiver{{ID: "win.services.domain-account", Reason: "known", Owner: "ops",
			Expiry: time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)}}
		for _, c := range []struct {
			at                    time.Time
			updates, certificates requirement.Status
			waived                bool
		}{
			{time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), requirement.Passed, requirement.Passed, true},
			{time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), requirement.Warning, requirement.Passed, true},
			{time.Date(2050, 1, 3, 0, 0, 0, 0, time.UTC), requirement.Warning, requirement.Passed, false},
			{time.Date(2100, 2, 1, 0, 0, 0, 0, time.UTC), requirement.Warning, requirement.Failed, false},
		} {
			time.Sleep(time.Until(c.at))
			if f := findingAt(t, ubuntu, "linux.bp.updates"); f.Status != c.updates {
				t.Errorf("%s: updates are %s: %s", c.at, f.Status, f.Message)
			}
			if f := findingAt(t, ready, "win.component.certificates"); f.Status != c.certificates {
				t.Errorf("%s: certificates are %s: %s", c.at, f.Status, f.Message)
			}
			if f := findingAt(t, ready, "win.services.domain-account"); (f.Waiver != nil) != c.waived {
				t.Errorf("%s: the waiver is %v", c.at, f.Waiver)
			}
		}
	})
}

// What is ready stays ready: the cases have a clock of their own, and nothing of
// theirs gets older.
func TestReadyStaysReady(t *testing.T) {
	for _, name := range []string{"ready", "linux-ready", "linux-xfs-ready"} {
		r, err := scanner.Scan(t.Context(), input(testcases.Find(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if !r.Started.Equal(fixtures.Now) || !r.Finished.Equal(fixtures.Now) {
			t.Errorf("%s: from %s to %s, want %s", name, r.Started, r.Finished, fixtures.Now)
		}
		for _, e := range r.Events {
			if !e.Time.Equal(fixtures.Now) {
				t.Fatalf("%s: event %s at %s", name, e.Name, e.Time)
			}
		}
		for _, f := range r.Findings {
			if f.Status == requirement.Warning || f.Status == requirement.Failed {
				t.Errorf("%s: %s: %s: %s", name, f.ID, f.Status, f.Message)
			}
		}
	}
}

func findingAt(t *testing.T, in scanner.Input, id string) requirement.Finding {
	t.Helper()
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("no finding %s", id)
	return requirement.Finding{}
}
