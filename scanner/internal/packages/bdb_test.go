package packages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// bdbFile is a hash that a test damages.
type bdbFile struct {
	data  []byte
	order binary.ByteOrder
	size  int // of a page
}

func (f bdbFile) page(n int) []byte            { return f.data[n*f.size:][:f.size] }
func (f bdbFile) put(at int, n uint32)         { f.order.PutUint32(f.data[at:], n) }
func (f bdbFile) get(at int) uint32            { return f.order.Uint32(f.data[at:]) }
func (f bdbFile) add(at int, n int)            { f.put(at, f.get(at)+uint32(n)) }
func (f bdbFile) next(page, next int)          { f.put(page*f.size+pageNext, uint32(next)) }
func (f bdbFile) put16(page, at int, n uint16) { f.order.PutUint16(f.page(page)[at:], n) }

// find returns the first page of a type with something on it, and the offset of
// its first item.
func (f bdbFile) find(kind byte) (page, item int) {
	for n := 1; n < len(f.data)/f.size; n++ {
		p := f.page(n)
		if p[pageType] == kind && (kind == typeOverflow || f.order.Uint16(p[pageItems:]) > 0) {
			return n, int(f.order.Uint16(p[overhead:]))
		}
	}
	panic("no such page")
}

// bigItem returns where a value on overflow pages begins.
func (f bdbFile) bigItem() int {
	for n := 1; n < len(f.data)/f.size; n++ {
		p := f.page(n)
		if p[pageType] != typeHash {
			continue
		}
		for i := 1; i < int(f.order.Uint16(p[pageItems:])); i += 2 {
			if at := int(f.order.Uint16(p[overhead+2*i:])); p[at] == itemOverflow {
				return n*f.size + at
			}
		}
	}
	panic("no such item")
}

// loosePage adds an overflow page that nothing leads to.
func (f *bdbFile) loosePage() {
	n := len(f.data) / f.size
	f.data = append(f.data, make([]byte, f.size)...)
	f.put(n*f.size+pageNumber, uint32(n))
	f.page(n)[pageType] = typeOverflow
	f.add(metaLastPage, 1)
}

