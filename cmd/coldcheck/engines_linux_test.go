package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// TestEngines: each engine scans every target of a list in 12 shards, whatever happens to
// its processes, with the files of deploy as they are. It runs a shard again after 75 and
// after a kill, and never otherwise. The records are those of one process that scans all.
func TestEngines(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "bash", "seq", "xargs")
	targets := 24
	if testenv.Full() {
		targets = 60
	}
	f := newEngineFleet(t, targets)
	// One after the other: they share the machine and the server of snapshots.
	t.Run("xargs", func(t *testing.T) { f.shell(t, "seq 0 11 | xargs -P 4 ") })
	if !testenv.Full() {
		return
	}
	if testenv.Nightly() { // the same but for the program that starts the shards
		t.Run("parallel", func(t *testing.T) {
			testenv.Tool(t, "parallel")
			f.shell(t, "seq 0 11 | parallel --jobs 4 ")
		})
	}
	t.Run("slurm", f.slurm)
	t.Run("kubernetes", f.kubernetes)
}

// engineFleet is a list of targets. One is encrypted, one is damaged, and two are in EBS
// snapshots.
type engineFleet struct {
	program string // the command
	folder  string // of the list
	server  *remotetest.EBSServer
	serial  map[string]any // the records of one process
}

const engineShards = 12

// Where in the list the special targets are. Each is in another shard.
const (
	killedTarget    = 3 // a process that scans it is killed once its record is there
	encryptedTarget = 4
	damagedTarget   = 5
	passingTarget   = 6                           // its first scan ends with 75
	hangingTarget   = killedTarget + engineShards // its scan cannot end before the kill
)

func newEngineFleet(t *testing.T, targets int) *engineFleet {
	t.Helper()
	f := &engineFleet{program: coldcheck(t).Path, folder: testenv.ImageDir(t), server: remotetest.EBS(t)}
	images := func(name string) (names []string) {
		c := testcases.Find(t, name)
		for _, i := range c.Images {
			file := filepath.Join(f.folder, i.Name)
			if !exists(file) {
				if err := writeImage(c, i.Role, file); err != nil {
					t.Fatal(err)
				}
			}
			names = append(names, file)
		}
		return names
	}
	snapshots := func(target int) (names []string) {
		for n, i := range testcases.Find(t, "linux-ready").Images {
			r, err := i.Open()
			if err != nil {
				t.Fatal(err)
			}
			f.server.Add(engineSnapshot(target, n), r, i.Size)
			names = append(names, "ebs:"+engineSnapshot(target, n))
		}
		return names
	}
	usual := []string{"linux-ready", "linux-failing", "linux-xfs-ready"}
	if testenv.Full() {
		usual = append(usual, "ready", "failing")
	}
	var list strings.Builder
	for n := range targets {
		target := map[string]any{"id": engineID(n), "labels": map[string]string{"team": fmt.Sprint("team-", n%3)}}
		switch n {
		case encryptedTarget:
			target["images"] = images("bitlocker")
		case damagedTarget:
			target["images"] = []string{filepath.Join(f.folder, "damaged.qcow2")}
		case passingTarget, hangingTarget:
			target["images"] = snapshots(n)
		default:
			target["images"] = images(usual[n%len(usual)])
		}
		line, err := json.Marshal(target)
		if err != nil {
			t.Fatal(err)
		}
		list.Write(append(line, '\n'))
	}
	write(t, filepath.Join(f.folder, "targets.jsonl"), list.String())
	write(t, filepath.Join(f.folder, "damaged.qcow2"), damagedImage+strings.Repeat("\x00", 4096))

	cmd := exec.Command(f.program, "fleet", "run", "targets.jsonl", "--results", "serial")
	cmd.Dir, cmd.Env = f.folder, f.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f.serial = engineRecords(t, filepath.Join(f.folder, "serial"))
	if len(f.serial) != targets {
		t.Fatalf("%d records of %d targets", len(f.serial), targets)
	}
	for n, want := range map[int]string{encryptedTarget: "encrypted", damagedTarget: "damaged"} {
		record := f.serial[engineID(n)].(map[string]any)
		if e, ok := record["error"].(map[string]any); !ok || e["kind"] != want {
			t.Errorf("the record of %s is %v, want an error %s", engineID(n), record, want)
		}
	}
	return f
}

