package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/coldcheck/coldcheck/internal/unixfs"
)

var le = binary.LittleEndian

const (
	superblockOffset = 1024 // in bytes, whatever the block size
	superblockSize   = 1024

	minBlockBits = 10 // blocks of 1 KiB
	maxBlockBits = 16 // blocks of 64 KiB, the largest of any kernel

	maxClusterBits = 30 // clusters of 1 GiB, the largest the kernel takes

	oldInodeSize = 128 // of revision 0, and the fixed part of all
	creatorLinux = 0
)

// maxGroups is the most groups of blocks whose descriptors are held in memory
// (48 bytes each): 128 TiB in blocks of 4 KiB.
const maxGroups = 1 << 20

// groupCost is the memory for a group, in bytes: its descriptor and, when the
// free space is counted, the locations of its metadata.
const groupCost = 48 + 64

// superblock holds the fields that the package needs.
type superblock struct {
	inodes         uint32
	blocks         uint64
	reserved       uint64 // blocks for root
	firstBlock     uint32
	blockBits      uint8
	clusterRatio   uint8 // blocks in a cluster, as a power of two
	blocksPerGroup uint32
	inodesPerGroup uint32
	groups         uint32
	inodeSize      int
	firstInode     uint32 // that is not reserved
	descSize       int
	group          uint16 // that this copy says it is in

	compat, incompat, roCompat uint32

	uuid        [16]byte
	label       string
	lastMounted string
	created     time.Time
	mounted     time.Time
	written     time.Time
	state       uint16
	errorCount  uint32
	creator     uint32
	checksums   bool   // structures have checksums
	seed        uint32 // of these

	journalUUID    [16]byte
	journalInode   uint32
	journalCopy    []byte // copy of the block map and size in the journal's inode; nil if there is none
	journalDevice  uint32
	lastOrphan     uint32
	orphanFile     uint32
	reservedGDT    uint16 // blocks for descriptors to come, behind each copy of the superblock
	firstMetaGroup uint32
	backupGroups   [2]uint32
	overhead       uint32 // clusters; 0 if it was not computed
	encoding       uint16 // of names in directories that ignore case
	encodingFlags  uint16
}

func (s *superblock) blockSize() int           { return 1 << s.blockBits }
func (s *superblock) has(incompat uint32) bool { return s.incompat&incompat != 0 }

// superblockBlock is the block that holds the first superblock.
func (s *superblock) superblockBlock() uint64 { return superblockOffset >> s.blockBits }

// groupStart is the first block of a group.
func (s *superblock) groupStart(group uint32) uint64 {
	return uint64(s.firstBlock) + uint64(group)*uint64(s.blocksPerGroup)
}

// valid reports whether blocks are where a file's blocks can be.
func (s *superblock) valid(first uint64, count uint64) bool {
	return first > uint64(s.firstBlock) && first < s.blocks && count <= s.blocks-first
}

