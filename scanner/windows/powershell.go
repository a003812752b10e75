package windows

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var powershellVersion = entry{
	Requirement: required("win.powershell.version", "OutdatedPowershellVersion", "Windows PowerShell 3.0 or later is installed", sectionTips+": PowerShell version 3.0 or later must be installed", explanation{
		Reads: `SOFTWARE: Microsoft\PowerShell\3\PowerShellEngine\PowerShellVersion, else Microsoft\PowerShell\1\PowerShellEngine; powershell.exe. PowerShell 7 does not count.`,
		Live:  "$PSVersionTable.PSVersion",
		Fix:   "Install Windows Management Framework 5.1, which brings Windows PowerShell 5.1.",
	}),
	Judge: (*Machine).decidePowerShellVersion,
}

func (m *Machine) decidePowerShellVersion() requirement.Outcome {
	v3, err := m.textAt(`HKLM\SOFTWARE\Microsoft\PowerShell\3\PowerShellEngine`, "PowerShellVersion")
	if err != nil {
		return requirement.Unreadable(err)
	}
	v1, err := m.textAt(`HKLM\SOFTWARE\Microsoft\PowerShell\1\PowerShellEngine`, "PowerShellVersion")
	if err != nil {
		return requirement.Unreadable(err)
	}
	program, err := m.file(`C:\` + m.systemRoot + `\System32\WindowsPowerShell\v1.0\powershell.exe`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgePowerShell(v3, v1, program)
}

// judgePowerShell decides win.powershell.version. v3 is the version that 3.0
// and later register, v1 the one that 1.0 and 2.0 do.
func judgePowerShell(v3, v1 Setting[string], program File) requirement.Outcome {
	switch {
	case !v3.Present && v1.Present:
		return requirement.Fail("Windows PowerShell "+v1.Value+" is installed, 3.0 or later is needed", v1.Evidence, v3.Evidence)
	case !v3.Present && program.Exists:
		return requirement.Fail("Windows PowerShell is older than 3.0, which would be registered", v3.Evidence, program.Evidence)
	case !v3.Present:
		return requirement.Fail("Windows PowerShell is not installed", v3.Evidence, program.Evidence)
	}
	major, _, _ := strings.Cut(v3.Value, ".")
	n, err := strconv.Atoi(strings.TrimSpace(major))
	switch {
	case err != nil:
		return requirement.Unknown(fmt.Sprintf("%q is no version of Windows PowerShell", v3.Value), v3.Evidence)
	case n < 3:
		return requirement.Fail("Windows PowerShell "+v3.Value+" is installed, 3.0 or later is needed", v3.Evidence)
	case !program.Exists:
		return requirement.Fail("Windows PowerShell "+v3.Value+" is registered, but powershell.exe does not exist", v3.Evidence, program.Evidence)
	}
	return requirement.Pass("Windows PowerShell "+v3.Value, v3.Evidence, program.Evidence)
}

var powershellPolicy = entry{
	Requirement: required("win.powershell.execpolicy", "", "the effective execution policy is RemoteSigned or Unrestricted", sectionTips+": PowerShell version 3.0 or later must be installed", explanation{
		Reads: `In the order of precedence: SOFTWARE: Policies\Microsoft\Windows\PowerShell; the same in the user's NTUSER.DAT; the environment variable PSExecutionPolicyPreference of the user and of the machine; NTUSER.DAT and then SOFTWARE: Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell. Written nowhere, it is RemoteSigned on Server 2012 R2 and later and Restricted on everything else.`,
		Live:  "Get-ExecutionPolicy -List",
		Fix:   "Set-ExecutionPolicy -ExecutionPolicy RemoteSigned (as Administrator; where a Group Policy sets it, change it there).",
	}),
	Judge: (*Machine).decideExecutionPolicy,
}

