package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// kubelet runs pods as processes.
type kubelet struct {
	client  kubernetes.Interface
	command string            // the entry point of the image
	replace *strings.Replacer // of what stands in arguments and variables
	disrupt string            // the index whose first pod is disrupted; "" for none

	version atomic.Int64
	running sync.WaitGroup
	mu      sync.Mutex
	pods    map[types.UID]context.CancelFunc
	seen    map[string]bool // indexes that had a pod
	all     []Pod
}

// watch starts a process for each new pod, and ends those of pods that are deleted.
func (k *kubelet) watch(ctx context.Context, pods cache.SharedIndexInformer) error {
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			pod := o.(*corev1.Pod).DeepCopy()
			ctx, cancel := context.WithCancel(ctx)
			k.mu.Lock()
			k.pods[pod.UID] = cancel
			k.mu.Unlock()
			k.running.Go(func() {
				defer cancel()
				if err := k.run(ctx, pod); err != nil {
					fmt.Fprintf(os.Stderr, "jobcontroller: pod %s: %v\n", pod.Name, err)
					os.Exit(1)
				}
			})
		},
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			k.pods[o.(*corev1.Pod).UID]()
		},
	})
	return err
}

// nextVersion is the version of a pod that is written. The memory that stands for the API
// makes none, and the controller ignores changes that keep the version.
func (k *kubelet) nextVersion() string { return strconv.FormatInt(k.version.Add(1), 10) }

// ended returns the pods that ended.
func (k *kubelet) ended() []Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

// run runs the container of a pod, and reports its end.
func (k *kubelet) run(ctx context.Context, pod *corev1.Pod) error {
	c := pod.Spec.Containers[0]
	variables := map[string]string{}
	for _, v := range c.Env {
		value, err := valueOf(pod, v)
		if err != nil {
			return err
		}
		variables[v.Name] = k.replace.Replace(value)
	}
	var args []string
	for _, a := range c.Args {
		args = append(args, k.replace.Replace(a))
	}
	cmd := exec.CommandContext(ctx, k.command, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Env = os.Environ()
	for name, value := range variables {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second

	index := variables["JOB_COMPLETION_INDEX"]
	k.mu.Lock()
	disrupt := index == k.disrupt && !k.seen[index]
	k.seen[index] = true
	k.mu.Unlock()

	begun := metav1.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	if disrupt {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	code, err := exitCode(cmd.Wait())
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.all = append(k.all, Pod{index, int(code), disrupt})
	k.mu.Unlock()
	if ctx.Err() != nil {
		return nil // the pod is deleted
	}
	return k.report(ctx, pod, corev1.ContainerStateTerminated{ExitCode: code, StartedAt: begun, FinishedAt: metav1.Now()},
		disrupt)
}

// report sets the status of a pod that has ended.
func (k *kubelet) report(
	ctx context.Context, pod *corev1.Pod, end corev1.ContainerStateTerminated, disrupted bool,
) error {
	pods := k.client.CoreV1().Pods(pod.Namespace)
	current, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	current.Status.Phase = corev1.PodSucceeded
	if end.ExitCode != 0 {
		current.Status.Phase = corev1.PodFailed
	}
	current.Status.StartTime = &end.StartedAt
	current.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: pod.Spec.Containers[0].Name, State: corev1.ContainerState{Terminated: &end},
	}}
	if disrupted {
		current.Status.Conditions = append(current.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
			LastTransitionTime: end.FinishedAt,
		})
	}
	current.ResourceVersion = k.nextVersion()
	_, err = pods.UpdateStatus(ctx, current, metav1.UpdateOptions{})
	return err
}

// exitCode is the exit code of a container: 128 and the number of the signal for a process
// that a signal ended.
func exitCode(err error) (int32, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int32(status.Signal()), nil
	}
	return int32(exit.ExitCode()), nil
}

// valueOf is the value of a variable: a text, or an annotation or a label of the pod.
func valueOf(pod *corev1.Pod, v corev1.EnvVar) (string, error) {
	if v.ValueFrom == nil {
		return v.Value, nil
	}
	if v.ValueFrom.FieldRef != nil {
		for prefix, of := range map[string]map[string]string{
			"metadata.annotations['": pod.Annotations, "metadata.labels['": pod.Labels,
		} {
			if name, ok := strings.CutPrefix(v.ValueFrom.FieldRef.FieldPath, prefix); ok {
				if value, ok := of[strings.TrimSuffix(name, "']")]; ok {
					return value, nil
				}
			}
		}
	}
	return "", fmt.Errorf("the variable %s has a source that is not supported: %+v", v.Name, v.ValueFrom)
}
