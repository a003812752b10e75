package registry

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// A Type is the type of a value's data.
type Type uint32

// The types of values.
const (
	None                     Type = 0
	SZ                       Type = 1
	ExpandSZ                 Type = 2
	Binary                   Type = 3
	DWord                    Type = 4
	DWordBigEndian           Type = 5
	Link                     Type = 6
	MultiSZ                  Type = 7
	ResourceList             Type = 8
	FullResourceDescriptor   Type = 9
	ResourceRequirementsList Type = 10
	QWord                    Type = 11
)

var typeNames = [...]string{
	"REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_DWORD_BIG_ENDIAN", "REG_LINK", "REG_MULTI_SZ",
	"REG_RESOURCE_LIST", "REG_FULL_RESOURCE_DESCRIPTOR", "REG_RESOURCE_REQUIREMENTS_LIST", "REG_QWORD",
}

// String returns the type's name as Windows has it, such as "REG_SZ", or its number as "0x…".
func (t Type) String() string {
	if int64(t) < int64(len(typeNames)) {
		return typeNames[t]
	}
	return fmt.Sprintf("0x%x", uint32(t))
}

const (
	// valueRecordSize is the size of a key value record up to the name.
	valueRecordSize = 20
	// minValueCell is the smallest cell of a value: its size and the record. A hive has no more values than that
	// fits into it.
	minValueCell = 24
	// segmentSize is the size of the segments of big data, and of the largest data that is not big data.
	segmentSize = 16344
	// valueCost is the memory for a value of a hive in memory, in bytes.
	valueCost = 56
	// usualName is how much of a value's name is read with its record, in bytes: nearly all names are shorter.
	usualName = 256
	// inlineFlag in the size of the data means that the data is in the record itself.
	inlineFlag = 1 << 31
)

// Flags of key value records.
const (
	valueCompressedName = 0x0001
	valueTombstone      = 0x0002 // of a differencing hive: the value is not there
)

// A Value is a value of a key. It is safe for concurrent use.
type Value struct {
	key    *Key
	offset uint32
	record []byte // the fixed part and the name
}

// Layout of a key value record (regf, "Key value"):
//
//	0 "vk"                      12 type
//	2 length of the name, bytes 16 flags
//	4 size of the data, bytes   20 name
//	8 offset of the data, or the data itself
func (v *Value) sizeField() uint32    { return le.Uint32(v.record[4:]) }
func (v *Value) size() int            { return int(v.sizeField() &^ inlineFlag) }
func (v *Value) inline() bool         { return v.sizeField()&inlineFlag != 0 }
func (v *Value) dataOffset() uint32   { return le.Uint32(v.record[8:]) }
func (v *Value) flags() uint16        { return le.Uint16(v.record[16:]) }
func (v *Value) compressedName() bool { return v.flags()&valueCompressedName != 0 }
func (v *Value) name() rawName {
	return rawName{v.record[valueRecordSize:][:le.Uint16(v.record[2:])], v.compressedName()}
}

// valueAt returns the value whose record is at an offset.
func (k *Key) valueAt(offset uint32) (Value, error) {
	bins := &k.hive.bins
	record, length, err := bins.cell(offset, valueRecordSize+usualName)
	if err != nil {
		return Value{}, err
	}
	if length < valueRecordSize || string(record[:2]) != "vk" {
		return Value{}, corrupt(offset, "not a key value record")
	}
	v := Value{key: k, offset: offset, record: record}
	n := int(le.Uint16(record[2:]))
	if n > length-valueRecordSize || n%2 != 0 && !v.compressedName() {
		return Value{}, corrupt(offset, "key value record: a name of %d bytes in a cell of %d", n, length)
	}
	if n > usualName {
		if record, _, err = bins.cell(offset, valueRecordSize+n); err != nil {
			return Value{}, err
		}
	}
	v.record = record[: valueRecordSize+n : valueRecordSize+n]
	if k.hive.base.minor >= 6 && v.flags()&valueTombstone != 0 {
		return Value{}, fmt.Errorf("%w: offset 0x%x: value of a differencing hive", ErrUnsupported, fileOffset(offset))
	}
	return v, nil
}

