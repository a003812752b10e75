package ntfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// overlayOn opens a stream that is in memory.
func overlayOn(t testing.TB, algorithm *wofAlgorithm, stored []byte, size int) *overlay {
	t.Helper()
	o, err := newOverlay(algorithm, &stream{resident: append([]byte{}, stored...), size: int64(len(stored))}, int64(size))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// wofContents has contents of all kinds, at and around the ends of chunks.
func wofContents(t testing.TB, chunk int) map[string][]byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	large := 3 << 20
	if testenv.Nightly() {
		large = 12 << 20
	}
	contents := map[string][]byte{
		"empty":    nil,
		"one byte": {7},
		"noise":    noise(3*chunk + 77),
		"program":  program[:min(len(program), 3<<20)],
		"zeros":    make([]byte, 5*chunk+1),
		"mixed":    slices.Concat(text(2*chunk), noise(chunk), make([]byte, chunk), noise(2*chunk), text(chunk/2)),
		"runs":     bytes.Repeat(noise(chunk/3), 9),
		"large":    slices.Concat(program[len(program)-min(len(program), large):], noise(large/12), text(large*2/3)),
	}
	for name, n := range map[string]int{
		"less": chunk - 1, "chunk": chunk, "more": chunk + 1, "two": 2 * chunk, "two and more": 2*chunk + 1,
		"ten": 10, "eleven": 11, "many": 40*chunk + 1234,
	} {
		contents["text, "+name] = text(n)
		contents["calls, "+name] = calls(n)
	}
	return contents
}

// What wimlib compresses is read back, whole and in pieces.
func TestWOFAgainstWimlib(t *testing.T) {
	for i := range wofAlgorithms {
		algorithm := &wofAlgorithms[i]
		t.Run(algorithm.name, func(t *testing.T) {
			contents := wofContents(t, int(algorithm.chunk))
			for _, level := range []int{1, 100} {
				if level > 1 {
					delete(contents, "large")
				}
				chunks, packed := 0, 0
				for name, stored := range wofStreams(t, algorithm, level, contents) {
					want := contents[name]
					o := overlayOn(t, algorithm, stored, len(want))
					got := make([]byte, len(want))
					if err := o.readAt(got, 0); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %d bytes from %d: %v", name, len(want), len(stored), err)
						continue
					}
					r := rand.New(rand.NewPCG(5, 6))
					for range min(200, len(want)) {
						at := r.IntN(len(want))
						p := got[:r.IntN(min(len(want)-at, 3*int(algorithm.chunk))+1)]
						if err := o.readAt(p, int64(at)); err != nil || !bytes.Equal(p, want[at:at+len(p)]) {
							t.Fatalf("%s: %d bytes at %d: %v", name, len(p), at, err)
						}
					}
					chunks += (len(want) + int(algorithm.chunk) - 1) / int(algorithm.chunk)
					packed += len(stored)
				}
				t.Logf("level %d: %d chunks in %d bytes", level, chunks, packed)
			}
		})
	}
}

// wofReparse makes the reparse data of a file that WOF compressed.
func wofReparse(algorithm int) []byte {
	var data []byte
	for _, v := range []int{1, 2, 1, algorithm} {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return reparseData(TagWOF, data)
}

// The files of the packed volume are what wof.sh compressed.
func TestWOFImage(t *testing.T) {
	testenv.Sequential(t)
	f := edit(t, wofImage(t)).f
	list, err := os.ReadFile("testdata/wof.sha256")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(list)) {
		var sum, name string
		var size int
		if _, err := fmt.Sscan(line, &sum, &size, &name); err != nil {
			t.Fatal(err)
		}
		data, err := f.ReadFile(name)
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); err != nil || got != sum || len(data) != size {
			t.Errorf("%s: %d bytes with the hash %s, want %d with %s: %v", name, len(data), got, size, sum, err)
		}
		info, err := f.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if e := info.Sys().(*Entry); info.Size() != int64(size) || !e.WOF || info.Mode() != 0o444 {
			t.Errorf("%s: %v, %+v", name, info.Mode(), e)
		}
		names = append(names, name)
	}
	if len(names) != 16 {
		t.Errorf("%d files", len(names))
	}
	if err := fstest.TestFS(f, names...); err != nil {
		t.Error(err)
	}
}

