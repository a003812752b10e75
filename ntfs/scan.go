package ntfs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// scan is the pass over $MFT: readers read it block by block, and scanners add
// the records to the index, so that some read while others parse.
type scan struct {
	f      *FS
	bitmap []byte // of $MFT; nil if it cannot be read
	blocks int64
	next   atomic.Int64
	done   atomic.Int64 // records

	progress func(done, total int64) // may be nil
	failed   atomic.Bool

	scanners chan *scanner // that have nothing to do
}

// found holds work for the end of the pass, because it needs records that may
// come later.
type found struct {
	inUse      int64
	unsayable  int64 // names that no path can hold
	halves     int64 // names with half a surrogate pair
	streams    []streamTotal
	parts      []part
	extensions []extension
	names      []extensionName
	lists      []pendingList
	listBytes  int64    // that the lists keep of their records
	reparse    []uint32 // records whose reparse data is not resident
	freed      []uint32 // records that are free, but in use by the bitmap
	bad        int64    // records that cannot be read
}

// part says that a base record has an extension record.
type part struct {
	base, extension uint32
	sequence        uint16 // of the extension
}

// extension is the data in an extension record about its base.
type extension struct {
	record  uint32
	base    uint32
	node    node
	data    bool // it holds the sizes of the unnamed $DATA
	streams int64
	entries int64 // bytes that a list of its attributes has
}

// extensionName is a name in an extension record.
type extensionName struct {
	extension uint32
	name      name
}

