package linux

import "io/fs"

// stat follows the links of a path and describes what it leads to. The error
// is fs.ErrNotExist if that is not there.
func (t *tree) stat(p string) (fs.FileInfo, error) {
	real, err := t.resolve(p, true)
	if err != nil {
		return nil, err
	}
	info, _, _, err := t.lstat(real)
	return info, err
}
