package disk

import (
	"bytes"
	"io"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// FuzzMBR reads boot records: sector 0 and the chain of extended ones, all in
// the first sectors of an image that is larger than they are.
func FuzzMBR(f *testing.F) {
	f.Add(bytes.Join([][]byte{
		mbrSector(1, [4]uint32{0x80, 0x07, 2, 2}, [4]uint32{0, 0x05, 1, 100}),
		mbrSector(0, [4]uint32{0, 0x83, 1, 1}, [4]uint32{0, 0x05, 1, 1}),
		mbrSector(0, [4]uint32{0, 0x83, 1, 1}, [4]uint32{0, 0x05, 0, 1}),
	}, nil))
	f.Add(mbrSector(1, [4]uint32{0, 0xee, 1, 0xffffffff}, [4]uint32{0, 0x0f, 0, 0xffffffff}))
	f.Fuzz(func(t *testing.T, b []byte) { openAnything(t, b, mib) })
}

// FuzzGPT reads a disk with a GPT after its bytes were changed and, as a
// forger would, its checksums put right again.
func FuzzGPT(f *testing.F) {
	good := writeGPT(f, 128<<10, 512, windowsGPT()[0])
	for i, sum := range []bool{true, false} {
		f.Add(good[512:1024], good[1024:2048], int64(128<<10+i), sum)
	}
	f.Fuzz(func(t *testing.T, header, entries []byte, size int64, sum bool) {
		b := bytes.Clone(good)
		copy(b[512:1024], header)
		copy(b[1024:17*512], entries)
		if h := b[512:1024]; sum && le32(h, 12) <= 512 {
			// The entries that the header names, as far as they are there.
			first, count := le64(h, 72), uint64(le32(h, 80))
			if first > uint64(len(b))/512 || count > uint64(len(b))/128 || first*512+count*128 > uint64(len(b)) {
				copy(h[72:84], good[512+72:])
			}
			resum(b, 1)
		}
		openAnything(t, b, min(max(size, 0), mib))
	})
}

// FuzzDetect tells what a volume is from arbitrary bytes.
func FuzzDetect(f *testing.F) {
	f.Add(ntfsBoot(100))
	f.Add([]byte(fatBoot))
	f.Add(put(1024, extSuperblock(100, 0x42))[:4096])
	f.Add(put(0, "LUKS\xba\xbe\x00\x02")[:512])
	f.Add(put(512, "LABELONE", 512+20, "\x20", 512+24, "LVM2 001")[:2048])
	f.Fuzz(func(t *testing.T, b []byte) {
		s := detect(b[:min(len(b), HeadSize)])
		if s.needs < 0 {
			t.Errorf("a filesystem of %d bytes", s.needs)
		}
		openAnything(t, b, int64(len(b)))
	})
}

// openAnything opens b, with zeros up to size behind it, and checks what holds
// of every image.
func openAnything(t *testing.T, b []byte, size int64) {
	image := newSparse(max(size, int64(len(b)))).put(0, b)
	s := source.NewReader(t.Context(), "fuzz", image, image.size)
	i, err := Open(t.Context(), s, image.size, Options{})
	if err != nil {
		return
	}
	reads := s.Counters().Reads
	if limit := int64(8 + maxLogical*8 + 4*maxPartitions); reads > limit {
		t.Errorf("%d reads", reads)
	}
	if n := len(i.Volumes()); n > maxPartitions+4*maxLogical {
		t.Errorf("%d volumes", n)
	}
	for n, v := range i.Volumes() {
		if v.Number != n+1 || v.Offset < 0 || v.Size < 0 || v.Declared < v.Size || (v.Size > 0 && v.Offset+v.Size > i.Size) {
			t.Errorf("volume %d: %+v", n, v)
		}
		for _, off := range []int64{0, v.Size - 1, v.Size, v.Declared} {
			p := make([]byte, 2)
			if n, err := v.ReadAt(p, off); n < len(p) && err == nil {
				t.Errorf("%d bytes and no error at %d of %d", n, off, v.Size)
			} else if off >= 0 && off+2 <= v.Size && err != nil && err != io.EOF {
				t.Errorf("at %d of %d: %v", off, v.Size, err)
			}
		}
	}
}
