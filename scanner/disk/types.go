package disk

import "fmt"

// gptTypes names the partition types of a GPT that are met on the disks of
// Windows and Linux (UEFI 2.10 table 5.7; Microsoft, PARTITION_INFORMATION_GPT;
// the Discoverable Partitions Specification).
var gptTypes = map[string]string{
	gptEFI:                                 "EFI system",
	"024DEE41-33E7-11D3-9D69-0008C781F39F": "MBR partition scheme",
	"21686148-6449-6E6F-744E-656564454649": "BIOS boot",
	gptReserved:                            "Microsoft reserved",
	gptBasicData:                           "Microsoft basic data",
	gptLDMMetadata:                         "Windows dynamic disk (LDM) metadata",
	gptLDMData:                             "Windows dynamic disk (LDM) data",
	gptRecovery:                            "Windows recovery",
	gptStorageSpaces:                       "Windows Storage Spaces",
	"0FC63DAF-8483-4772-8E79-3D69D8477DE4": "Linux filesystem",
	"44479540-F297-41B2-9AF7-D131D5F0458A": "Linux root (x86)",
	"4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709": "Linux root (x86-64)",
	"B921B045-1DF0-41C3-AF44-4C6F280D3FAE": "Linux root (ARM64)",
	"933AC7E1-2EB4-4F13-B844-0E14E2AEF915": "Linux home",
	"3B8F8425-20E0-4F3B-907F-1A25A76F98E8": "Linux server data",
	"BC13C2FF-59E6-4262-A352-B275FD6F7172": "Linux extended boot",
	"0657FD6D-A4AB-43C4-84E5-0933C84B4F4F": "Linux swap",
	"E6D6D379-F507-44C2-A23C-238F2A3DF928": "Linux LVM",
	"A19D880F-05FC-4D3B-A006-743F0F84911E": "Linux RAID",
	"CA7D7CCB-63ED-4C53-861C-1742536059CC": "Linux LUKS",
	"7FFEC5C9-2D00-49B7-8941-3EA10A5586B7": "Linux dm-crypt",
	"8DA63339-0007-60C0-C436-083AC8230908": "Linux reserved",
	"48465300-0000-11AA-AA11-00306543ECAC": "Apple HFS+",
	"7C3457EF-0000-11AA-AA11-00306543ECAC": "Apple APFS",
}

// Types that matter beyond their names.
const (
	gptEFI           = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	gptReserved      = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"
	gptBasicData     = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
	gptRecovery      = "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"
	gptLDMMetadata   = "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3"
	gptLDMData       = "AF9B60A0-1431-4F62-BC68-3311714A69AD"
	gptStorageSpaces = "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D"
)

// mbrTypes names partition types of an MBR (Microsoft, PARTITION_INFORMATION;
// Andries Brouwer's "List of partition identifiers for PCs").
var mbrTypes = map[byte]string{
	0x01:        "FAT12",
	0x04:        "FAT16 below 32 MiB",
	mbrExtended: "extended",
	0x06:        "FAT16",
	mbrNTFS:     "NTFS, exFAT or HPFS",
	0x0b:        "FAT32",
	0x0c:        "FAT32 (LBA)",
	0x0e:        "FAT16 (LBA)",

	mbrExtendedLBA:   "extended (LBA)",
	0x11:             "hidden FAT12",
	0x14:             "hidden FAT16 below 32 MiB",
	0x16:             "hidden FAT16",
	mbrHiddenNTFS:    "hidden NTFS, exFAT or HPFS",
	0x1b:             "hidden FAT32",
	0x1c:             "hidden FAT32 (LBA)",
	0x1e:             "hidden FAT16 (LBA)",
	mbrRecovery:      "Windows recovery",
	mbrDynamic:       "Windows dynamic disk (LDM)",
	0x82:             "Linux swap",
	0x83:             "Linux filesystem",
	mbrExtendedLinux: "Linux extended",
	0x8e:             "Linux LVM",
	0xa5:             "FreeBSD",
	0xaf:             "Apple HFS+",
	0xe7:             "Windows Storage Spaces",
	0xe8:             "Linux LUKS",
	mbrProtective:    "protective, of a GPT",
	mbrEFI:           "EFI system",
	0xfd:             "Linux RAID",
}

// Types that matter beyond their names.
const (
	mbrExtended      = 0x05
	mbrNTFS          = 0x07
	mbrExtendedLBA   = 0x0f
	mbrHiddenNTFS    = 0x17
	mbrRecovery      = 0x27
	mbrDynamic       = 0x42
	mbrExtendedLinux = 0x85
	mbrStorageSpaces = 0xe7
	mbrProtective    = 0xee
	mbrEFI           = 0xef
)

// mbrHidden reports whether Windows gives a partition of this type no letter.
func mbrHidden(t byte) bool {
	switch t {
	case 0x11, 0x14, 0x16, mbrHiddenNTFS, 0x1b, 0x1c, 0x1e, mbrRecovery:
		return true
	}
	return false
}

// Use is what a partition is for, by its type.
type Use int

// The uses of partitions.
const (
	UseOther    Use = iota // another one, or not known
	UseData                // a volume of Windows
	UseEFI                 // EFI system partition
	UseReserved            // without a filesystem, of Microsoft
	UseRecovery            // Windows recovery
	UseDynamic             // a dynamic disk of Windows (LDM), whose volumes are not in the table
)

// Use returns what the partition is for. It is UseOther for a bare volume.
func (v *Volume) Use() Use {
	switch v.Type {
	case gptBasicData:
		return UseData
	case gptEFI, fmt.Sprintf("0x%02x", mbrEFI):
		return UseEFI
	case gptReserved:
		return UseReserved
	case gptRecovery, fmt.Sprintf("0x%02x", mbrRecovery):
		return UseRecovery
	case gptLDMMetadata, gptLDMData, fmt.Sprintf("0x%02x", mbrDynamic):
		return UseDynamic
	}
	// FAT, NTFS and exFAT, and the same hidden.
	switch v.Type {
	case "0x01", "0x04", "0x06", "0x07", "0x0b", "0x0c", "0x0e", "0x11", "0x14", "0x16", "0x17", "0x1b", "0x1c", "0x1e":
		return UseData
	}
	return UseOther
}
