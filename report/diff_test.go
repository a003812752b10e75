package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// What a change of status is called, and what it does to the exit code: that
// something is not known any more is never fixed, and that something is not
// met is never new knowledge only.
func TestChange(t *testing.T) {
	const absent = requirement.Status("")
	const passed, failed, warning, skipped, unknown = requirement.Passed, requirement.Failed, requirement.Warning,
		requirement.NotApplicable, requirement.Undetermined
	for _, c := range []struct {
		old, new requirement.Status
		want     Change
		exit     int
	}{
		{passed, passed, Same, 0}, {passed, failed, Broke, 1}, {passed, warning, Broke, 1}, {passed, skipped, Changed, 0},
		{passed, unknown, Lost, 3}, {passed, absent, Lost, 3},
		{failed, passed, Fixed, 0}, {failed, failed, Same, 0}, {failed, warning, Changed, 0}, {failed, skipped, Fixed, 0},
		{failed, unknown, Lost, 3}, {failed, absent, Lost, 3},
		{warning, passed, Fixed, 0}, {warning, failed, Broke, 1}, {warning, warning, Same, 0}, {warning, skipped, Fixed, 0},
		{warning, unknown, Lost, 3}, {warning, absent, Lost, 3},
		{skipped, passed, Changed, 0}, {skipped, failed, Broke, 1}, {skipped, warning, Broke, 1}, {skipped, skipped, Same, 0},
		{skipped, unknown, Lost, 3}, {skipped, absent, Lost, 3},
		{unknown, passed, Decided, 0}, {unknown, failed, Found, 1}, {unknown, warning, Found, 1},
		{unknown, skipped, Decided, 0}, {unknown, unknown, Same, 0}, {unknown, absent, Changed, 0},
		{absent, passed, Decided, 0}, {absent, failed, Found, 1}, {absent, warning, Found, 1}, {absent, skipped, Decided, 0},
		{absent, unknown, Changed, 0},
	} {
		t.Run(fmt.Sprintf("%s to %s", c.old, c.new), func(t *testing.T) {
			side := func(s requirement.Status) *Saved {
				if s == absent {
					return saved("r.json")
				}
				return saved("r.json", requirement.Finding{Requirement: requirement.Requirement{ID: "a",
					Severity: requirement.Required}, Outcome: requirement.Outcome{Status: s, Message: "m"}})
			}
			got := Compare(side(c.old), side(c.new))
			if len(got.Differences) != 1 || got.Differences[0].Change != c.want || exitCode(got.Verdict()) != c.exit {
				t.Errorf("%+v, exit code %d; want %s, %d", got.Differences, exitCode(got.Verdict()), c.want, c.exit)
			}
		})
	}
}

// A waiver of the new report covers what broke and what was lost; what is
// accepted covers what was lost; and only what is required counts when lost.
func TestDiffExitCode(t *testing.T) {
	find := func(severity requirement.Severity, status requirement.Status,
		edit ...func(*requirement.Finding)) requirement.Finding {
		f := requirement.Finding{Requirement: requirement.Requirement{ID: "a", Severity: severity},
			Outcome: requirement.Outcome{Status: status}}
		for _, e := range edit {
			e(&f)
		}
		return f
	}
	waive := func(f *requirement.Finding) { f.Waiver = &requirement.Waiver{} }
	accept := func(f *requirement.Finding) { f.Accepted = true }
	for name, c := range map[string]struct {
		old, new requirement.Finding
		exit     int
	}{
		"broke, waived": {find(requirement.Required, requirement.Passed),
			find(requirement.Required, requirement.Failed, waive), 0},
		"broke, waived before": {find(requirement.Required, requirement.Passed, waive),
			find(requirement.Required, requirement.Failed), 1},
		"found": {find(requirement.Required, requirement.Undetermined),
			find(requirement.Required, requirement.Failed), 1},
		"found, waived": {find(requirement.Required, requirement.Undetermined),
			find(requirement.Required, requirement.Failed, waive), 0},
		"a recommendation broke": {find(requirement.Recommended, requirement.Passed),
			find(requirement.Recommended, requirement.Warning), 1},
		"lost, waived": {find(requirement.Required, requirement.Passed),
			find(requirement.Required, requirement.Undetermined, waive), 0},
		"lost, accepted": {find(requirement.Required, requirement.Passed),
			find(requirement.Required, requirement.Undetermined, accept), 0},
		"a recommendation, lost": {find(requirement.Recommended, requirement.Passed),
			find(requirement.Recommended, requirement.Undetermined), 0},
		"lost that was unmet too": {find(requirement.Required, requirement.Failed),
			find(requirement.Required, requirement.Undetermined), 3},
	} {
		if got := exitCode(Compare(saved("old", c.old), saved("new", c.new)).Verdict()); got != c.exit {
			t.Errorf("%s: %d, want %d", name, got, c.exit)
		}
	}
}

