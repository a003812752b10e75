package xfs

import (
	"cmp"
	"slices"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

type (
	index   = unixfs.Index[uint64]
	scanner = unixfs.Scanner[uint64, dirFormat]
)

// buildIndex goes once through all inodes and the directories.
func (f *FS) buildIndex() (*index, error) {
	x, err := unixfs.BuildIndex(f.core, &scan{FS: f}, unixfs.Limits{
		Memory: f.options.Memory, Readers: f.options.Readers, Reserve: f.options.Reserve,
	})
	if err == nil {
		f.collectDamage(x)
	}
	return x, err
}

// scan implements the interface that package unixfs needs to build an index.
type scan struct {
	*FS
	chunks []chunk
}

func (f *scan) Last() uint64 { return uint64(f.super.groups)<<f.super.inodeShift() - 1 }

func (f *scan) Size() int64 { return f.disk.size }

// Region is less than the cache of a remote image.
func (f *scan) Region() int64 { return 32 << 20 }

func (f *scan) Lost() uint8 { return uint8(reasonPastEnd) }

// Tables lists where the inodes are that the trees of the groups mark as used. A
// part of a tree that cannot be read is noted in Damage.
func (f *scan) Tables(reserve func(n int64) error) ([]unixfs.Stretch, error) {
	if err := f.readChunks(reserve); err != nil {
		return nil, err
	}
	var list []unixfs.Stretch
	size := int64(f.super.inodeSize)
	for n, c := range f.chunks {
		// Only inodes in use, without holes within.
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
			list = append(list, unixfs.Stretch{At: at + int64(i)*size, Size: int64(end-i) * size, Item: uint32(n)})
			i = end
		}
	}
	return list, nil
}

// chunkCost is the memory for a chunk and for the place of its inodes, in bytes.
const chunkCost = 24 + 24

func (f *scan) readChunks(reserve func(n int64) error) error {
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
		first := len(f.chunks)
		if err := f.eachChunk(group, &a, func(c chunk) error {
			f.chunks = append(f.chunks, c)
			return reserve(chunkCost)
		}, lost); err != nil {
			return err
		}
		// No inode is decoded twice, whatever a crafted tree says.
		chunks := f.chunks[first:]
		slices.SortStableFunc(chunks, func(a, b chunk) int { return cmp.Compare(a.first, b.first) })
		for i := 1; i < len(chunks); i++ {
			if over := int64(chunks[i-1].first) + chunkInodes - int64(chunks[i].first); over > 0 {
				chunks[i].free |= 1<<over - 1
			}
		}
	}
	return nil
}

// Table decodes inodes of the chunk Item.
func (f *scan) Table(w *scanner, t unixfs.Stretch, b []byte) error {
	c := &f.chunks[t.Item]
	size := int64(f.super.inodeSize)
	first := (t.At - f.super.groupOffset(c.group)) / size // in the group
	for ; len(b) > 0; b = b[size:] {
		if c.used(int(first) - int(c.first)) {
			number := uint64(c.group)<<f.super.inodeShift() | uint64(first)
			if err := f.add(w, inode{number, b[:size]}); err != nil {
				return err
			}
		}
		first++
	}
	return nil
}

// Named adds an inode that only an entry of a directory names.
func (f *scan) Named(w *scanner, number uint64, i inode, err error) error {
	switch {
	case i.raw == nil:
		return w.AddDamaged(number, uint8(whyOf(err)))
	case f.super.check(i) == sound && i.links() == 0:
		return w.AddDamaged(number, uint8(reasonFree)) // it says that it has no name
	}
	return f.add(w, i)
}

// add puts an inode into the index that is in use.
func (f *scan) add(w *scanner, i inode) error {
	why := f.super.check(i)
	if f.pending[i.number] != nil && why == sound {
		why = reasonUnfinished
	}
	if why != sound {
		return w.AddDamaged(i.number, uint8(why))
	}
	// Those without a name are gone when the volume is mounted.
	if i.links() == 0 {
		return nil
	}
	if err := w.Add(i.number, unixfs.Counted{
		Mode: i.mode(), Links: i.links(), Size: i.size(), Allocated: f.allocated(i),
	}); err != nil || i.kind() != modeDir {
		return err
	}
	return f.addDir(w, i)
}

// addDir takes the entries of a directory if they are in the inode, and
// otherwise notes where they are.
func (f *scan) addDir(w *scanner, i inode) error {
	dir := w.AddDir(i.number, i.dirFormat())
	if i.format() == formatLocal {
		if why := f.super.localDir(i, func(d dirent) { w.AddEntry(dir, d) }); why != sound {
			w.Break(dir, uint8(why))
		}
		return nil
	}
	var failed error
	err := f.dirBlocks(i, func(p dirPiece) error {
		if last := len(p.blocks) - 1; p.blocks[last] == p.blocks[0]+uint64(last) {
			failed = w.AddBlocks(dir, uint32(p.logical), f.super.offset(p.blocks[0]), f.super.dirBlockSize())
		} else {
			failed = f.pieces(w, dir, i, p)
		}
		return failed
	})
	if err != nil && failed == nil {
		w.Break(dir, uint8(whyOf(err)))
	}
	return failed
}

// pieces decodes a block of a directory that is not contiguous; few are.
func (f *scan) pieces(w *scanner, dir uint32, i inode, p dirPiece) error {
	b := make([]byte, f.super.dirBlockSize())
	if err := w.Charge(int64(len(b))); err != nil {
		return err
	}
	why := reasonPastEnd
	err := f.readDirBlock(p, b)
	switch {
	case err == nil:
		why = f.dirBlock(i.dirFormat(), p, b, func(d dirent) { w.AddEntry(dir, d) })
	case !recoverable(err):
		return err
	}
	if why != sound {
		w.Break(dir, uint8(why))
	}
	return nil
}

// Blocks decodes a block of a directory, which is contiguous.
func (f *scan) Blocks(w *scanner, format dirFormat, t unixfs.Stretch, b []byte) error {
	p := dirPiece{logical: uint64(t.Part)}
	for block := range uint64(1) << f.super.dirBits {
		p.blocks = append(p.blocks, f.super.blockAt(t.At)+block)
	}
	if why := f.dirBlock(format, p, b, func(d dirent) { w.AddEntry(t.Item, d) }); why != sound {
		w.Break(t.Item, uint8(why))
	}
	return nil
}

// collectDamage lists the damage that indexing found.
func (f *FS) collectDamage(x *index) {
	list, count := x.Damaged(maxDamaged)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damage.Count, f.damage.Inodes = count, nil
	for _, d := range list {
		f.damage.Inodes = append(f.damage.Inodes, DamagedInode{uint64(d.Number), reason(d.Why).Error()})
	}
}
