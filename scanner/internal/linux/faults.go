package linux

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// joinErrors is fact.Join with closer bounds: it keeps the first few errors, and counts
// the rest. A damaged folder makes one for each path through it.
func joinErrors(list ...error) error { return joiner.Join(list...) }

var joiner = fact.Joiner{Most: 4, Texts: true, Write: func(texts []string, more int) string {
	if more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}}

// shownErrors is how many errors a message spells out.
const shownErrors = 2

// unreadable is requirement.Unreadable with a sentence for each of several errors.
func unreadable(err error, evidence ...requirement.Evidence) requirement.Outcome {
	several, ok := err.(*fact.Joined)
	if !ok {
		return requirement.Unreadable(err, evidence...)
	}
	o := requirement.Unreadable(several.List[0], evidence...)
	for _, e := range several.List[1:min(len(several.List), shownErrors)] {
		o = o.Also(requirement.Unreadable(e).Message) // in one line
	}
	if more := len(several.List) - shownErrors + several.More; more > 0 {
		o = o.Also(prose.Count(more, "more error occurred", "more errors occurred"))
	}
	return o
}
