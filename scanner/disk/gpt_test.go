package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/google/go-cmp/cmp"
)

// windowsGPT has the partitions that Windows makes, in sectors of any size.
func windowsGPT() []*gpt.Partition {
	return []*gpt.Partition{
		{Index: 1, Start: 2048, End: 4095, Type: gpt.EFISystemPartition, Name: "EFI system partition",
			GUID: "11111111-2222-3333-4444-555555555501", Attributes: 1 << 63},
		{Index: 2, Start: 4096, End: 4127, Type: gpt.MicrosoftReserved, Name: "Microsoft reserved partition",
			GUID: "11111111-2222-3333-4444-555555555502"},
		{Index: 4, Start: 6144, End: 8191, Type: gpt.MicrosoftBasicData, Name: "Basic data partition",
			GUID: "11111111-2222-3333-4444-555555555503"},
		{Index: 5, Start: 8192, End: 8200, Type: gpt.MicrosoftWindowsRecovery, GUID: "11111111-2222-3333-4444-555555555504",
			Attributes: 1<<63 | 1<<62 | 1},
	}
}

func TestGPT(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		b := writeGPT(t, 48*mib, sectorSize, windowsGPT()...)
		copy(b[6144*sectorSize:], ntfsBoot(2047))
		i, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if i.Table != "gpt" || i.SectorSize != sectorSize || i.DiskGUID.String() != "5B193300-FC78-40CD-8002-E86C45580B47" {
			t.Errorf("table %s with sectors of %d bytes, GUID %v", i.Table, i.SectorSize, i.DiskGUID)
		}
		if i.Notes != nil || i.Incomplete != nil {
			t.Errorf("notes %q, incomplete %v", i.Notes, i.Incomplete)
		}
		if i.Volumes()[2].GUID.String() != "11111111-2222-3333-4444-555555555503" {
			t.Errorf("GUID %v", i.Volumes()[2].GUID)
		}
		if sectorSize == 4096 {
			continue
		}
		want := []string{
			`1: p1 1048576+1048576 C12A7328-F81F-11D2-BA4B-00A0C93EC93B no letter "EFI system partition" []`,
			`2: p2 2097152+16384 E3C9E316-0B5C-4DB8-817D-F92DF00215AE "Microsoft reserved partition" []`,
			`3: p4 3145728+1048576 EBD0A0A2-B9E5-4433-87C0-68B6B72699C7 "Basic data partition" [ntfs]`,
			`4: p5 4194304+4608 DE94BBA4-06D1-4D40-A16A-BFD50179D6AC hidden no letter []`,
		}
		if diff := cmp.Diff(want, lines(i)); diff != "" {
			t.Error(diff)
		}
	}
}

// resum puts the checksums of the GPT header in sector lba right again.
func resum(b []byte, lba int) {
	h := b[lba*512:][:512]
	entries, count := binary.LittleEndian.Uint64(h[72:]), binary.LittleEndian.Uint32(h[80:])
	if end := entries*512 + uint64(count)*128; end <= uint64(len(b)) {
		binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(b[entries*512:end]))
	}
	clear(h[16:20])
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:binary.LittleEndian.Uint32(h[12:])]))
}

