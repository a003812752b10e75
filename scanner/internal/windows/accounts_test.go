package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var joined = names{Computer: "WSAMZN-1", accounts: accounts{Domain: "CORP", DomainSID: "S-1-5-21-1-2-3", MachineSID: "S-1-5-21-7-8-9"}}

func TestClassify(t *testing.T) {
	for account, want := range map[string]accountKind{
		"":                                accountBuiltIn,
		"LocalSystem":                     accountBuiltIn,
		`.\LocalSystem`:                   accountBuiltIn,
		`NT AUTHORITY\SYSTEM`:             accountBuiltIn,
		`NT AUTHORITY\LocalService`:       accountBuiltIn,
		`nt authority\Network Service`:    accountBuiltIn,
		`NT-AUTORITÄT\Netzwerkdienst`:     accountBuiltIn,
		`NT SERVICE\MSSQLSERVER`:          accountBuiltIn,
		`IIS APPPOOL\DefaultAppPool`:      accountBuiltIn,
		"S-1-5-19":                        accountBuiltIn,
		"S-1-5-80-1-2-3":                  accountBuiltIn,
		`.\backup`:                        accountLocal,
		`wsamzn-1\backup`:                 accountLocal,
		`BUILTIN\Users`:                   accountLocal,
		"S-1-5-21-7-8-9-1001":             accountLocal,
		"S-1-5-32-544":                    accountLocal,
		"backup":                          accountBare,
		`CORP\svc`:                        accountDomain,
		` CORP\svc `:                      accountDomain,
		`CORP\gmsa$`:                      accountDomain,
		"svc@corp.example.com":            accountDomain,
		"S-1-5-21-1-2-3-1104":             accountDomain,
		"S-1-5-21-7-8-99-1001":            accountDomain, // the machine's SID is a prefix of it as text only
		`AzureAD\jane`:                    accountDomain,
		`OTHERPC\backup`:                  accountDomain,
		`WSAMZN-1.corp.example.com\admin`: accountDomain,
	} {
		if got := joined.classify(account); got != want {
			t.Errorf("classify(%q) = %d, want %d", account, got, want)
		}
	}
	if got := (names{}).classify(`\svc`); got != accountDomain {
		t.Errorf("an empty prefix on a machine without a name is %d", got)
	}
}

func TestAccounts(t *testing.T) {
	service := func(name string, typ, start uint32, account string) Service {
		s := Service{Name: name, Type: number(typ), Start: number(start), Account: words(account), ImagePath: words("x.exe"), Key: evidence}
		if account == "" {
			s.Account = absent[string]()
		}
		return s
	}
	ok := service("Spooler", 0x110, 2, "LocalSystem")
	damaged := Service{Name: "Odd", Err: errors.New("torn"), Key: evidence}
	noProgram := service("Stub", 0x10, 3, `CORP\svc`)
	noProgram.ImagePath = absent[string]()
	for name, c := range map[string]struct {
		services []Service
		want     verdict
	}{
		"local system":                 {[]Service{ok}, passed},
		"no account written":           {[]Service{service("A", 0x20, 2, "")}, passed},
		"automatic":                    {[]Service{ok, service("A", 0x10, 2, `CORP\svc`)}, failed},
		"manual":                       {[]Service{ok, service("A", 0x20, 3, "svc@corp.example.com")}, failed},
		"disabled":                     {[]Service{ok, service("A", 0x10, 4, `CORP\svc`)}, warning},
		"disabled beside an automatic": {[]Service{service("A", 0x10, 4, `CORP\svc`), service("B", 0x10, 2, `CORP\svc`)}, failed},
		"a bare name":                  {[]Service{ok, service("A", 0x10, 2, "svc")}, warning},
		"a driver":                     {[]Service{ok, service("A", 0x1, 2, `CORP\svc`)}, passed},
		"a file system driver":         {[]Service{ok, service("A", 0x2, 2, `\FileSystem\x`)}, passed},
		"a per-user template":          {[]Service{ok, service("A", 0x50, 2, `CORP\svc`)}, passed},
		"a per-user instance":          {[]Service{ok, service("A_1f", 0xE0, 2, `CORP\svc`)}, passed},
		"a key without a program":      {[]Service{ok, noProgram}, warning},
		"one is damaged":               {[]Service{ok, damaged}, undetermined},
		"one is damaged, one fails":    {[]Service{damaged, service("A", 0x10, 2, `CORP\svc`)}, failed},
		"one is damaged, one disabled": {[]Service{damaged, service("A", 0x10, 4, `CORP\svc`)}, undetermined},
		"none at all":                  {nil, undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, servicesDomainAccount, judgeAccounts(c.services, joined, environment{}), c.want)
		})
	}
}

