// Package volume is the common interface to the filesystems on disk images:
//
//	fsys, err := volume.Supported.Open(ctx, v.Filesystem, v, v.Size, volume.Options{})
//
// Supported has a row for each filesystem. To add one, add a library that reads
// it, a file in this package that adapts the library to FS, and a row.
package volume

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/internal/fslog"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// FS is an open filesystem of any kind. It is safe for concurrent use. Names
// are those of io/fs. Stat follows symbolic links where the operating system
// does; Lstat never does.
//
// Errors are of the kinds in internal/kind, or errors of io/fs. fs.ErrNotExist
// means that the folder was read and does not have the name.
type FS interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadLinkFS

	// Info describes the volume as it was when it was opened.
	Info() Info
	// Node returns attributes that io/fs does not have. The argument must come
	// from this FS.
	Node(info fs.FileInfo) Node
	// Name converts a path that a person typed to a name.
	Name(path string) string
	// Locate returns the offset on the volume, in bytes, of the file's MFT
	// record or inode. known is false if it has no single offset.
	Locate(name string) (at int64, known bool, err error)

	// Usage returns how full the volume is. The error is kind.Unsupported if
	// that is not implemented.
	Usage() (Usage, error)
	// Totals adds up a file, or a folder and everything below it.
	Totals(name string) (Totals, error)
	// Newest returns the latest known change time that is not after until,
	// without searching for it; zero if none is known.
	Newest(until time.Time) time.Time

	// Damaged returns how many of the files read so far are unreadable, and how
	// many of these because of an incomplete write.
	Damaged() (files, torn int64)
	// Notices returns remarks about the state of the volume for the reader of a
	// report.
	Notices() []Notice
	// Doubts returns notices since Open about requested names that may or may
	// not exist on the running system.
	Doubts() []Notice
	// Problems returns the problems that were found when the volume was opened
	// and how each was handled, a line each.
	Problems() []string

	// Close releases the memory that Options.Reserve granted.
	Close() error
}

// File is the type of regular files from FS.Open, if the filesystem can locate
// their data.
type File interface {
	fs.File
	io.ReaderAt
	// Locate returns the offset on the volume, in bytes, of the byte at off.
	// known is false if the byte has no offset of its own: in a hole, in
	// compressed data, or inside the structure that FS.Locate returns.
	Locate(off int64) (at int64, known bool, err error)
}

// ErrInDoubt is the error for a name that may or may not exist on the running
// system.
var ErrInDoubt = ntfs.ErrInDoubt

// Options are the options of Table.Open.
type Options struct {
	Readers int // concurrent reads; the library's default if 0

	// Reserve is called with the number of bytes before memory is allocated,
	// and with a negative number when memory is released. If it returns an
	// error, the operation that needs the memory fails. It must be safe for
	// concurrent use. Nil allows everything.
	Reserve func(n int64) error

	// Progress is called during Open with the number of indexed file records
	// and their total, if the filesystem indexes them then. It is called from
	// several goroutines. It may be nil.
	Progress func(done, total int64)

	// Stale reads a volume without its journal if that cannot be replayed.
	// Otherwise every access to a name on such a volume is an error.
	Stale bool
}

// System is a kind of operating system.
type System int

// Kinds of systems.
const (
	Windows System = iota + 1
	Linux
)

// State is the state of a volume, as reports show it.
type State string

// States of a volume.
const (
	StateUnknown     State = "unknown"
	StateClean       State = "clean"
	StateDirty       State = "dirty"       // the system checks it at the next start
	StateErrors      State = "with errors" // the system found errors on it
	StateInUse       State = "in use when it was taken"
	StateReplayed    State = "journal replayed"
	StateNotReplayed State = "journal not replayed"
	StateLogReplayed State = "log replayed" // the same for a filesystem whose journal is called a log
	StateLogNot      State = "log not replayed"
)

// Info describes a volume.
type Info struct {
	Filesystem  disk.Filesystem // more precise than its signature: ext2, ext3 or ext4
	MountType   string          // its type for mount(8): "ext4", "vfat"
	Label       string
	ID          string // serial number or UUID in the system's notation; "" if it has none
	LastMounted string // the last mount point; "" if that is not recorded
	State       State  // "" if it is not known
	Journal     Journal

	// Unreplayed is the error for a journal that cannot be replayed. Unless
	// Options.Stale is set, every access to a name returns it.
	Unreplayed error

	Numbered  bool // files have numbers: Node.ID
	ByteNames bool // names are bytes: those that are not UTF-8 are shown as internal/bytename encodes them
}

