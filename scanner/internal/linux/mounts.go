package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Layout maps volumes to mount points in the file tree of a system, by its
// fstab and its mount units. Only where the agent of the service mounts the
// user volume by itself, at /home, is not written there.
type Layout struct {
	tree    tree
	home    string      // where /home is, links on the way followed
	entry   *mountEntry // that mounts something at /home, also if not at the start; nil for none
	early   *tree       // as it is when systemd makes units of fstab
	guessed error       // why a volume that no entry names may be mounted in other ways than by the agent

	// Notices are what the reader of a report must know of it.
	Notices []requirement.Notice
}

// mount is the volume, folder or file at a mount point.
type mount struct {
	*volume
	sub    string // the mounted folder or file of the volume, "." for its root
	origin string // of a bind mount: its source path; "" otherwise
	deep   bool   // of a bind mount: with what is mounted below that path
}

// maxMounts bounds what is mounted. Real systems have a few dozen.
const maxMounts = 20_000

// errTooManyMounts is about a system that mounts more than that.
var errTooManyMounts = fmt.Errorf("more than %d mounts", maxMounts)

// ReadLayout reads what the system on the root volume mounts, and finds it
// among the other volumes of the images.
func ReadLayout(root Volume, others []Volume) *Layout {
	l := newLayout(root, others)
	entries, err := l.readEntries()
	if err == nil {
		err = l.mountAll(entries)
	}
	if err != nil {
		l.unknown(err)
	}
	return l
}

// UnknownLayout is the layout of a system on the root volume of which err keeps
// from being known what it mounts.
func UnknownLayout(root Volume, others []Volume, err error) *Layout {
	l := newLayout(root, others)
	l.unknown(err)
	return l
}

// newLayout is a layout in which only what no system can do without is mounted.
func newLayout(root Volume, others []Volume) *Layout {
	r := &volume{role: "root", Volume: root}
	l := &Layout{home: "/home", tree: tree{meter: fact.NewMeter(context.Background(), nil), root: r,
		volumes: []*volume{r}, mounts: map[string]mount{}}}
	for _, v := range others {
		l.tree.volumes = append(l.tree.volumes, &volume{Volume: v})
	}
	for p, m := range apiMounts {
		l.tree.mounts[p] = mount{volume: &volume{role: "memory", Volume: Volume{FS: m, Totals: noTotals}}, sub: "."}
	}
	return l
}

// noTotals are those of a folder that is empty.
func noTotals(string) (Totals, error) { return Totals{}, nil }

// unknown is for a system of which it is not known what it mounts: anything
// may be mounted anywhere, except where that itself is written.
func (l *Layout) unknown(err error) {
	t := &l.tree
	t.mounts = map[string]mount{
		"/": {volume: &volume{role: "root", Volume: Volume{Err: &mountError{fmt.Errorf(
			"cannot determine what is mounted: %w", err)}}}, sub: "."},
		"/etc": {volume: t.root, sub: "etc"},
	}
	t.index()
}

// readEntries returns what the system mounts, by mount point. The first of
// several lines of fstab for one mount point counts: systemd makes a unit of it,
// and of the others none.
func (l *Layout) readEntries() ([]*mountEntry, error) {
	data, _, err := l.tree.read(fstabPath, maxConfig)
	if err != nil {
		return nil, err
	}
	listed, unread := parseFstab(string(data))
	if len(listed) > maxMounts {
		return nil, fmt.Errorf("%s: %w", fstabPath, errTooManyMounts)
	}
	if len(unread) > 0 {
		l.guessed = unread[0]
		l.notify(unread[0].Error() + "; systemd skips the line")
	}
	lines := map[string]*mountEntry{}
	for i := range listed {
		e := &listed[i]
		switch first := lines[e.where]; {
		case e.where == "/":
			l.nameDisk(e)
		case e.kind == "autofs", e.has("remount"), underAPI(e.where):
		case first != nil:
			l.notify(fmt.Sprintf("%s: an earlier line mounts %s; systemd skips this one", e.from, e.where))
		default:
			lines[e.where] = e
		}
	}
	// The initial RAM disk mounts /usr before systemd reads units there.
	if usr := lines["/usr"]; usr != nil {
		l.mount(usr)
	}
	l.early = l.tree.early()
	units, err := l.tree.mountUnits(lines)
	if err != nil { // those that were read, and fstab, say what they say
		l.guessed = cmp.Or(l.guessed, fmt.Errorf("cannot read all mount units: %w", err))
		l.notify(fmt.Sprintf("cannot read all mount units: %v", err))
	}
	for _, e := range units {
		lines[e.where] = e
	}
	l.entry = lines["/home"]
	return started(lines), nil
}