func TestProfileKind(t *testing.T) {
	for sid, want := range map[string]profileKind{
		"S-1-5-18": profileSystem, "S-1-5-19": profileSystem, "S-1-5-20": profileSystem,
		"S-1-5-80-1-2": profileService, "S-1-5-82-1": profileService, "S-1-5-90-0-1": profileService,
		"S-1-5-83-1-2": profileService, "S-1-5-94-3": profileService, "S-1-5-96-0-1": profileService,
		"S-1-5-21-7-8-9-500": profileAdministrator, "S-1-5-21-1-2-3-500": profileDomain, "S-1-5-21-4-4-4-500": profileDomain,
		"S-1-5-21-1-2-3-1104": profileDomain, "S-1-12-1-1-2-3-4": profileDomain, "S-1-5-21-4-4-4-1104": profileDomain,
		"S-1-5-21-7-8-9-1001": profileLocal, "S-1-5-21-7-8-9-503": profileLocal,
		"S-1-9": profileUnknown,
	} {
		if got := joined.profileKind(sid); got != want {
			t.Errorf("profileKind(%s) = %d, want %d", sid, got, want)
		}
	}
	blind := accounts{SIDErr: errors.New("SECURITY is damaged")}
	if got := blind.profileKind("S-1-5-21-1-2-3-1104"); got != profileUnknown {
		t.Errorf("without the SIDs an account is %d", got)
	}
	if got := blind.profileKind("S-1-5-21-1-2-3-500"); got != profileAdministrator {
		t.Errorf("without the SIDs an Administrator is %d", got)
	}
}

// Profiles of the tests.
var (
	jdoe    = Profile{SID: "S-1-5-21-1-2-3-1104", Path: `D:\Users\jdoe`, Kind: profileDomain, Evidence: evidence}
	asmith  = Profile{SID: "S-1-5-21-1-2-3-1105", Path: `D:\Users\asmith`, Kind: profileDomain, Evidence: evidence}
	admin   = Profile{SID: "S-1-5-21-7-8-9-500", Path: `C:\Users\Administrator`, Kind: profileAdministrator, Evidence: evidence}
	dcAdmin = Profile{SID: "S-1-5-21-1-2-3-500", Path: `C:\Users\Administrator.CORP`, Kind: profileDomain, Evidence: evidence}
	local   = Profile{SID: "S-1-5-21-7-8-9-1001", Path: `C:\Users\deploy`, Kind: profileLocal, Evidence: evidence}
	mssql   = Profile{SID: "S-1-5-80-1", Path: `C:\Users\MSSQLSERVER`, Kind: profileService, Evidence: evidence}
	system  = Profile{SID: "S-1-5-18", Path: `C:\Windows\system32\config\systemprofile`, Kind: profileSystem, Evidence: evidence}
)

func with(p Profile, change func(*Profile)) Profile { change(&p); return p }

