package xfs

import (
	"fmt"
	"slices"
)

// Before a change of several parts begins, an intent is logged. When all parts
// are done, a done item is logged. At mount, the kernel finishes an intent that
// has no done item. Here, whatever such an intent affects is an error, with two
// exceptions: blocks to be freed are counted, and the reverse mapping tree is
// never read.

// intentID names an intent; their numbers are addresses in the kernel's memory,
// which different kinds may share over time.
type intentID struct {
	kind uint16
	id   uint64
}

// intentKind describes a type of intent.
type intentKind struct {
	name string
	done uint16 // the type of the item that says that it is done
}

var intentKinds = map[uint16]intentKind{
	itemEFI:   {"EFI", itemEFD},
	itemRUI:   {"RUI", itemRUD},
	itemCUI:   {"CUI", itemCUD},
	itemBUI:   {"BUI", itemBUD},
	itemAttrI: {"ATTRI", itemAttrD},
	itemXMI:   {"XMI", itemXMD},
}

// intent notes an intent, or that one is done. Both have, little-endian, 2
// bytes type, 2  regions, 4  how many parts, 8  the number of the intent.
func (r *replayer) intent(i *item) error {
	b := i.regions[0]
	if len(b) < 16 {
		return corrupt("an intent of %d bytes", len(b))
	}
	kind, id := i.kind(), le.Uint64(b[8:])
	if _, ok := intentKinds[kind]; ok {
		parts := slices.Concat(i.regions...)
		r.intents[intentID{kind, id}] = parts
		return r.hold(len(parts))
	}
	for begun, k := range intentKinds {
		if k.done == kind {
			if parts, ok := r.intents[intentID{begun, id}]; ok {
				delete(r.intents, intentID{begun, id})
				r.held -= len(parts) + regionCost
			}
			return nil
		}
	}
	return unsupported("an item of type 0x%X in the log", kind)
}

// finish looks at the intents that are not done.
func (r *replayer) finish() error {
	for id, b := range r.intents {
		name := intentKinds[id.kind].name
		r.log.Unfinished = append(r.log.Unfinished, name)
		if err := r.f.conclude(id.kind, b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	slices.Sort(r.log.Unfinished)
	return nil
}

// conclude handles one unfinished intent. After the header it has, for blocks to
// be freed: 8  first, 4  how many, 4  -; for changes of a file's extents: 8
// inode, 8  first block, 8  place in the file, 4  how many, 4  what; for
// attributes 8 inode; for extents exchanged between files 8 inode, 8 inode.
func (f *FS) conclude(kind uint16, b []byte) error {
	const head = 16
	count, parts := int(le.Uint32(b[4:])), b[head:]
	unfinished := func(name string) error {
		return unsupported("the log has a change of it that is not finished (%s)", name)
	}
	short := corrupt("%d parts in %d bytes", count, len(parts))
	switch kind {
	case itemEFI:
		width := 16
		if len(parts) == 12*count && count > 0 { // of a 32-bit machine
			width = 12
		}
		if int64(len(parts)) < int64(width)*int64(count) {
			return short
		}
		for ; count > 0; count-- {
			first, blocks := le.Uint64(parts), uint64(le.Uint32(parts[8:]))
			if !f.super.valid(first, blocks) {
				return corrupt("%d blocks at %d", blocks, first)
			}
			f.freed += int64(blocks)
			parts = parts[width:]
		}
	case itemRUI:
	case itemCUI:
		f.unfinished = unsupported(
			"the log has changes of what blocks are shared that are not finished (CUI); the free space is unknown")
	case itemBUI:
		if int64(len(parts)) < 32*int64(count) {
			return short
		}
		for ; count > 0; count-- {
			f.suspend(le.Uint64(parts), unfinished("BUI"))
			parts = parts[32:]
		}
		f.unfinished = unsupported(
			"the log has changes of extents that are not finished (BUI); the free space is unknown")
	case itemAttrI:
		if len(parts) < 8 {
			return short
		}
		f.suspend(le.Uint64(parts), unfinished("ATTRI"))
		f.unfinished = unsupported(
			"the log has changes of attributes that are not finished (ATTRI); the free space is unknown")
	case itemXMI:
		if len(parts) < 16 {
			return short
		}
		f.suspend(le.Uint64(parts), unfinished("XMI"))
		f.suspend(le.Uint64(parts[8:]), unfinished("XMI"))
		f.unfinished = unsupported(
			"the log has extents exchanged between files that are not finished (XMI); the free space is unknown")
	}
	return nil
}
