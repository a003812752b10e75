package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// qcow2Maker writes images of a kind.
type qcow2Maker struct {
	version  int
	bits     uint   // of the cluster size
	pack     string // "zlib", "zstd" or "" for none
	extended bool
	backing  string // the path of the backing file; "" for none
	format   string // of the backing file
}

// Where the writer puts the tables, in clusters.
const (
	madeRefcounts = 1
	madeL1        = 2
)

// image returns an image of a disk: the header, an empty refcount table, the L1 table,
// and L2 tables each with its clusters after it.
func (m qcow2Maker) image(content []byte) []byte {
	be, cluster := binary.BigEndian, 1<<m.bits
	entry := 8
	if m.extended {
		entry = 16
	}
	perTable := cluster / entry
	tables := (len(content) + cluster*perTable - 1) / (cluster * perTable)
	b := make([]byte, madeL1*cluster+(8*tables+cluster-1)/cluster*cluster)
	m.header(b, len(content), tables)
	for n := range tables {
		table := aligned(&b, cluster)
		b = append(b, make([]byte, cluster)...)
		be.PutUint64(b[madeL1*cluster+8*n:], qcow2Used|uint64(table))
		for i := range perTable {
			at := (n*perTable + i) * cluster
			if at >= len(content) {
				break
			}
			data := make([]byte, cluster)
			copy(data, content[at:])
			e, bitmap := m.cluster(&b, data)
			be.PutUint64(b[table+i*entry:], e)
			if m.extended {
				be.PutUint64(b[table+i*entry+8:], bitmap)
			}
		}
	}
	aligned(&b, cluster)
	return b
}

// aligned fills the image up to the next cluster, and returns where that is.
func aligned(b *[]byte, cluster int) int {
	*b = append(*b, make([]byte, (cluster-len(*b)%cluster)%cluster)...)
	return len(*b)
}

func (m qcow2Maker) header(b []byte, size, tables int) {
	be := binary.BigEndian
	copy(b, "QFI\xfb")
	be.PutUint32(b[4:], uint32(m.version))
	be.PutUint32(b[20:], uint32(m.bits))
	be.PutUint64(b[24:], uint64(size))
	be.PutUint32(b[36:], uint32(tables))
	be.PutUint64(b[40:], madeL1<<m.bits)
	be.PutUint64(b[48:], madeRefcounts<<m.bits)
	be.PutUint32(b[56:], 1)
	end := 72
	if m.version == 3 {
		features := uint64(0)
		if m.extended {
			features |= qcow2Extended
		}
		if m.pack == "zstd" {
			features |= qcow2Compression
			b[104] = 1
		}
		be.PutUint64(b[72:], features)
		be.PutUint32(b[96:], 4)
		be.PutUint32(b[100:], 112)
		end = 112
	}
	if m.format != "" {
		be.PutUint32(b[end:], qcow2BackingFormat)
		be.PutUint32(b[end+4:], uint32(len(m.format)))
		copy(b[end+8:], m.format)
		end += 8 + (len(m.format)+7)/8*8
	}
	if m.backing != "" {
		end += 8 // the end of the extensions
		be.PutUint64(b[8:], uint64(end))
		be.PutUint32(b[16:], uint32(len(m.backing)))
		copy(b[end:], m.backing)
	}
}

// cluster adds a cluster to the image, and returns its entry and the states of its
// subclusters.
func (m qcow2Maker) cluster(b *[]byte, data []byte) (entry, bitmap uint64) {
	isZero := func(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }
	switch {
	case isZero(data) && m.backing != "" && !m.extended:
		return qcow2Zero, 0
	case isZero(data) && !m.extended:
		return 0, 0
	}
	if packed := m.packed(data); packed != nil {
		at := len(*b)
		*b = append(*b, packed...)
		sectors := (at+len(packed)-1)/512 - at/512
		return qcow2Compressed | uint64(sectors)<<(62-(m.bits-8)) | uint64(at), 0
	}
	if m.extended {
		piece := len(data) / qcow2Subclusters
		for i := range qcow2Subclusters {
			switch {
			case !isZero(data[i*piece:][:piece]):
				bitmap |= 1 << i
			case m.backing != "":
				bitmap |= 1 << (32 + i)
			}
		}
		if uint32(bitmap) == 0 {
			return 0, bitmap
		}
	}
	at := aligned(b, len(data))
	*b = append(*b, data...)
	return qcow2Used | uint64(at), bitmap
}

// packed compresses a cluster; nil if it is stored as it is.
func (m qcow2Maker) packed(data []byte) []byte {
	var packed []byte
	switch m.pack {
	case "":
		return nil
	case "zlib":
		packed = deflated(data)
	case "zstd":
		packed = zstdWriter().EncodeAll(data, nil)
	}
	if len(packed) >= len(data) {
		return nil
	}
	return packed
}

