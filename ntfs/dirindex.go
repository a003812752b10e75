package ntfs

import (
	"errors"
	"fmt"
	"slices"
)

// Windows looks names up in a directory's index, a B-tree of its names. This
// file reads it as Windows does: from the root down, in the order of the names,
// and only the blocks that the tree leads to.

const (
	minIndexBlock = 512
	maxIndexBlock = 64 << 10

	// maxIndexBitmap is the size of the bitmap of the largest index that is
	// read, in bytes: 2 million blocks.
	maxIndexBitmap = 256 << 10

	// maxIndexAhead is the size of the largest index that is read in one piece,
	// in bytes: that of 100,000 long names. WinSxS has a third of that.
	maxIndexAhead = 32 << 20

	// maxIndexDepth bounds the levels of an index. Blocks of 4 KiB hold six
	// names at least, and so ten levels any number of files.
	maxIndexDepth = 24

	// maxCaseTwins bounds the names that differ only in case.
	maxCaseTwins = 64

	entryHasNode = 1
	entryIsLast  = 2
)

// folder is the index of a directory, opened.
//
// The root is resident:
//
//	 0  4  type of the attribute that is indexed
//	 8  4  size of an index block
//	16     header of a node
//
// libfsntfs, The index root attribute.
type folder struct {
	f      *FS
	dir    uint32
	root   []byte  // the header of its node and the data after it
	block  int64   // size of a block in bytes
	unit   int64   // bytes that a VCN counts: a cluster, or a sector of 512 bytes where that is larger than a block
	blocks *stream // nil where the root holds all
	bitmap []byte  // which blocks are in use
	whole  []byte  // the content of blocks, if it was read in one piece
}

// indexRoot checks the value of $INDEX_ROOT:$I30.
func indexRoot(value []byte) (node []byte, block int64, err error) {
	if len(value) < 32 {
		return nil, 0, corrupt("index root of %d bytes", len(value))
	}
	block = int64(le.Uint32(value[8:]))
	if le.Uint32(value) != typeFileName || !powerOfTwo(int(block), minIndexBlock, maxIndexBlock) {
		return nil, 0, corrupt("index of 0x%X in blocks of %d bytes", le.Uint32(value), block)
	}
	return value[16:], block, nil
}

// openFolder opens the index of a directory. It reads the directory's record,
// its extension records, and the index's bitmap where that is not resident.
func (f *FS) openFolder(dir uint32) (*folder, error) {
	ino, err := f.load(dir)
	if err != nil {
		return nil, err
	}
	root := ino.find(typeIndexRoot, "$I30")
	if len(root) != 1 || !root[0].resident {
		return nil, corrupt("no index root")
	}
	w := &folder{f: f, dir: dir, unit: f.disk.clusterSize}
	if w.root, w.block, err = indexRoot(root[0].value); err != nil {
		return nil, err
	}
	if w.unit > w.block {
		w.unit = 512
	}
	leaf, err := isLeaf(w.root)
	if err != nil || leaf {
		return w, err
	}
	if w.blocks, err = ino.need(f.disk, typeIndexAllocation, "$I30"); err != nil {
		return nil, err
	}
	b, err := ino.need(f.disk, typeBitmap, "$I30")
	if err != nil {
		return nil, err
	}
	w.bitmap, err = b.readAll(maxIndexBitmap)
	return w, err
}

// isLeaf reports whether no entry of a node has another below it.
func isLeaf(node []byte) (bool, error) {
	entries, err := nodeEntries(node)
	for err == nil {
		var e indexEntry
		if e, entries, err = nextIndexEntry(entries); err == nil && (e.hasNode || e.last) {
			return !e.hasNode, nil
		}
	}
	return false, err
}

// ahead reads all blocks in one piece where they are not too many.
func (w *folder) ahead() error {
	if w.blocks == nil || w.whole != nil || w.blocks.size > maxIndexAhead {
		return nil
	}
	whole, err := w.blocks.readAll(maxIndexAhead)
	if err == nil {
		w.whole = whole
		return nil
	}
	if recoverable(err) {
		return nil // block by block, then: some can be read
	}
	return err
}

