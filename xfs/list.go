package xfs

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"sync"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

// maxDirEntries is the most entries of a directory that are held in memory
// (about 200 bytes each while they are listed).
const maxDirEntries = 1 << 20

// maxListCache is how much of directories that were looked into is kept in
// memory, in bytes.
const maxListCache = 16 << 20

// dirList is a directory in memory, sorted by the bytes of the names.
type dirList struct {
	entries []listed
	names   []byte
	parent  uint64 // by its own entry "..", 0 if that is lost
	err     error  // why it may not be whole

	check  sync.Once
	unsure error           // why a name that is not there may have been
	strays map[uint32]bool // hashes of names that the index does not have; nil if it could not be read

	fold   sync.Once
	folded map[string][]uint32 // indexes into entries by folded name
}

type listed struct {
	inode uint64
	at    uint32 // of the name in names
	size  uint8
	kind  uint8
	again bool // an entry before it has the same inode
}

func (l *dirList) name(e listed) []byte { return l.names[e.at : e.at+uint32(e.size)] }

// list returns a directory; its own err says whether it is whole. Another
// error is that of the reader, or of a directory that is too large, that is
// said to be elsewhere, or does not know where it is.
func (f *FS) list(dir located) (*dirList, error) {
	l, ok := f.lists.Get(dir.number)
	if !ok {
		var err error
		if l, err = f.readList(dir.inode); err != nil {
			return nil, err
		}
		f.lists.Put(dir.number, l, int64(24*cap(l.entries)+cap(l.names))+256)
	}
	// Each directory can be reached on one way only, so that those who walk
	// through a crafted volume come to an end.
	switch {
	case l.parent == 0:
		return nil, l.err
	case l.parent != dir.in:
		return nil, corrupt("directory, inode %d, is found in directory %d, but belongs to directory %d", dir.number, dir.in, l.parent)
	}
	return l, nil
}

func (f *FS) readList(dir inode) (*dirList, error) {
	l := &dirList{}
	tooMany := false
	err := f.eachDirent(dir, func(d dirent) {
		if d.parent() {
			l.parent = d.inode
			return
		}
		if len(l.entries) == maxDirEntries {
			tooMany = true
			return
		}
		l.entries = append(l.entries, listed{inode: d.inode, at: uint32(len(l.names)), size: uint8(len(d.name)), kind: d.kind})
		l.names = append(l.names, d.name...)
	})
	switch {
	case tooMany:
		return nil, unsupported("directory, inode %d, of more than %d entries", dir.number, maxDirEntries)
	case err != nil && !recoverable(err):
		return nil, err
	}
	l.err = err
	slices.SortFunc(l.entries, func(a, b listed) int {
		return cmp.Or(bytes.Compare(l.name(a), l.name(b)), cmp.Compare(a.inode, b.inode))
	})
	inodes := make(map[uint64]bool, len(l.entries))
	for i := range l.entries {
		e := &l.entries[i]
		e.again = inodes[e.inode]
		inodes[e.inode] = true
	}
	return l, nil
}

// find looks a name up. It is ambiguous if the directory has it twice for
// different files.
func (l *dirList) find(name []byte) (e listed, found, ambiguous bool) {
	at := sort.Search(len(l.entries), func(i int) bool { return bytes.Compare(l.name(l.entries[i]), name) >= 0 })
	for ; at < len(l.entries) && bytes.Equal(l.name(l.entries[at]), name); at++ {
		ambiguous = ambiguous || found && l.entries[at].inode != e.inode
		e, found = l.entries[at], true
	}
	return e, found, ambiguous
}

// findFolded looks a name up without regard to case.
func (l *dirList) findFolded(name []byte) (e listed, found, ambiguous bool) {
	l.fold.Do(func() {
		l.folded = make(map[string][]uint32, len(l.entries))
		for i, e := range l.entries {
			key := string(foldName(l.name(e)))
			l.folded[key] = append(l.folded[key], uint32(i))
		}
	})
	for _, i := range l.folded[string(foldName(name))] {
		ambiguous = ambiguous || found && l.entries[i].inode != e.inode
		e, found = l.entries[i], true
	}
	return e, found, ambiguous
}

// ReadDir lists a directory, sorted by name. The entries' types and infos are
// those of the inodes, not what the directory says of them; an inode that
// cannot be read is an error of Info. If the directory cannot be read whole,
// the error comes with what could be.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	i, err := f.resolve(name, true)
	if err == nil {
		var list []fs.DirEntry
		if list, err = f.readDir(i); err == nil {
			return list, nil
		}
		return list, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
}

func (f *FS) readDir(dir located) ([]fs.DirEntry, error) {
	if dir.kind() != modeDir {
		return nil, fmt.Errorf("%w: not a directory", fs.ErrInvalid)
	}
	l, err := f.list(dir)
	if err != nil {
		return nil, err
	}
	entries := make([]dirEntry, len(l.entries))
	order := make([]int, len(l.entries))
	for i, e := range l.entries {
		entries[i] = dirEntry{name: bytename.Encode(l.name(e)), mode: kindMode(e.kind)}
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(l.entries[a].inode, l.entries[b].inode) })
	// In the order of the inodes, so that neighbours are read at once.
	for _, k := range order {
		e, l := &entries[k], l.entries[k]
		i, err := f.inode(l.inode)
		switch {
		case err != nil && !recoverable(err):
			return nil, err
		case err == nil && i.kind() == modeDir && l.again:
			err = damaged(i.number, reasonTwice)
		}
		if err != nil {
			e.lost = err
			continue
		}
		e.info = f.info(e.name, i)
		e.mode = e.info.mode
	}
	slices.SortStableFunc(entries, func(a, b dirEntry) int { return cmp.Compare(a.name, b.name) })
	list := make([]fs.DirEntry, len(entries))
	for i := range entries {
		list[i] = &entries[i]
	}
	return list, l.err
}
