package fact

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
)

// A subjectError is an error that says what could not be read and why in a
// form that can be compared. Subject is nil where it cannot say. An error of
// the registry package is one.
type subjectError interface {
	error
	Subject() any
}

// ReadError says what of a volume could not be read.
type ReadError struct {
	Volume string // its role
	Path   string // "" if Err is an *fs.PathError, which has it
	Err    error
}

func (e *ReadError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s volume: %v", e.Volume, e.Err)
	}
	return fmt.Sprintf("%s volume: %s: %v", e.Volume, e.Path, e.Err)
}

func (e *ReadError) Unwrap() error { return e.Err }

// Subject implements subjectError.
func (e *ReadError) Subject() any { return PathSubject(e.Volume, e.Path, e.Err) }

// pathSubject is a path of a volume that could not be read, for reasons of some
// kinds.
type pathSubject struct {
	volume, path string
	kinds        kinds
}

// kinds says for each of the kinds of errors whether an error is of it.
type kinds [6]bool

func kindsOf(err error) (of kinds) {
	for i, k := range [...]error{kind.IO, kind.Passing, kind.Corrupt, kind.Unsupported, kind.Encrypted, kind.Limit} {
		of[i] = errors.Is(err, k)
	}
	return of
}

// PathSubject returns what an error of a volume is about, for comparison: the
// path, which is that of an *fs.PathError if path is "", and the kinds of the
// error. It is nil if the error has no path or no kind.
func PathSubject(volume, path string, err error) any {
	var at *fs.PathError
	if path == "" && errors.As(err, &at) {
		path = at.Path
	}
	of := kindsOf(err)
	if path == "" || of == (kinds{}) {
		return nil
	}
	return pathSubject{volume, path, of}
}

// subjects adds what an error is about to a set. It reports false if a part of
// the error does not say.
func subjects(err error, set map[any]bool) bool {
	if s, ok := err.(subjectError); ok {
		if subject := s.Subject(); subject != nil {
			set[subject] = true
			return true
		}
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return subjects(err.Unwrap(), set)
	case interface{ Unwrap() []error }:
		all := true
		for _, e := range err.Unwrap() {
			all = subjects(e, set) && all
		}
		return all
	}
	return false
}

// Repeats reports whether an error says nothing that those of a list do not: all
// that it is about is among what they are about.
func Repeats(list []error, err error) bool {
	about := map[any]bool{}
	if !subjects(err, about) {
		return false
	}
	known := map[any]bool{}
	for _, e := range list {
		subjects(e, known)
	}
	for s := range about {
		if !known[s] {
			return false
		}
	}
	return true
}

// MaxJoined is how many errors Join keeps. Every path on a damaged volume may
// have one.
const MaxJoined = 32

// joined are several errors, each on a line.
type joined struct {
	list []error
	more int // errors that are not kept
}

func (j *joined) Error() string {
	lines := make([]string, 0, len(j.list)+1)
	for _, err := range j.list {
		lines = append(lines, err.Error())
	}
	if j.more > 0 {
		lines = append(lines, prose.Count(j.more, "more error occurred", "more errors occurred"))
	}
	return strings.Join(lines, "\n")
}

func (j *joined) Unwrap() []error { return j.list }

// Join is errors.Join for errors of what is read. It leaves out an error that
// repeats what another is about, so that a message names a cause once, and counts
// those beyond MaxJoined.
func Join(errs ...error) error {
	all := &joined{}
	for _, err := range errs {
		switch err := err.(type) {
		case nil:
		case *joined:
			for _, e := range err.list {
				all.add(e)
			}
			all.more += err.more
		default:
			all.add(err)
		}
	}
	if len(all.list) == 0 {
		return nil
	}
	return all
}

func (j *joined) add(err error) {
	switch {
	case len(j.list) >= MaxJoined:
		if !Repeats(j.list, err) {
			j.more++
		}
	case !Repeats(j.list, err):
		j.list = append(j.list, err)
	}
}