func TestProfileNames(t *testing.T) {
	for in, want := range map[string]string{`CORP\jdoe`: "jdoe", "jdoe@corp.example.com": "jdoe", "jdoe": "jdoe"} {
		if got := bareName(in); got != want {
			t.Errorf("bareName(%q) = %q", in, got)
		}
	}
	at := func(path string) Profile { return with(jdoe, func(p *Profile) { p.Path = path }) }
	known := Profiles{Names: joined}
	blind := Profiles{Names: names{accounts: accounts{SIDErr: errHive}}, NamesErr: errHive}
	for _, c := range []struct {
		ps         Profiles
		path, user string
		found      bool
		err        error
	}{
		{known, `D:\Users\jdoe`, "JDOE", true, nil},
		{known, `D:\Users\jdoe.CORP`, "jdoe", true, nil},
		{known, `D:\Users\jdoe.corp.000`, "jdoe", true, nil},
		{known, `D:\Users\jdoe.WSAMZN-1`, "jdoe", true, nil},
		{known, `D:\Users\jdoe.001`, "jdoe", true, nil},
		{known, `D:\Users\john.doe`, "john.doe", true, nil},
		{known, `D:\Users\john.doe.CORP`, "john.doe", true, nil},
		{known, `D:\Users\john.doe`, "john", false, nil},
		{known, `D:\Users\john.doe.CORP`, "john", false, nil},
		{known, `D:\Users\john.CORPORATE`, "john", false, nil},
		{known, `D:\Users\john.CORP.x`, "john", false, nil},
		{known, `D:\Users\john.`, "john", false, nil},
		{known, `D:\Users\jdoe2`, "jdoe", false, nil},
		{known, `D:\Users\jdoe`, "", false, nil},
		{known, `D:\Users\jd`, "jdoe", false, nil},
		{known, ``, "jdoe", false, nil},
		{known, `D:\Users\jdoe`, `CORP\jdoe`, true, nil},
		{known, `D:\Users\jdoe`, `corp\JDOE`, true, nil},
		{known, `D:\Users\jdoe`, `jdoe@corp.example.com`, true, nil},
		{known, `D:\Users\jdoe`, `FABRIKAM\jdoe`, false, nil},
		{known, `D:\Users\jdoe`, `WSAMZN-1\jdoe`, false, nil},
		{known, `D:\Users\jdoe`, `.\jdoe`, false, nil},
		{known, `D:\Users\jdoe`, `AzureAD\jdoe`, false, nil},
		{blind, `D:\Users\jdoe`, `CORP\jdoe`, false, errHive},
		{blind, `D:\Users\asmith`, `CORP\jdoe`, false, nil},
		{blind, `D:\Users\jdoe`, "jdoe", true, nil},
		{blind, `D:\Users\jdoe.001`, "jdoe", true, nil},
		{blind, `D:\Users\jdoe.CORP`, "jdoe", false, errHive},
		{blind, `D:\Users\asmith`, "jdoe", false, nil},
	} {
		c.ps.List = []Profile{system, at(c.path), mssql}
		got, err := c.ps.of(c.user)
		if (got != nil) != c.found || !errors.Is(err, c.err) {
			t.Errorf("%s of %q: %v, %v", c.path, c.user, got, err)
		}
	}
	for domain, want := range map[string]string{"CORP": "S-1-5-21-1-2-3-1104", "WSAMZN-1": "S-1-5-21-7-8-9-1001", ".": "S-1-5-21-7-8-9-1001", "AzureAD": "S-1-12-1-1-2-3-4", "FABRIKAM": "S-1-5-21-4-4-4-1104"} {
		for _, sid := range []string{"S-1-5-21-1-2-3-1104", "S-1-5-21-7-8-9-1001", "S-1-5-21-4-4-4-1104", "S-1-5-21-1-2-33-1104"} {
			if is := joined.owns(domain, sid); is != (sid == want || domain == "FABRIKAM" && sid == "S-1-5-21-1-2-33-1104") {
				t.Errorf("%s owns %s: %t", domain, sid, is)
			}
		}
	}
	for path, want := range map[string]string{
		`D:\Users\jdoe`: "jdoe", `D:\Users\jdoe.CORP`: "jdoe", `D:\Users\jdoe.CORP.000`: "jdoe", `D:\Users\john.doe`: "john.doe", `D:\Users\john.doe.corp`: "john.doe",
	} {
		if got := known.userName(at(path)); got != want {
			t.Errorf("%s is of %q", path, got)
		}
	}
	backup := with(jdoe, func(p *Profile) { p.Backup = true })
	stranger := with(local, func(p *Profile) { p.Path = `C:\Users\jdoe` })
	for name, list := range map[string][]Profile{"a broken one first": {backup, jdoe}, "a local one first": {stranger, jdoe}, "it comes first": {jdoe, backup, stranger}} {
		if got, err := (Profiles{List: list}).of("jdoe"); got == nil || *got != jdoe || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestProfileExists(t *testing.T) {
	whole := profileFolder{Folder: File{Exists: true, Dir: true, Evidence: requirement.Evidence{Source: "user", Path: "Users/jdoe"}}, Hive: there}
	onRoot := profileFolder{Folder: File{Exists: true, Dir: true, Evidence: requirement.Evidence{Source: "root", Path: "Data/jdoe"}}, Hive: there}
	named := Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Observed}
	candidate := Wanted{Profile: &jdoe, Candidates: []Profile{jdoe}, Basis: requirement.Inferred}
	at := func(path string) Wanted {
		p := with(jdoe, func(p *Profile) { p.Path = path })
		return Wanted{User: "jdoe", Profile: &p, Basis: requirement.Observed}
	}
	broken := with(jdoe, func(p *Profile) { p.Backup = true })
	someone := requirement.Evidence{Source: "ws.json", Data: "asmith"}
	for name, c := range map[string]struct {
		wanted Wanted
		sidErr error
		folder profileFolder
		err    error
		want   verdict
	}{
		"named":                        {named, nil, whole, nil, passed},
		"stated":                       {Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Stated}, nil, whole, nil, stated},
		"the only candidate":           {candidate, nil, whole, nil, inferred},
		"with the domain":              {at(`D:\Users\jdoe.CORP`), nil, whole, nil, passed},
		"without case":                 {at(`d:\users\jdoe`), nil, whole, nil, passed},
		"on C":                         {at(`C:\Users\jdoe`), nil, whole, nil, failed},
		"not in Users":                 {at(`D:\Profiles\jdoe`), nil, whole, nil, failed},
		"below another folder":         {at(`D:\Users\x\jdoe`), nil, whole, nil, failed},
		"without a path":               {at(""), nil, whole, nil, failed},
		"failed to load":               {Wanted{User: "jdoe", Profile: &broken, Basis: requirement.Observed}, nil, whole, nil, failed},
		"no such user":                 {Wanted{User: "bob", Basis: requirement.Observed}, nil, whole, nil, failed},
		"no folder":                    {named, nil, profileFolder{Folder: missing}, nil, failed},
		"a file where the folder is":   {named, nil, profileFolder{Folder: there, Hive: there}, nil, failed},
		"a link to the root volume":    {named, nil, onRoot, nil, failed},
		"no hive":                      {named, nil, profileFolder{Folder: whole.Folder, Hive: missing}, nil, failed},
		"damaged hive":                 {named, nil, profileFolder{Folder: whole.Folder, Hive: there, HiveErr: errHive}, nil, undetermined},
		"no user volume":               {named, nil, profileFolder{}, errors.New("not given"), undetermined},
		"no candidate":                 {Wanted{Basis: requirement.Inferred}, nil, whole, nil, failed},
		"two candidates":               {Wanted{Candidates: []Profile{jdoe, asmith}, Basis: requirement.Inferred}, nil, whole, nil, undetermined},
		"SIDs unreadable":              {Wanted{Candidates: []Profile{jdoe}, Basis: requirement.Inferred}, errHive, whole, nil, undetermined},
		"a document names another":     {Wanted{Profile: &jdoe, Candidates: []Profile{jdoe}, Basis: requirement.Inferred, Stated: &someone}, nil, whole, nil, warning},
		"a document, and no candidate": {Wanted{Basis: requirement.Inferred, Stated: &someone}, nil, whole, nil, failed},
	} {
		t.Run(name, func(t *testing.T) {
			folder := func(Profile) (profileFolder, error) { return c.folder, c.err }
			check(t, profileExists, judgeProfileExists(Profiles{SIDErr: c.sidErr, Evidence: evidence}, c.wanted, folder), c.want)
		})
	}
}

