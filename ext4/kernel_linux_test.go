package ext4

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// kernel makes sure that the test can mount images through loop devices.
func kernel(t testing.TB) {
	t.Helper()
	testenv.Root(t)
	testenv.Tool(t, "losetup", "mount", "umount", "mkfs.ext4")
}

// mkfs makes an image.
func mkfs(t testing.TB, size int64, args ...string) string {
	t.Helper()
	path := filepath.Join(testenv.ImageDir(t), "image")
	mounttest.Truncate(t, path, size)
	mounttest.Command(t, "mkfs.ext4", append([]string{"-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
		append(args, path)...)...)
	return path
}

func tryMount(t testing.TB, image, options string) (dir string, umount func(), err error) {
	t.Helper()
	return mounttest.TryMount(t, "ext4", image, options)
}

func mount(t testing.TB, image, options string) (dir string, umount func()) {
	t.Helper()
	dir, umount, err := tryMount(t, image, options)
	if err != nil {
		t.Fatal(err)
	}
	return dir, umount
}

// openImage opens an image with this package.
func openImage(t testing.TB, path string, o Options) *FS {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(context.Background(), file, info.Size(), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// seenVolume is a volume to compare with what the kernel shows.
type seenVolume struct{ *FS }

func (v seenVolume) Describe(path string, info fs.FileInfo) (mounttest.Seen, error) {
	e := info.Sys().(*Entry)
	s := mounttest.Seen{
		Inode: e.Inode, Mode: info.Mode(), UID: e.UID, GID: e.GID, Links: e.Links, Size: e.Size, Allocated: e.Allocated,
		Modified: e.Modified, Changed: e.Changed, Accessed: e.Accessed, Created: e.Created, Major: e.Major, Minor: e.Minor,
	}
	list, err := v.LXattrs(path)
	for _, x := range list {
		s.Xattrs = append(s.Xattrs, mounttest.Xattr(x))
	}
	return s, err
}

func view(t testing.TB, f *FS) map[string]mounttest.Seen {
	t.Helper()
	return mounttest.View(t, seenVolume{f})
}

// compareUsage compares with statfs(2) of a mounted volume.
func compareUsage(t testing.TB, f *FS, dir string) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	got, err := f.Usage()
	if err != nil {
		t.Error(err)
		return
	}
	bs := st.Frsize
	want := Usage{
		Size: int64(st.Blocks) * bs, Used: int64(st.Blocks-st.Bfree) * bs, Free: int64(st.Bfree) * bs,
		Available: int64(st.Bavail) * bs,
		Reserved:  got.Reserved, Inodes: int64(st.Files), FreeInodes: int64(st.Ffree),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage (-statfs +got): %s", diff)
	}
}

// compareTotals compares Tree with what the kernel shows.
func compareTotals(t testing.TB, f *FS, want map[string]mounttest.Seen) {
	t.Helper()
	c := mounttest.Count(want)
	totals := Totals{
		Files: c.Files, Dirs: c.Dirs, Symlinks: c.Symlinks, Links: c.Links, Size: c.Size, Allocated: c.Allocated,
	}
	got, err := f.Tree(".")
	if err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(totals, got); diff != "" {
		t.Errorf("totals (-kernel +got): %s", diff)
	}
}

// compareRecovered compares an image that was not unmounted with what the kernel shows of a
// copy after its recovery.
func compareRecovered(t testing.TB, f *FS, image string) {
	t.Helper()
	at, umount := mount(t, mounttest.CopyFile(t, image), "noatime")
	want, got := mounttest.KernelView(t, at), view(t, f)
	// To finish a truncation counts as a change of the file.
	for _, v := range []map[string]mounttest.Seen{want, got} {
		for path, s := range v {
			if _, ok := f.truncated[uint32(s.Inode)]; ok {
				s.Modified, s.Changed = time.Time{}, time.Time{}
				v[path] = s
			}
		}
	}
	mounttest.CompareViews(t, want, got)
	compareUsage(t, f, at)
	compareTotals(t, f, want)
	umount()
}

// compareMount compares an image that was unmounted with what the kernel shows of
// it, read-only.
func compareMount(t testing.TB, image string) *FS {
	t.Helper()
	f := openImage(t, image, Options{})
	dir, umount := mount(t, image, "ro")
	want := mounttest.KernelView(t, dir)
	mounttest.CompareViews(t, want, view(t, f))
	compareUsage(t, f, dir)
	compareTotals(t, f, want)
	umount()
	return f
}
