// Package evtxtest writes small event logs (.evtx) for tests. It shares no code with the reader under test; its output
// is checked with evtxexport.
//
// The layout follows libevtx, "Windows XML Event Log (EVTX) format", and [MS-EVEN6] 2.2.12 for binary XML.
package evtxtest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf16"
)

var le = binary.LittleEndian

// Sizes of the parts of a log in bytes.
const (
	HeaderSize      = 4096
	ChunkSize       = 64 << 10
	ChunkHeaderSize = 512
)

// Flags of a file header.
const (
	Dirty       = 1
	Full        = 2
	NoChecksums = 4
)

// fileTime is when a record was written that has no time of its own: 2024-01-01T00:00:00Z.
const fileTime = 133_485_408_000_000_000

// A Log is an event log to be written.
type Log struct {
	Chunks []Chunk // from the oldest to the newest
	Flags  uint32  // of the file
	Minor  uint16  // of the version; 0 is 2
	// Oldest is the position of the oldest chunk in the file. The others follow it, and go on at the beginning.
	Oldest int
	Unused int // empty chunks at the end
}

// A Chunk is a row of records.
type Chunk []Record

// A Record is a record to be written: a fragment of binary XML, or other bytes in its place.
type Record struct {
	Number uint64 // 0: one more than that of the record before
	Time   uint64 // FILETIME; 0: a second after the record before
	Body   Fragment
	Raw    []byte // in place of Body
}

// A Fragment is an element, or a template with its values.
type Fragment struct {
	Element  *Element
	Template *Template
	Values   []Value
	// Headless: no fragment header comes first.
	Headless bool
	// Dependencies: Element has fields for dependencies although it is in no template. Programs differ in whether they
	// expect that.
	Dependencies bool
}

// A Template is written where it is first used in a chunk.
type Template struct {
	GUID [16]byte
	Root Element
}

// An Element is an element of XML. Its content, and that of attributes, are string, Element, Place, Char, Entity, CDATA
// and Instruction.
type Element struct {
	Name       string
	Attributes []Attribute
	Content    []any
	// Needs is a value of the template without which the element is left out, counted from 1.
	Needs int
}

// An Attribute is an attribute of an element.
type Attribute struct {
	Name    string
	Content []any
}

// A Place is where a value of a template goes.
type Place struct {
	Index    int
	Type     byte // that the template declares
	Optional bool
}

// Content of other kinds.
type (
	Char        uint16 // a character reference
	Entity      string // an entity reference
	CDATA       string
	Instruction struct{ Target, Data string }
)

// A Value is a value of a template: bytes, or a fragment.
type Value struct {
	Type     byte
	Data     []byte
	Fragment *Fragment
}

// Text returns a string value.
func Text(s string) Value { return Value{Type: 1, Data: wide(s)} }

// Number returns a value of n bytes.
func Number(kind byte, n int, number uint64) Value {
	return Value{Type: kind, Data: le.AppendUint64(nil, number)[:n]}
}

// Nested returns a value that is binary XML.
func Nested(f Fragment) Value { return Value{Type: 0x21, Fragment: &f} }

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}

// Build returns a log. It panics if the records of a chunk do not fit.
func Build(l Log) []byte {
	number, time := uint64(0), uint64(fileTime)
	chunks := make([][]byte, len(l.Chunks))
	for i, c := range l.Chunks {
		chunks[(l.Oldest+i)%len(chunks)] = chunk(c, &number, &time, l.Flags&NoChecksums != 0)
	}
	log := make([]byte, HeaderSize, HeaderSize+(len(chunks)+l.Unused)*ChunkSize)
	copy(log, "ElfFile\x00")
	if len(chunks) > 0 {
		le.PutUint64(log[8:], uint64(l.Oldest))
		le.PutUint64(log[16:], uint64((l.Oldest+len(chunks)-1)%len(chunks)))
	}
	le.PutUint64(log[24:], number+1)
	le.PutUint32(log[32:], 128)
	le.PutUint16(log[36:], l.Minor)
	if l.Minor == 0 {
		le.PutUint16(log[36:], 2)
	}
	le.PutUint16(log[38:], 3)
	le.PutUint16(log[40:], HeaderSize)
	le.PutUint16(log[42:], uint16(len(chunks)))
	le.PutUint32(log[120:], l.Flags)
	if l.Flags&NoChecksums == 0 {
		FixHeader(log)
	}
	for _, c := range chunks {
		log = append(log, c...)
	}
	return append(log, make([]byte, l.Unused*ChunkSize)...)
}

