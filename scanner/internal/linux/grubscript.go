package linux

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The language of grub.cfg (GNU GRUB Manual 2.06, "Writing full configuration
// files directly" and "Shell-like scripting"), limited to the parts that decide
// which kernels are started with which arguments.

// A grubWord is a word of a command, in parts.
type grubWord []grubPart

type grubPart struct {
	text     string // or the name of a variable
	variable bool
}

// literal is the text of a word without variables.
func (w grubWord) literal() string {
	var b strings.Builder
	for _, p := range w {
		if p.variable {
			return ""
		}
		b.WriteString(p.text)
	}
	return b.String()
}

// A grubStatement is a command, or a compound one: its kind is "if", "loop",
// "function", "menuentry" or "submenu".
type grubStatement struct {
	kind   string
	words  []grubWord
	blocks [][]grubStatement // of "if": condition, body, condition, body, …, perhaps a last body; else the body
	line   int
}

// grubToken is a word, or one of the signs that end commands.
type grubToken struct {
	word grubWord
	sign byte // '\n', ';', '{', '}', 0 for a word, 1 for the end
	line int
}

var errGrubScript = errors.New("cannot be parsed")

// grubTokens takes a script apart.
func grubTokens(text string) ([]grubToken, error) {
	var tokens []grubToken
	line := 1
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\n', c == ';':
			tokens = append(tokens, grubToken{sign: c, line: line})
			if c == '\n' {
				line++
			}
			i++
		case c == ' ', c == '\t', c == '\r':
			i++
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case c == '&' || c == '|':
			tokens = append(tokens, grubToken{sign: ';', line: line})
			i++
		default:
			word, length, lines, err := grubReadWord(text[i:])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w: %w", line, errGrubScript, err)
			}
			t := grubToken{word: word, line: line}
			if raw := text[i : i+length]; raw == "{" || raw == "}" {
				t = grubToken{sign: raw[0], line: line}
			}
			tokens = append(tokens, t)
			line += lines
			i += length
		}
	}
	return append(tokens, grubToken{sign: 1, line: line}), nil
}

// grubReadWord reads the word at the beginning of a text, and says how long it
// is and how many ends of lines are in it.
func grubReadWord(text string) (word grubWord, length, lines int, err error) {
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			word = append(word, grubPart{text: b.String()})
			b.Reset()
		}
	}
	i := 0
	variable := func() error {
		flush()
		name, n := grubVariable(text[i:])
		if n == 0 {
			b.WriteByte('$')
			i++
			return nil
		}
		word = append(word, grubPart{text: name, variable: true})
		i += n
		return nil
	}
	for i < len(text) {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n;&|", c) >= 0:
			flush()
			return word, i, lines, nil
		case c == '\\':
			if i+1 < len(text) && text[i+1] != '\n' {
				b.WriteByte(text[i+1])
			} else if i+1 < len(text) {
				lines++
			}
			i = min(i+2, len(text))
		case c == '\'':
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return nil, 0, 0, errors.New("a quotation mark is not closed")
			}
			b.WriteString(text[i+1 : i+1+end])
			lines += strings.Count(text[i+1:i+1+end], "\n")
			word = append(word, grubPart{}) // an empty word is a word
			i += end + 2
		case c == '"':
			i++
			word = append(word, grubPart{})
			for closed := false; !closed; {
				if i >= len(text) {
					return nil, 0, 0, errors.New("a quotation mark is not closed")
				}
				switch d := text[i]; {
				case d == '"':
					closed = true
					i++
				case d == '\\' && i+1 < len(text) && strings.IndexByte("\"\\$\n", text[i+1]) >= 0:
					if text[i+1] != '\n' {
						b.WriteByte(text[i+1])
					} else {
						lines++
					}
					i += 2
				case d == '$':
					if err := variable(); err != nil {
						return nil, 0, 0, err
					}
				default:
					if d == '\n' {
						lines++
					}
					b.WriteByte(d)
					i++
				}
			}
		case c == '$':
			if err := variable(); err != nil {
				return nil, 0, 0, err
			}
		default:
			b.WriteByte(c)
			i++
		}
	}
	flush()
	return word, i, lines, nil
}

// grubVariable reads the name of a variable behind "$"; n is 0 if there is
// none.
func grubVariable(text string) (name string, n int) {
	if strings.HasPrefix(text, "${") {
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return "", 0
		}
		return text[2:end], end + 1
	}
	n = 1
	for n < len(text) && (text[n] == '_' || text[n] >= '0' && text[n] <= '9' || text[n] >= 'A' && text[n] <= 'Z' ||
		text[n] >= 'a' && text[n] <= 'z') {
		n++
	}
	if n == 1 {
		if n < len(text) && strings.IndexByte("?*@#", text[n]) >= 0 {
			return text[1:2], 2
		}
		return "", 0
	}
	return text[1:n], n
}

// maxGrubNesting bounds blocks in blocks.
const maxGrubNesting = 40

type grubParser struct {
	tokens []grubToken
	at     int
	depth  int
}

// parseGrub parses a script.
func parseGrub(text string) ([]grubStatement, error) {
	tokens, err := grubTokens(text)
	if err != nil {
		return nil, err
	}
	p := &grubParser{tokens: tokens}
	block, err := p.block("")
	if err == nil && p.tokens[p.at].sign != 1 {
		err = p.fail("%q ends no block", string(p.tokens[p.at].sign))
	}
	return block, err
}

