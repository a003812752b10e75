package xfs

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestReadHeader: the header of a clean volume says what Open finds.
func TestReadHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"v4", "v5"} {
		raw := unpack(t, name)
		f := openBytes(t, raw)
		usage, err := f.Usage()
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(t.Context(), bytes.NewReader(raw), int64(len(raw)))
		v := f.Volume()
		if err != nil || h.Version != v.Version || h.Size != v.Size || h.BlockSize != v.BlockSize ||
			h.Inodes-h.FreeInodes != usage.Inodes-usage.FreeInodes {
			t.Errorf("%s: %+v, %v; by Open %+v, %+v", name, h, err, v, usage)
		}
		if name == "v4" { // which has no checksums
			damaged := slices.Clone(raw)
			for i := range 16 {
				damaged[0x80+i] = 0xFF
			}
			h, err := ReadHeader(t.Context(), bytes.NewReader(damaged), int64(len(damaged)))
			if err != nil || h.Inodes < 0 || h.FreeInodes > h.Inodes || h.Inodes > h.Size/int64(v.InodeSize) {
				t.Errorf("impossible counters: %+v, %v", h, err)
			}
		}
		if _, err := ReadHeader(t.Context(), bytes.NewReader(make([]byte, 1<<16)), 1<<16); !errors.Is(err, ErrCorrupt) {
			t.Errorf("zeros: %v", err)
		}
	}
}
