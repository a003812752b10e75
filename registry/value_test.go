package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// wide encodes a string as UTF-16LE.
func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}

// noise returns n bytes of which no two neighbours are alike.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// Data of every length at which something changes, and in every version: inline up to 4 bytes, in a cell, in segments
// from 16,345 bytes.
func TestDataLengths(t *testing.T) {
	for minor := uint32(3); minor <= 6; minor++ {
		root := hivetest.Key{Name: "ROOT"}
		lengths := []int{0, 1, 2, 3, 4, 5, 8, 16343, 16344, 16345, 2*16344 - 1, 2 * 16344, 2*16344 + 1, 100_000}
		for _, n := range lengths {
			data := noise(n)
			copy(data, "db") // what it begins with does not make it big data
			root.Values = append(root.Values, hivetest.Value{Name: fmt.Sprint(n), Type: 3, Data: data})
		}
		p := build(t, root, hivetest.Options{Minor: minor})
		for i, n := range lengths {
			v := p.value("", fmt.Sprint(n))
			data, err := v.Data()
			if err != nil || !bytes.Equal(data, root.Values[i].Data) {
				t.Errorf("1.%d, %d bytes: %d bytes, %v", minor, n, len(data), err)
			}
			first := min(n, 16344)
			if got := p.data[v.Offset():][:first]; !bytes.Equal(got, data[:first]) {
				t.Errorf("1.%d, %d bytes: other data at the value's offset", minor, n)
			}
			if v.Recovered() {
				t.Errorf("1.%d, %d bytes: recovered", minor, n)
			}
		}
	}
}

func TestDamagedValues(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Values: []hivetest.Value{
		{Name: "inline", Type: 4, Data: []byte{1, 2, 3, 4}}, {Name: "cell", Type: 3, Data: noise(100)},
		{Name: "big", Type: 3, Data: noise(40000)}, {Name: "spare", Type: 3, Data: noise(100)},
	}}
	record := func(p patched, name string) []byte { return p.cell(p.value("", name).offset) }
	db := func(p patched) []byte { return p.cell(p.value("", "big").dataOffset()) }
	segments := func(p patched) []byte { return p.cell(le.Uint32(db(p)[4:])) }
	for _, tt := range []struct {
		name   string
		damage func(p patched)
		value  string // the one that cannot be read
		names  string
	}{
		{"inline of 5 bytes", func(p patched) { record(p, "inline")[4] = 5 }, "inline", "room for 4"},
		{"inline of 2 GiB", func(p patched) { le.PutUint32(record(p, "inline")[4:], noOffset) }, "inline", "room for 4"},
		{"size over the cell", func(p patched) { record(p, "cell")[4] = 110 }, "cell", "110 bytes of data in a cell of"},
		{"size over the hive", func(p patched) { le.PutUint32(record(p, "cell")[4:], 1<<30) }, "cell",
			"more than the hive has"},
		{"size for big data", func(p patched) { le.PutUint32(record(p, "cell")[4:], 16345) }, "cell",
			"not a big data record"},
		{"cell nowhere", func(p patched) { le.PutUint32(record(p, "cell")[8:], noOffset) }, "cell", "no cell"},
		{"cell not allocated", func(p patched) { negate(p.size(p.value("", "cell").dataOffset())) }, "cell", "not allocated"},
		{"big data without signature", func(p patched) { db(p)[0] = 0 }, "big", "not a big data record of 3 segments"},
		{"big data with too many segments", func(p patched) { db(p)[2] = 4 }, "big", "not a big data record of 3 segments"},
		{"big data with too few segments", func(p patched) { db(p)[2] = 2 }, "big", "not a big data record of 3 segments"},
		{"big data whose list is nowhere", func(p patched) { le.PutUint32(db(p)[4:], noOffset) }, "big", "no cell"},
		{"big data whose list is short", func(p patched) { copy(db(p)[4:8], p.spareCell(4)) }, "big",
			"3 segments in a list for"},
		{"big data with a short segment", func(p patched) { copy(segments(p)[4:8], p.spareCell(100)) }, "big",
			"16344 bytes of data in a cell of"},
		{"big data with a segment nowhere", func(p patched) { le.PutUint32(segments(p)[8:], noOffset) }, "big", "no cell"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := build(t, root, hivetest.Options{})
			tt.damage(p)
			for _, v := range root.Values[:3] {
				data, err := p.value("", v.Name).Data()
				if v.Name == tt.value {
					isCorrupt(t, v.Name, err, fmt.Sprintf("value %q", v.Name), tt.names, "0x")
					if got := p.value("", v.Name); got.Offset() != fileOffset(got.offset) {
						t.Errorf("%s: offset 0x%x, want that of the record", v.Name, got.Offset())
					}
				} else if err != nil || !bytes.Equal(data, v.Data) {
					t.Errorf("%s: %v", v.Name, err)
				}
			}
		})
	}
}

