package xfs

import (
	"context"
	"io"

	"github.com/coldcheck/coldcheck/internal/opening"
)

// Header is what the superblock says of a volume, without its log.
type Header struct {
	Version   int   // of the filesystem: 4 or 5
	BlockSize int   // in bytes
	Size      int64 // in bytes
	// Inodes and FreeInodes are as of the last time that the kernel wrote them to the
	// superblock, which may be when the volume was unmounted.
	Inodes     int64
	FreeInodes int64
}

// ReadHeader reads the superblock. It does not read the log, as Open does. The reader,
// the size, the context and the errors are those of Open.
func ReadHeader(ctx context.Context, r io.ReaderAt, size int64) (Header, error) {
	reader := opening.NewReader(ctx, r)
	d := newDevice(reader, size)
	s, err := readSuperblock(d)
	if err != nil {
		return Header{}, err
	}
	h := Header{Version: int(s.version), BlockSize: int(s.blockSize), Size: int64(s.blocks) << s.blockBits}
	// The counters are current only after an unmount, so impossible ones are not damage: they are bounded.
	h.Inodes = int64(min(s.inodes, s.blocks<<s.inodesInLog))
	h.FreeInodes = int64(min(s.freeInodes, uint64(h.Inodes)))
	return h, reader.Done()
}
