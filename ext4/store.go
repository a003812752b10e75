package ext4

import (
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

func (f store) Root() (inode, error) { return f.root() }

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

func (f store) Place(number uint32) (int64, error) {
	why := f.super.nameable(number)
	if why == sound {
		var at int64
		if at, why = f.place(number); why == sound {
			return at, nil
		}
	}
	return 0, damaged(number, why)
}

func (f store) Read(number uint32) (inode, error) {
	if why := f.super.nameable(number); why != sound {
		return inode{}, damaged(number, why)
	}
	return f.rawInode(number)
}

func (f store) Decode(number uint32, raw []byte) inode { return inode{number, raw} }

func (f store) Usable(i inode) error {
	if err := f.usable(i); err != nil {
		return err
	}
	return f.marked(i.number)
}

func (f store) ReadAt(p []byte, off int64) error { return f.disk.readAt(p, off) }

func (f store) Listable(dir inode) error {
	if dir.has(flagEncrypted) {
		return fmt.Errorf("%w: the names in directory, inode %d", ErrEncrypted, dir.number)
	}
	return nil
}

// Entries visits the entries of a directory. The root is its own parent,
// whatever it says.
func (f store) Entries(dir inode, visit func(dirent)) error {
	if dir.number != inodeRoot {
		return f.eachDirent(dir, visit)
	}
	return f.eachDirent(dir, func(d dirent) {
		if d.Parent() {
			d.Inode = inodeRoot
		}
		visit(d)
	})
}

// maxAdopted is how many directories with a lost ".." are kept in memory.
const maxAdopted = 1 << 16

// Parent returns the directory in which dir was found first.
func (f store) Parent(dir inode, in uint32, _ error) (uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first, ok := f.adopted[dir.number]
	if !ok && len(f.adopted) < maxAdopted {
		first = in
		f.adopted[dir.number] = in
	}
	return first, nil
}

func (f store) Fits(e unixfs.Listed[uint32], i inode) error {
	switch {
	case e.Kind != 0 && unixfs.KindMode(e.Kind).Type() != unixfs.FileMode(i.mode()).Type():
		return damaged(i.number, reasonKind)
	case e.Again && i.kind() == modeDir:
		return damaged(i.number, reasonTwice)
	}
	return nil
}

// Doubt is always nil: every block of a directory was checked.
func (f store) Doubt(inode, *unixfs.List[uint32], []byte, bool) error { return nil }

func (f store) Fold(dir inode) func([]byte) string {
	if dir.has(flagCasefold) && f.super.has(incompatCasefold) {
		return foldName
	}
	return nil
}

func (f store) Target(i inode) ([]byte, error) { return f.target(i) }

func (f store) Content(i inode) (unixfs.Content, error) {
	c := newContent(f.FS, i)
	if i.has(flagEncrypted) {
		return c, fmt.Errorf("%w: the content of inode %d", ErrEncrypted, i.number)
	}
	return c, nil
}

func (f store) Describe(i inode) unixfs.Description {
	e := f.entry(i)
	return unixfs.Description{Sys: e, Size: e.Size, Modified: e.Modified}
}
