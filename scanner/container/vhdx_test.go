package container

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// vhdxImage is what buildVHDX makes an image of.
type vhdxImage struct {
	content []byte
	size    int64 // 0 means that of the content
	block   int64 // 0 means 1 MiB
	logical int64 // sector size; 0 means 512
	fixed   bool
	// present says which sectors a differencing image has; nil means that it is not
	// one. A block with all of its sectors is partially present too.
	present func(n int64) bool
	states  map[int64]int64 // of blocks without content
	content1,
	linkage, linkage2 byte // first bytes of the identifiers of the content
	paths   map[string]string
	log     []vhdxWrite
	logSize int64 // 0 means 1 MiB
}

// Places in an image that buildVHDX makes.
const (
	testLogAt   = 1 << 20
	testItemsAt = 2 << 20
	testTableAt = 3 << 20
)

// parseGUID is the stored form of an identifier.
func parseGUID(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil {
		panic(err)
	}
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}

// signVHDX puts the checksum into a structure.
func signVHDX(b []byte) {
	clear(b[4:8])
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b, castagnoli))
}

// vhdxStart is the first MiB of an image.
func vhdxStart(v vhdxImage, tableSize int64) []byte {
	le, out := binary.LittleEndian, make([]byte, vhdxUnit)
	copy(out, vhdxMagic)
	for n := range 2 {
		h := out[(n+1)*vhdxHeaderAt:][:4096]
		copy(h, "head")
		le.PutUint64(h[8:], uint64(5+n))
		h[32] = v.content1
		if v.log != nil {
			copy(h[48:], testLogID)
		}
		le.PutUint16(h[66:], 1)
		le.PutUint32(h[68:], uint32(v.logSize))
		le.PutUint64(h[72:], testLogAt)
		signVHDX(h)
		r := out[vhdxRegionsAt+n*vhdxTable:][:vhdxTable]
		copy(r, "regi")
		le.PutUint32(r[8:], 2)
		for i, region := range []struct {
			id       string
			at, size int64
		}{{regionBlocks, testTableAt + v.logSize - 1<<20, tableSize},
			{regionMetadata, testItemsAt + v.logSize - 1<<20, 1 << 20}} {
			e := r[16+32*i:]
			copy(e, parseGUID(region.id))
			le.PutUint64(e[16:], uint64(region.at))
			le.PutUint32(e[24:], uint32(region.size))
			le.PutUint32(e[28:], 1)
		}
		signVHDX(r)
	}
	return out
}

// vhdxItems is the region of metadata.
func vhdxItems(v vhdxImage) []byte {
	le, out := binary.LittleEndian, make([]byte, vhdxUnit)
	copy(out, "metadata")
	count, at := 0, vhdxTable
	add := func(id string, b []byte) {
		e := out[32+32*count:]
		copy(e, parseGUID(id))
		le.PutUint32(e[16:], uint32(at))
		le.PutUint32(e[20:], uint32(len(b)))
		le.PutUint32(e[24:], 4)
		copy(out[at:], b)
		at += len(b)
		count++
		le.PutUint16(out[10:], uint16(count))
	}
	flags := uint32(0)
	if v.fixed {
		flags |= 1
	}
	if v.present != nil {
		flags |= 2
	}
	add(itemParameters, le.AppendUint32(le.AppendUint32(nil, uint32(v.block)), flags))
	add(itemSize, le.AppendUint64(nil, uint64(v.size)))
	add(itemDisk, make([]byte, 16))
	add(itemLogical, le.AppendUint32(nil, uint32(v.logical)))
	add(itemPhysical, le.AppendUint32(nil, 4096))
	if v.present == nil {
		return out
	}
	pairs := map[string]string{"parent_linkage": "{" + guid{v.linkage}.String() + "}"}
	if v.linkage2 != 0 {
		pairs["parent_linkage2"] = strings.ToUpper("{" + guid{v.linkage2}.String() + "}")
	}
	for key, path := range v.paths {
		pairs[key] = path
	}
	wide := func(s string) (b []byte) {
		for _, c := range s {
			b = le.AppendUint16(b, uint16(c))
		}
		return b
	}
	head, texts := parseGUID(locatorVHDX), []byte(nil)
	head = le.AppendUint16(le.AppendUint16(head, 0), uint16(len(pairs)))
	first := len(head) + 12*len(pairs)
	for key, value := range pairs {
		k, v := wide(key), wide(value)
		head = le.AppendUint32(le.AppendUint32(head, uint32(first+len(texts))), uint32(first+len(texts)+len(k)))
		head = le.AppendUint16(le.AppendUint16(head, uint16(len(k))), uint16(len(v)))
		texts = slices.Concat(texts, k, v)
	}
	add(itemParent, append(head, texts...))
	return out
}

