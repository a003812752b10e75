package windows

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyMountedDevices = `HKLM\SYSTEM\MountedDevices`

var drivesOnlyCD = entry{
	Requirement: required("win.drives.only-c-d", "AdditionalDrivesPresent", "only drives C and D are present, virtual and network drives included", sectionTips+": Only the C and D drives can be present", explanation{
		Reads: `SYSTEM: MountedDevices, compared with the partitions of the images; Control\Session Manager\DOS Devices, Control\AutoAttachVirtualDisks, the page files, drivers that make drives; the user's Network key; drive maps of Group Policy; commands such as subst in Run keys and scheduled tasks. An entry of a disk that is not among the images may be stale: it is named and decides nothing.`,
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
	return utf16String(data), false
}

// Drives is what the registry and the scheduled tasks say of drive letters.
type Drives struct {
	Mounts    []Mount
	Aliases   []Setting[string] // DOS Devices that are drive letters
	Attached  []requirement.Evidence
	PageFiles Setting[[]string]
	Makers    []Service     // enabled drivers of programs that make drives
	Maps      []driveMap    // of Group Policy
	Commands  []driveMaking // that run at every start or logon
	Err       error         // why there may be more of them; nil if all was read
}

func (m *Machine) readDrives() Drives {
	var d Drives
	for _, read := range []func(*Drives) error{
		func(d *Drives) (err error) { d.Mounts, err = m.readMounts(); return err },
		m.readAliases, m.readAttached, m.readMakers,
		func(d *Drives) (err error) {
			d.PageFiles, err = m.multiAt(keySessionManager+`\Memory Management`, "PagingFiles")
			return err
		},
		func(d *Drives) (err error) { d.Maps, err = m.driveMaps(); return err },
		m.readCommands,
	} {
		if err := read(&d); err != nil && d.Err == nil {
			d.Err = err
		}
	}
	return d
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
		d.Aliases = append(d.Aliases, s)
	}
	return nil
}

func (m *Machine) readAttached(d *Drives) error {
	attach, err := m.key(keyControl + `\AutoAttachVirtualDisks`)
	if err != nil {
		return err
	}
	attached, err := m.subkeys(attach)
	for _, k := range attached {
		d.Attached = append(d.Attached, k.Evidence)
	}
	return err
}

func (m *Machine) readMakers(d *Drives) error {
	for _, name := range driveMakers {
		s, err := m.Service(name)
		if err != nil {
			return err
		}
		if s.Exists() && s.Start.Value != startDisabled {
			d.Makers = append(d.Makers, s)
		}
	}
	return nil
}

// driveMaking is a command line that gives something a drive letter.
type driveMaking struct {
	Who      string // "task Backup"
	What     string // "subst X:"
	Evidence requirement.Evidence
}

func (m *Machine) readCommands(d *Drives) error {
	for _, view := range machineViews {
		if err := m.readRunCommands(d, view+keyWindows); err != nil {
			return err
		}
	}
	tasks, err := m.Tasks()
	for _, t := range tasks {
		if what := makesDrive(t.Command + " " + t.Arguments); what != "" {
			d.Commands = append(d.Commands, driveMaking{"task " + t.Name, what, t.Evidence})
		}
	}
	return err
}

// readRunCommands reads what starts at logon, of the machine or of a user.
func (m *Machine) readRunCommands(d *Drives, parent string) error {
	for _, key := range []string{`\Run`, `\RunOnce`} {
		commands, err := m.runValues(parent + key)
		if err != nil {
			return err
		}
		for _, s := range commands {
			if what := makesDrive(s.Value); what != "" {
				d.Commands = append(d.Commands, driveMaking{"startup program " + s.Evidence.Value, what, s.Evidence})
			}
		}
	}
	return nil
}

// driveCommands are commands that make a drive with the letter that is their
// last part, or make drives of disks.
var (
	driveCommands = regexp.MustCompile(`(?i)\b(subst|mountvol|net1? +use)(?:\.exe)?"? +"?([a-bd-z]:)`)
	diskCommands  = regexp.MustCompile(`(?i)\b(Mount-DiskImage|Mount-VHD|New-PSDrive|diskpart)\b`)
	undoing       = regexp.MustCompile(`(?i)/d(?:elete)?\b`)
)

// makesDrive tells which command in a command line makes a drive beside C and
// D; "" if none does.
func makesDrive(line string) string {
	line = strings.ReplaceAll(strings.Join(strings.Fields(line), " "), `net.exe`, "net")
	if undoing.MatchString(line) {
		return ""
	}
	if found := driveCommands.FindStringSubmatch(line); found != nil && !strings.EqualFold(found[2], "D:") {
		return found[1] + " " + found[2]
	}
	return diskCommands.FindString(line)
}

// driveMakers are the drivers of programs that give files, clouds or
// containers a drive letter.
var driveMakers = []string{"WinFsp", "dokan1", "dokan2", "ImDisk", "googledrivefs", "veracrypt", "truecrypt", "CBFS"}

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

// networkDrives returns the drives that a user's profile maps at every logon.
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
)

