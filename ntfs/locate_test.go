package ntfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"testing"
)

// What lies in the image where a byte of a file is said to lie is that byte, and
// where a record is said to lie there is that record.
func TestLocate(t *testing.T) {
	for name, image := range map[string][]byte{"small": smallImage(t), "wof": wofImage(t)} {
		f, err := openBytes(image)
		if err != nil {
			t.Fatal(err)
		}
		known, unknown := 0, 0
		err = fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			record := info.Sys().(*Entry).Record
			at, ok, err := f.Locate(path)
			if err != nil || !ok {
				t.Fatalf("%s: record: %v %v", path, ok, err)
			}
			if b := image[at:]; string(b[:4]) != "FILE" || uint64(binary.LittleEndian.Uint32(b[44:])) != record {
				t.Errorf("%s: record %d is not at %d", path, record, at)
			}
			if !d.Type().IsRegular() {
				return nil
			}
			file, err := f.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			for off := int64(0); off < info.Size(); off += 512 {
				at, ok, err := file.(*File).Locate(off)
				if err != nil {
					return err
				}
				if !ok {
					unknown++
					continue
				}
				known++
				want := make([]byte, min(16, info.Size()-off))
				if _, err := file.(*File).ReadAt(want, off); err != nil {
					return err
				}
				if got := image[at:][:len(want)]; !bytes.Equal(got, want) {
					t.Fatalf("%s at %d: % x at %d, want % x", path, off, got, at, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if known < 100 || unknown < 100 {
			t.Errorf("%s: %d places are known, and %d are not: not enough of both to tell", name, known, unknown)
		}
		mft, err := f.OpenStream("$MFT", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{-1, mft.Size()} {
			if at, ok, err := mft.Locate(off); ok || err != nil {
				t.Errorf("%s: byte %d of $MFT at %d", name, off, at)
			}
		}
		if _, _, err := f.Locate("no such file"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

// A torn record is counted as such.
func TestTorn(t *testing.T) {
	image := smallImage(t)
	f, err := openBytes(image)
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Damage(); d.Torn != 0 {
		t.Fatalf("%d torn records in a volume that is whole", d.Torn)
	}
	at, _, err := f.Locate("$Extend")
	if err != nil {
		t.Fatal(err)
	}
	image[at+1022] ^= 0xFF
	if f, err = openBytes(image); err != nil {
		t.Fatal(err)
	}
	if d := f.Damage(); d.Torn != 1 || d.Count != 1 {
		t.Errorf("%d torn of %d damaged records, want 1 of 1", d.Torn, d.Count)
	}
}
