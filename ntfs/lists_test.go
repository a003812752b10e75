package ntfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
)

// listsOf returns the files of the small volume whose attribute list is not resident,
// and where on the disk it is.
func listsOf(t *testing.T, e *editable) map[string][2]int64 {
	t.Helper()
	places := map[string][2]int64{}
	for _, name := range []string{"scattered", "links/first"} {
		_, attributes, err := e.f.readRecord(e.number(name))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(attributes, func(a attribute) bool { return a.kind == typeAttributeList })
		s, err := newStream(e.f.disk, attributes[i:i+1])
		if err != nil || s.resident != nil {
			t.Fatalf("%s: the list is resident (%v)", name, err)
		}
		at, _ := s.locate(0)
		places[name] = [2]int64{at, at + s.size}
	}
	return places
}

// watched counts the reads of a range.
type watched struct {
	io.ReaderAt
	from, to int64
	reads    atomic.Int64
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	if off < w.to && off+int64(len(p)) > w.from {
		w.reads.Add(1)
	}
	return w.ReaderAt.ReadAt(p, off)
}

func openWatched(t *testing.T, e *editable, place [2]int64) (*FS, *watched) {
	t.Helper()
	w := &watched{ReaderAt: bytes.NewReader(e.image), from: place[0], to: place[1]}
	f, err := Open(context.Background(), w, int64(len(e.image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f, w
}

// An attribute list that is not resident is read when its file is asked for, and not
// before.
func TestListsWait(t *testing.T) {
	e := small(t)
	for name, place := range listsOf(t, e) {
		f, w := openWatched(t, e, place)
		if n := w.reads.Load(); n != 0 {
			t.Errorf("%s: Open has read the list %d times", name, n)
		}
		if _, err := f.Tree("."); err != nil || w.reads.Load() != 0 {
			t.Errorf("%s: Tree has read the list %d times: %v", name, w.reads.Load(), err)
		}
		if _, err := f.Stat(name); err != nil || w.reads.Load() != 1 {
			t.Errorf("%s: Stat has read the list %d times: %v", name, w.reads.Load(), err)
		}
		if _, err := f.Stat(name); err != nil || w.reads.Load() != 1 {
			t.Errorf("%s: the second Stat has read it again: %v", name, err)
		}
		if d := f.Damage(); d.Count != 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// The index has the same of each file, whether the lists were read with $MFT or not.
func TestListsSame(t *testing.T) {
	e := small(t)
	waited := e.f
	if len(waited.lists) < 2 {
		t.Fatalf("%d lists wait", len(waited.lists))
	}
	free := e.freeRecord()
	e.editRecord(free, func(r []byte) { copy(r, "BAAD") })
	e.image[e.bitmapByte(free)] |= 1 << (free % 8)
	f := e.open()
	if len(f.lists) != 0 {
		t.Fatalf("%d lists wait although a record is damaged", len(f.lists))
	}
	for c, chunk := range waited.index.chunks {
		for i := range chunk.nodes {
			a, b := chunk.nodes[i], f.index.chunks[c].nodes[i]
			a.flags &^= nodeListed
			if a.flags&nodeDir != 0 && b.flags&nodeDir != 0 { // fingerprints differ by the seed
				a.size, a.allocated, b.size, b.allocated = 0, 0, 0, 0
			}
			if a != b && uint32(c*chunkRecords+i) != free {
				t.Errorf("record %d: %+v, with lists %+v", c*chunkRecords+i, a, b)
			}
		}
	}
	a, err := waited.Tree(".")
	b, err2 := f.Tree(".")
	if a.Files != b.Files || a.Size != b.Size || a.StreamSize != b.StreamSize || a.Links != b.Links || err != nil ||
		err2 != nil {
		t.Errorf("%+v, with lists %+v (%v, %v)", a, b, err, err2)
	}
}

// bitmapByte returns where the bit of a record is in the image.
func (e *editable) bitmapByte(record uint32) int64 {
	e.t.Helper()
	ino, err := e.f.load(recordMFT)
	if err != nil {
		e.t.Fatal(err)
	}
	s, err := ino.need(e.f.disk, typeBitmap, "")
	if err != nil {
		e.t.Fatal(err)
	}
	at, ok := s.locate(int64(record / 8))
	if !ok {
		e.t.Fatal("the bitmap of $MFT is resident")
	}
	return at
}

// A list that does not say what the records say makes its file damaged once somebody
// asks for it.
func TestListDamagedLater(t *testing.T) {
	for name, test := range map[string]struct {
		change func(list []byte, base uint32)
		want   reason
	}{
		"zeros": {func(list []byte, base uint32) { clear(list) }, reasonList},
		"another sequence": {func(list []byte, base uint32) {
			lastEntry(list, base)[22]++
		}, reasonExtension},
		"another record": {func(list []byte, base uint32) {
			binary.LittleEndian.PutUint32(lastEntry(list, base)[16:], recordRoot)
		}, reasonExtension},
		"one extension twice": {func(list []byte, base uint32) { // and another one not at all
			var refs []reference
			each(list, func(entry []byte) {
				if r := reference(binary.LittleEndian.Uint64(entry[16:])); !slices.Contains(refs, r) {
					refs = append(refs, r)
				}
			})
			each(list, func(entry []byte) {
				if reference(binary.LittleEndian.Uint64(entry[16:])) == refs[len(refs)-1] {
					binary.LittleEndian.PutUint64(entry[16:], uint64(refs[len(refs)-2]))
				}
			})
		}, reasonList},
	} {
		t.Run(name, func(t *testing.T) {
			for file, place := range listsOf(t, small(t)) {
				e := small(t)
				test.change(e.image[place[0]:place[1]], e.number(file))
				f := e.open()
				if d := f.Damage(); d.Count != 0 {
					t.Fatalf("%s: Open has read the list: %+v", file, d)
				}
				for range 2 {
					if _, err := f.Stat(file); !errors.Is(err, ErrCorrupt) {
						t.Errorf("%s: %v", file, err)
					}
				}
				if _, err := f.ReadFile(file); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", file, err)
				}
				want := []DamagedRecord{{uint64(e.number(file)), test.want.Error()}}
				if d := f.Damage(); d.Count != 1 || !slices.Equal(d.Records, want) {
					t.Errorf("%s: %+v, want %v", file, d, want)
				}
			}
		})
	}
}

func each(list []byte, fn func(entry []byte)) {
	for len(list) > 0 {
		n := binary.LittleEndian.Uint16(list[4:])
		fn(list[:n])
		list = list[n:]
	}
}

// lastEntry returns the last entry that names an extension record.
func lastEntry(list []byte, base uint32) (last []byte) {
	each(list, func(entry []byte) {
		if binary.LittleEndian.Uint32(entry[16:]) != base {
			last = entry
		}
	})
	return last
}

// A read error does not count as damage. It is not remembered: the next call reads again.
func TestListReadError(t *testing.T) {
	e := small(t)
	for name, place := range listsOf(t, e) {
		r := &failing{bytes.NewReader(e.image), place[0], place[1]}
		f, err := Open(context.Background(), r, int64(len(e.image)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Stat(name); !errors.Is(err, errSpot) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		r.from, r.to = 0, 0
		if _, err := f.Stat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A list is read with $MFT if its length does not fit the attributes of the records, if
// changes may be missing, or if it is past the end of the image.
func TestListsNow(t *testing.T) {
	e := small(t)
	base := e.number("links/first")
	extension := uint32(0)
	for i := range e.f.records {
		if e.f.index.extends(i, base) {
			extension = i
		}
	}
	for name, change := range map[string]func(e *editable){
		"an extension is another's": func(e *editable) {
			e.editRecord(extension, func(r []byte) { r[32]++ })
		},
		"an attribute is missing": func(e *editable) {
			e.editRecord(extension, func(r []byte) { // the end comes first
				binary.LittleEndian.PutUint32(r[binary.LittleEndian.Uint16(r[20:]):], typeEnd)
			})
		},
		"the list is longer": func(e *editable) {
			e.edit("links/first", func(r []byte) {
				a := find(t, r, typeAttributeList, "")
				binary.LittleEndian.PutUint64(a[48:], binary.LittleEndian.Uint64(a[48:])+8)
			})
		},
	} {
		e := small(t)
		before := len(e.f.lists)
		change(e)
		if f := e.open(); len(f.lists) != before-1 {
			t.Errorf("%s: %d lists wait, before %d", name, len(f.lists), before)
		}
	}
	log := restartPage(4096, 11, 0, 0)
	file, err := e.f.Open("$LogFile")
	if err != nil {
		t.Fatal(err)
	}
	copy(e.image[file.(*File).content.(*stream).runs[0].lcn*e.f.disk.clusterSize:], log)
	if f := e.open(); len(f.lists) != 0 || f.journal.State != JournalFailed {
		t.Errorf("%d lists wait, $LogFile is %v", len(f.lists), f.journal.State)
	}
}
