package ext4

import (
	"bytes"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

const (
	direntSize   = 8  // without the name
	minDirent    = 12 // with a name of one byte
	dirTailSize  = 12
	dirTailType  = 0xDE
	inlineParent = 4 // bytes: the size of . and .. in an inline directory
)

// dirent is an entry of a directory.
type dirent = unixfs.Dirent[uint32]

// dirFormat holds the values needed to read directory blocks.
type dirFormat struct {
	number  uint32
	seed    uint32
	indexed bool // with the inner nodes of a hashed tree among the blocks
	cipher  bool // with names that are encrypted, and may hold any byte
}

func (s *superblock) dirFormat(i inode) dirFormat {
	const compatDirIndex = 0x20
	return dirFormat{i.number, s.inodeSeed(i), i.has(flagIndex) && s.compat&compatDirIndex != 0, i.has(flagEncrypted)}
}

// dirBlock decodes a block of a directory and calls visit for each entry that
// is in use, but for "."; the names are only valid during the call. A block
// that fails its checksum has no entries. (directory.rst.)
func (s *superblock) dirBlock(f dirFormat, b []byte, first bool, visit func(dirent)) reason {
	inner := f.indexed && (first || le.Uint32(b) == 0 && s.recordSize(b) == len(b))
	if s.checksums {
		why := checkDirTail(f.seed, b)
		if inner {
			why = s.checkDirIndex(f.seed, b)
		}
		if why != sound {
			return why
		}
	}
	if first && (le.Uint32(b) != f.number || b[6] != 1 || b[8] != '.') {
		return reasonNotOwn
	}
	return s.dirents(b, f.cipher, visit)
}

// checkDirTail checks the entry at the end of a block that holds its checksum:
//
//	0  4  inode 0, 4  2  length 12, 6  1  name of no bytes, 7  1  type 0xDE
//	8  4  checksum
func checkDirTail(seed uint32, b []byte) reason {
	t := b[len(b)-dirTailSize:]
	if le.Uint32(t) != 0 || le.Uint16(t[4:]) != dirTailSize || t[6] != 0 || t[7] != dirTailType {
		return reasonNoTail
	}
	if crc32c(seed, b[:len(b)-dirTailSize]) != le.Uint32(t[8:]) {
		return reasonDirChecksum
	}
	return sound
}

// checkDirIndex checks the checksum of an inner node of a hashed tree. Behind
// the entry that makes it look like a block without entries (in the root, .
// and .. and 8 bytes on the tree) there are
//
//	0  2  room for index entries, 2  2  entries, 8 bytes each, these 4 among them
//
// and behind the room 4 bytes and the checksum of all but the unused room.
func (s *superblock) checkDirIndex(seed uint32, b []byte) reason {
	at := 8
	if le.Uint16(b[4:]) == minDirent {
		if at = 32; le.Uint32(b[24:]) != 0 || b[29] != 8 {
			return reasonIndex
		}
	}
	room, entries := int(le.Uint16(b[at:])), int(le.Uint16(b[at+2:]))
	tail := at + 8*room
	if entries > room || tail+8 > len(b) {
		return reasonIndex
	}
	crc := crc32c(seed, b[:at+8*entries])
	crc = crc32c(crc, b[tail:tail+4])
	if crc32c(crc, zeros[:4]) != le.Uint32(b[tail+4:]) {
		return reasonIndexChecksum
	}
	return sound
}

// recordSize is the length of the entry that b begins with. In blocks of 64 KiB
// the length of a full block does not fit and has its own encoding.
func (s *superblock) recordSize(b []byte) int {
	n := int(le.Uint16(b[4:]))
	if s.blockBits < 16 {
		return n
	}
	if n == 0 || n == 0xFFFF {
		return 1 << 16
	}
	return n&^3 | n&3<<16
}

// dirents decodes entries that fill b:
//
//	0  4  inode, 0 if not in use, 4  2  length of the entry
//	6  1  length of the name, 7  1  type of file, 8  name
//
// Without the filetype feature the length of the name has two bytes, of which
// only the first is used. A name has no NUL, unless it is ciphertext: the kernel
// lists no directory with one.
func (s *superblock) dirents(b []byte, cipher bool, visit func(dirent)) reason {
	for len(b) > 0 {
		if len(b) < direntSize {
			return reasonEntrySize
		}
		size := s.recordSize(b)
		if size < minDirent || size&3 != 0 || size > len(b) {
			return reasonEntrySize
		}
		d := dirent{Inode: le.Uint32(b), Kind: b[7]}
		if !s.has(incompatFiletype) {
			d.Kind = 0
		}
		name := int(b[6])
		if direntSize+name > size {
			return reasonEntryName
		}
		d.Name = b[direntSize : direntSize+name]
		b = b[size:]
		if d.Inode == 0 {
			continue
		}
		if d.Inode > s.inodes {
			return reasonEntryInode
		}
		if name == 0 || !cipher && bytes.IndexByte(d.Name, 0) >= 0 {
			return reasonEntryName
		}
		if name > 1 || d.Name[0] != '.' {
			visit(d)
		}
	}
	return sound
}

// inlineDir decodes a directory whose entries are in the inode: behind the
// number of its parent, and in the extended attribute that continues it.
func (s *superblock) inlineDir(i inode, visit func(dirent)) reason {
	tail, why := s.inlineValue(i)
	if why != sound {
		return why
	}
	if i.size(s) != uint64(blockArea+len(tail)) {
		return reasonInline
	}
	visit(dirent{Inode: le.Uint32(i.area()), Name: []byte("..")})
	if why := s.dirents(i.area()[inlineParent:], i.has(flagEncrypted), visit); why != sound {
		return why
	}
	return s.dirents(tail, i.has(flagEncrypted), visit)
}

// maxDirSize is the size of the largest directory that is read, in bytes: the
// capacity of a hashed tree of two levels in blocks of 4 KiB.
const maxDirSize = 1 << 30

// dirRead is how much of a directory is read at a time, in bytes.
const dirRead = 256 << 10

// eachDirent calls visit for each entry of a directory except ".". An error means that
// part of it could not be read; the rest is visited.
func (f *FS) eachDirent(i inode, visit func(dirent)) error {
	if i.has(flagInline) {
		if why := f.super.inlineDir(i, visit); why != sound {
			return damaged(i.number, why)
		}
		return nil
	}
	if size := i.size(&f.super); size > maxDirSize {
		return unsupported("directory, inode %d, of %d bytes, more than %d", i.number, size, maxDirSize)
	}
	format := f.super.dirFormat(i)
	bits := f.super.blockBits
	var buf []byte
	var lost error
	err := f.dirRuns(i, func(r run) error {
		for r.count > 0 {
			n := min(r.count, dirRead>>bits)
			if uint64(len(buf)) < n<<bits {
				buf = make([]byte, n<<bits)
			}
			b := buf[:n<<bits]
			if err := f.disk.readAt(b, int64(r.physical<<bits)); err != nil {
				return wrapInode(i.number, err)
			}
			for k := range n {
				why := f.super.dirBlock(format, b[k<<bits:(k+1)<<bits], r.logical+k == 0, visit)
				if why != sound && lost == nil {
					lost = damaged(i.number, why)
				}
			}
			r = r.from(r.logical + n)
		}
		return nil
	})
	if err == nil || lost != nil && recoverable(err) {
		err = lost
	}
	return err
}

// dirRuns calls visit for each stretch of blocks of a directory whose entries
// are in blocks. The error is that of visit, which ends it, or says that some
// of the blocks are missing.
func (f *FS) dirRuns(i inode, visit func(run) error) error {
	size, bits := i.size(&f.super), f.super.blockBits
	var lost error
	if size == 0 || size&(1<<bits-1) != 0 {
		lost = damaged(i.number, reasonSize)
	}
	blocks := newBlockMap(f.disk, &f.super, i)
	end := (size + 1<<bits - 1) >> bits
	for at := uint64(0); at < end; {
		r, err := blocks.find(at)
		if err != nil {
			return err
		}
		r.count = min(r.count, end-at)
		if !r.data() {
			if lost == nil {
				lost = damaged(i.number, reasonHole)
			}
		} else if err := visit(r); err != nil {
			return err
		}
		at += r.count
	}
	return lost
}
