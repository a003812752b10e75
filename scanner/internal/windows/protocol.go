package windows

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// build2025 is Windows Server 2025, whose WorkSpaces have no protocol but DCV.
// Windows 11 24H2 has the same build.
const build2025 = 26100

// onlyDCV says whether AWS offers the system over no protocol but DCV.
func onlyDCV(s machine.System) bool {
	return s.Client && s.Build >= machine.Build11 || !s.Client && s.Build >= build2025
}

// there says whether the service of the driver is installed, whatever its state.
func (d driver) there() bool { return d.Service.Exists() && !d.Service.Deleted }

var protocolOS = entry{
	Requirement: required("current.protocol.os", codeProtocol,
		"The streaming protocol must be one that AWS offers for the Windows version: only DCV on Windows 11 and Server 2025.",
		"WorkSpaces bundles", explanation{
			Reads: `SYSTEM: Services\PCoIPAgent and Services\dcvserver, with Start and ImagePath, and the program's ` +
				`file. SOFTWARE: Microsoft\Windows NT\CurrentVersion.`,
			Live: `Get-CimInstance Win32_Service | Where-Object Name -in PCoIPAgent,dcvserver | Select-Object Name, ` +
				`StartMode, PathName`,
			Fix: "Use a WorkSpace whose protocol is DCV, or change the protocol of this one to DCV and restart it.",
		}),
	Judge: (*Machine).decideProtocolOS,
}

func (m *Machine) decideProtocolOS() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	p, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeProtocolOS(s, p)
}

// judgeProtocolOS decides current.protocol.os.
func judgeProtocolOS(s machine.System, p protocols) requirement.Outcome {
	evidence := append(append(p.PCoIP.evidence(), p.DCV.evidence()...), s.Evidence...)
	pcoip, dcv := p.PCoIP.there(), p.DCV.there()
	switch {
	case !pcoip && !dcv:
		return requirement.Unknown("The protocol is unknown: neither the PCoIP agent nor the DCV server is installed.",
			evidence...)
	case !onlyDCV(s):
		return requirement.Pass(s.Name()+" supports the installed protocol.", evidence...)
	case pcoip && p.DCV.problem() != "":
		return requirement.Fail(fmt.Sprintf("%s supports only DCV. The PCoIP agent is installed, and DCV is not: %s.",
			s.Name(), p.DCV.problem()), evidence...).About(p.PCoIP.Service.Subject(requirement.ReasonPresent, ""),
			p.DCV.subject())
	case pcoip:
		o := requirement.Warn(s.Name()+" supports only DCV, but the PCoIP agent is installed too.", evidence...).
			About(p.PCoIP.Service.Subject(requirement.ReasonPresent, ""))
		o.Remediation = "Uninstall the PCoIP agent, and restart."
		return o
	}
	return requirement.Pass(s.Name()+" supports only DCV, which is installed.", evidence...)
}

var componentDCV = entry{
	Requirement: required("current.component.dcv", "",
		"The DCV server must be installed if the WorkSpace does not use PCoIP.",
		"Required configuration and service components for WorkSpaces", explanation{
			Reads: `The folder Program Files\NICE; SYSTEM: Services\dcvserver and Services\PCoIPAgent, with Start ` +
				`and ImagePath, and the program's file.`,
			Live: `Get-Service dcvserver; Get-ChildItem 'C:\Program Files\NICE'`,
			Doubts: "AWS names the folders that must not be deleted. The name of the service is known from " +
				"observation.",
			Fix: "Restart the WorkSpace, which reinstalls the agent of its protocol. If that fails, rebuild it.",
		}),
	Judge: (*Machine).decideDCV,
}

// A folder is a folder that was looked for, and whether anything is in it.
type folder struct {
	machine.File
	Empty bool
}

// filled says whether the folder exists and contains something.
func (f folder) filled() bool { return f.Exists && f.Dir && !f.Empty }

func (m *Machine) readFolder(win string) (folder, error) {
	entries, f, err := m.List(win)
	return folder{f, len(entries) == 0}, err
}

