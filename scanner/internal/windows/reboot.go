package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// pendingTrace is something that waits for the next start of Windows.
type pendingTrace struct {
	What     string
	Evidence requirement.Evidence
}

// PendingReboot is what waits for the next start of Windows.
type PendingReboot struct {
	Servicing []pendingTrace // a transaction of Windows' servicing: a reboot is pending
	Likely    []pendingTrace // work on Windows' own files that the next start will do
	Other     []pendingTrace // what programs leave for the next start on any WorkSpace
	Packages  []string       // those of Servicing that are packages, all of them
	Events    []pendingTrace // what the event logs show since the last start
	Logs      string         // what became of reading the event logs, for a message
	Read      []requirement.Evidence
	Errs      []error // why some of the traces could not be looked for
}

const (
	keyServicing     = machine.KeyMachineWindows + `\Component Based Servicing`
	keyWindowsUpdate = machine.KeyMachineWindows + `\WindowsUpdate`
)

// Package states of component based servicing that wait for a start (from
// observation, not documented: the event log prints them plus 5000).
const (
	stateUninstallPending = 0x05
	stateInstallPending   = 0x60
)

func (m *Machine) readPendingReboot() PendingReboot {
	var p PendingReboot
	for _, read := range []func(*PendingReboot) error{
		m.readPendingKeys, m.readPendingPackages, m.readPendingStore, m.readPendingComponents, m.readPendingRenames,
		m.readPendingOther,
	} {
		if err := read(&p); err != nil {
			p.Errs = append(p.Errs, err)
		}
	}
	m.readPendingEvents(&p)
	return p
}

// readPendingEvents looks for events that require a restart since the last start. Logs that cannot be read, or are not
// there, change nothing: they only corroborate what the registry says.
func (m *Machine) readPendingEvents(p *PendingReboot) {
	e, err := m.Events()
	if err != nil {
		p.Logs = "The event logs were not read: " + err.Error()
		return
	}
	p.Events, p.Logs = e.pending(), e.read()
	p.Read = append(p.Read, e.evidence()...)
}

// readPendingKeys looks for keys whose existence says it all. Windows makes
// the first two in memory only, so that they are found here by exception.
func (m *Machine) readPendingKeys(p *PendingReboot) error {
	for _, name := range []string{
		keyWindowsUpdate + `\Auto Update\RebootRequired`,
		keyServicing + `\RebootPending`,
		keyServicing + `\RebootInProgress`,
		keyServicing + `\PackagesPending`,
	} {
		k, err := m.Key(name)
		if err != nil {
			return err
		}
		if k.Exists() {
			p.Servicing = append(p.Servicing, pendingTrace{"the key " + k.Name() + " exists", k.Evidence})
		}
	}
	exclusive, err := m.DWordAt(keyServicing+`\SessionsPending`, "Exclusive")
	if err != nil {
		return err
	}
	if exclusive.Value != 0 {
		p.Servicing = append(p.Servicing, pendingTrace{"a servicing session is pending", exclusive.Evidence})
	}
	if err := m.readPendingSessions(p); err != nil {
		return err
	}
	return m.readCommitRequired(p)
}

// readPendingSessions looks for sessions of servicing that have not ended: the
// keys below SessionsPending without Complete 1.
func (m *Machine) readPendingSessions(p *PendingReboot) error {
	sessions, err := m.SubkeysAt(keyServicing + `\SessionsPending`)
	if err != nil {
		return err
	}
	for _, k := range sessions {
		complete, err := m.DWord(k, "Complete")
		if err != nil {
			return err
		}
		if complete.Value != 1 {
			p.Likely = append(p.Likely, pendingTrace{"the servicing session " + prose.Short(
				k.Name()) + " is incomplete", complete.Evidence})
		}
	}
	return nil
}

// readCommitRequired looks for updates that Windows Update has still to commit.
func (m *Machine) readCommitRequired(p *PendingReboot) error {
	k, err := m.Key(keyWindowsUpdate + `\Auto Update\CommitRequired`)
	if err != nil || !k.Exists() {
		return err
	}
	values, err := k.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	found := 0
	for _, v := range values {
		s, err := m.Binary(k, v.Name())
		if err != nil {
			return err
		}
		if settled(s.Value) {
			continue
		}
		if found++; found <= maxTraces {
			p.Likely = append(p.Likely, pendingTrace{"Windows Update must still commit the update " + prose.Short(
				v.Name()), s.Evidence})
		}
	}
	if found > maxTraces {
		p.Likely = append(p.Likely, pendingTrace{"Windows Update must still commit " + prose.Count(found-maxTraces,
			"more update", "more updates"), k.Evidence})
	}
	return nil
}

