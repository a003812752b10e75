package registry

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

func dword(name string, n uint32) hivetest.Value {
	return hivetest.Value{Name: name, Type: uint32(DWord), Data: le.AppendUint32(nil, n)}
}

func linkTo(name, target string) hivetest.Key {
	return hivetest.Key{Name: name, Flags: flagSymbolicLink,
		Values: []hivetest.Value{{Name: "SymbolicLinkValue", Type: uint32(Link), Data: wide(target)}}}
}

// machineOf returns the machine whose hives have these root keys, and how often each was opened.
func machineOf(t testing.TB, hives map[string]hivetest.Key) (*Machine, map[string]int) {
	opened := map[string]int{}
	var mu sync.Mutex
	return NewMachine(func(file string) (*Hive, error) {
		mu.Lock()
		opened[file]++
		mu.Unlock()
		root, ok := hives[file]
		if !ok {
			return nil, fmt.Errorf("%s: %w: %w", file, errNoFile, fs.ErrNotExist)
		}
		return build(t, root, hivetest.Options{}).open(), nil
	}), opened
}

var errNoFile = errors.New("no such file")

func system(selected []hivetest.Value, sets ...string) hivetest.Key {
	root := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{{Name: "Select", Values: selected}, {Name: "Setup"}}}
	for _, s := range sets {
		root.Subkeys = append(root.Subkeys, hivetest.Key{Name: s, Subkeys: []hivetest.Key{
			{Name: "Services", Subkeys: keys("X")},
			{Name: "Hardware Profiles", Subkeys: []hivetest.Key{{Name: "0001", Subkeys: keys("Software")},
				linkTo("Current", `\Registry\Machine\System\CurrentControlSet\Hardware Profiles\0001`)}},
		}})
	}
	return root
}

