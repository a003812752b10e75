package prose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentence makes a sentence of an error's text or of part of a sentence: it capitalizes the first letter, unless the
// first word is a name such as a path, a file or a registry value, and adds the full stop. A full sentence stays as
// it is.
func Sentence(s string) string {
	s = strings.TrimRight(s, " \t\r\n")
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	if ordinary(s) {
		s = string(unicode.ToUpper(first)) + s[size:]
	}
	if !strings.ContainsRune(".!?:", rune(s[len(s)-1])) {
		s += "."
	}
	return s
}

// ordinary reports whether the first word is in lower case and has no character of names. A hyphen is one: cloud-init
// is more likely at the beginning of a sentence than read-only.
func ordinary(s string) bool {
	word, _, _ := strings.Cut(s, " ")
	word = strings.TrimRight(word, ",;:.")
	return word != "" && strings.IndexFunc(word, func(r rune) bool {
		return !unicode.IsLower(r) && r != '\''
	}) < 0
}
