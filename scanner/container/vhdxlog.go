package container

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

const (
	logSector = 4096
	// maxLog bounds the log, maxLogData what of it is kept, in bytes, and maxLogWrites
	// how many writes it has. Logs have 1 MiB as a rule.
	maxLog       = 256 << 20
	maxLogData   = 32 << 20
	maxLogWrites = 256 << 10
)

// vhdxFile is the file of a VHDX image as it is when its log was replayed.
type vhdxFile struct {
	*source.Source
	size    int64       // after the replay, in bytes
	changes []logChange // in their order in the file; they do not overlap
}

// logChange is what the log writes to a range of the file.
type logChange struct {
	from, to int64  // in bytes
	data     []byte // nil means zeros
	at       int64  // where data is in the file
}

// extent returns what the file has at a place, of the n bytes that the disk has from
// off on.
func (f *vhdxFile) extent(off, at, n int64) extent {
	i, _ := slices.BinarySearchFunc(f.changes, at, func(c logChange, at int64) int {
		if c.to <= at {
			return -1
		}
		return 1
	})
	if i < len(f.changes) && f.changes[i].from <= at {
		c := f.changes[i]
		e := extent{where: zeros, size: min(n, c.to-at)}
		if c.data != nil {
			e.where, e.file, e.at = packed, f.Source, c.at
			e.block = block{start: off - (at - c.from), size: logSector, packed: logSector, method: i}
		}
		return e
	}
	if i < len(f.changes) {
		n = min(n, f.changes[i].from-at)
	}
	if in := f.Source.Size() - at; in > 0 {
		return extent{where: stored, size: min(n, in), file: f.Source, at: at}
	}
	return extent{where: zeros, size: n}
}

// ReadAt implements io.ReaderAt.
func (f *vhdxFile) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		if at >= f.size {
			return done, io.EOF
		}
		e := f.extent(at, at, min(int64(len(p)-done), f.size-at))
		part := p[done:][:e.size]
		switch e.where {
		case stored:
			if n, err := f.Source.ReadAt(part, at); n < len(part) {
				return done + n, err
			}
		case packed:
			copy(part, f.changes[e.block.method].data[at-e.block.start:])
		default:
			clear(part)
		}
		done += len(part)
	}
	return len(p), nil
}

// logEntry is an entry of the log ([MS-VHDX] 2.3.1.1).
type logEntry struct {
	at, size      int64 // in the log, in bytes
	tail          int64
	sequence      uint64
	count         int64  // descriptors
	flushed, last uint64 // sizes of the file in bytes
}

// next is where the entry after it is.
func (e logEntry) next(size int64) int64 { return (e.at + e.size) % size }

// descriptorSectors is how many sectors with descriptors an entry has.
func (e logEntry) descriptorSectors() int64 { return (64 + 32*e.count + logSector - 1) / logSector }

