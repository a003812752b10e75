package linux

import (
	"fmt"
	"strings"
)

// shellCommand is a simple command of a shell script: its words, with variables
// replaced if the script sets them.
type shellCommand struct {
	Words  []string // without assignments, redirections and keywords
	Assign []string // NAME=value before the words
	Line   int      // from 1
	Dir    string   // the working directory, "" if no cd was seen
	Func   string   // the function in whose body it stands
}

const (
	// maxShellCommands bounds how many commands of a script are looked at.
	maxShellCommands = 20_000
	// maxShellBytes bounds what is kept of a script's words, in bytes: variables
	// make them longer than the script.
	maxShellBytes = 8 << 20
	// maxShellNesting bounds substitutions in substitutions.
	maxShellNesting = 20
)

// unknownValue stands in a word for what a script does not say. It is in no
// path.
const unknownValue = "\x00"

// shellReader parses a script, enough to find the commands that it executes:
// words, quotes, variables, substitutions and here-documents. Which branch is
// taken is not asked.
type shellReader struct {
	text     string
	at       int
	line     int
	vars     map[string]string
	commands []shellCommand
	dir      string
	fn       string
	depth    int // of braces since the function began
	nesting  int
	heredocs []string
	kept     int   // bytes of words
	err      error // why this is not all
}

var errShellTooLong = fmt.Errorf("a script with more than %d commands or %d MiB of words: %w", maxShellCommands,
	maxShellBytes>>20, errTooLarge)

// parseShell returns the commands of a script, as many as are looked at; the
// error says that there are more. vars holds what variables are known before
// it; it is changed as the script changes them.
func parseShell(text string, vars map[string]string) ([]shellCommand, error) {
	if vars == nil {
		vars = map[string]string{}
	}
	r := &shellReader{text: text, line: 1, vars: vars}
	r.run()
	return r.commands, r.err
}

// shellKeywords are words that stand before a command.
var shellKeywords = map[string]bool{
	"if": true, "then": true, "else": true, "elif": true, "fi": true, "while": true, "until": true, "do": true,
	"done": true, "!": true, "{": true, "}": true,
	"esac": true, "time": true, "coproc": true,
}

func (r *shellReader) run() {
	var c shellCommand
	var word strings.Builder
	inWord, quoted := false, false
	skipNext := false // the target of a redirection
	redirect := ""
	endWord := func() {
		if !inWord {
			return
		}
		text := word.String()
		word.Reset()
		inWord = false
		wasQuoted := quoted
		quoted = false
		if skipNext {
			skipNext = false
			if strings.HasPrefix(redirect, "<<") && redirect != "<<<" {
				r.heredocs = append(r.heredocs, text)
			}
			return
		}
		if len(c.Words) == 0 && !wasQuoted && shellKeywords[text] {
			switch text {
			case "{":
				r.depth++
			case "}":
				if r.depth--; r.depth <= 0 {
					r.fn = ""
				}
			}
			return
		}
		if len(c.Words) == 0 && isAssignment(text) {
			c.Assign = append(c.Assign, text)
			return
		}
		if len(c.Words) == 0 && len(c.Assign) == 0 {
			c.Line = r.line
		}
		c.Words = append(c.Words, text)
	}
	endCommand := func() {
		endWord()
		skipNext = false
		if c.Line == 0 {
			c.Line = r.line
		}
		c.Dir, c.Func = r.dir, r.fn
		r.take(c)
		c = shellCommand{}
	}
	for r.at < len(r.text) && r.err == nil {
		ch := r.text[r.at]
		switch {
		case ch == '\\':
			if r.at+1 < len(r.text) {
				if r.text[r.at+1] == '\n' {
					r.line++
				} else {
					word.WriteByte(r.text[r.at+1])
					inWord, quoted = true, true
				}
			}
			r.at += 2
			continue
		case ch == '\'':
			end := strings.IndexByte(r.text[r.at+1:], '\'')
			if end < 0 {
				end = len(r.text) - r.at - 1
			}
			part := r.text[r.at+1 : r.at+1+end]
			r.line += strings.Count(part, "\n")
			word.WriteString(part)
			inWord, quoted = true, true
			r.at += end + 2
			continue
		case ch == '"':
			r.at++
			word.WriteString(r.quoted())
			inWord, quoted = true, true
			continue
		case ch == '$' || ch == '`':
			word.WriteString(r.expansion())
			inWord = true
			continue
		case ch == '#' && !inWord:
			for r.at < len(r.text) && r.text[r.at] != '\n' {
				r.at++
			}
			continue
		case ch == '\n':
			endCommand()
			r.line++
			r.at++
			r.skipHeredocs()
			continue
		case ch == ' ' || ch == '\t' || ch == '\r':
			endWord()
		case ch == ';' || ch == '&' || ch == '|':
			if ch == '&' && r.at+1 < len(r.text) && r.text[r.at+1] == '>' {
				endWord()
				redirect, skipNext = ">", true
				r.at += 2
				continue
			}
			endCommand()
		case ch == '(':
			if inWord && len(c.Words) == 0 && len(c.Assign) == 0 && strings.HasPrefix(r.text[r.at:], "()") {
				r.fn, r.depth = word.String(), 0 // a function begins
				word.Reset()
				inWord = false
				r.at += 2
				continue
			}
			endCommand()
		case ch == ')':
			if c.Words != nil || inWord {
				// Of a case's pattern nothing is executed.
				if r.isPattern() {
					word.Reset()
					inWord = false
					c = shellCommand{}
				}
			}
			endCommand()
		case ch == '<' || ch == '>':
			if inWord && strings.Trim(word.String(), "0123456789") == "" {
				word.Reset()
				inWord = false
			}
			endWord()
			end := r.at
			for end < len(r.text) && strings.IndexByte("<>&|-", r.text[end]) >= 0 {
				end++
			}
			redirect = strings.TrimSuffix(r.text[r.at:end], "-")
			r.at = end
			skipNext = true
			continue
		default:
			word.WriteByte(ch)
			inWord = true
		}
		r.at++
	}
	endCommand()
}

