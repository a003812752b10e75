package registry

import (
	"fmt"
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
	data []byte // what the file holds of the bins data, and what logs added
	size int    // of the bins data as the base block or the last log entry has it; more than len(data) in a truncated file

	bins   []bin
	ofPage []uint32 // for each page of data the index of its bin

	// cells has a bit for every 8 bytes of data, set where a cell starts. It is filled bin by bin, when a bin is first
	// looked into, so that a reference into the middle of a cell is not taken for a cell.
	cells []uint64
	mu    sync.Mutex // for filling
}

// A bin is a stretch of the bins data. Where a header is damaged, everything up to the next intact one is one
// damaged bin.
type bin struct {
	start, end int // offsets in the bins data
	damaged    bool
	filled     atomic.Bool // whether cells has its cells
}

// index finds the bins. It reads one header a bin.
func (b *bins) index() {
	pages := (len(b.data) + pageSize - 1) / pageSize
	b.bins = make([]bin, 0, pages)
	b.ofPage = make([]uint32, pages)
	b.cells = make([]uint64, (len(b.data)/cellAlignment+63)/64)
	for start := 0; start < len(b.data); {
		end := b.binEnd(start)
		damaged := end == 0
		if damaged {
			for end = start + pageSize; end < len(b.data) && b.binEnd(end) == 0; end += pageSize {
			}
		}
		for p := start / pageSize; p < end/pageSize && p < pages; p++ {
			b.ofPage[p] = uint32(len(b.bins))
		}
		b.bins = append(b.bins, bin{start: start, end: end, damaged: damaged})
		start = end
	}
}

// binEnd returns the end of the bin that starts at an offset, 0 if there is no intact header.
func (b *bins) binEnd(start int) int {
	if len(b.data)-start < binHeaderSize {
		return 0
	}
	return parseBinHeader(b.data[start:], start, b.size)
}

// parseBinHeader returns the end of the bin whose header is h and whose offset is start, 0 if the header is not
// intact or the bin runs past the end of the bins data.
func parseBinHeader(h []byte, start, size int) int {
	n := int64(le.Uint32(h[8:]))
	if string(h[:4]) != "hbin" || int64(le.Uint32(h[4:])) != int64(start) || n == 0 || n%pageSize != 0 || int64(start)+n > int64(size) {
		return 0
	}
	return start + int(n)
}

// cell returns the content of the allocated cell at an offset. It must not be modified.
func (b *bins) cell(offset uint32) ([]byte, error) {
	off := int(offset)
	switch {
	case offset%cellAlignment != 0 || off+minCellSize > b.size:
		return nil, corrupt(offset, "no cell can be there, the bins data have %d bytes", b.size)
	case off+minCellSize > len(b.data):
		return nil, corrupt(offset, "beyond the end of the file, which is %d bytes short", b.size-len(b.data))
	}
	bin := &b.bins[b.ofPage[off/pageSize]]
	if bin.damaged {
		return nil, corrupt(offset, "in a bin with a damaged header")
	}
	if !bin.filled.Load() {
		b.fill(bin)
	}
	if unit := off / cellAlignment; b.cells[unit/64]&(1<<(unit%64)) == 0 {
		return nil, corrupt(offset, "no cell starts there")
	}
	size := int32(le.Uint32(b.data[off:]))
	if size >= 0 {
		return nil, corrupt(offset, "the cell is not allocated")
	}
	end := off - int(size) // fill has checked it
	return b.data[off+4 : end : end], nil
}

// fill marks where the cells of a bin start. Where the row of cells breaks off, the rest of the bin has none.
func (b *bins) fill(bin *bin) {
	b.mu.Lock()
	defer b.mu.Unlock()
	end := min(bin.end, len(b.data))
	for off := bin.start + binHeaderSize; off+minCellSize <= end; {
		size := int64(int32(le.Uint32(b.data[off:])))
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
	bin.filled.Store(true)
}

// A damage says what is wrong at an offset of the bins data. It is put into words only when somebody reads it: a
// damaged list may have many.
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