// spareCell shortens the cell of the value "spare" to room for n bytes, the rest being a cell of its own, and returns
// its offset as it stands in a list.
func (p patched) spareCell(n int) []byte {
	v := p.value("", "spare")
	at := v.dataOffset()
	old, size := -le.Uint32(p.size(at)), uint32(n+4+7)&^7
	if old > size {
		le.PutUint32(p.size(at), -size)
		le.PutUint32(p.size(at+size), old-size)
	}
	return v.record[8:12]
}

func TestDamagedValueLists(t *testing.T) {
	root := hivetest.Key{Name: "ROOT",
		Values: []hivetest.Value{{Name: "a", Type: 1}, {Name: "b", Type: 1}, {Name: "c", Type: 1}}}
	record := func(p patched, name string) []byte { return p.cell(p.value("", name).offset) }
	for _, tt := range []struct {
		name   string
		minor  uint32
		damage func(p patched)
		found  string
		names  string
	}{
		{"count gone, list there", 5, func(p patched) { clear(p.node("")[36:40]) }, "", "no values, yet a list"},
		{"list nowhere", 5, func(p patched) { le.PutUint32(p.node("")[40:], noOffset) }, "", "no cell"},
		{"more values than the list has", 5, func(p patched) { le.PutUint32(p.node("")[36:], 9) }, "a b c", "9 values"},
		{"absurd count", 5, func(p patched) { le.PutUint32(p.node("")[36:], noOffset) }, "a b c", "4294967295 values"},
		{"element nowhere", 5, func(p patched) { le.PutUint32(p.cell(p.key("").valueListOffset())[4:], noOffset) }, "a c",
			"no cell"},
		{"element twice", 5, func(p patched) {
			list := p.cell(p.key("").valueListOffset())
			copy(list[4:8], list[:4])
		}, "a c", "twice"},
		{"not a value", 5, func(p patched) { record(p, "b")[0] = 'x' }, "a c", "not a key value record"},
		{"name longer than the cell", 5, func(p patched) { record(p, "b")[2] = 200 }, "a c", "200 bytes"},
		{"odd UTF-16 name", 5, func(p patched) { record(p, "b")[16] = 0 }, "a c", "1 bytes"},
		{"value of a differencing hive", 6, func(p patched) { record(p, "b")[16] |= 2 }, "a c", "differencing hive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := build(t, root, hivetest.Options{Minor: tt.minor})
			tt.damage(p)
			values, err := p.key("").Values()
			var found []string
			for _, v := range values {
				if v.Name() != "" { // what lies behind a list that is too short
					found = append(found, v.Name())
				}
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("error %v, want one that names %q", err, tt.names)
			}
			if got := strings.Join(found, " "); got != tt.found {
				t.Errorf("values %q, want %q", got, tt.found)
			}
			for _, name := range []string{"a", "b", "c", "nothing"} {
				_, err := p.key("").Value(name)
				if strings.Contains(tt.found, name) {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				} else if err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v, want an error that is not fs.ErrNotExist", name, err)
				}
			}
		})
	}

	// A record that was overwritten may have had another name.
	p := build(t, root, hivetest.Options{})
	b := record(p, "b")
	le.PutUint32(b[4:], 8)
	le.PutUint32(b[8:], noOffset)
	b[20] = 'x'
	for _, name := range []string{"b", "nothing"} {
		if _, err := p.key("").Value(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s beside a value whose data lies nowhere: %v, want ErrCorrupt", name, err)
		}
	}
	if _, err := p.key("").Value("c"); err != nil {
		t.Errorf("c beside a value whose data lies nowhere: %v", err)
	}

	p = build(t, root, hivetest.Options{})
	_, err := p.key("").Value("d")
	if want := `root key: value "d": no such value`; !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestNames(t *testing.T) {
	root := hivetest.Key{Name: "ROOT"}
	for _, name := range []string{"", "plain", "Größe", "名前", "with\x00NUL", `back\slash`, "\u00a0", "🙂"} {
		root.Values = append(root.Values, hivetest.Value{Name: name, Type: 1, Data: wide(name)})
	}
	p := build(t, root, hivetest.Options{})
	values, err := p.key("").Values()
	if err != nil || len(values) != len(root.Values) {
		t.Fatal(len(values), err)
	}
	for i, v := range values {
		if want := root.Values[i].Name; v.Name() != want {
			t.Errorf("name %q, want %q", v.Name(), want)
		} else if found, err := v.Key().Value(want); err != nil || found.offset != v.offset {
			t.Errorf("%q is not found: %v", want, err)
		}
	}
}

