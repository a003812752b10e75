package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// TestFleetReportRemote: the records of a folder and those of S3 make the same report. A
// record that cannot be read ends it without a report, with the exit code of the reason.
func TestFleetReportRemote(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 7)
	f.heal()
	report := func(results string, args ...string) *exec.Cmd {
		cmd := coldcheck(t, append([]string{"fleet", "report", results, "--targets", f.list, "--no-progress"}, args...)...)
		cmd.Env = os.Environ()
		for name, value := range f.bucket.Environ("S3") {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return cmd
	}
	differs := regexp.MustCompile(`"(store|finished|first_finished|last_finished)": ?"[^"]*"`)
	remote := "s3://" + remotetest.Bucket + "/results"
	var texts []string
	for _, results := range []string{filepath.Join(t.TempDir(), "results"), remote} {
		if out, err := f.command(t, results, nil).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		out, err := report(results, "-o", "json").Output()
		if c := code(t, err); c != 1 {
			t.Errorf("%s: exit code %d", results, c)
		}
		texts = append(texts, differs.ReplaceAllString(string(out), ""))
	}
	if d := cmp.Diff(texts[0], texts[1]); d != "" {
		t.Error(d)
	}
	for _, want := range []string{`"not_ready": 2,`, `"inconclusive": 2,`, `"error": 3,`, `"no_record": 0,`} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("no %s in %s", want, texts[0])
		}
	}
	for _, action := range []string{"s3:GetObject", "s3:ListObjectsV2"} {
		for fault, want := range map[remotetest.Fault]int{remotetest.Denied: 74, remotetest.ExpiredCredentials: 75} {
			f.bucket.FailAction(action, 0, fault, -1)
			cmd := report(remote)
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			if c := code(t, err); c != want || len(out) > 0 {
				t.Errorf("%s, %s: exit code %d: %s %s", action, fault, c, out, said.String())
			}
			f.bucket.Heal()
		}
	}
}
