//go:build linux

package scanner_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// How much more a scan may use for a volume that is meant to exhaust it than
// for the same machine without it. The sizes are those of the reports.
const (
	hostileReads = 250_000
	hostileBytes = 1536 << 20
	hostileJSON  = 16 << 20
	hostileLog   = 32 << 20
)

// hostileDir, where it is set, is where the images of TestHostile stay, to be
// measured by hand.
var hostileDir = os.Getenv("COLDCHECK_HOSTILE_DIR")

// hostile is what one or more users, or a program that they ran, can do to a
// machine.
type hostile struct {
	from string
	role scanner.Role
	do   func(t *testing.T, dir string)
	// affected are the findings that it may make undetermined, or give the
	// status here. All others stay as they were: of no file with many names,
	// for one, more is read than of one with one name.
	affected map[string]requirement.Status
	// gigabytes that it may take more to read: the hive of so many services has
	// hundreds of megabytes, and that a service is not there is known of all keys.
	gigabytes int64
}

var hostiles = map[string]hostile{
	"tasks": {"ready", scanner.Root, links(1000, "Windows/System32/Tasks", ".", padded(taskXML, "<!--", "-->")),
		nil, 0},
	"templates": {"ready", scanner.Root,
		links(1000, "Windows/security/templates/policies", "gpt%05d.inf",
			padded("[Version]\r\nsignature=\"$CHICAGO$\"\r\n", "; ", "\r\n")), nil, 0},
	"start menu": {"ready", scanner.Root,
		linksOf(1000, "ProgramData/Microsoft/Windows/Start Menu/Programs", "%05d.lnk",
			"ProgramData/Microsoft/Windows/Start Menu/Programs/Firefox.lnk"), nil, 0},
	"public desktop": {"ready", scanner.Root,
		linksOf(1000, "Users/Public/Desktop", "%05d.lnk", "Users/Public/Desktop/7-Zip File Manager.lnk"), nil, 0},
	"user's desktop": {"ready", scanner.User,
		linksOf(1000, "Users/jdoe/Desktop", "%05d.lnk", "Users/jdoe/Desktop/Notepad.lnk"), nil, 0},
	"startup scripts": {"ready", scanner.Root,
		links(1000, "ProgramData/Microsoft/Windows/Start Menu/Programs/Startup", "%05d.cmd",
			padded("@echo off\r\n", "rem ", "\r\n")), undetermined("win.drives.only-c-d", "win.apps.on-c"), 0},
	"Drives.xml": {"ready", scanner.Root, drivesXML(600),
		map[string]requirement.Status{"win.gpo.none": requirement.Warning}, 0},

	"services": {"ready", scanner.Root, services(19_000, 8_000),
		undetermined("win.services.domain-account", "win.apps.on-c", "win.drives.only-c-d", "win.bp.antivirus",
			"win.sysprep.compatible", "win.component.pv-drivers", "win.component.stxhd"), 10},
	"short services": {"ready", scanner.Root, services(19_000, 20),
		map[string]requirement.Status{"win.services.domain-account": requirement.Failed}, 0},
	"profiles": {"ready", scanner.User, folders(5_000, "Users/user%05d", "AppData"),
		map[string]requirement.Status{"win.profile.single": requirement.Warning}, 0},
	"listed profiles": {"ready", scanner.Root, listedProfiles(19_000),
		map[string]requirement.Status{"win.profile.single": requirement.Failed}, 0},

	"units": {"linux-ready", scanner.Root,
		links(4000, "usr/lib/systemd/system", "x%05d.service",
			padded("[Unit]\n[Service]\nExecStart=/bin/true\n", "# ", "\n")), nil, 0},
	"drop-ins": {"linux-ready", scanner.Root,
		links(4000, "etc/systemd/system/sshd.service.d", "%05d.conf", padded("[Unit]\n", "# ", "\n")), nil, 0},
	"desktop files": {"linux-ready", scanner.Root,
		links(4000, "usr/share/applications", "x%05d.desktop",
			padded("[Desktop Entry]\nType=Application\nExec=/usr/bin/true\n", "# ", "\n")), nil, 0},
	"autostart": {"linux-ready", scanner.Root,
		links(4000, "etc/xdg/autostart", "x%05d.desktop",
			padded("[Desktop Entry]\nType=Application\nExec=/usr/bin/true\n", "# ", "\n")), nil, 0},
	"cron": {"linux-ready", scanner.Root,
		links(4000, "etc/cron.d", "x%05d", padded("* * * * * root /bin/true\n", "# ", "\n")), nil, 0},
	"profile.d": {"linux-ready", scanner.Root, links(4000, "etc/profile.d", "x%05d.sh", padded("true\n", "# ", "\n")),
		nil, 0},
	"sudoers": {"linux-ready", scanner.Root, links(4000, "etc/sudoers.d", "x%05d", padded("# none\n", "# ", "\n")),
		nil, 0},
	"boot links": {"linux-ready", scanner.Root,
		blscfg(links(1900, "boot/loader/entries", "x%05d.conf",
			padded("title x\nversion 1\nlinux /vmlinuz\noptions root=/dev/xvda1 ro\n", "# ", "\n"))), nil, 0},
	"boot entries": {"linux-ready", scanner.Root,
		blscfg(files(60_000, "boot/loader/entries", "x%05d.conf",
			"title x\nversion 1\nlinux /vmlinuz\noptions root=/dev/xvda1 ro\n")),
		undetermined("linux.component.cloud-init", "linux.component.skylight", "linux.component.pcoip", "linux.bp.antivirus",
			"linux.bp.firewall", "linux.apps.outside-home"), 0},
	"commands": {"linux-ready", scanner.Root, commands(150, 30_000),
		map[string]requirement.Status{"linux.apps.outside-home": requirement.Failed}, 0},
	"homes": {"linux-ready", scanner.User, folders(100_000, "user%06d", ""),
		undetermined("linux.apps.outside-home", "linux.contents.removed", "linux.bp.cache"), 0},
	"netplan": {"linux-ubuntu", scanner.Root, interfaces(70_000), undetermined("linux.bp.network"), 0},
	"netplan files": {"linux-ubuntu", scanner.Root,
		links(4000, "etc/netplan", "x%05d.yaml", padded("network: {version: 2}\n", "# ", "\n")),
		undetermined("linux.bp.network"), 0},
	"wants": {"linux-ready", scanner.Root, wants(20_000),
		undetermined("linux.component.cloud-init", "linux.component.skylight", "linux.component.pcoip", "linux.bp.antivirus",
			"linux.bp.firewall", "linux.apps.outside-home"), 0},
	"package status": {"linux-ubuntu", scanner.Root,
		links(4000, "var/lib/dpkg/info", "x%05d.list", padded("/.\n", "/usr", "\n")),
		undetermined("linux.apps.outside-home", "linux.contents.removed", "linux.component.cloud-init",
			"linux.component.skylight", "linux.component.pcoip", "linux.bp.antivirus", "linux.bp.updates"), 0},
}

