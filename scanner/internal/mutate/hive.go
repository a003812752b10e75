package mutate

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

const hiveBase = 4096 // size of a base block; offsets of cells count from its end

// hive takes a registry hive apart, following its keys from the root.
type hive struct {
	c     *content
	b     []byte // bins data
	cells []hiveCell
	seen  map[uint32]bool
}

// hiveCell is a cell and what it belongs to.
type hiveCell struct {
	off   uint32
	kind  string // "key", "subkeys", "values", "value", "data", "security", "class"
	key   string // path below the root
	value string
}

func (c *content) surveyHive() {
	c.add("hive base block", "base block", 2*c.weight, 0, sectorSize, site{
		seal: hivetest.FixChecksum,
		fields: func(b []byte) []field {
			return table(0, b, "signature", 0, 4, "primary", 4, 4, "secondary", 8, 4, "last written", 12, 8, "major", 20, 4,
				"minor", 24, 4, "file type", 28, 4,
				"file format", 32, 4, "root", 36, 4, "root", 36, 4, "bins size", 40, 4, "bins size", 40, 4, "clustering", 44, 4,
				"file name", 48, 4, "checksum", 508, 4)
		},
		edits: []edit{{"root is another cell", func(b []byte, r *rand.Rand) string {
			keys := c.offsets("nk")
			if len(keys) == 0 {
				return ""
			}
			to := keys[r.IntN(len(keys))]
			le.PutUint32(b[36:], to)
			return fmt.Sprintf("the root key is at 0x%x", to)
		}}, {"dirty", func(b []byte, r *rand.Rand) string {
			le.PutUint32(b[4:], le.Uint32(b[8:])+1)
			return "its sequence numbers differ"
		}}},
	})
	h := &hive{c: c, b: c.data[hiveBase:], seen: map[uint32]bool{}}
	for off := int64(0); off+4096 <= int64(len(h.b)); {
		size := int64(le.Uint32(h.b[off+8:]))
		if string(h.b[off:off+4]) != "hbin" || size == 0 {
			break
		}
		c.add("hive bin", fmt.Sprintf("header of the bin at 0x%x", off), 1, hiveBase+off, 32,
			site{fields: func(b []byte) []field {
				return table(0, b, "signature", 0, 4, "offset", 4, 4, "size", 8, 4, "time", 20, 8)
			}})
		for page := off; page < off+size; page += 4096 {
			c.add("hive page", fmt.Sprintf("page at 0x%x", page), max(1, c.weight/4), hiveBase+page, 4096, site{})
		}
		off += size
	}
	h.key(le.Uint32(c.data[36:]), "", 0)
	for _, cell := range h.cells {
		h.add(cell)
	}
}

// offsets are those of all allocated cells with a signature.
func (c *content) offsets(signature string) (list []uint32) {
	for at := hiveBase; at+8 <= len(c.data); {
		size := int(int32(le.Uint32(c.data[at:])))
		switch {
		case string(c.data[at:at+4]) == "hbin":
			at += 32
			continue
		case size < 0 && string(c.data[at+4:at+6]) == signature:
			list = append(list, uint32(at-hiveBase))
		case size == 0:
			return list
		}
		at += max(size, -size)
	}
	return list
}

// cell returns the content of a cell, nil if there is none.
func (h *hive) cell(off uint32) []byte {
	if int64(off)+8 > int64(len(h.b)) {
		return nil
	}
	size := -int64(int32(le.Uint32(h.b[off:])))
	if size < 8 || int64(off)+size > int64(len(h.b)) {
		return nil
	}
	return h.b[off+4 : int64(off)+size]
}

func (h *hive) note(off uint32, kind, key, value string) []byte {
	b := h.cell(off)
	if b != nil && !h.seen[off] {
		h.seen[off] = true
		h.cells = append(h.cells, hiveCell{off, kind, key, value})
	}
	return b
}

