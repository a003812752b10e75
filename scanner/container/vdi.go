package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// The format is that of VirtualBox (src/VBox/Storage/VDICore.h): a header, a table
// with the number of each block in the file, and the blocks, each after data of its
// own that is not of the disk. All numbers are little-endian.
const (
	vdiMagicAt    = 64
	vdiMagic      = "\x7f\x10\xda\xbe"
	vdiHeaderSize = 456 // VDIPREHEADER and VDIHEADER1
	vdiVersion    = 1<<16 | 1

	// Numbers of blocks that are not in the file.
	vdiFree = math.MaxUint32     // zeros, or what the parent has
	vdiZero = math.MaxUint32 - 1 // zeros

	// maxVDIBlocks bounds the table: 64 TiB in blocks of 1 MiB, the usual size.
	maxVDIBlocks = 1 << 26
)

// The types of images: VDIIMAGETYPE.
const (
	vdiDynamic = 1 + iota
	vdiFixed
	vdiUndo
	vdiDiff
)

var vdiTypes = map[uint32]string{vdiDynamic: "dynamic", vdiFixed: "fixed", vdiUndo: "undo", vdiDiff: "differencing"}

// vdiHeader is the header of a VDI image.
type vdiHeader struct {
	kind         uint32 // a type
	at, data     int64  // where the table and the first block are, in bytes
	size         int64  // of the disk, in bytes
	block, extra int64  // sizes of a block and of the data before each, in bytes
	blocks, used uint32 // in the table, and in the file
	uuid         guid
	modified     guid // changes whenever the disk is written
	parent       guid // zeros without one
	// parentModified is what modified of the parent was.
	parentModified guid
}

// readVDIHeader reads the header, and checks it against itself.
func readVDIHeader(s *source.Source) (h vdiHeader, err error) {
	b := make([]byte, vdiHeaderSize)
	if _, err := readFull(s, b, 0); err != nil {
		return h, fmt.Errorf("the header: %w", err)
	}
	le := binary.LittleEndian
	if version := le.Uint32(b[68:]); version != vdiVersion {
		return h, hinted{fmt.Errorf("%s: a VDI image of version %d.%d; only version 1.1 can be read: %w", s.Name(),
			version>>16, version&0xffff, ErrUnsupported), fill(hintVDI, s.Name())}
	}
	h = vdiHeader{
		kind: le.Uint32(b[76:]),
		at:   int64(le.Uint32(b[340:])), data: int64(le.Uint32(b[344:])),
		block: int64(le.Uint32(b[376:])), extra: int64(le.Uint32(b[380:])),
		blocks: le.Uint32(b[384:]), used: le.Uint32(b[388:]),
		uuid: guid(b[392:]), modified: guid(b[408:]), parent: guid(b[424:]), parentModified: guid(b[440:]),
	}
	wrong := func(at int, format string, args ...any) error {
		return fmt.Errorf("%s: the header, at byte %d: %s: %w", s.Name(), at, fmt.Sprintf(format, args...), ErrCorrupt)
	}
	size, differs := le.Uint64(b[368:]), h.kind == vdiUndo || h.kind == vdiDiff
	switch {
	case le.Uint32(b[72:]) < vdiHeaderSize-72:
		return h, wrong(72, "a header of %d bytes", le.Uint32(b[72:]))
	case vdiTypes[h.kind] == "":
		return h, wrong(76, "an unknown type of image, %d", h.kind)
	case size > math.MaxInt64:
		return h, wrong(368, "a disk of %d bytes", size)
	case h.block < sector || bits.OnesCount64(uint64(h.block)) != 1:
		return h, wrong(376, "blocks of %d bytes", h.block)
	case size > uint64(h.blocks)*uint64(h.block):
		return h, wrong(384, "%d blocks are less than the disk of %d bytes", h.blocks, size)
	case h.blocks > maxVDIBlocks:
		return h, fmt.Errorf("%s: the header, at byte 384: %d blocks, more than %d: %w", s.Name(), h.blocks, maxVDIBlocks,
			ErrLimit)
	case h.at < vdiHeaderSize:
		return h, wrong(340, "the block table is in the header, at byte %d", h.at)
	case h.data < h.at+4*int64(h.blocks):
		return h, wrong(344, "the blocks begin in the block table, at byte %d", h.data)
	case s.Size() < h.at+4*int64(h.blocks):
		return h, wrong(340, "the block table is not in the file, which has %d bytes: it is truncated", s.Size())
	case h.used > h.blocks:
		return h, wrong(388, "%d of %d blocks are in the file", h.used, h.blocks)
	case differs != (h.parent != guid{}):
		return h, wrong(424, "the type is %s, and the UUID of the parent is %s", vdiTypes[h.kind], h.parent)
	}
	h.size = int64(size)
	return h, nil
}

// vdi is the mapping of a VDI image.
type vdi struct {
	nothingPacked
	vdiHeader
	file  *source.Source
	table *table
	// twice has the numbers of blocks in the file that are in the table more than once;
	// nil if there are none.
	twice bitmap
}

