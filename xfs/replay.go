package xfs

import (
	"cmp"
	"fmt"
	"slices"
)

// Types of items in the log.
const (
	itemEFI     = 0x1236
	itemEFD     = 0x1237
	itemInode   = 0x123B
	itemBuffer  = 0x123C
	itemDquot   = 0x123D
	itemQuotaOf = 0x123E
	itemIcreate = 0x123F
	itemRUI     = 0x1240
	itemRUD     = 0x1241
	itemCUI     = 0x1242
	itemCUD     = 0x1243
	itemBUI     = 0x1244
	itemBUD     = 0x1245
	itemAttrI   = 0x1246
	itemAttrD   = 0x1247
	itemXMI     = 0x1248
	itemXMD     = 0x1249
)

// Limits of a log; the largest log has 2 GiB.
const (
	// maxHeld bounds the memory for open transactions and unfinished intents, in
	// bytes. The kernel ends a transaction after 64 MiB at the latest.
	maxHeld      = 128 << 20
	regionCost   = 64      // of keeping track of a region, in bytes
	maxOpen      = 1 << 12 // transactions that are begun and not ended
	maxRegions   = 1 << 16 // of an item
	maxCancelled = 1 << 20 // blocks given back

	headerMagic = 0x5452414E // of a transaction
	headerSize  = 16
)

// transaction is a set of changes that are replayed together or not at all.
type transaction struct {
	lsn    uint64
	header []byte
	items  []item
	size   int
}

// item is one change: a list of regions, the first of which describes the others.
type item struct {
	regions [][]byte
	want    int // regions
}

func (i *item) kind() uint16 { return le.Uint16(i.regions[0]) }

// replayer replays the log. It goes through it twice: blocks that were given
// back later must not be changed any more, since something else may be there.
type replayer struct {
	f         *FS
	log       *Journal
	pass      int
	open      map[uint32]*transaction
	held      int // bytes
	cancelled map[span]int
	given     map[int64]int // blocks given back by their first sector
	intents   map[intentID][]byte
}

// span names a block as the log does: sectors of 512 bytes.
type span struct {
	at    int64
	count uint32
}

func (f *FS) replay(j *journal, e logExtent, log *Journal) error {
	r := &replayer{f: f, log: log, cancelled: map[span]int{}, given: map[int64]int{}, intents: map[intentID][]byte{}}
	for r.pass = 1; r.pass <= 2; r.pass++ {
		r.open, r.held = map[uint32]*transaction{}, 0
		count, err := j.eachRecord(e.tail, e.head, r.record, func(_ *record, err error) error { return err })
		if err != nil {
			return err
		}
		log.Records = count
	}
	return r.finish()
}

// record takes a record apart. Its operations have headers:
//
//	0  4  transaction, 4  4  bytes, 8  1  client, 9  1  flags
func (r *replayer) record(rec *record, b []byte) error {
	if rec.format != formatLinux {
		return unsupported("a log of a machine of another kind (format %d)", rec.format)
	}
	for n := rec.operations; n > 0; n-- {
		if len(b) < opHeader {
			return corrupt("the record at sector %d has fewer operations than it counts", rec.at)
		}
		id, size, client, flags := be.Uint32(b), be.Uint32(b[4:]), b[8], b[9]
		b = b[opHeader:]
		if client != opTransaction && client != opLog || uint64(size) > uint64(len(b)) {
			return corrupt("the record at sector %d has an operation that does not fit", rec.at)
		}
		if err := r.operation(rec, id, flags, b[:size]); err != nil {
			return fmt.Errorf("the record at sector %d: %w", rec.at, err)
		}
		b = b[size:]
	}
	return nil
}

