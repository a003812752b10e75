package ntfs

import (
	"bytes"
	"slices"
)

// testEntry is a name in the index of a directory that a test makes.
type testEntry struct {
	ref       reference
	units     []byte // UTF-16LE
	parent    reference
	namespace byte
	dir       bool
	size      int64
}

// bytes is the entry as it lies in a node; below is the VCN of the node under
// it, -1 for none. An entry without a name is the last of its node.
func (e *testEntry) bytes(below int64) []byte {
	key := 0
	if e != nil {
		key = 66 + len(e.units)
	}
	length := (16 + key + 7) &^ 7
	flags := uint16(0)
	if below >= 0 {
		length += 8
		flags |= entryHasNode
	}
	b := make([]byte, length)
	if e == nil {
		flags |= entryIsLast
	} else {
		le.PutUint64(b, uint64(e.ref))
		le.PutUint16(b[10:], uint16(key))
		v := b[16:]
		le.PutUint64(v, uint64(e.parent))
		le.PutUint64(v[48:], uint64(e.size))
		if e.dir {
			le.PutUint32(v[56:], 0x10000000)
		}
		v[64], v[65] = byte(len(e.units)/2), e.namespace
		copy(v[66:], e.units)
	}
	le.PutUint16(b[8:], uint16(length))
	le.PutUint16(b[12:], flags)
	if below >= 0 {
		le.PutUint64(b[length-8:], uint64(below))
	}
	return b
}

// testNode is a node's header and its entries; the entries begin at first.
func testNode(entries []byte, first int, hasNodes bool) []byte {
	b := make([]byte, first, first+len(entries))
	le.PutUint32(b, uint32(first))
	le.PutUint32(b[4:], uint32(first+len(entries)))
	le.PutUint32(b[8:], uint32(first+len(entries)))
	if hasNodes {
		b[12] = 1
	}
	return append(b, entries...)
}

const testBlock = 4096 // the size of a block, in bytes

// testIndex makes the index of a directory: the value of $INDEX_ROOT, and its
// blocks, of which each is so many VCNs, where the root has no room for all.
func testIndex(entries []testEntry, room int, vcns int64) (root []byte, blocks [][]byte) {
	sortEntries(entries)
	head := make([]byte, 16)
	le.PutUint32(head, typeFileName)
	le.PutUint32(head[4:], 1)
	le.PutUint32(head[8:], testBlock)
	head[12] = byte(vcns)
	var all []byte
	for i := range entries {
		all = append(all, entries[i].bytes(-1)...)
	}
	all = append(all, (*testEntry)(nil).bytes(-1)...)
	if len(all) <= room {
		return append(head, testNode(all, 16, false)...), nil
	}
	type item struct {
		entry *testEntry
		below int64 // left of the entry
	}
	var level []item
	for i := range entries {
		level = append(level, item{&entries[i], -1})
	}
	last := int64(-1) // right of the last entry
	for {
		var next []item
		var node []byte
		end := func(below int64) int64 {
			node = append(node, (*testEntry)(nil).bytes(below)...)
			vcn := int64(len(blocks)) * vcns
			blocks = append(blocks, testIndexBlock(node, vcn, below >= 0))
			node = nil
			return vcn
		}
		for _, it := range level {
			b := it.entry.bytes(it.below)
			if len(node)+len(b) > testBlock-64-24 {
				next = append(next, item{it.entry, end(it.below)})
				continue
			}
			node = append(node, b...)
		}
		last = end(last)
		if level = next; len(level) == 0 {
			return append(head, testNode((*testEntry)(nil).bytes(last), 16, true)...), blocks
		}
	}
}

func testIndexBlock(entries []byte, vcn int64, hasNodes bool) []byte {
	b := make([]byte, testBlock)
	copy(b, "INDX")
	le.PutUint16(b[4:], 40)
	le.PutUint16(b[6:], testBlock/stride+1)
	le.PutUint64(b[16:], uint64(vcn))
	copy(b[24:], testNode(entries, 40, hasNodes)[:40]) // the rest of the header is the update sequence array
	copy(b[64:], entries)
	le.PutUint32(b[32:], testBlock-24)
	le.PutUint16(b[40:], 0x0333)
	protect(b)
	return b
}

var testUpcase = defaultUpcase()

// sortEntries orders the entries as an index has them.
func sortEntries(entries []testEntry) {
	slices.SortStableFunc(entries, func(a, b testEntry) int {
		if c := testUpcase.compare(a.units, b.units); c != 0 {
			return c
		}
		return compareUnits(a.units, b.units)
	})
}

// index returns the names in a directory as its index has them. Of several that
// are the same it has the first.
func (b *builder) index() map[int][]testEntry {
	list := map[int][]testEntry{}
	for record, f := range b.files {
		if record < firstFile {
			continue
		}
		ref := makeReference(uint32(record), 1)
		add := func(units []byte, parent int, sequence uint16, dos bool) {
			e := testEntry{ref: ref, units: units, parent: makeReference(uint32(parent), sequence), namespace: 1, dir: f.dir,
				size: int64(len(f.data))}
			if dos {
				e.namespace = namespaceDOS
			}
			if sequence == 1 && parent != record {
				list[parent] = append(list[parent], e)
			}
		}
		add(f.nameUnits(), f.parent, max(f.parentSequence, 1), f.dos)
		for _, l := range f.more {
			add(utf16Bytes(l.name), l.parent, 1, l.dos)
		}
	}
	for dir, entries := range list {
		sortEntries(entries)
		list[dir] = slices.CompactFunc(entries, func(a, b testEntry) bool { return bytes.Equal(a.units, b.units) })
	}
	return list
}

// indexNames counts the names in the index of a directory.
func indexNames(f *FS, dir uint32) (n int, err error) {
	w, err := f.openFolder(dir)
	if err != nil {
		return 0, err
	}
	_, err = w.each(func(reference, fileName) error { n++; return nil })
	return n, err
}
