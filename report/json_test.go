package report

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Every sample is what the schema promises, times included.
func TestJSONSchema(t *testing.T) {
	schema := compiled(t, "")
	for name, r := range withRuleBooks() {
		t.Run(name, func(t *testing.T) {
			if err := schema.Validate(decoded(t, r)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every line of every sample is what the schema promises of one, and a complete
// finding of the report.
func TestJSONLSchema(t *testing.T) {
	schema := compiled(t, "#/$defs/line")
	for name, r := range withRuleBooks() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := JSONL(&b, r, Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
				t.Fatal(err)
			}
			doc := decoded(t, r).(map[string]any)
			whole := doc["findings"].([]any)
			if books, several := doc["rulebooks"].([]any); several {
				whole = nil
				for _, b := range books {
					whole = append(whole, b.(map[string]any)["findings"].([]any)...)
				}
			}
			n := 0
			for text := range bytes.Lines(b.Bytes()) {
				doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(doc); err != nil {
					t.Error(err)
				}
				line := doc.(map[string]any)
				delete(line, "schema_version")
				delete(line, "scan")
				if d := cmp.Diff(whole[n], doc); d != "" {
					t.Error(d)
				}
				n++
			}
			if n != len(whole) {
				t.Errorf("%d lines for %d findings", n, len(whole))
			}
		})
	}
}

// The schema refuses what the contract forbids: a failed finding without
// evidence or remediation, an unknown word, a missing field, a time that is
// none.
func TestJSONSchemaRefuses(t *testing.T) {
	schema := compiled(t, "")
	for name, break1 := range map[string]func(doc, finding map[string]any){
		"failed without evidence":      func(_, f map[string]any) { delete(f, "evidence") },
		"failed with empty evidence":   func(_, f map[string]any) { f["evidence"] = []any{} },
		"failed without remediation":   func(_, f map[string]any) { delete(f, "remediation") },
		"unknown status":               func(_, f map[string]any) { f["status"] = "ok" },
		"unknown verdict":              func(d, _ map[string]any) { d["verdict"] = "fine" },
		"no summary":                   func(d, _ map[string]any) { delete(d, "summary") },
		"summary without undetermined": func(d, _ map[string]any) { delete(d["summary"].(map[string]any), "undetermined") },
		"time that is none":            func(d, _ map[string]any) { d["scan"].(map[string]any)["started"] = "yesterday" },
		"another schema version":       func(d, _ map[string]any) { d["schema_version"] = 2 },
		"evidence without source": func(_, f map[string]any) {
			delete(f["evidence"].([]any)[0].(map[string]any),
				"source")
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc := decoded(t, failing()).(map[string]any)
			break1(doc, doc["findings"].([]any)[2].(map[string]any))
			if schema.Validate(doc) == nil {
				t.Error("accepted")
			}
		})
	}
}

// Bytes that are no UTF-8 become U+FFFD, and a time that RFC 3339 cannot write
// is left out; both come from damaged records. A default value has an empty
// name, which is not the same as no name.
func TestJSONAwkward(t *testing.T) {
	far := time.Date(30828, 9, 14, 2, 48, 5, 0, time.UTC)
	r := result(requirement.Find(row("win.winrm.auto", requirement.Required),
		requirement.Fail("\xff", requirement.Evidence{
			Source: "root", Path: "a\xc3b", Time: far, Key: "K", Type: "REG_SZ",
		})))
	var doc struct {
		Findings []struct {
			Message  string
			Evidence []map[string]any
		}
	}
	text := encoded(t, r)
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{"source": "root", "path": "a\ufffdb", "key": "K", "value": "", "type": "REG_SZ"}}
	if d := cmp.Diff(want, doc.Findings[0].Evidence); d != "" {
		t.Error(d)
	}
	if doc.Findings[0].Message != "\ufffd." {
		t.Errorf("message %q", doc.Findings[0].Message)
	}
}

// Times are in UTC whatever zone the result has them in.
func TestJSONTimesInUTC(t *testing.T) {
	r := ready()
	r.Started = start.In(time.FixedZone("", 5*3600+1800))
	if got, want := decoded(t, r).(map[string]any)["scan"].(map[string]any)["started"],
		"2026-03-02T08:00:00.123456789Z"; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// compiled is the schema, or the part of it at a fragment.
func compiled(t *testing.T, fragment string) *jsonschema.Schema {
	t.Helper()
	return schemaAt(t, "report.schema.json"+fragment)
}

// schemaAt compiles one of the schemas by its address, of which this is the end.
func schemaAt(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	const folder = "https://github.com/coldcheck/coldcheck/raw/main/report/"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for file, text := range map[string][]byte{
		"report.schema.json": Schema, "jsonl.schema.json": LineSchema, "diff.schema.json": DiffSchema,
		"fleet.schema.json": FleetSchema, "version.schema.json": VersionSchema,
		"explain.schema.json": ExplainSchema,
	} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if id := doc.(map[string]any)["$id"]; id != folder+file {
			t.Errorf("%s: $id %v", file, id)
		}
		if err := c.AddResource(folder+file, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(folder + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Reports, lines and comparisons of every case of the demonstration are what their
// schemas promise, and the schemas refuse what is none.
func TestSchemasOfCases(t *testing.T) {
	report, line := schemaAt(t, "report.schema.json"), schemaAt(t, "jsonl.schema.json")
	diff := schemaAt(t, "diff.schema.json")
	valid := func(schema *jsonschema.Schema, text []byte) error {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(doc)
	}
	before, err := Read("old.json", encoded(t, samples()["failing"]))
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	for _, c := range fixtures.Cases() {
		if c.ExitCode == exitNoSystem {
			continue // no report is made
		}
		all["case-"+c.Name] = scanCase(t, c.Name, "")
	}
	for name, r := range all {
		text := written(t, JSON, r)
		if err := valid(report, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for l := range bytes.Lines(written(t, JSONL, r)) {
			if err := valid(line, l); err != nil {
				t.Errorf("%s: a line: %v", name, err)
			}
		}
		after, err := Read("new.json", text)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := DiffJSON(&b, Compare(before, after), Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
			t.Fatal(err)
		}
		if err := valid(diff, b.Bytes()); err != nil {
			t.Errorf("%s: a comparison: %v", name, err)
		}
		if valid(line, text) == nil || valid(diff, text) == nil || valid(report, b.Bytes()) == nil {
			t.Errorf("%s: a schema accepts a document of another kind", name)
		}
	}
}

// exitNoSystem is the exit code of a case that is no scan.
const exitNoSystem = 4

func encoded(t *testing.T, r *scanner.Result) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, r, Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decoded(t *testing.T, r *scanner.Result) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
