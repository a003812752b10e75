package xfs

// content is the content of a file.
type content struct {
	f      *FS
	size   int64
	blocks *fork
	broken error // why it cannot be had
}

func newContent(f *FS, i inode) *content {
	c := &content{f: f, size: int64(i.size())}
	if i.flags()&diflagRealtime != 0 {
		c.broken = unsupported("the content of inode %d, which is on the realtime device", i.number)
		return c
	}
	c.blocks, c.broken = newDataFork(f, i)
	return c
}

func (c *content) Size() int64 { return c.size }

// ReadAt fills p, no byte of which is past the end of the file. Adjacent blocks
// are read in one read.
func (c *content) ReadAt(p []byte, off int64) error {
	if c.broken != nil {
		return c.broken
	}
	s := &c.f.super
	for len(p) > 0 {
		r, err := c.blocks.find(uint64(off) >> s.blockBits)
		if err != nil {
			return err
		}
		skip := off & (s.blockSize - 1)
		n := int64(len(p))
		if r.count <= uint64(n)>>s.blockBits+1 {
			n = min(n, int64(r.count)<<s.blockBits-skip)
		}
		if r.kind == runData {
			if err := c.f.disk.readAt(p[:n], s.offset(r.physical)+skip); err != nil {
				return wrapInode(c.blocks.number, err)
			}
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+n
	}
	return nil
}
