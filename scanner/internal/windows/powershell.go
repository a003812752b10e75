package windows

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var powershellVersion = entry{
	Requirement: required("win.powershell.version", "OutdatedPowershellVersion",
		"Windows PowerShell 3.0 or later must be installed.",
		sectionTips+": PowerShell version 3.0 or later must be installed", explanation{
			Reads: `SOFTWARE: Microsoft\PowerShell\3\PowerShellEngine\PowerShellVersion, else ` +
				`Microsoft\PowerShell\1\PowerShellEngine; powershell.exe. PowerShell 7 does not count.`,
			Live: "$PSVersionTable.PSVersion",
			Fix:  "Install Windows Management Framework 5.1, which contains Windows PowerShell 5.1. Then restart.",
		}),
	Judge: (*Machine).decidePowerShellVersion,
	Terms: []string{"least_major"},
}

func (m *Machine) decidePowerShellVersion() requirement.Outcome {
	v3, err := m.TextAt(`HKLM\SOFTWARE\Microsoft\PowerShell\3\PowerShellEngine`, "PowerShellVersion")
	if err != nil {
		return requirement.Unreadable(err)
	}
	v1, err := m.TextAt(`HKLM\SOFTWARE\Microsoft\PowerShell\1\PowerShellEngine`, "PowerShellVersion")
	if err != nil {
		return requirement.Unreadable(err)
	}
	program, err := m.File(`C:\` + m.SystemRoot + `\System32\WindowsPowerShell\v1.0\powershell.exe`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	system, _ := m.System() // only for the remedy
	return judgePowerShell(v3, v1, program, system, int(m.Terms.Int("least_major")))
}

// judgePowerShell decides win.powershell.version. v3 is the version that 3.0
// and later register, v1 the one that 1.0 and 2.0 do. Windows 10 and Server 2016
// bring 5.1 with them, and no package installs it there. least is the major
// version that is required, at least 3.
func judgePowerShell(v3, v1 machine.Setting[string], program machine.File, system machine.System,
	least int) requirement.Outcome {
	required := fmt.Sprintf(" is installed; %d.0 or later is required.", least)
	about := requirement.Subject{Kind: requirement.SubjectProgram, ID: "Windows PowerShell",
		Reason: requirement.ReasonValue, Value: v3.Value}
	fail := func(message string, evidence ...requirement.Evidence) requirement.Outcome {
		o := requirement.Fail(message, evidence...).About(about)
		if system.Modern() {
			o.Remediation = repairWindows
		}
		return o
	}
	switch {
	case !v3.Present && v1.Present:
		about.Value = v1.Value
		return fail("Windows PowerShell "+v1.Value+required, v1.Evidence, v3.Evidence)
	case !v3.Present && program.Exists:
		return fail("Windows PowerShell is older than 3.0: powershell.exe exists, but no version is registered.",
			v3.Evidence, program.Evidence)
	case !v3.Present:
		about.Reason = requirement.ReasonMissing
		return fail("Windows PowerShell is not installed.", v3.Evidence, program.Evidence)
	}
	major, _, _ := strings.Cut(v3.Value, ".")
	n, err := strconv.Atoi(strings.TrimSpace(major))
	switch {
	case err != nil:
		return requirement.Unknown(fmt.Sprintf("The registered version of Windows PowerShell, %q, is not a version.",
			prose.Short(v3.Value)), v3.Evidence)
	case n < least:
		return fail("Windows PowerShell "+v3.Value+required, v3.Evidence)
	case !program.Exists || program.Dir || program.Size == 0:
		about.Reason = requirement.ReasonDamaged
		o := fail("Windows PowerShell "+v3.Value+" is registered, but powershell.exe is missing.", v3.Evidence,
			program.Evidence)
		if program.Exists {
			o.Message = "Windows PowerShell " + v3.Value + " is registered, but powershell.exe is empty or a folder."
		}
		o.Remediation = repairWindows // the package is installed already
		return o
	}
	return requirement.Pass("Windows PowerShell "+v3.Value+" is installed.", v3.Evidence, program.Evidence)
}

var powershellPolicy = entry{
	Requirement: required("win.powershell.execpolicy", "",
		"The effective execution policy must be RemoteSigned or Unrestricted.",
		sectionTips+": PowerShell version 3.0 or later must be installed", explanation{
			Reads: `In the order of precedence: SOFTWARE: Policies\Microsoft\Windows\PowerShell; the same in the ` +
				`user's NTUSER.DAT; the environment variable PSExecutionPolicyPreference of the user and of the ` +
				`system; NTUSER.DAT, then SOFTWARE: Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell. The first ` +
				`text that is not empty decides; unknown words mean Restricted. The default is RemoteSigned on ` +
				`Server 2012 R2 and later, and Restricted on all other versions.`,
			Live: "Get-ExecutionPolicy -List",
			Doubts: "The service's guide names only RemoteSigned and Unrestricted as allowed. Bypass is less strict " +
				"than both, so it is a warning. The default of servers before 2012 R2 is from observation; no document " +
				"states it.",
			Fix: "Run Set-ExecutionPolicy -ExecutionPolicy RemoteSigned in PowerShell as Administrator.",
		}),
	Judge: (*Machine).decideExecutionPolicy,
}

