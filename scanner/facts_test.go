package scanner_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// exampleRules are the rules in docs/rules.
func exampleRules(t *testing.T) *custom.Set {
	t.Helper()
	var files []custom.File
	for _, name := range []string{"windows.yaml", "linux.yaml"} {
		data, err := os.ReadFile("../docs/rules/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, custom.File{Name: name, Data: data})
	}
	set, err := custom.Load(files...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// describe is a document of the service about a case.
func describe(computer string, encrypted bool) scanner.Document {
	return scanner.Document{Name: "workspace.json", Data: fmt.Appendf(nil, `{"Workspaces": [{"WorkspaceId": "ws-1",
		"ComputerName": %q, "State": "AVAILABLE", "UserVolumeEncryptionEnabled": %t}]}`, computer, encrypted)}
}

// Each of the examples passes on one machine, fails on another, and is undetermined on one where what it needs cannot
// be read.
func TestExampleRules(t *testing.T) {
	t.Parallel()
	set := exampleRules(t)
	const windows, linux = "WSAMZN-7F3K2Q1P", "a-1k2m3n4p5q6r7"
	only := func(in scanner.Input) scanner.Input { in.Rules, in.Only = set, set.IDs(); return in }
	with := func(in scanner.Input, d scanner.Document) scanner.Input { in.With = append(in.With, d); return in }
	rootOnly := func(in scanner.Input) scanner.Input { in.Images = in.Images[:1]; return in }
	of := func(name string) scanner.Input { return only(input(testcases.Find(t, name))) }
	for name, c := range map[string]struct {
		in   scanner.Input
		want map[string]requirement.Status
	}{
		"met": {with(of("rules-met"), describe(windows, true)), map[string]requirement.Status{
			"x.no-forbidden-service": "passed", "x.ssm-agent-version": "passed", "x.local-administrators": "passed",
			"x.certificate-near-end": "passed", "x.unwanted-program": "passed", "x.disk-headroom": "passed",
			"x.user-volume-encrypted": "passed", "x.script-block-logging": "passed",
		}},
		"broken": {with(of("rules-broken"), describe(windows, false)), map[string]requirement.Status{
			"x.no-forbidden-service": "failed", "x.ssm-agent-version": "failed", "x.local-administrators": "failed",
			"x.certificate-near-end": "warning", "x.unwanted-program": "failed", "x.disk-headroom": "warning",
			"x.user-volume-encrypted": "failed", "x.script-block-logging": "failed",
		}},
		"without the user volume, the group and the service's word": {rootOnly(of("ready")),
			map[string]requirement.Status{
				"x.no-forbidden-service": "passed", "x.local-administrators": "undetermined",
				"x.unwanted-program": "undetermined", "x.disk-headroom": "undetermined",
				"x.user-volume-encrypted": "undetermined", "x.script-block-logging": "failed",
			}},
		"BitLocker": {of("bitlocker-user"), map[string]requirement.Status{"x.user-volume-encrypted": "passed"}},
		"damaged certificate": {of("certificates-damaged"), map[string]requirement.Status{
			"x.certificate-near-end": "undetermined", "x.unwanted-program": "passed"}},
		"Linux met": {with(of("rules-linux-met"), describe(linux, true)), map[string]requirement.Status{
			"x.ssh-root-login": "passed", "x.time-source": "passed", "x.disk-headroom": "passed",
			"x.user-volume-encrypted": "passed"}},
		"Linux broken": {of("linux-ready"), map[string]requirement.Status{"x.ssh-root-login": "failed",
			"x.time-source": "failed", "x.user-volume-encrypted": "undetermined"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := scanner.Scan(t.Context(), c.in)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]requirement.Finding{}
			for _, f := range r.Findings {
				found[f.ID] = f
			}
			for id, want := range c.want {
				f := found[id]
				if f.Status != want {
					t.Errorf("%s is %q: %s; want %s", id, f.Status, f.Message, want)
				}
				if f.Status != requirement.Undetermined && len(f.Evidence) == 0 {
					t.Errorf("%s has no evidence", id)
				}
			}
			if len(r.Rules) != 2 || len(r.Rules[0].SHA256) != 64 {
				t.Errorf("the files of the rules are %+v", r.Rules)
			}
			if f := found["x.no-forbidden-service"]; name == "broken" &&
				(f.Message != "Remote-control services are installed: TeamViewer." ||
					!strings.HasSuffix(f.Evidence[len(f.Evidence)-1].Key, `Services\TeamViewer`)) {
				t.Errorf("%s %+v", f.Message, f.Evidence)
			}
			if f := found["x.user-volume-encrypted"]; strings.HasSuffix(name, "met") && f.Basis != requirement.Stated {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A rule of the user's counts in the verdict, and its id is known to the policy and to waivers.
func TestOwnRulesCount(t *testing.T) {
	t.Parallel()
	set, err := custom.Load(custom.File{Name: "rules.yaml", Data: []byte(`
- {id: x.required, title: T, severity: required, remediation: Do it., expr: system.build > 99999}
- {id: x.recommended, title: T, severity: recommended, remediation: Do it., expr: system.build > 99999}
- {id: x.unknown, title: T, severity: required, remediation: Do it., expr: size(administrators) > 0}
- {id: x.linux, title: T, severity: required, remediation: Do it., expr: size(units) > 0}
- {id: x.info, title: Services, severity: info, expr: size(services)}
`)})
	if err != nil {
		t.Fatal(err)
	}
	scan := func(change func(*scanner.Input)) *scanner.Result {
		in := input(testcases.Find(t, "ready"))
		in.Rules = set
		change(&in)
		r, err := scanner.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := scan(func(*scanner.Input) {})
	var own []string
	for _, f := range r.Findings[len(r.Findings)-4:] {
		own = append(own, f.ID+" "+string(f.Status))
	}
	want := "x.required failed, x.recommended warning, x.unknown undetermined, x.info passed"
	if got := strings.Join(own, ", "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r.Verdict != scanner.NotReady {
		t.Errorf("the verdict is %s", r.Verdict)
	}
	r = scan(func(in *scanner.Input) {
		in.Skip, in.Policy.Accept = []string{"x.required", "x.linux"}, []string{"x.unknown"}
	})
	if r.PolicyVerdict != scanner.Inconclusive || r.Verdict != scanner.Inconclusive {
		t.Errorf("%s, %s", r.Verdict, r.PolicyVerdict)
	}
	r = scan(func(in *scanner.Input) {
		in.Only, in.Policy.Accept = []string{"x.required", "x.unknown"}, []string{"x.unknown"}
		in.Policy.Waivers = []requirement.Waiver{{ID: "x.required", Reason: "r", Owner: "o", Expiry: fixtures.Now,
			Source: "w:1"}}
	})
	if r.Findings[0].Waiver == nil || !r.Findings[1].Accepted {
		t.Errorf("%+v", r.Findings)
	}
	in := input(testcases.Find(t, "ready"))
	if in.Only = []string{"x.required"}; true {
		if _, err := scanner.Scan(t.Context(), in); err == nil {
			t.Error("a rule is known that was not given")
		}
	}
}

// The facts of all kinds of machines fit the schema, and are read back as they are.
func TestFactsFitSchema(t *testing.T) {
	t.Parallel()
	text, err := facts.Schema()
	if err != nil {
		t.Fatal(err)
	}
	form, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("facts.json", form); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("facts.json")
	if err != nil {
		t.Fatal(err)
	}
	set := exampleRules(t)
	for i, c := range testcases.All(t) {
		if c.ExitCode == exitNoSystem {
			continue
		}
		if named := strings.HasPrefix(c.Name, "rules-"); i%97 != 0 && !named && !testenv.Full() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			in := input(c)
			in.RuleBooks, in.Rules = nil, set
			d, err := scanner.Facts(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%v\n%.3000s", err, data)
			}
			again, err := facts.ParseDocument(data)
			if err != nil {
				t.Fatal(err)
			}
			if read, err := json.Marshal(again); err != nil || !bytes.Equal(read, data) {
				t.Errorf("read back: %v\n%s\n%s", err, read, data)
			}
			if !strings.HasPrefix(c.Name, "control-set-") { // a scan judges also what the next start uses
				sameOutcomes(t, set, in, again)
			}
		})
	}
}

// sameOutcomes makes sure that rules find the same on the images as on the facts of them.
func sameOutcomes(t *testing.T, set *custom.Set, in scanner.Input, d *facts.Document) {
	t.Helper()
	in.Only = set.IDs()
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	checks := set.Checks(d.Platform, d, d.Now)
	if len(checks) != len(r.Findings) {
		t.Errorf("%d findings, %d checks", len(r.Findings), len(checks))
	}
	for i, f := range r.Findings {
		o := requirement.Find(checks[i].Requirement, checks[i].Decide(t.Context()))
		if o.ID != f.ID || o.Status != f.Status || o.Message != f.Message {
			t.Errorf("%s is %s (%s) on the images, %s is %s (%s) on the facts", f.ID, f.Status, f.Message, o.ID, o.Status,
				o.Message)
		}
	}
}
