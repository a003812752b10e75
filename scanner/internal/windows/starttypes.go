package windows

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var rdsEnabled = entry{
	Requirement: required("win.rds.enabled", "RemoteDesktopServicesDisabled",
		"Remote Desktop Services must start manually or automatically.",
		sectionTips+": Remote Desktop Services must be enabled", explanation{
			Reads: `SYSTEM: Services\TermService\Start and Parameters\ServiceDll, Control\Terminal ` +
				`Server\fDenyTSConnections; SOFTWARE: the policy that overrides it; the start types in security ` +
				`templates of Group Policy.`,
			Live:   `Get-CimInstance Win32_Service -Filter "Name='TermService'" | Select-Object StartMode`,
			Doubts: "Whether remote connections are allowed does not count: the service's guide does not mention it.",
			Fix:    "Open services.msc, select Remote Desktop Services, and set Startup type to Manual.",
		}),
	Judge: (*Machine).decideRDS,
}

var trustedInstallerEnabled = entry{
	Requirement: required("win.trustedinstaller.enabled", "WindowsModulesInstallerDisabled",
		"Windows Modules Installer must start manually or automatically.",
		sectionTips+": Windows Modules Installer must be enabled", explanation{
			Reads: `SYSTEM: Services\TrustedInstaller\Start; the start types in security templates of Group Policy.`,
			Live:  `Get-CimInstance Win32_Service -Filter "Name='TrustedInstaller'" | Select-Object StartMode`,
			Fix:   "Open services.msc, select Windows Modules Installer, and set Startup type to Manual.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		return m.decideStart(startRule{name: "TrustedInstaller", title: "Windows Modules Installer",
			allowed: []uint32{machine.StartAuto, machine.StartManual}})
	},
}

var winRMAuto = entry{
	Requirement: required("win.winrm.auto", "", "Windows Remote Management must start automatically.",
		sectionRequirements, explanation{
			Reads: `SYSTEM: Services\WinRM\Start and DelayedAutostart; the start types in security templates of Group ` +
				`Policy.`,
			Live: `Get-CimInstance Win32_Service -Filter "Name='WinRM'" | Select-Object StartMode`,
			Fix: "Open services.msc, select Windows Remote Management (WS-Management), and set Startup type to " +
				"Automatic.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		return m.decideStart(startRule{name: "WinRM", title: "Windows Remote Management",
			allowed: []uint32{machine.StartAuto}})
	},
}

var ssmDisabled = entry{
	Requirement: required("win.ssm.disabled", "AmazonSsmAgentEnabled", "Amazon SSM Agent must be disabled.",
		sectionTips+": Amazon SSM Agent must be disabled", explanation{
			Reads: `SYSTEM: Services\AmazonSSMAgent\Start; the start types in security templates of Group Policy. The ` +
				`requirement is met if the agent is not installed.`,
			Live: `Get-CimInstance Win32_Service -Filter "Name='AmazonSSMAgent'" | Select-Object StartMode`,
			Fix:  "Open services.msc, select Amazon SSM Agent, and set Startup type to Disabled.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		return m.decideStart(startRule{name: "AmazonSSMAgent", title: "Amazon SSM Agent",
			allowed: []uint32{machine.StartDisabled}, absent: true})
	},
}

// A startRule says how a service has to start.
type startRule struct {
	name    string // of its key
	title   string // as services.msc shows it
	allowed []uint32
	absent  bool // the service may be absent
}

// subject is the rule's service as a finding names it to programs.
func (r startRule) subject(reason requirement.Reason, value string) requirement.Subject {
	return machine.ServiceSubject(r.name, r.title, reason, value)
}

func (m *Machine) decideStart(rule startRule) requirement.Outcome {
	s, err := m.Service(rule.name)
	if err != nil {
		return requirement.Unreadable(err)
	}
	policies, err := m.servicePolicies(rule.name)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeStart(s, rule, policies)
}

