package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// file is a file or a block device.
type file struct {
	plain
	path string
	f    *handle
	mode fs.FileMode
	at   time.Time // of the last change; zero for a device
}

// openFile opens a file or a block device.
func openFile(_ context.Context, path string, _ Options) (place, error) {
	if device, err := openDevice(path); device != nil || err != nil {
		return device, err
	}
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

// newFile takes over a file that is open, and keeps it open.
func newFile(path string, f *os.File, info fs.FileInfo) (*file, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size == 0 && info.Mode()&fs.ModeDevice != 0 {
		err = fmt.Errorf("%s: the system does not report the size of this device", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	p := &file{plain: plain{size}, path: path, f: &handle{f: f}, mode: info.Mode()}
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
	if same, ok := sameDevice(a, b); ok {
		return same
	}
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func (f *file) readAt(_ context.Context, p []byte, off int64) (n int, err error) {
	err = f.f.use(func(o *os.File) error {
		n, err = o.ReadAt(p, off)
		return err
	})
	return n, err
}

func (f *file) holes() *holeFinder {
	if !f.mode.IsRegular() {
		return nil
	}
	return holesOf(func(off int64, whence int) (at int64, err error) {
		err = f.f.use(func(o *os.File) error {
			at, err = o.Seek(off, whence)
			return err
		})
		return at, err
	})
}

func (f *file) modified() time.Time { return f.at }

// stat is what the system says of the file now.
func (f *file) stat() (info fs.FileInfo, err error) {
	err = f.f.use(func(o *os.File) error {
		info, err = o.Stat()
		return err
	})
	return info, err
}

func (f *file) changed(context.Context) error {
	if f.at.IsZero() {
		return nil
	}
	info, err := f.stat()
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
	info, err := f.stat()
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
	other, info, err := openRegular(folder, name, path)
	if err != nil {
		return nil, err
	}
	p, err := newFile(path, other, info)
	if err != nil {
		return nil, err
	}
	if dir, err := filepath.Abs(filepath.Dir(f.path)); err == nil {
		p.f.share(func() (*os.File, error) { return reopen(dir, name, path, info) })
	}
	return newSource(ctx, path, p), nil
}

// openRegular opens a regular file in a folder. The name for messages is path.
func openRegular(folder *os.Root, name, path string) (*os.File, fs.FileInfo, error) {
	info, err := folder.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file: %w", path, fs.ErrInvalid)
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// reopen opens a file again that was closed in the meantime.
func reopen(dir, name, path string, before fs.FileInfo) (*os.File, error) {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	f, info, err := openRegular(folder, name, path)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, info) {
		f.Close()
		return nil, fmt.Errorf("%s has been replaced by another file while it was read", path)
	}
	return f, nil
}

// neighbors reads the names of the files in the same folder.
func (f *file) neighbors(ctx context.Context, most int) (names []string, more bool, err error) {
	if !f.mode.IsRegular() || most <= 0 {
		return nil, false, nil
	}
	folder, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return nil, false, err
	}
	defer folder.Close()
	own := filepath.Base(f.path)
	for seen := 0; ; {
		if ctx.Err() != nil {
			return nil, false, context.Cause(ctx)
		}
		entries, err := folder.ReadDir(min(256, most+1-seen))
		for _, e := range entries {
			if seen++; seen > most {
				more = true
			} else if t := e.Type(); (t.IsRegular() || t&fs.ModeSymlink != 0) && e.Name() != own {
				names = append(names, e.Name())
			}
		}
		if err == io.EOF || more {
			slices.Sort(names)
			return names, more, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// plainName says whether a name is that of a file in a folder, and leads nowhere
// else, on any system.
func plainName(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, "/\\\x00")
}

func (f *file) close() error { return f.f.close() }
