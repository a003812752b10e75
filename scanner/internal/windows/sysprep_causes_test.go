package windows

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const beginOfRun = "2026-02-20 10:31:02, Info                  SYSPRP ===          Beginning of a new sysprep run    " +
	"      ===\n"

// mrt are lines that Sysprep writes on servers whose Windows Defender is not
// what it expects, and then ends well.
const mrt = `2026-02-20 10:31:20, Error                 SYSPRP MRTGeneralize:98 - ERROR: Failed ConnectServer
2026-02-20 10:31:21, Error                 SYSPRP MRTGeneralize:107 - ERROR: Failed DeleteInstance AntiSpywareProduct.instanceGuid="{D68DDC3A-831F-4FAE-9E44-DA132C1ACF46}" hr=2147749904
`

func logsOf(t *testing.T, act, errs string) []sysprepLog {
	t.Helper()
	var logs []sysprepLog
	for _, data := range []string{act, errs} {
		l := parseLog(t, data)
		l.File = there
		logs = append(logs, l)
	}
	return logs
}

// TestRunThatEndedWell: its success line, or the tag, settles the errors.
func TestRunThatEndedWell(t *testing.T) {
	const tagged = "2026-02-20 10:31:40, Info       [0x0f007d] SYSPRP FCreateTagFile:Successfully created tag file " +
		"C:\\Windows\\System32\\Sysprep\\Sysprep_succeeded.tag\n"
	at := func(day, hour, minute int) machine.File {
		f := there
		f.Modified = time.Date(2026, 2, day, hour, minute, 0, 0, time.UTC)
		return f
	}
	noZone := errors.New("the zone is not known")
	for name, c := range map[string]struct {
		act, err string
		tag      machine.File
		zone     time.Duration
		zoneErr  error
		want     verdict
	}{
		"no sign of an end": {beginOfRun, mrt, missing, 0, nil, warning},
		"a line of success": {beginOfRun + mrt + tagged, mrt, missing, 0, nil, inferred},
		"an error behind it": {beginOfRun + mrt + tagged + strings.ReplaceAll(mrt, "10:31:2", "10:32:2"), mrt,
			missing, 0, nil, warning},
		"success of an earlier run": {beginOfRun + mrt + tagged + strings.ReplaceAll(beginOfRun+mrt, "2026-02-20",
			"2026-02-21"), mrt, missing, 0, nil, warning},
		"a tag of the run":          {beginOfRun, mrt, at(20, 10, 32), 0, nil, inferred},
		"a tag from before the run": {beginOfRun, mrt, at(20, 10, 30), 0, nil, warning},
		"a tag between begin and error": {beginOfRun, strings.ReplaceAll(mrt, "10:31:2", "10:41:2"), at(20, 10, 35), 0, nil,
			warning},
		"a tag of an older run":         {beginOfRun, mrt, at(14, 9, 10), 0, nil, warning},
		"a tag of a later day":          {beginOfRun, mrt, at(22, 9, 10), 0, noZone, inferred},
		"a tag, and no zone":            {beginOfRun, mrt, at(20, 10, 32), 0, noZone, warning},
		"a tag in another zone":         {beginOfRun, mrt, at(20, 18, 32), 8 * time.Hour, nil, inferred},
		"a tag too early for the zone":  {beginOfRun, mrt, at(20, 10, 32), 8 * time.Hour, nil, warning},
		"a tag east of Greenwich":       {beginOfRun, mrt, at(20, 9, 32), -time.Hour, nil, inferred},
		"a tag, no line of a beginning": {"", mrt, at(20, 10, 32), 0, nil, inferred},
		"a tag, and an error later":     {"", mrt, at(20, 10, 31), 0, nil, warning},
	} {
		t.Run(name, func(t *testing.T) {
			o := judgeLastRun(lastRun{Logs: logsOf(t, c.act, c.err), Tag: c.tag, Zone: c.zone, ZoneErr: c.zoneErr,
				AppxErr: errHive})
			for i := range o.Evidence {
				o.Evidence[i] = evidence
			}
			check(t, sysprepCompatible, o, c.want)
		})
	}
}

