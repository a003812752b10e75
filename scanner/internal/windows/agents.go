package windows

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const sectionCurrent = "Create a custom WorkSpaces image and bundle"

var driversAge = entry{
	Requirement: recommended("current.drivers.age", "",
		"The ENA, NVMe and PV drivers should be updated at least every six months.", sectionCurrent+": Best practices",
		explanation{
			Reads: `The version resources of System32\drivers\ena.sys and AWSNVMe.sys; SOFTWARE: Amazon\PVDriver, ` +
				`Version. They are compared with the releases that AWS had published six months before the scan; the ` +
				`list in this program ends on ` + releasesKnown + `.`,
			Live: `Get-Item C:\Windows\System32\drivers\ena.sys, C:\Windows\System32\drivers\AWSNVMe.sys | ` +
				`Select-Object -ExpandProperty VersionInfo; Get-ItemProperty HKLM:\SOFTWARE\Amazon\PVDriver`,
			Doubts: "No test of image creation is known that checks the versions.",
			Fix:    "Install the current ENA, NVMe and PV drivers of AWS, and restart.",
		}),
	Judge: (*Machine).decideDriversAge,
}

var agentsAge = entry{
	Requirement: recommended("current.agents.age", "",
		"The EC2 launch agent should be updated at least every six months.", sectionCurrent+": Best practices",
		agentsExplained),
	Judge: (*Machine).decideAgentsAge,
}

var poolsAgents = entry{
	Requirement: recommended("pools.agents.ec2-current", "",
		"The EC2 launch agent should be current: EC2Config on Windows 10, EC2Launch on Windows 11.",
		"WorkSpaces Pools: Bring Your Own License images", agentsExplained),
	Judge: (*Machine).decideAgentsAge,
}

var agentsExplained = explanation{
	Reads: `The version resource of EC2Launch.exe or the DisplayVersion of Amazon EC2Launch (EC2Launch v2), ` +
		`ModuleVersion in Ec2Launch.psd1 (EC2Launch), the program of EC2Config. They are compared with the releases ` +
		`that AWS had published six months before the scan; the list in this program ends on ` + releasesKnown + `.`,
	Live: `Get-Item 'C:\Program Files\Amazon\EC2Launch\EC2Launch.exe' | Select-Object -ExpandProperty VersionInfo; ` +
		`Test-ModuleManifest C:\ProgramData\Amazon\EC2-Windows\Launch\Module\Ec2Launch.psd1`,
	Doubts: "No test of image creation is known that checks the version.",
	Fix:    "Install the current version of the EC2 launch agent.",
}

// An installedProduct is a driver or agent on the disk, with its version.
type installedProduct struct {
	product
	Version  machine.FileVersion
	Missing  bool   // it should be there and is not
	Retired  string // why no version of it is current; "" if one is
	Err      error  // why Version is not known; nil if it is
	Evidence requirement.Evidence
}

func (m *Machine) decideDriversAge() requirement.Outcome {
	var list []installedProduct
	for _, d := range []struct {
		product
		service string
	}{{productENA, "ena"}, {productNVMe, "AWSNVMe"}} {
		drivers, err := m.readDrivers([]string{d.service})
		if err != nil {
			return requirement.Unreadable(err)
		}
		list = append(list, m.driverVersion(d.product, drivers[0]))
	}
	vendor, err := m.readVendor()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if vendor.amazon() {
		pv := installedProduct{product: productPV, Evidence: vendor.Version.Evidence}
		if !vendor.Version.Present {
			pv.Err = errors.New("the version of the AWS PV driver is not recorded: SOFTWARE\\Amazon\\PVDriver has no Version")
		} else {
			pv.Version, pv.Err = machine.ParseFileVersion(vendor.Version.Value)
		}
		list = append(list, pv)
	}
	return judgeAges(list, m.in.Now)
}

// driverVersion reads the version of the file that a driver loads.
func (m *Machine) driverVersion(p product, d driver) installedProduct {
	if d.problem() != "" {
		return installedProduct{product: p, Missing: true, Evidence: d.evidence()[0]}
	}
	v, f, err := m.FileVersion(machine.WindowsPath(d.File.Evidence))
	return installedProduct{product: p, Version: v, Err: err, Evidence: f.Evidence}
}

func (m *Machine) decideAgentsAge() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	agents, err := m.readAgents(s)
	if err != nil {
		return requirement.Unreadable(err)
	}
	var list []installedProduct
	for _, a := range agents {
		if a.installed() {
			list = append(list, m.agentVersion(a, s))
		}
	}
	if len(list) == 0 {
		return requirement.Skip("No EC2 launch agent is installed: see win.sysprep.file.")
	}
	return judgeAges(list, m.in.Now)
}

// maxManifest bounds the manifest of a PowerShell module, in bytes: that of the
// agent has about 3 KiB.
const maxManifest = 1 << 20

// moduleVersion finds the version in the manifest of a PowerShell module.
var moduleVersion = regexp.MustCompile(`(?im)^\s*ModuleVersion\s*=\s*['"]([0-9.]+)['"]`)

