package xfs

import (
	"io"
	"io/fs"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// File is an open file. ReadAt is safe for concurrent use; Read and Seek share
// a position and are not.
//
// Devices, sockets and FIFOs have no content.
type File struct{ file *unixfs.File }

var _ interface {
	fs.File
	io.ReaderAt
	io.Seeker
} = (*File)(nil)

// Open opens a file or directory and follows symbolic links. Anything other
// than a directory is a *File.
func (f *FS) Open(name string) (fs.File, error) {
	return f.core.Open(name, func(file *unixfs.File) fs.File { return &File{file} })
}

// MaxReadFile is the size of the largest file that ReadFile reads, in bytes: a
// crafted file of a few bytes can claim any size. Open larger ones and read them
// in parts.
const MaxReadFile = unixfs.MaxReadFile

// ReadFile returns the content of a file of at most MaxReadFile bytes.
func (f *FS) ReadFile(name string) ([]byte, error) { return f.core.ReadFile(name) }

// Size returns the size of the content in bytes.
func (f *File) Size() int64 { return f.file.Size() }

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) { return f.file.Stat() }

// Close makes further use fail.
func (f *File) Close() error { return f.file.Close() }

// ReadAt implements io.ReaderAt. Holes, and blocks that were reserved but
// never written, read as zeros.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) { return f.file.Read(p) }

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) { return f.file.Seek(offset, whence) }

// Locate returns where on the volume, in bytes, the byte at off of the file is.
// The place is not known of data in a hole, or in blocks that were never written.
func (f *File) Locate(off int64) (at int64, known bool, err error) { return f.file.Locate(off) }

// Stat describes a file or directory and follows symbolic links; Sys returns
// its *Entry.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.core.Stat("stat", name, true) }

// Lstat is Stat, but for a symbolic link itself if the name is one.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.core.Stat("lstat", name, false) }

// ReadLink returns the target of a symbolic link as stored on disk. Bytes that
// are not UTF-8 are encoded as in names.
func (f *FS) ReadLink(name string) (string, error) { return f.core.ReadLink(name) }

// ReadDir lists a directory, sorted by name. The entries' types and infos come
// from the inodes, not from the directory. If an inode cannot be read, Info
// returns the error. If part of the directory cannot be read, the error comes
// with the entries that can.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) { return f.core.ReadDir(name) }
