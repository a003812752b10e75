package windows

import (
	"fmt"
	"slices"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var componentPVDrivers = entry{
	Requirement: required("win.component.pv-drivers", "",
		"The AWS PV drivers, or the ENA and NVMe drivers, must be installed.", sectionRequirements, explanation{
			Reads: `SYSTEM: Services\xenbus, xeniface, xennet, xenvbd and xenvif, or ena and AWSNVMe: Start and the ` +
				`driver files. SOFTWARE: Amazon\PVDriver, or the folder Amazon\Xentools, which show that the Xen ` +
				`drivers come from AWS. One set is enough.`,
			Live: `Get-CimInstance Win32_SystemDriver | Where-Object Name -in ` +
				`xenbus,xeniface,xennet,xenvbd,xenvif,ena,AWSNVMe | Select-Object Name, StartMode, PathName`,
			Doubts: "AWS does not document which drivers a Nitro bundle needs. ena and AWSNVMe are known from observation.",
			Fix:    "Install the current AWS PV drivers, or on a Nitro bundle the ENA and NVMe drivers, and restart.",
		}),
	Judge: (*Machine).decidePVDrivers,
	Terms: []string{"servers_without_pv"},
}

// A driver is a service of a component and the file that it loads.
type driver struct {
	Name    string
	Service machine.Service
	File    machine.File
}

// problem says why the driver does not load; "" if nothing speaks against it.
func (d driver) problem() string {
	switch {
	case !d.Service.Exists():
		return d.Name + " is not installed"
	case d.Service.Deleted:
		return d.Name + " is marked for deletion"
	case !d.Service.Start.Present:
		return d.Name + " has no start type"
	case d.Service.Start.Value == machine.StartDisabled:
		return d.Name + " is disabled"
	case !d.File.Exists || d.File.Dir:
		return fmt.Sprintf("the file of %s is missing (%s)", d.Name, machine.WindowsPath(d.File.Evidence))
	case d.File.Size == 0:
		return fmt.Sprintf("the file of %s is empty (%s)", d.Name, machine.WindowsPath(d.File.Evidence))
	}
	return ""
}

// remedy says how to enable the service if it is only disabled. It is "" where the requirement's own remedy applies.
func (d driver) remedy() string {
	if d.Service.Exists() && !d.Service.Deleted && d.Service.Start.Present &&
		d.Service.Start.Value == machine.StartDisabled {
		return d.automatic()
	}
	return ""
}

func (d driver) automatic() string {
	return fmt.Sprintf("Open services.msc, select %s, and set Startup type to Automatic.", d.Service.Title())
}

// subject is the driver, which has a problem, as a finding names it to programs.
func (d driver) subject() requirement.Subject {
	switch s := d.Service; {
	case !s.Exists():
		return machine.ServiceSubject(d.Name, "", requirement.ReasonMissing, "")
	case s.Start.Present && s.Start.Value == machine.StartDisabled:
		return s.Subject(requirement.ReasonDisabled, "")
	default:
		return s.Subject(requirement.ReasonDamaged, s.ImagePath.Value)
	}
}

func (d driver) evidence() []requirement.Evidence {
	switch {
	case !d.Service.Exists():
		return []requirement.Evidence{d.Service.Key}
	case !d.File.Exists || d.File.Dir || d.File.Size == 0:
		return []requirement.Evidence{d.Service.Start.Evidence, d.File.Evidence}
	}
	return []requirement.Evidence{d.Service.Start.Evidence}
}

var (
	pvDrivers    = []string{"xenbus", "xeniface", "xennet", "xenvbd", "xenvif"}
	nitroDrivers = []string{"ena", "AWSNVMe"}
	// What other vendors put in the place of the AWS PV drivers.
	otherDrivers = []string{"xenevtchn", "xensvc", "Xennet6", "rhelnet", "rhelscsi"}
)

// readDrivers looks for the services of a component by name, with the files
// that they load: a driver without an ImagePath loads its own name from
// System32\drivers.
func (m *Machine) readDrivers(names []string) ([]driver, error) {
	env, err := m.Environment()
	if err != nil {
		return nil, err
	}
	var drivers []driver
	for _, name := range names {
		d := driver{Name: name}
		if d.Service, err = m.Service(name); err != nil {
			return nil, err
		}
		if d.Service.Exists() {
			image := env.Text(d.Service.ImagePath)
			if image == "" {
				image = `system32\drivers\` + name + ".sys"
			}
			if d.File, err = m.File(env.Program(image)); err != nil {
				return nil, err
			}
		}
		drivers = append(drivers, d)
	}
	return drivers, nil
}

func (m *Machine) decidePVDrivers() requirement.Outcome {
	pv, err := m.readDrivers(pvDrivers)
	if err != nil {
		return requirement.Unreadable(err)
	}
	nitro, err := m.readDrivers(nitroDrivers)
	if err != nil {
		return requirement.Unreadable(err)
	}
	other, err := m.readDrivers(otherDrivers)
	if err != nil {
		return requirement.Unreadable(err)
	}
	mark, err := m.readVendor()
	if err != nil {
		return requirement.Unreadable(err)
	}
	o := judgePVDrivers(pv, nitro, other, mark)
	servers := m.Terms.Ints("servers_without_pv")
	if s, err := m.System(); err == nil && len(servers) > 0 {
		o = judgeWithoutPV(o, s, servers, inspectDrivers(nitro), mark)
	}
	return o
}

// A pvVendor is what shows that the Xen drivers are AWS's: drivers of other
// vendors bring services of the same names.
type pvVendor struct {
	Key     machine.Key             // SOFTWARE\Amazon\PVDriver
	Version machine.Setting[string] // in it
	Folder  machine.File            // Amazon\Xentools in Program Files
}

func (m *Machine) readVendor() (pvVendor, error) {
	var v pvVendor
	var err error
	if v.Key, err = m.Key(`HKLM\SOFTWARE\Amazon\PVDriver`); err != nil {
		return v, err
	}
	if v.Version, err = m.Text(v.Key, "Version"); err != nil {
		return v, err
	}
	env, err := m.Environment()
	if err != nil {
		return v, err
	}
	v.Folder, err = m.File(env["PROGRAMFILES"] + `\Amazon\Xentools`)
	return v, err
}

func (v pvVendor) amazon() bool { return v.Key.Exists() || v.Folder.Exists && v.Folder.Dir }

// judgePVDrivers decides win.component.pv-drivers. One of the two sets must be
// complete: the first serves bundles on Xen, the second those on Nitro.
// Disabled drivers of the other are named. A driver of either set that should
// start and has no file is an installation that is damaged, and fails.
func judgePVDrivers(pv, nitro, other []driver, vendor pvVendor) requirement.Outcome {
	first, second := inspectDrivers(pv), inspectDrivers(nitro)
	evidence := append(first.evidence, second.evidence...)
	broken := append(first.broken, second.broken...)
	switch {
	case len(broken) > 0 && (first.complete() || second.complete()):
		return failDrivers(first, second, broken)
	case first.complete() && vendor.amazon():
		message := "The AWS PV drivers "
		if vendor.Version.Value != "" {
			message += prose.Short(vendor.Version.Value) + " "
			evidence = append(evidence, vendor.Version.Evidence)
		}
		if second.complete() {
			message += "and the ENA and NVMe drivers "
		}
		return second.unneeded(requirement.Pass(message+"are installed", evidence...))
	case second.complete():
		return first.unneeded(requirement.Pass("The ENA and NVMe drivers are installed",
			append(second.evidence, first.brokenEvidence...)...))
	case first.complete():
		return second.unneeded(requirement.Warn("Xen drivers are installed, but nothing shows that they come from AWS",
			append(first.evidence, vendor.Key.Evidence, vendor.Folder.Evidence)...).
			Also(`Both SOFTWARE\Amazon\PVDriver and ` + machine.WindowsPath(vendor.Folder.Evidence) + " are missing"))
	}
	if broken = append(broken, append(first.disabled, second.disabled...)...); len(broken) > 0 {
		return failDrivers(first, second, broken)
	}
	o := requirement.Fail("Neither the AWS PV drivers nor the ENA and NVMe drivers are complete").
		Also("Missing drivers: " + prose.Some(append(first.missing, second.missing...)))
	var foreign []string
	for _, d := range other {
		if d.Service.Exists() {
			foreign = append(foreign, d.Name)
			evidence = append(evidence, d.Service.Key)
		}
	}
	if len(foreign) > 0 {
		o = o.Also("Drivers of another vendor are installed: " + prose.Some(foreign))
	}
	return o.With(evidence...).About(append(first.about, second.about...)...)
}

// judgeWithoutPV makes an inference of what is installed on a server for which
// AWS has no PV drivers: the guide requires them of every system.
func judgeWithoutPV(o requirement.Outcome, s machine.System, servers []int64, nitro driverSet,
	vendor pvVendor) requirement.Outcome {
	if o.Status == requirement.Passed && !s.Client && slices.Contains(servers, int64(s.Build)) && nitro.complete() &&
		!vendor.amazon() {
		o.Basis = requirement.Inferred
		o = o.Also("AWS has no PV drivers for " + s.Name() + ".")
	}
	return o
}

func failDrivers(first, second driverSet, broken []string) requirement.Outcome {
	o := requirement.Fail(prose.Count(len(broken), "driver does", "drivers do")+" not load: "+prose.Some(broken),
		append(first.brokenEvidence, second.brokenEvidence...)...).
		About(append(first.brokenAbout, second.brokenAbout...)...)
	switch {
	case len(second.brokenAbout) == 0:
		o.Remediation = "Reinstall the AWS PV drivers and restart."
	case len(first.brokenAbout) == 0:
		o.Remediation = "Reinstall the ENA and NVMe drivers and restart."
	}
	return o
}

// A driverSet says what is wrong with the drivers of a set.
type driverSet struct {
	missing  []string // names of those that are not installed
	disabled []string // those that are disabled
	broken   []string // why others do not load, although they should
	evidence []requirement.Evidence

	brokenEvidence []requirement.Evidence

	about       []requirement.Subject // the drivers of missing, disabled and broken
	brokenAbout []requirement.Subject // those of disabled and broken
}

// complete reports whether every driver of the set exists and loads.
func (s driverSet) complete() bool { return len(s.missing)+len(s.disabled)+len(s.broken) == 0 }

// unneeded adds to an outcome which drivers of the set are disabled, if the system does not need the set.
func (s driverSet) unneeded(o requirement.Outcome) requirement.Outcome {
	if len(s.disabled) == 0 {
		return o
	}
	return o.Also("Drivers that this system does not need: " + prose.Some(s.disabled))
}

func inspectDrivers(drivers []driver) driverSet {
	var set driverSet
	for _, d := range drivers {
		switch p := d.problem(); {
		case !d.Service.Exists():
			set.missing = append(set.missing, d.Name)
			set.about = append(set.about, d.subject())
		case p != "" && d.Service.Start.Present && d.Service.Start.Value == machine.StartDisabled:
			set.disabled = append(set.disabled, p)
			set.addBroken(d)
		case p != "":
			set.broken = append(set.broken, p)
			set.addBroken(d)
		}
		set.evidence = append(set.evidence, d.evidence()...)
	}
	return set
}

func (s *driverSet) addBroken(d driver) {
	s.brokenEvidence = append(s.brokenEvidence, d.evidence()...)
	s.about, s.brokenAbout = append(s.about, d.subject()), append(s.brokenAbout, d.subject())
}

// protocols are the two ways in which a WorkSpace shows its screen.
type protocols struct {
	PCoIP driver
	DCV   driver
}

func (m *Machine) readProtocols() (protocols, error) {
	list, err := m.readDrivers([]string{"PCoIPAgent", "dcvserver"})
	if err != nil {
		return protocols{}, err
	}
	return protocols{list[0], list[1]}, nil
}

var componentPCoIP = entry{
	Requirement: required("win.component.pcoip", "", "The PCoIP agent and drivers, or DCV, must be installed.",
		sectionRequirements, explanation{
			Reads: `SYSTEM: Services\PCoIPAgent or Services\dcvserver, with Start and ImagePath, and the program's ` +
				`file. One of them is enough.`,
			Live: `Get-CimInstance Win32_Service | Where-Object Name -in PCoIPAgent,dcvserver | Select-Object Name, ` +
				`StartMode, PathName`,
			Fix: "Restart the WorkSpace, which reinstalls the agent of its protocol. If that fails, rebuild it.",
		}),
	Judge: (*Machine).decidePCoIP,
	Terms: []string{"dcv_replaces_pcoip"},
}

func (m *Machine) decidePCoIP() requirement.Outcome {
	p, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	o := judgePCoIP(p)
	if !m.Terms.Is("dcv_replaces_pcoip") {
		return o
	}
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeReplaced(o, s, p)
}

// judgeReplaced makes an inference of a DCV server on a system that AWS offers
// only with DCV: the guide requires PCoIP of every system.
func judgeReplaced(o requirement.Outcome, s machine.System, p protocols) requirement.Outcome {
	if o.Status == requirement.Passed && !p.PCoIP.there() && onlyDCV(s) {
		o.Basis = requirement.Inferred
		o = o.Also("AWS offers " + s.Name() + " only with DCV.")
	}
	return o
}

// judgePCoIP decides win.component.pcoip.
func judgePCoIP(p protocols) requirement.Outcome {
	pcoip, dcv := p.PCoIP.problem(), p.DCV.problem()
	evidence := append(p.PCoIP.evidence(), p.DCV.evidence()...)
	switch {
	case pcoip == "":
		return requirement.Pass(fmt.Sprintf("The PCoIP agent is installed (startup type: %s)",
			p.PCoIP.Service.StartName()),
			append(p.PCoIP.evidence(), p.PCoIP.File.Evidence)...)
	case dcv == "":
		return requirement.Pass(fmt.Sprintf("The DCV server is installed (startup type: %s); PCoIP is not in use",
			p.DCV.Service.StartName()),
			append(p.DCV.evidence(), p.DCV.File.Evidence)...)
	case p.PCoIP.Service.Exists():
		o := requirement.Fail("The PCoIP agent cannot start: "+pcoip, evidence...).About(p.PCoIP.subject())
		o.Remediation = p.PCoIP.remedy()
		return o
	case p.DCV.Service.Exists():
		o := requirement.Fail("The DCV server cannot start: "+dcv, evidence...).About(p.DCV.subject())
		o.Remediation = p.DCV.remedy()
		return o
	}
	return requirement.Fail("Neither the PCoIP agent nor the DCV server is installed",
		evidence...).About(p.PCoIP.subject(), p.DCV.subject())
}

var componentSTXHD = entry{
	Requirement: required("win.component.stxhd", "", "The STXHD agents and drivers must be installed.",
		sectionRequirements, explanation{
			Reads: `SYSTEM: the service whose name or DisplayName begins with STXHD, with Start and ImagePath, and ` +
				`its file. STXHD belongs to PCoIP, so the requirement does not apply if only DCV is installed.`,
			Live: `Get-CimInstance Win32_Service | Where-Object DisplayName -like 'STXHD*' | Select-Object Name, ` +
				`StartMode, PathName`,
			Doubts: "Newer agents disable or remove STXHD if DCV is installed, so a missing service is then no failure.",
			Fix:    "Restart the WorkSpace, which reinstalls its components. If that fails, rebuild it.",
		}),
	Judge: (*Machine).decideSTXHD,
	Terms: []string{"passed_without_pcoip"},
}

func (m *Machine) decideSTXHD() requirement.Outcome {
	p, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	services, err := m.Services()
	if err != nil {
		return requirement.Unreadable(err)
	}
	stxhd := driver{Name: "the STXHD service", Service: machine.Service{Key: services[0].ServicesKey()}}
	for _, s := range services {
		if !fold.HasPrefix(s.DisplayName, "STXHD") && !fold.HasPrefix(s.Name, "STXHD") {
			continue
		}
		if s.Err != nil {
			return requirement.Unreadable(s.Err)
		}
		list, err := m.readDrivers([]string{s.Name})
		if err != nil {
			return requirement.Unreadable(err)
		}
		stxhd = list[0]
		break
	}
	for _, s := range services {
		if s.Err != nil && !stxhd.Service.Exists() {
			return requirement.Unreadable(s.Err) // it may be the one
		}
	}
	o := judgeSTXHD(stxhd, p)
	if o.Status == requirement.NotApplicable && m.Terms.Is("passed_without_pcoip") {
		return requirement.Infer(o.Message, o.Evidence...)
	}
	return o
}

// judgeSTXHD decides win.component.stxhd.
func judgeSTXHD(stxhd driver, p protocols) requirement.Outcome {
	problem := stxhd.problem()
	dcv := p.DCV.problem() == ""
	evidence := append(stxhd.evidence(), p.PCoIP.evidence()...)
	evidence = append(evidence, p.DCV.evidence()...)
	disabled := stxhd.Service.Exists() && stxhd.Service.Start.Value == machine.StartDisabled &&
		stxhd.Service.Start.Present
	switch {
	case problem == "":
		return requirement.Pass(fmt.Sprintf("%s is installed (startup type: %s)", stxhd.Service.Title(),
			stxhd.Service.StartName()), append(stxhd.evidence(), stxhd.File.Evidence)...)
	case dcv && !p.PCoIP.Service.Exists():
		return requirement.Skip("STXHD belongs to PCoIP, and only DCV is installed", evidence...)
	case dcv && disabled:
		return requirement.Pass("The STXHD service is disabled, as newer agents leave it if DCV is installed",
			evidence...)
	case dcv && !stxhd.Service.Exists():
		return requirement.Infer(
			"The STXHD service is not installed. DCV and PCoIP are installed, and newer agents then remove STXHD",
			evidence...)
	}
	o := requirement.Fail(problem, evidence...).About(stxhd.subject())
	o.Remediation = stxhd.remedy()
	return o
}

var componentSkylight = entry{
	Requirement: required("win.component.skylight", "", "The Skylight agent must be installed and start automatically.",
		sectionRequirements, explanation{
			Reads: `SYSTEM: Services\SkyLightWorkspaceConfigService with Start and ImagePath, and its file. The ` +
				`folders of Amazon, NICE and Teradici that must not be deleted are listed as evidence.`,
			Live: `Get-CimInstance Win32_Service -Filter "Name like 'SkyLight%'" | Select-Object Name, StartMode, ` +
				`PathName`,
			Fix: "Restart the WorkSpace, which reinstalls its components. If that fails, rebuild it.",
		}),
	Judge: (*Machine).decideSkylight,
	Terms: []string{"agent"},
}

// skylightNames are the spellings of the service in AWS's documents.
var skylightNames = []string{"SkyLightWorkspaceConfigService", "SkyLightWorkspacesConfigService"}

// protectedFolders are those that AWS says not to delete.
var protectedFolders = []string{
	`C:\Program Files\Amazon`, `C:\ProgramData\Amazon`,
	`C:\Program Files\NICE`, `C:\ProgramData\NICE`,
	`C:\Program Files\Teradici`, `C:\Program Files (x86)\Teradici`, `C:\ProgramData\Teradici`,
}

func (m *Machine) decideSkylight() requirement.Outcome {
	list, err := m.readDrivers(skylightNames)
	if err != nil {
		return requirement.Unreadable(err)
	}
	agent := list[0]
	if !agent.Service.Exists() && list[1].Service.Exists() {
		agent = list[1]
	}
	var folders []requirement.Evidence
	for _, folder := range protectedFolders {
		f, err := m.File(folder)
		if err != nil {
			return requirement.Unreadable(err)
		}
		folders = append(folders, f.Evidence)
	}
	return judgeSkylight(m.Terms.Text("agent"), agent, folders)
}

// judgeSkylight decides win.component.skylight. title is what the rule book
// calls the agent. The folders are named as evidence and change no status.
func judgeSkylight(title string, agent driver, folders []requirement.Evidence) requirement.Outcome {
	problem := agent.problem()
	about := agent.subject()
	fix := agent.remedy()
	if problem == "" && agent.Service.Start.Value != machine.StartAuto {
		fix = agent.automatic()
		about.Reason, about.Value = requirement.ReasonStartType, agent.Service.StartName()
		problem = fmt.Sprintf("the startup type of %s is %s", agent.Name,
			agent.Service.StartName())
	}
	if problem != "" {
		o := requirement.Fail("The "+title+" does not start automatically: "+problem,
			append(agent.evidence(), folders...)...).About(about)
		o.Remediation = fix
		return o
	}
	return requirement.Pass(fmt.Sprintf("The %s is installed (startup type: %s)", title, agent.Service.StartName()),
		append(append(agent.evidence(), agent.File.Evidence), folders...)...)
}
