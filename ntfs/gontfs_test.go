package ntfs

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"www.velocidex.com/golang/go-ntfs/parser"
)

// go-ntfs is the second reader: it agrees on what it reads right. Where it is
// known to be wrong these tests show the difference, so that a new version of
// it, or a mistake of ours, shows here. Two defects are only told, since no
// test could contain them: an index that says it is huge, and a compression
// unit of 2^63, make it take all memory.

func goNTFS(t testing.TB, image []byte) *parser.NTFSContext {
	t.Helper()
	other, err := parser.GetNTFSContext(bytes.NewReader(image), 0)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// goRead reads a stream as long as go-ntfs says that it is.
func goRead(t testing.TB, other *parser.NTFSContext, path string) []byte {
	t.Helper()
	r, err := parser.GetDataForPath(other, path)
	if err != nil {
		t.Errorf("go-ntfs: %s: %v", path, err)
		return nil
	}
	data := make([]byte, parser.RangeSize(r))
	n, _ := r.ReadAt(data, 0)
	return data[:n]
}

// goNames lists a directory by the entries of its index.
func goNames(t testing.TB, other *parser.NTFSContext, dir string) []string {
	t.Helper()
	root, err := other.GetMFT(recordRoot)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := root.Open(other, dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entry.Dir(other) {
		names = append(names, e.File().Name())
	}
	slices.Sort(names)
	return names
}

func ourNames(t testing.TB, f *FS, dir string) []string {
	t.Helper()
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

func TestGoNTFSAgrees(t *testing.T) {
	e := small(t)
	other := goNTFS(t, e.image)
	for _, name := range []string{
		"empty", "resident", "text", "noise", "case", "sparse", "deep/elsewhere", "links/another name 7",
		"streams", "streams:Zone.Identifier", "streams:more", "packed/noise", "$UpCase", "$Bitmap", "hydrated",
	} {
		file, stream, _ := strings.Cut(name, ":")
		want, err := readStream(e.f, file, stream)
		if err != nil {
			t.Error(err)
			continue
		}
		if name == "case" {
			continue // two names that differ only in case: it takes the first
		}
		if got := goRead(t, other, name); !bytes.Equal(got, want) {
			t.Errorf("%s: go-ntfs has %d bytes that differ from our %d", name, len(got), len(want))
		}
	}
	for _, dir := range []string{"packed", "deep/1/2", "Program Files", "links"} {
		if got, want := goNames(t, other, dir), ourNames(t, e.f, dir); !slices.Equal(got, want) {
			t.Errorf("%s: go-ntfs lists %q, not %q", dir, got, want)
		}
	}
}

func TestGoNTFSListsDeletedNames(t *testing.T) {
	e := small(t)
	theirs, ours := goNames(t, goNTFS(t, e.image), "freed"), ourNames(t, e.f, "freed")
	if len(ours) != 6 || len(theirs) <= len(ours) {
		t.Errorf("go-ntfs lists %d names, we %d", len(theirs), len(ours))
	}
	ghost := theirs[slices.IndexFunc(theirs, func(n string) bool { return !slices.Contains(ours, n) })]
	if _, err := e.f.Stat("freed/" + ghost); err == nil {
		t.Errorf("%s is there", ghost)
	}
	t.Logf("%d names, of which %d are there", len(theirs), len(ours))
}

func TestGoNTFSDropsHardLinks(t *testing.T) {
	e := small(t)
	other := goNTFS(t, e.image)
	root, err := other.GetMFT(recordRoot)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := root.Open(other, "links")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, info := range parser.ListDir(other, dir) {
		if !strings.Contains(info.Name, ":") {
			files++
		}
	}
	if ours := len(ourNames(t, e.f, "links")); ours != 13 || files >= ours {
		t.Errorf("go-ntfs lists %d names, we %d", files, ours)
	}
}

// go-ntfs ends a compressed file where a unit is followed by a hole.
func TestGoNTFSCutsCompressedFiles(t *testing.T) {
	e := small(t)
	ours := readAll(t, e.f, "packed/mixed")
	theirs := goRead(t, goNTFS(t, e.image), "packed/mixed")
	if bytes.Equal(theirs, ours) {
		t.Error("go-ntfs reads packed/mixed as we do")
	}
	t.Logf("%d bytes of %d", len(theirs), len(ours))
}

// go-ntfs lists a part of an index whose runs lie in several records.
func TestGoNTFSCutsFragmentedIndexes(t *testing.T) {
	e := small(t)
	e.splitIndex("many")
	f := e.open()
	if d := f.Damage(); d.Count != 0 {
		t.Fatalf("%+v", d)
	}
	if found, err := indexNames(f, e.number("many")); err != nil || found != manyNames {
		t.Errorf("%d names in the index, %v", found, err)
	}
	theirs, ours := goNames(t, goNTFS(t, e.image), "many"), ourNames(t, f, "many")
	missing := 0
	for _, name := range ours {
		if !slices.Contains(theirs, name) {
			missing++
		}
	}
	if len(ours) != manyNames || missing == 0 {
		t.Errorf("go-ntfs lacks %d of our %d names", missing, len(ours))
	}
	t.Logf("%d of %d names missing", missing, len(ours))
}

func TestGoNTFSReadsWOFAsZeros(t *testing.T) {
	e := edit(t, wofImage(t))
	other := goNTFS(t, e.image)
	for _, name := range []string{"XPRESS4K/text", "XPRESS8K/calls", "XPRESS16K/mixed", "LZX/text"} {
		ours, theirs := readAll(t, e.f, name), goRead(t, other, name)
		if len(theirs) != len(ours) || bytes.Count(theirs, []byte{0}) != len(theirs) {
			t.Errorf("%s: go-ntfs reads %d bytes that are not all zero", name, len(theirs))
		}
		if bytes.Equal(theirs, ours) {
			t.Errorf("%s: we read zeros", name)
		}
		// What is compressed it reads as we do.
		want, err := readStream(e.f, name, wofStream)
		if err != nil {
			t.Error(err)
		}
		if got := goRead(t, other, name+":"+wofStream); !bytes.Equal(got, want) {
			t.Errorf("%s: go-ntfs has %d bytes of the stream, we %d", name, len(got), len(want))
		}
	}
}

func TestGoNTFSReadsCiphertext(t *testing.T) {
	e := small(t)
	want := readAll(t, e.f, "text")
	e.edit("text", func(r []byte) { find(t, r, typeData, "")[13] |= attrEncrypted >> 8 })
	if theirs := goRead(t, goNTFS(t, e.image), "text"); !bytes.Equal(theirs, want) {
		t.Errorf("go-ntfs reads %d bytes", len(theirs))
	}
	if _, err := e.open().ReadFile("text"); err == nil {
		t.Error("we read it")
	}
}

func TestGoNTFSRefusesLargeClusters(t *testing.T) {
	boot := bootSector(1 << 20)
	for _, test := range []struct {
		perCluster byte
		size       int
		refuses    bool
	}{
		{0x80, 64 << 10, false},
		{0xF8, 128 << 10, true},
		{0xF4, 2 << 20, true},
	} {
		boot[13] = test.perCluster
		boot[64] = 0xF6
		ours, err := parseBoot(boot)
		if err != nil || ours.clusterSize != test.size {
			t.Errorf("%x: %d, %v", test.perCluster, ours.clusterSize, err)
		}
		_, err = parser.GetNTFSContext(bytes.NewReader(boot), 0)
		if refuses := err != nil && strings.Contains(strings.ToLower(err.Error()), "cluster"); refuses != test.refuses {
			t.Errorf("%x: go-ntfs: %v", test.perCluster, err)
		}
	}
}

// go-ntfs takes no notice of its offset for $MFT, and of the end of a stream.
func TestGoNTFSOffsetAndEnd(t *testing.T) {
	e := small(t)
	moved := append(make([]byte, 1<<20), e.image...)
	if other, err := parser.GetNTFSContext(bytes.NewReader(moved), 1<<20); err == nil {
		if entry, err := other.GetMFT(recordRoot); err == nil && entry.IsDir(other) {
			t.Error("go-ntfs finds $MFT behind an offset")
		}
	}
	r, err := parser.GetDataForPath(goNTFS(t, e.image), "text")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.ReadAt(make([]byte, 2000), 0); n >= 2000 || err != nil {
		t.Errorf("go-ntfs: %d, %v", n, err)
	}
}

// The corpus' volumes list and read the same with both.
func TestCorpusGoNTFS(t *testing.T) {
	for _, image := range corpusImages[:2] {
		raw := corpusImage(t, image.name, image.sector)
		f, err := openBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		other := goNTFS(t, raw)
		compared := 0
		err = fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			ours, err := f.ReadFile(name)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if e := info.Sys().(*Entry); e.Compressed || len(ours) == 0 {
				return nil
			}
			if theirs := goRead(t, other, name); !bytes.Equal(theirs, ours) {
				t.Errorf("%s: go-ntfs has %d bytes that differ from our %d", name, len(theirs), len(ours))
			}
			compared++
			return nil
		})
		if err != nil || compared < 8 {
			t.Error(compared, err)
		}
	}
}
