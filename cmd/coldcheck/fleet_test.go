package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// testFleet is a list of targets in EBS, and a bucket.
type testFleet struct {
	*remotetest.EBSServer
	bucket *remotetest.S3Server
	list   string // of the targets
	ids    []string
	want   map[string]int // exit codes by id
}

// mayPass is the snapshot that can be read only after heal.
const mayPass = "snap-maypass"

// newFleet has n targets: inconclusive and failing ones, one with an encrypted root, one that is
// corrupt, one with a snapshot that does not exist, and one that may pass.
func newFleet(t *testing.T, n int) *testFleet {
	t.Helper()
	f := &testFleet{EBSServer: remotetest.EBS(t), bucket: remotetest.S3(t), want: map[string]int{}}
	add := func(id, name, role string) {
		for _, i := range testcases.Find(t, name).Images {
			if i.Role == role {
				r, err := i.Open()
				if err != nil {
					t.Fatal(err)
				}
				f.Add(id, r, i.Size)
			}
		}
	}
	for _, name := range []string{"ready", "failing", "bitlocker"} {
		add("snap-"+name+"root", name, "root")
		add("snap-"+name+"user", name, "user")
	}
	add(mayPass, "ready", "root")
	corrupt := make([]byte, 1<<20)
	copy(corrupt, "QFI\xfb\x00\x00\x00\x03")
	f.Add("snap-corrupt", bytes.NewReader(corrupt), int64(len(corrupt)))
	f.ill()
	var list strings.Builder
	for i := range n {
		images, exit := `"ebs:snap-readyroot","ebs:snap-readyuser"`, 3 // not everything is checked
		switch i {
		case 1, n - 1:
			images, exit = `"ebs:snap-failingroot","ebs:snap-failinguser"`, 1
		case 2:
			images, exit = `"ebs:snap-bitlockerroot","ebs:snap-bitlockeruser"`, 4
		case 3:
			images, exit = `"ebs:snap-corrupt"`, 4
		case 4:
			images, exit = `"ebs:snap-missing"`, 74
		case 5:
			images = `"ebs:` + mayPass + `","ebs:snap-readyuser"`
		}
		id := fmt.Sprintf("ws-%02d", i)
		f.ids, f.want[id] = append(f.ids, id), exit
		fmt.Fprintf(&list, "{\"id\":%q,\"images\":[%s]}\n", id, images)
	}
	f.list = filepath.Join(t.TempDir(), "list.jsonl")
	write(t, f.list, list.String())
	return f
}

// throttles says that the snapshot is throttled, and not that the credentials expire: that
// takes as long as requests are repeated.
func throttles() bool { return testenv.Full() && !testenv.Nightly() }

// ill makes the snapshot unreadable for a reason that may pass.
func (f *testFleet) ill() {
	if throttles() {
		f.Refuse(mayPass, remotetest.Refusal{Status: 400, Code: "RequestThrottledException"})
	} else {
		f.Refuse(mayPass, remotetest.Refusal{Status: 403, Code: "ExpiredTokenException"})
	}
}

func (f *testFleet) heal() { f.Refuse(mayPass, remotetest.Refusal{}) }

