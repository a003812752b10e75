package ntfs

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
)

// The log of a volume that was in use is applied in memory, as Windows does at
// the next start. First, every change is redone that is missing from its record
// of $MFT, index block or bitmap. Then the changes of unfinished transactions are
// undone. A change that cannot be applied makes its record or block unreadable.
//
// A record or block has the LSN of its last change at byte 8, which shows the
// changes that it already has. A bitmap has none: its changes are applied in
// order, with the same final state.

// Operations. flatcap's NTFS documentation, File - $LogFile.
const (
	opNoop                = 0x00
	opCompensation        = 0x01
	opInitializeRecord    = 0x02
	opDeallocateRecord    = 0x03
	opWriteEndOfRecord    = 0x04
	opCreateAttribute     = 0x05
	opDeleteAttribute     = 0x06
	opUpdateResident      = 0x07
	opUpdateNonresident   = 0x08
	opUpdateMappingPairs  = 0x09
	opDeleteDirtyClusters = 0x0A
	opSetSizes            = 0x0B
	opAddEntryRoot        = 0x0C
	opDeleteEntryRoot     = 0x0D
	opAddEntryBlock       = 0x0E
	opDeleteEntryBlock    = 0x0F
	opWriteEndOfBlock     = 0x10
	opSetEntryVCNRoot     = 0x11
	opSetEntryVCNBlock    = 0x12
	opUpdateFileNameRoot  = 0x13
	opUpdateFileNameBlock = 0x14
	opSetBits             = 0x15
	opClearBits           = 0x16
	opCommit              = 0x1A
	opForget              = 0x1B
	opUpdateRecordRoot    = 0x21
	opUpdateRecordBlock   = 0x22
	opRelativeDataRoot    = 0x23 // quota and its like: not of names, and left as it is
	opRelativeDataBlock   = 0x24
	opZeroEndOfRecord     = 0x25
	opLast                = 0x25

	maxReplay              = 64 << 20 // bytes that changed blocks may take
	maxReplayMisses        = 1 << 18  // places at which a change finds nothing that it is about
	maxReplayWork          = 1 << 28  // bits that are set or cleared, blocks that are looked through
	maxTransactionsAtATime = 1 << 16
)

// replay applies the log.
type replay struct {
	f      *FS
	blocks map[int64]*replayBlock // by byte offset
	used   int64                  // bytes
	misses map[int64]bool         // places at which there is no such block
	work   int64
	result Journal
}

// replayBlock is a record of $MFT or an index block without its fixups, or a
// cluster of something else.
type replayBlock struct {
	data      []byte
	protected bool
	changed   bool
	unlogged  bool // part of the file's resident content is not in the log
	unsure    error
}

// replayLog reads the log from the oldest record that is needed and applies it.
// The error is the reader's.
func (f *FS) replayLog(area restartArea, s *stream) (Journal, error) {
	r := replay{f: f, blocks: make(map[int64]*replayBlock), misses: make(map[int64]bool)}
	err := r.run(area, s)
	if err != nil && !recoverable(err) {
		return Journal{}, err
	}
	if err != nil {
		r.result.State, r.result.Err = JournalFailed, err
		return r.result, nil
	}
	r.result.State = JournalReplayed
	r.install()
	return r.result, nil
}

func (r *replay) run(area restartArea, s *stream) error {
	l, err := newLogReader(area, s.size, s.readAt)
	if err != nil {
		return err
	}
	oldest := area.oldest
	if oldest == 0 || area.restart != 0 && area.restart < oldest {
		oldest = area.restart
	}
	if oldest == 0 {
		return corrupt("no LSN to begin at")
	}
	open := make(map[uint32]uint64) // the last record of each transaction that is not finished
	err = l.records(oldest, func(rec logRecord) error {
		r.result.Records++
		if rec.kind != logRecordData {
			return nil
		}
		switch {
		case rec.transaction == 0:
		case rec.redo.op == opForget || rec.redo.op == opCommit:
			if _, ok := open[rec.transaction]; ok {
				r.result.Transactions++
			}
			delete(open, rec.transaction)
		default:
			if open[rec.transaction] = rec.lsn; len(open) > maxTransactionsAtATime {
				return corrupt("more than %d transactions at a time", maxTransactionsAtATime)
			}
		}
		return r.apply(&rec, rec.redo, false)
	})
	if err != nil {
		return err
	}
	return r.undo(l, open)
}

