package machine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// A FileVersion is the version of a program, of four numbers, the first of
// which counts most.
type FileVersion [4]uint32

// ParseFileVersion reads a version such as 2.11.0, of one to four numbers.
// Numbers that are not written are 0.
func ParseFileVersion(text string) (FileVersion, error) {
	var v FileVersion
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) > len(v) {
		return FileVersion{}, fmt.Errorf("%q is not a version", text)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return FileVersion{}, fmt.Errorf("%q is not a version", text)
		}
		v[i] = uint32(n)
	}
	return v, nil
}

// Compare returns -1 if v is older than w, 1 if it is newer, and 0 if they are
// the same.
func (v FileVersion) Compare(w FileVersion) int {
	for i := range v {
		if c := cmp.Compare(v[i], w[i]); c != 0 {
			return c
		}
	}
	return 0
}

// String is the version in three numbers, or four if the last one is not 0.
func (v FileVersion) String() string {
	n := len(v)
	if v[n-1] == 0 {
		n--
	}
	var parts []string
	for _, number := range v[:n] {
		parts = append(parts, strconv.FormatUint(uint64(number), 10))
	}
	return strings.Join(parts, ".")
}

// ErrNoVersion says that a program has no version resource.
var ErrNoVersion = errors.New("the file has no version")

// FileVersion reads the version of a program or driver from its version
// resource. A file that does not exist is no error: see File.Exists. The error
// wraps ErrNoVersion if the file has none, and kind.Corrupt if it is no program.
func (m *Machine) FileVersion(win string) (FileVersion, File, error) {
	v, name, err := m.Locate(win)
	if err != nil {
		return FileVersion{}, File{}, err
	}
	f, err := v.File(name)
	if err != nil || !f.Exists {
		return FileVersion{}, f, err
	}
	r, size, err := v.Open(name)
	if err != nil {
		return FileVersion{}, f, err
	}
	if err := v.meter.Bytes(maxVersionReads); err != nil {
		return FileVersion{}, f, v.Problem(name, err)
	}
	version, err := readFileVersion(io.NewSectionReader(r, 0, size))
	if err != nil {
		return FileVersion{}, f, v.Problem(name, err)
	}
	f.Evidence.Content = true
	f.Evidence.Data = "version " + version.String()
	return version, f, nil
}

const (
	maxSections        = 96      // the loader of Windows accepts no more
	maxResourceEntries = 4096    // entries of a resource directory
	maxVersionReads    = 1 << 17 // bytes that are read of a file at most
)

// Sizes and offsets of structures (Microsoft, PE Format).
const (
	offsetOfHeader  = 0x3c // of the offset of the signature "PE\0\0"
	coffSize        = 4 + 20
	sectionSize     = 40
	resourceType    = 16 // RT_VERSION
	resourceFolder  = 1 << 31
	magicPE32       = 0x10b
	magicPE32Plus   = 0x20b
	directories32   = 96 // of the data directories in the optional header
	directories64   = 112
	resourcesEntry  = 2 // of the data directories
	fixedInfoOffset = 40
	fixedInfoMagic  = 0xFEEF04BD
)

// readFileVersion finds VS_FIXEDFILEINFO in the resources of a program: the
// section table places the resource directory, whose three levels are type,
// name and language. Of several names and languages the first counts.
func readFileVersion(r *io.SectionReader) (FileVersion, error) {
	sections, resources, err := readSections(r)
	if err != nil {
		return FileVersion{}, err
	}
	base, err := sections.offset(resources)
	if err != nil {
		return FileVersion{}, err
	}
	at := uint32(0)
	for level := range 3 {
		if at, err = resourceEntry(r, base, at, level); err != nil {
			return FileVersion{}, err
		}
	}
	data, err := readAt(r, base+int64(at), 16)
	if err != nil {
		return FileVersion{}, err
	}
	if size := binary.LittleEndian.Uint32(data[4:]); size < fixedInfoOffset+16 {
		return FileVersion{}, fmt.Errorf("%w: a version resource of %d bytes", kind.Corrupt, size)
	}
	info, err := sections.offset(binary.LittleEndian.Uint32(data))
	if err != nil {
		return FileVersion{}, err
	}
	// VS_VERSIONINFO: three numbers of 16 bits, the key VS_VERSION_INFO in
	// UTF-16, padding to a multiple of four, then VS_FIXEDFILEINFO.
	fixed, err := readAt(r, info+fixedInfoOffset, 16)
	if err != nil {
		return FileVersion{}, err
	}
	if binary.LittleEndian.Uint32(fixed) != fixedInfoMagic {
		return FileVersion{}, fmt.Errorf("%w: no VS_FIXEDFILEINFO in the version resource", kind.Corrupt)
	}
	high, low := binary.LittleEndian.Uint32(fixed[8:]), binary.LittleEndian.Uint32(fixed[12:])
	return FileVersion{high >> 16, high & 0xffff, low >> 16, low & 0xffff}, nil
}

