package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// TestFleetThousand: a thousand targets from EBS. It shows what they cost.
func TestFleetThousand(t *testing.T) {
	if !testenv.Nightly() {
		t.Skip("takes minutes")
	}
	const n = 1000
	server := remotetest.EBS(t)
	var list strings.Builder
	list.WriteString("id,images\n")
	for i := range n {
		c := []string{"ready", "failing", "linux-ready", "linux-failing"}[i%4]
		fmt.Fprintf(&list, "ws-%d,ebs:snap-%sroot|ebs:snap-%suser\n", i, strings.ReplaceAll(c, "-", ""),
			strings.ReplaceAll(c, "-", ""))
		if i >= 4 {
			continue
		}
		for _, image := range testcases.Find(t, c).Images {
			r, err := image.Open()
			if err != nil {
				t.Fatal(err)
			}
			server.Add("snap-"+strings.ReplaceAll(c, "-", "")+image.Role, r, image.Size)
		}
	}
	name, results := filepath.Join(t.TempDir(), "list.csv"), filepath.Join(t.TempDir(), "results")
	write(t, name, list.String())
	cmd := coldcheck(t, "fleet", "run", name, "--results", results, "--no-progress", "--ebs-rate", "100000")
	for variable, value := range server.Environ("EBS") {
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil || !strings.Contains(string(out), "1000 targets: 500 ready, 500 not ready") {
		t.Errorf("%v: %s", err, out)
	}
	size := int64(0)
	for _, i := range []int{0, 1, 2, 3} {
		info, err := os.Stat(filepath.Join(results, "records", fmt.Sprintf("ws-%d.json", i)))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	state := cmd.ProcessState
	t.Logf("%v, %.1f targets a second; processor time %v and %v; %v requests; records of %d KiB", took,
		n/took.Seconds(), state.UserTime(), state.SystemTime(), server.Actions(), size/4>>10)
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		t.Logf("%d MiB of memory", usage.Maxrss>>10)
		if usage.Maxrss>>10 > 512 {
			t.Errorf("more than --max-memory")
		}
	}
}
