package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// scattered is a stream of n clusters of 1 KiB in runs of one cluster, every
// fifth of which is a hole, that lies on r backwards.
func scattered(r io.ReaderAt, n, readers int) *stream {
	s := &stream{disk: &disk{r: r, size: int64(n+1) << 10, clusterSize: 1 << 10, clusters: int64(n + 1), readers: readers},
		clusters: int64(n), size: int64(n) << 10, initialized: int64(n) << 10}
	for i := range n {
		lcn := int64(n - i)
		if i%5 == 4 {
			lcn = hole
		}
		s.runs = append(s.runs, run{vcn: int64(i), n: 1, lcn: lcn})
	}
	return s
}

func TestReadPieces(t *testing.T) {
	const n = 50
	image := make([]byte, (n+1)<<10)
	for i := range image {
		image[i] = byte(i>>10 + i)
	}
	var want []byte
	for i := range n {
		piece := image[(n-i)<<10:][:1<<10]
		if i%5 == 4 {
			piece = make([]byte, 1<<10)
		}
		want = append(want, piece...)
	}
	for _, readers := range []int{0, 1, 3, 100} {
		s := scattered(bytes.NewReader(image), n, readers)
		for _, c := range [][2]int{{0, n << 10}, {100, 1}, {1023, 2}, {4 << 10, 1 << 10}, {4000, 30000}} {
			got := bytes.Repeat([]byte{0xEE}, c[1])
			if err := s.readAt(got, int64(c[0])); err != nil || !bytes.Equal(got, want[c[0]:c[0]+c[1]]) {
				t.Errorf("%d readers: %d bytes at %d: %v", readers, c[1], c[0], err)
			}
		}
	}
}

// failsBelow cannot read below an offset, and the later the further below.
type failsBelow struct {
	io.ReaderAt
	off int64
}

type errorAt int64

func (e errorAt) Error() string { return fmt.Sprintf("defect at %d", int64(e)) }

func (f failsBelow) ReadAt(p []byte, off int64) (int, error) {
	if off < f.off {
		time.Sleep(time.Duration(off) * time.Microsecond)
		return 0, errorAt(off)
	}
	return f.ReaderAt.ReadAt(p, off)
}

// The error is the same however many read.
func TestReadPiecesError(t *testing.T) {
	for _, readers := range []int{1, 4, 30} {
		synctest.Test(t, func(t *testing.T) {
			s := scattered(failsBelow{bytes.NewReader(make([]byte, 51<<10)), 20 << 10}, 50, readers)
			var at errorAt
			// The run of cluster 30 lies at 20, that of 31 at 19.
			if err := s.readAt(make([]byte, 50<<10), 0); !errors.As(err, &at) || at != 19<<10 {
				t.Errorf("%d readers: %v", readers, err)
			}
		})
	}
}

// late takes a millisecond for each read.
type late struct {
	io.ReaderAt
	now, most atomic.Int64
}

func (l *late) ReadAt(p []byte, off int64) (int, error) {
	for now := l.now.Add(1); ; {
		if most := l.most.Load(); now <= most || l.most.CompareAndSwap(most, now) {
			break
		}
	}
	defer l.now.Add(-1)
	time.Sleep(time.Millisecond)
	return l.ReaderAt.ReadAt(p, off)
}

// Runs that lie apart are read as many at a time as there are readers.
func TestReadPiecesAtATime(t *testing.T) {
	for _, readers := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			l := &late{ReaderAt: bytes.NewReader(make([]byte, 51<<10))}
			start := time.Now()
			if err := scattered(l, 50, readers).readAt(make([]byte, 50<<10), 0); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(start), time.Duration((40+readers-1)/readers)*time.Millisecond; took != want ||
				l.most.Load() != int64(readers) {
				t.Errorf("%d readers: %v, at most %d at a time, want %v", readers, took, l.most.Load(), want)
			}
		})
	}
}
