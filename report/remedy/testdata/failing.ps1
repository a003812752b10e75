# Made by coldcheck v1.2.3 from failing.json, the report of a scan of
#   2026-03-02 08:00:00Z.
# For: WSAMZN-7F3K2Q1P, Windows Server 2019 Datacenter 10.0.17763.4737
#
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
if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { throw 'Run this script in an elevated PowerShell.' }
if ($PSVersionTable.PSVersion.Major -gt 5) { throw 'Run this script in Windows PowerShell (powershell.exe), not in PowerShell 7.' }
if ($env:PROCESSOR_ARCHITEW6432) { throw 'Run this script in the 64-bit Windows PowerShell.' }
$computer = 'WSAMZN-7F3K2Q1P'
if ($env:COMPUTERNAME -ne $computer) { throw "This script is for $computer; this computer is $env:COMPUTERNAME." }

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

# ----------------------------------------------------------------------------
# win.profile.single (failed, required)
# 1 extra profile: C:\Users\deploy.

Invoke-Change 'win.profile.single' 'profile C:\Users\deploy (S-1-5-21-2918331530-3154801827-1405627319-1003)' 'delete the profile with all its files, for good' {
    $user = @(Get-WmiObject -Class Win32_UserProfile | Where-Object { $_.SID -eq 'S-1-5-21-2918331530-3154801827-1405627319-1003' })
    if ($user.Count -ne 1) { 'there is no such profile' }
    elseif ($user[0].LocalPath -ne [Environment]::ExpandEnvironmentVariables('C:\Users\deploy')) { 'the profile has another folder than in the report' }
} {
    $user = @(Get-WmiObject -Class Win32_UserProfile | Where-Object { $_.SID -eq 'S-1-5-21-2918331530-3154801827-1405627319-1003' })
    if ($user[0].Loaded -or $user[0].Special) { throw 'it is in use: log its user off, or restart' }
    $user[0].Delete()
}

# ----------------------------------------------------------------------------
# win.disk.c-free (failed, required)
# C: has 9.2 GiB free; more than 12 GiB is required.
# By hand: Free at least 2.8 GiB on drive C (Settings, System, Storage), or
#   enlarge the root volume.

# ----------------------------------------------------------------------------
# win.drives.only-c-d (failed, required)
# The user has 1 network drive: P: (\\files.corp.example.com\projects).

Invoke-Change 'win.drives.only-c-d' 'network drive P: (\\files.corp.example.com\projects)' 'disconnect it' {
    if (-not (Test-Path -Path 'HKCU:\Network\P')) { 'you have no such drive' }
    elseif ((Get-ItemProperty -Path 'HKCU:\Network\P').RemotePath -ne '\\files.corp.example.com\projects') { 'the drive has another target than in the report' }
} {
    & net.exe use 'P:' /delete /y | Out-Null
    # net use leaves a drive that is not connected in the registry.
    if (Test-Path -Path 'HKCU:\Network\P') { Remove-Item -Path 'HKCU:\Network\P' -Recurse }
}

# ----------------------------------------------------------------------------
# win.apps.on-c (failed, required)
# 1 program is not on drive C: Contoso Designer 2025 (D:\Apps\Designer\).
# By hand: Uninstall Contoso Designer 2025, then install it on drive C for all
#   users.

# ----------------------------------------------------------------------------
# win.services.domain-account (failed, required)
# 2 services run as a domain user: Backup (automatic, delayed) as
#   CORP\svc-backup, MSSQL$REPORTS (manual) as svc-sql@corp.example.com.

Invoke-Change 'win.services.domain-account' 'service Backup, which runs as CORP\svc-backup' 'run it under the Local System account' {
    $account = (Get-OneService 'Backup').StartName
    if ($account -ne 'CORP\svc-backup') { 'it runs as ' + $account + ', not under the account in the report' }
} {
    $service = Get-OneService 'Backup'
    Assert-Zero 'Change' 0 ($service.Change($null, $null, $null, $null, $null, $null, 'LocalSystem', '', $null, $null, $null))
}

Invoke-Change 'win.services.domain-account' 'service MSSQL$REPORTS, which runs as svc-sql@corp.example.com' 'run it under the Local System account' {
    $account = (Get-OneService 'MSSQL$REPORTS').StartName
    if ($account -ne 'svc-sql@corp.example.com') { 'it runs as ' + $account + ', not under the account in the report' }
} {
    $service = Get-OneService 'MSSQL$REPORTS'
    Assert-Zero 'Change' 0 ($service.Change($null, $null, $null, $null, $null, $null, 'LocalSystem', '', $null, $null, $null))
}

