package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

const keyProfileList = keyCurrentVersion + `\ProfileList`

// A profileKind says whose profile it is.
type profileKind int

const (
	profileSystem        profileKind = iota // LocalSystem, LocalService, NetworkService
	profileService                          // a virtual account, an application pool, a virtual machine
	profileAdministrator                    // the machine's own account with the relative identifier 500; of any domain where the SIDs are not known
	profileDomain                           // a user of a domain, or of Entra ID
	profileLocal                            // another account of this machine
	profileUnknown                          // which of the two is not known
)

// Profile is an entry of the ProfileList.
type Profile struct {
	SID    string // without ".bak"
	Backup bool   // the key's name ends in ".bak": the profile failed to load
	Path   string // `D:\Users\jdoe`, variables expanded; "" if there is none
	State  uint32 // bits of the profile service
	Kind   profileKind
	// Gone: its folder is not there, although its volume was read. Windows makes
	// a new one when the user signs in, so nobody's settings are in it.
	Gone bool

	Evidence requirement.Evidence // its ProfileImagePath
}

// Folder is the last part of the profile's path: "jdoe", "jdoe.CORP".
func (p Profile) Folder() string { return p.Path[strings.LastIndexByte(p.Path, '\\')+1:] }

// subject is the profile as a finding names it to programs.
func (p Profile) subject(reason requirement.Reason) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectProfile, ID: p.SID, Name: p.Folder(), Reason: reason, Value: p.Evidence.Data}
}

// title is what a person would call the profile.
func (p Profile) title() string {
	if p.Path == "" {
		return p.SID + " (which has no path)"
	}
	return p.Path
}

// temporary says whether it is what Windows makes at logon in the place of a
// profile that does not load: C:\Users\TEMP, TEMP.CORP, TEMP.CORP.000.
func (p Profile) temporary() bool {
	name, _, _ := strings.Cut(p.Folder(), ".")
	return strings.EqualFold(name, "TEMP")
}

// Person says whether the profile may be that of the intended user.
func (p Profile) Person() bool {
	return p.Kind == profileDomain || p.Kind == profileLocal || p.Kind == profileUnknown
}

// Profiles is the ProfileList.
type Profiles struct {
	List     []Profile
	SIDErr   error // why users of a domain and of the machine cannot be told apart; nil if they can
	Evidence requirement.Evidence

	Directory string // where Windows makes profiles, "" if it is not written
	Default   string // the folder that new profiles are copied from
	Names     names  // of computer and domain
	NamesErr  error  // why not all of Names is known
}

// Profiles reads the ProfileList.
func (m *Machine) Profiles() (Profiles, error) { return m.profiles.Get(m.next().readProfiles) }

func (m *Machine) readProfiles() (Profiles, error) {
	var ps Profiles
	env, err := m.env()
	if err != nil {
		return ps, err
	}
	ps.Names, err = m.Names()
	ps.SIDErr, ps.NamesErr = ps.Names.SIDErr, errors.Join(ps.Names.SIDErr, err)
	list, err := m.key(keyProfileList)
	if err != nil {
		return ps, err
	}
	if !list.Exists() {
		return ps, fmt.Errorf("%s: key %s not found", list.Evidence.Path, list.Evidence.Key)
	}
	ps.Evidence = list.Evidence
	directory, err := m.text(list, "ProfilesDirectory")
	if err != nil {
		return ps, err
	}
	ps.Directory = env.text(directory)
	template, err := m.text(list, "Default")
	if err != nil {
		return ps, err
	}
	ps.Default = `C:\Users\Default`
	if template.Value != "" {
		ps.Default = normal(env.text(template))
	}
	keys, err := m.subkeys(list)
	if err != nil {
		return ps, err
	}
	for _, k := range keys {
		if !strings.HasPrefix(strings.ToUpper(k.Name()), "S-1-") {
			continue
		}
		image, err := m.looseText(k, "ProfileImagePath")
		if err != nil {
			return ps, err
		}
		state, err := m.dword(k, "State")
		if err != nil {
			return ps, err
		}
		p := Profile{State: state.Value, Evidence: image.Evidence}
		if image.Value != "" {
			p.Path = normal(env.text(image))
		}
		if p.State != 0 {
			p.Evidence.Note = strings.TrimPrefix(fmt.Sprintf("%s; State is 0x%X", p.Evidence.Note, p.State), "; ")
		}
		p.SID, p.Backup = strings.CutSuffix(strings.ToUpper(k.Name()), ".BAK")
		p.Kind = ps.Names.profileKind(p.SID)
		if p.Person() && p.Path != "" {
			f, err := m.file(p.Path)
			p.Gone = err == nil && !f.Exists
		}
		ps.List = append(ps.List, p)
	}
	return ps, nil
}

