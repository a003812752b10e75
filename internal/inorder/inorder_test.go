package inorder

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestCopy: sizes below, at and above that of a piece arrive whole and in order.
func TestCopy(t *testing.T) {
	content := make([]byte, 2*pieceSize+1)
	rng := rand.NewChaCha8([32]byte{})
	rng.Read(content)
	for _, size := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 2 * pieceSize, 2*pieceSize + 1} {
		var got bytes.Buffer
		var steps []int64
		err := Copy(&got, "x", bytes.NewReader(content[:size]), int64(size), func(done int64) error {
			steps = append(steps, done)
			return nil
		})
		if err != nil || !bytes.Equal(got.Bytes(), content[:size]) {
			t.Errorf("%d bytes: %d, %v", size, got.Len(), err)
		}
		if !slices.IsSorted(steps) || size > 0 && steps[len(steps)-1] != int64(size) {
			t.Errorf("%d bytes: progress %d", size, steps)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error)         { return 0, f.err }
func (f failing) ReadAt([]byte, int64) (int, error) { panic(f.err) }

// TestCopyEnds: an error of either side, or of the progress, ends the copy, and a
// panic of the reader comes out in the caller.
func TestCopyEnds(t *testing.T) {
	stop := errors.New("stop")
	long := bytes.NewReader(make([]byte, 3*pieceSize))
	if err := Copy(failing{stop}, "x", long, long.Size(), nil); err != stop {
		t.Errorf("writing: %v", err)
	}
	if err := Copy(io.Discard, "x", long, long.Size(), func(int64) error { return stop }); err != stop {
		t.Errorf("progress: %v", err)
	}
	err := Copy(io.Discard, "x.img", long, long.Size()+1, nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "x.img: reading at byte 12582912") {
		t.Errorf("reading: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic of the reader is lost")
		}
	}()
	Copy(io.Discard, "x", failing{stop}, 1, nil)
}