func (r *replayer) operation(rec *record, id uint32, flags uint8, b []byte) error {
	t := r.open[id]
	if t == nil {
		if flags&opStart == 0 {
			return nil // of a transaction that began before the log does
		}
		if len(b) != 0 || len(r.open) == maxOpen {
			return corrupt("a transaction that does not begin as one does")
		}
		r.open[id] = &transaction{lsn: rec.lsn}
		return nil
	}
	if flags &^= opEnd; flags&opWasCont != 0 {
		flags &^= opContinue
	}
	if err := r.hold(len(b)); err != nil {
		return err
	}
	t.size += len(b) + regionCost
	switch flags {
	case 0, opContinue:
		return t.add(b)
	case opWasCont:
		return t.extend(b)
	case opCommit, opUnmount:
		delete(r.open, id)
		r.held -= t.size
		if flags == opCommit {
			return r.commit(t)
		}
		return nil
	}
	return corrupt("an operation with flags 0x%X", flags)
}

// hold accounts for memory.
func (r *replayer) hold(bytes int) error {
	if r.held += bytes + regionCost; r.held > maxHeld {
		return unsupported("a log with more than %d bytes of changes that are not ended", maxHeld)
	}
	return nil
}

// add takes a region: at first the transaction's header, then those of items.
func (t *transaction) add(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(t.header) == 0 {
		if len(b) > headerSize || len(b) >= 4 && le.Uint32(b) != headerMagic {
			return corrupt("a transaction without its magic")
		}
		t.header = slices.Clone(b)
		return nil
	}
	if n := len(t.items); n == 0 || t.items[n-1].want > 0 && t.items[n-1].want == len(t.items[n-1].regions) {
		t.items = append(t.items, item{})
	}
	i := &t.items[len(t.items)-1]
	if i.want == 0 {
		if len(b) < 4 {
			return corrupt("an item of %d bytes", len(b))
		}
		i.want = int(le.Uint16(b[2:]))
		if i.want == 0 || i.want > maxRegions {
			return corrupt("an item of %d regions", i.want)
		}
	}
	i.regions = append(i.regions, slices.Clone(b))
	return nil
}

// extend takes the rest of a region that was parted between records.
func (t *transaction) extend(b []byte) error {
	if len(t.items) == 0 {
		if len(t.header)+len(b) > headerSize {
			return corrupt("a transaction's header that does not fit")
		}
		t.header = append(t.header, b...)
		return nil
	}
	i := &t.items[len(t.items)-1]
	last := &i.regions[len(i.regions)-1]
	*last = append(*last, b...)
	return nil
}

// commit replays a transaction: blocks first and inodes after them, but the
// blocks of inodes (that is, the lists of those without a name) behind these,
// and at last what is given back (xlog_recover_reorder_trans).
func (r *replayer) commit(t *transaction) error {
	order := make([]int, len(t.items))
	for i := range t.items {
		order[i] = i
		it := &t.items[i]
		if len(it.regions) != it.want {
			return corrupt("an item has %d of its %d regions", len(it.regions), it.want)
		}
		if it.kind() == itemBuffer {
			if err := it.checkBuffer(); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.items[a].rank(), t.items[b].rank()) })
	for _, k := range order {
		if err := r.item(t, &t.items[k]); err != nil {
			return err
		}
	}
	if r.pass == 2 {
		r.log.Transactions++
	}
	return nil
}

func (i *item) rank() int {
	switch i.kind() {
	case itemBuffer:
		switch flags := i.bufferFlags(); {
		case flags&bufferCancel != 0:
			return 3
		case flags&bufferInodes != 0:
			return 2
		}
		return 0
	case itemIcreate:
		return 0
	}
	return 1
}

func (r *replayer) item(t *transaction, i *item) error {
	kind := i.kind()
	if r.pass == 1 {
		if kind == itemBuffer && i.bufferFlags()&bufferCancel != 0 {
			if len(r.cancelled) == maxCancelled {
				return unsupported("a log that gives back more than %d blocks", maxCancelled)
			}
			r.cancelled[i.span()]++
			r.given[i.span().at]++
		}
		return nil
	}
	switch kind {
	case itemBuffer:
		return r.buffer(t, i)
	case itemInode:
		return r.inode(t, i)
	case itemIcreate:
		return r.icreate(i)
	case itemDquot, itemQuotaOf:
		return nil // quotas are not read
	}
	return r.intent(i)
}

