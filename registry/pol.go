package registry

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// A PolEntry is an instruction of a policy file: set this value. Values whose name begins with "**" are instructions
// to delete (`**del.NAME`, `**delvals.`, `**DeleteValues`, …), [MS-GPREG] 3.2.5.1 lists them.
type PolEntry struct {
	Key   string // below HKLM or HKCU, as the place of the file says
	Value string
	Type  Type
	Data  []byte // aliases the parsed data
}

// ParsePol reads a policy file (Registry.pol). If it is damaged the entries before the damage are returned with an
// error that is ErrCorrupt; a file of another version is ErrUnsupported.
func ParsePol(data []byte) ([]PolEntry, error) {
	// [MS-GPREG] 2.2.1: signature, version, then for each entry, all in UTF-16LE except for the numbers and the data:
	// [key NUL;value NUL;type;size;data]
	const headerSize = 8
	if len(data) < headerSize || string(data[:4]) != "PReg" {
		return nil, fmt.Errorf("%w: not a policy file: no signature \"PReg\"", ErrCorrupt)
	}
	if v := le.Uint32(data[4:]); v != 1 {
		return nil, fmt.Errorf("%w: policy file of version %d", ErrUnsupported, v)
	}
	var entries []PolEntry
	for rest := data[headerSize:]; len(rest) > 0; {
		p := polParser{rest: rest}
		var e PolEntry
		p.expect('[')
		e.Key = p.text()
		p.expect(';')
		e.Value = p.text()
		p.expect(';')
		e.Type = Type(p.number())
		p.expect(';')
		size := p.number()
		p.expect(';')
		e.Data = p.take(int64(size))
		p.expect(']')
		if p.failed {
			return entries, fmt.Errorf("%w: policy file: entry %d, at 0x%x, breaks off at 0x%x",
				ErrCorrupt, len(entries)+1, len(data)-len(rest), len(data)-len(p.rest))
		}
		entries, rest = append(entries, e), p.rest
	}
	return entries, nil
}

// A polParser reads fields from the front of the rest of a policy file, until one is missing.
type polParser struct {
	rest   []byte
	failed bool
}

// take returns the next n bytes, nil if there are fewer.
func (p *polParser) take(n int64) []byte {
	if p.failed || n > int64(len(p.rest)) {
		p.failed = true
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *polParser) expect(unit uint16) {
	if b := p.take(2); b != nil && le.Uint16(b) != unit {
		p.failed = true
	}
}

func (p *polParser) number() uint32 {
	if b := p.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

// text returns the characters up to the next NUL, which it takes too.
func (p *polParser) text() string {
	for i := 0; i+1 < len(p.rest); i += 2 {
		if le.Uint16(p.rest[i:]) == 0 {
			text := utf16le.Decode(p.rest[:i])
			p.take(int64(i) + 2)
			return text
		}
	}
	p.failed = true
	return ""
}
