package ntfs

import (
	"cmp"
	"io/fs"
	"sort"
)

// Totals of a subtree; sizes in bytes.
type Totals struct {
	Files      int64 // other than directories
	Dirs       int64 // below the start
	Size       int64 // of unnamed $DATA
	Allocated  int64 // of unnamed $DATA
	StreamSize int64 // of named $DATA, of directories too; $BadClus in the root has one as large as the volume
	Links      int64 // hard links met again: a file counts once
	Reparse    int64 // reparse points, the start too; what they lead to is not counted
	// Damaged counts entries whose record cannot be read, and directories
	// whose index could not be asked for such. If it is not 0, the other
	// figures are lower bounds.
	Damaged int64
}

// Tree adds up what lies below a directory, or a single file. It takes the
// index in memory and reads nothing, but for the directories' own indexes
// where some records are damaged.
func (f *FS) Tree(name string) (Totals, error) {
	record, err := f.resolve(name)
	if err == nil {
		var t Totals
		if t, err = f.tree(record); err == nil {
			return t, nil
		}
	}
	return Totals{}, &fs.PathError{Op: "tree", Path: name, Err: err}
}

// tree goes down with a stack of its own, and meets every directory once,
// whatever a crafted volume makes its own ancestor.
func (f *FS) tree(start uint32) (Totals, error) {
	x := &f.index
	var t Totals
	seen := make(marks)
	stack := []uint32{start}
	seen.add(start)
	f.count(&t, start)
	if x.node(start).flags&nodeDir != 0 {
		t.Dirs--
	}
	for len(stack) > 0 {
		dir := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, id := range x.children(dir) {
			n := x.name(id)
			if f.hidden(n) {
				continue
			}
			node := x.node(n.record)
			if (node.links > 1 || node.flags&nodeDir != 0) && !seen.add(n.record) {
				t.Links++
				continue
			}
			f.count(&t, n.record)
			if node.flags&nodeDir != 0 {
				stack = append(stack, n.record)
			}
		}
		if f.damage.Count == 0 {
			continue
		}
		lost, err := f.lost(dir)
		if err != nil {
			if !recoverable(err) {
				return Totals{}, err
			}
			t.Damaged++
		}
		for _, l := range lost {
			if l.record == 0 || seen.add(l.record) { // its names for DOS and Windows are one
				t.Damaged++
			}
		}
	}
	return t, nil
}

// count adds one file or directory.
func (f *FS) count(t *Totals, record uint32) {
	n := f.index.node(record)
	if n.tag != 0 {
		t.Reparse++
	}
	if n.flags&nodePartial != 0 {
		t.Damaged++
	}
	if n.flags&nodeDir != 0 {
		t.Dirs++
	} else {
		t.Files++
		if n.flags&nodePartial == 0 {
			t.Size = saturate(t.Size, n.size)
			t.Allocated = saturate(t.Allocated, n.allocated)
		}
	}
	t.StreamSize = saturate(t.StreamSize, f.index.streamSize(record))
}

func (x *index) streamSize(record uint32) (size int64) {
	i := sort.Search(len(x.streams), func(i int) bool { return cmp.Compare(x.streams[i].record, record) >= 0 })
	for ; i < len(x.streams) && x.streams[i].record == record; i++ {
		size = saturate(size, x.streams[i].size)
	}
	return size
}

// marks is a set of records that takes memory only around those in it.
type marks map[uint32]*[64]uint64

// add reports whether the record was not in the set before.
func (m marks) add(record uint32) bool {
	words := m[record>>12]
	if words == nil {
		words = new([64]uint64)
		m[record>>12] = words
	}
	word, bit := &words[record>>6&63], uint64(1)<<(record&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
