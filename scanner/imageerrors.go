package scanner

import (
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
	Code      string // the service's error code
	Message   string // from the service; "" if the document has none

	Explained bool                  // an unmet finding has this code, or Disk is not met
	Findings  []requirement.Finding // all findings with the code, in the catalogue's order
	Unchecked []string              // ids of requirements with the code that were not checked
	// Disk is the outcome for a code that no single requirement covers; nil if
	// the disk has no evidence for it.
	Disk *requirement.Outcome
}

// maxImageErrors bounds what a document of any content makes of a report: an
// image has some ten reasons at most, an account some forty images.
const maxImageErrors = 1000

// otherCodes are the names by which the service calls the same failure where
// an image is imported: API reference, ErrorDetails.
var otherCodes = map[string]string{
	"AdditionalDrivesAttached":   "AdditionalDrivesPresent",
	"RestrictedDriveLetterInUse": "AdditionalDrivesPresent",
	"DHCPDisabled":               "InvalidIp",
	"DiskFreeSpace":              "InsufficientDiskSpace",
	"PendingReboot":              "WindowsUpdatesRequired",
	"InPlaceUpgrade":             "UnsupportedOsUpgrade",
	"ZeroRearmCount":             "InsufficientRearmCount",
	"AppXPackagesInstalled":      "StagedAppxPackage",
}

// partCodes are names of the service for what is only a part of a requirement.
// A finding that is not met explains such a failure if it says so itself.
var partCodes = map[string]string{
	"ReservedStorageInUse":  "win.sysprep.compatible",
	"AppXPackagesInstalled": "win.sysprep.compatible",
}

// codeExplainer is a system that judges failures that no requirement is about.
type codeExplainer interface {
	ExplainCode(code string) (o requirement.Outcome, known bool)
}

// explainImages finds for each reason of each image that could not be made the
// findings that are about it, and asks the system where none decides.
func explainImages(
	documents []*statement.Document, findings []requirement.Finding, left []NotChecked, sys any,
) []ImageError {
	explainer, _ := sys.(codeExplainer)
	asked := map[string]*requirement.Outcome{} // by code
	var list []ImageError
	for _, d := range documents {
		for _, i := range d.Images {
			for _, e := range reasons(i) {
				if len(list) == maxImageErrors {
					return list
				}
				x := ImageError{
					Document:  d.Name,
					ImageID:   i.ImageID,
					ImageName: i.Name,
					Code:      e.ErrorCode,
					Message:   e.ErrorMessage,
				}
				for _, f := range findings {
					if !isAbout(f.Requirement, e.ErrorCode) && !isPart(f.Requirement, e.ErrorCode) {
						continue
					}
					x.Findings = append(x.Findings, f)
					x.Explained = x.Explained || x.explainedBy(f)
				}
				for _, n := range left {
					if isAbout(n.Requirement, e.ErrorCode) || isPart(n.Requirement, e.ErrorCode) {
						x.Unchecked = append(x.Unchecked, n.ID)
					}
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
	return list
}

// reasons are those of an image: its details, or the one code that it has
// without any.
func reasons(i statement.Image) []statement.ErrorDetail {
	if len(i.ErrorDetails) > 0 || i.ErrorCode == "" {
		return i.ErrorDetails
	}
	return []statement.ErrorDetail{{ErrorCode: i.ErrorCode, ErrorMessage: i.ErrorMessage}}
}

// isAbout says whether a code of the service is that of a requirement.
func isAbout(r requirement.Requirement, code string) bool {
	if r.AWSErrorCode == "" {
		return false
	}
	for other, ours := range otherCodes {
		if strings.EqualFold(code, other) {
			return ours == r.AWSErrorCode
		}
	}
	return strings.EqualFold(code, r.AWSErrorCode)
}

// isPart says whether a code of the service is that of a part of a requirement.
func isPart(r requirement.Requirement, code string) bool {
	for part, id := range partCodes {
		if strings.EqualFold(code, part) {
			return r.ID == id
		}
	}
	return false
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
	return "Not explained: no requirement covers this code."
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
