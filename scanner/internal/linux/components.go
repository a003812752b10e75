package linux

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A component is one that the service installs: a package, its main program,
// and the units that start it.
type component struct {
	Title    string
	Text     string            // the title in a sentence
	Known    string            // the name of its package, if that is installed without a version in it
	Package  *packages.Package // nil if it is not installed
	Listed   requirement.Evidence
	Err      error  // why it is not known whether the package is installed
	Programs []File // the first that exists counts
	Units    []componentUnit
	Every    bool // every unit has to start, not only one of them
}

// A componentUnit is one of its units, and what keeps it from running although
// the default target starts it.
type componentUnit struct {
	Unit
	Fault startFault
}

// A componentRule says what a component is known by.
type componentRule struct {
	title    string
	text     string // the title in a sentence
	packages []string
	programs []string
	units    []string // the service's documents name several where versions differ
	every    bool     // each existing one must be enabled
}

var (
	cloudInitRule = componentRule{
		title:    "cloud-init",
		text:     "cloud-init",
		packages: []string{"cloud-init"},
		programs: []string{"/usr/bin/cloud-init"},
		units: []string{"cloud-init-local.service", "cloud-init.service", "cloud-init-main.service",
			"cloud-init-network.service", "cloud-config.service", "cloud-final.service"},
		every: true,
	}
	pcoipRule = componentRule{
		title:    "PCoIP agent",
		text:     "the PCoIP agent",
		packages: []string{"pcoip-agent*"},
		programs: []string{"/usr/sbin/pcoip-agent"},
		units:    []string{"pcoip.service", "pcoip-agent.service"},
	}
	dcvRule = componentRule{
		title:    "DCV server",
		text:     "the DCV server",
		packages: []string{"nice-dcv-server*"},
		programs: []string{"/usr/bin/dcv", "/usr/libexec/dcv/dcvserver"},
		units:    []string{"dcvserver.service"},
	}
	skylightRule = componentRule{
		title:    "Skylight agent",
		text:     "the Skylight agent",
		packages: []string{"skylight*"},
		units:    []string{"skylight-agent.service"},
	}
)

func (m *Machine) component(rule componentRule) (component, error) {
	c := component{Title: rule.title, Text: rule.text, Known: strings.TrimSuffix(rule.packages[0], "*"), Every: rule.every}
	c.Package, c.Listed, c.Err = m.installed(rule.packages...)
	var err error
	if c.Units, err = m.componentUnits(rule.units); err != nil {
		return c, err
	}
	for _, p := range rule.programs {
		f, err := m.tree.file(p)
		if err != nil {
			return c, err
		}
		c.Programs = append(c.Programs, f)
	}
	return c, nil
}

// componentUnits returns units of a component, and what keeps each from running.
func (m *Machine) componentUnits(names []string) ([]componentUnit, error) {
	units, err := m.Units()
	if err != nil {
		return nil, err
	}
	var list []componentUnit
	for _, name := range names {
		u := componentUnit{Unit: units.get(name)}
		if u.Err == nil && (u.State == unitEnabled || u.State == unitSometimes) {
			// Without the command lines of the kernel it is not known what they mask.
			if u.Fault, u.Err = m.obstacle(units, u.Unit); u.Err == nil && !u.Fault.Certain {
				u.Err = units.bootErr
			}
		}
		list = append(list, u)
	}
	return list, nil
}

// A trouble is why a component does not run, and what to do about it.
type trouble struct {
	What    string // "" if nothing speaks against the component
	Remedy  string // "" for the requirement's own
	Doubt   bool   // it depends on the boot
	Fault   bool   // the unit is enabled, and something else keeps it from running
	Subject requirement.Subject
}

