package requirement

import (
	"context"
	"slices"
	"testing"
)

func TestBindRules(t *testing.T) {
	ev := Evidence{Source: "root"}
	entries := []Entry[Terms]{
		{Requirement: Requirement{ID: "x.free"}, Judge: func(t Terms) Outcome {
			if t.Int("least") > 10 {
				return Fail("too little", ev)
			}
			return Pass("enough", ev)
		}, Counts: func(t Terms) bool { return t.Is("counts") }},
		{Requirement: Requirement{ID: "x.content"}, Judge: func(Terms) Outcome { return Pass("content", ev) }},
	}
	rule := func(id string, severity Severity, least int64, not string) Rule {
		return Rule{Requirement: Requirement{ID: id, Severity: severity}, NotApplicable: not,
			Terms: Terms{"least": least, "counts": least > 10}}
	}
	checks := Bind(entries, []Rule{
		rule("x.content", Info, 0, ""), rule("x.free", Required, 11, ""), rule("x.free", Recommended, 11, ""),
		rule("x.other", Required, 0, ""), rule("x.free", Required, 10, ""), rule("x.free", Required, 11, "Not here."),
		rule("x.content", Info, 0, "Not here."),
	}, func(_ context.Context, t Terms) Terms { return t })
	want := []Status{Passed, Failed, Warning, Passed, NotApplicable, Passed}
	counts := []bool{false, true, true, false, true, false}
	if len(checks) != len(want) {
		t.Fatalf("%d checks", len(checks))
	}
	for i, c := range checks {
		if o := c.Decide(t.Context()); o.Status != want[i] {
			t.Errorf("check %d, %s: %s", i, c.ID, o.Status)
		}
		if c.Counts != nil && c.Counts() != counts[i] {
			t.Errorf("check %d counts: %t", i, !counts[i])
		}
	}
}

func TestTerms(t *testing.T) {
	terms := Terms{"n": int64(3), "s": "x", "ns": []any{int64(1), int64(2)}, "ss": []any{"a"}, "mixed": []any{"a", 1}}
	if terms.Int("n") != 3 || terms.Text("s") != "x" || !slices.Equal(terms.Ints("ns"), []int64{1, 2}) ||
		!slices.Equal(terms.Texts("ss"), []string{"a"}) {
		t.Error("values differ")
	}
	for name, read := range map[string]func(){
		"missing": func() { terms.Int("other") }, "another type": func() { terms.Text("n") },
		"not a list": func() { terms.Ints("n") }, "a mixed list": func() { terms.Texts("mixed") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			read()
		}()
	}
}