func (h *hive) key(off uint32, path string, depth int) {
	b := h.note(off, "key", path, "")
	if len(b) < 76 || depth > 64 {
		return
	}
	h.note(le.Uint32(b[44:]), "security", path, "")
	if le.Uint16(b[74:]) > 0 {
		h.note(le.Uint32(b[48:]), "class", path, "")
	}
	if n := le.Uint32(b[36:]); n > 0 {
		list := h.note(le.Uint32(b[40:]), "values", path, "")
		for i := uint32(0); i < n && int(4*i+4) <= len(list); i++ {
			off := le.Uint32(list[4*i:])
			v := h.cell(off)
			if len(v) < 20 {
				continue
			}
			name := hiveName(v[20:], le.Uint16(v[2:]), le.Uint16(v[16:])&1 != 0)
			h.note(off, "value", path, name)
			if size := le.Uint32(v[4:]); size&(1<<31) == 0 && size > 0 {
				h.note(le.Uint32(v[8:]), "data", path, name)
			}
		}
	}
	if le.Uint32(b[20:]) > 0 {
		h.subkeys(le.Uint32(b[28:]), path, depth)
	}
}

func (h *hive) subkeys(off uint32, path string, depth int) {
	list := h.note(off, "subkeys", path, "")
	if len(list) < 4 || depth > 64 {
		return
	}
	stride := 8
	kind := string(list[:2])
	if kind == "li" || kind == "ri" {
		stride = 4
	}
	for i := 0; i < int(le.Uint16(list[2:])) && 4+stride*(i+1) <= len(list); i++ {
		sub := le.Uint32(list[4+stride*i:])
		if kind == "ri" {
			h.subkeys(sub, path, depth+1)
			continue
		}
		b := h.cell(sub)
		if len(b) < 76 {
			continue
		}
		name := hiveName(b[76:], le.Uint16(b[72:]), le.Uint16(b[2:])&0x20 != 0)
		h.key(sub, strings.TrimPrefix(path+`\`+name, `\`), depth+1)
	}
}

func hiveName(b []byte, n uint16, compressed bool) string {
	b = b[:min(int(n), len(b))]
	if !compressed {
		return utf16le.Decode(b)
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// weight is how much a cell decides.
func (h *hive) weight(cell hiveCell) int {
	weight := 0
	for _, t := range h.c.targets {
		switch {
		case t.Key == "" && cell.key == "":
			weight = max(weight, 1)
		case strings.EqualFold(t.Key, cell.key):
			w := t.Weight
			if t.Value != "" && strings.EqualFold(t.Value, cell.value) {
				w *= 2
			}
			weight = max(weight, w)
		case len(t.Key) > len(cell.key) && strings.EqualFold(t.Key[:len(cell.key)], cell.key) &&
			(cell.key == "" || t.Key[len(cell.key)] == '\\') && cell.value == "":
			weight = max(weight, max(1, t.Weight/2)) // on the way
		}
	}
	return weight
}

func (h *hive) add(cell hiveCell) {
	weight := h.weight(cell)
	if weight == 0 {
		return
	}
	what := fmt.Sprintf("%s of %s", cell.kind, cell.key)
	if cell.value != "" {
		what += " : " + cell.value
	}
	s := site{}
	n := len(h.cell(cell.off)) + 4
	size := func(b []byte) []field { return table(0, b, "size of cell", 0, 4) }
	free := edit{"freed", func(b []byte, r *rand.Rand) string {
		le.PutUint32(b, -le.Uint32(b))
		return "the cell is free"
	}}
	s.edits = []edit{free}
	switch cell.kind {
	case "key":
		s.fields = func(b []byte) []field {
			list := append(size(b), table(4, b, "signature", 0, 2, "flags", 2, 2, "written", 4, 8, "parent", 16, 4, "subkeys",
				20, 4, "subkeys", 20, 4, "volatile subkeys", 24, 4, "list of subkeys", 28, 4,
				"values", 36, 4, "values", 36, 4, "list of values", 40, 4, "security", 44, 4, "class", 48, 4, "length of name", 72,
				2, "length of class", 74, 2)...)
			for at := 80; at < len(b) && at < 80+int(le.Uint16(b[76:])); at++ {
				list = append(list, field{"name", at, 1, false})
			}
			return list
		}
		s.edits = append(s.edits, edit{"no values", func(b []byte, r *rand.Rand) string {
			le.PutUint32(b[4+36:], 0)
			le.PutUint32(b[4+40:], 0xFFFFFFFF)
			return "it has no values"
		}}, edit{"no subkeys", func(b []byte, r *rand.Rand) string {
			le.PutUint32(b[4+20:], 0)
			le.PutUint32(b[4+28:], 0xFFFFFFFF)
			return "it has no subkeys"
		}}, edit{"renamed", rename})
	case "value":
		s.fields = func(b []byte) []field {
			list := append(size(b), table(4, b, "signature", 0, 2, "length of name", 2, 2, "size", 4, 4, "size", 4, 4, "data", 8,
				4, "data", 8, 4, "type", 12, 4, "type", 12, 4, "flags", 16, 2)...)
			for at := 24; at < len(b) && at < 24+int(le.Uint16(b[6:])); at++ {
				list = append(list, field{"name", at, 1, false})
			}
			return list
		}
		// Most values have a name of a few letters, a type and data of four bytes or
		// of somewhere else: what a bit of each makes of the value is tried often.
		s.edits = append(s.edits, edit{"value renamed", renameValue}, edit{"value renamed", renameValue},
			edit{"value without a name", func(b []byte, r *rand.Rand) string {
				if le.Uint16(b[6:]) == 0 {
					return ""
				}
				le.PutUint16(b[6:], 0)
				return "its name has no length"
			}},
			edit{"another type", func(b []byte, r *rand.Rand) string {
				was, is := le.Uint32(b[16:]), uint32(r.IntN(13))
				if was == is {
					return ""
				}
				le.PutUint32(b[16:], is)
				return fmt.Sprintf("its type is %d, and was %d", is, was)
			}},
			edit{"a bit of its number", func(b []byte, r *rand.Rand) string {
				if le.Uint32(b[8:])&(1<<31) == 0 {
					return "" // the data are elsewhere
				}
				b[12+r.IntN(4)] ^= 1 << r.IntN(8)
				return fmt.Sprintf("its data are %x", b[12:16])
			}})
	case "data":
		s.edits = append(s.edits, edit{"a letter of a text", func(b []byte, r *rand.Rand) string {
			if len(b) < 6 {
				return ""
			}
			at := 4 + 2*r.IntN((len(b)-4)/2)
			b[at] ^= 1 << r.IntN(7)
			return fmt.Sprintf("byte %d of its data is %q", at-4, b[at])
		}})
		s.fields = func(b []byte) []field {
			list := size(b)
			for at := 4; at < len(b); at += 2 {
				list = append(list, field{"data", at, min(2, len(b)-at), false})
			}
			return list
		}
	case "values":
		s.fields = func(b []byte) []field { return append(size(b), words("value", b, 4, 4)...) }
		s.edits = append(s.edits, exchange(4, 4))
	case "subkeys":
		s.fields = func(b []byte) []field {
			list := append(size(b), table(4, b, "signature", 0, 2, "count", 2, 2, "count", 2, 2)...)
			return append(list, words("element", b, 8, 4)...)
		}
		s.edits = append(s.edits, exchange(8, 8), edit{"subkey gone", func(b []byte, r *rand.Rand) string {
			count := int(le.Uint16(b[6:]))
			if count == 0 || 8+8*count > len(b) || b[5] == 'i' {
				return ""
			}
			i := r.IntN(count)
			copy(b[8+8*i:], b[8+8*i+8:8+8*count])
			le.PutUint16(b[6:], uint16(count-1))
			return fmt.Sprintf("without element %d", i)
		}}, edit{"subkey twice", func(b []byte, r *rand.Rand) string {
			count := int(le.Uint16(b[6:]))
			if count < 2 || 8+8*count > len(b) {
				return ""
			}
			i, j := r.IntN(count), r.IntN(count)
			copy(b[8+8*i:8+8*i+8], b[8+8*j:8+8*j+8])
			return fmt.Sprintf("element %d in place of %d", j, i)
		}})
	case "security":
		s.fields = func(b []byte) []field {
			return append(size(b), table(4, b, "signature", 0, 2, "next", 4, 4, "previous", 8, 4, "references", 12, 4, "size",
				16, 4)...)
		}
	default:
		s.fields = size
	}
	h.c.add("hive "+cell.kind, what, weight, hiveBase+int64(cell.off), int64(n), s)
}

func words(name string, b []byte, from, n int) (list []field) {
	for at := from; at+n <= len(b) && at < 4096; at += n {
		list = append(list, field{name, at, n, false})
	}
	return list
}

// exchange lets two elements of a list change places.
func exchange(from, n int) edit {
	return edit{"elements exchanged", func(b []byte, r *rand.Rand) string {
		count := (len(b) - from) / n
		if count < 2 {
			return ""
		}
		i, j := from+n*r.IntN(count), from+n*r.IntN(count)
		for k := range n {
			b[i+k], b[j+k] = b[j+k], b[i+k]
		}
		return fmt.Sprintf("%d and %d", (i-from)/n, (j-from)/n)
	}}
}

// rename changes a letter of a key's name; the hash in its parent's list stays
// as it was.
func rename(b []byte, r *rand.Rand) string {
	n := int(le.Uint16(b[76:]))
	if n == 0 || 80+n > len(b) {
		return ""
	}
	at := 80 + r.IntN(n)
	if b[at] == 0 {
		return ""
	}
	b[at] ^= 1
	return fmt.Sprintf("a letter of its name is %q", b[at])
}

// renameValue changes a bit of a value's name.
func renameValue(b []byte, r *rand.Rand) string {
	n := int(le.Uint16(b[6:]))
	if n == 0 || 24+n > len(b) {
		return ""
	}
	at := 24 + r.IntN(n)
	b[at] ^= 1 << r.IntN(7)
	return fmt.Sprintf("a letter of its name is %q", b[at])
}

// surveyLog takes a transaction log apart: a base block in the first sector,
// and log entries or a dirty vector with sectors behind it.
func (c *content) surveyLog() {
	c.add("log base block", "base block", c.weight, 0, sectorSize, site{
		seal: hivetest.FixChecksum,
		fields: func(b []byte) []field {
			return table(0, b, "signature", 0, 4, "primary", 4, 4, "primary", 4, 4, "secondary", 8, 4, "last written", 12, 8,
				"minor", 24, 4, "file type", 28, 4, "root", 36, 4, "bins size", 40, 4, "file name", 48, 4)
		},
	})
	at := int64(sectorSize)
	for at+40 <= int64(len(c.data)) && string(c.data[at:at+4]) == "HvLE" {
		n := int64(le.Uint32(c.data[at+4:]))
		if n < 40 || at+n > int64(len(c.data)) {
			break
		}
		c.add("log entry", fmt.Sprintf("entry at byte %d", at), 3*c.weight, at, n, site{
			seal: hivetest.FixEntry,
			fields: func(b []byte) []field {
				list := table(0, b, "signature", 0, 4, "size", 4, 4, "flags", 8, 4, "sequence", 12, 4, "sequence", 12, 4,
					"bins size", 16, 4, "bins size", 16, 4, "pages", 20, 4, "pages", 20, 4, "hash", 24, 8)
				pages := min(int(le.Uint32(b[20:])), (len(b)-40)/8)
				for i := range pages {
					list = append(list, table(40+8*i, b, "place of page", 0, 4, "size of page", 4, 4)...)
				}
				for at := 40 + 8*pages; at+4 <= len(b); at += 64 {
					list = append(list, field{"word of page", at, 4, false})
				}
				return list
			},
			edits: []edit{{"page gone", func(b []byte, r *rand.Rand) string {
				pages := int(le.Uint32(b[20:]))
				if pages < 2 || 40+8*pages > len(b) {
					return ""
				}
				le.PutUint32(b[20:], uint32(pages-1))
				copy(b[40+8*(pages-1):], b[40+8*pages:])
				return "without its last page"
			}}},
		})
		at += n
	}
	if at == sectorSize {
		c.add("log vector", "dirty vector", c.weight, at, min(512, int64(len(c.data))-at),
			site{fields: byteFields, edits: []edit{{"bits cleared", clearBits}}})
		for ; at < int64(len(c.data)); at += 4096 {
			c.add("log page", fmt.Sprintf("sectors at byte %d", at), max(1, c.weight/4), at, min(4096, int64(len(c.data))-at),
				site{fields: byteFields})
		}
	}
}
