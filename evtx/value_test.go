package evtx

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

func le16(n uint16) []byte { return le.AppendUint16(nil, n) }
func le32(n uint32) []byte { return le.AppendUint32(nil, n) }
func le64(n uint64) []byte { return le.AppendUint64(nil, n) }

// oneSID is S-1-5-21-1-2.
var oneSID = []byte{1, 3, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}

// Values of all types, and of lengths that they cannot have.
func TestValue(t *testing.T) {
	t.Parallel()
	ansi := func(b []byte) string { return "ansi " + string(b) }
	at := time.Date(2024, 5, 6, 7, 8, 9, 123_456_700, time.UTC)
	var systemTime []byte
	for _, n := range []uint16{2024, 5, 1, 6, 7, 8, 9, 123} {
		systemTime = binary.LittleEndian.AppendUint16(systemTime, n)
	}
	for _, tt := range []struct {
		kind Type
		data []byte
		want string // "!" is ErrCorrupt, "?" is ErrUnsupported
	}{
		{Null, nil, ""}, {Null, []byte{1}, ""},
		{String, nil, ""}, {String, utf16le.Encode("ä😀"), "ä😀"}, {String, utf16le.Encode("a\x00b\x00\x00"), "a\x00b"},
		{String, []byte{65}, "!"}, {String, []byte{0x00, 0xD8}, "\uFFFD"},
		{AnsiString, []byte("abc\x00"), "ansi abc"}, {AnsiString, nil, "ansi "},
		{Int8, []byte{0x80}, "-128"}, {Int8, []byte{1, 2}, "!"}, {Uint8, []byte{0x80}, "128"},
		{Int16, le16(0xFFFE), "-2"}, {Uint16, le16(0xFFFE), "65534"}, {Uint16, []byte{1}, "!"}, {Uint16, le32(1), "!"},
		{Int32, le32(0xFFFFFFFF), "-1"}, {Uint32, le32(0xFFFFFFFF), "4294967295"}, {Uint32, le16(1), "!"},
		{Int64, le64(1 << 63), "-9223372036854775808"}, {Uint64, le64(math.MaxUint64), "18446744073709551615"},
		{Int64, le32(1), "!"},
		{Real32, le32(math.Float32bits(0.1)), "0.1"}, {Real64, le64(math.Float64bits(-1e300)), "-1e+300"},
		{Real64, le64(math.Float64bits(math.Inf(1))), "1.#INF"}, {Real64, le64(math.Float64bits(math.Inf(-1))), "-1.#INF"},
		{Real32, le32(math.Float32bits(float32(math.NaN()))), "-1.#IND"}, {Real64, le32(0), "!"},
		{Bool, le32(0), "false"}, {Bool, le32(1), "true"}, {Bool, []byte{1}, "true"},
		{Bool, le16(1), "!"}, {Bool, le64(1), "!"},
		{Binary, []byte{0xAB, 1}, "AB01"}, {Binary, nil, ""},
		{GUID, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xAB}, "{04030201-0605-0807-090A-0B0C0D0E0FAB}"},
		{GUID, make([]byte, 15), "!"},
		{Size, le32(255), "0xff"}, {Size, le64(1 << 40), "0x10000000000"}, {Size, []byte{1}, "!"},
		{HexInt32, le32(18), "0x12"}, {HexInt64, le64(0), "0x0"}, {HexInt32, le64(0), "!"},
		{FileTime, le64(filetime.Of(at)), "2024-05-06T07:08:09.123456700Z"},
		{FileTime, le64(0), "1601-01-01T00:00:00.000000000Z"}, {FileTime, le32(0), "!"},
		{SystemTime, systemTime, "2024-05-06T07:08:09.123000000Z"}, {SystemTime, systemTime[:15], "!"},
		{SID, oneSID, "S-1-5-21-1-2"}, {SID, oneSID[:19], "!"}, {SID, oneSID[:7], "!"}, {SID, append(oneSID, oneSID...), "!"},
		{SID, []byte{1, 0, 0, 1, 0, 0, 0, 0}, "S-1-0x000100000000"}, {SID, []byte{2, 0, 0, 0, 0, 0, 0, 5}, "!"},
		{SID, append([]byte{1, 16, 0, 0, 0, 0, 0, 5}, make([]byte, 64)...), "!"},
		{0x16, []byte{1}, "?"}, {0x20, []byte{1}, "?"}, {0x23, []byte{1}, "?"}, {array | Binary, []byte{1}, "?"},
		{0x7F, []byte{1}, "?"}, {array | 0x7F, []byte{1}, "?"},
		{Uint32, nil, ""}, {GUID, nil, ""}, // without data there is no value
	} {
		v, err := newValue(tt.kind, tt.data, ansi)
		got := v.String()
		switch {
		case errors.Is(err, ErrCorrupt):
			got = "!"
		case errors.Is(err, ErrUnsupported):
			got = "?"
		case err != nil:
			t.Error(err)
		}
		if got != tt.want {
			t.Errorf("%s %x: %q (%v), want %q", tt.kind, tt.data, got, err, tt.want)
		}
	}
}

