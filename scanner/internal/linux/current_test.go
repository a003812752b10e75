package linux

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// What the present guide asks of a machine in addition to the one of 2021, or in another
// way.
const current = "current"

// dcv are the units of DCV on the ready machine, in the form of newMachine.
const dcv = `-- usr/bin/dcvserver --
x
-- usr/bin/wspdcvhostadapter --
x
-- usr/lib/systemd/system/dcvserver.service --
[Service]
ExecStart=/usr/bin/dcvserver
[Install]
WantedBy=multi-user.target
-- usr/lib/systemd/system/wspdcvhostadapter.service --
[Service]
ExecStart=/usr/bin/wspdcvhostadapter
[Install]
WantedBy=multi-user.target
`

const dcvLinks = `-- links --
etc/systemd/system/multi-user.target.wants/dcvserver.service -> /usr/lib/systemd/system/dcvserver.service
etc/systemd/system/multi-user.target.wants/wspdcvhostadapter.service -> /usr/lib/systemd/system/wspdcvhostadapter.service
`

// release is an os-release.
func release(id, version string) string {
	return fmt.Sprintf("-- etc/os-release --\nID=%s\nVERSION_ID=%q\nPRETTY_NAME=\"%s %s\"\n", id, version, id, version)
}

func TestCurrentChanges(t *testing.T) {
	t.Parallel()
	const (
		passed, failed, warning, undetermined = requirement.Passed, requirement.Failed, requirement.Warning,
			requirement.Undetermined
		os, protocol, directory = "linux.os.supported", "linux.component.protocol", "linux.ad.sssd"
	)
	for _, c := range []struct {
		name, id string
		want     requirement.Status
		says     string
		changes  string
	}{
		{"Ubuntu 22.04", os, passed, "", ""},
		{"Ubuntu 24.04", os, passed, "", release("ubuntu", "24.04")},
		{"Ubuntu 20.04", os, failed, "does not support ubuntu 20.04", release("ubuntu", "20.04")},
		{"Ubuntu 18.04", os, failed, "", release("ubuntu", "18.04")},
		{"Ubuntu 24.10", os, failed, "", release("ubuntu", "24.10")},
		{"Rocky 7", os, failed, "", release("rocky", "7.9")},
		{"Rocky 8", os, passed, "", release("rocky", "8.10")},
		{"Rocky 9", os, passed, "", release("rocky", "9")},
		{"Rocky 10", os, failed, "", release("rocky", "10.0")},
		{"Red Hat 7", os, failed, "", release("rhel", "7.9")},
		{"Red Hat 8", os, passed, "", release("rhel", "8.9")},
		{"Red Hat 9", os, passed, "", release("rhel", "9.5")},
		{"Red Hat 10", os, failed, "", release("rhel", "10.0")},
		{"Amazon Linux 2", os, warning, "on June 30, 2026", release("amzn", "2")},
		{"Amazon Linux 2023", os, failed, "", release("amzn", "2023")},
		{"Debian", os, failed, "", release("debian", "12")},
		{"no version", os, undetermined, "no VERSION_ID", "-- etc/os-release --\nID=ubuntu\nNAME=Ubuntu\n"},
		{"no name", os, undetermined, "", "-- etc/os-release --\nNAME=x\n"},
		{"no os-release", os, undetermined, "",
			"-- etc/fstab --\n# none\n-- var/lib/x --\nx\n-- remove --\netc/os-release\n"},

		{"DCV", protocol, passed, "dcvserver.service, wspdcvhostadapter.service", dcv + dcvLinks},
		{"PCoIP only, on Ubuntu", protocol, failed, "WorkSpaces use only DCV", ""},
		{"PCoIP only, on Amazon Linux 2", protocol, passed, "The PCoIP agent", release("amzn", "2")},
		{"PCoIP only, on Amazon Linux 2023", protocol, failed, "use only DCV", release("amzn", "2023")},
		{"DCV, on Amazon Linux 2", protocol, passed, "dcvserver.service", release("amzn", "2") + dcv + dcvLinks},
		{"DCV without its adapter", protocol, failed, "Not found: wspdcvhostadapter.service",
			dcv + dcvLinks + "-- remove --\nusr/lib/systemd/system/wspdcvhostadapter.service\n"},
		{"DCV without its server", protocol, failed, "Not found: dcvserver.service",
			dcv + dcvLinks + "-- remove --\nusr/lib/systemd/system/dcvserver.service\n"},
		{"nothing, on Amazon Linux 2", protocol, failed, "not installed, and the DCV server is not complete",
			release("amzn", "2") + "-- var/lib/dpkg/status --\nPackage: cloud-init\nStatus: install ok installed\n" +
				"Architecture: all\nVersion: 1\n\n-- remove --\nvar/lib/dpkg/info/pcoip-agent-standard.list\n" +
				"var/lib/dpkg/info/skylight-agent.list\n"},
		{"PCoIP disabled and DCV gone, on Amazon Linux 2", protocol, failed, "pcoip-agent.service", release("amzn", "2") +
			"-- remove --\netc/systemd/system/multi-user.target.wants/pcoip-agent.service\n"},
		{"DCV masked", protocol, warning, "wspdcvhostadapter.service", dcv + dcvLinks +
			"etc/systemd/system/wspdcvhostadapter.service -> /dev/null\n"},
		{"DCV disabled", protocol, warning, "dcvserver.service is disabled", dcv + strings.Replace(dcvLinks,
			"etc/systemd/system/multi-user.target.wants/dcvserver.service", "etc/x", 1)},
		{"DCV without [Install]", protocol, passed, "another program starts it", strings.Replace(dcv,
			"[Install]\nWantedBy=multi-user.target\n-- usr/lib/systemd/system/wsp", "-- usr/lib/systemd/system/wsp", 1) +
			strings.Replace(dcvLinks, "etc/systemd/system/multi-user.target.wants/dcvserver.service", "etc/x", 1)},
		{"DCV without its program", protocol, failed, "/usr/bin/dcvserver does not exist", dcv + dcvLinks +
			"-- remove --\nusr/bin/dcvserver\n"},
		{"DCV that systemd refuses", protocol, failed, "dcvserver.service", dcv + dcvLinks +
			"-- usr/lib/systemd/system/dcvserver.service --\n[Service]\nType=nonsense\n"},
		{"a system that is not known", protocol, undetermined, "", dcv + dcvLinks + "-- etc/os-release --\nNAME=x\n"},

		{"SSSD", directory, passed, "SSSD is configured for corp.example.com (ad)", "-- etc/sssd/sssd.conf --\n[sssd]\n" +
			"domains = corp.example.com\n[domain/corp.example.com]\nid_provider = ad\n"},
		{"SSSD in a snippet", directory, passed, "SSSD is configured for a.example, b.example.",
			"-- etc/sssd/sssd.conf --\n[sssd]\ndomains = x\n" +
				"-- etc/sssd/conf.d/10.conf --\n[sssd]\ndomains=a.example, b.example\n" +
				"-- etc/sssd/conf.d/.hidden.conf --\n[sssd]\ndomains=y\n-- etc/sssd/conf.d/readme --\n[sssd]\ndomains=z\n"},
		{"Winbind", directory, passed, "Winbind is configured for CORP.EXAMPLE.COM", "-- etc/samba/smb.conf --\n[global]\n" +
			"  security = ADS\n  realm = CORP.EXAMPLE.COM\n  workgroup = CORP\n"},
		{"Winbind without a realm", directory, passed, "Winbind is configured for CORP.",
			"-- etc/samba/smb.conf --\n[global]\nsecurity = ads\nworkgroup = CORP\n"},
		{"Samba without a domain", directory, passed, "Neither SSSD nor Winbind",
			"-- etc/samba/smb.conf --\n[global]\nsecurity = user\nrealm = X\n"},
		{"no directory", directory, passed, "Neither SSSD nor Winbind", ""},
		{"a folder", directory, undetermined, "folder", "-- etc/sssd/sssd.conf/x --\nx\n"},
	} {
		t.Run(c.id+"/"+c.name, func(t *testing.T) {
			f := findIn(t, newMachine(t, c.changes), current, c.id)
			if f.Status != c.want || !strings.Contains(f.Message, c.says) {
				t.Errorf("%s: %s; want %s with %q", f.Status, f.Message, c.want, c.says)
			}
			if (f.Status == failed || f.Status == warning) && f.Outcome.Remediation == "" {
				t.Error("no remediation")
			}
		})
	}
}

