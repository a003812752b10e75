package container

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// structure is a part of an image that is damaged more often than data. Of what has a
// checksum, one bit is changed: the image must then be refused, or read as it was.
type structure struct {
	at, size int
	checked  bool
}

// TestVHDToolDamage damages images that qemu-img makes. None may make the reader panic,
// loop, use much memory or return more than there is.
func TestVHDToolDamage(t *testing.T) {
	testenv.Tool(t, "qemu-img")
	const size = 6<<20 + 512
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{2}).Read(content[1<<20 : 3<<20])
	copy(content[size-512:], "the last sector")
	raw := writeImage(t, filepath.Join(t.TempDir(), "disk.raw"), content)
	headers := []structure{{vhdxHeaderAt, 80, true}, {2 * vhdxHeaderAt, 80, true}, {vhdxHeaderAt, 4096, true},
		{vhdxRegionsAt, 80, true}, {vhdxRegionsAt + vhdxTable, 80, true}, {3 << 20, 256, false},
		{3<<20 + vhdxTable, 64, false},
		{2 << 20, 64, false}}
	for name, tt := range map[string]struct {
		make       makeVariant
		structures []structure
	}{
		"vhd fixed": {qemuConvert("disk.vhd", "-O", "vpc", "-o", "subformat=fixed,force_size=on"),
			[]structure{{size, 8, false}, {size + 8, sector - 9, true}, {size + 8, 78, true}}},
		"vhd dynamic": {qemuConvert("disk.vhd", "-O", "vpc", "-o", "subformat=dynamic,force_size=on"),
			[]structure{{0, sector, true}, {0, 85, true}, {sector, vhdHeader, true}, {sector, 60, true},
				{sector + vhdHeader, 16, false},
				{sector + vhdHeader, 16, false}}},
		"vhdx fixed":          {qemuConvert("disk.vhdx", "-O", "vhdx", "-o", "subformat=fixed,block_size=1M"), headers},
		"vhdx dynamic":        {qemuConvert("disk.vhdx", "-O", "vhdx", "-o", "subformat=dynamic,block_size=1M"), headers},
		"vhdx, large blocks":  {qemuConvert("disk.vhdx", "-O", "vhdx", "-o", "subformat=dynamic,block_size=4M"), headers},
		"vhdx, state of zero": {qemuConvert("disk.vhdx", "-O", "vhdx", "-o", "block_state_zero=off,block_size=1M"), headers},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := tt.make(t, t.TempDir(), raw)
			image, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damageTool(t, image, content, tt.structures)
		})
	}
}

// damageTool damages an image in many ways.
func damageTool(t *testing.T, image, content []byte, structures []structure) {
	images := 25
	if testenv.Nightly() {
		images = 1000
	} else if testenv.Full() {
		images = 200
	}
	refused, failed, changed, intact := 0, 0, 0, 0
	for seed := range images {
		rng := rand.New(rand.NewPCG(uint64(seed), 5))
		s := structure{0, len(image), false}
		if rng.IntN(5) > 0 {
			s = structures[rng.IntN(len(structures))]
		}
		b := damaged{image, s.at + rng.IntN(s.size), nil}
		switch rng.IntN(3) {
		case 0:
			b.with = bytes.Repeat([]byte{0xff}, 1+rng.IntN(8))
		case 1:
			for range 1 + rng.IntN(8) {
				b.with = append(b.with, byte(rng.Uint32()))
			}
		default:
			b.with = []byte{image[b.at] ^ 1<<rng.IntN(8)}
		}
		if s.checked {
			b.with = []byte{image[b.at] ^ 1<<rng.IntN(8)}
		}
		allocated := allocations()
		disks, err := Open(t.Context(), source.NewReader(t.Context(), "disk", b, int64(len(image))), Options{})
		if err == nil {
			_, err = readSome(disks[0])
		} else {
			refused++
			disks = nil
		}
		if used := allocated(); used > 64<<20 {
			t.Errorf("seed %d: %d bytes of memory", seed, used)
		}
		switch {
		case disks == nil:
			continue
		case err != nil:
			failed++
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(disks[0], 0, min(disks[0].Size(), longest(content))))
		same := err == nil && int64(len(content)) == disks[0].Size() && bytes.Equal(got, content)
		if s.checked && !same {
			t.Errorf("seed %d: byte %d is %x, and the disk is another one: %d bytes, %v", seed, b.at, b.with, disks[0].Size(),
				err)
		}
		switch {
		case same:
			intact++
		case err != nil:
			failed++
		default:
			changed++
		}
	}
	t.Logf("%d damaged images: %d are refused, %d fail when they are read, %d are read as before, %d as something else",
		images, refused, failed, intact, changed)
}

// longest is how much of a damaged disk is read: as much as it had, and some more.
func longest(content []byte) int64 { return int64(len(content)) + 1<<20 }

// damaged is bytes with others from a place on.
type damaged struct {
	image []byte
	at    int
	with  []byte
}