// buildVHDX makes an image, with its structures one after the other.
func buildVHDX(v vhdxImage) []byte {
	le := binary.LittleEndian
	v.block, v.logical, v.logSize = max(v.block, vhdxUnit), max(v.logical, 512), max(v.logSize, vhdxUnit)
	if v.size == 0 {
		v.size = int64(len(v.content))
	}
	ratio := vhdxBits * v.logical / v.block
	blocks := (v.size + v.block - 1) / v.block
	table := make([]byte, (8*(blocks+blocks/ratio+1)+vhdxUnit)/vhdxUnit*vhdxUnit)
	if v.present != nil {
		table = make([]byte, (8*(blocks/ratio+1)*(ratio+1)+vhdxUnit)/vhdxUnit*vhdxUnit)
	}
	out := slices.Concat(vhdxStart(v, int64(len(table))), make([]byte, v.logSize), vhdxItems(v), table)
	tableAt := len(out) - len(table)
	out = slices.Grow(out, len(v.content)+vhdxUnit)
	bitmaps := map[int64]int64{}
	put := func(n, state int64, data []byte) int64 {
		le.PutUint64(out[int64(tableAt)+8*n:], uint64(len(out))|uint64(state))
		out = append(out, data...)
		return int64(len(out) - len(data))
	}
	for b := range blocks {
		n := b + b/ratio
		if b*v.block >= int64(len(v.content)) && !v.fixed && v.present == nil {
			break
		}
		data := make([]byte, v.block)
		copy(data, v.content[min(b*v.block, int64(len(v.content))):])
		if state, ok := v.states[b]; ok {
			le.PutUint64(out[int64(tableAt)+8*n:], uint64(state))
			continue
		}
		if v.present == nil {
			if v.fixed || bytes.Count(data, []byte{0}) < len(data) {
				put(n, blockFull, data)
			}
			continue
		}
		for s := range v.block / v.logical {
			sector := b*v.block/v.logical + s
			if sector*v.logical >= v.size || !v.present(sector) {
				copy(data[s*v.logical:(s+1)*v.logical], bytes.Repeat([]byte("parent. "), int(v.logical/8)))
				continue
			}
			chunk := b / ratio
			if _, ok := bitmaps[chunk]; !ok {
				bitmaps[chunk] = put(chunk*(ratio+1)+ratio, blockFull, make([]byte, vhdxBitmap))
			}
			bit := sector % vhdxBits
			out[bitmaps[chunk]+bit/8] |= 1 << (bit % 8)
		}
		if _, ok := bitmaps[b/ratio]; ok {
			put(n, blockPartial, data)
		}
	}
	writeVHDXLog(out[testLogAt:testLogAt+v.logSize], v.log)
	return out
}

var testLogID = bytes.Repeat([]byte{7}, 16)

// vhdxWrite is an entry of the log.
type vhdxWrite struct {
	at       int64 // in the log, in bytes
	tail     int64
	sequence uint64
	flushed  int64
	last     int64
	writes   []logChange
	damage   func(entry []byte) // after the checksum
	edit     func(entry []byte) // before it
}

// writeVHDXLog writes entries into a log.
func writeVHDXLog(log []byte, entries []vhdxWrite) {
	le := binary.LittleEndian
	for _, w := range entries {
		head := make([]byte, 64)
		copy(head, "loge")
		le.PutUint32(head[12:], uint32(w.tail))
		le.PutUint64(head[16:], w.sequence)
		le.PutUint32(head[24:], uint32(len(w.writes)))
		copy(head[32:], testLogID)
		le.PutUint64(head[48:], uint64(w.flushed))
		le.PutUint64(head[56:], uint64(w.last))
		var data []byte
		for _, c := range w.writes {
			d := make([]byte, 32)
			le.PutUint64(d[16:], uint64(c.from))
			le.PutUint64(d[24:], w.sequence)
			if c.data == nil {
				copy(d, "zero")
				le.PutUint64(d[8:], uint64(c.to-c.from))
			} else {
				copy(d, "desc")
				copy(d[4:], c.data[logSector-4:])
				copy(d[8:], c.data[:8])
				s := bytes.Clone(c.data)
				copy(s, "data")
				le.PutUint32(s[4:], uint32(w.sequence>>32))
				le.PutUint32(s[logSector-4:], uint32(w.sequence))
				data = append(data, s...)
			}
			head = append(head, d...)
		}
		entry := append(head, make([]byte, (logSector-len(head)%logSector)%logSector)...)
		entry = append(entry, data...)
		le.PutUint32(entry[8:], uint32(len(entry)))
		if w.edit != nil {
			w.edit(entry)
		}
		signVHDX(entry)
		if w.damage != nil {
			w.damage(entry)
		}
		for i := range entry {
			log[(w.at+int64(i))%int64(len(log))] = entry[i]
		}
	}
}

// TestVHDX: a dynamic image passes the suite.
func TestVHDX(t *testing.T) {
	t.Parallel()
	imgconform.Run(t, imgconform.Format{
		Unit: 512, Open: openAs("vhdx"), Sparse: true, Read: sourceBytes,
		Write: func(t *testing.T, folder string, content []byte) string {
			return writeImage(t, filepath.Join(folder, "disk.vhdx"), buildVHDX(vhdxImage{content: content}))
		},
	})
}

