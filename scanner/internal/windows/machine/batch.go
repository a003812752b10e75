package machine

import (
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
)

// batch takes commands apart as cmd.exe does: a script's text, or what follows
// cmd /c.
func (r *commandReader) batch(text string, sh *shell, depth int) {
	if !r.take(len(text), depth) {
		return
	}
	if sh.text == "" {
		sh.text = text
	}
	for _, line := range batchLines(text) {
		for _, command := range splitBatch(line) {
			if r.err != nil {
				return
			}
			r.batchCommand(command, sh, depth)
		}
	}
}

// batchLines returns the lines of a script that are commands, joined where a
// caret at the end continues one. Comments and labels are left out.
func batchLines(text string) []string {
	var lines []string
	var joined strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n\x1a")
		// An odd number of carets at the end.
		if n := len(line) - len(strings.TrimRight(line, "^")); n%2 == 1 {
			joined.WriteString(line[:len(line)-1])
			continue
		}
		if joined.Len() > 0 {
			line = joined.String() + line
			joined.Reset()
		}
		if bare := strings.TrimLeft(line, " \t@,;="); bare != "" && !strings.HasPrefix(bare, ":") && !isRemark(bare) {
			lines = append(lines, line)
		}
	}
	if joined.Len() > 0 {
		lines = append(lines, joined.String())
	}
	return lines
}

// isRemark says whether a command is rem and nothing else.
func isRemark(s string) bool {
	rest, ok := fold.CutPrefix(s, "rem")
	return ok && (rest == "" || strings.ContainsRune(" \t.:;,=/\\", rune(rest[0])))
}

// splitBatch takes a line apart into the commands that &, |, && and ||
// separate, and those in parentheses. A quote protects what follows it up to the
// next, a caret the next character.
func splitBatch(line string) []string {
	var list []string
	var b strings.Builder
	depth, quoted := 0, false
	end := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			list = append(list, s)
		}
		b.Reset()
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"':
			quoted = !quoted
			b.WriteByte(c)
		case quoted:
			b.WriteByte(c)
		case c == '^' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == '&' && i > 0 && (line[i-1] == '>' || line[i-1] == '<'): // 2>&1
			b.WriteByte(c)
		case c == '&' || c == '|':
			end()
		case c == '(' && beginsBlock(b.String()):
			depth++
			end()
		case c == ')' && (depth > 0 || strings.TrimSpace(
			b.String()) == ""): // of a block, which may begin on a line before
			depth = max(0, depth-1)
			end()
		default:
			b.WriteByte(c)
		}
	}
	end()
	return list
}

// beginsBlock says whether a parenthesis behind this text begins a block of
// commands: at the beginning, and behind the condition of an if, else or do. The
// list of a for is none.
func beginsBlock(before string) bool {
	if len(before) > 512 {
		return false
	}
	s := strings.ToLower(strings.TrimLeft(before, " \t@"))
	trimmed := strings.TrimSpace(s)
	switch {
	case trimmed == "", trimmed == "else", strings.HasSuffix(s, " do "), strings.HasSuffix(s, ") do"),
		strings.HasSuffix(trimmed, " else"):
		return true
	case strings.HasPrefix(trimmed, "if ") || strings.HasPrefix(trimmed, "if/") ||
		strings.HasPrefix(trimmed, "else if "):
		return strings.HasSuffix(s, " ") || strings.HasSuffix(s, `"`)
	}
	return false
}

// builtIns are commands of cmd.exe itself, and programs, that start nothing.
var builtIns = map[string]bool{
	"echo": true, "title": true, "color": true, "cls": true, "pause": true, "exit": true, "setlocal": true,
	"endlocal": true, "shift": true, "del": true, "erase": true, "copy": true, "move": true,
	"ren": true, "rename": true, "md": true, "mkdir": true, "rd": true, "rmdir": true, "goto": true, "popd": true,
	"ver": true, "verify": true, "vol": true, "path": true, "prompt": true, "type": true,
	"date": true, "time": true, "assoc": true, "ftype": true, "dir": true, "break": true, "chcp": true,
	"mklink": true, "rem": true,
}

