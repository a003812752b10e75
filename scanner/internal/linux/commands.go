package linux

import (
	"slices"
	"strings"
)

// plain says whether words from a disk can stand in a command that a person pastes: a shell takes nothing in them for
// anything else.
func plain(words ...string) bool {
	const safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._:/=,+-"
	return !slices.ContainsFunc(words, func(w string) bool {
		return w == "" || w[0] == '-' || strings.Trim(w, safe) != ""
	})
}

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
