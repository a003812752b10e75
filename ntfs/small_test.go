package ntfs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
)

// smallImage returns a copy of the volume that testdata/make.sh made.
func smallImage(t testing.TB) []byte { return unpacked(t, unpackSmall) }

// wofImage returns a copy of the volume that testdata/wof.sh made.
func wofImage(t testing.TB) []byte { return unpacked(t, unpackWOF) }

func unpacked(t testing.TB, unpack func() ([]byte, error)) []byte {
	t.Helper()
	image, err := unpack()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(image)
}

var (
	unpackSmall = sync.OnceValues(func() ([]byte, error) { return unpackImage("testdata/small.img.gz") })
	unpackWOF   = sync.OnceValues(func() ([]byte, error) { return unpackImage("testdata/wof.img.gz") })
)

func unpackImage(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzip, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, err
	}
	image, err := io.ReadAll(unzip)
	if err != nil {
		return nil, err
	}
	for i := 2; i < len(image); i += 2 {
		binary.LittleEndian.PutUint16(image[i:],
			binary.LittleEndian.Uint16(image[i:])+binary.LittleEndian.Uint16(image[i-2:]))
	}
	return image, nil
}

// editable is an image in memory that tests edit.
type editable struct {
	t     testing.TB
	image []byte
	f     *FS // as it was before
}

func small(t testing.TB) *editable {
	t.Helper()
	return edit(t, smallImage(t))
}

func edit(t testing.TB, image []byte) *editable {
	t.Helper()
	e := &editable{t: t, image: image}
	e.f = e.open()
	return e
}

func openBytes(image []byte) (*FS, error) {
	return Open(context.Background(), bytes.NewReader(image), int64(len(image)), Options{})
}

func (e *editable) open() *FS {
	e.t.Helper()
	f, err := openBytes(e.image)
	if err != nil {
		e.t.Fatal(err)
	}
	return f
}

// inUse opens the volume as one that was not dismounted.
func (e *editable) inUse() *FS {
	e.t.Helper()
	log, err := e.f.Open("$LogFile")
	if err != nil {
		e.t.Fatal(err)
	}
	other := &editable{t: e.t, image: slices.Clone(e.image), f: e.f}
	copy(other.image[log.(*File).content.(*stream).runs[0].lcn*e.f.disk.clusterSize:], restartPage(4096, 11, 0, 0))
	f := other.open()
	if state := f.Volume().Journal.State; !state.Pending() {
		e.t.Fatalf("$LogFile is %s", state)
	}
	return f
}

// record returns the bytes of a record in the image, fixups applied as on the
// disk. $MFT must lie in one piece.
func (e *editable) record(number uint32) []byte {
	e.t.Helper()
	if len(e.f.mft.runs) != 1 {
		e.t.Fatalf("$MFT has %d runs", len(e.f.mft.runs))
	}
	size := e.f.boot.recordSize
	at := e.f.mft.runs[0].lcn*e.f.disk.clusterSize + int64(number)*int64(size)
	return e.image[at : at+int64(size)]
}

// edit changes a record without its fixups, and puts them back.
func (e *editable) edit(name string, change func(record []byte)) {
	e.t.Helper()
	e.editRecord(e.number(name), change)
}

func (e *editable) editRecord(number uint32, change func(record []byte)) {
	e.t.Helper()
	editFixed(e.t, e.record(number), change)
}

func (e *editable) number(name string) uint32 {
	e.t.Helper()
	number, err := e.f.resolve(name)
	if err != nil {
		e.t.Fatalf("%s: %v", name, err)
	}
	return number
}

func editFixed(t testing.TB, block []byte, change func([]byte)) {
	t.Helper()
	if why := fixup(block); why != readable {
		t.Fatal(why)
	}
	change(block)
	protect(block)
}

// protect does what a write does: it puts the last word of each stride into
// the update sequence array, and the update sequence number into its place.
func protect(block []byte) {
	array := int(binary.LittleEndian.Uint16(block[4:]))
	for i := 1; i <= len(block)/stride; i++ {
		copy(block[array+2*i:], block[i*stride-2:i*stride])
		copy(block[i*stride-2:], block[array:array+2])
	}
}