# ----------------------------------------------------------------------------
# win.powershell.execpolicy (failed, required)
# The execution policy is Restricted (scope LocalMachine).

Invoke-Change 'win.powershell.execpolicy' 'the execution policy of PowerShell, scope LocalMachine' 'set it to RemoteSigned' {
    $policy = (Get-ExecutionPolicy -Scope LocalMachine).ToString()
    if (@('RemoteSigned', 'Unrestricted') -contains $policy) { 'it is ' + $policy }
} {
    # Set-ExecutionPolicy also fails after it has set the policy, if the policy of
    # this process (-ExecutionPolicy Bypass) overrides it. So check the result.
    try { Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope LocalMachine -Force } catch { Write-Verbose ('' + $_) }
    if ((Get-ExecutionPolicy -Scope LocalMachine).ToString() -ne 'RemoteSigned') { throw 'the policy was not set' }
}

# ----------------------------------------------------------------------------
# win.reboot.pending (failed, required)
# A reboot is pending: the key RebootInProgress exists, package
#   Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.5329.1.4 is waiting to
#   be installed (state 0x60), WinSxS contains pending.xml.
# By hand: Restart the WorkSpace and install the remaining updates. Restart
#   again until no update requires it.

# ----------------------------------------------------------------------------
# win.upgrade.in-place (failed, required)
# Windows was upgraded in place from Windows Server 2016 Datacenter 1607 build
#   14393 to Windows Server 2019 Datacenter (10.0.17763.4737).
# By hand: Use a WorkSpace whose Windows was never upgraded to another
#   version.

# ----------------------------------------------------------------------------
# win.sysprep.file (failed, required)
# C:\ProgramData\Amazon\EC2-Windows\Launch\Sysprep\Unattend.xml, the answer
#   file of EC2Launch, is blank (4 bytes).
# By hand: Reinstall EC2Launch, or contact AWS Support.

# ----------------------------------------------------------------------------
# win.sysprep.compatible (failed, required)
# Windows was upgraded in place from Windows Server 2016 Datacenter 1607 build
#   14393 to Windows Server 2019 Datacenter (10.0.17763.4737). Other parts did
#   not pass either (details in HTML and JSON): last run.
# By hand: Use a WorkSpace whose Windows was never upgraded to another
#   version.

# ----------------------------------------------------------------------------
# win.rearm.nonzero (failed, required)
# Sysprep could not rearm Windows on 2026-02-20 10:31:17 local time: the rearm
#   count was 0 (0xC004D307, setuperr.log, line 3).
# By hand: Create the image from a WorkSpace with a newer image: the rearm
#   count never increases.

# ----------------------------------------------------------------------------
# win.net.dhcp (failed, required)
# 1 adapter has a fixed address: Ethernet 2 (AWS PV Network Device #1):
#   10.20.4.50.

Invoke-Change 'win.net.dhcp' 'network adapter {C40D2F88-7A16-4C39-B5E2-91F3A60D4B72}' 'obtain an IP address automatically (the connection may break for a while)' {
    $adapter = @(Get-WmiObject -Class Win32_NetworkAdapterConfiguration | Where-Object { $_.SettingID -eq '{C40D2F88-7A16-4C39-B5E2-91F3A60D4B72}' })
    if ($adapter.Count -ne 1) { 'there is no such adapter' } elseif ($adapter[0].DHCPEnabled) { 'it already uses DHCP' }
} {
    $adapter = @(Get-WmiObject -Class Win32_NetworkAdapterConfiguration | Where-Object { $_.SettingID -eq '{C40D2F88-7A16-4C39-B5E2-91F3A60D4B72}' })
    Assert-Zero 'EnableDHCP' 0, 1 ($adapter[0].EnableDHCP())
}

# ----------------------------------------------------------------------------
# win.winrm.auto (failed, required)
# Windows Remote Management starts manually; the start type must be automatic.

Invoke-Change 'win.winrm.auto' 'service WinRM' 'set the startup type to Automatic' {
    $mode = (Get-OneService 'WinRM').StartMode
    if (@('Auto') -contains $mode) { 'its startup type is ' + $mode }
} {
    Assert-Zero 'ChangeStartMode' 0 ((Get-OneService 'WinRM').ChangeStartMode('Automatic'))
}

# ----------------------------------------------------------------------------
# win.ssm.disabled (failed, required)
# Amazon SSM Agent starts automatically; the start type must be disabled.

Invoke-Change 'win.ssm.disabled' 'service AmazonSSMAgent' 'set the startup type to Disabled' {
    $mode = (Get-OneService 'AmazonSSMAgent').StartMode
    if (@('Disabled') -contains $mode) { 'its startup type is ' + $mode }
} {
    Assert-Zero 'ChangeStartMode' 0 ((Get-OneService 'AmazonSSMAgent').ChangeStartMode('Disabled'))
}

