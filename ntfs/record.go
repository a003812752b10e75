package ntfs

import "fmt"

// Attribute types.
const (
	typeStandardInformation = 0x10
	typeAttributeList       = 0x20
	typeFileName            = 0x30
	typeSecurityDescriptor  = 0x50
	typeVolumeName          = 0x60
	typeVolumeInformation   = 0x70
	typeData                = 0x80
	typeIndexRoot           = 0x90
	typeIndexAllocation     = 0xA0
	typeBitmap              = 0xB0
	typeReparsePoint        = 0xC0
	typeEnd                 = 0xFFFFFFFF
)

var typeNames = map[uint32]string{
	typeStandardInformation: "$STANDARD_INFORMATION",
	typeAttributeList:       "$ATTRIBUTE_LIST",
	typeFileName:            "$FILE_NAME",
	typeSecurityDescriptor:  "$SECURITY_DESCRIPTOR",
	typeVolumeName:          "$VOLUME_NAME",
	typeVolumeInformation:   "$VOLUME_INFORMATION",
	typeData:                "$DATA",
	typeIndexRoot:           "$INDEX_ROOT",
	typeIndexAllocation:     "$INDEX_ALLOCATION",
	typeBitmap:              "$BITMAP",
	typeReparsePoint:        "$REPARSE_POINT",
}

// attributeName is how an attribute is called in messages.
func attributeName(kind uint32, name string) string {
	s := typeNames[kind]
	if s == "" {
		s = fmt.Sprintf("attribute 0x%X", kind)
	}
	if name != "" {
		s += ":" + name
	}
	return s
}

// Flags of a record and of an attribute.
const (
	recordInUse     = 0x0001
	recordDirectory = 0x0002

	attrCompressionMask = 0x00FF // 1 is LZNT1
	attrEncrypted       = 0x4000
	attrSparse          = 0x8000
)

// reference is a record number (48 bits) and the sequence number that the
// record had when the reference was made.
type reference uint64

func (r reference) record() uint64   { return uint64(r) & (1<<48 - 1) }
func (r reference) sequence() uint16 { return uint16(r >> 48) }

func makeReference(record uint32, sequence uint16) reference {
	return reference(uint64(sequence)<<48 | uint64(record))
}

// record is a file record whose fixups were applied.
//
//	 0  4  "FILE"
//	 4  2  offset of the update sequence array, 6  2  its length in words
//	16  2  sequence number
//	20  2  offset of the first attribute
//	22  2  flags
//	24  4  bytes in use
//	32  8  reference of the base record; 0 in a base record
//	44  4  number of this record (since NTFS 3.1: the array begins at 48)
//
// libfsntfs, File entry (MFT entry) header.
type record struct {
	buf      []byte
	sequence uint16
	flags    uint16
	base     reference
}

// openRecord checks a record and applies its fixups in place.
func openRecord(buf []byte, number uint32) (record, reason) {
	switch string(buf[:4]) {
	case "FILE":
	case "BAAD":
		return record{}, reasonMarked
	default:
		return record{}, reasonSignature
	}
	if why := fixup(buf); why != readable {
		return record{}, why
	}
	r := record{
		sequence: le.Uint16(buf[16:]),
		flags:    le.Uint16(buf[22:]),
		base:     reference(le.Uint64(buf[32:])),
	}
	if r.flags&recordInUse == 0 {
		return r, readable
	}
	array := int(le.Uint16(buf[4:]))
	if array >= 48 && le.Uint32(buf[44:]) != number {
		return record{}, reasonNumber
	}
	first, used := int(le.Uint16(buf[20:])), le.Uint32(buf[24:])
	if used > uint32(len(buf)) || first < array+2*(len(buf)/stride+1) || first%8 != 0 || first > int(used) {
		return record{}, reasonHeader
	}
	r.buf = buf[first:used]
	return r, readable
}

// fixup checks that the last word of every stride holds the update sequence
// number, and puts back the word that belongs there. A block that was written
// only in part fails here.
func fixup(buf []byte) reason {
	array, words := int(le.Uint16(buf[4:])), int(le.Uint16(buf[6:]))
	if words != len(buf)/stride+1 || array < 8 || array%2 != 0 || array+2*words > stride-2 {
		return reasonHeader
	}
	usn := le.Uint16(buf[array:])
	for end := stride; end <= len(buf); end += stride {
		if le.Uint16(buf[end-2:]) != usn {
			return reasonTorn
		}
	}
	for i := 1; i < words; i++ {
		copy(buf[i*stride-2:i*stride], buf[array+2*i:])
	}
	return readable
}

// attribute is one attribute of a record; its slices share the record's
// memory.
//
//	 0  4  type
//	 4  4  length
//	 8  1  not resident
//	 9  1  length of the name in UTF-16 units, 10  2  its offset
//	12  2  flags
//	14  2  id
//
// resident:
//
//	16  4  length of the value, 20  2  its offset
//
// not resident:
//
//	16  8  lowest VCN, 24  8  highest VCN
//	32  2  offset of the mapping pairs
//	34  2  compression unit, as an exponent of clusters
//	40  8  allocated, 48  8  size, 56  8  initialized: valid where the lowest VCN is 0
//	64  8  allocated, holes not counted: where the attribute is compressed or sparse
//
// libfsntfs, MFT attribute.
type attribute struct {
	kind     uint32
	id       uint16
	flags    uint16
	resident bool
	unit     uint8  // exponent of the compression unit
	name     []byte // UTF-16LE
	value    []byte // of a resident attribute, else its mapping pairs

	lowest, highest              int64 // VCNs; highest is -1 where there are no clusters
	allocated, size, initialized int64 // in bytes; allocated without holes
}

