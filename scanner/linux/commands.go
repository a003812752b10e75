package linux

import (
	"path"
	"slices"
	"strings"
)

// words takes a command line apart: at blanks that are not in quotes.
func words(command string) []string {
	var list []string
	var b strings.Builder
	quote, inside := rune(0), false
	for _, r := range command {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote, inside = r, true
		case r == quote:
			quote = 0
		case quote == 0 && (r == ' ' || r == '\t'):
			if inside {
				list = append(list, b.String())
			}
			b.Reset()
			inside = false
		default:
			b.WriteRune(r)
			inside = true
		}
	}
	if inside {
		list = append(list, b.String())
	}
	return list
}

// interpreters run what their arguments name.
var interpreters = []string{"sh", "bash", "dash", "zsh", "ksh", "perl", "ruby", "node", "java", "env", "nohup", "nice", "sudo", "su", "runuser", "mono", "dotnet"}

// program is the program that a command line runs: its first word, behind env
// and its assignments.
func program(command string) string {
	list := words(command)
	if len(list) > 0 && path.Base(list[0]) == "env" {
		list = slices.DeleteFunc(list[1:], func(w string) bool { return strings.HasPrefix(w, "-") || strings.Contains(w, "=") })
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// programInHome returns the program or script below /home that a command line
// runs, "" if there is none.
func programInHome(command string) string {
	p := program(command)
	if isHome(p) {
		return p
	}
	base := path.Base(p)
	if !slices.Contains(interpreters, base) && !strings.HasPrefix(base, "python") {
		return ""
	}
	for _, w := range words(command) {
		for _, part := range strings.Fields(w) { // sh -c takes a command in one word
			if part = strings.TrimRight(part, ";&|"); isHome(part) {
				return part
			}
		}
	}
	return ""
}
