// Package machine is the ground floor of Windows: access to the hives, files, version, services, environment, accounts
// and profiles of one system, and to what it starts. It knows no requirement of image creation.
//
//	m, err := machine.Open(machine.Input{Root: machine.Volume{FS: c}, User: machine.Volume{FS: d}})
//	k, err := m.Key(`HKLM\SYSTEM\CurrentControlSet\Control`)
//	s, err := m.Text(k, "SystemBootDevice")
//	f, err := m.File(`C:\Windows\explorer.exe`)
//
// Facts are typed values with the evidence they were read from. They are read lazily, once, and kept. What cannot be
// read is an error. A key, value or file that is not there, although its hive or folder was read completely, is a fact
// like any other.
//
// The snapshot was taken from a running system, so what is read is what Windows would see at its next start: hives
// after recovery from their transaction logs, databases with their write-ahead log. Volatile keys exist only in memory
// and are in no file: that they are absent says nothing.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// ErrNoWindows says that a volume holds no Windows system.
var ErrNoWindows = errors.New("no Windows system on the volume")

// Input is what is known of a machine before its facts are read.
type Input struct {
	Root Volume // the volume with the system, drive C
	User Volume // the volume with the profiles, drive D

	Documents []*statement.Document
	UserName  string // whose profile is meant, "" to find out; NAME, DOMAIN\NAME or NAME@DOMAIN

	Reserve func(n int64) error // called before memory is allocated for a hive, see registry.Options

	Context context.Context      // ends what is read for no requirement; nil for none
	Waited  func() time.Duration // see fact.Patience

	// HiveOpened is called with the name of each hive that could be opened, such as "SOFTWARE"; nil for nothing.
	HiveOpened func(name string)

	Trail *requirement.Trail // nil drops events and notices
	Now   time.Time          // the time of the scan, which decides what has expired
}

// Volume is a filesystem, or the reason why there is none to read.
type Volume struct {
	FS     volume.WindowsFS
	Err    error  // why FS is nil: not given, encrypted, damaged
	Device string // its identity, see Partition.Device; "" if the image does not show it

	// Request is how many bytes one request for the image returns at most, if that is read over a network; otherwise
	// 0. Offset is where on the image the volume begins, in bytes.
	Request, Offset int64
}

func (v *Volume) drive(role string, trail *requirement.Trail) *Drive {
	return &Drive{Role: role, FS: v.FS, Err: v.Err, Trail: trail, request: v.Request, offset: v.Offset}
}

// Machine is one Windows system and what was read of it so far. Its methods
// may be called from several goroutines.
type Machine struct {
	SystemRoot string            // folder on the root volume, as it is spelled there: "Windows"
	Registry   *registry.Machine // the namespace of its hives
	Meter      *fact.Meter       // of what is being read; nil without bounds

	in      Input
	volumes map[string]*Drive
	hives   *hives
	ahead   map[string]*ahead // by file on the root volume

	*facts
}

// facts are read once each; see fact.
type facts struct {
	system        fact.Fact[System]
	environment   fact.Fact[Environment]
	variables     fact.Fact[Environment]
	accounts      fact.Fact[Accounts]
	services      fact.Fact[[]Service]
	profiles      fact.Fact[Profiles]
	tasks         fact.Fact[[]Task]
	machineStarts fact.Fact[Starts]
	userStarts    fact.Fact[Starts]
	wanted        fact.Fact[Wanted]

	logsMu sync.Mutex
	logs   map[string]*logFact // event logs by name
}

type logFact = fact.Fact[*EventLog]

// Open finds the system on the root volume. It reads as much as that takes;
// an error that wraps ErrNoWindows says that there is none.
func Open(in Input) (*Machine, error) {
	if in.Root.FS == nil {
		return nil, fmt.Errorf("root volume: %w", in.Root.Err)
	}
	root, err := FindSystemRoot(in.Root.FS)
	if err != nil {
		return nil, err
	}
	if in.Context == nil {
		in.Context = context.Background()
	}
	m := &Machine{in: in, SystemRoot: root, hives: &hives{}, facts: &facts{},
		Meter: fact.NewMeter(in.Context, in.Waited)}
	m.volumes = map[string]*Drive{
		"C": in.Root.drive(RoleRoot, in.Trail),
		"D": in.User.drive(RoleUser, in.Trail),
	}
	for _, v := range m.volumes {
		v.meter = m.Meter
	}
	m.openAhead()
	m.Registry = registry.NewMachine(m.openHive)
	return m, nil
}

