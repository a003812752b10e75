package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"sort"
	"sync"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// ewfTable says where chunks are that follow each other on the disk ("Table section").
// It is in one segment, with them, and its entries are read when they are needed: an
// image of 80 GB has 2.6 million.
type ewfTable struct {
	segment int32  // its index
	count   uint32 // entries; at least one
	first   int64  // number of the first chunk
	// A section table, and a section table2 that repeats it. Only copies of them have a
	// header that is right: copies[:both].
	copies [2]ewfCopy
	both   int8
	sum    ewfTableSum
	// The chunks are in this part of the segment.
	start, end int64
}

// ewfCopy is a copy of the entries of a table.
type ewfCopy struct {
	at   int64 // of the first entry in the file
	base int64 // what is added to the offsets in the entries
}

// ewfTableSum says whether the checksum of the entries follows them.
type ewfTableSum int8

const (
	ewfSumFollows ewfTableSum = iota
	ewfNoSum                  // SMART, ASR Data's format
	// ewfSumPerhaps: EnCase 1, which has the chunks in the table as SMART has, writes
	// it. It is there if the chunks begin after it.
	ewfSumPerhaps
)

// readEWFTable reads the header of a section table or table2, of 24 bytes: at 0 the
// number of entries, at 8 the base of the offsets in 8 bytes, at 20 the checksum. The
// entries follow, and a checksum of them. sectors is the section with the chunks in the
// same segment; nil if there is none and the chunks follow the entries.
func readEWFTable(d ewfSection, segment int, sectors *ewfSection) (ewfTable, error) {
	const head = 24
	t := ewfTable{segment: int32(segment), both: 1}
	if d.size() < head {
		return t, d.corrupt("it has %d bytes", d.size())
	}
	b := make([]byte, head)
	if _, err := readFull(d.file, b, d.data()); err != nil {
		return t, err
	}
	if !ewfSum(b[:20], b[20:]) {
		return t, d.corrupt("its checksum is wrong")
	}
	t.count = binary.LittleEndian.Uint32(b)
	base := binary.LittleEndian.Uint64(b[8:])
	t.copies[0] = ewfCopy{at: d.data() + head, base: int64(base)}
	after := d.end - (t.copies[0].at + 4*int64(t.count)) // bytes behind the entries
	switch {
	case after < 0:
		return t, d.corrupt("%d entries in %d bytes", t.count, d.size())
	case base > uint64(d.file.Size()):
		return t, d.corrupt("its base offset is %d", base)
	case t.count == 0:
	case sectors != nil:
		t.start, t.end = sectors.data(), sectors.end
		if after < 4 {
			t.sum = ewfNoSum
		}
	case after <= 4:
		return t, d.corrupt("no chunks are before it or in it")
	default:
		t.start, t.end, t.sum = d.end-after, d.end, ewfSumPerhaps
	}
	return t, nil
}

// ewfTables are the tables of an image, in the order of their chunks.
type ewfTables struct {
	segments []*source.Source
	list     []ewfTable
	chunks   int64

	mu      sync.Mutex // one reads a page
	checked map[int]ewfChecked
	pages   lru.Cache[ewfPageKey, *ewfPage]
	// How many tables are read from their second copy, and where the first of them is.
	seconds int
	second  int
}

// ewfChecked is what is known of a table of which all entries were checked.
type ewfChecked struct {
	which    int   // of the copies
	overflow int64 // as in ewfPage
	err      error // why no copy can be used
	again    bool  // another try may succeed
}

type ewfPageKey struct {
	table int
	page  int64
}

// ewfPage is a part of the entries of a table.
type ewfPage struct {
	table *ewfTable
	base  int64
	from  int64  // number of its first entry
	raw   []byte // its entries, and the next one if there is one
	// overflow is the number of the first entry whose offset has 32 bits. EnCase 6.7.1
	// wrote offsets above 2 GiB so, in place of the bit for compressed chunks: the
	// chunks from there on are not compressed.
	overflow int64
}

// Bounds of what is kept of tables: as many entries as most tables have at most, 16375,
// and as many pages as describe 128 GiB in chunks of 32 KiB. A page takes a few hundred
// bytes more than its entries have: tables may have one each.
const (
	ewfPageEntries = 16 << 10
	maxEWFPages    = 16 << 20 // bytes
	ewfPageExtra   = 400
)

// add adds a table.
func (l *ewfTables) add(t ewfTable) {
	t.first = l.chunks
	l.chunks += int64(t.count)
	l.list = append(l.list, t)
}

// chunk returns where a chunk is: in which segment, and the range of the file that it
// is in.
func (l *ewfTables) chunk(number int64) (s *source.Source, where ewfRange, compressed bool, err error) {
	n := sort.Search(len(l.list), func(i int) bool { return l.list[i].first > number }) - 1
	entry := number - l.list[n].first
	p, err := l.page(n, entry/ewfPageEntries)
	if err != nil {
		return nil, where, false, err
	}
	where.start, compressed = p.entry(entry)
	where.end = p.table.end
	if entry+1 < int64(p.table.count) {
		where.end, _ = p.entry(entry + 1)
	}
	return l.segments[p.table.segment], where, compressed, nil
}

