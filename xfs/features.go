package xfs

import (
	"fmt"
	"math/bits"
)

// Features that change how the volume is read ("XFS Algorithms & Data
// Structures", Superblocks).
const (
	flagDirV2    = 0x2000
	flagFoldCase = 0x4000
	flagMoreBits = 0x8000

	features2LazyCount = 0x2
	features2Parent    = 0x10
	features2Ftype     = 0x200

	roCompatFinobt      = 0x1
	roCompatRmapbt      = 0x2
	roCompatReflink     = 0x4
	roCompatInobtCounts = 0x8

	incompatFtype       = 0x1
	incompatSparse      = 0x2
	incompatMetaUUID    = 0x4
	incompatBigtime     = 0x8
	incompatNeedsRepair = 0x10
	incompatNREXT64     = 0x20
	incompatExchange    = 0x40
	incompatParent      = 0x80

	// Exchanged ranges and parent pointers change only the log and the attributes.
	incompatKnown = incompatFtype | incompatSparse | incompatMetaUUID | incompatBigtime | incompatNREXT64 |
		incompatExchange | incompatParent

	logIncompatXattrs = 0x1
)

// The names that xfsprogs has for the features.
var (
	flagNames = map[uint32]string{
		0x10: "attr", 0x20: "nlink", 0x40: "quota", 0x80: "align", 0x100: "dalign", 0x200: "shared",
		0x400: "logv2", 0x800: "sector", 0x1000: "extflg", 0x2000: "dirv2", 0x4000: "ascii-ci",
	}
	features2Names = map[uint32]string{
		0x2: "lazysbcount", 0x8: "attr2", 0x10: "parent", 0x80: "projid32bit", 0x100: "crc", 0x200: "ftype",
	}
	roCompatNames = map[uint32]string{0x1: "finobt", 0x2: "rmapbt", 0x4: "reflink", 0x8: "inobtcount"}
	incompatNames = map[uint32]string{
		0x1: "ftype", 0x2: "sparse", 0x4: "metauuid", 0x8: "bigtime", 0x10: "needsrepair", 0x20: "nrext64",
		0x40: "exchange", 0x80: "parent", 0x100: "metadir", 0x200: "zoned", 0x400: "zone_gaps",
	}
	logIncompatNames = map[uint32]string{0x1: "log_xattrs"}
)

// featureNames lists the features of a set; one without a name is its kind and
// its bit.
func featureNames(set uint32, names map[uint32]string, kind string) (list []string) {
	for ; set != 0; set &= set - 1 {
		bit := uint32(1) << bits.TrailingZeros32(set)
		name := names[bit]
		if name == "" {
			name = fmt.Sprintf("%s 0x%X", kind, bit)
		}
		list = append(list, name)
	}
	return list
}

func (s *superblock) featureList() []string {
	list := featureNames(uint32(s.flags&^flagMoreBits), flagNames, "feature")
	list = append(list, featureNames(s.features2, features2Names, "second feature")...)
	list = append(list, featureNames(s.compat, nil, "compatible feature")...)
	list = append(list, featureNames(s.roCompat, roCompatNames, "read-only compatible feature")...)
	list = append(list, featureNames(s.incompat, incompatNames, "incompatible feature")...)
	return append(list, featureNames(s.logIncompat, logIncompatNames, "log feature")...)
}

// checkFeatures rejects unsupported features.
func (s *superblock) checkFeatures() error {
	if s.incompat&incompatNeedsRepair != 0 {
		return corrupt("the filesystem is marked as needing repair (needsrepair)")
	}
	if unknown := s.incompat &^ incompatKnown; unknown != 0 {
		return unsupported("incompatible features %q", featureNames(unknown, incompatNames, "incompatible feature"))
	}
	if s.flags&flagDirV2 == 0 {
		return unsupported("directories of version 1")
	}
	if s.version == 4 && s.features2&features2Parent != 0 {
		return unsupported("parent pointers of version 4")
	}
	return nil
}
