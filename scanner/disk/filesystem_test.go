package disk

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// extSuperblock makes a superblock of a filesystem with blocks of 1 KiB and an
// incompatible feature.
func extSuperblock(blocks, incompat uint32) []byte {
	b := make([]byte, 1024)
	binary.LittleEndian.PutUint32(b[0:], 16)
	binary.LittleEndian.PutUint32(b[4:], blocks)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint32(b[32:], 8192)
	binary.LittleEndian.PutUint16(b[56:], 0xef53)
	binary.LittleEndian.PutUint32(b[96:], incompat)
	return b
}

// put returns a head with pieces at offsets.
func put(pieces ...any) []byte {
	b := make([]byte, HeadSize)
	for i := 0; i < len(pieces); i += 2 {
		switch p := pieces[i+1].(type) {
		case string:
			copy(b[pieces[i].(int):], p)
		case []byte:
			copy(b[pieces[i].(int):], p)
		}
	}
	return b
}

const fatBoot = "\xeb\x3c\x90mkfs.fat\x00\x02\x04\x01\x00\x02\x00\x02\x00\x50\xf8\x14\x00"

func TestDetect(t *testing.T) {
	ext := func(compat, incompat, roCompat uint32) []byte {
		s := extSuperblock(100, incompat)
		binary.LittleEndian.PutUint32(s[92:], compat)
		binary.LittleEndian.PutUint32(s[100:], roCompat)
		return s
	}
	for _, tt := range []struct {
		name   string
		head   []byte
		want   Filesystem
		detail string
		needs  int64
	}{
		{"nothing", put(), Unknown, "", 0},
		{"NTFS", put(0, ntfsBoot(1000)), NTFS, "", 512000},
		{"NTFS with a size that is none", put(0, ntfsBoot(1<<63)), NTFS, "", 0},
		{"exFAT", put(3, "EXFAT   ", 72, "\x00\x10", 108, "\x0c"), ExFAT, "", 4096 * 4096},
		{"ReFS", put(3, "ReFS\x00\x00\x00\x00", 24, "\x08", 32, "\x00\x02", 40, "\x03\x04"), ReFS, "version 3.4", 4096},
		{"FAT16", put(0, fatBoot, 54, "FAT16   "), FAT, "FAT16", 0x5000 * 512},
		{"FAT without its name", put(0, fatBoot), FAT, "", 0x5000 * 512},
		{"not quite FAT: no jump", put(0, "\x00"+fatBoot[1:]), Unknown, "", 0},
		{"not quite FAT: clusters of 3 sectors", put(0, strings.Replace(fatBoot, "\x02\x04\x01", "\x02\x03\x01", 1)), Unknown,
			"", 0},
		{"BitLocker", put(0, "\xeb\x58\x90-FVE-FS-", 510, "\x55\xaa"), BitLocker, "", 0},
		{"BitLocker To Go", put(0, fatBoot, 3, "MSWIN4.1", 424, bitlockerGUID), BitLocker, "BitLocker To Go", 0},
		{"BitLocker To Go, used space only", put(0, fatBoot, 3, "MSWIN4.1", 424, bitlockerGUIDUsed), BitLocker,
			"BitLocker To Go", 0},
		{"LUKS1", put(0, "LUKS\xba\xbe\x00\x01", 168, "a-b"), LUKS, "LUKS1, UUID a-b", 0},
		{"LUKS2", put(0, "LUKS\xba\xbe\x00\x02", 168, "a-b"), LUKS, "LUKS2, UUID a-b", 0},
		{"LUKS2 by its second header", put(0x4000, "SKUL\xba\xbe\x00\x02", 0x4000+168, "a-b"), LUKS,
			"LUKS2, UUID a-b; first header damaged", 0},
		{"XFS", put(0, "XFSB\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x64"), XFS, "", 409600},
		{"Btrfs", put(0x10040, "_BHRfS_M", 0x100d1, "\x00\x00\x01"), Btrfs, "", 65536},
		{"ext2", put(1024, ext(0, 2, 1)), Ext2, "", 102400},
		{"ext3", put(1024, ext(4, 2, 1)), Ext3, "", 102400},
		{"ext3 to recover", put(1024, ext(4, 6, 3)), Ext3, "", 102400},
		{"ext4 by extents", put(1024, ext(4, 0x42, 1)), Ext4, "", 102400},
		{"ext4 by huge_file", put(1024, ext(4, 2, 8)), Ext4, "", 102400},
		{"ext4 of 64 bits", put(1024, ext(4, 0xc2, 1), 1024+0x150, "\x01"), Ext4, "", (1<<32 + 100) * 1024},
		{"external journal", put(1024, ext(0, 8, 0)), Unknown, "external journal of ext3 or ext4", 0},
		{"not quite ext: blocks of 128 KiB", put(1024, ext(0, 2, 1), 1024+24, "\x07"), Unknown, "", 0},
		{"swap, pages of 4 KiB", put(4086, "SWAPSPACE2"), Swap, "", 0},
		{"swap, pages of 64 KiB", put(65526, "SWAPSPACE2"), Swap, "", 0},
		{"swap with a hibernated system", put(4086, "S1SUSPEND\x00"), Swap, "holds a hibernated system", 0},
		{"LVM2", put(512, "LABELONE\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00LVM2 "+
			"001abcdefghijklmnopqrstuvwxyz012345"), LVM2, "physical volume abcdef-ghij-klmn-opqr-stuv-wxyz-012345", 0},
		{"LVM2 with its label in the last place", put(3*512, "LABELONE", 3*512+24, "LVM2 001"), LVM2, "", 0},
		{"APFS", put(32, "NXSB"), Unknown, "APFS", 0},
		{"ext4 left under NTFS", put(0, ntfsBoot(1000), 1024, ext(4, 0x42, 1)), NTFS, "also bears the signature of ext4",
			512000},
		{"LUKS over ext4", put(0, "LUKS\xba\xbe\x00\x01", 1024, ext(4, 0x42, 1)), LUKS,
			"LUKS1, UUID ; also bears the signature of ext4", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := detect(tt.head)
			if s.fs != tt.want || s.detail != tt.detail || s.needs != tt.needs {
				t.Errorf("%q, %q, %d; want %q, %q, %d", s.fs, s.detail, s.needs, tt.want, tt.detail, tt.needs)
			}
			// Shorter volumes hold less of it and must not be read beyond.
			for n := 0; n <= 8192; n += 7 {
				detect(bytes.Clone(tt.head[:n]))
			}
		})
	}
}

func TestEncrypted(t *testing.T) {
	for fs, want := range map[Filesystem]bool{LUKS: true, BitLocker: true, NTFS: false, LVM2: false, Unknown: false} {
		if fs.Encrypted() != want {
			t.Errorf("%q: %v", fs, !want)
		}
	}
}
