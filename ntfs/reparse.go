package ntfs

import (
	"fmt"
	"io/fs"
	"strings"
)

// Tags of reparse points. [MS-FSCC] 2.1.2.1.
const (
	TagMountPoint = 0xA0000003 // a junction, or where a volume is mounted
	TagSymlink    = 0xA000000C
	TagLXSymlink  = 0xA000001D // of WSL
	TagSocket     = 0x80000023
	TagWOF        = 0x80000017
	TagDedup      = 0x80000013
	TagCloud      = 0x9000001A // and 0x9000101A to 0x9000F01A

	tagLXFIFO      = 0x80000024
	tagLXCharacter = 0x80000025
	tagLXBlock     = 0x80000026

	cloudMask     = 0xFFFF0FFF
	surrogateFlag = 0x20000000
	microsoftFlag = 0x80000000
)

// tagNames names the reparse points whose files a driver provides: the unnamed
// $DATA may hold less than Windows shows.
var tagNames = map[uint32]string{
	TagWOF:     "WOF compression",
	TagDedup:   "deduplication",
	0x80000006: "hierarchical storage (HSM2)",
	0xC0000004: "hierarchical storage (HSM)",
	0x80000007: "single-instance storage",
	0x80000008: "WIM mount",
	0x8000001B: "app execution alias",
	0x8000001E: "Azure File Sync",
	0x9000001C: "projected file system",
	0x80000018: "Windows container isolation",
	0x90001018: "Windows container isolation",
}

func init() {
	for i := range uint32(16) {
		tagNames[TagCloud|i<<12] = "cloud file"
	}
}

// surrogate reports whether the tag makes its file stand for another one.
func surrogate(tag uint32) bool { return tag&surrogateFlag != 0 }

func tagName(tag uint32) string {
	if name := tagNames[tag]; name != "" {
		return fmt.Sprintf("%s (reparse tag 0x%08X)", name, tag)
	}
	return fmt.Sprintf("reparse tag 0x%08X", tag)
}

// maxReparse is the size of the largest reparse data, in bytes.
// [MS-FSCC] 2.1.2.
const maxReparse = 16 << 10

// Reparse is the reparse data of a file or directory.
type Reparse struct {
	Tag  uint32
	Data []byte // the data after tag and length; it begins with a GUID if the tag is not Microsoft's

	// Of symbolic links, junctions and mount points, else "".
	Substitute string // the path that Windows follows: `\??\C:\Users`
	Print      string // the path that it shows: `C:\Users`; may be "" or a different path
	Relative   bool   // Substitute is relative to the directory that holds the link
}

