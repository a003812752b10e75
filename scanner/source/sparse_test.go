package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// holes is a file of which some pages are holes. Reading them is an error.
type holes struct {
	t       *testing.T
	content []byte
	data    []bool // by pages
	strict  bool   // no hole of minHole bytes may be read
}

const testPage = 4096

func newHoles(t *testing.T, pages int, isData func(page int) bool) *holes {
	h := &holes{t: t, content: make([]byte, pages*testPage), strict: true}
	for p := range pages {
		h.data = append(h.data, isData(p))
		if h.data[p] {
			for i := range testPage {
				h.content[p*testPage+i] = byte(1 + p + i)
			}
		}
	}
	return h
}

func (h *holes) ReadAt(p []byte, off int64) (int, error) {
	empty := 0
	for page := int(off / testPage); page <= int(off+int64(len(p))-1)/testPage && page < len(h.data); page++ {
		if empty++; h.data[page] {
			empty = 0
		}
		if h.strict && empty > minHole/testPage+1 { // a piece that is too small may begin and end within a page
			h.t.Errorf("%d bytes at %d: a hole was read", len(p), off)
		}
	}
	return bytes.NewReader(h.content).ReadAt(p, off)
}

// seek is lseek(2) with SEEK_DATA or SEEK_HOLE.
func (h *holes) seek(off int64, data bool) (int64, error) {
	if off >= int64(len(h.content)) {
		return endOfFile, nil
	}
	if page := int(off / testPage); h.data[page] == data {
		return off, nil
	}
	for page := int(off/testPage) + 1; page < len(h.data); page++ {
		if h.data[page] == data {
			return int64(page) * testPage, nil
		}
	}
	if data {
		return endOfFile, nil
	}
	return int64(len(h.content)), nil
}

func (h *holes) skipper() *holeSkipper {
	return &holeSkipper{r: h, size: int64(len(h.content)), holeFinder: &holeFinder{
		data: func(off int64) (int64, error) { return h.seek(off, true) },
		hole: func(off int64) (int64, error) { return h.seek(off, false) }}}
}

func TestSparse(t *testing.T) {
	const pages, most = 200, minHole / testPage
	for name, isData := range map[string]func(int) bool{
		"none":            func(int) bool { return false },
		"all":             func(int) bool { return true },
		"the middle":      func(p int) bool { return p >= 60 && p < 140 },
		"the ends":        func(p int) bool { return p < 60 || p >= 140 },
		"small holes":     func(p int) bool { return p%most == 0 },
		"smallest hole":   func(p int) bool { return p < 60 || p >= 60+most },
		"below smallest":  func(p int) bool { return p < 60 || p >= 60+most-1 },
		"single pages":    func(p int) bool { return p%50 == 49 },
		"holes and holes": func(p int) bool { return p < 40 || p >= 80 && p < 90 || p >= 120 && p%5 > 0 },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHoles(t, pages, isData)
			random := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				off := random.Int64N(pages * testPage)
				p := bytes.Repeat([]byte{0xEE}, int(1+random.Int64N(pages*testPage-off)))
				if n, err := h.skipper().ReadAt(p, off); n != len(p) || err != nil && err != io.EOF {
					t.Fatalf("%d of %d bytes at %d: %v", n, len(p), off, err)
				}
				if !bytes.Equal(p, h.content[off:][:len(p)]) {
					t.Fatalf("%d bytes at %d are not those of the file", len(p), off)
				}
			}
		})
	}
}

// The system is asked once for the end of each extent of data, as long as not too many
// others were found since.
func TestSparseRemembers(t *testing.T) {
	const extents = len(dataExtents{}.list)
	for _, tt := range []struct{ extents, want int }{
		{1, 1}, {extents, extents}, {extents + 1, 3 * (extents + 1)},
	} {
		h := newHoles(t, tt.extents*100, func(p int) bool { return p%100 < 50 })
		s, asked := h.skipper(), 0
		find := s.hole
		s.hole = func(off int64) (int64, error) { asked++; return find(off) }
		for range 3 {
			for n := range tt.extents {
				for piece := range 2 { // the second is within what is known
					off := int64(n*100+20*piece) * testPage
					p := make([]byte, 20*testPage)
					if _, err := s.ReadAt(p, off); err != nil || !bytes.Equal(p, h.content[off:][:len(p)]) {
						t.Fatalf("at %d: %v", off, err)
					}
				}
			}
		}
		if asked != tt.want {
			t.Errorf("%d extents: asked %d times, want %d", tt.extents, asked, tt.want)
		}
	}
}

// A file that has become shorter must not look as if its end were a hole.
func TestSparseShorter(t *testing.T) {
	h := newHoles(t, 200, func(p int) bool { return p < 10 })
	s := h.skipper()
	h.content, h.data, h.strict = h.content[:100*testPage], h.data[:100], false
	for _, off := range []int64{20 * testPage, 99 * testPage, 150 * testPage} {
		want := max(0, 100*testPage-int(off))
		if n, err := s.ReadAt(make([]byte, 50*testPage), off); off == 20*testPage && (n != 50*testPage || err != nil) ||
			off > 20*testPage && (n != want || err == nil) {
			t.Errorf("at %d: %d bytes, %v", off, n, err)
		}
	}
}

// Unknown ranges are read, and invalid answers end the search for holes.
func TestSparseUnknown(t *testing.T) {
	h := newHoles(t, 100, func(p int) bool { return p%20 == 0 })
	h.strict = false
	for name, answer := range map[string]func(int64) (int64, error){
		"error":  func(int64) (int64, error) { return 0, errors.ErrUnsupported },
		"before": func(off int64) (int64, error) { return off - 1, nil },
		"same":   func(off int64) (int64, error) { return off, nil },
	} {
		s := h.skipper()
		s.data, s.hole = answer, answer
		p := make([]byte, len(h.content))
		if n, err := s.ReadAt(p, 0); n != len(p) || err != nil || !slices.Equal(p, h.content) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	s := h.skipper()
	s.r = unreadable{}
	if _, err := s.ReadAt(make([]byte, len(h.content)), 0); !errors.Is(err, errUnreadable) {
		t.Error(err)
	}
}

type unreadable struct{}

var errUnreadable = fmt.Errorf("this disk cannot be read")

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errUnreadable }
