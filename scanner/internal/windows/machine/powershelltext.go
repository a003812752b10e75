package machine

import (
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
)

// A psWord is a word of a PowerShell command.
type psWord struct {
	text   string
	quoted bool
}

// powerShell takes the text of a script or of -Command apart: into statements,
// and those into words. What it computes stays unknown; what it calls by name
// does not.
func (r *commandReader) powerShell(text string, sh *shell, depth int) {
	if strings.TrimSpace(text) == "" || !r.take(len(text), depth) {
		return
	}
	statements := powerShellStatements(text)
	if sh.text == "" {
		sh.text = text
	}
	for _, words := range statements {
		if r.err != nil {
			return
		}
		r.powerShellStatement(words, sh, depth)
	}
}

// powerShellStatements separates at line ends, ";", "|", "&&", "||", braces and
// parentheses. Comments are left out (about_Parsing, about_Comments).
func powerShellStatements(text string) [][]psWord {
	var all [][]psWord
	var words []psWord
	var b strings.Builder
	in, quoted := false, false
	word := func() {
		if in {
			words = append(words, psWord{b.String(), quoted})
		}
		b.Reset()
		in, quoted = false, false
	}
	end := func() {
		if word(); len(words) > 0 {
			all = append(all, words)
		}
		words = nil
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '`' && i+1 < len(text):
			i++
			if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
				i++
			}
			if text[i] != '\n' {
				b.WriteByte(text[i])
				in = true
			}
		case c == '<' && strings.HasPrefix(text[i:], "<#"):
			n := strings.Index(text[i+2:], "#>")
			if n < 0 {
				i = len(text)
				break
			}
			i += n + 3
		case c == '#' && !in:
			n := strings.IndexByte(text[i:], '\n')
			if n < 0 {
				n = len(text) - i
			}
			i += n - 1
		case c == '@' && !in && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\''):
			n := strings.Index(text[i+2:], "\n"+text[i+1:i+2]+"@")
			if n < 0 {
				n = len(text) - i - 2
			}
			b.WriteString(text[i+2 : i+2+n])
			in, quoted = true, true
			word()
			i = min(len(text), i+n+4)
		case c == '"' || c == '\'':
			if !in {
				quoted = true
			}
			in = true
			for i++; i < len(text); i++ {
				if text[i] == c {
					if i+1 < len(text) && text[i+1] == c {
						i++
					} else {
						break
					}
				} else if c == '"' && text[i] == '`' && i+1 < len(text) {
					i++
				}
				b.WriteByte(text[i])
			}
		case c == '\n' || c == '\r' || c == ';' || c == '|' || c == '{' || c == '}' || c == '(' || c == ')':
			end()
		case c == '&' && !in:
			if i+1 < len(text) && text[i+1] == '&' {
				i++
				end()
				break
			}
			words = append(words, psWord{text: "&"})
		case c == ' ' || c == '\t' || c == ',':
			word()
		default:
			b.WriteByte(c)
			in = true
		}
	}
	end()
	return all
}

// psName takes a variable of PowerShell apart: $name, ${name}, $env:name.
func psName(s string) (name string, length int) {
	if len(s) < 2 || s[0] != '$' {
		return "", 0
	}
	if s[1] == '{' {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", 0
		}
		return s[2:end], end + 1
	}
	i := 1
	for i < len(s) && (s[i] == '_' || s[i] == ':' && i+1 < len(s) && s[i+1] != '\\' || s[i] >= '0' && s[i] <= '9' ||
		s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z') {
		i++
	}
	return s[1:i], i
}