// next decodes the attribute at the start of buf and returns the rest. At the
// end marker the attribute's kind is typeEnd.
func next(buf []byte, a *attribute) (rest []byte, why reason) {
	if len(buf) < 4 {
		return nil, reasonAttribute
	}
	a.kind = le.Uint32(buf)
	if a.kind == typeEnd {
		return nil, readable
	}
	if len(buf) < 24 {
		return nil, reasonAttribute
	}
	length := le.Uint32(buf[4:])
	if length < 24 || length%8 != 0 || uint64(length) > uint64(len(buf)) {
		return nil, reasonAttribute
	}
	buf, rest = buf[:length], buf[length:]
	a.flags = le.Uint16(buf[12:])
	a.id = le.Uint16(buf[14:])
	a.name = nil
	if n := 2 * int(buf[9]); n > 0 {
		at := int(le.Uint16(buf[10:]))
		if at+n > len(buf) {
			return nil, reasonAttribute
		}
		a.name = buf[at : at+n]
	}
	a.resident = buf[8] == 0
	if a.resident {
		n, at := uint64(le.Uint32(buf[16:])), uint64(le.Uint16(buf[20:]))
		if at+n > uint64(len(buf)) {
			return nil, reasonAttribute
		}
		a.value = buf[at : at+n]
		a.size = int64(n)
		a.initialized, a.allocated, a.lowest, a.highest, a.unit = a.size, 0, 0, 0, 0
		return rest, readable
	}
	if len(buf) < 64 {
		return nil, reasonAttribute
	}
	at := int(le.Uint16(buf[32:]))
	if at < 64 || at > len(buf) {
		return nil, reasonAttribute
	}
	a.value = buf[at:]
	a.lowest, a.highest = int64(le.Uint64(buf[16:])), int64(le.Uint64(buf[24:]))
	a.unit = buf[34]
	a.allocated, a.size, a.initialized = int64(le.Uint64(buf[40:])), int64(le.Uint64(buf[48:])), int64(le.Uint64(buf[56:]))
	if a.lowest < 0 || a.highest < a.lowest-1 {
		return nil, reasonAttribute
	}
	if a.lowest > 0 {
		return rest, readable
	}
	if a.flags&(attrCompressionMask|attrSparse) != 0 && len(buf) >= 72 && at >= 72 {
		a.allocated = int64(le.Uint64(buf[64:]))
	}
	if a.allocated < 0 || a.size < 0 || a.initialized < 0 {
		return nil, reasonAttribute
	}
	return rest, readable
}

// named reports whether the attribute has the given ASCII name.
func (a *attribute) named(name string) bool {
	if len(a.name) != 2*len(name) {
		return false
	}
	for i := range len(name) {
		if a.name[2*i] != name[i] || a.name[2*i+1] != 0 {
			return false
		}
	}
	return true
}

// fileName is the value of a $FILE_NAME attribute and the key of an entry of
// a directory's index.
//
//	 0  8  reference of the parent
//	48  8  size of the unnamed $DATA, in an index as of when it was last closed
//	56  4  FILE_ATTRIBUTE_*, with 0x10000000 for a directory
//	64  1  length of the name in UTF-16 units
//	65  1  namespace
//	66     name
//
// libfsntfs, The file name attribute.
type fileName struct {
	parent    reference
	directory bool
	namespace uint8
	name      []byte // UTF-16LE
	size      int64  // in bytes; below 0 where it cannot be
}

// Namespaces of a name.
const (
	namespaceDOS = 2 // a second name, in 8.3 form, of a file that has a longer one
)

func parseFileName(value []byte) (fileName, reason) {
	if len(value) < 68 {
		return fileName{}, reasonName
	}
	n := 2 * int(value[64])
	if n == 0 || 66+n > len(value) {
		return fileName{}, reasonName
	}
	return fileName{
		parent:    reference(le.Uint64(value)),
		directory: le.Uint32(value[56:])&0x10000000 != 0,
		namespace: value[65],
		name:      value[66 : 66+n],
		size:      int64(le.Uint64(value[48:])),
	}, readable
}

// listEntry is an entry of an attribute list: the location of an attribute, or
// of one extent of it.
//
//	 0  4  type of the attribute
//	 4  2  length of the entry
//	 6  1  length of the name in UTF-16 units, 7  1  its offset
//	 8  8  lowest VCN
//	16  8  reference of the record
//	24  2  id of the attribute
//
// libfsntfs, The attribute list attribute.
type listEntry struct {
	kind   uint32
	name   []byte
	lowest int64
	ref    reference
	id     uint16
}

// listEntrySize is the length of the entry that Windows and other writers make
// for an attribute whose name has so many bytes.
func listEntrySize(name int) int64 { return int64(26+name+7) &^ 7 }

// nextListEntry decodes the entry at the start of list and returns the rest.
func nextListEntry(list []byte) (e listEntry, rest []byte, why reason) {
	if len(list) < 26 {
		return listEntry{}, nil, reasonList
	}
	length := int(le.Uint16(list[4:]))
	n, at := 2*int(list[6]), int(list[7])
	if length < 26 || length > len(list) || (n > 0 && at+n > length) {
		return listEntry{}, nil, reasonList
	}
	e = listEntry{
		kind:   le.Uint32(list),
		lowest: int64(le.Uint64(list[8:])),
		ref:    reference(le.Uint64(list[16:])),
		id:     le.Uint16(list[24:]),
	}
	if n > 0 {
		e.name = list[at : at+n]
	}
	return e, list[length:], readable
}
