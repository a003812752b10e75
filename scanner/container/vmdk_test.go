package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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

// vmdkFile is how a test writes a sparse extent.
type vmdkFile struct {
	grain     int    // in bytes; 0 means 64 KiB
	entries   int    // of a grain table; 0 means 512
	text      string // the descriptor; "" means none
	redundant bool
	zeroed    bool // grains of zeros have an entry
	stream    bool // compressed, with the directory at the end
	cowd      bool // of ESX
	unclean   bool
}

// write returns the extent that has the content, a multiple of a sector. Grains of
// zeros are left out.
func (f vmdkFile) write(content []byte) []byte {
	grain, entries := f.grain, f.entries
	if grain == 0 {
		grain = 64 << 10
	}
	if entries == 0 {
		entries = 512
	}
	if f.cowd {
		entries = 4096
	}
	le := binary.LittleEndian
	grains := (len(content) + grain - 1) / grain
	count := (grains + entries - 1) / entries
	pad := func(b []byte, to int) []byte { return append(b, make([]byte, (to-len(b)%to)%to)...) }
	header := make([]byte, 512)
	if f.cowd {
		header = make([]byte, 2048)
	}
	text := pad([]byte(f.text), 512)
	b := append(header, text...)
	directories := []int{}
	copies := 1
	if f.redundant {
		copies = 2
	}
	directory, table := pad(make([]byte, 4*count), 512), pad(make([]byte, 4*entries), 512)
	if !f.stream {
		for range copies {
			directories = append(directories, len(b))
			b = append(b, directory...)
			at := len(b)
			for n := range count {
				le.PutUint32(b[directories[len(directories)-1]+4*n:], uint32((at+n*len(table))/512))
			}
			b = append(b, make([]byte, count*len(table))...)
		}
	}
	b = pad(b, max(grain, 512))
	overhead := len(b)
	current := make([]byte, len(table)) // of a stream
	var streamed []byte                 // the directory of a stream
	marker := func(sectors, kind int) []byte {
		m := make([]byte, 512)
		le.PutUint64(m, uint64(sectors))
		le.PutUint32(m[12:], uint32(kind))
		return m
	}
	for n := range grains {
		data := make([]byte, grain)
		copy(data, content[n*grain:])
		empty := bytes.Count(data, []byte{0}) == grain
		entry := uint32(0)
		switch {
		case empty && f.zeroed:
			entry = 1
		case empty:
		case f.stream:
			entry = uint32(len(b) / 512)
			packed := zipped(data)
			m := make([]byte, 12)
			le.PutUint64(m, uint64(n*grain/512))
			le.PutUint32(m[8:], uint32(len(packed)))
			b = pad(append(append(b, m...), packed...), 512)
		default:
			entry = uint32(len(b) / 512)
			b = append(b, data...)
		}
		for _, d := range directories {
			at := int(le.Uint32(b[d+4*(n/entries):])) * 512
			le.PutUint32(b[at+4*(n%entries):], entry)
		}
		if !f.stream {
			continue
		}
		le.PutUint32(current[4*(n%entries):], entry)
		if n%entries == entries-1 || n == grains-1 {
			b = append(b, marker(len(table)/512, 1)...)
			streamed = le.AppendUint32(streamed, uint32(len(b)/512))
			b = append(b, current...)
			clear(current)
		}
	}
	if f.stream {
		b = append(b, marker(len(directory)/512, 2)...)
		directories = append(directories, len(b))
		b = pad(append(b, streamed...), 512)
	}
	f.header(b, len(content), grain, entries, directories, overhead, count)
	if f.stream {
		footer := bytes.Clone(b[:512])
		le.PutUint64(b[56:], 1<<64-1)
		b = append(append(append(b, marker(1, 3)...), footer...), marker(0, 0)...)
	}
	return b
}

func (f vmdkFile) header(b []byte, size, grain, entries int, directories []int, overhead, count int) {
	le := binary.LittleEndian
	last := directories[len(directories)-1]
	if f.cowd {
		copy(b, "COWD")
		for at, n := range map[int]int{
			4: 1, 8: 3, 12: size / 512, 16: grain / 512, 20: last / 512, 24: count, 28: len(b) / 512,
		} {
			le.PutUint32(b[at:], uint32(n))
		}
		if f.unclean {
			b[1648] = 1
		}
		return
	}
	copy(b, "KDMV")
	le.PutUint32(b[4:], 1)
	flags := vmdkNewlines
	if f.redundant {
		flags |= vmdkRedundant
		le.PutUint64(b[48:], uint64(directories[0]/512))
	}
	if f.zeroed {
		flags |= vmdkZeroed
	}
	if f.stream {
		flags |= vmdkCompressed | vmdkMarkers
		b[77] = 1
	}
	if f.unclean {
		b[72] = 1
	}
	le.PutUint32(b[8:], uint32(flags))
	le.PutUint64(b[12:], uint64(size/512))
	le.PutUint64(b[20:], uint64(grain/512))
	if f.text != "" {
		le.PutUint64(b[28:], 1)
		le.PutUint64(b[36:], uint64((len(f.text)+511)/512))
	}
	le.PutUint32(b[44:], uint32(entries))
	le.PutUint64(b[56:], uint64(last/512))
	le.PutUint64(b[64:], uint64(overhead/512))
	copy(b[73:], "\n \r\n")
}

// vmdkText returns a descriptor with extents. An extent is its line without the access.
func vmdkText(kind string, extents ...string) string {
	return "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"" + kind + "\"\n\n" +
		"# Extent description\nRW " + strings.Join(extents, "\nRW ") + "\n\n" +
		"# The Disk Data Base\n#DDB\n\nddb.adapterType = \"ide\"\n"
}

// inOne writes an image of one file with the descriptor inside.
func (f vmdkFile) inOne(t *testing.T, folder string, content []byte) string {
	kind := "monolithicSparse"
	if f.stream {
		kind = "streamOptimized"
	}
	f.text = vmdkText(kind, fmt.Sprintf("%d SPARSE \"disk.vmdk\"", len(content)/512))
	return writeFiles(t, folder, "disk.vmdk", map[string][]byte{"disk.vmdk": f.write(content)})
}

