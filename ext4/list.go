package ext4

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
	parent  uint32 // by its own entry ".."
	err     error  // why it may not be whole

	fold   sync.Once
	folded map[string][]uint32 // indexes into entries by folded name
}

type listed struct {
	inode uint32
	at    uint32 // of the name in names
	size  uint8
	kind  uint8
	again bool // an entry before it has the same inode
}

// fits says why an inode cannot be what the entry names.
func (e listed) fits(i inode) reason {
	switch {
	case e.kind != 0 && kindMode(e.kind).Type() != fileMode(i.mode()).Type():
		return reasonKind
	case e.again && i.kind() == modeDir:
		return reasonTwice
	}
	return sound
}

func (l *dirList) name(e listed) []byte { return l.names[e.at : e.at+uint32(e.size)] }

// list returns a directory; its own err says whether it is whole. Another
// error is that of the reader, or of a directory that is too large, or that is
// said to be elsewhere.
func (f *FS) list(dir located) (*dirList, error) {
	l, ok := f.lists.Get(dir.number)
	if !ok {
		var err error
		if l, err = f.readList(dir.inode); err != nil {
			return nil, err
		}
		f.lists.Put(dir.number, l, int64(16*cap(l.entries)+cap(l.names))+256)
	}
	if in := f.parent(l, dir); in != dir.in {
		return nil, corrupt("directory, inode %d, is found in directory %d, but belongs to directory %d", dir.number, dir.in, in)
	}
	return l, nil
}

// maxAdopted is how many directories are held in memory that do not know any
// more where they belong.
const maxAdopted = 1 << 16

// parent returns the only directory that one may be found in, so that none can
// be reached on two ways, and those who walk through a crafted volume come to
// an end. It is what its entry ".." says; if that is lost, the directory in
// which it was found first.
func (f *FS) parent(l *dirList, dir located) uint32 {
	if dir.number == inodeRoot {
		return inodeRoot
	}
	if l.parent != 0 {
		return l.parent
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.adopted[dir.number]
	if !ok && len(f.adopted) < maxAdopted {
		in = dir.in
		f.adopted[dir.number] = in
	}
	return in
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
	inodes := make(map[uint32]bool, len(l.entries))
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
			key := foldName(l.name(e))
			l.folded[key] = append(l.folded[key], uint32(i))
		}
	})
	for _, i := range l.folded[foldName(name)] {
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
	if dir.has(flagEncrypted) {
		return nil, encryptedNames(dir.number)
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
	err = f.eachInode(len(order), func(k int) uint32 { return l.entries[order[k]].inode }, func(k int, i inode, err error) {
		e := &entries[order[k]]
		if err != nil {
			e.lost = err
			return
		}
		if why := l.entries[order[k]].fits(i); why != sound {
			e.lost = damaged(i.number, why)
			return
		}
		e.info = f.info(e.name, i)
		e.mode = e.info.mode
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b dirEntry) int { return cmp.Compare(a.name, b.name) })
	list := make([]fs.DirEntry, len(entries))
	for i := range entries {
		list[i] = &entries[i]
	}
	return list, l.err
}

// inodeRead is the most that is read at once for inodes near each other, and
// inodeGap the most between two of them that is read along, in bytes.
const (
	inodeRead = 256 << 10
	inodeGap  = 16 << 10
)

// eachInode reads inodes that entries of a directory name, in ascending order,
// and calls visit for each; those that cannot be used come with the error. It
// returns an error of the reader.
func (f *FS) eachInode(n int, number func(k int) uint32, visit func(k int, i inode, err error)) error {
	var buf []byte
	size := int64(f.super.inodeSize)
	for k := 0; k < n; {
		first, why := f.placeNamed(number(k))
		if why != sound {
			visit(k, inode{}, damaged(number(k), why))
			k++
			continue
		}
		// How many of the next ones can be read along.
		end, more := first+size, 1
		for ; k+more < n; more++ {
			at, why := f.placeNamed(number(k + more))
			if why != sound || at < first || at-end > inodeGap || at+size-first > inodeRead {
				break
			}
			end = at + size
		}
		read := func(number uint32) (inode, error) { return f.rawInode(number) }
		if end-first > int64(f.super.blockSize()) {
			if int64(len(buf)) < end-first {
				buf = make([]byte, end-first)
			}
			if err := f.disk.readAt(buf[:end-first], first); err == nil {
				read = func(number uint32) (inode, error) {
					at, _ := f.place(number)
					return inode{number, buf[at-first : at-first+size]}, nil
				}
			} else if !recoverable(err) {
				return err
			}
		}
		for ; more > 0; more-- {
			i, err := read(number(k))
			if err != nil && !recoverable(err) {
				return err
			}
			if err == nil {
				err = f.usable(i)
			}
			if err == nil {
				if err = f.marked(i.number); err != nil && !recoverable(err) {
					return err
				}
			}
			visit(k, i, err)
			k++
		}
	}
	return nil
}

func (f *FS) placeNamed(number uint32) (int64, reason) {
	if why := f.super.nameable(number); why != sound {
		return 0, why
	}
	return f.place(number)
}
