package report

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/prose"
)

func TestNeutral(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"Windows/System32/config":    "Windows/System32/config",
		`C:\Program Files\a b`:       `C:\Program Files\a b`,
		"\x1b[31mred\x1b[0m":         "<U+001B>[31mred<U+001B>[0m",
		"a\r\nb\tc\x00d\x7f":         "a<U+000D><U+000A>b<U+0009>c<U+0000>d<U+007F>",
		"csi \u009b31m":              "csi <U+009B>31m",
		"\x9b\xff":                   "<0x9B><0xFF>",
		"\xed\xa0\x80":               "<0xED><0xA0><0x80>", // a surrogate, which UTF-8 does not have
		"gpj.\u202eexe":              "gpj.<U+202E>exe",
		"\u2066\u2069\u200e\u061c":   "<U+2066><U+2069><U+200E><U+061C>",
		"a\u200bb\u00adc\ufeff":      "a<U+200B>b<U+00AD>c<U+FEFF>",
		"a\u2028b\u2029c":            "a<U+2028>b<U+2029>c",
		"\u3164\u115f\u034f\ufe0f":   "<U+3164><U+115F><U+034F><U+FE0F>",
		"\U000e0041\U000f0000\uffff": "<U+E0041><U+F0000><U+FFFF>",
		"日本語 Ünïcödé Ελληνικά 한국어 😀": "日本語 Ünïcödé Ελληνικά 한국어 😀",
		"e\u0301":                     "e\u0301",
		"no\u00a0break wide\u3000gap": "no\u00a0break wide\u3000gap",
		"<b>":                         "<b>",
		"<U+001B>":                    "<U+003C>U+001B>",
		"<0x9B>":                      "<U+003C>0x9B>",
		"\ufffd":                      "\ufffd",
	} {
		if got := Neutral(in); got != want {
			t.Errorf("Neutral(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                             `""`,
		"REG_SZ":                       "REG_SZ",
		`ControlSet001\Services`:       `ControlSet001\Services`,
		`C:\Program Files\`:            `"C:\Program Files\"`,
		`say "yes"`:                    `"say ""yes"""`,
		`"`:                            `""""`,
		"a=b":                          `"a=b"`,
		"line\nverdict=ready":          `"line<U+000A>verdict=ready"`,
		"日本語":                          "日本語",
		"<U+000A>":                     "<U+003C>U+000A>",
		"no\u00a0break stays in place": "\"no\u00a0break stays in place\"",
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// Whatever is quoted stays on its line, is harmless to a terminal and can be
// read back to the byte.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", `C:\Program Files\`, `say "yes"`, "a=b\nc", "\x1b[31m\x9b\xff", "gpj.\u202eexe",
		"<U+001B>", "<0x9B>", "<", "<U+", "日本語"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(s)
		for _, r := range q {
			if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
				t.Errorf("quote(%q) holds %U", s, r)
			}
		}
		fields := readLine(t, "a=1 b="+q+" c=2")
		if len(fields) != 3 || fields["b"] != s {
			t.Errorf("quote(%q) = %s, read back as %q", s, q, fields)
		}
	})
}

// readLine reads a line of the log as docs/log.md says.
func readLine(t *testing.T, line string) map[string]string {
	fields := map[string]string{}
	for line != "" {
		key, rest, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("no field in %q", line)
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			for i := 1; ; i++ {
				if i >= len(rest) {
					t.Fatalf("no closing quote in %q", line)
				}
				if rest[i] != '"' {
					value += rest[i : i+1]
					continue
				}
				i++
				if i < len(rest) && rest[i] == '"' {
					value += `"`
					continue
				}
				rest = rest[i:]
				break
			}
			rest = strings.TrimPrefix(rest, " ")
		} else {
			value, rest, _ = strings.Cut(rest, " ")
		}
		fields[key] = unmark(t, value)
		line = rest
	}
	return fields
}

