package windows

import (
	"fmt"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// The numbers that Release has at least for a version of the .NET Framework
// (Microsoft, How to determine which .NET Framework versions are installed).
const dotNet472 = 461808

var poolsDotNet = entry{
	Requirement: recommended("pools.dotnet.472", "",
		"The .NET Framework should have version 4.7.2 or later, for the mount status of persistent storage.",
		"Use session scripts to manage your users' streaming experience", explanation{
			Reads: `SOFTWARE: Microsoft\NET Framework Setup\NDP\v4\Full\Release, which is at least 461808.`,
			Live:  `(Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full').Release`,
			Fix:   "Install the .NET Framework 4.8, and restart.",
		}),
	Judge: (*Machine).decideDotNet,
}

// DotNet reads the number of the release of the .NET Framework 4 that is installed.
func (m *Machine) DotNet() (machine.Setting[uint32], error) {
	return m.DWordAt(`HKLM\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full`, "Release")
}

func (m *Machine) decideDotNet() requirement.Outcome {
	release, err := m.DotNet()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeDotNet(release)
}

// judgeDotNet decides pools.dotnet.472.
func judgeDotNet(release machine.Setting[uint32]) requirement.Outcome {
	switch {
	case !release.Present:
		return requirement.Warn("The .NET Framework 4.5 or later is not installed: it has no Release.", release.Evidence).
			About(subjectOf(release.Evidence, requirement.ReasonMissing))
	case release.Value < dotNet472:
		return requirement.Warn(fmt.Sprintf("The .NET Framework is older than 4.7.2: its Release is %d; %d is required.",
			release.Value, dotNet472), release.Evidence).About(subjectOf(release.Evidence, requirement.ReasonValue))
	}
	return requirement.Pass(fmt.Sprintf("The .NET Framework has release %d; %d is required.", release.Value, dotNet472),
		release.Evidence)
}
