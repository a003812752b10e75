package windows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/prose"
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
	Requirement: required("win.sysprep.compatible", "", "nothing recorded on the disk stops Sysprep", sectionRequirements, explanation{
		Reads: `SOFTWARE: Setup\State\ImageState, the providers in Setup\SysPrep and Setup\SysPrepExternal and whether their libraries exist; SYSTEM: Setup (setup in progress, SysprepStatus), roles that cannot be generalized, BitLockerStatus; setupact.log and setuperr.log of the newest run of Sysprep; sysprep.exe; upgrades in place.`,
		Live:  `Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State; Get-Content C:\Windows\System32\Sysprep\Panther\setuperr.log`,
		Fix:   "Remove what the finding names, restart, and look at it again.",
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
		{"sysprep status", (*Machine).decideSysprepStatus},
		{"last run", (*Machine).decideLastRun},
		{"roles", (*Machine).decideRoles},
		{"upgrade in place", (*Machine).decideUpgraded},
		{"bitlocker", (*Machine).decideBitLocker},
		{"sysprep.exe", (*Machine).decideSysprepProgram},
		{"providers", (*Machine).decideProviders},
	} {
		parts = append(parts, sysprepPart{part.name, part.decide(m)})
	}
	packages, err := m.perUserPackages()
	return judgeSysprep(parts, packages, err)
}

// judgeSysprep decides win.sysprep.compatible by its parts: the worst of them
// counts. What is found stands whatever else could not be read. packages are
// AppX packages installed for a user only: they are named and change nothing.
func judgeSysprep(parts []sysprepPart, packages []string, packagesErr error) requirement.Outcome {
	rank := []requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined, requirement.Passed}
	worst := requirement.Passed
	var rows []sysprepRow
	for _, p := range parts {
		if slices.Index(rank, p.Outcome.Status) < slices.Index(rank, worst) {
			worst = p.Outcome.Status
		}
		rows = append(rows, sysprepRow{p.Name, p.Outcome.Status, p.Outcome.Message})
	}
	o := requirement.Outcome{Status: worst, Basis: requirement.Observed}
	var messages, besides []string
	for _, p := range parts {
		switch status := p.Outcome.Status; {
		case status == worst:
			messages = append(messages, p.Outcome.Message)
			o.Evidence = append(o.Evidence, p.Outcome.Evidence...)
			o.Remediation = cmp.Or(o.Remediation, p.Outcome.Remediation)
		case status != requirement.Passed:
			besides = append(besides, p.Name)
		}
	}
	o.Message = strings.Join(messages, "; ")
	if len(besides) > 0 {
		o.Message += " (the details say more of: " + strings.Join(besides, ", ") + ")"
	}
	switch worst {
	case requirement.Passed:
		o.Basis = requirement.Inferred
		o.Message = fmt.Sprintf("none of %d things that stop Sysprep is on record", len(parts))
		if len(packages) > 0 {
			o.Message += "; installed for a user only, which often does: " + prose.Some(packages)
		}
	case requirement.Undetermined:
		o.Basis = ""
	}
	unread := ""
	if packagesErr != nil {
		unread = packagesErr.Error()
	}
	o.Details = struct {
		Parts          []sysprepRow `json:"parts"`
		PerUser        []string     `json:"packages_per_user,omitempty"`
		PackagesUnread string       `json:"packages_unread,omitempty"`
	}{rows, packages, unread}
	return o
}

func (m *Machine) decideImageState() requirement.Outcome {
	state, err := m.textAt(keyMachineWindows+`\Setup\State`, "ImageState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeImageState(state)
}

func judgeImageState(state Setting[string]) requirement.Outcome {
	if !strings.EqualFold(state.Value, "IMAGE_STATE_COMPLETE") {
		is := short(state.Value)
		if !state.Present {
			is = "not written"
		}
		o := requirement.Fail("Windows Setup has not finished: ImageState is "+is, state.Evidence)
		o.Remediation = "Start the WorkSpace and let Windows Setup finish."
		return o
	}
	return requirement.Pass("ImageState is IMAGE_STATE_COMPLETE", state.Evidence)
}

func (m *Machine) decideSetup() requirement.Outcome {
	k, err := m.key(keySetup)
	if err != nil {
		return requirement.Unreadable(err)
	}
	var list []Setting[uint32]
	for _, value := range []string{"SystemSetupInProgress", "OOBEInProgress", "SetupType"} {
		s, err := m.dword(k, value)
		if err != nil {
			return requirement.Unreadable(err)
		}
		list = append(list, s)
	}
	return judgeSetup(list)
}

// judgeSetup judges values that are 0, or not there, while no setup runs.
func judgeSetup(list []Setting[uint32]) requirement.Outcome {
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
		o := requirement.Fail("Windows Setup is in progress: "+strings.Join(running, ", "), bad...)
		o.Remediation = "Start the WorkSpace and let Windows Setup finish."
		return o
	}
	return requirement.Pass("no setup is in progress", all...)
}