// What WOF's reparse data says is understood, or refused by name.
func TestWOFReparse(t *testing.T) {
	le32 := func(values ...uint32) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return b
	}
	for _, test := range []struct {
		data []byte
		want string // the algorithm
		kind error
		says string
	}{
		{le32(1, 2, 1, 0), "XPRESS4K", nil, ""},
		{le32(1, 2, 1, 1), "LZX", nil, ""},
		{le32(1, 2, 1, 2), "XPRESS8K", nil, ""},
		{le32(1, 2, 1, 3), "XPRESS16K", nil, ""},
		{le32(1, 2, 1, 1, 77), "LZX", nil, ""},
		{le32(1, 2, 1, 4), "", ErrUnsupported, "compression algorithm 4"},
		{le32(1, 2, 1, math.MaxUint32), "", ErrUnsupported, "compression algorithm 4294967295"},
		{le32(1, 2, 2, 0), "", ErrUnsupported, "version 2 of compression"},
		{le32(1, 1), "", ErrUnsupported, "in a WIM file"},
		{le32(1, 1, 2, 0, 5, 6, 7, 8), "", ErrUnsupported, "in a WIM file"},
		{le32(1, 3, 1, 0), "", ErrUnsupported, "provider 3"},
		{le32(0, 2, 1, 0), "", ErrUnsupported, "version 0"},
		{le32(2, 2, 1, 0), "", ErrUnsupported, "version 2"},
		{le32(1, 2, 1, 0)[:15], "", ErrCorrupt, "of 15 bytes"},
		{le32(1, 2), "", ErrCorrupt, "of 8 bytes"},
		{le32(1, 2)[:7], "", ErrCorrupt, "of 7 bytes"},
		{nil, "", ErrCorrupt, "of 0 bytes"},
	} {
		algorithm, err := Reparse{Tag: TagWOF, Data: test.data}.wof()
		if test.kind != nil {
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%x: %v, want …%s…", test.data, err, test.says)
			}
		} else if err != nil || algorithm.name != test.want {
			t.Errorf("%x: %+v, %v", test.data, algorithm, err)
		}
	}
}

// A file that contradicts itself can be opened and described, and not read.
func TestWOFRefused(t *testing.T) {
	const name, size = "LZX/text", 40000
	for _, test := range []struct {
		name string
		edit func(r []byte, t testing.TB)
		size int64
		kind error
		says string
	}{
		{"as it is", func([]byte, testing.TB) {}, size, nil, ""},
		{"in a WIM file", func(r []byte, t testing.TB) { find(t, r, typeReparsePoint, "")[24+8+4] = 1 }, size, ErrUnsupported,
			"WIMBoot"},
		{"reparse data is cut", func(r []byte, t testing.TB) { find(t, r, typeReparsePoint, "")[24+4] = 12 }, size,
			ErrCorrupt, "reparse data of 12 bytes"},
		{"no stream", func(r []byte, t testing.TB) {
			a := find(t, r, typeData, wofStream)
			a[le.Uint16(a[10:])] = 'X'
		}, size, ErrCorrupt, "has no $DATA:WofCompressedData"},
		{"stream is encrypted", func(r []byte, t testing.TB) {
			find(t, r, typeData, wofStream)[13] |= attrEncrypted >> 8
		}, size, ErrEncrypted, "by EFS"},
		{"file is encrypted", func(r []byte, t testing.TB) { find(t, r, typeData, "")[13] |= attrEncrypted >> 8 }, size,
			ErrEncrypted, "by EFS"},
		{"stream is shorter than its table",
			func(r []byte, t testing.TB) { le.PutUint64(find(t, r, typeData, wofStream)[48:], 3) }, size, ErrCorrupt,
			"3 bytes of LZX for 40000"},
		{"no unnamed $DATA", func(r []byte, t testing.TB) {
			a := find(t, r, typeData, "")
			at := cap(r) - cap(a)
			copy(r[at:], r[at+len(a):])
			le.PutUint32(r[24:], le.Uint32(r[24:])-uint32(len(a)))
		}, 0, ErrCorrupt, "bytes of LZX for 0"},
		{"of no bytes", func(r []byte, t testing.TB) { le.PutUint64(find(t, r, typeData, "")[48:], 0) }, 0, ErrCorrupt,
			"bytes of LZX for 0"},
		{"of no bytes, in a WIM file", func(r []byte, t testing.TB) {
			le.PutUint64(find(t, r, typeData, "")[48:], 0)
			find(t, r, typeReparsePoint, "")[24+8+4] = 1
		}, 0, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := edit(t, wofImage(t))
			e.edit(name, func(r []byte) { test.edit(r, t) })
			f := e.open()
			file, err := f.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := file.Stat(); err != nil || info.Size() != test.size {
				t.Errorf("%v, %v", info, err)
			}
			data, err := io.ReadAll(file)
			if test.kind == nil {
				if err != nil || int64(len(data)) != test.size {
					t.Errorf("%d bytes, %v", len(data), err)
				}
			} else if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || len(data) > 0 {
				t.Errorf("%d bytes, %v, want …%s…", len(data), err, test.says)
			}
			if data, err := f.ReadFile(name); (err != nil) != (test.kind != nil) || len(data) > size {
				t.Errorf("ReadFile: %d bytes, %v", len(data), err)
			}
		})
	}
}

