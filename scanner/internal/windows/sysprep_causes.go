package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// build2004 is where DISM got the command that turns reserved storage off.
const build2004 = 19041

// build1709 is where Remove-AppxPackage can remove a package for every user.
const build1709 = 16299

// Error codes that Sysprep's logs are known for. A log holds each as an HRESULT
// (hr =) or as its low half (dwRet =).
const (
	codeFileNotFound     = 0x80070002
	codePathNotFound     = 0x80070003
	codeAccessDenied     = 0x80070005
	codeBadFormat        = 0x8007000b
	codeGeneralFailure   = 0x8007001f // 31: Sysprep refuses to run
	codeModuleNotFound   = 0x8007007e
	codeProcNotFound     = 0x8007007f
	codeBadImage         = 0x800700c1
	codeServiceDisabled  = 0x80070422
	codeElementNotFound  = 0x80070490
	codePackageFailed    = 0x80073cf2
	codeReservedStorage  = 0x800f0975
	codeBitLockerOn      = 0x80310039
	codeUnspecified      = 0x80004005
	codeMaxRearmsReached = 0xc004d307
)

// facilityWin32 is the upper half of an HRESULT that is made from a Win32 error.
const facilityWin32 = 0x8007

// sameCode says whether a code of a log is the known one, written as an HRESULT
// or as its low half. DISM's 0x800F0975 is passed on as 0x975 and 0x80070975.
func sameCode(logged, known uint32) bool {
	return logged == known || (logged>>16 == 0 || logged>>16 == facilityWin32) && logged&0xffff == known&0xffff &&
		(known>>16 == facilityWin32 || known == codeReservedStorage)
}

// sysprepCause is a known reason for which Sysprep stops.
type sysprepCause struct {
	words    []string // one of which is in the line, compared without case; none: any line
	codes    []uint32 // one of which is in the line; none: any
	says     string   // what went wrong, for a message
	fix      func(s machine.System, line logLine) string
	explains string // the service's own code for it, "" if it has none
}

func (c sysprepCause) is(line logLine) bool {
	text := strings.ToLower(line.Text)
	return (len(c.words) == 0 || slices.ContainsFunc(c.words,
		func(w string) bool { return strings.Contains(text, w) })) &&
		(len(c.codes) == 0 || slices.ContainsFunc(line.Codes, func(logged uint32) bool {
			return slices.ContainsFunc(c.codes, func(known uint32) bool { return sameCode(logged, known) })
		}))
}

// always is a remedy that is the same on every version of Windows.
func always(text string) func(machine.System, logLine) string {
	return func(machine.System, logLine) string { return text }
}

const runAgain = " What the log says stays there until Sysprep runs again."

// sysprepCauses are tried in this order on all lines of a run: what names the
// component comes before what only has a code. A run has many lines that repeat
// the code of the first one.
var sysprepCauses = []sysprepCause{
	{codes: []uint32{codeReservedStorage}, says: "reserved storage was in use", fix: fixReservedStorage,
		explains: codeNameReservedStorage},
	{words: []string{"reserved storage"}, says: "reserved storage was in use", fix: fixReservedStorage,
		explains: codeNameReservedStorage},
	{words: []string{"bitlocker", "bdesysprep.dll"}, says: "BitLocker was on", fix: always(fixBitLocker)},
	{codes: []uint32{codeBitLockerOn}, says: "BitLocker was on", fix: always(fixBitLocker)},
	{codes: []uint32{codeMaxRearmsReached}, says: "the rearm count was used up",
		fix: always("Windows cannot be rearmed again: see win.rearm.nonzero.")},
	{words: []string{"senseguid", "windows advanced threat protection", "senseclient"},
		says: "Defender for Endpoint protects its identity", fix: always(fixDefenderEndpoint)},
	{words: []string{"appxsysprep.dll", "appx"}, codes: []uint32{codeServiceDisabled},
		says: "the AppX deployment service is disabled",
		fix: always(`Set the service AppXSvc to Manual: reg add HKLM\SYSTEM\CurrentControlSet\Services\AppXSvc /v ` +
			`Start /t REG_DWORD /d 3 /f, and restart.` + runAgain)},
	{codes: []uint32{codePackageFailed}, says: "an AppX package is installed for a user only",
		fix: fixUnnamedPackage},
	{words: []string{"dsccore.dll"}, says: "the clean-up of Desired State Configuration failed",
		fix: always("Microsoft does not support Sysprep on a computer that Desired State Configuration has " +
			"configured. Remove its documents (Remove-DscConfigurationDocument -Stage Current, Pending, Previous), " +
			"and run Sysprep again; if it fails again, build the image from a WorkSpace that DSC did not configure.")},
	{words: []string{"spbcd.dll", "sysprep_generalize_bcd", "sysprep_specialize_bcd"},
		says: "the boot configuration (BCD) could not be generalized",
		fix: always("Make sure that the system partition is there, is marked as active (or is the EFI system " +
			"partition) and holds the BCD store: bcdedit /enum all has to work. bcdboot C:\\Windows makes the store " +
			"again." + runAgain)},
	{words: []string{"wevtapi.dll", "eventlog"}, codes: []uint32{codeFileNotFound, codePathNotFound},
		says: "an event log is kept in a folder that does not exist",
		fix: always(`Put the event logs back into C:\Windows\System32\winevt\Logs (wevtutil set-log LOG ` +
			`/logfilename:PATH, and remove the policy that moves them), restart, and run Sysprep again.`)},
	{words: []string{"failure occurred while executing"},
		codes: []uint32{codeFileNotFound, codePathNotFound, codeModuleNotFound, codeProcNotFound},
		says:  "a library that Sysprep calls is missing, or lacks something", fix: fixProvider},
	{words: []string{"failure occurred while executing"}, codes: []uint32{codeBadFormat, codeBadImage},
		says: "a library that Sysprep calls is of another architecture, or damaged", fix: fixProvider},
	{codes: []uint32{codeAccessDenied}, says: "access was denied", fix: fixAccess},
	{codes: []uint32{codeElementNotFound},
		says: "something that the registry or the component store names is missing",
		fix: always("Repair Windows: DISM.exe /Online /Cleanup-Image /RestoreHealth, then sfc /scannow, and " +
			"restart." + runAgain)},
	{codes: []uint32{codePathNotFound, codeFileNotFound}, says: "a file or folder is missing",
		fix: always("Put back the file or folder that the line in setuperr.log names, or correct the setting that " +
			"names it." + runAgain)},
	{codes: []uint32{codeBadFormat, codeBadImage}, says: "a program or file has a wrong format",
		fix: always("Reinstall the program that the line in setuperr.log names for the architecture of this Windows." +
			runAgain)},
	{codes: []uint32{codeGeneralFailure},
		says: "an earlier run left Windows in a state in which Sysprep refuses to run",
		fix: always(fmt.Sprintf(
			`Microsoft advises to build the image from another WorkSpace. By experience it is enough to mend what `+
				`stopped the earlier run and to set GeneralizationState to %d and CleanupState to %d below `+
				`HKLM\SYSTEM\Setup\Status\SysprepStatus.`, generalizationDone, cleanupDone))},
	{codes: []uint32{codeUnspecified}, says: "an error that says nothing of its cause",
		fix: always("Look at the lines of setupact.log right before the error: they name the component that failed." +
			runAgain)},
	{words: []string{"mrtgeneralize"},
		says: "the clean-up of Windows Defender had errors, which alone rarely stop Sysprep",
		fix: always("Start the services of Windows Defender and of the Security Center (WinDefend, wscsvc) if they " +
			"are installed, and run Sysprep again: with its success the lines no longer count.")},
}

