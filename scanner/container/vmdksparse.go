package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sort"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// vmdkHeader is the header of a sparse extent, in bytes where the file has sectors.
type vmdkHeader struct {
	size        int64 // of the header itself
	flags       uint32
	capacity    int64
	grain       int64
	text        vmdkSpan // the descriptor; empty if there is none
	entries     int64
	directory   int64
	redundant   int64 // the other grain directory; 0 if there is none
	directories int64 // the number of entries that a directory has, where the header says it; else 0
	overhead    int64 // no grain begins before it
	unclean     bool
	atEnd       bool // the grain directory is only in the footer
}

// vmdkSpan is a part of a file.
type vmdkSpan struct{ at, size int64 }

func (s vmdkSpan) overlaps(other vmdkSpan) bool {
	return s.at < other.at+other.size && other.at < s.at+s.size
}

// Flags of a sparse extent (Virtual Disk Format 5.0, "Hosted Sparse Extents").
const (
	vmdkNewlines   = 1 << 0  // the newline characters of the header are valid
	vmdkRedundant  = 1 << 1  // there is a redundant grain directory
	vmdkZeroed     = 1 << 2  // the grain table entry 1 is a grain of zeros
	vmdkCompressed = 1 << 16 // grains are compressed
	vmdkMarkers    = 1 << 17 // markers identify grains and tables
	vmdkFlags      = vmdkNewlines | vmdkRedundant | vmdkZeroed | vmdkCompressed | vmdkMarkers
)

// maxSectors bounds offsets and sizes in sectors.
const maxSectors = maxVMDKSize / sector

// Bounds of a sparse extent.
const (
	maxVMDKEntries   = 4096     // of a grain table: as many as COWD has, and eight times what VMware writes
	maxVMDKDirectory = 32 << 20 // of all grain directories of an image, in bytes: 62 TB have 8 MiB, twice
)

// readVMDKHeader reads the header of a sparse extent.
func readVMDKHeader(s *source.Source) (vmdkHeader, error) {
	b := make([]byte, 2048)
	n, err := s.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return vmdkHeader{}, fmt.Errorf("%s: the header: %w", s.Name(), err)
	}
	var h vmdkHeader
	switch b = b[:n]; {
	case n >= sector && string(b[:4]) == vmdkMagic:
		h, err = decodeVMDK4(b)
	case n == cap(b) && string(b[:4]) == cowdMagic:
		h, err = decodeCOWD(b)
	default:
		err = fmt.Errorf("it is not a sparse extent: %w", ErrCorrupt)
	}
	if err == nil && h.atEnd {
		h, err = readVMDKFooter(s, h)
	}
	if err != nil {
		return h, fmt.Errorf("%s: the header, at byte 0: %w", s.Name(), err)
	}
	return h, nil
}

// decodeVMDK4 decodes the structure SparseExtentHeader (Virtual Disk Format 5.0,
// "Hosted Sparse Extents").
func decodeVMDK4(b []byte) (vmdkHeader, error) {
	le := binary.LittleEndian
	if version := le.Uint32(b[4:]); version < 1 || version > 3 {
		return vmdkHeader{}, fmt.Errorf("version %d: %w", version, ErrUnsupported)
	}
	h := vmdkHeader{size: sector, flags: le.Uint32(b[8:]), entries: int64(le.Uint32(b[44:])), unclean: b[72] != 0}
	if unknown := h.flags &^ vmdkFlags; unknown != 0 {
		return h, fmt.Errorf("flags %#x: %w", unknown, ErrUnsupported)
	}
	if end := string(b[73:77]); h.flags&vmdkNewlines != 0 && end != "\n \r\n" {
		return h, fmt.Errorf("its newlines were converted, as by a transfer as text: %w", ErrCorrupt)
	}
	atEnd := le.Uint64(b[56:]) == 1<<64-1
	for _, f := range []struct {
		at int
		to *int64
	}{{12, &h.capacity}, {20, &h.grain}, {28, &h.text.at}, {36, &h.text.size}, {48, &h.redundant},
		{56, &h.directory}, {64, &h.overhead}} {
		n := le.Uint64(b[f.at:])
		if f.at == 56 && atEnd || f.at == 48 && h.flags&vmdkRedundant == 0 {
			continue
		}
		if n > maxSectors {
			return h, fmt.Errorf("the field at byte %d is %d sectors: %w", f.at, n, ErrCorrupt)
		}
		*f.to = int64(n) * sector
	}
	h.atEnd = atEnd
	method := le.Uint16(b[77:])
	switch compressed := h.flags&vmdkCompressed != 0; {
	case compressed != (method == 1) && method <= 1:
		return h, fmt.Errorf("compression method %d with the flags %#x: %w", method, h.flags, ErrCorrupt)
	case method > 1:
		return h, fmt.Errorf("compression method %d: %w", method, ErrUnsupported)
	case compressed != (h.flags&vmdkMarkers != 0):
		return h, fmt.Errorf("compression or markers without the other: %w", ErrUnsupported)
	}
	return h, h.sane()
}