// FixHeader makes the checksum of the file header right.
func FixHeader(log []byte) { le.PutUint32(log[124:], crc32.ChecksumIEEE(log[:120])) }

// FixChunk makes the checksums of a chunk right, by its position in the file.
func FixChunk(log []byte, position int) {
	fixChunk(log[HeaderSize+position*ChunkSize:])
}

func fixChunk(c []byte) {
	free := min(max(int(le.Uint32(c[48:])), ChunkHeaderSize), ChunkSize, len(c))
	le.PutUint32(c[52:], crc32.ChecksumIEEE(c[ChunkHeaderSize:free]))
	le.PutUint32(c[124:], crc32.Update(crc32.ChecksumIEEE(c[:120]), crc32.IEEETable, c[128:512]))
}

// writer writes a chunk.
type writer struct {
	b         []byte
	names     map[string]uint32
	templates map[*Template]uint32
}

func chunk(records []Record, number, time *uint64, noChecksums bool) []byte {
	w := &writer{b: make([]byte, ChunkHeaderSize), names: map[string]uint32{}, templates: map[*Template]uint32{}}
	copy(w.b, "ElfChnk\x00")
	first, last := uint64(0), 0
	for i, r := range records {
		if r.Number == 0 {
			r.Number = *number + 1
		}
		if r.Time == 0 {
			r.Time = *time + 10_000_000
		}
		*number, *time = r.Number, r.Time
		if i == 0 {
			first = r.Number
		}
		last = len(w.b)
		w.record(r)
	}
	if len(w.b) > ChunkSize {
		panic(fmt.Sprintf("%d bytes of records in a chunk", len(w.b)))
	}
	end, free := *number, len(w.b)
	if len(records) == 0 {
		first, end, last = 1, ^uint64(0), 0
	}
	le.PutUint64(w.b[8:], first)
	le.PutUint64(w.b[16:], end)
	le.PutUint64(w.b[24:], first)
	le.PutUint64(w.b[32:], end)
	le.PutUint32(w.b[40:], 128)
	le.PutUint32(w.b[44:], uint32(last))
	le.PutUint32(w.b[48:], uint32(free))
	le.PutUint32(w.b[120:], 1)
	c := append(w.b, make([]byte, ChunkSize-free)...)
	if noChecksums {
		le.PutUint32(c[120:], 1|NoChecksums)
	} else {
		fixChunk(c)
	}
	return c
}

func (w *writer) u8(n byte)    { w.b = append(w.b, n) }
func (w *writer) u16(n int)    { w.b = le.AppendUint16(w.b, uint16(n)) }
func (w *writer) u32(n uint32) { w.b = le.AppendUint32(w.b, n) }

// size leaves room for the size of what follows, and returns the function that writes it.
func (w *writer) size() func() {
	at := len(w.b)
	w.u32(0)
	return func() { le.PutUint32(w.b[at:], uint32(len(w.b)-at-4)) }
}

func (w *writer) record(r Record) {
	at := len(w.b)
	w.u32(0x00002A2A)
	w.u32(0)
	w.b = le.AppendUint64(w.b, r.Number)
	w.b = le.AppendUint64(w.b, r.Time)
	if r.Raw != nil {
		w.b = append(w.b, r.Raw...)
	} else {
		w.fragment(r.Body)
		w.u8(0)
	}
	for (len(w.b)-at+4)%8 != 0 {
		w.u8(0)
	}
	size := uint32(len(w.b) - at + 4)
	le.PutUint32(w.b[at+4:], size)
	w.u32(size)
}

