package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// profileFolder is what is at the path of the wanted profile.
type profileFolder struct {
	Folder  machine.File
	Hive    machine.File // NTUSER.DAT
	HiveErr error        // why the hive cannot be read; nil if it can, or if it is not there
}

func (m *Machine) readProfileFolder(p machine.Profile) (profileFolder, error) {
	var f profileFolder
	var err error
	if f.Folder, err = m.File(p.Path); err != nil || !f.Folder.Exists {
		return f, err
	}
	if f.Hive, err = m.File(p.Path + `\NTUSER.DAT`); err != nil || !f.Hive.Exists {
		return f, err
	}
	_, f.HiveErr = m.Key(`HKU\` + p.SID)
	return f, nil
}

var profileExists = entry{
	Requirement: required("win.profile.exists", "UserProfileMissing",
		`The user's profile must exist at D:\Users\username.`, sectionTips+": A user profile must exist",
		explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion\ProfileList; SECURITY: Policy, for the SIDs of ` +
				`computer and domain; the profile's folder and its NTUSER.DAT on the user volume.`,
			Live: "Get-CimInstance Win32_UserProfile | Where-Object { !$_.Special } | Select-Object SID, LocalPath, " +
				"Loaded",
			Fix: "Sign in to the WorkSpace once as its user, so that Windows creates the profile.",
		}),
	Judge: (*Machine).decideProfileExists,
}

