package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// blocksOf is a mapping of blocks of 4 KiB, of each kind.
type blocksOf struct {
	extents []extent
}

const testBlock = 4096

func (b *blocksOf) extent(off int64) (extent, error) {
	e := b.extents[off/testBlock]
	e.size -= off % testBlock
	if e.where == stored {
		e.at += off % testBlock
	}
	return e, nil
}

// unpack adds one to each byte, and refuses a block that begins with 0xff.
func (b *blocksOf) unpack(dst, packed []byte, e extent) error {
	if packed[0] == 0xff {
		return fmt.Errorf("%s: the block at byte %d: %w", e.file.Name(), e.at, ErrCorrupt)
	}
	for i := range packed {
		dst[i] = packed[i] + 1
	}
	return nil
}

// mixed returns a disk of n blocks, each of a random kind, in a file that is read by
// a counting reader, with a parent that ends within the disk; and its content.
func mixed(t *testing.T, n int, seed uint64) (*mapped, []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	fill := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(1 + rng.IntN(200))
		}
		return b
	}
	content, parent := make([]byte, n*testBlock), fill(n*testBlock/2+100)
	file := make([]byte, 2*n*testBlock)
	b := &blocksOf{}
	parentFile := source.NewReader(t.Context(), "parent.img", bytes.NewReader(parent), int64(len(parent)))
	at := 0
	for i := range n {
		e := extent{where: where(rng.IntN(4)), size: testBlock}
		piece := content[i*testBlock:][:testBlock]
		if rng.IntN(3) > 0 {
			at += testBlock * rng.IntN(2) // next to the one before, or not
		}
		at = min(at, len(file)-testBlock)
		switch e.where {
		case stored:
			copy(piece, fill(testBlock))
			copy(file[at:], piece)
			e.at = int64(at)
			at += testBlock
		case packed:
			copy(piece, fill(testBlock))
			for j, c := range piece {
				file[at+j] = c - 1
			}
			e.at, e.block = int64(at), block{start: int64(i * testBlock), size: testBlock, packed: testBlock}
			at += testBlock
		case below:
			copy(piece, parent[min(i*testBlock, len(parent)):])
		}
		b.extents = append(b.extents, e)
	}
	s := source.NewReader(t.Context(), "disk.x", bytes.NewReader(file), int64(len(file)))
	for i := range b.extents {
		b.extents[i].file = s
	}
	d := newMapped("x", int64(len(content)), b, s)
	d.parent = raw{Source: parentFile}
	return d, content
}

// TestMapped: blocks of every kind, in any order, read as their content.
func TestMapped(t *testing.T) {
	for seed := range uint64(6) {
		d, content := mixed(t, 300, seed)
		imgconform.Equal(t, d, content)
		for off := int64(0); off < d.Size(); off += testBlock / 2 {
			file, at, ok := d.Locate(off)
			if !ok {
				continue
			}
			p := make([]byte, 100)
			if _, err := file.ReadAt(p, at); err != nil && err != io.EOF ||
				!bytes.Equal(p[:min(100, len(content)-int(off))], content[off:min(int(off)+100, len(content))]) {
				t.Fatalf("byte %d is not at %d of %s: %v", off, at, file.Name(), err)
			}
		}
	}
}

// TestMappedRuns: neighbors in the file are read at once, whatever their kind.
func TestMappedRuns(t *testing.T) {
	for _, kind := range []where{stored, packed} {
		file := bytes.Repeat([]byte{1}, 100*testBlock)
		s := source.NewReader(t.Context(), "disk.x", bytes.NewReader(file), int64(len(file)))
		b := &blocksOf{}
		for i := range 100 {
			at := int64(i * testBlock)
			b.extents = append(b.extents, extent{where: kind, size: testBlock, file: s, at: at,
				block: block{start: at, size: testBlock, packed: testBlock}})
		}
		d := newMapped("x", int64(len(file)), b, s)
		if _, err := d.ReadAt(make([]byte, len(file)), 0); err != nil {
			t.Fatal(err)
		}
		if c := s.Counters(); c.Reads != 1 || c.Bytes != int64(len(file)) {
			t.Errorf("kind %d: %+v", kind, c)
		}
		for range 3 { // within one block
			if _, err := d.ReadAt(make([]byte, 10), 5*testBlock+7); err != nil {
				t.Fatal(err)
			}
		}
		if c := s.Counters(); kind == packed && c.Reads != 2 {
			t.Errorf("a block is unpacked more than once: %+v", c)
		}
	}
}

