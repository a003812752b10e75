package crosscheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/filesystem/ext4"
)

// extReader reads an ext4 volume with go-diskfs, in place: its journal is not
// replayed.
//
// go-diskfs follows no link in the middle of a path; that is done here, with
// the links as it reads them.
type extReader struct{ fs *ext4.FileSystem }

// metadataChecksums is the bit of the superblock's s_feature_ro_compat, at
// readOnlyFeatures, that says that everything has a checksum (kernel,
// Documentation/filesystems/ext4/super.rst).
const (
	readOnlyFeatures  = 1024 + 0x64
	metadataChecksums = 0x400
)

// errNoChecksums says in plain words what go-diskfs refuses: the filesystems of
// Amazon Linux 2 have no checksums.
var errNoChecksums = errors.New("reads only filesystems with metadata_csum, which this one lacks")

func openExt(r *io.SectionReader) (reader, error) {
	var features [4]byte
	if _, err := r.ReadAt(features[:], readOnlyFeatures); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(features[:])&metadataChecksums == 0 {
		return nil, errNoChecksums
	}
	f, err := ext4.Read(storage{r}, r.Size(), 0, 512)
	if err != nil {
		return nil, err
	}
	return &extReader{f}, nil
}

func (e *extReader) read(q Question) (Reading, error) {
	if q.Kind == Volume {
		_, err := e.fs.ReadDir(".")
		return Reading{Found: true, What: AFolder}, err
	}
	info, name, err := e.find(q.Path)
	if info == nil || err != nil {
		return Reading{}, err
	}
	r := Reading{Found: true, Modified: info.ModTime().Unix()}
	switch mode := info.Mode(); {
	case mode.IsDir():
		r.What = AFolder
		entries, err := e.fs.ReadDir(name)
		if err != nil {
			return Reading{}, err
		}
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		r.Names = ListOf(names)
	case mode&fs.ModeSymlink != 0:
		r.What = ALink
		r.Target = target(info)
	case mode.IsRegular():
		r.What = AFile
		r.Size = info.Size()
		if q.Content {
			if r.Content, err = e.content(name, r.Size); err != nil {
				return Reading{}, err
			}
		}
	default:
		r.What = Other
	}
	return r, nil
}

func target(info fs.FileInfo) string {
	if s, ok := info.Sys().(*ext4.StatT); ok {
		return s.LinkTarget
	}
	return ""
}

// maxLinks is how many links Linux follows on one path (MAXSYMLINKS).
const maxLinks = 40

// find returns the file at a path, and its name without links on the way; nil
// if nothing does. A link that it leads to is not followed.
func (e *extReader) find(name string) (fs.FileInfo, string, error) {
	here := "."
	links := 0
	for left := split(name); len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch part {
		case ".":
			continue
		case "..":
			here = path.Dir(here)
			continue
		}
		next := path.Join(here, part)
		info, err := e.stat(next)
		if info == nil || err != nil {
			return nil, "", err
		}
		switch mode := info.Mode(); {
		case len(left) == 0:
			return info, next, nil
		case mode&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return nil, "", errors.New("too many links on the way")
			}
			to := target(info)
			if path.IsAbs(to) {
				here = "."
			}
			left = append(split(to), left...)
		case mode.IsDir():
			here = next
		default:
			return nil, "", nil // a file has nothing below it
		}
	}
	// Dots at the end of the path lead back to a folder.
	if here == "." {
		info, err := e.stat("/") // as go-diskfs wants the root here, and nowhere else
		return info, here, err
	}
	info, err := e.stat(here)
	return info, here, err
}

// stat returns nil for what is not there: go-diskfs reports that only in the
// error text.
func (e *extReader) stat(name string) (fs.FileInfo, error) {
	info, err := e.fs.Stat(name)
	if err != nil && strings.HasPrefix(err.Error(), "file does not exist") {
		return nil, nil
	}
	return info, err
}

func (e *extReader) content(name string, size int64) (string, error) {
	f, err := e.fs.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	return DigestReader(seekReader{f}, size)
}

// seekReader is a file that can seek as an io.ReaderAt.
type seekReader struct{ io.ReadSeeker }

func (s seekReader) ReadAt(p []byte, off int64) (int, error) {
	if _, err := s.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return s.Read(p)
}

// storage is a volume as go-diskfs wants it: one that cannot be written.
type storage struct{ *io.SectionReader }

func (storage) Stat() (fs.FileInfo, error)              { return nil, fmt.Errorf("stat: %w", errors.ErrUnsupported) }
func (storage) Close() error                            { return nil }
func (storage) Sys() (*os.File, error)                  { return nil, backend.ErrNotSuitable }
func (storage) Writable() (backend.WritableFile, error) { return nil, backend.ErrIncorrectOpenMode }
func (storage) Path() string                            { return "" }
