package ntfs

import (
	"fmt"
	"io/fs"
)

// A directory's own index, a B-tree of the names in it, is what Windows looks
// names up in. Here they come from the records; the index is the second witness
// for what the records say is not there.

const (
	minIndexBlock = 512
	maxIndexBlock = 64 << 10

	// maxIndexBitmap is the size of the bitmap of the largest index that is
	// read, in bytes: 2 million blocks.
	maxIndexBitmap = 256 << 10

	// maxIndexAhead is the size of the largest index that is read in one piece,
	// in bytes: that of 100,000 long names. WinSxS has a third of that.
	maxIndexAhead = 32 << 20

	entryHasNode = 1
	entryIsLast  = 2
)

// lostEntry is a name that the records do not have.
type lostEntry struct {
	name   string
	record uint32
	mode   fs.FileMode
	dos    bool
	err    error
}

// lost returns the names in a directory that are known from its index alone:
// their records were lost, or say something else. With the error the list may
// lack some that a damaged record had.
func (f *FS) lost(dir uint32) ([]lostEntry, error) {
	var lost []lostEntry
	var text []byte
	err := f.walkIndex(dir, func(ref reference, fn fileName) {
		hash, whole := f.up.hash(fn.name), false
		if text, whole = appendName(text[:0], fn.name); !whole { // it is looked up as it is shown
			hash, _ = f.up.foldName(string(text))
		}
		there := ref.record() < uint64(f.records)
		if there && f.has(dir, uint32(ref.record()), hash, text) {
			return
		}
		l := lostEntry{name: string(text), dos: fn.namespace == namespaceDOS}
		if fn.directory {
			l.mode = fs.ModeDir
		}
		if !there {
			l.err = corrupt("record %d of %d", ref.record(), f.records)
			lost = append(lost, l)
			return
		}
		l.record = uint32(ref.record())
		switch n := f.index.node(l.record); {
		case n.flags&(nodeBad|nodePartial) != 0:
			l.err = damaged(l.record, n.why)
		case n.flags&nodeBase == 0:
			l.err = corrupt("record %d, which the index of directory %d names, is free", l.record, dir)
		default:
			l.err = corrupt("record %d does not have the name that the index of directory %d has", l.record, dir)
		}
		lost = append(lost, l)
	})
	if err == nil || f.damage.Count == 0 && recoverable(err) {
		return lost, nil // all records were read, and have all the names
	}
	return lost, fmt.Errorf("index of directory %d: %w", dir, err)
}

// lostOnce is lost for look-ups, many of which may ask for the same directory:
// its answer is kept.
func (f *FS) lostOnce(dir uint32) ([]lostEntry, error) {
	type answer struct {
		lost []lostEntry
		err  error
	}
	if a, ok := f.asked.Load(dir); ok {
		return a.(answer).lost, a.(answer).err
	}
	lost, err := f.lost(dir)
	if len(lost) <= maxKept && (err == nil || recoverable(err)) {
		f.asked.Store(dir, answer{lost, err})
	}
	return lost, err
}

// maxKept is how many names of one directory are kept. There are few damaged
// records, or the volume is not worth much memory.
const maxKept = 100

// has reports whether the record has the name in the directory.
func (f *FS) has(dir, record uint32, hash uint16, text []byte) bool {
	for _, id := range f.candidates(dir, hash) {
		if n := f.index.name(id); n.record == record && string(f.index.text(n)) == string(text) {
			return true
		}
	}
	return false
}

// walkIndex visits every entry of a directory's index. Without an error all
// of it was there: every node that another one names, once, and no more than
// its bitmap has.
//
// The root is resident:
//
//	 0  4  type of the attribute that is indexed
//	 8  4  size of an index block
//	16     header of a node
//
// libfsntfs, The index root attribute.
func (f *FS) walkIndex(dir uint32, visit func(reference, fileName)) error {
	ino, err := f.load(dir)
	if err != nil {
		return err
	}
	root := ino.find(typeIndexRoot, "$I30")
	if len(root) != 1 || !root[0].resident || len(root[0].value) < 32 {
		return corrupt("no index root")
	}
	value := root[0].value
	w := indexWalk{dir: dir, visit: visit, block: int64(le.Uint32(value[8:]))}
	if le.Uint32(value) != typeFileName || !powerOfTwo(int(w.block), minIndexBlock, maxIndexBlock) {
		return corrupt("index of 0x%X in blocks of %d bytes", le.Uint32(value), w.block)
	}
	if err := w.node(value[16:]); err != nil {
		return err
	}
	if len(w.below) == 0 {
		return nil
	}
	return w.blocks(f, ino)
}

