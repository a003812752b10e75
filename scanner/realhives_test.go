//go:build linux

package scanner_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// realHive is a hive of a real machine or user, and what is so of a machine of a
// case that has it in the place of its own.
type realHive struct {
	from string // the case
	file string // in the corpus
	role scanner.Role
	path string
	// own says that the hive gets the case's MountedDevices: its disks are then
	// those of the machine that it is of.
	own bool
	// settled says that the hive is treated as complete, although it was copied
	// while it was written and its logs are missing.
	settled bool
	// differs are the findings that are otherwise than in the case, and why.
	differs map[string]differs
}

type differs struct {
	status requirement.Status
	why    string
}

// What no machine outside of AWS has.
var outside = map[string]differs{
	"win.component.pv-drivers": {requirement.Failed, "it is a VMware machine"},
	"win.component.pcoip":      {requirement.Failed, "no agent is among its services"},
	"win.component.stxhd":      {requirement.Failed, "it is not among its services"},
	"win.component.skylight":   {requirement.Failed, "it is not among its services"},
	"win.bp.firewall":          {requirement.Warning, "no rule of its firewall opens the agents' ports"},
	"win.winrm.auto":           {requirement.Failed, "Start of WinRM is 3, as Windows sets it on clients"},
}

// with returns what is so outside of AWS, and more.
func with(more map[string]differs) map[string]differs {
	all := maps.Clone(outside)
	maps.Copy(all, more)
	return all
}

// Of the laptop with Windows 7.
var windows7 = with(map[string]differs{
	"win.os.supported": {requirement.Undetermined, "ProductType is WinNT: a client, whose licence is not on the disk"},
	"win.net.dhcp":     {requirement.Failed, "both adapters have EnableDHCP 0 and an address"},
	"win.bp.antivirus": {requirement.Warning, "McShield, mfefire and mfevtp have Start 2"},
})

const (
	systemHive = "Windows/System32/config/SYSTEM"
	userHive   = "Users/jdoe/NTUSER.DAT"
)

// noGroups is so of users whom no policy was applied to.
var noGroups = map[string]differs{"win.user.domain-guests": {requirement.Undetermined, "there is no GroupMembership"}}

// dirty is what rests on a hive that was being written.
var dirty = func() map[string]differs {
	all := map[string]differs{}
	for _, id := range []string{"win.profile.exists", "win.drives.only-c-d", "win.apps.on-c", "win.powershell.execpolicy",
		"win.user.domain-guests", "win.gpo.none"} {
		all[id] = differs{requirement.Undetermined, "the sequence numbers are 5161 and 5160, and no log is there"}
	}
	return all
}()

var realHives = map[string]realHive{
	"dissect": {from: "windows10", file: "hives/fox-it__dissect.regf/tests/_data/SYSTEM.gz", role: scanner.Root,
		path: systemHive, differs: outside},
	"dissect own": {from: "windows10", file: "hives/fox-it__dissect.regf/tests/_data/SYSTEM.gz", role: scanner.Root,
		own: true, differs: outside},
	"regipy": {from: "windows7", file: "hives/mkorman90__regipy/regipy_tests/data/SYSTEM.xz", role: scanner.Root,
		path: systemHive, differs: windows7},
	"regipy own": {from: "windows7", file: "hives/mkorman90__regipy/regipy_tests/data/SYSTEM.xz", role: scanner.Root,
		own: true, differs: windows7},

	"user with WinSCP": {from: "windows10",
		file: "hives/mkorman90__regipy/regipy_tests/data/NTUSER_with_winscp.DAT.xz", role: scanner.User, path: userHive,
		differs: dirty},
	"user with WinSCP, settled": {from: "windows10",
		file: "hives/mkorman90__regipy/regipy_tests/data/NTUSER_with_winscp.DAT.xz", role: scanner.User, path: userHive,
		settled: true},
	"user with OneDrive": {from: "windows10", file: "hives/strozfriedberg__notatin/test_data/NTUSER.DAT.gz",
		role: scanner.User, path: userHive},
	"user of XP": {from: "windows10", file: "hives/Velocidex__regparser/testdata/NTUSER.DAT", role: scanner.User,
		path: userHive},
	"user with Spotify": {from: "windows7", file: "hives/log2timeline__dfwinreg/test_data/NTUSER.DAT", role: scanner.User,
		path: userHive, differs: map[string]differs{
			"win.apps.on-c": {requirement.Warning, "Uninstall has Spotify in the profile, which is copied on Windows 7"},
		}},
	"user without programs": {from: "windows10", file: "hives/EricZimmerman__Registry/Registry.Test/Hives/NTUSER1.DAT",
		role: scanner.User, path: userHive, differs: noGroups},
	"user with RunOnce": {from: "windows10", file: "hives/log2timeline__plaso/test_data/NTUSER-RunTests.DAT",
		role: scanner.User, path: userHive, differs: noGroups},
}

// TestRealHives scans machines of cases with hives of real machines in the place
// of their own. Nothing passes or fails but for a reason that is in the hive.
func TestRealHives(t *testing.T) {
	testenv.Corpus(t)
	for name, h := range realHives {
		t.Run(name, h.test)
	}
}

func (h realHive) test(t *testing.T) {
	t.Parallel()
	data := testenv.CorpusFile(t, h.file)
	m := newMachine(t, testcases.Find(t, h.from), testenv.ImageDir(t))
	m.change(t, h.role, func(dir string) {
		if h.own {
			changeHive(t, dir, "SYSTEM", func(own *hivetest.Key) {
				real, err := registry.Open(context.Background(), bytes.NewReader(data), int64(len(data)), registry.Options{})
				if err != nil {
					t.Fatal(err)
				}
				k, err := real.Root()
				if err != nil {
					t.Fatal(err)
				}
				mounted := *below(own, "MountedDevices")
				*own = copyKey(t, k)
				*below(own, "MountedDevices") = mounted
			})
			return
		}
		if h.settled {
			copy(data[8:12], data[4:8]) // the sequence numbers
			hivetest.FixChecksum(data)
		}
		path := place(t, dir, h.path, data)
		for _, log := range []string{".LOG", ".LOG1", ".LOG2"} {
			log = filepath.Join(filepath.Dir(path), spelled(t, filepath.Dir(path), filepath.Base(path)+log))
			if err := os.Remove(log); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	})
	r, err := scanner.Scan(t.Context(), m.in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]requirement.Status{}
	for _, f := range m.before.Findings {
		want[f.ID] = f.Status
	}
	for id, d := range h.differs {
		want[id] = d.status
	}
	for _, n := range r.Notices {
		t.Logf("%s: %.250s", n.Level, n.Message)
	}
	for _, f := range r.Findings {
		// Drive D of a machine that is not the case's is not the user volume given.
		if h.role == scanner.Root && !h.own && f.Status == requirement.Undetermined {
			continue
		}
		if f.Status != want[f.ID] {
			t.Errorf("%s is %s, not %s: %.400s", f.ID, f.Status, want[f.ID], f.Message)
		}
		if d, ok := h.differs[f.ID]; ok {
			t.Logf("%s: %s, because %s: %.300s", f.ID, f.Status, d.why, f.Message)
		}
	}
}
