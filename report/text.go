package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// Neutral returns s with every character escaped that could mislead a terminal
// or a reader. Control characters, bidirectional and other format characters,
// line separators, invisible, private and unassigned characters are written
// like <U+001B>, and bytes that are not UTF-8 like <0x9B>. A "<" that could be
// read as the start of such an escape is written <U+003C>, so that different
// strings stay different.
func Neutral(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "<0x%02X>", s[i])
		case harmless(r) && !(r == '<' && mark(s[i:])):
			b.WriteString(s[i : i+n])
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
		i += n
	}
	return b.String()
}

// plain says that s holds printable ASCII without "<" only, as nearly every
// name does.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '<' {
			return false
		}
	}
	return true
}

// mark says that s, which begins with "<", begins like a mark of Neutral.
func mark(s string) bool {
	return strings.HasPrefix(s, "<U+") || strings.HasPrefix(s, "<0x")
}

// harmless says that r is drawn as itself: a letter, mark, number, punctuation,
// symbol or space of Unicode, and not one that is drawn as nothing.
func harmless(r rune) bool {
	return (unicode.IsPrint(r) || unicode.Is(unicode.Zs, r)) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// width is the number of columns that s takes. Characters of ambiguous width
// are narrow, wherever the program runs: the same report everywhere.
func width(s string) int {
	return displaywidth.String(s)
}

// wrap breaks s into lines of at most columns columns. It breaks at spaces; a
// word that fits no line is broken after a separator of paths and lists, and
// anywhere if it has none. No character but the space at a break is lost.
func wrap(s string, columns int) []string { return wrapAfter(0, s, columns) }

// wrapAfter is wrap for a first line of which some columns are taken.
func wrapAfter(taken int, s string, columns int) []string {
	w := wrapper{columns: columns, used: taken}
	for i, word := range strings.Split(s, " ") {
		n := width(word)
		switch {
		case i == 0 || w.used == 0 && len(w.lines) > 0:
			// Nothing before it on this line.
		case w.used+1+n <= columns || n > columns && w.used+1 < columns:
			w.add(" ", 1)
		default:
			w.breakLine()
		}
		if w.used+n <= columns {
			w.add(word, n)
			continue
		}
		for _, part := range parts(word) {
			w.fit(part)
		}
	}
	w.breakLine()
	return w.lines
}

// fold breaks a path or a key, where a space is part of a name: after its
// separators, and anywhere if that is not enough.
func fold(s string, columns int) []string {
	w := wrapper{columns: columns}
	for _, part := range parts(s) {
		w.fit(part)
	}
	w.breakLine()
	return w.lines
}

type wrapper struct {
	columns, used int
	line          strings.Builder
	lines         []string
}

func (w *wrapper) add(s string, columns int) {
	w.line.WriteString(s)
	w.used += columns
}

func (w *wrapper) breakLine() {
	w.lines = append(w.lines, strings.TrimRight(w.line.String(), " "))
	w.line.Reset()
	w.used = 0
}

// fit adds a part of a word, on a new line if it fits there only, and in pieces
// if it fits nowhere.
func (w *wrapper) fit(part string) {
	n := width(part)
	if w.used > 0 && w.used+n > w.columns {
		w.breakLine()
	}
	if n <= w.columns {
		w.add(part, n)
		return
	}
	for g := displaywidth.StringGraphemes(part); g.Next(); {
		if w.used > 0 && w.used+g.Width() > w.columns {
			w.breakLine()
		}
		w.add(g.Value(), g.Width())
	}
}

// parts splits a word after each separator.
func parts(word string) []string {
	var p []string
	for word != "" {
		i := strings.IndexAny(word, `\/,;:|&=`) + 1
		if i == 0 {
			i = len(word)
		}
		p = append(p, word[:i])
		word = word[i:]
	}
	return p
}

// shorten cuts s, which is Neutral, to at most columns columns; the cut shows.
func shorten(s string, columns int) string {
	if len(s) <= columns || width(s) <= columns {
		return s
	}
	return displaywidth.TruncateString(s, columns, "…")
}

// timestamp writes t as RFC 3339 in UTC with its nanoseconds, or "" for the
// zero time and for the years that RFC 3339 cannot write, which a damaged
// record may hold.
func timestamp(t time.Time) string {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
