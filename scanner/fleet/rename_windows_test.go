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

// TestDeviceRecord: a record cannot have the name of a device, in which it would be lost.
func TestDeviceRecord(t *testing.T) {
	t.Parallel()
	s := folderOf(t)
	const id = "nul"
	if filepath.IsLocal(id + extension) {
		t.Skip("this version of Windows has no device ", id+extension)
	}
	if _, err := s.Put(t.Context(), id, []byte("record"), Keep); err == nil {
		t.Error("a record is written to a device")
	}
	if has, err := s.Has(t.Context(), id); has || err == nil {
		t.Errorf("a device is a record: %t, %v", has, err)
	}
	if _, err := s.Get(t.Context(), id); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a device is a record: %v", err)
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