// decodeCOWD decodes the structure COWDisk_Header (Virtual Disk Format 1.1, "ESX
// Server Sparse Extents").
func decodeCOWD(b []byte) (vmdkHeader, error) {
	le := binary.LittleEndian
	if version := le.Uint32(b[4:]); version != 1 {
		return vmdkHeader{}, fmt.Errorf("COWD version %d: %w", version, ErrUnsupported)
	}
	h := vmdkHeader{
		size: 2048, entries: 4096, capacity: int64(le.Uint32(b[12:])) * sector, grain: int64(le.Uint32(b[16:])) * sector,
		directory: int64(le.Uint32(b[20:])) * sector, directories: int64(le.Uint32(b[24:])),
		// Bit 2 of the flags is COWDISK_INCONSISTENT.
		unclean: le.Uint32(b[8:])&4 != 0 || le.Uint32(b[1648:]) != 0,
	}
	h.overhead = h.size
	return h, h.sane()
}

// sane checks what the header says of sizes.
func (h vmdkHeader) sane() error {
	switch {
	case h.capacity == 0:
		return fmt.Errorf("a capacity of 0 sectors: %w", ErrCorrupt)
	case h.grain < sector || bits.OnesCount64(uint64(h.grain)) != 1:
		return fmt.Errorf("a grain size of %d bytes: %w", h.grain, ErrCorrupt)
	case h.grain > largestBlock:
		return fmt.Errorf("a grain size of %d bytes, more than %d: %w", h.grain, largestBlock, ErrLimit)
	case h.entries < 1:
		return fmt.Errorf("%d entries in a grain table: %w", h.entries, ErrCorrupt)
	case h.entries > maxVMDKEntries:
		return fmt.Errorf("%d entries in a grain table, more than %d: %w", h.entries, maxVMDKEntries, ErrLimit)
	case h.directories > 0 && h.directories < h.tableCount():
		return fmt.Errorf("%d entries in the grain directory, too few for the capacity: %w", h.directories, ErrCorrupt)
	}
	return nil
}

// tableCount is the number of grain tables.
func (h vmdkHeader) tableCount() int64 {
	covered := h.grain * h.entries
	return (h.capacity + covered - 1) / covered
}

// vmdkTail is the size in bytes of the markers around a footer, and of the footer.
const vmdkTail = 3 * sector

// readVMDKFooter reads the copy of the header at the end of a stream, which has the
// place of the grain directory. A marker before it and one after it say that it is
// there (Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents").
func readVMDKFooter(s *source.Source, header vmdkHeader) (vmdkHeader, error) {
	at, b, le := s.Size()-vmdkTail, make([]byte, vmdkTail), binary.LittleEndian
	if at < sector {
		return header, fmt.Errorf("the footer is missing: %w", ErrCorrupt)
	}
	if _, err := readFull(s, b, at); err != nil {
		return header, fmt.Errorf("the footer: %w", err)
	}
	const endOfStream, footer = 0, 3
	end := b[2*sector:]
	if le.Uint64(b) != 1 || le.Uint32(b[8:]) != 0 || le.Uint32(b[12:]) != footer ||
		le.Uint64(end) != 0 || le.Uint32(end[8:]) != 0 || le.Uint32(end[12:]) != endOfStream {
		return header, fmt.Errorf("the footer at byte %d is not between its markers; the file may be truncated: %w",
			at+sector, ErrCorrupt)
	}
	if string(b[sector:sector+4]) != vmdkMagic {
		return header, fmt.Errorf("the footer at byte %d: %w", at+sector, ErrCorrupt)
	}
	f, err := decodeVMDK4(b[sector:])
	if err != nil {
		return header, fmt.Errorf("the footer at byte %d: %w", at+sector, err)
	}
	if f.atEnd || f.capacity != header.capacity || f.grain != header.grain || f.entries != header.entries ||
		f.flags != header.flags {
		return header, fmt.Errorf("the footer at byte %d contradicts the header: %w", at+sector, ErrCorrupt)
	}
	f.text, f.unclean = header.text, f.unclean || header.unclean
	f.atEnd = true
	return f, nil
}

