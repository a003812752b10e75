package xfs

import (
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Kinds of errors. Errors of io/fs and of the underlying reader pass through.
// fs.ErrNotExist means that the name does not exist: the directory was read
// completely, and the log was replayed.
var (
	// ErrCorrupt means that data is inconsistent, fails its checksum, or is beyond
	// the end of the image.
	ErrCorrupt = kind.Corrupt
	// ErrUnsupported means that this package cannot read the data; the message
	// names the feature.
	ErrUnsupported = kind.Unsupported
	// ErrLinks means that a path leads through more than 40 symbolic links, or
	// through a loop of them.
	ErrLinks = unixfs.ErrLinks
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

// recoverable reports whether the error comes from the data on the disk, and
// not from the reader.
func recoverable(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported)
}

// reason describes the damage to an inode or a block. It is an error of kind
// ErrCorrupt that costs no allocation, since a hostile volume may have millions
// of them.
type reason uint8

const (
	sound reason = iota
	reasonNumber
	reasonPastEnd
	reasonMagic
	reasonFree
	reasonChecksum
	reasonOwner
	reasonVersion
	reasonMode
	reasonFormat
	reasonSize
	reasonFork
	reasonExtentCount
	reasonExtentOrder
	reasonExtentLength
	reasonExtentPlace
	reasonTreeMagic
	reasonTreeChecksum
	reasonTreeOwner
	reasonTreeLevel
	reasonTreeCount
	reasonTreeKeys
	reasonDirHole
	reasonDirMagic
	reasonDirChecksum
	reasonDirOwner
	reasonDirFree
	reasonDirEntry
	reasonDirName
	reasonDirInode
	reasonDirSelf
	reasonDirIndex
	reasonTwice
	reasonTarget
	reasonXattr
	reasonXattrChecksum
	reasonUnfinished
	reasonUnreplayed
)

var reasons = [...]string{
	sound:               "sound",
	reasonNumber:        "does not exist on the volume",
	reasonPastEnd:       "is past the end of the image",
	reasonMagic:         "has no magic number",
	reasonFree:          "is not in use",
	reasonChecksum:      "fails its checksum",
	reasonOwner:         "has the number of another inode, or the UUID of another volume",
	reasonVersion:       "has a version that the volume does not use",
	reasonMode:          "has a mode with an unknown file type",
	reasonFormat:        "has a format that its type of file does not have",
	reasonSize:          "has a size out of range",
	reasonFork:          "has attributes that begin out of range",
	reasonExtentCount:   "has more extents than fit",
	reasonExtentOrder:   "has extents that overlap or are out of order",
	reasonExtentLength:  "has an extent with a length out of range",
	reasonExtentPlace:   "has an extent outside the volume",
	reasonTreeMagic:     "has an extent block without a magic number",
	reasonTreeChecksum:  "has an extent block that fails its checksum",
	reasonTreeOwner:     "has an extent block of another inode",
	reasonTreeLevel:     "has an extent block of a wrong level",
	reasonTreeCount:     "has an extent block with a count out of range",
	reasonTreeKeys:      "has extents that do not start where their index has them",
	reasonDirHole:       "has a hole in a directory block",
	reasonDirMagic:      "has a directory block without a magic number",
	reasonDirChecksum:   "has a directory block that fails its checksum",
	reasonDirOwner:      "has a directory block of another directory",
	reasonDirFree:       "has a directory block with damaged free space",
	reasonDirEntry:      "has a directory entry that does not fit",
	reasonDirName:       "has a directory entry with an invalid name",
	reasonDirInode:      "has a directory entry for an inode that does not exist",
	reasonDirSelf:       "has a first directory block of another directory",
	reasonDirIndex:      "has a directory index with names that the directory lacks",
	reasonTwice:         "is a directory that has two names",
	reasonTarget:        "is a symbolic link with a damaged target",
	reasonXattr:         "has extended attributes that do not fit",
	reasonXattrChecksum: "has extended attributes that fail their checksum",
	reasonUnfinished:    "has a change in the log that is not finished",
	reasonUnreplayed:    "has a change in the log that cannot be replayed",
}

func (r reason) Error() string { return reasons[r] }

func (r reason) Unwrap() error { return ErrCorrupt }

// damaged is the error of an inode that cannot be read.
func damaged(inode uint64, why reason) error {
	return fmt.Errorf("%w: inode %d %w", ErrCorrupt, inode, why)
}

// wrapInode adds the inode to the error of something that belongs to it.
func wrapInode(inode uint64, err error) error { return fmt.Errorf("inode %d: %w", inode, err) }