type indexWalk struct {
	dir   uint32
	visit func(reference, fileName)
	block int64   // size in bytes
	below []int64 // VCNs of blocks yet to be read
}

// blocks reads what lies below the root. A VCN counts clusters, or sectors of
// 512 bytes where a cluster is larger than a block.
func (w *indexWalk) blocks(f *FS, ino *inode) error {
	s, err := ino.need(f.disk, typeIndexAllocation, "$I30")
	if err != nil {
		return err
	}
	b, err := ino.need(f.disk, typeBitmap, "$I30")
	if err != nil {
		return err
	}
	bitmap, err := b.readAll(maxIndexBitmap)
	if err != nil {
		return err
	}
	unit := f.disk.clusterSize
	if unit > w.block {
		unit = 512
	}
	var whole []byte
	if s.size <= maxIndexAhead {
		if whole, err = s.readAll(maxIndexAhead); err != nil {
			return err
		}
	}
	seen := make(map[int64]bool)
	buf := make([]byte, w.block)
	for len(w.below) > 0 {
		vcn := w.below[len(w.below)-1]
		w.below = w.below[:len(w.below)-1]
		if vcn < 0 || vcn > s.size/unit || vcn*unit%w.block != 0 {
			return corrupt("block at VCN %d", vcn)
		}
		number := vcn * unit / w.block
		if seen[number] {
			return corrupt("block at VCN %d hangs in the tree twice", vcn)
		}
		seen[number] = true
		if number/8 >= int64(len(bitmap)) || bitmap[number/8]>>(number%8)&1 == 0 {
			return corrupt("block at VCN %d is not in use", vcn)
		}
		if at := vcn * unit; at+w.block <= int64(len(whole)) {
			buf = whole[at : at+w.block]
		} else if err := s.readAt(buf, at); err != nil {
			return err
		}
		if err := w.decode(buf, vcn); err != nil {
			return fmt.Errorf("block at VCN %d: %w", vcn, err)
		}
	}
	if used := ones(bitmap); used != int64(len(seen)) {
		return corrupt("%d blocks in use, %d in the tree", used, len(seen))
	}
	return nil
}

// decode decodes an index block:
//
//	 0  4  "INDX"
//	 4  2  offset of the update sequence array, 6  2  its length in words
//	16  8  its VCN
//	24     header of a node
//
// libfsntfs, The index entry (INDX).
func (w *indexWalk) decode(buf []byte, vcn int64) error {
	if string(buf[:4]) != "INDX" {
		return corrupt("no INDX signature")
	}
	if why := fixup(buf); why != readable {
		return fmt.Errorf("it %w", why)
	}
	if int64(le.Uint64(buf[16:])) != vcn {
		return corrupt("it is the block of VCN %d", le.Uint64(buf[16:]))
	}
	return w.node(buf[24:])
}

// node decodes the header of a node,
//
//	0  4  offset of the first entry, 4  4  where the entries end
//
// and its entries:
//
//	 0  8  reference of the file
//	 8  2  length of the entry
//	10  2  length of the key, a $FILE_NAME
//	12  2  flags
//	16     key; the last 8 bytes are the VCN of the node below, if it has one
func (w *indexWalk) node(buf []byte) error {
	first, end := le.Uint32(buf), le.Uint32(buf[4:])
	if first < 16 || first > end || uint64(end) > uint64(len(buf)) {
		return corrupt("index entries from %d to %d of %d bytes", first, end, len(buf))
	}
	for buf = buf[first:end]; len(buf) >= 16; {
		length, key, flags := int(le.Uint16(buf[8:])), int(le.Uint16(buf[10:])), le.Uint16(buf[12:])
		below := 0
		if flags&entryHasNode != 0 {
			below = 8
		}
		if flags&entryIsLast != 0 {
			key = 0
		}
		if length < 16+key+below || length%8 != 0 || length > len(buf) {
			return corrupt("index entry of %d bytes", length)
		}
		if below > 0 {
			w.below = append(w.below, int64(le.Uint64(buf[length-8:])))
		}
		if flags&entryIsLast != 0 {
			return nil
		}
		fn, why := parseFileName(buf[16 : 16+key])
		if why != readable {
			return why
		}
		ref := reference(le.Uint64(buf))
		if ref.record() != uint64(w.dir) { // the root lists itself
			w.visit(ref, fn)
		}
		buf = buf[length:]
	}
	return corrupt("index entries without an end")
}