func (r *commandReader) batchCommand(s string, sh *shell, depth int) {
	s = strings.TrimSpace(strings.TrimLeft(s, " \t@,;="))
	s = strings.TrimSpace(withoutRedirections(s))
	if s == "" || isRemark(s) || s[0] == ':' {
		return
	}
	if len(s) > maxCommandLine {
		r.doubt("a command is longer than Windows accepts")
		return
	}
	word, rest := batchWord(s)
	switch lower := strings.ToLower(word); lower {
	case "if":
		r.again(afterCondition(rest), sh, depth)
	case "else", "do":
		r.again(rest, sh, depth)
	case "for":
		r.batchFor(rest, sh, depth)
	case "call":
		if rest = strings.TrimSpace(rest); !strings.HasPrefix(rest, ":") {
			r.again(rest, sh, depth)
		}
	case "start":
		r.batchStart(rest, sh, depth)
	case "set":
		name, value, ok := strings.Cut(strings.TrimSpace(rest), "=")
		if quoted, cut := strings.CutPrefix(name, `"`); cut {
			name, value = quoted, strings.TrimSuffix(strings.TrimSpace(value), `"`)
		}
		if ok && !strings.HasPrefix(name, "/") {
			sh.set(strings.TrimSpace(name), r.replace(value, sh))
		}
	case "cd", "chdir", "pushd":
		dir := strings.TrimSpace(rest)
		if after, ok := fold.CutPrefix(dir, "/d"); ok {
			dir = strings.TrimSpace(after)
		}
		if dir = strings.Trim(r.replace(dir, sh), `" `); dir != "" {
			sh.dir = at(sh.dir, dir)
		}
	default:
		switch {
		case builtIns[lower]:
			r.data(arguments(r.replace(rest, sh))...)
		case IsLetter(word) && strings.TrimSpace(rest) == "":
			sh.dir = strings.ToUpper(word) + `\`
		default:
			r.line(r.replace(s, sh), sh, depth+1)
		}
	}
}

// again takes the rest of a command for one of its own.
func (r *commandReader) again(s string, sh *shell, depth int) {
	if s = strings.TrimSpace(s); s == "" || !r.take(len(s), depth+1) {
		return
	}
	r.batchCommand(strings.TrimPrefix(s, "("), sh, depth+1)
}

// batchWord cuts the name of a command off, which a blank need not end: cd\,
// echo., if/i.
func batchWord(s string) (word, rest string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			break
		}
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if letter {
			continue
		}
		name := strings.ToLower(s[:i])
		own := builtIns[name] || name == "cd" || name == "chdir" || name == "pushd" || name == "if" ||
			name == "for" || name == "set" || name == "call" || name == "start" || name == "else" || name == "do"
		switch {
		case own && strings.ContainsRune(" \t/\\.,;=:+[]()", rune(c)) && !strings.HasPrefix(s[i:], ".exe") &&
			!strings.HasPrefix(s[i:], ".com"):
			return s[:i], s[i:]
		case c == ' ' || c == '\t':
			return s[:i], s[i:]
		}
		if c == ':' && i == 1 {
			return s[:2], s[2:]
		}
		break
	}
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// afterCondition returns the command of an if: behind if [/i] [not] exist X, defined X,
// errorlevel N, A==B, A EQU B.
func afterCondition(s string) string {
	word := func() string {
		s = strings.TrimLeft(s, " \t,;")
		end, quoted := 0, false
		for ; end < len(s); end++ {
			if s[end] == '"' {
				quoted = !quoted
			}
			if !quoted && (s[end] == ' ' || s[end] == '\t') {
				break
			}
		}
		w := s[:end]
		s = s[end:]
		return w
	}
	w := strings.ToLower(word())
	for w == "/i" || w == "not" {
		w = strings.ToLower(word())
	}
	switch w {
	case "exist", "defined", "errorlevel", "cmdextversion":
		word()
		return s
	}
	before := s
	second := word()
	switch {
	case strings.Contains(w, "==") && !strings.HasSuffix(w, "=="):
		return before
	case strings.HasSuffix(w, "=="), strings.HasPrefix(second, "==") && second != "==":
		return s
	}
	word() // A == B, A EQU B
	return s
}

// batchFor: for [switches] %%v in (SET) do COMMAND. The commands in the set of
// for /f are executed too.
func (r *commandReader) batchFor(s string, sh *shell, depth int) {
	lower := asciiLower(s)
	in := strings.Index(lower, " in ")
	do := strings.Index(lower[max(in, 0):], ") do")
	if in < 0 || do < 0 {
		if do = strings.Index(lower, " do "); do >= 0 {
			r.again(s[do+4:], sh, depth)
		}
		return
	}
	set := strings.Trim(s[in+4:in+do], " \t(")
	if strings.HasPrefix(strings.TrimSpace(lower), "/f") && len(set) > 2 && (set[0] == '\'' || set[0] == '`') {
		r.again(strings.Trim(set, "'`"), sh, depth)
	}
	r.again(s[in+do+len(") do"):], sh, depth)
}

// asciiLower is s in lower case, each byte at its place.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// batchStart: start ["title"] [/d FOLDER] [switches] PROGRAM ARGUMENTS.
func (r *commandReader) batchStart(s string, sh *shell, depth int) {
	inner := *sh
	s = strings.TrimSpace(r.replace(s, sh))
	if after, ok := strings.CutPrefix(s, `"`); ok {
		_, rest, _ := strings.Cut(after, `"`)
		if strings.TrimSpace(rest) == "" { // only a title: it opens a window
			return
		}
		s = strings.TrimSpace(rest)
	}
	for strings.HasPrefix(s, "/") {
		if after, ok := fold.CutPrefix(s, "/d"); ok {
			after = strings.TrimSpace(after)
			s = cutWord(after)
			inner.dir = at(inner.dir, strings.Trim(strings.TrimSuffix(after, s), `" `))
			continue
		}
		takesWord := fold.HasPrefix(s, "/node") || fold.HasPrefix(s, "/affinity")
		s = cutWord(s)
		if takesWord {
			s = cutWord(s)
		}
	}
	if s == "" || !r.take(len(s), depth+1) {
		return
	}
	r.line(s, &inner, depth+1)
}

// cutWord cuts the first word off, in quotes or not.
func cutWord(s string) string {
	if after, ok := strings.CutPrefix(s, `"`); ok {
		_, s, _ = strings.Cut(after, `"`)
	} else if i := strings.IndexAny(s, " \t"); i >= 0 {
		s = s[i:]
	} else {
		s = ""
	}
	return strings.TrimSpace(s)
}

// withoutRedirections takes >FILE, 2>&1, <FILE out of a command.
func withoutRedirections(s string) string {
	if !strings.ContainsAny(s, "<>") {
		return s
	}
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			quoted = !quoted
		}
		if quoted || c != '>' && c != '<' {
			b.WriteByte(c)
			continue
		}
		for i+1 < len(s) && (s[i+1] == '>' || s[i+1] == '&') {
			i++
		}
		for i+1 < len(s) && s[i+1] == ' ' {
			i++
		}
		inName := false
		for i+1 < len(s) && (inName || s[i+1] != ' ' && s[i+1] != '>' && s[i+1] != '<') {
			i++
			if s[i] == '"' {
				inName = !inName
			}
		}
	}
	return b.String()
}
