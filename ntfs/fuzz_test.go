package ntfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"
)

func FuzzBoot(f *testing.F) {
	f.Add(bootSector(1000))
	f.Add(smallImage(f)[:512])
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < bootSize {
			return
		}
		b, err := parseBoot(data)
		if err != nil {
			wantKind(t, err)
			return
		}
		if !powerOfTwo(b.clusterSize, minCluster, maxCluster) || b.clusters < 1 || b.mft <= 0 || b.mft >= b.size {
			t.Errorf("%+v", b)
		}
	})
}

// wantKind fails on an error that is of no kind, or of a kind that it must
// not be.
func wantKind(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrEncrypted) {
		t.Errorf("%v is of no kind", err)
	}
}

// FuzzRecord puts a record into the place of one of the small volume, with its
// fixups repaired, and reads all of the volume.
func FuzzRecord(f *testing.F) {
	e := small(f)
	for _, name := range []string{"text", "scattered", "links", "links/first", "many", "streams", "packed/mixed",
		"junction", "long symlink", "wof", "sparse"} {
		record := bytes.Clone(e.record(e.number(name)))
		fixup(record)
		f.Add(record, uint16(e.number(name)))
	}
	for _, number := range []uint16{recordMFT, recordVolume, recordRoot, recordBitmap, recordUpcase} {
		record := bytes.Clone(e.record(uint32(number)))
		fixup(record)
		f.Add(record, number)
	}
	image := bytes.Clone(e.image)
	f.Fuzz(func(t *testing.T, record []byte, number uint16) {
		if len(record) > 1024 || uint32(number) >= e.f.records {
			return
		}
		e.t = t
		place := e.record(uint32(number))
		defer copy(e.image, image) // what others read
		clear(place)
		copy(place, record)
		if array := int(binary.LittleEndian.Uint16(place[4:])); array+6 <= len(place) &&
			binary.LittleEndian.Uint16(place[6:]) == 3 {
			protect(place)
		}
		useVolume(t, e.image)
	})
}

// FuzzVolume changes bytes of the small volume, four bytes of input for each:
// an offset, a record and the new value. The records' fixups are repaired. In
// place of record 255 stands whatever else is on the volume.
func FuzzVolume(f *testing.F) {
	e := small(f)
	whole := bytes.Clone(e.image)
	f.Add([]byte{})
	f.Add([]byte{22, 0, 40, 0, 16, 0, 41, 7, 0x00, 0x10, 255, 9})
	f.Fuzz(func(t *testing.T, edits []byte) {
		if len(edits) > 400 {
			return
		}
		e.t = t
		defer copy(e.image, whole)
		for ; len(edits) >= 4; edits = edits[4:] {
			at, record, value := int(binary.LittleEndian.Uint16(edits)), uint32(edits[2]), edits[3]
			if record == 255 || record >= e.f.records {
				e.image[at*64%len(e.image)] = value
				continue
			}
			place := e.record(record)
			fixed := fixup(place) == readable
			place[at%len(place)] = value
			if fixed && binary.LittleEndian.Uint16(place[4:]) == 48 {
				protect(place)
			}
		}
		useVolume(t, e.image)
	})
}

// useVolume does with a volume all that can be done.
func useVolume(t *testing.T, image []byte) {
	t.Helper()
	v, err := Open(context.Background(), bytes.NewReader(image), int64(len(image)), Options{Memory: 8 << 20, Readers: 1})
	if err != nil {
		wantKind(t, err)
		return
	}
	v.Volume()
	v.Damage()
	if free, err := v.Free(); err == nil && (free < 0 || free > v.Volume().Size) {
		t.Errorf("%d bytes free", free)
	}
	if _, err := v.Tree("."); err != nil {
		wantKind(t, err)
	}
	if _, err := v.Walk(".", func([]byte, *Entry) error { return nil }); err != nil {
		wantKind(t, err)
	}
	buf := make([]byte, 10000)
	entries := 0
	err = fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			wantKind(t, err)
			return nil
		}
		if entries++; entries > 2000 {
			return fs.SkipAll // directories may be their own ancestors
		}
		info, err := d.Info()
		if err != nil {
			wantKind(t, err)
			return nil
		}
		if info.Size() < 0 {
			t.Errorf("%s: %d bytes", name, info.Size())
		}
		if _, err := v.Streams(name); err != nil {
			wantKind(t, err)
		}
		if _, err := v.Reparse(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			wantKind(t, err)
		}
		if _, err := v.SecurityDescriptor(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			wantKind(t, err)
		}
		if d.IsDir() {
			return nil
		}
		file, err := v.Open(name)
		if err != nil {
			wantKind(t, err)
			return nil
		}
		for range 3 {
			if _, err := file.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				wantKind(t, err)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := v.Stat("no such name"); !errors.Is(err, fs.ErrNotExist) {
		wantKind(t, err)
	}
}

