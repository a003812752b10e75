package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// profileFolder is what lies at the path of the wanted profile.
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
		`the user profile exists and lies at D:\Users\username`, sectionTips+": A user profile must exist",
		explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion\ProfileList; SECURITY: Policy, for the SIDs of ` +
				`machine and domain; the profile's folder and its NTUSER.DAT on the user volume.`,
			Live: "Get-CimInstance Win32_UserProfile | Where-Object { !$_.Special } | Select-Object SID, LocalPath, " +
				"Loaded",
			Fix: "Log in to the WorkSpace once as its user, so that the profile is made; if it lies elsewhere or is " +
				"damaged, rebuild the WorkSpace or contact AWS Support.",
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
// profile that lies where it should.
func judgeProfileExists(ps machine.Profiles, w machine.Wanted,
	folder func(machine.Profile) (profileFolder, error)) requirement.Outcome {
	listed := ps.Evidence
	listed.Note = "every subkey was read"
	if w.Profile == nil {
		return judgeNoProfile(ps, w, listed)
	}
	p := *w.Profile
	drive, rest, _ := strings.Cut(p.Path, ":")
	users, below := strings.CutPrefix(strings.ToUpper(rest), `\USERS\`)
	fail := func(reason requirement.Reason, message string, evidence ...requirement.Evidence) requirement.Outcome {
		return requirement.Fail(message, evidence...).About(p.Subject(reason))
	}
	switch {
	case p.Path == "":
		return fail(requirement.ReasonDamaged, "the profile of "+p.SID+" has no path", p.Evidence)
	case p.Backup:
		return fail(requirement.ReasonDamaged,
			"the profile "+p.Path+" failed to load: the ProfileList keeps it as "+p.SID+".bak", p.Evidence)
	case p.Temporary():
		return fail(requirement.ReasonTemporary, "the profile "+p.Path+" is a temporary one", p.Evidence)
	case !strings.EqualFold(drive, "D") || !below || strings.Contains(users, `\`):
		return fail(requirement.ReasonValue, fmt.Sprintf("the profile lies at %s, not at D:\\Users\\%s", p.Path,
			p.Folder()), p.Evidence)
	}
	f, err := folder(p)
	switch {
	case err != nil:
		return requirement.Unreadable(err, p.Evidence)
	case !f.Folder.Exists || !f.Folder.Dir:
		return fail(requirement.ReasonMissing, "the ProfileList has "+p.Path+", and there is no such folder",
			p.Evidence, f.Folder.Evidence)
	case f.Folder.Evidence.Source != machine.RoleUser:
		return fail(requirement.ReasonValue, fmt.Sprintf(
			"the profile %s is not on the user volume: a link on its way leads to %s on the %s volume",
			p.Path, f.Folder.Evidence.Path, f.Folder.Evidence.Source), p.Evidence, f.Folder.Evidence)
	case !f.Hive.Exists:
		return fail(requirement.ReasonDamaged, "the profile folder "+p.Path+" holds no NTUSER.DAT", p.Evidence,
			f.Hive.Evidence)
	case f.HiveErr != nil:
		return requirement.Unreadable(fmt.Errorf("the profile's hive cannot be read: %w", f.HiveErr), p.Evidence,
			f.Hive.Evidence)
	case w.Stated != nil:
		return requirement.Warn(
			fmt.Sprintf("%s, the user of this computer as %s says, has no profile; the only profile of a user is %s",
				w.Stated.Data, w.Stated.Source, p.Path),
			*w.Stated, p.Evidence, f.Hive.Evidence)
	}
	o := requirement.Pass(p.Path+" exists, with its NTUSER.DAT", p.Evidence, f.Folder.Evidence, f.Hive.Evidence)
	o.Basis = w.Basis
	if w.Basis == requirement.Inferred {
		o.Message += "; it is taken for the user's because it is " + w.Only()
	}
	return o
}

func judgeNoProfile(ps machine.Profiles, w machine.Wanted, listed requirement.Evidence) requirement.Outcome {
	switch {
	case w.User != "":
		return requirement.Fail("the ProfileList has no profile of "+w.User, listed)
	case len(w.Candidates) > 0 && ps.SIDErr != nil:
		return requirement.Unreadable(
			fmt.Errorf("domain and local users cannot be told apart, name the user with --user-name: %w", ps.SIDErr),
			listed)
	case len(w.Candidates) > 1:
		return requirement.Unknown("several profiles may be the user's: "+someProfiles(w.Candidates)+
			" (name the user with --user-name, or pass --with the output of aws workspaces "+
			"describe-workspaces)", listed)
	case w.Stated != nil:
		return requirement.Fail(
			fmt.Sprintf("the ProfileList has no profile of %s, the user of this computer as %s says, nor of any "+
				"other user", w.Stated.Data, w.Stated.Source), listed, *w.Stated)
	}
	return requirement.Fail("the ProfileList has no profile of a domain user", listed)
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
	Made    []machine.File // that Windows made and nobody signs in with
	Err     error          // why one of the places could not be looked at
}

// defaultMigrated is what an upgrade keeps of the Default profile.
const defaultMigrated = "Default.migrated"

// expectedFolders lie beside the profiles and are none, or are those of the
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
			o.Err = errors.Join(o.Err, err)
			continue
		}
		for _, e := range entries {
			path := users + `\` + e.Name()
			if !e.IsDir() || fold.Contains(expectedFolders, e.Name()) || known[m.real(path)] {
				continue
			}
			f, err := m.File(path)
			if err != nil {
				o.Err = errors.Join(o.Err, err)
				continue
			}
			f.Evidence.Note = "not in the ProfileList"
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
		"no profile but the user's, Default and Administrator",
		sectionTips+": Only one user profile can exist on the WorkSpace", explanation{
			Reads: `SOFTWARE: ProfileList; the folders in C:\Users, D:\Users and its ProfilesDirectory that it does ` +
				`not know.`,
			Live: "Get-CimInstance Win32_UserProfile | Where-Object { !$_.Special } | Select-Object SID, LocalPath, " +
				"Loaded",
			Fix: "sysdm.cpl, Advanced, User Profiles, Settings: delete every profile but the user's, Default and " +
				"Administrator, then restart.",
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
			p.Evidence = noted(p.Evidence, "half of a corrupt pair")
			extra, about = append(extra, p), append(about, p.Subject(requirement.ReasonDamaged))
			reasons = append(reasons, p.Title()+" (a corrupt pair: "+p.SID+" and "+p.SID+".bak)")
			continue
		case p.Temporary():
			p.Evidence = noted(p.Evidence, "a temporary profile")
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
			p.Evidence = noted(p.Evidence, "its folder is not there")
			extra, about = append(extra, p), append(about, p.Subject(p.Extra(requirement.ReasonMissing)))
			reasons = append(reasons, p.Title()+" (an entry whose folder is gone)")
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
	listed.Note = "every subkey was read"
	switch {
	case len(extra) > 0:
		message := prose.Count(len(extra), "profile", "profiles") +
			" beside the user's and the Administrator's: " + prose.Some(reasons)
		if w.Profile == nil && w.User == "" && len(w.Candidates) > 1 {
			message = "more than one profile may be the user's: " + someProfiles(w.Candidates)
			about = ambiguous(w.Candidates, about)
		}
		return requirement.Fail(message, evidence...).About(about...)
	case len(left.Folders) > 0:
		var names []string
		var ev []requirement.Evidence
		for _, f := range left.Folders {
			names = append(names, f.Evidence.Path)
			ev = append(ev, f.Evidence)
			about = append(about, subjectOf(f.Evidence, requirement.ReasonExtra))
		}
		o := requirement.Warn("folders of users that the ProfileList does not know: "+prose.Some(names),
			ev...).About(about...)
		o.Remediation = "Delete the folders that are left over, after saving what is needed from them."
		return o
	case left.Err != nil:
		return requirement.Unreadable(fmt.Errorf("whether folders of other users are left over: %w", left.Err),
			listed)
	case ps.SIDErr != nil && (w.Profile == nil && people > 0 || administrators > 0):
		return requirement.Unreadable(fmt.Errorf("whose accounts the profiles are of: %w", ps.SIDErr), listed)
	}
	o := requirement.Pass("no profile but the user's, Default and Administrator", listed)
	if w.Basis == requirement.Inferred && w.Profile != nil {
		o.Basis = requirement.Inferred
		o.Message += "; " + w.Profile.Path + " is taken for the user's because it is " + w.Only()
	}
	if len(services) > 0 {
		o.Message += "; profiles of accounts that Windows makes again, and nobody signs in with: " +
			someProfiles(services)
		o = o.With(evidenceOf(services)...)
	}
	for _, f := range left.Made {
		o.Message += "; " + f.Evidence.Path + " is what an upgrade kept of the Default profile"
		o = o.With(f.Evidence)
	}
	return o
}

// ambiguous are the subjects of a finding that cannot tell which of several
// profiles is the user's: those, and what is wrong with others.
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
	Requirement: required("win.profile.size", "", "the user profile is smaller than 10 GiB",
		sectionTips+": The user profile size must be less than 10 GB", explanation{
			Reads: "The sizes in $MFT of all files below the profile's folder: logical size of the unnamed data, " +
				"hard links once, reparse points not followed. A file that is held in the cloud counts as what it " +
				"occupies.",
			Live: `(Get-ChildItem D:\Users\username -Recurse -Force -File | Measure-Object Length -Sum).Sum`,
			Fix:  "Remove files from the profile, or move them out of it, until it is smaller than 10 GiB.",
		}),
	Judge: (*Machine).decideProfileSize,
}

// profileLimit is the size that the profile must stay below, in bytes.
const profileLimit = 10 << 30

// judgeProfileSize decides win.profile.size from the totals of the profile's
// folder, reparse points not followed and hard links counted once.
func judgeProfileSize(p machine.Profile, folder requirement.Evidence, t ntfs.Totals, basis requirement.Basis,
	modern bool) requirement.Outcome {
	folder = machine.TreeEvidence(folder, fmt.Sprintf("%d bytes in %d files, %d allocated, %d more in named streams",
		t.Size, t.Files, t.Allocated, t.StreamSize))
	folder.Note = "reparse points not followed, hard links counted once"
	size := fmt.Sprintf("%s holds %s (%d bytes; %s on the disk)", p.Path, prose.GiB(t.Size-t.Away), t.Size-t.Away,
		prose.GiB(t.Allocated))
	if t.Away > 0 {
		folder.Note += fmt.Sprintf("; %d bytes more of %s are held in the cloud", t.Away,
			prose.Count(int(t.Cloud), "file", "files"))
		size += fmt.Sprintf(", without %s that are held in the cloud", prose.GiB(t.Away))
	}
	o := judgeTotals(size, folder, t, basis, modern)
	o.Details = map[string]int64{"bytes": t.Size - t.Away, "in_the_cloud": t.Away, "allocated": t.Allocated,
		"files": t.Files, "limit": profileLimit}
	return o
}

func judgeTotals(size string, folder requirement.Evidence, t ntfs.Totals, basis requirement.Basis,
	modern bool) requirement.Outcome {
	switch {
	case t.Size-t.Away >= profileLimit:
		message := size + ", and less than 10 GiB is allowed"
		if modern {
			message += " (later guides ask this of Windows 7 alone: on this version the profile does not enter the " +
				"image)"
		}
		return requirement.Fail(message, folder).About(subjectOf(folder, requirement.ReasonValue))
	case t.Damaged > 0:
		return requirement.Unknown(fmt.Sprintf("%s, but %s in it could not be read", size,
			prose.Count(int(t.Damaged), "entry", "entries")), folder)
	case t.DoubtfulSize >= profileLimit-(t.Size-t.Away):
		return requirement.Unknown(fmt.Sprintf("%s, and %d bytes more in %s in doubt", size, t.DoubtfulSize,
			prose.Count(int(t.Doubtful), "file or folder that is", "files and folders that are")), folder)
	}
	o := requirement.Pass(size+", less than 10 GiB", folder)
	o.Basis = basis
	return o
}

func (m *Machine) decideProfileSize() requirement.Outcome {
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unknown("there is no profile of the user to measure: see win.profile.exists")
	}
	system, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	f, err := m.File(w.Profile.Path)
	if err != nil {
		return requirement.Unreadable(err, w.Profile.Evidence)
	}
	if !f.Exists || !f.Dir {
		return requirement.Unknown("there is no folder "+w.Profile.Path+": see win.profile.exists",
			w.Profile.Evidence, f.Evidence)
	}
	v, name, err := m.Locate(w.Profile.Path)
	if err != nil {
		return requirement.Unreadable(err)
	}
	totals, err := v.FS.Tree(name)
	if err == nil && totals.Size >= profileLimit { // a name that the folder's index does not have would be no file
		totals, err = v.FS.CheckedTree(name)
	}
	if err != nil {
		return requirement.Unreadable(v.Problem(name, err), f.Evidence)
	}
	return judgeProfileSize(*w.Profile, f.Evidence, totals, w.Basis, system.Modern())
}
