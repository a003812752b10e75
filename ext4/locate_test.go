package ext4

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
)

// What lies in the image where a byte of a file is said to lie is that byte, and
// where an inode is said to lie there is that inode; in the dirty image some are
// in the journal.
func TestLocate(t *testing.T) {
	for _, name := range images {
		raw := unpack(t, name)
		f := openBytes(t, raw)
		known, unknown, moved := 0, 0, 0
		err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			at, ok, err := f.Locate(path)
			if err != nil || !ok {
				t.Fatalf("%s: inode: %v %v", path, ok, err)
			}
			i, err := f.resolve(path, false)
			if err != nil {
				return err
			}
			if !bytes.Equal(raw[at:][:128], i.raw[:128]) {
				t.Errorf("%s: inode %d is not at %d", path, i.number, at)
			}
			if home, _ := f.place(i.number); home != at {
				moved++
			}
			if !d.Type().IsRegular() {
				return nil
			}
			file, err := f.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			size := file.(*File).Size()
			for off := int64(0); off < min(size, 1<<20); off += 512 {
				at, ok, err := file.(*File).Locate(off)
				if err != nil {
					t.Fatalf("%s at %d: %v", path, off, err)
				}
				if !ok {
					unknown++
					continue
				}
				known++
				want := make([]byte, min(16, size-off))
				if _, err := file.(*File).ReadAt(want, off); err != nil {
					return err
				}
				if got := raw[at:][:len(want)]; !bytes.Equal(got, want) {
					t.Fatalf("%s at %d: % x at %d, want % x", path, off, got, at, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if known < 50 || name == "dirty" && moved == 0 {
			t.Errorf("%s: %d places are known, %d are not, %d inodes in the journal: too few to tell", name, known, unknown,
				moved)
		}
		if _, _, err := f.Locate("no such file"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}
