package linux

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Identity is what a system may name a volume by.
type Identity struct {
	UUID, Label         string // of the filesystem, as udev has them
	PartUUID, PartLabel string // of the partition; "" for a bare volume
	Logical             string // "group/volume" of a logical volume of LVM2; "" otherwise
	Disk, Partition     int    // the number of the image, from 0, and of the partition; 0 without a partition table
	LastMounted         string // last mount point of the filesystem; "" if it is not recorded
}

// A device is what fstab names: by a tag, whose values can be compared, or by a
// name of the kernel.
type device struct {
	tag, value string // "UUID", "LABEL", "PARTUUID", "PARTLABEL", "LV"; tag is "" for a name of the kernel
	disk       string // "xvda", "nvme0n1"
	partition  int
}

// byTag are the folders in which udev links devices.
var byTag = map[string]string{
	"/dev/disk/by-uuid/": "UUID", "/dev/disk/by-label/": "LABEL", "/dev/disk/by-partuuid/": "PARTUUID",
	"/dev/disk/by-partlabel/": "PARTLABEL",
}

// kernelNames are disks and partitions as the kernel calls them (Linux,
// Documentation/admin-guide/devices.txt).
var kernelNames = regexp.MustCompile(`^/dev/(?:((?:xvd|sd|vd|hd)[a-z]+)(\d*)|((?:nvme\d+n|mmcblk)\d+)(?:p(\d+))?)$`)

// parseDevice takes apart what fstab names as a device. ok is false for what
// names none that can be found among volumes.
func parseDevice(what string) (d device, ok bool) {
	if tag, value, found := strings.Cut(what, "="); found && !strings.HasPrefix(what, "/") {
		return device{tag: tag, value: value}, slices.Contains([]string{"UUID", "LABEL", "PARTUUID", "PARTLABEL"}, tag)
	}
	what = path.Clean(what)
	for folder, tag := range byTag {
		if value, found := strings.CutPrefix(what, folder); found {
			return device{tag: tag, value: udevName(value)}, true
		}
	}
	for _, folder := range []string{"/dev/disk/by-id/dm-name-", "/dev/mapper/"} {
		if name, found := strings.CutPrefix(what, folder); found {
			group, volume, ok := mapperName(name)
			return device{tag: "LV", value: group + "/" + volume}, ok
		}
	}
	if m := kernelNames.FindStringSubmatch(what); m != nil {
		d.disk = m[1] + m[3]
		d.partition, _ = strconv.Atoi(m[2] + m[4])
		return d, true
	}
	if parts := strings.Split(strings.TrimPrefix(what, "/dev/"), "/"); strings.HasPrefix(what, "/dev/") &&
		len(parts) == 2 && parts[0] != "disk" {
		return device{tag: "LV", value: what[len("/dev/"):]}, true
	}
	return d, false
}

// udevName takes the escapes out of a name that udev made of a label: \x20.
func udevName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if strings.HasPrefix(name[i:], `\x`) && i+4 <= len(name) {
			if c, err := strconv.ParseUint(name[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// mapperName takes apart the name that LVM2 gives a device: group and volume
// with a hyphen between, and theirs doubled (lvm(8), "unique names").
func mapperName(name string) (group, volume string, ok bool) {
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] != '-':
		case strings.HasPrefix(name[i:], "--"):
			i++
		default:
			group, volume = name[:i], name[i+1:]
			undouble := func(s string) string { return strings.ReplaceAll(s, "--", "-") }
			return undouble(group), undouble(volume), group != "" && volume != ""
		}
	}
	return "", "", false
}

// value is what the identity has for a tag. known is false where it has none
// that could be compared.
func (i Identity) value(tag string, opened bool) (value string, known bool) {
	switch tag {
	case "UUID":
		return i.UUID, opened
	case "LABEL":
		return i.Label, opened
	case "PARTUUID":
		return i.PartUUID, i.PartUUID != ""
	case "PARTLABEL":
		return i.PartLabel, i.PartUUID != ""
	case "LV":
		return i.Logical, true
	}
	return "", false
}

// findDevice returns the volume that a device is. disks are the images by the names
// that the kernel is known to give them. Tags are compared exactly, as udev's
// links are.
func findDevice(volumes []*volume, what string, disks map[string]int) (*volume, error) {
	d, ok := parseDevice(what)
	if !ok {
		return nil, fmt.Errorf("coldcheck cannot find the device %s in the images", what)
	}
	var found []*volume
	for _, v := range volumes {
		if d.tag == "" {
			disk, known := disks[d.disk]
			if known && v.Logical == "" && v.Disk == disk && v.Partition == d.partition {
				found = append(found, v)
			}
			continue
		}
		if value, known := v.value(d.tag, v.FS != nil); known && value != "" && value == d.value {
			found = append(found, v)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%s is either %s or %s", what, found[0].Name, found[1].Name)
	case d.tag == "":
		return nil, fmt.Errorf("cannot determine which image %s is", what)
	}
	return nil, fmt.Errorf("no image has %s", what)
}

// unlike says what the volume is called instead, where a device is named by
// what can be compared and the volume has another; "" if it is that device, or
// may be.
func (v *volume) unlike(what string) string {
	d, ok := parseDevice(what)
	if !ok || d.tag == "" {
		return ""
	}
	value, known := v.value(d.tag, v.FS != nil)
	if !known || value == d.value {
		return ""
	}
	if value == "" {
		return "no " + tagNames[d.tag]
	}
	return tagNames[d.tag] + " " + value
}

var tagNames = map[string]string{"UUID": "UUID", "LABEL": "label", "PARTUUID": "PARTUUID", "PARTLABEL": "PARTLABEL",
	"LV": "logical volume"}
