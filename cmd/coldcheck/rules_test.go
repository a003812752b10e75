package main

import (
	"testing"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
)

// A fleet reuses a verdict only if the content of the rules is the same.
func TestRulesDecideReuse(t *testing.T) {
	t.Parallel()
	settings := func(text string) string {
		set, err := custom.Load(custom.File{Name: "rules.yaml", Data: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return verdictSettings(scanner.Input{Rules: set}, "commit")
	}
	const rule = "- {id: x.a, title: T, severity: info, expr: system.build}\n"
	one, same, other := settings(rule), settings(rule), settings("# changed\n"+rule)
	if none := verdictSettings(scanner.Input{}, "commit"); one != same || one == other || one == none {
		t.Errorf("%s\n%s\n%s\n%s", one, same, other, none)
	}
}
