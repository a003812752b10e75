package container

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// qcow2 is the mapping of a QCOW2 image ("Cluster mapping"). The disk is divided into
// clusters, and L2 tables have an entry for each. The L1 table has an entry for each L2
// table.
type qcow2 struct {
	*qcow2Header
	data        *source.Source // the file that has the data of the disk
	unallocated where          // clusters that are not in the image: zeros or below
	piece       int64          // how much of the disk has a state of its own, in bytes
	first       *table         // the L1 table
	second      *table         // the file, in pages that do not cross the end of an L2 table
	fixed       []span         // the header, the L1 table and the refcount table
	metadata    []span         // fixed and the L2 tables, unless these are too many to remember
	doubled     []int64        // L2 tables of several L1 entries, of which one says that it is the only one
}

// span is a range of a file.
type span struct{ start, end int64 }

// Bits of the entries of both tables.
const (
	qcow2Used       = 1 << 63 // the reference count is one
	qcow2Compressed = 1 << 62
	qcow2Zero       = 1 << 0
	qcow2Offset     = 1<<56 - 1<<9
)

// qcow2Subclusters is how many subclusters a cluster has ("Extended L2 Entries").
const qcow2Subclusters = 32

// Bounds of memory and of work.
const (
	// qcow2MaxRemembered is how many L2 tables are remembered, to detect clusters in
	// them: those of 64 TiB in clusters of 64 KiB.
	qcow2MaxRemembered = 1 << 17
	// qcow2MaxPieces is how many pieces, or L1 entries, are joined to one extent.
	qcow2MaxPieces = 64
)

func newQcow2(h *qcow2Header) (*qcow2, error) {
	q := &qcow2{qcow2Header: h, data: h.file, unallocated: zeros, piece: h.cluster}
	if h.extended() {
		q.piece = h.cluster / qcow2Subclusters
	}
	q.first = newTable(h.file, h.l1.start, h.l1.end-h.l1.start)
	q.second = newTable(h.file, 0, h.file.Size())
	q.second.pageSize = min(h.cluster, tablePage)
	q.fixed = q.disjoint([]span{{0, h.cluster}, h.l1, h.refcounts})
	q.metadata = q.fixed
	if n := q.first.size / 8; n <= qcow2MaxRemembered {
		all := slices.Clone(q.fixed)
		var used []uint64
		for off := int64(0); off < q.first.size; {
			entries, err := q.first.page(off)
			if err != nil {
				return nil, err
			}
			for ; len(entries) >= 8; entries = entries[8:] {
				entry := binary.BigEndian.Uint64(entries)
				if at := int64(entry & qcow2Offset); at != 0 {
					all, used = append(all, span{at, at + h.cluster}), append(used, entry&(qcow2Offset|qcow2Used))
				}
				off += 8
			}
		}
		q.metadata, q.doubled = q.disjoint(all), doubled(used)
	}
	return q, nil
}

// doubled returns the L2 tables that several L1 entries have although one of these says
// that its reference count is one. Entries that do not say so may share a table. The order
// of entries changes.
func doubled(entries []uint64) (tables []int64) {
	slices.SortFunc(entries, func(a, b uint64) int { return cmp.Compare(a&^qcow2Used, b&^qcow2Used) })
	for n := 1; n < len(entries); n++ {
		a, b := entries[n-1], entries[n]
		at := int64(a & qcow2Offset)
		if int64(b&qcow2Offset) == at && (a|b)&qcow2Used != 0 && !slices.Contains(tables[max(len(tables)-1, 0):], at) {
			tables = append(tables, at)
		}
	}
	return tables
}

// disjoint returns the clusters of ranges, in their order in the file.
func (q *qcow2) disjoint(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var joined []span
	for _, s := range all {
		s.start, s.end = s.start/q.cluster*q.cluster, (s.end+q.cluster-1)/q.cluster*q.cluster
		if last := len(joined) - 1; last >= 0 && s.start <= joined[last].end {
			joined[last].end = max(joined[last].end, s.end)
		} else if s.end > s.start {
			joined = append(joined, s)
		}
	}
	return joined
}

// clearOf returns how many of the n bytes at an offset of the file are before the next of
// the ranges.
func clearOf(ranges []span, at, n int64) int64 {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].end > at })
	if i == len(ranges) {
		return n
	}
	return min(max(ranges[i].start-at, 0), n)
}

// wrongEntry is an error of a table: what is wrong with the entry at an offset.
func (q *qcow2) wrongEntry(table string, at int64, reason string) error {
	return fmt.Errorf("%s: the %s entry at byte %d: %s: %w", q.file.Name(), table, at, reason, ErrCorrupt)
}

func (q *qcow2) extent(off int64) (extent, error) {
	perTable := q.entriesPerTable * q.cluster
	number := off / perTable
	entries, err := q.first.page(8 * number)
	if err != nil {
		return extent{}, err
	}
	entry := binary.BigEndian.Uint64(entries)
	if entry == 0 {
		n := int64(1)
		for n < qcow2MaxPieces && 8*n < int64(len(entries)) && binary.BigEndian.Uint64(entries[8*n:]) == 0 {
			n++
		}
		return extent{where: q.unallocated, size: (number+n)*perTable - off}, nil
	}
	at := int64(entry & qcow2Offset)
	reason := ""
	switch {
	case entry&^(qcow2Offset|qcow2Used) != 0:
		reason = "reserved bits are set"
	case at%q.cluster != 0 || clearOf(q.fixed, at, q.cluster) < q.cluster || at > q.file.Size()-q.cluster:
		reason = fmt.Sprintf("no L2 table can be at byte %d of a file of %d", at, q.file.Size())
	default:
		if _, twice := slices.BinarySearch(q.doubled, at); twice {
			reason = fmt.Sprintf("the L2 table at byte %d is also that of another entry", at)
		}
	}
	if reason != "" {
		return extent{}, q.wrongEntry("L1", q.l1.start+8*number, reason)
	}
	return q.inTable(at, off)
}

