package windows

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var joined = machine.Names{Computer: "WSAMZN-1",
	Accounts: machine.Accounts{Domain: "CORP", DomainSID: "S-1-5-21-1-2-3", MachineSID: "S-1-5-21-7-8-9"}}

func TestAccounts(t *testing.T) {
	service := func(name string, typ, start uint32, account string) machine.Service {
		s := machine.Service{Name: name, Type: number(typ), Start: number(start), Account: words(account),
			ImagePath: words("x.exe"), Key: evidence}
		if account == "" {
			s.Account = absent[string]()
		}
		return s
	}
	ok := service("Spooler", 0x110, 2, "LocalSystem")
	damaged := machine.Service{Name: "Odd", Err: errors.New("torn"), Key: evidence}
	noProgram := service("Stub", 0x10, 3, `CORP\svc`)
	noProgram.ImagePath = absent[string]()
	for name, c := range map[string]struct {
		services []machine.Service
		want     verdict
	}{
		"local system":       {[]machine.Service{ok}, passed},
		"no account written": {[]machine.Service{service("A", 0x20, 2, "")}, passed},
		"automatic":          {[]machine.Service{ok, service("A", 0x10, 2, `CORP\svc`)}, failed},
		"manual":             {[]machine.Service{ok, service("A", 0x20, 3, "svc@corp.example.com")}, failed},
		"disabled":           {[]machine.Service{ok, service("A", 0x10, 4, `CORP\svc`)}, warning},
		"disabled beside an automatic": {[]machine.Service{service("A", 0x10, 4, `CORP\svc`),
			service("B", 0x10, 2, `CORP\svc`)}, failed},
		"a bare name":                  {[]machine.Service{ok, service("A", 0x10, 2, "svc")}, warning},
		"a driver":                     {[]machine.Service{ok, service("A", 0x1, 2, `CORP\svc`)}, passed},
		"a file system driver":         {[]machine.Service{ok, service("A", 0x2, 2, `\FileSystem\x`)}, passed},
		"a per-user template":          {[]machine.Service{ok, service("A", 0x50, 2, `CORP\svc`)}, passed},
		"a per-user instance":          {[]machine.Service{ok, service("A_1f", 0xE0, 2, `CORP\svc`)}, passed},
		"a key without a program":      {[]machine.Service{ok, noProgram}, warning},
		"one is damaged":               {[]machine.Service{ok, damaged}, undetermined},
		"one is damaged, one fails":    {[]machine.Service{damaged, service("A", 0x10, 2, `CORP\svc`)}, failed},
		"one is damaged, one disabled": {[]machine.Service{damaged, service("A", 0x10, 4, `CORP\svc`)}, undetermined},
		"none at all":                  {nil, undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, servicesDomainAccount, judgeAccounts(c.services, joined, machine.Environment{}), c.want)
		})
	}
}

// Profiles of the tests.
var (
	jdoe = machine.Profile{SID: "S-1-5-21-1-2-3-1104", Path: `D:\Users\jdoe`, Kind: machine.ProfileDomain,
		Evidence: evidence}
	asmith = machine.Profile{SID: "S-1-5-21-1-2-3-1105", Path: `D:\Users\asmith`, Kind: machine.ProfileDomain,
		Evidence: evidence}
	admin = machine.Profile{SID: "S-1-5-21-7-8-9-500", Path: `C:\Users\Administrator`,
		Kind: machine.ProfileAdministrator, Evidence: evidence}
	dcAdmin = machine.Profile{SID: "S-1-5-21-1-2-3-500", Path: `C:\Users\Administrator.CORP`, Kind: machine.ProfileDomain,
		Evidence: evidence}
	local = machine.Profile{SID: "S-1-5-21-7-8-9-1001", Path: `C:\Users\deploy`, Kind: machine.ProfileLocal,
		Evidence: evidence}
	mssql = machine.Profile{SID: "S-1-5-80-1", Path: `C:\Users\MSSQLSERVER`, Kind: machine.ProfileService,
		Evidence: evidence}
	system = machine.Profile{SID: "S-1-5-18", Path: `C:\Windows\system32\config\systemprofile`,
		Kind: machine.ProfileSystem, Evidence: evidence}
)

