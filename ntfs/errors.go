package ntfs

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Kinds of errors. Errors of io/fs and of the underlying reader pass through.
// fs.ErrNotExist means that the name does not exist; a name that may have been
// lost with a damaged record is ErrCorrupt.
var (
	// ErrCorrupt means that data is inconsistent, torn, or beyond the end of the
	// volume.
	ErrCorrupt = kind.Corrupt
	// ErrInDoubt means that the directory's index and the MFT record disagree about
	// a name, or that the index cannot be read: Windows may or may not find the
	// name. It is also ErrCorrupt.
	ErrInDoubt = fmt.Errorf("%w: in doubt", ErrCorrupt)
	// ErrUnsupported means that this package cannot read the data; the message
	// names the feature.
	ErrUnsupported = kind.Unsupported
	// ErrEncrypted means content encrypted by EFS, or a BitLocker volume.
	ErrEncrypted = kind.Encrypted

	errEFS = fmt.Errorf("%w by EFS", ErrEncrypted)
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

// reason says why a record cannot be read. It is an error of kind ErrCorrupt
// that costs no allocation, since a hostile volume may have millions of them.
type reason uint8

const (
	readable reason = iota
	reasonTorn
	reasonSignature
	reasonMarked
	reasonZero
	reasonHeader
	reasonNumber
	reasonAttribute
	reasonName
	reasonTruncated
	reasonList
	reasonExtension
	reasonReparse
	reasonFreed
	reasonBeyond
	reasonDirectory
	reasonPending
)

var reasons = [...]string{
	readable:        "readable",
	reasonTorn:      "is torn: the fixup of a sector does not match",
	reasonSignature: "has no FILE signature",
	reasonMarked:    "was marked as bad (BAAD)",
	reasonZero:      "is zero but in use in the bitmap of $MFT",
	reasonHeader:    "has a header with values out of range",
	reasonNumber:    "has the number of another record",
	reasonAttribute: "has an attribute that does not fit",
	reasonName:      "has a file name that does not fit",
	reasonTruncated: "is past the end of the image",
	reasonList:      "has an attribute list that cannot be read",
	reasonExtension: "has an extension record that is missing or damaged",
	reasonReparse:   "has reparse data that cannot be read",
	reasonFreed:     "is marked as free but in use in the bitmap of $MFT",
	reasonDirectory: "has a directory index but is not marked as a directory",
	reasonPending:   "has a change in $LogFile that cannot be applied",
	reasonBeyond:    "is past the end of $MFT but in use in its bitmap",
}

func (r reason) Error() string { return reasons[r] }

func (r reason) Unwrap() error { return ErrCorrupt }

// damaged is the error of a record that cannot be read.
func damaged(record uint32, why reason) error {
	return fmt.Errorf("%w: record %d %w", ErrCorrupt, record, why)
}