// settled says whether data is empty or all zeros, as what is left of a number
// or a name that no longer counts.
func settled(data []byte) bool { return strings.Trim(string(data), "\x00") == "" }

// maxServicing is the most packages of the servicing stack that are looked
// through. Years of updates leave some ten thousand.
const maxServicing = 200_000

func (m *Machine) readPendingPackages(p *PendingReboot) error {
	packages, err := m.Key(keyServicing + `\Packages`)
	if err != nil {
		return err
	}
	if !packages.Exists() {
		return fmt.Errorf("%s: key %s not found", packages.Evidence.Path, packages.Evidence.Key)
	}
	list, err := m.SubkeysUpTo(packages, maxServicing)
	if err != nil {
		return err
	}
	for _, k := range list {
		state, err := m.DWord(k, "CurrentState")
		if err != nil {
			return err
		}
		if state.Present && (state.Value == stateInstallPending || state.Value == stateUninstallPending) {
			what := "package " + k.Name() + " is waiting to be installed (state 0x60)"
			if state.Value == stateUninstallPending {
				what = "package " + k.Name() + " is waiting to be removed (state 0x05)"
			}
			p.Packages = append(p.Packages, k.Name())
			p.Servicing = append(p.Servicing, pendingTrace{what, state.Evidence})
		}
	}
	read := packages.Evidence
	read.Note = "the states of " + prose.Count(len(list), "package", "packages") + " were read"
	p.Read = append(p.Read, read)
	return nil
}

