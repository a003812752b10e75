package scanner_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// text is a value as JSON.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSeveralRuleBooks makes sure that each rule book says in a scan by several what it
// says in a scan of its own.
func TestSeveralRuleBooks(t *testing.T) {
	var names []string
	for _, b := range rules.Books() {
		if !b.Alone {
			names = append(names, b.Name)
		}
	}
	for _, name := range []string{"failing", "linux-failing"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(testcases.Find(t, name))
			in.RuleBooks = names
			all, err := scanner.Scan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for i, one := range all.Each() {
				in := input(testcases.Find(t, name))
				in.RuleBooks = names[i : i+1]
				own, err := scanner.Scan(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(text(t, own.Findings), text(t, one.Findings)); d != "" {
					t.Errorf("%s: %s", names[i], d)
				}
				if own.Verdict != one.Verdict || own.RuleBook != one.RuleBook || own.RuleBook.Name != names[i] ||
					!cmp.Equal(own.Reasons, one.Reasons) {
					t.Errorf("%s: %s, %v", names[i], one.Verdict, one.RuleBook)
				}
			}
			if all.WorstVerdict() != scanner.NotReady {
				t.Errorf("the worst verdict is %s", all.WorstVerdict())
			}
		})
	}
}

// TestUnknownSystem makes sure that a rule book which may not be for the system, because
// the system is unknown, is not met.
func TestUnknownSystem(t *testing.T) {
	for _, b := range rules.Books() {
		in := input(testcases.Find(t, "linux-os-unreadable"))
		in.RuleBooks = []string{b.Name}
		r, err := scanner.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != scanner.Inconclusive {
			t.Errorf("%s: %s with %d findings", b.Name, r.Verdict, len(r.Findings))
		}
		decides := func(f requirement.Finding) bool {
			return f.ID == b.Concerns.DecidedBy && f.Status == requirement.Undetermined
		}
		if c := b.Concerns; c != nil && !slices.ContainsFunc(r.Findings, decides) {
			t.Errorf("%s: %s is not undetermined", b.Name, c.DecidedBy)
		}
	}
}