// Entries of the table have 4 bytes below 4 GiB and 8 from there on, and the
// table must be there as a whole.
func TestWOFTable(t *testing.T) {
	for _, test := range []struct{ size, chunk, table int64 }{
		{0, 4096, 0},
		{1, 4096, 0},
		{4096, 4096, 0},
		{4097, 4096, 4},
		{8192, 4096, 4},
		{8193, 4096, 8},
		{1<<32 - 1, 32768, 4 * (1<<17 - 1)},
		{1 << 32, 32768, 8 * (1<<17 - 1)},
		{1<<32 + 1, 32768, 8 << 17},
		{math.MaxInt64, 4096, 8 * (1<<51 - 1)},
	} {
		algorithm := &wofAlgorithm{name: "test", chunk: test.chunk}
		o, err := newOverlay(algorithm, &stream{size: test.table}, test.size)
		if err != nil || o.table != test.table {
			t.Errorf("%d bytes: %+v, %v", test.size, o, err)
		}
		if test.table == 0 {
			continue
		}
		if o, err := newOverlay(algorithm, &stream{size: test.table - 1}, test.size); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: %+v, %v", test.size, o, err)
		}
	}
}

// openOverlay opens a file of the packed volume.
func openOverlay(t testing.TB, f *FS, name string) *overlay {
	t.Helper()
	file, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return file.(*File).content.(*overlay)
}

// storedChunk returns a chunk as it lies in the stream.
func storedChunk(t testing.TB, o *overlay, number int64) []byte {
	t.Helper()
	begin, end, err := o.find(number, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, end-begin)
	if err := o.stored.readAt(p, o.table+begin); err != nil {
		t.Fatal(err)
	}
	return p
}

// A file of more than 4 GiB: zeros, at 4 GiB a chunk that is stored as it is,
// and a last chunk of five bytes.
func TestWOFLarge(t *testing.T) {
	zeros := storedChunk(t, openOverlay(t, edit(t, wofImage(t)).f, "LZX/mixed"), 2)
	const chunks, table = 1<<17 + 2, 8 * (1<<17 + 1)
	stored := make([]byte, table)
	for i := range int64(chunks) {
		if i > 0 {
			le.PutUint64(stored[8*(i-1):], uint64(len(stored)-table))
		}
		switch i {
		case chunks - 2:
			stored = append(stored, noise(lzxChunk)...)
		case chunks - 1:
			stored = append(stored, "last!"...)
		default:
			stored = append(stored, zeros...)
		}
	}
	const size = (chunks-1)*lzxChunk + 5
	open := func() *overlay {
		o, err := newOverlay(&wofAlgorithms[1], &stream{resident: stored, size: int64(len(stored))}, size)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for at, want := range map[int64][]byte{
		0:           make([]byte, 100000),
		3e9:         make([]byte, 100000),
		1<<32 - 100: slices.Concat(make([]byte, 100), noise(lzxChunk), []byte("last!")),
		size - 1:    []byte("!"),
	} {
		got := make([]byte, len(want))
		if err := open().readAt(got, at); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes at %d: %v", len(got), at, err)
		}
	}
	// A chunk inside the table.
	le.PutUint64(stored, math.MaxUint64-19)
	le.PutUint64(stored[8:], math.MaxUint64-9)
	if err := open().readAt(make([]byte, 1), lzxChunk); !errors.Is(err, ErrCorrupt) ||
		!strings.Contains(err.Error(), "bytes -20 to -10 of") {
		t.Error(err)
	}
	// Entries beyond all that there is.
	for _, v := range []uint64{math.MaxUint64, 1 << 63, math.MaxInt64, math.MaxInt64 - table} {
		le.PutUint64(stored[8*(chunks-2):], v)
		if err := open().readAt(make([]byte, 1), size-1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x: %v", v, err)
		}
	}
}

