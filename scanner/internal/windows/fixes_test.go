package windows

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestFixes makes sure that a remedy names what was found, and nothing that was not.
func TestFixes(t *testing.T) {
	file, key := evidence, evidence
	file.Kind, key.Kind = requirement.KindFile, requirement.KindKey
	tool := placed{"Tool", `D:\Tool`, evidence}
	task := placed{"task Backup", `D:\Backup\run.cmd`, evidence}
	alias := words(`\??\C:\data`)
	alias.Evidence.Value = "X:"
	attached := evidence
	attached.Key = `ControlSet001\Control\AutoAttachVirtualDisks\{0A}`
	share, lost := words(`\\server\home`), absent[string]()
	share.Evidence.Key, lost.Evidence.Key = `Network\h`, `Network\i`
	drives := func(d Drives) requirement.Outcome { o, _ := judgeDrives(d, nil); return o }
	disallowed := Certificate{Store: storeDisallowed, Thumbprint: "AB12", Evidence: evidence}
	for name, c := range map[string]struct {
		outcome requirement.Outcome
		fix     string
	}{
		"an application": {judgeApps(offPlaces{Machine: []placed{tool}, Registered: map[string]bool{"Tool": true}}, true,
			evidence), "Uninstall Tool, then install it on drive C for all users."},
		"a task": {judgeApps(offPlaces{Machine: []placed{task}}, true, evidence),
			`Reinstall on drive C what runs from D:\Backup\run.cmd, or remove it.`},
		"both": {judgeApps(offPlaces{Machine: []placed{tool, tool, task}, Registered: map[string]bool{"Tool": true}},
			true, evidence), "Uninstall Tool, then install it on drive C for all users. Reinstall on drive C what runs " +
			`from D:\Backup\run.cmd, or remove it.`},
		"two applications of a user": {judgeApps(offPlaces{Own: []placed{tool, {"Pad", `D:\Pad`, evidence}},
			Registered: map[string]bool{"Tool": true, "Pad": true}}, false, evidence),
			"Uninstall Tool, Pad, then install them on drive C for all users."},
		"browser data": {judgeCache([]cachedData{{Path: `C:\a`, Counts: true}}, 1, nil, evidence),
			`Delete the browsing data in the browser's settings, or delete C:\a.`},
		"the Recycle Bin": {judgeCache([]cachedData{{Path: recycleBin, Counts: true}}, 1, nil, evidence),
			`In an elevated command prompt, run rd /s /q C:\$Recycle.Bin to empty the Recycle Bin.`},
		"a mail profile": {judgeMail([]mailTrace{{"mail profile Outlook", key}}, 1, nil, evidence),
			"Sign in with the profile, open Control Panel, Mail, Show Profiles, and remove mail profile Outlook."},
		"a mail file": {judgeMail([]mailTrace{{`C:\a.pst`, file}}, 1, nil, evidence),
			`Save what you need, then delete C:\a.pst.`},
		"a certificate": {requirement.Outcome{Remediation: allowCertificates([]Certificate{disallowed})},
			"In an elevated command prompt, run certutil -delstore Disallowed AB12."},
		"a letter": {drives(Drives{Aliases: []machine.Setting[string]{alias}}),
			`Delete the value X: in HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\DOS Devices and restart.`},
		"a virtual disk": {drives(Drives{Attached: []requirement.Evidence{attached}}),
			`Delete the key HKLM\SYSTEM\CurrentControlSet\Control\AutoAttachVirtualDisks\{0A} and detach the virtual ` +
				"disk in diskmgmt.msc."},
		"a map": {drives(Drives{Maps: []driveMap{{Letter: "H", Path: `\\server\home`}}}),
			"Remove the drive map H: from Group Policy (User Configuration, Preferences, Windows Settings, Drive Maps)."},
		"a command twice": {drives(Drives{Commands: []machine.DriveMaking{{Who: "task A", What: "subst X:"},
			{Who: "task A", What: "subst Y:"}}}), "Remove the command from task A."},
		"network drives": {judgeNetworkDrives([]machine.Setting[string]{share, lost}, "jdoe"),
			"As jdoe, run net use H: /delete, net use I: /delete."},
		"10.0 GiB are free": {judgeFree(10<<30, true, evidence),
			"Free at least 2.1 GiB on drive C (Settings, System, Storage), or enlarge the root volume."},
		"Windows 7": {judgeFree(freeNeeded, false, evidence),
			"Free at least 0.1 GiB on drive C (cleanmgr.exe), or enlarge the root volume."},
	} {
		if c.outcome.Remediation != c.fix {
			t.Errorf("%s: %q, want %q", name, c.outcome.Remediation, c.fix)
		}
	}
}

