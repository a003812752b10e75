package ext4

import (
	"io"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// device is the image with the blocks of the journal over it.
type device struct {
	r         io.ReaderAt
	size      int64 // of the image, in bytes
	blockBits uint8
	over      *overlay // nil without one
	cache     lru.Cache[uint64, []byte]
}

// maxBlockCache is how much of single blocks (of inodes, extents, extended
// attributes) is kept in memory, in bytes.
const maxBlockCache = 8 << 20

func newDevice(r io.ReaderAt, size int64, blockBits uint8) *device {
	return &device{r: r, size: size, blockBits: blockBits, cache: lru.Cache[uint64, []byte]{Max: maxBlockCache}}
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
		return d.over.apply(d.r, p, off)
	}
	return nil
}

// block returns one block. It is shared, and not to be written to.
func (d *device) block(n uint64) ([]byte, error) {
	if b, ok := d.cache.Get(n); ok {
		return b, nil
	}
	if n > uint64(d.size)>>d.blockBits {
		return nil, corrupt("block %d is past the end of the image", n)
	}
	b := make([]byte, 1<<d.blockBits)
	if err := d.readAt(b, int64(n<<d.blockBits)); err != nil {
		return nil, err
	}
	d.cache.Put(n, b, int64(len(b)))
	return b, nil
}
