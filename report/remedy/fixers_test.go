package remedy

import (
	"fmt"
	"regexp"
	"slices"
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
		if got, want := valueOf(t, psString(s)), strings.ToValidUTF8(s, "\ufffd"); got != want &&
			!strings.Contains(want, "\ufffd") {
			t.Errorf("%q reads as %q", s, got)
		}
	})
}

const systemHive = "Windows/System32/config/SYSTEM"

func value(path, key, name, data string) requirement.Evidence {
	return requirement.Evidence{
		Kind: requirement.KindValue, Origin: requirement.OriginDisk, Found: true,
		Source: "root", Path: path, Key: key, Value: name, Data: data,
	}
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
		e.Data, e.Note, e.Found = "", note, false
		return e
	}
	about := func(kind requirement.SubjectKind, id string, reason requirement.Reason, value string) []requirement.Subject {
		return []requirement.Subject{{Kind: kind, ID: id, Reason: reason, Value: value}}
	}
	policy := func(scope string, reason requirement.Reason) []requirement.Subject {
		return about(requirement.SubjectSetting, scope+".ExecutionPolicy", reason, "Restricted")
	}
	profile := func(sid string, reason requirement.Reason) []requirement.Subject {
		return about(requirement.SubjectProfile, sid, reason, `C:\Users\deploy`)
	}
	in := func(source string, e requirement.Evidence) requirement.Evidence {
		e.Source = source
		return e
	}
	unit := func(name string, reason requirement.Reason) []requirement.Subject {
		return about(requirement.SubjectUnit, name, reason, "")
	}
	folder := func(name string) []requirement.Subject {
		return about(requirement.SubjectFolder, name, requirement.ReasonPresent, "")
	}
	for name, c := range map[string]struct {
		id, message, remediation string
		status                   requirement.Status // "" for failed
		evidence                 evidence
		about                    []requirement.Subject
		version                  string
		changes                  int
		byHand                   bool   // in addition to the changes
		has                      string // what is in the first change's code
	}{
		"a start type": {id: "win.winrm.auto", evidence: evidence{start}, changes: 1,
			has:   "ChangeStartMode('Automatic')",
			about: about(requirement.SubjectService, "WinRM", requirement.ReasonStartType, "manual")},
		"no start type": {id: "win.winrm.auto", evidence: evidence{note(start, "not found")},
			about: about(requirement.SubjectService, "WinRM", requirement.ReasonDamaged, "")},
		"a start type of another service": {id: "win.winrm.auto",
			evidence: evidence{value(systemHive, services+"WinDefend", "Start", "3")},
			about:    about(requirement.SubjectService, "WinDefend", requirement.ReasonStartType, "")},
		"a start type in another hive": {id: "win.winrm.auto",
			evidence: evidence{value(software, services+"WinRM", "Start", "3")},
			about:    about(requirement.SubjectService, "WinRM", requirement.ReasonStartType, "")},
		"a start type on the user volume": {id: "win.winrm.auto", evidence: evidence{in("user", start)},
			about: about(requirement.SubjectService, "WinRM", requirement.ReasonStartType, "")},
		"a start type that a policy writes": {id: "win.winrm.auto", status: requirement.Warning,
			evidence: evidence{start, start}, about: about(requirement.SubjectService, "WinRM", requirement.ReasonPolicy, "")},
		"a service that is gone": {id: "win.winrm.auto",
			evidence: evidence{{Source: "root", Path: systemHive, Key: services + "WinRM", Note: "not found"}},
			about:    about(requirement.SubjectService, "WinRM", requirement.ReasonMissing, "")},
		"a remote desktop without a program": {id: "win.rds.enabled",
			evidence: evidence{value(systemHive, services+`TermService\Parameters`, "ServiceDll", "x"),
				{Source: "root", Path: "x"}}, about: about(requirement.SubjectService, "TermService", requirement.ReasonDamaged,
				"")},
		"remote desktop, disabled": {id: "win.rds.enabled",
			evidence: evidence{value(systemHive, services+"TermService", "Start", "4")}, changes: 1,
			has:   "ChangeStartMode('Manual')",
			about: about(requirement.SubjectService, "TermService", requirement.ReasonStartType, "")},
		"domain accounts": {id: "win.services.domain-account",
			evidence: evidence{value(systemHive, services+"A", "ObjectName", `C\a`),
				value(systemHive, services+"B", "ObjectName", `C\b`)}, changes: 2, has: "'LocalSystem'",
			about: slices.Concat(about(requirement.SubjectService, "A", requirement.ReasonAccount, `C\a`),
				about(requirement.SubjectService, "B", requirement.ReasonAccount, `C\b`))},
		"domain accounts of what is disabled": {id: "win.services.domain-account", status: requirement.Warning,
			evidence: evidence{value(systemHive, services+"A", "ObjectName", `C\a`)},
			about:    about(requirement.SubjectService, "A", requirement.ReasonDisabled, `C\a`)},
		"another value of a service": {id: "win.services.domain-account",
			evidence: evidence{value(systemHive, services+"A", "ImagePath", `x`)},
			about:    about(requirement.SubjectService, "A", requirement.ReasonAccount, `C\a`)},
		"policy of the machine": {id: "win.powershell.execpolicy",
			evidence: evidence{value(software, shellIDs, "ExecutionPolicy", "Restricted")}, changes: 1,
			has: "-Scope LocalMachine -Force", about: policy("LocalMachine", requirement.ReasonValue)},
		"policy of the user": {id: "win.powershell.execpolicy",
			evidence: evidence{in("user", value(user, `Software\`+shellIDs, "ExecutionPolicy", "Restricted"))}, changes: 1,
			has: "-Scope CurrentUser -Force", about: policy("CurrentUser", requirement.ReasonValue)},
		"policy set nowhere": {id: "win.powershell.execpolicy",
			evidence: evidence{note(value(software, shellIDs, "ExecutionPolicy", ""), "not found")}, changes: 1,
			has: "-Scope LocalMachine -Force", about: policy("LocalMachine", requirement.ReasonMissing)},
		"policy of a Group Policy": {id: "win.powershell.execpolicy",
			evidence: evidence{value(software, `Policies\Microsoft\Windows\PowerShell`, "EnableScripts", "0")},
			about:    policy("MachinePolicy", requirement.ReasonPolicy)},
		"policy in a variable": {id: "win.powershell.execpolicy",
			evidence: evidence{value(systemHive, `ControlSet001\Control\Session Manager\Environment`,
				"PSExecutionPolicyPreference", "AllSigned")}, about: policy("Process", requirement.ReasonPolicy)},
		"policy that is laxer": {id: "win.powershell.execpolicy", status: requirement.Warning,
			evidence: evidence{value(software, shellIDs, "ExecutionPolicy", "Bypass")},
			about:    policy("LocalMachine", requirement.ReasonValue)},
		"a fixed address": {id: "win.net.dhcp",
			evidence: evidence{value(systemHive, tcpip+guid1, "EnableDHCP", "0"),
				value(systemHive, tcpip+guid1, "IPAddress", "10.0.0.1")}, changes: 1, has: "EnableDHCP()",
			about: about(requirement.SubjectAdapter, guid1, requirement.ReasonStatic, "10.0.0.1")},
		"a fixed address of no adapter": {id: "win.net.dhcp",
			evidence: evidence{value(systemHive, tcpip+"{x}", "EnableDHCP", "0")},
			about:    about(requirement.SubjectAdapter, "{x}", requirement.ReasonStatic, "10.0.0.1")},
		"a fixed address beside DHCP": {id: "win.net.dhcp", status: requirement.Warning,
			evidence: evidence{value(systemHive, tcpip+guid1, "IPAddress", "10.0.0.1")},
			about:    about(requirement.SubjectAdapter, guid1, requirement.ReasonStatic, "10.0.0.1")},
		"a network drive": {id: "win.drives.only-c-d",
			evidence: evidence{in("user", value(user, `Network\p`, "RemotePath", `\\a\b`))}, changes: 1,
			has: "net.exe use 'P:' /delete /y", about: about(requirement.SubjectDrive, "P", requirement.ReasonMapped, `\\a\b`)},
		"a network drive and a disk": {id: "win.drives.only-c-d",
			evidence: evidence{in("user", value(user, `Network\p`, "RemotePath", `\\a\b`)),
				value(systemHive, "MountedDevices", `\DosDevices\E:`, "x")},
			about: slices.Concat(about(requirement.SubjectDrive, "P", requirement.ReasonMapped, `\\a\b`),
				about(requirement.SubjectDrive, "E", requirement.ReasonPresent, "x"))},
		"a network drive of no letter": {id: "win.drives.only-c-d",
			evidence: evidence{in("user", value(user, `Network\pq`, "RemotePath", `\\a\b`))},
			about:    about(requirement.SubjectDrive, "PQ", requirement.ReasonMapped, `\\a\b`)},
		"a profile": {id: "win.profile.single", message: extra,
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\Users\deploy`)}, changes: 1,
			has: "$user[0].Delete()", about: profile(sid, requirement.ReasonExtra)},
		"a profile of the system": {id: "win.profile.single", message: extra,
			evidence: evidence{value(software, list+"S-1-5-18", "ProfileImagePath", `C:\x`)},
			about:    profile("S-1-5-18", requirement.ReasonExtra)},
		"half of a damaged pair": {id: "win.profile.single", message: extra,
			evidence: evidence{value(software, list+sid+".bak", "ProfileImagePath", `C:\x`)},
			about:    profile(sid, requirement.ReasonDamaged)},
		"the other half of a damaged pair": {id: "win.profile.single", message: extra + " (a corrupt pair: x and x.bak)",
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\x`)},
			about:    slices.Concat(profile(sid, requirement.ReasonExtra), profile(sid, requirement.ReasonDamaged))},
		"a temporary profile": {id: "win.profile.single", message: extra + " (temporary)",
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\x`)},
			about:    profile(sid, requirement.ReasonTemporary)},
		"a profile and a temporary one, beyond what the message names": {id: "win.profile.single",
			message: extra + " and 1 more",
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\Users\deploy`),
				value(software, list+sid+"0", "ProfileImagePath", `C:\Users\TEMP.CORP.000`)}, changes: 1, byHand: true,
			has: "$user[0].Delete()", about: slices.Concat(profile(sid, requirement.ReasonExtra),
				profile(sid+"0", requirement.ReasonTemporary))},
		"only a temporary one": {id: "win.profile.single", message: extra,
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\Users\TEMP`)},
			about:    profile(sid, requirement.ReasonTemporary)},
		"a temporary one by its note": {id: "win.profile.single", message: extra,
			evidence: evidence{note(value(software, list+sid, "ProfileImagePath", `C:\Users\x`), "a temporary profile")},
			about:    profile(sid, requirement.ReasonTemporary)},
		"profiles of which one is the user's": {id: "win.profile.single",
			message:  "more than one profile may be the user's: a, b",
			evidence: evidence{value(software, list+sid, "ProfileImagePath", `C:\x`)},
			about:    profile(sid, requirement.ReasonAmbiguous)},
		"a Path": {id: "win.env.path",
			evidence: evidence{value(systemHive, `C\Environment`, "Path", "x")}, changes: 2, has: `'\System32')`,
			about: about(requirement.SubjectSetting, "Path", requirement.ReasonValue, "x")},
		"a Path that is not expanded": {id: "win.env.path", message: "x; its type is REG_SZ, so",
			evidence: evidence{value(systemHive, `C\Environment`, "Path", "x")},
			about:    about(requirement.SubjectSetting, "Path", requirement.ReasonDamaged, "x")},
		"no Path": {id: "win.env.path",
			evidence: evidence{note(value(systemHive, `C\Environment`, "Path", ""), "not found")},
			about:    about(requirement.SubjectSetting, "Path", requirement.ReasonMissing, "")},
		"TLS 1.2 on a later Windows": {id: "win.tls.tls12",
			evidence: evidence{value(systemHive, tls+`TLS 1.2\Server`, "Enabled", "0")}, changes: 4,
			has:   "the protocol is on by default",
			about: about(requirement.SubjectProtocol, "TLS 1.2", requirement.ReasonDisabled, "Server")},
		"TLS 1.2 on Windows 7": {id: "win.tls.tls12", version: "6.1.7601",
			evidence: evidence{note(value(systemHive, tls+`TLS 1.2\Client`, "Enabled", ""), "not found")}, changes: 4,
			has:   "if ($found -ne $null -and $found -ne 0)",
			about: about(requirement.SubjectProtocol, "TLS 1.2", requirement.ReasonDisabled, "Client")},
		"evidence of another protocol": {id: "win.tls.tls12",
			evidence: evidence{value(systemHive, tls+`SSL 2.0\Server`, "Enabled", "0")},
			about:    about(requirement.SubjectProtocol, "SSL 2.0", requirement.ReasonDisabled, "Server")},
		"SSL 3.0": {id: "win.tls.ssl3",
			evidence: evidence{value(systemHive, tls+`SSL 3.0\Server`, "Enabled", "0")}, changes: 4,
			has:   "DeleteValue('Enabled')",
			about: about(requirement.SubjectProtocol, "SSL 3.0", requirement.ReasonDisabled, "Server")},
		"a staged package": {id: "win.appx.staged",
			evidence: evidence{{Source: "root", Path: "x.srd", Value: "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe"},
				{Source: "root", Path: "x.srd", Value: "PackageUser.DeploymentState"}}, changes: 1,
			has:   "Remove-AppxPackage -Package 'Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe'",
			about: about(requirement.SubjectPackage, "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe", requirement.ReasonStaged, "")},
		"a package of another form": {id: "win.appx.staged",
			evidence: evidence{{Source: "root", Path: "x.srd", Value: "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe; calc"}},
			about: about(requirement.SubjectPackage, "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe; calc",
				requirement.ReasonStaged, "")},
		"a package on Windows 7": {id: "win.appx.staged", version: "6.1.7601",
			evidence: evidence{{Source: "root", Path: "x.srd", Value: "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe"}},
			about: about(requirement.SubjectPackage, "Contoso.Reader_4.1.0.0_x64__8wekyb3d8bbwe", requirement.ReasonStaged,
				"")},
		"a unit": {id: "linux.component.skylight",
			about: unit("skylight-agent.service", requirement.ReasonDisabled), changes: 1,
			has: "systemctl enable -- skylight-agent.service"},
		"a masked unit": {id: "linux.component.skylight",
			about: unit("skylight-agent.service", requirement.ReasonMasked), changes: 1,
			has: "systemctl unmask -- skylight-agent.service && systemctl enable"},
		"a unit of another component": {id: "linux.component.skylight",
			about: unit("sshd.service", requirement.ReasonDisabled)},
		"two units": {id: "linux.component.skylight",
			about: append(unit("sshd.service", requirement.ReasonMasked),
				unit("skylight-agent.service", requirement.ReasonDisabled)...)},
		"something else to do": {id: "linux.component.skylight",
			about: unit("skylight-agent.service", requirement.ReasonBlocked)},
		"a unit that the kernel masks": {id: "linux.component.skylight",
			about: unit("skylight-agent.service", requirement.ReasonBoot)},
		"a service of that name": {id: "linux.component.skylight",
			about: []requirement.Subject{{Kind: requirement.SubjectService, ID: "skylight-agent.service",
				Reason: requirement.ReasonDisabled}}},
		"a unit in a report of no subjects": {id: "linux.component.skylight",
			remediation: "sudo systemctl enable skylight-agent.service"},
		"antivirus": {id: "linux.bp.antivirus", status: requirement.Warning,
			about: unit("ds_agent.service", requirement.ReasonEnabled), changes: 1,
			has: "systemctl disable -- ds_agent.service"},
		"a unit whose name is an option": {id: "linux.bp.antivirus", status: requirement.Warning,
			about: unit("--now.service", requirement.ReasonEnabled)},
		"a unit whose name is code": {id: "linux.bp.antivirus", status: requirement.Warning,
			about: unit("a$(calc).service", requirement.ReasonEnabled)},
		"a file that enables nothing": {id: "linux.bp.antivirus", status: requirement.Warning,
			about: unit("sshd.service", requirement.ReasonPulledIn)},
		"antivirus in a report of no subjects": {id: "linux.bp.antivirus", status: requirement.Warning,
			evidence: evidence{{Source: "root", Path: wants + "ds_agent.service"}}},
		"a cache": {id: "linux.bp.cache", status: requirement.Warning,
			about: folder("root/.cache"), changes: 1, has: "rm -rf -- /root/.cache"},
		"a cache that is none": {id: "linux.bp.cache", status: requirement.Warning,
			about: append(folder("root/.cache"), folder("root/.cache/../../etc")...)},
		"a cache on the user volume": {id: "linux.bp.cache", status: requirement.Warning,
			about: []requirement.Subject{{Kind: requirement.SubjectFolder, ID: "root/.cache", Reason: requirement.ReasonPresent,
				Value: "user"}}},
		"a cache in a report of no subjects": {id: "linux.bp.cache", status: requirement.Warning,
			evidence: evidence{{Source: "root", Path: "root/.cache"}}},
		"a finding that no script fixes": {id: "win.disk.c-free", evidence: evidence{{Source: "root", Path: "$Bitmap"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := requirement.Finding{
				Requirement: requirement.Requirement{ID: c.id, Severity: requirement.Required},
				Outcome: requirement.Outcome{Status: requirement.Failed, Message: c.message, Remediation: c.remediation,
					Evidence: c.evidence, Subjects: c.about},
			}
			if c.status != "" {
				f.Status = c.status
			}
			if f.Outcome.Remediation == "" {
				f.Outcome.Remediation = "do it by hand"
			}
			s := &report.Saved{Platform: scanner.Platform{Family: "windows", Version: "10.0.17763", UserName: `CORP\jdoe`},
				Findings: []requirement.Finding{f}}
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
			if byHand := strings.Contains(text, "\n# By hand: "); byHand != (c.changes == 0 || c.byHand ||
				c.id == "win.appx.staged") || byHand != (len(sum.ByHand) == 1) {
				t.Errorf("left to a person: %t, %q:\n%s", byHand, sum.ByHand, text)
			}
		})
	}
}

