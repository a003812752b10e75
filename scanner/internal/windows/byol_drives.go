package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var byolDrivesSingle = entry{
	Requirement: required("byol.drives.single", "AdditionalDrivesAttached", "The computer must have only drive C.",
		sectionBYOL, explanation{
			Reads: `The images and their partitions; SYSTEM: MountedDevices, Enum, Control\Session Manager\DOS Devices; the ` +
				`Network key of each user. Recovery and EFI system partitions have no drive letter.`,
			Live: "Get-Volume; net use",
			Doubts: "A volume that Windows has not seen yet gets a letter at the next start, from observation. The letter " +
				"of a disk that is not in the images may be left over: only an image of that disk shows it.",
			Fix: "Detach the other disks and the CD drive, remove the drive letters of other volumes in diskmgmt.msc, and " +
				"delete network drives with net use X: /delete.",
		}),
	Judge: (*Machine).decideDrivesSingle,
}

var byolDriveLetterD = entry{
	Requirement: required("byol.drive-letter.d-free", "RestrictedDriveLetterInUse",
		"Drive letter D must be free: it is for the user volume of a WorkSpace.", sectionBYOLErrors, explanation{
			Reads: `SYSTEM: MountedDevices, Enum, Control\Session Manager\DOS Devices; the Network key of each user.`,
			Live:  "Get-Volume; net use",
			Doubts: "The guide does not mention a CD drive with the letter D. VM Import asks to detach CD drives, so that " +
				"this is a warning.",
			Fix: "Give the drive another letter in diskmgmt.msc, detach the CD drive, or run net use D: /delete.",
		}),
	Judge: (*Machine).decideLetterD,
}

// letters is what shows drive letters.
type letters struct {
	Mounts  []Mount
	Known   map[string]bool           // identities of the partitions that Windows has seen
	Aliases []machine.Setting[string] // DOS Devices that are drive letters
	Network []machine.Setting[string] // drives of users, by their keys
	Disks   []Disk
	Keys    []requirement.Evidence // that were read completely
	Err     error                  // why there may be more
}

// readDriveLetters reads what shows drive letters. What cannot be read is in Err.
func (m *Machine) readDriveLetters() letters {
	l := letters{Disks: m.in.Disks}
	note := func(err error) { l.Err = fact.Join(l.Err, err) }
	var d Drives
	note(m.readLettersOf(&d, func(Mount) bool { return true }))
	note(m.readAliases(&d))
	l.Mounts, l.Aliases = d.Mounts, d.Aliases
	var err error
	l.Known, err = m.knownDevices()
	note(err)
	if k, err := m.Key(keyMountedDevices); err == nil {
		l.Keys = append(l.Keys, k.Evidence)
	}
	for sid, err := range m.settledUsers() {
		if err != nil {
			note(err)
			break
		}
		drives, key, err := m.networkDrives(machine.Profile{SID: sid})
		note(err)
		l.Network, l.Keys = append(l.Network, drives...), append(l.Keys, key)
	}
	return l
}

