package registry

import (
	"errors"
	"io/fs"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Kinds of errors, for errors.Is. In addition, fs.ErrNotExist means that a key or value does not exist in the
// hive. Input/output errors of the underlying reader pass through.
var (
	// ErrCorrupt says that a structure of the hive is damaged; the message names the key and the offset.
	ErrCorrupt = kind.New("corrupt hive", kind.Corrupt)
	// ErrUnsupported says that the hive or a part of it needs a feature this package does not have; the message names it.
	ErrUnsupported = kind.New("unsupported hive feature", kind.Unsupported)
	// ErrDirty says that the hive was not written completely and that its transaction logs are missing, empty or
	// cannot be applied.
	ErrDirty = errors.New("dirty hive")
	// ErrType says that a value's data is not of the type or length that was asked for.
	ErrType = errors.New("registry value of another type")
)

// A notExist is an fs.ErrNotExist that names the missing key or value.
type notExist string

const (
	errNoKey   = notExist("no such key")
	errNoValue = notExist("no such value")
)

func (e notExist) Error() string        { return string(e) }
func (e notExist) Is(target error) bool { return target == fs.ErrNotExist }

// A keyError says which key an error is about.
type keyError struct {
	hive *Hive
	path string // "" for the root key
	err  error
}

func (e *keyError) Error() string {
	if e.path == "" {
		return "root key: " + e.err.Error()
	}
	return "key " + quote(e.path) + ": " + e.err.Error()
}

func (e *keyError) Unwrap() error { return e.err }

// damagedKey is a key and where in its hive the damage is that an error is about.
type damagedKey struct {
	hive   *Hive
	path   string
	offset uint32 // in the bins data
}

// Subject returns a value that is equal for two errors exactly if they are about the same damage of the same key. It
// is nil for an error that is not about damage.
func (e *keyError) Subject() any {
	var d *damage
	if !errors.As(e.err, &d) {
		return nil
	}
	return damagedKey{e.hive, e.path, d.offset}
}

// first returns the first error of two.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
