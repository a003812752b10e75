package scanner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// A result has the hashes that were requested, hashing reports progress, and
// reading for it is not counted.
func TestFiles(t *testing.T) {
	content := make([]byte, 9<<20)
	copy(content, "LUKS\xba\xbe\x00\x02")
	image, err := OpenImage(t.Context(), Reader("a.img", bytes.NewReader(content), int64(len(content))))
	if err != nil {
		t.Fatal(err)
	}
	vs := &volumes{images: []*Image{image}}
	plain, err := vs.files(t.Context(), Input{})
	if err != nil || len(plain) != 1 || plain[0] != (ImageFile{Name: "a.img", Size: 9 << 20}) {
		t.Errorf("%+v, %v", plain, err)
	}
	before, _ := vs.counters()
	var last Progress
	progress := &progress{report: func(p Progress) { last = p }}
	summed, err := vs.files(t.Context(), Input{Hash: true, progress: progress})
	sum := sha256.Sum256(content)
	if err != nil || summed[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v, %v", summed, err)
	}
	if want := (Progress{Step: "hashing a.img", Unit: UnitBytes, Done: 9 << 20, Total: 9 << 20}); last != want {
		t.Errorf("progress %+v, want %+v", last, want)
	}
	if after, _ := vs.counters(); after != before {
		t.Errorf("%d bytes were counted", after-before)
	}
}