// psExpand replaces the variables whose values are known.
func (r *commandReader) psExpand(s string, sh *shell) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxCommandLine; {
		name, n := psName(s[i:])
		if n < 2 {
			b.WriteByte(s[i])
			i++
			continue
		}
		value, known := sh.vars["$"+strings.ToUpper(name)]
		if variable, ok := fold.CutPrefix(name, "env:"); ok {
			value = r.replace("%"+variable+"%", sh)
			known = value != "%"+variable+"%"
		} else if strings.EqualFold(name, "PSScriptRoot") && sh.folder != "" {
			value, known = sh.folder, true
		}
		if known {
			b.WriteString(value)
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// parameter returns the word behind a parameter that may be abbreviated down to
// least, and whether it is there.
func psParameter(words []psWord, name, least string) (value string, found bool) {
	for i, w := range words {
		if w.quoted || len(w.text) < 2 || w.text[0] != '-' {
			continue
		}
		given, after, joined := strings.Cut(strings.ToLower(w.text[1:]), ":")
		if !strings.HasPrefix(name, given) || !strings.HasPrefix(given, least) {
			continue
		}
		if joined && after != "" {
			return after, after != "$false"
		}
		if i+1 < len(words) {
			return words[i+1].text, true
		}
		return "", true
	}
	return "", false
}

// psPositional returns the first word that is neither a parameter nor the value
// of one.
func psPositional(words []psWord) string {
	for i, w := range words {
		if !w.quoted && strings.HasPrefix(w.text, "-") {
			continue
		}
		if i > 0 && !words[i-1].quoted && strings.HasPrefix(words[i-1].text, "-") {
			continue
		}
		return w.text
	}
	return ""
}

func (r *commandReader) powerShellStatement(words []psWord, sh *shell, depth int) {
	if len(words) > 2 && !words[0].quoted && strings.HasPrefix(words[0].text, "$") &&
		(words[1].text == "=" || words[1].text == "+=") {
		if name, _ := psName(words[0].text); len(words) == 3 && words[1].text == "=" {
			sh.set("$"+name, r.psExpand(words[2].text, sh))
		}
		words = words[2:]
	}
	for i := range words {
		words[i].text = r.psExpand(words[i].text, sh)
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(w.text), ".mapnetworkdrive") && !w.quoted {
			r.makes("MapNetworkDrive")
		}
	}
	called := false
	for len(words) > 0 && !words[0].quoted && (words[0].text == "&" || words[0].text == "." ||
		strings.EqualFold(words[0].text, "return") || strings.EqualFold(words[0].text, "else")) {
		called = called || words[0].text == "&" || words[0].text == "."
		words = words[1:]
	}
	if len(words) == 0 {
		return
	}
	if words[0].quoted && !called {
		return // an expression
	}
	name, rest := words[0].text, words[1:]
	if r.powerShellDrive(strings.ToLower(name), rest) {
		return
	}
	switch strings.ToLower(name) {
	case "start-process", "saps", "start":
		r.startProcess(rest, sh, depth)
	case "invoke-expression", "iex", "invoke-command", "icm":
		for _, w := range rest {
			if w.quoted {
				inner := *sh
				r.powerShell(w.text, &inner, depth+1)
			}
		}
	case "invoke-item", "ii":
		r.run(psPositional(rest), "", sh, depth+1)
	case "set-location", "sl", "cd", "chdir", "push-location", "pushd":
		if dir := psPositional(rest); dir != "" {
			sh.dir = at(sh.dir, dir)
		}
	case "import-module", "ipmo", "add-type":
		for _, w := range rest {
			if strings.Contains(w.text, `\`) {
				r.use(at(sh.dir, w.text), "library")
			}
		}
	default:
		if strings.Contains(strings.ToLower(name), "]::loadfrom") ||
			strings.Contains(strings.ToLower(name), "]::loadfile") {
			return
		}
		if !called && (strings.HasPrefix(name, "$") || strings.HasPrefix(name, "[") || strings.HasPrefix(name, "@") ||
			isCmdlet(name)) {
			for _, w := range rest {
				r.data(w.text)
			}
			return
		}
		if !called && !isCommandName(name) {
			return
		}
		var plain []string
		for _, w := range rest {
			plain = append(plain, w.text)
		}
		if r.take(len(name), depth+1) {
			r.run(name, " "+joinArguments(plain), sh, depth+1)
		}
	}
}

// isCmdlet says whether a name has the form Verb-Noun.
func isCmdlet(name string) bool {
	verb, noun, ok := strings.Cut(name, "-")
	return ok && verb != "" && noun != "" && !strings.ContainsAny(name, `\/.:`)
}

// isCommandName says whether a bare word may be the name of a program, and is
// no keyword or part of an expression.
func isCommandName(name string) bool {
	if strings.ContainsAny(name, `\/`) || runsOthers(baseName(name)) || LanguageOf(name) != NoLanguage {
		return !strings.HasPrefix(name, "/") && !strings.ContainsAny(name, "=<>*?\n")
	}
	lower := strings.ToLower(name)
	return strings.HasSuffix(lower, ".exe") || strings.HasSuffix(lower, ".com")
}

// startProcess: Start-Process [-FilePath] PROGRAM [[-ArgumentList] ARGUMENTS]
// [-WorkingDirectory FOLDER].
func (r *commandReader) startProcess(words []psWord, sh *shell, depth int) {
	inner := *sh
	if dir, ok := psParameter(words, "workingdirectory", "wo"); ok {
		inner.dir = at(sh.dir, dir)
	}
	program, arguments := "", []string(nil)
	inArguments := false
	for i := 0; i < len(words); i++ {
		w := words[i]
		if !w.quoted && strings.HasPrefix(w.text, "-") && len(w.text) > 1 {
			name := strings.ToLower(w.text[1:])
			inArguments = false
			switch {
			case strings.HasPrefix("filepath", name) && i+1 < len(words):
				program = words[i+1].text
				i++
			case strings.HasPrefix("argumentlist", name) || name == "args":
				inArguments = true
			case strings.HasPrefix("wait", name) && len(name) > 1, strings.HasPrefix("passthru", name),
				strings.HasPrefix("nonewwindow", name), strings.HasPrefix("usenewenvironment", name),
				strings.HasPrefix("loaduserprofile", name):
			default:
				i++ // a parameter with a value
			}
			continue
		}
		if program == "" && !inArguments {
			program, inArguments = w.text, true
		} else {
			arguments = append(arguments, w.text)
		}
	}
	if !r.take(len(program), depth+1) {
		return
	}
	// Each element of the list is a part of the command line, as it is written.
	r.run(program, " "+strings.Join(arguments, " "), &inner, depth+1)
}