// undo reverts the changes of unfinished transactions, the last change first.
func (r *replay) undo(l *logReader, open map[uint32]uint64) error {
	r.result.Undone = len(open)
	var next lsnHeap
	for _, lsn := range open {
		heap.Push(&next, lsn)
	}
	for range maxLogRecords {
		if len(next) == 0 {
			return nil
		}
		lsn := heap.Pop(&next).(uint64)
		rec, _, err := l.record(lsn)
		if err == errLogEnd {
			return corrupt("no record at LSN %d, which is to be undone", lsn)
		}
		if err != nil {
			return err
		}
		if rec.kind == logRecordData {
			if err := r.apply(&rec, rec.undo, true); err != nil {
				return err
			}
		}
		if rec.undoNext >= lsn {
			return corrupt("after the record at LSN %d that at %d is to be undone", lsn, rec.undoNext)
		}
		if rec.undoNext != 0 {
			heap.Push(&next, rec.undoNext)
		}
	}
	return corrupt("transactions without an end")
}

// lsnHeap has the largest LSN first.
type lsnHeap []uint64

func (h lsnHeap) Len() int           { return len(h) }
func (h lsnHeap) Less(i, j int) bool { return h[i] > h[j] }
func (h lsnHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lsnHeap) Push(lsn any)      { *h = append(*h, lsn.(uint64)) }

func (h *lsnHeap) Pop() any {
	last := len(*h) - 1
	lsn := (*h)[last]
	*h = (*h)[:last]
	return lsn
}

// apply makes one change. If the change does not fit, its block becomes unsure.
// The error is the reader's, or one that ends the replay.
func (r *replay) apply(rec *logRecord, c logChange, undo bool) error {
	switch c.op {
	case opInitializeRecord, opDeallocateRecord, opWriteEndOfRecord, opCreateAttribute, opDeleteAttribute,
		opUpdateResident, opUpdateMappingPairs, opSetSizes, opAddEntryRoot, opDeleteEntryRoot, opSetEntryVCNRoot,
		opUpdateFileNameRoot, opUpdateRecordRoot, opRelativeDataRoot, opZeroEndOfRecord:
		return r.applyTo(rec, c, undo, "FILE", c.op == opInitializeRecord, int64(r.f.boot.recordSize))
	case opAddEntryBlock, opDeleteEntryBlock, opWriteEndOfBlock, opSetEntryVCNBlock, opUpdateFileNameBlock,
		opUpdateRecordBlock, opRelativeDataBlock:
		return r.applyTo(rec, c, undo, "INDX", false, 0)
	case opUpdateNonresident:
		return r.applyNonresident(rec, c, undo)
	case opSetBits, opClearBits:
		return r.applyBits(rec, c)
	case opDeleteDirtyClusters:
		return r.drop(c.data)
	}
	if c.op > opLast {
		return unsupported("operation 0x%X in the log", c.op)
	}
	return nil
}

// place returns the offset on the volume of a byte of the clusters that a record
// changes.
func (r *replay) place(rec *logRecord, off int64) (at int64, ok bool) {
	size := r.f.disk.clusterSize
	off += rec.clusterOffset
	i := off / size
	if off < 0 || i >= int64(len(rec.clusters)) || rec.clusters[i] < 0 || rec.clusters[i] >= r.f.disk.clusters {
		return 0, false
	}
	return rec.clusters[i]*size + off%size, true
}

// applyTo changes a record of $MFT or an index block, unless it has the change.
// A block that is neither is not the record's any more.
func (r *replay) applyTo(rec *logRecord, c logChange, undo bool, magic string, fresh bool, size int64) error {
	at, ok := r.place(rec, 0)
	if !ok {
		return nil // nowhere: its clusters were given up
	}
	if r.misses[at] && !fresh {
		return nil
	}
	b, err := r.protected(rec, at, magic, size)
	if err != nil {
		return err
	}
	if b == nil {
		if !fresh {
			if r.misses[at] = true; len(r.misses) > maxReplayMisses {
				return unsupported("changes of more than %d places that hold something else", maxReplayMisses)
			}
			return nil
		}
		delete(r.misses, at)
		b = &replayBlock{data: make([]byte, size), protected: true}
		if err := r.keep(at, b); err != nil {
			return err
		}
	}
	has := string(b.data[:4]) == magic && le.Uint64(b.data[8:]) >= rec.lsn
	if has != undo || b.unsure != nil && !fresh {
		return nil
	}
	if fresh {
		b.unsure = nil
	}
	b.changed = true
	if magic == "FILE" {
		err = changeRecord(b.data, rec, c)
	} else {
		err = changeIndexBlock(b.data, rec, c)
	}
	if err != nil {
		b.unsure = fmt.Errorf("a change of it in $LogFile (LSN %d, operation 0x%X) cannot be applied: %w", rec.lsn, c.op, err)
		return nil
	}
	if c.op == opUpdateResident && c.length > len(c.data) {
		b.unlogged = true
	}
	if !undo {
		le.PutUint64(b.data[8:], rec.lsn)
	}
	return nil
}

