package scanner_test

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
)

// TestNotices checks the notices of a scan.
func TestNotices(t *testing.T) {
	for name, want := range map[string]string{
		"volume-in-use":       "its $LogFile cannot be applied",
		"volume-dirty":        "the volume is marked dirty",
		"dirty":               "SYSTEM was dirty",
		"control-set-missing": "ControlSet001 is used as the current control set",
		"ws-another":          "is ignored",
	} {
		r, err := scanner.Scan(t.Context(), input(testcases.Find(t, name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := ""
		for _, n := range r.Notices {
			said += n.Message + "\n"
		}
		if !strings.Contains(said, want) {
			t.Errorf("%s: %q, want %q", name, said, want)
		}
	}
}
