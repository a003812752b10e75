package windows

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// registryOnly is a machine without volumes whose hives hold the given keys:
// `SYSTEM\Setup\Source OS` to its values.
func registryOnly(keys map[string][]hivetest.Value) *Machine {
	return OfHives(func(file string) (*registry.Hive, error) {
		data := hivetest.Build(hivetest.Tree(file, keys), hivetest.Options{})
		return registry.Open(context.Background(), strings.NewReader(string(data)), int64(len(data)), registry.Options{})
	})
}

func sz(name, value string) hivetest.Value {
	return hivetest.Value{Name: name, Type: uint32(registry.SZ), Data: utf16LE(value + "\x00")}
}

func multi(name string, values ...string) hivetest.Value {
	return hivetest.Value{Name: name, Type: uint32(registry.MultiSZ),
		Data: utf16LE(strings.Join(values, "\x00") + "\x00\x00")}
}

// link makes a symbolic link of the key that holds it.
func link(target string) hivetest.Value {
	return hivetest.Value{Name: "SymbolicLinkValue", Type: uint32(registry.Link), Data: utf16LE(target)}
}

func dword(name string, n uint32) hivetest.Value {
	return hivetest.Value{Name: name, Type: uint32(registry.DWord), Data: binary.LittleEndian.AppendUint32(nil, n)}
}

