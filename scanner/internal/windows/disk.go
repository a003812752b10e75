package windows

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var volumeReadable = entry{
	Requirement: required("win.volume.readable", "",
		"The volumes must be readable and must not be encrypted on disk (BitLocker).",
		sectionRequirements, explanation{
			Reads: "The first sectors and the filesystem of every volume in the images. EBS encryption leaves no " +
				"trace on a volume; see ws.encryption.none.",
			Live: "manage-bde -status",
			Fix:  "Run manage-bde -off X: for the volume, wait until it is decrypted, and take the snapshot again.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return m.in.Readable },
}

var diskFree = entry{
	Requirement: required("win.disk.c-free", "InsufficientDiskSpace", "Drive C must have more than 12 GiB free.",
		sectionTips+": Drive C must have enough free space", explanation{
			Reads: "The free clusters in $Bitmap of the root volume, times the cluster size.",
			Live:  "(Get-Volume C).SizeRemaining",
			Doubts: "The documentation requires 12 GB; a later guide defines this as 12,884,901,888 bytes (12 GiB). " +
				"Later guides require it only on Windows 7, and 2 GB on later versions.",
			Fix: "Remove files from drive C (cleanmgr.exe), or enlarge the root volume, until more than 12 GiB is free.",
		}),
	Judge: (*Machine).decideFree,
}

// freeNeeded is the free space that drive C must exceed, in bytes: the document requires 12 GB, which a later guide
// defines as this number.
const freeNeeded = 12_884_901_888

// Usage is how full drive C is.
func (m *Machine) Usage() (volume.Usage, error) { return m.usage.Get(m.next().readUsage) }

func (m *Machine) readUsage() (volume.Usage, error) {
	root := m.Drive("C")
	usage, err := root.FS.Usage()
	if err != nil {
		return volume.Usage{}, root.Problem("$Bitmap", err)
	}
	return usage, nil
}

func (m *Machine) decideFree() requirement.Outcome {
	root := m.Drive("C")
	usage, err := m.Usage()
	if err != nil {
		return requirement.Unreadable(err)
	}
	ev := root.BitmapEvidence(fmt.Sprintf("%d bytes free of %d, clusters of %d", usage.Free, usage.Size,
		root.FS.ClusterSize()))
	system, err := m.System()
	o := judgeFree(usage.Free, err == nil && system.Modern(), ev) // the version changes only the remedy
	for _, name := range []string{"pagefile.sys", "hiberfil.sys", "swapfile.sys"} {
		f, err := root.File(name)
		if err == nil && f.Exists {
			f.Evidence.Note = "its size affects the free space"
			o = o.With(f.Evidence)
		}
	}
	return o
}

// judgeFree decides win.disk.c-free.
func judgeFree(free int64, modern bool, ev requirement.Evidence) requirement.Outcome {
	message := fmt.Sprintf("C: has %s free; more than 12 GiB is required", prose.GiB(free))
	if free > freeNeeded {
		return requirement.Pass(message, ev)
	}
	const tenth = 1 << 30 / 10 // what GiB rounds off
	where := "cleanmgr.exe"
	if modern {
		where = "Settings, System, Storage"
	}
	o := requirement.Fail(message, ev)
	o.Remediation = fmt.Sprintf("Free at least %s on drive C (%s), or enlarge the root volume.",
		prose.GiB(freeNeeded-free+tenth+1), where)
	return o
}
