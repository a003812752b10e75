package ext4

import (
	"errors"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

type (
	index   = unixfs.Index[uint32]
	scanner = unixfs.Scanner[uint32, dirFormat]
)

// buildIndex goes once through the inode tables and the directories.
func (f *FS) buildIndex() (*index, error) {
	x, err := unixfs.BuildIndex(f.core, scan{f}, unixfs.Limits{
		Memory: f.options.Memory, Readers: f.options.Readers, Reserve: f.options.Reserve,
	})
	if err == nil {
		f.collectDamage(x)
	}
	return x, err
}

// scan implements the interface that package unixfs needs to build an index.
type scan struct{ *FS }

func (f scan) Last() uint32 { return f.super.inodes }

func (f scan) Size() int64 { return f.disk.size }

func (f scan) Region() int64 { return 0 }

func (f scan) Lost() uint8 { return uint8(reasonTruncated) }

// Tables lists the parts of the inode tables that may be in use.
func (f scan) Tables(reserve func(n int64) error) ([]unixfs.Stretch, error) {
	super := &f.super
	perBlock := uint32(super.blockSize() / super.inodeSize)
	most := uint32(unixfs.ScanRead >> super.blockBits) // blocks
	var list []unixfs.Stretch
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
			list = append(list, unixfs.Stretch{
				At:   int64(g.inodeTable+uint64(at)) << super.blockBits,
				Size: int64(min(most, blocks-at)) << super.blockBits,
				Item: n*super.inodesPerGroup + at*perBlock + 1,
			})
		}
		if err := reserve(24 * int64(blocks/most+1)); err != nil {
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

// Table decodes a part of an inode table, which begins with the inode Item.
func (f scan) Table(w *scanner, t unixfs.Stretch, b []byte) error {
	s := &f.super
	size := s.inodeSize
	last := min(s.inodes, ((t.Item-1)/s.inodesPerGroup+1)*s.inodesPerGroup)
	for number := t.Item; number <= last && len(b) >= size; number++ {
		i := inode{number, b[:size]}
		b = b[size:]
		if i.links() == 0 || i.has(flagEAInode) || s.nameable(number) != sound {
			continue
		}
		if err := f.add(w, i, s.check(i)); err != nil {
			return err
		}
	}
	return nil
}

// Named adds an inode that only an entry of a directory names. One that no
// entry may name is no inode of the volume.
func (f scan) Named(w *scanner, number uint32, i inode, err error) error {
	if f.super.nameable(number) != sound {
		return nil
	}
	why := sound
	if err != nil {
		i.number, why = number, reasonTruncated
		errors.As(err, &why)
	}
	return f.add(w, i, why)
}

// add puts an inode into the index.
func (f scan) add(w *scanner, i inode, why reason) error {
	if why != sound {
		return w.AddDamaged(i.number, uint8(why))
	}
	if err := w.Add(i.number, unixfs.Counted{
		Mode: i.mode(), Links: uint32(i.links()), Size: i.size(&f.super), Allocated: f.allocated(i),
		Encrypted: i.has(flagEncrypted),
	}); err != nil || i.kind() != modeDir {
		return err
	}
	return f.addDir(w, i)
}

// addDir takes the entries of a directory if they are in the inode, and
// otherwise notes where they are.
func (f scan) addDir(w *scanner, i inode) error {
	s := &f.super
	dir := w.AddDir(i.number, s.dirFormat(i))
	if i.has(flagInline) {
		if why := s.inlineDir(i, func(d dirent) { w.AddEntry(dir, d) }); why != sound {
			w.Break(dir, uint8(why))
		}
		return nil
	}
	var failed error
	err := f.dirRuns(i, func(r run) error {
		for r.count > 0 && failed == nil {
			n := min(r.count, unixfs.ScanRead>>s.blockBits)
			failed = w.AddBlocks(dir, uint32(r.logical), int64(r.physical<<s.blockBits), int64(n<<s.blockBits))
			r = r.from(r.logical + n)
		}
		return failed
	})
	if failed != nil || err == nil {
		return failed
	}
	why := reasonTruncated
	if !errors.As(err, &why) && !recoverable(err) {
		return err
	}
	w.Break(dir, uint8(why))
	return nil
}

// Blocks decodes blocks of a directory.
func (f scan) Blocks(w *scanner, format dirFormat, t unixfs.Stretch, b []byte) error {
	s := &f.super
	visit := func(d dirent) { w.AddEntry(t.Item, d) }
	for k := uint32(0); len(b) > 0; k++ {
		if why := s.dirBlock(format, b[:s.blockSize()], t.Part+k == 0, visit); why != sound {
			w.Break(t.Item, uint8(why))
		}
		b = b[s.blockSize():]
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
