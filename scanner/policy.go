package scanner

import (
	"slices"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Policy decides which findings count for Result.PolicyVerdict. It changes
// neither statuses nor the verdict.
type Policy struct {
	Strict bool     // an inferred pass counts as undetermined
	Accept []string // ids whose undetermined findings count as passed
	FailOn FailOn   // "" is FailOnWarning

	Waivers []requirement.Waiver // findings that a waiver covers do not count
}

// FailOn says which findings count as not met.
type FailOn string

// The values of FailOn.
const (
	FailOnFailed      FailOn = "failed"      // failed required findings
	FailOnWarning     FailOn = "warning"     // failed and warning of required findings
	FailOnRecommended FailOn = "recommended" // also the warnings of recommended findings
	FailOnNever       FailOn = "never"       // none
)

// FailOns are all values of FailOn.
var FailOns = []FailOn{FailOnFailed, FailOnWarning, FailOnRecommended, FailOnNever}

// check returns an ErrUsage for what no scan can follow.
func (p Policy) check(list []book) error {
	if p.FailOn != "" && !slices.Contains(FailOns, p.FailOn) {
		return fail(ErrUsage, "use failed, warning, recommended or never", "unknown level %q to fail on", p.FailOn)
	}
	return checkIDs(list, p.Accept)
}

// verdict is what the findings say together, and why it is not Ready.
func (r *Result) verdict() (Verdict, []VerdictReason) {
	ids := map[requirement.Status][]string{}
	for _, f := range r.Findings {
		if f.Counts {
			ids[f.Status] = append(ids[f.Status], f.ID)
		}
	}
	unmet := []VerdictReason{
		{Kind: ReasonFailed, IDs: ids[requirement.Failed]}, {Kind: ReasonWarning, IDs: ids[requirement.Warning]},
	}
	open := append([]VerdictReason{
		{Kind: ReasonUndetermined, IDs: ids[requirement.Undetermined]}, {Kind: ReasonNotChecked, IDs: r.unchecked()},
	}, r.doubts()...)
	empty := func(v VerdictReason) bool { return len(v.IDs)+len(v.Messages) == 0 }
	unmet, open = slices.DeleteFunc(unmet, empty), slices.DeleteFunc(open, empty)
	switch {
	case len(unmet) > 0:
		return NotReady, unmet
	case len(open) > 0:
		return Inconclusive, open
	}
	return Ready, nil
}

// doubts are the reasons to doubt what the images contain, each of which may be empty.
func (r *Result) doubts() []VerdictReason {
	return []VerdictReason{
		{Kind: ReasonImageChanged, Messages: r.Changed}, {Kind: ReasonStaleBase, Messages: r.StaleBases},
		{Kind: ReasonImageHash, Messages: r.Unverified}, {Kind: ReasonDiskUnread, Messages: r.UnreadDisks},
	}
}

// unchecked are the ids of what the verdict would depend on if it was checked.
func (r *Result) unchecked() (ids []string) {
	for _, n := range r.NotChecked {
		if n.Counts {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// conclude sets both verdicts, and says of each finding whether it is accepted
// and whether it is unmet. A waiver changes the policy's verdict only.
func (r *Result) conclude(p Policy) {
	r.Verdict, r.Reasons = r.verdict()
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Waiver != nil {
			continue
		}
		unknown := p.unknown(*f)
		if unknown && slices.Contains(p.Accept, f.ID) {
			f.Accepted = true
			unknown = false
		}
		f.Unmet = p.FailOn.unmet(*f)
		f.Open = !f.Unmet && f.Counts && unknown
	}
	r.PolicyVerdict = r.VerdictAt(p.FailOn)
}

// VerdictAt returns the PolicyVerdict that the result would have with another level to
// fail on, and the rest of its Policy. "" is FailOnWarning.
func (r *Result) VerdictAt(level FailOn) Verdict {
	doubtful := func(v VerdictReason) bool { return len(v.Messages) > 0 }
	unmet, open := false, len(r.unchecked()) > 0 || slices.ContainsFunc(r.doubts(), doubtful)
	for _, f := range r.Findings {
		unmet = unmet || f.Waiver == nil && level.unmet(f)
		open = open || f.Open
	}
	switch {
	case unmet && level != FailOnNever:
		return NotReady
	case unmet: // never: what is not met passes, and hides nothing else
		return Ready
	case open:
		return Inconclusive
	}
	return Ready
}

// unknown says whether the finding counts as undetermined.
func (p Policy) unknown(f requirement.Finding) bool {
	return f.Status == requirement.Undetermined ||
		p.Strict && f.Status == requirement.Passed && f.Basis == requirement.Inferred
}

// unmet says whether a finding without a waiver counts as not met.
func (level FailOn) unmet(f requirement.Finding) bool {
	switch {
	case f.Counts && f.Status == requirement.Failed:
		return true
	case f.Counts && f.Status == requirement.Warning:
		return level != FailOnFailed
	}
	return f.Severity == requirement.Recommended && level == FailOnRecommended && f.Status == requirement.Warning
}
