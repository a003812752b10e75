package report

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// NewJSONEncoder returns a JSON encoder for people and programs: parsers read
// strings from an image unchanged, and no character in them can mislead a
// reader. Invisible or misleading characters (control and format characters,
// bidirectional ones, line separators, private and unassigned ones) are escaped
// as \uXXXX, which every parser reads as the same string. Bytes that are not
// UTF-8 become U+FFFD.
func NewJSONEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(escaper{w})
	e.SetEscapeHTML(false)
	return e
}

// escaper escapes characters in JSON text, where such as it escapes are in
// strings only. A json.Encoder writes each value at once, so that no character
// is cut.
type escaper struct{ w io.Writer }

func (e escaper) Write(text []byte) (int, error) {
	var out []byte // nil until something is escaped
	from := 0
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf && c != 0x7F {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if !harmless(r) {
			out = append(out, text[from:i]...)
			out = appendEscaped(out, r)
			from = i + size
		}
		i += size
	}
	if out != nil {
		out = append(out, text[from:]...)
	} else {
		out = text
	}
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

func appendEscaped(out []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
