package scanner_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestWithoutUserVolume makes sure that a rule book for computers without a user volume asks for none, takes no other
// volume for it, and says nothing of it.
func TestWithoutUserVolume(t *testing.T) {
	t.Parallel()
	ready := testcases.Find(t, "ready")
	for name, c := range map[string]struct {
		images []scanner.Source
		want   requirement.Status // of byol.drives.single
	}{
		"one disk":                  {nil, requirement.Passed},
		"a disk that may hold data": {input(ready).Images[1:], requirement.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(testcases.Find(t, "byol-ready"))
			in.Images = append(in.Images, c.images...)
			r, err := scanner.Scan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(r.Volumes, func(v scanner.Volume) bool { return v.Role == scanner.User }) {
				t.Error("a volume is the user volume")
			}
			for _, n := range r.Notices {
				if strings.Contains(n.Message, "user volume") {
					t.Errorf("notice: %s", n.Message)
				}
			}
			for _, f := range r.Findings {
				if f.ID == "byol.drives.single" && f.Status != c.want {
					t.Errorf("%s: %s, want %s: %s", f.ID, f.Status, c.want, f.Message)
				}
			}
		})
	}
	in := input(testcases.Find(t, "byol-ready"))
	in.User = &input(ready).Images[1]
	if _, err := scanner.Scan(t.Context(), in); !errors.Is(err, scanner.ErrUsage) {
		t.Errorf("--user: %v", err)
	}
}