// inTwo writes an image of a descriptor and two extents.
func (f vmdkFile) inTwo(t *testing.T, folder string, content []byte) string {
	half := (len(content)/1024 + 1) * 512
	if len(content)%(2<<20) == 0 { // qemu-img reads other bytes if an extent ends within a grain
		half = len(content) / 2
	}
	kind, created := "SPARSE", "twoGbMaxExtentSparse"
	if f.cowd {
		kind, created = "VMFSSPARSE", "vmfsSparse"
	}
	files, lines := map[string][]byte{}, []string{}
	for n, part := range [][]byte{content[:min(half, len(content))], content[min(half, len(content)):]} {
		if len(part) > 0 {
			name := fmt.Sprintf("disk-s%03d.vmdk", n+1)
			files[name] = f.write(part)
			lines = append(lines, fmt.Sprintf("%d %s %q", len(part)/512, kind, name))
		}
	}
	files["disk.vmdk"] = []byte(vmdkText(created, lines...))
	return writeFiles(t, folder, "disk.vmdk", files)
}

// writeVMDKFlat writes an image of a descriptor and two flat extents, of which one
// begins within its file, with zeros between them if there are some.
func writeVMDKFlat(t *testing.T, folder string, content []byte) string {
	half := (len(content)/1024 + 1) * 512
	a, b := content[:min(half, len(content))], content[min(half, len(content)):]
	lines := []string{fmt.Sprintf("%d FLAT \"disk-f001.vmdk\" 3", len(a)/512)}
	files := map[string][]byte{"disk-f001.vmdk": append(bytes.Repeat([]byte{0xee}, 3*512), a...)}
	if zero := len(b) - len(bytes.TrimLeft(b, "\x00")); zero >= 512 {
		lines, b = append(lines, fmt.Sprintf("%d ZERO", zero/512)), b[zero/512*512:]
	}
	if len(b) > 0 {
		files["disk-f002.vmdk"] = b
		lines = append(lines, fmt.Sprintf("%d VMFS \"disk-f002.vmdk\"", len(b)/512))
	}
	files["disk.vmdk"] = []byte(vmdkText("twoGbMaxExtentFlat", lines...))
	return writeFiles(t, folder, "disk.vmdk", files)
}

func writeFiles(t *testing.T, folder, first string, files map[string][]byte) string {
	t.Helper()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, first)
}

// TestVMDK: all kinds of images pass the suite.
func TestVMDK(t *testing.T) {
	for name, write := range map[string]func(*testing.T, string, []byte) string{
		"sparse":         vmdkFile{redundant: true}.inOne,
		"zeroed":         vmdkFile{zeroed: true, grain: 4096}.inOne,
		"stream":         vmdkFile{stream: true, entries: 16}.inOne,
		"split":          vmdkFile{redundant: true, entries: 32, grain: 8192}.inTwo,
		"flat":           writeVMDKFlat,
		"ESX sparse":     vmdkFile{cowd: true, grain: 512}.inTwo,
		"many tables":    vmdkFile{redundant: true, entries: 4, grain: 4096}.inOne,
		"small grains":   vmdkFile{grain: 512, entries: 128}.inOne,
		"split, streams": vmdkFile{stream: true, grain: 32768}.inTwo,
	} {
		t.Run(name, func(t *testing.T) {
			if !slices.Contains([]string{"sparse", "stream", "split"}, name) {
				testenv.Part(t, 1, 2)
			}
			t.Parallel()
			imgconform.Run(t, imgconform.Format{
				Write: write, Unit: 512, Sparse: name != "flat", Open: openAs("vmdk"),
				Read: sourceBytes,
			})
		})
	}
}