// codeNameReservedStorage is the service's name for reserved storage that is in
// use (API reference, ErrorDetails).
const codeNameReservedStorage = "ReservedStorageInUse"

// causeOf finds the first known cause among the lines of a run.
func causeOf(lines []logLine) (sysprepCause, logLine, bool) {
	for _, c := range sysprepCauses {
		for _, line := range lines {
			if c.is(line) {
				return c, line, true
			}
		}
	}
	return sysprepCause{}, logLine{}, false
}

// fixReservedStorage: the command is of Windows 10 2004 and later.
func fixReservedStorage(s machine.System, _ logLine) string {
	fix := "Install every Windows update that is waiting, and restart until none is left: an update that is not " +
		"finished uses reserved storage."
	if s.Build == 0 || s.Build >= build2004 {
		fix += " Then turn it off: DISM.exe /Online /Set-ReservedStorageState /State:Disabled, and restart."
	}
	return fix
}

const fixBitLocker = "Turn BitLocker off (manage-bde -off C:), wait until manage-bde -status C: says that the " +
	"volume is fully decrypted, and restart."

const fixDefenderEndpoint = `Offboard the computer from Microsoft Defender for Endpoint before the image is made ` +
	`(the offboarding package of the Defender portal), restart, and delete the value senseGuid of ` +
	`HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection if it is still there. Onboard the WorkSpaces that ` +
	`are made from the image.`

// fixUnnamedPackage is for a log that does not name the package.
func fixUnnamedPackage(s machine.System, _ logLine) string {
	return "Find the packages that are installed for a user and not provisioned: compare Get-AppxPackage -AllUsers " +
		"with Get-AppxProvisionedPackage -Online. " + removePackages(s, []string{"FULLNAME"})
}

// maxFixPackages is how many packages a remedy names; the details have all.
const maxFixPackages = 10

// removePackages says how packages are removed that are named by their full
// name, which Get-AppxPackage -Name does not take.
func removePackages(s machine.System, names []string) string {
	more := ""
	if len(names) > maxFixPackages {
		more = fmt.Sprintf(" (and for the %d others)", len(names)-maxFixPackages)
		names = names[:maxFixPackages]
	}
	var commands []string
	option := "-AllUsers "
	if s.Build != 0 && s.Build < build1709 {
		option = ""
	}
	for _, name := range names {
		commands = append(commands, "Remove-AppxPackage "+option+"-Package "+name)
	}
	list := strings.Join(commands, "; ") + more
	if option == "" {
		return "Signed in as each user who has the package: " + list + "."
	}
	return "In an elevated PowerShell: " + list + "."
}

// fixProvider names the library that is between quotes in the line.
func fixProvider(_ machine.System, line logLine) string {
	_, rest, _ := strings.Cut(line.Text, "executing '")
	library, _, _ := strings.Cut(rest, "'")
	if _, from, ok := strings.Cut(rest, "' from "); ok {
		library, _, _ = strings.Cut(from, ";")
	}
	library, _, _ = strings.Cut(strings.TrimSpace(library), ",")
	if library == "" {
		library = "the library that the line names"
	}
	return "Reinstall or repair the program that " + library + ` is from or, if it is gone, delete the value that ` +
		`names it below HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrep or SysPrepExternal.` + runAgain
}

// fixAccess: what is protected is in the line.
func fixAccess(machine.System, logLine) string {
	return "Run Sysprep as an administrator, and turn off what protects the key or file that the line in " +
		"setuperr.log names: an antivirus or its tamper protection, or changed permissions." + runAgain
}