// trouble returns the problem of the component and its evidence. An error means
// that the data does not decide it.
func (c component) trouble() (trouble, []requirement.Evidence, error) {
	var evidence []requirement.Evidence
	if c.Listed.Source != "" { // else there is no database to look in
		evidence = append(evidence, c.Listed)
	}
	if c.Package == nil && c.Err == nil {
		return trouble{
			What: c.Text + " is not installed",
			Subject: requirement.Subject{Kind: requirement.SubjectPackage, ID: c.Known, Name: c.Title,
				Reason: requirement.ReasonMissing},
		}, evidence, nil
	}
	unread := c.Err
	if len(c.Programs) > 0 {
		i := slices.IndexFunc(c.Programs, func(f File) bool { return f.Exists && !f.Dir })
		if i < 0 {
			ev := c.Programs[0].Evidence
			return trouble{
				What:    "the program of " + c.Text + " does not exist: /" + ev.Path,
				Subject: fileSubject(ev, requirement.ReasonMissing),
			}, append(evidence, ev), nil
		}
		if c.Programs[i].Size == 0 {
			ev := c.Programs[i].Evidence
			return trouble{
				What:    "the program of " + c.Text + " is empty: /" + ev.Path,
				Subject: fileSubject(ev, requirement.ReasonDamaged),
			}, append(evidence, ev), nil
		}
		evidence = append(evidence, c.Programs[i].Evidence)
	}
	var started, off, doubtful []componentUnit
	for _, u := range c.Units {
		if u.Err == nil && u.State == unitMasked {
			return u.trouble(c.Text), append(evidence, u.evidence()...), nil
		}
	}
	for _, u := range c.Units {
		switch {
		case u.Err != nil:
			unread = joinErrors(unread, u.Err)
		case u.State == unitMissing:
		case u.starts():
			started = append(started, u)
			evidence = append(evidence, u.WantedBy[0])
		case u.State == unitSometimes || u.State == unitEnabled && !u.Fault.Certain:
			doubtful = append(doubtful, u)
		case c.Every && u.State != unitStatic:
			return u.trouble(c.Text), append(evidence, u.evidence()...), nil
		default:
			off = append(off, u)
		}
	}
	switch {
	case unread != nil:
		return trouble{}, evidence, unread
	case len(doubtful) > 0 && (c.Every || len(started) == 0):
		return doubtful[0].trouble(c.Text), append(evidence, doubtful[0].evidence()...), nil
	case len(started) > 0:
		return trouble{}, evidence, nil
	case len(off) > 0:
		return off[0].trouble(c.Text), append(evidence, off[0].evidence()...), nil
	}
	return trouble{
		What:    "the systemd unit of " + c.Text + " does not exist: " + c.Units[0].Name,
		Subject: unitSubject(c.Units[0].Name, requirement.ReasonMissing, ""),
	}, append(evidence, c.Units[0].File), nil
}

// starts says whether the default target starts the unit and nothing keeps it
// from running.
func (u componentUnit) starts() bool { return u.State == unitEnabled && u.Fault.Why == "" }

// trouble says why the unit does not start, and what mends that.
func (u componentUnit) trouble(component string) trouble {
	t := trouble{What: component + " does not start: " + u.describe()}
	reason, value := requirement.ReasonBlocked, u.clause()
	switch u.State {
	case unitMasked:
		reason = requirement.ReasonMasked
		t.Remedy = fmt.Sprintf("Run 'sudo systemctl unmask %s && sudo systemctl enable %s'.", u.Name, u.Name)
		if u.Why != "" {
			reason = requirement.ReasonBoot
			t.Remedy = fmt.Sprintf("Remove systemd.mask= for %s from the kernel command line in the boot loader "+
				"configuration, then restart the WorkSpace.", u.Name)
		}
	case unitDisabled:
		reason = requirement.ReasonDisabled
		t.Remedy = fmt.Sprintf("Run 'sudo systemctl enable %s'.", u.Name)
	case unitStatic:
		reason = requirement.ReasonDisabled
		t.Remedy = fmt.Sprintf("Add an [Install] section with WantedBy=multi-user.target to %s ('sudo systemctl edit "+
			"%s'), then run 'sudo systemctl enable %s'.", u.Name, u.Name, u.Name)
	case unitRefused:
		t.Remedy = fmt.Sprintf("Correct the unit ('systemctl cat %s' shows it), then restart the WorkSpace.", u.Name)
	case unitUnreached:
		t.Remedy = fmt.Sprintf("Run 'systemctl get-default' and 'systemctl list-dependencies --reverse %s'. Make the "+
			"default target start %s, then restart the WorkSpace.", u.Name, u.Name)
	case unitSometimes:
		reason = requirement.ReasonBoot
		t.Doubt = true
		t.What = component + " does not always start: " + cmp.Or(u.Why, u.describe())
		t.Remedy = fmt.Sprintf("Remove the boot entry that does not start %s, or correct the kernel command line of "+
			"that entry.", u.Name)
	case unitEnabled:
		value = u.Fault.Why
		t.Fault = true
		t.What = fmt.Sprintf("%s does not start: %s is enabled, but %s", component, u.Name, u.Fault.Why)
		if t.Doubt = !u.Fault.Certain; t.Doubt {
			t.What = fmt.Sprintf("%s may not start: %s is enabled, but %s", component, u.Name, u.Fault.Why)
		}
		t.Remedy = fmt.Sprintf("Correct or remove what prevents the start ('systemctl cat %s' shows the unit), then "+
			"restart the WorkSpace.", u.Name)
	}
	t.Subject = unitSubject(u.Name, reason, value)
	return t
}

