package container

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// The structures of the Expert Witness Compression Format, as the Expert Witness
// Compression Format specification of libewf describes them. Numbers are little
// endian, and checksums are Adler-32.

const (
	ewfMagic = "EVF\x09\x0d\x0a\xff\x00"
	// ewfHead is the size of the file header in bytes: magic, a byte, the number of
	// the segment at 9 in two bytes, two bytes.
	ewfHead = 13
	// ewfStart is the size of a section descriptor in bytes.
	ewfStart = 76
)

// ewfSection is a section descriptor ("Section descriptor"): type in 16 bytes, at 16
// the offset of the next section in the file, at 24 the size with the descriptor, at
// 72 the checksum. Some programs leave the size 0.
type ewfSection struct {
	kind string
	file *source.Source
	at   int64 // of the descriptor in the file, in bytes
	end  int64 // of the section in the file
}

// data is where the data of the section begins in the file, and size how many bytes
// it has.
func (d ewfSection) data() int64 { return d.at + ewfStart }
func (d ewfSection) size() int64 { return d.end - d.data() }

// last reports whether no section follows in the same segment.
func (d ewfSection) last() bool { return d.kind == "next" || d.kind == "done" }

// corrupt is the error for a section that is wrong.
func (d ewfSection) corrupt(format string, args ...any) error {
	return fmt.Errorf("%s: the section %q at byte %d: %s: %w", d.file.Name(), d.kind, d.at,
		fmt.Sprintf(format, args...), ErrCorrupt)
}

// readEWFSection reads the descriptor at an offset of a segment.
func readEWFSection(s *source.Source, at int64) (ewfSection, error) {
	d := ewfSection{file: s, at: at}
	if at > s.Size()-ewfStart {
		return d, ewfTruncated(s, at+ewfStart)
	}
	b := make([]byte, ewfStart)
	if _, err := readFull(s, b, at); err != nil {
		return d, err
	}
	if !ewfSum(b[:72], b[72:]) {
		return d, fmt.Errorf("%s: the checksum of the section descriptor at byte %d is wrong: %w",
			s.Name(), at, ErrCorrupt)
	}
	kind, _, _ := bytes.Cut(b[:16], []byte{0})
	next, size := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	if d.kind = string(kind); d.last() {
		d.end = at + ewfStart
		return d, nil // its next offset is its own, or the end of the file
	}
	switch {
	case next < uint64(at)+ewfStart:
		return d, d.corrupt("the next section is at byte %d", next)
	case size != 0 && uint64(at)+size != next:
		return d, d.corrupt("it has %d bytes, and the next section is at byte %d", size, next)
	case next > uint64(s.Size()):
		return d, ewfTruncated(s, int64(min(next, 1<<62)))
	}
	d.end = int64(next)
	return d, nil
}

// ewfTruncated is the error for a segment that ends before its sections do.
func ewfTruncated(s *source.Source, need int64) error {
	return fmt.Errorf("%s: %w", s.Name(), hinted{
		fmt.Errorf("the segment is truncated: it has %d bytes, and at least %d are needed: %w", s.Size(), need,
			ErrIncomplete), hintCopyAgain})
}

const hintCopyAgain = "copy the file again, or acquire the image again if the acquisition did not end"

// ewfSum reports whether a checksum is that of data.
func ewfSum(data, sum []byte) bool { return adler32.Checksum(data) == binary.LittleEndian.Uint32(sum) }

// ewfMedia are the media values ("Volume section"). Those that describe the image are
// the same in all segments.
type ewfMedia struct {
	chunks  uint32 // of the image
	perOne  uint32 // sectors of a chunk
	sector  uint32 // size of a sector in bytes
	sectors uint64 // of the disk
	smart   bool   // the short form: of ASR Data's format and SMART
	logical bool
	set     [16]byte // identifies the segments of an image; zeros where it is not set
}

// Sizes of the media values in bytes: the short form of ASR Data's specification and
// SMART, and that of EnCase, FTK Imager and linen.
const (
	ewfShortMedia = 94
	ewfLongMedia  = 1052
)

// readEWFMedia reads the media values of a section volume, disk or data. Both forms
// have at 4 the number of chunks, at 8 the sectors of a chunk, at 12 the bytes of a
// sector, at 16 the number of sectors (in 4 bytes in the short form, 8 in the other)
// and in the last 4 bytes the checksum; the long one has at 0 the media type and at 64
// the identifier of the set.
func readEWFMedia(d ewfSection) (ewfMedia, error) {
	size := d.size()
	if size != ewfShortMedia && size != ewfLongMedia {
		return ewfMedia{}, d.corrupt("it has %d bytes of media values", size)
	}
	b := make([]byte, size)
	if _, err := readFull(d.file, b, d.data()); err != nil {
		return ewfMedia{}, err
	}
	le := binary.LittleEndian
	// Some imagers of Logicube leave the checksum of a section data 0.
	if data, sum := b[:size-4], b[size-4:]; !ewfSum(data, sum) && (d.kind != "data" || le.Uint32(sum) != 0) {
		return ewfMedia{}, d.corrupt("its checksum is wrong")
	}
	m := ewfMedia{chunks: le.Uint32(b[4:]), perOne: le.Uint32(b[8:]), sector: le.Uint32(b[12:]),
		sectors: uint64(le.Uint32(b[16:])), smart: size == ewfShortMedia}
	if !m.smart {
		m.sectors = le.Uint64(b[16:])
		m.logical = b[0] == 0x0e // "Media type"
		copy(m.set[:], b[64:])
	}
	return m, nil
}