// protectedFiles are the paths of a list as files, with a unit that a package has.
func protectedFiles(id string) string {
	var text strings.Builder
	text.WriteString(release(id, "9"))
	for _, p := range protectedPaths[id].required {
		if p == "/etc/os-release" || p == skylightFolder || strings.HasSuffix(p, "skylight-agent.service") {
			continue // is there
		}
		fmt.Fprintf(&text, "-- %s --\nunit\n", strings.TrimPrefix(p, "/"))
	}
	return text.String()
}

// owned makes the unit of DCV a file of a package with a sum.
func owned(sum string) string {
	return "-- var/lib/dpkg/info/skylight-agent.list --\n/usr/lib/skylight/skylight-agent\n" +
		"/usr/lib/systemd/system/dcvserver.service\n/etc/wsp\n-- var/lib/dpkg/info/skylight-agent.md5sums --\n" + sum +
		"  usr/lib/systemd/system/dcvserver.service\n"
}

func TestProtectedPaths(t *testing.T) {
	t.Parallel()
	const (
		passed, warning, undetermined, skipped = requirement.Passed, requirement.Warning, requirement.Undetermined,
			requirement.NotApplicable
	)
	sum := md5.Sum([]byte("unit\n"))
	right := hex.EncodeToString(sum[:])
	wrong := strings.Repeat("0", len(right))
	remove := func(p string) string { return "-- remove --\n" + p + "\n" }
	for name, c := range map[string]struct {
		changes string
		want    requirement.Status
		says    string
	}{
		"Ubuntu":                  {protectedFiles("ubuntu"), passed, "All 18 protected paths exist."},
		"Rocky":                   {protectedFiles("rocky"), passed, "All 17 protected paths exist."},
		"Red Hat":                 {protectedFiles("rhel"), passed, "All 16 protected paths exist."},
		"the agent's data, Rocky": {protectedFiles("rocky") + remove("var/lib/skylight"), warning, "/var/lib/skylight"},
		"one is missing": {protectedFiles("rocky") + remove("usr/lib/systemd/system/wspdcvhostadapter.service"), warning,
			"1 protected path is missing: /usr/lib/systemd/system/wspdcvhostadapter.service."},
		"two are missing": {protectedFiles("ubuntu") + remove("etc/sssd/sssd.conf\netc/wsp"), warning,
			"2 protected paths are missing: /etc/wsp, /etc/sssd/sssd.conf."},
		"as in the package":     {protectedFiles("ubuntu") + owned(right), passed, "1 file has the content of the package."},
		"in upper case":         {protectedFiles("ubuntu") + owned(strings.ToUpper(right)), passed, "1 file has"},
		"changed":               {protectedFiles("ubuntu") + owned(wrong), warning, "dcvserver.service (package skylight"},
		"missing and changed":   {protectedFiles("ubuntu") + owned(wrong) + remove("etc/dcv"), warning, "/etc/dcv. 1"},
		"sums that are damaged": {protectedFiles("ubuntu") + owned("00"), undetermined, "no checksum and path"},
		"missing, sums damaged": {protectedFiles("ubuntu") + owned("00") + remove("etc/dcv"), warning, "Cannot read"},
		"another distribution":  {release("debian", "12"), skipped, "AWS lists no protected paths for debian 12."},
		"Amazon Linux 2023":     {release("amzn", "2023"), skipped, ""},
		"Amazon Linux 2":        {release("amzn", "2"), warning, "/etc/dhcp/dhclient.conf"},
		"an unknown system":     {"-- etc/os-release --\nNAME=x\n", undetermined, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := findIn(t, newMachine(t, c.changes), current, "linux.paths.protected")
			if f.Status != c.want || !strings.Contains(f.Message, c.says) {
				t.Errorf("%s: %s; want %s with %q", f.Status, f.Message, c.want, c.says)
			}
		})
	}
}

