package xfs

import "io/fs"

// Locate returns where on the volume, in bytes, a byte of the content is.
func (c *content) Locate(off int64) (at int64, known bool, err error) {
	if c.blocks == nil {
		return 0, false, nil
	}
	s := &c.f.super
	r, err := c.blocks.find(uint64(off) >> s.blockBits)
	if err != nil || r.kind != runData {
		return 0, false, err
	}
	return s.offset(r.physical) + off&(s.blockSize-1), true, nil
}

// Locate returns where on the volume, in bytes, the inode of a name begins. The
// place is not known of an inode that the log changes. A symbolic link is not
// followed.
func (f *FS) Locate(name string) (at int64, known bool, err error) {
	i, err := f.resolve(name, false)
	if err != nil {
		return 0, false, &fs.PathError{Op: "locate", Path: name, Err: err}
	}
	at = f.super.inodeOffset(i.number)
	return at, f.disk.over == nil || f.disk.over.pages[at/pageSize] == nil, nil
}
