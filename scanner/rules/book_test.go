package rules

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestBooks(t *testing.T) {
	list := Books()
	if list[0].Name != Default {
		t.Errorf("the first is %s", list[0].Name)
	}
	var names []string
	for _, b := range list {
		names = append(names, b.Name)
		if found, err := Find(b.Name); found != b || err != nil {
			t.Errorf("%s: %v, %v", b.Name, found, err)
		}
	}
	if !slices.Equal(Names(), names) {
		t.Errorf("names %q of the rule books %q", Names(), names)
	}
	if _, err := Find("imag"); !errors.Is(err, ErrUnknown) {
		t.Errorf("error %v", err)
	}
}

const head = "title: T\nsource: S\nas_of: \"2026\"\njudges: machines\n"

// folder holds rule books by their names.
func folder(books map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range books {
		fsys[name+".yaml"] = &fstest.MapFile{Data: []byte("name: " + name + "\n" + head + text)}
	}
	return fsys
}

func TestExtends(t *testing.T) {
	list, err := load(folder(map[string]string{
		"a": "rules: [{id: x.1, terms: {n: 1}}, {id: x.2}, {id: x.3}]",
		"b": "extends: a\nwithout: [x.2]\nrules: [{id: x.4}, {id: x.1, severity: info, terms: {n: 2, l: [a, b], c: true}}]",
		"c": "extends: b\nrules: [{id: x.2}]\nconcerns: {systems: [linux], decided_by: x.4}",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range list {
		text := b.Name + ":"
		for _, r := range b.Rules {
			text += " " + r.ID + string(r.Severity)
		}
		got = append(got, text)
	}
	want := []string{"a: x.1 x.2 x.3", "b: x.1info x.3 x.4", "c: x.1info x.3 x.4 x.2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	terms := requirement.Terms(list[1].Rules[0].Terms)
	if terms.Int("n") != 2 || !slices.Equal(terms.Texts("l"), []string{"a", "b"}) || !terms.Is("c") {
		t.Errorf("%v", terms)
	}
}

func TestBadBooks(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                                "no rules",
		"rules: [{id: x.1}, {id: x.1}]":                                   "twice",
		"rules: [{id: x.1, color: red}]":                                  "color",
		"rules: [{id: x.1, severity: high}]":                              "severity",
		"rules: [{id: x.1, terms: {n: {a: 1}}}]":                          "neither",
		"extends: other\nrules: [{id: x.1}]":                              "does not exist",
		"extends: a\nrules: [{id: x.1}]":                                  "extends itself",
		"without: [x.2]\nrules: [{id: x.1}]":                              "does not have",
		"concerns: {}\nrules: [{id: x.1}]":                                "no system",
		"concerns: {systems: [linux]}\nrules: [{id: x.1}]":                "decides",
		"concerns: {systems: [dos], decided_by: x.1}\nrules: [{id: x.1}]": "unknown system",
	} {
		if _, err := load(folder(map[string]string{"a": text})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	fsys := folder(map[string]string{"a": "rules: [{id: x.1}]"})
	fsys["b.yaml"] = fsys["a.yaml"]
	if _, err := load(fsys); err == nil || !strings.Contains(err.Error(), `named "a"`) {
		t.Errorf("another name: %v", err)
	}
	delete(fsys, "b.yaml")
	fsys["a.yaml"] = &fstest.MapFile{Data: []byte("name: a\nrules: [{id: x.1}]")}
	if _, err := load(fsys); err == nil {
		t.Error("a rule book without a title is taken")
	}
}

func TestResolve(t *testing.T) {
	none, code, unclear := "", "Code", "Unclear"
	b := &Book{Rules: []Rule{
		{ID: "x.2", Severity: requirement.Recommended, Code: &code, Doubts: &unclear, Demand: "D", Fix: "F"},
		{ID: "x.3"},
		{ID: "x.1", Code: &none, Reads: "R", Reference: "S", NotApplicable: "Not here.",
			Terms: map[string]any{"n": int64(1)}},
	}}
	own := func(id string) requirement.Requirement {
		return requirement.Requirement{ID: id, Severity: requirement.Required, AWSErrorCode: "Own", Demand: "own",
			Reads: "own", Doubts: "own", Remediation: "own", Reference: "own"}
	}
	got := b.Resolve([]requirement.Requirement{own("x.1"), own("x.2"), own("x.4")})
	want := []requirement.Rule{
		{Requirement: requirement.Requirement{ID: "x.2", Severity: requirement.Recommended, AWSErrorCode: "Code",
			Demand: "D", Reads: "own", Doubts: "Unclear", Remediation: "F", Reference: "own"}},
		{Requirement: requirement.Requirement{ID: "x.1", Severity: requirement.Required, Demand: "own", Reads: "R",
			Doubts: "own", Remediation: "own", Reference: "S"}, NotApplicable: "Not here.",
			Terms: requirement.Terms{"n": int64(1)}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
