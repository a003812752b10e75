package scanner_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
	"github.com/coldcheck/coldcheck/xfs"
)

// patched is an image with other bytes at some place.
type patched struct {
	io.ReaderAt
	at    int64
	patch []byte
}

func (p patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, off)
	if from, to := max(off, p.at), min(off+int64(n), p.at+int64(len(p.patch))); from < to {
		copy(b[from-off:to-off], p.patch[from-p.at:to-p.at])
	}
	return n, err
}

// Damage to the metadata of the failing system's XFS never turns what failed
// into what passed, nor what passed into what failed: it is as it was, or
// undetermined, or the scan is refused.
func TestDamagedXFS(t *testing.T) {
	testenv.Sequential(t)
	trials := 40
	if testenv.Nightly() {
		trials = 1000
	}
	const begin, size, page = 2 << 20, 81917 << 20, 4096 // of the root partition
	var root io.ReaderAt
	var rootSize int64
	var sources []scanner.Source
	for _, i := range testcases.Find(t, "linux-xfs-failing").Images {
		r, err := i.Open()
		if err != nil {
			t.Fatal(err)
		}
		if i.Role == "root" {
			root, rootSize = r, i.Size
			continue
		}
		sources = append(sources, scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
			return source.NewReader(ctx, i.Name, r, i.Size), nil
		}})
	}
	scan := func(r io.ReaderAt) (map[string]requirement.Status, error) {
		in := scanner.Input{Images: append([]scanner.Source{{Name: "root.img",
			Open: func(ctx context.Context) (*source.Source, error) {
				return source.NewReader(ctx, "root.img", r, rootSize), nil
			}}}, sources...)}
		result, err := scanner.Scan(t.Context(), in)
		if err != nil {
			return nil, err
		}
		found := map[string]requirement.Status{}
		for _, f := range result.Findings {
			found[f.ID] = f.Status
		}
		return found, nil
	}
	want, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}

	// What is not the content of files, which has no checksums.
	volume, err := xfs.Open(context.Background(), io.NewSectionReader(root, begin, size), size, xfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := map[int64]bool{}
	if err := fs.WalkDir(volume, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		opened, err := volume.Open(path)
		if err != nil {
			return err
		}
		file := opened.(*xfs.File)
		for off := int64(0); off < min(file.Size(), 64<<20); off += page {
			if at, known, err := file.Locate(off); err != nil {
				return err
			} else if known {
				content[at/page] = true
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var places []int64
	groups := volume.Volume().Groups
	b, zero := make([]byte, page), make([]byte, page)
	for g := range groups {
		first := g * ((volume.Volume().Blocks + groups - 1) / groups)
		for n := first; n < first+(32<<20)/page; n++ {
			if content[n] {
				continue
			}
			if _, err := root.ReadAt(b, begin+n*page); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, zero) {
				places = append(places, begin+n*page)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	same, undetermined, refused := 0, 0, 0
	for range trials {
		at := places[rnd.IntN(len(places))]
		patch := make([]byte, page)
		if _, err := root.ReadAt(patch, at); err != nil {
			t.Fatal(err)
		}
		place := rnd.IntN(page)
		switch rnd.IntN(4) {
		case 0:
			patch[place] ^= 1 << rnd.IntN(8)
		case 1:
			patch[place] += byte(1 + rnd.IntN(255))
		case 2:
			copy(patch[place:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
		default:
			clear(patch)
		}
		got, err := scan(patched{root, at, patch})
		if err != nil {
			if !errors.Is(err, scanner.ErrNoSystem) {
				t.Errorf("damage at %d: %v", at+int64(place), err)
			}
			refused++
			continue
		}
		changed := false
		for id, w := range want {
			if g := got[id]; g != w {
				changed = true
				if g != requirement.Undetermined {
					t.Errorf("damage at %d: %s is %s, was %s", at+int64(place), id, g, w)
				}
			}
		}
		if changed {
			undetermined++
		} else {
			same++
		}
	}
	t.Logf("%d places; %d made no difference, %d left something undetermined, %d scans were refused", len(places), same,
		undetermined, refused)
	if undetermined == 0 {
		t.Error("that was not much of a test")
	}
}
