package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

const (
	summary = "offline check of whether an Amazon WorkSpace can become a custom image"

	description = summary + `
It reads disk images, EBS snapshots and objects in S3 in place, decides every
requirement of image creation, and writes nothing to them.`

	license    = "Apache-2.0"
	maintainer = "The coldcheck authors <coldcheck@users.noreply.github.com>"
)

// packageForm is a kind of package.
type packageForm struct {
	packager    nfpm.Packager
	name        string // with the version and the architecture to fill in
	arch        map[string]string
	completions string // the folder of those for zsh
	legal       func(m *manual, b *build) []entry
}

var packageForms = []packageForm{
	{deb.Default, "coldcheck_%s_%s.deb", map[string]string{"amd64": "amd64", "arm64": "arm64"},
		"usr/share/zsh/vendor-completions", debianLegal},
	{rpm.DefaultRPM, "coldcheck-%s-1.%s.rpm", map[string]string{"amd64": "x86_64", "arm64": "aarch64"},
		"usr/share/zsh/site-functions", rpmLegal},
}

// debianLegal are the files with licenses where Debian's policy (section 12.5) has them.
func debianLegal(m *manual, b *build) []entry {
	copyright := fmt.Appendf(nil, "Source: %s\n\n%s\n%s", project, m.license, b.notices)
	return []entry{{"usr/share/doc/coldcheck/copyright", 0o644, copyright}}
}

func rpmLegal(m *manual, b *build) []entry {
	return []entry{
		{"usr/share/licenses/coldcheck/LICENSE", 0o644, m.license},
		{"usr/share/licenses/coldcheck/THIRD_PARTY_NOTICES", 0o644, b.notices},
	}
}

// writePackages writes the packages for a platform.
func (r *release) writePackages(work, out string, b *build, m *manual) error {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return err
	}
	man, err := gzipped(m.man)
	if err != nil {
		return err
	}
	for i, form := range packageForms {
		installed := append([]entry{
			{"usr/bin/coldcheck", 0o755, program},
			{"usr/share/man/man1/coldcheck.1.gz", 0o644, man},
			{"usr/share/bash-completion/completions/coldcheck", 0o644, m.bash},
			{"usr/share/fish/vendor_completions.d/coldcheck.fish", 0o644, m.fish},
			{form.completions + "/_coldcheck", 0o644, m.zsh},
		}, form.legal(m, b)...)
		name := fmt.Sprintf(form.name, r.number, form.arch[b.arch])
		err := create(filepath.Join(out, name), func(w io.Writer) error {
			return r.pack(w, form.packager, b.arch, filepath.Join(work, fmt.Sprintf("%s-%d", b, i)), installed)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pack writes a package with files. They are copied to the folder staging, since the
// library reads files.
func (r *release) pack(w io.Writer, p nfpm.Packager, arch, staging string, installed []entry) error {
	info := &nfpm.Info{
		Name: "coldcheck", Arch: arch, Platform: "linux", Version: r.number, VersionSchema: "semver", Release: "1",
		Section: "admin", Priority: "optional", Maintainer: maintainer, Description: description, Homepage: project,
		License: license, DisableGlobbing: true, MTime: r.date,
	}
	info.RPM.BuildHost = "localhost" // the name of the machine is not part of a release
	info.RPM.Summary = summary
	info.RPM.Compression = "zstd"
	info.Deb.Compression = "xz"
	for i, e := range installed {
		path := filepath.Join(staging, fmt.Sprint(i))
		if err := os.MkdirAll(staging, 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, e.data, 0o666); err != nil {
			return err
		}
		info.Contents = append(info.Contents, &files.Content{Source: path, Destination: "/" + e.name,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: e.mode, MTime: r.date}})
	}
	nfpm.WithDefaults(info)
	if err := nfpm.Validate(info); err != nil {
		return err
	}
	return p.Package(info, w)
}

// gzipped compresses a text without a name and a time, as "gzip -9n" does.
func gzipped(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
