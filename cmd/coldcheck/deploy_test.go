package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// deployed reads a file of deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	return read(t, filepath.Join(module, "deploy", name))
}

// deployedFiles are the paths of all files in deploy.
func deployedFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(module, "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// strictJSON decodes a file of deploy; a key that into does not have is an error.
func strictJSON(t *testing.T, name string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(deployed(t, name)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// stateMachine is a part of the Amazon States Language.
type stateMachine struct {
	Comment, QueryLanguage, StartAt string
	States                          map[string]state
}

type state struct {
	Comment, Type, Items, Resource, Next, Default, Error, Cause string
	End                                                         bool
	ItemSelector, Output                                        map[string]any
	MaxConcurrency                                              int
	Arguments                                                   struct {
		JobName, JobQueue, JobDefinition string
		ContainerOverrides               struct{ Command []string }
	}
	ItemProcessor struct {
		ProcessorConfig struct{ Mode, ExecutionType string }
		StartAt         string
		States          map[string]state
	}
	Catch []struct {
		Comment     string
		ErrorEquals []string
		Output      map[string]any
		Next        string
	}
	Choices []struct{ Condition, Next string }
}

// expression is a JSONata expression of a state machine.
var expression = regexp.MustCompile(`^\{% (.*) %\}$`)

// TestStateMachine: the state machine is valid, takes what its example of an input has,
// and allows a shard to fail.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	var m stateMachine
	strictJSON(t, "step-functions/fleet.asl.json", &m)
	scan := m.States["Scan"]
	shard := scan.ItemProcessor.States["Shard"]
	if m.QueryLanguage != "JSONata" || scan.ItemProcessor.ProcessorConfig.Mode != "DISTRIBUTED" || len(shard.Catch) != 1 {
		t.Errorf("the map is %+v", scan)
	}
	var input map[string]any
	strictJSON(t, "step-functions/input.json", &input)
	used := map[string]bool{}
	selector, err := json.Marshal(scan.ItemSelector)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(selector), scan.Items} {
		for _, m := range regexp.MustCompile(`\$states\.input\.(\w+)`).FindAllStringSubmatch(text, -1) {
			used[m[1]] = true
			if _, ok := input[m[1]]; !ok {
				t.Errorf("the input has no %s", m[1])
			}
		}
	}
	if len(used) != len(input) {
		t.Errorf("the input has %v, and %v is used", input, used)
	}
	for _, text := range shard.Arguments.ContainerOverrides.Command {
		for _, m := range regexp.MustCompile(`\$states\.input\.(\w+)`).FindAllStringSubmatch(text, -1) {
			if scan.ItemSelector[m[1]] == nil {
				t.Errorf("an item has no %s", m[1])
			}
		}
	}
	var definition struct{ JobDefinitionName string }
	if err := json.Unmarshal([]byte(deployed(t, "batch/job-definition-fargate.json")), &definition); err != nil ||
		input["definition"] != definition.JobDefinitionName {
		t.Errorf("the input names the job definition %v, want %s: %v", input["definition"], definition.JobDefinitionName, err)
	}
}

// TestStateMachineValidator runs the validator of the language.
func TestStateMachineValidator(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "node")
	program := testenv.Validator(t, "asl-validator", "dist/bin/asl-validator.js")
	valid := filepath.Join(module, "deploy/step-functions/fleet.asl.json")
	validate := func(file string) ([]byte, error) {
		return exec.Command("node", program, "--json-path", file).CombinedOutput()
	}
	if out, err := validate(valid); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if !testenv.Full() {
		return
	}
	// The validator finds mistakes.
	for old, with := range map[string]string{`"Next": "Is it complete?"`: `"Next": "Is it done?"`,
		`"Mode": "DISTRIBUTED"`: `"Mode": "SPREAD"`, `"Type": "Succeed"`: `"Type": "Success"`} {
		text := strings.ReplaceAll(read(t, valid), old, with)
		file := filepath.Join(t.TempDir(), "wrong.json")
		write(t, file, text)
		if out, err := validate(file); err == nil || text == read(t, valid) {
			t.Errorf("with %s it is valid: %s", with, out)
		}
	}
}

