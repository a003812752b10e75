package xfs

import "bytes"

// maxSymlink is the length of the longest target of a symbolic link, in bytes
// (XFS_SYMLINK_MAXLEN).
const maxSymlink = 1024

const linkHeader = 56

// target returns the target of a symbolic link, which is never empty.
func (f *FS) target(i inode) ([]byte, error) {
	size := int(i.size())
	var target []byte
	if i.format() == formatLocal {
		target = bytes.Clone(i.dataFork()[:size])
	} else {
		var err error
		if target, err = f.remoteTarget(i, size); err != nil {
			return nil, err
		}
	}
	if bytes.IndexByte(target, 0) >= 0 {
		return nil, damaged(i.number, reasonTarget)
	}
	return target, nil
}

// remoteTarget reads a target from its blocks. From version 5 on each run of
// them begins with a header:
//
//	 0  4  "XSLM", 4  4  place in the target, 8  4  bytes, 12  4  checksum
//	16 16  UUID, 32  8  inode, 40  8  sector
//
// ("XFS Algorithms & Data Structures", Extent Symbolic Links.)
func (f *FS) remoteTarget(i inode, size int) ([]byte, error) {
	s := &f.super
	k, err := newDataFork(f, i)
	if err != nil {
		return nil, err
	}
	var target []byte
	next := uint64(0)
	err = k.each(maxForkBlocks, func(r run) error {
		// A target and its headers fit into a few blocks.
		if r.kind != runData || r.logical != next || r.count<<s.blockBits > 4*maxSymlink+uint64(s.blockSize) {
			return damaged(i.number, reasonTarget)
		}
		next = r.end()
		b := make([]byte, int64(r.count)<<s.blockBits)
		off := s.offset(r.physical)
		if err := f.disk.readAt(b, off); err != nil {
			return wrapInode(i.number, err)
		}
		left := size - len(target)
		if !s.checksums() {
			target = append(target, b[:min(left, len(b))]...)
			return nil
		}
		n := min(left, len(b)-linkHeader)
		if string(b[:4]) != "XSLM" || !f.disk.replayed(off, int64(len(b))) && !sum(b, 12) ||
			!bytes.Equal(b[16:32], s.metaUUID[:]) || be.Uint64(b[32:]) != i.number ||
			be.Uint64(b[40:]) != uint64(off/sector) ||
			int64(be.Uint32(b[4:])) != int64(len(target)) || int64(be.Uint32(b[8:])) != int64(n) {
			return damaged(i.number, reasonTarget)
		}
		target = append(target, b[linkHeader:linkHeader+n]...)
		return nil
	})
	if err == nil && len(target) != size {
		err = damaged(i.number, reasonTarget)
	}
	return target, err
}
