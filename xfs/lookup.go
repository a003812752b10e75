package xfs

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

// maxPath is the length of the longest name that is looked up, in bytes, as in
// the kernel (PATH_MAX). It bounds how deep those who walk through a volume
// get.
const maxPath = 4096

// located is an inode and the directory in which it was found.
type located struct {
	inode
	in uint64
}

// resolve returns the inode that the name leads to. Symbolic links are
// followed, the last element only if follow is set; an absolute one begins at
// the root of the volume, and ".." of the root is the root.
func (f *FS) resolve(name string, follow bool) (located, error) {
	if !fs.ValidPath(name) {
		return located{}, fs.ErrInvalid
	}
	if f.unknown != nil {
		return located{}, f.unknown
	}
	if len(name) > maxPath {
		return located{}, unsupported("a path of more than %d bytes", maxPath)
	}
	var path []byte // in the bytes of the volume
	for element := range strings.SplitSeq(name, "/") {
		raw, ok := bytename.Decode(element)
		if !ok {
			return located{}, fs.ErrNotExist // no file can have this name
		}
		if path != nil {
			path = append(path, '/')
		}
		path = append(path, raw...)
	}
	return f.walk(path, follow)
}

func (f *FS) root() (inode, error) {
	i, err := f.inode(f.super.root)
	if err == nil && i.kind() != modeDir {
		err = damaged(f.super.root, reasonMode)
	}
	if err != nil {
		return inode{}, fmt.Errorf("root directory: %w", err)
	}
	return i, nil
}

func (f *FS) walk(path []byte, follow bool) (located, error) {
	root, err := f.root()
	if err != nil {
		return located{}, err
	}
	at := located{root, f.super.root}
	above := []located{at} // the directories on the way, at last that to look into
	links := 0
	slash := false
	for len(path) > 0 {
		var element []byte
		element, path, slash = bytes.Cut(path, []byte{'/'})
		if at.kind() != modeDir {
			return located{}, fs.ErrNotExist
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
			return located{}, err
		}
		if i.kind() == modeSymlink && (follow || slash) {
			if links++; links > maxLinks {
				return located{}, ErrLinks
			}
			target, err := f.target(i)
			if err != nil {
				return located{}, err
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
		at = located{i, at.number}
		if i.kind() == modeDir {
			above = append(above, at)
		}
	}
	if slash && at.kind() != modeDir {
		return located{}, fs.ErrNotExist
	}
	return at, nil
}

// child looks a name up in a directory.
func (f *FS) child(dir located, name []byte) (inode, error) {
	list, err := f.list(dir)
	if err != nil {
		return inode{}, err
	}
	e, found, ambiguous := list.find(name)
	if !found && f.super.flags&flagFoldCase != 0 {
		e, found, ambiguous = list.findFolded(name)
	}
	if !f.super.checksums() && dir.format() != formatLocal && list.err == nil {
		// Nobody else would tell that it had been lost, or that the kernel, which
		// looks names up in the index, does not find it.
		list.check.Do(func() { list.strays, list.unsure = f.indexed(dir.inode, list) })
		switch key := name; {
		case list.unsure != nil && found:
			if f.super.flags&flagFoldCase != 0 {
				key = foldName(name)
			}
			if list.strays != nil && !list.strays[nameHash(key)] {
				break
			}
			return inode{}, fmt.Errorf("%q may not be there: %w", name, list.unsure)
		case list.unsure != nil:
			return inode{}, fmt.Errorf("%q may have been lost: %w", name, list.unsure)
		}
	}
	switch {
	case ambiguous:
		return inode{}, corrupt("directory, inode %d: two entries have the name %q", dir.number, name)
	case !found && list.err != nil:
		return inode{}, fmt.Errorf("%q may have been lost with a part of its directory: %w", name, list.err)
	case !found:
		return inode{}, fs.ErrNotExist
	}
	i, err := f.inode(e.inode)
	if err == nil && e.again && i.kind() == modeDir {
		err = damaged(i.number, reasonTwice)
	}
	return i, err
}

// foldName is a name as it is compared on a volume that ignores case: letters
// of ASCII and of Latin-1 are made small (fs/xfs/libxfs/xfs_dir2.c,
// xfs_ascii_ci_xfrm).
func foldName(name []byte) []byte {
	folded := bytes.Clone(name)
	for i, c := range folded {
		if c >= 'A' && c <= 'Z' || c >= 0xC0 && c <= 0xDE && c != 0xD7 {
			folded[i] = c + 'a' - 'A'
		}
	}
	return folded
}
