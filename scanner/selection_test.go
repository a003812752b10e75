package scanner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestSelectIDs(t *testing.T) {
	all := len(Catalogue())
	for _, c := range []struct {
		patterns []string
		want     []string // nil: see count
		count    int
	}{
		{nil, nil, 0},
		{[]string{"win.tls.tls12"}, []string{"win.tls.tls12"}, 1},
		{[]string{"*"}, nil, all},
		{[]string{"ws.*"}, []string{"ws.state.available", "ws.modification.none", "ws.encryption.none",
			"ws.quota.images"}, 4},
		{[]string{"*.tls12", "ws.quota.images", "win.tls.tls12"}, []string{"ws.quota.images", "win.tls.tls12"}, 2},
		{[]string{"w*.t*s.*12"}, []string{"win.tls.tls12"}, 1},
	} {
		got, err := SelectIDs(c.patterns)
		if err != nil || len(got) != c.count || c.want != nil && !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v", c.patterns, got, err)
		}
	}
	for _, p := range []string{"", "win", "win.tls", "win.*.nothing", "WIN.TLS.TLS12", "win.tls.tls1?", "win.tls.tls1[2]",
		`win.tls.tls1\2`, "[", "win.tls.tls12 "} {
		if _, err := SelectIDs([]string{"win.tls.tls12", p}); !errors.Is(err, ErrUsage) ||
			!strings.Contains(err.Error(), "unknown requirement") {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, in := range []Input{{Only: []string{"win.nothing"}}, {Skip: []string{"win.nothing"}}} {
		if err := in.check(); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

func TestSelectionSplit(t *testing.T) {
	check := func(id string, severity requirement.Severity, counts func() bool) requirement.Check {
		return requirement.Check{Requirement: requirement.Requirement{ID: id, Severity: severity}, Counts: counts}
	}
	no := func() bool { return false }
	checks := []requirement.Check{
		check("ws.quota.images", requirement.Required, no), check("win.tls.tls12", requirement.Required, nil),
		check("win.bp.updates", requirement.Recommended, nil),
	}
	const only, skip = "Not named by --only.", "Named by --skip."
	for name, c := range map[string]struct {
		in   Input
		made []string
		left []string
	}{
		"all": {Input{}, []string{"ws.quota.images", "win.tls.tls12", "win.bp.updates"}, nil},
		"only": {Input{Only: []string{"win.tls.*"}}, []string{"win.tls.tls12"},
			[]string{"ws.quota.images " + only, "win.bp.updates " + only}},
		"skip": {Input{Skip: []string{"win.tls.tls12"}}, []string{"ws.quota.images", "win.bp.updates"},
			[]string{"win.tls.tls12 counts " + skip}},
		"both": {Input{Only: []string{"win.*"}, Skip: []string{"*.tls12"}}, []string{"win.bp.updates"},
			[]string{"ws.quota.images " + only, "win.tls.tls12 counts " + skip}},
		"of another system": {Input{Only: []string{"linux.*"}}, nil,
			[]string{"ws.quota.images " + only, "win.tls.tls12 counts " + only, "win.bp.updates " + only}},
		"nothing left": {Input{Skip: []string{"*"}}, nil,
			[]string{"ws.quota.images " + skip, "win.tls.tls12 counts " + skip, "win.bp.updates " + skip}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newSelection(&c.in)
			if err != nil {
				t.Fatal(err)
			}
			made, left := s.split(checks)
			var gotMade, gotLeft []string
			for _, m := range made {
				gotMade = append(gotMade, m.ID)
			}
			for _, l := range left {
				text := l.ID + " "
				if l.Counts {
					text += "counts "
				}
				gotLeft = append(gotLeft, text+l.Reason)
			}
			if d := cmp.Diff(c.made, gotMade); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.left, gotLeft); d != "" {
				t.Error(d)
			}
		})
	}
}

// What is left out is never ready if it is required, and never hides what is not
// met. Each reason for the verdict is named.
func TestVerdictReasons(t *testing.T) {
	find := func(id string, s requirement.Status) requirement.Finding {
		return requirement.Finding{Requirement: requirement.Requirement{ID: id, Severity: requirement.Required},
			Outcome: requirement.Outcome{Status: s}, Counts: true}
	}
	pass, skip := find("a", requirement.Passed), find("b", requirement.NotApplicable)
	fail, warn, open := find("c", requirement.Failed), find("d", requirement.Warning), find("e", requirement.Undetermined)
	beside := find("f", requirement.Failed)
	beside.Counts = false
	left := NotChecked{Requirement: requirement.Requirement{ID: "g"}, Counts: true}
	leftTip := NotChecked{Requirement: requirement.Requirement{ID: "h"}}
	for name, c := range map[string]struct {
		findings []requirement.Finding
		left     []NotChecked
		changed  bool
		policy   Policy
		verdict  Verdict
		exit     int
		reasons  []VerdictReason
	}{
		"ready":          {findings: []requirement.Finding{pass, skip, beside}, verdict: Ready},
		"a tip left out": {findings: []requirement.Finding{pass}, left: []NotChecked{leftTip}, verdict: Ready},
		"one left out": {findings: []requirement.Finding{pass}, left: []NotChecked{left, leftTip},
			verdict: Inconclusive, exit: 3, reasons: []VerdictReason{{ReasonNotChecked, []string{"g"}}}},
		"nothing is judged": {left: []NotChecked{left}, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{ReasonNotChecked, []string{"g"}}}},
		"accepted, and left out": {findings: []requirement.Finding{open}, left: []NotChecked{left},
			policy: Policy{Accept: []string{"e", "g"}}, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{ReasonUndetermined, []string{"e"}}, {ReasonNotChecked, []string{"g"}}}},
		"never, and left out": {left: []NotChecked{left}, policy: Policy{FailOn: FailOnNever}, verdict: Inconclusive,
			exit: 3, reasons: []VerdictReason{{ReasonNotChecked, []string{"g"}}}},
		"all at once": {findings: []requirement.Finding{pass, fail, warn, open}, left: []NotChecked{left}, changed: true,
			verdict: NotReady, exit: 1,
			reasons: []VerdictReason{{ReasonFailed, []string{"c"}}, {ReasonWarning, []string{"d"}}}},
		"changed": {findings: []requirement.Finding{open}, changed: true, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{ReasonUndetermined, []string{"e"}}, {Kind: ReasonImageChanged}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Result{Findings: slices.Clone(c.findings), NotChecked: c.left, Changed: changedIf(c.changed)}
			r.conclude(c.policy)
			if r.Verdict != c.verdict || exitOf(r.PolicyVerdict) != c.exit {
				t.Errorf("%s, %d; want %s, %d", r.Verdict, exitOf(r.PolicyVerdict), c.verdict, c.exit)
			}
			if d := cmp.Diff(c.reasons, r.Reasons); d != "" {
				t.Error(d)
			}
		})
	}
}
