// Package manifest reads the manifests of a kustomization as kubectl sends them to
// Kubernetes, with the types of its API.
package manifest

import (
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Set is what a kustomization makes, at most one of each kind.
type Set struct {
	Namespace      *corev1.Namespace
	ServiceAccount *corev1.ServiceAccount
	ConfigMap      *corev1.ConfigMap
	Job            *batchv1.Job
}

// Build builds the kustomization in a folder. Unknown and repeated fields and other kinds
// are errors.
func Build(dir string) (*Set, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var s Set
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		switch kind := r.GetKind(); kind {
		case "Namespace":
			err = decode(text, &s.Namespace)
		case "ServiceAccount":
			err = decode(text, &s.ServiceAccount)
		case "ConfigMap":
			err = decode(text, &s.ConfigMap)
		case "Job":
			err = decode(text, &s.Job)
		default:
			err = errors.New("a kind that is not expected")
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
	}
	return &s, nil
}

// decode decodes a manifest strictly.
func decode[T any](text []byte, into **T) error {
	if *into != nil {
		return errors.New("there are two of this kind")
	}
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	*into = new(T)
	strict, err := json.UnmarshalStrict(data, *into)
	return errors.Join(append(strict, err)...)
}
