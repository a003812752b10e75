package prose

import "fmt"

// Shorten cuts a text to at most so many bytes in JSON and appends how much is
// missing; the limit does not count that note. cut reports whether the text was
// longer.
func Shorten(s string, most int) (short string, cut bool) {
	if len(s) <= most/maxEscape {
		return s, false
	}
	size := 0
	for i, r := range s {
		if size += escaped(r); size > most {
			return fmt.Sprintf("%s… (%d more bytes)", s[:i], len(s)-i), true
		}
	}
	return s, false
}

// JSONSize is how many bytes a text takes in JSON at most, without its quotes.
func JSONSize(s string) int {
	n := 0
	for _, r := range s {
		n += escaped(r)
	}
	return n
}

// maxEscape is how many bytes of JSON one byte of a text becomes at most.
const maxEscape = 6

// escaped is how many bytes of JSON a character becomes at most: \u and four
// digits where it is not printable, for each half of a pair.
func escaped(r rune) int {
	switch {
	case r == '"' || r == '\\':
		return 2
	case r >= ' ' && r <= '~':
		return 1
	case r > 0xFFFF:
		return 2 * maxEscape
	}
	return maxEscape
}
