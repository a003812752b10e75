package mutate

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"path"
	"strings"
)

// extVolume locates what is on an ext4 volume: enough for volumes as fixtures
// have them, with extents in the inode or one level below it.
type extVolume struct {
	p         *Plan
	v         Volume
	r         io.ReaderAt
	block     int64
	first     int64 // block of the first group
	perGroup  int64 // inodes
	blocks    int64 // in a group
	inode     int64 // size in bytes
	desc      int64 // size of a group descriptor
	groups    int64
	checksums bool // metadata_csum
	gdtSums   bool // crc16 of group descriptors
	uuid      []byte
	seed      uint32
	tables    []int64 // of inodes, by group
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c continues a CRC-32C without the inversions of hash/crc32.
func crc32c(crc uint32, parts ...[]byte) uint32 {
	for _, p := range parts {
		crc = ^crc32.Update(^crc, castagnoli, p)
	}
	return crc
}

func crc16(crc uint16, parts ...[]byte) uint16 {
	for _, p := range parts {
		for _, b := range p {
			crc ^= uint16(b)
			for range 8 {
				if crc&1 != 0 {
					crc = crc>>1 ^ 0xA001
				} else {
					crc >>= 1
				}
			}
		}
	}
	return crc
}

func (p *Plan) surveyExt(v Volume) error {
	e := &extVolume{p: p, v: v, r: p.subject.Images[v.Image].R}
	s := make([]byte, 1024)
	if _, err := e.r.ReadAt(s, v.Offset+1024); err != nil {
		return err
	}
	e.block = 1024 << le.Uint32(s[0x18:])
	e.first = int64(le.Uint32(s[0x14:]))
	e.perGroup = int64(le.Uint32(s[0x28:]))
	e.blocks = int64(le.Uint32(s[0x20:]))
	e.inode = int64(le.Uint16(s[0x58:]))
	e.desc = 32
	if le.Uint32(s[0x60:])&0x80 != 0 {
		e.desc = int64(le.Uint16(s[0xFE:]))
	}
	e.groups = (int64(le.Uint32(s[4:])) - e.first + e.blocks - 1) / e.blocks
	ro := le.Uint32(s[0x64:])
	e.checksums, e.gdtSums = ro&0x400 != 0, ro&0x10 != 0
	e.uuid = s[0x68:0x78]
	e.seed = crc32c(^uint32(0), e.uuid)
	for g := range e.groups {
		d := read(e.r, e.descriptor(g))
		if d == nil {
			return fmt.Errorf("descriptor %d is not there", g)
		}
		e.tables = append(e.tables, int64(le.Uint32(d[8:])))
	}
	e.sites(s)
	return nil
}

func (e *extVolume) at(block int64) int64 { return e.v.Offset + block*e.block }

func (e *extVolume) descriptor(group int64) []span {
	first := e.first + 1
	return []span{{e.at(first) + group*e.desc, e.desc}}
}

func (e *extVolume) place(inode uint32) []span {
	group, index := int64(inode-1)/e.perGroup, int64(inode-1)%e.perGroup
	if inode == 0 || group >= e.groups {
		return nil
	}
	return []span{{e.at(e.tables[group]) + index*e.inode, e.inode}}
}

// load returns an inode, nil if it is not in use.
func (e *extVolume) load(inode uint32) []byte {
	b := read(e.r, e.place(inode))
	if len(b) == 0 || le.Uint16(b[0x1A:]) == 0 {
		return nil
	}
	return b
}

func (e *extVolume) inodeSeed(number uint32, b []byte) uint32 {
	return crc32c(e.seed, le.AppendUint32(nil, number), b[0x64:0x68])
}

func (e *extVolume) sealInode(number uint32) func(b []byte) {
	return func(b []byte) {
		if !e.checksums {
			return
		}
		extra := len(b) > 128 && le.Uint16(b[0x80:]) >= 4
		le.PutUint16(b[0x7C:], 0)
		if extra {
			le.PutUint16(b[0x82:], 0)
		}
		crc := crc32c(e.inodeSeed(number, b), b)
		le.PutUint16(b[0x7C:], uint16(crc))
		if extra {
			le.PutUint16(b[0x82:], uint16(crc>>16))
		}
	}
}

// runs returns the blocks of a file, and those of its extent tree below the
// inode.
func (e *extVolume) runs(b []byte) (runs, tree []span) {
	if le.Uint32(b[0x20:])&0x80000 == 0 {
		return nil, nil
	}
	var node func(n []byte, depth int)
	node = func(n []byte, depth int) {
		if le.Uint16(n) != 0xF30A || depth > 4 {
			return
		}
		for i := range int(le.Uint16(n[2:])) {
			at := 12 + 12*i
			if at+12 > len(n) {
				return
			}
			x := n[at:]
			if le.Uint16(n[6:]) == 0 {
				count := int64(le.Uint16(x[4:]))
				if count > 32768 {
					continue // not written
				}
				start := int64(le.Uint32(x[8:])) | int64(le.Uint16(x[6:]))<<32
				runs = append(runs, span{e.at(start), count * e.block})
				continue
			}
			below := span{e.at(int64(le.Uint32(x[4:])) | int64(le.Uint16(x[8:]))<<32), e.block}
			tree = append(tree, below)
			if b := read(e.r, []span{below}); b != nil {
				node(b, depth+1)
			}
		}
	}
	node(b[0x28:0x64], 0)
	return runs, tree
}

func extSize(b []byte) int64 { return int64(le.Uint32(b[4:])) | int64(le.Uint32(b[0x6C:]))<<32 }

// entry finds a name in a directory.
func (e *extVolume) entry(dir uint32, name string) uint32 {
	b := e.load(dir)
	if b == nil || le.Uint16(b)&0xF000 != 0x4000 {
		return 0
	}
	runs, _ := e.runs(b)
	data := read(e.r, runs)
	for at := 0; at+8 <= len(data); {
		n := int(le.Uint16(data[at+4:]))
		if n < 8 || at+n > len(data) {
			break
		}
		if inode := le.Uint32(data[at:]); inode != 0 && string(data[at+8:at+8+int(data[at+6])]) == name {
			return inode
		}
		at += n
	}
	return 0
}

// find returns the inodes on the way to a name, the root's first. Symbolic
// links on the way end it.
func (e *extVolume) find(name string) []uint32 {
	way := []uint32{2}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == "" {
			continue
		}
		next := e.entry(way[len(way)-1], part)
		if next == 0 {
			break
		}
		way = append(way, next)
	}
	return way
}