// TestStateMachineExpressions evaluates the expressions of the state machine with the
// JSONata of its authors: one item for each shard, also if there is only one, and the
// shards that failed.
func TestStateMachineExpressions(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "node")
	library := testenv.Validator(t, "jsonata", "jsonata.js")
	var m stateMachine
	strictJSON(t, "step-functions/fleet.asl.json", &m)
	scan := m.States["Scan"]
	shard := scan.ItemProcessor.States["Shard"]
	text := func(value any) string { text, _ := value.(string); return text }
	cases := []struct{ expression, states, want string }{
		{scan.Items, `{"input": {"shards": 3}}`, `[0,1,2]`},
		{scan.Items, `{"input": {"shards": 1}}`, `[0]`},
		{text(scan.ItemSelector["shard"]), `{"input": {"shards": 12}, "context": {"Map": {"Item": {"Value": 3}}}}`, `"3/12"`},
		{text(scan.ItemSelector["rate"]), `{"input": {"rate": 75}}`, `"75"`},
		{shard.Arguments.JobName, `{"input": {"shard": "3/12"}}`, `"coldcheck-3-of-12"`},
		{text(scan.Output["incomplete"]), `{"result": [{"shard": "0/2", "complete": true},
			{"shard": "1/2", "complete": false}]}`, `["1/2"]`},
		{text(scan.Output["incomplete"]), `{"result": [{"shard": "0/1", "complete": true}]}`, `[]`},
		{m.States["Is it complete?"].Choices[0].Condition, `{"input": {"incomplete": []}}`, `true`},
		{m.States["Is it complete?"].Choices[0].Condition, `{"input": {"incomplete": ["1/2"]}}`, `false`},
		{m.States["Incomplete"].Cause, `{"input": {"incomplete": ["0/3", "2/3"]}}`,
			`"some targets of these shards have no record: 0/3, 2/3"`},
	}
	const evaluate = `const jsonata = require(process.argv[1]);
		(async () => {
			for (let n = 2; n < process.argv.length; n += 2)
				console.log(JSON.stringify(await jsonata(process.argv[n]).evaluate({}, {states: JSON.parse(process.argv[n + 1])})));
		})()`
	args := []string{"-e", evaluate, library}
	for _, c := range cases {
		parts := expression.FindStringSubmatch(c.expression)
		if parts == nil {
			t.Fatalf("%q is no expression", c.expression)
		}
		args = append(args, parts[1], c.states)
	}
	out, err := exec.Command("node", args...).CombinedOutput()
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(got) != len(cases) {
		t.Fatalf("%v: %s", err, out)
	}
	for n, c := range cases {
		if got[n] != c.want {
			t.Errorf("%s of %s is %s, want %s", c.expression, c.states, got[n], c.want)
		}
	}
}

// TestDeployedCommands: each command that an engine runs is one of the program's.
func TestDeployedCommands(t *testing.T) {
	t.Parallel()
	sample := strings.NewReplacer("Ref::targets", "s3://b/t", "Ref::results", "s3://b/r", "Ref::rate", "75")
	check := func(where string, words []string) {
		t.Helper()
		for i, w := range words {
			switch {
			case strings.Contains(w, "$states.input.rate"):
				w = "75"
			case strings.Contains(w, "$states.input.shard"):
				w = "3/12"
			case expression.MatchString(w):
				w = "s3://b/x"
			}
			words[i] = sample.Replace(w)
		}
		if len(words) < 5 {
			t.Errorf("%s: %q is no command", where, words)
		}
		checkCommandLine(t, where, strings.Join(words, " "))
	}
	var job struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct{ Args []string }
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "kubernetes/job.yaml")), &job); err != nil {
		t.Fatal(err)
	}
	check("the Job of Kubernetes", job.Spec.Template.Spec.Containers[0].Args)
	for _, name := range []string{"batch/job-definition-fargate.json", "batch/job-definition-ec2.json"} {
		var definition struct {
			ContainerProperties struct{ Command []string }
		}
		if err := json.Unmarshal([]byte(deployed(t, name)), &definition); err != nil {
			t.Fatal(err)
		}
		check(name, definition.ContainerProperties.Command)
	}
	var m stateMachine
	strictJSON(t, "step-functions/fleet.asl.json", &m)
	check("the state machine", m.States["Scan"].ItemProcessor.States["Shard"].Arguments.ContainerOverrides.Command)
	// In scripts and on pages, after a prompt of another program too.
	line := regexp.MustCompile(`(?m)(?:^|^ +|retry\.sh )coldcheck (fleet .*)$`)
	found := 0
	for _, page := range deployedFiles(t) {
		for _, m := range line.FindAllStringSubmatch(read(t, page), -1) {
			found++
			checkCommandLine(t, page, strings.NewReplacer("{}", "3", "$1", "list", "$2", "dest").Replace(m[1]))
		}
	}
	if found < 8 {
		t.Errorf("%d commands found", found)
	}
}

