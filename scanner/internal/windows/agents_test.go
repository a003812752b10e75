package windows

import (
	"errors"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

func TestReleases(t *testing.T) {
	t.Parallel()
	for _, p := range []product{productPV, productENA, productNVMe, productLaunchV2, productLaunch} {
		for i, r := range p.releases[1:] {
			newer := p.releases[i]
			if newer.version.Compare(r.version) <= 0 || !newer.day.After(r.day) {
				t.Errorf("%s: %s of %s comes before %s of %s", p.name, newer.version, newer.day, r.version, r.day)
			}
		}
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	day := func(text string) time.Time {
		d, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	march := day("2026-03-01 12:00:00")
	of := func(p product, version string) installedProduct {
		v, err := machine.ParseFileVersion(version)
		return installedProduct{product: p, Version: v, Err: err, Evidence: evidence}
	}
	for name, c := range map[string]struct {
		list []installedProduct
		now  time.Time
		want verdict
	}{
		"the newest":                     {[]installedProduct{of(productENA, "2.11.0")}, march, passed},
		"newer than known":               {[]installedProduct{of(productENA, "3.0.0")}, march, passed},
		"older for more than six months": {[]installedProduct{of(productENA, "2.10.0")}, march, warning},
		"unknown, below what is needed":  {[]installedProduct{of(productENA, "2.10.9")}, march, warning},
		"the last moment": {[]installedProduct{of(productENA, "2.10.0")}, day("2026-01-31 23:59:59"),
			passed},
		"six months later": {[]installedProduct{of(productENA, "2.10.0")}, day("2026-02-01 00:00:00"),
			warning},
		"before every release": {[]installedProduct{of(productENA, "1.0")}, day("2020-01-01 00:00:00"), passed},
		"withdrawn": {[]installedProduct{of(productENA, "2.5.0")}, day("2023-03-01 00:00:00"),
			warning},
		"before the withdrawn one": {[]installedProduct{of(productENA, "2.4.0")}, day("2023-03-01 00:00:00"),
			passed},
		"released after the scan": {[]installedProduct{of(productNVMe, "1.8.2")}, march, passed},
		"missing": {[]installedProduct{{product: productNVMe, Missing: true,
			Evidence: evidence}}, march, warning},
		"unreadable": {[]installedProduct{{product: productENA, Err: errors.New("x"),
			Evidence: evidence}}, march, undetermined},
		"no version": {[]installedProduct{of(productPV, "8.x")}, march, undetermined},
		"unreadable, and another one old": {[]installedProduct{of(productPV, "8.x"), of(productENA, "2.9.0")}, march,
			warning},
		"one of two is old": {[]installedProduct{of(productPV, "8.6.0"), of(productENA, "2.9.0")}, march,
			warning},
		"large numbers":           {[]installedProduct{of(productLaunch, "1.3.2005119")}, march, passed},
		"large numbers, one less": {[]installedProduct{of(productLaunch, "1.3.2005118")}, march, warning},
		"does not support it": {[]installedProduct{{product: productLaunch,
			Retired: "EC2Launch does not support it.", Evidence: evidence}}, march, warning},
		"ended, on windows 10": {[]installedProduct{{product: product{name: agentConfig},
			Evidence: evidence}}, march, skipped},
		"ended, and another that is recent": {[]installedProduct{{product: product{name: agentConfig},
			Evidence: evidence}, of(productLaunchV2, "2.5.1")}, march, passed},
	} {
		t.Run(name, func(t *testing.T) { check(t, driversAge, judgeAges(c.list, c.now), c.want) })
	}
	// The outcome holds until six months after the next release.
	o := judgeAges([]installedProduct{of(productNVMe, "1.8.0"), of(productENA, "2.11.0")}, march)
	if want := day("2026-08-24 00:00:00").Add(-time.Nanosecond); !o.Until.Equal(want) {
		t.Errorf("until %s, want %s", o.Until, want)
	}
	if o := judgeAges([]installedProduct{of(productENA, "2.11.0")}, march); !o.Until.IsZero() {
		t.Errorf("until %s", o.Until)
	}
}

func TestManifestVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"@{\r\n  # Version\r\n  ModuleVersion = '1.3.2005119'\r\n}": "1.3.2005119",
		"moduleversion=\"1.4.299\"":                                 "1.4.299",
		"\xFF\xFE" + string(utf16LE("ModuleVersion = '1.4.6'")):     "1.4.6",
	} {
		if v, err := manifestVersion([]byte(text), there, nil); err != nil || v.String() != want {
			t.Errorf("%q: %s, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "# ModuleVersion = '1.0'", "ModuleVersion = $v", "ModuleVersion = '1..2'"} {
		if v, err := manifestVersion([]byte(text), there, nil); err == nil {
			t.Errorf("%q: %s", text, v)
		}
	}
	if _, err := manifestVersion(nil, missing, nil); err == nil {
		t.Error("no error for a missing manifest")
	}
	if _, err := manifestVersion(nil, there, errors.New("x")); err == nil {
		t.Error("no error for an unreadable manifest")
	}
}

func TestComputerNames(t *testing.T) {
	t.Parallel()
	names := func(computer, owner, organization string, late bool) answerFile {
		return answerFile{File: there, Content: answerContent{Names: answerNames{computer, owner, organization, late}}}
	}
	for name, c := range map[string]struct {
		file answerFile
		want verdict
	}{
		"star and both":           {names("*", "EC2", "Amazon.com", false), passed},
		"star alone":              {names("*", "", "", false), passed},
		"nothing":                 {names("", "", "", false), passed},
		"both alone":              {names("", "EC2", "Amazon.com", false), passed},
		"fixed":                   {names("PC1", "EC2", "Amazon.com", false), warning},
		"only the owner":          {names("*", "EC2", "", false), warning},
		"only the organization":   {names("*", "", "Amazon.com", false), warning},
		"too late":                {names("", "", "", true), warning},
		"both, and again later":   {names("*", "EC2", "Amazon.com", true), passed},
		"blank":                   {answerFile{File: there, Content: answerContent{Blank: true}}, warning},
		"broken":                  {answerFile{File: there, Content: answerContent{Problem: "it is not valid XML"}}, warning},
		"unreadable":              {answerFile{File: there, Err: errors.New("x")}, undetermined},
		"unreadable and no names": {answerFile{File: missing, Err: errors.New("x")}, undetermined},
	} {
		t.Run(name, func(t *testing.T) { check(t, computerNames, judgeComputerNames(c.file), c.want) })
	}
	for want, n := range map[string]answerNames{
		"EC2AMAZ-": {Owner: "EC2", Organization: "Amazon.com"}, "AB-": {Owner: "a", Organization: " b "},
		"ABCDEFG-": {Owner: "abcdefgh", Organization: "i"}, "ABCDEF-": {Owner: "abc", Organization: "def"},
	} {
		if got := n.prefix(); got != want {
			t.Errorf("%+v: %s", n, got)
		}
	}
	c := parseAnswer([]byte(`<unattend xmlns="urn:schemas-microsoft-com:unattend">
		<settings pass="specialize"><component><!--<ComputerName>X</ComputerName>--><RegisteredOwner>O</RegisteredOwner></component></settings>
		<settings pass="oobeSystem"><component><ComputerName>Y</ComputerName></component></settings></unattend>`))
	if want := (answerNames{Owner: "O", Late: true}); c.Names != want {
		t.Errorf("%+v", c.Names)
	}
}

func TestTimeSource(t *testing.T) {
	t.Parallel()
	service := func(start uint32) machine.Service {
		return machine.Service{Name: "W32Time", Start: number(start), Key: evidence}
	}
	none := absent[uint32]()
	for name, c := range map[string]struct {
		t    timeSettings
		want verdict
	}{
		"time of EC2": {timeSettings{service(2), words("NTP"), words("169.254.169.123,0x9"), none}, passed},
		"one of several": {timeSettings{service(3), words("NTP"), words("a.example,0x8 169.254.169.123"), number(1)},
			passed},
		"default of windows":  {timeSettings{service(3), words("NTP"), words("time.windows.com,0x9"), none}, inferred},
		"a longer address":    {timeSettings{service(3), words("NTP"), words("169.254.169.1234"), none}, inferred},
		"domain":              {timeSettings{service(3), words("NT5DS"), absent[string](), none}, passed},
		"domain and servers":  {timeSettings{service(3), words("AllSync"), words("a.example"), none}, passed},
		"no synchronization":  {timeSettings{service(3), words("nosync"), words("169.254.169.123"), none}, warning},
		"disabled":            {timeSettings{service(4), words("NTP"), words("169.254.169.123"), none}, warning},
		"provider off":        {timeSettings{service(3), words("NTP"), words("169.254.169.123"), number(0)}, warning},
		"not installed":       {timeSettings{machine.Service{Key: evidence}, words("NTP"), words("x"), none}, warning},
		"no server":           {timeSettings{service(3), words("NTP"), absent[string](), none}, inferred},
		"nothing but flags":   {timeSettings{service(3), words("NTP"), words(" "), none}, inferred},
		"neither kind":        {timeSettings{service(3), absent[string](), absent[string](), none}, inferred},
		"server without kind": {timeSettings{service(3), absent[string](), words("169.254.169.123"), none}, passed},
	} {
		t.Run(name, func(t *testing.T) { check(t, timeSource, judgeTimeSource(c.t), c.want) })
	}
}

func TestDotNet(t *testing.T) {
	t.Parallel()
	check(t, poolsDotNet, judgeDotNet(absent[uint32]()), warning)
	check(t, poolsDotNet, judgeDotNet(number(461807)), warning)
	check(t, poolsDotNet, judgeDotNet(number(461808)), passed)
	check(t, poolsDotNet, judgeDotNet(number(461809)), passed)
}

func TestCore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    protocols
		want verdict
	}{
		"neither":       {protocols{pcoipNone, dcvNone}, passed},
		"dcv":           {protocols{pcoipNone, dcvAuto}, warning},
		"dcv disabled":  {protocols{pcoipNone, dcvDisabled}, warning},
		"pcoip":         {protocols{pcoipAuto, dcvNone}, warning},
		"pcoip and dcv": {protocols{pcoipAuto, dcvAuto}, warning},
		"marked as delete": {protocols{driver{"PCoIPAgent", machine.Service{Name: "PCoIPAgent", Deleted: true,
			Key: evidence}, missing}, dcvNone}, passed},
	} {
		t.Run(name, func(t *testing.T) { check(t, coreProtocol, judgeCoreProtocol(c.p), c.want) })
	}
	agent := func(title string, disabled bool) customerAgent { return customerAgent{title, disabled, evidence} }
	check(t, coreCustomer, judgeCoreCustomer([]customerAgent{agent("Horizon Agent", false)}, evidence), passed)
	check(t, coreCustomer, judgeCoreCustomer([]customerAgent{agent("A", true), agent("B", false)}, evidence), passed)
	check(t, coreCustomer, judgeCoreCustomer([]customerAgent{agent("A", true)}, evidence), warning)
	check(t, coreCustomer, judgeCoreCustomer(nil, evidence), warning)

	list := func(servers ...string) machine.Setting[[]string] {
		return machine.Setting[[]string]{Value: servers, Present: len(servers) > 0, Evidence: evidence}
	}
	none := absent[uint32]()
	for name, c := range map[string]struct {
		system machine.System
		h      sessionHost
		want   verdict
	}{
		"per user":     {server2019, sessionHost{number(1), number(4), list("rds.example")}, passed},
		"per device":   {server2019, sessionHost{number(1), number(2), list("rds.example")}, passed},
		"no mode":      {server2019, sessionHost{number(1), none, list("rds.example")}, warning},
		"mode 5":       {server2019, sessionHost{number(1), number(5), list("rds.example")}, warning},
		"no server":    {server2019, sessionHost{number(1), number(4), list()}, warning},
		"role not set": {server2019, sessionHost{none, none, list()}, skipped},
		"role off":     {server2019, sessionHost{number(0), none, list()}, skipped},
		"client":       {windows11, sessionHost{number(1), none, list()}, skipped},
	} {
		t.Run(name, func(t *testing.T) { check(t, coreLicense, judgeSessionHost(c.system, c.h), c.want) })
	}
}
