package scanner

import (
	"context"
	"fmt"

	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// disks describes the images as a Windows system sees its disks.
func (vs *volumes) disks() []windows.Disk {
	list := make([]windows.Disk, len(vs.images))
	for n, i := range vs.images {
		list[n] = windows.Disk{
			Name: i.Name, Size: i.Size, Format: i.Format, Detail: i.Detail, Member: i.Member != "", Table: i.Table,
			Hybrid: i.Hybrid, Short: i.Short, Incomplete: i.Incomplete,
		}
	}
	for _, v := range vs.list {
		d := &list[v.number]
		d.Dynamic = d.Dynamic || v.Use() == disk.UseDynamic
		if v.LogicalVolume == "" {
			d.Parts = append(d.Parts, vs.diskPart(v))
		}
	}
	return list
}

// partKinds are what Windows uses partitions for.
var partKinds = map[disk.Use]windows.PartKind{disk.UseData: windows.PartData, disk.UseEFI: windows.PartEFI,
	disk.UseReserved: windows.PartReserved, disk.UseRecovery: windows.PartRecovery}

func (vs *volumes) diskPart(v *volume) windows.DiskPart {
	p := windows.DiskPart{
		Name: v.name(), Device: device(v), Kind: partKinds[v.Use()], Active: v.Active, Hidden: v.Hidden || v.NoDriveLetter,
		Root: v == vs.root, Filesystem: string(v.Filesystem), Encryption: v.encryption(), Err: v.err, Evidence: v.evidence(),
	}
	if v.Partition == 0 && (v.readable() || v.encryption() != "") {
		p.Kind = windows.PartData // a volume without a table is one of a disk of Windows
	}
	row, supported := filesystem.Supported.Row(v.Filesystem)
	switch {
	case v.fs != nil:
		p.Open = func(context.Context) (windows.PartFS, error) { return lent{v.fs}, nil }
	case supported && v.err == nil:
		p.Open = func(ctx context.Context) (fsys windows.PartFS, err error) {
			err = guard(func() error {
				r := vs.reads.bound(ctx, vs.budget.Reader(v.Volume))
				fsys, err = row.Open(ctx, r, v.Size, filesystem.Options{Reserve: vs.budget.Reserve})
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("cannot be opened: %w", err)
			}
			return fsys, nil
		}
	}
	return p
}

// lent are the files of a volume that is closed with the images.
type lent struct{ windows.PartFS }

// Close leaves the volume open.
func (lent) Close() error { return nil }