# ----------------------------------------------------------------------------
# win.env.path (failed, required)
# The system's Path does not contain
#   C:\Windows\System32\WindowsPowerShell\v1.0.

Invoke-Change 'win.env.path' 'the machine''s Path' 'add %SystemRoot%\System32' {
    if (@(Get-PathEntry) -contains ($env:SystemRoot + '\System32')) { 'Path contains it' }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($environmentKey, $true)
    $old = [string]$opened.GetValue('Path', '', 'DoNotExpandEnvironmentNames')
    $kind = $opened.GetValueKind('Path')
    $folder = '%SystemRoot%\System32'
    if ($kind -ne 'ExpandString') { $folder = [Environment]::ExpandEnvironmentVariables($folder) }
    $opened.SetValue('Path', ($folder + ';' + $old), $kind)
    $opened.Close()
}

Invoke-Change 'win.env.path' 'the machine''s Path' 'add %SystemRoot%\System32\WindowsPowerShell\v1.0' {
    if (@(Get-PathEntry) -contains ($env:SystemRoot + '\System32\WindowsPowerShell\v1.0')) { 'Path contains it' }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($environmentKey, $true)
    $old = [string]$opened.GetValue('Path', '', 'DoNotExpandEnvironmentNames')
    $kind = $opened.GetValueKind('Path')
    $folder = '%SystemRoot%\System32\WindowsPowerShell\v1.0'
    if ($kind -ne 'ExpandString') { $folder = [Environment]::ExpandEnvironmentVariables($folder) }
    $opened.SetValue('Path', ($old.TrimEnd(';') + ';' + $folder + '\'), $kind)
    $opened.Close()
}

# ----------------------------------------------------------------------------
# win.tls.ssl3 (failed, required)
# SSL 3.0 is disabled for clients (Enabled is 0).

Invoke-Change 'win.tls.ssl3' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client, Enabled' 'delete the value, so that the default of Windows applies' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client' 'Enabled'
    if ($found -eq $null) { 'the value does not exist' } elseif ($found -ne 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client', $true)
    $opened.DeleteValue('Enabled')
    $opened.Close()
}

Invoke-Change 'win.tls.ssl3' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client, DisabledByDefault' 'delete the value, so that the default of Windows applies' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client' 'DisabledByDefault'
    if ($found -eq $null) { 'the value does not exist' } elseif ($found -eq 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client', $true)
    $opened.DeleteValue('DisabledByDefault')
    $opened.Close()
}

Invoke-Change 'win.tls.ssl3' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Server, Enabled' 'delete the value, so that the default of Windows applies' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Server' 'Enabled'
    if ($found -eq $null) { 'the value does not exist' } elseif ($found -ne 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Server', $true)
    $opened.DeleteValue('Enabled')
    $opened.Close()
}

Invoke-Change 'win.tls.ssl3' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Server, DisabledByDefault' 'delete the value, so that the default of Windows applies' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Server' 'DisabledByDefault'
    if ($found -eq $null) { 'the value does not exist' } elseif ($found -eq 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Server', $true)
    $opened.DeleteValue('DisabledByDefault')
    $opened.Close()
}

# ----------------------------------------------------------------------------
# win.appx.staged (failed, required)
# 1 AppX package is in a staged state:
#   Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe.

Invoke-Change 'win.appx.staged' 'AppX package Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe' 'remove it' {
    $package = @(Get-AppxPackage -AllUsers | Where-Object { $_.PackageFullName -eq 'Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe' })
    if ($package.Count -eq 0) { 'there is no such package' }
} {
    Remove-AppxPackage -Package 'Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe'
    $package = @(Get-AppxPackage -AllUsers | Where-Object { $_.PackageFullName -eq 'Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe' })
    if ($package.Count -ne 0) { throw 'it is still there: see the comment below' }
}
# By hand: If a package remains, or the finding names others: In an elevated
#   PowerShell, as the WorkSpace's user, run Remove-AppxPackage -Package
#   Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe.

# ----------------------------------------------------------------------------
# win.component.pv-drivers (failed, required)
# 1 driver does not load: the file of xennet is missing
#   (C:\Windows\System32\drivers\xennet.sys).
# By hand: Reinstall the AWS PV drivers and restart.

# ----------------------------------------------------------------------------
if ($failures -gt 0) { Write-Warning "changes that failed: $failures" }
Write-Host 'Findings to fix by hand, see the comments in this script: 9'
Write-Host 'Restart the WorkSpace, and scan new images of it.'
if ($failures -gt 0) { exit 1 }
