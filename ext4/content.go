package ext4

// content is the content of a file, wherever it is stored.
type content struct {
	disk   *device
	size   int64
	inline bool
	head   [blockArea]byte // if inline: the beginning, and
	tail   []byte          // the rest
	blocks *blockMap
	broken error // why the rest of the inline data cannot be had
}

func newContent(f *FS, i inode) *content {
	c := &content{disk: f.disk, size: int64(i.size(&f.super))}
	if i.has(flagInline) {
		c.inline = true
		copy(c.head[:], i.area())
		tail, why := f.super.inlineValue(i)
		if why == sound && c.size > int64(blockArea+len(tail)) {
			why = reasonInline
		}
		if why != sound {
			c.broken = damaged(i.number, why)
		}
		c.tail = tail
		return c
	}
	c.blocks = newBlockMap(f.disk, &f.super, i)
	return c
}

func (c *content) Size() int64 { return c.size }

// ReadAt fills p, no byte of which is past the end of the file. Adjacent blocks
// are read in one read.
func (c *content) ReadAt(p []byte, off int64) error {
	if c.inline {
		if c.broken != nil {
			return c.broken
		}
		if off < blockArea {
			n := copy(p, c.head[off:])
			p, off = p[n:], off+int64(n)
		}
		if len(p) > 0 {
			copy(p, c.tail[off-blockArea:])
		}
		return nil
	}
	bits := c.disk.blockBits
	for len(p) > 0 {
		r, err := c.blocks.find(uint64(off) >> bits)
		if err != nil {
			return err
		}
		skip := off & (1<<bits - 1)
		n := min(int64(len(p)), int64(r.count)<<bits-skip)
		if r.data() {
			if err := c.disk.readAt(p[:n], int64(r.physical)<<bits+skip); err != nil {
				return wrapInode(c.blocks.number, err)
			}
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+n
	}
	return nil
}
