package registry

import (
	"bytes"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// rehash mends the hashes of the first entry of a log.
func rehash(log []byte) []byte {
	e := log[512:]
	e = e[:min(max(int(le.Uint32(e[4:])), 40), len(e))]
	le.PutUint64(e[24:], marvin32(e[40:]))
	le.PutUint64(e[32:], marvin32(e[:32]))
	return log
}

// An entry whose hashes are right and whose fields are not is taken for torn: none of its pages is applied.
func TestEntryFields(t *testing.T) {
	log := newLog(2, 0, 1)
	pages := int(le.Uint32(log[512+20:]))
	data := 512 + 40 + 8*pages // where the pages begin
	set := func(off int, v uint32) func(log []byte) {
		return func(log []byte) { le.PutUint32(log[512+off:], v) }
	}
	for _, tt := range []struct {
		name   string
		change func(log []byte)
		says   string // "" if the entry is whole
	}{
		{"as it is", func([]byte) {}, ""},
		{"no bins data", set(16, 0), "0 bytes of bins data"},
		{"part of a page of bins data", set(16, 4096*8+512), "33280 bytes of bins data"},
		{"most bins data", set(16, MaxSize), ""},
		{"too much bins data", set(16, MaxSize+4096), "2147487744 bytes of bins data"},
		{"no pages", set(20, 0), ""},
		{"more pages than data", set(20, uint32(pages)+1), "a page of"},
		{"absurd number of pages", set(20, 0xFFFFFFFF), "4294967295 pages"},
		{"empty page", set(44, 0), "a page of 0 bytes"},
		{"page of a part of a sector", set(44, 4096-8), "a page of 4088 bytes"},
		{"page larger than the entry", set(44, 1<<30), "a page of 1073741824 bytes"},
		{"page within a sector", set(40, 8), "at 0x8"},
		{"page behind the bins data", set(40, le.Uint32(log[512+16:])), "a page of 4096 bytes at"},
		{"page at the end of the bins data", set(40, le.Uint32(log[512+16:])-4096), ""},
		{"page at the end of everything", set(40, 0xFFFFFE00), "at 0xfffffe00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := bytes.Clone(log)
			tt.change(log)
			f, err := openLog(logOf("LOG1", rehash(log)), nil)
			if err != nil {
				t.Fatal(err)
			}
			e, err := f.readEntry(2)
			if _, torn := err.(tornError); tt.says != "" && (!torn || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v, want an error that says %q", err, tt.says)
			}
			if tt.says == "" && (err != nil || len(e.pages) > 0 &&
				!bytes.Equal(e.pages[0].data, log[data:][:len(e.pages[0].data)])) {
				t.Errorf("%v %v", e, err)
			}
		})
	}
	for size, says := range map[uint32]string{0: "size of 0", 39: "size of 39", 512 + 8: "size of 520",
		0xFFFFFE00: "the log ends"} {
		log := bytes.Clone(log)
		le.PutUint32(log[512+4:], size)
		h, err := openBytes(hivetest.Dirty(stage(0), 3, 2), Options{Logs: []Log{logOf("LOG1", rehash(log))}})
		if err != nil {
			t.Fatal(err)
		}
		if r := h.Recovery(); r.State != Dirty || len(r.Notes) == 0 || !strings.Contains(r.Notes[0], says) {
			t.Errorf("size %d: %+v", size, r)
		}
	}
}

func TestLogBaseBlock(t *testing.T) {
	for size, want := range map[uint32]string{MaxSize: "", MaxSize + 4096: "2147487744 bytes", 4096 + 512: "4608 bytes"} {
		log := patchBlock(newLog(2, 0, 1), func(b []byte) { le.PutUint32(b[40:], size) })
		_, err := openLog(logOf("LOG1", log), nil)
		if want == "" && err != nil {
			t.Errorf("%d bytes of bins data: %v", size, err)
		} else if want != "" {
			isCorrupt(t, "bins data", err, want)
		}
	}
}

// The hash is checked against real logs by the corpus tests, and here against what hivetest's own says.
func TestMarvin32(t *testing.T) {
	log := newLog(2, 0, 1)
	e := log[512:]
	if got, want := marvin32(e[40:]), le.Uint64(e[24:]); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
	if a, b := marvin32([]byte("abc")), marvin32([]byte("abc\x00")); a == b {
		t.Error("a zero at the end changes nothing")
	}
}