func TestMachine(t *testing.T) {
	user := hivetest.Key{Name: "ROOT", Subkeys: keys("Environment")}
	chain := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{{Name: "Classes", Subkeys: keys(".txt", "CLSID")},
		{Name: "Wow6432Node", Subkeys: []hivetest.Key{linkTo("Classes", `\REGISTRY\MACHINE\SOFTWARE\Classes`)}},
		linkTo("round", `\Registry\Machine\Software\trip`), linkTo("trip", `\Registry\Machine\Software\round`),
		linkTo("ghost", `\Registry\Machine\Software\nothing`),
		linkTo("user", `\Registry\User\S-1-5-21-1-2-3-1001\Environment`),
		linkTo("odd", `\Device\Harddisk0`),
	}}
	for i := range maxLinks + 1 {
		chain.Subkeys = append(chain.Subkeys,
			linkTo(fmt.Sprint("chain", i), fmt.Sprintf(`\Registry\Machine\Software\chain%d`, i+1)))
	}
	chain.Subkeys = append(chain.Subkeys, hivetest.Key{Name: fmt.Sprint("chain", maxLinks+1)})
	m, opened := machineOf(t, map[string]hivetest.Key{
		"SYSTEM": system([]hivetest.Value{dword("Current", 2)}, "ControlSet001", "ControlSet002"), "SOFTWARE": chain,
		"SAM":                     {Name: "ROOT", Subkeys: []hivetest.Key{{Name: "SAM", Subkeys: keys("Domains")}}},
		"DEFAULT":                 {Name: "ROOT", Subkeys: keys("Console")},
		`HKU\S-1-5-21-1-2-3-1001`: user, `HKU\S-1-5-21-1-2-3-1001_Classes`: {Name: "ROOT", Subkeys: keys("Local Settings")},
	})
	for _, tt := range []struct {
		path string
		want string // path in the hive
		err  error
		says string
	}{
		{`HKLM\SYSTEM`, "", nil, ""},
		{`HKLM\SYSTEM\Setup`, "Setup", nil, ""},
		{`hklm\system\currentcontrolset\SERVICES\x`, `ControlSet002\Services\X`, nil, ""},
		{`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet`, `ControlSet002`, nil, ""},
		{`\Registry\Machine\SYSTEM\ControlSet001\Services`, `ControlSet001\Services`, nil, ""},
		{`HKLM\\SYSTEM\\Setup\`, "Setup", nil, ""},
		{`HKLM\SAM\SAM\Domains`, `SAM\Domains`, nil, ""},
		{`HKU\.DEFAULT\Console`, "Console", nil, ""},
		{`HKU\S-1-5-18\Console`, "Console", nil, ""},
		{`HKU\s-1-5-21-1-2-3-1001\environment`, "Environment", nil, ""},
		{`HKEY_USERS\S-1-5-21-1-2-3-1001_classes\Local Settings`, "Local Settings", nil, ""},
		{`HKCR\.txt`, `Classes\.txt`, nil, ""},
		{`HKEY_CLASSES_ROOT`, `Classes`, nil, ""},
		{`HKCC\Software`, `ControlSet002\Hardware Profiles\0001\Software`, nil, ""},
		{`HKLM\SOFTWARE\Wow6432Node\Classes\CLSID`, `Classes\CLSID`, nil, ""},
		{`HKLM\SOFTWARE\user`, "Environment", nil, ""},
		{`HKLM\SOFTWARE\chain1`, fmt.Sprint("chain", maxLinks+1), nil, ""},

		{`HKLM\SYSTEM\CurrentControlSet\Services\Y`, "", fs.ErrNotExist, `key "ControlSet002\Services\Y"`},
		{`HKLM\SECURITY\Policy`, "", errNoFile, "SECURITY"},
		{`HKU\S-1-5-21-9`, "", errNoFile, `HKU\S-1-5-21-9`},
		{`HKLM\SOFTWARE\ghost\x`, "", fs.ErrNotExist, `Software\nothing\x`},
		{`HKLM\SOFTWARE\chain0`, "", ErrCorrupt, "more than 16 symbolic links"},
		{`HKLM\SOFTWARE\round`, "", ErrCorrupt, "more than 16 symbolic links"},
		{`HKLM\SOFTWARE\odd`, "", ErrUnsupported, "Harddisk0"},
		{`HKCU\Environment`, "", ErrUnsupported, `HKU\S-1-5-21-…`},
		{`HKLM\HARDWARE\DESCRIPTION`, "", ErrUnsupported, "is in no file"},
		{`HKLM\FOO`, "", ErrUnsupported, "no hive file"},
		{`HKLM`, "", ErrUnsupported, "name one"},
		{`HKU`, "", ErrUnsupported, "name a user"},
		{``, "", ErrUnsupported, "root key"},
		{`SYSTEM\Setup`, "", ErrUnsupported, "root key"},
		{`\Registry\A\x`, "", ErrUnsupported, "root key"},
	} {
		k, err := m.Key(tt.path)
		if !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %v that says %q", tt.path, err, tt.err, tt.says)
		} else if err == nil && k.Path() != tt.want {
			t.Errorf("%s: %q, want %q", tt.path, k.Path(), tt.want)
		}
	}
	for file, n := range opened {
		if n != 1 {
			t.Errorf("%s was opened %d times", file, n)
		}
	}

	_, name, path, err := m.Resolve(`HKLM\System\CurrentControlSet\Services\nothing`)
	if name != "SYSTEM" || path != `ControlSet002\Services\nothing` || err != nil {
		t.Errorf("Resolve: %q %q %v", name, path, err)
	}
}

func TestControlSet(t *testing.T) {
	all := []hivetest.Value{dword("Current", 1), dword("Default", 2), dword("LastKnownGood", 3), dword("Failed", 4)}
	current, byDefault := Selected{SelectCurrent, true, 1}, Selected{SelectDefault, true, 2}
	lastGood := Selected{SelectLastKnownGood, true, 3}
	for _, tt := range []struct {
		name     string
		selected []hivetest.Value
		sets     []string
		want     ControlSet
		err      string
	}{
		{"current", all, []string{"ControlSet001", "ControlSet002", "ControlSet003"},
			ControlSet{Name: "ControlSet001", Chosen: current, Failed: 4}, ""},
		{"current not there", all, []string{"ControlSet002", "ControlSet003"},
			ControlSet{Name: "ControlSet002", Chosen: byDefault, PassedBy: []Selected{current}, Failed: 4}, ""},
		{"default not there", all, []string{"ControlSet003", "ControlSet005"},
			ControlSet{Name: "ControlSet003", Chosen: lastGood, PassedBy: []Selected{current, byDefault}, Failed: 4}, ""},
		{"current not written", all[1:3], []string{"ControlSet001", "ControlSet002"},
			ControlSet{Name: "ControlSet002", Chosen: byDefault, PassedBy: []Selected{{By: SelectCurrent}}}, ""},
		{"the only one", nil, []string{"controlset007", "ControlSetX"},
			ControlSet{Name: "controlset007", Chosen: Selected{By: SelectOnly},
				PassedBy: []Selected{{By: SelectCurrent}, {By: SelectDefault}, {By: SelectLastKnownGood}}}, ""},
		{"two", nil, []string{"ControlSet001", "ControlSet002"}, ControlSet{},
			`no Select\Current, no Select\Default, no Select\LastKnownGood, corrupt hive: 2 control sets`},
		{"none", all, nil, ControlSet{},
			`Select\Current is 1 and there is no ControlSet001, Select\Default is 2 and there is no ControlSet002, ` +
				`Select\LastKnownGood is 3 and there is no ControlSet003, corrupt hive: 0 control sets`},
		{"of another type", []hivetest.Value{{Name: "Current", Type: 1, Data: wide("1")}, dword("Default", 1)},
			[]string{"ControlSet001"}, ControlSet{}, "REG_SZ"},
		{"failed of another type", []hivetest.Value{dword("Current", 1), {Name: "Failed", Type: 1, Data: wide("1")}},
			[]string{"ControlSet001"}, ControlSet{Name: "ControlSet001", Chosen: current, FailedErr: ErrType}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := machineOf(t, map[string]hivetest.Key{"SYSTEM": system(tt.selected, tt.sets...)})
			got, err := m.ControlSet()
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); diff != "" {
				t.Error(diff)
			}
			const failed = `key "Select": value "Failed": registry value of another type: REG_SZ of 2 bytes instead of REG_DWORD`
			if got.FailedErr != nil && got.FailedErr.Error() != failed {
				t.Errorf("%v, want %s", got.FailedErr, failed)
			}
			if (err == nil) != (tt.err == "") || err != nil &&
				(!strings.Contains(err.Error(), tt.err) || errors.Is(err, fs.ErrNotExist)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// A Select that cannot be read is not one that is not there: no other control set is guessed.
func TestDamagedSelect(t *testing.T) {
	p := build(t, system([]hivetest.Value{dword("Current", 1), dword("Default", 2)}, "ControlSet001", "ControlSet002"),
		hivetest.Options{})
	p.cell(p.value("Select", "Current").offset)[0] = 'x'
	m := NewMachine(func(string) (*Hive, error) { return p.open(), nil })
	_, err := m.Key(`HKLM\SYSTEM\CurrentControlSet\Services`)
	isCorrupt(t, "damaged Select", err, "CurrentControlSet", "Select", "Current")
}

// A hive that is not there is not one without keys.
func TestMissingHive(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "SYSTEM", Err: fs.ErrNotExist}
	m := NewMachine(func(string) (*Hive, error) { return nil, fmt.Errorf("volume 1: %w", missing) })
	for _, path := range []string{`HKLM\SYSTEM\Setup`, `HKLM\SYSTEM\CurrentControlSet\Services`} {
		_, err := m.Key(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil || !strings.Contains(err.Error(), "volume 1: open SYSTEM") {
			t.Errorf("%s: %v", path, err)
		}
		var p *fs.PathError
		if !errors.As(err, &p) || p != missing || !errors.Is(err, missing) {
			t.Errorf("%s: %v is no longer the opener's error", path, err)
		}
	}
}

// What an opener says of a hive is what one hears of every key in it.
func TestOpenerErrors(t *testing.T) {
	calls := 0
	m := NewMachine(func(file string) (*Hive, error) { calls++; return nil, fmt.Errorf("%s: %w", file, ErrDirty) })
	for _, path := range []string{`HKLM\SYSTEM\CurrentControlSet\Control`, `HKLM\SYSTEM`, `HKCC\x`} {
		if _, err := m.Key(path); !errors.Is(err, ErrDirty) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// The facts that other tools found in two real SYSTEM hives.
func TestCorpusSystemFacts(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), "_oracle", "system_facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts map[string]map[string]any
	if err := json.Unmarshal(data, &facts); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"dissect.regf SYSTEM.gz": "hives/fox-it__dissect.regf/tests/_data/SYSTEM.gz",
		"regipy SYSTEM":          "hives/mkorman90__regipy/regipy_tests/data/SYSTEM.xz",
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMachine(func(string) (*Hive, error) { return openBytes(testenv.CorpusFile(t, file), Options{}) })
			got, want := systemFacts(t, m), facts[name]
			delete(want, "BuildVer(svcs)") // the file does not say of what
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("facts (- expected, + ours):\n%s", diff)
			}
		})
	}
}

// systemFacts reads what the oracle has of a SYSTEM hive, as JSON would decode it.
func systemFacts(t *testing.T, m *Machine) map[string]any {
	key := func(path string) *Key {
		t.Helper()
		k, err := m.Key(`HKLM\SYSTEM\` + path)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	read := func(k *Key, name string, missing any) any {
		t.Helper()
		v, err := k.Value(name)
		if errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		if err != nil {
			t.Fatal(err)
		}
		switch v.Type() {
		case DWord:
			n, err := v.Uint32()
			if err != nil {
				t.Fatal(err)
			}
			return float64(n)
		case SZ:
			s, err := v.String()
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		b, err := v.Data()
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(b[:min(len(b), 20)]) // the file has no more
	}
	subkeys := func(path string) []*Key {
		t.Helper()
		keys, err := key(path).Subkeys()
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}

	const set, absent = `CurrentControlSet\`, "<no value>"
	facts := map[string]any{}
	for name, place := range map[string][2]string{
		"ComputerName":           {set + `Control\ComputerName\ComputerName`, "ComputerName"},
		"ProductType":            {set + `Control\ProductOptions`, "ProductType"},
		"wuauserv.Start":         {set + `Services\wuauserv`, "Start"},
		"TrustedInstaller.Start": {set + `Services\TrustedInstaller`, "Start"},
		"NoAutoMount":            {set + `Services\mountmgr`, "NoAutoMount"},
		"PublicProfile.EnableFirewall": {set + `Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile`,
			"EnableFirewall"},
		"RealTimeIsUniversal":         {set + `Control\TimeZoneInformation`, "RealTimeIsUniversal"},
		"TimeZoneKeyName":             {set + `Control\TimeZoneInformation`, "TimeZoneKeyName"},
		"SystemStartOptions":          {set + `Control`, "SystemStartOptions"},
		"fDenyTSConnections":          {set + `Control\Terminal Server`, "fDenyTSConnections"},
		"PROCESSOR_ARCHITECTURE":      {set + `Control\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE"},
		"PendingFileRenameOperations": {set + `Control\Session Manager`, "PendingFileRenameOperations"},
		"Tcpip.Domain":                {set + `Services\Tcpip\Parameters`, "Domain"},
		"CSDBuildNumber":              {set + `Control\Windows`, "CSDBuildNumber"},
		"ComponentizedBuild":          {set + `Control\Windows`, "ComponentizedBuild"},
		"FullProcessInformationSID":   {set + `Control\Windows`, "FullProcessInformationSID"},
		"HibernateEnabled":            {set + `Control\Power`, "HibernateEnabled"},
		"PartMgr.SanPolicy":           {set + `Services\partmgr\Parameters`, "SanPolicy"},
		"Setup.SystemSetupInProgress": {"Setup", "SystemSetupInProgress"},
		"Setup.CmdLine":               {"Setup", "CmdLine"},
		"Setup.OOBEInProgress":        {"Setup", "OOBEInProgress"},
	} {
		facts[name] = read(key(place[0]), place[1], absent)
	}

	selected := map[string]any{}
	for _, name := range []string{"Current", "Default", "Failed", "LastKnownGood"} {
		selected[name] = read(key("Select"), name, absent)
	}
	facts["Select"] = selected
	controlSet, err := m.ControlSet()
	if err != nil {
		t.Fatal(err)
	}
	facts["ControlSet"] = controlSet.Name
	var setup, dhcp []any
	for _, k := range subkeys("Setup") {
		setup = append(setup, k.Name())
	}
	for _, k := range subkeys(set + `Services\Tcpip\Parameters\Interfaces`) {
		dhcp = append(dhcp, read(k, "EnableDHCP", nil))
	}
	facts["Setup subkeys"], facts["EnableDHCP"] = setup, dhcp
	facts["Services count"] = float64(len(subkeys(set + "Services")))
	return facts
}

