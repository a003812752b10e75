package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const sectionCore = "Amazon WorkSpaces Core: Prerequisites"

var coreProtocol = entry{
	Requirement: recommended("core.protocol.byop", codeProtocol,
		"The streaming agents of AWS should not be installed: WorkSpaces Core uses the customer's own protocol.",
		sectionCore, explanation{
			Reads: `SYSTEM: Services\PCoIPAgent and Services\dcvserver, with Start and ImagePath, and the program's file.`,
			Live: `Get-CimInstance Win32_Service | Where-Object Name -in PCoIPAgent,dcvserver | Select-Object Name, ` +
				`StartMode, PathName`,
			Doubts: "AWS does not say what becomes of its agents in a bundle with the customer's own protocol. A DCV " +
				"server may be the customer's own.",
			Fix: "Uninstall the streaming agent of AWS, or create the image for a bundle with that protocol.",
		}),
	Judge: (*Machine).decideCoreProtocol,
}

func (m *Machine) decideCoreProtocol() requirement.Outcome {
	p, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeCoreProtocol(p)
}

// judgeCoreProtocol decides core.protocol.byop.
func judgeCoreProtocol(p protocols) requirement.Outcome {
	var found []string
	var evidence []requirement.Evidence
	var about []requirement.Subject
	for _, a := range []struct {
		title string
		driver
	}{{"the PCoIP agent", p.PCoIP}, {"the DCV server", p.DCV}} {
		if a.there() {
			found = append(found, a.title+" ("+a.Service.StartName()+")")
			evidence = append(evidence, a.evidence()...)
			about = append(about, a.Service.Subject(requirement.ReasonPresent, a.Service.StartName()))
		}
	}
	if len(found) > 0 {
		return requirement.Warn("A streaming agent of AWS is installed: "+prose.Some(found)+".", evidence...).About(about...)
	}
	return requirement.Pass("No streaming agent of AWS is installed.", append(p.PCoIP.evidence(), p.DCV.evidence()...)...)
}

var coreCustomer = entry{
	Requirement: recommended("core.protocol.customer", "",
		"The customer's own streaming agent should be installed.", sectionCore, explanation{
			Reads: `SYSTEM: the services BrokerAgent (Citrix), WSNM (Omnissa or VMware Horizon), LeostreamAgent, ` +
				`those whose names begin with Workspot, and dcvserver. SOFTWARE: Citrix\VirtualDesktopAgent and ` +
				`VMware, Inc.\VMware VDM; applications named Horizon Agent.`,
			Live:   `Get-Service BrokerAgent, WSNM, LeostreamAgent, Workspot*, dcvserver -ErrorAction Ignore`,
			Doubts: "AWS does not list the agents. Those known here are not all there are.",
			Fix:    "Install the agent of your streaming protocol.",
		}),
	Judge: (*Machine).decideCoreCustomer,
}

// customerAgents are streaming agents of other vendors, by the names of their
// services; "*" stands for any end.
var customerAgents = []struct{ service, title string }{
	{"BrokerAgent", "Citrix Virtual Delivery Agent"},
	{"WSNM", "Horizon Agent"},
	{"LeostreamAgent", "Leostream Agent"},
	{"Workspot*", "Workspot Agent"},
	{"dcvserver", "DCV server"},
}

// customerKeys are keys below SOFTWARE that streaming agents of other vendors have.
var customerKeys = []struct{ key, title string }{
	{`Citrix\VirtualDesktopAgent`, "Citrix Virtual Delivery Agent"},
	{`VMware, Inc.\VMware VDM`, "Horizon Agent"},
}

// A customerAgent is a trace of a streaming agent of another vendor.
type customerAgent struct {
	title    string
	disabled bool
	evidence requirement.Evidence
}

