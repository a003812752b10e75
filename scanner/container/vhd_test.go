package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// vhdImage is what buildVHD makes an image of.
type vhdImage struct {
	kind    uint32
	content []byte
	block   int // size of a block in bytes; 0 means 64 KiB
	// present says which sectors the image has; nil means those that are not zeros, and
	// all of a block with such a sector.
	present     func(n int) bool
	id          byte // of the disk
	parent      byte
	stamp       uint32
	parentStamp uint32
	parentName  string
	locator     string // a path in a locator, instead of the name in the header
	old         bool   // a footer of 511 bytes
	saved       bool
	noBits      bool // the bitmaps are zeros
}

// buildVHD makes an image, with its structures one after the other.
func buildVHD(v vhdImage) []byte {
	be := binary.BigEndian
	footer := make([]byte, sector)
	copy(footer, vhdMagic)
	be.PutUint32(footer[8:], 2)
	be.PutUint32(footer[12:], 1<<16)
	be.PutUint64(footer[16:], 1<<64-1)
	be.PutUint32(footer[24:], v.stamp)
	be.PutUint64(footer[40:], uint64(len(v.content)))
	be.PutUint64(footer[48:], uint64(len(v.content)))
	be.PutUint32(footer[60:], v.kind)
	footer[68] = v.id
	if v.saved {
		footer[84] = 1
	}
	if v.kind == vhdFixed {
		signVHD(footer, 64)
		if v.old {
			footer = footer[:vhdOldFooter]
		}
		return append(bytes.Clone(v.content), footer...)
	}
	be.PutUint64(footer[16:], sector)
	signVHD(footer, 64)
	if v.block == 0 {
		v.block = 64 << 10
	}
	if v.present == nil {
		v.present = func(n int) bool {
			block := v.content[n*sector/v.block*v.block:]
			return bytes.Count(block[:min(v.block, len(block))], []byte{0}) < min(v.block, len(block))
		}
	}
	blocks := (len(v.content) + v.block - 1) / v.block
	head := make([]byte, vhdHeader)
	copy(head, "cxsparse")
	be.PutUint64(head[8:], 1<<64-1)
	be.PutUint64(head[16:], sector+vhdHeader)
	be.PutUint32(head[24:], 1<<16)
	be.PutUint32(head[28:], uint32(blocks))
	be.PutUint32(head[32:], uint32(v.block))
	table := bytes.Repeat([]byte{0xff}, (4*blocks+sector-1)/sector*sector)
	if v.kind == vhdDifferencing {
		head[40] = v.parent
		be.PutUint32(head[56:], v.parentStamp)
		for i, u := range utf16.Encode([]rune(v.parentName)) {
			be.PutUint16(head[64+2*i:], u)
		}
	}
	out := slices.Concat(footer, head, table)
	if v.locator != "" {
		path := make([]byte, sector)
		for i, u := range utf16.Encode([]rune(v.locator)) {
			binary.LittleEndian.PutUint16(path[2*i:], u)
		}
		copy(out[sector+576:], "W2ru")
		be.PutUint32(out[sector+584:], uint32(2*len(v.locator)))
		be.PutUint64(out[sector+592:], uint64(len(out)))
		out = append(out, path...)
	}
	signVHD(out[sector:sector+vhdHeader], 36)
	for b := range blocks {
		bitmap := make([]byte, (v.block/sector/8+sector-1)/sector*sector)
		data, any := make([]byte, v.block), false
		for s := range v.block / sector {
			n := b*v.block/sector + s
			if n*sector >= len(v.content) || !v.present(n) {
				continue
			}
			any = true
			if !v.noBits {
				bitmap[s/8] |= 0x80 >> (s % 8)
			}
			copy(data[s*sector:(s+1)*sector], v.content[n*sector:])
		}
		if any {
			be.PutUint32(out[sector+vhdHeader+4*b:], uint32(len(out)/sector))
			out = append(append(out, bitmap...), data...)
		}
	}
	return append(out, footer...)
}

// signVHD puts the checksum into a structure.
func signVHD(b []byte, at int) { binary.BigEndian.PutUint32(b[at:], vhdSum(b, at)) }

