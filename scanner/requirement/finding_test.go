package requirement

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestFind holds every outcome to what a finding promises: what breaks the
// promise is a defect and comes out as undetermined, never as a pass.
func TestFind(t *testing.T) {
	ev := Evidence{Source: "root"}
	rule := func(s Severity) Requirement { return Requirement{ID: "x", Severity: s, Remediation: "mend it"} }
	for name, c := range map[string]struct {
		requirement Requirement
		outcome     Outcome
		want        Status
		defect      bool
	}{
		"passed":                         {rule(Required), Pass("good"), Passed, false},
		"inferred":                       {rule(Recommended), Infer("good"), Passed, false},
		"failed":                         {rule(Required), Fail("bad", ev), Failed, false},
		"warning":                        {rule(Recommended), Warn("bad", ev), Warning, false},
		"not applicable":                 {rule(Required), Skip("not here"), NotApplicable, false},
		"undetermined":                   {rule(Info), Unknown("torn"), Undetermined, false},
		"no status":                      {rule(Required), Outcome{Message: "?"}, Undetermined, true},
		"no message":                     {rule(Required), Outcome{Status: Passed, Basis: Observed}, Undetermined, true},
		"a pass without a basis":         {rule(Required), Outcome{Status: Passed, Message: "good"}, Undetermined, true},
		"a recommendation that fails":    {rule(Recommended), Fail("bad", ev), Undetermined, true},
		"an information that warns":      {rule(Info), Warn("bad", ev), Undetermined, true},
		"an information that is skipped": {rule(Info), Skip("no"), Undetermined, true},
		"failed without evidence":        {rule(Required), Fail("bad"), Undetermined, true},
		"warning without evidence":       {rule(Required), Warn("bad"), Undetermined, true},
		"failed without a remedy":        {Requirement{ID: "x", Severity: Required}, Fail("bad", ev), Undetermined, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := Find(c.requirement, c.outcome)
			if f.Status != c.want || strings.Contains(f.Message, "defect") != c.defect {
				t.Errorf("%s: %s", f.Status, f.Message)
			}
			if acts := f.Status == Failed || f.Status == Warning; acts != (f.Outcome.Remediation != "") {
				t.Errorf("%s with the remediation %q", f.Status, f.Outcome.Remediation)
			}
		})
	}
	o := Fail("bad", ev)
	o.Remediation = "mend this one"
	if f := Find(rule(Required), o); f.Outcome.Remediation != "Mend this one." {
		t.Errorf("remediation %q", f.Outcome.Remediation)
	}
}

// TestWith makes sure that two outcomes made of one do not share evidence.
func TestWith(t *testing.T) {
	o := Pass("good", Evidence{Source: "1"})
	a, b := o.With(Evidence{Source: "2"}), o.With(Evidence{Source: "3"})
	if len(o.Evidence) != 1 || a.Evidence[1].Source != "2" || b.Evidence[1].Source != "3" {
		t.Errorf("%v %v %v", o.Evidence, a.Evidence, b.Evidence)
	}
}

func TestCatalogue(t *testing.T) {
	type system struct{ n int }
	catalogue := []Entry[system]{
		{Requirement: Requirement{ID: "a"}, Judge: func(s system) Outcome { return Pass(strings.Repeat("a", s.n)) }},
		{Requirement: Requirement{ID: "b"}, Judge: func(s system) Outcome { return Pass(strings.Repeat("b", s.n)) }},
	}
	rules := []Rule{{Requirement: Requirement{ID: "a"}}, {Requirement: Requirement{ID: "other"}},
		{Requirement: Requirement{ID: "b"}}}
	list := List(catalogue)
	checks := Bind(catalogue, rules, func(context.Context, Terms) system { return system{3} })
	if len(list) != 2 || list[1].ID != "b" || len(checks) != 2 || checks[0].Decide(t.Context()).Message != "aaa" ||
		checks[1].Decide(t.Context()).Message != "bbb" {
		t.Errorf("%v, %v", list, checks)
	}
}

// TestOneLine makes sure that errors which were joined do not take several
// lines of a report.
func TestOneLine(t *testing.T) {
	both := errors.Join(errors.New("SYSTEM is torn"), errors.New("so is SOFTWARE."),
		errors.New("so is SOFTWARE"))
	const want = "SYSTEM is torn. So is SOFTWARE."
	if f := Find(Requirement{ID: "x"}, Unreadable(both)); f.Message != want {
		t.Errorf("finding %q", f.Message)
	}
	if o := Pass("").Also("there is one", "It is new"); o.Message != "There is one. It is new." {
		t.Errorf("message %q", o.Message)
	}
	var trail Trail
	trail.Notify(Notice{Level: LevelError, Message: both.Error()})
	if n := trail.Notices(); len(n) != 1 || n[0].Message != want {
		t.Errorf("notices %+v", n)
	}
}

// TestOnlyRecommended makes sure that a requirement which is only recommended on
// a system warns there and never fails.
func TestOnlyRecommended(t *testing.T) {
	ev := Evidence{Source: "root"}
	required := Requirement{ID: "x.y", Severity: Required, Remediation: "Repair it."}
	for _, c := range []struct {
		severity Severity
		outcome  Outcome
		status   Status
		want     Severity
	}{
		{Required, Fail("no", ev), Failed, Required},
		{Required, Fail("no", ev).OnlyRecommended(), Warning, Recommended},
		{Required, Warn("no", ev).OnlyRecommended(), Warning, Recommended},
		{Required, Pass("yes", ev).OnlyRecommended(), Passed, Recommended},
		{Required, Unknown("?").OnlyRecommended(), Undetermined, Recommended},
		{Recommended, Fail("no", ev).OnlyRecommended(), Warning, Recommended},
		{Info, Pass("yes", ev).OnlyRecommended(), Passed, Info},
	} {
		required.Severity = c.severity
		if f := Find(required, c.outcome); f.Status != c.status || f.Requirement.Severity != c.want {
			t.Errorf("%s, %s: %s, %s", c.severity, c.outcome.Status, f.Requirement.Severity, f.Status)
		}
	}
}
