package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// Inferred marks an outcome that rests on the settings of a user who was
// found, not named.
func (w Wanted) Inferred(o requirement.Outcome) requirement.Outcome {
	if o.Status == requirement.Passed && w.Basis == requirement.Inferred {
		o.Basis = requirement.Inferred
		o = o.Also(w.Assumed())
	}
	return o
}

// ProfileKind says whose profile it is.
type ProfileKind int

const (
	ProfileSystem  ProfileKind = iota // LocalSystem, LocalService, NetworkService
	ProfileService                    // a virtual account, an application pool, a virtual machine
	// the machine's own account with the relative identifier 500; of any domain where the SIDs are not known
	ProfileAdministrator
	ProfileDomain  // a user of a domain, or of Entra ID
	ProfileLocal   // another account of this machine
	ProfileUnknown // which of the two is not known
)

// Profile is an entry of the ProfileList.
type Profile struct {
	SID    string // without ".bak"
	Backup bool   // the key's name ends in ".bak": the profile failed to load
	Path   string // `D:\Users\jdoe`, variables expanded; "" if there is none
	State  uint32 // bits of the profile service
	Kind   ProfileKind
	// Gone: its folder does not exist, although its volume was read. Windows
	// creates a new one when the user signs in, so it has no settings.
	Gone bool

	Evidence requirement.Evidence // its ProfileImagePath
}

// Folder is the last part of the profile's path: "jdoe", "jdoe.CORP".
func (p Profile) Folder() string { return p.Path[strings.LastIndexByte(p.Path, '\\')+1:] }

// Subject is the profile as a finding names it to programs.
func (p Profile) Subject(reason requirement.Reason) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectProfile, ID: p.SID, Name: p.Folder(), Reason: reason,
		Value: p.Evidence.Data}
}

// Title is what a person would call the profile.
func (p Profile) Title() string {
	if p.Path == "" {
		return p.SID + " (no path)"
	}
	return p.Path
}

// Temporary says whether it is what Windows makes at logon in the place of a
// profile that does not load: C:\Users\TEMP, TEMP.CORP, TEMP.CORP.000.
func (p Profile) Temporary() bool {
	name, _, _ := strings.Cut(p.Folder(), ".")
	return strings.EqualFold(name, "TEMP")
}

// Person says whether the profile may be that of the intended user.
func (p Profile) Person() bool {
	return p.Kind == ProfileDomain || p.Kind == ProfileLocal || p.Kind == ProfileUnknown
}

// Profiles is the ProfileList.
type Profiles struct {
	List     []Profile
	SIDErr   error // why domain users and local users cannot be distinguished; nil if they can
	Evidence requirement.Evidence

	Directory string // where Windows makes profiles, "" if it is not written
	Default   string // the folder that new profiles are copied from
	Names     Names  // of computer and domain
	NamesErr  error  // why not all of Names is known
}

// Profiles reads the ProfileList.
func (m *Machine) Profiles() (Profiles, error) { return m.profiles.Get(m.Next().readProfiles) }

