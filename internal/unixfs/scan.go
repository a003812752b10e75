package unixfs

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

const (
	// ScanRead is the most that is read at once, and scanGap the most that is
	// read along between two pieces that are wanted, in bytes: about as much
	// as is copied in the time of another read from memory.
	ScanRead = 1 << 20
	scanGap  = 32 << 10
)

// Scan is what a filesystem knows of where its inodes and directories are. D is
// what it needs of a directory to decode its blocks. A reason is the filesystem's
// own number of what is wrong, 0 if nothing is.
type Scan[N Number, I Inode[N], D any] interface {
	// Last is the highest number that an inode can have.
	Last() N
	// Size is that of the image, in bytes. Directories that are larger together
	// are crafted.
	Size() int64
	// Tables lists the parts of the volume that hold inodes which may be in use.
	// It calls reserve before it takes memory, in bytes.
	Tables(reserve func(n int64) error) ([]Stretch, error)
	// Region is the size of the parts of the volume, in bytes, in each of which
	// inodes and then directories are read before the next one, so that a cache
	// still has what they share. It is 0 if directories are not near inodes.
	Region() int64
	// Table decodes a part; b is nil if it cannot be read. An inode that Table
	// does not add is passed to Named if an entry names it.
	Table(w *Scanner[N, D], t Stretch, b []byte) error
	// Named adds an inode that an entry names and that Table did not add; err is
	// why it cannot be used.
	Named(w *Scanner[N, D], number N, i I, err error) error
	// Blocks decodes blocks of a directory.
	Blocks(w *Scanner[N, D], dir D, t Stretch, b []byte) error
	// Lost is the reason for blocks that cannot be read.
	Lost() uint8
}

// Stretch is a piece of the volume that is to be read and decoded.
type Stretch struct {
	At, Size int64  // in bytes; Size is at most ScanRead, or that of one block of a directory
	Item     uint32 // what the filesystem says of it; of blocks of a directory the directory's place
	Part     uint32 // the same; of blocks of a directory the first of them
}

func (t Stretch) end() int64 { return t.At + t.Size }

// entryPair is an entry of a directory.
type entryPair[N Number] struct {
	dir   uint32 // place in the list
	inode N
}

type brokenDir struct {
	dir uint32
	why uint8
}

// found holds results whose place in the index is not yet known.
type found[N Number, D any] struct {
	dirs    []indexedDir[N]
	formats []D // of dirs
	blocks  []Stretch
	entries [][]entryPair[N] // in lists that do not grow beyond entryList
	broken  []brokenDir
}

// Memory costs of the results, in bytes. Lists that grow are copied, and those
// of all scanners are joined, so that two copies exist for a time.
const (
	entryList   = 8192 // entries
	dirCost     = 2 * 32
	stretchCost = 2 * 24
)

// builder builds an index.
type builder[N Number, I Inode[N], D any] struct {
	f     *FS[N, I]
	scan  Scan[N, I, D]
	x     *Index[N]
	total atomic.Int64 // bytes of directories
	bufs  [][]byte     // of scanners
	found[N, D]
}

// BuildIndex goes once through all inodes and all directories.
func BuildIndex[N Number, I Inode[N], D any](f *FS[N, I], s Scan[N, I, D], l Limits) (*Index[N], error) {
	x, err := newIndex(s.Last(), l)
	if err != nil {
		return nil, err
	}
	b := &builder[N, I, D]{f: f, scan: s, x: x}
	if err := b.build(); err != nil {
		x.shrink(x.memory.Load())
		return nil, err
	}
	return x, nil
}

func (b *builder[N, I, D]) build() error {
	tables, err := b.scan.Tables(b.x.grow)
	if err != nil {
		return err
	}
	slices.SortFunc(tables, func(a, b Stretch) int { return cmp.Compare(a.At, b.At) })
	var later []Stretch
	for len(tables) > 0 {
		n := len(tables)
		begin, end := tables[0].At, int64(math.MaxInt64)
		if size := b.scan.Region(); size > 0 {
			end = begin + size
			n = sort.Search(n, func(i int) bool { return tables[i].At >= end })
		}
		if err := b.each(tables[:n], b.scan.Table); err != nil {
			return fmt.Errorf("inode tables: %w", err)
		}
		tables = tables[n:]
		var here []Stretch
		for _, t := range b.blocks {
			if t.At >= begin && t.At < end && len(tables) > 0 {
				here = append(here, t)
			} else {
				later = append(later, t)
			}
		}
		b.blocks = nil
		if err := b.directories(here); err != nil {
			return err
		}
	}
	b.blocks = later
	for entries := 0; len(b.blocks) > 0 || entries < len(b.entries); {
		blocks := b.blocks
		b.blocks = nil
		if err := b.directories(blocks); err != nil {
			return err
		}
		// An entry may name an inode that the filesystem does not mark as used.
		fresh := b.entries[entries:]
		entries = len(b.entries)
		if err := b.missing(fresh); err != nil {
			return fmt.Errorf("inodes: %w", err)
		}
	}
	return b.x.link(b.dirs, b.entries)
}

