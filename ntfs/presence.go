package ntfs

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"math/bits"
	"slices"
	"sync/atomic"
)

// A name is present if its directory's index holds it, which is where Windows
// looks, and the record that the index names is in use, with that sequence
// number and in that directory. If only one of the two has the name, it is in
// doubt: a deletion or a creation was half written. If neither has it, it is
// absent.
//
// Most directories are small, and their index is in their record: the pass over
// $MFT takes a fingerprint of it, so comparing it with the records costs
// nothing. The index of a larger one is read once if it has at most maxIndexOnce
// bytes, and usually agrees too. Of still larger ones, only the blocks on the
// path to a name are read.

// maxIndexOnce is the size of the largest index that a look-up reads completely,
// in bytes: about 15,000 names.
const maxIndexOnce = 2 << 20

// maxRunsOnce is the largest number of runs of an index that a look-up reads
// completely: each run takes one read, and a look-up in a larger index takes
// two or three.
const maxRunsOnce = 16

// What a directory's node has in the place of sizes, which a directory has not:
// in allocated one of these, or else the number of names in its index plus
// indexRead, and in size their fingerprint.
const (
	indexUnknown  = iota // its index is not in its record, or damaged
	indexLarge           // it has blocks
	indexAgrees          // with blocks: it was read, and agrees with the records
	indexDiffers         // with blocks: it was read or is too large, and names must be searched
	indexInRecord        // and more: it has no blocks, and so many names
)

// rootPrint computes the fingerprint of an index that is in a record.
func (f *FS) rootPrint(number uint32, value []byte) (print uint64, state int64) {
	node, _, err := indexRoot(value)
	if err != nil {
		return 0, indexUnknown
	}
	entries, err := nodeEntries(node)
	var before []byte
	names := int64(0)
	for err == nil {
		var e indexEntry
		if e, entries, err = nextIndexEntry(entries); err != nil {
			break
		}
		if e.hasNode {
			return 0, indexLarge
		}
		if e.last {
			return print, indexInRecord + names
		}
		if before != nil && !f.inOrder(before, e.key.name) {
			break
		}
		before = e.key.name
		if e.ref.record() != uint64(number) {
			print += f.namePrint(e.ref, e.key.name)
			names++
		}
	}
	return 0, indexUnknown
}

// namePrint is the part of a name, in UTF-16LE, in a fingerprint, which is the sum
// of them. Who crafts a volume does not know the seed.
func (f *FS) namePrint(ref reference, units []byte) uint64 {
	high, low := bits.Mul64(maphash.Bytes(f.seed, units), uint64(ref)^f.secret|1)
	return high ^ low
}

// recordsPrint is the fingerprint of a directory's names in the records. It is
// another one than that of the index where a name has half a surrogate pair, which
// is not kept.
func (f *FS) recordsPrint(dir uint32) (print uint64, names int64) {
	x := &f.index
	kids := x.children(dir)
	var units []byte
	for _, id := range kids {
		n := x.name(id)
		units = appendUnits(units[:0], x.text(n))
		print += f.namePrint(makeReference(n.record, x.node(n.record).sequence), units)
	}
	return print, int64(len(kids))
}

// agrees reports whether a directory's index and the records say the same of
// all names in it. Where most is exceeded by the index it is not read for that,
// in bytes. The error is the reader's.
func (f *FS) agrees(dir uint32, most int64) (bool, error) {
	n := f.index.node(dir)
	if n.flags&nodeDir == 0 {
		return true, nil
	}
	switch state := atomic.LoadInt64(&n.allocated); {
	case state == indexAgrees:
		return true, nil
	case (state == indexLarge || state == indexUnknown) && most == 0:
		return false, nil
	case state == indexLarge, state == indexUnknown:
	case state >= indexInRecord:
		print, names := f.recordsPrint(dir)
		return names == state-indexInRecord && print == uint64(n.size), nil
	default:
		return false, nil
	}
	w, err := f.folder(dir)
	state := int64(indexDiffers)
	if err == nil && w.blocks != nil &&
		(w.blocks.size > most || most == maxIndexOnce && len(w.blocks.runs) > maxRunsOnce) {
		return false, nil
	}
	if err == nil {
		var print uint64
		var names int64
		_, err = w.each(func(ref reference, fn fileName) error {
			print += f.namePrint(ref, fn.name)
			names++
			return nil
		})
		if err == nil {
			if p, n := f.recordsPrint(dir); p == print && n == names {
				state = indexAgrees
			}
		}
	}
	if err != nil && !recoverable(err) {
		return false, err
	}
	atomic.StoreInt64(&n.allocated, state)
	return state == indexAgrees, nil
}

