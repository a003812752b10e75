package container

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// The layouts are those of [MS-VHDX], Virtual Hard Disk v2 (VHDX) File Format,
// revision 8.0. Its numbers are little-endian.

const (
	vhdxMagic = "vhdxfile"
	// vhdxUnit is what offsets and sizes in the file are multiples of, in bytes. The
	// first unit has the headers ([MS-VHDX] 2.1).
	vhdxUnit      = 1 << 20
	vhdxHeaderAt  = 64 << 10 // the second is as far from the first
	vhdxRegionsAt = 192 << 10
	vhdxTable     = 64 << 10 // size of a table of regions or of metadata, in bytes
	vhdxMaxCount  = 2047     // entries of such a table
	vhdxMaxItem   = 1 << 20
	vhdxMaxSize   = 64 << 40 // of a disk, in bytes
	// vhdxMaxFile bounds a file: the largest disk, its bitmaps and its tables need much
	// less.
	vhdxMaxFile = 2 * vhdxMaxSize
	// vhdxBitmap is the size of a block with bits of sectors, and vhdxBits how many
	// there are ([MS-VHDX] 2.4).
	vhdxBitmap = 1 << 20
	vhdxBits   = 8 * vhdxBitmap
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Known regions ([MS-VHDX] 2.2.3.2), metadata items (2.6.2) and locators (2.6.2.6.3).
const (
	regionBlocks   = "2dc27766-f623-4200-9d64-115e9bfd4a08"
	regionMetadata = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
	itemParameters = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
	itemSize       = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
	itemDisk       = "beca12ab-b2e6-4523-93ef-c309e000c746"
	itemLogical    = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
	itemPhysical   = "cda348c7-445d-4471-9cc9-e9885251c556"
	itemParent     = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
	locatorVHDX    = "b04aefb7-d19e-4a81-b789-25b8e9445913"
)

// itemLengths are the sizes of the known items in bytes; 0 is any size.
var itemLengths = map[string]int64{
	itemParameters: 8, itemSize: 8, itemDisk: 16, itemLogical: 4, itemPhysical: 4, itemParent: 0,
}

// vhdxHeader is a header ([MS-VHDX] 2.2.2).
type vhdxHeader struct {
	sequence       uint64
	dataWrite, log guid
	logVersion     uint16
	version        uint16
	logSize, logAt int64
}

func decodeVHDXHeader(b []byte) (vhdxHeader, bool) {
	le := binary.LittleEndian
	return vhdxHeader{
		sequence:   le.Uint64(b[8:]),
		dataWrite:  guid(b[32:48]),
		log:        guid(b[48:64]),
		logVersion: le.Uint16(b[64:]),
		version:    le.Uint16(b[66:]),
		logSize:    int64(le.Uint32(b[68:])),
		logAt:      int64(le.Uint64(b[72:])),
	}, string(b[:4]) == "head" && vhdxSum(b)
}

// vhdxSum verifies the checksum of a structure, which is after its signature.
func vhdxSum(b []byte) bool {
	sum := crc32.Update(0, castagnoli, b[:4])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, b[8:]) == binary.LittleEndian.Uint32(b[4:])
}

// vhdxEntry is an entry of the table of regions ([MS-VHDX] 2.2.3.2) or of metadata
// (2.6.1.2).
type vhdxEntry struct {
	id       guid
	at, size int64 // in the file, or in the region of metadata
	required bool
	user     bool
}

// vhdx is the mapping of a VHDX image.
type vhdx struct {
	file   *vhdxFile
	header vhdxHeader
	size   int64 // of the disk, in bytes
	block  int64 // in bytes
	logical,
	ratio int64 // sector size in bytes; blocks for which there is one bitmap
	fixed, differencing bool
	locator             map[string]string
	table               *table
	bitmaps             *table // of a differencing disk, for any place in the file
}

func openVHDX(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	x := &vhdx{file: &vhdxFile{Source: first, size: first.Size()}}
	notes, err := x.open()
	if err != nil {
		return nil, err
	}
	d := newMapped("vhdx", x.size, x, first)
	d.notes = notes
	switch {
	case x.differencing:
		d.detail = "differencing"
		if d.parent, err = o.openParent(ctx, first, wanted{x.parentName(), x.isParent}); err != nil {
			return nil, err
		}
	case x.fixed:
		d.detail = "fixed"
	default:
		d.detail = "dynamic"
	}
	if x.logical != sector {
		d.detail += fmt.Sprintf(", sectors of %d bytes", x.logical)
	}
	return d, nil
}

