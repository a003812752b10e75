package mutate

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// Types of attributes.
const (
	ntfsStandard = 0x10
	ntfsFileName = 0x30
	ntfsVolume   = 0x70
	ntfsData     = 0x80
	ntfsRoot     = 0x90
	ntfsAlloc    = 0xA0
	ntfsBitmap   = 0xB0
	ntfsReparse  = 0xC0
	ntfsEnd      = 0xFFFFFFFF
)

// ntfsLayout locates what is on an NTFS volume: enough for volumes as fixtures
// have them, without attribute lists.
type ntfsLayout struct {
	p       *Plan
	v       Volume
	r       io.ReaderAt
	cluster int64
	record  int64
	sectors int64
	mft     []span // on the image
	names   map[uint64][]ntfsName
}

// ntfsName is a name in a directory.
type ntfsName struct {
	name   string
	record uint64
}

func (p *Plan) surveyNTFS(v Volume) error {
	n := &ntfsLayout{p: p, v: v, r: p.subject.Images[v.Image].R, names: map[uint64][]ntfsName{}}
	boot := make([]byte, sectorSize)
	if _, err := n.r.ReadAt(boot, v.Offset); err != nil {
		return err
	}
	n.cluster = int64(le.Uint16(boot[11:])) * int64(boot[13])
	n.record = 1 << -int8(boot[64])
	n.sectors = int64(le.Uint64(boot[40:]))
	if n.cluster == 0 || n.record != 1024 {
		return fmt.Errorf("clusters of %d bytes, records of %d", n.cluster, n.record)
	}
	first := n.at(int64(le.Uint64(boot[48:])), 0)
	n.mft = []span{{first, n.record}}
	_, n.mft, _ = n.content(0, ntfsData, "")
	if n.mft == nil {
		return fmt.Errorf("the records are not found")
	}
	n.readNames()
	n.sites(boot)
	return nil
}

// at is the offset on the image of a byte of a cluster.
func (n *ntfsLayout) at(lcn, off int64) int64 { return n.v.Offset + lcn*n.cluster + off }

func (n *ntfsLayout) place(record uint64) []span {
	return clip(n.mft, int64(record)*n.record, n.record)
}

// load returns a record without fixups, nil if it is none.
func (n *ntfsLayout) load(record uint64) []byte {
	spans := n.place(record)
	if length(spans) != n.record {
		return nil
	}
	b := read(n.r, spans)
	if b == nil || string(b[:4]) != "FILE" || !unfix(b) {
		return nil
	}
	return b
}

// unfix puts back what the update sequence array holds; fix takes it out and
// counts the sequence number up. Both are for blocks whose strides are sectors.
func unfix(b []byte) bool {
	array, words := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	if words != len(b)/sectorSize+1 || array+2*words > sectorSize-2 || array%2 != 0 {
		return false
	}
	for i := 1; i < words; i++ {
		end := b[i*sectorSize-2 : i*sectorSize]
		if !bytes.Equal(end, b[array:array+2]) {
			return false
		}
		copy(end, b[array+2*i:])
	}
	return true
}

func fix(b []byte) {
	array, words := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	if words != len(b)/sectorSize+1 || array+2*words > sectorSize-2 || array < 8 {
		return // such fixups are damage of their own
	}
	sequence := le.Uint16(b[array:]) + 1
	if sequence == 0 {
		sequence = 1
	}
	le.PutUint16(b[array:], sequence)
	for i := 1; i < words; i++ {
		end := b[i*sectorSize-2 : i*sectorSize]
		copy(b[array+2*i:], end)
		le.PutUint16(end, sequence)
	}
}

// ntfsAttribute is the location of an attribute in a record.
type ntfsAttribute struct {
	at, n    int
	kind     uint32
	name     string
	resident bool
	value    int // offset in the record of the value, or of the mapping pairs
	size     int // of the value, or of the mapping pairs
}

