package windows

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyMountedDevices = `HKLM\SYSTEM\MountedDevices`

var drivesOnlyCD = entry{
	Requirement: required("win.drives.only-c-d", "AdditionalDrivesPresent",
		"The WorkSpace must have only drives C and D. Virtual and network drives count too.",
		sectionTips+": Only the C and D drives can be present", explanation{
			Reads: `SYSTEM: MountedDevices, compared with the partitions of the images, Control\Session Manager\DOS ` +
				`Devices, Control\AutoAttachVirtualDisks, page files, and drivers that create drives. The user's ` +
				`Network key and the drive maps of Group Policy. Commands that create drives (subst, net use, ` +
				`Mount-DiskImage, …) and run at startup or sign-in: Run keys, services, scheduled tasks, Startup ` +
				`folders, policy scripts, Active Setup, Winlogon, and the scripts on the volumes that they run. ` +
				`The letter of a disk that is not in the images may be stale. It is named, and a pass is inferred.`,
			Live: "Get-CimInstance Win32_LogicalDisk | Select-Object DeviceID, DriveType, ProviderName",
			Fix: "Remove the drive: use diskmgmt.msc for a volume, net use X: /delete for a network drive, and the " +
				"settings of the program for a virtual drive.",
		}),
	Judge: (*Machine).decideDrives,
}

// Partition is a partition of one of the images.
type Partition struct {
	Device string // its identity, see DeviceMBR and DeviceGPT
	Name   string // for messages: "win-root.img, partition 2"
}

// DeviceMBR is the identity that MountedDevices gives a partition of an MBR
// disk: the disk's signature and the partition's offset in bytes.
func DeviceMBR(signature uint32, offset int64) string {
	return fmt.Sprintf("MBR %08X offset %d", signature, offset)
}

// DeviceGPT is the identity that MountedDevices gives a partition of a GPT
// disk: its unique GUID, in the byte order of the disk.
func DeviceGPT(guid [16]byte) string {
	return fmt.Sprintf("GPT {%08X-%04X-%04X-%X-%X}", binary.LittleEndian.Uint32(guid[:]),
		binary.LittleEndian.Uint16(guid[4:]), binary.LittleEndian.Uint16(guid[6:]), guid[8:10], guid[10:])
}

// A Mount is a drive letter in MountedDevices.
type Mount struct {
	Letter   string // "E"
	Device   string // DeviceMBR, DeviceGPT, or the path of the device
	Disk     bool   // Device is one of the first two
	Evidence requirement.Evidence

	Presence devicePresence         // of a CD-ROM drive
	Dates    []requirement.Evidence // that show it
}

// parseMount decodes the data of a drive letter: 12 bytes are the signature of
// an MBR disk and the offset of the partition, "DMIO:ID:" stands before the
// GUID of a GPT partition, anything else is the path of a device in UTF-16.
func parseMount(data []byte) (device string, disk bool) {
	switch {
	case len(data) == 12:
		return DeviceMBR(binary.LittleEndian.Uint32(data), int64(binary.LittleEndian.Uint64(data[4:]))), true
	case len(data) == 24 && string(data[:8]) == "DMIO:ID:":
		return DeviceGPT([16]byte(data[8:])), true
	}
	return utf16le.Decode(data), false
}

// Drives is what the registry, and the commands that run at startup, show of drive letters.
type Drives struct {
	Mounts    []Mount
	Aliases   []machine.Setting[string] // DOS Devices that are drive letters
	Attached  []requirement.Evidence
	PageFiles machine.Setting[[]string]
	Makers    []machine.Service     // enabled drivers of programs that make drives
	Maps      []driveMap            // of Group Policy
	Commands  []machine.DriveMaking // that run at every start or logon
	Remote    []string              // scripts that are not among the images and run then
	Err       error                 // why there may be more of them; nil if all was read
}

