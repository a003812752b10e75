package xfs

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

type variant struct {
	name string
	size int64 // MiB
	args string
}

// variants are what mkfs.xfs can make and the kernel mounts.
var variants = []variant{
	{"default", 160, ""},
	{"1k", 160, "-b size=1024"},
	{"2k", 160, "-b size=2048"},
	{"8k", 200, "-b size=8192"},
	{"16k", 300, "-b size=16384"},
	{"32k", 500, "-b size=32768"},
	{"64k", 900, "-b size=65536"},
	{"inodes-of-1024", 160, "-i size=1024"},
	{"inodes-of-2048", 160, "-i size=2048"},
	{"directories-8k", 160, "-n size=8192"},
	{"directories-64k", 300, "-n size=65536"},
	{"1k-directories-4k", 160, "-b size=1024 -n size=4096"},
	{"1k-directories-64k", 300, "-b size=1024 -n size=65536"},
	{"nrext64", 160, "-i nrext64=1"},
	{"nrext64-1k", 160, "-b size=1024 -i nrext64=1"},
	{"sparse-off", 160, "-i sparse=0"},
	{"bigtime-off", 160, "-m bigtime=0"},
	{"inobtcount-off", 160, "-m inobtcount=0"},
	{"finobt-off", 160, "-m finobt=0,inobtcount=0"},
	{"reflink-off", 160, "-m reflink=0"},
	{"rmapbt", 160, "-m rmapbt=1"},
	{"rmapbt-1k", 160, "-m rmapbt=1 -b size=1024"},
	{"rmapbt-reflink-off", 320, "-m rmapbt=1,reflink=0"},
	{"bare", 160, "-m finobt=0,inobtcount=0,reflink=0,bigtime=0 -i sparse=0"},
	{"sectors-4k", 160, "-s size=4096"},
	{"sectors-4k-log-4k", 160, "-s size=4096 -l sectsize=4096"},
	{"one-group", 160, "-d agcount=1"},
	{"many-groups", 320, "-d agcount=17"},
	{"last-group-short", 230, "-b size=1024 -d agsize=64m"},
	{"log-stripes", 160, "-l su=32k"},
	{"data-stripes", 320, "-d su=64k,sw=4"},
	{"maxpct", 160, "-i maxpct=5"},
	{"everything", 400, "-b size=1024 -n size=16384 -i nrext64=1,size=512 -m " +
		"rmapbt=1,reflink=1,finobt=1,inobtcount=1,bigtime=1 -s size=1024"},
}

// variants4 are of version 4 of the filesystem, which few kernels still mount.
var variants4 = []variant{
	{"v4", 160, "-m crc=0"},
	{"v4-512", 160, "-m crc=0 -b size=512"},
	{"v4-512-directories-4k", 160, "-m crc=0 -b size=512 -n size=4096"},
	{"v4-1k", 160, "-m crc=0 -b size=1024"},
	{"v4-ftype-off", 160, "-m crc=0 -n ftype=0"},
	{"v4-512-ftype-off", 160, "-m crc=0 -b size=512 -n ftype=0"},
	{"v4-inodes-of-512", 160, "-m crc=0 -i size=512"},
	{"v4-inodes-of-2048", 160, "-m crc=0 -i size=2048"},
	{"v4-attr-1", 160, "-m crc=0 -i attr=1"},
	{"v4-projid32bit-off", 160, "-m crc=0 -i projid32bit=0"},
	{"v4-lazy-count-off", 160, "-m crc=0 -l lazy-count=0"},
	{"v4-log-1", 160, "-m crc=0 -l version=1"},
	{"v4-directories-64k", 300, "-m crc=0 -n size=65536"},
	{"v4-ascii-ci", 160, "-m crc=0 -n version=ci"},
	{"v4-sectors-4k", 160, "-m crc=0 -s size=4096"},
}

// The kernel's view of every kind of volume is the view of this package: tree,
// metadata, content, extended attributes, usage and totals.
func TestVariants(t *testing.T) {
	kernel(t)
	list := append(variants, variants4...)
	if !testenv.Nightly() {
		list = list[:1]
	}
	for i, v := range list {
		t.Run(v.name, func(t *testing.T) {
			image := mkfs(t, v.size<<20, strings.Fields(v.args)...)
			dir, umount, err := tryMount(t, image, "")
			if err != nil && i >= len(variants) {
				t.Skipf("the kernel does not mount version 4: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			mounttest.Populate(t, dir, uint64(i))
			umount()
			f := compareMount(t, image, "noatime")
			if d := f.Damage(); d.Count != 0 || len(d.Notes) != 0 {
				t.Errorf("damage: %+v", d)
			}
			if v := f.Volume(); !v.Clean {
				t.Errorf("not clean: %+v", v.Journal)
			}
		})
	}
}
