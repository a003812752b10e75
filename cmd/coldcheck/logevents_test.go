package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documentedEvents are the events in the page that describes the log, with the fields of each.
func documentedEvents(t *testing.T) map[string]map[string]bool {
	t.Helper()
	documented := map[string]map[string]bool{}
	for _, text := range logItem.FindAllString(read(t, filepath.Join(module, "docs/log.md")), -1) {
		names := logWord.FindAllStringSubmatch(text, -1)
		fields := map[string]bool{"time": true, "event": true}
		for _, n := range names[1:] {
			fields[n[1]] = true
		}
		documented[names[0][1]] = fields
	}
	return documented
}

// TestLogEvents: the page that describes the log has every event in the code, with the
// fields that the code names, and no others. Unlike TestLogPage it needs no scan in which
// an event occurs.
func TestLogEvents(t *testing.T) {
	t.Parallel()
	found := map[string]map[string]bool{}
	for _, root := range []string{"scanner", "report"} {
		err := filepath.WalkDir(filepath.Join(module, root), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				eventsOf(t, path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	documented := documentedEvents(t)
	for _, event := range slices.Sorted(maps.Keys(found)) {
		if documented[event] == nil {
			t.Errorf("docs/log.md does not have the event %s", event)
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(found[event])) {
			if !documented[event][field] {
				t.Errorf("docs/log.md does not have the field %s of the event %s", field, event)
			}
		}
	}
	for event := range documented {
		if found[event] == nil {
			t.Errorf("docs/log.md has the event %s, and no code writes it", event)
		}
	}
}

// eventsOf adds the events that a file records in a trail or writes to a log. Fields that a
// function adds to the line of its caller are those of no event.
func eventsOf(t *testing.T, path string, found map[string]map[string]bool) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(event string, fields ...string) {
		if found[event] == nil {
			found[event] = map[string]bool{}
		}
		for _, f := range fields {
			found[event][f] = true
		}
	}
	current := "" // the event of the line that is being written
	ast.Inspect(file, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncDecl); ok {
			current = ""
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch name := method.Sel.Name; {
		case name == "Record" && len(call.Args) > 0:
			event, literal := stringOf(call.Args[0])
			if !literal && !call.Ellipsis.IsValid() { // one that was recorded before is passed on
				t.Errorf("%s: an event without a name of its own", files.Position(call.Pos()))
			}
			for i := 1; literal && i < len(call.Args); i += 2 {
				field, _ := stringOf(call.Args[i])
				add(event, field)
			}
		case name == "begin" && filepath.Base(path) == "log.go":
			event, literal := stringOf(call.Args[1])
			if _, step := call.Args[1].(*ast.SelectorExpr); !literal && !step { // e.Name is that of a step
				t.Errorf("%s: an event without a name of its own", files.Position(call.Pos()))
			}
			if current = event; literal {
				add(event)
			}
		case strings.HasPrefix(name, "put") && len(call.Args) == 2 && current != "":
			if field, literal := stringOf(call.Args[0]); literal {
				add(current, field)
			}
		}
		return true
	})
}

// stringOf is the value of a string literal.
func stringOf(e ast.Expr) (value string, ok bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(l.Value)
	return value, err == nil
}
