package statement

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// decodeUnicode decodes UTF-8, and UTF-16 with a byte order mark, as PowerShell
// writes it, or without one, as cscript does. ok is false for anything else.
func decodeUnicode(data []byte) (text string, ok bool) {
	if endian, isUTF16 := utf16Endian(data); isUTF16 {
		b, err := unicode.UTF16(endian, unicode.UseBOM).NewDecoder().Bytes(data)
		if err != nil || len(data)%2 != 0 {
			return "", false
		}
		return string(b), true
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return string(data), utf8.Valid(data)
}

// utf16Endian detects UTF-16 by its byte order mark, else by the zeros on one
// side of the many ASCII characters that every document has.
func utf16Endian(data []byte) (endian unicode.Endianness, ok bool) {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		return unicode.LittleEndian, true
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return unicode.BigEndian, true
	}
	const sample = 4096
	var zeros [2]int // at even and odd offsets
	for i, b := range data[:min(len(data), sample)] {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch few := min(len(data), sample) / 10; {
	case zeros[1] > few && zeros[0] == 0:
		return unicode.LittleEndian, true
	case zeros[0] > few && zeros[1] == 0:
		return unicode.BigEndian, true
	}
	return unicode.LittleEndian, false
}

// codePages are the encodings of a text that is not Unicode: which one it is
// depends on the machine that wrote it and is not recorded. What a decision
// needs is ASCII in all of them, but for the colon, which East Asian texts have
// in full width too. Windows-1252 stands for all with one byte a letter.
var codePages = []encoding.Encoding{
	charmap.Windows1252, japanese.ShiftJIS, simplifiedchinese.GBK, traditionalchinese.Big5, korean.EUCKR,
}

// parseCodePages reads a text in one of the code pages. All that make sense of
// it have to say the same.
func parseCodePages(data []byte) (*Document, error) {
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, fmt.Errorf("%w: JSON that is neither UTF-8 nor UTF-16", ErrInvalid)
	}
	var found *Slmgr
	var failed error
	for _, page := range codePages {
		text, err := page.NewDecoder().Bytes(data)
		if err != nil {
			continue
		}
		s, err := parseSlmgr(string(text))
		switch {
		case errors.Is(err, errTwoCounts):
			return nil, err
		case err != nil:
			if failed == nil || errors.Is(failed, ErrUnknownKind) {
				failed = err
			}
		case found == nil:
			found = s
		case found.RemainingWindowsRearm != s.RemainingWindowsRearm:
			return nil, fmt.Errorf("%w: its encoding is not known, and the rearm count depends on it; save it as Unicode",
				ErrInvalid)
		}
	}
	if found == nil {
		return nil, failed
	}
	for _, s := range []*string{&found.Name, &found.Description, &found.Channel, &found.Status} {
		if strings.ContainsFunc(*s, func(r rune) bool { return r >= utf8.RuneSelf }) {
			*s = "" // the letters may be others
		}
	}
	return &Document{Kind: License, Slmgr: found}, nil
}