// fail is an error at a place in the file.
func (x *vhdx) fail(at int64, format string, args ...any) error {
	return fmt.Errorf("%s: at byte %d: "+format, append([]any{x.file.Name(), at}, args...)...)
}

// open reads everything up to the table of blocks.
func (x *vhdx) open() (notes []string, err error) {
	blocks, used, notes, err := x.openMetadata()
	if err != nil {
		return nil, err
	}
	return notes, x.readBlocks(blocks, used)
}

// openMetadata reads what is before the table of blocks, and where that is.
func (x *vhdx) openMetadata() (blocks *vhdxEntry, used units, notes []string, err error) {
	switch size := x.file.Size(); {
	case size < vhdxUnit:
		return nil, used, nil, x.fail(0, "a file of %d bytes: %w", size, ErrCorrupt)
	case size > vhdxMaxFile:
		return nil, used, nil, x.fail(0, "a file of %d bytes, more than %d: %w", size, int64(vhdxMaxFile), ErrLimit)
	}
	for _, step := range []func() ([]string, error){x.readHeaders, x.replay} {
		n, err := step()
		if err != nil {
			return nil, used, nil, err
		}
		notes = append(notes, n...)
	}
	regions, n, err := x.readRegions()
	if err != nil {
		return nil, used, nil, err
	}
	notes = append(notes, n...)
	used = newUnits(x.file.size)
	used.take(0, vhdxUnit)
	if x.header.logSize > 0 && !used.take(x.header.logAt, x.header.logSize) {
		return nil, used, nil, x.fail(x.header.logAt, "the log overlaps the headers: %w", ErrCorrupt)
	}
	var metadata *vhdxEntry
	for i, r := range regions {
		switch name := r.id.String(); {
		case name == regionBlocks:
			blocks = &regions[i]
		case name == regionMetadata:
			metadata = &regions[i]
		case r.required:
			return nil, used, nil, x.fail(vhdxRegionsAt, "the required region %s is not known: %w", name, ErrUnsupported)
		}
		if !used.take(r.at, r.size) {
			return nil, used, nil, x.fail(r.at, "a region overlaps other structures: %w", ErrCorrupt)
		}
	}
	if blocks == nil || metadata == nil {
		return nil, used, nil, x.fail(vhdxRegionsAt, "there is no table of blocks or no metadata: %w", ErrCorrupt)
	}
	if err := x.readMetadata(metadata); err != nil {
		return nil, used, nil, err
	}
	return blocks, used, notes, nil
}

// readHeaders finds the current header ([MS-VHDX] 2.2.2).
func (x *vhdx) readHeaders() (notes []string, err error) {
	var valid []vhdxHeader
	for n := range int64(2) {
		b, at := make([]byte, 4096), (n+1)*vhdxHeaderAt
		if _, err := readFull(x.file, b, at); err != nil {
			return nil, err
		}
		h, ok := decodeVHDXHeader(b)
		if !ok {
			notes = append(notes, fmt.Sprintf("the header at byte %d is damaged; the other one is used", at))
			continue
		}
		valid = append(valid, h)
	}
	switch {
	case len(valid) == 0:
		return nil, x.fail(vhdxHeaderAt, "both headers are damaged: %w", ErrCorrupt)
	case len(valid) == 2 && valid[0].sequence == valid[1].sequence && valid[0] != valid[1]:
		return nil, x.fail(vhdxHeaderAt, "two headers differ and have the same number: %w", ErrCorrupt)
	}
	x.header = slices.MaxFunc(valid, func(a, b vhdxHeader) int { return cmp.Compare(a.sequence, b.sequence) })
	h := x.header
	switch {
	case h.version != 1:
		return nil, x.fail(vhdxHeaderAt, "version %d of the format: %w", h.version, ErrUnsupported)
	case h.logVersion != 0 && h.log != guid{}:
		return nil, x.fail(vhdxHeaderAt, "version %d of the log: %w", h.logVersion, ErrUnsupported)
	case h.logSize%vhdxUnit != 0 || h.logAt%vhdxUnit != 0,
		h.logSize > 0 && (h.logAt < vhdxUnit || h.logAt > x.file.size-h.logSize):
		return nil, x.fail(vhdxHeaderAt, "a log of %d bytes at byte %d of %d: %w", h.logSize, h.logAt, x.file.size,
			ErrCorrupt)
	}
	return notes, nil
}

