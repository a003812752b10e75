package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/requirement/requirementtest"
)

var errTorn = errors.New("torn")

func TestGuests(t *testing.T) {
	list := func(sids ...string) membership {
		m := membership{Written: time.Date(2026, 1, 14, 0, 0, 0, 0, time.UTC), Evidence: evidence}
		for _, s := range sids {
			m.Groups = append(m.Groups, words(s))
		}
		return m
	}
	for name, c := range map[string]struct {
		lists  []membership
		unread error
		want   verdict
	}{
		"users":                       {[]membership{list("S-1-5-21-1-2-3-513")}, nil, passed},
		"an empty list":               {[]membership{list()}, nil, passed},
		"guests":                      {[]membership{list("S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-514")}, nil, warning},
		"guests in the second list":   {[]membership{list("S-1-5-21-1-2-3-513"), list("S-1-5-21-1-2-3-514")}, nil, warning},
		"guests beside damage":        {[]membership{list("S-1-5-21-1-2-3-514")}, errTorn, warning},
		"damage":                      {[]membership{list("S-1-5-21-1-2-3-513")}, errTorn, undetermined},
		"no list":                     {nil, nil, undetermined},
		"guests of the machine":       {[]membership{list(" s-1-5-32-546 ")}, nil, warning},
		"a local group of number 514": {[]membership{list("S-1-5-32-514")}, nil, passed},
		"the number before":           {[]membership{list("S-1-5-21-1-2-3-513")}, nil, passed},
		"the number behind":           {[]membership{list("S-1-5-21-1-2-3-515")}, nil, passed},
		"the number as an end":        {[]membership{list("S-1-5-21-1-2-3-1514")}, nil, passed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, userDomainGuests, judgeGuests(c.lists, []requirement.Evidence{evidence}, c.unread), c.want)
		})
	}
}

// TestGroupLimit reads as many groups as a token holds, one less and one more.
func TestGroupLimit(t *testing.T) {
	for count, whole := range map[int]bool{maxGroups - 1: true, maxGroups: true, maxGroups + 1: false} {
		values := []hivetest.Value{dword("Count", uint32(count))}
		for i := range count {
			values = append(values, sz(fmt.Sprintf("Group%d", i), "S-1-1-0"))
		}
		m := registryOnly(map[string][]hivetest.Value{`SOFTWARE\GroupMembership`: values})
		list, _, err := m.readMembership(`HKLM\SOFTWARE\GroupMembership`)
		if (err == nil) != whole || whole && len(list.Groups) != count {
			t.Errorf("%d groups: %v", count, err)
		}
	}
}

func TestPolicies(t *testing.T) {
	domain := appliedPolicy{Name: "Default Domain Policy", GUID: strings.ToLower(defaultDomainPolicy), Evidence: evidence}
	own := appliedPolicy{Name: "Lockdown", GUID: "{7D2C5A1E-3B4F-4C6D-8E9F-0A1B2C3D4E5F}", Evidence: evidence}
	local := appliedPolicy{Name: "Local Group Policy", local: true, Evidence: evidence}
	set := policyFile{Path: "Windows/System32/GroupPolicy/Machine/Registry.pol",
		Entries: []registry.PolEntry{{Key: "k", Value: "v"}}}
	empty := policyFile{Path: set.Path}
	for name, c := range map[string]struct {
		p    policies
		want verdict
	}{
		"nothing":                {policies{}, passed},
		"the default one":        {policies{Applied: []appliedPolicy{domain}}, passed},
		"the local one":          {policies{Applied: []appliedPolicy{local}, Local: []policyFile{empty}}, passed},
		"the local one, set":     {policies{Local: []policyFile{set}}, warning},
		"one of one's own":       {policies{Applied: []appliedPolicy{domain, own}}, warning},
		"the same beside damage": {policies{Applied: []appliedPolicy{own}, Unread: errTorn}, warning},
		"damage":                 {policies{Applied: []appliedPolicy{domain}, Unread: errTorn}, undetermined},
		"a certificate template": {policies{RDP: []requirement.Evidence{evidence}}, warning},
		"one, and not all read":  {policies{RDP: []requirement.Evidence{evidence}, Unread: errHive}, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, gpoNone, judgePolicies(c.p), c.want) })
	}
	for name, want := range map[string]string{
		"cn={7D2C5A1E-3B4F},cn=policies,cn=system": "{7D2C5A1E-3B4F}", "LocalGPO": "LocalGPO", "{open": "{open", "": "",
	} {
		if got := policyGUID(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestUpdates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(age ...time.Duration) (list []update) {
		for _, a := range age {
			list = append(list, update{"Package_for_RollupFix", now.Add(-a), evidence})
		}
		return list
	}
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		updates []update
		want    verdict
	}{
		"none":                       {nil, undetermined},
		"today":                      {at(0), inferred},
		"sixty days":                 {at(60 * day), inferred},
		"a little less":              {at(60*day - time.Second), inferred},
		"a little more":              {at(60*day + time.Second), warning},
		"an old one beside a recent": {at(300*day, day), inferred},
		"a recent one before an old": {at(day, 300*day), inferred},
		"the future":                 {at(-day), inferred},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, bpUpdates, judgeUpdates(server2019, c.updates, now, evidence), c.want)
			requirementtest.Until(t, now, func(now time.Time) requirement.Outcome {
				return judgeUpdates(server2019, c.updates, now, evidence)
			})
		})
	}
	if got := filetime.Exact(0x1dc853429c76800).Format(time.RFC3339); got != "2026-01-14T09:00:00Z" {
		t.Errorf("file time %s", got)
	}
}

