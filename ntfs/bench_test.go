package ntfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// imageVar names a large NTFS image for the benchmarks that want one.
const imageVar = "COLDCHECK_BENCH_NTFS"

func openImage(b *testing.B) (*os.File, int64) {
	b.Helper()
	path := os.Getenv(imageVar)
	if path == "" {
		b.Skipf("needs an NTFS image: set %s to its path", imageVar)
	}
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return file, info.Size()
}

func BenchmarkImageOpen(b *testing.B) {
	file, size := openImage(b)
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(context.Background(), file, size, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(f.mft.size)
	}
}

func BenchmarkImageTree(b *testing.B) {
	file, size := openImage(b)
	f, err := Open(context.Background(), file, size, Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t, err := f.Tree(".")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(t.Files), "files")
	}
}

func BenchmarkImageWalkDir(b *testing.B) {
	file, size := openImage(b)
	f, err := Open(context.Background(), file, size, Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = d.Info()
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// generated is a volume without end: it makes its records when they are read,
// a directory and 49 files in it, and again, and then their indexes.
type generated struct {
	head     []byte // what lies before the first of these records
	template []byte
	records  int
	root     []byte // the blocks of the root's index
}

const (
	filesPerDir = 50
	dirBlocks   = 3 // of the index of a directory: two leaves, and one above them
)

func newGenerated(records int) *generated {
	g := &generated{records: records, head: make([]byte, 1024*(builderMFT+filesPerDir))}
	var dirs []testEntry
	for dir := filesPerDir; dir < records; dir += filesPerDir {
		dirs = append(dirs, testEntry{ref: makeReference(uint32(dir), 1), units: utf16Bytes(generatedName(dir)),
			parent: makeReference(recordRoot, 1), namespace: 1, dir: true})
	}
	value, blocks := testIndex(dirs, 400, testBlock/1024)
	g.root = slices.Concat(blocks...)
	copy(g.head, bootSector(int(g.size()/1024)))
	var b builder
	mft := newRecord(recordMFT, recordInUse, 0)
	mft.nonResident(typeData, 0, int64(records), 1024*int64(records),
		encodeRuns([]run{{lcn: builderMFT, n: int64(records)}}))
	bitmap := make([]byte, (filesPerDir+7)/8) // the rest is not needed: no other record is zero
	bitmap[0], bitmap[1] = 1<<recordMFT|1<<recordVolume|1<<recordRoot, 0
	mft.resident(typeBitmap, bitmap)
	b.put(g.head, recordMFT, mft)
	b.put(g.head, recordVolume, newRecord(recordVolume, recordInUse, 0).
		resident(typeVolumeInformation, []byte{0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0}))
	root := newRecord(recordRoot, recordInUse|recordDirectory, 0)
	root.fileName(utf16Bytes("."), recordRoot, 1, 3)
	root.index(value, run{lcn: int64(builderMFT + records), n: int64(len(g.root) / 1024)})
	b.put(g.head, recordRoot, root)
	f := file{name: generatedName(0), data: make([]byte, 300)}
	g.template = f.record(0).end()
	return g
}

// index adds the attributes of an index.
func (w *recordWriter) index(root []byte, blocks run) {
	name := utf16Bytes("$I30")
	w.namedResident(typeIndexRoot, name, root)
	if blocks.n == 0 {
		return
	}
	used := make([]byte, (blocks.n*1024/testBlock+63)/64*8)
	for i := range blocks.n * 1024 / testBlock {
		used[i/8] |= 1 << (i % 8)
	}
	w.namedRuns(typeIndexAllocation, name, 0, blocks.n, 1024*blocks.n, encodeRuns([]run{blocks}))
	w.namedResident(typeBitmap, name, used)
}

func generatedName(record int) string { return fmt.Sprintf("component-%08d.manifest", record) }

// size leaves room behind the records for the indexes, first that of the root.
func (g *generated) size() int64 {
	return 1024*int64(builderMFT+g.records) + int64(len(g.root)) + testBlock*dirBlocks*int64(g.records/filesPerDir)
}

// indexOf makes the index of a directory.
func (g *generated) indexOf(dir int) (root, blocks []byte) {
	var entries []testEntry
	for record := dir + 1; record < min(dir+filesPerDir, g.records); record++ {
		entries = append(entries, testEntry{ref: makeReference(uint32(record), 1), units: utf16Bytes(generatedName(record)),
			parent: makeReference(uint32(dir), 1), namespace: 1, size: 300})
	}
	root, list := testIndex(entries, 400, testBlock/1024)
	return root, slices.Concat(list...)
}

// ReadAt makes whole records only.
func (g *generated) ReadAt(p []byte, off int64) (int, error) {
	if off >= g.size() {
		return 0, io.EOF
	}
	if behind := 1024 * int64(builderMFT+g.records); off >= behind {
		return g.readIndex(p, off-behind)
	}
	n := 0
	if off < int64(len(g.head)) {
		n = copy(p, g.head[off:])
	}
	for ; n+1024 <= len(p); n += 1024 {
		record := int(off+int64(n))/1024 - builderMFT
		r := p[n : n+1024]
		if record%filesPerDir == 0 {
			copy(r, g.directory(record))
			continue
		}
		copy(r, g.template)
		le.PutUint32(r[44:], uint32(record))
		const name = 56 + 72 + 24 // the value of $FILE_NAME
		le.PutUint64(r[name:], uint64(makeReference(uint32(record-record%filesPerDir), 1)))
		for digit, rest := 7, record; rest > 0; digit, rest = digit-1, rest/10 {
			r[name+66+2*(10+digit)] = byte('0' + rest%10)
		}
	}
	return n, nil
}

func (g *generated) directory(record int) []byte {
	f := file{name: generatedName(record), parent: recordRoot, dir: true}
	w := f.record(record)
	root, blocks := g.indexOf(record)
	w.index(root, run{lcn: int64(builderMFT+g.records) + int64(len(g.root)/1024) +
		int64(record/filesPerDir*dirBlocks*testBlock/1024), n: int64(len(blocks) / 1024)})
	return w.end()
}

// readIndex reads within the index of one directory.
func (g *generated) readIndex(p []byte, off int64) (int, error) {
	if off < int64(len(g.root)) {
		return copy(p, g.root[off:]), nil
	}
	off -= int64(len(g.root))
	const size = testBlock * dirBlocks
	_, blocks := g.indexOf(int(off / size * filesPerDir))
	return copy(p, append(blocks, make([]byte, size-len(blocks))...)[off%size:]), nil
}

func TestGenerated(t *testing.T) {
	g := newGenerated(100_000)
	f, err := Open(context.Background(), g, g.size(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Damage(); d.Count != 0 {
		t.Fatalf("%+v", d)
	}
	for _, record := range []int{51, 99, 99_999} {
		name := generatedName(record-record%filesPerDir) + "/" + generatedName(record)
		info, err := f.Stat(name)
		if err != nil || info.Sys().(*Entry).Record != uint64(record) || info.Size() != 300 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	totals, err := f.Tree(".")
	if err != nil || totals.Dirs != 1999 || totals.Files != 1999*49 || totals.Size != 1999*49*300 {
		t.Errorf("%+v, %v", totals, err)
	}
}

// counting counts what is read through it.
type counting struct {
	io.ReaderAt
	reads, bytes atomic.Int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.reads.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.ReaderAt.ReadAt(p, off)
}

// Open reads $MFT once, in large reads. After that adding up reads nothing, and a
// look-up the index of each directory on its way that is not in its record, and
// that once; a listing reads it again where it was not read. Reading a file takes
// a read for its record and one for each of its runs.
func TestReads(t *testing.T) {
	g := newGenerated(100_000)
	c := &counting{ReaderAt: g}
	f, err := Open(context.Background(), c, g.size(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	const blocks = (100_000 + chunkRecords - 1) / chunkRecords
	if reads, n := c.reads.Load(), c.bytes.Load(); reads > blocks+10 || n > 100_000*1024+64<<10 {
		t.Errorf("%d reads of %d bytes", reads, n)
	}
	before := c.reads.Load()
	if _, err := f.Tree("."); err != nil {
		t.Error(err)
	}
	if reads := c.reads.Load() - before; reads != 0 {
		t.Errorf("Tree: %d reads", reads)
	}
	look := func(want int64, names ...string) {
		t.Helper()
		before := c.reads.Load()
		for _, name := range names {
			_, err := f.Stat(name)
			if there := !strings.Contains(name, "nothing"); there != (err == nil) || !there && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if reads := c.reads.Load() - before; reads != want {
			t.Errorf("%q: %d reads, want %d", names, reads, want)
		}
	}
	look(2, generatedName(500), generatedName(550), "nothing", generatedName(600)) // the record of the root, and its index
	look(2, generatedName(500)+"/"+generatedName(501), generatedName(500)+"/nothing")
	before = c.reads.Load()
	if _, err := f.CheckedTree(generatedName(550)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := f.ReadDir(generatedName(550)); err != nil {
			t.Error(err)
		}
	}
	if reads := c.reads.Load() - before; reads != 2 {
		t.Errorf("%d reads", reads)
	}
	e := small(t)
	c = &counting{ReaderAt: bytes.NewReader(e.image)}
	if f, err = Open(context.Background(), c, int64(len(e.image)), Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat("resident"); err != nil { // now the root's index is known
		t.Error(err)
	}
	for name, want := range map[string]int64{"resident": 1, "noise": 2, "sparse": 3} {
		before := c.reads.Load()
		if _, err := f.ReadFile(name); err != nil {
			t.Error(err)
		}
		if reads := c.reads.Load() - before; reads != want {
			t.Errorf("%s: %d reads, want %d", name, reads, want)
		}
	}
}

// Three million files take less than what DefaultMemory allows. A tenth of them,
// which take a tenth, stand for them outside of nightly runs.
func TestThreeMillionFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 40 MiB")
	}
	files, most := 300_000, int64(DefaultMemory/10)
	if testenv.Nightly() {
		files, most = 3_000_000, DefaultMemory
	}
	g := newGenerated(files)
	f, err := Open(context.Background(), g, g.size(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	used := f.index.used.Load()
	if used > most {
		t.Errorf("%d bytes", used)
	}
	t.Logf("%d bytes, %d a file", used, used/int64(files))
}

func BenchmarkOpen(b *testing.B) {
	for _, records := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			g := newGenerated(records)
			b.SetBytes(1024 * int64(records))
			b.ReportAllocs()
			for b.Loop() {
				f, err := Open(context.Background(), g, g.size(), Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(f.index.used.Load())/float64(records), "B/file")
			}
		})
	}
}

func BenchmarkStat(b *testing.B) {
	g := newGenerated(100_000)
	f, err := Open(context.Background(), g, g.size(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	record := 0
	for b.Loop() {
		record = (record+7919)%90_000 + filesPerDir
		if record%filesPerDir == 0 {
			record++
		}
		if _, err := f.Stat(generatedName(record-record%filesPerDir) + "/" + generatedName(record)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTree(b *testing.B) {
	g := newGenerated(100_000)
	f, err := Open(context.Background(), g, g.size(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Tree("."); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadCompressed(b *testing.B) {
	f := small(b).f
	file, err := f.Open("packed/text")
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 40000)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := file.(*File).ReadAt(buf, 0); err != nil {
			b.Fatal(err)
		}
	}
}
