package packages

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// header is a header of rpm. Numbers are big endian. Layout (lib/header.c):
//
//	0 number of entries n, 4 bytes of data, 8 the entries, 8+16n the data
//
// and of an entry:
//
//	0 tag, 4 type, 8 offset in the data, 12 count
//
// The first entry is as a rule a region: its data are 16 bytes in the form of
// an entry whose offset is -16 times the number of entries that were in the
// package file. Those that follow were added when it was installed, and
// replace entries of the region that have the same tag.
type header struct {
	entries []entry // in their order, without the region
	added   int     // index of the first entry behind the region
	data    []byte
}

type entry struct {
	tag    uint32
	kind   uint32
	offset uint32
	count  uint32
	size   uint32
}

// Limits of a header, as rpm has them.
const (
	maxHeaderEntries = 0xFFFF
	maxHeaderData    = 0x0FFFFFFF
	maxHeader        = 256<<20 - 1 // all of it
)

// Types of entries.
const (
	typeInt32       = 4
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18NString  = 9
)

// typeSizes has the size of one element of each type, 0 for those that have
// none: nothing, and strings. It is the alignment too.
var typeSizes = [...]uint32{0, 1, 1, 2, 4, 8, 0, 1, 0, 0}

// Tags of the structure (include/rpm/rpmtag.h).
const (
	tagHeaderImage      = 61
	tagHeaderSignatures = 62
	tagHeaderImmutable  = 63
	tagFirst            = 100 // all that carry information
)

// entrySize is the size of an entry, and of the data of a region.
const entrySize = 16

// parse reads a header. It keeps the blob, and uses the memory of an earlier
// header again.
func (h *header) parse(blob []byte) error {
	be := binary.BigEndian
	if len(blob) < 8 {
		return fmt.Errorf("header of %d bytes: %w", len(blob), ErrCorrupt)
	}
	n, size := be.Uint32(blob), be.Uint32(blob[4:])
	switch {
	case n == 0 || n > maxHeaderEntries || size > maxHeaderData || len(blob) > maxHeader:
		return fmt.Errorf("header with %d entries and %d bytes of data: %w", n, size, ErrCorrupt)
	case uint64(len(blob)) != 8+entrySize*uint64(n)+uint64(size):
		return fmt.Errorf("header of %d bytes with %d entries and %d bytes of data: %w", len(blob), n, size, ErrCorrupt)
	}
	index := blob[8 : 8+entrySize*n]
	h.data = blob[8+entrySize*n:]
	h.entries, h.added = h.entries[:0], 0

	region := decodeEntry(index)
	inRegion := uint32(0)
	switch region.tag {
	case tagHeaderImage, tagHeaderSignatures, tagHeaderImmutable:
		var err error
		if inRegion, err = h.region(region, n); err != nil {
			return err
		}
		index = index[entrySize:]
	}
	end := uint32(0)
	for i := 0; len(index) > 0; i, index = i+1, index[entrySize:] {
		e := decodeEntry(index)
		if err := h.check(&e, end); err != nil {
			return fmt.Errorf("header entry %d, tag %d, type %d, offset %d, count %d: %w", i, e.tag, e.kind, e.offset,
				e.count, err)
		}
		end = e.offset + e.size
		h.entries = append(h.entries, e)
	}
	if inRegion > 0 {
		h.added = int(inRegion) - 1
	}
	return nil
}

func decodeEntry(b []byte) entry {
	be := binary.BigEndian
	return entry{tag: be.Uint32(b), kind: be.Uint32(b[4:]), offset: be.Uint32(b[8:]), count: be.Uint32(b[12:])}
}

// region returns the number of entries in the region, with itself; 0 says that
// it is all of them.
func (h *header) region(e entry, entries uint32) (uint32, error) {
	if e.kind != typeBin || e.count != entrySize || uint64(e.offset)+entrySize > uint64(len(h.data)) {
		return 0, fmt.Errorf("header region of type %d, offset %d, count %d: %w", e.kind, e.offset, e.count, ErrCorrupt)
	}
	end := decodeEntry(h.data[e.offset:])
	size := -end.offset
	if end.tag != e.tag || end.kind != typeBin || end.count != entrySize || size%entrySize != 0 || size == 0 ||
		size/entrySize > entries {
		return 0, fmt.Errorf("end of the header region, tag %d, type %d, offset %d, count %d: %w", end.tag, end.kind,
			int32(end.offset), end.count, ErrCorrupt)
	}
	if e.offset == 0 {
		return entries, nil
	}
	return size / entrySize, nil
}

