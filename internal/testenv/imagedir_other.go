//go:build !linux

package testenv

import "testing"

// ImageDir returns a new folder for disk images, which is removed at the end of
// the test.
func ImageDir(t testing.TB) string {
	t.Helper()
	return t.TempDir()
}
