package ntfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// Files whose content is elsewhere are listed with their true size, and
// refused by name when they are read.
func TestRefusedContent(t *testing.T) {
	e := small(t)
	e.edit("wof", func(r []byte) { find(t, r, typeReparsePoint, "")[24+8+4] = 1 })
	f := e.open()
	for _, test := range []struct {
		name   string
		size   int64
		tag    uint32
		says   string
		refuse bool
		mode   fs.FileMode
	}{
		{"wof", 12345, TagWOF, "WOF: unsupported: the content is in a WIM file", true, 0o444},
		{"dedup", 5000, TagDedup, "deduplication (reparse tag 0x80000013)", true, 0o444},
		{"cloud", 5000, 0x9000601A, "cloud file (reparse tag 0x9000601A)", true, 0o444},
		{"hydrated", 2000, 0x9000601A, "", false, 0o444},
		{"unknown", 0, 0x8000BEEF, "", false, fs.ModeIrregular | 0o444},
	} {
		info, err := f.Stat(test.name)
		if err != nil {
			t.Error(err)
			continue
		}
		e := info.Sys().(*Entry)
		if info.Size() != test.size || e.ReparseTag != test.tag || e.WOF != (test.tag == TagWOF) || info.Mode() != test.mode {
			t.Errorf("%s: %v %+v", test.name, info.Mode(), e)
		}
		data, err := f.ReadFile(test.name)
		if !test.refuse {
			if err != nil || int64(len(data)) != test.size {
				t.Errorf("%s: %d bytes, %v", test.name, len(data), err)
			}
			continue
		}
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if data, err := readStream(f, "wof", "WofCompressedData"); err != nil || len(data) != 500 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// A file encrypted by EFS is refused, and so are its streams.
func TestEncrypted(t *testing.T) {
	e := small(t)
	e.edit("text", func(r []byte) {
		find(t, r, typeData, "")[13] |= attrEncrypted >> 8
		find(t, r, typeStandardInformation, "")[24+33] |= attributeEncrypted >> 8
	})
	f := e.open()
	info, err := f.Stat("text")
	if err != nil || !info.Sys().(*Entry).Encrypted || info.Size() != 1000 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := f.ReadFile("text"); !errors.Is(err, ErrEncrypted) || errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	file, err := f.Open("text")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, ErrEncrypted) {
		t.Error(err)
	}
}

// Where the runs of a file are wrong, nothing of it is made up.
func TestCorruptRuns(t *testing.T) {
	testenv.Sequential(t)
	pairs := func(a []byte) []byte { return a[binary.LittleEndian.Uint16(a[32:]):] }
	put64 := func(a []byte, at int, v uint64) { binary.LittleEndian.PutUint64(a[at:], v) }
	for _, test := range []struct {
		name, file string
		change     func(a []byte)
		want       error
		says       string
	}{
		{"no runs", "text", func(a []byte) { clear(pairs(a)) }, ErrCorrupt, "runs end at cluster 0, not 1"},
		{"no end", "noise", func(a []byte) {
			for p := pairs(a); len(p) > 0; p = p[1:] {
				p[0] = 0x01
			}
		}, ErrCorrupt, "run"},
		{"too short for the size", "noise", func(a []byte) { put64(a, 48, 7000) }, ErrCorrupt,
			"runs of 6 clusters for 7000 bytes"},
		{"highest VCN too low", "noise", func(a []byte) { put64(a, 24, 4) }, ErrCorrupt, "runs end at cluster 6, not 5"},
		{"highest VCN too high", "noise", func(a []byte) { put64(a, 24, 9) }, ErrCorrupt, "runs end at cluster 6, not 10"},
		{"lowest VCN not 0", "noise", func(a []byte) { put64(a, 16, 1) }, ErrCorrupt, "begins at cluster 1, not 0"},
		{"past the volume", "noise", func(a []byte) { copy(pairs(a), "\x21\x06\xFE\x7F\x00") }, ErrCorrupt,
			"run of 6 clusters at cluster 32766 of 4095"},
		{"at the end of the volume", "noise", func(a []byte) { copy(pairs(a), "\x21\x06\xFA\x0F\x00") }, ErrCorrupt,
			"run of 6 clusters at cluster 4090 of 4095"},
		{"before the volume", "noise", func(a []byte) { copy(pairs(a), "\x11\x06\xFF\x00") }, ErrCorrupt, "at cluster -1"},
		{"length of 0", "noise", func(a []byte) { copy(pairs(a), "\x11\x00\x01\x00") }, ErrCorrupt, "run of 0 clusters"},
		{"length below 0", "noise", func(a []byte) { copy(pairs(a), "\x11\xFF\x01\x00") }, ErrCorrupt, "run of -1 clusters"},
		{"no length", "noise", func(a []byte) { copy(pairs(a), "\x10\x01\x00") }, ErrCorrupt, "lengths of 0 and 1 bytes"},
		{"length of 9 bytes", "noise", func(a []byte) { copy(pairs(a), "\x19\x01\x00") }, ErrCorrupt,
			"lengths of 9 and 1 bytes"},
		{"distance of 9 bytes", "noise", func(a []byte) { copy(pairs(a), "\x91\x01\x00") }, ErrCorrupt,
			"lengths of 1 and 9 bytes"},
		{"pairs in the header", "noise", func(a []byte) { a[32] = 8 }, ErrCorrupt, "attribute that does not fit"},
		{"pairs behind the end", "noise", func(a []byte) { a[33] = 8 }, ErrCorrupt, "attribute that does not fit"},
		{"negative size", "noise", func(a []byte) { put64(a, 48, 1<<63) }, ErrCorrupt, "attribute that does not fit"},
		{"compression method 2", "packed/text", func(a []byte) { a[12] = 2 }, ErrUnsupported, "compression method 2"},
		{"compressed without a unit", "packed/text", func(a []byte) { a[34] = 0 }, ErrCorrupt, "without a compression unit"},
		{"units of 128 KiB", "packed/text", func(a []byte) { a[34] = 7 }, ErrUnsupported, "compression unit of 2^7 clusters"},
		{"units of 2^200", "packed/text", func(a []byte) { a[34] = 200 }, ErrUnsupported,
			"compression unit of 2^200 clusters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := small(t)
			e.edit(test.file, func(r []byte) { test.change(find(t, r, typeData, "")) })
			f := e.open()
			_, err := f.ReadFile(test.file)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %v: …%s", err, test.want, test.says)
			}
			if totals, err := f.Tree("."); err != nil || totals.Files == 0 {
				t.Error(err)
			}
		})
	}
}