func (e *extVolume) sites(super []byte) {
	role := e.v.Role
	add := func(s site) {
		s.image = e.v.Image
		s.what = role + " " + s.what
		e.p.add(&s)
	}
	sealSuper := func(b []byte) {
		if e.checksums {
			le.PutUint32(b[0x3FC:], crc32c(^uint32(0), b[:0x3FC]))
		}
	}
	add(site{family: "superblock", what: "superblock", weight: 10, spans: []span{{e.v.Offset + 1024, 1024}},
		seal: sealSuper, fields: superFields})
	add(site{family: "superblock", what: "copy of the superblock", weight: 1,
		spans: []span{{e.at(e.first + e.blocks), 1024}}, seal: sealSuper, fields: superFields})

	inodes := map[uint64]int{2: 4, 8: 3}
	labels := map[uint64]string{2: "root folder", 8: "journal"}
	targets := map[uint64][]Target{}
	groups := map[uint64]int{0: 4}
	for _, t := range e.p.subject.Targets {
		if t.Role != role {
			continue
		}
		way := e.find(t.Path)
		for i, inode := range way {
			key := uint64(inode)
			if i == 0 {
				labels[key] = "root folder"
			} else {
				labels[key] = strings.Join(strings.Split(t.Path, "/")[:i], "/")
			}
			weight := 1
			if i >= len(way)-2 {
				weight = 2 * t.Weight
			}
			inodes[key] = max(inodes[key], weight)
			if i == len(way)-1 {
				targets[key] = append(targets[key], t)
			}
			group := uint64(inode-1) / uint64(e.perGroup)
			groups[group] = max(groups[group], 2)
		}
	}
	for _, g := range sortedKeys(groups) {
		add(site{family: "group descriptor", what: fmt.Sprintf("descriptor of group %d", g), weight: groups[g],
			spans: e.descriptor(int64(g)),
			seal:  e.sealGroup(uint32(g)), fields: groupFields})
		if d := read(e.r, e.descriptor(int64(g))); d != nil {
			for i, name := range []string{"block bitmap", "inode bitmap"} {
				add(site{family: "bitmap", what: fmt.Sprintf("%s of group %d", name, g), weight: 1,
					spans:  []span{{e.at(int64(le.Uint32(d[4*i:]))), e.block}},
					fields: byteFields, edits: []edit{{"bits cleared", clearBits}}})
			}
		}
	}
	for g := range uint64(e.groups) {
		add(site{family: "group descriptor", what: fmt.Sprintf("descriptor of group %d", g), weight: 1 + 20/int(e.groups),
			spans: e.descriptor(int64(g)),
			seal:  e.sealGroup(uint32(g)), fields: groupFields})
	}
	for _, number := range sortedKeys(inodes) {
		e.inodeSites(uint32(number), inodes[number], labels[number], targets[number])
	}
	e.journal()
}

