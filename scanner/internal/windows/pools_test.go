package windows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// severity is that of a finding with an outcome.
func severity(e entry, o requirement.Outcome) requirement.Severity {
	return requirement.Find(e.Requirement, o).Requirement.Severity
}

func TestPoolsSupported(t *testing.T) {
	t.Parallel()
	edition := func(s machine.System, id string) machine.System { s.EditionID = id; return s }
	for name, c := range map[string]struct {
		system machine.System
		want   verdict
	}{
		"server 2019":            {server2019, passed},
		"server 2022":            {ofBuild(server2019, 20348), passed},
		"server 2016":            {ofBuild(server2019, 14393), failed},
		"server 2025":            {ofBuild(server2019, 26100), failed},
		"windows 10 22H2":        {windows10, passed},
		"windows 10 21H2":        {ofBuild(windows10, 19044), warning},
		"windows 10 ltsc 2019":   {edition(ofBuild(windows10, 17763), "EnterpriseS"), warning},
		"windows 10 ltsc of iot": {edition(ofBuild(windows10, 19044), "IoTEnterpriseS"), warning},
		"windows 11 21H2":        {ofBuild(windows11, 22000), warning},
		"windows 11 22H2":        {ofBuild(windows11, 22621), passed},
		"windows 11 23H2":        {windows11, passed},
		"windows 11 24H2":        {ofBuild(windows11, 26100), passed},
		"windows 11 25H2":        {ofBuild(windows11, 26200), passed},
		"windows 8.1":            {ofBuild(windows7, 9600), failed},
		"windows 7":              {windows7, failed},
	} {
		t.Run(name, func(t *testing.T) { check(t, poolsSupported, judgePoolsSupported(c.system), c.want) })
	}
}

func TestPoolsDCV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p      protocols
		server machine.File
		want   verdict
	}{
		"dcv":                      {protocols{pcoipNone, dcvAuto}, there, passed},
		"both":                     {protocols{pcoipAuto, dcvAuto}, there, passed},
		"only pcoip":               {protocols{pcoipAuto, dcvNone}, missing, failed},
		"pcoip, and files of dcv":  {protocols{pcoipAuto, dcvNone}, there, failed},
		"dcv disabled":             {protocols{pcoipNone, dcvDisabled}, there, warning},
		"dcv disabled, and pcoip":  {protocols{pcoipAuto, dcvDisabled}, there, warning},
		"files without a service":  {protocols{pcoipNone, dcvNone}, there, warning},
		"neither":                  {protocols{pcoipNone, dcvNone}, missing, undetermined},
		"dcv without its programs": {protocols{pcoipNone, dcvWithoutFile}, missing, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, poolsDCV, judgePoolsDCV(c.p, c.server), c.want) })
	}
}

func TestPoolsUpdates(t *testing.T) {
	t.Parallel()
	recent, old := requirement.Infer("recent", evidence), requirement.Warn("old", evidence)
	unknown := requirement.Unknown("no update")
	waiting := PendingReboot{Servicing: []pendingTrace{{What: "RebootPending", Evidence: evidence}}}
	likely := PendingReboot{Likely: waiting.Servicing}
	for name, c := range map[string]struct {
		age     requirement.Outcome
		pending PendingReboot
		want    verdict
	}{
		"recent":          {recent, PendingReboot{}, inferred},
		"recent, waiting": {recent, waiting, warning},
		"recent, likely":  {recent, likely, warning},
		"old":             {old, PendingReboot{}, warning},
		"unknown":         {unknown, PendingReboot{}, undetermined},
		"unknown, one is": {unknown, waiting, warning},
	} {
		for _, s := range []machine.System{server2019, windows11} {
			o := judgePoolsUpdates(s, c.age, c.pending)
			check(t, poolsUpdates, o, c.want)
			if want := map[bool]requirement.Severity{true: requirement.Required,
				false: requirement.Recommended}[s.Client]; severity(
				poolsUpdates, o) != want {
				t.Errorf("%s, client %t: %s", name, s.Client, severity(poolsUpdates, o))
			}
		}
	}
}

func TestNoAutoUpdate(t *testing.T) {
	t.Parallel()
	text := func(s string) autoUpdate {
		return autoUpdate{Value: machine.Setting[uint32]{OtherType: true, Type: registry.SZ, Evidence: evidence},
			Text: words(s)}
	}
	for name, c := range map[string]struct {
		a              autoUpdate
		client, server verdict
	}{
		"on":                      {autoUpdate{Value: number(1)}, passed, passed},
		"zero":                    {autoUpdate{Value: number(0)}, failed, warning},
		"two":                     {autoUpdate{Value: number(2)}, failed, warning},
		"not set":                 {autoUpdate{Value: absent[uint32]()}, failed, warning},
		"a text":                  {text("1"), warning, warning},
		"another text":            {text("0"), failed, warning},
		"the policy file differs": {autoUpdate{Value: number(1), File: "0"}, warning, warning},
		"the file is unreadable":  {autoUpdate{Value: number(1), Err: errors.New("x")}, undetermined, undetermined},
		"zero, and it is too":     {autoUpdate{Value: number(0), Err: errors.New("x")}, failed, warning},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, poolsNoAutoUpdate, judgeNoAutoUpdate(windows11, c.a), c.client)
			check(t, poolsNoAutoUpdate, judgeNoAutoUpdate(server2019, c.a), c.server)
		})
	}
}