// TestVMDKOracles: what the writer of these tests writes, and no tool, other readers read
// as this one does: grains and tables of other sizes, and COWD.
func TestVMDKOracles(t *testing.T) {
	testenv.Tool(t, "qemu-img", "vmdkmount")
	content := variantContent(variantSize)
	writers := map[string]func(*testing.T, string, []byte) string{
		"COWD":           vmdkFile{cowd: true, grain: 512}.inTwo,
		"COWD, grains":   vmdkFile{cowd: true, grain: 4096}.inTwo,
		"grains":         vmdkFile{redundant: true, grain: 16 << 10}.inOne,
		"large grains":   vmdkFile{grain: 1 << 20}.inOne,
		"stream, grains": vmdkFile{stream: true, grain: 128 << 10}.inOne,
		"stream":         vmdkFile{stream: true}.inOne,
		"flat":           writeVMDKFlat,
	}
	for n, name := range slices.Sorted(maps.Keys(writers)) {
		t.Run(name, func(t *testing.T) {
			testenv.Part(t, n, 3)
			t.Parallel()
			file := writers[name](t, t.TempDir(), content)
			disks, err := openFile(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			same(t, disks[0], bytes.NewReader(content))
			sameAsQEMU(t, disks[0], file)
			if name != "flat" { // libvmdk reads no extents of different types
				sameAsLibvmdk(t, disks[0], file)
			}
		})
	}
}

// put writes numbers into a file: four bytes at each offset.
func put(b []byte, numbers map[int]uint32) []byte {
	for at, n := range numbers {
		binary.LittleEndian.PutUint32(b[at:], n)
	}
	return b
}

// vmdkCase is files of which the first is opened and read.
type vmdkCase struct {
	files map[string][]byte
	err   error  // nil if it can be read
	text  string // what the error, a note or the hint contains
}

// TestVMDKErrors: what is wrong with an image is an error of its kind that names the file, and
// bounds are as they are documented.
func TestVMDKErrors(t *testing.T) {
	testenv.Sequential(t)
	content := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{3}).Read(content)
	sectors := len(content) / 512
	embedded := vmdkText("monolithicSparse", fmt.Sprintf("%d SPARSE \"disk.vmdk\"", sectors))
	image := func(f vmdkFile, numbers map[int]uint32) map[string][]byte {
		f.text = embedded
		return map[string][]byte{"disk.vmdk": put(f.write(content), numbers)}
	}
	text := func(s string) map[string][]byte {
		return map[string][]byte{"disk.vmdk": []byte(s), "flat.vmdk": content, "sparse.vmdk": vmdkFile{}.write(content)}
	}
	flat := func(extents ...string) map[string][]byte { return text(vmdkText("custom", extents...)) }
	line := fmt.Sprintf("%d FLAT \"flat.vmdk\" 0", sectors)
	good := vmdkText("custom", line)
	small := strings.Split(good, "# The Disk")[0]
	zeros := func(n int) []string { return strings.Split(strings.Repeat("1 ZERO,", n-1)+"1 ZERO", ",") }
	large := func(n int) string { return good + strings.Repeat("#", n-len(good)-1) + "\n" }
	// With the writer: the header, one sector of descriptor, the directory, tables.
	const directory, redundantTable, mainTable = 2 * 512, 3 * 512, 8 * 512
	both := vmdkFile{redundant: true}
	at := func(b map[string][]byte, n int) uint32 { return binary.LittleEndian.Uint32(b["disk.vmdk"][n:]) }
	intact := image(both, nil)
	if at(intact, directory) != redundantTable/512 || at(intact, 7*512) != mainTable/512 {
		t.Fatal("the layout of the writer has changed")
	}
	first := at(intact, mainTable)
	cut := func(files map[string][]byte, name string, size int) map[string][]byte {
		files[name] = files[name][:size]
		return files
	}
	cases := map[string]vmdkCase{
		"intact": {image(both, nil), nil, ""}, "flat": {text(good), nil, ""},
		"zeros":                  {flat(zeros(1024)...), nil, ""},
		"too many extents":       {flat(zeros(1025)...), ErrLimit, "more than 1024"},
		"1 MiB of descriptor":    {text(large(1 << 20)), nil, ""},
		"more than 1 MiB":        {text(large(1<<20 + 1)), ErrLimit, "more than 1048576"},
		"largest":                {flat(line, fmt.Sprint(1<<41-sectors)+" ZERO"), nil, ""},
		"larger":                 {flat(line, fmt.Sprint(1<<41-sectors+1)+" ZERO"), ErrLimit, ""},
		"largest extent":         {flat(line, fmt.Sprint(1<<41+1)+" ZERO"), ErrLimit, ""},
		"no size":                {flat("0 FLAT \"flat.vmdk\" 0"), ErrCorrupt, "0"},
		"a negative size":        {flat("-1 FLAT \"flat.vmdk\" 0"), ErrCorrupt, ""},
		"no file":                {flat("1 FLAT"), ErrCorrupt, "without a file"},
		"no type":                {flat("1"), ErrCorrupt, ""},
		"another type":           {flat("1 SOFT \"flat.vmdk\""), ErrUnsupported, "SOFT"},
		"a device mapping":       {flat("1 VMFSRDM \"flat.vmdk\""), ErrUnsupported, "VMFSRDM"},
		"a partition":            {flat("1 FLAT \"flat.vmdk\" 0 partitionUUID x"), ErrUnsupported, "device"},
		"beyond the file":        {flat(fmt.Sprintf("%d FLAT \"flat.vmdk\" 1", sectors)), ErrCorrupt, "truncated"},
		"far beyond the file":    {flat("1 FLAT \"flat.vmdk\" 2199023255552"), ErrCorrupt, "truncated"},
		"an offset that is none": {flat("1 FLAT \"flat.vmdk\" -1"), ErrCorrupt, ""},
		"sparse within a file":   {flat("1 SPARSE \"sparse.vmdk\" 1"), ErrUnsupported, ""},
		"sparse that is none": {
			flat(fmt.Sprint(sectors) + " SPARSE \"flat.vmdk\""), ErrCorrupt, "not a sparse",
		},
		"sparse of another size": {
			flat(fmt.Sprint(sectors+1) + " SPARSE \"sparse.vmdk\""), ErrCorrupt, "capacity",
		},
		"sparse of a smaller size": {
			flat(fmt.Sprint(sectors-128) + " SPARSE \"sparse.vmdk\""), ErrCorrupt, "capacity",
		},
		"sparse, rounded":        {flat(fmt.Sprint(sectors-127) + " SPARSE \"sparse.vmdk\""), nil, ""},
		"twice":                  {flat(line, line), ErrCorrupt, "used already"},
		"itself":                 {flat("1 FLAT \"disk.vmdk\" 0"), ErrCorrupt, "used already"},
		"missing":                {flat("1 FLAT \"a.vmdk\" 0"), ErrIncomplete, "a.vmdk, missing"},
		"a separator":            {flat("1 FLAT \"./flat.vmdk\" 0"), ErrUnsupported, "not a file in the same"},
		"a folder above":         {flat("1 FLAT \"..\" 0"), ErrUnsupported, "not a file in the same"},
		"a path of Windows":      {flat("1 FLAT \"C:\\flat.vmdk\" 0"), ErrUnsupported, "not a file in the same"},
		"no access":              {text(strings.Replace(good, "RW", "NOACCESS", 1)), ErrIncomplete, "no access"},
		"no extents":             {text(strings.Replace(good, "RW", "#W", 1)), ErrCorrupt, "no extents"},
		"a line of no kind":      {text(strings.Replace(good, "RW", "RX", 1)), ErrCorrupt, "at byte 106: a line"},
		"no CID":                 {text(strings.Replace(good, "\nCID", "\nDIC", 1)), ErrCorrupt, "cid"},
		"a CID that is none":     {text(strings.Replace(good, "1234", "123x", 1)), ErrCorrupt, "cid"},
		"two CIDs":               {text(good + "CID=1\n"), ErrCorrupt, "twice"},
		"version 5":              {text(strings.Replace(good, "=1", "=5", 1)), ErrUnsupported, "version 5"},
		"no version":             {text(strings.Replace(good, "version=1", "", 1)), ErrCorrupt, "version"},
		"a native snapshot":      {text(good + "isNativeSnapshot=\"yes\"\n"), ErrUnsupported, "storage array"},
		"no native snapshot":     {text(good + "isNativeSnapshot=\"no\"\n"), nil, ""},
		"encrypted":              {text(good + "ddb.iofilters = \"vmwarevmcrypt\"\n"), ErrEncrypted, ""},
		"a parent without a CID": {text(good + "parentFileNameHint=\"/x/base.vmdk\"\n"), ErrCorrupt, "base.vmdk"},
		"a parent": {
			text(strings.Replace(good, "ffffffff", "fffffffe", 1)), ErrIncomplete, "not named",
		},
		"one of two numbers": {flat("1 FLAT \"a-f002.vmdk\" 0"), ErrCorrupt, "after number 0"},
		"Windows newlines":   {text(strings.ReplaceAll(good, "\n", "\r\n")), nil, ""},
		"zeros after it":     {text(good + string(make([]byte, 9000))), nil, ""},
		"a byte order mark within it": {
			text(strings.Replace(good, "# Extent", "\xef\xbb\xbf# Extent", 1)), ErrCorrupt, "",
		},
		"a byte order mark before it":          {text("\xef\xbb\xbf" + good), nil, ""},
		"a byte order mark before a small one": {text("\xef\xbb\xbf" + small), nil, ""},
		"a byte order mark before what is damaged": {text("\xef\xbb\xbf" + good + "x"), ErrCorrupt,
			fmt.Sprintf("at byte %d: a line", len(good)+3)},
		"an unknown encoding": {text(good + "encoding=\"x\"\nparentFileNameHint=\"\xe4\"\n" +
			"parentCID=ffffffff\n"), ErrCorrupt, ""},

		"grains of 3 sectors":   {image(both, map[int]uint32{20: 3}), ErrCorrupt, "grain size"},
		"grains of no size":     {image(both, map[int]uint32{20: 0}), ErrCorrupt, "grain size"},
		"grains of 64 MiB":      {image(both, map[int]uint32{20: 1 << 17}), ErrLimit, "more than 33554432"},
		"no capacity":           {image(both, map[int]uint32{12: 0}), ErrCorrupt, "capacity"},
		"a capacity of no disk": {image(both, map[int]uint32{16: 1 << 16}), ErrCorrupt, "byte 12"},
		"another capacity":      {image(both, map[int]uint32{12: 1 << 20}), ErrCorrupt, "capacity"},
		"no entries":            {image(both, map[int]uint32{44: 0}), ErrCorrupt, "0 entries"},
		"too many entries":      {image(both, map[int]uint32{44: 4097}), ErrLimit, "more than 4096"},
		"version 4":             {image(both, map[int]uint32{4: 4}), ErrUnsupported, "version 4"},
		"unknown flags":         {image(both, map[int]uint32{8: 0xb}), ErrUnsupported, "flags 0x8"},
		"markers only":          {image(both, map[int]uint32{8: 0x20003}), ErrUnsupported, "markers"},
		"compression only":      {image(both, map[int]uint32{8: 0x10003}), ErrCorrupt, "compression"},
		"method 2":              {image(both, map[int]uint32{76: 0x20a}), ErrUnsupported, "method 2"},
		"newlines of Unix":      {image(both, map[int]uint32{73: 0x000a200a}), ErrCorrupt, "newlines"},
		"unclean":               {image(vmdkFile{unclean: true}, nil), nil, "not closed cleanly"},
		"a damaged directory": {image(both, map[int]uint32{7 * 512: 1 << 30}), nil,
			"the grain directory at byte 3584 is damaged; the redundant one at byte 1024 is used"},
		"a damaged redundant directory": {image(both, map[int]uint32{directory: 1 << 30}), nil,
			"the redundant grain directory at byte 1024 is damaged and is not used"},
		"both directories": {image(both, map[int]uint32{directory: 1 << 30, 7 * 512: 1 << 30}), ErrCorrupt,
			"at byte 3584: a grain table at byte 549755813888"},
		"a damaged directory, unclean": {image(vmdkFile{redundant: true, unclean: true}, map[int]uint32{7 * 512: 1 << 30}),
			ErrCorrupt, "byte 3584"},
		"one directory, a table in the header": {
			image(vmdkFile{}, map[int]uint32{directory: 1<<32 - 1}), ErrCorrupt, "",
		},
		"a table in the descriptor": {
			image(vmdkFile{}, map[int]uint32{directory: 1}), ErrCorrupt, "at byte 512",
		},
		"a table in the directory": {
			image(vmdkFile{}, map[int]uint32{directory: 2}), ErrCorrupt, "at byte 1024",
		},
		"a table across the end": {
			image(vmdkFile{}, map[int]uint32{directory: uint32(len(content)/512 + 126)}), ErrCorrupt, "",
		},
		"a table of two entries": {
			image(vmdkFile{entries: 8}, map[int]uint32{directory + 4: redundantTable / 512}), ErrCorrupt,
			"the grain directory at byte 1024: the grain tables at bytes 1536 and 1536 overlap",
		},
		"a table of two entries, with its copy": {
			image(vmdkFile{redundant: true, entries: 8}, map[int]uint32{directory + 4: redundantTable / 512}), nil,
			"the redundant grain directory at byte 1024 is damaged and is not used",
		},
		"tables that overlap": {
			image(vmdkFile{grain: 2048, entries: 256}, map[int]uint32{directory: redundantTable/512 + 1}), ErrCorrupt,
			"bytes 2048 and 2560 overlap",
		},
		"a COWD grain in a table": {
			cowdImage(content, map[int]uint32{2560: 5}), ErrCorrupt, "at byte 2560 of a grain table has a grain at byte 2560",
		},
		"a COWD grain up to a table": {
			cowdImage(content, map[int]uint32{2560: 4}), ErrCorrupt, "at byte 2048",
		},
		"a COWD grain before the only table": {
			map[string][]byte{"disk.vmdk": []byte(vmdkText("vmfsSparse", "8192 VMFSSPARSE \"disk-s001.vmdk\"")),
				"disk-s001.vmdk": put(vmdkFile{cowd: true, grain: 512}.write(make([]byte, 4<<20)),
					map[int]uint32{2048: 37, 2052: 0, 37 * 512: 5})}, nil, "",
		},
		"a directory in the header": {
			image(vmdkFile{}, map[int]uint32{56: 0}), ErrCorrupt, "the grain directory at byte 0",
		},
		"a directory in the descriptor": {image(vmdkFile{}, map[int]uint32{56: 1}), ErrCorrupt, "byte 512"},
		"a directory outside":           {image(vmdkFile{}, map[int]uint32{56: 1 << 30}), ErrCorrupt, ""},
		"two directories in one": {
			image(both, map[int]uint32{56: 2}), ErrCorrupt, "the grain directory at byte 1024",
		},
		"different tables": {
			image(both, map[int]uint32{mainTable + 8: first}), ErrCorrupt, "byte 4104 of a grain table contradicts",
		},
		"different directories": {image(both, map[int]uint32{directory: 0}), ErrCorrupt, "in entry 0"},
		"a grain in the header": {
			image(vmdkFile{}, map[int]uint32{redundantTable: 1}), ErrCorrupt, "byte 1536 of a grain table",
		},
		"a grain in the tables": {
			image(vmdkFile{}, map[int]uint32{redundantTable: 3}), ErrCorrupt, "",
		},
		"a grain outside": {
			image(vmdkFile{}, map[int]uint32{redundantTable: 1 << 31}), ErrCorrupt, "",
		},
		"a grain of zeros": {
			image(vmdkFile{zeroed: true}, map[int]uint32{redundantTable: 2}), ErrCorrupt, "",
		},
		"a descriptor outside": {
			image(vmdkFile{}, map[int]uint32{28: 1 << 30}), ErrCorrupt, "the descriptor at byte",
		},
		"a descriptor in the header": {
			image(vmdkFile{}, map[int]uint32{28: 0}), ErrCorrupt, "the descriptor at byte 0",
		},
		"a large descriptor": {
			image(vmdkFile{}, map[int]uint32{28: 8, 36: 2049}), ErrLimit, "1049088 bytes, more than 1048576",
		},
		"no descriptor": {
			image(vmdkFile{}, map[int]uint32{36: 0}), ErrIncomplete, "without the descriptor",
		},
		"an empty descriptor": {
			image(vmdkFile{}, map[int]uint32{512: 0}), ErrIncomplete, "without the descriptor",
		},
		"COWD without descriptor": {
			map[string][]byte{"disk.vmdk": vmdkFile{cowd: true}.write(content)}, ErrIncomplete, "",
		},
		"COWD version 2": {
			cowdImage(content, map[int]uint32{4: 2}), ErrUnsupported, "COWD version 2",
		},
		"COWD with too few tables": {cowdImage(content, map[int]uint32{12: 1 << 20, 16: 1, 24: 255}), ErrCorrupt, "too few"},
		"a grain in the directory": {image(vmdkFile{}, map[int]uint32{64: 0, redundantTable: 2}), ErrCorrupt, "at byte 1024"},
		"COWD unclean": {
			cowdImage(content, map[int]uint32{1648: 1}), nil, "not closed cleanly",
		},
		"COWD inconsistent": {cowdImage(content, map[int]uint32{8: 7}), nil, "not closed cleanly"},
		"a truncated header": {
			cut(intact, "disk.vmdk", 700), ErrCorrupt, "the descriptor at byte 512",
		},
		"a stream without footer": {
			cut(image(vmdkFile{stream: true}, nil), "disk.vmdk", 100*512), ErrCorrupt, "may be truncated",
		},
		"a small stream without footer": {
			cut(image(vmdkFile{stream: true}, nil), "disk.vmdk", 3*512), ErrCorrupt, "footer",
		},
		"a stream whose footer has another size": {
			atEnd(image(vmdkFile{stream: true}, nil), -1024+12, 1), ErrCorrupt, "contradicts",
		},
		"a footer without a directory": {
			atEnd(atEnd(image(vmdkFile{stream: true}, nil), -1024+56, 1<<32-1), -1024+60, 1<<32-1),
			ErrCorrupt, "contradicts",
		},
		"a footer with the wrong magic": {
			atEnd(image(vmdkFile{stream: true}, nil), -1024, 1), ErrCorrupt, "footer",
		},
		"a directory in the footer": {
			atEnd(image(vmdkFile{stream: true}, nil), -1024+56,
				uint32(len(image(vmdkFile{stream: true}, nil)["disk.vmdk"])/512-2)),
			ErrCorrupt, "the grain directory",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := openFile(t.Context(), writeFiles(t, t.TempDir(), "disk.vmdk", c.files))
			if err == nil {
				defer closeAll(t, d)
				_, err = io.Copy(io.Discard, io.NewSectionReader(d[0], 0, min(d[0].Size(), 1<<20)))
			}
			switch {
			case !errors.Is(err, c.err) || c.err == nil && err != nil:
				t.Errorf("%v, want %v", err, c.err)
			case err != nil && (!strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), ".vmdk: ")):
				t.Errorf("%v, want %q", err, c.text)
			case err == nil && !strings.Contains(strings.Join(d[0].Notes(), "; "), c.text):
				t.Errorf("notes %q, want %q", d[0].Notes(), c.text)
			}
		})
	}
}

