package volume

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
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
		{disk.NTFS, "../../ntfs/testdata/small.img.gz", "many/a name of some length 1002"},
	} {
		t.Run(string(test.filesystem), func(t *testing.T) {
			image := unpack(t, test.image, test.filesystem)
			var taken int64
			fsys, err := Supported.Open(t.Context(), test.filesystem, bytes.NewReader(image), int64(len(image)),
				Options{Reserve: func(n int64) error { taken += n; return nil }})
			if err != nil {
				t.Fatal(err)
			}
			row, _ := Supported.Row(test.filesystem)
			if _, ok := fsys.(WindowsFS); ok != (row.System == Windows) {
				t.Errorf("a WindowsFS: %t", ok)
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

// TestWindowsFS compares what a WindowsFS adds with what each FS has.
func TestWindowsFS(t *testing.T) {
	image := unpack(t, "../../ntfs/testdata/small.img.gz", disk.NTFS)
	opened, err := Supported.Open(t.Context(), disk.NTFS, bytes.NewReader(image), int64(len(image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	fsys := opened.(WindowsFS)
	if size := fsys.ClusterSize(); size != 1024 {
		t.Errorf("clusters of %d", size)
	}
	totals, err := fsys.Totals("many")
	if err != nil || totals.Files == 0 {
		t.Errorf("Totals is %+v, %v", totals, err)
	}
	for name, tree := range map[string]func(string) (Tree, error){"Tree": fsys.Tree, "CheckedTree": fsys.CheckedTree} {
		if got, err := tree("many"); err != nil || got.Files != totals.Files || got.Size != totals.Size {
			t.Errorf("%s is %+v, %v, but Totals %+v", name, got, err, totals)
		}
	}
	type walk = func(string, func([]byte, *Entry) error) (int64, error)
	for name, walk := range map[string]walk{"Walk": fsys.Walk, "WalkRecords": fsys.WalkRecords} {
		seen := int64(0)
		damaged, err := walk("many", func(path []byte, e *Entry) error {
			info, err := fsys.Stat("many/" + string(path))
			if err == nil && fsys.Node(info).Record != e.Record {
				t.Errorf("%s: %s is record %d", name, path, e.Record)
			}
			seen++
			return err
		})
		if err != nil || damaged != 0 || seen != totals.Files {
			t.Errorf("%s visits %d of %d, %d damaged: %v", name, seen, totals.Files, damaged, err)
		}
	}
	if r, err := fsys.Reparse("junction"); err != nil || r.Substitute == "" {
		t.Errorf("the junction leads to %q, %v", r.Substitute, err)
	}
	if _, err := fsys.Reparse("many"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is no link: %v", err)
	}
	if d, err := fsys.SecurityDescriptor("many"); err != nil || len(d) == 0 {
		t.Errorf("the security descriptor has %d bytes, %v", len(d), err)
	}
}

// unpack returns an image. Of those of NTFS each 16-bit word is stored as its
// difference to the one before.
func unpack(t *testing.T, name string, filesystem disk.Filesystem) []byte {
	t.Helper()
	packed, err := os.Open(name)
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
	if le := binary.LittleEndian; filesystem == disk.NTFS {
		for i := 2; i < len(image); i += 2 {
			le.PutUint16(image[i:], le.Uint16(image[i:])+le.Uint16(image[i-2:]))
		}
	}
	return image
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
