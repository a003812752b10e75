package registry

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

const (
	binHeaderSize = 32
	minCellSize   = 8
	cellAlignment = 8
)

// bins is the bins data of a hive: a row of bins, each filled with cells (regf, "Hive bin" and "Cell"). All that is
// read from a hive after its base block is read through cell.
type bins struct {
	data  []byte // the bins data, if they are held in memory
	parts *parts // what of them was read; nil if all was
	cache *cache // if they are not held
	end   int    // length in bytes: the bins data in the file, and the data that logs added
	size  int    // of the bins data as the base block or the last log entry has it; more than end in a truncated file

	memory memory

	bins   []bin
	ofPage []uint32 // for each page there is the index of its bin

	// cells has a bit for every 8 bytes there are, set where a cell starts. It is filled bin by bin, when a bin is
	// first looked into, so that a reference into the middle of a cell is rejected.
	cells []uint64
	mu    sync.Mutex // for filling
}

// A bin is a stretch of the bins data. Where a header is damaged, everything up to the next intact one is one
// damaged bin.
type bin struct {
	start, end int // offsets in the bins data
	damaged    bool
	filled     atomic.Bool // whether cells has its cells
	broken     bool        // once it is filled: its cells do not fill it, so one of them has a wrong size
}

// indexCost is the overhead of bins for n bytes of data, in bytes.
func indexCost(n int) int64 {
	const binCost = 24 // a bin; most are of one page
	return int64(n)/cellAlignment/8 + int64(n)/pageSize*(4+binCost)
}

// hold reads n bytes of bins data into memory; fewer if the file ends before.
func (b *bins) hold(r io.ReaderAt, n int) (err error) {
	b.data, err = readUpTo(r, baseBlockSize, int64(n))
	b.end = len(b.data)
	return err
}

// holdParts reads bins data into memory where they are needed.
func (b *bins) holdParts(r io.ReaderAt, n int, part func(off int64) (from, to int64)) {
	b.data, b.end = make([]byte, n), n
	b.parts = newParts(r, n, part)
}

// need makes sure that the bins data between two offsets, which are there, are in memory if they are held.
func (b *bins) need(from, to int) error {
	if b.parts == nil {
		return nil
	}
	return b.parts.need(b.data, from, to)
}

// leave leaves n bytes of bins data in the file, which then is read for as long as the hive is used.
func (b *bins) leave(r io.ReaderAt, n int) error {
	if err := b.memory.take(cacheSize + indexCost(n)); err != nil {
		return fmt.Errorf("a cache for %d bytes of bins data: %w", n, err)
	}
	b.cache = &cache{r: r, there: n, memory: b.memory, pages: map[int][]byte{}, blocks: map[int]*block{}}
	b.end = n
	return nil
}

// write puts data over the bins data, which may grow.
func (b *bins) write(off int, data []byte) error {
	end := off + len(data)
	if b.cache != nil {
		b.end = max(b.end, end)
		return b.cache.write(off, data)
	}
	if end > cap(b.data) {
		// Memory is taken in steps: a log adds page after page.
		room := end + readSize
		if err := b.memory.take(int64(room - cap(b.data))); err != nil {
			return err
		}
		if err := b.memory.fits(int64(cap(b.data))); err != nil { // both for a moment
			return err
		}
		grown := make([]byte, len(b.data), room)
		copy(grown, b.data)
		b.data = grown
	}
	if n := len(b.data); end > n {
		b.data = b.data[:end]
		clear(b.data[n:])
	}
	if b.parts != nil {
		b.parts.write(off, end)
	}
	copy(b.data[off:], data)
	b.end = len(b.data)
	return nil
}

// read returns n bytes at an offset; they are there. They must not be modified.
func (b *bins) read(off, n int) ([]byte, error) {
	if b.cache == nil {
		return b.data[off : off+n : off+n], b.need(off, off+n)
	}
	if err := b.memory.fits(int64(n)); err != nil {
		return nil, err
	}
	p := make([]byte, n)
	return p, b.cache.readAt(p, off)
}

// cellSize returns the size field of a cell.
func (b *bins) cellSize(off int) (int32, error) {
	if b.cache == nil {
		if err := b.need(off, off+cellHead); err != nil {
			return 0, err
		}
		return int32(le.Uint32(b.data[off:])), nil
	}
	var field [4]byte
	err := b.cache.readAt(field[:], off)
	return int32(le.Uint32(field[:])), err
}

// index finds the bins. It reads one header a bin. Of a hive that is read in parts it finds them later.
func (b *bins) index() error {
	pages := (b.end + pageSize - 1) / pageSize
	b.cells = make([]uint64, (b.end/cellAlignment+63)/64)
	if b.parts != nil {
		b.parts.bins = make([]atomic.Pointer[bin], pages)
		return nil
	}
	b.bins = make([]bin, 0, pages)
	b.ofPage = make([]uint32, pages)
	for start := 0; start < b.end; {
		end, err := b.binEnd(start)
		damaged := end == 0
		if damaged {
			for end = start + pageSize; err == nil && end < b.end; end += pageSize {
				var next int
				if next, err = b.binEnd(end); next != 0 {
					break
				}
			}
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			b.end = start // of a file that is shorter than its stated size
			return nil
		}
		if err != nil {
			return err
		}
		for p := start / pageSize; p < end/pageSize && p < pages; p++ {
			b.ofPage[p] = uint32(len(b.bins))
		}
		b.bins = append(b.bins, bin{start: start, end: end, damaged: damaged})
		start = end
	}
	return nil
}

