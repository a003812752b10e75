package disk

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

func TestMBR(t *testing.T) {
	for _, tt := range []struct {
		name       string
		image      *sparse
		want       []string
		notes      []string
		incomplete error
		sectorSize int
	}{
		{
			name: "as Windows installs itself: System Reserved, C, recovery",
			image: newSparse(40*mib).
				put(0, mbrSector(0xa1b2c3d4, [4]uint32{0x80, 0x07, 2048, 2048}, [4]uint32{0, 0x07, 4096, 32768},
					[4]uint32{0, 0x27, 40960, 8192})).
				put(1*mib, ntfsBoot(2047)).put(2*mib, ntfsBoot(32767)).put(20*mib, ntfsBoot(8191)),
			want: []string{
				"1: p1 1048576+1048576 0x07 active [ntfs]",
				"2: p2 2097152+16777216 0x07 [ntfs]",
				"3: p3 20971520+4194304 0x27 hidden [ntfs]",
			},
		},
		{
			name: "logical partitions",
			image: newSparse(40*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x83, 2048, 2048}, [4]uint32{0, 0x0f, 8192, 16384})).
				put(4*mib, mbrSector(0, [4]uint32{0, 0x07, 2048, 2048}, [4]uint32{0, 0x05, 4096, 4096})).
				put(6*mib, mbrSector(0, [4]uint32{0, 0x82, 2048, 1000})).
				put(5*mib, ntfsBoot(2047)),
			want: []string{
				"1: p1 1048576+1048576 0x83 []",
				"2: p5 5242880+1048576 0x07 [ntfs]",
				"3: p6 7340032+512000 0x82 []",
			},
		},
		{
			name: "sectors of 4096 bytes",
			image: newSparse(40*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x07, 256, 2048})).put(1*mib, ntfsBoot(2047)),
			want:       []string{"1: p1 1048576+8388608 0x07 [ntfs]"},
			sectorSize: 4096,
		},
		{
			name:  "no partitions",
			image: newSparse(4*mib).put(0, mbrSector(7)),
			notes: []string{"the partition table is empty"},
		},
		{
			name: "runs past the end of the image",
			image: newSparse(4*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 65536}, [4]uint32{0, 0x83, 100000, 8})).put(1*mib, ntfsBoot(65535)),
			want: []string{"1: p1 1048576+3145728 of 33554432 0x07 [ntfs]", "2: p2 51200000+0 of 4096 0x83 []"},
			notes: []string{
				"partition 1: needs 33554432 bytes (32.0 MiB), the image has 3145728 bytes (3.0 MiB) of it: it is truncated",
				"partition 2: needs 4096 bytes (4.0 KiB), the image has 0 bytes of it: it is truncated",
			},
		},
		{
			name: "overlap, and a filesystem larger than its partition",
			image: newSparse(40*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 8192}, [4]uint32{0, 0x83, 4096, 2048}, [4]uint32{0, 0x83, 8192, 4096},
					[4]uint32{0, 0x83, 20480, 8})).
				put(1*mib, ntfsBoot(16383)),
			want: []string{
				"1: p1 1048576+4194304 0x07 [ntfs]", "2: p2 2097152+1048576 0x83 []",
				"3: p3 4194304+2097152 0x83 []", "4: p4 10485760+4096 0x83 []",
			},
			notes: []string{
				"partition 1: has 4194304 bytes (4.0 MiB), its filesystem needs 8388096 bytes (8.0 MiB)",
				"partitions 1 and 2 overlap", "partitions 1 and 3 overlap",
			},
		},
		{
			name: "an entry by cylinder, head and sector only, and one without sectors",
			image: newSparse(4*mib).put(0,
				chsOnly(mbrSector(1, [4]uint32{0, 0x06, 0, 0}, [4]uint32{0, 0x83, 100, 0}, [4]uint32{0, 0x83, 200, 8}))),
			want: []string{"1: p3 102400+4096 0x83 []"},
			notes: []string{
				"partition 1: unsupported: it is placed by cylinder, head and sector only",
				"partition 2: has no sectors",
			},
			incomplete: ErrUnsupported,
		},
		{
			name: "dynamic disk",
			image: newSparse(4*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x42, 63, 8000})),
			want:       []string{"1: p1 32256+4096000 0x42 []"},
			notes:      []string{"partition 1: unsupported: Windows dynamic disk (LDM)"},
			incomplete: ErrUnsupported,
		},
		{
			name: "boot sector destroyed, its copy left",
			image: newSparse(4*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 2048})).put(2*mib-512, ntfsBoot(2047)),
			want: []string{"1: p1 1048576+1048576 0x07 [ntfs]"},
		},
		{
			name: "left by an earlier use: an ext4 superblock before the first partition",
			image: newSparse(4*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 2048})).put(1024, extSuperblock(4096, 0x40)).put(1*mib,
				ntfsBoot(2047)),
			want:  []string{"1: p1 1048576+1048576 0x07 [ntfs]"},
			notes: []string{"the beginning of the disk also bears the signature of ext4, left by an earlier use"},
		},
		{
			name: "several extended partitions",
			image: newSparse(4*mib).
				put(0, mbrSector(1, [4]uint32{0, 0x05, 2048, 1000}, [4]uint32{0, 0x85, 4096, 1000})).
				put(1*mib, mbrSector(0, [4]uint32{0, 0x83, 8, 8})).put(2*mib, mbrSector(0, [4]uint32{0, 0x83, 8, 8})),
			want:  []string{"1: p5 1052672+4096 0x83 []", "2: p6 2101248+4096 0x83 []"},
			notes: []string{"there are 2 extended partitions, where one is allowed"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := tt.image.open(t)
			if diff := cmp.Diff(tt.want, lines(i)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.notes, i.Notes); diff != "" {
				t.Error(diff)
			}
			if !errors.Is(i.Incomplete, tt.incomplete) {
				t.Errorf("incomplete: %v, want %v", i.Incomplete, tt.incomplete)
			}
			if want := max(tt.sectorSize, 512); i.SectorSize != want || i.Table != "mbr" {
				t.Errorf("table %s with sectors of %d bytes, want mbr with %d", i.Table, i.SectorSize, want)
			}
		})
	}
}

