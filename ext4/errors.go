package ext4

import (
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Kinds of errors. Errors of io/fs and of the underlying reader pass through.
// fs.ErrNotExist means that the name does not exist: the directory was read
// completely, and the journal was replayed.
var (
	// ErrCorrupt means that data is inconsistent, fails its checksum, or is beyond
	// the end of the image.
	ErrCorrupt = kind.Corrupt
	// ErrUnsupported means that this package cannot read the data; the message
	// names the feature.
	ErrUnsupported = kind.Unsupported
	// ErrEncrypted means that fscrypt encrypted the content or the names.
	ErrEncrypted = kind.Encrypted
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
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrEncrypted)
}

// reason describes the damage to an inode or a block. It is an error of kind
// ErrCorrupt that costs no allocation, since a hostile volume may have millions
// of them.
type reason uint8

const (
	sound reason = iota
	reasonNumber
	reasonReserved
	reasonGroup
	reasonTruncated
	reasonFree
	reasonUnmarked
	reasonChecksum
	reasonExtraSize
	reasonMode
	reasonSize
	reasonSizeFlags
	reasonExtentMagic
	reasonExtentDepth
	reasonExtentCount
	reasonExtentOrder
	reasonExtentStart
	reasonExtentLength
	reasonExtentChecksum
	reasonBlock
	reasonTooLarge
	reasonEntrySize
	reasonEntryName
	reasonEntryInode
	reasonNotOwn
	reasonTwice
	reasonKind
	reasonNoTail
	reasonDirChecksum
	reasonIndex
	reasonIndexChecksum
	reasonHole
	reasonTarget
	reasonInline
	reasonXattr
	reasonXattrChecksum
)

var reasons = [...]string{
	sound:                "sound",
	reasonNumber:         "does not exist on the volume",
	reasonReserved:       "is reserved for the filesystem",
	reasonGroup:          "belongs to a group whose descriptor is damaged",
	reasonTruncated:      "is past the end of the image",
	reasonFree:           "is not in use",
	reasonUnmarked:       "is in a directory but free in the bitmap of its group",
	reasonChecksum:       "fails its checksum",
	reasonExtraSize:      "has an extra size out of range",
	reasonMode:           "has a mode with an unknown file type",
	reasonSize:           "has a size out of range",
	reasonSizeFlags:      "has flags that contradict each other",
	reasonExtentMagic:    "has extents without a magic number",
	reasonExtentDepth:    "has extents with a wrong depth",
	reasonExtentCount:    "has an extent count out of range",
	reasonExtentOrder:    "has extents that overlap or are out of order",
	reasonExtentStart:    "has extents that do not start where their index has them",
	reasonExtentLength:   "has an extent with a length out of range",
	reasonExtentChecksum: "has extents that fail their checksum",
	reasonBlock:          "has a block outside the volume",
	reasonTooLarge:       "has blocks past the last a file can have",
	reasonEntrySize:      "has a directory entry with a wrong length",
	reasonEntryName:      "has a directory entry with a name that does not fit",
	reasonEntryInode:     "has a directory entry for an inode that does not exist",
	reasonNotOwn:         "has a first directory block of another directory",
	reasonTwice:          "is a directory that has two names",
	reasonKind:           "has another file type than its directory entry",
	reasonNoTail:         "has a directory block without a checksum",
	reasonDirChecksum:    "has a directory block that fails its checksum",
	reasonIndex:          "has a damaged directory index",
	reasonIndexChecksum:  "has a directory index that fails its checksum",
	reasonHole:           "has a hole in a directory",
	reasonTarget:         "is a symbolic link with a NUL in its target",
	reasonInline:         "has inline data that does not fit",
	reasonXattr:          "has extended attributes that do not fit",
	reasonXattrChecksum:  "has extended attributes that fail their checksum",
}

func (r reason) Error() string { return reasons[r] }

func (r reason) Unwrap() error { return ErrCorrupt }

// damaged is the error of an inode that cannot be read.
func damaged(inode uint32, why reason) error {
	return fmt.Errorf("%w: inode %d %w", ErrCorrupt, inode, why)
}

// wrapInode adds the inode to the error of something that belongs to it.
func wrapInode(inode uint32, err error) error { return fmt.Errorf("inode %d: %w", inode, err) }
