package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// folderStore has its records in a folder, which may be on a file system that several
// machines share.
type folderStore struct{ name string }

func (s *folderStore) String() string { return s.name }

func (s *folderStore) Close() error { return nil }

// path is the name of the file of a record. Some names are devices of Windows: a record in
// NUL is lost, and seems to be there.
func (s *folderStore) path(id string) (string, error) {
	if name := id + extension; filepath.IsLocal(name) {
		return filepath.Join(s.name, records, name), nil
	}
	return "", kind.Input(fmt.Errorf("%s: %s%s is not a file on this system, but a device", s.name, id, extension))
}

func (s *folderStore) Probe(ctx context.Context) error {
	name, err := s.writeTemporary(ctx, nil)
	if err != nil {
		return kind.Input(err)
	}
	renamed := name + ".probe"
	err = renameNew(name, renamed)
	return kind.Input(errors.Join(err, remove(name, renamed)))
}

func remove(names ...string) (err error) {
	for _, name := range names {
		if failed := os.Remove(name); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = failed
		}
	}
	return err
}

func (s *folderStore) Has(ctx context.Context, id string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	path, err := s.path(id)
	if err != nil {
		return false, err
	}
	_, err = os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, kind.Input(err)
}

func (s *folderStore) Get(ctx context.Context, id string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := s.path(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, kind.Input(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxRecord+1))
	switch {
	case err != nil:
		return nil, kind.Input(err)
	case len(data) > MaxRecord:
		return nil, fmt.Errorf("%w: it is larger than %d MiB", ErrRecord, MaxRecord>>20)
	}
	return data, nil
}

// Put writes the record under another name, syncs it, and gives it its name.
func (s *folderStore) Put(ctx context.Context, id string, record []byte, over Over) (written bool, err error) {
	path, err := s.path(id)
	if err != nil {
		return false, err
	}
	name, err := s.writeTemporary(ctx, record)
	if err != nil {
		return false, kind.Input(err)
	}
	rename := renameNew
	if over == Replace {
		rename = os.Rename
	}
	if err := rename(name, path); err != nil {
		os.Remove(name)
		if over == Keep && errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		return false, kind.Input(err)
	}
	return true, nil
}

// writeTemporary writes a file in the folder of the records, which no list has.
func (s *folderStore) writeTemporary(ctx context.Context, data []byte) (name string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	folder := filepath.Join(s.name, records)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return "", err
	}
	name = filepath.Join(folder, ".coldcheck-"+rand.Text()+".tmp")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
		return "", err
	}
	return name, nil
}

func (s *folderStore) IDs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		folder, err := os.Open(filepath.Join(s.name, records))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // nothing was written yet
				if _, err = os.Stat(s.name); err == nil {
					return
				}
			}
			yield("", kind.Input(err))
			return
		}
		defer folder.Close()
		for {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			entries, err := folder.ReadDir(1000)
			for _, e := range entries {
				if id, ok := idOf(e.Name()); ok && !yield(id, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield("", kind.Input(err))
				return
			}
		}
	}
}
