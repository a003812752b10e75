package scanner

import (
	"errors"
	"io/fs"

	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
)

// FindWindows returns the name of the folder in the root of a volume that holds
// Windows, as it is spelled there; "" if the volume holds no Windows.
func FindWindows(fsys fs.FS) (folder string, err error) {
	folder, err = windows.FindSystemRoot(fsys)
	if errors.Is(err, windows.ErrNoWindows) {
		return "", nil
	}
	return folder, err
}

// LinuxVolume is what FindLinux needs of a filesystem.
type LinuxVolume = linux.Filesystem

// FindLinux reports whether a volume holds the root of a Linux system.
func FindLinux(fsys LinuxVolume) (bool, error) { return linux.IsRoot(fsys) }
