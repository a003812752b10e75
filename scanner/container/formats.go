package container

import (
	"context"
	"path/filepath"
	"regexp"
	"runtime"
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
	{what: "a VMDK image", where: 0, magic: vmdkMagic, open: one(openVMDKFile), parent: vmdkFileParent},
	{what: "an extent of a VMDK image", where: 0, magic: cowdMagic, open: one(openVMDKExtent)},
	{what: "an SE sparse extent of a VMDK image", where: 0, magic: "\xbe\xba\xfe\xca\x00\x00\x00\x00",
		open: one(openVMDKExtent)},
	{what: "the descriptor of a VMDK image", where: 0, magic: vmdkTextMagic, open: one(openVMDKText),
		parent: vmdkTextParent},
	{what: "the descriptor of a VMDK image", where: 0, magic: utf8Mark + vmdkTextMagic, open: one(openVMDKText),
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
	{
		what: "a Parallels disk descriptor", where: 0, magic: "<?xml", also: "<Parallels_disk_image",
		explain: parallelsHint,
	},
	{what: "a Bochs image", where: 0, magic: "Bochs Virtual HD Image", hint: convertFrom("bochs")},
	{what: "a cloop image", where: 0, magic: "#!/bin/sh\n#V2.0 Format\nmodprobe cloop", hint: convertFrom("cloop")},
	{what: "an AFF image", where: 0, magic: "AFF10\x0d\x0a\x00", hint: hintAFF},
	{what: "a Windows image (WIM)", where: 0, magic: "MSWIM\x00\x00\x00", hint: hintLogical},
	{what: "a Windows image (WIM)", where: 0, magic: "WLPWM\x00\x00\x00", hint: hintLogical},
	{
		what: "an ntfsclone image", where: 0, magic: "\x00ntfsclone-image",
		hint: "restore it to a raw image: ntfsclone --restore-image --overwrite {image} {file}",
	},
	{
		what: "a partclone image", where: 0, magic: "partclone-image",
		hint: "restore it to a raw image: partclone.restore -W -s {file} -o {image}",
	},
	{what: "a Norton Ghost image", where: 0, magic: "\xfe\xef\x01", hint: restoreWith("Ghost")},
	{what: "an Acronis backup (TIB)", where: 0, magic: "\xb4\x6e\x68\x44", hint: restoreWith("Acronis")},
	{what: "an Acronis backup (TIB)", where: 0, magic: "\xce\x24\xb9\xa2", hint: restoreWith("Acronis")},
	{what: "an Acronis backup (TIBX)", where: 0, magic: "A\x01", also: "ARCH", hint: restoreWith("Acronis")},
	{
		what: "an Android sparse image", where: 0, magic: "\x3a\xff\x26\xed",
		hint: "convert it to a raw image: simg2img {file} {image}",
	},
	{what: "a registry hive", where: 0, magic: "regf", hint: hintHive},
	{what: "a Windows event log", where: 0, magic: "ElfFile\x00", hint: hintEvents},
	{what: "a SQLite database", where: 0, magic: "SQLite format 3\x00"},
	{what: "gzip data", where: 0, magic: "\x1f\x8b\x08", explain: unpack("gzip -dc")},
	{what: "xz data", where: 0, magic: "\xfd7zXZ\x00", explain: unpack("xz -dc")},
	{what: "Zstandard data", where: 0, magic: "\x28\xb5\x2f\xfd", explain: unpack("zstd -dc")},
	{what: "bzip2 data", where: 4, magic: "1AY&SY", explain: unpack("bzip2 -dc")},
	{what: "LZ4 data", where: 0, magic: "\x04\x22\x4d\x18", explain: unpack("lz4 -dc")},
	{what: "LZ4 data", where: 0, magic: "\x02\x21\x4c\x18", explain: unpack("lz4 -dc")},
	{what: "lzip data", where: 0, magic: "LZIP\x01", explain: unpack("lzip -dc")},
	{what: "lzop data", where: 0, magic: "\x89LZO\x00\x0d\x0a\x1a\x0a", explain: unpack("lzop -dc")},
	{what: "an AFF4 image", where: 0, magic: "PK\x03\x04", also: "aff4://", hint: hintRestore},
	{what: "a ZIP archive", where: 0, magic: "PK\x03\x04", hint: "unpack it first: unzip {file}"},
	{what: "a 7-Zip archive", where: 0, magic: "7z\xbc\xaf\x27\x1c", hint: "unpack it first: 7z x {file}"},
	{what: "a RAR archive", where: 0, magic: "Rar!\x1a\x07", hint: "unpack it first: unrar x {file}"},
	{what: "a tar archive", where: 257, magic: "ustar", open: openOVA},
	{what: "a VHD image of fixed size", where: footer, magic: vhdMagic, open: one(openVHD), parent: vhdParent},
	{what: "an old VHD image of fixed size", where: oldFooter, magic: vhdMagic, open: one(openVHD), parent: vhdParent},
	{what: "an Apple disk image (DMG)", where: footer, magic: "koly", hint: convertFrom("dmg")},
}

// Hints. {file} stands for the name of the file, {base} for its name without the last
// suffix, and {image} for the name of the raw image that is made from it.
const (
	hintConvert = "convert it to a raw image: qemu-img convert -O raw {file} {image}"
	// ewfexport adds .raw to the name. -u asks no questions.
	hintExport  = "export it to a raw image with ewf-tools: ewfexport -u -f raw -t {base} {file}"
	hintVDI     = "convert it with VirtualBox: VBoxManage clonemedium disk {file} {image} --format RAW"
	hintAFF     = "export it to a raw image with afflib-tools: affconvert -r {file}"
	hintLogical = "it contains files, not a disk: take an image of the disk, for example with dd"
	hintHive    = "to look into it, run: coldcheck inspect hive {file}"
	hintEvents  = "to look into it, run: coldcheck inspect evtx {file}"
	hintRestore = "restore it to a raw image with the program that wrote it"
	hintTar     = "unpack it first: tar -xf {file}"
)

// convertFrom is the hint for a format that qemu-img does not find by itself.
func convertFrom(format string) string {
	return "convert it to a raw image: qemu-img convert -f " + format + " -O raw {file} {image}"
}

// restoreWith is the hint for a backup that only its own program reads.
func restoreWith(program string) string {
	return "restore it to a disk with " + program + ", and take an image of that disk, for example with dd"
}

// unpack makes the hint for a file that a command writes to standard output, or for
// the first part of one that was split.
func unpack(command string) func(ctx context.Context, first *source.Source, p probe) string {
	return func(ctx context.Context, first *source.Source, _ probe) string {
		o := splitOpener{ctx: ctx, first: first, extension: filepath.Ext(first.Name())}
		ends, err := o.openParts()
		o.close()
		packed := strings.TrimSuffix(first.Name(), o.extension)
		switch {
		case err != nil || len(ends) < 2:
			return "unpack it first: " + command + " {file} >{unpacked}"
		case runtime.GOOS == "windows":
			return "join its parts, and unpack that: " + o.copyCommand(ends, prose.Quote(packed))
		}
		return "join and unpack its parts: " + o.catCommand(ends) + " | " + command + " >" +
			prose.Quote(unpackedName(packed))
	}
}

// parallelsFile is a file that the descriptor of a Parallels disk names.
var parallelsFile = regexp.MustCompile(`<File>([^<]+)</File>`)

// parallelsHint says where the data of a Parallels disk is. There are several files if
// the disk has snapshots: only Parallels joins them.
func parallelsHint(_ context.Context, first *source.Source, p probe) string {
	files := parallelsFile.FindAllSubmatch(p.head, 2)
	folder := filepath.Dir(first.Name())
	if len(files) == 1 {
		return "name the file with its data: " + prose.Quote(filepath.Join(folder, baseName(string(files[0][1]))))
	}
	return "merge its snapshots: prl_disk_tool merge --hdd " + prose.Quote(folder)
}

// fill puts names of files into a hint, as a shell takes them.
func fill(hint, name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	return strings.NewReplacer("{file}", argument(name), "{image}", argument(RawName(name)),
		"{base}", argument(base), "{unpacked}", prose.Quote(unpackedName(name))).Replace(hint)
}

// argument is the name of a file in a command, which must not take it for an option.
func argument(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return prose.Quote(name)
}

// RawName returns a name for the raw image that is made from a file: the name of
// the file without its last suffix, and .img if that is not the name of a raw image.
func RawName(name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	if endsIn(base, rawEndings) {
		return base
	}
	return base + ".img"
}

// unpackedName is a name for the content of a compressed file: its name without the
// last suffix, if that is the name of an image.
func unpackedName(name string) string {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	if endsIn(base, imageEndings) {
		return base
	}
	return RawName(name)
}

// rawEndings are the ends of the names of raw images.
var rawEndings = []string{".img", ".raw", ".dd"}

// imageEndings are the ends of the names of images that may be compressed.
var imageEndings = slices.Concat(rawEndings, []string{".bin", ".e01", ".ova", ".hds", ".dmg"}, overlayEndings)

// endsIn reports whether a name has one of several ends, in any case.
func endsIn(name string, ends []string) bool {
	return slices.Contains(ends, strings.ToLower(filepath.Ext(name)))
}
