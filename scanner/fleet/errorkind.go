package fleet

import (
	"errors"
	"io"
	"io/fs"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
)

// ErrorKind is a kind of errors of targets.
type ErrorKind string

// The kinds.
const (
	NotFound    ErrorKind = "not_found" // an image or a document
	Denied      ErrorKind = "denied"
	IO          ErrorKind = "io"
	NotAnImage  ErrorKind = "not_an_image"
	NoSystem    ErrorKind = "no_system" // no supported system
	Encrypted   ErrorKind = "encrypted"
	Unsupported ErrorKind = "unsupported"
	Damaged     ErrorKind = "damaged" // an image contradicts itself, or lacks a part
	Parent      ErrorKind = "parent"  // an image needs a parent
	Limit       ErrorKind = "limit"   // more than the memory or a bound allows
	Usage       ErrorKind = "usage"   // the target contradicts itself: two root volumes, a document of no known kind
	Internal    ErrorKind = "internal"
)

// ErrorKinds are all kinds, in the order of a report.
var ErrorKinds = []ErrorKind{NotFound, Denied, IO, NotAnImage, NoSystem, Encrypted, Unsupported, Damaged, Parent, Limit,
	Usage, Internal}

// errPanic is the error for a defect of the program.
var errPanic = errors.New("defect in coldcheck")

// passes reports whether the same scan may succeed later.
func passes(err error) bool { return errors.Is(kind.Input(err), kind.Passing) }

// classify returns the kind of an error with which a scan ended, and the exit code of
// coldcheck scan.
func classify(err error) (ErrorKind, int) {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	exit := 74
	switch {
	case is(scanner.ErrUsage):
		exit = 64
	case is(scanner.ErrNoSystem, kind.ErrNotImage):
		exit = 4
	}
	switch {
	case is(errPanic, scanner.ErrDefect):
		return Internal, exit
	case exit == 64:
		return Usage, exit
	case is(kind.Limit):
		return Limit, exit
	case exit == 4 && is(kind.Encrypted):
		return Encrypted, exit
	case exit == 4 && is(scanner.ErrParent):
		return Parent, exit
	case exit == 4 && is(kind.Unsupported):
		return Unsupported, exit
	case exit == 4 && is(kind.Corrupt, scanner.ErrIncomplete, io.ErrUnexpectedEOF):
		return Damaged, exit
	case exit == 4 && is(kind.ErrNotImage):
		return NotAnImage, exit
	case exit == 4:
		return NoSystem, exit
	case is(fs.ErrNotExist):
		return NotFound, exit
	case is(fs.ErrPermission):
		return Denied, exit
	case is(scanner.ErrIO, kind.IO):
		return IO, exit
	}
	return Internal, exit
}

// maxMessage bounds the message and the hint of an error, in bytes.
const maxMessage = 4 << 10

// fail makes the record one of an error.
func (r *Record) fail(err error) {
	r.Verdict, r.Report, r.Reused = "", nil, nil
	e := &Error{Message: short(err.Error())}
	e.Kind, r.ExitCode = classify(err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		e.Hint = short(hinted.Hint())
	}
	r.Error = e
}

func short(text string) string {
	text, _ = prose.Shorten(text, maxMessage)
	return text
}
