package ntfs

import "io/fs"

// maxPathBytes bounds the path of a directory below the start of a Walk, in
// bytes: Windows knows none of more than 32,767 units, each of which is at
// most three bytes of UTF-8.
const maxPathBytes = 3 * 32767

// Walk calls fn for every file and directory below a directory, parents before
// what is in them, in no other order. path is relative to the start, with "/",
// and valid until fn returns; a file with several names below the start comes
// with each of them, a directory once. No link is followed. It takes the index
// in memory and reads nothing, but for the directories' own indexes where some
// records are damaged.
//
// damaged counts what could not be shown: entries whose record cannot be read,
// and directories whose index could not be asked for such. The error is fn's,
// or ErrCorrupt where directories lie deeper than any path can say.
func (f *FS) Walk(name string, fn func(path []byte, e *Entry) error) (damaged int64, err error) {
	start, err := f.resolve(name)
	if err == nil {
		w := walk{f: f, fn: fn, seen: make(marks)}
		if err = w.run(start); err == nil {
			return w.damaged, nil
		}
		if w.told {
			return w.damaged, err
		}
	}
	return 0, &fs.PathError{Op: "walk", Path: name, Err: err}
}

type walk struct {
	f       *FS
	fn      func(path []byte, e *Entry) error
	told    bool // the error is fn's
	seen    marks
	damaged int64
	stack   []level
	path    []byte
}

// level is a directory that the walk is in.
type level struct {
	kids []uint32 // names that are still to come
	path int      // length of the directory's own path
}

func (w *walk) run(start uint32) error {
	w.seen.add(start)
	if err := w.enter(start); err != nil {
		return err
	}
	for len(w.stack) > 0 {
		here := &w.stack[len(w.stack)-1]
		w.path = w.path[:here.path]
		if len(here.kids) == 0 {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		n := w.f.index.name(here.kids[0])
		here.kids = here.kids[1:]
		if w.f.hidden(n) {
			continue
		}
		if err := w.visit(n); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) visit(n *name) error {
	dir := w.f.index.node(n.record).flags&nodeDir != 0
	if dir && !w.seen.add(n.record) {
		return nil
	}
	if len(w.path) > 0 {
		w.path = append(w.path, '/')
	}
	if w.path = append(w.path, w.f.index.text(n)...); len(w.path) > maxPathBytes {
		return corrupt("directories that lie deeper than a path of %d bytes can say", maxPathBytes)
	}
	e, err := w.f.entry(n.record)
	if err != nil {
		w.damaged++
	} else if err := w.fn(w.path, e); err != nil {
		w.told = true
		return err
	}
	if !dir {
		return nil
	}
	return w.enter(n.record)
}

// enter takes a directory as the next one, and counts what is lost of it.
func (w *walk) enter(dir uint32) error {
	w.stack = append(w.stack, level{kids: w.f.index.children(dir), path: len(w.path)})
	if w.f.damage.Count == 0 {
		return nil
	}
	lost, err := w.f.lost(dir)
	if err != nil {
		if !recoverable(err) {
			return err
		}
		w.damaged++
	}
	for _, l := range lost {
		if l.record == 0 || w.seen.add(l.record) { // its names for DOS and Windows are one
			w.damaged++
		}
	}
	return nil
}
