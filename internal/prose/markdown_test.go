package prose

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMarkdownItem(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ mark, text, want string }{
		{"", "", "\n"},
		{"- ", "one  two", "- one  two\n"},
		{"", x(60) + " " + x(59), x(60) + " " + x(59) + "\n"},
		{"", x(60) + " " + x(60), x(60) + "\n" + x(60) + "\n"},
		{"- ", x(60) + " " + x(57), "- " + x(60) + " " + x(57) + "\n"},
		{"- ", x(60) + " " + x(58) + " a", "- " + x(60) + "\n  " + x(58) + " a\n"},
		{"", strings.Repeat("ä", 118) + " b", strings.Repeat("ä", 118) + " b\n"},
		{"", x(130) + " b", x(130) + "\nb\n"},
	} {
		if got := MarkdownItem(c.mark, c.text); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.mark, c.text, got, c.want)
		}
	}
}

// TestMarkdownItemBlocks makes sure that no line begins with what has a meaning only there.
func TestMarkdownItemBlocks(t *testing.T) {
	for _, word := range []string{
		"-", "--flag", "+", "*", "#", "##", ">", "===", "---", "```", "~~~", "1.", "12)", "<div>", "|", "",
	} {
		text := strings.TrimSuffix(strings.Repeat("one two "+word+" ", 40), " ")
		got := strings.Split(strings.TrimSuffix(MarkdownItem("- ", text), "\n"), "\n")
		if back := strings.TrimPrefix(got[0], "- ") + strings.Join(append([]string{""}, got[1:]...), "\n"); len(got) < 3 ||
			strings.ReplaceAll(back, "\n  ", " ") != text {
			t.Errorf("%q: %q", word, got)
		}
		for _, line := range got[1:] {
			if first, _, _ := strings.Cut(line[2:], " "); first != "one" && first != "two" {
				t.Errorf("%q begins the line %q", first, line)
			}
			if utf8.RuneCountInString(line) > markdownColumns {
				t.Errorf("the line %q is too long", line)
			}
		}
	}
}
