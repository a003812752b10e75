package ext4

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestReadHeader: the header of a clean volume says what Open finds.
func TestReadHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ext2", "ext4"} {
		raw := unpack(t, name)
		f := openBytes(t, raw)
		usage, err := f.Usage()
		if err != nil {
			t.Fatal(err)
		}
		reserved := int64(0)
		h, err := ReadHeader(t.Context(), bytes.NewReader(raw), int64(len(raw)),
			Options{Reserve: func(n int64) error { reserved += n; return nil }})
		v := f.Volume()
		if err != nil || h.Type != v.Type || h.Size != v.Size || h.BlockSize != v.BlockSize || h.Inodes != v.Inodes ||
			h.FreeInodes != usage.FreeInodes || len(h.Notes) > 0 || reserved != 0 {
			t.Errorf("%s: %+v, %v, with %d bytes reserved; by Open %+v, %+v", name, h, err, reserved, v, usage)
		}
		damaged := slices.Clone(raw)
		clear(damaged[:4096])
		if h, err := ReadHeader(t.Context(), bytes.NewReader(damaged), int64(len(damaged)), Options{}); err == nil &&
			len(h.Notes) == 0 {
			t.Errorf("%s: a damaged superblock is not noted", name)
		}
		full := errors.New("no memory")
		_, err = ReadHeader(t.Context(), bytes.NewReader(raw), int64(len(raw)),
			Options{Reserve: func(int64) error { return full }})
		if !errors.Is(err, full) {
			t.Errorf("%s: without memory: %v", name, err)
		}
	}
}
