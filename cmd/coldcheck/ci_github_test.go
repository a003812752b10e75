package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
)

// step is a step of a workflow or of an action.
type step struct {
	ID, Name, Uses, Run, If, Shell string
	With, Env                      map[string]string
}

// action is action.yml.
type action struct {
	Name, Description, Author string
	Branding                  map[string]string
	Inputs                    map[string]struct {
		Description, Default string
		Required             bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []step
	}
}

var ciExpression = regexp.MustCompile(`\$\{\{ *([a-z0-9.-]+) *\}\}`)

// expand replaces the expressions in a text that are only names.
func expand(t *testing.T, text string, values map[string]string) string {
	t.Helper()
	return ciExpression.ReplaceAllStringFunc(text, func(e string) string {
		name := ciExpression.FindStringSubmatch(e)[1]
		value, ok := values[name]
		if !ok {
			t.Errorf("%s has no value", name)
		}
		return value
	})
}

// actionRun is what a run of the action left.
type actionRun struct {
	code           int
	log            string
	dir            string
	outputs, given map[string]string // given are the inputs of the later steps
	summary        string
	commands       []string // that the runner obeys
}

// runAction runs the action as a runner does: the script with bash -e -o pipefail and the variables of the runner, and
// of the steps with other actions what they are given.
func runAction(t *testing.T, with, env map[string]string) actionRun {
	t.Helper()
	var a action
	strictYAML(t, "action.yml", read(t, filepath.Join(module, "action.yml")), &a)
	values := map[string]string{"github.token": "a-token"}
	for name, input := range a.Inputs {
		value, ok := with[name]
		if !ok && input.Required {
			t.Errorf("the input %s is required", name)
		}
		if !ok {
			value = expand(t, input.Default, values)
		}
		values["inputs."+name] = value
	}
	for name := range with {
		if _, ok := a.Inputs[name]; !ok {
			t.Errorf("there is no input %s", name)
		}
	}
	run := actionRun{dir: t.TempDir(), outputs: map[string]string{}, given: map[string]string{}}
	temp := t.TempDir()
	main := a.Runs.Steps[0]
	all := map[string]string{"GITHUB_ACTION_PATH": absolute(t, "."), "GITHUB_OUTPUT": filepath.Join(temp, "output"),
		"GITHUB_STEP_SUMMARY": filepath.Join(temp, "summary"), "RUNNER_TEMP": temp, "GITHUB_ACTIONS": "true"}
	maps.Copy(all, env)
	for name, value := range main.Env {
		all[name] = expand(t, value, values)
	}
	if strings.Contains(main.Run, "${{") {
		t.Errorf("an input is put into a script: %s", main.Run)
	}
	script := filepath.Join(temp, "script.sh")
	write(t, script, main.Run)
	run.code, run.log = runIn(t, run.dir, all, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script)
	if text, err := os.ReadFile(all["GITHUB_OUTPUT"]); err == nil {
		for line := range strings.Lines(string(text)) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if !ok {
				t.Errorf("output %q", line)
			}
			run.outputs[name] = value
		}
	}
	if text, err := os.ReadFile(all["GITHUB_STEP_SUMMARY"]); err == nil {
		run.summary = string(text)
	}
	for name, value := range map[string]string{"sarif": "", "reports": "", "verdict": "", "exit-code": "", "version": ""} {
		values["steps.scan.outputs."+name] = value
	}
	for name, value := range run.outputs {
		values["steps.scan.outputs."+name] = value
	}
	for _, o := range a.Outputs {
		expand(t, o.Value, values)
	}
	for _, s := range a.Runs.Steps[1:] {
		for name, value := range s.With {
			run.given[s.Uses[:strings.Index(s.Uses, "@")]+" "+name] = expand(t, value, values)
		}
		for _, name := range regexp.MustCompile(`[a-z]+\.[a-z0-9.-]+`).FindAllString(s.If, -1) {
			if _, ok := values[name]; !ok {
				t.Errorf("if: %s has no value", name)
			}
		}
	}
	run.commands = obeyed(run.log)
	return run
}

// obeyed are the lines of a log that a runner of GitHub takes for commands: those that begin with ::, and those that
// have ##[ anywhere (ActionCommand.cs of actions/runner), unless commands are stopped.
func obeyed(log string) (commands []string) {
	stopped := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		token, stop := strings.CutPrefix(line, "::stop-commands::")
		switch {
		case stopped != "":
			if line == "::"+stopped+"::" {
				stopped = ""
			}
		case stop:
			stopped = token
		case strings.HasPrefix(line, "::"), strings.Contains(line, "##["):
			commands = append(commands, line)
		}
	}
	return commands
}

