package disk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

// Hints. {file} stands for the name of the file and {image} for that of the raw
// image that is made of it.
const (
	hintConvert    = "convert it to a raw image: qemu-img convert -O raw {file} {image}"
	hintConvertVHD = "convert it to a raw image: qemu-img convert -f vpc -O raw {file} {image}"
	hintExport     = "export it to a raw image: ewfexport -f raw -t {image} {file} (of ewf-tools; it adds .raw to the name)"
	hintAFF        = "export it to a raw image: affconvert -r {file} (of afflib-tools)"
	hintLogical    = "it holds files and no disk: take an image of the disk itself, with dd for instance"
	hintHive       = "look into it: coldcheck inspect hive {file}"
	hintRestore    = "restore it to a raw image with the program that wrote it"
	hintISO        = "it is a disc, for installing or with data: give the image of the WorkSpace's root volume"
	hintTar        = "unpack it first: tar -xf {file} (an OVA holds the disk as a VMDK image, which has to be converted then)"
)

// unpack is the hint for a file that a command writes to standard output.
func unpack(command string) string { return "unpack it first: " + command + " {file} >{image}" }

// containers lists formats whose magic lies in the first sector. Each magic is
// long enough, or odd enough, not to begin a boot sector.
var containers = []container{
	{"a QCOW image", 0, "QFI\xfb", hintConvert},
	{"a QED image", 0, "QED\x00", hintConvert},
	{"a VMDK image", 0, "KDMV", hintConvert},
	{"a VMDK image", 0, "COWD", hintConvert},
	{vmdkDescriptor, 0, "# Disk DescriptorFile", hintConvert},
	{"a VHDX image", 0, "vhdxfile", hintConvert},
	{"a VHD image", 0, "conectix", hintConvert},
	{"a VDI image", 64, "\x7f\x10\xda\xbe", hintConvert},
	{"a Parallels image", 0, "WithoutFreeSpace", hintConvert},
	{"a Parallels image", 0, "WithouFreSpacExt", hintConvert},
	{"an EnCase (E01) image", 0, "EVF\x09\x0d\x0a\xff\x00", hintExport},
	{"an EnCase (Ex01) image", 0, "EVF2\x0d\x0a\x81\x00", hintExport},
	{"an EnCase logical (L01) image", 0, "LVF\x09\x0d\x0a\xff\x00", hintLogical},
	{"an EnCase logical (Lx01) image", 0, "LEF2\x0d\x0a\x81\x00", hintLogical},
	{"an AFF image", 0, "AFF10\x0d\x0a\x00", hintAFF},
	{"a Windows image (WIM)", 0, "MSWIM\x00\x00\x00", hintLogical},
	{"an ntfsclone image", 0, "\x00ntfsclone-image", "restore it to a raw image: ntfsclone --restore-image --overwrite {image} {file}"},
	{"a partclone image", 0, "partclone-image", hintRestore},
	{"an Android sparse image", 0, "\x3a\xff\x26\xed", "convert it to a raw image: simg2img {file} {image}"},
	{"a registry hive", 0, "regf", hintHive},
	{"a Windows event log", 0, "ElfFile\x00", ""},
	{"a SQLite database", 0, "SQLite format 3\x00", ""},
	{"gzip data", 0, "\x1f\x8b\x08", unpack("gzip -dc")},
	{"xz data", 0, "\xfd7zXZ\x00", unpack("xz -dc")},
	{"Zstandard data", 0, "\x28\xb5\x2f\xfd", unpack("zstd -dc")},
	{"bzip2 data", 4, "1AY&SY", unpack("bzip2 -dc")},
	{"LZ4 data", 0, "\x04\x22\x4d\x18", unpack("lz4 -dc")},
	{"a ZIP archive", 0, "PK\x03\x04", "unpack it first: unzip {file}"},
	{"a 7-Zip archive", 0, "7z\xbc\xaf\x27\x1c", "unpack it first: 7z x {file}"},
	{"a RAR archive", 0, "Rar!\x1a\x07", "unpack it first: unrar x {file}"},
	{"a tar archive", 257, "ustar", hintTar},
}

// footers lists formats that begin like a raw image and say in their last 512
// bytes what they are.
var footers = []container{
	{"a VHD image of fixed size", 0, "conectix", hintConvertVHD},
	{"an Apple disk image (DMG)", 0, "koly", hintConvert},
}

// iso is looked for only where nothing else is found: its magic lies where a
// partitioned disk may hold what an earlier use of it left.
var iso = container{"an ISO 9660 image of a CD or DVD", 32768 + 1, "CD001", hintISO}

func (c container) matches(b []byte) bool {
	end := c.offset + len(c.magic)
	return end <= len(b) && bytes.Equal(b[c.offset:end], []byte(c.magic))
}

// foreign returns the error for an image whose beginning or last sector tells
// another format, nil if they tell none. tail is the end of the image.
func foreign(name string, head, tail []byte) error {
	for _, c := range containers {
		if c.matches(head) {
			hint := c.hint
			if c.what == vmdkDescriptor {
				hint = descriptorHint(name, head)
			}
			return &notImage{name, c.what, fill(hint, name)}
		}
	}
	footer := tail[max(0, len(tail)-minSize):]
	for _, c := range footers {
		if c.matches(footer) {
			return &notImage{name, c.what, fill(c.hint, name)}
		}
	}
	return nil
}

const vmdkDescriptor = "the descriptor of a VMDK image"

// vmdkExtent is a line of the descriptor of a VMDK image (Virtual Disk Format
// 1.1, "The Extent Description"): access, size in sectors, type, file.
var vmdkExtent = regexp.MustCompile(`(?m)^(?:RW|RDONLY) +[0-9]+ +([A-Z]+) +"([^"\r\n\x00]+)"`)

// maxExtents bounds how many files a descriptor is asked for: 2 TiB in pieces
// of 2 GiB have as many.
const maxExtents = 1024

// descriptorHint says where the data of a VMDK image is whose descriptor was
// given: the descriptor is a text of some hundred bytes.
func descriptorHint(name string, head []byte) string {
	var missing, raw []string
	extents := vmdkExtent.FindAllSubmatch(head, maxExtents)
	for _, e := range extents {
		file := filepath.Base(strings.ReplaceAll(string(e[2]), `\`, "/"))
		if _, err := os.Stat(filepath.Join(filepath.Dir(name), file)); err != nil {
			missing = append(missing, file)
		} else if kind := string(e[1]); kind == "FLAT" || kind == "VMFS" {
			raw = append(raw, file)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Sprintf("it is a text that says where the data is: in %s, not found beside it. Get it too, then %s", some(missing), hintConvert)
	case len(extents) == 1 && len(raw) == 1:
		return fmt.Sprintf("it is a text that says where the data is: in %s, which is a raw image. Scan that", raw[0])
	}
	return hintConvert
}

// some lists a few names.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// fill puts names of files into a hint, as a shell takes them. The image gets
// the name of the file without its last suffix, and .img if that is not the name
// of a raw image.
func fill(hint, name string) string {
	image := strings.TrimSuffix(name, filepath.Ext(name))
	if !slices.Contains([]string{".img", ".raw", ".dd"}, strings.ToLower(filepath.Ext(image))) {
		image += ".img"
	}
	return strings.NewReplacer("{file}", quoteName(name), "{image}", quoteName(image)).Replace(hint)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=\\][A-Za-z0-9_./:@%+,=\\-]*$`)

func quoteName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
