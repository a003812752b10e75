package registry

import (
	"io"
	"time"
)

// A Log is a transaction log beside the hive.
type Log struct {
	Name string // for messages, for example "SYSTEM.LOG1"
	R    io.ReaderAt
	Size int64
}

// Options say how a hive is opened.
type Options struct {
	Logs       []Log // the transaction logs beside the hive, in any order
	NoRecovery bool  // show a dirty hive as it lies
}

// A Hive is a registry hive in memory. It is safe for concurrent use.
type Hive struct{}

// Open reads a hive of size bytes from r. A dirty hive is recovered from o.Logs in memory; where that is not
// possible it is opened as it lies and Recovery says so.
func Open(r io.ReaderAt, size int64, o Options) (*Hive, error) { return nil, ErrUnsupported }

// Recovery tells whether the hive was dirty and what was done about it.
func (h *Hive) Recovery() Recovery { return Recovery{} }

// FileName is the tail of the path of the hive file as its base block has it, at most 32 UTF-16 units. It may be empty.
func (h *Hive) FileName() string { return "" }

// LastWritten is the time of the last write as the base block has it.
func (h *Hive) LastWritten() time.Time { return time.Time{} }

// Version is the version of the hive's format: 1 and 3 to 6.
func (h *Hive) Version() (major, minor uint32) { return 0, 0 }

// Root returns the root key.
func (h *Hive) Root() (*Key, error) { return nil, ErrUnsupported }

// Key returns the key at a path below the root: names separated by `\`, compared without case; "" is the root.
// The error is fs.ErrNotExist only if every list on the way was read whole.
func (h *Hive) Key(path string) (*Key, error) { return nil, ErrUnsupported }

// Walk calls fn for the root key and every key below it; see Key.Walk.
func (h *Hive) Walk(fn func(k *Key, err error) error) error { return ErrUnsupported }