// underAPI says whether systemd ignores an entry for a mount point, because it
// mounts that itself.
func underAPI(p string) bool {
	return p == "/run" || inMemory(p) && !strings.HasPrefix(p, "/run/")
}

func (l *Layout) notify(message string) {
	const most = 20
	if len(l.Notices) < most {
		l.Notices = append(l.Notices, requirement.Notice{Level: requirement.LevelWarning, Source: "root",
			Path: fstabPath[1:], Message: message})
	}
}

// nameDisk learns how the kernel calls the disk of the root volume, where fstab
// names that volume by a device.
func (l *Layout) nameDisk(root *mountEntry) {
	d, ok := parseDevice(root.what)
	if v := l.tree.root; ok && d.tag == "" && v.Logical == "" && d.partition == v.Partition {
		l.tree.disks = map[string]int{d.disk: v.Disk}
	}
}

// started returns the entries that are mounted at the start, in an order in
// which each comes after those that it needs: the mounts above its mount point,
// and above the source of a bind mount. One that is not started is, where
// another needs it (systemd.mount(5), "Implicit Dependencies").
func started(lines map[string]*mountEntry) []*mountEntry {
	const visiting, done = 1, 2
	state := map[*mountEntry]int{}
	var order []*mountEntry
	var visit func(e *mountEntry)
	visit = func(e *mountEntry) {
		state[e] = visiting
		need := func(p string) {
			for ; p != "/" && p != "."; p = path.Dir(p) {
				other := lines[p]
				switch {
				case other == nil || other == e:
				case state[other] == visiting && e.err == nil:
					e.err = fmt.Errorf("%s: it and %s depend on each other", e.from, other.from)
				case state[other] == 0:
					visit(other)
				}
			}
		}
		need(path.Dir(e.where))
		if e.has("bind", "rbind") {
			need(path.Clean("/" + e.what))
		}
		state[e] = done
		order = append(order, e)
	}
	for _, where := range slices.Sorted(maps.Keys(lines)) {
		if e := lines[where]; e.automatic() && state[e] == 0 {
			visit(e)
		}
	}
	return order
}

// mountAll mounts the entries in their order.
func (l *Layout) mountAll(entries []*mountEntry) error {
	l.entered(entries)
	for _, e := range entries {
		if e.where != "/usr" {
			l.mount(e)
		}
		if e.where == "/home" {
			l.home = l.tree.place("/home")
		}
	}
	if l.entry == nil || !slices.Contains(entries, l.entry) {
		l.home = l.tree.place("/home")
	}
	for _, v := range l.tree.volumes {
		if v.Type == "vfat" && v.FS != nil && v.role == "" {
			v.role = l.tree.freeRole("efi") // firmware reads it, mounted or not
		}
	}
	if err := l.spread(); err != nil {
		return err
	}
	l.tree.index()
	return nil
}

// entered remembers whether the system itself mounts /home.
func (l *Layout) entered(entries []*mountEntry) {
	l.tree.mountsHome = l.entry != nil && slices.Contains(entries, l.entry)
}

// mount adds one entry to the tree.
func (l *Layout) mount(e *mountEntry) {
	t := &l.tree
	point := t.place(e.where)
	broken := func(err error, origin string) {
		t.mounts[point] = mount{volume: &volume{role: roleOf(point),
			Volume: Volume{Err: &mountError{fmt.Errorf("%s: %w", e.from, err)}}}, sub: ".", origin: origin}
	}
	_, taken := t.mounts[point]
	if strings.Count(point, "/") > maxDepth && e.err == nil {
		e.err = fmt.Errorf("%s: the mount point is more than %d folders deep", e.from, maxDepth)
	}
	bind := e.has("bind", "rbind")
	kind := strings.ToLower(e.kind)
	switch {
	case e.err != nil:
		t.mounts[point] = mount{volume: &volume{role: roleOf(point), Volume: Volume{Err: &mountError{e.err}}}, sub: "."}
	case taken:
		broken(fmt.Errorf("%s has another mount", point), "")
	case l.early != nil && l.early.place(e.where) != point:
		broken(fmt.Errorf("the mount point %s is a link on another volume", e.where), "")
	case bind:
		t.bind(e, point, broken)
	case kind == "none":
	case slices.Contains(memoryKinds, kind):
		t.mounts[point] = mount{volume: &volume{role: "memory", Volume: Volume{FS: memoryFS{}, Totals: noTotals}},
			sub: "."}
	case kind == "overlay" || kind == "overlayfs" || kind == "aufs":
		broken(fmt.Errorf("%s is mounted at %s, and coldcheck does not support that filesystem", kind, e.where), "")
	case !slices.Contains(diskKinds, kind) || e.has("_netdev"):
		broken(fmt.Errorf("%s (%s) is mounted at %s, and the images do not contain it", e.what, kind, e.where), "")
	case e.has("loop") || strings.HasPrefix(e.what, "/") && !strings.HasPrefix(path.Clean(e.what), "/dev/"):
		broken(fmt.Errorf("%s is mounted at %s: %w", e.what, e.where, errSealed), "")
	default:
		v, err := findDevice(t.volumes, e.what, t.disks)
		switch {
		case err != nil:
			broken(fmt.Errorf("cannot determine what is mounted at %s: %w", e.where, err), "")
		case v.FS == nil:
			broken(fmt.Errorf("%s is mounted at %s: %w", v.Name, e.where, v.Err), "")
		case !sameKind(kind, v.Type):
			broken(fmt.Errorf("%s is mounted at %s as %s, but contains %s", v.Name, e.where, e.kind, v.Type), "")
		default:
			if v.role == "" {
				v.role = t.freeRole(roleOf(point))
			}
			t.mounts[point] = mount{volume: v, sub: e.folder()}
		}
	}
}

