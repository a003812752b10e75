package report

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// explainCase explains a case.
func explainCase(t *testing.T, name string, window time.Duration) *scanner.Explanation {
	t.Helper()
	c := testcases.Find(t, name)
	in := scanner.Input{UserName: c.UserName, Window: window, Now: func() time.Time { return fixtures.Now }}
	for _, i := range c.Images {
		in.Images = append(in.Images, scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
			r, err := i.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, i.Name, r, i.Size), nil
		}})
	}
	for _, d := range c.With {
		in.With = append(in.With, scanner.Document{Name: d.Name, Data: d.Data})
	}
	e, err := scanner.Explain(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestExplain compares what explains five failures, in all formats, with files that were reviewed.
func TestExplain(t *testing.T) {
	t.Parallel()
	schema := schemaAt(t, "explain.schema.json")
	for name, says := range map[string]string{
		"explain-upgrade":          "1 failure, explained.",
		"explain-appx":             "2 failures, explained.",
		"explain-reserved-storage": "2 failures, explained.",
		"explain-domain-service":   "1 failure, explained.",
		"explain-nothing":          "1 failure, 0 explained.",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := explainCase(t, name, 0)
			o := Options{Version: "v0.0.0"}
			var text, doc, page bytes.Buffer
			for _, err := range []error{ExplainText(&text, e, o), ExplainJSON(&doc, e, o), ExplainHTML(&page, e, o)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(text.String(), says) {
				t.Errorf("the text does not say %q", says)
			}
			goldenExplanation(t, name+".txt", text.Bytes())
			if name == "explain-reserved-storage" {
				goldenExplanation(t, name+".json", doc.Bytes())
				goldenExplanation(t, name+".html", page.Bytes())
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Error(err)
			}
			for _, f := range e.Failures {
				last := f.From.AddDate(0, 0, -1) // days begin before the window
				for _, c := range f.Changes {
					if c.Time.Before(last) || c.Time.After(f.To) || len(c.Evidence) == 0 {
						t.Errorf("%s is not between %s and %s, or has no evidence: %s", c.Time, last, f.To, c.What)
					}
					last = c.Time
				}
			}
		})
	}
}

func goldenExplanation(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "explain", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// explainedPage is a page of an explanation, which TestExplain keeps.
func explainedPage(t *testing.T) string {
	t.Helper()
	page, err := filepath.Abs("testdata/explain/explain-reserved-storage.html")
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// TestExplainWindow looks at changes at, and a second outside of, both ends of the window.
func TestExplainWindow(t *testing.T) {
	t.Parallel()
	installed := func(window time.Duration) bool {
		f := explainCase(t, "explain-domain-service", window).Failures[0]
		for _, c := range f.Changes {
			if strings.HasPrefix(c.What, "Service ContosoAgent was installed with account CORP") {
				return true
			}
		}
		return false
	}
	// The image was created on 2026-02-20 10:31:17.482, the service installed on 2026-02-04 15:20:31.
	const apart = 15*24*time.Hour + 19*time.Hour + 10*time.Minute + 46*time.Second + 482*time.Millisecond
	for window, want := range map[time.Duration]bool{
		apart - time.Millisecond: false, apart: true, apart + time.Hour: true,
	} {
		if installed(window) != want {
			t.Errorf("a window of %v has the installation: %t", window, !want)
		}
	}
}

// TestExplainNothing explains systems of which nothing is known to have failed.
func TestExplainNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ready", "linux-failing"} {
		e := explainCase(t, name, 0)
		var text, doc bytes.Buffer
		if err := ExplainText(&text, e, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := ExplainJSON(&doc, e, Options{}); err != nil {
			t.Fatal(err)
		}
		var parsed struct{ Failures []any }
		if err := json.Unmarshal(doc.Bytes(), &parsed); err != nil || len(parsed.Failures) > 0 || len(e.Failures) > 0 {
			t.Errorf("%s: %v, %v", name, parsed, err)
		}
		if !strings.Contains(text.String(), "The disk shows no failed run of Sysprep. Add the output of") {
			t.Errorf("%s: %s", name, text.String())
		}
	}
}
