package xfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
)

// File is an open file. ReadAt is safe for concurrent use; Read and Seek share
// a position and are not.
//
// What is neither a file nor a directory (a device, a socket)
// has no content.
type File struct {
	info    *info
	content *content
	path    string
	at      int64
	closed  atomic.Bool
}

var _ interface {
	fs.File
	io.ReaderAt
	io.Seeker
} = (*File)(nil)

// Open opens a file or directory, symbolic links followed. What is not a
// directory is a *File.
func (f *FS) Open(name string) (fs.File, error) {
	i, err := f.resolve(name, true)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	info := f.info(base(name), i.inode)
	if info.IsDir() {
		return &dirFile{f: f, info: info, path: name, dir: i}, nil
	}
	file := &File{info: info, path: name, content: &content{}}
	if i.kind() == modeRegular {
		file.content = newContent(f, i.inode)
	}
	return file, nil
}

// MaxReadFile is the size of the largest file that ReadFile reads, in bytes:
// a file of a few bytes on the disk may say that it has any size. Larger ones
// are opened and read piece by piece.
const MaxReadFile = 256 << 20

// ReadFile reads a whole file of at most MaxReadFile bytes.
func (f *FS) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, ok := file.(*File)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: is a directory", fs.ErrInvalid)}
	}
	if data.Size() > MaxReadFile {
		return nil, data.fail("read", unsupported("a file of %d bytes read at once, more than %d", data.Size(), MaxReadFile))
	}
	p := make([]byte, data.Size())
	if _, err := data.ReadAt(p, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return p, nil
}

// Size returns the size of the content in bytes.
func (f *File) Size() int64 { return f.content.size }

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

// ReadAt implements io.ReaderAt. Holes, and blocks that were reserved but
// never written, read as zeros.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed.Load():
		return 0, f.fail("read", fs.ErrClosed)
	case off < 0:
		return 0, f.fail("read", fs.ErrInvalid)
	case off >= f.content.size:
		return 0, io.EOF
	}
	n := min(int64(len(p)), f.content.size-off)
	if err := f.content.readAt(p[:n], off); err != nil {
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
		offset += f.content.size
	default:
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	f.at = offset
	return offset, nil
}

func (f *File) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

// dirFile is an open directory.
type dirFile struct {
	f    *FS
	info *info
	path string
	dir  located
	list []fs.DirEntry
	err  error // of the listing; it comes after what is known
	read bool
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dirFile) Close() error               { return nil }

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: fmt.Errorf("%w: is a directory", fs.ErrInvalid)}
}

// ReadDir implements fs.ReadDirFile.
func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		if d.list, d.err = d.f.readDir(d.dir); d.err != nil {
			d.err = &fs.PathError{Op: "readdir", Path: d.path, Err: d.err}
		}
		d.read = true
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

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
