package scanner

import (
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Role says what a volume is to the WorkSpace.
type Role string

// The root volume holds the system, the user volume the profile (drive D, or
// /home). Any other volume is named in the report and not judged.
const (
	Root  Role = "root"
	User  Role = "user"
	Other Role = "other"
)

// Verdict is what the findings say together.
type Verdict string

// The verdict is NotReady if a finding that counts is failed or a warning,
// else Inconclusive if one is undetermined, if a requirement that would count is
// not checked or if an image changed while it was read, else Ready.
const (
	Ready        Verdict = "ready"
	NotReady     Verdict = "not_ready"
	Inconclusive Verdict = "inconclusive"
)

// ReasonKind says what kept a verdict from being Ready.
type ReasonKind string

// NotReady is due to the first two, Inconclusive to the others.
const (
	ReasonFailed       ReasonKind = "failed"
	ReasonWarning      ReasonKind = "warning"
	ReasonUndetermined ReasonKind = "undetermined"
	ReasonNotChecked   ReasonKind = "not_checked"
	ReasonImageChanged ReasonKind = "image_changed"
)

// VerdictReason is one thing that made a verdict NotReady or Inconclusive.
type VerdictReason struct {
	Kind ReasonKind
	IDs  []string // of the requirements, in the catalogue's order; none for ReasonImageChanged
}

// Result is all that one scan found.
type Result struct {
	Started  time.Time
	Finished time.Time
	Images   []string    // as they were named
	With     []string    // documents from outside the disk, as they were named
	Files    []ImageFile // what the images are, in their order
	Hives    []Hive      // of the registry that were opened, by volume and path

	BytesRead int64 // from the images
	Reads     int64 // how many reads that took

	Platform Platform
	Volumes  []Volume
	Findings []requirement.Finding // in the catalogue's order

	NotChecked []NotChecked // requirements that the caller left out, in the catalogue's order

	Notices []requirement.Notice
	Events  []requirement.Event // in the order of time
	Dropped int                 // events beyond the bound, not in Events

	ImageErrors []ImageError // of images that could not be made, by the documents

	Changed []string // why an image is not what it was when it was opened; the findings may not belong together then

	Verdict       Verdict
	Reasons       []VerdictReason // why it is not Ready, of each kind one
	PolicyVerdict Verdict         // what the Policy makes of the findings: a program that gates on the scan goes by this

	CrossCheck *CrossCheck // nil if there was none
}

// ImageFile is the file or device of an image.
type ImageFile struct {
	Name     string    // as it was named
	Size     int64     // in bytes
	Modified time.Time // when it was last changed; zero if it is no file

	// In hexadecimal; "" if it was not asked for.
	SHA256, SHA1, MD5 string
}

// Hive is a hive of the registry as it was found, and what was done about it.
type Hive struct {
	Source             string // role of the volume
	Path               string
	State              string // "clean", "recovered" from its logs, or "dirty"
	Primary, Secondary uint32 // sequence numbers of the base block
	Format             string // of the logs that were applied: "", "old" or "new"
	Applied            []HiveLog
	Pages              int // that were replayed from the logs; sectors in the old format
}

// HiveLog is a transaction log that was applied to a hive.
type HiveLog struct {
	Name        string
	Entries     int
	First, Last uint32 // sequence numbers
}

// Journal is what was replayed of the journal of a filesystem.
type Journal struct {
	// State is "clean", "replayed" or "failed"; of NTFS "not clean" where $LogFile
	// could not be replayed, and "empty" or "corrupt".
	State        string
	Transactions int
	First, Last  uint32 // sequence numbers of the transactions
	Blocks       int    // that are read from the journal
}

// Platform is the system that was found on the root volume.
type Platform struct {
	Family       string // "windows" or "linux"
	Name         string // "Windows Server 2019 Datacenter"
	Version      string // "10.0.17763.4737"
	Architecture string // "amd64"; "" if not known
	ComputerName string // "" if not known
	UserName     string // whose profile is judged, as DOMAIN\name; "" if not known
}

// Volume is a volume of one of the images.
type Volume struct {
	Role       Role
	Source     string   // how evidence names it: its role, or "boot", "efi", "var" and so on; "" if it never does
	Mounted    []string // where a Linux system mounts it, as far as its fstab and mount units say
	Image      string   // as it was named
	Format     string   // container: "raw"
	Partition  int      // 1 for the first; 0 where the image is the bare volume
	Logical    string   // "group/volume" of a logical volume of LVM2, which has no partition; "" otherwise
	Offset     int64    // on the disk, in bytes; 0 for a logical volume
	Size       int64    // in bytes
	Free       int64    // in bytes; -1 if not known
	Filesystem string   // "ntfs", "ext4", ...
	Label      string
	Serial     string
	State      string // "clean", "dirty", "journal replayed"; "" if not known

	Journal Journal // its state is "" if there is none, or it is not known
	Damaged int64   // MFT records or inodes that cannot be read, as far as was looked
	Torn    int64   // of these, records of which a write was not finished
}

// Summary counts the findings by status.
func (r *Result) Summary() map[requirement.Status]int {
	n := make(map[requirement.Status]int, len(requirement.Statuses))
	for _, s := range requirement.Statuses {
		n[s] = 0
	}
	for _, f := range r.Findings {
		n[f.Status]++
	}
	return n
}