func TestDamagedGPT(t *testing.T) {
	const size = 8 * mib
	const lastLBA = size/512 - 1
	header := func(b []byte) []byte { return b[512:1024] }
	for _, tt := range []struct {
		name   string
		damage func(b []byte) []byte
		note   string // what one of the notes says
		err    string // what the error says, which is wantErr
		kind   error
	}{
		{"header of the first copy", func(b []byte) []byte { header(b)[60] ^= 1; return b },
			"the first GPT is damaged, the backup was used: damaged partition table: GPT header: its checksum", "", nil},
		{"entries of the first copy", func(b []byte) []byte { b[1024+40] ^= 1; return b },
			"the backup was used: damaged partition table: GPT entries: their checksum", "", nil},
		{"first copy erased", func(b []byte) []byte { clear(header(b)); return b }, "the backup was used: no GPT header", "",
			nil},
		{"first copy says it lies elsewhere", func(b []byte) []byte { header(b)[24] = 9; resum(b, 1); return b },
			"it records sector 9", "", nil},
		{"header size", func(b []byte) []byte { header(b)[12] = 91; return b }, "GPT header of 91 bytes", "", nil},
		{"header larger than a sector", func(b []byte) []byte { header(b)[13] = 3; return b }, "GPT header of 860 bytes", "",
			nil},
		{"entries outside of the image", func(b []byte) []byte { header(b)[78] = 1; resum(b, 1); return b },
			"GPT entries are outside the image", "", nil},
		{"entries over the header", func(b []byte) []byte { header(b)[72] = 0; resum(b, 1); return b },
			"GPT entries are outside the image", "", nil},
		{"no entries", func(b []byte) []byte { header(b)[80] = 0; resum(b, 1); return b }, "GPT without entries", "", nil},
		{"backup erased", func(b []byte) []byte { clear(b[lastLBA*512:]); return b },
			"the backup GPT is missing at offset 8388096", "", nil},
		{"backup damaged", func(b []byte) []byte { b[lastLBA*512+60] ^= 1; return b },
			"the backup GPT is damaged: damaged partition table: GPT header: its checksum", "", nil},
		{"backup differs", func(b []byte) []byte { b[(lastLBA-32)*512+56] = 'X'; resum(b, lastLBA); return b },
			"the backup GPT differs from the first one, which was used", "", nil},
		{"image cut off", func(b []byte) []byte { return b[:6*mib] },
			"the image ends before the backup GPT, which belongs in sector 16383", "", nil},
		{"image longer, first copy erased",
			func(b []byte) []byte { clear(header(b)); return append(b, make([]byte, mib)...) }, "the backup was used", "", nil},
		{"image longer, entries of the first copy damaged", func(b []byte) []byte {
			b[1024] ^= 1
			copy(b[458:], "\xff\xff\xff\xff")
			return append(b, make([]byte, mib)...)
		}, "the backup was used", "", nil},
		{"both damaged", func(b []byte) []byte { header(b)[60] ^= 1; b[lastLBA*512+61] ^= 1; return b }, "",
			"both copies of the GPT are damaged", ErrCorrupt},
		{"first erased, backup damaged", func(b []byte) []byte { clear(header(b)); b[lastLBA*512+61] ^= 1; return b }, "",
			"the first GPT is missing and its backup is damaged", ErrCorrupt},
		{"both erased", func(b []byte) []byte { clear(header(b)); clear(b[lastLBA*512:]); return b }, "",
			"the MBR promises a GPT, and none is there", ErrCorrupt},
		{"empty MBR", func(b []byte) []byte { clear(b[446:510]); return b },
			"sector 0 does not hold the protective MBR of the GPT", "", nil},
		{"no protective MBR", func(b []byte) []byte { clear(b[:512]); return b },
			"sector 0 does not hold the protective MBR of the GPT", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := writeGPT(t, size, 512, windowsGPT()...)
			i, err := openBytes(tt.damage(b))
			if tt.err != "" {
				if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(i.Volumes()) != 4 || i.Table != "gpt" {
				t.Errorf("table %s, volumes %q", i.Table, lines(i))
			}
			if notes := strings.Join(i.Notes, "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", i.Notes, tt.note)
			}
		})
	}
}

// TestGPTEntryLimit keeps a table with a good checksum and a huge number of
// entries away from the memory.
func TestGPTEntryLimit(t *testing.T) {
	const limit = maxEntriesSize / gptEntrySize
	for count, ok := range map[uint32]bool{limit - 1: true, limit: true, limit + 1: false, 1<<32 - 1: false} {
		b := writeGPT(t, 40*mib, 512, windowsGPT()[0])
		h := b[512:1024]
		binary.LittleEndian.PutUint32(h[80:], count)
		resum(b, 1)
		clear(b[len(b)-512:])
		i, err := openBytes(b)
		if ok && (err != nil || len(i.Volumes()) != 1) {
			t.Errorf("%d entries: %v", count, err)
		}
		if !ok && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%d entries: %v, want ErrUnsupported", count, err)
		}
	}
}

func TestGPTEntrySize(t *testing.T) {
	b := writeGPT(t, 8*mib, 512, windowsGPT()...)
	binary.LittleEndian.PutUint32(b[512+84:], 256)
	resum(b, 1)
	clear(b[len(b)-512:])
	if _, err := openBytes(b); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "entries of 256 bytes") {
		t.Errorf("%v", err)
	}
}

func TestPartitionLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxPartitions - 1: true, maxPartitions: true, maxPartitions + 1: false} {
		b := writeGPT(t, 8*mib, 512, windowsGPT()[0])
		entry := append([]byte(nil), b[1024:1024+128]...)
		binary.LittleEndian.PutUint32(b[512+80:], maxPartitions+8)
		for k := range n {
			copy(b[1024+128*k:], entry)
		}
		resum(b, 1)
		i, err := openBytes(b)
		if ok && (err != nil || len(i.Volumes()) != n) {
			t.Errorf("%d partitions: %v", n, err)
		}
		if !ok && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%d partitions: %v", n, err)
		}
	}
}

