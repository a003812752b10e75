package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/bits"
	"time"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

// maxEntriesSize bounds the array of partition entries that is read into
// memory. The usual one has 16 KiB.
const maxEntriesSize = 16 << 20

// gptEntrySize is the size of an entry. The format allows for larger ones; no
// system is known that makes or reads them.
const gptEntrySize = 128

// maxPartitions bounds the partitions of a disk: each costs a read, and
// Windows allows 128.
const maxPartitions = 1024

// errNoGPT means that there is no GPT signature in the expected place.
var errNoGPT = errors.New("no GPT header")

// gptCopy is one of the two copies of a GPT, its checksums verified.
type gptCopy struct {
	header  []byte // its first 92 bytes
	entries []byte
}

func (g *gptCopy) alternate() uint64   { return binary.LittleEndian.Uint64(g.header[32:]) }
func (g *gptCopy) firstUsable() uint64 { return binary.LittleEndian.Uint64(g.header[40:]) }
func (g *gptCopy) lastUsable() uint64  { return binary.LittleEndian.Uint64(g.header[48:]) }

// readGPTCopy reads the header in sector lba and the entries that it names
// (UEFI 2.10 section 5.3.2). An error that follows a header whose own checksum
// is right comes with the header. It is errNoGPT, ErrCorrupt, ErrUnsupported
// or of the reader.
func readGPTCopy(r io.ReaderAt, size int64, lba uint64, sectorSize int) (*gptCopy, error) {
	const minHeader = 92
	off, ok := sectorOffset(lba, sectorSize, size)
	if !ok {
		return nil, errNoGPT
	}
	sector := make([]byte, sectorSize)
	if _, err := r.ReadAt(sector, off); err != nil {
		return nil, err
	}
	if !has(sector, 0, "EFI PART") {
		return nil, errNoGPT
	}
	headerSize := le32(sector, 12)
	if headerSize < minHeader || int(headerSize) > sectorSize {
		return nil, fmt.Errorf("%w: GPT header of %d bytes", ErrCorrupt, headerSize)
	}
	stored := le32(sector, 16)
	clear(sector[16:20])
	if sum := crc32.ChecksumIEEE(sector[:headerSize]); sum != stored {
		return nil, fmt.Errorf("%w: GPT header: its checksum is %08x, not %08x as it says", ErrCorrupt, sum, stored)
	}
	g := &gptCopy{header: sector[:minHeader]}
	if my := le64(sector, 24); my != lba {
		return nil, fmt.Errorf("%w: GPT header: it records sector %d", ErrCorrupt, my)
	}
	entriesLBA, count, entrySize := le64(sector, 72), le32(sector, 80), le32(sector, 84)
	if entrySize != gptEntrySize {
		return g, fmt.Errorf("%w: GPT with entries of %d bytes", ErrUnsupported, entrySize)
	}
	length := int64(count) * gptEntrySize
	if count == 0 {
		return g, fmt.Errorf("%w: GPT without entries", ErrCorrupt)
	}
	if length > maxEntriesSize {
		return g, fmt.Errorf("%w: GPT with %d entries", ErrUnsupported, count)
	}
	off, ok = sectorOffset(entriesLBA, sectorSize, size)
	if !ok || off < int64(sectorSize) || length > size-off {
		return g, fmt.Errorf("%w: GPT entries are outside the image, in sector %d", ErrCorrupt, entriesLBA)
	}
	g.entries = make([]byte, length)
	if _, err := r.ReadAt(g.entries, off); err != nil {
		return g, err
	}
	if sum, stored := crc32.ChecksumIEEE(g.entries), le32(sector, 88); sum != stored {
		return g, fmt.Errorf("%w: GPT entries: their checksum is %08x, not %08x as the header says", ErrCorrupt, sum, stored)
	}
	return g, nil
}

// sectorOffset returns the offset of a sector that is completely inside the image.
func sectorOffset(lba uint64, sectorSize int, size int64) (int64, bool) {
	sectors := uint64(size) / uint64(sectorSize)
	if lba >= sectors {
		return 0, false
	}
	return int64(lba) * int64(sectorSize), true
}

// readGPT reads the GPT of a disk with sectors of the given size. last is the
// last sector as a protective MBR gives it, 0 if not known. The error is
// errNoGPT if there is no trace of one, else it describes the damage to both
// copies.
func readGPT(r io.ReaderAt, size int64, sectorSize int, last uint64) (*table, error) {
	t := &table{kind: "gpt", sectorSize: sectorSize}
	primary, primaryErr := readGPTCopy(r, size, 1, sectorSize)

	// The second copy is where the first says, on most disks in the last sector. If
	// the image is larger or smaller than its disk was, it is elsewhere.
	var places []uint64
	if primary != nil {
		places = append(places, primary.alternate())
	}
	if primaryErr != nil {
		places = append(places, uint64(size)/uint64(sectorSize)-1, last)
	}
	var backup *gptCopy
	backupErr := errNoGPT
	for _, lba := range places {
		if lba < 2 {
			continue
		}
		g, err := readGPTCopy(r, size, lba, sectorSize)
		if err == nil || backupErr == errNoGPT {
			backup, backupErr = g, err
		}
		if err == nil {
			break
		}
	}

	switch {
	case primaryErr == nil && backupErr == nil:
		if !bytes.Equal(primary.entries, backup.entries) || !bytes.Equal(primary.header[56:72], backup.header[56:72]) {
			t.note("the backup GPT differs from the first one, which was used")
		}
	case primaryErr == nil && backupErr == errNoGPT:
		if off, ok := sectorOffset(primary.alternate(), sectorSize, size); ok {
			t.note("the backup GPT is missing at offset %d", off)
		} else {
			t.short = true
			t.note("the image ends before the backup GPT, which belongs in sector %d: it is shorter than the disk was",
				primary.alternate())
		}
	case primaryErr == nil:
		t.note("the backup GPT is damaged: %v", backupErr)
	case backupErr == nil:
		t.note("the first GPT is damaged, the backup was used: %v", primaryErr)
		primary = backup
	case primaryErr == errNoGPT && backupErr == errNoGPT:
		return nil, errNoGPT
	case primaryErr == errNoGPT:
		return nil, fmt.Errorf("the first GPT is missing and its backup is damaged: %w", backupErr)
	default:
		return nil, fmt.Errorf("both copies of the GPT are damaged: %w; backup: %w", primaryErr, backupErr)
	}
	return t, t.decodeGPT(primary)
}