func ntfsAttributes(b []byte) (list []ntfsAttribute) {
	for at := int(le.Uint16(b[20:])); at+24 <= len(b); {
		a := ntfsAttribute{at: at, kind: le.Uint32(b[at:]), n: int(le.Uint32(b[at+4:])), resident: b[at+8] == 0}
		if a.kind == ntfsEnd || a.n < 24 || at+a.n > len(b) {
			break
		}
		if name := at + int(le.Uint16(b[at+10:])); name+2*int(b[at+9]) <= at+a.n {
			a.name = utf16le.Decode(b[name : name+2*int(b[at+9])])
		}
		if a.resident {
			a.value, a.size = at+int(le.Uint16(b[at+20:])), int(le.Uint32(b[at+16:]))
		} else if a.n >= 64 {
			a.value = at + int(le.Uint16(b[at+32:]))
			a.size = at + a.n - a.value
		}
		if a.size >= 0 && a.value >= at && a.value+a.size <= at+a.n {
			list = append(list, a)
		}
		at += a.n
	}
	return list
}

// content returns the location of an attribute's content on the image: in the
// record, or in clusters. Holes are left out, size is in bytes.
func (n *ntfsLayout) content(record uint64, kind uint32, name string) (size int64, spans []span, resident bool) {
	b := n.load(record)
	if b == nil {
		return 0, nil, false
	}
	for _, a := range ntfsAttributes(b) {
		if a.kind != kind || !strings.EqualFold(a.name, name) {
			continue
		}
		if a.resident {
			return int64(a.size), clip(n.place(record), int64(a.value), int64(a.size)), true
		}
		size = int64(le.Uint64(b[a.at+48:]))
		for _, r := range ntfsRuns(b[a.value : a.value+a.size]) {
			if r.lcn >= 0 {
				spans = append(spans, span{n.at(r.lcn, 0), r.n * n.cluster})
			}
		}
		return size, clip(spans, 0, size), false
	}
	return 0, nil, false
}

type ntfsRun struct{ lcn, n int64 }

func ntfsRuns(pairs []byte) (runs []ntfsRun) {
	lcn := int64(0)
	for len(pairs) > 0 && pairs[0] != 0 {
		count, distance := int(pairs[0]&15), int(pairs[0]>>4)
		if 1+count+distance > len(pairs) || count == 0 || count > 8 || distance > 8 {
			break
		}
		signed := func(p []byte) (v int64) {
			for i := len(p) - 1; i >= 0; i-- {
				v = v<<8 | int64(p[i])
			}
			if len(p) == 0 {
				return 0
			}
			shift := 64 - 8*len(p)
			return v << shift >> shift
		}
		r := ntfsRun{lcn: -1, n: signed(pairs[1 : 1+count])}
		if distance > 0 {
			lcn += signed(pairs[1+count : 1+count+distance])
			r.lcn = lcn
		}
		runs = append(runs, r)
		pairs = pairs[1+count+distance:]
	}
	return runs
}

func (n *ntfsLayout) readNames() {
	for record := range uint64(length(n.mft) / n.record) {
		b := n.load(record)
		if b == nil || le.Uint16(b[22:])&1 == 0 {
			continue
		}
		for _, a := range ntfsAttributes(b) {
			if a.kind == ntfsFileName && a.size >= 66 {
				v := b[a.value : a.value+a.size]
				parent := le.Uint64(v) & (1<<48 - 1)
				n.names[parent] = append(n.names[parent], ntfsName{utf16le.Decode(v[66:min(66+2*int(v[64]), len(v))]), record})
			}
		}
	}
}

// find returns the records on the way to a name, the root's first; nil if it
// is not there.
func (n *ntfsLayout) find(name string) []uint64 {
	way := []uint64{5}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == "" {
			continue
		}
		names := n.names[way[len(way)-1]]
		i := slices.IndexFunc(names, func(c ntfsName) bool { return strings.EqualFold(c.name, part) })
		if i < 0 {
			return way // what is not there is decided by the folder it is not in
		}
		way = append(way, names[i].record)
	}
	return way
}

// ntfsMetadata are the records of the filesystem itself that readers need.
var ntfsMetadata = []struct {
	name   string
	record uint64
	weight int
}{{"$MFT", 0, 12}, {"$MFTMirr", 1, 2}, {"$LogFile", 2, 2}, {"$Volume", 3, 3}, {"root folder", 5, 6}, {"$Bitmap", 6, 8},
	{"$Boot", 7, 1}, {"$Secure", 9, 1}, {"$UpCase", 10, 3}, {"$Extend", 11, 1}}