// driveMaps reads the preferences of applied Group Policy.
func (m *Machine) driveMaps() ([]driveMap, error) {
	env, err := m.env()
	if err != nil {
		return nil, err
	}
	var maps []driveMap
	err = m.walk(env["PROGRAMDATA"]+`\Microsoft\Group Policy\History`, maxPolicyFiles, func(v *volume, name string) error {
		if !strings.EqualFold(path.Base(name), "Drives.xml") {
			return nil
		}
		data, f, err := v.read(name, maxDrivesXML)
		if err != nil {
			return err
		}
		found, err := parseDrivesXML(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for i := range found {
			found[i].Evidence = f.Evidence
			found[i].Evidence.Data = found[i].Letter + ": " + found[i].Path
		}
		maps = append(maps, found...)
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
	machine, evidence := judgeDrives(m.readDrives(), m.in.Partitions)
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
	var own Drives
	if err := m.readRunCommands(&own, `HKU\`+w.Profile.SID+`\Software`+keyWindows); err != nil {
		return requirement.Unreadable(fmt.Errorf("what the user starts at logon: %w", err), looked...)
	}
	if o, _ := judgeDrives(own, nil); o.Status != requirement.Passed {
		return o
	}
	return w.inferred(machine.With(key))
}

func judgeNetworkDrives(drives []Setting[string]) requirement.Outcome {
	var list []string
	var evidence []requirement.Evidence
	for _, d := range drives {
		letter := d.Evidence.Key[len(d.Evidence.Key)-1:]
		list = append(list, strings.ToUpper(letter)+": "+d.Value)
		evidence = append(evidence, d.Evidence)
	}
	o := requirement.Fail("the user maps "+prose.Count(len(list), "network drive", "network drives")+": "+prose.Some(list), evidence...)
	o.Remediation = "As the user: net use X: /delete for each of them."
	return o
}

// judgeDrives decides what the machine's part of the registry says for
// win.drives.only-c-d, and returns the evidence it looked at. What is found
// stands whatever else could not be read.
func judgeDrives(d Drives, partitions []Partition) (requirement.Outcome, []requirement.Evidence) {
	var present, doubtful, stale []string
	var presentEvidence, doubtfulEvidence, evidence []requirement.Evidence
	for _, mount := range d.Mounts {
		i := slices.IndexFunc(partitions, func(p Partition) bool { return mount.Disk && p.Device == mount.Device })
		switch {
		case mount.Letter == "C" || mount.Letter == "D":
			evidence = append(evidence, mount.Evidence)
		case i >= 0:
			present = append(present, fmt.Sprintf("%s: is %s", mount.Letter, partitions[i].Name))
			presentEvidence = append(presentEvidence, mount.Evidence)
		default:
			mount.Evidence.Note = "of a disk or device that is not among the images: removed, or never there at once"
			stale = append(stale, mount.Letter+":")
			evidence = append(evidence, mount.Evidence)
		}
	}
	for _, a := range d.Aliases {
		present = append(present, fmt.Sprintf("%s stands for %s", a.Evidence.Value, a.Value))
		presentEvidence = append(presentEvidence, a.Evidence)
	}
	for _, g := range d.Maps {
		if !containsFold([]string{"C", "D"}, g.Letter) {
			doubtful = append(doubtful, fmt.Sprintf("%s: is mapped to %s by Group Policy", g.Letter, g.Path))
			doubtfulEvidence = append(doubtfulEvidence, g.Evidence)
		}
	}
	for _, ev := range d.Attached {
		doubtful = append(doubtful, "a virtual disk is attached at every start")
		doubtfulEvidence = append(doubtfulEvidence, ev)
	}
	for _, p := range d.PageFiles.Value {
		// "?:\pagefile.sys" leaves the drive to Windows.
		if len(p) > 1 && p[1] == ':' && !containsFold([]string{"C", "D", "?"}, p[:1]) {
			doubtful = append(doubtful, "a page file lies on "+strings.ToUpper(p[:2]))
			doubtfulEvidence = append(doubtfulEvidence, d.PageFiles.Evidence)
		}
	}
	for _, s := range d.Makers {
		doubtful = append(doubtful, "the driver "+s.Name+" makes drives")
		doubtfulEvidence = append(doubtfulEvidence, s.Start.Evidence)
	}
	for _, c := range d.Commands {
		doubtful = append(doubtful, fmt.Sprintf("%s runs %s", c.Who, c.What))
		doubtfulEvidence = append(doubtfulEvidence, c.Evidence)
	}
	switch {
	case len(present) > 0:
		return requirement.Fail("drives beside C and D: "+prose.Some(present), presentEvidence...), evidence
	case len(doubtful) > 0:
		return requirement.Warn("a drive beside C and D may be there: "+prose.Some(doubtful), doubtfulEvidence...), evidence
	case d.Err != nil:
		return requirement.Unreadable(d.Err, evidence...), evidence
	}
	message := "only C and D"
	if len(stale) > 0 {
		message += "; letters of disks and devices that are not there: " + prose.Some(stale)
	}
	return requirement.Pass(message, evidence...), evidence
}
