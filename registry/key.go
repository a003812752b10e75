package registry

import "time"

// A Key is a key of a hive.
type Key struct{}

// Hive returns the hive that holds the key.
func (k *Key) Hive() *Hive { return nil }

// Name returns the key's name as it is written in the hive.
func (k *Key) Name() string { return "" }

// Path returns the names from the root down to the key, separated by `\`; the root's path is "".
func (k *Key) Path() string { return "" }

// LastWrite returns the time of the last write to the key, in UTC.
func (k *Key) LastWrite() time.Time { return time.Time{} }

// Offset returns the offset of the key's cell in the hive file, in bytes.
func (k *Key) Offset() int64 { return 0 }

// Recovered tells whether the key's record came out of a transaction log.
func (k *Key) Recovered() bool { return false }

// Subkeys returns the subkeys in the hive's order. With an error it returns those that could be read.
func (k *Key) Subkeys() ([]*Key, error) { return nil, ErrUnsupported }

// Subkey returns the subkey of that name, compared without case. The error is fs.ErrNotExist only if every subkey
// could be read and none has the name.
func (k *Key) Subkey(name string) (*Key, error) { return nil, ErrUnsupported }

// Values returns the values in the hive's order. With an error it returns those that could be read.
func (k *Key) Values() ([]*Value, error) { return nil, ErrUnsupported }

// Value returns the value of that name, compared without case; "" is the default value. The error is fs.ErrNotExist
// only if every value could be read and none has the name.
func (k *Key) Value(name string) (*Value, error) { return nil, ErrUnsupported }

// SymbolicLink returns the path the key links to (`\Registry\Machine\…`); "" if it is no symbolic link.
func (k *Key) SymbolicLink() (string, error) { return "", ErrUnsupported }

// ClassName returns the key's class name, "" if it has none.
func (k *Key) ClassName() (string, error) { return "", ErrUnsupported }

// SecurityDescriptor returns the key's self-relative security descriptor; it must not be modified. The error is
// fs.ErrNotExist if the key has none.
func (k *Key) SecurityDescriptor() ([]byte, error) { return nil, ErrUnsupported }

// Walk calls fn for the key and every key below it, depth first, in the hive's order. If the subkeys of a key
// cannot be read, or not all of them, fn is called again with that key and the error, and the walk goes on with
// those that could be read. fs.SkipDir returned by fn leaves out the subkeys, fs.SkipAll ends the walk; any other
// error ends it and is returned.
func (k *Key) Walk(fn func(k *Key, err error) error) error { return ErrUnsupported }