// TestVHDXBlocks: blocks and sectors of any size are read, also where the table has
// entries of bitmaps between those of blocks, and blocks of every state.
func TestVHDXBlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("has blocks of 256 MiB, and starts no goroutine")
	}
	t.Parallel()
	content := make([]byte, 9<<20)
	rand.NewChaCha8([32]byte{6}).Read(content[3<<20:])
	end := bytes.Repeat([]byte("end of the disk."), 256)
	for name, v := range map[string]vhdxImage{
		"the smallest blocks":   {},
		"large blocks":          {block: 32 << 20},
		"blocks of 4 MiB":       {block: 4 << 20},
		"sectors of 4096 bytes": {logical: 4096, block: 2 << 20},
		"states":                {block: 1 << 20, states: map[int64]int64{0: blockUndefined, 1: blockZero, 2: blockUnmapped}},
		"fixed":                 {fixed: true, block: 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			v.content = content
			d, err := openBytes(t.Context(), "disk.vhdx", buildVHDX(v))
			if err != nil {
				t.Fatal(err)
			}
			imgconform.Equal(t, d, content)
		})
	}
	t.Run("behind bitmaps", func(t *testing.T) {
		// There are 4 GiB for a bitmap, in blocks of 1 MiB with sectors of 512 bytes.
		b := buildVHDX(vhdxImage{content: content, size: 9<<30 + 4096})
		at := len(b)
		b = append(b, end...)
		b = append(b, make([]byte, vhdxUnit-len(end))...)
		binary.LittleEndian.PutUint64(b[testTableAt+8*(9<<10+2):], uint64(at)|blockFull)
		// What QEMU leaves in the entry of a bitmap.
		binary.LittleEndian.PutUint64(b[testTableAt+8*(4<<10):], 5<<20|7)
		d, err := openBytes(t.Context(), "disk.vhdx", b)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4096)
		if _, err := d.ReadAt(got, 9<<30); err != nil || !bytes.Equal(got, end) {
			t.Errorf("%q, %v", got[:16], err)
		}
		if _, err := d.ReadAt(got[:1], 9<<30-1); err != nil || got[0] != 0 {
			t.Errorf("before it: %d, %v", got[0], err)
		}
		if start, end := d.Data(9 << 20); start != 9<<30 || end != d.Size() {
			t.Errorf("data from %d to %d", start, end)
		}
	})
}

// TestVHDXDifferencing: sectors of a differencing disk are in it or in its parent, which is
// found by the identifier of its content.
func TestVHDXDifferencing(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	rng := rand.New(rand.NewPCG(4, 4))
	below, content := make([]byte, 3<<20), make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{4}).Read(below)
	copy(content, below)
	changed := map[int64]bool{}
	for range 200 {
		n := rng.Int64N(int64(len(content)) / 4096)
		changed[n] = true
		for i := range 4096 {
			content[int(n)*4096+i] = byte(rng.Uint32())
		}
	}
	clear(content[2<<20 : 2<<20+8192]) // zeros over data
	changed[2<<20/4096], changed[2<<20/4096+1] = true, true
	parent := func(logical int64) Candidate {
		return candidate("p.vhdx", buildVHDX(vhdxImage{content: below, logical: logical, content1: 7}))
	}
	other := candidate("o.vhdx", buildVHDX(vhdxImage{content: below, content1: 6}))
	paths := map[string]string{"relative_path": `..\up\base.vhdx`, "absolute_win32_path": `\\?\d:\vm\abs.vhdx`}
	for name, tt := range map[string]struct {
		edit    func(v *vhdxImage)
		parents []Candidate
		want    string // in the error
		kind    error
	}{
		"by its identifier":     {nil, []Candidate{other, parent(512)}, "", nil},
		"by its second":         {func(v *vhdxImage) { v.linkage, v.linkage2 = 9, 7 }, []Candidate{parent(512)}, "", nil},
		"sectors of 4096 bytes": {func(v *vhdxImage) { v.logical = 4096 }, []Candidate{parent(4096)}, "", nil},
		"blocks of 2 MiB":       {func(v *vhdxImage) { v.block = 2 << 20 }, []Candidate{parent(512)}, "", nil},
		"not named":             {nil, nil, `parent "base.vhdx"`, ErrIncomplete},
		"named by another path": {func(v *vhdxImage) { delete(v.paths, "relative_path") },
			nil, `parent "abs.vhdx"`, ErrIncomplete},
		"another content": {nil, []Candidate{other}, "its content is 00000006-", ErrIncomplete},
		"other sectors":   {nil, []Candidate{parent(4096)}, "its sectors have 4096 bytes, not 512", ErrIncomplete},
		"a raw image":     {nil, []Candidate{candidate("b.img", below)}, "it is not a VHDX image", ErrIncomplete},
		"a VHD image": {nil, []Candidate{candidate("b.vhd", buildVHD(vhdImage{kind: vhdFixed, content: below}))},
			"it is not a VHDX image", ErrIncomplete},
		"identified by nothing": {func(v *vhdxImage) { v.paths["parent_linkage"] = "" }, []Candidate{other},
			"does not identify", ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := vhdxImage{content: content, linkage: 7, paths: map[string]string{}, logical: 512}
			for key, path := range paths {
				v.paths[key] = path
			}
			if tt.edit != nil {
				tt.edit(&v)
			}
			v.present = func(n int64) bool { return changed[n*v.logical/4096] }
			d, err := openBytes(t.Context(), "disk.vhdx", buildVHDX(v), tt.parents...)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.kind) {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			imgconform.Equal(t, d, content)
			if !strings.HasPrefix(d.Detail(), "differencing") || d.Parent() == nil {
				t.Errorf("%s, %v", d.Detail(), d.Parent())
			}
		})
	}
}