// parseSuperblock decodes a superblock:
//
//	0x000  4  inodes                  0x004  4  blocks, low
//	0x008  4  reserved blocks, low    0x014  4  first data block
//	0x018  4  block size, 1024<<n     0x01C  4  cluster size, 1024<<n
//	0x020  4  blocks per group        0x024  4  clusters per group
//	0x028  4  inodes per group        0x02C  4  last mount
//	0x030  4  last write              0x038  2  magic 0xEF53
//	0x03A  2  state                   0x048  4  creator's system
//	0x04C  4  revision                0x054  4  first inode not reserved
//	0x058  2  inode size              0x05A  2  group of this copy
//	0x05C  4  compatible features     0x060  4  incompatible
//	0x064  4  read-only compatible    0x068 16  UUID
//	0x078 16  label                   0x088 64  where last mounted
//	0x0D0 16  UUID of the journal     0x0E0  4  inode of the journal
//	0x0E4  4  device of the journal   0x0E8  4  first orphan
//	0x0FD  1  kind of copy of the journal's inode
//	0x0FE  2  descriptor size         0x104  4  first group of meta_bg
//	0x108  4  time of creation        0x10C 68  copy of the journal's inode
//	0x150  4  blocks, high
//	0x154  4  reserved blocks, high   0x175  1  checksum type
//	0x194  4  count of errors         0x248  4  overhead in clusters
//	0x24C  8  backups' groups         0x270  4  seed of checksums
//	0x274  3  high bytes of write, mount, creation
//	0x27C  2  encoding of names       0x27E  2  its flags
//	0x280  4  inode of the orphans    0x3FC  4  checksum
//
// (super.rst). Inconsistent fields are ErrCorrupt; an unknown feature is
// ErrUnsupported.
func parseSuperblock(b []byte) (superblock, error) {
	if len(b) != superblockSize || le.Uint16(b[0x38:]) != 0xEF53 {
		return superblock{}, corrupt("no superblock of ext2, ext3 or ext4")
	}
	s := superblock{
		inodes:         le.Uint32(b),
		blocks:         uint64(le.Uint32(b[4:])),
		reserved:       uint64(le.Uint32(b[8:])),
		firstBlock:     le.Uint32(b[0x14:]),
		blocksPerGroup: le.Uint32(b[0x20:]),
		inodesPerGroup: le.Uint32(b[0x28:]),
		inodeSize:      oldInodeSize,
		firstInode:     11,
		descSize:       minDescSize,
		group:          le.Uint16(b[0x5A:]),
		compat:         le.Uint32(b[0x5C:]),
		incompat:       le.Uint32(b[0x60:]),
		roCompat:       le.Uint32(b[0x64:]),
		uuid:           [16]byte(b[0x68:]),
		label:          cString(b[0x78:0x88]),
		lastMounted:    cString(b[0x88:0xC8]),
		created:        superblockTime(b, 0x108, 0x276),
		mounted:        superblockTime(b, 0x2C, 0x275),
		written:        superblockTime(b, 0x30, 0x274),
		state:          le.Uint16(b[0x3A:]),
		errorCount:     le.Uint32(b[0x194:]),
		creator:        le.Uint32(b[0x48:]),
		journalUUID:    [16]byte(b[0xD0:]),
		journalInode:   le.Uint32(b[0xE0:]),
		journalDevice:  le.Uint32(b[0xE4:]),
		lastOrphan:     le.Uint32(b[0xE8:]),
		reservedGDT:    le.Uint16(b[0xCE:]),
		firstMetaGroup: le.Uint32(b[0x104:]),
		backupGroups:   [2]uint32{le.Uint32(b[0x24C:]), le.Uint32(b[0x250:])},
		overhead:       le.Uint32(b[0x248:]),
		encoding:       le.Uint16(b[0x27C:]),
		encodingFlags:  le.Uint16(b[0x27E:]),
		orphanFile:     le.Uint32(b[0x280:]),
	}
	if s.roCompat&roCompatMetadataCsum != 0 {
		if kind := b[0x175]; kind != 1 {
			return superblock{}, corrupt("superblock: checksums of kind %d", kind)
		}
		if crc32c(^uint32(0), b[:0x3FC]) != le.Uint32(b[0x3FC:]) {
			return superblock{}, corrupt("the superblock fails its checksum")
		}
		s.checksums = true
	}
	if b[0xFD] == 1 {
		s.journalCopy = bytes.Clone(b[0x10C:0x150])
	}
	if s.has(incompatJournalDev) {
		return superblock{}, unsupported("an external journal (journal_dev) is not a filesystem")
	}
	if unknown := s.incompat &^ incompatKnown; unknown != 0 {
		return superblock{}, unsupported("%s %v",
			plural(len(featureNames(unknown, incompatNames, "I")), "feature", "features"),
			featureNames(unknown, incompatNames, "I"))
	}
	s.seed = crc32c(^uint32(0), s.uuid[:])
	if s.has(incompatCsumSeed) {
		s.seed = le.Uint32(b[0x270:])
	}
	if err := s.geometry(b); err != nil {
		return superblock{}, fmt.Errorf("superblock: %w", err)
	}
	return s, nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// geometry decodes the sizes and checks that they fit each other.
func (s *superblock) geometry(b []byte) error {
	logBlock, logCluster := le.Uint32(b[0x18:]), le.Uint32(b[0x1C:])
	if logBlock > maxBlockBits-minBlockBits {
		return corrupt("block size 1024<<%d", logBlock)
	}
	s.blockBits = uint8(minBlockBits + logBlock)
	bits := uint32(8 * s.blockSize()) // of a bitmap
	if s.roCompat&roCompatBigalloc != 0 {
		if logCluster < logBlock || logCluster > maxClusterBits-minBlockBits {
			return corrupt("cluster size 1024<<%d", logCluster)
		}
		s.clusterRatio = uint8(logCluster - logBlock)
		if clusters := le.Uint32(b[0x24:]); clusters > bits ||
			uint64(clusters)<<s.clusterRatio != uint64(s.blocksPerGroup) {
			return corrupt("%d blocks, but %d clusters in a group", s.blocksPerGroup, clusters)
		}
	}
	if s.blocksPerGroup == 0 || s.blocksPerGroup>>s.clusterRatio > bits {
		return corrupt("%d blocks in a group", s.blocksPerGroup)
	}
	if le.Uint32(b[0x4C:]) > 0 {
		s.inodeSize = int(le.Uint16(b[0x58:]))
		s.firstInode = le.Uint32(b[0x54:])
	}
	if s.inodeSize < oldInodeSize || s.inodeSize > s.blockSize() || s.inodeSize&(s.inodeSize-1) != 0 {
		return corrupt("inodes of %d bytes", s.inodeSize)
	}
	if s.firstInode < 11 {
		return corrupt("%d is not a first inode", s.firstInode)
	}
	if s.inodesPerGroup < uint32(s.blockSize()/s.inodeSize) || s.inodesPerGroup > bits {
		return corrupt("%d inodes in a group", s.inodesPerGroup)
	}
	if s.has(incompat64Bit) {
		s.blocks |= uint64(le.Uint32(b[0x150:])) << 32
		s.reserved |= uint64(le.Uint32(b[0x154:])) << 32
		s.descSize = int(le.Uint16(b[0xFE:]))
		if s.descSize < wideDescSize || s.descSize > s.blockSize() || s.descSize&(s.descSize-1) != 0 {
			return corrupt("group descriptors of %d bytes", s.descSize)
		}
	}
	if s.blocks > math.MaxInt64>>s.blockBits {
		return corrupt("%d blocks", s.blocks)
	}
	if uint64(s.firstBlock) >= s.blocks {
		return corrupt("block %d of %d is the first", s.firstBlock, s.blocks)
	}
	if s.firstBlock == 0 && s.blockBits+s.clusterRatio == minBlockBits {
		return corrupt("the first block of 1 KiB cannot be in use")
	}
	groups := (s.blocks - uint64(s.firstBlock) + uint64(s.blocksPerGroup) - 1) / uint64(s.blocksPerGroup)
	if uint64(s.inodes) != groups*uint64(s.inodesPerGroup) {
		return corrupt("%d inodes in %d groups of %d", s.inodes, groups, s.inodesPerGroup)
	}
	if groups > maxGroups {
		return unsupported("%d block groups, more than %d", groups, maxGroups)
	}
	s.groups = uint32(groups)
	return nil
}

func superblockTime(b []byte, low, high int) time.Time {
	t := int64(le.Uint32(b[low:])) | int64(b[high])<<32
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t, 0).UTC()
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// readSuperblock returns the superblock at its place.
func readSuperblock(r io.ReaderAt, size int64) (superblock, error) {
	return readSuperblockAt(r, size, superblockOffset)
}

func readSuperblockAt(r io.ReaderAt, size, at int64) (superblock, error) {
	if at > size-superblockSize {
		return superblock{}, corrupt("the image has %d bytes, too few for a superblock", size)
	}
	b := make([]byte, superblockSize)
	if err := unixfs.ReadFull(r, b, at); err != nil {
		return superblock{}, err
	}
	return parseSuperblock(b)
}

// superblock returns the superblock at its place, as the journal has it.
func (d *device) superblock() (superblock, error) {
	b := make([]byte, superblockSize)
	if err := d.readAt(b, superblockOffset); err != nil {
		return superblock{}, err
	}
	return parseSuperblock(b)
}

// backupGroups are the groups with the first copies of the superblock, with and
// without sparse_super.
var backupGroups = []uint64{1, 3, 5, 7, 9, 25, 27, 49}

// findBackup looks for a copy of the superblock where mke2fs puts them: in
// groups as large as one block of bitmap makes them.
func findBackup(r io.ReaderAt, size int64) (s superblock, at int64, err error) {
	for bits := minBlockBits; bits <= maxBlockBits; bits++ {
		for _, g := range backupGroups {
			first := uint64(superblockOffset >> bits)
			block := first + g*(8<<bits)
			at := int64(block << bits)
			if at > size-superblockSize {
				break
			}
			s, err := readSuperblockAt(r, size, at)
			if err != nil {
				if recoverable(err) {
					continue
				}
				return superblock{}, 0, err
			}
			if int(s.blockBits) == bits && uint64(s.group) == g && s.groupStart(uint32(g)) == block {
				return s, at, nil
			}
		}
	}
	return superblock{}, 0, corrupt("the copies of the superblock are unusable too")
}

// firstSuperblock returns the superblock, or a copy if it is damaged, with a
// note that says so.
func firstSuperblock(r io.ReaderAt, size int64) (superblock, string, error) {
	s, err := readSuperblock(r, size)
	if !errors.Is(err, ErrCorrupt) {
		return s, "", err
	}
	backup, at, berr := findBackup(r, size)
	if berr != nil {
		if recoverable(berr) {
			return superblock{}, "", err
		}
		return superblock{}, "", berr
	}
	return backup, fmt.Sprintf("the superblock is damaged (%v); its copy at byte %d was used", err, at), nil
}
