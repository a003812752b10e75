package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// full is a device on which every write fails for want of space.
const full = "/dev/full"

// fails runs the command and wants a write error, in a line that names what
// could not be written.
func fails(t *testing.T, stdout *os.File, place string, args ...string) {
	t.Helper()
	cmd := coldcheck(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if stdout != nil {
		cmd.Stdout = stdout
	}
	err := cmd.Run()
	if code(t, err) != 74 || !strings.HasPrefix(stderr.String(), "coldcheck: ") ||
		!strings.Contains(stderr.String(), place) || strings.Contains(stderr.String(), ".tmp") {
		t.Errorf("%q: %v: %s", args, err, &stderr)
	}
	onlyFiles(t, cmd.Dir, "coldcheck")
}

// A report that cannot be written is 74 in every format, wherever it goes, and
// no part of one is left.
func TestFullDisk(t *testing.T) {
	device, err := os.OpenFile(full, os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer device.Close()
	for _, args := range [][]string{{"requirements"}, {"version"}, {"completion", "bash"}, {"--help"}} {
		fails(t, device, "standard output", args...)
	}
	for _, format := range demoFormats() {
		more := templateFor(t, format)
		fails(t, device, "standard output", append([]string{"demo", "-o", format + "=-"}, more...)...)
		fails(t, nil, full, append([]string{"demo", "-o", format + "=" + full}, more...)...)
	}
}

func TestFullFilesystem(t *testing.T) {
	testenv.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skip(err)
	}
	defer syscall.Unmount(dir, 0)
	write(t, filepath.Join(dir, "kept.json"), "kept")
	for _, format := range demoFormats() {
		more := templateFor(t, format)
		for _, name := range []string{"report", "kept.json"} {
			fails(t, nil, "no space left", append([]string{"demo", "-o", format + "=" + filepath.Join(dir, name)}, more...)...)
		}
		// One of two reports would fit: none is written.
		fails(t, nil, "no space left", "demo", "-o", "table", "-o", "log="+filepath.Join(dir, "report"), "-o",
			"json="+filepath.Join(dir, "kept.json"))
		onlyFiles(t, dir, "kept.json")
		if text := read(t, filepath.Join(dir, "kept.json")); text != "kept" {
			t.Errorf("%s: the file that was there holds %q", format, text)
		}
	}
}