func (m *Machine) decideProfileExists() requirement.Outcome {
	profiles, err := m.Profiles()
	if err != nil {
		return requirement.Unreadable(err)
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeProfileExists(profiles, w, m.readProfileFolder)
}

// judgeProfileExists decides win.profile.exists. folder is called only for a
// profile that is where it should be.
func judgeProfileExists(ps machine.Profiles, w machine.Wanted,
	folder func(machine.Profile) (profileFolder, error)) requirement.Outcome {
	listed := ps.Evidence
	listed.Note = "all subkeys were read"
	if w.Profile == nil {
		return judgeNoProfile(ps, w, listed)
	}
	p := *w.Profile
	drive, rest, _ := strings.Cut(p.Path, ":")
	users, below := strings.CutPrefix(strings.ToUpper(rest), `\USERS\`)
	fail := func(reason requirement.Reason, message string, evidence ...requirement.Evidence) requirement.Outcome {
		o := requirement.Fail(message, evidence...).About(p.Subject(reason))
		o.Remediation = "Rebuild the WorkSpace, or contact AWS Support."
		return o
	}
	switch {
	case p.Path == "":
		return fail(requirement.ReasonDamaged, "The profile of "+p.SID+" has no path.", p.Evidence)
	case p.Backup:
		return fail(requirement.ReasonDamaged,
			"The profile "+p.Path+" failed to load: ProfileList has it as "+p.SID+".bak.", p.Evidence)
	case p.Temporary():
		return fail(requirement.ReasonTemporary, "The profile "+p.Path+" is temporary.", p.Evidence)
	case !strings.EqualFold(drive, "D") || !below || strings.Contains(users, `\`):
		return fail(requirement.ReasonValue, fmt.Sprintf("The profile is at %s, not at D:\\Users\\%s.", p.Path,
			p.Folder()), p.Evidence)
	}
	f, err := folder(p)
	switch {
	case err != nil:
		return requirement.Unreadable(err, p.Evidence)
	case !f.Folder.Exists || !f.Folder.Dir:
		o := fail(requirement.ReasonMissing, "The profile's folder "+p.Path+" does not exist.", p.Evidence,
			f.Folder.Evidence)
		o.Remediation = "Sign in to the WorkSpace as its user, so that Windows creates the profile again. If the " +
			"folder is still missing, rebuild the WorkSpace or contact AWS Support."
		return o
	case f.Folder.Evidence.Source != machine.RoleUser:
		return fail(requirement.ReasonValue, fmt.Sprintf(
			"The profile %s is not on the user volume: a link in its path leads to %s on the %s volume.",
			p.Path, f.Folder.Evidence.Path, f.Folder.Evidence.Source), p.Evidence, f.Folder.Evidence)
	case !f.Hive.Exists:
		return fail(requirement.ReasonDamaged, "The profile's folder "+p.Path+" has no NTUSER.DAT.", p.Evidence,
			f.Hive.Evidence)
	case f.HiveErr != nil:
		return requirement.Unreadable(fmt.Errorf("the profile's hive cannot be read: %w", f.HiveErr), p.Evidence,
			f.Hive.Evidence)
	case w.Stated != nil:
		o := requirement.Warn(
			fmt.Sprintf("%s has no profile. %s names that user for this computer, but the only profile is %s.",
				w.Stated.Data, w.Stated.Source, p.Path),
			*w.Stated, p.Evidence, f.Hive.Evidence)
		o.Remediation = "Make sure that the images are of this WorkSpace. If they are, sign in to it once as " +
			w.Stated.Data + "."
		return o
	}
	o := requirement.Pass(p.Path+" exists and contains NTUSER.DAT.", p.Evidence, f.Folder.Evidence, f.Hive.Evidence)
	o.Basis = w.Basis
	if w.Basis == requirement.Inferred {
		o = o.Also(w.Assumed())
	}
	return o
}

func judgeNoProfile(ps machine.Profiles, w machine.Wanted, listed requirement.Evidence) requirement.Outcome {
	switch {
	case w.User != "":
		o := requirement.Fail("ProfileList has no profile of "+w.User+".", listed)
		o.Remediation = "Sign in to the WorkSpace once as " + w.User + ", so that Windows creates the profile."
		return o
	case len(w.Candidates) > 0 && ps.SIDErr != nil:
		return requirement.Unreadable(fmt.Errorf("cannot tell domain users from local users: %w", ps.SIDErr),
			listed).Also("Name the user with --user-name.")
	case len(w.Candidates) > 1:
		return requirement.Unknown(severalProfiles(w.Candidates), listed).
			Also("Name the user with --user-name, or add the output of aws workspaces describe-workspaces with --with.")
	case w.Stated != nil:
		return requirement.Fail(
			fmt.Sprintf("ProfileList has no profile of a user. %s names %s for this computer.", w.Stated.Source,
				w.Stated.Data), listed, *w.Stated)
	}
	return requirement.Fail("ProfileList has no profile of a domain user.", listed)
}

// severalProfiles is a sentence on profiles of which any may be the user's.
func severalProfiles(candidates []machine.Profile) string {
	return prose.Count(len(candidates), "profile", "profiles") + " may be the user's: " + someProfiles(candidates) + "."
}

func someProfiles(ps []machine.Profile) string {
	var list []string
	for _, p := range ps {
		list = append(list, p.Title())
	}
	return prose.Some(list)
}

// orphans are profile folders that the ProfileList does not know.
type orphans struct {
	Folders []machine.File
	Made    []machine.File // created by Windows and not used to sign in
	Err     error          // why one of the places could not be looked at
}

// defaultMigrated is what an upgrade keeps of the Default profile.
const defaultMigrated = "Default.migrated"

// expectedFolders are in the folder of profiles and are no profiles, or are those of the
// Default and Public profiles, which the ProfileList has in values.
var expectedFolders = []string{"Default", "Default User", "Public", "All Users"}

func (m *Machine) readOrphans(ps machine.Profiles) orphans {
	var o orphans
	known := map[string]bool{}
	for _, p := range ps.List {
		known[m.real(p.Path)] = true
	}
	seen := map[string]bool{}
	for _, users := range []string{`C:\Users`, `D:\Users`, ps.Directory} {
		real := m.real(users)
		if real == "" || seen[real] {
			continue
		}
		seen[real] = true
		entries, _, err := m.List(users)
		if err != nil {
			o.Err = fact.Join(o.Err, err)
			continue
		}
		for _, e := range entries {
			path := users + `\` + e.Name()
			if !e.IsDir() || fold.Contains(expectedFolders, e.Name()) || known[m.real(path)] {
				continue
			}
			f, err := m.File(path)
			if err != nil {
				o.Err = fact.Join(o.Err, err)
				continue
			}
			f.Evidence.Note = "not in ProfileList"
			if strings.EqualFold(e.Name(), defaultMigrated) {
				o.Made = append(o.Made, f)
				continue
			}
			o.Folders = append(o.Folders, f)
		}
	}
	return o
}

// real is the place that a path leads to, in upper case, so that two ways to
// one folder are known for one; the path itself where that is not known.
func (m *Machine) real(path string) string {
	if path == "" {
		return ""
	}
	drive, name, err := m.Follow(path)
	if err != nil {
		return strings.ToUpper(machine.Normal(path))
	}
	return strings.ToUpper(drive + `:\` + strings.ReplaceAll(name, "/", `\`))
}

var profileSingle = entry{
	Requirement: required("win.profile.single", "MultipleUserProfiles",
		"There must be no profiles except the user's, Default and Administrator.",
		sectionTips+": Only one user profile can exist on the WorkSpace", explanation{
			Reads: `SOFTWARE: ProfileList; folders in C:\Users, D:\Users and ProfilesDirectory that ProfileList does ` +
				`not name.`,
			Live: "Get-CimInstance Win32_UserProfile | Where-Object { !$_.Special } | Select-Object SID, LocalPath, " +
				"Loaded",
			Fix: "Open sysdm.cpl, select Advanced, User Profiles, Settings, and delete every profile except the user's, " +
				"Default and Administrator. Then restart.",
		}),
	Judge: (*Machine).decideProfileSingle,
}

func (m *Machine) decideProfileSingle() requirement.Outcome {
	profiles, err := m.Profiles()
	if err != nil {
		return requirement.Unreadable(err)
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeProfileSingle(profiles, w, m.readOrphans(profiles))
}

// judgeProfileSingle decides win.profile.single.
func judgeProfileSingle(ps machine.Profiles, w machine.Wanted, left orphans) requirement.Outcome {
	var extra, services []machine.Profile
	var reasons []string
	var about []requirement.Subject
	administrators := 0
	people := 0
	for _, p := range ps.List {
		switch {
		case p.Kind == machine.ProfileSystem:
			continue
		case p.Kind == machine.ProfileService:
			services = append(services, p)
			continue
		case p.Backup && ps.Twin(p):
			p.Evidence = noted(p.Evidence, "part of a damaged pair")
			extra, about = append(extra, p), append(about, p.Subject(requirement.ReasonDamaged))
			reasons = append(reasons, p.Title()+" (damaged: both "+p.SID+" and "+p.SID+".bak exist)")
			continue
		case p.Temporary():
			p.Evidence = noted(p.Evidence, "temporary profile")
			extra, about = append(extra, p), append(about, p.Subject(requirement.ReasonTemporary))
			reasons = append(reasons, p.Path+" (temporary)")
			continue
		case p.Kind == machine.ProfileAdministrator && (w.Profile == nil || p.SID != w.Profile.SID):
			administrators++
			continue
		case w.Profile != nil && p.SID == w.Profile.SID:
			continue
		}
		if p.Gone {
			p.Evidence = noted(p.Evidence, "its folder is missing")
			extra, about = append(extra, p), append(about, p.Subject(p.Extra(requirement.ReasonMissing)))
			reasons = append(reasons, p.Title()+" (its folder is missing)")
			continue
		}
		people++
		// Without a name any one of the profiles may be the user's.
		if w.Profile == nil && w.User == "" && people == 1 && p.Kind != machine.ProfileLocal {
			continue
		}
		extra, about = append(extra, p), append(about, p.Subject(p.Extra(requirement.ReasonExtra)))
		reasons = append(reasons, p.Title())
	}
	evidence := evidenceOf(extra)
	listed := ps.Evidence
	listed.Note = "all subkeys were read"
	switch {
	case len(extra) > 0:
		o := requirement.Fail(prose.Count(len(extra), "extra profile", "extra profiles")+": "+prose.Some(reasons)+".",
			evidence...)
		o.Remediation = "Open sysdm.cpl, select Advanced, User Profiles, Settings, and delete " + someProfiles(extra) +
			". Then restart."
		if w.Profile == nil && w.User == "" && len(w.Candidates) > 1 {
			o.Message, o.Remediation = severalProfiles(w.Candidates), ""
			about = ambiguous(w.Candidates, about)
		}
		return o.About(about...)
	case len(left.Folders) > 0:
		var names []string
		var ev []requirement.Evidence
		for _, f := range left.Folders {
			names = append(names, machine.WindowsPath(f.Evidence))
			ev = append(ev, f.Evidence)
			about = append(about, subjectOf(f.Evidence, requirement.ReasonExtra))
		}
		o := requirement.Warn(prose.Count(len(names), "user folder is", "user folders are")+" not in ProfileList: "+
			prose.Some(names)+".", ev...).About(about...)
		o.Remediation = "Save what is needed from " + prose.Some(names) + ", and delete " +
			form(len(names), "the folder.", "the folders.")
		return o
	case left.Err != nil:
		return requirement.Unreadable(left.Err, listed)
	case ps.SIDErr != nil && (w.Profile == nil && people > 0 || administrators > 0):
		return requirement.Unreadable(fmt.Errorf("cannot tell domain users from local users: %w", ps.SIDErr), listed)
	}
	o := requirement.Pass("There are no extra profiles.", listed)
	if w.Basis == requirement.Inferred && w.Profile != nil {
		o.Basis = requirement.Inferred
		o = o.Also(w.Assumed())
	}
	if len(services) > 0 {
		o = o.Also("Windows created these for services: " + someProfiles(services) + ".").With(evidenceOf(services)...)
	}
	for _, f := range left.Made {
		o = o.Also(machine.WindowsPath(f.Evidence) + " is a copy of the Default profile from an upgrade.").With(f.Evidence)
	}
	return o
}

// ambiguous are the subjects of a finding if the user's profile is not certain:
// the candidates, and the problems of other profiles.
func ambiguous(candidates []machine.Profile, others []requirement.Subject) []requirement.Subject {
	var about []requirement.Subject
	for _, p := range candidates {
		about = append(about, p.Subject(requirement.ReasonAmbiguous))
	}
	for _, s := range others {
		if !slices.ContainsFunc(candidates, func(p machine.Profile) bool { return p.SID == s.ID }) {
			about = append(about, s)
		}
	}
	return about
}

// noted is evidence with one more note.
func noted(ev requirement.Evidence, note string) requirement.Evidence {
	ev.Note = strings.TrimPrefix(ev.Note+"; "+note, "; ")
	return ev
}

func evidenceOf(ps []machine.Profile) []requirement.Evidence {
	var ev []requirement.Evidence
	for _, p := range ps {
		ev = append(ev, p.Evidence)
	}
	return ev
}

var profileSize = entry{
	Requirement: required("win.profile.size", "", "The user's profile must be smaller than 10 GiB.",
		sectionTips+": The user profile size must be less than 10 GB", explanation{
			Reads: "The sizes in $MFT of all files below the profile's folder: logical size of the unnamed data, " +
				"hard links once, reparse points not followed. A file kept in the cloud counts with the space that it " +
				"occupies on the disk.",
			Live: `(Get-ChildItem D:\Users\username -Recurse -Force -File | Measure-Object Length -Sum).Sum`,
			Doubts: "Later versions of the service's guide require this for Windows 7 only, because on later versions " +
				"the image does not contain the profile. The limit is checked on every version.",
			Fix: "Delete files from the profile, or move them out of it, until it is smaller than 10 GiB.",
		}),
	Judge: (*Machine).decideProfileSize,
	Terms: []string{"required_on_windows_11"},
}

// errNoPath makes requirements on the profile's folder undecided.
var errNoPath = errors.New("the user's profile has no path: see win.profile.exists")

// profileLimit is the size that the profile must stay below, in bytes.
const profileLimit = 10 << 30

// judgeProfileSize decides win.profile.size from the totals of the profile's
// folder, reparse points not followed and hard links counted once.
func judgeProfileSize(p machine.Profile, folder requirement.Evidence, t volume.Tree,
	basis requirement.Basis) requirement.Outcome {
	folder = machine.TreeEvidence(folder, fmt.Sprintf("%d bytes in %d files, %d allocated, %d more in named streams",
		t.Size, t.Files, t.Allocated, t.StreamSize))
	folder.Note = "reparse points not followed, hard links counted once"
	size := p.Path + " has " + prose.GiB(t.Size-t.Away)
	if t.Away > 0 {
		folder.Note += fmt.Sprintf("; %d more bytes of %s are in the cloud", t.Away,
			prose.Count(int(t.Cloud), "file", "files"))
		size += ", not counting " + prose.GiB(t.Away) + " in the cloud"
	}
	o := judgeTotals(size, folder, t, basis)
	o.Details = map[string]int64{"bytes": t.Size - t.Away, "in_the_cloud": t.Away, "allocated": t.Allocated,
		"files": t.Files, "limit": profileLimit}
	return o
}

func judgeTotals(size string, folder requirement.Evidence, t volume.Tree,
	basis requirement.Basis) requirement.Outcome {
	switch {
	case t.Size-t.Away >= profileLimit:
		return requirement.Fail(size+"; less than 10 GiB is allowed.", folder).
			About(subjectOf(folder, requirement.ReasonValue))
	case t.Damaged > 0:
		return requirement.Unknown(fmt.Sprintf("%s, but %s in it could not be read.", size,
			prose.Count(int(t.Damaged), "entry", "entries")), folder)
	case t.DoubtfulSize >= profileLimit-(t.Size-t.Away):
		return requirement.Unknown(fmt.Sprintf("%s. It is in doubt whether %s with another %s %s.", size,
			prose.Count(int(t.Doubtful), "file or folder", "files and folders"), prose.Size(t.DoubtfulSize),
			form(int(t.Doubtful), "exists", "exist")), folder)
	}
	o := requirement.Pass(size+"; less than 10 GiB is allowed.", folder)
	o.Basis = basis
	return o
}

func (m *Machine) decideProfileSize() requirement.Outcome {
	p, o := m.profileFolder()
	if o != nil {
		return *o
	}
	v, name := p.Drive, p.Name
	totals, err := v.FS.Tree(name)
	if err == nil && totals.Size >= profileLimit { // a name that the folder's index does not have would be no file
		totals, err = v.FS.CheckedTree(name)
	}
	if err != nil {
		return requirement.Unreadable(v.Problem(name, err), p.Folder.Evidence)
	}
	size := judgeProfileSize(*p.Profile, p.Folder.Evidence, totals, p.Basis)
	if m.Terms.Is("required_on_windows_11") {
		return size
	}
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeLeftOut(size, s)
}

// judgeLeftOut is the outcome on the size of a profile where an image of Windows
// 11 leaves it out.
func judgeLeftOut(size requirement.Outcome, s machine.System) requirement.Outcome {
	if !s.Client || s.Build < machine.Build11 {
		return size
	}
	return size.OnlyRecommended().Also("An image of " + s.Name() + " does not contain the profile.")
}
