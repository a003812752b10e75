package remedy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// powershell writes for Windows PowerShell 2.0, which Windows 7 has, and all
// later ones: Get-WmiObject is there in all of them, Get-CimInstance is not.
// PowerShell 7 does not have it and is refused.
var powershell = language{
	fixers: map[string]fixer{
		"win.profile.single":           deleteProfiles,
		"win.drives.only-c-d":          unmapDrives,
		"win.services.domain-account":  useLocalSystem,
		"win.powershell.execpolicy":    setExecutionPolicy,
		"win.net.dhcp":                 useDHCP,
		"win.rds.enabled":              startMode("TermService", "Manual", "Auto", "Manual"),
		"win.trustedinstaller.enabled": startMode("TrustedInstaller", "Manual", "Auto", "Manual"),
		"win.winrm.auto":               startMode("WinRM", "Automatic", "Auto"),
		"win.ssm.disabled":             startMode("AmazonSSMAgent", "Disabled", "Disabled"),
		"win.env.path":                 completePath,
		"win.tls.tls12":                turnOnTLS12,
		"win.tls.ssl3":                 leaveSSL3ToWindows,
		"win.appx.staged":              removeAppx,
	},
	begin:  powershellBegin,
	change: powershellChange,
	end: `
# ----------------------------------------------------------------------------
if ($failures -gt 0) { Write-Warning "changes that failed: $failures" }
Write-Host 'Findings to fix by hand, see the comments in this script: BYHAND'
Write-Host 'Restart the WorkSpace, and scan new images of it.'
if ($failures -gt 0) { exit 1 }
`,
}

// psString writes a string as an expression of PowerShell: a literal in single
// quotes, in which only a quote means anything (about_Quoting_Rules), and every
// character that is not printable ASCII by its number. So the script holds no
// character that PowerShell reads as a quote, U+2018 to U+201E, and no end of a
// line.
func psString(s string) string {
	var parts []string
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, "'"+literal.String()+"'")
			literal.Reset()
		}
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		switch {
		case unit == '\'':
			literal.WriteString("''")
		case unit >= ' ' && unit <= '~':
			literal.WriteByte(byte(unit))
		default:
			flush()
			parts = append(parts, fmt.Sprintf("[char]0x%04X", unit))
		}
	}
	flush()
	switch {
	case len(parts) == 0:
		return "''"
	case len(parts) == 1 && parts[0][0] == '\'':
		return parts[0]
	}
	return "('' + " + strings.Join(parts, " + ") + ")"
}