func (m *Machine) readDrives() Drives {
	var d Drives
	for _, read := range []func(*Drives) error{
		m.readLetters, m.readAliases, m.readAttached, m.readMakers,
		func(d *Drives) (err error) {
			d.PageFiles, err = m.MultiAt(keySessionManager+`\Memory Management`, "PagingFiles")
			return err
		},
		m.readMachineMaps,
		func(d *Drives) (err error) { d.Commands, d.Remote, err = m.MachineStarts().Makes(); return err },
	} {
		if err := read(&d); err != nil && d.Err == nil {
			d.Err = err
		}
	}
	return d
}

// readLetters reads MountedDevices, and of CD-ROM drives whether they are there.
func (m *Machine) readLetters(d *Drives) error {
	return m.readLettersOf(d, func(mount Mount) bool { return mount.Letter != "D" && mount.optical() })
}

// readLettersOf reads MountedDevices, and of the devices to ask for that are no partitions whether they are there.
func (m *Machine) readLettersOf(d *Drives, asked func(Mount) bool) error {
	var err error
	if d.Mounts, err = m.readMounts(); err != nil {
		return err
	}
	for i, mount := range d.Mounts {
		instance := instanceOf(mount.Device)
		if mount.Disk || instance == "" || mount.Letter == "C" || !asked(mount) {
			continue
		}
		presence, evidence, err := m.devicePresence(instance)
		if err != nil {
			return err
		}
		d.Mounts[i].Presence, d.Mounts[i].Dates = presence, evidence
	}
	return nil
}

