package windows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// sysprepPart is one of the things that can stop Sysprep, judged by itself.
type sysprepPart struct {
	Name    string
	Outcome requirement.Outcome
}

// sysprepRow is a row of the details of win.sysprep.compatible.
type sysprepRow struct {
	Part    string             `json:"part"`
	Status  requirement.Status `json:"status"`
	Message string             `json:"message"`
}

var sysprepCompatible = entry{
	Requirement: required("win.sysprep.compatible", "", "Windows must be in a state in which Sysprep can run.",
		sectionRequirements, explanation{
			Reads: `SOFTWARE: Setup\State\ImageState, the providers in Setup\SysPrep and Setup\SysPrepExternal and ` +
				`their libraries, ReserveManager\ActiveScenario, onboarding to Defender for Endpoint; SYSTEM: Setup ` +
				`(setup in progress, SysprepStatus, ChildCompletion), roles that Sysprep cannot generalize, ` +
				`BitLockerStatus; setupact.log and setuperr.log of the newest Sysprep run, Sysprep_succeeded.tag; AppX ` +
				`packages that are installed for a user but not provisioned; sysprep.exe; upgrades in place.`,
			Live: `Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State; Get-Content ` +
				`C:\Windows\System32\Sysprep\Panther\setuperr.log`,
			Doubts: "The service's guide only requires that Sysprep works. These checks are from observation: the values " +
				"of SysprepStatus and ChildCompletion, and that Failover Clustering cannot be generalized.",
			Fix: "Remove the cause that the finding names, restart, and scan again.",
		}),
	Judge: (*Machine).decideSysprep,
}

func (m *Machine) decideSysprep() requirement.Outcome {
	var parts []sysprepPart
	for _, part := range []struct {
		name   string
		decide func(*Machine) requirement.Outcome
	}{
		{"image state", (*Machine).decideImageState},
		{"setup in progress", (*Machine).decideSetup},
		{"setup completion", (*Machine).decideChildCompletion},
		{"sysprep status", (*Machine).decideSysprepStatus},
		{"last run", (*Machine).decideLastRun},
		{"reserved storage", (*Machine).decideReservedStorage},
		{"appx packages", (*Machine).decidePerUserPackages},
		{"roles", (*Machine).decideRoles},
		{"defender for endpoint", (*Machine).decideDefenderEndpoint},
		{"upgrade in place", (*Machine).decideUpgraded},
		{"bitlocker", (*Machine).decideBitLocker},
		{"sysprep.exe", (*Machine).decideSysprepProgram},
		{"providers", (*Machine).decideProviders},
	} {
		parts = append(parts, sysprepPart{part.name, part.decide(m)})
	}
	return judgeSysprep(parts)
}

// judgeSysprep decides win.sysprep.compatible by its parts: the worst of them
// counts. What is found stands whatever else could not be read. A part that
// passes by inference has something to say that changes no status.
func judgeSysprep(parts []sysprepPart) requirement.Outcome {
	rank := []requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined,
		requirement.Passed}
	worst := requirement.Passed
	var rows []sysprepRow
	for _, p := range parts {
		if slices.Index(rank, p.Outcome.Status) < slices.Index(rank, worst) {
			worst = p.Outcome.Status
		}
		rows = append(rows, sysprepRow{p.Name, p.Outcome.Status, p.Outcome.Message})
	}
	o := requirement.Outcome{Status: worst, Basis: requirement.Observed}
	var messages, notes, details, fixes []string
	var unread []error
	for _, p := range parts {
		o.Explains = append(o.Explains, p.Outcome.Explains...)
		switch status := p.Outcome.Status; {
		case status == requirement.Passed:
			if p.Outcome.Basis == requirement.Inferred {
				notes = append(notes, p.Outcome.Message)
			}
			if worst == requirement.Passed {
				o.Evidence = append(o.Evidence, p.Outcome.Evidence...)
			}
		case status == worst:
			sentence := prose.Sentence(p.Outcome.Message)
			err := p.Outcome.Unread
			if !slices.Contains(messages, sentence) && (err == nil || !fact.Repeats(unread, err)) {
				messages = append(messages, sentence)
			}
			if err != nil {
				unread = append(unread, err)
			}
			o = o.With(p.Outcome.Evidence...).About(p.Outcome.Subjects...)
			if fix := p.Outcome.Remediation; fix != "" && !slices.Contains(fixes, fix) {
				fixes = append(fixes, fix)
			}
		default:
			details = append(details, p.Name)
		}
	}
	o.Message, o.Remediation = strings.Join(messages, " "), strings.Join(fixes, " ")
	if len(details) > 0 {
		o = o.Also("Other parts did not pass either (details in HTML and JSON): " + strings.Join(details, ", ") + ".")
	}
	switch worst {
	case requirement.Passed:
		o.Basis = requirement.Inferred
		o.Message = fmt.Sprintf("Nothing on the disk stops Sysprep; %d kinds of problems were checked.", len(parts))
		o = o.Also(notes...)
	case requirement.Undetermined:
		o.Basis = ""
	}
	o.Details = struct {
		Parts []sysprepRow `json:"parts"`
	}{rows}
	return o
}

