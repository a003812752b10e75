package mutate

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
)

// xfsVolume locates what is on an XFS volume of version 5: enough for volumes as
// fixtures have them ("XFS Algorithms & Data Structures", 3rd edition).
type xfsVolume struct {
	p     *Plan
	v     Volume
	r     io.ReaderAt
	block int64 // size in bytes

	sector, inode   int64 // sizes in bytes
	agBlocks        int64
	agBlockLog      uint
	inodesBlockLog  uint
	seen            map[int64]bool // places that are sites already
	seenDirectories map[uint64]bool
}

func (p *Plan) surveyXFS(v Volume) error {
	x := &xfsVolume{p: p, v: v, r: p.subject.Images[v.Image].R, seen: map[int64]bool{}, seenDirectories: map[uint64]bool{}}
	s := read(x.r, []span{{v.Offset, sectorSize}})
	if len(s) < 264 || string(s[:4]) != "XFSB" {
		return fmt.Errorf("no superblock")
	}
	x.block, x.sector, x.inode = int64(be.Uint32(s[4:])), int64(be.Uint16(s[102:])), int64(be.Uint16(s[104:]))
	x.agBlocks, x.agBlockLog, x.inodesBlockLog = int64(be.Uint32(s[84:])), uint(s[124]), uint(s[123])
	for ag := range int64(be.Uint32(s[88:])) {
		x.group(ag)
	}
	if log := int64(be.Uint64(s[48:])); log != 0 {
		at, blocks := x.place(uint64(log)), min(int64(be.Uint32(s[96:])), 64)
		for b := range blocks {
			x.add("xfs log", fmt.Sprintf("block %d of the log", b), 1, at+b*x.block, x.block, -1, nil)
		}
	}
	x.walk(be.Uint64(s[56:]), "", 0)
	return nil
}

// place is the offset on the image of a block whose number has the group in its
// upper bits.
func (x *xfsVolume) place(block uint64) int64 {
	return x.v.Offset + (int64(block>>x.agBlockLog)*x.agBlocks+int64(block&(1<<x.agBlockLog-1)))*x.block
}

// add adds a structure whose checksum is at sum, -1 if it has none.
func (x *xfsVolume) add(family, what string, weight int, at, size int64, sum int, fields func(b []byte) []field,
	edits ...edit) {
	if x.seen[at] {
		return
	}
	x.seen[at] = true
	s := &site{family: family, what: what, weight: weight, image: x.v.Image, spans: []span{{at, size}}, edits: edits}
	if fields != nil {
		s.fields = func(b []byte) []field {
			list := fields(b)
			for i := range list {
				list[i].big = true
			}
			return list
		}
	}
	if sum >= 0 {
		s.seal = func(b []byte) {
			clear(b[sum : sum+4])
			le.PutUint32(b[sum:], ^crc32c(^uint32(0), b)) // little-endian, as nothing else here
		}
	}
	x.p.add(s)
}

// group adds the headers of an allocation group and the trees below them
// (chapters 13.1 to 13.4).
func (x *xfsVolume) group(ag int64) {
	at := x.v.Offset + ag*x.agBlocks*x.block
	name := func(what string) string { return fmt.Sprintf("%s of group %d", what, ag) }
	weight := 1
	if ag == 0 {
		weight = 8
	}
	x.add("xfs superblock", name("superblock"), weight, at, x.sector, 224, func(b []byte) []field {
		return table(0, b, "magic", 0, 4, "block size", 4, 4, "blocks", 8, 8, "log", 48, 8, "root inode", 56, 8,
			"blocks of a group", 84, 4, "groups", 88, 4, "blocks of the log", 96, 4,
			"version", 100, 2, "sector size", 102, 2, "inode size", 104, 2, "inodes of a block", 106, 2, "block log", 120, 1,
			"sector log", 121, 1, "inode log", 122, 1, "inodes log", 123, 1, "group log", 124, 1,
			"inodes", 128, 8, "free inodes", 136, 8, "free blocks", 144, 8, "features", 200, 4, "compatible", 208, 4,
			"read-only", 212, 4, "incompatible", 216, 4, "log incompatible", 220, 4)
	})
	x.add("xfs AGF", name("AGF"), 3, at+x.sector, x.sector, 216, func(b []byte) []field {
		return table(0, b, "magic", 0, 4, "version", 4, 4, "number", 8, 4, "length", 12, 4, "root by block", 16, 4,
			"root by count", 20, 4, "levels", 28, 4, "free list first", 40, 4, "free list last", 44, 4,
			"free list", 48, 4, "free blocks", 52, 4, "free blocks", 52, 4, "longest", 56, 4, "blocks of trees", 60, 4)
	})
	x.add("xfs AGI", name("AGI"), 3, at+2*x.sector, x.sector, 312, func(b []byte) []field {
		return table(0, b, "magic", 0, 4, "version", 4, 4, "number", 8, 4, "length", 12, 4, "inodes", 16, 4, "root", 20, 4,
			"levels", 24, 4, "free", 28, 4, "newest", 32, 4, "unlinked", 40, 4, "free root", 296, 4, "free levels", 300, 4)
	})
	x.add("xfs AGFL", name("AGFL"), 1, at+3*x.sector, x.sector, 32,
		func(b []byte) []field { return words("block", b, 36, 4) })
	heads := read(x.r, []span{{at, 4 * x.sector}})
	if int64(len(heads)) < 4*x.sector {
		return
	}
	agf, agi := heads[x.sector:], heads[2*x.sector:]
	for _, root := range []uint32{be.Uint32(agf[16:]), be.Uint32(agf[20:]), be.Uint32(agi[20:]), be.Uint32(agi[296:])} {
		if root != 0 && root != 1<<32-1 {
			x.shortTree(at, root, ag, 0)
		}
	}
}

