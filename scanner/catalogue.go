package scanner

import (
	"cmp"
	"slices"

	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Catalogue lists every requirement, in the order of reports.
func Catalogue() []requirement.Requirement {
	ofWindows := windows.Requirements()
	info := slices.IndexFunc(ofWindows, func(r requirement.Requirement) bool { return r.Severity == requirement.Info })
	return slices.Concat(
		requirement.List(serviceCatalogue),
		ofWindows[:info],
		requirement.List(practices),
		ofWindows[info:],
		linux.Requirements(),
	)
}

// inCatalogue reports whether a requirement has the id.
func inCatalogue(id string) bool {
	return slices.ContainsFunc(Catalogue(), func(r requirement.Requirement) bool { return r.ID == id })
}

// inOrder sorts checks as the catalogue has their requirements.
func inOrder(checks []requirement.Check) []requirement.Check {
	place := map[string]int{}
	for i, r := range Catalogue() {
		place[r.ID] = i
	}
	slices.SortStableFunc(checks, func(a, b requirement.Check) int { return cmp.Compare(place[a.ID], place[b.ID]) })
	return checks
}
