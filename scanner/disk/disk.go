// Package disk finds the volumes on a disk: bare volumes, partitions of an MBR with
// its logical partitions, and of a GPT, and logical volumes of LVM2. It finds by
// signature which filesystem a volume holds, and whether it is encrypted, and reads
// no filesystem itself.
//
//	image, err := disk.Open(ctx, r, size, disk.Options{})
//	if err != nil {
//		return err
//	}
//	for _, v := range image.Volumes() {
//		fmt.Println(v.Number, v.Offset, v.Size, v.Filesystem)
//	}
//
// Everything reads through io.ReaderAt and is safe for concurrent use. Opening
// costs a handful of reads: HeadSize bytes at the beginning of the disk and of every
// volume, TailSize bytes at its end, both copies of a GPT, and a sector for every
// logical partition.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coldcheck/coldcheck/internal/bounded"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/opening"
	"github.com/coldcheck/coldcheck/internal/prose"
)

// Errors for errors.Is. Those of the reader pass through as they are.
var (
	// ErrNotImage: neither a disk nor a volume is there.
	ErrNotImage = kind.ErrNotImage
	// ErrDisc is an ErrNotImage: it is a CD or DVD (ISO 9660).
	ErrDisc = kind.NotImage("an ISO 9660 image of a CD or DVD", "")
	// ErrCorrupt: the partition tables contradict themselves.
	ErrCorrupt = kind.New("damaged partition table", kind.Corrupt)
	// ErrIncomplete: a physical volume of a group of LVM2 is not there.
	ErrIncomplete = errors.New("incomplete")
	// ErrUnsupported: a feature of the partition tables, which the message
	// names, cannot be read.
	ErrUnsupported = kind.Unsupported
)

// Options say how a disk is opened. There is nothing to choose.
type Options struct{}

// Image is a disk, as its partition tables describe it.
type Image struct {
	Size          int64  // in bytes
	SectorSize    int    // logical, in bytes: 512 or 4096
	Table         string // "none", "mbr" or "gpt"
	DiskSignature uint32 // of the MBR, 0 if there is none
	DiskGUID      GUID   // of the GPT, zero if there is none
	Hybrid        bool   // the MBR of a GPT disk has partitions of its own
	Short         bool   // the image ends before the disk or a volume on it does

	// Notes describe peculiarities of the tables: the backup GPT was used,
	// partitions overlap, run past the end, and so on. Always in the same order for
	// the same image.
	Notes []string
	// Incomplete is not nil where some part of the layout, or the beginning of a
	// volume, could not be read, so that volumes may be missing from Volumes or
	// have the wrong type. It wraps ErrCorrupt, ErrUnsupported and input errors,
	// and its text is among the Notes.
	Incomplete error

	volumes []*Volume
	reader  io.ReaderAt
}

// Open finds the volumes on the disk of size bytes that r reads. r has to be safe for
// concurrent use; it is read as long as the volumes are. The context bounds only
// Open; its cause is the error. The error is ErrNotImage if neither a partition table
// nor a known filesystem is found, and ErrCorrupt or ErrUnsupported if a partition
// table leads to no volume. A damaged image that can still be read in part is
// returned with Image.Incomplete.
func Open(ctx context.Context, r io.ReaderAt, size int64, _ Options) (*Image, error) {
	begun := opening.NewReader(ctx, whole{r, size})
	i := &Image{Size: size, reader: begun}
	err := i.read()
	if ended := begun.Done(); ended != nil {
		return nil, ended
	}
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Volumes returns the volumes in the order of the partition table, without the
// extended partitions that hold logical ones.
func (i *Image) Volumes() []*Volume { return i.volumes }

// ReadAt reads from the disk. It implements io.ReaderAt.
func (i *Image) ReadAt(p []byte, off int64) (int, error) { return i.reader.ReadAt(p, off) }

// Volume is a partition, or an entire image without partitions.
type Volume struct {
	Number    int   // in Volumes, from 1
	Partition int   // its number in the table, from 1 (logical ones from 5); 0 for a bare volume
	Offset    int64 // on the disk, in bytes
	Size      int64 // in bytes; only the part that the image holds
	// Declared is the size in bytes that the partition table gives, for a bare
	// volume what its filesystem needs. It is larger than Size where the
	// volume runs past the end of the image.
	Declared int64

	Type          string // "0x07", or a GPT type GUID; "" for a bare volume
	TypeName      string // the meaning of that type, "" if not known
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
	// Err says why a logical volume cannot be read; nil if it can.
	Err error

	reader io.ReaderAt
}

// ReadAt reads from the volume, never beyond it. It implements io.ReaderAt.
// Where the image ends before the volume does it returns an error that is
// io.ErrUnexpectedEOF.
func (v *Volume) ReadAt(p []byte, off int64) (int, error) {
	n, err := bounded.ReadAt(v.reader, p, v.Offset, v.Size, off)
	if err == io.EOF && v.Size < v.Declared {
		err = kind.Mark(fmt.Errorf("the image ends %s before the volume does", prose.Exact(v.Declared-v.Size)),
			io.ErrUnexpectedEOF)
	}
	return n, err
}
