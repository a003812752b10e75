# Made by coldcheck v1.2.3 from windows7.json, the report of a scan of
#   2026-03-02 08:00:00Z.
# For: WSAMZN-7F3K2Q1P, Windows Server 2008 R2 Datacenter 6.1.7601
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
# win.os.supported (failed, required)
# Windows Server 2008 R2 Datacenter (6.1.7601) is the system of public Windows
#   7 bundles, which have not supported custom images since January 14, 2020.
# By hand: Migrate the WorkSpace to a Windows 10 bundle, and create the image
#   from the new WorkSpace.

# ----------------------------------------------------------------------------
# win.tls.tls12 (failed, required)
# TLS 1.2 is off by default on Windows Server 2008 R2 Datacenter, and no
#   setting enables it for clients.

Invoke-Change 'win.tls.tls12' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client, Enabled' 'set it to 1' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client' 'Enabled'
    if ($found -ne $null -and $found -ne 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client')
    $opened.SetValue('Enabled', [int]1, 'DWord')
    $opened.Close()
}

Invoke-Change 'win.tls.tls12' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client, DisabledByDefault' 'set it to 0' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client' 'DisabledByDefault'
    if ($found -ne $null -and $found -eq 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client')
    $opened.SetValue('DisabledByDefault', [int]0, 'DWord')
    $opened.Close()
}

Invoke-Change 'win.tls.tls12' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server, Enabled' 'set it to 1' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server' 'Enabled'
    if ($found -ne $null -and $found -ne 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server')
    $opened.SetValue('Enabled', [int]1, 'DWord')
    $opened.Close()
}

Invoke-Change 'win.tls.tls12' 'HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server, DisabledByDefault' 'set it to 0' {
    $found = Get-MachineValue 'SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server' 'DisabledByDefault'
    if ($found -ne $null -and $found -eq 0) { 'it is ' + $found }
} {
    $opened = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey('SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server')
    $opened.SetValue('DisabledByDefault', [int]0, 'DWord')
    $opened.Close()
}

# ----------------------------------------------------------------------------
if ($failures -gt 0) { Write-Warning "changes that failed: $failures" }
Write-Host 'Findings to fix by hand, see the comments in this script: 1'
Write-Host 'Restart the WorkSpace, and scan new images of it.'
if ($failures -gt 0) { exit 1 }