func cowdImage(content []byte, numbers map[int]uint32) map[string][]byte {
	return map[string][]byte{
		"disk.vmdk":      []byte(vmdkText("vmfsSparse", fmt.Sprintf("%d VMFSSPARSE \"disk-s001.vmdk\"", len(content)/512))),
		"disk-s001.vmdk": put(vmdkFile{cowd: true}.write(content), numbers),
	}
}

// atEnd writes a number at an offset from the end of a file.
func atEnd(files map[string][]byte, at int, n uint32) map[string][]byte {
	b := files["disk.vmdk"]
	put(b, map[int]uint32{len(b) + at: n})
	return files
}

// TestVMDKParent: the parent of a delta is the image with the CID that it states.
func TestVMDKParent(t *testing.T) {
	content := bytes.Repeat([]byte{7}, 1<<20)
	folder := t.TempDir()
	sectors := len(content) / 512
	base := vmdkText("monolithicSparse", fmt.Sprintf("%d SPARSE \"x\"", sectors))
	child := strings.Replace(strings.Replace(base, "ffffffff", "12345678", 1), "\nCID=1", "\nCID=2", 1)
	above := make([]byte, len(content))
	copy(above[70_000:], "changed")
	with := func(text, old, cid string) string { return strings.Replace(text, old, cid, 1) }
	newChild := with(child, "12345678", "fffffffe\nparentFileNameHint=\"/vm/new1.vmdk\"")
	another := bytes.Repeat([]byte{8}, len(content))
	changed := slices.Concat(another[:65536], above[65536:131072], another[131072:])
	files := map[string][]byte{
		"base.vmdk": vmdkFile{text: base}.write(content), "child.vmdk": vmdkFile{text: child}.write(above),
		"other.vmdk":   vmdkFile{text: strings.Replace(base, "CID=1", "CID=3", 1)}.write(content),
		"zeroed.vmdk":  vmdkFile{text: child, zeroed: true}.write(above),
		"raw.vmdk":     content,
		"new.vmdk":     vmdkFile{text: newChild}.write(above),
		"new1.vmdk":    vmdkFile{text: with(base, "CID=12345678", "CID=fffffffe")}.write(another),
		"new2.vmdk":    vmdkFile{text: with(base, "CID=12345678", "CID=fffffffe")}.write(content),
		"ovabase.ova":  tarOf(t, tarFile{"base.vmdk", vmdkFile{text: base}.write(content)}),
		"ovachild.ova": tarOf(t, tarFile{"child.vmdk", vmdkFile{text: child}.write(above)}),
	}
	writeFiles(t, folder, "", files)
	want := bytes.Clone(content)
	copy(want[65536:131072], above[65536:131072])
	for name, c := range map[string]struct {
		image   string
		parents []string
		err     string
		want    []byte
	}{
		"the parent":              {"child.vmdk", []string{"base.vmdk"}, "", want},
		"among others":            {"child.vmdk", []string{"raw.vmdk", "other.vmdk", "base.vmdk"}, "", want},
		"of another CID":          {"child.vmdk", []string{"other.vmdk"}, "its CID is 32345678, not 12345678", nil},
		"not VMDK":                {"child.vmdk", []string{"raw.vmdk"}, "not a VMDK image", nil},
		"grains of zeros":         {"zeroed.vmdk", []string{"base.vmdk"}, "", above},
		"of a CID that many have": {"new.vmdk", []string{"new2.vmdk", "new1.vmdk"}, "", changed},
		"of such a CID, renamed":  {"new.vmdk", []string{"new2.vmdk"}, "", want},
		"of such a CID, of two":   {"new.vmdk", []string{"new2.vmdk", "other.vmdk"}, "none of the parents", nil},
		"in an archive":           {"child.vmdk", []string{"ovabase.ova"}, "", want},
		"of an archive":           {"ovachild.ova", []string{"base.vmdk"}, "", want},
		"of none, in an OVA":      {"ovachild.ova", nil, "was not named", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var parents []string
			for _, p := range c.parents {
				parents = append(parents, filepath.Join(folder, p))
			}
			disks, err := openFile(t.Context(), filepath.Join(folder, c.image), parents...)
			if c.err != "" {
				if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			imgconform.Equal(t, disks[0], c.want)
			if disks[0].Parent() == nil || !strings.HasSuffix(disks[0].Detail(), "differencing") {
				t.Errorf("%v, %s", disks[0].Parent(), disks[0].Detail())
			}
		})
	}
}