// binEnd returns the end of the bin that starts at an offset, 0 if there is no intact header.
func (b *bins) binEnd(start int) (int, error) {
	if b.end-start < binHeaderSize {
		return 0, nil
	}
	if b.cache == nil {
		if err := b.need(start, start+binHeaderSize); err != nil {
			return 0, err
		}
		return parseBinHeader(b.data[start:], start, b.size), nil
	}
	var header [binHeaderSize]byte
	if err := b.cache.readAt(header[:], start); err != nil {
		return 0, err
	}
	return parseBinHeader(header[:], start, b.size), nil
}

// parseBinHeader returns the end of the bin whose header is h and whose offset is start, 0 if the header is not
// intact or the bin runs past the end of the bins data.
func parseBinHeader(h []byte, start, size int) int {
	n := int64(le.Uint32(h[8:]))
	if string(h[:4]) != "hbin" || int64(le.Uint32(h[4:])) != int64(start) || n == 0 || n%pageSize != 0 ||
		int64(start)+n > int64(size) {
		return 0
	}
	return start + int(n)
}

// find returns where the content of the allocated cell at an offset begins, and its length.
func (b *bins) find(offset uint32) (at, n int, err error) {
	off := int(offset)
	switch {
	case offset%cellAlignment != 0 || off+minCellSize > b.size:
		return 0, 0, corrupt(offset, "no cell can be there, the bins data have %d bytes", b.size)
	case off+minCellSize > b.end:
		return 0, 0, corrupt(offset, "beyond the end of the file, which is %d bytes short", b.size-b.end)
	}
	bin, err := b.binOf(off / pageSize)
	if err != nil {
		return 0, 0, unread(offset, err)
	}
	if bin.damaged {
		return 0, 0, corrupt(offset, "in a bin with a damaged header")
	}
	if !bin.filled.Load() {
		if err := b.fill(bin); err != nil {
			return 0, 0, unread(offset, err)
		}
	}
	if bin.broken {
		return 0, 0, corrupt(offset, "in a bin whose cells do not fill it")
	}
	if unit := off / cellAlignment; b.cells[unit/64]&(1<<(unit%64)) == 0 {
		return 0, 0, corrupt(offset, "no cell starts there")
	}
	size, err := b.cellSize(off)
	if err != nil {
		return 0, 0, unread(offset, err)
	}
	if size >= 0 {
		return 0, 0, corrupt(offset, "the cell is not allocated")
	}
	return off + cellHead, -int(size) - cellHead, nil // fill has checked it
}

// binOf returns the bin of a page.
func (b *bins) binOf(page int) (*bin, error) {
	if b.parts != nil {
		return b.binAt(page)
	}
	return &b.bins[b.ofPage[page]], nil
}

// cellHead is the size of a cell up to its content.
const cellHead = 4

// cell returns the first bytes of the content of the allocated cell at an offset, at most so many, and the length of
// all of it. They must not be modified.
func (b *bins) cell(offset uint32, most int) (content []byte, length int, err error) {
	at, n, err := b.find(offset)
	if err != nil {
		return nil, 0, err
	}
	if content, err = b.read(at, min(n, most)); err != nil {
		return nil, 0, unread(offset, err)
	}
	return content, n, nil
}

// unread says which place of the hive could not be read.
func unread(offset uint32, err error) error {
	return fmt.Errorf("offset 0x%x: %w", fileOffset(offset), err)
}

// fill marks where the cells of a bin start. Where the row of cells breaks off because the file ends, the rest of the
// bin has none.
func (b *bins) fill(bin *bin) error {
	if err := b.need(bin.start, min(bin.end, b.end)); err != nil { // without the lock
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if bin.filled.Load() { // by whoever had the lock before, and read since
		return nil
	}
	end := min(bin.end, b.end)
	off := bin.start + binHeaderSize
	for off+minCellSize <= end {
		field, err := b.cellSize(off)
		if err != nil {
			return err
		}
		size := int64(field)
		if size < 0 {
			size = -size
		}
		if size < minCellSize || size%cellAlignment != 0 || int64(off)+size > int64(end) {
			break
		}
		unit := off / cellAlignment
		b.cells[unit/64] |= 1 << (unit % 64)
		off += int(size)
	}
	bin.broken = off != end && end == bin.end
	bin.filled.Store(true)
	return nil
}

// A damage is an error at an offset of the bins data. Its message is built only when it is read: a damaged list
// may have many.
type damage struct {
	offset uint32
	format string
	args   []any
}

func corrupt(offset uint32, format string, args ...any) error {
	return &damage{offset, format, args}
}

func (d *damage) Error() string {
	return fmt.Sprintf("%v: offset 0x%x: %s", ErrCorrupt, fileOffset(d.offset), fmt.Sprintf(d.format, d.args...))
}

func (d *damage) Unwrap() error { return ErrCorrupt }

// fileOffset converts an offset in the bins data to one in the hive file.
func fileOffset(offset uint32) int64 { return baseBlockSize + int64(offset) }
