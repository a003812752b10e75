package ntfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestParseBoot(t *testing.T) {
	put16 := func(at int, v uint16) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint16(b[at:], v) }
	}
	put64 := func(at int, v uint64) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
	}
	put8 := func(at int, v byte) func([]byte) { return func(b []byte) { b[at] = v } }
	both := func(changes ...func([]byte)) func([]byte) {
		return func(b []byte) {
			for _, change := range changes {
				change(b)
			}
		}
	}
	for _, test := range []struct {
		name            string
		change          func([]byte)
		cluster, record int
		want            error
		says            string
	}{
		{"as it is", func([]byte) {}, 1024, 1024, nil, ""},
		{"no signature", put8(3, 'X'), 0, 0, ErrCorrupt, "no NTFS signature"},
		{"BitLocker", func(b []byte) { copy(b[3:], "-FVE-FS-") }, 0, 0, ErrEncrypted, "BitLocker"},
		{"no 0xAA55", put8(510, 0), 0, 0, ErrCorrupt, "0xAA55"},
		{"sectors of 256", put16(11, 256), 0, 0, ErrCorrupt, "sectors of 256"},
		{"sectors of 512", both(put16(11, 512), put8(13, 1), put8(64, 2)), 512, 1024, nil, ""},
		{"sectors of 768", put16(11, 768), 0, 0, ErrCorrupt, "sectors of 768"},
		{"sectors of 4096", both(put16(11, 4096), put8(13, 1)), 4096, 4096, nil, ""},
		{"sectors of 8192", put16(11, 8192), 0, 0, ErrCorrupt, "sectors of 8192"},
		{"clusters of no sector", put8(13, 0), 0, 0, ErrCorrupt, "clusters of 0"},
		{"clusters of 3 sectors", put8(13, 3), 0, 0, ErrCorrupt, "clusters of 1536"},
		{"clusters of 128 sectors", both(put8(13, 0x80), put8(64, 0xF6)), 64 << 10, 1024, nil, ""},
		{"clusters of 256 sectors", both(put8(13, 0xF8), put8(64, 0xF6)), 128 << 10, 1024, nil, ""},
		{"clusters of 2 MiB", both(put8(13, 0xF4), put8(64, 0xF6)), 2 << 20, 1024, nil, ""},
		{"clusters of 4 MiB", both(put8(13, 0xF3), put8(64, 0xF6)), 0, 0, ErrCorrupt, "clusters of 4194304"},
		{"clusters of 2^21 sectors", put8(13, 0xEB), 0, 0, ErrCorrupt, "clusters of 1073741824"},
		{"clusters of 2^22 sectors", put8(13, 0xEA), 0, 0, ErrCorrupt, "clusters of 2^22"},
		{"clusters of 2^127 sectors", put8(13, 0x81), 0, 0, ErrCorrupt, "clusters of 2^127"},
		{"records of 512", put8(64, 0xF7), 0, 0, ErrUnsupported, "file records of 512"},
		{"records of 1024", put8(64, 0xF6), 1024, 1024, nil, ""},
		{"records of 2048", put8(64, 0xF5), 0, 0, ErrUnsupported, "file records of 2048"},
		{"records of 4096", put8(64, 0xF4), 1024, 4096, nil, ""},
		{"records of 4 clusters", put8(64, 4), 1024, 4096, nil, ""},
		{"records of 3 clusters", put8(64, 3), 0, 0, ErrCorrupt, "file records of 3072"},
		{"records of 256", put8(64, 0xF8), 0, 0, ErrCorrupt, "file records of 256"},
		{"records of 2^31", put8(64, 0xE1), 0, 0, ErrCorrupt, "file records of"},
		{"records of 2^128", put8(64, 0x80), 0, 0, ErrCorrupt, "file records of 0"},
		{"records of nothing", put8(64, 0), 0, 0, ErrCorrupt, "file records of 1 "},
		{"no sectors", put64(40, 0), 0, 0, ErrCorrupt, "0 sectors"},
		{"one sector", put64(40, 1), 0, 0, ErrCorrupt, "1 sectors"},
		{"2^63 sectors", put64(40, 1<<63), 0, 0, ErrCorrupt, "9223372036854775808 sectors"},
		{"as many sectors as there are bytes", put64(40, 1<<62/512+1), 0, 0, ErrCorrupt, "sectors"},
		{"$MFT at 0", put64(48, 0), 0, 0, ErrCorrupt, "$MFT at cluster 0"},
		{"$MFT at the end", put64(48, 1000), 0, 0, ErrCorrupt, "$MFT at cluster 1000 of 1000"},
		{"$MFT far away", put64(48, 1<<63), 0, 0, ErrCorrupt, "$MFT at cluster"},
		{"$MFTMirr far away", put64(56, 1<<63), 1024, 1024, nil, ""},
	} {
		b := bootSector(1000)
		if test.cluster > 1024 {
			binary.LittleEndian.PutUint64(b[40:], 1<<40)
		}
		test.change(b)
		got, err := parseBoot(b)
		if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v: …%s…", test.name, err, test.want, test.says)
		}
		if err == nil && (got.clusterSize != test.cluster || got.recordSize != test.record) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

// A damaged boot sector is replaced by the backup at the end.
func TestBackupBoot(t *testing.T) {
	e := small(t)
	clear(e.image[:512])
	f := e.open()
	if d := f.Damage(); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "the backup at byte 4193792 was used") {
		t.Errorf("%q", d.Notes)
	}
	if data, err := f.ReadFile("resident"); err != nil || string(data) != "hello" {
		t.Errorf("%q, %v", data, err)
	}
	// Not behind BitLocker's, nor when it is no better.
	copy(e.image[3:], "-FVE-FS-")
	if _, err := openBytes(e.image); !errors.Is(err, ErrEncrypted) {
		t.Error(err)
	}
	clear(e.image[:512])
	e.image[len(e.image)-1] = 0
	if _, err := openBytes(e.image); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	// Sectors of 4096 bytes have theirs further from the end.
	image := make([]byte, 1<<20)
	b := bootSector(0)
	binary.LittleEndian.PutUint16(b[11:], 4096)
	b[13], b[64] = 1, 1
	binary.LittleEndian.PutUint64(b[40:], 255)
	copy(image[255*4096:], b)
	got, note, err := readBoot(bytes.NewReader(image), int64(len(image)))
	if err != nil || got.sectorSize != 4096 || note == "" {
		t.Errorf("%+v %s %v", got, note, err)
	}
	for _, n := range []int{0, 1, 511, 512, 513, 4096} {
		if _, err := openBytes(make([]byte, n)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
