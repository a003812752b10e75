package ext4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// state is what a volume shows: what is at each path, and what each directory
// has. Errors take the place of what cannot be read.
type state map[string]string

const lost = "?"

func stateOf(f *FS, paths []string) state {
	s := state{}
	record := func(key, value string, err error) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			value = "not there"
		case err != nil && recoverable(err):
			value = lost
		case err != nil:
			value = err.Error()
		}
		s[key] = value
	}
	for _, path := range paths {
		info, err := f.Lstat(path)
		if err != nil {
			record(path, "", err)
			continue
		}
		e := *info.Sys().(*Entry)
		record(path, fmt.Sprintf("%+v", e), nil)
		switch {
		case info.IsDir():
			list, err := f.ReadDir(path)
			names := make([]string, len(list))
			for i, d := range list {
				names[i] = d.Name() + " " + d.Type().String()
			}
			record(path+" lists", strings.Join(names, "\n"), err)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := f.ReadLink(path)
			record(path+" says", target, err)
		case info.Mode().IsRegular():
			file, err := f.Open(path)
			if err == nil {
				var sum string
				sum, err = digestOf(file)
				record(path+" holds", sum, err)
			}
		}
		list, err := f.LXattrs(path)
		record(path+" attributes", fmt.Sprint(list), err)
	}
	usage, err := f.Usage()
	record("usage", fmt.Sprintf("%+v", usage), err)
	totals, err := f.Tree(".")
	if err == nil && totals.Damaged > 0 {
		err = ErrCorrupt
	}
	record("tree", fmt.Sprintf("%+v", totals), err)
	return s
}