// isPattern says whether the parenthesis at hand ends a pattern of case: the
// line up to it holds none that opens.
func (r *shellReader) isPattern() bool {
	const most = 256 // bytes; patterns are short
	from := max(0, r.at-most)
	start := from + strings.LastIndexAny(r.text[from:r.at], "\n;") + 1
	return !strings.ContainsAny(r.text[start:r.at], "($`")
}

// take keeps a command, and what it changes for those behind it.
func (r *shellReader) take(c shellCommand) {
	if len(c.Words) == 0 && len(c.Assign) == 0 {
		return
	}
	for _, w := range c.Words {
		r.kept += len(w)
	}
	for _, w := range c.Assign {
		r.kept += len(w)
	}
	if len(r.commands) >= maxShellCommands || r.kept > maxShellBytes {
		r.err = errShellTooLong
		return
	}
	declared := c.Assign
	if len(c.Words) > 0 {
		declared = nil
		switch c.Words[0] {
		case "export", "declare", "typeset", "local", "readonly":
			for _, w := range c.Words[1:] {
				if isAssignment(w) {
					declared = append(declared, w)
				}
			}
			c.Assign = append(c.Assign, declared...)
		case "cd", "pushd":
			if len(c.Words) > 1 && !strings.HasPrefix(c.Words[1], "-") {
				r.dir = c.Words[1]
			}
		}
	}
	for _, a := range declared {
		name, value, _ := strings.Cut(a, "=")
		if name, more := strings.CutSuffix(name, "+"); more {
			value = r.vars[name] + value
			r.set(name, value)
			continue
		}
		r.set(name, value)
	}
	r.commands = append(r.commands, c)
}

// maxShellValue bounds what is kept of a variable, in bytes: a script can
// double one with each line. maxShellVars bounds how many are kept.
const (
	maxShellValue = 16 << 10
	maxShellVars  = 2000
)

func (r *shellReader) set(name, value string) {
	if _, known := r.vars[name]; !known && len(r.vars) >= maxShellVars {
		return
	}
	if len(value) > maxShellValue {
		value = unknownValue
	}
	r.vars[name] = value
}