// TestVMDKOverlays: an image is a base disk if another one has its CID or its name.
func TestVMDKOverlays(t *testing.T) {
	text := func(cid, parent, name string) string {
		s := strings.Replace(vmdkText("custom", "8 ZERO"), "CID=12345678", "CID="+cid, 1)
		if name != "" {
			name = "parentFileNameHint=\"" + name + "\"\n"
		}
		return strings.Replace(s, "parentCID=ffffffff\n", "parentCID="+parent+"\n"+name, 1)
	}
	inside := func(text string) []byte { return vmdkFile{text: text}.write(make([]byte, 4096)) }
	dir := t.TempDir()
	writeFiles(t, dir, "", map[string][]byte{
		"base.vmdk": []byte(text("11", "ffffffff", "")), "new.vmdk": []byte(text("fffffffe", "ffffffff", "")),
		"a.vmdk": []byte(text("22", "11", "/vm/other.vmdk")), "b.vmdk": inside(text("33", "99", `C:\vm\BASE.vmdk`)),
		"c.vmdk": inside(text("44", "fffffffe", "x.vmdk")), "d.vmdk": inside(text("55", "11", "")),
		"e-s001.vmdk": inside(""), "f-s001.vmdk": inside("\x00"),
		"g-s001.vmdk": vmdkFile{cowd: true}.write(make([]byte, 4096)),
	})
	for base, want := range map[string][]string{
		"base.vmdk": {"a.vmdk", "b.vmdk", "d.vmdk"}, "new.vmdk": nil,
	} {
		if got, more, err := overlaysOf(t, filepath.Join(dir, base)); err != nil || more || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %t, %v; want %q", base, got, more, err, want)
		}
	}
}

