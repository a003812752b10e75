package ext4

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// TestPresence has debugfs do half of what makes or deletes a file: a name is
// there if its directory has it and its inode is in use, and where they disagree
// it is an error.
func TestPresence(t *testing.T) {
	testenv.Tool(t, "mke2fs", "debugfs")
	for name, c := range map[string]struct {
		request string // for the file "dir/x"
		want    error  // of a look-up
		listed  bool
	}{
		"nothing":                       {"", nil, true},
		"the entry is gone":             {"unlink dir/x", fs.ErrNotExist, false},
		"the inode is free":             {"freei dir/x", ErrCorrupt, true},
		"the inode is empty":            {"clri dir/x", ErrCorrupt, true},
		"the inode has no links":        {"sif dir/x links_count 0", ErrCorrupt, true},
		"the directory's inode is free": {"freei dir", ErrCorrupt, false},
	} {
		for _, features := range []string{"metadata_csum,64bit", "^metadata_csum,^64bit,uninit_bg",
			"^metadata_csum,^64bit,^uninit_bg,^dir_index"} {
			t.Run(name+", "+features, func(t *testing.T) {
				dir := t.TempDir()
				files, image := filepath.Join(dir, "files"), filepath.Join(dir, "image")
				if err := os.MkdirAll(filepath.Join(files, "dir"), 0o755); err != nil {
					t.Fatal(err)
				}
				for i := range 200 { // more than a block, so that there is an index
					if err := os.WriteFile(filepath.Join(files, "dir", fmt.Sprintf("a file with a name that takes some room %d", i)),
						nil, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(filepath.Join(files, "dir", "x"), []byte("content"), 0o644); err != nil {
					t.Fatal(err)
				}
				mounttest.Command(t, "mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O",
					"^has_journal,"+features, "-d", files, image, "8m")
				if c.request != "" {
					mounttest.Command(t, "debugfs", "-w", "-R", c.request, image)
				}
				f := openImage(t, image, Options{})
				if _, err := f.Lstat("dir/x"); !errors.Is(err, c.want) {
					t.Errorf("lstat: %v, want %v", err, c.want)
				}
				list, _ := f.ReadDir("dir")
				found := false
				for _, e := range list {
					if e.Name() != "x" {
						continue
					}
					found = true
					if _, err := e.Info(); !errors.Is(err, c.want) {
						t.Errorf("info: %v, want %v", err, c.want)
					}
				}
				if found != c.listed {
					t.Errorf("listed: %t", found)
				}
			})
		}
	}
}
