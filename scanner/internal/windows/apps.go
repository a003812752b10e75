package windows

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var appsOnC = entry{
	Requirement: required("win.apps.on-c", "", "All applications must be installed on drive C.", sectionRequirements,
		explanation{
			Reads: `SOFTWARE, 64-bit and 32-bit: Uninstall, App Paths, COM servers, Installer\UserData and ` +
				`Installer\Folders. Shortcuts of the common Start menu and of the public and default desktops. ` +
				`Links in Program Files. Folders with programs on drive D. Commands that run at startup or ` +
				`sign-in (Run keys, services, tasks, Startup folders, policy scripts), with the files that they ` +
				`execute or load. Programs that only the user installed (NTUSER.DAT, AppData, the user's tasks) are ` +
				`named. They change the status on Windows 7 only, where the image includes the profile.`,
			Live: `Get-ItemProperty HKLM:\SOFTWARE\*\Microsoft\Windows\CurrentVersion\Uninstall\*, ` +
				`HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* | Select-Object DisplayName, ` +
				`InstallLocation`,
			Fix: "Uninstall the application, then install it on drive C for all users.",
		}),
	Judge: (*Machine).decideApps,
}

// Application is an entry of one of the Uninstall keys.
type Application struct {
	Key             string // name of its key
	Name            string // DisplayName
	SystemComponent bool
	Paths           []machine.Setting[string] // InstallLocation, UninstallString, DisplayIcon
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
	for _, view := range machine.SoftwareViews {
		list, err := m.uninstall(view + machine.KeyWindows + `\Uninstall`)
		if err != nil {
			return nil, err
		}
		apps = append(apps, list...)
	}
	return apps, nil
}

