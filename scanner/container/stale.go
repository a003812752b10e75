package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// maxNeighbors bounds how many names of a folder are looked at.
const maxNeighbors = 1000

// overlayEndings are the ends of the names of files that may have a parent.
var overlayEndings = []string{".qcow2", ".qcow", ".qed", ".vmdk", ".vhd", ".avhd", ".vhdx", ".avhdx", ".vdi"}

// Overlays returns the names of files in the folder of first that have the disk d in it
// as their parent: what is on d is not the newest. Only the headers of files are read
// whose names end like those of containers. A file has d as its parent if it has its
// identity, or its file name where the format stores none. more reports that the folder
// has more than 1,000 names: the others are not looked at. What is not in a local folder
// has no overlays.
//
// The error says that some files could not be read, if no overlay was found: there may
// be one. It is also that of the folder, and the cause if the context has ended.
func Overlays(ctx context.Context, first *source.Source, d Disk) (names []string, more bool, err error) {
	all, more, err := first.Neighbors(ctx, maxNeighbors)
	if err != nil {
		return nil, false, err
	}
	var failed []error
	for _, name := range all {
		if !endsIn(name, overlayEndings) {
			continue
		}
		is, err := isOverlay(ctx, first, d, name)
		switch {
		case ctx.Err() != nil:
			return nil, false, context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist): // gone, or a link to nothing
		case err != nil:
			failed = append(failed, err)
		case is:
			names = append(names, name)
		}
	}
	if len(names) == 0 && len(failed) > 0 {
		return nil, more, fmt.Errorf("%s of the folder cannot be read: %w",
			prose.Count(len(failed), "file", "files"), failed[0])
	}
	return names, more, nil
}

// isOverlay reports whether a file in the same folder has a disk as its parent.
func isOverlay(ctx context.Context, first *source.Source, d Disk, name string) (bool, error) {
	s, err := first.Beside(ctx, name)
	if err != nil {
		return false, err
	}
	defer s.Close()
	p, err := look(s)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.Name(), err)
	}
	for _, f := range formats {
		if !f.matches(p) {
			continue
		}
		if f.parent == nil {
			return false, nil
		}
		is, err := f.parent(s)
		if err != nil || is == nil {
			return false, err
		}
		return is(filepath.Base(first.Name()), inside(d)), nil
	}
	return false, nil
}

// parentOf reads from the headers of a file what its parent is, without opening the
// disk or its parent. It returns a function that reports whether a disk is the parent,
// of which the file has a name; nil if the file has none.
type parentOf func(s *source.Source) (is func(name string, d Disk) bool, err error)

// hasIdentity is for a format that stores what identifies the parent.
func hasIdentity(why func(d Disk) error) func(name string, d Disk) bool {
	return func(_ string, d Disk) bool { return why(d) == nil }
}

// hasName is for a format that stores only the path of the parent.
func hasName(path string) func(name string, d Disk) bool {
	return func(name string, _ Disk) bool {
		return strings.EqualFold(baseName(path), name)
	}
}

// qcowParent reads the path of the backing file, of any version of QCOW.
func qcowParent(s *source.Source) (func(string, Disk) bool, error) {
	b := make([]byte, qcow2MinHeader)
	if _, err := readFull(s, b, 0); err != nil {
		return nil, err
	}
	at, size := qcow2Backing(b)
	return storedName(s, at, size)
}

// qedParent reads the path of the backing file (QEMU, docs/interop/qed_spec.rst): its
// place and its length, if the first feature is set.
func qedParent(s *source.Source) (func(string, Disk) bool, error) {
	b := make([]byte, 64)
	if _, err := readFull(s, b, 0); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if le.Uint64(b[16:])&1 == 0 {
		return nil, nil
	}
	return storedName(s, uint64(le.Uint32(b[56:])), le.Uint32(b[60:]))
}

// storedName reads the path of a parent; there is none if it is at byte 0.
func storedName(s *source.Source, at uint64, size uint32) (func(string, Disk) bool, error) {
	if at == 0 {
		return nil, nil
	}
	if end := uint64(s.Size()); size > qcow2MaxName || at > end || uint64(size) > end-at {
		return nil, fmt.Errorf("%s: the path of the parent is at byte %d, with %d bytes: %w", s.Name(), at, size, ErrCorrupt)
	}
	path := make([]byte, size)
	if _, err := readFull(s, path, int64(at)); err != nil {
		return nil, err
	}
	return hasName(qcow2Path(string(path))), nil
}
