package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// vdiImage is how a VDI image is written. What is zero has a usual value.
type vdiImage struct {
	kind                            uint32
	block, extra, table, data       int // bytes
	more                            int // blocks of the table beyond the disk
	reversed                        bool
	base                            []byte // the disk of the parent
	uuid, modified, parent, parent2 guid
	change                          func(b []byte) // of the file
}

// bytes is the file of a disk. Blocks of zeros are not in it, nor are those that the
// parent has.
func (i vdiImage) bytes(content []byte) []byte {
	le := binary.LittleEndian
	i.kind = max(i.kind, vdiDynamic)
	if i.block == 0 {
		i.block = 1 << 20
	}
	blocks := (len(content)+i.block-1)/i.block + i.more
	if i.table == 0 {
		i.table = 512
	}
	if i.data == 0 {
		i.data = (i.table + 4*blocks + 511) &^ 511
	}
	b := make([]byte, i.data)
	copy(b, "<<< a disk image >>>\n")
	copy(b[vdiMagicAt:], vdiMagic)
	for at, n := range map[int]int{68: vdiVersion, 72: 400, 76: int(i.kind), 340: i.table, 344: i.data, 360: 512,
		376: i.block, 380: i.extra, 384: blocks} {
		le.PutUint32(b[at:], uint32(n))
	}
	le.PutUint64(b[368:], uint64(len(content)))
	for at, u := range map[int]guid{392: i.uuid, 408: i.modified, 424: i.parent, 440: i.parent2} {
		copy(b[at:], u[:])
	}
	at := func(b []byte, n int) []byte { // block n, as long as all others
		part := make([]byte, i.block)
		copy(part, b[min(n*i.block, len(b)):min((n+1)*i.block, len(b))])
		return part
	}
	zero, used := make([]byte, i.block), 0
	for k := range blocks {
		n := k
		if i.reversed {
			n = blocks - 1 - k
		}
		block, number := at(content, n), uint32(used)
		switch isZero := bytes.Equal(block, zero); {
		case i.kind == vdiFixed:
		case i.base != nil && bytes.Equal(block, at(i.base, n)), i.base == nil && isZero && n%2 == 0:
			number = vdiFree
		case isZero:
			number = vdiZero
		}
		if le.PutUint32(b[i.table+4*n:], number); number == uint32(used) {
			b = append(append(b, bytes.Repeat([]byte{0xee}, i.extra)...), block...)
			used++
		}
	}
	le.PutUint32(b[388:], uint32(used))
	if i.change != nil {
		i.change(b)
	}
	return b
}

