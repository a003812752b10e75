package scanner

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/rules"
)

// TestIDs: no requirement that users know by its id goes away, or changes what programs
// rely on (docs/compatibility.md). A new one gets a line in the list.
func TestIDs(t *testing.T) {
	text, err := os.ReadFile("testdata/ids.tsv")
	if err != nil {
		t.Fatal(err)
	}
	is := map[string]string{}
	for _, r := range Catalogue() {
		is[r.ID] = strings.Join([]string{r.ID, string(r.Platform), string(r.Scope), string(r.Severity), r.AWSErrorCode}, "\t")
	}
	for line := range strings.Lines(string(text)) {
		want := strings.TrimSuffix(line, "\n")
		id, _, _ := strings.Cut(want, "\t")
		if is[id] != want {
			t.Errorf("%q is %q now", want, is[id])
		}
		delete(is, id)
	}
	for _, line := range is {
		t.Errorf("testdata/ids.tsv lacks %q", line)
	}
}

// TestRuleBookIDs: the same of the other rule books, whose requirements are in
// testdata/rulebooks.tsv. What users know is the rule book, the id, and what the rule
// book makes of it.
func TestRuleBookIDs(t *testing.T) {
	text, err := os.ReadFile("testdata/rulebooks.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var is []string
	for _, b := range rules.Books() {
		if b.Name == rules.Default {
			continue
		}
		list, err := CatalogueOf(b.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			is = append(is, strings.Join([]string{b.Name, r.ID, string(r.Platform), string(r.Scope), string(r.Severity),
				r.AWSErrorCode}, "\t"))
		}
	}
	if d := cmp.Diff(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), is); d != "" {
		t.Errorf("testdata/rulebooks.tsv differs (-want +is): %s", d)
	}
}

// TestRuleBooks makes sure that each rule book can be applied, and that no
// requirement is in none.
func TestRuleBooks(t *testing.T) {
	list, err := books()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries() {
		if !hasRule(list, e.ID) {
			t.Errorf("no rule book has %s", e.ID)
		}
	}
}
