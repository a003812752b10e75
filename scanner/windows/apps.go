package windows

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var appsOnC = entry{
	Requirement: required("win.apps.on-c", "", "every application is installed on drive C", sectionRequirements, explanation{
		Reads: `SOFTWARE, both views: Uninstall, App Paths, Run; Installer\UserData; SYSTEM: Services\*\ImagePath; shortcuts of the common Start menu; scheduled tasks. For installations of the user alone: NTUSER.DAT and AppData of the profile.`,
		Live:  `Get-ItemProperty HKLM:\SOFTWARE\*\Microsoft\Windows\CurrentVersion\Uninstall\*, HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* | Select-Object DisplayName, InstallLocation`,
		Fix:   "Uninstall the application and install it again on drive C, for all users.",
	}),
	Judge: (*Machine).decideApps,
}

const keyWindows = `\Microsoft\Windows\CurrentVersion`

// Application is an entry of one of the Uninstall keys.
type Application struct {
	Key             string // name of its key
	Name            string // DisplayName
	SystemComponent bool
	Paths           []Setting[string] // InstallLocation, UninstallString, DisplayIcon
	Evidence        requirement.Evidence
}

// title is what a person would call the application.
func (a Application) title() string {
	if a.Name != "" {
		return a.Name
	}
	return a.Key
}

// Apps lists the applications that are installed for all users, in the 64-bit
// view and the 32-bit one.
func (m *Machine) Apps() ([]Application, error) { return m.apps.Get(m.next().readApps) }

func (m *Machine) readApps() ([]Application, error) {
	var apps []Application
	for _, view := range machineViews {
		list, err := m.uninstall(view + keyWindows + `\Uninstall`)
		if err != nil {
			return nil, err
		}
		apps = append(apps, list...)
	}
	return apps, nil
}

// machineViews are the two places where software registers itself for all
// users: the second is that of 32-bit programs, and is not there on a 32-bit
// system.
var machineViews = []string{`HKLM\SOFTWARE`, `HKLM\SOFTWARE\Wow6432Node`}

func (m *Machine) uninstall(key string) ([]Application, error) {
	parent, err := m.key(key)
	if err != nil {
		return nil, err
	}
	keys, err := m.subkeys(parent)
	if err != nil {
		return nil, err
	}
	var apps []Application
	for _, k := range keys {
		a := Application{Key: k.Name(), Evidence: k.Evidence}
		name, err := m.text(k, "DisplayName")
		if err != nil {
			return nil, err
		}
		a.Name = name.Value
		system, err := m.dword(k, "SystemComponent")
		if err != nil {
			return nil, err
		}
		a.SystemComponent = system.Value == 1
		for _, value := range []string{"InstallLocation", "UninstallString", "DisplayIcon"} {
			s, err := m.text(k, value)
			if err != nil {
				return nil, err
			}
			if strings.TrimSpace(s.Value) != "" {
				a.Paths = append(a.Paths, s)
			}
		}
		apps = append(apps, a)
	}
	return apps, nil
}

// A placed thing is a program, and where a piece of evidence says it lies.
type placed struct {
	Name     string
	Path     string // as written, variables expanded
	Evidence requirement.Evidence
}

// elsewhere says whether a path leads off drive C: to another drive letter or
// to a share. What is neither lies on C.
func elsewhere(path string) bool {
	switch {
	case strings.HasPrefix(path, `\\`):
		return true
	case len(path) > 1 && path[1] == ':':
		return !strings.EqualFold(path[:1], "C")
	}
	return false
}