func superFields(b []byte) []field {
	return table(0, b, "inodes", 0, 4, "blocks", 4, 4, "reserved blocks", 8, 4, "free blocks", 12, 4, "free inodes", 16, 4,
		"first block", 0x14, 4, "block size", 0x18, 4,
		"cluster size", 0x1C, 4, "blocks in a group", 0x20, 4, "inodes in a group", 0x28, 4, "magic", 0x38, 2, "state", 0x3A,
		2, "state", 0x3A, 2, "revision", 0x4C, 4,
		"first inode", 0x54, 4, "inode size", 0x58, 2, "compatible", 0x5C, 4, "incompatible", 0x60, 4, "incompatible", 0x60,
		4, "read-only compatible", 0x64, 4,
		"UUID", 0x68, 4, "last mounted", 0x88, 4, "reserved descriptors", 0xCE, 2, "journal inode", 0xE0, 4, "journal device",
		0xE4, 4, "last orphan", 0xE8, 4,
		"descriptor size", 0xFE, 2, "first meta group", 0x104, 4, "copy of journal's inode", 0x10C, 4, "blocks, high", 0x150,
		4, "checksum type", 0x175, 1,
		"errors", 0x194, 4, "overhead", 0x248, 4, "seed", 0x270, 4, "orphan file", 0x280, 4)
}

func groupFields(b []byte) []field {
	return table(0, b, "block bitmap", 0, 4, "inode bitmap", 4, 4, "inode table", 8, 4, "inode table", 8, 4, "free blocks",
		12, 2, "free blocks", 12, 2, "free inodes", 14, 2, "folders", 16, 2,
		"flags", 18, 2, "unused inodes", 28, 2, "checksum", 30, 2, "inode table, high", 40, 4, "free blocks, high", 44, 2)
}

func (e *extVolume) sealGroup(group uint32) func(b []byte) {
	return func(b []byte) {
		number := le.AppendUint32(nil, group)
		switch {
		case e.checksums:
			crc := crc32c(e.seed, number, b[:0x1E], []byte{0, 0}, b[0x20:])
			le.PutUint16(b[0x1E:], uint16(crc))
		case e.gdtSums:
			crc := crc16(0xFFFF, e.uuid, number, b[:0x1E])
			if len(b) > 32 {
				crc = crc16(crc, b[0x20:])
			}
			le.PutUint16(b[0x1E:], crc)
		}
	}
}

