package scanner

import (
	"context"
	"errors"

	"github.com/coldcheck/coldcheck/internal/fat"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// fatVolume is a FAT volume, such as the EFI system partition, as the scan of a
// Linux system sees it. Of Windows systems none is opened.
type fatVolume struct{ *fat.FS }

// openFAT opens the FAT volumes of the images, for a Linux system that may
// mount them.
func (vs *volumes) openFAT(ctx context.Context, reads reads, budget *memory.Budget) {
	for _, v := range vs.list {
		if v.Filesystem != disk.FAT || v.err != nil || v.fs != nil {
			continue
		}
		err := guard(func() error {
			if err := budget.Reserve(fat.Memory); err != nil {
				return err
			}
			f, err := fat.Open(reads.bound(ctx, budget.Reader(v.Volume)), v.Size)
			if err == nil {
				v.fs = fatVolume{f}
			}
			return err
		})
		// One with more files than an EFI system partition has is left as it is.
		if err != nil && !errors.Is(err, fat.ErrUnsupported) {
			v.err = err
		}
	}
}

func (v fatVolume) family() requirement.Platform { return requirement.Linux }

func (v fatVolume) holdsSystem() (bool, error) { return false, nil }

func (v fatVolume) holdsUsers() bool { return false }

func (v fatVolume) mayHoldData() bool { return false }

func (v fatVolume) describe(d *Volume) {
	info := v.Volume()
	d.Label, d.Serial = info.Label, info.UUID
}

func (v fatVolume) notices() []requirement.Notice {
	if n := v.Volume().Damaged; n > 0 {
		return []requirement.Notice{{Level: requirement.LevelError, Message: prose.Count(n, "file or directory cannot be read", "files and directories cannot be read")}}
	}
	return nil
}

func (v fatVolume) linuxVolume() linux.Volume {
	info := v.Volume()
	return linux.Volume{
		FS: v.FS, Type: "vfat", Identity: linux.Identity{UUID: info.UUID, Label: info.Label},
		Totals: func(name string) (linux.Totals, error) {
			t, err := v.Tree(name)
			return linux.Totals(t), err
		},
	}
}