func (m *Machine) decideSysprepStatus() requirement.Outcome {
	k, err := m.key(keySetup + `\Status\SysprepStatus`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	generalization, err := m.dword(k, "GeneralizationState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	cleanup, err := m.dword(k, "CleanupState")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSysprepStatus(generalization, cleanup)
}

// States that Sysprep leaves when it has finished (by experience, not
// documented). One that stopped in the middle leaves others, and then refuses
// to run.
const (
	generalizationDone = 7
	cleanupDone        = 2
)

func judgeSysprepStatus(generalization, cleanup Setting[uint32]) requirement.Outcome {
	var odd []string
	var evidence []requirement.Evidence
	for _, s := range []struct {
		Setting[uint32]
		name string
		rest uint32
	}{{generalization, "GeneralizationState", generalizationDone}, {cleanup, "CleanupState", cleanupDone}} {
		if s.Present && s.Value != s.rest {
			odd = append(odd, fmt.Sprintf("%s is %d instead of %d", s.name, s.Value, s.rest))
			evidence = append(evidence, s.Evidence)
		}
	}
	if len(odd) > 0 {
		o := requirement.Warn("an earlier Sysprep did not finish: "+strings.Join(odd, ", "), evidence...)
		o.Remediation = fmt.Sprintf(`Find out from setuperr.log why, then set GeneralizationState to %d and CleanupState to %d below HKLM\SYSTEM\Setup\Status\SysprepStatus.`, generalizationDone, cleanupDone)
		return o
	}
	return requirement.Pass("no Sysprep stopped in the middle", generalization.Evidence, cleanup.Evidence)
}

func (m *Machine) decideLastRun() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		s = System{} // when it was installed only takes older errors out
	}
	return judgeLastRun(m.SysprepLogs().Sysprep, s)
}

