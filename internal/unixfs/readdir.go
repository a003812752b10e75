package unixfs

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

// ReadDir lists a directory, sorted by name. The entries' types and infos come
// from the inodes, not from the directory. If an inode cannot be read, Info
// returns the error. If part of the directory cannot be read, the error comes
// with the entries that can.
func (f *FS[N, I]) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := f.Resolve(name, true)
	var list []fs.DirEntry
	if err == nil {
		list, err = f.readDir(at)
	}
	if err != nil {
		return list, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

func (f *FS[N, I]) readDir(dir Located[N, I]) ([]fs.DirEntry, error) {
	if !isDir[N](dir.Inode) {
		return nil, fmt.Errorf("%w: not a directory", fs.ErrInvalid)
	}
	if err := f.store.Listable(dir.Inode); err != nil {
		return nil, err
	}
	l, err := f.list(dir)
	if err != nil {
		return nil, err
	}
	entries := make([]dirEntry, len(l.Entries))
	order := make([]int, len(l.Entries))
	for i, e := range l.Entries {
		entries[i] = dirEntry{name: bytename.Encode(l.Name(e)), mode: KindMode(e.Kind)}
		order[i] = i
	}
	// In the order of the inodes, so that neighbors are read at once.
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(l.Entries[a].Inode, l.Entries[b].Inode) })
	number := func(k int) N { return l.Entries[order[k]].Inode }
	err = f.eachInode(len(order), number, func(k int, i I, err error) {
		e := &entries[order[k]]
		if err == nil {
			err = f.store.Fits(l.Entries[order[k]], i)
		}
		if err != nil {
			e.lost = err
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
func (f *FS[N, I]) eachInode(n int, number func(k int) N, visit func(k int, i I, err error)) error {
	var buf []byte
	var none I
	size := f.InodeSize
	for k := 0; k < n; {
		first, err := f.store.Place(number(k))
		if err != nil {
			visit(k, none, err)
			k++
			continue
		}
		// How many of the next ones can be read along.
		end, more := first+size, 1
		for ; k+more < n; more++ {
			at, err := f.store.Place(number(k + more))
			if err != nil || at < first || at-end > inodeGap || at+size-first > inodeRead {
				break
			}
			end = at + size
		}
		together := false
		if end-first > f.Window {
			if int64(len(buf)) < end-first {
				buf = make([]byte, end-first)
			}
			// If the bytes between inodes cannot be read, read the inodes one by one.
			err := f.store.ReadAt(buf[:end-first], first)
			if err != nil && !Recoverable(err) {
				return err
			}
			together = err == nil
		}
		for ; more > 0; more-- {
			i, err := none, error(nil)
			if together {
				at, _ := f.store.Place(number(k))
				i = f.store.Decode(number(k), buf[at-first:at-first+size])
			} else {
				i, err = f.store.Read(number(k))
			}
			if err == nil {
				err = f.store.Usable(i)
			}
			if err != nil && !Recoverable(err) {
				return err
			}
			visit(k, i, err)
			k++
		}
	}
	return nil
}
