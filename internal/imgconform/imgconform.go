// Package imgconform is the conformance suite of everything that hands out the bytes
// of a disk: every source and every container runs it.
//
//	imgconform.Run(t, imgconform.Format{Name: "raw", Write: write, Open: open})
//
// The suite makes images with known content and compares the results of reading
// them: random, sequential and concurrent reads, the end, extents, damage,
// truncation and cancellation.
package imgconform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// Image is the common interface of sources and of the disks inside containers.
type Image interface {
	io.ReaderAt
	Size() int64
	Data(off int64) (start, end int64)
	Close() error
}

// Format is a format under test.
type Format struct {
	Name string
	// Write makes an image with that content in an empty folder, and returns the
	// name of the file that is to be opened.
	Write func(t *testing.T, folder string, content []byte) string
	// Open opens the image in that file.
	Open func(ctx context.Context, name string) (Image, error)

	// The content's size must be a multiple of Unit bytes; 0 means 1.
	Unit int
	// Checked says that the format has checksums: damage must then give an error,
	// never wrong bytes.
	Checked bool
	// Sparse says that holes of 1 MiB and more are known, and not read.
	Sparse bool
	// Read returns how many bytes were read for an image so far; nil if that is not
	// known.
	Read func(i Image) int64
}

// Run tests a format.
func Run(t *testing.T, f Format) {
	if f.Unit == 0 {
		f.Unit = 1
	}
	for _, c := range contents(f.Unit) {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "holes" {
				t.Skip("with one content in short mode")
			}
			image := f.open(t, f.write(t, c.bytes))
			f.equal(t, image, c.bytes)
		})
	}
	t.Run("truncation", f.truncation)
	t.Run("damage", f.damage)
	t.Run("cancellation", f.cancellation)
	t.Run("closed", f.closed)
}

// Equal compares an image that something else wrote with its content: all data, 4,000
// random reads, concurrent reads, the end and the extents.
func Equal(t *testing.T, image Image, want []byte) { Format{}.equal(t, image, want) }

func (f Format) equal(t *testing.T, image Image, want []byte) {
	if image.Size() != int64(len(want)) {
		t.Fatalf("%d bytes, want %d", image.Size(), len(want))
	}
	t.Run("sequential", func(t *testing.T) { sequential(t, image, want) })
	t.Run("random", func(t *testing.T) { random(t, image, want, 1, randomReads()) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, image, want) })
	t.Run("end", func(t *testing.T) { end(t, image, want) })
	t.Run("extents", func(t *testing.T) { extents(t, f, image, want) })
}

func (f Format) write(t *testing.T, content []byte) string {
	t.Helper()
	return f.Write(t, t.TempDir(), content)
}

func (f Format) open(t *testing.T, name string) Image {
	t.Helper()
	i, err := f.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closing: %v", err)
		}
	})
	return i
}

// content is the known content of an image.
type content struct {
	name  string
	bytes []byte
}

const mib = 1 << 20

// contents are disks of different sizes, with data and zeros in different places.
func contents(unit int) []content {
	const large = 5*mib + 700
	return []content{
		{"smallest", data(unit, 512, [2]int{0, 512})},
		{"zeros", data(unit, 2*mib)},
		{"data", data(unit, 3*mib, [2]int{0, 3 * mib})},
		{"holes", data(unit, large, [2]int{0, 70_000}, [2]int{2 * mib, 2*mib + 100_000}, [2]int{4*mib + 1, 4*mib + 9},
			[2]int{large - 1, large})},
		{"hole at the end", data(unit, large, [2]int{mib, mib + 4096})},
	}
}

// data is at least n bytes, zeros but for these parts.
func data(unit, n int, parts ...[2]int) []byte {
	b := make([]byte, (n+unit-1)/unit*unit)
	rng := rand.NewChaCha8([32]byte{byte(len(parts))})
	for _, p := range parts {
		rng.Read(b[p[0]:p[1]])
	}
	return b
}

// sequential reads from front to back in pieces of several sizes.
func sequential(t *testing.T, image Image, want []byte) {
	for _, piece := range []int{511, 4096, 65536, mib + 1, len(want) + 1} {
		if most := len(want) / piece; most > 20_000 || testing.Short() && most > 2000 {
			continue
		}
		got, r := make([]byte, piece), io.NewSectionReader(image, 0, image.Size())
		for at := 0; ; {
			n, err := r.Read(got)
			if n > len(want)-at || !bytes.Equal(got[:n], want[at:at+n]) {
				t.Errorf("%d bytes at %d: %s", piece, at, differ(got[:n], want[at:min(at+n, len(want))]))
				break
			}
			if at += n; err == io.EOF && at == len(want) {
				break
			} else if err != nil || n == 0 {
				t.Errorf("%d bytes at %d of %d: %d, %v", piece, at, len(want), n, err)
				break
			}
		}
	}
}

// randomReads is how many reads of an image are at random places. The race detector,
// with which tests are short, makes each take long.
func randomReads() int {
	if testing.Short() {
		return 200
	}
	return 4000
}