func undetermined(ids ...string) map[string]requirement.Status {
	m := map[string]requirement.Status{}
	for _, id := range ids {
		m[id] = requirement.Undetermined
	}
	return m
}

// TestHostile scans machines whose volumes hold far more than any machine has of
// one thing. No scan reads, keeps or reports much more of them than of others,
// and what has nothing to do with the thing is judged as before. What it takes is
// counted in reads, bytes and sizes; times and memory are only logged.
func TestHostile(t *testing.T) {
	names := make([]string, 0, len(hostiles))
	for name := range hostiles {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			testenv.Share(t, i, 12, 6)
			hostiles[name].test(t, name)
		})
	}
}

func (h hostile) test(t *testing.T, name string) {
	t.Parallel()
	dir := testenv.ImageDir(t)
	if hostileDir != "" {
		dir = filepath.Join(hostileDir, strings.ReplaceAll(name, " ", "-"))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m := newMachine(t, testcases.Find(t, h.from), dir)
	m.change(t, h.role, func(dir string) { h.do(t, dir) })

	cpu, begun := processorTime(), time.Now()
	r, err := scanner.Scan(t.Context(), m.in)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v of processor time, %v, %d reads, %d KiB", processorTime()-cpu, time.Since(begun).Round(time.Millisecond),
		r.Reads, r.BytesRead>>10)
	if more := r.Reads - m.before.Reads; more > hostileReads {
		t.Errorf("%d more reads than without it", more)
	}
	if more := r.BytesRead - m.before.BytesRead; more > hostileBytes+h.gigabytes<<30 {
		t.Errorf("%d more bytes read than without it", more)
	}
	var size counter
	if err := report.JSON(&size, r, report.Options{}); err != nil || size > hostileJSON {
		t.Errorf("JSON of %d bytes, %v", size, err)
	}
	var log counter
	if err := report.Log(&log, r, report.Options{}); err != nil || log > hostileLog {
		t.Errorf("a log of %d bytes, %v", log, err)
	}
	t.Logf("JSON of %d KiB, log of %d KiB", size>>10, log>>10)
	was := map[string]requirement.Status{}
	for _, f := range m.before.Findings {
		was[f.ID] = f.Status
	}
	for _, f := range r.Findings {
		switch want, affected := h.affected[f.ID]; {
		case f.Status == was[f.ID], affected && (f.Status == want || f.Status == requirement.Undetermined):
		default:
			t.Errorf("%s is %s, and was %s: %s", f.ID, f.Status, was[f.ID], f.Message)
		}
		if _, affected := h.affected[f.ID]; affected {
			t.Logf("%s: %s: %.200s", f.ID, f.Status, f.Message)
		}
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Round(time.Millisecond)
}

// megabyte is how large what is read many times is.
const megabyte = 1 << 20

// padded is a text of a megabyte whose rest is comments.
func padded(text, begin, end string) string {
	line := begin + strings.Repeat("x", 70) + end
	for len(text)+len(line) < megabyte {
		text += strings.Repeat(line, max(1, min((megabyte-len(text))/len(line), 1000)))
	}
	return text
}

// links makes a file with as many names.
func links(n int, folder, name, text string) func(*testing.T, string) {
	if name == "." {
		name = "Task %05d"
	}
	return func(t *testing.T, dir string) {
		first := place(t, dir, folder+"/"+fmt.Sprintf(name, 0), []byte(text))
		link(t, first, filepath.Dir(first), name, n)
	}
}

// linksOf does so with a file that is there, made a megabyte long.
func linksOf(n int, folder, name, of string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		data, err := os.ReadFile(filepath.Join(dir, of))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, make([]byte, megabyte-len(data))...)
		first := place(t, dir, folder+"/"+fmt.Sprintf(name, 0), data)
		link(t, first, filepath.Dir(first), name, n)
	}
}

