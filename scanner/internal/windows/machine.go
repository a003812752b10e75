// Package windows judges the requirements of image creation by the facts of a Windows system.
//
// A file is about one topic: its facts, which are typed values with the
// evidence they were read from, and the judgments, which are pure
// functions of those facts. Facts that several topics share are those of package
// machine, the ground floor. An error of a fact makes every requirement that
// needs it undetermined.
package windows

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// Input is what a scan knows of one machine before its facts are read.
type Input struct {
	machine.Input

	Partitions  []Partition // what drive letters may point to
	Disks       []Disk      // the images in their order
	UserForced  bool        // User is drive D because the caller says so, whatever the registry says
	WithoutUser bool        // the computer is not a WorkSpace: no user and no user volume belong to it

	Readable requirement.Outcome // of win.volume.readable: the volumes are known to who opens them
}

// Machine is one Windows system and what was read of it so far. Its methods
// may be called from several goroutines.
type Machine struct {
	*machine.Machine

	// Terms are those of the rule book, for the requirement that is being checked.
	Terms requirement.Terms

	in        Input
	com       *comClasses
	restarted *Machine // as it is after the next start, where that may use another control set; else nil

	*facts
}

// facts are read once each; see fact.
type facts struct {
	usage     fact.Fact[volume.Usage]
	templates fact.Fact[[]template]
	started   fact.Fact[lastStart]
	devices   fact.Fact[map[string]string]
	apps      fact.Fact[[]Application]
	upgrades  fact.Fact[Upgrades]
	logs      fact.Fact[sysprepLogs]
	appx      fact.Fact[Appx]
	events    fact.Fact[Events]
	installs  fact.Fact[installed]
	bootFact  fact.Fact[[]bootFiles]
}

// Open finds the system on the root volume. It reads as much as that takes;
// an error that wraps machine.ErrNoWindows says that there is none.
func Open(in Input) (*Machine, error) {
	if in.Context == nil {
		in.Context = context.Background()
	}
	m := &Machine{in: in, com: &comClasses{done: make(chan struct{})}, facts: &facts{}}
	in.HiveOpened = func(name string) {
		if name == "SOFTWARE" {
			m.readClassesAhead()
		}
	}
	var err error
	if m.Machine, err = machine.Open(in.Input); err != nil {
		return nil, err
	}
	m.noticeControlSet()
	m.lookAhead()
	m.noticeOtherSystems()
	m.checkDrives()
	return m, nil
}

// OfHives returns a machine that has a registry and no volumes. The opener is that of a registry.Machine.
func OfHives(open registry.HiveOpener) *Machine {
	return &Machine{
		Machine: machine.OfHives(open), in: Input{Input: machine.Input{Context: context.Background()}},
		facts: &facts{},
	}
}

// Within returns the machine as one requirement sees it: facts that are read
// already are the same, and what it still reads ends with the context and has
// bounds of its own.
func (m *Machine) Within(ctx context.Context) *Machine {
	own := *m
	own.in.Context, own.Machine = ctx, m.Machine.Within(ctx)
	return &own
}

// under returns the machine as one requirement of a rule book sees it.
func (m *Machine) under(ctx context.Context, terms requirement.Terms) *Machine {
	own := m.Within(ctx)
	own.Terms = terms
	return own
}

// next returns the machine for the reading of one fact, which has bounds of its
// own, whatever else the requirement reads that asks for it.
func (m *Machine) next() *Machine {
	own := *m
	own.Machine = m.Machine.Next()
	return &own
}

// unheard returns the machine for reading that the log does not record.
func (m *Machine) unheard() *Machine {
	own := *m
	own.Machine = m.Machine.Unheard()
	return &own
}