func powershellBegin(s *report.Saved, o report.Options) string {
	var b strings.Builder
	comment(&b, "", fmt.Sprintf("Made by coldcheck %s from %s, the report of a scan of %s.", o.Version, s.Name,
		s.Started.UTC().Format("2006-01-02 15:04:05Z")))
	comment(&b, "For: ", s.Platform.ComputerName+", "+s.Platform.Name+" "+s.Platform.Version)
	b.WriteString(`#
# Read it before you run it. Then, on the WorkSpace, as its user, in an elevated
# Windows PowerShell:
#   powershell.exe -NoProfile -ExecutionPolicy Bypass -File .\remediate.ps1
# It asks before each change. With -WhatIf it shows the changes and makes none.
# It skips what is correct already, so you can run it again.
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'High')]
param()

$ErrorActionPreference = 'Stop'
$failures = 0

$identity = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) ` +
		`{ throw 'Run this script in an elevated PowerShell.' }
if ($PSVersionTable.PSVersion.Major -gt 5) ` +
		`{ throw 'Run this script in Windows PowerShell (powershell.exe), not in PowerShell 7.' }
if ($env:PROCESSOR_ARCHITEW6432) { throw 'Run this script in the 64-bit Windows PowerShell.' }
`)
	if s.Platform.ComputerName != "" {
		fmt.Fprintf(&b, "$computer = %s\nif ($env:COMPUTERNAME -ne $computer) { throw \"This script is for $computer; "+
			"this computer is $env:COMPUTERNAME.\" }\n", psString(s.Platform.ComputerName))
	}
	b.WriteString(`
# Invoke-Change makes one change of a finding. Settled returns the reason to skip
# it, or nothing; Apply makes the change. After an error the script continues.
function Invoke-Change([string]$Finding, [string]$Target, [string]$Action, [scriptblock]$Settled, [scriptblock]$Apply) {
    try {
        $reason = & $Settled
        if ($reason) {
            Write-Host ($Finding + ': skipped: ' + $reason)
        } elseif ($PSCmdlet.ShouldProcess($Target, $Action)) {
            & $Apply
            Write-Host ($Finding + ': done: ' + $Action + ': ' + $Target)
        } else {
            Write-Host ($Finding + ': not changed: ' + $Target)
        }
    } catch {
        $script:failures++
        Write-Warning ($Finding + ': ' + $Target + ': ' + $_)
    }
}

# Get-OneService finds a service by its name, which may have any characters.
function Get-OneService([string]$Name) {
    $found = @(Get-WmiObject -Class Win32_Service | Where-Object { $_.Name -eq $Name })
    if ($found.Count -ne 1) { throw ('there is no service ' + $Name) }
    $found[0]
}

# Assert-Zero throws an error if a method of WMI failed.
function Assert-Zero([string]$Method, [int[]]$Good, $Result) {
    if ($Good -notcontains $Result.ReturnValue) { throw ($Method + ' returned ' + $Result.ReturnValue) }
}

# Get-MachineValue reads a value below HKEY_LOCAL_MACHINE, or nothing.
function Get-MachineValue([string]$Key, [string]$Name) {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Key)
    if ($opened) { $opened.GetValue($Name) }
}

# Get-PathEntry returns the entries of the machine's Path as Windows sees them.
$environmentKey = 'SYSTEM\CurrentControlSet\Control\Session Manager\Environment'
function Get-PathEntry {
    [string](Get-MachineValue $environmentKey 'Path') -split ';' | ForEach-Object { $_.Trim().TrimEnd('\') }
}
`)
	return b.String()
}

func powershellChange(id string, c change) string {
	return fmt.Sprintf("Invoke-Change %s %s %s {\n%s} {\n%s}\n", psString(id), psString(ascii(c.target)),
		psString(c.action), indent(c.settled), indent(c.apply))
}

// indent puts lines of code into a block.
func indent(code string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(code, "\n") + "\n") {
		b.WriteString("    " + line)
	}
	return b.String()
}

// startMode sets how a service starts, if its start type is what is wrong: it
// skips a service that is missing, has no program, or whose start type a Group
// Policy writes.
func startMode(service, mode string, good ...string) fixer {
	return func(f requirement.Finding, _ *report.Saved) ([]change, string) {
		about := subjects(f, requirement.SubjectService, requirement.ReasonStartType)
		if f.Status != requirement.Failed || len(about) != 1 || !strings.EqualFold(about[0].ID, service) ||
			!shown(f, "SYSTEM", about[0].ID, "Start") {
			return nil, ""
		}
		var list []string
		for _, g := range good {
			list = append(list, psString(g))
		}
		return []change{{
			target: "service " + service,
			action: "set the startup type to " + mode,
			settled: fmt.Sprintf(
				"$mode = (Get-OneService %s).StartMode\n"+
					"if (@(%s) -contains $mode) { 'its startup type is ' + $mode }",
				psString(service), strings.Join(list, ", ")),
			apply: fmt.Sprintf("Assert-Zero 'ChangeStartMode' 0 ((Get-OneService %s).ChangeStartMode(%s))",
				psString(service), psString(mode)),
		}}, ""
	}
}

// useLocalSystem gives the services that run under a domain account the Local
// System account, as long as they run under the account of the report.
func useLocalSystem(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if f.Status != requirement.Failed {
		return nil, ""
	}
	for _, s := range subjects(f, requirement.SubjectService, requirement.ReasonAccount) {
		if !shown(f, "SYSTEM", s.ID, "ObjectName") {
			return nil, ""
		}
		changes = append(changes, change{
			target: "service " + s.ID + ", which runs as " + s.Value,
			action: "run it under the Local System account",
			settled: fmt.Sprintf(
				"$account = (Get-OneService %s).StartName\n"+
					"if ($account -ne %s) { 'it runs as ' + $account + ', not under the account in the report' }",
				psString(s.ID), psString(s.Value)),
			apply: fmt.Sprintf(
				"$service = Get-OneService %s\nAssert-Zero 'Change' 0 ($service.Change($null, $null, $null, $null, "+
					"$null, $null, 'LocalSystem', '', $null, $null, $null))", psString(s.ID)),
		})
	}
	return changes, ""
}

