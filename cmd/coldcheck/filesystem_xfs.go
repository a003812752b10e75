package main

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/xfs"
)

// openXFS opens a volume also where its log cannot be replayed: damage says
// so then, and what is shown is the volume as it lies.
func openXFS(v *disk.Volume, m *memory.Budget) (filesystem, error) {
	f, err := xfs.Open(context.Background(), m.Reader(v), v.Size, xfs.Options{Stale: true, Reserve: m.Reserve})
	if err != nil {
		return nil, err
	}
	return xfsVolume{f}, nil
}

// xfsVolume is an XFS volume.
type xfsVolume struct{ *xfs.FS }

func (xfsVolume) describe(info fs.FileInfo) node {
	e, ok := info.Sys().(*xfs.Entry)
	if !ok {
		return node{}
	}
	return node{allocated: e.Allocated, id: e.Inode}
}

// name takes a path with slashes only: a backslash may be part of a name.
func (xfsVolume) name(p string) string { return slashed(p) }

func (v xfsVolume) damage() []string {
	var lines []string
	switch log := v.Volume().Journal; log.State {
	case xfs.JournalFailed:
		lines = append(lines, fmt.Sprintf("the log cannot be replayed: %v: shown as it lies", log.Err))
	case xfs.JournalReplayed:
		lines = append(lines, fmt.Sprintf("the log was replayed: %d transactions", log.Transactions))
		for _, name := range log.Unfinished {
			lines = append(lines, "a change in the log is not finished: "+name)
		}
	}
	return append(lines, v.Damage().Notes...)
}

func (v xfsVolume) holdsSystem() (bool, error) { return scanner.FindLinux(v.FS) }
