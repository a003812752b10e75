package xfs

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

const (
	// maxXattr is the size of the largest value, in bytes (XATTR_SIZE_MAX of
	// the kernel).
	maxXattr = 64 << 10
	// maxXattrBlocks is the most blocks of attributes that are looked at: as many
	// blocks of 4 KiB as fit in 2 GiB. It bounds the cost of a crafted chain of
	// leaves.
	maxXattrBlocks = 1 << 19
	// maxXattrTotal is the most that the attributes of a file may take in
	// memory, in bytes.
	maxXattrTotal = 64 << 20

	xattrLocal      = 0x1
	xattrRoot       = 0x2
	xattrSecure     = 0x4
	xattrParent     = 0x8
	xattrIncomplete = 0x80

	remoteHeader = 56
)

// Xattr is an extended attribute.
type Xattr struct {
	Name  string // with its prefix, as "security.selinux"; bytes that are not UTF-8 as in names of files
	Value []byte // as getxattr(2) gives it
}

// Xattrs returns the extended attributes of a file or directory, sorted by
// name. It follows symbolic links. An ACL is listed twice, as in the kernel: as
// "system.posix_acl_access" and as stored on disk. Parent pointers, which are
// internal, are left out.
func (f *FS) Xattrs(name string) ([]Xattr, error) { return f.xattrsOf("getxattr", name, true) }

// LXattrs is Xattrs, but for a symbolic link itself if the name is one.
func (f *FS) LXattrs(name string) ([]Xattr, error) { return f.xattrsOf("lgetxattr", name, false) }

