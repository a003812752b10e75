package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A verdict is what a test expects of an outcome.
type verdict struct {
	status requirement.Status
	basis  requirement.Basis
}

var (
	passed       = verdict{requirement.Passed, requirement.Observed}
	inferred     = verdict{requirement.Passed, requirement.Inferred}
	stated       = verdict{requirement.Passed, requirement.Stated}
	failed       = verdict{requirement.Failed, requirement.Observed}
	warning      = verdict{requirement.Warning, requirement.Observed}
	skipped      = verdict{requirement.NotApplicable, ""}
	undetermined = verdict{requirement.Undetermined, ""}
)

// check compares an outcome with what is expected, and holds it to what every
// finding promises.
func check(t *testing.T, e entry, o requirement.Outcome, want verdict) {
	t.Helper()
	f := requirement.Find(e.Requirement, o)
	if got := (verdict{f.Status, f.Basis}); got != want {
		t.Errorf("%s: %+v, want %+v: %s", e.ID, got, want, f.Message)
	}
}

func number(n uint32) machine.Setting[uint32] {
	return machine.Setting[uint32]{Value: n, Present: true, Type: registry.DWord, Evidence: evidence}
}

func words(s string) machine.Setting[string] {
	return machine.Setting[string]{Value: s, Present: true, Type: registry.SZ, Evidence: evidence}
}

func absent[T any]() machine.Setting[T] { return machine.Setting[T]{Evidence: evidence} }

// evidence stands for whatever a fact was read from.
var evidence = requirement.Evidence{Source: "root", Path: "Windows/System32/config/SYSTEM"}

var (
	there   = machine.File{Exists: true, Size: 1, Evidence: evidence}
	missing = machine.File{Evidence: evidence}
)

var (
	server2019 = machine.System{ProductName: "Windows Server 2019 Datacenter", EditionID: "ServerDatacenter", Major: 10,
		Build: 17763, Evidence: []requirement.Evidence{evidence}}
	server2012 = machine.System{ProductName: "Windows Server 2012 Standard", Major: 6, Minor: 2, Build: 9200,
		Evidence: []requirement.Evidence{evidence}}
	server2008 = machine.System{ProductName: "Windows Server 2008 R2 Standard", Major: 6, Minor: 1, Build: 7601,
		Evidence: []requirement.Evidence{evidence}}
	windows7 = machine.System{ProductName: "Windows 7 Enterprise", Major: 6, Minor: 1, Build: 7601, Client: true,
		Evidence: []requirement.Evidence{evidence}}
	windows10 = machine.System{ProductName: "Windows 10 Enterprise", Major: 10, Build: 19045, Client: true,
		Evidence: []requirement.Evidence{evidence}}
)

func TestSupported(t *testing.T) {
	at := func(s machine.System, build int) machine.System { s.Build = build; return s }
	for name, c := range map[string]struct {
		system machine.System
		byol   string
		want   verdict
	}{
		"server 2019":                   {server2019, "", passed},
		"windows 10":                    {windows10, "", passed},
		"first build of windows 10":     {at(windows10, 10240), "", passed},
		"last build before":             {at(windows10, 10239), "", warning},
		"windows 8.1":                   {at(windows10, 9600), "", warning},
		"windows 8":                     {at(windows10, 9200), "", warning},
		"last build of windows 7":       {at(windows7, 9199), "", undetermined},
		"server 2008 r2":                {server2008, "", failed},
		"server 2008 r2, with own ones": {server2008, "image wsi-1", failed},
		"windows 7":                     {windows7, "", undetermined},
		"windows 7 with own licence":    {windows7, "image wsi-1", stated},
		"vista":                         {at(windows7, 6002), "", warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, osSupported, judgeSupported(c.system, c.byol), c.want) })
	}
	if got := at(windows10, 22631).Name(); got != "Windows 11 Enterprise" {
		t.Errorf("build 22631 is called %q", got)
	}
}

func TestFree(t *testing.T) {
	for name, c := range map[string]struct {
		free   int64
		modern bool
		want   verdict
	}{
		"nothing":        {0, true, failed},
		"2 GiB":          {2 << 30, true, failed},
		"12 GB":          {12_000_000_000, true, failed},
		"one byte below": {12_884_901_887, true, failed},
		"the bound":      {12_884_901_888, true, failed},
		"one byte above": {12_884_901_889, true, passed},
		"windows 7":      {12_884_901_888, false, failed},
	} {
		t.Run(name, func(t *testing.T) { check(t, diskFree, judgeFree(c.free, c.modern, evidence), c.want) })
	}
}