// protected returns a block with fixups, nil if there is none such at that place.
func (r *replay) protected(rec *logRecord, at int64, magic string, size int64) (*replayBlock, error) {
	if b := r.blocks[at]; b != nil {
		if !b.protected || size > 0 && int64(len(b.data)) != size {
			return nil, nil
		}
		return b, nil
	}
	if size == 0 { // an index block's own header has it
		head := make([]byte, minIndexBlock)
		if err := r.readClusters(rec, head); err != nil {
			return nil, ifUnreadable(err)
		}
		size = int64(le.Uint16(head[6:])-1) * stride
		if string(head[:4]) != magic || !powerOfTwo(int(size), minIndexBlock, maxIndexBlock) {
			return nil, nil
		}
	}
	b := &replayBlock{data: make([]byte, size), protected: true}
	if err := r.readClusters(rec, b.data); err != nil {
		return nil, ifUnreadable(err)
	}
	if string(b.data[:4]) != magic || fixup(b.data) != readable || !r.oneRun(rec, size) {
		return nil, nil
	}
	return b, r.keep(at, b)
}

// ifUnreadable leaves errors of the reader.
func ifUnreadable(err error) error {
	if recoverable(err) {
		return nil
	}
	return err
}

// readClusters reads from the start of the clusters that a record changes.
func (r *replay) readClusters(rec *logRecord, p []byte) error {
	at, ok := r.place(rec, 0)
	if !ok {
		return corrupt("no cluster")
	}
	return r.f.disk.readAt(p, at)
}

// oneRun reports whether a block is contiguous on the volume. Only blocks
// larger than a cluster may not be.
func (r *replay) oneRun(rec *logRecord, size int64) bool {
	first, _ := r.place(rec, 0)
	for off := r.f.disk.clusterSize; off < size; off += r.f.disk.clusterSize {
		if at, ok := r.place(rec, off); ok && at != first+off {
			return false
		}
	}
	return true
}

// keep adds a block to the cache.
func (r *replay) keep(at int64, b *replayBlock) error {
	n := int64(len(b.data)) + 128
	if r.used += n; r.used > maxReplay {
		return unsupported("changes of more than %d bytes", maxReplay)
	}
	if err := r.f.index.grow(n); err != nil {
		return err
	}
	r.blocks[at] = b
	return nil
}

// cluster returns a cluster of data without fixups.
func (r *replay) cluster(at int64) (*replayBlock, error) {
	size := r.f.disk.clusterSize
	if b := r.blocks[at/size*size]; b != nil {
		if b.protected {
			return nil, nil
		}
		return b, nil
	}
	b := &replayBlock{data: make([]byte, size)}
	if err := r.f.disk.readAt(b.data, at/size*size); err != nil {
		return nil, ifUnreadable(err)
	}
	return b, r.keep(at/size*size, b)
}

// applyBits sets or clears bits of a bitmap:
//
//	0  4  first bit, 4  4  number of bits
func (r *replay) applyBits(rec *logRecord, c logChange) error {
	if len(c.data) < 8 {
		return corrupt("a range of bits in %d bytes", len(c.data))
	}
	first, n := int64(le.Uint32(c.data)), int64(le.Uint32(c.data[4:]))
	if r.work += n; r.work > maxReplayWork {
		return unsupported("more than %d bits in the log", maxReplayWork)
	}
	var b *replayBlock
	last := int64(-1)
	for bit := first; bit < first+n; bit++ {
		at, ok := r.place(rec, int64(rec.recordOffset)+bit/8)
		if !ok {
			return nil
		}
		if size := r.f.disk.clusterSize; at/size != last {
			var err error
			if b, err = r.cluster(at); err != nil {
				return err
			}
			last = at / size
		}
		if b == nil {
			continue
		}
		b.changed = true
		p := &b.data[at%r.f.disk.clusterSize]
		if c.op == opSetBits {
			*p |= 1 << (bit % 8)
		} else {
			*p &^= 1 << (bit % 8)
		}
	}
	return nil
}

// applyNonresident writes into clusters: a complete new index block, or data
// without fixups.
func (r *replay) applyNonresident(rec *logRecord, c logChange, undo bool) error {
	if len(c.data) == 0 {
		return nil
	}
	if at, ok := r.place(rec, 0); ok && rec.recordOffset == 0 && len(c.data) >= minIndexBlock &&
		string(c.data[:4]) == "INDX" {
		return r.newIndexBlock(rec, at, c, undo)
	}
	for off := 0; off < len(c.data); {
		at, ok := r.place(rec, int64(rec.recordOffset+off))
		if !ok {
			return nil
		}
		b, err := r.cluster(at)
		if err != nil {
			return err
		}
		in := at % r.f.disk.clusterSize
		n := min(len(c.data)-off, int(r.f.disk.clusterSize-in))
		if b != nil {
			copy(b.data[in:], c.data[off:off+n])
			b.changed = true
		}
		off += n
	}
	return nil
}

