package main

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/report"
)

// A cross-check adds to the report what it is for, changes nothing else of it,
// and keeps to the schema.
func TestCrossCheckAdds(t *testing.T) {
	schema := schemaOf(t)
	for _, c := range fixtures.Cases() {
		if c.ExitCode == 4 {
			continue
		}
		plain := decode(t, printed(t, c.ExitCode, "demo", "--case", c.Name, "-o", "json"))
		text := printed(t, c.ExitCode, "demo", "--case", c.Name, "-o", "json", "--cross-check")
		checked := decode(t, text)
		if err := schema.Validate(checked); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		doc := checked.(map[string]any)
		if doc["cross_check"] == nil {
			t.Errorf("%s: no cross_check", c.Name)
		}
		delete(doc, "cross_check")
		notices := []any{}
		for _, n := range doc["notices"].([]any) {
			if !strings.HasPrefix(n.(map[string]any)["message"].(string), "Cross-check: ") {
				notices = append(notices, n)
			}
		}
		doc["notices"] = notices
		for _, f := range doc["findings"].([]any) {
			evidence, _ := f.(map[string]any)["evidence"].([]any)
			for _, e := range evidence {
				delete(e.(map[string]any), "confirmed_by")
				delete(e.(map[string]any), "unconfirmed")
			}
		}
		for _, d := range []any{plain, checked} {
			scan := d.(map[string]any)["scan"].(map[string]any)
			delete(scan, "started")
			delete(scan, "finished")
			delete(scan, "arguments")
			delete(d.(map[string]any), "settings") // names --cross-check
		}
		if diff := cmp.Diff(plain, checked); diff != "" {
			t.Errorf("%s (-without +with):\n%s", c.Name, diff)
		}
	}
}

func schemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(report.Schema)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddResource("report.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Whenever the signal comes, there is a complete report or none, and the other
// process is gone too: also when this one had no time to end it. The test does
// not end before all processes have.
func TestSignalsInCrossCheck(t *testing.T) {
	begun := time.Now()
	if err := coldcheck(t, "demo", "--cross-check", "-o", "json=report.json").Run(); code(t, err) != 1 {
		t.Fatal(err)
	}
	lasts := time.Since(begun)
	steps := 2
	switch {
	case testenv.Nightly():
		steps = 12
	case testenv.Strict():
		steps = 4
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for i := range steps {
			cmd := coldcheck(t, "demo", "--cross-check", "-o", "json=report.json")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lasts * time.Duration(i) / time.Duration(steps*3/4))
			cmd.Process.Signal(signal) // it may have ended already
			c := code(t, cmd.Wait())
			if path := filepath.Join(cmd.Dir, "report.json"); exists(path) {
				decode(t, read(t, path))
			} else if c == 1 {
				t.Error("exit code 1 and no report")
			}
			group := -cmd.Process.Pid
			for !errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}