// vmdkSparse is a sparse extent.
type vmdkSparse struct {
	vmdkHeader
	file *source.Source
	// tables and others have the offset in bytes of each grain table, 0 if there is
	// none. others are the redundant ones; nil if there are none that can be used.
	tables, others []int64
	metadata       []vmdkSpan // where no grain is, and no grain table
	behind         []int64    // the grain tables that are where grains may be, in order
	delta          bool       // what is not in the extent is in the parent
	note           string     // "" if there is none
}

// openVMDKSparse reads the grain directories of an extent. room is how many bytes
// they may have, and becomes smaller.
func openVMDKSparse(s *source.Source, h vmdkHeader, room *int64) (*vmdkSparse, error) {
	x, err := openVMDKDirectories(s, h, room)
	if err != nil {
		return nil, err
	}
	for _, tables := range [][]int64{x.tables, x.others} {
		for _, at := range tables {
			if at != 0 && at+4*h.entries > h.overhead {
				x.behind = append(x.behind, at)
			}
		}
	}
	slices.Sort(x.behind)
	return x, nil
}

func openVMDKDirectories(s *source.Source, h vmdkHeader, room *int64) (*vmdkSparse, error) {
	x := &vmdkSparse{vmdkHeader: h, file: s, metadata: []vmdkSpan{{0, h.size}, h.text}}
	if h.atEnd {
		x.metadata = append(x.metadata, vmdkSpan{s.Size() - vmdkTail, vmdkTail})
	}
	directory, redundant := vmdkSpan{h.directory, 4 * h.tableCount()}, vmdkSpan{h.redundant, 4 * h.tableCount()}
	if *room -= directory.size; h.redundant != 0 {
		*room -= directory.size
	}
	if *room < 0 {
		return nil, fmt.Errorf("%s: the header, at byte 0: grain directories of more than %d bytes: %w",
			s.Name(), maxVMDKDirectory, ErrLimit)
	}
	if h.redundant == 0 {
		tables, err := x.readDirectory(directory, directory)
		if err != nil {
			return nil, err
		}
		x.tables, x.metadata = tables, append(x.metadata, directory)
		return x, nil
	}
	tables, err := x.readDirectory(directory, directory, redundant)
	others, otherErr := x.readDirectory(redundant, redundant, directory)
	switch {
	case err == nil && otherErr == nil:
		x.tables, x.others, x.metadata = tables, others, append(x.metadata, directory, redundant)
	case err == nil && errors.Is(otherErr, ErrCorrupt):
		x.tables, x.metadata = tables, append(x.metadata, directory)
		x.note = fmt.Sprintf("the redundant grain directory at byte %d is damaged and is not used", redundant.at)
	case otherErr == nil && errors.Is(err, ErrCorrupt) && !h.unclean:
		// After an unclean shutdown the copies may differ.
		x.tables, x.metadata = others, append(x.metadata, redundant)
		x.note = fmt.Sprintf("the grain directory at byte %d is damaged; the redundant one at byte %d is used",
			directory.at, redundant.at)
	case err == nil:
		return nil, otherErr
	default:
		return nil, err
	}
	return x, nil
}

// readDirectory reads a grain directory, of which all spans of directories are
// known. It returns an error that is ErrCorrupt if the directory or one of its tables is
// outside the file, or where something else is, another table included.
func (x *vmdkSparse) readDirectory(d vmdkSpan, all ...vmdkSpan) ([]int64, error) {
	if !x.free(d) || len(all) == 2 && all[0].overlaps(all[1]) {
		return nil, fmt.Errorf("%s: the grain directory at byte %d: %w", x.file.Name(), d.at, ErrCorrupt)
	}
	b := make([]byte, d.size)
	if _, err := readFull(x.file, b, d.at); err != nil {
		return nil, fmt.Errorf("the grain directory: %w", err)
	}
	tables := make([]int64, d.size/4)
	for n := range tables {
		tables[n] = int64(binary.LittleEndian.Uint32(b[4*n:])) * sector
		t := vmdkSpan{tables[n], 4 * x.entries}
		if t.at != 0 && (!x.free(t) || slices.ContainsFunc(all, t.overlaps)) {
			return nil, fmt.Errorf("%s: the grain directory, at byte %d: a grain table at byte %d: %w",
				x.file.Name(), d.at+4*int64(n), t.at, ErrCorrupt)
		}
	}
	sorted := slices.Sorted(slices.Values(tables))
	for n, at := range sorted[1:] {
		if before := sorted[n]; before != 0 && at-before < 4*x.entries {
			return nil, fmt.Errorf("%s: the grain directory at byte %d: the grain tables at bytes %d and %d overlap: %w",
				x.file.Name(), d.at, before, at, ErrCorrupt)
		}
	}
	return tables, nil
}