// Target is the name for people: Print, or Substitute without the prefix that
// makes it a name of the kernel's.
func (r Reparse) Target() string {
	if r.Print != "" {
		return r.Print
	}
	return strings.TrimPrefix(r.Substitute, `\??\`)
}

// Reparse returns the reparse data of a file or directory. The error is
// fs.ErrNotExist if it has none.
func (f *FS) Reparse(name string) (Reparse, error) {
	r, err := f.reparse(name)
	if err != nil {
		return Reparse{}, &fs.PathError{Op: "reparse", Path: name, Err: err}
	}
	return r, nil
}

// ReadLink returns where a symbolic link, a junction or a mount point leads,
// as Reparse.Target has it: a Windows path. The error is fs.ErrInvalid for
// anything else.
func (f *FS) ReadLink(name string) (string, error) {
	r, err := f.reparse(name)
	if err == errNoReparse || err == nil && r.Target() == "" {
		err = fs.ErrInvalid
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return r.Target(), nil
}

var errNoReparse = fmt.Errorf("reparse data: %w", fs.ErrNotExist)

// reparse returns errNoReparse if the file is there but has no reparse data.
func (f *FS) reparse(name string) (Reparse, error) {
	record, err := f.resolve(name)
	if err != nil {
		return Reparse{}, err
	}
	ino, err := f.load(record)
	if err != nil {
		return Reparse{}, err
	}
	return ino.reparse(f.disk)
}

func (ino *inode) reparse(d *disk) (Reparse, error) {
	s, err := ino.stream(d, typeReparsePoint, "")
	if err == fs.ErrNotExist {
		return Reparse{}, errNoReparse
	}
	if err != nil {
		return Reparse{}, err
	}
	value, err := s.readAll(maxReparse)
	if err != nil {
		return Reparse{}, fmt.Errorf("record %d: reparse data: %w", ino.number, err)
	}
	r, err := parseReparse(value)
	if err != nil {
		return Reparse{}, fmt.Errorf("record %d: %w", ino.number, err)
	}
	return r, nil
}

// parseReparse decodes
//
//	0  4  tag
//	4  2  length of the data, without the GUID of tags that are not Microsoft's
//	8     data
//
// [MS-FSCC] 2.1.2.2 to 2.1.2.5.
func parseReparse(value []byte) (Reparse, error) {
	if len(value) < 8 {
		return Reparse{}, corrupt("reparse data of %d bytes", len(value))
	}
	r := Reparse{Tag: le.Uint32(value)}
	n := int(le.Uint16(value[4:]))
	if r.Tag&microsoftFlag == 0 {
		n += 16
	}
	if 8+n > len(value) {
		return Reparse{}, corrupt("reparse data of %d bytes, of which %d are there", n, len(value)-8)
	}
	r.Data = value[8 : 8+n]
	var err error
	switch r.Tag {
	case TagMountPoint:
		err = r.names(8)
	case TagSymlink:
		if err = r.names(12); err == nil {
			r.Relative = le.Uint32(r.Data[8:])&1 != 0
		}
	case TagLXSymlink: // a version, and UTF-8
		if len(r.Data) < 4 {
			err = corrupt("reparse data of %d bytes", n)
		} else {
			r.Substitute = strings.ToValidUTF8(string(r.Data[4:]), "\uFFFD")
			r.Relative = !strings.HasPrefix(r.Substitute, "/")
		}
	}
	return r, err
}

// names decodes the two names of a link, which follow a header:
//
//	0  2  offset of the substitute name, 2  2  its length
//	4  2  offset of the print name, 6  2  its length
func (r *Reparse) names(header int) error {
	if len(r.Data) < header {
		return corrupt("link of %d bytes", len(r.Data))
	}
	cut := func(at, n uint16) (string, error) {
		names := r.Data[header:]
		if int(at)+int(n) > len(names) || n%2 != 0 {
			return "", corrupt("name of %d bytes at byte %d of %d", n, at, len(names))
		}
		return decodeName(names[at : at+n]), nil
	}
	var err error
	if r.Substitute, err = cut(le.Uint16(r.Data), le.Uint16(r.Data[2:])); err != nil {
		return err
	}
	r.Print, err = cut(le.Uint16(r.Data[4:]), le.Uint16(r.Data[6:]))
	return err
}

// content returns the content that Windows shows of a file whose unnamed $DATA
// is s. The driver of a reparse tag may store some or all of it elsewhere.
func (ino *inode) content(d *disk, s *stream) (content, error) {
	if s.flags&attrEncrypted != 0 {
		return nil, errEFS
	}
	r, err := ino.reparse(d)
	if err == errNoReparse || err == nil && surrogate(r.Tag) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Tag == TagWOF {
		o, err := ino.overlay(d, r, s.size)
		if err != nil {
			return nil, fmt.Errorf("WOF: %w", err)
		}
		return o, nil
	}
	var attributes uint32
	if si := ino.find(typeStandardInformation, ""); len(si) == 1 && si[0].resident && len(si[0].value) >= 36 {
		attributes = le.Uint32(si[0].value[32:])
	}
	if attributes&(attributeOffline|attributeRecallOpen|attributeRecallData) != 0 || s.holes() {
		return nil, unsupported("%s: the volume does not have all of the content", tagName(r.Tag))
	}
	return s, nil
}
