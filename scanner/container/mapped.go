package container

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/coldcheck/coldcheck/internal/bounded"
	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/internal/parallel"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// mapped is a disk whose format says, by a mapping, where each byte is. Formats
// fill one in; it implements Disk.
type mapped struct {
	mapping
	format  string
	detail  string
	size    int64
	sources []*source.Source // the first is the one that was opened
	parent  Disk             // nil if there is none
	notes   []string
	stated  []Sum
	// close closes what is not among the sources and the parent; nil if nothing.
	close func() error

	unpacked lru.Cache[int64, []byte] // blocks by their place on the disk
	locks    [64]sync.Mutex           // one for the blocks of the same remainder
}

// mapping is what the tables of a format say.
type mapping interface {
	// extent returns what the disk has from off on, 0 <= off < size: as much as is
	// cheap to know, at least a byte. It may go past the end of the disk. The error
	// names the file and the offset of the entry that is wrong.
	extent(off int64) (extent, error)
	// unpack decodes, or verifies, a packed block into dst, which has the size of
	// the block. An error names the file and the offset.
	unpack(dst, packed []byte, e extent) error
}

// where says where the bytes of an extent are.
type where int

const (
	zeros  where = iota // nowhere: they are zeros
	stored              // in a file, as they are
	packed              // in a file, in a block that unpack decodes or verifies
	below               // in the parent; zeros beyond its end
)

// extent is a range of a disk whose bytes are in one place.
type extent struct {
	where where
	size  int64          // bytes of the disk, from the offset that was asked for
	file  *source.Source // of what is stored or packed
	at    int64          // stored: where the first byte is in the file; packed: where the block is
	block block          // of what is packed
}

// block is a range of the disk that is packed as one.
type block struct {
	start, size int64 // on the disk, in bytes
	packed      int64 // in the file, in bytes
	method      int   // for the format's own use
}

// Bounds of what is read and kept.
const (
	maxUnpacked = 8 << 20 // of one disk, in bytes; at least two blocks
	maxRun      = 1 << 20 // packed blocks that are read at once, in bytes in the file
	maxGap      = 64 << 10
)

// largestBlock is the largest packed block of any format, in bytes of the disk. Packed,
// it may have twice as many.
const largestBlock = 32 << 20

func (d *mapped) Size() int64               { return d.size }
func (d *mapped) Format() string            { return d.format }
func (d *mapped) Detail() string            { return d.detail }
func (d *mapped) Member() string            { return "" }
func (d *mapped) Sources() []*source.Source { return d.sources }
func (d *mapped) Parent() Disk              { return d.parent }
func (d *mapped) Notes() []string           { return d.notes }
func (d *mapped) Stated() []Sum             { return d.stated }

