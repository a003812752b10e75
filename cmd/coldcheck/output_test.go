package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseOutputs(t *testing.T) {
	started := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		values []string
		want   []string // format and file, "-" for standard output
	}{
		{nil, []string{"table -"}},
		{[]string{"json"}, []string{"json -"}},
		{[]string{"table", "json=r.json"}, []string{"table -", "json r.json"}},
		{[]string{"json=a=b.json"}, []string{"json a=b.json"}},
		{[]string{"log"}, []string{"log coldcheck_20260302080000.log"}},
		{[]string{"log", "table"}, []string{"log coldcheck_20260302080000.log", "table -"}},
		{[]string{"log=-"}, []string{"log -"}},
		{[]string{"json=a", "json=b"}, []string{"json a", "json b"}},
	} {
		outputs, err := parseOutputs(c.values)
		if err != nil {
			t.Errorf("%q: %v", c.values, err)
		}
		var got []string
		for _, o := range outputs {
			file := o.file(started)
			if file == "" {
				file = "-"
			}
			got = append(got, o.format.Name+" "+file)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q:\n%s", c.values, d)
		}
	}
	for _, values := range [][]string{{"xml"}, {""}, {"=x"}, {"json="}, {"JSON"}, {"table", "json"}, {"json", "json"},
		{"table", "log=-"}, {"json=-", "table"}} {
		if _, err := parseOutputs(values); exitCode(err) != 64 {
			t.Errorf("%q: %v", values, err)
		}
	}
}

// A report file replaces the old one atomically and keeps its properties: its
// permissions, and its name where that is a symbolic link.
func TestPendingFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("old"), "old")
	if err := os.Chmod(path("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("old", path("link")); err != nil {
		t.Skip(err)
	}
	var p pendingFiles
	for _, name := range []string{"link", "new"} {
		if err := p.write(at(t, path(name)), []byte("text of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path("old")) != "old" || exists(path("new")) {
		t.Error("a file was replaced before the commit")
	}
	if err := p.commit(); err != nil {
		t.Fatal(err)
	}
	if read(t, path("old")) != "text of link" || read(t, path("new")) != "text of new" {
		t.Error("the files do not hold what was written")
	}
	if info, err := os.Lstat(path("link")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if info, err := os.Stat(path("old")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v", info.Mode())
	}
	onlyFiles(t, dir, "link", "new", "old")
}

// A replacement that fails leaves the old file and no other file.
func TestPendingFilesFail(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kept"), "kept")
	var p pendingFiles
	taken := at(t, filepath.Join(dir, "taken"))
	for _, target := range []target{taken, at(t, filepath.Join(dir, "kept"))} {
		if err := p.write(target, []byte("new")); err != nil {
			t.Fatal(err)
		}
	}
	// A directory that appears meanwhile cannot be replaced by a file.
	if err := os.Mkdir(taken.place, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := p.commit(); err == nil || !strings.Contains(err.Error(), "write "+taken.path) ||
		strings.Contains(err.Error(), ".tmp") {
		t.Errorf("commit: %v", err)
	}
	p.discard()
	if read(t, filepath.Join(dir, "kept")) != "kept" {
		t.Error("the file was replaced")
	}
	onlyFiles(t, dir, "kept", "taken")
}

// After abandon nothing is there and nothing more appears.
func TestPendingFilesAbandon(t *testing.T) {
	dir := t.TempDir()
	var p pendingFiles
	target := at(t, filepath.Join(dir, "report"))
	if err := p.write(target, []byte("text")); err != nil {
		t.Fatal(err)
	}
	p.abandon()
	if err := p.write(target, nil); !errors.Is(err, errAbandoned) {
		t.Errorf("write: %v", err)
	}
	if err := p.commit(); !errors.Is(err, errAbandoned) {
		t.Errorf("commit: %v", err)
	}
	onlyFiles(t, dir)
}

// A report is written neither over what is scanned, under whatever name, nor
// twice to one place, and a place that cannot be written is found before the scan.
func TestCheckOutputs(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("root.img"), "image")
	write(t, path("old.json"), "old")
	for link, to := range map[string]string{"link.img": "root.img", "link.json": "old.json"} {
		if err := os.Symlink(to, path(link)); err != nil {
			t.Skip(err)
		}
	}
	if err := os.Link(path("root.img"), path("hard.img")); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		values []string
		code   int
	}{
		{[]string{"json=" + path("new.json"), "log=" + path("new.log"), "table"}, 0},
		{[]string{"json=" + path("old.json")}, 0},
		{[]string{"json=" + path("root.img")}, 64},
		{[]string{"json=" + path("link.img")}, 64},
		{[]string{"json=" + path("hard.img")}, 64},
		{[]string{"json=" + path("new"), "log=" + path("./new")}, 64},
		{[]string{"json=" + path("old.json"), "log=" + path("link.json")}, 64},
		{[]string{"json=" + dir}, 74},
		{[]string{"json=" + path("none/new.json")}, 74},
		{[]string{"json=" + path("old.json/new.json")}, 74},
	} {
		outputs, err := parseOutputs(c.values)
		if err != nil {
			t.Fatal(err)
		}
		var p program
		if err := p.checkOutputs(outputs, []string{path("missing.img"), path("root.img")},
			time.Now()); exitCode(err) != c.code {
			t.Errorf("%q: %v", c.values, err)
		}
	}
	onlyFiles(t, dir, "hard.img", "link.img", "link.json", "old.json", "root.img")
}

func at(t *testing.T, path string) target {
	t.Helper()
	target, err := findTarget(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("files in the directory:\n%s", d)
	}
}