// folder is the one of the volume that is mounted: mount(8), X-mount.subdir.
func (e *mountEntry) folder() string {
	for _, o := range e.options {
		if sub, ok := strings.CutPrefix(o, "X-mount.subdir="); ok {
			if sub = strings.Trim(path.Clean("/"+sub), "/"); sub != "" {
				return sub
			}
		}
	}
	return "."
}

// memoryKinds are filesystems that hold nothing, or what the kernel puts
// there, when they are mounted.
var memoryKinds = []string{
	"tmpfs", "ramfs", "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs",
	"configfs", "pstore", "bpf",
	"mqueue", "hugetlbfs", "efivarfs", "binfmt_misc", "fusectl", "selinuxfs", "rpc_pipefs", "nfsd", "functionfs",
}

// diskKinds are filesystems on devices. Filesystems of neither kind come from
// elsewhere: the network, or a program.
var diskKinds = []string{
	"", "auto", "ext2", "ext3", "ext4", "xfs", "vfat", "msdos", "btrfs", "exfat", "ntfs", "ntfs3", "ntfs-3g", "iso9660",
	"udf", "squashfs", "f2fs", "jfs", "reiserfs", "zfs", "erofs",
}

// sameKind says whether mount(8) mounts a volume that holds a filesystem under
// a type.
func sameKind(kind, holds string) bool {
	ext := func(s string) bool { return s == "ext2" || s == "ext3" || s == "ext4" }
	switch kind {
	case "", "auto", holds:
		return true
	case "msdos":
		return holds == "vfat"
	}
	return ext(kind) && ext(holds)
}

// bind mounts a part of the tree at another place.
func (t *tree) bind(e *mountEntry, point string, broken func(error, string)) {
	source := path.Clean("/" + e.what)
	if !path.IsAbs(e.what) {
		broken(fmt.Errorf("%q is mounted at %s, but is not an absolute path", e.what, point), "")
		return
	}
	if (isHome(source) || source == "/home") && !t.mountsHome {
		broken(fmt.Errorf("%s is mounted at %s, and it is unknown what mounts /home", source, point), source)
		return
	}
	real, err := t.resolve(source, true)
	if err == nil {
		_, _, _, err = t.lstat(real)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		broken(fmt.Errorf("%s is mounted at %s, but does not exist", source, point), source)
	case err != nil:
		broken(fmt.Errorf("%s is mounted at %s: %w", source, point, err), source)
	default:
		v, name := t.at(real)
		t.mounts[point] = mount{volume: v, sub: name, origin: real, deep: e.has("rbind")}
	}
}

// maxSpread bounds the rounds in which mounts spread along bind mounts of bind
// mounts.
const maxSpread = 8

