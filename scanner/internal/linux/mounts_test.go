package linux

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// parseLayout makes volumes of an archive: NAME/path is a file on the volume
// NAME, "links" holds "NAME/path -> target", and the volumes other than root are
// on partitions of their own, called by their names.
func parseLayout(t *testing.T, text string) (root Volume, others []Volume, names []string) {
	t.Helper()
	volumes := map[string]fstest.MapFS{"root": {"etc/os-release": {Data: []byte("ID=amzn\nVERSION_ID=2\n")}}}
	put := func(name string, f *fstest.MapFile) {
		volume, below, _ := strings.Cut(name, "/")
		if volumes[volume] == nil {
			volumes[volume] = fstest.MapFS{}
		}
		volumes[volume][below] = f
	}
	for _, f := range txtar.Parse([]byte(text)).Files {
		if f.Name != "links" {
			put(f.Name, &fstest.MapFile{Data: f.Data, Mode: 0o644})
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			name, target, _ := strings.Cut(strings.TrimSpace(line), " -> ")
			put(name, &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777})
		}
	}
	for name, v := range volumes {
		if name != "root" {
			names = append(names, name)
		}
		_ = v
	}
	slices.Sort(names)
	describe := func(name string, disk, partition int) Volume {
		return Volume{FS: volumes[name], Name: name, Type: "ext4", Totals: noTotals,
			Identity: Identity{UUID: "uuid-" + name, Label: strings.ToUpper(name), PartUUID: "part-" + name,
				PartLabel: "the " + name, Logical: "vg-0/" + name, Disk: disk, Partition: partition}}
	}
	root = describe("root", 0, 1)
	root.Logical = ""
	for i, name := range names {
		others = append(others, describe(name, 1, i+1))
	}
	return root, others, names
}

