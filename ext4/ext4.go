// Package ext4 reads ext2, ext3 and ext4 volumes, read-only, as io/fs.
package ext4

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

var (
	ErrCorrupt     = errors.New("corrupt")
	ErrUnsupported = errors.New("unsupported")
	ErrEncrypted   = errors.New("encrypted")
)

// FS is one volume. It is safe for concurrent use. Names are those of io/fs.
type FS struct{}

// Options bound what a volume may cost. The zero value is good for volumes of
// a few million files.
type Options struct {
	Memory  int64 // bytes that the index behind Tree may take; DefaultMemory if 0
	Readers int   // reads at a time; as many as there are processors, at least two, if 0
	// Stale reads a volume whose journal cannot be replayed as it is without
	// it. Otherwise every name on such a volume is an error, since what the
	// journal holds may change any of them.
	Stale bool
}

// DefaultMemory is what the index behind Tree may take, in bytes.
const DefaultMemory = 400 << 20

// Open opens a volume with the default Options.
func Open(r io.ReaderAt, size int64) (*FS, error) { return Options{}.Open(r, size) }

// Open reads the superblock and the group descriptors and replays the journal
// in memory.
func (o Options) Open(r io.ReaderAt, size int64) (*FS, error) { return nil, ErrUnsupported }

// Open follows symbolic links. Regular files are *File.
func (f *FS) Open(name string) (fs.File, error) { return nil, ErrUnsupported }

// Stat follows symbolic links; Sys is an *Entry.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return nil, ErrUnsupported }

// Lstat does not follow a symbolic link that is the last element.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return nil, ErrUnsupported }

// ReadDir lists a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) { return nil, ErrUnsupported }

// ReadFile reads a whole file.
func (f *FS) ReadFile(name string) ([]byte, error) { return nil, ErrUnsupported }

// ReadLink returns what a symbolic link says.
func (f *FS) ReadLink(name string) (string, error) { return "", ErrUnsupported }

// Xattrs returns the extended attributes of what the name leads to.
func (f *FS) Xattrs(name string) ([]Xattr, error) { return nil, ErrUnsupported }

// Xattr is an extended attribute.
type Xattr struct {
	Name  string // with its prefix: "security.selinux"
	Value []byte // as getxattr(2) gives it
}

// Usage is how full the volume is, in bytes, as statfs(2) and df have it after
// the kernel mounted it.
func (f *FS) Usage() (Usage, error) { return Usage{}, ErrUnsupported }

// Usage in bytes; Inodes in number.
type Usage struct {
	Size       int64 // without what the filesystem itself takes
	Used       int64 // Size - Free
	Free       int64
	Available  int64 // to users other than root
	Reserved   int64 // for root
	Inodes     int64
	FreeInodes int64
}

// Tree adds up what lies below a directory, or a single file.
func (f *FS) Tree(name string) (Totals, error) { return Totals{}, ErrUnsupported }

// Totals of a subtree; sizes in bytes.
type Totals struct {
	Files     int64 // other than directories
	Dirs      int64 // below the start
	Size      int64 // of regular files
	Allocated int64 // of all, directories and the start too, as du has it
	Links     int64 // hard links met again: a file counts once
	Symlinks  int64 // among Files
	Encrypted int64 // files and directories whose content is encrypted
	Damaged   int64 // if not 0, the other figures are lower bounds
}

// Volume describes the volume.
func (f *FS) Volume() Volume { return Volume{} }

// Volume describes a volume.
type Volume struct {
	Type        string // "ext2", "ext3", "ext4"
	Label       string
	UUID        string
	Features    []string // as dumpe2fs names them
	LastMounted string   // where it was mounted last
	Created     time.Time
	Mounted     time.Time
	Written     time.Time
	Clean       bool // it was unmounted, or never mounted
	Errors      bool // the kernel met errors in it
	BlockSize   int
	ClusterSize int
	InodeSize   int
	Blocks      int64
	Groups      int64
	Inodes      int64
	Size        int64
	Journal     Journal
}

// JournalState says what became of the journal.
type JournalState int

const (
	JournalNone     JournalState = iota // there is none
	JournalClean                        // nothing was to be done
	JournalReplayed                     // what it holds is part of what is read
	JournalFailed                       // it holds changes that could not be replayed
)

// Journal tells what was in the journal.
type Journal struct {
	State        JournalState
	Err          error // why it could not be replayed
	Size         int64
	Transactions int
	Blocks       int // that are read from the journal
}

// Damage tells what was met that is not as it should be.
func (f *FS) Damage() Damage { return Damage{} }

// Damage is what was met that is not as it should be.
type Damage struct {
	Count  int64 // damaged inodes that Tree met
	Inodes []DamagedInode
	Notes  []string
}

// DamagedInode is an inode that cannot be read.
type DamagedInode struct {
	Inode  uint64
	Reason string
}

// File is an open file. ReadAt is safe for concurrent use.
type File struct{}

func (f *File) Stat() (fs.FileInfo, error)                   { return nil, ErrUnsupported }
func (f *File) Read(p []byte) (int, error)                   { return 0, ErrUnsupported }
func (f *File) ReadAt(p []byte, off int64) (int, error)      { return 0, ErrUnsupported }
func (f *File) Seek(offset int64, whence int) (int64, error) { return 0, ErrUnsupported }
func (f *File) Size() int64                                  { return 0 }
func (f *File) Close() error                                 { return ErrUnsupported }

// Entry is what the inode says.
type Entry struct {
	Inode      uint64
	Mode       uint16 // type and permissions, S_IF*
	UID, GID   uint32
	Links      int
	Size       int64
	Allocated  int64
	Accessed   time.Time
	Modified   time.Time
	Changed    time.Time
	Created    time.Time
	Flags      uint32
	Generation uint32
	Major      uint32
	Minor      uint32
	Encrypted  bool
}
