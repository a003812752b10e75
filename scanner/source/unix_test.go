//go:build unix

package source

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNamedPipe would hang if the pipe were opened.
func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, "/dev/null"} {
		if _, err := Open(t.Context(), p, Options{}); !errors.Is(err, ErrNotImage) {
			t.Errorf("%s: %v", p, err)
		}
	}
}
