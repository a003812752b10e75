package xfs

import (
	"bytes"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// store implements the interface of volumes in package unixfs.
type store struct{ *FS }

// resolve returns the inode that the name leads to.
func (f *FS) resolve(name string, follow bool) (inode, error) {
	at, err := f.core.Resolve(name, follow)
	return at.Inode, err
}

func (f store) Root() (inode, error) {
	i, err := f.inode(f.super.root)
	if err == nil && i.kind() != modeDir {
		err = damaged(f.super.root, reasonMode)
	}
	if err != nil {
		return inode{}, fmt.Errorf("root directory: %w", err)
	}
	return i, nil
}

func (f store) Place(number uint64) (int64, error) {
	if !f.super.validInode(number) {
		return 0, damaged(number, reasonNumber)
	}
	return f.super.inodeOffset(number), nil
}

func (f store) Read(number uint64) (inode, error) { return f.rawInode(number) }

func (f store) Decode(number uint64, raw []byte) inode { return inode{number, raw} }

func (f store) Usable(i inode) error { return f.usable(i) }

func (f store) ReadAt(p []byte, off int64) error { return f.disk.readAt(p, off) }

// Listable is always nil: XFS encrypts no names.
func (f store) Listable(inode) error { return nil }

func (f store) Entries(dir inode, visit func(dirent)) error { return f.eachDirent(dir, visit) }

// Parent returns the error: where ".." is lost, so is the first block of the
// directory.
func (f store) Parent(_ inode, _ uint64, lost error) (uint64, error) { return 0, lost }

func (f store) Fits(e unixfs.Listed[uint64], i inode) error {
	if e.Again && i.kind() == modeDir {
		return damaged(i.number, reasonTwice)
	}
	return nil
}

// Doubt compares a directory without checksums with its index: nothing else
// would show that a name had been lost, or that the kernel, which looks names
// up in the index, does not find it.
func (f store) Doubt(dir inode, l *unixfs.List[uint64], name []byte, found bool) error {
	if f.super.checksums() || dir.format() == formatLocal {
		return nil
	}
	type indexed struct {
		strays map[uint32]bool // hashes of names that the index does not have; nil if it could not be read
		unsure error           // why a name that is not there may have been
	}
	x := l.Once(func() any {
		strays, err := f.indexed(dir, l)
		return indexed{strays, err}
	}).(indexed)
	if x.unsure == nil {
		return nil
	}
	if !found {
		return fmt.Errorf("%q may have been lost: %w", name, x.unsure)
	}
	if x.strays != nil && !x.strays[f.nameHash(name)] {
		return nil
	}
	return fmt.Errorf("%q may not be there: %w", name, x.unsure)
}

func (f store) Fold(inode) func([]byte) string {
	if f.super.flags&flagFoldCase == 0 {
		return nil
	}
	return func(name []byte) string { return string(foldName(name)) }
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

func (f store) Target(i inode) ([]byte, error) { return f.target(i) }

func (f store) Content(i inode) (unixfs.Content, error) { return newContent(f.FS, i), nil }

func (f store) Describe(i inode) unixfs.Description {
	e := f.entry(i)
	return unixfs.Description{Sys: e, Size: e.Size, Modified: e.Modified}
}