// Bytes past the initialized size are zero, whatever the clusters hold.
func TestInitializedSize(t *testing.T) {
	e := small(t)
	want := readAll(t, e.f, "noise")
	for _, size := range []int{0, 1, 1023, 1024, 1025, 4000, 5999, 6000, 6001} {
		e := small(t)
		e.edit("noise", func(r []byte) {
			binary.LittleEndian.PutUint64(find(t, r, typeData, "")[56:], uint64(size))
		})
		want := bytes.Clone(want)
		clear(want[min(size, len(want)):])
		if got := readAll(t, e.open(), "noise"); !bytes.Equal(got, want) {
			t.Errorf("%d: differs", size)
		}
	}
	want = readAll(t, e.f, "packed/mixed")
	e.edit("packed/mixed", func(r []byte) { binary.LittleEndian.PutUint64(find(t, r, typeData, "")[56:], 17000) })
	clear(want[17000:])
	if got := readAll(t, e.open(), "packed/mixed"); !bytes.Equal(got, want) {
		t.Error("packed/mixed differs")
	}
}

func readAll(t testing.TB, f *FS, name string) []byte {
	t.Helper()
	data, err := f.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A compressed file reads the same in every order, and from several
// goroutines at once.
func TestConcurrentReads(t *testing.T) {
	files, compact := small(t).f, edit(t, wofImage(t)).f
	for _, name := range []string{"packed/mixed", "scattered", "sparse", "XPRESS4K/mixed", "LZX/mixed"} {
		f := files
		if strings.Contains(name, "X") {
			f = compact
		}
		want := readAll(t, f, name)
		opened, err := f.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		file := opened.(*File)
		var done sync.WaitGroup
		for start := range 8 {
			done.Go(func() {
				buf := make([]byte, 1000)
				for at := start * 731; at < len(want); at += 5003 {
					n, err := file.ReadAt(buf, int64(at))
					if err != nil && err != io.EOF || !bytes.Equal(buf[:n], want[at:at+n]) {
						t.Errorf("%s: at %d: %v", name, at, err)
						return
					}
				}
			})
		}
		done.Wait()
	}
}

func TestFile(t *testing.T) {
	f := small(t).f
	opened, err := f.Open("TEXT")
	if err != nil {
		t.Fatal(err)
	}
	file := opened.(*File)
	if file.Size() != 1000 {
		t.Error(file.Size())
	}
	if info, err := file.Stat(); err != nil || info.Name() != "TEXT" || info.Size() != 1000 {
		t.Errorf("%v, %v", info, err)
	}
	if at, err := file.Seek(-10, io.SeekEnd); at != 990 || err != nil {
		t.Error(at, err)
	}
	if rest, err := io.ReadAll(file); len(rest) != 10 || err != nil {
		t.Error(len(rest), err)
	}
	if at, err := file.Seek(-1000, io.SeekCurrent); at != 0 || err != nil {
		t.Error(at, err)
	}
	for _, bad := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {0, 7}, {-2000, io.SeekEnd}} {
		if _, err := file.Seek(bad.offset, bad.whence); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	buf := make([]byte, 20)
	if n, err := file.ReadAt(buf, 990); n != 10 || err != io.EOF {
		t.Error(n, err)
	}
	if n, err := file.ReadAt(buf, 1000); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if _, err := file.ReadAt(buf, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	file.Close()
	if _, err := file.Read(buf); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if _, err := file.Stat(); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if _, err := f.ReadFile("packed"); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
}

func TestStreams(t *testing.T) {
	f := small(t).f
	want := []Stream{{Name: "Zone.Identifier", Size: 26}, {Name: "more", Size: 3000, Allocated: 3072}}
	got, err := f.Streams("streams")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if data, err := readStream(f, "streams", "zone.IDENTIFIER"); err != nil ||
		string(data) != "[ZoneTransfer]\r\nZoneId=3\r\n" {
		t.Errorf("%q, %v", data, err)
	}
	if data, err := readStream(f, "links", "stream"); err != nil || string(data) != "of a directory" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := f.OpenStream("streams", "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := f.OpenStream("links", ""); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if list, err := f.Streams("text"); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := f.Streams("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// ReadFile's limit: the largest file is read, one byte more is refused.
func TestReadFileLimit(t *testing.T) {
	for _, size := range []uint64{MaxReadFile - 1, MaxReadFile, MaxReadFile + 1, 1 << 62} {
		e := small(t)
		clusters := (min(size, MaxReadFile+1) + 1023) / 1024
		e.edit("sparse", func(r []byte) { // one hole
			a := find(t, r, typeData, "")
			binary.LittleEndian.PutUint64(a[24:], clusters-1)
			binary.LittleEndian.PutUint64(a[48:], size)
			p := a[binary.LittleEndian.Uint16(a[32:]):]
			clear(p)
			p[0] = 0x04
			binary.LittleEndian.PutUint32(p[1:], uint32(clusters))
		})
		f := e.open()
		data, err := f.ReadFile("sparse")
		switch {
		case size > MaxReadFile && size < 1<<40:
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%d: %v", size, err)
			}
			// It can still be read in pieces.
			file, err := f.Open("sparse")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := file.(*File).ReadAt(make([]byte, 10), int64(size)-5); n != 5 || err != io.EOF {
				t.Error(n, err)
			}
		case size > MaxReadFile:
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d: %v", size, err)
			}
		case err != nil || uint64(len(data)) != size:
			t.Errorf("%d: %d bytes, %v", size, len(data), err)
		}
	}
}

func TestReparse(t *testing.T) {
	f := small(t).f
	for _, test := range []struct {
		name string
		want Reparse
		link string
	}{
		{"junction", Reparse{Tag: TagMountPoint, Substitute: `\??\C:\Program Files`, Print: `C:\Program Files`},
			`C:\Program Files`},
		{"symlink", Reparse{Tag: TagSymlink, Substitute: "resident", Print: "resident", Relative: true}, "resident"},
		{"unknown", Reparse{Tag: 0x8000BEEF}, ""},
	} {
		r, err := f.Reparse(test.name)
		if err != nil {
			t.Error(err)
		}
		r.Data = nil
		if diff := cmp.Diff(test.want, r); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		link, err := f.ReadLink(test.name)
		if test.link == "" && !errors.Is(err, fs.ErrInvalid) || link != test.link {
			t.Errorf("%s: %q, %v", test.name, link, err)
		}
	}
	if _, err := f.Reparse("text"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := f.ReadLink("text"); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if _, err := f.ReadLink("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// What lies beyond a link is not said to be absent.
	for _, name := range []string{"junction/x", "symlink/x/y"} {
		if _, err := f.Stat(name); !errors.Is(err, ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.ReadDir("junction"); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	// Nothing of its own is in a junction.
	if totals, err := f.Tree("junction"); err != nil || totals != (Totals{Reparse: 1}) {
		t.Errorf("%+v, %v", totals, err)
	}
}

func TestParseReparse(t *testing.T) {
	link := linkReparse(TagSymlink, `\??\C:\a`, `C:\a`, false)
	cut := func(n int) []byte { return link[:n] }
	long := func(at int, v byte) []byte { b := bytes.Clone(link); b[8+at] = v; return b }
	for _, test := range []struct {
		name  string
		value []byte
		want  error
	}{
		{"whole", link, nil},
		{"empty", nil, ErrCorrupt},
		{"header cut", cut(7), ErrCorrupt},
		{"data cut", cut(len(link) - 1), ErrCorrupt},
		{"no names", reparseData(TagSymlink, make([]byte, 12)), nil},
		{"names' header cut", reparseData(TagSymlink, make([]byte, 11)), ErrCorrupt},
		{"junction's header cut", reparseData(TagMountPoint, make([]byte, 7)), ErrCorrupt},
		{"name beyond the end", long(0, 200), ErrCorrupt},
		{"name too long", long(2, 200), ErrCorrupt},
		{"name of odd length", long(2, 3), ErrCorrupt},
		{"print name beyond the end", long(5, 0xFF), ErrCorrupt},
		{"GUID missing", reparseData(0x00001234, []byte("data")), ErrCorrupt},
		{"GUID", append(reparseData(0x00001234, nil), make([]byte, 16)...), nil},
		{"WSL link", reparseData(TagLXSymlink, []byte("\x02\x00\x00\x00/etc/\xFF")), nil},
		{"WSL link cut", reparseData(TagLXSymlink, []byte("\x02\x00")), ErrCorrupt},
	} {
		r, err := parseReparse(test.value)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if test.name == "WSL link" && (r.Substitute != "/etc/\uFFFD" || r.Relative) {
			t.Errorf("%+v", r)
		}
	}
}

func TestLZNT1(t *testing.T) {
	spaces := bytes.Repeat([]byte{' '}, 4096)
	for _, test := range []struct {
		name string
		src  string
		n    int // of dst
		want []byte
		err  string
	}{
		{"empty", "", 10, nil, ""},
		{"end", "\x00\x00garbage", 10, nil, ""},
		// The examples of libfsntfs' description of the format, the last
		// token of the second put right.
		{"spaces", "\x03\xB0\x02\x20\xFC\x0F", 4096, spaces, ""},
		{"text", "\x1E\xB0\x00#include\x00 <ntfs.h\x04>\n\x07\x88stdio\x01\x01\x48", 4096,
			[]byte("#include <ntfs.h>\n#include <stdio.h>\n"), ""},
		{"two chunks", "\x03\xB0\x02\x20\xFC\x0F\x03\xB0\x02\x20\xFC\x0F", 8192, append(spaces, spaces...), ""},
		{"short chunk and another", "\x01\xB0\x00a\x01\xB0\x00b", 8192,
			append(append([]byte{'a'}, make([]byte, 4095)...), 'b'), ""},
		{"stored", "\x03\x30abcd", 10, []byte("abcd"), ""},
		{"more than is wanted", "\x03\xB0\x02\x20\xFC\x0F\x03\xB0\x02\x20\xFC\x0F", 4096, spaces, ""},
		{"signature", "\x03\xA0\x02\x20\xFC\x0F", 4096, nil, "signature"},
		{"chunk cut", "\x03\xB0\x02\x20\xFC", 4096, nil, "where 3 are left"},
		{"header cut", "\x03", 4096, nil, ""},
		{"token cut", "\x02\xB0\x02\x20\xFC", 4096, nil, "inside a token"},
		{"token before the start", "\x02\xB0\x01\x00\x10", 4096, nil, "reaches 2 bytes back after 0"},
		{"token too far back", "\x03\xB0\x02\x20\x00\x10", 4096, nil, "reaches 2 bytes back after 1"},
		{"token too long", "\x03\xB0\x02\x20\xFD\x0F", 4096, nil, "more than 4096"},
		{"literals too many", "\x05\xB0\x02\x20\xFC\x0Fab", 4096, nil, "more than 4096"},
		{"stored too long", "\x03\x30abcd", 3, nil, "for 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dst := bytes.Repeat([]byte{'x'}, test.n)
			err := decompressLZNT1(dst, []byte(test.src))
			if test.err != "" {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want …%s…", err, test.err)
				}
				return
			}
			want := make([]byte, test.n)
			copy(want, test.want)
			if err != nil || !bytes.Equal(dst, want) {
				t.Errorf("%q, %v", bytes.TrimRight(dst, "\x00"), err)
			}
		})
	}
}

// Compressed data that is wrong is an error, not other data.
func TestCorruptUnit(t *testing.T) {
	e := small(t)
	opened, err := e.f.Open("packed/text")
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*File).content.(*stream)
	at := s.runs[0].lcn * e.f.disk.clusterSize
	e.image[at+1] ^= 0x70 // the chunk's signature
	f := e.open()
	if _, err := f.ReadFile("packed/text"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	file, err := f.Open("packed/text")
	if err != nil {
		t.Fatal(err)
	}
	// The second unit is whole.
	if _, err := file.(*File).ReadAt(make([]byte, 100), 16<<10); err != nil {
		t.Error(err)
	}

	// A hole before the end of a unit.
	for _, runs := range [][]run{
		{{0, hole, 4}, {4, 100, 12}},
		{{0, 100, 4}, {4, hole, 4}, {8, 200, 8}},
	} {
		s := &stream{disk: e.f.disk, runs: runs, clusters: 16, size: 16 << 10, initialized: 16 << 10, unit: 16}
		if err := s.readAt(make([]byte, 10), 0); !errors.Is(err, ErrCorrupt) ||
			!strings.Contains(err.Error(), "hole before its end") {
			t.Error(err)
		}
	}
	s = &stream{disk: e.f.disk, runs: []run{{0, 100, 8}}, clusters: 8, size: 8 << 10, initialized: 8 << 10, unit: 16}
	if err := s.readAt(make([]byte, 10), 0); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "end inside") {
		t.Error(err)
	}
}
