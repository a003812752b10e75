// Package mounttest compares how this module and the mounted kernel filesystem
// show the same Unix volume.
package mounttest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/bytename"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Volume is the interface that a filesystem's tests provide.
type Volume interface {
	fs.FS
	ReadLink(name string) (string, error)
	// Describe returns the metadata and the extended attributes of a file that a
	// listing has. An error is of the attributes.
	Describe(name string, info fs.FileInfo) (Seen, error)
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Command runs a program that has to succeed.
func Command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out)
}

// Truncate makes a file of zeros.
func Truncate(t testing.TB, path string, size int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = file.Truncate(size)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// WriteSparse writes an image, but for what is zero.
func WriteSparse(t testing.TB, path string, image []byte) {
	t.Helper()
	Truncate(t, path, int64(len(image)))
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const piece = 64 << 10
	zero := make([]byte, piece)
	for at := 0; at < len(image); at += piece {
		p := image[at:min(at+piece, len(image))]
		if bytes.Equal(p, zero[:len(p)]) {
			continue
		}
		if _, err := file.WriteAt(p, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// TryMount mounts an image of a kind of filesystem and returns the place. It is
// unmounted at the end of the test, if the returned function has not done so.
func TryMount(t testing.TB, kind, image, options string) (dir string, umount func(), err error) {
	t.Helper()
	dir = t.TempDir()
	out, err := exec.Command("mount", "-t", kind, "-o", strings.TrimSuffix("loop,"+options, ","), image,
		dir).CombinedOutput()
	if err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	mounted := true
	umount = func() {
		if mounted {
			mounted = false
			testenv.Unmount(t, dir)
			testenv.AwaitLoop(t, image)
		}
	}
	t.Cleanup(umount)
	return dir, umount, nil
}

// CopyFile copies a file, without its holes.
func CopyFile(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(testenv.ImageDir(t), "copy")
	Command(t, "cp", "--sparse=always", from, to)
	return to
}

// Seen describes one file as the kernel or this module shows it.
type Seen struct {
	Inode        uint64
	Mode         fs.FileMode
	UID, GID     uint32
	Links        int
	Size         int64
	Allocated    int64
	Modified     time.Time
	Changed      time.Time
	Accessed     time.Time
	Created      time.Time
	Major, Minor uint32
	Target       string
	Content      string // fingerprint
	Xattrs       []Xattr
	Err          string
}

// KernelView describes all below a mounted volume.
func KernelView(t testing.TB, dir string) map[string]Seen {
	t.Helper()
	view := map[string]Seen{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		rel = bytename.EncodePath([]byte(rel))
		s := Seen{}
		if err == nil {
			s, err = KernelLook(path)
		}
		if err != nil {
			s.Err = err.Error()
		}
		view[rel] = s
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// KernelLook describes one file of a mounted volume.
func KernelLook(path string) (s Seen, err error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_ALL, &st); err != nil {
		return s, err
	}
	stamp := func(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }
	s = Seen{
		Inode: st.Ino, Mode: unixfs.FileMode(st.Mode), UID: st.Uid, GID: st.Gid, Links: int(st.Nlink), Size: int64(st.Size),
		Allocated: int64(st.Blocks) * 512, Modified: stamp(st.Mtime), Changed: stamp(st.Ctime), Accessed: stamp(st.Atime),
		Major: st.Rdev_major, Minor: st.Rdev_minor,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		s.Created = stamp(st.Btime)
	}
	if s.Mode&fs.ModeSymlink != 0 {
		if s.Target, err = os.Readlink(path); err != nil {
			return s, err
		}
		s.Target = bytename.EncodePath([]byte(s.Target))
	}
	if s.Mode.IsRegular() {
		if s.Content, err = DigestFile(path); err != nil {
			return s, err
		}
	}
	s.Xattrs, err = kernelXattrs(path)
	return s, err
}

// DigestFile returns the fingerprint of a file that the kernel shows. It leaves the
// holes out, which hold zeros.
func DigestFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	f := newFingerprint(piece[:])
	for at := int64(0); at < info.Size(); at += pieceSize {
		data, err := file.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // only a hole is left
		}
		if err == nil && data > at {
			at = data &^ (pieceSize - 1)
		}
		// A filesystem that does not know its holes is read as it is.
		n, err := file.ReadAt(f.piece, at)
		f.add(at, f.piece[:n])
		if err != nil && err != io.EOF {
			return "", err
		}
	}
	return f.sum(info.Size()), nil
}

// pieceSize is how much of a file is read in one go, a power of two.
const pieceSize = 64 << 10

// fingerprint stands for the content of a file in this process: its size, what is not
// zero, and where that is. Most of what is read are holes.
type fingerprint struct {
	hash  maphash.Hash
	piece []byte
}

var (
	seed   = maphash.MakeSeed()
	zero   = make([]byte, pieceSize)
	pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}
)

func newFingerprint(piece []byte) *fingerprint {
	f := &fingerprint{piece: piece}
	f.hash.SetSeed(seed)
	return f
}

// add adds the piece that begins at a multiple of pieceSize.
func (f *fingerprint) add(at int64, p []byte) {
	if !bytes.Equal(p, zero[:len(p)]) {
		var place [8]byte
		binary.LittleEndian.PutUint64(place[:], uint64(at))
		f.hash.Write(place[:])
		f.hash.Write(p)
	}
}

func (f *fingerprint) sum(size int64) string { return fmt.Sprintf("%x of %d", f.hash.Sum64(), size) }

// Fingerprint reads to the end.
func Fingerprint(r io.Reader) (string, error) {
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	f := newFingerprint(piece[:])
	for at := int64(0); ; at += pieceSize {
		n, err := io.ReadFull(r, f.piece)
		f.add(at, f.piece[:n])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return f.sum(at + int64(n)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func kernelXattrs(path string) ([]Xattr, error) {
	n, err := unix.Llistxattr(path, nil)
	if err == unix.ENOTSUP || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]byte, n)
	if n, err = unix.Llistxattr(path, names); err != nil {
		return nil, err
	}
	var list []Xattr
	for _, name := range strings.Split(string(names[:n]), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, Xattr{bytename.Encode([]byte(name)), bytes.Clone(value[:n])})
	}
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// View describes all that is seen of a volume.
func View(t testing.TB, v Volume) map[string]Seen {
	t.Helper()
	all := map[string]Seen{}
	err := fs.WalkDir(v, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			s := all[path]
			s.Err = err.Error()
			all[path] = s
			return nil
		}
		info, err := d.Info()
		if err != nil {
			all[path] = Seen{Err: err.Error()}
			return nil
		}
		all[path] = look(v, path, info)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func look(v Volume, path string, info fs.FileInfo) Seen {
	s, attributes := v.Describe(path, info)
	fail := func(err error) {
		if err != nil && s.Err == "" {
			s.Err = err.Error()
		}
	}
	var err error
	if s.Mode&fs.ModeSymlink != 0 {
		s.Target, err = v.ReadLink(path)
		fail(err)
	}
	if s.Mode.IsRegular() {
		var file fs.File
		file, err = v.Open(path)
		fail(err)
		if err == nil {
			s.Content, err = Fingerprint(file)
			fail(err)
			file.Close()
		}
	}
	fail(attributes)
	return s
}

// Diff returns the differences, "" if there are none.
func Diff(want, got Seen) string {
	if reflect.DeepEqual(want, got) { // far faster, and true of nearly all
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// CompareViews reports the differences.
func CompareViews(t testing.TB, want, got map[string]Seen) {
	t.Helper()
	wrong := 0
	for path, w := range want {
		g, ok := got[path]
		if !ok {
			t.Errorf("%q is missing", path)
			wrong++
		} else if diff := Diff(w, g); diff != "" {
			t.Errorf("%q (-want +got): %s", path, diff)
			wrong++
		}
		if wrong > 20 {
			t.Fatal("and more")
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q is not there", path)
		}
	}
}

// Totals are those of a tree, as this module counts them.
type Totals struct{ Files, Dirs, Symlinks, Links, Size, Allocated int64 }

// Count adds up a view.
func Count(view map[string]Seen) Totals {
	totals := Totals{Dirs: -1}
	met := map[uint64]bool{}
	for _, s := range view {
		if met[s.Inode] {
			totals.Links++
			continue
		}
		met[s.Inode] = true
		totals.Allocated += s.Allocated
		switch {
		case s.Mode.IsDir():
			totals.Dirs++
			continue
		case s.Mode.IsRegular():
			totals.Size += s.Size
		case s.Mode&fs.ModeSymlink != 0:
			totals.Symlinks++
		}
		totals.Files++
	}
	return totals
}

// Populate makes a tree of all kinds of files. Files that the volume has no
// room or no feature for are skipped.
func Populate(t testing.TB, dir string, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	may := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EFBIG) &&
			!errors.Is(err, unix.E2BIG) && !errors.Is(err, unix.ERANGE) {
			t.Fatal(err)
		}
	}
	content := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		may(os.WriteFile(path, data, 0o644))
		return path
	}

	// Sizes around those of the inode's room, of blocks and of clusters.
	for _, n := range []int{0, 1, 59, 60, 61, 100, 155, 156, 157, 160, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 65536,
		65537, 300000} {
		write(fmt.Sprintf("sizes/%d", n), content(n))
	}
	write("sizes/large", content(3<<20))

	// Holes, at the begin, in the middle and at the end; space that was
	// reserved, within the file and behind its end.
	sparse := func(name string, size int64, pieces ...int64) {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		file, err := os.Create(path)
		must(err)
		defer file.Close()
		for _, at := range pieces {
			if _, err := file.WriteAt(content(3000), at); err != nil {
				may(err)
			}
		}
		may(file.Truncate(size))
	}
	sparse("sparse/hole", 1<<20)
	sparse("sparse/begin", 500000, 490000)
	sparse("sparse/middle", 600000, 0, 590000)
	sparse("sparse/end", 700000, 0)
	// Into the second and third level of indirect blocks of 1 KiB.
	sparse("sparse/deep", 200<<20, 0, 20<<10, 300<<10, 70<<20, 150<<20)
	sparse("sparse/deeper", 0, 14<<30, 17<<30)
	file, err := os.Create(filepath.Join(dir, "sparse/reserved"))
	must(err)
	may(unix.Fallocate(int(file.Fd()), 0, 10000, 200000))
	_, err = file.WriteAt(content(5000), 50000)
	may(err)
	may(unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 300000, 100000))
	file.Close()

	// Many extents: every second block is a hole.
	file, err = os.Create(filepath.Join(dir, "sparse/fragmented"))
	must(err)
	for i := range int64(600) {
		if _, err := file.WriteAt(content(1), i*131072); err != nil {
			may(err)
			break
		}
	}
	file.Close()

	// Symbolic links, short and long ones.
	must(os.Mkdir(filepath.Join(dir, "links"), 0o755))
	for _, n := range []int{1, 58, 59, 60, 61, 120, 200, 1000, 1023} {
		may(os.Symlink(strings.Repeat("x", n), filepath.Join(dir, fmt.Sprintf("links/%d", n))))
	}
	must(os.Symlink("../sizes/60", filepath.Join(dir, "links/relative")))
	must(os.Symlink("/sizes/61", filepath.Join(dir, "links/absolute")))
	must(os.Symlink("relative", filepath.Join(dir, "links/chain")))
	must(os.Symlink("loop", filepath.Join(dir, "links/loop")))
	must(os.Symlink("../sizes", filepath.Join(dir, "links/dir")))
	must(os.Symlink("bytes\xff\xfe", filepath.Join(dir, "links/bytes")))
	must(os.Link(filepath.Join(dir, "sizes/1000"), filepath.Join(dir, "links/hard")))
	must(os.Link(filepath.Join(dir, "sizes/1000"), filepath.Join(dir, "links/hard2")))

	// Special files, modes, owners, times.
	must(os.Mkdir(filepath.Join(dir, "special"), 0o1777))
	must(unix.Mkfifo(filepath.Join(dir, "special/fifo"), 0o640))
	must(unix.Mknod(filepath.Join(dir, "special/char"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 1))))
	must(unix.Mknod(filepath.Join(dir, "special/block"), unix.S_IFBLK|0o600, int(unix.Mkdev(259, 65537))))
	must(unix.Mknod(filepath.Join(dir, "special/socket"), unix.S_IFSOCK|0o600, 0))
	for i, mode := range []uint32{0o4755, 0o2711, 0o1000, 0, 0o777} {
		path := write(fmt.Sprintf("special/mode%d", i), []byte("mode"))
		must(os.Chown(path, 70000*i+1, 80000*i+2))
		must(unix.Chmod(path, mode))
	}
	for i, sec := range []int64{-1, 0, 1, 1 << 31, 1<<32 + 5, 1 << 33, -(1 << 31), 1<<34 - 1<<31 - 1} {
		path := write(fmt.Sprintf("special/time%d", i), nil)
		must(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: sec, Nsec: 123456789}, {Sec: sec, Nsec: 987654321}},
			0))
	}

	// Names.
	for _, name := range []string{
		strings.Repeat("n", 255), "größe", "日本語", "with space ", "new\nline", "bytes\xff\xfe\x80",
		"\xee\xbe\x80 is in the private area",
		"\xc3", "half \xe6\x97", "..more", "...", "-", "back\\slash", "a:b",
	} {
		write("names/"+name, []byte(name))
	}

	// Directories: empty, deep, large, large and then emptied for the most part.
	must(os.MkdirAll(filepath.Join(dir, "dirs/empty"), 0o700))
	must(os.MkdirAll(filepath.Join(dir, "dirs", strings.Repeat("d/", 60)), 0o755))
	for _, d := range []struct {
		name  string
		n     int
		purge bool
	}{{"few", 3, false}, {"some", 12, false}, {"many", 1500, false}, {"purged", 700, true}} {
		must(os.Mkdir(filepath.Join(dir, "dirs", d.name), 0o755))
		name := func(i int) string {
			return filepath.Join(dir, "dirs", d.name, fmt.Sprintf("entry %d with a name of some length", i))
		}
		for i := range d.n {
			may(os.Symlink("t", name(i)))
		}
		for i := 0; d.purge && i < d.n; i++ {
			if i%10 != 3 {
				os.Remove(name(i))
			}
		}
	}

	// Extended attributes: in the inode, in a block, shared, large; ACLs.
	path := write("xattrs/few", []byte("few"))
	may(unix.Setxattr(path, "user.one", []byte("1"), 0))
	may(unix.Setxattr(path, "user.empty", nil, 0))
	may(unix.Setxattr(path, "security.selinux", []byte("system_u:object_r:etc_t:s0\x00"), 0))
	may(unix.Setxattr(path, "trusted.overlay.opaque", []byte("y"), 0))
	path = write("xattrs/many", nil)
	for i := range 20 {
		may(unix.Setxattr(path, fmt.Sprintf("user.attribute-%d", i), content(30), 0))
	}
	for i := range 3 {
		path = write(fmt.Sprintf("xattrs/shared%d", i), nil)
		may(unix.Setxattr(path, "user.shared", bytes.Repeat([]byte("s"), 500), 0))
	}
	for _, n := range []int{900, 3900, 20000, 60000} {
		path = write(fmt.Sprintf("xattrs/large%d", n), nil)
		may(unix.Setxattr(path, "user.large", content(n), 0))
	}
	acl := []byte{2, 0, 0, 0,
		1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 4, 0, 0x39, 0x30, 0, 0, 4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
		8, 0, 5, 0, 0x40, 0xe2, 1, 0, 0x10, 0, 5, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
	path = write("xattrs/acl", []byte("acl"))
	may(unix.Setxattr(path, "system.posix_acl_access", acl, 0))
	must(os.MkdirAll(filepath.Join(dir, "xattrs/dir"), 0o755))
	may(unix.Setxattr(filepath.Join(dir, "xattrs/dir"), "system.posix_acl_default", acl, 0))
	must(os.Symlink("few", filepath.Join(dir, "xattrs/link")))
	may(unix.Lsetxattr(filepath.Join(dir, "xattrs/link"), "trusted.link", []byte("on a link"), 0))
	write("xattrs/dir/inherits", nil)
}
