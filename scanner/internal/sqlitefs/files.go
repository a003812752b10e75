package sqlitefs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// What the library calls the files, whatever their names are.
const (
	database = "db"
	logFile  = "db-wal"
)

// files shows the library two files and no others. The library takes every
// error of a look-up for a file that is not there, so all that can go wrong is
// found out before it is asked.
type files struct {
	ctx  context.Context
	fsys fs.FS
	name string
	log  bool  // there is a write-ahead log, or the database wants one
	has  bool  // there is a write-ahead log
	err  error // the first error of reading, of which the library keeps only a number
}

// Layout of the database header (SQLite file format, 1.3).
const (
	headerSize  = 100
	magic       = "SQLite format 3\x00"
	readVersion = 19 // 2: the database is in WAL mode
)

// check looks at the files and returns the database header.
func (f *files) check() ([]byte, error) {
	r, size, err := open(f.fsys, f.name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > MaxSize {
		return nil, fmt.Errorf("%s: %d bytes, more than %d: %w", f.name, size, MaxSize, ErrUnsupported)
	}
	header := make([]byte, headerSize)
	if size < headerSize {
		return nil, fmt.Errorf("%s: %d bytes: %w", f.name, size, ErrCorrupt)
	}
	if _, err := r.ReadAt(header, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if string(header[:len(magic)]) != magic {
		return nil, fmt.Errorf("%s: it does not begin as an SQLite database: %w", f.name, ErrCorrupt)
	}
	return header, f.checkJournal()
}

// checkJournal refuses a rollback journal that SQLite would roll back, which
// takes writing: one whose first byte is not zero (lockingv3, 4.1).
func (f *files) checkJournal() error {
	r, size, err := open(f.fsys, f.name+"-journal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if size == 0 {
		return nil
	}
	first := make([]byte, 1)
	if _, err := r.ReadAt(first, 0); err != nil && err != io.EOF {
		return fmt.Errorf("%s-journal: %w", f.name, err)
	}
	if first[0] != 0 {
		return fmt.Errorf("%s: an interrupted transaction has a rollback journal of %d bytes that is not applied: %w",
			f.name, size, ErrUnsupported)
	}
	return nil
}

// readWAL looks at the write-ahead log.
func (f *files) readWAL(header []byte) (WAL, error) {
	f.log = header[readVersion] == 2
	r, size, err := open(f.fsys, f.name+"-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return WAL{}, nil
	}
	if err != nil {
		return WAL{}, err
	}
	defer r.Close()
	if size > MaxSize {
		return WAL{}, fmt.Errorf("%s-wal: %d bytes, more than %d: %w", f.name, size, MaxSize, ErrUnsupported)
	}
	f.log, f.has = true, true
	wal, err := readWAL(f.ctx, r, size, pageSize(header))
	if err != nil {
		return WAL{}, fmt.Errorf("%s-wal: %w", f.name, err)
	}
	return wal, nil
}

// pageSize is in bytes 16 and 17 of the header, where 1 stands for 65536.
func pageSize(header []byte) int {
	if n := int(binary.BigEndian.Uint16(header[16:])); n != 1 {
		return n
	}
	return 65536
}

// Open implements fs.FS for the library.
func (f *files) Open(name string) (fs.File, error) {
	switch {
	case name == database:
		return f.open(f.name)
	case name == logFile && f.has:
		return f.open(f.name + "-wal")
	case name == logFile && f.log:
		// The log of a database in WAL mode is deleted when its last user
		// closes it; without one SQLite would have to write a new one.
		return file{io.NewSectionReader(nil, 0, 0), io.NopCloser(nil), nil, f}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (f *files) open(name string) (fs.File, error) {
	r, size, err := open(f.fsys, name)
	if err != nil {
		f.keep(err)
		return nil, err
	}
	return file{io.NewSectionReader(r, 0, size), r, r.info, f}, nil
}

func (f *files) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

// file is what the library reads from.
type file struct {
	*io.SectionReader
	io.Closer
	info  fs.FileInfo
	files *files
}

func (f file) Stat() (fs.FileInfo, error) { return sized{f.info, f.Size()}, nil }

// sized is a FileInfo of which the library uses only the size.
type sized struct {
	fs.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }

func (f file) Read(p []byte) (int, error) {
	if err := f.files.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.SectionReader.Read(p)
	if err != nil && err != io.EOF {
		f.files.keep(err)
	}
	return n, err
}

// opened is a file that can be read at any place.
type opened struct {
	io.ReaderAt
	io.Closer
	info fs.FileInfo
}

func open(fsys fs.FS, name string) (opened, int64, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return opened{}, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return opened{}, 0, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok || !info.Mode().IsRegular() {
		f.Close()
		return opened{}, 0, fmt.Errorf("%s is not a regular file: %w", name, ErrUnsupported)
	}
	return opened{r, f, info}, info.Size(), nil
}
