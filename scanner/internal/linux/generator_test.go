package linux

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestFstabGenerator compares what is made of lines of fstab with the units that
// systemd-fstab-generator makes of them, and with what they start.
func TestFstabGenerator(t *testing.T) {
	generator := "/lib/systemd/system-generators/systemd-fstab-generator"
	if _, err := os.Stat(generator); err != nil {
		t.Skip(err)
	}
	const fstab = `# a comment
LABEL=root / ext4 defaults 0 1
UUID=a /a ext4 noauto
UUID=b /a/b ext4
UUID=c	/data	ext4
UUID=d /data ext4
LABEL="xy" /q ext4 nofail
LABEL=x\040y /blank\040s ext4 nofail 0
  PARTUUID=0-1 //slashes//here/ xfs
tmpfs /tmp tmpfs
proc /proc proc defaults
sysfs /sys sysfs
tmpfs /dev/shm tmpfs
UUID=e
g home ext4
/home/opt /opt none bind
//server/share /mnt/c cifs
UUID=h /auto ext4 noauto,x-systemd.automount
UUID=h2 /auto2 ext4 noauto,comment=systemd.automount
UUID=j /auto3 ext4 auto,noauto
UUID=k /auto4 ext4 noauto,auto
UUID=l /wanted ext4 noauto,x-systemd.wanted-by=multi-user.target
UUID=i none swap
/swapfile swap swap defaults
UUID=m none ext4
UUID=n /nofail ext4 noauto,nofail
server:/x /nfs nfs4 _netdev
/dev/sdb1 /plain auto
auto /autofs autofs
x /run/user tmpfs
`
	dir := t.TempDir()
	file := filepath.Join(dir, "fstab")
	if err := os.WriteFile(file, []byte(fstab), 0o644); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range []string{"normal", "early", "late"} {
		out = append(out, filepath.Join(dir, name))
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(generator, out...)
	cmd.Env = append(os.Environ(), "SYSTEMD_FSTAB="+file, "SYSTEMD_PROC_CMDLINE=root=x")
	cmd.Run() // it fails for lines that it skips
	links, err := filepath.Glob(filepath.Join(out[0], "*.*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, l := range links {
		name := strings.TrimSuffix(filepath.Base(l), ".automount")
		linked[strings.TrimSuffix(name, ".mount")] = true
	}
	theirs := map[string]string{}
	units, err := filepath.Glob(filepath.Join(out[0], "*.mount"))
	if err != nil || len(units) == 0 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	for _, u := range units {
		data, err := os.ReadFile(u)
		if err != nil {
			t.Fatal(err)
		}
		var what, where string
		for _, s := range parseUnit(string(data))["Mount"] {
			switch s[0] {
			case "What":
				what = s[1]
			case "Where":
				where = s[1]
			}
		}
		if where == "/" {
			continue
		}
		if got := mountUnitName(where); got != filepath.Base(u) {
			t.Errorf("%s: the unit is called %s, not %s", where, filepath.Base(u), got)
		}
		if !linked[strings.TrimSuffix(filepath.Base(u), ".mount")] {
			what = "not started: " + what
		}
		theirs[where] = what
	}

	l := &Layout{tree: tree{root: &volume{role: "root",
		Volume: Volume{FS: fstest.MapFS{"etc/fstab": {Data: []byte(fstab)}}}}, mounts: map[string]mount{}}}
	entries, _ := parseFstab(fstab)
	started, err := l.readEntries()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{}
	for _, e := range entries {
		if _, ok := ours[e.where]; ok || e.err != nil && e.where == "/home" || e.where == "/" || underAPI(e.where) ||
			e.kind == "autofs" {
			continue
		}
		what := e.what
		if d, ok := parseDevice(what); ok && d.tag != "" && d.tag != "LV" {
			for folder, tag := range byTag {
				if tag == d.tag {
					what = folder + strings.ReplaceAll(d.value, " ", `\x20`)
				}
			}
		}
		// What another mount needs is started by that, without a link.
		if !e.automatic() || !slices.ContainsFunc(started, func(s *mountEntry) bool { return s.where == e.where }) {
			what = "not started: " + what
		}
		ours[e.where] = what
	}
	if !maps.Equal(ours, theirs) {
		for p, want := range theirs {
			if ours[p] != want {
				t.Errorf("%s: %q, systemd has %q", p, ours[p], want)
			}
			delete(ours, p)
		}
		for p, what := range ours {
			t.Errorf("%s: %q, systemd has nothing", p, what)
		}
	}
	t.Logf("%d mounts agree", len(theirs))
}
