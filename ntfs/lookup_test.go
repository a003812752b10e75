package ntfs

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
)

func TestLookup(t *testing.T) {
	f := small(t).f
	for _, test := range []struct {
		name string
		want string // content
		err  error
	}{
		{"resident", "hello", nil},
		{"RESIDENT", "hello", nil},
		{"rESIDENT", "hello", nil},
		{"Case", "upper", nil},
		{"case", "lower", nil},
		{"CASE", "upper", nil}, // neither is exact: the first by its bytes
		{"program FILES/üNÏCÖDÉ 日本語/𝄞 😀.TXT", "unicode", nil},
		{"deep/elsewhere", "linked", nil},
		{"residen", "", fs.ErrNotExist},
		{"residents", "", fs.ErrNotExist},
		{"resident ", "", fs.ErrNotExist},
		{"resident/x", "", fs.ErrNotExist},
		{"deep/1/x", "", fs.ErrNotExist},
		{"many/a name of some length 1000", "", fs.ErrNotExist},
		{"", "", fs.ErrInvalid},
		{"/", "", fs.ErrInvalid},
		{"/resident", "", fs.ErrInvalid},
		{"resident/", "", fs.ErrInvalid},
		{"./resident", "", fs.ErrInvalid},
		{"deep/../resident", "", fs.ErrInvalid},
		{"deep//1", "", fs.ErrInvalid},
		{"\xFF", "", fs.ErrInvalid},
	} {
		data, err := f.ReadFile(test.name)
		if !errors.Is(err, test.err) || string(data) != test.want {
			t.Errorf("%q: %q, %v", test.name, data, err)
		}
		var path *fs.PathError
		if err != nil && !errors.As(err, &path) {
			t.Errorf("%q: %T", test.name, err)
		}
	}
}

// A directory is looked into by the hashes of its names from a certain size
// on; below, at and above that every name is found, and no other.
func TestManyChildren(t *testing.T) {
	for _, n := range []int{manyChildren - 1, manyChildren, manyChildren + 1, 5000} {
		var b builder
		for i := range n {
			b.add(file{name: manyName(i), parent: recordRoot, data: []byte(manyName(i))})
		}
		f := b.open(t)
		for i := range n {
			if data, err := f.ReadFile(strings.ToUpper(manyName(i))); err != nil || string(data) != manyName(i) {
				t.Fatalf("%d: %q, %v", i, data, err)
			}
		}
		for i := n; i < n+1000; i++ {
			if _, err := f.Stat(manyName(i)); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%d: %v", i, err)
			}
		}
	}
}

func manyName(i int) string {
	return "name " + strings.Repeat(string(rune('a'+i%26)), i%7) + string(rune(0x4E00+i))
}