func TestStart(t *testing.T) {
	service := func(start uint32) machine.Service {
		return machine.Service{Name: "X", Start: number(start), Key: evidence}
	}
	manualOrAuto := startRule{name: "X", title: "X", allowed: []uint32{machine.StartAuto, machine.StartManual}}
	auto := startRule{name: "X", title: "X", allowed: []uint32{machine.StartAuto}}
	disabled := startRule{name: "X", title: "X", allowed: []uint32{machine.StartDisabled}, absent: true}
	deleted := service(machine.StartAuto)
	deleted.Deleted = true
	delayed := service(machine.StartAuto)
	delayed.Delayed = true
	for name, c := range map[string]struct {
		service  machine.Service
		rule     startRule
		policies []machine.Setting[uint32]
		want     verdict
	}{
		"auto":                       {service(2), manualOrAuto, nil, passed},
		"manual":                     {service(3), manualOrAuto, nil, passed},
		"disabled":                   {service(4), manualOrAuto, nil, failed},
		"system":                     {service(1), manualOrAuto, nil, failed},
		"no such type":               {service(5), manualOrAuto, nil, failed},
		"manual where auto is due":   {service(3), auto, nil, failed},
		"delayed counts as auto":     {delayed, auto, nil, passed},
		"not there":                  {machine.Service{Key: evidence}, auto, nil, failed},
		"marked for deletion":        {deleted, auto, nil, failed},
		"no start type":              {machine.Service{Name: "X", Start: absent[uint32](), Key: evidence}, auto, nil, failed},
		"policy agrees":              {service(2), auto, []machine.Setting[uint32]{number(2)}, passed},
		"policy will change it":      {service(2), auto, []machine.Setting[uint32]{number(4)}, warning},
		"agent disabled":             {service(4), disabled, nil, passed},
		"agent not there":            {machine.Service{Key: evidence}, disabled, nil, passed},
		"agent manual":               {service(3), disabled, nil, failed},
		"agent, policy turns it on":  {service(4), disabled, []machine.Setting[uint32]{number(2)}, warning},
		"agent auto, policy says no": {service(2), disabled, []machine.Setting[uint32]{number(4)}, failed},
	} {
		t.Run(name, func(t *testing.T) { check(t, ssmDisabled, judgeStart(c.service, c.rule, c.policies), c.want) })
	}
}

func TestRDS(t *testing.T) {
	start := requirement.Pass("manual", evidence)
	for name, c := range map[string]struct {
		dll          machine.Setting[string]
		program      machine.File
		deny, policy machine.Setting[uint32]
		want         verdict
	}{
		"allowed":                           {words("x"), there, number(0), absent[uint32](), passed},
		"denied":                            {words("x"), there, number(1), absent[uint32](), passed},
		"nothing written means denied":      {words("x"), there, absent[uint32](), absent[uint32](), passed},
		"policy allows over the setting":    {words("x"), there, number(1), number(0), passed},
		"policy denies over the setting":    {words("x"), there, number(0), number(1), passed},
		"no program named":                  {absent[string](), missing, number(0), absent[uint32](), failed},
		"the program's file is not there":   {words("x"), missing, number(0), absent[uint32](), failed},
		"no file, and connections denied":   {words("x"), missing, number(1), absent[uint32](), failed},
		"no file, and the policy allows it": {words("x"), missing, number(0), number(0), failed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, rdsEnabled, judgeRDS(start, c.dll, c.program, c.deny, c.policy), c.want)
		})
	}
}

func TestTemplateStart(t *testing.T) {
	template := "[Unicode]\r\nUnicode=yes\r\n[Service General Setting]\r\n\"TermService\",4,\"D:AR\"\r\n" +
		"WinRM,2,\"\"\r\n\"Broken\",x,\"\"\r\n[Registry Values]\r\n\"Later\",4,\"\"\r\n"
	for service, want := range map[string]struct {
		start uint32
		ok    bool
	}{"termservice": {4, true}, "WinRM": {2, true}, "Broken": {0, false}, "Later": {0, false}, "Absent": {0, false}} {
		start, ok := templateStarts(template)[strings.ToLower(service)]
		if start != want.start || ok != want.ok {
			t.Errorf("start type of %s: %d, %t", service, start, ok)
		}
	}
}

