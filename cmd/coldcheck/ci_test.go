package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// ciRelease is the release that the server for tests has.
const ciRelease = "1.0.0"

// releaseArchive is the archive of a release for this machine. It is not compressed, because that takes long. The
// program in it is a link to the test binary, which is the same code, unless all is tested: then it is built for this.
var releaseArchive = sync.OnceValues(func() (archive []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program := tar.Header{Name: "coldcheck", Mode: 0o755, Typeflag: tar.TypeSymlink, Linkname: self}
	var content []byte
	if testenv.Full() {
		if content, err = buildRelease(); err != nil {
			return nil, err
		}
		program = tar.Header{Name: "coldcheck", Mode: 0o755, Size: int64(len(content))}
	}
	license := []byte("a license")
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	folder := strings.TrimSuffix(archiveName(), ".tar.gz") + "/"
	for _, f := range []struct {
		header tar.Header
		data   []byte
	}{{tar.Header{Name: "LICENSE", Mode: 0o644, Size: int64(len(license))}, license}, {program, content}} {
		f.header.Name = folder + f.header.Name
		if err := w.WriteHeader(&f.header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
})

// buildRelease builds the program with the version of the release. Only linking takes long.
func buildRelease() ([]byte, error) {
	dir, err := os.MkdirTemp("", "coldcheck-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "coldcheck")
	cmd := exec.Command("go", "build", "-ldflags=-s -w -X main.release=v"+ciRelease, "-o", name, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(name)
}

func archiveName() string {
	return fmt.Sprintf("coldcheck_%s_%s_%s.tar.gz", ciRelease, runtime.GOOS, runtime.GOARCH)
}

// releases is a server with the release: at URL/good, at URL/tampered with one bit of the archive changed, and at
// URL/renamed as if it were any other release.
type releases struct {
	url, sum string
}

func serveRelease(t *testing.T) releases {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell of Unix")
	}
	testenv.Tool(t, "bash", "dash", "curl", "tar", "sha256sum")
	archive, err := releaseArchive()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(archive)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if kind != "renamed" && name != "v"+ciRelease+"/"+archiveName() {
			http.NotFound(w, r)
			return
		}
		at := 0
		if kind == "tampered" {
			at = len(archive) / 2
			w.Write(archive[:at])
			w.Write([]byte{archive[at] ^ 1})
			at++
		}
		w.Write(archive[at:])
	}))
	t.Cleanup(server.Close)
	return releases{server.URL, hex.EncodeToString(sum[:])}
}