// What a crafted volume says of names and parents ends in no loop, and hides
// nothing that is asked for by name.
func TestCraftedNames(t *testing.T) {
	var b builder
	dir := b.add(file{name: "dir", parent: recordRoot, dir: true})
	other := b.add(file{name: "other", parent: recordRoot, dir: true})
	b.add(file{name: "twin", parent: dir, data: []byte("1")})
	b.add(file{name: "twin", parent: dir, data: []byte("2")})
	b.add(file{name: "TWIN", parent: dir, data: []byte("3")})
	b.add(file{name: "a/b", parent: dir, data: []byte("slash")})
	b.add(file{name: "..", parent: dir, data: []byte("dots")})
	b.add(file{name: ".", parent: dir, data: []byte("dot")})
	b.add(file{units: []uint16{'x', 0xD800}, parent: dir, data: []byte("high")})
	b.add(file{units: []uint16{0xDC00, 'x'}, parent: dir, data: []byte("low")})
	b.add(file{units: []uint16{0xD800, 0xD834, 0xDD1E}, parent: dir, data: []byte("high and a pair")})
	b.add(file{name: "no such parent", parent: 9999, data: []byte("orphan")})
	b.add(file{name: "parent is a file", parent: dir + 2, data: []byte("orphan")})
	b.add(file{name: "parent of another time", parent: dir, parentSequence: 77, data: []byte("orphan")})
	long := b.add(file{name: "a long name", parent: other, data: []byte("8.3")})
	b.files[long].more = []link{{name: "ALONGN~1", parent: other, dos: true}}
	b.add(file{name: "ONLY.DOS", parent: other, dos: true, data: []byte("dos")})
	// Directories that are their own ancestors, reached and not.
	loop := b.add(file{name: "loop", parent: other, dir: true})
	b.files[loop].more = []link{{name: "again", parent: loop + 1}}
	b.add(file{name: "below", parent: loop, dir: true})
	b.add(file{name: "self", parent: loop + 2, dir: true})
	island := b.add(file{name: "island", parent: loop + 4, dir: true})
	b.add(file{name: "of two", parent: island, dir: true})
	f := b.open(t)

	d := f.Damage()
	if d.Count != 0 || d.Orphans != 4 {
		t.Errorf("%+v", d)
	}
	if !slices.ContainsFunc(d.Notes, func(n string) bool { return strings.HasPrefix(n, "3 names cannot appear") }) ||
		!slices.ContainsFunc(d.Notes, func(n string) bool { return strings.HasPrefix(n, "3 names contain half") }) {
		t.Errorf("%q", d.Notes)
	}
	names := func(dir string) []string {
		list, err := f.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range list {
			names = append(names, d.Name())
		}
		return names
	}
	if got, want := names("dir"), []string{"TWIN", "twin", "twin", "x\uFFFD", "\uFFFDx", "\uFFFD𝄞"}; !slices.Equal(got,
		want) {
		t.Errorf("%q", got)
	}
	if got, want := names("other"), []string{"ONLY.DOS", "a long name", "loop"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]string{
		"dir/TWIN": "3", "dir/x\uFFFD": "high", "dir/\uFFFDX": "low", "dir/\uFFFD𝄞": "high and a pair",
		"other/alongn~1": "8.3", "other/a long name": "8.3", "other/only.dos": "dos",
	} {
		if data, err := f.ReadFile(name); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	// Two records have the name, and the index has one of them.
	if data, err := f.ReadFile("dir/twin"); err != nil || string(data) != "1" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := f.Stat("other/loop/below/again/below/again/below"); err != nil {
		t.Error(err) // a loop can be walked by name, step by step
	}
	totals, err := f.Tree("other")
	if err != nil || totals.Dirs != 2 || totals.Files != 2 || totals.Links != 1 || totals.Size != 6 {
		t.Errorf("%+v, %v", totals, err)
	}
	if totals, err = f.Tree("dir"); err != nil || totals.Files != 8 || totals.Size != 1+1+5+4+3+4+3+15 ||
		totals.Doubtful != 1 || totals.DoubtfulSize != 1 {
		t.Errorf("%+v, %v", totals, err)
	}
	info, err := f.Stat("other/a long name")
	if err != nil || info.Sys().(*Entry).Links != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		ticks uint64
		want  time.Time
	}{
		{0, time.Time{}},
		{1, time.Date(1601, 1, 1, 0, 0, 0, 100, time.UTC)},
		{116444736000000000, time.Unix(0, 0).UTC()},
		{133_800_000_123_456_789, time.Date(2024, 12, 30, 2, 40, 12, 345678900, time.UTC)},
		{2_650_467_743_999_999_999, time.Date(9999, 12, 31, 23, 59, 59, 999999900, time.UTC)},
		{2_650_467_744_000_000_000, time.Time{}},
		{1<<64 - 1, time.Time{}},
	} {
		if got := filetime.Time(test.ticks); !got.Equal(test.want) {
			t.Errorf("%d: %v, want %v", test.ticks, got, test.want)
		}
		if _, err := filetime.Time(test.ticks).MarshalJSON(); err != nil {
			t.Error(err)
		}
	}
}

func TestModes(t *testing.T) {
	for _, test := range []struct {
		tag  uint32
		dir  bool
		want fs.FileMode
	}{
		{0, false, 0o444},
		{0, true, fs.ModeDir | 0o555},
		{TagSymlink, false, fs.ModeSymlink | 0o777},
		{TagSymlink, true, fs.ModeSymlink | 0o777},
		{TagLXSymlink, false, fs.ModeSymlink | 0o777},
		{TagMountPoint, true, fs.ModeIrregular | 0o444},
		{0xA0000019, true, fs.ModeIrregular | 0o444}, // another surrogate
		{TagSocket, false, fs.ModeSocket | 0o444},
		{tagLXFIFO, false, fs.ModeNamedPipe | 0o444},
		{tagLXCharacter, false, fs.ModeDevice | fs.ModeCharDevice | 0o444},
		{tagLXBlock, false, fs.ModeDevice | 0o444},
		{TagWOF, false, 0o444},
		{TagDedup, false, 0o444},
		{TagCloud, true, fs.ModeDir | 0o555},
		{0x9000F01A, false, 0o444},
		{0x80001234, false, fs.ModeIrregular | 0o444},
		{0x80001234, true, fs.ModeDir | 0o555},
	} {
		n := node{tag: test.tag, flags: nodeBase}
		if test.dir {
			n.flags |= nodeDir
		}
		if got := n.mode(); got != test.want {
			t.Errorf("0x%X, directory %v: %v, want %v", test.tag, test.dir, got, test.want)
		}
	}
}