func TestArrays(t *testing.T) {
	t.Parallel()
	ansi := func(b []byte) string { return string(b) }
	for _, tt := range []struct {
		kind Type
		data []byte
		want string // the items with a bar after each; "!" is ErrCorrupt
	}{
		{String, utf16le.Encode("a\x00\x00bc\x00"), "a||bc|"}, {String, utf16le.Encode("a\x00b"), "a|b|"},
		{String, utf16le.Encode("Ā\x00"), "Ā|"}, {String, nil, ""}, {String, []byte{1, 2, 3}, "!"},
		{AnsiString, []byte("a\x00\x00bc"), "a||bc|"},
		{Int8, []byte{1, 0xFF}, "1|-1|"}, {Uint16, append(le16(1), le16(2)...), "1|2|"}, {Uint16, []byte{1, 2, 3}, "!"},
		{Bool, append(le32(1), le32(0)...), "true|false|"}, {Bool, []byte{1}, "!"},
		{Size, append(le32(1), le32(2)...), "0x1|0x2|"}, {Size, le16(1), "!"},
		{SID, append(oneSID[:20:20], oneSID...), "S-1-5-21-1-2|S-1-5-21-1-2|"}, {SID, append(oneSID[:20:20], 1), "!"},
		{FileTime, le64(0), "1601-01-01T00:00:00.000000000Z|"}, {GUID, make([]byte, 17), "!"},
	} {
		v, err := newValue(array|tt.kind, tt.data, ansi)
		got := ""
		if errors.Is(err, ErrCorrupt) {
			got = "!"
		} else if v.kind != Null {
			for _, item := range v.items(ansi) {
				if item.kind != tt.kind {
					t.Errorf("an item of %s is a %s", array|tt.kind, item.kind)
				}
				got += item.String() + "|"
			}
		}
		if got != tt.want {
			t.Errorf("%s %x: %q (%v), want %q", array|tt.kind, tt.data, got, err, tt.want)
		}
	}
}

func TestUint64(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    Value
		want uint64
		ok   bool
	}{
		{Value{kind: Uint8, data: []byte{7}}, 7, true}, {Value{kind: HexInt64, data: le64(1 << 63)}, 1 << 63, true},
		{Value{kind: Int32, data: le32(5)}, 5, true}, {Value{kind: Int32, data: le32(1 << 31)}, 0, false},
		{textValue("400"), 400, true}, {textValue("0x1F"), 31, true}, {textValue("-1"), 0, false}, {textValue(""), 0, false},
		{textValue("18446744073709551615"), math.MaxUint64, true}, {textValue("18446744073709551616"), 0, false},
		{Value{}, 0, false}, {Value{kind: Bool, data: le32(1)}, 0, false}, {Value{kind: Real32, data: le32(1)}, 0, false},
	} {
		n, err := tt.v.Uint64()
		if n != tt.want || (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrType) {
			t.Errorf("%s %q: %d, %v", tt.v.Type(), tt.v, n, err)
		}
	}
}

func TestValueTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 6, 7, 8, 9, 123_456_700, time.UTC)
	for _, tt := range []struct {
		v    Value
		want time.Time
	}{
		{Value{kind: FileTime, data: le64(filetime.Of(at))}, at},
		{Value{kind: FileTime, data: le64(0)}, time.Time{}}, {Value{kind: FileTime, data: le64(math.MaxUint64)}, time.Time{}},
		{textValue("2024-05-06T07:08:09.1234567Z"), at}, {textValue("2024-05-06T09:08:09.1234567+02:00"), at},
		{textValue("yesterday"), time.Time{}}, {Value{kind: SystemTime, data: make([]byte, 16)}, time.Time{}},
		{Value{}, time.Time{}}, {Value{kind: Uint64, data: le64(filetime.Of(at))}, time.Time{}},
	} {
		got, err := tt.v.Time()
		if !got.Equal(tt.want) || (err == nil) == tt.want.IsZero() || err != nil && !errors.Is(err, ErrType) ||
			got.Location() != time.UTC {
			t.Errorf("%s %q: %s, %v", tt.v.Type(), tt.v, got, err)
		}
	}
}

func TestTypeString(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Type]string{Null: "null", String: "string", HexInt64: "hexint64",
		array | Uint32: "uint32 array", 0x16: "0x16", 0x21: "0x21", 0xA3: "0xa3"} {
		if got := kind.String(); got != want {
			t.Errorf("%#x: %s", uint8(kind), got)
		}
	}
}