func (m *Machine) uninstall(key string) ([]Application, error) {
	keys, err := m.SubkeysAt(key)
	if err != nil {
		return nil, err
	}
	var apps []Application
	for _, k := range keys {
		a := Application{Key: k.Name(), Evidence: k.Evidence}
		name, err := m.Text(k, "DisplayName")
		if err != nil {
			return nil, err
		}
		a.Name = name.Value
		system, err := m.DWord(k, "SystemComponent")
		if err != nil {
			return nil, err
		}
		a.SystemComponent = system.Value == 1
		for _, value := range []string{"InstallLocation", "UninstallString", "DisplayIcon"} {
			s, err := m.Text(k, value)
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

// A placed thing is a program, and the place that a piece of evidence gives for it.
type placed struct {
	Name     string
	Path     string // as written, variables expanded
	Evidence requirement.Evidence
}

// offC returns where a path leads if that is not on drive C, be it for a link
// on its way; "" if it is.
func (m *Machine) offC(path string) (string, error) {
	switch {
	case machine.Elsewhere(path):
		return path, nil
	case len(path) < 3 || path[1] != ':' || path[2] != '\\':
		return "", nil
	}
	// A name in a code page is found by none, but a link may be before it.
	drive, name, err := m.Follow(strings.ToValidUTF8(path, "\uFFFD"))
	switch {
	case errors.Is(err, machine.ErrElsewhere):
		return path + ", a link to a volume outside the images", nil
	case err != nil:
		return "", err
	case drive == "C":
		return "", nil
	}
	return fmt.Sprintf(`%s, a link to %s:\%s`, path, drive, strings.ReplaceAll(name, "/", `\`)), nil
}

// place adds a file to a list if it is not on C.
func (m *Machine) place(list []placed, env machine.Environment, name string, s machine.Setting[string]) ([]placed,
	error) {
	value, err := m.Expand(env, s.Value)
	if err != nil || strings.TrimSpace(value) == "" {
		return list, err
	}
	return m.placePath(list, name, env.Program(value), s.Evidence)
}

// placePath is place for a path that is taken out of its command line already.
func (m *Machine) placePath(list []placed, name, path string, evidence requirement.Evidence) ([]placed, error) {
	if strings.HasPrefix(path, `\`) && !strings.HasPrefix(path, `\\`) {
		return list, fmt.Errorf("%s: %s: the drive of %s is unknown", evidence.Path, evidence.Key, prose.Short(path))
	}
	off, err := m.offC(path)
	if off != "" {
		list = append(list, placed{name, off, evidence})
	}
	return list, err
}

// offPlaces are programs that are not on drive C.
type offPlaces struct {
	Machine []placed // of the machine or of everybody
	Own     []placed // of one user
	Folders []placed // of drive D in which programs are, whoever uses them
	Named   []string // other paths, which decide nothing
	Looked  string   // what was looked at
	Err     error    // why there may be more of them

	Registered map[string]bool // names under which an application can be uninstalled
}

func (o *offPlaces) register(a Application) {
	if o.Registered == nil {
		o.Registered = map[string]bool{}
	}
	o.Registered[a.title()] = true
}

func (o *offPlaces) note(err error) {
	if err != nil {
		o.Err = fact.Join(o.Err, err)
	}
}

func (o *offPlaces) name(format string, a ...any) {
	if len(o.Named) < machine.MaxNamedData {
		o.Named = append(o.Named, fmt.Sprintf(format, a...))
	}
}

func (m *Machine) decideApps() requirement.Outcome {
	env, err := m.Environment()
	if err != nil {
		return requirement.Unreadable(err)
	}
	off := m.machinePrograms(env)
	if len(off.Machine) > 0 {
		return judgeApps(off, true, requirement.Evidence{})
	}
	off.note(m.programFolders(&off))
	if len(off.Folders) > 0 {
		return judgeApps(off, true, requirement.Evidence{})
	}
	if off.Err != nil {
		return requirement.Unreadable(off.Err)
	}
	system, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unreadable(errNoUser)
	}
	if err := m.userPrograms(&off, *w.Profile, env); err != nil {
		return requirement.Unreadable(fact.Because("cannot read the user's own programs", err))
	}
	where, err := m.Key(machine.SoftwareViews[0] + machine.KeyWindows + `\Uninstall`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	where.Evidence.Note = "all subkeys were read, and every other place where programs are registered"
	return w.Inferred(judgeApps(off, system.Modern(), where.Evidence))
}

// described is a list of programs for a finding.
type described struct {
	Names             []string
	Text              string   // some of the names, with their paths
	Registered, Paths []string // names of the registered ones, paths of the others
	Evidence          []requirement.Evidence
	About             []requirement.Subject
}

// reinstall says how to get the programs to drive C.
func (d described) reinstall() string {
	var fixes []string
	if len(d.Registered) > 0 {
		fixes = append(fixes, fmt.Sprintf("Uninstall %s, then install %s on drive C for all users.",
			prose.Some(d.Registered), form(len(d.Registered), "it", "them")))
	}
	if len(d.Paths) > 0 {
		fixes = append(fixes, fmt.Sprintf("Reinstall on drive C what runs from %s, or remove it.", prose.Some(d.Paths)))
	}
	return strings.Join(fixes, " ")
}

// judgeApps decides win.apps.on-c. modern says that the profile does not enter
// the image, so that what one user installed for himself changes no status.
func judgeApps(off offPlaces, modern bool, where requirement.Evidence) requirement.Outcome {
	describe := func(list []placed) described {
		var d described
		var all []string
		seen := map[string]bool{}
		for _, p := range list {
			if len(d.Evidence) < maxEvidence {
				d.Evidence = append(d.Evidence, p.Evidence)
				d.About = append(d.About, requirement.Subject{Kind: requirement.SubjectProgram, ID: p.Name,
					Reason: requirement.ReasonPresent, Value: p.Path})
			}
			if name := strings.ToLower(p.Name); !seen[name] {
				seen[name] = true
				d.Names = append(d.Names, prose.Short(p.Name))
				if off.Registered[p.Name] {
					d.Registered = append(d.Registered, prose.Short(p.Name))
				} else {
					d.Paths = append(d.Paths, prose.Short(p.Path))
				}
				all = append(all, fmt.Sprintf("%s (%s)", prose.Short(p.Name), prose.Short(p.Path)))
			}
		}
		d.Text = prose.Some(all)
		return d
	}
	own := describe(off.Own)
	details := struct {
		Own  []string `json:"own,omitempty"`   // what one user installed for himself
		Else []string `json:"named,omitempty"` // other paths off drive C
	}{nil, off.Named}
	for _, p := range off.Own[:min(len(off.Own), maxEvidence)] {
		details.Own = append(details.Own, fmt.Sprintf("%s (%s)", prose.Short(p.Name), prose.Short(p.Path)))
	}
	var o requirement.Outcome
	switch {
	case len(off.Machine) > 0:
		d := describe(off.Machine)
		o = requirement.Fail(prose.Count(len(d.Names), "program is", "programs are")+" not on drive C: "+d.Text,
			d.Evidence...).About(d.About...)
		o.Remediation = d.reinstall()
	case len(off.Folders) > 0:
		d := describe(off.Folders)
		o = requirement.Warn("Drive D holds programs, which the image will not include: "+d.Text,
			d.Evidence...).About(d.About...)
		o.Remediation = "Install these programs on drive C, or delete them if nobody needs them."
	case len(off.Own) > 0 && !modern:
		o = requirement.Warn("The user installed programs in the profile: "+own.Text, own.Evidence...).About(own.About...)
		o.Remediation = own.reinstall()
	default:
		o = requirement.Pass("All programs are on drive C: "+off.Looked,
			append([]requirement.Evidence{where}, own.Evidence...)...)
		if len(off.Own) > 0 {
			o = o.Also("The image will not include what the user installed: " + own.Text)
		}
		if len(off.Named) > 0 {
			o = o.Also("Not counted as programs: " + prose.Some(off.Named))
		}
	}
	if len(details.Own)+len(details.Else) > 0 {
		o.Details = details
	}
	return o
}

// maxEvidence is how many programs a finding lists. The message counts all of them.
const maxEvidence = 50

// machinePrograms looks everywhere that programs for all users are registered.
// It goes on after an error, because one program elsewhere decides.
func (m *Machine) machinePrograms(env machine.Environment) offPlaces {
	var off offPlaces
	apps, err := m.Apps()
	off.note(err)
	judged := 0
	for _, a := range apps {
		if !a.SystemComponent {
			judged++
			off.register(a)
			off.note(m.placeApp(&off, env, a))
		}
	}
	services, err := m.Services()
	off.note(err)
	for _, s := range services {
		off.note(s.Err)
		if s.Kernel() && !s.Deleted {
			off.Machine, err = m.place(off.Machine, env, "driver "+s.Name, s.ImagePath)
			off.note(err)
		}
	}
	starts := m.MachineStarts()
	off.note(m.placeStarts(&off, starts))
	for _, view := range machine.SoftwareViews {
		more, err := m.appPaths(view+machine.KeyWindows+`\App Paths`, env)
		off.note(err)
		off.Machine = append(off.Machine, more...)
	}
	off.note(m.installerPrograms(&off, env))
	servers, err := m.comServers(env)
	off.note(err)
	off.Machine = append(off.Machine, servers...)
	shortcuts, err := m.sharedShortcuts(&off, env)
	off.note(err)
	off.note(m.linkedPrograms(&off, env))
	tasks, err := m.Tasks()
	off.note(err)
	off.Looked = fmt.Sprintf("%s, %s, %s, %s", prose.Count(judged, "application", "applications"),
		prose.Count(len(services), "service or driver", "services and drivers"),
		prose.Count(shortcuts, "shortcut", "shortcuts"),
		prose.Count(len(tasks), "program of a scheduled task", "programs of scheduled tasks"))
	return off
}

// placeApp judges an entry of Uninstall. Where the application is, InstallLocation
// says; if that is on drive C, an uninstaller or an icon elsewhere is a copy of
// the set-up, and only named.
func (m *Machine) placeApp(off *offPlaces, env machine.Environment, a Application) error {
	var all error
	onC := false
	for _, p := range a.Paths {
		place := m.place
		if p.Evidence.Value == "UninstallString" {
			place = m.placeLine
		}
		found, err := place(nil, env, a.title(), p)
		if err != nil {
			all = fact.Join(all, err)
			continue
		}
		if p.Evidence.Value == "InstallLocation" {
			onC = len(found) == 0
		}
		if !onC {
			off.Machine = append(off.Machine, found...)
			continue
		}
		for _, f := range found {
			off.name("%s of %s: %s", p.Evidence.Value, prose.Short(f.Name), prose.Short(f.Path))
		}
	}
	return all
}

// placeLine judges a command line that runs when somebody asks for it.
func (m *Machine) placeLine(found []placed, env machine.Environment, name string,
	s machine.Setting[string]) ([]placed, error) {
	uses, err := m.UsesOf(env, s.Value)
	for _, u := range uses {
		var placeErr error
		found, placeErr = m.placePath(found, name, env.Full(u.Path), s.Evidence)
		err = fact.Join(err, placeErr)
	}
	return found, err
}

// placeStarts judges what runs at a start or sign-in by all that it executes and
// loads.
func (m *Machine) placeStarts(off *offPlaces, starts machine.Starts) error {
	env, err := m.Environment()
	if err != nil {
		return err
	}
	all := starts.Err
	known := map[string]string{} // where a path leads off drive C
	for _, s := range starts.List {
		if s.Err != nil {
			all = fact.Join(all, s.Err)
		}
		for _, u := range s.Does.Uses {
			where, seen := known[u.Path]
			if !seen {
				list, err := m.placePath(nil, "", env.Full(u.Path), s.Evidence[0])
				if err != nil {
					all = fact.Join(all, fmt.Errorf("%s: %w", s.Name, err))
				}
				if len(list) > 0 {
					where = list[0].Path
				}
				known[u.Path] = where
			}
			if where == "" {
				continue
			}
			if p := (placed{s.Name, where, s.Evidence[0]}); s.Own {
				off.Own = append(off.Own, p)
			} else {
				off.Machine = append(off.Machine, p)
			}
		}
	}
	for _, d := range starts.DescribeData() {
		off.name("%s", d)
	}
	return all
}

// appPaths reads the programs that can be started by name without a path.
func (m *Machine) appPaths(key string, env machine.Environment) ([]placed, error) {
	keys, err := m.SubkeysAt(key)
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, k := range keys {
		program, err := m.Text(k, "")
		if err != nil {
			return nil, err
		}
		if found, err = m.place(found, env, k.Name(), program); err != nil {
			return found, err
		}
		path, err := m.Text(k, "Path")
		if err != nil {
			return nil, err
		}
		for _, folder := range machine.SplitQuoted(path.Value, ';') {
			s := path
			s.Value = folder
			if found, err = m.place(found, env, k.Name(), s); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// ownPrograms are programs that set themselves up in a profile, by their place
// below AppData\Local.
var ownPrograms = []string{`Microsoft\Teams\current\Teams.exe`, `Microsoft\OneDrive\OneDrive.exe`,
	`Google\Chrome\Application\chrome.exe`}

// userPrograms finds programs that are installed only for the user. All of them
// count, on any drive, because the profile is on drive D.
func (m *Machine) userPrograms(off *offPlaces, p machine.Profile, env machine.Environment) error {
	software := `HKU\` + p.SID + `\Software`
	for _, view := range []string{software, software + `\Wow6432Node`} {
		apps, err := m.uninstall(view + machine.KeyWindows + `\Uninstall`)
		if err != nil {
			return err
		}
		for _, a := range apps {
			if !a.SystemComponent {
				off.register(a)
				off.Own = append(off.Own, placed{a.title(), "the user's Uninstall key", a.Evidence})
			}
		}
		paths, err := m.appPaths(view+machine.KeyWindows+`\App Paths`, env.Of(p))
		if err != nil {
			return err
		}
		off.Own = append(off.Own, paths...)
	}
	products, err := m.productsOf(p.SID, env.Of(p))
	if err != nil {
		return err
	}
	off.Own = append(off.Own, products...)
	components, err := m.componentsOf(p.SID)
	if err != nil {
		return err
	}
	off.Own = append(off.Own, components...)
	starts := m.UserStarts(p)
	for i := range starts.List {
		starts.List[i].Own = true
	}
	if err := m.placeStarts(off, starts); err != nil {
		return err
	}
	if err := m.userShortcuts(off, p, env.Of(p)); err != nil {
		return err
	}
	programs := p.Path + `\AppData\Local\Programs`
	entries, _, err := m.List(programs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.EqualFold(e.Name(), "Common") || len(off.Own) > machine.MaxPrograms {
			continue
		}
		f, err := m.File(programs + `\` + e.Name())
		if err != nil {
			return err
		}
		off.Own = append(off.Own, placed{e.Name(), programs + `\` + e.Name(), f.Evidence})
	}
	for _, known := range ownPrograms {
		f, err := m.File(p.Path + `\AppData\Local\` + known)
		if err != nil {
			return err
		}
		if f.Exists {
			off.Own = append(off.Own, placed{known[strings.LastIndexByte(known, '\\')+1:],
				p.Path + `\AppData\Local\` + known, f.Evidence})
		}
	}
	return nil
}
