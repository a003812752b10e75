package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// remoteCase is a case of the demonstration whose images are on a server.
type remoteCase struct {
	*remotetest.Server
	images []string // their names
	env    []string
	action string // of a request for data
}

const urlSecret = "a-secret-of-a-url"

// remoteCases has the case on each kind of server.
func remoteCases(t *testing.T, name string) map[string]remoteCase {
	t.Helper()
	web, store, snapshots := remotetest.HTTP(t), remotetest.S3(t), remotetest.EBS(t)
	environ := func(s *remotetest.Server, service string) []string {
		env := os.Environ()
		for variable, value := range s.Environ(service) {
			env = append(env, variable+"="+value)
		}
		return env
	}
	cases := map[string]remoteCase{
		"http": {Server: &web.Server, env: os.Environ(), action: "GET"},
		"s3":   {Server: &store.Server, env: environ(&store.Server, "S3"), action: "s3:GetObject"},
		"ebs":  {Server: &snapshots.Server, env: environ(&snapshots.Server, "EBS"), action: "ebs:GetSnapshotBlock"},
	}
	c := testcases.Find(t, name)
	add := func(kind, name string) {
		r := cases[kind]
		r.images = append(r.images, name)
		cases[kind] = r
	}
	for n, i := range c.Images {
		r, err := i.Open()
		if err != nil {
			t.Fatal(err)
		}
		web.PutReader(i.Name, r, i.Size, fmt.Sprintf(`"%d"`, n))
		store.PutLarge(i.Name, r, i.Size)
		snapshots.Add(fmt.Sprint("snap-", n), r, i.Size)
		at := strings.TrimPrefix(web.URL, "http://")
		add("http", "http://user:"+urlSecret+"@"+at+"/"+i.Name+"?X-Amz-Signature="+urlSecret)
		add("s3", "s3://"+remotetest.Bucket+"/"+i.Name)
		add("ebs", fmt.Sprint("ebs:snap-", n))
	}
	return cases
}

