package packages

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// Layout of the first page of a hash (dbinc/db_page.h, DBMETA and HMETA).
// Numbers are in the byte order of the machine that wrote the file.
//
//	12 magic, 16 version, 20 page size, 24 encryption, 25 type of the page,
//	26 flags, 28 first page of the free list or 0, 32 number of the last page,
//	36 number of partitions, 48 flags of the hash, 72 number of the last bucket, 88 number of records, 96 spares,
//	508 checksum in its last 4 of 20 bytes that begin at 492
const (
	metaSize      = 512
	metaMagic     = 12
	metaVersion   = 16
	metaPageSize  = 20
	metaEncrypted = 24
	metaType      = 25
	metaFlags     = 26
	metaFree      = 28
	metaLastPage  = 32
	metaParts     = 36
	metaHashFlags = 48
	metaMaxBucket = 72
	metaRecords   = 88
	metaSpares    = 96
	metaChecksum  = 492
)

// Magic numbers of the methods of access.
const (
	magicHash  = 0x061561
	magicBtree = 0x053162
	magicQueue = 0x042253
	magicHeap  = 0x074582
)

const (
	flagChecksum  = 1 // of metaFlags
	flagDuplicate = 1 // of metaHashFlags
	flagSubfiles  = 2
	flagSorted    = 4 // duplicates in order
)

// Layout of the other pages (PAGE), of which all are of one size.
//
//	8 number of the page, 16 number of the next page or 0, 20 number of items,
//	22 bytes of data of an overflow page, of a bucket where its lowest item
//	begins, 25 type, 26 offsets of the items of
//	2 bytes or data
//
// With checksums these begin at 32, and the checksum is at 28.
const (
	pageNumber     = 8
	pageNext       = 16
	pageItems      = 20
	pageLength     = 22
	pageType       = 25
	pageChecksum   = 28
	overhead       = 26
	overheadSummed = 32

	minBDBPage = 512
	maxBDBPage = 64 << 10
)

// Types of pages.
const (
	typeHashMeta = 8
	typeHash     = 13
	typeHashOld  = 2 // of version 8, whose items are not in order
	typeOverflow = 7
	typeFree     = 0 // P_INVALID
)

// Types of items, their first byte.
const (
	itemData       = 1 // the data follow
	itemDuplicate  = 2
	itemOverflow   = 3 // 4 number of the first page, 8 length
	itemDuplicates = 4
	itemBlob       = 5

	overflowItemSize = 12
)

// bdb is a hash of Berkeley DB. A bucket is a chain of pages with pairs of
// items, keys and values; a value that is larger than a page is a chain of
// overflow pages.
type bdb struct {
	pages    window
	order    binary.ByteOrder
	pageSize uint32
	last     uint32 // page
	overhead uint32
	summed   bool
	buckets  uint32
	spares   [32]uint32
	records  uint32
	free     uint32   // the first page of the free list, 0 if there is none
	seen     []uint64 // a bit for each page that was read
	holes    int      // pages of buckets that were never written, or are zeros by damage
	loose    int      // pages of buckets that hold more than their items
}

