package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// documentedRelease is the version in the commands of pages.
const documentedRelease = "1.0.0"

// releaseNames are the files of a release, and of the manifests in it.
func releaseNames(version string) []string {
	names := []string{"SHA256SUMS", "coldcheck_" + version + "_oci.tar", "coldcheck_" + version + ".intoto.jsonl",
		"coldcheck.rb", "coldcheck.json", "coldcheck.coldcheck.yaml", "coldcheck.coldcheck.installer.yaml",
		"coldcheck.coldcheck.locale.en-US.yaml"}
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64"} {
		extension := ".tar.gz"
		if platform == "windows_amd64" {
			extension = ".zip"
		}
		names = append(names, "coldcheck_"+version+"_"+platform+extension, "coldcheck_"+version+"_"+platform+".cdx.json")
	}
	for _, arch := range []string{"amd64", "arm64"} {
		names = append(names, "coldcheck_"+version+"_"+arch+".deb")
	}
	for _, arch := range []string{"x86_64", "aarch64"} {
		names = append(names, "coldcheck-"+version+"-1."+arch+".rpm")
	}
	return names
}

// TestReleaseNames: every file of a release that a page names is one that a release has.
func TestReleaseNames(t *testing.T) {
	file := regexp.MustCompile(`coldcheck[_-]` + regexp.QuoteMeta(documentedRelease) + `[^\s)"'` + "`" + `:]*|` +
		`releases/download/\S+`)
	found := 0
	for _, page := range pages(t) {
		for _, name := range file.FindAllString(read(t, page), -1) {
			if name = path.Base(name); name == "download" {
				continue // the address of all releases
			}
			found++
			if !slices.Contains(releaseNames(documentedRelease), strings.TrimRight(name, ".,")) {
				t.Errorf("%s: a release has no file %s", page, name)
			}
		}
	}
	if found < 15 {
		t.Errorf("%d names", found)
	}
}

// TestInstallation runs the commands of the README and of the page, unchanged but for the
// server and the folder, with an archive of this program. They verify the archive before
// they unpack it.
func TestInstallation(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "sh", "curl", "sha256sum", "tar", "gzip", "install")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	whole, small := archived(t, []byte(read(t, self))), archived(t, bytes.Repeat([]byte("program"), 1000))
	name := "coldcheck_" + documentedRelease + "_linux_amd64.tar.gz"
	sums := func(archive []byte) []byte {
		return fmt.Appendf(nil, "%x  coldcheck_%s_linux_arm64.tar.gz\n%x  %s\n", sha256.Sum256(nil), documentedRelease,
			sha256.Sum256(archive), name)
	}
	tampered := bytes.Clone(small)
	tampered[len(tampered)/2] ^= 1
	for _, page := range []string{"README.md", "docs/install.md"} {
		script := regexp.MustCompile("(?s)```sh\n(version=.*?)```").FindStringSubmatch(read(t, filepath.Join(module, page)))
		if script == nil {
			t.Fatalf("%s has no commands", page)
		}
		for what, served := range map[string]map[string][]byte{
			"good":       {name: whole, "SHA256SUMS": sums(whole)},
			"tampered":   {name: tampered, "SHA256SUMS": sums(small)},
			"truncated":  {name: small[:len(small)-1], "SHA256SUMS": sums(small)},
			"other sums": {name: small, "SHA256SUMS": bytes.ReplaceAll(sums(small), []byte(name), []byte("other.tar.gz"))},
			"no archive": {"SHA256SUMS": sums(small)},
		} {
			if what == "good" && page != "README.md" && !testenv.Full() {
				continue // the program is large
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, ok := served[strings.TrimPrefix(r.URL.Path, "/v"+documentedRelease+"/")]
				if !ok {
					http.NotFound(w, r)
					return
				}
				w.Write(body)
			}))
			dir, bin := t.TempDir(), t.TempDir()
			text := script[1]
			for old, replacement := range map[string]string{
				"https://github.com/coldcheck/coldcheck/releases/download": server.URL, "sudo ": "", "/usr/local/bin": bin,
				"\ncoldcheck version": "\n" + bin + "/coldcheck version",
			} {
				if !strings.Contains(text, old) && !strings.HasPrefix(old, "\n") {
					t.Errorf("%s: the commands lack %q", page, old)
				}
				text = strings.ReplaceAll(text, old, replacement)
			}
			cmd := exec.Command("sh", "-e")
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(text)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			out, err := cmd.CombinedOutput()
			server.Close()
			installed := filepath.Join(bin, "coldcheck")
			if what != "good" {
				if err == nil || exists(installed) || exists(filepath.Join(dir, "coldcheck")) {
					t.Errorf("%s, %s: %v, and it is installed:\n%s", page, what, err, out)
				}
				continue
			}
			if err != nil || !strings.Contains(string(out), name+": OK\n") {
				t.Fatalf("%s: %v\n%s", page, err, out)
			}
			if out, err := exec.Command(installed, "demo", "--quiet").Output(); code(t, err) != 1 ||
				!strings.HasPrefix(string(out), "NOT READY") {
				t.Errorf("%s: %v\n%s", page, err, out)
			}
		}
	}
}

// archived is an archive of a program, which is not compressed to save time.
func archived(t *testing.T, program []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for name, content := range map[string][]byte{"coldcheck": program, "LICENSE": []byte("license")} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMakeTargets: every target of make that a page names is in the Makefile.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, filepath.Join(module, "Makefile"))
	target := regexp.MustCompile("(?m)(?:`|^ {4,}|^# )make ([a-z][a-z-]*)")
	found := 0
	for _, page := range append(pages(t), filepath.Join(module, "CHANGELOG.md")) {
		for _, m := range target.FindAllStringSubmatch(read(t, page), -1) {
			found++
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no target %s", page, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("%d targets", found)
	}
}

// TestChangelog: the log of changes has the form of keepachangelog.com, which the notes of
// releases are made from.
func TestChangelog(t *testing.T) {
	text := read(t, filepath.Join(module, "CHANGELOG.md"))
	release := regexp.MustCompile(`^## \[(Unreleased|\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\](?: - \d{4}-\d\d-\d\d)?$`)
	order := []string{"### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"}
	last, releases := -1, 0
	for n, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "## "):
			m := release.FindStringSubmatch(line)
			if m == nil || (releases == 0) != (m[1] == "Unreleased") {
				t.Fatalf("line %d: %q", n+1, line)
			}
			if !strings.Contains(text, "\n["+m[1]+"]: https://") {
				t.Errorf("line %d: there is no link for %s", n+1, m[1])
			}
			last, releases = -1, releases+1
		case strings.HasPrefix(line, "###"):
			at := slices.Index(order, line)
			if at <= last || releases == 0 {
				t.Errorf("line %d: %q", n+1, line)
			}
			last = at
		case strings.HasPrefix(line, "- ") && last < 0:
			t.Errorf("line %d: a change of no kind", n+1)
		}
	}
	if releases == 0 {
		t.Error("there are no releases")
	}
}
