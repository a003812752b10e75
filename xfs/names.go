package xfs

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// escapes is where the characters begin that stand for bytes a path of io/fs
// cannot hold: 256 of them in a private use area.
const escapes = 0xEF00

// maxName is the length of the longest name, in bytes.
const maxName = 255

// encodeName turns the bytes of a name into an element of a path of io/fs.
// Those are UTF-8 and stay, but for
//
//   - bytes that are not UTF-8, and "/", which only a damaged volume has:
//     byte b becomes the character U+EF00+b;
//   - the characters U+EF00 to U+EFFF themselves, whose three bytes become
//     three characters.
//
// So every name has one form, and decodeName gives back its bytes.
func encodeName(name []byte) string { return encode(name, true) }

// encodePath is encodeName for all elements of a path.
func encodePath(path []byte) string { return encode(path, false) }

func encode(name []byte, slash bool) string {
	if utf8.Valid(name) && (!slash || bytes.IndexByte(name, '/') < 0) && bytes.IndexByte(name, 0xEE) < 0 {
		return string(name)
	}
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		if r == utf8.RuneError && n == 1 || r>>8 == escapes>>8 || r == '/' && slash {
			for _, c := range name[:n] {
				b.WriteRune(escapes + rune(c))
			}
		} else {
			b.Write(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// decodeName returns the bytes of a name that encodeName gave. Any other name
// is none of a file.
func decodeName(name string) ([]byte, bool) {
	if !strings.Contains(name, "\xEE") {
		return []byte(name), len(name) <= maxName
	}
	var raw []byte
	for _, r := range name {
		if r>>8 == escapes>>8 {
			raw = append(raw, byte(r))
		} else {
			raw = utf8.AppendRune(raw, r)
		}
	}
	return raw, len(raw) <= maxName && encodeName(raw) == name
}
