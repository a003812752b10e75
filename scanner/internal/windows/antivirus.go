package windows

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpAntivirus = entry{
	Requirement: recommended("win.bp.antivirus", "AntiVirusInstalled", "Third-party antivirus should be disabled.",
		sectionPractices, explanation{
			Reads: `SYSTEM: services of known antivirus programs, and filter drivers at antivirus altitudes (320000 ` +
				`to 329999). SOFTWARE: Microsoft\Security Center\Provider\Av, and the programs registered there. ` +
				`Microsoft's own antivirus does not count, as in AWS's own check.`,
			Live: `fltmc filters; Get-Service; Get-CimInstance -Namespace root/SecurityCenter2 AntiVirusProduct ` +
				`-ErrorAction Ignore`,
			Doubts: "The value STATE of the Security Center is undocumented. A product counts as enabled if the fourth " +
				"hexadecimal digit from the right is 1, as observed.",
			Fix: "Disable the antivirus while you create the image. Enable it again in the WorkSpaces that you launch " +
				"from the image.",
		}),
	Judge: (*Machine).decideAntivirus,
}

// antivirusServices are the services of antivirus programs; "*" stands for any
// end.
var antivirusServices = []string{
	"SAVService", "SAVAdminService", "Sophos Endpoint Defense Service", "SntpService", "hmpalertsvc", // Sophos
	"McShield", "mfemms", "mfevtp", "mfetp", "mfefire", // McAfee, Trellix
	"SepMasterService", "SmcService", "ccSvcHst", "NortonSecurity", "NIS", "N360", // Symantec, Norton
	"ntrtscan", "TMBMServer", "TmListen", "ds_agent", "Amsp", // Trend Micro
	"CSFalconService",                       // CrowdStrike
	"SentinelAgent", "SentinelStaticEngine", // SentinelOne
	"CbDefense", "CarbonBlack", "CbDefenseSensor", // Carbon Black
	"ekrn", "EraAgentSvc", // ESET
	"AVP*", "klim6", "kavfs*", // Kaspersky
	"EPSecurityService", "EPProtectedService", "VSSERV", "bdredline*", // Bitdefender
	"avast! Antivirus", "AVG Antivirus", "AntiVirService", "Antivirus*Service", // Avast, AVG, Avira
	"MBAMService",            // Malwarebytes
	"CylanceSvc", "cyserver", // Cylance, Cortex XDR
	"WRSVC", "WRCoreService", // Webroot
	"FSMA", "fshoster*", // F-Secure, WithSecure
	"PSUAService", "NanoServiceMain", // Panda
	"clamd", "ClamWin*", // ClamAV
	"xagt", "DeepInstinct*", // FireEye, Deep Instinct
}

// ownFilters are the filter drivers of Microsoft's own antivirus.
var ownFilters = []string{"WdFilter", "MpFilter"}

// The altitudes of filter drivers for antivirus (Microsoft: Load order groups
// and altitudes for minifilter drivers, FSFilter Anti-Virus).
const (
	lowestAntivirus  = 320000
	highestAntivirus = 329999
)

// An antivirus is a sign of a product.
type antivirus struct {
	Name     string
	Enabled  bool
	Evidence []requirement.Evidence
	Gone     bool // its program does not exist
}

func (m *Machine) decideAntivirus() requirement.Outcome {
	services, err := m.Services()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var found []antivirus
	var unread error
	for _, s := range services {
		a, err := m.antivirusOf(s)
		if err != nil && unread == nil {
			unread = err
		}
		if a != nil {
			found = append(found, *a)
		}
	}
	products, looked, err := m.securityCenter()
	if err != nil && unread == nil {
		unread = err
	}
	found = append(found, products...)
	where := []requirement.Evidence{looked}
	if len(services) > 0 {
		where = append(where, services[0].ServicesKey())
	}
	return judgeAntivirus(found, unread, where)
}

// antivirusOf returns the antivirus program that a service or driver belongs to, nil if it belongs to none.
func (m *Machine) antivirusOf(s machine.Service) (*antivirus, error) {
	a := &antivirus{Name: s.Title(), Enabled: s.Start.Value != machine.StartDisabled,
		Evidence: []requirement.Evidence{s.Start.Evidence}}
	if slices.ContainsFunc(antivirusServices, func(known string) bool { return matchesFold(s.Name, known) }) {
		if s.Err != nil || !s.Start.Present {
			return nil, fmt.Errorf("cannot tell whether %s starts: %w", s.Name, orMissing(s.Err))
		}
		return a, nil
	}
	if fold.Contains(ownFilters, s.Name) || !s.Driver() {
		return nil, nil
	}
	altitude, err := m.altitude(s)
	if err != nil || altitude == nil {
		return nil, err
	}
	if s.Err != nil || !s.Start.Present {
		return nil, fmt.Errorf("cannot tell whether the filter driver %s starts: %w", s.Name, orMissing(s.Err))
	}
	a.Name += " (filter driver)"
	a.Evidence = append(a.Evidence, *altitude)
	return a, nil
}

