package scanner

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// TestOpenImageRefuses: what is no image is refused by name, with what to do about it.
func TestOpenImageRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pad := func(magic string, off int) []byte {
		b := make([]byte, 2048)
		copy(b[off:], magic)
		return b
	}
	noise := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(noise)

	for _, tt := range []struct {
		path string
		kind error
		want string // what the message says
		hint string // what the hint says
	}{
		{filepath.Join(dir, "missing.img"), fs.ErrNotExist, "missing.img", ""},
		{dir, disk.ErrNotImage, "a directory", "name the image file"},
		{write("empty.img", nil), disk.ErrNotImage, "the file is empty", "use a disk image"},
		{write("short.img", make([]byte, 511)), disk.ErrNotImage, "511 bytes are less than a sector", "use a disk image"},
		{write("zero.img", make([]byte, 512)), disk.ErrNotImage, "neither a partition table nor a known filesystem is in it",
			"use a disk image"},
		{write("zeros.img", make([]byte, 1<<20)), disk.ErrNotImage,
			"neither a partition table nor a known filesystem is in it", "use a disk image"},
		{write("odd.img", make([]byte, 1000)), disk.ErrNotImage, "1000 bytes are not a multiple of the sector size",
			"use a disk image"},
		{write("noise.img", noise), disk.ErrNotImage, "neither a partition table nor a known filesystem is in it",
			"use a disk image"},
		{write("text.txt", []byte(strings.Repeat("Not a disk at all.\n", 100))), disk.ErrNotImage,
			"a text file", "use a disk image"},
		{write("cut.txt", []byte(strings.Repeat("x", disk.HeadSize-1)+strings.Repeat("ü", 300))), disk.ErrNotImage,
			"a text file", "use a disk image"},
		{write("latin.txt", []byte(strings.Repeat("Gr\xfc\xdfe\n", 100))), disk.ErrNotImage,
			"neither a partition table", "use a disk image"},
		{write("small.txt", []byte("Not a disk at all.\n")), disk.ErrNotImage, "19 bytes are less than a sector",
			"use a disk image"},
		{write("small.gz", []byte("\x1f\x8b\x08")), disk.ErrNotImage, "gzip data", "unpack it first: gzip -dc "},
		{write("a.qcow2", pad("QFI\xfb\x00\x00\x00\x01", 0)), disk.ErrNotImage, "a QCOW image of version 1",
			"qemu-img convert"},
		{write("a.vmdk", pad("KDMV", 0)), disk.ErrNotImage, "the header, at byte 0: version 0: unsupported",
			"qemu-img convert"},
		{write("b.vmdk", pad("# Disk DescriptorFile\n", 0)), disk.ErrNotImage, "the descriptor, at byte 0: its version", ""},
		{write("a.vhdx", pad("vhdxfile", 0)), container.ErrCorrupt, "at byte 0: a file of 2048 bytes", ""},
		{write("a.vhd", pad("conectix", 0)), container.ErrCorrupt, "the checksum of the footer is wrong", ""},
		{write("fixed.vhd", pad("conectix", 1536)), container.ErrCorrupt,
			"at byte 1536: the checksum of the footer is wrong", "1536 bytes to a raw image"},
		{write("a.vdi", pad("\x7f\x10\xda\xbe", 64)), disk.ErrNotImage, "a VDI image", "VBoxManage"},
		{write("a.Ex01", pad("EVF2\x0d\x0a\x81\x00", 0)), disk.ErrNotImage, "an EnCase (Ex01) image", "ewfexport"},
		{write("a.wim", pad("MSWIM\x00\x00\x00", 0)), disk.ErrNotImage, "a Windows image (WIM)",
			"it contains files, not a disk"},
		{write("a.iso", append(make([]byte, 32769), "CD001\x01\x00"...)), disk.ErrNotImage, "an ISO 9660 image",
			"root volume"},
		{write("a.gz", pad("\x1f\x8b\x08", 0)), disk.ErrNotImage, "gzip data", "unpack it first: gzip -dc "},
		{write("a.xz", pad("\xfd7zXZ\x00", 0)), disk.ErrNotImage, "xz data", "unpack"},
		{write("a.zst", pad("\x28\xb5\x2f\xfd", 0)), disk.ErrNotImage, "Zstandard data", "unpack"},
		{write("a.zip", pad("PK\x03\x04", 0)), disk.ErrNotImage, "a ZIP archive", "unpack"},
		{write("a.ova", pad("ustar\x0000", 257)), disk.ErrNotImage, "the header of a member after byte 0", ""},
		{write("a.tar", archive(t, "a.txt")), disk.ErrNotImage, "a tar archive", "unpack"},
		{write("SYSTEM", pad("regf", 0)), disk.ErrNotImage, "a registry hive", "inspect hive"},
	} {
		t.Run(filepath.Base(tt.path), func(t *testing.T) {
			i, err := openImage(t.Context(), File(tt.path))
			if err == nil {
				t.Fatalf("opened: %+v", i.Volumes())
			}
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
			if strings.Count(err.Error(), filepath.Base(tt.path)) != 1 {
				t.Errorf("error %q does not name the file once", err)
			}
			var hinted interface{ Hint() string }
			hint := ""
			if errors.As(err, &hinted) {
				hint = hinted.Hint()
			}
			if !strings.Contains(hint, tt.hint) || (tt.hint == "" && hint != "") {
				t.Errorf("hint %q, want %q", hint, tt.hint)
			}
		})
	}
}

// archive returns a tar archive with an empty file.
func archive(t *testing.T, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: name}), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestOpenImageEnds: an image that is refused is closed, and so is one whose opening the
// context ends, with its cause.
func TestOpenImageEnds(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	luks := append([]byte("LUKS\xba\xbe\x00\x02"), make([]byte, 4096)...)
	for name, tt := range map[string]struct {
		content []byte
		ended   bool
		want    error
	}{
		"opened":            {luks, false, nil},
		"another container": {append([]byte("QED\x00"), make([]byte, 4096)...), false, disk.ErrNotImage},
		"no disk":           {make([]byte, 4096), false, disk.ErrNotImage},
		"the context ended": {luks, true, stop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if tt.ended {
				cancel(stop)
			}
			var opened *source.Source
			image, err := openImage(ctx, Source{Name: "x.img", Open: func(ctx context.Context) (*source.Source, error) {
				opened = source.NewReader(ctx, "x.img", bytes.NewReader(tt.content), int64(len(tt.content)))
				return opened, nil
			}})
			if !errors.Is(err, tt.want) || tt.want != nil && strings.Count(err.Error(), "x.img") != 1 {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if err == nil {
				if image.Name != "x.img" || image.Format != "raw" || image.Volumes()[0].Filesystem != disk.LUKS {
					t.Errorf("%+v", image)
				}
				if _, err := image.ReadAt(make([]byte, 1), 0); err != nil {
					t.Error(err)
				}
				image.Close()
			}
			_, err = opened.ReadAt(make([]byte, 1), 0)
			if want := map[bool]error{false: fs.ErrClosed, true: stop}[tt.ended]; !errors.Is(err, want) {
				t.Errorf("afterwards: %v, want %v", err, want)
			}
		})
	}
}