// damagedImage is the header of a QCOW2 of 1 GiB, of which nothing else is there.
const damagedImage = "QFI\xfb\x00\x00\x00\x02" + // version 2
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + // no backing file
	"\x00\x00\x00\x10\x00\x00\x00\x00\x40\x00\x00\x00" + // bits of a cluster, size of the disk
	"\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x03\x00\x00" + // not encrypted, L1 of 2 entries and where
	"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01" + // reference counts
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // no snapshots

func engineID(target int) string { return fmt.Sprintf("ws-%03d", target) }

func engineSnapshot(target, n int) string { return fmt.Sprintf("snap-%08x%09x", target, n) }

// environ has the server of the snapshots.
func (f *engineFleet) environ(more ...string) []string {
	env := os.Environ()
	for variable, value := range f.server.Environ("EBS") {
		env = append(env, variable+"="+value)
	}
	return append(env, more...)
}

// volatile are the fields that differ between two scans of the same images.
var volatile = regexp.MustCompile(`^(started|finished|duration.*|reading|arguments|settings)$`)

// engineRecords reads the records of a folder, without volatile fields.
func engineRecords(t *testing.T, results string) map[string]any {
	t.Helper()
	folder := filepath.Join(results, "records")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]any{}
	for _, e := range entries {
		var record any
		if err := json.Unmarshal([]byte(read(t, filepath.Join(folder, e.Name()))), &record); err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		dropVolatile(record)
		records[strings.TrimSuffix(e.Name(), ".json")] = record
	}
	return records
}

func dropVolatile(value any) {
	switch value := value.(type) {
	case map[string]any:
		maps.DeleteFunc(value, func(key string, _ any) bool { return volatile.MatchString(key) })
		for _, v := range value {
			dropVolatile(v)
		}
	case []any:
		for _, v := range value {
			dropVolatile(v)
		}
	}
}

// engineRun is a run of an engineFleet by an engine.
type engineRun struct {
	*engineFleet
	folder  string // has the list as targets.jsonl
	results string
	bin     string // has what runs in place of the program, as coldcheck
	log     string // has the shard and the exit code of each process that ended
}

// wrapper runs in place of the program, and notes how each process ends. It kills the
// first process of a shard when the first record of the shard is there.
const wrapper = `#!/bin/sh
pid=
trap 'if [ "$pid" ]; then kill -TERM "$pid"; else exit 143; fi' TERM
index=${JOB_COMPLETION_INDEX:-$SLURM_ARRAY_TASK_ID}
previous=
for word; do
	[ "$previous" = --shard ] && index=${word%/*}
	previous=$word
done
"$PROGRAM" "$@" &
pid=$!
if [ "$index" = "$KILLED" ] && mkdir "$RUN/killed" 2>/dev/null; then
	until [ -e "$FIRST" ] || ! kill -0 "$pid"; do sleep 0.01; done
	kill -KILL "$pid"
fi
wait "$pid"
code=$?
while kill -0 "$pid" 2>/dev/null; do
	wait "$pid"
	code=$?
done
echo "$index $code" >>"$RUN/log"
exit "$code"
`

// start prepares a run. The service refuses the snapshots of two targets for a time: until
// a process has ended with 75, and until one was killed.
func (f *engineFleet) start(t *testing.T) *engineRun {
	t.Helper()
	folder := t.TempDir()
	r := &engineRun{engineFleet: f, folder: folder, results: filepath.Join(folder, "results"), bin: t.TempDir(),
		log: filepath.Join(folder, "log")}
	write(t, filepath.Join(r.bin, "coldcheck"), wrapper)
	if err := os.Chmod(filepath.Join(r.bin, "coldcheck"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "targets.jsonl"), read(t, filepath.Join(f.folder, "targets.jsonl")))

	throttled := remotetest.Refusal{Status: 400, Code: "RequestThrottledException", Reason: "ACCOUNT_THROTTLED"}
	passing := throttled
	if !testenv.Full() { // the program sends throttled requests again for seconds
		passing = remotetest.Refusal{Status: 403, Code: "ExpiredTokenException"}
	}
	f.server.Refuse(engineSnapshot(passingTarget, 0), passing)
	f.server.Refuse(engineSnapshot(hangingTarget, 0), throttled)
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			text, _ := os.ReadFile(r.log)
			for code, target := range map[string]int{" 75\n": passingTarget, " 137\n": hangingTarget} {
				if bytes.Contains(text, []byte(code)) {
					f.server.Refuse(engineSnapshot(target, 0), remotetest.Refusal{})
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		watcher.Wait()
	})
	return r
}

