package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var byolOffice = entry{
	Requirement: required("byol.office.none", "OfficeInstalled",
		"Microsoft Office must not be installed, except as Microsoft 365 Apps.", sectionBYOLErrors, explanation{
			Reads: `SOFTWARE, 64-bit and 32-bit: Uninstall and Classes\Installer\Products, product codes of Office; ` +
				`Microsoft\Office\ClickToRun\Configuration\ProductReleaseIds.`,
			Live: `Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Office\ClickToRun\Configuration`,
			Doubts: "The service's script warns of every product code of Office, also of the components that Microsoft " +
				"365 Apps install. The guide allows Microsoft 365 Apps.",
			Fix: "Uninstall Office in Settings, Apps. If that fails, use Microsoft's Support and Recovery Assistant.",
		}),
	Judge: (*Machine).decideOffice,
}

// officeSuffix ends the product codes of Office; packedSuffix does so in the form in which Windows Installer names
// keys, in which the digits of a group are in reverse ("Numbering scheme for product code GUIDs in Office").
const (
	officeSuffix = "0FF1CE}"
	packedSuffix = "F01FEC"
)

// officeSuites are the products of Office that a person installs, by the digits 10 to 13 of the product code (same
// document): suites, single applications, Visio and Project.
var officeSuites = []string{"0011", "0012", "0013", "0014", "0015", "0016", "0017", "0018", "0019", "001A", "001B",
	"0029", "002B", "002E", "002F", "0030", "0031", "0033", "0035", "003A", "003B", "0044", "0051", "0052", "0053",
	"0057", "008B", "00A1", "00A3", "00BA", "00CA"}

// officeStubs are what Click-to-Run itself registers for Windows Installer.
var officeStubs = []string{"007E", "008C", "008F", "00DD"}

// Products of Click-to-Run: those of a subscription with Office, and those that are added to one.
var (
	officeAllowed = []string{"O365ProPlusRetail", "O365BusinessRetail", "O365HomePremRetail"}
	officeAddOns  = []string{"VisioProRetail", "ProjectProRetail"}
)

// Office is what is registered of Microsoft Office.
type Office struct {
	Codes    []officeCode
	Run      machine.Key             // the configuration of Click-to-Run
	Products machine.Setting[string] // of Click-to-Run, separated by commas
	Looked   []requirement.Evidence  // the keys whose subkeys were all read
}

// An officeCode is a product code of Office that is registered.
type officeCode struct {
	Product  string // the four digits that name the product
	Major    string // the two digits of the major version: "16"
	Title    string
	Evidence requirement.Evidence
}

func (m *Machine) readOffice() (Office, error) {
	var o Office
	apps, err := m.Apps()
	if err != nil {
		return o, err
	}
	for _, a := range apps {
		if product, ok := officeProduct(a.Key); ok {
			o.Codes = append(o.Codes, officeCode{product, a.Key[3:5], a.title(), a.Evidence})
		}
	}
	for _, view := range machine.SoftwareViews {
		uninstall, err := m.Key(view + machine.KeyWindows + `\Uninstall`)
		if err != nil {
			return o, err
		}
		o.Looked = append(o.Looked, uninstall.Evidence)
	}
	products, err := m.Key(`HKLM\SOFTWARE\Classes\Installer\Products`)
	if err != nil {
		return o, err
	}
	o.Looked = append(o.Looked, products.Evidence)
	list, err := m.Subkeys(products)
	if err != nil {
		return o, err
	}
	for _, k := range list {
		product, ok := packedOfficeProduct(k.Name())
		if !ok || slices.ContainsFunc(o.Codes, func(c officeCode) bool { return c.Product == product }) {
			continue
		}
		name, err := m.Text(k, "ProductName")
		if err != nil {
			return o, err
		}
		title := name.Value
		if title == "" {
			title = k.Name()
		}
		major := string([]byte{k.Name()[5], k.Name()[4]})
		o.Codes = append(o.Codes, officeCode{product, major, title, k.Evidence})
	}
	if o.Run, err = m.Key(`HKLM\SOFTWARE\Microsoft\Office\ClickToRun\Configuration`); err != nil {
		return o, err
	}
	o.Products, err = m.Text(o.Run, "ProductReleaseIds")
	return o, err
}

