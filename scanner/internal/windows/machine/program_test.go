package machine

import (
	"bytes"
	"testing"
)

// TestProcessor reads headers that end before, at and behind what is needed, and what is no program.
func TestProcessor(t *testing.T) {
	head := make([]byte, 0x80+coffSize)
	copy(head, "MZ")
	head[offsetOfHeader] = 0x80
	copy(head[0x80:], "PE\x00\x00\x64\x86")
	for n := range len(head) + 1 {
		got, err := processorOf(bytes.NewReader(head[:n]), int64(n))
		if want := uint16(0); err != nil || got != want && n < len(head) {
			t.Errorf("%d bytes: 0x%04x, %v", n, got, err)
		}
	}
	read := func(change func(b []byte)) uint16 {
		b := bytes.Clone(head)
		change(b)
		got, err := processorOf(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Error(err)
		}
		return got
	}
	for name, c := range map[string]struct {
		change func(b []byte)
		want   uint16
	}{
		"AMD64":          {func([]byte) {}, ProcessorAMD64},
		"ARM64":          {func(b []byte) { b[0x85] = 0xaa }, ProcessorARM64},
		"no MZ":          {func(b []byte) { b[0] = 'N' }, 0},
		"no PE":          {func(b []byte) { b[0x80] = 'N' }, 0},
		"a header far":   {func(b []byte) { b[offsetOfHeader+3] = 0xff }, 0},
		"one byte later": {func(b []byte) { b[offsetOfHeader] = 0x81 }, 0},
	} {
		if got := read(c.change); got != c.want {
			t.Errorf("%s: 0x%04x, want 0x%04x", name, got, c.want)
		}
	}
}