// unmark undoes Neutral.
func unmark(t *testing.T, s string) string {
	var b []byte
	for s != "" {
		if !mark(s) {
			b = append(b, s[0])
			s = s[1:]
			continue
		}
		text, rest, ok := strings.Cut(s[3:], ">")
		n, err := strconv.ParseUint(text, 16, 32)
		if !ok || err != nil {
			t.Fatalf("broken mark in %q", s)
		}
		if s[1] == 'U' {
			b = utf8.AppendRune(b, rune(n))
		} else {
			b = append(b, byte(n))
		}
		s = rest
	}
	return string(b)
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{"one two three", 13, []string{"one two three"}},
		{"one two three", 12, []string{"one two", "three"}},
		{"a  b", 3, []string{"a", "b"}},
		{"a  b", 4, []string{"a  b"}},
		{`key HKLM\SYSTEM\Select`, 12, []string{`key HKLM\`, `SYSTEM\`, `Select`}},
		{"x abcdefghij", 4, []string{"x", "abcd", "efgh", "ij"}},
		{"日本語テキスト", 5, []string{"日本", "語テ", "キス", "ト"}},
		{"e\u0301e\u0301e\u0301", 2, []string{"e\u0301e\u0301", "e\u0301"}},
	} {
		if d := cmp.Diff(c.want, wrap(c.in, c.columns)); d != "" {
			t.Errorf("wrap(%q, %d):\n%s", c.in, c.columns, d)
		}
	}
}

// A space in a path is no place to break it.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, 40,
			[]string{`HKLM\SOFTWARE\Microsoft\Windows NT\`, "CurrentVersion"}},
		{"Program Files/Contoso", 10, []string{"Program Fi", "les/", "Contoso"}},
	} {
		if d := cmp.Diff(c.want, fold(c.in, c.columns)); d != "" {
			t.Errorf("fold(%q, %d):\n%s", c.in, c.columns, d)
		}
	}
}

// No line is wider than asked for, and nothing but spaces is lost.
func FuzzWrap(f *testing.F) {
	f.Add("one two three", uint8(5))
	f.Add(`HKLM\SYSTEM\ControlSet001  ObjectName = 日本語`, uint8(20))
	f.Add("e\u0301\u200b😀👨‍👩‍👧", uint8(2))
	f.Fuzz(func(t *testing.T, s string, columns uint8) {
		n := int(columns%200) + 2 // a wide character needs two
		s = Neutral(s)
		lines := wrap(s, n)
		for _, l := range lines {
			if width(l) > n {
				t.Errorf("wrap(%q, %d): %d columns: %q", s, n, width(l), l)
			}
		}
		for _, l := range fold(s, n) {
			if width(l) > n {
				t.Errorf("fold(%q, %d): %d columns: %q", s, n, width(l), l)
			}
		}
		bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if bare(strings.Join(fold(s, n), "")) != bare(s) {
			t.Errorf("fold(%q, %d) = %q", s, n, fold(s, n))
		}
		if bare(strings.Join(lines, "")) != bare(s) {
			t.Errorf("wrap(%q, %d) = %q", s, n, lines)
		}
	})
}

// Free space is never overstated: sizes are rounded down, at the boundary too.
func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1<<20 - 1: "1048575 bytes", 1 << 20: "1 MiB", 1<<30 - 1: "1023 MiB",
		1 << 30: "1.0 GiB", 12 << 30: "12.0 GiB", 12<<30 - 1: "11.9 GiB", 13<<30 - 1: "12.9 GiB",
		1<<63 - 1: "8589934591.9 GiB",
	} {
		if got := prose.Size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestTimestamp(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want string
	}{
		{time.Time{}, ""},
		{time.Date(2026, 3, 1, 12, 0, 0, 100, time.FixedZone("", 3600)), "2026-03-01T11:00:00.0000001Z"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "9999-12-31T23:59:59Z"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)), ""},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), ""},
		{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), ""},
	} {
		if got := timestamp(c.t); got != c.want {
			t.Errorf("timestamp(%v) = %q, want %q", c.t, got, c.want)
		}
	}
}

// Each line of the log of each sample splits into fields that begin with the
// time and the event, and times never run backwards.
func TestLogLines(t *testing.T) {
	for name, r := range samples() {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Log(&b, r, Options{Version: "v1", ExitCode: exitCode}); err != nil {
				t.Fatal(err)
			}
			last, count := "", map[string]int{}
			for line := range strings.Lines(b.String()) {
				fields := readLine(t, strings.TrimSuffix(line, "\n"))
				if fields["time"] < last || fields["event"] == "" {
					t.Errorf("%s", line)
				}
				last = fields["time"]
				count[fields["event"]]++
			}
			evidence := 0
			for _, f := range r.Findings {
				evidence += len(f.Evidence)
			}
			want := fmt.Sprint(1, len(r.Findings), evidence, len(r.Notices), 1)
			if got := fmt.Sprint(count["report"], count["result"], count["evidence"], count["notice"],
				count["conclusion"]); got != want {
				t.Errorf("reports, results, evidence, notices, conclusions: %s, want %s", got, want)
			}
		})
	}
}
