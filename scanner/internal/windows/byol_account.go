package windows

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// byolAccount is the name of the local account by which the import signs in.
const byolAccount = "WorkSpaces_BYOL"

var byolAccountExists = entry{
	Requirement: required("byol.account.exists", "WorkspacesBYOLAccountNotFound",
		"The local account "+byolAccount+" must exist and be an administrator.", sectionBYOLErrors, explanation{
			Reads: `SAM: Domains\Account\Users\Names\WorkSpaces_BYOL, and the members of Administrators in ` +
				`Domains\Builtin\Aliases\00000220; SECURITY: Policy\PolAcDmS.`,
			Live: "Get-LocalUser WorkSpaces_BYOL; Get-LocalGroupMember Administrators",
			Doubts: "The guide of 2022 describes the account as an administrator. Today only its error messages name the " +
				"account. The service's script does not check the group.",
			Fix: "Run net user WorkSpaces_BYOL * /add and net localgroup Administrators WorkSpaces_BYOL /add in an " +
				"elevated command prompt.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		a, err := m.localAccount(byolAccount)
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeAccountExists(a)
	},
}

var byolAccountEnabled = entry{
	Requirement: required("byol.account.enabled", "WorkspacesBYOLAccountDisabled",
		"The local account "+byolAccount+" must be enabled.", sectionBYOLErrors, explanation{
			Reads: `SAM: Domains\Account\Users\RID\F, the flags at 0x38.`,
			Live:  "Get-LocalUser WorkSpaces_BYOL | Select-Object Enabled",
			Doubts: "The layout of F is from observation; no document states it. An account that is locked or expired " +
				"changes no status.",
			Fix: "Run Enable-LocalUser WorkSpaces_BYOL in PowerShell as Administrator.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		a, err := m.localAccount(byolAccount)
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeAccountEnabled(a)
	},
}

// localAccount is an account of the computer in SAM.
type localAccount struct {
	Name          machine.Key
	Flags         machine.Setting[accountFlags]
	Administrator bool
	Group         requirement.Evidence // the members of Administrators
	GroupErr      error                // why Administrator is not known
}

// accountFlags are flags and times of an account. The layout of F is from observation: at 0x20 when it expires, at 0x38
// the flags of [MS-SAMR] 2.2.1.12.
type accountFlags struct {
	Bits    uint16
	Expires time.Time // zero if it does not
}

// Flags of an account ([MS-SAMR] 2.2.1.12).
const (
	accountDisabled         = 0x0001
	accountPasswordNotNeeds = 0x0004
	accountLocked           = 0x0400
)

const (
	keyAccounts       = `HKLM\SAM\SAM\Domains\Account\Users`
	keyAdministrators = `HKLM\SAM\SAM\Domains\Builtin\Aliases\00000220`
)

// localAccount reads an account by its name.
func (m *Machine) localAccount(name string) (localAccount, error) {
	var a localAccount
	names, err := m.Key(keyAccounts + `\Names`)
	if err != nil {
		return a, err
	}
	if !names.Exists() {
		return a, fmt.Errorf("%s: key %s not found", names.Evidence.Path, names.Evidence.Key)
	}
	if a.Name, err = m.Subkey(names, name); err != nil || !a.Name.Exists() {
		return a, err
	}
	rid, err := ridOf(a.Name)
	if err != nil {
		return a, err
	}
	if a.Flags, err = m.accountFlags(rid); err != nil {
		return a, err
	}
	members, ev, err := m.administrators()
	accounts := m.Accounts()
	a.Group, a.GroupErr = ev, fact.Join(err, accounts.SIDErr)
	if a.GroupErr == nil && accounts.MachineSID == "" {
		a.GroupErr = fmt.Errorf("the SID of the computer is unknown: PolAcDmS is empty")
	}
	a.Administrator = slices.Contains(members, fmt.Sprintf("%s-%d", accounts.MachineSID, rid))
	return a, nil
}

// ridOf is the relative identifier of an account: the type of the default value of the key with its name.
func ridOf(name machine.Key) (uint32, error) {
	v, err := name.Value("")
	if err != nil {
		return 0, fmt.Errorf("%s: %s: its identifier: %w", name.Evidence.Path, name.Evidence.Key, err)
	}
	return uint32(v.Type()), nil
}

func (m *Machine) accountFlags(rid uint32) (machine.Setting[accountFlags], error) {
	k, err := m.Key(fmt.Sprintf(`%s\%08X`, keyAccounts, rid))
	if err != nil {
		return machine.Setting[accountFlags]{}, err
	}
	return machine.ReadSetting(m.Machine, k, "F", nil, func(v *registry.Value) (accountFlags, error) {
		data, err := v.Data()
		if err != nil {
			return accountFlags{}, err
		}
		return parseAccountFlags(data)
	}, func(f accountFlags) string { return fmt.Sprintf("flags 0x%04x", f.Bits) })
}

func parseAccountFlags(data []byte) (accountFlags, error) {
	const flagsAt, expiresAt = 0x38, 0x20
	if len(data) < flagsAt+2 {
		return accountFlags{}, fmt.Errorf("the account has %d bytes, fewer than %d", len(data), flagsAt+2)
	}
	f := accountFlags{Bits: binary.LittleEndian.Uint16(data[flagsAt:])}
	const never = 1<<63 - 1
	if at := binary.LittleEndian.Uint64(data[expiresAt:]); at != 0 && at < never {
		f.Expires = filetime.Exact(at)
	}
	return f, nil
}

// administrators returns the SIDs of the members of Administrators.
func (m *Machine) administrators() ([]string, requirement.Evidence, error) {
	k, err := m.Key(keyAdministrators)
	if err != nil {
		return nil, requirement.Evidence{}, err
	}
	s, err := machine.ReadSetting(m.Machine, k, "C", nil, func(v *registry.Value) ([]string, error) {
		data, err := v.Data()
		if err != nil {
			return nil, err
		}
		return parseMembers(data)
	}, func(list []string) string { return prose.Some(list) })
	if err == nil && !s.Present {
		err = fmt.Errorf("%s: %s: the group Administrators is missing", s.Evidence.Path, s.Evidence.Key)
	}
	return s.Value, s.Evidence, err
}

// parseMembers reads the members of a group from its value C. The layout is from observation: a header of 0x34 bytes,
// in it at 0x28 the offset of the members behind the header and at 0x30 their number; each member is a SID.
func parseMembers(data []byte) ([]string, error) {
	const header = 0x34
	if len(data) < header {
		return nil, fmt.Errorf("the group has %d bytes, fewer than %d", len(data), header)
	}
	at, count := uint64(binary.LittleEndian.Uint32(data[0x28:]))+header, binary.LittleEndian.Uint32(data[0x30:])
	if at > uint64(len(data)) {
		return nil, fmt.Errorf("the members of the group are at byte %d of %d", at, len(data))
	}
	rest := data[at:]
	var members []string
	for range count {
		sid, err := machine.ParseSID(rest)
		if err != nil {
			return nil, fmt.Errorf("member %d of the group: %w", len(members)+1, err)
		}
		members = append(members, sid)
		rest = rest[8+4*int(rest[1]):]
	}
	return members, nil
}

// subject is the account as a finding names it to programs.
func accountSubject(reason requirement.Reason) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectSetting, ID: byolAccount, Reason: reason}
}