func (e *extVolume) inodeSites(number uint32, weight int, label string, targets []Target) {
	b := e.load(number)
	if b == nil {
		return
	}
	e.p.add(&site{
		family: "inode", what: fmt.Sprintf("%s inode %d (%s)", e.v.Role, number, label), weight: weight, image: e.v.Image,
		spans: e.place(number), seal: e.sealInode(number), fields: inodeFields,
		edits: []edit{{"freed", func(b []byte, r *rand.Rand) string {
			le.PutUint16(b[0x1A:], 0)
			if r.IntN(2) == 0 {
				le.PutUint32(b[0x14:], 1_770_000_000)
			}
			return "no links"
		}}, {"size changed", func(b []byte, r *rand.Rand) string {
			size := le.Uint32(b[4:])
			if size == 0 {
				return ""
			}
			le.PutUint32(b[4:], r.Uint32N(size))
			if r.IntN(2) == 0 {
				le.PutUint32(b[4:], le.Uint32(b[4:])&^4095)
			}
			return fmt.Sprintf("size from %d to %d", size, le.Uint32(b[4:]))
		}}},
	})
	runs, tree := e.runs(b)
	for i, t := range tree {
		e.p.add(&site{family: "extents", what: fmt.Sprintf("%s block %d of the extents of %s", e.v.Role, i, label),
			weight: weight, image: e.v.Image,
			spans: []span{t}, fields: func(b []byte) []field { return extentFields(b, 0) }, seal: func(block []byte) {
				if tail := 12 + 12*int(le.Uint16(block[4:])); e.checksums && tail+4 <= len(block) {
					le.PutUint32(block[tail:], crc32c(e.inodeSeed(number, b), block[:tail]))
				}
			}})
	}
	switch le.Uint16(b) & 0xF000 {
	case 0x4000:
		for i, off := 0, int64(0); off < length(runs); i, off = i+1, off+e.block {
			e.p.add(&site{
				family: "directory block", what: fmt.Sprintf("%s block %d of folder %s", e.v.Role, i, label),
				weight: cmp.Or(weight, 1), image: e.v.Image,
				spans: clip(runs, off, e.block), fields: direntFields, seal: func(block []byte) {
					if e.checksums {
						t := block[len(block)-12:]
						le.PutUint32(t[8:], crc32c(e.inodeSeed(number, b), block[:len(block)-12]))
					}
				},
				edits: []edit{{"entry gone", dropDirent}, {"entry gone", dropDirent}, {"entries merged", mergeDirents}},
			})
		}
	case 0x8000:
		size := extSize(b)
		if length(runs) == 0 || size > length(runs) || size == 0 {
			return
		}
		c := &content{p: e.p, image: e.v.Image, spans: clip(runs, 0, size), label: e.v.Role + " " + label,
			name: path.Base(label), weight: max(1, weight/2), targets: targets, bare: true}
		c.survey()
	}
}

func inodeFields(b []byte) []field {
	list := table(0, b, "mode", 0, 2, "mode", 0, 2, "owner", 2, 2, "size", 4, 4, "size", 4, 4, "changed", 12, 4,
		"modified", 16, 4, "deleted", 0x14, 4, "group", 0x18, 2, "links", 0x1A, 2, "links", 0x1A, 2,
		"sectors", 0x1C, 4, "flags", 0x20, 4, "flags", 0x20, 4, "generation", 0x64, 4, "attributes", 0x68, 4, "size, high",
		0x6C, 4, "extra size", 0x80, 2)
	if le.Uint32(b[0x20:])&0x80000 != 0 {
		return append(list, extentFields(b[:0x64], 0x28)...)
	}
	if le.Uint16(b)&0xF000 == 0xA000 {
		for at := 0x28; at < 0x64 && b[at] != 0; at++ {
			list = append(list, field{"target", at, 1, false})
		}
	}
	return list
}

func extentFields(b []byte, at int) []field {
	list := table(at, b, "extents' magic", 0, 2, "extents", 2, 2, "extents", 2, 2, "room for extents", 4, 2,
		"depth of extents", 6, 2)
	for i := range min(int(le.Uint16(b[at+2:])), 16) {
		list = append(list, table(at+12+12*i, b, "first block of file", 0, 4, "blocks of extent", 4, 2, "extent, high", 6, 2,
			"extent", 8, 4, "extent", 8, 4)...)
	}
	return list
}

// dirents are the offsets of the entries of a block.
func dirents(b []byte) (list []int) {
	for at := 0; at+8 <= len(b); {
		n := int(le.Uint16(b[at+4:]))
		if n < 8 || at+n > len(b) {
			break
		}
		list = append(list, at)
		at += n
	}
	return list
}

func direntFields(b []byte) (list []field) {
	for _, at := range dirents(b) {
		list = append(list, table(at, b, "inode of entry", 0, 4, "inode of entry", 0, 4, "length of entry", 4, 2,
			"length of name", 6, 1, "type of entry", 7, 1)...)
		for k := at + 8; k < at+8+int(b[at+6]) && k < len(b); k++ {
			list = append(list, field{"name", k, 1, false})
		}
	}
	return list
}

// dropDirent does what deleting a name does.
func dropDirent(b []byte, r *rand.Rand) string {
	list := dirents(b)
	if len(list) < 3 {
		return ""
	}
	at := list[r.IntN(len(list))]
	name := string(b[at+8 : min(at+8+int(b[at+6]), len(b))])
	le.PutUint32(b[at:], 0)
	return fmt.Sprintf("the entry of %q is not in use", name)
}

