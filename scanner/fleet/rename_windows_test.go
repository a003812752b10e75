package fleet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func TestLongPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		`C:\a\b`: `\\?\C:\a\b`, `C:/a/../b`: `\\?\C:\b`, `\\server\share\a`: `\\?\UNC\server\share\a`,
		`\\?\C:\a`: `\\?\C:\a`, `\\?\UNC\server\share\a`: `\\?\UNC\server\share\a`,
	} {
		p, err := longPath(path)
		if err != nil {
			t.Fatal(err)
		}
		if is := windows.UTF16PtrToString(p); is != want {
			t.Errorf("%s: %s, want %s", path, is, want)
		}
	}
}

// TestLongRecord: a record may have a path of any length, and no other one takes its place.
func TestLongRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for len(dir) < 400 {
		dir = filepath.Join(dir, strings.Repeat("x", 50))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, want := range []error{nil, fs.ErrExist} {
		if err := os.WriteFile(from, []byte("record"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := renameNew(from, to); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
