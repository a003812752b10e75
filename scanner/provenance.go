package scanner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// trace completes what reports show of the volumes and of the evidence with what
// is known when all is judged.
func (vs *volumes) trace(volumes []Volume, findings []requirement.Finding) {
	for i, v := range vs.list {
		if v.fs != nil {
			volumes[i].Damaged, volumes[i].Torn = v.fs.Damaged()
			j := v.fs.Info().Journal
			volumes[i].Journal = Journal{State: j.Shown, Transactions: j.Transactions, First: j.First, Last: j.Last,
				Blocks: j.Blocks}
		}
	}
	// What is not known for a defect is not known, and the findings stand.
	_ = guard(func() error { vs.place(findings); return nil })
}

// place adds the offsets in the images to the evidence of findings. Data from a
// transaction log is not in the hive, and data on a logical volume has no
// single offset.
func (vs *volumes) place(findings []requirement.Finding) {
	type file struct{ source, path string }
	records := map[file]place{}
	contents := map[file]filesystem.File{}
	defer func() {
		for _, f := range contents {
			if f != nil {
				f.Close()
			}
		}
	}()
	for i := range findings {
		for j := range findings[i].Evidence {
			e := &findings[i].Evidence[j]
			v := vs.named(e.Source)
			if v == nil || e.Path == "" || v.LogicalVolume != "" {
				continue
			}
			if v.fs == nil {
				continue
			}
			inImage := func(at int64, known bool, err error) place {
				if err != nil || !known {
					return place{}
				}
				return v.image.locate(at + v.Offset)
			}
			at := file{e.Source, e.Path}
			if _, done := records[at]; !done {
				records[at] = inImage(v.fs.Locate(e.Path))
			}
			record := records[at]
			e.RecordOffset, e.RecordFile, e.RecordFileOffset = record.disk, record.file, record.offset
			if e.Offset == nil || e.Origin == requirement.OriginLog {
				continue
			}
			content, done := contents[at]
			if !done {
				content = openLocatable(v.fs, e.Path)
				contents[at] = content
			}
			if content != nil {
				data := inImage(content.Locate(*e.Offset))
				e.ImageOffset, e.File, e.FileOffset = data.disk, data.file, data.offset
			}
		}
	}
}

// place is where a byte is: on the disk, and in which file of a container at which
// offset. file is "" and offset nil if the image is raw, or the byte has no place in a
// file; disk is nil if it has none on the disk.
type place struct {
	disk   *int64
	file   string
	offset *int64
}

// locate returns the place of the byte at off of the disk.
func (i *Image) locate(off int64) place {
	p := place{disk: &off}
	if s, at, ok := i.disk.Locate(off); ok && !i.raw() {
		p.file, p.offset = s.Name(), &at
	}
	return p
}

// openLocatable opens a file that can locate its bytes; nil if it cannot be
// opened, or has no single location.
func openLocatable(fsys fs.FS, name string) filesystem.File {
	f, err := fsys.Open(name)
	if err != nil {
		return nil
	}
	file, ok := f.(filesystem.File)
	if !ok {
		f.Close()
		return nil
	}
	return file
}

// named is the volume that evidence names as its source; nil for a document.
func (vs *volumes) named(source string) *volume {
	for _, v := range vs.list {
		if v.source == source && source != "" {
			return v
		}
	}
	return nil
}

// files describes the images, with the sums that are asked for. It notifies of
// images that do not have the hash that they state, and returns these too.
func (vs *volumes) files(ctx context.Context, in Input, trail *requirement.Trail) (
	list []ImageFile, unverified []string, err error,
) {
	for _, i := range vs.images {
		f := i.Describe()
		sum := func(s *source.Source, remote *RemoteFile) Sums {
			if remote != nil {
				vs.complete(in, s, remote)
				return Sums{}
			}
			var all map[Algorithm]string
			if err == nil {
				all, err = vs.fileSums(ctx, in, i, s)
			}
			return sumsOf(all)
		}
		f.Sums = sum(i.first(), f.Remote)
		for n, s := range i.disk.Sources()[1:] {
			f.Parts[n].Sums = sum(s, f.Parts[n].Remote)
		}
		parent := i.disk.Parent()
		for n := range f.Parents {
			f.Parents[n].Sums = sum(parent.Sources()[0], f.Parents[n].Remote)
			for k, s := range parent.Sources()[1:] {
				f.Parents[n].Parts[k].Sums = sum(s, f.Parents[n].Parts[k].Remote)
			}
			parent = parent.Parent()
		}
		if err != nil {
			return nil, nil, err
		}
		doubt, err := vs.compare(ctx, in, i, &f)
		if err != nil {
			return nil, nil, err
		}
		f.Notes = containerNotes(i.disk) // hashing the disk may add to them
		if doubt != "" {
			unverified = append(unverified, doubt)
			trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: doubt + "."})
		}
		list = append(list, f)
	}
	return list, unverified, nil
}

