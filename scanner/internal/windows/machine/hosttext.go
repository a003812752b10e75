package machine

import (
	"regexp"
	"strings"
)

// host takes the text of a script for Windows Script Host or mshta apart, as far
// as commands are written in it: VBScript, JScript, and both in a page.
func (r *commandReader) host(text string, sh *shell, depth int) {
	if !r.take(len(text), depth) {
		return
	}
	if strings.HasPrefix(strings.TrimSpace(text), "#@~^") {
		r.doubt("an encoded script cannot be read")
		return
	}
	for _, line := range hostLines(text) {
		if r.err != nil {
			return
		}
		code, literals := hostStrings(line)
		lower := strings.ToLower(code)
		if strings.Contains(lower, ".mapnetworkdrive") {
			r.makes("MapNetworkDrive")
		}
		runs := hostRuns.MatchString(lower)
		inner := strings.Contains(lower, "execute") || strings.Contains(lower, "eval(")
		for _, s := range literals {
			s = r.replace(s, sh)
			if inner {
				r.host(s, sh, depth+1)
				continue
			}
			first := baseName(strings.Trim(strings.SplitN(strings.TrimSpace(s), " ", 2)[0], `"`))
			if runs && strings.Contains(s, `\`) || runsOthers(first) {
				r.line(s, sh, depth+1)
			}
		}
	}
}

// hostRuns are the calls that start a program.
var hostRuns = regexp.MustCompile(`\.(run|exec|shellexecute|create|open)\b`)

// hostLines returns the statements of a script without comments. A line of
// VBScript goes on behind " _".
func hostLines(text string) []string {
	var lines []string
	var joined strings.Builder
	inBlock := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if inBlock {
			_, after, ok := strings.Cut(line, "*/")
			if !ok {
				continue
			}
			line, inBlock = after, false
		}
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, "//") || isRemark(line) {
			continue
		}
		if strings.HasPrefix(line, "/*") {
			_, after, ok := strings.Cut(line, "*/")
			if inBlock = !ok; inBlock {
				continue
			}
			line = after
		}
		if before, ok := strings.CutSuffix(line, " _"); ok {
			joined.WriteString(before)
			joined.WriteByte(' ')
			continue
		}
		if joined.Len() > 0 {
			line = joined.String() + line
			joined.Reset()
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	if joined.Len() > 0 {
		lines = append(lines, joined.String())
	}
	return lines
}

// hostStrings takes a statement apart into its code and its texts. Texts that
// are joined by & or + are one; what stands for a variable among them is "%?%".
// A comment behind the code is left out.
func hostStrings(line string) (code string, literals []string) {
	var b strings.Builder
	var text strings.Builder
	open := false // a text that may be joined to the next
	flush := func() {
		if open && text.Len() > 0 {
			literals = append(literals, text.String())
		}
		text.Reset()
		open = false
	}
	from := 0                          // where the code since the last text begins
	single := strings.Count(line, "'") // apostrophes that are still to come
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '\'' {
			if single--; single%2 == 0 {
				from = i
				break // a comment of VBScript
			}
		}
		if c != '"' && c != '\'' {
			b.WriteByte(c)
			if c == '(' || c == ')' || c == ',' || c == ':' || c == ';' || c == '=' {
				flush()
				from = i + 1
			}
			continue
		}
		between := line[from:i]
		var lit strings.Builder
		for i++; i < len(line); i++ {
			if line[i] == c {
				if c == '\'' {
					single--
				}
				if c == '"' && i+1 < len(line) && line[i+1] == c {
					i++
				} else {
					break
				}
			} else if line[i] == '\'' {
				single--
			} else if line[i] == '\\' && i+1 < len(line) &&
				(line[i+1] == '\\' && c == '\'' || line[i+1] == '"' && c == '\'' || line[i+1] == '\'') {
				if i++; line[i] == '\'' {
					single--
				}
			}
			lit.WriteByte(line[i])
		}
		join := strings.Trim(between, " \t")
		joins := open && text.Len() < maxCommandLine && (strings.HasPrefix(join, "&") || strings.HasPrefix(join, "+"))
		switch {
		case joins && strings.Trim(join, "&+ \t") == "":
		case joins:
			text.WriteString("%?%")
		default:
			flush()
			if strings.HasSuffix(join, "&") || strings.HasSuffix(join, "+") {
				text.WriteString("%?%")
			}
		}
		text.WriteString(lit.String())
		open, from = true, min(len(line), i+1)
	}
	if join := strings.Trim(line[from:], " \t"); open && len(join) > 1 && (join[0] == '&' || join[0] == '+') {
		text.WriteString("%?%")
	}
	flush()
	return b.String(), literals
}

// scan looks for commands that make drives in a text of another language.
func (r *commandReader) scan(text string) {
	if strings.Contains(strings.ToLower(text), "mapnetworkdrive") {
		r.makes("MapNetworkDrive")
	}
	for _, m := range scanned.FindAllString(text, MaxNamedData) {
		sh := shell{}
		r.line(m, &sh, maxCommandDepth)
	}
}

var scanned = regexp.MustCompile(`(?i)\b(?:subst|net1?(?:\.exe)?\s+use|mountvol)\b[^\r\n"'&|;]*`)