func (m *Machine) readPendingStore(p *PendingReboot) error {
	store := `C:\` + m.SystemRoot + `\WinSxS`
	folder, err := m.File(store)
	if err != nil {
		return err
	}
	if !folder.Exists || !folder.Dir {
		return fmt.Errorf("%s volume: folder %s not found", folder.Evidence.Source, folder.Evidence.Path)
	}
	pending, err := m.File(store + `\pending.xml`)
	if err != nil {
		return err
	}
	p.Read = append(p.Read, pending.Evidence)
	if pending.Exists {
		p.Servicing = append(p.Servicing, pendingTrace{"WinSxS contains pending.xml", pending.Evidence})
	}
	return nil
}

// readPendingComponents reads the hive of the component store. Windows loads
// it when it is needed; a system that has none has nothing in it that waits.
func (m *Machine) readPendingComponents(p *PendingReboot) error {
	f, err := m.File(`C:\` + m.SystemRoot + `\System32\config\COMPONENTS`)
	if err != nil {
		return err
	}
	p.Read = append(p.Read, f.Evidence)
	if !f.Exists {
		return nil
	}
	root, err := m.Key(`HKLM\COMPONENTS`)
	if err != nil {
		return err
	}
	identifier, err := m.Binary(root, "PendingXmlIdentifier")
	if err != nil {
		return err
	}
	if !settled(identifier.Value) {
		p.Servicing = append(p.Servicing, pendingTrace{"PendingXmlIdentifier is set in COMPONENTS",
			identifier.Evidence})
	}
	return nil
}

const keySessionManager = machine.KeyControl + `\Session Manager`

func (m *Machine) readPendingRenames(p *PendingReboot) error {
	k, err := m.Key(keySessionManager)
	if err != nil {
		return err
	}
	if !k.Exists() {
		return fmt.Errorf("%s: key %s not found", k.Evidence.Path, k.Evidence.Key)
	}
	p.Read = append(p.Read, k.Evidence)
	for _, name := range []string{"PendingFileRenameOperations", "PendingFileRenameOperations2"} {
		s, err := machine.ReadSetting(m.Machine, k, name, nil, readRenames,
			func(list []rename) string { return prose.Count(len(list), "operation", "operations") })
		if err != nil {
			return err
		}
		var servicing []string
		for _, r := range s.Value {
			if r.servicing() {
				servicing = append(servicing, r.To)
			}
		}
		switch {
		case len(servicing) > 0:
			ev := s.Evidence
			ev.Data = prose.Some(servicing)
			p.Likely = append(p.Likely, pendingTrace{prose.Count(len(servicing), "Windows file is",
				"Windows files are") + " waiting to be replaced: " + prose.Some(servicing), ev})
		case len(s.Value) > 0:
			p.Other = append(p.Other, pendingTrace{prose.Count(len(s.Value), "file is",
				"files are") + " waiting to be renamed or deleted", s.Evidence})
		}
	}
	execute, err := m.Multi(k, "SetupExecute")
	if err != nil {
		return err
	}
	if programs := notBlank(execute.Value); len(programs) > 0 {
		p.Likely = append(p.Likely, pendingTrace{"SetupExecute runs " + prose.Some(programs), execute.Evidence})
	}
	boot, err := m.Multi(k, "BootExecute")
	if err != nil {
		return err
	}
	for _, program := range notBlank(boot.Value) {
		if !strings.EqualFold(program, "autocheck autochk *") {
			p.Other = append(p.Other, pendingTrace{"BootExecute runs " + program, boot.Evidence})
		}
	}
	return nil
}

func notBlank(list []string) []string {
	var kept []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// rename is an operation that the session manager does at the next start. To
// is "" if the file is deleted.
type rename struct{ From, To string }

// servicing says whether the operation is one of Windows' servicing: it puts a
// file into its store, or one out of its store or its downloads into the folders
// of the system. What an installation of a driver or of another vendor leaves
// there (SET1A01.tmp in the driver's folder) comes from elsewhere.
func (r rename) servicing() bool {
	to, from := lowerPath(r.To), lowerPath(r.From)
	switch {
	case strings.Contains(to, `\system32\spool\`):
		return false
	case strings.Contains(to, `\winsxs\`), strings.Contains(to, `\softwaredistribution\`):
		return true
	case strings.Contains(to, `\system32\`), strings.Contains(to, `\syswow64\`):
		return strings.Contains(from, `\winsxs\`) || strings.Contains(from, `\servicing\`) ||
			strings.Contains(from, `\softwaredistribution\`)
	}
	return false
}

func lowerPath(s string) string { return strings.ToLower(strings.ReplaceAll(s, "/", `\`)) }

// readRenames takes the pairs out of a value. Its strings end at a NUL each
// and may be empty, which is why it is no REG_MULTI_SZ like any other. "!"
// before a target allows it to be replaced.
func readRenames(v *registry.Value) ([]rename, error) {
	data, err := v.Data()
	if err != nil {
		return nil, err
	}
	return parseRenames(data), nil
}

func parseRenames(data []byte) []rename {
	list := strings.Split(utf16le.Decode(data), "\x00")
	var renames []rename
	for i := 0; i < len(list) && list[i] != ""; i += 2 {
		r := rename{From: ntPath(list[i])}
		if i+1 < len(list) {
			r.To = ntPath(list[i+1])
		}
		renames = append(renames, r)
	}
	return renames
}

func ntPath(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "!"), `\??\`) }

// pendingValues are values that count, if anything, for a reboot that is not
// of Windows Update, or that are there at rest as well.
var pendingValues = []struct{ key, value, what string }{
	{`HKLM\SOFTWARE\Microsoft\Updates`, "UpdateExeVolatile", "an update installer has not finished"},
	{machine.KeyMachineWindows + `\RunOnce`, "DVDRebootSignal", "a program requested a reboot"},
	{`HKLM\SOFTWARE\Microsoft\ServerManager`, "CurrentRebootAttempts", "Server Manager is waiting for a reboot"},
	{machine.KeyServices + `\Netlogon`, "JoinDomain", "a domain join is waiting for a reboot"},
	{machine.KeyServices + `\Netlogon`, "AvoidSpnSet", "a domain join is waiting for a reboot"},
	{`HKLM\SOFTWARE\Microsoft\WindowsUpdate\Orchestrator`, "InstallAtShutdown", "updates are installed at shutdown"},
}

func (m *Machine) readPendingOther(p *PendingReboot) error {
	for _, value := range pendingValues {
		k, err := m.Key(value.key)
		if err != nil {
			return err
		}
		s, err := m.Binary(k, value.value)
		if err != nil {
			return err
		}
		if !settled(s.Value) {
			p.Other = append(p.Other, pendingTrace{value.what, s.Evidence})
		}
	}
	for _, key := range []struct{ key, what string }{
		{keyWindowsUpdate + `\Auto Update\PostRebootReporting`, "Windows Update reports after the next start"},
		{`HKLM\SOFTWARE\Microsoft\ServerManager\CurrentRebootAttempts`, "Server Manager is waiting for a reboot"},
	} {
		k, err := m.Key(key.key)
		if err != nil {
			return err
		}
		if k.Exists() {
			p.Other = append(p.Other, pendingTrace{key.what, k.Evidence})
		}
	}
	services, err := m.SubkeysAt(keyWindowsUpdate + `\Services\Pending`)
	if err != nil {
		return err
	}
	if len(services) > 0 {
		p.Other = append(p.Other, pendingTrace{"an update service is waiting to be registered",
			services[0].Evidence})
	}
	host, err := m.TextAt(machine.KeyServices+`\Tcpip\Parameters`, "Hostname")
	if err != nil {
		return err
	}
	next, err := m.TextAt(machine.KeyServices+`\Tcpip\Parameters`, "NV Hostname")
	if err != nil {
		return err
	}
	if host.Present && next.Present && !strings.EqualFold(host.Value, next.Value) {
		p.Other = append(p.Other, pendingTrace{"the computer's name changes to " + prose.Short(next.Value),
			next.Evidence})
	}
	installer, err := m.Service("TrustedInstaller")
	if err != nil {
		return err
	}
	if installer.Start.Present && installer.Start.Value == machine.StartAuto {
		p.Other = append(p.Other,
			pendingTrace{"Windows Modules Installer starts automatically, as it does while work is pending",
				installer.Start.Evidence})
	}
	return nil
}

var rebootPending = entry{
	Requirement: required("win.reboot.pending", "WindowsUpdatesRequired",
		"There must be no pending reboot because of Windows updates.",
		sectionTips+": No pending reboot due to Windows Updates can be detected", explanation{
			Reads: `SOFTWARE: Component Based Servicing (package states, sessions, pending keys), WindowsUpdate ` +
				`(CommitRequired); COMPONENTS: PendingXmlIdentifier; WinSxS\pending.xml; SYSTEM: Session Manager ` +
				`(pending renames, SetupExecute). Windows keeps RebootRequired and RebootPending in memory only, so ` +
				`their absence decides nothing. The event logs Setup (Servicing 4, 13, 14) and System ` +
				`(WindowsUpdateClient 21, 22; Kernel-General 12 for the last start) corroborate.`,
			Live: `Test-Path 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto ` +
				`Update\RebootRequired', 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based ` +
				`Servicing\RebootPending'`,
			Doubts: "The states of packages (0x05 and 0x60) are from observation. Pending file renames, unfinished " +
				"sessions, uncommitted updates and events since the last start that require a restart are warnings: the " +
				"service's guide does not mention them. That the event logs have no such event proves nothing. A reboot " +
				"for another reason, such as a new computer name, does not count.",
			Fix: "Restart the WorkSpace and install the remaining updates. Restart again until no update requires it.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return judgeReboot(m.readPendingReboot()) },
}