func FuzzAttributeList(f *testing.F) {
	f.Add(listItem(typeData, 0, makeReference(30, 1), 1))
	e := small(f)
	for _, name := range []string{"scattered", "links/first"} {
		_, attributes, err := e.f.readRecord(e.number(name))
		if err != nil {
			f.Fatal(err)
		}
		list, err := readList(e.f.disk, attributes)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		entries := 0
		for rest := list; len(rest) > 0; entries++ {
			before := len(rest)
			var why reason
			if _, rest, why = nextListEntry(rest); why != readable {
				break
			}
			if len(rest) >= before {
				t.Fatal("no progress")
			}
		}
		parts, _ := appendParts(nil, 5, list)
		if len(parts) > entries {
			t.Errorf("%d parts of %d entries", len(parts), entries)
		}
	})
}

func FuzzRuns(f *testing.F) {
	f.Add([]byte("\x31\x38\x73\x25\x34\x32\x14\x01\xE5\x11\x02\x31\x42\xAA\x00\x03\x00"), int64(0), int64(1<<30))
	f.Add([]byte("\x11\x30\x20\x01\x60\x11\x10\x30\x00"), int64(5), int64(200))
	f.Add([]byte("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x00"), int64(1), int64(200))
	f.Fuzz(func(t *testing.T, pairs []byte, vcn, clusters int64) {
		if vcn < 0 || clusters < 0 {
			return
		}
		runs, err := appendRuns(nil, pairs, vcn, clusters)
		if err != nil {
			wantKind(t, err)
			return
		}
		for _, r := range runs {
			if r.vcn != vcn || r.n <= 0 || r.lcn != hole && (r.lcn < 0 || r.lcn > clusters-r.n) {
				t.Fatalf("%+v", runs)
			}
			vcn += r.n
		}
		// Run lists are read back as they are written.
		for i := range runs {
			if runs[i].lcn == hole || runs[i].n >= 1<<23 || runs[i].lcn >= 1<<22 {
				return
			}
		}
		again, err := appendRuns(nil, encodeRuns(runs), vcn, clusters)
		if err != nil || len(again) != len(runs) {
			t.Fatalf("%+v, then %+v, %v", runs, again, err)
		}
	})
}

func FuzzLZNT1(f *testing.F) {
	f.Add([]byte("\x03\xB0\x02\x20\xFC\x0F"))
	f.Add([]byte("\x1E\xB0\x00#include\x00 <ntfs.h\x04>\n\x07\x88stdio\x01\x01\x48"))
	f.Add([]byte("\x03\x30abcd\x00\x00"))
	f.Fuzz(func(t *testing.T, src []byte) {
		dst := bytes.Repeat([]byte{'x'}, 16<<10)
		if err := decompressLZNT1(dst, src); err != nil {
			wantKind(t, err)
			return
		}
		again := make([]byte, len(dst))
		if err := decompressLZNT1(again, src); err != nil || !bytes.Equal(dst, again) {
			t.Errorf("what dst held before is in the result: %v", err)
		}
	})
}