func link(t *testing.T, first, folder, name string, n int) {
	t.Helper()
	for i := 1; i < n; i++ {
		if err := os.Link(first, filepath.Join(folder, fmt.Sprintf(name, i))); err != nil {
			t.Fatal(err)
		}
	}
}

// files makes as many files of the same content.
func files(n int, folder, name, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		place(t, dir, folder+"/"+fmt.Sprintf(name, 0), []byte(text))
		for i := 1; i < n; i++ {
			if err := os.WriteFile(filepath.Join(dir, folder, fmt.Sprintf(name, i)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// blscfg has the boot loader read the entries that are made.
func blscfg(make func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		name := filepath.Join(dir, "boot/grub2/grub.cfg")
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, append(old, "\ninsmod blscfg\nblscfg\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		make(t, dir)
	}
}

// folders makes as many folders, each with one in it if that has a name.
func folders(n int, name, below string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for i := range n {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf(name, i), below), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const taskXML = `<?xml version="1.0" encoding="UTF-8"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Triggers><BootTrigger/></Triggers>
<Principals><Principal id="a"><UserId>S-1-5-18</UserId></Principal></Principals>
<Actions Context="a"><Exec><Command>C:\Windows\System32\notepad.exe</Command></Exec></Actions></Task>
`

// drivesXML gives as many policies the same map of drives, which makes none.
func drivesXML(n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		const name = "ProgramData/Microsoft/Group " +
			"Policy/History/{%08d-0000-0000-0000-000000000000}/Machine/Preferences/Drives/Drives.xml"
		first := place(t, dir, fmt.Sprintf(name, 0),
			[]byte(padded("<?xml version=\"1.0\"?>\n<Drives clsid=\"{8FDDCC1A-0C3C-43cd-A6B4-71A6DF20DA8C}\"></Drives>\n",
				"<!--", "-->\n")))
		for i := 1; i < n; i++ {
			path := filepath.Join(dir, fmt.Sprintf(name, i))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(first, path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func text16(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func number(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// changeHive builds a hive anew, with what is added to it.
func changeHive(t *testing.T, dir, name string, add func(root *hivetest.Key)) {
	t.Helper()
	path := filepath.Join(dir, "Windows/System32/config", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := registry.Open(context.Background(), bytes.NewReader(data), int64(len(data)), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := h.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := copyKey(t, k)
	add(&root)
	if err := os.WriteFile(path, hivetest.Build(root, hivetest.Options{}), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, log := range []string{".LOG", ".LOG1", ".LOG2"} {
		if err := os.Remove(path + log); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

func copyKey(t *testing.T, k *registry.Key) hivetest.Key {
	t.Helper()
	c := hivetest.Key{Name: k.Name()}
	values, err := k.Values()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			t.Fatal(err)
		}
		c.Values = append(c.Values, hivetest.Value{Name: v.Name(), Type: uint32(v.Type()), Data: data})
	}
	keys, err := k.Subkeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range keys {
		c.Subkeys = append(c.Subkeys, copyKey(t, s))
	}
	return c
}

// below finds a key, and makes it where it is not there.
func below(k *hivetest.Key, names ...string) *hivetest.Key {
	for _, name := range names {
		i := slices.IndexFunc(k.Subkeys, func(s hivetest.Key) bool { return strings.EqualFold(s.Name, name) })
		if i < 0 {
			i = len(k.Subkeys)
			k.Subkeys = append(k.Subkeys, hivetest.Key{Name: name})
		}
		k = &k.Subkeys[i]
	}
	return k
}

// services adds services under accounts of so many characters of the domain.
func services(n, length int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		changeHive(t, dir, "SYSTEM", func(root *hivetest.Key) {
			list := below(root, "ControlSet001", "Services")
			account := text16(`CORP\` + strings.Repeat("a", length-5))
			for i := range n {
				list.Subkeys = append(list.Subkeys, hivetest.Key{Name: fmt.Sprintf("x%05d", i), Values: []hivetest.Value{
					{Name: "Type", Type: 4, Data: number(0x10)}, {Name: "Start", Type: 4, Data: number(2)},
					{Name: "ImagePath", Type: 2, Data: text16(`C:\Windows\System32\notepad.exe`)},
					{Name: "ObjectName", Type: 1, Data: account},
				}})
			}
		})
	}
}

// listedProfiles adds profiles to the registry whose folders are not there.
func listedProfiles(n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		changeHive(t, dir, "SOFTWARE", func(root *hivetest.Key) {
			list := below(root, "Microsoft", "Windows NT", "CurrentVersion", "ProfileList")
			for i := range n {
				list.Subkeys = append(list.Subkeys,
					hivetest.Key{Name: fmt.Sprintf("S-1-5-21-1-2-3-%d", 2000+i), Values: []hivetest.Value{
						{Name: "ProfileImagePath", Type: 2, Data: text16(fmt.Sprintf(`D:\Users\gone%05d`, i))},
					}})
			}
		})
	}
}

// commands makes units that run a program of a home, over and over.
func commands(units, lines int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		text := "[Service]\n" + strings.Repeat("ExecStartPre=/home/a\n", lines) + "ExecStart=/home/a\n"
		for i := range units {
			name := fmt.Sprintf("x%03d.service", i)
			place(t, dir, "usr/lib/systemd/system/"+name, []byte(text))
			wantUnit(t, dir, name, name)
		}
	}
}

// wants makes links that start a unit by as many names.
func wants(n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		place(t, dir, "usr/lib/systemd/system/x@.service", []byte("[Service]\nExecStart=/bin/true\n"))
		for i := range n {
			wantUnit(t, dir, fmt.Sprintf("x@%05d.service", i), "x@.service")
		}
	}
}

func wantUnit(t *testing.T, dir, name, file string) {
	t.Helper()
	folder := filepath.Join(dir, "etc/systemd/system/multi-user.target.wants")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/lib/systemd/system/"+file, filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}

// interfaces makes one file of as many network interfaces.
func interfaces(n int) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		var b strings.Builder
		b.WriteString("network:\n  version: 2\n  ethernets:\n")
		for i := range n {
			fmt.Fprintf(&b, "    eth%d:\n      dhcp4: true\n", i)
		}
		place(t, dir, "etc/netplan/99-many.yaml", []byte(b.String()))
	}
}