// The paths of PCoIP count on Amazon Linux 2 only if the machine has one of them.
func TestProtectedPCoIP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes string
		named   bool
	}{
		"PCoIP":    {release("amzn", "2"), true},
		"no PCoIP": {release("amzn", "2") + "-- remove --\nusr/sbin/pcoip-agent\n", false},
	} {
		f := findIn(t, newMachine(t, c.changes), current, "linux.paths.protected")
		named := slices.ContainsFunc(f.Details.([]protectedPath), func(p protectedPath) bool {
			return p.Path == "/etc/pcoip-agent"
		})
		if named != c.named {
			t.Errorf("%s: %s", name, f.Message)
		}
	}
}

// A path that cannot be read is not present: what is not known decides nothing but a
// warning.
func TestProtectedUnread(t *testing.T) {
	t.Parallel()
	present := protectedPath{Path: "/etc/dcv", State: protectedPresent}
	unread := protectedPath{Path: "/etc/wsp", State: protectedUnreadable, Error: "torn", cause: errors.New("torn")}
	optional := unread
	optional.Optional = true
	missing := protectedPath{
		Path: "/usr/share/X11", State: protectedMissing, evidence: absentFile("root", "usr/share/X11"),
	}
	for _, c := range []struct {
		rows []protectedPath
		want requirement.Status
	}{
		{[]protectedPath{present}, requirement.Passed},
		{[]protectedPath{present, optional}, requirement.Passed},
		{[]protectedPath{present, unread}, requirement.Undetermined},
		{[]protectedPath{present, unread, missing}, requirement.Warning},
	} {
		if o := judgeProtected(c.rows); o.Status != c.want {
			t.Errorf("%+v: %s: %s", c.rows, o.Status, o.Message)
		}
	}
}

