package unixfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
)

const toyInode = 64 // bytes

// toy is a filesystem whose inodes are in a table, and whose directories are in
// memory.
type toy struct {
	table []byte
	dirs  map[uint32][]Dirent[uint32]
	hole  int64 // a place that cannot be read; 0 for none
	fails error // of each read, if not nil
	reads atomic.Int64
	sizes atomic.Int64

	region int64
	blocks map[uint32]int64 // where directories have their entries, which are in no inode
	mu     sync.Mutex
	order  []int64 // of the reads, by their offsets
}

type toyI struct {
	number uint32
	raw    []byte
}

func (i toyI) Number() uint32 { return i.number }
func (i toyI) Mode() uint16   { return binary.LittleEndian.Uint16(i.raw) }

func newToy(inodes int) *toy {
	return &toy{table: make([]byte, inodes*toyInode), dirs: map[uint32][]Dirent[uint32]{}}
}

func (v *toy) inode(number uint32, mode uint16, links uint16, size uint32) {
	b := v.table[number*toyInode:]
	binary.LittleEndian.PutUint16(b, mode)
	binary.LittleEndian.PutUint16(b[2:], links)
	binary.LittleEndian.PutUint32(b[4:], size)
}

func (v *toy) dir(number, parent uint32, entries ...Dirent[uint32]) {
	v.inode(number, ModeDir|0o755, 2, 0)
	v.dirs[number] = append([]Dirent[uint32]{{Inode: parent, Name: []byte("..")}}, entries...)
}

func (v *toy) Root() (toyI, error)            { return v.Read(1) }
func (v *toy) Decode(n uint32, b []byte) toyI { return toyI{n, b} }
func (v *toy) Listable(toyI) error            { return nil }
func (v *toy) Fold(toyI) func([]byte) string  { return nil }
func (v *toy) Target(toyI) ([]byte, error)    { return []byte("target"), nil }
func (v *toy) Content(toyI) (Content, error)  { return nil, nil }
func (v *toy) Describe(i toyI) Description    { return Description{Sys: i} }
func (v *toy) Place(number uint32) (int64, error) {
	if int(number) >= len(v.table)/toyInode {
		return 0, corrupt("inode %d", number)
	}
	return int64(number) * toyInode, nil
}

func (v *toy) Read(number uint32) (toyI, error) {
	if _, err := v.Place(number); err != nil {
		return toyI{}, err
	}
	b := make([]byte, toyInode)
	return toyI{number, b}, v.ReadAt(b, int64(number)*toyInode)
}

func (v *toy) Usable(i toyI) error {
	if i.Mode() == 0 {
		return corrupt("inode %d is free", i.number)
	}
	return nil
}

func (v *toy) ReadAt(p []byte, off int64) error {
	v.reads.Add(1)
	v.sizes.Add(int64(len(p)))
	v.mu.Lock()
	v.order = append(v.order, off)
	v.mu.Unlock()
	if v.fails != nil {
		return v.fails
	}
	if v.hole != 0 && off <= v.hole && v.hole < off+int64(len(p)) {
		return corrupt("a bad sector")
	}
	copy(p, v.table[off:])
	return nil
}

func (v *toy) Entries(dir toyI, visit func(Dirent[uint32])) error {
	for _, d := range v.dirs[dir.number] {
		visit(d)
	}
	return nil
}

func (v *toy) Parent(_ toyI, _ uint32, lost error) (uint32, error) { return 0, lost }
func (v *toy) Fits(Listed[uint32], toyI) error                     { return nil }
func (v *toy) Doubt(toyI, *List[uint32], []byte, bool) error       { return nil }
func (v *toy) Last() uint32                                        { return uint32(len(v.table)/toyInode) - 1 }
func (v *toy) Size() int64                                         { return int64(len(v.table)) }
func (v *toy) Region() int64                                       { return v.region }
func (v *toy) Lost() uint8                                         { return 1 }
func (v *toy) Tables(reserve func(int64) error) (list []Stretch, err error) {
	for at := int64(0); at < v.Size(); at += 4096 {
		list = append(list, Stretch{At: at, Size: min(4096, v.Size()-at), Item: uint32(at / toyInode)})
	}
	return list, reserve(24 * int64(len(list)))
}

