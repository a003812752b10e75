package windows

import (
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var poolsProfile = entry{
	Requirement: recommended("pools.profile.nonpersistent", "",
		"Applications should be installed for all users: users of a pool do not keep their profile.", sectionPools,
		explanation{
			Reads: `The user's NTUSER.DAT: Software\Microsoft\Windows\CurrentVersion\Uninstall; the folders in ` +
				`AppData\Local\Programs of the profile. OneDrive does not count: Windows installs it for every user.`,
			Live: `Get-ItemProperty HKCU:\Software\Microsoft\Windows\CurrentVersion\Uninstall\*; ` +
				`Get-ChildItem $env:LOCALAPPDATA\Programs`,
			Fix: "Uninstall the applications, and install them for all users.",
		}),
	Judge: (*Machine).decidePoolsProfile,
}

// programsOfUser are the applications that a user installed for nobody else.
type programsOfUser struct {
	User     string
	Names    []string
	Evidence []requirement.Evidence // of the applications
	Looked   []requirement.Evidence
	Basis    requirement.Basis // how the user was found
}

func (m *Machine) readProgramsOfUser(w machine.Wanted) (programsOfUser, error) {
	p := programsOfUser{User: w.Profile.Title(), Basis: w.Basis}
	add := func(name string, ev requirement.Evidence) {
		if name != "" && fold.Index(name, "OneDrive") < 0 {
			p.Names, p.Evidence = append(p.Names, name), append(p.Evidence, ev)
		}
	}
	for _, view := range []string{`\Software`, `\Software\Wow6432Node`} {
		name := `HKU\` + w.Profile.SID + view + machine.KeyWindows + `\Uninstall`
		k, err := m.Key(name)
		if err != nil {
			return p, err
		}
		p.Looked = append(p.Looked, k.Evidence)
		apps, err := m.uninstall(name)
		if err != nil {
			return p, err
		}
		for _, a := range apps {
			if !a.SystemComponent {
				add(a.title(), a.Evidence)
			}
		}
	}
	programs := w.Profile.Path + `\AppData\Local\Programs`
	entries, f, err := m.List(programs)
	if err != nil {
		return p, err
	}
	p.Looked = append(p.Looked, f.Evidence)
	for _, e := range entries {
		if !e.IsDir() || strings.EqualFold(e.Name(), "Common") {
			continue
		}
		folder, err := m.readFolder(programs + `\` + e.Name())
		if err != nil {
			return p, err
		}
		if folder.filled() {
			add(e.Name(), folder.Evidence)
		}
	}
	return p, nil
}

func (m *Machine) decidePoolsProfile() requirement.Outcome {
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
	p, err := m.readProgramsOfUser(w)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgePoolsProfile(p)
}

// judgePoolsProfile decides pools.profile.nonpersistent.
func judgePoolsProfile(p programsOfUser) requirement.Outcome {
	if len(p.Names) > 0 {
		o := requirement.Warn(prose.Count(len(p.Names), "application is", "applications are")+" installed only for "+
			p.User+": "+prose.Some(p.Names)+".", p.Evidence...)
		for _, name := range p.Names {
			o = o.About(requirement.Subject{Kind: requirement.SubjectProgram, ID: name, Reason: requirement.ReasonValue,
				Value: p.User})
		}
		o.Details = p.Names[:min(len(p.Names), maxNamed)]
		return o
	}
	o := requirement.Pass("No application is installed only for "+p.User+".", p.Looked...)
	o.Basis = p.Basis
	return o
}
