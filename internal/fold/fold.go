// Package fold compares and searches texts ignoring case, as Windows compares names.
package fold

import "strings"

// Contains reports whether a list holds a text.
func Contains(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}

// HasPrefix reports whether a text begins with a prefix.
func HasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// HasSuffix reports whether a text ends with a suffix.
func HasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// Index returns the byte offset of the first occurrence of part in text, or -1.
// strings.ToLower cannot be used for this: it changes the length of some texts.
func Index(s, part string) int {
	for i := 0; i+len(part) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}

// CutPrefix returns a text without a prefix, and whether it began with it.
func CutPrefix(s, prefix string) (behind string, found bool) {
	if !HasPrefix(s, prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
