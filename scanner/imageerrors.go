package scanner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// ImageError is a reason that a document has for an image that could not be
// made, and what the findings say of it.
type ImageError struct {
	Document  string // as it was named
	ImageID   string // "wsi-…"
	ImageName string // "" if the document does not say
	Code      string // the service's name of the reason
	Message   string // the service's words; "" if the document has none

	Explained bool                  // a finding is not met that has this code
	Findings  []requirement.Finding // all those that are about the code, in the catalogue's order
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

// explainImages finds for each reason of each image that could not be made the
// findings that are about it.
func explainImages(documents []*statement.Document, findings []requirement.Finding) []ImageError {
	var list []ImageError
	for _, d := range documents {
		for _, i := range d.Images {
			for _, e := range reasons(i) {
				if len(list) == maxImageErrors {
					return list
				}
				x := ImageError{Document: d.Name, ImageID: i.ImageID, ImageName: i.Name, Code: e.ErrorCode, Message: e.ErrorMessage}
				for _, f := range findings {
					if !isAbout(f.Requirement, e.ErrorCode) {
						continue
					}
					x.Findings = append(x.Findings, f)
					x.Explained = x.Explained || f.Status == requirement.Failed || f.Status == requirement.Warning
				}
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

// Image is what a person calls the image.
func (e ImageError) Image() string {
	if e.ImageName == "" {
		return e.ImageID
	}
	return e.ImageName + " (" + e.ImageID + ")"
}

// Explanation says in a sentence what the findings say of the reason.
func (e ImageError) Explanation() string {
	with := func(statuses ...requirement.Status) (list []string) {
		for _, f := range e.Findings {
			if slices.Contains(statuses, f.Status) {
				list = append(list, f.ID+" ("+f.Message+")")
			}
		}
		return list
	}
	if unmet := with(requirement.Failed, requirement.Warning); len(unmet) > 0 {
		return "explained by " + prose.Some(unmet)
	}
	if open := with(requirement.Undetermined); len(open) > 0 {
		return "not explained: " + prose.Some(open) + " could not be determined"
	}
	if len(e.Findings) > 0 {
		return "not explained: " + prose.Some(with(requirement.Passed, requirement.NotApplicable)) + "; what the service met may have been mended since, or be of another WorkSpace"
	}
	return "not explained: no requirement is about it"
}

// notice tells the reader of a report of it.
func (e ImageError) notice() requirement.Notice {
	n := requirement.Notice{Level: requirement.LevelInfo, Source: e.Document}
	if !e.Explained {
		n.Level = requirement.LevelWarning
	}
	n.Message = fmt.Sprintf("image %s was not made, %s: %s", e.Image(), e.Code, e.Explanation())
	return n
}
