package unixfs

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"sync"
)

// maxDirEntries is the most entries of a directory that are held in memory
// (about 200 bytes each while they are listed).
const maxDirEntries = 1 << 20

// maxListCache is how much of directories that were looked into is kept in
// memory, in bytes.
const maxListCache = 16 << 20

// Dirent is an entry of a directory as it is read.
type Dirent[N Number] struct {
	Inode N
	Kind  uint8 // of file, see KindMode; 0 if the entry does not say
	Name  []byte
}

// Parent reports whether the entry is "..".
func (d *Dirent[N]) Parent() bool { return len(d.Name) == 2 && d.Name[0] == '.' && d.Name[1] == '.' }

// List is a directory in memory, sorted by the bytes of the names.
type List[N Number] struct {
	Entries []Listed[N]
	names   []byte
	parent  N     // by its own entry "..", 0 if that is lost
	err     error // why it may be incomplete

	fold   sync.Once
	folded map[string][]uint32 // indexes into Entries by folded name

	once sync.Once
	memo any
}

// Listed is an entry of a list.
type Listed[N Number] struct {
	Inode N
	at    uint32 // of the name in names
	size  uint8
	Kind  uint8 // as in Dirent
	Again bool  // an entry before it has the same inode
}

// Name is the name of an entry, in the bytes of the volume.
func (l *List[N]) Name(e Listed[N]) []byte { return l.names[e.at : e.at+uint32(e.size)] }

// Once returns the result of the first call of compute.
func (l *List[N]) Once(compute func() any) any {
	l.once.Do(func() { l.memo = compute() })
	return l.memo
}

// list returns a directory, whose field err says whether it is complete. The
// error is the reader's, or that of a directory that is too large or belongs to
// another parent.
func (f *FS[N, I]) list(dir Located[N, I]) (*List[N], error) {
	number := dir.Inode.Number()
	l, ok := f.lists.Get(number)
	if !ok {
		var err error
		if l, err = f.readList(dir.Inode); err != nil {
			return nil, err
		}
		f.lists.Put(number, l, int64(16*cap(l.Entries)+cap(l.names))+256)
	}
	// Each directory has one parent, so that a walk through a crafted volume
	// ends.
	in := l.parent
	if in == 0 {
		var err error
		if in, err = f.store.Parent(dir.Inode, dir.In, l.err); err != nil {
			return nil, err
		}
	}
	if in != dir.In {
		return nil, corrupt("directory, inode %d, is found in directory %d, but belongs to directory %d",
			number, dir.In, in)
	}
	return l, nil
}

func (f *FS[N, I]) readList(dir I) (*List[N], error) {
	l := &List[N]{}
	tooMany := false
	err := f.store.Entries(dir, func(d Dirent[N]) {
		if d.Parent() {
			l.parent = d.Inode
			return
		}
		if len(l.Entries) == maxDirEntries {
			tooMany = true
			return
		}
		l.Entries = append(l.Entries, Listed[N]{
			Inode: d.Inode, at: uint32(len(l.names)), size: uint8(len(d.Name)), Kind: d.Kind,
		})
		l.names = append(l.names, d.Name...)
	})
	switch {
	case tooMany:
		return nil, unsupported("directory, inode %d, of more than %d entries", dir.Number(), maxDirEntries)
	case err != nil && !Recoverable(err):
		return nil, err
	}
	l.err = err
	slices.SortFunc(l.Entries, func(a, b Listed[N]) int {
		return cmp.Or(bytes.Compare(l.Name(a), l.Name(b)), cmp.Compare(a.Inode, b.Inode))
	})
	inodes := make(map[N]bool, len(l.Entries))
	for i := range l.Entries {
		e := &l.Entries[i]
		e.Again = inodes[e.Inode]
		inodes[e.Inode] = true
	}
	return l, nil
}

// find looks a name up. It is ambiguous if the directory has it twice for
// different files.
func (l *List[N]) find(name []byte) (e Listed[N], found, ambiguous bool) {
	at := sort.Search(len(l.Entries), func(i int) bool { return bytes.Compare(l.Name(l.Entries[i]), name) >= 0 })
	for ; at < len(l.Entries) && bytes.Equal(l.Name(l.Entries[at]), name); at++ {
		ambiguous = ambiguous || found && l.Entries[at].Inode != e.Inode
		e, found = l.Entries[at], true
	}
	return e, found, ambiguous
}

// findFolded looks a name up without regard to case.
func (l *List[N]) findFolded(name []byte, fold func([]byte) string) (e Listed[N], found, ambiguous bool) {
	l.fold.Do(func() {
		l.folded = make(map[string][]uint32, len(l.Entries))
		for i, e := range l.Entries {
			key := fold(l.Name(e))
			l.folded[key] = append(l.folded[key], uint32(i))
		}
	})
	for _, i := range l.folded[fold(name)] {
		ambiguous = ambiguous || found && l.Entries[i].Inode != e.Inode
		e, found = l.Entries[i], true
	}
	return e, found, ambiguous
}
