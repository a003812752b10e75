package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// component is the job that GitLab makes of the component.
type component struct {
	Stage, Image string
	IDTokens     map[string]struct{ Aud string } `yaml:"id_tokens"`
	Variables    map[string]string
	Script       []string
	AfterScript  []string `yaml:"after_script"`
	Artifacts    struct {
		When    string
		Paths   []string
		Reports map[string]string
	}
}

var gitlabInput = regexp.MustCompile(`\$\[\[ inputs\.([a-z0-9-]+) \]\]`)

// gitlabJob is the job of the component with some inputs.
func gitlabJob(t *testing.T, inputs map[string]string) (job component) {
	t.Helper()
	const name = "templates/coldcheck.yml"
	head, body, ok := strings.Cut(read(t, filepath.Join(module, name)), "\n---\n")
	if !ok {
		t.Fatalf("%s has no header", name)
	}
	var spec struct {
		Spec struct {
			Inputs map[string]struct {
				Description string
				Default     *string
				Options     []string
			}
		}
	}
	strictYAML(t, name, head, &spec)
	for input := range inputs {
		if _, ok := spec.Spec.Inputs[input]; !ok {
			t.Errorf("there is no input %s", input)
		}
	}
	var jobs map[string]yaml.Node
	strictYAML(t, name, body, &jobs)
	if len(jobs) != 1 {
		t.Fatalf("%d jobs", len(jobs))
	}
	for _, node := range jobs {
		replaceInputs(t, &node, func(input string) string {
			declared, ok := spec.Spec.Inputs[input]
			if !ok {
				t.Errorf("there is no input %s", input)
			}
			value, given := inputs[input]
			if !given {
				if declared.Default == nil {
					t.Errorf("the input %s is required", input)
					return ""
				}
				value = *declared.Default
			}
			if declared.Options != nil && !slices.Contains(declared.Options, value) {
				t.Errorf("%s is not %q", input, value)
			}
			return value
		})
		if err := node.Decode(&job); err != nil {
			t.Fatal(err)
		}
	}
	return job
}

// replaceInputs puts inputs into the texts of a document, as GitLab does.
func replaceInputs(t *testing.T, node *yaml.Node, value func(input string) string) {
	t.Helper()
	node.Value = gitlabInput.ReplaceAllStringFunc(node.Value, func(e string) string {
		return value(gitlabInput.FindStringSubmatch(e)[1])
	})
	for _, child := range node.Content {
		replaceInputs(t, child, value)
	}
}

// gitlabRun runs a job as GitLab does: its variables are expanded, variables of the project go before them, and the
// lines of the script run in one shell.
func gitlabRun(t *testing.T, shell string, job component, project map[string]string) (dir string, got int, log string) {
	t.Helper()
	dir = t.TempDir()
	env := map[string]string{"CI_JOB_ID": "1", "CI_PROJECT_DIR": dir}
	for name := range job.IDTokens {
		env[name] = "a-token-of-gitlab"
	}
	maps.Copy(env, project)
	for name, value := range job.Variables {
		if _, ok := project[name]; !ok {
			env[name] = os.Expand(value, func(v string) string { return project[v] })
		}
	}
	got, log = runIn(t, dir, env, shell, "-e", "-c", strings.Join(job.Script, "\n"))
	if code, out := runIn(t, dir, env, shell, "-c", strings.Join(job.AfterScript, "\n")); code != 0 {
		t.Errorf("after_script ended with %d: %s", code, out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".coldcheck", "token")); left != nil {
		t.Error("the token is left")
	}
	return dir, got, log
}

// The example for GitLab runs unchanged but for the sum of the release, with AWS and the release on servers for tests.
func TestCIExampleGitLab(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	var pipeline struct {
		Include []struct {
			Remote string
			Inputs map[string]yaml.Node
		}
		Variables map[string]struct{ Description string }
		Workflow  yaml.Node
	}
	strictYAML(t, "gitlab-ci.yml", read(t, filepath.Join(module, "docs/ci/gitlab-ci.yml")), &pipeline)
	inputs := map[string]string{}
	for name, node := range pipeline.Include[0].Inputs {
		// GitLab refuses a number, which a sum without quotes may be.
		if inputs[name] = node.Value; node.Tag != "!!str" {
			t.Errorf("the input %s is no string", name)
		}
	}
	if !strings.HasSuffix(pipeline.Include[0].Remote, "/v"+inputs["version"]+"/templates/coldcheck.yml") {
		t.Errorf("%s and version %s", pipeline.Include[0].Remote, inputs["version"])
	}
	inputs["sha256"] = r.sum
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("RoleArn") != "arn:aws:iam::1:role/scan" ||
			r.FormValue("WebIdentityToken") != "a-token-of-gitlab\n" || r.FormValue("RoleSessionName") != "gitlab-1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, remotetest.AccessKey)
	}))
	t.Cleanup(sts.Close)
	const role = "arn:aws:iam::1:role/scan"
	for _, tt := range []struct {
		shell, role, example string
		want                 int
	}{{"bash", role, "ready", 0}, {"dash", "", "failing", 1}} {
		t.Run(tt.shell, func(t *testing.T) {
			t.Parallel()
			project := snapshots(t, tt.example)
			project["COLDCHECK_RELEASES"], project["AWS_ROLE"] = r.url+"/good", tt.role
			if tt.role != "" {
				project["AWS_ENDPOINT_URL_STS"] = sts.URL
				for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
					project[name] = ""
				}
			}
			dir, got, log := gitlabRun(t, tt.shell, gitlabJob(t, inputs), project)
			if got != tt.want {
				t.Errorf("%s: it ended with %d, want %d:\n%s", tt.example, got, tt.want, log)
			}
			for _, report := range []string{"coldcheck.xml", "coldcheck.json", "coldcheck.html"} {
				if info, err := os.Stat(filepath.Join(dir, "coldcheck-reports", report)); err != nil || info.Size() == 0 {
					t.Errorf("%s: report %s: %v", tt.example, report, err)
				}
			}
		})
	}
	project := map[string]string{"COLDCHECK_RELEASES": r.url + "/tampered", "ROOT_SNAPSHOT": "snap-1"}
	if _, got, log := gitlabRun(t, "bash", gitlabJob(t, inputs), project); got != 65 {
		t.Errorf("tampered: it ended with %d:\n%s", got, log)
	}
}