// complete adds what a scan knows of a file that is read over a network.
func (vs *volumes) complete(in Input, s *source.Source, f *RemoteFile) {
	f.Described = vs.snapshots[f.Snapshot]
	f.Touched, f.BlockSize = s.Remote().Touched(), s.Remote().BlockSize()
	if !in.Hash && !in.expectsReadSet() {
		return
	}
	set := s.Remote().ReadSet()
	f.ReadSet = &ReadSet{SHA256: set.Digest(), Blocks: len(set.Blocks), BlockSize: set.Block}
}

// compare hashes the disk in a container, if that is asked for, and compares the
// hashes with those that the container states. It returns what is wrong with them, and
// the error of a file that cannot be read.
func (vs *volumes) compare(ctx context.Context, in Input, i *Image, f *ImageFile) (doubt string, err error) {
	if !in.Hash || i.raw() || i.remote() != nil {
		if all := vs.sums.by[i]; !i.raw() {
			f.DiskSums = sumsOf(all)
		}
		return "", nil
	}
	all, err := vs.diskSums(ctx, in, i)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && (errors.Is(err, kind.IO) || !damaged(err) && !errors.Is(err, io.ErrUnexpectedEOF)):
		return "", fail(ErrIO, "", "%w", err)
	case err != nil:
		return "The disk cannot be hashed: " + err.Error(), nil
	}
	f.DiskSums = sumsOf(all)
	for n := range f.Stated {
		s := &f.Stated[n]
		got, known := all[s.Algorithm]
		s.Compared, s.Matches = known, known && got == s.Sum
		if known && !s.Matches {
			doubt = fmt.Sprintf("%s: the %s of the disk is %s, and the image states %s", i.Name, algorithmName[s.Algorithm],
				got, s.Sum)
		}
	}
	return doubt, nil
}

// Describe describes the files of the image and of its parents, without hashes.
func (i *Image) Describe() ImageFile {
	first := part(i.first())
	f := ImageFile{
		Name: i.Name, Size: first.Size, Modified: first.Modified, Remote: first.Remote, Container: i.Format,
		Detail: i.Detail, Member: i.Member, DiskSize: i.Size, Parts: parts(i.disk), Notes: containerNotes(i.disk),
	}
	for _, s := range i.disk.Stated() {
		f.Stated = append(f.Stated, StatedSum{Algorithm: Algorithm(s.Algorithm), Sum: strings.ToLower(s.Sum)})
	}
	for d := i.disk.Parent(); d != nil; d = d.Parent() {
		f.Parents = append(f.Parents, ParentFile{
			Part: part(d.Sources()[0]), Container: d.Format(), Detail: d.Detail(), DiskSize: d.Size(), Parts: parts(d),
		})
	}
	return f
}

func part(s *source.Source) Part {
	p := Part{Name: s.Name(), Size: s.Size(), Modified: s.Modified()}
	if r := s.Remote(); r != nil {
		p.Remote = &RemoteFile{Identity: r.Identity(), Unencrypted: r.Unencrypted()}
	}
	return p
}

// parts are the files of a disk after the first.
func parts(d container.Disk) []Part {
	var list []Part
	for _, s := range d.Sources()[1:] {
		list = append(list, part(s))
	}
	return list
}

// changed says which images were written to in the meantime, and notifies of
// them.
func (vs *volumes) changed(trail *requirement.Trail) (list []string) {
	for _, s := range allSources(vs.images) {
		if err := s.Changed(); err != nil {
			list = append(list, err.Error())
			trail.Notify(requirement.Notice{Level: requirement.LevelError,
				Message: err.Error() + ". Data read before and after the change may not match."})
		}
	}
	return list
}

// inUse notifies of images that a mounted filesystem may be writing to.
func (vs *volumes) inUse(trail *requirement.Trail) {
	for _, i := range vs.images {
		for _, m := range i.WritableMounts() {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning,
				Message: fmt.Sprintf("%s is in use: %s is mounted read-write at %s. Scan a snapshot, or unmount it.",
					i.Name, m.Source, m.Point)})
		}
	}
}

// unencrypted notifies of images that are read over a connection that is not encrypted.
func (vs *volumes) unencrypted(trail *requirement.Trail) {
	for _, s := range allSources(vs.images) {
		if r := s.Remote(); r != nil && r.Unencrypted() {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning,
				Message: s.Name() + " is read over an unencrypted connection: anyone on the way can change it. Use https://."})
		}
	}
}

// hives describes the hives that were opened.
func (w windowsSystem) hives() []Hive {
	var list []Hive
	for _, o := range w.OpenedHives() {
		h := Hive{
			Source: o.Source, Path: o.Path, State: o.Recovery.State.String(),
			Primary: o.Recovery.Primary, Secondary: o.Recovery.Secondary,
			Format: o.Recovery.Format, Pages: o.Recovery.Pages,
		}
		for _, a := range o.Recovery.Applied {
			h.Applied = append(h.Applied, HiveLog(a))
		}
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Hive) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Path, b.Path))
	})
	return list
}
