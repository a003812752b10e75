package ntfs

import (
	"cmp"
	"fmt"
	"slices"
)

// maxDamaged is how many damaged records Damage lists; the rest are counted.
const maxDamaged = 100

// Damage describes the damage that Open found, and damaged attribute lists that were
// read since.
type Damage struct {
	// Count is the number of records that cannot be read, or lack a part that
	// another record should hold. FS describes the effect on look-ups.
	Count   int64
	Torn    int64           // of these, records of which a write was not finished: fixups do not match
	Records []DamagedRecord // the first 100 of them, in order
	// Orphans counts names that are in no listing, since their directory is
	// gone: its record is damaged, free, or used for something else.
	Orphans int64
	// Notes describe what was read from a backup copy or replaced by a default, and
	// what cannot be shown.
	Notes []string
	// InDoubt are the first 100 names that were asked for since, and are
	// ErrInDoubt.
	InDoubt []DoubtfulName
}

// DoubtfulName is a name that is in doubt.
type DoubtfulName struct {
	Name string // as it was asked for
	Err  error  // why; ErrInDoubt
}

// DamagedRecord is a record of $MFT that cannot be read.
type DamagedRecord struct {
	Record uint64
	Reason string
}

func (d DamagedRecord) String() string { return fmt.Sprintf("record %d %s", d.Record, d.Reason) }

// Damage returns the damage that was found so far.
func (f *FS) Damage() Damage {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.damage
	d.Count += int64(len(f.late))
	d.Records = slices.Concat(d.Records, f.late)
	slices.SortFunc(d.Records, func(a, b DamagedRecord) int { return cmp.Compare(a.Record, b.Record) })
	d.Records = d.Records[:min(len(d.Records), maxDamaged)]
	d.Notes = slices.Clone(d.Notes)
	d.InDoubt = slices.Clone(d.InDoubt)
	return d
}

// collectDamage counts the records that cannot be read. Of a volume that was in
// use one is often free already whose bit is yet to be cleared: the deletion is
// in $LogFile. Of any other it was lost.
func (f *FS) collectDamage() {
	if !f.volume.Journal.State.Pending() {
		for _, record := range f.freed {
			*f.index.node(record) = node{flags: nodeBad, why: reasonFreed}
		}
	}
	for c, chunk := range f.index.chunks {
		if chunk == nil {
			continue
		}
		for i := range chunk.nodes {
			n := &chunk.nodes[i]
			if n.flags&(nodeBad|nodePartial) != 0 {
				f.damaged(uint32(c*chunkRecords+i), n.why)
			}
		}
	}
	for _, record := range f.cut {
		f.damaged(record, reasonBeyond)
	}
	f.freed, f.cut = nil, nil
}

func (f *FS) damaged(record uint32, why reason) {
	f.damage.Count++
	if why == reasonTorn {
		f.damage.Torn++
	}
	if len(f.damage.Records) < maxDamaged {
		f.damage.Records = append(f.damage.Records, DamagedRecord{uint64(record), why.Error()})
	}
}
