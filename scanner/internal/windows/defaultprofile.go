package windows

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var bpDefaultProfile = entry{
	Requirement: recommended("win.bp.default-profile", "",
		`The default profile (C:\Users\Default) should not be customized.`, sectionPractices, explanation{
			Reads: `The default profile: files that are newer than the Windows installation and not part of Windows, ` +
				`and LayoutModification.xml. Its NTUSER.DAT: keys of other vendors, Run and RunOnce, wallpaper, ` +
				`screen saver, network drives, printers, start page, proxy, environment variables and policies. ` +
				`CopyProfile in the answer file of the EC2 agent.`,
			Live: `Get-ChildItem C:\Users\Default -Recurse -Force -File | Where-Object CreationTime -gt ` +
				`(Get-CimInstance Win32_OperatingSystem).InstallDate`,
			Fix: "Undo the changes to the default profile. Use Group Policy for such settings instead.",
		}),
	Judge: (*Machine).decideDefaultProfile,
}

// A customisation is a sign that somebody changed the default profile.
type customisation struct {
	What     string               `json:"what"`
	Evidence requirement.Evidence `json:"-"`
}

// defaultProfile is what was found in the default profile.
type defaultProfile struct {
	Path   string
	Folder machine.File
	Hive   machine.File
	Signs  []customisation
	More   int   // signs beyond the bound
	Unread error // why there may be more signs
}

// add keeps a sign, or counts it if there are many.
func (d *defaultProfile) add(sign customisation) {
	if len(d.Signs) >= maxNamed {
		d.More++
		return
	}
	d.Signs = append(d.Signs, sign)
}

func (m *Machine) decideDefaultProfile() requirement.Outcome {
	d, err := m.readDefaultProfile()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeDefaultProfile(d)
}

func (m *Machine) readDefaultProfile() (defaultProfile, error) {
	var d defaultProfile
	s, err := m.System()
	if err != nil {
		return d, err
	}
	profiles, err := m.Profiles()
	if err != nil {
		return d, err
	}
	d.Path = profiles.Default
	if d.Folder, err = m.File(d.Path); err != nil || !d.Folder.Exists || !d.Folder.Dir {
		return d, err
	}
	if d.Hive, err = m.File(d.Path + `\NTUSER.DAT`); err != nil {
		return d, err
	}
	for _, read := range []func(*defaultProfile, machine.System) error{m.customFiles, m.customLayout, m.customHive,
		m.copiedProfile} {
		d.Unread = fact.Join(d.Unread, read(&d, s))
	}
	return d, nil
}

// inboxFiles are what Windows itself writes into the default profile, in lower
// case, with path.Match's wildcards; "…/" before a name stands for any folder.
var inboxFiles = []string{
	"ntuser.dat", "ntuser.dat.log", "ntuser.dat.log1", "ntuser.dat.log2", "ntuser.ini", "ntuser.dat{*}*",
	"…/desktop.ini",
	"appdata/local/microsoft/windows/winx/*/*.lnk",
	"appdata/local/microsoft/windows/shell/defaultlayouts.xml",
	"appdata/local/microsoft/windows/usrclass.dat*",
	"appdata/local/microsoft/windows sidebar/*",
	"appdata/roaming/microsoft/windows/sendto/*",
	"appdata/roaming/microsoft/internet explorer/quick launch/*.lnk",
	"appdata/roaming/microsoft/windows/start menu/programs/*/*.lnk",
	"appdata/roaming/microsoft/windows/start menu/programs/*.lnk",
	"appdata/roaming/microsoft/windows/start menu/programs/*/*/*.lnk",
}

