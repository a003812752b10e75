package prose

import "strings"

// Short keeps a value from a file of any content printable in one line.
func Short(s string) string {
	if runes := []rune(s); len(runes) > 64 {
		s = string(runes[:64]) + "…"
	}
	return strings.Join(strings.Fields(s), " ")
}