// vhdxEdit changes a structure in an image and its checksum.
func vhdxEdit(at, size int, edit func(b []byte)) func(b []byte) []byte {
	return func(b []byte) []byte {
		edit(b[at : at+size])
		if size != vhdxUnit {
			signVHDX(b[at : at+size])
		}
		return b
	}
}

// both applies two changes.
func both(f, g func(b []byte) []byte) func(b []byte) []byte {
	return func(b []byte) []byte { return g(f(b)) }
}

// TestVHDXDamage: what contradicts itself is refused with its place, and what has a copy is
// read from it with a note.
func TestVHDXDamage(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	le := binary.LittleEndian
	content := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{5}).Read(content)
	const blocksAt = testTableAt + 1<<20
	flip := func(at int) func(b []byte) []byte { return func(b []byte) []byte { b[at]++; return b } }
	headers := func(edit func(h []byte)) func(b []byte) []byte {
		return both(vhdxEdit(vhdxHeaderAt, 4096, edit), vhdxEdit(2*vhdxHeaderAt, 4096, edit))
	}
	regions := func(edit func(r []byte)) func(b []byte) []byte {
		return both(vhdxEdit(vhdxRegionsAt, vhdxTable, edit), vhdxEdit(vhdxRegionsAt+vhdxTable, vhdxTable, edit))
	}
	items := func(edit func(m []byte)) func(b []byte) []byte { return vhdxEdit(testItemsAt, vhdxUnit, edit) }
	entry := func(n int, value uint64) func(b []byte) []byte {
		return func(b []byte) []byte { le.PutUint64(b[testTableAt+8*n:], value); return b }
	}
	for name, tt := range map[string]struct {
		edit func(b []byte) []byte
		kind error
		want string // in the error, or in the notes
	}{
		"intact":            {func(b []byte) []byte { return b }, nil, ""},
		"the first header":  {flip(vhdxHeaderAt + 100), nil, "the header at byte 65536 is damaged"},
		"the second header": {flip(2*vhdxHeaderAt + 4000), nil, "the header at byte 131072 is damaged"},
		"the first region table": {flip(vhdxRegionsAt + 65000),
			nil, "the region table at byte 196608 is damaged; its copy is used"},
		"the second region table": {flip(vhdxRegionsAt + vhdxTable),
			nil, "the region table at byte 262144 is damaged"},
		"an older header of another version": {vhdxEdit(vhdxHeaderAt, 4096, func(h []byte) { h[66] = 9 }), nil, ""},
		"both headers": {both(flip(vhdxHeaderAt), flip(2*vhdxHeaderAt)),
			ErrCorrupt, "at byte 65536: both headers"},
		"both region tables": {both(flip(vhdxRegionsAt), flip(vhdxRegionsAt+vhdxTable)),
			ErrCorrupt, "at byte 196608: both region tables"},
		"headers of one number": {vhdxEdit(vhdxHeaderAt, 4096, func(h []byte) { h[8], h[32] = 6, 1 }),
			ErrCorrupt, "two headers differ"},
		"region tables that differ": {vhdxEdit(vhdxRegionsAt, vhdxTable, func(r []byte) { r[16+28] = 0 }),
			ErrCorrupt, "differs from its copy"},
		"another version": {headers(func(h []byte) { h[66] = 2 }),
			ErrUnsupported, "version 2 of the format"},
		"another version of the log": {headers(func(h []byte) { h[64], h[48] = 1, 1 }),
			ErrUnsupported, "version 1 of the log"},
		"a log of no use in another version": {headers(func(h []byte) { h[64] = 1 }), nil, ""},
		"a log between":                      {headers(func(h []byte) { h[73] = 1 }), ErrCorrupt, "a log of 1048576 bytes"},
		"a log outside":                      {headers(func(h []byte) { h[76] = 1 }), ErrCorrupt, "a log of 1048576 bytes"},
		"a log over the metadata": {headers(func(h []byte) { le.PutUint64(h[72:], testItemsAt) }),
			ErrCorrupt, "a region overlaps"},
		"a log of half a MiB": {headers(func(h []byte) { le.PutUint32(h[68:], 1<<19) }),
			ErrCorrupt, "a log of 524288 bytes"},
		"too many regions": {regions(func(r []byte) { le.PutUint32(r[8:], 2048) }),
			ErrCorrupt, "2048 regions"},
		"a region outside": {regions(func(r []byte) { r[16+21] = 1 }), ErrCorrupt, "a region of"},
		"a region in the headers": {regions(func(r []byte) { le.PutUint64(r[16+16:], 0) }),
			ErrCorrupt, "a region of"},
		"a region not aligned": {regions(func(r []byte) { r[16+17] = 1 }), ErrCorrupt, "a region of"},
		"an empty region": {regions(func(r []byte) { le.PutUint32(r[16+24:], 0) }),
			ErrCorrupt, "a region of 0 bytes"},
		"a region twice": {regions(func(r []byte) { copy(r[48:64], r[16:32]) }),
			ErrCorrupt, "two regions 2dc27766-"},
		"regions overlap": {regions(func(r []byte) { copy(r[48+16:], r[16+16:16+24]) }),
			ErrCorrupt, "a region overlaps"},
		"a region in the log": {regions(func(r []byte) { le.PutUint64(r[16+16:], testLogAt) }),
			ErrCorrupt, "overlaps"},
		"a required region": {regions(func(r []byte) { r[16] = 1 }),
			ErrUnsupported, "the required region 2dc27701-"},
		"no table of blocks": {regions(func(r []byte) { r[16], r[16+28] = 1, 0 }),
			ErrCorrupt, "there is no table of blocks"},
		"no metadata": {regions(func(r []byte) { r[48], r[48+28] = 1, 0 }),
			ErrCorrupt, "or no metadata"},
		"metadata of nothing": {items(func(m []byte) { m[0] = 0 }),
			ErrCorrupt, "the table of metadata is damaged"},
		"too much metadata": {items(func(m []byte) { m[11] = 8 }),
			ErrCorrupt, "the table of metadata is damaged"},
		"required metadata": {items(func(m []byte) { m[32+2*32] = 1 }),
			ErrUnsupported, "the required metadata beca1201-"},
		"missing metadata": {items(func(m []byte) { m[32+2*32], m[32+2*32+24] = 1, 0 }),
			ErrCorrupt, "is missing"},
		"metadata of a user": {items(func(m []byte) { m[32+2*32+24] = 1 }), ErrCorrupt, "is missing"},
		"metadata twice": {items(func(m []byte) { copy(m[32+2*32:], m[32:48]) }),
			ErrCorrupt, "is there twice"},
		"metadata that overlaps": {items(func(m []byte) { copy(m[32+2*32+16:], m[32+16:32+20]) }),
			ErrCorrupt, "metadata overlaps"},
		"metadata in the table": {items(func(m []byte) { m[32+18] = 0 }),
			ErrCorrupt, "metadata of 8 bytes at byte 0"},
		"metadata outside": {items(func(m []byte) { m[32+19] = 1 }),
			ErrCorrupt, "metadata of 8 bytes at byte"},
		"metadata too large": {items(func(m []byte) { m[32+23] = 1 }),
			ErrCorrupt, "metadata of 16777224 bytes"},
		"metadata of another size": {items(func(m []byte) { m[32+20] = 4 }),
			ErrCorrupt, "is missing or has 4 bytes"},
		"blocks of 3 MiB": {items(func(m []byte) { m[vhdxTable+2] = 0x30 }),
			ErrCorrupt, "blocks of 3145728 bytes"},
		"blocks of half a MiB": {items(func(m []byte) { m[vhdxTable+2] = 8 }),
			ErrCorrupt, "blocks of 524288 bytes"},
		"blocks of 512 MiB": {items(func(m []byte) { m[vhdxTable+2], m[vhdxTable+3] = 0, 0x20 }),
			ErrCorrupt, "blocks of 536870912 bytes"},
		"sectors of 1024 bytes": {items(func(m []byte) { m[vhdxTable+33] = 4 }),
			ErrCorrupt, "sectors of 1024 and 4096 bytes"},
		"physical sectors of 8192": {items(func(m []byte) { m[vhdxTable+37] = 0x20 }),
			ErrCorrupt, "sectors of 512 and 8192 bytes"},
		"a disk of half a sector": {items(func(m []byte) { m[vhdxTable+9] = 1 }),
			ErrCorrupt, "a disk of 3145984 bytes"},
		"a negative disk": {items(func(m []byte) { m[vhdxTable+15] = 0x80 }),
			ErrCorrupt, "a disk of 9223372036857921536 bytes"},
		"above 64 TiB": {items(func(m []byte) { m[vhdxTable+8+5] = 0x40 }),
			ErrCorrupt, "a disk of 70368747323392 bytes"},
		"at 64 TiB": {items(func(m []byte) {
			copy(m[vhdxTable+8:],
				"\x00\x00\x00\x00\x00\x40\x00\x00")
		}), ErrCorrupt, "a table of 1048576 bytes"},
		"a parent without locator": {items(func(m []byte) { m[vhdxTable+4] = 2 }), ErrCorrupt, "nothing names it"},
		"a block twice": {entry(1, blocksAt|blockFull),
			ErrCorrupt, "the block at byte 4194304 overlaps"},
		"a block in the table": {entry(1, testTableAt|blockFull),
			ErrCorrupt, "at byte 3145736: the block at byte 3145728 overlaps"},
		"a block in the metadata": {entry(1, testItemsAt|blockFull), ErrCorrupt, "overlaps other structures"},
		"a block in the log":      {entry(1, testLogAt|blockFull), ErrCorrupt, "overlaps other structures"},
		"a block in the headers": {entry(1, blockFull),
			ErrCorrupt, "at byte 3145736: a block of 1048576 bytes at byte 0"},
		"a block outside":       {entry(1, 1<<62|blockFull), ErrCorrupt, "truncated or damaged"},
		"a block far outside":   {entry(1, 0xfffffffffff00000|blockFull), ErrCorrupt, "truncated or damaged"},
		"reserved bits":         {entry(1, 4<<20|8|blockFull), ErrCorrupt, "at byte 3145736: a block"},
		"a state of no meaning": {entry(1, 4), ErrCorrupt, "a block has state 4"},
		"another one":           {entry(1, 5), ErrCorrupt, "a block has state 5"},
		"a part of a block":     {entry(1, 5<<20|blockPartial), ErrCorrupt, "a block has state 7"},
		"a truncated file": {func(b []byte) []byte { return b[:len(b)-1] },
			ErrCorrupt, "truncated or damaged"},
		"truncated in the table": {func(b []byte) []byte { return b[:testTableAt] }, ErrCorrupt, "a region of"},
		"only its headers":       {func(b []byte) []byte { return b[:vhdxUnit] }, ErrCorrupt, "a log of"},
		"less than its headers": {func(b []byte) []byte { return b[:vhdxUnit-1] },
			ErrCorrupt, "a file of 1048575 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := tt.edit(buildVHDX(vhdxImage{content: content}))
			d, err := openBytes(t.Context(), "disk.vhdx", b)
			if !opensAs(t, d, err, tt.kind, "disk.vhdx: at byte ", tt.want) {
				return
			}
			got := make([]byte, len(content))
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
				t.Errorf("it reads as something else: %v", err)
			}
		})
	}
}

