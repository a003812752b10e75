// Package hivetest writes small registry hives and transaction logs for tests. It shares no code with the reader
// under test; its output is checked with hivex and reglookup.
//
// The layout follows github.com/msuhanov/regf, "Windows registry file format specification".
package hivetest

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

var le = binary.LittleEndian

const (
	pageSize  = 4096
	none      = 0xFFFFFFFF            // an offset that points nowhere
	fileTime  = 132_223_104_000000000 // 2020-01-01T00:00:00Z
	segment   = 16344                 // largest data segment, and largest data outside of big data
	rootFlags = 0x000C                // KEY_HIVE_ENTRY, KEY_NO_DELETE
	compName  = 0x0020                // KEY_COMP_NAME
)

// A Key is a key to be written, with all below it.
type Key struct {
	Name      string
	Class     string
	Flags     uint16 // of the key node, without those that follow from the name and the place
	LastWrite uint64 // FILETIME; 0 is 2020-01-01
	Values    []Value
	Subkeys   []Key
}

// A Value is a value to be written. Data of up to 4 bytes is written inline, larger data than 16344 bytes as big data
// if the version is 1.4 or later.
type Value struct {
	Name string
	Type uint32
	Data []byte
}

// Options say how a hive is written.
type Options struct {
	Minor    uint32 // minor version of the format; 0 is 5
	List     string // kind of the subkey lists: "lh" (the default), "lf" or "li"
	MaxLeaf  int    // more subkeys than this are written as an index root over leaves; 0 is 500
	FileName string // in the base block
}

// Empty returns a hive of 8 KiB that holds nothing but its root key: a base block and one bin with the root key and
// its security descriptor.
func Empty(rootName string) []byte { return Build(Key{Name: rootName}, Options{}) }

// Build returns a clean hive with that root key. Subkeys are sorted as the format wants it.
func Build(root Key, o Options) []byte {
	o.Minor = cmp.Or(o.Minor, 5)
	o.List = cmp.Or(o.List, "lh")
	o.MaxLeaf = cmp.Or(o.MaxLeaf, 500)
	w := &writer{o: o}
	rootOff := w.alloc(nodeSize(root))
	w.security = w.descriptor()
	keys := w.node(rootOff, none, root, rootFlags)
	le.PutUint32(w.bins[w.security+16:], uint32(keys)) // reference count, behind the cell's size
	w.closeBin()

	hive := make([]byte, pageSize, pageSize+len(w.bins))
	copy(hive, "regf")
	le.PutUint32(hive[4:], 1)
	le.PutUint32(hive[8:], 1)
	le.PutUint64(hive[12:], fileTime)
	le.PutUint32(hive[20:], 1)
	le.PutUint32(hive[24:], o.Minor)
	le.PutUint32(hive[32:], 1)
	le.PutUint32(hive[36:], rootOff)
	le.PutUint32(hive[40:], uint32(len(w.bins)))
	le.PutUint32(hive[44:], 1)
	name := utf16le.Encode(o.FileName)
	copy(hive[48:112], name[max(0, len(name)-64):])
	FixChecksum(hive)
	return append(hive, w.bins...)
}

// A writer lays cells one after the other into bins.
type writer struct {
	o        Options
	bins     []byte // bins data; offsets are relative to it
	start    int    // of the bin being filled
	end      int    // of the cells in it
	security uint32 // the one security descriptor
}

// alloc returns the offset of a new cell whose content has n bytes.
func (w *writer) alloc(n int) uint32 {
	size := (4 + n + 7) &^ 7
	if w.end+size > len(w.bins) {
		w.closeBin()
		w.start = len(w.bins)
		w.bins = append(w.bins, make([]byte, (32+size+pageSize-1)/pageSize*pageSize)...)
		h := w.bins[w.start:]
		copy(h, "hbin")
		le.PutUint32(h[4:], uint32(w.start))
		le.PutUint32(h[8:], uint32(len(h)))
		if w.start == 0 {
			le.PutUint64(h[20:], fileTime)
		}
		w.end = w.start + 32
	}
	off := w.end
	le.PutUint32(w.bins[off:], uint32(-int32(size)))
	w.end += size
	return uint32(off)
}

