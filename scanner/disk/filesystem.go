package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"
)

// Filesystem is the content of a volume, by its signature.
type Filesystem string

// The known filesystems, and other known content of volumes.
const (
	Unknown   Filesystem = ""
	NTFS      Filesystem = "ntfs"
	Ext2      Filesystem = "ext2"
	Ext3      Filesystem = "ext3"
	Ext4      Filesystem = "ext4"
	XFS       Filesystem = "xfs"
	Btrfs     Filesystem = "btrfs"
	FAT       Filesystem = "fat"
	ExFAT     Filesystem = "exfat"
	ReFS      Filesystem = "refs"
	Swap      Filesystem = "swap"
	LVM2      Filesystem = "lvm2" // a physical volume
	LUKS      Filesystem = "luks"
	BitLocker Filesystem = "bitlocker"
)

// Encrypted reports whether the content can be read with a key only.
func (f Filesystem) Encrypted() bool { return f == LUKS || f == BitLocker }

// HeadSize is the number of bytes of a disk or volume that are read to detect its
// type. The signature farthest from the start is that of Btrfs, in a block at 64
// KiB.
const HeadSize = 68 << 10

// signature is the result of detection at the start of a volume.
type signature struct {
	fs     Filesystem
	detail string
	// needs is the size in bytes that the filesystem says it has, 0 if it says
	// nothing believable.
	needs int64
	// boot: the signature is in the first bytes of the first sector, which is
	// therefore not a partition table.
	boot bool
}

func (s signature) found() bool { return s.fs != Unknown || s.detail != "" }

// detectors run in order, and the first match decides: encryption comes first,
// since signatures of an older filesystem may remain, and FAT, which has the
// weakest signature, last.
var detectors = []func(head []byte) (signature, bool){
	detectBitLocker, detectLUKS, detectBootSector, detectXFS, detectLVM2,
	detectBtrfs, detectExt, detectSwap, detectFAT, detectOther,
}

// detect returns the content of the volume that begins with head. A head
// shorter than HeadSize is a complete volume.
func detect(head []byte) signature {
	var first signature
	for _, d := range detectors {
		s, ok := d(head)
		switch {
		case !ok:
		case !first.found():
			first = s
		case s.fs == Unknown, first.detail == bitlockerToGo: // which looks like FAT on purpose
		default:
			first.detail = join(first.detail, "also bears the signature of "+string(s.fs))
		}
	}
	return first
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// at returns n bytes of b from off, zeros where b ends before.
func at(b []byte, off, n int) []byte {
	if off+n <= len(b) {
		return b[off : off+n]
	}
	z := make([]byte, n)
	if off < len(b) {
		copy(z, b[off:])
	}
	return z
}

func has(b []byte, off int, magic string) bool {
	return bytes.Equal(at(b, off, len(magic)), []byte(magic))
}

func le16(b []byte, off int) int64  { return int64(binary.LittleEndian.Uint16(at(b, off, 2))) }
func le32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(at(b, off, 4)) }
func le64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(at(b, off, 8)) }

// product returns a*b, or 0 if that is no size of a volume.
func product(a, b uint64) int64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 || lo > 1<<62 {
		return 0
	}
	return int64(lo)
}

// BitLocker replaces the name of the filesystem in the boot sector; on
// removable volumes ("To Go") it shows a FAT boot sector with a GUID of its
// own (libyal/libbde, "Volume header").
const (
	bitlockerToGo = "BitLocker To Go"
	// 4967D63B-2E29-4AD8-8399-F6A339E3D001
	bitlockerGUID = "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01"
	// 92A84D3B-DD80-4D0E-9E4E-B1E3284EAED8: used space only
	bitlockerGUIDUsed = "\x3b\x4d\xa8\x92\x80\xdd\x0e\x4d\x9e\x4e\xb1\xe3\x28\x4e\xae\xd8"
)

func detectBitLocker(head []byte) (signature, bool) {
	s := signature{fs: BitLocker, boot: true}
	switch {
	case has(head, 3, "-FVE-FS-"):
		return s, true
	case has(head, 424, bitlockerGUID), has(head, 424, bitlockerGUIDUsed):
		s.detail = bitlockerToGo
		return s, true
	}
	return s, false
}