// inTable returns what the disk has from off on, of which the L2 table at an offset of
// the file has the entry.
func (q *qcow2) inTable(table, off int64) (extent, error) {
	size := q.cluster / q.entriesPerTable // of an entry
	at := table + off/q.cluster%q.entriesPerTable*size
	entries, err := q.second.page(at)
	if err != nil {
		return extent{}, err
	}
	e, reason := q.pieceAt(entries, off)
	for n := 1; n < qcow2MaxPieces && e.where != packed && reason == ""; n++ {
		next := off + e.size
		if next%q.cluster == 0 {
			if entries = entries[size:]; len(entries) == 0 {
				break
			}
		}
		more, wrong := q.pieceAt(entries, next)
		if wrong != "" || more.where != e.where || e.where == stored && more.at != e.at+e.size {
			break
		}
		e.size += more.size
	}
	if reason == "" {
		e, reason = q.within(e, table, off)
	}
	if reason != "" {
		return extent{}, q.wrongEntry("L2", at, reason)
	}
	return e, nil
}

// pieceAt returns what the disk has from off to the end of its piece, or what is wrong
// with its entry, which is the first.
func (q *qcow2) pieceAt(entries []byte, off int64) (e extent, reason string) {
	entry, bitmap := binary.BigEndian.Uint64(entries), uint64(0)
	if q.extended() {
		bitmap = binary.BigEndian.Uint64(entries[8:])
	}
	if entry&qcow2Compressed != 0 {
		return q.compressed(entry, bitmap, off)
	}
	at := int64(entry & qcow2Offset)
	allocated := at != 0 || q.external() && entry&qcow2Used != 0
	isZero, isStored := entry&qcow2Zero != 0, allocated
	reserved := entry &^ (qcow2Offset | qcow2Used | qcow2Zero)
	if q.extended() || q.version == 2 {
		reserved |= entry & qcow2Zero
	}
	if q.extended() {
		n := off % q.cluster / q.piece
		isZero, isStored = bitmap>>(32+n)&1 != 0, bitmap>>n&1 != 0
		if bitmap>>32&bitmap != 0 || uint32(bitmap) != 0 && !allocated {
			return e, fmt.Sprintf("the states of the subclusters %#x contradict each other or the offset", bitmap)
		}
	}
	switch {
	case reserved != 0:
		return e, "reserved bits are set"
	case at%q.cluster != 0:
		return e, fmt.Sprintf("a cluster at byte %d of the file, which is not a multiple of %d", at, q.cluster)
	case at == 0 && entry&qcow2Used != 0 && !q.external():
		return e, "a cluster that is used and is nowhere"
	}
	e.size = q.piece - off%q.piece
	switch {
	case isZero:
		e.where = zeros
		return e, ""
	case !isStored:
		e.where = q.unallocated
		return e, ""
	}
	e.where, e.file, e.at = stored, q.data, at+off%q.cluster
	return e, ""
}

// within returns the part of an extent before the end of its file and before the next
// metadata, such as the L2 table at an offset, or what is wrong. A file that QEMU writes
// may end within the last cluster, after what the disk has of it. QEMU reads zeros after
// the end of any file; here that is an error.
func (q *qcow2) within(e extent, table, off int64) (extent, string) {
	if e.where != stored && e.where != packed {
		return e, ""
	}
	at, n, end := e.at, e.size, e.file.Size()
	if e.where == packed {
		n = e.block.packed
	}
	clear := n
	if !q.external() {
		clear = min(clearOf(q.metadata, at, n), clearOf([]span{{table, table + q.cluster}}, at, n))
	}
	switch {
	case q.external() && at != off:
		return e, fmt.Sprintf("the external data file has byte %d of the disk at byte %d", off, at)
	case at >= end:
		return e, fmt.Sprintf("the file ends at byte %d, before byte %d", end, at)
	case clear == 0 || clear < n && e.where == packed:
		return e, fmt.Sprintf("the cluster at byte %d of the file is in a table", at)
	case e.where == packed: // its size is known to a sector; the file may end before that
		e.block.packed = min(n, end-at)
	case q.size-off > end-at: // the rest is missing
		e.size = min(clear, end-at)
	default:
		e.size = clear
	}
	return e, ""
}

// compressed returns where a compressed cluster is ("Compressed Clusters Descriptor").
func (q *qcow2) compressed(entry, bitmap uint64, off int64) (e extent, reason string) {
	shift := 62 - (q.clusterBits - 8)
	at, sectors := int64(entry&(1<<shift-1)), int64(entry&(qcow2Compressed-1)>>shift)+1
	switch {
	case q.external():
		return e, "a compressed cluster in an image with an external data file"
	case bitmap != 0 || at >= 1<<56:
		return e, "reserved bits are set"
	}
	start := off / q.cluster * q.cluster
	return extent{
		where: packed, size: start + q.cluster - off, file: q.file, at: at,
		block: block{start: start, size: q.cluster, packed: sectors*512 - at%512},
	}, ""
}

func (q *qcow2) unpack(dst, packed []byte, e extent) error {
	decode := inflate
	if q.zstd {
		decode = unzstd
	}
	if err := decode(dst, packed); err != nil {
		return fmt.Errorf("%s: the compressed cluster at byte %d: %w: %w", e.file.Name(), e.at, ErrCorrupt, err)
	}
	return nil
}
