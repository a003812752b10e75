package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// releaseScript runs a script of .github/scripts in a copy of what it needs of the repository.
func releaseScript(t *testing.T, log string, env map[string]string, script string, args ...string) (int, string) {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{script, "notes.sh"} {
		path := filepath.Join(root, ".github/scripts", name)
		put(t, path, read(t, filepath.Join(module, ".github/scripts", name)))
		executable(t, path)
	}
	path := filepath.Join(root, "deploy/ci/get.sh")
	put(t, path, read(t, filepath.Join(module, "deploy/ci/get.sh")))
	executable(t, path)
	put(t, filepath.Join(root, "CHANGELOG.md"), log)
	return runIn(t, root, env, filepath.Join(root, ".github/scripts", script), args...)
}

func executable(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

const aChangelog = `# Changelog

## [Unreleased]
- not yet

## [1.0.0] - 2027-01-01
### Added
- the first

## [0.9.0-rc.1] - 2026-12-01
- before

## 0.8.0 (2026-11-01)
- older
`

// The notes of a release are its part of the change log. A tag that is no version, or has no part, stops the release.
func TestReleaseNotes(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "dash", "awk", "grep")
	for tag, want := range map[string]string{
		"v1.0.0":      "### Added\n- the first\n",
		"v0.9.0-rc.1": "- before\n",
		"v0.8.0":      "- older\n",
		"v0.7.0":      "",
		"v1.0":        "",
		"1.0.0":       "",
		"v01.0.0":     "",
		"v1.0.0 x":    "",
		"vUnreleased": "",
	} {
		got, out := releaseScript(t, aChangelog, nil, "notes.sh", tag)
		if want == "" && got != 1 || want != "" && (got != 0 || strings.TrimSpace(out) != strings.TrimSpace(want)) {
			t.Errorf("%s: it ended with %d: %q, want %q", tag, got, out, want)
		}
	}
}

// A release is built by the Makefile's target, into a folder, and names the run that built it.
func TestReleaseBuild(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "dash", "make")
	dist := t.TempDir()
	got, out := runIn(t, absolute(t, "."), map[string]string{"MAKEFLAGS": "n", "GITHUB_SERVER_URL": "https://github.com",
		"GITHUB_REPOSITORY": "coldcheck/coldcheck", "GITHUB_REF": "refs/tags/v1.0.0"},
		"dash", absolute(t, ".github/scripts/build.sh"), "v1.0.0", dist)
	workflow := "https://github.com/coldcheck/coldcheck/.github/workflows/release.yml@refs/tags/v1.0.0"
	for _, want := range []string{"cd internal/release", "-version 'v1.0.0'", "-dist '" + dist + "'",
		"-builder '" + workflow + "'"} {
		if got != 0 || !strings.Contains(out, want) {
			t.Errorf("it ended with %d, without %q:\n%s", got, want, out)
		}
	}
}