// instanceOf is the name below Enum of the device that a path names:
// \??\SCSI#CdRom&Ven_X#1&2#{interface}; "" if it names none.
func instanceOf(device string) string {
	name := strings.TrimPrefix(device, `\??\`)
	i := strings.LastIndex(name, "#{")
	if i < 0 || strings.Count(name[:i], "#") != 2 {
		return ""
	}
	return strings.ReplaceAll(name[:i], "#", `\`)
}

// optical says whether the letter is that of a CD-ROM or DVD drive.
func (m Mount) optical() bool {
	return strings.Contains(strings.ToUpper(m.Device), "#CDROM") ||
		strings.Contains(strings.ToUpper(m.Device), "{53F56308-")
}

// virtualOptical are what drivers of virtual CD drives call their devices; the
// first is that of Windows, which makes one for an image that is mounted.
var virtualOptical = []string{"VEN_MSFT&PROD_VIRTUAL", "ELBY", "CLONEDRIVE", "VCLONE", "DTSOFT", "DAEMON", "DISCSOFT",
	"ALCOHOL", "A2F&", "WINCDEMU", "BAZIS", "POWERISO", "SCDEMU", "MAGICISO", "ISODRIVE", "PHANTOM", "IMDISK", "OSFM",
	"ARSENAL"}

// virtual says whether a program makes the CD drive: its name is that of one.
func (m Mount) virtual() bool {
	device := strings.ToUpper(m.Device)
	return slices.ContainsFunc(virtualOptical, func(name string) bool { return strings.Contains(device, name) })
}

// notDriveD says why the volume with an identity cannot be drive D of a machine;
// "" if it can, or if that cannot be compared.
func notDriveD(mounts []Mount, identity string) string {
	if identity == "" {
		return ""
	}
	other := ""
	for _, mount := range mounts {
		switch {
		case mount.Letter == "D" && mount.Disk && mount.Device == identity:
			return ""
		case mount.Disk && mount.Device == identity && other == "":
			other = mount.Letter
		}
	}
	for _, mount := range mounts {
		switch {
		case mount.Letter != "D":
		case mount.Disk:
			return fmt.Sprintf("drive D of this computer is %s, but the user image is %s and may be of another computer",
				mount.Device, identity)
		case other != "":
			return fmt.Sprintf("drive D of this computer is the device %s, but the user image is drive %s",
				prose.Short(mount.Device), other)
		default:
			return fmt.Sprintf("drive D of this computer is the device %s, but the user image is %s",
				prose.Short(mount.Device), identity)
		}
	}
	if other != "" && other != "D" {
		return fmt.Sprintf("the user image is drive %s of this computer", other)
	}
	return ""
}

func (m *Machine) readAliases(d *Drives) error {
	aliases, err := m.Key(keySessionManager + `\DOS Devices`)
	if err != nil || !aliases.Exists() {
		return err
	}
	values, err := aliases.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", aliases.Evidence.Path, err)
	}
	for _, v := range values {
		if !machine.IsLetter(v.Name()) {
			continue
		}
		s, err := m.Text(aliases, v.Name())
		if err != nil {
			return err
		}
		if s.Present {
			d.Aliases = append(d.Aliases, s)
		}
	}
	return nil
}

func (m *Machine) readAttached(d *Drives) error {
	attached, err := m.SubkeysAt(machine.KeyControl + `\AutoAttachVirtualDisks`)
	for _, k := range attached {
		d.Attached = append(d.Attached, k.Evidence)
	}
	return err
}

// readMakers finds the drivers by families: their names hold the version.
func (m *Machine) readMakers(d *Drives) error {
	services, err := m.Services()
	for _, s := range services {
		switch {
		case s.Deleted || s.Start.Present && s.Start.Value == machine.StartDisabled:
		case s.MakesDrives():
			d.Makers = append(d.Makers, s)
		case err == nil:
			err = m.UnreadCommand(s)
		}
	}
	return err
}

func (m *Machine) readMounts() ([]Mount, error) {
	k, err := m.Key(keyMountedDevices)
	if err != nil {
		return nil, err
	}
	if !k.Exists() {
		return nil, fmt.Errorf("%s: key %s is missing", k.Evidence.Path, k.Evidence.Key)
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	var mounts []Mount
	for _, v := range values {
		letter, ok := strings.CutPrefix(strings.ToUpper(v.Name()), `\DOSDEVICES\`)
		if !ok || !machine.IsLetter(letter) {
			continue
		}
		s, err := m.Binary(k, v.Name())
		if err != nil {
			return nil, err
		}
		mount := Mount{Letter: letter[:1], Evidence: s.Evidence}
		mount.Device, mount.Disk = parseMount(s.Value)
		mount.Evidence.Data = mount.Device
		mounts = append(mounts, mount)
	}
	return mounts, nil
}

// networkDrives returns the drives that a user's profile maps at every logon. A
// drive without a path is among them: it is not known where it leads.
func (m *Machine) networkDrives(p machine.Profile) ([]machine.Setting[string], requirement.Evidence, error) {
	k, err := m.Key(`HKU\` + p.SID + `\Network`)
	if err != nil {
		return nil, k.Evidence, err
	}
	keys, err := m.Subkeys(k)
	if err != nil {
		return nil, k.Evidence, err
	}
	var drives []machine.Setting[string]
	for _, letter := range keys {
		path, err := m.Text(letter, "RemotePath")
		if err != nil {
			return nil, k.Evidence, err
		}
		if len(letter.Name()) == 1 {
			drives = append(drives, path)
		}
	}
	return drives, k.Evidence, nil
}

// A driveMap is a drive that Group Policy maps.
type driveMap struct {
	Letter, Path string
	Evidence     requirement.Evidence
}

// Bounds of the search for drive maps: real machines have a few folders a
// policy, and files of a few KiB.
const (
	maxDrivesXML = 1 << 20
	maxDriveMaps = 10_000
)

// readMachineMaps reads what the machine keeps of the preferences of Group
// Policy, for every user.
func (m *Machine) readMachineMaps(d *Drives) error {
	env, err := m.Environment()
	if err != nil {
		return err
	}
	d.Maps, err = m.driveMaps(env["PROGRAMDATA"] + `\Microsoft\Group Policy\History`)
	return err
}

// driveMaps reads the preferences of applied Group Policy below a folder.
func (m *Machine) driveMaps(folder string) ([]driveMap, error) {
	var maps []driveMap
	seen := map[fact.ID]bool{}
	err := m.Walk(folder, machine.MaxPolicyFiles, func(v *machine.Drive, name string) error {
		if !strings.EqualFold(path.Base(name), "Drives.xml") {
			return nil
		}
		found, f, err := machine.ReadParsed(v, name, maxDrivesXML, "Drives.xml", parseDrivesXML)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if seen[f.ID] {
			return nil
		}
		seen[f.ID] = true
		for _, g := range found {
			g.Evidence = f.Evidence
			g.Evidence.Data = prose.Short(g.Letter + ": " + g.Path)
			maps = append(maps, g)
		}
		if len(maps) > maxDriveMaps {
			return fmt.Errorf("%s: more than %d drive maps: %w", name, maxDriveMaps, machine.ErrTooLarge)
		}
		return nil
	})
	return maps, err
}

// parseDrivesXML reads the drive maps of Group Policy Preferences ([MS-GPPREF]
// 2.2.1.3): those that delete a drive are left out.
func parseDrivesXML(data []byte) ([]driveMap, error) {
	var doc struct {
		Drives []struct {
			Properties struct {
				Action string `xml:"action,attr"`
				Path   string `xml:"path,attr"`
				Letter string `xml:"letter,attr"`
			} `xml:"Properties"`
		} `xml:"Drive"`
	}
	if err := machine.DecodeXML(data, &doc); err != nil {
		return nil, err
	}
	var maps []driveMap
	for _, d := range doc.Drives {
		if d.Properties.Action != "D" && d.Properties.Letter != "" {
			maps = append(maps, driveMap{Letter: strings.TrimSuffix(d.Properties.Letter, ":"),
				Path: d.Properties.Path})
		}
	}
	return maps, nil
}

func (m *Machine) decideDrives() requirement.Outcome {
	drives := m.readDrives()
	m.noteRemote(drives.Remote)
	ofMachine, evidence := judgeDrives(drives, m.in.Partitions)
	if ofMachine.Status == requirement.Failed {
		return ofMachine
	}
	user := m.decideUserDrives(ofMachine, evidence)
	for _, status := range []requirement.Status{requirement.Failed, requirement.Warning} {
		for _, o := range []requirement.Outcome{ofMachine, user} {
			if o.Status == status {
				return o
			}
		}
	}
	if ofMachine.Status == requirement.Undetermined {
		return ofMachine
	}
	return user
}

// decideUserDrives judges the drives that the user's profile makes at every
// logon: where there are none, what was found of the machine's stands.
func (m *Machine) decideUserDrives(ofMachine requirement.Outcome, looked []requirement.Evidence) requirement.Outcome {
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err, looked...)
	}
	if w.Profile == nil {
		return requirement.Unreadable(errNoUser, looked...)
	}
	drives, key, err := m.networkDrives(*w.Profile)
	if err != nil {
		return requirement.Unreadable(fact.Because("cannot read the user's network drives", err), looked...)
	}
	if len(drives) > 0 {
		profiles, err := m.Profiles()
		if err != nil {
			return requirement.Unreadable(err, looked...)
		}
		return judgeNetworkDrives(drives, cmp.Or(w.User, profiles.UserName(*w.Profile), "the user"))
	}
	own, err := m.readUserDrives(*w.Profile)
	if err != nil {
		own.Err = fact.Because("cannot read what runs when the user signs in", err)
	}
	o, _ := judgeDrives(own, nil)
	if o.Status != requirement.Passed {
		return o
	}
	if len(own.Remote) > 0 {
		if ofMachine.Status == requirement.Passed {
			ofMachine.Basis = requirement.Inferred
			ofMachine = ofMachine.Also(machine.SomeRemote(own.Remote))
		}
		m.noteRemote(own.Remote)
	}
	return w.Inferred(ofMachine.With(key))
}

// readUserDrives reads what creates drives when the user signs in, except the network drives of the profile.
func (m *Machine) readUserDrives(p machine.Profile) (Drives, error) {
	var d Drives
	var err, moreErr error
	d.Commands, d.Remote, err = m.UserStarts(p).Makes()
	d.Maps, moreErr = m.driveMaps(p.Path + `\AppData\Local\Microsoft\Group Policy\History`)
	return d, fact.Join(err, moreErr)
}

// noteRemote notes scripts that run and are not in the images.
func (m *Machine) noteRemote(remote []string) {
	if len(remote) > 0 {
		m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Source: machine.RoleRoot,
			Message: machine.SomeRemote(remote)})
	}
}

// judgeNetworkDrives judges the network drives of a user with that name.
func judgeNetworkDrives(drives []machine.Setting[string], user string) requirement.Outcome {
	var list, lost, commands []string
	var evidence, lostEvidence []requirement.Evidence
	var about, lostAbout []requirement.Subject
	for _, d := range drives {
		letter := strings.ToUpper(d.Evidence.Key[len(d.Evidence.Key)-1:])
		commands = append(commands, "net use "+letter+": /delete")
		if !d.Present {
			lost, lostEvidence = append(lost, letter+":"), append(lostEvidence, d.Evidence)
			lostAbout = append(lostAbout, driveSubject(letter, requirement.ReasonDamaged, ""))
			continue
		}
		list = append(list, fmt.Sprintf("%s: (%s)", letter, prose.Short(d.Value)))
		evidence = append(evidence, d.Evidence)
		about = append(about, driveSubject(letter, requirement.ReasonMapped, d.Value))
	}
	o := requirement.Fail("The user has "+prose.Count(len(list), "network drive", "network drives")+": "+
		prose.Some(list), evidence...).About(about...)
	if len(list) == 0 {
		o = requirement.Warn("No path is set for "+prose.Count(len(lost), "network drive", "network drives")+
			" of the user ("+prose.Some(lost)+")", lostEvidence...).About(lostAbout...)
	}
	o.Remediation = fmt.Sprintf("As %s, run %s.", user, prose.Some(commands))
	return o
}

// driveSubject is a drive as a finding names it to programs.
func driveSubject(letter string, reason requirement.Reason, where string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectDrive, ID: strings.ToUpper(strings.TrimSuffix(letter, ":")),
		Reason: reason, Value: where}
}

// driveSigns are things that show a drive, with what removes each of them.
type driveSigns struct {
	names, fixes []string
	evidence     []requirement.Evidence
	about        []requirement.Subject
}

func (s *driveSigns) add(name, fix string, about requirement.Subject, evidence ...requirement.Evidence) {
	s.names, s.evidence, s.about = append(s.names, name), append(s.evidence, evidence...), append(s.about, about)
	if !slices.Contains(s.fixes, fix) {
		s.fixes = append(s.fixes, fix)
	}
}

// on completes an outcome about the signs.
func (s *driveSigns) on(o requirement.Outcome) requirement.Outcome {
	const most = 5
	o.Remediation = strings.Join(s.fixes[:min(len(s.fixes), most)], " ")
	return o.With(s.evidence...).About(s.about...)
}

// judgeDrives decides what the machine's part of the registry says for
// win.drives.only-c-d, and returns the evidence it looked at. What is found
// stands whatever else could not be read.
func judgeDrives(d Drives, partitions []Partition) (requirement.Outcome, []requirement.Evidence) {
	var present, possible driveSigns
	var stale, elsewhere []string
	var evidence []requirement.Evidence
	for _, mount := range d.Mounts {
		i := slices.IndexFunc(partitions, func(p Partition) bool { return mount.Disk && p.Device == mount.Device })
		switch {
		case mount.Letter == "C" || mount.Letter == "D":
			evidence = append(evidence, mount.Evidence)
		case i >= 0:
			present.add(fmt.Sprintf("%s: is %s", mount.Letter, partitions[i].Name),
				fmt.Sprintf("Open diskmgmt.msc and remove the drive letter %s:.", mount.Letter),
				driveSubject(mount.Letter, requirement.ReasonPresent, partitions[i].Name), mount.Evidence)
		case mount.optical() && mount.Presence == deviceHere && mount.virtual():
			present.add(mount.Letter+": is a virtual CD drive",
				fmt.Sprintf("Eject %s: and uninstall the program that creates this virtual CD drive.", mount.Letter),
				driveSubject(mount.Letter, requirement.ReasonPresent, mount.Device),
				append([]requirement.Evidence{mount.Evidence}, mount.Dates...)...)
		case mount.optical() && mount.Presence == deviceGone:
			mount.Evidence.Note = "the CD drive was removed"
			stale = append(stale, mount.Letter)
			evidence = append(append(evidence, mount.Evidence), mount.Dates...)
		case mount.Letter == "A" || mount.Letter == "B":
			mount.Evidence.Note = "the letter of a floppy drive"
			evidence = append(evidence, mount.Evidence)
		default:
			mount.Evidence.Note = "of a disk or device that is not in the images"
			elsewhere = append(elsewhere, mount.Letter)
			evidence = append(append(evidence, mount.Evidence), mount.Dates...)
		}
	}
	for _, a := range d.Aliases {
		present.add(fmt.Sprintf("%s stands for %s", a.Evidence.Value, prose.Short(a.Value)),
			fmt.Sprintf(`Delete the value %s in HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\DOS Devices and `+
				`restart.`, a.Evidence.Value),
			driveSubject(a.Evidence.Value, requirement.ReasonPresent, a.Value), a.Evidence)
	}
	for _, g := range d.Maps {
		if letter := prose.Short(g.Letter); !fold.Contains([]string{"C", "D"}, g.Letter) {
			possible.add(fmt.Sprintf("Group Policy maps %s: to %s", letter, prose.Short(g.Path)),
				fmt.Sprintf("Remove the drive map %s: from Group Policy (User Configuration, Preferences, Windows "+
					"Settings, Drive Maps).", letter),
				driveSubject(g.Letter, requirement.ReasonPolicy, g.Path), g.Evidence)
		}
	}
	for _, ev := range d.Attached {
		possible.add("a virtual disk is attached at every start",
			fmt.Sprintf(`Delete the key HKLM\SYSTEM\CurrentControlSet\Control\AutoAttachVirtualDisks\%s and detach the `+
				`virtual disk in diskmgmt.msc.`, prose.Short(ev.Key[strings.LastIndexByte(ev.Key, '\\')+1:])),
			requirement.Subject{Kind: requirement.SubjectSetting, ID: ev.Key, Reason: requirement.ReasonEnabled}, ev)
	}
	for _, p := range d.PageFiles.Value {
		// "?:\pagefile.sys" leaves the drive to Windows.
		if len(p) > 1 && p[1] == ':' && !fold.Contains([]string{"C", "D", "?"}, p[:1]) {
			drive := strings.ToUpper(p[:2])
			possible.add(drive+" has a page file",
				fmt.Sprintf("Run sysdm.cpl, open Advanced, Performance Settings, Advanced, Virtual memory, and remove the "+
					"page file of %s.", drive),
				driveSubject(p[:1], requirement.ReasonPresent, p), d.PageFiles.Evidence)
		}
	}
	for _, s := range d.Makers {
		name := prose.Short(s.Name)
		possible.add("the driver "+name+" creates drives",
			fmt.Sprintf("Uninstall the program of the driver %s, or disable its drives in its settings.", name),
			s.Subject(requirement.ReasonEnabled, ""), s.Start.Evidence)
	}
	for _, c := range d.Commands {
		possible.add(fmt.Sprintf("%s creates a drive (%s)", c.Who, c.What), fmt.Sprintf("Remove the command from %s.", c.Who),
			requirement.Subject{Kind: requirement.SubjectProgram, ID: c.Who, Reason: requirement.ReasonEnabled,
				Value: c.What}, c.Evidence)
	}
	switch {
	case len(present.names) > 0:
		return present.on(requirement.Fail("Drives other than C and D are present: " + prose.Some(present.names))), evidence
	case len(possible.names) > 0:
		return possible.on(requirement.Warn("Drives other than C and D may be present: " +
			prose.Some(possible.names))), evidence
	case d.Err != nil:
		return requirement.Unreadable(d.Err, evidence...), evidence
	}
	o := requirement.Pass("Only C and D are present", evidence...)
	if len(stale) > 0 {
		o = o.Also("Letters of removed CD drives: " + prose.Some(stale))
	}
	if len(elsewhere) > 0 {
		o.Basis = requirement.Inferred
		o = o.Also("Letters of disks and devices that are not in the images: " + prose.Some(elsewhere))
	}
	if len(d.Remote) > 0 {
		o.Basis = requirement.Inferred
		o = o.Also(machine.SomeRemote(d.Remote))
	}
	return o, evidence
}