// TestVHDXBounds: the size of the disk and the number of entries are bounded.
func TestVHDXBounds(t *testing.T) {
	t.Parallel()
	const most = 64 << 40
	for size, want := range map[int64]error{0: nil, most - 512: nil, most: nil, most + 512: ErrCorrupt} {
		b := buildVHDX(vhdxImage{block: 256 << 20, size: size})
		d, err := openBytes(t.Context(), "disk.vhdx", b)
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
		if err != nil {
			continue
		}
		if start, end := d.Data(0); d.Size() != size || start != size || end != size {
			t.Errorf("%d bytes: %d, data from %d to %d", size, d.Size(), start, end)
		}
		p := []byte{1}
		if n, err := d.ReadAt(p, size-1); size > 0 && (n != 1 || err != nil || p[0] != 0) {
			t.Errorf("%d bytes: the last is %d, %v", size, p[0], err)
		}
	}
	for count, want := range map[uint16]error{2046: nil, 2047: nil, 2048: ErrCorrupt} {
		b := buildVHDX(vhdxImage{content: make([]byte, 512)})
		binary.LittleEndian.PutUint16(b[testItemsAt+10:], count) // the further ones are empty
		if _, err := openBytes(t.Context(), "disk.vhdx", b); !errors.Is(err, want) {
			t.Errorf("%d entries: %v, want %v", count, err, want)
		}
	}
}

