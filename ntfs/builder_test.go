package ntfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unicode/utf16"
)

// builder makes volumes that no tool makes: crafted ones, and large ones for
// benchmarks. They have what this package reads: records, and the indexes of
// directories. Clusters are of 1 KiB, as the records are.
type builder struct {
	files         []file
	scatter       bool // $MFT is in pieces of 16 records
	mftExtensions int  // extension records that $MFT's runs are spread over
}

const (
	firstFile      = 24 // the record of the first file
	firstExtension = 16 // the record of $MFT's first extension record
)

// file is a record in use. Records are counted from 24 on.
type file struct {
	name           string
	units          []uint16 // instead of the name
	parent         int      // record
	parentSequence uint16   // 1 if 0
	dir, dos       bool
	data           []byte
	more           []link
}

type link struct {
	name   string
	parent int
	dos    bool
}

// add returns the record that the file will have; b.files has it at that
// index too.
func (b *builder) add(f file) int {
	if b.files == nil {
		b.files = make([]file, firstFile)
	}
	b.files = append(b.files, f)
	return len(b.files) - 1
}

const builderMFT = 100 // first cluster of $MFT

// cluster returns where a record lies.
func (b *builder) cluster(record int) int {
	if b.scatter && record >= firstFile {
		return builderMFT + record + record/16%2*len(b.files)
	}
	return builderMFT + record
}

func (b *builder) recordAt(record int) int { return 1024 * b.cluster(record) }