// entry decodes an entry: where the chunk begins in the file, and whether it is
// compressed.
func (p *ewfPage) entry(number int64) (at int64, compressed bool) {
	v := binary.LittleEndian.Uint32(p.raw[4*(number-p.from):])
	if number >= p.overflow {
		return p.base + int64(v), false
	}
	return p.base + int64(v&(1<<31-1)), v>>31 == 1
}

// page returns a page of a table, all of which is checked before its first page is
// used. A copy that is wrong is replaced by the other.
func (l *ewfTables) page(n int, number int64) (*ewfPage, error) {
	key := ewfPageKey{n, number}
	if p, ok := l.pages.Get(key); ok {
		return p, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.pages.Get(key); ok {
		return p, nil
	}
	t := &l.list[n]
	c, ok := l.checked[n]
	if !ok {
		if c = l.checkCopies(t); !c.again {
			if l.checked == nil {
				l.checked = map[int]ewfChecked{}
			}
			l.checked[n] = c
		}
		if c.err == nil && c.which > 0 {
			l.useSecond(n)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	p, err := l.read(t, t.copies[c.which], number)
	if err != nil {
		return nil, err
	}
	p.overflow = c.overflow
	l.pages.Put(key, p, int64(len(p.raw))+ewfPageExtra)
	return p, nil
}

// checkCopies finds the first copy that can be used.
func (l *ewfTables) checkCopies(t *ewfTable) (c ewfChecked) {
	for c.which = range int(t.both) {
		overflow, err := l.check(t, t.copies[c.which])
		if err == nil {
			return ewfChecked{which: c.which, overflow: overflow}
		}
		c.err = errors.Join(c.err, err)
		c.again = c.again || !errors.Is(err, ErrCorrupt)
		if errors.Is(err, source.ErrPassing) {
			break
		}
	}
	return c
}

// useSecond counts a table that is read from its second copy.
func (l *ewfTables) useSecond(n int) {
	if l.seconds++; l.seconds == 1 || n < l.second {
		l.second = n
	}
}

// read reads a page of a copy.
func (l *ewfTables) read(t *ewfTable, c ewfCopy, number int64) (*ewfPage, error) {
	p := &ewfPage{table: t, base: c.base, from: number * ewfPageEntries, overflow: int64(t.count)}
	p.raw = make([]byte, 4*min(ewfPageEntries+1, int64(t.count)-p.from))
	if _, err := readFull(l.segments[t.segment], p.raw, c.at+4*p.from); err != nil {
		return nil, fmt.Errorf("a table: %w", err)
	}
	return p, nil
}

// check reads all entries of a copy: their checksum must be right, where there is one,
// and they must describe one chunk after the other in the part of the file that has
// them. It returns the number of the first entry that has 32 bits.
func (l *ewfTables) check(t *ewfTable, c ewfCopy) (overflow int64, err error) {
	s := l.segments[t.segment]
	wrong := func(number int64, what string) error {
		return fmt.Errorf("%s: the table entry at byte %d: %s: %w", s.Name(), c.at+4*number, what, ErrCorrupt)
	}
	sum, overflow, last := adler32.New(), int64(t.count), t.start-1
	first := int64(0)
	for from := int64(0); from < int64(t.count); from += ewfPageEntries {
		p, err := l.read(t, c, from/ewfPageEntries)
		if err != nil {
			return 0, err
		}
		count := min(ewfPageEntries, int64(t.count)-from)
		_, _ = sum.Write(p.raw[:4*count])
		for number := from; number < from+count; number++ {
			p.overflow = overflow
			at, _ := p.entry(number)
			if at <= last && number < overflow { // its highest bit may be one of the offset
				p.overflow = number
				if at, _ = p.entry(number); at > last {
					overflow = number
				}
			}
			switch {
			case at < t.start || at >= t.end:
				return 0, wrong(number, "the chunk is not where chunks are")
			case at <= last:
				return 0, wrong(number, "the chunk is before the one before it")
			case number == 0:
				first = at
			}
			last = at
		}
	}
	end := c.at + 4*int64(t.count)
	if t.sum == ewfNoSum || t.sum == ewfSumPerhaps && first < end+4 {
		return overflow, nil
	}
	b := make([]byte, 4)
	if _, err := readFull(s, b, end); err != nil {
		return 0, fmt.Errorf("a table: %w", err)
	}
	if sum.Sum32() != binary.LittleEndian.Uint32(b) {
		return 0, fmt.Errorf("%s: the checksum at byte %d of the table entries from byte %d is wrong: %w",
			s.Name(), end, c.at, ErrCorrupt)
	}
	return overflow, nil
}
