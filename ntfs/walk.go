package ntfs

import (
	"io/fs"
	"math"
	"path"
)

// maxPathBytes bounds the path of a directory below the start of a Walk, in
// bytes: Windows paths have at most 32,767 units, each of which is at most
// three bytes of UTF-8.
const maxPathBytes = 3 * 32767

// Walk calls fn for every file and directory below a directory, parents before
// their content, in no other order. path is relative to the start, with "/",
// and valid until fn returns; a file with several names below the start comes
// with each of them, a directory once. No link is followed. It uses the index
// in memory and reads the index of every directory that is not small.
//
// A name in doubt, or whose record cannot be read, comes with Entry.Doubt, and so
// does everything below such a directory; the other fields then hold what is
// known. damaged counts the directories whose index or record cannot be read. The
// error is fn's, or ErrCorrupt where directories are nested deeper than the
// longest path.
func (f *FS) Walk(name string, fn func(path []byte, e *Entry) error) (damaged int64, err error) {
	return f.walk(name, fn, false)
}

func (f *FS) walk(name string, fn func(path []byte, e *Entry) error, records bool) (damaged int64, err error) {
	start, err := f.resolve(name)
	if err == nil {
		w := walk{f: f, records: records, fn: fn, name: name, seen: make(marks), doubtful: make(marks)}
		if err = w.run(start); err == nil {
			return w.damaged, nil
		}
		if w.told {
			return w.damaged, err
		}
	}
	return 0, &fs.PathError{Op: "walk", Path: name, Err: err}
}

// WalkRecords is Walk by the records only: it reads no directory index unless
// records are damaged, so it also passes names that Windows would not find. Use
// Stat to check the names that matter.
func (f *FS) WalkRecords(name string, fn func(path []byte, e *Entry) error) (damaged int64, err error) {
	return f.walk(name, fn, f.damage.Count == 0)
}

type walk struct {
	f              *FS
	records        bool // the indexes of directories are not read
	fn             func(path []byte, e *Entry) error
	name           string
	told           bool  // the error is fn's
	seen, doubtful marks // directories that were met, and that were met in doubt
	damaged        int64
	stack          []level
	path           []byte
}

// level is a directory that the walk is in.
type level struct {
	dir    uint32
	kids   []uint32 // names that are still to come
	lost   []lostEntry
	doubts *doubts
	doubt  error // of the directory itself
	path   int   // length of the directory's own path
}

func (w *walk) run(start uint32) error {
	w.seen.add(start)
	if err := w.enter(start, nil); err != nil {
		return err
	}
	for len(w.stack) > 0 {
		here := &w.stack[len(w.stack)-1]
		w.path = w.path[:here.path]
		switch {
		case len(here.kids) > 0:
			id := here.kids[0]
			here.kids = here.kids[1:]
			if err := w.visit(here, id); err != nil {
				return err
			}
		case len(here.lost) > 0:
			l := here.lost[0]
			here.lost = here.lost[1:]
			if err := w.visitLost(l); err != nil {
				return err
			}
		default:
			w.stack = w.stack[:len(w.stack)-1]
		}
	}
	return nil
}

func (w *walk) visit(here *level, id uint32) error {
	n := w.f.index.name(id)
	if w.f.hidden(n) {
		return nil
	}
	doubt := here.doubt
	if doubt == nil && here.doubts != nil && here.doubts.isTorn(id) {
		doubt = here.doubts.tornError(here.dir, id, n.record)
	}
	met := w.seen
	if doubt != nil {
		met = w.doubtful
	}
	dir := w.f.index.node(n.record).flags&nodeDir != 0
	if dir && !met.add(n.record) {
		return nil
	}
	if err := w.extend(w.f.index.text(n)); err != nil {
		return err
	}
	e, err := w.f.entry(n.record)
	if err != nil {
		e = &Entry{Record: uint64(n.record), Dir: dir}
		if doubt == nil {
			doubt = err
		}
	}
	if e.Doubt = doubt; doubt != nil && dir && err != nil {
		w.damaged++
	}
	if err := w.call(e); err != nil {
		return err
	}
	if !dir {
		return nil
	}
	return w.enter(n.record, doubt)
}

// visitLost visits a name that only the directory's index has. For a directory,
// its content is unknown.
func (w *walk) visitLost(l lostEntry) error {
	if err := w.extend([]byte(l.name)); err != nil {
		return err
	}
	if l.dir {
		w.damaged++
	}
	return w.call(&Entry{Record: uint64(l.record), Sequence: l.ref.sequence(), Dir: l.dir, Size: max(0, l.size),
		Doubt: l.err})
}

// extend adds an element to the path.
func (w *walk) extend(name []byte) error {
	if len(w.path) > 0 {
		w.path = append(w.path, '/')
	}
	if w.path = append(w.path, name...); len(w.path) > maxPathBytes {
		return corrupt("directories are deeper than a path of %d bytes allows", maxPathBytes)
	}
	return nil
}

func (w *walk) call(e *Entry) error {
	if e.Doubt != nil {
		w.f.remember(path.Join(w.name, string(w.path)), e.Doubt)
	}
	err := w.fn(w.path, e)
	w.told = err != nil
	return err
}

// enter takes a directory as the next one.
func (w *walk) enter(dir uint32, doubt error) error {
	l := level{dir: dir, kids: w.f.index.children(dir), doubt: doubt, path: len(w.path)}
	if w.records {
		w.stack = append(w.stack, l)
		return nil
	}
	d, err := w.f.doubts(dir, math.MaxInt64)
	if err != nil {
		return err
	}
	if d != nil {
		l.doubts, l.lost = d, d.listed()
		if d.err != nil {
			w.damaged++
		}
	}
	w.stack = append(w.stack, l)
	return nil
}