// command is fleet run with the variables of an engine.
func (f *testFleet) command(t *testing.T, results string, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	only := "win.profile.single,win.os.supported" // enough for a verdict of each kind
	cmd := coldcheck(t, append([]string{"fleet", "run", f.list, "--results", results, "--no-progress", "--jobs", "2",
		"--only", only, "--fail-on", "failed"}, args...)...)
	all := map[string]string{}
	maps.Copy(all, f.bucket.Environ("S3"))
	maps.Copy(all, f.Environ("EBS"))
	maps.Copy(all, env)
	cmd.Env = os.Environ()
	for name, value := range all {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// records are what is in a store, without what differs between two runs.
func (f *testFleet) records(t *testing.T, results string) map[string]any {
	t.Helper()
	s, err := fleet.OpenStore(t.Context(), results, fleet.StoreOptions{Source: source.Options{AWS: f.bucket.AWS}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string]any{}
	for id, err := range s.IDs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		data, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fleet.DecodeRecord(data)
		if err != nil || r.Target.ID != id {
			t.Fatalf("%s: %v: %.200s", id, err, data)
		}
		var report struct {
			Findings, Volumes, Platform any
		}
		if r.Error == nil {
			if err := json.Unmarshal(r.Report, &report); err != nil {
				t.Fatal(err)
			}
		}
		all[id] = []any{r.Target, r.ExitCode, r.Verdict, r.Error, report}
	}
	return all
}

// engine are the variables of an array job.
type engine struct {
	name string
	env  func(index, of int) map[string]string
	args func(of int) []string
}

// signals are those that end the program, by its exit code.
var signals = map[int]os.Signal{130: os.Interrupt, 143: syscall.SIGTERM}

var engines = []engine{
	{"Kubernetes", func(index, _ int) map[string]string {
		return map[string]string{"JOB_COMPLETION_INDEX": fmt.Sprint(index)}
	},
		func(of int) []string { return []string{"--shards", fmt.Sprint(of)} }},
	{"AWS Batch", func(index, of int) map[string]string {
		return map[string]string{"AWS_BATCH_JOB_ARRAY_INDEX": fmt.Sprint(index), "AWS_BATCH_JOB_ARRAY_SIZE": fmt.Sprint(of)}
	}, nil},
	{"Slurm", func(index, of int) map[string]string {
		return map[string]string{"SLURM_ARRAY_TASK_ID": fmt.Sprint(5 + 2*index), "SLURM_ARRAY_TASK_MIN": "5",
			"SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": fmt.Sprint(of)}
	}, nil},
}

// TestFleetKilled: processes under each engine's variables are killed at random moments and
// repeated, as an engine does. In the end, every target has the record that one process
// makes.
func TestFleetKilled(t *testing.T) {
	t.Parallel()
	targets, shards, rounds := 7, 2, 1
	switch {
	case testenv.Nightly():
		targets, shards, rounds = 24, 6, 50
	case testenv.Full():
		targets, shards, rounds = 24, 6, 2 // TestEngines has 60
	}
	f := newFleet(t, targets)
	f.heal()
	serial := filepath.Join(t.TempDir(), "serial")
	began := time.Now()
	if out, err := f.command(t, serial, nil, "--jobs", "1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	span := time.Since(began) * 2 / time.Duration(shards) // about how long a shard takes
	want := f.records(t, serial)
	for id, r := range want {
		if exit := r.([]any)[1]; exit != f.want[id] {
			t.Errorf("%s has exit code %v, want %d", id, exit, f.want[id])
		}
	}
	random := rand.New(rand.NewPCG(1, uint64(targets)))
	for round := range rounds {
		e := engines[(round+int(random.Uint32N(3)))%len(engines)]
		results := filepath.Join(t.TempDir(), "results")
		if round%4 == 3 {
			results = fmt.Sprintf("s3://%s/round-%d", remotetest.Bucket, round)
		}
		f.ill()
		var passed []string // the shards that ended with 75
		kills := 0
		for index := range shards {
			for attempt := 0; ; attempt++ {
				var args []string
				if e.args != nil {
					args = e.args(shards)
				}
				cmd := f.command(t, results, e.env(index, shards), args...)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if attempt < 3 {
					kill := time.AfterFunc(time.Duration(random.Int64N(int64(span))), func() { cmd.Process.Kill() })
					defer kill.Stop()
				}
				err := cmd.Wait()
				c := code(t, err)
				switch c {
				case -1: // killed
					kills++
					continue
				case 75:
					passed = append(passed, stderr.String())
					f.heal()
					continue
				case 0:
				default:
					t.Fatalf("%s, shard %d: exit code %d: %s", e.name, index, c, &stderr)
				}
				break
			}
		}
		if d := cmp.Diff(want, f.records(t, results)); d != "" {
			t.Errorf("round %d, %s, %d kills, %s: %s", round, e.name, kills, results, d)
		}
		if len(passed) != 1 || !strings.Contains(passed[0], "ws-05 has no record") {
			t.Errorf("%q", passed)
		}
	}
}

// TestFleetTogether: two processes on the same targets, on a folder and on S3: one record
// each, and both end well.
func TestFleetTogether(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.heal()
	for _, results := range []string{filepath.Join(t.TempDir(), "results"), "s3://" + remotetest.Bucket + "/results"} {
		var both sync.WaitGroup
		for range 2 {
			cmd := f.command(t, results, nil)
			both.Go(func() {
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		both.Wait()
		if got := slices.Sorted(maps.Keys(f.records(t, results))); !slices.Equal(got, f.ids) {
			t.Errorf("%s: %q", results, got)
		}
	}
	for _, id := range f.ids {
		if n := f.bucket.Written("results/records/" + id + ".json"); n != 1 {
			t.Errorf("%s was written %d times", id, n)
		}
	}
}

// TestFleetPassing: a target that is throttled or whose credentials expired leaves no
// record and the exit code 75; the next run scans only that one.
func TestFleetPassing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 7)
	results := filepath.Join(t.TempDir(), "results")
	out, err := f.command(t, results, nil).CombinedOutput()
	const first = "coldcheck: 7 targets: 2 not ready, 1 inconclusive, 1 not scanned (not found), " +
		"1 not scanned (encrypted), 1 not scanned (damaged), 1 without a record\n"
	if c := code(t, err); c != 75 || !strings.Contains(string(out), first) ||
		!strings.Contains(string(out), "coldcheck: ws-05 has no record: ebs:"+mayPass+": ") ||
		!strings.Contains(string(out), "hint: run the same command again: it scans only these\n") ||
		throttles() != strings.Contains(string(out), "coldcheck: EBS throttled ") {
		t.Errorf("exit code %d: %s", c, out)
	}
	f.heal()
	out, err = f.command(t, results, nil).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "coldcheck: 7 targets: 6 had a record before, 1 inconclusive\n") {
		t.Errorf("%v: %s", err, out)
	}
	exits := map[string]int{}
	for id, r := range f.records(t, results) {
		exits[id] = r.([]any)[1].(int)
	}
	if d := cmp.Diff(f.want, exits); d != "" {
		t.Error(d)
	}
	for _, secret := range []string{remotetest.SecretKey, remotetest.SessionToken, remotetest.AccessKey} {
		if strings.Contains(string(out), secret) {
			t.Errorf("%s has a secret", out)
		}
	}
	// Records that cannot be written to S3 are an error at once, of the class that it is.
	for fault, want := range map[remotetest.Fault]int{remotetest.Denied: 74, remotetest.ExpiredCredentials: 75} {
		before := f.Requests()
		f.bucket.FailAction("s3:PutObject", 0, fault, -1)
		out, err := f.command(t, "s3://"+remotetest.Bucket+"/x", nil).CombinedOutput()
		if c := code(t, err); c != want || !strings.Contains(string(out), "cannot write records: s3://") ||
			f.Requests() != before {
			t.Errorf("%s: exit code %d: %s", fault, c, out)
		}
		f.bucket.Heal()
	}
}

// TestFleetSignal: a signal ends a run at once. What is written is whole.
func TestFleetSignal(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.heal()
	results := filepath.Join(t.TempDir(), "results")
	f.FailAction("ebs:GetSnapshotBlock", 40, remotetest.Silent, -1)
	await := func(ready func(requests int) bool) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for !ready(f.UnderWay()) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	for want, signal := range signals {
		await(func(requests int) bool { return requests == 0 }) // of the process before
		cmd := f.command(t, results, nil)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await(func(requests int) bool { return requests >= 2 })
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if c := code(t, cmd.Wait()); c != want {
			t.Errorf("exit code %d: %s", c, &stderr)
		}
		f.records(t, results)
	}
	f.Heal()
	if out, err := f.command(t, results, nil).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if got := slices.Sorted(maps.Keys(f.records(t, results))); !slices.Equal(got, f.ids) {
		t.Errorf("%q", got)
	}
}

// TestNewcomer: the list and the two commands of the README lead to a page.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(read(t, filepath.Join(module, "README.md")), "\n## Scan many WorkSpaces\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, list, _ := strings.Cut(section, "```csv\n")
	list, _, found := strings.Cut(list, "```")
	if !found {
		t.Fatal("the README has no list")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "targets.csv"), list)
	targets, err := fleet.ReadTargets("README.md", strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	images := 0
	for i, target := range targets {
		for n, role := range []string{"root", "user"} {
			name := []string{"ready", "failing"}[i%2]
			master := filepath.Join(dir, name+"-"+role)
			if i < 2 {
				if err := writeImage(testcases.Find(t, name), role, master); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Link(master, filepath.Join(dir, target.Images[n])); err != nil {
				t.Skip(err)
			}
			images++
		}
	}
	if images != 12 {
		t.Errorf("%d images", images)
	}
	wants := []int{0, 1} // a WorkSpace is not ready
	for line := range strings.Lines(section) {
		args, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    coldcheck ")
		if !ok {
			continue
		}
		if len(wants) == 0 {
			t.Fatalf("a third command: %s", line)
		}
		cmd := coldcheck(t, strings.Fields(args)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if c := code(t, err); c != wants[0] {
			t.Fatalf("%s ended with %d: %s", args, c, out)
		}
		wants = wants[1:]
	}
	page := read(t, filepath.Join(dir, "fleet.html"))
	for _, target := range targets {
		if !strings.Contains(page, target.ID) {
			t.Errorf("the page does not have %s", target.ID)
		}
	}
}
