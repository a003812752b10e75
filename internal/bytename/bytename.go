// Package bytename shows names that are bytes, as the filesystems of Unix have
// them, as elements of a path of io/fs, and gives their bytes back.
package bytename

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// escapes is where the characters begin that stand for bytes a path of io/fs
// cannot hold: 256 of them in a private use area.
const escapes = 0xEF00

// Max is the length of the longest name, in bytes: that of ext2 to ext4 and XFS.
const Max = 255

// Encode turns the bytes of a name into an element of a path of io/fs.
// Those are UTF-8 and stay, but for
//
//   - bytes that are not UTF-8, and "/", which only a damaged volume has:
//     byte b becomes the character U+EF00+b;
//   - the characters U+EF00 to U+EFFF themselves, whose three bytes become
//     three characters.
//
// So every name has one form, and Decode gives back its bytes.
func Encode(name []byte) string { return encode(name, true) }

// EncodePath is Encode for all elements of a path.
func EncodePath(path []byte) string { return encode(path, false) }

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

// Decode returns the bytes of a name that Encode returned. No other string
// names a file.
func Decode(name string) ([]byte, bool) {
	if !strings.Contains(name, "\xEE") {
		return []byte(name), len(name) <= Max
	}
	var raw []byte
	for _, r := range name {
		if r>>8 == escapes>>8 {
			raw = append(raw, byte(r))
		} else {
			raw = utf8.AppendRune(raw, r)
		}
	}
	return raw, len(raw) <= Max && Encode(raw) == name
}