// writeImage writes an image to a folder.
func writeImage(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// openBytes opens an image in memory.
func openBytes(ctx context.Context, name string, b []byte, parents ...Candidate) (Disk, error) {
	disks, err := openDisks(ctx, name, b, parents...)
	if err != nil {
		return nil, err
	}
	return disks[0], nil
}

// openDisks opens all disks of an image in memory.
func openDisks(ctx context.Context, name string, b []byte, parents ...Candidate) ([]Disk, error) {
	s := source.NewReader(ctx, name, bytes.NewReader(b), int64(len(b)))
	return Open(ctx, s, Options{Parents: parents})
}

// sourceBytes counts what is read of the files of an image.
func sourceBytes(i imgconform.Image) int64 {
	sum := int64(0)
	for _, s := range i.(Disk).Sources() {
		sum += s.Counters().Bytes
	}
	return sum
}

// TestVHD: each kind passes the suite.
func TestVHD(t *testing.T) {
	for name, v := range map[string]vhdImage{"fixed": {kind: vhdFixed}, "dynamic": {kind: vhdDynamic}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			imgconform.Run(t, imgconform.Format{
				Unit: sector, Open: openAs("vhd"), Sparse: v.kind == vhdDynamic, Read: sourceBytes,
				Write: func(t *testing.T, folder string, content []byte) string {
					v := v
					v.content = content
					return writeImage(t, filepath.Join(folder, "disk.vhd"), buildVHD(v))
				},
			})
		})
	}
}

// TestVHDBlocks: blocks of any size and footers of either size are read.
func TestVHDBlocks(t *testing.T) {
	t.Parallel()
	content := make([]byte, 700*sector)
	rand.NewChaCha8([32]byte{6}).Read(content[100*sector:])
	for name, v := range map[string]vhdImage{
		"an old footer": {kind: vhdFixed, old: true},
		"large blocks":  {kind: vhdDynamic, block: 4 << 20},
		"small blocks":  {kind: vhdDynamic, block: 8 * sector},
	} {
		t.Run(name, func(t *testing.T) {
			v.content = content
			d, err := openBytes(t.Context(), "disk.vhd", buildVHD(v))
			if err != nil {
				t.Fatal(err)
			}
			imgconform.Equal(t, d, content)
		})
	}
}

