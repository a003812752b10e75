//go:build unix

package fleet

import (
	"path/filepath"
	"syscall"
	"testing"
)

// pipeIn makes a file that has no content but may be opened.
func pipeIn(t *testing.T, dir string) string {
	t.Helper()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	return pipe
}