func TestBDBDamage(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(f *bdbFile)
		want   error
		says   string
		rest   int // of 8 packages that are read all the same
	}{
		"empty":                    {func(f *bdbFile) { f.data = nil }, ErrCorrupt, "0 bytes", 0},
		"one byte short of a page": {func(f *bdbFile) { f.data = f.data[:metaSize-1] }, ErrCorrupt, "511 bytes", 0},
		"only the first page":      {func(f *bdbFile) { f.data = f.data[:metaSize] }, ErrCorrupt, "the last page is", 0},
		"a byte short": {func(f *bdbFile) { f.data = f.data[:len(f.data)-1] }, ErrCorrupt, "the last page is",
			0},
		"other magic": {func(f *bdbFile) { f.add(metaMagic, 1) }, ErrCorrupt, "does not begin as", 0},
		"B-tree":      {func(f *bdbFile) { f.put(metaMagic, magicBtree) }, ErrUnsupported, "not a hash", 0},
		"version 1.85": {func(f *bdbFile) { f.put(metaMagic, 0); f.put(0, magicHash) }, ErrUnsupported, "1.85",
			0},
		"version 7":              {func(f *bdbFile) { f.put(metaVersion, 7) }, ErrUnsupported, "version 7", 0},
		"version 8":              {func(f *bdbFile) { f.put(metaVersion, 8) }, nil, "", 8},
		"version 10":             {func(f *bdbFile) { f.put(metaVersion, 10) }, nil, "", 8},
		"version 11":             {func(f *bdbFile) { f.put(metaVersion, 11) }, ErrUnsupported, "version 11", 0},
		"encrypted":              {func(f *bdbFile) { f.data[metaEncrypted] = 1 }, ErrUnsupported, "encrypted", 0},
		"first page of a B-tree": {func(f *bdbFile) { f.data[metaType] = 9 }, ErrCorrupt, "first page of type 9", 0},
		"pages of 0 bytes":       {func(f *bdbFile) { f.put(metaPageSize, 0) }, ErrCorrupt, "pages of 0 bytes", 0},
		"pages of 256 bytes":     {func(f *bdbFile) { f.put(metaPageSize, 256) }, ErrCorrupt, "pages of 256 bytes", 0},
		"pages of 768 bytes":     {func(f *bdbFile) { f.put(metaPageSize, 768) }, ErrCorrupt, "pages of 768 bytes", 0},
		"pages of 128 KiB": {func(f *bdbFile) { f.put(metaPageSize, 128<<10) }, ErrCorrupt,
			"pages of 131072 bytes", 0},
		"partitions": {func(f *bdbFile) { f.put(metaParts, 2) }, ErrUnsupported, "partitions", 0},
		"several databases": {func(f *bdbFile) { f.put(metaHashFlags, flagSubfiles) }, ErrUnsupported,
			"several databases", 0},
		"duplicates": {func(f *bdbFile) { f.put(metaHashFlags, flagDuplicate) }, ErrUnsupported,
			"several values", 0},
		"sorted duplicates": {func(f *bdbFile) { f.put(metaHashFlags, flagSorted) }, ErrUnsupported,
			"several values", 0},
		"last page too large": {func(f *bdbFile) { f.add(metaLastPage, 1) }, ErrCorrupt, "the last page is", 0},
		"last page of all":    {func(f *bdbFile) { f.put(metaLastPage, 1<<32-1) }, ErrCorrupt, "the last page is", 0},
		"too many buckets": {func(f *bdbFile) { f.put(metaMaxBucket, f.get(metaLastPage)) }, ErrCorrupt,
			"the last bucket is", 0},
		"buckets without end": {func(f *bdbFile) { f.put(metaMaxBucket, 1<<32-1) }, ErrCorrupt, "the last bucket is",
			0},
		"more buckets than there are": {func(f *bdbFile) { f.put(metaMaxBucket, f.get(metaLastPage)-1) }, ErrCorrupt,
			"is used twice", 8},
		"counts too many, all whole": {func(f *bdbFile) { f.add(metaRecords, 9) }, nil, "9 records, and counts 18", 8},
		"counts too many, two taken": {func(f *bdbFile) {
			n, _ := f.find(typeHash)
			f.put16(n, pageItems, f.order.Uint16(f.page(n)[pageItems:])-2)
		}, ErrCorrupt, "hold more than their items", 7},
		"counts too many, one loose": {func(f *bdbFile) { f.add(metaRecords, 1); f.loosePage() }, ErrCorrupt,
			"is in no chain", 8},
		"free list of used pages": {func(f *bdbFile) { f.add(metaRecords, 1); f.put(metaFree, 1) }, ErrCorrupt,
			"is used twice", 8},
		"one record too many":   {func(f *bdbFile) { f.add(metaRecords, -1) }, nil, "9 records, and counts 8", 8},
		"bucket at page 0":      {func(f *bdbFile) { f.put(metaSpares, 0) }, ErrCorrupt, "records, and it counts", 1},
		"bucket beyond the end": {func(f *bdbFile) { f.put(metaSpares, 1<<32-1) }, ErrCorrupt, "page 4294967295 of", 1},
		"bucket of 64 bits": {func(f *bdbFile) { f.put(metaSpares+4, 1<<32-1) }, ErrCorrupt, "page 4294967295 of",
			1},
		"bucket is overflow": {func(f *bdbFile) { n, _ := f.find(typeOverflow); f.put(metaSpares, uint32(n)) },
			ErrCorrupt, "page of type 7", 1},
		"bucket chain ends in itself": {func(f *bdbFile) { n, _ := f.find(typeHash); f.next(n, n) }, ErrCorrupt,
			"is used twice", 8},
		"bucket chain goes back": {func(f *bdbFile) { f.next(2, 1) }, ErrCorrupt, "is used twice", 8},
		"bucket chain leaves":    {func(f *bdbFile) { f.next(2, 1<<31) }, ErrCorrupt, "page 2147483648 of", 8},
		"page of another number": {func(f *bdbFile) { f.add(f.size+pageNumber, 1) }, ErrCorrupt, "has the number 2",
			1},
		"bucket of zeros": {func(f *bdbFile) { clear(f.page(1)) }, ErrCorrupt, "records, and it counts 9", 1},
		"odd number of items": {func(f *bdbFile) { n, _ := f.find(typeHash); f.put16(n, pageItems, 3) }, ErrCorrupt,
			"3 items", 1},
		"too many items": {func(f *bdbFile) { n, _ := f.find(typeHash); f.put16(n, pageItems, 0xFFFE) },
			ErrCorrupt, "65534 items", 1},
		"item in the header": {func(f *bdbFile) { n, _ := f.find(typeHash); f.put16(n, overhead, 10) }, ErrCorrupt,
			"item 0 at 10", 1},
		"item behind the page": {func(f *bdbFile) { n, _ := f.find(typeHash); f.put16(n, overhead, 0xFFFF) },
			ErrCorrupt, "item 0 at 65535", 1},
		"empty item": {func(f *bdbFile) { n, at := f.find(typeHash); f.put16(n, overhead+2, uint16(at)) },
			ErrCorrupt, "item 1 at", 1},
		"key is no data": {func(f *bdbFile) { n, at := f.find(typeHash); f.page(n)[at] = itemOverflow },
			ErrCorrupt, "key of type 3", 7},
		"key is 0": {func(f *bdbFile) { f.put(f.bigItem()+overflowItemSize+1, 0) }, ErrCorrupt,
			"1 headers with the number 0", 7},
		"value of a new type": {func(f *bdbFile) { f.data[f.bigItem()] = itemBlob }, ErrUnsupported, "value of type 5",
			-1},
		"value of duplicates": {func(f *bdbFile) { f.data[f.bigItem()] = itemDuplicate }, ErrUnsupported,
			"value of type 2", -1},
		"value on a page": {func(f *bdbFile) { f.data[f.bigItem()] = itemData }, ErrCorrupt,
			"header 2: header with", 7},
		"value of no type": {func(f *bdbFile) { f.data[f.bigItem()] = 9 }, ErrCorrupt, "value of type 9", 7},
		"value too short":  {func(f *bdbFile) { f.add(f.bigItem()+8, -1) }, ErrCorrupt, "bytes, ", 7},
		"value too long":   {func(f *bdbFile) { f.add(f.bigItem()+8, 1) }, ErrCorrupt, "page 0 of", 7},
		"value larger than the file": {func(f *bdbFile) { f.put(f.bigItem()+8, uint32(len(f.data)+1)) }, ErrCorrupt,
			"bytes: ", 7},
		"value of 4 GiB":   {func(f *bdbFile) { f.put(f.bigItem()+8, 1<<32-1) }, ErrCorrupt, "4294967295 bytes", 7},
		"value of 0 bytes": {func(f *bdbFile) { f.put(f.bigItem()+8, 0) }, ErrCorrupt, "header of 0 bytes", 7},
		"overflow in a circle": {func(f *bdbFile) {
			n := int(f.get(f.bigItem() + 4))
			f.next(n, n)
			f.put16(n, pageLength,
				0)
		}, ErrCorrupt, "is used twice", 7},
		"overflow ends early": {func(f *bdbFile) { n := int(f.get(f.bigItem() + 4)); f.next(n, 0) }, ErrCorrupt,
			"page 0 of", 7},
		"overflow is a bucket": {func(f *bdbFile) { f.put(f.bigItem()+4, 1) }, ErrCorrupt, "page 1 is used twice", 7},
		"overflow page of zeros": {func(f *bdbFile) { clear(f.page(int(f.get(f.bigItem() + 4)))) }, ErrCorrupt,
			"overflow page", 7},
		"overflow page too full": {func(f *bdbFile) {
			f.put16(int(f.get(f.bigItem()+4)), pageLength,
				uint16(f.size-overhead+1))
		}, ErrCorrupt, "overflow page", 7},
	} {
		for _, order := range []string{"1234", "4321"} {
			t.Run(name+" "+order, func(t *testing.T) {
				f := &bdbFile{testdata(t, "Packages-"+order+"-512.gz"), binary.LittleEndian, 512}
				if order == "4321" {
					f.order = binary.BigEndian
				}
				tt.damage(f)
				db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages", f.data))
				if db == nil {
					t.Fatal(err)
				}
				said := strings.Join(db.Notes(), "\n")
				if err != nil {
					said = err.Error()
				}
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil || !strings.Contains(said, tt.says) {
					t.Errorf("%v, want %v with %q", err, tt.want, tt.says)
				}
				switch got := len(db.packages); {
				case tt.rest == 8 && got != 8, tt.rest == 7 && got < 7, tt.rest == 1 && got == 0, tt.rest == 0 && got != 0:
					t.Errorf("%d packages, want %d", got, tt.rest)
				}
			})
		}
	}
}

