package ext4

import (
	"fmt"
	"math/bits"
)

// Features that change how the volume is read (super.rst, Feature flags).
const (
	compatJournal      = 0x4
	compatResizeInode  = 0x10
	compatSparseSuper2 = 0x200
	compatOrphanFile   = 0x1000

	incompatFiletype   = 0x2
	incompatRecover    = 0x4
	incompatJournalDev = 0x8
	incompatMetaBG     = 0x10
	incompatExtents    = 0x40
	incompat64Bit      = 0x80
	incompatMMP        = 0x100
	incompatFlexBG     = 0x200
	incompatEAInode    = 0x400
	incompatCsumSeed   = 0x2000
	incompatLargeDir   = 0x4000
	incompatInlineData = 0x8000
	incompatEncrypt    = 0x10000
	incompatCasefold   = 0x20000

	incompatKnown = incompatFiletype | incompatRecover | incompatMetaBG | incompatExtents | incompat64Bit |
		incompatMMP | incompatFlexBG | incompatEAInode | incompatCsumSeed | incompatLargeDir |
		incompatInlineData | incompatEncrypt | incompatCasefold

	roCompatSparseSuper  = 0x1
	roCompatHugeFile     = 0x8
	roCompatGDTCsum      = 0x10
	roCompatBigalloc     = 0x200
	roCompatMetadataCsum = 0x400

	// The read-only compatible features that a kernel can write; it leaves
	// orphans alone on a volume with others. Snapshots (0x80), replica
	// (0x800), read-only (0x1000) and shared_blocks (0x4000) are not among
	// them.
	roCompatWritable = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x8000 | 0x10000
)

// Features that only the later of ext2, ext3 and ext4 have.
const (
	incompatExt4 = incompatExtents | incompat64Bit | incompatMMP | incompatFlexBG | incompatEAInode |
		incompatCsumSeed | incompatLargeDir | incompatInlineData | incompatEncrypt | incompatCasefold
	roCompatExt4 = roCompatHugeFile | roCompatGDTCsum | 0x20 | 0x40 | roCompatBigalloc |
		roCompatMetadataCsum | 0x2000 | 0x8000
)

// The names that e2fsprogs has for the features.
var (
	compatNames = map[uint32]string{
		0x1: "dir_prealloc", 0x2: "imagic_inodes", 0x4: "has_journal", 0x8: "ext_attr", 0x10: "resize_inode",
		0x20: "dir_index", 0x40: "lazy_bg", 0x80: "exclude_inode", 0x100: "snapshot_bitmap", 0x200: "sparse_super2",
		0x400: "fast_commit", 0x800: "stable_inodes", 0x1000: "orphan_file",
	}
	incompatNames = map[uint32]string{
		0x1: "compression", 0x2: "filetype", 0x4: "needs_recovery", 0x8: "journal_dev", 0x10: "meta_bg",
		0x40: "extent", 0x80: "64bit", 0x100: "mmp", 0x200: "flex_bg", 0x400: "ea_inode", 0x1000: "dirdata",
		0x2000: "metadata_csum_seed", 0x4000: "large_dir", 0x8000: "inline_data", 0x10000: "encrypt",
		0x20000: "casefold",
	}
	roCompatNames = map[uint32]string{
		0x1: "sparse_super", 0x2: "large_file", 0x8: "huge_file", 0x10: "uninit_bg", 0x20: "dir_nlink",
		0x40: "extra_isize", 0x80: "snapshot", 0x100: "quota", 0x200: "bigalloc", 0x400: "metadata_csum",
		0x800: "replica", 0x1000: "read-only", 0x2000: "project", 0x4000: "shared_blocks", 0x8000: "verity",
		0x10000: "orphan_present",
	}
)

// featureNames lists the features of a set; one without a name is its kind and
// the number of its bit, as e2fsprogs has it.
func featureNames(set uint32, names map[uint32]string, kind string) (list []string) {
	for ; set != 0; set &= set - 1 {
		bit := uint32(1) << bits.TrailingZeros32(set)
		name := names[bit]
		if name == "" {
			name = fmt.Sprintf("FEATURE_%s%d", kind, bits.TrailingZeros32(bit))
		}
		list = append(list, name)
	}
	return list
}

func (s *superblock) features() []string {
	list := featureNames(s.compat, compatNames, "C")
	list = append(list, featureNames(s.incompat, incompatNames, "I")...)
	return append(list, featureNames(s.roCompat, roCompatNames, "R")...)
}