// closeBin makes the rest of the bin an unallocated cell.
func (w *writer) closeBin() {
	if rest := len(w.bins) - w.end; rest > 0 {
		le.PutUint32(w.bins[w.end:], uint32(rest))
	}
	w.end = len(w.bins)
}

// cell writes a cell with that content.
func (w *writer) cell(content []byte) uint32 {
	off := w.alloc(len(content))
	copy(w.bins[off+4:], content)
	return off
}

// descriptor writes a security descriptor that lets Administrators (S-1-5-32-544) own everything and has no lists.
func (w *writer) descriptor() uint32 {
	sid := []byte{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0}
	sd := make([]byte, 20)
	sd[0] = 1
	le.PutUint16(sd[2:], 0x8000) // self-relative
	le.PutUint32(sd[4:], 20)
	le.PutUint32(sd[8:], 20+uint32(len(sid)))
	sd = append(append(sd, sid...), sid...)
	c := make([]byte, 20, 20+len(sd))
	copy(c, "sk")
	le.PutUint32(c[16:], uint32(len(sd)))
	off := w.cell(append(c, sd...))
	le.PutUint32(w.bins[off+8:], off)
	le.PutUint32(w.bins[off+12:], off)
	return off
}

func nodeSize(k Key) int {
	name, _ := keyName(k.Name)
	return 76 + len(name)
}

// node fills the cell of a key and writes all below it. It returns the number of keys.
func (w *writer) node(off, parent uint32, k Key, flags uint16) int {
	name, comp := keyName(k.Name)
	if comp {
		flags |= compName
	}
	c := make([]byte, 76+len(name))
	copy(c, "nk")
	le.PutUint16(c[2:], flags|k.Flags)
	le.PutUint64(c[4:], cmp.Or(k.LastWrite, fileTime))
	le.PutUint32(c[16:], parent)
	le.PutUint32(c[20:], uint32(len(k.Subkeys)))
	le.PutUint32(c[28:], none)
	le.PutUint32(c[32:], none)
	le.PutUint32(c[36:], uint32(len(k.Values)))
	le.PutUint32(c[40:], none)
	le.PutUint32(c[44:], w.security)
	le.PutUint32(c[48:], none)
	le.PutUint16(c[72:], uint16(len(name)))
	copy(c[76:], name)
	if k.Class != "" {
		class := utf16le.Encode(k.Class)
		le.PutUint32(c[48:], w.cell(class))
		le.PutUint16(c[74:], uint16(len(class)))
	}
	if len(k.Values) > 0 {
		le.PutUint32(c[40:], w.values(k.Values, c))
	}
	count := 1
	if len(k.Subkeys) > 0 {
		subkeys := slices.Clone(k.Subkeys)
		slices.SortStableFunc(subkeys, func(a, b Key) int { return slices.Compare(upper(a.Name), upper(b.Name)) })
		offs := make([]uint32, len(subkeys))
		for i, s := range subkeys {
			offs[i] = w.alloc(nodeSize(s))
			count += w.node(offs[i], off, s, 0)
			putMax(c[52:], 2*len(utf16.Encode([]rune(s.Name))))
			putMax(c[56:], 2*len(utf16.Encode([]rune(s.Class))))
		}
		le.PutUint32(c[28:], w.list(subkeys, offs))
	}
	copy(w.bins[off+4:], c)
	return count
}

