package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Source names an image and knows how to open it.
type Source struct {
	Name string // as it appears in reports and messages
	// Open opens the source of the image's bytes. The context applies for as
	// long as the source is open.
	Open func(ctx context.Context) (*source.Source, error)

	path string // by which source.Open finds it; "" if it does not
}

// File returns the Source of a file or block device.
func File(path string) Source {
	return Source{Name: path, path: path, Open: func(ctx context.Context) (*source.Source, error) {
		return source.Open(ctx, path, source.Options{})
	}}
}

// Reader returns the Source of an image of size bytes that is read from r. r
// must be safe for concurrent use. A scan does not close it. Reports and
// messages show name.
func Reader(name string, r io.ReaderAt, size int64) Source {
	return Source{Name: name, Open: func(ctx context.Context) (*source.Source, error) {
		return source.NewReader(ctx, name, r, size), nil
	}}
}

// same says whether two sources are the same thing, by whatever path or link.
func (s Source) same(other Source) bool {
	return s.path != "" && other.path != "" && source.Same(s.path, other.path)
}

// Image is an open image: the volumes on the disk and the source of its bytes.
type Image struct {
	*disk.Image
	Name   string // as it was named
	Format string // of the container: "raw"

	disk container.Disk
}

// hintDisc is what to do about an image of a CD or DVD.
const hintDisc = "give the image of the WorkSpace's root volume"

// OpenImage opens an image: its source, its container, and the disk inside.
// Scans, cross-checks and every other reader open images with it. The context
// applies for as long as the image is open. The error names the image. It is
// disk.ErrNotImage if the file is not a supported image, and may have a method
// Hint() string. OpenImage does not find logical volumes; AssembleLVM does.
func OpenImage(ctx context.Context, s Source) (*Image, error) {
	first, err := s.Open(ctx)
	if err != nil {
		return nil, err
	}
	release := first.Hold(disk.HeadSize, disk.TailSize)
	defer release()
	disks, err := container.Open(ctx, first, container.Options{})
	if err != nil {
		first.Close()
		return nil, err
	}
	d := disks[0]
	image, err := disk.Open(ctx, d, d.Size(), disk.Options{})
	if d.Format() == "raw" && ctx.Err() == nil && truncated(image) {
		switch joined, splitErr := container.OpenSplit(ctx, first); {
		case errors.Is(splitErr, container.ErrIncomplete), errors.Is(splitErr, container.ErrLimit):
			d.Close()
			return nil, kind.Mark(splitErr, disk.ErrNotImage)
		case splitErr != nil:
			d.Close()
			return nil, splitErr
		case joined != nil:
			d = joined
			image, err = disk.Open(ctx, d, d.Size(), disk.Options{})
		}
	}
	switch {
	case err == nil:
		return &Image{Image: image, Name: s.Name, Format: d.Format(), disk: d}, nil
	case errors.Is(err, disk.ErrDisc):
		err = fail(err, hintDisc, "%s: %w", s.Name, err)
	default:
		err = fmt.Errorf("%s: %w", s.Name, err)
	}
	d.Close()
	return nil, err
}

// truncated reports whether something is missing at the end of an image, or all of its structure.
func truncated(image *disk.Image) bool {
	if image == nil || image.Incomplete != nil {
		return true
	}
	for _, v := range image.Volumes() {
		if v.Declared > v.Size {
			return true
		}
	}
	return false
}

// NewWorker returns the worker that rereads evidence for a cross-check in a
// separate process. The images are those of the scan, in the order that
// Input.CrossCheck documents.
func NewWorker(images ...Source) *crosscheck.Worker {
	w := &crosscheck.Worker{}
	for _, s := range images {
		w.Images = append(w.Images, func(ctx context.Context) (*disk.Image, error) {
			image, err := OpenImage(ctx, s)
			if err != nil {
				return nil, err
			}
			return image.Image, nil
		})
	}
	return w
}

// AssembleLVM finds the logical volumes that span the images, and adds them to
// the images.
func AssembleLVM(images ...*Image) {
	disks := make([]*disk.Image, len(images))
	for n, i := range images {
		disks[n] = i.Image
	}
	disk.AssembleLVM(disks...)
}

// Counters returns how many bytes were read from the image so far, and in how
// many reads. Known zeros are not read.
func (i *Image) Counters() (bytes, reads int64) {
	for _, s := range i.disk.Sources() {
		c := s.Counters()
		bytes, reads = bytes+c.Bytes, reads+c.Reads
	}
	return bytes, reads
}

// Modified is the modification time of the image file when it was opened; zero
// if the image is not a file.
func (i *Image) Modified() time.Time { return i.first().Modified() }

// first is the source that was named.
func (i *Image) first() *source.Source { return i.disk.Sources()[0] }

// Changed returns an error that says how the image has changed since it was
// opened; nil if no change is known.
func (i *Image) Changed() error {
	for _, s := range i.disk.Sources() {
		if err := s.Changed(); err != nil {
			return err
		}
	}
	return nil
}

// WritableMounts returns the filesystems that the operating system has mounted
// read-write from the image's device.
func (i *Image) WritableMounts() []source.WritableMount {
	var mounts []source.WritableMount
	for _, s := range i.disk.Sources() {
		mounts = append(mounts, s.WritableMounts()...)
	}
	return mounts
}

// Sum writes the unmodified bytes of the image file to hashes, as
// source.Source.Sum does.
func (i *Image) Sum(h io.Writer, progress func(done int64) error) error {
	return i.first().Sum(h, progress)
}

// Close closes the image. Its volumes cannot be read afterwards.
func (i *Image) Close() error { return i.disk.Close() }
