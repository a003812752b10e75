package ext4

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// variants are what mkfs.ext4 can make and the kernel mounts.
var variants = []struct {
	name string
	size int64 // MiB
	args string
	tune string // features that tune2fs adds when the volume is full
}{
	{"default", 128, "", ""},
	{"ext2-1k", 96, "-t ext2 -b 1024", ""},
	{"ext2-4k", 96, "-t ext2 -b 4096", ""},
	{"ext3-1k", 96, "-t ext3 -b 1024", ""},
	{"ext3-4k", 96, "-t ext3 -b 4096", ""},
	{"ext3-dir_index-off", 96, "-t ext3 -O ^dir_index", ""},
	{"revision-0", 96, "-t ext2 -r 0 -O none -I 128", ""},
	{"1k", 128, "-b 1024", ""},
	{"2k", 128, "-b 2048", ""},
	{"inodes-of-128", 96, "-I 128", ""},
	{"inodes-of-512", 96, "-I 512", ""},
	{"inodes-of-1024", 96, "-I 1024", ""},
	{"metadata_csum-off", 96, "-O ^metadata_csum", ""},
	{"uninit_bg", 96, "-O ^metadata_csum,uninit_bg", ""},
	{"uninit_bg-64bit-off", 96, "-O ^metadata_csum,uninit_bg,^64bit", ""},
	{"64bit-off", 96, "-O ^64bit", ""},
	{"extent-off", 96, "-O ^extent,^64bit,^flex_bg", ""},
	{"extent-off-csum", 96, "-O ^extent,^64bit", ""},
	{"flex_bg-off", 128, "-b 1024 -O ^flex_bg", ""},
	{"filetype-off", 96, "-O ^filetype", ""},
	{"meta_bg", 400, "-b 1024 -O meta_bg,^resize_inode", ""},
	{"meta_bg-no-csum", 400, "-b 1024 -O meta_bg,^resize_inode,^metadata_csum,uninit_bg", ""},
	{"bigalloc-16k", 256, "-O bigalloc -C 16384", ""},
	{"bigalloc-64k", 512, "-O bigalloc -C 65536", ""},
	{"bigalloc-1k-8k", 256, "-b 1024 -O bigalloc -C 8192", ""},
	{"inline_data", 96, "-O inline_data", ""},
	{"inline_data-1024", 96, "-O inline_data -I 1024", ""},
	{"ea_inode", 96, "-O ea_inode", ""},
	{"ea_inode-no-csum", 96, "-O ea_inode,^metadata_csum", ""},
	{"large_dir", 96, "-O large_dir", ""},
	{"dir_index-off", 96, "-O ^dir_index", ""},
	{"encrypt", 96, "-O encrypt", ""},
	{"sparse_super2", 400, "-b 1024 -O sparse_super2,^resize_inode", ""},
	{"sparse_super-off", 128, "-b 1024 -O ^sparse_super,^resize_inode", ""},
	// A kernel without quotas mounts these only to read.
	{"quota", 96, "", "quota"},
	{"project", 96, "", "project,quota"},
	{"mmp", 96, "-O mmp", ""},
	{"orphan_file", 96, "-O orphan_file", ""},
	{"fast_commit", 96, "-O fast_commit", ""},
	{"metadata_csum_seed", 96, "-O metadata_csum_seed", ""},
	{"stable_inodes", 96, "-O stable_inodes", ""},
	{"journal-off", 96, "-O ^has_journal", ""},
	{"journal-small", 96, "-J size=4", ""},
	{"huge_file-off", 96, "-O ^huge_file,^dir_nlink,^extra_isize,^large_file", ""},
	{"ext_attr-off", 96, "-O ^ext_attr", ""},
	{"resize_inode-off", 96, "-O ^resize_inode", ""},
	{"small-groups", 96, "-b 1024 -g 1024", ""},
	{"reserved", 96, "-m 20", ""},
	{"everything", 400, "-b 1024 -O " +
		"metadata_csum,64bit,inline_data,ea_inode,large_dir,meta_bg,^resize_inode," +
		"orphan_file,fast_commit,metadata_csum_seed,encrypt", "project,quota"},
}