// openMade opens an image in memory.
func openMade(t testing.TB, b []byte, parents ...Candidate) (Disk, error) {
	return openBytes(t.Context(), "disk.qcow2", b, parents...)
}

// qcow2Once returns the Write of a format that makes an image of each content once.
func qcow2Once(
	image func(t *testing.T, content []byte) []byte,
) func(t *testing.T, folder string, content []byte) string {
	made := map[uint64][]byte{} // by the hash of the content
	return func(t *testing.T, folder string, content []byte) string {
		name, sum := filepath.Join(folder, "disk.qcow2"), fnv.New64a()
		sum.Write(content)
		b, ok := made[sum.Sum64()]
		if !ok {
			b = image(t, content)
			made[sum.Sum64()] = b
		}
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return name
	}
}

// TestQcow2: images of several kinds pass the suite.
func TestQcow2(t *testing.T) {
	t.Parallel()
	for i, m := range []qcow2Maker{
		{version: 3, bits: 12, pack: "zlib"},
		{version: 2, bits: 9},
		{version: 3, bits: 14, extended: true},
		{version: 3, bits: 16},
		{version: 3, bits: 16, pack: "zstd"},
	} {
		t.Run(fmt.Sprintf("%+v", m), func(t *testing.T) {
			t.Parallel()
			testenv.Part(t, i, 3)
			imgconform.Run(t, imgconform.Format{Sparse: true, Open: openAs("qcow2"), Read: sourceBytes,
				Write: qcow2Once(func(_ *testing.T, content []byte) []byte { return m.image(content) })})
		})
	}
}

// TestQcow2Converted: so do images that qemu-img writes, also when they are damaged or truncated after that.
func TestQcow2Converted(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "qemu-img")
	for i, args := range [][]string{
		{"-c", "-o", "compression_type=zstd,extended_l2=on"},
		{"-o", "compat=1.1"},
		{"-o", "compat=0.10,cluster_size=512"},
		{"-c", "-o", "cluster_size=4k"},
		{"-o", "extended_l2=on,cluster_size=16k"},
		{"-o", "cluster_size=2M"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			testenv.Share(t, i, 6, 2)
			imgconform.Run(t, imgconform.Format{Unit: 512, Sparse: !strings.Contains(args[1], "2M"), Open: openAs("qcow2"),
				Write: qcow2Once(func(t *testing.T, content []byte) []byte {
					folder := t.TempDir()
					raw, image := filepath.Join(folder, "raw"), filepath.Join(folder, "image")
					if err := os.WriteFile(raw, content, 0o666); err != nil {
						t.Fatal(err)
					}
					run(t, "qemu-img", append(append([]string{"convert", "-O", "qcow2"}, args...), raw, image)...)
					b, err := os.ReadFile(image)
					if err != nil {
						t.Fatal(err)
					}
					return b
				})})
		})
	}
}

// padded is bytes with zeros after them.
type padded []byte

func (p padded) ReadAt(b []byte, off int64) (int, error) {
	n := copy(b, p[min(off, int64(len(p))):])
	clear(b[n:])
	return len(b), nil
}