// command is a program that runs shards.
func (r *engineRun) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = r.folder
	cmd.Env = r.environ("PATH="+r.bin+":"+os.Getenv("PATH"), "PROGRAM="+r.program, "RUN="+r.folder,
		fmt.Sprint("KILLED=", killedTarget), "FIRST="+filepath.Join(r.results, "records", engineID(killedTarget)+".json"))
	return cmd
}

// check compares the records with those of one process, and the exit codes of the
// processes with what the engine must repeat.
func (r *engineRun) check(t *testing.T) {
	t.Helper()
	if d := cmp.Diff(r.serial, engineRecords(t, r.results)); d != "" {
		t.Errorf("the records are not those of one process (-want +got):\n%s", d)
	}
	got := map[string][]string{}
	for line := range strings.Lines(read(t, r.log)) {
		index, code, _ := strings.Cut(strings.TrimSpace(line), " ")
		got[index] = append(got[index], code)
	}
	if d := cmp.Diff(engineCodes(), got); d != "" {
		t.Errorf("the exit codes of the processes of each shard (-want +got):\n%s", d)
	}
}

// engineCodes are the exit codes of the processes of each shard.
func engineCodes() map[string][]string {
	codes := map[string][]string{}
	for n := range engineShards {
		codes[fmt.Sprint(n)] = []string{"0"}
	}
	codes[fmt.Sprint(killedTarget)] = []string{"137", "0"}
	codes[fmt.Sprint(passingTarget)] = []string{"75", "0"}
	return codes
}

// documented returns the command in a page of deploy that begins with a text.
func documented(t *testing.T, page, begins string) string {
	t.Helper()
	for block := range strings.SplitSeq(deployed(t, page), "\n\n") {
		if text, ok := strings.CutPrefix(block, "    "); ok && strings.HasPrefix(text, begins) {
			return text
		}
	}
	t.Fatalf("%s has no command %q", page, begins)
	return ""
}

