package fleet

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// renameNew gives a file a name that no other file has. The error is fs.ErrExist if one
// has it.
func renameNew(from, to string) error {
	old, err := longPath(from)
	if err != nil {
		return err
	}
	name, err := longPath(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(old, name, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// longPath is a path as the Windows API accepts it at any length, which package os does by
// itself: with the prefix \\?\, absolute, and with backslashes.
func longPath(path string) (*uint16, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	switch share, isShare := strings.CutPrefix(full, `\\`); {
	case strings.HasPrefix(full, `\\?\`), strings.HasPrefix(full, `\\.\`):
	case isShare:
		full = `\\?\UNC\` + share
	default:
		full = `\\?\` + full
	}
	return windows.UTF16PtrFromString(full)
}