// A release becomes public when it has all files, and not if one of them differs or cannot be uploaded. What talks to
// GitHub and to the registry of containers only notes how it was called.
func TestReleasePublish(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "dash", "awk", "sha256sum", "find")
	for name, tt := range map[string]struct {
		tag, change, fail string
		want              int
		calls             []string
	}{
		"release": {tag: "v1.0.0", calls: []string{"docker login ghcr.io",
			"skopeo copy --all --digestfile X oci-archive:X/coldcheck_1.0.0_oci.tar docker://ghcr.io/coldcheck/tools:1.0.0",
			"gh release create v1.0.0 --repo ColdCheck/Tools --draft --verify-tag",
			"gh release upload v1.0.0", "gh release edit v1.0.0 --repo ColdCheck/Tools --draft=false --latest"}},
		"before": {tag: "v0.9.0-rc.1", calls: []string{"docker", "skopeo", "gh release create", "gh release upload",
			"gh release edit v0.9.0-rc.1 --repo ColdCheck/Tools --draft=false --prerelease"}},
		"no notes":  {tag: "v3.0.0", want: 1},
		"tampered":  {tag: "v1.0.0", change: "a.tar.gz", want: 1},
		"no upload": {tag: "v1.0.0", fail: "upload", want: 1, calls: []string{"docker", "skopeo", "gh release create", "gh"}},
		"no image":  {tag: "v1.0.0", fail: "copy", want: 1, calls: []string{"docker", "skopeo"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dist, bin, temp := t.TempDir(), t.TempDir(), t.TempDir()
			write(t, filepath.Join(dist, "a.tar.gz"), "an archive")
			write(t, filepath.Join(dist, "SHA256SUMS"), fmt.Sprintf("%x  a.tar.gz\n", sha256.Sum256([]byte("an archive"))))
			put(t, filepath.Join(dist, "scoop/coldcheck.json"), "{}")
			if tt.change != "" {
				write(t, filepath.Join(dist, tt.change), "another archive")
			}
			calls := filepath.Join(temp, "calls")
			for _, tool := range []string{"gh", "docker", "skopeo"} {
				write(t, filepath.Join(bin, tool), `#!/bin/sh
echo "`+tool+` $*" >>`+calls+`
case " $* " in *" $FAIL "*) exit 1 ;; esac
if [ "$1" = login ]; then read -r password; [ "$password" = a-token ] || exit 1; fi
if [ "$1" = copy ]; then printf sha256:abc >"$4"; fi
`)
				executable(t, filepath.Join(bin, tool))
			}
			output := filepath.Join(temp, "output")
			got, out := releaseScript(t, aChangelog, map[string]string{"PATH": bin + ":" + os.Getenv("PATH"), "FAIL": tt.fail,
				"GITHUB_REPOSITORY": "ColdCheck/Tools", "GITHUB_ACTOR": "someone", "GH_TOKEN": "a-token",
				"GITHUB_OUTPUT": output}, "publish.sh", tt.tag, dist)
			if got != tt.want {
				t.Errorf("it ended with %d, want %d: %s", got, tt.want, out)
			}
			var called []string
			if text, err := os.ReadFile(calls); err == nil {
				called = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			}
			if len(called) != len(tt.calls) {
				t.Fatalf("calls %q, want %q", called, tt.calls)
			}
			for i, want := range tt.calls {
				before, after, _ := strings.Cut(strings.ReplaceAll(called[i], dist, "X"), "--digestfile ")
				if _, rest, ok := strings.Cut(after, " "); ok {
					before += "--digestfile X " + rest
				}
				if !strings.HasPrefix(before, want) {
					t.Errorf("call %q, want %q", before, want)
				}
				for _, file := range []string{"SHA256SUMS", "a.tar.gz", "scoop/coldcheck.json"} {
					if strings.Contains(want, "upload") && !strings.Contains(called[i], filepath.Join(dist, file)) {
						t.Errorf("%s is not uploaded: %q", file, called[i])
					}
				}
			}
			if tt.want == 0 && read(t, output) != "image=ghcr.io/coldcheck/tools\ndigest=sha256:abc\n" {
				t.Errorf("outputs %q", read(t, output))
			}
		})
	}
}

// What users download is refused if it is not the release, or the program in it is of another version.
func TestReleaseVerify(t *testing.T) {
	t.Parallel()
	r := serveRelease(t)
	if !testenv.Full() {
		t.Skip("needs the program with the version of a release, which takes long to build")
	}
	gh := r.gh(t)
	script := read(t, filepath.Join(gh, "gh"))
	for name, tt := range map[string]struct {
		releases, sums string
		want           int
		says           string
	}{
		"good":     {"/good", r.sum, 0, ""},
		"tampered": {"/tampered", r.sum, 65, "do not use it"},
		"sums":     {"/good", strings.Repeat("a", 64), 1, "FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			// gh downloads the files of a release, too.
			write(t, filepath.Join(bin, "gh"), strings.Replace(script, "\n", `
if [ "$1 $2" = "release download" ]; then
	mkdir -p "$7" && cd "$7" && echo "`+tt.sums+`  archive" >SHA256SUMS
	curl -sSf -o archive `+r.url+`/good/v`+ciRelease+`/`+archiveName()+`
	exit
fi
if [ "$3" = SHA256SUMS ]; then exit; fi
`, 1))
			executable(t, filepath.Join(bin, "gh"))
			got, out := releaseScript(t, aChangelog, map[string]string{"PATH": bin + ":" + os.Getenv("PATH"),
				"GH_TOKEN": "a-token", "GITHUB_REPOSITORY": "coldcheck/coldcheck", "COLDCHECK_SHA256": "",
				"COLDCHECK_RELEASES": r.url + tt.releases}, "verify.sh", "v"+ciRelease)
			if got != tt.want || !strings.Contains(out, tt.says) {
				t.Errorf("it ended with %d, want %d:\n%s", got, tt.want, out)
			}
		})
	}
	t.Run("another version", func(t *testing.T) {
		t.Parallel()
		got, out := releaseScript(t, aChangelog, map[string]string{"COLDCHECK_SHA256": r.sum,
			"COLDCHECK_RELEASES": r.url + "/renamed"}, "verify.sh", "v2.0.0")
		if got != 1 || !strings.Contains(out, "the program says that it is coldcheck v"+ciRelease) {
			t.Errorf("it ended with %d:\n%s", got, out)
		}
	})
}