func FuzzReparse(f *testing.F) {
	f.Add(linkReparse(TagSymlink, `..\a`, `a`, true))
	f.Add(linkReparse(TagMountPoint, `\??\C:\`, ``, false))
	f.Add(reparseData(TagWOF, []byte("\x01\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00")))
	f.Add(reparseData(TagLXSymlink, []byte("\x02\x00\x00\x00/etc")))
	f.Add(append(reparseData(0x1234, nil), make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := parseReparse(value)
		if err != nil {
			wantKind(t, err)
			return
		}
		if len(r.Data) > len(value)-8 {
			t.Errorf("%d bytes of data in %d", len(r.Data), len(value))
		}
		r.Target()
		if _, err := r.wof(); err != nil {
			wantKind(t, err)
		}
	})
}

func FuzzXPRESS(f *testing.F) {
	f.Add(alphabetXPRESS(f), uint16(26))
	f.Add(abcXPRESS(f), uint16(300))
	addChunks(f, "XPRESS4K/text", "XPRESS8K/calls", "XPRESS16K/short")
	fuzzChunk(f, (*decoder).xpress, 16<<10)
}

func FuzzLZX(f *testing.F) {
	for _, c := range lzxCases() {
		f.Add(c.src, uint16(max(c.n, len(c.want))))
	}
	addChunks(f, "LZX/text", "LZX/calls", "LZX/short")
	fuzzChunk(f, (*decoder).lzx, lzxChunk)
}

// addChunks adds the first chunks of files of the packed volume.
func addChunks(f *testing.F, names ...string) {
	volume := edit(f, wofImage(f)).f
	for _, name := range names {
		o := openOverlay(f, volume, name)
		f.Add(storedChunk(f, o, 0), uint16(min(o.size, o.chunk)))
	}
}

// fuzzChunk makes sure that a chunk is decoded in the same way by a new decoder
// and by one that was used, and whatever the buffer held before.
func fuzzChunk(f *testing.F, unpack func(*decoder, []byte, []byte) error, largest int) {
	used := new(decoder)
	f.Fuzz(func(t *testing.T, src []byte, size uint16) {
		n := min(int(size), largest)
		if len(src) >= largest {
			return
		}
		dst, again := bytes.Repeat([]byte{'x'}, n), make([]byte, n)
		before := bytes.Clone(src)
		err := unpack(used, dst, src)
		if err != nil {
			wantKind(t, err)
		}
		if err2 := unpack(new(decoder), again, src); (err == nil) != (err2 == nil) || err == nil && !bytes.Equal(dst, again) {
			t.Errorf("%v, then %v", err, err2)
		}
		if !bytes.Equal(src, before) {
			t.Error("the source was changed")
		}
	})
}

// FuzzWOF reads a file of the given size in pieces and as a whole.
func FuzzWOF(f *testing.F) {
	volume := edit(f, wofImage(f)).f
	for i := range wofAlgorithms {
		for _, name := range []string{"short", "mixed"} {
			o := openOverlay(f, volume, wofAlgorithms[i].name+"/"+name)
			stored, err := o.stored.readAll(1 << 20)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wofReparse(i)[8:], stored, uint64(o.size))
		}
	}
	f.Add(wofReparse(1)[8:], storedStream(&wofAlgorithms[1], noise(40000)), uint64(40000))
	f.Add(wofReparse(0)[8:], make([]byte, 100), uint64(1)<<33)
	f.Fuzz(func(t *testing.T, data, stored []byte, size uint64) {
		algorithm, err := Reparse{Tag: TagWOF, Data: data}.wof()
		if err != nil {
			wantKind(t, err)
			return
		}
		if size > math.MaxInt64 {
			return
		}
		o, err := newOverlay(algorithm, &stream{resident: append([]byte{}, stored...), size: int64(len(stored))}, int64(size))
		if err != nil {
			wantKind(t, err)
			return
		}
		// The ends of a large file, all of a small one.
		var got, bad []byte
		step := algorithm.chunk/2 + 1
		for at := int64(0); at < o.size; at += step {
			if at > 1<<20 && at < o.size-1<<17 {
				at = o.size - 1<<17
			}
			p := make([]byte, min(step, o.size-at))
			if err := o.readAt(p, at); err != nil {
				wantKind(t, err)
				bad = append(bad, 1)
			}
			got = append(got, p...)
		}
		if o.size > 1<<20 {
			return
		}
		whole := make([]byte, o.size)
		if err := o.readAt(whole, 0); (err != nil) != (len(bad) > 0) || err == nil && !bytes.Equal(whole, got) {
			t.Errorf("%d bad pieces, but: %v", len(bad), err)
		}
	})
}

func FuzzIndexBlock(f *testing.F) {
	e := small(f)
	ino, err := e.f.load(e.number("many"))
	if err != nil {
		f.Fatal(err)
	}
	s, err := ino.stream(e.f.disk, typeIndexAllocation, "$I30")
	if err != nil {
		f.Fatal(err)
	}
	for at := int64(0); at < 20; at += 4 {
		block := make([]byte, 4096)
		if err := s.readAt(block, at*1024); err != nil {
			f.Fatal(err)
		}
		f.Add(block, at)
	}
	many := e.number("many")
	f.Fuzz(func(t *testing.T, block []byte, vcn int64) {
		if len(block) > 4096 {
			return
		}
		block = append(block, make([]byte, 4096-len(block))...)
		if array := int(binary.LittleEndian.Uint16(block[4:])); array+18 <= len(block) {
			binary.LittleEndian.PutUint16(block[6:], 9)
			protect(block)
		}
		node, err := indexBlock(block, vcn)
		if err != nil {
			wantKind(t, err)
			return
		}
		// The block is the root of an index that is as large as the volume's.
		w, err := e.f.openFolder(many)
		if err != nil {
			t.Fatal(err)
		}
		w.root = node
		names := map[string]bool{}
		_, err = w.each(func(_ reference, fn fileName) error {
			names[decodeName(fn.name)] = true
			return nil
		})
		if err != nil {
			wantKind(t, err)
		}
		if len(names) > (len(w.bitmap)*8+1)*4096/80 {
			t.Errorf("%d names", len(names))
		}
		// Of a whole tree a search finds every name, and no other.
		for name := range names {
			_, folded := e.f.up.foldName(name)
			found, findErr := w.find(folded)
			if err == nil && findErr == nil && len(found) == 0 && !strings.Contains(name, "\uFFFD") {
				t.Errorf("%q is in the index and not found", name)
			}
			if err == nil && findErr != nil && !errors.Is(findErr, errTwins) && !errors.Is(findErr, ErrCorrupt) {
				t.Errorf("%q: %v", name, findErr)
			}
		}
		if _, err := w.find([]uint16{'N', 'O'}); err != nil {
			wantKind(t, err)
		}
	})
}

func FuzzLogFile(f *testing.F) {
	f.Add(restartPage(4096, 10, logIsClean, 0))
	f.Add(append(restartPage(512, 10, 0, 0), restartPage(512, 11, logIsClean, logNoClient)...))
	f.Fuzz(func(t *testing.T, head []byte) {
		switch state, _ := parseLog(head); state {
		case JournalClean, JournalFailed, JournalEmpty, JournalCorrupt:
		default:
			t.Error(state)
		}
	})
}
