package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// file is a file or a block device.
type file struct {
	plain
	path string
	f    *os.File
	mode fs.FileMode
	at   time.Time // of the last change; zero for a device
}

// openFile opens a file or a block device.
func openFile(_ context.Context, path string, _ Options) (place, error) {
	// The kind of file is looked at first: opening a named pipe would wait for
	// its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := openable(path, info.Mode()); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return newFile(path, f, info)
}

// newFile takes over a file that is open.
func newFile(path string, f *os.File, info fs.FileInfo) (place, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size == 0 && info.Mode()&fs.ModeDevice != 0 {
		err = fmt.Errorf("%s: the system does not report the size of this device", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	p := &file{plain: plain{size}, path: path, f: f, mode: info.Mode()}
	if info.Mode().IsRegular() {
		p.at = info.ModTime()
	}
	return p, nil
}

func openable(path string, mode fs.FileMode) error {
	var err error
	switch {
	case mode.IsRegular(), mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		return nil
	case mode.IsDir():
		err = kind.NotImage("a directory", "name the image file in it")
	default:
		err = kind.NotImage("neither a file nor a block device", "")
	}
	return fmt.Errorf("%s: %w", path, err)
}

// sameFile compares files by what the system knows them by.
func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func (f *file) readAt(_ context.Context, p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

func (f *file) holes() *holeFinder {
	if !f.mode.IsRegular() {
		return nil
	}
	return holesOf(f.f)
}

func (f *file) modified() time.Time { return f.at }

func (f *file) changed(context.Context) error {
	if f.at.IsZero() {
		return nil
	}
	info, err := f.f.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() != f.bytes:
		return fmt.Errorf("%s has changed while it was read: it was of %d bytes and is of %d", f.path, f.bytes, info.Size())
	case !info.ModTime().Equal(f.at):
		return fmt.Errorf("%s has changed while it was read: it was written at %s",
			f.path, info.ModTime().UTC().Format("2006-01-02 15:04:05Z"))
	}
	return nil
}

func (f *file) mounts() []WritableMount {
	info, err := f.f.Stat()
	if err != nil {
		return nil
	}
	return writableMounts("/", info)
}

// beside opens a regular file in the same folder. A link that leads out of the
// folder is an error, and so is a device.
func (f *file) beside(ctx context.Context, name string) (*Source, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	folder, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	path := filepath.Join(filepath.Dir(f.path), name)
	info, err := folder.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file: %w", path, fs.ErrInvalid)
	}
	other, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	p, err := newFile(path, other, info)
	if err != nil {
		return nil, err
	}
	return newSource(ctx, path, p), nil
}

// plainName says whether a name is that of a file in a folder, and leads nowhere
// else, on any system.
func plainName(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, "/\\\x00")
}

func (f *file) close() error { return f.f.Close() }
