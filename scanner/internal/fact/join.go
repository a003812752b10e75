package fact

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
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
	known := map[any]bool{}
	for _, e := range list {
		subjects(e, known)
	}
	about := map[any]bool{}
	return subjects(err, about) && within(about, known)
}

// within reports whether a set has nothing that another has not.
func within(set, other map[any]bool) bool {
	for s := range set {
		if !other[s] {
			return false
		}
	}
	return true
}

// Joined are several errors that a Joiner has joined.
type Joined struct {
	List []error
	More int // errors that are not kept

	about map[any]bool // subjects of those in List
	by    *Joiner
}

func (j *Joined) Error() string {
	texts := make([]string, len(j.List))
	for i, err := range j.List {
		texts[i] = err.Error()
	}
	return j.by.Write(texts, j.More)
}

func (j *Joined) Unwrap() []error { return j.List }

// A Joiner joins errors of what is read. It leaves out an error that repeats what
// others are about, so that a message names a cause once.
type Joiner struct {
	Most  int  // how many errors are kept, since every path on a damaged volume may have one; others are counted
	Texts bool // leave out also an error with the text of another
	// Write makes a text of those of the errors, and of how many are not kept.
	Write func(texts []string, more int) string
}

// Join returns a *Joined with all errors, those of other *Joined included. It is nil if
// there is no error.
func (by *Joiner) Join(errs ...error) error {
	all := &Joined{about: map[any]bool{}, by: by}
	for _, err := range errs {
		switch err := err.(type) {
		case nil:
		case *Joined:
			if len(all.List) == 0 && err.by == by { // errors are often added one by one
				all.List, all.about = slices.Clip(err.List), maps.Clone(err.about)
			} else {
				for _, e := range err.List {
					all.add(e)
				}
			}
			all.More += err.More
		default:
			all.add(err)
		}
	}
	if len(all.List) == 0 {
		return nil
	}
	return all
}

func (j *Joined) add(err error) {
	about := map[any]bool{}
	switch {
	case subjects(err, about) && within(about, j.about):
	case j.by.Texts && j.says(err.Error()):
	case len(j.List) >= j.by.Most:
		j.More++
	default:
		j.List = append(j.List, err)
		maps.Copy(j.about, about)
	}
}

func (j *Joined) says(text string) bool {
	return slices.ContainsFunc(j.List, func(err error) bool { return err.Error() == text })
}

// MaxJoined is how many errors Join keeps.
const MaxJoined = 32

var onLines = Joiner{Most: MaxJoined, Write: func(lines []string, more int) string {
	if more > 0 {
		lines = append(lines, prose.Count(more, "more error occurred", "more errors occurred"))
	}
	return strings.Join(lines, "\n")
}}

// Join is errors.Join by a Joiner that keeps MaxJoined errors.
func Join(errs ...error) error { return onLines.Join(errs...) }
