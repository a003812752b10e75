package evtx

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

var le = binary.LittleEndian

// A Type is the type of a value ([MS-EVEN6] 2.2.12, ValueType).
type Type uint8

// The types of values. An array is no value: its element is repeated for each item, or its items are one text in an
// attribute.
const (
	Null       Type = 0x00
	String     Type = 0x01 // UTF-16LE
	AnsiString Type = 0x02 // in the code page of the machine that wrote it
	Int8       Type = 0x03
	Uint8      Type = 0x04
	Int16      Type = 0x05
	Uint16     Type = 0x06
	Int32      Type = 0x07
	Uint32     Type = 0x08
	Int64      Type = 0x09
	Uint64     Type = 0x0A
	Real32     Type = 0x0B
	Real64     Type = 0x0C
	Bool       Type = 0x0D // of 4 bytes, or of 1
	Binary     Type = 0x0E
	GUID       Type = 0x0F
	Size       Type = 0x10 // of 4 or 8 bytes
	FileTime   Type = 0x11
	SystemTime Type = 0x12 // SYSTEMTIME, 8 numbers of 16 bits
	SID        Type = 0x13
	HexInt32   Type = 0x14
	HexInt64   Type = 0x15
)

// Types that no Value has.
const (
	binXML Type = 0x21 // elements in place of a value
	array  Type = 0x80 // added to the type of the items
)

var typeNames = [...]string{"null", "string", "ansi string", "int8", "uint8", "int16", "uint16", "int32", "uint32",
	"int64", "uint64", "real32", "real64", "bool", "binary", "guid", "size", "filetime", "systemtime", "sid",
	"hexint32", "hexint64"}

// String returns the name of a type: "uint32", "string array", "0x23".
func (t Type) String() string {
	base := t &^ array
	if int(base) >= len(typeNames) {
		return fmt.Sprintf("0x%02x", uint8(t))
	}
	if t != base {
		return typeNames[base] + " array"
	}
	return typeNames[base]
}

// sizes are the lengths in bytes of the types that have only one.
var sizes = map[Type]int{Int8: 1, Uint8: 1, Int16: 2, Uint16: 2, Int32: 4, Uint32: 4, Int64: 8, Uint64: 8, Real32: 4,
	Real64: 8, GUID: 16, FileTime: 8, SystemTime: 16, HexInt32: 4, HexInt64: 8}

// A Value is a value of an event. The zero Value is Null.
type Value struct {
	kind Type
	data []byte // as it is in the log
	text string // in place of data, for AnsiString and for text of a template
}

// newValue returns the value in data. Data of a fixed size is checked.
func newValue(kind Type, data []byte, ansi func([]byte) string) (Value, error) {
	if kind == Null || len(data) == 0 && kind != String && kind != AnsiString && kind != Binary {
		return Value{}, nil
	}
	switch base := kind &^ array; {
	case kind == AnsiString:
		return Value{kind: kind, data: data, text: ansi(data)}, nil
	case kind == String, kind == array|String:
		if len(data)%2 != 0 {
			return Value{}, corrupt("a string of %d bytes", len(data))
		}
	case kind == array|AnsiString, kind == Binary:
	case base == SID:
		for rest := data; len(rest) > 0; {
			n, err := sidLength(rest)
			if err != nil || kind == SID && n != len(rest) {
				return Value{}, corrupt("a SID of %d bytes", len(data))
			}
			rest = rest[n:]
		}
	case kind == Bool, kind == Size:
		if n := len(data); n != 4 && n != 8 && n != 1 || n == 8 && kind == Bool || n == 1 && kind == Size {
			return Value{}, corrupt("a %s of %d bytes", kind, len(data))
		}
	case kind == array|Bool, kind == array|Size:
		// The size of an element follows from nothing but the type.
		if len(data)%4 != 0 {
			return Value{}, corrupt("a %s of %d bytes", kind, len(data))
		}
	case sizes[base] == 0:
		return Value{}, unsupported("a value of type %s", kind)
	case kind != base && len(data)%sizes[base] != 0, kind == base && len(data) != sizes[base]:
		return Value{}, corrupt("a %s of %d bytes", kind, len(data))
	}
	return Value{kind: kind, data: data}, nil
}

func textValue(text string) Value { return Value{kind: String, text: text} }

// Type returns the type of a value. Text that is not of one value has the type String.
func (v Value) Type() Type { return v.kind }

// Bytes returns the data of a value as it is in the log. It is nil for text of a template. The data must not be
// changed.
func (v Value) Bytes() []byte { return v.data }

// items returns the elements of an array, or the value itself.
func (v Value) items(ansi func([]byte) string) []Value {
	base := v.kind &^ array
	if v.kind == base {
		return []Value{v}
	}
	var list []Value
	switch base {
	case String, AnsiString:
		width := 1
		if base == String {
			width = 2
		}
		for rest := v.data; len(rest) > 0; {
			n := 0
			for n < len(rest) && (rest[n] != 0 || width == 2 && rest[n+1] != 0) {
				n += width
			}
			item := Value{kind: base, data: rest[:n:n]}
			if base == AnsiString {
				item.text = ansi(item.data)
			}
			list = append(list, item)
			rest = rest[min(n+width, len(rest)):]
		}
	case SID:
		for rest := v.data; len(rest) > 0; {
			n, err := sidLength(rest)
			if err != nil {
				break // newValue has checked it
			}
			list = append(list, Value{kind: base, data: rest[:n:n]})
			rest = rest[n:]
		}
	default:
		n := sizes[base]
		if n == 0 {
			n = 4 // Bool and Size
		}
		list = make([]Value, 0, len(v.data)/n)
		for rest := v.data; len(rest) >= n; rest = rest[n:] {
			list = append(list, Value{kind: base, data: rest[:n:n]})
		}
	}
	return list
}

