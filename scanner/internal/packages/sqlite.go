package packages

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/coldcheck/coldcheck/scanner/internal/sqlitefs"
)

// readSQLite reads the headers of an SQLite database, whose schema is
//
//	CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)
func (r *rpmReader) readSQLite(fsys fs.FS) (err error) {
	db, err := sqlitefs.Open(r.ctx, fsys, r.db.path)
	if err != nil {
		return sqliteError(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	wal := db.WAL()
	if applied := wal.Applied(); applied != "" {
		r.db.logged = true
		r.db.note("%s", applied)
	}
	r.db.loss = wal.Loss()
	if err := wal.Err(); err != nil {
		r.corrupt(sqliteError(err))
	}
	err = db.Rows("Packages", []string{"hnum", "blob"}, maxPackages, func(row []driver.Value) error {
		number, ok := row[0].(int64)
		blob, okBlob := row[1].([]byte)
		if !ok || number < 1 || number > math.MaxUint32 || !okBlob {
			r.corrupt(fmt.Errorf("row %v is not a header: %w", row[0], ErrCorrupt))
			return nil
		}
		if err := r.record(uint32(number), blob); err != nil {
			return fmt.Errorf("%s: %w", r.db.path, err)
		}
		return nil
	})
	r.db.notes = append(r.db.notes, db.Notes()...)
	return sqliteError(err)
}

// sqliteError gives an error of the reader of SQLite databases the kind that
// it has here.
func sqliteError(err error) error {
	switch {
	case errors.Is(err, sqlitefs.ErrCorrupt), errors.Is(err, sqlitefs.ErrMissing):
		return kindError{err, ErrCorrupt}
	case errors.Is(err, sqlitefs.ErrUnsupported):
		return kindError{err, ErrUnsupported}
	}
	return err
}

// kindError is an error of a kind that its message does not repeat.
type kindError struct{ err, kind error }

func (e kindError) Error() string   { return e.err.Error() }
func (e kindError) Unwrap() []error { return []error{e.err, e.kind} }