// errHive stands for a hive that could not be read.
var errHive = errors.New("damaged hive")

func TestProfileSingle(t *testing.T) {
	named := Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Observed}
	candidate := Wanted{Profile: &jdoe, Candidates: []Profile{jdoe}, Basis: requirement.Inferred}
	twin := with(jdoe, func(p *Profile) { p.Backup = true })
	gone := with(asmith, func(p *Profile) { p.Gone = true })
	other := with(local, func(p *Profile) { p.SID = "S-1-5-21-7-8-9-1002"; p.Path = `D:\Users\other` })
	folder := orphans{Folders: []File{there}}
	for name, c := range map[string]struct {
		list   []Profile
		wanted Wanted
		sidErr error
		left   orphans
		want   verdict
	}{
		"user and Administrator":        {[]Profile{system, jdoe, admin}, named, nil, orphans{}, passed},
		"inferred":                      {[]Profile{jdoe, admin}, candidate, nil, orphans{}, inferred},
		"a local user":                  {[]Profile{jdoe, admin, local}, named, nil, orphans{}, failed},
		"a local user, inferred":        {[]Profile{jdoe, local}, candidate, nil, orphans{}, failed},
		"another of the domain":         {[]Profile{jdoe, asmith}, named, nil, orphans{}, failed},
		"two candidates":                {[]Profile{jdoe, asmith}, Wanted{Candidates: []Profile{jdoe, asmith}, Basis: requirement.Inferred}, nil, orphans{}, failed},
		"a corrupt pair":                {[]Profile{jdoe, twin}, named, nil, orphans{}, failed},
		"a service's profile":           {[]Profile{jdoe, mssql}, named, nil, orphans{}, passed},
		"two Administrators":            {[]Profile{jdoe, admin, dcAdmin}, named, nil, orphans{}, failed},
		"an Administrator of somewhere": {[]Profile{jdoe, admin}, named, errHive, orphans{}, undetermined},
		"an entry without a folder":     {[]Profile{jdoe, gone}, candidate, nil, orphans{}, failed},
		"no domain, a local user":       {[]Profile{local, admin}, Wanted{Profile: &local, Local: true, Candidates: []Profile{local}, Basis: requirement.Inferred}, nil, orphans{}, inferred},
		"no domain, two local users":    {[]Profile{local, other}, Wanted{Local: true, Candidates: []Profile{local, other}, Basis: requirement.Inferred}, nil, orphans{}, failed},
		"Default.migrated":              {[]Profile{jdoe}, named, nil, orphans{Made: []File{there}}, passed},
		"a folder is left":              {[]Profile{jdoe}, named, nil, folder, warning},
		"folders unreadable":            {[]Profile{jdoe}, named, nil, orphans{Err: errHive}, undetermined},
		"folders unreadable, and extra": {[]Profile{jdoe, local}, named, nil, orphans{Err: errHive}, failed},
		"only another's":                {[]Profile{asmith}, Wanted{User: "jdoe", Basis: requirement.Observed}, nil, orphans{}, failed},
		"only a local user's":           {[]Profile{local}, Wanted{Basis: requirement.Inferred}, nil, orphans{}, failed},
		"one, SIDs unreadable":          {[]Profile{with(jdoe, func(p *Profile) { p.Kind = profileUnknown })}, Wanted{Basis: requirement.Inferred}, errHive, orphans{}, undetermined},
		"none at all":                   {nil, Wanted{Basis: requirement.Inferred}, nil, orphans{}, passed},
	} {
		t.Run(name, func(t *testing.T) {
			ps := Profiles{List: c.list, SIDErr: c.sidErr, Evidence: evidence}
			check(t, profileSingle, judgeProfileSingle(ps, c.wanted, c.left), c.want)
		})
	}
}

