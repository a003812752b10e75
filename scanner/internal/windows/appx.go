package windows

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/sqlitefs"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// States of a package for a user (Windows.Management.Deployment,
// PackageInstallState).
const (
	appxNotInstalled = 0
	appxStaged       = 1
	appxInstalled    = 2
	appxPaused       = 6
)

// Types of packages, as bits.
const (
	appxMain      = 0x1
	appxFramework = 0x2
)

const sidSystem = "S-1-5-18"

// appxUser is the state of a package for one user.
type appxUser struct {
	SID   string
	State int64
}

// text is how Get-AppxPackage prints the state. name is the account's, which
// the system does not find for itself.
func (u appxUser) text(name string) string {
	states := map[int64]string{appxNotInstalled: "NotInstalled", appxStaged: "Staged", appxInstalled: "Installed",
		appxPaused: "Paused"}
	return fmt.Sprintf("%s [%s]: %s", u.SID, cmp.Or(name, "Unknown user"), states[u.State])
}

// appxPackage is a package with its users.
type appxPackage struct {
	FullName string
	Type     int64
	Inbox    bool
	Users    []appxUser
}

// listed says whether Get-AppxPackage lists the package unless it is asked for
// others: main packages and frameworks.
func (p appxPackage) listed() bool { return p.Type&(appxMain|appxFramework) != 0 }

func (p appxPackage) has(match func(appxUser) bool) bool { return slices.ContainsFunc(p.Users, match) }

// flagged is the test of the document's script, whose terms each ask for any
// user at all: for the system and not for the WorkSpace's user, staged or
// installed anywhere; or for that user and not for the system, staged anywhere.
func (p appxPackage) flagged(forUser bool) bool {
	system := p.has(func(u appxUser) bool { return u.SID == sidSystem })
	staged := p.has(func(u appxUser) bool { return u.State == appxStaged })
	installed := p.has(func(u appxUser) bool { return u.State == appxInstalled })
	return system && !forUser && (staged || installed) || !system && forUser && staged
}

// Appx are the packages of the machine.
type Appx struct {
	Packages    []appxPackage
	Provisioned map[string]appxVersion // families that new users get, with the newest version of each
	// full names that the registry has as staged and of which the database knows no user
	Staged   []string
	StoreErr error                // why Provisioned and Staged are not known
	Store    requirement.Evidence // the key that they are from

	// Fallback says why Packages are only what the registry has of them, ""
	// if they are from the database.
	Fallback string
	Evidence []requirement.Evidence
}

