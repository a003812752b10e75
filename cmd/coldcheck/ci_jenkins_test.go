package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// jenkins runs a Jenkinsfile in an empty folder with Groovy, in the version of Jenkins.
func jenkins(t *testing.T, text string, env map[string]string) (dir string, got int, log string) {
	t.Helper()
	testenv.Tool(t, "groovy", "java")
	env = maps.Clone(env)
	if os.Getenv("JAVA_HOME") == "" {
		java, err := exec.LookPath("java")
		if err == nil {
			java, err = filepath.EvalSymlinks(java)
		}
		if err != nil {
			t.Fatal(err)
		}
		env["JAVA_HOME"] = filepath.Dir(filepath.Dir(java))
	}
	file := filepath.Join(t.TempDir(), "Jenkinsfile")
	write(t, file, text)
	dir = t.TempDir()
	got, log = runIn(t, dir, env, "groovy", absolute(t, "cmd/coldcheck/testdata/jenkins.groovy"), file, absolute(t, "."))
	return dir, got, log
}

// The example for Jenkins runs unchanged but for the sum of the release, with the step of deploy/jenkins, snapshots and
// the release on servers for tests.
func TestCIExampleJenkins(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	text := read(t, filepath.Join(module, "docs/ci/Jenkinsfile"))
	text = strings.Replace(text, strings.Repeat("0", 64), r.sum, 1)
	option := func(text string) string {
		return strings.Replace(read(t, filepath.Join(module, "docs/ci/Jenkinsfile")), "version: '1.0.0'", text, 1)
	}
	wrong := strings.Replace(text, r.sum, strings.Repeat("0", 64), 1)
	strict := strings.Replace(text, "version:", "flags: ['--strict'], inconclusive: 'unstable', version:", 1)
	for _, tt := range []struct {
		name, example, text, ended string
		more                       []string
	}{
		{"failing", "failing", text, "coldcheck: not ready (exit code 1)", []string{"agent: linux",
			"library: coldcheck@v1.0.0 deploy/jenkins", "junit: coldcheck-reports/coldcheck.xml",
			"archiveArtifacts: coldcheck-reports/coldcheck.*"}},
		{"ready", "ready", text, "success", nil},
		{"inconclusive", "ready", strict, "success", []string{"unstable: coldcheck: inconclusive"}},
		{"another sum", "ready", wrong, "script returned exit code 65", nil},
		{"misspelled", "ready", option("version: '1.0.0', failOnn: 'never'"),
			"coldcheckScan: there is no option failOnn", nil},
		{"no version", "ready", option("waivers: 'w.yaml'"), "coldcheckScan: the option version is required", nil},
		{"wrong level", "ready", option("version: '1.0.0', inconclusive: 'ok'"), "coldcheckScan: inconclusive is", nil},
		{"wrong flag", "ready", strings.Replace(text, "version:", "failOn: 'x', version:", 1), "coldcheck: no verdict", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if !testenv.Full() {
				t.Skip("Java takes long")
			}
			env := snapshots(t, tt.example)
			env["COLDCHECK_RELEASES"] = r.url + "/good"
			dir, got, log := jenkins(t, tt.text, env)
			if (got == 0) != (tt.ended == "success") || !strings.Contains(log, "\nended: "+tt.ended) {
				t.Errorf("it ended with %d:\n%s", got, log)
			}
			for _, line := range tt.more {
				if !strings.Contains("\n"+log, "\n"+line) {
					t.Errorf("there is no line %q in\n%s", line, log)
				}
			}
			_, err := os.Stat(filepath.Join(dir, "coldcheck-reports", "coldcheck.xml"))
			if scanned := slices.Contains([]string{"failing", "ready", "inconclusive"}, tt.name); (err == nil) != scanned {
				t.Errorf("the report: %v", err)
			}
		})
	}
}