// The index keeps to its limit, whatever the volume holds.
func TestMemoryLimit(t *testing.T) {
	var b builder
	for i := range 20000 {
		b.add(file{name: manyName(i), parent: recordRoot})
	}
	image := b.image()
	f, err := openBytes(image)
	if err != nil {
		t.Fatal(err)
	}
	used := f.index.used.Load()
	t.Logf("%d bytes for 20,000 files", used)
	if used > 20000*(68+24+40)+3*chunkArena {
		t.Errorf("%d bytes", used)
	}
	reader := func() *sectionReader { return &sectionReader{image} }
	for _, limit := range []int64{1, used / 4, used / 2} {
		if _, err := Open(context.Background(), reader(), int64(len(image)),
			Options{Memory: limit, Readers: 1}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "index") {
			t.Errorf("%d: %v", limit, err)
		}
	}
	single, err := Open(context.Background(), reader(), int64(len(image)), Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	used = single.index.used.Load()
	if _, err := Open(context.Background(), reader(), int64(len(image)), Options{Memory: used, Readers: 1}); err != nil {
		t.Error(err)
	}
	if _, err := Open(context.Background(), reader(), int64(len(image)),
		Options{Memory: used - 1, Readers: 1}); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// sectionReader reads from memory.
type sectionReader struct{ b []byte }

func (r *sectionReader) ReadAt(p []byte, off int64) (int, error) { return copy(p, r.b[off:]), nil }

// However many scanners share the pass, the volume is the same.
func TestReaders(t *testing.T) {
	var b builder
	for i := range 9000 {
		b.add(file{name: manyName(i), parent: recordRoot, data: []byte(manyName(i))})
	}
	image := b.image()
	var want []fs.DirEntry
	for _, readers := range []int{1, 2, 3, 8, 100} {
		f, err := Open(context.Background(), &sectionReader{image}, int64(len(image)), Options{Readers: readers})
		if err != nil {
			t.Fatal(err)
		}
		list, err := f.ReadDir(".")
		if err != nil || len(list) != 9000 {
			t.Fatal(len(list), err)
		}
		if want == nil {
			want = list
		}
		for i := range list {
			a, b := want[i].(*dirEntry), list[i].(*dirEntry)
			if a.name != b.name || a.record != b.record {
				t.Fatalf("%d readers: %v, not %v", readers, b, a)
			}
		}
	}
}

// $MFT may be in pieces, and have an attribute list and extension records of
// its own.
func TestMFTInPieces(t *testing.T) {
	for _, extensions := range []int{0, 1, 3} {
		b := builder{scatter: true, mftExtensions: extensions}
		for i := range 2500 {
			b.add(file{name: manyName(i), parent: recordRoot, data: []byte(manyName(i))})
		}
		f := b.open(t)
		if n := len(f.mft.runs); n < 100 {
			t.Errorf("%d runs", n)
		}
		for i := range 2500 {
			if data, err := f.ReadFile(manyName(i)); err != nil || string(data) != manyName(i) {
				t.Fatalf("%d: %q, %v", i, data, err)
			}
		}
		if extensions == 0 {
			continue
		}
		// Without one of them nothing is read as if the rest were all.
		image := b.image()
		for e := range extensions {
			torn := slices.Clone(image)
			torn[b.recordAt(firstExtension+e)+1023] ^= 0x55
			if _, err := openBytes(torn); !errors.Is(err, ErrCorrupt) {
				t.Errorf("extension %d of %d: %v", e, extensions, err)
			}
		}
	}
}

func TestFree(t *testing.T) {
	e := small(t)
	free, err := e.f.Free()
	if err != nil {
		t.Fatal(err)
	}
	file, err := e.f.Open("$Bitmap")
	if err != nil {
		t.Fatal(err)
	}
	s := file.(*File).content.(*stream)
	bits := e.image[s.runs[0].lcn*e.f.disk.clusterSize:][:512]
	// The bit past the last cluster does not count, the last one's does.
	bits[511] &^= 0x80
	if got, err := e.open().Free(); got != free || err != nil {
		t.Error(got, free, err)
	}
	bits[511] ^= 0x40
	if got, err := e.open().Free(); got != free-1024 && got != free+1024 || err != nil {
		t.Error(got, free, err)
	}
	bits[511] ^= 0x40
	clear(bits)
	if got, err := e.open().Free(); got != 4095*1024 || err != nil {
		t.Error(got, err)
	}
	for name, change := range map[string]func(r []byte){
		"short":           func(r []byte) { binary.LittleEndian.PutUint64(find(t, r, typeData, "")[48:], 511) },
		"not initialized": func(r []byte) { binary.LittleEndian.PutUint64(find(t, r, typeData, "")[56:], 511) },
		"free record":     func(r []byte) { r[22] = 0 },
		"no data":         func(r []byte) { find(t, r, typeData, "")[0] = typeVolumeName },
	} {
		e := small(t)
		e.editRecord(recordBitmap, change)
		if _, err := e.open().Free(); !errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVolume(t *testing.T) {
	e := small(t)
	v := e.f.Volume()
	if v.Label != "Small one" || v.Version != "3.1" || v.Dirty || v.Journal.State != JournalEmpty || v.Err != nil ||
		v.SectorSize != 512 || v.ClusterSize != 1024 || v.RecordSize != 1024 || v.Clusters != 4095 ||
		v.Size != 4095*1024+512 {
		t.Errorf("%+v", v)
	}
	e.editRecord(recordVolume, func(r []byte) {
		find(t, r, typeVolumeInformation, "")[24+10] |= volumeDirty
	})
	if v := e.open().Volume(); !v.Dirty {
		t.Errorf("%+v", v)
	}
	e.editRecord(recordVolume, func(r []byte) {
		a := find(t, r, typeVolumeInformation, "")
		binary.LittleEndian.PutUint32(a[16:], 11)
	})
	if v := e.open().Volume(); v.Err == nil || !errors.Is(v.Err, ErrCorrupt) {
		t.Errorf("%+v", v)
	}
}

// restartPage makes a restart page of the given size.
func restartPage(size int, lsn uint64, flags, client uint16) []byte {
	p := make([]byte, size)
	copy(p, "RSTR")
	binary.LittleEndian.PutUint16(p[4:], 30)
	binary.LittleEndian.PutUint16(p[6:], uint16(size/stride+1))
	binary.LittleEndian.PutUint32(p[16:], uint32(size))
	binary.LittleEndian.PutUint32(p[20:], 4096)
	area := (30 + 2*(size/stride+1) + 7) &^ 7
	binary.LittleEndian.PutUint16(p[24:], uint16(area))
	binary.LittleEndian.PutUint64(p[area:], lsn)
	binary.LittleEndian.PutUint16(p[area+12:], client)
	binary.LittleEndian.PutUint16(p[area+14:], flags)
	binary.LittleEndian.PutUint16(p[30:], 0x1234)
	protect(p)
	return p
}

func TestLogState(t *testing.T) {
	log := func(pages ...[]byte) []byte {
		return append(slices.Concat(pages...), make([]byte, logHead)...)[:logHead]
	}
	clean, dirty := restartPage(4096, 10, logIsClean, 0), restartPage(4096, 11, 0, 0)
	torn := slices.Clone(restartPage(4096, 12, logIsClean, 0))
	torn[4095] ^= 1
	ff := slices.Repeat([]byte{0xFF}, logHead)
	almost := slices.Clone(ff)
	almost[70000] = 0
	for _, test := range []struct {
		name string
		head []byte
		want JournalState
	}{
		{"empty", ff, JournalEmpty},
		{"almost empty", almost, JournalCorrupt},
		{"none", nil, JournalCorrupt},
		{"zero", make([]byte, logHead), JournalCorrupt},
		{"clean", log(clean, clean), JournalClean},
		{"no client", log(restartPage(4096, 10, 0, logNoClient)), JournalClean},
		{"not clean", log(dirty, dirty), JournalFailed},
		{"the newer is not clean", log(clean, dirty), JournalFailed},
		{"the newer comes first", log(dirty, clean), JournalFailed},
		{"the newer is clean", log(dirty, restartPage(4096, 12, logIsClean, 0)), JournalClean},
		{"the newer is torn", log(dirty, torn), JournalFailed},
		{"first torn", log(torn, clean), JournalClean},
		{"both torn", log(torn, torn), JournalCorrupt},
		{"pages of 512", log(restartPage(512, 1, logIsClean, 0), restartPage(512, 2, 0, 0)), JournalFailed},
		{"pages of 64 KiB", log(restartPage(65536, 1, 0, 0), restartPage(65536, 2, logIsClean, 0)), JournalClean},
		{"page of 8 KiB at 4 KiB", log(torn, restartPage(8192, 1, logIsClean, 0)), JournalCorrupt},
		{"cut", clean[:4095], JournalCorrupt},
	} {
		if got, _ := parseLog(test.head); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