// setExecutionPolicy sets the policy in the scope that decides, or for the
// machine where none does. What a Group Policy or an environment variable sets
// is changed there.
func setExecutionPolicy(f requirement.Finding, s *report.Saved) ([]change, string) {
	about := subjects(f, requirement.SubjectSetting, requirement.ReasonValue, requirement.ReasonMissing)
	if f.Status != requirement.Failed || len(about) != 1 {
		return nil, ""
	}
	scope, who := "LocalMachine", ""
	switch about[0].ID {
	case "LocalMachine.ExecutionPolicy":
	case "CurrentUser.ExecutionPolicy":
		user := account(s.Platform.UserName)
		if user == "" {
			return nil, ""
		}
		scope, who = "CurrentUser",
			fmt.Sprintf("if ($env:USERNAME -ne %s) { throw 'run it as the WorkSpace''s user' }\n", psString(user))
	default:
		return nil, ""
	}
	return []change{{
		target: "the execution policy of PowerShell, scope " + scope,
		action: "set it to RemoteSigned",
		settled: who + fmt.Sprintf(
			"$policy = (Get-ExecutionPolicy -Scope %s).ToString()\n"+
				"if (@('RemoteSigned', 'Unrestricted') -contains $policy) { 'it is ' + $policy }", scope),
		apply: fmt.Sprintf(`# Set-ExecutionPolicy also fails after it has set the policy, if the policy of
# this process (-ExecutionPolicy Bypass) overrides it. So check the result.
try { Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope %[1]s -Force } catch { Write-Verbose ('' + $_) }
if ((Get-ExecutionPolicy -Scope %[1]s).ToString() -ne 'RemoteSigned') { throw 'the policy was not set' }`, scope),
	}}, ""
}

// guid is the form of the identifier of a network adapter.
var guid = regexp.MustCompile(`^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$`)

// useDHCP lets the adapters with a fixed address use DHCP.
func useDHCP(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if f.Status != requirement.Failed {
		return nil, ""
	}
	for _, s := range subjects(f, requirement.SubjectAdapter, requirement.ReasonStatic) {
		if !guid.MatchString(s.ID) || !shown(f, "SYSTEM", s.ID, "EnableDHCP") &&
			!shown(f, "SYSTEM", s.ID, "IPAddress") {
			return nil, ""
		}
		found := fmt.Sprintf(
			"$adapter = @(Get-WmiObject -Class Win32_NetworkAdapterConfiguration | Where-Object { $_.SettingID -eq "+
				"%s })\n", psString(s.ID))
		changes = append(changes, change{
			target: "network adapter " + s.ID,
			action: "obtain an IP address automatically (the connection may break for a while)",
			settled: found + "if ($adapter.Count -ne 1) { 'there is no such adapter' } elseif " +
				"($adapter[0].DHCPEnabled) { 'it already uses DHCP' }",
			apply: found + "Assert-Zero 'EnableDHCP' 0, 1 ($adapter[0].EnableDHCP())",
		})
	}
	return changes, ""
}

