package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gomodule "golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// builtVersion is what 'version -o json' writes of a build.
type builtVersion struct {
	Version, Commit, Date, Go, OS, Arch string
	Modified                            *bool
	CGO, Trimpath                       bool
}

// smallProgram stands for the program where building that takes too long: the toolchain
// writes the same into it. It writes only its version, whatever it is asked.
const smallProgram = `package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
)

var release string

func main() {
	buildinfo.SetRelease(release)
	b := buildinfo.Read()
	date := b.Date.Format(time.RFC3339)
	if b.Date.IsZero() {
		date = ""
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"version": b.Version, "commit": b.Commit, "modified": b.Modified,
		"date": date, "go": b.Go, "os": b.OS, "arch": b.Arch, "cgo": b.CGO, "trimpath": b.Trimpath})
}
`

// ofSmall are the files that the small program is built from, and its archive needs.
var ofSmall = []string{"go.mod", "go.sum", "Makefile", "LICENSE", "internal/buildinfo/buildinfo.go"}

// versionOf runs a program that was built, and compares what it says of itself in all places.
func versionOf(t *testing.T, program string) builtVersion {
	t.Helper()
	var v builtVersion
	text, err := exec.Command(program, "version", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if !testenv.Nightly() {
		return v
	}
	line, err := exec.Command(program, "version").Output()
	if err != nil || !strings.HasPrefix(string(line), "coldcheck "+v.Version+" (") ||
		v.Commit != "" && !strings.Contains(string(line), "(commit "+v.Commit+", "+v.Date+", ") {
		t.Errorf("%v: %q, but as JSON %s", err, line, text)
	}
	var report struct{ Tool builtVersion }
	text, err = exec.Command(program, "demo", "-o", "json").Output()
	if code(t, err) != 1 {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	if report.Tool.Version != v.Version || report.Tool.Commit != v.Commit || report.Tool.Date != v.Date {
		t.Errorf("version %+v, and a report of %+v", v, report.Tool)
	}
	return v
}

// clone copies the files of this module, or those of the small program, into a repository
// of its own with one commit.
func clone(t *testing.T) (dir string, git func(args ...string) string) {
	t.Helper()
	testenv.Tool(t, "git", "make")
	dir = t.TempDir()
	names := ofSmall
	if testenv.Nightly() {
		list := ran(t, module, "git", "ls-files", "-z", "-co", "--exclude-standard")
		names = strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
	} else if err := os.MkdirAll(filepath.Join(dir, "cmd/coldcheck"), 0o777); err != nil {
		t.Fatal(err)
	} else {
		write(t, filepath.Join(dir, "cmd/coldcheck/main.go"), smallProgram)
		write(t, filepath.Join(dir, ".gitignore"), "/coldcheck\n")
	}
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(module, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // it is deleted, but not in the index
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(module, name))
		if err == nil {
			err = os.WriteFile(to, text, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	git = func(args ...string) string {
		t.Helper()
		return ran(t, dir, "git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.com",
			"-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"}, args...)...)
	}
	git("init", "-q")
	git("add", "-A")
	git("commit", "-q", "-m", "first")
	return dir, git
}

// ran runs a command in a folder, and returns its standard output without the last line
// break. Settings of the machine do not matter.
func ran(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-11-30T19:25:54+01:00", "GIT_CONFIG_GLOBAL=/dev/null",
		"CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, &stderr)
	}
	return strings.TrimSuffix(string(out), "\n")
}

const committed = "2026-11-30T18:25:54Z"

// TestBuilds: the program knows its version, however it is built from a clone.
func TestBuilds(t *testing.T) {
	if !testenv.Full() {
		t.Skip("builds a program several times")
	}
	t.Parallel()
	dir, git := clone(t)
	head := func() string { return git("rev-parse", "HEAD") }
	check := func(how, want string, modified bool, build ...string) {
		t.Helper()
		ran(t, dir, build[0], build[1:]...)
		v := versionOf(t, filepath.Join(dir, "coldcheck"))
		if !regexp.MustCompile("^"+want+"$").MatchString(v.Version) || v.Commit != head() || v.Date != committed ||
			v.Modified == nil || *v.Modified != modified || v.CGO {
			t.Errorf("%s: %+v, want version %s and commit %s", how, v, want, head())
		}
		if trimpath := build[0] == "make" || slices.Contains(build, "-trimpath"); v.Trimpath != trimpath {
			t.Errorf("%s: trimpath %t", how, v.Trimpath)
		}
	}
	check("no tag", `v0\.0\.0-20261130182554-`+head()[:12], false, "make", "build")
	git("tag", "v1.0.0")
	check("tag", `v1\.0\.0`, false, "make", "build")
	check("release", `v2\.0\.0-rc\.1`, false, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags",
		"-s -w -X main.release=v2.0.0-rc.1", "-o", "coldcheck", "./cmd/coldcheck")
	git("commit", "-q", "--allow-empty", "-m", "second")
	check("after a tag", `v1\.0\.1-0\.20261130182554-`+head()[:12], false, "make", "build")
	write(t, filepath.Join(dir, "LICENSE"), "changed")
	check("modified", `v1\.0\.1-0\.20261130182554-`+head()[:12]+`\+dirty`, true, "make", "build")
	check("modified release", `v2\.0\.0\+dirty`, true, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags",
		"-X main.release=v2.0.0", "-o", "coldcheck", "./cmd/coldcheck")

	ran(t, dir, "go", "build", "-trimpath", "-buildvcs=false", "-o", "coldcheck", "./cmd/coldcheck")
	if v := versionOf(t, filepath.Join(dir, "coldcheck")); v.Version != "devel" || v.Commit != "" || v.Date != "" ||
		v.Modified != nil || v.Go == "" || v.OS == "" || v.Arch == "" {
		t.Errorf("without a history: %+v", v)
	}
}

// TestInstall installs the program as its users do, from a proxy of modules: the version is
// that of the module, and a commit is known if the version names it.
func TestInstall(t *testing.T) {
	if !testenv.Full() {
		t.Skip("builds a program several times")
	}
	t.Parallel()
	dir, _ := clone(t)
	var environment struct{ GOMODCACHE string }
	if err := json.Unmarshal([]byte(ran(t, dir, "go", "env", "-json", "GOMODCACHE")), &environment); err != nil {
		t.Fatal(err)
	}
	const path, pseudo = "github.com/coldcheck/coldcheck", "v1.0.1-0.20261130182554-0123456789ab"
	proxy := t.TempDir()
	for _, version := range []string{"v1.0.0", pseudo} {
		publish(t, proxy, dir, gomodule.Version{Path: path, Version: version})
	}
	home := t.TempDir()
	for version, want := range map[string]builtVersion{
		"v1.0.0": {Version: "v1.0.0"},
		"latest": {Version: "v1.0.0"},
		pseudo:   {Version: pseudo, Commit: "0123456789ab", Date: committed},
	} {
		cmd := exec.Command("go", "install", "-trimpath", path+"/cmd/coldcheck@"+version)
		cmd.Dir = home
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-modcacherw", "GONOSUMDB=*", "GOSUMDB=off", "GOWORK=off",
			"GOBIN="+filepath.Join(home, "bin"), "GOMODCACHE="+filepath.Join(home, "modules"),
			"GOPROXY=file://"+proxy+",file://"+filepath.Join(environment.GOMODCACHE, "cache/download")+",off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		v := versionOf(t, filepath.Join(home, "bin/coldcheck"))
		if v.Version != want.Version || v.Commit != want.Commit || v.Date != want.Date || v.Modified != nil {
			t.Errorf("@%s: %+v, want %+v", version, v, want)
		}
	}
}

// publish puts a version of a module into a proxy (go.dev/ref/mod#goproxy-protocol).
func publish(t *testing.T, proxy, dir string, m gomodule.Version) {
	t.Helper()
	versions := filepath.Join(proxy, m.Path, "@v")
	if err := os.MkdirAll(versions, 0o777); err != nil {
		t.Fatal(err)
	}
	if !gomodule.IsPseudoVersion(m.Version) {
		write(t, filepath.Join(versions, "list"), m.Version+"\n")
	}
	at := time.Date(2026, 11, 30, 18, 25, 54, 0, time.UTC).Format(time.RFC3339)
	write(t, filepath.Join(versions, m.Version+".info"), fmt.Sprintf(`{"Version":%q,"Time":%q}`, m.Version, at))
	write(t, filepath.Join(versions, m.Version+".mod"), read(t, filepath.Join(dir, "go.mod")))
	archive, err := os.Create(filepath.Join(versions, m.Version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := modzip.CreateFromDir(archive, m, dir); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
}
