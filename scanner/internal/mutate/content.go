package mutate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// content is that of a file that decides something.
type content struct {
	p       *Plan
	image   int
	spans   []span
	label   string
	name    string
	weight  int
	targets []Target
	bare    bool // it takes clusters of its own
	data    []byte
}

// maxContent is how much of one file is looked at, in bytes.
const maxContent = 64 << 20

// survey finds the structures in the content, which depends on what it is.
func (c *content) survey() {
	if length(c.spans) > maxContent {
		c.spans = clip(c.spans, 0, maxContent)
	}
	if c.data = read(c.p.subject.Images[c.image].R, c.spans); c.data == nil {
		return
	}
	switch {
	case bytes.HasPrefix(c.data, []byte("regf")) && len(c.data) > 4096 && le.Uint32(c.data[28:]) == 0:
		c.surveyHive()
	case bytes.HasPrefix(c.data, []byte("regf")) && len(c.data) > sectorSize:
		c.surveyLog()
	case bytes.HasPrefix(c.data, []byte("SQLite format 3\x00")):
		c.surveySQLite()
	case bytes.HasPrefix(c.data, []byte{0x37, 0x7F, 0x06}) && len(c.data) > 32:
		c.surveyWAL()
	case len(c.data) > 512 && le.Uint32(c.data[12:]) == 0x061561:
		c.surveyBDB()
	default:
		c.surveyPlain()
	}
	if c.bare {
		c.add("file", "whole", 1, 0, int64(len(c.data)), site{})
	}
}

// add adds a structure in the content.
func (c *content) add(family, what string, weight int, off, n int64, s site) {
	s.family, s.what, s.weight, s.image = family, c.label+" "+what, weight, c.image
	s.spans = clip(c.spans, off, n)
	c.p.add(&s)
}

// textSize is how much of a text is one structure, in bytes.
const textSize = 2048

func (c *content) surveyPlain() {
	for off := int64(0); off < int64(len(c.data)) && off < 64*textSize; off += textSize {
		weight := c.weight
		if off > 0 {
			weight = max(1, c.weight/4)
		}
		c.add("text", fmt.Sprintf("content from byte %d", off), weight, off, min(textSize, int64(len(c.data))-off), site{
			fields: func(b []byte) (list []field) {
				for at := range b {
					list = append(list, field{"byte", at, 1, false})
				}
				return list
			},
			edits: []edit{{"line gone", dropLine}},
		})
	}
}

// dropLine takes out a line and fills up with line feeds.
func dropLine(b []byte, r *rand.Rand) string {
	lines := bytes.SplitAfter(b, []byte("\n"))
	if len(lines) < 2 {
		return ""
	}
	i := r.IntN(len(lines))
	gone := string(lines[i])
	kept := bytes.Join(append(lines[:i:i], lines[i+1:]...), nil)
	n := copy(b, bytes.Clone(kept))
	for i := n; i < len(b); i++ {
		b[i] = '\n'
	}
	return fmt.Sprintf("without the line %.60q", gone)
}

func (c *content) surveySQLite() {
	size := int64(le.Uint16([]byte{c.data[17], c.data[16]}))
	if size == 1 {
		size = 65536
	}
	if size < 512 {
		return
	}
	c.add("SQLite header", "header", c.weight, 0, 100, site{fields: func(b []byte) []field {
		return bigTable(0, b, "page size", 16, 2, "write version", 18, 1, "read version", 19, 1, "reserved", 20, 1,
			"change counter", 24, 4, "pages", 28, 4, "first free page", 32, 4,
			"free pages", 36, 4, "schema cookie", 40, 4, "schema format", 44, 4, "largest root", 52, 4, "encoding", 56, 4,
			"valid for", 92, 4)
	}})
	for off := int64(0); off+size <= int64(len(c.data)); off += size {
		c.add("SQLite page", fmt.Sprintf("page %d", off/size+1), max(1, c.weight/2), off, size, c.sqlitePage(off == 0))
	}
}

// sqlitePage describes a page of a b-tree, the first of which has a header.
func (c *content) sqlitePage(first bool) site {
	base := 0
	if first {
		base = 100
	}
	return site{
		fields: func(b []byte) []field {
			list := bigTable(base, b, "type", 0, 1, "first free block", 1, 2, "cells", 3, 2, "cells", 3, 2, "cell area", 5, 2,
				"fragments", 7, 1)
			head := base + 8
			if b[base] == 5 || b[base] == 2 {
				list = append(list, field{"right page", head, 4, true})
				head += 4
			}
			for i := range min(int(be.Uint16(b[base+3:])), 64) {
				at := head + 2*i
				if at+2 > len(b) {
					break
				}
				list = append(list, field{"cell pointer", at, 2, true})
				if cell := int(be.Uint16(b[at:])); cell+12 < len(b) {
					for k := range 12 {
						list = append(list, field{"byte of cell", cell + k, 1, true})
					}
				}
			}
			return list
		},
		edits: []edit{{"cell gone", func(b []byte, r *rand.Rand) string {
			cells := int(be.Uint16(b[base+3:]))
			head := base + 8
			if b[base] == 5 || b[base] == 2 {
				head += 4
			}
			if cells == 0 || head+2*cells > len(b) {
				return ""
			}
			i := r.IntN(cells)
			copy(b[head+2*i:], b[head+2*i+2:head+2*cells])
			be.PutUint16(b[base+3:], uint16(cells-1))
			return fmt.Sprintf("without its cell %d", i)
		}}},
	}
}

