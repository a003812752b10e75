package report

import (
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Every report is what the schema says, and the schema is none that says yes to
// everything.
func TestJUnitSchema(t *testing.T) {
	testenv.Tool(t, "xmllint")
	reports := files(t, "junit")
	schema := filepath.Join(filepath.Dir(reports[0]), "junit.xsd")
	if err := os.WriteFile(schema, JUnitSchema, 0o666); err != nil {
		t.Fatal(err)
	}
	validate := func(files ...string) ([]byte, error) {
		return exec.Command("xmllint",
			append([]string{"--nonet", "--noout", "--schema", schema}, files...)...).CombinedOutput()
	}
	if out, err := validate(reports...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	good, err := os.ReadFile(reports[0])
	if err != nil {
		t.Fatal(err)
	}
	for old, broken := range map[string]string{
		`<testcase name="`: `<testcase nam="`,
		` errors="`:        ` errors="-`,
		` timestamp="2`:    ` timestamp="Z2`,
		`<properties>`:     `<properties><other/>`,
	} {
		text := strings.Replace(string(good), old, broken, 1)
		if text == string(good) {
			t.Fatalf("%s is not in the report", old)
		}
		file := filepath.Join(t.TempDir(), "broken.xml")
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := validate(file); err == nil {
			t.Errorf("the schema accepts %s", broken)
		}
	}
}

// The figures of a suite are those of its cases, each requirement is a case, and
// what a case is follows from its finding.
func TestJUnitCases(t *testing.T) {
	for name, r := range scans(t) {
		t.Run(name, func(t *testing.T) {
			var doc struct {
				Suites []struct {
					Name                             string `xml:"name,attr"`
					Tests, Failures, Errors, Skipped int    `xml:",attr"`
					Cases                            []struct {
						Name    string    `xml:"name,attr"`
						Class   string    `xml:"classname,attr"`
						Failure *struct{} `xml:"failure"`
						Error   *struct{} `xml:"error"`
						Skipped *struct{} `xml:"skipped"`
					} `xml:"testcase"`
				} `xml:"testsuite"`
			}
			text := strings.NewReplacer("tests=", "Tests=", "failures=", "Failures=", "errors=", "Errors=", "skipped=",
				"Skipped=").
				Replace(string(written(t, JUnit, r)))
			if err := xml.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			more := len(r.NotChecked) // cases that are no findings
			for _, doubts := range [][]string{r.Changed, r.StaleBases, r.Unverified, r.UnreadDisks} {
				if len(doubts) > 0 {
					more++
				}
			}
			if slices.ContainsFunc(r.Reasons, func(v scanner.VerdictReason) bool { return v.Kind == scanner.ReasonNotChecked }) {
				more++
			}
			if len(doc.Suites) != 1 || len(doc.Suites[0].Cases) != len(r.Findings)+more {
				t.Fatalf("%d suites, or not a case for each of %d findings", len(doc.Suites), len(r.Findings))
			}
			s := doc.Suites[0]
			if want := targetName(r); s.Name != want {
				t.Errorf("suite %q, want %q", s.Name, want)
			}
			n := map[string]int{}
			for i, c := range s.Cases {
				if want := "coldcheck." + strings.ReplaceAll(targetName(r), ".", "_"); c.Class != want {
					t.Errorf("%s: class %s, want %s", c.Name, c.Class, want)
				}
				got := "passed"
				switch {
				case c.Failure != nil:
					got = "failure"
				case c.Error != nil:
					got = "error"
				case c.Skipped != nil:
					got = "skipped"
				}
				n[got]++
				if i >= len(r.Findings) {
					want := "error"
					if i -= len(r.Findings); i < len(r.NotChecked) {
						want = "skipped"
					}
					if got != want {
						t.Errorf("case %s: %s, want %s", c.Name, got, want)
					}
					continue
				}
				f := r.Findings[i]
				want := map[requirement.Status]string{requirement.NotApplicable: "skipped",
					requirement.Undetermined: "error"}[f.Status]
				if f.Status == requirement.Undetermined && !f.Counts {
					want = "skipped"
				}
				switch {
				case f.Waiver != nil, f.Accepted:
					want = "skipped"
				case f.Unmet:
					want = "failure"
				case want == "":
					want = "passed"
				}
				if c.Name != f.ID || got != want {
					t.Errorf("%s %s: case %s %s, want %s", f.ID, f.Status, c.Name, got, want)
				}
			}
			if got, want := fmt.Sprint(s.Tests, s.Failures, s.Errors, s.Skipped),
				fmt.Sprint(len(s.Cases), n["failure"], n["error"], n["skipped"]); got != want {
				t.Errorf("tests, failures, errors, skipped: %s, want %s", got, want)
			}
		})
	}
}

// A WorkSpace of which an image can be made has no error and no failure, whatever
// the service was asked.
func TestJUnitReady(t *testing.T) {
	for name, with := range map[string]string{
		"without documents": "",
		"with a document": `{"Workspaces": [{"WorkspaceId": "ws-0a1b2c3d4", "ComputerName": "WSAMZN-7F3K2Q1P",
			"UserName": "jdoe", "State": "AVAILABLE", "ModificationStates": []}]}`,
		"with one of another WorkSpace": `{"Workspaces": [{"WorkspaceId": "ws-9", "ComputerName": "OTHER",
			"UserName": "jroe", "State": "STOPPED"}]}`,
		"with images": `{"Images": [{"ImageId": "wsi-1", "Name": "a", "State": "AVAILABLE"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := scanCase(t, "ready", with)
			text := string(written(t, JUnit, r))
			if r.Verdict != scanner.Ready || !strings.Contains(text, ` failures="0" errors="0" `) ||
				strings.Contains(text, "<error") {
				t.Errorf("%s:\n%s", r.Verdict, text)
			}
		})
	}
}

// What --strict counts as undetermined is an error, since it keeps the exit code
// from being 0; what is accepted is skipped.
func TestJUnitPolicy(t *testing.T) {
	r := result(
		requirement.Find(row("win.tls.ssl3", requirement.Required), requirement.Infer("SSL 3.0 has its default.")),
		requirement.Find(row("win.rearm.nonzero", requirement.Required), requirement.Unknown("The disk does not show it.")))
	r.Findings[0].Open = true
	r.Findings[1].Open, r.Findings[1].Accepted = false, true
	text := string(written(t, JUnit, r))
	if !strings.Contains(text, `<error type="undetermined" message="passed by inference, which --strict counts`) ||
		!strings.Contains(text, `<skipped message="undetermined, and accepted: `) ||
		!strings.Contains(text, ` errors="1" skipped="1" `) {
		t.Error(text)
	}
}
