// Package utf16le converts texts in UTF-16LE, as Windows and NTFS keep them.
package utf16le

import (
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

var encoding = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)

// Decode returns a text in UTF-8. Surrogates that are no pair become U+FFFD, an
// odd byte at the end is left out, and a byte order mark stays.
func Decode(b []byte) string {
	b = b[:len(b)&^1]
	text := make([]byte, 0, len(b)/2)
	for ; len(b) > 0 && b[0] < utf8.RuneSelf && b[1] == 0; b = b[2:] { // ASCII, as most texts are
		text = append(text, b[0])
	}
	if len(b) > 0 {
		n := len(text)
		text = append(make([]byte, 0, n+len(b)/2*utf8.UTFMax), text...)
		rest, _, _ := encoding.NewDecoder().Transform(text[n:cap(text)], b, true) // replaces invalid input
		text = text[:n+rest]
	}
	return string(text)
}

// Encode returns a text in UTF-16LE. Invalid UTF-8 becomes U+FFFD.
func Encode(text string) []byte {
	b, _ := encoding.NewEncoder().Bytes([]byte(text)) // replaces invalid input
	return b
}
