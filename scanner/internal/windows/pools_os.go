package windows

import (
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	sectionPools     = "Create a custom image and bundle for WorkSpaces Pools"
	sectionPoolsBYOL = "Bring Your Own Windows desktop licenses: WorkSpaces Pools"
)

// requiredOfClients is an outcome on what AWS requires of Windows 10 and 11 with
// an own license, and only recommends for the servers of public bundles.
func requiredOfClients(s machine.System, o requirement.Outcome) requirement.Outcome {
	if s.Client {
		return o
	}
	return o.OnlyRecommended()
}

var poolsSupported = entry{
	Requirement: required("pools.os.supported", "OSNotSupported",
		"The Windows version must be one that WorkSpaces Pools supports: Server 2019 or 2022, or Windows 10 or 11 with your "+
			"own license.", "WorkSpaces Pools: images and bundles", explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion; SYSTEM: Control\ProductOptions\ProductType.`,
			Live:  "Get-CimInstance Win32_OperatingSystem | Select-Object Caption, Version, ProductType",
			Doubts: "AWS does not say whether the LTSC editions of Windows 10 can be used for Pools. They are a warning, " +
				"as are builds of Windows 10 and 11 that can no longer be imported.",
			Fix: "Create the image from a WorkSpace with Windows Server 2019 or 2022, or with an own license for " +
				"Windows 10 22H2 or Windows 11 22H2 or later.",
		}),
	Judge: (*Machine).decidePoolsSupported,
}

// Builds that WorkSpaces Pools supports.
var (
	poolsServers = []int{17763, 20348}
	poolsClients = []int{19045, 22621, 22631, 26100, 26200}
)

func (m *Machine) decidePoolsSupported() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgePoolsSupported(s)
}

// judgePoolsSupported decides pools.os.supported.
func judgePoolsSupported(s machine.System) requirement.Outcome {
	name := s.Name() + " (" + s.Version() + ")"
	switch {
	case !s.Client && slices.Contains(poolsServers, s.Build), s.Client && slices.Contains(poolsClients, s.Build):
		return requirement.Pass("WorkSpaces Pools supports "+name+".", s.Evidence...)
	case s.Client && s.Modern():
		message := "AWS does not list " + name + " for WorkSpaces Pools."
		if strings.HasSuffix(strings.ToUpper(s.EditionID), "ENTERPRISES") {
			message = "AWS does not say whether WorkSpaces Pools supports " + name + ", a Long-Term Servicing Channel edition."
		}
		return requirement.Warn(message, s.Evidence...)
	}
	return requirement.Fail("WorkSpaces Pools does not support "+name+".", s.Evidence...)
}

var poolsDCV = entry{
	Requirement: required("pools.protocol.dcv", codeProtocol, "The streaming protocol must be DCV.", sectionPools,
		explanation{
			Reads: `SYSTEM: Services\dcvserver and Services\PCoIPAgent, with Start and ImagePath, and the program's ` +
				`file; Program Files\NICE\DCV\Server\bin\dcvserver.exe.`,
			Live: `Get-Service dcvserver, PCoIPAgent -ErrorAction Ignore`,
			Doubts: "The name of the service is known from observation. Where neither protocol is found, the " +
				"requirement is undetermined.",
			Fix: "Create the image from a WorkSpace whose protocol is DCV.",
		}),
	Judge: (*Machine).decidePoolsDCV,
}

func (m *Machine) decidePoolsDCV() requirement.Outcome {
	p, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	env, err := m.Environment()
	if err != nil {
		return requirement.Unreadable(err)
	}
	server, err := m.File(env["PROGRAMFILES"] + `\NICE\DCV\Server\bin\dcvserver.exe`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgePoolsDCV(p, server)
}

// judgePoolsDCV decides pools.protocol.dcv. server is the program of DCV where it usually is.
func judgePoolsDCV(p protocols, server machine.File) requirement.Outcome {
	evidence := append(append(p.DCV.evidence(), server.Evidence), p.PCoIP.evidence()...)
	problem := p.DCV.problem()
	switch {
	case problem == "":
		return requirement.Pass("The DCV server is installed (startup type: "+p.DCV.Service.StartName()+").", evidence...)
	case p.PCoIP.there() && !p.DCV.there():
		return requirement.Fail("The protocol is PCoIP: "+problem+".", evidence...).
			About(p.PCoIP.Service.Subject(requirement.ReasonPresent, ""), p.DCV.subject())
	case p.DCV.there() || server.Exists:
		o := requirement.Warn("The DCV server does not start: "+problem+".", evidence...).About(p.DCV.subject())
		o.Remediation = p.DCV.remedy()
		return o
	}
	return requirement.Unknown("The protocol is unknown: neither the DCV server nor the PCoIP agent is installed.",
		evidence...)
}

var poolsWorkstation = entry{
	Requirement: required("pools.workstation-service", "", "The service Workstation must start automatically or manually.",
		"WorkSpaces Pools: troubleshooting", explanation{
			Reads: `SYSTEM: Services\LanmanWorkstation\Start; the start types in security templates of Group Policy.`,
			Live:  `Get-CimInstance Win32_Service -Filter "Name='LanmanWorkstation'" | Select-Object StartMode`,
			Doubts: "AWS names the failed domain join (DOMAIN_JOIN_NERR_WORKSTATION_NOT_STARTED) and not the start types. " +
				"With a manual start the result is inferred.",
			Fix: "Open services.msc, select Workstation, and set Startup type to Automatic.",
		}),
	Judge: (*Machine).decideWorkstation,
}

func (m *Machine) decideWorkstation() requirement.Outcome {
	o := m.decideStart(startRule{name: "LanmanWorkstation", title: "Workstation",
		allowed: []uint32{machine.StartAuto, machine.StartManual}})
	s, err := m.Service("LanmanWorkstation")
	if err == nil && o.Status == requirement.Passed && s.Start.Value == machine.StartManual {
		o.Basis = requirement.Inferred
		o = o.Also("Joining the domain starts it.")
	}
	return o
}
