package fsconform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
)

func sum(data []byte) [8]byte {
	s := sha256.Sum256(data)
	return [8]byte(s[:])
}

func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// checkPlaces compares the bytes at each place that Locate returns with those of
// the file, and with the number of the inode or record.
func checkPlaces(t *testing.T, s System) {
	image := s.Image(t)
	v := s.open(t, image)
	bytesKnown, nodesKnown := 0, 0
	for _, p := range paths(t, v) {
		info, err := v.Lstat(p)
		if err != nil {
			t.Fatal(err)
		}
		at, ok, err := v.Locate(p)
		if err != nil || ok && (at < 0 || at >= int64(len(image))) {
			t.Errorf("%s: its inode or record is at %d: %v", p, at, err)
			continue
		}
		if ok {
			nodesKnown++
			if s.Identity != nil {
				if n, says := s.Identity(image[at:]); says && n != v.Number(info) {
					t.Errorf("%s: at %d is %d, not %d", p, at, n, v.Number(info))
				}
			}
		}
		if !info.Mode().IsRegular() {
			continue
		}
		bytesKnown += checkPlacesOf(t, v, p, image)
	}
	if bytesKnown < 50 || nodesKnown < 10 && !s.InMemory {
		t.Errorf("%d places of bytes and %d of inodes or records are known: too few for this check",
			bytesKnown, nodesKnown)
	}
	if _, _, err := v.Locate("no such file"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func checkPlacesOf(t *testing.T, v Volume, p string, image []byte) (places int) {
	t.Helper()
	opened, err := v.Open(p)
	if err != nil {
		if !refused(err) {
			t.Errorf("%s: %v", p, err)
		}
		return 0
	}
	defer opened.Close()
	f := opened.(File)
	for off := int64(0); off < min(f.Size(), 1<<19); off += 512 {
		at, ok, err := f.Locate(off)
		if err != nil {
			t.Errorf("%s at %d: %v", p, off, err)
		}
		if !ok {
			continue
		}
		places++
		want := make([]byte, min(16, f.Size()-off))
		if _, err := f.ReadAt(want, off); err != nil && err != io.EOF {
			t.Errorf("%s at %d: %v", p, off, err)
		}
		if !bytes.HasPrefix(image[at:], want) {
			t.Errorf("%s at %d: other bytes are at %d", p, off, at)
		}
	}
	for _, off := range []int64{-1, f.Size(), f.Size() + 1<<40} {
		if at, ok, err := f.Locate(off); ok || err != nil {
			t.Errorf("%s: byte %d, which it does not have, is at %d: %v", p, off, at, err)
		}
	}
	return places
}

func checkJournal(t *testing.T, s System) {
	pending, err := s.open(t, s.Image(t)).Pending()
	if pending != s.Replayed || err != nil {
		t.Errorf("the journal held changes: %v, want %v; %v", pending, s.Replayed, err)
	}
}

// checkDamage changes bytes of inodes and records. No change may make a name
// fs.ErrNotExist. On a protected volume every answer is as before, or an error.
func checkDamage(t *testing.T, s System) {
	image := s.Image(t)
	v := s.open(t, image)
	names := paths(t, v)
	before := map[string]string{}
	places := map[string]int64{}
	for _, p := range names {
		d, err := describe(v, p)
		if err != nil {
			t.Fatal(err)
		}
		before[p] = d
		if at, ok, err := v.Locate(p); ok && err == nil {
			places[p] = at
		}
	}
	r := rand.New(rand.NewPCG(11, 7))
	seen, trials := 0, 60
	for range trials {
		victim := names[r.IntN(len(names))]
		at, ok := places[victim]
		if !ok {
			continue
		}
		off := at + int64(r.IntN(160))
		was := image[off]
		image[off] ^= byte(1 + r.IntN(255))
		damaged, err := s.Open(context.Background(), bytes.NewReader(image), int64(len(image)), Options{})
		if err == nil {
			for _, p := range names {
				d, err := describe(damaged, p)
				switch {
				case errors.Is(err, fs.ErrNotExist):
					t.Errorf("byte %d of %s: %s is not there any more", off-at, victim, p)
				case err != nil && !known(err):
					t.Errorf("byte %d of %s: %s: %v", off-at, victim, p, err)
				case err != nil:
					seen++
				case d != before[p] && s.Protected:
					t.Errorf("byte %d of %s: %s is %q, was %q", off-at, victim, p, d, before[p])
				}
			}
			if _, _, _, err := damaged.Totals("."); err != nil && !known(err) {
				t.Errorf("byte %d of %s: totals: %v", off-at, victim, err)
			}
			err = damaged.Close()
		}
		if err != nil && !known(err) {
			t.Errorf("byte %d of %s: %v", off-at, victim, err)
		}
		image[off] = was
	}
	if seen == 0 {
		t.Error("no damage showed")
	}
}

// checkTruncated cuts the image off at several places.
func checkTruncated(t *testing.T, s System) {
	image := s.Image(t)
	names := paths(t, s.open(t, image))
	failed := 0
	for _, part := range []int{0, 1, 5, 20, 50, 80, 95} {
		cut := image[:len(image)/100*part]
		v, err := s.Open(context.Background(), bytes.NewReader(cut), int64(len(cut)), Options{})
		if err != nil {
			if !known(err) {
				t.Errorf("%d %%: %v", part, err)
			}
			failed++
			continue
		}
		for _, p := range names {
			if _, err := describe(v, p); err != nil {
				failed++
				if errors.Is(err, fs.ErrNotExist) || !known(err) {
					t.Errorf("%d %%: %s: %v", part, p, err)
				}
			}
			if _, err := v.ReadFile(p); errors.Is(err, fs.ErrNotExist) {
				// The target of a symbolic link may be missing.
				if info, err := v.Lstat(p); err == nil && info.Mode()&fs.ModeSymlink == 0 {
					t.Errorf("%d %%: %s: %v", part, p, err)
				}
			}
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	if failed == 0 {
		t.Error("nothing failed")
	}
}

// errDisk is of a disk that fails.
var errDisk = kind.New("the disk fails", kind.IO)

// failing fails from a number of reads on.
type failing struct {
	r     io.ReaderAt
	after int64
	reads atomic.Int64
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.reads.Add(1) > f.after {
		return 0, errDisk
	}
	return f.r.ReadAt(p, off)
}

// checkReader makes the disk fail from each of the first reads on: calls that
// need the disk must fail with that error, and nothing may be absent or
// damaged.
func checkReader(t *testing.T, s System) {
	image := s.Image(t)
	names := paths(t, s.open(t, image))
	opens, fails := 0, 0
	for after := range int64(60) {
		r := &failing{r: bytes.NewReader(image), after: after}
		v, err := s.Open(context.Background(), r, int64(len(image)), Options{})
		if err != nil {
			opens++
			if !errors.Is(err, errDisk) || !errors.Is(err, kind.IO) || known(err) {
				t.Errorf("after %d reads: %v", after, err)
			}
			continue
		}
		for _, p := range names {
			if _, err := describe(v, p); err != nil {
				fails++
				if !errors.Is(err, errDisk) {
					t.Errorf("after %d reads: %s: %v", after, p, err)
				}
			}
		}
		if _, _, _, err := v.Totals("."); err != nil && !errors.Is(err, errDisk) {
			t.Errorf("after %d reads: totals: %v", after, err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	if opens == 0 || fails == 0 && !s.InMemory {
		t.Errorf("%d volumes did not open, %d names failed: too few for this check", opens, fails)
	}
}

// checkMemory gives the index less memory than it needs.
func checkMemory(t *testing.T, s System) {
	image := s.Image(t)
	for _, memory := range []int64{1, 1 << 10} {
		v, err := s.Open(context.Background(), bytes.NewReader(image), int64(len(image)), Options{Memory: memory})
		if err == nil {
			_, _, _, err = v.Totals(".")
		}
		if err == nil || !known(err) || errors.Is(err, kind.Corrupt) {
			t.Errorf("%d bytes: %v", memory, err)
		}
	}
}

var errRefused = errors.New("refused")

// checkReserve refuses memory at each reservation: everything reserved before
// must be released.
func checkReserve(t *testing.T, s System) {
	image := s.Image(t)
	for refuse := int64(1); ; refuse++ {
		var held, asked atomic.Int64
		v, err := s.Open(context.Background(), bytes.NewReader(image), int64(len(image)),
			Options{Reserve: func(n int64) error {
				if n > 0 && asked.Add(1) >= refuse {
					return errRefused
				}
				held.Add(n)
				return nil
			}})
		opened := err == nil
		if opened {
			_, _, _, err = v.Totals(".")
		}
		if asked.Load() < refuse {
			if err != nil || refuse == 1 {
				t.Errorf("nothing was refused at the request %d: %v", refuse, err)
			}
			return
		}
		if !errors.Is(err, errRefused) {
			t.Errorf("request %d: %v", refuse, err)
		}
		if opened {
			if err := v.Close(); err != nil {
				t.Errorf("request %d: %v", refuse, err)
			}
		}
		if held.Load() != 0 {
			t.Errorf("request %d: %d bytes were not given back", refuse, held.Load())
		}
		if refuse > 200 {
			return
		}
	}
}

// checkContext ends the context before and while a volume is opened.
func checkContext(t *testing.T, s System) {
	image := s.Image(t)
	for after := range int64(3) {
		ctx, cancel := context.WithCancelCause(context.Background())
		r := &ending{r: bytes.NewReader(image), after: after, end: func() { cancel(errRefused) }}
		if after == 0 {
			cancel(errRefused)
		}
		if _, err := s.Open(ctx, r, int64(len(image)), Options{}); !errors.Is(err, errRefused) {
			t.Errorf("after %d reads: %v", after, err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	v, err := s.Open(ctx, bytes.NewReader(image), int64(len(image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	cancel(errRefused)
	if _, err := v.ReadDir("."); err != nil {
		t.Errorf("after it was opened: %v", err)
	}
}

type ending struct {
	r     io.ReaderAt
	after int64
	reads atomic.Int64
	end   func()
}

func (e *ending) ReadAt(p []byte, off int64) (int, error) {
	if e.reads.Add(1) >= e.after {
		e.end()
	}
	return e.r.ReadAt(p, off)
}