// replay replays the log in memory ([MS-VHDX] 2.3.3).
func (x *vhdx) replay() (notes []string, err error) {
	h := x.header
	switch {
	case h.log == guid{}:
		return nil, nil
	case h.logSize == 0:
		return nil, x.fail(vhdxHeaderAt, "a log of no size is in use: %w", ErrCorrupt)
	case h.logSize > maxLog:
		return nil, x.fail(h.logAt, "a log of %s, more than %s: %w", prose.Size(h.logSize), prose.Size(maxLog), ErrLimit)
	}
	l := vhdxLog{newTable(x.file.Source, h.logAt, h.logSize), h.log}
	active, err := l.active()
	if err != nil {
		return nil, err
	}
	if len(active) == 0 {
		return nil, x.fail(h.logAt, "the log is in use, and none of it is valid: %w", ErrCorrupt)
	}
	head := active[len(active)-1]
	if size := x.file.Size(); uint64(size) < head.flushed {
		return nil, x.fail(h.logAt+head.at, "the file has %d bytes and had %d, so it is truncated: %w", size, head.flushed,
			ErrCorrupt)
	}
	var writes []logChange
	kept := int64(0)
	for _, e := range active {
		kept += e.size - e.descriptorSectors()*logSector
		if int64(len(writes))+e.count > maxLogWrites || kept > maxLogData {
			return nil, x.fail(h.logAt+e.at, "the log has more than %d writes or %s: %w",
				maxLogWrites, prose.Size(maxLogData), ErrLimit)
		}
		list, err := l.writes(e)
		if err != nil {
			return nil, err
		}
		for _, w := range list {
			if w.from < vhdxRegionsAt || w.from < h.logAt+h.logSize && w.to > h.logAt || w.to < w.from || w.to > vhdxMaxFile {
				return nil, x.fail(h.logAt+e.at, "the log writes to byte %d: %w", w.from, ErrCorrupt)
			}
		}
		writes = append(writes, list...)
	}
	if head.last > vhdxMaxFile {
		return nil, x.fail(h.logAt+head.at, "a file of %d bytes: %w", head.last, ErrCorrupt)
	}
	x.file.changes = settle(writes)
	x.file.size = max(x.file.size, int64(head.last))
	if n := len(x.file.changes); n > 0 {
		x.file.size = max(x.file.size, x.file.changes[n-1].to)
	}
	return []string{fmt.Sprintf("the image was not closed properly; its log was replayed in memory (%s, %s)",
		prose.Count(len(active), "entry", "entries"), prose.Count(len(writes), "write", "writes"))}, nil
}

// vhdxLog reads the log.
type vhdxLog struct {
	*table
	id guid
}

// sector returns a sector of the log, which continues at its beginning.
func (l vhdxLog) sector(at int64) ([]byte, error) {
	page, err := l.page(at % l.size)
	if err != nil {
		return nil, err
	}
	return page[:logSector], nil
}

// entry returns the entry at a place of the log; not ok if there is no valid one. No
// sector of an entry but the first has the signature of an entry, so to look for entries
// everywhere reads each sector a few times at most.
func (l vhdxLog) entry(at int64) (e logEntry, ok bool, err error) {
	le := binary.LittleEndian
	b, err := l.sector(at)
	if err != nil || string(b[:4]) != "loge" || guid(b[32:48]) != l.id {
		return e, false, err
	}
	e = logEntry{
		at:       at,
		size:     int64(le.Uint32(b[8:])),
		tail:     int64(le.Uint32(b[12:])),
		sequence: le.Uint64(b[16:]),
		count:    int64(le.Uint32(b[24:])),
		flushed:  le.Uint64(b[48:]),
		last:     le.Uint64(b[56:]),
	}
	want := le.Uint32(b[4:])
	if e.size%logSector != 0 || e.size > l.size || e.tail%logSector != 0 || e.tail >= l.size || e.sequence == 0 ||
		e.descriptorSectors()*logSector > e.size {
		return e, false, nil
	}
	sum, data := uint32(0), int64(0)
	for n := int64(0); n < e.size/logSector; n++ {
		if b, err = l.sector(at + n*logSector); err != nil {
			return e, false, err
		}
		switch {
		case n >= e.descriptorSectors():
			high, low := le.Uint32(b[4:]), le.Uint32(b[logSector-4:])
			if string(b[:4]) != "data" || uint64(high)<<32|uint64(low) != e.sequence {
				return e, false, nil
			}
		default:
			for _, d := range e.descriptors(n, b) {
				if le.Uint64(d[24:]) != e.sequence || string(d[:4]) != "desc" && string(d[:4]) != "zero" {
					return e, false, nil
				}
				if string(d[:4]) == "desc" {
					data++
				}
			}
		}
		if n == 0 {
			b = slices.Clone(b)
			clear(b[4:8])
		}
		sum = crc32.Update(sum, castagnoli, b)
	}
	return e, sum == want && data == e.size/logSector-e.descriptorSectors(), nil
}

// descriptors returns the descriptors in sector n of an entry.
func (e logEntry) descriptors(n int64, b []byte) (list [][]byte) {
	from, first := 64, int64(0)
	if n > 0 {
		from, first = 0, 126+(n-1)*128
	}
	for ; from < logSector && first < e.count; from, first = from+32, first+1 {
		list = append(list, b[from:from+32])
	}
	return list
}

