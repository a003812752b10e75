package mutate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// sectorSize is what a disk writes at once, in bytes: writes are torn between
// sectors.
const sectorSize = 512

// site is a structure on an image.
type site struct {
	family string
	what   string // which one, for people
	weight int
	image  int
	spans  []span

	// open turns the bytes on the disk into the structure's own, in place (it
	// undoes fixups); false if they are not, or no longer, such a structure.
	// seal turns them back, checksums included. Both may be nil.
	open func(b []byte) bool
	seal func(b []byte)
	// fields lists what can be changed; it must do with any bytes.
	fields func(b []byte) []field
	// own makes b, a copy of another structure of the family, say that it
	// belongs here, where was lay; nil if nothing does.
	own   func(b, was []byte)
	edits []edit
}

// field is a number in a structure.
type field struct {
	name  string
	at, n int  // in bytes; n is 1 to 8
	big   bool // big-endian
}

func (f field) get(b []byte) uint64 {
	var v uint64
	for i := range f.n {
		c := b[f.at+i]
		if f.big {
			v = v<<8 | uint64(c)
		} else {
			v |= uint64(c) << (8 * i)
		}
	}
	return v
}

func (f field) put(b []byte, v uint64) {
	for i := range f.n {
		shift := 8 * i
		if f.big {
			shift = 8 * (f.n - 1 - i)
		}
		b[f.at+i] = byte(v >> shift)
	}
}

// edit is a change that only one kind of structure knows. It returns what it
// did, "" if it could not.
type edit struct {
	kind string
	do   func(b []byte, r *rand.Rand) string
}

// A kind of damage that any structure can suffer, and how often.
var kinds = []struct {
	name   string
	weight int
}{
	{"field", 40},
	{"edit", 22},
	{"earlier", 8},
	{"earlier part", 5},
	{"field, not repaired", 4},
	{"torn", 5},
	{"zero", 3},
	{"zero sector", 3},
	{"ones", 1},
	{"bytes", 4},
	{"bytes, not repaired", 2},
	{"swap", 3},
	{"copy", 5},
	{"copy as it is", 2},
	{"shift", 2},
	{"end of image", 1},
}

var kindsTotal = func() (n int) {
	for _, k := range kinds {
		n += k.weight
	}
	return n
}()

// damage damages one structure. The kind is "" if nothing was changed.
func (p *Plan) damage(d *Damaged, s *site, r *rand.Rand) (kind, what string) {
	n := r.IntN(kindsTotal)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			kind = k.name
			break
		}
	}
	o := d.Images[s.image]
	before := read(o, s.spans)
	if len(before) == 0 {
		return "", ""
	}
	after := bytes.Clone(before)
	plain := s.open == nil || s.open(after)
	seal := func() {
		if plain && s.seal != nil {
			s.seal(after)
		}
	}
	if !plain {
		copy(after, before)
	}
	switch kind {
	case "field", "field, not repaired":
		if s.fields == nil {
			return "", ""
		}
		list := s.fields(after)
		if len(list) == 0 {
			return "", ""
		}
		f := list[r.IntN(len(list))]
		old := f.get(after)
		v := change(old, f.n, r)
		if sibling := p.sibling(s, r); sibling != nil && r.IntN(6) == 0 {
			v = sibling.value(o, f.name, v)
		}
		f.put(after, v)
		if kind == "field" {
			seal()
		} else if plain && s.open != nil {
			return "", "" // the bytes on the disk are not those of the fields
		}
		what = fmt.Sprintf(": %s from 0x%x to 0x%x", f.name, old, f.get(after))
	case "edit":
		if len(s.edits) == 0 || !plain {
			return "", ""
		}
		e := s.edits[r.IntN(len(s.edits))]
		if what = e.do(after, r); what == "" {
			return "", ""
		}
		what = ": " + what
		seal()
		kind = e.kind
	case "earlier", "earlier part":
		earlier := p.subject.Images[s.image].Earlier
		if earlier == nil {
			return "", ""
		}
		old := read(earlier, s.spans)
		if old == nil {
			return "", ""
		}
		copy(after, before)
		from, to := 0, len(old)
		if kind == "earlier part" {
			from, to = part(len(old), r)
		}
		copy(after[from:to], old[from:to])
		what = fmt.Sprintf(": bytes %d to %d", from, to)
	case "torn":
		copy(after, before)
		from, to := part(len(after), r)
		if sibling := p.sibling(s, r); sibling != nil && r.IntN(2) == 0 {
			copy(after[from:to], tail(read(o, sibling.spans), from))
		} else {
			clear(after[from:to])
		}
		what = fmt.Sprintf(": bytes %d to %d", from, to)
	case "zero", "ones":
		for i := range after {
			after[i] = 0
			if kind == "ones" {
				after[i] = 0xFF
			}
		}
	case "zero sector":
		copy(after, before)
		at := r.IntN((len(after)+sectorSize-1)/sectorSize) * sectorSize
		clear(after[at:min(at+sectorSize, len(after))])
		what = fmt.Sprintf(": from byte %d", at)
	case "bytes", "bytes, not repaired":
		if kind == "bytes, not repaired" {
			copy(after, before)
		}
		at := r.IntN(len(after))
		n := min(1+r.IntN(16), len(after)-at)
		for i := range n {
			after[at+i] = byte(r.Uint32())
		}
		if kind == "bytes" {
			seal()
		}
		what = fmt.Sprintf(": %d from byte %d", n, at)
	case "swap", "copy", "copy as it is":
		sibling := p.sibling(s, r)
		if sibling == nil || sibling.image != s.image {
			return "", ""
		}
		other := read(o, sibling.spans)
		switch kind {
		case "swap":
			copy(after, before)
			copy(after, other)
			copy(other, before)
			o.write(sibling.spans, other)
		case "copy":
			if !plain || sibling.open != nil && !sibling.open(other) {
				return "", ""
			}
			was := bytes.Clone(after)
			copy(after, other)
			if s.own != nil {
				s.own(after, was)
			}
			seal()
		default:
			copy(after, before)
			copy(after, other)
		}
		what = ": of " + sibling.what
	case "shift":
		n := []int{1, 2, 4, 8, 16, 512}[r.IntN(6)]
		if n >= len(after) {
			return "", ""
		}
		if r.IntN(2) == 0 {
			copy(after[n:], bytes.Clone(after))
		} else {
			copy(after, after[n:])
		}
		seal()
		what = fmt.Sprintf(": by %d bytes", n)
	case "end of image":
		if r.IntN(4) != 0 {
			return "", ""
		}
		o.Truncate(s.spans[0].at + r.Int64N(s.spans[0].n+1))
		return kind, fmt.Sprintf(": at byte %d", o.Size())
	}
	if bytes.Equal(before, after) {
		return "", ""
	}
	o.write(s.spans, after)
	return kind, what
}

