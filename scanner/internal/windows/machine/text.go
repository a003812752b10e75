package machine

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/unicode"

	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
)

// DecodeText decodes a text file of Windows: UTF-16 or UTF-8 with a byte order
// mark, UTF-16 without one if every other byte of its beginning is zero, else
// bytes as they are.
func DecodeText(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return utf16le.Decode(b[2:])
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		text, _ := utf16BE.NewDecoder().Bytes(b[2 : len(b)&^1]) // replaces what it cannot decode
		return string(text)
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		return string(b[3:])
	case len(b) >= 4 && b[1] == 0 && b[3] == 0 && b[0] != 0:
		return utf16le.Decode(b)
	}
	return string(b)
}

var utf16BE = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)

// DecodeXML decodes an XML file of Windows in any of the encodings of
// DecodeText. The declaration is left out: it names the encoding that the text
// no longer has.
func DecodeXML(b []byte, into any) error {
	text := strings.TrimSpace(DecodeText(b))
	if strings.HasPrefix(text, "<?xml") {
		if _, rest, ok := strings.Cut(text, "?>"); ok {
			text = rest
		}
	}
	if err := xml.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("not well-formed XML: %w", fact.Syntax(err))
	}
	return nil
}
