package windows

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var bpCache = entry{
	Requirement: recommended("win.bp.cache", "", "Browser history, caches and cookies should be deleted.",
		sectionPractices, explanation{
			Reads: "Data of Chrome, Edge, Firefox and Internet Explorer in the profiles on drive C, including the " +
				"default profile (on Windows 7 also the user's profile), and the Recycle Bin of drive C. The details " +
				"list folders for temporary files, which change no status because Windows itself fills them.",
			Live: `Get-ChildItem C:\Users\*\AppData\Local\*\*\'User Data' -Force`,
			Fix: "Sign in with the profile, delete the browsing data in the browser's settings, and empty the " +
				"Recycle Bin. Or delete the browser's folder in the profile.",
		}),
	Judge: (*Machine).decideCache,
}

var bpMail = entry{
	Requirement: recommended("win.bp.mail", "", "Mail profiles should be deleted.", sectionPractices, explanation{
		Reads: `The profiles on drive C (on Windows 7 also the user's profile): Outlook's mail profiles in ` +
			`NTUSER.DAT (Office\*\Outlook\Profiles, Windows Messaging Subsystem\Profiles) and its files (*.ost, ` +
			`*.pst).`,
		Live: `Get-ChildItem HKCU:\Software\Microsoft\Office\*\Outlook\Profiles; Get-ChildItem C:\Users -Recurse ` +
			`-Force -Include *.ost, *.pst`,
		Fix: "Sign in with the profile, open Control Panel, Mail, Show Profiles, and remove each mail profile. Save " +
			"what you need from the *.ost and *.pst files, then delete them.",
	}),
	Judge: (*Machine).decideMail,
}

// browserData are the folders of a profile in which browsers keep history,
// cache and cookies.
var browserData = []struct{ name, path string }{
	{"Chrome", `AppData\Local\Google\Chrome\User Data`},
	{"Edge", `AppData\Local\Microsoft\Edge\User Data`},
	{"Edge", `AppData\Local\Packages\Microsoft.MicrosoftEdge_8wekyb3d8bbwe\AC`},
	{"Firefox", `AppData\Local\Mozilla\Firefox\Profiles`},
	{"Firefox", `AppData\Roaming\Mozilla\Firefox\Profiles`},
	{"Internet Explorer", `AppData\Local\Microsoft\Windows\INetCache`},
	{"Internet Explorer", `AppData\Local\Microsoft\Windows\INetCookies`},
	{"Internet Explorer", `AppData\Local\Microsoft\Windows\Temporary Internet Files`},
	{"Internet Explorer", `AppData\Local\Microsoft\Windows\History`},
	{"Internet Explorer", `AppData\Roaming\Microsoft\Windows\Cookies`},
}

// emptyNames are files that Windows makes in such folders by itself.
var emptyNames = []string{"desktop.ini", "container.dat", "index.dat"}

// A cachedData is a folder that holds cached data.
type cachedData struct {
	Name     string               `json:"name"`
	Path     string               `json:"path"`
	Files    int64                `json:"files"`
	Bytes    int64                `json:"bytes"`
	Counts   bool                 `json:"counts"` // false: named, and changes no status
	Evidence requirement.Evidence `json:"-"`
}

// A keptProfile is a profile that the image will include.
type keptProfile struct {
	machine.Profile
	Except []string // folders in it, below it, that the image leaves out
}

// keptProfiles are the profiles that an image of this system will include:
// those on drive C, and on Windows 7 the user's on D, but for the document's
// list.
func (m *Machine) keptProfiles() ([]keptProfile, error) {
	s, err := m.System()
	if err != nil {
		return nil, err
	}
	profiles, err := m.Profiles()
	if err != nil {
		return nil, err
	}
	w, err := m.Wanted()
	if err != nil {
		return nil, err
	}
	var kept []keptProfile
	for _, p := range profiles.List {
		if p.Kind == machine.ProfileSystem || p.Path == "" {
			continue
		}
		user := w.Profile != nil && p.SID == w.Profile.SID && p.Backup == w.Profile.Backup
		drive, _, err := m.Follow(p.Path)
		switch {
		case err != nil:
			return nil, err
		case drive == "C":
			kept = append(kept, keptProfile{Profile: p})
		case s.Seven() && user:
			kept = append(kept, keptProfile{p, excludedSeven})
		}
	}
	if s.Seven() && w.Profile == nil {
		return nil, errNoUser
	}
	return kept, nil
}