func (m *Machine) decideDCV() requirement.Outcome {
	p, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	env, err := m.Environment()
	if err != nil {
		return requirement.Unreadable(err)
	}
	nice, err := m.readFolder(env["PROGRAMFILES"] + `\NICE`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeDCV(p, nice)
}

// judgeDCV decides current.component.dcv.
func judgeDCV(p protocols, nice folder) requirement.Outcome {
	evidence := append(p.DCV.evidence(), nice.Evidence)
	problem := p.DCV.problem()
	place := machine.WindowsPath(nice.Evidence)
	warn := func(message string, about requirement.Subject) requirement.Outcome {
		o := requirement.Warn(message, evidence...).About(about)
		o.Remediation = p.DCV.remedy()
		return o
	}
	switch {
	case problem == "" && nice.filled():
		return requirement.Pass("The DCV server is installed (startup type: "+p.DCV.Service.StartName()+").", evidence...)
	case nice.filled():
		return warn(place+" exists, but the DCV server does not start: "+problem+".", p.DCV.subject())
	case problem == "":
		return warn("The DCV server is installed outside of "+place+", which is missing or empty.",
			subjectOf(nice.Evidence, requirement.ReasonMissing))
	case p.PCoIP.there():
		return requirement.Skip("The WorkSpace uses PCoIP.", append(evidence, p.PCoIP.evidence()...)...)
	}
	return requirement.Fail("The DCV server is not installed, and neither is the PCoIP agent.",
		append(evidence, p.PCoIP.evidence()...)...).About(p.DCV.subject(), p.PCoIP.subject())
}

var pathsProtected = entry{
	Requirement: required("current.paths.protected", "",
		"The folders of the agents of AWS must exist and must not be empty.",
		"Required configuration and service components for WorkSpaces", explanation{
			Reads: `Program Files\Amazon, ProgramData\Amazon, and the folders NICE (DCV) or Teradici (PCoIP) of the ` +
				`protocol that is installed.`,
			Live: `Get-ChildItem 'C:\Program Files\Amazon', C:\ProgramData\Amazon, 'C:\Program Files\NICE', ` +
				`C:\ProgramData\NICE`,
			Doubts: "AWS only says that these folders must not be deleted or changed. Whether files in them were " +
				"changed is not checked. Only a missing Program Files\\Amazon fails; the others are a warning.",
			Fix: "Restart the WorkSpace, which reinstalls its components. If that fails, rebuild it.",
		}),
	Judge: (*Machine).decidePathsProtected,
	Terms: []string{"protocols"},
}

// protectedPlace is a folder that must exist, or one of several that may.
type protectedPlace struct {
	Any      []folder
	Decisive bool // no WorkSpace can do without it
}

func (p protectedPlace) filled() bool {
	for _, f := range p.Any {
		if f.filled() {
			return true
		}
	}
	return false
}

// readProtected reads the folders of the agents, with those of the protocols
// that are named and installed.
func (m *Machine) readProtected(protocols []string) ([]protectedPlace, error) {
	env, err := m.Environment()
	if err != nil {
		return nil, err
	}
	installed, err := m.readProtocols()
	if err != nil {
		return nil, err
	}
	programs, x86, data := env["PROGRAMFILES"], env["PROGRAMFILES(X86)"], env["PROGRAMDATA"]
	places := [][]string{{programs + `\Amazon`}, {data + `\Amazon`}}
	for _, protocol := range protocols {
		switch {
		case protocol == "DCV" && installed.DCV.there():
			places = append(places, []string{programs + `\NICE`}, []string{data + `\NICE`})
		case protocol == "PCoIP" && installed.PCoIP.there():
			places = append(places, []string{programs + `\Teradici`, x86 + `\Teradici`}, []string{data + `\Teradici`})
		}
	}
	var list []protectedPlace
	for i, paths := range places {
		p := protectedPlace{Decisive: i == 0}
		for _, path := range paths {
			f, err := m.readFolder(path)
			if err != nil {
				return nil, err
			}
			p.Any = append(p.Any, f)
		}
		list = append(list, p)
	}
	return list, nil
}

// judgeProtected decides current.paths.protected.
func judgeProtected(places []protectedPlace) requirement.Outcome {
	var lacking []string
	var evidence, all []requirement.Evidence
	decisive := false
	for _, p := range places {
		for _, f := range p.Any {
			all = append(all, f.Evidence)
		}
		if p.filled() {
			continue
		}
		decisive = decisive || p.Decisive
		var names []string
		for _, f := range p.Any {
			names = append(names, machine.WindowsPath(f.Evidence))
			evidence = append(evidence, f.Evidence)
		}
		lacking = append(lacking, prose.List(names, len(names)))
	}
	message := form(len(lacking), "A folder of AWS is missing or empty: ", "Folders of AWS are missing or empty: ") +
		prose.Some(lacking) + "."
	switch {
	case len(lacking) == 0:
		return requirement.Pass("The folders of the agents of AWS exist.", all...)
	case decisive:
		return requirement.Fail(message, evidence...).About(subjectsOf(evidence, requirement.ReasonMissing)...)
	}
	return requirement.Warn(message, evidence...).About(subjectsOf(evidence, requirement.ReasonMissing)...)
}

func (m *Machine) decidePathsProtected() requirement.Outcome {
	places, err := m.readProtected(m.Terms.Texts("protocols"))
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeProtected(places)
}
