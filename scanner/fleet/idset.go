package fleet

import (
	"bytes"
	"hash/maphash"
	"strings"
)

// idSet knows the ids of a list, without regard to case, and the line of each. A million of
// them take about 40 MB, which the garbage collector need not look into.
type idSet struct {
	seed    maphash.Seed
	text    []byte // the ids, one after another
	entries []idEntry
	slots   []uint32 // the number of an entry, from 1; 0 if the slot is free. Their number is a power of two
}

type idEntry struct {
	end  uint32 // of the id in the text; it begins where the one before ends
	line int
}

func newIDSet() *idSet { return &idSet{seed: maphash.MakeSeed(), slots: make([]uint32, 1024)} }

func (s *idSet) id(n uint32) []byte {
	start := uint32(0)
	if n > 0 {
		start = s.entries[n-1].end
	}
	return s.text[start:s.entries[n].end]
}

// add adds the id of a line. If it is there already, it returns the line, and whether the
// case is the same.
func (s *idSet) add(id string, line int) (before int, same, found bool) {
	slot := s.find([]byte(id))
	if n := *slot; n > 0 {
		return s.entries[n-1].line, string(s.id(n-1)) == id, true
	}
	s.text = append(s.text, id...)
	s.entries = append(s.entries, idEntry{uint32(len(s.text)), line})
	*slot = uint32(len(s.entries))
	if len(s.entries) > len(s.slots)/2 {
		s.slots = make([]uint32, 2*len(s.slots))
		for n := range s.entries {
			*s.find(s.id(uint32(n))) = uint32(n) + 1
		}
	}
	return 0, false, false
}

// find returns the slot of an id, or the free one where it belongs.
func (s *idSet) find(id []byte) *uint32 {
	mask := uint64(len(s.slots) - 1)
	at := maphash.String(s.seed, strings.ToLower(string(id))) & mask
	for s.slots[at] > 0 && !bytes.EqualFold(s.id(s.slots[at]-1), id) {
		at = (at + 1) & mask
	}
	return &s.slots[at]
}
