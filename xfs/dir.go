package xfs

import (
	"bytes"
	"errors"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

const (
	// dirSpace is how large a directory's entries may be, in bytes: behind
	// them, in the same fork, are its indexes.
	dirSpace = 32 << 30

	dirHeader4 = 16
	dirHeader5 = 64
	blockTail  = 8 // bytes at the end of the only block of a directory
	leafEntry  = 8

	freeTag = 0xFFFF
)

// dirent is an entry of a directory.
type dirent = unixfs.Dirent[uint64]

// dirFormat holds the values that directory blocks are checked against.
type dirFormat struct {
	number uint64
	size   uint64 // in bytes
}

func (i inode) dirFormat() dirFormat { return dirFormat{i.number, i.size()} }

// eachDirent visits the entries of a directory except ".", including "..". An
// error means that part of it could not be read; the rest is visited.
func (f *FS) eachDirent(dir inode, visit func(dirent)) error {
	if dir.format() == formatLocal {
		if why := f.super.localDir(dir, visit); why != sound {
			return damaged(dir.number, why)
		}
		return nil
	}
	var first error
	b := make([]byte, f.super.dirBlockSize())
	err := f.dirBlocks(dir, func(p dirPiece) error {
		if err := f.readDirBlock(p, b); err != nil {
			if !recoverable(err) {
				return err
			}
			if first == nil {
				first = wrapInode(dir.number, err)
			}
			return nil
		}
		if why := f.dirBlock(dir.dirFormat(), p, b, visit); why != sound && first == nil {
			first = damaged(dir.number, why)
		}
		return nil
	})
	if err == nil {
		err = first
	}
	return err
}

func (s *superblock) dirBlockSize() int64 { return s.blockSize << s.dirBits }

// dirPiece is a directory block, which may be in several pieces.
type dirPiece struct {
	logical uint64 // of directory blocks
	blocks  []uint64
}

// errDirEnd ends the search for blocks of a directory.
var errDirEnd = errors.New("end of a directory")

// dirBlocks visits the blocks of a directory that hold entries. The error says
// that some may be missing.
func (f *FS) dirBlocks(dir inode, visit func(dirPiece) error) error {
	k, err := newDataFork(f, dir)
	if err != nil {
		return err
	}
	s := &f.super
	per := uint64(1) << s.dirBits
	p := dirPiece{blocks: make([]uint64, 0, per)}
	next := uint64(0) // block that has to come
	left := dir.blocks()
	whole := reason(sound)
	// Blocks beyond the size in the inode are read too: the extents decide where
	// the directory ends.
	err = k.each(dirSpace>>s.blockBits, func(r run) error {
		if r.kind == runUnwritten || r.logical != next && (len(p.blocks) > 0 || r.logical%per != 0) ||
			r.end() > (dir.size()+uint64(s.blockSize)-1)>>s.blockBits {
			whole = reasonDirHole
			p.blocks = p.blocks[:0]
		}
		if next == 0 && r.logical != 0 {
			whole = reasonDirHole
		}
		for next = r.logical; next < r.end(); next++ {
			// Extents of more blocks than the inode has are damaged: those that
			// would be all of a volume are not gone through.
			if left == 0 {
				whole = reasonDirHole
				return errDirEnd
			}
			left--
			if len(p.blocks) == 0 && next%per != 0 {
				continue
			}
			p.blocks = append(p.blocks, r.physical+next-r.logical)
			if uint64(len(p.blocks)) == per {
				p.logical = next >> s.dirBits
				if err := visit(p); err != nil {
					return err
				}
				p.blocks = p.blocks[:0]
			}
		}
		return nil
	})
	if err == errDirEnd {
		err = nil
	}
	if err == nil && (next == 0 || len(p.blocks) > 0) {
		whole = reasonDirHole
	}
	if err == nil && whole != sound {
		err = damaged(dir.number, whole)
	}
	return err
}

func (f *FS) readDirBlock(p dirPiece, b []byte) error {
	s := &f.super
	for i := 0; i < len(p.blocks); {
		n := 1
		for i+n < len(p.blocks) && p.blocks[i+n] == p.blocks[i]+uint64(n) {
			n++
		}
		if err := f.disk.readAt(b[int64(i)<<s.blockBits:int64(i+n)<<s.blockBits], s.offset(p.blocks[i])); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// dirBlock visits the entries of a block. It has a header:
//
//	version 4: 0  4  magic, 4 12  free space
//	version 5: 0  4  magic, 4  4  checksum, 8  8  sector, 24 16  UUID, 40  8  inode, 48 12  free space, 60  4  -
//
// then entries, each a multiple of 8 bytes long:
//
//	0  8  inode, 8  1  length of the name, 9  name, then 1  type of file if the
//	volume has these, and at the end 2  where in the block it begins
//
// or free space: 0  2  0xFFFF, 2  2  length, at the end 2  where it begins.
// The only block of a directory has its index at the end: pairs of 4 bytes, and
// 4  how many, 4  how many of them are stale.
// ("XFS Algorithms & Data Structures", Directories.)
func (f *FS) dirBlock(dir dirFormat, p dirPiece, b []byte, visit func(dirent)) reason {
	s := &f.super
	header, single, many := dirHeader4, "XD2B", "XD2D"
	if s.checksums() {
		header, single, many = dirHeader5, "XDB3", "XDD3"
	}
	only := string(b[:4]) == single
	if !only && string(b[:4]) != many || only && p.logical != 0 {
		return reasonDirMagic
	}
	if s.checksums() {
		replayed := false
		for _, block := range p.blocks {
			replayed = replayed || f.disk.replayed(s.offset(block), s.blockSize)
		}
		switch {
		case !replayed && !sum(b, 4):
			return reasonDirChecksum
		case be.Uint64(b[8:]) != uint64(s.offset(p.blocks[0])/sector), !bytes.Equal(b[24:40], s.metaUUID[:]),
			be.Uint64(b[40:]) != dir.number:
			return reasonDirOwner
		}
	}
	end := len(b)
	if only {
		count := uint64(be.Uint32(b[end-blockTail:]))
		if count > uint64(end-header-blockTail)/leafEntry || dir.size != uint64(len(b)) {
			return reasonDirEntry
		}
		end -= blockTail + leafEntry*int(count)
	}
	if p.logical == 0 {
		// Its own two entries are the first.
		rest, why := s.ownEntries(dir, b[header:end], header, visit)
		if why != sound {
			return why
		}
		header = end - rest
	}
	return s.dirEntries(b[:end], header, visit)
}

// ownEntries decodes "." and "..", and returns how many bytes are left.
func (s *superblock) ownEntries(dir dirFormat, b []byte, begin int, visit func(dirent)) (rest int, why reason) {
	for _, name := range []string{".", ".."} {
		d, size, why := s.dirent(b, begin)
		if why != sound {
			return 0, why
		}
		if string(d.Name) != name || name == "." && d.Inode != dir.number {
			return 0, reasonDirSelf
		}
		if d.Parent() {
			visit(d)
		}
		b, begin = b[size:], begin+size
	}
	return len(b), sound
}

// dirEntries decodes entries up to the end of b.
func (s *superblock) dirEntries(b []byte, at int, visit func(dirent)) reason {
	for at < len(b) {
		if len(b)-at < 8 {
			return reasonDirEntry
		}
		if be.Uint16(b[at:]) == freeTag {
			size := int(be.Uint16(b[at+2:]))
			if size < 8 || size%8 != 0 || size > len(b)-at || int(be.Uint16(b[at+size-2:])) != at {
				return reasonDirFree
			}
			at += size
			continue
		}
		d, size, why := s.dirent(b[at:], at)
		if why != sound {
			return why
		}
		if string(d.Name) == "." || string(d.Name) == ".." {
			return reasonDirName
		}
		visit(d)
		at += size
	}
	return sound
}

// dirent decodes one entry, which begins at a place in its block.
func (s *superblock) dirent(b []byte, at int) (d dirent, size int, why reason) {
	const fixed = 9
	if len(b) < fixed {
		return d, 0, reasonDirEntry
	}
	n := int(b[8])
	size = fixed + n + 2
	if s.hasFtype() {
		size++
	}
	size = (size + 7) &^ 7
	if n == 0 || size > len(b) || int(be.Uint16(b[size-2:])) != at&0xFFFF {
		return d, 0, reasonDirEntry
	}
	d = dirent{Inode: be.Uint64(b), Name: b[fixed : fixed+n]}
	if s.hasFtype() {
		d.Kind = b[fixed+n]
	}
	return d, size, s.checkDirent(d)
}

func (s *superblock) checkDirent(d dirent) reason {
	switch {
	case bytes.IndexByte(d.Name, '/') >= 0 || bytes.IndexByte(d.Name, 0) >= 0:
		return reasonDirName
	case !s.validInode(d.Inode):
		return reasonDirInode
	}
	return sound
}

// localDir decodes a directory in its inode: 1  entries, 1  how many of them
// need 8 bytes for the inode, otherwise all have 4; the parent's inode; and
// entries: 1  length of the name, 2  a place, name, 1  type of file if the
// volume has these, inode.
// ("XFS Algorithms & Data Structures", Short Form Directories.)
func (s *superblock) localDir(dir inode, visit func(dirent)) reason {
	b := dir.dataFork()[:dir.size()]
	if len(b) < 2 {
		return reasonDirEntry
	}
	count, width := int(b[0]), 4
	if b[1] > 0 {
		width = 8
	}
	number := func(b []byte) uint64 {
		if width == 8 {
			return be.Uint64(b)
		}
		return uint64(be.Uint32(b))
	}
	b = b[2:]
	if len(b) < width {
		return reasonDirEntry
	}
	up := dirent{Inode: number(b), Name: []byte("..")}
	if !s.validInode(up.Inode) {
		return reasonDirInode
	}
	visit(up)
	ftype := 0
	if s.hasFtype() {
		ftype = 1
	}
	for b = b[width:]; count > 0; count-- {
		if len(b) < 3 {
			return reasonDirEntry
		}
		n := int(b[0])
		if n == 0 || len(b) < 3+n+ftype+width {
			return reasonDirEntry
		}
		d := dirent{Name: b[3 : 3+n], Inode: number(b[3+n+ftype:])}
		if ftype > 0 {
			d.Kind = b[3+n]
		}
		if why := s.checkDirent(d); why != sound {
			return why
		}
		visit(d)
		b = b[3+n+ftype+width:]
	}
	if len(b) > 0 {
		return reasonDirEntry
	}
	return sound
}
