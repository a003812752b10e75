package volume

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// Every filesystem answers by the same interface, and gives back what it took.
func TestSupported(t *testing.T) {
	for _, test := range []struct {
		filesystem disk.Filesystem
		image      string
		file       string
	}{
		{disk.Ext4, "../../ext4/testdata/dirty.img.gz", "home/os-release"},
		{disk.XFS, "../../xfs/testdata/v5.img.gz", ""},
	} {
		t.Run(string(test.filesystem), func(t *testing.T) {
			packed, err := os.Open(test.image)
			if err != nil {
				t.Fatal(err)
			}
			defer packed.Close()
			r, err := gzip.NewReader(packed)
			if err != nil {
				t.Fatal(err)
			}
			image, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			var taken int64
			fsys, err := Supported.Open(t.Context(), test.filesystem, bytes.NewReader(image), int64(len(image)),
				Options{Reserve: func(n int64) error { taken += n; return nil }})
			if err != nil {
				t.Fatal(err)
			}
			info := fsys.Info()
			if info.Filesystem != test.filesystem || info.ID == "" || info.State == "" || info.Unreplayed != nil {
				t.Errorf("Info is %+v", info)
			}
			root, err := fsys.Lstat(fsys.Name("/"))
			if err != nil || fsys.Node(root).ID == 0 || !fsys.Node(root).Folder {
				t.Errorf("the root is %v, %v", root, err)
			}
			if _, known, err := fsys.Locate("."); err != nil || test.filesystem == disk.Ext4 && !known {
				t.Errorf("the inode of the root: %t, %v", known, err)
			}
			if u, err := fsys.Usage(); err != nil || u.Size == 0 || u.Used+u.Free > u.Size {
				t.Errorf("Usage is %+v, %v", u, err)
			}
			if total, err := fsys.Totals("."); err != nil || total.Files == 0 {
				t.Errorf("Totals is %+v, %v", total, err)
			}
			if test.file != "" {
				f, err := fsys.Open(test.file)
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := f.(File); !ok {
					t.Errorf("a file is a %T", f)
				}
				f.Close()
			}
			if err := fsys.Close(); err != nil || taken != 0 {
				t.Errorf("Close: %v, %d bytes are still taken", err, taken)
			}
		})
	}
}

func TestTable(t *testing.T) {
	for filesystem, holds := range map[disk.Filesystem]bool{
		disk.NTFS: true, disk.Ext2: true, disk.Ext3: true, disk.Ext4: true, disk.XFS: true,
		disk.FAT: false, disk.Btrfs: false, disk.Unknown: false, disk.BitLocker: false,
	} {
		if Supported.Holds(filesystem) != holds {
			t.Errorf("%q holds a system: %t", filesystem, !holds)
		}
	}
	_, err := Supported.Open(t.Context(), disk.ReFS, bytes.NewReader(nil), 0, Options{})
	if !errors.Is(err, kind.Unsupported) {
		t.Errorf("a filesystem that is not in the table: %v", err)
	}
	_, err = Supported.Open(t.Context(), disk.FAT, bytes.NewReader(make([]byte, 4096)), 4096, Options{})
	if !errors.Is(err, kind.Corrupt) {
		t.Errorf("no FAT: %v", err)
	}
}
