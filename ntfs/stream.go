package ntfs

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// disk is the image below a volume.
type disk struct {
	r           io.ReaderAt
	size        int64 // of the image in bytes; less than the volume's if it was cut off
	clusterSize int64
	clusters    int64   // of the volume
	readers     int     // reads of one stream at a time
	patches     []patch // of the log, in order
}

func (d *disk) readAt(p []byte, off int64) error {
	if off > d.size-int64(len(p)) {
		return corrupt("%d bytes at offset %d are past the end of the image (%d bytes)", len(p), off, d.size)
	}
	if err := readFull(d.r, p, off); err != nil || len(d.patches) == 0 {
		return err
	}
	return d.patched(p, off)
}

// maxUnit is the largest compression unit that NTFS knows, in bytes: 16
// clusters of at most 4 KiB.
const maxUnit = 64 << 10

// stream is the content of one attribute.
type stream struct {
	disk        *disk
	resident    []byte // nil if it has runs
	runs        []run
	clusters    int64 // that the runs describe, holes included
	size        int64
	initialized int64 // bytes from here on are zero, whatever is on the disk
	allocated   int64
	flags       uint16
	unit        int64 // clusters of a compression unit; 0 if not compressed

	last lastUnit
}

// lastUnit caches the last decompressed unit. It is safe for concurrent use.
type lastUnit struct {
	mu     sync.Mutex
	number int64
	data   []byte // never written again; nil at first
}

// get returns the unit if it is the last one, else nil.
func (l *lastUnit) get(number int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number != number {
		return nil
	}
	return l.data
}

func (l *lastUnit) set(number int64, data []byte) {
	l.mu.Lock()
	l.number, l.data = number, data
	l.mu.Unlock()
}

// newStream joins the extents of one attribute and checks that they describe
// all of it.
func newStream(d *disk, extents []attribute) (*stream, error) {
	slices.SortFunc(extents, func(a, b attribute) int {
		switch {
		case a.lowest < b.lowest:
			return -1
		case a.lowest > b.lowest:
			return 1
		}
		return 0
	})
	a := &extents[0]
	s := &stream{disk: d, size: a.size, initialized: min(a.initialized, a.size), allocated: a.allocated, flags: a.flags}
	if a.resident {
		if len(extents) > 1 {
			return nil, corrupt("a resident attribute in %d pieces", len(extents))
		}
		s.resident = a.value
		return s, nil
	}
	var err error
	if s.runs, s.clusters, err = joinRuns(d, extents); err != nil {
		return nil, err
	}
	if s.size > s.clusters*d.clusterSize {
		return nil, corrupt("runs of %d clusters for %d bytes", s.clusters, s.size)
	}
	if method := s.flags & attrCompressionMask; method == 0 || a.kind != typeData {
		return s, nil
	} else if method != 1 {
		return nil, unsupported("compression method %d", method)
	}
	if a.unit == 0 {
		return nil, corrupt("compressed without a compression unit")
	}
	if a.unit > 16 || d.clusterSize<<a.unit > maxUnit {
		return nil, unsupported("compression unit of 2^%d clusters of %d bytes", a.unit, d.clusterSize)
	}
	s.unit = 1 << a.unit
	return s, nil
}

// joinRuns decodes the runs of extents that are in order and returns how many
// clusters they describe.
func joinRuns(d *disk, extents []attribute) (runs []run, clusters int64, err error) {
	for i := range extents {
		a := &extents[i]
		if a.resident || a.lowest != clusters {
			return nil, 0, corrupt("an extent begins at cluster %d, not %d", a.lowest, clusters)
		}
		if runs, err = appendRuns(runs, a.value, clusters, d.clusters); err != nil {
			return nil, 0, err
		}
		if len(runs) > 0 {
			last := runs[len(runs)-1]
			clusters = last.vcn + last.n
		}
		if clusters != a.highest+1 {
			return nil, 0, corrupt("runs end at cluster %d, not %d", clusters, a.highest+1)
		}
	}
	if clusters > math.MaxInt64/d.clusterSize {
		return nil, 0, corrupt("runs of %d clusters", clusters)
	}
	// Runs that share clusters could make a small volume look endless.
	stored := int64(0)
	for _, r := range runs {
		if r.lcn != hole {
			stored += r.n
		}
		if stored > d.clusters {
			return nil, 0, corrupt("more clusters than the volume has")
		}
	}
	return runs, clusters, nil
}

// holes reports whether some of the content is not on the volume.
func (s *stream) holes() bool {
	for _, r := range s.runs {
		if r.lcn == hole && r.vcn*s.disk.clusterSize < s.size {
			return true
		}
	}
	return false
}

