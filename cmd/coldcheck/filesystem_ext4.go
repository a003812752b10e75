package main

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// openExt opens a volume also where its journal cannot be replayed: damage says
// so then, and what is shown is the volume as it lies.
func openExt(v *disk.Volume, m *memory.Budget) (filesystem, error) {
	f, err := ext4.Open(context.Background(), m.Reader(v), v.Size, ext4.Options{Stale: true, Reserve: m.Reserve})
	if err != nil {
		return nil, err
	}
	return extVolume{f}, nil
}

// extVolume is an ext2, ext3 or ext4 volume.
type extVolume struct{ *ext4.FS }

func (extVolume) describe(info fs.FileInfo) node {
	e, ok := info.Sys().(*ext4.Entry)
	if !ok {
		return node{}
	}
	return node{allocated: e.Allocated, id: e.Inode}
}

// name takes a path with slashes only: a backslash may be part of a name.
func (extVolume) name(p string) string { return slashed(p) }

func (v extVolume) damage() []string {
	var lines []string
	switch j := v.Volume().Journal; j.State {
	case ext4.JournalFailed:
		lines = append(lines, fmt.Sprintf("the journal cannot be replayed: %v: shown as it lies", j.Err))
	case ext4.JournalReplayed:
		lines = append(lines, fmt.Sprintf("the journal was replayed: %d transactions", j.Transactions))
	}
	return append(lines, v.Damage().Notes...)
}

func (v extVolume) holdsSystem() (bool, error) { return scanner.FindLinux(v.FS) }