// TestVHDDifferencing: sectors of a differencing disk are in it or in its parent, which is
// found by its identifier.
func TestVHDDifferencing(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	rng := rand.New(rand.NewPCG(4, 4))
	below, content := make([]byte, 400_000/sector*sector), make([]byte, 500_000/sector*sector)
	rand.NewChaCha8([32]byte{4}).Read(below)
	copy(content, below)
	changed := map[int]bool{}
	for range 300 {
		n := rng.IntN(len(content) / sector)
		changed[n] = true
		for i := range sector {
			content[n*sector+i] = byte(rng.Uint32()) // also zeros over data
		}
	}
	clear(content[70*sector : 90*sector])
	for n := 70; n < 90; n++ {
		changed[n] = true
	}
	parent := buildVHD(vhdImage{kind: vhdDynamic, content: below, id: 7, stamp: 99})
	child := vhdImage{kind: vhdDifferencing, content: content, id: 8, parent: 7, parentStamp: 99,
		parentName: `C:\vm\base.vhd`, present: func(n int) bool { return changed[n] }}
	other := candidate("other.vhd", buildVHD(vhdImage{kind: vhdFixed, content: below, id: 6}))
	isRaw := candidate("base.img", below)

	for name, tt := range map[string]struct {
		edit    func(v *vhdImage)
		parents []Candidate
		want    string // in the error
		note    string
	}{
		"by its identifier": {nil, []Candidate{other, candidate("p.vhd", parent)}, "", ""},
		"small blocks":      {func(v *vhdImage) { v.block = 4096 }, []Candidate{candidate("p.vhd", parent)}, "", ""},
		"one large block":   {func(v *vhdImage) { v.block = 1 << 20 }, []Candidate{candidate("p.vhd", parent)}, "", ""},
		"not named":         {nil, nil, `parent "base.vhd"`, ""},
		"named by a locator": {func(v *vhdImage) { v.parentName, v.locator = "", `..\up\loc.vhd` }, nil,
			`parent "loc.vhd"`, ""},
		"named by nothing":   {func(v *vhdImage) { v.parentName = "" }, nil, `which was not named`, ""},
		"another identifier": {nil, []Candidate{other}, "its identifier is 06000000-", ""},
		"a raw image":        {nil, []Candidate{isRaw}, "it is not a VHD image", ""},
		"of another time": {func(v *vhdImage) { v.parentStamp = 100 }, []Candidate{candidate("p.vhd", parent)},
			"", "2000-01-01 00:01:40Z"},
		"of no time": {func(v *vhdImage) { v.parentStamp = 0 }, []Candidate{candidate("p.vhd", parent)}, "", ""},
		"bits are all zeros": {func(v *vhdImage) { v.noBits = true }, []Candidate{candidate("p.vhd", parent)},
			"differs", ""},
		"every sector stored": {func(v *vhdImage) { v.present = func(int) bool { return true } },
			[]Candidate{candidate("p.vhd", parent)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := child
			if tt.edit != nil {
				tt.edit(&v)
			}
			d, err := openBytes(t.Context(), "disk.vhd", buildVHD(v), tt.parents...)
			if tt.want == "differs" {
				if err != nil {
					t.Fatal(err)
				}
				imgconform.Equal(t, d, append(bytes.Clone(below), make([]byte, len(content)-len(below))...))
				return
			}
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrIncomplete) {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(d.Notes(), "\n"); (tt.note == "") != (notes == "") || !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
			imgconform.Equal(t, d, content)
			if file, at, ok := d.Locate(71 * sector); !ok || file != d.Sources()[0] || at%sector != 0 {
				t.Errorf("a changed sector is in %v at %d", file, at)
			}
			if d.Parent() == nil || d.Detail() != "differencing" {
				t.Errorf("%v, %s", d.Parent(), d.Detail())
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestVHDLargeBitmap: the bitmap of a block may have several sectors.
func TestVHDLargeBitmap(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	content, below := make([]byte, 5<<20), make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{12}).Read(content)
	rand.NewChaCha8([32]byte{13}).Read(below)
	present := func(n int) bool { return n%5 < 2 || n/4096 == 1 } // also a sector of the bitmap without zeros
	for n := range len(content) / sector {
		if !present(n) {
			copy(content[n*sector:(n+1)*sector], below[n*sector:])
		}
	}
	d, err := openBytes(t.Context(), "disk.vhd", buildVHD(vhdImage{kind: vhdDifferencing, content: content, block: 8 << 20,
		id: 1, parent: 2, parentName: "p.vhd", present: present}),
		candidate("p.vhd", buildVHD(vhdImage{kind: vhdFixed, content: below, id: 2})))
	if err != nil {
		t.Fatal(err)
	}
	imgconform.Equal(t, d, content)
}

// TestVHDChain: a parent may have a parent. A chain that is not complete says what is
// missing.
func TestVHDChain(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3*sector)
	rand.NewChaCha8([32]byte{9}).Read(content)
	disk := func(n int, id byte) Candidate {
		return candidate(string('a'+rune(id))+".vhd", buildVHD(vhdImage{kind: vhdDifferencing, content: content, id: id,
			parent:     id - 1,
			parentName: string('a'+rune(id-1)) + ".vhd", present: func(s int) bool { return s == n }}))
	}
	base := candidate("a.vhd", buildVHD(vhdImage{kind: vhdDynamic, content: append(make([]byte, 2*sector),
		content[2*sector:]...)}))
	open := func(parents ...Candidate) (Disk, error) {
		s, err := disk(0, 2).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		disks, err := Open(t.Context(), s, Options{Parents: parents})
		if err != nil {
			return nil, err
		}
		return disks[0], nil
	}
	d, err := open(base, disk(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	imgconform.Equal(t, d, content)
	if _, err := open(disk(1, 1)); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), `parent "a.vhd"`) {
		t.Errorf("without the last: %v", err)
	}
}

// TestVHDParentFile: the time at which a parent's file was changed is as good as that in
// its footer.
func TestVHDParentFile(t *testing.T) {
	t.Parallel()
	folder, content := t.TempDir(), make([]byte, 100*sector)
	parent := writeImage(t, filepath.Join(folder, "p.vhd"), buildVHD(vhdImage{kind: vhdFixed, content: content, id: 1,
		stamp: 5}))
	if err := os.Chtimes(parent, time.Time{}, vhdEpoch.Add(1234*time.Second+time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for stamp, notes := range map[uint32]int{5: 0, 1234: 0, 1235: 1} {
		child := writeImage(t, filepath.Join(folder, "c.vhd"), buildVHD(vhdImage{kind: vhdDifferencing, content: content,
			id: 2, parent: 1, parentStamp: stamp, parentName: "p.vhd", present: func(int) bool { return false }}))
		disks, err := openFile(t.Context(), child, parent)
		if err != nil {
			t.Fatal(err)
		}
		if got := disks[0].Notes(); len(got) != notes {
			t.Errorf("time %d: %q", stamp, got)
		}
		closeAll(t, disks)
	}
}

// TestVHDBits: a block of a dynamic disk is read as it is stored, whatever its bits.
func TestVHDBits(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("stored  "), 4096)
	d, err := openBytes(t.Context(), "disk.vhd", buildVHD(vhdImage{kind: vhdDynamic, content: content, noBits: true}))
	if err != nil {
		t.Fatal(err)
	}
	imgconform.Equal(t, d, content)
}

// TestVHDDamage: what contradicts itself is refused with its place, and what has a copy is
// read from it with a note.
func TestVHDDamage(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	content := make([]byte, 256<<10) // 4 blocks
	rand.NewChaCha8([32]byte{5}).Read(content)
	const table, length = sector + vhdHeader, 64<<10 + sector // of the dynamic image
	header := func(edit func(h []byte)) func(b []byte) []byte {
		return func(b []byte) []byte {
			edit(b[sector:table])
			signVHD(b[sector:table], 36)
			return b
		}
	}
	footers := func(edit func(f []byte)) func(b []byte) []byte {
		return func(b []byte) []byte {
			for _, f := range [][]byte{b[:sector], b[len(b)-sector:]} {
				edit(f)
				signVHD(f, 64)
			}
			return b
		}
	}
	fixed := func(edit func(f []byte)) func(b []byte) []byte {
		return func([]byte) []byte {
			b := buildVHD(vhdImage{kind: vhdFixed, content: content})
			edit(b[len(b)-sector:])
			signVHD(b[len(b)-sector:], 64)
			return b
		}
	}
	entry := func(n int, sectors uint32) func(b []byte) []byte {
		return func(b []byte) []byte {
			be.PutUint32(b[table+4*n:], sectors)
			return b
		}
	}
	first := uint32(table/sector + 1) // of the first block
	for name, tt := range map[string]struct {
		edit func(b []byte) []byte
		kind error
		want string // in the error, or in the notes
	}{
		"intact": {func(b []byte) []byte { return b }, nil, ""},
		"no footer at the end": {func(b []byte) []byte { return b[:len(b)-sector] },
			nil, "its copy at the beginning is used"},
		"a damaged footer": {func(b []byte) []byte { b[len(b)-sector+50]++; return b },
			nil, "its copy at the beginning is used"},
		"a damaged copy": {func(b []byte) []byte { b[50]++; return b },
			nil, "the copy of the footer at the beginning is damaged"},
		"no copy": {func(b []byte) []byte { b[0]++; return b },
			nil, "the copy of the footer at the beginning is damaged"},
		"footers that differ": {func(b []byte) []byte { b[70]++; signVHD(b[:sector], 64); return b },
			nil, "differs from the footer"},
		"suspended": {footers(func(f []byte) { f[84] = 1 }), nil, "suspended"},
		"both are damaged": {func(b []byte) []byte { b[50]++; b[len(b)-sector+50]++; return b },
			ErrCorrupt, "at byte 266240: the checksum"},
		"copy damaged, no other": {func(b []byte) []byte { b[50]++; return b[:len(b)-sector] },
			ErrCorrupt, "at byte 0: the checksum"},
		"a header elsewhere": {footers(func(f []byte) { be.PutUint64(f[16:], 1<<40) }),
			ErrCorrupt, "the header is outside the file"},
		"a header in the copy": {footers(func(f []byte) { be.PutUint64(f[16:], 511) }),
			ErrCorrupt, "the header is outside the file"},
		"a negative header": {footers(func(f []byte) { be.PutUint64(f[16:], 1<<63) }),
			ErrCorrupt, "the header is outside the file"},
		"no header": {footers(func(f []byte) { be.PutUint64(f[16:], 2*sector) }),
			ErrCorrupt, "at byte 1024: there is no header"},
		"another version": {footers(func(f []byte) { f[13] = 2 }), ErrUnsupported, "version 2.0 of the format"},
		"another type":    {footers(func(f []byte) { f[63] = 5 }), ErrUnsupported, "type 5"},
		"half a sector":   {footers(func(f []byte) { f[54]++ }), ErrCorrupt, "a disk of 262400 bytes"},
		"a huge disk":     {footers(func(f []byte) { f[48] = 0x80 }), ErrCorrupt, "a disk of 9223372036855037952"},
		"the largest disk": {footers(func(f []byte) { be.PutUint64(f[48:], 1<<63-sector) }),
			ErrCorrupt, "a table of 4 entries for 140737488355328 blocks"},
		"more than the table": {footers(func(f []byte) { f[54] += 2 }), ErrCorrupt, "a table of 4 entries for 5 blocks"},
		"a damaged header": {func(b []byte) []byte { b[sector+300]++; return b },
			ErrCorrupt, "at byte 512: the checksum of the header"},
		"version of the header": {header(func(h []byte) { h[25] = 2 }), ErrUnsupported, "version 2.0 of the header"},
		"blocks of 3 sectors": {header(func(h []byte) { be.PutUint32(h[32:], 3*sector) }),
			ErrCorrupt, "blocks of 1536 bytes"},
		"blocks of 4 sectors": {header(func(h []byte) { be.PutUint32(h[32:], 4*sector) }), ErrUnsupported,
			"blocks of 2048 bytes"},
		"blocks of nothing": {header(func(h []byte) { be.PutUint32(h[32:], 0) }), ErrCorrupt, "blocks of 0 bytes"},
		"a table elsewhere": {header(func(h []byte) { be.PutUint64(h[16:], 1<<40) }),
			ErrCorrupt, "the table of blocks is outside"},
		"a table in the header": {header(func(h []byte) { be.PutUint64(h[16:], table-4) }),
			ErrCorrupt, "the table of blocks is outside the file or in the header"},
		"a table in the copy": {header(func(h []byte) { be.PutUint64(h[16:], 0) }),
			ErrCorrupt, "the table of blocks is outside"},
		"a table up to the end": {header(func(h []byte) { be.PutUint64(h[16:], uint64(table+sector+4*length-15)) }),
			ErrCorrupt, "the table of blocks is outside"},
		"a block in the table":  {entry(0, first-1), ErrCorrupt, "the block at byte 1536 overlaps other structures"},
		"a block in the header": {entry(0, 1), ErrCorrupt, "the block at byte 512 overlaps"},
		"a block at the start":  {entry(0, 0), ErrCorrupt, "the block at byte 0 overlaps"},
		"a block twice":         {entry(1, first), ErrCorrupt, "blocks overlap at byte 2048"},
		"blocks overlap":        {entry(1, first+length/sector-1), ErrCorrupt, "blocks overlap at byte 67584"},
		"a block in the footer": {entry(3, first+3*length/sector+1),
			ErrCorrupt, "the table entry at byte 1548: a block at byte 200704"},
		"a block far outside": {entry(3, vhdUnused-1), ErrCorrupt, "the table entry at byte 1548"},
		"a truncated file":    {func(b []byte) []byte { return b[:len(b)/2] }, ErrCorrupt, "truncated or damaged"},
		"only its beginning":  {func(b []byte) []byte { return b[:sector] }, ErrCorrupt, "the header is outside the file"},
		"a fixed disk too large": {fixed(func(f []byte) { be.PutUint64(f[48:], uint64(len(content)+sector)) }), ErrCorrupt,
			"a disk of 262656 bytes in 262144"},
		"a fixed disk, smaller": {fixed(func(f []byte) { be.PutUint64(f[48:], uint64(len(content)-sector)) }), nil,
			"the last 512 bytes before the footer"},
		"a raw disk that looks like it": {func([]byte) []byte {
			b := bytes.Clone(content)
			copy(b[len(b)-sector:], vhdMagic)
			return b
		}, ErrCorrupt, "at byte 261632: the checksum of the footer is wrong"},
		"a raw disk that looks like an old one": {func([]byte) []byte {
			b := bytes.Clone(content)
			copy(b[len(b)-vhdOldFooter:], vhdMagic)
			return b
		}, ErrCorrupt, "at byte 261633: the checksum of the footer is wrong"},
		"a copy of a fixed disk": {func([]byte) []byte {
			b := buildVHD(vhdImage{kind: vhdFixed, content: content})
			return append(b[len(content):], content...)
		}, ErrCorrupt, "there is no footer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := tt.edit(buildVHD(vhdImage{kind: vhdDynamic, content: content}))
			d, err := openBytes(t.Context(), "disk.vhd", b)
			if !opensAs(t, d, err, tt.kind, "disk.vhd: ", tt.want) {
				return
			}
			imgconform.Equal(t, d, content[:d.Size()])
		})
	}
}

// TestVHDNoFooter: an image of fixed size whose footer is damaged or cannot be read is
// refused with what to do, or read as a raw image with a note.
func TestVHDNoFooter(t *testing.T) {
	t.Parallel()
	content := make([]byte, 64<<10)
	rand.NewChaCha8([32]byte{11}).Read(content)
	unread := errors.New("unreadable")
	for name, tt := range map[string]struct {
		old  bool
		edit func(footer []byte)
		fail bool // the last sector cannot be read
		hint string
		note string
	}{
		"a bit of the signature":    {edit: func(f []byte) { f[3] ^= 1 }, note: "damaged footer of a VHD"},
		"no signature, old footer":  {old: true, edit: func(f []byte) { clear(f[:8]) }, note: "damaged footer of a VHD"},
		"two values are left":       {edit: func(f []byte) { clear(f[:20]) }, note: "damaged footer of a VHD"},
		"one value is left":         {edit: func(f []byte) { clear(f[:56]) }},
		"nothing is left":           {edit: func(f []byte) { clear(f) }},
		"other data":                {edit: func(f []byte) { copy(f, content) }},
		"the sector cannot be read": {fail: true, edit: func([]byte) {}, note: "the last 512 bytes cannot be read"},
		"a bit of the size":         {edit: func(f []byte) { f[50] ^= 1 }, hint: "head -c 65536 disk.vhd >disk.img"},
		"a bit of an old one": {old: true, edit: func(f []byte) { f[90] ^= 1 },
			hint: "head -c 65536 disk.vhd >disk.img"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := buildVHD(vhdImage{kind: vhdFixed, content: content, old: tt.old})
			tt.edit(b[len(content):])
			var r io.ReaderAt = bytes.NewReader(b)
			if tt.fail {
				r = failingEnd{b, unread}
			}
			disks, err := Open(t.Context(), source.NewReader(t.Context(), "disk.vhd", r, int64(len(b))), Options{})
			if tt.hint != "" {
				hint := hintOf(err)
				if !errors.Is(err, ErrCorrupt) || hint == "" || runtime.GOOS != "windows" && !strings.HasSuffix(hint, tt.hint) {
					t.Errorf("%v, hint %q; want %s", err, hint, tt.hint)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			opensAs(t, disks[0], nil, nil, "", tt.note)
			got := make([]byte, len(content))
			if _, err := disks[0].ReadAt(got, 0); err != nil || !bytes.Equal(got, content) ||
				disks[0].Format() != "raw" || disks[0].Size() != int64(len(b)) {
				t.Errorf("%d bytes of %s, %v", disks[0].Size(), disks[0].Format(), err)
			}
			if _, err := disks[0].ReadAt(got, int64(len(content))); errors.Is(err, unread) != tt.fail {
				t.Errorf("the end: %v", err)
			}
		})
	}
}

// failingEnd is bytes of which the last sector cannot be read.
type failingEnd struct {
	b   []byte
	err error
}

func (f failingEnd) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(f.b))-sector {
		return 0, f.err
	}
	return copy(p, f.b[off:]), nil
}

// TestVHDBound: more blocks than the bound are refused.
func TestVHDBound(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	for _, tt := range []struct {
		blocks int64
		want   error
	}{{vhdMaxBlocks - 1, nil}, {vhdMaxBlocks, nil}, {vhdMaxBlocks + 1, ErrLimit}} {
		b := buildVHD(vhdImage{kind: vhdDynamic, content: make([]byte, sector), block: 8 * sector})
		be := binary.BigEndian
		table := bytes.Repeat([]byte{0xff}, int(4*tt.blocks+sector-1)/sector*sector)
		footer := b[:sector]
		be.PutUint64(footer[48:], uint64(tt.blocks)*8*sector)
		signVHD(footer, 64)
		be.PutUint32(b[sector+28:], uint32(tt.blocks))
		signVHD(b[sector:sector+vhdHeader], 36)
		d, err := openBytes(t.Context(), "disk.vhd", slices.Concat(b[:sector+vhdHeader], table, footer))
		if !errors.Is(err, tt.want) {
			t.Errorf("%d blocks: %v, want %v", tt.blocks, err, tt.want)
		} else if err == nil && d.Size() != tt.blocks*8*sector {
			t.Errorf("%d blocks: %d bytes", tt.blocks, d.Size())
		}
	}
}

// TestVHDEmpty: a disk may have no bytes.
func TestVHDEmpty(t *testing.T) {
	t.Parallel()
	for _, kind := range []uint32{vhdFixed, vhdDynamic} {
		d, err := openBytes(t.Context(), "disk.vhd", buildVHD(vhdImage{kind: kind}))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := d.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF || d.Size() != 0 {
			t.Errorf("kind %d: %d of %d bytes, %v", kind, n, d.Size(), err)
		}
	}
}

// TestBitRun compares runs with single bits.
func TestBitRun(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		b := make([]byte, 1+rng.IntN(9))
		for i := range b {
			b[i] = []byte{0, 0xff, byte(rng.Uint32())}[rng.IntN(3)]
		}
		for _, high := range []bool{false, true} {
			bit := func(n int) bool {
				if high {
					return b[n/8]&(0x80>>(n%8)) != 0
				}
				return b[n/8]&(1<<(n%8)) != 0
			}
			n := rng.IntN(8)
			want := 1
			for n+want < 8*len(b) && bit(n+want) == bit(n) {
				want++
			}
			if set, alike := bitRun(b, n, high); set != bit(n) || alike != want {
				t.Fatalf("%x, bit %d, %t: %t %d, want %t %d", b, n, high, set, alike, bit(n), want)
			}
		}
	}
}

// qemuConvert makes an image with qemu-img.
func qemuConvert(name string, args ...string) func(t *testing.T, folder, raw string) (string, []string) {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file := filepath.Join(folder, name)
		run(t, "qemu-img", slices.Concat([]string{"convert", "-f", "raw"}, args, []string{raw, file})...)
		return file, nil
	}
}

