package windows

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyMountedDevices = `HKLM\SYSTEM\MountedDevices`

var drivesOnlyCD = entry{
	Requirement: required("win.drives.only-c-d", "AdditionalDrivesPresent", "only drives C and D are present, virtual and network drives included", sectionTips+": Only the C and D drives can be present", explanation{
		Reads: `SYSTEM: MountedDevices, compared with the partitions of the images; Control\Session Manager\DOS Devices, Control\AutoAttachVirtualDisks, the page files, drivers that make drives; the user's Network key; drive maps of Group Policy; commands that make drives (subst, net use, Mount-DiskImage, …) in all that runs at a start or sign-in: Run keys, services, scheduled tasks, Startup folders, policy scripts, Active Setup, Winlogon, and the scripts on the volumes that these run. An entry of a disk that is not among the images may be stale: it is named, and a pass is inferred.`,
		Live:  "Get-CimInstance Win32_LogicalDisk | Select-Object DeviceID, DriveType, ProviderName",
		Fix:   "Remove the drive: diskmgmt.msc for a volume, net use X: /delete for a network drive, the program's settings for a virtual one.",
	}),
	Judge: (*Machine).decideDrives,
}

// Partition is a partition of one of the images.
type Partition struct {
	Device string // its identity, see DeviceMBR and DeviceGPT
	Name   string // how a person tells it apart: "win-root.img, partition 2"
}

// DeviceMBR is the identity that MountedDevices gives a partition of an MBR
// disk: the disk's signature and the partition's offset in bytes.
func DeviceMBR(signature uint32, offset int64) string {
	return fmt.Sprintf("MBR %08X offset %d", signature, offset)
}

// DeviceGPT is the identity that MountedDevices gives a partition of a GPT
// disk: its unique GUID, as it lies on the disk.
func DeviceGPT(guid [16]byte) string {
	return fmt.Sprintf("GPT {%08X-%04X-%04X-%X-%X}", le.Uint32(guid[:]), le.Uint16(guid[4:]), le.Uint16(guid[6:]), guid[8:10], guid[10:])
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
		return DeviceMBR(le.Uint32(data), int64(le.Uint64(data[4:]))), true
	case len(data) == 24 && string(data[:8]) == "DMIO:ID:":
		return DeviceGPT([16]byte(data[8:])), true
	}
	return utf16le.Decode(data), false
}

// Drives is what the registry and what starts say of drive letters.
type Drives struct {
	Mounts    []Mount
	Aliases   []Setting[string] // DOS Devices that are drive letters
	Attached  []requirement.Evidence
	PageFiles Setting[[]string]
	Makers    []Service     // enabled drivers of programs that make drives
	Maps      []driveMap    // of Group Policy
	Commands  []driveMaking // that run at every start or logon
	Remote    []string      // scripts that are not among the images and run then
	Err       error         // why there may be more of them; nil if all was read
}

func (m *Machine) readDrives() Drives {
	var d Drives
	for _, read := range []func(*Drives) error{
		m.readLetters, m.readAliases, m.readAttached, m.readMakers,
		func(d *Drives) (err error) {
			d.PageFiles, err = m.multiAt(keySessionManager+`\Memory Management`, "PagingFiles")
			return err
		},
		m.readMachineMaps,
		func(d *Drives) (err error) { d.Commands, d.Remote, err = m.MachineStarts().makes(); return err },
	} {
		if err := read(&d); err != nil && d.Err == nil {
			d.Err = err
		}
	}
	return d
}

// readLetters reads MountedDevices, and of CD-ROM drives whether they are there.
func (m *Machine) readLetters(d *Drives) error {
	var err error
	if d.Mounts, err = m.readMounts(); err != nil {
		return err
	}
	for i, mount := range d.Mounts {
		instance := instanceOf(mount.Device)
		if mount.Disk || instance == "" || mount.Letter == "C" || mount.Letter == "D" || !mount.optical() {
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
	return strings.Contains(strings.ToUpper(m.Device), "#CDROM") || strings.Contains(strings.ToUpper(m.Device), "{53F56308-")
}

// virtualOptical are what drivers of virtual CD drives call their devices; the
// first is that of Windows, which makes one for an image that is mounted.
var virtualOptical = []string{"VEN_MSFT&PROD_VIRTUAL", "ELBY", "CLONEDRIVE", "VCLONE", "DTSOFT", "DAEMON", "DISCSOFT", "ALCOHOL", "A2F&", "WINCDEMU", "BAZIS", "POWERISO", "SCDEMU", "MAGICISO", "ISODRIVE", "PHANTOM", "IMDISK", "OSFM", "ARSENAL"}

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
			return fmt.Sprintf("drive D of this machine is %s, and the user image is %s, perhaps of another machine", mount.Device, identity)
		case other != "":
			return fmt.Sprintf("drive D of this machine is the device %s, and the user image is drive %s", short(mount.Device), other)
		default:
			return fmt.Sprintf("drive D of this machine is the device %s, and the user image is %s", short(mount.Device), identity)
		}
	}
	if other != "" && other != "D" {
		return fmt.Sprintf("the user image is drive %s of this machine", other)
	}
	return ""
}