// keep puts a value that was found on the heap.
func (v Value) keep() *Value { return &v }

// Key returns the key that holds the value.
func (v *Value) Key() *Key { return v.key }

// Name returns the value's name as it is written in the hive; the default value's is "".
func (v *Value) Name() string { return v.name().String() }

// Type returns the type of the data.
func (v *Value) Type() Type { return Type(le.Uint32(v.record[12:])) }

// Size returns how many bytes of data the value says that it has.
func (v *Value) Size() int { return v.size() }

// Offset returns the offset of the data in the hive file, in bytes; of big data, of its first segment. If there is no
// data, or it cannot be read, it is the offset of the value's record.
func (v *Value) Offset() int64 {
	var buf [1]segment
	switch segments, _ := v.segments(buf[:0]); {
	case v.size() == 0 || len(segments) == 0:
		return fileOffset(v.offset)
	case v.inline():
		return fileOffset(v.offset) + cellHead + 8
	default:
		return fileOffset(segments[0].cell) + cellHead
	}
}

// Recovered reports whether any byte of the value's record or of its data came out of a transaction
// log.
func (v *Value) Recovered() bool {
	if v.key.hive.recovered(v.offset, len(v.record)) {
		return true
	}
	var buf [1]segment
	segments, _ := v.segments(buf[:0])
	for _, s := range segments {
		if v.key.hive.recovered(s.cell, s.n) {
			return true
		}
	}
	return false
}

// Data returns the value's data as stored in the hive; it must not be modified. If its size or a cell that holds it
// is wrong, the error is ErrCorrupt.
func (v *Value) Data() ([]byte, error) {
	data, err := v.data()
	if err != nil {
		return nil, v.fail(err)
	}
	return data, nil
}

func (v *Value) data() ([]byte, error) {
	var buf [1]segment
	segments, err := v.segments(buf[:0])
	bins, size := &v.key.hive.bins, v.size()
	switch {
	case err != nil || size == 0:
		return nil, err
	case v.inline():
		return v.record[8:][:size:size], nil
	case len(segments) == 1:
		return bins.read(segments[0].at, size)
	}
	if err := bins.memory.fits(int64(size)); err != nil {
		return nil, fmt.Errorf("%d bytes of data: %w", size, err)
	}
	data := make([]byte, 0, size)
	for _, s := range segments {
		part, err := bins.read(s.at, s.n)
		if err != nil {
			return nil, unread(s.cell, err)
		}
		data = append(data, part...)
	}
	return data, nil
}

// A segment is a stretch of a value's data.
type segment struct {
	cell  uint32 // offset of its cell
	at, n int    // its offset in the bins data, and its length
}

// segments appends the data to buf: one segment, or those of big data.
func (v *Value) segments(buf []segment) ([]segment, error) {
	bins, size, at := &v.key.hive.bins, v.size(), v.dataOffset()
	if v.inline() {
		if size > 4 {
			return nil, corrupt(v.offset, "%d bytes of data in a record that has room for 4", size)
		}
		return append(buf, segment{v.offset, int(v.offset) + cellHead + 8, size}), nil
	}
	if size == 0 {
		return append(buf, segment{cell: v.offset}), nil
	}
	if size > bins.end {
		return nil, corrupt(v.offset, "%d bytes of data are more than the hive has", size)
	}
	if size > segmentSize && v.key.hive.base.minor >= 4 {
		return bins.bigData(buf, at, size)
	}
	s, err := bins.segment(at, size)
	if err != nil {
		return nil, err
	}
	return append(buf, s), nil
}

