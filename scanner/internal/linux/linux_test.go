package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/requirement/requirementtest"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// now is the time of the scans in tests; the files are a day old.
var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// newMachine is the machine of testdata/ready.txtar with changes: files that
// are added or replaced, links in the part "links", and the paths in the part
// "remove" taken away.
func newMachine(t *testing.T, changes string) *Machine {
	t.Helper()
	base, err := txtar.ParseFile("testdata/ready.txtar")
	if err != nil {
		t.Fatal(err)
	}
	root, home := fstest.MapFS{}, fstest.MapFS{}
	for _, a := range []*txtar.Archive{base, txtar.Parse([]byte(changes))} {
		apply(t, a, root, home)
	}
	totals := func(fsys fstest.MapFS) func(string) (Totals, error) {
		return func(name string) (Totals, error) {
			var all Totals
			return all, fs.WalkDir(fsys, name, func(_ string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					info, _ := e.Info()
					all.Files, all.Size = all.Files+1, all.Size+info.Size()
				}
				return err
			})
		}
	}
	m, err := Open(Input{
		Root: Volume{FS: root, Totals: totals(root),
			Usage: func() (Usage, error) { return Usage{Size: 100, Used: 50, Available: 50}, nil }},
		Home:     Volume{FS: home, Totals: totals(home)},
		Readable: requirement.Pass("both volumes open"),
		Trail:    &requirement.Trail{},
		Now:      now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func apply(t *testing.T, a *txtar.Archive, root, home fstest.MapFS) {
	t.Helper()
	put := func(name string, f *fstest.MapFile) {
		f.ModTime = now.AddDate(0, 0, -1)
		if below, ok := strings.CutPrefix(name, "home/"); ok {
			home[below] = f
			return
		}
		root[name] = f
	}
	for _, f := range a.Files {
		lines := strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		switch f.Name {
		case "links":
			for _, line := range lines {
				name, target, ok := strings.Cut(line, " -> ")
				if !ok {
					t.Fatalf("no link: %q", line)
				}
				put(name, &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777})
			}
		case "remove":
			for _, name := range lines {
				if root[name] == nil && home[strings.TrimPrefix(name, "home/")] == nil {
					t.Fatalf("%s is not there to be removed", name)
				}
				delete(root, name)
				delete(home, strings.TrimPrefix(name, "home/"))
			}
		default:
			mode := fs.FileMode(0o644)
			if base := path.Base(path.Dir(f.Name)); base == "bin" || base == "sbin" || base == "system-generators" ||
				string(f.Data) == "x\n" {
				mode = 0o755
			}
			put(f.Name, &fstest.MapFile{Data: f.Data, Mode: mode})
		}
	}
}

// imageRules are the rules of the default rule book on such a system.
func imageRules() []requirement.Rule { return rulesOf(rules.Default) }

// rulesOf are those of a rule book.
func rulesOf(book string) []requirement.Rule {
	b, err := rules.Find(book)
	if err != nil {
		panic(err)
	}
	return b.Resolve(Entries())
}

// find judges one requirement of the default rule book.
func find(t *testing.T, m *Machine, id string) requirement.Finding {
	t.Helper()
	return findIn(t, m, rules.Default, id)
}

// findIn judges one requirement of a rule book.
func findIn(t *testing.T, m *Machine, book, id string) requirement.Finding {
	t.Helper()
	for _, c := range m.Checks(rulesOf(book)) {
		if c.ID == id {
			return requirement.Find(c.Requirement, c.Decide(t.Context()))
		}
	}
	t.Fatalf("no requirement %s", id)
	return requirement.Finding{}
}

func TestReady(t *testing.T) {
	m := newMachine(t, "")
	for _, c := range m.Checks(imageRules()) {
		f := requirement.Find(c.Requirement, c.Decide(t.Context()))
		if f.Status != requirement.Passed {
			t.Errorf("%s: %s: %s", f.ID, f.Status, f.Message)
		}
	}
	s, err := m.System()
	if err != nil || s.Name != "Ubuntu 22.04.4 LTS" || s.Hostname != "U-1ABCDEFGHIJKL" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestChanges changes one thing of the ready machine and says which
// requirement that decides, and how.
func TestChanges(t *testing.T) {
	const (
		passed, failed, warning, undetermined = requirement.Passed, requirement.Failed, requirement.Warning,
			requirement.Undetermined
	)
	for _, c := range []struct {
		name, id string
		want     requirement.Status
		says     string
		changes  string
	}{
		{"amazon linux 2", "linux.os.supported", passed, "",
			"-- etc/os-release --\nID=\"amzn\"\nVERSION_ID=\"2\"\nPRETTY_NAME=\"Amazon Linux 2\"\n"},
		{"only in usr/lib", "linux.os.supported", passed, "",
			"-- usr/lib/os-release --\nID=rocky\nVERSION_ID=8.9\n-- remove --\netc/os-release\n"},
		{"an old ubuntu", "linux.os.supported", warning, "20.04",
			"-- etc/os-release --\nID=ubuntu\nVERSION_ID=20.04\nPRETTY_NAME=\"Ubuntu 20.04\"\n"},
		{"a new red hat", "linux.os.supported", warning, "", "-- etc/os-release --\nID=rhel\nVERSION_ID=9.3\n"},
		{"no name", "linux.os.supported", undetermined, "", "-- etc/os-release --\nNAME=x\n"},

		{"a package in home", "linux.apps.outside-home", failed, "/home/app/bin/x (package skylight-agent)",
			"-- var/lib/dpkg/info/skylight-agent.list --\n/usr/lib/skylight/skylight-agent\n/home/app/bin/x\n"},
		{"a package whose folders are in home by two names", "linux.apps.outside-home", failed,
			"/opt/a/x (package skylight-agent; /opt leads to /home/opt), /home/opt",
			"-- home/opt/a/x --\nx\n-- links --\nopt -> home/opt\n" +
				"-- var/lib/dpkg/info/skylight-agent.list --\n/usr/lib/skylight/skylight-agent\n/opt/a/x\n"},
		{"a removed package in home", "linux.apps.outside-home", passed, "", "-- var/lib/dpkg/status --\nPackage: old\n" +
			"Status: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n-- var/lib/dpkg/info/old.list --\n" +
			"/home/app/x\n-- remove --\nvar/lib/dpkg/info/cloud-init.list\nvar/lib/dpkg/info/pcoip-agent-standard.list\n" +
			"var/lib/dpkg/info/skylight-agent.list\n"},
		{"a unit in home", "linux.apps.outside-home", failed, "/home/jdoe/server (unit x.service)",
			"-- home/jdoe/server --\nx\n-- etc/systemd/system/x.service --\n[Service]\nExecStart=@/home/jdoe/server server\n"},
		{"a unit in home, taken back", "linux.apps.outside-home", passed, "", "-- etc/systemd/system/x.service --\n" +
			"[Service]\nExecStart=/home/jdoe/server\n-- etc/systemd/system/x.service.d/a.conf --\n[Service]\nExecStart=\n" +
			"ExecStart=/opt/server\n"},
		{"a service account", "linux.apps.outside-home", failed, "oracle",
			"-- etc/passwd --\noracle:x:54:54::/home/oracle:/bin/bash\n-- home/oracle/db --\nx\n"},
		{"a service account without its home", "linux.apps.outside-home", passed, "",
			"-- etc/passwd --\nsyslog:x:104:110::/home/syslog:/usr/sbin/nologin\n"},
		{"a script in home", "linux.apps.outside-home", failed, "/home/jdoe/run.py", "-- home/jdoe/run.py --\nx\n" +
			"-- etc/systemd/system/x.service --\n[Service]\nExecStart=/usr/bin/python3 /home/jdoe/run.py\n"},
		{"data in home", "linux.apps.outside-home", passed, "",
			"-- etc/systemd/system/x.service --\n[Service]\nExecStart=/usr/sbin/serve --root=/home/jdoe /home/jdoe/data\n"},
		{"a link by a link", "linux.apps.outside-home", failed, "/home/jdoe/code/bin/code", "-- home/jdoe/code/bin/code " +
			"--\nx\n-- links --\nusr/local/bin/code -> /opt/code/bin/code\nopt/code -> /home/jdoe/code\n"},
		{"a desktop action", "linux.apps.outside-home", failed, "a.desktop", "-- usr/share/applications/sub/a.desktop --\n" +
			"[Desktop Entry]\nExec=/opt/a\n[Desktop Action New]\nExec=env A=b /home/jdoe/a --new\n"},
		{"a link", "linux.apps.outside-home", failed, "/usr/local/bin/code",
			"-- home/jdoe/code/bin/code --\nx\n-- links --\nusr/local/bin/code -> ../../../home/jdoe/code/bin/code\n"},
		{"a desktop file", "linux.apps.outside-home", failed, "ide.desktop",
			"-- usr/share/applications/ide.desktop --\n[Desktop Entry]\nExec=\"/home/jdoe/ide/bin/ide\" %f\n"},
		{"a PATH entry", "linux.apps.outside-home", failed, "/home/jdoe/bin",
			"-- etc/profile.d/x.sh --\nPATH=/home/jdoe/bin:$PATH\n"},
		{"no PATH entry", "linux.apps.outside-home", passed, "", "-- etc/profile.d/x.sh --\ncd /home/jdoe\n#PATH=/home/a\n"},
		{"programs of a user", "linux.apps.outside-home", warning, "/home/jdoe/.local/bin",
			"-- home/jdoe/.local/bin/tool --\n#!/bin/sh\n"},

		{"cloud-init not installed", "linux.component.cloud-init", failed, "not installed", "-- var/lib/dpkg/status --\n" +
			"Package: pcoip-agent-standard\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n-- remove --\n" +
			"var/lib/dpkg/info/cloud-init.list\nvar/lib/dpkg/info/skylight-agent.list\n"},
		{"cloud-init removed", "linux.component.cloud-init", failed, "not installed", "-- var/lib/dpkg/status --\n" +
			"Package: cloud-init\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n-- remove --\n" +
			"var/lib/dpkg/info/pcoip-agent-standard.list\nvar/lib/dpkg/info/skylight-agent.list\n"},
		{"cloud-init without its program", "linux.component.cloud-init", failed, "The program of cloud-init does not exist",
			"-- remove --\nusr/bin/cloud-init\n"},
		{"cloud-init disabled by a file", "linux.component.cloud-init", failed, "cloud-init.disabled",
			"-- etc/cloud/cloud-init.disabled --\n"},
		{"cloud-init disabled for the next kernels", "linux.component.cloud-init", warning, "etc/default/grub",
			"-- etc/default/grub --\n#x\nGRUB_CMDLINE_LINUX=\"quiet cloud-init=disabled\"\n"},
		{"cloud-init disabled in a comment", "linux.component.cloud-init", passed, "",
			"-- etc/default/grub --\n# cloud-init=disabled\n"},
		{"a unit masked", "linux.component.cloud-init", failed, "cloud-final.service is masked",
			"-- links --\netc/systemd/system/cloud-final.service -> /dev/null\n"},
		{"a unit masked by an empty file", "linux.component.cloud-init", failed, "cloud-final.service is masked",
			"-- etc/systemd/system/cloud-final.service --\n"},
		{"a unit not enabled", "linux.component.cloud-init", failed, "cloud-config.service is disabled",
			"-- remove --\netc/systemd/system/cloud-init.target.wants/cloud-config.service\n"},
		{"a preset enables nothing", "linux.component.cloud-init", failed, "cloud-config.service is disabled",
			"-- usr/lib/systemd/system-preset/90.preset --\nenable cloud-config.service\n-- remove --\n" +
				"etc/systemd/system/cloud-init.target.wants/cloud-config.service\n"},
		{"enabled by requires", "linux.component.cloud-init", passed, "",
			"-- remove --\netc/systemd/system/cloud-init.target.wants/cloud-config.service\n-- links --\n" +
				"usr/lib/systemd/system/basic.target.requires/cloud-config.service -> ../cloud-config.service\n"},
		{"no package database", "linux.component.cloud-init", undetermined, "", "-- remove --\nvar/lib/dpkg/status\n" +
			"var/lib/dpkg/info/cloud-init.list\nvar/lib/dpkg/info/pcoip-agent-standard.list\n" +
			"var/lib/dpkg/info/skylight-agent.list\n"},
		{"a damaged package database", "linux.component.cloud-init", undetermined, "",
			"-- var/lib/dpkg/status --\nnot a stanza\n"},

		{"no database, and no program", "linux.component.pcoip", failed, "The program of the PCoIP agent",
			"-- remove --\nvar/lib/dpkg/status\nvar/lib/dpkg/info/cloud-init.list\n" +
				"var/lib/dpkg/info/pcoip-agent-standard.list\nvar/lib/dpkg/info/skylight-agent.list\nusr/sbin/pcoip-agent\n"},
		{"no database, a unit in home", "linux.apps.outside-home", failed, "unit x.service", "-- home/jdoe/server --\nx\n" +
			"-- etc/systemd/system/x.service --\n[Service]\nExecStart=/home/jdoe/server\n-- remove --\nvar/lib/dpkg/status\n" +
			"var/lib/dpkg/info/cloud-init.list\nvar/lib/dpkg/info/pcoip-agent-standard.list\n" +
			"var/lib/dpkg/info/skylight-agent.list\n"},
		{"neither protocol", "linux.component.pcoip", failed, "neither", "-- var/lib/dpkg/status --\nPackage: cloud-init\n" +
			"Status: install ok installed\nArchitecture: all\nVersion: 1\n\n-- remove --\n" +
			"var/lib/dpkg/info/pcoip-agent-standard.list\nvar/lib/dpkg/info/skylight-agent.list\n"},
		{"pcoip not enabled", "linux.component.pcoip", failed, "pcoip-agent.service is disabled",
			"-- remove --\netc/systemd/system/multi-user.target.wants/pcoip-agent.service\n"},
		{"pcoip without its unit", "linux.component.pcoip", failed, "The systemd unit of the PCoIP agent does not exist",
			"-- remove --\netc/systemd/system/multi-user.target.wants/pcoip-agent.service\n" +
				"usr/lib/systemd/system/pcoip-agent.service\n"},
		{"pcoip by its other unit", "linux.component.pcoip", passed, "", "-- usr/lib/systemd/system/pcoip.service --\n" +
			"[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- links --\n" +
			"etc/systemd/system/multi-user.target.wants/pcoip.service -> /x\n-- remove --\n" +
			"etc/systemd/system/multi-user.target.wants/pcoip-agent.service\n"},
		{"dcv instead", "linux.component.pcoip", passed, "DCV", "-- var/lib/dpkg/status --\nPackage: nice-dcv-server\n" +
			"Status: install ok installed\nArchitecture: amd64\nVersion: 2023.1\n\n-- usr/bin/dcv --\nx\n" +
			"-- usr/lib/systemd/system/dcvserver.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\n" +
			"WantedBy=x\n-- links --\netc/systemd/system/multi-user.target.wants/dcvserver.service -> /x\n-- remove --\n" +
			"var/lib/dpkg/info/cloud-init.list\nvar/lib/dpkg/info/pcoip-agent-standard.list\n" +
			"var/lib/dpkg/info/skylight-agent.list\n"},

		{"skylight masked", "linux.component.skylight", failed, "masked",
			"-- links --\netc/systemd/system/skylight-agent.service -> /dev/null\n"},
		{"skylight static", "linux.component.skylight", failed, "static",
			"-- usr/lib/systemd/system/skylight-agent.service --\n[Service]\nExecStart=/usr/lib/skylight/skylight-agent\n" +
				"-- remove --\netc/systemd/system/multi-user.target.wants/skylight-agent.service\n"},
		{"skylight without its program", "linux.component.skylight", failed, "The program of the Skylight agent",
			"-- remove --\nusr/lib/skylight/skylight-agent\n"},
		{"skylight of another package", "linux.component.skylight", passed, "", "-- var/lib/dpkg/status --\n" +
			"Package: workspaces-agent\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n" +
			"-- var/lib/dpkg/info/workspaces-agent.list --\n/usr/lib/skylight\n/usr/lib/skylight/skylight-agent\n" +
			"-- remove --\nvar/lib/dpkg/info/cloud-init.list\nvar/lib/dpkg/info/pcoip-agent-standard.list\n" +
			"var/lib/dpkg/info/skylight-agent.list\n"},
		{"skylight of no package", "linux.component.skylight", failed, "not installed", "-- var/lib/dpkg/status --\n" +
			"Package: cloud-init\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n-- remove --\n" +
			"var/lib/dpkg/info/pcoip-agent-standard.list\nvar/lib/dpkg/info/skylight-agent.list\n"},

		{"antivirus", "linux.bp.antivirus", warning, "falcon-sensor.service",
			"-- usr/lib/systemd/system/falcon-sensor.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\n" +
				"WantedBy=x\n-- links --\netc/systemd/system/multi-user.target.wants/falcon-sensor.service -> /x\n"},
		{"antivirus, an instance", "linux.bp.antivirus", warning, "clamd@scan.service",
			"-- usr/lib/systemd/system/clamd@.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n" +
				"-- links --\netc/systemd/system/multi-user.target.wants/clamd@scan.service -> " +
				"/usr/lib/systemd/system/clamd@.service\n"},
		{"antivirus, off", "linux.bp.antivirus", passed, "clamd@scan.service is disabled",
			"-- usr/lib/systemd/system/clamd@scan.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\n" +
				"WantedBy=x\n"},

		{"cache of root", "linux.bp.cache", warning, "/root/.bash_history", "-- root/.bash_history --\nls\n"},
		{"an empty history", "linux.bp.cache", passed, "", "-- root/.bash_history --\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := find(t, newMachine(t, c.changes), c.id)
			if f.Status != c.want || fold.Index(f.Message, c.says) < 0 {
				t.Errorf("%s: %s, want %s that says %q: %s", f.ID, f.Status, c.want, c.says, f.Message)
			}
		})
	}
}

func TestRoot97(t *testing.T) {
	for name, c := range map[string]struct {
		usage Usage
		want  requirement.Status
	}{
		"half":                  {Usage{Used: 50, Available: 50}, requirement.Passed},
		"just below":            {Usage{Used: 969_999, Available: 30_001}, requirement.Passed},
		"the bound":             {Usage{Used: 97, Available: 3}, requirement.Failed},
		"full":                  {Usage{Used: 100, Available: 0}, requirement.Failed},
		"df rounds 96.1 up":     {Usage{Used: 961, Available: 39}, requirement.Passed},
		"one byte of many less": {Usage{Used: 97<<40 - 1, Available: 3<<40 + 1}, requirement.Passed},
		"the same, many":        {Usage{Used: 97 << 40, Available: 3 << 40}, requirement.Failed},
		"beyond 64 bits":        {Usage{Used: 97 << 54, Available: 3 << 54}, requirement.Failed},
		"nothing":               {Usage{}, requirement.Undetermined},
		"negative":              {Usage{Used: -1, Available: 9}, requirement.Undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			if o := judgeRoot97(c.usage); o.Status != c.want {
				t.Errorf("%s, want %s: %s", o.Status, c.want, o.Message)
			}
		})
	}
	for _, c := range []struct {
		used, whole int64
		want        uint64
	}{{0, 1, 0}, {1, 100, 1}, {1, 1000, 1}, {961, 1000, 97}, {97, 100, 97}, {1, 1, 100}, {1 << 62, 1 << 62, 100},
		{1<<62 - 1, 1 << 62, 100}} {
		if got := dfPercent(c.used, c.whole); got != c.want {
			t.Errorf("dfPercent(%d, %d) = %d, want %d", c.used, c.whole, got, c.want)
		}
	}
}

