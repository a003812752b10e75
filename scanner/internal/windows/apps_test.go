package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
)

// TestPlace checks how the location of a program is found in a command or path.
func TestPlace(t *testing.T) {
	expandSZ := func(name, value string) hivetest.Value {
		return hivetest.Value{Name: name, Type: uint32(registry.ExpandSZ), Data: utf16LE(value + "\x00")}
	}
	m := registryOnly(map[string][]hivetest.Value{
		`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Control\ProductOptions`: {sz("ProductType", "ServerNT")},
		`SYSTEM\ControlSet001\Control\Session Manager\Environment`: {
			expandSZ("Apps", `%AppRoot%\x`), sz("AppRoot", `D:\Apps`), sz("Literal", `%SystemRoot%`),
			expandSZ("Own", `%ProgramFiles%\Contoso`),
		},
		`SOFTWARE\Microsoft\Windows NT\CurrentVersion`: {sz("CurrentBuild", "17763"), sz("CurrentVersion", "6.3"),
			sz("SystemRoot", `C:\Windows`)},
		`SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`: nil,
		`SOFTWARE\Microsoft\Windows\CurrentVersion`:                nil,
	})
	env, err := m.Environment()
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		`C:\Program Files\Contoso\`:               "",
		`"C:\Program Files\Contoso\a.exe" -d D:\`: "",
		`%ProgramFiles%\Contoso`:                  "",
		`%Own%\a.exe`:                             "",
		`%Literal%\a.exe`:                         "",
		`C:\100%\a.exe`:                           "",
		`relative.exe`:                            "",
		`\SystemRoot\System32\drivers\a.sys`:      "",
		`C:`:                                      "",
		` `:                                       "",
		`%Apps%\a.exe`:                            `D:\Apps\x\a.exe`,
		`"%appROOT%\a b.exe"`:                     `D:\Apps\a b.exe`,
		`D:\Apps\a.exe,0`:                         `D:\Apps\a.exe`,
		`\??\E:\a.sys`:                            `E:\a.sys`,
		`\DosDevices\E:\a.sys`:                    `E:\a.sys`,
		`\\server\share\a.exe`:                    `\\server\share\a.exe`,
		`\??\UNC\server\share\a.sys`:              `\\server\share\a.sys`,
	} {
		found, err := m.place(nil, env, "x", words(value))
		got := ""
		if len(found) > 0 {
			got = found[0].Path
		}
		if got != want || err != nil {
			t.Errorf("%s lies at %q, %v", value, got, err)
		}
	}
	if found, err := m.place(nil, env, "x", words(`\Device\HarddiskVolume3\a.sys`)); err == nil || len(found) > 0 {
		t.Errorf("a driver on a device: %v, %v", found, err)
	}
}

// TestPlaceByVariable makes sure that nothing passes whose place depends on
// variables that cannot be read.
func TestPlaceByVariable(t *testing.T) {
	m := fixture(t, "path-damaged")
	env, err := m.Environment()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.place(nil, env, "x", words(`%ProgramFiles%\a.exe`)); err != nil {
		t.Errorf("a variable of Windows: %v", err)
	}
	if _, err := m.place(nil, env, "x", words(`%APPS%\a.exe`)); err == nil || !strings.Contains(err.Error(), "%APPS%") {
		t.Errorf("another variable: %v", err)
	}
}
