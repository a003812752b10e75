package windows

import (
	"fmt"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpUpdates = entry{
	Requirement: recommended("win.bp.updates", "", "The latest updates should be at most 60 days old.", sectionPractices,
		explanation{
			Reads: `SOFTWARE: Component Based Servicing\Packages, installed Package_for_RollupFix and their times; ` +
				`WindowsUpdate\Auto Update\Results\Install\LastSuccessTime. The disk does not show whether newer ` +
				`updates exist.`,
			Live:   "Get-HotFix | Sort-Object InstalledOn | Select-Object -Last 1",
			Doubts: "The service's guide names no age. 60 days are two of Microsoft's monthly releases.",
			Fix: "Open Windows Update and install all updates except feature updates, which make image creation " +
				"impossible. Then restart.",
		}),
	Judge: (*Machine).decideUpdates,
}

// recentUpdates is how old the last update may be: two of Microsoft's monthly
// releases.
const recentUpdates = 60 * 24 * time.Hour

// statePackageInstalled is the CurrentState of a package that is installed (from
// observation, not documented; see stateInstallPending).
const statePackageInstalled = 0x70

// An update is an installation of updates on record.
type update struct {
	Name     string
	Time     time.Time
	Evidence requirement.Evidence
}

func (m *Machine) decideUpdates() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	updates, looked, err := m.readRollups()
	if err != nil {
		return requirement.Unreadable(err)
	}
	last, err := m.TextAt(keyWindowsUpdate+`\Auto Update\Results\Install`, "LastSuccessTime")
	if err != nil {
		return requirement.Unreadable(err)
	}
	if last.Present {
		// Written in UTC, as "2026-01-14 09:00:00".
		when, err := time.Parse(time.DateTime, strings.TrimSpace(last.Value))
		if err != nil {
			return requirement.Unknown(fmt.Sprintf("LastSuccessTime is %q, which is not a time.",
				prose.Short(last.Value)), last.Evidence)
		}
		updates = append(updates, update{"updates", when, last.Evidence})
	}
	return judgeUpdates(s, updates, m.in.Now, looked)
}

// readRollups reads the cumulative updates that are installed.
func (m *Machine) readRollups() (updates []update, looked requirement.Evidence, err error) {
	packages, err := m.Key(keyServicing + `\Packages`)
	if err != nil {
		return nil, looked, err
	}
	if !packages.Exists() {
		return nil, looked, fmt.Errorf("%s: key %s not found", packages.Evidence.Path, packages.Evidence.Key)
	}
	list, err := m.Subkeys(packages)
	if err != nil {
		return nil, looked, err
	}
	for _, k := range list {
		if !fold.HasPrefix(k.Name(), "Package_for_RollupFix~") {
			continue
		}
		state, err := m.DWord(k, "CurrentState")
		if err != nil {
			return nil, looked, err
		}
		high, err := m.DWord(k, "InstallTimeHigh")
		if err != nil {
			return nil, looked, err
		}
		low, err := m.DWord(k, "InstallTimeLow")
		if err != nil {
			return nil, looked, err
		}
		if state.Value != statePackageInstalled || !high.Present || !low.Present {
			continue
		}
		u := update{k.Name(), filetime.Exact(uint64(high.Value)<<32 | uint64(low.Value)), k.Evidence}
		u.Evidence.Value, u.Evidence.Data = "InstallTimeHigh, InstallTimeLow", u.Time.Format(time.RFC3339)
		updates = append(updates, u)
	}
	looked = packages.Evidence
	looked.Note = "the names of " + prose.Count(len(list), "package", "packages") + " were read"
	return updates, looked, nil
}

// judgeUpdates decides win.bp.updates from the updates on record.
func judgeUpdates(s machine.System, updates []update, now time.Time,
	looked requirement.Evidence) requirement.Outcome {
	if len(updates) == 0 {
		return requirement.Unknown("No cumulative update of "+s.Version()+" is recorded as installed.", looked)
	}
	newest := updates[0]
	for _, u := range updates {
		if u.Time.After(newest.Time) {
			newest = u
		}
	}
	// No number of days, so that the outcome is the same on many days.
	message := fmt.Sprintf("Windows %s was last updated on %s", s.Version(), newest.Time.Format(time.DateOnly))
	until := newest.Time.Add(recentUpdates)
	if now.After(until) {
		return requirement.Warn(message+", more than 60 days before the scan.", newest.Evidence)
	}
	message += ", within the 60 days before the scan. The disk does not show whether newer ones exist."
	o := requirement.Infer(message, newest.Evidence)
	o.Until = until
	return o
}