// readRegions reads the table of regions, or its copy ([MS-VHDX] 2.2.3).
func (x *vhdx) readRegions() (regions []vhdxEntry, notes []string, err error) {
	var valid [][]vhdxEntry
	for n := range int64(2) {
		at := vhdxRegionsAt + n*vhdxTable
		b := make([]byte, vhdxTable)
		if _, err := readFull(x.file, b, at); err != nil {
			return nil, nil, err
		}
		if string(b[:4]) != "regi" || !vhdxSum(b) {
			notes = append(notes, fmt.Sprintf("the region table at byte %d is damaged; its copy is used", at))
			continue
		}
		list, err := x.decodeRegions(b, at)
		if err != nil {
			return nil, nil, err
		}
		valid = append(valid, list)
	}
	switch {
	case len(valid) == 0:
		return nil, nil, x.fail(vhdxRegionsAt, "both region tables are damaged: %w", ErrCorrupt)
	case len(valid) == 2 && !slices.Equal(valid[0], valid[1]):
		return nil, nil, x.fail(vhdxRegionsAt, "the region table differs from its copy: %w", ErrCorrupt)
	}
	return valid[0], notes, nil
}

// decodeRegions decodes a table of regions, sorted by their places.
func (x *vhdx) decodeRegions(b []byte, at int64) (list []vhdxEntry, err error) {
	le := binary.LittleEndian
	count := le.Uint32(b[8:])
	if count > vhdxMaxCount {
		return nil, x.fail(at, "%d regions: %w", count, ErrCorrupt)
	}
	for n := range int64(count) {
		e := b[16+32*n:]
		r := vhdxEntry{guid(e[:16]), int64(le.Uint64(e[16:])), int64(le.Uint32(e[24:])), le.Uint32(e[28:])&1 != 0, false}
		if r.at < vhdxUnit || r.at%vhdxUnit != 0 || r.size == 0 || r.size%vhdxUnit != 0 || r.at > x.file.size-r.size {
			return nil, x.fail(at+16+32*n, "a region of %d bytes at byte %d of %d: %w", r.size, r.at, x.file.size, ErrCorrupt)
		}
		if slices.ContainsFunc(list, func(o vhdxEntry) bool { return o.id == r.id }) {
			return nil, x.fail(at+16+32*n, "two regions %s: %w", r.id, ErrCorrupt)
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b vhdxEntry) int { return cmp.Compare(a.at, b.at) })
	return list, nil
}

// readMetadata reads the metadata ([MS-VHDX] 2.6).
func (x *vhdx) readMetadata(region *vhdxEntry) error {
	le := binary.LittleEndian
	items, err := x.readItems(region)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(itemLengths)) {
		length := itemLengths[id]
		if b, ok := items[id]; id != itemParent && !ok || ok && length > 0 && int64(len(b)) != length {
			return x.fail(region.at, "the metadata %s is missing or has %d bytes: %w", id, len(b), ErrCorrupt)
		}
	}
	x.block = int64(le.Uint32(items[itemParameters]))
	flags := le.Uint32(items[itemParameters][4:])
	x.fixed, x.differencing = flags&1 != 0, flags&2 != 0
	x.size = int64(le.Uint64(items[itemSize]))
	x.logical = int64(le.Uint32(items[itemLogical]))
	physical := le.Uint32(items[itemPhysical])
	switch {
	case x.block < vhdxUnit || x.block > 256*vhdxUnit || bits.OnesCount64(uint64(x.block)) != 1:
		return x.fail(region.at, "blocks of %d bytes: %w", x.block, ErrCorrupt)
	case x.logical != 512 && x.logical != 4096 || physical != 512 && physical != 4096:
		return x.fail(region.at, "sectors of %d and %d bytes: %w", x.logical, physical, ErrCorrupt)
	case x.size < 0 || x.size > vhdxMaxSize || x.size%x.logical != 0:
		return x.fail(region.at, "a disk of %d bytes: %w", uint64(x.size), ErrCorrupt)
	}
	x.ratio = vhdxBits * x.logical / x.block
	if !x.differencing {
		return nil
	}
	locator, ok := items[itemParent]
	if !ok {
		return x.fail(region.at, "it has a parent, and nothing names it: %w", ErrCorrupt)
	}
	return x.readLocator(locator, region.at)
}