func TestAntivirus(t *testing.T) {
	on, off := antivirus{"Falcon", true, []requirement.Evidence{evidence}, false},
		antivirus{"Sophos", false, []requirement.Evidence{evidence}, false}
	for name, c := range map[string]struct {
		found  []antivirus
		unread error
		want   verdict
	}{
		"none":              {nil, nil, passed},
		"enabled":           {[]antivirus{off, on}, nil, warning},
		"enabled, damage":   {[]antivirus{on}, errTorn, warning},
		"disabled":          {[]antivirus{off}, nil, passed},
		"disabled, damage":  {[]antivirus{off}, errTorn, undetermined},
		"none, with damage": {nil, errTorn, undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, bpAntivirus, judgeAntivirus(c.found, c.unread, []requirement.Evidence{evidence}), c.want)
		})
	}
	for altitude, want := range map[string]bool{
		"319999": false, "320000": true, "328010": true, "329999": true, "329999.99": true, "330000": false,
		" 321000.5 ": true, "": false, "32800x": false, "-321000": false,
	} {
		if got := isAntivirusAltitude(altitude); got != want {
			t.Errorf("altitude %q: %t", altitude, got)
		}
	}
	for name, want := range map[string]bool{"AVP": true, "avp21.3": true, "AV": false, "Antivirus4Service": true,
		"AntivirusService": true, "AntiviruService": false, "mcshield": true, "McShield2": false} {
		if got := slices.ContainsFunc(antivirusServices,
			func(known string) bool { return matchesFold(name, known) }); got != want {
			t.Errorf("service %s: %t", name, got)
		}
	}
	for name, want := range map[string]bool{"Windows Defender": true, "Microsoft Defender Antivirus": true,
		"Contoso for Windows Defender": false} {
		if microsoftAntivirus(name) != want {
			t.Errorf("product %s", name)
		}
	}
}

