package prose

import (
	"strings"
	"testing"
)

func TestGiB(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0.0 GiB", 1: "under 1 MiB", 1<<20 - 1: "under 1 MiB", 1 << 20: "1 MiB", 107374182: "102 MiB",
		107374183:      "0.1 GiB",
		12_884_901_888: "12.0 GiB", 12_884_901_887: "11.9 GiB", 10<<30 - 1: "9.9 GiB", 1<<62 + 1<<29: "4294967296.5 GiB",
	} {
		if got := GiB(n); got != want {
			t.Errorf("GiB(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64][2]string{
		0: {"0 bytes", "0.0 KiB"}, 1<<20 - 1: {"1048575 bytes", "1024.0 KiB"}, 1 << 20: {"1 MiB", "1.0 MiB"},
		1<<30 - 1: {"1023 MiB", "1024.0 MiB"},
		1 << 30:   {"1.0 GiB", "1.0 GiB"}, 3<<30 - 1: {"2.9 GiB", "3.0 GiB"},
		1<<63 - 1: {"8589934591.9 GiB", "8589934592.0 GiB"},
	} {
		if got := [2]string{Size(n), Rounded(n)}; got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestList(t *testing.T) {
	items := []string{"a", "b", "c"}
	for most, want := range map[int]string{3: "a, b, c", 2: "a, b and 1 more", 1: "a and 2 more"} {
		if got := List(items, most); got != want {
			t.Errorf("%d: %q, want %q", most, got, want)
		}
	}
	long := []string{strings.Repeat("x", 500)}
	if got := Some(long); len(got) > 450 || len(long[0]) != 500 {
		t.Errorf("%q, of %d bytes", got, len(long[0]))
	}
}

func TestCountAndSome(t *testing.T) {
	for _, c := range [][2]string{
		{Count(0, "file", "files"), "0 files"}, {Count(1, "file", "files"), "1 file"}, {Count(2, "file", "files"), "2 files"},
		{Some(nil), ""}, {Some([]string{"a", "b"}), "a, b"}, {Some([]string{"1", "2", "3", "4", "5"}), "1, 2, 3, 4, 5"},
		{Some([]string{"1", "2", "3", "4", "5", "6", "7"}), "1, 2, 3, 4, 5 and 2 more"},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, want %q", c[0], c[1])
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 0, ""},
		{"abcd", 4, "abcd"},
		{"abcde", 4, "abcd… (1 more bytes)"},
		{"äöü", 12, "äö… (2 more bytes)"},
		{"äöü", 18, "äöü"},
		{"\x01\x02", 11, "\x01… (1 more bytes)"},
		{"a\xffb", 6, "a… (2 more bytes)"},
		{"𝄞𝄞", 13, "𝄞… (4 more bytes)"},
		{`""""`, 7, `"""… (1 more bytes)`},
	} {
		if got, cut := Shorten(c.text, c.most); got != c.want || cut != (c.want != c.text) {
			t.Errorf("%q, %d: %q, want %q", c.text, c.most, got, c.want)
		}
	}
}
