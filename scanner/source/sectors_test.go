package source

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// strictDisk reads only complete sectors, as a disk of Windows does.
type strictDisk struct {
	t       *testing.T
	content []byte
	sector  int64
}

func (d strictDisk) ReadAt(p []byte, off int64) (int, error) {
	if off%d.sector != 0 || int64(len(p))%d.sector != 0 {
		d.t.Errorf("%d bytes at %d are not sectors of %d", len(p), off, d.sector)
	}
	return bytes.NewReader(d.content).ReadAt(p, off)
}

// TestSectors: any part of a device can be read, and the device is asked for complete
// sectors only.
func TestSectors(t *testing.T) {
	t.Parallel()
	for _, sector := range []int64{512, 4096} {
		content := make([]byte, 3*mostAligned)
		for i := range content {
			content[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
		}
		size := int64(len(content))
		s := sectors{strictDisk{t, content, sector}, size, sector}
		for _, off := range []int64{0, 1, sector - 1, sector, sector + 1, mostAligned - 1, size - sector, size - 1} {
			for _, n := range []int64{0, 1, sector - 1, sector, sector + 1, mostAligned - sector, mostAligned - 1,
				mostAligned, mostAligned + 1, 2*mostAligned + 2} {
				p := bytes.Repeat([]byte{0xEE}, int(n))
				got, err := s.ReadAt(p, off)
				want := min(n, size-off)
				if int64(got) != want || (err != nil) != (want < n) || err != nil && err != io.EOF ||
					!bytes.Equal(p[:want], content[off:off+want]) {
					t.Fatalf("sectors of %d: %d of %d bytes at %d, %v", sector, got, n, off, err)
				}
			}
		}
		for _, off := range []int64{-1, size, size + 1} {
			if n, err := s.ReadAt(make([]byte, 1), off); n != 0 || err != io.EOF {
				t.Errorf("at %d: %d bytes, %v", off, n, err)
			}
		}
		if err := iotest.TestReader(io.NewSectionReader(s, 0, 10000), content[:10000]); err != nil {
			t.Error(err)
		}
	}
}

// TestSectorsFail: an error of the device, and one that is smaller than it says, are errors.
func TestSectorsFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		r    io.ReaderAt
		want error
	}{
		"fails":   {unreadable{}, errUnreadable},
		"smaller": {strictDisk{t, make([]byte, 1024), 512}, io.ErrUnexpectedEOF},
	} {
		for _, off := range []int64{1024, 1025} {
			s := sectors{tt.r, 4096, 512}
			if n, err := s.ReadAt(make([]byte, 512), off); n != 0 || !errors.Is(err, tt.want) {
				t.Errorf("%s: %d bytes at %d, %v", name, n, off, err)
			}
		}
	}
	// What is there before the end of one that is smaller is not lost.
	s := sectors{strictDisk{t, bytes.Repeat([]byte{1}, 1024), 512}, 4096, 512}
	if n, err := s.ReadAt(make([]byte, 1024), 513); n != 511 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d bytes, %v", n, err)
	}
}
