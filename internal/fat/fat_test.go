package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// contents are the files that the test volumes get.
func contents() map[string][]byte {
	noise := make([]byte, 70_000)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(noise)
	files := map[string][]byte{
		"EFI/BOOT/BOOTX64.EFI":                        noise,
		"EFI/ubuntu/grub.cfg":                         []byte("search.fs_uuid 1234 root\n"),
		"EFI/ubuntu/empty":                            nil,
		"loader/entries/6f3a-5.10.0-amzn.x86_64.conf": []byte("title x\noptions root=/dev/xvda1\n"),
		"A name with blanks and ünïcödé 漢字.text":      []byte("long"),
		"lower.txt":              []byte("lower"),
		"Mixed.Txt":              []byte("mixed"),
		"NOEXT":                  []byte("x"),
		strings.Repeat("n", 200): []byte("200"),
	}
	for i := range 60 {
		files[fmt.Sprintf("many/file number %d", i)] = fmt.Appendf(nil, "%d", i)
	}
	return files
}

// build makes a volume with the tools of dosfstools and mtools.
func build(t *testing.T, kib int, options ...string) []byte {
	t.Helper()
	testenv.Tool(t, "mkfs.fat", "mcopy", "mmd")
	dir := t.TempDir()
	image := filepath.Join(dir, "fat.img")
	execute(t, "mkfs.fat", append(append([]string{"-C", "-i", "1234ABCD", "-n", "ESP"}, options...), image,
		fmt.Sprint(kib))...)
	made := map[string]bool{}
	files := contents()
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for i := range name {
			if name[i] == '/' && !made[name[:i]] {
				made[name[:i]] = true
				execute(t, "mmd", "-i", image, "::"+name[:i])
			}
		}
		local := filepath.Join(dir, "content")
		if err := os.WriteFile(local, files[name], 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2026, 3, 1, 12, 0, 2, 0, time.UTC)
		if err := os.Chtimes(local, when, when); err != nil {
			t.Fatal(err)
		}
		execute(t, "mcopy", "-m", "-i", image, local, "::"+name)
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func execute(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// variants are volumes of all three kinds, with clusters and sectors of several
// sizes.
var variants = map[string]struct {
	kib     int
	options []string
	kind    string
}{
	"FAT12":                  {1440, []string{"-F", "12"}, "FAT12"},
	"FAT16":                  {32 << 10, []string{"-F", "16"}, "FAT16"},
	"FAT16, one FAT":         {16 << 10, []string{"-F", "16", "-f", "1", "-s", "2"}, "FAT16"},
	"FAT32":                  {64 << 10, []string{"-F", "32"}, "FAT32"},
	"FAT32, sectors of 4096": {300 << 10, []string{"-F", "32", "-S", "4096"}, "FAT32"},
}

func TestTools(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := build(t, v.kib, v.options...)
			f, err := Open(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if info := f.Volume(); info.Type != v.kind || info.Label != "ESP" || info.UUID != "1234-ABCD" || info.Damaged != 0 {
				t.Errorf("%+v", info)
			}
			var expected []string
			for name, want := range contents() {
				expected = append(expected, name)
				for _, n := range []string{name, strings.ToUpper(name)} {
					got, err := fs.ReadFile(f, n)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %d bytes, %v, want %d", n, len(got), err, len(want))
					}
				}
				info, err := f.Lstat(name)
				if err != nil || !info.ModTime().Equal(time.Date(2026, 3, 1, 12, 0, 2, 0, time.UTC)) {
					t.Errorf("%s: %v, %v", name, info, err)
				}
			}
			if err := fstest.TestFS(f, expected...); err != nil {
				t.Error(err)
			}
			if _, err := f.Stat("EFI/absent"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if _, err := f.Stat("EFI/BOOT/BOOTX64.EFI/x"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			totals, err := f.Tree(".")
			if err != nil || totals.Files != int64(len(expected)) || totals.Damaged != 0 {
				t.Errorf("%+v, %v", totals, err)
			}
			kernel(t, data, f)
		})
	}
}

// kernel compares names, sizes and contents with those that the kernel shows,
// where it has the driver.
func kernel(t *testing.T, data []byte, f *FS) {
	if list, _ := os.ReadFile("/proc/filesystems"); !strings.Contains(string(list), "\tvfat\n") || os.Geteuid() != 0 {
		t.Log("not compared with the kernel: it has no vfat, or this is not root")
		return
	}
	dir := t.TempDir()
	image, point := filepath.Join(dir, "fat.img"), filepath.Join(dir, "mnt")
	if err := errors.Join(os.WriteFile(image, data, 0o600), os.Mkdir(point, 0o755)); err != nil {
		t.Fatal(err)
	}
	execute(t, "mount", "-t", "vfat", "-o", "loop,ro,utf8,tz=UTC", image, point)
	defer testenv.Unmount(t, point)
	same(t, f, os.DirFS(point))
}

// same compares two trees of files.
func same(t *testing.T, ours, theirs fs.FS) {
	seen := func(fsys fs.FS) map[string]string {
		all := map[string]string{}
		err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				all[name] = "directory"
				return err
			}
			content, err := fs.ReadFile(fsys, name)
			info, infoErr := e.Info()
			all[name] = fmt.Sprintf("%s %x", info.ModTime().UTC(), content)
			return errors.Join(err, infoErr)
		})
		if err != nil {
			t.Error(err)
		}
		return all
	}
	left := seen(ours)
	for name, want := range seen(theirs) {
		if left[name] != want {
			t.Errorf("%s: %.100s, and not %.100s", name, left[name], want)
		}
		delete(left, name)
	}
	for name := range left {
		t.Errorf("%s: there is no such name", name)
	}
}