func (m *Machine) readProfiles() (Profiles, error) {
	var ps Profiles
	env, err := m.Environment()
	if err != nil {
		return ps, err
	}
	ps.Names, err = m.Names()
	ps.SIDErr, ps.NamesErr = ps.Names.SIDErr, fact.Join(ps.Names.SIDErr, err)
	list, err := m.Key(keyProfileList)
	if err != nil {
		return ps, err
	}
	if !list.Exists() {
		return ps, fmt.Errorf("%s: key %s not found", list.Evidence.Path, list.Evidence.Key)
	}
	ps.Evidence = list.Evidence
	directory, err := m.Text(list, "ProfilesDirectory")
	if err != nil {
		return ps, err
	}
	ps.Directory = env.Text(directory)
	template, err := m.Text(list, "Default")
	if err != nil {
		return ps, err
	}
	ps.Default = `C:\Users\Default`
	if template.Value != "" {
		ps.Default = Normal(env.Text(template))
	}
	keys, err := m.Subkeys(list)
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
		state, err := m.DWord(k, "State")
		if err != nil {
			return ps, err
		}
		p := Profile{State: state.Value, Evidence: image.Evidence}
		if image.Value != "" {
			p.Path = Normal(env.Text(image))
		}
		if p.State != 0 {
			p.Evidence.Note = strings.TrimPrefix(fmt.Sprintf("%s; State is 0x%X", p.Evidence.Note, p.State), "; ")
		}
		p.SID, p.Backup = strings.CutSuffix(strings.ToUpper(k.Name()), ".BAK")
		p.Kind = ps.Names.profileKind(p.SID)
		if p.Person() && p.Path != "" {
			f, err := m.File(p.Path)
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

// sidsOfServices are the SID prefixes of accounts that cannot sign in:
// services, application pools, virtual machines, the window manager, remote
// management, font drivers ([MS-DTYP] 2.4.2.4).
var sidsOfServices = []string{"S-1-5-80-", "S-1-5-82-", "S-1-5-83-", "S-1-5-90-", "S-1-5-94-", "S-1-5-96-"}

func (a Accounts) profileKind(sid string) ProfileKind {
	if slices.ContainsFunc(sidsOfServices, func(s string) bool { return strings.HasPrefix(sid, s) }) {
		return ProfileService
	}
	switch sid {
	case "S-1-5-18", "S-1-5-19", "S-1-5-20":
		return ProfileSystem
	}
	if strings.HasPrefix(sid, "S-1-12-1-") {
		return ProfileDomain // Entra ID
	}
	domain, rid := SplitSID(sid)
	switch {
	case rid == ridAdministrator && (domain == a.MachineSID || a.SIDErr != nil):
		return ProfileAdministrator
	case a.SIDErr != nil:
		return ProfileUnknown
	case domain == a.MachineSID:
		return ProfileLocal
	case strings.HasPrefix(sid, "S-1-5-21-"):
		return ProfileDomain
	}
	return ProfileUnknown
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
func (m *Machine) Wanted() (Wanted, error) { return m.wanted.Get(m.Next().readWanted) }

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
		says = new(DocumentEvidence(match.Document.Name, "UserName", match.WorkSpace.UserName))
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
	of := func(kinds ...ProfileKind) (there, gone []Profile) {
		for _, p := range ps.List {
			switch {
			case !slices.Contains(kinds, p.Kind), p.Backup && ps.Twin(p), p.Kind == ProfileLocal &&
				(p.madeByWindows() || p.Temporary()):
			case p.Gone:
				gone = append(gone, p)
			default:
				there = append(there, p)
			}
		}
		return there, gone
	}
	there, gone := of(ProfileDomain, ProfileUnknown)
	if len(there) > 0 || len(gone) > 0 || ps.SIDErr != nil || ps.Names.DomainSID != "" {
		if len(there) > 0 {
			return there, false
		}
		return gone, false
	}
	if there, gone = of(ProfileLocal); len(there) > 0 {
		return there, true
	}
	return gone, true
}

// madeByWindows says whether Windows, or the import of an image, made the
// account for itself.
func (p Profile) madeByWindows() bool {
	switch _, rid := SplitSID(p.SID); rid {
	case ridGuest, ridDefaultAccount, ridWDAGUtility:
		return true
	}
	return fold.HasPrefix(p.Folder(), "defaultuser") ||
		fold.Contains([]string{"WsiAccount", "WorkSpaces_BYOL"}, p.Folder())
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
		behind, ok := fold.CutPrefix(p.Folder(), name)
		if !ok || name == "" || p.Kind == ProfileSystem || p.Kind == ProfileService {
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
		return nil, fmt.Errorf("cannot tell whether a profile is %s's: %w", user, ps.NamesErr)
	}
	return best, nil
}

// owns says whether an account is of the domain, or the computer, of that
// name. Of any other domain are the accounts that are of neither.
func (n Names) owns(domain, sid string) bool {
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
// name, as john.doe is another user than john.
func (ps Profiles) ownerSuffix(s string) bool {
	for _, owner := range []string{ps.Names.Domain, ps.Names.Computer, entraDomain} {
		if behind, ok := fold.CutPrefix(s, owner); ok && owner != "" &&
			(behind == "" || behind[0] == '.' && allDigits(behind[1:])) {
			return true
		}
	}
	return allDigits(s)
}

// UserName is the name of the user to whom a profile belongs, by its folder.
func (ps Profiles) UserName(p Profile) string {
	folder := p.Folder()
	for i, c := range folder {
		if c == '.' && ps.ownerSuffix(folder[i+1:]) {
			return folder[:i]
		}
	}
	return folder
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
	return p.Kind == ProfileDomain && than.Kind != ProfileDomain
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

// Assumed is a sentence that says why the only candidate is assumed to be the
// user's profile.
func (w Wanted) Assumed() string {
	why := "it is the only domain user's."
	if w.Local {
		why = "it is the only local user's, and the computer is not in a domain."
	}
	return w.Profile.Path + " is assumed to be the user's profile: " + why
}

// Extra is the reason why a profile is one too many: the one that is given, or
// that it is half of a damaged pair.
func (p Profile) Extra(reason requirement.Reason) requirement.Reason {
	if p.Backup {
		return requirement.ReasonDamaged
	}
	return reason
}

// Twin reports whether another entry of the list is for the same SID.
func (ps Profiles) Twin(p Profile) bool {
	for _, other := range ps.List {
		if other.SID == p.SID && other.Backup != p.Backup {
			return true
		}
	}
	return false
}