func TestPowerShell(t *testing.T) {
	for name, c := range map[string]struct {
		v3, v1  machine.Setting[string]
		program machine.File
		want    verdict
	}{
		"5.1":            {words("5.1.17763.1"), words("2.0"), there, passed},
		"3.0":            {words("3.0"), words("2.0"), there, passed},
		"2.0 under 3":    {words("2.9"), words("2.0"), there, failed},
		"2.0":            {absent[string](), words("2.0"), there, failed},
		"unregistered":   {absent[string](), absent[string](), there, failed},
		"not installed":  {absent[string](), absent[string](), missing, failed},
		"no program":     {words("5.1"), words("2.0"), missing, failed},
		"not a version":  {words("five"), words("2.0"), there, undetermined},
		"empty version":  {words(""), words("2.0"), there, undetermined},
		"7 in the key 3": {words("7.4.1"), absent[string](), there, passed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, powershellVersion, judgePowerShell(c.v3, c.v1, c.program, server2019, 3), c.want)
		})
	}
}

func TestExecutionPolicy(t *testing.T) {
	server2012R2 := machine.System{ProductName: "Windows Server 2012 R2", Build: 9600}
	for name, c := range map[string]struct {
		scopes []machine.Setting[string] // in the order of precedence
		system machine.System
		want   verdict
	}{
		"RemoteSigned":               {[]machine.Setting[string]{words("RemoteSigned")}, windows10, passed},
		"unrestricted, without case": {[]machine.Setting[string]{words("UNRESTRICTED")}, windows10, passed},
		"Bypass":                     {[]machine.Setting[string]{words("Bypass")}, server2019, warning},
		"AllSigned":                  {[]machine.Setting[string]{words("AllSigned")}, server2019, failed},
		"Restricted":                 {[]machine.Setting[string]{words("Restricted")}, server2019, failed},
		"the first that is set decides": {[]machine.Setting[string]{absent[string](), words("Restricted"),
			words("RemoteSigned")}, server2019, failed},
		"and the other way round": {[]machine.Setting[string]{absent[string](), words("RemoteSigned"),
			words("Restricted")}, server2019, passed},
		"Undefined, written": {[]machine.Setting[string]{words("Undefined"), words("RemoteSigned")},
			windows10, failed},
		"an unknown word": {[]machine.Setting[string]{words("Sometimes")}, server2019, failed},
		"a word behind one that decides": {[]machine.Setting[string]{words("RemoteSigned"), words("Sometimes")},
			windows10, passed},
		"an empty text is nothing": {[]machine.Setting[string]{words(""), words("RemoteSigned")}, windows10,
			passed},
		"blanks alone": {[]machine.Setting[string]{words(" "), words("RemoteSigned")}, windows10,
			failed},
		"default of a client":                {[]machine.Setting[string]{absent[string]()}, windows10, failed},
		"default of a server":                {[]machine.Setting[string]{absent[string]()}, server2019, inferred},
		"default of server 2012 R2":          {[]machine.Setting[string]{absent[string]()}, server2012R2, inferred},
		"default of server 2012":             {[]machine.Setting[string]{absent[string]()}, server2012, failed},
		"default of server 2008 R2":          {[]machine.Setting[string]{absent[string]()}, server2008, failed},
		"Default, written, on a client":      {[]machine.Setting[string]{words("Default")}, windows10, failed},
		"Default, written, on a server":      {[]machine.Setting[string]{words("Default")}, server2019, failed},
		"a word with a blank behind it":      {[]machine.Setting[string]{words("RemoteSigned ")}, server2019, failed},
		"no scope at all falls to a default": {nil, server2019, inferred},
	} {
		t.Run(name, func(t *testing.T) {
			var scopes []policyScope
			for _, s := range c.scopes {
				scopes = append(scopes, policyScope{"Scope", s})
			}
			if c.scopes == nil {
				scopes = []policyScope{{"Scope", absent[string]()}}
			}
			check(t, powershellPolicy, judgeExecutionPolicy(scopes, c.system), c.want)
		})
	}
}

// TestExecutionPolicyRemedy shows that the remedy names the scope that decides.
func TestExecutionPolicyRemedy(t *testing.T) {
	for name, whose := range map[string]string{"execpolicy-environment": "System variables",
		"execpolicy-user-environment": "User variables"} {
		if o := fixture(t, name).decideExecutionPolicy(); !strings.Contains(o.Remediation, whose) {
			t.Errorf("%s: %q", name, o.Remediation)
		}
	}
	for scope, want := range map[string]string{
		"MachinePolicy": "Computer Configuration", "UserPolicy": "User Configuration",
		"Process":     "PSExecutionPolicyPreference",
		"CurrentUser": "-Scope CurrentUser", "LocalMachine": "-Scope LocalMachine",
	} {
		for _, word := range []string{"Restricted", "Bypass", "Remote-Signed"} {
			o := judgeExecutionPolicy([]policyScope{{"Other", absent[string]()}, {scope, words(word)}}, server2019)
			if !strings.Contains(o.Remediation, want) {
				t.Errorf("%s, %s: %q", scope, word, o.Remediation)
			}
		}
	}
}

