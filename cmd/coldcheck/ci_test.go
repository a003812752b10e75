package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// TestCIExamples runs the examples for CI unchanged, with snapshots on a server for tests
// and without the installation of the program: a job keeps its reports and fails if the
// WorkSpace is not ready.
func TestCIExamples(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "bash", "shellcheck")
	servers := map[string]*remotetest.EBSServer{}
	for _, example := range []string{"ready", "failing"} {
		server := remotetest.EBS(t)
		for n, i := range testcases.Find(t, example).Images {
			r, err := i.Open()
			if err != nil {
				t.Fatal(err)
			}
			server.Add(fmt.Sprint("snap-", n+1), r, i.Size)
		}
		servers[example] = server
	}
	for name, scripts := range map[string][]string{
		"github-actions.yml": githubScripts(t), "gitlab-ci.yml": gitlabScripts(t), "Jenkinsfile": jenkinsScripts(t),
	} {
		text := "set -e\n" + strings.Join(scripts, "\n") + "\n"
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(text, "coldcheck scan ") {
				t.Fatalf("no scan in\n%s", text)
			}
			lint := exec.Command("shellcheck", "--norc", "--shell=bash", "-")
			lint.Stdin = strings.NewReader(text)
			if out, err := lint.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\n%s", err, out, text)
			}
			reports := regexp.MustCompile(`-o [a-z]+=(\S+)`).FindAllStringSubmatch(text, -1)
			if len(reports) < 3 {
				t.Errorf("reports %q", reports)
			}
			for example, want := range map[string]int{"ready": 0, "failing": 1} {
				dir := runJob(t, text, servers[example], want)
				for _, r := range reports {
					if info, err := os.Stat(filepath.Join(dir, r[1])); err != nil || info.Size() == 0 {
						t.Errorf("%s: report %s: %v", example, r[1], err)
					}
				}
			}
		})
	}
}

// runJob runs the scripts of a job, whose snapshots are on a server, and returns the
// folder where it ran.
func runJob(t *testing.T, text string, snapshots *remotetest.EBSServer, want int) string {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n[ \"$1\" = install ]\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-e", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ROOT_SNAPSHOT=snap-1", "USER_SNAPSHOT=snap-2",
		"GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary"), "CI_PROJECT_DIR="+dir)
	for variable, value := range snapshots.Environ("EBS") {
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	out, err := cmd.CombinedOutput()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("it ended with %d, want %d:\n%s", got, want, out)
	}
	return dir
}

// example decodes an example in YAML; a key that into does not have is an error
// of the test, unless into takes any.
func example(t *testing.T, name string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, filepath.Join(module, "docs/ci", name))))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func githubScripts(t *testing.T) []string {
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
			Steps   []struct {
				Name, Uses, Run, If string
				With, Env           map[string]string
			}
		}
	}
	example(t, "github-actions.yml", &workflow)
	if workflow.Permissions["security-events"] != "write" || len(workflow.On) != 1 || len(workflow.Jobs) != 1 {
		t.Errorf("%+v", workflow)
	}
	var scripts []string
	for _, job := range workflow.Jobs {
		if job.RunsOn == "" {
			t.Error("a job without runs-on")
		}
		for _, s := range job.Steps {
			if (s.Uses == "") == (s.Run == "") {
				t.Errorf("a step has either uses or run: %+v", s)
			}
			if s.Uses != "" && !regexp.MustCompile(`^[a-z-]+(/[a-z-]+)+@v[0-9]+$`).MatchString(s.Uses) {
				t.Errorf("uses: %s", s.Uses)
			}
			if strings.Contains(s.Run, "${{") {
				t.Errorf("what the caller typed is put into a script: %s", s.Run)
			}
			for _, value := range s.Env {
				for _, m := range regexp.MustCompile(`inputs\.([a-z-]+)`).FindAllStringSubmatch(value, -1) {
					if _, ok := workflow.On["workflow_dispatch"].Inputs[m[1]]; !ok {
						t.Errorf("there is no input %s", m[1])
					}
				}
			}
			if s.Run != "" && s.If == "" {
				scripts = append(scripts, s.Run)
			}
		}
	}
	return scripts
}

func gitlabScripts(t *testing.T) []string {
	var pipeline map[string]yaml.Node
	example(t, "gitlab-ci.yml", &pipeline)
	type job struct {
		Stage, Image string
		Variables    map[string]string
		Needs        []string
		Script       []string
		Artifacts    struct {
			When     string
			ExpireIn string `yaml:"expire_in"`
			Paths    []string
			Reports  map[string]string
		}
	}
	var stages []string
	node := pipeline["stages"]
	if err := node.Decode(&stages); err != nil {
		t.Fatal(err)
	}
	byStage := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(pipeline)) {
		if slices.Contains([]string{"stages", "variables", "workflow"}, name) {
			continue
		}
		var j job
		node := pipeline[name]
		if err := node.Decode(&j); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(stages, j.Stage) || j.Image == "" || len(j.Script) == 0 {
			t.Errorf("%s: %+v", name, j)
		}
		for _, n := range j.Needs {
			if _, ok := pipeline[n]; !ok {
				t.Errorf("%s needs %s, which is not there", name, n)
			}
		}
		byStage[j.Stage] = append(byStage[j.Stage], j.Script...)
	}
	var scripts []string
	for _, s := range stages {
		scripts = append(scripts, byStage[s]...)
	}
	return scripts
}

func jenkinsScripts(t *testing.T) []string {
	text := read(t, filepath.Join(module, "docs/ci/Jenkinsfile"))
	block := regexp.MustCompile(`(?s)sh '''\n(.*?)'''`)
	var scripts []string
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		scripts = append(scripts, m[1])
	}
	// What is left of a declarative pipeline are blocks, which close.
	rest := regexp.MustCompile(`'[^'\n]*'|"[^"\n]*"|//[^\n]*`).ReplaceAllString(block.ReplaceAllString(text, ""), "")
	depth := 0
	for _, r := range rest {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 || !strings.HasPrefix(strings.TrimSpace(rest), "pipeline {") {
		t.Errorf("the blocks do not close:\n%s", rest)
	}
	return scripts
}