// directories reads and decodes blocks of directories.
func (b *builder[N, I, D]) directories(blocks []Stretch) error {
	known := b.formats
	if err := b.each(blocks, func(w *Scanner[N, D], t Stretch, p []byte) error {
		if p == nil {
			w.Break(t.Item, b.scan.Lost())
			return nil
		}
		return b.scan.Blocks(w, known[t.Item], t, p)
	}); err != nil {
		return fmt.Errorf("directories: %w", err)
	}
	return nil
}

// each reads and decodes all stretches. Scanners take one read after the other,
// so that one reads while another decodes. Stretches near each other are read
// together.
func (b *builder[N, I, D]) each(list []Stretch, decode func(*Scanner[N, D], Stretch, []byte) error) error {
	slices.SortFunc(list, func(a, b Stretch) int { return cmp.Compare(a.At, b.At) })
	reads := together(list)
	var next atomic.Int64
	var failed atomic.Bool
	scanners := make([]*Scanner[N, D], min(b.x.limits.Readers, max(len(reads), 1)))
	errs := make([]error, len(scanners))
	var done parallel.Group
	for k := range scanners {
		w := b.scanner()
		if k < len(b.bufs) {
			w.buf = b.bufs[k]
		}
		scanners[k] = w
		done.Go(func() {
			for !failed.Load() {
				n := next.Add(1) - 1
				if n >= int64(len(reads)) {
					return
				}
				if errs[k] = w.readAll(reads[n], decode); errs[k] != nil {
					failed.Store(true)
				}
			}
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for k, w := range scanners {
		b.merge(w)
		if k < len(b.bufs) {
			b.bufs[k] = w.buf
		} else {
			b.bufs = append(b.bufs, w.buf)
		}
	}
	return nil
}

// together splits a list in ascending order into single reads.
func together(list []Stretch) (reads [][]Stretch) {
	for len(list) > 0 {
		n, end := 1, list[0].end()
		for n < len(list) && list[n].At-end <= scanGap && max(end, list[n].end())-list[0].At <= ScanRead {
			end = max(end, list[n].end())
			n++
		}
		reads = append(reads, list[:n])
		list = list[n:]
	}
	return reads
}

// missing reads the inodes that entries name and that no table had.
func (b *builder[N, I, D]) missing(entries [][]entryPair[N]) error {
	var numbers []N
	for _, list := range entries {
		for _, e := range list {
			if b.x.node(e.inode).state == nodeAbsent {
				numbers = append(numbers, e.inode)
			}
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	if err := b.x.grow(8 * int64(len(numbers))); err != nil {
		return err
	}
	w := b.scanner()
	var failed error
	err := b.f.eachInode(len(numbers), func(k int) N { return numbers[k] }, func(k int, i I, err error) {
		if failed == nil {
			failed = b.scan.Named(w, numbers[k], i, err)
		}
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = w.settle()
	}
	if err != nil {
		return err
	}
	b.merge(w)
	return nil
}

// merge takes over what a scanner found. The scanner numbered the directories
// that it found itself from 0.
func (b *builder[N, I, D]) merge(w *Scanner[N, D]) {
	if base := uint32(len(b.dirs)); len(w.dirs) > 0 {
		for i := range w.blocks {
			w.blocks[i].Item += base
		}
		for _, list := range w.entries {
			for i := range list {
				list[i].dir += base
			}
		}
		for i := range w.broken {
			w.broken[i].dir += base
		}
	}
	b.dirs = append(b.dirs, w.dirs...)
	b.formats = append(b.formats, w.formats...)
	b.blocks = append(b.blocks, w.blocks...)
	b.entries = append(b.entries, w.entries...)
	for _, broken := range w.broken {
		if d := &b.dirs[broken.dir]; d.why == 0 {
			d.why = broken.why
		}
	}
}

func (b *builder[N, I, D]) scanner() *Scanner[N, D] {
	return &Scanner[N, D]{x: b.x, total: &b.total, size: b.scan.Size(), read: b.f.store.ReadAt}
}

// Scanner is one worker of a scan.
type Scanner[N Number, D any] struct {
	x     *Index[N]
	total *atomic.Int64 // bytes of directories
	size  int64         // of the image
	read  func(p []byte, off int64) error
	buf   []byte
	found[N, D]
	settled int64 // bytes of the results that are accounted for
}

// readAll reads stretches together or, if that fails, one by one. One that cannot
// be read is decoded without bytes.
func (w *Scanner[N, D]) readAll(list []Stretch, decode func(*Scanner[N, D], Stretch, []byte) error) error {
	begin, end := list[0].At, list[0].end()
	for _, t := range list {
		end = max(end, t.end())
	}
	if int64(len(w.buf)) < end-begin {
		w.buf = make([]byte, max(ScanRead, end-begin))
	}
	whole := w.read(w.buf[:end-begin], begin)
	for _, t := range list {
		b, err := w.buf[t.At-begin:t.end()-begin], whole
		if err != nil && len(list) > 1 {
			b = w.buf[:t.Size]
			err = w.read(b, t.At)
		}
		if err != nil {
			if !Recoverable(err) {
				return err
			}
			b = nil
		}
		if err := decode(w, t, b); err != nil {
			return err
		}
		if err := w.settle(); err != nil {
			return err
		}
	}
	return nil
}

// settle accounts for what was found since the last call.
func (w *Scanner[N, D]) settle() error {
	cost := int64(len(w.dirs)*dirCost + len(w.blocks)*stretchCost)
	if n := len(w.entries); n > 0 {
		cost += 2 * width[N]() * int64(entryList*(n-1)+cap(w.entries[n-1]))
	}
	if cost == w.settled {
		return nil
	}
	err := w.x.grow(cost - w.settled)
	w.settled = cost
	return err
}

// Counted holds the figures of an inode that Tree adds up.
type Counted struct {
	Mode      uint16
	Links     uint32
	Size      uint64 // of a regular file, in bytes
	Allocated int64  // in bytes
	Encrypted bool
}

// Add puts an inode into the index. A directory is also passed to AddDir.
func (w *Scanner[N, D]) Add(number N, c Counted) error {
	n, err := w.x.slot(number)
	if err != nil {
		return err
	}
	*n = node{allocated: c.Allocated, links: c.Links, state: nodeFile}
	if c.Encrypted {
		n.flags |= nodeEncrypted
	}
	switch c.Mode & ModeType {
	case ModeRegular:
		n.size = c.Size
		n.flags |= nodeRegular
	case ModeSymlink:
		n.flags |= nodeSymlink
	case ModeDir:
		n.state = nodeDir
	}
	return nil
}

// AddDamaged puts an inode that cannot be used into the index, with the reason.
func (w *Scanner[N, D]) AddDamaged(number N, why uint8) error {
	n, err := w.x.slot(number)
	if err == nil {
		*n = node{state: nodeDamaged, why: why}
	}
	return err
}

// AddDir adds a directory and returns its place, for its entries and blocks.
func (w *Scanner[N, D]) AddDir(number N, format D) uint32 {
	w.dirs = append(w.dirs, indexedDir[N]{number: number})
	w.formats = append(w.formats, format)
	return uint32(len(w.dirs) - 1)
}

// AddEntry adds an entry of a directory; it ignores "..".
func (w *Scanner[N, D]) AddEntry(dir uint32, d Dirent[N]) {
	if d.Parent() {
		return
	}
	last := len(w.entries) - 1
	switch {
	case last < 0: // there may be few
		w.entries = append(w.entries, nil)
		last++
	case len(w.entries[last]) >= entryList:
		w.entries = append(w.entries, make([]entryPair[N], 0, entryList))
		last++
	}
	w.entries[last] = append(w.entries[last], entryPair[N]{dir, d.Inode})
}

// AddBlocks adds blocks of a directory that are to be decoded: at most ScanRead
// bytes, of which part is the first block. Its error ends the scan.
func (w *Scanner[N, D]) AddBlocks(dir, part uint32, at, size int64) error {
	w.blocks = append(w.blocks, Stretch{At: at, Size: size, Item: dir, Part: part})
	// One crafted directory may have enough of them to fill the memory.
	if len(w.blocks)&0xFFFF == 0 {
		if err := w.settle(); err != nil {
			return err
		}
	}
	return w.Charge(size)
}

// Charge counts bytes of directories. Its error says that they are more than the
// image has.
func (w *Scanner[N, D]) Charge(size int64) error {
	if w.total.Add(size) > w.size {
		return corrupt("the directories are larger than the image")
	}
	return nil
}

// Break marks a directory as incomplete, with the reason.
func (w *Scanner[N, D]) Break(dir uint32, why uint8) {
	w.broken = append(w.broken, brokenDir{dir, why})
}
