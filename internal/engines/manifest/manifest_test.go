package manifest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

const deploy = "../../../deploy"

// ebsRequests is how many requests for blocks of EBS snapshots a fleet may send in a
// second: nine tenths of the quota of an account.
const ebsRequests = 900

func build(t *testing.T) *Set {
	t.Helper()
	s, err := Build(filepath.Join(deploy, "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Namespace == nil || s.ServiceAccount == nil || s.ConfigMap == nil || s.Job == nil {
		t.Fatalf("the kustomization makes %+v", s)
	}
	return s
}

// option returns the value of an option of the form --name=value.
func option(t *testing.T, args []string, name string) string {
	t.Helper()
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return value
		}
	}
	t.Fatalf("no --%s among %q", name, args)
	return ""
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKubernetes: the manifests are those of the API, belong together, and keep to the
// limits that their page names.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	s := build(t)
	for what, namespace := range map[string]string{"service account": s.ServiceAccount.Namespace,
		"config map": s.ConfigMap.Namespace, "job": s.Job.Namespace} {
		if namespace != s.Namespace.Name {
			t.Errorf("the %s is in the namespace %q", what, namespace)
		}
	}
	if level := s.Namespace.Labels["pod-security.kubernetes.io/enforce"]; level != "restricted" {
		t.Errorf("the namespace enforces %q", level)
	}
	list := s.ConfigMap.Data["targets.jsonl"]
	if text, err := os.ReadFile(filepath.Join(deploy, "kubernetes/targets.jsonl")); err != nil || list != string(text) {
		t.Errorf("the config map has %q: %v", list, err)
	}

	spec, pod := s.Job.Spec, s.Job.Spec.Template.Spec
	if *spec.CompletionMode != batchv1.IndexedCompletion || *spec.BackoffLimitPerIndex < 1 || spec.BackoffLimit != nil ||
		*spec.PodReplacementPolicy != batchv1.Failed {
		t.Errorf("the job is %+v", spec)
	}
	if pod.RestartPolicy != corev1.RestartPolicyNever || pod.ServiceAccountName != s.ServiceAccount.Name ||
		*pod.AutomountServiceAccountToken || len(pod.Containers) != 1 {
		t.Fatalf("the pod is %+v", pod)
	}
	c := pod.Containers[0]
	if !slices.Equal(c.Args[:3], []string{"fleet", "run", "/etc/coldcheck/targets.jsonl"}) ||
		c.Image != "REGISTRY/coldcheck:VERSION" {
		t.Errorf("the container runs %s with %q", c.Image, c.Args)
	}
	if n := number(t, option(t, c.Args, "shards")); n != int(*spec.Completions) {
		t.Errorf("%d shards in %d completions", n, *spec.Completions)
	}
	rate := number(t, option(t, c.Args, "ebs-rate")) * int(*spec.Parallelism)
	if rate > ebsRequests || rate < ebsRequests/2 {
		t.Errorf("all pods send %d requests a second", rate)
	}
	memory := int64(number(t, strings.TrimSuffix(option(t, c.Args, "max-memory"), "M"))) << 20
	limit, request := c.Resources.Limits.Memory().Value(), c.Resources.Requests.Memory().Value()
	if limit < memory*5/4 || limit != request {
		t.Errorf("a container has %d to %d bytes for --max-memory=%d", request, limit, memory)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Cpu().IsZero() {
		t.Error("the CPUs of a container are not limited")
	}
	mount, volume := c.VolumeMounts[0], pod.Volumes[0]
	if mount.MountPath != "/etc/coldcheck" || !mount.ReadOnly || mount.Name != volume.Name ||
		volume.ConfigMap.Name != s.ConfigMap.Name {
		t.Errorf("the list is mounted as %+v from %+v", mount, volume)
	}

	of, inner := pod.SecurityContext, c.SecurityContext
	if !*of.RunAsNonRoot || *of.RunAsUser == 0 || of.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod runs as %+v", of)
	}
	if *inner.AllowPrivilegeEscalation || !*inner.ReadOnlyRootFilesystem || *inner.Privileged ||
		!slices.Equal(inner.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(inner.Capabilities.Add) > 0 {
		t.Errorf("the container runs as %+v", inner)
	}
}

// decide returns what the policy of a job makes of a pod, as the API documents it: the
// first rule that matches decides.
func decide(
	t *testing.T, policy *batchv1.PodFailurePolicy, code int32, condition corev1.PodConditionType,
) batchv1.PodFailurePolicyAction {
	t.Helper()
	for _, r := range policy.Rules {
		for _, c := range r.OnPodConditions {
			if c.Type == condition && c.Status == corev1.ConditionTrue {
				return r.Action
			}
		}
		if e := r.OnExitCodes; e != nil && code != 0 {
			if *e.ContainerName != "coldcheck" {
				t.Errorf("a rule is about the container %q", *e.ContainerName)
			}
			if slices.Contains(e.Values, code) == (e.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return r.Action
			}
		}
	}
	return batchv1.PodFailurePolicyActionCount
}

// TestFailurePolicy: Kubernetes runs a shard again after 75 and signals, and after nothing
// else. What is not the fault of a pod does not count.
func TestFailurePolicy(t *testing.T) {
	t.Parallel()
	policy := build(t).Job.Spec.PodFailurePolicy
	for code, want := range map[int32]batchv1.PodFailurePolicyAction{
		64: batchv1.PodFailurePolicyActionFailJob,
		74: batchv1.PodFailurePolicyActionFailIndex, 1: batchv1.PodFailurePolicyActionFailIndex,
		2: batchv1.PodFailurePolicyActionFailIndex, 127: batchv1.PodFailurePolicyActionFailIndex,
		75: batchv1.PodFailurePolicyActionCount, 130: batchv1.PodFailurePolicyActionCount,
		137: batchv1.PodFailurePolicyActionCount, 143: batchv1.PodFailurePolicyActionCount,
	} {
		if got := decide(t, policy, code, ""); got != want {
			t.Errorf("exit code %d: %s, want %s", code, got, want)
		}
		if got := decide(t, policy, code, corev1.DisruptionTarget); got != batchv1.PodFailurePolicyActionIgnore {
			t.Errorf("a disruption that ends with %d: %s", code, got)
		}
	}
	// Without an exit code, as if a node is lost.
	if got := decide(t, policy, 0, ""); got != batchv1.PodFailurePolicyActionCount {
		t.Errorf("no exit code: %s", got)
	}
}

// TestDockerfile: the image runs as the user of the pod, and begins with the program.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(deploy, "image/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	user := strconv.FormatInt(*build(t).Job.Spec.Template.Spec.SecurityContext.RunAsUser, 10)
	last := string(text)[strings.LastIndex(string(text), "\nFROM "):]
	for _, line := range []string{"FROM scratch", "USER " + user + ":" + user, `ENTRYPOINT ["/coldcheck"]`} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(line) + `$`).MatchString(last) {
			t.Errorf("the image has no line %q", line)
		}
	}
}
