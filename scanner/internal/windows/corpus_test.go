package windows

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// hiveOnly is a machine of which only one hive of HKLM is there.
func hiveOnly(t *testing.T, hive, file string) *Machine {
	data := testenv.CorpusFile(t, file)
	return OfHives(func(name string) (*registry.Hive, error) {
		if name != hive {
			return nil, errors.New(name + ": not given")
		}
		return registry.Open(context.Background(), bytes.NewReader(data), int64(len(data)), registry.Options{})
	})
}

// TestSystemsOfCorpus reads the SYSTEM hives of two real machines: a Windows 10
// in a virtual machine whose clock was set back while it was installed, and a
// Windows 7 of a domain with two fixed addresses.
func TestSystemsOfCorpus(t *testing.T) {
	for name, c := range map[string]struct {
		file                string
		services, processes int
		deleted             []string
		adapters            []string
		dhcp                verdict
		clockBack           bool
		names               []string
	}{
		"Windows 10": {
			file: "hives/fox-it__dissect.regf/tests/_data/SYSTEM.gz", services: 701, processes: 238,
			adapters: []string{
				"Bluetooth Network Connection (Bluetooth Device (Personal Area Network)): enabled",
				"{6251715d-f29b-11ec-85e0-806e6f6e6963}: removed",
				"Ethernet0 (Intel(R) 82574L Gigabit Network Connection): enabled",
				"Microsoft Kernel Debug Network Adapter: software",
			},
			dhcp: passed, clockBack: true, names: []string{"DESKTOP-M3OSHQU"},
		},
		"Windows 7": {
			file: "hives/mkorman90__regipy/regipy_tests/data/SYSTEM.xz", services: 467, processes: 159,
			deleted: []string{"mfeavfk01"},
			adapters: []string{
				"Local Area Connection 2 (Intel(R) PRO/1000 MT Network Connection): enabled",
				"Local Area Connection (Intel(R) PRO/1000 MT Network Connection): enabled",
				"{e29ac6c2-7037-11de-816d-806e6f6e6963}: removed",
			},
			dhcp: failed, names: []string{"WKS-WIN732BITA", "WKS-WIN732BITA.shieldbase.local"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := hiveOnly(t, "SYSTEM", c.file)
			services, err := m.Services()
			if err != nil {
				t.Fatal(err)
			}
			processes := 0
			var deleted []string
			for _, s := range services {
				if s.Err != nil || s.Type.OtherType || s.Start.OtherType || s.Account.OtherType || s.ImagePath.OtherType ||
					s.MayBecomeProcess() {
					t.Errorf("%+v", s)
				}
				if s.Process() {
					processes++
				}
				if s.Deleted {
					deleted = append(deleted, s.Name)
				}
			}
			if len(services) != c.services || processes != c.processes {
				t.Errorf("%d services, %d processes", len(services), processes)
			}
			if diff := cmp.Diff(c.deleted, deleted); diff != "" {
				t.Error(diff)
			}
			n, err := m.Names()
			if err != nil || n.Computer != c.names[0] ||
				!slices.Equal(slices.Compact(slices.Clone(n.DNS[:len(c.names)])), c.names) {
				t.Errorf("%+v, %v", n, err)
			}
			check(t, servicesDomainAccount, judgeAccounts(services, n, machine.Environment{}), passed)
			adapters, err := m.readAdapters()
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, a := range adapters {
				state := "off"
				switch {
				case a.Removed:
					state = "removed"
				case a.Software:
					state = "software"
				case a.Enabled:
					state = "enabled"
				}
				list = append(list, a.title()+": "+state)
			}
			if diff := cmp.Diff(c.adapters, list); diff != "" {
				t.Error(diff)
			}
			check(t, netDHCP, judgeDHCP(adapters), c.dhcp)
			if start, err := m.LastStart(); err != nil || start.ClockBack != c.clockBack || !start.Time.IsZero() {
				t.Errorf("%+v, %v", start, err)
			}
			rules, err := m.readFirewallRules(keyFirewall+`\FirewallRules`, false)
			if err != nil || len(rules) == 0 {
				t.Fatalf("%d rules, %v", len(rules), err)
			}
			for _, r := range rules { // without rules, Windows does not open these ports
				for _, p := range slices.Concat(alwaysPorts, pcoipPorts, dcvPorts) {
					if r.covers(p, firewallProfile{Name: "Public", LocalRules: true}) {
						t.Errorf("%s: %+v", p, r)
					}
				}
			}
		})
	}
}

// TestUsersOfCorpus looks through hives of real users who have set next to
// nothing: what Windows gives every user is no sign of a customized default
// profile.
func TestUsersOfCorpus(t *testing.T) {
	for file, want := range map[string][]string{
		"hives/strozfriedberg__notatin/test_data/NTUSER.DAT.gz":         nil,
		"hives/log2timeline__dfwinreg/test_data/NTUSER.DAT":             nil,
		"hives/log2timeline__plaso/test_data/NTUSER-RunTests.DAT":       nil,
		"hives/EricZimmerman__Registry/Registry.Test/Hives/NTUSER1.DAT": nil,
		"hives/Velocidex__regparser/testdata/NTUSER.DAT":                nil,
	} {
		m := hiveOnly(t, "SOFTWARE", file)
		var d defaultProfile
		for _, read := range []func(*defaultProfile, string) error{m.customConnections, m.customValues, m.customEnvironment,
			m.customPolicies} {
			if err := read(&d, `HKLM\SOFTWARE`); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		var signs []string
		for _, s := range d.Signs {
			signs = append(signs, s.What)
		}
		if diff := cmp.Diff(want, signs); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}
