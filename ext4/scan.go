package ext4

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

// growth is what a list takes that grows, in times its size: it is copied then,
// and those of all scanners are put together.
const growth = 2

// stretch is a piece of the volume that is to be read and decoded.
type stretch struct {
	at, size int64  // in bytes; size is at most scanRead
	first    uint32 // inode in it; or place of the directory in the list
	logical  uint32 // first block in the directory
}

func (t stretch) end() int64 { return t.at + t.size }

// indexScan builds an index.
type indexScan struct {
	f *FS
	x *index
	found
}

// found is what is found before its place in the index is known.
type found struct {
	dirs    []indexedDir
	runs    []stretch // blocks of directories
	entries []entryPair
	broken  []brokenDir
}

// entryPair is an entry of a directory.
type entryPair struct {
	dir   uint32 // place in the list
	inode uint32
}

type brokenDir struct {
	dir uint32
	why reason
}

// tables lists the parts of the inode tables that may be in use.
func (s *indexScan) tables() ([]stretch, error) {
	f, super := s.f, &s.f.super
	perBlock := uint32(super.blockSize() / super.inodeSize)
	most := uint32(scanRead >> super.blockBits) // blocks
	var list []stretch
	for n := range super.groups {
		g := &f.groups[n]
		if g.state == groupLost || g.state == groupSound && g.freeInodes == super.inodesPerGroup {
			continue
		}
		used := super.inodesPerGroup - g.unused
		if g.unused == 0 {
			var err error
			if used, err = f.lastInode(g); err != nil {
				return nil, err
			}
		}
		blocks := (used + perBlock - 1) / perBlock
		for at := uint32(0); at < blocks; at += most {
			list = append(list, stretch{
				at:    int64(g.inodeTable+uint64(at)) << super.blockBits,
				size:  int64(min(most, blocks-at)) << super.blockBits,
				first: n*super.inodesPerGroup + at*perBlock + 1,
			})
		}
		if err := s.x.grow(24 * int64(blocks/most+1)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// lastInode returns how many inodes of a group there are up to the last that
// is in use by its bitmap; if that cannot be read, all.
func (f *FS) lastInode(g *group) (uint32, error) {
	n := f.super.inodesPerGroup
	b, err := f.disk.block(g.inodeBitmap)
	if err != nil {
		if recoverable(err) {
			err = nil
		}
		return n, err
	}
	for n > 0 && b[(n-1)/8]>>((n-1)%8)&1 == 0 {
		n--
	}
	return n, nil
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
		w.f, w.x, w.known = s.f, s.x, s.dirs
		done.Go(func() {
			for !failed.Load() {
				n := next.Add(1) - 1
				if n >= int64(len(reads)) {
					return
				}
				if errs[k] = w.read(reads[n], decode); errs[k] != nil {
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
		s.merge(&scanners[k].found)
	}
	return nil
}

// together parts a list in ascending order into what is read at once.
func together(list []stretch) (reads [][]stretch) {
	for len(list) > 0 {
		n, end := 1, list[0].end()
		for n < len(list) && list[n].at-end <= scanGap && max(end, list[n].end())-list[0].at <= scanRead {
			end = max(end, list[n].end())
			n++
		}
		reads = append(reads, list[:n])
		list = list[n:]
	}
	return reads
}

// merge takes what a scanner found. The places of directories that it found
// itself begin at 0.
func (s *indexScan) merge(found *found) {
	if base := uint32(len(s.dirs)); len(found.dirs) > 0 {
		for i := range found.runs {
			found.runs[i].first += base
		}
		for i := range found.entries {
			found.entries[i].dir += base
		}
		for i := range found.broken {
			found.broken[i].dir += base
		}
	}
	s.dirs = append(s.dirs, found.dirs...)
	s.runs = append(s.runs, found.runs...)
	s.entries = append(s.entries, found.entries...)
	for _, b := range found.broken {
		if d := &s.dirs[b.dir]; d.why == sound {
			d.why = b.why
		}
	}
}

// scanner is one of those who share a scan.
type scanner struct {
	f     *FS
	x     *index
	known []indexedDir
	buf   []byte
	dir   uint32 // whose entries are visited
	found
}

// read reads stretches at once; those that cannot be read so one by one. One
// that cannot be read is decoded without bytes.
func (w *scanner) read(list []stretch, decode func(*scanner, stretch, []byte) error) error {
	if w.buf == nil {
		w.buf = make([]byte, scanRead)
	}
	begin, end := list[0].at, list[0].end()
	for _, t := range list {
		end = max(end, t.end())
	}
	whole := w.f.disk.readAt(w.buf[:end-begin], begin)
	for _, t := range list {
		b, err := w.buf[t.at-begin:t.end()-begin], whole
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

// inodes decodes a part of an inode table. What cannot be read is looked at
// again if something names it.
func (w *scanner) inodes(t stretch, b []byte) error {
	s := &w.f.super
	size := s.inodeSize
	last := min(s.inodes, ((t.first-1)/s.inodesPerGroup+1)*s.inodesPerGroup)
	for number := t.first; number <= last && len(b) >= size; number++ {
		i := inode{number, b[:size]}
		b = b[size:]
		if i.links() == 0 || i.has(flagEAInode) || s.nameable(number) != sound {
			continue
		}
		if err := w.add(i, s.check(i)); err != nil {
			return err
		}
	}
	return nil
}

// add puts an inode into the index.
func (w *scanner) add(i inode, why reason) error {
	n, err := w.x.slot(i.number)
	if err != nil {
		return err
	}
	if why != sound {
		*n = indexNode{state: nodeDamaged, why: why}
		return nil
	}
	*n = indexNode{allocated: w.f.allocated(i), links: i.links(), state: nodeFile}
	if i.has(flagEncrypted) {
		n.flags |= nodeEncrypted
	}
	switch i.kind() {
	case modeRegular:
		n.size = i.size(&w.f.super)
		n.flags |= nodeRegular
	case modeSymlink:
		n.flags |= nodeSymlink
	case modeDir:
		n.state = nodeDir
		return w.addDir(i)
	}
	return nil
}

// addDir takes the entries of a directory if they are in the inode, and
// otherwise notes where they are.
func (w *scanner) addDir(i inode) error {
	s := &w.f.super
	dir, runs, entries := uint32(len(w.dirs)), len(w.runs), len(w.entries)
	w.dirs = append(w.dirs, indexedDir{format: s.dirFormat(i)})
	if i.has(flagInline) {
		w.dir = dir
		if why := s.inlineDir(i, w.visit); why != sound {
			w.broken = append(w.broken, brokenDir{dir, why})
		}
	} else if err := w.f.dirRuns(i, func(r run) error {
		for r.count > 0 {
			n := min(r.count, scanRead>>s.blockBits)
			w.runs = append(w.runs, stretch{
				at: int64(r.physical << s.blockBits), size: int64(n << s.blockBits), first: dir, logical: uint32(r.logical),
			})
			if len(w.runs)&0xFFFF == 0 {
				if err := w.x.grow(24 << 16); err != nil {
					return err
				}
			}
			r = r.from(r.logical + n)
		}
		return nil
	}); err != nil {
		why := reasonTruncated
		if errors.Is(err, errMemory) || !errors.As(err, &why) && !recoverable(err) {
			return err
		}
		w.broken = append(w.broken, brokenDir{dir, why})
	}
	return w.x.grow(growth * int64(16+24*(len(w.runs)-runs)+8*(len(w.entries)-entries)))
}

func (w *scanner) visit(d dirent) {
	if !d.Parent() {
		w.entries = append(w.entries, entryPair{w.dir, d.Inode})
	}
}

// entriesOf decodes blocks of a directory.
func (w *scanner) entriesOf(t stretch, b []byte) error {
	w.dir = t.first
	if b == nil {
		w.broken = append(w.broken, brokenDir{w.dir, reasonTruncated})
		return nil
	}
	s := &w.f.super
	before := len(w.entries)
	for k := uint32(0); len(b) > 0; k++ {
		if why := s.dirBlock(w.known[w.dir].format, b[:s.blockSize()], t.logical+k == 0, w.visit); why != sound {
			w.broken = append(w.broken, brokenDir{w.dir, why})
		}
		b = b[s.blockSize():]
	}
	return w.x.grow(growth * 8 * int64(len(w.entries)-before))
}

// missing looks at the inodes that entries name and that were not looked at
// yet.
func (s *indexScan) missing(entries []entryPair) error {
	var numbers []uint32
	for _, e := range entries {
		if s.x.node(e.inode).state == nodeAbsent && s.f.super.nameable(e.inode) == sound {
			numbers = append(numbers, e.inode)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	if err := s.x.grow(4 * int64(len(numbers))); err != nil {
		return err
	}
	w := scanner{f: s.f, x: s.x}
	var failed error
	err := s.f.core.EachInode(len(numbers), func(k int) uint32 { return numbers[k] }, func(k int, i inode, err error) {
		if failed != nil {
			return
		}
		why := sound
		if err != nil {
			i.number, why = numbers[k], reasonTruncated
			errors.As(err, &why)
		}
		failed = w.add(i, why)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("inodes: %w", err)
	}
	s.merge(&w.found)
	return nil
}
