package xfs

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Numbers on an XFS volume are big-endian, except checksums and some log items.
var (
	be = binary.BigEndian
	le = binary.LittleEndian
)

// sector is the unit in which blocks name their own place, and the log those
// that it changes, in bytes, whatever the size of the disk's sectors.
const sector = 512

// device is the image with the log's changes applied.
type device struct {
	r     io.ReaderAt
	size  int64 // of the image, in bytes
	over  *overlay
	cache lru.Cache[int64, []byte]
}

// maxBlockCache is how much of single pieces (of inodes, extents, extended
// attributes) is kept in memory, in bytes.
const maxBlockCache = 8 << 20

func newDevice(r io.ReaderAt, size int64) *device {
	return &device{r: r, size: size, cache: lru.Cache[int64, []byte]{Max: maxBlockCache}}
}

// readAt reads all of p.
func (d *device) readAt(p []byte, off int64) error {
	if off < 0 || off > d.size || int64(len(p)) > d.size-off {
		return corrupt("%d bytes at offset %d are past the end of the image (%d bytes)", len(p), off, d.size)
	}
	if err := unixfs.ReadFull(d.r, p, off); err != nil {
		return err
	}
	if d.over != nil {
		d.over.apply(p, off)
	}
	return nil
}

// window is how much is read at once where single inodes and blocks are
// wanted, in bytes: their neighbours are often wanted next.
const window = 16 << 10

// piece returns size bytes at a place, by windows that are kept. It is shared,
// and not to be written to. Neither may cross a window's border, unless they
// begin at one.
func (d *device) piece(off, size int64) ([]byte, error) {
	begin := off &^ (window - 1)
	want := max(window, off-begin+size)
	b, ok := d.cache.Get(begin)
	if !ok || int64(len(b)) < off-begin+size {
		if off < 0 || off > d.size || size > d.size-off {
			return nil, corrupt("%d bytes at offset %d are past the end of the image (%d bytes)", size, off, d.size)
		}
		b = make([]byte, min(want, d.size-begin))
		if err := d.readAt(b, begin); err != nil {
			// The unreadable part may be outside of the requested range.
			b = make([]byte, size)
			return b, d.readAt(b, off)
		}
		d.cache.Put(begin, b, int64(len(b)))
	}
	return b[off-begin : off-begin+size], nil
}

// replayed reports whether the log changed part of a piece in place: its
// checksum then covers the old content.
func (d *device) replayed(off, size int64) bool {
	return d.over != nil && d.over.touched(off, size)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of b with zeros in the place of the checksum.
func checksum(b []byte, at int) uint32 {
	return update(update(update(0, b[:at]), []byte{0, 0, 0, 0}), b[at+4:])
}

func update(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// sum reports whether a piece holds its own checksum.
func sum(b []byte, at int) bool { return checksum(b, at) == le.Uint32(b[at:]) }

// checksums compares the checksums of pieces that have one size and their checksum at
// one place. The sum of a piece with zeros there is that of the piece as it is, changed
// by what each byte of the checksum adds to it, since CRCs are linear: this takes half
// the time of three pieces.
type checksums struct {
	at   int
	adds [4][256]uint32
}

func newChecksums(size, at int) *checksums {
	c := &checksums{at: at}
	b := make([]byte, size)
	zeros := update(0, b)
	for i := range c.adds {
		for value := range c.adds[i] {
			b[at+i] = byte(value)
			c.adds[i][value] = update(0, b) ^ zeros
		}
		b[at+i] = 0
	}
	return c
}

// sum reports whether a piece holds its own checksum.
func (c *checksums) sum(b []byte) bool {
	field := b[c.at : c.at+4]
	return update(0, b)^c.adds[0][field[0]]^c.adds[1][field[1]]^c.adds[2][field[2]]^c.adds[3][field[3]] ==
		le.Uint32(field)
}