// The user's own execution policy is set only for the user of the report.
func TestExecutionPolicyOfWhom(t *testing.T) {
	f := requirement.Finding{
		Requirement: requirement.Requirement{ID: "win.powershell.execpolicy", Severity: requirement.Required},
		Outcome: requirement.Outcome{Status: requirement.Failed, Remediation: "by hand", Subjects: []requirement.Subject{
			{Kind: requirement.SubjectSetting, ID: "CurrentUser.ExecutionPolicy", Reason: requirement.ReasonValue,
				Value: "Restricted"},
		}},
	}
	s := &report.Saved{Platform: scanner.Platform{Family: "windows", UserName: `CORP\o'neil`},
		Findings: []requirement.Finding{f}}
	if text, _ := script(t, s); !strings.Contains(text, `if ($env:USERNAME -ne 'o''neil') { throw`) {
		t.Error(text)
	}
	s.Platform.UserName = ""
	if _, sum := script(t, s); sum.Changes != 0 {
		t.Errorf("%+v", sum)
	}
}

// However many profiles there are, and whatever the message has room for, a
// temporary one is left to a person.
func TestSixthProfileTemporary(t *testing.T) {
	f := requirement.Finding{
		Requirement: requirement.Requirement{ID: "win.profile.single", Severity: requirement.Required},
		Outcome: requirement.Outcome{Status: requirement.Failed, Remediation: "by hand",
			Message: `6 profiles beside the user's and the Administrator's: C:\Users\u1, C:\Users\u2, C:\Users\u3, C:\Users\u4, C:\Users\u5 and 1 more`},
	}
	for n := 1; n <= 6; n++ {
		sid := fmt.Sprintf("S-1-5-21-2918331530-3154801827-1405627319-%d", 1100+n)
		folder, reason := fmt.Sprintf(`C:\Users\u%d`, n), requirement.ReasonExtra
		if n == 6 {
			// Its folder may have any name: only the reason counts.
			reason = requirement.ReasonTemporary
		}
		f.Evidence = append(f.Evidence,
			value("Windows/System32/config/SOFTWARE", `Microsoft\Windows NT\CurrentVersion\ProfileList\`+sid, "ProfileImagePath",
				folder))
		f.Subjects = append(f.Subjects,
			requirement.Subject{Kind: requirement.SubjectProfile, ID: sid, Reason: reason, Value: folder})
	}
	s := &report.Saved{Platform: scanner.Platform{Family: "windows"}, Findings: []requirement.Finding{f}}
	text, sum := script(t, s)
	if sum.Changes != 5 || len(sum.ByHand) != 1 || strings.Contains(text, "1405627319-1106") ||
		!strings.Contains(text, "Temporary profiles (1)") {
		t.Errorf("%+v\n%s", sum, text)
	}
}