// Each bit of a database with checksums is under one of them, but for the rest
// of the file's header and for pages that nothing uses.
func TestBDBChecksums(t *testing.T) {
	for _, file := range []string{"Packages-1234-1024-summed.gz", "Packages-4321-1024-summed.gz"} {
		data := testdata(t, file)
		for at := 26; at < len(data); at += 37 {
			if at%1024 < pageChecksum || at < 1024 && at >= metaSize {
				continue
			}
			broken := slices.Clone(data)
			broken[at] ^= 0x10
			db, err := Open(t.Context(), rpmRoot("var/lib/rpm/Packages", broken))
			if err == nil && packageLines(db)+fileLines(t, db) == string(testdata(t, "rpm.packages"))+
				string(testdata(t, "rpm.files")) {
				t.Errorf("%s: byte %d: no error", file, at)
				continue
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: byte %d: %v", file, at, err)
			}
		}
	}
}

// A page is read through a window that moves with it.
func TestBDBReadsOnce(t *testing.T) {
	data := testdata(t, "Packages-1234-512.gz")
	data = append(data, make([]byte, 3*windowSize)...)
	r := &countingReader{r: bytes.NewReader(data)}
	reader := &rpmReader{builder: newBuilder(RPMBDB, "Packages"), ctx: t.Context(), numbers: map[uint32]bool{}}
	if err := reader.readBDB(r, int64(len(data))); err != nil || len(reader.db.packages) != 8 {
		t.Fatal(err)
	}
	if r.reads > 2 || r.bytes > 2*windowSize {
		t.Errorf("%d reads, %d bytes", r.reads, r.bytes)
	}
}

type countingReader struct {
	r            *bytes.Reader
	reads, bytes int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += len(p)
	return c.r.ReadAt(p, off)
}
