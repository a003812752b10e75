package windows

import (
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// TestNotDriveD shows when the user image cannot be drive D of the machine.
func TestNotDriveD(t *testing.T) {
	disk := func(letter, device string) Mount { return Mount{Letter: letter, Device: device, Disk: true} }
	cd := Mount{Letter: "D", Device: `\??\SCSI#CdRom&Ven_X#1#{53f5630d}`}
	mine := DeviceGPT([16]byte{1})
	for name, c := range map[string]struct {
		mounts   []Mount
		identity string
		not      bool
	}{
		"it is D":                      {[]Mount{disk("C", "c"), disk("D", mine)}, mine, false},
		"D is another disk":            {[]Mount{disk("D", DeviceMBR(1, 2))}, mine, true},
		"D is a CD, it is E":           {[]Mount{cd, disk("E", mine)}, mine, true},
		"D is a CD, it is nowhere":     {[]Mount{cd}, mine, true},
		"no D, it is E":                {[]Mount{disk("E", mine)}, mine, true},
		"no D, it is nowhere":          {[]Mount{disk("C", "c")}, mine, false},
		"no letters":                   {nil, mine, false},
		"no identity, D is a CD":       {[]Mount{cd}, "", false},
		"no identity, D is a disk":     {[]Mount{disk("D", mine)}, "", false},
		"it is D and E":                {[]Mount{disk("E", mine), disk("D", mine)}, mine, false},
		"another is E, D is its own":   {[]Mount{disk("E", "x"), disk("D", mine)}, mine, false},
		"it is E, D is another disk":   {[]Mount{disk("E", mine), disk("D", "x")}, mine, true},
		"it is C, which is no data":    {[]Mount{disk("C", mine)}, mine, true},
		"D is a path of the same disk": {[]Mount{{Letter: "D", Device: mine}}, mine, true},
	} {
		if why := notDriveD(c.mounts, c.identity); (why != "") != c.not {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// TestInstanceOf takes the device out of a path in MountedDevices.
func TestInstanceOf(t *testing.T) {
	for path, want := range map[string]string{
		`\??\SCSI#CdRom&Ven_X&Prod_Y#5&1&0&010000#{53f5630d-b6bf-11d0-94f2-00a0c91efb8b}`: `SCSI\CdRom&Ven_X&Prod_Y\5&1&0&010000`,
		`\??\STORAGE#Volume#{1}#0000000000100000#{53f5630d}`:                              "",
		`\??\SCSI#CdRom`: "", "": "", `MBR 00000001 offset 2`: "",
	} {
		if got := instanceOf(path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// TestComponentPath reads the key paths of Windows Installer.
func TestComponentPath(t *testing.T) {
	for s, want := range map[string]string{`D:\a.exe`: `D:\a.exe`, `D?\a.exe`: `D:\a.exe`, `02:\Software\X`: "",
		`22:\D:\x`: "", `C:\`: `C:\`, "": "", `\\server\x`: `\\server\x`} {
		if got := componentPath(s); got != want && machine.Elsewhere(got) != machine.Elsewhere(want) {
			t.Errorf("%s: %q", s, got)
		}
	}
}

func TestMayLeaveC(t *testing.T) {
	for s, want := range map[string]bool{
		`C:\a.dll`: false, `shell32.dll`: false, `%SystemRoot%\a.dll`: false, `"C:\a b.exe" -x`: false,
		`%ProgramFiles(x86)%\a.dll`: false, "": false, "%": false,
		`D:\a.dll`: true, `"D:\a.exe"`: true, `\\s\x`: true, `%APPS%\a.dll`: true, `C:\a.exe D:\x`: true,
	} {
		if got := mayLeaveC(s); got != want {
			t.Errorf("%s: %t", s, got)
		}
	}
}

// TestUnpacked and what is an installer.
func TestUnpacked(t *testing.T) {
	for name, want := range map[string]bool{"3f2a9b7c1d5e8a4602": true, "0123456789": true, "012345678": false,
		"deadbeefcafe": false, "Tools": false, "3f2a9b7c1d5e8a460g": false} {
		if got := isUnpacked(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
	for name, want := range map[string]bool{"npp.Installer.exe": true, "Setup.exe": true, "KB5034441.exe": true,
		"putty.exe": false} {
		if got := looksLikeInstaller(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
