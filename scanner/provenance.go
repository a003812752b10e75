package scanner

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// locator is a filesystem that tells where on its volume things lie, in bytes.
type locator interface {
	// content opens a file and returns what tells where its bytes lie.
	content(name string) (func(off int64) (at int64, known bool, err error), error)
	// recordAt tells where the MFT record or the inode of a name lies.
	recordAt(name string) (at int64, known bool, err error)
}

func (v ntfsVolume) content(name string) (func(int64) (int64, bool, error), error) {
	f, err := v.OpenStream(name, "")
	if err != nil {
		return nil, err
	}
	return func(off int64) (int64, bool, error) {
		return f.Locate(off)
	}, nil
}

func (v ntfsVolume) recordAt(name string) (int64, bool, error) { return v.Locate(name) }

func (v extVolume) content(name string) (func(int64) (int64, bool, error), error) {
	f, err := v.Open(name)
	if err != nil {
		return nil, err
	}
	file, ok := f.(*ext4.File)
	if !ok {
		return nil, fs.ErrInvalid // a directory
	}
	return file.Locate, nil
}

func (v extVolume) recordAt(name string) (int64, bool, error) { return v.Locate(name) }

// damageTeller is a filesystem that tells how much of it cannot be read, and what
// became of its journal.
type damageTeller interface {
	damage() (records, torn int64)
	journal() Journal
}

func (v ntfsVolume) damage() (records, torn int64) {
	d := v.Damage()
	return d.Count, d.Torn
}

func (v ntfsVolume) journal() Journal {
	switch j := v.Volume().Journal; j.State {
	case ntfs.JournalReplayed:
		return Journal{State: "replayed", Transactions: j.Transactions, Blocks: j.Blocks}
	case ntfs.JournalFailed:
		return Journal{State: "not clean"}
	default:
		return Journal{State: j.State.String()}
	}
}

func (v extVolume) damage() (records, torn int64) { return v.Damage().Count, 0 }

func (v extVolume) journal() Journal {
	j := v.Volume().Journal
	if j.State == ext4.JournalNone {
		return Journal{}
	}
	return Journal{State: j.State.String(), Transactions: j.Transactions, First: j.First, Last: j.Last, Blocks: j.Blocks}
}

// trace completes what reports show of the volumes and of the evidence with what
// is known when all is judged.
func (vs *volumes) trace(volumes []Volume, findings []requirement.Finding) {
	for i, v := range vs.list {
		if t, ok := v.fs.(damageTeller); ok {
			volumes[i].Damaged, volumes[i].Torn = t.damage()
			volumes[i].Journal = t.journal()
		}
	}
	// What is not known for a defect is not known, and the findings stand.
	_ = guard(func() error { vs.place(findings); return nil })
}

// place completes the evidence of findings with where it lies in the images. What
// came out of a transaction log lies elsewhere than in the hive, and what is on a
// logical volume has no one place.
func (vs *volumes) place(findings []requirement.Finding) {
	type file struct{ source, path string }
	records := map[file]*int64{}
	contents := map[file]func(int64) (int64, bool, error){}
	for i := range findings {
		for j := range findings[i].Evidence {
			e := &findings[i].Evidence[j]
			v := vs.named(e.Source)
			if v == nil || e.Path == "" || v.LogicalVolume != "" {
				continue
			}
			l, ok := v.fs.(locator)
			if !ok {
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
				records[at] = inImage(l.recordAt(e.Path))
			}
			e.RecordOffset = records[at]
			if e.Offset == nil || e.Origin == requirement.OriginLog {
				continue
			}
			content, done := contents[at]
			if !done {
				content, _ = l.content(e.Path) // what cannot be opened has no place
				contents[at] = content
			}
			if content != nil {
				e.ImageOffset = inImage(content(*e.Offset))
			}
		}
	}
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

// files describes the images, with their sums if hash asks for them.
func (vs *volumes) files(ctx context.Context, hash bool, progress func(Progress)) ([]ImageFile, error) {
	var list []ImageFile
	for _, i := range vs.images {
		f := ImageFile{Name: i.Name, Size: i.Size, Modified: i.Modified()}
		if hash {
			sum, err := i.SHA256(func(done int64) error {
				if progress != nil {
					progress(Progress{Step: "SHA-256 of " + i.Name, Done: done, Total: i.Size})
				}
				return context.Cause(ctx)
			})
			switch {
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case err != nil:
				return nil, fail(ErrIO, "", "%w", err)
			}
			f.SHA256 = hex.EncodeToString(sum[:])
		}
		list = append(list, f)
	}
	return list, nil
}

// changed says which images were written to in the meantime, and notifies of
// them.
func (vs *volumes) changed(trail *requirement.Trail) (list []string) {
	for _, i := range vs.images {
		if err := i.Changed(); err != nil {
			list = append(list, err.Error())
			trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: err.Error() + ": what was read of it may not belong together"})
		}
	}
	return list
}

// inUse notifies of images that a mounted filesystem may be writing to.
func (vs *volumes) inUse(trail *requirement.Trail) {
	for _, i := range vs.images {
		for _, m := range i.WritableMounts() {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning,
				Message: fmt.Sprintf("%s is in use: %s is mounted read-write at %s, and what is read may not belong together; scan a snapshot of it", i.Name, m.Source, m.Point)})
		}
	}
}

// hives describes the hives that were opened.
func (w windowsSystem) hives() []Hive {
	var list []Hive
	for _, o := range w.OpenedHives() {
		h := Hive{
			Source: o.Source, Path: o.Path, State: o.Recovery.State.String(), Primary: o.Recovery.Primary, Secondary: o.Recovery.Secondary,
			Format: o.Recovery.Format, Pages: o.Recovery.Pages,
		}
		for _, a := range o.Recovery.Applied {
			h.Applied = append(h.Applied, HiveLog(a))
		}
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Hive) int { return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Path, b.Path)) })
	return list
}