// Journal is the state of the journal and the result of its replay.
type Journal struct {
	State        fslog.State
	Shown        string // the state in reports; "" if there is no journal
	Err          error  // why a required replay was not possible; nil otherwise
	Transactions int
	First, Last  uint32 // sequence numbers of the transactions; 0 if they have none
	Blocks       int    // blocks that are read from the journal
	// Applied describes the replay for people, if the data that is read differs
	// from the volume; "" if it does not.
	Applied string
}

// Node has attributes of a file that fs.FileInfo does not have.
type Node struct {
	Allocated int64  // in bytes
	ID        uint64 // the number of the inode or MFT record; 0 if files have none
	Record    uint64 // the number of the MFT record; 0 on other filesystems
	Folder    bool   // a directory, even if it is a reparse point
	Reparse   bool   // a reparse point of Windows
	Junction  bool   // a link to a directory that io/fs does not call a symbolic link
	Overlay   bool   // compressed by the Windows Overlay Filter
}

// Usage is the space on a volume, in bytes. Available is the space that users
// can use.
type Usage struct{ Size, Used, Free, Available int64 }

// Totals of a folder and everything below it. Size is in bytes.
type Totals struct {
	Files, Size int64
	Damaged     int64 // unreadable files; if not 0, the others are lower bounds
}

// Notice is a sentence for the reader of a report.
type Notice struct {
	Level Level
	Text  string
}

// Level is the severity of a Notice.
type Level int

// Levels of notices.
const (
	Note    Level = iota
	Warning       // the data may differ from what the running system would read
	Error         // something cannot be read
)

// Row is one kind of filesystem.
type Row struct {
	Filesystems []disk.Filesystem // its identifiers in scanner/disk
	System      System            // the system that uses it
	// Extra means that it cannot be a root volume; a system on another volume
	// mounts it.
	Extra bool
	Open  func(ctx context.Context, r io.ReaderAt, size int64, o Options) (FS, error)
	// Head reads only the first structures of a filesystem. It is nil if a filesystem
	// is too small to need that.
	Head func(ctx context.Context, r io.ReaderAt, size int64, o Options) (Head, error)
}

// Head is what the first structures of a filesystem say of it.
type Head struct {
	// Files is the number of inodes in use, or that of the records of the $MFT, in use
	// or free.
	Files int64
	// Index is where the structure is that opening the volume reads in full: the $MFT.
	// It is empty for other filesystems.
	Index []Extent
}

// Extent is a part of a volume, in bytes.
type Extent struct{ Offset, Size int64 }

// IndexSize is the size of Index in bytes.
func (h Head) IndexSize() (size int64) {
	for _, e := range h.Index {
		size += e.Size
	}
	return size
}

// Table is a list of filesystems.
type Table []Row

// Supported lists the supported filesystems.
var Supported = Table{
	{Filesystems: []disk.Filesystem{disk.NTFS}, System: Windows, Open: openNTFS, Head: headNTFS},
	{Filesystems: []disk.Filesystem{disk.Ext2, disk.Ext3, disk.Ext4}, System: Linux, Open: openExt, Head: headExt},
	{Filesystems: []disk.Filesystem{disk.XFS}, System: Linux, Open: openXFS, Head: headXFS},
	{Filesystems: []disk.Filesystem{disk.FAT}, System: Linux, Extra: true, Open: openFAT},
}

// Row returns the row of a filesystem.
func (t Table) Row(filesystem disk.Filesystem) (row Row, ok bool) {
	i := slices.IndexFunc(t, func(r Row) bool { return slices.Contains(r.Filesystems, filesystem) })
	if i < 0 {
		return Row{}, false
	}
	return t[i], true
}

// Holds reports whether the filesystem is supported and can be a root volume.
func (t Table) Holds(filesystem disk.Filesystem) bool {
	row, ok := t.Row(filesystem)
	return ok && !row.Extra
}

// Open opens a volume of size bytes. The reader must be safe for concurrent use,
// and is read for as long as the FS is; the context ends opening. The error is
// kind.Unsupported for a filesystem that is not in the table.
func (t Table) Open(ctx context.Context, filesystem disk.Filesystem, r io.ReaderAt, size int64, o Options) (FS, error) {
	row, ok := t.Row(filesystem)
	if !ok {
		return nil, fmt.Errorf("%w: filesystem %q", kind.Unsupported, filesystem)
	}
	return row.Open(ctx, r, size, o)
}

// slashed makes a name out of a path that may begin with a slash.
func slashed(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}
