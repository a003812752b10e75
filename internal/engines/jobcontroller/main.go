// Command jobcontroller runs the Job of a kustomization with the Job controller of
// Kubernetes, without a cluster: each pod is a process of this machine.
//
//	jobcontroller -kustomization DIR -command FILE [-replace OLD=NEW]… [-disrupt INDEX]
//
// The Job gets the defaults of the API and passes its validation. What the controller
// asks of the API is kept in memory. A kubelet of a few lines starts the command, with the
// arguments and variables of the container, and reports how it ended. The result is a
// JSON object on standard output.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install" // the types of the scheme
	"k8s.io/kubernetes/pkg/apis/batch/validation"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	controller "k8s.io/kubernetes/pkg/controller/job"

	"github.com/coldcheck/coldcheck/internal/engines/manifest"
)

// Result is what a Job did.
type Result struct {
	Pods       []Pod    `json:"pods"`       // in the order in which they ended
	Conditions []string `json:"conditions"` // of the Job
	Completed  string   `json:"completed"`  // indexes
	Failed     string   `json:"failed"`     // indexes
}

// Pod is a pod that ended.
type Pod struct {
	Index     string `json:"index"`
	ExitCode  int    `json:"exit_code"`
	Disrupted bool   `json:"disrupted,omitempty"`
}

func main() {
	var k kubelet
	var replace replacements
	dir := flag.String("kustomization", "", "build the kustomization in `DIR`")
	flag.StringVar(&k.command, "command", "", "run `FILE` as the entry point of the image")
	flag.Var(&replace, "replace", "replace a text in arguments and variables (`OLD=NEW`)")
	flag.StringVar(&k.disrupt, "disrupt", "", "disrupt the first pod of `INDEX`")
	backoff := flag.Duration("backoff", 100*time.Millisecond, "wait for `DURATION` before the first retry")
	flag.Parse()
	k.replace = strings.NewReplacer(replace...)
	controller.DefaultJobPodFailureBackOff = *backoff

	result, err := run(context.Background(), *dir, &k)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "jobcontroller:", err)
		os.Exit(1)
	}
}

// replacements are pairs of texts.
type replacements []string

func (r *replacements) String() string { return strings.Join(*r, " ") }

func (r *replacements) Set(text string) error {
	old, with, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not OLD=NEW", text)
	}
	*r = append(*r, old, with)
	return nil
}

// run runs the Job to its end.
func run(ctx context.Context, dir string, k *kubelet) (*Result, error) {
	set, err := manifest.Build(dir)
	if err != nil {
		return nil, err
	}
	job, err := admit(set.Job)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := fake.NewClientset(job)
	client.PrependReactor("create", "pods", func(a kubetesting.Action) (bool, runtime.Object, error) {
		pod := a.(kubetesting.CreateAction).GetObject().(*corev1.Pod)
		pod.UID = uuid.NewUUID()
		if pod.Name == "" {
			pod.Name = pod.GenerateName + utilrand.String(5)
		}
		pod.CreationTimestamp = metav1.Now()
		pod.ResourceVersion = k.nextVersion()
		pod.Status.Phase = corev1.PodPending
		return true, pod, client.Tracker().Create(a.GetResource(), pod, a.GetNamespace())
	})
	k.client, k.pods, k.seen = client, map[types.UID]context.CancelFunc{}, map[string]bool{}

	factory := informers.NewSharedInformerFactory(client, 0)
	// The last two are for a feature that is off by default.
	jobs, err := controller.NewController(ctx, client, factory.Core().V1().Pods(), factory.Batch().V1().Jobs(), nil, nil)
	if err != nil {
		return nil, err
	}
	if err := k.watch(ctx, factory.Core().V1().Pods().Informer()); err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go jobs.Run(ctx, 2)

	for {
		current, err := client.BatchV1().Jobs(job.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if conditions, ended := conditionsOf(current); ended {
			k.running.Wait()
			r := &Result{Pods: k.ended(), Conditions: conditions, Completed: current.Status.CompletedIndexes}
			if current.Status.FailedIndexes != nil {
				r.Failed = *current.Status.FailedIndexes
			}
			return r, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// admit does what the server of the API does with a new Job: it sets defaults, makes a
// selector, and validates it. It does without the server's own code for that, which
// includes most of the server and takes minutes to compile.
func admit(job *batchv1.Job) (*batchv1.Job, error) {
	job = job.DeepCopy()
	job.UID, job.CreationTimestamp, job.Generation = uuid.NewUUID(), metav1.Now(), 1
	legacyscheme.Scheme.Default(job)

	// https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector
	labels := map[string]string{batchv1.JobNameLabel: job.Name, batchv1.ControllerUidLabel: string(job.UID)}
	job.Spec.Selector = metav1.SetAsLabelSelector(map[string]string{batchv1.ControllerUidLabel: string(job.UID)})
	// The labels of versions before 1.27 are still demanded.
	labels["job-name"], labels["controller-uid"] = job.Name, string(job.UID)
	maps.Copy(labels, job.Spec.Template.Labels)
	job.Spec.Template.Labels = labels

	var internal batch.Job
	if err := legacyscheme.Scheme.Convert(job, &internal, nil); err != nil {
		return nil, err
	}
	options := validation.JobValidationOptions{RequirePrefixedLabels: true}
	return job, validation.ValidateJobCreate(&internal, options).ToAggregate()
}

// conditionsOf returns the conditions of a Job, and whether it has ended.
func conditionsOf(job *batchv1.Job) (conditions []string, ended bool) {
	for _, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			conditions = append(conditions, string(c.Type))
			ended = ended || c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
		}
	}
	return conditions, ended
}
