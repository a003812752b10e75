// Package openingtest tests the guarantees of package opening: a context bounds
// only opening, and memory is released.
package openingtest

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

// Context checks that the context ends open at whichever read it ends, and
// nothing after that. open returns a function that reads from the opened volume
// or hive.
func Context(t *testing.T, raw []byte, open func(ctx context.Context, r io.ReaderAt) (use func() error, err error)) {
	t.Helper()
	stop := errors.New("stop")
	for left := 0; ; left++ {
		ctx, end := context.WithCancelCause(t.Context())
		use, err := open(ctx, &endingReader{bytes.NewReader(raw), left, func() { end(stop) }})
		if err == nil {
			if left == 0 {
				t.Fatal("Open read nothing")
			}
			end(stop)
			if err := use(); err != nil {
				t.Errorf("after Open: %v", err)
			}
			return
		}
		if !errors.Is(err, stop) {
			t.Fatalf("the context ends at read %d: %v", left, err)
		}
	}
}

// Close checks that all reserved memory is released. open returns a function
// that reads from the opened volume or hive and closes it.
func Close(t *testing.T, raw []byte,
	open func(r io.ReaderAt, reserve func(n int64) error) (end func() error, err error)) {
	t.Helper()
	var taken, most int64
	end, err := open(bytes.NewReader(raw), func(n int64) error {
		taken += n
		most = max(most, taken)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil || taken != 0 || most == 0 {
		t.Errorf("Close: %v, %d of %d bytes are still taken", err, taken, most)
	}
}
