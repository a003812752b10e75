package volume

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// extVolume is an ext2, ext3 or ext4 volume.
type extVolume struct{ *ext4.FS }

var _ File = (*ext4.File)(nil)

func openExt(ctx context.Context, r io.ReaderAt, size int64, o Options) (FS, error) {
	f, err := ext4.Open(ctx, r, size, ext4.Options{Readers: o.Readers, Reserve: o.Reserve, Stale: o.Stale})
	if err != nil {
		return nil, err
	}
	return extVolume{f}, nil
}

func headExt(ctx context.Context, r io.ReaderAt, size int64, o Options) (Head, error) {
	h, err := ext4.ReadHeader(ctx, r, size, ext4.Options{Reserve: o.Reserve})
	return Head{Files: h.Inodes - h.FreeInodes}, err
}

func (v extVolume) Info() Info {
	volume := v.Volume()
	info := Info{
		Filesystem: disk.Filesystem(volume.Type), MountType: volume.Type, Label: volume.Label, ID: volume.UUID,
		LastMounted: volume.LastMounted, Numbered: true, ByteNames: true,
	}
	j := volume.Journal
	switch {
	case j.State == ext4.JournalReplayed:
		info.State = StateReplayed
	case j.State == ext4.JournalFailed:
		info.State = StateNotReplayed
		info.Unreplayed = fmt.Errorf("the journal cannot be replayed: %w", j.Err)
	case volume.Errors:
		info.State = StateErrors
	case volume.Clean:
		info.State = StateClean
	default:
		info.State = StateInUse
	}
	if j.State != ext4.JournalNone {
		info.Journal = Journal{State: j.State, Shown: j.State.String(), Err: j.Err,
			Transactions: j.Transactions, First: j.First, Last: j.Last, Blocks: j.Blocks}
	}
	if j.State == ext4.JournalReplayed {
		info.Journal.Applied = "the journal was replayed"
	}
	return info
}

func (v extVolume) Node(info fs.FileInfo) Node {
	e, ok := info.Sys().(*ext4.Entry)
	if !ok {
		return Node{}
	}
	return Node{Allocated: e.Allocated, ID: e.Inode, Folder: info.IsDir()}
}

// Name takes a path with slashes only: a backslash may be part of a name.
func (v extVolume) Name(p string) string { return slashed(p) }

func (v extVolume) Usage() (Usage, error) {
	u, err := v.FS.Usage()
	return Usage{Size: u.Size, Used: u.Used, Free: u.Free, Available: u.Available}, err
}

func (v extVolume) Totals(name string) (Totals, error) {
	t, err := v.Tree(name)
	return Totals{Files: t.Files, Size: t.Size, Damaged: t.Damaged}, err
}

// Newest returns the time at which the superblock was written.
func (v extVolume) Newest(until time.Time) time.Time {
	if t := v.Volume().Written; !t.After(until) {
		return t
	}
	return time.Time{}
}

func (v extVolume) Damaged() (files, torn int64) { return v.Damage().Count, 0 }

func (v extVolume) Notices() []Notice {
	var list []Notice
	info, damage := v.Volume(), v.Damage()
	if j := info.Journal; j.State == ext4.JournalReplayed {
		list = append(list, Notice{Note, fmt.Sprintf("the journal was replayed: %s (%d to %d), %s.",
			prose.Count(j.Transactions, "transaction", "transactions"), j.First, j.Last,
			prose.Count(j.Blocks, "block", "blocks"))})
	}
	if info.Errors {
		list = append(list, Notice{Warning, "the kernel recorded errors in this filesystem. Run fsck on it."})
	}
	return append(list, inodeNotices(damage.Count, damage.Notes)...)
}

// inodeNotices are the notices of a damaged filesystem with inodes.
func inodeNotices(damaged int64, notes []string) []Notice {
	var list []Notice
	if damaged > 0 {
		list = append(list, Notice{Error, prose.Count(damaged, "inode", "inodes") + " cannot be read."})
	}
	return append(list, warnings(notes)...)
}

func (v extVolume) Doubts() []Notice { return nil }

func (v extVolume) Problems() []string {
	var lines []string
	switch j := v.Volume().Journal; j.State {
	case ext4.JournalFailed:
		lines = append(lines, fmt.Sprintf("the journal cannot be replayed (%v); showing the volume without it", j.Err))
	case ext4.JournalReplayed:
		lines = append(lines, "the journal was replayed: "+prose.Count(j.Transactions, "transaction", "transactions"))
	}
	return append(lines, v.Damage().Notes...)
}
