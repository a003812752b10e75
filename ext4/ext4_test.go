package ext4

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/bytename"
)

// images are those that testdata/mkimages.sh makes.
var images = []string{"ext4", "ext2", "dirty"}

func unpack(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name+".img.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func openBytes(t testing.TB, raw []byte) *FS {
	t.Helper()
	f, err := Open(context.Background(), bytes.NewReader(raw), int64(len(raw)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// quote writes a name as stat(1) does with QUOTING_STYLE=c.
func quote(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(name) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7F:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// listing describes all files in the format of the text files of the images.
// Unreadable data is replaced by its error.
func listing(t testing.TB, f *FS) []string {
	t.Helper()
	var lines []string
	err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := info.Sys().(*Entry)
		raw, ok := decodePath(path)
		if !ok {
			t.Errorf("%q is no path", path)
		}
		line := fmt.Sprintf("%d %x %d %d %d %d %d %d %s", e.Inode, e.Mode, e.Links, e.UID, e.GID, e.Size, e.Allocated/512,
			e.Modified.Unix(), quote(raw))
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			target, err := f.ReadLink(path)
			if err != nil {
				return err
			}
			line += " -> " + quote(target)
		case 0:
			file, err := f.Open(path)
			if err != nil {
				return err
			}
			sum, err := digestOf(file)
			if err != nil {
				return err
			}
			line += " " + sum
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, '"'):], b[strings.IndexByte(b, '"'):])
	})
	return lines
}

func decodePath(path string) (string, bool) {
	elements := strings.Split(path, "/")
	for i, e := range elements {
		raw, ok := bytename.Decode(e)
		if !ok {
			return "", false
		}
		elements[i] = string(raw)
	}
	return strings.Join(elements, "/"), true
}

func expected(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, '"'):], b[strings.IndexByte(b, '"'):])
	})
	return lines
}

func TestImages(t *testing.T) {
	for _, name := range images {
		t.Run(name, func(t *testing.T) {
			f := openBytes(t, unpack(t, name))
			if diff := cmp.Diff(expected(t, name), listing(t, f)); diff != "" {
				t.Error(diff)
			}
			if d := f.Damage(); d.Count != 0 || len(d.Notes) != 0 {
				t.Errorf("damage: %+v", d)
			}
		})
	}
}

