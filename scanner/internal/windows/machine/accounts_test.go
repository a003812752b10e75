package machine

import (
	"errors"
	"strings"
	"testing"
)

var joined = Names{Computer: "WSAMZN-1",
	Accounts: Accounts{Domain: "CORP", DomainSID: "S-1-5-21-1-2-3", MachineSID: "S-1-5-21-7-8-9"}}

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
		"backup":                          AccountBare,
		`CORP\svc`:                        AccountDomain,
		` CORP\svc `:                      AccountDomain,
		`CORP\gmsa$`:                      AccountDomain,
		"svc@corp.example.com":            AccountDomain,
		"S-1-5-21-1-2-3-1104":             AccountDomain,
		"S-1-5-21-7-8-99-1001":            AccountDomain, // the machine's SID is a prefix of it as text only
		`AzureAD\jane`:                    AccountDomain,
		`OTHERPC\backup`:                  AccountDomain,
		`WSAMZN-1.corp.example.com\admin`: AccountDomain,
	} {
		if got := joined.Classify(account); got != want {
			t.Errorf("classify(%q) = %d, want %d", account, got, want)
		}
	}
	if got := (Names{}).Classify(`\svc`); got != AccountDomain {
		t.Errorf("an empty prefix on a machine without a name is %d", got)
	}
}

func TestProfileKind(t *testing.T) {
	for sid, want := range map[string]ProfileKind{
		"S-1-5-18": ProfileSystem, "S-1-5-19": ProfileSystem, "S-1-5-20": ProfileSystem,
		"S-1-5-80-1-2": ProfileService, "S-1-5-82-1": ProfileService, "S-1-5-90-0-1": ProfileService,
		"S-1-5-83-1-2": ProfileService, "S-1-5-94-3": ProfileService, "S-1-5-96-0-1": ProfileService,
		"S-1-5-21-7-8-9-500": ProfileAdministrator, "S-1-5-21-1-2-3-500": ProfileDomain, "S-1-5-21-4-4-4-500": ProfileDomain,
		"S-1-5-21-1-2-3-1104": ProfileDomain, "S-1-12-1-1-2-3-4": ProfileDomain, "S-1-5-21-4-4-4-1104": ProfileDomain,
		"S-1-5-21-7-8-9-1001": ProfileLocal, "S-1-5-21-7-8-9-503": ProfileLocal,
		"S-1-9": ProfileUnknown,
	} {
		if got := joined.profileKind(sid); got != want {
			t.Errorf("profileKind(%s) = %d, want %d", sid, got, want)
		}
	}
	blind := Accounts{SIDErr: errors.New("SECURITY is damaged")}
	if got := blind.profileKind("S-1-5-21-1-2-3-1104"); got != ProfileUnknown {
		t.Errorf("without the SIDs an account is %d", got)
	}
	if got := blind.profileKind("S-1-5-21-1-2-3-500"); got != ProfileAdministrator {
		t.Errorf("without the SIDs an Administrator is %d", got)
	}
}

