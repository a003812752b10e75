package ext4

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
)

// endingReader ends a context after a number of reads.
type endingReader struct {
	io.ReaderAt
	left int
	end  func()
}

func (r *endingReader) ReadAt(p []byte, off int64) (int, error) {
	if r.left--; r.left < 0 {
		r.end()
	}
	return r.ReaderAt.ReadAt(p, off)
}

// The context ends Open at whichever read it ends, and nothing after Open.
func TestOpenContext(t *testing.T) {
	raw := unpack(t, "dirty")
	stop := errors.New("stop")
	for left := 0; ; left++ {
		ctx, end := context.WithCancelCause(t.Context())
		r := &endingReader{bytes.NewReader(raw), left, func() { end(stop) }}
		f, err := Open(ctx, r, int64(len(raw)), Options{Readers: 1})
		if err == nil {
			if left == 0 {
				t.Fatal("Open read nothing")
			}
			end(stop)
			if err := func() error { _, err := f.Tree("."); return err }(); err != nil {
				t.Errorf("after Open: %v", err)
			}
			return
		}
		if !errors.Is(err, stop) {
			t.Fatalf("the context ends at read %d: %v", left, err)
		}
	}
}

// Close gives back all that was taken of Reserve.
func TestClose(t *testing.T) {
	raw := unpack(t, "dirty")
	var taken, most int64
	f, err := Open(t.Context(), bytes.NewReader(raw), int64(len(raw)), Options{Readers: 1, Reserve: func(n int64) error {
		taken += n
		most = max(most, taken)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tree("."); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil || taken != 0 || most == 0 {
		t.Errorf("Close: %v, %d of %d bytes are still taken", err, taken, most)
	}
}