func TestUpdates(t *testing.T) {
	for name, c := range map[string]struct {
		newest time.Time
		want   requirement.Status
	}{
		"yesterday":       {now.AddDate(0, 0, -1), requirement.Passed},
		"60 days":         {now.Add(-recentUpdates), requirement.Passed},
		"a second more":   {now.Add(-recentUpdates - time.Second), requirement.Warning},
		"never":           {time.Time{}, requirement.Undetermined},
		"after the scan":  {now.AddDate(0, 0, 1), requirement.Passed},
		"years ago, long": {now.AddDate(-9, 0, 0), requirement.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			if o := requirement.Find(bpUpdates.Requirement,
				judgeUpdates(c.newest, now, requirement.Evidence{Source: "root"})); o.Status != c.want {
				t.Errorf("%s: %s", o.Status, o.Message)
			}
			requirementtest.Until(t, now, func(now time.Time) requirement.Outcome {
				return judgeUpdates(c.newest, now, requirement.Evidence{Source: "root"})
			})
		})
	}
}

// TestNoHome leaves the user volume out: what needs it is undetermined, and
// what does not is decided.
func TestNoHome(t *testing.T) {
	m := newMachine(t, "")
	m.tree.home.Volume = Volume{Err: errors.New("not among the images")}
	for id, want := range map[string]requirement.Status{
		"linux.apps.outside-home": requirement.Undetermined, "linux.contents.removed": requirement.Undetermined,
		"linux.component.cloud-init": requirement.Passed, "linux.os.supported": requirement.Passed,
	} {
		if f := find(t, m, id); f.Status != want {
			t.Errorf("%s: %s: %s", id, f.Status, f.Message)
		}
	}
	if _, err := m.HasUser("jdoe"); err == nil {
		t.Error("whether a user has a home is known without the volume")
	}
}