// OfHives returns a machine that has a registry and no volumes. The opener is that of a registry.Machine.
func OfHives(open registry.HiveOpener) *Machine {
	none := errors.New("not given")
	return &Machine{
		in: Input{Context: context.Background()}, SystemRoot: "Windows", hives: &hives{}, facts: &facts{},
		volumes:  map[string]*Drive{"C": {Role: RoleRoot, Err: none}, "D": {Role: RoleUser, Err: none}},
		Registry: registry.NewMachine(open),
	}
}

// Drive returns drive C or D, and nil for any other letter. Its filesystem may not be there to be read.
func (m *Machine) Drive(letter string) *Drive { return m.volumes[letter] }

// AtNextStart returns the machine as it is after the next start, with the control set of that. Its facts are read
// anew,
// since most of them depend on it.
func (m *Machine) AtNextStart() *Machine {
	own := *m
	own.Registry, own.facts = m.Registry.AtNextStart(), &facts{}
	return &own
}

// Within returns the machine as one requirement sees it: facts that are read
// already are the same, and what it still reads ends with the context and has
// bounds of its own.
func (m *Machine) Within(ctx context.Context) *Machine {
	own := *m
	own.in.Context = ctx
	return own.metered(m.Meter.Within(ctx))
}

// Next returns the machine for the reading of one fact, which has bounds of its
// own, whatever else the requirement reads that asks for it.
func (m *Machine) Next() *Machine {
	own := *m
	return own.metered(m.Meter.Next())
}

// Unheard returns the machine for reading that the log does not record.
func (m *Machine) Unheard() *Machine {
	own := *m
	own.in.Trail = nil
	return own.metered(m.Meter.Within(own.in.Context))
}

// metered charges what the machine reads to a meter. The drives, which charge it
// too, are copied.
func (m *Machine) metered(meter *fact.Meter) *Machine {
	m.Meter = meter
	m.volumes = maps.Clone(m.volumes)
	for letter, v := range m.volumes {
		own := *v
		own.meter = meter
		m.volumes[letter] = &own
	}
	return m
}

// FindSystemRoot returns the folder of a volume that holds Windows, as it is
// spelled there: the one with System32\config\SYSTEM or SOFTWARE in it. The
// error wraps ErrNoWindows if there is none, or if there are several and none
// of them is called Windows.
func FindSystemRoot(fsys fs.FS) (string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", fmt.Errorf("root folder: %w", err)
	}
	var found []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		is, err := holdsSystem(fsys, e.Name())
		if err != nil {
			return "", err
		}
		if is && strings.EqualFold(e.Name(), "Windows") {
			return e.Name(), nil
		}
		if is {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 0:
		return "", ErrNoWindows
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w can be chosen: several folders contain one: %s", ErrNoWindows, strings.Join(found, ", "))
}

// holdsSystem takes a damaged hive for one that is there: Windows is on the
// volume then, and what depends on the hive will say that it is damaged. A folder
// that is damaged itself may be any.
func holdsSystem(fsys fs.FS, folder string) (bool, error) {
	if !strings.EqualFold(folder, "Windows") {
		for _, way := range []string{folder, path.Join(folder, "System32"), path.Join(folder, "System32/config")} {
			if _, err := fs.Stat(fsys, way); errors.Is(err, kind.Corrupt) {
				return false, nil
			}
		}
	}
	for _, hive := range []string{"SYSTEM", "SOFTWARE"} {
		_, err := fs.Stat(fsys, path.Join(folder, "System32/config", hive))
		switch {
		case err == nil, errors.Is(err, kind.Corrupt):
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return false, nil
}