// shortTree adds the blocks of a tree within a group (chapter 10).
func (x *xfsVolume) shortTree(group int64, block uint32, ag int64, depth int) {
	at := group + int64(block)*x.block
	b := read(x.r, []span{{at, x.block}})
	if len(b) < 56 || depth > 8 || x.seen[at] {
		return
	}
	count, level := int(be.Uint16(b[6:])), be.Uint16(b[4:])
	weight := 1
	if string(b[:4]) == "IAB3" {
		weight = 4
	}
	x.add("xfs btree", fmt.Sprintf("%q at block %d of group %d", b[:4], block, ag), weight, at, x.block, 52,
		func(b []byte) []field {
			return append(table(0, b, "magic", 0, 4, "level", 4, 2, "records", 6, 2, "records", 6, 2, "left", 8, 4, "right", 12,
				4, "own block", 16, 8, "owner", 48, 4), words("record", b[:min(len(b), 56+16*64)], 56, 4)...)
		}, edit{"a record less", func(b []byte, r *rand.Rand) string {
			n := be.Uint16(b[6:])
			if n == 0 {
				return ""
			}
			be.PutUint16(b[6:], n-1)
			return "without its last record"
		}})
	if level == 0 {
		return
	}
	keys := map[string]int{"IAB3": 4, "FIB3": 4}[string(b[:4])]
	if keys == 0 {
		keys = 8
	}
	most := (len(b) - 56) / (keys + 4)
	for i := range min(count, most) {
		x.shortTree(group, be.Uint32(b[56+most*keys+4*i:]), ag, depth+1)
	}
}

// weight is how much a file decides.
func (x *xfsVolume) weight(name string) int {
	weight := 0
	for _, t := range x.p.subject.Targets {
		switch {
		case t.Role != x.v.Role:
		case t.Path == name:
			weight = max(weight, t.Weight)
		case name == "" || strings.HasPrefix(t.Path, name+"/"):
			weight = max(weight, 1) // on the way
		}
	}
	return weight
}

// walk adds the inodes that decide something, and the blocks of folders on the
// way to them (chapters 17 to 20).
func (x *xfsVolume) walk(number uint64, name string, depth int) {
	block := number >> x.inodesBlockLog
	at := x.place(block) + int64(number&(1<<x.inodesBlockLog-1))*x.inode
	b := read(x.r, []span{{at, x.inode}})
	weight := x.weight(name)
	if int64(len(b)) < x.inode || string(b[:2]) != "IN" || weight == 0 || depth > 32 {
		return
	}
	literal := b[176:]
	if fork := int(b[82]) * 8; fork > 0 && fork <= len(literal) {
		literal = literal[:fork]
	}
	format, folder := b[5], be.Uint16(b[2:])&0xF000 == 0x4000
	x.add("xfs inode", fmt.Sprintf("inode %d, /%s", number, name), weight, at, x.inode, 100, func(b []byte) []field {
		list := table(0, b, "magic", 0, 2, "mode", 2, 2, "version", 4, 1, "format", 5, 1, "links", 16, 4, "size", 56, 8,
			"size", 56, 8, "blocks", 64, 8, "extents", 76, 4, "attribute extents", 80, 2, "fork", 82, 1,
			"attribute format", 83, 1, "flags", 90, 2, "generation", 92, 4, "flags 2", 120, 8, "own number", 152, 8)
		return append(list, words("data fork", b, 176, 4)...)
	}, edit{"empty", func(b []byte, r *rand.Rand) string {
		be.PutUint64(b[56:], 0)
		return "its size is 0"
	}}, edit{"free", func(b []byte, r *rand.Rand) string {
		be.PutUint16(b[2:], 0)
		return "its mode is 0"
	}})
	if !folder || x.seenDirectories[number] {
		if format == 2 && !folder {
			x.content(literal, int(be.Uint32(b[76:])), name, weight)
		}
		return
	}
	x.seenDirectories[number] = true
	if format == 1 {
		x.shortFolder(literal, name, depth)
		return
	}
	if format == 2 {
		x.eachExtent(literal, int(be.Uint32(b[76:])), func(at, count int64) {
			for i := range min(count, 64) {
				x.folderBlock(at+i*x.block, name, weight, depth)
			}
		})
	}
}