// doubt is the error of a name of which index and record say different things.
func doubt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInDoubt, fmt.Sprintf(format, args...))
}

// confirm decides between the names that the records have and those that the
// index has, all the same but for case. It returns the name in the records that
// both have.
func (f *FS) confirm(dir uint32, element string, claims []*name, folded []uint16) (*name, error) {
	matches, err := f.search(dir, folded)
	if err != nil {
		if !recoverable(err) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: the index of its folder, record %d, cannot be read: %w", ErrInDoubt, dir, err)
	}
	var best *name
	open := error(nil) // why the name is in doubt
	for _, n := range claims {
		i := slices.IndexFunc(matches, func(m indexMatch) bool { return f.isNamed(n, m.ref) })
		switch {
		case i < 0:
			open = doubt("record %d has the name, and the index of its folder, record %d, does not", n.record, dir)
		case best == nil || f.prefer(n, best, element) < 0:
			best = n
		}
	}
	for _, m := range matches {
		if !slices.ContainsFunc(claims, func(n *name) bool { return f.isNamed(n, m.ref) }) {
			open = f.unclaimed(dir, m)
			if m.name == element { // it is the one that was meant
				return nil, open
			}
		}
	}
	switch {
	case best != nil && (open == nil || string(f.index.text(best)) == element):
		return best, nil
	case open != nil:
		return nil, open
	}
	return nil, fs.ErrNotExist
}

// isNamed reports whether an entry of the index names the record that has the
// name.
func (f *FS) isNamed(n *name, ref reference) bool {
	return ref == makeReference(n.record, f.index.node(n.record).sequence)
}

// unclaimed returns why the record that an index names does not have the name.
func (f *FS) unclaimed(dir uint32, m indexMatch) error {
	if m.ref.record() >= uint64(f.records) {
		return corrupt("the index of its folder, record %d, names record %d of %d", dir, m.ref.record(), f.records)
	}
	record := uint32(m.ref.record())
	switch n := f.index.node(record); {
	case n.flags&(nodeBad|nodePartial) != 0:
		return damaged(record, n.why)
	case n.flags&nodeBase == 0:
		return doubt("the index of its folder, record %d, names record %d, which is free", dir, record)
	case n.sequence != m.ref.sequence():
		return doubt("the index of its folder, record %d, names record %d as it was before it was used again", dir, record)
	}
	return doubt("the index of its folder, record %d, names record %d, which does not have the name", dir, record)
}

// doubts holds the names on which a directory's index and the records disagree.
type doubts struct {
	torn map[uint32]error // ids of names that the records have and the index does not; nil, or the index's entry instead
	lost []lostEntry      // names that the index has, and no record
	err  error            // why the index cannot be read, or not to its end
}

// lostEntry is a name that the index has, and no record.
type lostEntry struct {
	indexMatch
	record uint32 // 0 if no record has that number
	err    error
}

// maxLost bounds how many of the names that only an index has are listed.
const maxLost = 1 << 16

