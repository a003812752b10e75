package volume

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/xfs"
)

// xfsVolume is an XFS volume.
type xfsVolume struct{ *xfs.FS }

var _ File = (*xfs.File)(nil)

func openXFS(ctx context.Context, r io.ReaderAt, size int64, o Options) (FS, error) {
	f, err := xfs.Open(ctx, r, size, xfs.Options{Readers: o.Readers, Reserve: o.Reserve, Stale: o.Stale})
	if err != nil {
		return nil, err
	}
	return xfsVolume{f}, nil
}

func headXFS(ctx context.Context, r io.ReaderAt, size int64, _ Options) (Head, error) {
	h, err := xfs.ReadHeader(ctx, r, size)
	return Head{Files: h.Inodes - h.FreeInodes}, err
}

func (v xfsVolume) Info() Info {
	volume := v.Volume()
	j := volume.Journal
	info := Info{
		Filesystem: disk.XFS, MountType: "xfs", Label: volume.Label, ID: volume.UUID, State: StateClean,
		Journal: Journal{State: j.State, Shown: j.State.String(), Err: j.Err, Transactions: j.Transactions,
			Blocks: j.Blocks},
		Numbered: true, ByteNames: true,
	}
	switch j.State {
	case xfs.JournalReplayed:
		info.State = StateLogReplayed
		info.Journal.Applied = "the log was replayed"
	case xfs.JournalFailed:
		info.State = StateLogNot
		info.Unreplayed = fmt.Errorf("the log cannot be replayed: %w", j.Err)
	}
	return info
}

func (v xfsVolume) Node(info fs.FileInfo) Node {
	e, ok := info.Sys().(*xfs.Entry)
	if !ok {
		return Node{}
	}
	return Node{Allocated: e.Allocated, ID: e.Inode, Folder: info.IsDir()}
}

// Name takes a path with slashes only: a backslash may be part of a name.
func (v xfsVolume) Name(p string) string { return slashed(p) }

func (v xfsVolume) Usage() (Usage, error) {
	u, err := v.FS.Usage()
	return Usage{Size: u.Size, Used: u.Used, Free: u.Free, Available: u.Available}, err
}

func (v xfsVolume) Totals(name string) (Totals, error) {
	t, err := v.Tree(name)
	return Totals{Files: t.Files, Size: t.Size, Damaged: t.Damaged}, err
}

// Newest: the superblock has no time.
func (v xfsVolume) Newest(time.Time) time.Time { return time.Time{} }

func (v xfsVolume) Damaged() (files, torn int64) { return v.Damage().Count, 0 }

func (v xfsVolume) Notices() []Notice {
	var list []Notice
	j, damage := v.Volume().Journal, v.Damage()
	if j.State == xfs.JournalReplayed {
		list = append(list,
			Notice{Note, fmt.Sprintf("the log was replayed: %s, %s, %s.",
				prose.Count(j.Transactions, "transaction", "transactions"),
				prose.Count(j.Blocks, "change of a block", "changes of blocks"),
				prose.Count(j.Inodes, "change of an inode", "changes of inodes"))})
	}
	if len(j.Unfinished) > 0 {
		list = append(list, Notice{Warning, "the log contains changes that are not complete: " +
			strings.Join(j.Unfinished, ", ") + "."})
	}
	return append(list, inodeNotices(damage.Count, damage.Notes)...)
}

func (v xfsVolume) Doubts() []Notice { return nil }

func (v xfsVolume) Problems() []string {
	var lines []string
	switch j := v.Volume().Journal; j.State {
	case xfs.JournalFailed:
		lines = append(lines, fmt.Sprintf("the log cannot be replayed (%v); showing the volume without it", j.Err))
	case xfs.JournalReplayed:
		lines = append(lines, "the log was replayed: "+prose.Count(j.Transactions, "transaction", "transactions"))
		for _, name := range j.Unfinished {
			lines = append(lines, "a change in the log is not complete: "+name)
		}
	}
	return append(lines, v.Damage().Notes...)
}