// sites lists what is to be damaged.
func (n *ntfsLayout) sites(boot []byte) {
	role := n.v.Role
	n.p.add(&site{family: "boot sector", what: role + " boot sector", weight: 6, image: n.v.Image,
		spans: []span{{n.v.Offset, sectorSize}}, fields: bootFields})
	n.p.add(&site{family: "boot sector", what: role + " backup boot sector", weight: 1, image: n.v.Image,
		spans: []span{{n.v.Offset + n.sectors*sectorSize, sectorSize}}, fields: bootFields})
	n.p.add(&site{family: "MFT mirror", what: role + " $MFTMirr", weight: 1, image: n.v.Image,
		spans: []span{{n.at(int64(le.Uint64(boot[56:])), 0), n.cluster}}})

	weights := map[uint64]int{}
	labels := map[uint64]string{}
	for _, m := range ntfsMetadata {
		weights[m.record], labels[m.record] = m.weight, m.name
	}
	folders := map[uint64]int{}
	files := map[uint64]int{}
	inside := map[uint64][]Target{}
	for _, t := range n.p.subject.Targets {
		if t.Role != role {
			continue
		}
		way := n.find(t.Path)
		if len(way) == 1 {
			folders[5] = max(folders[5], t.Weight)
			continue
		}
		for i, record := range way {
			last := i == len(way)-1
			label := strings.Join(strings.Split(t.Path, "/")[:i], "/")
			if i == 0 {
				label = "root folder"
			}
			labels[record] = cmp.Or(labels[record], label)
			weight := 1
			if i >= len(way)-2 {
				weight = 2 * t.Weight
			}
			weights[record] = max(weights[record], weight)
			if !last || n.names[record] != nil {
				folders[record] = max(folders[record], cmp.Or(weight-1, 1))
			} else {
				files[record] = max(files[record], t.Weight)
				inside[record] = append(inside[record], t)
			}
		}
	}
	for _, record := range sortedKeys(weights) {
		n.recordSite(record, weights[record], labels[record])
	}
	for _, record := range sortedKeys(folders) {
		n.indexSites(record, folders[record], labels[record])
	}
	for _, record := range sortedKeys(files) {
		n.fileSites(record, files[record], labels[record], inside[record])
	}
	for _, c := range []struct {
		record uint64
		kind   uint32
		what   string
		weight int
	}{{6, ntfsData, "$Bitmap", 6}, {10, ntfsData, "$UpCase", 2}, {0, ntfsBitmap, "bitmap of $MFT", 4},
		{2, ntfsData, "$LogFile", 2}} {
		_, spans, _ := n.content(c.record, c.kind, "")
		// Long contents are damaged a piece at a time, from the front more often.
		for i, off := 0, int64(0); off < length(spans) && i < 6; i++ {
			piece := clip(spans, off, 4096<<i)
			n.p.add(&site{family: c.what, what: fmt.Sprintf("%s %s from byte %d", role, c.what, off), weight: max(1, c.weight-i),
				image: n.v.Image,
				spans: piece, fields: byteFields, edits: []edit{{"bits cleared", clearBits}}})
			off += 4096 << i
		}
	}
}

