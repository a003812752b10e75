package volume

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/coldcheck/coldcheck/internal/fat"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/opening"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// fatVolume is a FAT volume, such as the EFI system partition that a Linux
// system mounts.
type fatVolume struct {
	*fat.FS
	account opening.Account
}

// openFAT refuses a volume with more files than an EFI system partition has: the
// error is kind.Unsupported.
func openFAT(ctx context.Context, r io.ReaderAt, size int64, o Options) (FS, error) {
	v := &fatVolume{account: opening.Account{Ask: o.Reserve}}
	if err := v.account.Reserve(fat.Memory); err != nil {
		return nil, err
	}
	reader := opening.NewReader(ctx, r)
	var err error
	if v.FS, err = fat.Open(reader, size); err == nil {
		err = reader.Done()
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *fatVolume) Close() error { return v.account.Close() }

func (v *fatVolume) Info() Info {
	volume := v.Volume()
	return Info{Filesystem: disk.FAT, MountType: "vfat", Label: volume.Label, ID: volume.UUID}
}

func (v *fatVolume) Node(info fs.FileInfo) Node {
	return Node{Allocated: info.Size(), Folder: info.IsDir()}
}

func (v *fatVolume) Name(p string) string { return slashed(p) }

// Locate knows no place: what is read of a directory is kept, its place is not.
func (v *fatVolume) Locate(name string) (at int64, known bool, err error) {
	_, err = v.Lstat(name)
	return 0, false, err
}

func (v *fatVolume) Usage() (Usage, error) {
	return Usage{}, fmt.Errorf("%w: the free space of FAT is not counted", kind.Unsupported)
}

func (v *fatVolume) Totals(name string) (Totals, error) {
	t, err := v.Tree(name)
	return Totals(t), err
}

// Newest: what starts a system says nothing of when it was last used.
func (v *fatVolume) Newest(time.Time) time.Time { return time.Time{} }

// Damaged counts only on volumes that can have a system.
func (v *fatVolume) Damaged() (files, torn int64) { return 0, 0 }

func (v *fatVolume) Notices() []Notice {
	n := v.Volume().Damaged
	if n == 0 {
		return nil
	}
	return []Notice{{Error, prose.Count(n, "file or directory cannot be read", "files and directories cannot be read")}}
}

func (v *fatVolume) Doubts() []Notice { return nil }

func (v *fatVolume) Problems() []string { return nil }