// doubts finds the names in doubt in a directory; nil if there are none. An
// index of more than most bytes is not read for it, unless names are missing
// anyway.
func (f *FS) doubts(dir uint32, most int64) (*doubts, error) {
	if ok, err := f.agrees(dir, most); ok || err != nil {
		return nil, err
	}
	if state := atomic.LoadInt64(&f.index.node(dir).allocated); state == indexLarge || state == indexUnknown && most == 0 {
		return nil, nil // it was not read, since it is too large for this
	}
	x := &f.index
	d := &doubts{torn: make(map[uint32]error)}
	const mark = 48 // bytes that a name in the map takes
	kids := x.children(dir)
	if err := x.fits(mark * int64(len(kids))); err != nil {
		return nil, err
	}
	for _, id := range kids {
		d.torn[id] = nil
	}
	var text []byte
	w, err := f.folder(dir)
	var stray int64
	if err == nil {
		stray, err = w.each(func(ref reference, fn fileName) error {
			hash, whole := f.up.hash(fn.name), false
			if text, whole = appendName(text[:0], fn.name); !whole { // it is looked up as it is shown
				hash, _ = f.up.foldName(string(text))
			}
			if id, ok := f.claim(dir, ref, hash, text); ok {
				delete(d.torn, id)
				return nil
			}
			if len(d.lost) == maxLost {
				return unsupported("more than %d names that no record has", maxLost)
			}
			m := newMatch(ref, fn)
			if id, ok := f.claimBefore(dir, ref, hash, text); ok {
				if _, torn := d.torn[id]; torn {
					d.torn[id] = f.unclaimed(dir, m)
					return nil
				}
			}
			l := lostEntry{indexMatch: m, err: f.unclaimed(dir, m)}
			if ref.record() < uint64(f.records) {
				l.record = uint32(ref.record())
			}
			d.lost = append(d.lost, l)
			return nil
		})
	}
	if err == nil && stray != 0 && f.damage.Count > 0 {
		err = corrupt("%d blocks are in use outside of the tree", stray) // they may be names from damaged records
	}
	if err != nil {
		if !recoverable(err) {
			return nil, err
		}
		d.err = indexError(dir, err)
	}
	return d, nil
}

// listed returns the names to be listed: those for DOS only where they are the
// record's only ones.
func (d *doubts) listed() []lostEntry {
	long := map[uint32]bool{}
	for _, l := range d.lost {
		long[l.record] = long[l.record] || !l.dos
	}
	var list []lostEntry
	for _, l := range d.lost {
		if (!l.dos || !long[l.record]) && sayable([]byte(l.name)) {
			list = append(list, l)
		}
	}
	return list
}

// claim returns the name of a record that an entry of the index stands for.
func (f *FS) claim(dir uint32, ref reference, hash uint16, text []byte) (uint32, bool) {
	for _, id := range f.candidates(dir, hash) {
		n := f.index.name(id)
		if f.isNamed(n, ref) && string(f.index.text(n)) == string(text) {
			return id, true
		}
	}
	return 0, false
}

// claimBefore is claim for an entry that has the record's number and another
// sequence number.
func (f *FS) claimBefore(dir uint32, ref reference, hash uint16, text []byte) (uint32, bool) {
	for _, id := range f.candidates(dir, hash) {
		if n := f.index.name(id); uint64(n.record) == ref.record() && string(f.index.text(n)) == string(text) {
			return id, true
		}
	}
	return 0, false
}

func (d *doubts) isTorn(id uint32) bool {
	_, ok := d.torn[id]
	return ok
}

// tornError is the error of a name that a record has, and its directory's index
// does not.
func (d *doubts) tornError(dir, id, record uint32) error {
	if err := d.torn[id]; err != nil {
		return err
	}
	if d.err != nil {
		return fmt.Errorf("%w: %w", ErrInDoubt, d.err)
	}
	return doubt("record %d has the name, and the index of its folder, record %d, does not", record, dir)
}

// remember keeps a name that was asked for and is in doubt, for Damage.
func (f *FS) remember(path string, err error) {
	if !errors.Is(err, ErrInDoubt) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.damage.InDoubt) == maxDamaged {
		return
	}
	for _, d := range f.damage.InDoubt {
		if d.Name == path {
			return
		}
	}
	f.damage.InDoubt = append(f.damage.InDoubt, DoubtfulName{path, err})
}
