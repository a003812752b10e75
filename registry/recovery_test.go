package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// stage returns a hive after its n-th write: the value "n" says which one it was, and each write added a key that
// makes the hive larger.
func stage(n int) []byte {
	root := hivetest.Key{Name: "ROOT",
		Values: []hivetest.Value{{Name: "n", Type: uint32(QWord), Data: le.AppendUint64(nil, uint64(n))}}}
	for i := range n + 1 {
		root.Subkeys = append(root.Subkeys,
			hivetest.Key{Name: fmt.Sprint("write", i), Values: []hivetest.Value{{Name: "v", Type: 3, Data: noise(6000 + i)}}})
	}
	return hivetest.Build(root, hivetest.Options{FileName: `\SystemRoot\System32\Config\TEST`})
}

// stageOf returns which write a hive shows, and whether all of it is there and nothing of a later one.
func stageOf(t *testing.T, h *Hive) int {
	t.Helper()
	root, err := h.Root()
	if err != nil {
		t.Fatal(err)
	}
	v, err := root.Value("n")
	if err != nil {
		t.Fatal(err)
	}
	n, err := v.Uint64()
	if err != nil {
		t.Fatal(err)
	}
	for i := range int(n) + 1 {
		k, err := h.Key(fmt.Sprint("write", i))
		if err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
		v, err := k.Value("v")
		if err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
		if data, err := v.Data(); err != nil || !bytes.Equal(data, noise(6000+i)) {
			t.Fatalf("write %d: data of write %d: %v", n, i, err)
		}
	}
	if _, err := h.Key(fmt.Sprint("write", n+1)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("write %d: the next one is there too: %v", n, err)
	}
	if c := count(h); c.errs != nil {
		t.Fatalf("write %d: %v", n, c.errs)
	}
	return int(n)
}

// newLog returns a log of the new format with one entry for each write from one stage to another.
func newLog(first uint32, from, to int) []byte {
	log := hivetest.NewFormatLog(stage(from), stage(from+1), hivetest.LogOptions{First: first})
	for n := from + 1; n < to; n++ {
		first++
		log = append(log, hivetest.NewFormatLog(stage(n), stage(n+1), hivetest.LogOptions{First: first})[512:]...)
	}
	return log
}

// patchBlock changes a base block, in place, and mends its checksum.
func patchBlock(file []byte, change func(block []byte)) []byte {
	change(file)
	hivetest.FixChecksum(file)
	return file
}

func renamed(file []byte, name string) []byte {
	return patchBlock(file, func(b []byte) { clear(b[48:112]); copy(b[48:112], wide(name)) })
}

func manager(file []byte, id byte) []byte {
	return patchBlock(file, func(b []byte) { b[112] = id })
}

func torn(log []byte, n int) []byte { return log[:len(log)-n] }

// flipped returns a file with one byte changed.
func flipped(file []byte, off int) []byte {
	file = bytes.Clone(file)
	file[off] ^= 0x40
	return file
}