// evidence is what shows the unit's state.
func (u componentUnit) evidence() []requirement.Evidence {
	list := []requirement.Evidence{u.File}
	if u.Fault.Evidence.Path != "" && u.Fault.Evidence != u.File {
		list = append(list, u.Fault.Evidence)
	}
	return append(list, u.WantedBy[:min(len(u.WantedBy), 1)]...)
}

// judgeComponent decides the requirement of one component. missing are the
// protected paths that are not there, or cannot be looked at.
func judgeComponent(c component, missing []string) requirement.Outcome {
	trouble, evidence, err := c.trouble()
	var o requirement.Outcome
	switch {
	case err != nil:
		o = unreadable(err, evidence...)
	case trouble.What != "" && trouble.Doubt:
		o = requirement.Warn(trouble.What, evidence...).About(trouble.Subject)
		o.Remediation = trouble.Remedy
	case trouble.What != "":
		o = requirement.Fail(trouble.What, evidence...).About(trouble.Subject)
		o.Remediation = trouble.Remedy
	default:
		o = requirement.Pass(fmt.Sprintf("%s %s is installed and enabled", c.Text, version(*c.Package)), evidence...)
	}
	if len(missing) > 0 {
		o.Details = map[string][]string{"protected_paths_missing": missing}
	}
	return o
}

var componentPCoIP = entry{
	Requirement: require(requirement.Required, "linux.component.pcoip",
		"The PCoIP agent and drivers, or the DCV server, must be installed and enabled.", sectionRequirements,
		explanation{
			Reads: "The package database; /usr/sbin/pcoip-agent or /usr/bin/dcv; pcoip.service, pcoip-agent.service " +
				"or dcvserver.service, and what starts them at boot.",
			Live: "systemctl is-enabled pcoip pcoip-agent dcvserver",
			Fix: "Restart the WorkSpace, which reinstalls the agent of its protocol. If that fails, rebuild the " +
				"WorkSpace.",
			Doubts: "AWS names only the PCoIP agent. A WorkSpace that uses DCV has the DCV server instead, so either one " +
				"meets the requirement.",
		}),
	Judge: (*Machine).decidePCoIP,
}

// pcoipPaths are those of the agent that AWS says not to delete.
var pcoipPaths = []string{
	"/etc/pcoip-agent", "/usr/lib/pcoip-agent", "/usr/share/pcoip-agent", "/etc/pam.d/pcoip",
	"/etc/pam.d/pcoip-session",
	"/usr/lib/modules-load.d/usb-vhci.conf", "/usr/share/selinux/packages/pcoip-agent.pp",
	"/usr/lib/systemd/system/pcoip.service.d",
	"/etc/logrotate.d/pcoip-agent", "/etc/logrotate.d/pcoip-server", "/usr/bin/pcoip-fne-view-license",
	"/usr/bin/pcoip-list-licenses",
	"/usr/bin/pcoip-validate-license", "/usr/sbin/pcoip-register-host", "/usr/sbin/pcoip-support-bundler",
	"/usr/lib/firewalld/services/pcoip-agent.xml", "/usr/lib/tmpfiles.d/pcoip-agent.conf",
}

