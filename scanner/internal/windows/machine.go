// Package windows reads the facts of a Windows system from its volumes and
// judges the requirements of image creation by them.
//
// A file is about one topic: its facts, which are typed values with the
// evidence they were read from, and beside them the judgements, which are pure
// functions of those facts. Facts are read lazily, once, and kept. What cannot
// be read is an error, and an error makes every requirement that needs the
// fact undetermined. A key, value or file that is not there, although its hive
// or folder was read whole, is a fact like any other.
//
// The snapshot was taken from a running system, so what is read is what
// Windows would see at its next start: hives after recovery from their
// transaction logs, databases with their write-ahead log. Volatile keys exist
// only in memory and are in no file: that they are absent says nothing.
package windows

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// ErrNoWindows says that a volume holds no Windows system.
var ErrNoWindows = errors.New("no windows system on the volume")

// Input is what a scan knows of one machine before its facts are read.
type Input struct {
	Root Volume // the volume with the system, drive C
	User Volume // the volume with the profiles, drive D

	Partitions []Partition // what drive letters may point to
	Documents  []*statement.Document
	UserForced bool   // User is drive D because the caller says so, whatever the registry says
	UserName   string // whose profile is meant, "" to find out; NAME, DOMAIN\NAME or NAME@DOMAIN

	Readable func() requirement.Outcome // judges win.volume.readable

	Reserve func(n int64) error // asked before memory is taken for a hive, see registry.Options

	Context context.Context      // ends what is read for no requirement; nil for none
	Waited  func() time.Duration // see fact.Patience

	Trail *requirement.Trail // nil drops events and notices
	Now   time.Time          // the time of the scan, which decides what has expired
}

// Filesystem is a filesystem that Windows starts from: beyond io/fs it has what
// Windows has in files. Its methods are those of ntfs.FS, which see.
type Filesystem interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadLinkFS

	Volume() ntfs.Volume
	Free() (int64, error)
	Tree(name string) (ntfs.Totals, error)
	CheckedTree(name string) (ntfs.Totals, error)
	Walk(name string, fn func(path []byte, e *ntfs.Entry) error) (damaged int64, err error)
	WalkRecords(name string, fn func(path []byte, e *ntfs.Entry) error) (damaged int64, err error)
	Reparse(name string) (ntfs.Reparse, error)
	SecurityDescriptor(name string) ([]byte, error)
}

// Volume is a filesystem, or the reason why there is none to read.
type Volume struct {
	FS     Filesystem
	Err    error  // why FS is nil: not given, encrypted, damaged
	Device string // its identity, see Partition.Device; "" if the image does not tell
}

// Machine is one Windows system and what was read of it so far. Its methods
// may be called from several goroutines.
type Machine struct {
	in         Input
	systemRoot string // folder on the root volume, as it is spelled there: "Windows"
	volumes    map[string]*volume
	registry   *registry.Machine
	hives      *hives
	ahead      map[string]*ahead // by file on the root volume
	hiveOpened func(name string) // what a hive that could be opened sets off; nil for nothing
	com        *comClasses
	meter      *fact.Meter // of what is being read; nil without bounds
	restarted  *Machine    // as it is after the next start, where that may use another control set; else nil

	*facts
}

// facts are read once each; see fact.
type facts struct {
	system      fact.Fact[System]
	free        fact.Fact[int64]
	environment fact.Fact[environment]
	variables   fact.Fact[environment]
	accounts    fact.Fact[accounts]
	services    fact.Fact[[]Service]
	templates   fact.Fact[[]template]
	started     fact.Fact[lastStart]
	devices     fact.Fact[map[string]string]
	profiles    fact.Fact[Profiles]
	apps        fact.Fact[[]Application]
	tasks       fact.Fact[[]Task]

	machineStarts fact.Fact[Starts]
	userStarts    fact.Fact[Starts]

	wanted   fact.Fact[Wanted]
	upgrades fact.Fact[Upgrades]
	logs     fact.Fact[sysprepLogs]
	appx     fact.Fact[Appx]
}

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
	m := &Machine{in: in, systemRoot: root, hives: &hives{}, facts: &facts{}, com: &comClasses{done: make(chan struct{})}, meter: fact.NewMeter(in.Context, in.Waited)}
	m.volumes = map[string]*volume{
		"C": {role: roleRoot, fs: in.Root.FS, trail: in.Trail},
		"D": {role: roleUser, fs: in.User.FS, err: in.User.Err, trail: in.Trail},
	}
	for _, v := range m.volumes {
		v.meter = m.meter
	}
	m.hiveOpened = func(name string) {
		if name == "SOFTWARE" {
			m.readClassesAhead()
		}
	}
	m.openAhead()
	m.registry = registry.NewMachine(m.openHive)
	m.tellControlSet()
	m.lookAhead()
	m.tellOtherSystems()
	m.checkDrives()
	return m, nil
}

