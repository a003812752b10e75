package report

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Every sample is what the schema promises, times included.
func TestJSONSchema(t *testing.T) {
	schema := compiled(t, "")
	for name, r := range samples() {
		t.Run(name, func(t *testing.T) {
			if err := schema.Validate(decoded(t, r)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every line of every sample is what the schema promises of one, and a whole
// finding of the report.
func TestJSONLSchema(t *testing.T) {
	schema := compiled(t, "#/$defs/line")
	for name, r := range samples() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := JSONL(&b, r, Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
				t.Fatal(err)
			}
			whole := decoded(t, r).(map[string]any)["findings"].([]any)
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
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("report.schema.json" + fragment)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

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
