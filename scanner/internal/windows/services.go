package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Service types and start types ([MS-SCMR] 2.2.15).
const (
	typeOwnProcess   = 0x10
	typeShareProcess = 0x20
	typeDrivers      = 0x0f // of the kernel, a filesystem, an adapter, a recognizer
	typeUserService  = 0x40 // template of a service that runs as the logged-on user
	typeUserInstance = 0x80 // instance of such a template

	startBoot     = 0
	startSystem   = 1
	startAuto     = 2
	startManual   = 3
	startDisabled = 4
)

// Service is a service or driver as the service control manager will find it.
type Service struct {
	Name        string // of its key
	DisplayName string // as written: it may be a reference into a resource
	Type        Setting[uint32]
	Start       Setting[uint32]
	Delayed     bool
	Account     Setting[string] // ObjectName
	ImagePath   Setting[string]
	Deleted     bool // DeleteFlag: it goes away at the next start
	Key         requirement.Evidence
	Err         error // why the other fields may be incomplete; nil if they were all read
}

// title is what services.msc calls the service, as far as that is written and
// no reference into a resource.
func (s Service) title() string {
	if s.DisplayName == "" || strings.HasPrefix(s.DisplayName, "@") {
		return s.Name
	}
	return s.DisplayName
}

// Process says whether the entry is a service that runs as a process under
// the account that it names: no driver, no template of a per-user service and
// no instance of one, no key that only holds settings.
func (s Service) Process() bool {
	return s.Type.Present && s.Type.Value&(typeOwnProcess|typeShareProcess) != 0 &&
		s.Type.Value&(typeUserService|typeUserInstance) == 0 && s.ImagePath.Present
}

// mayProcess says whether the entry may be such a service, as far as it could
// be read: one whose type says that it is a driver is none, whatever else of it
// is damaged.
func (s Service) mayProcess() bool {
	return !s.Type.Present || s.Type.Value&(typeOwnProcess|typeShareProcess) != 0
}

// mayBecomeProcess says whether the entry is no service as it is written, but
// would be one if a single value were there: its type or its program. A service
// that is only half written, or whose value lost its name, looks like this.
func (s Service) mayBecomeProcess() bool {
	switch {
	case s.Process() || s.Deleted:
		return false
	case !s.Type.Present:
		return s.ImagePath.Present
	}
	return s.Type.Value&(typeDrivers|typeUserService|typeUserInstance) == 0
}

// kernel says whether the entry is loaded by the kernel, and not run as a
// process.
func (s Service) kernel() bool {
	return s.Type.Present && s.Type.Value&typeDrivers != 0 && s.Type.Value&(typeOwnProcess|typeShareProcess) == 0
}

// startName is the start type as services.msc calls it.
func (s Service) startName() string {
	if !s.Start.Present {
		return "no start type"
	}
	switch s.Start.Value {
	case startBoot:
		return "boot"
	case startSystem:
		return "system"
	case startAuto:
		if s.Delayed {
			return "automatic, delayed"
		}
		return "automatic"
	case startManual:
		return "manual"
	case startDisabled:
		return "disabled"
	}
	return fmt.Sprintf("start type %d", s.Start.Value)
}

// Services reads every entry below Services, in the hive's order. An entry
// that is damaged carries its own error.
func (m *Machine) Services() ([]Service, error) { return m.services.Get(m.next().readServices) }

func (m *Machine) readServices() ([]Service, error) {
	parent, err := m.key(keyServices)
	if err != nil {
		return nil, err
	}
	if !parent.Exists() {
		return nil, fmt.Errorf("%s: key %s not found", parent.Evidence.Path, parent.Evidence.Key)
	}
	keys, err := m.subkeys(parent)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 { // what the file has is whole, and cannot be all
		return nil, fmt.Errorf("%s: key %s has no subkeys, and no Windows is without services", parent.Evidence.Path, parent.Evidence.Key)
	}
	services := make([]Service, 0, len(keys))
	for _, k := range keys {
		s := m.readService(k)
		// Of services beyond the bound not even the names are worth more reading.
		if errors.Is(s.Err, fact.ErrBound) || errors.Is(s.Err, fact.ErrTime) {
			return nil, s.Err
		}
		services = append(services, s)
	}
	return services, nil
}

