// Package disk opens images of disks and finds the volumes on them: bare
// volumes, partitions of an MBR with its logical partitions, and of a GPT. It
// tells by signature which filesystem a volume holds, and whether it is
// encrypted, and reads no filesystem itself.
//
// Images are opened read-only. Everything reads through io.ReaderAt, is safe
// for concurrent use and counted. Opening costs a handful of reads: 68 KiB at
// the beginning of the image and of every volume, both copies of a GPT, and a
// sector for every logical partition.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Errors that callers tell apart with errors.Is. An error of the file below
// passes through, and is of the kind input/output too.
var (
	// ErrNotImage: the file is no raw image of a disk or volume. The message
	// says what it is, if that is known, and the error has a Hint() string.
	ErrNotImage = errors.New("not a raw disk image")
	// ErrCorrupt: the partition tables contradict themselves.
	ErrCorrupt = kind.New("damaged partition table", kind.Corrupt)
	// ErrIncomplete: a physical volume of a group of LVM2 is not there.
	ErrIncomplete = errors.New("incomplete")
	// ErrUnsupported: a feature of the partition tables, which the message
	// names, cannot be read.
	ErrUnsupported = kind.Unsupported
)

// Image is an open disk image.
type Image struct {
	Name          string // as it was named
	Format        string // of the container: "raw"
	Size          int64  // in bytes
	SectorSize    int    // logical, in bytes: 512 or 4096
	Table         string // "none", "mbr" or "gpt"
	DiskSignature uint32 // of the MBR, 0 if there is none
	DiskGUID      GUID   // of the GPT, zero if there is none

	// Notes says what a reader must know of the tables: the backup GPT was
	// used, partitions overlap, run past the end, and so on. Always in the
	// same order for the same image.
	Notes []string
	// Incomplete is not nil where some part of the layout, or the beginning
	// of a volume, could not be read, so that volumes may be missing from
	// Volumes or not be known for what they are. It wraps ErrCorrupt,
	// ErrUnsupported and input errors, and what it says is among the Notes.
	Incomplete error

	// Modified is when the file was last changed, as it was when it was opened;
	// zero for what is no file.
	Modified time.Time

	volumes []*Volume
	reader  io.ReaderAt // what is read of it is counted by counter
	counter *countingReader
	whole   io.ReaderAt // the same, not counted
	file    *os.File    // nil for OpenReader
}

// Open opens an image file or a block device, read-only. Where the system tells
// which parts of a file are holes, these are not read.
func Open(path string) (*Image, error) {
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
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size == 0 && info.Mode()&fs.ModeDevice != 0 {
		err = fmt.Errorf("%s: the system does not tell the size of this device", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	i := newImage(path, f, size)
	i.file = f
	if info.Mode().IsRegular() {
		i.reader, i.whole = withoutHoles(i.counter, f, size), withoutHoles(f, f, size)
		i.Modified = info.ModTime()
	}
	if err := i.read(); err != nil {
		f.Close()
		return nil, err
	}
	return i, nil
}

func openable(path string, mode fs.FileMode) error {
	switch {
	case mode.IsRegular(), mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		return nil
	case mode.IsDir():
		return &notImage{path, "a directory", "name the image file in it"}
	}
	return &notImage{path, "neither a file nor a block device", ""}
}

// OpenReader opens the image of size bytes that r reads. r has to be safe for
// concurrent use. name is only for messages.
func OpenReader(name string, r io.ReaderAt, size int64) (*Image, error) {
	i := newImage(name, r, size)
	if err := i.read(); err != nil {
		return nil, err
	}
	return i, nil
}

func newImage(name string, r io.ReaderAt, size int64) *Image {
	counter := &countingReader{r: r, size: size}
	return &Image{Name: name, Format: "raw", Size: size, reader: counter, counter: counter, whole: r}
}

// Volumes returns the volumes in the order of the partition table, without the
// extended partitions that hold logical ones.
func (i *Image) Volumes() []*Volume { return i.volumes }

// Counters returns how many bytes were read from the image so far, and in how
// many reads. Holes of a file are not read.
func (i *Image) Counters() (bytes, reads int64) { return i.counter.counters() }

// ReadAt reads from the whole disk. It implements io.ReaderAt.
func (i *Image) ReadAt(p []byte, off int64) (int, error) { return i.reader.ReadAt(p, off) }

// Close closes the image. Its volumes cannot be read afterwards.
func (i *Image) Close() error {
	if i.file == nil {
		return nil
	}
	return i.file.Close()
}

// Volume is a partition, or the whole of an image that has no partitions.
type Volume struct {
	Number    int   // in Volumes, from 1
	Partition int   // its number in the table, from 1 (logical ones from 5); 0 for a bare volume
	Offset    int64 // on the disk, in bytes
	Size      int64 // in bytes, as far as the image holds it
	// Declared is the size in bytes that the partition table gives, for a bare
	// volume what its filesystem needs. It is larger than Size where the
	// volume runs past the end of the image.
	Declared int64

	Type          string // "0x07", or a GPT type GUID; "" for a bare volume
	TypeName      string // what that type means, "" if not known
	Name          string // in the GPT
	GUID          GUID   // unique partition GUID, zero if there is none
	Active        bool   // the system boots from it
	Hidden        bool
	NoDriveLetter bool

	Filesystem Filesystem
	// Detail says more of the filesystem: the version of LUKS, the UUID of an
	// LVM physical volume, the name of one that is not among the constants.
	Detail string

	// Group is that of LVM2 that a physical or logical volume belongs to, and
	// LogicalVolume the name of a logical one, as "group/volume"; "" otherwise.
	// Such a volume has no place on the disk: Offset is 0.
	Group         string
	LogicalVolume string
	// Err says why what AssembleLVM found cannot be read; nil if it can.
	Err error

	reader io.ReaderAt
}

// ReadAt reads from the volume, never beyond it. It implements io.ReaderAt.
// Where the image ends before the volume does it returns an error that is
// io.ErrUnexpectedEOF.
func (v *Volume) ReadAt(p []byte, off int64) (int, error) {
	n, err := readClamped(v.reader, p, v.Offset, v.Size, off)
	if err == io.EOF && v.Size < v.Declared {
		err = fmt.Errorf("the image ends %d bytes before the volume does: %w", v.Declared-v.Size, io.ErrUnexpectedEOF)
	}
	return n, err
}
