package windows

import (
	"fmt"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// What Windows keeps of itself in the registry and Sysprep runs into: a setup
// that did not finish, reserved storage in use, and a sensor that protects its
// own identity.

func (m *Machine) decideChildCompletion() requirement.Outcome {
	setup, err := m.DWordAt(keySetup+`\Status\ChildCompletion`, "setup.exe")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeChildCompletion(setup)
}

// States of a program of Windows Setup below ChildCompletion (from observation,
// not documented): it has begun, and it is done.
const (
	childBegun = 1
	childDone  = 3
)

func judgeChildCompletion(setup machine.Setting[uint32]) requirement.Outcome {
	if setup.Value == childBegun {
		o := requirement.Warn(
			fmt.Sprintf(`Windows Setup did not finish: ChildCompletion\setup.exe is %d instead of %d. The first start `+
				`after Sysprep would stop with "The computer restarted unexpectedly".`, childBegun, childDone),
			setup.Evidence)
		o.Remediation = fmt.Sprintf(
			`Find what stopped Windows Setup in C:\Windows\Panther\setuperr.log and remove it. Then set setup.exe to %d `+
				`in HKLM\SYSTEM\Setup\Status\ChildCompletion.`, childDone)
		return o
	}
	return requirement.Pass("Windows Setup has finished.", setup.Evidence)
}

func (m *Machine) decideReservedStorage() requirement.Outcome {
	scenario, err := m.DWordAt(machine.KeyMachineWindows+`\ReserveManager`, "ActiveScenario")
	if err != nil {
		return requirement.Unreadable(err)
	}
	s, err := m.System()
	if err != nil {
		s = machine.System{} // the version only makes the remedy more precise
	}
	return judgeReservedStorage(scenario, s)
}

// judgeReservedStorage: 0, or nothing, says that no update uses it.
func judgeReservedStorage(scenario machine.Setting[uint32], s machine.System) requirement.Outcome {
	if scenario.Value != 0 {
		o := requirement.Warn(
			fmt.Sprintf("Reserved storage is in use (ActiveScenario is %d), which stops Sysprep with 0x800F0975.",
				scenario.Value), scenario.Evidence)
		o.Remediation = fixReservedStorage(s, logLine{})
		o.Explains = []string{codeNameReservedStorage}
		return o
	}
	return requirement.Pass("Reserved storage is not in use.", scenario.Evidence)
}

var reservedStorageUnused = entry{
	Requirement: required("current.reserved-storage", codeNameReservedStorage, "Reserved storage must not be in use.",
		"Sysprep issues", explanation{
			Reads:  `SOFTWARE: Microsoft\Windows\CurrentVersion\ReserveManager\ActiveScenario, which is 0 or missing.`,
			Live:   "dism /Online /Get-ReservedStorageState",
			Doubts: "Reserved storage that is enabled and not in use does not stop Sysprep.",
			Fix: "Install all pending Windows updates, and restart until none is left. Then run DISM /Online " +
				"/Set-ReservedStorageState /State:Disabled as Administrator, and restart.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		o := m.decideReservedStorage()
		if o.Status == requirement.Warning { // within win.sysprep.compatible
			o.Status = requirement.Failed
			o = o.About(subjectsOf(o.Evidence, requirement.ReasonValue)...)
		}
		return o
	},
}

const keyDefenderEndpoint = `HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection`

func (m *Machine) decideDefenderEndpoint() requirement.Outcome {
	k, err := m.Key(keyDefenderEndpoint)
	if err != nil {
		return requirement.Unreadable(err)
	}
	status, err := m.Subkey(k, "Status")
	if err != nil {
		return requirement.Unreadable(err)
	}
	onboarded, err := m.DWord(status, "OnboardingState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	identity, err := m.Text(k, "senseGuid")
	if err == nil && !identity.Present {
		identity, err = m.Text(status, "senseGuid")
	}
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeDefenderEndpoint(onboarded, identity)
}

// judgeDefenderEndpoint: Sysprep has to delete the sensor's identity, which the
// sensor protects once the computer is onboarded and it has one. A master
// image that was onboarded and reset has none.
func judgeDefenderEndpoint(onboarded machine.Setting[uint32], identity machine.Setting[string]) requirement.Outcome {
	switch {
	case onboarded.Value == 1 && identity.Value != "":
		o := requirement.Warn(
			"The computer is onboarded to Microsoft Defender for Endpoint. Sysprep cannot delete its senseGuid "+
				"(0x80070005).", onboarded.Evidence, identity.Evidence)
		o.Remediation = fixDefenderEndpoint
		return o
	case onboarded.Value == 1:
		return requirement.Infer("The computer is onboarded to Microsoft Defender for Endpoint but has no senseGuid.",
			onboarded.Evidence, identity.Evidence)
	case identity.Value != "":
		return requirement.Infer(
			"The computer has a senseGuid but is not onboarded to Microsoft Defender for Endpoint.",
			onboarded.Evidence, identity.Evidence)
	}
	return requirement.Pass("The computer is not onboarded to Microsoft Defender for Endpoint.", onboarded.Evidence)
}
