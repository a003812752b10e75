package windows

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// count says how many there are of something: "1 service", "2 services".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// gib says a size as a person reads it, with one digit after the point. It
// rounds towards zero, so that a size below a bound never reads as the bound.
func gib(bytes int64) string {
	whole, tenths := bytes>>30, (bytes&(1<<30-1))*10>>30
	if bytes > 0 && whole == 0 && tenths == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d.%d GiB", whole, tenths)
}

// some joins the first few of a list, and says how many more there are.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

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