// TestQcow2Header: a header is refused that contradicts itself, needs what is unknown, or
// is over a bound; at a bound it is not.
func TestQcow2Header(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("coldcheck"), 20_000)
	plain := qcow2Maker{version: 3, bits: 12}
	overlay := qcow2Maker{version: 3, bits: 12, backing: "/vm/base.img", format: "raw"}
	be := binary.BigEndian
	u32 := func(v uint32) []byte { return be.AppendUint32(nil, v) }
	u64 := func(v uint64) []byte { return be.AppendUint64(nil, v) }
	extension := func(kind, size uint32) []byte { return append(u32(kind), u32(size)...) }
	for name, tt := range map[string]struct {
		maker qcow2Maker
		at    int
		b     []byte
		size  int64 // of the file; 0 for that of the image
		kind  error
		text  string
	}{
		"as it is":                    {maker: plain},
		"version 4":                   {plain, 4, u32(4), 0, ErrUnsupported, "byte 4: version 4"},
		"version 0":                   {plain, 4, u32(0), 0, ErrUnsupported, "byte 4: version 0"},
		"clusters too small":          {plain, 20, u32(8), 0, ErrCorrupt, "byte 20: clusters of 2^8"},
		"clusters too large":          {plain, 20, u32(22), 0, ErrUnsupported, "byte 20: clusters of 2^22"},
		"a file less than a cluster":  {plain, 20, u32(21), 0, io.ErrUnexpectedEOF, "reading at byte"},
		"another cluster size":        {plain, 20, u32(13), 0, ErrCorrupt, "byte 48: the refcount table is at byte 4096"},
		"the largest L1 table":        {maker: plain, at: 36, b: u32(qcow2MaxL1 / 8)},
		"a larger L1 table":           {plain, 36, u32(qcow2MaxL1/8 + 1), 0, ErrLimit, "byte 36: an L1 table of 33554440"},
		"no L1 table":                 {plain, 36, u32(0), 0, ErrCorrupt, "byte 36: an L1 table of 0 entries"},
		"a disk of 2^64-1 bytes":      {plain, 24, u64(1<<64 - 1), 0, ErrCorrupt, "too small for a disk"},
		"a larger disk":               {plain, 24, u64(2<<20 + 1), 0, ErrCorrupt, "1 entries is too small"},
		"the largest disk":            {maker: plain, at: 24, b: u64(2 << 20)},
		"an empty disk":               {maker: plain, at: 24, b: u64(0)},
		"the L1 table is the header":  {plain, 40, u64(0), 0, ErrCorrupt, "byte 40: the L1 table is at byte 0"},
		"the L1 table between":        {plain, 40, u64(513), 0, ErrCorrupt, "the L1 table is at byte 513"},
		"the L1 table after the end":  {plain, 40, u64(1 << 40), 0, ErrCorrupt, "the L1 table is at byte 1099511627776"},
		"the L1 table at 2^64-4096":   {plain, 40, u64(1<<64 - 4096), 0, ErrCorrupt, "the L1 table is at byte"},
		"refcounts after the end":     {plain, 48, u64(1 << 40), 0, ErrCorrupt, "byte 48: the refcount table"},
		"the most refcounts":          {plain, 56, u32(2048), 16 << 20, nil, ""},
		"more refcounts":              {plain, 56, u32(2049), 16 << 20, ErrLimit, "byte 56: a refcount table of 8392704"},
		"snapshots after the end":     {plain, 60, append(u32(1), u64(1<<40)...), 0, ErrCorrupt, "byte 64: the snapshot"},
		"snapshots between":           {plain, 60, append(u32(1), u64(4097)...), 0, ErrCorrupt, "byte 64: the snapshot"},
		"snapshots":                   {maker: plain, at: 60, b: append(u32(1), u64(4096)...)},
		"AES":                         {plain, 32, u32(1), 0, ErrEncrypted, "byte 32: the disk is encrypted with AES"},
		"LUKS":                        {plain, 32, u32(2), 0, ErrEncrypted, "byte 32: the disk is encrypted with LUKS"},
		"another encryption":          {plain, 32, u32(3), 0, ErrUnsupported, "byte 32: the unknown encryption method 3"},
		"marked as dirty":             {maker: plain, at: 72, b: u64(qcow2Dirty)},
		"marked as corrupt":           {plain, 72, u64(qcow2Corrupt), 0, ErrCorrupt, "byte 72: QEMU has marked"},
		"an unknown feature":          {plain, 72, u64(1 << 5), 0, ErrUnsupported, "byte 72: unknown incompatible"},
		"the last unknown feature":    {plain, 72, u64(1 << 63), 0, ErrUnsupported, "0x8000000000000000"},
		"subclusters too small":       {plain, 72, u64(qcow2Extended), 0, ErrCorrupt, "too small for subclusters"},
		"compression not as featured": {plain, 72, u64(qcow2Compression), 0, ErrCorrupt, "byte 104: the compression"},
		"compression not a feature":   {plain, 104, []byte{1}, 0, ErrCorrupt, "byte 104: the compression type 1"},
		"an unknown compression": {qcow2Maker{version: 3, bits: 12, pack: "zstd"}, 104, []byte{2}, 0, ErrUnsupported,
			"byte 104: the unknown compression type 2"},
		"unknown other features":     {maker: plain, at: 80, b: append(u64(1<<63), u64(1<<63)...)},
		"refcounts of 64 bits":       {maker: plain, at: 96, b: u32(6)},
		"refcounts of 128 bits":      {plain, 96, u32(7), 0, ErrCorrupt, "byte 96: reference counts of 2^7 bits"},
		"the smallest header":        {maker: plain, at: 100, b: u32(104)},
		"a smaller header":           {plain, 100, u32(96), 0, ErrCorrupt, "byte 100: a header of 96 bytes"},
		"a header of an odd length":  {plain, 100, u32(105), 0, ErrCorrupt, "byte 100: a header of 105 bytes"},
		"the largest header":         {maker: plain, at: 100, b: u32(4096)},
		"a larger header":            {plain, 100, u32(4104), 0, ErrCorrupt, "byte 100: a header of 4104 bytes"},
		"the largest extension":      {maker: plain, at: 112, b: extension(0x12345678, 4096-112-8)},
		"a larger extension":         {plain, 112, extension(1, 4096-112-7), 0, ErrCorrupt, "byte 112: an extension"},
		"an extension of 4 GiB":      {plain, 112, extension(1, 1<<32-1), 0, ErrCorrupt, "an extension of 4294967295"},
		"raw data without its file":  {plain, 88, u64(qcow2RawExternal), 0, ErrCorrupt, "byte 88: a raw external"},
		"a data file without a name": {plain, 72, u64(qcow2External), 0, ErrIncomplete, "in another file, which it does"},
		"raw data and a parent": {overlay, 72, append(append(u64(qcow2External), u64(0)...), u64(qcow2RawExternal)...), 0,
			ErrCorrupt, "byte 88: a raw external data file and a backing file"},
		"an overlay":              {maker: overlay},
		"a parent without a name": {overlay, 16, u32(0), 0, ErrCorrupt, "byte 8: the path of the backing file"},
		"the longest name":        {maker: qcow2Maker{version: 3, bits: 12, backing: strings.Repeat("x", 1023)}},
		"a longer name": {qcow2Maker{version: 3, bits: 12, backing: strings.Repeat("x", 1024)}, 0, nil, 0, ErrCorrupt,
			"1024 bytes"},
		"a name in the header":     {overlay, 8, u64(104), 0, ErrCorrupt, "the backing file is at byte 104"},
		"a name across the end":    {overlay, 8, u64(4096 - 11), 0, ErrCorrupt, "with 12 bytes"},
		"a name at the end":        {overlay, 8, u64(4096), 0, ErrCorrupt, "with 12 bytes"},
		"a name far after the end": {overlay, 8, u64(1<<64 - 1), 0, ErrCorrupt, "with 12 bytes"},
		"a name with a zero":       {overlay, 8, u64(200), 0, ErrCorrupt, "byte 200, with 12 bytes"},
		"an extension over a name": {overlay, 112, extension(1, 20), 0, ErrCorrupt, "byte 112: an extension of 20 bytes"},
		"a parent of another kind": {overlay, 112, append(extension(qcow2BackingFormat, 5), "qcow2"...), 0, ErrIncomplete,
			"is raw"},
		"a parent of unknown kind":  {overlay, 112, append(extension(qcow2BackingFormat, 3), "odd"...), 0, nil, ""},
		"version 2 with an overlay": {qcow2Maker{version: 2, bits: 9, backing: "base.img"}, 0, nil, 0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := tt.maker.image(content)
			copy(b[tt.at:], tt.b)
			if tt.size == 0 {
				tt.size = int64(len(b))
			}
			s := source.NewReader(t.Context(), "disk.qcow2", padded(b), tt.size)
			disks, err := Open(t.Context(), s, Options{Parents: []Candidate{candidate("base.img", make([]byte, 5000))}})
			switch {
			case tt.kind == nil && err != nil:
				t.Error(err)
			case tt.kind == nil:
				closeAll(t, disks)
			case !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text):
				t.Errorf("%v, want %s", err, tt.text)
			case strings.Count(err.Error(), "disk.qcow2") != 1:
				t.Errorf("it does not name the file once: %v", err)
			}
		})
	}
}

