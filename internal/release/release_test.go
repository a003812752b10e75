package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// need skips a test without its tools, or fails it in a strict run, as testenv.Tool does in
// the module of the program.
func need(t *testing.T, tools ...string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("not in short mode: runs %s", strings.Join(tools, ", "))
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if strict() {
			t.Fatalf("needs %s (make tools installs it)", tool)
		}
		t.Skipf("needs %s (make tools installs it)", tool)
	}
}

func strict() bool { return os.Getenv("COLDCHECK_STRICT") == "1" }

func nightly() bool { return os.Getenv("COLDCHECK_NIGHTLY") == "1" }

// command runs a command in a folder and returns what it prints.
func command(t *testing.T, dir, name string, arguments ...string) string {
	t.Helper()
	out, err := try(dir, name, arguments...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, out)
	}
	return out
}

func try(dir, name string, arguments ...string) (string, error) {
	c := exec.Command(name, arguments...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	return string(out), err
}

// toy is a program that stands for coldcheck where only the packing is tested. It takes
// seconds to compile for all platforms, and imports nothing but os.
const toy = `package main

import "os"

func main() {
	os.Stdout.WriteString("toy " + os.Args[len(os.Args)-1] + "\n")
}
`

// toyTree makes a clone with one commit of the toy.
func toyTree(t *testing.T, dir, source string) {
	t.Helper()
	for name, text := range map[string]string{
		"go.mod":                "module github.com/coldcheck/coldcheck\n\ngo 1.26.0\n",
		"cmd/coldcheck/main.go": source,
		"LICENSE":               "the license\n", "README.md": "the page\n", "CHANGELOG.md": "the changes\n",
		".gitignore": "/dist/\n",
	} {
		if err := writeBelow(dir, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	command(t, dir, "git", "init", "-q")
	commit(t, dir)
}

// commit makes a commit that is the same wherever it is made.
func commit(t *testing.T, dir string) {
	t.Helper()
	command(t, dir, "git", "add", "-A")
	const date = "2026-11-30T12:00:00Z"
	command(t, dir, "env", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "git", "-c", "user.name=t",
		"-c", "user.email=t@example.com", "commit", "-q", "-m", "toy")
}

// makeKey makes a private key, and returns its path and that of the public one.
func makeKey(t *testing.T, dir, kind string) (private, public string) {
	t.Helper()
	private, public = filepath.Join(dir, kind+".pem"), filepath.Join(dir, kind+".pub")
	switch kind {
	case "ecdsa":
		command(t, dir, "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", private)
	case "pkcs8":
		command(t, dir, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private)
	case "p384":
		command(t, dir, "openssl", "ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", private)
	default:
		command(t, dir, "openssl", "genpkey", "-algorithm", kind, "-out", private)
	}
	command(t, dir, "openssl", "pkey", "-in", private, "-pubout", "-out", public)
	return private, public
}

// twice are two releases of the toy that were built in different folders with one key.
type twice struct {
	a, b   string // dist
	public string
	err    error
}

var toyRoot string

func TestMain(m *testing.M) {
	var err error
	if toyRoot, err = os.MkdirTemp("", "release-test-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(toyRoot)
	os.Exit(status)
}

var toyOnce sync.Once
var toyReleases twice

// toys returns the releases of the toy, which are built once for all tests. Only a strict
// or a nightly run builds the second.
func toys(t *testing.T) twice {
	t.Helper()
	need(t, "git", "openssl")
	toyOnce.Do(func() {
		toyReleases.err = errors.New("the toy is not built")
		private, public := makeKey(t, toyRoot, "ecdsa")
		releases := []*string{&toyReleases.a, &toyReleases.b}
		if !strict() && !nightly() {
			releases = releases[:1]
		}
		for i, dist := range releases {
			tree := filepath.Join(toyRoot, strings.Repeat("deeper/", i)+fmt.Sprint("tree", i))
			toyTree(t, tree, toy)
			*dist = filepath.Join(tree, "dist")
			err := run(t.Context(), []string{"-root", tree, "-version", "v1.2.3-rc.1", "-key", private}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
		}
		toyReleases.public, toyReleases.err = public, nil
	})
	if toyReleases.err != nil {
		t.Fatal(toyReleases.err)
	}
	return toyReleases
}

// digests are the SHA-256 of all regular files below a folder.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[filepath.ToSlash(name)], err = sha256Of(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// releaseFiles are the files of a release of a version.
func releaseFiles(version string) []string {
	var names []string
	for _, name := range []string{
		"SHA256SUMS", "coldcheck_V.intoto.jsonl", "coldcheck_V_oci.tar",
		"coldcheck_V_linux_amd64.tar.gz", "coldcheck_V_linux_arm64.tar.gz", "coldcheck_V_windows_amd64.zip",
		"coldcheck_V_darwin_amd64.tar.gz", "coldcheck_V_darwin_arm64.tar.gz",
		"coldcheck_V_linux_amd64.cdx.json", "coldcheck_V_linux_arm64.cdx.json", "coldcheck_V_windows_amd64.cdx.json",
		"coldcheck_V_darwin_amd64.cdx.json", "coldcheck_V_darwin_arm64.cdx.json",
		"coldcheck_V_amd64.deb", "coldcheck_V_arm64.deb", "coldcheck-V-1.x86_64.rpm", "coldcheck-V-1.aarch64.rpm",
		"homebrew/coldcheck.rb", "scoop/coldcheck.json", "winget/coldcheck.coldcheck.yaml",
		"winget/coldcheck.coldcheck.installer.yaml", "winget/coldcheck.coldcheck.locale.en-US.yaml",
	} {
		names = append(names, strings.ReplaceAll(name, "V", version))
	}
	slices.Sort(names)
	return names
}

// Two releases of a commit in different folders are the same, with all the files and nothing
// else.
func TestReproducible(t *testing.T) {
	t.Parallel()
	r := toys(t)
	a := digests(t, r.a)
	if r.b != "" {
		if d := cmp.Diff(a, digests(t, r.b)); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff(releaseFiles("1.2.3-rc.1"), slices.Sorted(maps.Keys(a))); d != "" {
		t.Error(d)
	}
	// Nothing of the build is left next to the release, and no tag in the clone.
	tree := filepath.Dir(r.a)
	if left, err := filepath.Glob(filepath.Join(tree, ".dist*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if tags := command(t, tree, "git", "tag"); tags != "" {
		t.Errorf("tags: %s", tags)
	}
}

// archived returns the files of an archive by name, and checks owners and times.
func archived(t *testing.T, path string, date time.Time) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	if strings.HasSuffix(path, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			content, err := z.Open(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if files[f.Name], err = io.ReadAll(content); err != nil {
				t.Fatal(err)
			}
			if !f.Modified.Equal(date) {
				t.Errorf("%s: %v", f.Name, f.Modified)
			}
		}
		return files
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(date) {
			t.Errorf("%+v", h)
		}
		if h.Typeflag == tar.TypeReg {
			if files[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if isProgram := h.Name == "coldcheck"; h.Typeflag == tar.TypeReg && (h.Mode == 0o755) != isProgram {
			t.Errorf("%s has the mode %o", h.Name, h.Mode)
		}
	}
}

// toyDate is the time of the toy's commit.
var toyDate = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// Every archive has the program for its platform, and the pages and licenses.
func TestArchives(t *testing.T) {
	t.Parallel()
	r := toys(t)
	magic := map[string]string{"linux": "\x7fELF", "darwin": "\xcf\xfa\xed\xfe", "windows": "MZ"}
	for _, p := range platforms {
		name := (&release{number: "1.2.3-rc.1"}).archiveName(p)
		files := archived(t, filepath.Join(r.a, name), toyDate)
		want := []string{"CHANGELOG.md", "LICENSE", "README.md", "THIRD_PARTY_NOTICES", p.program(),
			"completions/_coldcheck", "completions/coldcheck.bash", "completions/coldcheck.fish",
			"completions/coldcheck.ps1", "man/coldcheck.1"}
		slices.Sort(want)
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(files))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if !bytes.HasPrefix(files[p.program()], []byte(magic[p.os])) {
			t.Errorf("%s: the program begins with %q", name, files[p.program()][:4])
		}
		for page, text := range map[string]string{"man/coldcheck.1": "toy man\n", "LICENSE": "the license\n",
			"completions/_coldcheck": "toy zsh\n", "completions/coldcheck.ps1": "toy powershell\n"} {
			if string(files[page]) != text {
				t.Errorf("%s: %s is %q", name, page, files[page])
			}
		}
		if text := files["THIRD_PARTY_NOTICES"]; !bytes.Contains(text, []byte("The Go Authors")) {
			t.Errorf("%s: the license of the standard library is missing", name)
		}
	}
}

// The program says the version, and the toolchain wrote it there.
func TestProgram(t *testing.T) {
	t.Parallel()
	r := toys(t)
	program := filepath.Join(t.TempDir(), "coldcheck")
	files := archived(t, filepath.Join(r.a, "coldcheck_1.2.3-rc.1_linux_amd64.tar.gz"), toyDate)
	if err := os.WriteFile(program, files["coldcheck"], 0o755); err != nil {
		t.Fatal(err)
	}
	need(t, "go")
	text := command(t, ".", "go", "version", "-m", program)
	for _, want := range []string{"\tmod\tgithub.com/coldcheck/coldcheck\tv1.2.3-rc.1\t", "vcs.modified=false",
		"CGO_ENABLED=0", "-trimpath=true"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if tree := filepath.Dir(r.a); bytes.Contains(files["coldcheck"], []byte(tree)) {
		t.Errorf("the program contains %s", tree)
	}
}

// dpkg and rpm list, install and remove the packages.
func TestPackages(t *testing.T) {
	t.Parallel()
	need(t, "dpkg", "dpkg-deb", "rpm", "rpm2cpio")
	r := toys(t)
	common := []string{"/usr/bin/coldcheck", "/usr/share/bash-completion/completions/coldcheck",
		"/usr/share/fish/vendor_completions.d/coldcheck.fish", "/usr/share/man/man1/coldcheck.1.gz"}
	installed := func(root string) []string {
		var names []string
		for name := range digests(t, filepath.Join(root, "usr")) {
			names = append(names, "/usr/"+name)
		}
		slices.Sort(names)
		return names
	}
	t.Run("deb", func(t *testing.T) {
		t.Parallel()
		pkg := filepath.Join(r.a, "coldcheck_1.2.3-rc.1_amd64.deb")
		fields := command(t, ".", "dpkg-deb", "--field", pkg, "Package", "Version", "Architecture", "Depends")
		if want := "Package: coldcheck\nVersion: 1.2.3~rc.1-1\nArchitecture: amd64\n"; fields != want {
			t.Errorf("%s", fields)
		}
		root := t.TempDir()
		for _, dir := range []string{"updates", "info"} {
			if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeBelow(root, "var/lib/dpkg/status", nil); err != nil {
			t.Fatal(err)
		}
		command(t, ".", "dpkg", "--root="+root, "--force-not-root", "--force-architecture", "-i", pkg)
		want := slices.Sorted(slices.Values(append(slices.Clone(common), "/usr/share/doc/coldcheck/copyright",
			"/usr/share/zsh/vendor-completions/_coldcheck")))
		if d := cmp.Diff(want, installed(root)); d != "" {
			t.Error(d)
		}
		command(t, ".", "dpkg", "--root="+root, "--force-not-root", "--purge", "coldcheck")
		if left, err := os.Stat(filepath.Join(root, "usr/bin/coldcheck")); err == nil {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("rpm", func(t *testing.T) {
		t.Parallel()
		pkg := filepath.Join(r.a, "coldcheck-1.2.3-rc.1-1.x86_64.rpm")
		const query = `%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{BUILDHOST} %{BUILDTIME}`
		got := command(t, ".", "rpm", "-qp", "--nosignature", "--qf", query, pkg)
		if want := fmt.Sprint("coldcheck 1.2.3~rc.1 1 x86_64 Apache-2.0 localhost ", toyDate.Unix()); got != want {
			t.Errorf("%s, not %s", got, want)
		}
		root := t.TempDir()
		command(t, ".", "rpm", "--root", root, "--nosignature", "--ignorearch", "-i", pkg)
		want := slices.Sorted(slices.Values(append(slices.Clone(common), "/usr/share/licenses/coldcheck/LICENSE",
			"/usr/share/licenses/coldcheck/THIRD_PARTY_NOTICES", "/usr/share/zsh/site-functions/_coldcheck")))
		if d := cmp.Diff(want, slices.DeleteFunc(installed(root), func(name string) bool {
			return strings.HasPrefix(name, "/usr/lib/sysimage/")
		})); d != "" {
			t.Error(d)
		}
		command(t, ".", "rpm", "--root", root, "-e", "coldcheck")
		if left, err := os.Stat(filepath.Join(root, "usr/bin/coldcheck")); err == nil {
			t.Errorf("left: %v", left)
		}
	})
}

// imageOf unpacks the image of a release, and returns its index.
func imageOf(t *testing.T, file string) v1.ImageIndex {
	t.Helper()
	need(t, "tar")
	dir := t.TempDir()
	command(t, dir, "tar", "-xf", file)
	if text, err := os.ReadFile(filepath.Join(dir, "oci-layout")); err != nil ||
		!strings.Contains(string(text), `"imageLayoutVersion": "1.0.0"`) {
		t.Fatalf("oci-layout: %s, %v", text, err)
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || !manifest.Manifests[0].MediaType.IsIndex() {
		t.Fatalf("%+v", manifest)
	}
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// checkImage checks the image of a release, and returns the program for an architecture.
func checkImage(t *testing.T, file, version, arch string, date time.Time) []byte {
	t.Helper()
	index := imageOf(t, file)
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var program []byte
	var architectures []string
	for _, d := range manifest.Manifests {
		architectures = append(architectures, d.Platform.String())
		if d.ArtifactType != "" {
			t.Errorf("the image for %s is an artifact: %s", d.Platform, d.ArtifactType)
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		m, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/coldcheck"}) ||
			config.Architecture != d.Platform.Architecture || !config.Created.Equal(date) {
			t.Errorf("%+v", config)
		}
		for _, texts := range []map[string]string{config.Config.Labels, m.Annotations, manifest.Annotations} {
			if texts["org.opencontainers.image.version"] != version || texts["org.opencontainers.image.source"] != project {
				t.Errorf("%v", texts)
			}
		}
		layers, err := image.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		files := map[string][]byte{}
		content := mutate.Extract(image)
		for r := tar.NewReader(content); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Typeflag == tar.TypeReg {
				if files[path.Clean(h.Name)], err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		content.Close()
		want := []string{"coldcheck", "etc/ssl/certs/ca-certificates.crt", "licenses/LICENSE",
			"licenses/THIRD_PARTY_NOTICES"}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
			t.Error(diff)
		}
		if n := bytes.Count(files["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE")); n < 100 {
			t.Errorf("%d certificates", n)
		}
		if d.Platform.Architecture == arch {
			program = files["coldcheck"]
		}
	}
	if !slices.Equal(architectures, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("%v", architectures)
	}
	return program
}

// The image has the program of the archive, for both architectures.
func TestImage(t *testing.T) {
	t.Parallel()
	r := toys(t)
	program := checkImage(t, filepath.Join(r.a, "coldcheck_1.2.3-rc.1_oci.tar"), "1.2.3-rc.1", "amd64", toyDate)
	files := archived(t, filepath.Join(r.a, "coldcheck_1.2.3-rc.1_linux_amd64.tar.gz"), toyDate)
	if !bytes.Equal(program, files["coldcheck"]) {
		t.Error("the program of the image is another one")
	}
}

// checkBOM checks a bill of materials against what the go command says about the program.
func checkBOM(t *testing.T, file, program, version string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, c := range *bom.Components {
		if c.Name != standardLibrary {
			got = append(got, c.Name+" "+c.Version)
		}
		if c.Licenses == nil || len(*c.Licenses) != 1 || (*c.Licenses)[0] == (cdx.LicenseChoice{}) {
			t.Errorf("%s has no license", c.Name)
		}
	}
	want := []string{}
	text := command(t, ".", "go", "version", "-m", program)
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(text, -1) {
		want = append(want, m[1]+" "+m[2])
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if tool := (*bom.Metadata.Tools.Components)[0]; tool.Name != "cyclonedx-gomod" || tool.Version == "" {
		t.Errorf("made by %s %q", tool.Name, tool.Version)
	}
	c := bom.Metadata.Component
	sum, err := sha256Of(program)
	if err != nil {
		t.Fatal(err)
	}
	if c.Version != version || (*c.Hashes)[0].Value != sum || (*c.Licenses)[0].License.ID != "Apache-2.0" {
		t.Errorf("%+v", c)
	}
}

func TestBOM(t *testing.T) {
	t.Parallel()
	need(t, "go")
	r := toys(t)
	for _, p := range platforms {
		name := (&release{number: "1.2.3-rc.1"}).archiveName(p)
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, archived(t, filepath.Join(r.a, name), toyDate)[p.program()], 0o666); err != nil {
			t.Fatal(err)
		}
		checkBOM(t, filepath.Join(r.a, "coldcheck_1.2.3-rc.1_"+p.String()+".cdx.json"), program, "v1.2.3-rc.1")
	}
}

// Every module of the program has a license with a name, on every platform.
func TestLicenses(t *testing.T) {
	t.Parallel()
	need(t, "go")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range platforms {
		modules, err := listModules(t.Context(), root, p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
		} else if len(modules) < 20 {
			t.Errorf("%s: %d modules", p, len(modules))
		}
	}
}

// Texts of licenses are found by the names of their files. A module without a license, or
// with an unknown one, is an error.
func TestReadLicenses(t *testing.T) {
	t.Parallel()
	mit, err := os.ReadFile("testdata/mit.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string // "" for an error
	}{
		"one":     {map[string]string{"LICENSE": string(mit)}, "MIT LICENSE"},
		"spelled": {map[string]string{"Licence.md": string(mit)}, "MIT Licence.md"},
		"below": {map[string]string{"COPYING": string(mit), "a/LICENSE-MIT.txt": string(mit)},
			"MIT COPYING a/LICENSE-MIT.txt"},
		"notice":  {map[string]string{"LICENSE": string(mit), "NOTICE": "thanks"}, "MIT LICENSE NOTICE"},
		"none":    {map[string]string{"README": string(mit), "license.go": string(mit)}, ""},
		"unknown": {map[string]string{"LICENSE": "Do what you like."}, ""},
	} {
		dir := t.TempDir()
		dirs := map[string]bool{dir: true}
		for file, text := range c.files {
			if err := writeBelow(dir, file, []byte(text)); err != nil {
				t.Fatal(err)
			}
			dirs[filepath.Dir(filepath.Join(dir, file))] = true
		}
		m := module{path: "example.com/m", version: "v1.0.0"}
		err := m.readLicenses(dir, slices.Sorted(maps.Keys(dirs)))
		if (err == nil) != (c.want != "") || err != nil && !strings.HasPrefix(err.Error(), "example.com/m v1.0.0") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err != nil {
			continue
		}
		got := strings.Join(m.licenses, " ")
		for _, text := range m.texts {
			got += " " + text.name
		}
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// verification is the documented verification: the commands under a heading of the page.
func verification(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/release.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the page has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var commands strings.Builder
	for line := range strings.Lines(section) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			commands.WriteString(code)
		}
	}
	return commands.String()
}

// The documented verification accepts the release, and refuses it after any change.
func TestVerify(t *testing.T) {
	t.Parallel()
	need(t, "openssl", "sha256sum", "sh", "base64", "sed")
	r := toys(t)
	script := strings.ReplaceAll(verification(t, "Verify a release"), "1.2.3", "1.2.3-rc.1")
	if strings.Count(script, "\n") < 5 {
		t.Fatalf("the page has the commands\n%s", script)
	}
	_, foreign := makeKey(t, t.TempDir(), "pkcs8")
	archive := "coldcheck_1.2.3-rc.1_linux_amd64.tar.gz"
	change := func(name string, f func(data []byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), f(data), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	// tampered is an archive with one bit changed, and sums that fit it.
	tampered := change(archive, func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
	envelope := "coldcheck_1.2.3-rc.1.intoto.jsonl"
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		key    string
		ok     bool
	}{
		"release":         {func(*testing.T, string) {}, r.public, true},
		"foreign key":     {func(*testing.T, string) {}, foreign, false},
		"changed archive": {tampered, r.public, false},
		"changed sums": {func(t *testing.T, dir string) {
			tampered(t, dir)
			command(t, dir, "sh", "-c", "sha256sum coldcheck* >SHA256SUMS")
		}, r.public, false},
		"changed statement": {change(envelope, func(data []byte) []byte {
			return bytes.Replace(data, []byte(`"payload":"e`), []byte(`"payload":"f`), 1)
		}), r.public, false},
		"changed signature": {change(envelope, func(data []byte) []byte {
			return bytes.Replace(data, []byte(`"sig":"M`), []byte(`"sig":"N`), 1)
		}), r.public, false},
		"no signature": {change(envelope, func(data []byte) []byte {
			head, _, _ := bytes.Cut(data, []byte(`"signatures"`))
			return append(head, `"signatures":[]}`...)
		}), r.public, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, file := range []string{archive, envelope, "SHA256SUMS"} {
				data, err := os.ReadFile(filepath.Join(r.a, file))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			c.change(t, dir)
			key, err := os.ReadFile(c.key)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "coldcheck.pub"), key, 0o666); err != nil {
				t.Fatal(err)
			}
			out, err := try(dir, "sh", "-e", "-c", script)
			if (err == nil) != c.ok {
				t.Errorf("%v\n%s", err, out)
			}
			if !c.ok && !errors.As(err, new(*exec.ExitError)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// The statement names every file with its sum, the commit, and the modules.
func TestProvenance(t *testing.T) {
	t.Parallel()
	r := toys(t)
	s := statementOf(t, r.a, "1.2.3-rc.1")
	named := map[string]string{}
	for _, file := range s.Subject {
		named[file.Name] = file.Digest["sha256"]
	}
	want := digests(t, r.a)
	for name := range want {
		if strings.Contains(name, "/") || strings.HasSuffix(name, ".jsonl") {
			delete(want, name)
		}
	}
	if d := cmp.Diff(want, named); d != "" {
		t.Error(d)
	}
	head := strings.TrimSpace(command(t, filepath.Dir(r.a), "git", "rev-parse", "HEAD"))
	d := s.Predicate.BuildDefinition
	if d.ResolvedDependencies[0].Digest["gitCommit"] != head || d.ExternalParameters["version"] != "v1.2.3-rc.1" ||
		s.Predicate.RunDetails.Builder.ID != localBuilder || d.InternalParameters.SourceDateEpoch != toyDate.Unix() {
		t.Errorf("%+v", s.Predicate)
	}
}

func statementOf(t *testing.T, dist, version string) statement {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dist, "coldcheck_"+version+".intoto.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatal(err)
	}
	var s statement
	if err := json.Unmarshal(envelope.Payload, &s); err != nil {
		t.Fatal(err)
	}
	if envelope.PayloadType != payloadType || s.Type != statementType || s.PredicateType != predicateType {
		t.Errorf("%s %s %s", envelope.PayloadType, s.Type, s.PredicateType)
	}
	return s
}

// A module's digest is the sum of go.sum in hex.
func TestModuleDigest(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("x"))
	m := module{sum: "h1:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="}
	if got := m.digest()["dirHash"]; got != hex.EncodeToString(digest[:]) {
		t.Error(got)
	}
	if (&module{}).digest() != nil {
		t.Error("a module without a sum has a digest")
	}
}

// Keys are accepted in the forms that openssl writes, and other kinds are refused.
func TestKeys(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	dir := t.TempDir()
	for kind, ok := range map[string]bool{"ecdsa": true, "pkcs8": true, "ed25519": true, "p384": false, "RSA": false} {
		private, public := makeKey(t, dir, kind)
		s, err := loadSigner(private)
		if (err == nil) != ok {
			t.Errorf("%s: %v", kind, err)
		}
		if err != nil {
			continue
		}
		first, err := s.Sign(t.Context(), []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Sign(t.Context(), []byte("text"))
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s: two signatures differ, or %v", kind, err)
		}
		for name, data := range map[string][]byte{"sig": first, "text": []byte("text")} {
			if err := os.WriteFile(filepath.Join(dir, kind+name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		verify := []string{"dgst", "-sha256", "-verify", public, "-signature", kind + "sig", kind + "text"}
		if kind == "ed25519" {
			verify = []string{"pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", kind + "text",
				"-sigfile", kind + "sig"}
		}
		command(t, dir, "openssl", verify...)
		id, err := s.KeyID()
		if err != nil {
			t.Fatal(err)
		}
		der := command(t, dir, "openssl", "pkey", "-pubin", "-in", public, "-outform", "DER")
		if digest := sha256.Sum256([]byte(der)); id != hex.EncodeToString(digest[:]) {
			t.Errorf("%s: the ID is %s", kind, id)
		}
	}
	for name, text := range map[string]string{"empty": "", "text": "no key",
		"block": "-----BEGIN X-----\nAAAA\n-----END X-----\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		var r refusal
		if _, err := loadSigner(filepath.Join(dir, name)); !errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := loadSigner(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// The manifests of package managers have the URLs and the sums of the archives.
func TestChannels(t *testing.T) {
	t.Parallel()
	r := toys(t)
	sums := digests(t, r.a)
	base := project + "/releases/download/v1.2.3-rc.1/"
	for file, archives := range map[string][]string{
		"homebrew/coldcheck.rb": {"darwin_arm64.tar.gz", "darwin_amd64.tar.gz", "linux_arm64.tar.gz",
			"linux_amd64.tar.gz"},
		"scoop/coldcheck.json":                      {"windows_amd64.zip"},
		"winget/coldcheck.coldcheck.installer.yaml": {"windows_amd64.zip"},
	} {
		text, err := os.ReadFile(filepath.Join(r.a, file))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, a := range archives {
			name := "coldcheck_1.2.3-rc.1_" + a
			want = append(want, base+name, sums[name])
		}
		found := regexp.MustCompile(`https://\S+/v1.2.3-rc.1/[^"\s]+|\b[0-9A-Fa-f]{64}\b`).FindAllString(string(text), -1)
		for i := range found {
			if len(found[i]) == 64 {
				found[i] = strings.ToLower(found[i])
			}
		}
		slices.Sort(found)
		slices.Sort(want)
		if d := cmp.Diff(want, found); d != "" {
			t.Errorf("%s: %s", file, d)
		}
	}
	if _, err := (&channel{names: map[string]string{}}).Sum("linux_amd64"); err == nil {
		t.Error("an archive that is missing has a sum")
	}
}

func TestVersionNumber(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "v0.9.0": "0.9.0", "v1.2.3-rc.1": "1.2.3-rc.1", "": "", "1.2.3": "", "v1": "", "v1.2": "",
		"v1.2.3+meta": "", "v01.2.3": "", "latest": "", "v1.2.3-": "", "v1.2.3/../x": "", "v1.2.3 ": "",
	} {
		got, err := versionNumber(version)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", version, got, err)
		}
	}
}

// What makes a release impossible is refused before anything is built, and nothing of what
// was there is lost.
func TestRefusals(t *testing.T) {
	need(t, "git", "openssl")
	tree := filepath.Join(t.TempDir(), "tree")
	toyTree(t, tree, toy)
	if err := writeBelow(tree, "dist/old", []byte("old")); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	onlyGo := t.TempDir()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(onlyGo, "go")); err != nil {
		t.Fatal(err)
	}
	private, _ := makeKey(t, empty, "RSA")
	for _, c := range []struct {
		name      string
		arguments []string
		prepare   func()
		env       [2]string
		want      string
	}{
		{name: "no version", want: "there is no version"},
		{name: "bad version", arguments: []string{"-version", "1.2.3"}, want: `"1.2.3" is not a version of a release`},
		{name: "no go", arguments: []string{"-version", "v1.2.3"}, env: [2]string{"PATH", empty},
			want: "go is not installed"},
		{name: "no git", arguments: []string{"-version", "v1.2.3"}, env: [2]string{"PATH", onlyGo},
			want: "git is not installed"},
		{name: "bad key", arguments: []string{"-version", "v1.2.3", "-key", private}, want: "another kind"},
		{name: "bad time", arguments: []string{"-version", "v1.2.3"}, env: [2]string{"SOURCE_DATE_EPOCH", "today"},
			want: `SOURCE_DATE_EPOCH is "today"`},
		{name: "early time", arguments: []string{"-version", "v1.2.3"}, env: [2]string{"SOURCE_DATE_EPOCH", "315532799"},
			want: "not a time from 1980"},
		{name: "argument", arguments: []string{"-version", "v1.2.3", "more"}, want: `unexpected argument "more"`},
		{name: "dirty", arguments: []string{"-version", "v1.2.3"}, want: "?? new", prepare: func() {
			if err := writeBelow(tree, "new", nil); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "other tag", arguments: []string{"-version", "v1.2.3"}, want: "the tag v1.2.3 is the commit", prepare: func() {
			command(t, tree, "git", "tag", "v1.2.3")
			commit(t, tree)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare()
			}
			if c.env[0] != "" {
				t.Setenv(c.env[0], c.env[1])
			}
			var log bytes.Buffer
			err := run(t.Context(), append([]string{"-root", tree}, c.arguments...), &log)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			checkUntouched(t, tree)
			if log.Len() > 0 {
				t.Errorf("began: %s", &log)
			}
		})
	}
}

// checkUntouched checks that the folder for the release is as it was, and that nothing is
// beside it.
func checkUntouched(t *testing.T, tree string) {
	t.Helper()
	if data, err := os.ReadFile(filepath.Join(tree, "dist/old")); err != nil || string(data) != "old" {
		t.Errorf("%s, %v", data, err)
	}
	entries, err := os.ReadDir(filepath.Join(tree, "dist"))
	left, globErr := filepath.Glob(filepath.Join(tree, ".dist*"))
	if err != nil || globErr != nil || len(entries) != 1 || len(left) > 0 {
		t.Errorf("%v, %v, %v, %v", entries, err, left, globErr)
	}
}

// A program of another version or commit, or built with other settings, is refused.
func TestCheckBuild(t *testing.T) {
	t.Parallel()
	r := &release{options: options{version: "v1.2.3"}, commit: "c0ffee"}
	for _, c := range []struct {
		version, settings string
		ok                bool
	}{
		{"v1.2.3", "vcs.revision=c0ffee vcs.modified=false", true},
		{"v1.2.4", "vcs.revision=c0ffee vcs.modified=false", false},
		{"v1.2.3", "vcs.revision=decade vcs.modified=false", false},
		{"v1.2.3", "vcs.revision=c0ffee vcs.modified=true", false},
		{"v1.2.3", "", false},
		{"v1.2.3", "vcs.revision=c0ffee vcs.modified=false GOEXPERIMENT=nogreenteagc", false},
		{"v1.2.3", "vcs.revision=c0ffee vcs.modified=false -tags=other", false},
		{"v1.2.3", "vcs.revision=c0ffee vcs.modified=false -gcflags=-N", false},
	} {
		info := &buildinfo.BuildInfo{Main: debug.Module{Version: c.version}}
		for _, s := range strings.Fields(c.settings) {
			key, value, _ := strings.Cut(s, "=")
			info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
		}
		if err := r.checkBuild(platforms[0], info); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A step that fails leaves no half release.
func TestFailures(t *testing.T) {
	t.Parallel()
	need(t, "git", "go")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		source string
		ctx    context.Context
		limit  int64
		want   string
	}{
		"compile":   {"package main\n\nfunc main() { undefined() }\n", t.Context(), maxProgram, "undefined: undefined"},
		"no pages":  {"package main\n\nfunc main() {}\n", t.Context(), maxProgram, "coldcheck man prints nothing"},
		"too large": {toy, t.Context(), 100_000, "bytes, more than 100000"},
		"canceled":  {toy, canceled, maxProgram, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := t.TempDir()
			toyTree(t, tree, c.source)
			if err := writeBelow(tree, "dist/old", []byte("old")); err != nil {
				t.Fatal(err)
			}
			o := options{root: tree, dist: filepath.Join(tree, "dist"), version: "v1.2.3", log: io.Discard}
			r, err := check(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			r.targets, r.limit = []platform{{runtime.GOOS, runtime.GOARCH}}, c.limit
			if err := r.make(c.ctx); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			checkUntouched(t, tree)
		})
	}
}