func (m *Machine) agentVersion(a launchAgent, s machine.System) installedProduct {
	env, err := m.Environment()
	if err != nil {
		return installedProduct{product: product{name: a.Name}, Err: err}
	}
	switch a.Name {
	case agentLaunchV2:
		p := installedProduct{product: productLaunchV2}
		var f machine.File
		p.Version, f, p.Err = m.FileVersion(env["PROGRAMFILES"] + `\Amazon\EC2Launch\EC2Launch.exe`)
		p.Evidence = f.Evidence
		if p.Err == nil && f.Exists {
			return p
		}
		if listed, found := m.listedVersion(productLaunchV2, "Amazon EC2Launch"); found {
			return listed
		}
		if p.Err == nil {
			p.Err = fmt.Errorf("%s does not exist", machine.WindowsPath(f.Evidence))
		}
		return p
	case agentLaunch:
		p := installedProduct{product: productLaunch}
		data, f, err := m.ReadFile(env["PROGRAMDATA"]+`\Amazon\EC2-Windows\Launch\Module\Ec2Launch.psd1`, maxManifest)
		p.Evidence = f.Evidence
		p.Version, p.Err = manifestVersion(data, f, err)
		if s.Build >= build2022 {
			p.Retired = a.Name + " does not support " + s.Name() + "."
		}
		return p
	}
	p := installedProduct{product: product{name: a.Name}, Evidence: a.Signs[0]}
	if !s.Client || s.Build >= machine.Build11 {
		p.Retired = a.Name + " is no longer supported."
	}
	return p
}

func manifestVersion(data []byte, f machine.File, err error) (machine.FileVersion, error) {
	switch {
	case err != nil:
		return machine.FileVersion{}, err
	case !f.Exists:
		return machine.FileVersion{}, fmt.Errorf("%s does not exist", machine.WindowsPath(f.Evidence))
	}
	found := moduleVersion.FindStringSubmatch(machine.DecodeText(data))
	if found == nil {
		return machine.FileVersion{}, fmt.Errorf("%s has no ModuleVersion", machine.WindowsPath(f.Evidence))
	}
	return machine.ParseFileVersion(found[1])
}

// listedVersion reads the version of a product from its entry among the
// installed applications. found is false if there is none with a version.
func (m *Machine) listedVersion(p product, name string) (installed installedProduct, found bool) {
	for _, view := range machine.SoftwareViews {
		keys, err := m.SubkeysAt(view + machine.KeyWindows + `\Uninstall`)
		if err != nil {
			return installedProduct{product: p, Err: err}, true
		}
		for _, k := range keys {
			title, err := m.Text(k, "DisplayName")
			if err != nil || !strings.EqualFold(title.Value, name) {
				continue
			}
			version, err := m.Text(k, "DisplayVersion")
			if err == nil && version.Present {
				installed = installedProduct{product: p, Evidence: version.Evidence}
				installed.Version, installed.Err = machine.ParseFileVersion(version.Value)
				return installed, true
			}
		}
	}
	return installedProduct{}, false
}

// judgeAges decides whether drivers or agents are recent enough for a scan at a time.
func judgeAges(list []installedProduct, now time.Time) requirement.Outcome {
	var old, current, names, ended []string
	var evidence, all []requirement.Evidence
	var about []requirement.Subject
	var unread error
	var until time.Time
	for _, p := range list {
		all = append(all, p.Evidence)
		problem, reason := "", requirement.ReasonValue
		needed, known := p.needed(now)
		switch {
		case p.Missing:
			problem, reason = "The "+p.name+" is missing or does not start.", requirement.ReasonMissing
		case p.Retired != "":
			problem = p.Retired
		case p.Err != nil:
			unread = fact.Join(unread, p.Err)
			continue
		case len(p.releases) == 0:
			ended = append(ended, p.name)
			continue
		case slices.Contains(p.withdrawn, p.Version):
			problem = fmt.Sprintf("%s %s was withdrawn by AWS.", p.name, p.Version)
		case known && p.Version.Compare(needed) < 0:
			day, _ := p.released(needed)
			problem = fmt.Sprintf("%s %s is older than %s, which was released on %s.", p.name, p.Version, needed,
				day.Format("January 2, 2006"))
		default:
			current = append(current, p.name+" "+p.Version.String())
		}
		if problem == "" {
			if end := p.outdated(p.Version, now); !end.IsZero() && (until.IsZero() || end.Before(until)) {
				until = end
			}
			continue
		}
		old, evidence, names = append(old, problem), append(evidence, p.Evidence), append(names, p.name)
		about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: p.name, Reason: reason,
			Value: versionText(p)})
	}
	switch {
	case len(old) > 0:
		o := requirement.Warn(strings.Join(old, " "), evidence...).About(about...)
		o.Remediation = "Install the current version of " + prose.Some(names) + ", and restart."
		return o
	case unread != nil:
		return requirement.Unreadable(unread, all...)
	case len(current) == 0:
		return requirement.Skip(prose.Some(ended)+" is the agent of this Windows version, and gets no more updates.", all...)
	}
	o := requirement.Pass(prose.Some(current)+form(len(current), " is", " are")+" at most six months behind.", all...)
	if !until.IsZero() {
		o.Until = until.Add(-time.Nanosecond)
	}
	return o
}

func versionText(p installedProduct) string {
	if p.Missing || p.Err != nil || p.Version == (machine.FileVersion{}) {
		return ""
	}
	return p.Version.String()
}
