package registry

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// decodeLatin1 decodes a compressed name, a byte a character (0-0xFF).
func decodeLatin1(b []byte) string {
	for _, c := range b {
		if c >= 0x80 {
			r := make([]rune, len(b))
			for i, c := range b {
				r[i] = rune(c)
			}
			return string(r)
		}
	}
	return string(b)
}

// decodeUTF16 decodes UTF-16LE; an odd byte at the end is left out, a lone surrogate becomes U+FFFD.
func decodeUTF16(b []byte) string {
	var s strings.Builder
	s.Grow(len(b) / 2)
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(le.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			var low rune
			if i+3 < len(b) {
				low = rune(le.Uint16(b[i+2:]))
			}
			if r = utf16.DecodeRune(r, low); r != unicode.ReplacementChar {
				i += 2
			}
		}
		s.WriteRune(r)
	}
	return s.String()
}

// untilNUL cuts UTF-16LE at its first NUL.
func untilNUL(b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		if le.Uint16(b[i:]) == 0 {
			return b[:i]
		}
	}
	return b
}

// upcase returns the upper-case form of a UTF-16 unit as Windows compares names: the one-to-one pairs of Unicode as of
// Windows Vista. So `ı` and `ſ` are not I and S, `µ` is not Μ, and the scripts that got a second case later have none.
func upcase(c uint16) uint16 {
	if c < 0x80 {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		return c
	}
	u := unicode.ToUpper(rune(c))
	if u == rune(c) || unicode.ToLower(u) != rune(c) || unicode.Is(caseless, rune(c)) {
		return c
	}
	return uint16(u)
}

// caseless holds the letters that Unicode gave an upper-case form after the tables of Windows were made.
var caseless = &unicode.RangeTable{R16: []unicode.Range16{
	{0x023F, 0x0240, 1}, {0x0252, 0x0252, 1}, {0x025C, 0x025C, 1}, {0x0261, 0x0261, 1}, {0x0265, 0x0266, 1},
	{0x026A, 0x026A, 1}, {0x026C, 0x026C, 1}, {0x0282, 0x0282, 1}, {0x0287, 0x0287, 1}, {0x029D, 0x029E, 1},
	{0x03F3, 0x03F3, 1}, {0x0525, 0x052F, 2}, {0x10D0, 0x10FA, 1}, {0x10FD, 0x10FF, 1}, {0x13F8, 0x13FD, 1},
	{0x1D8E, 0x1D8E, 1}, {0x2C5F, 0x2C5F, 1}, {0x2CEC, 0x2CF3, 1}, {0x2D27, 0x2D2D, 1}, {0xA661, 0xA661, 1},
	{0xA699, 0xA69B, 2}, {0xA791, 0xA7F6, 1}, {0xAB53, 0xAB53, 1}, {0xAB70, 0xABBF, 1},
}}

// A wantedName is a name that is looked for, ready to be compared with names in a hive.
type wantedName struct {
	upper []uint16 // upper-case UTF-16 units
	hash  uint32   // of hash leaves
	ascii bool
}

func want(name string) wantedName {
	w := wantedName{upper: utf16.Encode([]rune(name)), ascii: true}
	for i, c := range w.upper {
		w.upper[i] = upcase(c)
		w.hash = w.hash*37 + uint32(w.upper[i])
		w.ascii = w.ascii && c < 0x80
	}
	return w
}

// is compares with a name as it lies in the hive, compressed or UTF-16LE, without case.
func (w *wantedName) is(raw []byte, compressed bool) bool {
	if compressed {
		if len(raw) != len(w.upper) {
			return false
		}
		for i, c := range raw {
			if upcase(uint16(c)) != w.upper[i] {
				return false
			}
		}
		return true
	}
	if len(raw) != 2*len(w.upper) {
		return false
	}
	for i, u := range w.upper {
		if upcase(le.Uint16(raw[2*i:])) != u {
			return false
		}
	}
	return true
}

// quote puts a path or name into quotes for a message. Backslashes stay as they are unless the name holds something
// that is not printable.
func quote(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return `"` + s + `"`
}

// decodeName decodes a name as it lies in a hive.
func decodeName(raw []byte, compressed bool) string {
	if compressed {
		return decodeLatin1(raw)
	}
	return decodeUTF16(raw)
}
