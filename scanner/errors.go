package scanner

import (
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Kinds of errors that end a scan without a result, for errors.Is. Such an
// error may have a method Hint() string, which says what to do.
var (
	ErrUsage    = errors.New("wrong usage")      // the call contradicts itself
	ErrNoSystem = errors.New("no scan possible") // no supported system on the images, or it is encrypted
	ErrIO       = errors.New("i/o error")        // an image or a document could not be opened or read
)

// ErrPassing is an ErrIO for a remote image that may be readable later: the network or
// the server failed, it throttles, credentials expired, or the image changed while it
// was read.
var ErrPassing = source.ErrPassing

// Why an ErrNoSystem ended a scan, in addition to the kinds of errors of the packages below.
var (
	// ErrIncomplete: an image lacks a part, or its parent.
	ErrIncomplete = container.ErrIncomplete
	// ErrParent is an ErrIncomplete: an image has only the changes to a parent that cannot be
	// opened, or was not named.
	ErrParent = container.ErrParent
	// ErrDefect: a panic in the program ended the scan.
	ErrDefect = errDefect
)

// failure is an error of one kind, with a hint for the person who reads it.
type failure struct {
	kind error
	err  error
	hint string
}

func fail(kind error, hint, format string, args ...any) error {
	return &failure{kind: kind, err: fmt.Errorf(format, args...), hint: hint}
}

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.kind, f.err} }
func (f *failure) Hint() string    { return f.hint }