func TestRecoveryNewFormat(t *testing.T) {
	dirty := func(n int) []byte { return hivetest.Dirty(stage(n), 3, 2) }
	entry := len(newLog(2, 0, 1)) // where the second entry of a log from stage 0 on begins
	for _, tt := range []struct {
		name    string
		hive    []byte
		logs    [][]byte // LOG1, LOG2
		state   State
		want    int      // write that the hive shows then
		applied string   // LOG1 2-3, …
		says    []string // in Err or in Notes
	}{
		{"one log", dirty(0), [][]byte{newLog(2, 0, 1)}, Recovered, 1, "LOG1 2-2", nil},
		{"one log, three entries", dirty(0), [][]byte{newLog(2, 0, 3)}, Recovered, 3, "LOG1 2-4", nil},
		{"one write in three entries", dirty(0),
			[][]byte{hivetest.NewFormatLog(stage(0), stage(1), hivetest.LogOptions{First: 2, Entries: 3, PageSize: 512})},
			Recovered, 1, "LOG1 2-4", nil},
		{"two logs", dirty(0), [][]byte{newLog(2, 0, 1), newLog(3, 1, 3)}, Recovered, 3, "LOG1 2-2 LOG2 3-4", nil},
		{"two logs, the second first", dirty(0), [][]byte{newLog(3, 1, 3), newLog(2, 0, 1)}, Recovered, 3,
			"LOG2 2-2 LOG1 3-4", nil},
		{"pages already written", dirty(2), [][]byte{newLog(2, 0, 1), newLog(3, 1, 2)}, Recovered, 2, "LOG1 2-2 LOG2 3-3",
			nil},
		{"log starts above the hive", dirty(0), [][]byte{newLog(30, 0, 1)}, Recovered, 1, "LOG1 30-30", nil},
		{"an empty second log", dirty(0), [][]byte{newLog(2, 0, 1), nil}, Recovered, 1, "LOG1 2-2",
			[]string{"not applied: LOG2", "empty"}},
		{"a second log of zeros", dirty(0), [][]byte{newLog(2, 0, 1), make([]byte, 8192)}, Recovered, 1, "LOG1 2-2",
			[]string{"not applied: LOG2", "zeros"}},
		{"a second log with a base block only", dirty(0), [][]byte{newLog(2, 0, 1), newLog(3, 1, 2)[:512]}, Recovered, 1,
			"LOG1 2-2", []string{"not applied: LOG2", "no entry 3"}},
		{"older entries behind", dirty(0), [][]byte{append(newLog(2, 0, 1), newLog(1, 0, 2)[512:]...)}, Recovered, 1,
			"LOG1 2-2", nil},
		{"a number left out", dirty(0), [][]byte{append(newLog(2, 0, 1), newLog(4, 1, 2)[512:]...)}, Recovered, 1, "LOG1 2-2",
			nil},
		{"zeros behind", dirty(0), [][]byte{append(newLog(2, 0, 1), make([]byte, 4096)...)}, Recovered, 1, "LOG1 2-2", nil},
		{"a smaller hive", dirty(2), [][]byte{hivetest.NewFormatLog(stage(2), stage(1), hivetest.LogOptions{First: 2})},
			Recovered, 1, "LOG1 2-2", nil},

		{"a gap between the logs", dirty(0), [][]byte{newLog(2, 0, 1), newLog(4, 1, 2)}, Recovered, 1, "LOG1 2-2",
			[]string{"not applied: LOG2", "starts at 4", "the next entry is 3"}},
		{"logs that overlap", dirty(0), [][]byte{newLog(2, 0, 2), newLog(3, 1, 2)}, Recovered, 2, "LOG1 2-3",
			[]string{"not applied: LOG2", "the next entry is 4"}},
		{"two logs alike", dirty(0), [][]byte{newLog(2, 0, 1), newLog(2, 0, 1)}, Recovered, 1, "LOG1 2-2",
			[]string{"not applied: LOG2"}},
		{"last entry torn", dirty(0), [][]byte{torn(newLog(2, 0, 2), 1)}, Recovered, 1, "LOG1 2-2",
			[]string{"LOG1: entry 3 is torn: the log ends 1 bytes"}},
		{"header of the last entry torn", dirty(0), [][]byte{newLog(2, 0, 2)[:entry+39]}, Recovered, 1, "LOG1 2-2", nil},
		{"data of the last entry", dirty(0), [][]byte{flipped(newLog(2, 0, 2), entry+4000)}, Recovered, 1, "LOG1 2-2",
			[]string{"entry 3 is torn: its pages do not fit"}},
		{"header of the last entry", dirty(0), [][]byte{flipped(newLog(2, 0, 2), entry+20)}, Recovered, 1, "LOG1 2-2",
			[]string{"entry 3 is torn: its header does not fit"}},
		{"torn log and the one behind it", dirty(0), [][]byte{torn(newLog(2, 0, 2), 1), newLog(4, 2, 3)}, Recovered, 1,
			"LOG1 2-2", []string{"entry 3 is torn", "not applied: LOG2", "the next entry is 3"}},

		{"only entry torn", dirty(0), [][]byte{torn(newLog(2, 0, 1), 1)}, Dirty, 0, "",
			[]string{"sequence numbers 3 and 2", "LOG1", "no entry 2", "torn"}},
		{"wrong hash in the first entry", dirty(0),
			[][]byte{hivetest.NewFormatLog(stage(0), stage(1), hivetest.LogOptions{First: 2, Entries: 2, BadHash: 1})}, Dirty, 0,
			"", []string{"entry 2 is torn"}},
		{"first log torn, second intact", dirty(0), [][]byte{torn(newLog(2, 0, 1), 1), newLog(3, 1, 2)}, Dirty, 0, "",
			[]string{"LOG2", "the next entry is 2"}},
		{"no logs", dirty(0), nil, Dirty, 0, "", []string{"no transaction log"}},
		{"empty logs", dirty(0), [][]byte{nil, nil}, Dirty, 0, "",
			[]string{"LOG1: the log is not in use: it is empty; LOG2"}},
		{"too old", dirty(0), [][]byte{newLog(1, 0, 2)}, Dirty, 0, "",
			[]string{"LOG1: too old: it starts at 1, the hive is at 2"}},
		{"one too old", dirty(1), [][]byte{newLog(1, 0, 1), newLog(2, 1, 2)}, Recovered, 2, "LOG2 2-2",
			[]string{"LOG1: too old"}},
		{"base block of the log", dirty(0),
			[][]byte{hivetest.NewFormatLog(stage(0), stage(1), hivetest.LogOptions{First: 2, BadBlock: true})}, Dirty, 0, "",
			[]string{"LOG1", "checksum"}},
		{"base block of the first log", dirty(1), [][]byte{flipped(newLog(2, 0, 1), 100), newLog(3, 1, 2)}, Dirty, 2,
			"LOG2 3-3", []string{"LOG1", "checksum"}},
		{"base block of the first log zeroed", dirty(1),
			[][]byte{append(make([]byte, 512), newLog(2, 0, 1)[512:]...), newLog(3, 1, 2)}, Dirty, 2, "LOG2 3-3",
			[]string{"LOG1", "regf"}},
		{"file type of the log", dirty(0), [][]byte{patchBlock(newLog(2, 0, 1), func(b []byte) { b[28] = 0 })}, Dirty, 0, "",
			[]string{"LOG1", "file type 0"}},
		{"log of another name", dirty(0), [][]byte{renamed(newLog(2, 0, 1), `\System32\Config\OTHER`)}, Dirty, 0, "",
			[]string{"LOG1", `another hive, "OTHER" instead of "TEST"`}},
		{"log of the same name elsewhere", dirty(0), [][]byte{renamed(newLog(2, 0, 1), `\??\C:\Users\test`)}, Recovered, 1,
			"LOG1 2-2", nil},
		{"log of another resource manager", manager(dirty(0), 1), [][]byte{manager(newLog(2, 0, 1), 2)}, Dirty, 0, "",
			[]string{"LOG1", "another hive, of resource manager"}},
		{"log of a hive without resource manager", manager(dirty(0), 1), [][]byte{newLog(2, 0, 1)}, Recovered, 1, "LOG1 2-2",
			nil},

		{"numbers wrap around", hivetest.Dirty(stage(0), 0, 0xFFFFFFFF), [][]byte{newLog(0xFFFFFFFF, 0, 2), newLog(1, 2, 3)},
			Recovered, 3, "LOG1 4294967295-0 LOG2 1-1", nil},
		{"numbers wrap around, the second first", hivetest.Dirty(stage(0), 0xFFFFFFFF, 0xFFFFFFFE),
			[][]byte{newLog(0, 2, 3), newLog(0xFFFFFFFE, 0, 2)}, Recovered, 3, "LOG2 4294967294-4294967295 LOG1 0-0", nil},
		{"too old around the wrap", hivetest.Dirty(stage(0), 2, 1), [][]byte{newLog(0xFFFFFFFF, 0, 1)}, Dirty, 0, "",
			[]string{"too old"}},

		{"bad base block", hivetest.BreakBaseBlock(dirty(0)), [][]byte{newLog(2, 0, 2)}, Recovered, 2, "LOG1 2-3", nil},
		{"zeroed base block", append(make([]byte, 4096), dirty(0)[4096:]...), [][]byte{newLog(2, 0, 2)}, Recovered, 2,
			"LOG1 2-3", nil},
		{"bad base block, two logs", hivetest.BreakBaseBlock(dirty(1)), [][]byte{newLog(2, 0, 1), newLog(3, 1, 2)}, Recovered,
			2, "LOG2 3-3", []string{"not applied: LOG1", "no base block"}},
		{"bad base block, two logs around the wrap", hivetest.BreakBaseBlock(dirty(1)),
			[][]byte{newLog(0, 1, 2), newLog(0xFFFFFFFF, 0, 1)}, Recovered, 2, "LOG1 0-0", []string{"not applied: LOG2"}},
		{"clean", stage(1), [][]byte{newLog(1, 1, 2)}, Clean, 1, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o Options
			for i, log := range tt.logs {
				o.Logs = append(o.Logs, logOf(fmt.Sprint("LOG", i+1), log))
			}
			h, err := openBytes(tt.hive, o)
			if err != nil {
				t.Fatal(err)
			}
			checkRecovery(t, h, "new", tt.state, tt.want, tt.applied, tt.says)
		})
	}
}