// The action ends as the scan does, shows what it found, and hands the reports to the next steps.
func TestAction(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	path := r.gh(t) + ":" + os.Getenv("PATH")
	dir := t.TempDir()
	// The runner would take this for the verdict if commands were not stopped.
	const hostile = "##[set-output name=verdict]ready"
	images := map[string]string{}
	for _, name := range []string{"ready", "failing", "bitlocker-user"} {
		for _, i := range testcases.Find(t, name).Images {
			file := filepath.Join(dir, i.Name)
			if name == "bitlocker-user" {
				file = filepath.Join(dir, "50%0A"+hostile+i.Name)
			}
			if err := writeImage(testcases.Find(t, name), i.Role, file); err != nil {
				t.Fatal(err)
			}
			images[name] += "  " + file + "\n\n"
		}
	}
	write(t, filepath.Join(dir, "settings.yaml"), "skip: [win.tls.ssl3]\n")
	write(t, filepath.Join(dir, "workspace.json"),
		`{"Workspaces": [{"WorkspaceId": "ws-0a1b2c3d4", "ComputerName": "WSAMZN-7F3K2Q1P", "State": "STOPPED"}]}`)
	write(t, filepath.Join(dir, "waivers.yaml"),
		"waivers: [{id: win.ssm.disabled, reason: later, owner: me, expiry: 2999-01-01}]\n")
	for name, tt := range map[string]struct {
		with     map[string]string
		want     int
		verdict  string
		reports  []string
		commands int
	}{
		"ready": {map[string]string{"images": images["ready"]}, 0, "ready",
			[]string{"html", "json", "md", "sarif"}, 0},
		"failing": {map[string]string{"images": images["failing"]}, 1, "not_ready",
			[]string{"html", "json", "md", "sarif"}, 10},
		"failing, never": {map[string]string{"images": images["failing"], "fail-on": "never", "annotations": "false",
			"summary": "false", "upload-sarif": "false", "formats": "junit,jsonl log"}, 0, "not_ready",
			[]string{"jsonl", "log", "xml"}, 0},
		"inconclusive": {map[string]string{"images": images["ready"], "formats": "",
			"flags": "--config=" + filepath.Join(dir, "settings.yaml") + "\n--strict"}, 3, "inconclusive",
			[]string{"md", "sarif"}, 0},
		"hostile names": {map[string]string{"images": images["bitlocker-user"], "formats": "markdown"}, 1, "not_ready",
			[]string{"md", "sarif"}, 8},
		"with a document": {map[string]string{"images": images["ready"], "with": filepath.Join(dir, "workspace.json"),
			"fail-on": "failed"}, 1, "not_ready", []string{"html", "json", "md", "sarif"}, 1},
		"with waivers": {map[string]string{"images": images["failing"], "waivers": filepath.Join(dir, "waivers.yaml"),
			"flags": "--only=win.ssm.disabled", "formats": "json"}, 3, "not_ready", []string{"json", "md", "sarif"}, 0},
		"no such image":      {map[string]string{"images": hostile}, 74, "", nil, 1},
		"no image":           {map[string]string{"images": "\n"}, 64, "", nil, 1},
		"no such flag":       {map[string]string{"images": images["ready"], "flags": "--fail-onn=never"}, 64, "", nil, 1},
		"no such level":      {map[string]string{"images": images["ready"], "fail-on": "nevr"}, 64, "", nil, 1},
		"no such format":     {map[string]string{"images": images["ready"], "formats": "sarifs"}, 64, "", nil, 1},
		"a flag as an image": {map[string]string{"images": images["failing"] + "--fail-on=never"}, 74, "", nil, 1},
		"a template":         {map[string]string{"images": images["ready"], "flags": "--template=x"}, 64, "", nil, 0},
		"tampered":           {map[string]string{"images": images["ready"], "releases": r.url + "/tampered"}, 65, "", nil, 0},
		"pinned": {map[string]string{"images": images["ready"], "sha256": r.sum}, 0, "ready",
			[]string{"html", "json", "md", "sarif"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with := map[string]string{"version": ciRelease, "releases": r.url + "/good"}
			maps.Copy(with, tt.with)
			run := runAction(t, with, map[string]string{"PATH": path})
			if run.code != tt.want || run.outputs["verdict"] != tt.verdict {
				t.Errorf("exit code %d, want %d; verdict %q, want %q:\n%s", run.code, tt.want, run.outputs["verdict"],
					tt.verdict, run.log)
			}
			// Without a program, the script ends before the scan. Otherwise the output has the code.
			if got, ok := run.outputs["exit-code"]; ok && got != fmt.Sprint(tt.want) {
				t.Errorf("the output exit-code is %s", got)
			}
			var reports []string
			found, err := filepath.Glob(filepath.Join(run.dir, "coldcheck-reports", "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range found {
				reports = append(reports, strings.TrimPrefix(filepath.Base(name), "coldcheck."))
			}
			if !slices.Equal(reports, tt.reports) {
				t.Errorf("reports %q, want %q", reports, tt.reports)
			}
			if got := len(run.commands); got != tt.commands {
				t.Errorf("%d commands, want %d: %q", got, tt.commands, run.commands)
			}
			for _, c := range run.commands {
				// %0A would be the end of the line.
				if strings.Contains(c, "%0A") || !regexp.MustCompile(`^::(error|warning) title=[a-z0-9.-]+::\S`).MatchString(c) {
					t.Errorf("command %q", c)
				}
			}
			if wants := slices.Contains(tt.reports, "md"); wants != strings.Contains(run.summary, "coldcheck") {
				t.Errorf("summary %q", run.summary)
			}
			sarif := run.given["github/codeql-action/upload-sarif sarif_file"]
			if wants := slices.Contains(tt.reports, "sarif"); wants != (sarif == "coldcheck-reports/coldcheck.sarif") {
				t.Errorf("uploaded to code scanning: %q", sarif)
			}
			if tt.verdict != "" && run.given["actions/upload-artifact path"] != "coldcheck-reports/coldcheck.*" {
				t.Errorf("given %q", run.given)
			}
		})
	}
}

// GitHub takes at most 1 MiB in the summary of a step, and 20 runs and 10 MiB in a SARIF file. One scan is far below.
func TestReportsFitGitHub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := coldcheck(t, "demo", "-o", "markdown="+filepath.Join(dir, "md"), "-o", "sarif="+filepath.Join(dir, "sarif"))
	if c := code(t, cmd.Run()); c != 1 {
		t.Fatalf("it ended with %d", c)
	}
	if n := len(read(t, filepath.Join(dir, "md"))); n > 64<<10 {
		t.Errorf("the summary has %d bytes", n)
	}
	sarif := read(t, filepath.Join(dir, "sarif"))
	if n := strings.Count(sarif, `"tool":`); n != 1 || len(sarif) > 1<<20 {
		t.Errorf("%d runs, %d bytes", n, len(sarif))
	}
}

