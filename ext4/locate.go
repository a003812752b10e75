package ext4

import (
	"io/fs"
	"sort"
)

// Locate returns where on the volume, in bytes, a byte of the content is.
func (c *content) Locate(off int64) (at int64, known bool, err error) {
	if c.blocks == nil {
		return 0, false, nil
	}
	bits := c.disk.blockBits
	r, err := c.blocks.find(uint64(off) >> bits)
	if err != nil || !r.data() {
		return 0, false, err
	}
	at, known = c.disk.locate(int64(r.physical)<<bits + off&(1<<bits-1))
	return at, known, nil
}

// Locate returns where on the volume, in bytes, the inode of a name begins. That
// is in the journal if the inode is read from there. A symbolic link is not
// followed.
func (f *FS) Locate(name string) (at int64, known bool, err error) {
	i, err := f.resolve(name, false)
	if err != nil {
		return 0, false, &fs.PathError{Op: "locate", Path: name, Err: err}
	}
	at, why := f.place(i.number)
	if why != sound {
		return 0, false, &fs.PathError{Op: "locate", Path: name, Err: damaged(i.number, why)}
	}
	at, known = f.disk.locate(at)
	return at, known, nil
}

// locate returns where in the image the bytes are that are read at a place. That
// is not known of the first bytes of a block that the journal holds escaped.
func (d *device) locate(at int64) (int64, bool) {
	if d.over == nil {
		return at, true
	}
	o := d.over
	block, within := uint64(at)>>o.bits, at&(1<<o.bits-1)
	i := sort.Search(len(o.blocks), func(i int) bool { return o.blocks[i] >= block })
	if i == len(o.blocks) || o.blocks[i] != block {
		return at, true
	}
	const magic = 4 // bytes that are escaped
	if o.from[i].escaped && within < magic {
		return 0, false
	}
	return o.from[i].at + within, true
}