// TestAtNextStart shows which control set the next start uses, and that the namespace of that moment shares the hives.
func TestAtNextStart(t *testing.T) {
	text := hivetest.Value{Name: "Default", Type: uint32(SZ), Data: wide("2")}
	for name, c := range map[string]struct {
		selected []hivetest.Value
		want     string
		err      error
	}{
		"the same":            {[]hivetest.Value{dword("Current", 1), dword("Default", 1)}, "ControlSet001", nil},
		"another":             {[]hivetest.Value{dword("Current", 1), dword("Default", 2)}, "ControlSet002", nil},
		"one that is missing": {[]hivetest.Value{dword("Current", 1), dword("Default", 3)}, "", ErrCorrupt},
		"not written":         {[]hivetest.Value{dword("Current", 1), dword("LastKnownGood", 1)}, "", ErrCorrupt},
		"written as a text":   {[]hivetest.Value{dword("Current", 1), text}, "", ErrType},
		"current not written": {[]hivetest.Value{dword("Default", 2)}, "ControlSet002", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, opened := machineOf(t, map[string]hivetest.Key{"SYSTEM": system(c.selected, "ControlSet001", "ControlSet002")})
			set, err := m.NextControlSet()
			if set.Name != c.want || !errors.Is(err, c.err) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q, %v", set.Name, err)
			}
			k, err := m.AtNextStart().Key(`HKLM\SYSTEM\CurrentControlSet\Services`)
			if !errors.Is(err, c.err) || err == nil && k.Path() != c.want+`\Services` {
				t.Errorf("%v, %v", k, err)
			}
			if _, err := m.Key(`HKLM\SYSTEM\CurrentControlSet\Services`); err != nil {
				t.Error(err)
			}
			if opened["SYSTEM"] != 1 {
				t.Errorf("the hive was opened %d times", opened["SYSTEM"])
			}
		})
	}
}
