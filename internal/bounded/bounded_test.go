package bounded

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// TestReadAt reads the five bytes "34567" of "0123456789", at, below and above each
// limit.
func TestReadAt(t *testing.T) {
	for _, tt := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 5, "34567", nil},
		{0, 6, "34567", io.EOF},
		{0, 4, "3456", nil},
		{4, 1, "7", nil},
		{4, 2, "7", io.EOF},
		{5, 1, "", io.EOF},
		{5, 0, "", nil},
		{1<<63 - 1, 1, "", io.EOF},
		{-1, 1, "", ErrNegativeOffset},
		{-1, 0, "", ErrNegativeOffset},
	} {
		p := make([]byte, tt.n)
		n, err := ReadAt(strings.NewReader("0123456789"), p, 3, 5, tt.off)
		if string(p[:n]) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%d bytes at %d: %q, %v; want %q, %v", tt.n, tt.off, p[:n], err, tt.want, tt.err)
		}
	}
	// A reader may say that its end is reached with the last bytes.
	if n, err := ReadAt(eager{}, make([]byte, 3), 0, 3, 0); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// eager is zeros whose end comes with every read.
type eager struct{}

func (eager) ReadAt(p []byte, _ int64) (int, error) { return len(p), io.EOF }

// TestWhole: a reader that ends before its size has become shorter.
func TestWhole(t *testing.T) {
	for _, tt := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 3, "012", nil},
		{1, 3, "12", io.ErrUnexpectedEOF},
		{3, 1, "", io.ErrUnexpectedEOF},
		{4, 9, "", io.ErrUnexpectedEOF},
		{5, 1, "", io.EOF},
	} {
		p := make([]byte, tt.n)
		n, err := Whole(strings.NewReader("012"), p, 5, tt.off)
		if string(p[:n]) != tt.want || err != tt.err {
			t.Errorf("%d bytes at %d: %q, %v; want %q, %v", tt.n, tt.off, p[:n], err, tt.want, tt.err)
		}
	}
}