// Flags of a block's change.
const (
	bufferInodes = 0x1
	bufferCancel = 0x2
	bufferQuota  = 0x4 | 0x8 | 0x10

	bufferTypeShift    = 11
	bufferTypeSuper    = 18
	bufferTypeRTBitmap = 20
	bufferTypeRTSum    = 21

	bufferChunk = 128 // bytes that a bit of the map stands for
)

// A change of a block, little-endian:
//
//	0  2  type, 2  2  regions, 4  2  flags, 6  2  sectors, 8  8  first sector
//	16 4  words of the map, 20  the map: which pieces of 128 bytes the other
//	regions are, each of them a run of such pieces
func (i *item) checkBuffer() error {
	b := i.regions[0]
	if len(b) < 20 || int64(le.Uint32(b[16:]))*4 > int64(len(b)-20) {
		return corrupt("a change of a block, of %d bytes", len(b))
	}
	return nil
}

func (i *item) bufferFlags() uint16 { return le.Uint16(i.regions[0][4:]) }

func (i *item) span() span {
	b := i.regions[0]
	return span{int64(le.Uint64(b[8:])), uint32(le.Uint16(b[6:]))}
}

// pieces visits the changed pieces of a block: their offset and content.
func (i *item) pieces(size int64, visit func(at int64, b []byte) error) error {
	bitmap := i.regions[0][20:]
	bits := int64(le.Uint32(i.regions[0][16:])) * 32
	set := func(n int64) bool { return n < bits && bitmap[n/8]>>(n%8)&1 != 0 }
	region := 1
	for bit := int64(0); bit < bits; {
		if !set(bit) {
			bit++
			continue
		}
		run := int64(1)
		for set(bit + run) {
			run++
		}
		if region >= len(i.regions) {
			return corrupt("a change of a block with fewer regions than its map says")
		}
		b := i.regions[region]
		region++
		// A run may be in two regions.
		run = min(run, int64(len(b))/bufferChunk)
		if run == 0 || (bit+run)*bufferChunk > size {
			return corrupt("a change of a block with a region that does not fit")
		}
		if err := visit(bit*bufferChunk, b[:run*bufferChunk]); err != nil {
			return err
		}
		bit += run
	}
	return nil
}

func (r *replayer) buffer(t *transaction, i *item) error {
	f, at, flags := r.f, i.span(), i.bufferFlags()
	if flags&bufferCancel != 0 {
		r.cancelled[at]--
		r.given[at.at]--
		return nil
	}
	if r.cancelled[at] > 0 {
		r.log.Cancelled++
		return nil
	}
	size := int64(at.count) * sector
	if at.at < 0 || at.at > f.disk.size/sector || size == 0 || size > f.disk.size-at.at*sector {
		return corrupt("a change of %d bytes at sector %d, outside the image", size, at.at)
	}
	off := at.at * sector
	if flags&bufferQuota != 0 {
		return nil // quotas are not read
	}
	newer, err := r.newer(off, size, flags>>bufferTypeShift, t.lsn)
	if err != nil {
		return err
	}
	if newer {
		r.log.Newer++
		return nil
	}
	r.log.Blocks++
	if flags&bufferInodes != 0 {
		return r.inodeBlock(i, off, size)
	}
	return i.pieces(size, func(at int64, b []byte) error { return f.disk.over.write(f.disk, b, off+at, true) })
}

