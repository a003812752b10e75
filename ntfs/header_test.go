package ntfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/internal/opening/openingtest"
)

// TestReadHeader: the header has the records and the place of $MFT as Open finds them,
// and reading it reads the records of $MFT itself only.
func TestReadHeader(t *testing.T) {
	images := map[string][]byte{"small": smallImage(t)}
	for _, extensions := range []int{0, 1, 3} {
		b := builder{scatter: true, mftExtensions: extensions}
		for n := range 300 {
			b.add(file{name: fmt.Sprint("file", n), parent: 5})
		}
		images[fmt.Sprint(extensions, " extension records")] = b.image()
	}
	for name, image := range images {
		f, err := Open(t.Context(), bytes.NewReader(image), int64(len(image)), Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		r := &counting{ReaderAt: bytes.NewReader(image)}
		h, err := ReadHeader(t.Context(), r, int64(len(image)))
		if err != nil {
			t.Fatal(name, err)
		}
		v := f.Volume()
		if h.Records != v.Records || h.ClusterSize != v.ClusterSize || h.RecordSize != v.RecordSize || h.Size != v.Size {
			t.Errorf("%s: %+v, by Open %+v", name, h, v)
		}
		if n := r.bytes.Load(); n > 8<<10 {
			t.Errorf("%s: %d bytes are read", name, n)
		}
		// All records are in the extents, in order.
		var got, want []byte
		for _, e := range h.MFT {
			got = append(got, image[e.Offset:][:e.Size]...)
		}
		want = make([]byte, h.Records*int64(h.RecordSize))
		if err := f.mft.readAt(want, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || len(h.MFT) > 1 != (len(f.mft.runs) > 1) {
			t.Errorf("%s: the extents are %v", name, h.MFT)
		}
	}
}

func TestReadHeaderErrors(t *testing.T) {
	raw := smallImage(t)
	openingtest.Context(t, raw, func(ctx context.Context, r io.ReaderAt) (func() error, error) {
		_, err := ReadHeader(ctx, r, int64(len(raw)))
		return func() error { return nil }, err
	})
	damaged := slices.Clone(raw)
	clear(damaged[:512])
	clear(damaged[len(damaged)-8192:])
	if _, err := ReadHeader(t.Context(), bytes.NewReader(damaged), int64(len(damaged))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without boot sectors: %v", err)
	}
}
