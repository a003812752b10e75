package custom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

var now = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

// windowsFacts are facts of a machine on which much is unknown: programs, the start of the service C, whether D is
// encrypted.
const windowsFacts = `
system: {name: Windows Server 2019, version: 10.0.17763.4737, build: 17763, ubr: 4737, edition: ServerDatacenter,
  client: false, computer_name: null}
services:
- {name: A, display_name: A, start: automatic, account: LocalSystem}
- {name: B, display_name: B, start: null}
- {name: C, display_name: C}
- {name: D, display_name: D, start: disabled}
volumes:
- {letter: C, role: root, filesystem: NTFS, size: 100, free: 40, encrypted: false}
- {letter: D, role: user, filesystem: NTFS, size: 100, free: 2}
certificates:
- {store: MY, thumbprint: AA, not_after: 2026-05-01T00:00:00Z}
administrators: []
agents: {ssm: {installed: true, version: 3.2.1}}
env: {PATH: 'C:\Windows'}
`

func document(t testing.TB, platform requirement.Platform, text, calls string) *facts.Document {
	t.Helper()
	var parts, list any
	for of, into := range map[string]*any{text: &parts, calls: &list} {
		if err := yaml.Unmarshal([]byte(of), into); err != nil {
			t.Fatal(err)
		}
	}
	d, err := facts.NewDocument(platform, parts, list)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func load(t testing.TB, text string) *custom.Set {
	t.Helper()
	set, err := custom.Load(custom.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func rule(expression string) string {
	return fmt.Sprintf("- id: x.rule\n  title: A rule\n  severity: required\n  remediation: Do it.\n"+
		"  expression: |\n    %s\n", strings.ReplaceAll(expression, "\n", "\n    "))
}

func judge(t testing.TB, set *custom.Set, source facts.Source) requirement.Outcome {
	t.Helper()
	checks := set.Checks(requirement.Windows, source, now)
	if len(checks) != 1 {
		t.Fatalf("%d checks", len(checks))
	}
	return checks[0].Decide(t.Context())
}

// The results of an expression are those of a reader of the machine who does not guess.
func TestExpressions(t *testing.T) {
	t.Parallel()
	d := document(t, requirement.Windows, windowsFacts, `[{function: registry, arguments: ["HKLM\\X", "V"], result: 5},
		{function: registry, arguments: ["HKLM\\X", "None"], result: null},
		{function: file, arguments: ["C:\\x"], result: {exists: true, folder: false, size: 3}}]`)
	const passed, failed, undetermined = requirement.Passed, requirement.Failed, requirement.Undetermined
	for expression, want := range map[string]requirement.Status{
		`system.build >= 17763`:                                                        passed,
		`system.build > 17763`:                                                         failed,
		`system.computer_name == null`:                                                 passed,
		`system.computer_name == "X"`:                                                  failed,
		`system.computer_name.startsWith("X")`:                                         undetermined,
		`has(system.computer_name)`:                                                    failed,
		`has(system.domain)`:                                                           undetermined,
		`!has(system.domain)`:                                                          undetermined,
		`has(system.domain) || true`:                                                   passed,
		`system.domain == "X" || system.build > 0`:                                     passed,
		`system.build > 0 || system.domain == "X"`:                                     passed,
		`system.domain == "X" && system.build < 0`:                                     failed,
		`system.domain == "X" || system.build < 0`:                                     undetermined,
		`system.domain == "X" ? true : true`:                                           undetermined,
		`!(system.domain == "X")`:                                                      undetermined,
		`system.domain in ["A", "B"]`:                                                  undetermined,
		`"X" in [system.domain]`:                                                       undetermined,
		`[system.domain].size() == 1`:                                                  undetermined,
		`size(programs) == 0`:                                                          undetermined,
		`programs.all(p, true)`:                                                        undetermined,
		`programs.exists(p, true)`:                                                     undetermined,
		`programs.filter(p, p.name == "X").size() == 0`:                                undetermined,
		`programs == []`:                                                               undetermined,
		`services.exists(s, s.name == "A" && s.start == "automatic")`:                  passed,
		`services.exists(s, s.start == "disabled")`:                                    passed, // D, whatever C is
		`services.exists(s, s.start == "boot")`:                                        undetermined,
		`services.all(s, s.start != "boot")`:                                           undetermined,
		`services.all(s, s.start == "automatic")`:                                      failed,
		`services.filter(s, s.start == "boot").size() == 0`:                            undetermined,
		`services.map(s, s.start).size() == 4`:                                         undetermined,
		`services.map(s, s.name).size() == 4`:                                          passed,
		`services.exists_one(s, s.start == "disabled")`:                                undetermined,
		`services.all(s, has(s.start))`:                                                failed,
		`services.filter(s, s.name == "C").all(s, has(s.start))`:                       undetermined,
		`services[9].name == "A"`:                                                      undetermined,
		`services[0] == services[1]`:                                                   undetermined,
		`volumes.all(v, v.free * 10 >= v.size)`:                                        failed,
		`volumes.exists(v, v.role == "user" && v.encrypted)`:                           undetermined,
		`volumes.exists(v, v.role == "root" && v.encrypted)`:                           failed,
		`volumes[0].size < GiB && volumes[0].size < MiB && volumes[0].size < KiB`:      passed,
		`certificates.all(c, c.not_after - now >= duration("720h"))`:                   passed,
		`certificates.all(c, c.not_after > now + duration("721h"))`:                    failed,
		`certificates.all(c, c.subject.contains("X"))`:                                 undetermined,
		`size(administrators) == 0`:                                                    passed,
		`version(agents.ssm.version) >= version("3.2")`:                                passed,
		`version(agents.ssm.version) < version("3.2.1")`:                               failed,
		`version(agents.ssm.version) == version("3.2.1.0")`:                            passed,
		`version(agents.ena.version) > version("1")`:                                   undetermined,
		`agents.ssm.installed`:                                                         passed,
		`agents.dcv.installed`:                                                         undetermined,
		`version(system.name) > version("1")`:                                          undetermined,
		`env.PATH == "C:\\Windows"`:                                                    passed,
		`env["PATH"].lower() == "c:\\windows"`:                                         passed,
		`env.TEMP == ""`:                                                               undetermined,
		`has(env.TEMP)`:                                                                failed,
		`"TEMP" in env`:                                                                failed,
		`env.TEMP == "" || system.build < 0`:                                           undetermined,
		`registry("HKLM\\X", "V") == 5`:                                                passed,
		`registry("HKLM\\X", "V") >= 6`:                                                failed,
		`registry("HKLM\\X", "V") == "5"`:                                              failed,
		`registry("HKLM\\X", "None") == null`:                                          passed,
		`registry("HKLM\\X", "None") > 1`:                                              undetermined,
		`registry("HKLM\\X", "Other") == null`:                                         undetermined,
		`registry("HKLM\\X", "Other") == null || registry("HKLM\\X", "V") == 5`:        passed,
		`[registry("HKLM\\X", "Other")].exists(v, v == 1)`:                             undetermined,
		`file("C:\\x").exists && file("C:\\x").size == 3`:                              passed,
		`file("C:\\x").mtime < now`:                                                    undetermined,
		`file("C:\\y").exists`:                                                         undetermined,
		`system.build / 0 == 1`:                                                        undetermined,
		`system.name.matches("(?i)SERVER")`:                                            passed,
		`registry("HKLM\\X", "V")`:                                                     undetermined,
		`dyn(system) == dyn(1)`:                                                        failed,
		`now > timestamp("2026-01-01T00:00:00Z") && !agents.ssm.installed`:             failed,
		`{"a": system.domain}.a == "X"`:                                                undetermined,
		`services.map(s, s.name).exists(n, services.exists(o, o.name == n + "A"))`:     failed,
		`system.build > 0 && (system.domain == "X" || services[9].name == "A")`:        undetermined,
		`type(system.build) == int`:                                                    passed,
		`string(system.build) + system.edition == "17763ServerDatacenter"`:             passed,
		`timestamp("2026-01-01T00:00:00Z") < now && system.ubr in [4737, 4738]`:        passed,
		`services.exists(s, s.name == "B" && s.start == null) && has(agents.ssm)`:      passed,
		`services.all(s, s.name != "C" || s.start in ["automatic", "manual", "boot"])`: undetermined,
	} {
		o := judge(t, load(t, rule(expression)), d)
		if o.Status != want {
			t.Errorf("%s: %s (%s), want %s", expression, o.Status, o.Message, want)
		}
		f := requirement.Find(load(t, rule(expression)).Rules[0].Requirement, o)
		if f.Status != o.Status || strings.Contains(f.Message, "coldcheck") {
			t.Errorf("%s: the finding is %s: %s", expression, f.Status, f.Message)
		}
	}
}

// A mistake is found before a scan, with its place.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want, word string }{
		"unknown fact":     {rule("servics.all(s, true)"), `rules.yaml:6:5: unknown fact "servics"`, "servics"},
		"unknown field":    {rule("true &&\nsystem.buidl > 1"), `rules.yaml:7:11: unknown field "buidl"`, "buidl"},
		"unknown function": {rule(`regstry("a", "b") == 1`), `rules.yaml:6:12: unknown function "regstry"`, "regstry"},
		"syntax":           {rule("system.build >"), `rules.yaml:6:19: Syntax error: `, ""},
		"a type":           {rule("system.build == 'a'"), `rules.yaml:6:18: found no matching overload`, ""},
		"not a truth":      {rule("system.build"), `the expression is of type int; true or false is required`, ""},
		"no fact":          {rule("1 < 2"), `the expression uses no fact`, ""},
		"a version":        {rule(`version("1.x") < version(system.version)`), `"1.x" is not a version such as 1.2.3`, ""},
		"a pattern":        {rule(`system.name.matches("(")`), `rules.yaml:6:25: invalid matches argument`, ""},
		"too costly": {rule("services.all(a, services.all(b, services.all(c, a.name != b.name || b.name != c.name)))"),
			"rules.yaml:5:15: the expression costs too much", ""},
		"plain": {"- {id: x.a, title: T, severity: info, expr: sytem.build}",
			`rules.yaml:1:45: unknown fact "sytem"`, "sytem"},
		"a fact twice": {rule("true || system.build > 0") + rule("system.build > 0"),
			`rules.yaml:7:3: the id x.rule is there twice: see rules.yaml:1`, ""},
		"no id": {"- {title: T}", "rules.yaml:1:3: the rule has no id", ""},
		"an id": {"- {id: win.a, title: T, severity: info, expr: system.build}",
			`"win.a" is not the id of a rule`, ""},
		"a severity":    {"- {id: x.a, title: T, severity: high, expr: system.build}", `unknown severity "high"`, "high"},
		"a key":         {"- {id: x.a, titel: T}", `rules.yaml:1:13: unknown key "titel"`, "titel"},
		"no remedy":     {"- {id: x.a, title: T, severity: required, expr: system.build > 1}", "has no remediation", ""},
		"no expression": {"- {id: x.a, title: T, severity: info}", "has no expression", ""},
		"both":          {"- {id: x.a, title: T, severity: info, expr: a, expression: b}", "both expression and expr", ""},
		"other system": {"- {id: x.a, title: T, severity: info, platform: linux, expr: services}",
			`unknown fact "services"`, "services"},
		"two systems": {rule("services.size() > units.size()"), "unknown fact", "units"},
		"message": {"- {id: x.a, title: T, severity: info, expr: system.build, message: 'string(system.bild)'}",
			`rules.yaml:1:82: unknown field "bild"`, "bild"},
		"message type": {"- {id: x.a, title: T, severity: info, expr: system.build, message: system.build}",
			"the message is of type int; a string is required", ""},
		"anchor":   {"- &a {id: x.a}\n- *a", "anchors and aliases are not supported", ""},
		"no list":  {"id: x.a", "a list of rules is required", ""},
		"empty":    {"# nothing\n", "the file is empty", ""},
		"no rules": {"[]", "there is no rule", ""},
		"not YAML": {"- id: [", "rules.yaml:1: did not find", ""},
		"second":   {"[]\n---\n[]", "a second document", ""},
		"large":    {strings.Repeat("#", custom.MaxFile+1), "larger than the limit of 1 MiB", ""},
		"long":     {rule(strings.Repeat("true || ", 2048) + "system.build > 1"), "longer than 16384 bytes", ""},
		"deep": {rule(strings.Repeat("(", 100) + "system.build > 1" + strings.Repeat(")", 100)),
			"recursion limit", ""},
		"an object":    {rule("coldcheck.System{name: 'a'} == system"), "", ""},
		"other object": {rule("coldcheck.Foo{} == system"), "undeclared reference", ""},
	} {
		_, err := custom.Load(custom.File{Name: "rules.yaml", Data: []byte(c.text)})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e := new(custom.Error)
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Word != c.word {
			t.Errorf("%s: %v (word %q)", name, err, e.Word)
		}
	}
}

// A set has at most 1,000 rules.
func TestMostRules(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range custom.MaxRules {
		fmt.Fprintf(&b, "- {id: x.r%d, title: T, severity: info, platform: windows, expr: system.build}\n", i)
	}
	if set := load(t, b.String()); len(set.Rules) != custom.MaxRules {
		t.Errorf("%d rules", len(set.Rules))
	}
	_, err := custom.Load(custom.File{Name: "a", Data: []byte(b.String())},
		custom.File{Name: "b", Data: []byte("- {id: x.z, title: T, severity: info, expr: system.build}")})
	if err == nil || !strings.Contains(err.Error(), "b:1:3: more than 1000 rules") {
		t.Error(err)
	}
}

// The expression stops when it costs too much, or when the scan ends.
func TestCostWhileRunning(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 6000 {
		fmt.Fprintf(&b, "- {name: service%d, display_name: A}\n", i)
	}
	d := document(t, requirement.Windows, b.String(), "")
	set := load(t, rule(`services.all(a, services.all(b, a.name != b.name + "x"))`))
	if o := judge(t, set, d); o.Status != requirement.Undetermined || !strings.Contains(o.Message, "cost limit exceeded") {
		t.Errorf("%+v", o)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("it ends"))
	o := set.Checks(requirement.Windows, d, now)[0].Decide(ctx)
	if o.Status != requirement.Undetermined || o.Message != "it ends" {
		t.Errorf("%+v", o)
	}
}

// The finding has the message, the evidence, the content and the limit in time.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	d := document(t, requirement.Windows, windowsFacts, "")
	one := func(text string) requirement.Outcome { return judge(t, load(t, text), d) }
	rest := ", remediation: Do it., expr: 'volumes.all(v, v.free > 10)'"
	o := one("- {id: x.a, title: T, severity: required" + rest +
		`, message: '"Low: " + volumes.filter(v, v.free <= 10)[0].letter'}`)
	if o.Status != requirement.Failed || o.Message != "Low: D" || o.Basis != requirement.Observed ||
		len(o.Evidence) != 1 || !o.Until.IsZero() {
		t.Errorf("%+v", o)
	}
	o = one("- {id: x.a, title: T, severity: required" + rest + ", message: A drive is full.}")
	if o.Message != "A drive is full." {
		t.Errorf("%+v", o)
	}
	o = one("- {id: x.a, title: T, severity: required" + rest + ", message: 'system.domain + \"!\"'}")
	if o.Message != "The rule is not met." {
		t.Errorf("an unknown message: %+v", o)
	}
	if o := one("- {id: x.a, title: T, severity: recommended" + rest + "}"); o.Status != requirement.Warning {
		t.Errorf("%+v", o)
	}
	o = one("- {id: x.a, title: T, severity: info, expr: 'services.map(s, s.name)'}")
	if o.Status != requirement.Passed || o.Message != "T: A, B, C, D" || len(o.Details.([]any)) != 4 {
		t.Errorf("%+v", o)
	}
	o = one("- {id: x.a, title: T, severity: info, expr: 'services'}")
	if o.Status != requirement.Passed {
		t.Errorf("%+v", o)
	}
	o = one("- {id: x.a, title: T, severity: info, " +
		"expr: 'now < timestamp(\"2030-01-01T00:00:00Z\") && system.build > 1'}")
	if o.Status != requirement.Passed || o.Message != "T: true" || !o.Until.Equal(now) {
		t.Errorf("%+v", o)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(rule("services.all(s, s.name != 'A')")))
	f.Add([]byte("- {id: x.a, title: T, severity: info, expr: '[system.build, file(\"C:\\\\a\").size]'}"))
	d := document(f, requirement.Windows, windowsFacts, "")
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := custom.Load(custom.File{Name: "f", Data: data})
		if err != nil {
			if e := new(custom.Error); !errors.As(err, &e) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		for _, c := range set.Checks(requirement.Windows, d, now) {
			requirement.Find(c.Requirement, c.Decide(t.Context()))
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b, rule("services.all(s, s.name != 'A')"))
	}
}