// newer reports whether a block has a change that is not older than the
// transaction: most blocks have from version 5 of the filesystem on the place
// in the log of their last change. It counts only in a block of this volume
// (xlog_recover_get_buf_lsn).
func (r *replayer) newer(off, size int64, kind uint16, lsn uint64) (bool, error) {
	s := &r.f.super
	if !s.checksums() || kind == bufferTypeRTBitmap || kind == bufferTypeRTSum {
		return false, nil
	}
	head := make([]byte, min(size, sector))
	if err := r.f.disk.readAt(head, off); err != nil {
		return false, err
	}
	at, uuid := 0, 0
	switch string(head[:4]) {
	case "AB3B", "AB3C", "ABTB", "ABTC", "RMB3", "R3FC", "FIB3", "FIBT", "IAB3", "IABT":
		at, uuid = 0x18, 0x20
	case "BMA3", "BMAP":
		at, uuid = 0x20, 0x28
	case "XAGF":
		at, uuid = 0xD0, 0x40
	case "XAFL":
		at, uuid = 24, 8
	case "XAGI":
		at, uuid = 0x140, 0x128
	case "XSLM":
		at, uuid = 0x30, 0x10
	case "XDB3", "XDD3", "XDF3":
		at, uuid = 0x10, 0x18
	case "XFSB":
		at, uuid = 0xF0, 0x20
		if s.incompat&incompatMetaUUID != 0 {
			uuid = 0xF8
		}
	case "XARM":
		return false, nil
	default:
		switch be.Uint16(head[8:]) {
		case 0x3DF1, 0x3DFF, xattrLeafMagic5, xattrNodeMagic5:
			at, uuid = 0x18, 0x20
		default:
			return false, nil
		}
	}
	if [16]byte(head[uuid:uuid+16]) != s.metaUUID {
		return false, nil
	}
	seen := be.Uint64(head[at:])
	return seen != 0 && seen != 1<<64-1 && seen >= lsn, nil
}

