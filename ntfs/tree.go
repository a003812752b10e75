package ntfs

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
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
	Reparse    int64 // reparse points, the start too; their targets are not counted
	Cloud      int64 // files that a cloud file provider keeps elsewhere, completely or in part
	Away       int64 // part of Size that is not on the volume
	// Damaged counts entries whose record cannot be read, and directories
	// whose index cannot. If it is not 0, the other figures are lower bounds.
	Damaged int64
	// Doubtful counts names in doubt (ErrInDoubt), and everything below such a
	// directory. The other figures leave them out; with all of them Size would be
	// DoubtfulSize larger. An index entry that has no record counts with the size
	// in the index.
	Doubtful     int64
	DoubtfulSize int64
}

// Tree adds up everything below a directory, or a single file. It uses the
// index in memory and reads nothing, except the directories' own indexes where
// records are damaged. So it finds doubtful names only in directories that are
// small or were read before, and assumes that all other names are present: Size
// may be too large. CheckedTree is exact.
func (f *FS) Tree(name string) (Totals, error) { return f.totals(name, 0) }

// CheckedTree is Tree with the index of every directory of the subtree read: one
// read or more for each that is not small.
func (f *FS) CheckedTree(name string) (Totals, error) { return f.totals(name, math.MaxInt64) }

func (f *FS) totals(name string, most int64) (Totals, error) {
	record, err := f.resolve(name)
	if err == nil {
		var t Totals
		if t, err = f.tree(record, most); err == nil {
			return t, nil
		}
	}
	return Totals{}, &fs.PathError{Op: "tree", Path: name, Err: err}
}

// tree goes down with a stack of its own, and meets every directory once,
// whatever a crafted volume makes its own ancestor. Indexes of more than most
// bytes are read only where records are damaged.
func (f *FS) tree(start uint32, most int64) (Totals, error) {
	if f.damage.Count > 0 {
		most = math.MaxInt64
	}
	x := &f.index
	var t Totals
	seen := make(marks)
	stack, doubtful := []uint32{start}, []uint32{}
	seen.add(start)
	f.count(&t, start)
	if x.node(start).flags&nodeDir != 0 {
		t.Dirs--
	}
	for len(stack) > 0 {
		dir := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d, err := f.doubts(dir, most)
		if err != nil {
			return Totals{}, err
		}
		for _, id := range x.children(dir) {
			n := x.name(id)
			if f.hidden(n) {
				continue
			}
			if d != nil && d.isTorn(id) {
				doubtful = append(doubtful, n.record)
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
		t.lost(d, seen)
	}
	f.addDoubtful(&t, doubtful, seen)
	return t, nil
}

// lost adds the names that only a directory's index has.
func (t *Totals) lost(d *doubts, seen marks) {
	if d == nil {
		return
	}
	if d.err != nil {
		t.Damaged++
	}
	for _, l := range d.lost {
		switch {
		case errors.Is(l.err, ErrInDoubt):
			if t.Doubtful++; !l.dir {
				t.DoubtfulSize = saturate(t.DoubtfulSize, max(0, l.size))
			}
		case l.record == 0 || seen.add(l.record): // its names for DOS and Windows are one
			t.Damaged++
		}
	}
}

// addDoubtful adds records with no name other than doubtful ones, and
// everything below them.
func (f *FS) addDoubtful(t *Totals, records []uint32, seen marks) {
	x := &f.index
	for len(records) > 0 {
		record := records[len(records)-1]
		records = records[:len(records)-1]
		if !seen.add(record) {
			continue
		}
		t.Doubtful++
		node := x.node(record)
		if node.flags&nodeDir == 0 {
			if node.flags&nodePartial == 0 {
				t.DoubtfulSize = saturate(t.DoubtfulSize, node.size)
			}
			continue
		}
		for _, id := range x.children(record) {
			if n := x.name(id); !f.hidden(n) {
				records = append(records, n.record)
			}
		}
	}
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
			if away := n.size - n.allocated; isCloud(n.tag) && away > 0 {
				t.Cloud++
				t.Away = saturate(t.Away, away)
			}
		}
	}
	t.StreamSize = saturate(t.StreamSize, f.index.streamSize(record))
}

// isCloud says whether a reparse tag is one of IO_REPARSE_TAG_CLOUD to
// IO_REPARSE_TAG_CLOUD_F, which providers of cloud files use ([MS-FSCC] 2.1.2.1).
func isCloud(tag uint32) bool { return tag&^0xF000 == 0x9000001A }

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