func TestNonsenseEntries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to uint64
		want     string // what Notes says
		volume   bool
		broken   bool
	}{
		{"ends before it begins", 4096, 4095, "ends in sector 4095, before it begins in sector 4096", false, true},
		{"one sector", 4096, 4096, "", true, false},
		{"ends beyond all disks", 4096, 1<<64 - 1, "ends in sector 18446744073709551615", false, true},
		{"just representable", 4096, 1<<53 - 1, "it is truncated", true, false},
		{"just not representable", 4096, 1<<53 + 1, "ends in sector", false, true},
		{"before the first usable sector", 20, 40,
			"partition 1: is outside the sectors that the GPT gives to partitions", true, false},
		{"from sector 0", 0, 40, "partition 1: begins in sector 0", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := writeGPT(t, 8*mib, 512, windowsGPT()[0])
			binary.LittleEndian.PutUint64(b[1024+32:], tt.from)
			binary.LittleEndian.PutUint64(b[1024+40:], tt.to)
			resum(b, 1)
			clear(b[len(b)-512:])
			i, err := openBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(i.Notes, "\n"); !strings.Contains(notes, tt.want) {
				t.Errorf("notes %q, want %q", i.Notes, tt.want)
			}
			if (len(i.Volumes()) == 1) != tt.volume || errors.Is(i.Incomplete, ErrCorrupt) != tt.broken {
				t.Errorf("volumes %q, incomplete %v", lines(i), i.Incomplete)
			}
		})
	}
}

func TestHybridMBR(t *testing.T) {
	b := writeGPT(t, 8*mib, 512, windowsGPT()...)
	hybrid := mbrSector(5, [4]uint32{0, 0xee, 1, 2047}, [4]uint32{0x80, 0x07, 6144, 2048})
	copy(b, hybrid)
	copy(b[6144*512:], ntfsBoot(2047))
	i, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if i.Table != "gpt" || len(i.Volumes()) != 4 || i.DiskSignature != 5 || !i.Hybrid || i.Short {
		t.Errorf("table %s, signature %d, volumes %q", i.Table, i.DiskSignature, lines(i))
	}
	if diff := cmp.Diff([]string{"hybrid MBR: it has 1 partitions of its own; the GPT was used"}, i.Notes); diff != "" {
		t.Error(diff)
	}

	clear(b[512:1024])
	clear(b[len(b)-512:])
	i, err = openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1: p2 3145728+1048576 0x07 active [ntfs]"}, lines(i)); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(i.Incomplete, ErrCorrupt) || !i.Hybrid {
		t.Errorf("hybrid %t, incomplete: %v", i.Hybrid, i.Incomplete)
	}
}

// An image is short if it ends before the backup GPT or before a volume, and not at its end or behind it.
func TestShort(t *testing.T) {
	b := writeGPT(t, 8*mib, 512, windowsGPT()...)
	for size, want := range map[int]bool{6 * mib: true, 8*mib - 512: true, 8 * mib: false, 9 * mib: false} {
		i, err := openBytes(append(b[:min(size, len(b)):min(size, len(b))], make([]byte, max(0, size-len(b)))...))
		if err != nil {
			t.Fatal(err)
		}
		if i.Short != want || i.Hybrid {
			t.Errorf("%d bytes: short %t, hybrid %t", size, i.Short, i.Hybrid)
		}
	}
}

func TestUse(t *testing.T) {
	for kind, want := range map[string]Use{
		gptEFI: UseEFI, "0xef": UseEFI, gptReserved: UseReserved, gptRecovery: UseRecovery, "0x27": UseRecovery,
		gptBasicData: UseData, "0x07": UseData, "0x0c": UseData, "0x17": UseData, "0x42": UseDynamic,
		gptLDMData: UseDynamic, gptLDMMetadata: UseDynamic, "0x83": UseOther, gptStorageSpaces: UseOther, "": UseOther,
	} {
		if got := (&Volume{Type: kind}).Use(); got != want {
			t.Errorf("%q: %d, want %d", kind, got, want)
		}
	}
}

// TestLeftovers: what an earlier use of the disk left is noted and not used.
func TestLeftovers(t *testing.T) {
	// An MBR over a GPT, without a protective entry.
	b := writeGPT(t, 8*mib, 512, windowsGPT()...)
	copy(b, mbrSector(5, [4]uint32{0x80, 0x07, 6144, 2048}))
	copy(b[6144*512:], ntfsBoot(2047))
	i, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if i.Table != "mbr" || len(i.Volumes()) != 1 ||
		!cmp.Equal(i.Notes, []string{"a GPT with 4 partitions is there too; the MBR does not name it, so it was not used"}) {
		t.Errorf("table %s, volumes %q, notes %q", i.Table, lines(i), i.Notes)
	}

	// A bare volume over a GPT, whose backup is left.
	b = writeGPT(t, 8*mib, 512, windowsGPT()...)
	clear(b[:8192])
	copy(b, ntfsBoot(8*mib/512-1))
	i, err = openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1: p0 0+8388608  [ntfs]"}, lines(i)); diff != "" || i.Table != "none" {
		t.Errorf("table %s: %s", i.Table, diff)
	}

	// The same with ext4, which begins in the second sector.
	b = writeGPT(t, 8*mib, 512, windowsGPT()...)
	clear(b[:8192])
	copy(b[1024:], extSuperblock(8192, 0x40))
	i, err = openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if i.Table != "none" || i.Volumes()[0].Filesystem != Ext4 ||
		!cmp.Equal(i.Notes, []string{"a GPT with 4 partitions is there too, left by an earlier use"}) {
		t.Errorf("table %s, volumes %q, notes %q", i.Table, lines(i), i.Notes)
	}
}
