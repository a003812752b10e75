package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

// open opens the source. The options are for one that source.Open finds.
func (s Source) open(ctx context.Context, o source.Options) (*source.Source, error) {
	if s.path != "" {
		return source.Open(ctx, s.path, o)
	}
	return s.Open(ctx)
}

// File returns the Source of anything that source.Open opens by its name: a file, a
// block device, an EBS snapshot, an object in S3, or a URL. Its Name has no secrets of
// the URL.
func File(path string) Source {
	return Source{Name: source.ShownName(path), path: path, Open: func(ctx context.Context) (*source.Source, error) {
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

// remote says whether the name is that of a source that is read over a network.
func (s Source) remote() bool { return s.path != "" && source.IsRemote(s.path) }

// Image is an open disk: the volumes on it, its container, and the files that it is
// in.
type Image struct {
	*disk.Image
	// Name is the name of the source. Of a disk in an archive with several, ": " and
	// the name of the disk follow.
	Name   string
	Format string   // of the container: "raw"
	Detail string   // the kind of the format; "" if there is only one
	Member string   // the name of the disk in an archive with several; "" otherwise
	Notes  []string // of the container and its parents, then of the partition table

	disk    container.Disk
	atFirst []string // notes of the container before anything on the disk was read
	source  Source
	given   int      // number of the source in a scan, from 0
	nth     int      // number of the disk in the source, from 0
	parents []Source // that are below the disk, from the nearest on
}

// OpenOptions are the options of OpenImages.
type OpenOptions struct {
	// Parents may be opened as parents of a differencing image, in any order. The
	// image identifies its parent. UnusedParent finds those that no image needs.
	Parents []Source

	source source.Options
}

// hintDisc is what to do about an image of a CD or DVD.
const hintDisc = "give the image of the WorkSpace's root volume"

// hintImages is what to do about a file in which no disk is found.
const hintImages = "use a disk image (raw, split raw, QCOW2, VMDK, VHD, VHDX, VDI, E01 or OVA), a block device, " +
	"or a URL of one"

// OpenImages opens an image: its source, its container, and the disks inside, of
// which only an archive has several. Scans, cross-checks and every other reader
// open images with it. The context applies for as long as the images are open. The
// error names the image. It is disk.ErrNotImage if the file is not an image that
// can be read: if it is of another kind, damaged, incomplete, or encrypted. It may
// have a method Hint() string. OpenImages does not find logical volumes;
// AssembleLVM does.
func OpenImages(ctx context.Context, s Source, o OpenOptions) ([]*Image, error) {
	first, err := s.open(ctx, o.source)
	if err != nil {
		return nil, err
	}
	release := first.Hold(disk.HeadSize, disk.TailSize)
	defer release()
	p := parents{named: o.Parents, opened: map[*source.Source]Source{}, options: o.source}
	disks, err := container.Open(ctx, first, container.Options{Parents: p.candidates()})
	if err != nil {
		if failed := first.Failed(); failed != nil {
			err = failed
		}
		first.Close()
		return nil, unreadable(err, true)
	}
	var images []*Image
	for _, d := range disks {
		image, err := openDisk(ctx, s, first, d)
		if failed := remoteFailure(ctx, sourcesOf(d)); failed != nil {
			err = failed
		}
		if err != nil {
			for _, d := range disks {
				d.Close()
			}
			return nil, err
		}
		image.parents = p.below(d)
		images = append(images, image)
	}
	return images, nil
}

// openDisk finds the volumes on a disk of a source.
func openDisk(ctx context.Context, s Source, first *source.Source, d container.Disk) (*Image, error) {
	i := &Image{Name: s.Name, Format: d.Format(), Detail: d.Detail(), Member: d.Member(), disk: d, source: s}
	if i.Member != "" {
		i.Name += ": " + i.Member
	}
	i.atFirst = containerNotes(d)
	image, err := disk.Open(ctx, d, d.Size(), disk.Options{})
	if i.raw() && ctx.Err() == nil && truncated(image) {
		joined, splitErr := container.OpenSplit(ctx, first)
		switch {
		case splitErr != nil:
			return nil, unreadable(splitErr, true)
		case joined != nil:
			i.disk, i.Format, i.Detail, i.atFirst = joined, joined.Format(), joined.Detail(), containerNotes(joined)
			if image, err = disk.Open(ctx, joined, joined.Size(), disk.Options{}); err != nil {
				defer joined.Close()
			}
		}
	}
	switch {
	case err == nil:
		i.Image, i.Notes = image, slices.Concat(containerNotes(i.disk), image.Notes)
		return i, nil
	case errors.Is(err, disk.ErrDisc):
		return nil, fail(err, hintDisc, "%s: %w", i.Name, err)
	case errors.Is(err, disk.ErrNotImage) && i.raw():
		return nil, fail(err, hintImages, "%s: %w", i.Name, err)
	}
	return nil, unreadable(fmt.Errorf("%s: %w", i.Name, err), !i.raw())
}

// UnreadDisks returns the errors of the disks that are in the same archive and cannot be
// read. They may have a method Hint() string.
func (i *Image) UnreadDisks() []error { return container.Unread(i.disk) }

// containerNotes are the notes of a disk and of its parents, with their names, so far:
// reading a disk may add to them.
func containerNotes(d container.Disk) []string {
	notes := slices.Clone(d.Notes())
	for d = d.Parent(); d != nil; d = d.Parent() {
		for _, note := range d.Notes() {
			notes = append(notes, d.Sources()[0].Name()+": "+note)
		}
	}
	return notes
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

// raw says whether the file of the image is the disk.
func (i *Image) raw() bool { return i.Format == "raw" && i.Member == "" && len(i.disk.Sources()) == 1 }

// remote is the first file of the image, or of a parent, that is read over a network; nil
// if there is none.
func (i *Image) remote() *source.Remote {
	for _, s := range i.sources() {
		if r := s.Remote(); r != nil {
			return r
		}
	}
	return nil
}

// unreadable marks an error as disk.ErrNotImage if an image cannot be opened because
// of what is in its files. In a container, an end too early is such a reason too.
func unreadable(err error, inContainer bool) error {
	if !errors.Is(err, kind.IO) && (damaged(err) || inContainer && errors.Is(err, io.ErrUnexpectedEOF)) {
		return kind.Mark(err, disk.ErrNotImage)
	}
	return err
}

// damaged says whether an error is about what is in an image, not about reading it.
func damaged(err error) bool {
	return slices.ContainsFunc([]error{container.ErrCorrupt, container.ErrUnsupported, container.ErrEncrypted,
		container.ErrLimit, container.ErrIncomplete}, func(kind error) bool { return errors.Is(err, kind) })
}

// parents are the images that a differencing image may be opened with.
type parents struct {
	named  []Source
	opened map[*source.Source]Source // which of them a source is of

	options source.Options // to open them with
}

func (p parents) candidates() []container.Candidate {
	var list []container.Candidate
	for _, parent := range p.named {
		list = append(list, container.Candidate{Name: parent.Name, Open: func(ctx context.Context) (*source.Source, error) {
			s, err := parent.open(ctx, p.options)
			if err == nil {
				p.opened[s] = parent
			}
			return s, err
		}})
	}
	return list
}

// below returns the parents that a disk was opened with.
func (p parents) below(d container.Disk) []Source {
	var list []Source
	for d = d.Parent(); d != nil; d = d.Parent() {
		list = append(list, p.opened[d.Sources()[0]])
	}
	return list
}

// UnusedParent returns an ErrUsage for the first of the parents that none of the
// images needs; nil if there is none.
func UnusedParent(parents []Source, images ...*Image) error {
	for _, p := range parents {
		isP := func(used Source) bool { return used.Name == p.Name }
		if !slices.ContainsFunc(images, func(i *Image) bool { return slices.ContainsFunc(i.parents, isP) }) {
			return fail(ErrUsage, "name only the parents of the images", "%s is not a parent of an image", p.Name)
		}
	}
	return nil
}

// shared returns an ErrUsage if two sources have a file in common: if a part or a
// parent of one is given as the other. nil if they have none.
func shared(images []*Image) error {
	for n, i := range images {
		for _, other := range images[:n] {
			if i.source.path == "" || other.source.path == "" || i.source.path == other.source.path {
				continue
			}
			for _, pair := range [][2]*Image{{i, other}, {other, i}} {
				if err := pair[0].partOf(pair[1]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// partOf returns an ErrUsage if the file that i was named by is one of other, or of
// the parents of other.
func (i *Image) partOf(other *Image) error {
	isFirst := func(s *source.Source) bool {
		// The shown name of a URL does not say which object its query selects. What was
		// named has been compared already.
		if s.Remote() != nil && s == other.first() {
			return false
		}
		return source.Same(s.Name(), i.first().Name())
	}
	for d, below := other.disk, false; d != nil; d, below = d.Parent(), true {
		switch {
		case !slices.ContainsFunc(d.Sources(), isFirst):
		case !below:
			return fail(ErrUsage, "name only the first file of each image", "%s is a part of %s", i.source.Name,
				other.source.Name)
		default:
			return fail(ErrUsage, hintParent, "%s is given as an image, and is a part of a parent of %s", i.source.Name,
				other.source.Name)
		}
	}
	return nil
}

const hintParent = "name a parent only with --parent: on its own it is the disk without later changes"

// NewWorker returns the worker that rereads evidence for a cross-check in a
// separate process. The input has the images and the parents of the scan, in the
// same order.
func NewWorker(in Input) *crosscheck.Worker {
	w := &crosscheck.Worker{}
	for _, s := range in.sources() {
		w.Images = append(w.Images, func(ctx context.Context) ([]*disk.Image, error) {
			images, err := OpenImages(ctx, s, OpenOptions{Parents: in.Parents})
			if err != nil {
				return nil, err
			}
			var disks []*disk.Image
			for _, i := range images {
				disks = append(disks, i.Image)
			}
			return disks, nil
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

// sources returns all files that the image is read from: its own, and those of its
// parents.
func (i *Image) sources() []*source.Source { return sourcesOf(i.disk) }

func sourcesOf(d container.Disk) []*source.Source {
	var list []*source.Source
	for ; d != nil; d = d.Parent() {
		list = append(list, d.Sources()...)
	}
	return list
}

// Failed returns the error of the first read of a remote file of the image, or of its
// parents, that failed for good; nil if there is none. Nothing can be read after it.
func (i *Image) Failed() error { return remoteFailure(context.Background(), i.sources()) }

// remoteFailure returns the error of the first remote source that failed for good;
// nil if there is none, or if the context has ended.
func remoteFailure(ctx context.Context, sources []*source.Source) error {
	if ctx.Err() != nil {
		return nil
	}
	for _, s := range sources {
		if err := s.Failed(); err != nil {
			return err
		}
	}
	return nil
}

// allSources returns the files of images, each once: disks of one archive have
// theirs in common.
func allSources(images []*Image) []*source.Source {
	var list []*source.Source
	for _, i := range images {
		for _, s := range i.sources() {
			if !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return list
}

// counters returns how many bytes were read from images so far, and in how many
// reads. Known zeros are not read.
func counters(images []*Image) (bytes, reads int64) {
	for _, s := range allSources(images) {
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

// WritableMounts returns the filesystems that the operating system has mounted
// read-write from the devices of the image and of its parents.
func (i *Image) WritableMounts() []source.WritableMount {
	var mounts []source.WritableMount
	for _, s := range i.sources() {
		for _, m := range s.WritableMounts() {
			if !slices.Contains(mounts, m) {
				mounts = append(mounts, m)
			}
		}
	}
	return mounts
}

// Close closes the image. Its volumes cannot be read afterwards.
func (i *Image) Close() error { return i.disk.Close() }
