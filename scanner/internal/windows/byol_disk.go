package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const gibibyte = 1 << 30

var byolFree = entry{
	Requirement: required("byol.disk.c-free", "DiskFreeSpace", "Drive C must have more than 20 GiB free.",
		sectionBYOLErrors, explanation{
			Reads: "The free clusters in $Bitmap of the root volume, times the cluster size.",
			Live:  "(Get-Volume C).SizeRemaining",
			Doubts: "The guide's error messages name 20 GB. The service's script accepts 10 GB if Office is not added. " +
				"From 10 to 20 GiB is therefore a warning.",
			Fix: "Remove files from drive C (Settings, System, Storage), or enlarge it. The disk must stay below 80 GiB.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		usage, err := m.Usage()
		if err != nil {
			return requirement.Unreadable(err)
		}
		root := m.Drive("C")
		return judgeBYOLFree(usage.Free, root.BitmapEvidence(fmt.Sprintf("%d bytes free of %d, clusters of %d", usage.Free,
			usage.Size, root.FS.ClusterSize())))
	},
}

// judgeBYOLFree decides byol.disk.c-free by the free bytes of drive C.
func judgeBYOLFree(free int64, ev requirement.Evidence) requirement.Outcome {
	message := "C: has " + prose.GiB(free) + " free; more than 20 GiB is required."
	switch {
	case free > 20*gibibyte:
		return requirement.Pass(message, ev)
	case free >= 10*gibibyte:
		return requirement.Warn(message+" An older script accepts 10 GiB.", ev)
	}
	return requirement.Fail(message, ev)
}

var byolDiskSize = entry{
	Requirement: required("byol.disk.size", "DiskSizeExceeded", "The disk must have at most 70 GiB.", sectionBYOLErrors,
		explanation{
			Reads: "The size of the disk in the image, not that of the image file.",
			Live:  "Get-Disk | Select-Object Size",
			Doubts: "The guide of 2022 names 70 GB. Today's error messages ask for less than 80 GB, and the service's " +
				"script accepts exactly 80 GiB. More than 70 and up to 80 GiB is a warning.",
			Fix: "Shrink the last partition, move the recovery partition, and convert the disk to a smaller one.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return judgeDiskSize(m.in.rootDisk()) },
}

func (d *Disk) evidence(data string) requirement.Evidence {
	for _, p := range d.Parts {
		if p.Root {
			ev := p.Evidence
			ev.Data = data
			return ev
		}
	}
	return requirement.Evidence{Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true,
		Source: "other", Data: data}
}

// judgeDiskSize decides byol.disk.size. d is nil if the disk is not known.
func judgeDiskSize(d *Disk) requirement.Outcome {
	if d == nil || d.Table == "none" {
		return requirement.Unreadable(errNotDisk)
	}
	ev := d.evidence(fmt.Sprintf("%s, disk of %d bytes", d.Name, d.Size))
	message := "The disk has " + prose.GiB(d.Size) + "; at most 70 GiB is allowed."
	switch {
	case d.Size > 80*gibibyte:
		return requirement.Fail(message, ev)
	case d.Short:
		return requirement.Unknown("The size of the disk is unknown: "+d.Name+" ends before the disk does.", ev)
	case d.Size > 70*gibibyte:
		return requirement.Warn(message+" Newer guides allow less than 80 GiB.", ev)
	}
	return requirement.Pass(message, ev)
}

var byolPartitioning = entry{
	Requirement: required("byol.disk.partitioning", "IncompatiblePartitioning",
		"The disk must be partitioned with an MBR on Windows 10 and with a GPT on Windows 11.", sectionBYOLErrors,
		explanation{
			Reads: "The partition table of the disk: the first sectors, both copies of a GPT, the types of the partitions.",
			Live:  "Get-Disk | Select-Object PartitionStyle",
			Doubts: "The guide also asks for fewer than two partitions, which no disk with UEFI can meet. The number of " +
				"partitions therefore does not count.",
			Fix: "Windows 11: run mbr2gpt /convert /allowFullOS and start in UEFI mode. Windows 10: install it on a disk " +
				"with an MBR.",
		}),
	Judge: (*Machine).decidePartitioning,
}

func (m *Machine) decidePartitioning() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var uefi []string
	boots, err := m.boots()
	for _, b := range boots {
		if b.UEFI {
			uefi = append(uefi, b.Part.Name)
		}
		err = fact.Join(err, b.Err)
	}
	return judgePartitioning(s, m.in.rootDisk(), uefi, err)
}

// eleven says whether the system is Windows 11.
func eleven(s machine.System) bool { return s.Client && s.Build >= machine.Build11 }

// judgePartitioning decides byol.disk.partitioning. uefi are the partitions from which UEFI starts Windows; err is why
// there may be more of them.
func judgePartitioning(s machine.System, d *Disk, uefi []string, err error) requirement.Outcome {
	if d == nil || d.Table == "none" {
		return requirement.Unreadable(errNotDisk)
	}
	ev := d.evidence(fmt.Sprintf("%s, partition table %s, %s", d.Name, strings.ToUpper(d.Table),
		prose.Count(len(d.Parts), "partition", "partitions")))
	want := "mbr"
	if eleven(s) {
		want = "gpt"
	}
	kinds := map[string]string{"mbr": "an MBR", "gpt": "a GPT"}
	message := fmt.Sprintf("The disk of %s has %s, with %s", s.Name(), kinds[d.Table],
		prose.Count(len(d.Parts), "partition", "partitions"))
	switch {
	case d.Dynamic:
		o := requirement.Fail("The disk is a dynamic disk, which cannot be imported.", ev)
		o.Remediation = "Back up the disk, convert it to a basic disk in diskmgmt.msc, and restore it."
		return o
	case d.Table != want && d.Incomplete == nil:
		return requirement.Fail(message+"; "+kinds[want]+" is required.", ev)
	case d.Incomplete != nil:
		return requirement.Unreadable(fmt.Errorf("the partition table is damaged: %w", d.Incomplete), ev)
	case d.Hybrid:
		return requirement.Warn(message+". Its MBR has partitions of its own (hybrid MBR).", ev)
	case d.Table == "mbr" && len(uefi) > 0:
		return requirement.Warn(message+", but "+prose.Some(uefi)+" starts Windows from UEFI.", ev)
	case d.Table == "mbr" && err != nil:
		return requirement.Unreadable(err, ev)
	}
	return requirement.Pass(message+".", ev)
}

var byolFilesystem = entry{
	Requirement: required("byol.disk.filesystem", "", "The volume with Windows must be formatted with NTFS.",
		sectionImport, explanation{
			Reads: "The boot sector of the root volume.",
			Live:  "(Get-Volume C).FileSystem",
			Fix:   "Install Windows on a volume with NTFS.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return judgeFilesystem(m.in.rootDisk()) },
}

func judgeFilesystem(d *Disk) requirement.Outcome {
	if d != nil {
		for _, p := range d.Parts {
			if p.Root && strings.EqualFold(p.Filesystem, "NTFS") {
				return requirement.Pass(p.Name+" is formatted with NTFS.", p.Evidence)
			}
			if p.Root {
				return requirement.Fail(p.Name+" is formatted with "+p.Filesystem+"; NTFS is required.", p.Evidence)
			}
		}
	}
	return requirement.Unknown("The volume with Windows is unknown.")
}

var byolEncryption = entry{
	Requirement: required("byol.encryption.none", "", "No volume of the disk may be encrypted.", sectionBYOL, explanation{
		Reads: "The first sectors of every volume in the images; SYSTEM: Control\\BitLockerStatus\\BootStatus.",
		Live:  "manage-bde -status",
		Fix:   "Run manage-bde -off X: for each encrypted volume, and wait until 0 % is encrypted.",
	}),
	Judge: (*Machine).decideEncryption,
}

func (m *Machine) decideEncryption() requirement.Outcome {
	status, err := m.DWordAt(machine.KeyControl+`\BitLockerStatus`, "BootStatus")
	return judgeEncryption(m.in.Disks, status, err)
}

// judgeEncryption decides byol.encryption.none. BitLocker that is suspended leaves the volume encrypted, and counts.
func judgeEncryption(disks []Disk, status machine.Setting[uint32], err error) requirement.Outcome {
	var encrypted []string
	var evidence, good []requirement.Evidence
	var about []requirement.Subject
	for _, d := range disks {
		if d.Incomplete != nil && !d.Dynamic {
			err = fact.Join(err, fmt.Errorf("%s: %w", d.Name, d.Incomplete))
		}
		for _, p := range d.Parts {
			switch {
			case p.Encryption != "":
				ev := p.Evidence
				ev.Note = "encrypted with " + p.Encryption
				encrypted, evidence = append(encrypted, p.Name+" ("+p.Encryption+")"), append(evidence, ev)
				about = append(about, requirement.Subject{Kind: requirement.SubjectSetting, ID: p.Encryption,
					Name: p.Name, Reason: requirement.ReasonEnabled})
			case p.Err != nil:
				err = fact.Join(err, fmt.Errorf("%s: %w", p.Name, p.Err))
			default:
				good = append(good, p.Evidence)
			}
		}
	}
	switch {
	case len(encrypted) > 0:
		return requirement.Fail(prose.Count(len(encrypted), "volume is", "volumes are")+" encrypted: "+
			prose.Some(encrypted)+".", evidence...).About(about...)
	case len(disks) == 0:
		return requirement.Unknown("The volumes of the disk are unknown.")
	case err != nil:
		return requirement.Unreadable(err, good...)
	case status.Value != 0:
		return requirement.Warn(fmt.Sprintf("BitLocker was on at the last start (BootStatus is %d), but no volume is "+
			"encrypted.", status.Value), status.Evidence)
	}
	return requirement.Pass("No volume is encrypted.", append(good, status.Evidence)...)
}

var byolImageFormat = entry{
	Requirement: service(recommended("byol.image.format", "",
		"The image should have a format that VM Import reads: raw, VHD, VHDX, stream-optimized VMDK, or OVA.", sectionImport,
		explanation{
			Reads: "The header of the image file.",
			Live:  "qemu-img info IMAGE",
			Doubts: "Whether the account encrypts EBS volumes by default, which also stops an import, is not on the disk. " +
				"A block device, a snapshot and a raw image look the same.",
			Fix: "Convert the image, for example with qemu-img convert -O vmdk -o subformat=streamOptimized IMAGE NEW.",
		})),
	Judge: func(m *Machine) requirement.Outcome { return judgeImageFormat(m.in.rootDisk()) },
}

// service makes a requirement one that the disk does not decide alone.
func service(r requirement.Requirement) requirement.Requirement {
	r.Scope = requirement.Service
	return r
}

// importFormats are the containers that VM Import reads.
var importFormats = []string{"raw", "vhd", "vhdx"}

func judgeImageFormat(d *Disk) requirement.Outcome {
	if d == nil {
		return requirement.Unknown("The format of the image is unknown.")
	}
	format := strings.ToUpper(d.Format)
	if d.Format == "raw" {
		format = d.Format
	}
	if d.Detail != "" {
		format += " (" + d.Detail + ")"
	}
	ev := d.evidence(d.Name + ", format " + format)
	streamed := d.Format == "vmdk" && fold.Index(d.Detail, "stream") >= 0
	switch {
	case d.Member:
		return requirement.Pass("VM Import reads the archive: the disk in it has the format "+format+".", ev)
	case slices.Contains(importFormats, d.Format), streamed:
		return requirement.Pass("VM Import reads the format "+format+".", ev)
	}
	return requirement.Warn("VM Import does not read the format "+format+".", ev)
}