func (m *Machine) decideImageState() requirement.Outcome {
	state, err := m.TextAt(machine.KeyMachineWindows+`\Setup\State`, "ImageState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeImageState(state)
}

func judgeImageState(state machine.Setting[string]) requirement.Outcome {
	if !strings.EqualFold(state.Value, "IMAGE_STATE_COMPLETE") {
		is := prose.Short(state.Value)
		if !state.Present {
			is = "not set"
		}
		o := requirement.Fail("Windows Setup has not finished: ImageState is "+is+".", state.Evidence)
		o.Remediation = "Start the WorkSpace and let Windows Setup finish."
		return o
	}
	return requirement.Pass("ImageState is IMAGE_STATE_COMPLETE.", state.Evidence)
}

func (m *Machine) decideSetup() requirement.Outcome {
	k, err := m.Key(keySetup)
	if err != nil {
		return requirement.Unreadable(err)
	}
	var list []machine.Setting[uint32]
	for _, value := range []string{"SystemSetupInProgress", "OOBEInProgress", "SetupType"} {
		s, err := m.DWord(k, value)
		if err != nil {
			return requirement.Unreadable(err)
		}
		list = append(list, s)
	}
	return judgeSetup(list)
}

// judgeSetup judges values that are 0, or not there, while no setup runs.
func judgeSetup(list []machine.Setting[uint32]) requirement.Outcome {
	var running []string
	var bad, all []requirement.Evidence
	for _, s := range list {
		all = append(all, s.Evidence)
		if s.Value != 0 {
			running = append(running, fmt.Sprintf("%s is %d", s.Evidence.Value, s.Value))
			bad = append(bad, s.Evidence)
		}
	}
	if len(running) > 0 {
		o := requirement.Fail("Windows Setup is in progress: "+strings.Join(running, ", ")+".", bad...)
		o.Remediation = "Start the WorkSpace and let Windows Setup finish."
		return o
	}
	return requirement.Pass("No setup is in progress.", all...)
}

func (m *Machine) decideSysprepStatus() requirement.Outcome {
	k, err := m.Key(keySetup + `\Status\SysprepStatus`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	generalization, err := m.DWord(k, "GeneralizationState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	cleanup, err := m.DWord(k, "CleanupState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSysprepStatus(generalization, cleanup)
}

// States that Sysprep leaves when it has finished (from observation, not
// documented). One that stopped in the middle leaves others, and then refuses
// to run.
const (
	generalizationDone = 7
	cleanupDone        = 2
)

// resetStatus lets Sysprep run again.
var resetStatus = fmt.Sprintf(
	` Then set GeneralizationState to %d and CleanupState to %d in HKLM\SYSTEM\Setup\Status\SysprepStatus.`,
	generalizationDone, cleanupDone)

func judgeSysprepStatus(generalization, cleanup machine.Setting[uint32]) requirement.Outcome {
	var odd []string
	var evidence []requirement.Evidence
	for _, s := range []struct {
		machine.Setting[uint32]
		name string
		rest uint32
	}{{generalization, "GeneralizationState", generalizationDone}, {cleanup, "CleanupState", cleanupDone}} {
		if s.Present && s.Value != s.rest {
			odd = append(odd, fmt.Sprintf("%s is %d instead of %d", s.name, s.Value, s.rest))
			evidence = append(evidence, s.Evidence)
		}
	}
	if len(odd) > 0 {
		o := requirement.Warn("An earlier Sysprep run did not finish: "+strings.Join(odd, ", ")+".", evidence...)
		o.Remediation = `Find the cause in C:\Windows\System32\Sysprep\Panther\setuperr.log and remove it.` + resetStatus
		return o
	}
	return requirement.Pass("No Sysprep run was interrupted.", generalization.Evidence, cleanup.Evidence)
}

// lastRun is what is known of the newest run of Sysprep.
type lastRun struct {
	Logs   []sysprepLog
	Tag    machine.File // Sysprep_succeeded.tag, which Sysprep deletes when it begins and makes when it ends well
	TagErr error        // why Tag is not known

	// Zone is what is added to the machine's local time to get UTC; ZoneErr says
	// why it is not known.
	Zone    time.Duration
	ZoneErr error

	System  machine.System // zero if it is not known; it only takes errors out that are older than Windows
	Appx    Appx
	AppxErr error // why Appx is not known
}

func (m *Machine) decideLastRun() requirement.Outcome {
	r := lastRun{Logs: m.SysprepLogs().Sysprep}
	r.Tag, r.TagErr = m.File(`C:\` + m.SystemRoot + `\System32\Sysprep\Sysprep_succeeded.tag`)
	r.Zone, r.ZoneErr = m.zone()
	if s, err := m.System(); err == nil {
		r.System = s
	}
	r.Appx, r.AppxErr = m.Appx()
	return judgeLastRun(r)
}

// zone is what Windows adds to its local time to get UTC.
func (m *Machine) zone() (time.Duration, error) {
	k, err := m.Key(machine.KeyControl + `\TimeZoneInformation`)
	if err != nil {
		return 0, err
	}
	for _, name := range []string{"ActiveTimeBias", "Bias"} {
		bias, err := m.DWord(k, name)
		if err != nil {
			return 0, err
		}
		if bias.Present {
			return time.Duration(int32(bias.Value)) * time.Minute, nil
		}
	}
	return 0, fmt.Errorf("%s: %s: Bias not found", k.Evidence.Path, k.Evidence.Key)
}

// tagged says whether Sysprep ended well after a line of its log. The tag's
// time is UTC and the line's is local: where the two are closer than the zones
// that there are, the machine's own zone decides.
func (r lastRun) tagged(line logLine) bool {
	if r.TagErr != nil || !r.Tag.Exists || r.Tag.Dir || line.Time.IsZero() {
		return false
	}
	earliest, latest := line.Time.Add(-maxAhead), line.Time.Add(maxBehind)
	switch tag := r.Tag.Modified; {
	case tag.Before(earliest):
		return false
	case !tag.Before(latest):
		return true
	default:
		return r.ZoneErr == nil && !tag.Before(line.Time.Add(r.Zone))
	}
}

// judgeLastRun looks for what stopped the newest run of Sysprep. setupact.log
// says where it began and whether it ended well; what setuperr.log has from
// before is of older runs.
func judgeLastRun(r lastRun) requirement.Outcome {
	var begun, ended logLine
	var unread error
	var looked []requirement.Evidence
	for _, l := range r.Logs {
		looked = append(looked, l.File.Evidence)
		if l.Err != nil && unread == nil {
			unread = l.Err
		}
		if l.Run.Time.After(begun.Time) {
			begun = l.Run
		}
		if l.Ended.Time.After(ended.Time) {
			ended = l.Ended
		}
	}
	if begun.Number > 0 && !r.tagged(begun) {
		r.Tag = machine.File{}
	}
	var open []logLine
	var evidence []requirement.Evidence
	var seen []string
	mended := 0
	for _, l := range r.Logs {
		for _, line := range l.Errors.Last {
			if !line.Time.IsZero() && line.Time.Before(begun.Time) || ageOf(line, r.System) == ageBefore {
				continue
			}
			if !line.Time.IsZero() && !line.Time.After(ended.Time) && !ended.Time.Before(begun.Time) ||
				r.tagged(line) {
				mended++
				continue
			}
			bare := bareLine(line.Text)
			if slices.Contains(seen, bare) { // setuperr.log repeats the errors of setupact.log
				continue
			}
			seen = append(seen, bare)
			open = append(open, line)
			evidence = append(evidence, line.evidence(l.File))
		}
	}
	if len(open) > 0 {
		return judgeFailedRun(r, open, evidence)
	}
	if unread != nil {
		return requirement.Unreadable(unread, looked...)
	}
	if mended > 0 {
		if r.Tag.Exists {
			looked = append(looked, r.Tag.Evidence)
		}
		return requirement.Infer("The last Sysprep run had errors but succeeded.", looked...)
	}
	return requirement.Pass("The Sysprep logs contain no errors.", looked...)
}

// judgeFailedRun judges the errors of a run that did not end well. A package
// that stopped it and is not installed for a user any more, or is provisioned
// now, is mended, and with it the errors that only pass its code on.
func judgeFailedRun(r lastRun, open []logLine, evidence []requirement.Evidence) requirement.Outcome {
	var stopped, mended []string
	var other []logLine
	named := false
	for _, line := range open {
		switch {
		case line.Package == "":
			continue
		case r.AppxErr == nil && r.Appx.mended(line.Package):
			mended = append(mended, line.Package)
		default:
			stopped = append(stopped, line.Package)
		}
		named = true
	}
	for _, line := range open {
		passedOn := named && slices.ContainsFunc(line.Codes,
			func(c uint32) bool { return sameCode(c, codePackageFailed) })
		if line.Package == "" && !passedOn {
			other = append(other, line)
		}
	}
	switch {
	case len(stopped) > 0:
		o := requirement.Warn(fmt.Sprintf("%s installed for a user but not provisioned stopped the last Sysprep run: "+
			"%s.", prose.Count(len(stopped), "package that is", "packages that are"), prose.Some(stopped)),
			evidence...).About(packageSubjects(stopped, requirement.ReasonExtra)...)
		o.Remediation = removePackages(r.System, stopped)
		o.Explains = []string{codeNameAppX}
		return o
	case len(other) > 0:
		o := requirement.Warn(fmt.Sprintf("The last Sysprep run had %s: %s",
			prose.Count(len(open), "error", "errors"), bareLine(other[0].Text)), evidence...)
		o.Remediation = `Find the cause in C:\Windows\System32\Sysprep\Panther\setuperr.log and remove it.` + runAgain
		if cause, line, ok := causeOf(other); ok {
			o = o.Also(cause.says)
			o.Remediation = cause.fix(r.System, line)
			if cause.explains != "" {
				o.Explains = []string{cause.explains}
			}
		}
		return o
	}
	return requirement.Infer(fmt.Sprintf("%s removed or provisioned now: %s.", prose.Count(len(mended),
		"package that stopped the last Sysprep run is", "packages that stopped the last Sysprep run are"),
		prose.Some(mended)), evidence...).With(r.Appx.Evidence...)
}

// bareLine is what follows the component of a line.
func bareLine(text string) string {
	if _, rest, ok := strings.Cut(text, component+" "); ok {
		return rest
	}
	return text
}

// Roles that Sysprep cannot generalize, by their services: Sysprep Support for
// Server Roles has all but failover clustering, which is from observation.
var ungeneralizable = []struct{ service, role string }{
	{"ClusSvc", "Failover Clustering"},
	{"adfssrv", "Active Directory Federation Services"},
	{"CertSvc", "Active Directory Certificate Services"},
	{"AdRmsLoggingService", "Active Directory Rights Management Services"},
	{"DHCPServer", "DHCP Server"},
}

// The service of an instance of AD LDS is named after it and runs dsamain.exe.
const (
	roleLDS    = "Active Directory Lightweight Directory Services"
	prefixLDS  = "ADAM_"
	programLDS = "dsamain.exe"
)

func (m *Machine) decideRoles() requirement.Outcome {
	product, err := m.TextAt(machine.KeyControl+`\ProductOptions`, "ProductType")
	if err != nil {
		return requirement.Unreadable(err)
	}
	directory, err := m.Service("NTDS")
	if err != nil {
		return requirement.Unreadable(err)
	}
	roles := map[string][]machine.Service{}
	for _, r := range ungeneralizable {
		s, err := m.Service(r.service)
		if err != nil {
			return requirement.Unreadable(err)
		}
		roles[r.role] = []machine.Service{s}
	}
	services, err := m.Services()
	if err != nil {
		return requirement.Unreadable(err)
	}
	for _, s := range services {
		if isInstanceOfLDS(s) {
			roles[roleLDS] = append(roles[roleLDS], s)
		}
	}
	return judgeRoles(product, directory, roles)
}

func isInstanceOfLDS(s machine.Service) bool {
	return fold.HasPrefix(s.Name, prefixLDS) || strings.Contains(strings.ToLower(s.ImagePath.Value), programLDS)
}

const demote = "Demote the domain controller, or use another WorkSpace."

// judgeRoles judges by the product type, the service of a domain controller
// and those of other roles by the role's name.
func judgeRoles(product machine.Setting[string], directory machine.Service,
	roles map[string][]machine.Service) requirement.Outcome {
	if strings.EqualFold(product.Value, "LanmanNT") {
		o := requirement.Fail("The computer is a domain controller, which Sysprep cannot generalize.", product.Evidence)
		o.Remediation = demote
		return o
	}
	if directory.Process() && directory.Start.Present && directory.Start.Value == machine.StartAuto {
		o := requirement.Fail("Active Directory Domain Services starts automatically, as on a domain controller, which "+
			"Sysprep cannot generalize.", directory.Start.Evidence).
			About(directory.Subject(requirement.ReasonEnabled, directory.StartName()))
		o.Remediation = demote
		return o
	}
	var found []string
	var evidence []requirement.Evidence
	var about []requirement.Subject
	look := func(role string) {
		there := slices.DeleteFunc(slices.Clone(roles[role]),
			func(s machine.Service) bool { return !s.Exists() || s.Deleted })
		for i, s := range there {
			if i == 0 {
				found = append(found, role)
			}
			if i < maxTraces {
				evidence = append(evidence, s.Key)
				about = append(about, s.Subject(requirement.ReasonPresent, role))
			}
		}
	}
	for _, r := range ungeneralizable {
		look(r.role)
	}
	look(roleLDS)
	if len(found) > 0 {
		o := requirement.Warn(fmt.Sprintf("Sysprep does not support %s: %s.",
			prose.Count(len(found), "installed role", "installed roles"), strings.Join(found, ", ")),
			evidence...).About(about...)
		o.Remediation = "Remove " + strings.Join(found, ", ") + ", then restart."
		return o
	}
	return requirement.Pass("Sysprep supports all installed roles.", product.Evidence)
}

func (m *Machine) decideUpgraded() requirement.Outcome {
	o := m.decideUpgrade()
	o.Remediation = cmp.Or(o.Remediation, upgradeInPlace.Remediation)
	return o
}

func (m *Machine) decideBitLocker() requirement.Outcome {
	status, err := m.DWordAt(machine.KeyControl+`\BitLockerStatus`, "BootStatus")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeBitLocker(status)
}

// judgeBitLocker judges what Windows noted at its last start. The root volume
// itself is not encrypted, or nothing of it would have been read.
func judgeBitLocker(status machine.Setting[uint32]) requirement.Outcome {
	if status.Value != 0 {
		o := requirement.Warn(
			fmt.Sprintf("BitLocker was on at the last start (BootStatus is %d), which stops Sysprep. The volume itself "+
				"is not encrypted.", status.Value), status.Evidence)
		o.Remediation = fixBitLocker
		return o
	}
	return requirement.Pass("BitLocker is off.", status.Evidence)
}

func (m *Machine) decideSysprepProgram() requirement.Outcome {
	f, err := m.File(`C:\` + m.SystemRoot + `\System32\Sysprep\sysprep.exe`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSysprepProgram(f)
}

func judgeSysprepProgram(f machine.File) requirement.Outcome {
	if !f.Exists || f.Dir {
		o := requirement.Fail("sysprep.exe is missing.",
			f.Evidence).About(subjectOf(f.Evidence, requirement.ReasonMissing))
		o.Remediation = repairWindows
		return o
	}
	return requirement.Pass("sysprep.exe exists.", f.Evidence)
}

// sysprepProvider is a library that Sysprep calls.
type sysprepProvider struct {
	Pass     string // "Generalize", …
	Library  machine.File
	Path     string
	Evidence requirement.Evidence // of the value that names it
}

func (m *Machine) decideProviders() requirement.Outcome {
	var providers []sysprepProvider
	for _, parent := range []string{`\Setup\SysPrep\`, `\Setup\SysPrepExternal\`} {
		for _, pass := range []string{"Cleanup", "Generalize", "Specialize"} {
			k, err := m.Key(machine.KeyMachineWindows + parent + pass)
			if err != nil {
				return requirement.Unreadable(err)
			}
			list, err := m.readProviders(k, pass)
			if err != nil {
				return requirement.Unreadable(err)
			}
			providers = append(providers, list...)
		}
	}
	return judgeProviders(providers)
}

// readProviders reads the values of a key, each of which names a library and
// a function in it: "C:\Windows\System32\x.dll,Function".
func (m *Machine) readProviders(k machine.Key, pass string) ([]sysprepProvider, error) {
	if !k.Exists() {
		return nil, nil
	}
	env, err := m.Environment()
	if err != nil {
		return nil, err
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	var providers []sysprepProvider
	for _, v := range values {
		if t := v.Type(); t != registry.SZ && t != registry.ExpandSZ {
			continue
		}
		s, err := m.Text(k, v.Name())
		if err != nil {
			return nil, err
		}
		path := providerPath(env.Text(s), `C:\`+m.SystemRoot)
		if path == "" {
			continue
		}
		f, err := m.File(path)
		if errors.Is(err, machine.ErrElsewhere) {
			f, err = machine.File{Evidence: machine.FileEvidence("", path)}, nil
			f.Evidence.Note = machine.NotFound
		}
		if err != nil {
			return nil, err
		}
		providers = append(providers, sysprepProvider{pass, f, path, s.Evidence})
	}
	return providers, nil
}

// providerPath takes the library out of the data of a provider, whose variables
// are expanded. A bare name is looked for in System32.
func providerPath(data, systemRoot string) string {
	path, _, _ := strings.Cut(data, ",")
	path = strings.Trim(strings.TrimSpace(path), `"`)
	if path == "" || strings.Contains(path, `\`) {
		return path
	}
	return systemRoot + `\System32\` + path
}

func judgeProviders(providers []sysprepProvider) requirement.Outcome {
	var gone, values []string
	var evidence, all []requirement.Evidence
	var about []requirement.Subject
	for _, p := range providers {
		all = append(all, p.Evidence)
		if !p.Library.Exists || p.Library.Dir {
			gone = append(gone, fmt.Sprintf("%s (%s)", p.Path, strings.ToLower(p.Pass)))
			values = append(values, machine.JoinKey(`HKLM\SOFTWARE\`+p.Evidence.Key, p.Evidence.Value))
			evidence = append(evidence, p.Evidence, p.Library.Evidence)
			about = append(about, subjectOf(p.Library.Evidence, requirement.ReasonMissing))
		}
	}
	if len(gone) > 0 {
		o := requirement.Warn(fmt.Sprintf("Sysprep calls %s: %s.",
			prose.Count(len(gone), "missing library", "missing libraries"), prose.Some(gone)),
			evidence...).About(about...)
		o.Remediation = "Reinstall the program that the library belongs to, or delete " +
			form(len(values), "the value ", "the values ") + prose.Some(values) + "."
		return o
	}
	return requirement.Pass(fmt.Sprintf("No library that Sysprep calls is missing; %d were checked.", len(providers)),
		all...)
}