func with(p machine.Profile, change func(*machine.Profile)) machine.Profile { change(&p); return p }

func TestProfileExists(t *testing.T) {
	whole := profileFolder{Folder: machine.File{Exists: true, Dir: true,
		Evidence: requirement.Evidence{Source: "user", Path: "Users/jdoe"}}, Hive: there}
	onRoot := profileFolder{Folder: machine.File{Exists: true, Dir: true,
		Evidence: requirement.Evidence{Source: "root", Path: "Data/jdoe"}}, Hive: there}
	named := machine.Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Observed}
	candidate := machine.Wanted{Profile: &jdoe, Candidates: []machine.Profile{jdoe}, Basis: requirement.Inferred}
	at := func(path string) machine.Wanted {
		p := with(jdoe, func(p *machine.Profile) { p.Path = path })
		return machine.Wanted{User: "jdoe", Profile: &p, Basis: requirement.Observed}
	}
	broken := with(jdoe, func(p *machine.Profile) { p.Backup = true })
	someone := requirement.Evidence{Source: "ws.json", Data: "asmith"}
	for name, c := range map[string]struct {
		wanted machine.Wanted
		sidErr error
		folder profileFolder
		err    error
		want   verdict
	}{
		"named": {named, nil, whole, nil, passed},
		"stated": {machine.Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Stated}, nil, whole,
			nil, stated},
		"the only candidate":   {candidate, nil, whole, nil, inferred},
		"with the domain":      {at(`D:\Users\jdoe.CORP`), nil, whole, nil, passed},
		"without case":         {at(`d:\users\jdoe`), nil, whole, nil, passed},
		"on C":                 {at(`C:\Users\jdoe`), nil, whole, nil, failed},
		"not in Users":         {at(`D:\Profiles\jdoe`), nil, whole, nil, failed},
		"below another folder": {at(`D:\Users\x\jdoe`), nil, whole, nil, failed},
		"without a path":       {at(""), nil, whole, nil, failed},
		"failed to load": {machine.Wanted{User: "jdoe", Profile: &broken, Basis: requirement.Observed}, nil,
			whole, nil, failed},
		"no such user":               {machine.Wanted{User: "bob", Basis: requirement.Observed}, nil, whole, nil, failed},
		"no folder":                  {named, nil, profileFolder{Folder: missing}, nil, failed},
		"a file where the folder is": {named, nil, profileFolder{Folder: there, Hive: there}, nil, failed},
		"a link to the root volume":  {named, nil, onRoot, nil, failed},
		"no hive":                    {named, nil, profileFolder{Folder: whole.Folder, Hive: missing}, nil, failed},
		"damaged hive": {named, nil, profileFolder{Folder: whole.Folder, Hive: there, HiveErr: errHive}, nil,
			undetermined},
		"no user volume": {named, nil, profileFolder{}, errors.New("not given"), undetermined},
		"no candidate":   {machine.Wanted{Basis: requirement.Inferred}, nil, whole, nil, failed},
		"two candidates": {machine.Wanted{Candidates: []machine.Profile{jdoe, asmith},
			Basis: requirement.Inferred}, nil, whole, nil, undetermined},
		"SIDs unreadable": {machine.Wanted{Candidates: []machine.Profile{jdoe}, Basis: requirement.Inferred},
			errHive, whole, nil, undetermined},
		"a document names another": {machine.Wanted{Profile: &jdoe, Candidates: []machine.Profile{jdoe},
			Basis: requirement.Inferred, Stated: &someone}, nil, whole, nil, warning},
		"a document, and no candidate": {machine.Wanted{Basis: requirement.Inferred, Stated: &someone}, nil, whole, nil,
			failed},
	} {
		t.Run(name, func(t *testing.T) {
			folder := func(machine.Profile) (profileFolder, error) { return c.folder, c.err }
			check(t, profileExists, judgeProfileExists(machine.Profiles{SIDErr: c.sidErr, Evidence: evidence}, c.wanted, folder),
				c.want)
		})
	}
}

