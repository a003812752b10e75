package ext4

import (
	"context"
	"io"

	"github.com/coldcheck/coldcheck/internal/opening"
)

// Header is what the superblock and the group descriptors say of a volume, without its
// journal.
type Header struct {
	Type       string // "ext2", "ext3" or "ext4"
	BlockSize  int    // in bytes
	Size       int64  // in bytes
	Inodes     int64
	FreeInodes int64    // in the groups whose descriptors are not damaged
	Notes      []string // damage that did not prevent reading, as in Damage
}

// ReadHeader reads the superblock and the group descriptors. It does not read the
// journal, as Open does. The reader, the size, the context and the errors are those of
// Open; of the options, only Reserve is used, and the memory is released.
func ReadHeader(ctx context.Context, r io.ReaderAt, size int64, o Options) (Header, error) {
	reader := opening.NewReader(ctx, r)
	s, note, err := firstSuperblock(reader, size)
	if err != nil {
		return Header{}, err
	}
	held, err := o.reserveGroups(&s, 0)
	if err != nil {
		return Header{}, err
	}
	defer o.giveBack(held)
	groups, notes, err := loadGroups(newDevice(reader, size, s.blockBits), &s)
	if err != nil {
		return Header{}, err
	}
	h := Header{Type: s.kind(), BlockSize: s.blockSize(), Size: int64(s.blocks << s.blockBits), Inodes: int64(s.inodes),
		Notes: notes}
	if note != "" {
		h.Notes = append([]string{note}, notes...)
	}
	for _, g := range groups {
		if g.state == groupSound {
			h.FreeInodes += int64(g.freeInodes)
		}
	}
	return h, reader.Done()
}