// judgeLastRun looks for what stopped the newest run of Sysprep. setupact.log
// says where it began; what setuperr.log has from before is of older runs.
func judgeLastRun(logs []sysprepLog, s System) requirement.Outcome {
	var begun time.Time
	var unread error
	var looked, evidence []requirement.Evidence
	for _, l := range logs {
		looked = append(looked, l.File.Evidence)
		if l.Err != nil && unread == nil {
			unread = l.Err
		}
		if l.Run.Time.After(begun) {
			begun = l.Run.Time
		}
	}
	var stopped, seen []string
	errs, packages := 0, 0
	for _, l := range logs {
		for _, line := range l.Errors.Last {
			if !line.Time.IsZero() && line.Time.Before(begun) || ageOf(line, s) == ageBefore {
				continue
			}
			bare := bareLine(line.Text)
			if slices.Contains(seen, bare) { // setuperr.log repeats the errors of setupact.log
				continue
			}
			seen = append(seen, bare)
			errs++
			evidence = append(evidence, line.evidence(l.File))
			if name, _, ok := strings.Cut(bare, " was installed for a user"); ok {
				packages++
				stopped = append(stopped, strings.TrimPrefix(name, "Package "))
			}
		}
	}
	switch {
	case packages > 0:
		o := requirement.Warn(fmt.Sprintf("Sysprep was stopped by %s that %s installed for a user only: %s", prose.Count(packages, "package", "packages"), are(packages), prose.Some(stopped)), evidence...)
		o.Remediation = "In an elevated PowerShell: Get-AppxPackage -AllUsers -Name <name> | Remove-AppxPackage -AllUsers, for each of them."
		return o
	case errs > 0:
		o := requirement.Warn(fmt.Sprintf("the last run of Sysprep met %s: %s", prose.Count(errs, "error", "errors"), seen[0]), evidence...)
		o.Remediation = "Find the cause by setuperr.log and remove it. What the log says stays there until Sysprep runs again."
		return o
	case unread != nil:
		return requirement.Unreadable(unread, looked...)
	}
	return requirement.Pass("no error in the logs of Sysprep", looked...)
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// bareLine is what follows the component of a line.
func bareLine(text string) string {
	if _, rest, ok := strings.Cut(text, "SYSPRP "); ok {
		return rest
	}
	return text
}

// Roles that Sysprep cannot generalize, by their services. Only of domain
// controllers is it documented; the others are by experience.
var ungeneralizable = []struct{ service, role string }{
	{"ClusSvc", "Failover Clustering"},
	{"adfssrv", "Active Directory Federation Services"},
	{"CertSvc", "Active Directory Certificate Services"},
}

func (m *Machine) decideRoles() requirement.Outcome {
	product, err := m.textAt(keyControl+`\ProductOptions`, "ProductType")
	if err != nil {
		return requirement.Unreadable(err)
	}
	directory, err := m.Service("NTDS")
	if err != nil {
		return requirement.Unreadable(err)
	}
	roles := map[string]Service{}
	for _, r := range ungeneralizable {
		if roles[r.role], err = m.Service(r.service); err != nil {
			return requirement.Unreadable(err)
		}
	}
	return judgeRoles(product, directory, roles)
}

// judgeRoles judges by the product type, the service of a domain controller
// and those of other roles by the role's name.
func judgeRoles(product Setting[string], directory Service, roles map[string]Service) requirement.Outcome {
	if strings.EqualFold(product.Value, "LanmanNT") {
		return requirement.Fail("the computer is a domain controller, which Sysprep cannot generalize", product.Evidence)
	}
	if directory.Process() && directory.Start.Present && directory.Start.Value == startAuto {
		return requirement.Fail("Active Directory Domain Services start automatically: Sysprep cannot generalize a domain controller", directory.Start.Evidence)
	}
	var found []string
	var evidence []requirement.Evidence
	for _, r := range ungeneralizable {
		if s := roles[r.role]; s.Exists() && !s.Deleted {
			found = append(found, r.role)
			evidence = append(evidence, s.Key)
		}
	}
	if len(found) > 0 {
		o := requirement.Warn("Sysprep does not support a role that is installed (by experience, not documented): "+strings.Join(found, ", "), evidence...)
		o.Remediation = "Remove the role, and restart."
		return o
	}
	return requirement.Pass("no role that Sysprep cannot generalize", product.Evidence)
}

func (m *Machine) decideUpgraded() requirement.Outcome {
	o := m.decideUpgrade()
	o.Remediation = cmp.Or(o.Remediation, upgradeInPlace.Remediation)
	return o
}

func (m *Machine) decideBitLocker() requirement.Outcome {
	status, err := m.dwordAt(keyControl+`\BitLockerStatus`, "BootStatus")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeBitLocker(status)
}

// judgeBitLocker judges what Windows noted at its last start. The root volume
// itself is not encrypted, or nothing of it would have been read.
func judgeBitLocker(status Setting[uint32]) requirement.Outcome {
	if status.Value != 0 {
		o := requirement.Warn(fmt.Sprintf("BitLocker was on when Windows last started (BootStatus is %d), which stops Sysprep; the volume itself is not encrypted", status.Value), status.Evidence)
		o.Remediation = "Turn BitLocker off (manage-bde -off C:), and restart."
		return o
	}
	return requirement.Pass("BitLocker is off", status.Evidence)
}

func (m *Machine) decideSysprepProgram() requirement.Outcome {
	f, err := m.file(`C:\` + m.systemRoot + `\System32\Sysprep\sysprep.exe`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSysprepProgram(f)
}

func judgeSysprepProgram(f File) requirement.Outcome {
	if !f.Exists || f.Dir {
		o := requirement.Fail("sysprep.exe is missing", f.Evidence)
		o.Remediation = repairWindows
		return o
	}
	return requirement.Pass("sysprep.exe is there", f.Evidence)
}

// sysprepProvider is a library that Sysprep calls.
type sysprepProvider struct {
	Pass     string // "Generalize", …
	Library  File
	Path     string
	Evidence requirement.Evidence // of the value that names it
}

func (m *Machine) decideProviders() requirement.Outcome {
	var providers []sysprepProvider
	for _, parent := range []string{`\Setup\SysPrep\`, `\Setup\SysPrepExternal\`} {
		for _, pass := range []string{"Cleanup", "Generalize", "Specialize"} {
			k, err := m.key(keyMachineWindows + parent + pass)
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
func (m *Machine) readProviders(k Key, pass string) ([]sysprepProvider, error) {
	if !k.Exists() {
		return nil, nil
	}
	env, err := m.env()
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
		s, err := m.text(k, v.Name())
		if err != nil {
			return nil, err
		}
		path := providerPath(env.text(s), `C:\`+m.systemRoot)
		if path == "" {
			continue
		}
		f, err := m.file(path)
		if errors.Is(err, ErrElsewhere) {
			f, err = File{Evidence: requirement.Evidence{Path: path, Note: notFound}}, nil
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
	var gone []string
	var evidence, all []requirement.Evidence
	for _, p := range providers {
		all = append(all, p.Evidence)
		if !p.Library.Exists || p.Library.Dir {
			gone = append(gone, fmt.Sprintf("%s (%s)", p.Path, strings.ToLower(p.Pass)))
			evidence = append(evidence, p.Evidence, p.Library.Evidence)
		}
	}
	if len(gone) > 0 {
		o := requirement.Warn(fmt.Sprintf("Sysprep calls %s that %s not there: %s", prose.Count(len(gone), "library", "libraries"), are(len(gone)), prose.Some(gone)), evidence...)
		o.Remediation = "Reinstall the program that the library is from, or delete the value that names it."
		return o
	}
	return requirement.Pass(fmt.Sprintf("every library that Sysprep calls is there (%d)", len(providers)), all...)
}