// TestFailedRun: the lines are as public reports quote them.
func TestFailedRun(t *testing.T) {
	const (
		appx = `2026-02-20 10:31:06, Error                 SYSPRP Package Contoso.Reader_4.1.0.0_x64__abc was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image.
2026-02-20 10:31:06, Error                 SYSPRP Failed to remove apps for the current user: 0x80073cf2.
2026-02-20 10:31:06, Error                 SYSPRP Exit code of RemoveAllApps thread was 0x3cf2.
2026-02-20 10:31:06, Error                 SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll; dwRet = 0x3cf2
2026-02-20 10:31:06, Error      [0x0f0070] SYSPRP RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x3cf2
2026-02-20 10:31:06, Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep generalize internal providers; hr = 0x80073cf2
`
		reserved = `2026-02-20 10:31:06, Error                 SYSPRP Sysprep_Clean_Validate_Opk: Audit mode cannot be turned on if reserved storage is in use. An update or servicing operation may be using reserved storage.; hr = 0x800F0975
2026-02-20 10:31:06, Error                 SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll; dwRet = 0x975
2026-02-20 10:31:06, Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep cleanup internal providers; hr = 0x80070975
`
		sense = `2026-02-20 10:31:06, Error                 SYSPRP ActionPlatform::DeleteValue: Error from RegDeleteValueW for value senseGuid under key HKEY_LOCAL_MACHINE\Software\Microsoft\Windows Advanced Threat Protection; dwRet = 0x5
2026-02-20 10:31:06, Error      [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep generalize internal providers; hr = 0x80070005
`
		state = `2026-02-20 10:31:06, Error      [0x0f0073] SYSPRP RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 31
2026-02-20 10:31:06, Error      [0x0f00ae] SYSPRP WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f
`
	)
	line := func(text string) string { return "2026-02-20 10:31:06, Error      [0x0f0082] SYSPRP " + text + "\n" }
	installed := Appx{Packages: []appxPackage{pkg("Contoso.Reader_4.1.0.0_x64__abc", appxUser{sidUser, appxInstalled})}}
	provisioned := Appx{Provisioned: map[string]appxVersion{"contoso.reader_abc": {4}}, Packages: installed.Packages}
	for name, c := range map[string]struct {
		lines string
		appx  Appx
		build int
		want  verdict
		says  string
		fix   string
	}{
		"a package": {appx, installed, 19045, warning,
			"1 package that is installed for a user but not provisioned stopped the last Sysprep run: " +
				"Contoso.Reader_4.1.0.0_x64__abc",
			"Remove-AppxPackage -AllUsers -Package Contoso.Reader_4.1.0.0_x64__abc"},
		"a package, Server 2016": {appx, installed, 14393, warning, "",
			"Run Remove-AppxPackage -Package Contoso.Reader_4.1.0.0_x64__abc in PowerShell, signed in as each user"},
		"a package that is gone": {appx, Appx{}, 19045, inferred,
			"removed or provisioned now: Contoso.Reader_4.1.0.0_x64__abc", ""},
		"a package that is provisioned": {appx, provisioned, 19045, inferred, "removed or provisioned now", ""},
		"a package that is gone, and more": {appx + reserved, Appx{}, 19045, warning, "Reserved storage was in use.",
			"DISM /Online /Set-ReservedStorageState"},
		"a package that is there, and more": {appx + reserved, installed, 19045, warning, "Contoso.Reader",
			"-Package Contoso.Reader"},
		"a package without a name": {line("RunDlls:An error occurred; dwRet = 0x3cf2"), Appx{}, 19045,
			warning, "installed for a user but not provisioned", "Get-AppxProvisionedPackage"},
		"reserved storage": {reserved, Appx{}, 19045, warning, "Reserved storage was in use.",
			"DISM /Online /Set-ReservedStorageState /State:Disabled"},
		"reserved storage, before Windows 10 2004": {reserved, Appx{}, 18363, warning, "Reserved storage was in use.",
			"Install all pending Windows updates"},
		"reserved storage, low half": {line("RunDlls:An error occurred; dwRet = 0x975"), Appx{}, 22631, warning,
			"Reserved storage was in use.", "DISM"},
		"reserved storage, shown otherwise": {
			"02-07-2022 14:24:15.000 SYSPRP Sysprep_Clean_Validate_Opk: Audit mode cannot be turned on if reserved storage is " +
				"in use.; hr = 0x800F0975\n", Appx{}, 22631, warning, "Reserved storage was in use.", "DISM"},
		"bitlocker": {
			line("BitLocker-Sysprep: BitLocker is on for the OS volume. Turn BitLocker off to run Sysprep. (0x80310039)"),
			Appx{}, 19045, warning, "BitLocker was on.", "manage-bde -off C:"},
		"bitlocker's library": {
			line(`ActionPlatform::LaunchModule: Failure occurred while executing 'ValidateBitLockerState' from C:\Windows\System32\BdeSysprep.dll; dwRet = 0x80310039`), Appx{}, 19045, warning, "BitLocker was on.", "manage-bde -off C:"},
		"defender for endpoint": {sense, Appx{}, 19045, warning, "senseGuid", "Offboard"},
		"appx service disabled": {
			line(`ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll; dwRet = 0x422`), Appx{}, 26100, warning, "deployment service is disabled", "AppXSvc"},
		"rearm": {
			line(`WinMain:Hit failure while processing sysprep generalize providers; hr = 0xc004d307`), Appx{}, 7601, warning,
			"The rearm count was 0.", "win.rearm.nonzero"},
		"rearm in decimal": {
			line(`LaunchDll: Failure occurred while executing 'C:\Windows\System32\slc.dll, SLReArmWindows', returned error code -1073425657`), Appx{}, 7601, warning, "The rearm count was 0.", "win.rearm.nonzero"},
		"desired state configuration": {
			line(`LaunchDll:Failure occurred while executing 'DscCore.dll,SysPrep_Cleanup', returned error code 0x2`), Appx{},
			17763, warning, "Desired State Configuration", "Remove-DscConfigurationDocument"},
		"boot configuration": {
			line(`LaunchDll:Failure occurred while executing 'C:\Windows\System32\spbcd.dll,Sysprep_Generalize_Bcd', returned error code 2[gle=0x00000012]`), Appx{}, 7601, warning, "BCD", "bcdboot"},
		"event logs elsewhere": {
			line(`ActionPlatform::LaunchModule: Failure occurred while executing 'EvtIntSysprepCleanup' from C:\Windows\System32\wevtapi.dll; dwRet = 0x3`), Appx{}, 17763, warning, "event log", "winevt"},
		"a provider that is missing": {
			line(`LaunchDll:Failure occurred while executing 'C:\Program Files\Contoso\prep.dll,Generalize', returned error code 0x7e`), Appx{}, 17763, warning, "missing", `C:\Program Files\Contoso\prep.dll`},
		"a provider of another kind": {
			line(`LaunchDll:Failure occurred while executing 'C:\Program Files\Contoso\prep.dll,Generalize', returned error code 0xc1`), Appx{}, 17763, warning, "architecture", `C:\Program Files\Contoso\prep.dll`},
		"access denied": {line(
			"WinMain:Hit failure while processing sysprep generalize providers; hr = 0x80070005"), Appx{}, 17763, warning,
			"Access was denied", "Administrator"},
		"element not found": {line(
			"WinMain:Hit failure while processing sysprep generalize providers; hr = 0x80070490"), Appx{}, 17763, warning,
			"component store", "RestoreHealth"},
		"path not found": {line(
			"WinMain:Hit failure while processing sysprep generalize providers; hr = 0x80070003"), Appx{}, 17763, warning,
			"A file or folder is missing", "Restore"},
		"bad format": {line(
			"WinMain:Hit failure while processing sysprep generalize providers; hr = 0x8007000b"), Appx{}, 17763, warning,
			"wrong format", "architecture"},
		"invalid state": {state, Appx{}, 17763, warning, "Sysprep does not run", "GeneralizationState to 7"},
		"unspecified": {line(
			"WinMain:Hit failure while processing sysprep generalize providers; hr = 0x80004005"), Appx{}, 17763, warning,
			"does not name its cause", "setupact.log"},
		"windows defender": {mrt, Appx{}, 17763, warning, "Windows Defender", "WinDefend"},
		"unknown": {line("WinMain:Hit failure; hr = 0x80131234"), Appx{}, 17763, warning,
			"1 error: WinMain:Hit failure", "Find the cause"},
		"known in the second line": {line("RunDlls:oh; dwRet = 0x12345") + sense, Appx{}, 17763, warning,
			"Defender for Endpoint", "Offboard"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.appx
			a.Evidence = []requirement.Evidence{evidence}
			o := judgeLastRun(lastRun{Logs: logsOf(t, beginOfRun, c.lines), Tag: missing, System: machine.System{Build: c.build},
				Appx: a})
			check(t, sysprepCompatible, o, c.want)
			if !strings.Contains(o.Message, c.says) || !strings.Contains(o.Remediation, c.fix) {
				t.Errorf("%q does not say %q, or %q not %q", o.Message, c.says, o.Remediation, c.fix)
			}
			if c.build < build2004 && strings.Contains(o.Remediation, "ReservedStorageState") {
				t.Errorf("a command that build %d has not: %q", c.build, o.Remediation)
			}
		})
	}
}

func TestRemovePackagesIsBounded(t *testing.T) {
	names := make([]string, maxFixPackages+3)
	for i := range names {
		names[i] = "Contoso.X_1.0.0.0_x64__abc"
	}
	if fix := removePackages(machine.System{Build: 19045}, names); strings.Count(fix,
		"Remove-AppxPackage") != maxFixPackages || !strings.Contains(fix, "the same for 3 more") {
		t.Error(fix)
	}
}