func (d *mapped) Close() error {
	var errs []error
	for _, s := range d.sources {
		errs = append(errs, s.Close())
	}
	if d.parent != nil {
		errs = append(errs, d.parent.Close())
	}
	if d.close != nil {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

func (d *mapped) ReadAt(p []byte, off int64) (int, error) {
	return bounded.ReadAt(within{d}, p, 0, d.size, off)
}

// within reads what is within the size.
type within struct{ *mapped }

func (d within) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		e, err := d.at(off + int64(done))
		if err != nil {
			return done, err
		}
		n, err := d.read(p[done:], off+int64(done), e)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// at is extent, checked against what no mapping may answer.
func (d *mapped) at(off int64) (extent, error) {
	e, err := d.extent(off)
	if err != nil {
		return e, err
	}
	b := e.block
	if e.size <= 0 || e.where == packed && (b.size <= 0 || b.size > largestBlock || off < b.start ||
		off+e.size > b.start+b.size || b.packed < 0 || b.packed > 2*largestBlock) {
		return e, fmt.Errorf("%s: at byte %d of the disk: %w", d.sources[0].Name(), off, ErrCorrupt)
	}
	return e, nil
}

// read reads from an extent and those after it that are read with it; at least a
// byte.
func (d *mapped) read(p []byte, off int64, e extent) (int, error) {
	n := int(min(int64(len(p)), e.size))
	switch e.where {
	case zeros:
		clear(p[:n])
		return n, nil
	case below:
		return readBelow(d.parent, p[:n], off)
	case packed:
		return d.readPacked(p, off, e)
	}
	for n < len(p) { // what is next to it in the file is read with it
		next, err := d.at(off + int64(n))
		if err != nil || next.where != stored || next.file != e.file || next.at != e.at+int64(n) {
			break
		}
		n += int(min(int64(len(p)-n), next.size))
	}
	return readFull(e.file, p[:n], e.at)
}

// named is a file of a container, as it is or as a log changes it.
type named interface {
	io.ReaderAt
	Name() string
}

// readFull reads from a file of which the tables say that it is longer.
func readFull(s named, p []byte, at int64) (int, error) {
	n, err := s.ReadAt(p, at)
	switch {
	case n == len(p):
		return n, nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, fmt.Errorf("%s: reading at byte %d: %w", s.Name(), at+int64(n), err)
}

// readBelow reads from the parent, which may be smaller than the disk.
func readBelow(parent Disk, p []byte, off int64) (int, error) {
	n, err := 0, error(nil)
	if off < parent.Size() {
		n, err = parent.ReadAt(p, off)
	}
	if err == io.EOF || off >= parent.Size() {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// readPacked reads from packed blocks. Those that are next to each other in the
// file are read from it at once.
func (d *mapped) readPacked(p []byte, off int64, e extent) (int, error) {
	if n := int(min(int64(len(p)), e.size)); off != e.block.start || int64(n) < e.block.size {
		b, err := d.cached(e)
		if err != nil {
			return 0, err
		}
		return copy(p[:n], b[off-e.block.start:]), nil
	}
	run, n := []extent{e}, e.block.size // blocks that p takes to their ends
	for first := e.at; n < int64(len(p)); {
		next, err := d.at(off + n)
		last := run[len(run)-1]
		if err != nil || next.where != packed || next.file != e.file || next.block.start != off+n ||
			next.size != next.block.size || n+next.size > int64(len(p)) || next.at < last.at ||
			next.at > last.at+last.block.packed+maxGap || next.at+next.block.packed > first+maxRun {
			break
		}
		run = append(run, next)
		n += next.size
	}
	return d.unpackRun(p[:n], run)
}

// unpackRun reads blocks that are near each other, and unpacks them to p.
func (d *mapped) unpackRun(p []byte, run []extent) (int, error) {
	first, last := run[0].at, int64(0)
	for _, e := range run {
		last = max(last, e.at+e.block.packed)
	}
	data, release := buffer(last - first)
	defer release()
	got, err := readFull(run[0].file, data, first)
	if err != nil && len(run) > 1 { // which of them it is
		return d.unpackRun(p[:run[0].block.size], run[:1])
	}
	if err != nil {
		return 0, err
	}
	errs, starts := make([]error, len(run)), make([]int64, len(run)+1)
	for n, e := range run {
		starts[n+1] = starts[n] + e.block.size
	}
	inParallel(len(run), func(n int) {
		e := run[n]
		errs[n] = d.unpack(p[starts[n]:starts[n+1]], data[:got][e.at-first:][:e.block.packed], e)
	})
	for n, err := range errs {
		if err != nil {
			return int(starts[n]), err
		}
	}
	return len(p), nil
}

// inParallel calls f with the numbers below n, as many at a time as there are
// processors.
func inParallel(n int, f func(int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var group parallel.Group
	for w := range workers {
		group.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	group.Wait()
}

// cached returns an unpacked block. A block that several readers want is unpacked
// once.
func (d *mapped) cached(e extent) ([]byte, error) {
	if b, ok := d.unpacked.Get(e.block.start); ok {
		return b, nil
	}
	lock := &d.locks[uint64(e.block.start/e.block.size)%uint64(len(d.locks))]
	if e.block.size > maxRun { // large ones one at a time, to bound their memory
		lock = &d.locks[0]
	}
	lock.Lock()
	defer lock.Unlock()
	if b, ok := d.unpacked.Get(e.block.start); ok {
		return b, nil
	}
	b := make([]byte, e.block.size)
	if _, err := d.unpackRun(b, []extent{e}); err != nil {
		return nil, err
	}
	d.unpacked.Put(e.block.start, b, e.block.size)
	return b, nil
}

// buffers are for packed data.
var buffers = sync.Pool{New: func() any { b := make([]byte, maxRun); return &b }}

func buffer(size int64) (b []byte, release func()) {
	if size > maxRun {
		return make([]byte, size), func() {}
	}
	kept := buffers.Get().(*[]byte)
	return (*kept)[:size], func() { buffers.Put(kept) }
}

// maxJoined bounds how many extents Data joins. unknownStep is how much of the disk is
// one of them where a table is wrong, in bytes.
const (
	maxJoined   = 4096
	unknownStep = 64 << 10
)

func (d *mapped) Data(off int64) (start, end int64) {
	start = min(max(off, 0), d.size)
	for start < d.size {
		hole, n := d.known(start)
		if n = min(n, d.size-start); hole {
			start += n
			continue
		}
		end = start + n
		for joined := 0; joined < maxJoined && end < d.size; joined++ {
			hole, n := d.known(end)
			if hole {
				break
			}
			end = min(end+n, d.size)
		}
		return start, end
	}
	return d.size, d.size
}

// known returns whether the n bytes at off are known to be zeros, or are data. What
// cannot be known is data, to the next multiple of unknownStep: an entry that is wrong
// may be that of a large part of the disk.
func (d *mapped) known(off int64) (hole bool, n int64) {
	e, err := d.at(off)
	if err != nil {
		return false, unknownStep - off%unknownStep
	}
	data, at, size := func(at int64) (int64, int64) { return at, at + e.size }, off, d.size
	switch e.where {
	case zeros:
		return true, e.size
	case stored:
		data, at, size = e.file.Data, e.at, e.file.Size()
	case below:
		if p, ok := d.parent.(*mapped); ok && off < p.size { // no more of it than is asked for
			hole, n := p.known(off)
			return hole, min(n, e.size)
		}
		data, size = d.parent.Data, d.parent.Size()
	}
	if at >= size { // beyond the parent
		return e.where == below, e.size
	}
	start, end := data(at)
	if start > at {
		if start == size && e.where == below {
			return true, e.size
		}
		return true, min(start-at, e.size)
	}
	return false, max(min(end-at, e.size), 1)
}

func (d *mapped) Locate(off int64) (file *source.Source, at int64, ok bool) {
	if off < 0 || off >= d.size {
		return nil, 0, false
	}
	e, err := d.at(off)
	switch {
	case err != nil:
		return nil, 0, false
	case e.where == stored:
		return e.file, e.at, true
	case e.where == below && off < d.parent.Size():
		return d.parent.Locate(off)
	}
	return nil, 0, false
}

// newMapped returns a disk in files, as a mapping says. If the format fails later,
// closing the disk closes them, but for the first, which belongs to the caller of
// Open until then.
func newMapped(format string, size int64, m mapping, sources ...*source.Source) *mapped {
	return &mapped{mapping: m, format: format, size: size, sources: sources,
		unpacked: lru.Cache[int64, []byte]{Max: maxUnpacked}}
}
