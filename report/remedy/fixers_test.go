package remedy

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// valueOf reads an expression that psString writes, by PowerShell's rules.
func valueOf(t *testing.T, expression string) string {
	t.Helper()
	inner, joined := strings.CutPrefix(expression, "(")
	if joined {
		inner = strings.TrimSuffix(inner, ")")
	}
	part := regexp.MustCompile(`^(?:'((?:[^'\n]|'')*)'|\[char\]0x([0-9A-F]{4}))(?: \+ |$)`)
	var units []uint16
	for inner != "" {
		m := part.FindStringSubmatch(inner)
		if m == nil {
			t.Fatalf("%q goes on with %q", expression, inner)
		}
		if m[2] == "" {
			units = append(units, utf16.Encode([]rune(strings.ReplaceAll(m[1], "''", "'")))...)
		} else if n, err := strconv.ParseUint(m[2], 16, 16); err != nil {
			t.Fatal(err)
		} else {
			units = append(units, uint16(n))
		}
		inner = inner[len(m[0]):]
	}
	return string(utf16.Decode(units))
}

func TestPSString(t *testing.T) {
	for s, want := range map[string]string{
		"":               "''",
		"a b":            "'a b'",
		"it's":           "'it''s'",
		"$(x) `n \"":     "'$(x) `n \"'",
		"\u2019":         "('' + [char]0x2019)",
		"a\nb":           "('' + 'a' + [char]0x000A + 'b')",
		"\U0001f600":     "('' + [char]0xD83D + [char]0xDE00)",
		"'\u201c'":       "('' + '''' + [char]0x201C + '''')",
		"[char]0x41":     "'[char]0x41'",
		"' + (x) + '":    "''' + (x) + '''",
		"\x00\x7f\u0085": "('' + [char]0x0000 + [char]0x007F + [char]0x0085)",
	} {
		if got := psString(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
	for _, s := range evil {
		if got := valueOf(t, psString(s)); got != s {
			t.Errorf("%q reads as %q", s, got)
		}
	}
}

// No string gets out of its literal, and each is what it was.
func FuzzPSString(f *testing.F) {
	for _, s := range evil {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := valueOf(t, psString(s)), strings.ToValidUTF8(s, "\ufffd"); got != want && !strings.Contains(want, "\ufffd") {
			t.Errorf("%q reads as %q", s, got)
		}
	})
}

const systemHive = "Windows/System32/config/SYSTEM"

func value(path, key, name, data string) requirement.Evidence {
	return requirement.Evidence{Source: "root", Path: path, Key: key, Value: name, Data: data}
}

// A fix is offered for what the finding says in the form in which Windows or
// systemd write it, and for nothing else.
func TestFixers(t *testing.T) {
	const (
		software = "Windows/System32/config/SOFTWARE"
		user     = "Users/jdoe/NTUSER.DAT"
		services = `ControlSet001\Services\`
		tcpip    = services + `Tcpip\Parameters\Interfaces\`
		list     = `Microsoft\Windows NT\CurrentVersion\ProfileList\`
		shellIDs = `Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell`
		tls      = `ControlSet001\Control\SecurityProviders\SCHANNEL\Protocols\`
		guid1    = "{C40D2F88-7A16-4C39-B5E2-91F3A60D4B72}"
		sid      = "S-1-5-21-2918331530-3154801827-1405627319-1003"
		extra    = `1 profile beside the user's and the Administrator's: C:\Users\deploy`
		wants    = "etc/systemd/system/multi-user.target.wants/"
	)
	start := value(systemHive, services+"WinRM", "Start", "3")
	type evidence = []requirement.Evidence
	note := func(e requirement.Evidence, note string) requirement.Evidence {
		e.Data, e.Note = "", note
		return e
	}
	in := func(source string, e requirement.Evidence) requirement.Evidence {
		e.Source = source
		return e
	}
	for name, c := range map[string]struct {
		id, message, remediation string
		status                   requirement.Status // "" for failed
		evidence                 evidence
		version                  string
		changes                  int
		byHand                   bool   // beside the changes
		has                      string // what is in the first change's code
	}{
		"a start type":                        {id: "win.winrm.auto", evidence: evidence{start}, changes: 1, has: "ChangeStartMode('Automatic')"},
		"no start type":                       {id: "win.winrm.auto", evidence: evidence{note(start, "not found")}},
		"a start type of another service":     {id: "win.winrm.auto", evidence: evidence{value(systemHive, services+"WinDefend", "Start", "3")}},
		"a start type in another hive":        {id: "win.winrm.auto", evidence: evidence{value(software, services+"WinRM", "Start", "3")}},
		"a start type on the user volume":     {id: "win.winrm.auto", evidence: evidence{in("user", start)}},
		"a start type that a policy writes":   {id: "win.winrm.auto", status: requirement.Warning, evidence: evidence{start, start}},
		"a service that is gone":              {id: "win.winrm.auto", evidence: evidence{{Source: "root", Path: systemHive, Key: services + "WinRM", Note: "not found"}}},
		"a remote desktop without a program":  {id: "win.rds.enabled", evidence: evidence{value(systemHive, services+`TermService\Parameters`, "ServiceDll", "x"), {Source: "root", Path: "x"}}},
		"remote desktop, disabled":            {id: "win.rds.enabled", evidence: evidence{value(systemHive, services+"TermService", "Start", "4")}, changes: 1, has: "ChangeStartMode('Manual')"},
		"domain accounts":                     {id: "win.services.domain-account", evidence: evidence{value(systemHive, services+"A", "ObjectName", `C\a`), value(systemHive, services+"B", "ObjectName", `C\b`)}, changes: 2, has: "'LocalSystem'"},
		"domain accounts of what is disabled": {id: "win.services.domain-account", status: requirement.Warning, evidence: evidence{value(systemHive, services+"A", "ObjectName", `C\a`)}},
		"another value of a service":          {id: "win.services.domain-account", evidence: evidence{value(systemHive, services+"A", "ImagePath", `x`)}},
		"policy of the machine":               {id: "win.powershell.execpolicy", evidence: evidence{value(software, shellIDs, "ExecutionPolicy", "Restricted")}, changes: 1, has: "-Scope LocalMachine -Force"},
		"policy of the user":                  {id: "win.powershell.execpolicy", evidence: evidence{in("user", value(user, `Software\`+shellIDs, "ExecutionPolicy", "Restricted"))}, changes: 1, has: "-Scope CurrentUser -Force"},
		"policy set nowhere":                  {id: "win.powershell.execpolicy", evidence: evidence{note(value(software, shellIDs, "ExecutionPolicy", ""), "not found")}, changes: 1, has: "-Scope LocalMachine -Force"},
		"policy of a Group Policy":            {id: "win.powershell.execpolicy", evidence: evidence{value(software, `Policies\Microsoft\Windows\PowerShell`, "EnableScripts", "0")}},
		"policy in a variable":                {id: "win.powershell.execpolicy", evidence: evidence{value(systemHive, `ControlSet001\Control\Session Manager\Environment`, "PSExecutionPolicyPreference", "AllSigned")}},
		"policy that is laxer":                {id: "win.powershell.execpolicy", status: requirement.Warning, evidence: evidence{value(software, shellIDs, "ExecutionPolicy", "Bypass")}},
		"a fixed address":                     {id: "win.net.dhcp", evidence: evidence{value(systemHive, tcpip+guid1, "EnableDHCP", "0"), value(systemHive, tcpip+guid1, "IPAddress", "10.0.0.1")}, changes: 1, has: "EnableDHCP()"},
		"a fixed address of no adapter":       {id: "win.net.dhcp", evidence: evidence{value(systemHive, tcpip+"{x}", "EnableDHCP", "0")}},
		"a fixed address beside DHCP":         {id: "win.net.dhcp", status: requirement.Warning, evidence: evidence{value(systemHive, tcpip+guid1, "IPAddress", "10.0.0.1")}},
		"a network drive":                     {id: "win.drives.only-c-d", evidence: evidence{in("user", value(user, `Network\p`, "RemotePath", `\\a\b`))}, changes: 1, has: "net.exe use 'P:' /delete /y"},
		"a network drive and a disk":          {id: "win.drives.only-c-d", evidence: evidence{in("user", value(user, `Network\p`, "RemotePath", `\\a\b`)), value(systemHive, "MountedDevices", `\DosDevices\E:`, "x")}},
		"a network drive of no letter":        {id: "win.drives.only-c-d", evidence: evidence{in("user", value(user, `Network\pq`, "RemotePath", `\\a\b`))}},
		"a profile":                           {id: "win.profile.single", message: extra, evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\Users\deploy`)}, changes: 1, has: "$user[0].Delete()"},
		"a profile of the system":             {id: "win.profile.single", message: extra, evidence: evidence{value(software, list+"S-1-5-18", "ProfileImagePath", `C:\x`)}},
		"half of a damaged pair":              {id: "win.profile.single", message: extra, evidence: evidence{value(software, list+sid+".bak", "ProfileImagePath", `C:\x`)}},
		"the other half of a damaged pair":    {id: "win.profile.single", message: extra + " (a corrupt pair: x and x.bak)", evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\x`)}},
		"a temporary profile":                 {id: "win.profile.single", message: extra + " (temporary)", evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\x`)}},
		"a profile and a temporary one, beyond what the message names": {id: "win.profile.single", message: extra + " and 1 more",
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\Users\deploy`), value(software, list+sid+"0", "ProfileImagePath", `C:\Users\TEMP.CORP.000`)}, changes: 1, byHand: true, has: "$user[0].Delete()"},
		"only a temporary one":                {id: "win.profile.single", message: extra, evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\Users\TEMP`)}},
		"a temporary one by its note":         {id: "win.profile.single", message: extra, evidence: evidence{note(value(software, list+sid, "ProfileImagePath", `C:\Users\x`), "a temporary profile")}},
		"profiles of which one is the user's": {id: "win.profile.single", message: "more than one profile may be the user's: a, b", evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\x`)}},
		"a Path":                              {id: "win.env.path", evidence: evidence{value(systemHive, `C\Environment`, "Path", "x")}, changes: 2, has: `'\System32')`},
		"a Path that is not expanded":         {id: "win.env.path", message: "x; its type is REG_SZ, so", evidence: evidence{value(systemHive, `C\Environment`, "Path", "x")}},
		"no Path":                             {id: "win.env.path", evidence: evidence{note(value(systemHive, `C\Environment`, "Path", ""), "not found")}},
		"TLS 1.2 on a later Windows":          {id: "win.tls.tls12", evidence: evidence{value(systemHive, tls+`TLS 1.2\Server`, "Enabled", "0")}, changes: 4, has: "Windows has the protocol on"},
		"TLS 1.2 on Windows 7":                {id: "win.tls.tls12", version: "6.1.7601", evidence: evidence{note(value(systemHive, tls+`TLS 1.2\Client`, "Enabled", ""), "not found")}, changes: 4, has: "if ($found -ne $null -and $found -ne 0)"},
		"evidence of another protocol":        {id: "win.tls.tls12", evidence: evidence{value(systemHive, tls+`SSL 2.0\Server`, "Enabled", "0")}},
		"SSL 3.0":                             {id: "win.tls.ssl3", evidence: evidence{value(systemHive, tls+`SSL 3.0\Server`, "Enabled", "0")}, changes: 4, has: "DeleteValue('Enabled')"},
		"a staged package":                    {id: "win.appx.staged", evidence: evidence{{Source: "root", Path: "x.srd", Value: "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe"}, {Source: "root", Path: "x.srd", Value: "PackageUser.DeploymentState"}}, changes: 1, has: "Remove-AppxPackage -Package 'Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe'"},
		"a package of another form":           {id: "win.appx.staged", evidence: evidence{{Source: "root", Path: "x.srd", Value: "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe; calc"}}},
		"a package on Windows 7":              {id: "win.appx.staged", version: "6.1.7601", evidence: evidence{{Source: "root", Path: "x.srd", Value: "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe"}}},
		"a unit":                              {id: "linux.component.skylight", remediation: "sudo systemctl enable skylight-agent.service", changes: 1, has: "systemctl enable -- skylight-agent.service"},
		"a masked unit":                       {id: "linux.component.skylight", remediation: "sudo systemctl unmask skylight-agent.service && sudo systemctl enable skylight-agent.service", changes: 1, has: "systemctl unmask -- skylight-agent.service && systemctl enable"},
		"a unit of another component":         {id: "linux.component.skylight", remediation: "sudo systemctl enable sshd.service"},
		"two units":                           {id: "linux.component.skylight", remediation: "sudo systemctl unmask sshd.service && sudo systemctl enable skylight-agent.service"},
		"something else to do":                {id: "linux.component.skylight", remediation: "sudo systemctl enable skylight-agent.service; reboot"},
		"antivirus":                           {id: "linux.bp.antivirus", status: requirement.Warning, evidence: evidence{{Source: "root", Path: wants + "ds_agent.service"}, {Source: "root", Path: "etc/systemd/system/graphical.target.wants/ds_agent.service"}}, changes: 1, has: "systemctl disable -- ds_agent.service"},
		"a unit whose name is an option":      {id: "linux.bp.antivirus", status: requirement.Warning, evidence: evidence{{Source: "root", Path: wants + "--now.service"}}},
		"a unit whose name is code":           {id: "linux.bp.antivirus", status: requirement.Warning, evidence: evidence{{Source: "root", Path: wants + "a$(calc).service"}}},
		"a file that enables nothing":         {id: "linux.bp.antivirus", status: requirement.Warning, evidence: evidence{{Source: "root", Path: "etc/x/sshd.service"}}},
		"a cache":                             {id: "linux.bp.cache", status: requirement.Warning, evidence: evidence{{Source: "root", Path: "root/.cache"}}, changes: 1, has: "rm -rf -- /root/.cache"},
		"a cache that is none":                {id: "linux.bp.cache", status: requirement.Warning, evidence: evidence{{Source: "root", Path: "root/.cache"}, {Source: "root", Path: "root/.cache/../../etc"}}},
		"a cache on the user volume":          {id: "linux.bp.cache", status: requirement.Warning, evidence: evidence{{Source: "user", Path: "root/.cache"}}},
		"a finding that no script fixes":      {id: "win.disk.c-free", evidence: evidence{{Source: "root", Path: "$Bitmap"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := requirement.Finding{
				Requirement: requirement.Requirement{ID: c.id, Severity: requirement.Required},
				Outcome:     requirement.Outcome{Status: requirement.Failed, Message: c.message, Remediation: c.remediation, Evidence: c.evidence},
			}
			if c.status != "" {
				f.Status = c.status
			}
			if f.Outcome.Remediation == "" {
				f.Outcome.Remediation = "do it by hand"
			}
			s := &report.Saved{Platform: scanner.Platform{Family: "windows", Version: "10.0.17763", UserName: `CORP\jdoe`}, Findings: []requirement.Finding{f}}
			if strings.HasPrefix(c.id, "linux.") {
				s.Platform.Family = "linux"
			}
			if c.version != "" {
				s.Platform.Version = c.version
			}
			text, sum := script(t, s)
			if sum.Changes != c.changes || !strings.Contains(text, c.has) {
				t.Errorf("%d changes, want %d with %q:\n%s", sum.Changes, c.changes, c.has, text)
			}
			if byHand := strings.Contains(text, "\n# By hand: "); byHand != (c.changes == 0 || c.byHand || c.id == "win.appx.staged") || byHand != (len(sum.ByHand) == 1) {
				t.Errorf("left to a person: %t, %q:\n%s", byHand, sum.ByHand, text)
			}
		})
	}
}

// The user's own execution policy is set for the user of the report alone.
func TestExecutionPolicyOfWhom(t *testing.T) {
	f := requirement.Finding{
		Requirement: requirement.Requirement{ID: "win.powershell.execpolicy", Severity: requirement.Required},
		Outcome: requirement.Outcome{Status: requirement.Failed, Remediation: "by hand", Evidence: []requirement.Evidence{
			{Source: "user", Path: "Users/jdoe/NTUSER.DAT", Key: `Software\Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell`, Value: "ExecutionPolicy", Data: "Restricted"},
		}},
	}
	s := &report.Saved{Platform: scanner.Platform{Family: "windows", UserName: `CORP\o'neil`}, Findings: []requirement.Finding{f}}
	if text, _ := script(t, s); !strings.Contains(text, `if ($env:USERNAME -ne 'o''neil') { throw`) {
		t.Error(text)
	}
	s.Platform.UserName = ""
	if _, sum := script(t, s); sum.Changes != 0 {
		t.Errorf("%+v", sum)
	}
}
