package disk

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of the text in which LVM2 keeps its metadata.
const (
	maxLVMDepth  = 16      // of sections and lists; LVM2's own are four deep
	maxLVMValues = 1 << 18 // a group with 10,000 volumes has about that many
)

// lvmSection is a section of the text: values and sections by name.
type lvmSection struct {
	names    []string // of the sections, in order
	sections map[string]*lvmSection
	values   map[string][]string // a number or a text is a list of one
}

// parseLVM parses the text (LVM2, lib/config/config.c):
//
//	name { … }
//	name = 12, name = "text", name = ["a", 12]
//	# a comment
func parseLVM(text string) (*lvmSection, error) {
	p := &lvmParser{text: text}
	s, err := p.section(0, true)
	if err != nil {
		return nil, fmt.Errorf("at byte %d of the text: %w", p.at, err)
	}
	return s, nil
}

type lvmParser struct {
	text   string
	at     int
	values int
}

// skip skips white space and comments.
func (p *lvmParser) skip() {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			if n := strings.IndexByte(p.text[p.at:], '\n'); n >= 0 {
				p.at += n
			} else {
				p.at = len(p.text)
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0:
			p.at++
		default:
			return
		}
	}
}

// take goes over one character if it is the next.
func (p *lvmParser) take(c byte) bool {
	p.skip()
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *lvmParser) word() string {
	p.skip()
	begin := p.at
	for p.at < len(p.text) && !strings.ContainsRune(" \t\r\n\x00={}[],#\"", rune(p.text[p.at])) {
		p.at++
	}
	return p.text[begin:p.at]
}

func (p *lvmParser) section(depth int, outermost bool) (*lvmSection, error) {
	if depth > maxLVMDepth {
		return nil, fmt.Errorf("%w: sections more than %d deep", ErrUnsupported, maxLVMDepth)
	}
	s := &lvmSection{sections: map[string]*lvmSection{}, values: map[string][]string{}}
	for {
		p.skip()
		if outermost && p.at == len(p.text) || !outermost && p.take('}') {
			return s, nil
		}
		name := p.word()
		if name == "" {
			return nil, errLVMText
		}
		if p.values++; p.values > maxLVMValues {
			return nil, fmt.Errorf("%w: more than %d values", ErrUnsupported, maxLVMValues)
		}
		switch {
		case p.take('{'):
			inner, err := p.section(depth+1, false)
			if err != nil {
				return nil, err
			}
			if s.sections[name] != nil {
				return nil, fmt.Errorf("%w: two sections are called %s", ErrCorrupt, name)
			}
			s.names = append(s.names, name)
			s.sections[name] = inner
		case p.take('='):
			list, err := p.value()
			if err != nil {
				return nil, err
			}
			s.values[name] = list
		default:
			return nil, errLVMText
		}
	}
}

var errLVMText = fmt.Errorf("%w: it is not as LVM2 writes it", ErrCorrupt)

// value reads a number, a text, or a list of these.
func (p *lvmParser) value() (list []string, err error) {
	if !p.take('[') {
		v, err := p.scalar()
		return []string{v}, err
	}
	for !p.take(']') {
		v, err := p.scalar()
		if err != nil {
			return nil, err
		}
		if p.values++; p.values > maxLVMValues {
			return nil, fmt.Errorf("%w: more than %d values", ErrUnsupported, maxLVMValues)
		}
		list = append(list, v)
		p.take(',')
	}
	return list, nil
}

func (p *lvmParser) scalar() (string, error) {
	if !p.take('"') {
		if w := p.word(); w != "" {
			return w, nil
		}
		return "", errLVMText
	}
	var b strings.Builder
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String(), nil
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", errLVMText
}

// text returns a value that is a text, "" if there is none.
func (s *lvmSection) text(name string) string {
	if v := s.values[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// number returns a value that is a number and not more than most.
func (s *lvmSection) number(name string, most int64) (int64, error) {
	n, err := strconv.ParseInt(s.text(name), 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %s is %q", ErrCorrupt, name, s.text(name))
	}
	return n, nil
}

// under returns the section of a name, an empty one if there is none.
func (s *lvmSection) under(name string) *lvmSection {
	if inner := s.sections[name]; inner != nil {
		return inner
	}
	return &lvmSection{}
}
