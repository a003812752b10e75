package testenv

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// ImageDir returns a new folder for disk images, which is removed at the end of
// the test. It is in memory where 4 GiB of that are free, since a mounted image
// is written back often and a disk makes the kernel wait each time.
func ImageDir(t testing.TB) string {
	t.Helper()
	const memory, room = "/dev/shm", 4 << 30
	var s unix.Statfs_t
	if err := unix.Statfs(memory, &s); err != nil || s.Type != unix.TMPFS_MAGIC || int64(s.Bavail)*s.Bsize < room {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "coldcheck-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