// detectLUKS knows both versions ("LUKS On-Disk Format Specification" 1.2.3
// section 2.1, "LUKS2 On-Disk Format Specification" section 2.1), and version
// 2 also by its second header, whose place depends on the size of the first.
func detectLUKS(head []byte) (signature, bool) {
	if has(head, 0, "LUKS\xba\xbe") {
		version := binary.BigEndian.Uint16(at(head, 6, 2))
		detail := fmt.Sprintf("LUKS%d, UUID %s", version, cString(at(head, 168, 40)))
		return signature{fs: LUKS, detail: detail, boot: true}, true
	}
	for _, off := range []int{0x4000, 0x8000, 0x10000} {
		if has(head, off, "SKUL\xba\xbe") {
			detail := fmt.Sprintf("LUKS2, UUID %s; first header damaged", cString(at(head, off+168, 40)))
			return signature{fs: LUKS, detail: detail}, true
		}
	}
	return signature{}, false
}

// cString returns the printable ASCII text before the first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b))
}

// detectBootSector knows the filesystems of Windows that name themselves at
// byte 3 of the boot sector.
func detectBootSector(head []byte) (signature, bool) {
	s := signature{boot: true}
	switch {
	case has(head, 3, "NTFS    "):
		s.fs = NTFS
		s.needs = ntfsSize(head)
	case has(head, 3, "EXFAT   "):
		s.fs = ExFAT
		if shift := at(head, 108, 1)[0]; shift >= 9 && shift <= 12 {
			s.needs = product(le64(head, 72), 1<<shift)
		}
	case has(head, 3, "ReFS\x00\x00\x00\x00"):
		s.fs = ReFS
		s.detail = fmt.Sprintf("version %d.%d", at(head, 40, 1)[0], at(head, 41, 1)[0])
		s.needs = product(le64(head, 24), uint64(le32(head, 32)))
	}
	return s, s.fs != Unknown
}

// ntfsSize returns the size that an NTFS boot sector gives: bytes in a sector
// at 0x0B, sectors at 0x28. A copy of the boot sector follows them.
func ntfsSize(boot []byte) int64 {
	bps := le16(boot, 11)
	if bps < 256 || bps > 4096 || bps&(bps-1) != 0 {
		return 0
	}
	return product(le64(boot, 0x28), uint64(bps))
}

func detectXFS(head []byte) (signature, bool) {
	if !has(head, 0, "XFSB") {
		return signature{}, false
	}
	s := signature{fs: XFS, boot: true}
	blocksize := binary.BigEndian.Uint32(at(head, 4, 4))
	if blocksize >= 512 && blocksize <= 65536 && blocksize&(blocksize-1) == 0 {
		s.needs = product(binary.BigEndian.Uint64(at(head, 8, 8)), uint64(blocksize))
	}
	return s, true
}

// detectLVM2 looks for the label of a physical volume, which is in one of the
// first four sectors; its offset to the header, with the UUID first, is at byte
// 20 (LVM2, lib/format_text/layout.h and lib/label/label.h).
func detectLVM2(head []byte) (signature, bool) {
	for sector := range 4 {
		label := at(head, sector*512, 512)
		if !has(label, 0, "LABELONE") || !has(label, 24, "LVM2 001") {
			continue
		}
		s := signature{fs: LVM2}
		if off := le32(label, 20); off >= 32 && off <= 512-32 {
			u := cString(at(label, int(off), 32))
			if len(u) == 32 {
				parts := []string{u[:6], u[6:10], u[10:14], u[14:18], u[18:22], u[22:26], u[26:]}
				s.detail = "physical volume " + strings.Join(parts, "-")
			}
		}
		return s, true
	}
	return signature{}, false
}

func detectBtrfs(head []byte) (signature, bool) {
	const super = 64 << 10
	if !has(head, super+0x40, "_BHRfS_M") {
		return signature{}, false
	}
	s := signature{fs: Btrfs}
	// With one device the filesystem is as large as that; the device's own
	// size is at 0xC9+8.
	if n := le64(head, super+0xc9+8); n <= 1<<62 {
		s.needs = int64(n)
	}
	return s, true
}

// Features that only the later of ext2, ext3 and ext4 have (Linux,
// Documentation/filesystems/ext4/super.rst).
const (
	extCompatHasJournal          = 0x4
	extIncompatJournalDev        = 0x8
	ext3Incompat                 = 0x2 | 0x4 | 0x10 // filetype, recover, meta_bg
	ext3ROCompat                 = 0x1 | 0x2 | 0x4  // sparse_super, large_file, btree_dir
	extMaxLogBlockSize           = 6                // blocks of 64 KiB
	extSuper                     = 1024
	extIncompat64bit      uint32 = 0x80
)

