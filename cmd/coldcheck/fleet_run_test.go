package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
)

// TestShare: scans share the memory, and each has enough of it.
func TestShare(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		jobs, processors int
		limit            int64
		n                int
		each             int64 // 0 if it is too little
	}{
		{0, 1, 512 * mib, 1, 512 * mib}, {0, 2, 512 * mib, 2, 256 * mib}, {0, 8, 512 * mib, 2, 256 * mib},
		{0, 8, 2048 * mib, 8, 256 * mib}, {0, 8, 128 * mib, 1, 128 * mib}, {0, 8, 511 * mib, 1, 511 * mib},
		{1, 8, 512 * mib, 1, 512 * mib}, {4, 1, 512 * mib, 4, 128 * mib}, {5, 8, 512 * mib, 0, 0},
		{2, 8, 255 * mib, 0, 0},
	} {
		n, each, err := share(tt.jobs, tt.processors, tt.limit)
		if n != tt.n || each != tt.each || (err == nil) != (tt.each > 0) {
			t.Errorf("%+v: %d with %d each, %v", tt, n, each, err)
		}
	}
}

// TestSummaryText: the last line counts every target once.
func TestSummaryText(t *testing.T) {
	for want, s := range map[string]fleet.Summary{
		"0 targets":                       {},
		"1 target: 1 had a record before": {Targets: 1, Had: 1},
		"3 targets: 2 ready, 1 not ready; 2 verdicts are reused": {Targets: 3, Reused: 2,
			Verdicts: map[scanner.Verdict]int{scanner.Ready: 2, scanner.NotReady: 1}},
		"3 targets: 1 ready, 2 without a record": {Targets: 3, Pending: 1,
			Verdicts: map[scanner.Verdict]int{scanner.Ready: 1}}, // one was not reached
		"4 targets: 1 had a record before, 1 not ready, 1 inconclusive, 1 not scanned (not an image)": {Targets: 4, Had: 1,
			Verdicts: map[scanner.Verdict]int{scanner.NotReady: 1, scanner.Inconclusive: 1},
			Errors:   map[fleet.ErrorKind]int{fleet.NotAnImage: 1}},
	} {
		if got := summaryText(s, fleet.Shard{Index: 0, Of: 1}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := summaryText(fleet.Summary{}, fleet.Shard{Index: 2, Of: 5}); got != "0 targets in shard 2/5" {
		t.Errorf("%q", got)
	}
}

// TestFailedProgress: the line counts the targets that could not be scanned.
func TestFailedProgress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	l := progressLine{w: f, now: func() time.Time { return now }}
	l.show(scanner.Progress{Step: "scanning", Unit: unitTargets, Total: 60})
	l.fail(3)
	now = now.Add(time.Minute)
	l.show(scanner.Progress{Step: "scanning", Unit: unitTargets, Done: 20, Total: 60})
	const want = "coldcheck: scanning: 20 of 60 targets, 20/min, 2m00s left, 3 failed (33%)\n"
	if got := read(t, file); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
