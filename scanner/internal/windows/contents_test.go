package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestContents(t *testing.T) {
	if len(excludedSeven) != 33 {
		t.Errorf("%d folders, the document has 33", len(excludedSeven))
	}
	out := part{Path: `D:\Users\jdoe`, State: "present", Files: 7, Bytes: 3 << 30}
	gone := part{Path: `D:\Users\jdoe\Videos`, State: "absent"}
	kept := part{Path: `D:\Users\jdoe`, Included: true, State: "present", Files: 5, Bytes: 2 << 30}
	base := imageContents{Volume: 80 << 30, Used: 30 << 30, Profile: `D:\Users\jdoe`,
		Evidence: []requirement.Evidence{evidence}}
	with := func(change func(*imageContents)) imageContents { c := base; change(&c); return c }
	for says, c := range map[string]imageContents{
		`It leaves out the profile D:\Users\jdoe (7 files, 3.0 GiB).`: with(func(c *imageContents) {
			c.Left = []part{out}
		}),
		`leave out the profile D:\Users\jdoe, which does not exist.`: with(func(c *imageContents) {
			c.Left = []part{gone}
		}),
		`(2.0 GiB). It leaves out 7 files (3.0 GiB) in 1 of the 2 folders that AWS lists.`: with(func(c *imageContents) {
			c.Left,
				c.Kept = []part{out, gone}, &kept
		}),
		`and the profile D:\Users\jdoe on it`: base,
	} {
		o := reportContents(c)
		check(t, contents, o, passed)
		if !strings.Contains(o.Message, says) {
			t.Errorf("%s, want %s", o.Message, says)
		}
	}
	// What is left out is not in what is kept.
	c, err := fixture(t, "contents-windows7").readContents()
	if err != nil {
		t.Fatal(err)
	}
	all, err := fixture(t, "contents-windows7").Drive("D").FS.Tree("Users/jdoe")
	if err != nil {
		t.Fatal(err)
	}
	files, present := c.Kept.Files, 0
	for _, p := range c.Left {
		files += p.Files
		if p.Files > 0 {
			present++
		}
	}
	if files != all.Files || present != 3 || len(c.Left) != 33 {
		t.Errorf("%d files of %d, %d of %d folders with files", files, all.Files, present, len(c.Left))
	}
}

func TestParseCheckerLog(t *testing.T) {
	l := parseCheckerLog("started\r\n\r\nPASSED PowerShell version 3.0 or later must be installed\n" +
		"FAILED SSL3 and TLS version 1.2 must be enabled\nWarning: x\nValidation failed\n\x00")
	if len(l.Lines) != 4 || l.Last != "Validation failed" || l.Count["failed"] != 2 || l.Count["passed"] != 1 ||
		l.Count["warning"] != 1 {
		t.Errorf("%+v", l)
	}
	if l.Lines[0].Line != 3 || len(l.Lines[1].IDs) != 2 || l.Lines[1].IDs[0] != "win.tls.tls12" {
		t.Errorf("%+v", l.Lines)
	}
	for n, more := range map[int]int{maxCheckerLines - 1: 0, maxCheckerLines: 0, maxCheckerLines + 1: 1} {
		if l := parseCheckerLog(strings.Repeat("FAILED\n", n)); l.More != more || len(l.Lines) != min(n, maxCheckerLines) ||
			l.Count["failed"] != n {
			t.Errorf("%d lines: %d and %d more", n, len(l.Lines), l.More)
		}
	}
	if l := parseCheckerLog(strings.Repeat("failed ", 1000)); len(l.Lines[0].Text) > 310 {
		t.Errorf("a line of %d bytes", len(l.Lines[0].Text))
	}
	// Every id that a test is about is one of the catalogue's.
	known := map[string]bool{}
	for _, r := range Entries() {
		known[r.ID] = true
	}
	for _, c := range checkerTests {
		for _, id := range c.ids {
			if !known[id] {
				t.Errorf("%s: %s", c.words, id)
			}
		}
	}
}

func FuzzCheckerLog(f *testing.F) {
	f.Add("PASSED PowerShell version 3.0\nValidation Successful\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := parseCheckerLog(text)
		if len(l.Lines) > maxCheckerLines || strings.Contains(l.Last, "\n") {
			t.Errorf("%+v", l)
		}
	})
}

func TestCheckerLogMessage(t *testing.T) {
	for says, text := range map[string]string{
		" is empty": " \n",
		`contains no result. Its last line is "end".`:                        "begin\nend\n",
		`2 passed. Its last line is "PASSED b". It is the newest of 2 logs.`: "FAILED x\nPASSED a\nPASSED b\n",
	} {
		l := parseCheckerLog(text)
		l.File = there
		o := reportCheckerLog("ImageChecker_20260301114502.log", l, 2)
		check(t, logImageChecker, o, passed)
		if !strings.Contains(o.Message, says) {
			t.Errorf("%s, want %s", o.Message, says)
		}
	}
}

func TestLongPaths(t *testing.T) {
	long := []longPath{{`D:\Users\jdoe\` + strings.Repeat("n", 247), 261}}
	check(t, profileLongPaths, judgeLongPaths(nil, 0, 260, 0, evidence), passed)
	check(t, profileLongPaths, judgeLongPaths(nil, 0, 260, 1, evidence), undetermined)
	check(t, profileLongPaths, judgeLongPaths(long, 1, 261, 0, evidence), warning)
	check(t, profileLongPaths, judgeLongPaths(long, 1, 261, 1, evidence), warning)
	if o := judgeLongPaths(long, 2, 300, 0, evidence); !strings.Contains(o.Message,
		"2 folder paths have more than 260 characters; the longest has 300") || len(o.Message) > 250 {
		t.Errorf("%s", o.Message)
	}
	for s, want := range map[string]int{"": 0, "abc": 3, "ä€": 2, "😀": 2, "\uFFFD": 1} {
		if got := utf16Length(s); got != want {
			t.Errorf("%q: %d", s, got)
		}
	}
	for n, clipped := range map[int]bool{79: false, 80: false, 81: true} {
		if got := clipPath(strings.Repeat("x", n)); strings.Contains(got, "…") != clipped {
			t.Errorf("%d characters: %s", n, got)
		}
	}
}