// active returns the entries of the active sequence ([MS-VHDX] 2.3.3): of the sequences
// whose last entry points to one of them, that with the highest number. They begin with
// the entry that the last one points to: what is before it is in its place already.
func (l vhdxLog) active() ([]logEntry, error) {
	entries := map[int64]logEntry{}
	for at := int64(0); at < l.size; at += logSector {
		e, ok, err := l.entry(at)
		if err != nil {
			return nil, err
		}
		if ok {
			entries[at] = e
		}
	}
	continued := map[int64]bool{} // entries that follow another
	for _, e := range entries {
		if next, ok := entries[e.next(l.size)]; ok && next.sequence == e.sequence+1 {
			continued[next.at] = true
		}
	}
	var best []logEntry
	for at := int64(0); at < l.size; at += logSector {
		e, ok := entries[at]
		if !ok || continued[at] {
			continue
		}
		run := []logEntry{e}
		for {
			next, ok := entries[e.next(l.size)]
			if !ok || next.sequence != e.sequence+1 {
				break
			}
			run, e = append(run, next), next
		}
		tail := slices.IndexFunc(run, func(r logEntry) bool { return r.at == e.tail })
		if tail >= 0 && (best == nil || e.sequence > best[len(best)-1].sequence) {
			best = run[tail:]
		}
	}
	return best, nil
}

// writes returns what an entry writes ([MS-VHDX] 2.3.1.2 to 2.3.1.4).
func (l vhdxLog) writes(e logEntry) (list []logChange, err error) {
	le := binary.LittleEndian
	data := e.at + e.descriptorSectors()*logSector
	for n := range e.descriptorSectors() {
		b, err := l.sector(e.at + n*logSector)
		if err != nil {
			return nil, err
		}
		for _, d := range e.descriptors(n, slices.Clone(b)) {
			w := logChange{from: int64(le.Uint64(d[16:]))}
			length := int64(logSector)
			if string(d[:4]) == "zero" {
				length = int64(le.Uint64(d[8:]))
			} else {
				if b, err = l.sector(data); err != nil {
					return nil, err
				}
				w.data, w.at = slices.Clone(b), l.at+data%l.size
				copy(w.data, d[8:16])
				copy(w.data[logSector-4:], d[4:8])
				data += logSector
			}
			if w.from%logSector != 0 || length%logSector != 0 || length < 0 || w.from > vhdxMaxFile {
				return nil, fmt.Errorf("%s: at byte %d: the log writes %d bytes to byte %d: %w",
					l.file.Name(), l.at+e.at, length, w.from, ErrCorrupt)
			}
			if w.to = w.from + length; length > 0 {
				list = append(list, w)
			}
		}
	}
	return list, nil
}

// settle returns what is left of writes after the last of them, in the order of their
// places. Writes of data have a sector, and all are multiples of it.
func settle(writes []logChange) []logChange {
	var bounds []int64
	order := make([]int, len(writes))
	for n, w := range writes {
		bounds, order[n] = append(bounds, w.from, w.to), n
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(writes[a].from, writes[b].from) })
	var left []logChange
	var open latest // writes that reach to from
	for i, from := range bounds[:max(len(bounds)-1, 0)] {
		for ; len(order) > 0 && writes[order[0]].from <= from; order = order[1:] {
			heap.Push(&open, order[0])
		}
		for len(open) > 0 && writes[open[0]].to <= from {
			heap.Pop(&open)
		}
		if len(open) == 0 {
			continue
		}
		w := writes[open[0]]
		w.from, w.to = from, bounds[i+1]
		if last := len(left) - 1; w.data == nil && last >= 0 && left[last].data == nil && left[last].to == from {
			left[last].to = w.to
			continue
		}
		left = append(left, w)
	}
	return left
}

// latest is a heap of numbers with the largest first.
type latest []int

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i] > l[j] }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(n any)        { *l = append(*l, n.(int)) }
func (l *latest) Pop() any {
	n := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return n
}
