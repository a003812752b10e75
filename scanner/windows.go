package scanner

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// ntfsVolume is an NTFS volume as the scan sees it.
type ntfsVolume struct{ *ntfs.FS }

func (v ntfsVolume) family() requirement.Platform { return requirement.Windows }

func (v ntfsVolume) holdsSystem() (bool, error) {
	_, err := windows.FindSystemRoot(v.FS)
	if errors.Is(err, windows.ErrNoWindows) {
		return false, nil
	}
	return err == nil, err
}

func (v ntfsVolume) holdsUsers() bool {
	info, err := v.Stat("Users")
	return err == nil && info.IsDir()
}

func (v ntfsVolume) mayHoldData() bool {
	switch strings.ToLower(v.Volume().Label) {
	case "system reserved", "recovery":
		return false
	}
	return true
}

func (v ntfsVolume) describe(d *Volume) {
	info := v.Volume()
	d.Label = info.Label
	d.Serial = fmt.Sprintf("%016X", info.Serial)
	switch {
	case info.Err != nil:
		d.State = "unknown"
	case info.Dirty:
		d.State = "dirty"
	case info.Journal.State.Pending():
		d.State = "in use when it was taken"
	default:
		d.State = "clean"
	}
	if free, err := v.Free(); err == nil {
		d.Free = free
	}
}

func (v ntfsVolume) notices() []requirement.Notice {
	var list []requirement.Notice
	info, damage := v.Volume(), v.Damage()
	if info.Dirty {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning, Message: "the volume is marked dirty: Windows checks it at the next start"})
	}
	if n, ok := logNotice(info); ok {
		list = append(list, n)
	}
	if info.Err != nil {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning, Message: info.Err.Error()})
	}
	if damage.Count > 0 {
		var first []string
		for _, d := range damage.Records[:min(len(damage.Records), 3)] {
			first = append(first, d.String())
		}
		list = append(list, requirement.Notice{Level: requirement.LevelError,
			Message: fmt.Sprintf("%s of $MFT cannot be read: %s", prose.Count(int(damage.Count), "record", "records"), strings.Join(first, ", "))})
	}
	for _, note := range damage.Notes {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning, Message: note})
	}
	return list
}

// logNotice says what became of the log of a volume that was in use.
func logNotice(v ntfs.Volume) (requirement.Notice, bool) {
	r := v.Journal
	switch {
	case r.State == ntfs.JournalCorrupt:
		return requirement.Notice{Level: requirement.LevelWarning, Message: fmt.Sprintf(
			"$LogFile cannot be read (%v): the last changes may be missing, and what passes by a file is inferred", r.Err)}, true
	case !r.State.Pending():
		return requirement.Notice{}, false
	case r.Err != nil:
		return requirement.Notice{Level: requirement.LevelWarning, Message: fmt.Sprintf(
			"the volume was in use when it was taken, and its $LogFile cannot be applied (%v): what passes by a file is inferred", r.Err)}, true
	}
	message := fmt.Sprintf("the volume was in use when it was taken: $LogFile was applied in memory, %s", prose.Count(r.Blocks, "block differs", "blocks differ"))
	if r.Undone > 0 {
		message += fmt.Sprintf(", %s undone", prose.Count(r.Undone, "transaction was", "transactions were"))
	}
	if r.Unsure > 0 {
		return requirement.Notice{Level: requirement.LevelWarning, Message: message + fmt.Sprintf(", %d cannot be read since a change could not be applied", r.Unsure)}, true
	}
	return requirement.Notice{Level: requirement.LevelInfo, Message: message}, true
}

// doubts is the notice of names that were asked for and are in doubt.
func (v ntfsVolume) doubts() (requirement.Notice, bool) {
	list := v.Damage().InDoubt
	if len(list) == 0 {
		return requirement.Notice{}, false
	}
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.Name
	}
	return requirement.Notice{Level: requirement.LevelWarning, Message: fmt.Sprintf(
		"%s in doubt, since the MFT record and the index of the folder disagree: %s", prose.Count(len(list), "name is", "names are"), prose.Some(names))}, true
}

// openWindows opens the Windows system on the root volume.
func openWindows(vs *volumes, root ntfsVolume, given given) (system, error) {
	in := windows.Input{
		Root:       windows.Volume{FS: root.FS, Device: device(vs.root)},
		User:       windows.Volume{Err: vs.noUser},
		Readable:   vs.judgeReadable,
		Documents:  given.documents,
		UserForced: vs.forced,
		UserName:   given.userName,
		Reserve:    vs.budget.Reserve,
		Context:    given.ctx,
		Waited:     vs.reads.waited,
		Trail:      given.trail,
		Now:        given.now,
	}
	if vs.user != nil {
		in.User = windows.Volume{Err: vs.user.err, Device: device(vs.user)}
		if f, ok := vs.user.fs.(ntfsVolume); ok {
			in.User.FS = f.FS
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
