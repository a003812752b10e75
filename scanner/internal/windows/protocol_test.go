package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// withStart is a driver or service with that start type, and its file.
func withStart(name string, start uint32) driver {
	return driver{name, machine.Service{Name: name, Start: number(start), Key: evidence}, there}
}

func notInstalled(name string) driver {
	return driver{name, machine.Service{Key: evidence}, missing}
}

// ofBuild is a system with another build.
func ofBuild(s machine.System, build int) machine.System {
	s.Build = build
	return s
}

// windows11 has the edition that a test may change.
var windows11 = machine.System{ProductName: "Windows 10 Enterprise", EditionID: "Enterprise", Major: 10, Build: 22631,
	Client: true, Evidence: []requirement.Evidence{evidence}}

var (
	pcoipAuto, pcoipNone = withStart("PCoIPAgent", machine.StartAuto), notInstalled("PCoIPAgent")
	dcvAuto, dcvNone     = withStart("dcvserver", machine.StartAuto), notInstalled("dcvserver")
	dcvDisabled          = withStart("dcvserver", machine.StartDisabled)
	dcvWithoutFile       = driver{"dcvserver", machine.Service{Name: "dcvserver", Start: number(2), Key: evidence},
		missing}
	pcoipDisabled = withStart("PCoIPAgent", machine.StartDisabled)
)

func TestProtocolOS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		system machine.System
		p      protocols
		want   verdict
	}{
		"windows 11, dcv":                     {windows11, protocols{pcoipNone, dcvAuto}, passed},
		"windows 11, pcoip":                   {windows11, protocols{pcoipAuto, dcvNone}, failed},
		"windows 11, both":                    {windows11, protocols{pcoipAuto, dcvAuto}, warning},
		"windows 11, pcoip and dcv disabled":  {windows11, protocols{pcoipAuto, dcvDisabled}, failed},
		"windows 11, pcoip disabled, no dcv":  {windows11, protocols{pcoipDisabled, dcvNone}, failed},
		"first build of windows 11":           {ofBuild(windows11, 22000), protocols{pcoipAuto, dcvNone}, failed},
		"last build of windows 10":            {ofBuild(windows11, 21999), protocols{pcoipAuto, dcvNone}, passed},
		"server 2025, pcoip":                  {ofBuild(server2019, 26100), protocols{pcoipAuto, dcvNone}, failed},
		"last build before server 2025":       {ofBuild(server2019, 26099), protocols{pcoipAuto, dcvNone}, passed},
		"server 2022 of build 22000 or later": {ofBuild(server2019, 25398), protocols{pcoipAuto, dcvNone}, passed},
		"server 2019, pcoip":                  {server2019, protocols{pcoipAuto, dcvNone}, passed},
		"server 2019, dcv":                    {server2019, protocols{pcoipNone, dcvAuto}, passed},
		"neither":                             {server2019, protocols{pcoipNone, dcvNone}, undetermined},
		"neither, windows 11":                 {windows11, protocols{pcoipNone, dcvNone}, undetermined},
	} {
		t.Run(name, func(t *testing.T) { check(t, protocolOS, judgeProtocolOS(c.system, c.p), c.want) })
	}
}

var (
	full  = folder{machine.File{Exists: true, Dir: true, Evidence: evidence}, false}
	empty = folder{machine.File{Exists: true, Dir: true, Evidence: evidence}, true}
	gone  = folder{machine.File{Evidence: evidence}, true}
)

func TestDCV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    protocols
		nice folder
		want verdict
	}{
		"dcv":                         {protocols{pcoipNone, dcvAuto}, full, passed},
		"dcv and pcoip":               {protocols{pcoipAuto, dcvAuto}, full, passed},
		"dcv disabled":                {protocols{pcoipNone, dcvDisabled}, full, warning},
		"dcv without its file":        {protocols{pcoipNone, dcvWithoutFile}, full, warning},
		"a folder without service":    {protocols{pcoipNone, dcvNone}, full, warning},
		"a folder beside pcoip":       {protocols{pcoipAuto, dcvNone}, full, warning},
		"a service without folder":    {protocols{pcoipNone, dcvAuto}, gone, warning},
		"a service with empty folder": {protocols{pcoipNone, dcvAuto}, empty, warning},
		"pcoip":                       {protocols{pcoipAuto, dcvNone}, gone, skipped},
		"pcoip and an empty folder":   {protocols{pcoipAuto, dcvNone}, empty, skipped},
		"neither":                     {protocols{pcoipNone, dcvNone}, gone, failed},
		"neither, an empty folder":    {protocols{pcoipNone, dcvNone}, empty, failed},
	} {
		t.Run(name, func(t *testing.T) { check(t, componentDCV, judgeDCV(c.p, c.nice), c.want) })
	}
}