// TestAntivirusOf reads services of known names that are damaged: whether they
// start is not known then.
func TestAntivirusOf(t *testing.T) {
	m := registryOnly(nil)
	known := machine.Service{Name: "McShield", Type: number(0x10), Start: number(machine.StartDisabled), Key: evidence}
	if a, err := m.antivirusOf(known); err != nil || a == nil || a.Enabled {
		t.Errorf("disabled: %+v, %v", a, err)
	}
	for name, change := range map[string]func(*machine.Service){
		"damaged":         func(s *machine.Service) { s.Err = errTorn },
		"without a start": func(s *machine.Service) { s.Start = absent[uint32]() },
	} {
		s := known
		change(&s)
		if a, err := m.antivirusOf(s); err == nil || a != nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a, err := m.antivirusOf(machine.Service{Name: "Spooler", Type: number(0x10),
		Start: number(machine.StartAuto)}); a != nil || err != nil {
		t.Errorf("another service: %+v, %v", a, err)
	}
}

func TestParseFirewallRule(t *testing.T) {
	r, active := parseFirewallRule(
		`v2.28|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=80|LPort2_10=4000-5000|App=C:\a\b.exe|Profile=Domain|Profile=Public|RA4=10.0.0.1|Name=x|`)
	if !active || !r.Block || r.Protocol != 6 || !slices.Equal(r.Ports, []string{"80", "4000-5000"}) ||
		r.Program != "b.exe" || len(r.Profiles) != 2 || !r.Addresses || r.Name != "x" {
		t.Errorf("%+v, %t", r, active)
	}
	for text, want := range map[string]bool{
		"":                                 false,
		"v2.28|Action=Allow|Dir=In":        false,
		"v2.28|Active=TRUE|Dir=Out":        false,
		"v2.28|Active=true|Dir=IN|LPort=1": true,
	} {
		if _, active := parseFirewallRule(text); active != want {
			t.Errorf("%q: %t", text, active)
		}
	}
	if r, _ := parseFirewallRule("v2.28|Active=TRUE|Dir=In|Protocol=ICMP"); r.Protocol == 0 {
		t.Error("a protocol that is no number counts for any")
	}
	for text, want := range map[string]bool{"4172": true, "4171": false, "4173": false, "4172-4172": true,
		"4000-4171": false, "4173-5000": false, "4171-4173": true, "RPC": false, "1-": false, "": false} {
		if holdsPort(text, 4172) != want {
			t.Errorf("ports %q", text)
		}
	}
}

func FuzzFirewallRule(f *testing.F) {
	f.Add(`v2.28|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=80|App=C:\a\b.exe|Name=x|`)
	f.Add("v2.28|Active\v =TRUE|Dir=In")
	f.Fuzz(func(t *testing.T, text string) {
		r, active := parseFirewallRule(text)
		if active && !strings.Contains(strings.ToLower(strings.Join(strings.Fields(text), "")), "active=true") {
			t.Errorf("%+v", r)
		}
		r.covers(pcoipPorts[0], firewallProfile{Name: "Public", LocalRules: true})
	})
}

func TestFirewall(t *testing.T) {
	needed := []port{{protocolTCP, 4172, pcoipPrograms}}
	public := firewallProfile{Name: "Public", Enabled: true, LocalRules: true, Evidence: evidence}
	allow := firewallRule{Protocol: protocolTCP, Ports: []string{"4172"}, Evidence: evidence}
	block := firewallRule{Protocol: protocolTCP, Ports: []string{"4172"}, Block: true, Evidence: evidence}
	with := func(r firewallRule, change func(*firewallRule)) firewallRule { change(&r); return r }
	profile := func(change func(*firewallProfile)) []firewallProfile {
		p := public
		change(&p)
		return []firewallProfile{p}
	}
	for name, c := range map[string]struct {
		state firewallState
		want  verdict
	}{
		"the service is off": {firewallState{Off: &evidence}, passed},
		"no profile is on":   {firewallState{Profiles: profile(func(p *firewallProfile) { p.Enabled = false })}, passed},
		"no rule":            {firewallState{Profiles: []firewallProfile{public}}, warning},
		"no rule, open":      {firewallState{Profiles: profile(func(p *firewallProfile) { p.Open = true })}, passed},
		"allowed":            {firewallState{Profiles: []firewallProfile{public}, Rules: []firewallRule{allow}}, passed},
		"allowed and blocked": {firewallState{Profiles: []firewallProfile{public}, Rules: []firewallRule{allow, block}},
			warning},
		"blocked and allowed": {firewallState{Profiles: []firewallProfile{public}, Rules: []firewallRule{block, allow}},
			warning},
		"open and blocked": {firewallState{Profiles: profile(func(p *firewallProfile) { p.Open = true }),
			Rules: []firewallRule{block}}, warning},
		"nothing comes in": {firewallState{Profiles: profile(func(p *firewallProfile) { p.BlockAll = true }),
			Rules: []firewallRule{allow}}, warning},
		"own rules do not count": {firewallState{Profiles: profile(func(p *firewallProfile) { p.LocalRules = false }),
			Rules: []firewallRule{allow}}, warning},
		"policy rules count": {firewallState{Profiles: profile(func(p *firewallProfile) { p.LocalRules = false }),
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Policy = true })}}, passed},
		"of another profile": {firewallState{Profiles: []firewallProfile{public},
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Profiles = []string{"Domain"} })}}, warning},
		"of this profile": {firewallState{Profiles: []firewallProfile{public},
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Profiles = []string{"Domain", "public"} })}}, passed},
		"of another program": {firewallState{Profiles: []firewallProfile{public},
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Program = "a.exe" })}}, warning},
		"of the program": {firewallState{Profiles: []firewallProfile{public},
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Program = "PCOIP_SERVER.EXE" })}}, passed},
		"of another protocol": {firewallState{Profiles: []firewallProfile{public},
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Protocol = protocolUDP })}}, warning},
		"of any protocol": {firewallState{Profiles: []firewallProfile{public},
			Rules: []firewallRule{with(allow, func(r *firewallRule) { r.Protocol = anyProtocol })}}, passed},
		"one of two profiles": {firewallState{
			Profiles: []firewallProfile{{Name: "Domain", Enabled: true, Open: true, LocalRules: true, Evidence: evidence},
				public}}, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, bpFirewall, judgeFirewall(c.state, needed), c.want) })
	}
	there, gone := machine.Service{Name: "x"}, machine.Service{}
	for _, c := range []struct {
		p    protocols
		want int
	}{
		{protocols{PCoIP: driver{Service: there}, DCV: driver{Service: gone}}, 3},
		{protocols{PCoIP: driver{Service: gone}, DCV: driver{Service: there}}, 3},
		{protocols{PCoIP: driver{Service: there}, DCV: driver{Service: there}}, 5},
		{protocols{}, 5},
	} {
		if got := neededPorts(c.p); len(got) != c.want {
			t.Errorf("%v", got)
		}
	}
}