func sortedKeys(m map[uint64]int) []uint64 {
	var keys []uint64
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// byteFields takes content without a structure as words.
func byteFields(b []byte) (list []field) {
	for at := 0; at+4 <= len(b) && at < 4096; at += 4 {
		list = append(list, field{"word", at, 4, false})
	}
	return list
}

func clearBits(b []byte, r *rand.Rand) string {
	from := r.IntN(len(b))
	n := 1 + r.IntN(len(b)-from)
	clear(b[from : from+n])
	return fmt.Sprintf("%d bytes zero from byte %d on", n, from)
}

func bootFields(b []byte) []field {
	return table(0, b, "name", 3, 8, "sector size", 11, 2, "sectors per cluster", 13, 1, "reserved", 14, 2, "media", 21, 1,
		"hidden sectors", 28, 4,
		"sectors", 40, 8, "$MFT", 48, 8, "$MFTMirr", 56, 8, "record size", 64, 1, "index block size", 68, 1, "serial", 72, 8,
		"end mark", 510, 2)
}

func (n *ntfsLayout) recordSite(record uint64, weight int, label string) {
	n.p.add(&site{
		family: "MFT record", what: fmt.Sprintf("%s MFT record %d (%s)", n.v.Role, record, label), weight: weight,
		image: n.v.Image,
		spans: n.place(record), open: func(b []byte) bool { return string(b[:4]) == "FILE" && unfix(b) }, seal: fix,
		fields: recordFields,
		own:    func(b, was []byte) { copy(b[44:48], was[44:48]) },
		edits: []edit{
			{"name changed", changeName}, {"name changed", changeName}, {"moved", moveName(n)}, {"moved", moveName(n)},
			{"entry gone", dropRootEntry}, {"attribute gone", dropAttribute}, {"attribute twice", repeatAttribute},
			{"freed", freeRecord}, {"freed", freeRecord},
			{"sequence number", func(b []byte, r *rand.Rand) string {
				le.PutUint16(b[16:], le.Uint16(b[16:])+1)
				return "sequence number counted up"
			}},
			{"size changed", resize}, {"size changed", resize}, {"runs changed", changeRuns},
		},
	})
}

func recordFields(b []byte) []field {
	list := table(0, b, "signature", 0, 4, "fixup array", 4, 2, "fixups", 6, 2, "LSN", 8, 8, "sequence number", 16, 2,
		"links", 18, 2,
		"first attribute", 20, 2, "flags", 22, 2, "flags", 22, 2, "bytes used", 24, 4, "allocated", 28, 4, "base", 32, 8,
		"next id", 40, 2, "number", 44, 4)
	for _, a := range ntfsAttributes(b) {
		prefix := fmt.Sprintf("0x%X ", a.kind)
		list = append(list, table(a.at, b, prefix+"type", 0, 4, prefix+"length", 4, 4, prefix+"not resident", 8, 1,
			prefix+"length of name", 9, 1,
			prefix+"name", 10, 2, prefix+"flags", 12, 2, prefix+"id", 14, 2)...)
		if a.resident {
			list = append(list, table(a.at, b, prefix+"length of value", 16, 4, prefix+"value", 20, 2)...)
			list = append(list, valueFields(b, a)...)
			continue
		}
		list = append(list, table(a.at, b, prefix+"lowest VCN", 16, 8, prefix+"highest VCN", 24, 8, prefix+"pairs", 32, 2,
			prefix+"unit", 34, 1,
			prefix+"allocated", 40, 8, prefix+"size", 48, 8, prefix+"size", 48, 8, prefix+"initialized", 56, 8)...)
		for at := a.value; at < a.value+a.size && b[at] != 0; {
			count, distance := int(b[at]&15), int(b[at]>>4)
			if at+1+count+distance > a.value+a.size {
				break
			}
			list = append(list, field{prefix + "pair", at, 1, false})
			if count > 0 && count <= 8 {
				list = append(list, field{prefix + "clusters", at + 1, count, false})
			}
			if distance > 0 && distance <= 8 {
				list = append(list, field{prefix + "first cluster", at + 1 + count, distance, false})
			}
			at += 1 + count + distance
		}
	}
	return list
}

// valueFields are those in the value of a resident attribute.
func valueFields(b []byte, a ntfsAttribute) []field {
	v := b[:a.value+a.size]
	switch a.kind {
	case ntfsStandard:
		return table(a.value, v, "created", 0, 8, "modified", 8, 8, "attributes", 32, 4)
	case ntfsFileName:
		list := table(a.value, v, "parent", 0, 6, "parent", 0, 4, "parent's sequence number", 6, 2, "size in name", 48, 8,
			"attributes in name", 56, 4,
			"length of file name", 64, 1, "namespace", 65, 1)
		for at := a.value + 66; at+2 <= len(v); at += 2 {
			list = append(list, field{"character", at, 2, false})
		}
		return list
	case ntfsVolume:
		return table(a.value, v, "version", 8, 2, "volume flags", 10, 2)
	case ntfsRoot:
		list := table(a.value, v, "indexed attribute", 0, 4, "collation", 4, 4, "block size", 8, 4, "first entry", 16, 4,
			"end of entries", 20, 4, "index flags", 28, 1)
		if a.size >= 32 {
			list = append(list, entryFields(v, a.value+16)...)
		}
		return list
	case ntfsReparse:
		return table(a.value, v, "reparse tag", 0, 4, "reparse length", 4, 2, "target", 8, 2, "target's length", 10, 2)
	}
	var list []field
	for at := a.value; at < len(v); at++ {
		list = append(list, field{"byte", at, 1, false})
	}
	// Not to outweigh all other fields.
	step := max(1, len(list)/16)
	var few []field
	for i := 0; i < len(list); i += step {
		few = append(few, list[i])
	}
	return few
}

// entryFields are those of the index entries of the node at an offset.
func entryFields(b []byte, node int) (list []field) {
	at := node + int(le.Uint32(b[node:]))
	end := min(node+int(le.Uint32(b[node+4:])), len(b))
	for at >= node+16 && at+16 <= end {
		n := int(le.Uint16(b[at+8:]))
		if n < 16 || at+n > end {
			break
		}
		list = append(list, table(at, b[:at+n], "reference", 0, 6, "reference's sequence number", 6, 2, "length of entry", 8,
			2, "length of key", 10, 2, "flags of entry", 12, 2,
			"length of name in key", 80, 1, "character in key", 82, 2, "character in key", 84, 2, "parent in key", 16, 6)...)
		if le.Uint16(b[at+12:])&1 != 0 {
			list = append(list, field{"node below", at + n - 8, 8, false})
		}
		at += n
	}
	return list
}

// indexSites are the blocks of a directory's index.
func (n *ntfsLayout) indexSites(record uint64, weight int, label string) {
	_, spans, _ := n.content(record, ntfsAlloc, "$I30")
	const block = 4096
	for off := int64(0); off < length(spans); off += block {
		n.p.add(&site{
			family: "index block", what: fmt.Sprintf("%s index of %s, byte %d", n.v.Role, label, off), weight: weight,
			image: n.v.Image,
			spans: clip(spans, off, block), open: func(b []byte) bool { return string(b[:4]) == "INDX" && unfix(b) }, seal: fix,
			fields: func(b []byte) []field {
				list := table(0, b, "signature", 0, 4, "fixup array", 4, 2, "VCN", 16, 8, "first entry", 24, 4, "end of entries",
					28, 4, "index flags", 36, 1)
				return append(list, entryFields(b, 24)...)
			},
			own:   func(b, was []byte) { copy(b[16:24], was[16:24]) },
			edits: []edit{{"entry gone", dropEntry}, {"entry gone", dropEntry}},
		})
	}
	if size, spans, resident := n.content(record, ntfsBitmap, "$I30"); size > 0 && !resident {
		n.p.add(&site{family: "index bitmap", what: fmt.Sprintf("%s bitmap of the index of %s", n.v.Role, label), weight: 1,
			image: n.v.Image,
			spans: spans, fields: byteFields, edits: []edit{{"bits cleared", clearBits}}})
	}
}

// fileSites are what a file's content is made of.
func (n *ntfsLayout) fileSites(record uint64, weight int, label string, targets []Target) {
	size, spans, resident := n.content(record, ntfsData, "")
	if len(spans) == 0 || length(spans) != size {
		return // sparse or empty
	}
	c := &content{p: n.p, image: n.v.Image, spans: spans, label: n.v.Role + " " + label, name: path.Base(label),
		weight: weight, targets: targets, bare: !resident}
	c.survey()
}

func changeName(b []byte, r *rand.Rand) string {
	var names []ntfsAttribute
	for _, a := range ntfsAttributes(b) {
		if a.kind == ntfsFileName && a.size >= 68 {
			names = append(names, a)
		}
	}
	if names == nil {
		return ""
	}
	a := names[r.IntN(len(names))]
	chars := int(b[a.value+64])
	if 66+2*chars > a.size || chars == 0 {
		return ""
	}
	at := a.value + 66 + 2*r.IntN(chars)
	old := le.Uint16(b[at:])
	b[at] = "abcXYZ019_"[r.IntN(10)]
	return fmt.Sprintf("character %q of the name is %q", rune(old), rune(le.Uint16(b[at:])))
}

// moveName puts a name into another directory, whose sequence number is right.
func moveName(n *ntfsLayout) func(b []byte, r *rand.Rand) string {
	return func(b []byte, r *rand.Rand) string {
		for _, a := range ntfsAttributes(b) {
			if a.kind != ntfsFileName || a.size < 68 {
				continue
			}
			var folders []uint64
			for f := range n.names {
				folders = append(folders, f)
			}
			slices.Sort(folders)
			to := folders[r.IntN(len(folders))]
			parent := n.load(to)
			if parent == nil {
				return ""
			}
			le.PutUint64(b[a.value:], to|uint64(le.Uint16(parent[16:]))<<48)
			return fmt.Sprintf("its name is in folder %d", to)
		}
		return ""
	}
}

func dropAttribute(b []byte, r *rand.Rand) string {
	list := ntfsAttributes(b)
	if len(list) < 2 {
		return ""
	}
	a := list[r.IntN(len(list))]
	used := int(le.Uint32(b[24:]))
	if used > len(b) || a.at+a.n > used {
		return ""
	}
	copy(b[a.at:], b[a.at+a.n:used])
	clear(b[used-a.n : used])
	le.PutUint32(b[24:], uint32(used-a.n))
	return fmt.Sprintf("attribute 0x%X is gone", a.kind)
}

func repeatAttribute(b []byte, r *rand.Rand) string {
	list := ntfsAttributes(b)
	if len(list) == 0 {
		return ""
	}
	a := list[r.IntN(len(list))]
	used := int(le.Uint32(b[24:]))
	if used+a.n > len(b)-2 || a.at+a.n > used {
		return ""
	}
	copy(b[a.at+a.n:used+a.n], bytes.Clone(b[a.at:used]))
	le.PutUint32(b[24:], uint32(used+a.n))
	return fmt.Sprintf("attribute 0x%X is there twice", a.kind)
}

// freeRecord is what deleting a file does to its record, or undoes that.
func freeRecord(b []byte, r *rand.Rand) string {
	le.PutUint16(b[22:], le.Uint16(b[22:])^1)
	if r.IntN(2) == 0 {
		le.PutUint16(b[16:], le.Uint16(b[16:])+1)
	}
	return "the flag for being in use is the other way round"
}

// resize changes the sizes of the content together, so that they fit.
func resize(b []byte, r *rand.Rand) string {
	for _, a := range ntfsAttributes(b) {
		if a.kind != ntfsData && a.kind != ntfsBitmap || a.name != "" && r.IntN(4) > 0 || r.IntN(3) == 0 {
			continue
		}
		if a.resident {
			size := le.Uint32(b[a.at+16:])
			if size == 0 {
				return ""
			}
			le.PutUint32(b[a.at+16:], uint32(r.IntN(int(size))))
			return fmt.Sprintf("size from %d to %d", size, le.Uint32(b[a.at+16:]))
		}
		size := le.Uint64(b[a.at+48:])
		if size == 0 || int64(size) < 0 {
			return ""
		}
		to := r.Uint64N(size)
		if r.IntN(2) == 0 {
			to &^= 4095
		}
		le.PutUint64(b[a.at+48:], to)
		le.PutUint64(b[a.at+56:], to)
		return fmt.Sprintf("size from %d to %d", size, to)
	}
	return ""
}

// changeRuns moves the first run of a content elsewhere.
func changeRuns(b []byte, r *rand.Rand) string {
	for _, a := range ntfsAttributes(b) {
		if a.resident || a.size < 3 || r.IntN(2) == 0 {
			continue
		}
		count, distance := int(b[a.value]&15), int(b[a.value]>>4)
		if distance == 0 || distance > 4 || 1+count+distance > a.size {
			continue
		}
		f := field{"", a.value + 1 + count, distance, false}
		old := f.get(b)
		f.put(b, old+uint64(r.IntN(9)-4))
		return fmt.Sprintf("first cluster from %d to %d", old, f.get(b))
	}
	return ""
}

// dropRootEntry takes an entry out of the index root in a record.
func dropRootEntry(b []byte, r *rand.Rand) string {
	for _, a := range ntfsAttributes(b) {
		if a.kind == ntfsRoot && a.size >= 32 {
			return dropEntryAt(b[:a.value+a.size], a.value+16, r)
		}
	}
	return ""
}

// dropEntry takes an entry out of an index block.
func dropEntry(b []byte, r *rand.Rand) string { return dropEntryAt(b, 24, r) }

func dropEntryAt(b []byte, node int, r *rand.Rand) string {
	end := node + int(le.Uint32(b[node+4:]))
	var entries []int
	for at := node + int(le.Uint32(b[node:])); at+16 <= min(end, len(b)); {
		n := int(le.Uint16(b[at+8:]))
		if n < 16 || at+n > end || le.Uint16(b[at+12:])&2 != 0 {
			break
		}
		entries = append(entries, at)
		at += n
	}
	if len(entries) == 0 || end > len(b) {
		return ""
	}
	at := entries[r.IntN(len(entries))]
	n := int(le.Uint16(b[at+8:]))
	name := ""
	if at+82 <= len(b) {
		name = utf16le.Decode(b[at+82 : min(at+82+2*int(b[at+80]), len(b))])
	}
	copy(b[at:], b[at+n:end])
	le.PutUint32(b[node+4:], uint32(end-n-node))
	return "the entry of " + name + " is gone"
}