// part is the beginning or the end of n bytes, up to or from a sector.
func part(n int, r *rand.Rand) (from, to int) {
	sectors := (n + sectorSize - 1) / sectorSize
	if sectors < 2 {
		cut := r.IntN(n + 1)
		if r.IntN(2) == 0 {
			return 0, cut
		}
		return cut, n
	}
	cut := (1 + r.IntN(sectors-1)) * sectorSize
	if r.IntN(2) == 0 {
		return 0, cut
	}
	return cut, n
}

func tail(b []byte, from int) []byte { return b[min(from, len(b)):] }

// sibling is another structure of the family, nil if there is none.
func (p *Plan) sibling(s *site, r *rand.Rand) *site {
	kin := p.kin[s.family]
	for range 4 {
		if other := kin[r.IntN(len(kin))]; other != s {
			return other
		}
	}
	return nil
}

// value is what a structure has in the field of that name, or else instead.
func (s *site) value(o *Overlay, name string, instead uint64) uint64 {
	b := read(o, s.spans)
	if b == nil || s.fields == nil || s.open != nil && !s.open(b) {
		return instead
	}
	for _, f := range s.fields(b) {
		if f.name == name {
			return f.get(b)
		}
	}
	return instead
}

// change returns another value for a number of n bytes: the ones that readers
// stumble over more often than others.
func change(old uint64, n int, r *rand.Rand) uint64 {
	width := 8 * n
	most := ^uint64(0) >> (64 - width)
	var v uint64
	switch r.IntN(14) {
	case 0:
		v = 0
	case 1:
		v = most
	case 2:
		v = most >> 1
	case 3:
		v = old + 1
	case 4:
		v = old - 1
	case 5, 6, 7:
		v = old ^ 1<<r.IntN(width)
	case 8:
		v = uint64(r.IntN(16))
	case 9:
		v = old << 1
	case 10:
		v = old >> 1
	case 11:
		v = old + uint64(r.IntN(17)-8)*8
	case 12:
		v = bits.ReverseBytes64(old) >> (64 - width)
	default:
		v = r.Uint64()
	}
	return v & most
}

// table makes fields of a row of names, each with its offset and width.
func table(base int, b []byte, rows ...any) (list []field) {
	for i := 0; i+2 < len(rows); i += 3 {
		f := field{name: rows[i].(string), at: base + rows[i+1].(int), n: rows[i+2].(int)}
		if f.at >= 0 && f.at+f.n <= len(b) {
			list = append(list, f)
		}
	}
	return list
}

// bigTable is table for big-endian numbers.
func bigTable(base int, b []byte, rows ...any) []field {
	list := table(base, b, rows...)
	for i := range list {
		list[i].big = true
	}
	return list
}

var be = binary.BigEndian