// readBDB reads the headers of a hash.
func (r *rpmReader) readBDB(f io.ReaderAt, size int64) error {
	db := &bdb{pages: window{r: f, size: size}}
	if err := db.open(); err != nil {
		return err
	}
	var page, blob []byte
	records, firsts := uint32(0), 0
	for bucket := range db.buckets {
		for n := db.first(bucket); n != 0; {
			if r.ctx.Err() != nil {
				return context.Cause(r.ctx)
			}
			// The page is kept while the overflow pages of its items are read.
			data, err := db.read(n)
			if err == nil {
				page = append(page[:0], data...)
				err = db.checkHash(page)
			}
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					return err
				}
				r.corrupt(fmt.Errorf("bucket %d, page %d: %w", bucket, n, err))
				break
			}
			for i := 0; i < db.items(page); i += 2 {
				records++
				number, value, err := db.pair(page, i, blob)
				switch {
				case err != nil && !errors.Is(err, ErrCorrupt):
					return fmt.Errorf("page %d, item %d: %w", n, i, err)
				case err != nil:
					r.corrupt(fmt.Errorf("page %d, item %d: %w", n, i, err))
				case number == 0: // which has the largest number that was given
					firsts++
				default:
					blob = value
					if err := r.record(number, value); err != nil {
						return err
					}
				}
			}
			n = db.order.Uint32(page[pageNext:])
		}
	}
	if firsts > 1 {
		r.corrupt(fmt.Errorf("%d headers with the number 0: %w", firsts-1, ErrCorrupt))
	}
	switch {
	case records < db.records:
		// db_load counts each record twice. Where no page can have held more, the
		// count is only a hint.
		if err := db.complete(r.ctx); err != nil {
			if !errors.Is(err, ErrCorrupt) {
				return err
			}
			r.corrupt(fmt.Errorf("%d records, and it counts %d (%w)", records, db.records, err))
			break
		}
		r.db.note("the database has %d records, and counts %d", records, db.records)
	case records > db.records:
		r.db.note("the database has %d records, and counts %d", records, db.records)
	}
	return nil
}

// open reads the first page.
func (db *bdb) open() error {
	size := db.pages.size
	if size < metaSize {
		return fmt.Errorf("%d bytes: %w", size, ErrCorrupt)
	}
	meta, err := db.pages.page(0, metaSize)
	if err != nil {
		return err
	}
	if err := db.setOrder(meta); err != nil {
		return err
	}
	db.pageSize = db.order.Uint32(meta[metaPageSize:])
	db.last = db.order.Uint32(meta[metaLastPage:])
	version, parts, flags := db.order.Uint32(meta[metaVersion:]), db.order.Uint32(meta[metaParts:]),
		db.order.Uint32(meta[metaHashFlags:])
	maxBucket := db.order.Uint32(meta[metaMaxBucket:])
	switch {
	case meta[metaEncrypted] != 0:
		return fmt.Errorf("an encrypted Berkeley DB: %w", ErrUnsupported)
	case version < 8 || version > 10:
		return fmt.Errorf("a Berkeley DB hash of version %d: %w", version, ErrUnsupported)
	case meta[metaType] != typeHashMeta:
		return fmt.Errorf("first page of type %d: %w", meta[metaType], ErrCorrupt)
	case db.pageSize < minBDBPage || db.pageSize > maxBDBPage || bits.OnesCount32(db.pageSize) != 1:
		return fmt.Errorf("pages of %d bytes: %w", db.pageSize, ErrCorrupt)
	case parts != 0 || flags&flagSubfiles != 0:
		return fmt.Errorf("a Berkeley DB with partitions or with several databases: %w", ErrUnsupported)
	case flags&(flagDuplicate|flagSorted) != 0:
		return fmt.Errorf("a Berkeley DB with several values of a key: %w", ErrUnsupported)
	case (int64(db.last)+1)*int64(db.pageSize) > size:
		return fmt.Errorf("the file has %d bytes but the last page is %d: %w", size, db.last, ErrCorrupt)
	case maxBucket >= db.last:
		return fmt.Errorf("it has %d pages but the last bucket is %d: %w", db.last, maxBucket, ErrCorrupt)
	}
	db.buckets = maxBucket + 1
	db.records, db.free = db.order.Uint32(meta[metaRecords:]), db.order.Uint32(meta[metaFree:])
	for i := range db.spares {
		db.spares[i] = db.order.Uint32(meta[metaSpares+4*i:])
	}
	db.seen = make([]uint64, db.last/64+1)
	db.overhead = overhead
	if db.summed = meta[metaFlags]&flagChecksum != 0; db.summed {
		db.overhead = overheadSummed
		return db.verify(meta, metaChecksum)
	}
	return nil
}