func (f *FS) scan(readers int, progress func(done, total int64)) error {
	bitmap, err := f.mftBitmap()
	if err != nil {
		return err
	}
	blocks := (int64(f.records) + chunkRecords - 1) / chunkRecords
	if err := f.index.grow(8 * blocks); err != nil {
		return err
	}
	f.index.chunks = make([]*chunk, blocks)
	s := &scan{f: f, bitmap: bitmap, blocks: blocks, progress: progress}
	buffer := int64(chunkRecords * f.boot.recordSize)
	if readers, err = f.index.lend(int(min(int64(readers), max(blocks, 1))), buffer); err != nil {
		return err
	}
	defer func() { f.index.giveBack(int64(readers) * buffer) }()
	s.scanners = make(chan *scanner, min(readers, max(2, runtime.GOMAXPROCS(0))))
	for range cap(s.scanners) {
		s.scanners <- &scanner{scan: s}
	}
	errs := make([]error, readers)
	var done parallel.Group
	for i := range readers {
		done.Go(func() {
			if errs[i] = s.read(); errs[i] != nil {
				s.failed.Store(true)
			}
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("$MFT: %w", err)
	}
	var all found
	for range cap(s.scanners) {
		w := <-s.scanners
		w.flush()
		all.add(&w.found)
	}
	slices.Sort(all.freed)
	f.freed = all.freed
	f.cut, f.damage.Count = s.beyond()
	return f.merge(&all, readers)
}

func (all *found) add(more *found) {
	all.inUse += more.inUse
	all.unsayable += more.unsayable
	all.halves += more.halves
	all.streams = append(all.streams, more.streams...)
	all.parts = append(all.parts, more.parts...)
	all.extensions = append(all.extensions, more.extensions...)
	all.names = append(all.names, more.names...)
	all.lists = append(all.lists, more.lists...)
	all.listBytes += more.listBytes
	all.reparse = append(all.reparse, more.reparse...)
	all.freed = append(all.freed, more.freed...)
	all.bad += more.bad
}

// firstUser is the first record that is not kept for the filesystem itself.
// Those below are in use by the bitmap before anything is in them.
const firstUser = 24

// maxMFTBitmap is the size of the largest bitmap of $MFT that is held in
// memory, in bytes; more records than it stands for do not fit the index.
const maxMFTBitmap = 8 << 20

// mftBitmap reads which records are in use. It is needed only to distinguish
// unused records from lost ones, so the pass continues without it.
func (f *FS) mftBitmap() ([]byte, error) {
	bitmap, err := func() ([]byte, error) {
		ino, err := f.load(recordMFT)
		if err != nil {
			return nil, err
		}
		s, err := ino.need(f.disk, typeBitmap, "")
		if err != nil {
			return nil, err
		}
		return s.readAll(maxMFTBitmap)
	}()
	if err != nil {
		if !recoverable(err) {
			return nil, fmt.Errorf("bitmap of $MFT: %w", err)
		}
		f.note("the bitmap of $MFT cannot be read (%v), so every zero record counts as damaged", err)
	}
	return bitmap, nil
}

func (s *scan) unused(record uint32) bool { return s.bitmap != nil && !s.used(record) }

// used reports whether the bitmap says that the record is in use.
func (s *scan) used(record uint32) bool {
	return int(record/8) < len(s.bitmap) && s.bitmap[record/8]>>(record%8)&1 != 0
}

// beyond finds the records in use after the end of a truncated $MFT, by its
// bitmap. It lists as many as Damage holds, and counts the rest.
func (s *scan) beyond() (list []uint32, more int64) {
	for record := s.f.records; int(record/8) < len(s.bitmap); record++ {
		switch {
		case !s.used(record):
		case len(list) < maxDamaged:
			list = append(list, record)
		default:
			more++
		}
	}
	return list, more
}

// scanner is one parse worker with its own memory for names; there are at most
// GOMAXPROCS.
type scanner struct {
	scan    *scan
	found   found
	chunk   *chunk // of the block
	names   []name // not yet in the index
	namesID int
	arena   []byte // not yet in the index
	arenaID int
}

// read is one reading worker: it reads block after block.
func (s *scan) read() error {
	size := s.f.boot.recordSize
	buf := make([]byte, chunkRecords*size)
	for !s.failed.Load() {
		b := s.next.Add(1) - 1
		if b >= s.blocks {
			return nil
		}
		first := uint32(b * chunkRecords)
		block := buf[:int(min(chunkRecords, s.f.records-first))*size]
		err := s.f.mft.readAt(block, int64(first)*int64(size))
		if err != nil && !recoverable(err) {
			return err
		}
		if err := s.parse(first, block, err == nil); err != nil {
			return err
		}
		if s.progress != nil {
			s.progress(s.done.Add(int64(len(block)/size)), int64(s.f.records))
		}
	}
	return nil
}

// parse has a scanner parse a block, once there is one that has nothing to do.
func (s *scan) parse(first uint32, block []byte, whole bool) error {
	w := <-s.scanners
	defer func() { s.scanners <- w }()
	return w.block(first, block, whole)
}

// block parses the records of a block, or those of them that can be read.
func (w *scanner) block(first uint32, block []byte, whole bool) error {
	f := w.scan.f
	size := f.boot.recordSize
	w.chunk = nil
	for i := range len(block) / size {
		record := block[i*size : (i+1)*size]
		number := first + uint32(i)
		if !whole {
			if err := f.mft.readAt(record, int64(number)*int64(size)); err != nil {
				why := reasonTruncated
				if errors.Is(err, errPending) {
					why = reasonPending
				}
				if err := w.bad(number, why); err != nil {
					return err
				}
				continue
			}
		}
		if err := w.record(number, record); err != nil {
			return err
		}
	}
	return nil
}

// flush adds the collected data to the index.
func (w *scanner) flush() {
	x := &w.scan.f.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if w.names != nil {
		x.names[w.namesID] = w.names
	}
	if w.arena != nil {
		x.arenas[w.arenaID] = w.arena
	}
}

// reserve makes room for the names of one record.
func (w *scanner) reserve() (err error) {
	x := &w.scan.f.index
	if cap(w.names)-len(w.names) < recordNames {
		w.flush()
		if w.namesID, err = x.newNames(); err != nil {
			return err
		}
		w.names = make([]name, 0, chunkNames)
	}
	if cap(w.arena)-len(w.arena) < 2*maxRecord {
		w.flush()
		if w.arenaID, err = x.newArena(); err != nil {
			return err
		}
		w.arena = make([]byte, 0, chunkArena)
	}
	return nil
}

// maxRecord is the size of the largest record, in bytes. Its names are no
// longer than twice that in UTF-8.
const maxRecord = 4096

var zeros [maxRecord]byte

// node returns where the record's node is to be written.
func (w *scanner) node(number uint32) (*node, error) {
	if w.chunk == nil {
		x := &w.scan.f.index
		if err := x.grow(chunkRecords * 68); err != nil {
			return nil, err
		}
		w.chunk = new(chunk)
		x.chunks[number/chunkRecords] = w.chunk
	}
	return &w.chunk.nodes[number%chunkRecords], nil
}

func (w *scanner) bad(number uint32, why reason) error {
	n, err := w.node(number)
	if err == nil {
		*n = node{flags: nodeBad, why: why}
		w.found.bad++
	}
	return err
}

func (w *scanner) record(number uint32, buf []byte) error {
	if le.Uint32(buf) == 0 && bytes.Equal(buf, zeros[:len(buf)]) {
		if w.scan.unused(number) {
			return nil
		}
		return w.bad(number, reasonZero)
	}
	r, why, err := w.scan.f.openOrMirror(buf, number)
	if err != nil {
		return err
	}
	if why != readable {
		if w.scan.unused(number) { // whatever is left in it
			return nil
		}
		return w.bad(number, why)
	}
	if r.flags&recordInUse == 0 {
		if number < firstUser || !w.scan.used(number) {
			return nil
		}
		w.found.freed = append(w.found.freed, number)
		_, err := w.node(number)
		return cmp.Or(err, w.scan.f.index.grow(12))
	}
	if err := w.reserve(); err != nil {
		return err
	}
	n, err := w.node(number)
	if err != nil {
		return err
	}
	before := w.found.memory()
	if why := w.attributes(number, r, n); why != readable {
		*n = node{flags: nodeBad, why: why}
		w.found.bad++
		return nil
	}
	w.found.inUse++
	if more := w.found.memory() - before; more > 0 {
		return w.scan.f.index.grow(more)
	}
	return nil
}

// memory estimates the size of the lists, in bytes.
func (all *found) memory() int64 {
	const growth = 3 // a list that grows is copied, and so are those of all scanners in the end
	return all.listBytes + growth*int64(16*len(all.streams)+12*len(all.parts)+104*len(all.extensions)+
		24*len(all.names)+160*len(all.lists))
}

// attributes copies the record's attributes into its node. Nothing is kept of a
// damaged record.
func (w *scanner) attributes(number uint32, r record, n *node) (why reason) {
	names, arena, before := len(w.names), len(w.arena), w.found
	defer func() {
		if why != readable {
			w.names, w.arena, w.found = w.names[:names], w.arena[:arena], before
		}
	}()
	e := extension{record: number}
	n.sequence = r.sequence
	n.flags = nodeBase
	if r.flags&recordDirectory != 0 {
		n.flags |= nodeDir
	}
	facts := n
	if r.base != 0 {
		n.flags = nodeExtension
		n.size = int64(r.base)
		if r.base.record() < uint64(w.scan.f.records) {
			e.base = uint32(r.base.record())
		}
		facts = &e.node
	}
	streams, roots, listed := int64(0), 0, false
	var entries int64 // bytes that a list of the attributes has
	var a attribute
	for buf := r.buf; ; {
		if buf, why = next(buf, &a); why != readable {
			return why
		}
		if a.kind != typeAttributeList && a.kind != typeEnd {
			entries += listEntrySize(len(a.name))
		}
		switch a.kind {
		case typeEnd:
			if roots > 1 || roots == 1 && listed && n.allocated >= indexInRecord {
				n.allocated = indexUnknown // which root counts is found by a look-up
			}
			if r.base != 0 {
				e.streams, e.entries = streams, entries
				w.found.extensions = append(w.found.extensions, e)
				return readable
			}
			if listed {
				w.found.listOf(number, entries)
			}
			if streams != 0 {
				w.found.streams = append(w.found.streams, streamTotal{number, streams})
			}
			return readable
		case typeStandardInformation:
			facts.standardInformation(&a)
		case typeAttributeList:
			listed = true
			if r.base == 0 {
				if why := w.list(number, &a); why != readable {
					return why
				}
			}
		case typeFileName:
			if why := w.name(number, &a, r.base != 0, facts); why != readable {
				return why
			}
		case typeData:
			if a.lowest != 0 {
				continue
			}
			if len(a.name) > 0 {
				if a.size > 0 {
					streams = saturate(streams, a.size)
				}
				continue
			}
			if r.base == 0 && r.flags&recordDirectory != 0 {
				continue // a directory has its own use for the sizes
			}
			e.data = true
			facts.data(&a)
		case typeIndexRoot:
			if r.base != 0 || !a.named("$I30") {
				continue
			}
			if r.flags&recordDirectory == 0 {
				return reasonDirectory
			}
			if roots++; a.resident {
				var print uint64
				print, n.allocated = w.scan.f.rootPrint(number, a.value)
				n.size = int64(print)
			}
		case typeReparsePoint:
			if a.resident && len(a.value) >= 4 {
				facts.tag = le.Uint32(a.value)
			} else if a.lowest == 0 {
				w.found.reparse = append(w.found.reparse, number)
			}
		}
	}
}

// standardInformation takes the times and the attributes.
//
//	 0  8  created, 8  8  modified, 16  8  record changed, 24  8  accessed
//	32  4  FILE_ATTRIBUTE_*
//
// libfsntfs, The standard information attribute.
func (n *node) standardInformation(a *attribute) {
	if !a.resident || len(a.value) < 36 {
		return
	}
	n.created, n.modified = le.Uint64(a.value), le.Uint64(a.value[8:])
	n.changed, n.accessed = le.Uint64(a.value[16:]), le.Uint64(a.value[24:])
	n.attributes = le.Uint32(a.value[32:])
}

// data takes the sizes of the unnamed $DATA.
func (n *node) data(a *attribute) {
	n.size, n.allocated = a.size, a.allocated
	if a.resident {
		n.flags |= nodeResident
		return
	}
	if a.flags&attrCompressionMask != 0 {
		n.flags |= nodeCompressed
	}
	if a.flags&attrSparse != 0 {
		n.flags |= nodeSparse
	}
	if a.flags&attrEncrypted != 0 {
		n.flags |= nodeEncrypted
	}
}

// list notes the extension records that an attribute list names.
func (w *scanner) list(number uint32, a *attribute) reason {
	if !a.resident {
		w.keepList(number, a)
		return readable
	}
	var why reason
	w.found.parts, why = appendParts(w.found.parts, number, a.value)
	return why
}

func appendParts(parts []part, number uint32, list []byte) ([]part, reason) {
	for len(list) > 0 {
		e, rest, why := nextListEntry(list)
		if why != readable {
			return parts, why
		}
		list = rest
		if e.ref.record() == uint64(number) {
			continue
		}
		if e.ref.record() >= maxRecords {
			return parts, reasonList
		}
		p := part{base: number, extension: uint32(e.ref.record()), sequence: e.ref.sequence()}
		if last := len(parts) - 1; last < 0 || parts[last] != p {
			parts = append(parts, p)
		}
	}
	return parts, readable
}

func (w *scanner) name(number uint32, a *attribute, extended bool, facts *node) reason {
	if !a.resident {
		return reasonName
	}
	fn, why := parseFileName(a.value)
	if why != readable {
		return why
	}
	n := name{
		record:   number,
		parent:   maxRecords, // nobody's
		sequence: fn.parent.sequence(),
		hash:     w.scan.f.up.hash(fn.name),
		dos:      fn.namespace == namespaceDOS,
		at:       uint32(w.arenaID)*chunkArena + uint32(len(w.arena)),
	}
	if fn.parent.record() < maxRecords {
		n.parent = uint32(fn.parent.record())
	}
	begin := len(w.arena)
	whole := false
	w.arena, whole = appendName(w.arena, fn.name)
	n.bytes = uint16(len(w.arena) - begin)
	if !whole { // it is looked up as it is shown
		w.found.halves++
		n.hash, _ = w.scan.f.up.foldName(string(w.arena[begin:]))
	}
	if !sayable(w.arena[begin:]) && number != recordRoot {
		w.found.unsayable++
	}
	if !n.dos {
		facts.flags |= nodeLong
		if facts.links < 1<<16-1 {
			facts.links++
		}
	}
	if extended {
		w.found.names = append(w.found.names, extensionName{number, n})
	} else {
		w.names = append(w.names, n)
	}
	return readable
}

func saturate(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// merge adds the content of extension records to their base records, and builds
// the directories.
func (f *FS) merge(all *found, readers int) error {
	x := &f.index
	if err := x.grow(f.putOff(all)); err != nil {
		return err
	}
	if err := f.readLists(all.lists, readers, func(number uint32, list []byte, err error) error {
		if err != nil && !recoverable(err) {
			return fmt.Errorf("attribute list of record %d: %w", number, err)
		}
		why := reasonList
		if err == nil {
			before := all.memory()
			all.parts, why = appendParts(all.parts, number, list)
			if err := x.grow(all.memory() - before); err != nil {
				return err
			}
		}
		x.node(number).lack(why)
		return nil
	}); err != nil {
		return err
	}
	slices.SortFunc(all.parts, comparePart)
	for _, p := range all.parts {
		if !x.has(p) {
			x.node(p.base).lack(reasonExtension)
		}
	}
	// Only extension records in an attribute list belong to its base: others were
	// left behind by a crash.
	named := func(base, extension uint32) bool {
		if x.node(base).flags&nodeListed != 0 {
			return x.extends(extension, base)
		}
		p := part{base: base, extension: extension, sequence: x.node(extension).sequence}
		_, ok := slices.BinarySearchFunc(all.parts, p, comparePart)
		return ok && x.extends(extension, base)
	}
	for i := range all.extensions {
		if e := &all.extensions[i]; named(e.base, e.record) {
			x.node(e.base).extend(e)
			if e.streams > 0 {
				all.streams = append(all.streams, streamTotal{e.base, e.streams})
			}
		}
	}
	for _, e := range all.names {
		base := reference(x.node(e.extension).size).record()
		if base >= uint64(f.records) || !named(uint32(base), e.extension) {
			continue
		}
		e.name.record = uint32(base)
		if last := len(x.names) - 1; last < 0 || len(x.names[last]) == cap(x.names[last]) {
			if _, err := x.newNames(); err != nil {
				return err
			}
			x.names[len(x.names)-1] = make([]name, 0, chunkNames)
		}
		last := len(x.names) - 1
		x.names[last] = append(x.names[last], e.name)
	}
	for _, number := range all.reparse {
		if err := f.loadTag(number); err != nil {
			return err
		}
	}
	slices.SortFunc(all.streams, func(a, b streamTotal) int { return cmp.Compare(a.record, b.record) })
	x.streams = all.streams
	f.inUse = all.inUse
	f.damage.Orphans = x.build()
	if all.unsayable > 0 {
		f.note("%d names cannot appear in a path (they contain a slash, or are . or ..) and are not listed", all.unsayable)
	}
	if all.halves > 0 {
		f.note("%d names contain half a surrogate pair, which is shown as U+FFFD", all.halves)
	}
	return nil
}

// extends reports whether the one record says that it is an extension of the
// other, and that one is in use.
func (x *index) extends(extension, base uint32) bool {
	e, b := x.node(extension), x.node(base)
	return e.flags&nodeExtension != 0 && b.flags&nodeBase != 0 &&
		reference(e.size) == makeReference(base, b.sequence)
}

// has reports whether the extension record that an attribute list names is there.
func (x *index) has(p part) bool {
	return x.extends(p.extension, p.base) && x.node(p.extension).sequence == p.sequence
}

func comparePart(a, b part) int {
	return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.extension, b.extension), cmp.Compare(a.sequence, b.sequence))
}

// lack marks a base record that is incomplete.
func (n *node) lack(why reason) {
	if why != readable && n.flags&nodeBase != 0 && n.flags&nodePartial == 0 {
		n.flags |= nodePartial
		n.why = why
	}
}

// extend adds the content of an extension record.
func (n *node) extend(e *extension) {
	if e.data && n.flags&nodeDir == 0 {
		const data = nodeResident | nodeCompressed | nodeSparse | nodeEncrypted
		n.size, n.allocated = e.node.size, e.node.allocated
		n.flags |= e.node.flags & data
	}
	if e.node.tag != 0 {
		n.tag = e.node.tag
	}
	n.flags |= e.node.flags & nodeLong
	n.links = uint16(min(int(n.links)+int(e.node.links), 1<<16-1))
}

// loadTag reads the tag of reparse data that is not resident.
func (f *FS) loadTag(number uint32) error {
	base := number
	if n := f.index.node(number); n.flags&nodeExtension != 0 {
		ref := reference(n.size).record()
		if ref >= uint64(f.records) {
			return nil
		}
		base = uint32(ref)
	}
	n := f.index.node(base)
	if n.flags&(nodeBase|nodePartial) != nodeBase {
		return nil
	}
	ino, err := f.load(base)
	if err == nil {
		var r Reparse
		if r, err = ino.reparse(f.disk); err == nil {
			n.tag = r.Tag
			return nil
		}
	}
	if err == errNoReparse {
		return nil // an extension record that is not, or no longer, its base's
	}
	if !recoverable(err) {
		return fmt.Errorf("reparse data of record %d: %w", base, err)
	}
	n.lack(reasonReparse)
	return nil
}
