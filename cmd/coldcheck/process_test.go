package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// coldcheck is the test binary run as the command.
func coldcheck(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "coldcheck")
	link := os.Symlink
	if runtime.GOOS == "windows" {
		name += ".exe"
		link = os.Link // anyone may make one
	}
	if err := link(self, name); err != nil {
		t.Skip(err)
	}
	// testscript.Main runs the command by the name of the binary.
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	return cmd
}

func code(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err == nil {
		return 0
	}
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

// When the reader of standard output goes away, the program ends silently by SIGPIPE, as other tools do. Report files
// are complete before that.
func TestClosedPipe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGPIPE")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	commands := [][]string{{"requirements"}, {"version"}, {"completion", "bash"}, {"--help"},
		{"demo", "-o", "table", "-o", "json=" + file}}
	for _, format := range demoFormats() {
		commands = append(commands, append([]string{"demo", "-o", format + "=-"}, templateFor(t, format)...))
	}
	for _, args := range commands {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := coldcheck(t, args...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &stderr
		err = cmd.Run()
		w.Close()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
			t.Errorf("%q: %v: %s", args, err, &stderr)
		}
	}
	decode(t, read(t, file))
}

// A reader of standard error that goes away does not stop the reports.
func TestClosedStandardError(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	file := filepath.Join(t.TempDir(), "report.json")
	cmd := coldcheck(t, "demo", "-o", "json="+file)
	cmd.Stderr = w
	err = cmd.Run()
	w.Close()
	if code(t, err) != 1 {
		t.Error(err)
	}
	decode(t, read(t, file))
}

// A signal ends the program, also while it hangs in a write that never ends, and
// leaves nothing incomplete. If it did not, Wait would not return: the pipe stays
// open until then.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs signals")
	}
	for _, c := range []struct {
		signal  os.Signal
		code    int
		message string
	}{
		{syscall.SIGINT, 130, "coldcheck: interrupted\n"},
		{syscall.SIGTERM, 143, "coldcheck: terminated\n"},
	} {
		dir := t.TempDir()
		pipe := filepath.Join(dir, "pipe")
		if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
			t.Skipf("mkfifo: %v %s", err, out)
		}
		report := filepath.Join(dir, "report.json")
		cmd := coldcheck(t, "demo", "-o", "json="+report, "-o", "html="+pipe)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Once the pipe has a reader that reads no further, the program hangs in
		// the rest of the report, which is more than a pipe holds.
		hang, err := os.Open(pipe)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hang.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		hang.Close()
		if code(t, err) != c.code || stderr.String() != c.message {
			t.Errorf("%v: %v: %s", c.signal, err, &stderr)
		}
		// The files took their places before the pipe was written to.
		decode(t, read(t, report))
		onlyFiles(t, dir, "pipe", "report.json")
	}
}

// Whenever the signal comes, there is a complete report or none, and no other
// file.
func TestSignalsAtAnyTime(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs signals")
	}
	whole := filepath.Join(t.TempDir(), "whole.json")
	begun := time.Now()
	if err := coldcheck(t, "demo", "-o", "json="+whole).Run(); code(t, err) != 1 {
		t.Fatal(err)
	}
	lasts := time.Since(begun)
	const steps = 24
	for i := range steps {
		dir := t.TempDir()
		report := filepath.Join(dir, "report.json")
		cmd := coldcheck(t, "demo", "-o", "json="+report)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lasts * time.Duration(i) / (steps * 3 / 4))
		cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		c := code(t, cmd.Wait())
		switch {
		case c == 1, c == 143 && exists(report):
			if text := read(t, report); !strings.HasSuffix(text, "\n}\n") {
				t.Errorf("exit code %d, and a truncated report of %d bytes", c, len(text))
			}
			onlyFiles(t, dir, "report.json")
		case c == 143, c == -1: // -1: the signal came before the program could handle it
			onlyFiles(t, dir)
		default:
			t.Errorf("exit code %d", c)
		}
	}
}

// Whatever the command, images are opened read-only and are the same afterwards,
// their times included.
func TestImagesAreNotTouched(t *testing.T) {
	testenv.Tool(t, "strace")
	dir := t.TempDir()
	c := testcases.Find(t, "failing")
	var names []string
	before := map[string]os.FileInfo{}
	for _, image := range c.Images {
		name := filepath.Join(dir, image.Role+".img")
		if err := writeImage(c, image.Role, name); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		names, before[name] = append(names, name), info
	}
	for _, args := range [][]string{
		append([]string{"scan", "-o", "json=" + filepath.Join(dir, "r.json")}, names...),
		{"inspect", "volumes", names[0]},
		{"inspect", "ls", "-R", names[0]},
		{"inspect", "cat", names[0], "Windows/System32/config/SYSTEM"},
		{"inspect", "reg", "-R", names[0], `HKLM\SYSTEM`},
	} {
		trace := filepath.Join(dir, "trace")
		command := coldcheck(t, args...)
		cmd := exec.Command("strace", append([]string{"-f", "-o", trace, "-e", "trace=%file,%desc", "-e", "signal=none",
			command.Path}, args...)...)
		cmd.Dir = dir
		cmd.Run() // with the exit code of the verdict
		opened := 0
		for line := range strings.Lines(read(t, trace)) {
			if !strings.Contains(line, ".img\"") || !strings.Contains(line, "open") {
				continue
			}
			opened++
			if !strings.Contains(line, "O_RDONLY") || strings.Contains(line, "O_TRUNC") || strings.Contains(line, "O_CREAT") {
				t.Errorf("%q: %s", args[:2], line)
			}
		}
		if opened == 0 {
			t.Errorf("%q: strace saw no image being opened", args[:2])
		}
	}
	for _, image := range c.Images {
		name := filepath.Join(dir, image.Role+".img")
		after, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if !after.ModTime().Equal(before[name].ModTime()) || after.Size() != before[name].Size() {
			t.Errorf("%s: %v, %d bytes; before %v, %d bytes", name, after.ModTime(), after.Size(), before[name].ModTime(),
				before[name].Size())
		}
		sameContent(t, image, name)
	}
}

// sameContent compares every page of an image that is not a hole.
func sameContent(t *testing.T, image fixtures.Image, name string) {
	t.Helper()
	want, err := image.Open()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, b := make([]byte, 4096), make([]byte, 4096)
	for at := next(want, 0); at < image.Size; at = next(want, at+int64(len(a))) {
		n := min(int64(len(a)), image.Size-at)
		if _, err := want.ReadAt(a[:n], at); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(b[:n], at); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("%s: changed at byte %d", name, at)
		}
	}
}

// demoFormats are the formats that the demonstration writes.
func demoFormats() []string {
	return slices.DeleteFunc(formatNames(), func(name string) bool { return name == attestationFormat })
}

// templateFor are the arguments that a format needs.
func templateFor(t *testing.T, format string) []string {
	t.Helper()
	if format != templateFormat {
		return nil
	}
	name := filepath.Join(t.TempDir(), "t.tmpl")
	write(t, name, "{{json .}}")
	return []string{"--template", name}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