// clearOf returns how many of the n bytes at an offset of the file are before the next
// grain table.
func (x *vmdkSparse) clearOf(at, n int64) int64 {
	i := sort.Search(len(x.behind), func(i int) bool { return x.behind[i]+4*x.entries > at })
	if i == len(x.behind) {
		return n
	}
	return min(max(x.behind[i]-at, 0), n)
}

// free reports whether a part of the file is within it, and not where metadata is.
func (x *vmdkSparse) free(s vmdkSpan) bool {
	return s.at <= x.file.Size()-s.size && !slices.ContainsFunc(x.metadata, s.overlaps)
}

// absent is what the extent does not have.
func (x *vmdkSparse) absent(size int64) extent {
	if x.delta {
		return extent{where: below, size: size}
	}
	return extent{where: zeros, size: size}
}

// extent returns what is at off of the extent, and how much of the same kind is known
// to follow it. size is that of the extent.
func (x *vmdkSparse) extent(pages *vmdkPages, off, size int64) (extent, error) {
	perTable := x.grain * x.entries
	n := off / perTable
	missing := func(n int64) bool { return x.tables[n] == 0 && (x.others == nil || x.others[n] == 0) }
	if missing(n) {
		for n++; n < int64(len(x.tables)) && missing(n); n++ {
		}
		return x.absent(n*perTable - off), nil
	}
	within := off % x.grain
	first := off % perTable / x.grain // in the grain table
	g := grains{x: x, size: size, start: off - within, at: x.tables[n] + 4*first}
	count := min(x.entries-first, (size-g.start+x.grain-1)/x.grain)
	var err error
	if x.others == nil {
		g.entries, err = pages.get(x.file, g.at, 4*count)
		g.others = g.entries
	} else if x.tables[n] == 0 || x.others[n] == 0 {
		err = fmt.Errorf("%s: the grain directories at bytes %d and %d contradict each other in entry %d: %w",
			x.file.Name(), x.directory, x.redundant, n, ErrCorrupt)
	} else if g.entries, err = pages.get(x.file, g.at, 4*count); err == nil {
		g.others, err = pages.get(x.file, x.others[n]+4*first, int64(len(g.entries)))
	}
	if err != nil {
		return extent{}, err
	}
	e, err := g.run()
	if e.size -= within; e.where == packed {
		return e, err
	}
	e.at += within
	return e, err
}

// grains are grains whose table entries are next to each other.
type grains struct {
	x               *vmdkSparse
	size            int64  // of the extent
	start           int64  // where the first grain begins in the extent
	at              int64  // where the first entry is in the file
	entries, others []byte // of both tables; they must be equal
}

func (g grains) count() int64 { return int64(min(len(g.entries), len(g.others)) / 4) }

// entry returns where a grain is in the file, in sectors; 0 or 1 if it is nowhere. It is
// not ok if the tables contradict each other.
func (g grains) entry(n int64) (value uint32, ok bool) {
	value = binary.LittleEndian.Uint32(g.entries[4*n:])
	return value, value == binary.LittleEndian.Uint32(g.others[4*n:])
}

