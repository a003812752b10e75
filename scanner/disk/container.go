package disk

import (
	"bytes"
	"fmt"
)

// notImage is an ErrNotImage that says what the file is instead.
type notImage struct {
	name, what, hint string
}

func (e *notImage) Error() string { return fmt.Sprintf("%s: %s: %s", e.name, ErrNotImage, e.what) }
func (e *notImage) Unwrap() error { return ErrNotImage }

// Hint says what may be done about it, "" if nothing is known to help.
func (e *notImage) Hint() string { return e.hint }

// container is a file format that is not a raw image, known by its magic
// bytes at an offset.
type container struct {
	what   string
	offset int
	magic  string
	hint   string
}

const (
	hintConvert   = "convert it to a raw image: qemu-img convert -O raw FILE IMAGE"
	hintExport    = "export it to a raw image, with ewfexport for instance"
	hintUnpack    = "unpack it first"
	hintHive      = "`coldcheck inspect hive` reads registry hives"
	hintRestore   = "restore it to a raw image with the program that wrote it"
	hintPlainCopy = "take a plain copy of the disk instead, with dd for instance"
)

// containers lists formats whose magic lies in the first sector. Each magic is
// long enough, or odd enough, not to begin a boot sector.
var containers = []container{
	{"a QCOW image", 0, "QFI\xfb", hintConvert},
	{"a QED image", 0, "QED\x00", hintConvert},
	{"a VMDK image", 0, "KDMV", hintConvert},
	{"a VMDK image", 0, "COWD", hintConvert},
	{"the descriptor of a VMDK image", 0, "# Disk DescriptorFile", hintConvert},
	{"a VHDX image", 0, "vhdxfile", hintConvert},
	{"a VHD image", 0, "conectix", hintConvert},
	{"a VDI image", 64, "\x7f\x10\xda\xbe", hintConvert},
	{"a Parallels image", 0, "WithoutFreeSpace", hintConvert},
	{"a Parallels image", 0, "WithouFreSpacExt", hintConvert},
	{"an EnCase (E01) image", 0, "EVF\x09\x0d\x0a\xff\x00", hintExport},
	{"an EnCase (Ex01) image", 0, "EVF2\x0d\x0a\x81\x00", hintExport},
	{"an EnCase logical (L01) image", 0, "LVF\x09\x0d\x0a\xff\x00", hintPlainCopy},
	{"an EnCase logical (Lx01) image", 0, "LEF2\x0d\x0a\x81\x00", hintPlainCopy},
	{"an AFF image", 0, "AFF10\x0d\x0a\x00", hintExport},
	{"a Windows image (WIM)", 0, "MSWIM\x00\x00\x00", hintPlainCopy},
	{"an ntfsclone image", 0, "\x00ntfsclone-image", hintRestore},
	{"a partclone image", 0, "partclone-image", hintRestore},
	{"an Android sparse image", 0, "\x3a\xff\x26\xed", "convert it to a raw image with simg2img"},
	{"a registry hive", 0, "regf", hintHive},
	{"a Windows event log", 0, "ElfFile\x00", ""},
	{"a SQLite database", 0, "SQLite format 3\x00", ""},
	{"gzip data", 0, "\x1f\x8b\x08", hintUnpack},
	{"xz data", 0, "\xfd7zXZ\x00", hintUnpack},
	{"Zstandard data", 0, "\x28\xb5\x2f\xfd", hintUnpack},
	{"bzip2 data", 4, "1AY&SY", hintUnpack},
	{"LZ4 data", 0, "\x04\x22\x4d\x18", hintUnpack},
	{"a ZIP archive", 0, "PK\x03\x04", hintUnpack},
	{"a 7-Zip archive", 0, "7z\xbc\xaf\x27\x1c", hintUnpack},
	{"a RAR archive", 0, "Rar!\x1a\x07", hintUnpack},
	{"a tar archive", 257, "ustar", hintUnpack},
}

// footers lists formats that begin like a raw image and say in their last 512
// bytes what they are.
var footers = []container{
	{"a VHD image of fixed size", 0, "conectix", hintConvert},
	{"an Apple disk image (DMG)", 0, "koly", hintConvert},
}

// iso is looked for only where nothing else is found: its magic lies where a
// partitioned disk may hold what an earlier use of it left.
var iso = container{"an ISO 9660 image of a CD or DVD", 32768 + 1, "CD001", ""}

func (c container) matches(b []byte) bool {
	end := c.offset + len(c.magic)
	return end <= len(b) && bytes.Equal(b[c.offset:end], []byte(c.magic))
}

// foreign returns the error for an image whose beginning or last sector tells
// another format, nil if they tell none. tail is the end of the image.
func foreign(name string, head, tail []byte) error {
	for _, c := range containers {
		if c.matches(head) {
			return &notImage{name, c.what, c.hint}
		}
	}
	footer := tail[max(0, len(tail)-minSize):]
	for _, c := range footers {
		if c.matches(footer) {
			return &notImage{name, c.what, c.hint}
		}
	}
	return nil
}
