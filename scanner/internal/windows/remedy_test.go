package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestRemedies makes sure that what is advised helps against what was found:
// no start type mends a service that is not there.
func TestRemedies(t *testing.T) {
	gone := machine.Service{Key: evidence}
	rule := startRule{name: "X", title: "X", allowed: []uint32{machine.StartAuto}}
	off := driver{Name: "PCoIPAgent",
		Service: machine.Service{Name: "PCoIPAgent", DisplayName: "PCoIP Standard Agent",
			Start: number(machine.StartDisabled), Key: evidence}, File: there}
	bare := off
	bare.Service.Start, bare.File = number(machine.StartAuto), missing
	none := driver{Name: "dcvserver", Service: gone}
	upgrade := Upgrades{Others: []upgradeTrace{{Name: "Upgrade", Evidence: evidence}}}
	for name, c := range map[string]struct {
		entry   entry
		outcome requirement.Outcome
		says    string
	}{
		"a service that is not there": {winRMAuto, judgeStart(gone, rule, nil), "Repair Windows"},
		"a service that is disabled": {winRMAuto,
			judgeStart(machine.Service{Name: "X", Start: number(4), Key: evidence}, rule, nil), "services.msc"},
		"a service without a program": {rdsEnabled,
			judgeRDS(requirement.Pass("x"), absent[string](), machine.File{}, number(0), number(0)), "Repair Windows"},
		"a service whose program is gone": {rdsEnabled,
			judgeRDS(requirement.Pass("x"), words("x.dll"), missing, number(0), number(0)), "Repair Windows"},
		"an agent that is disabled": {componentPCoIP, judgePCoIP(protocols{PCoIP: off, DCV: none}),
			"services.msc, select PCoIP Standard Agent, "},
		"an agent whose file is gone": {componentPCoIP, judgePCoIP(protocols{PCoIP: bare, DCV: none}),
			"Restart the WorkSpace"},
		"an agent that is not there": {componentPCoIP, judgePCoIP(protocols{PCoIP: none, DCV: none}),
			"Restart the WorkSpace"},
		"a key that looks like an upgrade": {upgradeInPlace, judgeUpgrade(upgrade, ""), "Otherwise, ask AWS Support"},
		"two services of the domain": {servicesDomainAccount,
			judgeAccounts([]machine.Service{ofDomain("A"), ofDomain("B")}, joined, machine.Environment{}),
			"Open services.msc, select A, B, Log On"},
		"sysprep.exe is gone": {sysprepFile, judgeSysprepProgram(missing), "Repair Windows"},
		"a page that is blank for an agent": {sysprepFile,
			judgeSysprepFile(sysprepFiles{Program: there,
				Agents: []launchAgent{{Name: agentLaunch, Signs: []requirement.Evidence{evidence},
					Answers: []answerFile{{File: there, Content: answerContent{Blank: true}}}}}}), "Reinstall EC2Launch,"},
	} {
		if f := requirement.Find(c.entry.Requirement, c.outcome); !strings.Contains(f.Outcome.Remediation, c.says) {
			t.Errorf("%s: %s: %q, want %q", name, f.Status, f.Outcome.Remediation, c.says)
		}
	}
}

func ofDomain(name string) machine.Service {
	return machine.Service{Name: name, Type: number(machine.TypeOwnProcess), Start: number(machine.StartAuto),
		Account: words(`CORP\svc`), ImagePath: words("x.exe"), Key: evidence}
}