func TestHasUser(t *testing.T) {
	m := newMachine(t, "-- home/CORP/asmith/x --\n\n")
	for user, want := range map[string]bool{"jdoe": true, `CORP\jdoe`: true, "JDOE": true, "asmith": true, "bob": false,
		"": false} {
		if got, err := m.HasUser(user); got != want || err != nil {
			t.Errorf("HasUser(%q) = %t, %v", user, got, err)
		}
	}
}

func TestContents(t *testing.T) {
	const changes = `
-- etc/sudoers.d/admins --
%admins ALL=(ALL) ALL
-- etc/sudoers.d/90-cloud-init-users --
ubuntu ALL=(ALL) NOPASSWD:ALL
-- etc/security/access.conf --
# comment
-:ALL EXCEPT root:LOCAL
-- var/cache/app/data --
1234567890
-- tmp/x --
12345
`
	rowsOf := func(m *Machine) (map[string]removed, string) {
		f := find(t, m, "linux.contents.removed")
		rows := map[string]removed{}
		for _, r := range f.Details.([]removed) {
			rows[r.Path] = r
		}
		return rows, f.Message
	}
	m := newMachine(t, changes)
	rows, message := rowsOf(m)
	if !strings.Contains(message, "listed paths; --sizes counts their files. ") {
		t.Error(message)
	}
	for p, want := range map[string]removed{
		"/tmp":  {State: "present", Entries: 1, Files: 1, Bytes: 6},
		"/home": {State: "present", Entries: 1, Unsized: true, Customer: []string{"/home/jdoe/notes.txt"}},
		"/var/cache": {State: "present", Entries: 1, Unsized: true,
			Customer: []string{"/var/cache/app"}},
		"/var/tmp": {State: "absent"},
		"/etc/sudoers.d": {State: "present", Entries: 2, Files: 2, Bytes: 52,
			Customer: []string{"/etc/sudoers.d/admins"}},
		"/etc/security/access.conf": {State: "present", Files: 1, Bytes: 34,
			Customer: []string{"-:ALL EXCEPT root:LOCAL"}},
		"/var/lock/.skylight.domain-join.lock":        {State: "volatile"},
		"/var/lib/skylight/configuration-data":        {State: "absent"},
		"/etc/network/interfaces.d/50-cloud-init.cfg": {State: "absent"},
	} {
		want.Path = p
		if got := rows[p]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	f := find(t, m, "linux.contents.shredded")
	if !strings.Contains(f.Message, "shreds 2 keys") || len(f.Evidence) != 2 {
		t.Errorf("%s %v", f.Message, f.Evidence)
	}

	m = newMachine(t, changes)
	m.in.Sizes = true
	sized, message := rowsOf(m)
	if !strings.Contains(message, "listed paths, with 6 files (") {
		t.Error(message)
	}
	for p, row := range rows {
		if row.Unsized {
			row.Unsized, row.Files, row.Bytes = false, 1, map[string]int64{"/home": 6, "/var/cache": 11}[p]
		}
		if got := sized[p]; fmt.Sprint(got) != fmt.Sprint(row) {
			t.Errorf("with sizes: %+v, want %+v", got, row)
		}
	}
}

// TestEmptyHome leaves out the folders of a home that hold no file, whether all inodes
// are read for it or not.
func TestEmptyHome(t *testing.T) {
	m := newMachine(t, "-- home/jdoe/full/a/b/c --\nx\n")
	home := m.in.Home.FS.(fstest.MapFS)
	passes := 0
	totals := m.tree.home.Totals
	m.tree.home.Totals = func(name string) (Totals, error) {
		passes++
		return totals(name)
	}
	added := 0
	for _, folders := range []int{0, 1, maxEmpty - 1, maxEmpty, maxEmpty + 1} {
		for ; added < folders; added++ {
			home[fmt.Sprintf("jdoe/empty/%d", added)] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		}
		for _, m.in.Sizes = range []bool{false, true} {
			for folder, want := range map[string]bool{"/home/jdoe/full": true, "/home/jdoe/empty": false} {
				if folders == 0 && !want {
					continue
				}
				passes = 0
				if got, err := m.holdsFile(folder); got != want || err != nil {
					t.Errorf("%d folders: %s: %t, %v", folders, folder, got, err)
				}
				if all := m.in.Sizes || !want && folders+1 > maxEmpty; (passes > 0) != all {
					t.Errorf("%d folders: %s: %d passes over all inodes", folders, folder, passes)
				}
			}
		}
	}
	m.in.Sizes = false
	for files, damaged := range map[int64]bool{0: true, 1: false} { // with a file, the rest does not matter
		m.tree.home.Totals = func(string) (Totals, error) { return Totals{Files: files, Damaged: 2}, nil }
		if got, err := m.holdsFile("/home/jdoe/empty"); got != (files > 0) || (err != nil) != damaged {
			t.Errorf("%d files and unreadable entries: %t, %v", files, got, err)
		}
	}
}

func TestResolve(t *testing.T) {
	m := newMachine(t, `
-- links --
a -> b
b -> a
opt/app -> /home/jdoe
opt/rel -> ../etc/./hostname
opt/up -> ../../../../etc
home/jdoe/back -> /etc/passwd
dangling -> /nowhere/x
`)
	for p, want := range map[string]string{
		"/bin/cloud-init": "/usr/bin/cloud-init", "/opt/app/notes.txt": "/home/jdoe/notes.txt", "/opt/rel": "/etc/hostname",
		"/opt/up/passwd": "/etc/passwd", "/opt/app/back": "/etc/passwd", "/": "/", "/opt/../etc": "/etc",
	} {
		if got, err := m.tree.resolve(p, true); got != want || err != nil {
			t.Errorf("resolve(%s) = %s, %v", p, got, err)
		}
	}
	if _, err := m.tree.resolve("/a", true); !errors.Is(err, errTooManyLinks) {
		t.Errorf("a loop: %v", err)
	}
	if _, err := m.tree.resolve("/dangling", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nowhere: %v", err)
	}
	if f, err := m.tree.link("/dangling"); err != nil || f.Target != "/nowhere/x" {
		t.Errorf("%+v, %v", f, err)
	}
	// The bound itself: 40 links are followed, 41 are not.
	var chain strings.Builder
	chain.WriteString("-- links --\n")
	for i := range maxLinks + 1 {
		fmt.Fprintf(&chain, "chain/%d -> %d\n", i, i+1)
	}
	fmt.Fprintf(&chain, "-- chain/%d --\nend\n", maxLinks+1)
	m = newMachine(t, chain.String())
	if _, err := m.tree.resolve("/chain/1", true); err != nil {
		t.Errorf("%d links: %v", maxLinks, err)
	}
	if _, err := m.tree.resolve("/chain/0", true); !errors.Is(err, errTooManyLinks) {
		t.Errorf("%d links: %v", maxLinks+1, err)
	}
}

func TestParseAssignments(t *testing.T) {
	got := parseAssignments("# c\nA=1\nB='a b'\nC=\"x \\\"y\\\"\"\nexport D=e # c\nbad line\nE=\nF=a=b\n G=h\n")
	want := map[string]string{"A": "1", "B": "a b", "C": `x "y"`, "D": "e", "E": "", "F": "a=b", "G": "h"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzText(f *testing.F) {
	f.Add("[Unit]\nA=b \\\n c\n[Service]\nExecStart=-/x y\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := parseUnit(text)
		s.merge(parseUnit(text))
		parseAssignments(text)
		parseFstab(text)
		parseGrub(text)
		parseGrubEnv(text)
		parseBootEntry(text)
		parseDatasources([]byte(text))
		assignShell(text, map[string]string{}, func(string) {})
	})
}
