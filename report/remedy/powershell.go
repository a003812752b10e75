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
Write-Host 'Findings left to be done by hand, see the comments in this script: BYHAND'
Write-Host 'Restart the WorkSpace, and scan new images of it.'
if ($failures -gt 0) { exit 1 }
`,
}

// psString writes a string as an expression of PowerShell: a literal in single
// quotes, in which only a quote means anything (about_Quoting_Rules), and every
// character that is not printable ASCII by its number. So none of the
// characters that PowerShell takes for quotes, U+2018 to U+201E, stands in the
// script, nor the end of a line.
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
	comment(&b, "", fmt.Sprintf("Made by coldcheck %s from %s, the report of a scan of %s.", o.Version, s.Name, s.Started.UTC().Format("2006-01-02 15:04Z")))
	comment(&b, "For: ", s.Platform.ComputerName+", "+s.Platform.Name+" "+s.Platform.Version)
	b.WriteString(`#
# Read it before you run it. Then, on the WorkSpace, as its user, in an elevated
# Windows PowerShell:
#   powershell.exe -NoProfile -ExecutionPolicy Bypass -File .\remediate.ps1
# It asks before each change. With -WhatIf it shows the changes and makes none.
# What is as it should be is left alone, so that it can be run again.
[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'High')]
param()

$ErrorActionPreference = 'Stop'
$failures = 0

$identity = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { throw 'Run it as an administrator (elevated).' }
if ($PSVersionTable.PSVersion.Major -gt 5) { throw 'Run it in Windows PowerShell (powershell.exe), not in PowerShell 7.' }
if ($env:PROCESSOR_ARCHITEW6432) { throw 'Run it in the 64-bit Windows PowerShell.' }
`)
	if s.Platform.ComputerName != "" {
		fmt.Fprintf(&b, "$computer = %s\nif ($env:COMPUTERNAME -ne $computer) { throw \"It was made for $computer, and this is $env:COMPUTERNAME.\" }\n", psString(s.Platform.ComputerName))
	}
	b.WriteString(`
# Invoke-Change makes one change of a finding. Settled says why nothing is to be
# done, if so; Apply makes the change. What goes wrong is told, and the script
# goes on.
function Invoke-Change([string]$Finding, [string]$Target, [string]$Action, [scriptblock]$Settled, [scriptblock]$Apply) {
    try {
        $reason = & $Settled
        if ($reason) {
            Write-Host ($Finding + ': nothing to do: ' + $reason)
        } elseif ($PSCmdlet.ShouldProcess($Target, $Action)) {
            & $Apply
            Write-Host ($Finding + ': done: ' + $Action + ': ' + $Target)
        } else {
            Write-Host ($Finding + ': left as it is: ' + $Target)
        }
    } catch {
        $script:failures++
        Write-Warning ($Finding + ': ' + $Target + ': ' + $_)
    }
}

# Get-OneService finds a service by its name, whatever characters it has.
function Get-OneService([string]$Name) {
    $found = @(Get-WmiObject -Class Win32_Service | Where-Object { $_.Name -eq $Name })
    if ($found.Count -ne 1) { throw ('there is no service ' + $Name) }
    $found[0]
}

# Assert-Zero turns the result of a method of WMI into an error.
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
	return fmt.Sprintf("Invoke-Change %s %s %s {\n%s} {\n%s}\n", psString(id), psString(ascii(c.target)), psString(c.action), indent(c.settled), indent(c.apply))
}

// indent puts lines of code into a block.
func indent(code string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(code, "\n") + "\n") {
		b.WriteString("    " + line)
	}
	return b.String()
}

// startMode sets how a service starts, if its start type is what the finding
// says is wrong: it lets be a service that is not there, has no program, or
// whose start type a Group Policy writes.
func startMode(service, mode string, good ...string) fixer {
	return func(f requirement.Finding, _ *report.Saved) ([]change, string) {
		if f.Status != requirement.Failed || len(f.Evidence) != 1 {
			return nil, ""
		}
		if e := f.Evidence[0]; !inHive(e, "SYSTEM") || e.Value != "Start" || !there(e) || !strings.EqualFold(last(e.Key), service) {
			return nil, ""
		}
		var list []string
		for _, g := range good {
			list = append(list, psString(g))
		}
		return []change{{
			target:  "service " + service,
			action:  "set the startup type to " + mode,
			settled: fmt.Sprintf("$mode = (Get-OneService %s).StartMode\nif (@(%s) -contains $mode) { 'its startup type is ' + $mode }", psString(service), strings.Join(list, ", ")),
			apply:   fmt.Sprintf("Assert-Zero 'ChangeStartMode' 0 ((Get-OneService %s).ChangeStartMode(%s))", psString(service), psString(mode)),
		}}, ""
	}
}