// run runs the command and returns its exit code. Nothing that it writes has a secret.
func (r remoteCase) run(t *testing.T, args ...string) (exit int, output string) {
	t.Helper()
	cmd := coldcheck(t, args...)
	cmd.Env = append(cmd.Env, r.env...)
	out, err := cmd.CombinedOutput()
	exit = code(t, err)
	texts := map[string]string{"the output": string(out)}
	entries, err := os.ReadDir(cmd.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(cmd.Dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		texts[e.Name()] = string(text)
		if exit == 74 || exit == 75 {
			t.Errorf("with exit code %d, %s is written", exit, e.Name())
		}
	}
	for where, text := range texts {
		for _, secret := range []string{urlSecret, remotetest.SecretKey, remotetest.SessionToken, remotetest.AccessKey} {
			if strings.Contains(text, secret) {
				t.Errorf("%q: %s has %s", args, where, secret)
			}
		}
	}
	return exit, string(out)
}

// TestRemoteScan: a scan of remote images ends as one of local images, and no report has
// a secret.
func TestRemoteScan(t *testing.T) {
	t.Parallel()
	snapshots := filepath.Join(t.TempDir(), "snapshots.json")
	const described = `{"Snapshots": [
		{"SnapshotId": "snap-0", "Encrypted": true, "StartTime": "2026-03-01T06:00:00+00:00"}]}`
	if err := os.WriteFile(snapshots, []byte(described), 0o666); err != nil {
		t.Fatal(err)
	}
	for where, r := range remoteCases(t, "failing") {
		args := append([]string{"scan", "--no-progress", "--stats", "--hash", "--all", "--with", snapshots, "-o", "table"},
			r.images...)
		for _, format := range []string{"json", "jsonl", "log", "html", "markdown", "sarif", "junit"} {
			args = append(args, "-o", format+"=report."+format)
		}
		exit, out := r.run(t, args...)
		if exit != 1 {
			t.Errorf("%s: exit code %d: %s", where, exit, out)
		}
		priced := strings.Contains(out, "$0.0") && strings.Contains(out, "list price, us-east-1 as of ")
		if where == "ebs" && !strings.Contains(strings.Join(strings.Fields(out), " "),
			"encrypted, started 2026-03-01T06:00:00+00:00") || !strings.Contains(out, "read set of") {
			t.Errorf("%s: the table does not say what was read: %s", where, out)
		}
		if !strings.Contains(out, "REQUESTS") || priced != (where != "http") {
			t.Errorf("%s: the statistics are %s", where, out)
		}
		if !strings.Contains(strings.Join(strings.Fields(out), " "), "is read over an unencrypted connection") {
			t.Errorf("%s: no notice says that the connection is not encrypted: %s", where, out)
		}
		if where == "http" {
			exit, out := r.run(t, append([]string{"scan", "--no-progress", "--cross-check", "-o", "json"}, r.images...)...)
			if exit != 1 || !regexp.MustCompile(`"confirmed": [1-9]`).MatchString(out) {
				t.Errorf("the cross-check of %s ends with %d: %.1000s", r.images, exit, out)
			}
		}
		exit, out = r.run(t, append([]string{"scan", "--dry-run", "--no-progress"}, r.images...)...)
		dry := strings.Contains(out, "READS") || !strings.Contains(out, "REQUESTS") || !strings.Contains(out, "estimate")
		if priced = strings.Contains(out, "$0.000"); exit != 0 || dry || priced != (where != "http") {
			t.Errorf("%s: the dry run ends with %d: %s", where, exit, out)
		}
		// Without the user volume, a hint shows the command line.
		if exit, out := r.run(t, "scan", "--no-progress", r.images[0]); exit != 1 || !strings.Contains(out, "hint: ") {
			t.Errorf("%s: exit code %d: %s", where, exit, out)
		}
		if exit, out := r.run(t, "inspect", "ls", r.images[0], "Windows"); exit != 0 || !strings.Contains(out, "System32") {
			t.Errorf("%s: exit code %d: %s", where, exit, out)
		}
	}
}

// TestWorkerArguments: nobody sees the names of images among the arguments or the
// variables of the process of a cross-check.
func TestWorkerArguments(t *testing.T) {
	t.Parallel()
	image := "https://host/root.img?X-Amz-Signature=" + urlSecret
	start, err := startWorker(&workerImages{rawNames([]string{image}), rawNames([]string{image + "\xff"})})
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t.Context())
	if all := fmt.Sprint(cmd.Args, cmd.Env); strings.Contains(all, "host") || strings.Contains(all, urlSecret) {
		t.Errorf("the command is %s", all)
	}
	text, err := io.ReadAll(cmd.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	var got workerImages
	if err := json.Unmarshal(text, &got); err != nil || !bytes.HasSuffix(text, []byte("}\n")) ||
		bytes.Count(text, []byte("\n")) != 1 || plainNames(got.Images)[0] != image ||
		plainNames(got.Parents)[0] != image+"\xff" {
		t.Errorf("%q, %v", text, err)
	}
	if again, err := io.ReadAll(start(t.Context()).Stdin); err != nil || string(again) != string(text) {
		t.Errorf("the next process gets %q, %v", again, err)
	}
}

// TestRemoteExits: every fault of a server has the exit code of its kind, from the first
// request on and in the middle. The commands run at the same time, because they wait
// before they send a request again.
func TestRemoteExits(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for fault, want := range map[remotetest.Fault]int{
		remotetest.Throttled: 75, remotetest.Failed: 75, remotetest.Reset: 75, remotetest.Short: 75,
		remotetest.ExpiredCredentials: 75, remotetest.WrongChecksum: 75, remotetest.ExpiredToken: 75,
		remotetest.Denied: 74, remotetest.Missing: 74,
	} {
		for _, skip := range []int{0, 10} {
			if skip == 0 && !testenv.Full() {
				continue
			}
			for where, r := range remoteCases(t, "linux-failing") {
				if (fault == remotetest.WrongChecksum || fault == remotetest.ExpiredToken) && where != "ebs" {
					continue
				}
				want := want
				if skip > 0 && where == "http" && fault == remotetest.Denied {
					want = 75 // a URL that was good has expired
				}
				r.FailAction(r.action, skip, fault, -1)
				if skip == 0 && (fault == remotetest.Throttled || fault == remotetest.Denied) {
					all.Go(func() {
						exit, out := r.run(t, append([]string{"scan", "--no-progress", "--dry-run"}, r.images...)...)
						if exit != want || strings.Count(out, "coldcheck: ") != 1 || strings.Contains(out, "estimate") {
							t.Errorf("%s: %s: the dry run ends with %d, want %d: %s", where, fault, exit, want, out)
						}
					})
				}
				all.Go(func() {
					exit, out := r.run(t, append([]string{"scan", "--no-progress", "-o", "json=report.json"}, r.images...)...)
					if exit != want || strings.Count(out, "coldcheck: ") != 1 {
						t.Errorf("%s: %s after %d requests: exit code %d, want %d: %s", where, fault, skip, exit, want, out)
					}
				})
			}
		}
	}
	for where, r := range remoteCases(t, "linux-failing") {
		r.FailAction(r.action, 3, remotetest.Missing, -1)
		all.Go(func() {
			if exit, out := r.run(t, "inspect", "ls", "-R", r.images[0]); exit != 74 {
				t.Errorf("%s: inspect: exit code %d: %s", where, exit, out)
			}
		})
	}
	all.Wait()
}

// TestParallelReadsDefault: the command leaves the number of reads at a time to the
// scanner, which uses more for remote images.
func TestParallelReadsDefault(t *testing.T) {
	c := (&program{}).scanCommand()
	flag := c.Flag("parallel-reads")
	if got := flag.Value.String(); got != "0" {
		t.Errorf("the default of --parallel-reads is %s, want 0: the scanner decides", got)
	}
	if !strings.Contains(flag.Usage, "default 8, and 32 if an image is remote") {
		t.Errorf("the help of --parallel-reads is %q", flag.Usage)
	}
}

// TestNoCredentials: the AWS SDK writes nothing to standard error, even if the instance
// metadata service refuses.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(metadata.Close)
	cmd := coldcheck(t, "scan", "--no-progress", "ebs:snap-0123456789abcdef0")
	cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir(), "AWS_REGION=eu-west-1",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadata.URL)
	out, err := cmd.CombinedOutput()
	want := "coldcheck: ebs:snap-0123456789abcdef0: there are no AWS credentials\n" +
		"hint: set AWS_PROFILE, run aws sso login, or use a role, as for the AWS CLI\n"
	if exit := code(t, err); exit != 74 || string(out) != want {
		t.Errorf("exit code %d and\n%swant 74 and\n%s", exit, out, want)
	}
}