// TestQcow2Parent: a parent is one that was named, and of the format that the image stores:
// a raw disk may begin as an image of another format.
func TestQcow2Parent(t *testing.T) {
	t.Parallel()
	base := bytes.Repeat([]byte("base"), 3000)
	inner := qcow2Maker{version: 3, bits: 12}.image(base)
	content := make([]byte, 50_000)
	copy(content[20_000:], bytes.Repeat([]byte("top"), 1000))
	for name, tt := range map[string]struct {
		format string
		parent []byte
		err    string
	}{
		"raw":                {"raw", base, ""},
		"QCOW2":              {"qcow2", inner, ""},
		"no format":          {"", inner, ""},
		"QCOW2 as raw":       {"raw", inner, "its parent is of the format raw, but base.img is qcow2"},
		"raw as QCOW2":       {"qcow2", base, "its parent is of the format qcow2, but base.img is raw"},
		"none":               {"raw", nil, `the changes to its parent "base.img", which was not named`},
		"cannot be opened":   {"raw", []byte("QED\x00" + strings.Repeat("x", 600)), "a QED image"},
		"of another version": {"qcow2", append([]byte("QFI\xfb\x00\x00\x00\x07"), inner[8:]...), "version 7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := qcow2Maker{version: 3, bits: 14, extended: true, backing: `C:\vm\base.img`, format: tt.format}
			var parents []Candidate
			if tt.parent != nil {
				parents = []Candidate{candidate("base.img", tt.parent)}
			}
			d, err := openMade(t, m.image(content), parents...)
			if tt.err != "" {
				if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The writer marks zeros as such: nothing of the parent shows in what it wrote.
			imgconform.Equal(t, d, content)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestQcow2Hints: the hint for an image that is encrypted is a command.
func TestQcow2Hints(t *testing.T) {
	t.Parallel()
	b := qcow2Maker{version: 3, bits: 12}.image(make([]byte, 5000))
	b[35] = 2
	_, err := openBytes(t.Context(), "my, disk.qcow2", b)
	const want = `qemu-img convert --object secret,id=key,file=password.txt --image-opts ` +
		`'driver=qcow2,encrypt.key-secret=key,file.filename=my,, disk.qcow2' -O raw 'my, disk.img'`
	if !strings.HasSuffix(hintOf(err), want) {
		t.Errorf("%v, want the hint %s", err, want)
	}
}

// TestQcow2Decrypted: the command of the hint decrypts.
func TestQcow2Decrypted(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "qemu-img", "sh")
	content := variantContent(variantSize)
	raw := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(raw, content, 0o666); err != nil {
		t.Fatal(err)
	}
	for i, method := range []string{"aes", "luks"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			testenv.Part(t, i, 2)
			folder := t.TempDir()
			name, _ := encrypted(method)(t, folder, raw)
			_, err := openFile(t.Context(), name)
			_, command, ok := strings.Cut(hintOf(err), "raw image: ")
			if !ok {
				t.Fatal(err)
			}
			run(t, "sh", "-c", `cd "$0" && printf 0123456789abcdef >password.txt && `+command, folder)
			if b, err := os.ReadFile(filepath.Join(folder, "disk.img")); err != nil || !bytes.Equal(b, content) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
}

// TestQcow2Entries: an entry of a table that is wrong is an error where it is read, and
// nowhere else.
func TestQcow2Entries(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	const bits = 12
	const cluster = 1 << bits
	content := bytes.Repeat([]byte("coldcheck"), 300_000) // two L2 tables
	plain := qcow2Maker{version: 3, bits: bits}
	two := qcow2Maker{version: 2, bits: bits}
	zlib := qcow2Maker{version: 3, bits: bits, pack: "zlib"}
	extended := qcow2Maker{version: 3, bits: 14, extended: true}
	be := binary.BigEndian
	l1 := madeL1 * cluster
	l2 := l1 + cluster // the first L2 table
	second := func(b []byte) uint64 { return be.Uint64(b[l1+8:]) &^ qcow2Used }
	is := func(v uint64) func([]byte, uint64) uint64 { return func([]byte, uint64) uint64 { return v } }
	or := func(v uint64) func([]byte, uint64) uint64 { return func(_ []byte, e uint64) uint64 { return e | v } }
	plus := func(v uint64) func([]byte, uint64) uint64 { return func(_ []byte, e uint64) uint64 { return e + v } }
	atEnd := func(v int64) func([]byte, uint64) uint64 {
		return func(b []byte, _ uint64) uint64 { return uint64(int64(len(b)) + v) }
	}
	const farAway = 1<<56 - cluster
	for name, tt := range map[string]struct {
		maker qcow2Maker
		at    int                               // of the entry
		entry func(b []byte, was uint64) uint64 // what it becomes
		off   int64                             // where the disk is read
		text  string                            // of the error; "" if there is none
	}{
		"L1, reserved bit 0":   {plain, l1, or(1), 0, "the L1 entry at byte 8192: reserved bits"},
		"L1, reserved bit 62":  {plain, l1, or(1 << 62), 0, "the L1 entry at byte 8192: reserved bits"},
		"L1, used and nowhere": {plain, l1, is(qcow2Used), 0, "no L2 table can be at byte 0"},
		"L1, between clusters": {plain, l1, plus(512), 0, "no L2 table can be at byte 12800"},
		"L1, the header":       {plain, l1, is(512), 0, "no L2 table can be at byte 512"},
		"L1, itself":           {plain, l1, is(uint64(l1)), 0, "no L2 table can be at byte 8192"},
		"L1, the refcounts":    {plain, l1, is(cluster), 0, "no L2 table can be at byte 4096"},
		"L1, the last cluster": {plain, l1 + 8, atEnd(-cluster), 2 << 20, "the L2 entry"},
		"L1, at the end":       {plain, l1 + 8, atEnd(0), 2 << 20, "the L1 entry at byte 8200: no L2 table"},
		"L1, far away":         {plain, l1, is(farAway), 0, "no L2 table can be at byte 72057594037923840"},

		"reserved bit 1":         {plain, l2, or(2), 0, "the L2 entry at byte 12288: reserved bits"},
		"reserved bit 61":        {plain, l2, or(1 << 61), 0, "the L2 entry at byte 12288: reserved bits"},
		"zeros of version 2":     {two, l2, is(1), 0, "the L2 entry at byte 12288: reserved bits"},
		"used and nowhere":       {plain, l2, is(qcow2Used), 0, "used and is nowhere"},
		"between clusters":       {plain, l2, plus(512), 0, "not a multiple"},
		"zeros between clusters": {plain, l2, is(1<<16 | 512 | qcow2Zero), 0, "not a multiple"},
		"the L1 table":           {plain, l2, is(uint64(l1)), 0, "the cluster at byte 8192 of the file is in a table"},
		"the refcounts":          {plain, l2, is(cluster), 0, "is in a table"},
		"its own table":          {plain, l2, is(uint64(l2)), 0, "is in a table"},
		"another table":          {plain, l2, func(b []byte, _ uint64) uint64 { return second(b) }, 0, "is in a table"},
		"at the end":             {plain, l2, atEnd(0), 0, "the file ends at byte 2723840, before byte 2723840"},
		"far away":               {plain, l2, is(farAway), 0, "before byte 72057594037923840"},

		"compressed, at the end": {zlib, l2, func(b []byte, _ uint64) uint64 { return qcow2Compressed | uint64(len(b)) }, 0,
			"before byte"},
		"compressed, a table": {zlib, l2, is(qcow2Compressed | uint64(l1+100)), 0, "is in a table"},
		"compressed, up to a table": {zlib, l2,
			func(b []byte, _ uint64) uint64 { return qcow2Compressed | 3<<58 | (second(b) - 100) }, 0, "is in a table"},
		"compressed, not data": {zlib, l2, plus(1), 0, "the compressed cluster at byte"},
		"compressed as used":   {zlib, l2, or(qcow2Used), 0, ""},

		"subcluster of two states":    {extended, 3<<14 + 8, or(1 << 32), 0, "byte 49152: the states of the subclusters"},
		"subclusters of nothing":      {extended, 3 << 14, is(0), 0, "the states of the subclusters"},
		"zero bit with subclusters":   {extended, 3 << 14, or(1), 0, "reserved bits"},
		"compressed with subclusters": {extended, 3 << 14, is(qcow2Compressed | 4<<14), 0, "reserved bits"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := tt.maker.image(content)
			be.PutUint64(b[tt.at:], tt.entry(b, be.Uint64(b[tt.at:])))
			d, err := openMade(t, b)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 100)
			n, err := d.ReadAt(p, tt.off)
			switch {
			case tt.text == "" && (err != nil || !bytes.Equal(p, content[tt.off:tt.off+100])):
				t.Errorf("%d, %v", n, err)
			case tt.text != "" && (n != 0 || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.text)):
				t.Errorf("%d, %v, want %s", n, err, tt.text)
			case err != nil && !strings.HasPrefix(err.Error(), "disk.qcow2: "):
				t.Errorf("it does not name the file: %v", err)
			}
			other := int64(2<<20 + 1<<17) // in the second table
			if tt.off > 0 {
				other = 0
			}
			if n, err := d.ReadAt(p, other); n != 100 || err != nil || !bytes.Equal(p, content[other:other+100]) {
				t.Errorf("elsewhere: %d, %v", n, err)
			}
		})
	}
}

// TestQcow2SharedTables: an L2 table of two L1 entries is read unless one of them says that
// its reference count is one.
func TestQcow2SharedTables(t *testing.T) {
	t.Parallel()
	const bits = 12
	content := bytes.Repeat([]byte("coldcheck"), 400_000) // two L2 tables
	be := binary.BigEndian
	for _, used := range [][2]uint64{{0, 0}, {qcow2Used, 0}, {0, qcow2Used}, {qcow2Used, qcow2Used}} {
		b := qcow2Maker{version: 3, bits: bits}.image(content)
		l1 := b[madeL1<<bits:]
		table := be.Uint64(l1) &^ qcow2Used
		be.PutUint64(l1, table|used[0])
		be.PutUint64(l1[8:], table|used[1])
		d, err := openMade(t, b)
		if err != nil {
			t.Fatal(err)
		}
		for n, off := range []int64{0, 2 << 20} {
			p := make([]byte, 100)
			_, err = d.ReadAt(p, off)
			if used == [2]uint64{} {
				if err != nil || !bytes.Equal(p, content[:100]) {
					t.Errorf("shared, at %d: %v", off, err)
				}
				continue
			}
			text := fmt.Sprintf("the L1 entry at byte %d: the L2 table at byte 12288 is also that of another entry",
				madeL1<<bits+8*n)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), text) {
				t.Errorf("used %#x, at %d: %v, want %s", used, off, err, text)
			}
		}
	}
}