// TestLayout resolves paths in layouts of volumes: a file is VOLUME:PATH, "-"
// means that it does not exist, "?" that it is unknown.
func TestLayout(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"every way to name a device": {`
-- root/etc/fstab --
/dev/xvda1 / ext4 defaults 0 1
UUID=uuid-a /a ext4 defaults 0 2
LABEL="B" /b auto
PARTUUID=part-c /c ext4
PARTLABEL=the\040d /d ext4
/dev/disk/by-uuid/uuid-e /e ext4
/dev/disk/by-label/F /f ext3
/dev/disk/by-partlabel/the\x20g /g ext4
/dev/mapper/vg--0-h /h ext4
/dev/vg-0/i /i ext4
/dev/nvme1n1p3 /j ext4
UUID=UUID-A /k ext4
-- a/x --
-- b/x --
-- c/x --
-- d/x --
-- e/x --
-- f/x --
-- g/x --
-- h/x --
-- i/x --
`, map[string]string{
			"/a/x": "a:x", "/b/x": "b:x", "/c/x": "c:x", "/d/x": "d:x", "/e/x": "e:x", "/f/x": "f:x", "/g/x": "g:x",
			"/h/x": "h:x", "/i/x": "i:x",
			"/j/x": "?", "/k/x": "?", "/etc/fstab": "root:etc/fstab",
		}},
		"what a mount point hides": {`
-- root/etc/fstab --
UUID=uuid-var /var/ ext4 defaults
UUID=uuid-log //var/./log ext4 defaults
-- root/var/old --
-- root/var/log/old --
-- var/new --
-- var/log/old --
-- log/messages --
`, map[string]string{"/var/old": "-", "/var/new": "var:new", "/var/log/old": "-", "/var/log/messages": "log:messages"}},
		"the order of lines does not matter": {`
-- root/etc/fstab --
UUID=uuid-log /var/log ext4
UUID=uuid-var /var ext4
-- var/new --
-- log/messages --
`, map[string]string{"/var/new": "var:new", "/var/log/messages": "log:messages"}},
		"the first of two lines": {`
-- root/etc/fstab --
UUID=uuid-a /data ext4
UUID=uuid-b /data ext4
-- a/x --
-- b/y --
`, map[string]string{"/data/x": "a:x", "/data/y": "-"}},
		"two lines that meet by a link": {`
-- root/etc/fstab --
UUID=uuid-a /data ext4
UUID=uuid-b /link ext4
-- root/data/keep --
-- links --
root/link -> data
-- a/x --
-- b/y --
`, map[string]string{"/data/x": "?", "/link/x": "?"}},
		"noauto, and what needs it": {`
-- root/etc/fstab --
UUID=uuid-a /a ext4 noauto
UUID=uuid-b /b ext4 noauto
UUID=uuid-c /b/c ext4
UUID=uuid-d /d ext4 noauto,x-systemd.automount
UUID=uuid-e /e ext4 noauto,auto,nofail
-- root/a/old --
-- a/x --
-- b/x --
-- c/x --
-- d/x --
-- e/x --
`, map[string]string{"/a/x": "-", "/a/old": "root:a/old", "/b/x": "b:x", "/b/c/x": "c:x", "/d/x": "d:x",
			"/e/x": "e:x"}},
		"what is not among the images": {`
-- root/etc/fstab --
UUID=gone /var ext4 nofail
UUID=uuid-log /var/log ext4
10.0.0.1:/x /srv nfs4 defaults
//server/share /mnt/cifs cifs defaults
overlay /merged overlay lowerdir=/a,upperdir=/b,workdir=/c
/srv.img /loop ext4 loop
UUID=uuid-xfs /typed xfs
sshfs#a@b: /fuse fuse defaults
-- root/var/old --
-- log/messages --
-- xfs/x --
-- root/other --
`, map[string]string{"/var/old": "?", "/var/log/messages": "log:messages", "/srv/x": "?", "/mnt/cifs/x": "?",
			"/merged/x": "?", "/loop/x": "?", "/typed/x": "?", "/fuse/x": "?", "/other": "root:other"}},
		"memory": {`
-- root/etc/fstab --
tmpfs /tmp tmpfs defaults,noatime 0 0
proc /proc proc defaults
UUID=uuid-a none swap sw
/swapfile swap swap defaults
none /shared none shared
-- root/tmp/old --
-- root/run/old --
-- root/shared/x --
-- root/dev/null2 --
-- links --
root/var/run -> ../run
`, map[string]string{"/tmp/old": "-", "/run/old": "-", "/var/run/old": "-", "/proc/1": "-",
			"/shared/x": "root:shared/x", "/dev/null2": "-", "/dev/null": "memory:null"}},
		"bind mounts": {`
-- root/etc/fstab --
/srv/opt /opt none bind 0 0
/opt/deep /deep none bind
/etc/real.conf /etc/a.conf none bind
/gone /g none bind
UUID=uuid-srv /srv ext4
/srv /all none rbind
UUID=uuid-sub /srv/sub ext4
/srv /some none bind
-- root/opt/hidden --
-- root/etc/real.conf --
-- root/etc/a.conf --
-- srv/opt/app --
-- srv/opt/deep/x --
-- sub/y --
`, map[string]string{"/opt/app": "srv:opt/app", "/opt/hidden": "-", "/deep/x": "srv:opt/deep/x",
			"/etc/a.conf": "root:etc/real.conf", "/g/x": "?",
			"/all/opt/app": "srv:opt/app", "/all/sub/y": "sub:y", "/some/opt/app": "srv:opt/app", "/some/sub/y": "?"}},
		"bind mounts in a circle": {`
-- root/etc/fstab --
/b /a none bind
/a /b none bind
/c/d /c none bind
/e /e none rbind
-- root/a/x --
-- root/c/d/y --
-- root/e/z --
`, map[string]string{"/b/x": "?", "/c/y": "root:c/d/y", "/e/z": "root:e/z"}},
		"links on the way": {`
-- root/etc/fstab --
UUID=uuid-a /link/a ext4
UUID=uuid-www /var/www ext4
UUID=uuid-var /var ext4
-- root/real/x --
-- a/x --
-- var/real/x --
-- www/x --
-- links --
root/link -> real
var/www -> real
a/up -> ../../etc/os-release
`, map[string]string{"/real/a/x": "a:x", "/link/a/x": "a:x", "/var/real/x": "?", "/link/a/up": "root:etc/os-release"}},
		"mount points that are not there": {`
-- root/etc/fstab --
UUID=uuid-a /new/deep/a ext4
-- a/x --
`, map[string]string{"/new": "root:new", "/new/deep": "root:new/deep", "/new/deep/a/x": "a:x", "/new/y": "-"}},
		"lines that cannot be read": {`
-- root/etc/fstab --
UUID=uuid-a
UUID=uuid-b /b
UUID=uuid-c /c\777 ext4
UUID=uuid-d d ext4
# UUID=uuid-a /etc ext4
-- a/x --
-- b/x --
-- d/x --
`, map[string]string{"/b/x": "?", "/d/x": "?", "/etc/os-release": "root:etc/os-release"}},
		"mount units": {`
-- root/etc/systemd/system/a.mount --
[Mount]
What=/dev/disk/by-uuid/uuid-a
Where=/a
-- root/etc/systemd/system/local-fs.target.wants/a.mount --
-- root/usr/lib/systemd/system/b.mount --
[Mount]
What=LABEL=B
Where=/b
-- root/etc/systemd/system/multi-user.target.wants/b.automount --
-- root/etc/systemd/system/c.mount --
[Mount]
What=UUID=uuid-c
Where=/c
-- root/usr/lib/systemd/system/d-e.mount --
[Mount]
What=UUID=uuid-d
Where=/d/e
-- root/usr/lib/systemd/system/local-fs.target.requires/d-e.mount --
-- root/etc/systemd/system/d-e.mount.d/x.conf --
[Mount]
What=UUID=uuid-e
-- root/etc/systemd/system/wrong.mount --
[Mount]
What=UUID=uuid-c
Where=/other
-- root/etc/systemd/system/local-fs.target.wants/wrong.mount --
-- root/etc/systemd/system/masked.mount --
-- root/etc/systemd/system/over.mount --
[Mount]
What=UUID=uuid-e
Where=/over
-- root/usr/lib/systemd/system/under.mount --
[Mount]
What=UUID=uuid-e
Where=/under
-- root/usr/lib/systemd/system/tmp.mount --
[Unit]
ConditionPathIsSymbolicLink=!/tmp
[Mount]
What=tmpfs
Where=/tmp
Type=tmpfs
-- root/usr/lib/systemd/system/local-fs.target.wants/tmp.mount --
-- root/tmp/hidden --
-- root/etc/systemd/system/unmet.mount --
[Unit]
ConditionPathExists=/nothing
[Mount]
What=UUID=uuid-e
Where=/unmet
-- root/etc/systemd/system/local-fs.target.wants/unmet.mount --
-- root/unmet/x --
-- root/etc/systemd/system/maybe.mount --
[Unit]
ConditionKernelCommandLine=x
[Mount]
What=UUID=uuid-e
Where=/maybe
-- root/etc/systemd/system/local-fs.target.wants/maybe.mount --
-- root/etc/fstab --
UUID=uuid-a /masked ext4
UUID=uuid-a /over ext4
UUID=uuid-a /under ext4
-- a/x --
-- b/x --
-- c/x --
-- d/x --
-- e/x --
`, map[string]string{"/a/x": "a:x", "/b/x": "b:x", "/c/x": "-", "/d/e/x": "e:x", "/other/x": "-", "/masked/x": "-",
			"/over/x": "e:x", "/under/x": "a:x", "/maybe/x": "?", "/tmp/hidden": "-", "/unmet/x": "root:unmet/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, others, _ := parseLayout(t, c.text)
			l := ReadLayout(root, others)
			tr := l.with(Volume{Err: fs.ErrClosed}, &requirement.Trail{})
			for p, want := range c.want {
				got := "-"
				f, err := tr.file(p)
				switch {
				case err != nil:
					got = "?"
				case f.Exists:
					got = cmp.Or(f.volume.Name, f.volume.role) + ":" + f.Evidence.Path
				}
				if got != want {
					t.Errorf("%s: %s, want %s (%v)", p, got, want, err)
				}
			}
		})
	}
}

