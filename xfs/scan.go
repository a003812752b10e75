package xfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

const (
	// scanRead is the most that is read at once, and scanGap the most that is
	// read along between two pieces that are wanted, in bytes: about as much
	// as a disk reads while it would start another read.
	scanRead = 1 << 20
	scanGap  = 128 << 10
)

// stretch is a piece of the volume that is to be read and decoded.
type stretch struct {
	at, size int64 // in bytes
	item     int   // place in what is decoded
}

// indexScan builds an index.
type indexScan struct {
	f *FS
	x *index
	found
}

// found is what is found before its place in the index is known.
type found struct {
	nodes   []foundNode
	dirs    []indexedDir
	pieces  []foundPiece // blocks of directories
	entries []entryPair
	broken  []brokenDir
}

type foundNode struct {
	number uint64
	node   indexNode
}

// foundPiece is a block of a directory.
type foundPiece struct {
	dir    uint32 // place in the list
	inode  inode  // a copy, with what the block is compared with
	blocks []uint64
	number uint64
}

// entryPair is an entry of a directory.
type entryPair struct {
	dir   uint32 // place in the list
	inode uint64
}

type brokenDir struct {
	dir uint32
	why reason
}

// inodes looks at all inodes that are in use by the trees of the groups. What
// of these cannot be read is noted, and its inodes are looked at when
// something names them.
func (s *indexScan) inodes() error {
	f := s.f
	var chunks []chunk
	lost := func(err error) { f.note("%v", err) }
	for group := range f.super.groups {
		a, err := f.agi(group)
		if err != nil {
			if !recoverable(err) {
				return err
			}
			lost(err)
			continue
		}
		if err := f.eachChunk(group, &a, func(c chunk) error {
			chunks = append(chunks, c)
			first := uint64(group)<<f.super.inodeShift() | uint64(c.first)
			if err := s.x.grow(24); err != nil {
				return err
			}
			return errors.Join(s.x.slot(first), s.x.slot(first+chunkInodes-1))
		}, lost); err != nil {
			return err
		}
	}
	var list []stretch
	size := int64(f.super.inodeSize)
	for n, c := range chunks {
		// Only what is in use, and without holes within.
		at := f.super.groupOffset(c.group) + int64(c.first)*size
		for i := 0; i < chunkInodes; {
			if !c.used(i) {
				i++
				continue
			}
			end := i + 1
			for k := end; k < chunkInodes && c.holes>>(k/4)&1 == 0; k++ {
				if c.used(k) {
					end = k + 1
				}
			}
			list = append(list, stretch{at: at + int64(i)*size, size: int64(end-i) * size, item: n})
			i = end
		}
	}
	err := s.scan(list, func(w *scanner, t stretch, b []byte) error {
		c := &chunks[t.item]
		first := (t.at - f.super.groupOffset(c.group)) / size // in the group
		for ; len(b) > 0; b = b[size:] {
			if c.used(int(first) - int(c.first)) {
				w.add(inode{uint64(c.group)<<f.super.inodeShift() | uint64(first), b[:size]})
			}
			first++
		}
		return nil
	})
	return err
}

