package source

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Of an image with 64 MiB of nothing between two pieces of data, what is
// nothing is not read.
func TestOpenSparse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 64<<20 + 1<<20
	for _, off := range []int64{0, size - 4096} {
		if _, err := f.WriteAt(append([]byte(luks), make([]byte, 4088)...), off); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := f.Stat(); err != nil || info.Sys().(*syscall.Stat_t).Blocks*512 > 1<<20 {
		t.Skip("needs a filesystem with sparse files")
	}
	i, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	before := i.Counters().Bytes
	p := make([]byte, size)
	if n, err := i.ReadAt(p, 0); n != size || err != nil {
		t.Fatal(n, err)
	}
	if after := i.Counters().Bytes; after-before > 1<<20 {
		t.Errorf("%d bytes were read", after-before)
	}
}
