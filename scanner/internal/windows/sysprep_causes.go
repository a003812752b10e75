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

const runAgain = " The lines stay in the log until Sysprep runs again."

// sysprepCauses are tried in this order on all lines of a run: what names the
// component comes before what only has a code. A run has many lines that repeat
// the code of the first one.
var sysprepCauses = []sysprepCause{
	{codes: []uint32{codeReservedStorage}, says: "Reserved storage was in use.", fix: fixReservedStorage,
		explains: codeNameReservedStorage},
	{words: []string{"reserved storage"}, says: "Reserved storage was in use.", fix: fixReservedStorage,
		explains: codeNameReservedStorage},
	{words: []string{"bitlocker", "bdesysprep.dll"}, says: "BitLocker was on.", fix: always(fixBitLocker)},
	{codes: []uint32{codeBitLockerOn}, says: "BitLocker was on.", fix: always(fixBitLocker)},
	{codes: []uint32{codeMaxRearmsReached}, says: "The rearm count was 0.",
		fix: always("Use another WorkSpace: Windows cannot be rearmed again. See win.rearm.nonzero.")},
	{words: []string{"senseguid", "windows advanced threat protection", "senseclient"},
		says: "Defender for Endpoint protects its identity.", fix: always(fixDefenderEndpoint)},
	{words: []string{"appxsysprep.dll", "appx"}, codes: []uint32{codeServiceDisabled},
		says: "The AppX deployment service is disabled.",
		fix: always(`Run reg add HKLM\SYSTEM\CurrentControlSet\Services\AppXSvc /v Start /t REG_DWORD /d 3 /f as ` +
			`Administrator, then restart.` + runAgain)},
	{codes: []uint32{codePackageFailed}, says: "An AppX package is installed for a user but not provisioned.",
		fix: fixUnnamedPackage},
	{words: []string{"dsccore.dll"}, says: "The cleanup of Desired State Configuration failed.",
		fix: always("Run Remove-DscConfigurationDocument -Stage Current, Pending, Previous in PowerShell as " +
			"Administrator, and run Sysprep again. If it fails again, use a WorkSpace that Desired State Configuration " +
			"did not configure: Microsoft does not support Sysprep on others.")},
	{words: []string{"spbcd.dll", "sysprep_generalize_bcd", "sysprep_specialize_bcd"},
		says: "The boot configuration (BCD) could not be generalized.",
		fix: always("Make sure that bcdedit /enum all works: the system partition must exist, be active (or be the EFI " +
			"system partition) and contain the BCD store. To create the store again, run bcdboot C:\\Windows as " +
			"Administrator." + runAgain)},
	{words: []string{"wevtapi.dll", "eventlog"}, codes: []uint32{codeFileNotFound, codePathNotFound},
		says: "An event log is configured in a folder that does not exist.",
		fix: always(`Move the event logs back to C:\Windows\System32\winevt\Logs with wevtutil set-log LOG ` +
			`/logfilename:PATH, and remove the policy that moves them. Then restart, and run Sysprep again.`)},
	{words: []string{"failure occurred while executing"},
		codes: []uint32{codeFileNotFound, codePathNotFound, codeModuleNotFound, codeProcNotFound},
		says:  "A library that Sysprep calls is missing or incomplete.", fix: fixProvider},
	{words: []string{"failure occurred while executing"}, codes: []uint32{codeBadFormat, codeBadImage},
		says: "A library that Sysprep calls is damaged or made for another architecture.", fix: fixProvider},
	{codes: []uint32{codeAccessDenied}, says: "Access was denied.", fix: fixAccess},
	{codes: []uint32{codeElementNotFound},
		says: "Something that the registry or the component store names is missing.",
		fix: always("Repair Windows: run DISM /Online /Cleanup-Image /RestoreHealth, then sfc /scannow. Then restart." +
			runAgain)},
	{codes: []uint32{codePathNotFound, codeFileNotFound}, says: "A file or folder is missing.",
		fix: always("Restore the file or folder that the line in setuperr.log names, or correct the setting that names " +
			"it." + runAgain)},
	{codes: []uint32{codeBadFormat, codeBadImage}, says: "A program or file has the wrong format.",
		fix: always("Reinstall the program that the line in setuperr.log names, in the version for this architecture." +
			runAgain)},
	{codes: []uint32{codeGeneralFailure},
		says: "An earlier run left Windows in a state in which Sysprep does not run.",
		fix: always("Use another WorkSpace, as Microsoft recommends, or remove what stopped the earlier run." +
			resetStatus)},
	{codes: []uint32{codeUnspecified}, says: "The error does not name its cause.",
		fix: always("Read the lines of setupact.log before the error: they name the component that failed." +
			runAgain)},
	{words: []string{"mrtgeneralize"},
		says: "The cleanup of Windows Defender had errors, which rarely stop Sysprep.",
		fix: always("Start the services WinDefend and wscsvc (Windows Defender, Security Center) if they are installed, " +
			"and run Sysprep again. If it succeeds, the lines no longer count.")},
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
	fix := "Install all pending Windows updates, and restart until none is left: an unfinished update uses reserved " +
		"storage."
	if s.Build == 0 || s.Build >= build2004 {
		fix += " Then run DISM /Online /Set-ReservedStorageState /State:Disabled as Administrator, and restart."
	}
	return fix
}

const fixBitLocker = "Run manage-bde -off C: as Administrator, wait until manage-bde -status C: shows Fully " +
	"Decrypted, and restart."

const fixDefenderEndpoint = `Offboard the computer with the offboarding package of the Microsoft Defender portal, and ` +
	`restart. If it still exists, delete the value senseGuid in ` +
	`HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection. Onboard the WorkSpaces that you create from the image.`

// fixUnnamedPackage is for a log that does not name the package.
func fixUnnamedPackage(s machine.System, _ logLine) string {
	return "Find packages that are installed for a user but not provisioned: compare Get-AppxPackage -AllUsers with " +
		"Get-AppxProvisionedPackage -Online. " + removePackages(s, []string{"FULLNAME"})
}

// maxFixPackages is how many packages a remedy names; the details have all.
const maxFixPackages = 10

// removePackages says how packages are removed that are named by their full
// name, which Get-AppxPackage -Name does not take.
func removePackages(s machine.System, names []string) string {
	if s.Build != 0 && s.Build < build1709 {
		return "Run " + removeCommands("", names) + " in PowerShell, signed in as each user who has the package."
	}
	return "Run " + removeCommands("-AllUsers ", names) + " in PowerShell as Administrator."
}

// removeCommands are the commands that remove packages, with an option.
func removeCommands(option string, names []string) string {
	more := ""
	if len(names) > maxFixPackages {
		more = fmt.Sprintf(" (and the same for %d more)", len(names)-maxFixPackages)
		names = names[:maxFixPackages]
	}
	var commands []string
	for _, name := range names {
		commands = append(commands, "Remove-AppxPackage "+option+"-Package "+name)
	}
	return strings.Join(commands, "; ") + more
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
	return "Reinstall the program that " + library + ` belongs to. If the program is no longer installed, delete the ` +
		`value that names the library in HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrep or ` +
		`SysPrepExternal.` + runAgain
}

// fixAccess: what is protected is in the line.
func fixAccess(machine.System, logLine) string {
	return "Run Sysprep as Administrator. Disable antivirus and tamper protection, and restore the permissions of the " +
		"key or file that the line in setuperr.log names." + runAgain
}
