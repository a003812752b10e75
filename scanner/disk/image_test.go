package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// sparse is an image in memory of any size: what was not written is zero.
type sparse struct {
	size   int64
	chunks map[int64][]byte // by offset; never overlapping in these tests
}

func newSparse(size int64) *sparse { return &sparse{size: size, chunks: map[int64][]byte{}} }

func (s *sparse) put(off int64, b []byte) *sparse {
	s.chunks[off] = bytes.Clone(b)
	return s
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), s.size-off)
	clear(p[:n])
	for at, b := range s.chunks {
		if at < off+n && at+int64(len(b)) > off {
			copy(p[max(0, at-off):n], b[max(0, off-at):])
		}
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (s *sparse) open(t testing.TB) *Image {
	t.Helper()
	i, err := Open(t.Context(), s, s.size, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// mbrSector makes a boot record from entries {status, type, first, sectors}.
func mbrSector(signature uint32, entries ...[4]uint32) []byte {
	b := make([]byte, 512)
	binary.LittleEndian.PutUint32(b[440:], signature)
	for i, e := range entries {
		p := b[446+16*i:]
		p[0], p[4] = byte(e[0]), byte(e[1])
		binary.LittleEndian.PutUint32(p[8:], e[2])
		binary.LittleEndian.PutUint32(p[12:], e[3])
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

// ntfsBoot makes the boot sector of an NTFS volume with the given number of
// sectors, without the copy of it that follows them.
func ntfsBoot(sectors uint64) []byte {
	b := make([]byte, 512)
	copy(b, "\xeb\x52\x90NTFS    ")
	binary.LittleEndian.PutUint16(b[11:], 512)
	b[13], b[21] = 8, 0xf8
	binary.LittleEndian.PutUint64(b[0x28:], sectors)
	copy(b[446:], "BOOTMGR is missing")
	b[510], b[511] = 0x55, 0xaa
	return b
}

// writeGPT makes a disk with a GPT as go-diskfs writes it.
func writeGPT(t testing.TB, size int64, sectorSize int, partitions ...*gpt.Partition) []byte {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "gpt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	table := &gpt.Table{
		LogicalSectorSize: sectorSize, PhysicalSectorSize: sectorSize, ProtectiveMBR: true,
		GUID: "5B193300-FC78-40CD-8002-E86C45580B47", Partitions: partitions,
	}
	if err := table.Write(f, size); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	// go-diskfs leaves out the signature of the protective MBR's sector.
	b[510], b[511] = 0x55, 0xaa
	return b
}

// openBytes opens a disk that lies in memory.
func openBytes(b []byte) (*Image, error) {
	return Open(context.Background(), bytes.NewReader(b), int64(len(b)), Options{})
}

// openSource opens the disk inside an image.
func openSource(s *source.Source) (*Image, error) {
	disks, err := container.Open(context.Background(), s, container.Options{})
	if err != nil {
		return nil, err
	}
	return Open(context.Background(), disks[0], disks[0].Size(), Options{})
}

// lines describes the volumes, one a line, for comparison with what a table
// was made from.
func lines(i *Image) []string {
	var out []string
	for _, v := range i.Volumes() {
		s := fmt.Sprintf("%d: p%d %d+%d", v.Number, v.Partition, v.Offset, v.Size)
		if v.Declared != v.Size {
			s += fmt.Sprintf(" of %d", v.Declared)
		}
		s += " " + v.Type
		for _, flag := range []struct {
			set  bool
			name string
		}{{v.Active, "active"}, {v.Hidden, "hidden"}, {v.NoDriveLetter, "no letter"}} {
			if flag.set {
				s += " " + flag.name
			}
		}
		if v.Name != "" {
			s += fmt.Sprintf(" %q", v.Name)
		}
		s += " [" + string(v.Filesystem) + "]"
		out = append(out, s)
	}
	return out
}