// Every profile that is one too many is a subject, with its own reason, however many
// of them the message names.
func TestProfileSubjects(t *testing.T) {
	named := Wanted{User: "jdoe", Profile: &jdoe, Basis: requirement.Observed}
	at := func(n int, folder string) Profile {
		return with(local, func(p *Profile) {
			p.SID, p.Path = fmt.Sprintf("S-1-5-21-7-8-9-%d", n), `C:\Users\`+folder
		})
	}
	many := []Profile{jdoe, admin}
	for n := range 5 {
		many = append(many, at(1100+n, fmt.Sprintf("u%d", n)))
	}
	many = append(many, at(1105, "TEMP.CORP.000"))
	backup := at(1100, "u0")
	backup.Backup = true
	for name, c := range map[string]struct {
		list   []Profile
		wanted Wanted
		want   []requirement.Reason
	}{
		"the sixth is temporary": {many, named, []requirement.Reason{
			requirement.ReasonExtra, requirement.ReasonExtra, requirement.ReasonExtra, requirement.ReasonExtra, requirement.ReasonExtra, requirement.ReasonTemporary}},
		"a folder is gone":    {[]Profile{jdoe, with(asmith, func(p *Profile) { p.Gone = true })}, named, []requirement.Reason{requirement.ReasonMissing}},
		"a backup alone":      {[]Profile{jdoe, backup}, named, []requirement.Reason{requirement.ReasonDamaged}},
		"a corrupt pair":      {[]Profile{jdoe, with(jdoe, func(p *Profile) { p.Backup = true })}, named, []requirement.Reason{requirement.ReasonDamaged}},
		"one of two is meant": {[]Profile{jdoe, asmith}, Wanted{Candidates: []Profile{jdoe, asmith}}, []requirement.Reason{requirement.ReasonAmbiguous, requirement.ReasonAmbiguous}},
	} {
		t.Run(name, func(t *testing.T) {
			o := judgeProfileSingle(Profiles{List: c.list, Evidence: evidence}, c.wanted, orphans{})
			var got []requirement.Reason
			for _, s := range o.Subjects {
				got = append(got, s.Reason)
				if s.Kind != requirement.SubjectProfile || !slices.ContainsFunc(c.list, func(p Profile) bool { return p.SID == s.ID }) {
					t.Errorf("%+v", s)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" || o.Status != requirement.Failed {
				t.Errorf("%s: %s", o.Status, d)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	workgroup := names{Computer: "WSAMZN-1", accounts: accounts{Domain: "WORKGROUP", MachineSID: "S-1-5-21-7-8-9"}}
	blind := names{accounts: accounts{SIDErr: errHive}}
	gone := func(p Profile) Profile { return with(p, func(p *Profile) { p.Gone = true }) }
	at := func(sid, path string) Profile {
		return with(local, func(p *Profile) { p.SID, p.Path = "S-1-5-21-7-8-9-"+sid, path })
	}
	for name, c := range map[string]struct {
		names names
		list  []Profile
		want  string
		local bool
	}{
		"of the domain":                    {joined, []Profile{system, admin, mssql, jdoe, local}, jdoe.SID, false},
		"two of the domain":                {joined, []Profile{jdoe, asmith}, jdoe.SID + " " + asmith.SID, false},
		"one whose folder is gone":         {joined, []Profile{gone(asmith), jdoe}, jdoe.SID, false},
		"the only one, and gone":           {joined, []Profile{gone(jdoe), admin}, jdoe.SID, false},
		"a local one, in a domain":         {joined, []Profile{local, admin}, "", false},
		"a local one, in no domain":        {workgroup, []Profile{local, admin}, local.SID, true},
		"two local ones":                   {workgroup, []Profile{local, at("1002", `D:\Users\b`)}, local.SID + " S-1-5-21-7-8-9-1002", true},
		"a local one and one that is gone": {workgroup, []Profile{local, gone(at("1002", `D:\Users\b`))}, local.SID, true},
		"a local one and accounts of Windows": {workgroup, []Profile{at("503", `C:\Users\DefaultAccount`), at("1000", `C:\Users\defaultuser0`), at("1005", `C:\Users\TEMP`),
			at("1003", `C:\Users\WsiAccount`), at("504", `C:\Users\WDAGUtilityAccount`), at("1004", `C:\Users\WorkSpaces_BYOL`), local}, local.SID, true},
		"in no domain, and one of Entra ID": {workgroup, []Profile{local, with(jdoe, func(p *Profile) { p.SID = "S-1-12-1-1" })}, "S-1-12-1-1", false},
		"unknown which":                     {blind, []Profile{with(local, func(p *Profile) { p.Kind = profileUnknown })}, local.SID, false},
		"unknown which, and only local":     {blind, []Profile{local}, "", false},
	} {
		ps := Profiles{List: c.list, Names: c.names, SIDErr: c.names.SIDErr}
		list, isLocal := ps.candidates()
		var got []string
		for _, p := range list {
			got = append(got, p.SID)
		}
		if strings.Join(got, " ") != c.want || isLocal != c.local {
			t.Errorf("%s: %v, %t", name, got, isLocal)
		}
	}
}

func TestProfileSize(t *testing.T) {
	for name, c := range map[string]struct {
		totals ntfs.Totals
		want   verdict
	}{
		"empty":                        {ntfs.Totals{}, passed},
		"one byte below":               {ntfs.Totals{Size: 10_737_418_239}, passed},
		"the bound":                    {ntfs.Totals{Size: 10_737_418_240}, failed},
		"streams do not count":         {ntfs.Totals{Size: 1, StreamSize: 20 << 30}, passed},
		"allocated space neither":      {ntfs.Totals{Size: 1, Allocated: 20 << 30}, passed},
		"held in the cloud":            {ntfs.Totals{Size: 30 << 30, Allocated: 1 << 30, Cloud: 3, Away: 29 << 30}, passed},
		"in the cloud, and too big":    {ntfs.Totals{Size: 30 << 30, Allocated: 10 << 30, Cloud: 3, Away: 20 << 30}, failed},
		"damaged":                      {ntfs.Totals{Size: 1, Damaged: 1}, undetermined},
		"damaged, and already too big": {ntfs.Totals{Size: 10 << 30, Damaged: 1}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, profileSize, judgeProfileSize(jdoe, evidence, c.totals, requirement.Observed, true), c.want)
		})
	}
	check(t, profileSize, judgeProfileSize(jdoe, evidence, ntfs.Totals{}, requirement.Inferred, false), inferred)
}

func TestSID(t *testing.T) {
	sid := []byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255, 0xF4, 1, 0, 0}
	got, err := parseSID(sid)
	if err != nil || got != "S-1-5-21-1-2-4294967295-500" {
		t.Errorf("%s, %v", got, err)
	}
	domain, rid := splitSID(got)
	if domain != "S-1-5-21-1-2-4294967295" || rid != 500 {
		t.Errorf("%s and %d", domain, rid)
	}
	for i := range sid {
		if _, err := parseSID(sid[:i]); err == nil {
			t.Errorf("%d bytes are taken for a SID", i)
		}
	}
	if s, err := optionalSID(nil); s != "" || err != nil {
		t.Errorf("an empty SID is %q, %v", s, err)
	}
}