// Differences stand in the order of the catalogue: a requirement that only one
// of the reports has stands where that report has it.
func TestDiffOrder(t *testing.T) {
	list := func(ids string) *Saved {
		s := saved(ids)
		for _, id := range strings.Fields(ids) {
			s.Findings = append(s.Findings, requirement.Finding{Requirement: requirement.Requirement{ID: id}})
		}
		return s
	}
	for _, c := range []struct{ old, new, want string }{
		{"a b c", "a b c", "a b c"},
		{"a c", "a b c", "a b c"},
		{"a b c", "a c", "a b c"},
		{"a b", "b c", "a b c"},
		{"", "a b", "a b"},
		{"a b", "", "a b"},
		{"a b c", "c b a", "a b c"},
		{"a c", "x b y", "a c x b y"},
	} {
		var got []string
		for _, d := range Compare(list(c.old), list(c.new)).Differences {
			f := d.Old
			if f == nil {
				f = d.New
			}
			got = append(got, f.ID)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q and %q: %q, want %q", c.old, c.new, got, c.want)
		}
	}
}

// Evidence is paired by its place. Its offset in a file, and what a second
// reader made of it, is no change of what was found.
func TestCompareEvidence(t *testing.T) {
	at := func(value, data string, edit ...func(*requirement.Evidence)) requirement.Evidence {
		e := requirement.Evidence{Source: "root", Path: "SYSTEM", Key: "K", Value: value, Type: "REG_SZ", Data: data,
			Time: start}
		for _, f := range edit {
			f(&e)
		}
		return e
	}
	type list = []requirement.Evidence
	elsewhere := func(e *requirement.Evidence) {
		e.Offset, e.CrossCheck = new(int64), requirement.CrossCheck{State: requirement.CrossConfirmed, Readers: "regparser"}
	}
	later := func(e *requirement.Evidence) { e.Time = e.Time.Add(time.Second) }
	noted := func(e *requirement.Evidence) { e.Note = "from the transaction log" }
	retyped := func(e *requirement.Evidence) { e.Type = "REG_DWORD" }
	for name, c := range map[string]struct {
		old, new list
		want     string // of each change the data before and after
	}{
		"the same":            {list{at("a", "1")}, list{at("a", "1")}, ""},
		"the same, elsewhere": {list{at("a", "1")}, list{at("a", "1", elsewhere)}, ""},
		"in another order":    {list{at("a", "1"), at("b", "2")}, list{at("b", "2"), at("a", "1")}, ""},
		"data":                {list{at("a", "1")}, list{at("a", "2")}, "1>2"},
		"type":                {list{at("a", "1")}, list{at("a", "1", retyped)}, "1>1"},
		"time":                {list{at("a", "1")}, list{at("a", "1", later)}, "1>1"},
		"note":                {list{at("a", "1")}, list{at("a", "1", noted)}, "1>1"},
		"new":                 {list{at("a", "1")}, list{at("a", "1"), at("b", "2")}, ">2"},
		"gone":                {list{at("a", "1"), at("b", "2")}, list{at("a", "1")}, "2>"},
		"twice at one place":  {list{at("a", "1"), at("a", "2")}, list{at("a", "1"), at("a", "3"), at("a", "4")}, "2>3 >4"},
		"all of it":           {nil, list{at("a", "1")}, ">1"},
	} {
		var got []string
		for _, change := range compareEvidence(c.old, c.new) {
			var before, after string
			if change.Old != nil {
				before = change.Old.Data
			}
			if change.New != nil {
				after = change.New.Data
			}
			got = append(got, before+">"+after)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

// comparison has a change of every kind.
func comparison() Comparison {
	old := &Saved{Name: "old.json", Started: start.AddDate(0, 0, -1), Platform: failing().Platform,
		Verdict: "inconclusive", Findings: ready().Findings}
	old.Findings = append(old.Findings, failing().Findings[2:]...)
	old.Platform.ComputerName = ""
	new := &Saved{Name: "new.json", Started: start, Platform: failing().Platform, Verdict: "not_ready",
		Findings: waived().Findings}
	new.Findings[1] = requirement.Find(new.Findings[1].Requirement,
		requirement.Fail("9.2 GiB free, more than 12 are needed",
			requirement.Evidence{Source: "root", Path: "$Bitmap", Time: start}))
	new.Findings[3] = requirement.Find(new.Findings[3].Requirement, requirement.Pass("the answer file is there"))
	old.Findings[6].Outcome = requirement.Unknown("WinRM is damaged.")
	new.Findings[4].Outcome = requirement.Pass("3 rearms are left")
	new.Findings[5].Outcome = requirement.Unknown("SYSTEM is damaged")
	new.Findings[8].Evidence = new.Findings[8].Evidence[:1]
	return Compare(old, new)
}

func TestDiffGolden(t *testing.T) {
	for name, write := range map[string]func(io.Writer, Comparison, Options) error{"text": DiffText, "json": DiffJSON} {
		var b bytes.Buffer
		if err := write(&b, comparison(), Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
			t.Fatal(err)
		}
		golden(t, "diff."+name, b.Bytes())
	}
}

// Nothing of an image reaches a terminal, no line is wider than what was asked
// for, and a writer that fails makes the comparison fail.
func TestDiffText(t *testing.T) {
	bad := &Saved{Name: "\x1b[2J.json", Started: start, Platform: hostile().Platform, Findings: hostile().Findings}
	bad.Findings[0].ID = "win.\x1b[2J"
	for _, c := range []Comparison{Compare(saved("r.json"), bad), Compare(bad, saved("r.json")), Compare(bad, bad),
		comparison()} {
		var b bytes.Buffer
		if err := DiffText(&b, c, Options{Width: 90}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if strings.ContainsFunc(line, func(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }) ||
				width(line) > 90 {
				t.Errorf("%q", line)
			}
		}
		full := errors.New("no space left")
		for _, room := range []int{0, b.Len() - 1} {
			if err := DiffText(&limited{room: room, err: full}, c, Options{Width: 90}); !errors.Is(err, full) {
				t.Errorf("into %d of %d bytes: %v", room, b.Len(), err)
			}
		}
	}
}

// What is found nowhere is not printed: neither a value that both reports miss, nor the
// place where one was searched for.
func TestDiffEmpty(t *testing.T) {
	find := func(e ...requirement.Evidence) *Saved {
		return saved("r", requirement.Find(row("win.x", requirement.Required), requirement.Pass("m", e...)))
	}
	at := func(path string, found bool) requirement.Evidence {
		e := requirement.Evidence{Kind: requirement.KindFile, Found: found, Source: "root", Path: path}
		if !found {
			e.Note = "not found"
		}
		return e
	}
	later := at("both", false)
	later.Time = start
	var b strings.Builder
	c := Compare(find(at("gone", false), at("both", false), at("new", false)), find(later, at("new", true)))
	if err := DiffText(&b, c, Options{}); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); strings.Contains(s, "gone") || strings.Contains(s, "both") || strings.Contains(s, "  - ") ||
		!strings.Contains(s, "\n  + root new\n") {
		t.Error(s)
	}
}

// Programs find every change but what is the same, and the same figures.
func TestDiffJSON(t *testing.T) {
	var b bytes.Buffer
	c := comparison()
	if err := DiffJSON(&b, c, Options{ExitCode: exitCode}); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		ExitCode int            `json:"exit_code"`
		Summary  map[string]int `json:"summary"`
		Changes  []struct{ Change string }
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{"same": len(c.Differences) - len(doc.Changes)}
	for _, change := range doc.Changes {
		n[change.Change]++
	}
	if d := cmp.Diff(n, doc.Summary); d != "" || doc.ExitCode != 1 {
		t.Errorf("exit code %d, %s", doc.ExitCode, d)
	}
}