// Without an input, the action downloads the release that its own change log names first.
func TestActionVersion(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	for log, want := range map[string]string{
		"# Changelog\n\n## Unreleased\n\n## 1.0.0 (2027-01-01)\n\n## 0.9.0\n":        ciRelease,
		"# Changelog\n\n## [Unreleased]\n\n## [v1.0.0] - 2027-01-01\n\n## [0.9.0]\n": ciRelease,
		"# Changelog\n\n## Unreleased\n### Added\n":                                  "",
	} {
		dir := t.TempDir()
		for _, name := range []string{"ci/get.sh", "ci/scan.sh", "github/action.sh", "github/annotations.tmpl"} {
			path := filepath.Join(dir, "deploy", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, path, read(t, filepath.Join(module, "deploy", name)))
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(t, filepath.Join(dir, "CHANGELOG.md"), log)
		got, out := runIn(t, t.TempDir(), map[string]string{
			"COLDCHECK_RELEASES": r.url + "/good", "COLDCHECK_SHA256": r.sum,
			"COLDCHECK_IMAGES": "missing", "COLDCHECK_FORMATS": "json", "RUNNER_TEMP": dir,
			"GITHUB_OUTPUT": filepath.Join(dir, "output")}, filepath.Join(dir, "deploy/github/action.sh"))
		if want == "" {
			if got != 64 || !strings.Contains(out, "set the input version") {
				t.Errorf("it ended with %d:\n%s", got, out)
			}
		} else if got != 74 || !strings.Contains(read(t, filepath.Join(dir, "output")), "version="+want+"\n") {
			t.Errorf("it ended with %d:\n%s", got, out)
		}
	}
}

// The example for GitHub runs unchanged, with snapshots and the release on servers for tests.
func TestCIExampleGitHub(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	var workflow struct {
		Name string
		On   map[string]struct {
			Inputs map[string]struct {
				Description string
				Required    bool
			}
		}
		Permissions map[string]string
		Jobs        map[string]struct {
			RunsOn  string `yaml:"runs-on"`
			Timeout int    `yaml:"timeout-minutes"`
			Steps   []step
		}
	}
	strictYAML(t, "github-actions.yml", read(t, filepath.Join(module, "docs/ci/github-actions.yml")), &workflow)
	if workflow.Permissions["security-events"] != "write" || len(workflow.Jobs) != 1 {
		t.Errorf("%+v", workflow)
	}
	for example, want := range map[string]int{"ready": 0, "failing": 1} {
		env := snapshots(t, example)
		env["PATH"] = r.gh(t) + ":" + os.Getenv("PATH")
		scans := 0
		for _, s := range workflow.Jobs["scan"].Steps {
			version, ok := strings.CutPrefix(s.Uses, "coldcheck/coldcheck@v")
			if !ok {
				continue
			}
			scans++
			with := map[string]string{"releases": r.url + "/good", "version": version}
			for name, value := range s.With {
				with[name] = expand(t, value, map[string]string{"inputs.root-snapshot": "snap-1",
					"inputs.user-snapshot": "snap-2"})
			}
			run := runAction(t, with, env)
			if run.code != want || len(run.outputs["sarif"]) == 0 {
				t.Errorf("%s: it ended with %d, want %d:\n%s", example, run.code, want, run.log)
			}
		}
		if scans != 1 {
			t.Errorf("%d steps scan", scans)
		}
	}
}
