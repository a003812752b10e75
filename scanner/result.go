package scanner

import (
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
	"github.com/coldcheck/coldcheck/scanner/source"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// Role is the role of a volume in the WorkSpace.
type Role string

// The root volume contains the system. The user volume contains the profiles
// (drive D, or /home). Other volumes are listed in the report and not checked.
const (
	Root  Role = "root"
	User  Role = "user"
	Other Role = "other"
)

// Verdict is the answer of a scan.
type Verdict string

// The verdict is NotReady if a finding that counts is failed or a warning.
// Otherwise it is Inconclusive if one is undetermined, if a requirement that
// counts is not checked, or if an image is in doubt: if it changed during the
// scan, is an outdated base disk, does not have the hash that it states, or is an
// archive with a disk that cannot be read.
// Otherwise it is Ready.
const (
	Ready        Verdict = "ready"
	NotReady     Verdict = "not_ready"
	Inconclusive Verdict = "inconclusive"
)

// ReasonKind is a reason why a verdict is not Ready.
type ReasonKind string

// NotReady is due to the first two, Inconclusive to the others.
const (
	ReasonFailed       ReasonKind = "failed"
	ReasonWarning      ReasonKind = "warning"
	ReasonUndetermined ReasonKind = "undetermined"
	ReasonNotChecked   ReasonKind = "not_checked"
	ReasonImageChanged ReasonKind = "image_changed"
	ReasonStaleBase    ReasonKind = "stale_base"
	ReasonImageHash    ReasonKind = "image_hash"
	ReasonDiskUnread   ReasonKind = "disk_unread"
)

// VerdictReason is one reason why a verdict is NotReady or Inconclusive.
type VerdictReason struct {
	Kind     ReasonKind
	IDs      []string // of the requirements, in the catalogue's order; none if it is about images
	Messages []string // if it is about images: which ones, and what is wrong
}

// Result is the result of one scan.
type Result struct {
	Started  time.Time
	Finished time.Time
	Images   []string        // as they were named; of an archive with several disks, one for each disk
	With     []string        // documents from outside the disk, as they were named
	Rules    []custom.Digest // files of the user's own rules
	Files    []ImageFile     // one for each of Images, in the same order
	Hives    []Hive          // of the registry that were opened, by volume and path

	BytesRead int64 // from the images
	Reads     int64 // number of reads

	Platform Platform
	Volumes  []Volume
	// LastStart is when Windows last started, and CleanStop when it was shut down since, by its event log. They are zero
	// if the log does not show it: Windows may have been running, or have lost power.
	LastStart, CleanStop time.Time

	RuleBook RuleBook              // by which the findings were judged
	Findings []requirement.Finding // in the order of the rule book

	NotChecked []NotChecked // requirements that the caller left out, in the order of the rule book

	Notices []requirement.Notice
	Events  []requirement.Event // in the order of time
	Dropped int                 // events beyond the bound, not in Events

	ImageErrors []ImageError // image creations that failed, from the documents

	Changed []string // how images changed during the scan; if any did, the findings may not be consistent
	// StaleBases are images that are base disks of other images, which have later
	// changes. It is empty with Input.StaleBase.
	StaleBases []string
	// Unverified are images that do not have the hash that they state, or whose disk
	// cannot be read to compare it. It is empty without Input.Hash.
	Unverified []string
	// UnreadDisks are the disks in archives that cannot be read, with the reason. What
	// is on them is unknown.
	UnreadDisks []string

	Verdict       Verdict
	Reasons       []VerdictReason // why it is not Ready, one of each kind
	PolicyVerdict Verdict         // the verdict under the Policy

	// Others are what the other rule books of the scan say; see Under and WorstVerdict.
	Others []Judgement

	CrossCheck *CrossCheck // nil if there was none
}

// Until is the last moment for which a later scan of the same bytes under the same
// policy comes to the same findings and verdicts; zero if they do not depend on the time.
func (r *Result) Until(p Policy) time.Time {
	var until time.Time
	for _, one := range r.Each() {
		for _, f := range one.Findings {
			until = earlier(until, f.Until)
		}
	}
	for _, w := range p.Waivers {
		if last := w.Expiry.AddDate(0, 0, 1).Add(-1); !last.Before(r.Started) {
			until = earlier(until, last)
		}
	}
	return until
}

// earlier returns the earlier of two times, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Part is a file of an image.
type Part struct {
	Name     string
	Size     int64     // in bytes
	Modified time.Time // modification time; zero if it is not a file
	Sums
	Remote *RemoteFile // nil if it is not read over a network
}

// RemoteFile says which bytes a file has that is read over a network.
type RemoteFile struct {
	source.Identity
	Unencrypted bool     // the connection is not encrypted
	ReadSet     *ReadSet // with Input.Hash, or where it was expected
	// Touched are the blocks of BlockSize bytes that the scan asked for, those without data
	// included. A scan of bytes that are the same there comes to the same findings, as long
	// as Result.Until is not over.
	Touched   []source.BlockRange
	BlockSize int64
	Described *SnapshotDescription // what a document says of the snapshot; nil if none does
}

// ReadSet identifies the blocks of a file that were read. It is not the hash of the
// file.
type ReadSet struct {
	SHA256    string // source.ReadSet.Digest; "" if more blocks were read than a set has
	Blocks    int    // that were read
	BlockSize int64  // in bytes
}

// SnapshotDescription is what a document says of a snapshot. It decides no requirement.
type SnapshotDescription struct {
	Document string // its name
	statement.Snapshot
}

// Reading counts what a scan has read of the files of an image and of its parents. The
// files of an archive with several disks count for the first of them.
type Reading struct {
	// Bytes and Reads are what readers requested. Hashing and known zeros do not count.
	Bytes, Reads int64
	// Remote counts all requests to the sources that are read over a network, except
	// those of a cross-check; nil if there is none.
	Remote *source.Traffic
}

// Prices names the prices of the requests in Reading.Remote.
const Prices = source.Prices

// ImageFile is the file or device of an image, and the disk in it.
type ImageFile struct {
	Name     string      // as it was named; of a disk in an archive with several, ": " and Member follow
	Size     int64       // of the file, in bytes
	Modified time.Time   // modification time; zero if it is not a file
	Sums                 // of the file
	Remote   *RemoteFile // nil if it is not read over a network

	Container string // format: "raw", "qcow2"
	Detail    string // the kind of the format; "" if there is only one
	Member    string // name of the disk in an archive with several; "" otherwise
	DiskSize  int64  // of the disk, in bytes
	DiskSums  Sums   // of the disk; empty for a raw image, whose file is the disk
	Parts     []Part // the other files of the image
	Parents   []ParentFile
	Stated    []StatedSum // hashes of the disk that the container states
	Notes     []string    // peculiarities of the container

	Reading *Reading // nil if the image was not scanned
}

// ParentFile is an image below a differencing one.
type ParentFile struct {
	Part
	Container string
	Detail    string
	DiskSize  int64  // in bytes
	Parts     []Part // its other files
}

// IsRaw says whether the file of the image is the disk.
func (f *ImageFile) IsRaw() bool {
	return f.Container == "" || f.Container == "raw" && f.Member == "" && len(f.Parts) == 0
}

// Hive describes the state of a registry hive and the logs that were applied to
// it.
type Hive struct {
	Source             string // role of the volume
	Path               string
	State              string // "clean", "recovered" from its logs, or "dirty"
	Primary, Secondary uint32 // sequence numbers of the base block
	Format             string // of the applied logs: "", "old" or "new"
	Applied            []HiveLog
	Pages              int // replayed from the logs; sectors in the old format
}

// HiveLog is a transaction log that was applied to a hive.
type HiveLog struct {
	Name        string
	Entries     int
	First, Last uint32 // sequence numbers
}

// Journal describes the replay of a filesystem's journal.
type Journal struct {
	// State is "clean", "replayed" or "failed". NTFS also has "not clean" if
	// $LogFile could not be replayed, "empty" and "corrupt".
	State        string
	Transactions int
	First, Last  uint32 // sequence numbers of the transactions
	Blocks       int    // read from the journal
}

// Platform is the system that was found on the root volume.
type Platform struct {
	Family       string // "windows" or "linux"
	Name         string // "Windows Server 2019 Datacenter"
	Version      string // "10.0.17763.4737"
	Architecture string // "amd64"; "" if not known
	ComputerName string // "" if not known
	UserName     string // the user whose profile is checked, as DOMAIN\name; "" if not known
}

// Volume is a volume on one of the images.
type Volume struct {
	Role       Role
	Source     string   // its name in evidence: its role, or "boot", "efi", "var" and so on; "" if no evidence names it
	Mounted    []string // where a Linux system mounts it, by its fstab and mount units
	Image      string   // as it was named
	Format     string   // container: "raw"
	Partition  int      // 1 for the first; 0 if the image has no partition table
	Logical    string   // "group/volume" of a logical volume of LVM2, which has no partition; "" otherwise
	Offset     int64    // on the disk, in bytes; 0 for a logical volume
	Size       int64    // in bytes
	Free       int64    // in bytes; -1 if not known
	Filesystem string   // "ntfs", "ext4", ...
	Label      string
	Serial     string
	State      string // "clean", "dirty", "journal replayed"; "" if not known

	Journal Journal // its state is "" if there is none, or it is not known
	Damaged int64   // MFT records or inodes that cannot be read, among those that were read
	Torn    int64   // how many of these have an incomplete write
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