const (
	appxRepository = `\Microsoft\Windows\AppRepository\`
	appxDatabase   = "StateRepository-Machine.srd"
	appxOld        = "PackageRepository.edb" // of Windows 8 and 8.1
	keyAppxStore   = machine.KeyMachineWindows + `\Appx\AppxAllUserStore`
)

// Appx reads the packages, from the database of the state repository or, where
// there is none, from the registry.
func (m *Machine) Appx() (Appx, error) { return m.appx.Get(m.next().readAppx) }

func (m *Machine) readAppx() (Appx, error) {
	env, err := m.Environment()
	if err != nil {
		return Appx{}, err
	}
	v, name, err := m.Locate(env["PROGRAMDATA"] + appxRepository + appxDatabase)
	if err != nil {
		return Appx{}, err
	}
	f, err := v.File(name)
	if err != nil {
		return Appx{}, err
	}
	var a Appx
	store, err := m.Key(keyAppxStore)
	var staged []string
	if err == nil {
		a.Store = store.Evidence
		if a.Provisioned, err = m.readProvisioned(store); err == nil {
			staged, err = m.readStaged(store)
		}
	}
	a.StoreErr = err
	if f.Exists {
		if a.Packages, a.Evidence, err = readStateRepository(v, name, f); err != nil {
			return Appx{}, err
		}
		a.Staged = a.unknown(staged)
	} else {
		old, err := m.File(env["PROGRAMDATA"] + appxRepository + appxOld)
		if err != nil {
			return Appx{}, err
		}
		a.Fallback = f.Evidence.Path + " is missing"
		if old.Exists {
			a.Fallback = old.Evidence.Path + " of this Windows version cannot be read"
		}
		if a.StoreErr != nil {
			return Appx{}, fmt.Errorf("%s, and the registry cannot replace it: %w", a.Fallback, a.StoreErr)
		}
		if a.Packages, err = m.readAppxStore(store); err != nil {
			return Appx{}, err
		}
		a.Evidence = []requirement.Evidence{f.Evidence, old.Evidence, store.Evidence}
	}
	return a, nil
}

func (m *Machine) readProvisioned(store machine.Key) (map[string]appxVersion, error) {
	provisioned := map[string]appxVersion{}
	for _, name := range []string{"Applications", "InboxApplications"} {
		k, err := m.Subkey(store, name)
		if err != nil {
			return nil, err
		}
		keys, err := m.Subkeys(k)
		if err != nil {
			return nil, err
		}
		for _, p := range keys {
			family, version := appxFamily(p.Name()), versionOfAppx(p.Name())
			if old, ok := provisioned[family]; !ok || version.newer(old) {
				provisioned[family] = version
			}
		}
	}
	return provisioned, nil
}

// readStaged returns the full names below Staged, which are by family.
func (m *Machine) readStaged(store machine.Key) ([]string, error) {
	k, err := m.Subkey(store, "Staged")
	if err != nil {
		return nil, err
	}
	families, err := m.Subkeys(k)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, family := range families {
		packages, err := m.SubkeysUpTo(family, machine.MaxSubkeys-len(names))
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			names = append(names, p.Name())
		}
	}
	return names, nil
}

// unknown are the packages of a list that the database does not have, or has
// for no user at all. Those of types that Get-AppxPackage does not list are
// not asked for.
func (a Appx) unknown(staged []string) []string {
	known := map[string]bool{}
	for _, p := range a.Packages {
		if len(p.Users) > 0 || !p.listed() {
			known[strings.ToLower(p.FullName)] = true
		}
	}
	var names []string
	for _, name := range staged {
		if !known[strings.ToLower(name)] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// appxVersion is the version of a package: up to four numbers, 131.0.2903.99.
type appxVersion [4]uint64

func (v appxVersion) newer(than appxVersion) bool { return slices.Compare(v[:], than[:]) > 0 }

// versionOfAppx takes the version out of a full name. What is no number is 0.
func versionOfAppx(full string) appxVersion {
	var v appxVersion
	parts := strings.Split(full, "_")
	if len(parts) < 2 {
		return v
	}
	for i, n := range strings.SplitN(parts[1], ".", len(v)) {
		v[i], _ = strconv.ParseUint(n, 10, 64)
	}
	return v
}

// appxFamily is the family of a full name, Name_Version_Architecture_Resource_Publisher:
// its first and last part.
func appxFamily(full string) string {
	name, rest, ok := strings.Cut(full, "_")
	if !ok {
		return strings.ToLower(full)
	}
	return strings.ToLower(name + "_" + rest[strings.LastIndexByte(rest, '_')+1:])
}

// appxTime is how long reading the database may take. One of 30 MiB takes
// a second; the fact that it is part of may take fact.Limit.
const appxTime = 20 * time.Second

// readStateRepository reads the database in place.
func readStateRepository(v *machine.Drive, name string, f machine.File) ([]appxPackage, []requirement.Evidence,
	error) {
	ctx, cancel := context.WithTimeout(context.Background(), appxTime)
	defer cancel()
	fail := func(err error) error {
		v.Trail.Record("error", "source", v.Role, "path", name, "error", err.Error())
		v.Trail.Notify(requirement.Notice{Level: requirement.LevelError, Source: v.Role, Path: name,
			Message: err.Error()})
		return fmt.Errorf("%s volume: %w", v.Role, err)
	}
	db, err := sqlitefs.Open(ctx, v.FS, name)
	if err != nil {
		return nil, nil, fail(err)
	}
	defer db.Close()
	v.Trail.Record("database", "source", v.Role, "path", name, "wal", db.WAL().Applied(), "loss", db.WAL().Loss())
	loss := db.WAL().Loss()
	if loss != "" {
		v.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: v.Role, Path: name + "-wal",
			Message: loss})
	}
	if err := db.WAL().Err(); err != nil {
		return nil, nil, fail(fmt.Errorf("%s: %w", name, err))
	}
	packages, err := readPackages(db)
	if err != nil {
		return nil, nil, fail(err)
	}
	for _, p := range packages {
		var users []string
		for _, u := range p.Users {
			users = append(users, fmt.Sprintf("%s:%d", u.SID, u.State))
		}
		v.Trail.Record("package", "source", v.Role, "path", name, "name", p.FullName, "type", fmt.Sprint(p.Type),
			"users", strings.Join(users, " "))
	}
	ev := f.Evidence
	ev.Content, ev.Value = true, "PackageUser.DeploymentState"
	if ev.Note = db.WAL().Applied(); ev.Note != "" {
		ev.Origin = requirement.OriginWAL
	}
	if loss != "" {
		ev.Note = strings.TrimPrefix(ev.Note+"; "+loss, "; ")
	}
	for _, note := range db.Notes() {
		v.Trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Source: v.Role, Path: name, Message: note})
	}
	return packages, []requirement.Evidence{ev}, nil
}

// Bounds of the database. A machine with many users has some hundred packages
// and ten thousand rows; a full name has at most 127 characters.
const (
	maxAppxPackages = 50_000
	maxAppxUsers    = 50_000
	maxAppxRows     = 1_000_000
	maxAppxName     = 1_024
)

// appxTables are the columns that are needed, by table. _WorkId is 0 in rows
// whose transaction, which may outlast several of the database's, is done.
var appxTables = map[string][]string{
	"Package":     {"_PackageID", "_WorkId", "PackageFullName", "PackageType"},
	"User":        {"_UserID", "UserSid"},
	"PackageUser": {"_WorkId", "Package", "User", "DeploymentState"},
}

// columnInbox of Package marks what belongs to Windows. It decides nothing.
const columnInbox = "IsInbox"

// readPackages joins the tables itself, so that a row which points nowhere is
// damage and not a row less.
func readPackages(db *sqlitefs.DB) ([]appxPackage, error) {
	byID := map[int64]*appxPackage{} // nil if its transaction is not done
	var packages []*appxPackage
	columns := appxTables["Package"]
	if have, err := db.Columns("Package"); err == nil && fold.Contains(have, columnInbox) {
		columns = append(slices.Clip(columns), columnInbox)
	}
	err := db.Rows("Package", columns, maxAppxPackages, func(row []sqlitefs.Value) error {
		id, work, kind := integer(row[0]), integer(row[1]), integer(row[3])
		inbox := len(row) > 4 && row[4] == int64(1)
		name, ok := row[2].(string)
		if id == nil || work == nil || kind == nil || !ok || name == "" || len(name) > maxAppxName {
			return fmt.Errorf("a row of Package is %v: %w", shown(row), sqlitefs.ErrCorrupt)
		}
		if byID[*id] = nil; *work == 0 {
			byID[*id] = &appxPackage{FullName: name, Type: *kind, Inbox: inbox}
			packages = append(packages, byID[*id])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	users := map[int64]string{}
	err = db.Rows("User", appxTables["User"], maxAppxUsers, func(row []sqlitefs.Value) error {
		id := integer(row[0])
		sid, ok := row[1].([]byte)
		if id == nil || !ok {
			return fmt.Errorf("a row of User is %v: %w", shown(row), sqlitefs.ErrCorrupt)
		}
		s, err := machine.ParseSID(sid)
		if err != nil {
			return fmt.Errorf("user %d: %w: %w", *id, err, sqlitefs.ErrCorrupt)
		}
		users[*id] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = db.Rows("PackageUser", appxTables["PackageUser"], maxAppxRows, func(row []sqlitefs.Value) error {
		work, of, user, state := integer(row[0]), integer(row[1]), integer(row[2]), integer(row[3])
		if work == nil || of == nil || user == nil || state == nil {
			return fmt.Errorf("a row of PackageUser is %v: %w", shown(row), sqlitefs.ErrCorrupt)
		}
		if *work != 0 {
			return nil
		}
		p, ok := byID[*of]
		if !ok {
			return fmt.Errorf("a row of PackageUser refers to package %d, which is missing: %w", *of,
				sqlitefs.ErrCorrupt)
		}
		sid, ok := users[*user]
		if !ok {
			return fmt.Errorf("a row of PackageUser refers to user %d, who is missing: %w", *user, sqlitefs.ErrCorrupt)
		}
		if p != nil {
			p.Users = append(p.Users, appxUser{sid, *state})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	done := make([]appxPackage, len(packages))
	for i, p := range packages {
		done[i] = *p
	}
	return done, nil
}

func integer(v sqlitefs.Value) *int64 {
	n, ok := v.(int64)
	if !ok {
		return nil
	}
	return &n
}

// shown is a row for a message.
func shown(row []sqlitefs.Value) string { return prose.Short(fmt.Sprintf("%.40v", row)) }

// readAppxStore reads what the registry has of the packages: those that are
// staged, and those that a user has installed.
func (m *Machine) readAppxStore(store machine.Key) ([]appxPackage, error) {
	var packages []appxPackage
	index := map[string]int{}
	add := func(full, sid string, state int64) {
		key := strings.ToLower(full)
		i, ok := index[key]
		if !ok {
			i = len(packages)
			index[key] = i
			packages = append(packages, appxPackage{FullName: full, Type: appxMain})
		}
		packages[i].Users = append(packages[i].Users, appxUser{sid, state})
	}
	keys, err := m.Subkeys(store)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		below, err := m.Subkeys(k)
		if err != nil {
			return nil, err
		}
		switch {
		case strings.EqualFold(k.Name(), "Staged"):
			for _, family := range below {
				staged, err := m.Subkeys(family)
				if err != nil {
					return nil, err
				}
				for _, p := range staged {
					add(p.Name(), sidSystem, appxStaged)
				}
			}
		case strings.HasPrefix(strings.ToUpper(k.Name()), "S-1-"):
			for _, p := range below {
				add(p.Name(), strings.ToUpper(k.Name()), appxInstalled)
			}
		}
	}
	return packages, nil
}

// codeNameAppX is the service's name for packages that stop Sysprep (API
// reference, ErrorDetails).
const codeNameAppX = "AppXPackagesInstalled"

func (m *Machine) decidePerUserPackages() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if s.Build < machine.Build8 {
		return requirement.Pass(s.Name()+" has no AppX packages", s.Evidence...)
	}
	a, err := m.Appx()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgePerUserPackages(a, s)
}

// judgePerUserPackages judges the packages that are installed for a user. Of
// whose family nothing is provisioned stops Sysprep (0x80073CF2); one that the
// user has in a newer version than is provisioned may.
func judgePerUserPackages(a Appx, s machine.System) requirement.Outcome {
	candidates := a.installedByUsers()
	single := a.perUser()
	var newer []string
	for _, p := range candidates {
		if version, ok := a.Provisioned[appxFamily(p.FullName)]; ok && versionOfAppx(p.FullName).newer(version) {
			newer = append(newer, p.FullName)
		}
	}
	slices.Sort(newer)
	switch {
	case a.Fallback != "":
		return requirement.Unknown("Cannot tell which AppX packages users have installed: "+a.Fallback,
			a.Evidence...)
	case a.StoreErr != nil && len(candidates) > 0:
		return requirement.Unreadable(fmt.Errorf("cannot tell which AppX packages are provisioned: %w", a.StoreErr),
			a.Evidence...)
	case len(single) > 0:
		var evidence []requirement.Evidence
		for _, name := range single[:min(len(single), maxTraces)] {
			evidence = append(evidence, a.ofPackage(name, "installed for a user"))
		}
		store := a.Store
		store.Note = "Applications and InboxApplications have no package of this family"
		o := requirement.Warn(
			fmt.Sprintf("%s installed for a user but not provisioned, which stops Sysprep: %s",
				prose.Count(len(single), "AppX package is", "AppX packages are"), prose.Some(single)),
			append(evidence, store)...)
		o.Remediation = removePackages(s, single)
		o.Explains = []string{codeNameAppX}
		return o.About(packageSubjects(single, requirement.ReasonExtra)...)
	case len(newer) > 0:
		return requirement.Infer("A user has a newer version than the provisioned one: "+prose.Some(newer),
			a.Evidence...)
	}
	return requirement.Pass("All AppX packages of users are provisioned or part of Windows", a.Evidence...)
}

// ofPackage is the evidence for one package: a row of the database or, where that
// is not there, what the registry has in its place.
func (a Appx) ofPackage(name, data string) requirement.Evidence {
	ev := a.Evidence[0]
	if a.Fallback != "" {
		ev = a.Store
	}
	ev.Value, ev.Data = name, data
	return ev
}

// packageSubjects are packages as a finding names them to programs.
func packageSubjects(names []string, reason requirement.Reason) []requirement.Subject {
	var about []requirement.Subject
	for _, name := range names {
		about = append(about, requirement.Subject{Kind: requirement.SubjectPackage, ID: name, Reason: reason})
	}
	return about
}

// installedByUsers are the main packages that a user has installed, without
// those that belong to Windows.
func (a Appx) installedByUsers() []appxPackage {
	var list []appxPackage
	for _, p := range a.Packages {
		if p.Type&appxMain != 0 && !p.ofWindows() && p.installed() {
			list = append(list, p)
		}
	}
	return list
}

// perUser names those of them of whose family nothing is provisioned.
func (a Appx) perUser() []string {
	if a.StoreErr != nil {
		return nil
	}
	var names []string
	for _, p := range a.installedByUsers() {
		if _, ok := a.Provisioned[appxFamily(p.FullName)]; !ok {
			names = append(names, p.FullName)
		}
	}
	slices.Sort(names)
	return names
}

// installed says whether a user has the package, other than the system.
func (p appxPackage) installed() bool {
	return p.has(func(u appxUser) bool { return u.State == appxInstalled && u.SID != sidSystem })
}

// publisherWindows is how the family names of what is signed as a part of
// Windows end (CN=Microsoft Windows).
const publisherWindows = "_cw5n1h2txyewy"

// ofWindows says whether the package is a system app.
func (p appxPackage) ofWindows() bool {
	return p.Inbox || strings.HasSuffix(appxFamily(p.FullName), publisherWindows)
}

// mended says whether a package that once stopped Sysprep no longer does:
// no user has one of its family, or one of its family is provisioned.
func (a Appx) mended(full string) bool {
	family := appxFamily(full)
	if _, ok := a.Provisioned[family]; ok && a.StoreErr == nil {
		return true
	}
	return a.Fallback == "" && !slices.ContainsFunc(a.Packages, func(p appxPackage) bool {
		return appxFamily(p.FullName) == family && p.installed()
	})
}

// appxWanted is the WorkSpace's user, as the test needs it.
type appxWanted struct {
	SID   string // "" if it is not known
	Name  string // "" if it is not known
	Basis requirement.Basis
	Names map[string]string // accounts by SID, if a profile has them
	Err   error             // why it is unknown
}

func (m *Machine) appxUser() appxWanted {
	w, err := m.Wanted()
	if err != nil {
		return appxWanted{Err: err}
	}
	profiles, err := m.Profiles()
	if err != nil {
		return appxWanted{Err: err}
	}
	u := appxWanted{Name: w.User, Basis: w.Basis, Names: map[string]string{}}
	for _, p := range profiles.List {
		if p.Person() || p.Kind == machine.ProfileAdministrator {
			u.Names[p.SID] = profiles.UserName(p)
		}
	}
	if w.Profile != nil {
		u.SID = w.Profile.SID
		u.Name = cmp.Or(u.Name, u.Names[u.SID])
	}
	return u
}

var appxStagedPackages = entry{
	Requirement: required("win.appx.staged", "StagedAppxPackage", "AppX packages must not be in a staged state.",
		sectionTips+": No AppX packages can be in a staged state", explanation{
			Reads: `ProgramData\Microsoft\Windows\AppRepository\StateRepository-Machine.srd with its write-ahead ` +
				`log: tables Package, PackageUser and User. The user is found by SID. SOFTWARE: ` +
				`Appx\AppxAllUserStore\Staged, which must not list a package that the database lists for no user. ` +
				`If the database is missing, the registry can show a staged package but cannot prove that none is.`,
			Live: `Get-AppxPackage -AllUsers | Select-Object PackageFullName, PackageUserInformation`,
			Doubts: "AWS's script looks for the user's name anywhere in the text of PackageUserInformation, so that " +
				"it can take another account for the user. The message says where it would decide otherwise.",
			Fix: "In an elevated PowerShell, as the WorkSpace's user, run Remove-AppxPackage -Package NAME for each " +
				"staged package. If that does not help, run Get-AppxProvisionedPackage -Online | " +
				"Remove-AppxProvisionedPackage -Online and Get-AppxPackage -AllUsers | Remove-AppxPackage.",
		}),
	Judge: (*Machine).decideAppx,
}

func (m *Machine) decideAppx() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if s.Build < machine.Build8 {
		return requirement.Skip(s.Name()+" has no AppX packages", s.Evidence...)
	}
	a, err := m.Appx()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeAppx(a, m.appxUser())
}

// appxRow is a row of the details of win.appx.staged.
type appxRow struct {
	Package string   `json:"package"`
	Users   []string `json:"users"`
}

// appxSorted are the packages by what the test says of them.
type appxSorted struct {
	flagged []appxPackage // whoever the user is
	open    []appxPackage // depending on who the user is
	odd     []appxPackage // with a state that is not known
	script  []string      // which the script, going by the name, would judge otherwise
	other   []appxRow     // staged packages of types that the script does not look at
	judged  int
	depends bool // whether the answer would be another for another user
}

func sortAppx(a Appx, u appxWanted) appxSorted {
	var s appxSorted
	for _, p := range a.Packages {
		if !p.listed() {
			if p.has(func(u appxUser) bool { return u.State == appxStaged }) {
				s.other = append(s.other, p.row(u))
			}
			continue
		}
		s.judged++
		if p.has(func(u appxUser) bool {
			return !slices.Contains([]int64{appxNotInstalled, appxStaged, appxInstalled, appxPaused}, u.State)
		}) {
			s.odd = append(s.odd, p)
		}
		depends := p.flagged(true) != p.flagged(false) &&
			p.has(func(row appxUser) bool { return row.SID != sidSystem })
		forUser := u.SID != "" && p.has(func(row appxUser) bool { return row.SID == u.SID })
		switch {
		case depends && u.SID == "":
			s.open = append(s.open, p)
		case p.flagged(forUser):
			s.flagged = append(s.flagged, p)
		}
		if u.SID != "" && u.Name != "" && p.flagged(p.namedIn(u)) != p.flagged(forUser) {
			s.script = append(s.script, p.FullName)
		}
		s.depends = s.depends || depends
	}
	return s
}

// namedIn says whether the user's name is anywhere in what Get-AppxPackage
// prints of the package's users, which is how the script looks for the user.
func (p appxPackage) namedIn(u appxWanted) bool {
	return p.has(func(row appxUser) bool {
		return strings.Contains(strings.ToLower(row.text(u.Names[row.SID])), strings.ToLower(u.Name))
	})
}

func (p appxPackage) row(u appxWanted) appxRow {
	r := appxRow{Package: p.FullName}
	for _, user := range p.Users {
		r.Users = append(r.Users, user.text(u.Names[user.SID]))
	}
	return r
}

// judgeAppx decides win.appx.staged.
func judgeAppx(a Appx, u appxWanted) requirement.Outcome {
	s := sortAppx(a, u)
	o := judgeSorted(a, u, s)
	if len(s.script) > 0 && o.Status != requirement.Undetermined {
		o = o.Also(fmt.Sprintf("AWS's script, which looks for the text %q, would decide otherwise for %s", u.Name,
			prose.Some(s.script)))
	}
	storeUnread := ""
	if a.StoreErr != nil {
		storeUnread = a.StoreErr.Error()
	}
	o.Details = struct {
		Staged   []appxRow `json:"staged,omitempty"`
		Open     []appxRow `json:"depends_on_user,omitempty"`
		Script   []string  `json:"script_differs,omitempty"`
		Other    []appxRow `json:"other_types,omitempty"`
		Registry []string  `json:"staged_in_registry,omitempty"`
		PerUser  []string  `json:"installed_per_user,omitempty"`
		Unread   string    `json:"provisioned_unread,omitempty"`
	}{appxRows(s.flagged, u), appxRows(s.open, u), s.script, s.other, a.Staged[:min(len(a.Staged), maxNamed)],
		a.perUser(), storeUnread}
	return o
}

func judgeSorted(a Appx, u appxWanted, s appxSorted) requirement.Outcome {
	var evidence []requirement.Evidence
	for _, p := range s.flagged[:min(len(s.flagged), maxTraces)] {
		evidence = append(evidence, a.ofPackage(p.FullName, strings.Join(p.row(u).Users, ", ")))
	}
	evidence = append(evidence, a.Evidence...)
	var names []string
	for _, p := range s.flagged {
		names = append(names, p.FullName)
	}
	about := packageSubjects(names, requirement.ReasonStaged)
	message := fmt.Sprintf("%s in a staged state: %s",
		prose.Count(len(s.flagged), "AppX package is", "AppX packages are"), someAppx(s.flagged))
	switch {
	case len(s.flagged) > 0 && a.Fallback != "":
		o := requirement.Warn(message, evidence...).About(about...).Also("This is from the registry: " + a.Fallback)
		o.Remediation = unstage(names)
		return o
	case len(s.flagged) > 0:
		o := requirement.Fail(message, evidence...).About(about...)
		o.Remediation = unstage(names)
		return o
	case a.Fallback != "":
		return requirement.Unknown("Cannot tell the state of AppX packages: "+a.Fallback,
			evidence...).Also("The registry lists no staged package")
	case len(s.odd) > 0:
		return requirement.Unknown("AppX packages have an unknown state: "+someAppx(s.odd), evidence...)
	case a.StoreErr != nil:
		return requirement.Unreadable(fmt.Errorf("cannot read which AppX packages the registry lists as staged: %w",
			a.StoreErr), evidence...)
	case len(a.Staged) > 0:
		return requirement.Unknown(
			"The registry lists AppX packages as staged that the database lists for no user: "+prose.Some(a.Staged),
			evidence...).With(a.Store)
	case u.Err != nil:
		return requirement.Unreadable(fmt.Errorf("cannot tell whose AppX packages decide: %w", u.Err), evidence...)
	case len(s.open) > 0:
		return requirement.Unknown("Whether these AppX packages count as staged depends on the user: "+someAppx(s.open),
			evidence...).Also("Name the WorkSpace's user with --user-name")
	}
	o := requirement.Pass(fmt.Sprintf("No AppX package is staged (%d checked)", s.judged), evidence...)
	if s.depends {
		o.Basis = u.Basis
	}
	return o
}

// unstage says how to remove packages that are staged.
func unstage(names []string) string {
	more := ""
	if n := len(names) - maxFixPackages; n > 0 {
		more = fmt.Sprintf(" Do the same for the %s.", prose.Count(n, "other package", "other packages"))
		names = names[:maxFixPackages]
	}
	return "In an elevated PowerShell, as the WorkSpace's user, run " + removeCommands("", names) + "." + more
}

func appxRows(packages []appxPackage, u appxWanted) []appxRow {
	var rows []appxRow
	for _, p := range packages {
		rows = append(rows, p.row(u))
	}
	return rows
}

func someAppx(packages []appxPackage) string {
	var names []string
	for _, p := range packages {
		names = append(names, p.FullName)
	}
	return prose.Some(names)
}