// judgeReboot decides win.reboot.pending. What is found stands whatever else
// could not be read.
func judgeReboot(p PendingReboot) requirement.Outcome {
	var o requirement.Outcome
	switch {
	case len(p.Servicing) > 0:
		o = requirement.Fail("A reboot is pending: "+someTraces(p.Servicing)+".",
			tracesOf(p.Servicing, p.Likely, p.Events)...)
	case len(p.Likely) > 0:
		o = requirement.Warn("The next start changes Windows: "+someTraces(p.Likely)+".",
			tracesOf(p.Likely, p.Events)...)
	case len(p.Events) > 0:
		o = requirement.Warn("A reboot is probably pending: "+someTraces(p.Events)+".", tracesOf(p.Events)...)
	case len(p.Errs) > 0:
		return requirement.Unreadable(p.Errs[0], p.Read...)
	default:
		o = requirement.Infer("SOFTWARE, SYSTEM, COMPONENTS and WinSxS show no pending update.",
			p.Read...).With(tracesOf(p.Other)...).Also(p.Logs)
		if len(p.Other) > 0 {
			o = o.Also("Pending for other reasons: " + someTraces(p.Other) + ".")
		}
	}
	o.Details = struct {
		Pending  []string `json:"pending,omitempty"`
		Likely   []string `json:"likely,omitempty"`
		Other    []string `json:"other,omitempty"`
		Packages []string `json:"packages,omitempty"`
		Events   []string `json:"events,omitempty"`
		Unread   []string `json:"unread,omitempty"`
	}{whats(p.Servicing), whats(p.Likely), whats(p.Other), p.Packages, whats(p.Events), texts(p.Errs)}
	return o
}

// maxTraces is how many pieces of evidence a list brings; the details have
// them all.
const maxTraces = 20

func tracesOf(lists ...[]pendingTrace) []requirement.Evidence {
	var evidence []requirement.Evidence
	for _, list := range lists {
		for _, t := range list[:min(len(list), maxTraces)] {
			evidence = append(evidence, t.Evidence)
		}
	}
	return evidence
}

func whats(list []pendingTrace) []string {
	var what []string
	for _, t := range list {
		what = append(what, t.What)
	}
	return what
}

func someTraces(list []pendingTrace) string { return prose.Some(whats(list)) }

func texts(errs []error) []string {
	var list []string
	for _, err := range errs {
		list = append(list, err.Error())
	}
	return list
}
