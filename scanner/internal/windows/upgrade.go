package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// upgradeTrace is a key or folder that an upgrade of Windows leaves behind.
type upgradeTrace struct {
	Name     string
	From     string // the version before, "" if it is not written
	Evidence requirement.Evidence
}

// Upgrades are the traces of upgrades in place.
type Upgrades struct {
	Sources  []upgradeTrace       // keys "Source OS (Updated on …)": an upgrade was made
	Others   []upgradeTrace       // keys with "Upgrade" in their name, which the service's script takes for one
	Leftover []upgradeTrace       // folders that do not prove an upgrade
	Err      error                // why Leftover may be incomplete
	Jump     buildJump            // what the event log shows; read only where Sources is empty
	Parent   requirement.Evidence // SYSTEM\Setup, whose subkeys were all read
}

const keySetup = `HKLM\SYSTEM\Setup`

// Upgrades reads what upgrades in place left behind.
func (m *Machine) Upgrades() (Upgrades, error) { return m.upgrades.Get(m.next().readUpgrades) }

func (m *Machine) readUpgrades() (Upgrades, error) {
	var u Upgrades
	setup, err := m.Key(keySetup)
	if err != nil {
		return u, err
	}
	if !setup.Exists() {
		return u, fmt.Errorf("%s: key %s not found", setup.Evidence.Path, setup.Evidence.Key)
	}
	u.Parent = setup.Evidence
	u.Parent.Note = "all subkeys were read"
	keys, err := m.Subkeys(setup)
	if err != nil {
		return u, err
	}
	for _, k := range keys {
		name := strings.ToLower(k.Name())
		switch {
		case strings.Contains(name, "source os"):
			u.Sources = append(u.Sources, m.readSource(k))
		case strings.Contains(name, "upgrade"):
			u.Others = append(u.Others, upgradeTrace{Name: k.Name(), Evidence: k.Evidence})
		}
	}
	u.Leftover, u.Err = m.readLeftovers()
	if len(u.Sources) == 0 {
		// A log that cannot be read changes nothing: the keys decide.
		u.Jump, _ = m.buildJump()
	}
	return u, nil
}

func (m *Machine) readLeftovers() ([]upgradeTrace, error) {
	var list []upgradeTrace
	for _, folder := range []string{`C:\Windows.old`, `C:\$WINDOWS.~BT`, `C:\$Windows.~WS`} {
		f, err := m.File(folder)
		if err != nil {
			return list, err
		}
		if f.Exists {
			list = append(list, upgradeTrace{Name: folder, Evidence: f.Evidence})
		}
	}
	return list, nil
}

// readSource reads the version before an upgrade. Only the key decides, so a
// value that cannot be read is only missing from the message.
func (m *Machine) readSource(k machine.Key) upgradeTrace {
	t := upgradeTrace{Name: k.Name(), Evidence: k.Evidence}
	var parts []string
	for _, name := range []string{"ProductName", "ReleaseId", "CurrentBuild"} {
		s, err := m.Text(k, name)
		if err != nil {
			t.Evidence.Note = err.Error()
		}
		if s.Value != "" && name == "CurrentBuild" {
			s.Value = "build " + s.Value
		}
		if s.Value != "" {
			parts = append(parts, s.Value)
		}
	}
	t.From = strings.Join(parts, " ")
	t.Evidence.Data = t.From
	return t
}

var upgradeInPlace = entry{
	Requirement: required("win.upgrade.in-place", "UnsupportedOsUpgrade",
		"Windows must not have been upgraded in place from an earlier version.",
		sectionTips+": Windows must not have been upgraded from a previous version", explanation{
			Reads: `SYSTEM: the subkeys of Setup with "Source OS" or "Upgrade" in their names, as in the service's own ` +
				`check. Cumulative updates and enablement packages leave no such key. Windows.old and the folders of ` +
				`Windows Setup are reported but do not count. Without such a key, the builds of the oldest and the newest ` +
				`start in the event log System (Kernel-General 12) are compared.`,
			Live: `Get-ChildItem HKLM:\SYSTEM\Setup | Where-Object PSChildName -Match 'Source OS|Upgrade'`,
			Doubts: `The service's script counts any key with "Upgrade" in its name as an upgrade. Such a key without ` +
				`"Source OS" is a warning, and so is a build that changed in the event log.`,
			Fix: "Use a WorkSpace whose Windows was never upgraded to another version.",
		}),
	Judge: (*Machine).decideUpgradeInPlace,
	Terms: []string{"service_upgrade"},
}

// serviceUpgrade is what the script of WorkSpaces that upgrades Windows in place
// leaves in the registry.
type serviceUpgrade struct {
	Enabled  machine.Setting[uint32] // 1 if the upgrade was prepared
	Complete machine.Setting[uint32] // written when the script has run
}

const keyServiceUpgrade = `HKLM\SOFTWARE\Amazon\WorkSpacesConfig\enable-inplace-upgrade.ps1`

