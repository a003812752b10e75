package packages

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// file is a file that can be read at any place.
type file struct {
	io.ReaderAt
	io.Closer
}

// openFile opens a regular file and returns its size.
func openFile(fsys fs.FS, name string) (file, int64, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return file{}, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return file{}, 0, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok || !info.Mode().IsRegular() {
		f.Close()
		return file{}, 0, fmt.Errorf("%s is not a regular file: %w", name, ErrUnsupported)
	}
	return file{r, f}, info.Size(), nil
}

// readFile returns the content of a regular file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, size, err := openFile(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: %d bytes, more than %d: %w", name, size, limit, ErrUnsupported)
	}
	data := make([]byte, size)
	if err := readAt(f, data, 0); err != nil {
		return nil, inFile(name, err)
	}
	return data, nil
}

// inFile says in which file an error is, unless the error does.
func inFile(name string, err error) error {
	if known, ok := err.(*fs.PathError); ok && known.Path == name {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// readAt fills p.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return fmt.Errorf("%d bytes at %d end after %d: %w", len(p), off, n, ErrCorrupt)
	}
	return err
}

// exists reports whether there is a file or folder of that name.
func exists(fsys fs.FS, name string) (bool, error) {
	_, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// window reads a file in aligned pieces of a fixed size and keeps the last.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	off  int64 // of buf
}

// windowSize is a multiple of every size that is read through a window.
const windowSize = 64 << 10

// page returns n bytes at off, which are within the file and in one piece.
// They are valid until the next call.
func (w *window) page(off int64, n int) ([]byte, error) {
	if at := off - w.off; w.buf != nil && at >= 0 && at+int64(n) <= int64(len(w.buf)) {
		return w.buf[at:][:n], nil
	}
	start := off &^ (windowSize - 1)
	buf := w.buf
	if buf == nil {
		buf = make([]byte, windowSize)
	}
	buf = buf[:min(windowSize, w.size-start)]
	w.buf = nil
	if err := readAt(w.r, buf, start); err != nil {
		return nil, err
	}
	w.buf, w.off = buf, start
	return buf[off-start:][:n], nil
}