// Service reads one entry by the name of its key; it may be absent, see
// Service.Exists. It does not need the list of all to be whole.
func (m *Machine) Service(name string) (Service, error) {
	k, err := m.key(keyServices + `\` + name)
	if err != nil {
		return Service{}, err
	}
	if !k.Exists() {
		return Service{Key: k.Evidence}, nil
	}
	s := m.readService(k)
	return s, s.Err
}

func (m *Machine) readService(k Key) Service {
	s := Service{Name: k.Name(), Key: k.Evidence}
	note := func(err error) {
		if s.Err == nil {
			s.Err = err
		}
	}
	var err error
	s.Type, err = m.dword(k, "Type")
	note(err)
	s.Start, err = m.dword(k, "Start")
	note(err)
	s.Account, err = m.looseText(k, "ObjectName")
	note(err)
	s.ImagePath, err = m.looseText(k, "ImagePath")
	note(err)
	display, err := m.text(k, "DisplayName") // Windows 7 itself writes one as a list of strings
	note(err)
	s.DisplayName = display.Value
	delayed, err := m.dword(k, "DelayedAutostart")
	note(err)
	s.Delayed = delayed.Value != 0
	deleted, err := m.dword(k, "DeleteFlag")
	note(err)
	s.Deleted = deleted.Value != 0
	return s
}

// subject is the service as a finding names it to programs.
func (s Service) subject(reason requirement.Reason, value string) requirement.Subject {
	return serviceSubject(s.Name, s.title(), reason, value)
}

// serviceSubject is a service that need not be there.
func serviceSubject(name, title string, reason requirement.Reason, value string) requirement.Subject {
	if title == name {
		title = ""
	}
	return requirement.Subject{Kind: requirement.SubjectService, ID: name, Name: title, Reason: reason, Value: value}
}

// Exists says whether there is such an entry.
func (s Service) Exists() bool { return s.Name != "" }

// domainService is a row of the details of win.services.domain-account.
type domainService struct {
	Service string `json:"service"`
	Start   string `json:"start"`
	Account string `json:"account"`
}

var servicesDomainAccount = entry{
	Requirement: required("win.services.domain-account", "DomainAccountServicesFound", "no service runs under a domain account", sectionTips+": No services can be running under a domain account", explanation{
		Reads: `SYSTEM: Services\*\Type, Start, ObjectName, ImagePath; the names and SIDs of computer and domain from SYSTEM and SECURITY. Drivers and per-user services are left out; a key without a type, or without a program, that names a domain account is a warning.`,
		Live:  `Get-WmiObject Win32_Service | Where-Object { $_.StartName -like "*$env:USERDOMAIN*" } (which misses accounts written as user@domain, and finds local ones that contain the domain's name)`,
		Fix:   "services.msc, the service, Log On: choose the Local System account.",
	}),
	Judge: (*Machine).decideAccounts,
}

func (m *Machine) decideAccounts() requirement.Outcome {
	services, err := m.Services()
	if err != nil {
		return requirement.Unreadable(err)
	}
	n, err := m.Names()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var env environment
	if slices.ContainsFunc(services, func(s Service) bool { return strings.Contains(s.Account.Value, "%") }) {
		if env, err = m.env(); err != nil {
			return requirement.Unreadable(err)
		}
	}
	return judgeAccounts(services, n, env)
}

