package scanner

import (
	"slices"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// NotChecked is a requirement that the caller excluded from a scan. It has no
// finding.
type NotChecked struct {
	requirement.Requirement
	Reason string // as a sentence
	Counts bool   // the verdict depends on it
}

// Why a requirement is left out.
const (
	notAmongOnly = "Not named by --only."
	namedBySkip  = "Named by --skip."
)

// checkIDs returns an ErrUsage for an id that none of the rule books has.
func checkIDs(list []book, ids []string) error {
	for _, id := range ids {
		if !hasRule(list, id) {
			return fail(ErrUsage, "'coldcheck requirements' lists them", "unknown requirement %q", id)
		}
	}
	return nil
}

// split separates the checks that are made from those that are left out.
func (in *Input) split(checks []requirement.Check) (made []requirement.Check, left []NotChecked) {
	for _, c := range checks {
		reason := ""
		switch {
		case slices.Contains(in.Skip, c.ID):
			reason = namedBySkip
		case len(in.Only) > 0 && !slices.Contains(in.Only, c.ID):
			reason = notAmongOnly
		}
		if reason == "" {
			made = append(made, c)
			continue
		}
		left = append(left, NotChecked{Requirement: c.Requirement, Reason: reason, Counts: itCounts(c)})
	}
	return made, left
}

// itCounts says whether the verdict depends on a check.
func itCounts(c requirement.Check) bool {
	return c.Severity == requirement.Required && (c.Counts == nil || c.Counts())
}
