package xfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/crashtest"
	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// crashes are volumes that are caught while they are written to: how they are
// made, how they are mounted, and how many images of each are taken.
var crashes = []struct {
	name, args, options string
	images              int
}{
	{"default", "", "", 4},
	{"log-wraps", "-l size=10m", "", 4},
	{"1k-log-wraps", "-b size=1024 -l size=5m", "", 4},
	{"rmapbt", "-m rmapbt=1", "", 4},
	{"nrext64-1k-directories-16k", "-b size=1024 -n size=16384 -i nrext64=1", "", 3},
	{"small-records", "-l size=10m", "logbsize=16k,logbufs=8", 3},
	{"large-records", "-l size=20m", "logbsize=256k", 3},
	{"log-stripes", "-l su=32k", "", 3},
	{"reflink-off", "-m reflink=0", "", 3},
	{"bare", "-m finobt=0,inobtcount=0,reflink=0,bigtime=0 -i sparse=0", "", 3},
	{"16k", "-b size=16384", "", 2},
	{"sectors-4k", "-s size=4096 -l sectsize=4096", "", 2},
	{"v4", "-m crc=0", "", 3},
	{"v4-512-ftype-off", "-m crc=0 -b size=512 -n ftype=0", "", 3},
	{"v4-log-1", "-m crc=0 -l version=1", "", 3},
}

// An image taken of a volume under load is read as the kernel has it after its
// own recovery, but for what a change concerns that the log does not end.
func TestCrashes(t *testing.T) {
	kernel(t)
	dir := crashtest.Dir(t, 8<<30)
	var all struct {
		Images, Replayed, Same, Undetermined int
		Journal
	}
	list := slices.Clone(crashes)
	if !testenv.Nightly() {
		list = list[:1]
		list[0].images = 1
	}
	for i, c := range list {
		t.Run(c.name, func(t *testing.T) {
			images := crash(t, dir, c.args, c.options, c.images, uint64(i))
			for _, image := range images {
				f := openImage(t, image, Options{})
				log := f.Volume().Journal
				t.Logf("%+v", log)
				all.Images++
				all.Transactions += log.Transactions
				all.Blocks += log.Blocks
				all.Inodes += log.Inodes
				all.Newer += log.Newer
				all.Cancelled += log.Cancelled
				all.Unfinished = append(all.Unfinished, log.Unfinished...)
				if log.State == JournalReplayed {
					all.Replayed++
				}
				at, umount := mount(t, mounttest.CopyFile(t, image), "noatime")
				var st unix.Statfs_t
				if err := unix.Statfs(at, &st); err != nil { // before files are read, which may give back their reserve
					t.Fatal(err)
				}
				want, got := mounttest.KernelView(t, at), view(t, f)
				undetermined := 0
				for path, s := range got {
					if s.Err != "" && strings.Contains(s.Err, "not finished") {
						undetermined++
						got[path] = want[path]
					}
				}
				mounttest.CompareViews(t, want, got)
				switch _, err := f.Usage(); {
				case f.unfinished == nil:
					compareStatfs(t, f, &st)
				case !errors.Is(err, ErrUnsupported):
					t.Errorf("usage: %v", err)
				default:
					t.Log(err)
					undetermined++
				}
				if undetermined == 0 {
					compareTotals(t, f, want)
					all.Same++
				} else {
					all.Undetermined++
				}
				umount()
			}
		})
	}
	t.Logf("%+v", all)
	if all.Replayed == 0 || all.Inodes == 0 || all.Blocks == 0 {
		t.Errorf("too little was to be recovered: %+v", all)
	}
}

// crash makes images of a volume that is being written to.
func crash(t *testing.T, dir, args, options string, n int, seed uint64) (images []string) {
	t.Helper()
	image := filepath.Join(dir, "image")
	os.Remove(image)
	mounttest.Truncate(t, image, 300<<20)
	mounttest.Command(t, "mkfs.xfs",
		append(append([]string{"-q", "-f", "--unsupported"}, strings.Fields(args)...), image)...)
	at, umount, err := tryMount(t, image, options)
	if err != nil && strings.Contains(args, "crc=0") {
		t.Skipf("the kernel does not mount version 4: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	images = crashtest.Take(t, image, at, n, crashtest.Load{Clones: true, Seed: seed})
	umount()
	return images
}