// Relative identifiers that every machine and domain has ([MS-DTYP] 2.4.2.4),
// and those of accounts that Windows makes for itself.
const (
	ridAdministrator  = 500
	ridGuest          = 501
	ridDefaultAccount = 503
	ridWDAGUtility    = 504
)

// sidsOfServices are what the SIDs of accounts begin with that nobody signs in
// with: services, application pools, virtual machines, the window manager,
// remote management, font drivers ([MS-DTYP] 2.4.2.4).
var sidsOfServices = []string{"S-1-5-80-", "S-1-5-82-", "S-1-5-83-", "S-1-5-90-", "S-1-5-94-", "S-1-5-96-"}

func (a accounts) profileKind(sid string) profileKind {
	if slices.ContainsFunc(sidsOfServices, func(s string) bool { return strings.HasPrefix(sid, s) }) {
		return profileService
	}
	switch sid {
	case "S-1-5-18", "S-1-5-19", "S-1-5-20":
		return profileSystem
	}
	if strings.HasPrefix(sid, "S-1-12-1-") {
		return profileDomain // Entra ID
	}
	domain, rid := splitSID(sid)
	switch {
	case rid == ridAdministrator && (domain == a.MachineSID || a.SIDErr != nil):
		return profileAdministrator
	case a.SIDErr != nil:
		return profileUnknown
	case domain == a.MachineSID:
		return profileLocal
	case strings.HasPrefix(sid, "S-1-5-21-"):
		return profileDomain
	}
	return profileUnknown
}

// Wanted is the profile of the WorkSpace's user.
type Wanted struct {
	User    string            // the name that was given or stated, "" if none was
	Profile *Profile          // nil if it is not there, or not known which it is
	Basis   requirement.Basis // how it is known

	// Local says that the machine is in no domain, so that a local profile may
	// be the user's.
	Local bool

	// Candidates are the profiles that may be meant where no name was given.
	Candidates []Profile
	// Stated is evidence of a user of this computer who has no profile on it;
	// the document that names that user is not used.
	Stated *requirement.Evidence
}

// Wanted finds whose profile is meant: the user who was named, else the one
// that a document states for this computer, else the only candidate.
func (m *Machine) Wanted() (Wanted, error) { return m.wanted.Get(m.next().readWanted) }

func (m *Machine) readWanted() (Wanted, error) {
	profiles, err := m.Profiles()
	if err != nil {
		return Wanted{}, err
	}
	if m.in.UserName != "" {
		w := Wanted{User: bareName(m.in.UserName), Basis: requirement.Observed}
		w.Profile, err = profiles.of(m.in.UserName)
		return w, err
	}
	var says *requirement.Evidence
	match, err := m.workSpace()
	if err != nil {
		return Wanted{}, err
	}
	if match.WorkSpace != nil && match.WorkSpace.UserName != "" {
		w := Wanted{User: bareName(match.WorkSpace.UserName), Basis: requirement.Stated}
		if w.Profile, err = profiles.of(match.WorkSpace.UserName); w.Profile != nil || err != nil {
			return w, err
		}
		says = new(documentEvidence(match.Document.Name, "UserName", match.WorkSpace.UserName))
	}
	w := Wanted{Basis: requirement.Inferred, Stated: says}
	w.Candidates, w.Local = profiles.candidates()
	if len(w.Candidates) == 1 && profiles.SIDErr == nil {
		w.Profile = &w.Candidates[0]
	}
	return w, nil
}