// Profiles of the tests.
var (
	jdoe   = Profile{SID: "S-1-5-21-1-2-3-1104", Path: `D:\Users\jdoe`, Kind: ProfileDomain, Evidence: evidence}
	asmith = Profile{SID: "S-1-5-21-1-2-3-1105", Path: `D:\Users\asmith`, Kind: ProfileDomain, Evidence: evidence}
	admin  = Profile{SID: "S-1-5-21-7-8-9-500", Path: `C:\Users\Administrator`, Kind: ProfileAdministrator,
		Evidence: evidence}
	local  = Profile{SID: "S-1-5-21-7-8-9-1001", Path: `C:\Users\deploy`, Kind: ProfileLocal, Evidence: evidence}
	mssql  = Profile{SID: "S-1-5-80-1", Path: `C:\Users\MSSQLSERVER`, Kind: ProfileService, Evidence: evidence}
	system = Profile{SID: "S-1-5-18", Path: `C:\Windows\system32\config\systemprofile`, Kind: ProfileSystem,
		Evidence: evidence}
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
	blind := Profiles{Names: Names{Accounts: Accounts{SIDErr: errHive}}, NamesErr: errHive}
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
	for domain, want := range map[string]string{"CORP": "S-1-5-21-1-2-3-1104", "WSAMZN-1": "S-1-5-21-7-8-9-1001",
		".": "S-1-5-21-7-8-9-1001", "AzureAD": "S-1-12-1-1-2-3-4", "FABRIKAM": "S-1-5-21-4-4-4-1104"} {
		for _, sid := range []string{"S-1-5-21-1-2-3-1104", "S-1-5-21-7-8-9-1001", "S-1-5-21-4-4-4-1104",
			"S-1-5-21-1-2-33-1104"} {
			if is := joined.owns(domain, sid); is != (sid == want || domain == "FABRIKAM" && sid == "S-1-5-21-1-2-33-1104") {
				t.Errorf("%s owns %s: %t", domain, sid, is)
			}
		}
	}
	for path, want := range map[string]string{
		`D:\Users\jdoe`: "jdoe", `D:\Users\jdoe.CORP`: "jdoe", `D:\Users\jdoe.CORP.000`: "jdoe",
		`D:\Users\john.doe`: "john.doe", `D:\Users\john.doe.corp`: "john.doe",
	} {
		if got := known.UserName(at(path)); got != want {
			t.Errorf("%s is of %q", path, got)
		}
	}
	backup := with(jdoe, func(p *Profile) { p.Backup = true })
	stranger := with(local, func(p *Profile) { p.Path = `C:\Users\jdoe` })
	for name, list := range map[string][]Profile{"a broken one first": {backup, jdoe},
		"a local one first": {stranger, jdoe}, "it comes first": {jdoe, backup, stranger}} {
		if got, err := (Profiles{List: list}).of("jdoe"); got == nil || *got != jdoe || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// errHive stands for a hive that could not be read.
var errHive = errors.New("damaged hive")

func TestCandidates(t *testing.T) {
	workgroup := Names{Computer: "WSAMZN-1", Accounts: Accounts{Domain: "WORKGROUP", MachineSID: "S-1-5-21-7-8-9"}}
	blind := Names{Accounts: Accounts{SIDErr: errHive}}
	gone := func(p Profile) Profile { return with(p, func(p *Profile) { p.Gone = true }) }
	at := func(sid, path string) Profile {
		return with(local, func(p *Profile) { p.SID, p.Path = "S-1-5-21-7-8-9-"+sid, path })
	}
	for name, c := range map[string]struct {
		names Names
		list  []Profile
		want  string
		local bool
	}{
		"of the domain":             {joined, []Profile{system, admin, mssql, jdoe, local}, jdoe.SID, false},
		"two of the domain":         {joined, []Profile{jdoe, asmith}, jdoe.SID + " " + asmith.SID, false},
		"one whose folder is gone":  {joined, []Profile{gone(asmith), jdoe}, jdoe.SID, false},
		"the only one, and gone":    {joined, []Profile{gone(jdoe), admin}, jdoe.SID, false},
		"a local one, in a domain":  {joined, []Profile{local, admin}, "", false},
		"a local one, in no domain": {workgroup, []Profile{local, admin}, local.SID, true},
		"two local ones": {workgroup, []Profile{local, at("1002", `D:\Users\b`)},
			local.SID + " S-1-5-21-7-8-9-1002", true},
		"a local one and one that is gone": {workgroup, []Profile{local, gone(at("1002", `D:\Users\b`))}, local.SID, true},
		"a local one and accounts of Windows": {workgroup,
			[]Profile{at("503", `C:\Users\DefaultAccount`), at("1000", `C:\Users\defaultuser0`), at("1005", `C:\Users\TEMP`),
				at("1003", `C:\Users\WsiAccount`), at("504", `C:\Users\WDAGUtilityAccount`), at("1004", `C:\Users\WorkSpaces_BYOL`),
				local}, local.SID, true},
		"in no domain, and one of Entra ID": {workgroup,
			[]Profile{local, with(jdoe, func(p *Profile) { p.SID = "S-1-12-1-1" })}, "S-1-12-1-1", false},
		"unknown which": {blind, []Profile{with(local, func(p *Profile) { p.Kind = ProfileUnknown })},
			local.SID, false},
		"unknown which, and only local": {blind, []Profile{local}, "", false},
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

func TestSID(t *testing.T) {
	sid := []byte{1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255, 0xF4, 1, 0, 0}
	got, err := ParseSID(sid)
	if err != nil || got != "S-1-5-21-1-2-4294967295-500" {
		t.Errorf("%s, %v", got, err)
	}
	domain, rid := SplitSID(got)
	if domain != "S-1-5-21-1-2-4294967295" || rid != 500 {
		t.Errorf("%s and %d", domain, rid)
	}
	for i := range sid {
		if _, err := ParseSID(sid[:i]); err == nil {
			t.Errorf("%d bytes are taken for a SID", i)
		}
	}
	if s, err := optionalSID(nil); s != "" || err != nil {
		t.Errorf("an empty SID is %q, %v", s, err)
	}
}
