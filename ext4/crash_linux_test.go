package ext4

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/internal/crashtest"
	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// crashes are volumes that are caught while they are written to: how they are
// made, how they are mounted, and how many images of each make nightly takes.
// There is one of each otherwise.
var crashes = []struct {
	name, args, options string
	images              int
}{
	{"default", "", "", 4},
	{"journal-wraps", "-b 1024 -J size=1", "", 4},
	{"ext3", "-t ext3", "", 3},
	{"ext3-1k", "-t ext3 -b 1024 -J size=1", "", 3},
	{"data=journal", "", "data=journal", 3},
	{"checksum-v1", "-O ^metadata_csum", "journal_checksum", 3},
	{"checksum-v1-async", "-O ^metadata_csum", "journal_async_commit,data=writeback", 3},
	{"checksum-v3-async", "", "journal_async_commit,data=writeback", 3},
	{"64bit-off", "-O ^64bit", "", 2},
	{"bigalloc", "-O bigalloc -C 16384", "", 3},
	{"inline-ea_inode", "-O inline_data,ea_inode", "", 3},
	{"orphan_file", "-O orphan_file", "", 4},
	{"fast_commit", "-O fast_commit", "", 4},
	{"extent-off", "-O ^extent,^64bit -b 1024", "", 3},
}

// An image taken of a volume under load is read as the kernel has it after its
// own recovery. Fast commits are not replayed: where there are some, nothing is
// said of the volume.
func TestCrashes(t *testing.T) {
	kernel(t)
	testenv.Tool(t, "mkfs.xfs")
	dir := crashtest.Dir(t, 4<<30)
	var mu sync.Mutex
	var all struct{ images, replayed, transactions, blocks, revoked, deleted, truncated int }
	t.Cleanup(func() {
		t.Logf("%+v", all)
		if all.replayed < all.images || all.images == 0 || all.revoked == 0 || all.deleted == 0 {
			t.Errorf("too little was to be recovered: %+v", all)
		}
	})
	for i, c := range crashes {
		if !testenv.Nightly() {
			c.images = 1
		}
		t.Run(c.name, func(t *testing.T) {
			testenv.Share(t, i, 4, 2)
			t.Parallel()
			images := crash(t, filepath.Join(dir, c.name), c.args, c.options, c.images, uint64(i))
			for _, image := range images {
				f := openImage(t, image, Options{})
				j := f.Volume().Journal
				t.Logf("%+v, orphans %+v", j, f.orphans)
				if j.State == JournalFailed && c.name == "fast_commit" {
					kind := ErrUnsupported
					if strings.Contains(j.Err.Error(), "fast commit of the journal fails its checksum") {
						kind = ErrCorrupt // the image was taken while the first of them was written
					}
					if _, err := f.Stat("before"); !errors.Is(err, kind) || !errors.Is(j.Err, kind) {
						t.Errorf("%v, %v", err, j.Err)
					}
					continue
				}
				mu.Lock()
				all.images++
				all.transactions += j.Transactions
				all.blocks += j.Blocks
				all.revoked += j.Revoked
				all.deleted += f.orphans.deleted
				all.truncated += f.orphans.truncated
				if j.State == JournalReplayed {
					all.replayed++
				}
				mu.Unlock()
				compareRecovered(t, f, image)
			}
		})
	}
}

// crash makes images of a volume that is being written to.
func crash(t *testing.T, image, args, options string, n int, seed uint64) (images []string) {
	t.Helper()
	mounttest.Truncate(t, image, 96<<20)
	mounttest.Command(t, "mkfs.ext4", append(append([]string{"-q", "-F"}, strings.Fields(args)...), image)...)
	at, umount := mount(t, image, strings.TrimSuffix("commit=300,"+options, ","))
	images = crashtest.Take(t, image, at, n, crashtest.Load{Magic: []byte{0xC0, 0x3B, 0x39, 0x98}, Seed: seed})
	umount()
	t.Cleanup(func() {
		for _, name := range append(images, image) {
			os.Remove(name)
		}
	})
	return images
}
