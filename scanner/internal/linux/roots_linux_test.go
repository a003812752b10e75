package linux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/xfs"
)

// rootsVar names the folder of real roots that internal/roots/make.sh makes.
// They are no part of the repository: they come from a network, and take minutes.
const rootsVar = "COLDCHECK_ROOTS"

// roots skips a test that has no real roots.
func roots(t *testing.T) string {
	folder := os.Getenv(rootsVar)
	if folder == "" {
		t.Skipf("%s names no folder of real roots (make roots)", rootsVar)
	}
	testenv.Root(t)
	testenv.Tool(t, "ip", "mount", "umount", "chroot")
	return folder
}

// run runs a command to its end.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// writable mounts a folder so that what is written to it is lost, with the
// kernel's filesystems that tools want.
func writable(t *testing.T, lower string) string {
	t.Helper()
	base := t.TempDir()
	upper, work, at := filepath.Join(base, "tmp/upper"), filepath.Join(base, "tmp/work"), filepath.Join(base, "root")
	for _, d := range []string{filepath.Join(base, "tmp"), at} {
		os.MkdirAll(d, 0o755)
	}
	mount := func(args ...string) {
		run(t, "mount", args...)
		t.Cleanup(func() { exec.Command("umount", "--lazy", args[len(args)-1]).Run() })
	}
	mount("-t", "tmpfs", "tmpfs", filepath.Join(base, "tmp"))
	os.MkdirAll(upper, 0o755)
	os.MkdirAll(work, 0o755)
	mount("-t", "overlay", "overlay", "-o", "lowerdir="+lower+",upperdir="+upper+",workdir="+work, at)
	mount("-t", "proc", "proc", filepath.Join(at, "proc"))
	mount("-t", "tmpfs", "tmpfs", filepath.Join(at, "run"))
	mount("--bind", "/dev", filepath.Join(at, "dev"))
	return at
}

// mountImage mounts what an image holds, its journal replayed by the kernel, in a
// copy that is thrown away.
func mountImage(t *testing.T, image string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.img")
	run(t, "cp", "--sparse=always", image, copied)
	at := t.TempDir()
	options := "loop"
	if strings.Contains(run(t, "blkid", "-p", "-o", "value", "-s", "TYPE", copied), "xfs") {
		options += ",nouuid"
	}
	run(t, "mount", "-o", options, copied, at)
	t.Cleanup(func() { exec.Command("umount", "--lazy", at).Run() })
	return at
}

