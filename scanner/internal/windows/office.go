package windows

import (
	"regexp"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var officeSupported = entry{
	Requirement: recommended("current.office.eol", "", "Office 2019 and earlier should not be installed.",
		"Microsoft 365 Apps for enterprise", explanation{
			Reads: byolOffice.Reads,
			Live:  byolOffice.Live,
			Doubts: "Office 2016 and 2019 have had no support since October 14, 2025. An image with them can still be " +
				"created.",
			Fix: "Replace Office by Microsoft 365 Apps or a supported version.",
		}),
	Judge: (*Machine).decideOfficeSupported,
}

func (m *Machine) decideOfficeSupported() requirement.Outcome {
	o, err := m.readOffice()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeOfficeSupported(o)
}

// officeYear is the year in the name of a Click-to-Run product, such as
// ProPlus2019Volume. Products of 2016 have none.
var officeYear = regexp.MustCompile(`20[0-9][0-9]`)

// oldOffice says whether a Click-to-Run product is of Office 2019 or earlier.
func oldOffice(id string) bool {
	if year := officeYear.FindString(id); year != "" {
		return year <= "2019"
	}
	return !fold.HasPrefix(id, "O365") && !fold.Contains(officeAddOns, id)
}

// oldMajor is the last major version of Office that Windows Installer has: later
// ones are only of Click-to-Run.
const oldMajor = "16"

// judgeOfficeSupported decides current.office.eol.
func judgeOfficeSupported(o Office) requirement.Outcome {
	var old []string
	var evidence []requirement.Evidence
	for id := range strings.SplitSeq(o.Products.Value, ",") {
		if id = strings.TrimSpace(id); id != "" && oldOffice(id) {
			old, evidence = append(old, prose.Short(id)), append(evidence, o.Products.Evidence)
		}
	}
	for _, c := range o.Codes {
		if slices.Contains(officeSuites, c.Product) && c.Major <= oldMajor {
			old, evidence = append(old, prose.Short(c.Title)), append(evidence, c.Evidence)
		}
	}
	switch {
	case len(old) > 0:
		return requirement.Warn("This Office has had no support since October 14, 2025: "+prose.Some(old)+".",
			evidence...).About(officeSubjects(old)...)
	case o.Run.Exists() && strings.TrimSpace(o.Products.Value) == "":
		return requirement.Unknown("Cannot tell which Office is installed: Click-to-Run is configured, but "+
			"ProductReleaseIds is missing.", o.Products.Evidence)
	}
	return requirement.Pass("No Office without support is installed.", append(o.Looked, o.Run.Evidence)...)
}
