package registry

import (
	"cmp"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// A rawName is the name of a key or value as stored in a hive.
type rawName struct {
	bytes      []byte
	compressed bool // a byte a character (0-0xFF), else UTF-16LE
}

func (n rawName) String() string {
	if !n.compressed {
		return utf16le.Decode(n.bytes)
	}
	if isASCII(n.bytes) {
		return string(n.bytes)
	}
	text, _ := charmap.ISO8859_1.NewDecoder().Bytes(n.bytes) // decodes every byte
	return string(text)
}

// units returns the number of UTF-16 units.
func (n rawName) units() int {
	if n.compressed {
		return len(n.bytes)
	}
	return len(n.bytes) / 2
}

// upper returns the i-th unit in upper case.
func (n rawName) upper(i int) uint16 {
	if n.compressed {
		return upcase(uint16(n.bytes[i]))
	}
	return upcase(le.Uint16(n.bytes[2*i:]))
}

// hash returns the hash that hash leaves have of the name, and whether the name is ASCII.
func (n rawName) hash() (hash uint32, ascii bool) {
	var all uint16
	if n.compressed {
		for _, b := range n.bytes {
			c := upcaseLatin1[b]
			hash = addToHash(hash, c)
			all |= c
		}
	} else {
		for i := range n.units() {
			c := n.upper(i)
			hash = addToHash(hash, c)
			all |= c
		}
	}
	return hash, all < 0x80
}

// compare compares two names unit by unit, without case.
func (n rawName) compare(m rawName) int {
	for i := range min(n.units(), m.units()) {
		if c := cmp.Compare(n.upper(i), m.upper(i)); c != 0 {
			return c
		}
	}
	return cmp.Compare(n.units(), m.units())
}

// addToHash adds an upper-case unit to the hash of a name (regf, "Hash leaf").
func addToHash(hash uint32, unit uint16) uint32 { return hash*37 + uint32(unit) }

func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
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
	if c < 0x100 {
		return upcaseLatin1[c]
	}
	return upcaseUnicode(c)
}

// upcaseLatin1 has the result of upcase for the first 256 characters, which cover nearly all
// names.
var upcaseLatin1 = func() (table [256]uint16) {
	for c := range table {
		table[c] = upcaseUnicode(uint16(c))
	}
	return table
}()

func upcaseUnicode(c uint16) uint16 {
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
}

func want(name string) wantedName {
	w := wantedName{upper: utf16.Encode([]rune(name))}
	for i, c := range w.upper {
		w.upper[i] = upcase(c)
		w.hash = addToHash(w.hash, w.upper[i])
	}
	return w
}

// is compares with a name in a hive, without case.
func (w *wantedName) is(n rawName) bool {
	if n.units() != len(w.upper) {
		return false
	}
	for i, c := range w.upper {
		if n.upper(i) != c {
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