// TestEnableScripts reads the switch of the Group Policy in each type in which
// PowerShell understands it.
func TestEnableScripts(t *testing.T) {
	const key = `SOFTWARE\Policies\Microsoft\Windows\PowerShell`
	qword := hivetest.Value{Name: "EnableScripts", Type: uint32(registry.QWord), Data: []byte{1, 0, 0, 0, 0, 0, 0, 0}}
	raw := hivetest.Value{Name: "EnableScripts", Type: uint32(registry.Binary), Data: []byte{0, 0, 0, 0}}
	for name, c := range map[string]struct {
		values []hivetest.Value
		want   string
		err    bool
	}{
		"off": {[]hivetest.Value{dword("EnableScripts", 0)}, "Restricted", false},
		"on": {[]hivetest.Value{dword("EnableScripts", 1), sz("ExecutionPolicy", "AllSigned")},
			"AllSigned", false},
		"on, as a large number": {[]hivetest.Value{qword, sz("ExecutionPolicy", "AllSigned")}, "AllSigned", false},
		"off, as a text":        {[]hivetest.Value{sz("EnableScripts", "0")}, "Restricted", false},
		"on, without a policy":  {[]hivetest.Value{dword("EnableScripts", 1)}, "", false},
		"a number of no meaning": {[]hivetest.Value{dword("EnableScripts", 2), sz("ExecutionPolicy", "AllSigned")}, "",
			false},
		"bytes":                     {[]hivetest.Value{raw, sz("ExecutionPolicy", "AllSigned")}, "", false},
		"a policy that is a number": {[]hivetest.Value{dword("EnableScripts", 1), dword("ExecutionPolicy", 1)}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := registryOnly(map[string][]hivetest.Value{key: c.values}).policyOf(`HKLM\SOFTWARE`, "Machine")
			if s.Value != c.want && !c.err || (err != nil) != c.err {
				t.Errorf("%q, %v", s.Value, err)
			}
		})
	}
}

func TestProtocols(t *testing.T) {
	none := absent[uint32]()
	type side struct{ enabled, disabledByDefault machine.Setting[uint32] }
	unset := side{none, none}
	on := side{number(1), number(0)}
	for name, c := range map[string]struct {
		client, server side
		system         machine.System
		tls12, ssl3    verdict
	}{
		"nothing written, server 2019":      {unset, unset, server2019, inferred, inferred},
		"nothing written, windows 8 family": {unset, unset, server2012, inferred, inferred},
		"nothing written, windows 7 family": {unset, unset, server2008, failed, inferred},
		"nothing written, before windows 7": {unset, unset, machine.System{Build: 6002}, undetermined, inferred},
		"on":                                {on, on, server2019, passed, passed},
		"on with all bits": {side{number(0xffffffff), none}, side{number(0xffffffff), none}, server2019,
			passed, passed},
		"on, windows 7":                       {on, on, windows7, passed, passed},
		"windows 7 without DisabledByDefault": {side{number(1), none}, on, windows7, warning, passed},
		"windows 7, client only":              {on, unset, windows7, failed, inferred},
		"client off":                          {side{number(0), none}, unset, server2019, failed, failed},
		"server off":                          {unset, side{number(0), none}, server2019, failed, failed},
		"client not offered":                  {side{none, number(1)}, unset, server2019, failed, failed},
		"server not offered":                  {unset, side{none, number(1)}, server2019, warning, failed},
		"enabled but not offered":             {side{number(1), number(1)}, on, server2019, failed, failed},
		"only the client is written":          {on, unset, server2019, inferred, inferred},
	} {
		t.Run(name, func(t *testing.T) {
			client := protocolSide{"Client", c.client.enabled, c.client.disabledByDefault}
			server := protocolSide{"Server", c.server.enabled, c.server.disabledByDefault}
			check(t, tls12, judgeTLS12(client, server, c.system), c.tls12)
			check(t, ssl3, judgeSSL3(client, server, c.system), c.ssl3)
		})
	}
}