// setOrder detects the byte order by the magic number.
func (db *bdb) setOrder(meta []byte) error {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(meta[metaMagic:]) {
		case magicHash:
			db.order = order
			return nil
		case magicBtree, magicQueue, magicHeap:
			return fmt.Errorf("a Berkeley DB that is not a hash: %w", ErrUnsupported)
		}
		// Up to Berkeley DB 1.85, which rpm 3 used.
		if m := order.Uint32(meta); m == magicHash || m == magicBtree {
			return fmt.Errorf("a Berkeley DB 1.85: %w", ErrUnsupported)
		}
	}
	return fmt.Errorf("it does not begin as a Berkeley DB: %w", ErrCorrupt)
}

// first returns the number of the first page of a bucket. Those of the buckets
// from a power of two to the next are contiguous. A number that is too large
// stays so.
func (db *bdb) first(bucket uint32) uint32 {
	return uint32(min(uint64(bucket)+uint64(db.spares[bits.Len32(bucket)]), 1<<32-1))
}

// read reads a page, each only once. It is valid until the next call.
func (db *bdb) read(n uint32) ([]byte, error) {
	if n == 0 || n > db.last {
		return nil, fmt.Errorf("page %d of %d: %w", n, db.last, ErrCorrupt)
	}
	if db.seen[n/64]&(1<<(n%64)) != 0 {
		return nil, fmt.Errorf("page %d is used twice: %w", n, ErrCorrupt)
	}
	db.seen[n/64] |= 1 << (n % 64)
	page, err := db.pages.page(int64(n)*int64(db.pageSize), int(db.pageSize))
	if err != nil {
		return nil, err
	}
	if db.hole(page) {
		return page, nil
	}
	if got := db.order.Uint32(page[pageNumber:]); got != n {
		return nil, fmt.Errorf("page %d has the number %d: %w", n, got, ErrCorrupt)
	}
	if db.summed {
		if err := db.verify(page, pageChecksum); err != nil {
			return nil, fmt.Errorf("page %d: %w", n, err)
		}
	}
	return page, nil
}

// complete reports whether every page is accounted for: it was read, or is in the
// free list, or waits empty for a bucket that is not used yet. An error that
// wraps ErrCorrupt says which may have held more. Call it after all buckets
// were read.
func (db *bdb) complete(ctx context.Context) error {
	if db.loose > 0 {
		return fmt.Errorf("%d buckets hold more than their items: %w", db.loose, ErrCorrupt)
	}
	if db.holes > 0 {
		return fmt.Errorf("%d buckets are zeros: %w", db.holes, ErrCorrupt)
	}
	for n := db.free; n != 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		page, err := db.read(n)
		if err != nil {
			return fmt.Errorf("free list: %w", err)
		}
		if t := page[pageType]; t != typeFree {
			return fmt.Errorf("free list: page %d of type %d: %w", n, t, ErrCorrupt)
		}
		n = db.order.Uint32(page[pageNext:])
	}
	// Buckets are added one by one, but their pages for each power of two at once.
	spare := map[uint32]bool{}
	for bucket := db.buckets; bucket < uint32(1)<<bits.Len32(db.buckets-1) && bucket != 0; bucket++ {
		n := db.first(bucket)
		if n > db.last {
			break
		}
		spare[n] = true
	}
	for n := uint32(1); n <= db.last; n++ {
		if db.seen[n/64]&(1<<(n%64)) != 0 {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		page, err := db.read(n)
		if err != nil {
			return err
		}
		empty := db.hole(page) || (page[pageType] == typeHash || page[pageType] == typeHashOld) && db.items(page) == 0
		if !spare[n] || !empty {
			return fmt.Errorf("page %d is in no chain: %w", n, ErrCorrupt)
		}
	}
	return nil
}

// hole reports whether a page was never written: an empty bucket. (db_conv.c,
// __db_pgin; hash_conv.c, __ham_pgin)
func (db *bdb) hole(page []byte) bool {
	le := binary.LittleEndian
	return page[pageType] == 0 && le.Uint64(page) == 0 && le.Uint32(page[pageNumber:]) == 0
}