// errNoStart stands where an entry has no start type.
var errNoStart = errors.New("value Start is missing")

func orMissing(err error) error {
	if err == nil {
		return errNoStart
	}
	return err
}

// altitude returns the evidence of a filter driver's place among those of
// antivirus, nil if it has none there.
func (m *Machine) altitude(s machine.Service) (*requirement.Evidence, error) {
	list, err := m.SubkeysAt(machine.KeyServices + `\` + s.Name + `\Instances`)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		a, err := m.Text(k, "Altitude")
		if err != nil {
			return nil, err
		}
		if isAntivirusAltitude(a.Value) {
			return &a.Evidence, nil
		}
	}
	return nil, nil
}

// isAntivirusAltitude reads an altitude, which may have a fraction.
func isAntivirusAltitude(s string) bool {
	whole, _, _ := strings.Cut(strings.TrimSpace(s), ".")
	n, err := strconv.Atoi(whole)
	return err == nil && n >= lowestAntivirus && n <= highestAntivirus
}

// matchesFold says whether a name is the one that is known, without case;
// a "*" in that stands for anything.
func matchesFold(name, known string) bool {
	before, after, open := strings.Cut(known, "*")
	if !open {
		return strings.EqualFold(name, known)
	}
	return len(name) >= len(before)+len(after) && fold.HasPrefix(name, before) &&
		strings.EqualFold(name[len(name)-len(after):], after)
}

// stateEnabled is the digit of a product's STATE that means that the product is enabled. It is known from observation;
// no document describes it.
const stateEnabled = 1

// securityCenter reads the products that registered with the Security Center
// of a client. One whose program is gone is an entry that was left behind.
func (m *Machine) securityCenter() (products []antivirus, looked requirement.Evidence, err error) {
	env, err := m.Environment()
	if err != nil {
		return nil, looked, err
	}
	parent, err := m.Key(`HKLM\SOFTWARE\Microsoft\Security Center\Provider\Av`)
	if err != nil {
		return nil, looked, err
	}
	looked = parent.Evidence
	if parent.Exists() {
		looked.Note = "all subkeys were read"
	}
	keys, err := m.Subkeys(parent)
	if err != nil {
		return nil, looked, err
	}
	for _, k := range keys {
		name, err := m.Text(k, "DISPLAYNAME")
		if err != nil {
			return nil, looked, err
		}
		program, err := m.Text(k, "PRODUCTEXE")
		if err != nil {
			return nil, looked, err
		}
		state, err := m.DWord(k, "STATE")
		if err != nil {
			return nil, looked, err
		}
		if microsoftAntivirus(name.Value) {
			continue
		}
		a := antivirus{Name: name.Value, Enabled: state.Value>>12&0xF == stateEnabled,
			Evidence: []requirement.Evidence{name.Evidence, state.Evidence}}
		if path := env.Program(env.Text(program)); program.Value != "" && len(path) > 2 && path[1] == ':' {
			f, err := m.File(path)
			if err != nil {
				return nil, looked, err
			}
			a.Gone = !f.Exists
			a.Enabled = a.Enabled && f.Exists
			a.Evidence = append(a.Evidence, f.Evidence)
		}
		products = append(products, a)
	}
	return products, looked, nil
}

// microsoftAntivirus recognizes Microsoft's own antivirus by its name.
func microsoftAntivirus(name string) bool {
	name = strings.ToLower(name)
	for _, own := range []string{"windows defender", "microsoft defender", "microsoft security essentials"} {
		if strings.HasPrefix(name, own) {
			return true
		}
	}
	return false
}

// judgeAntivirus decides win.bp.antivirus.
func judgeAntivirus(found []antivirus, unread error, looked []requirement.Evidence) requirement.Outcome {
	var on, off []string
	var evidence, offEvidence []requirement.Evidence
	var about []requirement.Subject
	for _, a := range found {
		if a.Enabled {
			on, evidence = append(on, a.Name), append(evidence, a.Evidence...)
			about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: a.Name,
				Reason: requirement.ReasonEnabled})
		} else {
			off, offEvidence = append(off, a.Name), append(offEvidence, a.Evidence...)
		}
	}
	switch {
	case len(on) > 0:
		o := requirement.Warn("Third-party antivirus is enabled: "+prose.Some(on), evidence...).About(about...)
		o.Remediation = fmt.Sprintf("Disable %s while you create the image. Enable it again in the WorkSpaces that you "+
			"launch from the image.", prose.Some(on))
		return o
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(off) > 0:
		return requirement.Pass("Third-party antivirus is installed but does not start: "+prose.Some(off), offEvidence...)
	}
	return requirement.Pass("No third-party antivirus is installed", looked...)
}