// knownDevices returns the identities of the partitions that MountedDevices has, with or without a drive letter.
func (m *Machine) knownDevices() (map[string]bool, error) {
	k, err := m.Key(keyMountedDevices)
	if err != nil || !k.Exists() {
		return nil, err
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	known := map[string]bool{}
	for _, v := range values {
		data, err := v.Data()
		if err == nil {
			err = m.Meter.Bytes(int64(len(data)))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", k.Evidence.Path, k.Evidence.Key, err)
		}
		if device, disk := parseMount(data); disk {
			known[device] = true
		}
	}
	return known, nil
}

func (m *Machine) decideDrivesSingle() requirement.Outcome {
	return judgeDrivesSingle(m.readDriveLetters())
}

func (m *Machine) decideLetterD() requirement.Outcome { return judgeLetterD(m.readDriveLetters()) }

// part returns the partition of the images that a letter stands for; nil if it is not in them.
func (l letters) part(mount Mount) *DiskPart {
	for _, d := range l.Disks {
		for i, p := range d.Parts {
			if mount.Disk && p.Device != "" && p.Device == mount.Device {
				return &d.Parts[i]
			}
		}
	}
	return nil
}

// lettered says whether Windows gives a volume a letter: it is one for data, is not hidden, and is not the volume that
// starts a system with a BIOS. One that Windows has seen and that has no letter in MountedDevices keeps none.
func (l letters) lettered(p DiskPart) bool {
	return p.Kind == PartData && !p.Root && !p.Hidden && !p.Active && !l.Known[p.Device] &&
		(p.Filesystem != "" || p.Encryption != "")
}

// judgeDrivesSingle decides byol.drives.single. What is found stands whatever else could not be read.
func judgeDrivesSingle(l letters) requirement.Outcome {
	var present, possible driveSigns
	var elsewhere, unlettered, stale []string
	var seen []*DiskPart
	evidence := slices.Clone(l.Keys)
	for _, mount := range l.Mounts {
		part := l.part(mount)
		name := mount.Letter + ":"
		about := driveSubject(mount.Letter, requirement.ReasonPresent, mount.Device)
		dated := append([]requirement.Evidence{mount.Evidence}, mount.Dates...)
		if part != nil {
			seen = append(seen, part)
		}
		switch {
		case mount.Letter == "C", part != nil && part.Root, mount.Letter == "A", mount.Letter == "B":
			evidence = append(evidence, mount.Evidence)
		case part != nil:
			present.add(name+" is "+part.Name, "Open diskmgmt.msc and remove the drive letter "+name+".", about, dated...)
		case mount.Disk:
			elsewhere, evidence = append(elsewhere, name+" ("+prose.Short(mount.Device)+")"),
				append(evidence, mount.Evidence)
		case mount.Presence == deviceGone:
			stale, evidence = append(stale, name), append(evidence, dated...)
		case mount.optical():
			possible.add(name+" is a CD drive", "Detach the CD drive "+name+" from the virtual machine.", about, dated...)
		default:
			possible.add(name+" is "+prose.Short(mount.Device), "Detach the device of "+name+" from the computer.", about,
				dated...)
		}
	}
	for _, d := range l.Disks {
		if !d.root() {
			present.add("the disk "+d.Name+" is attached", "Detach the disk "+d.Name+".",
				requirement.Subject{Kind: requirement.SubjectDrive, ID: d.Name, Reason: requirement.ReasonPresent},
				d.evidence(d.Name))
			continue
		}
		for i, p := range d.Parts {
			switch {
			case slices.Contains(seen, &d.Parts[i]):
			case l.lettered(p):
				present.add(p.Name+" gets a drive letter at the next start",
					"Delete the volume "+p.Name+", or detach its disk.",
					requirement.Subject{Kind: requirement.SubjectDrive, ID: p.Name, Reason: requirement.ReasonPresent},
					p.Evidence)
			case p.Kind == PartData && !p.Root && !p.Hidden && !p.Active:
				unlettered, evidence = append(unlettered, p.Name), append(evidence, p.Evidence)
			}
		}
	}
	for _, a := range l.Aliases {
		present.add(a.Evidence.Value+" stands for "+prose.Short(a.Value),
			fmt.Sprintf(`Delete the value %s in HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\DOS Devices and `+
				`restart.`, a.Evidence.Value),
			driveSubject(a.Evidence.Value, requirement.ReasonPresent, a.Value), a.Evidence)
	}
	for _, n := range l.Network {
		letter := networkLetter(n)
		possible.add(fmt.Sprintf("%s: is the network drive %s", letter, prose.Short(n.Value)),
			"Run net use "+letter+": /delete as the user.", driveSubject(letter, requirement.ReasonMapped, n.Value),
			n.Evidence)
	}
	switch {
	case len(present.names) > 0:
		return present.on(requirement.Fail("Drives other than C are present: " + prose.Some(present.names) + "."))
	case len(possible.names) > 0:
		return possible.on(requirement.Warn("Drives other than C may be present: " + prose.Some(possible.names) + "."))
	case l.Err != nil:
		return requirement.Unreadable(l.Err, evidence...)
	case len(elsewhere) > 0:
		return requirement.Unknown("Disks that are not in the images had drive letters: "+prose.Some(elsewhere)+
			". Give their images too, or remove the letters with mountvol /R.", evidence...)
	}
	o := requirement.Pass("Only drive C is present.", evidence...)
	for _, d := range l.Disks {
		if d.Table == "none" || d.Incomplete != nil {
			o.Basis = requirement.Inferred
			o = o.Also("The image does not show all partitions of the disk; the registry has no other drive letter.")
		}
	}
	if len(unlettered) > 0 {
		o = o.Also("Volumes without a drive letter: " + prose.Some(unlettered) + ".")
	}
	if len(stale) > 0 {
		o = o.Also("Letters of removed devices: " + prose.Some(stale) + ".")
	}
	return o
}

// networkLetter is the letter of a user's network drive: the name of its key.
func networkLetter(drive machine.Setting[string]) string {
	return strings.ToUpper(drive.Evidence.Key[strings.LastIndexByte(drive.Evidence.Key, '\\')+1:])
}

// judgeLetterD decides byol.drive-letter.d-free. What is found stands whatever else could not be read.
func judgeLetterD(l letters) requirement.Outcome {
	subject := func(reason requirement.Reason, where string) requirement.Subject {
		return driveSubject("D", reason, where)
	}
	for _, n := range l.Network {
		if networkLetter(n) == "D" {
			return requirement.Fail("D: is the network drive "+prose.Short(n.Value)+" of a user.", n.Evidence).
				About(subject(requirement.ReasonMapped, n.Value))
		}
	}
	for _, a := range l.Aliases {
		if strings.EqualFold(a.Evidence.Value, "D:") {
			return requirement.Fail("D: stands for "+prose.Short(a.Value)+" (DOS Devices).", a.Evidence).
				About(subject(requirement.ReasonPresent, a.Value))
		}
	}
	var gone []requirement.Evidence
	for _, mount := range l.Mounts {
		if mount.Letter != "D" {
			continue
		}
		dated := append([]requirement.Evidence{mount.Evidence}, mount.Dates...)
		about := subject(requirement.ReasonPresent, mount.Device)
		part := l.part(mount)
		switch {
		case part != nil:
			return requirement.Fail("D: is "+part.Name+".", dated...).About(about)
		case mount.Disk:
			return requirement.Unknown("D: belongs to a disk that is not in the images ("+prose.Short(mount.Device)+
				"). Give its image too, or remove the letter with mountvol /R.", dated...)
		case mount.Presence == deviceGone:
			gone = dated
		case mount.optical():
			return requirement.Warn("D: is a CD drive.", dated...).About(about)
		default:
			return requirement.Warn("D: is "+prose.Short(mount.Device)+".", dated...).About(about)
		}
	}
	switch {
	case l.Err != nil:
		return requirement.Unreadable(l.Err, l.Keys...)
	case gone != nil:
		return requirement.Pass("D: belongs to a device that was removed.", gone...)
	}
	return requirement.Pass("No drive has the letter D.", l.Keys...)
}

var byolNetSingle = entry{
	Requirement: recommended("byol.net.single", "", "The computer should have only one network adapter.", sectionImport,
		explanation{
			Reads: netDHCP.Reads,
			Live:  "Get-NetAdapter",
			Fix:   "Remove the other network adapters from the virtual machine.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		adapters, err := m.readAdapters()
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeNetSingle(adapters)
	},
}

func judgeNetSingle(adapters []Adapter) requirement.Outcome {
	var names []string
	var evidence []requirement.Evidence
	var about []requirement.Subject
	for _, a := range adapters {
		if !a.Removed && !a.Software && !a.Old {
			names, evidence = append(names, a.title()), append(evidence, a.DHCP.Evidence)
			about = append(about, requirement.Subject{Kind: requirement.SubjectAdapter, ID: a.GUID, Name: a.Name,
				Reason: requirement.ReasonExtra})
		}
	}
	if len(names) > 1 {
		return requirement.Warn(fmt.Sprintf("The computer has %d network adapters: %s.", len(names), prose.Some(names)),
			evidence...).About(about...)
	}
	if len(names) == 0 {
		return requirement.Pass("The computer has no network adapter.", evidence...)
	}
	return requirement.Pass("The computer has one network adapter: "+names[0]+".", evidence...)
}
