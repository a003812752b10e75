package container

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Bounds of a descriptor.
const (
	maxVMDKText    = 1 << 20 // bytes
	maxVMDKExtents = 1024
	maxVMDKSize    = 1 << 50 // of the disk, in bytes; VMware's own bound is 62 TB
)

// noParent is the parentCID of an image without a parent.
const noParent = math.MaxUint32

// vmdkDescriptor is the text that says what a VMDK image is made of (Virtual Disk
// Format 5.0, "The Descriptor").
type vmdkDescriptor struct {
	cid, parentCID uint32
	parentName     string
	createType     string
	extents        []vmdkLine
	size           int64 // of the disk, in bytes
}

// vmdkLine is a line of the section "Extent description": access, size in sectors,
// type, file in quotation marks, and where the extent begins in the file.
type vmdkLine struct {
	access string // "RW", "RDONLY" or "NOACCESS"
	size   int64  // in bytes
	kind   string // "SPARSE", "FLAT", "ZERO", "VMFS" or "VMFSSPARSE"
	name   string // of the file; "" if there is none
	at     int64  // in the file, in bytes; 0 if the line says nothing
}

// errNoText is the error for room for a descriptor that has none.
var errNoText = kind.New("the descriptor is empty", ErrCorrupt)

// readVMDKText reads a descriptor: size bytes of s at off.
func readVMDKText(s *source.Source, off, size int64) (*vmdkDescriptor, error) {
	if size > maxVMDKText {
		return nil, fmt.Errorf("%s: at byte %d: the descriptor has %d bytes, more than %d: %w",
			s.Name(), off, size, maxVMDKText, ErrLimit)
	}
	text := make([]byte, size)
	if _, err := readFull(s, text, off); err != nil {
		return nil, fmt.Errorf("the descriptor: %w", err)
	}
	if text[0] == 0 {
		return nil, fmt.Errorf("%s: at byte %d: %w", s.Name(), off, errNoText)
	}
	d := &vmdkDescriptor{}
	if at, err := d.parse(text); err != nil {
		return nil, fmt.Errorf("%s: the descriptor, at byte %d: %w", s.Name(), off+int64(at), err)
	}
	return d, nil
}

