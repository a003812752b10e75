package ntfs

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
)

// resolve returns the record that the name leads to.
func (f *FS) resolve(name string) (uint32, error) {
	if !fs.ValidPath(name) {
		return 0, fs.ErrInvalid
	}
	if n := f.index.node(recordRoot); n.flags&(nodeBase|nodeDir) != nodeBase|nodeDir {
		return 0, fmt.Errorf("root directory: %w", damaged(recordRoot, n.why))
	}
	record := uint32(recordRoot)
	if name == "." {
		return record, nil
	}
	for at := 0; at < len(name); {
		element := name[at:]
		if i := strings.IndexByte(element, '/'); i >= 0 {
			element = element[:i]
		}
		n := f.index.node(record)
		if at > 0 && n.flags&nodePartial == 0 && surrogate(n.tag) {
			return 0, unsupported("%s is a reparse point (tag 0x%08X) and not followed", name[:at-1], n.tag)
		}
		if n.flags&nodeDir == 0 {
			return 0, fs.ErrNotExist
		}
		var err error
		if record, err = f.child(record, element); err != nil {
			return 0, err
		}
		at += len(element) + 1
	}
	return record, nil
}

// child looks a name up in a directory.
func (f *FS) child(dir uint32, element string) (uint32, error) {
	hash, folded := f.up.foldName(element)
	var best *name
	var other uint32
	ambiguous := false
	for _, id := range f.candidates(dir, hash) {
		n := f.index.name(id)
		if n.hash != hash || !f.up.equal(f.index.text(n), folded) {
			continue
		}
		if best == nil {
			best = n
			continue
		}
		switch order := f.prefer(n, best, element); {
		case order < 0:
			best, ambiguous = n, false
		case order == 0 && n.record != best.record:
			other, ambiguous = n.record, true
		}
	}
	if best == nil {
		return 0, f.absent(dir, element, folded)
	}
	if ambiguous {
		return 0, corrupt("%s is the name of records %d and %d", element, best.record, other)
	}
	return best.record, nil
}

// prefer orders names that differ in case alone: the wanted one first, then
// by their bytes.
func (f *FS) prefer(a, b *name, wanted string) int {
	x, y := f.index.text(a), f.index.text(b)
	if string(x) == string(y) {
		return 0
	}
	if string(x) == wanted {
		return -1
	}
	if string(y) == wanted {
		return 1
	}
	return slices.Compare(x, y)
}

// manyChildren is from how many children on a directory's are ordered by
// their hashes when it is first looked into, so that looking all of them up
// takes no longer than sorting them.
const manyChildren = 512

// candidates returns children among which are all that have the hash.
func (f *FS) candidates(dir uint32, hash uint16) []uint32 {
	x := &f.index
	kids := x.children(dir)
	if len(kids) < manyChildren {
		return kids
	}
	sorted, ok := x.sorted.Load(dir)
	if !ok {
		kids = slices.Clone(kids)
		slices.SortFunc(kids, func(a, b uint32) int { return cmp.Compare(x.name(a).hash, x.name(b).hash) })
		sorted, _ = x.sorted.LoadOrStore(dir, kids)
	}
	kids = sorted.([]uint32)
	begin := sort.Search(len(kids), func(i int) bool { return x.name(kids[i]).hash >= hash })
	end := begin + sort.Search(len(kids)-begin, func(i int) bool { return x.name(kids[begin+i]).hash > hash })
	return kids[begin:end]
}

// absent says of a name that no readable record has whether it is truly not
// there.
func (f *FS) absent(dir uint32, element string, folded []uint16) error {
	lost, err := f.lostOnce(dir)
	for _, l := range lost {
		if f.up.equal([]byte(l.name), folded) {
			return l.err
		}
	}
	if err != nil {
		return fmt.Errorf("%s may have been there: %w", element, err)
	}
	return fs.ErrNotExist
}

// hidden reports whether the name is not to be listed: a DOS name of a file
// that has another one.
func (f *FS) hidden(n *name) bool {
	return n.dos && f.index.node(n.record).flags&nodeLong != 0
}

// ReadDir lists a directory, sorted by name. Names that are for DOS only (8.3)
// are looked up but not listed. The directory's own index is read too: names
// that only it has are listed, with an error for their Info, and if it cannot be
// read the error comes with what is known.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	record, err := f.resolve(name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	list, err := f.readDir(record)
	if err != nil {
		return list, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

func (f *FS) readDir(dir uint32) ([]fs.DirEntry, error) {
	x := &f.index
	if !x.node(dir).mode().IsDir() {
		return nil, fmt.Errorf("%w: not a directory", fs.ErrInvalid)
	}
	kids := x.children(dir)
	const entryCost = 128 // bytes, with the name
	if err := x.fits(entryCost * int64(len(kids))); err != nil {
		return nil, fmt.Errorf("a list of %d names: %w", len(kids), err)
	}
	entries := make([]dirEntry, 0, len(kids))
	for _, id := range kids {
		n := x.name(id)
		if text := x.text(n); !f.hidden(n) && sayable(text) {
			entries = append(entries, dirEntry{f: f, name: string(text), record: n.record, mode: x.node(n.record).mode()})
		}
	}
	lost, err := f.lost(dir)
	long := map[uint32]bool{}
	for _, l := range lost {
		long[l.record] = long[l.record] || !l.dos
	}
	for _, l := range lost {
		if (!l.dos || !long[l.record]) && sayable([]byte(l.name)) {
			entries = append(entries, dirEntry{f: f, name: l.name, record: l.record, mode: l.mode, lost: l.err})
		}
	}
	slices.SortFunc(entries, func(a, b dirEntry) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.record, b.record))
	})
	entries = slices.CompactFunc(entries, func(a, b dirEntry) bool { return a.name == b.name && a.record == b.record })
	list := make([]fs.DirEntry, len(entries))
	for i := range entries {
		list[i] = &entries[i]
	}
	return list, err
}

// Stat describes a file; Sys is its *Entry. It never follows a reparse point.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	record, err := f.resolve(name)
	if err == nil {
		var i *info
		if i, err = f.info(base(name), record); err == nil {
			return i, nil
		}
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
}

// Lstat is Stat: both describe the name itself.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.Stat(name) }

func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