func (m *Machine) readCustomerAgents() ([]customerAgent, requirement.Evidence, error) {
	var list []customerAgent
	services, err := m.Services()
	if err != nil {
		return nil, requirement.Evidence{}, err
	}
	for _, s := range services {
		for _, a := range customerAgents {
			if matchesFold(s.Name, a.service) && !s.Deleted {
				list = append(list, customerAgent{a.title, s.Start.Value == machine.StartDisabled, s.Key})
			}
		}
	}
	for _, known := range customerKeys {
		k, err := m.Key(`HKLM\SOFTWARE\` + known.key)
		if err != nil {
			return nil, requirement.Evidence{}, err
		}
		if k.Exists() {
			list = append(list, customerAgent{known.title, false, k.Evidence})
		}
	}
	apps, err := m.Apps()
	if err != nil {
		return nil, requirement.Evidence{}, err
	}
	for _, a := range apps {
		if fold.HasSuffix(a.Name, "Horizon Agent") {
			list = append(list, customerAgent{"Horizon Agent", false, a.Evidence})
		}
	}
	return list, services[0].ServicesKey(), nil
}

func (m *Machine) decideCoreCustomer() requirement.Outcome {
	agents, looked, err := m.readCustomerAgents()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeCoreCustomer(agents, looked)
}

// judgeCoreCustomer decides core.protocol.customer. looked is the list of services.
func judgeCoreCustomer(agents []customerAgent, looked requirement.Evidence) requirement.Outcome {
	var found, off []string
	var evidence []requirement.Evidence
	for _, a := range agents {
		evidence = append(evidence, a.evidence)
		list := &found
		if a.disabled {
			list = &off
		}
		if !fold.Contains(*list, a.title) {
			*list = append(*list, a.title)
		}
	}
	switch {
	case len(found) > 0:
		return requirement.Pass("Installed streaming agents: "+prose.Some(found)+".", evidence...)
	case len(off) > 0:
		return requirement.Warn("The streaming agent is disabled: "+prose.Some(off)+".", evidence...).
			About(subjectsOf(evidence, requirement.ReasonDisabled)...)
	}
	return requirement.Warn("No streaming agent that this program knows is installed.", looked).
		About(requirement.Subject{Kind: requirement.SubjectProgram, ID: "streaming agent", Reason: requirement.ReasonMissing})
}

var coreLicense = entry{
	Requirement: recommended("core.rds.license", "",
		"A server with the Remote Desktop Session Host role should have a licensing mode and a license server.",
		sectionCore, explanation{
			Reads: `SYSTEM: Control\Terminal Server\TSAppCompat (1 with the role), RCM\Licensing Core\LicensingMode ` +
				`(2 per device, 4 per user); SOFTWARE: the policies LicensingMode and LicenseServers, which override ` +
				`them; SYSTEM: Services\TermService\Parameters\LicenseServers\SpecifiedLicenseServers.`,
			Live: `Get-CimInstance -Namespace root/cimv2/TerminalServices Win32_TerminalServiceSetting | ` +
				`Select-Object LicensingType, TerminalServerMode`,
			Doubts: "The values are known from observation. Without the role, Windows allows two administrative connections.",
			Fix: "Set the licensing mode and the license server of Remote Desktop by Group Policy, or remove the Session " +
				"Host role.",
		}),
	Judge: (*Machine).decideCoreLicense,
}

// Licensing modes of the Remote Desktop Session Host.
const (
	licensePerDevice = 2
	licensePerUser   = 4
)

// sessionHost is how Remote Desktop is licensed.
type sessionHost struct {
	Role    machine.Setting[uint32] // TSAppCompat: 1 if the role is installed
	Mode    machine.Setting[uint32]
	Servers machine.Setting[[]string]
}

func (m *Machine) readSessionHost() (sessionHost, error) {
	var h sessionHost
	var err error
	if h.Role, err = m.DWordAt(keyTerminalServer, "TSAppCompat"); err != nil {
		return h, err
	}
	const policy = `HKLM\SOFTWARE` + keyTerminalServerPolicy
	if h.Mode, err = m.DWordAt(policy, "LicensingMode"); err == nil && !h.Mode.Present {
		h.Mode, err = m.DWordAt(keyTerminalServer+`\RCM\Licensing Core`, "LicensingMode")
	}
	if err != nil {
		return h, err
	}
	if h.Servers, err = m.MultiAt(policy, "LicenseServers"); err == nil && len(h.Servers.Value) == 0 {
		h.Servers, err = m.MultiAt(machine.KeyServices+`\TermService\Parameters\LicenseServers`, "SpecifiedLicenseServers")
	}
	return h, err
}

func (m *Machine) decideCoreLicense() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	h, err := m.readSessionHost()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSessionHost(s, h)
}

// judgeSessionHost decides core.rds.license.
func judgeSessionHost(s machine.System, h sessionHost) requirement.Outcome {
	switch {
	case s.Client:
		return requirement.Skip(s.Name() + " is no server.")
	case h.Role.Value != 1:
		return requirement.Skip("The Remote Desktop Session Host role is not installed.", h.Role.Evidence)
	case h.Mode.Value != licensePerDevice && h.Mode.Value != licensePerUser:
		message := "Remote Desktop has no licensing mode."
		if h.Mode.Present {
			message = fmt.Sprintf("Remote Desktop has the licensing mode %d, which is neither 2 (per device) nor 4 (per user).",
				h.Mode.Value)
		}
		return requirement.Warn(message, h.Mode.Evidence).About(subjectOf(h.Mode.Evidence, requirement.ReasonValue))
	case len(h.Servers.Value) == 0:
		return requirement.Warn("Remote Desktop has no license server.", h.Servers.Evidence).
			About(subjectOf(h.Servers.Evidence, requirement.ReasonMissing))
	}
	mode := "per device"
	if h.Mode.Value == licensePerUser {
		mode = "per user"
	}
	return requirement.Pass("Remote Desktop is licensed "+mode+" by "+prose.Short(strings.Join(h.Servers.Value, ", "))+".",
		h.Mode.Evidence, h.Servers.Evidence)
}