// repairWindows brings back what is Windows' own.
const repairWindows = "Repair Windows: run DISM /Online /Cleanup-Image /RestoreHealth, then sfc /scannow. If that " +
	"does not help, use another WorkSpace."

// judgeStart decides a requirement on the start type of one service. policies
// are start types that a Group Policy writes again when it is next applied.
func judgeStart(s machine.Service, rule startRule, policies []machine.Setting[uint32]) requirement.Outcome {
	if !s.Exists() || s.Deleted {
		message := rule.title + " is not installed."
		if s.Deleted {
			message = rule.title + " is marked for deletion."
		}
		if rule.absent {
			return requirement.Pass(message, s.Key)
		}
		o := requirement.Fail(message, s.Key).About(rule.subject(requirement.ReasonMissing, ""))
		o.Remediation = repairWindows
		return o
	}
	if !s.Start.Present {
		return requirement.Fail(rule.title+" has no start type.",
			s.Start.Evidence).About(rule.subject(requirement.ReasonDamaged, ""))
	}
	message := rule.title + " " + s.Starts()
	if !slices.Contains(rule.allowed, s.Start.Value) {
		o := requirement.Fail(message+"; the start type must be "+startNames(rule.allowed)+".", s.Start.Evidence)
		return o.About(rule.subject(requirement.ReasonStartType, s.StartName()))
	}
	for _, p := range policies {
		if !slices.Contains(rule.allowed, p.Value) {
			o := requirement.Warn(fmt.Sprintf("%s, but a Group Policy sets the start type to %s when it is next applied.",
				message, startNames([]uint32{p.Value})), s.Start.Evidence, p.Evidence)
			o.Remediation = "Remove " + rule.title + " from System Services in the Group Policy Object, or move the " +
				"computer to an organizational unit without it."
			return o.About(rule.subject(requirement.ReasonPolicy, startNames([]uint32{p.Value})))
		}
	}
	return requirement.Pass(message+".", s.Start.Evidence)
}

func startNames(types []uint32) string {
	var names []string
	for _, t := range types {
		s := machine.Service{Start: machine.Setting[uint32]{Value: t, Present: true}}
		names = append(names, s.StartName())
	}
	return strings.Join(names, " or ")
}

const (
	keyTerminalServer       = machine.KeyControl + `\Terminal Server`
	keyTerminalServerPolicy = `\Policies\Microsoft\Windows NT\Terminal Services`
)

var remoteDesktop = startRule{name: "TermService", title: "Remote Desktop Services",
	allowed: []uint32{machine.StartAuto, machine.StartManual}}

func (m *Machine) decideRDS() requirement.Outcome {
	o := m.decideStart(remoteDesktop)
	if o.Status != requirement.Passed {
		return o
	}
	dll, err := m.TextAt(machine.KeyServices+`\TermService\Parameters`, "ServiceDll")
	if err != nil {
		return requirement.Unreadable(err)
	}
	var program machine.File
	if dll.Present {
		env, err := m.Environment()
		if err != nil {
			return requirement.Unreadable(err)
		}
		if program, err = m.File(env.Program(env.Text(dll))); err != nil {
			return requirement.Unreadable(err, dll.Evidence)
		}
	}
	deny, err := m.DWordAt(keyTerminalServer, "fDenyTSConnections")
	if err != nil {
		return requirement.Unreadable(err)
	}
	policy, err := m.DWordAt(`HKLM\SOFTWARE`+keyTerminalServerPolicy, "fDenyTSConnections")
	if err != nil {
		return requirement.Unreadable(err)
	}
	m.policyFile("Machine").compare("Software"+keyTerminalServerPolicy, "fDenyTSConnections", &policy.Evidence)
	return judgeRDS(o, dll, program, deny, policy)
}

