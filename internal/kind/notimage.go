package kind

import (
	"errors"
	"fmt"
)

// ErrNotImage: a file is no image of a disk that can be read.
var ErrNotImage = errors.New("not a supported disk image")

// NotImage returns an error that is ErrNotImage and names the file's actual
// type. Its Hint() string is the advice for it; "" if there is none.
func NotImage(what, hint string) error { return &notImage{what, hint} }

type notImage struct{ what, hint string }

func (e *notImage) Error() string { return fmt.Sprintf("%s: %s", ErrNotImage, e.what) }
func (e *notImage) Unwrap() error { return ErrNotImage }
func (e *notImage) Hint() string  { return e.hint }