func detectExt(head []byte) (signature, bool) {
	super := at(head, extSuper, 1024)
	// Two bytes of magic are weak, but sufficient with a valid block size. The
	// filesystem's reader checks the rest.
	logBlock := le32(super, 24)
	compat, incompat, roCompat := le32(super, 92), le32(super, 96), le32(super, 100)
	if le16(super, 56) != 0xef53 || logBlock > extMaxLogBlockSize {
		return signature{}, false
	}
	if incompat&extIncompatJournalDev != 0 {
		return signature{detail: "external journal of ext3 or ext4"}, true
	}
	s := signature{fs: Ext2}
	switch {
	case incompat&^ext3Incompat != 0, roCompat&^ext3ROCompat != 0:
		s.fs = Ext4
	case compat&extCompatHasJournal != 0:
		s.fs = Ext3
	}
	blocks := uint64(le32(super, 4))
	if incompat&extIncompat64bit != 0 {
		blocks |= uint64(le32(super, 0x150)) << 32
	}
	s.needs = product(blocks, 1024<<logBlock)
	return s, true
}

// swapMagics end the first page of a swap area; those of a hibernated system
// take the place of the first.
var swapMagics = []struct{ magic, detail string }{
	{"SWAPSPACE2", ""},
	{"SWAP-SPACE", "version 0"},
	{"S1SUSPEND\x00", "holds a hibernated system"},
	{"S2SUSPEND\x00", "holds a hibernated system"},
	{"ULSUSPEND\x00", "holds a hibernated system"},
	{"LINHIB0001", "holds a hibernated system"},
}

// detectSwap looks at the end of the first page, whose size is that of the
// machine that made it.
func detectSwap(head []byte) (signature, bool) {
	for page := 4 << 10; page <= 64<<10; page *= 2 {
		for _, m := range swapMagics {
			if has(head, page-10, m.magic) {
				return signature{fs: Swap, detail: m.detail}, true
			}
		}
	}
	return signature{}, false
}

// detectFAT checks every field of the BIOS parameter block, since a FAT boot
// sector has no signature ([MS] "FAT: General Overview of On-Disk Format" 1.03,
// "Boot Sector and BPB").
func detectFAT(head []byte) (signature, bool) {
	b := at(head, 0, 512)
	bps, spc, fats, media := le16(b, 11), b[13], b[16], b[21]
	ok := (b[0] == 0xeb || b[0] == 0xe9) &&
		(bps == 512 || bps == 1024 || bps == 2048 || bps == 4096) &&
		spc != 0 && spc&(spc-1) == 0 &&
		le16(b, 14) != 0 && (fats == 1 || fats == 2) && (media >= 0xf8 || media == 0xf0)
	sectors := uint64(le16(b, 19))
	if sectors == 0 {
		sectors = uint64(le32(b, 32))
	}
	fatSectors := uint64(le16(b, 22))
	if fatSectors == 0 {
		fatSectors = uint64(le32(b, 36))
	}
	if !ok || sectors == 0 || fatSectors == 0 || fatSectors >= sectors {
		return signature{}, false
	}
	s := signature{fs: FAT, boot: true, needs: product(sectors, uint64(bps))}
	for _, off := range []int{54, 82} {
		if has(b, off, "FAT") {
			s.detail = strings.TrimSpace(cString(b[off : off+8]))
		}
	}
	return s, true
}

// detectOther names known content of disks that is not read.
func detectOther(head []byte) (signature, bool) {
	for _, o := range []struct {
		detail string
		offset int
		magic  string
		boot   bool
	}{
		{"APFS", 32, "NXSB", false},
		{"HFS+", 1024, "H+\x00\x04", false},
		{"HFSX", 1024, "HX\x00\x05", false},
		{"Linux RAID member", 0, "\xfc\x4e\x2b\xa9", true},
		{"Linux RAID member", 4096, "\xfc\x4e\x2b\xa9", false},
		{"SquashFS", 0, "hsqs", true},
		{"F2FS", 1024, "\x10\x20\xf5\xf2", false},
	} {
		if has(head, o.offset, o.magic) {
			return signature{detail: o.detail, boot: o.boot}, true
		}
	}
	return signature{}, false
}

// detectBackup looks for NTFS where its first boot sector is destroyed: a copy
// of it is the last sector of the volume.
func detectBackup(r io.ReaderAt, end int64, sectorSize int) (signature, error) {
	last := make([]byte, sectorSize)
	if end < int64(sectorSize) {
		return signature{}, nil
	}
	if _, err := r.ReadAt(last, end-int64(sectorSize)); err != nil {
		return signature{}, err
	}
	if !has(last, 3, "NTFS    ") || !has(last, 510, "\x55\xaa") || ntfsSize(last) == 0 {
		return signature{}, nil
	}
	const detail = "boot sector destroyed, its copy at the end of the volume is left"
	return signature{fs: NTFS, detail: detail, needs: ntfsSize(last)}, nil
}
