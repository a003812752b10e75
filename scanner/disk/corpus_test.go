package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// corpusImages says for every file of the corpus' images what is read of it:
// the table and the filesystems of the volumes, or why it is refused.
var corpusImages = map[string]string{
	"apfs.raw.gz":               "none: APFS",
	"apple-test.iso.gz":         "an ISO 9660 image of a CD or DVD",
	"bogus.001":                 "neither a partition table nor a known filesystem is in it",
	"btrfs.vhdx.gz":             "mbr: btrfs",
	"ext2.qcow2":                "none: ext2",
	"ext2.split.E01":            "segment 2",
	"ext2.split.E02":            "it is segment 2",
	"ext2.splitraw.000.gz":      "none: ext2 (2097152 of 4194304 bytes)",
	"ext2.splitraw.001.gz":      "neither a partition table nor a known filesystem is in it",
	"ext2.vhd.gz":               "none: ext2",
	"ext4_tests.zip":            "a ZIP archive",
	"fat_very_small.dd":         "none: fat",
	"fls_bodyfile.txt":          "a text file",
	"gentestdata.sh":            "a text file",
	"gpt_partition.dat":         "128 bytes are less than a sector",
	"hfsplus.raw.gz":            "none: HFS+",
	"image-differential.vhd.gz": "the checksum of the footer is wrong",
	"image.E01":                 "none: ext2",
	"image.qcow2":               "none: ext2",
	"image.vhd.gz":              "the checksum of the footer is wrong",
	"image.vmdk":                "none: ext2",
	"invalid.ova":               "35 bytes are less than a sector",
	"invalid.qcow2":             "35 bytes are less than a sector",
	"invalid.vdi":               "35 bytes are less than a sector",
	"invalid.vmdk":              "35 bytes are less than a sector",
	"iso9660.raw":               "an ISO 9660 image of a CD or DVD",
	"mactime.body":              "a text file",
	"mbr.img.gz":                "mbr: fat",
	"mbr_partition.dat":         "16 bytes are less than a sector",
	"syslog_image.dd":           "none: ext2",
	"test.ntfs.dd.E01":          "none: ntfs",
	"tsk_volume_system.raw":     "mbr: -, ext2",
	"UsnJrnl.raw":               "neither a partition table nor a known filesystem is in it",
	"valid-ext-exfat-fat32-ntfs-dynamic.vdi.gz":             "gpt: ext4, exfat, fat, ntfs",
	"valid-ext-exfat-fat32-ntfs-encrypted-legacy-aes.qcow2": "the disk is encrypted with AES",
	"valid-ext-exfat-fat32-ntfs.qcow2.gz":                   "gpt: ext4, exfat, fat, ntfs",
	"valid.ova":                                             "an OVA without disks",
	"vmdk-monolith.img":                                     "neither a partition table nor a known filesystem is in it",
	"xfs.vhdx.gz":                                           "gpt: xfs",
}

func TestCorpusImages(t *testing.T) {
	root := testenv.Corpus(t)
	seen := 0
	err := filepath.WalkDir(filepath.Join(root, "images"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		want, ok := corpusImages[d.Name()]
		if !ok {
			t.Errorf("%s: not in the table", path)
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		got := describe(testenv.CorpusFile(t, filepath.ToSlash(rel)))
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", rel, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < len(corpusImages) {
		t.Errorf("%d files, %d are in the table", seen, len(corpusImages))
	}
}

// TestCorpusAgainstBlkid: whatever blkid recognises in the corpus' images of
// filesystems is recognised here, and nothing else.
func TestCorpusAgainstBlkid(t *testing.T) {
	root := testenv.Corpus(t)
	testenv.Tool(t, "blkid")
	// Larger ones would take the time to write gigabytes; they hold MBR disks
	// with one NTFS volume, like the one that is left.
	const largest = 300 << 20
	compared := 0
	for _, dir := range []string{"ext", "ext_e2fsprogs", "ntfs", "xfs", "images"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "ntfs-ptrn.raw.gz") ||
				strings.HasSuffix(path, "ntfs-si-vs-fn.raw.gz") || strings.HasSuffix(path, "xfs.vhdx.gz") {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			b := testenv.CorpusFile(t, filepath.ToSlash(rel))
			if len(b) > largest {
				t.Fatalf("%s: unpacks to %d bytes", rel, len(b))
			}
			copied := filepath.Join(t.TempDir(), "image")
			if err := writeDisk(copied, b); err != nil {
				return err
			}
			// blkid ends with 2 where it recognises nothing.
			out, err := exec.Command("blkid", "-p", "-o", "value", "-s", "TYPE", "-s", "PTTYPE", copied).Output()
			if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
				return err
			}
			want := strings.TrimSpace(string(out))
			if ours, ok := blkidOnly[want]; ok {
				want = ours
			}
			got := describe(b)
			if strings.Contains(got, ErrNotImage.Error()) || strings.HasSuffix(got, container.ErrEncrypted.Error()) ||
				strings.HasSuffix(got, container.ErrCorrupt.Error()) || strings.HasSuffix(got, container.ErrIncomplete.Error()) {
				got = ""
			}
			if got != want && !strings.HasPrefix(got, want+": ") && !strings.HasPrefix(got, "none: "+want) {
				t.Errorf("%s: %s, blkid says %q", rel, got, want)
			}
			compared++
			return os.Remove(copied)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d files compared", compared)
}

// writeDisk writes the disk inside an image to a file; the image itself if it cannot be
// opened.
func writeDisk(name string, image []byte) error {
	s := source.NewReader(context.Background(), "image", bytes.NewReader(image), int64(len(image)))
	disks, err := container.Open(context.Background(), s, container.Options{})
	if err != nil {
		return os.WriteFile(name, image, 0o600)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	disk := disks[0]
	for at := int64(0); at < disk.Size(); {
		start, end := disk.Data(at)
		if _, err := io.Copy(io.NewOffsetWriter(f, start), io.NewSectionReader(disk, start, end-start)); err != nil {
			return err
		}
		at = end
	}
	return f.Truncate(disk.Size())
}

// blkidOnly translates what blkid says: other names, and what is refused here.
var blkidOnly = map[string]string{
	"dos": "mbr", "vfat": "fat", "apfs": "APFS", "hfsplus": "HFS+", "jbd": "external journal of ext3 or ext4",
	"iso9660": "",
}

// describe says what an image is in the words of corpusImages.
func describe(b []byte) string {
	i, err := openSource(source.NewReader(context.Background(), "image", bytes.NewReader(b), int64(len(b))))
	if err != nil {
		if !errors.Is(err, ErrNotImage) && !errors.Is(err, container.ErrEncrypted) && !errors.Is(err, container.ErrCorrupt) {
			return "unexpected kind: " + err.Error()
		}
		return err.Error()
	}
	var volumes []string
	for _, v := range i.Volumes() {
		s := string(v.Filesystem)
		if s == "" {
			s = v.Detail
		}
		if s == "" {
			s = "-"
		}
		if v.Size != v.Declared {
			s += fmt.Sprintf(" (%d of %d bytes)", v.Size, v.Declared)
		}
		volumes = append(volumes, s)
	}
	return i.Table + ": " + strings.Join(volumes, ", ")
}
