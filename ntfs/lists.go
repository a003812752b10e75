package ntfs

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// Attribute lists that are not resident are small and scattered over the volume.
// Reading them all takes a quarter of the requests of a scan over a network. The
// pass over $MFT finds the same without them: extension records name their base.
// So a list is read only when somebody asks for its file, if all is well. A list is
// read with the pass if its length is not that of entries for the attributes that
// the records have, and all are if anything in $MFT is damaged: only they know to
// which file a damaged extension record belonged.

// pendingList is a nonresident attribute list. It is read after the pass, from
// the runs that the pass found.
type pendingList struct {
	record     uint32
	attribute  attribute
	entries    int64 // bytes that a list of the file's attributes has
	extensions int   // extension records that name the file as their base
}

// keepList notes a list whose record is about to be overwritten. Of several in
// one record the first counts, as it does for load.
func (w *scanner) keepList(number uint32, a *attribute) {
	if last := len(w.found.lists) - 1; last >= 0 && w.found.lists[last].record == number {
		return
	}
	kept := *a
	kept.name, kept.value = nil, bytes.Clone(a.value)
	w.found.lists = append(w.found.lists, pendingList{record: number, attribute: kept})
	w.found.listBytes += int64(len(kept.value))
}

// listOf notes the attributes in the record itself.
func (all *found) listOf(record uint32, entries int64) {
	if last := len(all.lists) - 1; last >= 0 && all.lists[last].record == record {
		all.lists[last].entries = entries
	}
}

// putOff moves the lists that are read when somebody asks for their files from all
// to FS.lists. It returns the memory that they take.
func (f *FS) putOff(all *found) (bytes int64) {
	// Of a volume that was in use, a free record is no sign of damage: see collectDamage.
	lost := len(all.freed) > 0 && !f.journal.State.Pending()
	if all.bad > 0 || lost || len(f.cut) > 0 || f.journal.unsure() {
		return 0
	}
	x := &f.index
	slices.SortFunc(all.lists, func(a, b pendingList) int { return cmp.Compare(a.record, b.record) })
	for i := range all.extensions {
		e := &all.extensions[i]
		if n, ok := findList(all.lists, e.base); ok && x.extends(e.record, e.base) {
			all.lists[n].entries += e.entries
			all.lists[n].extensions++
		}
	}
	const cost = 160
	all.lists = slices.DeleteFunc(all.lists, func(l pendingList) bool {
		if !f.canWait(&l) {
			return false
		}
		f.lists = append(f.lists, l)
		bytes += cost + int64(len(l.attribute.value))
		x.node(l.record).flags |= nodeListed
		return true
	})
	return bytes
}

// unsure reports whether changes may be missing on the volume.
func (j *Journal) unsure() bool {
	return j.State == JournalFailed || j.State == JournalCorrupt || j.Unsure > 0
}

func findList(lists []pendingList, record uint32) (int, bool) {
	return slices.BinarySearchFunc(lists, record, func(l pendingList, record uint32) int {
		return cmp.Compare(l.record, record)
	})
}

// canWait reports whether the list says what the records say, as far as that is known
// without reading it.
func (f *FS) canWait(l *pendingList) bool {
	s, err := newStream(f.disk, []attribute{l.attribute})
	if err != nil || s.holes() || s.size != l.entries || s.size > maxList || s.initialized != s.size {
		return false
	}
	for _, r := range s.runs {
		if (r.lcn+r.n)*f.disk.clusterSize > f.disk.size {
			return false
		}
	}
	return true
}

// checkList reads the attribute list of a file, if that was put off, and compares it
// with the records. The error is the reader's, or ErrCorrupt.
func (f *FS) checkList(record uint32) error {
	if f.index.node(record).flags&nodeListed == 0 {
		return nil
	}
	known, ok := f.listed.Load(record)
	if !ok {
		n, _ := findList(f.lists, record)
		l := &f.lists[n]
		list, err := readList(f.disk, []attribute{l.attribute})
		if err != nil && !recoverable(err) {
			return err
		}
		why := reasonList
		if err == nil {
			why = f.compareList(l, list)
		}
		if known, ok = f.listed.LoadOrStore(record, why); !ok && why != readable {
			f.mu.Lock()
			f.late = append(f.late, DamagedRecord{uint64(record), why.Error()})
			f.mu.Unlock()
		}
	}
	if why := known.(reason); why != readable {
		return damaged(record, why)
	}
	return nil
}

// compareList says what is wrong with an attribute list.
func (f *FS) compareList(l *pendingList, list []byte) reason {
	parts, why := appendParts(nil, l.record, list)
	if why != readable {
		return why
	}
	slices.SortFunc(parts, comparePart)
	parts = slices.Compact(parts)
	for _, p := range parts {
		if !f.index.has(p) {
			return reasonExtension
		}
	}
	if len(parts) != l.extensions { // one was left behind by a crash
		return reasonList
	}
	return readable
}

// readLists reads the lists in parallel, since they are scattered over the
// volume, and passes them on in order.
func (f *FS) readLists(lists []pendingList, readers int, each func(record uint32, list []byte, err error) error) error {
	type content struct {
		list []byte
		err  error
	}
	read := make([]content, readers)
	for len(lists) > 0 {
		some := lists[:min(readers, len(lists))]
		lists = lists[len(some):]
		var done parallel.Group
		for i, p := range some {
			done.Go(func() { read[i].list, read[i].err = readList(f.disk, []attribute{p.attribute}) })
		}
		done.Wait()
		for i, p := range some {
			if err := each(p.record, read[i].list, read[i].err); err != nil {
				return err
			}
		}
	}
	return nil
}
