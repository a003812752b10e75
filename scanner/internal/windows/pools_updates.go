package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var poolsUpdates = entry{
	Requirement: required("pools.updates.all-installed", "WindowsUpdatesRequired",
		"All Windows updates must be installed (recommended on Windows Server).", sectionPoolsBYOL, explanation{
			Reads: `SOFTWARE: Component Based Servicing, with the packages Package_for_RollupFix and their times; ` +
				`WindowsUpdate\Auto Update; and the other traces of win.reboot.pending. The disk does not show whether ` +
				`newer updates exist; updates that are more than 60 days old are a warning.`,
			Live:   "Get-HotFix | Sort-Object InstalledOn | Select-Object -Last 1",
			Doubts: "AWS demands it of images with own licenses, not of those of public bundles.",
			Fix:    "Open Windows Update, install all updates, and restart until none is left.",
		}),
	Judge: (*Machine).decidePoolsUpdates,
}

func (m *Machine) decidePoolsUpdates() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgePoolsUpdates(s, m.decideUpdates(), m.readPendingReboot())
}

// judgePoolsUpdates decides pools.updates.all-installed. age is what the age of the last update says.
func judgePoolsUpdates(s machine.System, age requirement.Outcome, pending PendingReboot) requirement.Outcome {
	o := age
	if waiting := slices.Concat(pending.Servicing, pending.Likely); len(waiting) > 0 {
		o = requirement.Warn("Updates wait for a restart: "+someTraces(waiting)+".", tracesOf(waiting)...)
		o.Remediation = "Restart, and install the remaining updates."
	}
	if o.Status == requirement.Warning && len(o.Subjects) == 0 {
		o = o.About(subjectsOf(o.Evidence[:1], requirement.ReasonValue)...)
	}
	return requiredOfClients(s, o)
}

const keyUpdatePolicy = `\Policies\Microsoft\Windows\WindowsUpdate\AU`

var poolsNoAutoUpdate = entry{
	Requirement: required("pools.updates.no-auto-update", "WindowsUpdatesEnabled",
		"Automatic updates must be turned off by policy: NoAutoUpdate is 1 (recommended on Windows Server).",
		sectionPoolsBYOL, explanation{
			Reads: `SOFTWARE: Policies\Microsoft\Windows\WindowsUpdate\AU\NoAutoUpdate; ` +
				`System32\GroupPolicy\Machine\Registry.pol.`,
			Live:   `Get-ItemProperty HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU NoAutoUpdate`,
			Doubts: "AWS demands it of images with own licenses, not of those of public bundles.",
			Fix: `Run reg add HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU /v NoAutoUpdate /t REG_DWORD /d 1 ` +
				`/f as Administrator.`,
		}),
	Judge: (*Machine).decideNoAutoUpdate,
}

// autoUpdate is the policy on automatic updates.
type autoUpdate struct {
	Value machine.Setting[uint32]
	Text  machine.Setting[string] // of a value that is no number
	File  string                  // what the policy file sets instead, "" if nothing else
	Err   error                   // why the policy file cannot be read
}

func (m *Machine) readAutoUpdate() (autoUpdate, error) {
	var a autoUpdate
	k, err := m.Key(`HKLM\SOFTWARE` + keyUpdatePolicy)
	if err != nil {
		return a, err
	}
	if a.Value, err = m.DWord(k, "NoAutoUpdate"); err != nil {
		return a, err
	}
	if a.Value.OtherType {
		if a.Text, err = m.Text(k, "NoAutoUpdate"); err != nil {
			return a, err
		}
	}
	file := m.policyFile("Machine")
	a.Err = file.Err
	for _, e := range file.Entries {
		if strings.EqualFold(e.Key, `Software`+keyUpdatePolicy) && strings.EqualFold(e.Value, "NoAutoUpdate") {
			a.File = "" // the last one counts
			if data := policyData(e); e.Type != registry.DWord || data != "1" {
				a.File = data
			}
		}
	}
	file.compare(`Software`+keyUpdatePolicy, "NoAutoUpdate", &a.Value.Evidence)
	return a, nil
}

func (m *Machine) decideNoAutoUpdate() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	a, err := m.readAutoUpdate()
	if err != nil {
		return requiredOfClients(s, requirement.Unreadable(err))
	}
	return judgeNoAutoUpdate(s, a)
}

// judgeNoAutoUpdate decides pools.updates.no-auto-update.
func judgeNoAutoUpdate(s machine.System, a autoUpdate) requirement.Outcome {
	o := judgeAutoUpdate(a)
	if o.Status == requirement.Failed || o.Status == requirement.Warning {
		o = o.About(subjectOf(a.Value.Evidence, requirement.ReasonValue))
	}
	return requiredOfClients(s, o)
}

func judgeAutoUpdate(a autoUpdate) requirement.Outcome {
	ev := a.Value.Evidence
	switch {
	case a.Value.Value == 1 && a.Err != nil:
		return requirement.Unreadable(a.Err, ev)
	case a.Value.Value == 1 && a.File != "":
		o := requirement.Warn("NoAutoUpdate is 1, but the local Group Policy sets it to "+a.File+" when it is next applied.",
			ev)
		o.Remediation = "Open gpedit.msc, and set Configure Automatic Updates to Disabled."
		return o
	case a.Value.Value == 1:
		return requirement.Pass("Automatic updates are turned off (NoAutoUpdate is 1).", ev)
	case strings.TrimSpace(a.Text.Value) == "1":
		return requirement.Warn("NoAutoUpdate is the text 1 and not a number ("+a.Text.Type.String()+
			"), which Windows Update may ignore.", ev)
	case a.Value.Present:
		return requirement.Fail(fmt.Sprintf("NoAutoUpdate is %d; it must be 1.", a.Value.Value), ev)
	case a.Value.OtherType:
		return requirement.Fail("NoAutoUpdate is no number.", ev)
	}
	return requirement.Fail("No policy turns automatic updates off: NoAutoUpdate is not set.", ev)
}
