//go:build linux

package scanner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A kernelLayout is a system on several volumes. Files are VOLUME/path, with a
// target behind " -> " for a symbolic link. The volumes root and those of parts
// are partitions of one disk, in that order; home is on a disk of its own.
type kernelLayout struct {
	parts  []string // "NAME" on ext4, "NAME:xfs"
	files  []string
	fstab  string
	mounts []kernelMount // what systemd makes of it, in its order
	paths  []string      // that are resolved besides what a walk finds
}

// A kernelMount mounts a volume; or, if the source begins with "/", a folder or
// file; or "tmpfs".
type kernelMount struct {
	Source, Target string
	Sub            string // the folder of the volume
	Deep           bool   // with what is mounted below the source
}

var kernelLayouts = map[string]kernelLayout{
	"one volume": {fstab: "LABEL=root / ext4\n", files: []string{"root/usr/bin/x"}},
	"homes": {
		fstab:  "UUID=@home /home ext4 nofail\n",
		files:  []string{"root/home/hidden", "home/jdoe/.bashrc", "root/opt/app -> /home/jdoe", "home/jdoe/etc -> ../../etc"},
		mounts: []kernelMount{{Source: "home", Target: "/home"}},
		paths:  []string{"/opt/app/.bashrc", "/home/jdoe/etc/fstab", "/home/hidden"},
	},
	"boot": {
		parts: []string{"boot"}, fstab: "LABEL=boot /boot ext4 defaults 1 2\n",
		files: []string{"root/boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/boot -> .", "root/vmlinuz -> boot/vmlinuz",
			"boot/vmlinuz"},
		mounts: []kernelMount{{Source: "boot", Target: "/boot"}},
		paths:  []string{"/vmlinuz", "/boot/boot/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"},
	},
	"usr by PARTUUID": {
		parts: []string{"usr"}, fstab: "PARTUUID=@usr /usr ext4\n",
		files:  []string{"usr/bin/sh", "root/bin -> usr/bin", "usr/tmp -> ../var/tmp", "root/var/tmp/x"},
		mounts: []kernelMount{{Source: "usr", Target: "/usr"}}, paths: []string{"/bin/sh", "/usr/tmp/x"},
	},
	"nested, in the wrong order": {
		parts: []string{"log", "var"}, fstab: "UUID=@log /var/log/ ext4\nUUID=@var /var ext4\n",
		files:  []string{"root/var/old", "root/var/log/old", "var/new", "var/log/hidden", "log/messages"},
		mounts: []kernelMount{{Source: "var", Target: "/var"}, {Source: "log", Target: "/var/log"}},
		paths:  []string{"/var/log/../new", "/var/log/hidden"},
	},
	"noauto": {
		parts: []string{"data"}, fstab: "UUID=@data /data ext4 noauto\n", files: []string{"root/data/seen", "data/not"},
	},
	"noauto that another needs": {
		parts: []string{"a", "b"}, fstab: "UUID=@a /a ext4 noauto\nUUID=@b /a/b ext4\n",
		files:  []string{"root/a/x", "a/b/y", "b/z"},
		mounts: []kernelMount{{Source: "a", Target: "/a"}, {Source: "b", Target: "/a/b"}},
	},
	"bind mounts from the homes": {
		fstab: "UUID=@home /home ext4\n/home/opt /opt none bind\n/home/etc/a.conf /etc/a.conf none bind 0 0\n",
		files: []string{"root/opt/hidden", "root/etc/a.conf", "home/opt/acme/run", "home/etc/a.conf",
			"home/opt/up -> ../etc"},
		mounts: []kernelMount{{Source: "home", Target: "/home"}, {Source: "/home/opt", Target: "/opt"},
			{Source: "/home/etc/a.conf", Target: "/etc/a.conf"}},
		paths: []string{"/opt/up/a.conf", "/home/opt/up/a.conf", "/opt/acme/../acme/run"},
	},
	"bind mounts of what is mounted": {
		parts: []string{"srv", "sub"},
		fstab: "/srv /all none rbind\nUUID=@srv /srv ext4\nUUID=@sub /srv/sub ext4\n/srv/deep /deep none bind\n",
		files: []string{"srv/x", "srv/sub/hidden", "srv/deep/y", "sub/z", "root/all/hidden"},
		mounts: []kernelMount{{Source: "srv", Target: "/srv"}, {Source: "sub", Target: "/srv/sub"},
			{Source: "/srv", Target: "/all", Deep: true}, {Source: "/srv/deep", Target: "/deep"}},
		paths: []string{"/all/sub/z", "/deep/y", "/all/hidden"},
	},
	"a bind mount of a bind mount": {
		fstab: "/a /b none bind\n/b/c /d none bind\n", files: []string{"root/a/c/x", "root/d/hidden", "root/b/hidden"},
		mounts: []kernelMount{{Source: "/a", Target: "/b"}, {Source: "/b/c", Target: "/d"}},
		paths:  []string{"/d/x", "/b/c/x", "/b/hidden"},
	},
	"a mount point that is a link": {
		parts: []string{"data", "www"}, fstab: "UUID=@data /data ext4\nUUID=@www /srv/www ext4\n",
		files: []string{"root/data -> mnt/disk", "root/mnt/disk/hidden", "data/x", "root/srv -> data2", "root/data2/www/old",
			"www/index"},
		mounts: []kernelMount{{Source: "data", Target: "/mnt/disk"}, {Source: "www", Target: "/data2/www"}},
		paths:  []string{"/data/x", "/srv/www/index", "/mnt/disk/x"},
	},
	"memory": {
		fstab:  "tmpfs /tmp tmpfs defaults 0 0\n/swapfile none swap sw\n",
		files:  []string{"root/tmp/hidden", "root/swapfile", "root/var/tmp -> ../tmp"},
		mounts: []kernelMount{{Source: "tmpfs", Target: "/tmp"}}, paths: []string{"/var/tmp/hidden"},
	},
	"names with blanks": {
		parts: []string{"data"}, fstab: "/dev/disk/by-uuid/@data /my\\040data\\011x ext4 ro,nofail\n",
		files:  []string{"data/x", "root/my data\tx/hidden"},
		mounts: []kernelMount{{Source: "data", Target: "/my data\tx"}},
	},
	"the first of two lines": {
		parts: []string{"a", "b"}, fstab: "UUID=@a /data ext4\nUUID=@b /data ext4\n", files: []string{"a/x", "b/y"},
		mounts: []kernelMount{{Source: "a", Target: "/data"}},
	},
	"a folder of a volume": {
		parts: []string{"a"}, fstab: "UUID=@a /data ext4 X-mount.subdir=in/here\n",
		files:  []string{"a/in/here/x", "a/in/y", "a/in/here/up -> ../y"},
		mounts: []kernelMount{{Source: "a", Target: "/data", Sub: "in/here"}}, paths: []string{"/data/up", "/data/../data/x"},
	},
	"XFS in ext4 in XFS": {
		parts: []string{"a:xfs", "b", "c:xfs"}, fstab: "LABEL=a /a xfs\nLABEL=b /a/b ext4\nLABEL=c /a/b/c auto\n",
		files:  []string{"a/x", "a/b/hidden", "b/y", "b/c/hidden", "c/z", "c/up -> ../../x"},
		mounts: []kernelMount{{Source: "a", Target: "/a"}, {Source: "b", Target: "/a/b"}, {Source: "c", Target: "/a/b/c"}},
		paths:  []string{"/a/b/c/up"},
	},
	"a logical volume": {
		parts: []string{"var:lvm"}, fstab: "/dev/mapper/vg--x-var /var ext4\n",
		files:  []string{"var/lib/x", "root/var/hidden"},
		mounts: []kernelMount{{Source: "var", Target: "/var"}},
	},
	"a mount unit": {
		parts: []string{"a"}, files: []string{"a/x", "root/data/hidden",
			"root/etc/systemd/system/local-fs.target.wants/data.mount -> ../data.mount",
			"root/etc/systemd/system/data.mount=[Mount]\nWhat=LABEL=a\nWhere=/data\n"},
		mounts: []kernelMount{{Source: "a", Target: "/data"}},
	},
	"a device of the root's disk": {
		parts: []string{"a"}, fstab: "/dev/xvda1 / ext4\n/dev/xvda2 /data ext4\n", files: []string{"a/x"},
		mounts: []kernelMount{{Source: "a", Target: "/data"}},
	},
}