// Many mounts, and mounts of mounts, end.
func TestLayoutBounds(t *testing.T) {
	for name, c := range map[string]struct {
		fstab func() string
		known bool
	}{
		"many": {func() string {
			var b strings.Builder
			for i := range maxMounts {
				fmt.Fprintf(&b, "t /m/%d tmpfs\n", i)
			}
			return b.String()
		}, true},
		"one more": {func() string {
			var b strings.Builder
			for i := range maxMounts + 1 {
				fmt.Fprintf(&b, "t /m/%d tmpfs\n", i)
			}
			return b.String()
		}, false},
		"100,000 comments": {func() string { return strings.Repeat("# /home is elsewhere\n", 100_000) }, true},
		"rbind of rbind": {func() string {
			return "/ /a none rbind\n/a /b none rbind\n/b /c none rbind\n/ /d none rbind\n"
		}, false},
		"a chain of bind mounts": {func() string {
			var b strings.Builder
			for i := range 2000 {
				fmt.Fprintf(&b, "/m/%d /m/%d none bind\n", i+1, i)
			}
			return b.String()
		}, true},
		"deep": {func() string { return "t " + strings.Repeat("/a", 2000) + " tmpfs\n" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"etc/os-release": {}, "etc/fstab": {Data: []byte(c.fstab())}, "usr/x": {}}
			l := ReadLayout(Volume{FS: fsys}, nil)
			tr := l.with(Volume{Err: fs.ErrClosed}, nil)
			if _, err := tr.file("/usr/x"); (err == nil) != c.known {
				t.Errorf("%v", err)
			}
			if _, err := tr.file("/etc/os-release"); err != nil {
				t.Error(err)
			}
		})
	}
}