// fixture is the machine on the images of a case.
func fixture(t *testing.T, name string) *Machine {
	t.Helper()
	in := Input{Input: machine.Input{Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Trail: &requirement.Trail{}}}
	for _, image := range testcases.Find(t, name).Images {
		r, err := image.Open()
		if err != nil {
			t.Fatal(err)
		}
		d, err := disk.Open(t.Context(), r, image.Size, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range d.Volumes() {
			if v.Filesystem != disk.NTFS {
				continue
			}
			opened, err := volume.Supported.Open(t.Context(), v.Filesystem, v, v.Size, volume.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fsys := opened.(volume.WindowsFS)
			if _, err := machine.FindSystemRoot(fsys); err == nil {
				in.Root = machine.Volume{FS: fsys}
			} else {
				in.User = machine.Volume{FS: fsys}
			}
		}
	}
	m, err := Open(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSysprepParts(t *testing.T) {
	part := func(name string, o requirement.Outcome) sysprepPart { return sysprepPart{name, o} }
	good := part("good", requirement.Pass("all is well", evidence))
	note := part("note", requirement.Infer("there was something", evidence))
	odd := part("odd", requirement.Warn("something is odd", evidence))
	bad := part("bad", requirement.Fail("it is broken", evidence))
	worse := part("worse", requirement.Fail("it is gone", evidence))
	open := part("open", requirement.Unknown("nobody knows", evidence))
	for name, c := range map[string]struct {
		parts []sysprepPart
		want  verdict
		says  string
	}{
		"all good": {[]sysprepPart{good, good}, inferred, "2 kinds of problems were checked"},
		"a note":   {[]sysprepPart{good, note}, inferred, "checked. There was something."},
		"one odd":  {[]sysprepPart{good, odd, note}, warning, "Something is odd."},
		"one open": {[]sysprepPart{good, open}, undetermined, "Nobody knows."},
		"one open, one odd": {[]sysprepPart{open, odd}, warning,
			"Something is odd. Other parts did not pass either (details in HTML and JSON): open."},
		"one bad": {[]sysprepPart{open, bad, odd}, failed,
			"It is broken. Other parts did not pass either (details in HTML and JSON): open, odd."},
		"the same twice":        {[]sysprepPart{bad, part("again", bad.Outcome)}, failed, "It is broken."},
		"two of them, both bad": {[]sysprepPart{bad, good, worse}, failed, "It is broken. It is gone."},
	} {
		t.Run(name, func(t *testing.T) {
			o := judgeSysprep(c.parts)
			for i := range o.Evidence {
				o.Evidence[i] = evidence
			}
			check(t, sysprepCompatible, o, c.want)
			if !strings.Contains(o.Message, c.says) || strings.Count(o.Message, "It is broken.") > 1 {
				t.Errorf("%q does not say %q once", o.Message, c.says)
			}
		})
	}
}

func TestSysprepPartsOneByOne(t *testing.T) {
	with := func(s machine.Setting[uint32], name string) machine.Setting[uint32] {
		s.Evidence.Value = name
		return s
	}
	library := func(f machine.File) []sysprepProvider {
		return []sysprepProvider{{"Generalize", f, `C:\Windows\System32\x.dll`, evidence},
			{"Generalize", there, `C:\Windows\System32\y.dll`, evidence}}
	}
	service := func(start uint32) machine.Service {
		return machine.Service{Name: "x", Type: number(machine.TypeOwnProcess), Start: number(start),
			ImagePath: words("x.exe"), Key: evidence}
	}
	folder := there
	folder.Dir = true
	for name, c := range map[string]struct {
		outcome requirement.Outcome
		want    verdict
	}{
		"image state complete":        {judgeImageState(words("IMAGE_STATE_COMPLETE")), passed},
		"image state in lower case":   {judgeImageState(words("image_state_complete")), passed},
		"image state of another kind": {judgeImageState(words("IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE")), failed},
		"image state empty":           {judgeImageState(words("")), failed},
		"image state absent":          {judgeImageState(absent[string]()), failed},
		"no setup": {judgeSetup([]machine.Setting[uint32]{number(0), absent[uint32](), number(0)}),
			passed},
		"setup in progress": {
			judgeSetup([]machine.Setting[uint32]{with(number(1), "SystemSetupInProgress"), number(0)}), failed},
		"setup type": {judgeSetup([]machine.Setting[uint32]{number(0), with(number(2), "SetupType")}),
			failed},
		"states at rest":               {judgeSysprepStatus(number(7), number(2)), passed},
		"states not written":           {judgeSysprepStatus(absent[uint32](), absent[uint32]()), passed},
		"generalization not at rest":   {judgeSysprepStatus(number(3), number(2)), warning},
		"cleanup not at rest":          {judgeSysprepStatus(number(7), number(0)), warning},
		"workstation":                  {judgeRoles(words("WinNT"), machine.Service{}, nil), passed},
		"server":                       {judgeRoles(words("ServerNT"), machine.Service{}, nil), passed},
		"domain controller":            {judgeRoles(words("lanmannt"), machine.Service{}, nil), failed},
		"directory service":            {judgeRoles(words("ServerNT"), service(machine.StartAuto), nil), failed},
		"directory service not in use": {judgeRoles(words("ServerNT"), service(machine.StartDisabled), nil), passed},
		"cluster": {judgeRoles(words("ServerNT"), machine.Service{},
			map[string][]machine.Service{"Failover Clustering": {service(machine.StartAuto)}}), warning},
		"dhcp server": {judgeRoles(words("ServerNT"), machine.Service{},
			map[string][]machine.Service{"DHCP Server": {service(machine.StartDisabled)}}), warning},
		"dhcp server to be deleted": {judgeRoles(words("ServerNT"), machine.Service{},
			map[string][]machine.Service{"DHCP Server": {machine.Service{Name: "x", Deleted: true}}}), passed},
		"instances of AD LDS": {judgeRoles(words("ServerNT"), machine.Service{},
			map[string][]machine.Service{roleLDS: {service(machine.StartAuto), service(machine.StartAuto)}}), warning},
		"another service": {judgeRoles(words("ServerNT"), machine.Service{},
			map[string][]machine.Service{"Spooler": {service(machine.StartAuto)}}), passed},
		"setup done":               {judgeChildCompletion(number(childDone)), passed},
		"setup not begun":          {judgeChildCompletion(number(0)), passed},
		"setup not recorded":       {judgeChildCompletion(absent[uint32]()), passed},
		"setup not done":           {judgeChildCompletion(number(1)), warning},
		"reserved storage at rest": {judgeReservedStorage(number(0), machine.System{}), passed},
		"no reserved storage":      {judgeReservedStorage(absent[uint32](), machine.System{}), passed},
		"reserved storage in use":  {judgeReservedStorage(number(9), machine.System{}), warning},
		"not onboarded":            {judgeDefenderEndpoint(absent[uint32](), absent[string]()), passed},
		"onboarding state 0":       {judgeDefenderEndpoint(number(0), absent[string]()), passed},
		"onboarded and reset":      {judgeDefenderEndpoint(number(1), absent[string]()), inferred},
		"offboarded":               {judgeDefenderEndpoint(number(0), words("5a1d")), inferred},
		"onboarded":                {judgeDefenderEndpoint(number(1), words("5a1d")), warning},
		"bitlocker off":            {judgeBitLocker(number(0)), passed},
		"bitlocker never seen":     {judgeBitLocker(absent[uint32]()), passed},
		"bitlocker on":             {judgeBitLocker(number(1)), warning},
		"sysprep there":            {judgeSysprepProgram(there), passed},
		"sysprep missing":          {judgeSysprepProgram(missing), failed},
		"sysprep a folder":         {judgeSysprepProgram(folder), failed},
		"no providers":             {judgeProviders(nil), passed},
		"libraries there":          {judgeProviders(library(there)), passed},
		"library missing":          {judgeProviders(library(missing)), warning},
		"library a folder":         {judgeProviders(library(folder)), warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, sysprepCompatible, c.outcome, c.want) })
	}
}

func TestLastRun(t *testing.T) {
	const begin = ", Info                  SYSPRP ===          Beginning of a new sysprep run          ===\n"
	const appx = ", Error                 SYSPRP Package Contoso.Reader_4.1.0.0_x64__abcdefghijkmn was installed for a " +
		"user, but not provisioned for all users. This package will not function properly in the sysprep image.\n"
	const fault = ", Error      [0x0f0070] SYSPRP RunDlls:An error occurred; dwRet = 0x1f\n"
	system := machine.System{Installed: time.Date(2026, 1, 14, 9, 0, 0, 0, time.UTC)}
	for name, c := range map[string]struct {
		act, err string
		unread   bool
		want     verdict
		says     string
	}{
		"no logs":    {"", "", false, passed, "no error"},
		"a good run": {"2026-02-20 10:31:02" + begin, "", false, passed, "no error"},
		"a package": {"2026-02-20 10:31:02" + begin + "2026-02-20 10:31:06" + appx,
			"2026-02-20 10:31:06" + appx, false, warning,
			"1 package that is installed for a user but not provisioned stopped the last Sysprep run: " +
				"Contoso.Reader_4.1.0.0_x64__abcdefghijkmn"},
		"an error": {"2026-02-20 10:31:02" + begin, "2026-02-20 10:31:06" + fault, false, warning,
			"1 error: RunDlls:An error occurred; dwRet = 0x1f. An earlier run left Windows in a state"},
		"an error before it": {"2026-02-20 10:31:02" + begin, "2026-02-19 10:31:06" + fault, false, passed,
			"no error"},
		"an error in its own second": {"2026-02-20 10:31:02" + begin, "2026-02-20 10:31:02" + fault, false, warning,
			"1 error"},
		"an error of the image": {"", "2026-01-10 10:31:06" + fault, false, passed, "no error"},
		"an error around it":    {"", "2026-01-14 09:31:06" + fault, false, warning, "1 error"},
		"an error without time": {"2026-02-20 10:31:02" + begin, "Error SYSPRP oh; dwRet = 0x1f", false, warning,
			"1 error: oh"},
		"one log unread":           {"2026-02-20 10:31:02" + begin, "", true, undetermined, "bad sector"},
		"an error, one log unread": {"", "2026-02-20 10:31:06" + fault, true, warning, "1 error"},
	} {
		t.Run(name, func(t *testing.T) {
			var logs []sysprepLog
			for _, data := range []string{c.act, c.err} {
				l := parseLog(t, data)
				l.File = there
				logs = append(logs, l)
			}
			if c.unread {
				logs = append(logs, sysprepLog{File: there, Err: errors.New("the disk has a bad sector")})
			}
			o := judgeLastRun(lastRun{Logs: logs, System: system, AppxErr: errHive})
			check(t, sysprepCompatible, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
		})
	}
}

func TestProviderPath(t *testing.T) {
	for data, want := range map[string]string{
		`C:\Windows\System32\slc.dll,SLReArmWindows`: `C:\Windows\System32\slc.dll`,
		`C:\Windows\System32\x.dll, Function`:        `C:\Windows\System32\x.dll`,
		`"C:\Program Files\Contoso\a.dll",Clean`:     `C:\Program Files\Contoso\a.dll`,
		`iesysprep.dll,Sysprep_Cleanup_IE`:           `C:\Windows\System32\iesysprep.dll`,
		` `:                                          "",
		`,Function`:                                  "",
	} {
		if got := providerPath(data, `C:\Windows`); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}

// TestFactsOfFixtures reads the facts from the images of two cases, by what
// their authors wrote into them.
func TestFactsOfFixtures(t *testing.T) {
	for name, want := range map[string]struct {
		pending, sources, good, rearms, denied, packages int
	}{
		"ready":   {0, 0, 5, 1, 0, 2},
		"failing": {3, 1, 5, 1, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			m := fixture(t, name)
			pending := m.readPendingReboot()
			if len(pending.Errs) > 0 || len(pending.Servicing) != want.pending {
				t.Errorf("pending: %+v, %v", pending.Servicing, pending.Errs)
			}
			upgrades, err := m.Upgrades()
			if err != nil || len(upgrades.Sources) != want.sources {
				t.Errorf("upgrades: %+v, %v", upgrades, err)
			}
			certificates, err := m.readCertificates()
			good := 0
			for _, c := range certificates.List {
				if c.root() {
					good++
				}
			}
			if err != nil || good != want.good {
				t.Errorf("roots: %d, %v", good, err)
			}
			h := rearmsIn(m.SysprepLogs().all(), machine.System{})
			if h.unread != nil || len(h.rearms) != want.rearms || len(h.denied) != want.denied {
				t.Errorf("rearms: %d, denied %d, %v", len(h.rearms), len(h.denied), h.unread)
			}
			files, err := m.readSysprepFiles()
			if err != nil || files.Err != nil || !files.Program.Exists || !files.Agents[0].installed() ||
				files.Agents[1].installed() || files.Agents[0].Answers[0].Content.Blank != (name == "failing") {
				t.Errorf("sysprep: %+v, %v", files, err)
			}
			appx, err := m.Appx()
			if err != nil || appx.Fallback != "" || len(appx.Packages) != want.packages ||
				!strings.Contains(appx.Evidence[0].Note, "write-ahead log") {
				t.Errorf("appx: %+v, %v", appx, err)
			}
		})
	}
}

// TestSysprepNamesCausesOnce: parts that one damage leaves undetermined are one sentence, and any other is a
// sentence of its own.
func TestSysprepNamesCausesOnce(t *testing.T) {
	unread := func(name string) requirement.Outcome {
		return requirement.Unreadable(fmt.Errorf("%s: %w", name,
			&fact.ReadError{Volume: "root", Path: name[:1], Err: kind.Corrupt}))
	}
	part := func(o requirement.Outcome) sysprepPart { return sysprepPart{o.Message, o} }
	o := judgeSysprep([]sysprepPart{part(unread("a1")), part(unread("b1")), part(unread("a2")),
		part(requirement.Unknown("A log is missing.")), part(unread("b1"))})
	want := "a1: root volume: a: corrupt. b1: root volume: b: corrupt. A log is missing."
	if o.Status != requirement.Undetermined || o.Message != want {
		t.Errorf("%s: %q, want %q", o.Status, o.Message, want)
	}
}

// TestSysprepFacts reads the facts that the checks above assume.
func TestSysprepFacts(t *testing.T) {
	keys := map[string][]hivetest.Value{
		`SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State`: {sz("ImageState", "IMAGE_STATE_UNDEPLOYABLE")},
		`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Control\ProductOptions`:  {sz("ProductType", "LanmanNT")},
		`SYSTEM\ControlSet001\Control\BitLockerStatus`: {dword("BootStatus", 1)},
		`SYSTEM\Setup`: {dword("SystemSetupInProgress", 0),
			dword("OOBEInProgress", 1)},
		`SYSTEM\Setup\Status\SysprepStatus`: {dword("GeneralizationState", 3), dword("CleanupState", 2)},
		`SYSTEM\Setup\Source OS (Updated on 2/3/2025 10:11:12)`: {sz("ProductName", "Windows 10 Pro"),
			sz("CurrentBuild", "18363")},
		`SYSTEM\Setup\Upgrade`:                   nil,
		`SYSTEM\Setup\AllowStart`:                nil,
		`SYSTEM\ControlSet001\Services\ADAM_app`: {sz("ImagePath", "x")},
	}
	m := registryOnly(keys)
	for name, c := range map[string]struct {
		outcome requirement.Outcome
		want    requirement.Status
		says    string
	}{
		"image state": {m.decideImageState(), requirement.Failed, "IMAGE_STATE_UNDEPLOYABLE"},
		"setup":       {m.decideSetup(), requirement.Failed, "OOBEInProgress is 1"},
		"status":      {m.decideSysprepStatus(), requirement.Warning, "GeneralizationState is 3 instead of 7"},
		"roles":       {m.decideRoles(), requirement.Failed, "domain controller"},
		"bitlocker":   {m.decideBitLocker(), requirement.Warning, "BootStatus is 1"},
		"program":     {m.decideSysprepProgram(), requirement.Undetermined, "not given"},
	} {
		if c.outcome.Status != c.want || !strings.Contains(c.outcome.Message, c.says) {
			t.Errorf("%s: %s: %s", name, c.outcome.Status, c.outcome.Message)
		}
		if cmp.Or(c.outcome.Status, requirement.Undetermined) != requirement.Undetermined && len(c.outcome.Evidence) == 0 {
			t.Errorf("%s: no evidence", name)
		}
	}
	u, err := m.readUpgrades()
	if err != nil || len(u.Sources) != 1 || len(u.Others) != 1 || u.Err == nil {
		t.Errorf("upgrades without a root volume: %+v, %v", u, err)
	}
	if got := u.Sources[0].From; got != "Windows 10 Pro build 18363" {
		t.Errorf("from %q", got)
	}
}

// Every requirement here is undetermined while nothing can be read.
func TestNothingCanBeRead(t *testing.T) {
	m := OfHives(func(file string) (*registry.Hive, error) {
		return nil, fmt.Errorf("%s cannot be read", file)
	})
	for _, e := range []entry{rebootPending, upgradeInPlace, sysprepFile, sysprepCompatible, rearmNonzero,
		appxStagedPackages, componentCertificates} {
		m.Terms = termsOf(rules.Default, e.ID)
		o := e.Judge(m)
		check(t, e, o, undetermined)
		if !strings.Contains(o.Message, "cannot be read") && !strings.Contains(o.Message, "not given") {
			t.Errorf("%s: %s", e.ID, o.Message)
		}
	}
}
