package custom_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/rules/custom"
)

// The tests of the examples hold, and say something of each rule.
func TestExamples(t *testing.T) {
	t.Parallel()
	read := func(name string, _ int64) ([]byte, error) { return os.ReadFile(name) }
	for _, name := range []string{"windows", "linux"} {
		file := "../../../docs/rules/" + name
		data, err := os.ReadFile(file + "_test.yaml")
		if err != nil {
			t.Fatal(err)
		}
		tests, err := custom.LoadTests(custom.File{Name: file + "_test.yaml", Data: data}, read)
		if err != nil {
			t.Fatal(err)
		}
		met := map[string]map[string]bool{}
		for _, r := range tests.Run(t.Context(), now) {
			if !r.Passed() {
				t.Errorf("%s: %s is %s, not %s: %s", r.Test, r.ID, r.Got, r.Want, r.Message)
			}
			if met[r.ID] == nil {
				met[r.ID] = map[string]bool{}
			}
			met[r.ID][string(r.Got)] = true
		}
		rules, err := os.ReadFile(file + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range load(t, string(rules)).IDs() {
			if !met[id]["passed"] || !met[id]["undetermined"] || !met[id]["failed"] && !met[id]["warning"] {
				t.Errorf("%s is tested as %v only", id, met[id])
			}
		}
	}
}

// Mistakes in tests are named with their line.
func TestMistakesInTests(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"r.yaml": rule("system.build > 1 && services.size() > 0") + "- {id: x.any, title: T, severity: info, " +
			"expr: system.name}\n",
		"facts.json": `{"schema_version": 1, "platform": "windows", "now": "2026-03-01T00:00:00Z",
			"facts": {"system": {"build": 2}, "services": []}, "calls": [],
			"unknown": [{"fact": "programs", "reason": "damaged"}]}`,
		"old.json": `{"schema_version": 2}`,
		"shape.json": `{"schema_version": 1, "platform": "windows", "now": "2026-03-01T00:00:00Z",
			"facts": {"servces": []}}`,
		"broken.json": "{",
	}
	read := func(name string, _ int64) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	one := func(test string) string { return "rules: r.yaml\ntests:\n- " + test + "\n" }
	const expect = ", expect: {x.rule: failed}}"
	for name, c := range map[string]struct{ text, want, word string }{
		"of a file": {one("{name: a, facts_file: facts.json" + expect), "", ""},
		"inline":    {one("{name: a, facts: {services: []}, now: 2026-01-01" + expect), "", ""},
		"unknown rule": {one("{name: a, facts: {}, expect: {x.rul: failed}}"),
			`t.yaml:3:33: unknown rule "x.rul"`, "x.rul"},
		"unknown status": {one("{name: a, facts: {}, expect: {x.rule: fail}}"), `unknown status "fail"`, "fail"},
		"unknown part": {one("{name: a, facts: {sevices: []}" + expect),
			"t.yaml:3:20: facts.sevices: unknown name", "sevices"},
		"unknown field": {one("{name: a, facts: {services: [{nam: a}]}" + expect),
			"services[0].nam: unknown name", "nam"},
		"wrong type": {one("{name: a, facts: {system: {build: a}}" + expect),
			"system.build: an integer is required", ""},
		"null": {one("{name: a, facts: {system: {build: null}}" + expect),
			"system.build: null is not possible", ""},
		"no list": {one("{name: a, facts: {services: {}}" + expect), "services: a list is required", ""},
		"a call": {one("{name: a, facts: {}, calls: [{function: fil}]" + expect),
			`unknown function "fil"`, "fil"},
		"arguments": {one("{name: a, facts: {}, calls: [{function: file, result: 1}]" + expect),
			"file takes 1: path", ""},
		"no result": {one(`{name: a, facts: {}, calls: [{function: text, arguments: [a]}]` + expect),
			"result is missing", ""},
		"now":             {one("{name: a, facts: {}, now: soon" + expect), "now: a time such as", ""},
		"expects nothing": {one("{name: a, facts: {}}"), `the test "a" expects nothing`, ""},
		"no facts":        {one("{name: a" + expect), "needs either facts or facts_file", ""},
		"no platform":     {one("{name: a, facts: {}, expect: {x.any: passed}}"), "needs a platform", ""},
		"no name":         {one("{facts: {}" + expect), "the test has no name", ""},
		"a key":           {one("{nam: a}"), `unknown key "nam"`, "nam"},
		"no tests":        {"rules: r.yaml\n", "no list of tests", ""},
		"no rules":        {"tests: [{name: a}]\n", "no key rules", ""},
		"missing rules":   {"rules: x.yaml\ntests: [{name: a}]\n", "t.yaml:1: x.yaml: file does not exist", ""},
		"old facts": {one("{name: a, facts_file: old.json" + expect),
			"old.json: schema_version: 1 is required", ""},
		"other facts": {one("{name: a, facts_file: shape.json" + expect),
			"shape.json: facts.servces", "servces"},
		"broken facts": {one("{name: a, facts_file: broken.json" + expect), "broken.json: not JSON", ""},
	} {
		tests, err := custom.LoadTests(custom.File{Name: "t.yaml", Data: []byte(c.text)}, read)
		if c.want != "" {
			e := new(custom.Error)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &e) && e.Word != c.word {
				t.Errorf("%s: %v (word %q)", name, err, e.Word)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, r := range tests.Run(t.Context(), now) {
			if !r.Passed() {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}
