package disk

import (
	"testing"
)

func BenchmarkOpenGPT(b *testing.B) {
	image := writeGPT(b, 8*mib, 512, windowsGPT()...)
	copy(image[6144*512:], ntfsBoot(2047))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := openBytes(image); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVolumeReadAt(b *testing.B) {
	image := make([]byte, 4*mib)
	copy(image, mbrSector(1, [4]uint32{0, 0x07, 2048, 4096}))
	i, err := openBytes(image)
	if err != nil {
		b.Fatal(err)
	}
	v, p := i.Volumes()[0], make([]byte, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := v.ReadAt(p, 8192); err != nil {
			b.Fatal(err)
		}
	}
}