// freeRecord returns a record that is not in use.
func (e *editable) freeRecord() uint32 {
	e.t.Helper()
	for number := e.f.records - 1; number > 64; number-- {
		if e.f.index.node(number).flags == 0 && string(e.record(number)[:4]) == "FILE" {
			return number
		}
	}
	e.t.Fatal("every record is in use")
	return 0
}

// tear makes a record as one that was written only in part.
func (e *editable) tear(number uint32) {
	e.t.Helper()
	record := e.record(number)
	record[len(record)-1] ^= 0x55
}

// find returns the bytes of an attribute in a record whose fixups were
// applied.
func find(t testing.TB, record []byte, kind uint32, name string) []byte {
	t.Helper()
	for at := int(binary.LittleEndian.Uint16(record[20:])); at+8 < len(record); {
		buf := record[at:]
		var a attribute
		if _, why := next(buf, &a); why != readable {
			t.Fatal(why)
		}
		if a.kind == typeEnd {
			break
		}
		if a.kind == kind && a.named(name) {
			return buf[:binary.LittleEndian.Uint32(buf[4:])]
		}
		at += int(binary.LittleEndian.Uint32(buf[4:]))
	}
	t.Fatalf("no attribute 0x%X %s", kind, name)
	return nil
}

// splitIndex moves all runs of a directory's $INDEX_ALLOCATION but the first
// into an extension record, which takes a resident attribute list.
func (e *editable) splitIndex(name string) {
	e.t.Helper()
	number := e.number(name)
	free := e.freeRecord()
	record, attributes, err := e.f.readRecord(number)
	if err != nil {
		e.t.Fatal(err)
	}
	block := e.record(number)
	if why := fixup(block); why != readable {
		e.t.Fatal(why)
	}
	at := int(binary.LittleEndian.Uint16(block[20:]))
	var before, after, moved, list []byte
	for _, a := range attributes {
		raw := block[at:][:binary.LittleEndian.Uint32(block[at+4:])]
		at += len(raw)
		list = append(list, namedItem(a, 0, makeReference(number, record.sequence))...)
		if a.kind == typeIndexAllocation {
			runs, err := appendRuns(nil, a.value, 0, e.f.disk.clusters)
			if err != nil || len(runs) < 2 {
				e.t.Fatal(len(runs), err)
			}
			after = append(after, withRuns(raw, runs[:1])...)
			moved = withRuns(raw, runs[1:])
			list = append(list, namedItem(a, runs[1].vcn, makeReference(free, 0x99))...)
		} else if a.kind > typeAttributeList {
			after = append(after, raw...)
		} else {
			before = append(before, raw...)
		}
	}
	base := newRecord(int(number), record.flags, 0)
	base.buf = append(base.buf, before...)
	base.id = 0x80
	base.resident(typeAttributeList, list)
	base.buf = append(base.buf, after...)
	copy(block, base.end())
	binary.LittleEndian.PutUint16(block[16:], record.sequence)
	extension := newRecord(int(free), recordInUse, makeReference(number, record.sequence))
	extension.buf = append(extension.buf, moved...)
	binary.LittleEndian.PutUint16(extension.buf[16:], 0x99)
	copy(e.record(free), extension.end())
}

func namedItem(a attribute, vcn int64, ref reference) []byte {
	item := listItem(a.kind, vcn, ref, a.id)
	item[6] = byte(len(a.name) / 2)
	item = append(item[:26], a.name...)
	item = append(item, make([]byte, -len(item)&7)...)
	item[4] = byte(len(item))
	return item
}

// withRuns returns the attribute with other runs.
func withRuns(raw []byte, runs []run) []byte {
	pairs := binary.LittleEndian.Uint16(raw[32:])
	a := append(bytes.Clone(raw[:pairs]), encodeRuns(runs)...)
	a = append(a, make([]byte, -len(a)&7)...)
	binary.LittleEndian.PutUint32(a[4:], uint32(len(a)))
	last := runs[len(runs)-1]
	binary.LittleEndian.PutUint64(a[16:], uint64(runs[0].vcn))
	binary.LittleEndian.PutUint64(a[24:], uint64(last.vcn+last.n-1))
	if runs[0].vcn > 0 {
		clear(a[40:64]) // only the first extent tells the sizes
	}
	return a
}
