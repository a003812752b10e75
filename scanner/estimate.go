package scanner

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// Estimation is what a scan of images will probably read, by Estimate.
type Estimation struct {
	Images []ImageEstimate // in the order of Result.Files
	// Basis says what the numbers rest on, a sentence for each filesystem that a scan
	// reads.
	Basis []string
}

// ImageEstimate is what a scan will probably read of an image.
type ImageEstimate struct {
	File    ImageFile // its Reading is what Estimate has read
	Table   string    // "none", "mbr" or "gpt"
	Volumes []VolumeEstimate
	Read    Amount // what Estimate has read
	Scan    Amount // the estimate of all that a scan reads
}

// Remote reports whether a file of the image is read over a network, so that the amounts
// are requests.
func (i *ImageEstimate) Remote() bool { return i.File.Reading.Remote != nil }

// VolumeEstimate describes a volume of an ImageEstimate.
type VolumeEstimate struct {
	Partition  int    // 0 for a volume without a partition table, and for a logical volume
	Logical    string // the name of a logical volume, as "group/volume"; "" otherwise
	Size       int64  // in bytes
	Filesystem string // as in Volume
	// System says that the estimate assumes the system on this volume: it is the one
	// with the most files of those that may hold it.
	System bool
	Files  int64 // inodes in use, or records of the $MFT, in use or free; 0 if unknown
	Index  int64 // the size in bytes of the $MFT, which a scan reads in full; 0 if there is none
	Pieces int   // of the $MFT
	Err    error // why a scan cannot read the volume, as far as is known; nil if it can
}

// Amount is an amount of reading.
type Amount struct {
	// Requests is the number of requests over a network, of a local image the number of
	// reads.
	Requests int64
	Bytes    int64 // that are received or read
	// Price is the price of the requests in billionths of a US dollar, by Prices. It is 0
	// for a web server, whose prices are not known, and for a local image.
	Price int64
}

// Add adds another amount.
func (a *Amount) Add(b Amount) {
	a.Requests, a.Bytes, a.Price = a.Requests+b.Requests, a.Bytes+b.Bytes, a.Price+b.Price
}

