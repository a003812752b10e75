package fact

import (
	"errors"
	"fmt"
)

// missingVolume is the error of what needs a volume that cannot be read at all. Its text names the volume and is the
// same in every finding, so that a report shows the cause once.
type missingVolume struct{ error }

// Unwrap returns the reason.
func (m missingVolume) Unwrap() error { return m.error }

// ErrNoUserVolume is the error of what needs the user volume where its image was not given.
var ErrNoUserVolume = NoUserVolume("the user volume was not given. Add its image")

// NoUserVolume returns the error of what needs the user volume where none is used. The text names the volume.
func NoUserVolume(format string, args ...any) error {
	return missingVolume{fmt.Errorf(format, args...)}
}

// Missing is the error of a volume that cannot be read because of err. Unless err names the volume, placed does.
func Missing(err, placed error) error {
	if IsMissing(err) {
		return err
	}
	return missingVolume{placed}
}

// Because says what is unknown because of err. Where err is of a volume that cannot be read at all it says nothing of
// its own, because that is one cause of many findings.
func Because(what string, err error) error {
	if err == nil || IsMissing(err) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// IsMissing reports whether an error is of a volume that cannot be read at all.
func IsMissing(err error) bool { return errors.As(err, new(missingVolume)) }