// readItems reads the known items, by their identifiers.
func (x *vhdx) readItems(region *vhdxEntry) (map[string][]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, vhdxTable)
	if _, err := readFull(x.file, b, region.at); err != nil {
		return nil, err
	}
	count := le.Uint16(b[10:])
	if string(b[:8]) != "metadata" || count > vhdxMaxCount {
		return nil, x.fail(region.at, "the table of metadata is damaged: %w", ErrCorrupt)
	}
	var list []vhdxEntry
	for n := range int64(count) {
		e := b[32+32*n:]
		flags := le.Uint32(e[24:])
		i := vhdxEntry{guid(e[:16]), int64(le.Uint32(e[16:])), int64(le.Uint32(e[20:])), flags&4 != 0, flags&1 != 0}
		if i.size > vhdxMaxItem || i.size > 0 && (i.at < vhdxTable || i.at > region.size-i.size) {
			return nil, x.fail(region.at+32+32*n, "metadata of %d bytes at byte %d of the region: %w", i.size, i.at, ErrCorrupt)
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b vhdxEntry) int { return cmp.Compare(a.at, b.at) })
	items, free := map[string][]byte{}, int64(0)
	for _, i := range list {
		if i.size > 0 && i.at < free {
			return nil, x.fail(region.at+i.at, "metadata overlaps: %w", ErrCorrupt)
		}
		free = max(free, i.at+i.size)
		name := i.id.String()
		if _, known := itemLengths[name]; !known || i.user {
			if i.required {
				return nil, x.fail(region.at, "the required metadata %s is not known: %w", name, ErrUnsupported)
			}
			continue
		}
		if _, ok := items[name]; ok {
			return nil, x.fail(region.at, "the metadata %s is there twice: %w", name, ErrCorrupt)
		}
		items[name] = make([]byte, i.size)
		if _, err := readFull(x.file, items[name], region.at+i.at); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// locatorKeys are the keys of a parent locator that are read ([MS-VHDX] 2.6.2.6.3). Texts
// may overlap, so the others could take far more memory than the file has bytes.
var locatorKeys = []string{"parent_linkage", "parent_linkage2", "relative_path", "volume_path", "absolute_win32_path"}

// vhdxMaxKey is more than any of these keys has, in bytes.
const vhdxMaxKey = 64

// textAt returns a part of b; not ok if it is not in it.
func textAt(b []byte, at uint32, size uint16) (part []byte, ok bool) {
	if end := int64(at) + int64(size); end <= int64(len(b)) {
		return b[at:end], true
	}
	return nil, false
}

// readLocator reads what identifies the parent ([MS-VHDX] 2.6.2.6).
func (x *vhdx) readLocator(b []byte, at int64) error {
	le := binary.LittleEndian
	if len(b) < 20 {
		return x.fail(at, "a parent locator of %d bytes: %w", len(b), ErrCorrupt)
	}
	if kind := guid(b[:16]).String(); kind != locatorVHDX {
		return x.fail(at, "a parent that is not a VHDX image: %s: %w", kind, ErrUnsupported)
	}
	count := int(le.Uint16(b[18:]))
	if 20+12*count > len(b) {
		return x.fail(at, "a parent locator of %d entries in %d bytes: %w", count, len(b), ErrCorrupt)
	}
	x.locator = map[string]string{}
	for n := range count {
		e := b[20+12*n:]
		key, ok1 := textAt(b, le.Uint32(e), le.Uint16(e[8:]))
		value, ok2 := textAt(b, le.Uint32(e[4:]), le.Uint16(e[10:]))
		if !ok1 || !ok2 {
			return x.fail(at, "entry %d of the parent locator: %w", n, ErrCorrupt)
		}
		if len(key) > vhdxMaxKey {
			continue
		}
		name := utf16Text(le, key)
		if !slices.Contains(locatorKeys, name) {
			continue
		}
		if _, twice := x.locator[name]; twice {
			return x.fail(at, "entry %d of the parent locator: %w", n, ErrCorrupt)
		}
		x.locator[name] = utf16Text(le, value)
	}
	if x.locator["parent_linkage"] == "" {
		return x.fail(at, "the parent locator does not identify the parent: %w", ErrCorrupt)
	}
	return nil
}

// parentName is the path of the parent, in the order in which paths are to be tried.
func (x *vhdx) parentName() string {
	return cmp.Or(x.locator["relative_path"], x.locator["volume_path"], x.locator["absolute_win32_path"])
}

// vhdxParent reads the identifier of the parent's content.
func vhdxParent(s *source.Source) (func(string, Disk) bool, error) {
	x := &vhdx{file: &vhdxFile{Source: s, size: s.Size()}}
	if _, _, _, err := x.openMetadata(); err != nil || !x.differencing {
		return nil, err
	}
	return hasIdentity(x.isParent), nil
}

// isParent returns why a disk is not the parent. A second identifier is there while
// blocks are merged into the parent ([MS-VHDX] 2.6.2.6.3).
func (x *vhdx) isParent(d Disk) error {
	p, ok := mappingOf[*vhdx](d)
	if !ok {
		return errors.New("it is not a VHDX image")
	}
	for _, key := range []string{"parent_linkage", "parent_linkage2"} {
		if strings.ToLower(strings.Trim(x.locator[key], "{}")) == p.header.dataWrite.String() {
			if p.logical != x.logical {
				return fmt.Errorf("its sectors have %d bytes, not %d", p.logical, x.logical)
			}
			return nil
		}
	}
	return fmt.Errorf("its content is %s, not %s", p.header.dataWrite, strings.Trim(x.locator["parent_linkage"], "{}"))
}

// States of blocks ([MS-VHDX] 2.5.1.1).
const (
	blockAbsent    = 0
	blockUndefined = 1
	blockZero      = 2
	blockUnmapped  = 3
	blockFull      = 6
	blockPartial   = 7
)

// vhdxBlock decodes an entry of the table of blocks ([MS-VHDX] 2.5.1).
func vhdxBlock(entry uint64) (state, at int64) {
	return int64(entry & 7), int64(entry>>20) * vhdxUnit
}

// readBlocks checks the table of blocks ([MS-VHDX] 2.5): blocks are in the file, and
// overlap nothing.
func (x *vhdx) readBlocks(region *vhdxEntry, used units) error {
	count := (x.size + x.block - 1) / x.block
	entries := count + max(count-1, 0)/x.ratio
	if x.differencing {
		entries = (count + x.ratio - 1) / x.ratio * (x.ratio + 1)
		x.bitmaps = newTable(x.file, 0, x.file.size)
	}
	if 8*entries > region.size {
		return x.fail(region.at, "a table of %d bytes for %d entries: %w", region.size, entries, ErrCorrupt)
	}
	x.table = newTable(x.file, region.at, 8*entries)
	partial := false // whether one of the blocks before needs their bitmap
	for n := int64(0); n < entries; {
		page, err := x.table.page(8 * n)
		if err != nil {
			return err
		}
		for ; len(page) >= 8; page, n = page[8:], n+1 {
			entry := binary.LittleEndian.Uint64(page)
			state, at := vhdxBlock(entry)
			block := n - n/(x.ratio+1)
			size := min(x.block, x.size-block*x.block)
			if n%(x.ratio+1) == x.ratio {
				missing := partial && state != blockFull
				partial, size = false, vhdxBitmap
				if !x.differencing { // QEMU before 8.0 leaves anything in this entry
					continue
				}
				if missing || state != blockAbsent && state != blockFull {
					return x.fail(region.at+8*n, "the bitmap of blocks has state %d: %w", state, ErrCorrupt)
				}
			} else if block >= count { // the rest of the blocks of the last bitmap
				continue
			} else if err := x.checkState(n, state); err != nil {
				return err
			}
			partial = partial || state == blockPartial
			if state != blockFull && state != blockPartial {
				continue
			}
			if err := x.checkPlace(n, entry, size); err != nil {
				return err
			}
			if !used.take(at, size) {
				return x.fail(region.at+8*n, "the block at byte %d overlaps other structures: %w", at, ErrCorrupt)
			}
		}
	}
	return nil
}

// checkState checks the state of a block of the disk.
func (x *vhdx) checkState(n, state int64) error {
	if state == 4 || state == 5 || state == blockPartial && !x.differencing {
		return x.fail(x.table.at+8*n, "a block has state %d: %w", state, ErrCorrupt)
	}
	return nil
}

// checkPlace checks that a block is in the file, after the headers.
func (x *vhdx) checkPlace(n int64, entry uint64, size int64) error {
	_, at := vhdxBlock(entry)
	if entry&0xffff8 != 0 || at < vhdxUnit || at > x.file.size-size {
		return x.fail(x.table.at+8*n, "a block of %d bytes at byte %d of %d, so the file is truncated or damaged: %w",
			size, at, x.file.size, ErrCorrupt)
	}
	return nil
}

func (x *vhdx) extent(off int64) (extent, error) {
	le := binary.LittleEndian
	block, within := off/x.block, off%x.block
	n := block + block/x.ratio
	page, err := x.table.page(8 * n)
	if err != nil {
		return extent{}, err
	}
	entry := le.Uint64(page)
	state, at := vhdxBlock(entry)
	size := min(x.block, x.size-block*x.block)
	if err := x.checkState(n, state); err != nil {
		return extent{}, err
	}
	if state != blockFull && state != blockPartial {
		// [MS-VHDX] 2.5.1.1 allows zeros for blocks that are undefined or unmapped, and
		// QEMU reads zeros. They are not in the parent.
		e := extent{where: zeros, size: size - within}
		if state == blockAbsent && x.differencing {
			e.where = below
		}
		for i := 8; i < 8*maxAlike && i+8 <= len(page); i += 8 {
			if (n+int64(i/8))%(x.ratio+1) == x.ratio {
				continue
			}
			if s, _ := vhdxBlock(le.Uint64(page[i:])); s != state {
				break
			}
			e.size += x.block
		}
		return e, nil
	}
	if err := x.checkPlace(n, entry, size); err != nil {
		return extent{}, err
	}
	left := size - within
	if state == blockPartial {
		set, alike, err := x.present(off)
		if err != nil {
			return extent{}, err
		}
		left = min(left, alike)
		if !set {
			return extent{where: below, size: left}, nil
		}
	}
	return x.file.extent(off, at+within, left), nil
}

// maxBits is how many bytes of a bitmap are looked at together.
const maxBits = 1024

// present returns whether the sector at off is in this file, and how many bytes from off
// on are in the same one ([MS-VHDX] 2.4).
func (x *vhdx) present(off int64) (set bool, alike int64, err error) {
	chunk, bit := off/x.logical/vhdxBits, off/x.logical%vhdxBits
	n := chunk*(x.ratio+1) + x.ratio
	page, err := x.table.page(8 * n)
	if err != nil {
		return false, 0, err
	}
	entry := binary.LittleEndian.Uint64(page)
	state, at := vhdxBlock(entry)
	if state != blockFull {
		return false, 0, x.fail(x.table.at+8*n, "the bitmap of blocks has state %d: %w", state, ErrCorrupt)
	}
	if err := x.checkPlace(n, entry, vhdxBitmap); err != nil {
		return false, 0, err
	}
	if page, err = x.bitmaps.page(at + bit/8); err != nil {
		return false, 0, err
	}
	set, sectors := bitRun(page[:min(int64(len(page)), maxBits, vhdxBitmap-bit/8)], int(bit%8), false)
	return set, int64(sectors)*x.logical - off%x.logical, nil
}

func (x *vhdx) unpack(dst, _ []byte, e extent) error {
	copy(dst, x.file.changes[e.block.method].data)
	return nil
}

// units are the units of a file that are in use.
type units struct{ bitmap }

func newUnits(size int64) units { return units{newBitmap(size/vhdxUnit + 1)} }

// take takes the units of a range of the file. It reports whether they were all free.
func (u units) take(at, size int64) bool {
	for n := at / vhdxUnit; n*vhdxUnit < at+size; n++ {
		if n >= u.size() || !u.set(n) {
			return false
		}
	}
	return true
}