// TestVHDXBitmapDamage: a part of a block needs its bitmap.
func TestVHDXBitmapDamage(t *testing.T) {
	t.Parallel()
	content := make([]byte, 1<<20)
	parent := candidate("p.vhdx", buildVHDX(vhdxImage{content: content, content1: 7}))
	child := func() []byte {
		return buildVHDX(vhdxImage{content: content, linkage: 7, present: func(n int64) bool { return n%2 == 0 }})
	}
	const bitmap = testTableAt + 8*4096
	for name, tt := range map[string]struct {
		entry uint64
		want  string
	}{
		"missing":     {0, "at byte 3178496: the bitmap of blocks has state 0"},
		"another":     {5<<20 | 3, "the bitmap of blocks has state 3"},
		"outside":     {1<<40 | blockFull, "truncated or damaged"},
		"the block":   {5<<20 | blockFull, ""},
		"the headers": {blockFull, "a block of 1048576 bytes at byte 0"},
	} {
		b := child()
		block := binary.LittleEndian.Uint64(b[testTableAt:]) &^ 7
		if name == "the block" {
			tt.entry, tt.want = block|blockFull, "overlaps other structures"
		}
		binary.LittleEndian.PutUint64(b[bitmap:], tt.entry)
		if _, err := openBytes(t.Context(), "c.vhdx", b, parent); !errors.Is(err,
			ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestVHDXLocator: a locator that cannot be is refused.
func TestVHDXLocator(t *testing.T) {
	t.Parallel()
	b := buildVHDX(vhdxImage{content: make([]byte, 512), linkage: 7, present: func(int64) bool { return true }})
	const at = testItemsAt + vhdxTable + 40 // after the other items
	for name, tt := range map[string]struct {
		edit func(l []byte)
		kind error
		want string
	}{
		"another type":     {func(l []byte) { l[0]++ }, ErrUnsupported, "a parent that is not a VHDX image"},
		"too many entries": {func(l []byte) { l[19] = 0xff }, ErrCorrupt, "a parent locator of 65281 entries"},
		"a key outside":    {func(l []byte) { l[23] = 0xff }, ErrCorrupt, "entry 0"},
		"a value outside":  {func(l []byte) { l[27] = 0xff }, ErrCorrupt, "entry 0"},
		"another key":      {func(l []byte) { l[32]++ }, ErrCorrupt, "does not identify"},
	} {
		b := bytes.Clone(b)
		tt.edit(b[at:])
		if _, err := openBytes(t.Context(), "c.vhdx", b); !errors.Is(err, tt.kind) || !strings.Contains(err.Error(),
			tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestVHDXVariants: images that QEMU makes read as the disk.
func TestVHDXVariants(t *testing.T) {
	qemu := []string{"qemu-img"}
	vhdx := func(options string) func(t *testing.T, folder, raw string) (string, []string) {
		return qemuConvert("disk.vhdx", "-O", "vhdx", "-o", options)
	}
	variants := []variant{
		{name: "fixed, last block partial", make: vhdx("subformat=fixed,block_size=8M"), size: variantSize + 3<<20 + 512},
		{name: "last block partial", make: vhdx("subformat=dynamic,block_size=8M"), size: variantSize + 3<<20 + 512},
		{name: "written in another order", make: func(t *testing.T, folder, raw string) (string, []string) {
			file := filepath.Join(folder, "disk.vhdx")
			run(t, "qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", file, "24M")
			// -W writes out of order.
			run(t, "qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "raw", "-O", "vhdx", raw, file)
			return file, nil
		}},
		{name: "differencing over one of QEMU", make: qemuDifferencingX},
	}
	for _, options := range []string{
		"subformat=dynamic", "subformat=fixed", "subformat=dynamic,block_size=1M", "subformat=dynamic,block_size=2M",
		"subformat=dynamic,block_size=8M", "subformat=dynamic,block_size=32M", "subformat=dynamic,block_size=256M",
		"subformat=fixed,block_size=256M", "subformat=dynamic,log_size=2M", "subformat=dynamic,log_size=32M",
		"subformat=dynamic,block_state_zero=on", "subformat=dynamic,block_state_zero=off",
		"subformat=fixed,block_state_zero=on,block_size=1M", "subformat=dynamic,block_state_zero=off,block_size=1M",
	} {
		variants = append(variants, variant{name: options, make: vhdx(options)})
	}
	for i := range variants {
		variants[i].tools, variants[i].format = qemu, "vhdx"
	}
	runVariants(t, variants)
}

// qemuDifferencingX makes a dynamic image of other content with qemu-img, and over it a
// differencing one with what differs.
func qemuDifferencingX(t *testing.T, folder, raw string) (string, []string) {
	content, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(content)
	for at := 0; at < len(other); at += 5 * 4096 {
		rand.NewChaCha8([32]byte{byte(at / 4096)}).Read(other[at : at+512]) // what the child replaces
	}
	parent, _ := qemuConvert("base.vhdx", "-O", "vhdx", "-o", "block_size=1M")(t, folder,
		writeImage(t, filepath.Join(folder, "base.raw"), other))
	disks, err := openFile(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, disks)
	b := buildVHDX(vhdxImage{content: content, block: 4 << 20, present: func(n int64) bool { return n%40 == 0 },
		paths: map[string]string{"parent_linkage": disks[0].(*mapped).mapping.(*vhdx).header.dataWrite.String()}})
	return writeImage(t, filepath.Join(folder, "child.vhdx"), b), []string{parent}
}

// TestVHDXCorpus compares the images of the corpus with what QEMU and vhdimount read.
func TestVHDXCorpus(t *testing.T) {
	t.Parallel()
	const discUtils = "images/LTRData__DiscUtils/Tests/LibraryTests/"
	for _, name := range []string{"Btrfs/Data/btrfs.vhdx.gz", "Xfs/Data/xfs.vhdx.gz"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			file := writeImage(t, filepath.Join(t.TempDir(), "disk.vhdx"), testenv.CorpusFile(t, discUtils+name))
			testenv.Tool(t, "qemu-img")
			raw := filepath.Join(t.TempDir(), "second.raw")
			run(t, "qemu-img", "convert", "-f", "vhdx", "-O", "raw", file, raw)
			sameDisk(t, file, raw)
		})
	}
}

// sameDisk compares all data of an image with a large raw image, and random reads.
func sameDisk(t *testing.T, file, raw string) {
	t.Helper()
	disks, err := openFile(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, disks)
	want, err := source.Open(t.Context(), raw, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	d := disks[0]
	if d.Size() != want.Size() {
		t.Fatalf("%d bytes, want %d", d.Size(), want.Size())
	}
	compare := func(at, n int64) {
		a, b := make([]byte, n), make([]byte, n)
		if _, err := readFull(want, b, at); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ReadAt(a, at); err != nil || !bytes.Equal(a, b) {
			t.Fatalf("%d bytes at %d: %v", n, at, err)
		}
	}
	// What is data in either of them; the rest is zeros in both.
	for _, from := range []imgconform.Image{d, want} {
		for at := int64(0); at < d.Size(); {
			start, end := from.Data(at)
			for at = start; at < end; at += min(1<<20, end-at) {
				compare(at, min(1<<20, end-at))
			}
			at = end
		}
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for range 4000 {
		n := 1 + rng.Int64N(64<<10)
		compare(rng.Int64N(d.Size()-n), n)
	}
}

// TestVHDXSecond compares images of our writer with what vhdimount reads.
func TestVHDXSecond(t *testing.T) {
	t.Parallel()
	content := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{8}).Read(content[1<<20:])
	for name, v := range map[string]vhdxImage{
		"sectors of 512 bytes":  {},
		"sectors of 4096 bytes": {logical: 4096, block: 2 << 20},
		"fixed":                 {fixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v.content = content
			file := writeImage(t, filepath.Join(t.TempDir(), "disk.vhdx"), buildVHDX(v))
			if !bytes.Equal(mountedVHD(t, file), content) {
				t.Error("vhdimount reads something else")
			}
		})
	}
	t.Run("differencing", func(t *testing.T) {
		t.Parallel()
		folder, below := t.TempDir(), bytes.Clone(content)
		for at := 0; at < len(below); at += 3 * 4096 {
			rand.NewChaCha8([32]byte{byte(at / 4096)}).Read(below[at : at+4096])
		}
		writeImage(t, filepath.Join(folder, "p.vhdx"), buildVHDX(vhdxImage{content: below, content1: 7}))
		file := writeImage(t, filepath.Join(folder, "c.vhdx"), buildVHDX(vhdxImage{content: content, linkage: 7,
			present: func(n int64) bool { return n/8%3 == 0 },
			paths:   map[string]string{"relative_path": `.\p.vhdx`, "absolute_win32_path": `\\?\C:\p.vhdx`}}))
		if !bytes.Equal(mountedVHD(t, file), content) {
			t.Error("vhdimount reads something else")
		}
	})
}

// TestVHDXManyLocators: entries of a parent locator whose texts overlap take little memory.
func TestVHDXManyLocators(t *testing.T) {
	le := binary.LittleEndian
	b := buildVHDX(vhdxImage{content: make([]byte, 512), linkage: 7, present: func(int64) bool { return true }})
	item := b[testItemsAt+32+32*5:]
	size := int(le.Uint32(item[20:]))
	locator := b[testItemsAt+int(le.Uint32(item[16:])):]
	linkage := bytes.Clone(locator[32:size])
	const many, text = 1000, math.MaxUint16 - 1
	texts := 20 + 12*(many+1) + len(linkage)
	le.PutUint16(locator[18:], many+1)
	le.PutUint32(locator[20:], 20+12*(many+1))
	le.PutUint32(locator[24:], 20+12*(many+1)+uint32(le.Uint16(locator[28:])))
	copy(locator[20+12*(many+1):], linkage)
	for n := range many {
		e := locator[20+12*(n+1):]
		le.PutUint32(e, uint32(texts+2*n))
		le.PutUint32(e[4:], uint32(texts+2*n))
		le.PutUint16(e[8:], text)
		le.PutUint16(e[10:], text)
	}
	for n := range text/2 + many {
		le.PutUint16(locator[texts+2*n:], uint16(0x4e00+n%0x4000))
	}
	le.PutUint32(item[20:], uint32(texts+text+2*many))
	allocated := allocations()
	_, err := openBytes(t.Context(), "disk.vhdx", b)
	used := allocated()
	if !errors.Is(err, ErrIncomplete) {
		t.Errorf("%v, want that the parent was not named", err)
	}
	if used > 16<<20 {
		t.Errorf("%d bytes of memory", used)
	}
}

// TestVHDXSameError: an image that lacks several things has the same error each time.
func TestVHDXSameError(t *testing.T) {
	t.Parallel()
	b := buildVHDX(vhdxImage{content: make([]byte, 512)})
	for n := range 4 { // each is another one, and not required
		b[testItemsAt+32+32*n], b[testItemsAt+32+32*n+24] = 1, 0
	}
	errs := map[string]bool{}
	for range 20 {
		_, err := openBytes(t.Context(), "disk.vhdx", b)
		if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		errs[err.Error()] = true
	}
	if len(errs) != 1 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
}

// FuzzVHDX: no content makes the reader panic, hang or return more than there is. The
// fuzzed bytes are the parts of an image that are not zeros, since a small image has
// several MiB: they are put over those of an intact image.
func FuzzVHDX(f *testing.F) {
	content := bytes.Repeat([]byte("content."), 256)
	image := vhdxImage{content: content, linkage: 7, content1: 7, present: func(n int64) bool { return n%2 == 0 },
		paths: map[string]string{"relative_path": "p.vhdx"}, log: []vhdxWrite{{sequence: 3,
			writes: []logChange{{from: testTableAt + 4096, to: testTableAt + 8192}}}}}
	base := buildVHDX(image)
	parent := candidate("p.vhdx", buildVHDX(vhdxImage{content: content, content1: 7}))
	parts := []struct{ at, size int }{
		{vhdxHeaderAt, 80}, {2 * vhdxHeaderAt, 80}, {vhdxRegionsAt, 80}, {vhdxRegionsAt + vhdxTable, 80},
		{testItemsAt, 256}, {testItemsAt + vhdxTable, 256}, {testTableAt, 16}, {testTableAt + 8*4096, 8}, {testLogAt, 128},
	}
	var seed []byte
	for _, p := range parts {
		seed = append(seed, base[p.at:p.at+p.size]...)
	}
	f.Add(seed, uint32(len(base)))
	f.Fuzz(func(t *testing.T, changed []byte, size uint32) {
		b := bytes.Clone(base)
		for _, p := range parts {
			n := copy(b[p.at:p.at+p.size], changed)
			changed = changed[n:]
		}
		// So that changes get behind the checksums.
		for n := range 2 {
			signVHDX(b[(n+1)*vhdxHeaderAt:][:4096])
			signVHDX(b[vhdxRegionsAt+n*vhdxTable:][:vhdxTable])
		}
		if n := binary.LittleEndian.Uint32(b[testLogAt+8:]); n >= 64 && n <= vhdxUnit {
			signVHDX(b[testLogAt:][:n])
		}
		b = b[:min(len(b), int(size))]
		d, err := openBytes(t.Context(), "disk.vhdx", b, parent)
		if err != nil || d.Size() == 0 {
			return
		}
		if read, err := readSome(d); err == nil && read == 0 {
			t.Errorf("nothing of %d bytes", d.Size())
		}
	})
}