func checkRecovery(t *testing.T, h *Hive, format string, state State, want int, applied string, says []string) {
	t.Helper()
	r := h.Recovery()
	if r.State != state || (r.State == Dirty) != errors.Is(r.Err, ErrDirty) || (r.State == Dirty) != (r.Err != nil) {
		t.Errorf("state %v, error %v, want %v", r.State, r.Err, state)
	}
	if got := stageOf(t, h); got != want {
		t.Errorf("the hive is as after write %d, want %d", got, want)
	}
	var got []string
	for _, a := range r.Applied {
		got = append(got, fmt.Sprintf("%s %d-%d", a.Name, a.First, a.Last))
		if uint32(a.Entries) != a.Last-a.First+1 {
			t.Errorf("%+v", a)
		}
	}
	if s := strings.Join(got, " "); s != applied {
		t.Errorf("applied %q, want %q", s, applied)
	}
	if (r.Format == format) != (applied != "") || (r.Pages > 0) != (applied != "") {
		t.Errorf("format %q, %d pages", r.Format, r.Pages)
	}
	if s := r.State.String(); s != map[State]string{Clean: "clean", Recovered: "recovered", Dirty: "dirty"}[state] {
		t.Errorf("state %s", s)
	}
	text := fmt.Sprint(r.Err, r.Notes)
	for _, s := range says {
		if !strings.Contains(text, s) {
			t.Errorf("%q does not say %q", text, s)
		}
	}
	if says == nil && len(r.Notes) > 0 {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestRecoveryOldFormat(t *testing.T) {
	dirty := func(n int) []byte { return hivetest.Dirty(stage(n), 5, 4) }
	log := func(from, to int, o hivetest.LogOptions) []byte {
		o.First = 5
		return hivetest.OldFormatLog(stage(from), stage(to), o)
	}
	var plain hivetest.LogOptions
	later := func(b []byte) { b[12]++ }
	// pages returns where the sectors begin in a log.
	pages := func(log []byte) int {
		return 512 + (4+int(le.Uint32(log[40:]))/4096+511)&^511
	}
	for _, tt := range []struct {
		name    string
		hive    []byte
		logs    [][]byte
		state   State
		want    int
		applied string
		says    []string
	}{
		{"one log", dirty(0), [][]byte{log(0, 1, plain)}, Recovered, 1, "LOG1 5-5", nil},
		{"by sectors", dirty(0), [][]byte{log(0, 1, hivetest.LogOptions{PageSize: 512})}, Recovered, 1, "LOG1 5-5", nil},
		{"several bins", dirty(0), [][]byte{log(0, 3, plain)}, Recovered, 3, "LOG1 5-5", nil},
		{"file type 2", dirty(0), [][]byte{patchBlock(log(0, 1, plain), func(b []byte) { b[28] = 2 })}, Recovered, 1,
			"LOG1 5-5", nil},
		{"the second log fits", dirty(0), [][]byte{patchBlock(log(0, 2, plain), later), log(0, 1, plain)}, Recovered, 1,
			"LOG2 5-5", []string{"not applied: LOG1", "another write"}},
		{"both logs fit", dirty(0), [][]byte{log(0, 1, plain), log(0, 1, plain)}, Recovered, 1, "LOG1 5-5",
			[]string{"not applied: LOG2", "another log"}},
		{"the first is torn", dirty(0), [][]byte{torn(log(0, 1, plain), 1), log(0, 1, plain)}, Recovered, 1, "LOG2 5-5",
			[]string{"not applied: LOG1", "dirty sectors are there"}},
		{"behind the end is nothing of it", dirty(0), [][]byte{append(log(0, 1, plain), noise(4096)...)}, Recovered, 1,
			"LOG1 5-5", nil},
		{"beside one of the new format", hivetest.Dirty(stage(0), 5, 4), [][]byte{log(0, 2, plain), newLog(4, 0, 1)},
			Recovered, 1, "LOG2 4-4", []string{"not applied: LOG1", "old format"}},
		{"a smaller hive", dirty(2), [][]byte{log(2, 1, plain)}, Recovered, 1, "LOG1 5-5", nil},

		{"last-written time", dirty(0), [][]byte{patchBlock(log(0, 1, plain), later)}, Dirty, 0, "",
			[]string{"LOG1", "another write"}},
		{"not finished", dirty(0), [][]byte{patchBlock(log(0, 1, plain), func(b []byte) { b[8]-- })}, Dirty, 0, "",
			[]string{"LOG1", "not written completely", "5 and 4"}},
		{"base block of the log", dirty(0), [][]byte{log(0, 1, hivetest.LogOptions{BadBlock: true})}, Dirty, 0, "",
			[]string{"LOG1", "checksum"}},
		{"torn", dirty(0), [][]byte{torn(log(0, 1, plain), 1)}, Dirty, 0, "", []string{"LOG1", "dirty sectors are there"}},
		{"torn in the vector", dirty(0), [][]byte{log(0, 1, plain)[:514]}, Dirty, 0, "", []string{"LOG1", "bytes short"}},
		{"no vector", dirty(0), [][]byte{log(0, 1, plain)[:512]}, Dirty, 0, "", []string{"LOG1", "bytes short"}},
		{"signature of the vector", dirty(0), [][]byte{flipped(log(0, 1, plain), 512)}, Dirty, 0, "",
			[]string{"LOG1", "no dirty vector"}},
		{"nothing dirty", dirty(0), [][]byte{log(0, 0, plain)}, Dirty, 0, "", []string{"LOG1", "no dirty sectors"}},
		{"first bin's signature", dirty(0), [][]byte{flipped(log(0, 1, plain), pages(log(0, 1, plain)))}, Dirty, 0, "",
			[]string{"LOG1", "recovery ends here", "0x1000"}},
		{"first bin's offset", dirty(0), [][]byte{flipped(log(0, 1, plain), pages(log(0, 1, plain))+5)}, Dirty, 0, "",
			[]string{"LOG1", "recovery ends here", "0x1000"}},

		{"bad base block", hivetest.BreakBaseBlock(dirty(0)), [][]byte{log(0, 1, plain)}, Recovered, 1, "LOG1 5-5", nil},
		{"bad base block, time not the first bin's", flipped(dirty(0), 508), [][]byte{patchBlock(log(0, 1, plain), later)},
			Dirty, 0, "", []string{"another write"}},
		{"clean", stage(0), [][]byte{log(0, 1, plain)}, Clean, 0, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o Options
			for i, log := range tt.logs {
				o.Logs = append(o.Logs, logOf(fmt.Sprint("LOG", i+1), log))
			}
			h, err := openBytes(tt.hive, o)
			if err != nil {
				t.Fatal(err)
			}
			format := "old"
			if strings.HasPrefix(tt.applied, "LOG2 4") {
				format = "new"
			}
			checkRecovery(t, h, format, tt.state, tt.want, tt.applied, tt.says)
		})
	}
}

// A wrong bin in the middle of a log of the old format ends recovery: the hive stays dirty, and says how far it came.
func TestRecoveryOldFormatEndsAtABadBin(t *testing.T) {
	log := hivetest.OldFormatLog(stage(0), stage(2), hivetest.LogOptions{First: 5})
	last := bytes.LastIndex(log, []byte("hbin"))
	h, err := openBytes(hivetest.Dirty(stage(0), 5, 4), Options{Logs: []Log{logOf("LOG1", flipped(log, last))}})
	if err != nil {
		t.Fatal(err)
	}
	r := h.Recovery()
	if r.State != Dirty || !errors.Is(r.Err, ErrDirty) || r.Pages == 0 || r.Applied != nil ||
		!strings.Contains(r.Err.Error(), "LOG1") {
		t.Errorf("%+v", r)
	}
}

func TestNoRecovery(t *testing.T) {
	o := Options{Logs: []Log{logOf("LOG1", newLog(2, 0, 1))}, NoRecovery: true}
	for name, hive := range map[string][]byte{"sequence numbers": hivetest.Dirty(stage(0), 3, 2),
		"checksum": flipped(stage(0), 300)} {
		h, err := openBytes(hive, o)
		if err != nil {
			t.Fatal(err)
		}
		if r := h.Recovery(); r.State != Ignored || r.Err != nil || r.Applied != nil || stageOf(t, h) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	h, err := openBytes(stage(0), o)
	if err != nil {
		t.Fatal(err)
	}
	if r := h.Recovery(); r.State != Clean {
		t.Errorf("a clean hive: %+v", r)
	}
}

// A value's own record or data says whether it came out of a log.
func TestRecoveredValues(t *testing.T) {
	before := hivetest.Key{Name: "ROOT"}
	for i := range 10 {
		before.Values = append(before.Values, hivetest.Value{Name: fmt.Sprint("v", i), Type: 3, Data: noise(3000)})
	}
	before.Values = append(before.Values, hivetest.Value{Name: "inline", Type: 4, Data: []byte{1, 0, 0, 0}},
		hivetest.Value{Name: "big", Type: 3, Data: noise(60000)})
	after := before
	after.Values = slices.Clone(before.Values)
	after.Values[3].Data = append(noise(2999), 1)
	after.Values[10].Data = []byte{2, 0, 0, 0}
	after.Values[11].Data = append(noise(59999), 1)
	log := hivetest.NewFormatLog(hivetest.Build(before, hivetest.Options{}), hivetest.Build(after, hivetest.Options{}),
		hivetest.LogOptions{First: 2, PageSize: 512})
	h, err := openBytes(hivetest.Dirty(hivetest.Build(before, hivetest.Options{}), 3, 2),
		Options{Logs: []Log{logOf("LOG1", log)}})
	if err != nil {
		t.Fatal(err)
	}
	root, err := h.Root()
	if err != nil {
		t.Fatal(err)
	}
	values, err := root.Values()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, v := range values {
		if v.Recovered() {
			got[v.Name()] = true
		}
	}
	if diff := cmp.Diff(map[string]bool{"v3": true, "inline": true, "big": true}, got); diff != "" {
		t.Error(diff)
	}
	if root.Recovered() {
		t.Error("the root key's record was not written")
	}
}

func TestMerge(t *testing.T) {
	h := Hive{spans: merge([]span{{4096, 8192}, {0, 512}, {512, 1024}, {4608, 5120}, {8192, 8704}})}
	if diff := cmp.Diff([]span{{0, 1024}, {4096, 8704}}, h.spans, cmp.AllowUnexported(span{})); diff != "" {
		t.Fatal(diff)
	}
	for _, tt := range []struct {
		offset uint32
		n      int
		want   bool
	}{{0, 4, true}, {1016, 4, true}, {1020, 100, true}, {1024, 100, false}, {4000, 91, false}, {4000, 93, true},
		{8696, 4, true}, {8704, 4, false}} {
		if got := h.recovered(tt.offset, tt.n); got != tt.want {
			t.Errorf("recovered(%d, %d) = %v", tt.offset, tt.n, got)
		}
	}
}

func TestUnreadableLogs(t *testing.T) {
	hive := hivetest.Dirty(stage(0), 3, 2)
	log := newLog(2, 0, 2)
	entry := int64(len(newLog(2, 0, 1)))
	for _, tt := range []struct {
		name string
		log  Log
		want error
		n    int
	}{
		{"base block", Log{"LOG1", failing{bytes.NewReader(log), 0}, int64(len(log))}, errDisk, 0},
		{"second entry", Log{"LOG1", failing{bytes.NewReader(log), entry + 40}, int64(len(log))}, errDisk, 1},
		{"size over the limit", Log{"LOG1", bytes.NewReader(log), maxLogSize + 1}, ErrUnsupported, 0},
		{"size at the limit, nothing there", Log{"LOG1", bytes.NewReader(nil), maxLogSize}, io.ErrUnexpectedEOF, 0},
	} {
		h, err := openBytes(hive, Options{Logs: []Log{tt.log}})
		if err != nil {
			t.Fatal(err)
		}
		if r := h.Recovery(); r.State != Dirty || !errors.Is(r.Err, ErrDirty) || !errors.Is(r.Err, tt.want) ||
			stageOf(t, h) != tt.n {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}

// Holes of many entries count together.
func TestManyHoles(t *testing.T) {
	const step = maxHole / 4
	before := stage(0)
	log := newLog(2, 0, 1)[:512]
	for i := range 6 {
		size := len(before) + (i+1)*(step+4096)
		after := make([]byte, size)
		copy(after, before)
		copy(after[size-4096:], "page")
		log = append(log, hivetest.NewFormatLog(after[:size-4096], after, hivetest.LogOptions{First: uint32(2 + i)})[512:]...)
	}
	h, err := openBytes(hivetest.Dirty(before, 3, 2), Options{Logs: []Log{logOf("LOG1", log)}})
	if err != nil {
		t.Fatal(err)
	}
	if r := h.Recovery(); len(r.Applied) != 1 || r.Applied[0].Entries != 4 || len(r.Notes) != 1 {
		t.Errorf("%+v, want 4 entries applied", r)
	}
}

// A page far behind the end of the hive would be surrounded by nothing.
func TestPagesBehindTheEnd(t *testing.T) {
	before := stage(0)
	for _, tt := range []struct {
		hole int
		want State
	}{{0, Recovered}, {maxHole, Recovered}, {maxHole + 4096, Dirty}} {
		after := append(bytes.Clone(before), make([]byte, tt.hole+4096)...)
		bin := after[len(after)-4096:]
		copy(bin, "hbin")
		le.PutUint32(bin[4:], uint32(len(after)-2*4096))
		le.PutUint32(bin[8:], 4096)
		patchBlock(after, func(b []byte) { le.PutUint32(b[40:], uint32(len(after)-4096)) })
		for format, log := range map[string][]byte{
			"new": hivetest.NewFormatLog(after[:len(after)-4096], after, hivetest.LogOptions{First: 2}),
			"old": hivetest.OldFormatLog(after[:len(after)-4096], after, hivetest.LogOptions{First: 2}),
		} {
			h, err := openBytes(hivetest.Dirty(before, 3, 2), Options{Logs: []Log{logOf("LOG1", log)}})
			if err != nil {
				t.Fatal(err)
			}
			if r := h.Recovery(); r.State != tt.want || h.bins.end > len(before)+tt.hole {
				t.Errorf("%s format, hole of %d bytes: %+v, %d bytes held", format, tt.hole, r, h.bins.end)
			}
		}
	}
}