// node reads the block at a VCN:
//
//	 0  4  "INDX"
//	 4  2  offset of the update sequence array, 6  2  its length in words
//	16  8  its VCN
//	24     header of a node
//
// libfsntfs, The index entry (INDX). buf is as large as a block.
func (w *folder) node(vcn int64, buf []byte) ([]byte, error) {
	if err := w.place(vcn); err != nil {
		return nil, err
	}
	if at := vcn * w.unit; at+w.block <= int64(len(w.whole)) {
		copy(buf, w.whole[at:])
	} else if err := w.blocks.readAt(buf, at); err != nil {
		return nil, fmt.Errorf("block at VCN %d: %w", vcn, err)
	}
	node, err := indexBlock(buf, vcn)
	if err != nil {
		return nil, fmt.Errorf("block at VCN %d: %w", vcn, err)
	}
	return node, nil
}

// place checks that a block is inside the index and in use.
func (w *folder) place(vcn int64) error {
	if w.blocks == nil || vcn < 0 || vcn > w.blocks.size/w.unit || vcn*w.unit%w.block != 0 {
		return corrupt("block at VCN %d", vcn)
	}
	if n := w.number(vcn); n/8 >= int64(len(w.bitmap)) || w.bitmap[n/8]>>(n%8)&1 == 0 {
		return corrupt("block at VCN %d is not in use", vcn)
	}
	return nil
}

func (w *folder) number(vcn int64) int64 { return vcn * w.unit / w.block }

// indexBlock checks a block, applies its fixups in place and returns its node.
func indexBlock(buf []byte, vcn int64) ([]byte, error) {
	if string(buf[:4]) != "INDX" {
		return nil, corrupt("no INDX signature")
	}
	if why := fixup(buf); why != readable {
		return nil, fmt.Errorf("it %w", why)
	}
	if int64(le.Uint64(buf[16:])) != vcn {
		return nil, corrupt("it is the block of VCN %d", le.Uint64(buf[16:]))
	}
	return buf[24:], nil
}

// nodeEntries checks the header of a node and returns its entries:
//
//	0  4  offset of the first entry, 4  4  where the entries end
func nodeEntries(node []byte) ([]byte, error) {
	first, end := le.Uint32(node), le.Uint32(node[4:])
	if first < 16 || first > end || uint64(end) > uint64(len(node)) {
		return nil, corrupt("index entries from %d to %d of %d bytes", first, end, len(node))
	}
	return node[first:end], nil
}

// indexEntry is an entry of a node:
//
//	 0  8  reference of the file
//	 8  2  length of the entry
//	10  2  length of the key, a $FILE_NAME
//	12  2  flags
//	16     key; the last 8 bytes are the VCN of the node below, if it has one
//
// The last entry of a node has no key.
type indexEntry struct {
	ref     reference
	key     fileName
	below   int64
	hasNode bool
	last    bool
}

// nextIndexEntry decodes the entry at the start of buf and returns the rest.
func nextIndexEntry(buf []byte) (e indexEntry, rest []byte, err error) {
	if len(buf) < 16 {
		return e, nil, errIndexEnd
	}
	length, key, flags := int(le.Uint16(buf[8:])), int(le.Uint16(buf[10:])), le.Uint16(buf[12:])
	e.hasNode, e.last = flags&entryHasNode != 0, flags&entryIsLast != 0
	need := 16
	if e.hasNode {
		need += 8
	}
	if !e.last {
		need += key
	}
	if length < need || length%8 != 0 || length > len(buf) {
		return e, nil, corrupt("index entry of %d bytes", length)
	}
	if e.last && length != len(buf) {
		return e, nil, corrupt("%d bytes follow the last entry of an index", len(buf)-length)
	}
	if e.hasNode {
		e.below = int64(le.Uint64(buf[length-8:]))
	}
	if !e.last {
		var why reason
		if e.key, why = parseFileName(buf[16 : 16+key]); why != readable {
			return e, nil, why
		}
		e.ref = reference(le.Uint64(buf))
	}
	return e, buf[length:], nil
}

var errIndexEnd = fmt.Errorf("%w: index entries without an end", ErrCorrupt)