// TestVMDKEncoding: names of extents are in the encoding that the descriptor states.
func TestVMDKEncoding(t *testing.T) {
	for _, c := range []struct {
		setting, name, file string
		err                 error
	}{
		{"", "ä.vmdk", "ä.vmdk", nil},
		{"encoding=\"UTF-8\"\n", "ä.vmdk", "ä.vmdk", nil},
		{"encoding=\"windows-1252\"\n", "\xe4.vmdk", "ä.vmdk", nil},
		{"encoding=\"Shift_JIS\"\n", "\x83f\x83B\x83X\x83N.vmdk", "ディスク.vmdk", nil},
		{"encoding=\"GBK\"\n", "\xb4\xc5\xc5\xcc.vmdk", "磁盘.vmdk", nil},
		{"encoding=\"UTF-8\"\n", "\xe4.vmdk", "", ErrCorrupt},
		{"", "\xe4.vmdk", "", ErrCorrupt},
		{"encoding=\"EBCDIC\"\n", "\xe4.vmdk", "", ErrUnsupported},
		{"encoding=\"EBCDIC\"\n", "a.vmdk", "a.vmdk", nil},
	} {
		files := map[string][]byte{"disk.vmdk": []byte(c.setting)}
		text := vmdkText("monolithicFlat", "8 FLAT \""+c.name+"\" 0")
		files["disk.vmdk"] = []byte(strings.Replace(text, "version=1\n", "version=1\n"+c.setting, 1))
		if c.file != "" {
			files[c.file] = make([]byte, 4096)
		}
		disks, err := openFile(t.Context(), writeFiles(t, t.TempDir(), "disk.vmdk", files))
		if !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%q %q: %v, want %v", c.setting, c.name, err, c.err)
		}
		closeAll(t, disks)
	}
}

