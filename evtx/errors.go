package evtx

import (
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Kinds of errors, for errors.Is. Input/output errors of the underlying reader pass through.
var (
	// ErrCorrupt says that a structure of the log is damaged or missing.
	ErrCorrupt = kind.New("corrupt event log", kind.Corrupt)
	// ErrUnsupported says that the file is no event log of this format, or that a record needs a feature that this
	// package does not have; the message names it.
	ErrUnsupported = kind.New("unsupported event log feature", kind.Unsupported)
	// ErrLimit says that the log or a record of it is larger than this package reads.
	ErrLimit = kind.New("event log over a limit", kind.Limit)
	// ErrType says that a value is not of the type that was asked for.
	ErrType = errors.New("event value of another type")
)

// Damage is something in a log that could not be read, or that contradicts the rest. The log is read on after it.
type Damage struct {
	Offset int64 // in the file
	// First and Last are the numbers of the records that are missing or cannot be read. Both are 0 if no number is
	// known, or if the damage costs no record.
	First, Last uint64
	Err         error // ErrCorrupt, ErrUnsupported or ErrLimit
}

func (d *Damage) Error() string {
	switch {
	case d.Last == 0:
		return fmt.Sprintf("at offset %d: %v", d.Offset, d.Err)
	case d.First == d.Last:
		return fmt.Sprintf("record %d, at offset %d: %v", d.First, d.Offset, d.Err)
	}
	return fmt.Sprintf("records %d to %d, at offset %d: %v", d.First, d.Last, d.Offset, d.Err)
}

func (d *Damage) Unwrap() error { return d.Err }

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnsupported}, args...)...)
}
