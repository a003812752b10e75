package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// The layouts are those of the Virtual Hard Disk Image Format Specification 1.0 of
// October 2006. Its numbers are big-endian, and its sectors have 512 bytes.

// vhdFooter is the structure at the end of each image ("Hard Disk Footer Format").
// Dynamic and differencing disks have a copy of it at the beginning.
type vhdFooter struct {
	header int64  // where the header of a dynamic or differencing disk is, in bytes
	stamp  uint32 // when the disk was made, in seconds since 2000
	size   int64  // of the disk, in bytes
	kind   uint32
	id     vhdID
	saved  bool // a virtual machine that uses the disk is suspended
}

// vhdID identifies a disk.
type vhdID [16]byte

func (id vhdID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// Kinds of disks.
const (
	vhdFixed        = 2
	vhdDynamic      = 3
	vhdDifferencing = 4
)

const (
	vhdMagic = "conectix"
	// vhdOldFooter is the size of the footer that versions before Virtual PC 2004
	// write, in bytes. It lacks the last byte, which is reserved.
	vhdOldFooter = sector - 1
	vhdHeader    = 1024 // size of the header in bytes
	vhdUnused    = 0xffffffff
	// vhdMaxBlocks bounds the blocks of a disk: 2 TiB in blocks of 512 KiB have half
	// as many.
	vhdMaxBlocks = 8 << 20
)

// vhdSum is the checksum of a structure in which the checksum itself is at at ("Hard
// Disk Footer Format", "Checksum").
func vhdSum(b []byte, at int) uint32 {
	sum := uint32(0)
	for i, c := range b {
		if i < at || i >= at+4 {
			sum += uint32(c)
		}
	}
	return ^sum
}

// decodeVHDFooter decodes a footer of either size.
func decodeVHDFooter(b []byte) (f vhdFooter, err error) {
	be := binary.BigEndian
	f = vhdFooter{
		header: int64(be.Uint64(b[16:])),
		stamp:  be.Uint32(b[24:]),
		size:   int64(be.Uint64(b[48:])),
		kind:   be.Uint32(b[60:]),
		id:     vhdID(b[68:84]),
		saved:  b[84] != 0,
	}
	version := be.Uint32(b[12:])
	switch {
	case string(b[:8]) != vhdMagic:
		return f, fmt.Errorf("there is no footer: %w", ErrCorrupt)
	case be.Uint32(b[64:]) != vhdSum(b, 64):
		return f, fmt.Errorf("the checksum of the footer is wrong: %w", ErrCorrupt)
	case version>>16 != 1:
		return f, fmt.Errorf("version %d.%d of the format: %w", version>>16, version&0xffff, ErrUnsupported)
	case f.kind < vhdFixed || f.kind > vhdDifferencing:
		return f, fmt.Errorf("a disk of type %d: %w", f.kind, ErrUnsupported)
	case f.size < 0 || f.size%sector != 0:
		return f, fmt.Errorf("a disk of %d bytes: %w", uint64(f.size), ErrCorrupt)
	}
	return f, nil
}

// vhdHead is the header of a dynamic or differencing disk ("Dynamic Disk Header
// Format").
type vhdHead struct {
	table       int64 // where the table of blocks is, in bytes
	entries     int64
	block       int64 // size of a block, in bytes
	parent      vhdID
	parentStamp uint32 // when the parent was last changed, in seconds since 2000
	parentName  string
	locators    []vhdLocator
}

// vhdLocator says where a path of the parent is.
type vhdLocator struct {
	platform string
	at, size int64 // in bytes
}

// decodeVHDHead decodes a header.
func decodeVHDHead(b []byte) (h vhdHead, err error) {
	be := binary.BigEndian
	h = vhdHead{
		table:       int64(be.Uint64(b[16:])),
		entries:     int64(be.Uint32(b[28:])),
		block:       int64(be.Uint32(b[32:])),
		parent:      vhdID(b[40:56]),
		parentStamp: be.Uint32(b[56:]),
		parentName:  utf16Text(be, b[64:576]),
	}
	for n := range 8 {
		l := b[576+24*n:]
		h.locators = append(h.locators, vhdLocator{string(l[:4]), int64(be.Uint64(l[16:])), int64(be.Uint32(l[8:]))})
	}
	version := be.Uint32(b[24:])
	switch {
	case string(b[:8]) != "cxsparse":
		return h, fmt.Errorf("there is no header: %w", ErrCorrupt)
	case be.Uint32(b[36:]) != vhdSum(b[:vhdHeader], 36):
		return h, fmt.Errorf("the checksum of the header is wrong: %w", ErrCorrupt)
	case version>>16 != 1:
		return h, fmt.Errorf("version %d.%d of the header: %w", version>>16, version&0xffff, ErrUnsupported)
	case bits.OnesCount64(uint64(h.block)) != 1:
		return h, fmt.Errorf("blocks of %d bytes: %w", h.block, ErrCorrupt)
	case h.block < 8*sector: // how large is a bitmap with less than a byte?
		return h, fmt.Errorf("blocks of %d bytes: %w", h.block, ErrUnsupported)
	}
	return h, nil
}

// utf16Text decodes a text that a zero ends, or its size.
func utf16Text(order binary.ByteOrder, b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := order.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// vhd is the mapping of a VHD image.
type vhd struct {
	nothingPacked
	file   *source.Source
	footer vhdFooter
	end    int64 // of what blocks may use of the file, in bytes

	// Of dynamic and differencing disks.
	block  int64 // size of the data of a block, in bytes
	bitmap int64 // size of the bitmap before the data, in bytes
	table  *table
	// bitmaps are those of a differencing disk; nil of a dynamic one. The
	// specification has bits for sectors of a dynamic disk too, which are 0 where a
	// sector was never written ("Block Allocation Table and Data Blocks"). QEMU ignores
	// them, and so does Windows 11, as feature request 1687 of 7-Zip shows: both read
	// what is stored. This package does the same, since what Windows reads is what
	// counts. VirtualBox and 7-Zip read zeros there.
	bitmaps *table
}

func openVHD(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	v := &vhd{file: first}
	notes, err := v.readFooters()
	if err != nil {
		return nil, err
	}
	d := newMapped("vhd", v.footer.size, v, first)
	var head vhdHead
	switch v.footer.kind {
	case vhdFixed:
		d.detail = "fixed"
		switch spare := v.end - v.footer.size; {
		case spare < 0:
			return nil, fmt.Errorf("%s: a disk of %d bytes in %d bytes before the footer: %w",
				first.Name(), v.footer.size, v.end, ErrCorrupt)
		case spare > 0:
			notes = append(notes, fmt.Sprintf("the last %d bytes before the footer are not part of the disk", spare))
		}
	default:
		d.detail = "dynamic"
		if head, err = v.readHead(); err != nil {
			return nil, err
		}
		if err := v.openTable(head); err != nil {
			return nil, err
		}
	}
	if v.footer.saved {
		notes = append(notes, "the footer says that a virtual machine with this disk is suspended; "+
			"what it had not written to the disk is in another file")
	}
	if v.footer.kind == vhdDifferencing {
		d.detail = "differencing"
		v.bitmaps = newTable(first, 0, v.end)
		v.bitmaps.pageSize = sector
		d.parent, err = o.openParent(ctx, first, wanted{v.parentName(head),
			func(p Disk) error { return isVHDParent(p, head) }})
		if err != nil {
			return nil, err
		}
		notes = append(notes, vhdStampNotes(d.parent, head)...)
	}
	d.notes = notes
	return d, nil
}

// readFooters reads the footer and its copy.
func (v *vhd) readFooters() (notes []string, err error) {
	size := v.file.Size()
	tail, head := make([]byte, sector), make([]byte, sector)
	if _, err := readFull(v.file, tail, size-sector); err != nil {
		return nil, err
	}
	if _, err := readFull(v.file, head, 0); err != nil {
		return nil, err
	}
	v.end = size - sector
	if string(tail[:8]) != vhdMagic && string(tail[1:9]) == vhdMagic {
		tail, v.end = tail[1:], size-vhdOldFooter
	}
	var endErr, copyErr error
	if v.footer, endErr = decodeVHDFooter(tail); endErr == nil && v.footer.kind == vhdFixed {
		return nil, nil
	}
	found := string(tail[:8]) == vhdMagic
	other, copyErr := decodeVHDFooter(head)
	switch {
	case endErr != nil && copyErr != nil && !found:
		return nil, fmt.Errorf("%s: at byte 0: %w", v.file.Name(), copyErr)
	case endErr != nil && copyErr != nil && string(head[:8]) != vhdMagic && errors.Is(endErr, ErrCorrupt):
		return nil, fmt.Errorf("%s: at byte %d: %w", v.file.Name(), v.end, hinted{endErr, v.hintFooter()})
	case endErr != nil && (copyErr != nil || other.kind == vhdFixed):
		return nil, fmt.Errorf("%s: at byte %d: %w", v.file.Name(), v.end, endErr)
	case endErr != nil:
		notes = append(notes, "the footer at the end is damaged or missing; its copy at the beginning is used")
		v.footer = other
		if !found {
			v.end = size
		}
	case copyErr != nil:
		notes = append(notes, "the copy of the footer at the beginning is damaged or missing")
	case other != v.footer:
		notes = append(notes, "the copy of the footer at the beginning differs from the footer, which is used")
	}
	return notes, nil
}

// hintFooter is what to do about an image that has a damaged footer at its end and
// nothing of a dynamic disk at its beginning.
func (v *vhd) hintFooter() string {
	hint := fmt.Sprintf("if the image has a fixed size, copy its first %d bytes to a raw image", v.end)
	if runtime.GOOS == "windows" {
		return hint
	}
	return fill(fmt.Sprintf("%s: head -c %d {file} >{image}", hint, v.end), v.file.Name())
}

// looksLikeVHDFooter reports whether the last sector of a raw image of a size may be the
// damaged footer of a fixed disk: it has two of the four values that all of them have.
// Footers of 511 bytes begin a byte later.
func looksLikeVHDFooter(b []byte, size int64) bool {
	be := binary.BigEndian
	for _, f := range [][]byte{b, b[1:]} {
		values := 0
		for _, has := range []bool{
			be.Uint32(f[12:]) == 1<<16, // version
			be.Uint64(f[16:]) == 1<<64-1,
			be.Uint64(f[48:]) == uint64(size-int64(len(f))),
			be.Uint32(f[60:]) == vhdFixed,
		} {
			if has {
				values++
			}
		}
		if values >= 2 {
			return true
		}
	}
	return false
}

// fail is an error at a place in the file.
func (v *vhd) fail(at int64, format string, args ...any) error {
	return fmt.Errorf("%s: at byte %d: "+format, append([]any{v.file.Name(), at}, args...)...)
}

// readHead reads the header.
func (v *vhd) readHead() (h vhdHead, err error) {
	at := v.footer.header
	if at < sector || at > v.end-vhdHeader {
		return h, v.fail(at, "the header is outside the file: %w", ErrCorrupt)
	}
	b := make([]byte, vhdHeader)
	if _, err := readFull(v.file, b, at); err != nil {
		return h, err
	}
	if h, err = decodeVHDHead(b); err != nil {
		return h, v.fail(at, "%w", err)
	}
	return h, nil
}

// openTable checks the table of blocks.
func (v *vhd) openTable(h vhdHead) error {
	at := v.footer.header
	v.block, v.bitmap = h.block, (h.block/sector/8+sector-1)/sector*sector
	need := v.footer.size / h.block
	if v.footer.size%h.block > 0 {
		need++
	}
	switch {
	case h.entries < need:
		return v.fail(at, "a table of %d entries for %d blocks: %w", h.entries, need, ErrCorrupt)
	case need > vhdMaxBlocks:
		return v.fail(at, "%d blocks, more than %d: %w", need, vhdMaxBlocks, ErrLimit)
	case h.table < sector || h.table > v.end-4*need || h.table < at+vhdHeader && h.table+4*need > at:
		return v.fail(h.table, "the table of blocks is outside the file or in the header: %w", ErrCorrupt)
	}
	v.table = newTable(v.file, h.table, 4*need)
	return v.checkBlocks(need, []vhdSpan{{0, sector}, {at, at + vhdHeader}, {h.table, h.table + 4*need}})
}

// vhdSpan is a range of a file in bytes.
type vhdSpan struct{ from, to int64 }

// checkBlocks checks that blocks are in the file, and overlap neither each other nor
// anything else.
func (v *vhd) checkBlocks(need int64, taken []vhdSpan) error {
	length := v.bitmap + v.block
	starts := make([]uint32, 0, min(need, v.end/length+1))
	for n := int64(0); n < need; {
		page, err := v.table.page(4 * n)
		if err != nil {
			return err
		}
		for ; len(page) >= 4; page = page[4:] {
			start := binary.BigEndian.Uint32(page)
			if start != vhdUnused {
				if err := v.checkBlock(n, start); err != nil {
					return err
				}
				starts = append(starts, start)
			}
			n++
		}
		if int64(len(starts))*length > v.end {
			return fmt.Errorf("%s: %d blocks are more than the file has, so some overlap: %w",
				v.file.Name(), len(starts), ErrCorrupt)
		}
	}
	slices.Sort(starts)
	free := int64(0)
	for _, start := range starts {
		at := int64(start) * sector
		if at < free {
			return fmt.Errorf("%s: blocks overlap at byte %d: %w", v.file.Name(), at, ErrCorrupt)
		}
		for _, t := range taken {
			if at < t.to && at+length > t.from {
				return fmt.Errorf("%s: the block at byte %d overlaps other structures: %w", v.file.Name(), at, ErrCorrupt)
			}
		}
		free = at + length
	}
	return nil
}

// checkBlock checks that block n, which starts at a sector, is in the file.
func (v *vhd) checkBlock(n int64, start uint32) error {
	if at := int64(start) * sector; at+v.bitmap+v.block > v.end {
		return fmt.Errorf("%s: the table entry at byte %d: a block at byte %d of %d, so the file is truncated or damaged: %w",
			v.file.Name(), v.table.at+4*n, at, v.end, ErrCorrupt)
	}
	return nil
}

// maxAlike is how many entries for blocks of the same kind are looked at together.
const maxAlike = 1024

func (v *vhd) extent(off int64) (extent, error) {
	if v.table == nil {
		return extent{where: stored, size: v.footer.size - off, file: v.file, at: off}, nil
	}
	n, within := off/v.block, off%v.block
	page, err := v.table.page(4 * n)
	if err != nil {
		return extent{}, err
	}
	absent, e := zeros, extent{size: v.block - within}
	if v.bitmaps != nil {
		absent = below
	}
	start := binary.BigEndian.Uint32(page)
	if start == vhdUnused {
		for alike := 1; alike < min(len(page)/4, maxAlike); alike++ {
			if binary.BigEndian.Uint32(page[4*alike:]) != vhdUnused {
				break
			}
			e.size += v.block
		}
		e.where = absent
		return e, nil
	}
	if err := v.checkBlock(n, start); err != nil {
		return e, err
	}
	at := int64(start) * sector
	e.where, e.file, e.at = stored, v.file, at+v.bitmap+within
	if v.bitmaps == nil {
		return e, nil
	}
	bit := within / sector
	if page, err = v.bitmaps.page(at + bit/8); err != nil {
		return e, err
	}
	set, alike := bitRun(page[:min(int64(len(page)), v.bitmap-bit/8)], int(bit%8), true)
	if !set {
		e.where = below
	}
	e.size = min(e.size, int64(alike)*sector-off%sector)
	return e, nil
}

// bitRun returns bit n of a bitmap, n < 8, and how many bits from it on are the same.
// The highest bit of a byte is the first, or the lowest.
func bitRun(b []byte, n int, highFirst bool) (set bool, alike int) {
	first := b[0]
	if highFirst {
		first = bits.Reverse8(first)
	}
	first >>= n
	set = first&1 != 0
	uniform := byte(0)
	if set {
		uniform, first = 0xff, ^first
	}
	if alike = bits.TrailingZeros8(first); alike < 8-n {
		return set, alike
	}
	alike = 8 - n
	for i := 1; i < len(b); i++ {
		if b[i] == uniform {
			alike += 8
			continue
		}
		last := b[i] ^ uniform
		if highFirst {
			last = bits.Reverse8(last)
		}
		return set, alike + bits.TrailingZeros8(last)
	}
	return set, alike
}

// maxLocator bounds the path in a locator, in bytes.
const maxLocator = 64 << 10

// parentName is the path of the parent: that of the header, or else that of a locator
// ("Dynamic Disk Header Format", "Parent Locator Entries").
func (v *vhd) parentName(h vhdHead) string {
	if h.parentName != "" {
		return h.parentName
	}
	for _, l := range h.locators {
		if l.platform != "W2ku" && l.platform != "W2ru" || l.size <= 0 || l.size > maxLocator || l.at < 0 {
			continue
		}
		b := make([]byte, l.size)
		if n, err := v.file.ReadAt(b, l.at); err != nil && err != io.EOF || n < len(b) {
			continue
		}
		if name := utf16Text(binary.LittleEndian, b); name != "" {
			return name
		}
	}
	return ""
}

// vhdParent reads the identifier of the parent.
func vhdParent(s *source.Source) (func(string, Disk) bool, error) {
	v := &vhd{file: s}
	if _, err := v.readFooters(); err != nil || v.footer.kind != vhdDifferencing {
		return nil, err
	}
	h, err := v.readHead()
	if err != nil {
		return nil, err
	}
	return hasIdentity(func(d Disk) error { return isVHDParent(d, h) }), nil
}

// isVHDParent returns why a disk is not the parent that a header names.
func isVHDParent(d Disk, h vhdHead) error {
	p, ok := mappingOf[*vhd](d)
	switch {
	case !ok:
		return errors.New("it is not a VHD image")
	case p.footer.id != h.parent:
		return fmt.Errorf("its identifier is %s, not %s", p.footer.id, h.parent)
	}
	return nil
}

// vhdEpoch is the time that time stamps count from.
var vhdEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// vhdStampNotes compares the time stamp of the parent. Some programs store the time of
// the parent's footer, others when its file was changed. A copy of the file has another
// time, so a different one is only a note.
func vhdStampNotes(parent Disk, h vhdHead) []string {
	p, ok := mappingOf[*vhd](parent)
	if !ok || h.parentStamp == 0 || h.parentStamp == p.footer.stamp {
		return nil
	}
	want := vhdEpoch.Add(time.Duration(h.parentStamp) * time.Second)
	if changed := p.file.Modified(); !changed.IsZero() && changed.Unix() == want.Unix() {
		return nil
	}
	return []string{fmt.Sprintf("the header says that the parent %s was last changed at %s, "+
		"but its file has another time; if the parent was changed since then, the disk is wrong",
		prose.Short(baseName(p.file.Name())), want.Format("2006-01-02 15:04:05Z"))}
}