// TestMappedFails: what is before a block that cannot be had is read, and what is
// after it too.
func TestMappedFails(t *testing.T) {
	d, content := mixed(t, 50, 9)
	b := d.mapping.(*blocksOf)
	bad := int64(20)
	file := bytes.Repeat([]byte{0xff}, testBlock)
	s := source.NewReader(t.Context(), "bad.x", bytes.NewReader(file), testBlock)
	for name, tt := range map[string]struct {
		e    extent
		want error
	}{
		"damaged": {extent{where: packed, size: testBlock, file: s,
			block: block{start: bad * testBlock, size: testBlock, packed: testBlock}}, ErrCorrupt},
		"beyond the file": {extent{where: stored, size: testBlock, file: s, at: 1}, io.ErrUnexpectedEOF},
		"no extent":       {extent{where: zeros}, ErrCorrupt},
		"block elsewhere": {extent{where: packed, size: testBlock, file: s,
			block: block{start: 0, size: testBlock, packed: testBlock}}, ErrCorrupt},
		"block too large": {extent{where: packed, size: testBlock, file: s,
			block: block{start: 0, size: largestBlock + 1, packed: testBlock}}, ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			b.extents[bad] = tt.e
			p := make([]byte, len(content))
			n, err := d.ReadAt(p, 0)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), ".x: ") {
				t.Errorf("%d: %v", n, err)
			}
			if n > int(bad+1)*testBlock || n < int(bad)*testBlock || !bytes.Equal(p[:bad*testBlock], content[:bad*testBlock]) {
				t.Errorf("%d bytes before it", n)
			}
			after := (bad + 1) * testBlock
			if n, err := d.ReadAt(p[after:], after); err != nil || !bytes.Equal(p[after:], content[after:]) {
				t.Errorf("%d bytes after it: %v", n, err)
			}
			if start, _ := d.Data(bad * testBlock); start != bad*testBlock {
				t.Errorf("it is a hole to %d", start)
			}
		})
	}
}

// candidate is a raw image as a parent.
func candidate(name string, content []byte) Candidate {
	return Candidate{name, func(ctx context.Context) (*source.Source, error) {
		return source.NewReader(ctx, name, bytes.NewReader(content), int64(len(content))), nil
	}}
}

// TestParent: a parent is one that was named, never one that the image names.
func TestParent(t *testing.T) {
	child := source.NewReader(t.Context(), "child.x", bytes.NewReader(nil), 0)
	a, b := candidate("/x/a.img", make([]byte, 1024)), candidate("b.img", make([]byte, 2048))
	lost := Candidate{"a.img", func(context.Context) (*source.Source, error) { return nil, errors.New("lost") }}
	isLarge := func(d Disk) error {
		if d.Size() != 2048 {
			return fmt.Errorf("it has %d bytes", d.Size())
		}
		return nil
	}
	refused := candidate("q", []byte("QED\x00"+strings.Repeat("x", 600)))
	for name, tt := range map[string]struct {
		o    Options
		w    wanted
		size int64
		err  string
	}{
		"none named":         {Options{}, wanted{name: `C:\vm\a.img`}, 0, `its parent "a.img", which was not named`},
		"by name":            {Options{Parents: []Candidate{b, a}}, wanted{name: "/etc/a.img"}, 1024, ""},
		"the only one":       {Options{Parents: []Candidate{b}}, wanted{name: "a.img"}, 2048, ""},
		"none with the name": {Options{Parents: []Candidate{a, b}}, wanted{name: "c.img"}, 0, `none of the parents`},
		"two of a name": {Options{Parents: []Candidate{a, lost}}, wanted{name: "/etc/a.img"}, 0,
			"several of the parents"},
		"by path":              {Options{Parents: []Candidate{lost, a}}, wanted{name: "/x/./a.img"}, 1024, ""},
		"by relative path":     {Options{Parents: []Candidate{a, lost}}, wanted{name: "a.img"}, 0, "lost"},
		"by identity":          {Options{Parents: []Candidate{a, b}}, wanted{"a.img", isLarge}, 2048, ""},
		"of another identity":  {Options{Parents: []Candidate{a}}, wanted{"a.img", isLarge}, 0, "it has 1024 bytes"},
		"none of an identity":  {Options{Parents: []Candidate{a, a}}, wanted{"a.img", isLarge}, 0, "none of the parents"},
		"cannot be opened":     {Options{Parents: []Candidate{lost}}, wanted{name: "a.img"}, 0, "lost"},
		"at the bound":         {Options{Parents: []Candidate{b}, depth: maxParents - 1}, wanted{}, 2048, ""},
		"above the bound":      {Options{Parents: []Candidate{b}, depth: maxParents}, wanted{}, 0, "more than 16"},
		"a parent of no image": {Options{Parents: []Candidate{refused}}, wanted{}, 0, "QED"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.open = Open
			d, err := tt.o.openParent(t.Context(), child, tt.w)
			switch {
			case tt.err == "" && (err != nil || d.Size() != tt.size):
				t.Errorf("%v, %v", d, err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("%v, want %s", err, tt.err)
			case tt.err != "" && !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrLimit):
				t.Errorf("%v is of no kind", err)
			}
		})
	}
}

// wrongFrom is a mapping of zeros, of which the tables are wrong from an offset on.
type wrongFrom struct{ off int64 }

func (w wrongFrom) extent(off int64) (extent, error) {
	if off >= w.off {
		return extent{}, ErrCorrupt
	}
	return extent{where: zeros, size: w.off - off}, nil
}

func (wrongFrom) unpack(_, _ []byte, _ extent) error { return nil }

// TestDataUnknown: a walk over a large part of a disk whose tables are wrong ends soon.
func TestDataUnknown(t *testing.T) {
	s := source.NewReader(t.Context(), "disk.x", bytes.NewReader(nil), 0)
	d := newMapped("x", 1<<40, wrongFrom{1000}, s)
	steps := 0
	for at := int64(0); at < d.Size(); steps++ {
		start, end := d.Data(at)
		if at == 0 && start != 1000 || at > 0 && start != at {
			t.Fatalf("at %d: data from %d to %d", at, start, end)
		}
		at = end
	}
	if steps > 5000 {
		t.Errorf("%d steps", steps)
	}
}
