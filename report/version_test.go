package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestVersionJSON: the version is what its schema promises, whatever is known of the build,
// and reports have the same fields.
func TestVersionJSON(t *testing.T) {
	schema, reports := schemaAt(t, "version.schema.json"), schemaAt(t, "report.schema.json")
	modified := false
	for name, tt := range map[string]struct {
		o    Options
		want map[string]any
		log  string
	}{
		"all": {
			Options{Version: "v1.2.3", Commit: "0123abc", Build: &Build{
				Date: time.Date(2026, 11, 30, 19, 25, 54, 0, time.FixedZone("", 3600)), Modified: &modified, Go: "go1.26.8",
				OS: "linux", Arch: "arm64", CGO: true, Trimpath: true}},
			map[string]any{"name": "coldcheck", "version": "v1.2.3", "commit": "0123abc", "date": "2026-11-30T18:25:54Z",
				"modified": false, "go": "go1.26.8", "os": "linux", "arch": "arm64", "cgo": true, "trimpath": true},
			" commit=0123abc date=2026-11-30T18:25:54Z modified=false go=go1.26.8 os=linux arch=arm64 ",
		},
		"no history": {
			Options{Version: "devel", Build: &Build{Go: "go1.26.8", OS: "windows", Arch: "amd64"}},
			map[string]any{"name": "coldcheck", "version": "devel", "go": "go1.26.8", "os": "windows", "arch": "amd64",
				"cgo": false, "trimpath": false},
			" version=devel go=go1.26.8 os=windows arch=amd64 ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := VersionJSON(&b, tt.o); err != nil {
				t.Fatal(err)
			}
			doc := unmarshal(t, b.Bytes())
			if err := schema.Validate(doc); err != nil {
				t.Error(err)
			}
			fields := maps.Clone(tt.want)
			fields["schema_version"] = json.Number("1")
			if d := cmp.Diff(any(fields), doc); d != "" {
				t.Error(d)
			}
			for _, field := range []string{"schema_version", "version", "go", "cgo"} {
				broken := maps.Clone(doc.(map[string]any))
				delete(broken, field)
				if schema.Validate(broken) == nil {
					t.Errorf("accepted without %s", field)
				}
			}
			b.Reset()
			if err := Log(&b, failing(), tt.o); err != nil {
				t.Fatal(err)
			}
			if line, _, _ := strings.Cut(b.String(), "\n"); !strings.Contains(line, tt.log) {
				t.Errorf("%s\nlacks %s", line, tt.log)
			}
			b.Reset()
			tt.o.ExitCode = exitCode
			if err := JSON(&b, failing(), tt.o); err != nil {
				t.Fatal(err)
			}
			if _, err := Read("report.json", b.Bytes()); err != nil {
				t.Error(err)
			}
			doc = unmarshal(t, b.Bytes())
			if err := reports.Validate(doc); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(any(tt.want), doc.(map[string]any)["tool"]); d != "" {
				t.Error(d)
			}
		})
	}
}

func unmarshal(t *testing.T, text []byte) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
