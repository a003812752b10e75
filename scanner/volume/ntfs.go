package volume

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// ntfsVolume is an NTFS volume. A log that cannot be applied leaves it as it
// is, with or without Options.Stale: Windows checks such a volume and goes on.
type ntfsVolume struct{ *ntfs.FS }

var (
	_ WindowsFS = ntfsVolume{}
	_ File      = (*ntfs.File)(nil)
)

func openNTFS(ctx context.Context, r io.ReaderAt, size int64, o Options) (FS, error) {
	f, err := ntfs.Open(ctx, r, size, ntfs.Options{Readers: o.Readers, Reserve: o.Reserve, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	return ntfsVolume{f}, nil
}

func headNTFS(ctx context.Context, r io.ReaderAt, size int64, _ Options) (Head, error) {
	h, err := ntfs.ReadHeader(ctx, r, size)
	head := Head{Files: h.Records}
	for _, e := range h.MFT {
		head.Index = append(head.Index, Extent(e))
	}
	return head, err
}

func (v ntfsVolume) Info() Info {
	volume := v.Volume()
	info := Info{Filesystem: disk.NTFS, MountType: "ntfs", Label: volume.Label, ID: fmt.Sprintf("%016X", volume.Serial),
		Numbered: true}
	switch {
	case volume.Err != nil:
		info.State = StateUnknown
	case volume.Dirty:
		info.State = StateDirty
	case volume.Journal.State.Pending():
		info.State = StateInUse
	default:
		info.State = StateClean
	}
	j := volume.Journal
	info.Journal = Journal{State: j.State, Shown: j.State.String(), Err: j.Err}
	switch j.State {
	case ntfs.JournalReplayed:
		info.Journal.Transactions, info.Journal.Blocks = j.Transactions, j.Blocks
	case ntfs.JournalFailed:
		info.Journal.Shown = "not clean"
	}
	if j.Blocks > 0 {
		info.Journal.Applied = "$LogFile was applied in memory"
	}
	return info
}

func (v ntfsVolume) Node(info fs.FileInfo) Node {
	e, ok := info.Sys().(*ntfs.Entry)
	if !ok {
		return Node{}
	}
	return Node{
		Allocated: e.Allocated, ID: e.Record, Record: e.Record,
		Folder: e.Dir, Reparse: e.ReparseTag != 0, Junction: e.ReparseTag == ntfs.TagMountPoint, Overlay: e.WOF,
	}
}

// Name takes a path with slashes of either kind: no name of Windows holds one.
func (v ntfsVolume) Name(p string) string { return slashed(strings.ReplaceAll(p, `\`, "/")) }

func (v ntfsVolume) ClusterSize() int { return v.Volume().ClusterSize }

func (v ntfsVolume) Usage() (Usage, error) {
	free, err := v.Free()
	if err != nil {
		return Usage{}, err
	}
	size := v.Volume().Size
	return Usage{Size: size, Used: size - free, Free: free, Available: free}, nil
}

func (v ntfsVolume) Totals(name string) (Totals, error) {
	t, err := v.Tree(name)
	return Totals{Files: t.Files, Size: t.Size, Damaged: t.Damaged}, err
}

func (v ntfsVolume) Damaged() (files, torn int64) {
	d := v.Damage()
	return d.Count, d.Torn
}

func (v ntfsVolume) Notices() []Notice {
	var list []Notice
	info, damage := v.Volume(), v.Damage()
	if info.Dirty {
		list = append(list, Notice{Warning, "the volume is marked dirty. Windows checks it at the next start."})
	}
	if n, ok := logNotice(info.Journal); ok {
		list = append(list, n)
	}
	if info.Err != nil {
		list = append(list, Notice{Warning, info.Err.Error()})
	}
	if damage.Count > 0 {
		var first []string
		for _, d := range damage.Records[:min(len(damage.Records), 3)] {
			first = append(first, d.String())
		}
		list = append(list, Notice{Error, fmt.Sprintf("%s of $MFT cannot be read: %s.",
			prose.Count(int(damage.Count), "record", "records"), strings.Join(first, ", "))})
	}
	return append(list, warnings(damage.Notes)...)
}

// logNotice says what became of the log of a volume that was in use.
func logNotice(j ntfs.Journal) (Notice, bool) {
	switch {
	case j.State == ntfs.JournalCorrupt:
		return Notice{Warning, fmt.Sprintf(
			"$LogFile cannot be read (%v). The last changes may be missing, and checks that pass by a file are inferred.",
			j.Err)}, true
	case !j.State.Pending():
		return Notice{}, false
	case j.Err != nil:
		return Notice{Warning, fmt.Sprintf(
			"the image was taken while the volume was in use, and its $LogFile cannot be applied (%v). "+
				"Checks that pass by a file are inferred.", j.Err)}, true
	}
	message := fmt.Sprintf("the image was taken while the volume was in use. $LogFile was applied in memory: %s",
		prose.Count(j.Blocks, "block differs", "blocks differ"))
	if j.Undone > 0 {
		message += fmt.Sprintf(", %s undone", prose.Count(j.Undone, "transaction was", "transactions were"))
	}
	message += "."
	if j.Unsure > 0 {
		return Notice{Warning, message + fmt.Sprintf(" A change could not be applied, so %s unreadable.",
			prose.Count(j.Unsure, "block is", "blocks are"))}, true
	}
	return Notice{Note, message}, true
}

func (v ntfsVolume) Doubts() []Notice {
	list := v.Damage().InDoubt
	if len(list) == 0 {
		return nil
	}
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.Name
	}
	return []Notice{{Warning, fmt.Sprintf("%s in doubt, since the MFT record and the index of the folder disagree: %s.",
		prose.Count(len(list), "name is", "names are"), prose.Some(names))}}
}

func (v ntfsVolume) Problems() []string {
	var lines []string
	d := v.Damage()
	if d.Count > 0 {
		lines = append(lines, fmt.Sprintf("damaged records in $MFT: %d", d.Count))
	}
	for _, r := range d.Records {
		lines = append(lines, fmt.Sprintf("record %d: %s", r.Record, r.Reason))
	}
	return append(lines, d.Notes...)
}

// warnings makes a warning of each note.
func warnings(notes []string) []Notice {
	var list []Notice
	for _, note := range notes {
		list = append(list, Notice{Warning, note})
	}
	return list
}