// random compares pieces anywhere with the content.
func random(t *testing.T, image Image, want []byte, seed uint64, times int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	other := bytes.Repeat([]byte{0xee}, 1<<17)
	buffer := make([]byte, len(other))
	for range times {
		off := rng.IntN(len(want))
		n := min(1+rng.IntN(1<<(1+rng.IntN(17))), len(want)-off)
		got := buffer[:n]
		copy(got, other)
		if read, err := image.ReadAt(got, int64(off)); read != n || err != nil && err != io.EOF {
			t.Errorf("%d bytes at %d: %d, %v", n, off, read, err)
			return
		}
		if !bytes.Equal(got, want[off:off+n]) {
			t.Errorf("%d bytes at %d: %s", n, off, differ(got, want[off:off+n]))
			return
		}
	}
}

func concurrent(t *testing.T, image Image, want []byte) {
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() { random(t, image, want, 100+seed, randomReads()/20) })
	}
	all.Wait()
}

// end reads across the end, behind it and before the beginning, as io.ReaderAt has it.
func end(t *testing.T, image Image, want []byte) {
	size := int64(len(want))
	for _, tt := range []struct {
		off  int64
		n    int
		want int
		eof  bool // the error must be io.EOF
	}{
		{size - 1, 1, 1, false},
		{size - 1, 2, 1, true},
		{size - 500, 5000, 500, true},
		{size, 1, 0, true},
		{size + 1, 1, 0, true},
		{size + 1<<40, 4096, 0, true},
		{1<<63 - 1, 4096, 0, true},
		{0, 0, 0, false},
		{0, len(want) + 1, len(want), true},
	} {
		p := make([]byte, tt.n)
		n, err := image.ReadAt(p, tt.off)
		if n != tt.want || tt.eof && err != io.EOF || !tt.eof && err != nil && err != io.EOF {
			t.Errorf("%d bytes at %d of %d: %d, %v; want %d, end %t", tt.n, tt.off, size, n, err, tt.want, tt.eof)
		} else if n > 0 && !bytes.Equal(p[:n], want[tt.off:tt.off+int64(n)]) {
			t.Errorf("%d bytes at %d: %s", tt.n, tt.off, differ(p[:n], want[tt.off:tt.off+int64(n)]))
		}
	}
	if n, err := image.ReadAt(make([]byte, 10), -1); n != 0 || err == nil || err == io.EOF {
		t.Errorf("before the beginning: %d, %v", n, err)
	}
}