func TestDefender(t *testing.T) {
	t.Parallel()
	of := func(start uint32, paths ...string) defender {
		d := defender{Service: machine.Service{Name: "WinDefend", Start: number(start), Key: evidence},
			Looked: []requirement.Evidence{evidence}}
		for _, p := range paths {
			d.Exclusions = append(d.Exclusions, exclusion{p, evidence})
		}
		return d
	}
	asWritten := []string{`C:\Program Files\Amazon\`, `C:\ProgramData\Amazon\*`, `C:\Program Files\NICE\`,
		`C:\ProgramData\NICE\*`, `C:\Program Files (x86)\AWS Tools\*`, `C:\Program Files (x86)\AWS SDK for .NET\*`,
		`C:\AWSEUC\`}
	parents := []string{`c:\program files`, `C:\PROGRAMDATA\`, `C:/Program Files (x86)/*`, `C:\AWSEUC`}
	for name, c := range map[string]struct {
		d              defender
		client, server verdict
	}{
		"as AWS writes them":      {of(2, asWritten...), passed, passed},
		"parents":                 {of(2, parents...), passed, passed},
		"drive C":                 {of(2, `C:\`), passed, passed},
		"one missing":             {of(2, asWritten[1:]...), failed, warning},
		"only a child":            {of(2, append(slices.Clone(asWritten[1:]), `C:\Program Files\Amazon\SSM`)...), failed, warning},
		"a longer name":           {of(2, append(slices.Clone(asWritten[1:]), `C:\Program Files\Amazon2`)...), failed, warning},
		"a shorter name":          {of(2, append(slices.Clone(asWritten[1:]), `C:\Program Files\Ama`)...), failed, warning},
		"an empty path":           {of(2, ""), failed, warning},
		"only a star":             {of(2, "*"), failed, warning},
		"none":                    {of(2), failed, warning},
		"defender disabled":       {of(4), skipped, skipped},
		"defender is not there":   {defender{Service: machine.Service{Key: evidence}}, skipped, skipped},
		"manual start counts too": {of(3), failed, warning},
		"marked for deletion": {defender{Service: machine.Service{Name: "WinDefend", Deleted: true, Key: evidence}},
			skipped, skipped},
		"exclusions of other ones": {of(2, `D:\Program Files`), failed, warning},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, poolsDefender, judgeDefender(windows11, c.d), c.client)
			check(t, poolsDefender, judgeDefender(server2019, c.d), c.server)
		})
	}
}

func TestStartup(t *testing.T) {
	t.Parallel()
	program := func(name string) startProgram {
		return startProgram{name, strings.Contains(name, "OneDrive"), evidence}
	}
	for name, c := range map[string]struct {
		s    startupPrograms
		want verdict
	}{
		"none":          {startupPrograms{}, passed},
		"one":           {startupPrograms{List: []startProgram{program("startup program Slack")}}, warning},
		"only OneDrive": {startupPrograms{List: []startProgram{program("startup program OneDrive")}}, passed},
		"unreadable":    {startupPrograms{Err: errors.New("x")}, undetermined},
		"one, and unreadable": {startupPrograms{List: []startProgram{program("task Backup")}, Err: errors.New("x")},
			warning},
		"OneDrive, unreadable": {startupPrograms{List: []startProgram{program("OneDrive")}, Err: errors.New("x")},
			undetermined},
		"several, one of which": {startupPrograms{List: []startProgram{program("A"), program("OneDrive")}}, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, poolsStartup, judgeStartup(c.s), c.want) })
	}
	for name, want := range map[string]bool{"SecurityHealth": true, "Amazon Ec2 Launch": true, "Slack": false,
		"Zamazon": false} {
		if expectedStart(name, `"C:\x\y.exe"`) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	if !expectedStart("Agent", `C:\Program Files\amazon\x.exe`) || expectedStart("Agent", `C:\Program Files\Amazonia\x.exe`) {
		t.Error("the folder of a program is not recognized")
	}
}

// config is a configuration of session scripts with these scripts for the start.
func config(waiting any, scripts ...map[string]any) string {
	text, err := json.Marshal(map[string]any{"SessionStart": map[string]any{"executables": scripts,
		"waitingTime": waiting}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func script(context, name, arguments string) map[string]any {
	return map[string]any{"context": context, "filename": name, "arguments": arguments, "s3LogEnabled": true}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	const bat = `C:\Scripts\start.bat`
	user, system := script("user", bat, ""), script("system", bat, "")
	long := func(n int) string { return `C:\` + strings.Repeat("x", n-7) + ".bat" }
	for name, c := range map[string]struct {
		text string
		want int // problems
	}{
		"one for each":               {config(60, user, system), 0},
		"61 seconds":                 {config(61, user), 1},
		"minus one":                  {config(-1, user), 1},
		"none":                       {`{}`, 0},
		"nothing for an event":       {`{"SessionStart": {"executables": []}}`, 0},
		"names in another case":      {`{"sessionstart": {"Executables": [{"Context": "User"}]}}`, 0},
		"three":                      {config(1, user, system, user), 1},
		"two for the user":           {config(1, user, user), 1},
		"another context":            {config(1, script("admin", bat, "")), 1},
		"no context":                 {`{"SessionStart": {"executables": [{}]}}`, 1},
		"1,000 characters":           {config(1, script("user", long(1000), strings.Repeat("ä", 1000))), 0},
		"1,001 characters":           {config(1, script("user", long(1001), strings.Repeat("ä", 1001))), 2},
		"a text for the log":         {`{"SessionTermination": {"executables": [{"context": "user", "s3LogEnabled": "True"}]}}`, 1},
		"a number for a list":        {`{"SessionStart": {"executables": 1}}`, -1},
		"not JSON":                   {`{"SessionStart": {`, -1},
		"single backslashes":         {`{"SessionStart": {"executables": [{"filename": "C:\Scripts"}]}}`, -1},
		"text behind it":             {`{} {}`, -1},
		"empty":                      {"", -1},
		"a list":                     {`[]`, -1},
		"with a mark":                {"\xEF\xBB\xBF" + config(1, user), 0},
		"utf-16":                     {"\xFF\xFE" + string(utf16LE(config(1, user))), 0},
		"many scripts are one thing": {config(1, slices.Repeat([]map[string]any{user}, 5000)...), 1},
	} {
		s, err := parseSessions([]byte(c.text))
		got := append(s.SessionStart.problems("SessionStart"), s.SessionTermination.problems("SessionTermination")...)
		if (err != nil) != (c.want < 0) || err == nil && len(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	find := func(win string) (machine.File, error) {
		switch win {
		case bat:
			return there, nil
		case `C:\damaged.bat`:
			return machine.File{}, errors.New("x")
		}
		return missing, nil
	}
	for path, want := range map[string]bool{bat: true, `C:\gone.bat`: false, `D:\x.bat`: false, `\\server\share\x.exe`: false,
		`C:\x.ps1`: false, `x.bat`: false, `C:\damaged.bat`: true} {
		problem, _, err := sessionFile(path, find)
		if (problem == "") != want || (err != nil) != strings.Contains(path, "damaged") {
			t.Errorf("%s: %q, %v", path, problem, err)
		}
	}
	for name, c := range map[string]struct {
		s    sessionState
		want verdict
	}{
		"no file":                {sessionState{File: missing}, passed},
		"valid":                  {sessionState{File: there, Count: 2}, passed},
		"valid, and no script":   {sessionState{File: there}, passed},
		"a problem":              {sessionState{File: there, Problems: []string{"x"}}, warning},
		"unreadable":             {sessionState{File: missing, Err: errors.New("x")}, undetermined},
		"a script is unreadable": {sessionState{File: there, Count: 1, Err: errors.New("x")}, undetermined},
		"both":                   {sessionState{File: there, Problems: []string{"x"}, Err: errors.New("x")}, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, poolsSessions, judgeSessions(c.s), c.want) })
	}
}

func FuzzSessions(f *testing.F) {
	f.Add([]byte(config(1, script("user", `C:\x.bat`, ""))))
	f.Add([]byte(`{"SessionStart": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSessions(data)
		if err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
		if n := len(s.SessionStart.problems("x")); n > 4*maxNamed+3 {
			t.Errorf("%d problems", n)
		}
	})
}

func TestPoolsProfile(t *testing.T) {
	t.Parallel()
	p := programsOfUser{User: `D:\Users\jdoe`, Looked: []requirement.Evidence{evidence}, Basis: requirement.Observed}
	check(t, poolsProfile, judgePoolsProfile(p), passed)
	p.Basis = requirement.Inferred
	check(t, poolsProfile, judgePoolsProfile(p), inferred)
	for i := range 3 {
		p.Names, p.Evidence = append(p.Names, fmt.Sprint("App ", i)), append(p.Evidence, evidence)
	}
	check(t, poolsProfile, judgePoolsProfile(p), warning)
}

// TestStartsOfFixture finds no program in the fixture that only has AWS's.
func TestStartsOfFixture(t *testing.T) {
	t.Parallel()
	check(t, poolsStartup, fixture(t, "ready").decideStartup(), passed)
	check(t, poolsProfile, fixture(t, "ready").decidePoolsProfile(), inferred)
}
