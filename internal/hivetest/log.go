package hivetest

import (
	"bytes"
	"cmp"
	"math/bits"
)

// Dirty returns a copy of the hive whose write was not finished: its sequence numbers differ.
func Dirty(hive []byte, primary, secondary uint32) []byte {
	hive = bytes.Clone(hive)
	le.PutUint32(hive[4:], primary)
	le.PutUint32(hive[8:], secondary)
	FixChecksum(hive)
	return hive
}

// BreakBaseBlock returns a copy of the hive, or of a log, whose base block does not fit its checksum: a part of it
// from byte 36 (the root cell's offset) to byte 44 is zero.
func BreakBaseBlock(file []byte) []byte {
	file = bytes.Clone(file)
	clear(file[36:44])
	return file
}

// LogOptions say how a transaction log is written.
type LogOptions struct {
	First    uint32 // sequence number of the log, and of its first entry
	Entries  int    // how many entries the pages are spread over (new format); 0 is 1
	PageSize int    // granularity of the pages, a power of two from 512 to 4096; 0 is 4096
	Torn     int    // bytes missing at the end of the log
	BadHash  int    // number, from 1, of the entry whose data does not fit its hash (new format); 0 is none
	BadBlock bool   // the base block does not fit its checksum
}

// NewFormatLog returns a log as Windows 8.1 and later write it, with what changes the hive before into the hive
// after.
func NewFormatLog(before, after []byte, o LogOptions) []byte {
	log := o.baseBlock(after, 6)
	pages := changed(before, after, cmp.Or(o.PageSize, pageSize))
	entries := cmp.Or(o.Entries, 1)
	for i := range entries {
		from, to := i*len(pages)/entries, (i+1)*len(pages)/entries
		e := entry(after, pages[from:to], o.First+uint32(i))
		if o.BadHash == i+1 {
			e[len(e)-1] ^= 1
		}
		log = append(log, e...)
	}
	return log[:len(log)-o.Torn]
}

// OldFormatLog returns a log as Windows up to 8 writes it. Its base block has the time of the hive before, which is
// what makes it the log of that hive.
func OldFormatLog(before, after []byte, o LogOptions) []byte {
	log := o.baseBlock(after, 1)
	copy(log[12:20], before[12:20])
	if !o.BadBlock {
		FixChecksum(log)
	}
	vector := make([]byte, (len(after)-pageSize)/512/8)
	var data []byte
	for _, p := range changed(before, after, cmp.Or(o.PageSize, pageSize)) {
		for s := p.off; s < p.off+p.size; s += 512 {
			vector[s/512/8] |= 1 << (s / 512 % 8)
		}
		data = append(data, after[pageSize+p.off:][:p.size]...)
	}
	log = append(append(log, "DIRT"...), vector...)
	log = append(log, make([]byte, -len(log)&511)...)
	log = append(log, data...)
	return log[:len(log)-o.Torn]
}

// baseBlock returns the first sector of a log.
func (o LogOptions) baseBlock(hive []byte, fileType uint32) []byte {
	block := bytes.Clone(hive[:512])
	le.PutUint32(block[4:], o.First)
	le.PutUint32(block[8:], o.First)
	le.PutUint32(block[28:], fileType)
	FixChecksum(block)
	if o.BadBlock {
		block[508] ^= 0xFF
	}
	return block
}

type page struct{ off, size int } // relative to the bins data

// changed returns the pages in which two hives differ, those that only the second has included.
func changed(before, after []byte, size int) []page {
	var pages []page
	for off := pageSize; off < len(after); off += size {
		end := off + size
		if end > len(before) || !bytes.Equal(before[off:end], after[off:end]) {
			pages = append(pages, page{off - pageSize, size})
		}
	}
	return pages
}

// entry returns a log entry with pages of a hive.
func entry(hive []byte, pages []page, sequence uint32) []byte {
	e := make([]byte, 40)
	for _, p := range pages {
		e = le.AppendUint32(e, uint32(p.off))
		e = le.AppendUint32(e, uint32(p.size))
	}
	for _, p := range pages {
		e = append(e, hive[pageSize+p.off:][:p.size]...)
	}
	e = append(e, make([]byte, -len(e)&511)...)
	copy(e, "HvLE")
	le.PutUint32(e[4:], uint32(len(e)))
	le.PutUint32(e[12:], sequence)
	le.PutUint32(e[16:], uint32(len(hive)-pageSize))
	le.PutUint32(e[20:], uint32(len(pages)))
	FixEntry(e)
	return e
}

// marvin32 is the Marvin32 hash with the seed of registry logs, as the kernel's SymCrypt defines it.
func marvin32(data []byte) uint64 {
	var lo, hi uint32 = 0x7A4E55C5, 0x82EF4D88
	block := func(v uint32) {
		lo += v
		hi ^= lo
		lo = bits.RotateLeft32(lo, 20) + hi
		hi = bits.RotateLeft32(hi, 9) ^ lo
		lo = bits.RotateLeft32(lo, 27) + hi
		hi = bits.RotateLeft32(hi, 19)
	}
	for ; len(data) >= 4; data = data[4:] {
		block(le.Uint32(data))
	}
	last := make([]byte, 4)
	last[copy(last, data)] = 0x80
	block(le.Uint32(last))
	block(0)
	return uint64(hi)<<32 | uint64(lo)
}

// FixEntry sets the hashes of a log entry to what its content asks for.
func FixEntry(e []byte) {
	le.PutUint64(e[24:], marvin32(e[40:]))
	le.PutUint64(e[32:], marvin32(e[:32]))
}