// decodeGPT has go-diskfs decode a verified copy. It is given a disk in memory
// that holds just this copy, so it has no length to believe and no other
// place to look.
func (t *table) decodeGPT(g *gptCopy) (err error) {
	used := 0
	for e := g.entries; len(e) > 0; e = e[gptEntrySize:] {
		if GUID(e[:16]) != (GUID{}) {
			used++
		}
	}
	if used > maxPartitions {
		return fmt.Errorf("%w: GPT with %d partitions", ErrUnsupported, used)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: GPT: %v", ErrCorrupt, p)
		}
	}()
	decoded, err := gpt.Read(newMemoryDisk(g), memorySector, memorySector)
	if err != nil {
		return fmt.Errorf("%w: GPT: %w", ErrCorrupt, err)
	}
	if t.guid, err = ParseGUID(decoded.GUID); err != nil {
		return fmt.Errorf("%w: GPT: %w", ErrCorrupt, err)
	}
	for _, p := range decoded.Partitions {
		t.addGPT(p, g)
	}
	if len(decoded.Partitions) == 0 {
		t.note("the partition table is empty")
	}
	return nil
}

// Attribute bits of an entry: bit 2 for all types (UEFI 2.10 table 5.8), the
// others for Microsoft's (PARTITION_INFORMATION_GPT).
const (
	gptLegacyBoot = 1 << 2
	gptHidden     = 1 << 62
	gptNoLetter   = 1 << 63
)

func (t *table) addGPT(p *gpt.Partition, g *gptCopy) {
	typ := string(p.Type)
	if p.End < p.Start {
		t.problem(fmt.Errorf("%w: partition %d ends in sector %d, before it begins in sector %d",
			ErrCorrupt, p.Index, p.End, p.Start))
		return
	}
	hi, end := bits.Mul64(p.End, uint64(t.sectorSize))
	if hi != 0 || end > 1<<62 {
		t.problem(fmt.Errorf("%w: partition %d ends in sector %d", ErrCorrupt, p.Index, p.End))
		return
	}
	guid, err := ParseGUID(p.GUID)
	if err != nil {
		t.problem(fmt.Errorf("%w: partition %d: %w", ErrCorrupt, p.Index, err))
		return
	}
	if p.Start < g.firstUsable() || p.End > g.lastUsable() {
		t.note("partition %d: is outside the sectors that the GPT gives to partitions", p.Index)
	}
	t.partitions = append(t.partitions, partition{
		number: p.Index,
		offset: int64(p.Start) * int64(t.sectorSize),
		size:   int64(p.End-p.Start+1) * int64(t.sectorSize),
		typ:    typ, typeName: gptTypes[typ], name: p.Name, guid: guid,
		active: p.Attributes&gptLegacyBoot != 0, hidden: p.Attributes&gptHidden != 0, noLetter: p.Attributes&gptNoLetter != 0,
		ntfs: typ == gptBasicData || typ == gptRecovery,
	})
	switch typ {
	case gptLDMMetadata, gptLDMData, gptStorageSpaces:
		t.problem(fmt.Errorf("partition %d: %w: %s", p.Index, ErrUnsupported, gptTypes[typ]))
	}
}

// memorySector is the sector size of a memoryDisk; it is independent of the
// real disk's, since only the numbers of sectors are taken from it.
const memorySector = 512

// memoryDisk is the file that go-diskfs reads: an empty sector, a header, the
// entries.
type memoryDisk struct{ *bytes.Reader }

// newMemoryDisk makes a disk whose first copy of the GPT is g. Revision, size
// of the header and place of the entries are those that go-diskfs expects;
// they have been judged already.
func newMemoryDisk(g *gptCopy) memoryDisk {
	b := make([]byte, 2*memorySector, 2*memorySector+len(g.entries))
	h := b[memorySector:][:len(g.header)]
	copy(h, g.header)
	binary.LittleEndian.PutUint32(h[8:], 0x00010000)
	binary.LittleEndian.PutUint32(h[12:], uint32(len(h)))
	clear(h[16:24])
	binary.LittleEndian.PutUint64(h[72:], 2)
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h))
	return memoryDisk{bytes.NewReader(append(b, g.entries...))}
}

func (memoryDisk) Close() error                 { return nil }
func (d memoryDisk) Stat() (fs.FileInfo, error) { return memoryInfo{d.Size()}, nil }

// memoryInfo describes a memoryDisk.
type memoryInfo struct{ size int64 }

func (memoryInfo) Name() string       { return "gpt" }
func (i memoryInfo) Size() int64      { return i.size }
func (memoryInfo) Mode() fs.FileMode  { return 0o400 }
func (memoryInfo) ModTime() time.Time { return time.Time{} }
func (memoryInfo) IsDir() bool        { return false }
func (memoryInfo) Sys() any           { return nil }