// useLocalSystem gives the services that run under a domain account the Local
// System account, as long as they run under the account of the report.
func useLocalSystem(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if f.Status != requirement.Failed {
		return nil, ""
	}
	for _, e := range f.Evidence {
		if !inHive(e, "SYSTEM") || e.Value != "ObjectName" || !there(e) {
			return nil, ""
		}
		name := last(e.Key)
		changes = append(changes, change{
			target: "service " + name + ", which runs as " + e.Data,
			action: "let it run under the Local System account",
			settled: fmt.Sprintf("$account = (Get-OneService %s).StartName\nif ($account -ne %s) { 'it runs as ' + $account + ', and not as the report says' }",
				psString(name), psString(e.Data)),
			apply: fmt.Sprintf("$service = Get-OneService %s\nAssert-Zero 'Change' 0 ($service.Change($null, $null, $null, $null, $null, $null, 'LocalSystem', '', $null, $null, $null))", psString(name)),
		})
	}
	return changes, ""
}

// setExecutionPolicy sets the policy in the scope that decides, or for the
// machine where none does. What a Group Policy or an environment variable sets
// is changed there.
func setExecutionPolicy(f requirement.Finding, s *report.Saved) ([]change, string) {
	const shell = `Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell`
	decides := slices.IndexFunc(f.Evidence, there)
	scope, who := "LocalMachine", ""
	switch {
	case f.Status != requirement.Failed || decides > 0:
		return nil, ""
	case decides < 0: // set nowhere
	case inHive(f.Evidence[0], "SOFTWARE") && hasSuffixFold(f.Evidence[0].Key, shell):
	case inProfile(f.Evidence[0]) && hasSuffixFold(f.Evidence[0].Key, shell):
		user := account(s.Platform.UserName)
		if user == "" {
			return nil, ""
		}
		scope, who = "CurrentUser", fmt.Sprintf("if ($env:USERNAME -ne %s) { throw 'run it as the WorkSpace''s user' }\n", psString(user))
	default:
		return nil, ""
	}
	return []change{{
		target:  "the execution policy of PowerShell, scope " + scope,
		action:  "set it to RemoteSigned",
		settled: who + fmt.Sprintf("$policy = (Get-ExecutionPolicy -Scope %s).ToString()\nif (@('RemoteSigned', 'Unrestricted') -contains $policy) { 'it is ' + $policy }", scope),
		apply: fmt.Sprintf(`# It sets the policy and complains all the same where the policy of this
# process (-ExecutionPolicy Bypass) goes before it: what it set is looked at.
try { Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope %[1]s -Force } catch { Write-Verbose ('' + $_) }
if ((Get-ExecutionPolicy -Scope %[1]s).ToString() -ne 'RemoteSigned') { throw 'it could not be set' }`, scope),
	}}, ""
}

var guid = regexp.MustCompile(`^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$`)

// useDHCP lets the adapters with a fixed address use DHCP.
func useDHCP(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if f.Status != requirement.Failed {
		return nil, ""
	}
	seen := map[string]bool{}
	for _, e := range f.Evidence {
		id := last(e.Key)
		switch {
		case !inHive(e, "SYSTEM") || e.Value != "EnableDHCP" && e.Value != "IPAddress" || !guid.MatchString(id):
			return nil, ""
		case seen[id]:
			continue
		}
		seen[id] = true
		found := fmt.Sprintf("$adapter = @(Get-WmiObject -Class Win32_NetworkAdapterConfiguration | Where-Object { $_.SettingID -eq %s })\n", psString(id))
		changes = append(changes, change{
			target:  "network adapter " + id,
			action:  "obtain an IP address automatically (the connection may break for a while)",
			settled: found + "if ($adapter.Count -ne 1) { 'there is no such adapter' } elseif ($adapter[0].DHCPEnabled) { 'it uses DHCP' }",
			apply:   found + "Assert-Zero 'EnableDHCP' 0, 1 ($adapter[0].EnableDHCP())",
		})
	}
	return changes, ""
}

