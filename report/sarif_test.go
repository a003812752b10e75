package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

const sarifValidator = "@microsoft/sarif-multitool-linux"

// schemaOfSARIF is the schema of the format's authors.
func schemaOfSARIF(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(testenv.Validator(t, sarifValidator, "sarif-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Every report is what the schema of SARIF says.
func TestSARIFSchema(t *testing.T) {
	schema := schemaOfSARIF(t)
	for name, r := range scans(t) {
		text := written(t, SARIF, r)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		broken, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.Replace(text, []byte(`"driver"`), []byte(`"pilot"`),
			1)))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(broken) == nil {
			t.Errorf("%s: the schema accepts a tool without driver", name)
		}
	}
}

// The validator of the format's authors has nothing to say of any report, or of the log
// of a fleet, by the rules of SARIF and those of GitHub's code scanning, but for what is
// not meant for such a tool. It has something to say of a report without locations.
func TestSARIFValidator(t *testing.T) {
	if !testenv.Full() {
		t.Skip("the validator takes its time: runs in strict mode")
	}
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken.sarif")
	text := bytes.ReplaceAll(written(t, SARIF, failing()), []byte(`"locations"`), []byte(`"places"`))
	if err := os.WriteFile(broken, text, 0o666); err != nil {
		t.Fatal(err)
	}
	refused := false
	fleet := filepath.Join(t.TempDir(), "fleet.sarif")
	if err := os.WriteFile(fleet, export(t, "sarif", smallFleet(t), exportOptions), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, r := range validated(t, append(files(t, "sarif"), fleet, broken)) {
		if slices.ContainsFunc(r.Locations, func(l sarifPlace) bool {
			return strings.HasSuffix(l.PhysicalLocation.ArtifactLocation.URI, "/broken.sarif")
		}) {
			refused = refused || r.Level == "error"
			continue
		}
		if !wantedBySARIF(r.RuleID) {
			t.Errorf("%s %s %v", r.RuleID, r.Level, r)
		}
	}
	if !refused {
		t.Error("a report without locations is accepted")
	}
}

// wantedBySARIF reports whether a rule wants what a scan of disks does not have. What it
// says is a note.
func wantedBySARIF(rule string) bool {
	return slices.Contains([]string{
		"SARIF2002", // messages by id with arguments
		"SARIF2003", // the revision of the code that was analysed
		"SARIF2009", // ids of rules in the form ABC1000: ours are those of the catalogue
		"SARIF2010", // snippets of the code
		"SARIF2011", // snippets of what is around it
		"SARIF2012", // no two adjacent capitals in a rule's name: WinDiskCFree
		"SARIF2013", // the content of the files
	}, rule)
}

type sarifVerdict struct {
	RuleID    string
	Level     string
	Message   struct{ Arguments []string }
	Locations []sarifPlace
}

type sarifPlace struct {
	PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
}

// validated is what the validator says of reports.
func validated(t *testing.T, reports []string) []sarifVerdict {
	t.Helper()
	tool := testenv.Validator(t, sarifValidator, "Sarif.Multitool")
	dir := t.TempDir()
	out, config := filepath.Join(dir, "said.sarif"), filepath.Join(dir, "config.xml")
	// The rule that is disabled fetches every address from the network.
	err := os.WriteFile(config, []byte(`<?xml version="1.0" encoding="utf-8"?>
<Properties>
  <Properties Key="SARIF2006.UrisShouldBeReachable.Options">
    <Property Key="RuleEnabled" Value="Disabled" Type="Microsoft.CodeAnalysis.Sarif.Driver.RuleEnabledState" />
  </Properties>
</Properties>
`), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(tool, append([]string{"validate", "--rule-kind", "Sarif;Ghas", "--level", "Error;Warning;Note",
		"--config", config, "--output", out}, reports...)...)
	c.Env = append(os.Environ(), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1")
	said, ended := c.CombinedOutput()
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v %v\n%s", ended, err, said)
	}
	if !bytes.Contains(said, fmt.Appendf(nil, "%d files scanned", len(reports))) {
		t.Errorf("not all of %d reports were looked at:\n%s", len(reports), said)
	}
	var log struct {
		Runs []struct{ Results []sarifVerdict }
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &log); err != nil {
		t.Fatal(err)
	}
	return log.Runs[0].Results
}

// What GitHub's code scanning refuses or cuts off ("SARIF support for code
// scanning") does not occur, and a result is found again in a later scan.
func TestSARIFLimits(t *testing.T) {
	many := failing()
	for range 2000 {
		many.Findings[2].Evidence = append(many.Findings[2].Evidence, many.Findings[2].Evidence[0])
	}
	all := scans(t)
	all["many"] = many
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			var log struct {
				Runs []struct {
					Tool struct {
						Driver struct {
							Rules []struct {
								ID, Name                                string
								ShortDescription, FullDescription, Help struct{ Text, Markdown string }
								Properties                              struct{ Tags []string }
							}
						}
					}
					Results []struct {
						RuleID                      string
						Level                       string
						Message                     struct{ Text string }
						Locations, RelatedLocations []struct {
							PhysicalLocation struct {
								ArtifactLocation struct{ URI string }
								Region           struct{ StartLine int }
							}
						}
						PartialFingerprints map[string]string
					}
				}
			}
			text := written(t, SARIF, r)
			if err := json.Unmarshal(text, &log); err != nil {
				t.Fatal(err)
			}
			if len(text) > 10<<20 || len(log.Runs) != 1 {
				t.Fatalf("%d bytes, %d runs", len(text), len(log.Runs))
			}
			run := log.Runs[0]
			var ids []string
			for _, f := range r.Findings {
				ids = append(ids, f.ID)
			}
			for _, n := range r.NotChecked {
				ids = append(ids, n.ID)
			}
			if len(run.Tool.Driver.Rules) != len(ids) {
				t.Fatalf("%d rules for %d requirements", len(run.Tool.Driver.Rules), len(ids))
			}
			for i, rule := range run.Tool.Driver.Rules {
				if rule.ID != ids[i] || len(rule.ID) > 255 || len(rule.Name) > 255 || len(rule.Properties.Tags) > 10 {
					t.Errorf("rule %d: %+v", i, rule)
				}
				for _, text := range []string{rule.ShortDescription.Text, rule.FullDescription.Text} {
					if n := utf8.RuneCountInString(text); n == 0 || n > 1024 {
						t.Errorf("rule %s: a description of %d characters", rule.ID, n)
					}
				}
				if rule.Help.Text == "" || rule.Help.Markdown == "" {
					t.Errorf("rule %s has no help", rule.ID)
				}
			}
			seen := map[string]bool{}
			for _, result := range run.Results {
				if len(result.Locations) != 1 || len(result.RelatedLocations) >= 1000 {
					t.Errorf("%s: %d locations, %d related", result.RuleID, len(result.Locations), len(result.RelatedLocations))
				}
				for _, l := range slices.Concat(result.Locations, result.RelatedLocations) {
					u, err := url.Parse(l.PhysicalLocation.ArtifactLocation.URI)
					if err != nil || u.IsAbs() || strings.HasPrefix(u.Path, "/") ||
						slices.Contains(strings.Split(u.EscapedPath(), "/"), "..") || l.PhysicalLocation.Region.StartLine != 1 {
						t.Errorf("%s: %+v %v", result.RuleID, l, err)
					}
				}
				print := result.PartialFingerprints["primaryLocationLineHash"]
				if len(print) != 18 || seen[print] {
					t.Errorf("%s: fingerprint %q, or a second time", result.RuleID, print)
				}
				seen[print] = true
				if !slices.Contains([]string{"error", "warning", "note"}, result.Level) || result.Message.Text == "" {
					t.Errorf("%s: level %q, message %q", result.RuleID, result.Level, result.Message.Text)
				}
			}
		})
	}
}

