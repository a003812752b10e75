// Package unixfs is what the filesystems of Unix have in common above their
// inodes and directories: how a path leads to an inode, symbolic links,
// listings, open files, and what a subtree adds up to.
//
// A filesystem implements [Store], from which [New] makes an [FS], and [Scan], from
// which [BuildIndex] makes an [Index] that adds up subtrees.
package unixfs

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/lru"
)

// Number is the number of an inode, as wide as the filesystem has it.
type Number interface{ ~uint32 | ~uint64 }

// Inode is an inode of a filesystem.
type Inode[N Number] interface {
	Number() N
	Mode() uint16 // type of file and permissions: S_IF* and below
}

// Store is what a filesystem knows of its inodes and directories. All of it is
// safe for concurrent use. Errors are of the kinds
// Corrupt, Unsupported and Encrypted, or the reader's, which end what was asked
// for.
type Store[N Number, I Inode[N]] interface {
	Inodes[N, I]
	Directories[N, I]

	// Target returns what a symbolic link says, which is not empty.
	Target(i I) ([]byte, error)
	// Content returns the content of a regular file, and why it may not be
	// read, which does not keep the file from being opened.
	Content(i I) (content Content, refused error)
	// Describe returns what fs.FileInfo shows of an inode.
	Describe(i I) Description
}

// Inodes reads inodes.
type Inodes[N Number, I Inode[N]] interface {
	// Root reads the inode of the root directory.
	Root() (I, error)
	// Place returns where on the volume, in bytes, the inode is that an entry of
	// a directory names.
	Place(number N) (int64, error)
	// Read reads such an inode, whatever it holds, and may keep its neighbors. Its
	// error is that of Place where Place has one.
	Read(number N) (I, error)
	// Decode makes an inode of the bytes at its place.
	Decode(number N, raw []byte) I
	// Usable returns why an inode cannot be that of a file with a name.
	Usable(i I) error
	// ReadAt reads all of p from the volume as it is after recovery.
	ReadAt(p []byte, off int64) error
}

// Directories reads directories.
type Directories[N Number, I Inode[N]] interface {
	// Listable returns why the names in a directory cannot be read; nil if they
	// can.
	Listable(dir I) error
	// Entries visits the entries of a directory, ".." among them and "." not.
	// The name is only valid during the call. The error says that some could
	// not be read.
	Entries(dir I, visit func(Dirent[N])) error
	// Parent returns the parent of a directory whose entry ".." is lost, for the
	// reason lost. The directory was found in in.
	Parent(dir I, in N, lost error) (N, error)
	// Fits returns why an inode cannot be what an entry names.
	Fits(e Listed[N], i I) error
	// Doubt returns why it is unknown whether a directory has a name, although
	// the name was found in its list, or was not.
	Doubt(dir I, l *List[N], name []byte, found bool) error
	// Fold returns a function that maps names which the directory treats as equal
	// to the same string; nil if it compares byte by byte.
	Fold(dir I) func(name []byte) string
}

// Description is what fs.FileInfo shows of an inode, apart from its name and
// mode.
type Description struct {
	Sys      any
	Size     int64 // in bytes
	Modified time.Time
}

// Config is what is fixed of a filesystem.
type Config struct {
	InodeSize int64 // in bytes
	// Window is how many bytes around an inode Store.Read keeps: as many inodes
	// are not worth a read of their own.
	Window int64
	// Unknown is the error of every name: why the volume cannot be read as it is.
	// It is nil if it can be.
	Unknown error
}

// FS answers by name what a Store holds by number. It is safe for concurrent
// use.
type FS[N Number, I Inode[N]] struct {
	Config
	store Store[N, I]
	lists lru.Cache[N, *List[N]]
}

// New makes an FS.
func New[N Number, I Inode[N]](s Store[N, I], c Config) *FS[N, I] {
	return &FS[N, I]{Config: c, store: s, lists: lru.Cache[N, *List[N]]{Max: maxListCache}}
}

// Located is an inode and the directory in which it was found.
type Located[N Number, I Inode[N]] struct {
	Inode I
	In    N
}

// isDir reports whether an inode is that of a directory.
func isDir[N Number, I Inode[N]](i I) bool { return i.Mode()&ModeType == ModeDir }

// Stat describes what the name leads to; op is what errors call it.
func (f *FS[N, I]) Stat(op, name string, follow bool) (fs.FileInfo, error) {
	at, err := f.Resolve(name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return f.info(base(name), at.Inode), nil
}

// ErrLinks is a path that leads through too many symbolic links.
var ErrLinks = errors.New("too many symbolic links")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind.Corrupt, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind.Unsupported, fmt.Sprintf(format, args...))
}

// Recoverable reports whether an error is of what is on the volume, and not of
// the reader.
func Recoverable(err error) bool {
	return errors.Is(err, kind.Corrupt) || errors.Is(err, kind.Unsupported) || errors.Is(err, kind.Encrypted)
}
