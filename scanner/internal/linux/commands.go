package linux

import "strings"

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
