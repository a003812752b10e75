package unixfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

// maxLinks is how many symbolic links one path may lead through, as in the
// kernel.
const maxLinks = 40

// MaxPath is the length of the longest name that is looked up, in bytes, as in
// the kernel (PATH_MAX). It bounds the depth of a walk.
const MaxPath = 4096

// Resolve returns the inode that the name leads to. Symbolic links are
// followed, the last element only if follow is set; an absolute one begins at
// the root of the volume, and ".." of the root is the root.
func (f *FS[N, I]) Resolve(name string, follow bool) (Located[N, I], error) {
	var none Located[N, I]
	if !fs.ValidPath(name) {
		return none, fs.ErrInvalid
	}
	if f.Unknown != nil {
		return none, f.Unknown
	}
	if len(name) > MaxPath {
		return none, unsupported("a path of more than %d bytes", MaxPath)
	}
	var path []byte // in the bytes of the volume
	for element := range strings.SplitSeq(name, "/") {
		raw, ok := bytename.Decode(element)
		if !ok {
			return none, fs.ErrNotExist // no file can have this name
		}
		if path != nil {
			path = append(path, '/')
		}
		path = append(path, raw...)
	}
	return f.walk(path, follow)
}

func (f *FS[N, I]) walk(path []byte, follow bool) (none Located[N, I], err error) {
	root, err := f.store.Root()
	if err != nil {
		return none, err
	}
	at := Located[N, I]{root, root.Number()}
	above := []Located[N, I]{at} // the directories on the way, at last that to look into
	links := 0
	slash := false
	for len(path) > 0 {
		var element []byte
		element, path, slash = bytes.Cut(path, []byte{'/'})
		if !isDir[N](at.Inode) {
			return none, fs.ErrNotExist
		}
		switch string(element) {
		case "", ".":
			continue
		case "..":
			if len(above) > 1 {
				above = above[:len(above)-1]
			}
			at = above[len(above)-1]
			continue
		}
		i, err := f.child(at, element)
		if err != nil {
			return none, err
		}
		if i.Mode()&ModeType == ModeSymlink && (follow || slash) {
			if links++; links > maxLinks {
				return none, ErrLinks
			}
			target, err := f.store.Target(i)
			if err != nil {
				return none, err
			}
			if target[0] == '/' {
				above = above[:1]
				at = above[0]
			}
			if slash {
				target = append(append(bytes.Clone(target), '/'), path...)
			}
			path = target
			continue
		}
		at = Located[N, I]{i, at.Inode.Number()}
		if isDir[N](i) {
			above = append(above, at)
		}
	}
	if slash && !isDir[N](at.Inode) {
		return none, fs.ErrNotExist
	}
	return at, nil
}

// child looks a name up in a directory.
func (f *FS[N, I]) child(dir Located[N, I], name []byte) (none I, err error) {
	if err := f.store.Listable(dir.Inode); err != nil {
		return none, err
	}
	list, err := f.list(dir)
	if err != nil {
		return none, err
	}
	e, found, ambiguous := list.find(name)
	if !found {
		if fold := f.store.Fold(dir.Inode); fold != nil {
			e, found, ambiguous = list.findFolded(name, fold)
		}
	}
	if list.err == nil {
		if err := f.store.Doubt(dir.Inode, list, name, found); err != nil {
			return none, err
		}
	}
	switch {
	case ambiguous:
		return none, corrupt("directory, inode %d: two entries have the name %q", dir.Inode.Number(), name)
	case !found && list.err != nil:
		return none, fmt.Errorf("%q may have been lost with part of its directory: %w", name, list.err)
	case !found:
		return none, fs.ErrNotExist
	}
	i, err := f.store.Read(e.Inode)
	if err == nil {
		err = f.store.Usable(i)
	}
	if err == nil {
		err = f.store.Fits(e, i)
	}
	return i, err
}

// ReadLink returns the target of a symbolic link as stored on disk. Bytes that
// are not UTF-8 are encoded as in names.
func (f *FS[N, I]) ReadLink(name string) (string, error) {
	at, err := f.Resolve(name, false)
	if err == nil {
		if at.Inode.Mode()&ModeType != ModeSymlink {
			err = fs.ErrInvalid
		} else {
			var target []byte
			if target, err = f.store.Target(at.Inode); err == nil {
				return bytename.EncodePath(target), nil
			}
		}
	}
	return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
}