// A fingerprint stays when the figures of a finding change, and is another for
// another machine.
func TestSARIFFingerprints(t *testing.T) {
	r := failing()
	e := r.Findings[2].Evidence[0]
	was := fingerprints(machineName(r), r.Findings[2].ID, e)
	e.Data, e.Time, e.Offset = "another", e.Time.AddDate(1, 0, 0), nil
	if d := cmp.Diff(was, fingerprints(machineName(r), r.Findings[2].ID, e)); d != "" {
		t.Error(d)
	}
	r.Platform.ComputerName = "ANOTHER"
	if d := cmp.Diff(was, fingerprints(machineName(r), r.Findings[2].ID, e)); d == "" {
		t.Error("the same for another machine")
	}
}

// Each version is one by the rules of semver.org; one that is none is not passed on.
func TestSARIFSemanticVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.0.0-rc.1": "1.0.0-rc.1",
		"v0.0.0-20260302080000-0123456789ab+dirty": "0.0.0-20260302080000-0123456789ab+dirty",
		"devel": "0.0.0-devel", "": "0.0.0-devel", "v1.2": "0.0.0-devel", "v01.2.3": "0.0.0-devel", "v1.2.3-": "0.0.0-devel",
		"v1.2.3-01": "0.0.0-devel", "v1.2.3 \x1b": "0.0.0-devel",
	} {
		var log sarifLog
		var b bytes.Buffer
		if err := SARIF(&b, ready(), Options{Version: version}); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		if got := log.Runs[0].Tool.Driver.SemanticVersion; got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
}

// No text of a report ends with two full stops, or with one after another end of a
// sentence.
func TestSARIFFullStops(t *testing.T) {
	twice := regexp.MustCompile(`\.\.("|\\n| [A-Z])|[!?:]\.("|\\n)`)
	for name, r := range scans(t) {
		for _, found := range twice.FindAllString(string(written(t, SARIF, r)), -1) {
			t.Errorf("%s: %s", name, found)
		}
	}
	for text, want := range map[string]string{"": "", "a": "a.", "a.": "a.", "a?": "a?", "a!": "a!", "a:": "a:",
		"a…": "a…",
		"ö":  "ö."} {
		if got := ended(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Names of machines that differ only in what has no place in a path stay apart, and
// so do a full scan and one that leaves requirements out.
func TestSARIFCategory(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"WSAMZN-7F3K2Q1P", "a_b", "a/b", "a b", "東京", "大阪"} {
		r := ready()
		r.Platform.ComputerName = name
		id := machineName(r)
		if strings.ContainsAny(id, "/ \\:") || seen[id] != "" {
			t.Errorf("%q: %q, also of %q", name, id, seen[id])
		}
		seen[id] = name
	}
	if part(ready()) == part(partial()) {
		t.Error("a scan that leaves requirements out has the category of a full one")
	}
}

func TestRelativeURI(t *testing.T) {
	for path, want := range map[string]string{
		"root/Windows/System32/config/SYSTEM":    "root/Windows/System32/config/SYSTEM",
		"root/Program Files/a#b?c%d":             "root/Program%20Files/a%23b%3Fc%25d",
		"C:/x":                                   "C%3A/x",
		"/etc//passwd":                           "etc/passwd",
		"../../x":                                "%2E%2E/%2E%2E/x",
		"root/Users/\xff\u202e":                  "root/Users/%EF%BF%BD%E2%80%AE",
		"":                                       "image",
		"root/" + strings.Repeat("a", 300) + "/": "root/" + strings.Repeat("a", 300),
	} {
		if got := relativeURI(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