func TestTypedData(t *testing.T) {
	for _, tt := range []struct {
		name string
		typ  Type
		data []byte
		get  func(v *Value) (any, error)
		want any // or the error
	}{
		{"string", SZ, wide("Größe\x00"), str, "Größe"},
		{"string without NUL", SZ, wide("Größe"), str, "Größe"},
		{"string with rest", SZ, wide("one\x00two\x00"), str, "one"},
		{"string of odd length", SZ, append(wide("ab"), 'c'), str, "ab"},
		{"empty string", SZ, nil, str, ""},
		{"string to expand", ExpandSZ, wide("%SystemRoot%\x00"), str, "%SystemRoot%"},
		{"link", Link, wide(`\Registry\Machine`), str, `\Registry\Machine`},
		{"string that is a number", DWord, []byte{1, 0, 0, 0}, str, ErrType},
		{"string of bytes", Binary, wide("x"), str, ErrType},
		{"strings", MultiSZ, wide("a\x00bc\x00\x00"), strs, []string{"a", "bc"}},
		{"strings without the last NUL", MultiSZ, wide("a\x00bc\x00"), strs, []string{"a", "bc"}},
		{"strings without both", MultiSZ, wide("a\x00bc"), strs, []string{"a", "bc"}},
		{"strings with an empty one", MultiSZ, wide("a\x00\x00b\x00\x00"), strs, []string{"a", "", "b"}},
		{"strings with an empty one at the end", MultiSZ, wide("a\x00\x00\x00"), strs, []string{"a", ""}},
		{"no strings", MultiSZ, nil, strs, []string(nil)},
		{"one NUL", MultiSZ, wide("\x00"), strs, []string(nil)},
		{"two NULs", MultiSZ, wide("\x00\x00"), strs, []string(nil)},
		{"strings that are one", SZ, wide("a"), strs, ErrType},
		{"number", DWord, []byte{1, 2, 3, 4}, u32, uint32(0x04030201)},
		{"big-endian number", DWordBigEndian, []byte{1, 2, 3, 4}, u32, uint32(0x01020304)},
		{"number of 3 bytes", DWord, []byte{1, 2, 3}, u32, ErrType},
		{"number of 5 bytes", DWord, []byte{1, 2, 3, 4, 5}, u32, ErrType},
		{"no number", DWord, nil, u32, ErrType},
		{"number that is bytes", Binary, []byte{1, 2, 3, 4}, u32, ErrType},
		{"long number", QWord, []byte{1, 2, 3, 4, 5, 6, 7, 8}, u64, uint64(0x0807060504030201)},
		{"long number of 4 bytes", QWord, []byte{1, 2, 3, 4}, u64, ErrType},
		{"long number that is short", DWord, []byte{1, 2, 3, 4}, u64, ErrType},
	} {
		p := build(t, hivetest.Key{Name: "ROOT", Values: []hivetest.Value{{Name: "v", Type: uint32(tt.typ), Data: tt.data}}},
			hivetest.Options{})
		v := p.value("", "v")
		got, err := tt.get(v)
		if want, ok := tt.want.(error); ok {
			if !errors.Is(err, want) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v, %v, want %v", tt.name, got, err, want)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" || v.Type() != tt.typ {
			t.Errorf("%s: %v, type %v\n%s", tt.name, err, v.Type(), diff)
		}
	}
}

func str(v *Value) (any, error)  { return v.String() }
func strs(v *Value) (any, error) { return v.Strings() }
func u32(v *Value) (any, error)  { return v.Uint32() }
func u64(v *Value) (any, error)  { return v.Uint64() }

func TestTypeNames(t *testing.T) {
	for typ, want := range map[Type]string{None: "REG_NONE", SZ: "REG_SZ", DWordBigEndian: "REG_DWORD_BIG_ENDIAN",
		QWord: "REG_QWORD", 12: "0xc", 0xFFFFFFFF: "0xffffffff"} {
		if got := typ.String(); got != want {
			t.Errorf("%d: %s, want %s", uint32(typ), got, want)
		}
	}
}
