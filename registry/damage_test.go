package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// A write that was not finished is left out without more ado; that finished ones
// are missing is told, whatever hides them.
func TestLost(t *testing.T) {
	dirty := hivetest.Dirty(stage(0), 3, 2)
	entry := len(newLog(2, 0, 1)) // where the second entry of a log from stage 0 on begins
	for _, tt := range []struct {
		name string
		hive []byte
		logs [][]byte
		says string // "" if nothing is lost
	}{
		{"one log", dirty, [][]byte{newLog(2, 0, 3)}, ""},
		{"two logs", dirty, [][]byte{newLog(2, 0, 1), newLog(3, 1, 3)}, ""},
		{"last entry torn", dirty, [][]byte{torn(newLog(2, 0, 2), 1)}, ""},
		{"last entry without its end", dirty, [][]byte{newLog(2, 0, 2)[:entry+512]}, ""},
		{"data of the last entry", dirty, [][]byte{flipped(newLog(2, 0, 2), entry+4000)}, ""},
		{"older entries behind", dirty, [][]byte{append(newLog(2, 0, 1), newLog(1, 0, 2)[512:]...)}, ""},
		{"older entries around the wrap", hivetest.Dirty(stage(0), 1, 0),
			[][]byte{append(newLog(0, 0, 1), newLog(0xFFFFFFF0, 0, 2)[512:]...)}, ""},
		{"old format", hivetest.Dirty(stage(0), 5, 4),
			[][]byte{hivetest.OldFormatLog(stage(0), stage(1), hivetest.LogOptions{First: 5})}, ""},
		{"not recovered", dirty, [][]byte{newLog(30, 0, 1)[:512]}, ""},

		{"a gap between the logs", dirty, [][]byte{newLog(2, 0, 1), newLog(4, 1, 2)},
			"LOG2 holds entry 4, and entry 3 is missing"},
		{"a gap around the wrap", hivetest.Dirty(stage(0), 0xFFFFFFFF, 0xFFFFFFFE),
			[][]byte{newLog(0xFFFFFFFE, 0, 1), newLog(0, 1, 2)}, "LOG2 holds entry 0, and entry 4294967295 is missing"},
		{"a number left out", dirty, [][]byte{append(newLog(2, 0, 1), newLog(4, 1, 2)[512:]...)},
			"LOG1 holds entry 4, and entry 3 is missing"},
		{"torn log and the one behind it", dirty, [][]byte{torn(newLog(2, 0, 2), 1), newLog(4, 2, 3)}, "LOG2 holds entry 4"},
		{"an entry in the middle", dirty, [][]byte{flipped(newLog(2, 0, 3), entry+4000)}, "LOG1 holds entry 4, and entry 3"},
		{"its header", dirty, [][]byte{flipped(newLog(2, 0, 3), entry+1)}, "LOG1 holds entry 4, and entry 3"},
		{"a bad base block", hivetest.BreakBaseBlock(dirty), [][]byte{flipped(newLog(2, 0, 3), entry+4000)},
			"LOG1 holds entry 4, and entry 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o Options
			for i, log := range tt.logs {
				o.Logs = append(o.Logs, logOf([]string{"LOG1", "LOG2"}[i], log))
			}
			h, err := openBytes(tt.hive, o)
			if err != nil {
				t.Fatal(err)
			}
			lost := h.Recovery().Lost
			switch {
			case tt.says == "" && lost != nil:
				t.Error(lost)
			case tt.says != "" && (!errors.Is(lost, ErrCorrupt) || !strings.Contains(lost.Error(), tt.says)):
				t.Errorf("%v does not say %q", lost, tt.says)
			}
		})
	}
}

func TestDamage(t *testing.T) {
	hive := stage(0)
	size := int64(len(hive))
	for _, tt := range []struct {
		name string
		hive []byte
		want Damage
	}{
		{"none", hive, Damage{}},
		{"something behind the bins", append(append([]byte{}, hive...), make([]byte, 8192)...), Damage{}},
		{"a page short", hive[:size-4096], Damage{Missing: 4096}},
		{"a byte short", hive[:size-1], Damage{Missing: 1}},
		{"the first bin", flipped(hive, 4096), Damage{Bins: 1, First: 4096}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := openBytes(tt.hive, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, h.Damage()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
