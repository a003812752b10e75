package linux

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// A unitSetting is one assignment of a unit file.
type unitSetting struct {
	Section, Name, Value string
	Line                 int // of its first line, from 1
}

// A unitText is what one file, a unit or a drop-in, assigns.
type unitText struct {
	Settings []unitSetting
	Include  bool // it includes another file (systemd before 247)
	// Fault is why systemd stops reading the file, "" if it does not. A unit
	// with such a fault is not loaded; of a drop-in, what comes before it holds.
	Fault string
	// More is set where the file assigns more than maxSettings: the rest was
	// not kept.
	More bool
}

const (
	// maxUnit bounds a unit file and a line in it, in bytes; systemd takes no
	// longer line (LONG_LINE_MAX).
	maxUnit = 1 << 20
	// maxSettings bounds what is kept of one file: real units have a few dozen
	// assignments.
	maxSettings = 2000
)

// errUnitTooLong says that a unit assigns more than is looked at.
var errUnitTooLong = fmt.Errorf("more than %d settings: %w", maxSettings, errTooLarge)

// parseUnitFile reads a unit or drop-in as systemd of that version does
// (systemd.syntax(7)). A version of 0 is one that is not known.
func parseUnitFile(text string, v systemdVersion) unitText {
	var u unitText
	text = strings.TrimPrefix(text, "\ufeff")
	section, pending, start, number := "", "", 0, 0
	assign := func(line string, at int) bool {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';' || !utf8.ValidString(line):
			return true
		case strings.HasPrefix(line, ".include"):
			u.Include = true
			return true
		case line[0] == '[':
			if line[len(line)-1] != ']' {
				u.Fault = fmt.Sprintf("line %d: %q is not a section", at, shorten(line))
				return false
			}
			section = line[1 : len(line)-1]
			return true
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			return true
		}
		if len(u.Settings) >= maxSettings {
			u.More = true
			return false
		}
		u.Settings = append(u.Settings, unitSetting{strings.Clone(section), strings.Clone(strings.TrimSpace(name)),
			strings.Clone(strings.TrimSpace(value)), at})
		return true
	}
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimLeft(line, " \t")
		if pending != "" && (strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";")) &&
			v.skipsCommentsInside() {
			continue
		}
		if pending == "" {
			start = number
			if strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
				continue // a backslash at the end of a comment continues nothing
			}
		}
		if continues(line) {
			pending += line[:len(line)-1] + " "
			if len(pending) > maxUnit {
				u.Fault = fmt.Sprintf("line %d is too long", start)
				return u
			}
			continue
		}
		line, pending = pending+line, ""
		if !assign(line, start) {
			return u
		}
	}
	if pending != "" {
		assign(pending, start)
	}
	return u
}

// continues says whether a line ends in a backslash that no other escapes.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// shorten cuts a text that a message quotes.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// An execCommand is one command of an Exec setting.
type execCommand struct {
	Setting string   // "ExecStart", "ExecStartPre"
	Raw     string   // as the unit has it
	Path    string   // what is executed; without a slash it is looked for in the service manager's PATH
	Args    []string // behind the program's name
	Ignore  bool     // its failure does not matter ("-")
	Literal bool     // its arguments name no variables (":")
	Shell   bool     // it is run by a shell ("|")
	Unknown bool     // its path depends on what only the running system knows
}

var (
	errExec      = errors.New("not a command that systemd accepts")
	errQuotation = errors.New("a quotation mark is not closed")
)

// parseExec takes an Exec setting apart as systemd does (systemd.service(5),
// COMMAND LINES): prefixes, quotes, escapes, and several commands apart by a
// single ";".
func parseExec(setting, value string, v systemdVersion, n unitNames) ([]execCommand, error) {
	list, err := splitWords(value)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", setting, shorten(value), err)
	}
	var commands []execCommand
	for len(list) > 0 {
		c := execCommand{Setting: setting, Raw: value}
		first := list[0].text
		list = list[1:]
		argv0 := false
	prefixes:
		for first != "" {
			switch p := first[0]; {
			case p == '-':
				c.Ignore = true
			case p == '@':
				argv0 = true
			case p == '+' && v.has(231), p == '!' && v.has(235):
			case p == ':' && v.has(242):
				c.Literal = true
			case p == '|' && v.has(258):
				c.Shell = true
			default:
				break prefixes
			}
			first = first[1:]
		}
		program, known := n.expand(first)
		c.Path, c.Unknown = program, !known
		rest := list
		list = nil
		for i, w := range rest {
			if w.text == ";" && !w.quoted {
				list, rest = rest[i+1:], rest[:i]
				break
			}
		}
		for i, w := range rest {
			if i == 0 && argv0 {
				continue
			}
			if w.text == `\;` && !w.quoted {
				w.text = ";"
			}
			arg, _ := n.expand(w.text)
			c.Args = append(c.Args, arg)
		}
		switch {
		case c.Shell:
			c.Args = append([]string{"-c", strings.Join(append([]string{program}, c.Args...), " ")}, []string(nil)...)
			c.Path = "/bin/sh"
		case program == "", strings.HasSuffix(program, "/"), argv0 && len(rest) == 0:
			return commands, fmt.Errorf("%s=%s: %w", setting, shorten(value), errExec)
		case !path.IsAbs(program) && (strings.Contains(program, "/") || !v.has(239)):
			return commands, fmt.Errorf("%s=%s: the path is not absolute: %w", setting, shorten(value), errExec)
		}
		commands = append(commands, c)
	}
	if len(commands) == 0 {
		return nil, fmt.Errorf("%s=%s: %w", setting, shorten(value), errExec)
	}
	return commands, nil
}

