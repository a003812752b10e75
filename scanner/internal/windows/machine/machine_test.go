package machine

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// damagedFolders is a volume whose folders in the root cannot be read.
type damagedFolders struct{ fstest.MapFS }

func (d damagedFolders) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return d.MapFS.Stat(name)
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: kind.Corrupt}
}

// TestDamagedFolderIsNoSystem makes sure that a damaged folder on a user volume
// is not read as a system, unless something identifies it as one.
func TestDamagedFolderIsNoSystem(t *testing.T) {
	for folder, want := range map[string]error{"$Extend": ErrNoWindows, "Users": ErrNoWindows, "WINDOWS": nil} {
		_, err := FindSystemRoot(damagedFolders{fstest.MapFS{folder: {Mode: fs.ModeDir}}})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", folder, err, want)
		}
	}
}