// mergeDirents makes one entry longer, over the one behind it.
func mergeDirents(b []byte, r *rand.Rand) string {
	list := dirents(b)
	if len(list) < 4 {
		return ""
	}
	i := 1 + r.IntN(len(list)-2)
	at, next := list[i-1], list[i]
	if b[next+7] == 0xDE {
		return ""
	}
	name := string(b[next+8 : min(next+8+int(b[next+6]), len(b))])
	le.PutUint16(b[at+4:], le.Uint16(b[at+4:])+le.Uint16(b[next+4:]))
	return fmt.Sprintf("the entry of %q is in the one before it", name)
}

// journal takes in the blocks of the journal (JBD2), whose numbers are
// big-endian.
func (e *extVolume) journal() {
	b := e.load(8)
	if b == nil {
		return
	}
	runs, _ := e.runs(b)
	head := read(e.r, clip(runs, 0, 1024))
	if head == nil || be.Uint32(head) != 0xC03B3998 {
		return
	}
	features := be.Uint32(head[0x28:])
	sums := features&0x18 != 0
	v3 := features&0x10 != 0
	seed := crc32c(^uint32(0), head[0x30:0x40])
	add := func(what string, weight int, block int64, s site) {
		s.family, s.what, s.weight, s.image = "journal block", e.v.Role+" "+what, weight, e.v.Image
		s.spans = clip(runs, block*e.block, e.block)
		e.p.add(&s)
	}
	add("superblock of the journal", 3, 0, site{
		seal: func(b []byte) {
			if sums {
				clear(b[0xFC:0x100])
				be.PutUint32(b[0xFC:], crc32c(^uint32(0), b[:1024]))
			}
		},
		fields: func(b []byte) []field {
			return bigTable(0, b, "magic", 0, 4, "type", 4, 4, "block size", 12, 4, "blocks", 16, 4, "first", 20, 4, "sequence",
				24, 4, "sequence", 24, 4, "start", 28, 4, "start", 28, 4, "error", 32, 4,
				"compatible", 0x24, 4, "incompatible", 0x28, 4, "UUID", 0x30, 4, "checksum type", 0x50, 1)
		},
	})
	if be.Uint32(head[28:]) == 0 {
		return // it is empty
	}
	// Blocks behind a descriptor are content until the next block with the
	// magic.
	descriptor, data := int64(-1), 0
	for n := int64(1); n < min(int64(be.Uint32(head[16:])), 4096); n++ {
		block := read(e.r, clip(runs, n*e.block, e.block))
		if block == nil {
			break
		}
		if be.Uint32(block) != 0xC03B3998 {
			if descriptor < 0 || be.Uint32(block) == 0 && be.Uint32(block[4:]) == 0 && data > 64 {
				break
			}
			data++
			weight := 1
			if data < 64 {
				weight = 3
			}
			add(fmt.Sprintf("content in block %d of the journal", n), weight, n, site{fields: byteFields})
			continue
		}
		what := map[uint32]string{1: "descriptor", 2: "commit", 5: "revoke"}[be.Uint32(block[4:])]
		if what == "descriptor" {
			descriptor = n
		}
		add(fmt.Sprintf("%s in block %d of the journal", what, n), 6, n, site{
			seal: func(b []byte) {
				switch {
				case !sums:
				case what == "commit":
					clear(b[0x10:0x14])
					be.PutUint32(b[0x10:], crc32c(seed, b))
				default:
					clear(b[len(b)-4:])
					be.PutUint32(b[len(b)-4:], crc32c(seed, b))
				}
			},
			fields: func(b []byte) []field {
				list := bigTable(0, b, "magic", 0, 4, "type", 4, 4, "sequence", 8, 4, "sequence", 8, 4)
				switch what {
				case "commit":
					return append(list, bigTable(0, b, "checksum type", 12, 1, "checksum", 16, 4, "time", 0x30, 8)...)
				case "revoke":
					return append(list, bigTable(0, b, "bytes", 12, 4, "block", 16, 4)...)
				}
				size := 8
				if v3 {
					size = 16
				}
				for at, i := 12, 0; at+size <= len(b) && i < 32; at, i = at+size, i+1 {
					list = append(list, bigTable(at, b, "block of tag", 0, 4, "block of tag", 0, 4, "flags of tag", 4, 4)...)
					flags := be.Uint32(b[at+4:])
					if flags&8 != 0 {
						break
					}
					if flags&2 == 0 {
						at += 16
					}
				}
				return list
			},
		})
	}
}
