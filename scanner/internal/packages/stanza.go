package packages

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// stanza is one paragraph of a control file (deb-control(5)): lines with a name
// and a value, which lines that begin with space continue. Empty lines separate
// stanzas. Names are converted to lower case.
type stanza struct {
	line   int // of its first field
	fields map[string]string
}

// maxFields is the largest number of fields of a stanza. Real ones have 30.
const maxFields = 1000

// stanzas goes over the stanzas of a file. A damaged one comes as an error that
// names the line, and the next after it. The stanza is valid for one step.
func stanzas(data []byte) iter.Seq2[stanza, error] {
	return func(yield func(stanza, error) bool) {
		s := stanza{fields: map[string]string{}}
		var field string
		var err error
		line := 0
		for text := range bytes.Lines(data) {
			line++
			text, whole := bytes.CutSuffix(text, []byte("\n"))
			if len(text) == 0 {
				if s.line != 0 && !yield(s, err) {
					return
				}
				s.line, field, err = 0, "", nil
				clear(s.fields)
				continue
			}
			if s.line == 0 {
				s.line = line
			}
			if err != nil {
				continue
			}
			if err = s.add(&field, text); err == nil && !whole {
				err = fmt.Errorf("the last line is truncated: %w", ErrCorrupt)
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", line, err)
			}
		}
		if s.line != 0 {
			yield(s, err)
		}
	}
}

// add adds a line to the stanza; field is the field that it may continue.
func (s *stanza) add(field *string, text []byte) error {
	if text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\v' || text[0] == '\f' {
		if *field == "" {
			return fmt.Errorf("it continues no field: %w", ErrCorrupt)
		}
		if v := s.fields[*field]; wanted[*field] && len(v) <= maxField {
			s.fields[*field] = v + "\n" + string(bytes.TrimSpace(text))
		}
		return nil
	}
	name, value, ok := bytes.Cut(text, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 || name[0] == '#' || name[0] == '-' || bytes.ContainsFunc(name, notInName) {
		return fmt.Errorf("no field: %.100q: %w", text, ErrCorrupt)
	}
	*field = strings.ToLower(string(name))
	switch _, twice := s.fields[*field]; {
	case twice:
		return fmt.Errorf("a second field %.100s: %w", name, ErrCorrupt)
	case len(s.fields) == maxFields:
		return fmt.Errorf("more than %d fields: %w", maxFields, ErrUnsupported)
	}
	s.fields[*field] = ""
	if wanted[*field] {
		s.fields[*field] = string(bytes.TrimSpace(value))
	}
	return nil
}

// wanted are the fields whose values are kept.
var wanted = map[string]bool{
	"package": true, "status": true, "architecture": true, "multi-arch": true,
	"version": true, "config-version": true, "maintainer": true,
}

func notInName(r rune) bool { return r <= ' ' || r == 0x7F }

// value returns a field's value, "" if there is none.
func (s stanza) value(name string) (string, error) {
	v := strings.TrimSpace(s.fields[name])
	if len(v) > maxField {
		return "", fmt.Errorf("a field %s of %d bytes: %w", name, len(v), ErrCorrupt)
	}
	return v, nil
}