// errHive stands for a hive that could not be read.
var errHive = errors.New("damaged hive")

func TestProfileSingle(t *testing.T) {
	named := machine.Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Observed}
	candidate := machine.Wanted{Profile: &jdoe, Candidates: []machine.Profile{jdoe}, Basis: requirement.Inferred}
	twin := with(jdoe, func(p *machine.Profile) { p.Backup = true })
	gone := with(asmith, func(p *machine.Profile) { p.Gone = true })
	other := with(local, func(p *machine.Profile) { p.SID = "S-1-5-21-7-8-9-1002"; p.Path = `D:\Users\other` })
	folder := orphans{Folders: []machine.File{there}}
	for name, c := range map[string]struct {
		list   []machine.Profile
		wanted machine.Wanted
		sidErr error
		left   orphans
		want   verdict
	}{
		"user and Administrator": {[]machine.Profile{system, jdoe, admin}, named, nil, orphans{}, passed},
		"inferred":               {[]machine.Profile{jdoe, admin}, candidate, nil, orphans{}, inferred},
		"a local user":           {[]machine.Profile{jdoe, admin, local}, named, nil, orphans{}, failed},
		"a local user, inferred": {[]machine.Profile{jdoe, local}, candidate, nil, orphans{}, failed},
		"another of the domain":  {[]machine.Profile{jdoe, asmith}, named, nil, orphans{}, failed},
		"two candidates": {[]machine.Profile{jdoe, asmith},
			machine.Wanted{Candidates: []machine.Profile{jdoe, asmith}, Basis: requirement.Inferred}, nil, orphans{}, failed},
		"a corrupt pair":                {[]machine.Profile{jdoe, twin}, named, nil, orphans{}, failed},
		"a service's profile":           {[]machine.Profile{jdoe, mssql}, named, nil, orphans{}, passed},
		"two Administrators":            {[]machine.Profile{jdoe, admin, dcAdmin}, named, nil, orphans{}, failed},
		"an Administrator of somewhere": {[]machine.Profile{jdoe, admin}, named, errHive, orphans{}, undetermined},
		"an entry without a folder":     {[]machine.Profile{jdoe, gone}, candidate, nil, orphans{}, failed},
		"no domain, a local user": {[]machine.Profile{local, admin},
			machine.Wanted{Profile: &local, Local: true, Candidates: []machine.Profile{local}, Basis: requirement.Inferred}, nil,
			orphans{}, inferred},
		"no domain, two local users": {[]machine.Profile{local, other},
			machine.Wanted{Local: true, Candidates: []machine.Profile{local, other}, Basis: requirement.Inferred}, nil,
			orphans{}, failed},
		"Default.migrated":              {[]machine.Profile{jdoe}, named, nil, orphans{Made: []machine.File{there}}, passed},
		"a folder is left":              {[]machine.Profile{jdoe}, named, nil, folder, warning},
		"folders unreadable":            {[]machine.Profile{jdoe}, named, nil, orphans{Err: errHive}, undetermined},
		"folders unreadable, and extra": {[]machine.Profile{jdoe, local}, named, nil, orphans{Err: errHive}, failed},
		"only another's": {[]machine.Profile{asmith},
			machine.Wanted{User: "jdoe", Basis: requirement.Observed}, nil, orphans{}, failed},
		"only a local user's": {[]machine.Profile{local}, machine.Wanted{Basis: requirement.Inferred}, nil, orphans{},
			failed},
		"one, SIDs unreadable": {[]machine.Profile{with(jdoe, func(p *machine.Profile) { p.Kind = machine.ProfileUnknown })},
			machine.Wanted{Basis: requirement.Inferred}, errHive, orphans{}, undetermined},
		"none at all": {nil, machine.Wanted{Basis: requirement.Inferred}, nil, orphans{}, passed},
	} {
		t.Run(name, func(t *testing.T) {
			ps := machine.Profiles{List: c.list, SIDErr: c.sidErr, Evidence: evidence}
			check(t, profileSingle, judgeProfileSingle(ps, c.wanted, c.left), c.want)
		})
	}
}