// scan has each stretch read and decoded. Scanners take one read after the
// other, so that one reads while another decodes; stretches near each other
// are read at once.
func (s *indexScan) scan(list []stretch, decode func(*scanner, stretch, []byte) error) error {
	slices.SortFunc(list, func(a, b stretch) int { return cmp.Compare(a.at, b.at) })
	reads := together(list)
	var next atomic.Int64
	var failed atomic.Bool
	scanners := make([]scanner, min(s.f.options.Readers, max(len(reads), 1)))
	errs := make([]error, len(scanners))
	var done parallel.Group
	for k := range scanners {
		w := &scanners[k]
		w.f = s.f
		done.Go(func() {
			for !failed.Load() {
				n := next.Add(1) - 1
				if n >= int64(len(reads)) {
					return
				}
				if errs[k] = w.read(reads[n], decode); errs[k] == nil && w.memory() > s.x.limit {
					errs[k] = errMemory
				}
				if errs[k] != nil {
					failed.Store(true)
				}
			}
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for k := range scanners {
		if err := s.merge(&scanners[k].found); err != nil {
			return err
		}
	}
	return nil
}

// memory is about what was found takes, in bytes.
func (f *found) memory() int64 {
	return int64(48*len(f.nodes) + 16*len(f.dirs) + 128*len(f.pieces) + 16*len(f.entries))
}

// together parts a list in ascending order into what is read at once.
func together(list []stretch) (reads [][]stretch) {
	for len(list) > 0 {
		n, end := 1, list[0].at+list[0].size
		for n < len(list) && list[n].at-end <= scanGap && max(end, list[n].at+list[n].size)-list[0].at <= scanRead {
			end = max(end, list[n].at+list[n].size)
			n++
		}
		reads = append(reads, list[:n])
		list = list[n:]
	}
	return reads
}

// merge takes what a scanner found. The places of directories that it found
// itself begin at 0.
func (s *indexScan) merge(found *found) error {
	base := uint32(len(s.dirs))
	if len(found.dirs) > 0 {
		for i := range found.pieces {
			found.pieces[i].dir += base
		}
		for i := range found.entries {
			found.entries[i].dir += base
		}
		for i := range found.broken {
			found.broken[i].dir += base
		}
	}
	for _, n := range found.nodes {
		if err := s.x.slot(n.number); err != nil {
			return err
		}
		*s.x.node(n.number) = n.node
	}
	s.dirs = append(s.dirs, found.dirs...)
	s.pieces = append(s.pieces, found.pieces...)
	s.entries = append(s.entries, found.entries...)
	for _, b := range found.broken {
		if d := &s.dirs[b.dir]; d.why == sound {
			d.why = b.why
		}
	}
	return s.x.grow(int64(16*len(found.dirs) + 128*len(found.pieces) + 16*len(found.entries)))
}

// scanner is one of those who share a scan.
type scanner struct {
	f   *FS
	buf []byte
	found
}

// read reads stretches at once; those that cannot be read so one by one. One
// that cannot be read is decoded without bytes.
func (w *scanner) read(list []stretch, decode func(*scanner, stretch, []byte) error) error {
	begin, end := list[0].at, list[0].at+list[0].size
	for _, t := range list {
		end = max(end, t.at+t.size)
	}
	if int64(len(w.buf)) < end-begin {
		w.buf = make([]byte, max(scanRead, end-begin))
	}
	whole := w.f.disk.readAt(w.buf[:end-begin], begin)
	for _, t := range list {
		b, err := w.buf[t.at-begin:t.at+t.size-begin], whole
		if err != nil && len(list) > 1 {
			b = w.buf[:t.size]
			err = w.f.disk.readAt(b, t.at)
		}
		if err != nil {
			if !recoverable(err) {
				return err
			}
			b = nil
		}
		if err := decode(w, t, b); err != nil {
			return err
		}
	}
	return nil
}

// add notes an inode that is in use.
func (w *scanner) add(i inode) {
	why := w.f.super.check(i)
	if w.f.pending[i.number] != nil && why == sound {
		why = reasonUnfinished
	}
	n := indexNode{state: nodeDamaged, why: why}
	if why == sound {
		// Those without a name are gone when the volume is mounted.
		if i.links() == 0 {
			return
		}
		n = indexNode{allocated: w.f.allocated(i), links: i.links(), state: nodeFile}
		switch i.kind() {
		case modeRegular:
			n.size = i.size()
			n.flags |= nodeRegular
		case modeSymlink:
			n.flags |= nodeSymlink
		case modeDir:
			n.state = nodeDir
			w.addDir(i)
		}
	}
	w.nodes = append(w.nodes, foundNode{i.number, n})
}

// addDir takes the entries of a directory if they are in the inode, and
// otherwise notes where they are.
func (w *scanner) addDir(i inode) {
	dir := uint32(len(w.dirs))
	w.dirs = append(w.dirs, indexedDir{number: i.number})
	broken := func(why reason) { w.broken = append(w.broken, brokenDir{dir, why}) }
	if i.format() == formatLocal {
		if why := w.f.super.localDir(i, func(d dirent) { w.visit(dir, d) }); why != sound {
			broken(why)
		}
		return
	}
	core := inode{i.number, slices.Clone(i.raw[:coreSize4])}
	if err := w.f.dirBlocks(i, func(p dirPiece) error {
		w.pieces = append(w.pieces, foundPiece{dir: dir, inode: core, blocks: slices.Clone(p.blocks), number: p.logical})
		return nil
	}); err != nil {
		broken(whyOf(err))
	}
}

func (w *scanner) visit(dir uint32, d dirent) {
	if !d.Parent() {
		w.entries = append(w.entries, entryPair{dir, d.Inode})
	}
}

// directories reads blocks of directories.
func (s *indexScan) directories(pieces []foundPiece) error {
	f := s.f
	var list []stretch
	var parted []foundPiece
	for n, p := range pieces {
		last := uint64(len(p.blocks) - 1)
		if p.blocks[last] != p.blocks[0]+last {
			parted = append(parted, p)
			continue
		}
		list = append(list, stretch{at: f.super.offset(p.blocks[0]), size: f.super.dirBlockSize(), item: n})
	}
	if err := s.scan(list, func(w *scanner, t stretch, b []byte) error {
		w.dirBlock(&pieces[t.item], b)
		return nil
	}); err != nil {
		return err
	}
	// Those that do not lie in one piece are few.
	w := scanner{f: f}
	b := make([]byte, f.super.dirBlockSize())
	for _, p := range parted {
		err := f.readDirBlock(dirPiece{p.number, p.blocks}, b)
		switch {
		case err == nil:
			w.dirBlock(&p, b)
		case recoverable(err):
			w.dirBlock(&p, nil)
		default:
			return err
		}
	}
	return s.merge(&w.found)
}

// dirBlock decodes a block of a directory.
func (w *scanner) dirBlock(p *foundPiece, b []byte) {
	why := reasonPastEnd
	if b != nil {
		why = w.f.dirBlock(p.inode, dirPiece{p.number, p.blocks}, b, func(d dirent) { w.visit(p.dir, d) })
	}
	if why != sound {
		w.broken = append(w.broken, brokenDir{p.dir, why})
	}
}

// missing looks at the inodes that entries name and that were not looked at
// yet.
func (s *indexScan) missing(entries []entryPair) error {
	var numbers []uint64
	for _, e := range entries {
		if s.x.node(e.inode).state == nodeAbsent {
			numbers = append(numbers, e.inode)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	w := scanner{f: s.f}
	for _, number := range numbers {
		i, err := s.f.rawInode(number)
		switch {
		case err == nil && s.f.super.check(i) == sound && i.links() == 0:
			// It has a name, but says that it has none.
			w.nodes = append(w.nodes, foundNode{number, indexNode{state: nodeDamaged, why: reasonFree}})
		case err == nil:
			w.add(i)
		case recoverable(err):
			w.nodes = append(w.nodes, foundNode{number, indexNode{state: nodeDamaged, why: whyOf(err)}})
		default:
			return fmt.Errorf("inode %d: %w", number, err)
		}
	}
	return s.merge(&w.found)
}
