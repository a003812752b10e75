package scanner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A result has the hashes that were requested, hashing reports progress, and
// reading for it is not counted.
func TestFiles(t *testing.T) {
	content := make([]byte, 9<<20)
	copy(content, "LUKS\xba\xbe\x00\x02")
	image, err := openImage(t.Context(), Reader("a.img", bytes.NewReader(content), int64(len(content))))
	if err != nil {
		t.Fatal(err)
	}
	vs := &volumes{images: []*Image{image}}
	trail := &requirement.Trail{}
	plain, _, err := vs.files(t.Context(), Input{}, trail)
	if d := cmp.Diff([]ImageFile{{Name: "a.img", Size: 9 << 20, Container: "raw", DiskSize: 9 << 20}}, plain); d != "" {
		t.Errorf("%s, %v", d, err)
	}
	before := vs.readings()
	var last Progress
	progress := &progress{report: func(p Progress) { last = p }}
	summed, _, err := vs.files(t.Context(), Input{Hash: true, progress: progress}, trail)
	sum := sha256.Sum256(content)
	if err != nil || summed[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v, %v", summed, err)
	}
	if want := (Progress{Step: "hashing a.img", Unit: UnitBytes, Done: 9 << 20, Total: 9 << 20}); last != want {
		t.Errorf("progress %+v, want %+v", last, want)
	}
	if d := cmp.Diff(before, vs.readings()); d != "" {
		t.Errorf("hashing was counted: %s", d)
	}
}