func (p *grubParser) fail(format string, args ...any) error {
	return fmt.Errorf("line %d: %w: %s", p.tokens[p.at].line, errGrubScript, fmt.Sprintf(format, args...))
}

// block reads commands up to one of the words, which is not read, to a "}" or
// the end.
func (p *grubParser) block(ends ...string) ([]grubStatement, error) {
	if p.depth++; p.depth > maxGrubNesting {
		return nil, p.fail("more than %d nested blocks", maxGrubNesting)
	}
	defer func() { p.depth-- }()
	var list []grubStatement
	for {
		t := p.tokens[p.at]
		switch t.sign {
		case '\n', ';':
			p.at++
			continue
		case '}', 1:
			return list, nil
		}
		word := t.word.literal()
		if t.sign == 0 && slices.Contains(ends, word) && word != "" {
			return list, nil
		}
		s, err := p.statement(word)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
}

func (p *grubParser) statement(first string) (grubStatement, error) {
	s := grubStatement{line: p.tokens[p.at].line}
	switch first {
	case "if":
		s.kind = "if"
		p.at++
		for {
			condition, err := p.blockThen("then")
			if err != nil {
				return s, err
			}
			body, err := p.block("elif", "else", "fi")
			if err != nil {
				return s, err
			}
			s.blocks = append(s.blocks, condition, body)
			end := p.tokens[p.at].word.literal()
			if p.tokens[p.at].sign != 0 {
				return s, p.fail("if has no fi")
			}
			p.at++
			switch end {
			case "elif":
				continue
			case "else":
				last, err := p.blockThen("fi")
				if err != nil {
					return s, err
				}
				s.blocks = append(s.blocks, last)
			}
			return s, nil
		}
	case "while", "until", "for":
		s.kind = "loop"
		p.at++
		if first == "for" {
			for p.tokens[p.at].sign == 0 {
				s.words = append(s.words, p.tokens[p.at].word)
				p.at++
			}
		}
		condition, err := p.blockThen("do")
		if err != nil {
			return s, err
		}
		body, err := p.blockThen("done")
		s.blocks = [][]grubStatement{condition, body}
		return s, err
	}
	for p.tokens[p.at].sign == 0 {
		s.words = append(s.words, p.tokens[p.at].word)
		p.at++
	}
	if p.tokens[p.at].sign != '{' {
		return s, nil
	}
	switch first {
	case "function", "menuentry", "submenu":
		s.kind = first
	default:
		if len(s.words) > 0 {
			return s, p.fail("a block follows %q", first)
		}
		s.kind = "loop" // a block by itself
		s.blocks = [][]grubStatement{nil}
	}
	p.at++
	body, err := p.block()
	if err != nil {
		return s, err
	}
	if p.tokens[p.at].sign != '}' {
		return s, p.fail("a block is not closed")
	}
	p.at++
	s.blocks = append(s.blocks, body)
	return s, nil
}

// blockThen reads commands up to a word, which is read too.
func (p *grubParser) blockThen(end string) ([]grubStatement, error) {
	block, err := p.block(end)
	if err != nil {
		return nil, err
	}
	if p.tokens[p.at].sign != 0 {
		return nil, p.fail("%q is missing", end)
	}
	p.at++
	return block, nil
}

// grubUnknown stands in the value of a variable that is not known before the
// system starts.
const grubUnknown = "\x00"

// grubEnv is what variables may hold; one that is not there is empty.
type grubEnv map[string][]string

// Bounds of what a variable or word may be: how many values, and their length.
const (
	maxGrubValues = 8
	maxGrubValue  = 16 << 10
)

func (e grubEnv) copy() grubEnv {
	c := make(grubEnv, len(e))
	for name, values := range e {
		c[name] = values
	}
	return c
}

// join makes of two environments, of which either may be, the one that may be
// both.
func (e grubEnv) join(other grubEnv) {
	empty := []string{""}
	get := func(env grubEnv, name string) []string {
		if v, ok := env[name]; ok {
			return v
		}
		return empty
	}
	for name := range other {
		if _, ok := e[name]; !ok {
			e[name] = empty
		}
	}
	for name := range e {
		both := slices.Clone(get(e, name))
		for _, v := range get(other, name) {
			if !slices.Contains(both, v) {
				both = append(both, v)
			}
		}
		if len(both) > maxGrubValues {
			both = []string{grubUnknown}
		}
		e[name] = both
	}
}

// expand returns what a word may be.
func (e grubEnv) expand(w grubWord) []string {
	list := []string{""}
	for _, p := range w {
		values := []string{p.text}
		if p.variable {
			var ok bool
			if values, ok = e[p.text]; !ok {
				values = []string{builtinGrub(p.text)}
			}
		}
		var next []string
		for _, before := range list {
			for _, v := range values {
				if s := before + v; !slices.Contains(next, s) {
					next = append(next, s)
				}
			}
		}
		if list = next; len(list) > maxGrubValues || slices.ContainsFunc(list,
			func(s string) bool { return len(s) > maxGrubValue }) {
			return []string{grubUnknown}
		}
	}
	return list
}

// builtinGrub is the value of a variable that no command has set.
func builtinGrub(name string) string {
	switch name {
	case "root", "grub_platform", "grub_cpu", "cmdpath", "lang", "locale_dir", "secondary_locale_dir", "lockdown",
		"shim_lock", "check_signatures", "?":
		return grubUnknown
	}
	if strings.HasPrefix(name, "feature_") {
		return "y"
	}
	if strings.HasPrefix(name, "net_") {
		return grubUnknown
	}
	return ""
}