// OfHives returns a machine that has a registry and no volumes. The opener is that of a registry.Machine.
func OfHives(open registry.HiveOpener) *Machine {
	none := errors.New("not given")
	return &Machine{
		in: Input{Context: context.Background()}, systemRoot: "Windows", hives: &hives{}, facts: &facts{},
		volumes:  map[string]*volume{"C": {role: roleRoot, err: none}, "D": {role: roleUser, err: none}},
		registry: registry.NewMachine(open),
	}
}

// Within returns the machine as one requirement sees it: facts that are read
// already are the same, and what it still reads ends with the context and has
// bounds of its own.
func (m *Machine) Within(ctx context.Context) *Machine {
	own := *m
	own.in.Context = ctx
	return own.metered(m.meter.Within(ctx))
}

// next returns the machine for the reading of one fact, which has bounds of its
// own, whatever else the requirement reads that asks for it.
func (m *Machine) next() *Machine {
	own := *m
	return own.metered(m.meter.Next())
}

// unheard returns the machine for reading that nothing is told of: events of the
// registry are dropped.
func (m *Machine) unheard() *Machine {
	own := *m
	own.in.Trail = nil
	return own.metered(m.meter.Within(own.in.Context))
}

// metered charges what the machine reads to a meter. The volumes, which charge it
// too, are copied.
func (m *Machine) metered(meter *fact.Meter) *Machine {
	m.meter = meter
	m.volumes = maps.Clone(m.volumes)
	for drive, v := range m.volumes {
		own := *v
		own.meter = meter
		m.volumes[drive] = &own
	}
	return m
}

// tellControlSet says which control set was taken for the current one where
// that is not plain, and that another failed to start.
func (m *Machine) tellControlSet() {
	set, err := m.registry.ControlSet()
	if err != nil {
		return // whatever needs it reports it
	}
	notify := func(level requirement.Level, message string) {
		m.in.Trail.Notify(requirement.Notice{Level: level, Message: message, Source: roleRoot, Path: m.systemRoot + "/System32/config/SYSTEM"})
	}
	if set.Chosen.By != registry.SelectCurrent {
		notify(requirement.LevelWarning, fmt.Sprintf("CurrentControlSet of SYSTEM is taken to be %s: %s", set.Name, whyControlSet(set)))
	}
	if set.Failed != 0 {
		notify(requirement.LevelInfo, fmt.Sprintf("SYSTEM: Windows failed to start with ControlSet%03d (Select\\Failed)", set.Failed))
	}
}

// lookAhead sets up the machine as it will be after the next start, where that
// does not certainly use the same control set. Image creation restarts the
// WorkSpace, so that what the next start uses counts as much as what Windows ran
// on last.
func (m *Machine) lookAhead() {
	set, err := m.registry.ControlSet()
	if err != nil {
		return // whatever needs it reports it
	}
	next, err := m.registry.NextControlSet()
	if err == nil && next.Name == set.Name {
		return
	}
	// The facts are read anew, since most of them depend on it.
	restarted := *m
	restarted.registry, restarted.facts = m.registry.AtNextStart(), &facts{}
	m.restarted = &restarted
	message := fmt.Sprintf("Windows ran on %s (%s), and its next start uses %s (%s): both are judged, and the worse result counts",
		set.Name, whyControlSet(set), next.Name, whyControlSet(next))
	if err != nil {
		message = fmt.Sprintf("which control set the next start of Windows uses is not known, so that what depends on it is undetermined: %v", err)
	}
	m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: message, Source: roleRoot, Path: m.systemRoot + "/System32/config/SYSTEM"})
}