// parse reads the text up to the first zero byte. Every line must be an extent, a
// setting, a comment or empty: an extent that is overlooked would move the rest of the
// disk. at is where the line is that is wrong.
func (d *vmdkDescriptor) parse(text []byte) (at int, err error) {
	text, _, _ = bytes.Cut(text, []byte{0})
	settings := map[string]string{}
	if bytes.HasPrefix(text, []byte(utf8Mark)) {
		at = len(utf8Mark)
		text = text[at:]
	}
	for line := range bytes.Lines(text) {
		start := at
		at += len(line)
		s := strings.TrimSpace(string(line))
		access, rest := s, ""
		if n := strings.IndexAny(s, " \t"); n > 0 {
			access, rest = s[:n], s[n:]
		}
		switch access {
		case "RW", "RDONLY", "NOACCESS":
			e, err := parseVMDKExtent(access, rest)
			if err != nil {
				return start, err
			}
			if len(d.extents) == maxVMDKExtents {
				return start, fmt.Errorf("more than %d extents: %w", maxVMDKExtents, ErrLimit)
			}
			if d.size += e.size; d.size > maxVMDKSize {
				return start, fmt.Errorf("the disk has more than %d bytes: %w", int64(maxVMDKSize), ErrLimit)
			}
			d.extents = append(d.extents, e)
			continue
		}
		key, value, ok := strings.Cut(s, "=")
		if s == "" || s[0] == '#' {
			continue
		}
		if key = strings.ToLower(strings.TrimSpace(key)); !ok || strings.ContainsAny(key, " \"") {
			return start, fmt.Errorf("a line is neither an extent nor a setting: %w", ErrCorrupt)
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if before, twice := settings[key]; twice && before != value {
			return start, fmt.Errorf("%q is set twice: %w", key, ErrCorrupt)
		}
		settings[key] = value
	}
	return 0, d.apply(settings)
}

// apply takes over the settings.
func (d *vmdkDescriptor) apply(settings map[string]string) error {
	version, err := strconv.ParseUint(settings["version"], 10, 32)
	switch {
	case err != nil:
		return fmt.Errorf("its version is %q: %w", settings["version"], ErrCorrupt)
	case version < 1 || version > 4:
		return fmt.Errorf("version %d: %w", version, ErrUnsupported)
	case settings["keyid"] != "" || settings["encryptionkeys"] != "" ||
		strings.Contains(settings["ddb.iofilters"], "vmcrypt"):
		return ErrEncrypted
	case strings.EqualFold(settings["isnativesnapshot"], "yes"):
		return fmt.Errorf("a snapshot of the storage array (isNativeSnapshot): %w", ErrUnsupported)
	}
	for key, to := range map[string]*uint32{"cid": &d.cid, "parentcid": &d.parentCID} {
		n, err := strconv.ParseUint(settings[key], 16, 32)
		if err != nil {
			return fmt.Errorf("%s is %q: %w", key, settings[key], ErrCorrupt)
		}
		*to = uint32(n)
	}
	d.createType, d.parentName = settings["createtype"], settings["parentfilenamehint"]
	if d.parentName != "" && d.parentCID == noParent {
		return fmt.Errorf("it has the parent %q without a parentCID: %w", baseName(d.parentName), ErrCorrupt)
	}
	if len(d.extents) == 0 {
		return fmt.Errorf("it has no extents: %w", ErrCorrupt)
	}
	decode := func(name *string) (err error) { *name, err = decodeVMDK(settings["encoding"], *name); return err }
	if err := decode(&d.parentName); err != nil {
		return err
	}
	for n := range d.extents {
		if err := decode(&d.extents[n].name); err != nil {
			return err
		}
	}
	return d.numbered()
}

// vmdkNumber is the end of the name of an extent of a split image. They count from 1.
var vmdkNumber = regexp.MustCompile(`(?i)-[sf]([0-9]{3,4})\.vmdk$`)

// numbered returns an error if the numbers in the names of extents have a gap: a line that
// is missing would move the rest of the disk.
func (d *vmdkDescriptor) numbered() error {
	before := 0
	for _, e := range d.extents {
		match := vmdkNumber.FindStringSubmatch(e.name)
		if match == nil {
			continue
		}
		if n, _ := strconv.Atoi(match[1]); n != before+1 {
			return fmt.Errorf("%q comes after number %d: %w", e.name, before, ErrCorrupt)
		}
		before++
	}
	return nil
}

// parseVMDKExtent parses what follows the access.
func parseVMDKExtent(access, rest string) (vmdkLine, error) {
	rest, name, quoted := strings.Cut(rest, `"`)
	fields := strings.Fields(rest)
	if len(fields) != 2 {
		return vmdkLine{}, fmt.Errorf("an extent without a size and a type: %w", ErrCorrupt)
	}
	e := vmdkLine{access: access, kind: fields[1]}
	sectors, err := strconv.ParseInt(fields[0], 10, 64)
	switch {
	case err != nil || sectors < 1:
		return e, fmt.Errorf("an extent of %q sectors: %w", fields[0], ErrCorrupt)
	case sectors > maxVMDKSize/sector:
		return e, fmt.Errorf("an extent of %d sectors: %w", sectors, ErrLimit)
	}
	e.size = sectors * sector
	switch e.kind {
	case "ZERO":
		return e, nil
	case "SPARSE", "FLAT", "VMFS", "VMFSSPARSE":
	case "SESPARSE":
		return e, fmt.Errorf("an SE sparse extent: %w", ErrUnsupported)
	case "VMFSRDM", "VMFSRAW":
		return e, fmt.Errorf("an extent on a device of its host (%s): %w", e.kind, ErrUnsupported)
	default:
		return e, fmt.Errorf("an extent of the unknown type %q: %w", e.kind, ErrUnsupported)
	}
	name, after, closed := strings.Cut(name, `"`)
	if !quoted || !closed || name == "" {
		return e, fmt.Errorf("an extent without a file: %w", ErrCorrupt)
	}
	e.name = name
	switch fields := strings.Fields(after); len(fields) {
	case 0:
	case 1:
		start, err := strconv.ParseInt(fields[0], 10, 64)
		switch {
		case err != nil || start < 0 || start > maxVMDKSize/sector:
			return e, fmt.Errorf("an extent at sector %q of its file: %w", fields[0], ErrCorrupt)
		case start > 0 && strings.HasSuffix(e.kind, "SPARSE"):
			return e, fmt.Errorf("a sparse extent that begins within its file: %w", ErrUnsupported)
		}
		e.at = start * sector
	default:
		return e, fmt.Errorf("an extent on a device of its host: %w", ErrUnsupported)
	}
	return e, nil
}

// vmdkEncodings are the encodings that VMware's products write, by their names in
// lower case. A text without a name is UTF-8.
var vmdkEncodings = map[string]encoding.Encoding{
	"windows-1252": charmap.Windows1252, "iso-8859-1": charmap.ISO8859_1,
	"windows-1250": charmap.Windows1250, "windows-1251": charmap.Windows1251,
	"shift_jis": japanese.ShiftJIS, "windows-932": japanese.ShiftJIS, "euc-jp": japanese.EUCJP,
	"gbk": simplifiedchinese.GBK, "windows-936": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030,
	"big5": traditionalchinese.Big5, "windows-950": traditionalchinese.Big5,
	"euc-kr": korean.EUCKR, "windows-949": korean.EUCKR,
}

// decodeVMDK decodes a name in a descriptor.
func decodeVMDK(name, text string) (string, error) {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return text, nil
	}
	known := vmdkEncodings[strings.ToLower(name)]
	switch {
	case known != nil:
		if s, err := known.NewDecoder().String(text); err == nil && !strings.ContainsRune(s, utf8.RuneError) {
			return s, nil
		}
	case name != "" && !strings.EqualFold(name, "UTF-8"):
		return "", fmt.Errorf("names in the encoding %q: %w", name, ErrUnsupported)
	case utf8.ValidString(text):
		return text, nil
	}
	return "", fmt.Errorf("a name is not in the encoding %q: %w", name, ErrCorrupt)
}

// openVMDKText opens the image whose descriptor is a file of its own.
func openVMDKText(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	d, err := readVMDKText(first, 0, first.Size())
	if err != nil {
		return nil, vmdkHint(err, first)
	}
	return openVMDK(ctx, first, d, nil, o)
}