func (m *Machine) readServiceUpgrade() (serviceUpgrade, error) {
	var u serviceUpgrade
	k, err := m.Key(keyServiceUpgrade)
	if err != nil {
		return u, err
	}
	if u.Enabled, err = m.DWord(k, "Enabled"); err != nil {
		return u, err
	}
	u.Complete, err = m.DWord(k, "scriptExecutionComplete")
	return u, err
}

func (m *Machine) decideUpgradeInPlace() requirement.Outcome {
	o := m.decideUpgrade()
	if !m.Terms.Is("service_upgrade") {
		return o
	}
	u, err := m.readServiceUpgrade()
	if err != nil {
		if o.Status == requirement.Failed {
			return o
		}
		return requirement.Unreadable(err, o.Evidence...)
	}
	return judgeServiceUpgrade(o, u)
}

// judgeServiceUpgrade adds to an outcome what the script of WorkSpaces left. The
// keys of Windows decide; a script that only prepared an upgrade is a warning.
func judgeServiceUpgrade(o requirement.Outcome, u serviceUpgrade) requirement.Outcome {
	var evidence []requirement.Evidence
	for _, s := range []machine.Setting[uint32]{u.Enabled, u.Complete} {
		if s.Value != 0 {
			evidence = append(evidence, s.Evidence)
		}
	}
	switch {
	case len(evidence) == 0:
		return o
	case o.Status == requirement.Failed:
		return o.Also("The upgrade script of WorkSpaces (enable-inplace-upgrade.ps1) was used.").With(evidence...)
	case o.Status != requirement.Passed:
		return o.With(evidence...)
	}
	w := requirement.Warn("An in-place upgrade was prepared with enable-inplace-upgrade.ps1, but no upgrade is recorded.",
		append(evidence, o.Evidence...)...).About(subjectsOf(evidence, requirement.ReasonValue)...)
	w.Remediation = "If this Windows was not upgraded, delete " + keyServiceUpgrade + ". Otherwise, use another WorkSpace."
	return w
}

func (m *Machine) decideUpgrade() requirement.Outcome {
	u, err := m.Upgrades()
	if err != nil {
		return requirement.Unreadable(err)
	}
	now := ""
	if s, err := m.System(); err == nil {
		now = fmt.Sprintf("%s (%s)", s.Name(), s.Version())
	}
	return judgeUpgrade(u, now)
}

// judgeUpgrade decides win.upgrade.in-place. now is the version as a person
// says it, "" if it is not known.
func judgeUpgrade(u Upgrades, now string) requirement.Outcome {
	var leftovers []string
	var evidence []requirement.Evidence
	for _, l := range u.Leftover {
		leftovers = append(leftovers, l.Name)
		evidence = append(evidence, l.Evidence)
	}
	switch {
	case len(u.Sources) > 0:
		var from []string
		var keys []requirement.Evidence
		for _, source := range u.Sources {
			keys = append(keys, source.Evidence)
			if source.From != "" {
				from = append(from, source.From)
			}
		}
		message := "Windows was upgraded in place"
		if len(from) > 0 {
			message += " from " + prose.Some(from)
		}
		if now != "" {
			message += " to " + now
		}
		return requirement.Fail(message+".", append(keys, evidence...)...).
			About(subjectsOf(keys, requirement.ReasonPresent)...)
	case len(u.Others) > 0:
		var names []string
		var keys []requirement.Evidence
		for _, other := range u.Others {
			names = append(names, other.Name)
			keys = append(keys, other.Evidence)
		}
		o := requirement.Warn(fmt.Sprintf(`No upgrade is recorded, but SYSTEM\Setup contains the %s %s.`,
			form(len(names), "key", "keys"), prose.Some(names)), append(keys, evidence...)...).
			About(subjectsOf(keys, requirement.ReasonAmbiguous)...)
		o.Remediation = "If this Windows was upgraded, use a WorkSpace whose Windows never was. Otherwise, ask AWS " +
			"Support."
		return o
	case u.Jump.After != nil:
		from, to := u.Jump.Before.Text("BuildVersion"), u.Jump.After.Text("BuildVersion")
		o := requirement.Warn(fmt.Sprintf(`No upgrade is recorded in SYSTEM\Setup, but the event log System shows that `+
			"the build of Windows changed from %s to %s before %s.", from, to,
			startTime(*u.Jump.After).Format(layoutSeconds)),
			append([]requirement.Evidence{u.Parent, u.Jump.Before.Shown("Windows started with build " + from),
				u.Jump.After.Shown("Windows started with build " + to)}, evidence...)...).
			About(subjectsOf([]requirement.Evidence{u.Parent}, requirement.ReasonAmbiguous)...)
		o.Remediation = "If this Windows was upgraded, use a WorkSpace whose Windows never was. Deleting the record " +
			"of an upgrade does not undo it."
		return o
	case u.Err != nil:
		return requirement.Unreadable(u.Err, u.Parent)
	}
	o := requirement.Pass(`SYSTEM\Setup contains no key with "Source OS" or "Upgrade" in its name.`,
		append([]requirement.Evidence{u.Parent}, evidence...)...)
	if len(leftovers) > 0 {
		o = o.Also(prose.Some(leftovers) + form(len(leftovers), " exists", " exist") +
			", which does not prove an upgrade.")
	}
	return o
}
