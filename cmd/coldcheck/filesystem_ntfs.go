package main

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

func openNTFS(v *disk.Volume, m *memory.Budget) (filesystem, error) {
	f, err := ntfs.Open(context.Background(), m.Reader(v), v.Size, ntfs.Options{Reserve: m.Reserve})
	if err != nil {
		return nil, err
	}
	return ntfsVolume{f}, nil
}

// ntfsVolume is an NTFS volume.
type ntfsVolume struct{ *ntfs.FS }

func (v ntfsVolume) describe(info fs.FileInfo) node {
	e, ok := info.Sys().(*ntfs.Entry)
	if !ok {
		return node{}
	}
	return node{allocated: e.Allocated, id: e.Record, junction: e.ReparseTag == ntfs.TagMountPoint}
}

// name takes a path with slashes of either kind: no name of Windows holds one.
func (ntfsVolume) name(p string) string {
	return slashed(strings.ReplaceAll(p, `\`, "/"))
}

func (v ntfsVolume) damage() []string {
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

func (v ntfsVolume) holdsSystem() (bool, error) {
	folder, err := scanner.FindWindows(v)
	return folder != "", err
}