// A file as large as the bound is compared, and a larger one only looked for.
func TestVerifyBound(t *testing.T) {
	t.Parallel()
	m := newMachine(t, owned(strings.Repeat("0", 32))+"-- usr/lib/systemd/system/dcvserver.service --\nunit\n")
	for size, want := range map[int64]string{maxVerified: protectedChanged, maxVerified + 1: protectedPresent} {
		row := protectedPath{State: protectedPresent}
		f, err := m.tree.file("/usr/lib/systemd/system/dcvserver.service")
		if err != nil {
			t.Fatal(err)
		}
		f.Size = size
		if err := m.verify("/usr/lib/systemd/system/dcvserver.service", f, &row); err != nil || row.State != want {
			t.Errorf("%d bytes: %s, %v", size, row.State, err)
		}
	}
}

// The list of the present guide has access.conf no more, and three files and a folder more.
func TestCurrentContents(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "-- etc/security/access.conf --\n-:ALL EXCEPT root:LOCAL\n"+
		"-- etc/netplan/zz-workspaces-domain.yaml --\nnetwork: {version: 2}\n"+
		"-- var/log/AmazonWorkSpaces/a.log --\nx\n-- var/log/skylight/b.log --\nx\n")
	states := func(book string) map[string]string {
		states := map[string]string{}
		for _, r := range findIn(t, m, book, "linux.contents.removed").Details.([]removed) {
			states[r.Path] = r.State
		}
		return states
	}
	now, before := states(current), states("image")
	if len(now) != 22 || len(before) != 19 {
		t.Errorf("%d paths, and %d before", len(now), len(before))
	}
	for p, want := range map[string][2]string{
		"/etc/security/access.conf":                 {"", "present"},
		"/var/log/skylight":                         {"", "present"},
		"/var/log/AmazonWorkSpaces":                 {"present", ""},
		"/etc/netplan/zz-workspaces-domain.yaml":    {"present", ""},
		"/etc/netplan/yy-workspaces-base.yaml":      {"absent", ""},
		"/etc/default/grub.d/zz-hibernation.cfg":    {"absent", ""},
		"/var/lib/AccountsService/users":            {"absent", ""},
		"/var/lib/skylight/domain-join-status":      {"absent", "absent"},
		"/var/lib/skylight/configuration-data":      {"absent", "absent"},
		"/etc/udev/rules.d/70-persistent-net.rules": {"absent", "absent"},
	} {
		if got := [2]string{now[p], before[p]}; got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
	if f := findIn(t, m, current, "linux.contents.shredded"); f.Status != requirement.Passed {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
}

// More snippets of SSSD than the bound are refused, not left out.
func TestSnippetBound(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]requirement.Status{
		maxSnippets: requirement.Passed, maxSnippets + 1: requirement.Undetermined,
	} {
		m := newMachine(t, "")
		root := m.in.Root.FS.(fstest.MapFS)
		for i := range n {
			name := fmt.Sprintf("etc/sssd/conf.d/%03d.conf", i)
			root[name] = &fstest.MapFile{Data: []byte("[sssd]\n"), Mode: fs.FileMode(0o600)}
		}
		if f := findIn(t, m, current, "linux.ad.sssd"); f.Status != want {
			t.Errorf("%d snippets: %s: %s", n, f.Status, f.Message)
		}
	}
}