// A policyScope is one of the places that may set the execution policy.
type policyScope struct {
	Name    string // as Get-ExecutionPolicy -List shows it
	Setting machine.Setting[string]
}

const (
	keyPowerShellPolicy = `\Policies\Microsoft\Windows\PowerShell`
	keyPowerShellShell  = `\Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell`

	// processPolicy is the environment variable by which a process has a policy.
	processPolicy = "PSExecutionPolicyPreference"
)

func (m *Machine) decideExecutionPolicy() requirement.Outcome {
	system, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	machinePolicy, err := m.policyOf(`HKLM\SOFTWARE`, "Machine")
	if err != nil {
		return requirement.Unreadable(err)
	}
	local, err := m.TextAt(`HKLM\SOFTWARE`+keyPowerShellShell, "ExecutionPolicy")
	if err != nil {
		return requirement.Unreadable(err)
	}
	process, err := m.TextAt(machine.KeyEnvironment, processPolicy)
	if err != nil {
		return requirement.Unreadable(err)
	}
	scopes := []policyScope{{"MachinePolicy", machinePolicy}}
	if defined(machinePolicy) {
		return judgeExecutionPolicy(scopes, system) // nothing of the user's can change it
	}
	if m.in.WithoutUser {
		return judgeExecutionPolicy(append(scopes, policyScope{"Process", process}, policyScope{scopeLocalMachine, local}),
			system)
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unreadable(errNoUser, local.Evidence)
	}
	user := `HKU\` + w.Profile.SID + `\Software`
	userPolicy, err := m.policyOf(user, "User")
	if err != nil {
		return requirement.Unreadable(err, local.Evidence)
	}
	own, err := m.TextAt(`HKU\`+w.Profile.SID+`\Environment`, processPolicy)
	if err != nil {
		return requirement.Unreadable(err, local.Evidence)
	}
	if own.Present { // a variable of the user's takes the place of the machine's
		process = own
	}
	current, err := m.TextAt(user+keyPowerShellShell, "ExecutionPolicy")
	if err != nil {
		return requirement.Unreadable(err, local.Evidence)
	}
	scopes = append(scopes, policyScope{"UserPolicy", userPolicy}, policyScope{"Process", process},
		policyScope{"CurrentUser", current}, policyScope{scopeLocalMachine, local})
	return w.Inferred(judgeExecutionPolicy(scopes, system))
}

// policyOf reads the execution policy that Group Policy sets: EnableScripts 0
// is Restricted, 1 lets ExecutionPolicy decide, and with anything else, or
// without it, there is none. class is that of the policy file to compare with.
func (m *Machine) policyOf(software, class string) (machine.Setting[string], error) {
	k, err := m.Key(software + keyPowerShellPolicy)
	if err != nil {
		return machine.Setting[string]{}, err
	}
	enable, err := m.enableScripts(k)
	if err != nil {
		return machine.Setting[string]{}, err
	}
	file := m.policyFile(class)
	file.compare("Software"+keyPowerShellPolicy, "EnableScripts", &enable.Evidence)
	switch enable.Value {
	case "0":
		return machine.Setting[string]{Value: "Restricted", Present: true, Evidence: enable.Evidence}, nil
	case "1":
	default:
		return machine.Setting[string]{Evidence: enable.Evidence}, nil
	}
	policy, err := m.Text(k, "ExecutionPolicy")
	if err == nil && policy.OtherType {
		err = fmt.Errorf("%s: %s: how PowerShell reads ExecutionPolicy of type %s is unknown",
			policy.Evidence.Path, policy.Evidence.Key, policy.Type)
	}
	file.compare("Software"+keyPowerShellPolicy, "ExecutionPolicy", &policy.Evidence)
	return policy, err
}

// enableScripts reads EnableScripts as the text that PowerShell compares: it
// takes a number of either size and a string for the same.
func (m *Machine) enableScripts(k machine.Key) (machine.Setting[string], error) {
	return m.looseNumber(k, "EnableScripts")
}

// looseNumber reads a number, of either size or written as a string, as text.
func (m *Machine) looseNumber(k machine.Key, name string) (machine.Setting[string], error) {
	types := []registry.Type{registry.DWord, registry.QWord, registry.SZ, registry.ExpandSZ}
	return machine.ReadSetting(m.Machine, k, name, types, func(v *registry.Value) (string, error) {
		switch v.Type() {
		case registry.DWord:
			n, err := v.Uint32()
			return strconv.FormatUint(uint64(n), 10), err
		case registry.QWord:
			n, err := v.Uint64()
			return strconv.FormatUint(n, 10), err
		}
		return v.String()
	}, func(s string) string { return s })
}

// allowedPolicies and otherPolicies are the words that PowerShell knows. It
// compares complete words, without case, and reads any other word as Restricted.
var (
	allowedPolicies = []string{"RemoteSigned", "Unrestricted"}
	otherPolicies   = []string{"Restricted", "AllSigned", "Bypass"}
)

// defined says whether a scope sets the policy: with any text that is not
// empty, even Undefined (Set-ExecutionPolicy Undefined removes the value).
func defined(s machine.Setting[string]) bool { return s.Present && s.Value != "" }

// judgeExecutionPolicy decides win.powershell.execpolicy. scopes are in the
// order of precedence.
func judgeExecutionPolicy(scopes []policyScope, system machine.System) requirement.Outcome {
	restricted := system.Client || system.Build < build81
	effective, where, basis := "RemoteSigned", "the default of "+system.Name(), requirement.Inferred
	if restricted {
		effective = "Restricted"
	}

	remedy, about := "", unsetPolicy(scopes)
	var evidence []requirement.Evidence
	for _, s := range scopes {
		if defined(s.Setting) {
			effective, where, basis = s.Setting.Value, "scope "+s.Name, requirement.Observed
			evidence = append([]requirement.Evidence{s.Setting.Evidence}, evidence...) // what decides comes first
			remedy, about = s.remedy(), []requirement.Subject{s.subject()}
			break
		}
		evidence = append(evidence, s.Setting.Evidence)
	}
	message := fmt.Sprintf("The execution policy is %s (%s).", effective, where)
	switch {
	case fold.Contains(allowedPolicies, effective):
		o := requirement.Pass(message, evidence...)
		o.Basis = basis
		return o
	case strings.EqualFold(effective, "Bypass"):
		o := requirement.Warn(message, evidence...).About(about...)
		o.Remediation = remedy
		return o
	case !fold.Contains(otherPolicies, effective):
		message = fmt.Sprintf("The execution policy is Restricted (%s is set to %q, which PowerShell does not know).",
			where, effective[:min(len(effective), 64)])
	}
	o := requirement.Fail(message, evidence...).About(about...)
	o.Remediation = remedy
	return o
}

// scopeLocalMachine is where the policy is set for everybody.
const scopeLocalMachine = "LocalMachine"

// policySubject is the execution policy of a scope as a finding names it to
// programs.
func policySubject(scope string, reason requirement.Reason, value string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectSetting, ID: scope + ".ExecutionPolicy",
		Name: "ExecutionPolicy", Reason: reason, Value: value}
}

// subject is the policy where this scope decides it.
func (s policyScope) subject() requirement.Subject {
	reason := requirement.ReasonPolicy
	if s.Name == "CurrentUser" || s.Name == scopeLocalMachine {
		reason = requirement.ReasonValue
	}
	return policySubject(s.Name, reason, s.Setting.Value)
}

// unsetPolicy is the subject of a policy that no scope sets. There is none where a
// scope holds something that PowerShell does not accept: what setting the policy in
// another scope does then is for a person to see.
func unsetPolicy(scopes []policyScope) []requirement.Subject {
	for _, s := range scopes {
		if s.Setting.Evidence.Found && s.Setting.Evidence.Data != "" {
			return nil
		}
	}
	return []requirement.Subject{policySubject(scopeLocalMachine, requirement.ReasonMissing, "")}
}

// remedy says how to set the policy in the scope.
func (s policyScope) remedy() string {
	switch s.Name {
	case "MachinePolicy", "UserPolicy":
		class := "Computer"
		if s.Name == "UserPolicy" {
			class = "User"
		}
		return "In the Group Policy Object that sets it (scope " + s.Name + "), open " + class +
			" Configuration, Administrative Templates, Windows Components, Windows PowerShell, Turn on Script " +
			"Execution. Choose Not Configured, or Allow local scripts and remote signed scripts. Then run gpupdate /force."
	case "Process":
		whose := "System variables"
		if s.Setting.Evidence.Key == "Environment" { // of a user's hive
			whose = "User variables"
		}
		return "Open sysdm.cpl, select Advanced, Environment Variables, " + whose + ", and delete " + processPolicy +
			". Then sign in again."
	case "CurrentUser":
		return "Run Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope CurrentUser in PowerShell as the " +
			"WorkSpace's user."
	}
	return "Run Set-ExecutionPolicy -ExecutionPolicy RemoteSigned -Scope LocalMachine in PowerShell as Administrator."
}
