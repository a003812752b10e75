package disk

import (
	"encoding/binary"
	"fmt"
	"io"
)

// partition is a partition as its table describes it.
type partition struct {
	number         int
	offset, size   int64 // in bytes
	typ            string
	typeName       string
	name           string
	guid           GUID
	active, hidden bool
	noLetter       bool
	ntfs           bool // the type is one of those that Windows gives to NTFS
}

// table is a partition table with all that was noticed when it was read.
type table struct {
	kind       string
	sectorSize int
	signature  uint32
	guid       GUID
	hybrid     bool // an MBR with partitions of its own
	short      bool // the image ends before the disk does
	partitions []partition
	notes      []string
	problems   []error // why a part could not be read; also among the notes
}

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) problem(err error) {
	t.problems = append(t.problems, err)
	t.notes = append(t.notes, err.Error())
}

// maxLogical bounds the chain of logical partitions. Windows and Linux number
// far fewer, and every link costs a read.
const maxLogical = 128

// mbrEntry is one of the four entries of a boot record: status, type, first
// sector and number of sectors. The addresses by cylinder, head and sector are
// not decoded: they are redundant.
type mbrEntry struct {
	status, typ    byte
	first, sectors uint32
	chs            bool // an address by cylinder, head and sector is there
}

func (e mbrEntry) extended() bool {
	return e.typ == mbrExtended || e.typ == mbrExtendedLBA || e.typ == mbrExtendedLinux
}

// mbrEntries decodes the table at 446 of a boot record. ok reports whether the
// sector is a boot record: boot sectors of filesystems end in the same two
// bytes, but have text or code where an entry has 0x00 or 0x80.
func mbrEntries(sector []byte) (entries [4]mbrEntry, ok bool) {
	if len(sector) < 512 || sector[510] != 0x55 || sector[511] != 0xaa {
		return entries, false
	}
	for i := range entries {
		b := sector[446+16*i:][:16]
		if b[0] != 0 && b[0] != 0x80 {
			return entries, false
		}
		entries[i] = mbrEntry{
			status: b[0], typ: b[4],
			first: binary.LittleEndian.Uint32(b[8:]), sectors: binary.LittleEndian.Uint32(b[12:]),
			chs: b[1]|b[2]|b[3]|b[5]|b[6]|b[7] != 0,
		}
	}
	return entries, true
}

// protective reports whether one of the entries says that the disk has a GPT.
// Linux and Windows look for it in all four.
func protective(entries [4]mbrEntry) bool {
	for _, e := range entries {
		if e.typ == mbrProtective {
			return true
		}
	}
	return false
}

// readMBR reads the partitions of the boot record in sector 0, with the
// logical ones. Protective entries are left out.
func readMBR(r io.ReaderAt, sector0 []byte, sectorSize int) *table {
	entries, _ := mbrEntries(sector0)
	t := &table{kind: "mbr", sectorSize: sectorSize, signature: binary.LittleEndian.Uint32(sector0[440:])}
	var extended []mbrEntry
	for i, e := range entries {
		switch {
		case e.typ == 0 || e.typ == mbrProtective:
		case e.first == 0 && e.sectors == 0 && e.chs:
			t.problem(fmt.Errorf("partition %d: %w: it is placed by cylinder, head and sector only", i+1, ErrUnsupported))
		case e.sectors == 0:
			t.note("partition %d: has no sectors", i+1)
		case e.extended():
			extended = append(extended, e)
		default:
			t.add(i+1, e, 0)
		}
	}
	if len(extended) > 1 {
		t.note("there are %d extended partitions, where one is allowed", len(extended))
	}
	number := 5
	for _, e := range extended {
		number = t.readLogical(r, uint64(e.first), uint64(e.sectors), number)
	}
	if len(t.partitions) == 0 && len(t.notes) == 0 {
		t.note("the partition table is empty")
	}
	return t
}

// add adds the partition of an entry whose first sector counts from base.
func (t *table) add(number int, e mbrEntry, base uint64) {
	size := uint64(t.sectorSize)
	t.partitions = append(t.partitions, partition{
		number: number,
		offset: int64((base + uint64(e.first)) * size), // below 2^33 sectors of 2^12 bytes
		size:   int64(uint64(e.sectors) * size),
		typ:    fmt.Sprintf("0x%02x", e.typ), typeName: mbrTypes[e.typ],
		active: e.status == 0x80, hidden: mbrHidden(e.typ),
		ntfs: e.typ == mbrNTFS || e.typ == mbrHiddenNTFS || e.typ == mbrRecovery,
	})
	switch e.typ {
	case mbrDynamic, mbrStorageSpaces:
		t.problem(fmt.Errorf("partition %d: %w: %s", number, ErrUnsupported, mbrTypes[e.typ]))
	}
}

// readLogical follows the chain of extended boot records of the extended
// partition that begins at sector first, numbering the partitions from number
// on. Each record holds a logical partition, whose first sector counts from the
// record, and a link to the next one, which counts from first.
func (t *table) readLogical(r io.ReaderAt, first, sectors uint64, number int) int {
	broken := func(format string, args ...any) {
		t.problem(fmt.Errorf("%w: logical partitions after number %d: %s",
			ErrCorrupt, number-1, fmt.Sprintf(format, args...)))
	}
	seen := make(map[uint64]bool)
	record := make([]byte, 512)
	for ebr := first; ; {
		if len(seen) == maxLogical {
			broken("more than %d", maxLogical)
			return number
		}
		if seen[ebr] {
			broken("the chain returns to sector %d", ebr)
			return number
		}
		seen[ebr] = true
		if _, err := r.ReadAt(record, int64(ebr)*int64(t.sectorSize)); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = fmt.Errorf("%w: the image ends before it", ErrCorrupt)
			}
			t.problem(fmt.Errorf("logical partitions after number %d: sector %d: %w", number-1, ebr, err))
			return number
		}
		entries, ok := mbrEntries(record)
		if !ok {
			broken("sector %d is no extended boot record", ebr)
			return number
		}
		var next uint64
		linked := false
		for _, e := range entries {
			switch {
			case e.typ == 0 || e.sectors == 0:
			case e.extended() && linked:
				broken("sector %d names two next ones", ebr)
				return number
			case e.extended() && uint64(e.first) >= sectors:
				broken("sector %d names a next one outside of the extended partition", ebr)
				return number
			case e.extended():
				next, linked = first+uint64(e.first), true
			default:
				t.add(number, e, ebr)
				number++
			}
		}
		if !linked {
			return number
		}
		ebr = next
	}
}
