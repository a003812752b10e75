package ntfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// volume3g is a volume that mkntfs made and ntfs-3g fills and reads.
type volume3g struct {
	t     testing.TB
	image string
	mnt   string
}

func makeVolume(t testing.TB, size int64, mkntfs ...string) *volume3g {
	t.Helper()
	testenv.Loop(t)
	testenv.Tool(t, "mkntfs", "ntfs-3g", "umount")
	v := &volume3g{t: t, image: filepath.Join(testenv.ImageDir(t), "image"), mnt: t.TempDir()}
	file, err := os.Create(v.image)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	v.run("mkntfs", append([]string{"-q", "-Q", "-F", "-p", "0", "-H", "255", "-S", "63"}, append(mkntfs, v.image)...)...)
	return v
}

func (v *volume3g) run(name string, args ...string) string {
	v.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		v.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mounted runs use while the volume is mounted. ntfs-3g has written everything
// when it ends, which is after umount does.
func (v *volume3g) mounted(use func(), options ...string) {
	v.t.Helper()
	options = append([]string{"compression", "streams_interface=windows", "no_detach"}, options...)
	cmd := exec.Command("ntfs-3g", "-o", strings.Join(options, ","), v.image, v.mnt)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	v.check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !v.isMounted() {
		select {
		case err := <-ended:
			v.t.Fatalf("ntfs-3g: %v\n%s", err, &said)
		case <-time.After(time.Millisecond):
		}
	}
	defer func() {
		testenv.Unmount(v.t, v.mnt)
		if err := <-ended; err != nil {
			v.t.Errorf("ntfs-3g: %v\n%s", err, &said)
		}
	}()
	use()
}

// isMounted reports whether the mount point is on another device than the folder
// that it is in.
func (v *volume3g) isMounted() bool {
	var here, above syscall.Stat_t
	v.check(syscall.Stat(filepath.Dir(v.mnt), &above))
	return syscall.Stat(v.mnt, &here) == nil && here.Dev != above.Dev
}

func (v *volume3g) open() *FS {
	v.t.Helper()
	file, err := os.Open(v.image)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { file.Close() })
	info, err := file.Stat()
	if err != nil {
		v.t.Fatal(err)
	}
	f, err := Open(context.Background(), file, info.Size(), Options{})
	if err != nil {
		v.t.Fatal(err)
	}
	return f
}

func (v *volume3g) path(name string) string { return filepath.Join(v.mnt, name) }

func (v *volume3g) write(name string, data []byte) {
	v.t.Helper()
	path := v.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		v.t.Fatal(err)
	}
}

// writeAt makes a file of the given size with pieces in it.
func (v *volume3g) writeAt(name string, size int64, pieces map[int64][]byte) {
	v.t.Helper()
	file, err := os.Create(v.path(name))
	if err != nil {
		v.t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		v.t.Fatal(err)
	}
	for at, p := range pieces {
		if _, err := file.WriteAt(p, at); err != nil {
			v.t.Fatal(err)
		}
	}
}

func (v *volume3g) check(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume3g) setReparse(name string, value []byte) {
	v.t.Helper()
	v.check(syscall.Setxattr(v.path(name), "system.ntfs_reparse_data", value, 0))
}

