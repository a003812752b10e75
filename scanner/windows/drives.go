package windows

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyMountedDevices = `HKLM\SYSTEM\MountedDevices`

var drivesOnlyCD = entry{
	Requirement: required("win.drives.only-c-d", "AdditionalDrivesPresent", "only drives C and D are present, virtual and network drives included", sectionTips+": Only the C and D drives can be present", explanation{
		Reads: `SYSTEM: MountedDevices, compared with the partitions of the images; Control\Session Manager\DOS Devices, Control\AutoAttachVirtualDisks, the page files, drivers that make drives; the user's Network key; drive maps of Group Policy. An entry of a disk that is not among the images may be stale: it is named and decides nothing.`,
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

// Drives is what the registry says of drive letters.
type Drives struct {
	Mounts    []Mount
	Aliases   []Setting[string] // DOS Devices that are drive letters
	Attached  []requirement.Evidence
	PageFiles Setting[[]string]
	Makers    []Service // enabled drivers of programs that make drives
}

func (m *Machine) Drives() (Drives, error) { return m.drives.Get(m.readDrives) }

func (m *Machine) readDrives() (Drives, error) {
	var d Drives
	var err error
	if d.Mounts, err = m.readMounts(); err != nil {
		return d, err
	}
	aliases, err := m.key(keyControl + `\Session Manager\DOS Devices`)
	if err != nil {
		return d, err
	}
	if aliases.Exists() {
		values, err := aliases.Values()
		if err != nil {
			return d, fmt.Errorf("%s: %w", aliases.Evidence.Path, err)
		}
		for _, v := range values {
			if !isLetter(v.Name()) {
				continue
			}
			s, err := m.text(aliases, v.Name())
			if err != nil {
				return d, err
			}
			d.Aliases = append(d.Aliases, s)
		}
	}
	attach, err := m.key(keyControl + `\AutoAttachVirtualDisks`)
	if err != nil {
		return d, err
	}
	attached, err := m.subkeys(attach)
	if err != nil {
		return d, err
	}
	for _, k := range attached {
		d.Attached = append(d.Attached, k.Evidence)
	}
	if d.PageFiles, err = m.multiAt(keyControl+`\Session Manager\Memory Management`, "PagingFiles"); err != nil {
		return d, err
	}
	for _, name := range driveMakers {
		s, err := m.Service(name)
		if err != nil {
			return d, err
		}
		if s.Exists() && s.Start.Value != startDisabled {
			d.Makers = append(d.Makers, s)
		}
	}
	return d, nil
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

// policyHistory is where the preferences of applied Group Policy are kept.
const policyHistory = "ProgramData/Microsoft/Group Policy/History"

// Bounds of the search below policyHistory: real ones have a few folders a
// policy, and files of a few KiB.
const (
	maxPolicyFiles = 4096
	maxDrivesXML   = 1 << 20
)

func (m *Machine) driveMaps() ([]driveMap, error) {
	root := m.volumes["C"]
	start, err := root.file(policyHistory)
	if err != nil || !start.Exists {
		return nil, err
	}
	var maps []driveMap
	seen := 0
	err = fs.WalkDir(root.fs, policyHistory, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return root.problem(name, err)
		}
		if seen++; seen > maxPolicyFiles {
			return fmt.Errorf("%s: more than %d files", policyHistory, maxPolicyFiles)
		}
		if e.IsDir() || !strings.EqualFold(e.Name(), "Drives.xml") {
			return nil
		}
		data, f, err := m.read(`C:\`+name, maxDrivesXML)
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
	d, err := m.Drives()
	if err != nil {
		return requirement.Unreadable(err)
	}
	maps, err := m.driveMaps()
	if err != nil {
		return requirement.Unreadable(err)
	}
	machine, evidence := judgeDrives(d, m.in.Partitions, maps)
	if machine.Status == requirement.Failed {
		return machine
	}
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err, evidence...)
	}
	if w.Profile == nil {
		return requirement.Unknown("whose network drives count is not known: see win.profile.exists", evidence...)
	}
	drives, looked, err := m.networkDrives(*w.Profile)
	if err != nil {
		return requirement.Unreadable(fmt.Errorf("the user's network drives: %w", err), evidence...)
	}
	if len(drives) > 0 {
		return judgeNetworkDrives(drives)
	}
	return w.inferred(machine.With(looked))
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
// win.drives.only-c-d, and returns the evidence it looked at.
func judgeDrives(d Drives, partitions []Partition, maps []driveMap) (requirement.Outcome, []requirement.Evidence) {
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
	for _, g := range maps {
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
	switch {
	case len(present) > 0:
		return requirement.Fail("drives beside C and D: "+prose.Some(present), presentEvidence...), evidence
	case len(doubtful) > 0:
		return requirement.Warn("a drive beside C and D may be there: "+prose.Some(doubtful), doubtfulEvidence...), evidence
	}
	message := "only C and D"
	if len(stale) > 0 {
		message += "; letters of disks and devices that are not there: " + prose.Some(stale)
	}
	return requirement.Pass(message, evidence...), evidence
}