// isAssignment says whether a word is NAME=value or NAME+=value.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	name = strings.TrimSuffix(name, "+")
	if !ok || name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	for _, c := range []byte(name) {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// quoted reads to the end of a double quotation.
func (r *shellReader) quoted() string {
	var b strings.Builder
	for r.at < len(r.text) {
		switch ch := r.text[r.at]; ch {
		case '"':
			r.at++
			return b.String()
		case '\\':
			if r.at+1 < len(r.text) {
				next := r.text[r.at+1]
				switch {
				case next == '\n':
					r.line++
				case strings.IndexByte("$`\"\\", next) >= 0:
					b.WriteByte(next)
				default:
					b.WriteByte('\\')
					b.WriteByte(next)
				}
			}
			r.at += 2
		case '$', '`':
			b.WriteString(r.expansion())
		default:
			if ch == '\n' {
				r.line++
			}
			b.WriteByte(ch)
			r.at++
		}
		if b.Len() > maxShellValue {
			b.Reset()
			b.WriteString(unknownValue)
		}
	}
	return b.String()
}

// expansion reads a variable or a substitution, which is executed too.
func (r *shellReader) expansion() string {
	if r.text[r.at] == '`' {
		end := strings.IndexByte(r.text[r.at+1:], '`')
		if end < 0 {
			r.at = len(r.text)
			return unknownValue
		}
		r.substitute(r.text[r.at+1 : r.at+1+end])
		r.at += end + 2
		return unknownValue
	}
	rest := r.text[r.at+1:]
	switch {
	case strings.HasPrefix(rest, "(("):
		if end := strings.Index(rest, "))"); end >= 0 {
			r.line += strings.Count(rest[:end], "\n")
			r.at += 1 + end + 2
			return unknownValue
		}
		r.at = len(r.text)
		return unknownValue
	case strings.HasPrefix(rest, "("):
		end := matching(rest, '(', ')')
		r.substitute(rest[1:end])
		r.at += 1 + min(end+1, len(rest))
		return unknownValue
	case strings.HasPrefix(rest, "{"):
		end := matching(rest, '{', '}')
		inside := rest[1:end]
		r.line += strings.Count(inside, "\n")
		r.at += 1 + min(end+1, len(rest))
		return r.parameter(inside)
	case rest != "" && strings.IndexByte("@*#?$!-0123456789", rest[0]) >= 0:
		r.at += 2
		if v, ok := r.vars[rest[:1]]; ok {
			return v
		}
		return unknownValue
	}
	n := 0
	for n < len(rest) && (rest[n] == '_' || rest[n] >= '0' && rest[n] <= '9' || rest[n]|0x20 >= 'a' &&
		rest[n]|0x20 <= 'z') {
		n++
	}
	r.at += 1 + n
	if n == 0 {
		return "$"
	}
	if v, ok := r.vars[rest[:n]]; ok {
		return v
	}
	return unknownValue
}

// parameter expands what stands in braces: a name, or one with a default, an
// alternative or a pattern, which stand for themselves where the name is not
// known.
func (r *shellReader) parameter(inside string) string {
	n := 0
	for n < len(inside) && (inside[n] == '_' || inside[n] >= '0' && inside[n] <= '9' || inside[n]|0x20 >= 'a' &&
		inside[n]|0x20 <= 'z') {
		n++
	}
	name, rest := inside[:n], inside[n:]
	value, known := r.vars[name]
	if !known {
		value = unknownValue
	}
	if rest == "" {
		return value
	}
	operator := strings.TrimPrefix(rest, ":")
	if operator == "" {
		return value
	}
	text := r.nested(operator[1:])
	switch operator[0] {
	case '-', '=':
		if known && value != "" {
			return value
		}
		return text
	case '+':
		if known && value == "" {
			return ""
		}
		return text
	}
	return unknownValue
}

// nested expands a text within an expansion.
func (r *shellReader) nested(text string) string {
	if !strings.ContainsAny(text, "$`") {
		return text
	}
	if r.nesting >= maxShellNesting {
		return unknownValue
	}
	inner := &shellReader{text: text + `"`, line: r.line, vars: r.vars, dir: r.dir, nesting: r.nesting + 1}
	value := inner.quoted()
	r.adopt(inner)
	return value
}

// substitute looks at what a command substitution executes.
func (r *shellReader) substitute(text string) {
	line := r.line
	r.line += strings.Count(text, "\n")
	if r.nesting >= maxShellNesting {
		r.err = errShellTooLong
	}
	if r.err != nil {
		return
	}
	vars := map[string]string{}
	for k, v := range r.vars {
		vars[k] = v
	}
	inner := &shellReader{
		text: text, line: line, vars: vars, dir: r.dir, fn: r.fn, nesting: r.nesting + 1, kept: r.kept,
	}
	inner.run()
	r.adopt(inner)
}

func (r *shellReader) adopt(inner *shellReader) {
	room := maxShellCommands - len(r.commands)
	if r.kept = max(r.kept, inner.kept); len(inner.commands) > room {
		r.err = errShellTooLong
	}
	if inner.err != nil {
		r.err = inner.err
	}
	r.commands = append(r.commands, inner.commands[:min(room, len(inner.commands))]...)
}

// matching returns where the bracket that begins s ends, len(s) if it does not.
func matching(s string, open, end byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			if n := strings.IndexByte(s[i+1:], '\''); n >= 0 && open == '(' {
				i += n + 1
			}
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return max(len(s), 1)
}

// skipHeredocs skips the documents that the last line announced.
func (r *shellReader) skipHeredocs() {
	for _, end := range r.heredocs {
		for r.at < len(r.text) {
			line, _, found := strings.Cut(r.text[r.at:], "\n")
			r.at += len(line)
			if found {
				r.at++
				r.line++
			}
			if strings.TrimLeft(line, "\t") == end {
				break
			}
		}
	}
	r.heredocs = nil
}
