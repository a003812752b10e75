package windows

import (
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var wamInstalled = entry{
	Requirement: required("win.wam.installed", "", "Amazon WAM must be installed if it was used.",
		sectionTips+": Amazon WorkSpaces Application Manager (Amazon WAM) must be installed", explanation{
			Reads: "SOFTWARE: the Uninstall keys; shortcuts named Amazon WAM on the desktops of the user and of all " +
				"users. If there are none, it was not used.",
			Live: `Get-ItemProperty HKLM:\SOFTWARE\*\Microsoft\Windows\CurrentVersion\Uninstall\* | Where-Object ` +
				`DisplayName -like 'Amazon W*'`,
			Doubts: "Later versions of the service's guide no longer require it.",
			Fix:    "If Amazon WAM is used, install it again. Otherwise, delete its shortcut.",
		}),
	Judge: (*Machine).decideWAM,
}

func (m *Machine) decideWAM() requirement.Outcome {
	apps, err := m.Apps()
	if err != nil {
		return requirement.Unreadable(err)
	}
	for _, a := range apps {
		if isWAM(a.Name) {
			return requirement.Pass(a.Name+" is installed.", a.Evidence)
		}
	}
	env, err := m.Environment()
	if err != nil {
		return requirement.Unreadable(err)
	}
	public, err := m.wamShortcuts(env["PUBLIC"] + `\Desktop`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	if len(public) > 0 {
		return judgeWAM(public)
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unreadable(errNoUser)
	}
	if w.Profile.Path == "" {
		return requirement.Unreadable(errNoPath)
	}
	own, err := m.wamShortcuts(w.Profile.Path + `\Desktop`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeWAM(own)
}

func isWAM(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "amazon workspaces application manager") || strings.Contains(name, "amazon wam")
}

// wamShortcuts returns the shortcuts to Amazon WAM on a desktop.
func (m *Machine) wamShortcuts(desktop string) ([]requirement.Evidence, error) {
	entries, _, err := m.List(desktop)
	if err != nil {
		return nil, err
	}
	var found []requirement.Evidence
	for _, e := range entries {
		if isWAM(e.Name()) && fold.HasSuffix(e.Name(), ".lnk") {
			f, err := m.File(desktop + `\` + e.Name())
			if err != nil {
				return nil, err
			}
			found = append(found, f.Evidence)
		}
	}
	return found, nil
}

// judgeWAM decides win.wam.installed where it is not installed, from the
// shortcuts that are left of it.
func judgeWAM(shortcuts []requirement.Evidence) requirement.Outcome {
	if len(shortcuts) > 0 {
		return requirement.Warn("Amazon WAM is not installed, but its shortcut exists.",
			shortcuts...).About(subjectsOf(shortcuts, requirement.ReasonPresent)...)
	}
	return requirement.Skip("Amazon WAM was not used: it has neither an installation nor a shortcut.")
}
