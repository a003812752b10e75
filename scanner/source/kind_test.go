package source

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
)

type brokenReader struct{ err error }

func (b brokenReader) ReadAt([]byte, int64) (int, error) { return 0, b.err }

// An error of what an image is read from is input/output; the end of a file
// that has become shorter is not.
func TestInputKind(t *testing.T) {
	for _, test := range []struct {
		err error
		is  bool
	}{{syscall.EIO, true}, {syscall.EAGAIN, true}, {io.EOF, false}, {io.ErrUnexpectedEOF, false}} {
		c := NewReader(t.Context(), "broken", brokenReader{test.err}, 8<<20)
		_, err := c.ReadAt(make([]byte, 512), 4096)
		if err == nil || errors.Is(err, kind.IO) != test.is {
			t.Errorf("%v became %v, input/output: %t", test.err, err, errors.Is(err, kind.IO))
		}
		if test.is && !errors.Is(err, test.err) {
			t.Errorf("%v became %v", test.err, err)
		}
	}
}
