package prose

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// markdownColumns is how long a line of Markdown is at most.
const markdownColumns = 120

// opensBlock matches a word that begins another block at the start of a line, such as a list, a heading, a quotation,
// a fence or HTML (CommonMark, 4 and 5).
var opensBlock = regexp.MustCompile("^(?:[-+*#>=~<|]|```|[0-9]+[.)]$)")

// MarkdownItem writes Markdown in lines of at most 120 columns: a paragraph if mark is empty, and otherwise an item of
// a list that begins with mark. Only a longer word exceeds them. A line break in a code span is a space (CommonMark,
// 6.1), so text may contain code spans.
func MarkdownItem(mark, text string) string {
	var b strings.Builder
	b.WriteString(mark)
	used := utf8.RuneCountInString(mark)
	indent := strings.Repeat(" ", used)
	for i, word := range unbroken(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > markdownColumns:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteString("\n")
	return b.String()
}

// unbroken splits a text at the spaces where Markdown may have a line break without another meaning.
func unbroken(text string) []string {
	var parts []string
	for _, word := range strings.Split(text, " ") {
		if n := len(parts); n > 0 && (word == "" || parts[n-1] == "" || opensBlock.MatchString(word)) {
			parts[n-1] += " " + word
		} else {
			parts = append(parts, word)
		}
	}
	return parts
}
