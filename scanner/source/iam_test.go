package source

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// imagePolicies are the policies for what is read, and recordPolicy is the one for what is
// written. There is another one for what a service calls on behalf of the caller.
var imagePolicies = []string{"ebs-snapshots.json", "fleet-reuse.json", "s3-images.json"}

const recordPolicy = "fleet-records.json"

// allowed reads the actions that policies in deploy/iam allow.
func allowed(t *testing.T, policies ...string) []string {
	t.Helper()
	var all []string
	for _, name := range policies {
		text, err := os.ReadFile(filepath.Join("../../deploy/iam", name))
		if err != nil {
			t.Fatal(err)
		}
		var policy struct {
			Version   string
			Statement []struct {
				Sid, Effect string
				Action      []string
				Resource    string
			}
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&policy); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range policy.Statement {
			if s.Effect != "Allow" || s.Resource == "*" {
				t.Errorf("%s: %+v", name, s)
			}
			all = append(all, s.Action...)
		}
	}
	slices.Sort(all)
	return all
}

// TestPolicies: the policies allow what is called, and no more.
func TestPolicies(t *testing.T) {
	t.Parallel()
	// What the code can call.
	var methods []string
	for _, api := range []struct {
		service string
		reflect.Type
	}{{"ebs:", reflect.TypeFor[ebsAPI]()}, {"ebs:", reflect.TypeFor[changesAPI]()}, {"s3:", reflect.TypeFor[s3API]()}} {
		for n := range api.NumMethod() {
			methods = append(methods, api.service+api.Method(n).Name)
		}
	}
	// A version is read by the same call and needs an action of its own.
	methods = append(methods, "s3:GetObjectVersion")
	slices.Sort(methods)
	if want := allowed(t, imagePolicies...); !slices.Equal(methods, want) {
		t.Errorf("the code can call %v, and the policies allow %v", methods, want)
	}

	// What the services see.
	content := random(3 << 20)
	snapshots, store := remotetest.EBS(t), remotetest.S3(t)
	snapshots.Add("snap-1", bytes.NewReader(content), int64(len(content)))
	version := store.Put(t, "disk.img", content)
	for name, server := range map[string]*remotetest.Server{"ebs:snap-1": &snapshots.Server,
		"s3://images/disk.img": &store.Server, "s3://images/disk.img?versionId=" + version: &store.Server} {
		served{content: content}.expect(t, mustOpen(t, name, awsOptions(server)), 0, len(content))
	}
	if _, _, err := Changes(t.Context(), "ebs:snap-1", "ebs:snap-1", awsOptions(&snapshots.Server), nil); err != nil {
		t.Fatal(err)
	}
	seen := slices.Sorted(maps.Keys(snapshots.Actions()))
	seen = append(seen, slices.Sorted(maps.Keys(store.Actions()))...)
	if want := allowed(t, imagePolicies...); !slices.Equal(seen, want) {
		t.Errorf("the services see %v, and the policies allow %v", seen, want)
	}
}

// actionOf has the action that each call of a Folder needs.
var actionOf = map[string]string{"GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "PutObject": "s3:PutObject",
	"ListObjectsV2": "s3:ListBucket"}

// TestFolderPolicy: the policy for records allows what a Folder calls, and no more.
func TestFolderPolicy(t *testing.T) {
	t.Parallel()
	actions := map[string]bool{}
	for _, api := range []reflect.Type{reflect.TypeFor[folderAPI](), reflect.TypeFor[s3API]()} {
		for n := range api.NumMethod() {
			actions[actionOf[api.Method(n).Name]] = true
		}
	}
	want := allowed(t, recordPolicy)
	if got := slices.Sorted(maps.Keys(actions)); !slices.Equal(got, want) {
		t.Errorf("the code can call %v, and the policy allows %v", got, want)
	}

	s := remotetest.S3(t)
	f := openFolder(t, "s3://images/x", awsOptions(&s.Server))
	if err := f.Probe(t.Context(), "probe"); err != nil {
		t.Error(err)
	}
	for action, call := range calls {
		if err := call(f); err != nil && action != "s3:GetObject" { // the object may not be there yet
			t.Errorf("%s: %v", action, err)
		}
	}
	clear(actions)
	for seen := range s.Actions() {
		actions[actionOf[strings.TrimPrefix(seen, "s3:")]] = true
	}
	if got := slices.Sorted(maps.Keys(actions)); !slices.Equal(got, want) {
		t.Errorf("S3 sees %v, and the policy allows %v", got, want)
	}
}
