package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// hookFiles are files of a repository, each with whether its hook accepts it.
var hookFiles = []struct {
	name, text string
	good       bool
}{
	{"waivers.yaml", "waivers: [{id: win.disk.c-free, reason: a, owner: b, expiry: 2027-05-31}]\n", true},
	{"a/waivers-eu.yml", "waivers: [{id: win.disk.nothing, reason: a, owner: b, expiry: 2027-05-31}]\n", false},
	{"b/waivers.yaml", "waivers: [{id: win.disk.c-free, owner: b, expiry: 2027-05-31}]\n", false},
	{"targets.csv", "id,images\nws-1,a.img|b.img\n", true},
	{"a/targets.jsonl", `{"id": "ws-1", "images": ["a.img"]}` + "\n", true},
	{"b/targets 2.csv", "id,image\nws-1,a.img\n", false},
	{"b/targets.csv", "id,images\nws-1,a.img\nws-1,b.img\n", false},
}

// The script of the hooks accepts what the program does, and stops if there is no program.
func TestPreCommitScript(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "dash")
	script, dir := absolute(t, "deploy/pre-commit/check.sh"), t.TempDir()
	path := filepath.Dir(coldcheck(t).Path) + ":" + os.Getenv("PATH")
	for i, f := range hookFiles {
		if !testenv.Full() && i%3 != 0 {
			continue
		}
		name := filepath.Join(dir, filepath.Base(f.name))
		write(t, name, f.text)
		kind := regexp.MustCompile("^[a-z]+").FindString(filepath.Base(f.name))
		got, out := runIn(t, dir, map[string]string{"PATH": path}, "dash", script, kind, name, name)
		if (got == 0) != f.good || f.good && out != "" || !f.good && !strings.Contains(out, filepath.Base(f.name)) {
			t.Errorf("%s: it ended with %d: %s", f.name, got, out)
		}
	}
	got, out := runIn(t, dir, map[string]string{"PATH": toolsOnly(t, "dirname")}, "/bin/dash", script, "waivers", "x")
	if got != 1 || !strings.Contains(out, "needs coldcheck") {
		t.Errorf("without a program it ended with %d: %s", got, out)
	}
}

// pre-commit finds the hooks in a clone, and runs them on the files that they are for.
func TestPreCommitHooks(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "pre-commit", "git")
	if !testenv.Full() {
		t.Skip("Python takes long")
	}
	commit := func(dir string) string {
		var out []byte
		for _, args := range [][]string{{"init", "-q"}, {"add", "."},
			{"-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a"}, {"rev-parse", "HEAD"}} {
			cmd := exec.Command("git", args...)
			cmd.Dir = dir
			var err error
			if out, err = cmd.CombinedOutput(); err != nil {
				t.Fatalf("git %q: %v\n%s", args, err, out)
			}
		}
		return strings.TrimSpace(string(out))
	}
	hooks, repository := t.TempDir(), t.TempDir()
	for _, name := range []string{".pre-commit-hooks.yaml", "deploy/pre-commit/check.sh",
		"deploy/pre-commit/notices.tmpl"} {
		put(t, filepath.Join(hooks, name), read(t, filepath.Join(module, name)))
	}
	if err := os.Chmod(filepath.Join(hooks, "deploy/pre-commit/check.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(repository, ".pre-commit-config.yaml"), "repos:\n  - repo: "+hooks+"\n    rev: "+commit(hooks)+
		"\n    hooks:\n      - id: coldcheck-waivers\n      - id: coldcheck-targets\n")
	put(t, filepath.Join(repository, "other.yaml"), "a: b\n")
	env := map[string]string{"PATH": filepath.Dir(coldcheck(t).Path) + ":" + os.Getenv("PATH"),
		"PRE_COMMIT_HOME": t.TempDir(), "PRE_COMMIT_COLOR": "never"}
	for _, good := range []bool{true, false} {
		for _, f := range hookFiles {
			if good == f.good {
				put(t, filepath.Join(repository, f.name), f.text)
			}
		}
		commit(repository)
		got, out := runIn(t, repository, env, "pre-commit", "run", "--all-files")
		if (got == 0) != good || strings.Contains(out, "other.yaml") {
			t.Errorf("it ended with %d:\n%s", got, out)
		}
		for _, f := range hookFiles {
			said := regexp.MustCompile(`(?m)^(coldcheck: )?` + f.name + ":").MatchString(out)
			if !good && said == f.good {
				t.Errorf("%s: %s", f.name, out)
			}
		}
	}
}

// put writes a file and the folders that it is in.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, text)
}
