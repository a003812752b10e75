package windows

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// decodeText decodes a text file of Windows: UTF-16 or UTF-8 with a byte order
// mark, UTF-16 without one if every other byte of its beginning is zero, else
// bytes as they are.
func decodeText(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return utf16String(b[2:])
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		swapped := make([]byte, len(b)-2)
		for i := 0; i+1 < len(swapped); i += 2 {
			swapped[i], swapped[i+1] = b[i+3], b[i+2]
		}
		return utf16String(swapped)
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		return string(b[3:])
	case len(b) >= 4 && b[1] == 0 && b[3] == 0 && b[0] != 0:
		return utf16String(b)
	}
	return string(b)
}

// decodeXML decodes an XML file of Windows in any of the encodings of
// decodeText. The declaration is left out: it names the encoding that the text
// no longer has.
func decodeXML(b []byte, into any) error {
	text := strings.TrimSpace(decodeText(b))
	if strings.HasPrefix(text, "<?xml") {
		if _, rest, ok := strings.Cut(text, "?>"); ok {
			text = rest
		}
	}
	if err := xml.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("not well-formed XML: %w", err)
	}
	return nil
}