// A peSection says where a part of the loaded program is in the file.
type peSection struct{ address, size, offset uint32 }

type peSections []peSection

// offset is where in the file the byte is that is loaded at a relative virtual address.
func (sections peSections) offset(address uint32) (int64, error) {
	for _, s := range sections {
		if address >= s.address && address-s.address < s.size {
			return int64(s.offset) + int64(address-s.address), nil
		}
	}
	return 0, fmt.Errorf("%w: no section has the address 0x%x", kind.Corrupt, address)
}

// readSections reads the headers of a program: its sections, and the address of
// its resource directory.
func readSections(r *io.SectionReader) (peSections, uint32, error) {
	dos, err := readAt(r, 0, offsetOfHeader+4)
	if err != nil {
		return nil, 0, err
	}
	at := int64(binary.LittleEndian.Uint32(dos[offsetOfHeader:]))
	if string(dos[:2]) != "MZ" {
		return nil, 0, fmt.Errorf("%w: the file is no program", kind.Corrupt)
	}
	coff, err := readAt(r, at, coffSize)
	if err != nil {
		return nil, 0, err
	}
	if string(coff[:4]) != "PE\x00\x00" {
		return nil, 0, fmt.Errorf("%w: the file is no program for Windows", kind.Corrupt)
	}
	count, optionalSize := binary.LittleEndian.Uint16(coff[6:]), binary.LittleEndian.Uint16(coff[20:])
	if count > maxSections {
		return nil, 0, fmt.Errorf("%w: %d sections", kind.Corrupt, count)
	}
	optional, err := readAt(r, at+coffSize, int(optionalSize))
	if err != nil {
		return nil, 0, err
	}
	resources, err := resourceAddress(optional)
	if err != nil {
		return nil, 0, err
	}
	table, err := readAt(r, at+coffSize+int64(optionalSize), int(count)*sectionSize)
	if err != nil {
		return nil, 0, err
	}
	var sections peSections
	for ; len(table) > 0; table = table[sectionSize:] {
		sections = append(sections, peSection{binary.LittleEndian.Uint32(table[12:]),
			binary.LittleEndian.Uint32(table[16:]), binary.LittleEndian.Uint32(table[20:])})
	}
	return sections, resources, nil
}

// resourceAddress finds the resource directory in the optional header.
func resourceAddress(optional []byte) (uint32, error) {
	if len(optional) < 2 {
		return 0, fmt.Errorf("%w: the optional header is missing", kind.Corrupt)
	}
	at := directories32
	switch magic := binary.LittleEndian.Uint16(optional); magic {
	case magicPE32:
	case magicPE32Plus:
		at = directories64
	default:
		return 0, fmt.Errorf("%w: an optional header of kind 0x%x", kind.Corrupt, magic)
	}
	if len(optional) < at {
		return 0, fmt.Errorf("%w: an optional header of %d bytes", kind.Corrupt, len(optional))
	}
	entry := at + resourcesEntry*8
	if binary.LittleEndian.Uint32(optional[at-4:]) <= resourcesEntry || len(optional) < entry+8 {
		return 0, ErrNoVersion
	}
	address := binary.LittleEndian.Uint32(optional[entry:])
	if address == 0 {
		return 0, ErrNoVersion
	}
	return address, nil
}

// resourceEntry returns the offset, from the base of the resources, of what an
// entry of the directory at that offset leads to: on the first level that of
// the versions, on the others the first entry.
func resourceEntry(r *io.SectionReader, base int64, at uint32, level int) (uint32, error) {
	header, err := readAt(r, base+int64(at), 16)
	if err != nil {
		return 0, err
	}
	count := int(binary.LittleEndian.Uint16(header[12:])) + int(binary.LittleEndian.Uint16(header[14:]))
	if count > maxResourceEntries {
		return 0, fmt.Errorf("%w: a resource directory with %d entries", kind.Corrupt, count)
	}
	entries, err := readAt(r, base+int64(at)+16, 8*count)
	if err != nil {
		return 0, err
	}
	for ; len(entries) > 0; entries = entries[8:] {
		id, to := binary.LittleEndian.Uint32(entries), binary.LittleEndian.Uint32(entries[4:])
		if level == 0 && id != resourceType {
			continue
		}
		if folder := to&resourceFolder != 0; folder != (level < 2) {
			return 0, fmt.Errorf("%w: a version resource on level %d", kind.Corrupt, level+1)
		}
		return to &^ resourceFolder, nil
	}
	return 0, ErrNoVersion
}

// readAt reads a structure of a program. What is beyond the end of the file is
// missing.
func readAt(r *io.SectionReader, at int64, size int) ([]byte, error) {
	if at > r.Size()-int64(size) {
		return nil, fmt.Errorf("%w: the program ends at %d, before %d", kind.Corrupt, r.Size(), at+int64(size))
	}
	data := make([]byte, size)
	if _, err := r.ReadAt(data, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
