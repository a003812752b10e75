package unixfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
)

// Content is the content of a regular file, wherever it is stored. It is safe
// for concurrent use.
type Content interface {
	Size() int64 // in bytes
	// ReadAt fills p. No byte of it is past the end.
	ReadAt(p []byte, off int64) error
	// Locate returns where on the volume, in bytes, a byte of the content is. The
	// place is not known of a byte that is in a hole, or in an inode.
	Locate(off int64) (at int64, known bool, err error)
}

// File is an open file. ReadAt is safe for concurrent use; Read and Seek share
// a position and are not. Only regular files have content.
type File struct {
	info    *info
	content Content // nil if it has none
	refused error   // why the content may not be read
	size    int64
	path    string
	at      int64
	closed  atomic.Bool
}

var _ interface {
	fs.File
	io.ReaderAt
	io.Seeker
} = (*File)(nil)

// Open opens a file or directory and follows symbolic links. Anything other
// than a directory is the result of wrap.
func (f *FS[N, I]) Open(name string, wrap func(*File) fs.File) (fs.File, error) {
	at, err := f.Resolve(name, true)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	info := f.info(base(name), at.Inode)
	if info.IsDir() {
		return &dirFile{read: func() ([]fs.DirEntry, error) { return f.readDir(at) }, info: info, path: name}, nil
	}
	return wrap(f.open(name, info, at.Inode)), nil
}

func (f *FS[N, I]) open(name string, info *info, i I) *File {
	file := &File{info: info, path: name}
	if info.mode.IsRegular() {
		file.content, file.refused = f.store.Content(i)
		file.size = file.content.Size()
	}
	return file
}

// MaxReadFile is the size of the largest file that ReadFile reads, in bytes:
// a crafted file of a few bytes can claim any size.
const MaxReadFile = 256 << 20

// ReadFile returns the content of a file of at most MaxReadFile bytes.
func (f *FS[N, I]) ReadFile(name string) ([]byte, error) {
	at, err := f.Resolve(name, true)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	info := f.info(base(name), at.Inode)
	if info.IsDir() {
		return nil, isDirectory(name)
	}
	file := f.open(name, info, at.Inode)
	if file.size > MaxReadFile {
		return nil, file.fail("read",
			unsupported("a file of %d bytes read at once, more than %d", file.size, MaxReadFile))
	}
	p := make([]byte, file.size)
	if _, err := file.ReadAt(p, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return p, nil
}

func isDirectory(name string) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: is a directory", fs.ErrInvalid)}
}

// Size returns the size of the content in bytes.
func (f *File) Size() int64 { return f.size }

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) {
	if f.closed.Load() {
		return nil, f.fail("stat", fs.ErrClosed)
	}
	return f.info, nil
}

// Close makes further use fail.
func (f *File) Close() error {
	f.closed.Store(true)
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed.Load():
		return 0, f.fail("read", fs.ErrClosed)
	case off < 0:
		return 0, f.fail("read", fs.ErrInvalid)
	case f.refused != nil && f.size > 0:
		return 0, f.fail("read", f.refused)
	case off >= f.size:
		return 0, io.EOF
	}
	n := min(int64(len(p)), f.size-off)
	if err := f.content.ReadAt(p[:n], off); err != nil {
		return 0, f.fail("read", err)
	}
	if int(n) < len(p) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	default:
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	f.at = offset
	return offset, nil
}

// Locate returns where on the volume, in bytes, the byte at off is.
func (f *File) Locate(off int64) (at int64, known bool, err error) {
	if f.refused != nil || off < 0 || off >= f.size {
		return 0, false, nil
	}
	if at, known, err = f.content.Locate(off); err != nil {
		return 0, false, f.fail("locate", err)
	}
	return at, known, nil
}

func (f *File) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

// dirFile is an open directory.
type dirFile struct {
	read func() ([]fs.DirEntry, error) // nil once it was read
	info *info
	path string
	list []fs.DirEntry
	err  error // of the listing; returned after the known entries
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dirFile) Close() error               { return nil }
func (d *dirFile) Read([]byte) (int, error)   { return 0, isDirectory(d.path) }

// ReadDir implements fs.ReadDirFile.
func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.read != nil {
		if d.list, d.err = d.read(); d.err != nil {
			d.err = &fs.PathError{Op: "readdir", Path: d.path, Err: d.err}
		}
		d.read = nil
	}
	list := d.list
	if n > 0 && len(list) > n {
		list = list[:n]
	}
	d.list = d.list[len(list):]
	if n > 0 && len(list) > 0 {
		return list, nil
	}
	err := d.err
	d.err = nil
	if n > 0 && err == nil {
		err = io.EOF
	}
	return list, err
}
