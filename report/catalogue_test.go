package report

import (
	"bytes"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// The catalogue in every form it is written in, with one requirement that has
// every field and one that has none but the necessary.
func TestCatalogue(t *testing.T) {
	rows := []requirement.Requirement{
		{
			ID: "ws.quota.images", Platform: requirement.Any, Scope: requirement.Service, Severity: requirement.Required,
			Demand: "The image quota must not be used up.",
		},
		{
			ID: "win.rds.enabled", Platform: requirement.Windows, Scope: requirement.Disk, Severity: requirement.Required,
			AWSErrorCode: "RemoteDesktopServicesDisabled",
			Demand:       "Remote Desktop Services must start manually or automatically.",
			Reads:        `SYSTEM: Services\TermService\Start, <any> [control] set, *_2 | #3`,
			Live:         "Get-Service TermService | Select-Object StartType",
			Remediation:  "Open services.msc, select Remote Desktop Services, and choose the startup type Manual.",
			Reference:    "Tips for Resolving Issues Detected by the Image Checker: Remote Desktop Services must be enabled",
		},
	}
	var list []CatalogueRow
	for _, r := range rows {
		list = append(list, CatalogueRow{Requirement: r})
	}
	list[0].New, list[0].Differs = true, []string{"not in image"}
	list[1].Differs = []string{"recommended instead of required"}
	for name, write := range map[string]CatalogueFormat{"table": CatalogueTable, "txt": Explain, "json": CatalogueJSON,
		"md": CatalogueMarkdown} {
		var b bytes.Buffer
		if err := write(&b, list, Options{}); err != nil {
			t.Fatal(err)
		}
		golden(t, "catalogue."+name, b.Bytes())
	}
}
