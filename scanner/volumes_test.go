package scanner

import (
	"errors"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestReadable(t *testing.T) {
	image := &Image{Name: "a.img", Image: &disk.Image{}}
	torn := &Image{Name: "b.img", Image: &disk.Image{Incomplete: errors.New("torn table")}}
	on := func(f disk.Filesystem, err error) *volume {
		return &volume{Volume: &disk.Volume{Filesystem: f}, image: image, err: err}
	}
	for name, c := range map[string]struct {
		volumes volumes
		want    requirement.Status
	}{
		"whole":     {volumes{list: []*volume{on(disk.NTFS, nil), on(disk.FAT, nil)}}, requirement.Passed},
		"BitLocker": {volumes{list: []*volume{on(disk.NTFS, nil), on(disk.BitLocker, nil)}}, requirement.Failed},
		"LUKS":      {volumes{list: []*volume{on(disk.Ext4, nil), on(disk.LUKS, nil)}}, requirement.Failed},
		"damaged": {volumes{list: []*volume{on(disk.NTFS, nil), on(disk.NTFS, errors.New("torn"))}},
			requirement.Undetermined},
		"damaged and encrypted": {volumes{list: []*volume{on(disk.NTFS, errors.New("torn")), on(disk.BitLocker, nil)}},
			requirement.Failed},
		"nothing known": {volumes{list: []*volume{on(disk.NTFS, nil), on(disk.Unknown, errNoFilesystem)}},
			requirement.Undetermined},
		"a table not read": {volumes{images: []*Image{image, torn}, list: []*volume{on(disk.NTFS, nil)}},
			requirement.Undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			if o := c.volumes.judgeReadable(); o.Status != c.want {
				t.Errorf("%s, want %s: %s", o.Status, c.want, o.Message)
			}
		})
	}
}