// shell runs a command of the page for shells.
func (f *engineFleet) shell(t *testing.T, command string) {
	r := f.start(t)
	script := filepath.Join(r.folder, "retry.sh")
	write(t, script, deployed(t, "shell/retry.sh"))
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := r.command(t, "bash", "-c", documented(t, "shell/README.md", command))
	cmd.Env = append(cmd.Env, "DELAY=0", "HOME="+r.bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	r.check(t)
}

// slurmConfiguration is that of a cluster of one node. @ is the folder of its files.
const slurmConfiguration = `
ClusterName=coldcheck
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=@CONTROLLER
SlurmdPort=@NODE
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=@/munge.socket,cred_expire=1
StateSaveLocation=@/state
SlurmdSpoolDir=@/spool
SlurmctldPidFile=@/slurmctld.pid
SlurmdPidFile=@/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
ReturnToService=2
JobRequeue=1
RequeueExit=75,137
SlurmdParameters=config_overrides
NodeName=localhost NodeAddr=127.0.0.1 CPUs=4 RealMemory=65536 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES State=UP MaxTime=60
`

// slurmCluster starts a cluster, and runs an array job to its end. All of its processes
// are in a namespace, and end with the first of them. Slurm waits two minutes before it runs
// a task again, which would be two minutes of the test. A task is not started before the node
// is done with its last run (CG), which Slurm would not wait for.
const slurmCluster = `
set -e
munged --foreground --force --socket="$CLUSTER/munge.socket" --key-file="$CLUSTER/munge.key" \
	--pid-file="$CLUSTER/munged.pid" --log-file="$CLUSTER/munged.log" --seed-file="$CLUSTER/munge.seed" &
until [ -S "$CLUSTER/munge.socket" ]; do sleep 0.1; done
slurmctld -D >"$CLUSTER/slurmctld.log" 2>&1 &
slurmd -D -N localhost >"$CLUSTER/slurmd.log" 2>&1 &
until sinfo --noheader --format %T 2>/dev/null | grep -qx idle; do sleep 0.1; done
job=$(sbatch --parsable "$SCRIPT" "$RUN/targets.jsonl" "$RUN/results")
while tasks=$(squeue --noheader --array --job "$job" --format '%i %t %r' 2>/dev/null) && [ "$tasks" ]; do
	for task in $(sed -n 's/ PD BeginTime$//p' <<<"$tasks"); do
		scontrol update JobId="$task" StartTime=now
	done
	sleep 0.2
done
scontrol show job "$job" --oneliner
`

// freePort is a port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (f *engineFleet) slurm(t *testing.T) {
	testenv.Root(t)
	testenv.Tool(t, "munged", "slurmctld", "slurmd", "sbatch", "unshare")
	r := f.start(t)
	cluster := t.TempDir()
	for _, dir := range []string{"state", "spool"} {
		if err := os.Mkdir(filepath.Join(cluster, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	replace := strings.NewReplacer("@CONTROLLER", freePort(t), "@NODE", freePort(t), "@", cluster)
	write(t, filepath.Join(cluster, "slurm.conf"), replace.Replace(slurmConfiguration))
	write(t, filepath.Join(cluster, "munge.key"), strings.Repeat("a key of this test only. ", 8))
	if err := os.Chmod(filepath.Join(cluster, "munge.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.folder, "coldcheck.sbatch"), deployed(t, "slurm/coldcheck.sbatch"))

	cmd := r.command(t, "unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "bash", "-c", slurmCluster)
	cmd.Env = append(cmd.Env, "CLUSTER="+cluster, "SLURM_CONF="+filepath.Join(cluster, "slurm.conf"),
		"SCRIPT="+filepath.Join(r.folder, "coldcheck.sbatch"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.check(t)
	states := regexp.MustCompile(`JobState=(\S+)`).FindAllStringSubmatch(string(out), -1)
	if len(states) != engineShards || slices.ContainsFunc(states, func(m []string) bool { return m[1] != "COMPLETED" }) {
		t.Errorf("the states of the tasks are %q:\n%s", states, out)
	}
}

// kubernetes runs the Job of the kustomization with the Job controller of Kubernetes, which
// is a module of its own.
func (f *engineFleet) kubernetes(t *testing.T) {
	r := f.start(t)
	controller := filepath.Join(r.bin, "jobcontroller")
	// As the Makefile compiles the tests of the manifests: faster than with optimization.
	build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=all=-N -l", "-o", controller, "./jobcontroller")
	build.Dir = filepath.Join(module, "internal/engines")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kustomization, err := filepath.Abs(filepath.Join(module, "deploy/kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	const disrupted = "9"
	cmd := r.command(t, controller, "-kustomization", kustomization,
		"-command", filepath.Join(r.bin, "coldcheck"), "-replace", "/etc/coldcheck/targets.jsonl="+r.folder+"/targets.jsonl",
		"-replace", "s3://BUCKET/RUN="+r.results, "-replace", "REGION="+remotetest.Region, "-disrupt", disrupted)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var result struct {
		Pods []struct {
			Index     string
			ExitCode  int `json:"exit_code"`
			Disrupted bool
		}
		Conditions        []string
		Completed, Failed string
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.serial, engineRecords(t, r.results)); d != "" {
		t.Errorf("the records are not those of one process (-want +got):\n%s", d)
	}
	got := map[string][]string{}
	for _, p := range result.Pods {
		if p.Disrupted != (p.Index == disrupted && got[disrupted] == nil) || p.Disrupted && p.ExitCode != 143 {
			t.Errorf("a pod of index %s ended with %d, disrupted: %v", p.Index, p.ExitCode, p.Disrupted)
		}
		got[p.Index] = append(got[p.Index], fmt.Sprint(p.ExitCode))
	}
	want := engineCodes()
	want[disrupted] = []string{"143", "0"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the exit codes of the pods of each index (-want +got):\n%s", d)
	}
	if !slices.Contains(result.Conditions, "Complete") || result.Completed != "0-11" || result.Failed != "" {
		t.Errorf("the job ended as %+v", result)
	}
}
