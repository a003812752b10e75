package main

import (
	"math"
	"testing"

	"github.com/clipperhouse/displaywidth"
)

// The line says how far the work is and what is being done, and never takes
// more than the terminal has.
func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		step        string
		done, total int64
		columns     int
		want        string
	}{
		{"reading root.img", 0, 0, 79, "reading root.img"},
		{"checking", 0, 4, 79, "[....................]   0%  checking"},
		{"checking", 1, 3, 79, "[######..............]  33%  checking"},
		{"checking", 299, 300, 79, "[###################.]  99%  checking"},
		{"checking", 4, 4, 79, "[####################] 100%  checking"},
		{"checking", 9, 4, 79, "[####################] 100%  checking"},
		{"checking", -1, 4, 79, "[....................]   0%  checking"},
		{"checking", math.MaxInt64, math.MaxInt64, 79, "[####################] 100%  checking"},
		{"checking", 1, 2, 60, "[##########..........]  50%  checking"},
		{"checking", 1, 2, 59, " 50%  checking"},
		{"checking the disk", 1, 2, 10, " 50%  che…"},
		{"reading \x1b[2J", 0, 0, 79, "reading <U+001B>[2J"},
		{"日本語", 1, 2, 11, " 50%  日本…"},
		{"x", 1, 2, 1, "…"},
	} {
		got := progressText(c.step, c.done, c.total, c.columns)
		if got != c.want || displaywidth.String(got) > c.columns {
			t.Errorf("%q, %d of %d in %d columns: %q, want %q", c.step, c.done, c.total, c.columns, got, c.want)
		}
	}
}
