package packages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestHeaderDamage(t *testing.T) {
	be := binary.BigEndian
	// Entries: region, name, version, release, epoch, and the time added.
	whole := headerBlob(
		[]tag{{tagName, "name"}, {tagVersion, "1"}, {tagRelease, "2"}, {tagEpoch, []uint32{3}}},
		[]tag{{tagInstallTime, []uint32{4}}})
	const (
		name    = 8 + entrySize
		version = name + entrySize
		epoch   = name + 3*entrySize
		added   = name + 4*entrySize
		data    = name + 5*entrySize
	)
	end := data + int(be.Uint32(whole[8+8:])) // of the region
	for name, tt := range map[string]struct {
		damage func(b []byte) []byte
		says   string // "" if it is no damage
	}{
		"whole":            {func(b []byte) []byte { return b }, ""},
		"7 bytes":          {func(b []byte) []byte { return b[:7] }, "header of 7 bytes"},
		"no entries":       {func(b []byte) []byte { clear(b[:4]); return b }, "with 0 entries"},
		"too many entries": {func(b []byte) []byte { b[1] = 1; return b }, "entries and"},
		"2^32 entries":     {func(b []byte) []byte { be.PutUint32(b, 1<<32-1); return b }, "4294967295 entries"},
		"one entry more":   {func(b []byte) []byte { b[3]++; return b }, "header of"},
		"too much data":    {func(b []byte) []byte { b[4] = 0x10; return b }, "bytes of data"},
		"2^32 bytes of data": {func(b []byte) []byte { be.PutUint32(b[4:], 1<<32-1); return b },
			"4294967295 bytes of data"},
		"a byte short":       {func(b []byte) []byte { return b[:len(b)-1] }, "header of"},
		"a byte more":        {func(b []byte) []byte { return append(b, 0) }, "header of"},
		"region is a string": {func(b []byte) []byte { b[8+7] = typeString; return b }, "header region"},
		"region of 15 bytes": {func(b []byte) []byte { b[8+15] = 15; return b }, "header region"},
		"region beyond": {func(b []byte) []byte { be.PutUint32(b[8+8:], uint32(len(b)-data-entrySize+1)); return b },
			"header region"},
		"region far beyond":     {func(b []byte) []byte { be.PutUint32(b[8+8:], 1<<32-1); return b }, "header region"},
		"end of another region": {func(b []byte) []byte { b[end+3] = tagHeaderImage; return b }, "end of the header region"},
		"end is a string":       {func(b []byte) []byte { b[end+7] = typeString; return b }, "end of the header region"},
		"end of 15 bytes":       {func(b []byte) []byte { b[end+15] = 15; return b }, "end of the header region"},
		"region of no entries":  {func(b []byte) []byte { clear(b[end+8 : end+12]); return b }, "end of the header region"},
		"region of 1.5 entries": {func(b []byte) []byte { b[end+11] -= 8; return b }, "end of the header region"},
		"region of 7 entries":   {func(b []byte) []byte { b[end+11] -= 2 * entrySize; return b }, "end of the header region"},
		"region of all":         {func(b []byte) []byte { b[end+11] -= entrySize; return b }, ""},
		"region backwards": {func(b []byte) []byte { be.PutUint32(b[end+8:], entrySize); return b },
			"end of the header region"},
		"tag 99":            {func(b []byte) []byte { be.PutUint32(b[name:], 99); return b }, "no tag"},
		"tag 100":           {func(b []byte) []byte { be.PutUint32(b[added:], 100); return b }, ""},
		"tag below 0":       {func(b []byte) []byte { be.PutUint32(b[name:], 1<<31); return b }, "no tag"},
		"type 10":           {func(b []byte) []byte { b[name+7] = 10; return b }, "unknown type"},
		"type 2^32-1":       {func(b []byte) []byte { be.PutUint32(b[name+4:], 1<<32-1); return b }, "unknown type"},
		"type null":         {func(b []byte) []byte { b[name+7] = 0; return b }, "not of this type"},
		"count 0":           {func(b []byte) []byte { b[name+15] = 0; return b }, "no data"},
		"2 strings in one":  {func(b []byte) []byte { b[name+15] = 2; return b }, "not of this type"},
		"overlapping":       {func(b []byte) []byte { b[version+11]--; return b }, "overlap"},
		"not aligned":       {func(b []byte) []byte { b[epoch+11]++; return b }, "not aligned"},
		"offset at the end": {func(b []byte) []byte { be.PutUint32(b[added+8:], uint32(len(b)-data)); return b }, "beyond"},
		"offset beyond":     {func(b []byte) []byte { be.PutUint32(b[added+8:], 1<<32-4); return b }, "beyond"},
		"count beyond":      {func(b []byte) []byte { b[added+15]++; return b }, "beyond"},
		"count of 2^32":     {func(b []byte) []byte { be.PutUint32(b[added+12:], 1<<32-1); return b }, "beyond"},
		"2^30 times 4":      {func(b []byte) []byte { be.PutUint32(b[added+12:], 1<<30); return b }, "beyond"},
		"string at the end": {func(b []byte) []byte {
			b[added+7] = typeString
			be.PutUint32(b[added+8:], uint32(len(b)-data))
			return b
		}, "strings beyond"},
		"string without an end": {func(b []byte) []byte { b[added+7] = typeString; copy(b[len(b)-4:], "abcd"); return b },
			"strings beyond"},
		"array without an end": {func(b []byte) []byte { b[added+7] = typeStringArray; b[added+15] = 9; return b },
			"strings beyond"},
		"array of 2^32": {func(b []byte) []byte {
			b[added+7] = typeStringArray
			be.PutUint32(b[added+12:],
				1<<32-1)
			return b
		}, "strings beyond"},
	} {
		var h header
		err := h.parse(tt.damage(slices.Clone(whole)))
		if tt.says == "" && err != nil || tt.says != "" &&
			(!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// A region without an offset, which rpm wrote when it converted headers of rpm
// 3, takes in all entries.
func TestLegacyRegion(t *testing.T) {
	be := binary.BigEndian
	var blob []byte
	for _, n := range []uint32{
		3, entrySize + 4, // entries, bytes of data
		tagHeaderImage, typeBin, 0, entrySize,
		tagName, typeString, entrySize, 1,
		tagName, typeString, entrySize + 2, 1,
		tagHeaderImage, typeBin, -(2 * entrySize) & 0xFFFFFFFF, entrySize,
	} {
		blob = be.AppendUint32(blob, n)
	}
	blob = append(blob, "a\x00b\x00"...)
	var h header
	if err := h.parse(blob); err != nil {
		t.Fatal(err)
	}
	if name, err := h.string(tagName); name != "a" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

// A header is read with what is left of the one before it.
func TestHeaderIsUsedAgain(t *testing.T) {
	var h header
	if err := h.parse(named("first", tag{tagEpoch, []uint32{1}})); err != nil {
		t.Fatal(err)
	}
	if err := h.parse(headerBlob([]tag{{tagName, "second"}}, []tag{{tagVendor, "v"}})); err != nil {
		t.Fatal(err)
	}
	if name, err := h.string(tagName); name != "second" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if epoch, err := h.uint32(tagEpoch); epoch != 0 || err != nil {
		t.Errorf("%d, %v", epoch, err)
	}
}

func TestHeaderLimits(t *testing.T) {
	be := binary.BigEndian
	bytesHeader := func(entries int, size int) []byte {
		b := make([]byte, 8+entries*entrySize+size)
		be.PutUint32(b, uint32(entries))
		be.PutUint32(b[4:], uint32(size))
		for i := range entries {
			e := b[8+i*entrySize:]
			be.PutUint32(e, tagFirst)
			be.PutUint32(e[4:], typeBin)
			be.PutUint32(e[8:], uint32(i))
			be.PutUint32(e[12:], 1)
		}
		return b
	}
	for _, tt := range []struct {
		entries, size int
		ok            bool
	}{
		{maxHeaderEntries - 1, 1 << 16, true},
		{maxHeaderEntries, 1 << 16, true},
		{maxHeaderEntries + 1, 1 << 16, false},
		{1, maxHeader - 8 - entrySize - 1, true},
		{1, maxHeader - 8 - entrySize, true},
		{1, maxHeader - 8 - entrySize + 1, false},
		{1, maxHeaderData, false},
		{1, maxHeaderData + 1, false},
	} {
		var h header
		if err := h.parse(bytesHeader(tt.entries, tt.size)); (err == nil) != tt.ok {
			t.Errorf("%d entries, %d bytes: %v", tt.entries, tt.size, err)
		}
	}
}

// Each entry that is read costs time in proportion to its data only.
func TestHeaderWithManyStrings(t *testing.T) {
	be := binary.BigEndian
	const entries = maxHeaderEntries
	blob := be.AppendUint32(nil, entries)
	blob = be.AppendUint32(blob, 1<<24)
	for range entries {
		for _, n := range []uint32{tagFirst, typeStringArray, 0, 1 << 24} {
			blob = be.AppendUint32(blob, n)
		}
	}
	blob = append(blob, bytes.Repeat([]byte{0}, 1<<24)...)
	var h header
	if err := h.parse(blob); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "entry 1, ") ||
		!strings.Contains(err.Error(), "overlap") {
		t.Errorf("%v", err)
	}
}