// fill makes one of everything that ntfs-3g can make on any volume.
func (v *volume3g) fill() {
	v.write("empty", nil)
	v.write("resident", []byte("hello"))
	v.write("one thousand", text(1000))
	v.write("large/noise.bin", noise(3<<20+123))
	v.write("ünïcödé/日本語/𝄞 clef 😀.txt", []byte("unicode"))
	v.write("ünïcödé/ÀÉ.txt", []byte("accents"))
	deep := "deep"
	for i := range 60 {
		deep += fmt.Sprintf("/%02d", i)
	}
	v.write(deep+"/bottom", []byte("down here"))
	v.write("sub/"+strings.Repeat("n", 255), []byte("long name"))

	v.writeAt("sparse", 9<<20, map[int64][]byte{0: []byte("start"), 5 << 20: noise(70000), 9<<20 - 3: []byte("end")})
	v.writeAt("all hole", 3<<20+5, nil)

	v.write("links/first", text(5000))
	for i := range 20 {
		v.check(os.Link(v.path("links/first"), v.path(fmt.Sprintf("links/another name of the same file %d", i))))
	}
	v.check(os.Link(v.path("links/first"), v.path("sub/elsewhere")))

	v.write("streams/file", []byte("main"))
	v.write("streams/file:Zone.Identifier", []byte("[ZoneTransfer]\r\nZoneId=3\r\n"))
	v.write("streams/file:large", noise(300000))
	v.write("streams:on a directory", []byte("dir stream"))

	for i := range 1500 {
		v.write(fmt.Sprintf("many/file with a name of some length %04d", i), nil)
	}
	for i := range 1500 {
		if i%7 != 0 {
			v.check(os.Remove(v.path(fmt.Sprintf("many/file with a name of some length %04d", i))))
		}
	}
	for i := range 700 {
		v.write(fmt.Sprintf("freed/deleted name %03d", i), []byte("x"))
	}
	for i := range 696 {
		v.check(os.Remove(v.path(fmt.Sprintf("freed/deleted name %03d", i))))
	}

	v.check(os.Mkdir(v.path("junction"), 0o777))
	v.setReparse("junction", linkReparse(TagMountPoint, `\??\C:\sub`, `C:\sub`, false))
	v.write("symlink", nil)
	v.setReparse("symlink", linkReparse(TagSymlink, `resident`, `resident`, true))
	v.write("long symlink", nil)
	v.setReparse("long symlink", linkReparse(TagSymlink, `\??\C:\`+strings.Repeat("x", 3000), "", false))
	v.write("Case", []byte("upper"))
	v.write("case", []byte("lower"))
}

// maxScattered returns how much of a volume scatter fills, in bytes.
func maxScattered() int64 {
	if testenv.Nightly() {
		return 64 << 20
	}
	return 16 << 20
}

// scatter makes a file of many pieces, written out of order into a hole.
func (v *volume3g) scatter(name string, pieces int, clusterSize int64) {
	file, err := os.Create(v.path(name))
	v.check(err)
	defer file.Close()
	pieces = int(min(int64(pieces), maxScattered()/clusterSize))
	v.check(file.Truncate(int64(pieces) * 2 * clusterSize))
	piece := noise(512)
	order := rand.New(rand.NewPCG(1, 2)).Perm(pieces)
	for _, i := range order {
		binary.LittleEndian.PutUint32(piece, uint32(i))
		_, err := file.WriteAt(piece, int64(i)*2*clusterSize)
		v.check(err)
	}
}

// fillCompressed makes LZNT1-compressed files; clusters must not be larger
// than 4 KiB for that.
func (v *volume3g) fillCompressed() {
	v.check(os.Mkdir(v.path("packed"), 0o777))
	attributes := binary.BigEndian.AppendUint32(nil, 0x800)
	v.check(syscall.Setxattr(v.path("packed"), "system.ntfs_attrib_be", attributes, 0))
	v.write("packed/text", text(1<<20+77))
	v.write("packed/noise", noise(200000))
	v.write("packed/zero", make([]byte, 500000))
	v.write("packed/small", text(300))
	v.write("packed/unit", text(16*4096))
	mixed := slices.Concat(text(100000), noise(100000), make([]byte, 200000), text(50000), []byte("end"))
	v.write("packed/mixed", mixed)
	v.writeAt("packed/hole", 1<<20, map[int64][]byte{300000: text(5000), 700000: noise(70000)})
}

// listing is what two readers are compared by.
type listing struct {
	Type  fs.FileMode
	Size  int64
	Sum   string // SHA-256
	Links int
	Disk  int64 // allocated bytes; -1 if resident
	Time  string
}

// listMount lists the volume as ntfs-3g shows it.
func (v *volume3g) listMount(resident func(string) bool) map[string]listing {
	v.t.Helper()
	list := map[string]listing{}
	err := filepath.WalkDir(v.mnt, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == v.mnt {
			return err
		}
		name, err := filepath.Rel(v.mnt, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		l := listing{Type: info.Mode().Type(), Time: info.ModTime().UTC().String()}
		if info.Mode().IsRegular() {
			stat := info.Sys().(*syscall.Stat_t)
			l.Size, l.Links, l.Disk = info.Size(), int(stat.Nlink), stat.Blocks*512
			if resident(name) {
				l.Disk = -1
			}
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			if l.Sum, err = sum(file); err != nil {
				return err
			}
		}
		list[name] = l
		return nil
	})
	v.check(err)
	return list
}

func sum(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// list lists the volume as this package does, but for the metadata files,
// which a mount does not show. A junction is a symbolic link on a mount.
func list(t testing.TB, f *FS) map[string]listing {
	t.Helper()
	list := map[string]listing{}
	err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if strings.HasPrefix(name, "$") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := info.Sys().(*Entry)
		l := listing{Type: info.Mode().Type(), Time: info.ModTime().String()}
		if l.Type == fs.ModeIrregular && e.ReparseTag == TagMountPoint {
			l.Type = fs.ModeSymlink
		}
		if info.Mode().IsRegular() {
			l.Size, l.Links, l.Disk = info.Size(), e.Links, e.Allocated
			if e.Resident {
				l.Disk = -1
			}
			file, err := f.Open(name)
			if err != nil {
				return err
			}
			defer file.Close()
			if l.Sum, err = sum(file); err != nil {
				return err
			}
		}
		list[name] = l
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// compare holds the volume against what ntfs-3g shows of it.
func (v *volume3g) compare(streams map[string][]byte) *FS {
	v.t.Helper()
	f := v.open()
	if d := f.Damage(); d.Count != 0 || d.Orphans != 0 || len(d.Notes) != 0 {
		v.t.Errorf("damage: %+v", d)
	}
	got := list(v.t, f)
	v.mounted(func() {
		want := v.listMount(func(name string) bool { return got[name].Disk == -1 })
		if diff := cmp.Diff(want, got); diff != "" {
			v.t.Errorf("ntfs-3g (-), this package (+):\n%s", diff)
		}
		var stat syscall.Statfs_t
		v.check(syscall.Statfs(v.mnt, &stat))
		free, err := f.Free()
		if want := int64(stat.Bfree) * stat.Frsize; err != nil || free != want {
			v.t.Errorf("%d bytes free (%v), statfs says %d", free, err, want)
		}
		v.t.Logf("%d files and directories, %d bytes free", len(got), free)
		for path := range streams {
			want, err := os.ReadFile(v.path(path))
			v.check(err)
			name, stream, _ := strings.Cut(path, ":")
			data, err := readStream(f, name, stream)
			if err != nil || !bytes.Equal(data, want) {
				v.t.Errorf("%s: %d bytes, ntfs-3g has %d: %v", path, len(data), len(want), err)
			}
		}
	}, "ro")
	return f
}

var filledStreams = map[string][]byte{
	"streams/file:Zone.Identifier": nil, "streams/file:large": nil, "streams:on a directory": nil,
}

// Volumes with every cluster size, and both sizes of records, compare equal
// with the mount, file by file.
func TestVolumes3g(t *testing.T) {
	for i, test := range []struct {
		name    string
		size    int64
		args    []string
		cluster int
		record  int
		packed  bool
	}{
		{"clusters of 512", 64 << 20, []string{"-c", "512"}, 512, 1024, true},
		{"clusters of 1024", 64 << 20, []string{"-c", "1024"}, 1024, 1024, true},
		{"clusters of 2048", 64 << 20, []string{"-c", "2048"}, 2048, 1024, true},
		{"clusters of 4096", 64 << 20, []string{"-c", "4096"}, 4096, 1024, true},
		{"clusters of 8 KiB", 128 << 20, []string{"-c", "8192"}, 8192, 1024, false},
		{"clusters of 16 KiB", 256 << 20, []string{"-c", "16384"}, 16384, 1024, false},
		{"clusters of 32 KiB", 256 << 20, []string{"-c", "32768"}, 32768, 1024, false},
		{"clusters of 64 KiB", 512 << 20, []string{"-c", "65536"}, 65536, 1024, false},
		{"clusters of 128 KiB", 1 << 30, []string{"-c", "131072"}, 128 << 10, 1024, false},
		{"clusters of 256 KiB", 2 << 30, []string{"-c", "262144"}, 256 << 10, 1024, false},
		{"clusters of 512 KiB", 4 << 30, []string{"-c", "524288"}, 512 << 10, 1024, false},
		{"clusters of 1 MiB", 4 << 30, []string{"-c", "1048576"}, 1 << 20, 1024, false},
		{"clusters of 2 MiB", 8 << 30, []string{"-c", "2097152"}, 2 << 20, 1024, false},
		{"sectors of 1024", 64 << 20, []string{"-s", "1024", "-c", "4096"}, 4096, 1024, true},
		{"records of 4 KiB", 64 << 20, []string{"-s", "4096", "-c", "4096"}, 4096, 4096, true},
		{"records of 4 KiB in clusters of 64 KiB", 512 << 20, []string{"-s", "4096", "-c", "65536"}, 65536, 4096, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			testenv.Share(t, i, 5, 3)
			t.Parallel()
			v := makeVolume(t, test.size, append(test.args, "-L", "Läbel")...)
			v.mounted(func() {
				v.fill()
				v.scatter("scattered", 2500, int64(test.cluster))
				if test.packed {
					v.fillCompressed()
				}
			})
			f := v.compare(filledStreams)
			volume := f.Volume()
			if volume.ClusterSize != test.cluster || volume.RecordSize != test.record || volume.Label != "Läbel" ||
				volume.Version != "3.1" || volume.Dirty || volume.Journal.State != JournalEmpty {
				t.Errorf("%+v", volume)
			}
			v.checkLinks(f)
			v.checkTotals(f)
			v.checkMade(f, test.packed)
		})
	}
}

// The rules of io/fs hold with records of 4 KiB, too.
func TestFS3g(t *testing.T) {
	t.Parallel()
	v := makeVolume(t, 32<<20, "-c", "4096", "-s", "4096")
	v.mounted(func() {
		v.write("a/b/c", text(5000))
		v.writeAt("sparse", 100<<10, map[int64][]byte{50 << 10: noise(5000)})
		v.fillCompressed()
	})
	if err := fstest.TestFS(v.open(), "a/b/c", "sparse", "packed/mixed"); err != nil {
		t.Error(err)
	}
}

// checkMade makes sure that the volume has what it is meant to have.
func (v *volume3g) checkMade(f *FS, packed bool) {
	v.t.Helper()
	attribute := func(name string, kind uint32) *attribute {
		record, err := f.resolve(name)
		v.check(err)
		_, attributes, err := f.readRecord(record)
		v.check(err)
		for _, a := range attributes {
			if a.kind == kind && !a.named("$SDH") {
				return &a
			}
		}
		v.t.Fatalf("%s has no attribute 0x%X", name, kind)
		return nil
	}
	stream := func(name string) *stream {
		file, err := f.Open(name)
		v.check(err)
		return file.(*File).content.(*stream)
	}
	if n, want := len(stream("scattered").runs), min(4000, int(maxScattered()/int64(f.boot.clusterSize))); n < want {
		v.t.Errorf("scattered has %d runs, not %d", n, want)
	}
	if f.boot.clusterSize <= 4096 && attribute("scattered", typeAttributeList).resident {
		v.t.Error("the attribute list of scattered is resident")
	}
	if attribute("long symlink", typeReparsePoint).resident {
		v.t.Error("the reparse data of long symlink is resident")
	}
	if attribute("many", typeIndexAllocation).resident {
		v.t.Error("the index of many is resident")
	}
	if packed {
		info, err := f.Stat("packed/mixed")
		v.check(err)
		if e := info.Sys().(*Entry); stream("packed/mixed").unit != 16 || !e.Compressed || e.Allocated >= e.Size {
			v.t.Errorf("packed/mixed: %+v", e)
		}
	}
}

// fragment leaves free space in small pieces: it fills the volume with small
// files and deletes every second one.
func (v *volume3g) fragment(clusterSize int) {
	v.t.Helper()
	v.check(os.Mkdir(v.path("filling"), 0o777))
	data := noise(max(clusterSize, 900)) // too long for a record
	n := 0
	for ; ; n++ {
		if err := os.WriteFile(v.path(fmt.Sprintf("filling/%d", n)), data, 0o666); err != nil {
			break
		}
	}
	for i := 0; i < n; i += 2 {
		v.check(os.Remove(v.path(fmt.Sprintf("filling/%d", i))))
	}
}

// Where free space is in small pieces, $MFT and an index grow in pieces.
func TestFragmented3g(t *testing.T) {
	t.Parallel()
	v := makeVolume(t, 8<<20, "-c", "512")
	names := 0
	v.mounted(func() {
		v.fragment(512)
		for ; names < 1500; names++ {
			name := fmt.Sprintf("many/in an index of many pieces %04d", names)
			v.check(os.MkdirAll(v.path("many"), 0o777))
			if err := os.WriteFile(v.path(name), []byte(name), 0o666); err != nil {
				break
			}
		}
	})
	f := v.compare(nil)
	ino, err := f.load(mustResolve(t, f, "many"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ino.stream(f.disk, typeIndexAllocation, "$I30")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d names, $MFT in %d runs, index in %d", names, len(f.mft.runs), len(s.runs))
	if len(f.mft.runs) < 100 || len(s.runs) < 30 || names < 500 {
		t.Error("not fragmented")
	}
	if found, err := indexNames(f, ino.number); err != nil || found != names {
		t.Errorf("%d of %d names in the index, %v", found, names, err)
	}
}

func (v *volume3g) checkLinks(f *FS) {
	v.t.Helper()
	for _, test := range []struct {
		name, target string
		relative     bool
		mode         fs.FileMode
	}{
		{"junction", `C:\sub`, false, fs.ModeIrregular},
		{"symlink", `resident`, true, fs.ModeSymlink},
		{"long symlink", `C:\` + strings.Repeat("x", 3000), false, fs.ModeSymlink},
	} {
		r, err := f.Reparse(test.name)
		if err != nil || r.Target() != test.target || r.Relative != test.relative {
			v.t.Errorf("%s: %q %v, %v", test.name, r.Target(), r.Relative, err)
		}
		if target, err := f.ReadLink(test.name); err != nil || target != test.target {
			v.t.Errorf("%s: %q, %v", test.name, target, err)
		}
		info, err := f.Stat(test.name)
		if err != nil || info.Mode().Type() != test.mode {
			v.t.Errorf("%s: %v, %v", test.name, info.Mode(), err)
		}
	}
}

// checkTotals compares Tree with what a walk of the volume adds up to.
func (v *volume3g) checkTotals(f *FS) {
	v.t.Helper()
	for _, root := range []string{".", "links", "deep", "streams", "many", "resident"} {
		want := walkTotals(v.t, f, root)
		got, err := f.Tree(root)
		if err != nil {
			v.t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			v.t.Errorf("%s: walk (-), Tree (+):\n%s", root, diff)
		}
	}
}

func walkTotals(t testing.TB, f *FS, root string) Totals {
	t.Helper()
	var want Totals
	seen := map[uint64]bool{}
	err := fs.WalkDir(f, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := info.Sys().(*Entry)
		if seen[e.Record] {
			want.Links++
			return nil
		}
		seen[e.Record] = true
		if e.ReparseTag != 0 {
			want.Reparse++
		}
		if e.Dir {
			if name != root {
				want.Dirs++
			}
		} else {
			want.Files++
		}
		want.Size += e.Size
		want.Allocated += e.Allocated
		streams, err := f.Streams(name)
		for _, s := range streams {
			want.StreamSize += s.Size
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// go-ntfs joins 21 extents of an attribute and ends there.
func TestGoNTFSCutsManyExtents3g(t *testing.T) {
	t.Parallel()
	v := makeVolume(t, 64<<20, "-c", "512")
	v.mounted(func() { v.scatter("scattered", 9000, 512) })
	f := v.open()
	ino, err := f.load(mustResolve(t, f, "scattered"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(ino.find(typeData, "")); n <= 21 {
		t.Fatalf("%d extents", n)
	}
	ours := readAll(t, f, "scattered")
	theirs := goRead(t, goNTFS(t, imageOf(t, f)), "scattered")
	if len(theirs) >= len(ours) {
		t.Errorf("go-ntfs reads %d bytes of %d", len(theirs), len(ours))
	}
	t.Logf("%d of %d bytes", len(theirs), len(ours))
}

func imageOf(t testing.TB, f *FS) []byte {
	t.Helper()
	image := make([]byte, f.disk.size)
	if err := f.disk.readAt(image, 0); err != nil {
		t.Fatal(err)
	}
	return image
}

func mustResolve(t testing.TB, f *FS, name string) uint32 {
	t.Helper()
	record, err := f.resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	return record
}
