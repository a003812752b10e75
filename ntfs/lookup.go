package ntfs

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
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
			f.remember(name[:at+len(element)], err)
			return 0, err
		}
		at += len(element) + 1
	}
	return record, nil
}

// child looks a name up in a directory.
func (f *FS) child(dir uint32, element string) (uint32, error) {
	hash, folded := f.up.foldName(element)
	var claims []*name
	for _, id := range f.candidates(dir, hash) {
		if n := f.index.name(id); n.hash == hash && f.up.equal(f.index.text(n), folded) {
			claims = append(claims, n)
		}
	}
	ok, err := f.agrees(dir, maxIndexOnce)
	if err != nil {
		return 0, err
	}
	if !ok {
		n, err := f.confirm(dir, element, claims, folded)
		if err != nil {
			return 0, err
		}
		return n.record, nil
	}
	if len(claims) == 0 {
		return 0, fs.ErrNotExist
	}
	return slices.MinFunc(claims, func(a, b *name) int { return f.prefer(a, b, element) }).record, nil
}

// prefer orders names that differ only in case: the wanted one first, then
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

// hidden reports whether the name is not to be listed: a DOS name of a file
// that has another one.
func (f *FS) hidden(n *name) bool {
	return n.dos && f.index.node(n.record).flags&nodeLong != 0
}

// ReadDir lists a directory, sorted by name. Names that are for DOS only (8.3)
// are looked up but not listed. Names that are in doubt, and those whose record
// cannot be read, are listed with an error for their Info: ErrInDoubt or
// ErrCorrupt. If the directory's index cannot be read, ReadDir returns that
// error with the known entries.
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
	d, err := f.doubts(dir, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	entries := make([]dirEntry, 0, len(kids))
	for _, id := range kids {
		n := x.name(id)
		text := x.text(n)
		if f.hidden(n) || !sayable(text) {
			continue
		}
		e := dirEntry{f: f, name: string(text), record: n.record, mode: x.node(n.record).mode()}
		if d != nil && d.isTorn(id) {
			e.doubt = d.tornError(dir, id, n.record)
		}
		entries = append(entries, e)
	}
	if d != nil {
		err = d.err
		for _, l := range d.listed() {
			e := dirEntry{f: f, name: l.name, record: l.record, doubt: l.err}
			if l.dir {
				e.mode = fs.ModeDir
			}
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b dirEntry) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.record, b.record))
	})
	entries = slices.CompactFunc(entries, func(a, b dirEntry) bool {
		return a.name == b.name && a.record == b.record && a.doubt == nil && b.doubt == nil
	})
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