// judgeAccounts decides win.services.domain-account.
func judgeAccounts(services []Service, n names, env environment) requirement.Outcome {
	var failed, disabled, bare, stubs, deleted []domainService
	var evidence, disabledEvidence, bareEvidence, stubEvidence, deletedEvidence []requirement.Evidence
	var about, disabledAbout, bareAbout, stubAbout []requirement.Subject
	judged := 0
	var unread error
	for _, s := range services {
		if s.Err != nil && unread == nil && s.mayProcess() {
			unread = s.Err
		}
		stub := s.mayBecomeProcess()
		if !s.Process() && !stub {
			continue
		}
		row := domainService{s.Name, s.startName(), strings.TrimSpace(env.text(s.Account))}
		kind := n.classify(row.Account)
		if stub {
			if kind == accountDomain {
				stubs, stubEvidence = append(stubs, row), append(stubEvidence, s.Account.Evidence, s.Type.Evidence, s.ImagePath.Evidence)
				stubAbout = append(stubAbout, s.subject(requirement.ReasonDamaged, s.Account.Value))
			}
			continue
		}
		judged++
		switch {
		case kind == accountDomain && s.Deleted:
			deleted, deletedEvidence = append(deleted, row), append(deletedEvidence, s.Account.Evidence)
		case kind == accountDomain && s.Start.Present && s.Start.Value == startDisabled:
			disabled, disabledEvidence = append(disabled, row), append(disabledEvidence, s.Account.Evidence, s.Start.Evidence)
			disabledAbout = append(disabledAbout, s.subject(requirement.ReasonDisabled, s.Account.Value))
		case kind == accountDomain:
			failed, evidence = append(failed, row), append(evidence, s.Account.Evidence)
			about = append(about, s.subject(requirement.ReasonAccount, s.Account.Value))
		case kind == accountBare && !s.Deleted:
			bare, bareEvidence = append(bare, row), append(bareEvidence, s.Account.Evidence)
			bareAbout = append(bareAbout, s.subject(requirement.ReasonAmbiguous, s.Account.Value))
		}
	}
	var o requirement.Outcome
	switch {
	case len(failed) > 0:
		message := fmt.Sprintf("%s under a domain account: %s", prose.Count(len(failed), "service runs", "services run"), listServices(failed))
		if n.Domain == "" && n.SIDErr == nil {
			message += " (the computer is in no domain, so the name is foreign)"
		}
		o = requirement.Fail(message, evidence...).About(about...)
		var services []string
		for _, row := range failed {
			services = append(services, row.Service)
		}
		o.Remediation = fmt.Sprintf("services.msc, %s, Log On: choose the Local System account.", prose.Some(services))
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(disabled) > 0:
		o = requirement.Warn(fmt.Sprintf("%s under a domain account but disabled: %s", prose.Count(len(disabled), "service is", "services are"), listServices(disabled)), disabledEvidence...).About(disabledAbout...)
	case len(stubs) > 0:
		o = requirement.Warn(fmt.Sprintf("%s a domain account but no type or no program: %s", prose.Count(len(stubs), "service has", "services have"), listServices(stubs)), stubEvidence...).About(stubAbout...)
		o.Remediation = "Repair the service, or delete it (sc.exe delete NAME), then restart."
	case len(bare) > 0:
		o = requirement.Warn(fmt.Sprintf("%s under an account without a domain, which may be of a domain: %s", prose.Count(len(bare), "service runs", "services run"), listServices(bare)), bareEvidence...).About(bareAbout...)
		o.Remediation = `services.msc, Log On: write .\ before the name of a local account, or choose the Local System account.`
	case judged == 0:
		return requirement.Unknown("no service was found: the list of services is not whole")
	default:
		message := fmt.Sprintf("none of %d services runs under a domain account", judged)
		if len(deleted) == 0 {
			return requirement.Pass(message, services[0].servicesKey())
		}
		message += "; Windows deletes at the next start: " + listServices(deleted)
		o = requirement.Pass(message, append([]requirement.Evidence{services[0].servicesKey()}, deletedEvidence...)...)
	}
	o.Details = struct {
		Running       []domainService `json:"running,omitempty"`
		Disabled      []domainService `json:"disabled,omitempty"`
		Incomplete    []domainService `json:"incomplete,omitempty"`
		WithoutDomain []domainService `json:"without_domain,omitempty"`
		Deleted       []domainService `json:"deleted,omitempty"`
	}{failed, disabled, stubs, bare, deleted}
	return o
}

// servicesKey is the evidence for the list of services as a whole.
func (s Service) servicesKey() requirement.Evidence {
	ev := s.Key
	ev.Key = strings.TrimSuffix(ev.Key, `\`+s.Name)
	ev.Note = "every subkey was read"
	return ev
}

func listServices(rows []domainService) string {
	var parts []string
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("%s (%s) as %s", r.Service, r.Start, r.Account))
	}
	return prose.Some(parts)
}
