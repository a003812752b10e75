package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// program builds a program whose only section has a version resource, after the
// PE format: headers, section table, three levels of directories, data entry,
// VS_VERSIONINFO.
func program(v FileVersion, plus bool) []byte {
	const address, offset, size = 0x3000, 0x400, 0x200
	b := make([]byte, offset+size)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	le.PutUint16(b[0x86:], 1) // sections
	optional, magic, at := 0xe0, uint16(magicPE32), 96
	if plus {
		optional, magic, at = 0xf0, magicPE32Plus, 112
	}
	le.PutUint16(b[0x94:], uint16(optional))
	le.PutUint16(b[0x98:], magic)
	le.PutUint32(b[0x98+at-4:], 16)
	le.PutUint32(b[0x98+at+16:], address)
	section := b[0x98+optional:]
	copy(section, ".rsrc")
	le.PutUint32(section[12:], address)
	le.PutUint32(section[16:], size)
	le.PutUint32(section[20:], offset)

	rsrc := b[offset:]
	folder := func(at int, id, to uint32) {
		le.PutUint16(rsrc[at+14:], 1)
		le.PutUint32(rsrc[at+16:], id)
		le.PutUint32(rsrc[at+20:], to)
	}
	folder(0, 16, 1<<31|0x20)
	folder(0x20, 1, 1<<31|0x40)
	folder(0x40, 0x409, 0x60)
	le.PutUint32(rsrc[0x60:], address+0x80)
	le.PutUint32(rsrc[0x64:], 0x100)
	info := rsrc[0x80:]
	copy(info[6:], utf16LE("VS_VERSION_INFO"))
	le.PutUint32(info[40:], fixedInfoMagic)
	le.PutUint32(info[48:], v[0]<<16|v[1])
	le.PutUint32(info[52:], v[2]<<16|v[3])
	return b
}

func versionOf(b []byte) (FileVersion, error) {
	return readFileVersion(io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))))
}

func TestReadFileVersion(t *testing.T) {
	t.Parallel()
	want := FileVersion{2, 11, 0, 65535}
	for _, plus := range []bool{false, true} {
		if v, err := versionOf(program(want, plus)); err != nil || v != want {
			t.Errorf("PE32+ %t: %v, %v", plus, v, err)
		}
	}
	whole := program(want, true)
	for name, c := range map[string]struct {
		change func(b []byte)
		want   error
	}{
		"no program":              {func(b []byte) { b[0] = 'X' }, kind.Corrupt},
		"no signature":            {func(b []byte) { b[0x80] = 'X' }, kind.Corrupt},
		"header beyond the end":   {func(b []byte) { b[0x3f] = 0xff }, kind.Corrupt},
		"96 sections":             {func(b []byte) { b[0x86] = 96 }, kind.Corrupt}, // the table is cut short
		"97 sections":             {func(b []byte) { b[0x86] = 97 }, kind.Corrupt},
		"no optional header":      {func(b []byte) { b[0x94], b[0x95] = 0, 0 }, kind.Corrupt},
		"optional header cut":     {func(b []byte) { b[0x94] = 100 }, kind.Corrupt},
		"other optional header":   {func(b []byte) { b[0x98] = 7 }, kind.Corrupt},
		"two directories":         {func(b []byte) { b[0x98+108] = 2 }, ErrNoVersion},
		"no resources":            {func(b []byte) { b[0x98+129] = 0 }, ErrNoVersion},
		"resources elsewhere":     {func(b []byte) { b[0x98+131] = 1 }, kind.Corrupt},
		"no version among them":   {func(b []byte) { b[0x410] = 3 }, ErrNoVersion},
		"an empty directory":      {func(b []byte) { b[0x40e] = 0 }, ErrNoVersion},
		"4,096 entries":           {func(b []byte) { b[0x40f] = 0x10; b[0x40e] = 0 }, kind.Corrupt}, // cut short
		"4,097 entries":           {func(b []byte) { b[0x40f] = 0x10 }, kind.Corrupt},
		"data on the first level": {func(b []byte) { b[0x417] = 0 }, kind.Corrupt},
		"a fourth level":          {func(b []byte) { b[0x457] = 0x80 }, kind.Corrupt},
		"a directory in itself":   {func(b []byte) { b[0x434] = 0x20 }, kind.Corrupt},
		"version outside":         {func(b []byte) { b[0x463] = 1 }, kind.Corrupt},
		"55 bytes of version":     {func(b []byte) { b[0x464], b[0x465] = 55, 0 }, kind.Corrupt},
		"56 bytes of version":     {func(b []byte) { b[0x464], b[0x465] = 56, 0 }, nil},
		"other magic":             {func(b []byte) { b[0x4a8] = 0 }, kind.Corrupt},
	} {
		b := bytes.Clone(whole)
		c.change(b)
		if v, err := versionOf(b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, error %v, want %v", name, v, err, c.want)
		}
	}
	for n := range whole {
		if v, err := versionOf(whole[:n]); err == nil && v != want {
			t.Errorf("%d bytes: %v", n, v)
		}
	}
}

func TestParseFileVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]FileVersion{
		"2":               {2},
		" 2.11.0 ":        {2, 11},
		"8.6.1":           {8, 6, 1},
		"1.3.2005119":     {1, 3, 2005119},
		"2.5.1.0":         {2, 5, 1, 0},
		"10.0.20348.1668": {10, 0, 20348, 1668},
	} {
		if v, err := ParseFileVersion(text); err != nil || v != want {
			t.Errorf("%s: %v, %v", text, v, err)
		}
	}
	for _, text := range []string{"", ".", "1.", "a.b", "-1.0", "1.4294967296", "1.2.3.4.5", "+1"} {
		if v, err := ParseFileVersion(text); err == nil {
			t.Errorf("%q: %v", text, v)
		}
	}
	for text, v := range map[string]FileVersion{"2.0.0": {2}, "2.11.0": {2, 11}, "1.8.2": {1, 8, 2},
		"0.0.0.1": {0, 0, 0, 1}} {
		if v.String() != text {
			t.Errorf("%v is %s, want %s", v, v.String(), text)
		}
	}
	older, newer := FileVersion{2, 9}, FileVersion{2, 11}
	if older.Compare(newer) != -1 || newer.Compare(older) != 1 || older.Compare(older) != 0 {
		t.Error("2.9 is not older than 2.11")
	}
}

func FuzzFileVersion(f *testing.F) {
	f.Add(program(FileVersion{1, 2, 3, 4}, true))
	f.Add(program(FileVersion{1, 2, 3, 4}, false))
	f.Add([]byte("MZ" + strings.Repeat("\x00", 64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := versionOf(b)
		if err != nil && v != (FileVersion{}) {
			t.Errorf("%v and %v", v, err)
		}
	})
}