// TestVMDKAlone: an extent that is given without its descriptor says where that is.
func TestVMDKAlone(t *testing.T) {
	extent, flat := vmdkFile{}.write(make([]byte, 1<<20)), make([]byte, 4096)
	for name, c := range map[string]struct {
		files []string // the first is opened
		b     []byte
		hint  string // "" if it can be read
	}{
		"sparse":        {[]string{"vm-s002.vmdk", "vm.vmdk"}, extent, "name the descriptor instead: "},
		"of a snapshot": {[]string{"vm-000001-s001.vmdk", "vm-000001.vmdk"}, extent, "vm-000001.vmdk"},
		"without descriptor": {
			[]string{"vm-s001.vmdk"}, extent, "copy the descriptor, vm.vmdk, to the same folder",
		},
		"of another name": {[]string{"x.bin"}, extent, "a small text file"},
		"flat, of several": {
			[]string{"vm-f001.vmdk", "vm-f002.vmdk", "vm.vmdk"}, flat, "name the descriptor instead: ",
		},
		"flat, not the first": {[]string{"vm-f002.vmdk"}, flat, "copy the descriptor, vm.vmdk,"},
		"flat, the only one":  {[]string{"vm-f001.vmdk", "vm.vmdk"}, flat, ""},
		"flat":                {[]string{"vm-flat.vmdk", "vm.vmdk"}, flat, ""},
		"SE sparse": {
			[]string{"vm-sesparse.vmdk"}, append([]byte("\xbe\xba\xfe\xca\x00\x00\x00\x00"), flat...), "vm.vmdk",
		},
		"ESX sparse without its end": {[]string{"vm-delta.vmdk"}, append([]byte("COWD"), flat...), "vm.vmdk"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{}
			for _, f := range c.files {
				files[f] = c.b
			}
			disks, err := openFile(t.Context(), writeFiles(t, t.TempDir(), c.files[0], files))
			closeAll(t, disks)
			switch hint := hintOf(err); {
			case c.hint == "" && err != nil:
				t.Error(err)
			case c.hint == "":
			case !errors.Is(err, ErrIncomplete) || !strings.Contains(hint, c.hint):
				t.Errorf("%v: %q", err, hint)
			}
		})
	}
}

// vmdkDamage are images that tools make for TestVMDKDamage.
var vmdkDamage = map[string]maker{
	"sparse": vmdkOf("subformat=monolithicSparse"), "split": vmdkOf("subformat=twoGbMaxExtentSparse"),
	"flat": vmdkOf("subformat=monolithicFlat"), "stream": vmdkOf("subformat=streamOptimized"), "footer": vmdkStream,
	"zeroed": vmdkOf("zeroed_grain=on"), "ova": ovaOf(vmdkStream, "vm.ovf"),
}