func TestProtected(t *testing.T) {
	t.Parallel()
	place := func(decisive bool, any ...folder) protectedPlace { return protectedPlace{any, decisive} }
	for name, c := range map[string]struct {
		places []protectedPlace
		want   verdict
	}{
		"all there":                {[]protectedPlace{place(true, full), place(false, full)}, passed},
		"program files missing":    {[]protectedPlace{place(true, gone), place(false, full)}, failed},
		"program files empty":      {[]protectedPlace{place(true, empty), place(false, full)}, failed},
		"program data missing":     {[]protectedPlace{place(true, full), place(false, gone)}, warning},
		"one of two is enough":     {[]protectedPlace{place(true, full), place(false, empty, full)}, passed},
		"none of two":              {[]protectedPlace{place(true, full), place(false, empty, gone)}, warning},
		"a file and not a folder":  {[]protectedPlace{place(true, folder{there, true})}, failed},
		"both missing":             {[]protectedPlace{place(true, gone), place(false, gone)}, failed},
		"only what every one has":  {[]protectedPlace{place(true, full)}, passed},
		"program data is the last": {[]protectedPlace{place(true, full), place(false, full), place(false, empty)}, warning},
	} {
		t.Run(name, func(t *testing.T) { check(t, pathsProtected, judgeProtected(c.places), c.want) })
	}
}