// whyControlSet says in a few words why a control set was chosen.
func whyControlSet(set registry.ControlSet) string {
	var why []string
	for _, s := range append(slices.Clone(set.PassedBy), set.Chosen) {
		switch {
		case s.By == registry.SelectOnly:
			why = append(why, "it is the only one")
		case !s.Written:
			why = append(why, fmt.Sprintf("no Select\\%s", s.By))
		case s != set.Chosen:
			why = append(why, fmt.Sprintf("Select\\%s is %d and there is no ControlSet%03d", s.By, s.Number, s.Number))
		default:
			why = append(why, fmt.Sprintf("Select\\%s is %d", s.By, s.Number))
		}
	}
	text := strings.Join(why, ", ")
	if set.FailedErr != nil {
		text += "; " + set.FailedErr.Error()
	}
	return text
}

// maxRootFolders bounds the folders of the root volume that are looked at for
// other systems.
const maxRootFolders = 256

// tellOtherSystems says which folders of the root volume hold another system:
// the one that is judged may not be the one that starts.
func (m *Machine) tellOtherSystems() {
	v := m.volumes["C"]
	entries, err := fs.ReadDir(v.fs, ".")
	if err != nil {
		return // FindSystemRoot has read it
	}
	looked := 0
	for _, e := range entries {
		if !e.IsDir() || strings.EqualFold(e.Name(), m.systemRoot) || strings.EqualFold(e.Name(), "Windows.old") {
			continue
		}
		if looked++; looked > maxRootFolders {
			return
		}
		hive := e.Name() + "/System32/config/SYSTEM"
		if info, err := fs.Stat(v.fs, hive); err == nil && !info.IsDir() {
			m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: v.role, Path: hive,
				Message: fmt.Sprintf("the folder %s holds a second Windows; %s is the one that is judged", e.Name(), m.systemRoot)})
		}
	}
}

// checkDrives compares the volumes with the disks that the registry has for C
// and D. A user volume that is not drive D of this machine is not read: its
// profile would be judged in the place of this machine's. The letter C follows
// the volume that Windows starts from, so another disk there is only said.
func (m *Machine) checkDrives() {
	mounts, err := m.readMounts()
	if err != nil {
		return // win.drives.only-c-d reports it
	}
	for _, mount := range mounts {
		if mount.Disk && mount.Letter == "C" && m.in.Root.Device != "" && m.in.Root.Device != mount.Device {
			m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Source: roleRoot,
				Message: fmt.Sprintf("drive C was last on %s, the root image is %s", mount.Device, m.in.Root.Device)})
		}
	}
	if m.in.User.FS == nil {
		return
	}
	why := notDriveD(mounts, m.in.User.Device)
	if why == "" {
		return
	}
	if m.in.UserForced {
		m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: roleUser, Message: "the user volume is used as drive D because --user names it, although " + why})
		return
	}
	err = fmt.Errorf("%s: it is not drive D of this machine (--user uses it anyway)", why)
	m.volumes["D"].fs, m.volumes["D"].err = nil, err
	m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: roleUser, Message: err.Error()})
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
	return "", fmt.Errorf("%w that can be told apart: %s", ErrNoWindows, strings.Join(found, ", "))
}

// holdsSystem takes a damaged hive for one that is there: Windows is on the
// volume then, and what depends on the hive will say that it is damaged. A folder
// that is damaged itself may be any.
func holdsSystem(fsys fs.FS, folder string) (bool, error) {
	if !strings.EqualFold(folder, "Windows") {
		for _, way := range []string{folder, path.Join(folder, "System32"), path.Join(folder, "System32/config")} {
			if _, err := fs.Stat(fsys, way); errors.Is(err, ntfs.ErrCorrupt) {
				return false, nil
			}
		}
	}
	for _, hive := range []string{"SYSTEM", "SOFTWARE"} {
		_, err := fs.Stat(fsys, path.Join(folder, "System32/config", hive))
		switch {
		case err == nil, errors.Is(err, ntfs.ErrCorrupt):
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return false, nil
}
