package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// decodeJSON decodes a file strictly.
func decodeJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	checkEnums(t, name, reflect.ValueOf(into))
}

// checkEnums reports values that are none of their type. The SDK has the values of a type
// in its method Values.
func checkEnums(t *testing.T, where string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			checkEnums(t, where, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				checkEnums(t, where+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkEnums(t, where, v.Index(i))
		}
	case reflect.String:
		values := v.MethodByName("Values")
		if !values.IsValid() || v.String() == "" {
			return
		}
		all := values.Call(nil)[0]
		for i := range all.Len() {
			if all.Index(i).String() == v.String() {
				return
			}
		}
		t.Errorf("%s: %q is not one of its values", where, v.String())
	}
}

// service answers every request of the SDK, which checks what it sends before it does.
type service struct{ paths []string }

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.paths = append(s.paths, r.URL.Path)
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

func client(s *service) *batch.Client {
	return batch.New(batch.Options{Region: "eu-west-1", HTTPClient: s,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		})})
}

// retries decides as AWS Batch documents it: the first entry of which all patterns match,
// and a retry if there is none.
func retries(s *types.RetryStrategy, code, status, reason string) bool {
	match := func(pattern *string, text string) bool {
		if pattern == nil {
			return true
		}
		if prefix, open := strings.CutSuffix(*pattern, "*"); open {
			return strings.HasPrefix(text, prefix)
		}
		return *pattern == text
	}
	for _, e := range s.EvaluateOnExit {
		if match(e.OnExitCode, code) && match(e.OnStatusReason, status) && match(e.OnReason, reason) {
			return e.Action == types.RetryActionRetry
		}
	}
	return true
}

// TestBatch: the job definitions and the job are those of the API, belong together, and
// retry 75 and signals only.
func TestBatch(t *testing.T) {
	t.Parallel()
	var job batch.SubmitJobInput
	decodeJSON(t, "batch/submit-job.json", &job)
	s := &service{}
	if _, err := client(s).SubmitJob(t.Context(), &job); err != nil {
		t.Error(err)
	}
	size := int(*job.ArrayProperties.Size)
	if size < 2 || size > 10_000 || number(t, job.Parameters["rate"])*size > ebsRequests {
		t.Errorf("an array of %d jobs with --ebs-rate %s", size, job.Parameters["rate"])
	}
	for name, platform := range map[string]types.PlatformCapability{
		"batch/job-definition-fargate.json": types.PlatformCapabilityFargate,
		"batch/job-definition-ec2.json":     types.PlatformCapabilityEc2,
	} {
		var d batch.RegisterJobDefinitionInput
		decodeJSON(t, name, &d)
		if _, err := client(s).RegisterJobDefinition(t.Context(), &d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if *d.JobDefinitionName != *job.JobDefinition || d.Type != types.JobDefinitionTypeContainer ||
			!slices.Equal(d.PlatformCapabilities, []types.PlatformCapability{platform}) {
			t.Errorf("%s: %s is a %s for %s", name, *d.JobDefinitionName, d.Type, d.PlatformCapabilities)
		}
		c := d.ContainerProperties
		if !slices.Equal(c.Command[:2], []string{"fleet", "run"}) || *c.Image != "REGISTRY/coldcheck:VERSION" ||
			*c.User != "65532:65532" || !*c.ReadonlyRootFilesystem || c.JobRoleArn == nil {
			t.Errorf("%s: the container is %+v", name, c)
		}
		var used []string
		for _, word := range c.Command {
			if parameter, ok := strings.CutPrefix(word, "Ref::"); ok {
				used = append(used, parameter)
				if job.Parameters[parameter] == "" || d.Parameters[parameter] == "" {
					t.Errorf("%s: the parameter %s has no value", name, parameter)
				}
			}
		}
		if len(used) != len(d.Parameters) || len(used) != len(job.Parameters) {
			t.Errorf("%s: the command uses the parameters %q", name, used)
		}
		resources := map[types.ResourceType]string{}
		for _, r := range c.ResourceRequirements {
			resources[r.Type] = *r.Value
		}
		limit := slices.Index(c.Command, "--max-memory")
		memory := number(t, strings.TrimSuffix(c.Command[limit+1], "M"))
		if number(t, resources[types.ResourceTypeMemory]) < memory*5/4 || resources[types.ResourceTypeVcpu] == "" {
			t.Errorf("%s: the resources are %v", name, resources)
		}
		// AWS Fargate has 2 to 8 GiB for one CPU, and needs a role that pulls the image.
		if platform == types.PlatformCapabilityFargate && (resources[types.ResourceTypeVcpu] != "1" ||
			resources[types.ResourceTypeMemory] != "2048" || c.ExecutionRoleArn == nil || c.Privileged != nil) {
			t.Errorf("%s: not for AWS Fargate: %v", name, resources)
		}
		if a := *d.RetryStrategy.Attempts; a < 2 || a > 10 || len(d.RetryStrategy.EvaluateOnExit) > 5 {
			t.Errorf("%s: %d attempts and %d entries", name, a, len(d.RetryStrategy.EvaluateOnExit))
		}
		const ended = "Essential container in task exited"
		for code, want := range map[string]bool{"75": true, "137": true, "143": true, "64": false, "74": false, "1": false,
			"2": false, "7": false, "139": false} {
			if got := retries(d.RetryStrategy, code, ended, ""); got != want {
				t.Errorf("%s: after exit code %s it is retried: %v", name, code, got)
			}
		}
		if !retries(d.RetryStrategy, "", "Host EC2 (instance i-0123456789abcdef0) terminated.", "") {
			t.Errorf("%s: after the end of an instance it is not retried", name)
		}
	}
	if len(s.paths) != 3 {
		t.Errorf("the SDK sent %q", s.paths)
	}
}