// officeProduct returns the product of a product code of Office, {BRMMmmmm-PPPP-LLLL-p000-D000000FF1CE}; ok is false
// for any other text.
func officeProduct(code string) (product string, ok bool) {
	code = strings.ToUpper(code)
	if len(code) != 38 || code[0] != '{' || !strings.HasSuffix(code, officeSuffix) {
		return "", false
	}
	return code[10:14], true
}

// packedOfficeProduct is officeProduct for the name of a key of Windows Installer.
func packedOfficeProduct(code string) (product string, ok bool) {
	code = strings.ToUpper(code)
	if len(code) != 32 || !strings.HasSuffix(code, packedSuffix) {
		return "", false
	}
	digits := []byte(code[8:12])
	slices.Reverse(digits)
	return string(digits), true
}

func (m *Machine) decideOffice() requirement.Outcome {
	o, err := m.readOffice()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeOffice(o)
}

// judgeOffice decides byol.office.none.
func judgeOffice(o Office) requirement.Outcome {
	var bad, odd, good []string
	var badEvidence, oddEvidence, goodEvidence []requirement.Evidence
	subscription := false
	for id := range strings.SplitSeq(o.Products.Value, ",") {
		id = strings.TrimSpace(id)
		switch {
		case id == "":
		case fold.Contains(officeAllowed, id):
			subscription = true
			good, goodEvidence = append(good, id), append(goodEvidence, o.Products.Evidence)
		case fold.Contains(officeAddOns, id), fold.HasPrefix(id, "O365"):
			odd, oddEvidence = append(odd, prose.Short(id)), append(oddEvidence, o.Products.Evidence)
		default:
			bad, badEvidence = append(bad, prose.Short(id)), append(badEvidence, o.Products.Evidence)
		}
	}
	for _, c := range o.Codes {
		title := fmt.Sprintf("%s (product %s)", prose.Short(c.Title), c.Product)
		switch {
		case slices.Contains(officeSuites, c.Product):
			bad, badEvidence = append(bad, title), append(badEvidence, c.Evidence)
		case subscription && slices.Contains(officeStubs, c.Product):
			good, goodEvidence = append(good, title), append(goodEvidence, c.Evidence)
		default:
			odd, oddEvidence = append(odd, title), append(oddEvidence, c.Evidence)
		}
	}
	unknown := o.Run.Exists() && strings.TrimSpace(o.Products.Value) == ""
	switch {
	case len(bad) > 0:
		return requirement.Fail("Microsoft Office is installed: "+prose.Some(bad)+".", badEvidence...).
			About(officeSubjects(bad)...)
	case unknown:
		return requirement.Unknown("Cannot tell which Office is installed: Click-to-Run is configured, but "+
			"ProductReleaseIds is missing.", o.Products.Evidence)
	case len(odd) > 0:
		return requirement.Warn("Parts of Microsoft Office are installed: "+prose.Some(odd)+".", oddEvidence...).
			About(officeSubjects(odd)...)
	case len(good) > 0:
		return requirement.Pass("Only Microsoft 365 Apps are installed: "+prose.Some(good)+".", goodEvidence...)
	}
	return requirement.Pass("Microsoft Office is not installed.", o.Looked...).With(o.Run.Evidence)
}

func officeSubjects(names []string) []requirement.Subject {
	var about []requirement.Subject
	for _, name := range names {
		about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: name,
			Reason: requirement.ReasonPresent})
	}
	return about
}

// programSigns are things that show a program, by what they prove.
type programSigns struct {
	certain, possible []string
	evidence          []requirement.Evidence
}

func (s *programSigns) add(list *[]string, what string, ev requirement.Evidence) {
	*list = append(*list, what)
	s.evidence = append(s.evidence, ev)
}

var byolPCoIP = entry{
	Requirement: required("byol.pcoip.none", "PCoIPAgentInstalled", "The PCoIP agent must not be installed.", sectionBYOL,
		explanation{
			Reads: `SOFTWARE: Uninstall keys that begin with PCoIP; SYSTEM: Services\PCoIPAgent; the folder ` +
				`Teradici\PCoIP Agent in both Program Files folders.`,
			Live: `Get-Service PCoIPAgent; Test-Path 'C:\Program Files (x86)\Teradici\PCoIP Agent'`,
			Doubts: "The service's script warns of a complete agent and fails on one without its uninstaller. It does not " +
				"look at the 64-bit Program Files folder.",
			Fix: "Uninstall the PCoIP agent in Settings, Apps, and restart.",
		}),
	Judge: (*Machine).decideNoPCoIP,
}