func judgeAccountExists(a localAccount) requirement.Outcome {
	switch {
	case !a.Name.Exists():
		return requirement.Warn("The local account "+byolAccount+" does not exist.", a.Name.Evidence).
			About(accountSubject(requirement.ReasonMissing))
	case a.GroupErr != nil:
		return requirement.Unreadable(fact.Because("cannot tell whether "+byolAccount+" is an administrator", a.GroupErr),
			a.Name.Evidence)
	case !a.Administrator:
		o := requirement.Warn("The local account "+byolAccount+" is not in the group Administrators.", a.Name.Evidence,
			a.Group).About(accountSubject(requirement.ReasonValue))
		o.Remediation = "Run net localgroup Administrators WorkSpaces_BYOL /add in an elevated command prompt."
		return o
	}
	return requirement.Pass("The local account "+byolAccount+" exists and is an administrator.", a.Name.Evidence, a.Group)
}

func judgeAccountEnabled(a localAccount) requirement.Outcome {
	switch {
	case !a.Name.Exists():
		return requirement.Skip("The local account "+byolAccount+" does not exist.", a.Name.Evidence)
	case !a.Flags.Present:
		return requirement.Unknown("Cannot tell whether "+byolAccount+" is enabled: its value F is missing.",
			a.Flags.Evidence)
	case a.Flags.Value.Bits&accountDisabled != 0:
		return requirement.Warn("The local account "+byolAccount+" is disabled.", a.Flags.Evidence).
			About(accountSubject(requirement.ReasonDisabled))
	}
	o := requirement.Pass("The local account "+byolAccount+" is enabled.", a.Flags.Evidence)
	if a.Flags.Value.Bits&accountLocked != 0 {
		o = o.Also("It is locked.")
	}
	if !a.Flags.Value.Expires.IsZero() {
		o = o.Also("It expires on " + a.Flags.Value.Expires.Format(time.DateOnly) + ".")
	}
	return o
}

