package scanner

import (
	"slices"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// toyLabel is a requirement as the file of its topic would declare it.
var toyLabel = requirement.Entry[practiceFacts]{
	Requirement: requirement.Requirement{
		ID: "bp.toy-label", Platform: requirement.Any, Scope: requirement.Disk, Severity: requirement.Recommended,
		Demand:      "the root volume is labeled Toy",
		Reads:       "The label of the root volume.",
		Live:        "label C:",
		Remediation: "label C: Toy",
		Reference:   practicesSection,
	},
	Judge: func(f practiceFacts) requirement.Outcome {
		evidence := requirement.Evidence{
			Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true, Source: string(Root),
		}
		return requirement.Warn("the root volume is not labeled Toy", evidence)
	},
}

// A requirement is added in three places: the file of its topic, the list of its
// platform, and a rule book. The catalogue, a scan, its verdicts and its policy then
// have it.
func TestToyRequirement(t *testing.T) {
	before, beforeBooks := practices, books
	t.Cleanup(func() { practices, books = before, beforeBooks })
	practices = append(slices.Clip(practices), toyLabel)
	image, err := rules.Find(rules.Default)
	if err != nil {
		t.Fatal(err)
	}
	own := *image
	network := slices.IndexFunc(own.Rules, func(r rules.Rule) bool { return r.ID == "bp.network" })
	own.Rules = slices.Insert(slices.Clone(own.Rules), network+1, rules.Rule{ID: toyLabel.ID})
	books = func() ([]book, error) { return resolve([]*rules.Book{&own}) }

	catalogue := Catalogue()
	at := slices.IndexFunc(catalogue, func(r requirement.Requirement) bool { return r.ID == toyLabel.ID })
	if at < 1 || catalogue[at-1].ID != "bp.network" {
		t.Fatalf("it is at %d of the catalogue", at)
	}
	for _, name := range []string{"ready", "linux-ready"} {
		c, err := fixtures.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Policy: Policy{FailOn: FailOnRecommended, Accept: []string{toyLabel.ID}}}
		in.Now = func() time.Time { return fixtures.Now }
		for _, i := range c.Images {
			r, err := i.Open()
			if err != nil {
				t.Fatal(err)
			}
			in.Images = append(in.Images, Reader(i.Name, r, i.Size))
		}
		r, err := Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Findings, func(f requirement.Finding) bool { return f.ID == toyLabel.ID })
		if i < 1 || r.Findings[i-1].ID != "bp.network" {
			t.Fatalf("%s: it is finding %d", name, i)
		}
		f := r.Findings[i]
		if f.Status != requirement.Warning || f.Counts || !f.Unmet || f.Outcome.Remediation != "Label C: Toy." {
			t.Errorf("%s: %+v", name, f)
		}
		if r.Verdict != Ready || r.PolicyVerdict != NotReady {
			t.Errorf("%s: %s, and %s by the policy", name, r.Verdict, r.PolicyVerdict)
		}
	}
}