// noticeControlSet reports which control set is used as the current one where
// Select\Current does not decide, and that another failed to start.
func (m *Machine) noticeControlSet() {
	set, err := m.Registry.ControlSet()
	if err != nil {
		return // whatever needs it reports it
	}
	notify := func(level requirement.Level, message string) {
		m.in.Trail.Notify(requirement.Notice{Level: level, Message: message, Source: machine.RoleRoot,
			Path: m.SystemRoot + "/System32/config/SYSTEM"})
	}
	if set.Chosen.By != registry.SelectCurrent {
		notify(requirement.LevelWarning, fmt.Sprintf("%s is used as the current control set: %s.", set.Name,
			whyControlSet(set)))
	}
	if set.Failed != 0 {
		notify(requirement.LevelInfo,
			fmt.Sprintf("Windows failed to start with ControlSet%03d (Select\\Failed in SYSTEM).", set.Failed))
	}
}

// lookAhead sets up the machine as it will be after the next start, where that
// does not certainly use the same control set. Image creation restarts the
// WorkSpace, so that what the next start uses counts as much as what Windows ran
// on last.
func (m *Machine) lookAhead() {
	set, err := m.Registry.ControlSet()
	if err != nil {
		return // whatever needs it reports it
	}
	next, err := m.Registry.NextControlSet()
	if err == nil && next.Name == set.Name {
		return
	}
	// The facts are read anew, since most of them depend on it.
	restarted := *m
	restarted.Machine, restarted.facts = m.Machine.AtNextStart(), &facts{}
	m.restarted = &restarted
	message := fmt.Sprintf(
		"Windows last ran on %s (%s); its next start uses %s (%s). Both are checked, and the worse result counts.",
		set.Name, whyControlSet(set), next.Name, whyControlSet(next))
	if err != nil {
		message = fmt.Sprintf(
			"Cannot tell which control set the next start of Windows uses; what depends on it is undecided: %v.", err)
	}
	m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: message, Source: machine.RoleRoot,
		Path: m.SystemRoot + "/System32/config/SYSTEM"})
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
			why = append(why, fmt.Sprintf("Select\\%s is %d and there is no ControlSet%03d", s.By, s.Number,
				s.Number))
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

// noticeOtherSystems reports folders of the root volume that contain another system:
// the one that is checked may not be the one that starts.
func (m *Machine) noticeOtherSystems() {
	v := m.Drive("C")
	entries, err := fs.ReadDir(v.FS, ".")
	if err != nil {
		return // FindSystemRoot has read it
	}
	looked := 0
	for _, e := range entries {
		if !e.IsDir() || strings.EqualFold(e.Name(), m.SystemRoot) || strings.EqualFold(e.Name(), "Windows.old") {
			continue
		}
		if looked++; looked > maxRootFolders {
			return
		}
		hive := e.Name() + "/System32/config/SYSTEM"
		if info, err := fs.Stat(v.FS, hive); err == nil && !info.IsDir() {
			m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: v.Role, Path: hive,
				Message: fmt.Sprintf("%s contains a second Windows system. The one in %s is checked.", e.Name(),
					m.SystemRoot)})
		}
	}
}

// checkDrives compares the volumes with the disks that the registry has for C
// and D. A user volume that is not drive D of this machine is not read: its
// profile would be judged in the place of this machine's. The letter C follows
// the volume that Windows starts from, so another disk there is only reported.
func (m *Machine) checkDrives() {
	mounts, err := m.readMounts()
	if err != nil {
		return // win.drives.only-c-d reports it
	}
	for _, mount := range mounts {
		if mount.Disk && mount.Letter == "C" && m.in.Root.Device != "" && m.in.Root.Device != mount.Device {
			m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Source: machine.RoleRoot,
				Message: fmt.Sprintf("Drive C was last on %s; the root image is %s.", mount.Device, m.in.Root.Device)})
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
		m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: machine.RoleUser,
			Message: "The user volume is used as drive D because --user names it, although " + why + "."})
		return
	}
	d := m.Drive("D")
	d.FS, d.Err = nil, fact.NoUserVolume(
		"the user volume is not drive D of this computer. Name the image with --user to use it anyway")
	m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: machine.RoleUser,
		Message: "The user volume is not drive D of this computer: " + why + ". Name the image with --user to use it " +
			"anyway."})
}