// openImage opens the filesystem of an image as a scan does.
func openImage(t *testing.T, image string) Volume {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if e, err := ext4.Open(context.Background(), f, info.Size(), ext4.Options{}); err == nil {
		return Volume{FS: e, Usage: func() (Usage, error) {
			u, err := e.Usage()
			return Usage{Size: u.Size, Used: u.Used, Available: u.Available}, err
		}, Totals: func(string) (Totals, error) { return Totals{}, nil }}
	}
	x, err := xfs.Open(context.Background(), f, info.Size(), xfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Volume{FS: x, Usage: func() (Usage, error) {
		u, err := x.Usage()
		return Usage{Size: u.Size, Used: u.Used, Available: u.Available}, err
	}, Totals: func(string) (Totals, error) { return Totals{}, nil }}
}

// TestRoots holds what is read of images of real roots against the tools of the
// systems themselves.
func TestRoots(t *testing.T) {
	folder := roots(t)
	images, err := filepath.Glob(filepath.Join(folder, "*.img"))
	if err != nil || len(images) == 0 {
		t.Fatalf("no images in %s: %v", folder, err)
	}
	for _, image := range images {
		name := strings.TrimSuffix(filepath.Base(image), ".img")
		if name == "home" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m, err := Open(Input{Root: openImage(t, image), Home: openImage(t, filepath.Join(folder, "home.img")),
				Readable: requirement.Pass("both volumes open"), Trail: &requirement.Trail{},
				Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range m.Checks(imageRules()) {
				f := requirement.Find(c.Requirement, c.Decide(context.Background()))
				t.Logf("%-28s %-12s %s", f.ID, f.Status, f.Message)
			}
			mounted := mountImage(t, image)
			t.Run("df", func(t *testing.T) { compareUsage(t, m, mounted) })
			t.Run("dpkg-query", func(t *testing.T) { comparePackages(t, m, mounted) })
			t.Run("systemctl", func(t *testing.T) { compareUnits(t, m, mounted) })
			t.Run("cloud-init", func(t *testing.T) { compareCloudInit(t, m, mounted) })
			t.Run("network", func(t *testing.T) { compareNetwork(t, m, mounted) })
			t.Run("firewall", func(t *testing.T) { compareFirewall(t, m, mounted) })
		})
	}
}

// compareUsage compares with statfs, which df shows.
func compareUsage(t *testing.T, m *Machine, mounted string) {
	var s unix.Statfs_t
	if err := unix.Statfs(mounted, &s); err != nil {
		t.Fatal(err)
	}
	u, err := m.in.Root.Usage()
	if err != nil {
		t.Fatal(err)
	}
	used, available := int64(s.Blocks-s.Bfree)*s.Bsize, int64(s.Bavail)*s.Bsize
	t.Logf("used %d, available %d; df has %d and %d", u.Used, u.Available, used, available)
	// The kernel that replays a journal may free what a torn removal left.
	if abs(u.Used-used) > 1<<20 || abs(u.Available-available) > 1<<20 {
		t.Errorf("used %d, available %d; df has %d and %d", u.Used, u.Available, used, available)
	}
}

func abs(n int64) int64 { return max(n, -n) }

// comparePackages compares with dpkg-query, of all packages that it lists.
func comparePackages(t *testing.T, m *Machine, mounted string) {
	out := run(t, "dpkg-query", "--admindir", filepath.Join(mounted, "var/lib/dpkg"), "-W", "-f",
		"${binary:Package} ${Version} ${db:Status-Status}\n")
	want := map[string]bool{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[2] != "not-installed" && fields[2] != "config-files" {
			want[strings.Split(fields[0], ":")[0]+" "+withoutEpoch(fields[1])] = fields[2] == "installed"
		}
	}
	db, err := m.Packages()
	if err != nil { // which is never a pass
		t.Fatalf("dpkg-query lists %d packages: %v", len(want), err)
	}
	list, err := db.Packages()
	if err != nil {
		t.Fatalf("dpkg-query lists %d packages: %v", len(want), err)
	}
	got := map[string]bool{}
	for _, p := range list {
		if p.IsInstalled() {
			got[p.Name+" "+withoutEpoch(version(p))] = true
		}
	}
	agree, half := 0, 0
	for p, installed := range want {
		switch {
		case got[p] && installed:
			agree++
		case !installed:
			half++ // unpacked or half configured
		default:
			t.Errorf("%s is installed for dpkg-query alone", p)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%s is installed for the scan alone", p)
		}
	}
	files := 0
	for i, p := range list {
		if i%5 != 0 && p.Name != "cloud-init" || !p.IsInstalled() {
			continue
		}
		got, err := db.Files(p)
		if err != nil {
			t.Errorf("files of %s: %v", p.Name, err)
			continue
		}
		name := p.Name
		if out, err := exec.Command("dpkg-query", "--admindir", filepath.Join(mounted, "var/lib/dpkg"), "-L",
			name).Output(); err == nil {
			var want []string
			for line := range strings.Lines(string(out)) {
				line = strings.TrimSpace(line)
				if _, to, ok := strings.Cut(line, " to: "); ok && strings.HasPrefix(line, "diverted by ") && len(want) > 0 {
					want[len(want)-1] = to // where the package's file is
				}
				if line != "/." && line != "" && !strings.HasPrefix(line, "diverted") && !strings.HasPrefix(line, "locally") &&
					!strings.HasPrefix(line, "package diverts") {
					want = append(want, line)
				}
			}
			slices.Sort(want)
			have := slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(got),
				func(s string) bool { return s == "/" || s == "/." })))
			if !slices.Equal(slices.Compact(want), slices.Compact(have)) {
				t.Errorf("%s: %d files for dpkg-query, %d for the scan", name, len(want), len(have))
			}
			files += len(want)
		}
	}
	t.Logf("%d installed packages and %d files agree, %d half installed", agree, files, half)
}