// Every profile that is one too many is a subject, with its own reason, however many
// of them the message names.
func TestProfileSubjects(t *testing.T) {
	named := machine.Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Observed}
	at := func(n int, folder string) machine.Profile {
		return with(local, func(p *machine.Profile) {
			p.SID, p.Path = fmt.Sprintf("S-1-5-21-7-8-9-%d", n), `C:\Users\`+folder
		})
	}
	many := []machine.Profile{jdoe, admin}
	for n := range 5 {
		many = append(many, at(1100+n, fmt.Sprintf("u%d", n)))
	}
	many = append(many, at(1105, "TEMP.CORP.000"))
	backup := at(1100, "u0")
	backup.Backup = true
	for name, c := range map[string]struct {
		list   []machine.Profile
		wanted machine.Wanted
		want   []requirement.Reason
	}{
		"the sixth is temporary": {many, named, []requirement.Reason{
			requirement.ReasonExtra, requirement.ReasonExtra, requirement.ReasonExtra, requirement.ReasonExtra,
			requirement.ReasonExtra, requirement.ReasonTemporary}},
		"a folder is gone": {[]machine.Profile{jdoe, with(asmith, func(p *machine.Profile) { p.Gone = true })}, named,
			[]requirement.Reason{requirement.ReasonMissing}},
		"a backup alone": {[]machine.Profile{jdoe, backup}, named, []requirement.Reason{requirement.ReasonDamaged}},
		"a corrupt pair": {[]machine.Profile{jdoe, with(jdoe, func(p *machine.Profile) { p.Backup = true })}, named,
			[]requirement.Reason{requirement.ReasonDamaged}},
		"one of two is meant": {[]machine.Profile{jdoe, asmith}, machine.Wanted{Candidates: []machine.Profile{jdoe, asmith}},
			[]requirement.Reason{requirement.ReasonAmbiguous, requirement.ReasonAmbiguous}},
	} {
		t.Run(name, func(t *testing.T) {
			o := judgeProfileSingle(machine.Profiles{List: c.list, Evidence: evidence}, c.wanted, orphans{})
			var got []requirement.Reason
			for _, s := range o.Subjects {
				got = append(got, s.Reason)
				if s.Kind != requirement.SubjectProfile ||
					!slices.ContainsFunc(c.list, func(p machine.Profile) bool { return p.SID == s.ID }) {
					t.Errorf("%+v", s)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" || o.Status != requirement.Failed {
				t.Errorf("%s: %s", o.Status, d)
			}
		})
	}
}

func TestProfileSize(t *testing.T) {
	for name, c := range map[string]struct {
		totals volume.Tree
		want   verdict
	}{
		"empty":                        {volume.Tree{}, passed},
		"one byte below":               {volume.Tree{Size: 10_737_418_239}, passed},
		"the bound":                    {volume.Tree{Size: 10_737_418_240}, failed},
		"streams do not count":         {volume.Tree{Size: 1, StreamSize: 20 << 30}, passed},
		"allocated space neither":      {volume.Tree{Size: 1, Allocated: 20 << 30}, passed},
		"held in the cloud":            {volume.Tree{Size: 30 << 30, Allocated: 1 << 30, Cloud: 3, Away: 29 << 30}, passed},
		"in the cloud, and too big":    {volume.Tree{Size: 30 << 30, Allocated: 10 << 30, Cloud: 3, Away: 20 << 30}, failed},
		"damaged":                      {volume.Tree{Size: 1, Damaged: 1}, undetermined},
		"damaged, and already too big": {volume.Tree{Size: 10 << 30, Damaged: 1}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, profileSize, judgeProfileSize(jdoe, evidence, c.totals, requirement.Observed), c.want)
		})
	}
	check(t, profileSize, judgeProfileSize(jdoe, evidence, volume.Tree{}, requirement.Inferred), inferred)
}