// verify tests the checksum of a page, which is taken with zeros in its place:
// Chris Torek's hash (hash_func.c, __ham_func4).
func (db *bdb) verify(page []byte, at int) error {
	sum := uint32(0)
	for i, c := range page {
		if i >= at && i < at+4 {
			c = 0
		}
		sum = sum*33 + uint32(c)
	}
	if stored := db.order.Uint32(page[at:]); sum != stored {
		return fmt.Errorf("checksum %08x, stored %08x: %w", sum, stored, ErrCorrupt)
	}
	return nil
}

// items returns the number of items of a page.
func (db *bdb) items(page []byte) int { return int(db.order.Uint16(page[pageItems:])) }

// offset returns where an item begins. Items are stored from the end of the
// page to its front, so each ends where the one before begins.
func (db *bdb) offset(page []byte, i int) int {
	if i < 0 {
		return len(page)
	}
	return int(db.order.Uint16(page[int(db.overhead)+2*i:]))
}

// checkHash tests a page of a bucket and the offsets of its items.
func (db *bdb) checkHash(page []byte) error {
	if db.hole(page) {
		db.holes++
		clear(page)
		return nil
	}
	if t := page[pageType]; t != typeHash && t != typeHashOld {
		return fmt.Errorf("page of type %d: %w", t, ErrCorrupt)
	}
	n := db.items(page)
	front := int(db.overhead) + 2*n
	if n%2 != 0 || front > len(page) {
		return fmt.Errorf("%d items: %w", n, ErrCorrupt)
	}
	for i := range n {
		if at := db.offset(page, i); at < front || at >= db.offset(page, i-1) {
			return fmt.Errorf("item %d at %d: %w", i, at, ErrCorrupt)
		}
	}
	if low := int(db.order.Uint16(page[pageLength:])); n > 0 && low != db.offset(page, n-1) {
		db.loose++
	}
	return nil
}

// pair returns the number and the header that items i and i+1 are. The memory
// of buf is used again.
func (db *bdb) pair(page []byte, i int, buf []byte) (uint32, []byte, error) {
	key := page[db.offset(page, i):db.offset(page, i-1)]
	if key[0] != itemData || len(key) != 5 {
		return 0, nil, fmt.Errorf("key of type %d and %d bytes: %w", key[0], len(key)-1, ErrCorrupt)
	}
	number := db.order.Uint32(key[1:])
	if number == 0 {
		return 0, nil, nil
	}
	value := page[db.offset(page, i+1):db.offset(page, i)]
	switch value[0] {
	case itemData:
		return number, append(buf[:0], value[1:]...), nil
	case itemOverflow:
		if len(value) != overflowItemSize {
			break
		}
		blob, err := db.overflow(db.order.Uint32(value[4:]), db.order.Uint32(value[8:]), buf[:0])
		if err != nil {
			return 0, nil, fmt.Errorf("header %d: %w", number, err)
		}
		return number, blob, nil
	case itemDuplicate, itemDuplicates, itemBlob:
		return 0, nil, fmt.Errorf("header %d: value of type %d: %w", number, value[0], ErrUnsupported)
	}
	return 0, nil, fmt.Errorf("header %d: value of type %d and %d bytes: %w", number, value[0], len(value), ErrCorrupt)
}

// overflow reads the data of a chain of overflow pages.
func (db *bdb) overflow(n, size uint32, buf []byte) ([]byte, error) {
	if size > maxHeader || int64(size) > db.pages.size {
		return nil, fmt.Errorf("%d bytes: %w", size, ErrCorrupt)
	}
	buf = slices.Grow(buf, int(size))
	for uint32(len(buf)) < size {
		page, err := db.read(n)
		if err != nil {
			return nil, err
		}
		length := uint32(db.order.Uint16(page[pageLength:]))
		if page[pageType] != typeOverflow || db.overhead+length > db.pageSize || uint32(len(buf))+length > size {
			return nil, fmt.Errorf("overflow page %d of type %d with %d bytes, %d of %d before: %w", n, page[pageType],
				length, len(buf), size, ErrCorrupt)
		}
		buf = append(buf, page[db.overhead:db.overhead+length]...)
		n = db.order.Uint32(page[pageNext:])
	}
	return buf, nil
}