// unmapDrives removes the network drives that the user maps, if drives of that
// kind are all that the finding is about.
func unmapDrives(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	for _, s := range subjects(f, requirement.SubjectDrive, requirement.ReasonMapped) {
		drive := s.ID
		if len(drive) != 1 || drive[0] < 'A' || drive[0] > 'Z' || !shown(f, "NTUSER.DAT", drive, "RemotePath") {
			return nil, ""
		}
		key := psString(`HKCU:\Network\` + drive)
		changes = append(changes, change{
			target: "network drive " + drive + ": (" + s.Value + ")",
			action: "disconnect it",
			settled: fmt.Sprintf(
				"if (-not (Test-Path -Path %s)) { 'you have no such drive' }\n"+
					"elseif ((Get-ItemProperty -Path %s).RemotePath -ne %s) { 'the drive has another target than in "+
					"the report' }",
				key, key, psString(s.Value)),
			apply: fmt.Sprintf(
				"& net.exe use %s /delete /y | Out-Null\n"+
					"# net use leaves a drive that is not connected in the registry.\n"+
					"if (Test-Path -Path %s) { Remove-Item -Path %s -Recurse }", psString(drive+":"), key, key),
		})
	}
	return changes, ""
}

// personSID is the form of the SID of an account of a machine or a domain.
var personSID = regexp.MustCompile(`^S-1-5-21(-[0-9]{1,10}){4}$`)

// deleteProfiles deletes the profiles that are one too many, where it is certain
// which those are and that none is half of a damaged pair. A temporary one may
// stand for that of a user whose own does not load: it is left to a person.
func deleteProfiles(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if f.Status != requirement.Failed {
		return nil, ""
	}
	temporary := 0
	for _, s := range subjects(f, requirement.SubjectProfile, requirement.ReasonExtra, requirement.ReasonMissing,
		requirement.ReasonTemporary) {
		if s.Reason == requirement.ReasonTemporary {
			temporary++
			continue
		}
		if !personSID.MatchString(s.ID) || !shown(f, "SOFTWARE", s.ID, "ProfileImagePath") {
			return nil, ""
		}
		found := fmt.Sprintf("$user = @(Get-WmiObject -Class Win32_UserProfile | Where-Object { $_.SID -eq %s })\n",
			psString(s.ID))
		changes = append(changes, change{
			target: "profile " + s.Value + " (" + s.ID + ")",
			action: "delete the profile with all its files, for good",
			settled: found + fmt.Sprintf(
				"if ($user.Count -ne 1) { 'there is no such profile' }\n"+
					"elseif ($user[0].LocalPath -ne [Environment]::ExpandEnvironmentVariables(%s)) { 'the profile "+
					"has another folder than in the report' }",
				psString(s.Value)),
			apply: found + "if ($user[0].Loaded -or $user[0].Special) { throw 'it is in use: log its user off, or " +
				"restart' }\n$user[0].Delete()",
		})
	}
	if temporary > 0 && len(changes) > 0 {
		rest = fmt.Sprintf(
			"Temporary profiles (%d): sign their users in and find out why their own do not load, before you delete "+
				"them.", temporary)
	}
	return changes, rest
}

// completePath adds what the machine's Path lacks. A Path that is not there, or
// whose variables Windows does not expand, is left to a person.
func completePath(f requirement.Finding, _ *report.Saved) ([]change, string) {
	about := subjects(f, requirement.SubjectSetting, requirement.ReasonValue)
	if f.Status != requirement.Failed || len(about) != 1 || about[0].ID != "Path" ||
		!shown(f, "SYSTEM", "Environment", "Path") {
		return nil, ""
	}
	var changes []change
	for _, entry := range []struct{ folder, joined string }{
		{`\System32`, `$folder + ';' + $old`},
		{`\System32\WindowsPowerShell\v1.0`, `$old.TrimEnd(';') + ';' + $folder + '\'`},
	} {
		changes = append(changes, change{
			target: "the machine's Path",
			action: "add %SystemRoot%" + entry.folder,
			settled: fmt.Sprintf("if (@(Get-PathEntry) -contains ($env:SystemRoot + '%s')) { 'Path contains it' }",
				entry.folder),
			apply: fmt.Sprintf(`$opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($environmentKey, $true)
$old = [string]$opened.GetValue('Path', '', 'DoNotExpandEnvironmentNames')
$kind = $opened.GetValueKind('Path')
$folder = '%%SystemRoot%%%s'
if ($kind -ne 'ExpandString') { $folder = [Environment]::ExpandEnvironmentVariables($folder) }
$opened.SetValue('Path', (%s), $kind)
$opened.Close()`, entry.folder, entry.joined),
		})
	}
	return changes, ""
}

const schannel = `SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\`

// isOff says whether a finding is about that protocol being off, and about nothing
// else.
func isOff(f requirement.Finding, protocol string) bool {
	about := subjects(f, requirement.SubjectProtocol, requirement.ReasonDisabled)
	return len(about) > 0 && !slices.ContainsFunc(about, func(s requirement.Subject) bool { return s.ID != protocol })
}

// turnOnTLS12 writes both values for both sides, as Windows 7 needs them; later
// versions get only those changed that are written and turn the protocol off.
func turnOnTLS12(f requirement.Finding, s *report.Saved) (changes []change, rest string) {
	if !isOff(f, "TLS 1.2") {
		return nil, ""
	}
	needed := strings.HasPrefix(s.Platform.Version, "6.1.")
	for _, side := range []string{"Client", "Server"} {
		for _, value := range []struct {
			name, good string
			data       int
		}{{"Enabled", "$found -ne 0", 1}, {"DisabledByDefault", "$found -eq 0", 0}} {
			key := schannel + `TLS 1.2\` + side
			settled := fmt.Sprintf("$found = Get-MachineValue '%s' '%s'\n", key, value.name)
			if needed {
				settled += fmt.Sprintf("if ($found -ne $null -and %s) { 'it is ' + $found }", value.good)
			} else {
				settled += fmt.Sprintf(
					"if ($found -eq $null) { 'the value does not exist, and the protocol is on by default' }\n"+
						"elseif (%s) { 'it is ' + $found }", value.good)
			}
			changes = append(changes, change{
				target:  `HKLM\` + key + `, ` + value.name,
				action:  fmt.Sprintf("set it to %d", value.data),
				settled: settled,
				apply: fmt.Sprintf(
					"$opened = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('%s')\n"+
						"$opened.SetValue('%s', [int]%d, 'DWord')\n$opened.Close()",
					key, value.name, value.data),
			})
		}
	}
	return changes, ""
}

// leaveSSL3ToWindows removes the values that turn SSL 3.0 off, so that the
// default of Windows applies. Nothing turns it on.
func leaveSSL3ToWindows(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if !isOff(f, "SSL 3.0") {
		return nil, ""
	}
	for _, side := range []string{"Client", "Server"} {
		for _, value := range []struct{ name, good string }{{"Enabled", "$found -ne 0"},
			{"DisabledByDefault", "$found -eq 0"}} {
			key := schannel + `SSL 3.0\` + side
			changes = append(changes, change{
				target: `HKLM\` + key + `, ` + value.name,
				action: "delete the value, so that the default of Windows applies",
				settled: fmt.Sprintf(
					"$found = Get-MachineValue '%s' '%s'\n"+
						"if ($found -eq $null) { 'the value does not exist' } elseif (%s) { 'it is ' + $found }",
					key, value.name, value.good),
				apply: fmt.Sprintf(
					"$opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('%s', $true)\n"+
						"$opened.DeleteValue('%s')\n$opened.Close()", key, value.name),
			})
		}
	}
	return changes, ""
}

// packageName is the full name of an AppX package: name, version, architecture,
// resource and publisher ([MS-APPX] and the documentation of PACKAGE_ID).
var packageName = regexp.MustCompile(
	`^[A-Za-z0-9.-]{3,50}_[0-9]+(\.[0-9]+){3}_[a-z0-9]+_[A-Za-z0-9.-]*_[a-hjkmnp-tv-z0-9]{13}$`)

// removeAppx removes the packages that are named as staged.
func removeAppx(f requirement.Finding, s *report.Saved) (changes []change, rest string) {
	if strings.HasPrefix(s.Platform.Version, "6.1.") { // no AppX there
		return nil, ""
	}
	for _, about := range subjects(f, requirement.SubjectPackage, requirement.ReasonStaged) {
		if !packageName.MatchString(about.ID) {
			continue
		}
		name := psString(about.ID)
		found := fmt.Sprintf("$package = @(Get-AppxPackage -AllUsers | Where-Object { $_.PackageFullName -eq %s })\n",
			name)
		changes = append(changes, change{
			target:  "AppX package " + about.ID,
			action:  "remove it",
			settled: found + "if ($package.Count -eq 0) { 'there is no such package' }",
			apply: fmt.Sprintf("Remove-AppxPackage -Package %s\n",
				name) + found + "if ($package.Count -ne 0) { throw 'it is still there: see the comment below' }",
		})
	}
	if len(changes) == 0 {
		return nil, ""
	}
	return changes, "If a package remains, or the finding names others: " + f.Outcome.Remediation
}
