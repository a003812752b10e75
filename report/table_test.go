package report

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func table(t *testing.T, r *scanner.Result, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Table(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The table on a narrow, a wide and a very wide terminal, with all findings.
func TestTableAtWidths(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names are for another shell")
	}
	for _, columns := range []int{40, 80, 120, 200} {
		o := Options{Width: columns, Color: columns == 120, All: true, Saved: "my report.json"}
		golden(t, fmt.Sprintf("failing-all-%d.table", columns), []byte(table(t, failing(), o)))
	}
}

// No line is wider than what was asked for, whatever the image says.
func TestTableWidth(t *testing.T) {
	for name, r := range demos(t) {
		for _, columns := range []int{0, 1, 39, 40, 41, 79, 80, 109, 110, 120, 200} {
			for _, all := range []bool{false, true} {
				limit := columns
				if limit == 0 {
					limit = 80
				}
				limit = max(limit, 40)
				for line := range strings.Lines(table(t, r, Options{Width: columns, All: all})) {
					if n := width(strings.TrimSuffix(line, "\n")); n > limit {
						t.Errorf("%s, %d asked for, %d columns: %s", name, columns, n, line)
					}
				}
			}
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// A terminal gets the same text as a pipe, and no color that cannot be read on a light
// or on a dark screen.
func TestTableColor(t *testing.T) {
	for name, r := range scans(t) {
		colored := table(t, r, Options{Color: true, All: true})
		if d := cmp.Diff(table(t, r, Options{All: true}), sgr.ReplaceAllString(colored, "")); d != "" {
			t.Errorf("%s: (-pipe +terminal)\n%s", name, d)
		}
		for _, m := range sgr.FindAllStringSubmatch(colored, -1) {
			if !slices.Contains([]string{"1", "1;31", "1;32", "1;35", "0"}, m[1]) {
				t.Errorf("%s: SGR %s", name, m[1])
			}
		}
	}
}

// demos are the samples and every case of the demonstration that can be scanned.
func demos(t *testing.T) map[string]*scanner.Result {
	t.Helper()
	all := scans(t)
	for _, c := range fixtures.Cases() {
		in, err := caseInput(c.Name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := scanner.Scan(t.Context(), in)
		switch {
		case c.Name == "bitlocker":
			continue // nothing can be read
		case err != nil:
			t.Fatalf("%s: %v", c.Name, err)
		}
		all["case-"+c.Name] = r
	}
	return all
}

// Nothing is repeated: no message is printed in a paragraph and again in a row,
// and none for two findings.
func TestTableSaysOnce(t *testing.T) {
	bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for name, r := range demos(t) {
		for _, all := range []bool{false, true} {
			text := bare(table(t, r, Options{All: all}))
			for _, f := range r.Findings {
				message := bare(Neutral(f.Message))
				partOfAnother := slices.ContainsFunc(r.Findings, func(g requirement.Finding) bool {
					return g.Message != f.Message && strings.Contains(g.Message, strings.TrimSuffix(f.Message, "."))
				})
				const telling = 12 // bytes, below which a text may stand anywhere by chance
				if len(message) < telling || partOfAnother {
					continue
				}
				n := strings.Count(text, message)
				if n > 1 || n == 0 && all && len(message) < maxCell/2 {
					t.Errorf("%s, all %v: %s is printed %d times: %s", name, all, f.ID, n, f.Message)
				}
			}
		}
	}
}

// The verdict with its counts ends the table, and is all that a quiet scan prints.
func TestVerdictLine(t *testing.T) {
	for name, r := range scans(t) {
		var b bytes.Buffer
		if err := VerdictLine(&b, r, Options{Width: 40}); err != nil {
			t.Fatal(err)
		}
		line := b.String()
		if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, verdictName[r.Verdict]+": ") {
			t.Errorf("%s: %q", name, line)
		}
		if text := table(t, r, Options{Width: 10_000}); !strings.Contains(text, "\n"+line[:min(len(line)-1, maxProse/2)]) {
			t.Errorf("%s: the table does not end with %q:\n%s", name, line, text)
		}
	}
}

// The counts are those of the checks that apply and count.
func TestTally(t *testing.T) {
	service := func(f requirement.Finding) requirement.Finding {
		f.Scope = requirement.Service
		return f
	}
	find := func(o requirement.Outcome) requirement.Finding {
		o.Remediation = "mend it"
		return requirement.Find(row("win.x", requirement.Required), o)
	}
	e := requirement.Evidence{Source: "root"}
	pass, fail, warn := find(requirement.Pass("m")), find(requirement.Fail("m", e)), find(requirement.Warn("m", e))
	unknown, skip := find(requirement.Unknown("m")), find(requirement.Skip("m"))
	waived := fail
	waived.Waiver = &requirement.Waiver{}
	list := func(f ...requirement.Finding) []requirement.Finding { return f }
	for _, c := range []struct {
		findings []requirement.Finding
		want     string
	}{
		{list(pass), "1 of 1 check passed."},
		{list(pass, pass, skip), "2 of 2 checks passed."},
		{list(pass, service(unknown)), "1 of 1 check passed. 1 more needs data from AWS (--with)."},
		{list(pass, fail), "1 of 2 checks failed."},
		{list(fail, fail, warn, unknown, unknown), "2 of 5 checks failed, 1 has a warning, 2 undecided."},
		{list(warn, warn, pass), "2 of 3 checks have warnings."},
		{list(warn, unknown), "1 of 2 checks has a warning, 1 undecided."},
		{list(unknown, pass), "1 of 2 checks is undecided."},
		{list(unknown, unknown, service(unknown), service(unknown)),
			"2 of 2 checks are undecided. 2 more need data from AWS (--with)."},
		{list(fail, waived), "2 of 2 checks failed (1 waived)."},
		{list(skip), "No check applies."},
	} {
		if got := tally(result(c.findings...)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	r := result(pass)
	r.Reasons = []scanner.VerdictReason{{Kind: scanner.ReasonNotChecked, IDs: []string{"a", "b"}},
		{Kind: scanner.ReasonImageChanged}}
	if got, want := tally(r), "1 of 1 check passed, 2 not checked. An image changed while it was read."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// One cause that leaves two requirements unmet is one card; findings that rest on
// something else, or are mended in another way, have their own.
func TestCards(t *testing.T) {
	at := func(path string) requirement.Evidence {
		return requirement.Evidence{Kind: requirement.KindFile, Found: true, Source: "root", Path: path}
	}
	fail := func(message, fix, path string) requirement.Outcome {
		o := requirement.Fail(message, at(path))
		o.Remediation = fix
		return o
	}
	find := func(id string, s requirement.Severity, o requirement.Outcome) requirement.Finding {
		return requirement.Find(row(id, s), o)
	}
	warn := requirement.Warn("old", at("c"))
	required := requirement.Required
	waived := find("k", required, fail("one", "mend", "a"))
	waived.Waiver = &requirement.Waiver{}
	service := find("m", required, requirement.Unknown("torn"))
	service.Scope = requirement.Service
	r := result(
		find("a", required, requirement.Unknown("torn")),
		find("b", required, fail("one", "mend", "a")),
		find("c", required, fail("two", "mend", "a")),
		find("d", required, fail("one", "mend", "a")),
		find("e", required, fail("one", "mend otherwise", "a")),
		find("f", required, fail("one", "mend", "b")),
		find("g", required, requirement.Unknown("torn")),
		find("h", required, requirement.Pass("one")),
		find("i", requirement.Recommended, warn),
		find("j", requirement.Recommended, requirement.Unknown("torn")),
		waived, service,
	)
	ids := func(list []card) string {
		var all []string
		for _, c := range list {
			one := ""
			for _, f := range c {
				one += f.ID
			}
			all = append(all, one)
		}
		return strings.Join(all, " ")
	}
	needed, extra, covered := cards(r)
	if got := ids(needed) + " | " + ids(extra) + " | " + ids(covered); got != "bd c e f ag | i j | k" {
		t.Errorf("%s", got)
	}
	r.Findings[8].Unmet = true // as --fail-on recommended makes it
	if needed, _, _ := cards(r); ids(needed) != "bd c e f i ag" {
		t.Errorf("%s", ids(needed))
	}
}

// A card shows what decides: what was found before what was not, values of a key
// together, no data that the message quotes, and a time to the second.
func TestDeciding(t *testing.T) {
	when := time.Date(2026, 3, 1, 12, 0, 7, 9, time.UTC)
	value := func(name, data string, found bool) requirement.Evidence {
		return requirement.Evidence{Kind: requirement.KindValue, Found: found, Source: "root",
			Path: "Windows/System32/config/SYSTEM", Key: "K", Value: name, Data: data, Time: when}
	}
	file := requirement.Evidence{Kind: requirement.KindFile, Found: true, Source: "root", Path: "a b", Data: "4 bytes",
		Note: "blank"}
	absent := requirement.Evidence{Kind: requirement.KindFile, Source: "root", Path: "c", Note: "not found"}
	long := strings.Repeat("x", 61)
	type list = []requirement.Evidence
	for _, c := range []struct {
		evidence list
		want     string
	}{
		{list{value("A", "1", true), value("B", "told", true), value("B", "told", true)},
			`HKLM\SYSTEM\K: A = 1, B 2026-03-01 12:00:07Z`},
		{list{value("A", long, true), value("C", long[1:], true)}, `HKLM\SYSTEM\K: A, C = ` + long[1:] +
			" 2026-03-01 12:00:07Z"},
		{list{absent, file}, "root a b: (blank)"},
		{list{absent}, "root c: (not found)"},
		{list{{Kind: requirement.KindVolume, Found: true, Source: "root"}}, ""},
		{list{{Kind: requirement.KindVolume, Found: true, Source: "root", Note: "encrypted"}}, "root: (encrypted)"},
	} {
		var got []string
		for _, p := range deciding(requirement.Finding{Outcome: requirement.Fail("the message told it", c.evidence...)}) {
			got = append(got, strings.Join(p.where, " ")+": "+strings.Join(p.what, " "))
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%q, want %q", s, c.want)
		}
	}
}

// A volume that was not given is named where the volumes are, and what was only
// noted does not hide what the reader must know.
func TestTablePlace(t *testing.T) {
	r := failing()
	r.Volumes = append(r.Volumes[:1], scanner.Volume{Role: scanner.Other, Image: "win-root.img", Partition: 1,
		Filesystem: "ntfs", Size: 1 << 30, Free: -1})
	r.Notices = append(r.Notices, requirement.Notice{Level: requirement.LevelInfo, Message: "The images are of two days."})
	text, all := table(t, r, Options{}), table(t, r, Options{All: true})
	const noted = "SYSTEM was dirty"
	for _, c := range []struct {
		what string
		in   bool
		all  bool
	}{{"\nuser   not given\n", true, true}, {"\nother  ", false, true}, {noted, false, true},
		{"The images are of two days.", true, true}} {
		if strings.Contains(text, c.what) != c.in || strings.Contains(all, c.what) != c.all {
			t.Errorf("%q: want %v, with --all %v:\n%s", c.what, c.in, c.all, text)
		}
	}
	if r := samples()["linux-failing"]; strings.Contains(table(t, r, Options{}), "not given") {
		t.Error("a volume is missing that is there")
	}
	many := failing()
	for range maxNotices + 1 {
		many.Notices = append(many.Notices, requirement.Notice{Level: requirement.LevelError, Message: "torn"})
	}
	if s := table(t, many, Options{}); !strings.Contains(s, "\n3 more notices are in the log (-o log).\n") {
		t.Error(s)
	}
}

// The next command is one that does what the verdict asks for, with the report's name
// as a shell takes it.
func TestNext(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names are for another shell")
	}
	for _, c := range []struct {
		verdict scanner.Verdict
		saved   string
		want    string
	}{
		{scanner.Ready, "r.json", "aws workspaces create-workspace-image --workspace-id ID --name NAME --description TEXT"},
		{scanner.Inconclusive, "r.json", "settle what is undecided, then scan again."},
		{scanner.NotReady, "", "add -o json=report.json, then run coldcheck remediate report.json"},
		{scanner.NotReady, "out/r.json", "coldcheck remediate out/r.json"},
		{scanner.NotReady, "my report's.json", `coldcheck remediate 'my report'\''s.json'`},
	} {
		if got, _ := next(&scanner.Result{Verdict: c.verdict}, Options{Saved: c.saved}); got != c.want {
			t.Errorf("%s: %q, want %q", c.verdict, got, c.want)
		}
	}
	alone := &scanner.Result{Verdict: scanner.Inconclusive, Platform: scanner.Platform{Family: "windows"}}
	if got, _ := next(alone, Options{}); got != "scan again with the image of the user volume." {
		t.Errorf("without a user volume: %q", got)
	}
}
