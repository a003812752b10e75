// Package sqlitefs reads SQLite databases in place from an fs.FS: with their
// write-ahead log, as SQLite itself would see them at the next start, and
// without writing anything.
//
// The databases come from untrusted disks. Values, rows and the time are
// bounded, views and virtual tables are refused, and a panic of the library is
// an error of the database that caused it.
package sqlitefs

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	"modernc.org/sqlite/vfs"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Kinds of errors, in addition to those of the file system and of the context.
var (
	// ErrCorrupt says that the file is no SQLite database, or a damaged one.
	ErrCorrupt = kind.New("corrupt database", kind.Corrupt)
	// ErrUnsupported is the error for a database in an unsupported format or
	// state; the message names the reason.
	ErrUnsupported = kind.New("unsupported database", kind.Unsupported)
	// ErrMissing says that a table or a column is not in the schema.
	ErrMissing = errors.New("not in the schema")
)

const (
	// MaxSize is the largest database, and the largest write-ahead log, in
	// bytes. The package database of a full server has 300 MiB.
	MaxSize = 1 << 30
	// maxValue is the largest text or blob, in bytes. The largest ones in use
	// are headers of rpm packages with a few MiB.
	maxValue = 16 << 20
	// maxSchema is the longest statement of the schema, in bytes.
	maxSchema = 1 << 20
)

// Value is a value of a row: int64, float64, string, []byte or nil.
type Value = driver.Value

// DB is an open database. It is for one goroutine.
type DB struct {
	name  string
	files *files
	vfs   *vfs.FS
	pool  *sql.DB
	conn  *sql.Conn
	wal   WAL
	notes []string
}

// Open opens the database of that name with its write-ahead log. The files must
// implement io.ReaderAt. The context bounds all that is done with the database.
// The error wraps ErrCorrupt, ErrUnsupported, fs.ErrNotExist if the database is
// not there, or is that of the file system.
func Open(ctx context.Context, fsys fs.FS, name string) (db *DB, err error) {
	f := &files{ctx: ctx, fsys: fsys, name: name}
	header, err := f.check()
	if err != nil {
		return nil, err
	}
	wal, err := f.readWAL(header)
	if err != nil {
		return nil, err
	}
	db = &DB{name: name, files: f, wal: wal}
	defer func() {
		if err != nil {
			db.Close()
			db = nil
		}
	}()
	defer db.contain(&err, debug.SetPanicOnFault(true))
	id, registered, err := vfs.New(f)
	if err != nil {
		return db, err
	}
	db.vfs = registered
	// Without shared memory a write-ahead log can only be read in exclusive
	// mode, which must be set before the first pragma that reads the schema:
	// the driver sorts them by name. What the schema brings along is not
	// trusted.
	dsn := fmt.Sprintf("file:%s?vfs=%s&mode=ro&_defensive=1&_dqs=0", database, id)
	for _, pragma := range []string{
		"locking_mode(exclusive)", "query_only(1)", "temp_store(memory)", "mmap_size(0)",
		"trusted_schema(0)", "cell_size_check(1)", "ignore_check_constraints(1)",
	} {
		dsn += "&_pragma=" + pragma
	}
	if db.pool, err = sql.Open("sqlite", dsn); err != nil {
		return db, err
	}
	if db.conn, err = db.pool.Conn(context.Background()); err != nil {
		return db, db.problem(err)
	}
	for limit, value := range map[int]int{sqlite3.SQLITE_LIMIT_LENGTH: maxValue,
		sqlite3.SQLITE_LIMIT_SQL_LENGTH: maxSchema} {
		if _, err = sqlite.Limit(db.conn, limit, value); err != nil {
			return db, err
		}
	}
	return db, nil
}

// WAL describes the applied part of the write-ahead log.
func (db *DB) WAL() WAL { return db.wal }

// Notes says what could not be checked.
func (db *DB) Notes() []string { return db.notes }

// Close gives back what the database holds.
func (db *DB) Close() (err error) {
	defer db.contain(&err, debug.SetPanicOnFault(true))
	if db.conn != nil {
		err = db.conn.Close()
	}
	if db.pool != nil {
		err = errors.Join(err, db.pool.Close())
	}
	if db.vfs != nil {
		err = errors.Join(err, db.vfs.Close())
	}
	return err
}