func TestCacheAndMail(t *testing.T) {
	chrome := cachedData{Name: "Chrome", Path: `C:\Users\a`, Files: 2, Bytes: 10, Counts: true, Evidence: evidence}
	temp := cachedData{Name: "temporary files", Path: `C:\Windows\Temp`, Files: 2, Bytes: 10, Evidence: evidence}
	for name, c := range map[string]struct {
		found  []cachedData
		unread error
		want   verdict
	}{
		"nothing":           {nil, nil, passed},
		"temporary files":   {[]cachedData{temp}, nil, passed},
		"a browser":         {[]cachedData{temp, chrome}, nil, warning},
		"a browser, damage": {[]cachedData{chrome}, errTorn, warning},
		"damage":            {[]cachedData{temp}, errTorn, undetermined},
	} {
		t.Run("cache "+name, func(t *testing.T) { check(t, bpCache, judgeCache(c.found, 1, c.unread, evidence), c.want) })
	}
	trace := []mailTrace{{"the mail profile Outlook", evidence}}
	check(t, bpMail, judgeMail(nil, 1, nil, evidence), passed)
	check(t, bpMail, judgeMail(trace, 1, nil, evidence), warning)
	check(t, bpMail, judgeMail(trace, 1, errTorn, evidence), warning)
	check(t, bpMail, judgeMail(nil, 1, errTorn, evidence), undetermined)

	p := keptProfile{Except: []string{"Downloads", `AppData\Local\Temp`}}
	for folder, want := range map[string]bool{"downloads": true, `Downloads\a`: true, "Downloads2": false,
		"AppData": false, `AppData\Local\Temp\a\b`: true, "": false} {
		if p.leavesOut(folder) != want {
			t.Errorf("leaves out %q", folder)
		}
	}
}

func TestDefaultProfile(t *testing.T) {
	folder := machine.File{Exists: true, Dir: true, Evidence: evidence}
	sign := []customisation{{"the file a", evidence}}
	for name, c := range map[string]struct {
		d    defaultProfile
		want verdict
	}{
		"as it is shipped": {defaultProfile{Folder: folder, Hive: there}, passed},
		"a sign":           {defaultProfile{Folder: folder, Hive: there, Signs: sign}, warning},
		"a sign, damage":   {defaultProfile{Folder: folder, Hive: there, Signs: sign, Unread: errTorn}, warning},
		"damage":           {defaultProfile{Folder: folder, Hive: there, Unread: errTorn}, undetermined},
		"no folder":        {defaultProfile{Folder: missing}, warning},
		"a file":           {defaultProfile{Folder: there}, warning},
		"no hive":          {defaultProfile{Folder: folder, Hive: missing}, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, bpDefaultProfile, judgeDefaultProfile(c.d), c.want) })
	}
	for name, want := range map[string]bool{
		"NTUSER.DAT": true, "NTUSER.DAT{1c37}.TM.blf": true, "NTUSER.DAT2": false, "Documents/NTUSER.DAT": false,
		"Documents/Desktop.ini": true, "desktop.ini": true,
		"AppData/Local/Microsoft/Windows/WinX/Group1/1 - Desktop.lnk": true,
		"AppData/Local/Microsoft/Windows/WinX/Group1/a/b.lnk":         false, "Desktop/a.lnk": false,
		"AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Accessories/Notepad.lnk": true,
		"AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup/run.cmd":         false,
	} {
		if inbox(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}

// TestPathNotes checks the remarks about a correct Path.
func TestPathNotes(t *testing.T) {
	for name, want := range map[string]string{
		"path-programs-first": `Windows finds C:\Tools\cmd.exe, C:\Tools\powershell.exe before the programs of the same ` +
			`name in System32.`,
		"path-programs-behind": "",
		"path-long":            "Path has 2660 characters; some programs read only 2047.",
		"ready":                "",
	} {
		o := fixture(t, name).decidePath()
		_, note, _ := strings.Cut(o.Message, `v1.0.`)
		if o.Status != requirement.Passed || strings.TrimSpace(note) != want {
			t.Errorf("%s: %s: %s", name, o.Status, o.Message)
		}
	}
}

// TestWorkgroup makes sure that the name of a workgroup is not read as a
// domain.
func TestWorkgroup(t *testing.T) {
	for _, name := range []string{"services-workgroup", "services-workgroup-name"} {
		if o := fixture(t, name).decideAccounts(); o.Status != requirement.Failed ||
			!strings.Contains(o.Message, "The computer is not in a domain") {
			t.Errorf("%s: %s: %s", name, o.Status, o.Message)
		}
	}
}