// A word of a setting, without its quotes.
type word struct {
	text   string
	quoted bool // some of it was
}

// splitWords splits a value at blanks that are neither quoted nor escaped, and
// takes quotes and C escapes away (systemd.syntax(7), QUOTING).
func splitWords(value string) ([]word, error) {
	var list []word
	var b strings.Builder
	inside := false
	quoted, quote := false, byte(0)
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && i+1 < len(value):
			text, n := unescapeC(value[i:])
			b.WriteString(text)
			i += n - 1
			inside = true
		case quote == 0 && (c == '"' || c == '\''):
			quote, inside, quoted = c, true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if inside {
				list = append(list, word{b.String(), quoted})
			}
			b.Reset()
			inside, quoted = false, false
		default:
			b.WriteByte(c)
			inside = true
		}
	}
	if quote != 0 {
		return list, errQuotation
	}
	if inside {
		list = append(list, word{b.String(), quoted})
	}
	return list, nil
}

// unescapeC reads one escape at the beginning of s, and says how long it is.
// What is no escape keeps its backslash, as "\;" does.
func unescapeC(s string) (string, int) {
	simple := map[byte]string{'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\\': `\`,
		'"': `"`, '\'': "'", 's': " "}
	if text, ok := simple[s[1]]; ok {
		return text, 2
	}
	digits, base, skip := 0, 0, 2
	switch s[1] {
	case 'x':
		digits, base = 2, 16
	case 'u':
		digits, base = 4, 16
	case 'U':
		digits, base = 8, 16
	case '0', '1', '2', '3':
		digits, base, skip = 3, 8, 1
	}
	if digits == 0 || len(s) < skip+digits {
		return s[:2], 2
	}
	n := 0
	for _, c := range []byte(s[skip : skip+digits]) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if c >= '0' && c <= '9' {
			d = int(c - '0')
		}
		if d < 0 || d >= base {
			return s[:2], 2
		}
		n = n*base + d
	}
	if base == 8 || digits == 2 {
		return string([]byte{byte(n)}), skip + digits
	}
	return string(rune(n)), skip + digits
}

// unitNames is what specifiers in a unit stand for.
type unitNames struct {
	Name      string // the unit's, with its suffix
	MachineID string // "" if not known
	Hostname  string // "" if not known
}

// expand replaces specifiers (systemd.unit(5), SPECIFIERS). The result is not
// known where one stands for what only the running system can say.
func (n unitNames) expand(s string) (text string, known bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	base := strings.TrimSuffix(n.Name, path.Ext(n.Name))
	prefix, instance, _ := strings.Cut(base, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	file := prefix
	if instance != "" {
		file = instance
	}
	if file = unescapeUnit(file); !strings.HasPrefix(file, "/") {
		file = "/" + file
	}
	values := map[byte]string{
		'%': "%", 'n': n.Name, 'N': base, 'p': prefix, 'P': unescapeUnit(prefix), 'i': instance,
		'I': unescapeUnit(instance),
		'j': last, 'J': unescapeUnit(last), 'f': file, 't': "/run", 'S': "/var/lib", 'C': "/var/cache", 'L': "/var/log",
		'E': "/etc",
		'T': "/tmp", 'V': "/var/tmp", 'h': "/root", 'u': "root", 'U': "0", 'g': "root", 'G': "0", 's': "/bin/sh",
		'd': "/run/credentials/" + n.Name,
		'm': n.MachineID, 'H': n.Hostname, 'l': strings.SplitN(n.Hostname, ".", 2)[0],
	}
	var b strings.Builder
	known = true
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		value, ok := values[s[i]]
		if !ok || value == "" && strings.IndexByte("mHl", s[i]) >= 0 {
			known = false
			b.WriteString(s[i-1 : i+1])
			continue
		}
		b.WriteString(value)
	}
	return b.String(), known
}

// unescapeUnit undoes the escapes of a unit's name: "-" is "/", "\x2d" a byte
// (systemd.unit(5), STRING ESCAPING FOR INCLUSION IN UNIT NAMES).
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '-':
			b.WriteByte('/')
		case s[i] == '\\' && strings.HasPrefix(s[i:], `\x`) && len(s) >= i+4:
			text, n := unescapeC(s[i:])
			b.WriteString(text)
			i += n - 1
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
