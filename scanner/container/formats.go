package container

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// formats are the formats that are known, in the order in which they are asked
// whether an image is theirs; what is left is raw. A magic at the beginning is long
// enough, or odd enough, not to begin a boot sector.
var formats = []format{
	{what: "a QCOW image of version 1", where: 0, magic: "QFI\xfb\x00\x00\x00\x01", hint: hintConvert, parent: qcowParent},
	{what: "a QCOW2 image", where: 0, magic: "QFI\xfb", open: one(openQcow2), parent: qcowParent},
	{what: "a QED image", where: 0, magic: "QED\x00", hint: hintConvert, parent: qedParent},
	{what: "a VMDK image", where: 0, magic: vmdkMagic, open: one(openVMDKFile), parent: vmdkFileParent},
	{what: "an extent of a VMDK image", where: 0, magic: cowdMagic, open: one(openVMDKExtent)},
	{what: "an SE sparse extent of a VMDK image", where: 0, magic: "\xbe\xba\xfe\xca\x00\x00\x00\x00",
		open: one(openVMDKExtent)},
	{what: "the descriptor of a VMDK image", where: 0, magic: vmdkTextMagic, open: one(openVMDKText),
		parent: vmdkTextParent},
	{what: "a VHDX image", where: 0, magic: vhdxMagic, open: one(openVHDX), parent: vhdxParent},
	{what: "a VHD image", where: 0, magic: vhdMagic, open: one(openVHD), parent: vhdParent},
	{what: "a VDI image", where: vdiMagicAt, magic: vdiMagic, open: one(openVDI), parent: vdiParent},
	{what: "a Parallels image", where: 0, magic: "WithoutFreeSpace", hint: hintConvert},
	{what: "a Parallels image", where: 0, magic: "WithouFreSpacExt", hint: hintConvert},
	{what: "an EnCase (E01) image", where: 0, magic: ewfMagic, open: one(openEWF)},
	{what: "an EnCase (Ex01) image", where: 0, magic: "EVF2\x0d\x0a\x81\x00", hint: hintExport},
	{what: "an EnCase logical (L01) image", where: 0, magic: "LVF\x09\x0d\x0a\xff\x00", hint: hintLogical},
	{what: "an EnCase logical (Lx01) image", where: 0, magic: "LEF2\x0d\x0a\x81\x00", hint: hintLogical},
	{
		what: "an EnCase image with AD encryption", where: 0, magic: "ADCRYPT\x00",
		hint: "decrypt it with the program that encrypted it, such as FTK Imager",
	},
	{what: "an AFF image", where: 0, magic: "AFF10\x0d\x0a\x00", hint: hintAFF},
	{what: "a Windows image (WIM)", where: 0, magic: "MSWIM\x00\x00\x00", hint: hintLogical},
	{
		what: "an ntfsclone image", where: 0, magic: "\x00ntfsclone-image",
		hint: "restore it to a raw image: ntfsclone --restore-image --overwrite {image} {file}",
	},
	{what: "a partclone image", where: 0, magic: "partclone-image", hint: hintRestore},
	{
		what: "an Android sparse image", where: 0, magic: "\x3a\xff\x26\xed",
		hint: "convert it to a raw image: simg2img {file} {image}",
	},
	{what: "a registry hive", where: 0, magic: "regf", hint: hintHive},
	{what: "a Windows event log", where: 0, magic: "ElfFile\x00"},
	{what: "a SQLite database", where: 0, magic: "SQLite format 3\x00"},
	{what: "gzip data", where: 0, magic: "\x1f\x8b\x08", hint: unpack("gzip -dc")},
	{what: "xz data", where: 0, magic: "\xfd7zXZ\x00", hint: unpack("xz -dc")},
	{what: "Zstandard data", where: 0, magic: "\x28\xb5\x2f\xfd", hint: unpack("zstd -dc")},
	{what: "bzip2 data", where: 4, magic: "1AY&SY", hint: unpack("bzip2 -dc")},
	{what: "LZ4 data", where: 0, magic: "\x04\x22\x4d\x18", hint: unpack("lz4 -dc")},
	{what: "a ZIP archive", where: 0, magic: "PK\x03\x04", hint: "unpack it first: unzip {file}"},
	{what: "a 7-Zip archive", where: 0, magic: "7z\xbc\xaf\x27\x1c", hint: "unpack it first: 7z x {file}"},
	{what: "a RAR archive", where: 0, magic: "Rar!\x1a\x07", hint: "unpack it first: unrar x {file}"},
	{what: "a tar archive", where: 257, magic: "ustar", open: openOVA},
	{what: "a VHD image of fixed size", where: footer, magic: vhdMagic, open: one(openVHD), parent: vhdParent},
	{what: "an old VHD image of fixed size", where: oldFooter, magic: vhdMagic, open: one(openVHD), parent: vhdParent},
	{what: "an Apple disk image (DMG)", where: footer, magic: "koly", hint: hintConvert},
}

// Hints. {file} stands for the name of the file, {base} for its name without the last
// suffix, and {image} for the name of the raw image that is made from it.
const (
	hintConvert = "convert it to a raw image: qemu-img convert -O raw {file} {image}"
	// ewfexport adds .raw to the name. -u asks no questions.
	hintExport  = "export it to a raw image with ewf-tools: ewfexport -u -f raw -t {base} {file}"
	hintVDI     = "convert it with VirtualBox: VBoxManage clonemedium disk {file} {image} --format RAW"
	hintAFF     = "export it to a raw image: affconvert -r {file} (of afflib-tools)"
	hintLogical = "it contains files, not a disk: take an image of the disk, for example with dd"
	hintHive    = "to look into it, run: coldcheck inspect hive {file}"
	hintRestore = "restore it to a raw image with the program that wrote it"
	hintTar     = "unpack it first: tar -xf {file}"
)

// unpack is the hint for a file that a command writes to standard output.
func unpack(command string) string { return "unpack it first: " + command + " {file} >{image}" }

// fill puts names of files into a hint, as a shell takes them.
func fill(hint, name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	return strings.NewReplacer("{file}", prose.Quote(name), "{image}", prose.Quote(RawName(name)),
		"{base}", prose.Quote(base)).Replace(hint)
}

// RawName returns a name for the raw image that is made from a file: the name of
// the file without its last suffix, and .img if that is not the name of a raw image.
func RawName(name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	if slices.Contains([]string{".img", ".raw", ".dd"}, strings.ToLower(filepath.Ext(base))) {
		return base
	}
	return base + ".img"
}
