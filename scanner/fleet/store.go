package fleet

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// Store holds one record of each target. Its methods may be called at the same time, also
// by several processes.
//
// An error of one is fs.ErrNotExist if there is no such record, and source.ErrIO for
// anything else that could not be read or written; it is source.ErrPassing too if that
// may pass.
type Store interface {
	// String is the name of the store, without secrets.
	String() string
	// Probe finds out whether a record can be written, and leaves nothing behind.
	Probe(ctx context.Context) error
	// Has reports whether there is a record of a target.
	Has(ctx context.Context, id string) (bool, error)
	// Get returns the bytes of a record, at most MaxRecord.
	Get(ctx context.Context, id string) ([]byte, error)
	// Put writes a record whole. With Keep it does not write over another one, and
	// returns false if there is one.
	Put(ctx context.Context, id string, record []byte, over Over) (written bool, err error)
	// IDs lists the records in any order, each once. An error ends the list.
	IDs(ctx context.Context) iter.Seq2[string, error]
	// Close ends connections.
	Close() error
}

// Over says whether Put writes over a record.
type Over bool

// The choices.
const (
	Keep    Over = false
	Replace Over = true
)

// StoreOptions are what OpenStore is given besides the name.
type StoreOptions struct {
	Source source.Options // how S3 is reached
}

// records is the folder, or the part of the prefix, of the records of a store.
const records = "records"

// extension is that of the file of a record.
const extension = ".json"

// OpenStore opens the store of a name: a folder, which need not exist yet, or
// s3://BUCKET/PREFIX. No record is read or written. The error is fs.ErrInvalid for a name
// that no store has.
func OpenStore(ctx context.Context, name string, o StoreOptions) (Store, error) {
	switch {
	case name == "":
		return nil, errors.Join(errors.New("the name is empty"), fs.ErrInvalid)
	case source.IsRemote(name):
		return openS3Store(ctx, name, o)
	}
	return &folderStore{name}, nil
}

// idOf returns the id of the record of a file name.
func idOf(file string) (id string, ok bool) {
	id, ok = strings.CutSuffix(file, extension)
	return id, ok && validID.MatchString(id)
}