// pcoipAgent is what is on the disk of the agent.
type pcoipAgent struct {
	Apps        []Application // Uninstall keys that begin with PCoIP
	Service     machine.Service
	Folder      machine.File // in Program Files (x86)
	Uninstaller machine.File
	Folder64    machine.File // in Program Files
}

func (m *Machine) decideNoPCoIP() requirement.Outcome {
	var a pcoipAgent
	apps, err := m.Apps()
	if err != nil {
		return requirement.Unreadable(err)
	}
	for _, app := range apps {
		if fold.HasPrefix(app.Key, "PCoIP") {
			a.Apps = append(a.Apps, app)
		}
	}
	if a.Service, err = m.Service("PCoIPAgent"); err != nil {
		return requirement.Unreadable(err)
	}
	const folder = `Teradici\PCoIP Agent`
	for _, f := range []struct {
		into *machine.File
		path string
	}{
		{&a.Folder, `C:\Program Files (x86)\` + folder},
		{&a.Uninstaller, `C:\Program Files (x86)\` + folder + `\uninst.exe`},
		{&a.Folder64, `C:\Program Files\` + folder},
	} {
		if *f.into, err = m.File(f.path); err != nil {
			return requirement.Unreadable(err)
		}
	}
	return judgeNoPCoIP(a)
}

// judgeNoPCoIP decides byol.pcoip.none as the service's script does: an agent without its uninstaller fails.
func judgeNoPCoIP(a pcoipAgent) requirement.Outcome {
	var s programSigns
	for _, app := range a.Apps {
		s.add(&s.certain, "the entry "+prose.Short(app.title()), app.Evidence)
	}
	if a.Service.Exists() && !a.Service.Deleted {
		s.add(&s.certain, "the service PCoIPAgent", a.Service.Key)
	}
	if a.Folder.Exists {
		s.add(&s.certain, `the folder C:\Program Files (x86)\Teradici\PCoIP Agent`, a.Folder.Evidence)
	}
	if a.Folder64.Exists {
		s.add(&s.possible, `the folder C:\Program Files\Teradici\PCoIP Agent`, a.Folder64.Evidence)
	}
	about := requirement.Subject{Kind: requirement.SubjectProgram, ID: "PCoIP agent", Reason: requirement.ReasonPresent}
	evidence := append(s.evidence, a.Uninstaller.Evidence)
	switch {
	case len(s.certain) > 0 && !a.Uninstaller.Exists && !a.Folder64.Exists:
		o := requirement.Fail("The PCoIP agent is installed without its uninstaller: "+prose.Some(s.certain)+".",
			evidence...).About(about)
		o.Remediation = "Install the PCoIP agent again, uninstall it, and restart."
		return o
	case len(s.certain)+len(s.possible) > 0:
		return requirement.Warn("The PCoIP agent is installed: "+prose.Some(append(s.certain, s.possible...))+".",
			evidence...).About(about)
	}
	return requirement.Pass("The PCoIP agent is not installed.", a.Service.Key, a.Folder.Evidence, a.Folder64.Evidence)
}

var byolVMwareTools = entry{
	Requirement: required("byol.vmware-tools.none", "VMWareToolsInstalled",
		"VMware Tools and other guest tools must not be installed.", sectionBYOL, explanation{
			Reads: `SOFTWARE: Uninstall, entries named VMware Tools or VirtualBox Guest Additions; SYSTEM: ` +
				`Services\VMTools and VBoxService; C:\Program Files\VMware\VMware Tools\vmtoolsd.exe.`,
			Live:   `Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* | Select-Object DisplayName`,
			Doubts: "The service's script looks for VMware Tools in the 64-bit Uninstall key only. The rest is a warning.",
			Fix:    "Uninstall the guest tools in Settings, Apps, and restart.",
		}),
	Judge: (*Machine).decideGuestTools,
}

// guestTools is what is on the disk of the tools that virtual machines have.
type guestTools struct {
	Apps    []Application // all that are installed
	VMware  machine.Service
	Box     machine.Service
	Program machine.File // of VMware Tools
}

func (m *Machine) decideGuestTools() requirement.Outcome {
	var g guestTools
	var err error
	if g.Apps, err = m.Apps(); err != nil {
		return requirement.Unreadable(err)
	}
	if g.VMware, err = m.Service("VMTools"); err != nil {
		return requirement.Unreadable(err)
	}
	if g.Box, err = m.Service("VBoxService"); err != nil {
		return requirement.Unreadable(err)
	}
	if g.Program, err = m.File(`C:\Program Files\VMware\VMware Tools\vmtoolsd.exe`); err != nil {
		return requirement.Unreadable(err)
	}
	return judgeGuestTools(g)
}

func judgeGuestTools(g guestTools) requirement.Outcome {
	var s programSigns
	for _, a := range g.Apps {
		vmware := strings.EqualFold(strings.TrimSpace(a.Name), "VMware Tools")
		switch {
		case vmware && fold.Index(a.Evidence.Key, `Wow6432Node\`) < 0:
			s.add(&s.certain, a.Name, a.Evidence)
		case vmware:
			s.add(&s.possible, a.Name+" (32-bit)", a.Evidence)
		case fold.Index(a.Name, "VirtualBox Guest Additions") >= 0:
			s.add(&s.possible, prose.Short(a.Name), a.Evidence)
		}
	}
	if g.VMware.Exists() && !g.VMware.Deleted {
		s.add(&s.possible, "the service VMTools", g.VMware.Key)
	}
	if g.Box.Exists() && !g.Box.Deleted {
		s.add(&s.possible, "the service VBoxService", g.Box.Key)
	}
	if g.Program.Exists {
		s.add(&s.possible, `C:\Program Files\VMware\VMware Tools\vmtoolsd.exe`, g.Program.Evidence)
	}
	all := append(s.certain, s.possible...)
	var about []requirement.Subject
	for _, name := range all {
		about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: name,
			Reason: requirement.ReasonPresent})
	}
	switch {
	case len(s.certain) > 0:
		return requirement.Fail("VMware Tools are installed: "+prose.Some(all)+".", s.evidence...).About(about...)
	case len(s.possible) > 0:
		return requirement.Warn("Guest tools of a virtual machine are present: "+prose.Some(all)+".",
			s.evidence...).About(about...)
	}
	return requirement.Pass("No guest tools of a virtual machine are installed.", g.VMware.Key, g.Box.Key,
		g.Program.Evidence)
}

var byolAntivirus = entry{
	Requirement: required("byol.antivirus.none", "AntiVirusInstalled",
		"No antivirus other than Microsoft Defender may be installed.", sectionBYOL, explanation{
			Reads: `SOFTWARE: Microsoft\Security Center\Provider\Av, and the programs registered there; SYSTEM: services ` +
				`of known antivirus programs, and filter drivers at antivirus altitudes.`,
			Live: "Get-CimInstance -Namespace root/SecurityCenter2 AntiVirusProduct",
			Doubts: "The service's script accepts the name Windows Defender only. A registration whose program is gone, " +
				"and a service that is not registered, are warnings: the script sees the first and not the second.",
			Fix: "Uninstall the antivirus with the tool of its vendor, and restart.",
		}),
	Judge: (*Machine).decideNoAntivirus,
}

// installedAntivirus is what is known of antivirus programs.
type installedAntivirus struct {
	Registered []antivirus // with the Security Center, without Microsoft's own
	Services   []antivirus
	Center     requirement.Evidence // the key of the Security Center
	List       requirement.Evidence // the key of the services
	Err        error                // why there may be more; nil if there are not
}

func (m *Machine) decideNoAntivirus() requirement.Outcome {
	services, err := m.Services()
	if err != nil {
		return requirement.Unreadable(err)
	}
	a := installedAntivirus{List: services[0].ServicesKey()}
	for _, s := range services {
		found, err := m.antivirusOf(s)
		if err != nil && a.Err == nil {
			a.Err = err
		}
		if found != nil && !s.Deleted {
			a.Services = append(a.Services, *found)
		}
	}
	products, center, err := m.securityCenter()
	if err != nil && a.Err == nil {
		a.Err = err
	}
	a.Registered, a.Center = products, center
	return judgeNoAntivirus(a)
}

func judgeNoAntivirus(a installedAntivirus) requirement.Outcome {
	names := func(list []antivirus) (names []string, evidence []requirement.Evidence, about []requirement.Subject) {
		for _, p := range list {
			names, evidence = append(names, prose.Short(p.Name)), append(evidence, p.Evidence...)
			about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: p.Name,
				Reason: requirement.ReasonPresent})
		}
		return names, evidence, about
	}
	var here, gone []antivirus
	for _, p := range a.Registered {
		if p.Gone && len(a.Services) == 0 {
			gone = append(gone, p)
		} else {
			here = append(here, p)
		}
	}
	switch {
	case len(here) > 0:
		list, evidence, about := names(append(here, a.Services...))
		return requirement.Fail("Antivirus other than Microsoft Defender is installed: "+prose.Some(list)+".",
			evidence...).About(about...)
	case len(gone) > 0:
		list, evidence, about := names(gone)
		return requirement.Warn("The Security Center lists antivirus whose program is gone: "+prose.Some(list)+".",
			evidence...).About(about...)
	case len(a.Services) > 0:
		list, evidence, about := names(a.Services)
		return requirement.Warn("Services of antivirus are present that the Security Center does not list: "+
			prose.Some(list)+".", append(evidence, a.Center)...).About(about...)
	case a.Err != nil:
		return requirement.Unreadable(a.Err)
	case !a.Center.Found:
		return requirement.Unknown("The Security Center has no list of antivirus programs.", a.Center)
	}
	return requirement.Pass("No antivirus other than Microsoft Defender is installed.", a.Center, a.List)
}

var byolAppx = entry{
	Requirement: recommended("byol.appx.sysprep", "AppXPackagesInstalled",
		"No AppX package should be installed for a user that is not provisioned for all users.", sectionBYOL, explanation{
			Reads: appxStagedPackages.Reads,
			Live:  "Get-AppxPackage -AllUsers; Get-AppxProvisionedPackage -Online",
			Doubts: "The import removes packages that stop Sysprep and tries again. When it gives up is unknown, so that " +
				"this is recommended only.",
			Fix: "Run Remove-AppxPackage -AllUsers -Package NAME in PowerShell as Administrator for each of the packages.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return atMostWarning(m.decidePerUserPackages()) },
}

var byolSoftware = entry{
	Requirement: recommended("byol.software.none", "",
		"Nothing should be installed beyond Windows, and the default profile should not be customized.", sectionBYOLOld,
		explanation{
			Reads: `SOFTWARE, 64-bit and 32-bit: Uninstall, entries whose Publisher is not Microsoft; the default profile ` +
				`as for win.bp.default-profile.`,
			Live: `Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* | Select-Object ` +
				`DisplayName, Publisher`,
			Doubts: "The guide of 2022 required it. The present guide does not mention it.",
			Fix:    "Import Windows without other software, and install it on a WorkSpace that you launch from the image.",
		}),
	Judge: (*Machine).decideSoftware,
}

func (m *Machine) decideSoftware() requirement.Outcome {
	var others []Application
	var looked []requirement.Evidence
	for _, view := range machine.SoftwareViews {
		parent, err := m.Key(view + machine.KeyWindows + `\Uninstall`)
		if err != nil {
			return requirement.Unreadable(err)
		}
		looked = append(looked, parent.Evidence)
		keys, err := m.Subkeys(parent)
		if err != nil {
			return requirement.Unreadable(err)
		}
		for _, k := range keys {
			publisher, err := m.Text(k, "Publisher")
			if err != nil {
				return requirement.Unreadable(err)
			}
			name, err := m.Text(k, "DisplayName")
			if err != nil {
				return requirement.Unreadable(err)
			}
			if name.Value != "" && fold.Index(publisher.Value, "Microsoft") < 0 {
				others = append(others, Application{Key: k.Name(), Name: name.Value, Evidence: name.Evidence})
			}
		}
	}
	return judgeSoftware(others, m.decideDefaultProfile(), looked)
}

// judgeSoftware decides byol.software.none. others are applications that are not Microsoft's, profile is the outcome
// for the default profile, looked the keys of which all subkeys were read.
func judgeSoftware(others []Application, profile requirement.Outcome,
	looked []requirement.Evidence) requirement.Outcome {
	var names []string
	var evidence []requirement.Evidence
	var about []requirement.Subject
	for _, a := range others {
		names = append(names, prose.Short(a.title()))
		evidence = append(evidence, a.Evidence)
		about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: a.title(),
			Reason: requirement.ReasonPresent})
	}
	if len(others) > 0 {
		o := requirement.Warn(prose.Count(len(others), "application is", "applications are")+
			" installed that Microsoft does not publish: "+prose.Some(names)+".", evidence...).About(about...)
		if profile.Status == requirement.Warning {
			o = o.Also(profile.Message)
		}
		return o
	}
	if profile.Status != requirement.Passed {
		return profile
	}
	return requirement.Pass("Only software of Microsoft is installed, and the default profile is not customized.",
		append(looked, profile.Evidence...)...)
}
