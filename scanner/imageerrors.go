package scanner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// ImageError is the reason that a document gives for a failed image creation,
// and the findings that explain it.
type ImageError struct {
	Document  string // as it was named
	ImageID   string // "wsi-…"
	ImageName string // "" if the document does not have it
	Created   string // when the creation began, as it is written; "" if the document does not have it
	Code      string // the service's error code
	Message   string // from the service; "" if the document has none

	Explained bool // an unmet finding has this code, or Disk is not met
	// Findings are all that are about the code: those of the scan in their order, then those of requirements that no
	// rule book of the scan has.
	Findings  []requirement.Finding
	Unchecked []string // ids of requirements with the code that were not checked
	// Disk is the outcome for a code that no single requirement covers; nil if
	// the disk has no evidence for it.
	Disk *requirement.Outcome
}

// maxImageErrors bounds what a document of any content makes of a report: an
// image has some ten reasons at most, an account some forty images.
const maxImageErrors = 1000

// codeExplainer is a system that judges failures that no requirement is about.
type codeExplainer interface {
	ExplainCode(code string) (o requirement.Outcome, known bool)
}

// explainImages finds for each reason of each image that could not be made the
// findings that are about it, judges what no rule book of the scan has, and asks
// the system where none decides.
func explainImages(
	ctx context.Context, documents []*statement.Document, findings []requirement.Finding, left []NotChecked, sys any,
	more *onDemand,
) ([]ImageError, error) {
	explainer, _ := sys.(codeExplainer)
	asked := map[string]*requirement.Outcome{} // by code
	var list []ImageError
	for _, d := range documents {
		for _, i := range d.Images {
			for _, e := range reasons(i) {
				if len(list) == maxImageErrors {
					return list, nil
				}
				x := ImageError{
					Document:  d.Name,
					ImageID:   i.ImageID,
					ImageName: i.Name,
					Created:   i.Created,
					Code:      e.ErrorCode,
					Message:   e.ErrorMessage,
				}
				if err := x.find(ctx, findings, left, more); err != nil {
					return nil, err
				}
				if _, done := asked[e.ErrorCode]; !done && explainer != nil {
					asked[e.ErrorCode] = ask(explainer, e.ErrorCode)
				}
				x.Disk = asked[e.ErrorCode]
				x.Explained = x.Explained || x.Disk != nil && notMet(x.Disk.Status)
				list = append(list, x)
			}
		}
	}
	return list, nil
}

// find adds the findings that are about the code.
func (e *ImageError) find(
	ctx context.Context, findings []requirement.Finding, left []NotChecked, more *onDemand,
) error {
	have := map[string]bool{}
	add := func(f requirement.Finding) {
		if have[f.ID] {
			return // of another rule book
		}
		have[f.ID] = true
		e.Findings = append(e.Findings, f)
		e.Explained = e.Explained || e.explainedBy(f)
	}
	for _, f := range findings {
		if isAbout(f.Requirement, e.Code) || isPart(f.Requirement, e.Code) {
			add(f)
		}
	}
	for _, n := range left {
		if (isAbout(n.Requirement, e.Code) || isPart(n.Requirement, e.Code)) && !have[n.ID] {
			have[n.ID] = true
			e.Unchecked = append(e.Unchecked, n.ID)
		}
	}
	c := findCode(e.Code)
	if c == nil {
		return nil
	}
	for _, id := range c.IDs {
		if have[id] {
			continue
		}
		f, err := more.find(ctx, id)
		if err != nil {
			return err
		}
		if f != nil {
			add(*f)
		}
	}
	return nil
}

// reasons are those of an image: its details, or the one code that it has
// without any.
func reasons(i statement.Image) []statement.ErrorDetail {
	if len(i.ErrorDetails) > 0 || i.ErrorCode == "" {
		return i.ErrorDetails
	}
	return []statement.ErrorDetail{{ErrorCode: i.ErrorCode, ErrorMessage: i.ErrorMessage}}
}

// ask returns what the disk says of a code; nil if it says nothing of it.
func ask(explainer codeExplainer, code string) *requirement.Outcome {
	var o requirement.Outcome
	known := false
	if err := guard(func() error { o, known = explainer.ExplainCode(code); return nil }); err != nil {
		o, known = requirement.Unreadable(err), true
	}
	if !known {
		return nil
	}
	return &o
}

// explainedBy says whether a finding that is about the code explains it.
func (e ImageError) explainedBy(f requirement.Finding) bool {
	named := func(code string) bool { return strings.EqualFold(code, e.Code) }
	return notMet(f.Status) && (isAbout(f.Requirement, e.Code) || slices.ContainsFunc(f.Explains, named))
}

// Image is the display name of the image.
func (e ImageError) Image() string {
	if e.ImageName == "" {
		return e.ImageID
	}
	return e.ImageName + " (" + e.ImageID + ")"
}

// sinceThen is why the disk may not show the cause of a failure.
const sinceThen = " The cause may have been fixed since, or the document describes another WorkSpace."

// Explanation returns sentences that say whether the findings explain the
// error.
func (e ImageError) Explanation() string {
	var causes, undecided, others []string
	for _, f := range e.Findings {
		switch {
		case e.explainedBy(f):
			causes = append(causes, f.ID)
		case f.Status == requirement.Undetermined:
			undecided = append(undecided, f.ID)
		default:
			others = append(others, f.ID+" ("+strings.ReplaceAll(string(f.Status), "_", " ")+")")
		}
	}
	disk := ""
	if e.Disk != nil {
		disk = prose.Sentence(e.Disk.Message)
	}
	shown := e.Disk != nil && notMet(e.Disk.Status)
	switch {
	case len(causes) > 0 && shown:
		return "Explained by " + prose.Some(causes) + ", and by the disk. " + disk
	case len(causes) > 0:
		return "Explained by " + prose.Some(causes) + "."
	case shown:
		return "Explained by the disk. " + disk
	case e.Disk != nil && e.Disk.Status == requirement.Undetermined:
		return "Not explained. " + disk
	case len(undecided) > 0:
		return "Not explained. Undecided: " + prose.Some(undecided) + "."
	case len(e.Unchecked) > 0:
		return "Not explained. Not checked: " + prose.Some(e.Unchecked) + "."
	case e.Disk != nil:
		return "Not explained. " + disk + sinceThen
	case len(others) > 0:
		return "Not explained by " + prose.Some(others) + "." + sinceThen
	}
	return uncovered(e.Code)
}

// notice is the notice for reports.
func (e ImageError) notice() requirement.Notice {
	n := requirement.Notice{Level: requirement.LevelInfo, Source: e.Document}
	if !e.Explained {
		n.Level = requirement.LevelWarning
	}
	n.Message = fmt.Sprintf("The creation of image %s failed with %s. %s", e.Image(), e.Code, e.Explanation())
	return n
}