// candidates are the profiles of which one may be that of the WorkSpace's user,
// and whether they are local ones: those of the domain or, on a machine that is
// in none, of its own accounts. One without a folder counts only if all are.
func (ps Profiles) candidates() (list []Profile, local bool) {
	of := func(kinds ...profileKind) (there, gone []Profile) {
		for _, p := range ps.List {
			switch {
			case !slices.Contains(kinds, p.Kind), p.Backup && ps.twin(p), p.Kind == profileLocal && (p.madeByWindows() || p.temporary()):
			case p.Gone:
				gone = append(gone, p)
			default:
				there = append(there, p)
			}
		}
		return there, gone
	}
	there, gone := of(profileDomain, profileUnknown)
	if len(there) > 0 || len(gone) > 0 || ps.SIDErr != nil || ps.Names.DomainSID != "" {
		if len(there) > 0 {
			return there, false
		}
		return gone, false
	}
	if there, gone = of(profileLocal); len(there) > 0 {
		return there, true
	}
	return gone, true
}

// madeByWindows says whether Windows, or the import of an image, made the
// account for itself.
func (p Profile) madeByWindows() bool {
	switch _, rid := splitSID(p.SID); rid {
	case ridGuest, ridDefaultAccount, ridWDAGUtility:
		return true
	}
	return hasPrefixFold(p.Folder(), "defaultuser") || containsFold([]string{"WsiAccount", "WorkSpaces_BYOL"}, p.Folder())
}

// workSpace finds the machine in the documents, if there are any.
func (m *Machine) workSpace() (statement.Match, error) {
	if len(m.in.Documents) == 0 {
		return statement.Match{}, nil
	}
	computer, err := m.ComputerName()
	if err != nil {
		return statement.Match{}, err
	}
	match, err := statement.MatchWorkSpace(m.in.Documents, computer)
	if err != nil {
		return statement.Match{}, nil // the requirements of the service report it
	}
	return match, nil
}