// spread adds the mounts below the sources of bind mounts. A recursive one
// shows all mounts there. Another shows it only if it came first, since mounts
// are shared, and nothing says which comes first.
func (l *Layout) spread() error {
	t := &l.tree
	for range maxSpread {
		added := 0
		points := slices.Sorted(maps.Keys(t.mounts))
		for _, bound := range points {
			b := t.mounts[bound]
			if b.origin == "" || b.FS == nil {
				continue
			}
			prefix := strings.TrimSuffix(b.origin, "/") + "/"
			first, _ := slices.BinarySearch(points, prefix)
			for _, p := range points[first:] {
				rest, ok := strings.CutPrefix(p, prefix)
				if !ok {
					break
				}
				if p == bound || strings.HasPrefix(p, bound+"/") || !b.deep && inMemory(p) {
					continue
				}
				at := bound + "/" + rest
				if _, there := t.mounts[at]; there {
					continue
				}
				m := t.mounts[p]
				if !b.deep {
					m = mount{volume: &volume{role: roleOf(at),
						Volume: Volume{Err: &mountError{fmt.Errorf(
							"cannot determine whether %s, which shows %s, includes the mount at %s",
							bound, b.origin, p)}}}, sub: "."}
				}
				m.origin = p
				t.mounts[at] = m
				added++
				if len(t.mounts) > maxMounts {
					return errTooManyMounts
				}
			}
		}
		if added == 0 {
			return nil
		}
	}
	return errors.New("endless bind mounts")
}

// roleOf is what evidence calls a volume by where it is mounted: "boot", "efi",
// "var", "var-log".
func roleOf(point string) string {
	const longest = 40
	switch {
	case path.Base(point) == "efi":
		return "efi"
	case point == "/":
		return "root"
	case point == "/home":
		return "user"
	}
	role := strings.ReplaceAll(strings.Trim(point, "/"), "/", "-")
	return role[:min(len(role), longest)]
}

// freeRole returns the role, with a number where another volume has it.
func (t *tree) freeRole(role string) string {
	used := func(name string) bool {
		return slices.Contains([]string{"root", "user", "other", "memory"}, name) ||
			slices.ContainsFunc(t.volumes, func(v *volume) bool { return v.role == name })
	}
	name := role
	for n := 2; used(name); n++ {
		name = fmt.Sprintf("%s-%d", role, n)
	}
	return name
}

// Home is what a system mounts at /home.
type Home struct {
	Volume int    // index in the others of ReadLayout; -1 if it is not one of them
	Named  string // the device; "" if not known
	Set    bool   // the system's own configuration decides /home, so that no volume must be found for it
	Err    error  // why the volume at /home is unknown
}

// Home says what the system mounts at /home. Where it says nothing, the agent
// of the service mounts the user volume.
func (l *Layout) Home() Home {
	h := Home{Volume: -1, Err: l.guessed}
	if m, unknown := l.tree.mounts["/"]; unknown {
		h.Err = m.Err
		return h
	}
	var named *volume
	if l.entry != nil && !l.entry.has("bind", "rbind") {
		if _, ok := parseDevice(l.entry.what); ok {
			h.Named = l.entry.what
			named, _ = findDevice(l.tree.volumes, h.Named, l.tree.disks)
		}
	}
	m, mounted := l.tree.mounts[l.home]
	if !mounted {
		return h
	}
	h.Set, h.Err = true, nil
	v := m.volume
	if m.FS == nil {
		h.Err = m.Err
		if v = named; v == nil && h.Named != "" && l.entry.err == nil {
			h.Set = false // it is not among the images, or not known which of them it is
		}
	}
	if i := slices.Index(l.tree.volumes, v); i > 0 {
		h.Volume = i - 1
	}
	return h
}

// Unlike says what the volume is called instead, where the system names what
// it mounts at /home by what can be compared; "" if it may be that one.
func (l *Layout) Unlike(other int) string {
	if h := l.Home(); h.Named != "" {
		return l.tree.volumes[other+1].unlike(h.Named)
	}
	return ""
}

// Points are where one of the other volumes is mounted.
func (l *Layout) Points(other int) []string {
	var points []string
	for p, m := range l.tree.mounts {
		if m.volume == l.tree.volumes[other+1] && m.origin == "" {
			points = append(points, p)
		}
	}
	slices.SortFunc(points, cmp.Compare)
	return points
}

// Role is what evidence calls one of the other volumes; "" if it is not
// mounted.
func (l *Layout) Role(other int) string { return l.tree.volumes[other+1].role }

// with is the tree of the layout, with the given volume at /home if the system
// does not decide it.
func (l *Layout) with(home Volume, trail *requirement.Trail) tree {
	t := l.tree
	t.trail, t.at0, t.mounts = trail, l.home, maps.Clone(t.mounts)
	if home.FS == nil && home.Err == nil {
		m, point := t.mountOf(l.home)
		t.home = m.volume
		if point == l.home && slices.Contains(t.volumes[1:], t.home) {
			t.home.role = "user"
		}
	} else {
		t.home = &volume{role: "user", Volume: home}
		t.mounts[l.home] = mount{volume: t.home, sub: "."}
	}
	t.index()
	return t
}