// gh returns a folder with a stand-in for GitHub's command. It accepts the archive of the release under the identity
// that the release workflow has, and nothing else.
func (r releases) gh(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "gh"), `#!/bin/sh
[ "$1 $2" = "attestation verify" ] && [ -n "$GH_TOKEN" ] || exit 2
[ "$(sha256sum <"$3")" = "`+r.sum+`  -" ] || exit 1
shift 3
[ "$*" = "--repo coldcheck/coldcheck --signer-workflow coldcheck/coldcheck/.github/workflows/release.yml \
--source-ref refs/tags/v`+ciRelease+` --deny-self-hosted-runners" ]
`)
	if err := os.Chmod(filepath.Join(dir, "gh"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// toolsOnly returns a folder with links to the named programs.
func toolsOnly(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runIn runs a command in a folder with more variables, and returns its exit code and its output.
func runIn(t *testing.T, dir string, env map[string]string, name string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	out, err := cmd.CombinedOutput()
	return code(t, err), string(out)
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(module, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A release reaches the folder for the program only after it was verified. Whatever goes wrong, the exit code is none
// of a verdict.
func TestGetRelease(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	testenv.Tool(t, "wget")
	needed := []string{"uname", "mktemp", "rm", "tr", "mkdir", "mv", "tar", "gzip", "sha256sum", "shasum"}
	other, tampered := strings.Repeat("a", 64), r.url+"/tampered"
	withCurl, withWget := toolsOnly(t, append(needed, "curl")...), toolsOnly(t, append(needed, "wget")...)
	for name, tt := range map[string]struct {
		env  map[string]string
		path string
		want int
		says string
	}{
		"pinned":         {want: 0, says: "coldcheck "},
		"pinned, wget":   {path: withWget, want: 0, says: "coldcheck "},
		"with a v":       {env: map[string]string{"COLDCHECK_VERSION": "v" + ciRelease}, want: 0},
		"several sums":   {env: map[string]string{"COLDCHECK_SHA256": other + "\n" + strings.ToUpper(r.sum)}},
		"another sum":    {env: map[string]string{"COLDCHECK_SHA256": other}, want: 65, says: "do not use it"},
		"tampered":       {env: map[string]string{"COLDCHECK_RELEASES": tampered}, want: 65, says: "do not use it"},
		"no such one":    {env: map[string]string{"COLDCHECK_VERSION": "9.9.9"}, want: 69, says: "cannot be downloaded"},
		"no such, wget":  {env: map[string]string{"COLDCHECK_VERSION": "9.9.9"}, path: withWget, want: 69},
		"no version":     {env: map[string]string{"COLDCHECK_VERSION": ""}, want: 64, says: "set it to a release"},
		"another path":   {env: map[string]string{"COLDCHECK_VERSION": "1/../../x"}, want: 64, says: "set it to a release"},
		"a branch":       {env: map[string]string{"COLDCHECK_VERSION": "main"}, want: 64, says: "set it to a release"},
		"short sum":      {env: map[string]string{"COLDCHECK_SHA256": r.sum[1:]}, want: 64, says: "not a SHA-256"},
		"long sum":       {env: map[string]string{"COLDCHECK_SHA256": r.sum + "0"}, want: 64, says: "not a SHA-256"},
		"no sum":         {env: map[string]string{"COLDCHECK_SHA256": other[1:] + "x"}, want: 64, says: "not a SHA-256"},
		"attested":       {env: map[string]string{"COLDCHECK_SHA256": ""}, path: r.gh(t) + ":" + withCurl, want: 0},
		"nothing to ask": {env: map[string]string{"COLDCHECK_SHA256": ""}, path: withCurl, want: 64, says: "install gh"},
		"no attestation": {env: map[string]string{"COLDCHECK_SHA256": "", "COLDCHECK_RELEASES": tampered},
			path: r.gh(t) + ":" + withCurl, want: 65, says: "do not use it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"COLDCHECK_VERSION": ciRelease, "COLDCHECK_SHA256": r.sum, "GH_TOKEN": "a-token",
				"COLDCHECK_RELEASES": r.url + "/good", "PATH": withCurl}
			maps.Copy(env, tt.env)
			if tt.path != "" {
				env["PATH"] = tt.path
			}
			dir, shell := t.TempDir(), "/bin/dash"
			got, out := runIn(t, dir, env, shell, absolute(t, "deploy/ci/get.sh"))
			if got != tt.want || !strings.Contains(out, tt.says) {
				t.Errorf("it ended with %d, want %d:\n%s", got, tt.want, out)
			}
			program := filepath.Join(dir, ".coldcheck", "coldcheck")
			if _, err := os.Stat(program); (err == nil) != (tt.want == 0) {
				t.Errorf("the program: %v", err)
			}
		})
	}
}

// Archives without a folder around the files are unpacked as well.
func TestGetFlatArchive(t *testing.T) {
	t.Parallel()
	serveRelease(t) // skips where it cannot run
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	script := "#!/bin/sh\necho flat\n"
	err := w.WriteHeader(&tar.Header{Name: "coldcheck", Mode: 0o755, Size: int64(len(script))})
	if err == nil {
		_, err = io.WriteString(w, script)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	z.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(b.Bytes()) }))
	defer server.Close()
	sum := sha256.Sum256(b.Bytes())
	got, out := runIn(t, t.TempDir(), map[string]string{"COLDCHECK_VERSION": "2.0.0-rc.1",
		"COLDCHECK_SHA256": hex.EncodeToString(sum[:]), "COLDCHECK_RELEASES": server.URL},
		"sh", absolute(t, "deploy/ci/get.sh"))
	if got != 0 || !strings.HasSuffix(out, "\nflat\n") {
		t.Errorf("it ended with %d:\n%s", got, out)
	}
}

// ciScripts are the shell files that run in CI jobs.
func ciScripts(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"deploy/ci/*.sh", "deploy/github/*.sh", "deploy/pre-commit/*.sh",
		".github/scripts/*.sh"} {
		some, err := filepath.Glob(filepath.Join(module, pattern))
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: %d scripts, %v", pattern, len(some), err)
		}
		all = append(all, some...)
	}
	return all
}

