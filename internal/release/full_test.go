package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The release of this commit: two builds in different folders are the same, the bills of
// materials fit, the package is installed, used and removed in a fresh Debian, and the
// program of the image runs. It takes minutes, root and a network.
func TestFullRelease(t *testing.T) {
	if !nightly() {
		t.Skip("COLDCHECK_NIGHTLY=1 builds the release of this commit twice")
	}
	need(t, "git", "go", "debootstrap", "chroot", "rpm", "openssl")
	dir := t.TempDir()
	private, _ := makeKey(t, dir, "ecdsa")
	head := strings.TrimSpace(command(t, "../..", "git", "rev-parse", "HEAD"))
	var dists []string
	for i, name := range []string{"a", "deeper/b"} {
		tree := filepath.Join(dir, name)
		command(t, "../..", "git", "clone", "--quiet", "--shared", ".", tree)
		command(t, tree, "git", "checkout", "--quiet", "--detach", head)
		if i > 0 {
			differently(t)
		}
		err := run(t.Context(), []string{"-root", tree, "-version", "v0.9.0", "-key", private}, os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		dists = append(dists, filepath.Join(tree, "dist"))
	}
	if d := cmp.Diff(digests(t, dists[0]), digests(t, dists[1])); d != "" {
		t.Error(d)
	}
	dist := dists[0]
	epoch := strings.TrimSpace(command(t, "../..", "git", "log", "-1", "--format=%ct", head))
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	date := time.Unix(seconds, 0).UTC()
	for _, p := range platforms {
		r := &release{number: "0.9.0"}
		files := archived(t, filepath.Join(dist, r.archiveName(p)), date)
		program := filepath.Join(dir, p.String())
		if err := os.WriteFile(program, files[p.program()], 0o755); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f MB", p, float64(len(files[p.program()]))/1e6)
		checkBOM(t, filepath.Join(dist, r.bomName(p)), program, "v0.9.0")
	}

	program := filepath.Join(dir, "image")
	data := checkImage(t, filepath.Join(dist, "coldcheck_0.9.0_oci.tar"), "0.9.0", "amd64", date)
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	checkRuns(t, program)

	root := filepath.Join(dir, "rpm")
	if err := os.Mkdir(root, 0o777); err != nil {
		t.Fatal(err)
	}
	command(t, ".", "rpm", "--root", root, "--nosignature", "-i", filepath.Join(dist, "coldcheck-0.9.0-1.x86_64.rpm"))
	checkRuns(t, "chroot", root, "/usr/bin/coldcheck")
	command(t, ".", "rpm", "--root", root, "-e", "coldcheck")

	debian := filepath.Join(dir, "debian")
	command(t, ".", "debootstrap", "--variant=minbase", "bookworm", debian)
	const pkg = "coldcheck_0.9.0_amd64.deb"
	copied, err := os.ReadFile(filepath.Join(dist, pkg))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(debian, pkg), copied, 0o666); err != nil {
		t.Fatal(err)
	}
	before := digests(t, filepath.Join(debian, "usr"))
	command(t, ".", "chroot", debian, "apt-get", "install", "-q", "-y", "/"+pkg)
	checkRuns(t, "chroot", debian, "coldcheck")
	command(t, ".", "chroot", debian, "apt-get", "purge", "-q", "-y", "coldcheck")
	if d := cmp.Diff(before, digests(t, filepath.Join(debian, "usr"))); d != "" {
		t.Errorf("the package leaves changes: %s", d)
	}
}

// differently sets what another user may have, and what must not change the release.
func differently(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gitconfig": "[core]\n\tautocrlf = true\n\thooksPath = " + dir + "\n[tag]\n\tgpgSign = true\n",
		"goenv":     "GOFLAGS=-tags=other -buildvcs=false\nGOAMD64=v3\n",
		// Runs wherever git checks files out.
		"post-checkout": "#!/bin/sh\necho >>README.md\n",
	} {
		if err := writeBelow(dir, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "post-checkout"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"GIT_CONFIG_GLOBAL": filepath.Join(dir, "gitconfig"),
		"GOENV": filepath.Join(dir, "goenv"), "GOFLAGS": "", "CGO_ENABLED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"} {
		t.Setenv(name, value)
	}
}

// checkRuns checks that the command of a program says its version, and scans.
func checkRuns(t *testing.T, program string, arguments ...string) {
	t.Helper()
	with := func(more ...string) []string { return slices.Concat(arguments, more) }
	if text := command(t, ".", program, with("version")...); !strings.Contains(text, "v0.9.0") {
		t.Errorf("%s", text)
	}
	text, err := try(".", program, with("demo", "--case", "ready")...)
	if err != nil || !strings.Contains(text, "READY") {
		t.Errorf("%v\n%s", err, text)
	}
}
