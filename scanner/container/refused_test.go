package container

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// refusal opens a file that is refused, and returns what it is, and the hint.
func refusal(t *testing.T, name string) (what, hint string) {
	t.Helper()
	s, err := source.Open(t.Context(), name, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = Open(t.Context(), s, Options{})
	var hinted interface{ Hint() string }
	if !errors.Is(err, ErrNotImage) || !errors.As(err, &hinted) {
		t.Fatalf("%s: %v", name, err)
	}
	return err.Error(), hinted.Hint()
}

// hintOf is the hint of an error; "" if it has none.
func hintOf(err error) string {
	var hinting interface{ Hint() string }
	if !errors.As(err, &hinting) {
		return ""
	}
	return hinting.Hint()
}

// TestRefused: what cannot be read is named, with what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for another shell")
	}
	footer := func(magic string) string { return strings.Repeat("\x00", 4096-512) + magic }
	for name, c := range map[string]struct{ content, what, hint string }{
		"qcow1": {"QFI\xfb\x00\x00\x00\x01", "a QCOW image of version 1", "qemu-img convert -O raw disk disk.img"},
		"qed":   {"QED\x00", "a QED image", "qemu-img convert -O raw disk disk.img"},
		"hds":   {"WithoutFreeSpace", "a Parallels image", "qemu-img convert -O raw disk disk.img"},
		"hds 2": {"WithouFreSpacExt", "a Parallels image", "qemu-img convert -O raw disk disk.img"},
		"dmg":   {footer("koly"), "an Apple disk image (DMG)", "qemu-img convert -f dmg -O raw disk disk.img"},
		"bochs": {"Bochs Virtual HD Image\x00", "a Bochs image", "qemu-img convert -f bochs -O raw disk disk.img"},
		"cloop": {"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0", "a cloop image",
			"qemu-img convert -f cloop -O raw disk disk.img"},
		"aff":       {"AFF10\x0d\x0a\x00", "an AFF image", "afflib-tools: affconvert -r disk"},
		"aff4":      {"PK\x03\x04....container.descriptionaff4://6a", "an AFF4 image", "with the program that wrote it"},
		"wim":       {"MSWIM\x00\x00\x00", "a Windows image (WIM)", "it contains files, not a disk"},
		"wim 2":     {"WLPWM\x00\x00\x00", "a Windows image (WIM)", "it contains files, not a disk"},
		"ghost":     {"\xfe\xef\x01\x00", "a Norton Ghost image", "restore it to a disk with Ghost, and take an image of"},
		"tib":       {"\xb4\x6e\x68\x44", "an Acronis backup (TIB)", "restore it to a disk with Acronis"},
		"tib 2":     {"\xce\x24\xb9\xa2", "an Acronis backup (TIB)", "restore it to a disk with Acronis"},
		"tibx":      {"A\x01\x00\x00\x12\x34\x56QARCH", "an Acronis backup (TIBX)", "restore it to a disk with Acronis"},
		"partclone": {"partclone-image\x00", "a partclone image", "partclone.restore -W -s disk -o disk.img"},
		"ntfsclone": {"\x00ntfsclone-image", "an ntfsclone image", "ntfsclone --restore-image --overwrite disk.img disk"},
		"7z":        {"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x disk"},
		"rar 4":     {"Rar!\x1a\x07\x00", "a RAR archive", "unrar x disk"},
		"rar 5":     {"Rar!\x1a\x07\x01\x00", "a RAR archive", "unrar x disk"},
		"zip":       {"PK\x03\x04", "a ZIP archive", "unzip disk"},
		"lz4":       {"\x02\x21\x4c\x18", "LZ4 data", "lz4 -dc disk >disk.img"},
		"lzip":      {"LZIP\x01", "lzip data", "lzip -dc disk >disk.img"},
		"lzop":      {"\x89LZO\x00\x0d\x0a\x1a\x0a", "lzop data", "lzop -dc disk >disk.img"},
		"lx01":      {"LEF2\x0d\x0a\x81\x00", "an EnCase logical (Lx01) image", "it contains files"},
		"l01":       {"LVF\x09\x0d\x0a\xff\x00", "an EnCase logical (L01) image", "it contains files"},
		"sparse":    {"\x3a\xff\x26\xed", "an Android sparse image", "simg2img disk disk.img"},
		"hive":      {"regf", "a registry hive", "coldcheck inspect hive disk"},
		"xml": {"<?xml version='1.0'?>\n<Parallels_disk_image Version=\"1.0\"><File>root.hdd.0.hds</File>",
			"a Parallels disk descriptor", "name the file with its data: root.hdd.0.hds"},
		"xml, snapshots": {"<?xml version='1.0'?>\n<Parallels_disk_image><File>a.hds</File><File>b.hds</File>",
			"a Parallels disk descriptor", "merge its snapshots: prl_disk_tool merge --hdd ."},
		"xml, elsewhere": {"<?xml version='1.0'?>\n<Parallels_disk_image><File>/etc/../my disk.hds</File>",
			"a Parallels disk descriptor", "name the file with its data: 'my disk.hds'"},
	} {
		b := make([]byte, max(len(c.content), 4096))
		copy(b, c.content)
		s := source.NewReader(t.Context(), "disk", bytes.NewReader(b), int64(len(b)))
		_, err := Open(t.Context(), s, Options{})
		var hinted interface{ Hint() string }
		if !errors.Is(err, ErrNotImage) || !errors.As(err, &hinted) ||
			!strings.HasSuffix(err.Error(), ": "+c.what) || !strings.Contains(hinted.Hint()+"\n", c.hint) {
			t.Errorf("%s: %v, hint %q; want %s, %q", name, err, hinted, c.what, c.hint)
		}
	}
	for name, content := range map[string]string{
		"xml of another kind": "<?xml version='1.0'?><disk/>", "text": "A\x01 text",
	} {
		b := append([]byte(content), make([]byte, 4096)...)
		s := source.NewReader(t.Context(), "disk", bytes.NewReader(b), int64(len(b)))
		if d, err := Open(t.Context(), s, Options{}); err != nil || d[0].Format() != "raw" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHints: the commands of hints do what they say, as they stand.
func TestHints(t *testing.T) {
	t.Parallel()
	compress := func(args ...string) func(t *testing.T, dir string) string {
		return func(t *testing.T, dir string) string {
			run(t, "sh", "-c", strings.Join(args, " ")+" <'"+dir+"/raw' >'"+dir+"/my root.img.packed'")
			return "my root.img.packed"
		}
	}
	inFolder := func(name, command string) func(t *testing.T, dir string) string {
		return func(t *testing.T, dir string) string {
			run(t, "sh", "-c", "cd '"+dir+"' && "+command)
			return name
		}
	}
	image := func(format string) func(t *testing.T, dir string) string {
		return inFolder("my root."+format, "qemu-img convert -f raw -O "+format+" raw 'my root."+format+"'")
	}
	packers := map[string]struct {
		tools  []string
		make   func(t *testing.T, dir string) string // the name of the file
		what   string
		result string // the file that the command writes
	}{
		"gzip":    {[]string{"gzip"}, compress("gzip"), "gzip data", "my root.img"},
		"xz":      {[]string{"xz"}, compress("xz", "-1"), "xz data", "my root.img"},
		"zstd":    {[]string{"zstd"}, compress("zstd"), "Zstandard data", "my root.img"},
		"bzip2":   {[]string{"bzip2"}, compress("bzip2"), "bzip2 data", "my root.img"},
		"lz4":     {[]string{"lz4"}, compress("lz4"), "LZ4 data", "my root.img"},
		"old lz4": {[]string{"lz4"}, compress("lz4", "-l"), "LZ4 data", "my root.img"},
		"zip": {[]string{"zip", "unzip"}, inFolder("my root.zip",
			"mv raw in.img && zip -q -m 'my root.zip' in.img"), "a ZIP archive", "in.img"},
		"qed":       {[]string{"qemu-img"}, image("qed"), "a QED image", "my root.img"},
		"qcow1":     {[]string{"qemu-img"}, image("qcow"), "a QCOW image of version 1", "my root.img"},
		"parallels": {[]string{"qemu-img"}, image("parallels"), "a Parallels image", "my root.img"},
		"ntfsclone": {[]string{"ntfsclone", "mkntfs"},
			inFolder("root.ntfsclone", "mkntfs -q -f -F raw && ntfsclone -q -f -s -o root.ntfsclone raw"),
			"an ntfsclone image", "root.img"},
		"an option": {[]string{"gzip"}, inFolder("-c.img.gz", "gzip <raw >./-c.img.gz"), "gzip data", "-c.img"},
		"parts of gzip": {[]string{"gzip", "split"}, inFolder("my root.gz.aa",
			"gzip -1 <raw | split -b 100k - 'my root.gz.'"), "gzip data", "my root.img"},
		"parts of zstd": {[]string{"zstd", "split"}, inFolder("root.vmdk.zst.000",
			"zstd <raw | split -b 2M -d -a 3 - root.vmdk.zst."), "Zstandard data", "root.vmdk"},
	}
	for n, name := range slices.Sorted(maps.Keys(packers)) {
		c := packers[name]
		t.Run(name, func(t *testing.T) {
			testenv.Share(t, n, 4, 2)
			t.Parallel()
			testenv.Tool(t, append(c.tools, "sh")...)
			dir := t.TempDir()
			content := variantContent(variantSize)[:4<<20]
			raw := filepath.Join(dir, "raw")
			writeImage(t, raw, content)
			file := c.make(t, dir)
			if name == "ntfsclone" {
				content = nil // unused clusters differ
			}
			what, hint := refusal(t, filepath.Join(dir, file))
			if !strings.HasSuffix(what, ": "+c.what) {
				t.Errorf("%s, want %s", what, c.what)
			}
			// As if it had been named in its folder.
			_, command, ok := strings.Cut(strings.ReplaceAll(hint, dir+"/", ""), ": ")
			if strings.HasPrefix(file, "-") {
				command = fill("gzip -dc {file} >{unpacked}", file)
			}
			cmd := exec.Command("sh", "-c", command)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); !ok || err != nil {
				t.Fatalf("%s: %v: %s", hint, err, out)
			}
			got, err := os.ReadFile(filepath.Join(dir, c.result))
			if err != nil || content != nil && !bytes.Equal(got, content) || len(got) == 0 {
				t.Errorf("%s: %d bytes: %v", hint, len(got), err)
			}
		})
	}
}