// TestDeployedScripts: shellcheck finds nothing in the scripts.
func TestDeployedScripts(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "shellcheck")
	for _, name := range []string{"shell/retry.sh", "slurm/coldcheck.sbatch"} {
		out, err := exec.Command("shellcheck", "--norc", filepath.Join(module, "deploy", name)).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// TestRetry: the script repeats 75 and kills, a limited number of times, and passes on
// every other exit code at once.
func TestRetry(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "sh")
	for codes, want := range map[string]int{"0": 0, "64": 64, "74": 74, "1": 1, "75 0": 0, "137 75 0": 0, "75 64": 64,
		"75 75 75": 75, "75 75 137": 137, "143": 143} {
		dir := t.TempDir()
		const once = `set -- $CODES; shift "$(wc -l <runs)"; echo >>runs; exit "$1"`
		write(t, filepath.Join(dir, "runs"), "")
		script, err := filepath.Abs(filepath.Join(module, "deploy/shell/retry.sh"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(script, "sh", "-c", once)
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "TRIES=3", "DELAY=0", "CODES="+codes)
		got := code(t, cmd.Run())
		runs := strings.Count(read(t, filepath.Join(dir, "runs")), "\n")
		if got != want || runs != len(strings.Fields(codes)) {
			t.Errorf("%s: it ends with %d after %d runs, want %d", codes, got, runs, want)
		}
	}
}

// policy is a policy of IAM.
type policy struct {
	Version   string
	Statement []struct {
		Sid, Effect      string
		Principal        map[string]string
		Action, Resource list
		Condition        map[string]map[string]string
	}
}

// list is one text or several.
type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*l = list{""}
		return json.Unmarshal(text, &(*l)[0])
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// TestRolePolicies: the policies in deploy/iam allow only what is named, and a trust
// policy lets only one service use the role. What coldcheck calls is tested in scanner/source.
func TestRolePolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(module, "deploy/iam/*.json"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d policies: %v", len(files), err)
	}
	page := deployed(t, "iam/README.md")
	for _, file := range files {
		name := filepath.Base(file)
		var p policy
		strictJSON(t, "iam/"+name, &p)
		if p.Version != "2012-10-17" || len(p.Statement) == 0 || !strings.Contains(page, "("+name+")") {
			t.Errorf("%s: version %s, or the page does not name it", name, p.Version)
		}
		trust := strings.HasPrefix(name, "trust-")
		for _, s := range p.Statement {
			if s.Effect != "Allow" || s.Sid == "" || len(s.Action) == 0 || trust != (len(s.Principal) == 1) ||
				trust != (len(s.Resource) == 0) || strings.Contains(strings.Join(s.Action, " "), "*") {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
	// What AWS documents for a Distributed Map that waits for jobs of AWS Batch.
	want := []string{"batch:DescribeJobs", "batch:SubmitJob", "batch:TerminateJob", "events:DescribeRule",
		"events:PutRule", "events:PutTargets", "states:DescribeExecution", "states:RedriveExecution", "states:StartExecution",
		"states:StopExecution"}
	var p policy
	strictJSON(t, "iam/step-functions.json", &p)
	var got []string
	for _, s := range p.Statement {
		got = append(got, s.Action...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the state machine may call %v, want %v", got, want)
	}
	if calls := regexp.MustCompile(`"arn:aws:states:::[^"]*"`).FindAllString(deployed(t, "step-functions/fleet.asl.json"),
		-1); !slices.Equal(calls, []string{`"arn:aws:states:::batch:submitJob.sync"`}) {
		t.Errorf("the state machine calls %v", calls)
	}
}

// TestPlaceholders: the files of deploy name no image, registry, account or bucket that
// may be somebody's.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	page := deployed(t, "README.md")
	word := regexp.MustCompile(`\b[A-Z]{3,}\b`)
	account := regexp.MustCompile(`\b\d{12}\b`)
	for _, file := range deployedFiles(t) {
		if strings.HasSuffix(file, ".md") {
			continue
		}
		text := read(t, file)
		if m := account.FindString(text); m != "" {
			t.Errorf("%s names the account %s", file, m)
		}
		for _, m := range regexp.MustCompile(`s3://(\w+)|"?image"?: "?([\w/:.-]+)`).FindAllStringSubmatch(text, -1) {
			harmless := []string{"BUCKET", "bucket", "coldcheck", "REGISTRY/coldcheck:VERSION"}
			if name := m[1] + m[2]; !slices.Contains(harmless, name) {
				t.Errorf("%s names %s", file, name)
			}
		}
		if !strings.HasSuffix(file, ".json") {
			continue
		}
		known := []string{"FARGATE", "VCPU", "MEMORY", "RETRY", "EXIT", "DISTRIBUTED", "STANDARD", "ENABLED", "ALL", "KEY",
			"AWS"}
		for _, m := range word.FindAllString(text, -1) {
			if !slices.Contains(known, m) && !strings.Contains(page, "`"+m+"`") {
				t.Errorf("%s has %s, which the page does not explain", file, m)
			}
		}
	}
}