// indexWalk visits every entry of an index in the order of the names.
type indexWalk struct {
	*folder
	visit  func(reference, fileName) error
	seen   []byte // a bit a block
	nodes  int64  // that were visited
	before []byte // name of the entry before
	began  bool
	bufs   [][]byte // a block for each level
}

// each visits every entry that the tree leads to. Without an error the tree is
// complete: every node that another one names was found once, and the names are
// in order. stray is the number of blocks in use outside of the tree.
func (w *folder) each(visit func(reference, fileName) error) (stray int64, err error) {
	own := *w // data that was read ahead is not kept
	if err := own.ahead(); err != nil {
		return 0, err
	}
	walk := indexWalk{folder: &own, visit: visit, seen: make([]byte, len(w.bitmap))}
	if err := walk.entries(w.root, 0); err != nil {
		return 0, err
	}
	return ones(w.bitmap) - walk.nodes, nil
}

func (w *indexWalk) entries(node []byte, depth int) error {
	entries, err := nodeEntries(node)
	if err != nil {
		return err
	}
	for {
		var e indexEntry
		if e, entries, err = nextIndexEntry(entries); err != nil {
			return err
		}
		if e.hasNode {
			if err := w.below(e.below, depth+1); err != nil {
				return err
			}
		}
		if e.last {
			return nil
		}
		if w.began && !w.f.inOrder(w.before, e.key.name) {
			return corrupt("its names are not in order")
		}
		w.before, w.began = append(w.before[:0], e.key.name...), true
		if e.ref.record() == uint64(w.dir) { // the root lists itself
			continue
		}
		if err := w.visit(e.ref, e.key); err != nil {
			return err
		}
	}
}

func (w *indexWalk) below(vcn int64, depth int) error {
	if depth > maxIndexDepth {
		return corrupt("index of more than %d levels", maxIndexDepth)
	}
	if err := w.place(vcn); err != nil {
		return err
	}
	number := w.number(vcn)
	if w.seen[number/8]>>(number%8)&1 != 0 {
		return corrupt("block at VCN %d hangs in the tree twice", vcn)
	}
	w.seen[number/8] |= 1 << (number % 8)
	w.nodes++
	if len(w.bufs) < depth {
		w.bufs = append(w.bufs, make([]byte, w.block))
	}
	node, err := w.node(vcn, w.bufs[depth-1])
	if err != nil {
		return err
	}
	if err := w.entries(node, depth); err != nil {
		return fmt.Errorf("block at VCN %d: %w", vcn, err)
	}
	return nil
}

// inOrder reports whether one name may come right before another: by the upper
// case of their units, and where that is the same by the units themselves.
// libfsntfs, Index; collation type filename.
func (f *FS) inOrder(a, b []byte) bool {
	if f.orderUnknown {
		return true
	}
	c := f.up.compare(a, b)
	return c < 0 || c == 0 && compareUnits(a, b) < 0
}

// indexMatch is an entry of an index with a name that was looked for.
type indexMatch struct {
	ref  reference
	name string
	dir  bool
	dos  bool
	size int64 // as the index has it, which may be out of date
}

func newMatch(ref reference, fn fileName) indexMatch {
	return indexMatch{ref, decodeName(fn.name), fn.directory, fn.namespace == namespaceDOS, fn.size}
}

// indexSearch looks for one name.
type indexSearch struct {
	*folder
	folded []uint16
	found  []indexMatch
	nodes  int
}

// find returns the entries with the given name, compared without case. It reads
// only the blocks on the path to where the name must be. Without an error there
// are no others: the nodes on the path are intact, and their names are in order
// and between those that lead to them.
func (w *folder) find(folded []uint16) ([]indexMatch, error) {
	s := indexSearch{folder: w, folded: folded}
	_, err := s.entries(w.root, nil, nil, 0)
	return s.found, err
}

var errTwins = fmt.Errorf("%w: more than %d names that differ only in case", ErrUnsupported, maxCaseTwins)