func TestFSTest(t *testing.T) {
	// The image of ext2 has symbolic links that cannot be opened, which TestFS
	// takes for errors.
	for _, name := range []string{"ext4", "dirty"} {
		f := openBytes(t, unpack(t, name))
		if err := fstest.TestFS(f, "etc/os-release", "home/user/größe", "home/user/bytes\uefff\ueffe",
			"home/user/deep/er/small", "many"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVolume(t *testing.T) {
	f := openBytes(t, unpack(t, "ext4"))
	v := f.Volume()
	got := Volume{Type: v.Type, Label: v.Label, Clean: v.Clean, BlockSize: v.BlockSize, ClusterSize: v.ClusterSize,
		InodeSize: v.InodeSize,
		Blocks:    v.Blocks, Groups: v.Groups, Inodes: v.Inodes, Size: v.Size, Journal: v.Journal}
	want := Volume{Type: "ext4", Label: "ext4", Clean: true, BlockSize: 1024, ClusterSize: 1024, InodeSize: 256,
		Blocks: 2048, Groups: 1, Inodes: 296, Size: 2 << 20}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(v.UUID) != 36 || v.Created.IsZero() || v.Mounted.IsZero() || v.Written.IsZero() ||
		!slices.Contains(v.Features, "inline_data") || v.LastMounted == "" {
		t.Errorf("%+v", v)
	}

	f = openBytes(t, unpack(t, "ext2"))
	if v := f.Volume(); v.Type != "ext2" || v.InodeSize != 128 || v.Journal.State != JournalNone {
		t.Errorf("%+v", v)
	}

	f = openBytes(t, unpack(t, "dirty"))
	v = f.Volume()
	if v.Clean || v.Type != "ext4" || v.Journal.State != JournalReplayed || v.Journal.Transactions == 0 ||
		v.Journal.Blocks == 0 ||
		int(v.Journal.Last-v.Journal.First)+1 != v.Journal.Transactions || v.Journal.Err != nil || v.DeletedOrphans != 1 {
		t.Errorf("%+v", v)
	}
}

// Without its journal the volume shows the old tree: the differences are really
// in the journal.
func TestJournalMatters(t *testing.T) {
	raw := unpack(t, "dirty")
	le.PutUint32(raw[1024+0x60:], le.Uint32(raw[1024+0x60:])&^incompatRecover)
	le.PutUint32(raw[1024+0x3FC:], crc32c(^uint32(0), raw[1024:1024+0x3FC]))
	f := openBytes(t, raw)
	if _, err := f.Stat("before/3"); err != nil {
		t.Error(err)
	}
	if _, err := f.Stat("last"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("last: %v", err)
	}
	if d := f.Damage(); len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "they are skipped") {
		t.Errorf("%+v", d)
	}
}

func TestLinks(t *testing.T) {
	f := openBytes(t, unpack(t, "ext2"))
	for _, tt := range []struct {
		name string
		want string // path whose inode it is
		err  error
	}{
		{name: "home/os-release", want: "etc/os-release"},
		{name: "home/user/absolute", want: "etc/conf.d"},
		{name: "home/user/absolute/a.conf", want: "etc/conf.d/a.conf"},
		{name: "home/loop", err: ErrLinks},
		{name: "home/loop/x", err: ErrLinks},
		{name: "home/user/long", want: "etc/os-release"}, // the root is above itself
		{name: "home/dangling", err: fs.ErrNotExist},
		{name: "etc/os-release/x", err: fs.ErrNotExist},
		{name: "nothing", err: fs.ErrNotExist},
		{name: strings.Repeat("n", 256), err: fs.ErrNotExist},
		{name: "\uef80\uef41", err: fs.ErrNotExist}, // no form of a name
		{name: "/etc", err: fs.ErrInvalid},
		{name: "etc/../etc", err: fs.ErrInvalid},
		{name: strings.Repeat("d/", 2500) + "d", err: ErrUnsupported},
	} {
		info, err := f.Stat(tt.name)
		if tt.err != nil {
			if !errors.Is(err, tt.err) {
				t.Errorf("%.50s: %v, want %v", tt.name, err, tt.err)
			}
			continue
		}
		want, werr := f.Lstat(tt.want)
		if err != nil || werr != nil {
			t.Errorf("%s: %v, %v", tt.name, err, werr)
			continue
		}
		if info.Sys().(*Entry).Inode != want.Sys().(*Entry).Inode {
			t.Errorf("%s is %v, want %v", tt.name, info.Sys(), want.Sys())
		}
	}
	if info, err := f.Lstat("home/os-release"); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("Lstat follows: %v, %v", info, err)
	}
	if target, err := f.ReadLink("home/os-release"); err != nil || target != "../etc/os-release" {
		t.Errorf("%q, %v", target, err)
	}
	if _, err := f.ReadLink("etc/os-release"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a file as a link: %v", err)
	}
}

// An inode that is not of the type that its directory entry says is another
// file's: without checksums nothing else tells that inodes changed places.
func TestTypeOfEntry(t *testing.T) {
	const hard, link, folder = 20, 22, 13 // inodes
	for name, change := range map[string]func(mode map[int][]byte){
		"a file is a folder":  func(mode map[int][]byte) { copy(mode[hard], mode[folder]) },
		"a folder is a file":  func(mode map[int][]byte) { copy(mode[folder], mode[hard]) },
		"a link is a file":    func(mode map[int][]byte) { copy(mode[link], mode[hard]) },
		"nothing was changed": func(map[int][]byte) {},
	} {
		t.Run(name, func(t *testing.T) {
			raw := unpack(t, "ext2")
			f := openBytes(t, raw)
			mode := map[int][]byte{}
			for _, number := range []int{hard, link, folder} {
				at, err := store{f}.Place(uint32(number))
				if err != nil {
					t.Fatal(err)
				}
				mode[number] = raw[at : at+2]
			}
			names := map[int]string{hard: "etc/hard", link: "home/os-release", folder: "etc/conf.d"}
			before := map[int]string{hard: string(mode[hard]), link: string(mode[link]), folder: string(mode[folder])}
			change(mode)
			f = openBytes(t, raw)
			for number, name := range names {
				changed := before[number] != string(mode[number])
				if _, err := f.Lstat(name); errors.Is(err, ErrCorrupt) != changed || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", name, err)
				}
				list, err := f.ReadDir(path.Dir(name))
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					if _, err := e.Info(); e.Name() == path.Base(name) && errors.Is(err, ErrCorrupt) != changed {
						t.Errorf("%s listed: %v", name, err)
					}
				}
			}
		})
	}
}

// A name with a NUL in it is damage, and what the directory lost by it may be any
// name.
func TestNULInName(t *testing.T) {
	for what, change := range map[string]func(entry []byte){
		"in the name":         func(e []byte) { e[direntSize+3] = 0 },
		"a name that is long": func(e []byte) { e[6]++ },
	} {
		raw := unpack(t, "ext2")
		entries := 0
		for at := direntSize; at < len(raw); at++ {
			if bytes.HasPrefix(raw[at:], []byte("os-release\x00\x00")) && le.Uint32(raw[at-direntSize:]) == 20 {
				change(raw[at-direntSize:])
				entries++
			}
		}
		if entries == 0 {
			t.Fatal("no entry found")
		}
		f := openBytes(t, raw)
		if list, err := f.ReadDir("etc"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v", what, list, err)
		}
		for _, name := range []string{"etc/os-release", "etc/nothing"} {
			if _, err := f.Lstat(name); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %s: %v", what, name, err)
			}
		}
	}
}

