package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// formats are the formats that are known, in the order in which they are asked
// whether an image is theirs; what is left is raw. A magic at the beginning is long
// enough, or odd enough, not to begin a boot sector.
var formats = []format{
	{what: "a QCOW image of version 1", where: 0, magic: "QFI\xfb\x00\x00\x00\x01", hint: hintConvert, parent: qcowParent},
	{what: "a QCOW2 image", where: 0, magic: "QFI\xfb", open: one(openQcow2), parent: qcowParent},
	{what: "a QED image", where: 0, magic: "QED\x00", hint: hintConvert, parent: qedParent},
	{what: "a VMDK image", where: 0, magic: "KDMV", hint: hintConvert},
	{what: "a VMDK image", where: 0, magic: "COWD", hint: hintConvert},
	{what: "the descriptor of a VMDK image", where: 0, magic: "# Disk DescriptorFile", explain: descriptorHint},
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
	{what: "a tar archive", where: 257, magic: "ustar", hint: hintTar},
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
	hintTar     = "unpack it first: tar -xf {file} " +
		"(an OVA contains the disk as a VMDK image; convert that next)"
)

// unpack is the hint for a file that a command writes to standard output.
func unpack(command string) string { return "unpack it first: " + command + " {file} >{image}" }

// vmdkExtent is a line of the descriptor of a VMDK image (Virtual Disk Format
// 1.1, "The Extent Description"): access, size in sectors, type, file.
var vmdkExtent = regexp.MustCompile(`(?m)^(?:RW|RDONLY) +[0-9]+ +([A-Z]+) +"([^"\r\n\x00]+)"`)

// maxExtents bounds how many files a descriptor is asked for: 2 TiB in pieces
// of 2 GiB have as many.
const maxExtents = 1024

// descriptorHint says where the data of a VMDK image is whose descriptor was
// given: the descriptor is a text of some hundred bytes.
func descriptorHint(ctx context.Context, first *source.Source, p probe) string {
	var missing, raw []string
	extents := vmdkExtent.FindAllSubmatch(p.head, maxExtents)
	for _, e := range extents {
		name := filepath.Base(strings.ReplaceAll(string(e[2]), `\`, "/"))
		part, err := first.Beside(ctx, name)
		if err == nil {
			part.Close()
		}
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		} else if kind := string(e[1]); kind == "FLAT" || kind == "VMFS" {
			raw = append(raw, name)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Sprintf("its data is in %s, missing from the same folder: copy it there, then %s",
			prose.List(missing, 3), hintConvert)
	case len(extents) == 1 && len(raw) == 1:
		return fmt.Sprintf("its data is in %s, a raw image: scan that file", raw[0])
	}
	return hintConvert
}

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
