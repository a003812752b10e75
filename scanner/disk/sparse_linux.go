package disk

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// withoutHoles returns a reader that reads what is data in the file from r.
func withoutHoles(r io.ReaderAt, f *os.File, size int64) io.ReaderAt {
	seek := func(whence int) func(int64) (int64, error) {
		return func(off int64) (int64, error) {
			at, err := f.Seek(off, whence)
			if errors.Is(err, syscall.ENXIO) {
				return endOfFile, nil
			}
			return at, err
		}
	}
	const seekData, seekHole = 3, 4 // lseek(2)
	return &holeSkipper{r: r, size: size, data: seek(seekData), hole: seek(seekHole)}
}
