package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestImageThatChanges writes to an image while it is scanned: what was read
// may not belong together, so that the machine is not ready whatever the
// findings say.
func TestImageThatChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(file string) error
		verdict scanner.Verdict
		exit    int
		notice  string
		errors  string
	}{
		"not at all": {func(string) error { return nil }, scanner.Ready, 0, "", ` errors="0"`},
		"its time": {func(file string) error {
			return os.Chtimes(file, time.Time{}, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		}, scanner.Inconclusive, 3, "user.img has changed while it was read", ` errors="1"`},
		"its size": {func(file string) error {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			return os.Truncate(file, info.Size()+512)
		}, scanner.Inconclusive, 3, "user.img has changed while it was read", ` errors="1"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in := scanner.Input{MaxMemory: scanner.LeastMemory}
			for _, role := range []string{"root", "user"} {
				file := filepath.Join(dir, role+".img")
				if err := writeImage(testcases.Find(t, "ready"), role, file); err != nil {
					t.Fatal(err)
				}
				in.Images = append(in.Images, scanner.File(file))
			}
			done := false
			in.Progress = func(scanner.Progress) {
				if done {
					return
				}
				done = true
				if err := c.change(filepath.Join(dir, "user.img")); err != nil {
					t.Error(err)
				}
			}
			// A limit of the caller's own, or GOMEMLIMIT's, outlasts the scan.
			const own = 5 << 30
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(own))
			r, err := scanner.Scan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if limit := debug.SetMemoryLimit(-1); limit != own {
				t.Errorf("the memory limit is %d after the scan", limit)
			}
			if r.Verdict != c.verdict || verdictExit(r.PolicyVerdict) != c.exit {
				t.Errorf("%s, exit code %d", r.Verdict, verdictExit(r.PolicyVerdict))
			}
			if said := slices.ContainsFunc(r.Notices,
				func(n requirement.Notice) bool {
					return strings.Contains(n.Message, "has changed while")
				}); said != (c.notice != "") {
				t.Errorf("notices %+v", r.Notices)
			}
			var b strings.Builder
			if err := report.JUnit(&b, r, report.Options{}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), c.errors) {
				t.Errorf("no %s in %s", c.errors, b.String())
			}
		})
	}
}
