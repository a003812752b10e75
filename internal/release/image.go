package main

import (
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// imageUser is a user and a group that no system gives to anyone.
const imageUser = "65532:65532"

// imageName is where a service publishes the image.
const imageName = "ghcr.io/coldcheck/coldcheck"

// writeImage writes an image for each architecture of Linux as one file: the layout of
// the OCI (image-spec, image-layout.md) as a tar.
func (r *release) writeImage(work, out string, builds []*build, m *manual) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range builds {
		if b.os != "linux" {
			continue
		}
		image, err := r.image(b, m)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: ordinary{image},
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: b.os, Architecture: b.arch}}})
	}
	annotated := mutate.Annotations(index, r.annotations()).(v1.ImageIndex)
	dir := filepath.Join(work, "image")
	path, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	err = path.AppendIndex(annotated, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": r.number,
		"io.containerd.image.name":          imageName + ":" + r.number,
	}))
	if err != nil {
		return err
	}
	files, err := filesIn(dir)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("coldcheck_%s_oci.tar", r.number)
	return create(filepath.Join(out, name), func(w io.Writer) error { return writeTar(w, files, r.date) })
}

// ordinary is an image whose descriptor has no artifactType. The library writes the type of
// the configuration there, and image-spec (descriptor.md) has the field for what is no image.
type ordinary struct{ v1.Image }

func (ordinary) ArtifactType() (string, error) { return "", nil }

// image is the image for an architecture: the program, the certificates of public
// authorities, which it needs for AWS and HTTPS, and the licenses.
func (r *release) image(b *build, m *manual) (v1.Image, error) {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return nil, err
	}
	var tar bytes.Buffer
	err = writeTar(&tar, []entry{
		{"coldcheck", 0o755, program},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{"licenses/LICENSE", 0o644, m.license},
		{"licenses/THIRD_PARTY_NOTICES", 0o644, b.notices},
	}, r.date)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(tar.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression),
		tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{
		Created: v1.Time{Time: r.date}, CreatedBy: "make release VERSION=" + r.version,
	}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: r.date}
	config.OS, config.Architecture = b.os, b.arch
	config.Config = v1.Config{User: imageUser, Entrypoint: []string{"/coldcheck"}, WorkingDir: "/",
		Labels: r.annotations()}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, r.annotations()).(v1.Image), nil
}

// annotations are those of image-spec, annotations.md. The labels of an image are the same.
func (r *release) annotations() map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title":         "coldcheck",
		prefix + "description":   summary,
		prefix + "version":       r.number,
		prefix + "revision":      r.commit,
		prefix + "created":       r.date.Format(time.RFC3339),
		prefix + "source":        project,
		prefix + "url":           project,
		prefix + "documentation": project + "/blob/" + r.version + "/README.md",
		prefix + "licenses":      license,
		prefix + "vendor":        "coldcheck",
	}
}

// authorities are the certificates that Mozilla trusts without constraints, in PEM.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// Writing to a buffer does not fail.
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return b.Bytes()
}

// filesIn returns all files below a folder in the order of their names.
func filesIn(dir string) ([]entry, error) {
	var list []entry
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		list = append(list, entry{filepath.ToSlash(name), 0o644, data})
		return nil
	})
	return list, err
}
