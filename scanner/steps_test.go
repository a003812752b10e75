package scanner_test

import (
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
)

// A scan says how many records it has indexed, and how many requirements it has
// checked.
func TestScanProgress(t *testing.T) {
	var records, requirements []scanner.Progress
	in := input(testcases.Find(t, "ready"))
	in.Progress = func(p scanner.Progress) {
		switch p.Unit {
		case scanner.UnitRecords:
			records = append(records, p)
		case scanner.UnitRequirements:
			requirements = append(requirements, p)
		}
	}
	if _, err := scanner.Scan(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if n := len(records); n == 0 || records[n-1].Done != records[n-1].Total || records[n-1].Done == 0 {
		t.Errorf("%d reports of records: %+v", n, records[max(n-1, 0):])
	}
	if n := len(requirements); n == 0 || requirements[n-1].Done != requirements[n-1].Total-1 ||
		requirements[n-1].Read == 0 {
		t.Errorf("%d reports of requirements: %+v", n, requirements[max(n-1, 0):])
	}
}
