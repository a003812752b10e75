package scanner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
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

// TestExtraReads: reads of a volume that only the system mounts count among the reads of
// the scan. While there are as many of those as there may be, it waits.
func TestExtraReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := smallDisk()
		images, err := OpenImages(t.Context(), Reader("disk.img", bytes.NewReader(content), int64(len(content))),
			OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer images[0].Close()
		extra := *images[0].Volumes()[0]
		extra.Filesystem = disk.FAT
		v := &volume{Volume: &extra, image: images[0]}
		vs := &volumes{root: &volume{system: filesystem.Linux}, list: []*volume{v}, reads: newReads(1)}
		vs.reads.places <- struct{}{}
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		vs.openExtra(ctx)
		if !errors.Is(v.err, context.DeadlineExceeded) {
			t.Errorf("the error is %v, want that of the context", v.err)
		}
	})
}

// TestNoMemoryForRoot: a volume that does not fit into memory may have the system, so the
// error names the memory.
func TestNoMemoryForRoot(t *testing.T) {
	image := &Image{Name: "a.img", Image: &disk.Image{}}
	on := func(f disk.Filesystem, err error) *volume {
		return &volume{Volume: &disk.Volume{Filesystem: f}, image: image, err: err}
	}
	large := on(disk.NTFS, fmt.Errorf("index of files: %w", ErrMemory))
	for name, tt := range map[string]struct {
		list   []*volume
		memory bool
	}{
		"too large":     {[]*volume{on(disk.Unknown, errNoFilesystem), large}, true},
		"damaged":       {[]*volume{on(disk.NTFS, errors.New("torn"))}, false},
		"encrypted too": {[]*volume{large, on(disk.BitLocker, nil)}, false},
	} {
		err := (&volumes{images: []*Image{image}, list: tt.list}).findRoot(nil, nil)
		if !errors.Is(err, ErrNoSystem) || errors.Is(err, ErrMemory) != tt.memory ||
			(hintOf(err) == "give the scan more memory with --max-memory") != tt.memory {
			t.Errorf("%s: %v, hint %q", name, err, hintOf(err))
		}
	}
}
