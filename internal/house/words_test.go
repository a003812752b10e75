package house

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	broken, err := Words(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

func TestWordsOfCode(t *testing.T) {
	long := strings.Repeat("very ", longestSentence-2)
	for code, want := range map[string]string{
		`var a = "C: has 9.2 GiB free."`:                   "",
		`var a = "beside it"`:                              `"beside" in "beside it" is not plain English`,
		`var a = "one " + b + "shall"`:                     "",
		`var a = "one " + "it shall be"`:                   `"shall" in "one it shall be" is not plain English`,
		`var a = "asked of Windows 7 alone"`:               "is not plain English",
		`var a = "shall"`:                                  "",
		"var a = `it shall be`":                            "",
		`var a = "a licence for it"`:                       `"licence" in "a licence for it" is British spelling`,
		`var a = "it is so.. "`:                            "is a double full stop",
		`var a = "it is,  so"`:                             "is a double space",
		`var a = "/usr/bin/tell /opt/lies"`:                "",
		`var a = errors.New("no such file.")`:              "an error ends in a full stop",
		`var a = fmt.Errorf("no %s.", b)`:                  "an error ends in a full stop",
		`var a = fmt.Errorf("no %s", b)`:                   "",
		`var a = R{Demand: "It must exist."}`:              "",
		`var a = R{Demand: "it must exist."}`:              "begins with a small letter",
		`var a = R{Demand: "sshd.service must exist."}`:    "",
		`var a = R{Remediation: "Remove it"}`:              "lacks its full stop",
		`var a = R{Remediation: "Remove " + it}`:           "",
		`var a = R{Doubts: "It ` + long + `is."}`:          "",
		`var a = R{Doubts: "It ` + long + `really is."}`:   "has 31 words",
		`import "a b/told c"`:                              "",
		"type a struct { b int `json:\"it shall be\"` }":   "",
		`var a = f("is told", "to the system")`:            `"told" in "is told" is not plain English`,
		`var a = map[string]int{"it is a lie and so": 1}`:  `"lie"`,
		`var a = "no " + "double" + " " + "space in text"`: "",
	} {
		broken, err := wordsOfCode("a.go", []byte("package a\n"+code+"\n"))
		switch {
		case err != nil:
			t.Fatalf("%s: %v", code, err)
		case want == "" && len(broken) > 0,
			want != "" && !slices.ContainsFunc(broken, func(b string) bool { return strings.Contains(b, want) }):
			t.Errorf("%s: %q, want %q", code, broken, want)
		}
	}
}

func TestWordsOfPage(t *testing.T) {
	const page = "It is plain.\n`it shall` be.\n```\nit shall be\n```\n    it shall be\n[it](shall be)\nThe whole page.\n"
	if got := wordsOfPage("a.md", page); len(got) != 1 || !strings.HasPrefix(got[0], "a.md:8: ") {
		t.Errorf("%q", got)
	}
}

func TestRendered(t *testing.T) {
	for text, want := range map[string]string{
		"C: has 9.2 GiB free; more than 12 GiB is required.": "",
		"One is missing. cloud-init is there.":               "",
		"pending.xml is in WinSxS.":                          "",
		`The file begins with "it shall  be".`:               "",
		"It is":                                              "lacks its full stop",
		"":                                                   "lacks its full stop",
		"it is.":                                             "begins with a small letter",
		"It is. it was.":                                     "begins with a small letter",
		"It lies there.":                                     `"lies"`,
		"It is there..":                                      "is a double full stop",
		"It is  there.":                                      "is a double space",
		"It ends: unexpected EOF.":                           "",
		"The colour of it is known.":                         "is British spelling",
	} {
		broken := Rendered(text)
		if want == "" && len(broken) > 0 || want != "" && !strings.Contains(strings.Join(broken, "\n"), want) {
			t.Errorf("%q: %q, want %q", text, broken, want)
		}
	}
	at := strings.Repeat("a ", longestSentence-1) + "a"
	for text, want := range map[string]int{
		at + ".": 0, at + " a.": 1, at + ". " + at + ".": 0, at + " a. B. " + at + " b.": 2,
	} {
		if got := Long(text); len(got) != want {
			t.Errorf("%q, want %d", got, want)
		}
	}
}
