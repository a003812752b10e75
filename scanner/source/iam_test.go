package source

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// allowed reads the actions that the policies in deploy/iam allow, except those that a
// service calls on behalf of the caller.
func allowed(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"ebs-snapshots.json", "s3-images.json"} {
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
	for service, api := range map[string]reflect.Type{"ebs:": reflect.TypeFor[ebsAPI](), "s3:": reflect.TypeFor[s3API]()} {
		for n := range api.NumMethod() {
			methods = append(methods, service+api.Method(n).Name)
		}
	}
	// A version is read by the same call and needs an action of its own.
	methods = append(methods, "s3:GetObjectVersion")
	slices.Sort(methods)
	if want := allowed(t); !slices.Equal(methods, want) {
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
	seen := slices.Sorted(maps.Keys(snapshots.Actions()))
	seen = append(seen, slices.Sorted(maps.Keys(store.Actions()))...)
	if want := allowed(t); !slices.Equal(seen, want) {
		t.Errorf("the services see %v, and the policies allow %v", seen, want)
	}
}