func pathsOf(t testing.TB, f *FS) []string {
	t.Helper()
	var paths []string
	err := fs.WalkDir(f, ".", func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// dataBlocks are the blocks of the content of regular files, which have no
// checksums.
func dataBlocks(t testing.TB, f *FS, paths []string) map[uint64]bool {
	t.Helper()
	blocks := map[uint64]bool{}
	for _, path := range paths {
		i, err := f.resolve(path, false)
		if err != nil {
			t.Fatal(err)
		}
		if i.kind() == modeDir || i.has(flagInline) || i.kind() == modeSymlink && f.fast(i) {
			continue
		}
		m := newBlockMap(f.disk, &f.super, i)
		for at := uint64(0); at < i.size(&f.super)>>f.super.blockBits+1; {
			r, err := m.find(at)
			if err != nil {
				t.Fatal(err)
			}
			for k := uint64(0); r.data() && k < r.count; k++ {
				blocks[r.physical+k] = true
			}
			at += r.count
		}
	}
	return blocks
}

// On a volume with checksums all damage to metadata is detected: everything
// reads as before or gives an error; no existing name is reported as missing,
// and nothing wrong is shown.
func TestDamageIsSeen(t *testing.T) {
	trials := 300
	if testenv.Nightly() {
		trials = 2000
	}
	for _, name := range []string{"ext4", "dirty"} {
		t.Run(name, func(t *testing.T) {
			raw := unpack(t, name)
			f := openBytes(t, raw)
			paths := pathsOf(t, f)
			want := stateOf(f, paths)
			data := dataBlocks(t, f, paths)
			size := 1 << f.super.blockBits
			var candidates []int
			for at := 0; at < len(raw); at += size {
				if !data[uint64(at/size)] && !bytes.Equal(raw[at:at+size], make([]byte, size)) {
					candidates = append(candidates, at)
				}
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			same, seen, refused := 0, 0, 0
			damaged := slices.Clone(raw)
			for range trials {
				// Some bytes of one block: one bit, one byte, a number, or all.
				at := candidates[rnd.IntN(len(candidates))]
				place := at + rnd.IntN(size)
				n := 1
				switch rnd.IntN(4) {
				case 0:
					damaged[place] ^= 1 << rnd.IntN(8)
				case 1:
					damaged[place] = byte(rnd.Uint32())
				case 2:
					place &^= 3
					n = 4
					le.PutUint32(damaged[place:], rnd.Uint32())
				case 3:
					place, n = at, size
					clear(damaged[at : at+size])
				}
				f, err := Open(context.Background(), bytes.NewReader(damaged), int64(len(damaged)), Options{})
				if err != nil {
					refused++
				} else {
					got := stateOf(f, paths)
					equal := true
					for key, w := range want {
						g, ok := got[key]
						if g != w {
							equal = false
							// Of what cannot be described nothing else is asked.
							if ok && g != lost && !lastCommit(f, raw, at, size) {
								t.Errorf("%d bytes at %d (block %d, %d): %s is\n%s\ninstead of\n%s", n, place, at/size, place-at, key, g, w)
							}
						}
					}
					if equal {
						same++
					} else {
						seen++
					}
				}
				copy(damaged[place:place+n], raw[place:])
				if t.Failed() {
					t.FailNow()
				}
			}
			t.Logf("%d damaged blocks: %d made no difference, %d were seen, %d volumes were refused", trials, same, seen,
				refused)
			if seen == 0 || refused == 0 {
				t.Error("that was not much of a test")
			}
		})
	}
}

// lastCommit reports whether a block is the commit of the last transaction:
// without it, the transaction was never committed.
func lastCommit(f *FS, raw []byte, at, size int) bool {
	b := raw[at : at+size]
	j := f.Volume().Journal
	return be.Uint32(b) == journalMagic && be.Uint32(b[4:]) == journalCommit && be.Uint32(b[8:]) == j.Last+1
}

// counter counts the bytes that are read through it.
type counter struct {
	*bytes.Reader
	bytes atomic.Int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.bytes.Add(int64(n))
	return n, err
}

// Reading a damaged volume without checksums comes to an end, and within
// memory, whatever it shows. How much is read bounds the time.
func TestDamageIsSurvived(t *testing.T) {
	const limit = 4 << 20 // bytes
	most := int64(0)
	defer func() { t.Logf("at most %d bytes read", most) }()
	trials := 500
	if testing.Short() {
		trials = 100
	}
	raw := unpack(t, "ext2")
	rnd := rand.New(rand.NewPCG(3, 4))
	for range trials {
		damaged := slices.Clone(raw)
		for range 1 + rnd.IntN(20) {
			at := rnd.IntN(300 << 10)
			switch rnd.IntN(3) {
			case 0:
				damaged[at] = byte(rnd.Uint32())
			case 1:
				le.PutUint32(damaged[at&^3:], rnd.Uint32N(3000))
			case 2:
				le.PutUint32(damaged[at&^3:], rnd.Uint32())
			}
		}
		r := &counter{Reader: bytes.NewReader(damaged)}
		if f, err := Open(context.Background(), r, int64(len(damaged)), Options{}); err == nil {
			use(f)
		}
		most = max(most, r.bytes.Load())
		if r.bytes.Load() > limit {
			t.Fatalf("reads %d bytes of an image of %d", r.bytes.Load(), len(damaged))
		}
	}
}

// use reads all of a volume that it can, and counts what it cannot.
func use(f *FS) (read, refused int) {
	count := func(err error) {
		if err != nil {
			refused++
		} else {
			read++
		}
	}
	buf := make([]byte, 1<<20)
	fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		count(err)
		if err != nil {
			return nil
		}
		_, err = d.Info()
		count(err)
		_, err = f.LXattrs(path)
		count(err)
		if d.Type()&fs.ModeSymlink != 0 {
			_, err = f.ReadLink(path)
			count(err)
		}
		if d.Type().IsRegular() {
			count(readSome(f, path, buf))
		}
		return nil
	})
	_, err := f.Tree(".")
	count(err)
	_, err = f.Usage()
	count(err)
	return read, refused
}

// readSome reads the begin, the middle and the end of a file.
func readSome(f *FS, path string, p []byte) error {
	file, err := f.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	size := file.(*File).Size()
	for _, at := range []int64{0, int64(len(p)), size / 2, size - int64(len(p))} {
		if _, err := file.(*File).ReadAt(p, max(0, at)); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}
