package xfs

import (
	"math/bits"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// The offsets, in bytes, of a directory's index and of its free space list; and
// the magics of index blocks in version 4.
const (
	indexSpace    = 32 << 30
	freeSpace     = 64 << 30
	indexLeaf1    = 0xD2F1
	indexLeafN    = 0xD2FF
	indexInner    = 0xFEBE
	indexHeader   = 16
	maxIndexBlock = 1 << 20 // blocks of an index that are looked at
)

// nameHash is the hash of a name in the index of a directory (xfs_da_hashname).
func nameHash(name []byte) (h uint32) {
	for _, c := range name {
		h = uint32(c) ^ bits.RotateLeft32(h, 7)
	}
	return h
}

// nameHash is the hash of a name in the index, on this volume.
func (f *FS) nameHash(name []byte) uint32 {
	if f.super.flags&flagFoldCase != 0 {
		name = foldName(name)
	}
	return nameHash(name)
}

// indexed compares the names of a directory with its index, where there are no
// checksums: each name must be in it once, and no others. An error means that a
// name may be lost or changed. strays are the hashes of names that the index
// lacks, nil if it could not be read.
func (f *FS) indexed(dir inode, l *unixfs.List[uint64]) (strays map[uint32]bool, err error) {
	hashes := map[uint32]int{}
	if err := f.eachHash(dir, func(h uint32) { hashes[h]++ }); err != nil {
		return nil, err
	}
	hashes[nameHash([]byte("."))]--
	hashes[nameHash([]byte(".."))]--
	for _, e := range l.Entries {
		hashes[f.nameHash(l.Name(e))]--
	}
	strays = map[uint32]bool{}
	for h, n := range hashes {
		if n < 0 {
			strays[h] = true
		}
		if n != 0 {
			err = damaged(dir.number, reasonDirIndex)
		}
	}
	return strays, err
}

// eachHash visits the entries of the index. If the directory has one block it
// is at the end of that; else it has blocks of its own, which hold from byte 12
// on 2 entries, 2  stale ones, and pairs of 4  hash and 4  place, 0 of a stale
// one.
func (f *FS) eachHash(dir inode, visit func(uint32)) error {
	s := &f.super
	pairs := func(b []byte) {
		for ; len(b) >= leafEntry; b = b[leafEntry:] {
			if be.Uint32(b[4:]) != 0 {
				visit(be.Uint32(b))
			}
		}
	}
	k, err := newDataFork(f, dir)
	if err != nil {
		return err
	}
	b := make([]byte, s.dirBlockSize())
	block := func(n uint64) (bool, error) {
		p := dirPiece{logical: n}
		for i := range uint64(1) << s.dirBits {
			r, err := k.find(n<<s.dirBits + i)
			if err != nil || r.kind != runData {
				return false, err
			}
			p.blocks = append(p.blocks, r.physical)
		}
		return true, f.readDirBlock(p, b)
	}
	if there, err := block(0); err != nil || !there {
		return err
	}
	if string(b[:4]) == "XD2B" {
		count := uint64(be.Uint32(b[len(b)-blockTail:]))
		if count > uint64(len(b)-blockTail)/leafEntry {
			return damaged(dir.number, reasonDirEntry)
		}
		pairs(b[len(b)-blockTail-leafEntry*int(count) : len(b)-blockTail])
		return nil
	}
	left := maxIndexBlock
	for n := uint64(indexSpace) >> s.blockBits; n < freeSpace>>s.blockBits; {
		r, err := k.find(n)
		if err != nil {
			return err
		}
		if r.kind != runData {
			n = r.end()
			continue
		}
		if left--; left == 0 {
			return damaged(dir.number, reasonDirIndex)
		}
		there, err := block(n >> s.dirBits)
		if err != nil {
			return err
		}
		count := int(be.Uint16(b[12:]))
		switch magic := be.Uint16(b[8:]); {
		case there && magic == indexInner:
		case there && (magic == indexLeaf1 || magic == indexLeafN) && count <= (len(b)-indexHeader)/leafEntry:
			pairs(b[indexHeader : indexHeader+leafEntry*count])
		default:
			return damaged(dir.number, reasonDirIndex)
		}
		n = (n>>s.dirBits + 1) << s.dirBits
	}
	return nil
}
