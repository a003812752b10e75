package xfs

import "io/fs"

// Totals of a subtree; sizes in bytes.
type Totals struct {
	Files     int64 // other than directories
	Dirs      int64 // below the start
	Size      int64 // of regular files
	Allocated int64 // of all, directories and the start too, as du has it
	Links     int64 // hard links met again: a file counts once
	Symlinks  int64 // among Files; they are not followed
	// Damaged counts entries whose inode cannot be used, and directories of which
	// a part cannot be read. If it is not 0, the other figures are lower bounds.
	Damaged int64
}

// Tree adds up everything below a directory, or a single file. It follows only
// a symbolic link that is the name itself. The first call reads all inodes and
// all directory blocks once, in large reads; later calls are answered from
// memory.
func (f *FS) Tree(name string) (Totals, error) {
	i, err := f.resolve(name, true)
	var x *index
	if err == nil {
		x, err = f.index()
	}
	if err != nil {
		return Totals{}, &fs.PathError{Op: "tree", Path: name, Err: err}
	}
	t := x.Tree(i.number)
	return Totals{
		Files: t.Files, Dirs: t.Dirs, Size: t.Size, Allocated: t.Allocated, Links: t.Links, Symlinks: t.Symlinks,
		Damaged: t.Damaged,
	}, nil
}