func TestXattrs(t *testing.T) {
	for _, name := range images {
		f := openBytes(t, unpack(t, name))
		want := []Xattr{{"security.selinux", []byte("system_u:object_r:etc_t:s0")}, {"user.comment", []byte("a comment")}}
		for _, path := range []string{"etc/os-release", "home/os-release"} {
			if got, err := f.Xattrs(path); err != nil || !cmp.Equal(got, want) {
				t.Errorf("%s: %s: %v, %v", name, path, got, err)
			}
		}
		if got, err := f.LXattrs("home/os-release"); err != nil || len(got) != 0 {
			t.Errorf("%s: those of the link itself: %v, %v", name, got, err)
		}
		if got, err := f.Xattrs("home/user/z"); err != nil || len(got) != 1 ||
			string(got[0].Value) != strings.Repeat("v", 700) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if _, err := f.Xattrs("nothing"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestTree(t *testing.T) {
	for _, name := range images {
		f := openBytes(t, unpack(t, name))
		totals, err := f.Tree("etc")
		if err != nil {
			t.Fatal(err)
		}
		if totals.Files != 2 || totals.Dirs != 1 || totals.Links != 1 || totals.Size != 35 || totals.Damaged != 0 {
			t.Errorf("%s: %+v", name, totals)
		}
		if file, err := f.Tree("home/os-release"); err != nil || file.Files != 1 || file.Dirs != 0 || file.Size != 25 {
			t.Errorf("%s: %+v, %v", name, file, err)
		}
		if _, err := f.Tree("nothing"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestFile(t *testing.T) {
	f := openBytes(t, unpack(t, "ext4"))
	whole, err := f.ReadFile("home/user/pieces")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := f.Open("home/user/pieces")
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(opened, whole); err != nil {
		t.Error(err)
	}
	file := opened.(*File)
	var done sync.WaitGroup
	for g := range 4 {
		done.Go(func() {
			p := make([]byte, 3000)
			for at := int64(g * 100); at < file.Size(); at += 7001 {
				n, err := file.ReadAt(p, at)
				if err != nil && err != io.EOF || !bytes.Equal(p[:n], whole[at:at+int64(n)]) {
					t.Errorf("at %d: %d, %v", at, n, err)
				}
			}
		})
	}
	done.Wait()
	if _, err := file.ReadAt(nil, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if _, err := file.Seek(-1, io.SeekStart); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	if _, err := file.Seek(0, 9); !errors.Is(err, fs.ErrInvalid) {
		t.Error(err)
	}
	file.Close()
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	if _, err := f.ReadFile("etc"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a directory as a file: %v", err)
	}
	if _, err := f.ReadDir("etc/os-release"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a file as a directory: %v", err)
	}
	if data, err := f.ReadFile("home/user/fifo"); err != nil || len(data) != 0 {
		t.Errorf("a FIFO: %q, %v", data, err)
	}
	info, err := f.Stat("home/user/null")
	if e := info.Sys().(*Entry); err != nil || e.Major != 1 || e.Minor != 3 || info.Mode()&fs.ModeCharDevice == 0 {
		t.Errorf("%v %+v, %v", info.Mode(), e, err)
	}
}

// failingReader fails from one read on.
type failingReader struct {
	r    io.ReaderAt
	left int
}

var errDisk = errors.New("the disk failed")

func (r *failingReader) ReadAt(p []byte, off int64) (int, error) {
	if r.left--; r.left < 0 {
		return 0, errDisk
	}
	return r.r.ReadAt(p, off)
}

// An error of the reader passes through wherever it happens; it is never
// reported as damage or absence.
func TestReaderFails(t *testing.T) {
	for _, name := range images {
		raw := unpack(t, name)
		for left := 0; ; left++ {
			r := &failingReader{bytes.NewReader(raw), left}
			f, err := Open(context.Background(), r, int64(len(raw)), Options{Readers: 1})
			for _, use := range []func() error{
				func() error { _, err := f.ReadFile("home/os-release"); return err },
				func() error { _, err := f.ReadDir("many"); return err },
				func() error { _, err := f.Xattrs("home/user/z"); return err },
				func() error { _, err := f.ReadLink("home/user/long"); return err },
				func() error { _, err := f.Usage(); return err },
				func() error { _, err := f.Tree("."); return err },
			} {
				if err == nil {
					err = use()
				}
			}
			if err == nil {
				if r.left < 0 {
					t.Errorf("%s: failed after %d reads, and nobody said so", name, left)
				}
				break
			}
			if !errors.Is(err, errDisk) || recoverable(err) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: failed after %d reads: %v", name, left, err)
			}
		}
	}
}

// A superblock that lost the feature which the inodes use is damaged, and with
// it what df would say.
func TestExtentsWithoutFeature(t *testing.T) {
	f := openBytes(t, unpack(t, "ext4"))
	if _, err := f.Usage(); err != nil {
		t.Fatal(err)
	}
	f = openBytes(t, unpack(t, "ext4"))
	f.super.incompat &^= incompatExtents
	if _, err := f.Lstat("."); !errors.Is(err, ErrCorrupt) {
		t.Errorf("root: %v", err)
	}
	if u, err := f.computeUsage(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%+v, %v", u, err)
	}
}

func digestOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