// TestMtools compares what mtools reads of a volume with what is read here, on
// one from which files were removed and to which others were added.
func TestMtools(t *testing.T) {
	data := build(t, 40<<10, "-F", "32")
	dir := t.TempDir()
	image, out := filepath.Join(dir, "fat.img"), filepath.Join(dir, "out")
	if err := errors.Join(os.WriteFile(image, data, 0o600), os.Mkdir(out, 0o755)); err != nil {
		t.Fatal(err)
	}
	execute(t, "mdel", "-i", image, "::many/file number 1", "::many/file number 17", "::lower.txt")
	execute(t, "mren", "-i", image, "::NOEXT", "::a new and much longer name")
	execute(t, "mdeltree", "-i", image, "::EFI/ubuntu")
	local := filepath.Join(dir, "late")
	if err := os.WriteFile(local, bytes.Repeat([]byte("late"), 50_000), 0o644); err != nil {
		t.Fatal(err)
	}
	execute(t, "mcopy", "-i", image, local, "::many/late, in the holes")
	execute(t, "mcopy", "-s", "-m", "-n", "-i", image, "::", out)
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	same(t, f, os.DirFS(out))
}

// small returns a FAT16 volume with two files and a directory, made by hand: 64
// KiB, clusters of 512 bytes. FAT16 begins at 4085 clusters, so FAT32 is
// declared.
func small() []byte {
	b := make([]byte, 128<<10)
	copy(b, "\xeb\x3c\x90mkfs.fat")
	le := binary.LittleEndian
	le.PutUint16(b[11:], 512)
	b[13], b[16], b[21] = 1, 1, 0xf8
	le.PutUint16(b[14:], 1)
	le.PutUint16(b[19:], 256)
	le.PutUint32(b[36:], 2)
	le.PutUint32(b[44:], 2)
	b[66] = 0x29
	fat := func(cluster, value uint32) { le.PutUint32(b[512+4*cluster:], value) }
	fat(0, 0x0ffffff8)
	fat(1, 0x0fffffff)
	fat(2, 0x0fffffff) // the root directory
	fat(3, 4)          // a file of two clusters
	fat(4, 0x0fffffff)
	fat(5, 0x0fffffff) // another
	fat(6, 0x0fffffff) // a directory
	entry := func(cluster uint32, slot int, name string, attributes byte, start uint16, size uint32) {
		e := b[1536+512*(cluster-2)+32*uint32(slot):]
		copy(e, name)
		e[11] = attributes
		le.PutUint16(e[26:], start)
		le.PutUint32(e[28:], size)
	}
	entry(2, 0, "ONE     TXT", 0x20, 3, 700)
	entry(2, 1, "TWO     TXT", 0x20, 5, 5)
	entry(2, 2, "DIR        ", attrDirectory, 6, 0)
	entry(6, 0, ".          ", attrDirectory, 6, 0)
	entry(6, 1, "..         ", attrDirectory, 0, 0)
	entry(6, 2, "IN      TXT", 0x20, 0, 0)
	copy(b[1536+512:], bytes.Repeat([]byte("1"), 700))
	copy(b[1536+3*512:], "22222")
	return b
}

