package xfs

import (
	"bytes"
	"testing"
)

// TestLogHalf finds the end of the log from wherever the superblock was last logged,
// which may be anywhere, and looks at few sectors if that is near.
func TestLogHalf(t *testing.T) {
	const sectors = 3000
	for _, end := range []int64{1, 2, 255, 256, 257, 1700, sectors - 2, sectors - 1} {
		log := make([]byte, sectors*sector)
		for i := range int64(sectors) {
			cycle := uint32(7)
			if i >= end {
				cycle = 6
			}
			be.PutUint32(log[i*sector:], cycle)
		}
		for hint := range uint32(sectors + 2) {
			r := &seen{Reader: bytes.NewReader(log)}
			j := &journal{d: newDevice(r, sectors*sector), s: &superblock{logged: hint}, sectors: sectors}
			got, err := j.half(0, sectors-1, 6)
			if got != end || err != nil {
				t.Fatalf("logged at %d: the end is at %d, not %d: %v", hint, got, end, err)
			}
			if near := int64(hint) < end && end-int64(hint) <= halfStep && hint > 0; near &&
				(r.first < int64(hint)*sector || r.last > (int64(hint)+2*halfStep)*sector) {
				t.Fatalf("logged at %d, ending at %d: bytes %d to %d were read", hint, end, r.first, r.last)
			}
		}
	}
}

// seen remembers the first and the last byte that were read.
type seen struct {
	*bytes.Reader
	first, last int64
}

func (s *seen) ReadAt(p []byte, off int64) (int, error) {
	if s.last == 0 || off < s.first {
		s.first = off
	}
	s.last = max(s.last, off+int64(len(p)))
	return s.Reader.ReadAt(p, off)
}
