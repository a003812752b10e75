package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Source is an image that is not open yet.
type Source struct {
	Name string // as it appears in reports and messages
	// Open opens where the bytes of the image are. The context governs the source
	// for as long as it is open.
	Open func(ctx context.Context) (*source.Source, error)

	path string // by which source.Open finds it; "" if it does not
}

// File is the image in a file or block device.
func File(path string) Source {
	return Source{Name: path, path: path, Open: func(ctx context.Context) (*source.Source, error) {
		return source.Open(ctx, path, source.Options{})
	}}
}

// Reader is the image of size bytes that r reads. r has to be safe for concurrent
// use; it is not closed. name is what reports and messages call it.
func Reader(name string, r io.ReaderAt, size int64) Source {
	return Source{Name: name, Open: func(ctx context.Context) (*source.Source, error) {
		return source.NewReader(ctx, name, r, size), nil
	}}
}

// same says whether two sources are the same thing, by whatever path or link.
func (s Source) same(other Source) bool {
	return s.path != "" && other.path != "" && source.Same(s.path, other.path)
}

// Image is an open image: the volumes on the disk, and where its bytes come from.
type Image struct {
	*disk.Image
	Name   string // as it was named
	Format string // of the container: "raw"

	disk container.Disk
}

// hintDisc is what to do about an image of a CD or DVD.
const hintDisc = "give the image of the WorkSpace's root volume"

// OpenImage opens an image: its source, the container that it is in, and the disk
// inside. It is the one way in which a scan, its cross-check and whatever else looks
// into an image open it. The context governs the image for as long as it is open. The
// error names the image; it is disk.ErrNotImage where the file is no image that can
// be read, and may have a Hint() string. AssembleLVM finds the logical volumes.
func OpenImage(ctx context.Context, s Source) (*Image, error) {
	first, err := s.Open(ctx)
	if err != nil {
		return nil, err
	}
	release := first.Hold(disk.HeadSize, disk.TailSize)
	defer release()
	d, err := container.Open(ctx, first, container.Options{})
	if err != nil {
		first.Close()
		return nil, err
	}
	image, err := disk.Open(ctx, d, d.Size(), disk.Options{})
	if d.Format() == "raw" && ctx.Err() == nil && truncated(image) {
		if part := splitPart(ctx, first); part != nil {
			image, err = nil, part
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

// NewWorker returns the worker that answers the questions of a cross-check in a
// process of its own. The images are those of the scan, in the order of
// Input.CrossCheck.
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

// AssembleLVM finds the logical volumes that are on the images together, and adds
// them to the images.
func AssembleLVM(images ...*Image) {
	disks := make([]*disk.Image, len(images))
	for n, i := range images {
		disks[n] = i.Image
	}
	disk.AssembleLVM(disks...)
}

// Counters returns how many bytes were read for the image so far, and in how many
// reads. What is known to be zeros is not read.
func (i *Image) Counters() (bytes, reads int64) {
	for _, s := range i.disk.Sources() {
		c := s.Counters()
		bytes, reads = bytes+c.Bytes, reads+c.Reads
	}
	return bytes, reads
}

// Modified is when the file of the image was last changed, as it was when it was
// opened; zero for what is no file.
func (i *Image) Modified() time.Time { return i.first().Modified() }

// first is the source that was named.
func (i *Image) first() *source.Source { return i.disk.Sources()[0] }

// Changed says why the image is not what it was when it was opened; nil where nothing
// is known to have changed.
func (i *Image) Changed() error {
	for _, s := range i.disk.Sources() {
		if err := s.Changed(); err != nil {
			return err
		}
	}
	return nil
}

// WritableMounts are the filesystems mounted read-write that may be writing to the
// image, as far as the system tells.
func (i *Image) WritableMounts() []source.WritableMount {
	var mounts []source.WritableMount
	for _, s := range i.disk.Sources() {
		mounts = append(mounts, s.WritableMounts()...)
	}
	return mounts
}

// Sum writes the file of the image as it is to hashes, as source.Source.Sum does.
func (i *Image) Sum(h io.Writer, progress func(done int64) error) error {
	return i.first().Sum(h, progress)
}

// Close closes the image. Its volumes cannot be read afterwards.
func (i *Image) Close() error { return i.disk.Close() }