// bigData appends the segments of big data to buf (regf, "Big data"). All but the last have the full size.
func (b *bins) bigData(buf []segment, at uint32, size int) ([]segment, error) {
	// 0 "db", 2 number of segments, 4 offset of the list of their offsets.
	const head = 8
	db, length, err := b.cell(at, head)
	if err != nil {
		return nil, err
	}
	count := (size + segmentSize - 1) / segmentSize
	if length < head || string(db[:2]) != "db" || int(le.Uint16(db[2:])) != count {
		return nil, corrupt(at, "not a big data record of %d segments", count)
	}
	listAt := le.Uint32(db[4:])
	list, length, err := b.cell(listAt, 4*count)
	if err != nil {
		return nil, err
	}
	if length/4 < count {
		return nil, corrupt(listAt, "%d segments in a list for %d", count, length/4)
	}
	for ; size > 0; size -= segmentSize {
		s, err := b.segment(le.Uint32(list), min(size, segmentSize))
		if err != nil {
			return nil, err
		}
		buf, list = append(buf, s), list[4:]
	}
	return buf, nil
}

// segment returns the location of size bytes of data in the cell at an offset.
func (b *bins) segment(offset uint32, size int) (segment, error) {
	at, n, err := b.find(offset)
	if err == nil && size > n {
		err = corrupt(offset, "%d bytes of data in a cell of %d", size, n)
	}
	if err != nil {
		return segment{}, err
	}
	return segment{offset, at, size}, nil
}

// String returns the string of a REG_SZ, REG_EXPAND_SZ or REG_LINK value, up to its first NUL. Variables such as
// %SystemRoot% stay as they are. Another type is ErrType. An odd byte at the end is left out, as Windows does.
func (v *Value) String() (string, error) {
	data, err := v.typed(0, SZ, ExpandSZ, Link)
	if err == nil {
		err = v.room(textCost * int64(len(data)))
	}
	if err != nil {
		return "", err
	}
	return utf16le.Decode(untilNUL(data)), nil
}

// Strings returns the strings of a REG_MULTI_SZ value. Empty strings between others are kept: in
// PendingFileRenameOperations they mean something. Another type is ErrType.
func (v *Value) Strings() ([]string, error) {
	data, err := v.typed(0, MultiSZ)
	if err == nil {
		err = v.room(listCost * int64(len(data)))
	}
	if err != nil {
		return nil, err
	}
	s := utf16le.Decode(data)
	if strings.Trim(s, "\x00") == "" {
		return nil, nil
	}
	// Each string ends with a NUL, and the list with another; writers forget the one or both.
	list := strings.Split(strings.TrimSuffix(s, "\x00"), "\x00")
	if list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list, nil
}

// The most bytes of text for each byte of a value's data: three bytes of UTF-8 for two, and in a list that is all
// NULs a string for two.
const (
	textCost = 2
	listCost = textCost + 8
)

// room reserves memory for the result of decoding the value's data.
func (v *Value) room(n int64) error {
	if err := v.key.hive.bins.memory.fits(n); err != nil {
		return v.fail(fmt.Errorf("%d bytes of data: %w", v.size(), err))
	}
	return nil
}

// Uint32 returns the number of a REG_DWORD or REG_DWORD_BIG_ENDIAN value. Another type, or another length than 4
// bytes, is ErrType.
func (v *Value) Uint32() (uint32, error) {
	data, err := v.typed(4, DWord, DWordBigEndian)
	switch {
	case err != nil:
		return 0, err
	case v.Type() == DWordBigEndian:
		return binary.BigEndian.Uint32(data), nil
	}
	return le.Uint32(data), nil
}

// Uint64 returns the number of a REG_QWORD value. Another type, or another length than 8 bytes, is ErrType.
func (v *Value) Uint64() (uint64, error) {
	data, err := v.typed(8, QWord)
	if err != nil {
		return 0, err
	}
	return le.Uint64(data), nil
}

// typed returns the data if it has one of the types and, unless that is 0, the length.
func (v *Value) typed(length int, types ...Type) ([]byte, error) {
	data, err := v.Data()
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if v.Type() == t && (length == 0 || length == len(data)) {
			return data, nil
		}
	}
	return nil, v.fail(fmt.Errorf("%w: %s of %d bytes instead of %s", ErrType, v.Type(), len(data), types[0]))
}

// fail says which value has an error.
func (v *Value) fail(err error) error {
	return v.key.fail(fmt.Errorf("value %s: %w", quote(v.Name()), err))
}
