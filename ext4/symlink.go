package ext4

import (
	"bytes"
	"fmt"
)

// maxSymlink is the length of the longest target of a symbolic link, in bytes
// (PATH_MAX of the kernel, without the NUL).
const maxSymlink = 4095

// target returns the target of a symbolic link, which is never empty.
func (f *FS) target(i inode) ([]byte, error) {
	if i.has(flagEncrypted) {
		return nil, fmt.Errorf("%w: the target of the symbolic link, inode %d", ErrEncrypted, i.number)
	}
	size := i.size(&f.super)
	if size == 0 || size > maxSymlink {
		return nil, damaged(i.number, reasonSize)
	}
	target := make([]byte, size)
	switch {
	case f.fast(i):
		if size >= blockArea || i.area()[size] != 0 {
			return nil, damaged(i.number, reasonSize)
		}
		copy(target, i.area())
	default:
		if err := newContent(f, i).ReadAt(target, 0); err != nil {
			return nil, err
		}
	}
	if bytes.IndexByte(target, 0) >= 0 {
		return nil, damaged(i.number, reasonTarget)
	}
	return target, nil
}

// fast reports whether the target of a symbolic link is where others have
// their blocks. The kernel knows it by there being no blocks, and with
// ea_inode, whose inodes count as blocks, by the size.
func (f *FS) fast(i inode) bool {
	s := &f.super
	if s.has(incompatEAInode) {
		return i.size(s) < blockArea
	}
	sectors := uint64(0)
	if i.attributes(s) != 0 {
		sectors = 1 << (s.blockBits + s.clusterRatio - 9)
	}
	return !i.has(flagInline) && i.sectors(s) == sectors
}