// systemPaths are the others.
var systemPaths = []string{
	"/etc/dhcp/dhclient.conf", "/etc/profile.d/system-restart-check.sh", "/etc/X11/default-display-manager",
	"/etc/yum/pluginconf.d/halt_os_update_check.conf", "/usr/lib/yum-plugins/halt_os_update_check.py",
	"/lib64/security/pam_self.so", "/etc/os-release",
}

// missing returns the paths that do not exist or cannot be read. They are
// reported and change no status.
func (m *Machine) missing(paths []string) []string {
	var missing []string
	for _, p := range paths {
		switch f, err := m.tree.file(p); {
		case err != nil:
			missing = append(missing, p+" ("+err.Error()+")")
		case !f.Exists:
			missing = append(missing, p)
		}
	}
	return missing
}

func (m *Machine) decidePCoIP() requirement.Outcome {
	pcoip, err := m.component(pcoipRule)
	if err != nil {
		return unreadable(err)
	}
	dcv, err := m.component(dcvRule)
	if err != nil {
		return unreadable(err)
	}
	return judgeProtocols(pcoip, dcv, m.missing(pcoipPaths))
}

// judgeProtocols decides linux.component.pcoip: one of the two has to run.
func judgeProtocols(pcoip, dcv component, missing []string) requirement.Outcome {
	first, second := judgeComponent(pcoip, missing), judgeComponent(dcv, nil)
	for _, status := range []requirement.Status{requirement.Passed, requirement.Undetermined, requirement.Warning} {
		for _, o := range []requirement.Outcome{first, second} {
			if o.Status == status {
				return o
			}
		}
	}
	switch {
	case pcoip.Package == nil && dcv.Package != nil:
		return second
	case pcoip.Package == nil && pcoip.Err == nil && dcv.Package == nil && dcv.Err == nil:
		first.Message = "Neither the PCoIP agent nor the DCV server is installed."
		return first.With(dcv.Listed).About(second.Subjects...)
	}
	return first
}

var componentSkylight = entry{
	Requirement: require(requirement.Required, "linux.component.skylight",
		"The Skylight agent must be installed and enabled.", sectionRequirements, explanation{
			Reads: "The package that is named skylight or owns /usr/lib/skylight; /usr/lib/skylight; " +
				"skylight-agent.service, the program it runs, and what starts it at boot.",
			Live: "systemctl is-enabled skylight-agent",
			Fix:  "Restart the WorkSpace, which reinstalls the agent. If that fails, rebuild the WorkSpace.",
		}),
	Judge: (*Machine).decideSkylight,
}

const skylightFolder = "/usr/lib/skylight"

func (m *Machine) decideSkylight() requirement.Outcome {
	c, err := m.component(skylightRule)
	if err != nil {
		return unreadable(err)
	}
	if c.Package == nil && c.Err == nil {
		c.Package, c.Listed, c.Err = m.ownerOf(skylightFolder, c.Listed)
	}
	for _, command := range c.Units[0].Facts.Exec {
		if command.Setting != "ExecStart" || !path.IsAbs(command.Path) || c.Units[0].Facts.RootDirectory != "" {
			continue
		}
		f, err := m.tree.file(command.Path) // its main program is what its unit runs
		if err != nil {
			return unreadable(err)
		}
		c.Programs = append(c.Programs, f)
	}
	return judgeComponent(c, m.missing(append([]string{skylightFolder, "/var/lib/skylight"}, systemPaths...)))
}

// ownerOf returns an installed package that owns a path or something below it.
func (m *Machine) ownerOf(p string, otherwise requirement.Evidence) (*packages.Package, requirement.Evidence, error) {
	db, err := m.Packages()
	if err != nil {
		return nil, otherwise, err
	}
	under, err := db.Under(p)
	if err != nil {
		return nil, otherwise, packagesError(err)
	}
	for owned, owner := range under {
		if owner.IsInstalled() {
			ev := m.ofPackages(db)
			ev.Value, ev.Data, ev.Time, ev.Note = owner.Name, version(owner), owner.Installed.UTC(), "owns "+owned
			return &owner, ev, nil
		}
	}
	return nil, otherwise, nil
}
