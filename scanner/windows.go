package scanner

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
	ground "github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// windowsFamily identifies the volumes of Windows systems.
type windowsFamily struct{}

func (windowsFamily) holdsSystem(fsys filesystem.FS) (bool, error) {
	folder, err := FindWindows(fsys)
	return folder != "", err
}

func (windowsFamily) holdsUsers(fsys filesystem.FS) bool {
	info, err := fsys.Stat("Users")
	return err == nil && info.IsDir()
}

// mayHoldData leaves out what only starts or repairs a system.
func (windowsFamily) mayHoldData(fsys filesystem.FS) bool {
	switch strings.ToLower(fsys.Info().Label) {
	case "system reserved", "recovery":
		return false
	}
	return true
}

func (windowsFamily) newest(fsys filesystem.FS, until time.Time) time.Time { return fsys.Newest(until) }

// openWindows opens the Windows system on the root volume.
func openWindows(vs *volumes, from inputs) (system, error) {
	root, ok := vs.root.fs.(filesystem.WindowsFS)
	if !ok {
		return nil, errNotWindows
	}
	in := windows.Input{
		Input: ground.Input{
			Root: ground.Volume{FS: root, Device: device(vs.root), Request: vs.root.requestSize(),
				Offset: vs.root.Offset},
			User:      ground.Volume{Err: vs.noUser},
			Documents: from.documents,
			UserName:  from.userName,
			Reserve:   vs.budget.Reserve,
			Context:   from.ctx,
			Waited:    vs.reads.waited,
			Trail:     from.trail,
			Now:       from.now,
		},
		Readable:    vs.judgeReadable(),
		UserForced:  vs.forced,
		WithoutUser: vs.single,
		Disks:       vs.disks(),
	}
	if vs.user != nil {
		in.User = ground.Volume{Err: vs.user.err, Device: device(vs.user), Request: vs.user.requestSize(),
			Offset: vs.user.Offset}
		if f, ok := vs.user.fs.(filesystem.WindowsFS); ok {
			in.User.FS = f
		}
		if e := vs.user.encryption(); e != "" {
			in.User.Err = fmt.Errorf("%s is encrypted with %s", vs.user.name(), e)
		}
	}
	for _, v := range vs.list {
		if d := device(v); d != "" {
			in.Partitions = append(in.Partitions, windows.Partition{Device: d, Name: v.name()})
		}
	}
	m, err := windows.Open(in)
	if err != nil {
		return nil, err
	}
	return windowsSystem{m}, nil
}

// errNotWindows is about a filesystem that lacks what Windows has in files.
var errNotWindows = errors.New("windows does not start from this filesystem")

// device is the identity that the registry of Windows gives a partition.
func device(v *volume) string {
	switch {
	case v.GUID != disk.GUID{}:
		return windows.DeviceGPT(v.GUID)
	case v.image.Table == "mbr" && v.image.DiskSignature != 0:
		return windows.DeviceMBR(v.image.DiskSignature, v.Offset)
	}
	return ""
}

// windowsSystem is a Windows system as the scan sees it.
type windowsSystem struct{ *windows.Machine }

func (w windowsSystem) Platform() (Platform, error) {
	p := Platform{Family: string(requirement.Windows), Name: "Windows"}
	s, version := w.System()
	if version == nil {
		p.Name, p.Version = s.Name(), s.Version()
	}
	var architecture, computer error
	p.Architecture, architecture = w.Architecture()
	p.ComputerName, computer = w.ComputerName()
	if wanted, err := w.Wanted(); err == nil && wanted.Profile != nil {
		p.UserName = wanted.Profile.Folder()
		if wanted.User != "" {
			p.UserName = wanted.User
		}
	}
	if version == nil && architecture != nil {
		version = fmt.Errorf("architecture: %w", architecture)
	}
	if version == nil {
		version = computer // the same hive as the architecture's
	}
	return p, version
}

// lastRun is when Windows last started, and when it was shut down since; zero where the event log does not show it, or
// lacks records since then.
func (w windowsSystem) lastRun() (start, stop time.Time) {
	e, err := w.Events()
	if err != nil || e.System.Err != nil {
		return start, stop
	}
	if e.Stop != nil && e.Start != nil {
		stop = e.Stop.Time.UTC()
	}
	return e.Started(), stop
}

// serverVersions are the versions of Windows Server by their first build.
var serverVersions = []struct {
	build int
	name  string
}{
	{26100, "2025"}, {20348, "2022"}, {17763, "2019"}, {14393, "2016"}, {9600, "2012-r2"}, {9200, "2012"},
	{7600, "2008-r2"}, {0, "2008"},
}

// clientVersions are the same of the other editions.
var clientVersions = []struct {
	build int
	name  string
}{{22000, "11"}, {10240, "10"}, {9600, "8.1"}, {9200, "8"}, {7600, "7"}, {0, "vista"}}

func (w windowsSystem) kind() (systemKind, error) {
	s, err := w.System()
	if err != nil {
		return systemKind{}, err
	}
	k := systemKind{System: rules.WindowsServer, Name: s.Name(), Evidence: s.Evidence}
	prefix, versions := "windows-server-", serverVersions
	if s.Client {
		k.System, prefix, versions = rules.WindowsClient, "windows-", clientVersions
	}
	for _, v := range versions {
		if s.Build >= v.build {
			k.Names = []string{prefix + v.name}
			break
		}
	}
	return k, nil
}

// atNextStart implements system.
func (w windowsSystem) atNextStart() facts.Source {
	if next := w.NextStart(); next != nil {
		return next
	}
	return nil
}