// accountsWithoutPassword returns the local accounts that are enabled and need no password.
func (m *Machine) accountsWithoutPassword() ([]string, []requirement.Evidence, error) {
	names, err := m.Key(keyAccounts + `\Names`)
	if err != nil {
		return nil, nil, err
	}
	list, err := m.Subkeys(names)
	if err != nil {
		return nil, nil, err
	}
	var open []string
	var evidence []requirement.Evidence
	for _, name := range list {
		rid, err := ridOf(name)
		if err != nil {
			return nil, nil, err
		}
		flags, err := m.accountFlags(rid)
		if err != nil {
			return nil, nil, err
		}
		bits := flags.Value.Bits
		if flags.Present && bits&accountDisabled == 0 && bits&accountPasswordNotNeeds != 0 {
			open, evidence = append(open, strings.TrimSpace(name.Name())), append(evidence, flags.Evidence)
		}
	}
	return open, evidence, nil
}

var byolJoinDomain = entry{
	Requirement: required("byol.join.domain", "DomainJoined", "The computer must not be joined to a domain.", sectionBYOL,
		explanation{
			Reads: `SECURITY: Policy\PolPrDmS, the SID of the domain, and PolPrDmN; SYSTEM: Services\Tcpip\Parameters\` +
				`Domain and NV Domain.`,
			Live: "(Get-CimInstance Win32_ComputerSystem).PartOfDomain",
			Fix:  "Leave the domain: run sysdm.cpl, select Change, choose a workgroup, and restart.",
		}),
	Judge: (*Machine).decideJoinDomain,
}

// domainJoin is what is known of the domain.
type domainJoin struct {
	SID      string // of the domain, "" if there is none
	Name     string
	Policy   requirement.Evidence
	Suffixes []machine.Setting[string]
}

func (m *Machine) decideJoinDomain() requirement.Outcome {
	accounts := m.Accounts()
	if accounts.SIDErr != nil {
		return requirement.Unreadable(accounts.SIDErr)
	}
	j := domainJoin{SID: accounts.DomainSID, Name: accounts.Domain}
	policy, err := m.Key(`HKLM\SECURITY\Policy\PolPrDmS`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	j.Policy = policy.Evidence
	j.Policy.Data = j.SID
	for _, name := range []string{"Domain", "NV Domain"} {
		suffix, err := m.TextAt(machine.KeyServices+`\Tcpip\Parameters`, name)
		if err != nil {
			return requirement.Unreadable(err)
		}
		j.Suffixes = append(j.Suffixes, suffix)
	}
	return judgeJoinDomain(j)
}

func judgeJoinDomain(j domainJoin) requirement.Outcome {
	if j.SID != "" {
		name := j.Name
		if name == "" {
			name = j.SID
		}
		return requirement.Fail("The computer is joined to the domain "+prose.Short(name)+".", j.Policy).
			About(requirement.Subject{Kind: requirement.SubjectSetting, ID: "Domain", Reason: requirement.ReasonValue,
				Value: name})
	}
	o := requirement.Pass("The computer is not joined to a domain.", j.Policy)
	for _, s := range j.Suffixes {
		if s.Value != "" {
			return o.Also("Its DNS suffix is " + prose.Short(s.Value) + ".").With(s.Evidence)
		}
	}
	return o
}

var byolJoinEntra = entry{
	Requirement: required("byol.join.entra", "AzureDomainJoined", "The computer must not be joined to Microsoft Entra ID.",
		sectionBYOL, explanation{
			Reads: `SYSTEM: Control\CloudDomainJoin\JoinInfo; NTUSER.DAT of the users: Software\Microsoft\Windows NT\` +
				`CurrentVersion\WorkplaceJoin\JoinInfo.`,
			Live: "dsregcmd /status",
			Doubts: "A computer that is only registered by a user is not joined. The service's script does not mention " +
				"it, so that this is a warning.",
			Fix: "Run dsregcmd /leave in an elevated command prompt, and restart.",
		}),
	Judge: (*Machine).decideJoinEntra,
}

// An entraJoin is one record of a join, or of a registration.
type entraJoin struct {
	Tenant, User machine.Setting[string]
	Key          requirement.Evidence
}

// entraJoins is what is known of Entra ID.
type entraJoins struct {
	Machine    []entraJoin
	Registered []entraJoin // by users
	Looked     requirement.Evidence
	Err        error // why users may have registered it
}

func (m *Machine) decideJoinEntra() requirement.Outcome {
	var j entraJoins
	parent, err := m.Key(machine.KeyControl + `\CloudDomainJoin\JoinInfo`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	j.Looked = parent.Evidence
	if j.Machine, err = m.entraJoins(parent); err != nil {
		return requirement.Unreadable(err)
	}
	j.Registered, j.Err = m.readRegistrations()
	return judgeJoinEntra(j)
}

func (m *Machine) entraJoins(parent machine.Key) ([]entraJoin, error) {
	keys, err := m.Subkeys(parent)
	if err != nil {
		return nil, err
	}
	var list []entraJoin
	for _, k := range keys {
		j := entraJoin{Key: k.Evidence}
		if j.Tenant, err = m.Text(k, "TenantId"); err != nil {
			return nil, err
		}
		if j.User, err = m.Text(k, "UserEmail"); err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
}

// readRegistrations reads what users registered.
func (m *Machine) readRegistrations() (list []entraJoin, err error) {
	for sid, profileErr := range m.settledUsers() {
		if profileErr != nil {
			return list, profileErr
		}
		k, err := m.Key(`HKU\` + sid + `\Software\Microsoft\Windows NT\CurrentVersion\WorkplaceJoin\JoinInfo`)
		if err != nil {
			return list, err
		}
		joins, err := m.entraJoins(k)
		if err != nil {
			return list, err
		}
		list = append(list, joins...)
	}
	return list, nil
}

// settledUsers iterates over the SIDs of the users who have a profile with settings, and the error that there may be
// more of them.
func (m *Machine) settledUsers() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		profiles, err := m.Profiles()
		if err != nil {
			yield("", err)
			return
		}
		for _, p := range profiles.List {
			person := p.Person() || p.Kind == machine.ProfileAdministrator
			if person && !p.Gone && !p.Backup && !yield(p.SID, nil) {
				return
			}
		}
	}
}

func judgeJoinEntra(j entraJoins) requirement.Outcome {
	describe := func(join entraJoin) string {
		if join.User.Value != "" {
			return "tenant " + prose.Short(join.Tenant.Value) + ", by " + prose.Short(join.User.Value)
		}
		return "tenant " + prose.Short(join.Tenant.Value)
	}
	about := requirement.Subject{Kind: requirement.SubjectSetting, ID: "Entra ID", Reason: requirement.ReasonValue}
	var incomplete []requirement.Evidence
	for _, join := range j.Machine {
		if join.Tenant.Value != "" {
			return requirement.Fail("The computer is joined to Entra ID ("+describe(join)+").", join.Tenant.Evidence,
				join.Key).About(about)
		}
		incomplete = append(incomplete, join.Key)
	}
	switch {
	case len(incomplete) > 0:
		return requirement.Warn("A join to Entra ID is recorded without a tenant.", incomplete...).About(about)
	case len(j.Registered) > 0:
		return requirement.Warn("A user registered the computer with Entra ID ("+describe(j.Registered[0])+
			"). It is not joined.", j.Registered[0].Key, j.Looked).About(about)
	case j.Err != nil:
		return requirement.Unreadable(fact.Because("cannot read whether a user registered the computer with Entra ID",
			j.Err), j.Looked)
	}
	return requirement.Pass("The computer is not joined to Entra ID.", j.Looked)
}
