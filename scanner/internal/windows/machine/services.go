package machine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Driver says whether the entry is a driver of the kernel or of a filesystem,
// or may be one.
func (s Service) Driver() bool {
	return !s.Type.Present || s.Type.Value&(TypeOwnProcess|typeShareProcess) == 0
}

// Service types and start types ([MS-SCMR] 2.2.15).
const (
	TypeOwnProcess   = 0x10
	typeShareProcess = 0x20
	typeDrivers      = 0x0f // of the kernel, a filesystem, an adapter, a recognizer
	typeUserService  = 0x40 // template of a service that runs as the logged-on user
	typeUserInstance = 0x80 // instance of such a template

	startBoot     = 0
	startSystem   = 1
	StartAuto     = 2
	StartManual   = 3
	StartDisabled = 4
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
	List        requirement.Evidence // of the key whose subkeys are all services; none if it was not read
	Err         error                // why the other fields may be incomplete; nil if they were all read
}

// Title is the name of the service in services.msc, if it is stored as text and
// not as a reference to a resource.
func (s Service) Title() string {
	if s.DisplayName == "" || strings.HasPrefix(s.DisplayName, "@") {
		return s.Name
	}
	return s.DisplayName
}

// Process says whether the entry is a service that runs as a process under
// the account that it names: no driver, no template of a per-user service and
// no instance of one, no key that only holds settings.
func (s Service) Process() bool {
	return s.Type.Present && s.Type.Value&(TypeOwnProcess|typeShareProcess) != 0 &&
		s.Type.Value&(typeUserService|typeUserInstance) == 0 && s.ImagePath.Present
}

// MayProcess reports whether the entry may be such a service, by the values
// that could be read: one whose type says that it is a driver is none, whatever
// else of it is damaged.
func (s Service) MayProcess() bool {
	return !s.Type.Present || s.Type.Value&(TypeOwnProcess|typeShareProcess) != 0
}

// MayBecomeProcess says whether the entry is no service as it is written, but
// would be one if a single value were there: its type or its program. A service
// that is only half written, or whose value lost its name, looks like this.
func (s Service) MayBecomeProcess() bool {
	switch {
	case s.Process() || s.Deleted:
		return false
	case !s.Type.Present:
		return s.ImagePath.Present
	}
	return s.Type.Value&(typeDrivers|typeUserService|typeUserInstance) == 0
}

// Kernel says whether the entry is loaded by the kernel, and not run as a
// process.
func (s Service) Kernel() bool {
	return s.Type.Present && s.Type.Value&typeDrivers != 0 && s.Type.Value&(TypeOwnProcess|typeShareProcess) == 0
}

// StartName is the start type as services.msc calls it.
func (s Service) StartName() string {
	if !s.Start.Present {
		return "no start type"
	}
	switch s.Start.Value {
	case startBoot:
		return "boot"
	case startSystem:
		return "system"
	case StartAuto:
		if s.Delayed {
			return "automatic, delayed"
		}
		return "automatic"
	case StartManual:
		return "manual"
	case StartDisabled:
		return "disabled"
	}
	return fmt.Sprintf("start type %d", s.Start.Value)
}

// Starts is what a sentence on the service says of its start type.
func (s Service) Starts() string {
	switch {
	case !s.Start.Present:
		return "has no start type"
	case s.Start.Value == startBoot:
		return "starts at boot"
	case s.Start.Value == startSystem:
		return "starts with the system"
	case s.Start.Value == StartAuto && s.Delayed:
		return "starts automatically (delayed)"
	case s.Start.Value == StartAuto:
		return "starts automatically"
	case s.Start.Value == StartManual:
		return "starts manually"
	case s.Start.Value == StartDisabled:
		return "is disabled"
	}
	return fmt.Sprintf("has the unknown start type %d", s.Start.Value)
}

// Services reads every entry below Services, in the hive's order. An entry
// that is damaged carries its own error.
func (m *Machine) Services() ([]Service, error) { return m.services.Get(m.Next().readServices) }

func (m *Machine) readServices() ([]Service, error) {
	parent, err := m.Key(KeyServices)
	if err != nil {
		return nil, err
	}
	if !parent.Exists() {
		return nil, fmt.Errorf("%s: key %s not found", parent.Evidence.Path, parent.Evidence.Key)
	}
	keys, err := m.Subkeys(parent)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 { // the list was read completely, and cannot be right
		return nil, fmt.Errorf("%s: key %s has no subkeys, but every Windows has services", parent.Evidence.Path,
			parent.Evidence.Key)
	}
	services := make([]Service, 0, len(keys))
	for _, k := range keys {
		s := m.readService(k)
		s.List = parent.Evidence
		// Of services beyond the bound not even the names are worth more reading.
		if errors.Is(s.Err, fact.ErrBound) || errors.Is(s.Err, fact.ErrTime) {
			return nil, s.Err
		}
		services = append(services, s)
	}
	return services, nil
}

// Service reads one entry by the name of its key; it may be absent, see
// Service.Exists. It does not need a complete list of services.
func (m *Machine) Service(name string) (Service, error) {
	k, err := m.Key(KeyServices + `\` + name)
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
	s.Type, err = m.DWord(k, "Type")
	note(err)
	s.Start, err = m.DWord(k, "Start")
	note(err)
	s.Account, err = m.looseText(k, "ObjectName")
	note(err)
	s.ImagePath, err = m.looseText(k, "ImagePath")
	note(err)
	display, err := m.Text(k, "DisplayName") // Windows 7 itself writes one as a list of strings
	note(err)
	s.DisplayName = display.Value
	delayed, err := m.DWord(k, "DelayedAutostart")
	note(err)
	s.Delayed = delayed.Value != 0
	deleted, err := m.DWord(k, "DeleteFlag")
	note(err)
	s.Deleted = deleted.Value != 0
	return s
}

// Subject is the service as a finding names it to programs.
func (s Service) Subject(reason requirement.Reason, value string) requirement.Subject {
	return ServiceSubject(s.Name, s.Title(), reason, value)
}

// ServiceSubject is a service that need not be there.
func ServiceSubject(name, title string, reason requirement.Reason, value string) requirement.Subject {
	if title == name {
		title = ""
	}
	return requirement.Subject{Kind: requirement.SubjectService, ID: name, Name: title, Reason: reason, Value: value}
}

// Exists says whether there is such an entry.
func (s Service) Exists() bool { return s.Name != "" }

// ServicesKey is the evidence for the list of services.
func (s Service) ServicesKey() requirement.Evidence {
	ev := s.List
	ev.Note = "all subkeys were read"
	return ev
}
