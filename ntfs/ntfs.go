package ntfs

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// Kinds of errors, beside those of io/fs and of the reader below.
// fs.ErrNotExist means that a thing is truly not there.
var (
	// ErrCorrupt: what is on the disk contradicts itself, is torn, or lies
	// beyond the end of the volume.
	ErrCorrupt = errors.New("ntfs: corrupt")
	// ErrUnsupported: the message names the feature.
	ErrUnsupported = errors.New("ntfs: unsupported")
	// ErrEncrypted: the content is EFS ciphertext, or the volume BitLocker's.
	ErrEncrypted = errors.New("ntfs: encrypted")
)

var errTODO = errors.New("ntfs: not written yet")

// FS is one NTFS volume. It is safe for concurrent use.
type FS struct{}

// Open reads the boot sector and, in one linear pass, $MFT. The reader must be
// safe for concurrent use; size is that of the volume in bytes.
func Open(r io.ReaderAt, size int64) (*FS, error) { return nil, errTODO }

// Open implements fs.FS. Regular files are *File. No reparse point is ever
// followed.
func (f *FS) Open(name string) (fs.File, error) { return nil, errTODO }

// OpenStream opens a named $DATA stream of a file or directory; "" is the
// unnamed one.
func (f *FS) OpenStream(name, stream string) (*File, error) { return nil, errTODO }

// Stat describes the file; Sys is *Entry. It never follows reparse points.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return nil, errTODO }

// Lstat is Stat: both say what the name itself is.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.Stat(name) }

// ReadLink returns where a symbolic link or a junction points to.
func (f *FS) ReadLink(name string) (string, error) { return "", errTODO }

// ReadDir lists a directory, sorted by name. Names that exist only for DOS
// (8.3) are looked up but not listed.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) { return nil, errTODO }

// ReadFile reads a whole file of at most MaxReadFile bytes.
func (f *FS) ReadFile(name string) ([]byte, error) { return nil, errTODO }

// MaxReadFile is the largest file that ReadFile reads, in bytes.
const MaxReadFile = 256 << 20

// Streams lists the named $DATA streams of a file or directory.
func (f *FS) Streams(name string) ([]Stream, error) { return nil, errTODO }

// Stream is a named $DATA stream; sizes in bytes.
type Stream struct {
	Name      string
	Size      int64
	Allocated int64
}

// Reparse returns the reparse data of a file or directory, fs.ErrNotExist if
// it has none.
func (f *FS) Reparse(name string) (Reparse, error) { return Reparse{}, errTODO }

// Reparse is the reparse data of a file or directory.
type Reparse struct {
	Tag        uint32
	Data       []byte // what follows the tag and the length
	Substitute string // of junctions and symbolic links: what the kernel follows
	Print      string // of junctions and symbolic links: what is shown to people; may be ""
	Relative   bool   // of symbolic links: Substitute is relative to the link's directory
}

// Tree adds up the subtree at name from the index in memory.
func (f *FS) Tree(name string) (Totals, error) { return Totals{}, errTODO }

// Totals of a subtree; sizes in bytes.
type Totals struct {
	Files, Dirs     int64 // Dirs without the start
	Size, Allocated int64 // of unnamed $DATA, hard links counted once
	StreamSize      int64 // of named $DATA
	Links           int64 // hard links met again and not counted
	Reparse         int64 // reparse points met, not followed
	Damaged         int64 // entries whose record could not be read: if not 0, all totals are lower bounds
}

// Free returns the free space in bytes: the clear bits of $Bitmap times the
// cluster size, bits past the last cluster excluded.
func (f *FS) Free() (int64, error) { return 0, errTODO }

// Volume describes the volume.
func (f *FS) Volume() Volume { return Volume{} }

// Volume describes a volume.
type Volume struct {
	Label       string
	Serial      uint64
	Version     string // "3.1"
	Dirty       bool   // the dirty flag of $VOLUME_INFORMATION
	LogFile     LogState
	Err         error // why Label, Version and Dirty are not known; nil if they are
	SectorSize  int   // in bytes
	ClusterSize int   // in bytes
	RecordSize  int   // of $MFT, in bytes
	Clusters    int64
	Size        int64 // in bytes, as the boot sector has it, without the backup boot sector
	Records     int64 // in $MFT
	InUse       int64 // records in use
}

// LogState is the state of $LogFile.
type LogState string

// States of $LogFile.
const (
	LogClean    LogState = "clean"     // dismounted
	LogNotClean LogState = "not clean" // mounted, or not dismounted: the log has work that was not applied
	LogEmpty    LogState = "empty"     // all 0xFF, as formatting and other systems leave it
	LogCorrupt  LogState = "corrupt"   // no valid restart page
)

// Damage tells which records could not be read.
func (f *FS) Damage() Damage { return Damage{} }

// Damage is what Open met that was not as it should be.
type Damage struct {
	Count   int64           // of damaged records
	Records []DamagedRecord // the first of them, in order
	Notes   []string        // what was read from a second place, or taken from a default
}

// DamagedRecord is a record of $MFT that cannot be read.
type DamagedRecord struct {
	Record uint64
	Reason string
}

// Entry is what a record of $MFT says of a file or directory. Sizes in bytes,
// of the unnamed $DATA.
type Entry struct {
	Record                             uint64
	Sequence                           uint16
	Links                              int // names, those for DOS only not counted
	Size                               int64
	Allocated                          int64 // 0 for resident data
	Created                            time.Time
	Modified                           time.Time
	Changed                            time.Time // of the record
	Accessed                           time.Time
	Attributes                         uint32 // FILE_ATTRIBUTE_*
	ReparseTag                         uint32 // 0 if none
	Dir                                bool
	Compressed, Sparse, Encrypted, WOF bool
	Resident                           bool
}

// File is an open file or stream. ReadAt is safe for concurrent use.
type File struct{}

func (f *File) Read(p []byte) (int, error)                   { return 0, errTODO }
func (f *File) ReadAt(p []byte, off int64) (int, error)      { return 0, errTODO }
func (f *File) Seek(offset int64, whence int) (int64, error) { return 0, errTODO }
func (f *File) Stat() (fs.FileInfo, error)                   { return nil, errTODO }
func (f *File) Size() int64                                  { return 0 }
func (f *File) Close() error                                 { return nil }

var _ interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadFileFS
	fs.ReadLinkFS
} = (*FS)(nil)
