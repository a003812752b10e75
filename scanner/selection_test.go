package scanner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestSelectionCheck(t *testing.T) {
	for _, list := range [][]string{nil, {"win.tls.tls12"}, {"ws.quota.images", "linux.os.supported"}} {
		for _, in := range []Input{{Only: list}, {Skip: list}} {
			if err := in.check(); err != nil {
				t.Errorf("%q: %v", list, err)
			}
		}
	}
	for _, id := range []string{"", "win", "win.tls.*", "WIN.TLS.TLS12", "win.tls.tls12 "} {
		for _, in := range []Input{{Only: []string{"win.tls.tls12", id}}, {Skip: []string{id}}} {
			if err := in.check(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "unknown requirement") {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
}

func TestSelectionSplit(t *testing.T) {
	check := func(id string, severity requirement.Severity, counts func() bool) requirement.Check {
		r := requirement.Rule{Requirement: requirement.Requirement{ID: id, Severity: severity}}
		return requirement.Check{Rule: r, Counts: counts}
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
		"only": {Input{Only: []string{"win.tls.tls12"}}, []string{"win.tls.tls12"},
			[]string{"ws.quota.images " + only, "win.bp.updates " + only}},
		"skip": {Input{Skip: []string{"win.tls.tls12"}}, []string{"ws.quota.images", "win.bp.updates"},
			[]string{"win.tls.tls12 counts " + skip}},
		"both": {Input{Only: []string{"win.tls.tls12", "win.bp.updates"}, Skip: []string{"win.tls.tls12"}},
			[]string{"win.bp.updates"},
			[]string{"ws.quota.images " + only, "win.tls.tls12 counts " + skip}},
		"of another system": {Input{Only: []string{"linux.os.supported"}}, nil,
			[]string{"ws.quota.images " + only, "win.tls.tls12 counts " + only, "win.bp.updates " + only}},
		"nothing left": {Input{Skip: []string{"win.bp.updates", "win.tls.tls12", "ws.quota.images"}}, nil,
			[]string{"ws.quota.images " + skip, "win.tls.tls12 counts " + skip, "win.bp.updates " + skip}},
	} {
		t.Run(name, func(t *testing.T) {
			made, left := c.in.split(checks)
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
		stale    []string
		unequal  []string
		unread   []string
		policy   Policy
		verdict  Verdict
		exit     int
		reasons  []VerdictReason
	}{
		"ready":          {findings: []requirement.Finding{pass, skip, beside}, verdict: Ready},
		"a tip left out": {findings: []requirement.Finding{pass}, left: []NotChecked{leftTip}, verdict: Ready},
		"one left out": {findings: []requirement.Finding{pass}, left: []NotChecked{left, leftTip},
			verdict: Inconclusive, exit: 3, reasons: []VerdictReason{{Kind: ReasonNotChecked, IDs: []string{"g"}}}},
		"nothing is judged": {left: []NotChecked{left}, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{Kind: ReasonNotChecked, IDs: []string{"g"}}}},
		"accepted, and left out": {findings: []requirement.Finding{open}, left: []NotChecked{left},
			policy: Policy{Accept: []string{"e", "g"}}, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{Kind: ReasonUndetermined, IDs: []string{"e"}},
				{Kind: ReasonNotChecked, IDs: []string{"g"}}}},
		"never, and left out": {left: []NotChecked{left}, policy: Policy{FailOn: FailOnNever}, verdict: Inconclusive,
			exit: 3, reasons: []VerdictReason{{Kind: ReasonNotChecked, IDs: []string{"g"}}}},
		"all at once": {findings: []requirement.Finding{pass, fail, warn, open}, left: []NotChecked{left}, changed: true,
			verdict: NotReady, exit: 1,
			reasons: []VerdictReason{{Kind: ReasonFailed, IDs: []string{"c"}}, {Kind: ReasonWarning, IDs: []string{"d"}}}},
		"changed": {findings: []requirement.Finding{open}, changed: true, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{Kind: ReasonUndetermined, IDs: []string{"e"}},
				{Kind: ReasonImageChanged, Messages: changedIf(true)}}},
		"a stale base": {findings: []requirement.Finding{pass}, stale: []string{"x"}, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{Kind: ReasonStaleBase, Messages: []string{"x"}}}},
		"another hash": {findings: []requirement.Finding{pass}, unequal: []string{"y"},
			policy: Policy{FailOn: FailOnNever}, verdict: Inconclusive, exit: 3,
			reasons: []VerdictReason{{Kind: ReasonImageHash, Messages: []string{"y"}}}},
		"a disk that cannot be read": {findings: []requirement.Finding{pass}, unread: []string{"z"}, verdict: Inconclusive,
			exit: 3, reasons: []VerdictReason{{Kind: ReasonDiskUnread, Messages: []string{"z"}}}},
		"a stale base that fails": {findings: []requirement.Finding{fail}, stale: []string{"x"}, verdict: NotReady, exit: 1,
			reasons: []VerdictReason{{Kind: ReasonFailed, IDs: []string{"c"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Result{Findings: slices.Clone(c.findings), NotChecked: c.left, Changed: changedIf(c.changed),
				StaleBases: c.stale, Unverified: c.unequal, UnreadDisks: c.unread}
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