// inodeBlock replays the change of a block of inodes: of these only which
// inode without a name is the next.
func (r *replayer) inodeBlock(i *item, off, size int64) error {
	const nextUnlinked = 0x60
	f, width := r.f, int64(r.f.super.inodeSize)
	return i.pieces(size, func(at int64, b []byte) error {
		for n := at / width; n*width+nextUnlinked < at+int64(len(b)); n++ {
			place := n*width + nextUnlinked
			if place < at {
				continue
			}
			raw := make([]byte, width)
			if err := f.disk.readAt(raw, off+n*width); err != nil {
				return err
			}
			copy(raw[nextUnlinked:nextUnlinked+4], b[place-at:])
			if err := r.writeInode(raw, off+n*width); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeInode computes the checksum of an inode and lays it over the image.
func (r *replayer) writeInode(raw []byte, off int64) error {
	if raw[4] >= 3 {
		le.PutUint32(raw[0x64:], checksum(raw, 0x64))
	}
	return r.f.disk.over.write(r.f.disk, raw, off, false)
}

// Fields of an inode that its change has.
const (
	fieldData     = 0x2
	fieldExtents  = 0x4
	fieldRoot     = 0x8
	fieldDevice   = 0x10
	fieldAttrs    = 0x40
	fieldAttrExts = 0x80
	fieldAttrRoot = 0x100
	fieldOwner    = 0x200 | 0x400

	// loggedSize4 is how much of the core of an inode up to version 2 is in
	// the log: all but the next inode without a name.
	loggedSize4 = 0x60

	fieldsData = fieldData | fieldExtents | fieldRoot
	fieldsAttr = fieldAttrs | fieldAttrExts | fieldAttrRoot
)

// inode replays the change of an inode, little-endian:
//
//	0  2  type, 2  2  regions, 4  4  fields, 8  2  bytes of attributes, 10  2  of data
//	16 8  inode, 24  4  device, 40  8  first sector of its block, 48  4  sectors, 52  4  place in it
//
// On 32-bit machines everything from the inode number on is 4 bytes earlier.
// The next region is the inode's core, little-endian, and the next are data and
// attributes, as on the disk but for the root of a tree.
func (r *replayer) inode(t *transaction, i *item) error {
	f, s := r.f, &r.f.super
	b := i.regions[0]
	switch len(b) {
	case 56:
	case 52:
		b = slices.Concat(b[:12], make([]byte, 4), b[12:])
	default:
		return corrupt("a change of an inode, of %d bytes", len(b))
	}
	if len(i.regions) < 2 {
		return corrupt("a change of an inode without it")
	}
	fields := le.Uint32(b[4:])
	number := le.Uint64(b[16:])
	block := span{int64(le.Uint64(b[40:])), le.Uint32(b[48:])}
	if r.cancelled[block] > 0 {
		r.log.Cancelled++
		return nil
	}
	if !s.validInode(number) {
		return corrupt("a change of inode %d, which the volume does not have", number)
	}
	off := s.inodeOffset(number)
	if block.at*sector+int64(int32(le.Uint32(b[52:]))) != off {
		return corrupt("a change of inode %d is at the wrong place", number)
	}
	raw := make([]byte, s.inodeSize)
	if err := f.disk.readAt(raw, off); err != nil {
		return err
	}
	core := i.regions[1]
	if be.Uint16(raw) != 0x494E || len(core) < loggedSize4 || le.Uint16(core) != 0x494E {
		return corrupt("a change of inode %d, where no inode is", number)
	}
	version := core[4]
	if version > 3 || version == 0 || version >= 3 != s.checksums() ||
		version >= 3 && (len(core) < coreSize5 || raw[4] != 3) {
		return corrupt("a change of inode %d with version %d", number, version)
	}
	if version >= 3 {
		if seen := be.Uint64(raw[0x70:]); seen != 0 && seen != 1<<64-1 && seen > t.lsn {
			r.log.Newer++
			return nil
		}
	} else {
		// The number of times that it was written (di_flushiter).
		logged, seen := le.Uint16(core[30:]), be.Uint16(raw[30:])
		if logged < seen && (seen != 1<<16-1 || logged >= 1<<15-1) {
			r.log.Newer++
			return nil
		}
	}
	r.log.Inodes++
	putCore(raw, core, t.lsn)
	if fields&fieldOwner != 0 {
		f.suspend(number, unsupported("its extents were exchanged with another's, and the log has not all of it"))
	}
	if fields&fieldDevice != 0 {
		be.PutUint32(raw[len(raw)-len(inode{number, raw}.dataFork()):], le.Uint32(b[24:]))
	}
	if int(raw[0x52])*8+len(raw)-s.inodeSize >= s.inodeSize-(inode{number, raw}).coreSize() {
		return corrupt("a change of inode %d whose attributes begin out of range", number)
	}
	ino := inode{number, raw}
	next := 2
	for _, part := range []struct {
		fields, root uint32
		fork         []byte
	}{{fieldsData, fieldRoot, ino.dataFork()}, {fieldsAttr, fieldAttrRoot, ino.attrFork()}} {
		if fields&part.fields == 0 {
			continue
		}
		if next >= len(i.regions) {
			return corrupt("a change of inode %d without its data", number)
		}
		src := i.regions[next]
		next++
		ok := true
		if fields&part.root != 0 {
			ok = s.putRoot(part.fork, src)
		} else if ok = len(src) <= len(part.fork); ok {
			copy(part.fork, src)
		}
		if !ok {
			return corrupt("a change of inode %d with data that does not fit", number)
		}
	}
	return r.writeInode(raw, off)
}

// putCore converts the core of an inode from the log's form to the disk's: all
// is at the same place, but little-endian. The next inode without a name is
// not taken.
func putCore(raw, core []byte, lsn uint64) {
	p16 := func(at int) { be.PutUint16(raw[at:], le.Uint16(core[at:])) }
	p32 := func(at int) { be.PutUint32(raw[at:], le.Uint32(core[at:])) }
	p64 := func(at int) { be.PutUint64(raw[at:], le.Uint64(core[at:])) }
	version, flags2 := core[4], uint64(0)
	if version >= 3 {
		flags2 = le.Uint64(core[0x78:])
	}
	stamp := func(at int) {
		if flags2&diflag2Bigtime != 0 {
			p64(at)
			return
		}
		p32(at)
		p32(at + 4)
	}
	p16(0x02)
	raw[0x04], raw[0x05] = core[0x04], core[0x05]
	clear(raw[0x06:0x08])
	p32(0x08)
	p32(0x0C)
	p32(0x10)
	p16(0x14)
	p16(0x16)
	stamp(0x20)
	stamp(0x28)
	stamp(0x30)
	p64(0x38)
	p64(0x40)
	p32(0x48)
	p32(0x4C)
	p16(0x50)
	raw[0x52], raw[0x53] = core[0x52], core[0x53]
	p32(0x54)
	p16(0x58)
	p16(0x5A)
	p32(0x5C)
	if version < 3 {
		clear(raw[0x18:0x20]) // with the number of times that it was written
		return
	}
	p64(0x18)
	p64(0x68)
	be.PutUint64(raw[0x70:], lsn)
	p64(0x78)
	p32(0x80)
	copy(raw[0x84:0x90], core[0x84:0x90])
	stamp(0x90)
	p64(0x98)
	copy(raw[0xA0:0xB0], core[0xA0:0xB0])
}

// putRoot converts the root of a tree of extents from the kernel's form in
// memory, which is that of a block, to that in an inode.
func (s *superblock) putRoot(fork, block []byte) bool {
	header := longHeader4
	if s.checksums() {
		header = longHeader5
	}
	if len(block) < header || len(fork) < 4 {
		return false
	}
	level, count := be.Uint16(block[4:]), int(be.Uint16(block[6:]))
	body, to := block[header:], fork[4:]
	if count > len(body)/16 || count > len(to)/16 {
		return false
	}
	be.PutUint16(fork, level)
	be.PutUint16(fork[2:], uint16(count))
	copy(to, body[:8*count])
	copy(to[len(to)/16*8:], body[len(body)/16*8:][:8*count])
	return true
}

// icreate replays that inodes were made, big-endian:
//
//	0  2  type, 2  2  regions (these little-endian), 4  4  group, 8  4  block in it
//	12 4  inodes, 16  4  bytes of each, 20  4  blocks, 24  4  generation
func (r *replayer) icreate(i *item) error {
	s := &r.f.super
	b := i.regions[0]
	if len(b) < 28 {
		return corrupt("new inodes, %d bytes", len(b))
	}
	group, block, count := be.Uint32(b[4:]), be.Uint32(b[8:]), be.Uint32(b[12:])
	size, length, generation := be.Uint32(b[16:]), be.Uint32(b[20:]), be.Uint32(b[24:])
	first := uint64(group)<<s.groupBits | uint64(block)
	if int(size) != s.inodeSize || !s.valid(first, uint64(length)) || length == 0 ||
		uint64(count) != uint64(length)<<s.inodesInLog ||
		count > 4*chunkInodes || !s.checksums() {
		return corrupt("%d new inodes in %d blocks at %d of group %d", count, length, block, group)
	}
	// If their blocks were given back later, something else may be there.
	off := s.offset(first)
	for at := off; at < off+int64(length)<<s.blockBits; at += s.blockSize {
		if r.given[at/sector] > 0 {
			r.log.Cancelled++
			return nil
		}
	}
	raw := make([]byte, s.inodeSize)
	for n := range uint64(count) {
		clear(raw)
		copy(raw, "IN")
		raw[4] = 3
		be.PutUint32(raw[0x5C:], generation)
		be.PutUint32(raw[0x60:], noInode)
		number := first<<s.inodesInLog + n
		be.PutUint64(raw[0x98:], number)
		copy(raw[0xA0:], s.metaUUID[:])
		if err := r.writeInode(raw, s.inodeOffset(number)); err != nil {
			return err
		}
	}
	r.log.Blocks++
	return nil
}

// suspend makes an inode one that cannot be read.
func (f *FS) suspend(number uint64, err error) {
	if f.pending[number] == nil {
		f.pending[number] = err
	}
}
