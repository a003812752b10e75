package windows

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var volumeReadable = entry{
	Requirement: required("win.volume.readable", "",
		"the volumes are not encrypted on disk (BitLocker) and can be read",
		"Requirements to Create Windows Custom Images", explanation{
			Reads: "The first sectors of every volume of the images, and whether its filesystem opens. The " +
				"encryption of the service (EBS) leaves no trace on a volume: see ws.encryption.none.",
			Live: "manage-bde -status",
			Fix:  "manage-bde -off X:, wait until the volume is decrypted, then take the snapshot again.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return m.in.Readable },
}

var diskFree = entry{
	Requirement: required("win.disk.c-free", "InsufficientDiskSpace", "drive C has more than 12 GiB free",
		sectionTips+": Drive C must have enough free space", explanation{
			Reads: "The clear bits of $Bitmap on the root volume times its cluster size.",
			Live:  "(Get-Volume C).SizeRemaining",
			Fix: "Remove files from drive C (cleanmgr.exe, Settings, Storage), or enlarge the root volume, until " +
				"more than 12 GiB are free.",
		}),
	Judge: (*Machine).decideFree,
}

// Bounds of the free space on drive C, in bytes. The document asks for 12 GB;
// a later guide says that this is 12,884,901,888 bytes, and that a failure on
// Windows 10 above 2 GB can be ignored.
const (
	freeNeeded = 12_884_901_888
	freeLater  = 2 << 30
)

// Free is the free space on drive C, in bytes.
func (m *Machine) Free() (int64, error) { return m.free.Get(m.next().readFree) }

func (m *Machine) readFree() (int64, error) {
	root := m.Drive("C")
	free, err := root.FS.Free()
	if err != nil {
		return 0, root.Problem("$Bitmap", err)
	}
	return free, nil
}

func (m *Machine) decideFree() requirement.Outcome {
	root := m.Drive("C")
	free, err := m.Free()
	if err != nil {
		return requirement.Unreadable(err)
	}
	ev := root.BitmapEvidence(fmt.Sprintf("%d bytes free of %d, clusters of %d", free, root.FS.Volume().Size,
		root.FS.Volume().ClusterSize))
	system, err := m.System()
	o := judgeFree(free, err == nil && system.Modern(), ev) // the version changes only what is said
	for _, name := range []string{"pagefile.sys", "hiberfil.sys", "swapfile.sys"} {
		f, err := root.File(name)
		if err == nil && f.Exists {
			f.Evidence.Note = "its size changes what is free"
			o = o.With(f.Evidence)
		}
	}
	return o
}

// judgeFree decides win.disk.c-free.
func judgeFree(free int64, modern bool, ev requirement.Evidence) requirement.Outcome {
	message := fmt.Sprintf("%s free (%d bytes), more than 12 are needed", prose.GiB(free), free)
	switch {
	case free > freeNeeded:
		return requirement.Pass(message, ev)
	case free >= 12_000_000_000:
		message += "; 12 GB are counted as 12,884,901,888 bytes"
	}
	if modern && free > freeLater {
		message += " (later guides ask this of Windows 7 alone, and 2 GB of later versions)"
	}
	return requirement.Fail(message, ev)
}