// write writes the file.
func (i vdiImage) write(t testing.TB, folder string, content []byte) string {
	t.Helper()
	name := filepath.Join(folder, "disk.vdi")
	if err := os.WriteFile(name, i.bytes(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestVDI: images of all types and layouts pass the suite.
func TestVDI(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	base := guid{1, 2, 3}
	for name, i := range map[string]vdiImage{
		"dynamic": {},
		"small blocks, data before each, in odd places": {block: 4096, extra: 512, table: 4001, data: 1<<20 + 3, more: 7,
			reversed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			imgconform.Run(t, imgconform.Format{
				Open: openAs("vdi"), Sparse: i.kind != vdiFixed && i.block <= 1<<20,
				Write: func(t *testing.T, folder string, content []byte) string { return i.write(t, folder, content) },
				Read:  sourceBytes,
			})
		})
	}
	t.Run("differencing", func(t *testing.T) {
		t.Parallel()
		imgconform.Run(t, imgconform.Format{
			Open: func(ctx context.Context, name string) (imgconform.Image, error) {
				disks, err := openFile(ctx, name, filepath.Join(filepath.Dir(name), "base.vdi"))
				if err == nil && disks[0].Format() != "vdi" {
					err = errors.Join(fmt.Errorf("opened as %s", disks[0].Format()), disks[0].Close())
				}
				if err != nil {
					return nil, err
				}
				return disks[0], nil
			},
			Write: func(t *testing.T, folder string, content []byte) string {
				parent := bytes.Clone(content) // with other data at the beginning, and a part of the rest
				for n := 0; n < min(len(parent), 150_000); n++ {
					parent[n] ^= 0xff
				}
				written := vdiImage{uuid: base, modified: guid{4}, block: 65536}.write(t, folder, parent)
				if err := os.Rename(written, filepath.Join(folder, "base.vdi")); err != nil {
					t.Fatal(err)
				}
				return vdiImage{kind: vdiDiff, block: 32768, base: parent, parent: base, parent2: guid{4}}.write(t, folder,
					content)
			},
		})
	})
}

// TestVDIDetail: an image says what it is, and what is odd about it.
func TestVDIDetail(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	le, content := binary.LittleEndian, variantContent(variantSize)
	for name, c := range map[string]struct {
		i      vdiImage
		cut    int // bytes from the end
		detail string
		note   string
		wrong  int64 // a byte that cannot be read; -1 if there is none
		err    string
	}{
		"dynamic": {vdiImage{}, 0, "dynamic", "", -1, ""},
		"fixed":   {vdiImage{kind: vdiFixed}, 0, "fixed", "", -1, ""},
		"blocks":  {vdiImage{block: 65536}, 0, "dynamic, blocks of 64 KiB", "", -1, ""},
		"a count that is too small": {vdiImage{change: func(b []byte) { b[388]-- }}, 0, "dynamic",
			"the header counts 9 blocks in the file, the block table 10", -1, ""},
		"truncated": {
			vdiImage{}, 1, "dynamic", "1 of the 10 blocks in the block table are outside the file, which may be truncated",
			variantSize - 1, "the block table, at byte 604: block 9 of the file, for byte 24117248 of the disk, is not in"},
		"truncated by two": {vdiImage{}, 1<<20 + 1, "dynamic", "2 of the 10 blocks", 12 << 20,
			"the block table, at byte 560: block 8 of the file"},
		"doubled": {vdiImage{change: func(b []byte) { copy(b[512:516], b[520:524]) }}, 0, "dynamic",
			"1 of the 10 blocks in the block table are there more than once", 2 << 20,
			"the block table, at byte 520: block 2 of the file, for byte 2097152 of the disk, is in the table more than once"},
		"doubled, the first": {
			vdiImage{change: func(b []byte) { copy(b[512:516], b[520:524]) }}, 0, "dynamic", "more than once",
			0, "the block table, at byte 512: block 2 of the file, for byte 0 of the disk"},
		"outside": {vdiImage{change: func(b []byte) { le.PutUint32(b[516:], 24) }}, 0, "dynamic",
			"1 of the 10 blocks", 1<<20 + 5, "at byte 516: block 24 of the file, for byte 1048576 of the disk"},
		"far outside": {vdiImage{change: func(b []byte) { le.PutUint32(b[516:], vdiZero-1) }}, 0, "dynamic",
			"1 of the 10 blocks", 1<<20 + 5, "block 4294967293 of the file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := c.i.bytes(content)
			b = b[:len(b)-c.cut]
			s := source.NewReader(t.Context(), "disk.vdi", bytes.NewReader(b), int64(len(b)))
			d, err := openVDI(t.Context(), s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(d.Notes(), " "); d.Detail() != c.detail || c.note == "" && notes != "" ||
				!strings.Contains(notes, c.note) {
				t.Errorf("%s, %q; want %s, %q", d.Detail(), notes, c.detail, c.note)
			}
			got, bad := make([]byte, 4096), 0
			for at := 0; at < len(content); at += len(got) {
				n, err := d.ReadAt(got, int64(at))
				if !bytes.Equal(got[:n], content[at:at+n]) {
					t.Fatalf("other bytes at %d", at)
				}
				if err != nil {
					bad++
				}
			}
			if (bad > 0) != (c.wrong >= 0) || bad > 2*256 {
				t.Errorf("%d pieces cannot be read", bad)
			}
			if c.wrong < 0 {
				return
			}
			_, err = d.ReadAt(got[:1], c.wrong)
			if !errors.Is(err, ErrCorrupt) || !strings.HasPrefix(err.Error(), "disk.vdi: ") ||
				!strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if start, end := d.Data(c.wrong); start != c.wrong || end <= start {
				t.Errorf("data from %d to %d", start, end)
			}
			if _, _, ok := d.Locate(c.wrong); ok {
				t.Error("it is somewhere")
			}
		})
	}
}

// TestVDIHeader: each field at, below and above its bound.
func TestVDIHeader(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	le := binary.LittleEndian
	put32 := func(at int, n uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[at:], n) } }
	put64 := func(at int, n uint64) func([]byte) { return func(b []byte) { le.PutUint64(b[at:], n) } }
	content := bytes.Repeat([]byte{7}, 2<<20+512)
	for name, c := range map[string]struct {
		change func(b []byte)
		kind   error // nil if it opens
		err    string
	}{
		"version 0.1":             {put32(68, 1), ErrUnsupported, "version 0.1; only version 1.1"},
		"version 1.0":             {put32(68, 1<<16), ErrUnsupported, "version 1.0"},
		"version 1.2":             {put32(68, 1<<16|2), ErrUnsupported, "version 1.2"},
		"version 2.1":             {put32(68, 2<<16|1), ErrUnsupported, "version 2.1"},
		"a header of 384 bytes":   {put32(72, 384), nil, ""},
		"a header of 383 bytes":   {put32(72, 383), ErrCorrupt, "at byte 72: a header of 383 bytes"},
		"type 0":                  {put32(76, 0), ErrCorrupt, "at byte 76: an unknown type of image, 0"},
		"type 5":                  {put32(76, 5), ErrCorrupt, "at byte 76: an unknown type of image, 5"},
		"type 4 without a parent": {put32(76, 4), ErrCorrupt, "at byte 424: the type is differencing, and the UUID of"},
		"type 3 without a parent": {put32(76, 3), ErrCorrupt, "at byte 424: the type is undo"},
		"type 1 with a parent": {
			put32(424, 9), ErrCorrupt, "at byte 424: the type is dynamic, and the UUID of the parent is 00000009-"},
		"the table in the header": {
			put32(340, 455), ErrCorrupt, "at byte 340: the block table is in the header, at byte 455"},
		"the table at the header": {put32(340, 456), nil, ""},
		"data in the table":       {put32(344, 523), ErrCorrupt, "at byte 344: the blocks begin in the block table"},
		"data at the table":       {put32(344, 524), nil, ""},
		"the table in data":       {put32(340, 1013), ErrCorrupt, "at byte 344"},
		"the table outside": {
			func(b []byte) { put32(340, 0xfffffff0)(b); put32(344, 0xfffffffc)(b) }, ErrCorrupt, "truncated"},
		"blocks of 0":         {put32(376, 0), ErrCorrupt, "at byte 376: blocks of 0 bytes"},
		"blocks of 256":       {put32(376, 256), ErrCorrupt, "blocks of 256 bytes"},
		"blocks of 1.5 MiB":   {put32(376, 3<<19), ErrCorrupt, "blocks of 1572864 bytes"},
		"blocks of 2 GiB":     {put32(376, 1<<31), nil, ""},
		"two blocks":          {put32(384, 2), ErrCorrupt, "at byte 384: 2 blocks are less than the disk"},
		"four blocks":         {put32(384, 4), nil, ""},
		"blocks at the bound": {put32(384, maxVDIBlocks), ErrCorrupt, "at byte 344"},
		"blocks above the bound": {
			put32(384, maxVDIBlocks+1), ErrLimit, "at byte 384: 67108865 blocks, more than 67108864"},
		"all blocks used":          {put32(388, 3), nil, ""},
		"more blocks used":         {put32(388, 4), ErrCorrupt, "at byte 388: 4 of 3 blocks"},
		"a disk of 3 MiB":          {put64(368, 3<<20), nil, ""},
		"a disk of more":           {put64(368, 3<<20+1), ErrCorrupt, "at byte 384"},
		"a disk of 2^63":           {put64(368, 1<<63), ErrCorrupt, "at byte 368: a disk of 9223372036854775808 bytes"},
		"a disk of 2^63-1":         {put64(368, 1<<63-1), ErrCorrupt, "at byte 384"},
		"no disk":                  {put64(368, 0), nil, ""},
		"data before each of 4 GB": {put32(380, 1<<32-1), nil, ""},
	} {
		b := vdiImage{}.bytes(content)
		c.change(b)
		s := source.NewReader(t.Context(), "disk.vdi", bytes.NewReader(b), int64(len(b)))
		d, err := openVDI(t.Context(), s, Options{})
		if !errors.Is(err, c.kind) || c.kind != nil && !strings.HasPrefix(err.Error(), "disk.vdi: ") ||
			c.kind != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %v, %q", name, err, c.kind, c.err)
		}
		if c.kind == ErrUnsupported &&
			!strings.HasSuffix(hintOf(err), "VBoxManage clonemedium disk disk.vdi disk.img --format RAW") {
			t.Errorf("%s: hint %q", name, hintOf(err))
		}
		if err == nil { // every read ends
			for at := int64(0); at < d.Size(); at += 1 << 19 {
				if n, err := d.ReadAt(make([]byte, 512), at); n < 512 && err == nil {
					t.Errorf("%s: %d bytes at %d without an error", name, n, at)
				}
			}
		}
	}
	whole := vdiImage{}.bytes(content)
	for n := range vdiHeaderSize { // what ends in the header is no image
		b := whole[:n]
		s := source.NewReader(t.Context(), "disk.vdi", bytes.NewReader(b), int64(len(b)))
		if _, err := openVDI(t.Context(), s, Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestVDIParent: a parent must be the one that the image has the changes to.
func TestVDIParent(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	dir := t.TempDir()
	put := func(name string, i vdiImage, content []byte) string {
		if err := os.WriteFile(filepath.Join(dir, name), i.bytes(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	content := variantContent(variantSize)
	old := bytes.Clone(content)
	copy(old[4<<20:], "old")
	older := bytes.Clone(old)
	copy(older[7<<20:], "older")
	a, b, c := guid{0xa, 1}, guid{0xb, 2}, guid{0xc, 3}
	top := put("{top}.vdi", vdiImage{kind: vdiDiff, base: old, uuid: c, parent: b, parent2: guid{22}}, content)
	undo := put("undo.vdi", vdiImage{kind: vdiUndo, base: older, uuid: b, modified: guid{22}, parent: a}, old)
	bottom := put("bottom.vdi", vdiImage{uuid: a, modified: guid{11}}, older)
	changed := put("changed.vdi", vdiImage{kind: vdiDiff, base: older, uuid: b, modified: guid{23}, parent: a}, old)
	raw := filepath.Join(dir, "raw.img")
	if err := os.WriteFile(raw, old, 0o666); err != nil {
		t.Fatal(err)
	}
	self := put("self.vdi", vdiImage{kind: vdiDiff, base: old, uuid: c, parent: c}, content)
	short := put("short.vdi", vdiImage{uuid: b}, old[:1<<20])
	long := put("long.vdi", vdiImage{kind: vdiDiff, base: old[:1<<20], parent: b}, content)
	for name, tt := range map[string]struct {
		file    string
		parents []string
		err     string // "" for the content
	}{
		"both":             {top, []string{bottom, undo}, ""},
		"one":              {undo, []string{bottom}, ""},
		"a smaller parent": {long, []string{short}, ""},
		"none": {
			top, nil, `its parent "{0000020b-0000-0000-0000-000000000000}", which was not named: incomplete`},
		"not its parent": {top, []string{undo}, "which was not named"},
		"another": {
			top, []string{bottom}, "its UUID is 0000010a-0000-0000-0000-000000000000, and that of the parent"},
		"changed since": {
			top, []string{changed, bottom}, "its modification UUID is 00000017-0000-0000-0000-000000000000"},
		"not a VDI image":     {top, []string{raw}, "it is not a VDI image"},
		"itself":              {self, []string{self}, "an image is not its own parent"},
		"missing":             {top, []string{filepath.Join(dir, "missing.vdi")}, "missing.vdi: "},
		"a parent and others": {top, []string{raw, changed, bottom, undo}, ""},
	} {
		disks, err := openFile(t.Context(), tt.file, tt.parents...)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || !errors.Is(err, ErrIncomplete) {
				t.Errorf("%s: %v, want %q", name, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := content
		if tt.file == undo {
			want = old
		}
		t.Run(name, func(t *testing.T) { imgconform.Equal(t, disks[0], want) })
		closeAll(t, disks)
	}
	disks, err := openFile(t.Context(), top)
	if hint := hintOf(err); hint != "name the parent: --parent FILE" {
		t.Errorf("%v, hint %q", disks, hint)
	}
}

// vdiVariant makes an image with qemu-img.
func vdiVariant(args ...string) func(t *testing.T, folder, raw string) (string, []string) {
	return func(t *testing.T, folder, raw string) (string, []string) {
		name := filepath.Join(folder, "disk.vdi")
		run(t, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O", "vdi"}, args...), raw, name)...)
		return name, nil
	}
}

// TestVDIVariants: what qemu-img writes.
func TestVDIVariants(t *testing.T) {
	tools, format := []string{"qemu-img"}, "vdi"
	own := func(i vdiImage) func(t *testing.T, folder, raw string) (string, []string) {
		return func(t *testing.T, folder, raw string) (string, []string) {
			content, err := os.ReadFile(raw)
			if err != nil {
				t.Fatal(err)
			}
			return i.write(t, folder, content), nil
		}
	}
	written := func(t *testing.T, folder, raw string) (string, []string) {
		name := filepath.Join(folder, "disk.vdi")
		run(t, "qemu-img", "create", "-q", "-f", "vdi", name, fmt.Sprint(variantSize))
		run(t, "qemu-io", "-f", "vdi", "-c", "write -P 7 15M 64k", "-c", "write -P 8 3M 64k", "-c", "write -z 16M 1M", name)
		run(t, "qemu-img", "convert", "-n", "-S", "0", "-f", "raw", "-O", "vdi", raw, name)
		return name, nil
	}
	damaged := func(change func(b []byte)) func(t *testing.T, folder, raw string) (string, []string) {
		return func(t *testing.T, folder, raw string) (string, []string) {
			name, _ := vdiVariant()(t, folder, raw)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			change(b)
			if err := os.WriteFile(name, b, 0o666); err != nil {
				t.Fatal(err)
			}
			return name, nil
		}
	}
	runVariants(t, []variant{
		{name: "dynamic", tools: tools, make: vdiVariant("-o", "static=off"), format: format},
		{name: "fixed", tools: tools, make: vdiVariant("-o", "static=on"), format: format},
		{name: "without holes", tools: tools, make: vdiVariant("-S", "0"), format: format},
		{name: "small holes", tools: tools, make: vdiVariant("-S", "4k"), format: format},
		{name: "out of order", tools: tools, make: vdiVariant("-W", "-m", "16"), format: format},
		{name: "a block and a sector", tools: tools, make: vdiVariant(), format: format, size: variantSize + 512},
		{name: "a block less a sector", tools: tools, make: vdiVariant(), format: format, size: variantSize + 1<<20 - 512},
		{name: "fixed, a block and a sector", tools: tools, make: vdiVariant("-o", "static=on"), format: format,
			size: variantSize + 512},
		{name: "half a sector", tools: tools, make: vdiVariant(), format: format, size: variantSize + 300, padded: true},
		{name: "large", tools: tools, make: vdiVariant(), format: format, size: 100 << 20},
		{name: "of a smaller one that was resized", tools: tools, format: format, size: variantSize + 3<<20,
			make: func(t *testing.T, folder, raw string) (string, []string) {
				name, _ := vdiVariant()(t, folder, raw)
				return name, nil
			}},
		{name: "written by qemu-io", tools: []string{"qemu-img", "qemu-io"}, make: written, format: format},
		{name: "own, 8 MiB", tools: tools, make: own(vdiImage{block: 8 << 20, kind: vdiFixed}), format: format},
		{name: "own, 4 KiB", tools: tools, make: own(vdiImage{block: 4096}), format: format},
		{name: "own, in odd places", tools: tools, make: own(vdiImage{table: 457, data: 1001, extra: 1}), format: format},
		{name: "a version that cannot be read", tools: tools, make: damaged(func(b []byte) { b[70] = 0 }),
			refused: "version 0.1"},
		{name: "a parent that is missing", tools: tools, make: damaged(func(b []byte) { b[76], b[424] = vdiDiff, 1 }),
			refused: "which was not named"},
	})
}

// TestVDICorpus: what another project made, as qemu-img reads it.
func TestVDICorpus(t *testing.T) {
	const file = "images/gomod__google__osv-scalibr/extractor/filesystem/embeddedfs/vdi/testdata/" +
		"valid-ext-exfat-fat32-ntfs-dynamic.vdi.gz"
	b := testenv.CorpusFile(t, file)
	testenv.Tool(t, "qemu-img", "nbdcopy", "qemu-nbd")
	dir := t.TempDir()
	name, raw := filepath.Join(dir, "disk.vdi"), filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
	run(t, "nbdcopy", "--", "[", "qemu-nbd", "--read-only", "--format=vdi", name, "]", raw)
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	disks, err := openFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, disks)
	imgconform.Equal(t, disks[0], want)
}

// TestVDIDamage: a damaged image of qemu-img is refused, or read to its end in bounded
// time and memory.
func TestVDIDamage(t *testing.T) {
	testenv.Tool(t, "qemu-img")
	t.Parallel()
	dir := t.TempDir()
	raw := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(raw, variantContent(variantSize), 0o666); err != nil {
		t.Fatal(err)
	}
	name, _ := vdiVariant()(t, dir, raw)
	sound, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	images, refused, failed, read := 60, 0, 0, 0
	if testenv.Nightly() {
		images = 1000
	}
	for seed := range images {
		rng := rand.New(rand.NewPCG(uint64(seed), 3))
		b := bytes.Clone(sound)
		for range 1 + rng.IntN(4) {
			b[64+rng.IntN(700)] = byte(rng.Uint32()) // the header and the table
		}
		disks, err := openDisks(t.Context(), "disk.vdi", b)
		if err != nil {
			refused++
			continue
		}
		if bad := readAll(disks[0], 64<<20); bad > 0 {
			failed++
		} else {
			read++
		}
	}
	t.Logf("%d damaged images: %d are refused, %d fail when they are read, %d are read", images, refused, failed, read)
}

// readAll reads up to most bytes of a disk, each piece of it, and returns how many
// pieces fail.
func readAll(d Disk, most int64) (bad int) {
	p := make([]byte, 1<<20)
	for at := int64(0); at < min(d.Size(), most); at += int64(len(p)) {
		if n, err := d.ReadAt(p, at); err != nil && err != io.EOF || n == 0 {
			bad++
		}
	}
	for at, steps := int64(0), 0; at < d.Size() && steps < 1000; steps++ {
		_, at = d.Data(at)
	}
	return bad
}

func FuzzVDI(f *testing.F) {
	content := make([]byte, 40_000)
	copy(content[9000:], "content")
	f.Add(vdiImage{block: 4096}.bytes(content))
	f.Add(vdiImage{block: 4096, kind: vdiFixed, extra: 512}.bytes(content))
	f.Add(vdiImage{block: 8192, kind: vdiDiff, parent: guid{1}, base: make([]byte, 40_000)}.bytes(content))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		base := vdiImage{block: 4096, uuid: guid{1}}.bytes(content)
		s := source.NewReader(t.Context(), "disk.vdi", bytes.NewReader(b), int64(len(b)))
		d, err := openVDI(t.Context(), s, Options{open: Open, Parents: []Candidate{candidate("base.vdi", base)}})
		if err != nil {
			return
		}
		readAll(d, 16<<20)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// benchmarkDisk reads a disk of variantSize from front to back, and at random.
func benchmarkDisk(b *testing.B, d Disk) {
	b.Run("sequential", func(b *testing.B) {
		p := make([]byte, 1<<20)
		b.SetBytes(d.Size())
		b.ReportAllocs()
		for b.Loop() {
			for at := int64(0); at < d.Size(); at += int64(len(p)) {
				if _, err := d.ReadAt(p, at); err != nil && err != io.EOF {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("random", func(b *testing.B) {
		p, rng := make([]byte, 4096), rand.New(rand.NewPCG(1, 1))
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.ReadAt(p, rng.Int64N(d.Size()-4096)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVDI(b *testing.B) {
	dir := b.TempDir()
	content := bytes.Repeat(variantContent(variantSize), 8)
	raw := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(raw, content, 0o666); err != nil {
		b.Fatal(err)
	}
	for name, file := range map[string]string{"raw": raw, "vdi": vdiImage{}.write(b, dir, content)} {
		disks, err := openFile(b.Context(), file)
		if err != nil {
			b.Fatal(err)
		}
		defer disks[0].Close()
		b.Run(name, func(b *testing.B) { benchmarkDisk(b, disks[0]) })
	}
}