// TestKernelMounts compares the tree of layouts of volumes with the one that the
// kernel shows when the same is mounted.
func TestKernelMounts(t *testing.T) {
	testenv.Root(t)
	testenv.Loop(t)
	testenv.Tool(t, "mke2fs", "mkfs.xfs", "sfdisk", "losetup", "pvcreate", "vgcreate", "lvcreate", "pvs")
	for name, l := range kernelLayouts {
		t.Run(name, func(t *testing.T) {
			ours, theirs := l.compare(t)
			for _, p := range slices.Sorted(maps.Keys(theirs)) {
				if ours[p] != theirs[p] {
					t.Errorf("%s: %q, the kernel has %q", p, ours[p], theirs[p])
				}
				delete(ours, p)
			}
			for p, what := range ours {
				t.Errorf("%s: %q, the kernel has nothing", p, what)
			}
			t.Logf("%d paths agree", len(theirs))
		})
	}
}

const mib = 1 << 20

// uuidOf is the UUID of a volume of a test, and of its partition.
func uuidOf(name string) string {
	return fmt.Sprintf("%08x-1234-4abc-8def-%012x", len(name)*1000003+int(name[0])<<8+int(name[len(name)-1]),
		len(name)*7919+int(name[0]))
}

func (l kernelLayout) compare(t *testing.T) (ours, theirs map[string]string) {
	dir := testenv.ImageDir(t)
	tree := func(volume string) string { return filepath.Join(dir, "files", volume) }
	write := func(name, content string) {
		p := filepath.Join(dir, "files", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	fstab := l.fstab
	for _, name := range []string{"home", "boot", "usr", "var", "log", "data", "sub", "srv", "www", "a", "b", "c"} {
		fstab = strings.ReplaceAll(fstab, "@"+name, uuidOf(name))
	}
	write("root/etc/fstab", fstab)
	write("root/etc/os-release", "ID=amzn\nVERSION_ID=2\n")
	write("home/alice/.bashrc", "")
	for _, p := range []string{"proc", "sys", "dev", "run"} {
		if err := os.MkdirAll(filepath.Join(tree("root"), p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range l.files {
		if name, target, ok := strings.Cut(f, " -> "); ok {
			p := filepath.Join(dir, "files", name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.Symlink(target, p)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		name, content, ok := strings.Cut(f, "=")
		if !ok {
			content = "content of " + f
		}
		write(name, content)
	}
	for _, m := range l.mounts { // systemd makes them
		if !strings.HasPrefix(m.Source, "/") || !strings.HasSuffix(m.Source, ".conf") {
			if err := os.MkdirAll(filepath.Join(tree("root"), m.Target), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}

	loops := map[string]string{}
	disk := filepath.Join(dir, "disk.img")
	parts := append([]string{"root"}, l.parts...)
	script := "label: gpt\n"
	const size = 320 * mib
	for i, p := range parts {
		name, _, _ := strings.Cut(p, ":")
		script += fmt.Sprintf("start=%d, size=%d, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=%s, name=%s\n",
			(mib+i*size)/512, size/512, uuidOf(name), name)
	}
	tool(t, "", "truncate", "--size", fmt.Sprint(2*mib+len(parts)*size), disk)
	tool(t, script, "sfdisk", "--quiet", disk)
	for i, p := range parts {
		name, kind, _ := strings.Cut(p, ":")
		loops[name] = format(t, disk, int64(mib+i*size), size, name, kind, tree(name))
	}
	home := filepath.Join(dir, "home.img")
	tool(t, "", "truncate", "--size", fmt.Sprint(size), home)
	loops["home"] = format(t, home, 0, size, "home", "", tree("home"))

	theirs = kernelTree(t, dir, loops, l)
	trail := &requirement.Trail{}
	in := Input{Images: []Source{File(disk), File(home)}}
	vs, err := openVolumes(t.Context(), in, nil, trail)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vs.Close() })
	if err := vs.assign(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	sys, err := openSystem(vs, inputs{ctx: t.Context(), trail: trail, now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	files := sys.(linuxSystem).Files().(readFS)
	// Where fstab does not mount the homes, the agent does, which the kernel's
	// tree has not.
	agent := !slices.ContainsFunc(l.mounts, func(m kernelMount) bool { return m.Target == "/home" })
	return walked(files, l.paths, agent), theirs
}

// readFS is what both trees are read by.
type readFS interface {
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
}

// walked describes all of a tree but what is in memory, and where some paths
// lead.
func walked(files readFS, paths []string, agent bool) map[string]string {
	all := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := files.ReadDir(dir)
		if err != nil {
			all[dir] = err.Error()
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch {
			case e.Name() == "lost+found", dir == "." && slices.Contains([]string{"proc", "sys", "dev", "run"}, name), agent &&
				name == "home":
			case e.IsDir():
				all[name] = "folder"
				walk(name)
			case e.Type()&fs.ModeSymlink != 0:
				target, err := files.ReadLink(name)
				all[name] = fmt.Sprint("link to ", target, err)
			default:
				data, err := fs.ReadFile(files, name)
				all[name] = fmt.Sprintf("%q %v", data, err)
			}
		}
	}
	walk(".")
	for _, p := range paths {
		data, err := fs.ReadFile(files, strings.Trim(path.Clean(p), "/"))
		if errors.Is(err, fs.ErrNotExist) {
			err = fs.ErrNotExist
		}
		all["resolved "+p] = fmt.Sprintf("%q %v", data, err)
	}
	return all
}

func tool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%s %v: %v: %s", name, args, err, exit.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// format makes a filesystem with files in a part of an image, and returns a loop
// device of it.
func format(t *testing.T, image string, offset, size int64, name, kind, files string) string {
	t.Helper()
	attach := func(file string, offset, size int64) string {
		loop, detach := testenv.Attach(t, file, "--offset", fmt.Sprint(offset), "--sizelimit", fmt.Sprint(size))
		t.Cleanup(detach)
		return loop
	}
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	loop := attach(image, offset, size)
	if kind == "lvm" {
		config := fmt.Sprintf(`devices { filter = [ "a|^%s$|", "r|.*|" ] use_devicesfile = 0 } backup { backup = 0 archive = 0 }`, loop)
		tool(t, "", "pvcreate", "--quiet", "--config", config, loop)
		tool(t, "", "vgcreate", "--quiet", "--config", config, "vg-x", loop)
		tool(t, "", "lvcreate", "--quiet", "--config", config, "--driverloaded", "n", "--activate", "n", "--zero", "n",
			"--wipesignatures", "n", "--extents", "100%FREE", "--name", name, "vg-x")
		var start, used int64
		if _, err := fmt.Sscan(tool(t, "", "pvs", "--config", config, "--noheadings", "--nosuffix", "--units", "b",
			"--options", "pe_start,pv_used", loop), &start, &used); err != nil {
			t.Fatal(err)
		}
		loop = attach(image, offset+start, used)
	}
	if kind == "xfs" {
		tool(t, "", "mkfs.xfs", "-q", "-K", "-m", "uuid="+uuidOf(name), "-L", name, loop)
		point := filepath.Join(t.TempDir(), "xfs")
		if err := os.Mkdir(point, 0o755); err != nil {
			t.Fatal(err)
		}
		tool(t, "", "mount", "-t", "xfs", loop, point)
		_, err := exec.Command("cp", "--archive", "--no-target-directory", files, point).CombinedOutput()
		testenv.Unmount(t, point)
		if err != nil {
			t.Fatal(err)
		}
		return loop
	}
	tool(t, "", "mke2fs", "-q", "-t", "ext4", "-U", uuidOf(name), "-L", name, "-O", "^has_journal", "-E", "nodiscard",
		"-d", files, loop)
	return loop
}

// mountOrder is the input of the process that mounts in its own namespace.
type mountOrder struct {
	Root   string // where
	Loops  map[string]string
	Mounts []kernelMount
	Paths  []string
	Agent  bool
	XFS    []string
	Out    string
}

const mountOrderVar = "COLDCHECK_MOUNT_ORDER"

// kernelTree has a process of its own mount the volumes and walk through the
// tree, with that as its root.
func kernelTree(t *testing.T, dir string, loops map[string]string, l kernelLayout) map[string]string {
	t.Helper()
	order := mountOrder{Root: filepath.Join(dir, "mounted"), Loops: loops, Mounts: l.mounts, Paths: l.paths,
		Out: filepath.Join(dir, "tree.json")}
	order.Agent = !slices.ContainsFunc(l.mounts, func(m kernelMount) bool { return m.Target == "/home" })
	for _, p := range l.parts {
		if name, kind, _ := strings.Cut(p, ":"); kind == "xfs" {
			order.XFS = append(order.XFS, name)
		}
	}
	if err := os.Mkdir(order.Root, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMountOrder$", "-test.v")
	cmd.Env = append(os.Environ(), mountOrderVar+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(order.Out)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMountOrder is the process that kernelTree starts.
func TestMountOrder(t *testing.T) {
	text := os.Getenv(mountOrderVar)
	if text == "" {
		t.Skip("a part of TestKernelMounts")
	}
	var o mountOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	mount := func(source, target, kind string, flags uintptr) {
		if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatalf("mount %s %s: %v", source, target, err)
		}
	}
	volume := func(name, target string) {
		kind := "ext4"
		if slices.Contains(o.XFS, name) {
			kind = "xfs"
		}
		mount(o.Loops[name], target, kind, syscall.MS_RDONLY)
	}
	mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE)
	volume("root", o.Root)
	mount("", o.Root, "", syscall.MS_REC|syscall.MS_SHARED) // as systemd makes it
	for _, m := range o.Mounts {
		target := filepath.Join(o.Root, m.Target)
		switch {
		case m.Source == "tmpfs":
			mount("tmpfs", target, "tmpfs", 0)
		case strings.HasPrefix(m.Source, "/"):
			flags := uintptr(syscall.MS_BIND)
			if m.Deep {
				flags |= syscall.MS_REC
			}
			mount(filepath.Join(o.Root, m.Source), target, "", flags)
		case m.Sub != "":
			whole := o.Root + "-whole"
			if err := os.Mkdir(whole, 0o755); err != nil {
				t.Fatal(err)
			}
			volume(m.Source, whole)
			mount(filepath.Join(whole, m.Sub), target, "", syscall.MS_BIND)
		default:
			volume(m.Source, target)
		}
	}
	if err := errors.Join(syscall.Chroot(o.Root), os.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	all := walked(os.DirFS("/").(readFS), o.Paths, o.Agent)
	if err := errors.Join(json.NewEncoder(out).Encode(all), out.Close()); err != nil {
		t.Fatal(err)
	}
}