// offC returns where a path leads if that is not on drive C, be it for a link
// on its way; "" if it is.
func (m *Machine) offC(path string) (string, error) {
	switch {
	case elsewhere(path):
		return path, nil
	case len(path) < 3 || path[1] != ':' || path[2] != '\\':
		return "", nil
	}
	// A name in a code page is found by none, but a link may be before it.
	drive, name, err := m.follow(strings.ToValidUTF8(path, "\uFFFD"))
	switch {
	case errors.Is(err, ErrElsewhere):
		return path + ", which leads off the drive", nil
	case err != nil:
		return "", err
	case drive == "C":
		return "", nil
	}
	return fmt.Sprintf(`%s, which leads to %s:\%s`, path, drive, strings.ReplaceAll(name, "/", `\`)), nil
}

// place adds a program to a list if it does not lie on C.
func (m *Machine) place(list []placed, env environment, name string, s Setting[string]) ([]placed, error) {
	value, err := m.expand(env, s.Value)
	if err != nil || strings.TrimSpace(value) == "" {
		return list, err
	}
	p := env.program(value)
	if strings.HasPrefix(p, `\`) && !strings.HasPrefix(p, `\\`) {
		return list, fmt.Errorf("%s: %s: on which drive %s lies is not known", s.Evidence.Path, s.Evidence.Key, p)
	}
	off, err := m.offC(p)
	if off != "" {
		list = append(list, placed{name, off, s.Evidence})
	}
	return list, err
}

func (m *Machine) decideApps() requirement.Outcome {
	env, err := m.env()
	if err != nil {
		return requirement.Unreadable(err)
	}
	machine, looked, unread := m.machinePrograms(env)
	if len(machine) > 0 {
		return judgeApps(machine, nil, looked, requirement.Evidence{})
	}
	if unread != nil {
		return requirement.Unreadable(unread)
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unknown("whose own installations count is not known: see win.profile.exists")
	}
	user, err := m.userPrograms(*w.Profile, env)
	if err != nil {
		return requirement.Unreadable(fmt.Errorf("installations of the user alone: %w", err))
	}
	where, err := m.key(machineViews[0] + keyWindows + `\Uninstall`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	where.Evidence.Note = "every subkey was read, and the other places that the requirement names"
	return w.inferred(judgeApps(nil, user, looked, where.Evidence))
}

// judgeApps decides win.apps.on-c. machine and user are the programs that do
// not lie on C, for all users and for the user alone.
func judgeApps(machine, user []placed, looked string, where requirement.Evidence) requirement.Outcome {
	describe := func(list []placed) (string, []requirement.Evidence) {
		var names, said []string
		var evidence []requirement.Evidence
		for _, p := range list {
			evidence = append(evidence, p.Evidence)
			if !containsFold(names, p.Name) {
				names = append(names, p.Name)
				said = append(said, fmt.Sprintf("%s (%s)", p.Name, p.Path))
			}
		}
		return prose.Some(said), evidence
	}
	switch {
	case len(machine) > 0:
		names, evidence := describe(machine)
		return requirement.Fail("not on drive C: "+names, evidence...)
	case len(user) > 0:
		names, evidence := describe(user)
		return requirement.Warn("installed for the user alone, in the profile: "+names, evidence...)
	}
	return requirement.Pass(looked+": all on drive C", where)
}

// machinePrograms looks everywhere that programs for all users are registered.
// It goes on after an error, because one program elsewhere decides.
func (m *Machine) machinePrograms(env environment) (found []placed, looked string, unread error) {
	note := func(err error) {
		if err != nil {
			unread = errors.Join(unread, err)
		}
	}
	apps, err := m.Apps()
	note(err)
	judged := 0
	for _, a := range apps {
		if a.SystemComponent {
			continue
		}
		judged++
		for _, p := range a.Paths {
			found, err = m.place(found, env, a.title(), p)
			note(err)
		}
	}
	services, err := m.Services()
	note(err)
	for _, s := range services {
		note(s.Err)
		found, err = m.place(found, env, "service "+s.Name, s.ImagePath)
		note(err)
	}
	for _, view := range machineViews {
		more, err := m.appPaths(view+keyWindows+`\App Paths`, env)
		note(err)
		found = append(found, more...)
		more, err = m.runEntries(view+keyWindows+`\Run`, env)
		note(err)
		found = append(found, more...)
	}
	more, err := m.installerProducts(env)
	note(err)
	found = append(found, more...)
	more, shortcuts, err := m.startMenu(env)
	note(err)
	found = append(found, more...)
	tasks, err := m.Tasks()
	note(err)
	for _, t := range tasks {
		found, err = m.place(found, env, "task "+t.Name, Setting[string]{Value: t.Command, Evidence: t.Evidence})
		note(err)
	}
	looked = fmt.Sprintf("%s, %s, %s, %s", prose.Count(judged, "application", "applications"), prose.Count(len(services), "service or driver", "services and drivers"),
		prose.Count(shortcuts, "shortcut", "shortcuts"), prose.Count(len(tasks), "program of a scheduled task", "programs of scheduled tasks"))
	return found, looked, unread
}

// appPaths reads the programs that can be started by their name alone.
func (m *Machine) appPaths(key string, env environment) ([]placed, error) {
	parent, err := m.key(key)
	if err != nil {
		return nil, err
	}
	keys, err := m.subkeys(parent)
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, k := range keys {
		for _, value := range []string{"", "Path"} {
			s, err := m.text(k, value)
			if err != nil {
				return nil, err
			}
			if found, err = m.place(found, env, k.Name(), s); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// runEntries reads the programs that start at logon.
func (m *Machine) runEntries(key string, env environment) ([]placed, error) {
	values, err := m.runValues(key)
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, s := range values {
		if found, err = m.place(found, env, "startup program "+s.Evidence.Value, s); err != nil {
			return found, err
		}
	}
	return found, nil
}

// runValues reads the command lines of a Run key, which may not be there.
// Windows starts those alone that are texts.
func (m *Machine) runValues(key string) ([]Setting[string], error) {
	k, err := m.key(key)
	if err != nil || !k.Exists() {
		return nil, err
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	var commands []Setting[string]
	for _, v := range values {
		if t := v.Type(); t != registry.SZ && t != registry.ExpandSZ {
			continue
		}
		s, err := m.text(k, v.Name())
		if err != nil {
			return nil, err
		}
		commands = append(commands, s)
	}
	return commands, nil
}

// installerProducts reads the products that Windows Installer has installed
// for all users, which it does as LocalSystem.
func (m *Machine) installerProducts(env environment) ([]placed, error) {
	return m.productsOf("S-1-5-18", env)
}

func (m *Machine) productsOf(sid string, env environment) ([]placed, error) {
	parent, err := m.key(`HKLM\SOFTWARE` + keyWindows + `\Installer\UserData\` + sid + `\Products`)
	if err != nil {
		return nil, err
	}
	keys, err := m.subkeys(parent)
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, k := range keys {
		properties, err := m.subkey(k, "InstallProperties")
		if err != nil {
			return nil, err
		}
		name, err := m.text(properties, "DisplayName")
		if err != nil {
			return nil, err
		}
		location, err := m.text(properties, "InstallLocation")
		if err != nil {
			return nil, err
		}
		if found, err = m.place(found, env, name.Value, location); err != nil {
			return found, err
		}
	}
	return found, nil
}

// userPrograms looks for what is installed for the user alone. Whatever is
// found counts, wherever it lies: the profile is on drive D.
func (m *Machine) userPrograms(p Profile, env environment) ([]placed, error) {
	software := `HKU\` + p.SID + `\Software`
	var found []placed
	for _, view := range []string{software, software + `\Wow6432Node`} {
		apps, err := m.uninstall(view + keyWindows + `\Uninstall`)
		if err != nil {
			return nil, err
		}
		for _, a := range apps {
			if !a.SystemComponent {
				found = append(found, placed{a.title(), "Uninstall key of the user", a.Evidence})
			}
		}
	}
	products, err := m.productsOf(p.SID, env.of(p))
	if err != nil {
		return nil, err
	}
	found = append(found, products...)
	run, err := m.runEntries(software+keyWindows+`\Run`, env.of(p))
	if err != nil {
		return nil, err
	}
	found = append(found, run...)
	programs := p.Path + `\AppData\Local\Programs`
	entries, _, err := m.list(programs)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.EqualFold(e.Name(), "Common") {
			continue
		}
		f, err := m.file(programs + `\` + e.Name())
		if err != nil {
			return nil, err
		}
		found = append(found, placed{e.Name(), programs + `\` + e.Name(), f.Evidence})
	}
	for _, known := range []string{`Microsoft\Teams\current\Teams.exe`, `Microsoft\OneDrive\OneDrive.exe`, `Google\Chrome\Application\chrome.exe`} {
		f, err := m.file(p.Path + `\AppData\Local\` + known)
		if err != nil {
			return nil, err
		}
		if f.Exists {
			found = append(found, placed{known[strings.LastIndexByte(known, '\\')+1:], p.Path + `\AppData\Local\` + known, f.Evidence})
		}
	}
	return found, nil
}

// of returns the environment as a user sees it.
func (e environment) of(p Profile) environment {
	user := environment{
		"USERPROFILE":  p.Path,
		"APPDATA":      p.Path + `\AppData\Roaming`,
		"LOCALAPPDATA": p.Path + `\AppData\Local`,
		"TEMP":         p.Path + `\AppData\Local\Temp`,
	}
	for name, value := range e {
		user[name] = value
	}
	return user
}