// A policyScope is one of the places that may set the execution policy.
type policyScope struct {
	Name    string // as Get-ExecutionPolicy -List shows it
	Setting Setting[string]
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
	local, err := m.textAt(`HKLM\SOFTWARE`+keyPowerShellShell, "ExecutionPolicy")
	if err != nil {
		return requirement.Unreadable(err)
	}
	process, err := m.textAt(keyEnvironment, processPolicy)
	if err != nil {
		return requirement.Unreadable(err)
	}
	scopes := []policyScope{{"MachinePolicy", machinePolicy}}
	if defined(machinePolicy) {
		return judgeExecutionPolicy(scopes, system) // nothing of the user's can change it
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unknown("whose settings count is not known: see win.profile.exists", local.Evidence)
	}
	user := `HKU\` + w.Profile.SID + `\Software`
	userPolicy, err := m.policyOf(user, "User")
	if err != nil {
		return requirement.Unreadable(err, local.Evidence)
	}
	own, err := m.textAt(`HKU\`+w.Profile.SID+`\Environment`, processPolicy)
	if err != nil {
		return requirement.Unreadable(err, local.Evidence)
	}
	if own.Present { // a variable of the user's takes the place of the machine's
		process = own
	}
	current, err := m.textAt(user+keyPowerShellShell, "ExecutionPolicy")
	if err != nil {
		return requirement.Unreadable(err, local.Evidence)
	}
	scopes = append(scopes, policyScope{"UserPolicy", userPolicy}, policyScope{"Process", process},
		policyScope{"CurrentUser", current}, policyScope{"LocalMachine", local})
	return w.inferred(judgeExecutionPolicy(scopes, system))
}

// policyOf reads the execution policy that Group Policy sets: EnableScripts 0
// is Restricted, 1 lets ExecutionPolicy decide, and with anything else, or
// without it, there is none. class is that of the policy file to compare with.
func (m *Machine) policyOf(software, class string) (Setting[string], error) {
	k, err := m.key(software + keyPowerShellPolicy)
	if err != nil {
		return Setting[string]{}, err
	}
	enable, err := m.dword(k, "EnableScripts")
	if err != nil {
		return Setting[string]{}, err
	}
	file := m.policyFile(class)
	file.compare("Software"+keyPowerShellPolicy, "EnableScripts", &enable.Evidence)
	if !enable.Present || enable.Value > 1 {
		return Setting[string]{Evidence: enable.Evidence}, nil
	}
	if enable.Value == 0 {
		return Setting[string]{Value: "Restricted", Present: true, Evidence: enable.Evidence}, nil
	}
	policy, err := m.text(k, "ExecutionPolicy")
	file.compare("Software"+keyPowerShellPolicy, "ExecutionPolicy", &policy.Evidence)
	return policy, err
}

var executionPolicies = []string{"Restricted", "AllSigned", "RemoteSigned", "Unrestricted", "Bypass", "Default"}

// defined says whether a scope sets the policy: PowerShell takes Undefined and
// words that it does not know for nothing.
func defined(s Setting[string]) bool {
	return s.Present && containsFold(executionPolicies, strings.TrimSpace(s.Value))
}

// judgeExecutionPolicy decides win.powershell.execpolicy. scopes are in the
// order of precedence.
func judgeExecutionPolicy(scopes []policyScope, system System) requirement.Outcome {
	restricted := system.Client || system.Build < build81
	unset := "Restricted"
	if !restricted {
		unset = "RemoteSigned"
	}
	effective, where, basis := unset, fmt.Sprintf("the default of %s, since it is set nowhere", system.Name()), requirement.Inferred
	if restricted && !system.Client { // the documents tell that of later servers and of clients
		where += "; by experience, not documented"
	}
	var evidence []requirement.Evidence
	for _, s := range scopes {
		if defined(s.Setting) {
			effective, where, basis = strings.TrimSpace(s.Setting.Value), "scope "+s.Name, requirement.Observed
			evidence = append([]requirement.Evidence{s.Setting.Evidence}, evidence...) // what decides comes first
			break
		}
		evidence = append(evidence, s.Setting.Evidence)
	}
	if strings.EqualFold(effective, "Default") {
		effective = unset
	}
	message := fmt.Sprintf("the execution policy is %s (%s)", effective, where)
	switch strings.ToLower(effective) {
	case "remotesigned", "unrestricted":
		o := requirement.Pass(message, evidence...)
		o.Basis = basis
		return o
	case "bypass":
		return requirement.Warn(message+"; only RemoteSigned and Unrestricted are named as allowed, Bypass is laxer than both", evidence...)
	}
	return requirement.Fail(message+", and it has to be RemoteSigned or Unrestricted", evidence...)
}

// inferred marks an outcome that rests on the settings of a user who was
// found, not named.
func (w Wanted) inferred(o requirement.Outcome) requirement.Outcome {
	if o.Status == requirement.Passed && w.Basis == requirement.Inferred {
		o.Basis = requirement.Inferred
		o.Message += "; " + w.Profile.Path + " is taken for the user's profile because it is the only one of a domain user"
	}
	return o
}