// chsOnly gives the first entry an address by cylinder, head and sector.
func chsOnly(sector []byte) []byte {
	copy(sector[446+1:], "\x01\x01\x00")
	copy(sector[446+5:], "\x0f\x3f\x20")
	return sector
}

func TestDiskSignature(t *testing.T) {
	i := newSparse(4*mib).put(0, mbrSector(0xa1b2c3d4, [4]uint32{0, 0x83, 8, 8})).open(t)
	if i.DiskSignature != 0xa1b2c3d4 {
		t.Errorf("signature %08x", i.DiskSignature)
	}
}

// TestBrokenChain shows that what comes before the damage is kept, and that
// the image says it is not whole.
func TestBrokenChain(t *testing.T) {
	const first = 2048 // sector of the extended partition
	primary := mbrSector(1, [4]uint32{0, 0x0f, first, 6000})
	logical := func(next ...uint32) []byte {
		entries := [][4]uint32{{0, 0x83, 8, 8}}
		for _, n := range next {
			entries = append(entries, [4]uint32{0, 0x05, n, 100})
		}
		return mbrSector(0, entries...)
	}
	at := func(sector int64) int64 { return sector * 512 }
	for _, tt := range []struct {
		name    string
		image   *sparse
		volumes int
		want    string
	}{
		{"to itself", newSparse(4*mib).put(0, primary).put(at(first), logical(0)), 1, "returns to sector 2048"},
		{"to an earlier one", newSparse(4*mib).put(0, primary).put(at(first), logical(100)).put(at(first+100),
			logical(200)).put(at(first+200), logical(100)), 3, "returns to sector 2148"},
		{"to two", newSparse(4*mib).put(0, primary).put(at(first), logical(100, 200)), 1, "names two next ones"},
		{"outside", newSparse(4*mib).put(0, primary).put(at(first), logical(6000)), 1, "outside of the extended partition"},
		{"no record", newSparse(4*mib).put(0, primary).put(at(first), logical(100)), 1,
			"sector 2148 is no extended boot record"},
		{"past the end", newSparse(2*mib).put(0, primary).put(at(first), logical(5999)), 1,
			"sector 8047: damaged partition table: the image ends before it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := tt.image.open(t)
			if len(i.Volumes()) != tt.volumes {
				t.Errorf("volumes: %q", lines(i))
			}
			if !errors.Is(i.Incomplete, ErrCorrupt) || !strings.Contains(i.Incomplete.Error(), tt.want) {
				t.Errorf("incomplete: %v, want %q", i.Incomplete, tt.want)
			}
		})
	}
}

func TestLogicalLimit(t *testing.T) {
	for n, whole := range map[int]bool{maxLogical - 1: true, maxLogical: true, maxLogical + 1: false} {
		image := newSparse(4*mib).put(0, mbrSector(1, [4]uint32{0, 0x05, 16, 8000}))
		for k := range n {
			entries := [][4]uint32{{0, 0x83, 1, 1}}
			if k < n-1 {
				entries = append(entries, [4]uint32{0, 0x05, uint32(k+1) * 8, 8})
			}
			image.put(int64(16+8*k)*512, mbrSector(0, entries...))
		}
		i := image.open(t)
		if got := len(i.Volumes()); got != min(n, maxLogical) {
			t.Errorf("%d logical partitions: %d found", n, got)
		}
		if (i.Incomplete == nil) != whole {
			t.Errorf("%d logical partitions: incomplete %v", n, i.Incomplete)
		}
	}
}

// failing is an image with unreadable sectors.
type failing struct {
	io.ReaderAt
	from, to int64
}

var errMedium = errors.New("medium error")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(p)) > f.from {
		return 0, errMedium
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestUnreadable shows that input errors keep their kind and never look like
// an absence.
func TestUnreadable(t *testing.T) {
	const size = 16 * mib
	image := newSparse(size).
		put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 2048}, [4]uint32{0, 0x05, 8192, 8192})).
		put(1*mib, ntfsBoot(2047)).put(4*mib, mbrSector(0, [4]uint32{0, 0x83, 8, 8}))
	for _, tt := range []struct {
		name     string
		from, to int64
		fatal    bool
	}{
		{"sector 0", 0, 512, true},
		{"beginning of a volume", 1 * mib, 1*mib + 512, false},
		{"extended boot record", 4 * mib, 4*mib + 512, false},
		{"last sector", size - 512, size, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := Open(t.Context(), failing{image, tt.from, tt.to}, size, Options{})
			if tt.fatal {
				if !errors.Is(err, errMedium) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !errors.Is(i.Incomplete, errMedium) || len(i.Notes) == 0 {
				t.Errorf("incomplete: %v, notes: %q", i.Incomplete, i.Notes)
			}
		})
	}
}