func TestPath(t *testing.T) {
	env := machine.Environment{"SYSTEMROOT": `C:\Windows`, "WINDIR": `C:\Windows`}
	expand := func(s string) machine.Setting[string] { p := words(s); p.Type = registry.ExpandSZ; return p }
	for name, c := range map[string]struct {
		path machine.Setting[string]
		want verdict
	}{
		"as Windows writes it": {
			expand(`%SystemRoot%\system32;%SystemRoot%;%SystemRoot%\System32\WindowsPowerShell\v1.0\`), passed},
		"without variables":         {words(`C:\Windows\System32;C:\Windows\System32\WindowsPowerShell\v1.0`), passed},
		"other slashes and dots":    {words(`C:/Windows/./System32/;C:\Windows\\System32\WindowsPowerShell\v1.0\`), passed},
		"blanks around the entries": {words(` C:\Windows\System32 ; C:\Windows\System32\WindowsPowerShell\v1.0 `), passed},
		"variables in a plain text": {words(`%SystemRoot%\system32;%SystemRoot%\System32\WindowsPowerShell\v1.0\`), failed},
		"no PowerShell":             {expand(`%SystemRoot%\system32;%SystemRoot%`), failed},
		"no System32":               {expand(`%SystemRoot%;%SystemRoot%\System32\WindowsPowerShell\v1.0\`), failed},
		"SysWOW64 does not count": {
			words(`C:\Windows\SysWOW64;C:\Windows\Sysnative;C:\Windows\System32\WindowsPowerShell\v1.0`), failed},
		"only in quotes": {words(`"C:\Windows\System32";C:\Windows\System32\WindowsPowerShell\v1.0`), warning},
		"in quotes and without": {words(
			`"C:\Windows\System32";C:\Windows\System32;C:\Windows\System32\WindowsPowerShell\v1.0`), passed},
		"empty":     {words(""), failed},
		"not there": {absent[string](), failed},
	} {
		t.Run(name, func(t *testing.T) { check(t, envPath, judgePath(c.path, env), c.want) })
	}
}

// TestWorse takes the outcome that counts of those of two control sets.
func TestWorse(t *testing.T) {
	ev := func(key string) requirement.Evidence { return requirement.Evidence{Source: machine.RoleRoot, Key: key} }
	outcomes := map[string]requirement.Outcome{
		"failed": requirement.Fail("f", ev("A")), "warning": requirement.Warn("w", ev("A")),
		"undetermined": requirement.Unknown("u"),
		"passed":       requirement.Pass("p", ev("A")), "inferred": requirement.Infer("i", ev("A")),
		"not applicable": requirement.Skip("n"),
	}
	order := []string{"failed", "warning", "undetermined", "inferred", "passed", "not applicable"}
	for i, a := range order {
		for j, b := range order {
			got := Worse(outcomes[a], outcomes[b])
			want := outcomes[order[min(i, j)]]
			if got.Status != want.Status || got.Basis != want.Basis || got.Message != want.Message {
				t.Errorf("%s, then %s: %s %s %q", a, b, got.Status, got.Basis, got.Message)
			}
		}
	}
	if both := Worse(outcomes["passed"], requirement.Pass("p", ev("B"))); len(both.Evidence) != 2 {
		t.Errorf("evidence of a pass by both: %v", both.Evidence)
	}
}

// TestProtocolRemedy makes sure that a remedy names the side that has to change, and
// both where one is not enough.
func TestProtocolRemedy(t *testing.T) {
	on := protocolSide{Name: "Client", Enabled: number(1), DisabledByDefault: number(0)}
	off := protocolSide{Name: "Server", Enabled: number(0), DisabledByDefault: absent[uint32]()}
	offToo := protocolSide{Name: "Client", Enabled: absent[uint32](), DisabledByDefault: number(1)}
	unset := protocolSide{Name: "Server", Enabled: absent[uint32](), DisabledByDefault: absent[uint32]()}
	seven := server2019
	seven.Build = machine.Build8 - 1
	for name, c := range map[string]struct {
		protocol string
		sides    [2]protocolSide
		system   machine.System
		want     string
	}{
		"neither":          {protocolTLS12, [2]protocolSide{on, unset}, server2019, ""},
		"both":             {protocolSSL3, [2]protocolSide{offToo, off}, server2019, ""},
		"server":           {protocolTLS12, [2]protocolSide{on, off}, server2019, `TLS 1.2\Server.`},
		"client":           {protocolSSL3, [2]protocolSide{offToo, unset}, server2019, `SSL 3.0\Client,`},
		"server, 7":        {protocolTLS12, [2]protocolSide{on, off}, seven, ""},
		"server, 7, SSL 3": {protocolSSL3, [2]protocolSide{on, off}, seven, `SSL 3.0\Server,`},
	} {
		got := protocolRemedy(c.protocol, c.sides, c.system)
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