// Where the table is wrong the chunks on both sides of the entry cannot be
// read, and all others can.
func TestWOFEntries(t *testing.T) {
	algorithm := &wofAlgorithms[0]
	data := noise(5*4096 + 100)
	stored := storedStream(algorithm, data)
	check := func(name string, stored []byte, size int, bad ...int) {
		t.Helper()
		o := overlayOn(t, algorithm, stored, size)
		for number := range (size + 4095) / 4096 {
			want := data[number*4096 : min(size, (number+1)*4096)]
			for _, p := range [][]byte{make([]byte, len(want)), make([]byte, max(len(want)-1, 1))} {
				err := o.readAt(p, int64(number)*4096)
				if !slices.Contains(bad, number) {
					if err != nil || !bytes.Equal(p, want[:len(p)]) {
						t.Errorf("%s: chunk %d: %v", name, number, err)
					}
				} else if says := fmt.Sprintf("WOF: XPRESS4K chunk %d: ", number); !errors.Is(err, ErrCorrupt) ||
					!strings.HasPrefix(err.Error(), says) {
					t.Errorf("%s: chunk %d: %v, want %s", name, number, err, says)
				}
			}
		}
	}
	entry := func(i int, v uint32) []byte {
		b := bytes.Clone(stored)
		le.PutUint32(b[4*i:], v)
		return b
	}
	end := uint32(len(stored) - 5*4)
	check("whole", stored, len(data))
	check("one byte later", entry(1, 2*4096+1), len(data), 1, 2)
	check("one byte earlier", entry(1, 2*4096-1), len(data), 1, 2)
	check("at the one before", entry(1, 4096), len(data), 1, 2)
	check("before the one before", entry(1, 4095), len(data), 1, 2)
	check("at the next", entry(1, 3*4096), len(data), 1, 2)
	check("at the start", entry(0, 0), len(data), 0, 1)
	check("at the end", entry(4, end), len(data), 4, 5)
	check("past the end", entry(4, end+1), len(data), 4, 5)
	check("far past the end", entry(2, math.MaxUint32), len(data), 2, 3)
	check("a byte less", stored[:len(stored)-1], len(data), 5)
	check("a byte more", append(bytes.Clone(stored), 0), len(data), 5)
	check("last chunk cut off", stored[:len(stored)-100], len(data), 5)
	check("cut inside a chunk", stored[:5*4+2*4096+1], len(data), 2, 3, 4, 5)
	check("nothing but the table", stored[:5*4], len(data), 0, 1, 2, 3, 4, 5)
	check("one chunk", data[:4096], 4096)
	check("one chunk, a byte less", data[:4095], 4096, 0)
	check("one chunk, a byte more", data[:4097], 4096, 0)
	check("one chunk of nothing", nil, 1, 0)
	check("larger than what it stands for", alphabetXPRESS(t), 26, 0)

	// More than any chunk.
	data = noise(20 * 4096)
	stored = storedStream(algorithm, data)
	check("whole", stored, len(data))
	check("most of it", entry(0, 19*4096), len(data), 0, 1)
}

// What is damaged in a chunk is an error there, and only there.
func TestWOFDamage(t *testing.T) {
	for _, name := range []string{"XPRESS4K/text", "XPRESS8K/text", "XPRESS16K/text", "LZX/text"} {
		e := edit(t, wofImage(t))
		want := readAll(t, e.f, name)
		o := openOverlay(t, e.f, name)
		damaged := storedChunk(t, o, 1)
		at := bytes.Index(e.image, damaged)
		if at < 0 || bytes.Count(e.image, damaged) != 1 {
			t.Fatalf("%s: the chunk is in pieces", name)
		}
		clear(e.image[at : at+100])
		f := e.open()
		if _, err := f.ReadFile(name); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "chunk 1: ") {
			t.Errorf("%s: %v", name, err)
		}
		file, err := f.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(want); at += 1000 {
			p := make([]byte, min(1000, len(want)-at))
			n, err := file.(*File).ReadAt(p, int64(at))
			if first, last := int64(at)/o.chunk, int64(at+len(p)-1)/o.chunk; first <= 1 && last >= 1 {
				if !errors.Is(err, ErrCorrupt) || n != 0 {
					t.Errorf("%s: at %d: %d bytes, %v", name, at, n, err)
				}
			} else if err != nil || !bytes.Equal(p, want[at:at+len(p)]) {
				t.Errorf("%s: at %d: %v", name, at, err)
			}
		}
		// An error of the reader is not reported as damage.
		f, err = Open(context.Background(), failing{bytes.NewReader(wofImage(t)), int64(at), int64(at) + 1},
			int64(len(e.image)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadFile(name); !errors.Is(err, errSpot) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A chunk takes a read for its entries of the table and one for itself, also if
// it is read in pieces.
func TestWOFReads(t *testing.T) {
	image := wofImage(t)
	c := &counting{ReaderAt: bytes.NewReader(image)}
	f, err := Open(context.Background(), c, int64(len(image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, chunks := range map[string]int64{"XPRESS4K/text": 10, "LZX/text": 2, "XPRESS16K/mixed": 4} {
		for _, piece := range []int{100, 4096, 5000, 100_000} {
			file, err := f.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			before := c.reads.Load()
			if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{file}, make([]byte, piece)); err != nil {
				t.Fatal(err)
			}
			if reads := c.reads.Load() - before; reads != 2*chunks {
				t.Errorf("%s by %d bytes: %d reads for %d chunks", name, piece, reads, chunks)
			}
		}
	}
}