// TestVHDVariants: images that QEMU makes read as the disk.
func TestVHDVariants(t *testing.T) {
	qemu := []string{"qemu-img"}
	vpc := func(options string) func(t *testing.T, folder, raw string) (string, []string) {
		return qemuConvert("disk.vhd", "-O", "vpc", "-o", options)
	}
	runVariants(t, []variant{
		{name: "dynamic", tools: qemu, make: vpc("subformat=dynamic"), format: "vhd", padded: true, detail: "dynamic"},
		{name: "dynamic, exact size", tools: qemu, make: vpc("subformat=dynamic,force_size=on"), format: "vhd"},
		{name: "fixed", tools: qemu, make: vpc("subformat=fixed"), format: "vhd", padded: true, detail: "fixed"},
		{name: "fixed, exact size", tools: qemu, make: vpc("subformat=fixed,force_size=on"), format: "vhd"},
		{name: "fixed, of no suffix", tools: qemu, make: qemuConvert("disk", "-O", "vpc", "-o",
			"subformat=fixed,force_size=on"),
			format: "vhd"},
		{name: "dynamic, one sector more", tools: qemu, make: vpc("subformat=dynamic,force_size=on"), format: "vhd",
			size: variantSize + 512},
		{name: "dynamic, one sector more, padded", tools: qemu, make: vpc("subformat=dynamic"), format: "vhd", padded: true,
			size: variantSize + 512},
		{name: "fixed, one sector more, padded", tools: qemu, make: vpc("subformat=fixed"), format: "vhd", padded: true,
			size: variantSize + 512},
		{name: "dynamic, one block more", tools: qemu, make: vpc("subformat=dynamic,force_size=on"), format: "vhd",
			size: variantSize + 2<<20},
		{name: "dynamic, larger", tools: qemu, make: vpc("subformat=dynamic,force_size=on"), format: "vhd", size: 50 << 20},
		{name: "dynamic, written in another order", tools: qemu, format: "vhd", padded: true,
			make: func(t *testing.T, folder, raw string) (string, []string) {
				file := filepath.Join(folder, "disk.vhd")
				run(t, "qemu-img", "create", "-q", "-f", "vpc", file, "24M")
				// -W writes out of order.
				run(t, "qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "raw", "-O", "vpc", raw, file)
				return file, nil
			}},
		{name: "differencing over one of QEMU", tools: qemu, format: "vhd", padded: true, make: qemuDifferencing},
	})
}

// qemuDifferencing makes a dynamic image of one half of the disk with qemu-img, and over
// it a differencing one with the rest.
func qemuDifferencing(t *testing.T, folder, raw string) (string, []string) {
	content, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	half := bytes.Clone(content)
	for at := 0; at < len(half); at += 4 * sector {
		rand.NewChaCha8([32]byte{byte(at / sector)}).Read(half[at : at+sector]) // what the child replaces
	}
	base := writeImage(t, filepath.Join(folder, "base.raw"), half)
	parent, _ := qemuConvert("base.vhd", "-O", "vpc")(t, folder, base)
	f, err := os.ReadFile(parent)
	if err != nil {
		t.Fatal(err)
	}
	footer, err := decodeVHDFooter(f[:sector])
	if err != nil {
		t.Fatal(err)
	}
	content = append(content, make([]byte, footer.size-int64(len(content)))...)
	b := buildVHD(vhdImage{kind: vhdDifferencing, content: content, block: 2 << 20, id: 9, parentName: "base.vhd",
		present: func(n int) bool { return n%4 == 0 && n*sector < len(half) }})
	copy(b[sector+40:], footer.id[:])
	signVHD(b[sector:sector+vhdHeader], 36)
	return writeImage(t, filepath.Join(folder, "child.vhd"), b), []string{parent}
}

// second reads the disk in an image with qemu-img, the second oracle.
func second(t *testing.T, format, file string) []byte {
	t.Helper()
	testenv.Tool(t, "qemu-img")
	raw := filepath.Join(t.TempDir(), "second.raw")
	run(t, "qemu-img", "convert", "-f", format, "-O", "raw", file, raw)
	b, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mountedVHD reads the disk in an image with vhdimount, which reads differencing disks,
// and VHDX.
func mountedVHD(t *testing.T, file string) []byte {
	t.Helper()
	testenv.Root(t)
	testenv.Tool(t, "vhdimount")
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "vhdimount", file, dir).CombinedOutput(); err != nil {
		t.Fatalf("vhdimount: %v: %s", err, out)
	}
	defer testenv.Unmount(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("vhdimount shows %v: %v", entries, err)
	}
	// A chain of disks has a file each; the one that was opened is the last.
	b, err := os.ReadFile(filepath.Join(dir, entries[len(entries)-1].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const dfvfs = "images/log2timeline__dfvfs/test_data/"

// TestVHDCorpus compares the images of the corpus with what other programs read. Two of
// them have wrong checksums.
func TestVHDCorpus(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name string) string {
		return writeImage(t, filepath.Join(folder, strings.TrimSuffix(name, ".gz")), testenv.CorpusFile(t, dfvfs+name))
	}
	whole, parent, child := file("ext2.vhd.gz"), file("image.vhd.gz"), file("image-differential.vhd.gz")
	disks, err := openFile(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	imgconform.Equal(t, disks[0], second(t, "vpc", whole))
	closeAll(t, disks)
	for _, name := range []string{parent, child} {
		if _, err := openFile(t.Context(), name, parent); !errors.Is(err, ErrCorrupt) ||
			!strings.Contains(err.Error(), "the checksum of the footer is wrong") {
			t.Errorf("%s: %v", name, err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		signVHD(b[:sector], 64)
		signVHD(b[len(b)-sector:], 64)
		signVHD(b[sector:sector+vhdHeader], 36)
		writeImage(t, name, b)
	}
	for _, name := range []string{parent, child} {
		disks, err := openFile(t.Context(), name, parent)
		if err != nil {
			t.Fatal(err)
		}
		imgconform.Equal(t, disks[0], mountedVHD(t, name))
		closeAll(t, disks)
	}
}

// readSome reads some of a damaged image, as much of it as is soon done.
func readSome(d Disk) (read int64, err error) {
	p := make([]byte, 64<<10)
	for at, n := int64(0), 0; at < d.Size() && n < 200; n++ {
		var got int
		got, err = d.ReadAt(p, at)
		if read += int64(got); err != nil && err != io.EOF {
			return read, err
		}
		at += int64(len(p))
		if n > 20 {
			at = at * 3 / 2
		}
	}
	for at, n := int64(0), 0; at < d.Size() && n < 100; n++ {
		_, at = d.Data(at)
	}
	return read, nil
}

// FuzzVHD: no content makes the reader panic, hang or return more than there is.
func FuzzVHD(f *testing.F) {
	content := bytes.Repeat([]byte("content."), 1088)
	for _, kind := range []uint32{vhdFixed, vhdDynamic, vhdDifferencing} {
		f.Add(buildVHD(vhdImage{kind: kind, content: content, block: 4096, id: 1, parent: 2, parentName: "p.vhd"}), true)
	}
	parent := candidate("p.vhd", buildVHD(vhdImage{kind: vhdFixed, content: content, id: 2}))
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if len(b) >= 3*sector && sign { // so that changes get behind the checksums
			b = bytes.Clone(b)
			signVHD(b[:sector], 64)
			signVHD(b[len(b)-sector:], 64)
			signVHD(b[sector:sector+vhdHeader], 36)
		}
		s := source.NewReader(t.Context(), "disk.vhd", bytes.NewReader(b), int64(len(b)))
		d, err := openVHD(t.Context(), s, Options{Parents: []Candidate{parent}, open: Open})
		if err != nil || d.Size() == 0 {
			return
		}
		if read, err := readSome(d); err == nil && read == 0 {
			t.Errorf("nothing of %d bytes", d.Size())
		}
	})
}

// opensAs compares the outcome of opening with what is wanted: an error of a kind whose
// text begins with prefix and contains want, or, without a kind, a disk whose notes
// contain want, or without it a disk that has none. It reports whether a disk is open.
func opensAs(t *testing.T, d Disk, err, kind error, prefix, want string) bool {
	t.Helper()
	if kind != nil {
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("%v, want %s", err, want)
		}
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(d.Notes(), "\n"); !strings.Contains(notes, want) || want == "" && notes != "" {
		t.Errorf("notes %q, want %q", notes, want)
	}
	return true
}