// String returns a value as Windows writes it in the XML of an event ([MS-EVEN6] 2.2.12.3), with these choices:
// binary data is in upper-case hexadecimal digits without spaces, and times have 9 digits after the second. NULs at
// the end of a text are left out.
func (v Value) String() string {
	d := v.data
	switch v.kind {
	case String:
		if v.text == "" {
			return strings.TrimRight(utf16le.Decode(d), "\x00")
		}
		return strings.TrimRight(v.text, "\x00")
	case AnsiString:
		return strings.TrimRight(v.text, "\x00")
	case Int8, Int16, Int32, Int64:
		return strconv.FormatInt(v.signed(), 10)
	case Uint8, Uint16, Uint32, Uint64:
		return strconv.FormatUint(v.unsigned(), 10)
	case Size, HexInt32, HexInt64:
		return "0x" + strconv.FormatUint(v.unsigned(), 16)
	case Bool:
		return strconv.FormatBool(v.unsigned() != 0)
	case Real32:
		return realText(float64(math.Float32frombits(le.Uint32(d))), 32)
	case Real64:
		return realText(math.Float64frombits(le.Uint64(d)), 64)
	case Binary:
		return strings.ToUpper(hex.EncodeToString(d))
	case GUID:
		return fmt.Sprintf("{%08X-%04X-%04X-%X-%X}", le.Uint32(d), le.Uint16(d[4:]), le.Uint16(d[6:]), d[8:10], d[10:16])
	case FileTime:
		return filetime.Exact(le.Uint64(d)).Format(timeFormat)
	case SystemTime:
		return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03d000000Z", le.Uint16(d), le.Uint16(d[2:]), le.Uint16(d[6:]),
			le.Uint16(d[8:]), le.Uint16(d[10:]), le.Uint16(d[12:]), le.Uint16(d[14:]))
	case SID:
		return sidText(d)
	}
	return ""
}

const timeFormat = "2006-01-02T15:04:05.000000000Z"

func realText(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "-1.#IND"
	case math.IsInf(f, 1):
		return "1.#INF"
	case math.IsInf(f, -1):
		return "-1.#INF"
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// unsigned returns data of 1, 2, 4 or 8 bytes as a number.
func (v Value) unsigned() uint64 {
	switch len(v.data) {
	case 1:
		return uint64(v.data[0])
	case 2:
		return uint64(le.Uint16(v.data))
	case 4:
		return uint64(le.Uint32(v.data))
	}
	return le.Uint64(v.data)
}

func (v Value) signed() int64 {
	shift := 64 - 8*len(v.data)
	return int64(v.unsigned()<<shift) >> shift
}

// Uint64 returns an integer that is not negative, or a text that is one: decimal digits, or hexadecimal ones after
// "0x". Any other value is ErrType.
func (v Value) Uint64() (uint64, error) {
	switch v.kind {
	case Uint8, Uint16, Uint32, Uint64, Size, HexInt32, HexInt64:
		return v.unsigned(), nil
	case Int8, Int16, Int32, Int64:
		if n := v.signed(); n >= 0 {
			return uint64(n), nil
		}
	case String, AnsiString:
		digits, base := v.String(), 10
		if rest, ok := strings.CutPrefix(digits, "0x"); ok {
			digits, base = rest, 16
		}
		if n, err := strconv.ParseUint(digits, base, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: a %s is not an unsigned integer", ErrType, v.kind)
}

// Time returns a FileTime or a SystemTime in UTC, or a text in the format of RFC 3339. Any other value is ErrType. So
// is a FileTime of 0 or after the year 9999, and a SystemTime that does not exist.
func (v Value) Time() (time.Time, error) {
	var t time.Time
	switch v.kind {
	case FileTime:
		t = filetime.Time(le.Uint64(v.data))
	case SystemTime, String:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v.String()); err != nil {
			return time.Time{}, fmt.Errorf("%w: not a time", ErrType)
		}
		t = t.UTC()
	}
	if t.IsZero() {
		return t, fmt.Errorf("%w: a %s is not a time", ErrType, v.kind)
	}
	return t, nil
}

// sidLength returns the length of the SID that data begins with ([MS-DTYP] 2.4.2.2): the revision, which is 1, the
// number of subauthorities, at most 15, an authority of 6 bytes, and 4 bytes for each subauthority.
func sidLength(data []byte) (int, error) {
	if len(data) < 8 || data[0] != 1 || data[1] > 15 {
		return 0, corrupt("no SID")
	}
	n := 8 + 4*int(data[1])
	if n > len(data) {
		return 0, corrupt("a SID of %d bytes", len(data))
	}
	return n, nil
}

func sidText(d []byte) string {
	var authority uint64
	for _, b := range d[2:8] {
		authority = authority<<8 | uint64(b)
	}
	text := []byte("S-1-")
	if authority>>32 != 0 {
		text = fmt.Appendf(text, "0x%012X", authority)
	} else {
		text = strconv.AppendUint(text, authority, 10)
	}
	for d = d[8:]; len(d) > 0; d = d[4:] {
		text = strconv.AppendUint(append(text, '-'), uint64(le.Uint32(d)), 10)
	}
	return string(text)
}
