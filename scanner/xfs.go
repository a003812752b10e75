package scanner

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/xfs"
)

// xfsVolume is an XFS volume as the scan sees it.
type xfsVolume struct {
	*xfs.FS
	// told is the volume as it lies on the disk, where its log cannot be
	// replayed: enough to tell what it is, not to judge it.
	told *xfs.FS
}

func openXFS(ctx context.Context, r io.ReaderAt, size int64, o xfs.Options) (xfsVolume, error) {
	f, err := xfs.Open(ctx, r, size, o)
	if err != nil {
		return xfsVolume{}, err
	}
	v := xfsVolume{f, f}
	if v.unreplayed() != nil {
		o.Stale = true
		v.told, err = xfs.Open(ctx, r, size, o)
	}
	return v, err
}

// unreplayed says why the log cannot be replayed; nil if it was, or had nothing
// to replay.
func (v xfsVolume) unreplayed() error {
	if log := v.Volume().Journal; log.State == xfs.JournalFailed {
		return fmt.Errorf("the log cannot be replayed: %w", log.Err)
	}
	return nil
}

func (v xfsVolume) family() requirement.Platform { return requirement.Linux }

func (v xfsVolume) holdsSystem() (bool, error) { return linux.IsRoot(v.told) }

func (v xfsVolume) holdsUsers() bool { return showsHome(v.told) }

func (v xfsVolume) mayHoldData() bool { return !showsBoot(v.told) }

func (v xfsVolume) describe(d *Volume) {
	info := v.Volume()
	d.Label = info.Label
	d.Serial = info.UUID
	switch info.Journal.State {
	case xfs.JournalReplayed:
		d.State = "log replayed"
	case xfs.JournalFailed:
		d.State = "log not replayed"
	default:
		d.State = "clean"
	}
	if usage, err := v.Usage(); err == nil {
		d.Free = usage.Free
	}
}

func (v xfsVolume) notices() []requirement.Notice {
	var list []requirement.Notice
	log, damage := v.Volume().Journal, v.Damage()
	if log.State == xfs.JournalReplayed {
		list = append(list, requirement.Notice{Level: requirement.LevelInfo,
			Message: fmt.Sprintf("the log was replayed: %d transactions, %d changes of blocks, %d of inodes", log.Transactions, log.Blocks, log.Inodes)})
	}
	if len(log.Unfinished) > 0 {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning,
			Message: "the log begins changes that it does not end: " + strings.Join(log.Unfinished, ", ")})
	}
	if damage.Count > 0 {
		list = append(list, requirement.Notice{Level: requirement.LevelError, Message: fmt.Sprintf("%d inodes cannot be read", damage.Count)})
	}
	for _, note := range damage.Notes {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning, Message: note})
	}
	return list
}

func (v xfsVolume) content(name string) (func(int64) (int64, bool, error), error) {
	f, err := v.Open(name)
	if err != nil {
		return nil, err
	}
	file, ok := f.(*xfs.File)
	if !ok {
		return nil, fs.ErrInvalid // a directory
	}
	return file.Locate, nil
}

func (v xfsVolume) recordAt(name string) (int64, bool, error) { return v.Locate(name) }

func (v xfsVolume) damage() (records, torn int64) { return v.Damage().Count, 0 }

func (v xfsVolume) journal() Journal {
	log := v.Volume().Journal
	return Journal{State: log.State.String(), Transactions: log.Transactions, Blocks: log.Blocks}
}

// linuxVolume is the volume as the judgements of Linux see it.
func (v xfsVolume) linuxVolume() linux.Volume {
	info := v.Volume()
	return linux.Volume{
		FS: v.FS, Type: "xfs", Identity: linux.Identity{UUID: info.UUID, Label: info.Label},
		Inode: func(info fs.FileInfo) uint64 {
			if e, ok := info.Sys().(*xfs.Entry); ok {
				return e.Inode
			}
			return 0
		},
		Usage: func() (linux.Usage, error) {
			u, err := v.FS.Usage()
			return linux.Usage{Size: u.Size, Used: u.Used, Available: u.Available}, err
		},
		Totals: func(name string) (linux.Totals, error) {
			t, err := v.Tree(name)
			return linux.Totals{Files: t.Files, Size: t.Size, Damaged: t.Damaged}, err
		},
	}
}