var mapped = regexp.MustCompile(`^Network\\([A-Za-z])$`)

// unmapDrives removes the network drives that the user maps, if drives of that
// kind are all that the finding is about.
func unmapDrives(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	for _, e := range f.Evidence {
		m := mapped.FindStringSubmatch(e.Key)
		if !inProfile(e) || m == nil || e.Value != "RemotePath" || !there(e) {
			return nil, ""
		}
		drive := strings.ToUpper(m[1])
		key := psString(`HKCU:\Network\` + drive)
		changes = append(changes, change{
			target: "network drive " + drive + ": (" + e.Data + ")",
			action: "disconnect it",
			settled: fmt.Sprintf("if (-not (Test-Path -Path %s)) { 'the user who runs this maps no such drive' }\nelseif ((Get-ItemProperty -Path %s).RemotePath -ne %s) { 'the drive leads elsewhere than the report says' }",
				key, key, psString(e.Data)),
			apply: fmt.Sprintf("& net.exe use %s /delete /y | Out-Null\n# A drive that is remembered, and not connected, is left in the registry.\nif (Test-Path -Path %s) { Remove-Item -Path %s -Recurse }", psString(drive+":"), key, key),
		})
	}
	return changes, ""
}

var (
	personSID    = regexp.MustCompile(`^S-1-5-21(-[0-9]{1,10}){4}$`)
	extraProfile = regexp.MustCompile(`^[0-9]+ profiles? beside `)
)

// deleteProfiles deletes the profiles beside the user's, where it is certain
// which those are and that none is half of a damaged pair. A temporary one may
// stand for that of a user whose own does not load: it is left to a person.
func deleteProfiles(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if f.Status != requirement.Failed || !extraProfile.MatchString(f.Message) || strings.Contains(f.Message, "(a corrupt pair") {
		return nil, ""
	}
	temporary := 0
	for _, e := range f.Evidence {
		sid := last(e.Key)
		if isTemporary(e) {
			temporary++
			continue
		}
		if !inHive(e, "SOFTWARE") || e.Value != "ProfileImagePath" || !there(e) || !personSID.MatchString(sid) {
			return nil, ""
		}
		found := fmt.Sprintf("$user = @(Get-WmiObject -Class Win32_UserProfile | Where-Object { $_.SID -eq %s })\n", psString(sid))
		changes = append(changes, change{
			target: "profile " + e.Data + " (" + sid + ")",
			action: "delete the profile with all its files, for good",
			settled: found + fmt.Sprintf("if ($user.Count -ne 1) { 'there is no such profile' }\nelseif ($user[0].LocalPath -ne [Environment]::ExpandEnvironmentVariables(%s)) { 'the profile lies elsewhere than the report says' }",
				psString(e.Data)),
			apply: found + "if ($user[0].Loaded -or $user[0].Special) { throw 'it is in use: log its user off, or restart' }\n$user[0].Delete()",
		})
	}
	switch {
	case temporary > 0 && len(changes) > 0:
		return changes, fmt.Sprintf("Temporary profiles (%d): sign their users in and find out why their own do not load, before you delete them.", temporary)
	case strings.Contains(f.Message, "(temporary)"):
		return nil, ""
	}
	return changes, ""
}

// isTemporary says whether evidence is of a profile that Windows made in the
// place of one that does not load: C:\Users\TEMP, TEMP.CORP, TEMP.CORP.000.
func isTemporary(e requirement.Evidence) bool {
	name, _, _ := strings.Cut(last(e.Data), ".")
	return strings.EqualFold(name, "TEMP") || strings.Contains(e.Note, "temporary")
}

// completePath adds what the machine's Path lacks. A Path that is not there, or
// whose variables Windows does not expand, is left to a person.
func completePath(f requirement.Finding, _ *report.Saved) ([]change, string) {
	if f.Status != requirement.Failed || len(f.Evidence) != 1 || strings.Contains(f.Message, "; its type is ") {
		return nil, ""
	}
	if e := f.Evidence[0]; !inHive(e, "SYSTEM") || !strings.EqualFold(e.Value, "Path") || !there(e) {
		return nil, ""
	}
	var changes []change
	for _, entry := range []struct{ folder, joined string }{
		{`\System32`, `$folder + ';' + $old`},
		{`\System32\WindowsPowerShell\v1.0`, `$old.TrimEnd(';') + ';' + $folder + '\'`},
	} {
		changes = append(changes, change{
			target:  "the machine's Path",
			action:  "add %SystemRoot%" + entry.folder,
			settled: fmt.Sprintf("if (@(Get-PathEntry) -contains ($env:SystemRoot + '%s')) { 'Path holds it' }", entry.folder),
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

// ofProtocol says whether all evidence is of values of that protocol.
func ofProtocol(f requirement.Finding, protocol string) bool {
	return !slices.ContainsFunc(f.Evidence, func(e requirement.Evidence) bool {
		return !inHive(e, "SYSTEM") || !hasSuffixFold(e.Key, `\Protocols\`+protocol+`\Client`) && !hasSuffixFold(e.Key, `\Protocols\`+protocol+`\Server`)
	})
}

// turnOnTLS12 writes both values for both sides, as Windows 7 needs them; later
// versions get only those changed that are written and turn the protocol off.
func turnOnTLS12(f requirement.Finding, s *report.Saved) (changes []change, rest string) {
	if !ofProtocol(f, "TLS 1.2") {
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
				settled += fmt.Sprintf("if ($found -eq $null) { 'it is not written, and Windows has the protocol on' }\nelseif (%s) { 'it is ' + $found }", value.good)
			}
			changes = append(changes, change{
				target:  `HKLM\` + key + `, ` + value.name,
				action:  fmt.Sprintf("set it to %d", value.data),
				settled: settled,
				apply: fmt.Sprintf("$opened = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('%s')\n$opened.SetValue('%s', [int]%d, 'DWord')\n$opened.Close()",
					key, value.name, value.data),
			})
		}
	}
	return changes, ""
}

// leaveSSL3ToWindows removes the values that turn SSL 3.0 off, so that the
// default of Windows holds. Nothing turns it on.
func leaveSSL3ToWindows(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	if !ofProtocol(f, "SSL 3.0") {
		return nil, ""
	}
	for _, side := range []string{"Client", "Server"} {
		for _, value := range []struct{ name, good string }{{"Enabled", "$found -ne 0"}, {"DisabledByDefault", "$found -eq 0"}} {
			key := schannel + `SSL 3.0\` + side
			changes = append(changes, change{
				target: `HKLM\` + key + `, ` + value.name,
				action: "remove it, so that the default of Windows holds",
				settled: fmt.Sprintf("$found = Get-MachineValue '%s' '%s'\nif ($found -eq $null) { 'it is not written' } elseif (%s) { 'it is ' + $found }",
					key, value.name, value.good),
				apply: fmt.Sprintf("$opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('%s', $true)\n$opened.DeleteValue('%s')\n$opened.Close()", key, value.name),
			})
		}
	}
	return changes, ""
}

// packageName is the full name of an AppX package: name, version, architecture,
// resource and publisher ([MS-APPX] and the documentation of PACKAGE_ID).
var packageName = regexp.MustCompile(`^[A-Za-z0-9.-]{3,50}_[0-9]+(\.[0-9]+){3}_[a-z0-9]+_[A-Za-z0-9.-]*_[a-hjkmnp-tv-z0-9]{13}$`)

// removeAppx removes the packages that are named as staged.
func removeAppx(f requirement.Finding, s *report.Saved) (changes []change, rest string) {
	if strings.HasPrefix(s.Platform.Version, "6.1.") { // no AppX there
		return nil, ""
	}
	for _, e := range f.Evidence {
		if !packageName.MatchString(e.Value) {
			continue // evidence of how the database was read
		}
		found := fmt.Sprintf("$package = @(Get-AppxPackage -AllUsers | Where-Object { $_.PackageFullName -eq %s })\n", psString(e.Value))
		changes = append(changes, change{
			target:  "AppX package " + e.Value,
			action:  "remove it",
			settled: found + "if ($package.Count -eq 0) { 'there is no such package' }",
			apply:   fmt.Sprintf("Remove-AppxPackage -Package %s\n", psString(e.Value)) + found + "if ($package.Count -ne 0) { throw 'it is still there: see the comment below' }",
		})
	}
	if len(changes) == 0 {
		return nil, ""
	}
	return changes, "If a package stays, or the finding names more than those: " + f.Outcome.Remediation
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