func (b *builder) open(t testing.TB) *FS {
	t.Helper()
	image := b.image()
	f, err := Open(context.Background(), bytes.NewReader(image), int64(len(image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (b *builder) image() []byte {
	if b.files == nil {
		b.files = make([]file, firstFile)
	}
	roots, blocks := map[int][]byte{}, map[int][][]byte{}
	indexes := b.index()
	clusters := builderMFT + 2*len(b.files) + 16
	const blockClusters = testBlock / 1024
	for dir := range b.files {
		if dir == recordRoot || b.files[dir].dir {
			roots[dir], blocks[dir] = testIndex(indexes[dir], 400, blockClusters)
			clusters += blockClusters * len(blocks[dir])
		}
	}
	behind := builderMFT + 2*len(b.files) + 16
	image := make([]byte, 1024*clusters+512)
	copy(image, bootSector(clusters))
	copy(image[1024*clusters:], image[:512])

	runs := b.runs()
	bitmap := make([]byte, (len(b.files)+7)/8)
	for record := range b.files {
		inUse := record >= firstFile || record == recordMFT || record == recordVolume || record == recordRoot ||
			record >= firstExtension && record < firstExtension+b.mftExtensions
		if inUse {
			bitmap[record/8] |= 1 << (record % 8)
		}
	}
	size := int64(1024 * len(b.files))
	mft := newRecord(recordMFT, recordInUse, 0)
	if b.mftExtensions == 0 {
		mft.nonResident(typeData, 0, int64(len(b.files)), size, encodeRuns(runs))
	} else {
		b.spread(image, mft, runs, size)
	}
	bits := run{lcn: int64(behind - 15), n: int64(len(bitmap)+1023) / 1024}
	mft.nonResident(typeBitmap, 0, bits.n, int64(len(bitmap)), encodeRuns([]run{bits}))
	copy(image[1024*bits.lcn:], bitmap)
	b.put(image, recordMFT, mft)

	b.put(image, recordVolume, newRecord(recordVolume, recordInUse, 0).
		resident(typeVolumeInformation, []byte{0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0}))
	root := newRecord(recordRoot, recordInUse|recordDirectory, 0)
	root.fileName(utf16Bytes("."), recordRoot, 1, 3)
	index := func(dir int, w *recordWriter) {
		n := len(blocks[dir])
		for i, block := range blocks[dir] {
			copy(image[1024*behind+testBlock*i:], block)
		}
		r := run{lcn: int64(behind), n: int64(blockClusters * n)}
		behind += int(r.n)
		w.index(roots[dir], r)
	}
	index(recordRoot, root)
	b.put(image, recordRoot, root)
	for record := firstFile; record < len(b.files); record++ {
		w := b.files[record].record(record)
		if b.files[record].dir {
			index(record, w)
		}
		b.put(image, record, w)
	}
	return image
}

// runs returns where $MFT lies.
func (b *builder) runs() []run {
	var runs []run
	for record := range b.files {
		r := run{vcn: int64(record), lcn: int64(b.cluster(record)), n: 1}
		if last := len(runs) - 1; last >= 0 && runs[last].follows(r) {
			runs[last].n++
		} else {
			runs = append(runs, r)
		}
	}
	return runs
}

// encodeRuns makes mapping pairs of 3 bytes for a length and 3 for a
// distance, or 1 and 2 where that does.
func encodeRuns(runs []run) []byte {
	var pairs []byte
	before := int64(0)
	for _, r := range runs {
		d := r.lcn - before
		before = r.lcn
		if r.n < 1<<7 && d < 1<<15 && d >= -1<<15 {
			pairs = append(pairs, 0x21, byte(r.n), byte(d), byte(d>>8))
		} else {
			pairs = append(pairs, 0x33, byte(r.n), byte(r.n>>8), byte(r.n>>16), byte(d), byte(d>>8), byte(d>>16))
		}
	}
	return append(pairs, 0)
}

// spread gives each extension record of $MFT a share of the runs; the base
// keeps the first run, which holds all of these records.
func (b *builder) spread(image []byte, mft *recordWriter, runs []run, size int64) {
	list := listItem(typeData, 0, makeReference(recordMFT, 1), 1)
	rest := runs[1:]
	for e := range b.mftExtensions {
		share := rest[:len(rest)/(b.mftExtensions-e)]
		rest = rest[len(share):]
		record := firstExtension + e
		last := share[len(share)-1]
		list = append(list, listItem(typeData, share[0].vcn, makeReference(uint32(record), 1), 0)...)
		w := newRecord(record, recordInUse, makeReference(recordMFT, 1))
		w.nonResident(typeData, share[0].vcn, last.vcn+last.n-share[0].vcn, size, encodeRuns(share))
		b.put(image, record, w)
	}
	list = append(list, listItem(typeBitmap, 0, makeReference(recordMFT, 1), 2)...)
	mft.resident(typeAttributeList, list)
	mft.nonResident(typeData, 0, runs[0].n, size, encodeRuns(runs[:1]))
}

func listItem(kind uint32, vcn int64, ref reference, id uint16) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = append(b, 32, 0, 0, 26)
	b = binary.LittleEndian.AppendUint64(b, uint64(vcn))
	b = binary.LittleEndian.AppendUint64(b, uint64(ref))
	return append(binary.LittleEndian.AppendUint16(b, id), 0, 0, 0, 0, 0, 0)
}

// nameUnits is the name in UTF-16LE.
func (f *file) nameUnits() []byte {
	if f.units == nil {
		return utf16Bytes(f.name)
	}
	var units []byte
	for _, u := range f.units {
		units = binary.LittleEndian.AppendUint16(units, u)
	}
	return units
}

// record makes the record of a file.
func (f *file) record(number int) *recordWriter {
	flags := uint16(recordInUse)
	if f.dir {
		flags |= recordDirectory
	}
	w := newRecord(number, flags, 0)
	w.resident(typeStandardInformation, make([]byte, 48))
	sequence := max(f.parentSequence, 1)
	namespace := func(dos bool) byte {
		if dos {
			return namespaceDOS
		}
		return 1
	}
	w.fileName(f.nameUnits(), f.parent, sequence, namespace(f.dos))
	for _, l := range f.more {
		w.fileName(utf16Bytes(l.name), l.parent, 1, namespace(l.dos))
	}
	if !f.dir {
		w.resident(typeData, f.data)
	}
	return w
}

func bootSector(clusters int) []byte {
	b := make([]byte, 512)
	copy(b[3:], "NTFS    ")
	binary.LittleEndian.PutUint16(b[11:], 512)
	b[13] = 2
	binary.LittleEndian.PutUint64(b[40:], uint64(2*clusters))
	binary.LittleEndian.PutUint64(b[48:], builderMFT)
	b[64], b[68] = 1, 4
	binary.LittleEndian.PutUint64(b[72:], 0x1122334455667788)
	b[510], b[511] = 0x55, 0xAA
	return b
}

// recordWriter writes a record of 1 KiB, attribute by attribute.
type recordWriter struct {
	buf []byte
	id  uint16
}

func newRecord(number int, flags uint16, base reference) *recordWriter {
	b := make([]byte, 56, 1024)
	copy(b, "FILE")
	binary.LittleEndian.PutUint16(b[4:], 48)
	binary.LittleEndian.PutUint16(b[6:], 3)
	binary.LittleEndian.PutUint16(b[16:], 1)
	binary.LittleEndian.PutUint16(b[20:], 56)
	binary.LittleEndian.PutUint16(b[22:], flags)
	binary.LittleEndian.PutUint32(b[28:], 1024)
	binary.LittleEndian.PutUint64(b[32:], uint64(base))
	binary.LittleEndian.PutUint32(b[44:], uint32(number))
	binary.LittleEndian.PutUint16(b[48:], 0x0777)
	return &recordWriter{buf: b}
}

func (w *recordWriter) attribute(kind uint32, header, length int, resident bool) []byte {
	length = (length + 7) &^ 7
	at := len(w.buf)
	w.buf = w.buf[:at+length]
	a := w.buf[at:]
	binary.LittleEndian.PutUint32(a, kind)
	binary.LittleEndian.PutUint32(a[4:], uint32(length))
	if !resident {
		a[8] = 1
	}
	binary.LittleEndian.PutUint16(a[10:], uint16(header))
	binary.LittleEndian.PutUint16(a[14:], w.id)
	w.id++
	return a
}

func (w *recordWriter) resident(kind uint32, value []byte) *recordWriter {
	a := w.attribute(kind, 24, 24+len(value), true)
	binary.LittleEndian.PutUint32(a[16:], uint32(len(value)))
	binary.LittleEndian.PutUint16(a[20:], 24)
	copy(a[24:], value)
	return w
}

func (w *recordWriter) namedResident(kind uint32, name, value []byte) *recordWriter {
	at := 24 + (len(name)+7)&^7
	a := w.attribute(kind, 24, at+len(value), true)
	a[9] = byte(len(name) / 2)
	copy(a[24:], name)
	le.PutUint32(a[16:], uint32(len(value)))
	le.PutUint16(a[20:], uint16(at))
	copy(a[at:], value)
	return w
}

func (w *recordWriter) nonResident(kind uint32, vcn, clusters, size int64, pairs []byte) *recordWriter {
	return w.namedRuns(kind, nil, vcn, clusters, size, pairs)
}

func (w *recordWriter) namedRuns(kind uint32, name []byte, vcn, clusters, size int64, pairs []byte) *recordWriter {
	at := 64 + (len(name)+7)&^7
	a := w.attribute(kind, 64, at+len(pairs), false)
	a[9] = byte(len(name) / 2)
	copy(a[64:], name)
	for i, v := range []int64{vcn, vcn + clusters - 1} {
		binary.LittleEndian.PutUint64(a[16+8*i:], uint64(v))
	}
	binary.LittleEndian.PutUint16(a[32:], uint16(at))
	for i, v := range []int64{(size + 1023) &^ 1023, size, size} {
		binary.LittleEndian.PutUint64(a[40+8*i:], uint64(v))
	}
	copy(a[at:], pairs)
	return w
}

func (w *recordWriter) fileName(units []byte, parent int, sequence uint16, namespace byte) {
	v := make([]byte, 66+len(units))
	binary.LittleEndian.PutUint64(v, uint64(makeReference(uint32(parent), sequence)))
	v[64], v[65] = byte(len(units)/2), namespace
	copy(v[66:], units)
	w.resident(typeFileName, v)
}

// put ends the record and writes it.
func (b *builder) put(image []byte, number int, w *recordWriter) {
	copy(image[b.recordAt(number):], w.end())
}

func (w *recordWriter) end() []byte {
	end := len(w.buf)
	w.buf = w.buf[:1024]
	binary.LittleEndian.PutUint32(w.buf[end:], typeEnd)
	binary.LittleEndian.PutUint32(w.buf[24:], uint32(end+8))
	protect(w.buf)
	return w.buf
}

// linkReparse makes the reparse data of a symbolic link or a junction.
func linkReparse(tag uint32, substitute, display string, relative bool) []byte {
	sub, dis := utf16Bytes(substitute), utf16Bytes(display)
	var data []byte
	for _, n := range []int{0, len(sub), len(sub) + 2, len(dis)} {
		data = binary.LittleEndian.AppendUint16(data, uint16(n))
	}
	if tag == TagSymlink {
		flags := uint32(0)
		if relative {
			flags = 1
		}
		data = binary.LittleEndian.AppendUint32(data, flags)
	}
	data = append(data, sub...)
	data = append(data, 0, 0)
	data = append(data, dis...)
	data = append(data, 0, 0)
	return reparseData(tag, data)
}

func reparseData(tag uint32, data []byte) []byte {
	value := binary.LittleEndian.AppendUint32(nil, tag)
	value = binary.LittleEndian.AppendUint32(value, uint32(len(data)))
	return append(value, data...)
}

func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// noise is incompressible, text compresses well.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func text(n int) []byte {
	return bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog. 0123456789\r\n"), n/57+1)[:n]
}
