// Package volume is the one seam between a program and the filesystems of disk
// images:
//
//	fsys, err := volume.Supported.Open(ctx, v.Filesystem, v, v.Size, volume.Options{})
//
// Supported has a row for each filesystem. A new one is a library that reads it,
// a file in this package that makes the library an FS, and a row.
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

// FS is an open filesystem, whichever it is. It is safe for concurrent use.
// Names are those of io/fs. Stat follows symbolic links where the system that
// the filesystem belongs to does; Lstat never does.
//
// An error is of one of the kinds of internal/kind, or an error of io/fs.
// fs.ErrNotExist means that the filesystem was read and does not have the name.
type FS interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadLinkFS

	// Info describes the volume as it was when it was opened.
	Info() Info
	// Node returns what io/fs has no words for. The argument comes from this FS.
	Node(info fs.FileInfo) Node
	// Name turns a path that a person typed into a name.
	Name(path string) string
	// Locate returns where on the volume, in bytes, the structure lies that
	// describes the file: its MFT record or its inode. known is false if it has
	// no single place.
	Locate(name string) (at int64, known bool, err error)

	// Usage returns how full the volume is. The error is kind.Unsupported where
	// this is not computed.
	Usage() (Usage, error)
	// Totals adds up a file, or a folder and what lies below it.
	Totals(name string) (Totals, error)
	// Newest returns the latest time of a change that is not after until and
	// that is known without a search; zero if none is.
	Newest(until time.Time) time.Time

	// Damaged returns how many files cannot be read, as far as was looked, and
	// how many of these because a write was not finished.
	Damaged() (files, torn int64)
	// Notices are what the reader of a report must know of the state in which
	// the volume was found.
	Notices() []Notice
	// Doubts are what was found since: names that were asked for and of which
	// it is not certain that they are there.
	Doubts() []Notice
	// Problems say in a line each what was found wrong when the volume was
	// opened, and what was done about it.
	Problems() []string

	// Close gives back what was taken of Options.Reserve.
	Close() error
}

// File is what FS.Open returns for a regular file of a filesystem that can say
// where its files lie.
type File interface {
	fs.File
	io.ReaderAt
	// Locate returns where on the volume, in bytes, the byte at off lies. known
	// is false for what lies in no single place: in a hole, compressed, or in a
	// place that Locate of the FS returns.
	Locate(off int64) (at int64, known bool, err error)
}

// ErrInDoubt is about a name of which it is not certain that the system has it.
var ErrInDoubt = ntfs.ErrInDoubt

// Options say how a volume is opened.
type Options struct {
	Readers int // reads at a time; what the filesystem's library takes if 0

	// Reserve is asked before memory is taken, in bytes, and told with a
	// negative number what was given up. Its error ends what needed the memory.
	// It must be safe for concurrent use. Nil never refuses.
	Reserve func(n int64) error

	// Progress is told during Open how many records of files are indexed, and how many there are, by filesystems that
	// index them then. It is called from several goroutines. It may be nil.
	Progress func(done, total int64)

	// Stale reads a volume whose journal cannot be replayed as it lies on the
	// disk. Without it every name of such a volume is an error.
	Stale bool
}

// System is a kind of operating system.
type System int

// Kinds of systems.
const (
	Windows System = iota + 1
	Linux
)

// State is in what state the volume was left, as reports write it.
type State string

// States of a volume.
const (
	StateUnknown     State = "unknown"
	StateClean       State = "clean"
	StateDirty       State = "dirty"       // its system checks it at the next start
	StateErrors      State = "with errors" // its system met errors
	StateInUse       State = "in use when it was taken"
	StateReplayed    State = "journal replayed"
	StateNotReplayed State = "journal not replayed"
	StateLogReplayed State = "log replayed" // the same for a filesystem whose journal is called a log
	StateLogNot      State = "log not replayed"
)

// Info describes a volume.
type Info struct {
	Filesystem  disk.Filesystem // more exactly than its signature tells: ext2, ext3 or ext4
	MountType   string          // as mount(8) calls it: "ext4", "vfat"
	Label       string
	ID          string // serial number or UUID, as its system writes it; "" if it has none
	LastMounted string // the folder where it was mounted last; "" if that is not recorded
	State       State  // "" if it is not known
	Journal     Journal

	// Unreplayed is why every name is an error, unless Options.Stale says
	// otherwise: the journal cannot be replayed.
	Unreplayed error

	Numbered  bool // files have numbers: Node.ID
	ByteNames bool // names are bytes: those that are not UTF-8 are shown as internal/bytename has it
}

// Journal is what was found in the journal and what became of it.
type Journal struct {
	State        fslog.State
	Shown        string // the state as reports write it; "" if there is no journal
	Err          error  // why it was not replayed, although it should have been; nil otherwise
	Transactions int
	First, Last  uint32 // sequence numbers of the transactions; 0 if they have none
	Blocks       int    // that are not read from their place on the volume
	// Applied says what was done, for people, if what is read differs from what
	// lies on the volume; "" if it does not.
	Applied string
}

// Node is what a filesystem knows of a file beside its fs.FileInfo.
type Node struct {
	Allocated int64  // in bytes
	ID        uint64 // the number of the inode or MFT record; 0 if files have none
	Record    uint64 // the number of the MFT record; 0 on other filesystems
	Folder    bool   // a directory, also where Reparse makes it stand for something else
	Reparse   bool   // a reparse point of Windows
	Junction  bool   // a link to a directory that io/fs does not call a symbolic link
	Overlay   bool   // compressed by the Windows Overlay Filter
}

// Usage is how full a volume is, in bytes. Available is what users may take.
type Usage struct{ Size, Used, Free, Available int64 }

// Totals of a folder and what lies below it. Size is in bytes.
type Totals struct {
	Files, Size int64
	Damaged     int64 // what could not be read; if not 0, the others are lower bounds
}

// Notice is a sentence for the reader of a report.
type Notice struct {
	Level Level
	Text  string
}

// Level is how much a Notice matters.
type Level int

// Levels of notices.
const (
	Note    Level = iota
	Warning       // what is read may not be what the system would see
	Error         // something cannot be read
)

// Row is one kind of filesystem.
type Row struct {
	Filesystems []disk.Filesystem // by which scanner/disk knows it
	System      System            // that lies on it
	// Extra says that no system lies on it: it is of use only to a system on
	// another volume, which mounts it.
	Extra bool
	Open  func(ctx context.Context, r io.ReaderAt, size int64, o Options) (FS, error)
}

// Table is a list of filesystems.
type Table []Row

// Supported are the filesystems that are read.
var Supported = Table{
	{Filesystems: []disk.Filesystem{disk.NTFS}, System: Windows, Open: openNTFS},
	{Filesystems: []disk.Filesystem{disk.Ext2, disk.Ext3, disk.Ext4}, System: Linux, Open: openExt},
	{Filesystems: []disk.Filesystem{disk.XFS}, System: Linux, Open: openXFS},
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

// Holds reports whether a system may lie on such a filesystem, and it is read.
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
