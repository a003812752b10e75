package ntfs

import (
	"cmp"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// upcase maps a UTF-16 unit to its upper case, as the volume has it in
// $UpCase.
type upcase [1 << 16]uint16

// defaultUpcase stands in for a $UpCase that cannot be read. It is Unicode's
// simple upper case, which differs from any Windows' table in a few letters
// only.
func defaultUpcase() *upcase {
	var up upcase
	for i := range up {
		up[i] = uint16(i)
		if u := unicode.ToUpper(rune(i)); !utf16.IsSurrogate(rune(i)) && u < 1<<16 {
			up[i] = uint16(u)
		}
	}
	return &up
}

func parseUpcase(table []byte) (*upcase, error) {
	var up upcase
	if len(table) != 2*len(up) {
		return nil, corrupt("$UpCase of %d bytes", len(table))
	}
	for i := range up {
		up[i] = le.Uint16(table[2*i:])
	}
	return &up, nil
}

// hash is the same for names that differ only in case.
func (up *upcase) hash(units []byte) uint16 {
	h := uint32(fnvOffset)
	for i := 0; i+1 < len(units); i += 2 {
		h = (h ^ uint32(up[le.Uint16(units[i:])])) * fnvPrime
	}
	return uint16(h ^ h>>16)
}

// FNV-1a with 32 bits, a UTF-16 unit at a time.
const (
	fnvOffset = 2166136261
	fnvPrime  = 16777619
)

// foldName returns the hash and the upper case of a name.
func (up *upcase) foldName(name string) (uint16, []uint16) {
	units := utf16.Encode([]rune(name))
	h := uint32(fnvOffset)
	for i, u := range units {
		units[i] = up[u]
		h = (h ^ uint32(units[i])) * fnvPrime
	}
	return uint16(h ^ h>>16), units
}

// compare orders UTF-16LE names by the upper case of their units.
func (up *upcase) compare(a, b []byte) int {
	for i := 0; i+1 < len(a) && i+1 < len(b); i += 2 {
		if c := cmp.Compare(up[le.Uint16(a[i:])], up[le.Uint16(b[i:])]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// compareFolded orders a UTF-16LE name and one in upper case.
func (up *upcase) compareFolded(a []byte, folded []uint16) int {
	for i := 0; 2*i+1 < len(a) && i < len(folded); i++ {
		if c := cmp.Compare(up[le.Uint16(a[2*i:])], folded[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a)/2, len(folded))
}

// compareUnits orders UTF-16LE names by their units.
func compareUnits(a, b []byte) int {
	for i := 0; i+1 < len(a) && i+1 < len(b); i += 2 {
		if c := cmp.Compare(le.Uint16(a[i:]), le.Uint16(b[i:])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// equal reports whether the name, in UTF-8, is folded but for case.
func (up *upcase) equal(name []byte, folded []uint16) bool {
	for len(name) > 0 {
		r, n := rune(name[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(name)
		}
		name = name[n:]
		if r >= 1<<16 {
			high, low := utf16.EncodeRune(r)
			if len(folded) < 2 || up[high] != folded[0] || up[low] != folded[1] {
				return false
			}
			folded = folded[2:]
			continue
		}
		if len(folded) == 0 || up[r] != folded[0] {
			return false
		}
		folded = folded[1:]
	}
	return len(folded) == 0
}

// appendName appends the UTF-8 form of a UTF-16LE name. Half a surrogate pair,
// which UTF-8 cannot encode, becomes U+FFFD; whole is false then.
func appendName(dst, units []byte) (name []byte, whole bool) {
	i := 0
	for ; i+1 < len(units); i += 2 {
		if units[i] >= utf8.RuneSelf || units[i+1] != 0 {
			break
		}
		dst = append(dst, units[i])
	}
	whole = true
	for i+1 < len(units) {
		r := rune(le.Uint16(units[i:]))
		i += 2
		if utf16.IsSurrogate(r) {
			pair := rune(unicode.ReplacementChar)
			if i+1 < len(units) {
				pair = utf16.DecodeRune(r, rune(le.Uint16(units[i:])))
			}
			if pair != unicode.ReplacementChar {
				i += 2
			} else {
				whole = false
			}
			r = pair
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, whole
}

// appendUnits appends the UTF-16LE form of a name in UTF-8.
func appendUnits(dst, name []byte) []byte {
	for len(name) > 0 {
		r, n := rune(name[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(name)
		}
		name = name[n:]
		if r >= 1<<16 {
			high, low := utf16.EncodeRune(r)
			dst = le.AppendUint16(le.AppendUint16(dst, uint16(high)), uint16(low))
			continue
		}
		dst = le.AppendUint16(dst, uint16(r))
	}
	return dst
}

func decodeName(units []byte) string {
	name, _ := appendName(nil, units)
	return string(name)
}

// sayable reports whether the name can be an element of a path of io/fs.
func sayable(name []byte) bool {
	switch string(name) {
	case "", ".", "..":
		return false
	}
	for _, c := range name {
		if c == '/' {
			return false
		}
	}
	return true
}

// loadUpcase reads $UpCase, record 10.
func (f *FS) loadUpcase() error {
	up, err := func() (*upcase, error) {
		ino, err := f.load(recordUpcase)
		if err != nil {
			return nil, err
		}
		s, err := ino.need(f.disk, typeData, "")
		if err != nil {
			return nil, err
		}
		table, err := s.readAll(int64(2 * len(upcase{})))
		if err != nil {
			return nil, err
		}
		return parseUpcase(table)
	}()
	if err != nil {
		if !recoverable(err) {
			return fmt.Errorf("$UpCase: %w", err)
		}
		f.note("$UpCase cannot be read (%v), so names are compared by Unicode upper case", err)
		up, f.orderUnknown = defaultUpcase(), true
	}
	f.up = up
	return nil
}