// readAt fills p from off; all of it must be inside the stream.
func (s *stream) readAt(p []byte, off int64) error {
	if off < 0 || off > s.size-int64(len(p)) {
		return corrupt("%d bytes at byte %d of a stream of %d", len(p), off, s.size)
	}
	if s.resident != nil {
		copy(p, s.resident[off:])
		return nil
	}
	if end := s.initialized - off; end < int64(len(p)) {
		end = max(end, 0)
		clear(p[end:])
		p = p[:end]
	}
	if s.unit > 0 {
		return s.readUnits(p, off)
	}
	size := s.disk.clusterSize
	i := s.runAt(off / size)
	if len(p) > 0 { // nearly always all of it is in one run
		r := s.runs[i]
		if skip := off - r.vcn*size; r.lcn != hole && int64(len(p)) <= r.n*size-skip {
			return s.disk.readAt(p, r.lcn*size+skip)
		}
	}
	var pieces []piece
	for ; len(p) > 0; i++ {
		r := s.runs[i]
		skip := off - r.vcn*size
		n := min(int64(len(p)), r.n*size-skip)
		if r.lcn == hole {
			clear(p[:n])
		} else {
			pieces = append(pieces, piece{p[:n], r.lcn*size + skip})
		}
		p, off = p[n:], off+n
	}
	return s.disk.readPieces(pieces)
}

// piece is a read at an offset of the image.
type piece struct {
	p   []byte
	off int64
}

// readPieces reads scattered pieces, several at a time. The error is that of
// the first piece that cannot be read.
func (d *disk) readPieces(pieces []piece) error {
	if len(pieces) == 1 {
		return d.readAt(pieces[0].p, pieces[0].off)
	}
	errs := make([]error, len(pieces))
	var next atomic.Int64
	var failed atomic.Bool
	var done parallel.Group
	for range min(max(d.readers, 1), len(pieces)) {
		done.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1) - 1)
				if i >= len(pieces) {
					return
				}
				if errs[i] = d.readAt(pieces[i].p, pieces[i].off); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	done.Wait()
	for _, err := range errs { // those before the first that failed were begun before it
		if err != nil {
			return err
		}
	}
	return nil
}

// runAt returns the index of the run that holds the cluster.
func (s *stream) runAt(vcn int64) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].vcn+s.runs[i].n > vcn })
}

func (s *stream) readUnits(p []byte, off int64) error {
	size := s.unit * s.disk.clusterSize
	for len(p) > 0 {
		data, err := s.readUnit(off / size)
		if err != nil {
			return err
		}
		n := copy(p, data[off%size:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readUnit returns the content of a compression unit. One with all its
// clusters is stored as it is, one with none is zero, and one whose first
// clusters alone are there is compressed.
func (s *stream) readUnit(number int64) ([]byte, error) {
	data := s.last.get(number)
	if data != nil {
		return data, nil
	}

	size := s.disk.clusterSize
	first := number * s.unit
	if first+s.unit > s.clusters {
		return nil, corrupt("runs end inside compression unit %d", number)
	}
	stored := make([]byte, 0, s.unit*size)
	ended := false
	for i, vcn := s.runAt(first), first; vcn < first+s.unit; i++ {
		r := s.runs[i]
		skip := vcn - r.vcn
		n := min(r.n-skip, first+s.unit-vcn)
		vcn += n
		if r.lcn == hole {
			ended = true
			continue
		}
		if ended {
			return nil, corrupt("compression unit %d has a hole before its end", number)
		}
		at := len(stored)
		stored = stored[:at+int(n*size)]
		if err := s.disk.readAt(stored[at:], (r.lcn+skip)*size); err != nil {
			return nil, err
		}
	}
	switch data = stored; len(stored) {
	case cap(stored):
	case 0:
		data = stored[:cap(stored)]
	default:
		data = make([]byte, cap(stored))
		if err := decompressLZNT1(data, stored); err != nil {
			return nil, fmt.Errorf("compression unit %d: %w", number, err)
		}
	}
	s.last.set(number, data)
	return data, nil
}

// readAll returns all of the content, which must not be longer than limit.
func (s *stream) readAll(limit int64) ([]byte, error) {
	if s.size > limit {
		return nil, corrupt("%d bytes where at most %d belong", s.size, limit)
	}
	p := make([]byte, s.size)
	if err := s.readAt(p, 0); err != nil {
		return nil, err
	}
	return p, nil
}
