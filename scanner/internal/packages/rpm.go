package packages

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Tags of a header (include/rpm/rpmtag.h).
const (
	tagName         = 1000
	tagVersion      = 1001
	tagRelease      = 1002
	tagEpoch        = 1003
	tagInstallTime  = 1008
	tagVendor       = 1011
	tagPackager     = 1015
	tagArch         = 1022
	tagOldFileNames = 1027
	tagDirIndexes   = 1116
	tagBaseNames    = 1117
	tagDirNames     = 1118
)

// rpmReader turns the headers of a database into packages.
type rpmReader struct {
	*builder
	ctx     context.Context
	header  header
	numbers map[uint32]bool // of the headers so far
	dirs    []uint32        // of one header, in fileTable.dirs
}

// read reads the database in whatever form it is.
func (c rpmFile) read(ctx context.Context, fsys fs.FS) *Database {
	r := &rpmReader{builder: newBuilder(c.kind, c.path), ctx: ctx, numbers: map[uint32]bool{}}
	r.db.notes = c.notes
	var err error
	if c.kind == RPMSQLite {
		err = r.readSQLite(fsys)
	} else {
		err = r.readPlain(fsys)
	}
	return r.finish(err)
}

// readPlain reads a database that is one file.
func (r *rpmReader) readPlain(fsys fs.FS) error {
	f, size, err := openFile(fsys, r.db.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if size > maxDatabase {
		return fmt.Errorf("%s: %d bytes, more than %d: %w", r.db.path, size, maxDatabase, ErrUnsupported)
	}
	if r.db.kind == RPMNDB {
		err = r.readNDB(f, size)
	} else {
		err = r.readBDB(f, size)
		if err == nil {
			err = findLogs(fsys, r.db.path)
		}
	}
	if err != nil {
		return inFile(r.db.path, err)
	}
	return nil
}

// record takes a header of a database. Damage to it is noted; the error is one
// that ends the reading.
func (r *rpmReader) record(number uint32, blob []byte) error {
	if r.numbers[number] {
		r.corrupt(fmt.Errorf("two headers with the number %d: %w", number, ErrCorrupt))
		return nil
	}
	r.numbers[number] = true
	if err := r.header.parse(blob); err != nil {
		r.corrupt(fmt.Errorf("header %d: %w", number, err))
		return nil
	}
	p, err := r.header.rpm()
	if err != nil {
		r.corrupt(fmt.Errorf("header %d: %w", number, err))
		return nil
	}
	pkg, err := r.add(p, number)
	if err != nil {
		return err
	}
	switch err := r.addFiles(pkg); {
	case errors.Is(err, ErrCorrupt):
		r.failFiles(pkg, err)
	case err != nil:
		return err
	}
	return nil
}

// rpm returns the package that the header describes.
func (h *header) rpm() (Package, error) {
	p := Package{State: stateInstalled}
	for _, field := range []struct {
		tag uint32
		s   *string
	}{
		{tagName, &p.Name}, {tagVersion, &p.Version}, {tagRelease, &p.Release},
		{tagArch, &p.Arch}, {tagVendor, &p.Vendor}, {tagPackager, &p.Packager},
	} {
		var err error
		if *field.s, err = h.string(field.tag); err != nil {
			return p, err
		}
	}
	if p.Name == "" || p.Version == "" || p.Release == "" {
		return p, fmt.Errorf("a package %q without a name, a version or a release: %w", p.Name, ErrCorrupt)
	}
	var err error
	if p.Epoch, err = h.uint32(tagEpoch); err != nil {
		return p, err
	}
	installed, err := h.uint32(tagInstallTime)
	if installed != 0 {
		p.Installed = time.Unix(int64(installed), 0).UTC()
	}
	return p, err
}

// addFiles adds the paths of a package.
func (r *rpmReader) addFiles(pkg int) error {
	h, table := &r.header, &r.db.files
	names, err := h.strings(tagBaseNames)
	if err != nil {
		return err
	}
	if names.count == 0 {
		// As rpm wrote it up to 3.0.
		old, err := h.strings(tagOldFileNames)
		if err != nil {
			return err
		}
		for _, path := range old.all {
			if err := table.add(pkg, path); err != nil {
				return err
			}
		}
		return nil
	}
	dirs, err := h.strings(tagDirNames)
	if err != nil {
		return err
	}
	indexes, err := h.uint32s(tagDirIndexes)
	if err != nil {
		return err
	}
	if len(indexes) != 4*names.count {
		return fmt.Errorf("%d files and %d directory indexes: %w", names.count, len(indexes)/4, ErrCorrupt)
	}
	r.dirs = r.dirs[:0]
	for _, name := range dirs.all {
		if len(name) > 0 && name[len(name)-1] != '/' {
			return fmt.Errorf("directory %.200q: %w", name, ErrCorrupt)
		}
		n, err := table.dir(name)
		if err != nil {
			return err
		}
		r.dirs = append(r.dirs, n)
	}
	for i, name := range names.all {
		dir := binary.BigEndian.Uint32(indexes[4*i:])
		switch {
		case uint64(dir) >= uint64(len(r.dirs)):
			return fmt.Errorf("directory index %d of %d: %w", dir, len(r.dirs), ErrCorrupt)
		case bytes.IndexByte(name, '/') >= 0:
			return fmt.Errorf("file name %.200q: %w", name, ErrCorrupt)
		}
		if len(name) == 0 { // the directory itself, such as the root
			err = table.add(pkg, []byte(table.dirs[r.dirs[dir]]))
		} else {
			err = table.addIn(pkg, r.dirs[dir], name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
