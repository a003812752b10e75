package scanner

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// changedIf is what a Result says of an image that changed.
func changedIf(changed bool) []string {
	if changed {
		return []string{"root.img has changed while it was read"}
	}
	return nil
}

// exitOf is the command's exit code for a verdict.
func exitOf(v Verdict) int {
	return map[Verdict]int{Ready: 0, NotReady: 1, Inconclusive: 3}[v]
}

// TestConclude tries every flag that changes the exit code on the kinds of
// findings that it may count. The verdict never moves with a flag.
func TestConclude(t *testing.T) {
	find := func(id string, severity requirement.Severity, status requirement.Status,
		basis requirement.Basis) requirement.Finding {
		return requirement.Finding{Requirement: requirement.Requirement{ID: id, Severity: severity},
			Outcome: requirement.Outcome{Status: status, Basis: basis}}
	}
	var (
		pass        = find("a", requirement.Required, requirement.Passed, requirement.Observed)
		infer       = find("b", requirement.Required, requirement.Passed, requirement.Inferred)
		fail        = find("c", requirement.Required, requirement.Failed, requirement.Observed)
		warn        = find("d", requirement.Required, requirement.Warning, requirement.Observed)
		open        = find("e", requirement.Required, requirement.Undetermined, "")
		skip        = find("f", requirement.Required, requirement.NotApplicable, "")
		recommended = find("g", requirement.Recommended, requirement.Warning, requirement.Observed)
		unknownTip  = find("h", requirement.Recommended, requirement.Undetermined, "")
		service     = find("s", requirement.Required, requirement.Failed, requirement.Stated) // not counted below
	)
	for name, c := range map[string]struct {
		findings []requirement.Finding
		policy   Policy
		verdict  Verdict
		exit     int
	}{
		"all pass":           {[]requirement.Finding{pass, infer, skip}, Policy{}, Ready, 0},
		"nothing at all":     {nil, Policy{}, Ready, 0},
		"one fails":          {[]requirement.Finding{pass, fail}, Policy{}, NotReady, 1},
		"one warns":          {[]requirement.Finding{pass, warn}, Policy{}, NotReady, 1},
		"one is open":        {[]requirement.Finding{pass, open}, Policy{}, Inconclusive, 3},
		"open before failed": {[]requirement.Finding{open, fail}, Policy{}, NotReady, 1},
		"a tip warns":        {[]requirement.Finding{pass, recommended}, Policy{}, Ready, 0},
		"a tip is open": {[]requirement.Finding{pass, unknownTip}, Policy{FailOn: FailOnRecommended}, Ready,
			0},
		"service without a document": {[]requirement.Finding{pass, service}, Policy{}, Ready, 0},
		"strict":                     {[]requirement.Finding{pass, infer}, Policy{Strict: true}, Ready, 3},
		"strict, all observed":       {[]requirement.Finding{pass}, Policy{Strict: true}, Ready, 0},
		"strict, and one fails":      {[]requirement.Finding{infer, fail}, Policy{Strict: true}, NotReady, 1},
		"accepted": {[]requirement.Finding{pass, open}, Policy{Accept: []string{"e"}}, Inconclusive,
			0},
		"another is accepted": {[]requirement.Finding{pass, open}, Policy{Accept: []string{"a"}}, Inconclusive,
			3},
		"a failure cannot be accepted": {[]requirement.Finding{fail}, Policy{Accept: []string{"c"}}, NotReady, 1},
		"strict, accepted": {[]requirement.Finding{infer}, Policy{Strict: true, Accept: []string{"b"}}, Ready,
			0},
		"fail on failed, one warns":   {[]requirement.Finding{warn}, Policy{FailOn: FailOnFailed}, NotReady, 0},
		"fail on failed, one fails":   {[]requirement.Finding{fail}, Policy{FailOn: FailOnFailed}, NotReady, 1},
		"fail on failed, one is open": {[]requirement.Finding{warn, open}, Policy{FailOn: FailOnFailed}, NotReady, 3},
		"fail on recommended": {[]requirement.Finding{pass, recommended}, Policy{FailOn: FailOnRecommended},
			Ready, 1},
		"fail on recommended, none warns": {[]requirement.Finding{pass}, Policy{FailOn: FailOnRecommended}, Ready, 0},
		"never": {[]requirement.Finding{fail, warn, recommended}, Policy{FailOn: FailOnNever},
			NotReady, 0},
		"never, one is open":       {[]requirement.Finding{open}, Policy{FailOn: FailOnNever}, Inconclusive, 3},
		"never, failed and open":   {[]requirement.Finding{fail, open}, Policy{FailOn: FailOnNever}, NotReady, 0},
		"changed, all pass":        {[]requirement.Finding{pass}, Policy{}, Inconclusive, 3},
		"changed, one fails":       {[]requirement.Finding{pass, fail}, Policy{}, NotReady, 1},
		"changed, one is accepted": {[]requirement.Finding{open}, Policy{Accept: []string{"e"}}, Inconclusive, 3},
		"changed, never":           {[]requirement.Finding{pass}, Policy{FailOn: FailOnNever}, Inconclusive, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Result{Changed: changedIf(strings.HasPrefix(name, "changed")),
				Findings: append([]requirement.Finding(nil), c.findings...)}
			for i := range r.Findings {
				f := &r.Findings[i]
				f.Counts = f.Severity == requirement.Required && f.ID != service.ID
			}
			r.conclude(c.policy)
			if r.Verdict != c.verdict || exitOf(r.PolicyVerdict) != c.exit {
				t.Errorf("%s, %d; want %s, %d", r.Verdict, exitOf(r.PolicyVerdict), c.verdict, c.exit)
			}
			for _, f := range r.Findings {
				accepted := f.ID == "e" && len(c.policy.Accept) > 0 && c.policy.Accept[0] == "e" || f.ID == "b" &&
					c.policy.Strict && len(c.policy.Accept) > 0
				if f.Accepted != accepted {
					t.Errorf("%s is accepted: %t", f.ID, f.Accepted)
				}
			}
		})
	}
}

func TestPolicyCheck(t *testing.T) {
	list, err := books()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Policy{{}, {FailOn: FailOnNever}, {Accept: []string{"win.tls.tls12"}}} {
		if err := p.check(list); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Policy{{FailOn: "sometimes"}, {Accept: []string{"win.rearm"}}, {Accept: []string{""}}} {
		if err := p.check(list); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
}