func (d damaged) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d.image)) {
		return 0, io.EOF
	}
	n := copy(p, d.image[off:])
	for i, c := range d.with {
		if at := int64(d.at+i) - off; at >= 0 && at < int64(n) {
			p[at] = c
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// failsOnce is bytes of which one read fails.
type failsOnce struct {
	image []byte
	at    int // which read fails
	reads int
}

var errFailsOnce = errors.New("broken")

func (f *failsOnce) ReadAt(p []byte, off int64) (int, error) {
	if f.reads++; f.reads == f.at {
		return 0, errFailsOnce
	}
	return bytes.NewReader(f.image).ReadAt(p, off)
}

// TestVHDReadErrors: a read that fails is an error of the same kind, whatever it is for.
func TestVHDReadErrors(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	content := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{1}).Read(content)
	half := func(n int64) bool { return n%2 == 0 }
	for name, tt := range map[string]struct{ image, parent []byte }{
		"vhd": {buildVHD(vhdImage{kind: vhdDifferencing, content: content, id: 1, parent: 2, parentName: "p.vhd",
			present: func(n int) bool { return half(int64(n)) }}), buildVHD(vhdImage{kind: vhdFixed, content: content, id: 2})},
		"vhdx": {buildVHDX(vhdxImage{content: content, present: half, linkage: 7,
			log: []vhdxWrite{{sequence: 1, writes: []logChange{{from: 300 << 20, to: 301 << 20}}}}}),
			buildVHDX(vhdxImage{content: content, content1: 7})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := candidate("p", tt.parent)
			for at := 1; ; at++ {
				if at == 2 { // the footer, which tells some formats; others do without
					continue
				}
				r := &failsOnce{image: tt.image, at: at}
				disks, err := Open(t.Context(), source.NewReader(t.Context(), "disk", r, int64(len(tt.image))),
					Options{Parents: []Candidate{parent}})
				if err == nil {
					_, err = io.Copy(io.Discard, io.NewSectionReader(disks[0], 0, 128<<10))
				}
				if r.reads < at {
					if err != nil || at < 10 {
						t.Errorf("%d reads: %v", r.reads, err)
					}
					return
				}
				if !errors.Is(err, errFailsOnce) || errors.Is(err, ErrCorrupt) {
					t.Errorf("read %d fails: %v", at, err)
				}
			}
		})
	}
}

// BenchmarkVHD and the others read an image of 64 MiB in large pieces, and in small ones
// anywhere.
func BenchmarkVHD(b *testing.B) {
	for name, v := range map[string]vhdImage{"fixed": {kind: vhdFixed}, "dynamic": {kind: vhdDynamic, block: 2 << 20}} {
		v.content = vhdContent()
		benchmarkReads(b, name, "disk.vhd", buildVHD(v))
	}
	v := vhdImage{kind: vhdDifferencing, content: vhdContent(), block: 2 << 20, id: 1, parent: 2, parentName: "p.vhd",
		present: func(n int) bool { return n%64 < 32 }}
	benchmarkReads(b, "differencing", "disk.vhd", buildVHD(v),
		buildVHD(vhdImage{kind: vhdDynamic, content: vhdContent(), block: 2 << 20, id: 2}))
}

func BenchmarkVHDX(b *testing.B) {
	for name, v := range map[string]vhdxImage{"fixed": {fixed: true}, "dynamic": {block: 32 << 20},
		"small blocks": {block: 1 << 20}} {
		v.content = vhdContent()
		benchmarkReads(b, name, "disk.vhdx", buildVHDX(v))
	}
	v := vhdxImage{content: vhdContent(), block: 32 << 20, linkage: 7, present: func(n int64) bool { return n%64 < 32 }}
	benchmarkReads(b, "differencing", "disk.vhdx", buildVHDX(v), buildVHDX(vhdxImage{content: vhdContent(),
		content1: 7}))
}

func BenchmarkRaw(b *testing.B) { benchmarkReads(b, "raw", "disk.img", vhdContent()) }

func vhdContent() []byte {
	content := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{3}).Read(content)
	return content
}

// benchmarkReads reads a disk, which has a parent or none.
func benchmarkReads(b *testing.B, name, file string, image []byte, parent ...[]byte) {
	dir := b.TempDir()
	var parents []string
	for _, p := range parent {
		parents = append(parents, writeImage(b, filepath.Join(dir, "p"+filepath.Ext(file)), p))
	}
	disks, err := openFile(b.Context(), writeImage(b, filepath.Join(dir, file), image), parents...)
	if err != nil {
		b.Fatal(err)
	}
	defer disks[0].Close()
	read := func(b *testing.B, n int, next func() int64) {
		b.ReportAllocs()
		b.SetBytes(int64(n))
		p := make([]byte, n)
		for b.Loop() {
			if _, err := disks[0].ReadAt(p, next()); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
	b.Run(name+" sequential", func(b *testing.B) {
		at := int64(0)
		read(b, 1<<20, func() int64 { at = (at + 1<<20) % (64 << 20); return at })
	})
	b.Run(name+" random", func(b *testing.B) {
		rng := rand.New(rand.NewPCG(1, 1))
		read(b, 4096, func() int64 { return rng.Int64N(64<<20/4096) * 4096 })
	})
}