func (v *toy) Table(w *Scanner[uint32, struct{}], t Stretch, b []byte) error {
	for n := t.Item; len(b) > 0; n, b = n+1, b[toyInode:] {
		if i := (toyI{n, b[:toyInode]}); i.Mode() != 0 {
			if err := v.add(w, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *toy) add(w *Scanner[uint32, struct{}], i toyI) error {
	if err := w.Add(i.number, Counted{
		Mode: i.Mode(), Links: uint32(binary.LittleEndian.Uint16(i.raw[2:])),
		Size:      uint64(binary.LittleEndian.Uint32(i.raw[4:])),
		Allocated: 1,
	}); err != nil || i.Mode()&ModeType != ModeDir {
		return err
	}
	dir := w.AddDir(i.number, struct{}{})
	if at, ok := v.blocks[i.number]; ok {
		return w.AddBlocks(dir, 0, at, toyInode)
	}
	for _, d := range v.dirs[i.number] {
		w.AddEntry(dir, d)
	}
	return nil
}

func (v *toy) Named(w *Scanner[uint32, struct{}], number uint32, i toyI, err error) error {
	if err != nil {
		return w.AddDamaged(number, 2)
	}
	return v.add(w, i)
}

func (v *toy) Blocks(w *Scanner[uint32, struct{}], _ struct{}, t Stretch, _ []byte) error {
	for number, at := range v.blocks {
		if at == t.At {
			for _, d := range v.dirs[number] {
				w.AddEntry(t.Item, d)
			}
		}
	}
	return nil
}

func (v *toy) fs() *FS[uint32, toyI] {
	return New[uint32, toyI](v, Config{InodeSize: toyInode, Window: toyInode})
}

func (v *toy) index(l Limits) (*Index[uint32], error) {
	if l.Readers == 0 {
		l.Readers = 4
	}
	return BuildIndex[uint32, toyI, struct{}](v.fs(), v, l)
}

// full makes a volume whose root has files of 1 byte with the numbers from 100 on,
// with gaps between them.
func full(files, gap int) *toy {
	v := newToy(100 + files*gap)
	var entries []Dirent[uint32]
	for k := range files {
		n := uint32(100 + k*gap)
		v.inode(n, ModeRegular|0o644, 1, 1)
		entries = append(entries, Dirent[uint32]{Inode: n, Kind: 1, Name: fmt.Appendf(nil, "file %06d", k)})
	}
	v.dir(1, 1, entries...)
	return v
}

// Inodes near each other are read together, and those far from each other are not.
func TestBatches(t *testing.T) {
	for _, test := range []struct {
		gap, reads int // of 1,000 inodes of 64 bytes each
	}{
		{1, 1},
		{inodeRead / toyInode / 100, 10},   // 100 of them in a read
		{inodeGap/toyInode + 1, 1000 / 16}, // as far as a gap may be
		{inodeGap/toyInode + 2, 1000},      // farther
	} {
		v := full(1000, test.gap)
		f := v.fs()
		if _, err := f.Stat("stat", "file 000000", true); err != nil { // the root is read then
			t.Fatal(err)
		}
		before := v.reads.Load()
		list, err := f.ReadDir(".")
		if err != nil || len(list) != 1000 {
			t.Fatalf("%d files: %v", len(list), err)
		}
		// The root itself is one more, and the last batch may be a small one.
		if got := int(v.reads.Load()-before) - 1; got < test.reads || got > test.reads+2+test.reads/8 {
			t.Errorf("%d apart: %d reads, want about %d", test.gap, got, test.reads)
		}
	}
}

// A sector that cannot be read costs the inode in it and no other; a disk that
// fails is an error of the listing.
func TestBatchDamage(t *testing.T) {
	v := full(1000, 1)
	v.hole = 500*toyInode + 3
	list, err := v.fs().ReadDir(".")
	if err != nil || len(list) != 1000 {
		t.Fatalf("%d files: %v", len(list), err)
	}
	for k, e := range list {
		if _, err := e.Info(); (err != nil) != (100+k == 500) || err != nil && !errors.Is(err, kind.Corrupt) {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
	v = full(10, 1)
	f := v.fs()
	if _, err := f.ReadDir("."); err != nil {
		t.Fatal(err)
	}
	v.fails = errors.New("the disk fails")
	if _, err := f.ReadDir("."); !errors.Is(err, v.fails) {
		t.Error(err)
	}
}

// Totals are right with hard links, damaged inodes and loops.
func TestTotals(t *testing.T) {
	v := newToy(200)
	entry := func(n uint32, name string) Dirent[uint32] { return Dirent[uint32]{Inode: n, Name: []byte(name)} }
	v.dir(1, 1, entry(2, "dir"), entry(10, "a"), entry(10, "b"), entry(11, "link"), entry(12, "free"),
		entry(500, "beyond"))
	v.dir(2, 1, entry(1, "loop"), entry(10, "c"), entry(13, "d"))
	v.inode(10, ModeRegular, 3, 100)
	v.inode(11, ModeSymlink, 1, 7)
	v.inode(13, ModeRegular, 1, 1<<30)
	x, err := v.index(Limits{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	want := Totals{Files: 3, Dirs: 1, Size: 100 + 1<<30, Allocated: 5, Links: 2, Symlinks: 1, Damaged: 3}
	if got := x.Tree(1); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := x.Tree(13); got != (Totals{Files: 1, Size: 1 << 30, Allocated: 1}) {
		t.Errorf("one file: %+v", got)
	}
	list, count := x.Damaged(1)
	if count != 2 || len(list) != 1 || list[0] != (Damaged[uint32]{12, 2}) {
		t.Errorf("damaged: %v, %d", list, count)
	}
}

// The directories of a region are read before the inodes of the next one, and those
// that are elsewhere in the end. The totals are the same.
func TestRegions(t *testing.T) {
	const table = 4096
	inodes := uint32(8 * table / toyInode)
	for _, region := range []int64{0, 1, table - 1, table, 2 * table, 8 * table, 1 << 40} {
		v := newToy(int(inodes))
		v.region, v.blocks = region, map[uint32]int64{}
		var top []Dirent[uint32]
		files := int64(0)
		for n := uint32(10); n < inodes-3; n += 20 {
			place := []uint32{n + 3, n + 3, inodes - 2, 5}[n/20%4] // near, near, at the end, at the begin
			v.dir(n, 1, Dirent[uint32]{Inode: n + 1, Name: []byte("file")})
			v.blocks[n] = int64(place)*toyInode + int64(n) // as if it had room for all
			v.inode(n+1, ModeRegular, 1, n)
			top = append(top, Dirent[uint32]{Inode: n, Name: fmt.Appendf(nil, "%d", n)})
			files++
		}
		v.dir(1, 1, top...)
		x, err := v.index(Limits{Memory: 1 << 20, Readers: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Tree(1); got.Files != files || got.Dirs != files || got.Damaged != 0 {
			t.Errorf("regions of %d bytes: %+v", region, got)
		}
		if o := v.order; region == 2*table && (o[0] != 0 || o[1] >= region || o[2] != region) {
			t.Errorf("the folders before byte %d are not read before the inodes there: %d", region, o)
		}
	}
}

// An index of many entries is complete, and needs the memory that it reserves: with
// a byte less it fails, and gives back what it took.
func TestMemory(t *testing.T) {
	v := full(3*entryList+1, 1)
	var held, most atomic.Int64
	reserve := func(n int64) error {
		most.Store(max(most.Load(), held.Add(n)))
		return nil
	}
	x, err := v.index(Limits{Memory: 1 << 30, Readers: 1, Reserve: reserve})
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Tree(1); got.Files != 3*entryList+1 || got.Damaged != 0 {
		t.Errorf("%+v", got)
	}
	need := most.Load()
	for memory, fits := range map[int64]bool{need - 1: false, need: true, need + 1: true} {
		held.Store(0)
		_, err := v.index(Limits{Memory: memory, Readers: 1, Reserve: reserve})
		if fits && err != nil || !fits && (!errors.Is(err, kind.Unsupported) || held.Load() != 0) {
			t.Errorf("%d bytes of %d: %v, %d held", memory, need, err, held.Load())
		}
	}
}

// A directory can be reached through its parent only.
func TestDirectoryOfTwo(t *testing.T) {
	v := newToy(20)
	v.dir(1, 1, Dirent[uint32]{Inode: 2, Name: []byte("a")}, Dirent[uint32]{Inode: 3, Name: []byte("b")})
	v.dir(2, 1, Dirent[uint32]{Inode: 4, Name: []byte("x")})
	v.dir(3, 1, Dirent[uint32]{Inode: 4, Name: []byte("x")})
	v.dir(4, 2)
	f := v.fs()
	if _, err := f.ReadDir("a/x"); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadDir("b/x"); !errors.Is(err, kind.Corrupt) {
		t.Errorf("a directory of another parent: %v", err)
	}
	if _, err := f.Stat("stat", "a/none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
