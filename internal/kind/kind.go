// Package kind has the kinds of errors that every reader of this module has.
// Each is a sentinel for errors.Is. A package that reads a format gives its
// errors one of them, under a name of its own:
//
//	var ErrCorrupt = kind.Corrupt
//	var ErrCorrupt = kind.New("corrupt hive", kind.Corrupt) // with another text
//
// So a program that reads many filesystems checks errors once, not once for
// each format.
package kind

//lint:file-ignore ST1012 the package name says what the sentinels are: kind.IO, not kind.ErrIO

import (
	"errors"
)

// Kinds of errors. Only IO is about the source of the bytes; the others are
// about the bytes themselves or the program's limits.
var (
	// IO: the bytes could not be had: a disk or a network failed.
	IO = errors.New("input/output error")
	// Passing is an IO error that may not occur again: the same read may
	// succeed later.
	Passing = New("input/output error that may pass", IO)
	// Corrupt: the bytes contradict themselves or their format.
	Corrupt = errors.New("corrupt")
	// Unsupported: the bytes need something that this program does not do.
	Unsupported = errors.New("unsupported")
	// Encrypted: the bytes can be read only with a key.
	Encrypted = errors.New("encrypted")
	// Limit: reading would take more memory or work than is allowed.
	Limit = errors.New("over a limit")
)

// New returns a new sentinel that also is of a kind: errors.Is finds both in an
// error that wraps it. Its text is only its own.
func New(text string, kind error) error { return &sentinel{text, kind} }

type sentinel struct {
	text string
	kind error
}

func (s *sentinel) Error() string { return s.text }
func (s *sentinel) Unwrap() error { return s.kind }

// Mark returns an error with the text of err that is of a kind too. It returns
// err itself if it is of that kind already, or nil.
func Mark(err, kind error) error {
	if err == nil || errors.Is(err, kind) {
		return err
	}
	return marked{err, kind}
}

type marked struct{ err, kind error }

func (m marked) Error() string   { return m.err.Error() }
func (m marked) Unwrap() []error { return []error{m.err, m.kind} }

// Input marks the error of an operating system or a network as IO, and as
// Passing if it says of itself that it is temporary or a timeout. It returns
// nil for nil.
func Input(err error) error {
	var temporary interface{ Temporary() bool }
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, IO):
		return err
	case errors.As(err, &temporary) && temporary.Temporary(), errors.As(err, &timeout) && timeout.Timeout():
		return Mark(err, Passing)
	}
	return Mark(err, IO)
}