// withoutEpoch is a version as findings show it.
func withoutEpoch(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		return rest
	}
	return v
}

// compareUnits compares with systemctl is-enabled of the root's own systemd.
func compareUnits(t *testing.T, m *Machine, mounted string) {
	root := writable(t, mounted)
	units, err := m.Units()
	if err != nil {
		t.Fatal(err)
	}
	names := units.files.names()
	names = slices.DeleteFunc(names, func(n string) bool {
		return strings.Contains(n, "@.") ||
			!slices.Contains([]string{".service", ".socket", ".timer", ".path", ".target"}, filepath.Ext(n))
	})
	agree := 0
	var differ []string
	out, _ := exec.Command("chroot", append([]string{root, "systemctl", "--root=/", "is-enabled"}, names...)...).Output()
	states := strings.Fields(string(out))
	if len(states) != len(names) {
		states = nil
		for _, n := range names {
			out, _ := exec.Command("chroot", root, "systemctl", "--root=/", "is-enabled", n).Output()
			states = append(states, strings.TrimSpace(string(out)))
		}
	}
	for i, n := range names {
		u := units.get(n)
		want := states[i]
		ok := false
		switch want {
		case "enabled", "enabled-runtime": // whether the default target comes to it is another question
			ok = u.State == unitEnabled || u.State == unitSometimes || u.State == unitUnreached || u.State == unitRefused
		case "masked", "masked-runtime":
			ok = u.State == unitMasked
		case "disabled", "static", "indirect", "generated", "transient":
			// Others may pull it in, as a dependency of what is enabled.
			ok = u.State != unitMissing && u.State != unitMasked
		case "alias", "linked":
			ok = u.State != unitMissing
		case "", "not-found", "bad":
			ok = u.State == unitMissing || u.State == unitUnreached || u.State == unitRefused
		}
		if ok {
			agree++
		} else {
			differ = append(differ, fmt.Sprintf("%s: systemctl says %q, the scan %s (%v)", n, want, u.State, u.Err))
		}
	}
	t.Logf("%d of %d units agree", agree, len(names))
	for _, d := range differ {
		t.Error(d)
	}
}

