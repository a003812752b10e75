package xfs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// The images of others are read as the kernel shows them, as far as it mounts
// them.
func TestCorpus(t *testing.T) {
	testenv.Corpus(t)
	kernel(t)
	testenv.Tool(t, "qemu-img")
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	mounttest.WriteSparse(t, plain,
		testenv.CorpusFile(t, "xfs/gomod__masahiro331__go-xfs-filesystem/xfs/testdata/image.xfs.gz"))
	packed, disk := filepath.Join(dir, "image.vhdx"), filepath.Join(dir, "disk")
	mounttest.WriteSparse(t, packed,
		testenv.CorpusFile(t, "images/LTRData__DiscUtils/Tests/LibraryTests/Xfs/Data/xfs.vhdx.gz"))
	mounttest.Command(t, "qemu-img", "convert", "-O", "raw", packed, disk)
	for _, image := range []struct {
		path        string
		begin, size int64
		files, dirs int64
	}{
		{plain, 0, 20937216, 1231, 20},
		{disk, 2048 * sector, 20969439 * sector, 4006, 4}, // its only partition
	} {
		file, err := os.Open(image.path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f, err := Open(context.Background(), io.NewSectionReader(file, image.begin, image.size), image.size, Options{})
		if err != nil {
			t.Fatal(err)
		}
		pathsOf(t, f) // without an error
		if totals, err := f.Tree("."); err != nil || totals.Files != image.files || totals.Dirs != image.dirs {
			t.Errorf("%+v, %v", totals, err)
		}
		if d := f.Damage(); d.Count != 0 || len(d.Notes) != 0 {
			t.Errorf("damage: %+v", d)
		}
		at, umount, err := tryMount(t, image.path, fmt.Sprintf("noatime,offset=%d,sizelimit=%d", image.begin, image.size))
		if err != nil {
			t.Logf("version %d is not mounted: %v", f.Volume().Version, err)
			continue
		}
		compareUsage(t, f, at)
		want := mounttest.KernelView(t, at)
		mounttest.CompareViews(t, want, view(t, f))
		compareTotals(t, f, want)
		umount()
	}
}
