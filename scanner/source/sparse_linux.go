package source

import (
	"errors"
	"syscall"
)

// holesOf asks the operating system for the holes of a file, by its lseek.
func holesOf(lseek func(off int64, whence int) (int64, error)) *holeFinder {
	seek := func(whence int) func(int64) (int64, error) {
		return func(off int64) (int64, error) {
			at, err := lseek(off, whence)
			if errors.Is(err, syscall.ENXIO) {
				return endOfFile, nil
			}
			return at, err
		}
	}
	const seekData, seekHole = 3, 4 // lseek(2)
	return &holeFinder{data: seek(seekData), hole: seek(seekHole)}
}
