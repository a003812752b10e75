package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// Records in S3 are exported as those in a folder. If they cannot be read for a reason that
// may pass, nothing is written.
func TestFleetExportS3(t *testing.T) {
	t.Parallel()
	script, err := txtar.ParseFile("testdata/script/fleet_export.txtar")
	if err != nil {
		t.Fatal(err)
	}
	bucket, dir := remotetest.S3(t), t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "results", "records"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, f := range script.Files {
		if !strings.HasPrefix(f.Name, "results/records/") {
			continue
		}
		bucket.Put(t, path.Join("fleet", f.Name), f.Data)
		write(t, filepath.Join(dir, f.Name), string(f.Data))
	}
	run := func(dest, file string) int {
		t.Helper()
		cmd := coldcheck(t, "fleet", "export", dest, "-o", "ocsf="+filepath.Join(dir, file))
		cmd.Env = os.Environ()
		for name, value := range bucket.Environ("S3") {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return code(t, cmd.Run())
	}
	remote := "s3://" + remotetest.Bucket + "/fleet/results"
	if a, b := run(filepath.Join(dir, "results"), "folder"), run(remote, "s3"); a != 0 || b != 0 {
		t.Fatalf("exit codes %d and %d", a, b)
	}
	if a, b := read(t, filepath.Join(dir, "folder")), read(t, filepath.Join(dir, "s3")); a != b || len(a) < 1000 {
		t.Errorf("from a folder\n%s\nfrom S3\n%s", a, b)
	}
	bucket.FailAction("s3:GetObject", 1, remotetest.ExpiredCredentials, 100) // all but one record
	if c := run(remote, "none"); c != 75 {
		t.Errorf("exit code %d", c)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 3 {
		t.Errorf("files: %v %v", names, err)
	}
}