// compareCloudInit runs cloud-init's own generator as if on EC2: with the kernel's
// command line and the DMI data of an instance.
func compareCloudInit(t *testing.T, m *Machine, mounted string) {
	generator := "/usr/lib/systemd/system-generators/cloud-init-generator"
	if _, err := os.Stat(filepath.Join(mounted, generator)); err != nil {
		t.Skip("no cloud-init")
	}
	root := writable(t, mounted)
	dmi := filepath.Join(root, "run/dmi")
	os.MkdirAll(dmi, 0o755)
	for name, text := range map[string]string{"product_uuid": "ec2f1a7c-3d9b-4e50-8a6b-7c8d9e0f1a2b",
		"product_serial": "ec2f1a7c-3d9b-4e50-8a6b-7c8d9e0f1a2b", "sys_vendor": "Amazon EC2", "product_name": "t3.large",
		"chassis_asset_tag": "Amazon EC2", "board_asset_tag": "i-0123456789abcdef0"} {
		os.WriteFile(filepath.Join(dmi, name), []byte(text+"\n"), 0o644)
	}
	os.MkdirAll(filepath.Join(root, "run/out/normal"), 0o755)
	os.MkdirAll(filepath.Join(root, "run/out/early"), 0o755)
	os.MkdirAll(filepath.Join(root, "run/out/late"), 0o755)
	os.WriteFile(filepath.Join(root, "run/cmdline"), []byte("root=LABEL=root ro console=ttyS0\n"), 0o644)
	cmd := exec.Command("chroot", root, generator, "/run/out/normal", "/run/out/early", "/run/out/late")
	cmd.Env = append(os.Environ(), "PATH_SYS_CLASS_DMI_ID=/run/dmi", "KERNEL_CMDLINE=root=LABEL=root ro console=ttyS0",
		"PATH_PROC_CMDLINE=/run/cmdline", "DI_KERNEL_CMDLINE=root=LABEL=root ro console=ttyS0")
	out, err := cmd.CombinedOutput()
	_, on := os.Lstat(filepath.Join(root, "run/out/early/multi-user.target.wants/cloud-init.target"))
	log, _ := os.ReadFile(filepath.Join(root, "run/cloud-init/ds-identify.log"))
	t.Logf("the generator starts cloud-init: %t (%v) %s", on == nil, err, lastLine(string(log)+string(out)))
	for _, c := range m.Checks(imageRules()) {
		if c.ID != "linux.component.cloud-init" {
			continue
		}
		f := requirement.Find(c.Requirement, c.Decide(context.Background()))
		t.Logf("the scan: %s: %s", f.Status, f.Message)
		if f.Status == requirement.Passed && on != nil {
			t.Errorf("passed, and the generator does not start cloud-init")
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// compareNetwork compares what netplan generates with what is read of its files,
// and what ifquery lists with what is read for ifupdown.
func compareNetwork(t *testing.T, m *Machine, mounted string) {
	root := writable(t, mounted)
	all, err := m.addressings()
	t.Logf("the scan: %v", err)
	byName := map[string]addressing{}
	for _, a := range all {
		byName[a.Name] = a
		t.Logf("the scan: %s: fixed %q, none %t, aside %q, doubt %v", a.Name, a.Fixed, a.None, a.Aside, a.Doubt)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/netplan")); err == nil {
		got := netplanGenerate(t, root)
		for _, a := range all {
			if !strings.Contains(a.Evidence.Path, "netplan") || a.Aside != "" {
				continue
			}
			want, ok := got[a.Name]
			if !ok || want.dhcp != (!a.None && a.Fixed == "") && len(want.addresses) == 0 ||
				(len(want.addresses) > 0) != (a.Fixed != "") {
				t.Errorf("%s: netplan generates %+v (%t), the scan has fixed %q, none %t", a.Name, want, ok, a.Fixed, a.None)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/ifquery")); err == nil {
		out, _ := exec.Command("chroot", root, "ifquery", "--list", "-a").Output()
		hot, _ := exec.Command("chroot", root, "ifquery", "--list", "--allow", "hotplug").Output()
		for _, name := range strings.Fields(string(out) + string(hot)) {
			if name == "lo" {
				continue
			}
			info, _ := exec.Command("chroot", root, "ifquery", name).Output()
			a, ok := byName[name]
			if fixed := strings.Contains(string(info), "address: "); !ok || fixed != (a.Fixed != "") {
				t.Errorf("%s: ifquery has %q, the scan %+v", name, info, a)
			}
		}
	}
}

type generated struct {
	dhcp      bool
	addresses []string
}

// netplanGenerate runs netplan, and returns what it makes of each device.
func netplanGenerate(t *testing.T, root string) map[string]generated {
	t.Helper()
	out, err := exec.Command("chroot", root, "netplan", "generate").CombinedOutput()
	if err != nil {
		t.Logf("netplan generate: %v %s", err, out)
		return nil
	}
	got := map[string]generated{}
	files, _ := filepath.Glob(filepath.Join(root, "run/systemd/network/10-netplan-*.network"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "10-netplan-"), ".network")
		n := parseNetworkFile(name, parseINI(string(text)), requirement.Evidence{})
		got[name] = generated{n.DHCP, n.Addresses}
	}
	files, _ = filepath.Glob(filepath.Join(root, "run/NetworkManager/system-connections/netplan-*.nmconnection"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		c, _ := parseConnection(string(text), requirement.Evidence{})
		id := strings.TrimPrefix(parseINI(string(text)).last("connection", "id"), "netplan-")
		got[id] = generated{c.Methods["ipv4"] == "auto", c.Addresses}
	}
	return got
}

// TestNetplanGenerate holds documents of netplan against netplan itself: which
// it refuses, and what it makes of the rest.
func TestNetplanGenerate(t *testing.T) {
	folder := roots(t)
	for _, system := range []string{"bookworm-netplan", "noble-netplan-nm"} {
		if _, err := os.Stat(filepath.Join(folder, system)); err != nil {
			continue
		}
		agree := 0
		for _, d := range []string{
			"network: {ethernets: {a: {dhcp4: true}}}", "network: {version: 2, ethernets: {a: {dhcp4: 'true'}}}",
			"network: {ethernets: {a: {dhcp4: On}}}", "network: {ethernets: {a: {dhcp4: Y}}}",
			"network: {ethernets: {a: {dhcp4: 'NO'}}}", "network: {ethernets: {a: {dhcp4: maybe}}}",
			"network: {ethernets: {a: {dhcp4: 1}}}", "network: {ethernets: {a: {dhcp4: }}}",
			"network: {ethernets: {a: {dhcp4: ~}}}",
			"network: {ethernets: {a: {}}}", "network: {ethernets: {a: }}", "network: {ethernets: }",
			"network: {ethernets: [a]}", "network: []", "network:", "{}", "",
			"network: {ethernets: {a: {addresses: [10.0.0.9/24, 'fd00::9/64']}}}",
			"network: {ethernets: {a: {addresses: [10.0.0.9]}}}", "network: {ethernets: {a: {addresses: 10.0.0.9/24}}}",
			"network: {ethernets: {a: {addresses: [{10.0.0.9/24: {label: x}}]}}}",
			"network: {ethernets: {a: {dhcp4: true, addresses: [10.0.0.9/24]}}}", "network: {ethernets: {a: {dhcp6: true}}}",
			"network: {ethernets: {a: {match: {name: 'en*'}, dhcp4: true}}}",
			"network: {ethernets: {a: {match: {macaddress: '06:00:00:00:00:01'}, set-name: x, dhcp4: yes}}}",
			"network: {ethernets: {a: &x {dhcp4: true}, b: *x}}", "network: {ethernets: {a: &x {dhcp4: true}, b: {<<: *x}}}",
			"network: {ethernets: {a: {dhcp4: true, dhcp4: false}}}",
			"network: {ethernets: {a: {}, b: {}}, bridges: {br0: {interfaces: [a, b], dhcp4: true}}}",
			"network: {bridges: {br0: {addresses: [10.0.0.9/24]}}}",
			"network: {ethernets: {a: {}}, bonds: {bond0: {interfaces: [a], addresses: [10.0.0.9/24]}}}",
			"network: {ethernets: {a: {dhcp4: true}}, vlans: {v: {id: 3, link: a, addresses: [10.0.0.9/24]}}}",
			"network: {renderer: NetworkManager, ethernets: {a: {dhcp4: true}}}",
			"network: {ethernets: {renderer: NetworkManager, a: {dhcp4: true}}}",
			"network: {ethernets: {a: {renderer: NetworkManager, addresses: [10.0.0.9/24]}}}",
			"network: {ethernets: {a: {dhcp4: true}}}\n---\nnetwork: {ethernets: {b: {addresses: [10.0.0.9/24]}}}",
			"network: {ethernets: {a: {unknown: true}}}", "network: {ethernets: {\"a\": {\"dhcp4\": \"on\"}}}",
			"network:\n\tethernets: {}", "ethernets: {a: {addresses: [10.0.0.9/24]}}",
			"network: {ethernets: {a: {addresses: [], dhcp4: no}}}",
			"network: {ethernets: {a: {dhcp4: true, activation-mode: manual}}}",
			"network: {ethernets: {a: {dhcp4: no, link-local: []}}}",
			"network: {dummy-devices: {d: {addresses: [10.0.0.9/24]}}}",
		} {
			t.Run(system, func(t *testing.T) {
				root := writable(t, filepath.Join(folder, system))
				old, _ := filepath.Glob(filepath.Join(root, "etc/netplan/*"))
				for _, f := range old {
					os.Remove(f)
				}
				os.WriteFile(filepath.Join(root, "etc/netplan/50-x.yaml"), []byte(d+"\n"), 0o600)
				got := netplanGenerate(t, root)
				p := netplan{byID: map[string]*netplanDefinition{}}
				err := p.add([]byte(d+"\n"), requirement.Evidence{})
				if got == nil {
					if err == nil && len(p.definitions) > 0 {
						for _, a := range p.addressings(false, false) {
							if a.Aside == "" && a.Fixed == "" && !a.None {
								t.Errorf("%s: netplan refuses it, the scan takes %s for one with DHCP", d, a.Name)
							}
						}
						return
					}
					agree++
					return
				}
				if err != nil {
					t.Logf("%s: netplan takes it, the scan does not: %v", d, err)
					return
				}
				for _, a := range p.addressings(false, false) {
					want, ok := got[a.Name]
					dhcp := p.byID[a.Name].DHCP4 != nil && *p.byID[a.Name].DHCP4
					if ok && (want.dhcp != dhcp || len(want.addresses) != len(p.byID[a.Name].Addresses)) {
						t.Errorf("%s: %s: netplan makes %+v of it, the scan has DHCP %t, addresses %v", d, a.Name, want, dhcp,
							p.byID[a.Name].Addresses)
					}
				}
				agree++
			})
		}
		t.Logf("%s: %d documents agree", system, agree)
	}
}

// A bench is a network of two machines: one with the firewall, and one that
// sends packets to it.
type bench struct {
	inner, outer string
	address      string
	tcp          map[int]net.Listener
	udp          map[int]net.PacketConn
}

// newBench makes two network namespaces with a cable between them; the inner end
// has that name.
func newBench(t *testing.T, name string) *bench {
	t.Helper()
	b := &bench{inner: fmt.Sprintf("cc-in-%d", os.Getpid()), outer: fmt.Sprintf("cc-out-%d", os.Getpid()),
		address: "10.99.0.2"}
	for _, ns := range []string{b.inner, b.outer} {
		exec.Command("ip", "netns", "delete", ns).Run()
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "delete", ns).Run() })
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	run(t, "ip", "link", "add", "ccveth0", "netns", b.outer, "type", "veth", "peer", "name", name, "netns", b.inner)
	run(t, "ip", "-n", b.inner, "address", "add", b.address+"/24", "dev", name)
	run(t, "ip", "-n", b.outer, "address", "add", "10.99.0.1/24", "dev", "ccveth0")
	run(t, "ip", "-n", b.inner, "link", "set", name, "up")
	run(t, "ip", "-n", b.outer, "link", "set", "ccveth0", "up")
	b.tcp, b.udp = map[int]net.Listener{}, map[int]net.PacketConn{}
	b.in(t, b.inner, func() {
		for _, p := range knownPorts {
			if p.Protocol == "tcp" {
				l, err := net.Listen("tcp4", net.JoinHostPort(b.address, strconv.Itoa(p.Number)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				b.tcp[p.Number] = l
				continue
			}
			c, err := net.ListenPacket("udp4", net.JoinHostPort(b.address, strconv.Itoa(p.Number)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			b.udp[p.Number] = c
		}
	})
	return b
}

// in does something in a network namespace, on a thread that ends with it.
func (b *bench) in(t *testing.T, ns string, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		f, err := os.Open("/var/run/netns/" + ns)
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// wait is how long a packet may take. Nothing is slow between two namespaces; a
// packet that is dropped costs so much.
const wait = 400 * time.Millisecond

// reaches sends to each port, and says which get through.
func (b *bench) reaches(t *testing.T) map[port]bool {
	got := map[port]bool{}
	for _, p := range knownPorts {
		b.in(t, b.outer, func() {
			address := net.JoinHostPort(b.address, strconv.Itoa(p.Number))
			if p.Protocol == "tcp" {
				c, err := net.DialTimeout("tcp4", address, wait)
				if got[p] = err == nil; err == nil {
					c.Close()
					l := b.tcp[p.Number].(*net.TCPListener)
					l.SetDeadline(time.Now().Add(wait)) // what comes after the first packet may be dropped
					if a, err := l.Accept(); err == nil {
						a.Close()
					}
				}
				return
			}
			c, err := net.Dial("udp4", address)
			if err != nil {
				return
			}
			defer c.Close()
			c.Write([]byte("x"))
			in := b.udp[p.Number]
			in.SetReadDeadline(time.Now().Add(wait))
			_, _, err = in.ReadFrom(make([]byte, 10))
			got[p] = err == nil
		})
	}
	return got
}

// flush takes all rules out.
func (b *bench) flush(t *testing.T, nft string) {
	run(t, "ip", "netns", "exec", b.inner, "chroot", nft, "nft", "flush", "ruleset")
}

// holds reports whether the real result of packets is among the predicted
// results.
func holds(t *testing.T, what string, got map[port]bool, of map[port]outcome) (exact, possible int) {
	for _, p := range knownPorts {
		want := outDrop
		if got[p] {
			want = outAccept
		}
		switch o := of[p]; {
		case o == want:
			exact++
		case o&(want|outDoubt) != 0:
			possible++
		default:
			t.Errorf("%s: %s: gets through: %t, the scan says %04b", what, p, got[p], o)
		}
	}
	return exact, possible
}

// TestPackets sends packets through the rule sets of the cases, as the kernel has
// them, and compares.
func TestPackets(t *testing.T) {
	folder := roots(t)
	nft := writable(t, filepath.Join(folder, "trixie-networkd"))
	tables := writable(t, filepath.Join(folder, "bookworm-ifupdown"))
	b := newBench(t, "ens5")
	exact, possible, refused := 0, 0, 0
	for _, c := range firewallCases {
		archive := txtar.Parse([]byte(c.changes))
		m := newMachine(t, c.changes)
		var load *exec.Cmd
		var read func() ([]firewall, error)
		switch {
		case strings.HasPrefix(c.name, "nftables"):
			for _, old := range []string{"etc/nftables.d", "etc/nftables.e", "etc/nftables.conf"} {
				os.RemoveAll(filepath.Join(nft, old))
			}
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "etc/") {
					os.MkdirAll(filepath.Dir(filepath.Join(nft, f.Name)), 0o755)
					os.WriteFile(filepath.Join(nft, f.Name), f.Data, 0o644)
				}
			}
			if _, err := os.Stat(filepath.Join(nft, "etc/nftables.conf")); err != nil {
				continue
			}
			load, read = exec.Command("ip", "netns", "exec", b.inner, "chroot", nft, "nft", "-f", "/etc/nftables.conf"),
				m.nftables
		case strings.HasPrefix(c.name, "iptables"):
			load, read = exec.Command("ip", "netns", "exec", b.inner, "chroot", tables, "iptables-restore"), m.iptables
			for _, f := range archive.Files {
				if f.Name == "etc/iptables/rules.v4" {
					load.Stdin = strings.NewReader(string(f.Data))
				}
			}
		default:
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b.flush(t, nft)
			out, err := load.CombinedOutput()
			found, readErr := read()
			if err != nil {
				// Nothing of it is loaded, so that everything gets through: a warning
				// is of a rule set that would block.
				refused++
				t.Logf("refused: %v %s; the scan says %s", err, out, c.want)
				return
			}
			got := b.reaches(t)
			if readErr != nil {
				t.Log(readErr)
				return
			}
			of := map[port]outcome{}
			for _, p := range knownPorts {
				of[p] = outAccept
			}
			for _, f := range found {
				of = f.Outcomes
			}
			e, p := holds(t, c.name, got, of)
			exact, possible = exact+e, possible+p
		})
	}
	t.Logf("packets to ports: %d as said, %d among what was said to be possible; %d rule sets are refused", exact,
		possible, refused)
}

// compareFirewall starts the root's firewall in a network of its own, and sends
// packets through it.
func compareFirewall(t *testing.T, m *Machine, mounted string) {
	var all []firewall
	for _, read := range []func() ([]firewall, error){m.firewalld, m.iptables, m.nftables, m.ufw} {
		found, err := read()
		if err != nil {
			t.Log(err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		t.Skip("no firewall is enabled")
	}
	name := m.managementNames(nil)
	root := writable(t, mounted)
	b := newBench(t, name[0])
	inside := func(args ...string) ([]byte, error) {
		return exec.Command("ip", append([]string{"netns", "exec", b.inner, "chroot", root}, args...)...).CombinedOutput()
	}
	for _, f := range all {
		var out []byte
		var err error
		switch {
		case f.Name == "ufw":
			out, err = inside("/lib/ufw/ufw-init", "start", "quiet")
		case f.Name == "nftables":
			out, err = inside("nft", "-f", "/etc/nftables.conf")
		case f.Name == "iptables":
			out, err = inside("sh", "-c", "iptables-restore </etc/iptables/rules.v4")
		default: // firewalld, which needs a bus
			var stop func()
			out, stop, err = startFirewalld(t, b, root, name[0])
			defer stop()
		}
		t.Logf("%s: %v %s", f.Name, err, out)
		if err != nil && !strings.HasPrefix(f.Name, "ufw") {
			t.Errorf("%s does not start: %v %s", f.Name, err, out)
			continue
		}
		e, p := holds(t, f.Name, b.reaches(t), f.Outcomes)
		t.Logf("%s: %d ports as said, %d possible", f.Name, e, p)
	}
}

// startFirewalld starts a bus and firewalld in a root, and puts the interface
// into the zone that its connection names, as NetworkManager would.
func startFirewalld(t *testing.T, b *bench, root, name string) ([]byte, func(), error) {
	os.MkdirAll(filepath.Join(root, "run/dbus"), 0o755)
	start := func(args ...string) *exec.Cmd {
		c := exec.Command("ip", append([]string{"netns", "exec", b.inner, "chroot", root}, args...)...)
		c.Stdout, c.Stderr = io.Discard, io.Discard
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	bus := start("dbus-daemon", "--system", "--nofork", "--nopidfile")
	daemon := start("firewalld", "--nofork", "--nopid")
	stop := func() {
		for _, c := range []*exec.Cmd{daemon, bus} {
			c.Process.Kill()
			c.Wait()
		}
	}
	inside := func(args ...string) ([]byte, error) {
		return exec.Command("ip", append([]string{"netns", "exec", b.inner, "chroot", root}, args...)...).CombinedOutput()
	}
	var out []byte
	err := errors.New("not running")
	for range 200 {
		if out, err = inside("firewall-cmd", "--state"); err == nil && strings.Contains(string(out), "running") &&
			!strings.Contains(string(out), "not running") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return out, stop, err
	}
	files, _ := filepath.Glob(filepath.Join(root, "etc/NetworkManager/system-connections/*"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if zone := regexp.MustCompile(`(?m)^zone=(.*)$`).FindStringSubmatch(string(text)); zone != nil {
			if out, err = inside("firewall-cmd", "--zone="+zone[1], "--change-interface="+name); err != nil {
				return out, stop, err
			}
		}
	}
	return nil, stop, nil
}