func openVDI(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	h, err := readVDIHeader(first)
	if err != nil {
		return nil, err
	}
	v := &vdi{vdiHeader: h, file: first, table: newTable(first, h.at, 4*int64(h.blocks))}
	d := newMapped("vdi", h.size, v, first)
	d.detail = vdiTypes[h.kind]
	if h.block != 1<<20 {
		d.detail += fmt.Sprintf(", blocks of %d KiB", h.block>>10)
	}
	if d.notes, err = v.survey(ctx); err != nil {
		return nil, err
	}
	if h.parent == (guid{}) {
		return d, nil
	}
	if d.parent, err = o.openParent(ctx, first, wanted{"{" + h.parent.String() + "}", h.isParent}); err != nil {
		return nil, err
	}
	return d, nil
}

// vdiParent reads the UUID of the parent, which may have been changed since.
func vdiParent(s *source.Source) (func(string, Disk) bool, error) {
	h, err := readVDIHeader(s)
	if err != nil || h.parent == (guid{}) {
		return nil, err
	}
	return func(_ string, d Disk) bool {
		v, ok := mappingOf[*vdi](d)
		return ok && v.uuid == h.parent
	}, nil
}

// isParent returns why a disk is not the parent.
func (h vdiHeader) isParent(d Disk) error {
	v, ok := mappingOf[*vdi](d)
	switch {
	case !ok:
		return errors.New("it is not a VDI image")
	case v.uuid != h.parent:
		return fmt.Errorf("its UUID is %s, and that of the parent is %s", v.uuid, h.parent)
	case h.parentModified != (guid{}) && v.modified != h.parentModified:
		return fmt.Errorf("it was changed after the image that has the changes to it was made: "+
			"its modification UUID is %s, not %s", v.modified, h.parentModified)
	}
	return nil
}

// survey reads the table once for what is wrong with it, and notes it. Memory is two
// bits a block.
func (v *vdi) survey(ctx context.Context) (notes []string, err error) {
	seen, count, twice, outside := newBitmap(int64(v.blocks)), uint32(0), 0, 0
	for n := int64(0); n < int64(v.blocks); {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		page, err := v.table.page(4 * n)
		if err != nil {
			return nil, err
		}
		for ; len(page) >= 4; page, n = page[4:], n+1 {
			number := binary.LittleEndian.Uint32(page)
			switch {
			case number == vdiFree, number == vdiZero:
				continue
			case !v.inside(n, number):
				outside++
			case !seen.set(int64(number)):
				if v.twice == nil {
					v.twice = newBitmap(int64(v.blocks))
				}
				v.twice.set(int64(number))
				twice++
			}
			count++
		}
	}
	if outside > 0 {
		notes = append(notes, fmt.Sprintf(
			"%d of the %d blocks in the block table are outside the file, which may be truncated", outside, count))
	}
	if twice > 0 {
		notes = append(notes, fmt.Sprintf("%d of the %d blocks in the block table are there more than once", twice, count))
	}
	if count != v.used {
		notes = append(notes, fmt.Sprintf("the header counts %s in the file, the block table %d",
			prose.Count(int64(v.used), "block", "blocks"), count))
	}
	return notes, nil
}

// inside reports whether a block of the disk can have a number: as far as the disk
// goes, the file must contain it.
func (v *vdi) inside(n int64, number uint32) bool {
	return number < v.blocks && v.place(number)+min(v.block, max(v.size-n*v.block, 0)) <= v.file.Size()
}

// place is where the block with a number, which is below blocks, begins in the file.
func (v *vdi) place(number uint32) int64 { return v.data + int64(number)*(v.block+v.extra) + v.extra }

// vdiRun is how many blocks an extent has at most. Those that follow are asked for
// one read at a time.
const vdiRun = 32

func (v *vdi) extent(off int64) (extent, error) {
	n, within := off/v.block, off%v.block
	page, err := v.table.page(4 * n)
	if err != nil {
		return extent{}, err
	}
	e, err := v.entry(n, page)
	if err != nil {
		return extent{}, err
	}
	for next := 1; next < vdiRun && len(page) >= 4*next+4 && n+int64(next) < int64(v.blocks); next++ {
		f, err := v.entry(n+int64(next), page[4*next:])
		if err != nil || f.where != e.where || f.where == stored && f.at != e.at+e.size {
			break
		}
		e.size += f.size
	}
	e.size -= within
	if e.where == stored {
		e.at += within
	}
	return e, nil
}

// entry is block n of the disk. page begins with its entry in the table.
func (v *vdi) entry(n int64, page []byte) (extent, error) {
	number := binary.LittleEndian.Uint32(page)
	wrong := func(what string) error {
		return fmt.Errorf("%s: the block table, at byte %d: block %d of the file, for byte %d of the disk, %s: %w",
			v.file.Name(), v.at+4*n, number, n*v.block, what, ErrCorrupt)
	}
	switch {
	case number == vdiZero, number == vdiFree && v.parent == (guid{}):
		return extent{where: zeros, size: v.block}, nil
	case number == vdiFree:
		return extent{where: below, size: v.block}, nil
	case !v.inside(n, number):
		return extent{}, wrong(fmt.Sprintf("is not in the file, which has %d bytes", v.file.Size()))
	case v.twice.has(int64(number)):
		return extent{}, wrong("is in the table more than once")
	}
	return extent{where: stored, size: v.block, file: v.file, at: v.place(number)}, nil
}