// The kernel's view of every kind of volume is the view of this package: tree,
// metadata, content, extended attributes, usage and totals.
func TestVariants(t *testing.T) {
	kernel(t)
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			testenv.Share(t, i, 4, 2)
			t.Parallel()
			image := mkfs(t, v.size<<20, strings.Fields(v.args)...)
			dir, umount := mount(t, image, "")
			mounttest.Populate(t, dir, uint64(i))
			umount()
			if v.tune != "" {
				mounttest.Command(t, "tune2fs", "-O", v.tune, image)
			}
			f := compareMount(t, image)
			if d := f.Damage(); d.Count != 0 || len(d.Notes) != 0 {
				t.Errorf("damage: %+v", d)
			}
		})
	}
}

// unmounted are what the kernel, as it is built most often, does not mount.
var unmounted = []struct {
	name string
	size int64 // MiB
	args string
}{
	{"8k", 128, "-b 8192"},
	{"16k", 256, "-b 16384"},
	{"32k", 512, "-b 32768"},
	{"64k", 1024, "-b 65536"},
	{"64k-ext2", 1024, "-t ext2 -b 65536"},
	{"64k-no-csum", 1024, "-b 65536 -O ^metadata_csum"},
	{"casefold", 96, "-O casefold -E encoding=utf8"},
	{"casefold-strict", 96, "-O casefold -E encoding=utf8,encoding_flags=strict"},
	{"verity", 96, "-O verity"},
}

// What mkfs.ext4 itself puts on a volume is read as it was, and as debugfs
// reads it; directories are read with and without an index.
func TestUnmountedVariants(t *testing.T) {
	kernel(t)
	testenv.Tool(t, "debugfs", "e2fsck")
	// A volume of the kernel's, since other filesystems lack some of it.
	source, _ := mount(t, mkfs(t, 128<<20), "")
	mounttest.Populate(t, source, 99)
	for _, name := range []string{
		"sparse/deep", "sparse/deeper", "sparse/fragmented", // mkfs.ext4 copies holes as zeros
		"special/time3", "special/time4", "special/time5", "special/time7", // and times in 32 bits
	} {
		os.Remove(filepath.Join(source, name))
	}
	want := mounttest.KernelView(t, source)
	for i, v := range unmounted {
		t.Run(v.name, func(t *testing.T) {
			testenv.Share(t, i, 3, 2)
			t.Parallel()
			image := mkfs(t, v.size<<20, append(strings.Fields(v.args), "-d", source)...)
			compare := func() {
				t.Helper()
				got := view(t, openImage(t, image, Options{}))
				dump := t.TempDir()
				mounttest.Command(t, "debugfs", "-R", "rdump / "+dump, image)
				for path, g := range got {
					if g.Mode.IsRegular() && g.Err == "" {
						raw, _ := decodePath(path)
						sum, err := mounttest.DigestFile(filepath.Join(dump, raw))
						if err != nil || sum != g.Content {
							t.Errorf("%q has %s, debugfs dumps %s, %v", path, g.Content, sum, err)
						}
					}
				}
				mounttest.CompareViews(t, portable(want), portable(got))
			}
			compare()
			// Rebuild all directories, with an index where they are large.
			if out, err := exec.Command("e2fsck", "-f", "-y", "-D", image).CombinedOutput(); err != nil &&
				err.(*exec.ExitError).ExitCode() > 1 {
				t.Fatalf("e2fsck: %v: %s", err, out)
			}
			compare()
		})
	}
}

// portable leaves out what cannot be the same on two volumes.
func portable(view map[string]mounttest.Seen) map[string]mounttest.Seen {
	same := map[string]mounttest.Seen{}
	for path, s := range view {
		s.Inode, s.Allocated = 0, 0
		s.Accessed, s.Changed, s.Created = time.Time{}, time.Time{}, time.Time{}
		s.Modified = s.Modified.Truncate(time.Second)
		if s.Mode.IsDir() {
			s.Size, s.Modified = 0, time.Time{}
		}
		same[path] = s
	}
	return same
}