// list writes the list of subkeys, as an index root over leaves if there are many.
func (w *writer) list(subkeys []Key, offs []uint32) uint32 {
	if len(offs) <= w.o.MaxLeaf {
		return w.leaf(subkeys, offs)
	}
	n := (len(offs) + w.o.MaxLeaf - 1) / w.o.MaxLeaf
	c := make([]byte, 4+4*n)
	copy(c, "ri")
	le.PutUint16(c[2:], uint16(n))
	for i := range n {
		from, to := i*w.o.MaxLeaf, min((i+1)*w.o.MaxLeaf, len(offs))
		le.PutUint32(c[4+4*i:], w.leaf(subkeys[from:to], offs[from:to]))
	}
	return w.cell(c)
}

func (w *writer) leaf(subkeys []Key, offs []uint32) uint32 {
	size := 8
	if w.o.List == "li" {
		size = 4
	}
	c := make([]byte, 4+size*len(offs))
	copy(c, w.o.List)
	le.PutUint16(c[2:], uint16(len(offs)))
	for i, off := range offs {
		e := c[4+size*i:]
		le.PutUint32(e, off)
		switch w.o.List {
		case "lf":
			if name, comp := keyName(subkeys[i].Name); comp {
				copy(e[4:8], name)
			}
		case "lh":
			var h uint32
			for _, u := range upper(subkeys[i].Name) {
				h = h*37 + uint32(u)
			}
			le.PutUint32(e[4:], h)
		}
	}
	return w.cell(c)
}

// values writes the values of a key and notes the largest name and data in its node.
func (w *writer) values(values []Value, node []byte) uint32 {
	list := make([]byte, 4*len(values))
	for i, v := range values {
		name, comp := keyName(v.Name)
		c := make([]byte, 20+len(name))
		copy(c, "vk")
		le.PutUint16(c[2:], uint16(len(name)))
		le.PutUint32(c[4:], uint32(len(v.Data)))
		le.PutUint32(c[12:], v.Type)
		if comp {
			le.PutUint16(c[16:], 1)
		}
		copy(c[20:], name)
		switch n := len(v.Data); {
		case n <= 4:
			le.PutUint32(c[4:], uint32(n)|1<<31)
			copy(c[8:12], v.Data)
		case n > segment && w.o.Minor >= 4:
			le.PutUint32(c[8:], w.bigData(v.Data))
		default:
			le.PutUint32(c[8:], w.cell(v.Data))
		}
		le.PutUint32(list[4*i:], w.cell(c))
		putMax(node[60:], 2*len(utf16.Encode([]rune(v.Name))))
		putMax(node[64:], len(v.Data))
	}
	return w.cell(list)
}

func (w *writer) bigData(data []byte) uint32 {
	var list []byte
	for part := range slices.Chunk(data, segment) {
		// Every segment but the last has the same size; 4 bytes of each cell stay unused.
		list = le.AppendUint32(list, w.cell(append(slices.Clone(part), 0, 0, 0, 0)))
	}
	c := make([]byte, 8)
	copy(c, "db")
	le.PutUint16(c[2:], uint16(len(list)/4))
	le.PutUint32(c[4:], w.cell(list))
	return w.cell(c)
}

// FixChecksum sets the checksum of a base block to what its first 508 bytes ask for.
func FixChecksum(block []byte) {
	le.PutUint32(block[508:], checksum(block))
}

func checksum(block []byte) uint32 {
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(block[i:])
	}
	switch sum { // neither of the two is ever written
	case 0:
		return 1
	case 0xFFFFFFFF:
		return 0xFFFFFFFE
	}
	return sum
}

// keyName returns a name as it is written: a byte a character if all fit into Latin-1, else UTF-16LE.
func keyName(name string) (b []byte, comp bool) {
	for _, r := range name {
		if r > 0xFF {
			return utf16le.Encode(name), false
		}
		b = append(b, byte(r))
	}
	return b, true
}

// upper returns the upper-case name by which keys are sorted and hashed.
func upper(name string) []uint16 { return utf16.Encode([]rune(strings.Map(unicode.ToUpper, name))) }

// putMax raises the 32-bit number at b to n.
func putMax(b []byte, n int) {
	le.PutUint32(b, max(le.Uint32(b), uint32(n)))
}