// extents compares the reported holes with the content: a hole must read as zeros.
func extents(t *testing.T, f Format, image Image, want []byte) {
	size := int64(len(want))
	check := func(off int64) (start, end int64) {
		start, end = image.Data(off)
		from := min(max(off, 0), size)
		if start < from || end < start || end > size || start == end && start != size {
			t.Fatalf("data at %d of %d: %d to %d", off, size, start, end)
		}
		if bytes.Count(want[from:start], []byte{0}) != int(start-from) {
			t.Fatalf("data at %d: a hole to %d that is not all zeros", off, start)
		}
		return start, end
	}
	data := int64(0)
	for at := int64(0); at < size; {
		start, end := check(at)
		data += end - start
		at = end
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for range 200 {
		check(rng.Int64N(size + 100))
	}
	for _, off := range []int64{-1, size - 1, size, size + 1, 1<<63 - 1} {
		check(off)
	}
	if !f.Sparse {
		return
	}
	for at := 0; at+mib <= len(want); at += mib {
		if bytes.Count(want[at:at+mib], []byte{0}) == mib {
			if start, _ := image.Data(int64(at)); start < int64(at+mib/2) {
				t.Errorf("the hole at %d is not known: data from %d", at, start)
			}
		}
	}
	if f.Read == nil {
		return
	}
	before := f.Read(image)
	if _, err := image.ReadAt(make([]byte, size), 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	// A hole of less than 64 KiB on either side may be read.
	if read := f.Read(image) - before; read > data+int64(8*65536) {
		t.Errorf("%d bytes are read, %d are data", read, data)
	}
}

// sample is the content that is damaged and truncated.
func (f Format) sample() []byte {
	return data(f.Unit, 600_000, [2]int{0, 70_000}, [2]int{300_000, 400_000}, [2]int{599_999, 600_000})
}

// truncation cuts every file of an image at several places: a read must return the
// original bytes or an error, never other bytes.
func (f Format) truncation(t *testing.T) {
	want := f.sample()
	name, files := f.files(t, want)
	for _, which := range files {
		for _, left := range []float64{0, 0.001, 0.3, 0.5, 0.9, 0.999} {
			t.Run(fmt.Sprintf("%s to %v", filepath.Base(which.path), left), func(t *testing.T) {
				t.Cleanup(func() { which.write(t) })
				before := f.open(t, name)
				if err := os.Truncate(which.path, int64(left*float64(len(which.bytes)))); err != nil {
					t.Fatal(err)
				}
				t.Run("while it is open", func(t *testing.T) { f.onlyTrue(t, before, want) })
				after, err := f.Open(t.Context(), name)
				if err != nil {
					return
				}
				defer after.Close()
				f.onlyTrue(t, after, want)
			})
		}
	}
}

// file is one of the files of an image, with its bytes before any damage.
type file struct {
	path  string
	bytes []byte
}

// write makes the file what it was.
func (f file) write(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(f.path, f.bytes, 0o600); err != nil {
		t.Error(err)
	}
}

// files makes an image, and returns the name to open and its files.
func (f Format) files(t *testing.T, content []byte) (name string, files []file) {
	t.Helper()
	name = f.write(t, content)
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(filepath.Dir(name), e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{path, b})
	}
	return name, files
}

// onlyTrue reads an incomplete image: every byte that is read without an error must
// be that of the content.
func (f Format) onlyTrue(t *testing.T, image Image, want []byte) {
	t.Helper()
	if image.Size() > int64(len(want)) {
		t.Fatalf("%d bytes, more than the %d that there were", image.Size(), len(want))
	}
	p := make([]byte, 4096)
	for at := int64(0); at < image.Size(); at += int64(len(p)) {
		n, err := image.ReadAt(p, at)
		if n < 0 || n > len(p) || n < len(p) && err == nil {
			t.Fatalf("%d bytes at %d: %d without an error", len(p), at, n)
		}
		if !bytes.Equal(p[:n], want[at:at+int64(n)]) {
			t.Fatalf("at %d: %s", at, differ(p[:n], want[at:at+int64(n)]))
		}
		if err == io.EOF && at+int64(n) < image.Size() {
			t.Fatalf("at %d of %d: the end, where there is none", at, image.Size())
		}
	}
}

// damage opens images with some bytes changed. None may make a reader panic, loop or
// return more than there is; where the format has checksums, no damaged image may
// read as intact.
func (f Format) damage(t *testing.T) {
	want := f.sample()
	name, files := f.files(t, want)
	refused, failed, changed := 0, 0, 0
	images := damagedImages()
	for seed := range images {
		rng := rand.New(rand.NewPCG(uint64(seed), 77))
		which := files[rng.IntN(len(files))]
		b := bytes.Clone(which.bytes)
		for range 1 + rng.IntN(4) {
			wound(rng, b)
		}
		file{which.path, b}.write(t)
		image, err := f.Open(t.Context(), name)
		if err != nil {
			refused++
			which.write(t)
			continue
		}
		if f.Checked {
			f.onlyTrue(t, image, want)
		}
		if n, err := io.Copy(io.Discard, io.NewSectionReader(image, 0, min(image.Size(), 1<<30))); err != nil {
			failed++
		} else if n != min(image.Size(), 1<<30) {
			t.Errorf("seed %d: %d of %d bytes without an error", seed, n, image.Size())
		} else {
			changed++
		}
		if start, end := image.Data(0); start < 0 || end < start || end > image.Size() {
			t.Errorf("seed %d: data from %d to %d of %d", seed, start, end, image.Size())
		}
		if err := image.Close(); err != nil {
			t.Errorf("seed %d: closing: %v", seed, err)
		}
		which.write(t)
	}
	t.Logf("%d damaged images: %d are refused, %d fail when they are read, %d are read",
		images, refused, failed, changed)
}

// damagedImages is how many damaged images are opened of each format.
func damagedImages() int {
	switch {
	case testenv.Nightly():
		return 1000
	case testing.Short():
		return 20
	case testenv.Full():
		return 100
	}
	return 25
}

// wound changes some bytes, near the beginning or the end more often, where formats
// have their tables.
func wound(rng *rand.Rand, b []byte) {
	if len(b) == 0 {
		return
	}
	at := rng.IntN(len(b))
	switch rng.IntN(3) {
	case 0:
		at = rng.IntN(min(len(b), 4096))
	case 1:
		at = len(b) - 1 - rng.IntN(min(len(b), 4096))
	}
	n := min(1+rng.IntN(16), len(b)-at)
	switch rng.IntN(3) {
	case 0:
		b[at] ^= 1 << rng.IntN(8)
	case 1:
		for i := range n {
			b[at+i] = byte(rng.Uint32())
		}
	default:
		for i := range n {
			b[at+i] = 0xff
		}
	}
}

// cancellation ends the context before and after opening.
func (f Format) cancellation(t *testing.T) {
	name := f.write(t, f.sample())
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	image, err := f.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.ReadAt(make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	cancel(stop)
	if n, err := image.ReadAt(make([]byte, 100), 300_000); n != 0 || !errors.Is(err, stop) {
		t.Errorf("after the context ended: %d, %v", n, err)
	}
	if err := image.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if image, err := f.Open(ctx, name); !errors.Is(err, stop) {
		t.Errorf("opened with a context that ended: %v", err)
		if err == nil {
			image.Close()
		}
	}
}

// closed reads after Close.
func (f Format) closed(t *testing.T) {
	image, err := f.Open(t.Context(), f.write(t, f.sample()))
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := image.ReadAt(make([]byte, 100), 0); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %d, %v", n, err)
	}
}

// differ says where two contents first differ.
func differ(got, want []byte) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d is %#x, want %#x", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
	}
	return "the same"
}
