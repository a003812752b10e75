package packages

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNDBDamage(t *testing.T) {
	le := binary.LittleEndian
	whole := ndb(ndbHeader{1, named("first")}, ndbHeader{5, named("second")}, ndbHeader{3, named("third")})
	const slot = ndbHeaderSize + ndbSlotSize // of the second
	blob := int(le.Uint32(whole[slot+8:])) * ndbBlockSize
	end := blob + int(le.Uint32(whole[slot+12:]))*ndbBlockSize
	for name, tt := range map[string]struct {
		damage func(b []byte) []byte
		want   error
		says   string
		rest   int
	}{
		"whole":     {func(b []byte) []byte { return b }, nil, "", 3},
		"free slot": {func(b []byte) []byte { clear(b[slot+4 : slot+16]); return b }, nil, "", 2},
		"free slot, number": {func(b []byte) []byte { clear(b[slot+8 : slot+16]); return b }, ErrCorrupt,
			"header 5: 0 blocks at block 0", 2},
		"empty":            {func(b []byte) []byte { return nil }, ErrCorrupt, "0 bytes", 0},
		"less than a page": {func(b []byte) []byte { return b[:ndbPageSize-ndbBlockSize] }, ErrCorrupt, "4080 bytes", 0},
		"half a block":     {func(b []byte) []byte { return append(b, make([]byte, 8)...) }, ErrCorrupt, " bytes", 0},
		"blocks behind":    {func(b []byte) []byte { return append(b, make([]byte, 160)...) }, nil, "", 3},
		"only the slots":   {func(b []byte) []byte { return b[:ndbPageSize] }, ErrCorrupt, "header 1: ", 0},
		"last blob cut":    {func(b []byte) []byte { return b[:len(b)-ndbBlockSize] }, ErrCorrupt, "header 3: ", 2},
		"other magic":      {func(b []byte) []byte { b[0]++; return b }, ErrCorrupt, "does not begin as", 0},
		"version 1":        {func(b []byte) []byte { b[4] = 1; return b }, ErrUnsupported, "version 1", 0},
		"no pages":         {func(b []byte) []byte { b[12] = 0; return b }, ErrCorrupt, "0 pages", 0},
		"more pages":       {func(b []byte) []byte { b[12] = 2; return b }, ErrCorrupt, "2 pages", 0},
		"pages without end": {func(b []byte) []byte { le.PutUint32(b[12:], 1<<32-1); return b }, ErrCorrupt,
			"4294967295 pages", 0},
		"slot without a magic": {func(b []byte) []byte { b[slot]++; return b }, ErrCorrupt, "a slot has no magic number", 1},
		"slot of number 0":     {func(b []byte) []byte { clear(b[slot+4 : slot+8]); return b }, ErrCorrupt, "header 0: ", 2},
		"slot of another":      {func(b []byte) []byte { b[slot+4]++; return b }, ErrCorrupt, "does not begin there", 2},
		"slot in the slots": {func(b []byte) []byte { le.PutUint32(b[slot+8:], 255); return b }, ErrCorrupt,
			"at block 255", 2},
		"slot beyond": {func(b []byte) []byte { le.PutUint32(b[slot+8:], 1<<32-1); return b }, ErrCorrupt,
			"at block 4294967295", 2},
		"slot of 1 block": {func(b []byte) []byte { le.PutUint32(b[slot+12:], 1); return b }, ErrCorrupt, "1 blocks",
			2},
		"slot of 2^32 blocks": {func(b []byte) []byte { le.PutUint32(b[slot+12:], 1<<32-1); return b }, ErrCorrupt,
			"4294967295 blocks", 2},
		"slot too short": {func(b []byte) []byte { b[slot+12]--; return b }, ErrCorrupt, "header 5: ", 2},
		"slots overlap":  {func(b []byte) []byte { b[slot+16+8] -= 2; return b }, ErrCorrupt, "header 3: block ", 2},
		"the same number twice": {func(b []byte) []byte {
			return ndb(ndbHeader{1, named("first")},
				ndbHeader{1, named("first")})
		}, ErrCorrupt, "two headers with the number 1", 1},
		"blob without a magic": {func(b []byte) []byte { b[blob]++; return b }, ErrCorrupt, "does not begin there", 2},
		"blob of another":      {func(b []byte) []byte { b[blob+4]++; return b }, ErrCorrupt, "does not begin there", 2},
		"blob shorter":         {func(b []byte) []byte { b[blob+12]--; return b }, ErrCorrupt, "does not end there", 2},
		"blob much shorter":    {func(b []byte) []byte { b[blob+12] -= 32; return b }, ErrCorrupt, "bytes in", 2},
		"blob of 2^32 bytes": {func(b []byte) []byte { le.PutUint32(b[blob+12:], 1<<32-1); return b }, ErrCorrupt,
			"4294967295 bytes in", 2},
		"blob data":          {func(b []byte) []byte { b[blob+30]++; return b }, ErrCorrupt, "checksum", 2},
		"blob time":          {func(b []byte) []byte { b[blob+8]++; return b }, ErrCorrupt, "checksum", 2},
		"blob checksum":      {func(b []byte) []byte { b[end-12]++; return b }, ErrCorrupt, "checksum", 2},
		"blob length at end": {func(b []byte) []byte { b[end-8]++; return b }, ErrCorrupt, "does not end there", 2},
		"blob magic at end":  {func(b []byte) []byte { b[end-1]++; return b }, ErrCorrupt, "does not end there", 2},
	} {
		db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages.db", tt.damage(slices.Clone(whole))))
		if tt.want == nil && err != nil || !errors.Is(err, tt.want) || tt.want != nil &&
			!strings.Contains(err.Error(), tt.says) || len(db.packages) != tt.rest {
			t.Errorf("%s: %d packages, %v, want %d, %v with %q", name, len(db.packages), err, tt.rest, tt.want, tt.says)
		}
	}
}
