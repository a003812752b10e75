package scanner

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/coldcheck/coldcheck/scanner/requirement"
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
	records := map[file]*int64{}
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
			inImage := func(at int64, known bool, err error) *int64 {
				if err != nil || !known {
					return nil
				}
				at += v.Offset
				return &at
			}
			at := file{e.Source, e.Path}
			if _, done := records[at]; !done {
				records[at] = inImage(v.fs.Locate(e.Path))
			}
			e.RecordOffset = records[at]
			if e.Offset == nil || e.Origin == requirement.OriginLog {
				continue
			}
			content, done := contents[at]
			if !done {
				content = openLocatable(v.fs, e.Path)
				contents[at] = content
			}
			if content != nil {
				e.ImageOffset = inImage(content.Locate(*e.Offset))
			}
		}
	}
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

// files describes the images, with the sums that are asked for.
func (vs *volumes) files(ctx context.Context, in Input) ([]ImageFile, error) {
	var list []ImageFile
	for _, i := range vs.images {
		sums, verified := vs.sums[i]
		if !verified {
			var err error
			if sums, err = i.sums(ctx, in, nil); err != nil {
				return nil, err
			}
		}
		list = append(list, ImageFile{
			Name: i.Name, Size: i.Size, Modified: i.Modified(),
			SHA256: sums[SHA256], SHA1: sums[SHA1], MD5: sums[MD5],
		})
	}
	return list, nil
}

// changed says which images were written to in the meantime, and notifies of
// them.
func (vs *volumes) changed(trail *requirement.Trail) (list []string) {
	for _, i := range vs.images {
		if err := i.Changed(); err != nil {
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