// judgeRDS completes win.rds.enabled for a service that may start. Whether
// connections are let in is another setting, of which every client says no: it is
// named. The policy goes before it.
func judgeRDS(start requirement.Outcome, dll machine.Setting[string], program machine.File, deny,
	policy machine.Setting[uint32]) requirement.Outcome {
	switch {
	case !dll.Present:
		o := requirement.Fail("Remote Desktop Services has no program: ServiceDll is not set.", dll.Evidence).
			About(remoteDesktop.subject(requirement.ReasonDamaged, ""))
		o.Remediation = repairWindows
		return o
	case !program.Exists || program.Dir:
		o := requirement.Fail("The program of Remote Desktop Services, "+dll.Value+", does not exist.", dll.Evidence,
			program.Evidence).
			About(remoteDesktop.subject(requirement.ReasonDamaged, dll.Value))
		o.Remediation = repairWindows
		return o
	case policy.Present && policy.Value != 0:
		start = start.Also("A policy denies remote connections, which is allowed.")
	case !policy.Present && (!deny.Present || deny.Value != 0):
		start = start.Also("Remote connections are denied, which is allowed.")
	}
	if policy.Present {
		return start.With(policy.Evidence)
	}
	return start.With(deny.Evidence, policy.Evidence)
}

// policyTemplates is where the security templates of applied Group Policy
// Objects are kept (gpt00000.dom, gpt00001.inf and so on).
const policyTemplates = `\security\templates\policies`

// maxTemplate bounds one security template, in bytes: real ones have a few KiB.
const maxTemplate = 4 << 20

// A template is a security template of an applied Group Policy Object.
type template struct {
	File   requirement.Evidence
	Starts map[string]uint32 // start types, by the services' names in lower case
}

// servicePolicies returns the start types that Group Policy sets for a service.
func (m *Machine) servicePolicies(service string) ([]machine.Setting[uint32], error) {
	templates, err := m.templates.Get(m.next().readTemplates)
	if err != nil {
		return nil, err
	}
	var policies []machine.Setting[uint32]
	for _, t := range templates {
		start, ok := t.Starts[strings.ToLower(service)]
		if !ok {
			continue
		}
		ev := t.File
		ev.Value, ev.Data = service, strconv.FormatUint(uint64(start), 10)
		policies = append(policies, machine.Setting[uint32]{Value: start, Present: true, Evidence: ev})
	}
	return policies, nil
}

func (m *Machine) readTemplates() ([]template, error) {
	folder := `C:\` + m.SystemRoot + policyTemplates
	entries, _, err := m.List(folder)
	if err != nil {
		return nil, err
	}
	var templates []template
	for _, e := range entries {
		name := strings.ToLower(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "gpt") || (path.Ext(name) != ".inf" && path.Ext(name) != ".dom") {
			continue
		}
		v, name, err := m.Locate(folder + `\` + e.Name())
		if err != nil {
			return nil, err
		}
		starts, f, err := machine.ReadParsed(v, name, maxTemplate, "template",
			func(data []byte) (map[string]uint32, error) {
				return templateStarts(machine.DecodeText(data)), nil
			})
		if err != nil {
			return nil, err
		}
		templates = append(templates, template{f.Evidence, starts})
	}
	return templates, nil
}

// templateStarts finds the start types of services in a security template, by the
// services' names in lower case: lines of the form "Name",4,"D:(A;…)" in the
// section [Service General Setting]. Of several for a service the first counts.
func templateStarts(text string) map[string]uint32 {
	starts := map[string]uint32{}
	inSection := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inSection = strings.EqualFold(line, "[Service General Setting]")
			continue
		}
		fields := strings.SplitN(line, ",", 3)
		if !inSection || len(fields) < 2 {
			continue
		}
		start, err := strconv.ParseUint(strings.TrimSpace(fields[1]), 10, 32)
		service := strings.ToLower(strings.Trim(strings.TrimSpace(fields[0]), `"`))
		if _, known := starts[service]; err == nil && !known {
			starts[service] = uint32(start)
		}
	}
	return starts
}