// bareName takes the domain off DOMAIN\name and name@domain.
func bareName(user string) string {
	if _, name, ok := strings.Cut(user, `\`); ok {
		return name
	}
	name, _, _ := strings.Cut(user, "@")
	return name
}

// of returns the profile of a user by the name of its folder and, where the
// name is written DOMAIN\name, by whose account it is. A profile that failed to
// load (".bak"), or that is of the machine's own account, is returned only if
// there is no better one. The error says why it is not known whether a profile
// is the user's.
func (ps Profiles) of(user string) (*Profile, error) {
	domain, _, _ := strings.Cut(user, `\`)
	name := bareName(user)
	var best *Profile
	unknown := false
	for i := range ps.List {
		p := &ps.List[i]
		behind, ok := cutPrefixFold(p.Folder(), name)
		if !ok || name == "" || p.Kind == profileSystem || p.Kind == profileService {
			continue
		}
		suffix, dotted := strings.CutPrefix(behind, ".")
		switch {
		case behind != "" && !dotted:
		case dotted && !ps.ownerSuffix(suffix), domain != user && !ps.Names.owns(domain, p.SID):
			unknown = true // unless the names are known
		case best == nil || better(p, best):
			best = p
		}
	}
	if best == nil && unknown && ps.NamesErr != nil {
		return nil, fmt.Errorf("whether a profile is that of %s: %w", user, ps.NamesErr)
	}
	return best, nil
}

// owns says whether an account is of the domain, or the computer, of that
// name. Of any other domain are the accounts that are of neither.
func (n names) owns(domain, sid string) bool {
	of := func(prefix string) bool { return prefix != "" && strings.HasPrefix(sid, prefix+"-") }
	switch {
	case domain == ".", n.Computer != "" && strings.EqualFold(domain, n.Computer):
		return of(n.MachineSID)
	case n.Domain != "" && strings.EqualFold(domain, n.Domain):
		return of(n.DomainSID)
	case strings.EqualFold(domain, entraDomain):
		return of("S-1-12-1")
	}
	return n.SIDErr == nil && !of(n.MachineSID) && !of(n.DomainSID)
}

// entraDomain is what Windows calls the domain of accounts of Entra ID.
const entraDomain = "AzureAD"

// ownerSuffix says whether Windows puts such a text behind a user's name where
// the folder of that name was taken: the name of the domain or of the computer,
// then a number (jdoe.CORP, jdoe.CORP.000). Anything else may be another user's
// name, as john.doe is beside john.
func (ps Profiles) ownerSuffix(s string) bool {
	for _, owner := range []string{ps.Names.Domain, ps.Names.Computer, entraDomain} {
		if behind, ok := cutPrefixFold(s, owner); ok && owner != "" && (behind == "" || behind[0] == '.' && allDigits(behind[1:])) {
			return true
		}
	}
	return allDigits(s)
}

// userName is the name of the user to whom a profile belongs, by its folder.
func (ps Profiles) userName(p Profile) string {
	folder := p.Folder()
	for i, c := range folder {
		if c == '.' && ps.ownerSuffix(folder[i+1:]) {
			return folder[:i]
		}
	}
	return folder
}

func cutPrefixFold(s, prefix string) (behind string, found bool) {
	if !hasPrefixFold(s, prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func better(p, than *Profile) bool {
	if p.Backup != than.Backup {
		return than.Backup
	}
	if p.Gone != than.Gone {
		return than.Gone
	}
	return p.Kind == profileDomain && than.Kind != profileDomain
}

// HasUser says whether a user of that name has a profile on the disk.
func (m *Machine) HasUser(user string) (bool, error) {
	profiles, err := m.Profiles()
	if err != nil {
		return false, err
	}
	p, err := profiles.of(user)
	return p != nil, err
}

// profileFolder is what lies at the path of the wanted profile.
type profileFolder struct {
	Folder  File
	Hive    File  // NTUSER.DAT
	HiveErr error // why the hive cannot be read; nil if it can, or if it is not there
}

func (m *Machine) readProfileFolder(p Profile) (profileFolder, error) {
	var f profileFolder
	var err error
	if f.Folder, err = m.file(p.Path); err != nil || !f.Folder.Exists {
		return f, err
	}
	if f.Hive, err = m.file(p.Path + `\NTUSER.DAT`); err != nil || !f.Hive.Exists {
		return f, err
	}
	_, f.HiveErr = m.key(`HKU\` + p.SID)
	return f, nil
}

var profileExists = entry{
	Requirement: required("win.profile.exists", "UserProfileMissing", `the user profile exists and lies at D:\Users\username`, sectionTips+": A user profile must exist", explanation{
		Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion\ProfileList; SECURITY: Policy, for the SIDs of machine and domain; the profile's folder and its NTUSER.DAT on the user volume.`,
		Live:  "Get-CimInstance Win32_UserProfile | Where-Object { !$_.Special } | Select-Object SID, LocalPath, Loaded",
		Fix:   "Log in to the WorkSpace once as its user, so that the profile is made; if it lies elsewhere or is damaged, rebuild the WorkSpace or contact AWS Support.",
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
func judgeProfileExists(ps Profiles, w Wanted, folder func(Profile) (profileFolder, error)) requirement.Outcome {
	listed := ps.Evidence
	listed.Note = "every subkey was read"
	if w.Profile == nil {
		return judgeNoProfile(ps, w, listed)
	}
	p := *w.Profile
	drive, rest, _ := strings.Cut(p.Path, ":")
	users, below := strings.CutPrefix(strings.ToUpper(rest), `\USERS\`)
	fail := func(reason requirement.Reason, message string, evidence ...requirement.Evidence) requirement.Outcome {
		return requirement.Fail(message, evidence...).About(p.subject(reason))
	}
	switch {
	case p.Path == "":
		return fail(requirement.ReasonDamaged, "the profile of "+p.SID+" has no path", p.Evidence)
	case p.Backup:
		return fail(requirement.ReasonDamaged, "the profile "+p.Path+" failed to load: the ProfileList keeps it as "+p.SID+".bak", p.Evidence)
	case p.temporary():
		return fail(requirement.ReasonTemporary, "the profile "+p.Path+" is a temporary one", p.Evidence)
	case !strings.EqualFold(drive, "D") || !below || strings.Contains(users, `\`):
		return fail(requirement.ReasonValue, fmt.Sprintf("the profile lies at %s, not at D:\\Users\\%s", p.Path, p.Folder()), p.Evidence)
	}
	f, err := folder(p)
	switch {
	case err != nil:
		return requirement.Unreadable(err, p.Evidence)
	case !f.Folder.Exists || !f.Folder.Dir:
		return fail(requirement.ReasonMissing, "the ProfileList has "+p.Path+", and there is no such folder", p.Evidence, f.Folder.Evidence)
	case f.Folder.Evidence.Source != roleUser:
		return fail(requirement.ReasonValue, fmt.Sprintf("the profile %s is not on the user volume: a link on its way leads to %s on the %s volume",
			p.Path, f.Folder.Evidence.Path, f.Folder.Evidence.Source), p.Evidence, f.Folder.Evidence)
	case !f.Hive.Exists:
		return fail(requirement.ReasonDamaged, "the profile folder "+p.Path+" holds no NTUSER.DAT", p.Evidence, f.Hive.Evidence)
	case f.HiveErr != nil:
		return requirement.Unreadable(fmt.Errorf("the profile's hive cannot be read: %w", f.HiveErr), p.Evidence, f.Hive.Evidence)
	case w.Stated != nil:
		return requirement.Warn(fmt.Sprintf("%s, the user of this computer as %s says, has no profile; the only profile of a user is %s", w.Stated.Data, w.Stated.Source, p.Path),
			*w.Stated, p.Evidence, f.Hive.Evidence)
	}
	o := requirement.Pass(p.Path+" exists, with its NTUSER.DAT", p.Evidence, f.Folder.Evidence, f.Hive.Evidence)
	o.Basis = w.Basis
	if w.Basis == requirement.Inferred {
		o.Message += "; it is taken for the user's because it is " + w.only()
	}
	return o
}

// only says why the only candidate is taken for the user's profile.
func (w Wanted) only() string {
	if w.Local {
		return "the only one of a local user, and the machine is in no domain"
	}
	return "the only one of a domain user"
}

func judgeNoProfile(ps Profiles, w Wanted, listed requirement.Evidence) requirement.Outcome {
	switch {
	case w.User != "":
		return requirement.Fail("the ProfileList has no profile of "+w.User, listed)
	case len(w.Candidates) > 0 && ps.SIDErr != nil:
		return requirement.Unreadable(fmt.Errorf("domain and local users cannot be told apart, name the user with --user-name: %w", ps.SIDErr), listed)
	case len(w.Candidates) > 1:
		return requirement.Unknown("several profiles may be the user's: "+someProfiles(w.Candidates)+" (name the user with --user-name, or pass --with the output of aws workspaces describe-workspaces)", listed)
	case w.Stated != nil:
		return requirement.Fail(fmt.Sprintf("the ProfileList has no profile of %s, the user of this computer as %s says, nor of any other user", w.Stated.Data, w.Stated.Source), listed, *w.Stated)
	}
	return requirement.Fail("the ProfileList has no profile of a domain user", listed)
}

func someProfiles(ps []Profile) string {
	var list []string
	for _, p := range ps {
		list = append(list, p.title())
	}
	return prose.Some(list)
}

// orphans are profile folders that the ProfileList does not know.
type orphans struct {
	Folders []File
	Made    []File // that Windows made and nobody signs in with
	Err     error  // why one of the places could not be looked at
}

// defaultMigrated is what an upgrade keeps of the Default profile.
const defaultMigrated = "Default.migrated"

// expectedFolders lie beside the profiles and are none, or are those of the
// Default and Public profiles, which the ProfileList has in values.
var expectedFolders = []string{"Default", "Default User", "Public", "All Users"}

func (m *Machine) readOrphans(ps Profiles) orphans {
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
		entries, _, err := m.list(users)
		if err != nil {
			o.Err = errors.Join(o.Err, err)
			continue
		}
		for _, e := range entries {
			path := users + `\` + e.Name()
			if !e.IsDir() || containsFold(expectedFolders, e.Name()) || known[m.real(path)] {
				continue
			}
			f, err := m.file(path)
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
	drive, name, err := m.follow(path)
	if err != nil {
		return strings.ToUpper(normal(path))
	}
	return strings.ToUpper(drive + `:\` + strings.ReplaceAll(name, "/", `\`))
}

var profileSingle = entry{
	Requirement: required("win.profile.single", "MultipleUserProfiles", "no profile but the user's, Default and Administrator", sectionTips+": Only one user profile can exist on the WorkSpace", explanation{
		Reads: `SOFTWARE: ProfileList; the folders in C:\Users, D:\Users and its ProfilesDirectory that it does not know.`,
		Live:  "Get-CimInstance Win32_UserProfile | Where-Object { !$_.Special } | Select-Object SID, LocalPath, Loaded",
		Fix:   "sysdm.cpl, Advanced, User Profiles, Settings: delete every profile but the user's, Default and Administrator, then restart.",
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
func judgeProfileSingle(ps Profiles, w Wanted, left orphans) requirement.Outcome {
	var extra, services []Profile
	var reasons []string
	var about []requirement.Subject
	administrators := 0
	people := 0
	for _, p := range ps.List {
		switch {
		case p.Kind == profileSystem:
			continue
		case p.Kind == profileService:
			services = append(services, p)
			continue
		case p.Backup && ps.twin(p):
			p.Evidence = noted(p.Evidence, "half of a corrupt pair")
			extra, about = append(extra, p), append(about, p.subject(requirement.ReasonDamaged))
			reasons = append(reasons, p.title()+" (a corrupt pair: "+p.SID+" and "+p.SID+".bak)")
			continue
		case p.temporary():
			p.Evidence = noted(p.Evidence, "a temporary profile")
			extra, about = append(extra, p), append(about, p.subject(requirement.ReasonTemporary))
			reasons = append(reasons, p.Path+" (temporary)")
			continue
		case p.Kind == profileAdministrator && (w.Profile == nil || p.SID != w.Profile.SID):
			administrators++
			continue
		case w.Profile != nil && p.SID == w.Profile.SID:
			continue
		}
		if p.Gone {
			p.Evidence = noted(p.Evidence, "its folder is not there")
			extra, about = append(extra, p), append(about, p.subject(p.extra(requirement.ReasonMissing)))
			reasons = append(reasons, p.title()+" (an entry whose folder is gone)")
			continue
		}
		people++
		// Without a name any one of the profiles may be the user's.
		if w.Profile == nil && w.User == "" && people == 1 && p.Kind != profileLocal {
			continue
		}
		extra, about = append(extra, p), append(about, p.subject(p.extra(requirement.ReasonExtra)))
		reasons = append(reasons, p.title())
	}
	evidence := evidenceOf(extra)
	listed := ps.Evidence
	listed.Note = "every subkey was read"
	switch {
	case len(extra) > 0:
		message := prose.Count(len(extra), "profile", "profiles") + " beside the user's and the Administrator's: " + prose.Some(reasons)
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
		o := requirement.Warn("folders of users that the ProfileList does not know: "+prose.Some(names), ev...).About(about...)
		o.Remediation = "Delete the folders that are left over, after saving what is needed from them."
		return o
	case left.Err != nil:
		return requirement.Unreadable(fmt.Errorf("whether folders of other users are left over: %w", left.Err), listed)
	case ps.SIDErr != nil && (w.Profile == nil && people > 0 || administrators > 0):
		return requirement.Unreadable(fmt.Errorf("whose accounts the profiles are of: %w", ps.SIDErr), listed)
	}
	o := requirement.Pass("no profile but the user's, Default and Administrator", listed)
	if w.Basis == requirement.Inferred && w.Profile != nil {
		o.Basis = requirement.Inferred
		o.Message += "; " + w.Profile.Path + " is taken for the user's because it is " + w.only()
	}
	if len(services) > 0 {
		o.Message += "; profiles of accounts that Windows makes again, and nobody signs in with: " + someProfiles(services)
		o = o.With(evidenceOf(services)...)
	}
	for _, f := range left.Made {
		o.Message += "; " + f.Evidence.Path + " is what an upgrade kept of the Default profile"
		o = o.With(f.Evidence)
	}
	return o
}

// extra is the reason why a profile is one too many: the one that is given, or
// that it is half of a damaged pair.
func (p Profile) extra(reason requirement.Reason) requirement.Reason {
	if p.Backup {
		return requirement.ReasonDamaged
	}
	return reason
}

// ambiguous are the subjects of a finding that cannot tell which of several
// profiles is the user's: those, and what is wrong with others.
func ambiguous(candidates []Profile, others []requirement.Subject) []requirement.Subject {
	var about []requirement.Subject
	for _, p := range candidates {
		about = append(about, p.subject(requirement.ReasonAmbiguous))
	}
	for _, s := range others {
		if !slices.ContainsFunc(candidates, func(p Profile) bool { return p.SID == s.ID }) {
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

func (ps Profiles) twin(p Profile) bool {
	for _, other := range ps.List {
		if other.SID == p.SID && other.Backup != p.Backup {
			return true
		}
	}
	return false
}

func evidenceOf(ps []Profile) []requirement.Evidence {
	var ev []requirement.Evidence
	for _, p := range ps {
		ev = append(ev, p.Evidence)
	}
	return ev
}

var profileSize = entry{
	Requirement: required("win.profile.size", "", "the user profile is smaller than 10 GiB", sectionTips+": The user profile size must be less than 10 GB", explanation{
		Reads: "The sizes in $MFT of all files below the profile's folder: logical size of the unnamed data, hard links once, reparse points not followed. A file that is held in the cloud counts as what it occupies.",
		Live:  `(Get-ChildItem D:\Users\username -Recurse -Force -File | Measure-Object Length -Sum).Sum`,
		Fix:   "Remove files from the profile, or move them out of it, until it is smaller than 10 GiB.",
	}),
	Judge: (*Machine).decideProfileSize,
}

// profileLimit is the size that the profile must stay below, in bytes.
const profileLimit = 10 << 30

// judgeProfileSize decides win.profile.size from the totals of the profile's
// folder, reparse points not followed and hard links counted once.
func judgeProfileSize(p Profile, folder requirement.Evidence, t ntfs.Totals, basis requirement.Basis, modern bool) requirement.Outcome {
	folder = treeEvidence(folder, fmt.Sprintf("%d bytes in %d files, %d allocated, %d more in named streams", t.Size, t.Files, t.Allocated, t.StreamSize))
	folder.Note = "reparse points not followed, hard links counted once"
	size := fmt.Sprintf("%s holds %s (%d bytes; %s on the disk)", p.Path, prose.GiB(t.Size-t.Away), t.Size-t.Away, prose.GiB(t.Allocated))
	if t.Away > 0 {
		folder.Note += fmt.Sprintf("; %d bytes more of %s are held in the cloud", t.Away, prose.Count(int(t.Cloud), "file", "files"))
		size += fmt.Sprintf(", without %s that are held in the cloud", prose.GiB(t.Away))
	}
	o := judgeTotals(size, folder, t, basis, modern)
	o.Details = map[string]int64{"bytes": t.Size - t.Away, "in_the_cloud": t.Away, "allocated": t.Allocated, "files": t.Files, "limit": profileLimit}
	return o
}

func judgeTotals(size string, folder requirement.Evidence, t ntfs.Totals, basis requirement.Basis, modern bool) requirement.Outcome {
	switch {
	case t.Size-t.Away >= profileLimit:
		message := size + ", and less than 10 GiB is allowed"
		if modern {
			message += " (later guides ask this of Windows 7 alone: on this version the profile does not enter the image)"
		}
		return requirement.Fail(message, folder).About(subjectOf(folder, requirement.ReasonValue))
	case t.Damaged > 0:
		return requirement.Unknown(fmt.Sprintf("%s, but %s in it could not be read", size, prose.Count(int(t.Damaged), "entry", "entries")), folder)
	case t.DoubtfulSize >= profileLimit-(t.Size-t.Away):
		return requirement.Unknown(fmt.Sprintf("%s, and %d bytes more in %s in doubt", size, t.DoubtfulSize, prose.Count(int(t.Doubtful), "file or folder that is", "files and folders that are")), folder)
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
	f, err := m.file(w.Profile.Path)
	if err != nil {
		return requirement.Unreadable(err, w.Profile.Evidence)
	}
	if !f.Exists || !f.Dir {
		return requirement.Unknown("there is no folder "+w.Profile.Path+": see win.profile.exists", w.Profile.Evidence, f.Evidence)
	}
	v, name, err := m.locate(w.Profile.Path)
	if err != nil {
		return requirement.Unreadable(err)
	}
	totals, err := v.fs.Tree(name)
	if err == nil && totals.Size >= profileLimit { // a name that the folder's index does not have would be no file
		totals, err = v.fs.CheckedTree(name)
	}
	if err != nil {
		return requirement.Unreadable(v.problem(name, err), f.Evidence)
	}
	return judgeProfileSize(*w.Profile, f.Evidence, totals, w.Basis, system.Modern())
}

func containsFold(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(l, s) {
			return true
		}
	}
	return false
}