// newIndexBlock writes an index block as it was when it was created, unless the
// one on the disk is newer.
func (r *replay) newIndexBlock(rec *logRecord, at int64, c logChange, undo bool) error {
	size := int64(le.Uint16(c.data[6:])-1) * stride
	if undo || !powerOfTwo(int(size), minIndexBlock, maxIndexBlock) || int64(len(c.data)) > size || !r.oneRun(rec, size) {
		return nil
	}
	b, err := r.protected(rec, at, "INDX", size)
	if err != nil {
		return err
	}
	if b == nil {
		if b = r.blocks[at]; b != nil && !b.protected {
			return nil
		}
		delete(r.misses, at)
		b = &replayBlock{data: make([]byte, size), protected: true}
		if err := r.keep(at, b); err != nil {
			return err
		}
	}
	if string(b.data[:4]) == "INDX" && le.Uint64(b.data[8:]) >= rec.lsn {
		return nil
	}
	clear(b.data[copy(b.data, c.data):])
	le.PutUint64(b.data[8:], rec.lsn)
	b.changed, b.unsure = true, nil
	return nil
}

// drop forgets changes of clusters that were given up: an array of
//
//	0  8  first cluster, 8  8  number of clusters
func (r *replay) drop(ranges []byte) error {
	size := r.f.disk.clusterSize
	for ; len(ranges) >= 16; ranges = ranges[16:] {
		first, n := int64(le.Uint64(ranges)), int64(le.Uint64(ranges[8:]))
		if first < 0 || n <= 0 || first > r.f.disk.clusters || n > r.f.disk.clusters-first {
			continue
		}
		if r.work += int64(len(r.blocks)); r.work > maxReplayWork {
			return unsupported("more than %d changes of clusters that were given up", maxReplayWork)
		}
		for at := range r.blocks {
			if at >= first*size && at < (first+n)*size {
				delete(r.blocks, at)
			}
		}
	}
	return nil
}

// install overlays the changes on the disk.
func (r *replay) install() {
	var list []patch
	for at, b := range r.blocks {
		if !b.changed {
			continue
		}
		r.result.Blocks++
		if b.unlogged && string(b.data[:4]) == "FILE" {
			if r.f.unlogged == nil {
				r.f.unlogged = map[uint32]bool{}
			}
			r.f.unlogged[le.Uint32(b.data[44:])] = true
		}
		if b.protected && b.unsure == nil {
			b.unsure = protectBlock(b.data)
		}
		if b.unsure != nil {
			r.result.Unsure++
			b.unsure = fmt.Errorf("%w: %w", errPending, b.unsure)
		}
		list = append(list, patch{at, b.data, b.unsure})
	}
	slices.SortFunc(list, func(a, b patch) int { return int(min(1, max(-1, a.at-b.at))) })
	r.f.disk.patches = list
}

// protectBlock puts the fixups back that fixup took.
func protectBlock(buf []byte) error {
	array, words := int(le.Uint16(buf[4:])), int(le.Uint16(buf[6:]))
	if words != len(buf)/stride+1 || array < 8 || array%2 != 0 || array+2*words > stride-2 {
		return corrupt("its fixups do not fit")
	}
	for i := 1; i < words; i++ {
		copy(buf[array+2*i:], buf[i*stride-2:i*stride])
		copy(buf[i*stride-2:i*stride], buf[array:array+2])
	}
	return nil
}

// patch is a piece of the volume that differs from the disk.
type patch struct {
	at   int64
	data []byte
	err  error // why it is not known
}

// patched applies the patches to data that was read at an offset.
func (d *disk) patched(p []byte, off int64) error {
	i, _ := slices.BinarySearchFunc(d.patches, off, func(p patch, off int64) int {
		if p.at+int64(len(p.data)) <= off {
			return -1
		}
		return 1
	})
	for ; i < len(d.patches) && d.patches[i].at < off+int64(len(p)); i++ {
		c := d.patches[i]
		if c.err != nil {
			return c.err
		}
		if c.at < off {
			copy(p, c.data[off-c.at:])
		} else {
			copy(p[c.at-off:], c.data)
		}
	}
	return nil
}

var (
	errDoesNotFit = errors.New("it does not fit")
	errUnlogged   = fmt.Errorf("%w: its content was being written, and is not in $LogFile", ErrInDoubt)
	errPending    = fmt.Errorf("%w: changed by the log", ErrCorrupt)
)