func (f *FS) xattrsOf(op, name string, follow bool) ([]Xattr, error) {
	i, err := f.resolve(name, follow)
	var list []Xattr
	if err == nil {
		list, err = f.xattrs(i)
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return list, nil
}

// acls are the names that ACLs have on the disk.
var acls = map[string]string{
	"SGI_ACL_FILE":    "system.posix_acl_access",
	"SGI_ACL_DEFAULT": "system.posix_acl_default",
}

func (f *FS) xattrs(i inode) ([]Xattr, error) {
	var list []Xattr
	total := 0
	err := f.eachXattr(i, func(flags uint8, name, value []byte) reason {
		if flags&(xattrParent|xattrIncomplete) != 0 {
			return sound
		}
		if total += len(name) + len(value) + 64; total > maxXattrTotal {
			return reasonXattr
		}
		prefix := "user."
		switch {
		case flags&xattrRoot != 0:
			prefix = "trusted."
			if shown, ok := acls[string(name)]; ok {
				acl, ok := shownACL(value)
				if !ok {
					return reasonXattr
				}
				list = append(list, Xattr{Name: shown, Value: acl})
			}
		case flags&xattrSecure != 0:
			prefix = "security."
		}
		list = append(list, Xattr{Name: prefix + bytename.Encode(name), Value: bytes.Clone(value)})
		return sound
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// eachXattr visits the attributes of a sound inode.
func (f *FS) eachXattr(i inode, visit func(flags uint8, name, value []byte) reason) error {
	b := i.attrFork()
	if b == nil {
		return nil
	}
	if i.raw[0x53] == formatLocal {
		if why := localXattrs(b, visit); why != sound {
			return damaged(i.number, why)
		}
		return nil
	}
	k, err := newFork(f, i, b, i.raw[0x53], i.attrExtents())
	if err != nil {
		return err
	}
	if i.raw[0x53] == formatExtents && len(k.runs) == 0 {
		return nil
	}
	x := xattrReader{f: f, i: i, blocks: k}
	leaf, err := x.firstLeaf()
	for left := maxXattrBlocks; err == nil; left-- {
		if left == 0 {
			return damaged(i.number, reasonXattr)
		}
		if leaf, err = x.leaf(leaf, visit); leaf == 0 {
			break
		}
	}
	return err
}

// localXattrs decodes attributes in the inode: 2  bytes, 1  how many, 1  -; and
// each: 1  length of the name, 1  of the value, 1  flags, name, value.
// ("XFS Algorithms & Data Structures", Short Form Attributes.)
func localXattrs(b []byte, visit func(flags uint8, name, value []byte) reason) reason {
	if len(b) < 4 || int(be.Uint16(b)) > len(b) || be.Uint16(b) < 4 {
		return reasonXattr
	}
	count := int(b[2])
	for b = b[4:be.Uint16(b)]; count > 0; count-- {
		if len(b) < 3 || len(b) < 3+int(b[0])+int(b[1]) || b[0] == 0 {
			return reasonXattr
		}
		n, v := 3+int(b[0]), 3+int(b[0])+int(b[1])
		if why := visit(b[2], b[3:n], b[n:v]); why != sound {
			return why
		}
		b = b[v:]
	}
	return sound
}

// xattrReader reads attributes from their blocks.
type xattrReader struct {
	f      *FS
	i      inode
	blocks *fork
}

const (
	xattrLeafMagic4 = 0xFBEE
	xattrLeafMagic5 = 0x3BEE
	xattrNodeMagic4 = 0xFEBE
	xattrNodeMagic5 = 0x3EBE
)

// block reads a block of the tree of attributes and checks its header:
//
//	0  4  next, 4  4  previous, 8  2  magic
//	from version 5 on: 12  4  checksum, 16  8  sector, 32 16  UUID, 48  8  inode
func (x *xattrReader) block(n uint64) (b []byte, magic uint16, err error) {
	s := &x.f.super
	b, off, err := x.raw(n)
	if err != nil {
		return nil, 0, err
	}
	magic = be.Uint16(b[8:])
	if s.checksums() {
		switch {
		case !x.f.disk.replayed(off, s.blockSize) && !sum(b, 12):
			return nil, 0, damaged(x.i.number, reasonXattrChecksum)
		case be.Uint64(b[16:]) != uint64(off/sector), !bytes.Equal(b[32:48], s.metaUUID[:]),
			be.Uint64(b[48:]) != x.i.number:
			return nil, 0, damaged(x.i.number, reasonXattr)
		}
	}
	return b, magic, nil
}

// raw reads a block of the fork of attributes.
func (x *xattrReader) raw(n uint64) (b []byte, off int64, err error) {
	s := &x.f.super
	r, err := x.blocks.find(n)
	if err != nil {
		return nil, 0, err
	}
	if r.kind != runData {
		return nil, 0, damaged(x.i.number, reasonXattr)
	}
	off = s.offset(r.physical)
	if b, err = x.f.disk.piece(off, s.blockSize); err != nil {
		err = wrapInode(x.i.number, err)
	}
	return b, off, err
}

// firstLeaf goes down from the root of the tree, block 0, on the left. A node
// has behind the header 2  entries, 2  level, and from version 5 on 4  -; then
// entries: 4  hash, 4  block.
func (x *xattrReader) firstLeaf() (uint64, error) {
	s := &x.f.super
	head, node, leaf := 12, uint16(xattrNodeMagic4), uint16(xattrLeafMagic4)
	first := head + 4
	if s.checksums() {
		head, node, leaf = 56, xattrNodeMagic5, xattrLeafMagic5
		first = head + 8
	}
	level := maxTreeLevels
	for n := uint64(0); ; {
		b, magic, err := x.block(n)
		if err != nil {
			return 0, err
		}
		if magic == leaf {
			return n, nil
		}
		if magic != node || be.Uint16(b[head:]) == 0 || int(be.Uint16(b[head+2:])) >= level ||
			be.Uint16(b[head+2:]) == 0 {
			return 0, damaged(x.i.number, reasonXattr)
		}
		level = int(be.Uint16(b[head+2:]))
		n = uint64(be.Uint32(b[first+4:]))
	}
}

// leaf visits the attributes of a leaf and returns the next, 0 if there is
// none. Behind the header are 2  entries, 2  bytes, 2  where these begin, 14 -,
// and from version 5 on 4  -; then entries: 4  hash, 2  where the name is, 1  flags, 1 -.
// There: 2  length of the value, 1  of the name, name, value; or if the value
// has its own blocks 4  first of them, 4  length of the value, 1  of the name,
// name.
// ("XFS Algorithms & Data Structures", Leaf Attributes.)
func (x *xattrReader) leaf(n uint64, visit func(flags uint8, name, value []byte) reason) (next uint64, err error) {
	bad := func() (uint64, error) { return 0, damaged(x.i.number, reasonXattr) }
	b, magic, err := x.block(n)
	if err != nil {
		return 0, err
	}
	head, first, want := 12, 32, uint16(xattrLeafMagic4)
	if x.f.super.checksums() {
		head, first, want = 56, 80, xattrLeafMagic5
	}
	count := int(be.Uint16(b[head:]))
	if magic != want || first+8*count > len(b) {
		return bad()
	}
	for e := first; e < first+8*count; e += 8 {
		at, flags := int(be.Uint16(b[e+4:])), b[e+6]
		if at < first+8*count || at+3 > len(b) {
			return bad()
		}
		var name, value []byte
		if flags&xattrLocal != 0 {
			n, v := at+3+int(b[at+2]), at+3+int(b[at+2])+int(be.Uint16(b[at:]))
			if v > len(b) {
				return bad()
			}
			name, value = b[at+3:n], b[n:v]
		} else {
			if at+9 > len(b) || at+9+int(b[at+8]) > len(b) {
				return bad()
			}
			name = b[at+9 : at+9+int(b[at+8])]
			// An incomplete attribute may have no value.
			if flags&xattrIncomplete == 0 {
				if value, err = x.remote(uint64(be.Uint32(b[at:])), be.Uint32(b[at+4:])); err != nil {
					return 0, err
				}
			}
		}
		if len(name) == 0 {
			return bad()
		}
		if why := visit(flags, name, value); why != sound {
			return 0, damaged(x.i.number, why)
		}
	}
	next = uint64(be.Uint32(b))
	if next == n && n != 0 {
		return bad()
	}
	return next, nil
}

// remote reads a value from blocks of its own. From version 5 on each of them
// has a header:
//
//	 0  4  "XARM", 4  4  place in the value, 8  4  bytes, 12  4  checksum
//	16 16  UUID, 32  8  inode, 40  8  sector
//
// ("XFS Algorithms & Data Structures", Remote Attribute Values.)
func (x *xattrReader) remote(n uint64, size uint32) ([]byte, error) {
	s := &x.f.super
	if size > maxXattr {
		return nil, damaged(x.i.number, reasonXattr)
	}
	value := make([]byte, 0, size)
	for left := int(size); left > 0; n++ {
		b, off, err := x.raw(n)
		if err != nil {
			return nil, err
		}
		if s.checksums() {
			used := min(left, len(b)-remoteHeader)
			switch {
			case string(b[:4]) != "XARM":
				return nil, damaged(x.i.number, reasonXattr)
			case !x.f.disk.replayed(off, s.blockSize) && !sum(b, 12):
				return nil, damaged(x.i.number, reasonXattrChecksum)
			case !bytes.Equal(b[16:32], s.metaUUID[:]), be.Uint64(b[32:]) != x.i.number,
				be.Uint64(b[40:]) != uint64(off/sector),
				int(be.Uint32(b[4:])) != len(value), int(be.Uint32(b[8:])) != used:
				return nil, damaged(x.i.number, reasonXattr)
			}
			b = b[remoteHeader:]
		}
		b = b[:min(left, len(b))]
		value = append(value, b...)
		left -= len(b)
	}
	return value, nil
}

// shownACL converts an ACL from its form on disk (4  entries; each 4  tag, 4
// id, 2  permissions, 2  -) to the form of getxattr(2) (version 2: 2  tag, 2
// permissions, 4  id, little-endian).
func shownACL(b []byte) ([]byte, bool) {
	const (
		user  = 0x02
		group = 0x08
		entry = 12
	)
	if len(b) < 4 || int64(be.Uint32(b))*entry != int64(len(b)-4) {
		return nil, false
	}
	shown := le.AppendUint32(nil, 2)
	for b = b[4:]; len(b) > 0; b = b[entry:] {
		tag, id := be.Uint32(b), be.Uint32(b[4:])
		if tag != user && tag != group {
			id = 1<<32 - 1
		}
		shown = le.AppendUint16(shown, uint16(tag))
		shown = le.AppendUint16(shown, be.Uint16(b[8:]))
		shown = le.AppendUint32(shown, id)
	}
	return shown, true
}