// TestVMDKDamage: a damaged image of real tools is an error, or is read; no byte of a
// compressed grain is wrong without an error.
func TestVMDKDamage(t *testing.T) {
	testenv.Tool(t, "qemu-img", "tar", "/usr/bin/python3")
	seeds := 30
	if testenv.Nightly() {
		seeds = 1000
	}
	const size = 2 << 20
	content := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{5})
	rng.Read(content[:300_000])
	rng.Read(content[1<<20 : 1<<20+200_000])
	copy(content[1<<20+50_000:], bytes.Repeat([]byte("text "), 10_000))
	rng.Read(content[size-512:])
	raw := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(raw, content, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, m := range vmdkDamage {
		folder := t.TempDir()
		first, _ := m(t, folder, raw)
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		intact := map[string][]byte{}
		for _, e := range entries {
			if intact[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		refused, raws, failed, read, wrong := 0, 0, 0, 0, 0
		for seed := range seeds {
			rng := rand.New(rand.NewPCG(uint64(seed), 5))
			damaged := entries[rng.IntN(len(entries))].Name()
			b := bytes.Clone(intact[damaged])
			for range 1 + rng.IntN(4) {
				at := rng.IntN(len(b))
				for rng.IntN(4) > 0 && (at > 64<<10 || b[at] == 0) { // where the tables are, and have something
					at = rng.IntN(min(len(b), 16<<10))
				}
				if rng.IntN(6) == 0 {
					at = len(b) - 1 - rng.IntN(min(len(b), 4096))
				}
				for i := range min(1+rng.IntN(8), len(b)-at) {
					b[at+i] = byte(rng.Uint32())
				}
			}
			writeFiles(t, folder, "", map[string][]byte{damaged: b})
			allocated := allocations()
			disks, err := openFile(t.Context(), first)
			switch {
			case err != nil:
				refused++
			case disks[0].Format() == "raw": // the magic is damaged, so it is an image of another kind
				raws++
				closeAll(t, disks)
			default:
				bad, other := readDamaged(t, disks[0], content)
				if bad {
					failed++
				} else {
					read++
				}
				if other {
					wrong++
				}
				if other && (name == "footer" || name == "ova") {
					t.Errorf("%s: seed %d: a wrong byte without an error", name, seed)
				}
				closeAll(t, disks)
			}
			if used := allocated(); used > 128<<20 {
				t.Errorf("%s: seed %d: allocates %d bytes", name, seed, used)
			}
			writeFiles(t, folder, "", map[string][]byte{damaged: intact[damaged]})
		}
		t.Logf("%s: %d damaged: %d refused, %d raw, %d fail when they are read, %d are read, %d of all with other bytes",
			name, seeds, refused, raws, failed, read, wrong)
	}
}

// readDamaged reads a damaged disk, and reports whether a read failed and whether one
// returned other bytes: neither those of the content nor zeros.
func readDamaged(t *testing.T, d Disk, content []byte) (failed, other bool) {
	p := make([]byte, 4096)
	for at := int64(0); at < min(d.Size(), int64(len(content))); at += int64(len(p)) {
		n, err := d.ReadAt(p, at)
		if err != nil && err != io.EOF {
			failed = true
		}
		want := content[at:min(at+int64(n), int64(len(content)))]
		if got := p[:len(want)]; !bytes.Equal(got, want) && bytes.Count(got, []byte{0}) != len(got) {
			other = true
		}
	}
	for at, steps := int64(0), 0; at < d.Size() && steps < 10_000; steps++ {
		start, end := d.Data(at)
		if start < at || end < start || end > d.Size() {
			t.Fatalf("data at %d of %d: %d to %d", at, d.Size(), start, end)
		}
		at = max(end, at+1)
	}
	return failed, other
}

// openFolder opens an image in memory that has several files.
func openFolder(ctx context.Context, files map[string][]byte, first string) ([]Disk, error) {
	var open func(ctx context.Context, name string) (*source.Source, error)
	open = func(ctx context.Context, name string) (*source.Source, error) {
		b, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return source.NewReader(ctx, name, bytes.NewReader(b), int64(len(b))).Section(name, 0, int64(len(b)), open)
	}
	s, err := open(ctx, first)
	if err != nil {
		return nil, err
	}
	return Open(ctx, s, Options{})
}

// FuzzVMDK opens and reads an image of two files.
func FuzzVMDK(f *testing.F) {
	content := make([]byte, 64<<10)
	rand.NewChaCha8([32]byte{}).Read(content[:1000])
	one := vmdkText("monolithicSparse", "128 SPARSE \"disk.vmdk\"")
	for _, w := range []vmdkFile{{}, {redundant: true}, {zeroed: true}, {stream: true}} {
		w.text, w.grain, w.entries = one, 4096, 16
		f.Add(w.write(content), []byte{})
	}
	for kind, w := range map[string]vmdkFile{"SPARSE": {grain: 4096}, "VMFSSPARSE": {cowd: true, grain: 8192}} {
		f.Add([]byte(vmdkText("custom", "128 "+kind+" \"b\"")), w.write(content))
	}
	f.Add([]byte(vmdkText("custom", "64 FLAT \"b\" 64", "9 ZERO")), content)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		disks, err := openFolder(t.Context(), map[string][]byte{"disk.vmdk": a, "b": b}, "disk.vmdk")
		if err == nil {
			readFuzzed(t, disks)
		}
	})
}

// FuzzOVA opens and reads the disks in an archive.
func FuzzOVA(f *testing.F) {
	content := bytes.Repeat([]byte{1}, 2048)
	extent := vmdkFile{stream: true, text: vmdkText("streamOptimized", "4 SPARSE \"x\"")}.write(content)
	f.Add(tarOf(f, tarFile{"vm.ovf", []byte(ovf("a.vmdk", "b.raw"))}, tarFile{"a.vmdk", extent},
		tarFile{"b.raw", content}))
	f.Add(tarOf(f, tarFile{strings.Repeat("long/", 60), nil}, tarFile{"a.vmdk", extent}))
	f.Fuzz(func(t *testing.T, b []byte) {
		disks, err := openFolder(t.Context(), map[string][]byte{"vm.ova": b}, "vm.ova")
		if err == nil {
			readFuzzed(t, disks)
		}
	})
}

func readFuzzed(t *testing.T, disks []Disk) {
	p := make([]byte, 100_000)
	for _, d := range disks {
		for _, at := range []int64{0, d.Size() / 2, d.Size() - 700} {
			n, err := d.ReadAt(p, at)
			if n < len(p) && err == nil {
				t.Errorf("%d of %d bytes at %d of %d without an error", n, len(p), at, d.Size())
			}
			d.Locate(at)
		}
		for at, steps := int64(0), 0; at < d.Size() && steps < 100; steps++ {
			_, end := d.Data(at)
			if end <= at {
				t.Fatalf("data at %d of %d ends at %d", at, d.Size(), end)
			}
			at = end
		}
	}
	closeAll(t, disks)
}

// BenchmarkVMDK reads images of several kinds from front to back and in random places.
func BenchmarkVMDK(b *testing.B) {
	dir := b.TempDir()
	content := bytes.Repeat(variantContent(variantSize), 8)
	text := vmdkText("monolithicSparse", fmt.Sprintf("%d SPARSE \"x\"", len(content)/512))
	for name, image := range map[string][]byte{
		"raw": content, "sparse": vmdkFile{text: text, redundant: true}.write(content),
		"stream": vmdkFile{text: text, stream: true}.write(content),
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, image, 0o666); err != nil {
			b.Fatal(err)
		}
		disks, err := openFile(b.Context(), file)
		if err != nil {
			b.Fatal(err)
		}
		defer disks[0].Close()
		b.Run(name, func(b *testing.B) { benchmarkDisk(b, disks[0]) })
	}
}
