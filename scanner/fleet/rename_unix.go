//go:build unix && !linux

package fleet

import "os"

// renameNew gives a file a name that no other file has. The error is fs.ErrExist if one
// has it.
func renameNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