// Estimate says what a scan of the input will probably read, without a scan. It reads the
// headers of containers, partition tables, and the first structures of filesystems: the
// boot sector and the first record of the $MFT with its run list, the superblock and the
// group descriptors of ext4, or the superblock of XFS. The rest is taken from
// measurements. Of the input it uses the images, the parents, Root, User, MaxMemory,
// ParallelReads and Sizes.
//
// The errors are those of Scan. ErrNoSystem means that no volume can hold a system. Whether
// one does hold a system is not checked.
func Estimate(ctx context.Context, in Input) (*Estimation, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	defer end() // of whatever still reads
	budget := in.budget()
	defer budget.Close()
	vs, err := newVolumes(in, budget)
	if err != nil {
		return nil, err
	}
	defer vs.Close()
	var e *Estimation
	if err = vs.openImages(ctx, in); err == nil {
		e, err = vs.estimate(ctx, in)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err = vs.unlessFailed(ctx, err); err != nil {
		return nil, err
	}
	return e, nil
}

// headed is a volume whose first structures are read.
type headed struct {
	*volume
	filesystem.Head
	row filesystem.Row
}

// scanned reports whether a scan reads the volume.
func (h *headed) scanned() bool { return h.err == nil && h.readable() }

func (vs *volumes) estimate(ctx context.Context, in Input) (*Estimation, error) {
	list := make([]headed, len(vs.list))
	vs.reads.each(len(list), func(i int) {
		h := headed{volume: vs.list[i]}
		h.row, _ = filesystem.Supported.Row(h.Filesystem)
		h.err = h.Volume.Err
		if h.scanned() && h.row.Head != nil {
			h.err = guard(func() (err error) {
				r := vs.reads.bound(ctx, h.Volume)
				h.Head, err = h.row.Head(ctx, r, h.Size, filesystem.Options{Reserve: vs.budget.Reserve})
				return err
			})
		}
		list[i] = h
	})
	system, err := vs.likeliestRoot(list, in.Root, in.User)
	if err != nil {
		return nil, err
	}
	e := &Estimation{}
	readings := vs.readings()
	vs.traffic(readings)
	for n, i := range vs.images {
		image := ImageEstimate{File: i.Describe(), Table: i.Table}
		image.File.Reading = &readings[n]
		f := forecast{image: i, reading: &readings[n]}
		for k := range list {
			if h := &list[k]; h.image == i {
				image.Volumes = append(image.Volumes, h.describe(h.volume == system))
				f.add(h, h.volume == system, in.Sizes)
			}
		}
		image.Read, image.Scan = f.read(), f.scan()
		e.Images = append(e.Images, image)
	}
	e.Basis = basis(list, in.Sizes)
	return e, nil
}

// likeliestRoot returns the volume that holds the system most likely: of those that may,
// the one with the most files. Only the folders would show it, and they are not read. A
// volume next to a larger one that is encrypted holds none: it is the one that starts the
// system.
func (vs *volumes) likeliestRoot(list []headed, forced, user *Source) (*volume, error) {
	heads := map[*volume]*headed{}
	for i := range list {
		heads[list[i].volume] = &list[i]
	}
	found, err := vs.roots(forced, user, func(v *volume) (may bool, what string) {
		return heads[v].scanned() && !vs.startsEncrypted(v), v.content()
	})
	if err != nil {
		return nil, err
	}
	return slices.MaxFunc(found, func(a, b *volume) int { return cmp.Compare(heads[a].Files, heads[b].Files) }), nil
}

// startsEncrypted reports whether a larger volume of the same image is encrypted.
func (vs *volumes) startsEncrypted(v *volume) bool {
	return slices.ContainsFunc(vs.list, func(other *volume) bool {
		return other.image == v.image && other.encryption() != "" && other.Size > v.Size
	})
}

func (h *headed) describe(system bool) VolumeEstimate {
	v := VolumeEstimate{
		Partition: h.Partition, Logical: h.LogicalVolume, Size: h.Size, Filesystem: h.filesystem(), System: system,
		Files: h.Files, Index: h.IndexSize(), Pieces: len(h.Index), Err: h.err,
	}
	if name := h.encryption(); name != "" {
		v.Err = kind.Mark(fmt.Errorf("it is encrypted with %s", name), kind.Encrypted)
	}
	return v
}

// typical is what a scan reads of a volume with few files, in addition to the $MFT, by
// the kind of its source.
type typical struct{ ebs, object, local sample }

// sample is a number of requests or reads, and their bytes. Of EBS, the bytes are those of
// the requested blocks.
type sample struct{ requests, bytes int64 }

// measured is what scans read of a kind of filesystem.
type measured struct {
	name       string // for a sentence
	root, user typical
	// filesPerBlock is the number of files for each block of sizesBlock bytes that a scan
	// reads with Input.Sizes; 0 if it reads no more. A pair of 500,000 files needs 846
	// blocks on ext4 and 7,161 on XFS.
	filesPerBlock int64
}

// The amounts are measured with pairs of volumes with few files: Windows 35 blocks of EBS,
// for three volumes and their $MFT, Linux 36, and on XFS 15. With 500,000 files, Linux needs 36
// blocks, and on XFS 23; the amount of XFS is between its two. docs/remote.md has the
// measurements.
var (
	measuredNTFS = measured{
		name: "NTFS",
		root: typical{ebs: sample{requests: 22}, object: sample{32, 8 << 20}, local: sample{120, 9 << 19}},
		user: typical{ebs: sample{requests: 5}, object: sample{8, 9 << 18}, local: sample{26, 1 << 19}},
	}
	measuredExt = measured{
		name:          "ext4",
		root:          typical{ebs: sample{requests: 26}, object: sample{31, 8 << 20}, local: sample{240, 5 << 18}},
		user:          typical{ebs: sample{requests: 10}, object: sample{10, 5 << 19}, local: sample{34, 5 << 16}},
		filesPerBlock: 600,
	}
	measuredXFS = measured{
		name:          "XFS",
		root:          typical{ebs: sample{requests: 12}, object: sample{16, 4 << 20}, local: sample{160, 1 << 20}},
		user:          typical{ebs: sample{requests: 7}, object: sample{7, 7 << 18}, local: sample{35, 3 << 17}},
		filesPerBlock: 70,
	}
)

const (
	// A Windows pair of 300,000 files needs 935 blocks of EBS with 32 requests under
	// way. 27 of these are the typical amount, and 740 are the $MFT: hives, indexes and
	// small files grow with it, by a fifth of its size.
	beyondMFTPercent = 20
	// The same pair needs 340 requests to S3, or one for each 1.25 MiB of the $MFT.
	mftPerObjectRequest = 5 << 18
	// mftPerRead is how much of the $MFT one read of a local image has.
	mftPerRead = 1 << 20
	// sizesBlock is the size in bytes of the blocks of measured.filesPerBlock.
	sizesBlock = 512 << 10
)

// measured returns what is measured of volumes like this one.
func (h *headed) measured() *measured {
	switch {
	case h.row.System == filesystem.Windows:
		return &measuredNTFS
	case h.Filesystem == disk.XFS:
		return &measuredXFS
	}
	return &measuredExt
}

// forecast adds up what a scan reads of an image.
type forecast struct {
	image   *Image
	reading *Reading
	sum     typical
}

// add adds a volume.
func (f *forecast) add(h *headed, system, sizes bool) {
	if !h.scanned() {
		return
	}
	m := h.measured()
	t := m.user
	if system {
		t = m.root
	}
	mft := h.IndexSize()
	more := mft * beyondMFTPercent / 100
	if r := f.image.remote(); r != nil {
		t.ebs.requests += f.blocks(h, r) + more/r.BlockSize()
	}
	t.object.requests += mft / mftPerObjectRequest
	t.local.requests += (mft + more) / mftPerRead
	if sizes && m.filesPerBlock > 0 {
		blocks := (h.Files + m.filesPerBlock - 1) / m.filesPerBlock
		t.ebs.requests += blocks
		t.object.requests += blocks
		more += blocks * sizesBlock
	}
	for _, pair := range [][2]*sample{{&f.sum.ebs, &t.ebs}, {&f.sum.object, &t.object}, {&f.sum.local, &t.local}} {
		pair[0].requests += pair[1].requests
		pair[0].bytes += pair[1].bytes + mft + more
	}
}

// blocks is how many blocks of a remote file the $MFT of a volume is in. Blocks that an EBS
// snapshot does not list do not count. In a container and on a logical volume, only the
// number is known.
func (f *forecast) blocks(h *headed, r *source.Remote) (n int64) {
	size := r.BlockSize()
	if !f.image.raw() || h.LogicalVolume != "" {
		return (h.IndexSize() + size - 1) / size
	}
	var spans [][2]int64
	for _, e := range h.Index {
		at := h.Offset + e.Offset
		spans = append(spans, [2]int64{at / size, (at + e.Size + size - 1) / size})
	}
	slices.SortFunc(spans, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	done := int64(0)
	for _, s := range spans {
		if first := max(s[0], done); first < s[1] {
			blocks, _ := r.Possible(first, s[1])
			n, done = n+blocks, s[1]
		}
	}
	return n
}

// read is what was read so far.
func (f *forecast) read() Amount {
	if t := f.reading.Remote; t != nil {
		return Amount{t.Requests, t.Bytes, t.Price}
	}
	return Amount{Requests: f.reading.Reads, Bytes: f.reading.Bytes}
}

// scan is what a scan will read, at least what was read so far and at most all that there
// is.
func (f *forecast) scan() Amount {
	r, read := f.image.remote(), f.read()
	switch {
	case r == nil:
		return Amount{Requests: max(f.sum.local.requests, read.Requests), Bytes: max(f.sum.local.bytes, read.Bytes)}
	case r.Identity().Snapshot == "":
		gets := max(f.sum.object.requests, read.Requests)
		return Amount{gets, max(min(f.sum.object.bytes, r.Traffic().Blocks*r.BlockSize()), read.Bytes), r.Price(gets, 0)}
	}
	possible, unlisted := r.Possible(0, r.Traffic().Blocks)
	gets := max(min(f.sum.ebs.requests, possible), f.reading.Remote.Gets)
	lists := f.reading.Remote.Lists + r.Lists(unlisted)
	return Amount{gets + lists, gets * r.BlockSize(), r.Price(gets, lists)}
}

// basis says what the estimate rests on.
func basis(list []headed, sizes bool) []string {
	scanned := map[*measured]bool{}
	for i := range list {
		if h := &list[i]; h.scanned() {
			scanned[h.measured()] = true
		}
	}
	var sentences, linux []string
	if scanned[&measuredNTFS] {
		sentences = append(sentences, "For "+measuredNTFS.name+", it rests on the size of the $MFT, and on a typical "+
			"amount for hives, indexes and small files.")
	}
	for _, m := range []*measured{&measuredExt, &measuredXFS} {
		if scanned[m] {
			linux = append(linux, m.name)
		}
	}
	if len(linux) > 0 {
		sentences = append(sentences, "For "+prose.List(linux, len(linux))+
			", it rests on a typical amount, which hardly depends on the number of files.")
		if sizes {
			sentences = append(sentences, "For --sizes, it rests on the number of files.")
		}
	}
	return sentences
}