// TestPlaces reads the folders of a fixture over PCoIP, and of one over DCV.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ready": "Program Files/Amazon, ProgramData/Amazon, Program Files/Teradici, Program Files (x86)/Teradici, " +
			"ProgramData/Teradici",
		"windows11": "Program Files/Amazon, ProgramData/Amazon, Program Files/NICE, ProgramData/NICE",
	} {
		places, err := fixture(t, name).readProtected([]string{"DCV", "PCoIP"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range places {
			for _, f := range p.Any {
				got = append(got, f.Evidence.Path)
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: %s", name, s)
		}
	}
	if places, err := fixture(t, "ready").readProtected(nil); err != nil || len(places) != 2 {
		t.Errorf("%v, %v", places, err)
	}
}

// TestTermsOfComponents judges the components as today's guide has them.
func TestTermsOfComponents(t *testing.T) {
	t.Parallel()
	nitro := []driver{withStart("ena", 3), withStart("AWSNVMe", 0)}
	noXen := []driver{notInstalled("xenbus")}
	server2025 := ofBuild(server2019, 26100)
	pv := func(s machine.System, vendor pvVendor, nitro []driver) requirement.Outcome {
		return judgeWithoutPV(judgePVDrivers(noXen, nitro, nil, vendor), s, []int64{26100}, inspectDrivers(nitro), vendor)
	}
	amazon := pvVendor{Folder: machine.File{Exists: true, Dir: true, Evidence: evidence}}
	check(t, componentPVDrivers, pv(server2025, pvVendor{}, nitro), inferred)
	check(t, componentPVDrivers, pv(server2025, amazon, nitro), passed)
	check(t, componentPVDrivers, pv(server2019, pvVendor{}, nitro), passed)
	check(t, componentPVDrivers, pv(windows11, pvVendor{}, nitro), passed)
	check(t, componentPVDrivers, pv(server2025, pvVendor{}, noXen), failed)

	dcv, both, none := protocols{pcoipNone, dcvAuto}, protocols{pcoipAuto, dcvAuto}, protocols{pcoipNone, dcvNone}
	for _, c := range []struct {
		system machine.System
		p      protocols
		want   verdict
	}{
		{server2025, dcv, inferred}, {windows11, dcv, inferred}, {server2019, dcv, passed}, {server2025, both, passed},
		{windows11, none, failed},
	} {
		check(t, componentPCoIP, judgeReplaced(judgePCoIP(c.p), c.system, c.p), c.want)
	}
}

func TestListed(t *testing.T) {
	t.Parallel()
	servers := termsOf("current", "win.os.supported").Ints("servers")
	for name, c := range map[string]struct {
		system machine.System
		want   verdict
	}{
		"server 2016":    {ofBuild(server2019, 14393), passed},
		"server 2019":    {server2019, passed},
		"server 2022":    {ofBuild(server2019, 20348), passed},
		"server 2025":    {ofBuild(server2019, 26100), passed},
		"server 1709":    {ofBuild(server2019, 16299), failed},
		"server 23H2":    {ofBuild(server2019, 25398), failed},
		"server 2012":    {server2012, failed},
		"server 2008 r2": {server2008, failed},
		"windows 7":      {windows7, failed},
		"windows 8.1":    {ofBuild(windows7, 9600), failed},
		"before 10":      {ofBuild(windows10, 10239), failed},
		"windows 10":     {ofBuild(windows10, 10240), passed},
		"windows 11":     {windows11, passed},
	} {
		t.Run(name, func(t *testing.T) { check(t, osSupported, judgeListed(c.system, servers), c.want) })
	}
}

func TestDisabledSSL3(t *testing.T) {
	t.Parallel()
	o := requirement.Fail("SSL 3.0 is disabled for servers.", evidence)
	for book, want := range map[string]verdict{"image": failed, "current": passed, "pools": warning} {
		check(t, ssl3, judgeDisabledSSL3(o, requirement.Status(termsOf(book, "win.tls.ssl3").Text("disabled"))), want)
	}
}

func TestLeftOut(t *testing.T) {
	t.Parallel()
	tooLarge, fits := requirement.Fail("14 GiB", evidence), requirement.Pass("2 GiB", evidence)
	check(t, profileSize, judgeLeftOut(tooLarge, windows11), warning)
	check(t, profileSize, judgeLeftOut(tooLarge, ofBuild(windows11, 21999)), failed)
	check(t, profileSize, judgeLeftOut(tooLarge, ofBuild(server2019, 26100)), failed)
	check(t, profileSize, judgeLeftOut(fits, windows11), passed)
	if f := requirement.Find(profileSize.Requirement, judgeLeftOut(tooLarge, windows11)); f.Requirement.Severity !=
		requirement.Recommended {
		t.Errorf("severity %s", f.Requirement.Severity)
	}
}

func TestServiceUpgrade(t *testing.T) {
	t.Parallel()
	none, one := absent[uint32](), number(1)
	upgraded, other := requirement.Fail("upgraded", evidence), requirement.Warn("a key", evidence)
	clean, unread := requirement.Pass("no key", evidence), requirement.Unknown("unreadable")
	for name, c := range map[string]struct {
		o    requirement.Outcome
		u    serviceUpgrade
		want verdict
	}{
		"nothing":                    {clean, serviceUpgrade{none, none}, passed},
		"not enabled":                {clean, serviceUpgrade{number(0), none}, passed},
		"prepared":                   {clean, serviceUpgrade{one, none}, warning},
		"run, and not recorded":      {clean, serviceUpgrade{none, one}, warning},
		"upgraded":                   {upgraded, serviceUpgrade{one, one}, failed},
		"upgraded without a script":  {upgraded, serviceUpgrade{none, none}, failed},
		"a key, and prepared":        {other, serviceUpgrade{one, none}, warning},
		"unreadable, and prepared":   {unread, serviceUpgrade{one, none}, undetermined},
		"unreadable, without script": {unread, serviceUpgrade{none, none}, undetermined},
	} {
		t.Run(name, func(t *testing.T) { check(t, upgradeInPlace, judgeServiceUpgrade(c.o, c.u), c.want) })
	}
	if o := judgeServiceUpgrade(upgraded, serviceUpgrade{one, one}); len(o.Evidence) != 3 {
		t.Errorf("%d pieces of evidence", len(o.Evidence))
	}
}
