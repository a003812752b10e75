package ntfs

import (
	"fmt"
	"io/fs"
	"slices"
)

// maxList is the size that an attribute list may have, in bytes: NTFS gives it
// no more.
const maxList = 256 << 10

// inode is a base record together with its extension records.
type inode struct {
	number     uint32
	sequence   uint16
	flags      uint16
	attributes []attribute
}

// load reads a record in use with all that belongs to it. Where there is an
// attribute list it decides: every attribute that it names must be there.
func (f *FS) load(number uint32) (*inode, error) {
	r, attributes, err := f.readRecord(number)
	if err != nil {
		return nil, err
	}
	ino := &inode{number: number, sequence: r.sequence, flags: r.flags, attributes: attributes}
	list, err := readList(f.disk, attributes)
	if err != nil {
		return nil, fmt.Errorf("record %d: attribute list: %w", number, err)
	}
	if list == nil {
		return ino, nil
	}
	self := makeReference(number, r.sequence)
	held := map[reference][]attribute{self: attributes}
	ino.attributes = nil
	for len(list) > 0 {
		e, rest, why := nextListEntry(list)
		if why != readable {
			return nil, damaged(number, why)
		}
		list = rest
		there, ok := held[e.ref]
		if !ok {
			if there, err = f.readExtension(e.ref, self); err != nil {
				return nil, fmt.Errorf("record %d: %w", number, err)
			}
			held[e.ref] = there
		}
		i := slices.IndexFunc(there, e.names)
		if i < 0 {
			return nil, corrupt("record %d: %s", number, e.missing())
		}
		ino.attributes = append(ino.attributes, there[i])
	}
	return ino, nil
}

// missing is the error for an entry whose target is not in the place that it names.
func (e listEntry) missing() string {
	return fmt.Sprintf("%s with id %d is not in record %d", attributeName(e.kind, decodeName(e.name)), e.id,
		e.ref.record())
}

func (e listEntry) names(a attribute) bool {
	return a.kind == e.kind && a.id == e.id && a.lowest == e.lowest && string(a.name) == string(e.name)
}

// readList returns the content of the attribute list, nil if there is none.
func readList(d *disk, attributes []attribute) ([]byte, error) {
	i := slices.IndexFunc(attributes, func(a attribute) bool { return a.kind == typeAttributeList })
	if i < 0 {
		return nil, nil
	}
	s, err := newStream(d, []attribute{attributes[i]})
	if err != nil {
		return nil, err
	}
	return s.readAll(maxList)
}

// readRecord reads one record in use and its attributes.
func (f *FS) readRecord(number uint32) (record, []attribute, error) {
	buf := make([]byte, f.boot.recordSize)
	if err := f.mft.readAt(buf, int64(number)*int64(len(buf))); err != nil {
		return record{}, nil, fmt.Errorf("record %d: %w", number, err)
	}
	r, why, err := f.openOrMirror(buf, number)
	if err != nil {
		return record{}, nil, err
	}
	if why == readable && r.flags&recordInUse == 0 {
		return record{}, nil, corrupt("record %d is not in use", number)
	}
	var attributes []attribute
	if why == readable {
		attributes, why = decodeAttributes(r)
	}
	if why != readable {
		return record{}, nil, damaged(number, why)
	}
	return r, attributes, nil
}

func decodeAttributes(r record) (list []attribute, why reason) {
	for buf := r.buf; ; {
		var a attribute
		if buf, why = next(buf, &a); why != readable {
			return nil, why
		}
		if a.kind == typeEnd {
			return list, readable
		}
		list = append(list, a)
	}
}

// readExtension reads a record that must be an extension of base.
func (f *FS) readExtension(ref, base reference) ([]attribute, error) {
	if ref.record() >= uint64(f.records) {
		return nil, corrupt("extension record %d of %d", ref.record(), f.records)
	}
	r, attributes, err := f.readRecord(uint32(ref.record()))
	if err != nil {
		return nil, err
	}
	if r.sequence != ref.sequence() || r.base != base {
		return nil, corrupt("record %d is not its extension any more", ref.record())
	}
	return attributes, nil
}

// find returns the extents of the attribute with the given kind and ASCII
// name.
func (ino *inode) find(kind uint32, name string) []attribute {
	var extents []attribute
	for _, a := range ino.attributes {
		if a.kind == kind && a.named(name) {
			extents = append(extents, a)
		}
	}
	return extents
}

// stream opens the attribute with the given kind and ASCII name;
// fs.ErrNotExist if there is none.
func (ino *inode) stream(d *disk, kind uint32, name string) (*stream, error) {
	extents := ino.find(kind, name)
	if len(extents) == 0 {
		return nil, fs.ErrNotExist
	}
	s, err := newStream(d, extents)
	if err != nil {
		return nil, fmt.Errorf("record %d: %s: %w", ino.number, attributeName(kind, name), err)
	}
	return s, nil
}

// need opens a required attribute.
func (ino *inode) need(d *disk, kind uint32, name string) (*stream, error) {
	s, err := ino.stream(d, kind, name)
	if err == fs.ErrNotExist {
		err = corrupt("record %d has no %s", ino.number, attributeName(kind, name))
	}
	return s, err
}