func (m *Machine) readAliases(d *Drives) error {
	aliases, err := m.key(keySessionManager + `\DOS Devices`)
	if err != nil || !aliases.Exists() {
		return err
	}
	values, err := aliases.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", aliases.Evidence.Path, err)
	}
	for _, v := range values {
		if !isLetter(v.Name()) {
			continue
		}
		s, err := m.text(aliases, v.Name())
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
	attached, err := m.subkeysAt(keyControl + `\AutoAttachVirtualDisks`)
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
		case s.Deleted || s.Start.Present && s.Start.Value == startDisabled:
		case s.makesDrives():
			d.Makers = append(d.Makers, s)
		case err == nil:
			err = m.unreadCommand(s)
		}
	}
	return err
}

// makesDrives says whether a service or driver belongs to a program that makes
// drives, by its name, the name of its file, or the folder of the program.
func (s Service) makesDrives() bool {
	path := strings.ToLower(strings.ReplaceAll(s.ImagePath.Value, "/", `\`))
	if after, ok := strings.CutPrefix(strings.TrimSpace(path), `"`); ok {
		path, _, _ = strings.Cut(after, `"`)
	} else if end := programEnd(path); end > 0 {
		path = path[:end]
	}
	folder, file := "", path
	if i := strings.LastIndexByte(path, '\\'); i >= 0 {
		folder, file = path[:i+1], path[i+1:]
	}
	for _, family := range driveMakers {
		if hasPrefixFold(s.Name, family) || strings.HasPrefix(file, family) {
			return true
		}
	}
	return slices.ContainsFunc(driveMakerFolders, func(name string) bool { return strings.Contains(folder, `\`+name+`\`) })
}

// driveMaking is a command line that gives something a drive letter.
type driveMaking struct {
	Who      string // "task Backup"
	What     string // "subst X:"
	Evidence requirement.Evidence
}

// driveMakers are the beginnings of the names of drivers, in lower case, that
// give clouds, servers, containers and images of disks a letter.
var driveMakers = []string{
	"googledrivefs", "winfsp", "cbfs", "cbdisk", "dokan", "pfmfs", "raidrive", "netdrive", "nd3", "expandrive", "mountainduck", "cloudmounter", "webdrive", "rffsd", "pclouddrive", "coveclouddrive", "covefs_disk", "clouddrive_",
	"workdocsdrive", "tntdrive", "egnytedrive", "sftpdrive", "sftpnetdrive", // of clouds and servers
	"veracrypt", "truecrypt", "bcfnt", "freeotfe", "gostcrypt", "ciphershed", // of encrypted containers
	"imdisk", "awealloc", "deviodrv", "osfmdisk", "osfmount", "phdskmnt", "aim_", "vdkdrv", "filedisk", "mcdbus", "gizmodrv", "bazisvirtualcdbus", "bazisportable", "vclone", "elbycd", "scdemu", "isodrive", "isodrv",
	"dtsoftbus", "dtscsibus", "dtlitescsibus", "dtliteusbbus", "dtproscsibus", "dtultrascsibus", "dtultrausbbus", "dtcl", "vax347", "a347", "sptd", "phantombus", "nvcdbus", "vcdrom", "vcddrv", // of images of disks
	"spvdbus", "spvve", "primoramdisk", "fancyrd", "ramdiskve", "ramdriv", "osfrd", "starport", "sftvol", "sftfs", // of memory, and of App-V 4
}

// driveMakerFolders are the folders of such programs, in lower case.
var driveMakerFolders = []string{
	"drive file stream", "winfsp", "dokan", "dokany", "imdisk", "osfmount", "arsenal image mounter", "arsenal-image-mounter", "veracrypt", "truecrypt", "raidrive", "netdrive", "netdrive2", "netdrive3", "expandrive", "mountain duck",
	"cloudmounter", "webdrive", "pcloud drive", "tntdrive", "virtualclonedrive", "elaborate bytes", "daemon tools lite", "daemon tools pro", "daemon tools ultra", "poweriso", "ultraiso", "wincdemu", "magicdisc", "gizmo", "alcohol 120", "alcohol 52",
	"pismo file mount audit package", "stablebit", "amazon workdocs drive", "softperfect ram disk", "primo ramdisk", "sshfs-win", "rclone",
}

func (m *Machine) readMounts() ([]Mount, error) {
	k, err := m.key(keyMountedDevices)
	if err != nil {
		return nil, err
	}
	if !k.Exists() {
		return nil, fmt.Errorf("%s: key %s not found", k.Evidence.Path, k.Evidence.Key)
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	var mounts []Mount
	for _, v := range values {
		letter, ok := strings.CutPrefix(strings.ToUpper(v.Name()), `\DOSDEVICES\`)
		if !ok || !isLetter(letter) {
			continue
		}
		s, err := m.binary(k, v.Name())
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

func isLetter(s string) bool {
	return len(s) == 2 && s[1] == ':' && (s[0]|0x20) >= 'a' && (s[0]|0x20) <= 'z'
}

// networkDrives returns the drives that a user's profile maps at every logon. A
// drive without a path is among them: it is not known where it leads.
func (m *Machine) networkDrives(p Profile) ([]Setting[string], requirement.Evidence, error) {
	k, err := m.key(`HKU\` + p.SID + `\Network`)
	if err != nil {
		return nil, k.Evidence, err
	}
	keys, err := m.subkeys(k)
	if err != nil {
		return nil, k.Evidence, err
	}
	var drives []Setting[string]
	for _, letter := range keys {
		path, err := m.text(letter, "RemotePath")
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
	maxPolicyFiles = 4096
	maxDrivesXML   = 1 << 20
	maxDriveMaps   = 10_000
)

// readMachineMaps reads what the machine keeps of the preferences of Group
// Policy, for every user.
func (m *Machine) readMachineMaps(d *Drives) error {
	env, err := m.env()
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
	err := m.walk(folder, maxPolicyFiles, func(v *volume, name string) error {
		if !strings.EqualFold(path.Base(name), "Drives.xml") {
			return nil
		}
		found, f, err := readParsed(v, name, maxDrivesXML, "Drives.xml", parseDrivesXML)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if seen[f.ID] {
			return nil
		}
		seen[f.ID] = true
		for _, g := range found {
			g.Evidence = f.Evidence
			g.Evidence.Data = short(g.Letter + ": " + g.Path)
			maps = append(maps, g)
		}
		if len(maps) > maxDriveMaps {
			return fmt.Errorf("%s: more than %d drive maps: %w", name, maxDriveMaps, errTooLarge)
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
	if err := decodeXML(data, &doc); err != nil {
		return nil, err
	}
	var maps []driveMap
	for _, d := range doc.Drives {
		if d.Properties.Action != "D" && d.Properties.Letter != "" {
			maps = append(maps, driveMap{Letter: strings.TrimSuffix(d.Properties.Letter, ":"), Path: d.Properties.Path})
		}
	}
	return maps, nil
}

func (m *Machine) decideDrives() requirement.Outcome {
	drives := m.readDrives()
	m.noteRemote(drives.Remote)
	machine, evidence := judgeDrives(drives, m.in.Partitions)
	if machine.Status == requirement.Failed {
		return machine
	}
	user := m.decideUserDrives(machine, evidence)
	for _, status := range []requirement.Status{requirement.Failed, requirement.Warning} {
		for _, o := range []requirement.Outcome{machine, user} {
			if o.Status == status {
				return o
			}
		}
	}
	if machine.Status == requirement.Undetermined {
		return machine
	}
	return user
}

// decideUserDrives judges the drives that the user's profile makes at every
// logon: where there are none, what was found of the machine's stands.
func (m *Machine) decideUserDrives(machine requirement.Outcome, looked []requirement.Evidence) requirement.Outcome {
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err, looked...)
	}
	if w.Profile == nil {
		return requirement.Unknown("whose network drives count is not known: see win.profile.exists", looked...)
	}
	drives, key, err := m.networkDrives(*w.Profile)
	if err != nil {
		return requirement.Unreadable(fmt.Errorf("the user's network drives: %w", err), looked...)
	}
	if len(drives) > 0 {
		return judgeNetworkDrives(drives)
	}
	own, err := m.readUserDrives(*w.Profile)
	if err != nil {
		own.Err = fmt.Errorf("what the user starts at logon: %w", err)
	}
	o, _ := judgeDrives(own, nil)
	if o.Status != requirement.Passed {
		return o
	}
	if len(own.Remote) > 0 {
		if machine.Status == requirement.Passed {
			machine.Basis = requirement.Inferred
			machine.Message += "; " + someRemote(own.Remote)
		}
		m.noteRemote(own.Remote)
	}
	return w.inferred(machine.With(key))
}

// readUserDrives reads what a profile makes at every logon, beside its network
// drives.
func (m *Machine) readUserDrives(p Profile) (Drives, error) {
	var d Drives
	var err, moreErr error
	d.Commands, d.Remote, err = m.UserStarts(p).makes()
	d.Maps, moreErr = m.driveMaps(p.Path + `\AppData\Local\Microsoft\Group Policy\History`)
	return d, errors.Join(err, moreErr)
}

// noteRemote says that scripts run which are not among the images.
func (m *Machine) noteRemote(remote []string) {
	if len(remote) > 0 {
		m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Source: roleRoot, Message: someRemote(remote)})
	}
}

func judgeNetworkDrives(drives []Setting[string]) requirement.Outcome {
	var list, lost []string
	var evidence, lostEvidence []requirement.Evidence
	var about, lostAbout []requirement.Subject
	for _, d := range drives {
		letter := strings.ToUpper(d.Evidence.Key[len(d.Evidence.Key)-1:])
		if !d.Present {
			lost, lostEvidence = append(lost, letter+":"), append(lostEvidence, d.Evidence)
			lostAbout = append(lostAbout, driveSubject(letter, requirement.ReasonDamaged, ""))
			continue
		}
		list = append(list, letter+": "+short(d.Value))
		evidence = append(evidence, d.Evidence)
		about = append(about, driveSubject(letter, requirement.ReasonMapped, d.Value))
	}
	if len(list) == 0 {
		o := requirement.Warn("the user's network drives have no path: "+prose.Some(lost), lostEvidence...).About(lostAbout...)
		o.Remediation = "As the user: net use X: /delete for each of them."
		return o
	}
	o := requirement.Fail("the user maps "+prose.Count(len(list), "network drive", "network drives")+": "+prose.Some(list), evidence...).About(about...)
	o.Remediation = "As the user: net use X: /delete for each of them."
	return o
}

// driveSubject is a drive as a finding names it to programs.
func driveSubject(letter string, reason requirement.Reason, where string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectDrive, ID: strings.ToUpper(strings.TrimSuffix(letter, ":")), Reason: reason, Value: where}
}

// judgeDrives decides what the machine's part of the registry says for
// win.drives.only-c-d, and returns the evidence it looked at. What is found
// stands whatever else could not be read.
func judgeDrives(d Drives, partitions []Partition) (requirement.Outcome, []requirement.Evidence) {
	var present, doubtful, stale, elsewhere []string
	var presentEvidence, doubtfulEvidence, evidence []requirement.Evidence
	var presentAbout, doubtfulAbout []requirement.Subject
	for _, mount := range d.Mounts {
		i := slices.IndexFunc(partitions, func(p Partition) bool { return mount.Disk && p.Device == mount.Device })
		switch {
		case mount.Letter == "C" || mount.Letter == "D":
			evidence = append(evidence, mount.Evidence)
		case i >= 0:
			present = append(present, fmt.Sprintf("%s: is %s", mount.Letter, partitions[i].Name))
			presentEvidence = append(presentEvidence, mount.Evidence)
			presentAbout = append(presentAbout, driveSubject(mount.Letter, requirement.ReasonPresent, partitions[i].Name))
		case mount.optical() && mount.Presence == deviceHere && mount.virtual():
			present = append(present, mount.Letter+": is a virtual CD drive")
			presentEvidence = append(presentEvidence, append([]requirement.Evidence{mount.Evidence}, mount.Dates...)...)
			presentAbout = append(presentAbout, driveSubject(mount.Letter, requirement.ReasonPresent, mount.Device))
		case mount.optical() && mount.Presence == deviceGone:
			mount.Evidence.Note = "the CD drive was removed"
			stale = append(stale, mount.Letter+": (a CD drive that was removed)")
			evidence = append(append(evidence, mount.Evidence), mount.Dates...)
		case mount.Letter == "A" || mount.Letter == "B":
			mount.Evidence.Note = "the letter of a floppy drive"
			evidence = append(evidence, mount.Evidence)
		default:
			mount.Evidence.Note = "of a disk or device that is not among the images"
			elsewhere = append(elsewhere, mount.Letter+":")
			evidence = append(append(evidence, mount.Evidence), mount.Dates...)
		}
	}
	for _, a := range d.Aliases {
		present = append(present, fmt.Sprintf("%s stands for %s", a.Evidence.Value, short(a.Value)))
		presentEvidence = append(presentEvidence, a.Evidence)
		presentAbout = append(presentAbout, driveSubject(a.Evidence.Value, requirement.ReasonPresent, a.Value))
	}
	for _, g := range d.Maps {
		if !containsFold([]string{"C", "D"}, g.Letter) {
			doubtful = append(doubtful, fmt.Sprintf("%s: is mapped to %s by Group Policy", short(g.Letter), short(g.Path)))
			doubtfulEvidence = append(doubtfulEvidence, g.Evidence)
			doubtfulAbout = append(doubtfulAbout, driveSubject(g.Letter, requirement.ReasonPolicy, g.Path))
		}
	}
	for _, ev := range d.Attached {
		doubtful = append(doubtful, "a virtual disk is attached at every start")
		doubtfulEvidence = append(doubtfulEvidence, ev)
		doubtfulAbout = append(doubtfulAbout, requirement.Subject{Kind: requirement.SubjectSetting, ID: ev.Key, Reason: requirement.ReasonEnabled})
	}
	for _, p := range d.PageFiles.Value {
		// "?:\pagefile.sys" leaves the drive to Windows.
		if len(p) > 1 && p[1] == ':' && !containsFold([]string{"C", "D", "?"}, p[:1]) {
			doubtful = append(doubtful, "a page file lies on "+strings.ToUpper(p[:2]))
			doubtfulEvidence = append(doubtfulEvidence, d.PageFiles.Evidence)
			doubtfulAbout = append(doubtfulAbout, driveSubject(p[:1], requirement.ReasonPresent, p))
		}
	}
	for _, s := range d.Makers {
		doubtful = append(doubtful, "the driver "+short(s.Name)+" makes drives")
		doubtfulEvidence = append(doubtfulEvidence, s.Start.Evidence)
		doubtfulAbout = append(doubtfulAbout, s.subject(requirement.ReasonEnabled, ""))
	}
	for _, c := range d.Commands {
		doubtful = append(doubtful, fmt.Sprintf("%s runs %s", c.Who, c.What))
		doubtfulEvidence = append(doubtfulEvidence, c.Evidence)
		doubtfulAbout = append(doubtfulAbout, requirement.Subject{Kind: requirement.SubjectProgram, ID: c.Who, Reason: requirement.ReasonEnabled, Value: c.What})
	}
	switch {
	case len(present) > 0:
		return requirement.Fail("drives beside C and D: "+prose.Some(present), presentEvidence...).About(presentAbout...), evidence
	case len(doubtful) > 0:
		return requirement.Warn("a drive beside C and D may be there: "+prose.Some(doubtful), doubtfulEvidence...).About(doubtfulAbout...), evidence
	case d.Err != nil:
		return requirement.Unreadable(d.Err, evidence...), evidence
	}
	o := requirement.Pass("only C and D", evidence...)
	if len(stale) > 0 {
		o.Message += "; left over: " + prose.Some(stale)
	}
	if len(elsewhere) > 0 {
		o.Basis = requirement.Inferred
		o.Message += "; letters of disks and devices that are not among the images: " + prose.Some(elsewhere)
	}
	if len(d.Remote) > 0 {
		o.Basis = requirement.Inferred
		o.Message += "; " + someRemote(d.Remote)
	}
	return o, evidence
}
