package windows

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var byolUpdates = entry{
	Requirement: required("byol.updates.disabled", "WindowsUpdatesEnabled",
		"Windows Update must be disabled, and Windows Modules Installer must start manually.", sectionBYOL, explanation{
			Reads: `SYSTEM: Services\wuauserv\Start and Services\TrustedInstaller\Start.`,
			Live:  "sc.exe qc wuauserv; sc.exe qc trustedinstaller",
			Doubts: "The start type of Windows Modules Installer is from the service's script. The services UsoSvc and " +
				"WaaSMedicSvc may enable Windows Update again. They change no status.",
			Fix: "Run sc.exe config wuauserv start= disabled and sc.exe config trustedinstaller start= demand in an " +
				"elevated command prompt.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		var list [4]machine.Service
		for i, name := range []string{"wuauserv", "TrustedInstaller", "UsoSvc", "WaaSMedicSvc"} {
			var err error
			if list[i], err = m.Service(name); err != nil {
				return requirement.Unreadable(err)
			}
		}
		return judgeUpdatesDisabled(list[0], list[1], list[2:])
	},
}

// judgeUpdatesDisabled decides byol.updates.disabled. others may enable Windows Update again.
func judgeUpdatesDisabled(update, installer machine.Service, others []machine.Service) requirement.Outcome {
	evidence := []requirement.Evidence{update.Start.Evidence, installer.Start.Evidence}
	var wrong []string
	var about []requirement.Subject
	for _, rule := range []struct {
		machine.Service
		title string
		want  uint32
	}{{update, "Windows Update", machine.StartDisabled}, {installer, "Windows Modules Installer", machine.StartManual}} {
		switch {
		case !rule.Exists():
			return requirement.Unknown("The service "+rule.title+" is missing.", rule.Key)
		case !rule.Start.Present:
			return requirement.Unknown(rule.title+" has no start type.", rule.Start.Evidence)
		case rule.Start.Value != rule.want:
			wrong = append(wrong, rule.title+" "+rule.Starts()+"; the start type must be "+startNames([]uint32{rule.want})+
				".")
			about = append(about, rule.Subject(requirement.ReasonStartType, rule.StartName()))
		}
	}
	if len(wrong) > 0 {
		return requirement.Warn(strings.Join(wrong, " "), evidence...).About(about...)
	}
	o := requirement.Pass("Windows Update is disabled, and Windows Modules Installer starts manually.", evidence...)
	for _, s := range others {
		if s.Exists() && s.Start.Present && s.Start.Value != machine.StartDisabled {
			o = o.Also(s.Name + " " + s.Starts() + " and may enable Windows Update again.").With(s.Start.Evidence)
		}
	}
	return o
}

var byolAutomount = entry{
	Requirement: required("byol.automount.enabled", "AutoMountDisabled", "New volumes must be mounted automatically.",
		sectionBYOLErrors, explanation{
			Reads: `SYSTEM: Services\mountmgr\NoAutoMount.`,
			Live:  "echo automount | diskpart",
			Fix:   "Run mountvol /E in an elevated command prompt.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		k, err := m.Key(machine.KeyServices + `\mountmgr`)
		if err != nil {
			return requirement.Unreadable(err)
		}
		value, err := m.DWord(k, "NoAutoMount")
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeAutomount(k.Exists(), value)
	},
}

func judgeAutomount(manager bool, value machine.Setting[uint32]) requirement.Outcome {
	switch {
	case !manager:
		return requirement.Unknown("The driver mountmgr, which mounts volumes, is missing.", value.Evidence)
	case value.Value == 1:
		return requirement.Warn("Automatic mounting of volumes is disabled (NoAutoMount is 1).", value.Evidence).
			About(subjectOf(value.Evidence, requirement.ReasonValue))
	}
	return requirement.Pass("New volumes are mounted automatically.", value.Evidence)
}

var byolFirewall = entry{
	Requirement: required("byol.firewall.public-off", "FirewallEnabled",
		"The Windows firewall must be off for public networks.", sectionBYOL, explanation{
			Reads: `SYSTEM: Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile\EnableFirewall in the current ` +
				`control set and in ControlSet001; SOFTWARE: Policies\Microsoft\WindowsFirewall\PublicProfile.`,
			Live: "Get-NetFirewallProfile Public",
			Doubts: "The service's script reads ControlSet001 only and accepts a missing value, although the firewall of " +
				"Windows is on then.",
			Fix: "Run Set-NetFirewallProfile -Profile Public -Enabled False in PowerShell as Administrator. Enable the " +
				"firewall again in the WorkSpaces that you launch.",
		}),
	Judge: (*Machine).decidePublicFirewall,
}

// publicFirewall is the setting of the firewall for public networks.
type publicFirewall struct {
	Set           string                  // name of the current control set
	Current       machine.Setting[uint32] // EnableFirewall there
	First, Policy machine.Setting[uint32] // in ControlSet001, and by Group Policy
}

func (m *Machine) decidePublicFirewall() requirement.Outcome {
	set, err := m.Registry.ControlSet()
	if err != nil {
		return requirement.Unreadable(err)
	}
	f := publicFirewall{Set: set.Name}
	const profile = `\Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile`
	if err := m.readNumbers(
		numberAt{&f.Current, keyFirewall + `\PublicProfile`, "EnableFirewall"},
		numberAt{&f.First, `HKLM\SYSTEM\ControlSet001` + profile, "EnableFirewall"},
		numberAt{&f.Policy, keyFirewallPolicy + `\PublicProfile`, "EnableFirewall"},
	); err != nil {
		return requirement.Unreadable(err)
	}
	return judgePublicFirewall(f)
}

// judgePublicFirewall decides byol.firewall.public-off. The policy applies on the running system; the script reads the
// local setting.
func judgePublicFirewall(f publicFirewall) requirement.Outcome {
	evidence := []requirement.Evidence{f.Current.Evidence, f.Policy.Evidence}
	differs := ""
	if !strings.EqualFold(f.Set, "ControlSet001") &&
		(f.First.Present != f.Current.Present || f.First.Value != f.Current.Value) {
		evidence = append(evidence, f.First.Evidence)
		differs = "ControlSet001, which the service's script reads, has another setting than " + f.Set + "."
	}
	about := subjectOf(f.Current.Evidence, requirement.ReasonValue)
	var o requirement.Outcome
	switch {
	case f.Policy.Present && f.Policy.Value != 0:
		o = requirement.Warn("A policy keeps the firewall on for public networks.", evidence...).
			About(subjectOf(f.Policy.Evidence, requirement.ReasonPolicy))
		o.Remediation = "Set the firewall of the public profile to Off in the Group Policy Object that enables it."
	case f.Current.Value != 0 && f.Policy.Present:
		o = requirement.Warn("A policy turns the firewall off for public networks, but the local setting is on.",
			evidence...).About(about)
	case f.Current.Value != 0:
		o = requirement.Warn("The firewall is on for public networks.", evidence...).About(about)
	case f.Current.Present, f.Policy.Present:
		o = requirement.Pass("The firewall is off for public networks.", evidence...)
	default:
		o = requirement.Infer("EnableFirewall is missing, which the service's script accepts. Windows itself has the "+
			"firewall on then.", evidence...)
	}
	if differs != "" {
		o = o.Also(differs)
	}
	return o
}

var byolAutologon = entry{
	Requirement: required("byol.autologon.off", "AutoLogonEnabled", "Automatic logon must be off.", sectionBYOL,
		explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion\Winlogon\AutoAdminLogon, DefaultUserName and whether ` +
				`DefaultPassword exists.`,
			Live: `Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon' | Select-Object ` +
				`AutoAdminLogon, DefaultUserName`,
			Fix: "Run netplwiz and require users to enter a name and password. Delete DefaultPassword in the Winlogon key.",
		}),
	Judge: (*Machine).decideAutologon,
}

// autologon is how Windows signs a user in at the start.
type autologon struct {
	On       machine.Setting[string] // AutoAdminLogon, a text or a number
	User     machine.Setting[string]
	Password requirement.Evidence // of a DefaultPassword, without the data
	Secret   bool                 // there is one in the registry or in the secrets of LSA
}

func (m *Machine) decideAutologon() requirement.Outcome {
	const key = machine.KeyCurrentVersion + `\Winlogon`
	var a autologon
	var err error
	if a.On, err = m.looseNumberAt(key, "AutoAdminLogon"); err != nil {
		return requirement.Unreadable(err)
	}
	if a.User, err = m.TextAt(key, "DefaultUserName"); err != nil {
		return requirement.Unreadable(err)
	}
	k, err := m.Key(key)
	if err != nil {
		return requirement.Unreadable(err)
	}
	if k.Exists() {
		names, err := k.Values()
		if err != nil {
			return requirement.Unreadable(err)
		}
		for _, v := range names {
			a.Secret = a.Secret || strings.EqualFold(v.Name(), "DefaultPassword")
		}
	}
	secret, err := m.Key(`HKLM\SECURITY\Policy\Secrets\DefaultPassword`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	a.Secret, a.Password = a.Secret || secret.Exists(), secret.Evidence
	return judgeAutologon(a)
}

func judgeAutologon(a autologon) requirement.Outcome {
	n, err := strconv.Atoi(strings.TrimSpace(a.On.Value))
	switch {
	case a.On.OtherType:
		return requirement.Unknown("AutoAdminLogon has the type "+a.On.Type.String()+": how Windows reads it is unknown.",
			a.On.Evidence)
	case err == nil && n == 1:
		o := requirement.Warn("Automatic logon is on (AutoAdminLogon is 1).", a.On.Evidence, a.User.Evidence).
			About(subjectOf(a.On.Evidence, requirement.ReasonValue))
		if a.User.Value != "" {
			o = o.Also("It signs in " + prose.Short(a.User.Value) + ".")
		}
		return o
	}
	o := requirement.Pass("Automatic logon is off.", a.On.Evidence)
	if a.Secret {
		o = o.Also("A password for automatic logon is still stored.").With(a.Password)
	}
	return o
}

var byolUniversalTime = entry{
	Requirement: required("byol.realtime-universal", "RealTimeUniversalDisabled",
		"Windows must take the clock of the computer as UTC.", sectionBYOL, explanation{
			Reads: `SYSTEM: Control\TimeZoneInformation\RealTimeIsUniversal.`,
			Live:  `reg query HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation /v RealTimeIsUniversal`,
			Fix: `Run reg add HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation /v RealTimeIsUniversal /t ` +
				`REG_DWORD /d 1 in an elevated command prompt.`,
		}),
	Judge: func(m *Machine) requirement.Outcome {
		value, err := m.looseNumberAt(machine.KeyControl+`\TimeZoneInformation`, "RealTimeIsUniversal")
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeUniversalTime(value)
	},
}

func judgeUniversalTime(value machine.Setting[string]) requirement.Outcome {
	n, err := strconv.ParseUint(strings.TrimSpace(value.Value), 10, 64)
	switch {
	case !value.Present:
		return requirement.Warn("RealTimeIsUniversal is missing: Windows takes the clock as local time.", value.Evidence).
			About(subjectOf(value.Evidence, requirement.ReasonMissing))
	case err != nil:
		return requirement.Unknown(fmt.Sprintf("RealTimeIsUniversal is %q, which is not a number.",
			prose.Short(value.Value)), value.Evidence)
	case n == 0:
		return requirement.Warn("RealTimeIsUniversal is 0: Windows takes the clock as local time.", value.Evidence).
			About(subjectOf(value.Evidence, requirement.ReasonValue))
	}
	return requirement.Pass("Windows takes the clock as UTC (RealTimeIsUniversal is "+value.Value+").", value.Evidence)
}

var byolReservedStorage = entry{
	Requirement: required("byol.reserved-storage.off", "ReservedStorageInUse", "Reserved storage must be off.",
		sectionBYOLErrors, explanation{
			Reads: `SOFTWARE: Microsoft\Windows\CurrentVersion\ReserveManager\ShippedWithReserves and ActiveScenario.`,
			Live:  "dism /online /Get-ReservedStorageState",
			Fix: "Install all updates and restart. Then run dism /online /Set-ReservedStorageState /State:Disabled in an " +
				"elevated command prompt.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		const key = machine.KeyMachineWindows + `\ReserveManager`
		var shipped, active machine.Setting[uint32]
		if err := m.readNumbers(numberAt{&shipped, key, "ShippedWithReserves"},
			numberAt{&active, key, "ActiveScenario"}); err != nil {
			return requirement.Unreadable(err)
		}
		return judgeReserves(shipped, active)
	},
}

// judgeReserves decides byol.reserved-storage.off.
func judgeReserves(shipped, active machine.Setting[uint32]) requirement.Outcome {
	switch {
	case active.Value != 0:
		return requirement.Fail(fmt.Sprintf("Reserved storage is in use (ActiveScenario is %d).", active.Value),
			active.Evidence, shipped.Evidence).About(subjectOf(active.Evidence, requirement.ReasonValue))
	case shipped.Value != 0:
		return requirement.Warn("Reserved storage is on, but not in use.", shipped.Evidence, active.Evidence).
			About(subjectOf(shipped.Evidence, requirement.ReasonValue))
	}
	return requirement.Pass("Reserved storage is off.", shipped.Evidence, active.Evidence)
}

var byolMemoryIntegrity = entry{
	Requirement: required("byol.memory-integrity", codeMemoryIntegrity,
		"Memory integrity must be off, and Credential Guard must not have a UEFI lock.", sectionBYOLErrors, explanation{
			Reads: `SYSTEM: Control\DeviceGuard (Locked, EnableVirtualizationBasedSecurity) and its Scenarios, ` +
				`Control\Lsa\LsaCfgFlags; SOFTWARE: Policies\Microsoft\Windows\DeviceGuard.`,
			Live: "Get-CimInstance -Namespace root/Microsoft/Windows/DeviceGuard Win32_DeviceGuard",
			Doubts: "The import turns memory integrity off itself, unless Credential Guard has a UEFI lock. Windows 11 " +
				"turns Credential Guard on without a lock by default, which leaves no value.",
			Fix: "Turn memory integrity and Credential Guard off by policy. Remove a UEFI lock with SecConfig.efi, as " +
				"Microsoft describes.",
		}),
	Judge: (*Machine).decideBYOLMemoryIntegrity,
}

// guards are the settings of memory integrity and of Credential Guard.
type guards struct {
	Integrity, IntegrityLocked, IntegrityPolicy machine.Setting[uint32]
	Locked                                      machine.Setting[uint32] // of all that is based on virtualization
	Credential, CredentialPolicy                machine.Setting[uint32] // LsaCfgFlags
}

func (m *Machine) decideBYOLMemoryIntegrity() requirement.Outcome {
	const (
		guard    = machine.KeyControl + `\DeviceGuard`
		scenario = guard + `\Scenarios\HypervisorEnforcedCodeIntegrity`
		policy   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeviceGuard`
	)
	var g guards
	if err := m.readNumbers(
		numberAt{&g.Integrity, scenario, "Enabled"}, numberAt{&g.IntegrityLocked, scenario, "Locked"},
		numberAt{&g.IntegrityPolicy, policy, "HypervisorEnforcedCodeIntegrity"}, numberAt{&g.Locked, guard, "Locked"},
		numberAt{&g.Credential, machine.KeyControl + `\Lsa`, "LsaCfgFlags"},
		numberAt{&g.CredentialPolicy, policy, "LsaCfgFlags"},
	); err != nil {
		return requirement.Unreadable(err)
	}
	return judgeGuards(g)
}

// Values of LsaCfgFlags, and of the policy for memory integrity (Microsoft, "Configure Credential Guard").
const (
	guardLocked   = 1 // on with a lock in the firmware
	guardUnlocked = 2 // on without
)

// judgeGuards decides byol.memory-integrity.
func judgeGuards(g guards) requirement.Outcome {
	evidence := []requirement.Evidence{g.Integrity.Evidence, g.IntegrityLocked.Evidence, g.IntegrityPolicy.Evidence,
		g.Locked.Evidence, g.Credential.Evidence, g.CredentialPolicy.Evidence}
	on := g.Integrity.Value == 1 || g.IntegrityPolicy.Value == guardLocked || g.IntegrityPolicy.Value == guardUnlocked
	credentialLocked := g.Credential.Value == guardLocked || g.CredentialPolicy.Value == guardLocked
	locked := credentialLocked || g.Locked.Value == 1 || g.IntegrityLocked.Value == 1 ||
		g.IntegrityPolicy.Value == guardLocked
	about := subjectOf(g.Integrity.Evidence, requirement.ReasonEnabled)
	switch {
	case on && locked:
		return requirement.Fail("Memory integrity is on, and a UEFI lock protects it or Credential Guard.",
			evidence...).About(about)
	case on:
		return requirement.Warn("Memory integrity is on, without a UEFI lock.", evidence...).About(about)
	case locked:
		return requirement.Warn("Memory integrity is off, but Credential Guard or Device Guard has a UEFI lock.",
			evidence...).About(about)
	}
	o := requirement.Pass("Memory integrity is off, and no UEFI lock is set.", evidence...)
	if !g.Integrity.Present && !g.Credential.Present {
		o = o.Also("The settings have no values: the default of Windows applies.")
	}
	return o
}

var byolImportPrepare = entry{
	Requirement: recommended("byol.vmimport.prepare", "", "The computer should be prepared as VM Import requires.",
		sectionImportVM, explanation{
			Reads: `SYSTEM: Control\Terminal Server\fDenyTSConnections, Services\Dhcp\Start, Control\Session Manager\` +
				`Memory Management\PagingFiles; SOFTWARE: NET Framework Setup\NDP\v4\Full\Release, RunOnce; SAM: the ` +
				`accounts that need no password; the free space of drive C.`,
			Live:   "Get-CimInstance Win32_PageFileSetting; Get-LocalUser | Select-Object Name, PasswordRequired",
			Doubts: "The flag for accounts without a password is from observation.",
			Fix:    "Change the settings that the finding names, as VM Import describes.",
		}),
	Judge: (*Machine).decideImportPrepare,
}

// importPreparation is what VM Import asks of a computer.
type importPreparation struct {
	Deny      machine.Setting[uint32] // fDenyTSConnections
	Framework machine.Setting[uint32] // Release of .NET Framework 4
	DHCP      machine.Service
	PageFiles machine.Setting[[]string]
	Once      machine.Key // RunOnce
	Programs  int         // in it
	Accounts  []string    // that need no password
	Free      int64
	Evidence  []requirement.Evidence // of Accounts and Free
}

const (
	dotNet45   = 378389 // as dotNet472, of version 4.5
	importFree = 6 * gibibyte
	keyRunOnce = machine.KeyMachineWindows + `\RunOnce`
)

func (m *Machine) decideImportPrepare() requirement.Outcome {
	var p importPreparation
	err := m.readNumbers(numberAt{&p.Deny, keyTerminalServer, "fDenyTSConnections"})
	if err == nil {
		p.Framework, err = m.DotNet()
	}
	if err == nil {
		p.DHCP, err = m.Service("Dhcp")
	}
	if err == nil {
		p.PageFiles, err = m.MultiAt(keySessionManager+`\Memory Management`, "PagingFiles")
	}
	if err == nil {
		if p.Once, err = m.Key(keyRunOnce); err == nil && p.Once.Exists() {
			values, valuesErr := p.Once.Values()
			p.Programs, err = len(values), valuesErr
		}
	}
	if err == nil {
		p.Accounts, p.Evidence, err = m.accountsWithoutPassword()
	}
	if err != nil {
		return requirement.Unreadable(err)
	}
	usage, err := m.Usage()
	if err != nil {
		return requirement.Unreadable(err)
	}
	p.Free = usage.Free
	p.Evidence = append(p.Evidence, m.Drive("C").BitmapEvidence(fmt.Sprintf("%d bytes free", usage.Free)))
	return judgeImportPrepare(p)
}

// judgeImportPrepare decides byol.vmimport.prepare.
func judgeImportPrepare(p importPreparation) requirement.Outcome {
	var lacks []string
	var evidence []requirement.Evidence
	lack := func(what string, ev ...requirement.Evidence) {
		lacks, evidence = append(lacks, what), append(evidence, ev...)
	}
	if !p.Deny.Present || p.Deny.Value != 0 {
		lack("Remote Desktop is off", p.Deny.Evidence)
	}
	if p.Framework.Value < dotNet45 {
		lack(".NET Framework 4.5 is not installed", p.Framework.Evidence)
	}
	if !p.DHCP.Exists() || p.DHCP.Start.Value == machine.StartDisabled {
		lack("the DHCP Client service cannot start", p.DHCP.Key)
	}
	if !fixedPageFile(p.PageFiles.Value) {
		lack("the page file has no fixed size", p.PageFiles.Evidence)
	}
	if p.Programs > 0 {
		lack(prose.Count(p.Programs, "program runs", "programs run")+" at the next start (RunOnce)", p.Once.Evidence)
	}
	if len(p.Accounts) > 0 {
		lack("accounts need no password: "+prose.Some(p.Accounts), p.Evidence...)
	}
	if p.Free < importFree {
		lack("C: has "+prose.GiB(p.Free)+" free; 6 GiB is required", p.Evidence...)
	}
	if len(lacks) > 0 {
		return requirement.Warn("VM Import requires other settings: "+strings.Join(lacks, "; ")+".", evidence...)
	}
	return requirement.Pass("The computer is prepared for VM Import.", append([]requirement.Evidence{p.Deny.Evidence,
		p.Framework.Evidence, p.DHCP.Key, p.PageFiles.Evidence, p.Once.Evidence}, p.Evidence...)...)
}

// fixedPageFile says whether every page file has a fixed size: "C:\pagefile.sys 4096 4096". Windows manages the size
// of one without sizes or with sizes of 0.
func fixedPageFile(files []string) bool {
	for _, f := range files {
		fields := strings.Fields(f)
		if len(fields) < 3 || fields[len(fields)-1] == "0" || fields[len(fields)-1] != fields[len(fields)-2] {
			return false
		}
	}
	return true
}

var byolSysprepNotRun = entry{
	Requirement: recommended("byol.sysprep.not-run", "",
		"The computer should be exported before Sysprep has run: the import runs it.", sectionBYOL, explanation{
			Reads: `SOFTWARE: Setup\State\ImageState; SYSTEM: Setup\Status\SysprepStatus\GeneralizationState; ` +
				`Sysprep_succeeded.tag.`,
			Live:   `reg query HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState`,
			Doubts: "A tag that is older than the installation is from the medium of Windows, and changes no status.",
			Fix:    "Export the computer as it was before Sysprep ran.",
		}),
	Judge: (*Machine).decideSysprepNotRun,
}

// sysprepTraces are what Sysprep leaves.
type sysprepTraces struct {
	State          machine.Setting[string]
	Generalization machine.Setting[uint32]
	Tag            machine.File
	Installed      time.Time // this version of Windows; zero if it is not known
}

func (m *Machine) decideSysprepNotRun() requirement.Outcome {
	var t sysprepTraces
	err := m.readTexts(textAt{&t.State, machine.KeyMachineWindows + `\Setup\State`, "ImageState"})
	if err == nil {
		err = m.readNumbers(numberAt{&t.Generalization, keySetup + `\Status\SysprepStatus`, "GeneralizationState"})
	}
	if err == nil {
		t.Tag, err = m.File(`C:\` + m.SystemRoot + `\System32\Sysprep\Sysprep_succeeded.tag`)
	}
	if err != nil {
		return requirement.Unreadable(err)
	}
	if s, err := m.System(); err == nil {
		t.Installed = s.Installed
	}
	return judgeSysprepNotRun(t)
}

func judgeSysprepNotRun(t sysprepTraces) requirement.Outcome {
	evidence := []requirement.Evidence{t.State.Evidence, t.Generalization.Evidence, t.Tag.Evidence}
	const complete = "IMAGE_STATE_COMPLETE"
	switch {
	case t.State.Value == "":
		return requirement.Unknown("The state of Windows is unknown: ImageState is missing.", evidence...)
	case !strings.EqualFold(t.State.Value, complete):
		return requirement.Warn("Sysprep or Windows Setup has run: ImageState is "+prose.Short(t.State.Value)+".",
			evidence...).About(subjectOf(t.State.Evidence, requirement.ReasonValue))
	case t.Generalization.Present && t.Generalization.Value != generalizationDone:
		return requirement.Warn(fmt.Sprintf("Sysprep has run: GeneralizationState is %d instead of %d.",
			t.Generalization.Value, generalizationDone), evidence...).
			About(subjectOf(t.Generalization.Evidence, requirement.ReasonValue))
	case t.Tag.Exists && !t.Installed.IsZero() && t.Tag.Modified.After(t.Installed):
		return requirement.Warn("Sysprep has run on "+t.Tag.Modified.Format(time.DateOnly)+" (Sysprep_succeeded.tag).",
			evidence...).About(subjectOf(t.Tag.Evidence, requirement.ReasonPresent))
	}
	return requirement.Pass("Sysprep has not run since Windows was installed.", evidence...)
}

var byolNTP = entry{
	Requirement: recommended("byol.ntp", "", timeSource.Demand, sectionBYOLErrors, timeSourceExplained),
	Judge:       (*Machine).decideTimeSource,
}

var byolProtocol = entry{
	Requirement: service(required("byol.protocol", codeProtocol,
		"Windows 11 must be imported for DCV or for the customer's own protocol, not for PCoIP.", sectionBYOL, explanation{
			Reads: "The input of import-workspace-image: IngestionProcess. The version of Windows is read from the disk.",
			Live:  "aws workspaces import-workspace-image --ingestion-process BYOL_REGULAR_WSP …",
			Fix:   "Choose an ingestion process for DCV, such as BYOL_REGULAR_WSP, or for the customer's own protocol.",
		})),
	Judge: (*Machine).decideIngestion,
	Counts: func(m *Machine) bool {
		process, _ := m.ingestion()
		return process != ""
	},
}

// ingestion returns the ingestion process that a document states, "" if none does, with the evidence.
func (m *Machine) ingestion() (string, requirement.Evidence) {
	for _, d := range m.in.Documents {
		if d.Import != nil && d.Import.IngestionProcess != "" {
			return d.Import.IngestionProcess, machine.DocumentEvidence(d.Name, "IngestionProcess",
				d.Import.IngestionProcess)
		}
	}
	return "", requirement.Evidence{}
}

func (m *Machine) decideIngestion() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	process, ev := m.ingestion()
	return judgeProtocol(s, process, ev)
}

// judgeProtocol decides byol.protocol. process is the ingestion process, "" if it is not known.
func judgeProtocol(s machine.System, process string, ev requirement.Evidence) requirement.Outcome {
	if process == "" {
		return requirement.Unknown("Not on the disk. Add the JSON input of 'aws workspaces import-workspace-image' with " +
			"--with.")
	}
	upper := strings.ToUpper(process)
	var o requirement.Outcome
	switch dcv := strings.HasSuffix(upper, "_WSP") || strings.HasSuffix(upper, "_DCV"); {
	case dcv || strings.HasSuffix(upper, "_BYOP"):
		o = requirement.Pass(process+" can be used with "+s.Name()+".", ev)
	case eleven(s):
		o = requirement.Fail(process+" is for PCoIP, which Windows 11 does not support.", ev).
			About(requirement.Subject{Kind: requirement.SubjectSetting, ID: "IngestionProcess",
				Reason: requirement.ReasonValue, Value: process})
	default:
		o = requirement.Pass(process+" is for PCoIP, which "+s.Name()+" supports.", ev)
	}
	o.Basis = requirement.Stated
	return o
}