func TestCIScriptsLint(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "shellcheck")
	args := append([]string{"--norc"}, ciScripts(t)...)
	if out, err := exec.Command("shellcheck", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, name := range ciScripts(t) {
		if info, err := os.Stat(name); err != nil || info.Mode()&0o111 != 0o111 {
			t.Errorf("%s cannot be run: %v", name, err)
		}
	}
}

// GitLab and Jenkins take one file, which has the scripts of deploy/ci in it. -update writes them again.
func TestScriptsInOneFile(t *testing.T) {
	for _, name := range []string{"templates/coldcheck.yml", "deploy/jenkins/vars/coldcheckScan.groovy"} {
		text := read(t, filepath.Join(module, name))
		for _, script := range []string{"deploy/ci/get.sh", "deploy/ci/scan.sh"} {
			source := read(t, filepath.Join(module, script))
			// Groovy would change a backslash, and GitLab an input.
			if strings.Contains(source, `\`) || strings.Contains(source, `'''`) || strings.Contains(source, "$[[") {
				t.Errorf("%s cannot be part of %s", script, name)
			}
			_, source, _ = strings.Cut(source, "\n") // without the first line, which names the shell
			block := regexp.MustCompile(`(?ms)^( *)# begin ` + script + `$.*^ *# end ` + script + `$`)
			m := block.FindStringSubmatch(text)
			if m == nil {
				t.Fatalf("%s has no place for %s", name, script)
			}
			indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(source, m[1]+"$1")
			text = block.ReplaceAllLiteralString(text, m[1]+"# begin "+script+"\n"+indented+m[1]+"# end "+script)
		}
		current(t, name, text)
	}
}

// snapshots are the images of a case on a server of EBS, with the variables that the SDK finds it by.
func snapshots(t *testing.T, name string) map[string]string {
	t.Helper()
	server := remotetest.EBS(t)
	for n, i := range testcases.Find(t, name).Images {
		r, err := i.Open()
		if err != nil {
			t.Fatal(err)
		}
		server.Add(fmt.Sprint("snap-", n+1), r, i.Size)
	}
	env := server.Environ("EBS")
	env["ROOT_SNAPSHOT"], env["USER_SNAPSHOT"] = "snap-1", "snap-2"
	return env
}

// strictYAML decodes YAML that has only the keys which into has.
func strictYAML(t *testing.T, name, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// The query of a URL is a secret. It is not in the log of a job, even if the shell writes a trace.
func TestScanKeepsSecrets(t *testing.T) {
	t.Parallel()
	serveRelease(t) // skips where it cannot run
	bin := filepath.Dir(coldcheck(t).Path)
	for _, shell := range []string{"dash", "bash"} {
		got, out := runIn(t, t.TempDir(), map[string]string{"COLDCHECK_BIN": bin,
			"COLDCHECK_IMAGES": "http://127.0.0.1:1/root.img?sig=" + urlSecret, "COLDCHECK_FLAGS": "--timeout=1ms"},
			shell, "-xe", absolute(t, "deploy/ci/scan.sh"))
		if got != 75 || strings.Contains(out, urlSecret) {
			t.Errorf("%s: it ended with %d:\n%s", shell, got, out)
		}
	}
}

// A scan that cannot be made leaves no report of an earlier one, and no other file is touched.
func TestScanRemovesOldReports(t *testing.T) {
	t.Parallel()
	serveRelease(t) // skips where it cannot run
	dir := t.TempDir()
	put(t, filepath.Join(dir, "coldcheck-reports/coldcheck.json"), `{"verdict": "ready"}`)
	put(t, filepath.Join(dir, "coldcheck-reports/coldcheck.yaml"), "fail-on: never\n")
	got, out := runIn(t, dir, map[string]string{"COLDCHECK_BIN": filepath.Dir(coldcheck(t).Path),
		"COLDCHECK_IMAGES": "missing.img", "COLDCHECK_FORMATS": "json"}, "sh", absolute(t, "deploy/ci/scan.sh"))
	left, err := filepath.Glob(filepath.Join(dir, "coldcheck-reports/*"))
	if err != nil || got != 74 || len(left) != 1 || filepath.Base(left[0]) != "coldcheck.yaml" {
		t.Errorf("it ended with %d and left %q (%v):\n%s", got, left, err, out)
	}
}