// surveyWAL takes a write-ahead log apart: a header of 32 bytes, and frames of
// 24 bytes and a page each.
func (c *content) surveyWAL() {
	page := int64(be.Uint32(c.data[8:]))
	if page < 512 || page > 65536 {
		return
	}
	c.add("WAL header", "header", c.weight, 0, 32, site{fields: func(b []byte) []field {
		return bigTable(0, b, "magic", 0, 4, "version", 4, 4, "page size", 8, 4, "sequence", 12, 4, "salt", 16, 4, "salt", 20,
			4, "checksum", 24, 4)
	}, seal: func(b []byte) {
		s0, s1 := walChecksum(b[:24], 0, 0, b[3] == 0x83)
		be.PutUint32(b[24:], s0)
		be.PutUint32(b[28:], s1)
	}})
	big := c.data[3] == 0x83
	for off := int64(32); off+24+page <= int64(len(c.data)); off += 24 + page {
		inner := c.sqlitePage(be.Uint32(c.data[off:]) == 1)
		before := c.data[24:32] // the checksum that this one goes on from
		if off > 32 {
			before = c.data[off-page-8:][:8]
		}
		c.add("WAL frame", fmt.Sprintf("frame at byte %d", off), c.weight, off, 24+page, site{
			fields: func(b []byte) []field {
				list := bigTable(0, b, "page", 0, 4, "size after commit", 4, 4, "size after commit", 4, 4, "salt", 8, 4, "checksum",
					16, 4)
				for _, f := range inner.fields(b[24:]) {
					f.at += 24
					list = append(list, f)
				}
				return list
			},
			// Frames behind this one fail their checksums then, and the log ends here.
			seal: func(b []byte) {
				s0, s1 := walChecksum(b[:8], be.Uint32(before), be.Uint32(before[4:]), big)
				s0, s1 = walChecksum(b[24:], s0, s1, big)
				be.PutUint32(b[16:], s0)
				be.PutUint32(b[20:], s1)
			},
		})
	}
}

// walChecksum is that of SQLite, fileformat2, 4.2.
func walChecksum(b []byte, s0, s1 uint32, big bool) (uint32, uint32) {
	word := le.Uint32
	if big {
		word = be.Uint32
	}
	for ; len(b) >= 8; b = b[8:] {
		s0 += word(b) + s1
		s1 += word(b[4:]) + s0
	}
	return s0, s1
}

// surveyBDB takes a hash of Berkeley DB apart: pages whose number is at 8, and
// the first of which describes it.
func (c *content) surveyBDB() {
	size := int64(le.Uint32(c.data[20:]))
	if size < 512 || size > 65536 {
		return
	}
	c.add("BDB meta", "meta page", 2*c.weight, 0, 512, site{fields: func(b []byte) []field {
		list := table(0, b, "LSN", 0, 8, "page", 8, 4, "magic", 12, 4, "version", 16, 4, "page size", 20, 4, "encryption", 24,
			1, "type", 25, 1, "flags", 26, 1,
			"first free page", 28, 4, "last page", 32, 4, "last page", 32, 4, "partitions", 36, 4, "keys", 40, 4,
			"records in all", 44, 4, "flags of the hash", 48, 4,
			"last bucket", 72, 4, "high mask", 76, 4, "low mask", 80, 4, "fill factor", 84, 4, "records", 88, 4,
			"hash of a string", 92, 4)
		for at := 96; at < 96+8*4; at += 4 {
			list = append(list, field{"spare", at, 4, false})
		}
		return list
	}})
	for off := size; off+size <= int64(len(c.data)); off += size {
		c.add("BDB page", fmt.Sprintf("page %d", off/size), max(1, c.weight/8), off, size, site{
			fields: func(b []byte) []field {
				list := table(0, b, "page", 8, 4, "previous page", 12, 4, "next page", 16, 4, "items", 20, 2, "items", 20, 2,
					"length", 22, 2, "level", 24, 1, "type", 25, 1)
				if b[25] == 7 { // overflow: a header of rpm, or its continuation
					for at := 26; at < 26+400; at += 4 {
						list = append(list, field{"word of header", at, 4, true})
					}
					return list
				}
				for i := range min(int(le.Uint16(b[20:])), 64) {
					list = append(list, field{"offset of item", 26 + 2*i, 2, false})
					if at := int(le.Uint16(b[26+2*i:])); at+12 <= len(b) {
						list = append(list, table(at, b, "kind of item", 0, 1, "first page of item", 4, 4, "length of item", 8, 4, "key",
							1, 4)...)
					}
				}
				return list
			},
			own: func(b, was []byte) { copy(b[8:12], was[8:12]) },
			edits: []edit{{"pair gone", func(b []byte, r *rand.Rand) string {
				items := int(le.Uint16(b[20:]))
				if b[25] == 7 || items < 2 || 26+2*items > len(b) {
					return ""
				}
				i := r.IntN(items/2) * 2
				copy(b[26+2*i:], b[26+2*i+4:26+2*items])
				le.PutUint16(b[20:], uint16(items-2))
				return fmt.Sprintf("without the pair at item %d", i)
			}}},
		})
	}
}