// TestQcow2Path: the path in the name of a backing file.
func TestQcow2Path(t *testing.T) {
	t.Parallel()
	const nowhere = `json:{"backing":{"file":{"filename":"a"}}}`
	for name, want := range map[string]string{
		"":                      "",
		"/vm/base.img":          "/vm/base.img",
		`C:\vm\base.img`:        `C:\vm\base.img`,
		"file:/vm/base.img":     "/vm/base.img",
		"nbd://localhost/base":  "nbd://localhost/base",
		`json:{"filename":"a"}`: "a",
		`json:{"file.filename":"/vm/a.img","driver":"raw"}`:                              "/vm/a.img",
		`json:{"driver":"qcow2","file":{"driver":"file","filename":"\/vm\/\u00e4.img"}}`: "/vm/ä.img",
		`json:{"driver":"qcow2","file":{"driver":"raw","file":{"filename":"a"}}}`:        "a",
		`json:{"backing":{"file":{"filename":"a"}},"file":{"filename":"b"}}`:             "b",
		nowhere:             nowhere,
		`json:{"file":"a"}`: `json:{"file":"a"}`,
		"json:{":            "json:{",
	} {
		if got := qcow2Path(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestQcow2Short: the file may end within the last cluster, after what the disk has of it.
// Where the file ends before that, the rest is an error, and never zeros.
func TestQcow2Short(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("coldcheck"), 1000) // three clusters, the last of 808 bytes
	whole := qcow2Maker{version: 3, bits: 12}.image(content)
	last := len(whole) - 1<<12
	for _, cut := range []int{last + 808, last + 807, last + 1, last, last - 1} {
		d, err := openMade(t, whole[:cut])
		if err != nil {
			t.Fatal(err)
		}
		there := min(len(content), cut-last+8192)
		got := make([]byte, len(content))
		n, err := d.ReadAt(got, 0)
		if n != there || !bytes.Equal(got[:n], content[:there]) || (n == len(content)) != (err == nil) {
			t.Errorf("cut to %d: %d bytes, %v; want %d", cut, n, err, there)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d: %v", cut, err)
		}
	}
}

// TestQcow2DataFile: an external data file must have each byte of the disk at its place, and
// is never one of another folder.
func TestQcow2DataFile(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	content := bytes.Repeat([]byte("coldcheck"), 1000)
	image := func(name string, change func(b, entries []byte)) []byte {
		b := qcow2Maker{version: 3, bits: 12}.image(content)
		be.PutUint64(b[72:], qcow2External)
		be.PutUint32(b[112:], qcow2ExternalName)
		be.PutUint32(b[116:], uint32(len(name)))
		copy(b[120:], name)
		entries := b[3<<12:]
		for n := range uint64(3) {
			be.PutUint64(entries[8*n:], qcow2Used|n<<12)
		}
		if change != nil {
			change(b, entries)
		}
		return b
	}
	for name, tt := range map[string]struct {
		name   string
		change func(b, entries []byte)
		text   string
	}{
		"its place": {"disk.data", nil, ""},
		"another place": {"disk.data", func(_, e []byte) { be.PutUint64(e, qcow2Used|1<<12) },
			"has byte 0 of the disk at byte 4096"},
		"compressed": {"disk.data", func(_, e []byte) { be.PutUint64(e, qcow2Compressed) }, "a compressed cluster"},
		"missing":    {"other.data", nil, `its data is in "other.data", which is missing`},
		"above":      {"../disk.data", nil, `its data is in "disk.data", in another folder`},
		"absolute":   {"/etc/passwd", nil, `its data is in "passwd", in another folder`},
		"of Windows": {`C:\disk.data`, nil, `its data is in "disk.data", in another folder`},
		"raw, elsewhere": {"/dev/sda", func(b, _ []byte) { b[95] = qcow2RawExternal },
			`its data is in "sda", in another folder`},
		"no name":   {"", nil, "which it does not name"},
		"the image": {"disk.qcow2", nil, ""},
		"with its parent": {"disk.data", func(b, _ []byte) {
			be.PutUint64(b[8:], 2000)
			be.PutUint32(b[16:], 4)
			copy(b[2000:], "base")
		}, "which was not named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			file := filepath.Join(folder, "disk.qcow2")
			if err := errors.Join(os.WriteFile(file, image(tt.name, tt.change), 0o666),
				os.WriteFile(filepath.Join(folder, "disk.data"), content, 0o666)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(content))
			disks, err := openFile(t.Context(), file)
			if err == nil {
				defer closeAll(t, disks)
				_, err = disks[0].ReadAt(got, 0)
			}
			if tt.text != "" && (err == nil || !strings.Contains(err.Error(), tt.text)) || tt.text == "" && err != nil {
				t.Errorf("%v, want %q", err, tt.text)
			}
		})
	}
}

// TestQcow2Reads: an image is read in few reads, and its tables once.
func TestQcow2Reads(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("coldcheck"), 400_000)
	for name, tt := range map[string]struct {
		maker qcow2Maker
		reads int64 // of a pass in pieces of 1 MiB
	}{
		"stored":      {qcow2Maker{version: 3, bits: 16}, 5},
		"zlib":        {qcow2Maker{version: 3, bits: 16, pack: "zlib"}, 6},
		"zstd, 4 KiB": {qcow2Maker{version: 3, bits: 12, pack: "zstd"}, 7},
	} {
		b := tt.maker.image(content)
		d, err := openMade(t, b)
		if err != nil {
			t.Fatal(err)
		}
		before := d.Sources()[0].Counters()
		p := make([]byte, 1<<20)
		for off := int64(0); off < d.Size(); off += int64(len(p)) {
			if _, err := d.ReadAt(p, off); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		after := d.Sources()[0].Counters()
		if n := after.Reads - before.Reads; n > tt.reads {
			t.Errorf("%s: %d reads", name, n)
		}
		if n := after.Bytes - before.Bytes; n > int64(len(b))+2<<20 {
			t.Errorf("%s: %d bytes are read of %d", name, n, len(b))
		}
	}
}

// FuzzQcow2 opens images of any content, above a parent, and reads a little.
func FuzzQcow2(f *testing.F) {
	content := append(bytes.Repeat([]byte("coldcheck"), 300), make([]byte, 3000)...)
	for _, m := range []qcow2Maker{
		{version: 2, bits: 9},
		{version: 3, bits: 9, pack: "zlib"},
		{version: 3, bits: 9, pack: "zstd"},
		{version: 3, bits: 9, backing: "base.img", format: "raw"},
		{version: 3, bits: 14, extended: true},
	} {
		f.Add(m.image(content))
	}
	parents := []Candidate{candidate("base.img", make([]byte, 5000))}
	p := make([]byte, 70_000)
	f.Fuzz(func(t *testing.T, b []byte) {
		if !bytes.HasPrefix(b, []byte("QFI\xfb")) {
			return
		}
		d, err := openMade(t, b, parents...)
		if err != nil {
			return
		}
		defer d.Close()
		for _, off := range []int64{0, 4000, d.Size() / 2, d.Size() - 100} {
			n, err := d.ReadAt(p, max(off, 0))
			if n < len(p) && err == nil || n > len(p) {
				t.Fatalf("%d bytes without an error", n)
			}
			d.Locate(off)
		}
		for at, steps := int64(0), 0; at < d.Size() && steps < 5; steps++ {
			start, end := d.Data(at)
			if start < at || end < start || end > d.Size() {
				t.Fatalf("data at %d: %d to %d of %d", at, start, end, d.Size())
			}
			at = max(end, start)
		}
	})
}

// qcow2BenchContent is a disk for benchmarks: text, random data and zeros.
var qcow2BenchContent = sync.OnceValue(func() []byte {
	var b []byte
	for len(b) < 128<<20 {
		b = append(b, variantContent(variantSize)...)
	}
	return b[:128<<20]
})

// qcow2BenchKinds are what is compared.
var qcow2BenchKinds = []struct {
	name  string
	maker qcow2Maker // version 0 is raw
}{
	{"raw", qcow2Maker{}},
	{"stored", qcow2Maker{version: 3, bits: 16}},
	{"subclusters", qcow2Maker{version: 3, bits: 16, extended: true}},
	{"zlib", qcow2Maker{version: 3, bits: 16, pack: "zlib"}},
	{"zstd", qcow2Maker{version: 3, bits: 16, pack: "zstd"}},
}

func openQcow2Bench(b *testing.B, m qcow2Maker) Disk {
	image := qcow2BenchContent()
	if m.version != 0 {
		image = m.image(image)
	}
	name := filepath.Join(b.TempDir(), "disk")
	if err := os.WriteFile(name, image, 0o666); err != nil {
		b.Fatal(err)
	}
	disks, err := openFile(context.Background(), name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { disks[0].Close() })
	return disks[0]
}

// BenchmarkQcow2Sequential reads the disk from front to back in pieces of 1 MiB.
func BenchmarkQcow2Sequential(b *testing.B) {
	for _, k := range qcow2BenchKinds {
		b.Run(k.name, func(b *testing.B) {
			d, p := openQcow2Bench(b, k.maker), make([]byte, 1<<20)
			b.SetBytes(d.Size())
			b.ReportAllocs()
			for b.Loop() {
				for off := int64(0); off < d.Size(); off += int64(len(p)) {
					if _, err := d.ReadAt(p, off); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkQcow2Random reads 4 KiB anywhere.
func BenchmarkQcow2Random(b *testing.B) {
	for _, k := range qcow2BenchKinds {
		b.Run(k.name, func(b *testing.B) {
			d, p := openQcow2Bench(b, k.maker), make([]byte, 4096)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			at := uint64(1)
			for b.Loop() {
				at = at*6364136223846793005 + 1442695040888963407
				if _, err := d.ReadAt(p, int64(at>>20)%(d.Size()-4096)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
