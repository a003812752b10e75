package ext4

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

// maxSymlink is the length of the longest target of a symbolic link, in bytes
// (PATH_MAX of the kernel, without the NUL).
const maxSymlink = 4095

// maxPath is the length of the longest name that is looked up, in bytes, as in
// the kernel (PATH_MAX). It bounds how deep those who walk through a volume
// get.
const maxPath = 4096

// located is an inode and the directory in which it was found.
type located struct {
	inode
	in uint32
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
	i, err := f.inode(inodeRoot)
	if err == nil && i.kind() != modeDir {
		err = damaged(inodeRoot, reasonMode)
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
	at := located{root, inodeRoot}
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
	if dir.has(flagEncrypted) {
		return inode{}, encryptedNames(dir.number)
	}
	list, err := f.list(dir)
	if err != nil {
		return inode{}, err
	}
	e, found, ambiguous := list.find(name)
	if !found && dir.has(flagCasefold) && f.super.has(incompatCasefold) {
		e, found, ambiguous = list.findFolded(name)
	}
	switch {
	case ambiguous:
		return inode{}, corrupt("directory, inode %d: two entries have the name %q", dir.number, name)
	case !found && list.err != nil:
		return inode{}, fmt.Errorf("%q may have been lost with a part of its directory: %w", name, list.err)
	case !found:
		return inode{}, fs.ErrNotExist
	}
	i, err := f.named(e.inode)
	if err != nil {
		return inode{}, err
	}
	if why := e.fits(i); why != sound {
		return inode{}, damaged(i.number, why)
	}
	return i, nil
}

func encryptedNames(dir uint32) error {
	return fmt.Errorf("%w: the names in directory, inode %d", ErrEncrypted, dir)
}

// target returns what a symbolic link says, which is not empty.
func (f *FS) target(i inode) ([]byte, error) {
	if i.has(flagEncrypted) {
		return nil, fmt.Errorf("%w: the target of the symbolic link, inode %d", ErrEncrypted, i.number)
	}
	size := i.size(&f.super)
	if size == 0 || size > maxSymlink {
		return nil, damaged(i.number, reasonSize)
	}
	target := make([]byte, size)
	switch {
	case f.fast(i):
		if size >= blockArea || i.area()[size] != 0 {
			return nil, damaged(i.number, reasonSize)
		}
		copy(target, i.area())
	default:
		if err := newContent(f, i).readAt(target, 0); err != nil {
			return nil, err
		}
	}
	if bytes.IndexByte(target, 0) >= 0 {
		return nil, damaged(i.number, reasonTarget)
	}
	return target, nil
}

// fast reports whether the target of a symbolic link is where others have
// their blocks. The kernel knows it by there being no blocks, and with
// ea_inode, whose inodes count as blocks, by the size.
func (f *FS) fast(i inode) bool {
	s := &f.super
	if s.has(incompatEAInode) {
		return i.size(s) < blockArea
	}
	sectors := uint64(0)
	if i.attributes(s) != 0 {
		sectors = 1 << (s.blockBits + s.clusterRatio - 9)
	}
	return !i.has(flagInline) && i.sectors(s) == sectors
}
