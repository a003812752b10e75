package windows

import (
	"testing"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestOfficeSupported(t *testing.T) {
	t.Parallel()
	run := machine.Key{Key: &registry.Key{}, Evidence: evidence}
	products := func(ids string) Office {
		return Office{Run: run, Products: words(ids), Looked: []requirement.Evidence{evidence}}
	}
	code := func(product, major string) Office {
		return Office{Codes: []officeCode{{product, major, "Office", evidence}}, Looked: []requirement.Evidence{evidence}}
	}
	for name, c := range map[string]struct {
		office Office
		want   verdict
	}{
		"none":                 {Office{Looked: []requirement.Evidence{evidence}}, passed},
		"365":                  {products("O365ProPlusRetail"), passed},
		"365 with visio":       {products("O365ProPlusRetail, VisioProRetail"), passed},
		"2016":                 {products("ProPlusRetail"), warning},
		"2019":                 {products("ProPlus2019Volume"), warning},
		"2021":                 {products("ProPlus2021Volume"), passed},
		"365 and project 2019": {products("O365ProPlusRetail,ProjectPro2019Volume"), warning},
		"2016 of installer":    {code("0011", "16"), warning},
		"2013 of installer":    {code("0011", "15"), warning},
		"part of click to run": {code("008C", "16"), passed},
		"later than 16":        {code("0011", "17"), passed},
		"not written":          {Office{Run: run, Products: absent[string]()}, undetermined},
	} {
		t.Run(name, func(t *testing.T) { check(t, officeSupported, judgeOfficeSupported(c.office), c.want) })
	}
}