// inbox says whether a file of the default profile is Windows' own.
func inbox(name string) bool {
	name = strings.ToLower(name)
	for _, pattern := range inboxFiles {
		if base, anywhere := strings.CutPrefix(pattern, "…/"); anywhere {
			if path.Base(name) == base {
				return true
			}
		} else if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// customFiles looks for files that were made after Windows was installed.
// Windows' own are older than that: they come with its image.
func (m *Machine) customFiles(d *defaultProfile, s machine.System) error {
	if s.Installed.IsZero() {
		return errors.New(
			"cannot tell which files of the default profile are newer than Windows: its installation date is unknown")
	}
	v, folder, err := m.Locate(d.Path)
	if err != nil {
		return err
	}
	var doubtful int64
	damaged, err := v.FS.Walk(folder, func(p []byte, e *volume.Entry) error {
		switch {
		case e.Dir || inbox(string(p)):
			return nil
		case e.Doubt != nil:
			doubtful++
			return nil
		case !e.Created.After(s.Installed):
			return nil
		}
		ev := machine.EntryEvidence(v.Role, folder+"/"+string(p), e)
		ev.Data += ", created " + e.Created.Format(time.RFC3339)
		d.add(customisation{fmt.Sprintf("the file %s (created %s)", strings.ReplaceAll(string(p), "/", `\`),
			e.Created.Format(time.DateOnly)), ev})
		return nil
	})
	if err != nil {
		return v.Problem(folder, err)
	}
	return v.Unshown(folder, damaged, doubtful)
}

// customLayout looks for the layout of Start and taskbar that an administrator
// leaves in the default profile, whenever it was made.
func (m *Machine) customLayout(d *defaultProfile, _ machine.System) error {
	f, err := m.File(d.Path + `\AppData\Local\Microsoft\Windows\Shell\LayoutModification.xml`)
	if err == nil && f.Exists && !d.names(f.Evidence) {
		d.add(customisation{"the Start layout LayoutModification.xml", f.Evidence})
	}
	return err
}

// names says whether a file is among the signs already.
func (d *defaultProfile) names(ev requirement.Evidence) bool {
	for _, s := range d.Signs {
		if s.Evidence.Source == ev.Source && strings.EqualFold(s.Evidence.Path, ev.Path) {
			return true
		}
	}
	return false
}

// ownSoftware are the keys below Software that Windows itself makes in the
// default profile.
var ownSoftware = []string{"Microsoft", "Classes", "Policies", "Wow6432Node", "RegisteredApplications", "Clients",
	"AppDataLow"}

// ownRuns are programs that Windows itself starts at the first logon of a new
// user.
var ownRuns = []string{"OneDriveSetup", "OneDrive", "Sidebar", "mctadmin"}

// customHive looks through the registry that new profiles begin with.
func (m *Machine) customHive(d *defaultProfile, s machine.System) error {
	if !d.Hive.Exists {
		return nil
	}
	const user = `HKU\` + machine.DefaultUser
	vendors, err := m.SubkeysAt(user + `\Software`)
	if err != nil {
		return err
	}
	for _, k := range vendors {
		if !fold.Contains(ownSoftware, k.Name()) {
			d.add(customisation{"the settings of " + prose.Short(k.Name()), k.Evidence})
		}
	}
	for _, run := range []string{"Run", "RunOnce"} {
		values, err := m.RunValues(user + `\Software` + machine.KeyWindows + `\` + run)
		if err != nil {
			return err
		}
		for _, v := range values {
			if !fold.Contains(ownRuns, v.Evidence.Value) {
				d.add(customisation{"the startup program " + prose.Short(v.Evidence.Value), v.Evidence})
			}
		}
	}
	wallpaper, err := m.TextAt(user+`\Control Panel\Desktop`, "WallPaper")
	if err != nil {
		return err
	}
	env, err := m.Environment()
	if err != nil {
		return err
	}
	if p := machine.Normal(env.Expand(wallpaper.Value)); wallpaper.Value != "" &&
		!fold.HasPrefix(p, machine.Normal(s.SystemRoot)+`\`) {
		d.add(customisation{"the wallpaper " + prose.Short(wallpaper.Value), wallpaper.Evidence})
	}
	mail, err := m.mailProfiles(keptProfile{Profile: machine.Profile{SID: machine.DefaultUser, Path: d.Path}})
	if err != nil {
		return err
	}
	for _, t := range mail {
		d.add(customisation(t))
	}
	for _, read := range []func(*defaultProfile, string) error{m.customConnections, m.customValues,
		m.customEnvironment, m.customPolicies} {
		if err := read(d, user); err != nil {
			return err
		}
	}
	return nil
}

// customConnections looks for network drives and printers that every new user
// would get.
func (m *Machine) customConnections(d *defaultProfile, user string) error {
	for _, c := range []struct{ key, what string }{{`\Network`, "the network drive "},
		{`\Printers\Connections`, "the network printer "}} {
		list, err := m.SubkeysAt(user + c.key)
		if err != nil {
			return err
		}
		for _, k := range list {
			d.add(customisation{c.what + prose.Short(k.Name()), k.Evidence})
		}
	}
	return nil
}

// customTexts are texts that Windows leaves empty in the default profile, or
// fills with one that own recognizes.
var customTexts = []struct {
	key, value, what string
	own              func(string) bool
}{
	{`\Control Panel\Desktop`, "SCRNSAVE.EXE", "the screen saver ", ownScreenSaver},
	{`\Software\Microsoft\Internet Explorer\Main`, "Start Page", "the start page ", ownStartPage},
	{`\Software` + machine.KeyWindows + `\Internet Settings`, "ProxyServer", "the proxy ", nil},
	{`\Software` + machine.KeyWindows + `\Internet Settings`, "AutoConfigURL", "the proxy script ", nil},
}

func (m *Machine) customValues(d *defaultProfile, user string) error {
	for _, c := range customTexts {
		s, err := m.TextAt(user+c.key, c.value)
		if err != nil {
			return err
		}
		if text := strings.TrimSpace(s.Value); text != "" && (c.own == nil || !c.own(text)) {
			d.add(customisation{c.what + prose.Short(text), s.Evidence})
		}
	}
	return nil
}

// ownScreenSaver recognizes that of the sign-in screen, which servers have.
func ownScreenSaver(path string) bool {
	path = strings.ToLower(path)
	return path == "(none)" || path[strings.LastIndexByte(path, '\\')+1:] == "logon.scr"
}

// ownStartPage recognizes the pages of Windows itself: blank ones, those of its
// enhanced security configuration, and Microsoft's own.
func ownStartPage(page string) bool {
	u, err := url.Parse(page)
	if err != nil {
		return false
	}
	switch host := strings.ToLower(u.Hostname()); strings.ToLower(u.Scheme) {
	case "about", "res":
		return true
	case "http", "https":
		return host == "go.microsoft.com" || host == "msn.com" || strings.HasSuffix(host, ".msn.com")
	}
	return false
}

// ownVariables are those that Windows gives every user.
var ownVariables = []string{"TEMP", "TMP"}

// customEnvironment looks for variables that every new user would get, a logon
// script among them.
func (m *Machine) customEnvironment(d *defaultProfile, user string) error {
	k, err := m.Key(user + `\Environment`)
	if err != nil || !k.Exists() {
		return err
	}
	values, err := k.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	for _, v := range values {
		name := v.Name()
		s, err := m.Text(k, name)
		if err != nil {
			return err
		}
		switch {
		case !s.Present, fold.Contains(ownVariables, name):
		case strings.EqualFold(name, "Path") && ownUserPath(s.Value):
		case strings.EqualFold(name, "UserInitMprLogonScript"):
			d.add(customisation{"the logon script " + prose.Short(s.Value), s.Evidence})
		default:
			d.add(customisation{"the environment variable " + prose.Short(name), s.Evidence})
		}
	}
	return nil
}

// ownUserPath recognizes the Path that Windows gives every user.
func ownUserPath(path string) bool {
	for entry := range strings.SplitSeq(path, ";") {
		if entry = strings.TrimSpace(entry); entry != "" &&
			!strings.EqualFold(machine.Normal(entry), `%USERPROFILE%\AppData\Local\Microsoft\WindowsApps`) {
			return false
		}
	}
	return true
}

// maxPolicyKeys bounds the keys of policies in the default profile. A user with
// every policy that Windows has has fewer.
const maxPolicyKeys = 4096

// customPolicies looks for policies that every new user would get.
func (m *Machine) customPolicies(d *defaultProfile, user string) error {
	keys := 0
	var look func(k machine.Key) error
	look = func(k machine.Key) error {
		if keys++; keys > maxPolicyKeys {
			return fmt.Errorf("%w: %s: more than %d keys of policies", registry.ErrUnsupported, k.Evidence.Path,
				maxPolicyKeys)
		}
		values, err := k.Values()
		if err != nil {
			return fmt.Errorf("%s: %w", k.Evidence.Path, err)
		}
		for _, v := range values {
			if strings.EqualFold(v.Name(), "NoDriveTypeAutoRun") || v.Name() == "" {
				continue // Windows up to 7 writes it
			}
			s, err := m.Binary(k, v.Name())
			if err != nil {
				return err
			}
			d.add(customisation{"the policy " + prose.Short(v.Name()), s.Evidence})
		}
		below, err := m.Subkeys(k)
		if err != nil {
			return err
		}
		for _, sub := range below {
			if sub.Exists() {
				if err := look(sub); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, name := range []string{user + `\Software\Policies`,
		user + `\Software` + machine.KeyWindows + `\Policies`} {
		k, err := m.Key(name)
		if err != nil {
			return err
		}
		if k.Exists() {
			if err := look(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// copiedProfile looks for an answer file that makes Sysprep copy the Administrator's profile to the default one.
func (m *Machine) copiedProfile(d *defaultProfile, s machine.System) error {
	env, err := m.Environment()
	if err != nil {
		return err
	}
	places := agentPlaces(env, s)
	for _, agent := range agentOrder(s) {
		for _, path := range places[agent].answers {
			answer := m.readAnswer(path)
			if answer.Err != nil {
				return answer.Err
			}
			if answer.Content.CopyProfile {
				d.add(customisation{"CopyProfile in the answer file of " + agent, answer.File.Evidence})
			}
		}
	}
	return nil
}

// judgeDefaultProfile decides win.bp.default-profile.
func judgeDefaultProfile(d defaultProfile) requirement.Outcome {
	switch {
	case !d.Folder.Exists || !d.Folder.Dir:
		o := requirement.Warn("The default profile "+d.Path+" is missing",
			d.Folder.Evidence).About(subjectOf(d.Folder.Evidence, requirement.ReasonMissing))
		o.Remediation = "Copy " + d.Path + " from a new WorkSpace with the same Windows version. Without it no new user " +
			"can sign in."
		return o
	case len(d.Signs) > 0:
		var names []string
		var evidence []requirement.Evidence
		for _, s := range d.Signs {
			names, evidence = append(names, s.What), append(evidence, s.Evidence)
		}
		o := requirement.Warn("The default profile is customized: "+prose.Some(names),
			evidence...).About(subjectsOf(evidence, requirement.ReasonPresent)...)
		o.Details = struct {
			Signs []customisation `json:"signs"`
			More  int             `json:"more_files,omitempty"`
		}{d.Signs, d.More}
		return o
	case !d.Hive.Exists:
		o := requirement.Warn(d.Path+`\NTUSER.DAT is missing`,
			d.Hive.Evidence).About(subjectOf(d.Hive.Evidence, requirement.ReasonMissing))
		o.Remediation = "Copy " + d.Path + `\NTUSER.DAT from a new WorkSpace with the same Windows version.`
		return o
	case d.Unread != nil:
		return requirement.Unreadable(d.Unread, d.Folder.Evidence)
	}
	return requirement.Pass(d.Path+" contains only what Windows puts there", d.Folder.Evidence, d.Hive.Evidence)
}