// eachExtent takes apart the extents in an inode (chapter 19.1): 54 bits of
// offset, 52 of the first block, 21 of the count.
func (x *xfsVolume) eachExtent(b []byte, n int, do func(at, count int64)) {
	for i := 0; i < n && 16*i+16 <= len(b); i++ {
		high, low := be.Uint64(b[16*i:]), be.Uint64(b[16*i+8:])
		do(x.place(high<<43|low>>21), int64(low&(1<<21-1)))
	}
}

func (x *xfsVolume) content(literal []byte, n int, name string, weight int) {
	x.eachExtent(literal, n, func(at, count int64) {
		for i := range min(count, 8) {
			x.add("xfs file", fmt.Sprintf("block %d of an extent of /%s", i, name), max(1, weight/2), at+i*x.block, x.block, -1,
				byteFields)
		}
	})
}

// folderBlock adds a block of a folder: its entries, or the index of their hashes.
func (x *xfsVolume) folderBlock(at int64, name string, weight, depth int) {
	b := read(x.r, []span{{at, x.block}})
	if int64(len(b)) < x.block || x.seen[at] {
		return
	}
	what := fmt.Sprintf("block at byte %d of /%s", at, name)
	switch magic := string(b[:4]); {
	case magic == "XDB3", magic == "XDD3":
		entries, end := x.entries(b)
		x.add("xfs directory", what, weight+1, at, x.block, 4, func(b []byte) []field {
			list := table(0, b, "magic", 0, 4, "own block", 8, 8, "owner", 40, 8, "best free", 48, 2)
			for at := 64; at+4 <= end && at < 2048; at += 4 {
				list = append(list, field{"entries", at, 4, true})
			}
			return list
		}, edit{"a name changed", func(b []byte, r *rand.Rand) string {
			if len(entries) == 0 {
				return ""
			}
			e := entries[r.IntN(len(entries))]
			i := e.at + 9 + r.IntN(len(e.name))
			b[i] ^= 1
			return fmt.Sprintf("a letter of %s is %q", e.name, b[i])
		}}, edit{"another inode", func(b []byte, r *rand.Rand) string {
			if len(entries) < 2 {
				return ""
			}
			e, other := entries[r.IntN(len(entries))], entries[r.IntN(len(entries))]
			be.PutUint64(b[e.at:], other.inode)
			return fmt.Sprintf("%s is the inode of %s", e.name, other.name)
		}})
		for _, e := range entries {
			if e.name != "." && e.name != ".." {
				x.walk(e.inode, strings.TrimPrefix(path.Join(name, e.name), "/"), depth+1)
			}
		}
	case magic == "XDF3":
		x.add("xfs free index", what, 1, at, x.block, 4, func(b []byte) []field { return words("word", b, 48, 4) })
	case len(b) > 16 && (be.Uint16(b[8:]) == 0x3DF1 || be.Uint16(b[8:]) == 0x3DFF || be.Uint16(b[8:]) == 0x3EBE):
		x.add("xfs leaf", what, weight, at, x.block, 12, func(b []byte) []field {
			return append(table(0, b, "forward", 0, 4, "back", 4, 4, "magic", 8, 2, "own block", 16, 8, "owner", 48, 8, "count",
				56, 2, "stale", 58, 2), words("entry", b[:min(len(b), 64+8*100)], 64, 4)...)
		})
	}
}

type xfsEntry struct {
	at    int
	inode uint64
	name  string
}

// entries are those of a block of a folder (chapter 20.2): each an inode, a name
// with its length, a type and the place of the entry, in steps of eight bytes.
func (x *xfsVolume) entries(b []byte) (list []xfsEntry, end int) {
	end = len(b)
	if string(b[:4]) == "XDB3" {
		end -= 8 + 8*int(be.Uint32(b[len(b)-8:]))
	}
	for at := 64; at+16 <= end; {
		if be.Uint16(b[at:]) == 0xFFFF { // free
			n := int(be.Uint16(b[at+2:]))
			if n < 8 {
				break
			}
			at += n
			continue
		}
		n := int(b[at+8])
		if n == 0 || at+9+n > end {
			break
		}
		list = append(list, xfsEntry{at, be.Uint64(b[at:]), string(b[at+9 : at+9+n])})
		at += (9 + n + 1 + 2 + 7) &^ 7
	}
	return list, end
}

// shortFolder walks a folder whose entries are in its inode (chapter 20.1).
func (x *xfsVolume) shortFolder(b []byte, name string, depth int) {
	if len(b) < 6 {
		return
	}
	count, wide := int(b[0]), 4
	if b[1] > 0 {
		count, wide = int(b[1]), 8
	}
	at := 2 + wide
	for range count {
		if at+3 > len(b) || at+3+int(b[at])+1+wide > len(b) {
			return
		}
		n := int(b[at])
		entry := string(b[at+3 : at+3+n])
		at += 3 + n + 1
		number := uint64(be.Uint32(b[at:]))
		if wide == 8 {
			number = be.Uint64(b[at:])
		}
		at += wide
		x.walk(number, strings.TrimPrefix(path.Join(name, entry), "/"), depth+1)
	}
}