// entries searches a node whose names must be between low and high; nil means
// no bound. past reports that names after the wanted one were found.
func (s *indexSearch) entries(node, low, high []byte, depth int) (past bool, err error) {
	if s.nodes++; depth > maxIndexDepth || s.nodes > maxIndexDepth+2*maxCaseTwins {
		return false, corrupt("index of more than %d levels", maxIndexDepth)
	}
	entries, err := nodeEntries(node)
	if err != nil {
		return false, err
	}
	begin, before := entries, low
	for { // all of the node is looked at: whoever looks names up by halving it sees the same
		var e indexEntry
		if e, entries, err = nextIndexEntry(entries); err != nil {
			return false, err
		}
		if e.last {
			if before != nil && high != nil && !s.f.inOrder(before, high) {
				return false, errOrder
			}
			break
		}
		if before != nil && !s.f.inOrder(before, e.key.name) {
			return false, errOrder
		}
		before = e.key.name
	}
	before = low
	for entries = begin; ; {
		var e indexEntry
		if e, entries, err = nextIndexEntry(entries); err != nil {
			return false, err
		}
		order := 1
		next := high
		if !e.last {
			order, next = s.f.up.compareFolded(e.key.name, s.folded), e.key.name
		}
		if order >= 0 && e.hasNode {
			buf := make([]byte, s.block)
			below, err := s.cachedNode(e.below, buf)
			if err != nil {
				return false, err
			}
			if past, err := s.entries(below, before, next, depth+1); past || err != nil {
				return past, err
			}
		}
		if order > 0 {
			return !e.last, nil
		}
		if order == 0 && e.ref.record() != uint64(s.dir) {
			if len(s.found) == maxCaseTwins {
				return false, errTwins
			}
			s.found = append(s.found, newMatch(e.ref, e.key))
		}
		before = e.key.name
	}
}

var errOrder = fmt.Errorf("%w: its names are not in order", ErrCorrupt)

// cachedNode is node with the cache of blocks that look-ups read.
func (s *indexSearch) cachedNode(vcn int64, buf []byte) ([]byte, error) {
	key := blockKey{s.dir, vcn}
	if node, ok := s.f.nodes.Get(key); ok {
		return node, nil
	}
	node, err := s.node(vcn, buf)
	if err == nil {
		s.f.nodes.Put(key, node, int64(len(node)))
	}
	return node, err
}

type blockKey struct {
	dir uint32
	vcn int64
}

// search looks a name up in the index of a directory. The directory's index
// is kept open, and so are blocks of it, for the next look-ups.
func (f *FS) search(dir uint32, folded []uint16) ([]indexMatch, error) {
	w, err := f.folder(dir)
	if err != nil {
		return nil, err
	}
	if slices.Contains(folded, replacement) { // it may stand for half a surrogate pair
		return w.findShown(folded)
	}
	return w.find(folded)
}

// folder is openFolder with a cache. The result is shared.
func (f *FS) folder(dir uint32) (*folder, error) {
	if w, ok := f.folders.Get(dir); ok {
		return w, nil
	}
	w, err := f.openFolder(dir)
	if err == nil {
		f.folders.Put(dir, w, int64(len(w.root)+len(w.bitmap))+f.folderCost(w))
	}
	return w, err
}

// folderCost estimates the memory to keep an index open, without the index's own bytes.
func (f *FS) folderCost(w *folder) int64 {
	const object = 512
	cost := object + int64(f.boot.recordSize)
	if w.blocks != nil {
		cost += 24 * int64(len(w.blocks.runs))
	}
	return cost
}

const replacement = 0xFFFD

// findShown is find for a name as it is shown, where it need not be that of the
// index, nor have its place.
func (w *folder) findShown(folded []uint16) (found []indexMatch, err error) {
	_, err = w.each(func(ref reference, fn fileName) error {
		if name := decodeName(fn.name); w.f.up.equal([]byte(name), folded) {
			if len(found) == maxCaseTwins {
				return errTwins
			}
			found = append(found, newMatch(ref, fn))
		}
		return nil
	})
	return found, err
}

// indexError says whose index an error is about. That of the reader passes
// through.
func indexError(dir uint32, err error) error {
	if errors.Is(err, ErrInDoubt) || !recoverable(err) {
		return err
	}
	return fmt.Errorf("index of directory %d: %w", dir, err)
}