func (w *writer) fragment(f Fragment) {
	if !f.Headless {
		w.b = append(w.b, 0x0F, 1, 1, 0)
	}
	if f.Template == nil {
		w.element(*f.Element, f.Dependencies)
		return
	}
	w.u8(0x0C)
	w.u8(1)
	w.u32(le.Uint32(f.Template.GUID[:]))
	offset, known := w.templates[f.Template]
	if !known {
		offset = uint32(len(w.b) + 4)
		w.templates[f.Template] = offset
	}
	w.u32(offset)
	if !known {
		bucket := 384 + 4*(le.Uint32(f.Template.GUID[:])%32)
		w.u32(le.Uint32(w.b[bucket:]))
		le.PutUint32(w.b[bucket:], offset)
		w.b = append(w.b, f.Template.GUID[:]...)
		end := w.size()
		w.b = append(w.b, 0x0F, 1, 1, 0)
		w.element(f.Template.Root, true)
		w.u8(0)
		end()
	}
	w.u32(uint32(len(f.Values)))
	sizes := len(w.b)
	for _, v := range f.Values {
		w.u16(0)
		w.u8(v.Type)
		w.u8(0)
	}
	for i, v := range f.Values {
		at := len(w.b)
		if v.Fragment != nil {
			w.fragment(*v.Fragment)
			w.u8(0)
		}
		w.b = append(w.b, v.Data...)
		le.PutUint16(w.b[sizes+4*i:], uint16(len(w.b)-at))
	}
}

func (w *writer) element(e Element, inTemplate bool) {
	token := byte(0x01)
	if len(e.Attributes) > 0 {
		token |= 0x40
	}
	w.u8(token)
	if inTemplate {
		w.u16(e.Needs - 1)
	}
	end := w.size()
	w.name(e.Name)
	if len(e.Attributes) > 0 {
		end := w.size()
		for i, a := range e.Attributes {
			token := byte(0x06)
			if i < len(e.Attributes)-1 {
				token |= 0x40
			}
			w.u8(token)
			w.name(a.Name)
			w.content(a.Content, inTemplate)
		}
		end()
	}
	if len(e.Content) == 0 {
		w.u8(0x03)
	} else {
		w.u8(0x02)
		w.content(e.Content, inTemplate)
		w.u8(0x04)
	}
	end()
}

func (w *writer) content(list []any, inTemplate bool) {
	for i, c := range list {
		more := byte(0)
		if i < len(list)-1 {
			more = 0x40
		}
		switch c := c.(type) {
		case Element:
			w.element(c, inTemplate)
		case string:
			w.u8(0x05 | more)
			w.u8(1)
			w.text(c)
		case Place:
			token := byte(0x0D)
			if c.Optional {
				token = 0x0E
			}
			w.u8(token)
			w.u16(c.Index)
			w.u8(c.Type)
		case Char:
			w.u8(0x08 | more)
			w.u16(int(c))
		case Entity:
			w.u8(0x09 | more)
			w.name(string(c))
		case CDATA:
			w.u8(0x07 | more)
			w.text(string(c))
		case Instruction:
			w.u8(0x0A)
			w.name(c.Target)
			w.u8(0x0B)
			w.text(c.Data)
		default:
			panic(fmt.Sprintf("content of type %T", c))
		}
	}
}

func (w *writer) text(s string) {
	b := wide(s)
	w.u16(len(b) / 2)
	w.b = append(w.b, b...)
}

// name writes the offset of a name, and the name if the chunk does not have it.
func (w *writer) name(s string) {
	if offset, ok := w.names[s]; ok {
		w.u32(offset)
		return
	}
	offset := uint32(len(w.b) + 4)
	w.names[s] = offset
	w.u32(offset)
	units := utf16.Encode([]rune(s))
	var hash uint32
	for _, u := range units {
		hash = hash*65599 + uint32(u)
	}
	bucket := 128 + 4*(uint16(hash)%64)
	w.u32(le.Uint32(w.b[bucket:])) // the name before in the bucket
	le.PutUint32(w.b[bucket:], offset)
	w.u16(int(uint16(hash)))
	w.u16(len(units))
	for _, u := range units {
		w.u16(int(u))
	}
	w.u16(0)
}