// defaultKept is the default profile, if the image includes it: what is there
// goes into every new profile as well. It is nil otherwise.
func (m *Machine) defaultKept() (*keptProfile, error) {
	profiles, err := m.Profiles()
	if err != nil {
		return nil, err
	}
	drive, _, err := m.Follow(profiles.Default)
	if err != nil || drive != "C" {
		return nil, err
	}
	return &keptProfile{Profile: machine.Profile{SID: machine.DefaultUser, Path: profiles.Default}}, nil
}

// leavesOut says whether the image leaves out a folder of the profile.
func (p keptProfile) leavesOut(folder string) bool {
	for _, e := range p.Except {
		if strings.EqualFold(folder, e) || fold.HasPrefix(folder, e+`\`) {
			return true
		}
	}
	return false
}

func (m *Machine) decideCache() requirement.Outcome {
	kept, err := m.keptProfiles()
	if err != nil {
		return requirement.Unreadable(err)
	}
	template, err := m.defaultKept()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if template != nil {
		kept = append(kept, *template)
	}
	var found []cachedData
	var unread error
	look := func(name, path string, counts bool) {
		c, err := m.cachedIn(name, path, counts)
		unread = fact.Join(unread, err)
		if c != nil {
			found = append(found, *c)
		}
	}
	for _, p := range kept {
		for _, b := range browserData {
			if !p.leavesOut(b.path) {
				look(b.name, p.Path+`\`+b.path, true)
			}
		}
		if temp := `AppData\Local\Temp`; !p.leavesOut(temp) {
			look("temporary files", p.Path+`\`+temp, false)
		}
	}
	look("the Recycle Bin", recycleBin, true)
	look("temporary files", `C:\`+m.SystemRoot+`\Temp`, false)
	return judgeCache(found, len(kept), unread, m.LinkEvidence(usersFolder))
}

// cachedIn adds up the files of a folder that Windows does not make by itself.
// It returns nil if there are none.
func (m *Machine) cachedIn(name, path string, counts bool) (*cachedData, error) {
	f, err := m.File(path)
	switch {
	case errors.Is(err, machine.ErrElsewhere):
		return nil, nil // the image does not include that volume
	case err != nil:
		return nil, err
	case !f.Exists || !f.Dir:
		return nil, nil
	}
	v, folder, err := m.Locate(path)
	if err != nil {
		return nil, err
	}
	c := cachedData{Name: name, Path: path, Counts: counts, Evidence: f.Evidence}
	doubtful := int64(0)
	damaged, err := v.FS.Walk(folder, func(path []byte, e *volume.Entry) error {
		file := string(path[bytes.LastIndexByte(path, '/')+1:])
		switch {
		case e.Dir || fold.Contains(emptyNames, file):
			return nil
		case e.Doubt != nil:
			doubtful++
			return nil
		case e.Size == 0:
			return nil
		}
		c.Files++
		c.Bytes += e.Size
		return nil
	})
	if err != nil {
		return nil, v.Problem(folder, err)
	}
	if counts {
		err = v.Unshown(folder, damaged, doubtful)
	}
	if c.Files == 0 {
		return nil, err
	}
	c.Evidence = machine.TreeEvidence(c.Evidence, fmt.Sprintf("%s, %d bytes",
		prose.Count(int(c.Files), "file", "files"), c.Bytes))
	return &c, err
}

const (
	usersFolder = `C:\Users` // of the profiles that every image includes
	recycleBin  = `C:\$Recycle.Bin`
)

// judgeCache decides win.bp.cache from the folders that hold something, in so
// many profiles. users is the evidence for where they are.
func judgeCache(found []cachedData, profiles int, unread error, users requirement.Evidence) requirement.Outcome {
	var names, browsers []string
	var evidence []requirement.Evidence
	for _, c := range found {
		if !c.Counts {
			continue
		}
		names = append(names, fmt.Sprintf("%s (%s, %s)", c.Path, prose.Count(int(c.Files), "file", "files"),
			roundedSize(c.Bytes)))
		evidence = append(evidence, c.Evidence)
		if c.Path != recycleBin {
			browsers = append(browsers, c.Path)
		}
	}
	var o requirement.Outcome
	switch {
	case len(names) > 0:
		o = requirement.Warn("The image would include cached data: "+prose.Some(names),
			evidence...).About(subjectsOf(evidence, requirement.ReasonPresent)...)
		var fixes []string
		if len(browsers) > 0 {
			fixes = append(fixes, fmt.Sprintf("Delete the browsing data in the browser's settings, or delete %s.",
				prose.Some(browsers)))
		}
		if len(browsers) < len(names) {
			fixes = append(fixes, `In an elevated command prompt, run rd /s /q `+recycleBin+` to empty the Recycle Bin.`)
		}
		o.Remediation = strings.Join(fixes, " ")
	case unread != nil:
		return requirement.Unreadable(unread)
	default:
		users.Note = "all profiles that the image includes were searched for browser data"
		o = requirement.Pass(fmt.Sprintf("The image would include no browser data (%s searched), and the Recycle Bin "+
			"of drive C is empty", prose.Count(profiles, "profile", "profiles")), users)
	}
	if len(found) > 0 {
		o.Details = found
	}
	return o
}

// A mailTrace is a mail profile, or a file of one.
type mailTrace struct {
	What     string
	Evidence requirement.Evidence
}

func (m *Machine) decideMail() requirement.Outcome {
	kept, err := m.keptProfiles()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var found []mailTrace
	var unread error
	for _, p := range kept {
		for _, look := range []func(keptProfile) ([]mailTrace, error){m.mailProfiles, m.mailFiles} {
			traces, err := look(p)
			unread = fact.Join(unread, err)
			found = append(found, traces...)
		}
	}
	return judgeMail(found, len(kept), unread, m.LinkEvidence(usersFolder))
}

// mailProfiles reads the mail profiles of a user. A folder without a hive has
// none.
func (m *Machine) mailProfiles(p keptProfile) ([]mailTrace, error) {
	hive, err := m.File(p.Path + `\NTUSER.DAT`)
	if err != nil || !hive.Exists {
		return nil, err
	}
	user := `HKU\` + p.SID + `\Software\Microsoft\`
	parents := []string{user + `Windows NT\CurrentVersion\Windows Messaging Subsystem\Profiles`}
	versions, err := m.SubkeysAt(user + "Office")
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		parents = append(parents, user+`Office\`+v.Name()+`\Outlook\Profiles`)
	}
	var found []mailTrace
	for _, name := range parents {
		profiles, err := m.SubkeysAt(name)
		if err != nil {
			return found, err
		}
		for _, k := range profiles {
			found = append(found, mailTrace{fmt.Sprintf("mail profile %s of %s", prose.Short(k.Name()), p.Path),
				k.Evidence})
		}
	}
	return found, nil
}

// mailFiles looks for Outlook's files in a profile.
func (m *Machine) mailFiles(p keptProfile) ([]mailTrace, error) {
	v, folder, err := m.Locate(p.Path)
	if err != nil {
		return nil, err
	}
	f, err := v.File(folder)
	if err != nil || !f.Exists || !f.Dir {
		return nil, err
	}
	var found []mailTrace
	doubtful := int64(0)
	damaged, err := v.FS.Walk(folder, func(path []byte, e *volume.Entry) error {
		name := strings.ReplaceAll(string(path), "/", `\`)
		lower := strings.ToLower(name)
		if e.Dir || !strings.HasSuffix(lower, ".ost") && !strings.HasSuffix(lower, ".pst") || p.leavesOut(name) {
			return nil
		}
		if e.Doubt != nil {
			doubtful++
			return nil
		}
		if len(found) < maxNamed {
			found = append(found, mailTrace{p.Path + `\` + name,
				machine.EntryEvidence(v.Role, folder+"/"+string(path), e)})
		}
		return nil
	})
	if err != nil {
		return nil, v.Problem(folder, err)
	}
	return found, v.Unshown(folder, damaged, doubtful)
}

// judgeMail decides win.bp.mail from what was found in so many profiles.
func judgeMail(found []mailTrace, profiles int, unread error, users requirement.Evidence) requirement.Outcome {
	var names []string
	var evidence []requirement.Evidence
	var profileNames, files []string
	for _, t := range found {
		names, evidence = append(names, t.What), append(evidence, t.Evidence)
		if t.Evidence.Kind == requirement.KindFile {
			files = append(files, t.What)
		} else {
			profileNames = append(profileNames, t.What)
		}
	}
	switch {
	case len(names) > 0:
		o := requirement.Warn("The image would include mail data: "+prose.Some(names),
			evidence...).About(subjectsOf(evidence, requirement.ReasonPresent)...)
		var fixes []string
		if len(profileNames) > 0 {
			fixes = append(fixes, fmt.Sprintf("Sign in with the profile, open Control Panel, Mail, Show Profiles, and "+
				"remove %s.", prose.Some(profileNames)))
		}
		if len(files) > 0 {
			fixes = append(fixes, fmt.Sprintf("Save what you need, then delete %s.", prose.Some(files)))
		}
		o.Remediation = strings.Join(fixes, " ")
		return o
	case unread != nil:
		return requirement.Unreadable(unread)
	}
	users.Note = "all profiles that the image includes were searched"
	return requirement.Pass(fmt.Sprintf("The image would include no mail profile or mail file (%s searched)",
		prose.Count(profiles, "profile", "profiles")), users)
}
