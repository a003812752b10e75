package ntfs

import (
	"io/fs"
	"os"
	"testing"
)

// imageVar names a large NTFS image for the benchmarks that want one.
const imageVar = "COLDCHECK_BENCH_NTFS"

func openImage(b *testing.B) (*os.File, int64) {
	b.Helper()
	path := os.Getenv(imageVar)
	if path == "" {
		b.Skipf("needs an NTFS image: set %s to its path", imageVar)
	}
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return file, info.Size()
}

func BenchmarkImageOpen(b *testing.B) {
	file, size := openImage(b)
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(file, size)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(f.mft.size)
	}
}

func BenchmarkImageTree(b *testing.B) {
	file, size := openImage(b)
	f, err := Open(file, size)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		t, err := f.Tree(".")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(t.Files), "files")
	}
}

func BenchmarkImageWalkDir(b *testing.B) {
	file, size := openImage(b)
	f, err := Open(file, size)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = d.Info()
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