// Columns lists the columns of a table. The error wraps ErrMissing if there
// is no such table, ErrUnsupported if it is a view or a virtual table.
func (db *DB) Columns(table string) ([]string, error) {
	var kind string
	var root int64
	found := false
	err := db.query("SELECT type, rootpage, name FROM sqlite_schema", maxTables, func(row []Value) error {
		name, ok := row[2].(string)
		if !ok || !strings.EqualFold(name, table) {
			return nil
		}
		kind, _ = row[0].(string)
		root, _ = row[1].(int64)
		found = true
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, db.at(fmt.Errorf("table %s: %w", table, ErrMissing))
	case kind != "table" || root <= 0:
		return nil, db.at(fmt.Errorf("%s is not an ordinary table: %w", table, ErrUnsupported))
	}
	var columns []string
	err = db.query("PRAGMA table_info("+quote(table)+")", maxColumns, func(row []Value) error {
		name, ok := row[1].(string)
		if !ok {
			return fmt.Errorf("a column of table %s has no name: %w", table, ErrCorrupt)
		}
		columns = append(columns, name)
		return nil
	})
	return columns, err
}

const (
	maxTables  = 100_000 // tables, indexes and triggers of a schema
	maxColumns = 2_000   // SQLite's own bound
)

// Rows calls row for every row of a table with the values of the columns. The
// slice is used again for the next row. An error of row ends the reading and
// is returned with the name of the database. More rows than limit are an error that wraps ErrUnsupported; a table or
// a column that is not there is one that wraps ErrMissing.
//
// The structure of the table is checked first, so that rows which a damaged
// page hides are an error that wraps ErrCorrupt.
func (db *DB) Rows(table string, columns []string, limit int, row func([]Value) error) error {
	have, err := db.Columns(table)
	if err != nil {
		return err
	}
	quoted := make([]string, len(columns))
	for i, c := range columns {
		if !containsFold(have, c) {
			return db.at(fmt.Errorf("column %s of table %s: %w", c, table, ErrMissing))
		}
		quoted[i] = quote(c)
	}
	err = db.query("PRAGMA quick_check("+quote(table)+")", 1, func(row []Value) error {
		switch said, _ := row[0].(string); {
		case said == "ok":
			return nil
		case db.files.err != nil:
			return db.files.err
		default:
			return fmt.Errorf("table %s: %s: %w", table, strings.Join(strings.Fields(said), " "), ErrCorrupt)
		}
	})
	switch {
	case errors.Is(err, ErrUnsupported):
		// An index with a function or a collation that only its program has.
		db.notes = append(db.notes, fmt.Sprintf("the structure of table %s could not be checked: %v", table, err))
	case err != nil:
		return err
	}
	return db.query("SELECT "+strings.Join(quoted, ", ")+" FROM "+quote(table)+" NOT INDEXED", limit, row)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func containsFold(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}

// query runs only on the caller's goroutine, where a panic can be contained.
func (db *DB) query(statement string, limit int, row func([]Value) error) (err error) {
	if err := db.files.ctx.Err(); err != nil {
		return db.at(err)
	}
	defer db.contain(&err, debug.SetPanicOnFault(true))
	return db.conn.Raw(func(conn any) error {
		rows, err := conn.(driver.QueryerContext).QueryContext(db.files.ctx, statement, nil)
		if err != nil {
			return db.problem(err)
		}
		defer rows.Close()
		values := make([]Value, len(rows.Columns()))
		for n := 0; ; n++ {
			err := rows.Next(values)
			switch {
			case err == io.EOF:
				return nil
			case err != nil:
				return db.problem(err)
			case n == limit:
				return db.at(fmt.Errorf("more than %d rows: %w", limit, ErrUnsupported))
			case db.files.ctx.Err() != nil:
				return db.at(db.files.ctx.Err())
			}
			if err := row(values); err != nil {
				return db.at(err)
			}
		}
	})
}

// contain turns a panic of the library into an error. Its memory is not Go's,
// so that a wrong pointer ends the process unless the goroutine is set to
// panic on faults; before is what it was set to.
func (db *DB) contain(err *error, before bool) {
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = db.at(fmt.Errorf("the SQLite library stopped: %v: %w", p, ErrCorrupt))
	}
}

// problem gives an error of the library its kind.
func (db *DB) problem(err error) error {
	var code *sqlite.Error
	switch {
	case db.files.ctx.Err() != nil:
		return db.at(db.files.ctx.Err())
	case db.files.err != nil:
		return db.at(db.files.err)
	case !errors.As(err, &code):
		return db.at(err)
	}
	kind := ErrUnsupported
	switch code.Code() & 0xFF {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_FORMAT:
		kind = ErrCorrupt
	}
	return db.at(fmt.Errorf("%s: %w", code.Error(), kind))
}

// at says which database an error is about. Those of the file system name the
// file already.
func (db *DB) at(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return err
	}
	return fmt.Errorf("%s: %w", db.name, err)
}