// TestDamage says what of a small volume is an error after one change.
func TestDamage(t *testing.T) {
	le := binary.LittleEndian
	fat := func(cluster, value uint32) func([]byte) {
		return func(b []byte) { le.PutUint32(b[512+4*cluster:], value) }
	}
	start := func(cluster, slot int, value uint16) func([]byte) {
		return func(b []byte) { le.PutUint16(b[1536+512*(cluster-2)+32*slot+26:], value) }
	}
	for name, c := range map[string]struct {
		change func([]byte)
		broken string // names that cannot be read
		open   error
	}{
		"nothing":                   {func([]byte) {}, "", nil},
		"a loop":                    {func(b []byte) { fat(4, 3)(b); le.PutUint32(b[1536+28:], 5000) }, "ONE.TXT", nil},
		"a loop behind the end":     {fat(4, 3), "", nil},
		"a chain that ends":         {fat(3, 0x0fffffff), "ONE.TXT", nil},
		"a free cluster in a chain": {fat(3, 0), "ONE.TXT", nil},
		"a bad cluster in a chain":  {fat(3, 0x0ffffff7), "ONE.TXT", nil},
		"a chain to nowhere":        {fat(3, 0x0fff0000), "ONE.TXT", nil},
		"two files of one cluster":  {start(2, 1, 4), "ONE.TXT TWO.TXT", nil},
		"a file in a directory":     {start(2, 1, 6), "DIR TWO.TXT", nil},
		"a directory in itself": {func(b []byte) { copy(b[1536+4*512+64:], "SUB        \x10"); start(6, 2, 6)(b) },
			"DIR/SUB", nil},
		"a directory that is the root": {start(2, 2, 2), "DIR", nil},
		"a directory of nothing":       {start(2, 2, 0), "DIR", nil},
		"a loop of a directory":        {fat(6, 6), "DIR", nil},
		"a loop of the root":           {fat(2, 2), ".", nil},
		"a name twice":                 {func(b []byte) { copy(b[1536+32:], "ONE     TXT") }, ".", nil},
		"a name with a slash":          {func(b []byte) { copy(b[1536+32:], "T/O     TXT") }, ".", nil},
		"no sectors":                   {func(b []byte) { le.PutUint16(b[19:], 0) }, "", ErrCorrupt},
		"an odd sector":                {func(b []byte) { le.PutUint16(b[11:], 500) }, "", ErrCorrupt},
		"no cluster":                   {func(b []byte) { b[13] = 3 }, "", ErrCorrupt},
		"a version":                    {func(b []byte) { b[42] = 1 }, "", ErrUnsupported},
		"the second FAT":               {func(b []byte) { b[40] = 0x81 }, "", ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			b := small()
			c.change(b)
			f, err := Open(bytes.NewReader(b), int64(len(b)))
			if !errors.Is(err, c.open) || err != nil {
				if c.open == nil || !errors.Is(err, c.open) {
					t.Errorf("%v, want %v", err, c.open)
				}
				return
			}
			broken := strings.Fields(c.broken)
			if (f.Volume().Damaged > 0) != (len(broken) > 0) {
				t.Errorf("%d damaged", f.Volume().Damaged)
			}
			for _, name := range []string{".", "ONE.TXT", "TWO.TXT", "DIR", "DIR/IN.TXT", "DIR/SUB"} {
				_, err := fs.ReadFile(f, name)
				if info, statErr := f.Stat(name); statErr == nil && info.IsDir() {
					_, err = f.ReadDir(name)
				} else if statErr != nil {
					err = statErr
				}
				want := slices.ContainsFunc(broken,
					func(b string) bool { return b == name || b == "." || strings.HasPrefix(name, b+"/") })
				if errors.Is(err, fs.ErrNotExist) && !want {
					continue
				}
				if errors.Is(err, ErrCorrupt) != want {
					t.Errorf("%s: %v", name, err)
				}
			}
			totals, err := f.Tree(".")
			if err != nil || (totals.Damaged > 0) != (len(broken) > 0) {
				t.Errorf("%+v, %v", totals, err)
			}
		})
	}
}

// What lies beyond the end of an image is an error, and no end of a file.
func TestCut(t *testing.T) {
	b := small()
	for _, length := range []int{0, 511, 512, 1024, 1536, 2047, 2048, 2600} {
		cut := b[:length]
		f, err := Open(bytes.NewReader(cut), int64(length))
		if err != nil {
			continue
		}
		if _, err := fs.ReadFile(f, "ONE.TXT"); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

// A volume with more than any has is refused in little time: directories that
// take all of a large volume, and a chain through all of it.
func TestBounds(t *testing.T) {
	b := small()
	large := make([]byte, 96<<20)
	copy(large, b[:512])
	le := binary.LittleEndian
	le.PutUint16(large[19:], 0)
	sectors := uint32(len(large) / 512)
	le.PutUint32(large[32:], sectors)
	le.PutUint32(large[36:], sectors/128)
	data := 512 * (1 + sectors/128)
	for c := uint32(2); c < sectors-1-sectors/128; c++ {
		le.PutUint32(large[512+4*c:], 0x0fffffff)
		for slot := uint32(0); slot < 16; slot++ {
			e := large[data+512*(c-2)+32*slot:]
			copy(e, fmt.Sprintf("D%07d   \x10", slot))
			child := 16*(c-2) + slot + 3
			le.PutUint16(e[26:], uint16(child))
			le.PutUint16(e[20:], uint16(child>>16))
		}
	}
	if _, err := Open(bytes.NewReader(large), int64(len(large))); !errors.Is(err, ErrUnsupported) {
		t.Errorf("directories: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(small())
	f.Fuzz(func(t *testing.T, b []byte) {
		fsys, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		seen := 0
		err = fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
			if seen++; seen > 10_000 {
				return fs.SkipAll
			}
			if err == nil && !e.IsDir() {
				open, err := fsys.Open(name)
				if err == nil {
					io.CopyN(io.Discard, open, 1<<16)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := fsys.Tree("."); err != nil {
			t.Error(err)
		}
	})
}
