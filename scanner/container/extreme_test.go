package container

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// TestExtremeFields puts the smallest and the largest numbers into every field of the
// headers and tables of images, with the checksums that belong to them. None may make the
// reader panic, loop, use much memory, or return more than there is.
func TestExtremeFields(t *testing.T) {
	testenv.Sequential(t)
	content := bytes.Repeat([]byte("content."), 128)
	be, le := binary.ByteOrder(binary.BigEndian), binary.ByteOrder(binary.LittleEndian)
	nothing := func([]byte) {}
	ewf := ewfSpecs["encase6"]
	ewf.perChunk, ewf.lost = 1, []uint32{1, 1}
	section := func(b []byte, kind string) int { return bytes.Index(b, []byte(kind+"\x00")) }
	e01 := ewf.segments(content)[0]
	volume, table, lost := section(e01, "volume"), section(e01, "table"), section(e01, "error2")
	vhdxFields := []structure{{at: vhdxHeaderAt, size: 80}, {at: vhdxRegionsAt, size: 80}, {at: testItemsAt, size: 192},
		{at: testItemsAt + vhdxTable, size: 64}, {at: testTableAt, size: 16}, {at: testLogAt, size: 96}}
	for _, tt := range []struct {
		name   string
		order  binary.ByteOrder
		image  []byte
		fields []structure
		sign   func(b []byte)
	}{
		{"disk.vhd", be, buildVHD(vhdImage{kind: vhdDynamic, content: content, block: 4096}),
			[]structure{{at: 0, size: 88}, {at: sector, size: 64}, {at: sector + vhdHeader, size: 4}}, func(b []byte) {
				signVHD(b[:sector], 64)
				copy(b[len(b)-sector:], b[:sector])
				signVHD(b[sector:sector+vhdHeader], 36)
			}},
		{"fixed.vhd", be, buildVHD(vhdImage{kind: vhdFixed, content: content}),
			[]structure{{at: len(content), size: 88}}, func(b []byte) { signVHD(b[len(content):], 64) }},
		{"disk.vhdx", le, buildVHDX(vhdxImage{content: content, log: []vhdxWrite{{sequence: 3,
			writes: []logChange{{from: testTableAt + 4096, to: testTableAt + 8192}}}}}), vhdxFields, func(b []byte) {
			copy(b[2*vhdxHeaderAt:], b[vhdxHeaderAt:][:80])
			copy(b[vhdxRegionsAt+vhdxTable:], b[vhdxRegionsAt:][:80])
			for n := range 2 {
				signVHDX(b[(n+1)*vhdxHeaderAt:][:4096])
				signVHDX(b[vhdxRegionsAt+n*vhdxTable:][:vhdxTable])
			}
			signVHDX(b[testLogAt:][:4096])
		}},
		{"disk.vdi", le, vdiImage{block: 4096}.bytes(content), []structure{{at: 64, size: 20}, {at: 340, size: 52},
			{at: 512, size: 4}}, nothing},
		{"disk.qcow2", be, qcow2Maker{version: 3, bits: 9}.image(content), []structure{{at: 0, size: 112},
			{at: madeL1 << 9, size: 8}, {at: madeL1<<9 + 512, size: 16}}, nothing},
		{"disk.vmdk", le, vmdkFile{grain: 4096, entries: 16, redundant: true, text: vmdkText("monolithicSparse",
			"2 SPARSE \"disk.vmdk\"")}.write(content), []structure{{at: 0, size: 80}}, nothing},
		{"disk.E01", le, e01, []structure{{at: volume, size: ewfStart + 80}, {at: table, size: ewfStart + 32},
			{at: lost, size: ewfStart + 528}}, func(b []byte) { putEWFSums(b) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, read, refused := bytes.Clone(tt.image), 0, 0
			try := func(at int, what string) {
				tt.sign(b)
				allocated := allocations()
				if d, err := openBytes(t.Context(), tt.name, b); err != nil {
					refused++
				} else if n, err := readSome(d); err == nil && n == 0 && d.Size() > 0 {
					t.Errorf("byte %d is %s: nothing of %d bytes", at, what, d.Size())
				} else {
					read++
				}
				if used := allocated(); used > 64<<20 {
					t.Errorf("byte %d is %s: %d bytes of memory", at, what, used)
				}
				copy(b[at:], tt.image[at:at+8])
			}
			for _, f := range tt.fields {
				for at := f.at; at < f.at+f.size; at += 4 {
					for i, n := range []uint64{0, 1, 1<<31 - sector, 1<<31 - 1, 1 << 31, 1<<32 - sector, 1<<32 - 1,
						1 << 32, 1 << 62, 1<<63 - sector, 1<<63 - 1, 1 << 63, 1<<64 - sector, 1<<64 - 1} {
						if i%3 != at/4%3 && !testenv.Full() {
							continue
						}
						if n < 1<<32 {
							tt.order.PutUint32(b[at:], uint32(n))
						} else {
							tt.order.PutUint64(b[at:], n)
						}
						try(at, fmt.Sprint(n))
					}
				}
			}
			t.Logf("%d are read, %d refused", read, refused)
		})
	}
}

// allocations returns a function that returns how many bytes of memory have been allocated
// since. A test that uses it does not run in parallel.
func allocations() func() uint64 {
	total := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := total()
	return func() uint64 { return total() - before }
}
