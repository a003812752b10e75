package windows

import (
	"context"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// TestControlSetNotice checks when a notice names the control set that is used
// as the current one.
func TestControlSetNotice(t *testing.T) {
	for name, want := range map[string]string{
		"ready":                       "",
		"control-set-second":          `Windows last ran on ControlSet002 (Select\Current is 2); its next start uses`,
		"control-set-default-missing": `Cannot tell which control set the next start of Windows uses`,
		"control-set-missing": `ControlSet001 is used as the current control set: ` +
			`Select\Current is 2 and there is no ControlSet002, Select\Default is 1.`,
		"control-set-last-known-good": `Select\LastKnownGood is 1`,
		"control-set-failed":          `failed to start with ControlSet002`,
	} {
		said := ""
		for _, n := range fixture(t, name).in.Trail.Notices() {
			if strings.Contains(n.Message, "ControlSet") {
				said += n.Message
			}
		}
		if !strings.Contains(said, want) || want == "" && said != "" {
			t.Errorf("%s: %q, want %q", name, said, want)
		}
	}
}

// TestNextControlSet makes sure that a problem only in the control set of the
// next start is reported for that set, with a remedy that changes it.
func TestNextControlSet(t *testing.T) {
	for _, c := range fixture(t, "control-set-default-other").Checks(imageRules()) {
		if c.ID != "win.ssm.disabled" {
			continue
		}
		o := requirement.Find(c.Requirement, c.Decide(context.Background())).Outcome
		if o.Status != requirement.Failed ||
			!strings.HasSuffix(o.Message, "This is from ControlSet002, which the next start uses.") ||
			!strings.HasPrefix(o.Remediation, "Restart the WorkSpace so that it runs on ControlSet002. ") ||
			!strings.HasPrefix(o.Evidence[0].Key, "ControlSet002") {
			t.Errorf("%+v", o)
		}
	}
}

// imageRules are the rules of the default rule book on such a system.
func imageRules() []requirement.Rule { return rulesOf(rules.Default) }

// rulesOf are the rules of a rule book on such a system.
func rulesOf(book string) []requirement.Rule {
	b, err := rules.Find(book)
	if err != nil {
		panic(err)
	}
	return b.Resolve(Entries())
}

// termsOf are the terms that a rule book has for a requirement.
func termsOf(book, id string) requirement.Terms {
	for _, r := range rulesOf(book) {
		if r.ID == id {
			return r.Terms
		}
	}
	return nil
}
