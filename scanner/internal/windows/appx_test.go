package windows

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/scanner/internal/sqlitefs"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	sidUser  = "S-1-5-21-1010101010-1-2-1604"
	sidOther = "S-1-5-21-1010101010-1-2-1605"
	sidAdmin = "S-1-5-21-2020202020-1-2-500"
)

func pkg(name string, users ...appxUser) appxPackage {
	return appxPackage{FullName: name, Type: appxMain, Users: users}
}

// TestAppxFilter is the truth table of the script's terms.
func TestAppxFilter(t *testing.T) {
	system := func(state int64) appxUser { return appxUser{sidSystem, state} }
	user := func(state int64) appxUser { return appxUser{sidUser, state} }
	other := func(state int64) appxUser { return appxUser{sidOther, state} }
	for name, c := range map[string]struct {
		users         []appxUser
		forUser, want bool
	}{
		"nobody":                                     {nil, false, false},
		"staged for the system":                      {[]appxUser{system(appxStaged)}, false, true},
		"installed for the system":                   {[]appxUser{system(appxInstalled)}, false, true},
		"paused for the system":                      {[]appxUser{system(appxPaused)}, false, false},
		"paused for the system, installed for other": {[]appxUser{system(appxPaused), other(appxInstalled)}, false, true},
		"paused for the system, staged for other":    {[]appxUser{system(appxPaused), other(appxStaged)}, false, true},
		"system and user":                            {[]appxUser{system(appxStaged), user(appxInstalled)}, true, false},
		"system and user, both staged":               {[]appxUser{system(appxStaged), user(appxStaged)}, true, false},
		"installed for the user":                     {[]appxUser{user(appxInstalled)}, true, false},
		"staged for the user":                        {[]appxUser{user(appxStaged)}, true, true},
		"installed for the user, staged for other":   {[]appxUser{user(appxInstalled), other(appxStaged)}, true, true},
		"staged for other":                           {[]appxUser{other(appxStaged)}, false, false},
	} {
		if got := pkg("P", c.users...).flagged(c.forUser); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestAppx(t *testing.T) {
	known := appxWanted{SID: sidUser, Name: "jdoe", Basis: requirement.Inferred,
		Names: map[string]string{sidUser: "jdoe", sidAdmin: "Administrator"}}
	named := func(name string) appxWanted {
		u := known
		u.Name, u.Names = name, map[string]string{sidUser: name, sidAdmin: "Administrator"}
		return u
	}
	installed := pkg("Contoso.Reader_1.0.0.0_x64__abc", appxUser{sidUser, appxInstalled})
	staged := pkg("Contoso.Writer_1.0.0.0_x64__abc", appxUser{sidSystem, appxStaged})
	forUser := pkg("Contoso.Player_1.0.0.0_x64__abc", appxUser{sidUser, appxStaged})
	both := pkg("Contoso.Both_1.0.0.0_x64__abc", appxUser{sidSystem, appxStaged}, appxUser{sidUser, appxInstalled})
	admin := pkg("Contoso.Admin_1.0.0.0_x64__abc", appxUser{sidSystem, appxStaged}, appxUser{sidAdmin, appxInstalled})
	strange := pkg("Contoso.Strange_1.0.0.0_x64__abc", appxUser{sidUser, 5})
	of := func(p appxPackage, kind int64) appxPackage { p.Type = kind; return p }
	for name, c := range map[string]struct {
		packages []appxPackage
		user     appxWanted
		fallback string
		want     verdict
		says     string
	}{
		"none":      {nil, known, "", passed, "No AppX package is staged (0 checked)"},
		"installed": {[]appxPackage{installed}, known, "", passed, "No AppX package is staged (1 checked)"},
		"staged": {[]appxPackage{installed, staged}, known, "", failed,
			"1 AppX package is in a staged state: Contoso.Writer"},
		"two staged":         {[]appxPackage{staged, forUser}, known, "", failed, "2 AppX packages are"},
		"staged, user known": {[]appxPackage{both}, known, "", inferred, "(1 checked)"},
		"staged, user not known": {[]appxPackage{both}, appxWanted{}, "", undetermined,
			"depends on the user: Contoso.Both_1.0.0.0_x64__abc. Name the WorkSpace's user with --user-name."},
		"installed, user not known": {[]appxPackage{installed}, appxWanted{}, "", passed, "(1 checked)"},
		"no user at all":            {[]appxPackage{staged}, appxWanted{}, "", failed, "Contoso.Writer"},
		"staged, profiles unread": {[]appxPackage{both}, appxWanted{Err: errors.New("the ProfileList is damaged")}, "",
			undetermined, "cannot tell whose AppX packages decide: the ProfileList is damaged"},
		"installed, profiles unread": {[]appxPackage{installed}, appxWanted{Err: errors.New("the ProfileList is damaged")},
			"", undetermined, "the ProfileList is damaged"},
		"for the user, not known":      {[]appxPackage{forUser}, appxWanted{}, "", undetermined, "Contoso.Player"},
		"a framework":                  {[]appxPackage{of(staged, appxFramework)}, known, "", failed, "Contoso.Writer"},
		"a resource package":           {[]appxPackage{of(staged, 4)}, known, "", passed, "(0 checked)"},
		"a bundle":                     {[]appxPackage{of(staged, 8)}, known, "", passed, "(0 checked)"},
		"a state that is not known":    {[]appxPackage{strange}, known, "", undetermined, "Contoso.Strange"},
		"such a state beside a staged": {[]appxPackage{strange, staged}, known, "", failed, "Contoso.Writer"},
		"of the administrator":         {[]appxPackage{admin}, known, "", failed, "Contoso.Admin"},
		"the script sees him": {[]appxPackage{admin}, named("adm"), "", failed,
			`looks for the text "adm", would decide otherwise for Contoso.Admin`},
		"the script sees a state": {[]appxPackage{staged}, named("stage"), "", failed, "would decide otherwise"},
		"the script sees nobody": {[]appxPackage{both}, appxWanted{SID: sidUser, Name: "jdoe", Basis: requirement.Observed},
			"", passed, "would decide otherwise for Contoso.Both"},
		"registry, staged": {[]appxPackage{staged}, known, "the database is not there", warning,
			"This is from the registry: the database is not there."},
		"registry, none staged": {[]appxPackage{installed}, known, "the database is not there", undetermined,
			"the database is not there"},
		"registry, user not known": {[]appxPackage{both}, appxWanted{}, "the database is not there", undetermined,
			"the database is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			o := judgeAppx(Appx{Packages: c.packages, Fallback: c.fallback, Evidence: []requirement.Evidence{evidence}}, c.user)
			check(t, appxStagedPackages, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
		})
	}
}

func TestAppxPerUser(t *testing.T) {
	inbox := pkg("Microsoft.Windows.Shell_1.0.0.0_neutral__xyz", appxUser{sidUser, appxInstalled})
	inbox.Inbox = true
	framework := pkg("Microsoft.VCLibs_1.0.0.0_x64__xyz", appxUser{sidUser, appxInstalled})
	framework.Type = appxFramework
	a := Appx{Provisioned: map[string]appxVersion{"contoso.all_abc": {1}}, Packages: []appxPackage{
		inbox, framework,
		pkg("Contoso.Reader_4.1.0.0_x64__abc", appxUser{sidUser, appxInstalled}),
		pkg("Contoso.All_1.0.0.0_x64__abc", appxUser{sidUser, appxInstalled}),
		pkg("Contoso.Staged_1.0.0.0_x64__abc", appxUser{sidUser, appxStaged}),
		pkg("Contoso.System_1.0.0.0_x64__abc", appxUser{sidSystem, appxInstalled}),
	}}
	if diff := cmp.Diff([]string{"Contoso.Reader_4.1.0.0_x64__abc"}, a.perUser()); diff != "" {
		t.Error(diff)
	}
	for full, want := range map[string]string{
		"Contoso.All_1.0.0.0_x64__abc":                "contoso.all_abc",
		"Contoso.All_2020.1.0.0_neutral_~_abc":        "contoso.all_abc",
		"Microsoft.X_1.0_neutral_neutral_cw5n1h2txye": "microsoft.x_cw5n1h2txye",
		"nothing": "nothing",
		"":        "",
	} {
		if got := appxFamily(full); got != want {
			t.Errorf("%q: %q, want %q", full, got, want)
		}
	}
}

func TestPerUserPackages(t *testing.T) {
	const provisioned = "contoso.all_abc"
	one := func(full string, users ...appxUser) []appxPackage { return []appxPackage{pkg(full, users...)} }
	mine := appxUser{sidUser, appxInstalled}
	inbox := pkg("Microsoft.Shell_1.0.0.0_neutral__xyz", mine)
	inbox.Inbox = true
	framework := pkg("Microsoft.VCLibs_1.0.0.0_x64__xyz", mine)
	framework.Type = appxFramework
	resource := pkg("Contoso.Reader_4.1.0.0_neutral_split.language-de_abc", mine)
	resource.Type = 0x4
	for name, c := range map[string]struct {
		appx Appx
		want verdict
		says string
	}{
		"none": {Appx{}, passed, "All AppX packages"},
		"of a user only": {Appx{Packages: one("Contoso.Reader_4.1.0.0_x64__abc", mine)}, warning,
			"Contoso.Reader_4.1.0.0_x64__abc"},
		"of another user only": {
			Appx{Packages: one("Contoso.Reader_4.1.0.0_x64__abc", appxUser{"S-1-5-21-9-9-9-1001", appxInstalled})}, warning,
			"Contoso.Reader"},
		"staged for a user": {
			Appx{Packages: one("Contoso.Reader_4.1.0.0_x64__abc", appxUser{sidUser, appxStaged})}, passed, ""},
		"of the system only": {
			Appx{Packages: one("Contoso.Reader_4.1.0.0_x64__abc", appxUser{sidSystem, appxInstalled})}, passed, ""},
		"provisioned":                    {Appx{Packages: one("Contoso.All_1.0.0.0_x64__abc", mine)}, passed, ""},
		"provisioned in a newer version": {Appx{Packages: one("Contoso.All_0.9.0.0_x64__abc", mine)}, passed, ""},
		"provisioned in an older version": {Appx{Packages: one("Contoso.All_131.0.2903.99_neutral__abc", mine)}, inferred,
			"newer version than the provisioned one: Contoso.All_131"},
		"one newer, one of a user only": {
			Appx{Packages: append(one("Contoso.All_131.0_x64__abc", mine), one("Contoso.Reader_1.0_x64__abc", mine)...)},
			warning, "Contoso.Reader_1.0"},
		"of Windows": {Appx{Packages: []appxPackage{inbox}}, passed, ""},
		"of the publisher of Windows": {
			Appx{Packages: one("Microsoft.LockApp_10.0.17763.1_neutral__cw5n1h2txyewy", mine)}, passed, ""},
		"a framework":        {Appx{Packages: []appxPackage{framework}}, passed, ""},
		"a resource package": {Appx{Packages: []appxPackage{resource}}, passed, ""},
		"no database":        {Appx{Fallback: "it is not there"}, undetermined, "it is not there"},
		"provisioned unread": {Appx{StoreErr: errHive, Packages: one("Contoso.All_1.0.0.0_x64__abc", mine)},
			undetermined, errHive.Error()},
		"provisioned unread, and no package": {Appx{StoreErr: errHive}, passed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.appx
			a.Evidence, a.Store = []requirement.Evidence{evidence}, evidence
			if a.StoreErr == nil {
				a.Provisioned = map[string]appxVersion{provisioned: {1}}
			}
			o := judgePerUserPackages(a, machine.System{Build: 17763})
			for i := range o.Evidence {
				o.Evidence[i] = evidence
			}
			check(t, sysprepCompatible, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
		})
	}
}

func TestAppxMended(t *testing.T) {
	a := Appx{Provisioned: map[string]appxVersion{"contoso.all_abc": {1}}, Packages: []appxPackage{
		pkg("Contoso.Reader_4.1.0.0_x64__abc", appxUser{sidUser, appxInstalled}),
		pkg("Contoso.Old_1.0.0.0_x64__abc", appxUser{sidUser, appxNotInstalled}),
	}}
	for full, want := range map[string]bool{
		"Contoso.Reader_4.1.0.0_x64__abc": false,
		"Contoso.Reader_3.0.0.0_x64__abc": false, // updated since, and still of the user only
		"contoso.reader_4.1.0.0_x64__ABC": false,
		"Contoso.Old_1.0.0.0_x64__abc":    true,
		"Contoso.Gone_1.0.0.0_x64__abc":   true,
		"Contoso.All_7.0.0.0_x64__abc":    true,
	} {
		if got := a.mended(full); got != want {
			t.Errorf("%s: %t", full, got)
		}
	}
	blind := Appx{Fallback: "not there"}
	if blind.mended("Contoso.Gone_1.0.0.0_x64__abc") {
		t.Error("mended without a database")
	}
}

func TestAppxVersion(t *testing.T) {
	for full, want := range map[string]appxVersion{
		"A_1.2.3.4_x64__p": {1, 2, 3, 4}, "A_131.0_x64__p": {131}, "A_x.2_x64__p": {0, 2}, "A": {}, "": {},
		"A_1.2.3.4.5_x64__p": {1, 2, 3}, "A_99999999999999999999.1__p": {math.MaxUint64, 1},
	} {
		if got := versionOfAppx(full); got != want {
			t.Errorf("%s: %v, want %v", full, got, want)
		}
	}
	if !(appxVersion{131, 0, 2903, 99}).newer(appxVersion{92, 0, 902, 67}) ||
		(appxVersion{1, 2}).newer(appxVersion{1, 2}) || (appxVersion{1, 9}).newer(appxVersion{1, 10}) {
		t.Error("versions are not compared by number")
	}
}

// TestAppxStagedInRegistry: the registry is a second witness of what is staged.
func TestAppxStagedInRegistry(t *testing.T) {
	resource := pkg("Contoso.Reader_4.1.0.0_neutral_split.scale-100_abc")
	resource.Type = 0x4
	a := Appx{Evidence: []requirement.Evidence{evidence}, Store: evidence, Packages: []appxPackage{
		pkg("Contoso.Mine_1.0.0.0_x64__abc", appxUser{sidUser, appxInstalled}), pkg("Contoso.Nobodys_1.0.0.0_x64__abc"),
		resource,
	}}
	got := a.unknown([]string{"CONTOSO.MINE_1.0.0.0_x64__abc", "Contoso.Nobodys_1.0.0.0_x64__abc", resource.FullName,
		"Contoso.Else_1.0.0.0_x64__abc"})
	if diff := cmp.Diff([]string{"Contoso.Else_1.0.0.0_x64__abc", "Contoso.Nobodys_1.0.0.0_x64__abc"}, got); diff != "" {
		t.Error(diff)
	}
	user := appxWanted{SID: sidUser, Name: "jdoe", Basis: requirement.Observed}
	check(t, appxStagedPackages, judgeAppx(a, user), passed)
	a.Staged = got
	check(t, appxStagedPackages, judgeAppx(a, user), undetermined)
	a.Packages = append(a.Packages, pkg("Contoso.Staged_1.0.0.0_x64__abc", appxUser{sidSystem, appxStaged}))
	check(t, appxStagedPackages, judgeAppx(a, user), failed)
	a.Packages, a.Staged, a.StoreErr = nil, nil, errHive
	check(t, appxStagedPackages, judgeAppx(a, user), undetermined)
}

func sidHex(sid string) string {
	var parts []uint32
	for _, p := range strings.Split(sid, "-")[3:] {
		var n uint32
		fmt.Sscan(p, &n)
		parts = append(parts, n)
	}
	b := []byte{1, byte(len(parts)), 0, 0, 0, 0, 0, 5}
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return "X'" + hex.EncodeToString(b) + "'"
}

var appxSchema = []string{
	"PRAGMA page_size = 512",
	"CREATE TABLE Package (_PackageID INTEGER PRIMARY KEY, _WorkId INTEGER, PackageFullName TEXT COLLATE NOCASE, " +
		"PackageType, IsInbox INTEGER)",
	"CREATE TABLE User (_UserID INTEGER PRIMARY KEY, UserSid BLOB)",
	"CREATE TABLE PackageUser (_PackageUserID INTEGER PRIMARY KEY, _WorkId INTEGER, Package INTEGER, User INTEGER, " +
		"DeploymentState INTEGER)",
	"CREATE TRIGGER T AFTER INSERT ON PackageUser WHEN is_srjournal_enabled() BEGIN SELECT now(); END",
	"INSERT INTO User VALUES (1, " + sidHex(sidSystem) + "), (2, " + sidHex(sidUser) + ")",
	"INSERT INTO Package VALUES (1, 0, 'A_1_x64__abc', 1, 0), (2, 0, 'B_1_x64__abc', 2, 1), (3, 9, 'C_1_x64__abc', 1, " +
		"NULL)",
	"DROP TRIGGER T",
	"INSERT INTO PackageUser VALUES (1, 0, 1, 1, 1), (2, 0, 1, 2, 2), (3, 0, 2, 2, 2), (4, 9, 2, 1, 1), (5, 0, 3, 1, 1)",
}

// stateRepository is a small database as Windows 10 has it.
func stateRepository(t testing.TB, more ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range append(appxSchema[:len(appxSchema):len(appxSchema)], more...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func packagesIn(ctx context.Context, data []byte) ([]appxPackage, error) {
	db, err := sqlitefs.Open(ctx, fstest.MapFS{"x": {Data: data}}, "x")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return readPackages(db)
}

func TestStateRepository(t *testing.T) {
	got, err := packagesIn(t.Context(), stateRepository(t))
	want := []appxPackage{
		{"A_1_x64__abc", 1, false, []appxUser{{sidSystem, appxStaged}, {sidUser, appxInstalled}}},
		{"B_1_x64__abc", 2, true, []appxUser{{sidUser, appxInstalled}}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for name, c := range map[string]struct {
		change string
		want   error
	}{
		"no table":               {"DROP TABLE User", sqlitefs.ErrMissing},
		"no column":              {"ALTER TABLE PackageUser RENAME COLUMN DeploymentState TO State", sqlitefs.ErrMissing},
		"no work column":         {"ALTER TABLE Package DROP COLUMN _WorkId", sqlitefs.ErrMissing},
		"no column that decides": {"ALTER TABLE Package DROP COLUMN IsInbox", nil},
		"package of nothing":     {"INSERT INTO PackageUser VALUES (9, 0, 8, 1, 1)", sqlitefs.ErrCorrupt},
		"user of nothing":        {"INSERT INTO PackageUser VALUES (9, 0, 1, 8, 1)", sqlitefs.ErrCorrupt},
		"no state":               {"INSERT INTO PackageUser VALUES (9, 0, 1, 1, NULL)", sqlitefs.ErrCorrupt},
		"a state of text":        {"INSERT INTO PackageUser VALUES (9, 0, 1, 1, 'x')", sqlitefs.ErrCorrupt},
		"no type":                {"UPDATE Package SET PackageType = NULL", sqlitefs.ErrCorrupt},
		"no name":                {"UPDATE Package SET PackageFullName = ''", sqlitefs.ErrCorrupt},
		"a name that fits":       {fmt.Sprintf("UPDATE Package SET PackageFullName = printf('%%%dd', 1)", maxAppxName), nil},
		"a name that is too long": {fmt.Sprintf("UPDATE Package SET PackageFullName = printf('%%%dd', 1)", maxAppxName+1),
			sqlitefs.ErrCorrupt},
		"a broken sid": {"UPDATE User SET UserSid = X'0102'", sqlitefs.ErrCorrupt},
		"a view":       {"ALTER TABLE User RENAME TO U; CREATE VIEW User AS SELECT * FROM U", sqlitefs.ErrUnsupported},
	} {
		_, err := packagesIn(t.Context(), stateRepository(t, c.change))
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAppxStore(t *testing.T) {
	const store = `SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore`
	m := registryOnly(map[string][]hivetest.Value{
		store + `\Staged\A_abc\A_1_x64__abc`:              nil,
		store + `\` + sidUser + `\A_1_x64__abc`:           nil,
		store + `\` + sidUser + `\B_1_x64__abc`:           nil,
		store + `\S-1-5-18\C_1_x64__abc`:                  nil,
		store + `\Applications\B_1_neutral_~_abc`:         nil,
		store + `\EndOfLife\` + sidUser + `\D_1_x64__abc`: nil,
	})
	k, err := m.Key(keyAppxStore)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.readAppxStore(k)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, p := range got {
		for _, u := range p.Users {
			states[p.FullName+" "+u.SID] = u.text("")
		}
	}
	want := map[string]string{
		"A_1_x64__abc " + sidSystem: sidSystem + " [Unknown user]: Staged",
		"A_1_x64__abc " + sidUser:   sidUser + " [Unknown user]: Installed",
		"B_1_x64__abc " + sidUser:   sidUser + " [Unknown user]: Installed",
		"C_1_x64__abc " + sidSystem: sidSystem + " [Unknown user]: Installed",
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
}

// FuzzStateRepository damages a database: what is read of it is packages of
// that machine, or an error. The damage is a row of three bytes, where (2) and
// what to change there.
func FuzzStateRepository(f *testing.F) {
	data := stateRepository(f)
	f.Add([]byte{})
	f.Add([]byte{0, 18, 3, 2, 3, 0xFF})
	f.Add([]byte{4, 1, 1, 6, 2, 0x80, 8, 30, 7})
	f.Fuzz(func(t *testing.T, damage []byte) {
		all := append([]byte(nil), data...)
		for ; len(damage) >= 3; damage = damage[3:] {
			all[(int(damage[0])<<8|int(damage[1]))%len(all)] ^= damage[2]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		packages, err := packagesIn(ctx, all)
		if err != nil {
			if !errors.Is(err, sqlitefs.ErrCorrupt) && !errors.Is(err, sqlitefs.ErrUnsupported) &&
				!errors.Is(err, sqlitefs.ErrMissing) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		for _, p := range packages {
			if p.FullName == "" || len(p.FullName) > maxAppxName {
				t.Errorf("a name of %d bytes", len(p.FullName))
			}
		}
		o := judgeAppx(Appx{Packages: packages, Evidence: []requirement.Evidence{evidence}},
			appxWanted{SID: sidUser, Name: "jdoe"})
		if strings.ContainsRune(o.Message, '\n') {
			t.Errorf("a message of several lines: %q", o.Message)
		}
	})
}