// TestFirewallFixes makes sure that ports which one change opens are named together.
func TestFirewallFixes(t *testing.T) {
	public := firewallProfile{Name: "Public", Enabled: true, LocalRules: true, Evidence: evidence}
	domain := public
	domain.Name = "Domain"
	policyOnly, shut := public, public
	policyOnly.LocalRules, shut.BlockAll = false, true
	rule := firewallRule{Name: "Contoso", Block: true, Evidence: evidence}
	policy := rule
	policy.Policy = true
	for name, c := range map[string]struct {
		state    firewallState
		why, fix string
	}{
		"no rule, in two profiles": {firewallState{Profiles: []firewallProfile{public, domain}},
			"TCP 4172, UDP 4172 (no allow rule)", "In wf.msc, Inbound Rules, allow TCP 4172, UDP 4172."},
		"no rule, and only those of the policy count": {firewallState{Profiles: []firewallProfile{policyOnly}},
			"TCP 4172, UDP 4172 (no allow rule)", "In Group Policy, add inbound firewall rules that allow TCP 4172, UDP 4172."},
		"a rule": {firewallState{Profiles: []firewallProfile{public}, Rules: []firewallRule{rule}},
			"TCP 4172, UDP 4172 (blocked by the rule Contoso)", "In wf.msc, Inbound Rules, disable the rule Contoso."},
		"a rule of the policy": {firewallState{Profiles: []firewallProfile{public}, Rules: []firewallRule{policy}},
			"TCP 4172, UDP 4172 (blocked by the rule Contoso)", "Remove the inbound rule Contoso from Group Policy."},
		"all is blocked, and in another profile nothing allowed": {
			firewallState{Profiles: []firewallProfile{shut, domain}},
			"TCP 4172, UDP 4172 (the Public profile blocks all inbound connections), TCP 4172, UDP 4172 (no allow rule)",
			"In wf.msc, open Properties, Public Profile, and set Inbound connections to Block (default). " +
				"In wf.msc, Inbound Rules, allow TCP 4172, UDP 4172."},
	} {
		o := judgeFirewall(c.state, pcoipPorts)
		if want := "The firewall blocks ports that WorkSpaces needs: " + c.why; o.Message != want || o.Remediation != c.fix {
			t.Errorf("%s: %q, %q", name, o.Message, o.Remediation)
		}
	}
}

// TestUnstage gives as many packages as a remedy names, one less and one more.
func TestUnstage(t *testing.T) {
	for n, more := range map[int]string{maxFixPackages - 1: "", maxFixPackages: "",
		maxFixPackages + 1: " Do the same for the 1 other package.",
		maxFixPackages + 2: " Do the same for the 2 other packages."} {
		var names, commands []string
		for i := range n {
			names = append(names, fmt.Sprint("P", i))
			commands = append(commands, fmt.Sprint("Remove-AppxPackage -Package P", i))
		}
		want := "In an elevated PowerShell, as the WorkSpace's user, run " +
			strings.Join(commands[:min(n, maxFixPackages)], "; ") + "." + more
		if got := unstage(slices.Clone(names)); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// TestRoundedSize takes the sizes around each bound.
func TestRoundedSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 MiB", 1: "under 1 MiB", 1<<20 - 1: "under 1 MiB", 1 << 20: "1 MiB",
		1 << 30: "1.0 GiB"} {
		if got := roundedSize(bytes); got != want {
			t.Errorf("%d: %q", bytes, got)
		}
	}
}
