package ext4

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

const (
	xattrMagic       = 0xEA020000
	xattrHeaderSize  = 32 // of a block of extended attributes
	xattrEntrySize   = 16 // without the name
	xattrIndexSystem = 7
)

// maxXattr is the size of the largest value, in bytes (XATTR_SIZE_MAX of the
// kernel).
const maxXattr = 64 << 10

// xattrPrefixes are the prefixes that a name index stands for (xattr.rst).
// Those without a dot at the end are complete names.
var xattrPrefixes = map[uint8]string{
	1:  "user.",
	2:  "system.posix_acl_access",
	3:  "system.posix_acl_default",
	4:  "trusted.",
	6:  "security.",
	8:  "system.richacl",
	10: "gnu.",
}

// xattrHidden are internal attributes, which the kernel does not show: inline
// data and the encryption context.
var xattrHidden = map[uint8]bool{xattrIndexSystem: true, 9: true}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string // with its prefix, as "security.selinux"; bytes that are not UTF-8 as in names of files
	Value []byte // as getxattr(2) gives it
}

// Xattrs returns the extended attributes of a file or directory, sorted by
// name. It follows symbolic links. Internal attributes (inline data, encryption
// context) are left out.
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

func (f *FS) xattrs(i inode) ([]Xattr, error) {
	entries, err := f.xattrEntries(i)
	if err != nil {
		return nil, err
	}
	var list []Xattr
	for _, e := range entries {
		if xattrHidden[e.index] {
			continue
		}
		value := e.value
		if e.inode != 0 {
			if value, err = f.xattrInode(i, e); err != nil {
				return nil, err
			}
		}
		prefix, ok := xattrPrefixes[e.index]
		if !ok {
			prefix = fmt.Sprintf("index%d.", e.index)
		}
		if e.index == 2 || e.index == 3 {
			if value = shownACL(value); value == nil {
				return nil, damaged(i.number, reasonXattr)
			}
		}
		list = append(list, Xattr{Name: prefix + bytename.Encode(e.name), Value: slices.Clone(value)})
	}
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// xattrEntry is an attribute as it is on the disk.
type xattrEntry struct {
	index uint8 // of the prefix
	name  []byte
	value []byte
	inode uint32 // that holds the value, 0 if it is here
	size  uint32
}

// xattrEntries returns the attributes in the inode, and then those in its
// attribute block.
func (f *FS) xattrEntries(i inode) ([]xattrEntry, error) {
	entries, why := f.super.inodeXattrs(i)
	if why != sound {
		return nil, damaged(i.number, why)
	}
	block := i.attributes(&f.super)
	if block == 0 {
		return entries, nil
	}
	if !f.super.valid(block, 1) {
		return nil, damaged(i.number, reasonXattr)
	}
	b, err := f.disk.block(block)
	if err != nil {
		return nil, wrapInode(i.number, err)
	}
	more, why := f.super.blockXattrs(b, block)
	if why != sound {
		return nil, damaged(i.number, why)
	}
	return append(entries, more...), nil
}

// inodeXattrs decodes the space after the fields of an inode: the magic
// 0xEA020000 and entries, whose value offsets count from the first entry.
func (s *superblock) inodeXattrs(i inode) ([]xattrEntry, reason) {
	extra := i.extraSize()
	begin := oldInodeSize + extra
	if extra == 0 || begin+4 > len(i.raw) || le.Uint32(i.raw[begin:]) != xattrMagic {
		return nil, sound
	}
	return s.parseXattrs(i.raw[begin+4:], 0)
}

// blockXattrs decodes a block of attributes, whose values' places count from
// its begin:
//
//	 0  4  magic 0xEA020000, 4  4  references, 8  4  blocks: 1
//	16  4  checksum, over the block's number and the block
//	32     entries
//
// (xattr.rst).
func (s *superblock) blockXattrs(b []byte, block uint64) ([]xattrEntry, reason) {
	const checksum = 16
	if le.Uint32(b) != xattrMagic || le.Uint32(b[8:]) != 1 {
		return nil, reasonXattr
	}
	if s.checksums {
		crc := crc32cUint32(crc32cUint32(s.seed, uint32(block)), uint32(block>>32))
		crc = crc32c(crc, b[:checksum])
		crc = crc32c(crc, zeros[:4])
		if crc32c(crc, b[checksum+4:]) != le.Uint32(b[checksum:]) {
			return nil, reasonXattrChecksum
		}
	}
	return s.parseXattrs(b, xattrHeaderSize)
}

// parseXattrs decodes entries from a place on, until one that begins with four
// zeros:
//
//	0  1  length of the name, 1  1  index of the prefix
//	2  2  place of the value, 4  4  inode that holds it
//	8  4  size of the value, 12  4  hash, 16  name, padded to 4 bytes
func (s *superblock) parseXattrs(b []byte, at int) (entries []xattrEntry, why reason) {
	for {
		if at+4 > len(b) {
			return nil, reasonXattr
		}
		if le.Uint32(b[at:]) == 0 {
			break
		}
		if at+xattrEntrySize > len(b) {
			return nil, reasonXattr
		}
		h := b[at : at+xattrEntrySize]
		name := int(h[0])
		next := at + xattrEntrySize + (name+3)&^3
		if next > len(b) {
			return nil, reasonXattr
		}
		e := xattrEntry{
			index: h[1],
			name:  b[at+xattrEntrySize : at+xattrEntrySize+name],
			inode: le.Uint32(h[4:]),
			size:  le.Uint32(h[8:]),
		}
		if e.size > maxXattr || e.inode != 0 && !s.has(incompatEAInode) {
			return nil, reasonXattr
		}
		if e.inode == 0 && e.size > 0 {
			place := int(le.Uint16(h[2:]))
			if place+int(e.size) > len(b) {
				return nil, reasonXattr
			}
			e.value = b[place : place+int(e.size)]
		}
		entries = append(entries, e)
		at = next
	}
	// No value may begin within the names.
	for _, e := range entries {
		if len(e.value) > 0 && cap(e.value) > cap(b)-at-4 {
			return nil, reasonXattr
		}
	}
	return entries, sound
}

// xattrInode reads a value that an inode of its own holds. It has the CRC of
// the value where others have the access time; those that Lustre made name
// their owner instead where others have the modification time.
func (f *FS) xattrInode(owner inode, e xattrEntry) ([]byte, error) {
	i, err := f.inode(e.inode)
	if err != nil {
		return nil, fmt.Errorf("attribute of inode %d: %w", owner.number, err)
	}
	if !i.has(flagEAInode) || i.kind() != modeRegular || i.size(&f.super) != uint64(e.size) || i.has(flagInline) {
		return nil, damaged(e.inode, reasonXattr)
	}
	value := make([]byte, e.size)
	if err := newContent(f, i).ReadAt(value, 0); err != nil {
		return nil, err
	}
	lustre := le.Uint32(i.raw[0x10:]) == owner.number && i.generation() == owner.generation()
	if crc32c(f.super.seed, value) != le.Uint32(i.raw[8:]) && !lustre {
		return nil, damaged(e.inode, reasonXattrChecksum)
	}
	return value, nil
}

// shownACL converts an ACL from its form on disk (version 1; entries for the
// owner, the owning group, the mask and others without an id) to the form of
// getxattr(2) (version 2; all entries have an id). It returns nil if it is
// none.
func shownACL(b []byte) []byte {
	const (
		user  = 0x02
		group = 0x08
	)
	if len(b) < 4 || le.Uint32(b) != 1 {
		return nil
	}
	shown := le.AppendUint32(nil, 2)
	for b = b[4:]; len(b) > 0; {
		size, id := 4, []byte{0xFF, 0xFF, 0xFF, 0xFF}
		if len(b) < size {
			return nil
		}
		if tag := le.Uint16(b); tag == user || tag == group {
			if size = 8; len(b) < size {
				return nil
			}
			id = b[4:8]
		}
		shown = append(append(shown, b[:4]...), id...)
		b = b[size:]
	}
	return shown
}

// inlineValue returns the part of a file's inline data that is kept as an
// extended attribute, system.data.
func (s *superblock) inlineValue(i inode) ([]byte, reason) {
	entries, why := s.inodeXattrs(i)
	if why != sound {
		return nil, why
	}
	for _, e := range entries {
		if e.index == xattrIndexSystem && bytes.Equal(e.name, []byte("data")) {
			if e.inode != 0 {
				return nil, reasonInline
			}
			return e.value, sound
		}
	}
	return nil, reasonInline
}