// check tests an entry whose data must not begin before end, and sets its size.
func (h *header) check(e *entry, end uint32) error {
	left := uint64(len(h.data)) - min(uint64(e.offset), uint64(len(h.data)))
	switch {
	case int32(e.tag) < tagFirst:
		return fmt.Errorf("no tag: %w", ErrCorrupt)
	case e.kind >= uint32(len(typeSizes)):
		return fmt.Errorf("unknown type: %w", ErrCorrupt)
	case e.count == 0:
		return fmt.Errorf("no data: %w", ErrCorrupt)
	case e.offset < end:
		return fmt.Errorf("data overlap those before: %w", ErrCorrupt)
	}
	if unit := typeSizes[e.kind]; unit > 0 {
		if e.offset%unit != 0 || uint64(e.count)*uint64(unit) > left {
			return fmt.Errorf("data beyond %d bytes or not aligned: %w", len(h.data), ErrCorrupt)
		}
		e.size = e.count * unit
		return nil
	}
	if e.kind != typeStringArray && e.kind != typeI18NString && (e.kind != typeString || e.count != 1) {
		return fmt.Errorf("not of this type: %w", ErrCorrupt)
	}
	rest := h.data[uint64(len(h.data))-left:]
	for range e.count {
		n := bytes.IndexByte(rest, 0)
		if n < 0 {
			return fmt.Errorf("strings beyond %d bytes: %w", len(h.data), ErrCorrupt)
		}
		rest = rest[n+1:]
	}
	e.size = uint32(left) - uint32(len(rest))
	return nil
}

// find returns the entry with a tag that counts.
func (h *header) find(tag uint32) (entry, bool) {
	for i := len(h.entries) - 1; i >= h.added; i-- {
		if h.entries[i].tag == tag {
			return h.entries[i], true
		}
	}
	for _, e := range h.entries[:h.added] {
		if e.tag == tag {
			return e, true
		}
	}
	return entry{}, false
}

// string returns a string, "" if there is none. Of one in several languages it
// is the first.
func (h *header) string(tag uint32) (string, error) {
	e, ok := h.find(tag)
	if !ok {
		return "", nil
	}
	if e.kind != typeString && e.kind != typeI18NString {
		return "", fmt.Errorf("header tag %d of type %d: %w", tag, e.kind, ErrCorrupt)
	}
	s, _, _ := bytes.Cut(h.data[e.offset:], []byte{0})
	if len(s) > maxField {
		return "", fmt.Errorf("header tag %d of %d bytes: %w", tag, len(s), ErrCorrupt)
	}
	return string(s), nil
}

// uint32s returns numbers, big endian, 4 bytes each; nil if there are none.
func (h *header) uint32s(tag uint32) ([]byte, error) {
	e, ok := h.find(tag)
	if !ok {
		return nil, nil
	}
	if e.kind != typeInt32 {
		return nil, fmt.Errorf("header tag %d of type %d: %w", tag, e.kind, ErrCorrupt)
	}
	return h.data[e.offset : e.offset+e.size], nil
}

// uint32 returns the first of several numbers, 0 if there is none.
func (h *header) uint32(tag uint32) (uint32, error) {
	b, err := h.uint32s(tag)
	if len(b) == 0 {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

// strings returns an array of strings.
func (h *header) strings(tag uint32) (stringArray, error) {
	e, ok := h.find(tag)
	if !ok {
		return stringArray{}, nil
	}
	if e.kind != typeStringArray && e.kind != typeString {
		return stringArray{}, fmt.Errorf("header tag %d of type %d: %w", tag, e.kind, ErrCorrupt)
	}
	return stringArray{h.data[e.offset : e.offset+e.size], int(e.count)}, nil
}

// stringArray is an array of strings that end with NUL.
type stringArray struct {
	data  []byte
	count int
}

// all goes over the strings.
func (a stringArray) all(yield func(int, []byte) bool) {
	rest := a.data
	for i := range a.count {
		n := bytes.IndexByte(rest, 0)
		if !yield(i, rest[:n]) {
			return
		}
		rest = rest[n+1:]
	}
}