// maxEWFSectors bounds how many sectors a chunk has: no program writes more.
const maxEWFSectors = 32768

// check returns why media values cannot be.
func (m ewfMedia) check(d ewfSection) error {
	switch size := uint64(m.perOne) * uint64(m.sector); {
	case m.logical:
		return fmt.Errorf("%s: %w", d.file.Name(), hinted{
			fmt.Errorf("a logical image, which contains files: %w", ErrUnsupported), hintLogical})
	case size == 0 || m.sectors == 0:
		return d.corrupt("%d sectors of %d bytes in chunks of %d", m.sectors, m.sector, m.perOne)
	case size < sector: // to bound how many chunks there are for the bytes of a read
		return d.corrupt("chunks of %d bytes", size)
	case m.perOne > maxEWFSectors || size > largestBlock:
		return fmt.Errorf("%s: the section %q at byte %d: chunks of %d sectors of %d bytes: %w",
			d.file.Name(), d.kind, d.at, m.perOne, m.sector, ErrLimit)
	case m.count() != uint64(m.chunks):
		return d.corrupt("%d sectors in %d chunks of %d", m.sectors, m.chunks, m.perOne)
	}
	return nil
}

// count is how many chunks the sectors need.
func (m ewfMedia) count() uint64 {
	n := m.sectors / uint64(m.perOne)
	if m.sectors%uint64(m.perOne) > 0 {
		n++
	}
	return n
}

// sameSet returns why two segments cannot be of the same image; "" if they can.
func (m ewfMedia) sameSet(other ewfMedia) string {
	switch {
	case m.set != other.set && m.set != [16]byte{} && other.set != [16]byte{}:
		return "the identifier of its set is another"
	case m.chunks != other.chunks || m.perOne != other.perOne || m.sector != other.sector ||
		m.sectors != other.sectors:
		return "its media values are others"
	}
	return ""
}

// ewfRange are sectors, or bytes, from start up to end.
type ewfRange struct{ start, end int64 }

// maxEWFErrors bounds how many ranges of sectors with read errors are kept.
const maxEWFErrors = 1 << 20

// readEWFErrors reads the sectors that could not be read when the image was made
// ("Error2 section"): their number of entries at 0, a checksum at 516, from 520 the
// first sector and the number of sectors of each entry in 4 bytes each, and a checksum
// of the entries.
func readEWFErrors(d ewfSection) ([]ewfRange, error) {
	const head, entry = 520, 8
	if d.size() < head {
		return nil, d.corrupt("it has %d bytes", d.size())
	}
	b := make([]byte, head)
	if _, err := readFull(d.file, b, d.data()); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	count := int64(le.Uint32(b))
	switch {
	case !ewfSum(b[:516], b[516:]):
		return nil, d.corrupt("its checksum is wrong")
	case count > maxEWFErrors:
		return nil, fmt.Errorf("%s: the section %q at byte %d: %d ranges: %w", d.file.Name(), d.kind, d.at, count,
			ErrLimit)
	case count == 0:
		return nil, nil
	case d.size() < head+count*entry+4:
		return nil, d.corrupt("%d entries in %d bytes", count, d.size())
	}
	b = make([]byte, count*entry+4)
	if _, err := readFull(d.file, b, d.data()+head); err != nil {
		return nil, err
	}
	if entries := b[:count*entry]; !ewfSum(entries, b[len(entries):]) {
		return nil, d.corrupt("the checksum of its entries is wrong")
	}
	list := make([]ewfRange, 0, count)
	for ; len(b) > 4; b = b[entry:] {
		start := int64(le.Uint32(b))
		list = append(list, ewfRange{start, start + int64(le.Uint32(b[4:]))})
	}
	return list, nil
}

// readEWFSums reads the hashes in a section hash (MD5 at 0, a checksum at 32) or digest
// (MD5 at 0, SHA-1 at 16, a checksum at 76). A hash that is zeros is not set.
func readEWFSums(d ewfSection) (list []Sum, err error) {
	size := 36
	if d.kind == "digest" {
		size = 80
	}
	if d.size() < int64(size) {
		return nil, d.corrupt("it has %d bytes", d.size())
	}
	b := make([]byte, size)
	if _, err := readFull(d.file, b, d.data()); err != nil {
		return nil, err
	}
	if !ewfSum(b[:size-4], b[size-4:]) {
		return nil, d.corrupt("its checksum is wrong")
	}
	if sum := b[:16]; !allZeros(sum) {
		list = append(list, Sum{"md5", fmt.Sprintf("%x", sum)})
	}
	if sum := b[16:36]; d.kind == "digest" && !allZeros(sum) {
		list = append(list, Sum{"sha1", fmt.Sprintf("%x", sum)})
	}
	return list, nil
}

func allZeros(b []byte) bool { return len(b) == bytes.Count(b, []byte{0}) }
