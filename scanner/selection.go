package scanner

import (
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// NotChecked is a requirement that the caller left out of a scan. It has no
// finding.
type NotChecked struct {
	requirement.Requirement
	Reason string // as a sentence
	Counts bool   // the verdict would depend on its finding
}

// Why a requirement is left out.
const (
	notAmongOnly = "Not named by --only."
	namedBySkip  = "Named by --skip."
)

// SelectIDs returns the ids of the catalogue that the patterns name, in its order.
// A pattern is an id in which "*" stands for any number of characters. The error is
// ErrUsage for a pattern that names none.
func SelectIDs(patterns []string) ([]string, error) {
	named := map[string]bool{}
	catalogue := Catalogue()
	for _, p := range patterns {
		found := false
		for _, r := range catalogue {
			if matchID(p, r.ID) {
				found, named[r.ID] = true, true
			}
		}
		if !found {
			return nil, fail(ErrUsage, "'coldcheck requirements' lists them", "unknown requirement %q", p)
		}
	}
	var ids []string
	for _, r := range catalogue {
		if named[r.ID] {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

// matchID says whether a pattern names an id. Only "*" has a meaning in patterns.
func matchID(pattern, id string) bool {
	if strings.ContainsAny(pattern, `?[\`) {
		return false // no id has them, and path.Match gives them a meaning
	}
	ok, err := path.Match(pattern, id)
	return ok && err == nil
}

// selection says which requirements are judged. The zero value judges all.
type selection struct {
	only, skip []string // ids
	limited    bool     // to those in only
}

func newSelection(in *Input) (s selection, err error) {
	if s.only, err = SelectIDs(in.Only); err != nil {
		return s, err
	}
	s.limited = len(in.Only) > 0
	s.skip, err = SelectIDs(in.Skip)
	return s, err
}

// split separates the checks that are made from those that are left out.
func (s selection) split(checks []requirement.Check) (made []requirement.Check, left []NotChecked) {
	for _, c := range checks {
		reason := ""
		switch {
		case slices.Contains(s.skip, c.ID):
			reason = namedBySkip
		case s.limited && !slices.Contains(s.only, c.ID):
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