// run returns the extent of the first grain and those of the same kind after it.
func (g grains) run() (extent, error) {
	x := g.x
	first, ok := g.entry(0)
	if !ok {
		return extent{}, fmt.Errorf("%s: the entry at byte %d of a grain table contradicts the redundant one: %w",
			x.file.Name(), g.at, ErrCorrupt)
	}
	nowhere := first == 0 || first == 1 && x.flags&vmdkZeroed != 0
	if !nowhere && !g.valid(0, first) {
		return extent{}, fmt.Errorf("%s: the entry at byte %d of a grain table has a grain at byte %d of %d: %w",
			x.file.Name(), g.at, int64(first)*sector, x.file.Size(), ErrCorrupt)
	}
	if !nowhere && x.flags&vmdkCompressed != 0 {
		return g.packed(int64(first) * sector), nil
	}
	n, step := int64(1), uint32(0)
	if !nowhere {
		step = uint32(x.grain / sector)
	}
	for next := first; n < g.count(); n++ {
		next += step
		if value, ok := g.entry(n); !ok || value != next || !nowhere && (next < first || !g.valid(n, value)) {
			break
		}
	}
	switch e := (extent{where: stored, size: n * x.grain, file: x.file, at: int64(first) * sector}); {
	case first == 0:
		return x.absent(e.size), nil
	case nowhere:
		return extent{where: zeros, size: e.size}, nil
	default:
		return e, nil
	}
}

// valid reports whether a grain can be at a sector of the file. A compressed one says
// itself which grain it is.
func (g grains) valid(n int64, sectors uint32) bool {
	s := vmdkSpan{int64(sectors) * sector, min(g.x.grain, g.size-g.start-n*g.x.grain)}
	if g.x.flags&vmdkCompressed != 0 {
		s.size = vmdkMarker
	}
	return s.at >= g.x.overhead && g.x.free(s) && g.x.clearOf(s.at, s.size) == s.size
}

// vmdkMarker is the size of the marker of a compressed grain, in bytes: its first
// sector on the disk and the size of what follows (Virtual Disk Format 5.0, "Grain
// Marker").
const vmdkMarker = 8 + 4

// packed returns the extent of the first grain, which is compressed at byte at of the
// file. How large it is is only in its marker, which is read with it: it ends before
// the grain that is next in the file, and is hardly larger than its content.
func (g grains) packed(at int64) extent {
	x := g.x
	size := min(vmdkMarker+x.grain+x.grain/8+sector, x.file.Size()-at)
	for n := int64(1); n < g.count(); n++ {
		if next, ok := g.entry(n); ok && int64(next)*sector > at {
			size = min(size, int64(next)*sector-at)
			break
		}
	}
	n := min(x.grain, g.size-g.start)
	return extent{where: packed, size: n, file: x.file, at: at, block: block{start: g.start, size: n, packed: size}}
}

// unpack decompresses the grain that begins at byte start of the extent into dst.
func (x *vmdkSparse) unpack(dst, packed []byte, start, at int64) error {
	fail := func(what string, err error) error {
		return fmt.Errorf("%s: the compressed grain at byte %d: %s: %w", x.file.Name(), at, what, err)
	}
	if len(packed) < vmdkMarker {
		return fail("it overlaps another one", ErrCorrupt)
	}
	first, size := binary.LittleEndian.Uint64(packed), int64(binary.LittleEndian.Uint32(packed[8:]))
	if first != uint64(start/sector) {
		return fail(fmt.Sprintf("it is that of sector %d, not %d", first, start/sector), ErrCorrupt)
	}
	packed = packed[vmdkMarker:]
	if size == 0 || size > int64(len(packed)) {
		return fail(fmt.Sprintf("its %d bytes go beyond the next one or the end", size), ErrCorrupt)
	}
	// The last grain may be longer than the disk.
	if err := unzlibFirst(dst, packed[:size], x.grain); err != nil {
		return fail(err.Error(), ErrCorrupt)
	}
	return nil
}

// vmdkPages keeps pages of files that have grain tables.
type vmdkPages struct{ kept lru.Cache[vmdkPage, []byte] }

type vmdkPage struct {
	file   *source.Source
	number int64
}

// get returns up to size bytes of a file at off, at least one: what is in the same
// page. They are within the file.
func (p *vmdkPages) get(s *source.Source, off, size int64) ([]byte, error) {
	key := vmdkPage{s, off / tablePage}
	b, ok := p.kept.Get(key)
	if !ok {
		start := key.number * tablePage
		b = make([]byte, min(tablePage, s.Size()-start))
		if _, err := readFull(s, b, start); err != nil {
			return nil, fmt.Errorf("a grain table: %w", err)
		}
		p.kept.Put(key, b, int64(len(b)))
	}
	b = b[off%tablePage:]
	return b[:min(int64(len(b)), size)], nil
}
